//! What a forged address may be made to receive.

mod common;

use core::time::Duration;

use common::{LIST, Packet, SECOND, World, address, answer, endpoint, path, read, wanted};
use lightship_coap::{Code, ContentFormat, Type};
use lightship_server::{Answer, Content, Event, Operation, Outcome, Request};

const HOME: &str = "192.0.2.1:5683";

fn write(world: &mut World, len: usize) {
    let content = Content { format: ContentFormat::OPAQUE, payload: vec![7; len].into() };
    let operation = Operation::Replace { path: path("/5/0/0"), content };
    let deadline = world.now + Duration::from_secs(3000);
    world.shard.request(world.now, &endpoint("a"), Request::new(operation, deadline)).expect("taken");
    world.drain();
}

// Proves: COA-17
#[test]
fn an_address_that_never_answers_gets_at_most_three_times_what_it_sent() {
    let mut world = World::new();
    let wanted = (0..60).map(|n| wanted(&format!("/3303/{n}/5700"))).collect();
    world.accept = Some(Answer::Accept { observations: wanted });
    let mut received = 0;
    let mut sent: usize = 0;
    for round in 0..30 {
        let packet = world.register_packet(&format!("ep=a&lt=86400&lwm2m=1.1&x={round}"), LIST).bytes();
        received += packet.len();
        sent += world.send(address(HOME), &packet).iter().map(Vec::len).sum::<usize>();
        write(&mut world, 2000);
        world.pass(Duration::from_secs(400));
        sent += world.sent_to(address(HOME)).iter().map(Vec::len).sum::<usize>();
        assert!(sent <= 3 * received, "{sent} for {received}");
    }
    assert!(world.shard.stats().withheld > 0);
}

// Proves: COA-17
#[test]
fn a_long_request_to_an_address_that_has_not_answered_begins_with_a_ping() {
    let mut world = World::new();
    world.register(address(HOME), "a");
    write(&mut world, 500);
    let ping = world.sent_to(address(HOME)).pop().expect("a ping");
    assert_eq!((ping.len(), read(&ping).ty(), read(&ping).code()), (4, Type::Con, Code::EMPTY));
    let pong = Packet::new(Type::Reset, Code::EMPTY, read(&ping).message_id().0, &[]);
    let back = world.send(address(HOME), &pong.bytes());
    assert_eq!((read(&back[0]).code(), read(&back[0]).payload().len()), (Code::PUT, 500));
    world.send(address(HOME), &answer(&back[0], Code::CHANGED).bytes());
    // Known from now on, also when its CoAP state is gone.
    world.pass(Duration::from_secs(260));
    assert_eq!(world.shard.stats().peers, 0);
    write(&mut world, 500);
    assert_eq!(read(&world.request_to(address(HOME))).code(), Code::PUT);
}

#[test]
fn nobody_answers_the_ping() {
    let mut world = World::new();
    world.register(address(HOME), "a");
    write(&mut world, 500);
    world.pass(100 * SECOND);
    let timed_out = |event: &Event| matches!(event, Event::RequestDone { outcome: Outcome::Timeout, .. });
    assert_eq!(world.take_events().iter().filter(|event| timed_out(event)).count(), 1);
    assert!(world.sent_to(address(HOME)).iter().all(|bytes| bytes.len() == 4));
}
