//! After a crash: a new shard goes on with the registrations that a store has kept.
#![expect(clippy::wildcard_enum_match_arm, reason = "each looks for one kind of event among all")]

mod common;

use common::secure::{Device, HOME, config, connect, known, without_cid, world};
use common::{LIST, SECOND, World, address, answer, endpoint, read, wanted};
use lightship_coap::Code;
use lightship_dtls::Config as Client;
use lightship_platform::Instant;
use lightship_server::{Config, Event, Limits, Presence, Registration, Shard, Stored};

const PLAIN: &str = "192.0.2.1:5683";

/// What a store keeps.
type Kept = (Registration, Vec<u8>);

fn keep(world: &World, name: &str) -> Kept {
    let registration = world.registration(name).expect("registered");
    let said = registration.said();
    (registration, said)
}

fn stored(kept: &Kept) -> Stored<'_> {
    let (registration, said) = kept;
    Stored {
        endpoint: registration.details.endpoint.clone(),
        id: registration.id,
        registered_at: Instant::from_secs(5),
        said,
    }
}

/// A shard after the crash of another, on a clock of its own.
fn after_crash(config: Config, kept: &[Kept]) -> (World, u64) {
    let mut next = World::with(config.clone());
    next.shard = Shard::new(config, [9; 32]);
    next.now = Instant::from_secs(400 * 86_400);
    let count = next.shard.restore(next.now, kept.iter().map(stored));
    next.drain();
    (next, count)
}

#[test]
fn registrations_go_on_after_a_crash() {
    let mut world = World::new();
    let location = world.register(address(PLAIN), "plain");
    let query = "ep=sleepy&lt=86400&lwm2m=1.2&b=U&Q&sms=42&et=x&empty=";
    let list =
        "</>;rt=\"oma.lwm2m\";ct=\"60 110 112\";pid=\"p\",</1/0>,</1>;ver=1.1,</3/0>,</5>,</3303/65534>";
    let packet = world.register_packet(query, list);
    world.ask(address("192.0.2.1:2"), &packet);
    let kept = [keep(&world, "plain"), keep(&world, "sleepy")];
    let (mut world, count) = after_crash(Config::default(), &kept);
    assert_eq!(count, 2);
    let told = world.take_events();
    let told: Vec<_> = told
        .iter()
        .filter_map(|event| match event {
            Event::Restored { registration, observations } => {
                Some((&*registration.details.endpoint, observations.len()))
            }
            _ => None,
        })
        .collect();
    assert_eq!(told, [("plain", 0), ("sleepy", 0)]);
    for (name, (before, _)) in ["plain", "sleepy"].into_iter().zip(&kept) {
        let after = world.registration(name).expect("still registered");
        assert_eq!((after.id, &after.details, after.address), (before.id, &before.details, before.address));
        assert_eq!(after.deviations, before.deviations);
        assert_eq!((after.registered_at, after.updated_at), (Instant::from_secs(5), world.now));
    }
    let sleepy = world.registration("sleepy").expect("registered");
    assert!(sleepy.deviations != lightship_server::Deviations::default(), "kept, too");
    assert!(matches!(sleepy.presence, Presence::Asleep { .. }));
    // The device notices nothing.
    let update = world.update_packet(&location, "");
    assert_eq!(world.ask(address(PLAIN), &update), Code::CHANGED);
    world.read_request("plain", "/3/0/1");
    let request = world.request_to(address(PLAIN));
    world.send(address(PLAIN), &answer(&request, Code::CONTENT).payload("1").bytes());
    // One that does not come back lives a whole lifetime.
    world.pass(86_399 * SECOND);
    assert!(world.registration("plain").is_none() && world.registration("sleepy").is_some());
    world.pass(2 * SECOND);
    assert!(world.registration("sleepy").is_none());
}

