//! Devices that speak coaps: how a session begins, whose messages it carries, how it ends.

#![expect(clippy::wildcard_enum_match_arm, reason = "each looks for one kind of event among all")]

mod common;

use common::secure::{Coaps as _, Device, HOME, config, connect, known, with, without_cid, world};
use common::{LIST, Packet, SECOND, World, address, answer, endpoint, path, read, uri, wanted};
use lightship_coap::{Code, Type};
use lightship_dtls::{Config, Connect, Suite};
use lightship_platform::crypto::{Aead, Crypto as _, RustCrypto};
use lightship_server::{
    Answer, CredentialEnd, Ended, Endpoints, Event, HandshakeFailure, Mode, Outcome, Principal,
    Registrations, SecurityEvent, SecurityLimits, SessionEnd, Whose,
};

fn opened(world: &World) -> usize {
    let is = |event: &&Event| matches!(event, Event::Security(SecurityEvent::SessionOpened { .. }));
    world.events.iter().filter(is).count()
}

fn failures(world: &World) -> Vec<HandshakeFailure> {
    let reason = |event: &Event| match event {
        Event::Security(SecurityEvent::HandshakeFailed { reason, .. }) => Some(reason.clone()),
        _ => None,
    };
    world.events.iter().filter_map(reason).collect()
}

fn ends(world: &World) -> Vec<(SessionEnd, Option<String>)> {
    let reason = |event: &Event| match event {
        Event::Security(SecurityEvent::SessionClosed { reason, endpoint, .. }) => {
            Some((*reason, endpoint.as_ref().map(ToString::to_string)))
        }
        _ => None,
    };
    world.events.iter().filter_map(reason).collect()
}

#[test]
fn a_device_registers_by_a_session_and_is_read_by_it() {
    for config in [Config::default(), without_cid()] {
        let mut world = world(&["lamp"]);
        let (mut device, location) = Device::register(&mut world, HOME, config.clone(), "lamp");
        let registration = world.registration("lamp").expect("registered");
        let session = registration.session.expect("secured");
        assert_eq!((session.address, session.connection_id), (device.address, config.connection_id));
        assert_eq!(session.party.principal, Principal::Psk(b"lamp".as_slice().into()));
        assert_eq!((session.party.principal.mode(), session.resumed), (Mode::Psk, false));
        assert_eq!(session.cid().is_some(), config.connection_id);
        let asked = world.events.iter().find_map(|event| match event {
            Event::AskRegister { registration, .. } => registration.session.clone(),
            _ => None,
        });
        assert_eq!(asked.map(|asked| asked.id), Some(session.id));
        world.read_request("lamp", "/3/0/9");
        let request = device.hear(&mut world).remove(0);
        assert_eq!((read(&request).code(), uri(&read(&request)).as_str()), (Code::GET, "/3/0/9"));
        world.take_events();
        device.say(
            &mut world,
            &answer(&request, Code::CONTENT).format(lightship_coap::ContentFormat::TEXT).payload("87"),
        );
        let done = world.take_events();
        assert!(
            matches!(&done[..], [Event::RequestDone { outcome: Outcome::Response(response), .. }]
                if &*response.payload == b"87"),
            "{done:?}"
        );
        let update = world.update_packet(&location, "lt=400");
        assert_eq!(device.ask(&mut world, &update), Code::CHANGED);
        assert!(world.out.is_empty(), "nothing leaves unsecured");
        let stats = world.shard.stats().security;
        assert_eq!((stats.sessions, stats.handshakes, stats.opened_psk, stats.cookies_asked), (1, 0, 1, 1));
    }
}

// Proves: SEC-01
#[test]
fn nothing_is_answered_before_both_sides_are_authenticated() {
    let mut world = world(&["lamp"]);
    let register = world.register_packet("ep=lamp&lt=300&lwm2m=1.1", LIST).bytes();
    // Plain CoAP on the secured socket, and data in a record of epoch 0.
    let mut record =
        vec![23, 254, 253, 0, 0, 0, 0, 0, 0, 0, 1, 0, u8::try_from(register.len()).expect("short")];
    record.extend(&register);
    for datagram in [&register, &record] {
        world.secured(address(HOME), datagram);
    }
    assert!(world.wire.is_empty() && world.events.is_empty() && world.registration("lamp").is_none());
    assert_eq!(world.shard.stats().security.dropped.no_session, 2);
    // A wrong key: the handshake does not end, and no data counts.
    world.credentials.as_mut().expect("answers")[0].key = b"another key".to_vec();
    let mut device = Device::new(world.now, address(HOME), Config::default(), connect("lamp"));
    device.run(&mut world);
    assert!(!device.association.is_established() && opened(&world) == 0);
    world.pass(200 * SECOND);
    assert_eq!(world.shard.stats().security.handshakes, 0, "given up in the end");
}

