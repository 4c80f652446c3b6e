//! What one device, one address and one network may ask for: beyond it they are told when to come again, and all others are served.

#![expect(clippy::wildcard_enum_match_arm, reason = "each looks for one kind of event among all")]

mod common;

use common::secure::{Coaps as _, Device, HOME, KEY, config, connect, known, with, without_cid};
use common::{Known, LIST, SECOND, World, address, read};
use lightship_coap::Code;
use lightship_server::{
    Config, Endpoints, Event, HandshakeFailure, Limits, SecurityEvent, SecurityLimits, SecurityStats,
};

/// The code that a Register gets, and the seconds that it says to wait.
fn register(world: &mut World, from: &str, name: &str) -> (Code, u32) {
    let packet = world.register_packet(&format!("ep={name}&lt=300&lwm2m=1.1"), LIST).bytes();
    let from = address(from);
    let sent = world.send(from, &packet);
    let answer = read(sent.last().expect("an answer"));
    (answer.code(), if answer.code() == Code::CREATED { 0 } else { answer.max_age_s() })
}

fn limited(limits: Limits) -> World {
    World::with(Config { limits, ..Config::default() })
}

// Proves: SEC-07
#[test]
fn a_device_that_registers_too_often_is_told_to_wait_and_no_other_pays_for_it() {
    let mut world = limited(Limits { registers_a_minute_per_device: 4, ..Limits::default() });
    for _ in 0..4 {
        assert_eq!(register(&mut world, HOME, "mad").0, Code::CREATED);
    }
    let (code, wait) = register(&mut world, HOME, "mad");
    assert_eq!(code, Code::TOO_MANY_REQUESTS);
    assert!((15..=16).contains(&wait), "{wait}");
    let asked = world.take_events().iter().filter(|event| matches!(event, Event::AskRegister { .. })).count();
    assert_eq!(asked, 4, "the host hears nothing of it");
    assert_eq!(register(&mut world, HOME, "sane").0, Code::CREATED, "another one there");
    assert_eq!(register(&mut world, "198.51.100.7:5683", "mad").0, Code::CREATED, "its name elsewhere");
    let stats = world.shard.stats();
    assert_eq!((stats.registers_metered, stats.registers_refused), (1, 1));
    world.pass(SECOND * wait);
    assert_eq!(register(&mut world, HOME, "mad").0, Code::CREATED, "after the time that it was told");
    assert_eq!(register(&mut world, HOME, "mad").0, Code::TOO_MANY_REQUESTS, "and once only");
}

// Proves: SEC-07
#[test]
fn a_secured_device_is_metered_by_its_identity_wherever_it_comes_from() {
    let limits = Limits { registers_a_minute_per_device: 2, ..Limits::default() };
    let mut world = with(Config { limits, ..config() }, &["lamp", "pump"]);
    let register = |world: &mut World, at: &str, name: &str| {
        let mut device = Device::open(world, address(at), lightship_dtls::Config::default(), connect(name));
        let packet = world.register_packet(&format!("ep={name}&lt=300&lwm2m=1.1&b=U"), LIST);
        device.ask(world, &packet)
    };
    for port in 1..=2 {
        assert_eq!(register(&mut world, &format!("192.0.2.{port}:5684"), "lamp"), Code::CREATED);
    }
    assert_eq!(register(&mut world, "192.0.2.3:5684", "lamp"), Code::TOO_MANY_REQUESTS);
    assert_eq!(register(&mut world, "192.0.2.3:5685", "pump"), Code::CREATED);
}

