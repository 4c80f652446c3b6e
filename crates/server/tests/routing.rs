//! Which shard gets what.

mod common;

use core::time::Duration;
use std::net::SocketAddr;

use common::secure::{Coaps, Device, connect};
use common::{World, address, answer, read};
use lightship_coap::{Code, Type};
use lightship_dtls::Connect;
use lightship_platform::Instant;
use lightship_platform::crypto::Secret;
use lightship_server::{Config, Event, Locator, Rebinding, Route, TicketRotation};

const HOME: &str = "192.0.2.1:5683";
const MOVED: &str = "192.0.2.1:40000";

fn shards() -> (World, World) {
    let config = |shard| Config { shard, shards: 2, rebinding: Rebinding::Follow, ..Config::default() };
    (World::with(config(0)), World::with(config(1)))
}

#[test]
fn an_update_finds_the_shard_that_its_location_names() {
    let (mut here, mut there) = shards();
    let location = there.register(address(HOME), "a");
    let update = here.update_packet(&location, "").bytes();
    assert_eq!(here.shard.route(address(MOVED), &update), Route::Shard(1));
    assert_eq!(there.shard.route(address(MOVED), &update), Route::Here);
    let back = there.send(address(MOVED), &update);
    assert_eq!(read(&back[0]).code(), Code::CHANGED);

    // What follows from that address carries no location, and belongs there too.
    there.read_request("a", "/3/0/0");
    let request = there.request_to(address(MOVED));
    let response = answer(&request, Code::CONTENT).bytes();
    assert_eq!(here.shard.route(address(MOVED), &response), Route::Shard(1));
    assert_eq!(here.shard.route(address(HOME), &response), Route::Here);
}

#[test]
fn a_registered_address_stays_with_its_shard() {
    let (mut here, mut there) = shards();
    here.register(address(HOME), "here");
    let location = there.register(address(MOVED), "there");
    // Somebody sends the location of another shard in the name of our device: that datagram goes there, but no other.
    let forged = here.update_packet(&location, "").bytes();
    assert_eq!(here.shard.route(address(HOME), &forged), Route::Shard(1));
    let ping = [0x40, 0, 0, 1];
    assert_eq!(here.shard.route(address(HOME), &ping), Route::Here);
}

#[test]
fn nobody_is_sent_to_a_shard_that_does_not_exist() {
    let (mut here, _) = shards();
    for (shard, node) in [(2, 0), (255, 0), (1, 1), (0, 0)] {
        let locator = Locator { shard, node, random: 7 };
        let update = here.update_packet(&format!("rd/{locator}"), "").bytes();
        assert_eq!(here.shard.route(address(HOME), &update), Route::Here, "{locator}");
    }
    for datagram in [&b""[..], b"\x40", b"\xff\xff\xff\xff\xff"] {
        assert_eq!(here.shard.route(address(HOME), datagram), Route::Here);
    }
}

#[test]
fn one_shard_takes_everything() {
    let mut world = World::new();
    let locator = Locator { shard: 9, node: 0, random: 7 };
    let update = world.update_packet(&format!("rd/{locator}"), "");
    assert_eq!(world.shard.route(address(HOME), &update.bytes()), Route::Here);
    let back = world.send(address(HOME), &update.bytes());
    assert_eq!((read(&back[0]).ty(), read(&back[0]).code()), (Type::Ack, Code::NOT_FOUND));
}

fn secured_shards() -> (World, World) {
    let of = |shard| common::secure::with(Config { shard, shards: 2, ..common::secure::config() }, &["lamp"]);
    (of(0), of(1))
}