// Proves: DTL-12
#[test]
fn forged_hellos_cost_no_memory_and_are_answered_by_less_than_they_are() {
    let mut world = world(&["lamp"]);
    let mut device = Device::new(world.now, address(HOME), Config::default(), connect("lamp"));
    let hello = device.poll(world.now).expect("a hello");
    for n in 0..10_000_u16 {
        let from =
            std::net::SocketAddr::from(([198, 51, (n >> 8).to_le_bytes()[0], n.to_le_bytes()[0]], 1000 + n));
        world.secured(from, &hello);
        let back = world.to(from);
        assert!(back.len() == 1 && back[0].len() <= hello.len(), "asked for a cookie");
    }
    let stats = world.shard.stats();
    assert_eq!((stats.security.handshakes, stats.security.sessions, stats.peers), (0, 0, 0));
    assert_eq!(stats.security.cookies_asked, 10_000);
    assert!(world.events.is_empty(), "and the host hears nothing of it");
    let (mut honest, location) = Device::register(&mut world, HOME, Config::default(), "lamp");
    let update = world.update_packet(&location, "");
    assert_eq!(honest.ask(&mut world, &update), Code::CHANGED);
}

#[test]
fn a_cookie_is_good_for_its_address_only() {
    let mut world = world(&["lamp"]);
    let mut device = Device::new(world.now, address(HOME), Config::default(), connect("lamp"));
    let first = device.poll(world.now).expect("a hello");
    world.secured(device.address, &first);
    for datagram in world.to(device.address) {
        device.take(world.now, &datagram);
    }
    let second = device.poll(world.now).expect("a hello with a cookie");
    world.secured(address("198.51.100.9:7000"), &second);
    assert_eq!(world.shard.stats().security.handshakes_begun, 0);
    assert_eq!(world.shard.stats().security.cookies_asked, 2);
}

#[test]
fn handshakes_have_a_pool_and_budgets_and_half_open_ones_give_way() {
    let mut security = common::secure::security();
    security.limits = SecurityLimits {
        handshakes: 8,
        handshakes_per_address: 3,
        handshakes_per_prefix: 5,
        ..SecurityLimits::default()
    };
    let config = lightship_server::Config { security: Some(security), ..lightship_server::Config::default() };
    let mut world = with(config, &["lamp"]);
    world.credentials = None;
    let begin = |world: &mut World, from: &str| {
        let mut device = Device::new(world.now, address(from), Config::default(), connect("lamp"));
        device.run(world);
    };
    for port in 1..=4 {
        begin(&mut world, &format!("192.0.2.1:{port}"));
    }
    let stats = world.shard.stats().security;
    assert_eq!((stats.handshakes, stats.handshakes_over_budget), (3, 1), "of one address");
    for host in 2..=4 {
        begin(&mut world, &format!("192.0.2.{host}:1"));
    }
    let stats = world.shard.stats().security;
    assert_eq!((stats.handshakes, stats.handshakes_over_budget), (5, 2), "of one network");
    for net in 1..=9 {
        begin(&mut world, &format!("198.51.{net}.1:1"));
    }
    let stats = world.shard.stats().security;
    assert_eq!((stats.handshakes, stats.failed.crowded), (8, 6), "of all");
    assert_eq!(failures(&world), vec![HandshakeFailure::Crowded; 6]);
    // The host does not answer: all of them end, and an honest device finds room.
    world.pass(200 * SECOND);
    let stats = world.shard.stats().security;
    assert_eq!((stats.handshakes, stats.failed.unanswered), (0, 8));
    world.credentials = Some(vec![known("lamp")]);
    Device::register(&mut world, HOME, Config::default(), "lamp");
}

