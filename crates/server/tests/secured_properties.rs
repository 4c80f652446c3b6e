//! Whatever devices with sessions do, in whatever order: the tables of the shard stay in step, and everything stays bounded.
#![expect(clippy::wildcard_enum_match_arm, reason = "each looks for one kind of event among all")]

mod common;

use core::time::Duration;
use std::collections::BTreeMap;
use std::net::SocketAddr;

use common::secure::{Coaps as _, Device, connect, security, with, without_cid};
use common::{World, answer, endpoint, read};
use lightship_coap::{Code, ContentFormat};
use lightship_dtls::{Config, Connect, Resumption};
use lightship_server::{CredentialEnd, Event, Frozen, Locator, Registrations, SecurityEvent, Shard, Whose};
use proptest::prelude::*;

const NAMES: [&str; 4] = ["a", "b", "c", "d"];

/// What happens next; the number says to which device.
#[derive(Clone, Debug)]
enum Step {
    Open {
        cid: bool,
        resume: bool,
        register: bool,
    },
    /// A handshake that stops somewhere.
    Begin {
        datagrams: usize,
    },
    Update,
    Register,
    Deregister,
    Move,
    Close,
    EndSessions {
        end: bool,
    },
    Forget,
    Request,
    /// A record that was sent before, from wherever the device is.
    Replay,
    Pass {
        seconds: u64,
    },
    Restart,
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        4 => (any::<bool>(), any::<bool>(), any::<bool>())
            .prop_map(|(cid, resume, register)| Step::Open { cid, resume, register }),
        2 => (1..4_usize).prop_map(|datagrams| Step::Begin { datagrams }),
        3 => Just(Step::Update),
        2 => Just(Step::Register),
        1 => Just(Step::Deregister),
        3 => Just(Step::Move),
        1 => Just(Step::Close),
        1 => any::<bool>().prop_map(|end| Step::EndSessions { end }),
        1 => Just(Step::Forget),
        2 => Just(Step::Request),
        2 => Just(Step::Replay),
        2 => prop_oneof![1..20_u64, 100..400_u64].prop_map(|seconds| Step::Pass { seconds }),
        1 => Just(Step::Restart),
    ]
}

#[derive(Default)]
struct Place {
    device: Option<Device>,
    location: Option<String>,
    resumption: Option<Resumption>,
    record: Option<Vec<u8>>,
    port: u16,
}

fn at(who: usize, port: u16) -> SocketAddr {
    // Two share each address, so that they meet at ports as behind a NAT.
    format!("192.0.2.{}:{}", 1 + who / 2, 1000 + port % 3).parse().expect("an address")
}

fn settings() -> lightship_server::Config {
    let mut security = security();
    security.limits.sessions = 3;
    security.limits.handshakes = 3;
    security.limits.resumptions = 3;
    lightship_server::Config { security: Some(security), ..lightship_server::Config::default() }
}

fn play(world: &mut World, places: &mut [Place], who: usize, step: &Step) {
    let name = NAMES[who];
    let place = &mut places[who];
    match step {
        Step::Open { cid, resume, register } => {
            open(world, place, who, (*cid, *resume));
            if *register && place.device.as_ref().is_some_and(|device| device.association.is_established()) {
                play(world, places, who, &Step::Register);
            }
        }
        Step::Begin { datagrams } => begin(world, place, who, *datagrams),
        Step::Update => {
            let location = place.location.clone().unwrap_or_else(|| "rd/000000000000".to_owned());
            let packet = world.update_packet(&location, "");
            say(world, place, &packet.bytes());
        }
        Step::Register => {
            let packet = world.register_packet(&format!("ep={name}&lt=200&lwm2m=1.1"), common::LIST);
            let created = say(world, place, &packet.bytes()).into_iter().find_map(|message| {
                let message = read(&message);
                let path: Vec<_> = message.location_path().map(str::to_owned).collect();
                (message.code() == Code::CREATED).then(|| path.join("/"))
            });
            place.location = created.or(place.location.take());
        }
        Step::Deregister => {
            let location = place.location.clone().unwrap_or_else(|| "rd/000000000000".to_owned());
            let packet = common::Packet::new(lightship_coap::Type::Con, Code::DELETE, world.id(), &[9])
                .path(&location);
            say(world, place, &packet.bytes());
        }
        Step::Move => {
            place.port += 1;
            if let Some(device) = &mut place.device {
                device.address = at(who, place.port);
            }
        }
        Step::Close => {
            if let Some(mut device) = place.device.take() {
                device.close(world);
            }
        }
        Step::EndSessions { end } => {
            let registrations = if *end { Registrations::End } else { Registrations::Keep };
            world.shard.end_sessions(
                world.now,
                &[Whose::Endpoint(endpoint(name))],
                CredentialEnd::TakenAway,
                registrations,
            );
            world.drain();
        }
        Step::Forget => {
            world.shard.forget(world.now, &endpoint(name));
            world.drain();
        }
        Step::Request => {
            request(world, place, name);
        }
        Step::Replay => {
            if let Some(record) = place.record.clone() {
                world.secured(at(who, place.port), &record);
            }
        }
        Step::Pass { seconds } => world.pass(Duration::from_secs(*seconds)),
        Step::Restart => restart(world),
    }
}

