//! Which shard gets what.

mod common;

use common::{World, address, answer, read};
use lightship_coap::{Code, Type};
use lightship_server::{Config, Locator, Rebinding, Route};

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