// Proves: DTL-10
#[test]
fn an_unknown_identity_is_told_so_and_the_host_knows_who_it_claimed_to_be() {
    let mut world = world(&["lamp"]);
    for name in ["pump", "", &"x".repeat(129)] {
        let mut device = Device::new(world.now, address(HOME), Config::default(), connect(name));
        device.run(&mut world);
        let alert = device.events.iter().find_map(|event| match event {
            lightship_dtls::Event::Failed(lightship_dtls::Failure::AlertReceived(alert)) => Some(alert.0),
            _ => None,
        });
        assert_eq!(alert, Some(115), "{name}");
        let failed = world.take_events().into_iter().find_map(|event| match event {
            Event::Security(SecurityEvent::HandshakeFailed { claimed, reason, from, .. }) => {
                Some((claimed, reason, from))
            }
            _ => None,
        });
        let (claimed, reason, from) = failed.expect("told");
        assert_eq!(from, address(HOME));
        let shown = (!name.is_empty()).then(|| lightship_server::Claim::PskIdentity(name.as_bytes().into()));
        assert_eq!(claimed, shown);
        // An empty identity is none at all to the protocol.
        assert_eq!(matches!(reason, HandshakeFailure::Refused(_)), !name.is_empty());
    }
    let longest = "x".repeat(128);
    world.credentials = Some(vec![known(&longest)]);
    Device::open(&mut world, address(HOME), Config::default(), connect(&longest));
}