fn open(world: &mut World, place: &mut Place, who: usize, (cid, resume): (bool, bool)) {
    let config = if cid { Config::default() } else { without_cid() };
    let resumption = place.resumption.clone().filter(|_| resume);
    let connect = Connect { resume: resumption, ..connect(NAMES[who]) };
    let mut device = Device::new(world.now, at(who, place.port), config, connect);
    device.run(world);
    if device.association.is_established() {
        place.resumption = device.resumption().or(place.resumption.take());
        place.device = Some(device);
    }
}

/// A handshake that stops somewhere.
fn begin(world: &mut World, place: &Place, who: usize, datagrams: usize) {
    let mut device = Device::new(world.now, at(who, place.port), Config::default(), connect(NAMES[who]));
    for _ in 0..datagrams {
        let Some(datagram) = device.poll(world.now) else { break };
        world.secured(device.address, &datagram);
        for datagram in world.to(device.address) {
            device.take(world.now, &datagram);
        }
    }
}

/// A Read, which the device answers if it gets it.
fn request(world: &mut World, place: &mut Place, name: &str) {
    if world.registration(name).is_some() {
        world.read_request(name, "/3/0/9");
    }
    let Some(device) = &mut place.device else { return };
    for message in device.hear(world) {
        if read(&message).code() == Code::GET {
            let content = answer(&message, Code::CONTENT).format(ContentFormat::TEXT).payload("1");
            device.say(world, &content);
        }
    }
}

fn restart(world: &mut World) {
    let old = std::mem::replace(&mut world.shard, Shard::new(settings(), [8; 32]));
    let frozen = Frozen::from_bytes(old.freeze(world.now).as_bytes().to_vec());
    world.shard.thaw(world.now, Duration::ZERO, frozen).expect("its own bytes");
    world.drain();
}

fn say(world: &mut World, place: &mut Place, message: &[u8]) -> Vec<Vec<u8>> {
    let Some(device) = &mut place.device else { return Vec::new() };
    if !device.association.is_established() || device.is_closed() {
        return Vec::new();
    }
    let record = device.seal(world.now, message);
    device.received.clear();
    world.secured(device.address, &record);
    place.record = Some(record);
    device.run(world);
    std::mem::take(&mut device.received)
}

/// What must be true after every step.
fn check(world: &World, open: &BTreeMap<Locator, ()>) {
    let stats = world.shard.stats();
    let sessions: Vec<_> = world.shard.sessions().collect();
    assert_eq!(stats.security.sessions, sessions.len() as u64);
    assert!(sessions.len() <= 3 && stats.security.handshakes <= 3 && stats.security.resumptions <= 3);
    for (session, endpoint) in &sessions {
        assert!(open.contains_key(&session.id), "the host was told of it, and not of its end");
        let Some(endpoint) = endpoint else { continue };
        let registration = world.shard.registration(endpoint).expect("a registration that a session names");
        assert_eq!(registration.session.as_ref(), Some(session));
        assert!(session.party.endpoints.allow(endpoint));
    }
    assert_eq!(open.len(), sessions.len(), "every end is told");
    let mut registered = 0;
    for registration in world.shard.registrations() {
        registered += 1;
        assert!(registration.party.is_some(), "made under security, it stays so");
        let Some(session) = registration.session else { continue };
        assert_eq!(registration.address, session.address);
        let endpoint = Some(registration.details.endpoint.clone());
        assert!(sessions.iter().any(|(other, of)| other.id == session.id && *of == endpoint));
    }
    assert_eq!(stats.registrations, registered);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(120))]

    // Proves: DTL-17
    #[test]
    fn sessions_and_registrations_stay_in_step(steps in proptest::collection::vec((0..NAMES.len(), step()), 1..60)) {
        let mut world = with(settings(), &NAMES);
        let mut places: Vec<Place> = (0..NAMES.len()).map(|_| Place::default()).collect();
        let mut open = BTreeMap::new();
        for (who, step) in &steps {
            play(&mut world, &mut places, *who, step);
            for event in world.take_events() {
                match event {
                    Event::Security(SecurityEvent::SessionOpened { session, .. }) => {
                        prop_assert!(open.insert(session.id, ()).is_none());
                    }
                    Event::Security(SecurityEvent::SessionClosed { session, .. }) => {
                        prop_assert!(open.remove(&session.id).is_some());
                    }
                    _ => {}
                }
            }
            check(&world, &open);
            world.wire.clear();
        }
        // In the end nothing is left of anything but sessions.
        world.pass(Duration::from_secs(1000));
        let stats = world.shard.stats();
        prop_assert_eq!((stats.registrations, stats.peers, stats.security.handshakes), (0, 0, 0));
    }
}
