//! Send (TS_Core 6.4.7): the host judges what arrives, and the device hears of it when that is safe.

#![allow(clippy::wildcard_enum_match_arm, reason = "a test looks for one event")]

mod common;

use common::{LIST, Packet, World, address, read};
use lightship_coap::{Code, ContentFormat, OptionNumber, Type};
use lightship_server::{Answer, Ask, Config, Event, Fact};

const HOME: &str = "192.0.2.1:5683";
const VALUES: &str = "[{\"n\":\"/3303/0/5700\",\"v\":1}]";

fn registered(version: &str) -> World {
    let mut world = World::new();
    let register = world.register_packet(&format!("ep=a&lt=300&lwm2m={version}&b=U"), LIST);
    assert_eq!(world.ask(address(HOME), &register), Code::CREATED);
    world
}

fn send(ty: Type, id: u16, token: &[u8]) -> Packet {
    Packet::new(ty, Code::POST, id, token).path("dp").format(ContentFormat::SENML_JSON).payload(VALUES)
}

fn asked(world: &mut World) -> Option<(Ask, Fact)> {
    world.take_events().into_iter().find_map(|event| match event {
        Event::AskDurable { ask, fact } => Some((ask, fact)),
        _ => None,
    })
}

/// Sends, lets the host answer, and returns the code that the device got.
fn judged(world: &mut World, packet: &Packet, answer: Answer) -> Code {
    assert!(world.send(address(HOME), &packet.bytes()).is_empty(), "not before it is safe");
    let (ask, Fact::Send { endpoint, content_format, payload }) = asked(world).expect("asked") else {
        panic!("another fact");
    };
    assert_eq!((&*endpoint, content_format), ("a", Some(ContentFormat::SENML_JSON)));
    assert_eq!(&*payload, VALUES.as_bytes());
    world.shard.answer(world.now, ask, answer);
    world.drain();
    let sent = world.sent_to(address(HOME));
    assert_eq!(sent.len(), 1);
    assert_eq!(read(&sent[0]).token(), packet.token);
    read(&sent[0]).code()
}

// Proves: OBS-22
#[test]
fn the_answer_carries_what_the_host_thinks_of_the_content() {
    let mut world = registered("1.1");
    assert_eq!(judged(&mut world, &send(Type::Con, 1, &[1]), Answer::Stored), Code::CHANGED);
    for (id, code) in [(2, Code::BAD_REQUEST), (3, Code::NOT_FOUND), (4, Code::SERVICE_UNAVAILABLE)] {
        assert_eq!(judged(&mut world, &send(Type::Con, id, &[1]), Answer::Refuse { code }), code);
    }
    let stats = world.shard.stats();
    assert_eq!((stats.sends, stats.sends_refused, stats.registers_refused), (1, 3, 0));
}

#[test]
fn what_is_no_send_never_reaches_the_host() {
    let mut world = registered("1.1");
    let stranger = address("192.0.2.9:5683");
    assert_eq!(world.ask(stranger, &send(Type::Con, 1, &[1])), Code::NOT_FOUND);
    assert_eq!(world.ask(address(HOME), &send(Type::Con, 2, &[1]).payload("")), Code::BAD_REQUEST);
    for (id, code) in [(3, Code::GET), (4, Code::PUT), (5, Code::DELETE)] {
        let wrong = Packet { code, ..send(Type::Con, id, &[1]) };
        assert_eq!(world.ask(address(HOME), &wrong), Code::METHOD_NOT_ALLOWED);
    }
    assert!(asked(&mut world).is_none());
}

// Proves: OBS-24
#[test]
fn a_send_may_be_non_confirmable() {
    let mut world = registered("1.2");
    assert_eq!(judged(&mut world, &send(Type::Non, 1, &[1]), Answer::Stored), Code::CHANGED);
}

// Proves: OBS-25
#[test]
fn any_token_any_version_and_any_number_of_blocks_will_do() {
    let mut world = registered("1.0");
    for (id, token) in [(1, &[][..]), (2, &[1, 2, 3, 4, 5, 6, 7, 8])] {
        assert_eq!(judged(&mut world, &send(Type::Con, id, token), Answer::Stored), Code::CHANGED);
    }
    let (first, last) = VALUES.split_at(16);
    let block = |id, option: u8, part: &str| {
        send(Type::Con, id, &[9]).option(OptionNumber::BLOCK1, &[option]).payload(part)
    };
    assert_eq!(world.ask(address(HOME), &block(10, 0x08, first)), Code::CONTINUE);
    assert_eq!(judged(&mut world, &block(11, 0x10, last), Answer::Stored), Code::CHANGED);
}

#[test]
fn silence_of_the_host_is_a_no_and_the_device_may_try_again() {
    let mut world = registered("1.1");
    world.send(address(HOME), &send(Type::Con, 1, &[1]).bytes());
    world.pass(Config::default().ask_timeout);
    let sent = world.sent_to(address(HOME));
    let answer = sent.iter().map(|bytes| read(bytes).code()).find(|code| code.is_response());
    assert_eq!(answer, Some(Code::SERVICE_UNAVAILABLE));
}
