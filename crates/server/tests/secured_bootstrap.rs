//! A Bootstrap-Server whose devices speak coaps.
#![expect(clippy::wildcard_enum_match_arm, reason = "each looks for one kind of event among all")]

mod common;

use core::time::Duration;
use std::net::SocketAddr;

use common::secure::{Coaps, Device, HOME, connect, known, security, without_cid};
use common::{Known, Packet, address, answer, endpoint, judge, read, uri};
use lightship_coap::{Code, OptionNumber, Type};
use lightship_dtls::Config;
use lightship_lwm2m::bootstrap::Command;
use lightship_platform::Instant;
use lightship_server::bootstrap::{
    self, Answer, BootstrapServer, Caller, Ended, Event, Identity, Pack, Step,
};
use lightship_server::{CredentialEnd, Endpoints, SecurityEvent, SessionEnd, Whose};

/// The engine, and what came out of it.
struct World {
    server: BootstrapServer,
    now: Instant,
    known: Vec<Known>,
    callers: Vec<Caller>,
    ended: Vec<(String, Ended)>,
    closed: Vec<(SessionEnd, Option<String>)>,
    names_refused: Vec<(String, String)>,
    failures: usize,
    wire: Vec<(SocketAddr, Vec<u8>)>,
    next_id: u16,
}

fn world(names: &[&str]) -> World {
    let config = bootstrap::Config { security: Some(security()), ..bootstrap::Config::default() };
    World {
        server: BootstrapServer::new(config, [7; 32]),
        now: Instant::from_secs(1000),
        known: names.iter().map(|name| known(name)).collect(),
        callers: Vec::new(),
        ended: Vec::new(),
        closed: Vec::new(),
        names_refused: Vec::new(),
        failures: 0,
        wire: Vec::new(),
        next_id: 100,
    }
}

impl World {
    fn drain(&mut self) {
        loop {
            let mut buffer = [0; 1500];
            if let Some(transmit) = self.server.poll_transmit(&mut buffer) {
                assert!(transmit.secured);
                self.wire.push((transmit.to, buffer[..transmit.len].to_vec()));
                continue;
            }
            let Some(event) = self.server.poll_event() else { return };
            let (ask, answer) = match event {
                Event::AskBootstrap { ask, caller, .. } => {
                    self.callers.push(caller);
                    (Some(ask), Answer::Step(Step::of(Command::delete(lightship_lwm2m::Path::ROOT))))
                }
                Event::AskPack { ask, caller, accept, .. } => {
                    self.callers.push(caller);
                    let format = lightship_lwm2m::Format::from_number(accept.number()).expect("asked for");
                    (Some(ask), Answer::Pack(Pack { format, payload: vec![7; 600].into() }))
                }
                Event::StepDone { ask, .. } => (ask, Answer::Step(Step::of(Command::FINISH))),
                Event::Security(SecurityEvent::AskCredential { ask, presented, .. }) => {
                    (Some(ask), Answer::Credential(judge(&self.known, &presented)))
                }
                Event::Security(SecurityEvent::SessionClosed { reason, endpoint, .. }) => {
                    self.closed.push((reason, endpoint.map(|endpoint| endpoint.to_string())));
                    continue;
                }
                Event::Security(SecurityEvent::HandshakeFailed { .. }) => {
                    self.failures += 1;
                    continue;
                }
                Event::Security(SecurityEvent::NameRefused { session, endpoint }) => {
                    self.names_refused.push((session.party.principal.to_string(), endpoint.to_string()));
                    continue;
                }
                Event::Ended { endpoint, reason, .. } => {
                    self.ended.push((endpoint.to_string(), reason));
                    continue;
                }
                _ => continue,
            };
            if let Some(ask) = ask {
                self.server.answer(self.now, ask, answer);
            }
        }
    }

    fn pass(&mut self, span: Duration) {
        let end = self.now + span;
        while let Some(due) = self.server.poll_timeout().filter(|due| *due <= end) {
            self.now = self.now.max(due);
            self.server.handle_timeout(self.now);
            self.drain();
        }
        self.now = end;
    }

    fn request(&mut self, query: &str) -> Packet {
        self.next_id += 1;
        Packet::new(Type::Con, Code::POST, self.next_id, &[1]).path("bs").query(query)
    }

    fn pack_request(&mut self, query: &str) -> Packet {
        self.next_id += 1;
        Packet::new(Type::Con, Code::GET, self.next_id, &[2])
            .path("bspack")
            .query(query)
            .option(OptionNumber::ACCEPT, &112_u16.to_be_bytes())
    }
}

impl Coaps for World {
    fn now(&self) -> Instant {
        self.now
    }

    fn secured(&mut self, from: SocketAddr, datagram: &[u8]) {
        self.server.handle_secured_input(self.now, from, &mut datagram.to_vec());
        self.drain();
    }

    fn to(&mut self, address: SocketAddr) -> Vec<Vec<u8>> {
        let (there, others): (Vec<_>, Vec<_>) = self.wire.drain(..).partition(|(to, _)| *to == address);
        self.wire = others;
        there.into_iter().map(|(_, datagram)| datagram).collect()
    }
}