// Proves: SEC-07
#[test]
fn an_address_and_its_network_register_so_many_devices_a_minute() {
    let mut world = limited(Limits {
        registers_a_minute_per_address: 3,
        registers_a_minute_per_prefix: 5,
        ..Limits::default()
    });
    for number in 0..3 {
        assert_eq!(
            register(&mut world, &format!("192.0.2.1:{}", 1000 + number), &format!("a{number}")).0,
            Code::CREATED
        );
    }
    let (code, wait) = register(&mut world, "192.0.2.1:2000", "a3");
    assert!(code == Code::SERVICE_UNAVAILABLE && (20..=21).contains(&wait), "{code} {wait}");
    assert_eq!(register(&mut world, "192.0.2.2:1", "b0").0, Code::CREATED);
    assert_eq!(register(&mut world, "192.0.2.2:2", "b1").0, Code::CREATED);
    assert_eq!(register(&mut world, "192.0.2.2:3", "b2").0, Code::SERVICE_UNAVAILABLE, "of the network");
    assert_eq!(register(&mut world, "198.51.100.1:1", "c0").0, Code::CREATED);
    for number in 0..20 {
        let name = format!("l{number}");
        assert_eq!(register(&mut world, &format!("127.0.0.1:{}", 1000 + number), &name).0, Code::CREATED);
    }
}

fn stats(world: &World) -> SecurityStats {
    world.shard.stats().security
}

fn of_identities(a_minute: u32, names: &[&str]) -> World {
    let mut config = config();
    if let Some(security) = &mut config.security {
        security.limits =
            SecurityLimits { handshakes_a_minute_per_identity: a_minute, ..SecurityLimits::default() };
    }
    with(config, names)
}

// Proves: SEC-07
#[test]
fn an_identity_makes_so_many_handshakes_a_minute_and_claims_of_others_spend_nothing() {
    let mut world = of_identities(3, &["lamp", "pump"]);
    let device = |world: &mut World, port: u16, name: &str, key: &[u8]| {
        world.credentials.as_mut().expect("answers")[0].key = key.to_vec();
        let at = address(&format!("192.0.2.1:{port}"));
        let mut device = Device::new(world.now, at, without_cid(), connect(name));
        device.run(world);
        world.credentials.as_mut().expect("answers")[0].key = KEY.to_vec();
        device.association.is_established()
    };
    for port in 1..=20 {
        assert!(!device(&mut world, port, "lamp", b"not its key"), "somebody in its name");
    }
    for port in 101..=103 {
        assert!(device(&mut world, port, "lamp", KEY), "{port}");
    }
    assert!(!device(&mut world, 104, "lamp", KEY));
    assert!(device(&mut world, 105, "pump", KEY), "others go on");
    assert_eq!((stats(&world).handshakes_metered, stats(&world).opened_psk), (1, 4));
    let words = |event: &Event| match event {
        Event::Security(SecurityEvent::HandshakeFailed {
            reason: HandshakeFailure::Refused(why), ..
        }) => Some(why.to_string()),
        _ => None,
    };
    let why: Vec<_> = world.take_events().iter().filter_map(words).collect();
    assert_eq!(why, ["its identity has made too many handshakes of late"]);
    world.pass(SECOND * 21);
    assert!(device(&mut world, 106, "lamp", KEY), "one more after a third of a minute");
    assert!(!device(&mut world, 107, "lamp", KEY));
}

// Proves: SEC-07
#[test]
fn handshakes_side_by_side_are_no_way_around_it() {
    let mut world = of_identities(3, &["lamp"]);
    let mut devices: Vec<_> = (1..=10)
        .map(|port| {
            let at = address(&format!("192.0.2.1:{port}"));
            Device::new(world.now, at, without_cid(), connect("lamp"))
        })
        .collect();
    // Each says what it has to say, in turn, so that all of them are let in before any has finished.
    for _ in 0..8 {
        for device in &mut devices {
            let said: Vec<_> = std::iter::from_fn(|| device.poll(world.now)).collect();
            for datagram in said {
                world.secured(device.address, &datagram);
            }
        }
        for device in &mut devices {
            for datagram in world.to(device.address) {
                device.take(world.now, &datagram);
            }
        }
    }
    assert_eq!((stats(&world).sessions, stats(&world).handshakes_metered), (3, 7));
}

#[test]
fn an_identity_that_many_devices_share_is_not_metered() {
    let mut world = of_identities(3, &[]);
    let shared = Known { endpoints: Endpoints::Any, ..known("everybody") };
    world.credentials = Some(vec![shared]);
    for port in 1..=20 {
        let at = address(&format!("192.0.2.1:{port}"));
        Device::open(&mut world, at, without_cid(), connect("everybody"));
    }
    assert_eq!(stats(&world).sessions, 20);
}