/// Hands each datagram of a device to the shard that is to get it, which is asked of the one that receives it.
fn deliver(worlds: (&mut World, &mut World), device: &mut Device) -> (usize, usize) {
    let (here, there) = worlds;
    let (mut at_home, mut handed_over) = (0, 0);
    loop {
        let mut quiet = true;
        while let Some(datagram) = device.poll(here.now) {
            quiet = false;
            match here.shard.route_secured(device.address, &datagram) {
                Route::Here => {
                    at_home += 1;
                    here.secured(device.address, &datagram);
                }
                Route::Shard(shard) => {
                    assert_eq!(shard, 1);
                    handed_over += 1;
                    there.secured(device.address, &datagram);
                }
            }
        }
        for datagram in here.to(device.address).into_iter().chain(there.to(device.address)) {
            quiet = false;
            device.take(here.now, &datagram);
        }
        if quiet {
            return (at_home, handed_over);
        }
    }
}

#[test]
fn a_record_finds_the_shard_that_its_connection_id_names() {
    let (mut here, mut there) = secured_shards();
    let (mut device, location) =
        Device::register(&mut there, MOVED, lightship_dtls::Config::default(), "lamp");
    let update = there.update_packet(&location, "").bytes();
    let record = device.seal(there.now, &update);
    assert_eq!(here.shard.route_secured(address(HOME), &record), Route::Shard(1));
    assert_eq!(there.shard.route_secured(address(HOME), &record), Route::Here);
    let mut nowhere = record.clone();
    nowhere[11] = 9;
    assert_eq!(here.shard.route_secured(address(HOME), &nowhere), Route::Here, "there is no such shard");
    here.secured(address(HOME), &nowhere);
    assert_eq!(here.shard.stats().security.dropped.connection_id, 1);
}

#[test]
fn who_wants_to_resume_is_served_where_the_session_is_and_so_is_all_that_follows() {
    let (mut here, mut there) = secured_shards();
    let without = common::secure::without_cid;
    let (device, _) = Device::register(&mut there, MOVED, without(), "lamp");
    let resume = Connect { resume: device.resumption(), ..connect("lamp") };
    let mut again = Device::new(here.now, address(HOME), without(), resume);
    let (at_home, handed_over) = deliver((&mut here, &mut there), &mut again);
    assert!(again.is_resumed());
    assert_eq!((at_home, handed_over), (0, 3), "two hellos, and Finished, which names nothing");
    // Data names nothing either, nor does a handshake from the start.
    let record = again.seal(here.now, &[0x40, 0, 1, 2]);
    assert_eq!(here.shard.route_secured(address(HOME), &record), Route::Shard(1));
    let mut anew = Device::new(here.now, address(HOME), without(), connect("lamp"));
    let (at_home, handed_over) = deliver((&mut here, &mut there), &mut anew);
    assert!(anew.association.is_established() && at_home == 0 && handed_over > 0);
}

#[test]
fn a_hello_in_anothers_name_does_not_move_his_address_to_another_shard() {
    let (mut here, mut there) = secured_shards();
    let without = common::secure::without_cid;
    let (elsewhere, _) = Device::register(&mut there, MOVED, without(), "lamp");
    let (mut device, location) = Device::register(&mut here, HOME, without(), "lamp");
    // Somebody who knows a session of the other shard says in the device's name that he wants to resume it.
    let resume = Connect { resume: elsewhere.resumption(), ..connect("lamp") };
    let mut forger = Device::new(here.now, address("198.51.100.1:1"), without(), resume);
    let hello = forger.poll(here.now).expect("a hello");
    assert_eq!(here.shard.route_secured(address(HOME), &hello), Route::Here);
    let update = here.update_packet(&location, "").bytes();
    let record = device.seal(here.now, &update);
    assert_eq!(here.shard.route_secured(address(HOME), &record), Route::Here);
    // An address that is served elsewhere is not drawn back by a hello that names nothing.
    assert_eq!(here.shard.route_secured(address(MOVED), &hello), Route::Shard(1));
    let mut other = Device::new(here.now, address("198.51.100.2:1"), without(), connect("lamp"));
    let plain = other.poll(here.now).expect("a hello");
    assert_eq!(here.shard.route_secured(address(MOVED), &plain), Route::Shard(1));
}

