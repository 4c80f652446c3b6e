//! One message after the other, made by hand: what happens between a request and its end.

#![allow(clippy::wildcard_enum_match_arm, reason = "a test looks for one event")]

mod common;

use core::time::Duration;

use common::{LIST, Packet, SECOND, World, address, answer, endpoint, notification, path, read, wanted};
use lightship_coap::{Code, ContentFormat, OptionNumber, Type};
use lightship_server::{
    Answer, Config, Ended, Event, Operation, Outcome, Presence, Request, RequestId, WhenAsleep,
};

const HOME: &str = "192.0.2.1:5683";

fn outcomes(world: &mut World) -> Vec<(RequestId, Outcome)> {
    let done = |event| match event {
        Event::RequestDone { id, outcome, .. } => Some((id, outcome)),
        _ => None,
    };
    world.take_events().into_iter().filter_map(done).collect()
}

fn empty_ack(request: &[u8]) -> Vec<u8> {
    Packet::new(Type::Ack, Code::EMPTY, read(request).message_id().0, &[]).bytes()
}

fn ask(world: &mut World, patience: Duration) -> RequestId {
    let operation = Operation::Read { path: path("/3/0/0"), accept: None };
    let request = Request::new(operation, world.now + patience);
    let id = world.shard.request(world.now, &endpoint("a"), request).expect("taken");
    world.drain();
    id
}

fn deregister(world: &mut World, location: &str) -> Vec<Vec<u8>> {
    let leave = Packet::new(Type::Con, Code::DELETE, world.id(), &[3]).path(location);
    world.send(address(HOME), &leave.bytes())
}

// Proves: REG-06
#[test]
fn chapter_f_none_is_answered_with_5_xx_and_a_good_register_works_afterwards() {
    let long = format!("ep={}&lt=60&lwm2m=1.1", "a".repeat(252));
    let many: String = (0..300).fold("ep=a&lt=60&lwm2m=1.1".to_owned(), |query, n| format!("{query}&p{n}=1"));
    let cases = [
        ("133", long.as_str(), Code::CREATED),
        ("131", "ep=../../etc/passwd&lt=60&lwm2m=1.1", Code::CREATED),
        ("131", "ep=<script>alert('x')</script>&lt=60&lwm2m=1.1", Code::CREATED),
        ("136", "ep=a&lt=0&lwm2m=1.2", Code::CREATED),
        ("138", "ep=a&lt=60&lwm2m=1.1.1", Code::BAD_REQUEST),
        ("138", "ep=a&lt=60&lwm2m=1.", Code::BAD_REQUEST),
        ("140", "ep=a&lt=60&lwm2m=1.1&b=UQ", Code::CREATED),
        ("141", "ep=a&lt=60&lwm2m=1.0&Q=1", Code::CREATED),
        ("142", "ep=a&lt=60&lwm2m=1.1&sms=letters", Code::CREATED),
        ("143", many.as_str(), Code::BAD_REQUEST),
        ("144", "ep=a&lt=60&lwm2m=1.1&noequal", Code::CREATED),
        ("145", "ep=%zz&lt=60&lwm2m=1.1", Code::CREATED),
        ("145", "ep=%00&lt=60&lwm2m=1.1", Code::CREATED),
    ];
    for (row, query, expected) in cases {
        let mut world = World::new();
        let register = world.register_packet(query, LIST);
        assert_eq!(world.ask(address(HOME), &register), expected, "{row} {query}");
        let name = world.shard.registrations().next().map(|one| one.details.endpoint.to_string());
        let said = query.split('&').next().and_then(|part| part.strip_prefix("ep="));
        assert_eq!(name.as_deref(), said.filter(|_| expected == Code::CREATED), "{row}: taken literally");
        world.register(address(HOME), "good");
    }
}

// Proves: REG-25
#[test]
fn chapter_f_an_update_reaches_one_registration_or_none() {
    let mut world = World::new();
    let location = world.register(address(HOME), "a");
    let post = |world: &mut World, segments: &[&str]| {
        let packet = Packet::new(Type::Con, Code::POST, world.id(), &[4]);
        let packet = segments
            .iter()
            .fold(packet, |packet, segment| packet.option(OptionNumber::URI_PATH, segment.as_bytes()));
        world.ask(address(HOME), &packet.query("lt=77"))
    };
    let id = location.strip_prefix("rd/").expect("below rd").to_owned();
    assert_eq!(post(&mut world, &["rd", &id, "y"]), Code::NOT_FOUND, "149");
    assert_eq!(post(&mut world, &["rd", "unknown"]), Code::NOT_FOUND);
    assert_eq!(post(&mut world, &["rd", &id.to_uppercase()]), Code::NOT_FOUND);
    // Without a location it can only be a Register, and lacks all that one needs.
    assert_eq!(post(&mut world, &["rd"]), Code::BAD_REQUEST);
    assert_eq!(post(&mut world, &["rd", ""]), Code::BAD_REQUEST);
    assert_eq!(world.registration("a").expect("registered").details.lifetime_s, 300);
    let update = world.update_packet(&location, "ep=b&lwm2m=1.0&lt=77");
    assert_eq!(world.ask(address(HOME), &update), Code::CHANGED, "150");
    let details = world.registration("a").expect("its name has not changed").details;
    assert_eq!((details.lifetime_s, details.version.to_string().as_str()), (77, "1.1"));
    assert!(world.registration("b").is_none());
}