#[test]
fn what_is_wanted_is_observed_anew_when_the_device_can_hear() {
    let mut world = World::new();
    world.register(address(PLAIN), "awake");
    let packet = world.register_packet("ep=sleepy&lt=86400&lwm2m=1.2&b=U&Q", LIST);
    let location = {
        let answers = world.send(address("192.0.2.1:2"), &packet.bytes());
        read(&answers[0]).location_path().collect::<Vec<_>>().join("/")
    };
    let kept = [keep(&world, "awake"), keep(&world, "sleepy")];
    let (mut world, _) = after_crash(Config::default(), &kept);
    for name in ["awake", "sleepy"] {
        assert!(world.shard.want(world.now, &endpoint(name), vec![wanted("/3/0/9"), wanted("/3/0/9")]));
    }
    assert!(!world.shard.want(world.now, &endpoint("other"), vec![wanted("/3/0/9")]));
    world.drain();
    assert_eq!(read(&world.request_to(address(PLAIN))).observe(), Some(0));
    assert!(world.sent_to(address("192.0.2.1:2")).is_empty(), "it sleeps");
    let update = world.update_packet(&location, "");
    let sent = world.send(address("192.0.2.1:2"), &update.bytes());
    assert!(sent.iter().any(|bytes| read(bytes).observe() == Some(0)));
    assert_eq!(world.shard.stats().observations, 2);
}

#[test]
fn a_secured_registration_waits_for_a_session_of_its_party() {
    let mut before = world(&["lamp", "other"]);
    let mut device = Device::open(&mut before, address(HOME), Client::default(), connect("lamp"));
    let packet = before.register_packet("ep=lamp&lt=300&lwm2m=1.1", LIST);
    let answers = device.say(&mut before, &packet);
    let location: Vec<_> = read(&answers[0]).location_path().map(str::to_owned).collect();
    let kept = [keep(&before, "lamp")];
    let (mut world, count) = after_crash(config(), &kept);
    world.credentials = Some(vec![known("lamp"), known("other")]);
    let after = world.registration("lamp").expect("registered");
    assert_eq!((count, after.session.is_none(), after.party == kept[0].0.party), (1, true, true));
    let update = world.update_packet(&location.join("/"), "");
    // Neither who has proven nothing, nor who is somebody else.
    assert_eq!(world.ask(address(HOME), &update), Code::NOT_FOUND);
    let mut other = Device::open(&mut world, address("192.0.2.9:1"), without_cid(), connect("other"));
    let update = world.update_packet(&location.join("/"), "");
    assert_eq!(other.ask(&mut world, &update), Code::BAD_REQUEST);
    let mut device = Device::open(&mut world, address("192.0.2.8:1"), Client::default(), connect("lamp"));
    let update = world.update_packet(&location.join("/"), "");
    assert_eq!(device.ask(&mut world, &update), Code::CHANGED);
    assert!(world.registration("lamp").expect("registered").session.is_some());
}

#[test]
fn what_cannot_be_gone_on_with_is_left_out() {
    let mut world = World::new();
    world.register(address(PLAIN), "a");
    world.register(address("192.0.2.1:2"), "b");
    let [a, b] = [keep(&world, "a"), keep(&world, "b")];
    // Twice the same, one of another shard, one of a newer version, one cut short.
    let mut foreign = b.clone();
    foreign.0.id.shard = 7;
    let mut newer = b.clone();
    newer.1[0] = 9;
    let kept = [a.clone(), a.clone(), foreign, newer];
    let (restored, count) = after_crash(Config::default(), &kept);
    assert_eq!((count, restored.shard.registrations().count()), (1, 1));
    for len in 0..b.1.len() {
        let mut short = b.clone();
        short.1.truncate(len);
        assert_eq!(after_crash(Config::default(), &[short]).1, 0, "{len}");
    }
    let limits = Limits { registrations: 1, ..Limits::default() };
    assert_eq!(after_crash(Config { limits, ..Config::default() }, &[a, b]).1, 1);
}

#[test]
fn a_long_list_is_read_once_for_devices_of_one_kind() {
    let mut world = World::new();
    let list: Vec<String> = (0..100).map(|n| format!("</3303/{n}>")).collect();
    for name in ["a", "b"] {
        let packet = world.register_packet(&format!("ep={name}&lt=300&lwm2m=1.1"), &list.join(","));
        world.ask(address(if name == "a" { PLAIN } else { HOME }), &packet);
    }
    let kept = [keep(&world, "a"), keep(&world, "b")];
    assert!(kept[0].1.len() < 700, "{}", kept[0].1.len());
    let (world, _) = after_crash(Config::default(), &kept);
    let [a, b] = ["a", "b"].map(|name| world.registration(name).expect("registered").details);
    assert!(std::sync::Arc::ptr_eq(&a.objects, &b.objects));
}