// Proves: SEC-03, REG-03, DAT-06
#[test]
fn an_identity_speaks_for_its_endpoint_only() {
    let mut world = world(&["lamp", "pump"]);
    let (_, lamp) = Device::register(&mut world, HOME, Config::default(), "lamp");
    let mut pump = Device::open(&mut world, address("192.0.2.2:5684"), Config::default(), connect("pump"));
    world.take_events();
    let register = world.register_packet("ep=lamp&lt=300&lwm2m=1.1", LIST);
    assert_eq!(pump.ask(&mut world, &register), Code::BAD_REQUEST, "Register");
    let update = world.update_packet(&lamp, "lt=60");
    assert_eq!(pump.ask(&mut world, &update), Code::BAD_REQUEST, "Update");
    let deregister = Packet::new(Type::Con, Code::DELETE, world.id(), &[5]).path(&lamp);
    assert_eq!(pump.ask(&mut world, &deregister), Code::BAD_REQUEST, "De-register");
    let send = Packet::new(Type::Con, Code::POST, world.id(), &[6])
        .path("dp")
        .format(lightship_coap::ContentFormat::SENML_JSON)
        .payload(r#"[{"n":"/3/0/9","v":1}]"#);
    assert_eq!(pump.ask(&mut world, &send), Code::NOT_FOUND, "Send of who is not registered");
    assert!(
        matches!(
            &world.events[..],
            [Event::Security(SecurityEvent::NameRefused { session, endpoint: name })]
                if *name == endpoint("lamp") && session.party.endpoints == Endpoints::One(endpoint("pump"))
        ),
        "the host is told of the Register, and not even asked"
    );
    let registration = world.registration("lamp").expect("as it was");
    assert_eq!((registration.address, registration.details.lifetime_s), (address(HOME), 300));
    // Without a name it is the identity's.
    let register = world.register_packet("lt=300&lwm2m=1.1", LIST);
    assert_eq!(pump.ask(&mut world, &register), Code::CREATED);
    assert!(world.registration("pump").is_some());
}

// Proves: REG-33
#[test]
fn who_may_speak_for_any_endpoint_still_has_registrations_of_its_own_only() {
    let mut world = world(&["gateway", "other", "lamp"]);
    let known = world.credentials.as_mut().expect("answers");
    known[0].endpoints = Endpoints::Any;
    known[1].endpoints = Endpoints::Any;
    let mut gateway = Device::open(&mut world, address(HOME), Config::default(), connect("gateway"));
    let location = gateway.register_as(&mut world, "sensor-1");
    let mut other = Device::open(&mut world, address("192.0.2.2:1"), Config::default(), connect("other"));
    let update = world.update_packet(&location, "");
    assert_eq!(other.ask(&mut world, &update), Code::BAD_REQUEST);
    // The same identity by another session goes on.
    let mut again = Device::open(&mut world, address("192.0.2.3:1"), Config::default(), connect("gateway"));
    assert_eq!(again.ask(&mut world, &update), Code::CHANGED);
    assert_eq!(world.registration("sensor-1").expect("registered").address, again.address);
}

// Proves: SEC-04
#[test]
fn without_security_nobody_touches_a_secured_registration() {
    for rebinding in [lightship_server::Rebinding::Refuse, lightship_server::Rebinding::Follow] {
        let mut world = with(lightship_server::Config { rebinding, ..config() }, &["lamp"]);
        let (_, location) = Device::register(&mut world, HOME, Config::default(), "lamp");
        // A stranger, the device's own address without security, and a device with a registration of its own.
        world.register(address("192.0.2.7:5683"), "plain");
        world.take_events();
        for from in ["192.0.2.6:5683", HOME, "192.0.2.7:5683"] {
            let register = world.register_packet("ep=lamp&lt=300&lwm2m=1.1", LIST);
            assert_eq!(world.ask(address(from), &register), Code::BAD_REQUEST, "{from}");
            let update = world.update_packet(&location, "lt=60");
            assert_eq!(world.ask(address(from), &update), Code::NOT_FOUND, "{from}");
            let deregister = Packet::new(Type::Con, Code::DELETE, world.id(), &[5]).path(&location);
            assert_eq!(world.ask(address(from), &deregister), Code::NOT_FOUND, "{from}");
        }
        let told = |event: &Event| match event {
            Event::Security(SecurityEvent::UnsecuredRefused { from, endpoint }) => {
                (*from, endpoint.to_string())
            }
            other => panic!("{other:?}"),
        };
        let told: Vec<_> = world.events.iter().map(told).collect();
        let expected =
            ["192.0.2.6:5683", HOME, "192.0.2.7:5683"].map(|from| (address(from), "lamp".to_owned()));
        assert_eq!(told, expected, "the host is told of the Registers, and not even asked");
        let registration = world.registration("lamp").expect("as it was");
        assert_eq!((registration.address, registration.details.lifetime_s), (address(HOME), 300));
    }
}

#[test]
fn a_device_that_registered_without_security_comes_back_with_it() {
    let mut world = world(&["lamp"]);
    let location = world.register(address("192.0.2.1:5683"), "lamp");
    let mut device = Device::open(&mut world, address(HOME), Config::default(), connect("lamp"));
    let update = world.update_packet(&location, "");
    assert_eq!(device.ask(&mut world, &update), Code::CHANGED);
    let registration = world.registration("lamp").expect("registered");
    assert!(registration.session.is_some() && registration.address == device.address);
    let update = world.update_packet(&location, "");
    assert_eq!(world.ask(address("192.0.2.1:5683"), &update), Code::NOT_FOUND, "and not back");
}

// Proves: SEC-06
#[test]
fn a_credential_taken_away_ends_its_sessions_and_nothing_of_them_can_be_resumed() {
    for (registrations, whose) in [
        (Registrations::Keep, Whose::Endpoint(endpoint("lamp"))),
        (Registrations::End, Whose::Principal(Principal::Psk(b"lamp".as_slice().into()))),
    ] {
        let mut world = world(&["lamp", "pump"]);
        let (mut lamp, location) = Device::register(&mut world, HOME, Config::default(), "lamp");
        let (mut pump, other) = Device::register(&mut world, "192.0.2.2:5684", Config::default(), "pump");
        world.take_events();
        world.credentials.as_mut().expect("answers").remove(0);
        world.shard.end_sessions(world.now, &[whose], CredentialEnd::TakenAway, registrations);
        world.drain();
        lamp.hear(&mut world);
        assert!(lamp.is_closed(), "told by an alert");
        assert_eq!(ends(&world), [(SessionEnd::Ended(CredentialEnd::TakenAway), Some("lamp".to_owned()))]);
        let stands = world.registration("lamp");
        assert_eq!(stands.is_some(), registrations == Registrations::Keep);
        assert!(stands.is_none_or(|registration| registration.session.is_none()));
        let ended = world
            .events
            .iter()
            .any(|event| matches!(event, Event::Deregistered { reason: Ended::CredentialGone, .. }));
        assert_eq!(ended, registrations == Registrations::End);
        let resume = Connect { resume: lamp.resumption(), ..connect("lamp") };
        assert!(resume.resume.is_some());
        let mut again = Device::new(world.now, address("192.0.2.9:1"), Config::default(), resume);
        again.run(&mut world);
        assert!(again.failed() && !again.is_resumed());
        let update = world.update_packet(&other, "");
        assert_eq!(pump.ask(&mut world, &update), Code::CHANGED, "others go on");
        let _ = location;
    }
}

// Proves: SEC-06
#[test]
fn a_session_that_had_ended_when_its_credential_changed_cannot_be_resumed() {
    for whose in
        [Whose::Endpoint(endpoint("lamp")), Whose::Principal(Principal::Psk(b"lamp".as_slice().into()))]
    {
        let mut world = world(&["lamp", "pump"]);
        let mut resumptions = ["lamp", "pump"].map(|name| {
            let mut device = Device::open(&mut world, address(HOME), Config::default(), connect(name));
            device.close(&mut world);
            Some(device.resumption().expect("given"))
        });
        world.credentials.as_mut().expect("answers")[0].key = b"another key".to_vec();
        world.shard.end_sessions(world.now, &[whose], CredentialEnd::Changed, Registrations::Keep);
        world.drain();
        let lamp = Connect { resume: resumptions[0].take(), ..connect("lamp") };
        let mut lamp = Device::new(world.now, address("192.0.2.9:1"), Config::default(), lamp);
        lamp.run(&mut world);
        assert!(!lamp.is_resumed() && !lamp.association.is_established());
        let pump = Connect { resume: resumptions[1].take(), ..connect("pump") };
        assert!(Device::open(&mut world, address("192.0.2.9:2"), Config::default(), pump).is_resumed());
    }
}

#[test]
fn a_session_is_not_resumed_under_another_name_of_the_server() {
    let mut world = world(&["lamp"]);
    let named =
        |name: Option<&str>, resume| Connect { server_name: name.map(Into::into), resume, ..connect("lamp") };
    for first in [Some("one.example"), None] {
        let device = Device::open(&mut world, address(HOME), Config::default(), named(first, None));
        for (n, other) in [None, Some("two.example"), Some("ONE.example")].into_iter().enumerate() {
            let from = address(&format!("192.0.2.9:{}", 1000 + n));
            let again = named(other, device.resumption());
            assert!(again.resume.is_some());
            let again = Device::open(&mut world, from, Config::default(), again);
            let is_same = first.map(str::to_ascii_lowercase) == other.map(str::to_ascii_lowercase);
            assert_eq!(again.is_resumed(), is_same, "{first:?} {other:?}");
        }
    }
}

#[test]
fn a_session_is_resumed_by_its_id_while_it_lives_and_after_it_ended() {
    let mut world = world(&["lamp"]);
    let (first, location) = Device::register(&mut world, HOME, without_cid(), "lamp");
    let resume = || Connect { resume: first.resumption(), ..connect("lamp") };
    assert_eq!(resume().resume.expect("given").session_id.len(), 16);
    world.take_events();
    // From another address: behind a NAT that forgot, without a connection ID.
    let mut second = Device::open(&mut world, address("192.0.2.1:9999"), without_cid(), resume());
    assert!(second.is_resumed());
    assert_eq!(ends(&world), [(SessionEnd::Replaced, Some("lamp".to_owned()))]);
    let update = world.update_packet(&location, "");
    assert_eq!(second.ask(&mut world, &update), Code::CHANGED);
    let session = world.registration("lamp").expect("registered").session.expect("secured");
    assert!(session.resumed && session.address == second.address);
    second.close(&mut world);
    assert_eq!(world.shard.stats().security.sessions, 0);
    assert!(world.registration("lamp").expect("it stands").session.is_none());
    let mut third = Device::open(&mut world, address("192.0.2.1:8888"), Config::default(), resume());
    assert!(third.is_resumed());
    assert_eq!(third.ask(&mut world, &update_again(&location)), Code::CHANGED);
    third.close(&mut world);
    world.pass(25 * 60 * 60 * SECOND);
    let late = Device::open(&mut world, address("192.0.2.1:7777"), Config::default(), resume());
    assert!(!late.is_resumed(), "the secrets are forgotten after a day");
    assert_eq!(world.shard.stats().security.opened_resumed, 2);
}

// RFC 5246 §7.2: the secrets of a session that ended with an error are forgotten.
#[test]
fn a_session_that_a_fatal_alert_ended_is_not_resumed_by_its_id() {
    for (alert, is_resumable) in [([2, 80], false), ([1, 0], true)] {
        let mut world = world(&["lamp"]);
        let config = Config { suites: vec![Suite::PskAes128Ccm8], ..without_cid() };
        let device = Device::open(&mut world, address(HOME), config.clone(), connect("lamp"));
        let resume = Connect { resume: device.resumption(), ..connect("lamp") };
        let record = alert_record(device, alert);
        world.secured(address(HOME), &record);
        assert!(matches!(ends(&world)[..], [(SessionEnd::ByPeer(by), None)] if by.0 == alert[1]));
        let again = Device::open(&mut world, address("192.0.2.1:9999"), config, resume);
        assert_eq!(again.is_resumed(), is_resumable, "{alert:?}");
    }
}

/// An alert under the keys of a device that has said nothing but its Finished; no association of ours sends a fatal one then.
fn alert_record(device: Device, alert: [u8; 2]) -> Vec<u8> {
    let frozen = device.association.freeze().expect("established");
    let block = &frozen[frozen.len() - 40..];
    let number = [0, 1, 0, 0, 0, 0, 0, 1];
    let nonce = [&block[32..36], &number].concat();
    let aad = [&number[..], &[21, 254, 253, 0, 2]].concat();
    let mut sealed = alert;
    let tag = RustCrypto
        .seal(Aead::Aes128Ccm8, &block[..16], &nonce.try_into().expect("twelve"), &aad, &mut sealed)
        .expect("sealed");
    [&[21, 254, 253][..], &number, &[0, 18], &number, &sealed, &tag[..8]].concat()
}

fn update_again(location: &str) -> Packet {
    Packet::new(Type::Con, Code::POST, 7777, &[8]).path(location)
}

// Proves: DTL-17
#[test]
fn a_new_hello_from_a_live_address_does_not_kill_the_session_until_it_is_done() {
    for config in [Config::default(), without_cid()] {
        let mut world = world(&["lamp"]);
        let (mut device, location) = Device::register(&mut world, HOME, config.clone(), "lamp");
        // Somebody with a wrong key at the same address, as far as he comes.
        world.credentials.as_mut().expect("answers")[0].key = b"changed".to_vec();
        let mut other = Device::new(world.now, address(HOME), config.clone(), connect("lamp"));
        other.run(&mut world);
        assert!(!other.association.is_established());
        let update = world.update_packet(&location, "");
        assert_eq!(device.ask(&mut world, &update), Code::CHANGED, "it lives");
        world.read_request("lamp", "/3/0/1");
        assert_eq!(device.hear(&mut world).len(), 1);
        // One that succeeds takes its place.
        world.credentials = Some(vec![known("lamp")]);
        world.pass(100 * SECOND);
        world.take_events();
        world.wire.clear();
        let mut device = Device::open(&mut world, address(HOME), config, connect("lamp"));
        assert_eq!(ends(&world), [(SessionEnd::Replaced, Some("lamp".to_owned()))]);
        let update = world.update_packet(&location, "");
        assert_eq!(device.ask(&mut world, &update), Code::CHANGED);
        assert_eq!(world.shard.stats().security.sessions, 1);
    }
}

#[test]
fn who_closes_its_session_is_out_of_reach_until_it_comes_back() {
    let mut world = world(&["lamp"]);
    let (mut device, location) = Device::register(&mut world, HOME, Config::default(), "lamp");
    device.close(&mut world);
    world.take_events();
    let id = world.read_request("lamp", "/3/0/9");
    assert!(world.wire.is_empty() && world.out.is_empty(), "nowhere to send it");
    let mut device = Device::open(&mut world, address("192.0.2.5:1"), Config::default(), connect("lamp"));
    let update = world.update_packet(&location, "");
    let back = device.say(&mut world, &update);
    let request = back.iter().find(|bytes| read(bytes).code() == Code::GET).expect("sent now");
    device.say(&mut world, &answer(request, Code::CONTENT).payload("1"));
    assert!(world.events.iter().any(|event| {
        matches!(event, Event::RequestDone { id: done, outcome: Outcome::Response(_), .. } if *done == id)
    }));
}

#[test]
fn observations_outlive_a_change_of_session() {
    let mut world = world(&["lamp"]);
    world.accept = Some(Answer::Accept { observations: vec![wanted("/3/0/9")] });
    let mut device = Device::open(&mut world, address(HOME), without_cid(), connect("lamp"));
    let packet = world.register_packet("ep=lamp&lt=300&lwm2m=1.1&b=U", LIST);
    let answers = device.say(&mut world, &packet);
    let observe = answers.iter().find(|bytes| read(bytes).code() == Code::GET).expect("observed").clone();
    device.say(&mut world, &answer(&observe, Code::CONTENT).observe(1).payload("1"));
    world.take_events();
    let mut device = Device::open(&mut world, address("192.0.2.1:40000"), without_cid(), connect("lamp"));
    let notify = common::notification(Type::Con, 77, &observe, 2, "2");
    let back = device.say(&mut world, &notify);
    assert_eq!(read(&back[0]).ty(), Type::Ack, "not a Reset");
    assert_eq!(ends(&world), [(SessionEnd::Replaced, None)], "the session before is over");
    let events = world.take_events();
    assert!(events.iter().any(|event| matches!(event, Event::Notified { .. })));
    assert!(events.iter().any(|event| matches!(event, Event::Moved { .. })));
    assert!(world.shard.observation(&endpoint("lamp"), path("/3/0/9")).is_some());
}

#[test]
fn sessions_are_bounded_and_the_silent_one_gives_way() {
    let mut security = common::secure::security();
    security.limits.sessions = 3;
    let config = lightship_server::Config { security: Some(security), ..lightship_server::Config::default() };
    let mut world = with(config, &["a", "b", "c", "d", "e"]);
    let mut devices = Vec::new();
    for (n, name) in ["a", "b", "c"].iter().enumerate() {
        let (device, location) =
            Device::register(&mut world, &format!("192.0.2.1:{}", 1000 + n), Config::default(), name);
        devices.push((device, location));
    }
    // The hand goes round once before anybody gives way, so the first new one clears the marks.
    Device::register(&mut world, "192.0.2.1:2000", Config::default(), "d");
    assert_eq!(world.shard.stats().security.sessions, 3);
    let gone = ends(&world);
    assert_eq!(gone, [(SessionEnd::Crowded, Some("a".to_owned()))]);
    let (device, location) = &mut devices[1];
    let update = world.update_packet(location, "");
    assert_eq!(device.ask(&mut world, &update), Code::CHANGED, "b shows itself");
    Device::register(&mut world, "192.0.2.1:2001", Config::default(), "e");
    assert_eq!(ends(&world)[1..], [(SessionEnd::Crowded, Some("c".to_owned()))], "c was silent");
    assert!(world.registration("c").is_some_and(|registration| registration.session.is_none()));
}

/// Keys are replaced long before their numbers run out, and only when the device is awake and nothing is under way to it.
// Proves: DTL-21
#[test]
fn a_session_with_worn_keys_ends_behind_an_answer() {
    let mut security = common::secure::security();
    std::sync::Arc::make_mut(&mut security.dtls).records_max = 40;
    let config = lightship_server::Config { security: Some(security), ..lightship_server::Config::default() };
    let mut world = with(config, &["lamp"]);
    let (mut device, location) = Device::register(&mut world, HOME, Config::default(), "lamp");
    let mut updates = 0;
    while !device.is_closed() {
        // What the server asks is not cut off, though the keys are worn by then.
        let asked = (updates == 27).then(|| {
            world.read_request("lamp", "/3/0/9");
            device.hear(&mut world).remove(0)
        });
        let update = world.update_packet(&location, "");
        assert_eq!(device.ask(&mut world, &update), Code::CHANGED, "each is answered");
        if let Some(request) = asked {
            let update = world.update_packet(&location, "");
            assert_eq!(device.ask(&mut world, &update), Code::CHANGED);
            assert!(!device.is_closed(), "a request is under way");
            device.say(&mut world, &answer(&request, Code::CONTENT).payload("1"));
            assert!(
                world.events.iter().any(|event| {
                    matches!(event, Event::RequestDone { outcome: Outcome::Response(_), .. })
                })
            );
        }
        updates += 1;
        assert!(updates < 40, "before the numbers run out");
    }
    assert_eq!(updates, 29, "not sooner than they are worn");
    assert_eq!(ends(&world), [(SessionEnd::Exhausted, Some("lamp".to_owned()))]);
    assert!(world.registration("lamp").is_some(), "its registration goes on");
    let mut again = connect("lamp");
    again.resume = device.resumption();
    let mut device = Device::open(&mut world, address(HOME), Config::default(), again);
    assert!(device.is_resumed());
    let update = world.update_packet(&location, "");
    assert_eq!(device.ask(&mut world, &update), Code::CHANGED);
}