#[test]
fn a_register_without_a_name_needs_a_session_that_knows_it() {
    for query in ["lt=60&lwm2m=1.1", "lt=60&lwm2m=1.2&b=U", "ep=&lt=60&lwm2m=1.1"] {
        let mut world = World::new();
        let register = world.register_packet(query, LIST);
        assert_eq!(world.ask(address(HOME), &register), Code::BAD_REQUEST, "{query}");
        assert!(world.events.is_empty());
    }
}

#[test]
fn a_notification_from_a_new_address_without_security_is_nobodys() {
    let mut world = World::new();
    world.accept = Some(Answer::Accept { observations: vec![wanted("/3/0/9")] });
    world.register(address(HOME), "a");
    let request = world.request_to(address(HOME));
    world.send(address(HOME), &answer(&request, Code::CONTENT).observe(1).payload("1").bytes());
    world.take_events();
    let moved = address("192.0.2.1:40000");
    let back = world.send(moved, &notification(Type::Con, 1, &request, 2, "2").bytes());
    assert_eq!(read(&back[0]).ty(), Type::Reset);
    assert!(world.take_events().is_empty());
    assert_eq!(world.registration("a").expect("registered").address, address(HOME));
}

#[test]
fn a_request_that_is_never_acknowledged_times_out_and_the_next_one_goes() {
    let mut world = World::new();
    world.register(address(HOME), "a");
    world.take_events();
    let first = ask(&mut world, 200 * SECOND);
    let second = ask(&mut world, 400 * SECOND);
    world.pass(93 * SECOND);
    assert_eq!(outcomes(&mut world), [(first, Outcome::Timeout)], "MAX_TRANSMIT_WAIT at the latest");
    let sent = world.sent_to(address(HOME));
    let token = read(sent.last().expect("sent")).token();
    assert!(read(&sent[0]).token() != token, "the next one is under way");
    assert!(sent.iter().filter(|bytes| read(bytes).token() != token).count() == 5, "MAX_RETRANSMIT 4");
    let content = answer(sent.last().expect("sent"), Code::CONTENT).payload("1");
    world.send(address(HOME), &content.bytes());
    assert_eq!(outcomes(&mut world)[0].0, second);
}

#[test]
fn an_acknowledgement_without_a_response_ends_at_the_callers_deadline() {
    let mut world = World::new();
    world.register(address(HOME), "a");
    world.take_events();
    let id = ask(&mut world, 20 * SECOND);
    let request = world.request_to(address(HOME));
    world.send(address(HOME), &empty_ack(&request));
    world.pass(19 * SECOND);
    assert!(world.sent_to(address(HOME)).is_empty(), "it is not repeated");
    assert_eq!(outcomes(&mut world), []);
    world.pass(SECOND);
    assert_eq!(outcomes(&mut world), [(id, Outcome::Timeout)]);
    // A response after that is acknowledged or refused, and nobody hears of it.
    let late = Packet { token: read(&request).token(), ..Packet::new(Type::Con, Code::CONTENT, 4711, &[]) };
    assert_eq!(world.send(address(HOME), &late.payload("1").bytes()).len(), 1);
    assert_eq!(outcomes(&mut world), []);
}

#[test]
fn a_response_may_take_longer_than_an_exchange_lives() {
    let mut config = Config::default();
    config.coap.response_within = 1000 * SECOND;
    let mut world = World::with(config);
    let register = world.register_packet("ep=a&lt=86400&lwm2m=1.1&b=U", LIST);
    assert_eq!(world.ask(address(HOME), &register), Code::CREATED);
    world.take_events();
    let id = ask(&mut world, 900 * SECOND);
    let request = world.request_to(address(HOME));
    world.send(address(HOME), &empty_ack(&request));
    world.pass(600 * SECOND);
    let late = Packet { token: read(&request).token(), ..Packet::new(Type::Con, Code::CONTENT, 4711, &[]) };
    world.send(address(HOME), &late.payload("1").bytes());
    assert!(matches!(&outcomes(&mut world)[..], [(done, Outcome::Response(_))] if *done == id));
}

