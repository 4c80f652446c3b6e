//! A NAT gives a device with a session another address: who follows it, who does not, and how much is sent there before it is checked.
#![expect(clippy::wildcard_enum_match_arm, reason = "each looks for one kind of event among all")]

mod common;

use std::net::SocketAddr;

use common::secure::{Coaps as _, Device, HOME, without_cid, world};
use common::{SECOND, World, address, answer, endpoint, path, read};
use lightship_coap::{Code, ContentFormat};
use lightship_dtls::Config;
use lightship_server::{Content, Event, Operation, Request};

const AWAY: &str = "198.51.100.7:61000";

fn no_check() -> Config {
    Config { return_routability: false, ..Config::default() }
}

fn moves(world: &World) -> Vec<(SocketAddr, SocketAddr)> {
    let of = |event: &Event| match event {
        Event::Moved { registration, from } => Some((*from, registration.address)),
        _ => None,
    };
    world.events.iter().filter_map(of).collect()
}

/// A Write with a payload that is longer than what an unknown address is sent.
fn write(world: &mut World, len: usize) {
    let content = Content { format: ContentFormat::OPAQUE, payload: vec![7; len].into() };
    let request =
        Request::new(Operation::Replace { path: path("/5/0/0"), content }, world.now + 100 * SECOND);
    world.shard.request(world.now, &endpoint("lamp"), request).expect("taken");
    world.drain();
}

// Proves: DTL-15, DTL-16
#[test]
fn with_a_connection_id_the_next_record_from_a_new_address_is_served_there_and_so_are_requests() {
    for config in [Config::default(), no_check()] {
        let mut world = world(&["lamp"]);
        let (mut device, location) = Device::register(&mut world, HOME, config.clone(), "lamp");
        let record = device.seal(world.now, b"");
        let id =
            world.registration("lamp").and_then(|registration| registration.session).expect("secured").id;
        assert_eq!(
            (record[0], &record[11..17]),
            (25, &id.to_bytes()[..]),
            "the locator is the connection ID"
        );
        device.address = address(AWAY);
        world.take_events();
        let update = world.update_packet(&location, "");
        assert_eq!(device.ask(&mut world, &update), Code::CHANGED, "answered at the new address");
        assert_eq!(moves(&world), [(address(HOME), address(AWAY))]);
        world.read_request("lamp", "/3/0/9");
        let request = device.hear(&mut world).remove(0);
        assert_eq!(read(&request).code(), Code::GET, "a request reaches the new address");
        assert!(world.wire.is_empty(), "and nothing goes to the old one");
        assert_eq!(world.shard.stats().security.moved, 1);
        assert_eq!(world.shard.stats().security.sessions, 1);
    }
}

// Proves: DTL-15
#[test]
fn without_a_connection_id_a_new_address_is_nobodys() {
    let mut world = world(&["lamp"]);
    let (mut device, location) = Device::register(&mut world, HOME, without_cid(), "lamp");
    device.address = address(AWAY);
    let update = world.update_packet(&location, "");
    let dropped = world.shard.stats().security.dropped.no_session;
    assert!(device.say(&mut world, &update).is_empty() && world.wire.is_empty());
    assert_eq!(world.shard.stats().security.dropped.no_session, dropped + 1);
    assert_eq!(world.registration("lamp").expect("registered").address, address(HOME));
}

// Proves: DTL-16
#[test]
fn only_the_newest_authentic_record_moves_a_session() {
    let mut world = world(&["lamp"]);
    let (mut device, location) = Device::register(&mut world, HOME, no_check(), "lamp");
    let update = world.update_packet(&location, "");
    let old = device.seal(world.now, &update.bytes());
    let update = world.update_packet(&location, "");
    assert_eq!(device.ask(&mut world, &update), Code::CHANGED);
    world.take_events();
    // Late, from elsewhere: it counts as a message, but nobody has moved.
    world.secured(address(AWAY), &old);
    assert_eq!(world.registration("lamp").expect("registered").address, address(HOME));
    assert!(world.to(address(AWAY)).is_empty(), "the answer goes where the device is");
    device.run(&mut world);
    // Somebody who has seen a record sends it again, or changes it, or makes one up.
    let update = world.update_packet(&location, "");
    let fresh = device.seal(world.now, &update.bytes());
    let mut forged = fresh.clone();
    *forged.last_mut().expect("bytes") ^= 1;
    world.secured(address(AWAY), &forged);
    world.secured(address(HOME), &fresh);
    world.secured(address(AWAY), &fresh);
    let mut unknown = fresh.clone();
    unknown[13] ^= 1;
    world.secured(address(AWAY), &unknown);
    assert_eq!(world.registration("lamp").expect("registered").address, address(HOME));
    assert!(moves(&world).is_empty() && world.to(address(AWAY)).is_empty());
    let dropped = world.shard.stats().security.dropped;
    assert_eq!((dropped.bad_mac, dropped.replayed, dropped.connection_id), (1, 1, 1));
    let session = world.registration("lamp").and_then(|registration| registration.session).expect("secured");
    assert_eq!((session.dropped.bad_mac, session.dropped.replayed, session.dropped.other), (1, 1, 0));
}

