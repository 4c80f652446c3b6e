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

// Proves: OBS-22
#[test]
fn a_broken_send_is_refused_before_the_host_sees_it() {
    let mut world = registered("1.1");
    let senml = ContentFormat::SENML_JSON;
    let cases: [(Option<ContentFormat>, &str); 6] = [
        (None, VALUES),
        (Some(ContentFormat::TEXT), "1"),
        (Some(ContentFormat::LWM2M_TLV), VALUES),
        (Some(senml), "[{\"n\":\"/3303/0/5700\",\"v\":1}"),
        (Some(senml), "[{\"n\":\"/3303/0/5700\"}]"),
        (Some(senml), "[{\"n\":\"/3303/0/5700\",\"v\":1},{\"n\":\"/3303/0/5700\",\"v\":2}]"),
    ];
    for (id, (format, body)) in (1..).zip(cases) {
        let packet = Packet::new(Type::Con, Code::POST, id, &[1]).path("dp");
        let packet = match format {
            Some(format) => packet.format(format),
            None => packet,
        };
        assert_eq!(world.ask(address(HOME), &packet.payload(body)), Code::BAD_REQUEST, "{format:?} {body}");
    }
    assert!(asked(&mut world).is_none());
    assert_eq!(world.shard.stats().sends_refused, 6);
}

// Proves: OBS-23
#[test]
fn a_long_history_is_taken_whichever_way_it_is_ordered() {
    let record = |resource: u16, time: u32| format!("{{\"n\":\"/3303/0/{resource}\",\"t\":{time},\"v\":1}}");
    let by_time = (0..400).flat_map(|time| [5700, 5701].map(|resource| record(resource, 1_000_000 + time)));
    let by_path =
        [5700, 5701].into_iter().flat_map(|one| (0..400).map(move |time| record(one, 1_000_000 + time)));
    for records in [by_time.collect::<Vec<_>>(), by_path.collect()] {
        let mut world = registered("1.1");
        let body = format!("[{}]", records.join(","));
        for (number, part) in (0_u16..).zip(body.as_bytes().chunks(1024)) {
            let more = usize::from(number) + 1 < body.len().div_ceil(1024);
            let option = (number << 4 | u16::from(more) << 3 | 6).to_be_bytes();
            let packet = Packet { payload: part.to_vec(), ..send(Type::Con, 1 + number, &[9]) };
            world.send(address(HOME), &packet.option(OptionNumber::BLOCK1, &option).bytes());
        }
        let Some((_, Fact::Send { payload, .. })) = asked(&mut world) else { panic!("asked") };
        assert_eq!(payload.len(), body.len());
    }
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