#[test]
fn a_sleepy_device_that_acknowledges_and_says_no_more_counts_as_asleep() {
    let mut world = World::new();
    let register = world.register_packet("ep=a&lt=86400&lwm2m=1.1&b=U&Q", LIST);
    assert_eq!(world.ask(address(HOME), &register), Code::CREATED);
    let id = ask(&mut world, 30 * SECOND);
    let request = world.request_to(address(HOME));
    world.send(address(HOME), &empty_ack(&request));
    world.pass(30 * SECOND);
    assert_eq!(outcomes(&mut world), [(id, Outcome::Timeout)]);
    assert!(world.registration("a").expect("registered").presence.is_asleep());
}

#[test]
fn an_observe_and_a_deregister_that_cross_leave_no_observation() {
    let mut world = World::new();
    let location = world.register(address(HOME), "a");
    let deadline = world.now + 60 * SECOND;
    world
        .shard
        .observe(world.now, &endpoint("a"), wanted("/3/0/9"), deadline, WhenAsleep::Refuse)
        .expect("taken");
    world.drain();
    let request = world.request_to(address(HOME));
    assert_eq!(read(&deregister(&mut world, &location)[0]).code(), Code::DELETED);
    let events = world.take_events();
    let ended = |event: &Event| matches!(event, Event::ObservationEnded { .. });
    assert!(events.iter().any(ended), "the caller hears of it");
    let gone = |event: &Event| matches!(event, Event::Deregistered { reason: Ended::Deregister, .. });
    assert!(events.iter().any(gone));
    // What the device said before it left arrives late, and so does a notification.
    world.send(address(HOME), &answer(&request, Code::CONTENT).observe(1).payload("1").bytes());
    let back = world.send(address(HOME), &notification(Type::Con, 9, &request, 2, "2").bytes());
    assert_eq!(read(&back[0]).ty(), Type::Reset);
    assert!(world.take_events().is_empty());
    assert_eq!(world.shard.stats().observations, 0);
}

#[test]
fn a_device_that_registers_anew_and_leaves_is_gone_once() {
    let mut world = World::new();
    let first = world.register(address(HOME), "a");
    let second = world.register(address(HOME), "a");
    assert_ne!(first, second);
    assert_eq!(read(&deregister(&mut world, &first)[0]).code(), Code::NOT_FOUND, "that one gave way");
    assert_eq!(read(&deregister(&mut world, &second)[0]).code(), Code::DELETED);
    let gone = world.events.iter().filter(|event| matches!(event, Event::Deregistered { .. })).count();
    assert_eq!((gone, world.shard.stats().registrations), (1, 0));
    world.register(address(HOME), "a");
    assert_eq!(world.registration("a").expect("registered").presence, Presence::Listening);
}

#[test]
fn a_large_send_and_a_held_request_do_not_disturb_each_other() {
    let mut world = World::new();
    let register = world.register_packet("ep=a&lt=86400&lwm2m=1.1&b=U&Q", LIST);
    world.ask(address(HOME), &register);
    world.pass(93 * SECOND);
    let operation = Operation::Read { path: path("/3/0/0"), accept: None };
    let request = Request { operation, deadline: world.now + 600 * SECOND, when_asleep: WhenAsleep::Hold };
    let id = world.shard.request(world.now, &endpoint("a"), request).expect("taken");
    world.drain();
    let body = "[{\"n\":\"/3303/0/5700\",\"v\":1}]";
    let (head, tail) = body.split_at(16);
    let block = |id, option: u8, part: &str| {
        Packet::new(Type::Con, Code::POST, id, &[9])
            .path("dp")
            .format(ContentFormat::SENML_JSON)
            .option(OptionNumber::BLOCK1, &[option])
            .payload(part)
    };
    let back = world.send(address(HOME), &block(1, 0x08, head).bytes());
    assert_eq!(back.iter().map(|bytes| read(bytes).code()).collect::<Vec<_>>(), [Code::CONTINUE, Code::GET]);
    let content = answer(&back[1], Code::CONTENT).payload("1");
    world.send(address(HOME), &content.bytes());
    world.send(address(HOME), &block(2, 0x10, tail).bytes());
    let asked = world.events.iter().any(|event| matches!(event, Event::AskDurable { .. }));
    assert!(asked);
    assert_eq!(outcomes(&mut world)[0].0, id);
}
