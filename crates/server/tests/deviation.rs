//! What devices do otherwise than the standard says: served where the meaning is clear, and counted.

#![allow(clippy::wildcard_enum_match_arm, reason = "a test looks for one event")]

mod common;

use core::time::Duration;

use common::{LIST, Packet, World, address, answer, endpoint, notification, path};
use lightship_coap::{Code, ContentFormat, Type};
use lightship_server::{Answer, Deviation, Event, Operation, Request, Wanted};

const HOME: &str = "192.0.2.1:5683";

fn counts(world: &World) -> Vec<(&'static str, u16)> {
    let registration = world.registration("a").expect("registered");
    registration.deviations.iter().map(|(deviation, count)| (deviation.as_str(), count)).collect()
}

fn told(world: &mut World) -> Vec<(Deviation, u16)> {
    let told = |event| match event {
        Event::Deviated { deviation, count, .. } => Some((deviation, count)),
        _ => None,
    };
    world.take_events().into_iter().filter_map(told).collect()
}

fn ask(world: &mut World, operation: Operation) -> Vec<u8> {
    let deadline = world.now + Duration::from_secs(60);
    world.shard.request(world.now, &endpoint("a"), Request::new(operation, deadline)).expect("taken");
    world.drain();
    world.request_to(address(HOME))
}

fn read(world: &mut World) -> Vec<u8> {
    ask(world, Operation::Read { path: path("/3/0/0"), accept: Some(ContentFormat::TEXT) })
}

#[test]
fn a_device_by_the_book_has_none() {
    let mut world = World::new();
    world.register(address(HOME), "a");
    let request = read(&mut world);
    world.send(
        address(HOME),
        &answer(&request, Code::CONTENT).format(ContentFormat::TEXT).payload("x").bytes(),
    );
    let request = read(&mut world);
    world.send(address(HOME), &answer(&request, Code::NOT_FOUND).payload("a diagnostic text").bytes());
    assert_eq!(counts(&world), []);
}

#[test]
fn a_sloppy_register_is_accepted_and_counted() {
    let mut world = World::new();
    let register = Packet::new(Type::Con, Code::POST, 1, &[1])
        .path("RD")
        .query("ep=a&lt=300&lwm2m=1.1&b=U&et=thing&d=here")
        .payload("</1/0>, </3/0>");
    assert_eq!(world.ask(address(HOME), &register), Code::CREATED);
    let expected =
        [("no-content-format", 1), ("unknown-parameter", 2), ("sloppy-list", 1), ("other-case", 1)];
    assert_eq!(counts(&world), expected);
    // They belong to the device, not to one of its registrations.
    let register = Packet { id: 2, payload: LIST.into(), ..register };
    assert_eq!(world.ask(address(HOME), &register), Code::CREATED);
    let expected =
        [("no-content-format", 2), ("unknown-parameter", 4), ("sloppy-list", 1), ("other-case", 2)];
    assert_eq!(counts(&world), expected);
}

#[test]
fn parameters_in_letters_of_the_other_case_and_a_comma_at_the_end_count() {
    for query in ["EP=a&lt=300&lwm2m=1.1&b=U", "ep=a&Lt=300&LwM2M=1.1&B=U&q"] {
        let mut world = World::new();
        let register = world.register_packet(query, "</1/0>,</3/0>,");
        assert_eq!(world.ask(address(HOME), &register), Code::CREATED, "{query}");
        assert_eq!(counts(&world), [("sloppy-list", 1), ("other-case", 1)]);
        let details = world.registration("a").expect("registered").details;
        assert_eq!((details.lifetime_s, details.queue_mode), (300, query.ends_with('q')));
        assert!(details.attributes.is_empty());
        let twice = world.register_packet(&format!("{query}&LT=60"), LIST);
        assert_eq!(world.ask(address(HOME), &twice), Code::BAD_REQUEST);
    }
}

#[test]
fn an_update_counts_too() {
    let mut world = World::new();
    let location = world.register(address(HOME), "a");
    let update = world.update_packet(&location, "x=1").payload("</3/0>");
    assert_eq!(world.ask(address(HOME), &update), Code::CHANGED);
    assert_eq!(counts(&world), [("no-content-format", 1), ("unknown-parameter", 1)]);
}

#[test]
fn answers_without_or_in_another_format_or_with_another_code_count() {
    let mut world = World::new();
    world.register(address(HOME), "a");
    let request = read(&mut world);
    world.send(address(HOME), &answer(&request, Code::CONTENT).payload("x").bytes());
    assert_eq!(told(&mut world), [(Deviation::NoContentFormat, 1)]);
    let request = read(&mut world);
    let other = answer(&request, Code::CONTENT).format(ContentFormat::SENML_JSON).payload("[]");
    world.send(address(HOME), &other.bytes());
    assert_eq!(told(&mut world), [(Deviation::OtherFormat, 1)]);
    let request = ask(&mut world, Operation::Execute { path: path("/3/0/4"), arguments: String::new() });
    world.send(address(HOME), &answer(&request, Code::CREATED).bytes());
    assert_eq!(told(&mut world), [(Deviation::OtherCode, 1)]);
    assert_eq!(counts(&world), [("no-content-format", 1), ("other-format", 1), ("other-code", 1)]);
}

#[test]
fn notifications_count_and_the_host_is_told_of_each() {
    let mut world = World::new();
    let wanted = Wanted {
        observed: path("/3303/0/5700").into(),
        accept: Some(ContentFormat::SENML_CBOR),
        attributes: Vec::new(),
    };
    world.accept = Some(Answer::Accept { observations: vec![wanted] });
    world.register(address(HOME), "a");
    let request = world.request_to(address(HOME));
    let first = answer(&request, Code::CONTENT).observe(1).format(ContentFormat::SENML_CBOR).payload("20");
    world.send(address(HOME), &first.bytes());
    assert_eq!(told(&mut world), []);
    for number in 2..12 {
        let id = u16::try_from(number).expect("small");
        world.send(address(HOME), &notification(Type::Non, id, &request, number, "21").bytes());
    }
    assert_eq!(told(&mut world), (1..=10).map(|count| (Deviation::OtherFormat, count)).collect::<Vec<_>>());
    assert_eq!(counts(&world), [("other-format", 10)]);
}