#[test]
fn a_device_is_configured_by_its_session_and_need_not_say_its_name() {
    for (config, query) in [(Config::default(), "ep=lamp"), (without_cid(), "")] {
        let mut world = world(&["lamp"]);
        let mut device = Device::open(&mut world, address(HOME), config, connect("lamp"));
        let request = world.request(query);
        let sent = device.say(&mut world, &request);
        assert_eq!((read(&sent[0]).code(), read(&sent[1]).code()), (Code::CHANGED, Code::DELETE));
        let Identity::Secured(session) = &world.callers[0].identity else { panic!("secured") };
        assert_eq!(session.party.endpoints, Endpoints::One(endpoint("lamp")));
        assert_eq!(world.callers[0].endpoint, endpoint("lamp"));
        let finish = device.say(&mut world, &answer(&sent[1], Code::DELETED)).remove(0);
        assert_eq!((read(&finish).code(), uri(&read(&finish)).as_str()), (Code::POST, "/bs"));
        device.say(&mut world, &answer(&finish, Code::CHANGED));
        assert_eq!(world.ended, [("lamp".to_owned(), Ended::Finished)]);
        // Nothing is kept of a device that is configured and silent.
        world.pass(Duration::from_secs(600));
        device.hear(&mut world);
        assert!(device.is_closed());
        assert_eq!(world.closed, [(SessionEnd::Done, None)]);
        let stats = world.server.stats();
        assert_eq!((stats.peers, stats.security.sessions, stats.security.closed_done), (0, 0, 1));
    }
}

// Proves: SEC-03
#[test]
fn an_identity_is_configured_as_its_own_endpoint_only() {
    let mut world = world(&["lamp", "gateway"]);
    world.known[1].endpoints = Endpoints::Any;
    let mut lamp = Device::open(&mut world, address(HOME), Config::default(), connect("lamp"));
    let (other, pack) = (world.request("ep=pump"), world.pack_request("ep=pump"));
    assert_eq!(lamp.ask(&mut world, &other), Code::BAD_REQUEST, "Bootstrap-Request");
    assert_eq!(lamp.ask(&mut world, &pack), Code::BAD_REQUEST, "Bootstrap-Pack-Request");
    assert!(world.callers.is_empty(), "the host is not even asked");
    let told = ("PSK identity 'lamp'".to_owned(), "pump".to_owned());
    assert_eq!(world.names_refused, [told.clone(), told], "but told");
    let mut gateway = Device::open(&mut world, address("192.0.2.2:1"), Config::default(), connect("gateway"));
    let nameless = world.request("");
    assert_eq!(gateway.ask(&mut world, &nameless), Code::BAD_REQUEST, "it may be anybody, and says no name");
    let named = world.request("ep=pump");
    assert_eq!(read(&gateway.say(&mut world, &named)[0]).code(), Code::CHANGED);
}

#[test]
fn a_pack_goes_to_who_has_proven_himself_without_a_ping() {
    let mut world = world(&["lamp"]);
    let mut device = Device::open(&mut world, address(HOME), Config::default(), connect("lamp"));
    let request = world.pack_request("ep=lamp");
    let sent = device.say(&mut world, &request);
    assert_eq!(sent.len(), 1, "the pack, since a cookie has proven the address");
    assert_eq!((read(&sent[0]).code(), read(&sent[0]).payload().len()), (Code::CONTENT, 600));
}

// Proves: SEC-06
#[test]
fn a_credential_taken_away_ends_what_is_being_configured_by_it() {
    let mut world = world(&["lamp", "pump"]);
    let mut lamp = Device::open(&mut world, address(HOME), Config::default(), connect("lamp"));
    let mut pump = Device::open(&mut world, address("192.0.2.2:1"), Config::default(), connect("pump"));
    for (device, name) in [(&mut lamp, "lamp"), (&mut pump, "pump")] {
        let request = world.request(&format!("ep={name}"));
        device.say(&mut world, &request);
    }
    world.server.end_sessions(world.now, &[Whose::Endpoint(endpoint("lamp"))], CredentialEnd::TakenAway);
    world.drain();
    lamp.hear(&mut world);
    assert!(lamp.is_closed() && !pump.is_closed());
    assert_eq!(world.ended, [("lamp".to_owned(), Ended::DeviceLost)]);
    assert_eq!(world.closed, [(SessionEnd::Ended(CredentialEnd::TakenAway), Some("lamp".to_owned()))]);
    assert_eq!(world.server.stats().security.sessions, 1);
}

#[test]
fn a_session_that_moves_is_configured_where_it_is() {
    let mut world = world(&["lamp"]);
    let mut device = Device::open(&mut world, address(HOME), Config::default(), connect("lamp"));
    let request = world.request("ep=lamp");
    let command = device.say(&mut world, &request).remove(1);
    device.address = address("198.51.100.1:9");
    let finish = device.say(&mut world, &answer(&command, Code::DELETED)).remove(0);
    assert_eq!(uri(&read(&finish)), "/bs");
    device.say(&mut world, &answer(&finish, Code::CHANGED));
    assert_eq!(world.ended, [("lamp".to_owned(), Ended::Finished)]);
    let mut stranger = Device::new(world.now, address(HOME), Config::default(), connect("stranger"));
    stranger.run(&mut world);
    assert!(stranger.failed() && world.failures == 1);
}