// Proves: DTL-16
#[test]
fn an_address_that_does_not_answer_the_check_is_sent_little_and_not_believed() {
    let mut world = world(&["lamp"]);
    let (mut device, location) = Device::register(&mut world, HOME, Config::default(), "lamp");
    world.take_events();
    // Somebody on the way takes a record and sends it from an address where nobody listens.
    let update = world.update_packet(&location, "");
    let record = device.seal(world.now, &update.bytes());
    world.secured(address(AWAY), &record);
    write(&mut world, 1000);
    world.pass(60 * SECOND);
    let sent: usize = world.to(address(AWAY)).iter().map(Vec::len).sum();
    assert!(sent > 0 && sent <= 3 * record.len(), "{sent} for {}", record.len());
    assert!(moves(&world).is_empty());
    assert_eq!(world.registration("lamp").expect("registered").address, address(HOME));
    // The device itself is where it was, and gets what it is due when nobody has answered.
    assert!(device.hear(&mut world).iter().any(|message| message.len() > 900));
}

// Proves: DTL-16
#[test]
fn many_records_in_one_datagram_allow_no_more_than_the_datagram() {
    for config in [Config::default(), no_check()] {
        let mut world = world(&["lamp"]);
        let (mut device, _) = Device::register(&mut world, HOME, config, "lamp");
        // Pings, from an address where nobody listens.
        let ping =
            |n: u16| common::Packet::new(lightship_coap::Type::Con, Code::EMPTY, 9000 + n, &[]).bytes();
        let datagram: Vec<u8> = (0..16).flat_map(|n| device.seal(world.now, &ping(n))).collect();
        let replies: usize = {
            world.secured(address(AWAY), &datagram);
            world.to(address(AWAY)).iter().map(Vec::len).sum()
        };
        for _ in 0..8 {
            write(&mut world, 1000);
        }
        world.pass(60 * SECOND);
        let sent: usize = replies + world.to(address(AWAY)).iter().map(Vec::len).sum::<usize>();
        assert!(sent > 0 && sent <= 3 * datagram.len(), "{sent} for {}", datagram.len());
    }
}

// Proves: DTL-16
#[test]
fn where_nobody_can_be_asked_a_new_address_is_sent_little_until_it_answers() {
    let mut world = world(&["lamp"]);
    let (mut device, location) = Device::register(&mut world, HOME, no_check(), "lamp");
    device.address = address(AWAY);
    let update = world.update_packet(&location, "");
    let record = device.seal(world.now, &update.bytes());
    world.secured(device.address, &record);
    write(&mut world, 1000);
    let sent = world.to(address(AWAY));
    let total: usize = sent.iter().map(Vec::len).sum();
    assert!(total <= 3 * record.len(), "{total}");
    for datagram in sent {
        device.take(world.now, &datagram);
    }
    // Among it a ping; when it is answered the rest comes.
    let ping =
        device.received.iter().find(|message| read(message).code() == Code::EMPTY && message[0] == 0x40);
    let ping = ping.expect("a ping").clone();
    let reset = [0x70, 0, ping[2], ping[3]];
    let back = device.say_bytes(&mut world, &reset);
    assert!(back.iter().any(|message| message.len() > 900), "the Write");
}

#[test]
fn a_session_at_an_address_that_another_device_had_leaves_that_one_alone() {
    let mut world = world(&["lamp", "pump"]);
    let (mut lamp, at_lamp) = Device::register(&mut world, HOME, Config::default(), "lamp");
    // The NAT gives the address to another device, and the first one another address.
    let (mut pump, at_pump) = Device::register(&mut world, HOME, Config::default(), "pump");
    let update = world.update_packet(&at_lamp, "");
    lamp.address = address(AWAY);
    assert_eq!(lamp.ask(&mut world, &update), Code::CHANGED, "found by its connection ID");
    let update = world.update_packet(&at_pump, "");
    assert_eq!(pump.ask(&mut world, &update), Code::CHANGED);
    assert_eq!(world.shard.stats().security.sessions, 2);
    for (device, name) in [(&mut lamp, "lamp"), (&mut pump, "pump")] {
        world.read_request(name, "/3/0/9");
        let request = device.hear(&mut world).remove(0);
        device.say(&mut world, &answer(&request, Code::CONTENT).format(ContentFormat::TEXT).payload("1"));
    }
}