/// Two shards that give tickets, and keep nothing to resume with themselves. Neither has its keys before it meets a ClientHello.
fn shards_with_tickets() -> Both {
    let of = |shard| {
        let (period, lifetime) = (Duration::from_secs(3600), Duration::from_secs(3600));
        let tickets =
            TicketRotation { secret: Secret::new(&[7; 32]), since: Instant::ZERO, period, lifetime };
        let mut security = common::secure::security();
        (security.tickets, security.limits.resumptions) = (Some(tickets), 0);
        let config = Config { shard, shards: 2, security: Some(security), ..Config::default() };
        common::secure::with(config, &["lamp"])
    };
    Both { here: of(0), there: of(1) }
}

/// Two shards of one server, where everything arrives at the first.
struct Both {
    here: World,
    there: World,
}

impl Coaps for Both {
    fn now(&self) -> Instant {
        self.here.now
    }

    fn secured(&mut self, from: SocketAddr, datagram: &[u8]) {
        match self.here.shard.route_secured(from, datagram) {
            Route::Here => self.here.secured(from, datagram),
            Route::Shard(_) => self.there.secured(from, datagram),
        }
    }

    fn to(&mut self, address: SocketAddr) -> Vec<Vec<u8>> {
        self.here.to(address).into_iter().chain(self.there.to(address)).collect()
    }
}

#[test]
fn who_comes_back_with_a_ticket_from_another_address_finds_his_registration() {
    let mut both = shards_with_tickets();
    let without = common::secure::without_cid;
    let (device, location) = Device::register(&mut both.there, MOVED, without(), "lamp");
    let resume = || Connect { resume: device.resumption(), ..connect("lamp") };
    assert!(resume().resume.is_some_and(|resumption| !resumption.ticket.is_empty()));
    let mut again = Device::open(&mut both, address(HOME), without(), resume());
    assert!(again.is_resumed());
    let update = both.here.update_packet(&location, "");
    assert_eq!(again.ask(&mut both, &update), Code::CHANGED);
    let registration = both.there.registration("lamp").expect("registered");
    assert!(registration.session.is_some_and(|session| session.resumed));
    assert_eq!((registration.address, both.here.shard.stats().security.sessions), (address(HOME), 0));
    // What the shard has to say of its own accord arrives, and so does the answer.
    both.there.read_request("lamp", "/3/0/0");
    let request = again.hear(&mut both).pop().expect("a request");
    again.say(&mut both, &answer(&request, Code::CONTENT).payload("1"));
    assert!(both.there.take_events().iter().any(|event| matches!(event, Event::RequestDone { .. })));
}

#[test]
fn a_ticket_of_a_shard_that_did_not_give_it_costs_a_full_handshake_and_one_that_names_none_steers_nothing() {
    let mut both = shards_with_tickets();
    let without = common::secure::without_cid;
    let (device, _) = Device::register(&mut both.here, MOVED, without(), "lamp");
    let resumption = device.resumption().expect("a ticket");
    let forged = |at: usize, byte| {
        let mut resumption = resumption.clone();
        assert_eq!(resumption.ticket[8..10], [0, 0], "shard and node");
        resumption.ticket[at] = byte;
        Connect { resume: Some(resumption), ..connect("lamp") }
    };
    // Another key, a shard and a node that do not exist, and what is sealed: served here, by a full handshake.
    for (n, (at, byte)) in [(0, 1), (8, 2), (8, 255), (9, 1), (40, 1)].into_iter().enumerate() {
        let at_port = address(&format!("192.0.2.7:{}", 1000 + n));
        let device = Device::open(&mut both, at_port, without(), forged(at, byte));
        assert!(!device.is_resumed());
        assert_eq!(both.there.shard.stats().security.handshakes_begun, 0);
    }
    // The other shard: served there, once handed over, and not resumed, since the ticket does not say so itself.
    let mut other = Device::open(&mut both, address(HOME), without(), forged(8, 1));
    assert!(!other.is_resumed());
    assert_eq!(both.there.shard.stats().security.sessions, 1);
    other.register_as(&mut both.there, "lamp");
}
