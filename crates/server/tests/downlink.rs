//! Requests to devices: their form, their order, and that each ends once.

#![allow(clippy::wildcard_enum_match_arm, reason = "a test looks for one event")]

mod common;

use core::time::Duration;

use common::{LIST, Packet, SECOND, World, address, answer, endpoint, path, read, uri};
use lightship_coap::{Code, ContentFormat, OptionNumber, Type};
use lightship_server::{
    Answer, Config, Content, Event, Limits, Operation, Outcome, Request, RequestError, RequestId, WhenAsleep,
};

const HOME: &str = "192.0.2.1:5683";

fn outcomes(world: &mut World) -> Vec<(RequestId, Outcome)> {
    let done = |event| match event {
        Event::RequestDone { id, outcome, .. } => Some((id, outcome)),
        _ => None,
    };
    world.take_events().into_iter().filter_map(done).collect()
}

fn code_of(outcome: &Outcome) -> Option<Code> {
    if let Outcome::Response(response) = outcome { Some(response.code) } else { None }
}

fn content(format: ContentFormat, text: &str) -> Content {
    Content { format, payload: text.as_bytes().into() }
}

impl World {
    fn ask_device(&mut self, operation: Operation, patience: Duration) -> Result<RequestId, RequestError> {
        let request = Request::new(operation, self.now + patience);
        let id = self.shard.request(self.now, &endpoint("a"), request);
        self.drain();
        id
    }
}

// Proves: COA-04
#[test]
fn operations_are_the_requests_of_the_standard() {
    let senml = ContentFormat::SENML_CBOR;
    let cases = [
        (Operation::Read { path: path("/3/0/9"), accept: Some(senml) }, "0.01 /3/0/9 accept 112"),
        (Operation::Read { path: path("/3"), accept: None }, "0.01 /3"),
        (Operation::Discover { path: path("/3/0"), depth: None }, "0.01 /3/0 accept 40"),
        (Operation::Discover { path: path("/3"), depth: Some(2) }, "0.01 /3 ?depth=2 accept 40"),
        (
            Operation::Replace { path: path("/1/0/1"), content: content(ContentFormat::TEXT, "60") },
            "0.03 /1/0/1 format 0 60",
        ),
        (
            Operation::PartialUpdate { path: path("/1/0"), content: content(senml, "x") },
            "0.02 /1/0 format 112 x",
        ),
        (
            Operation::WriteAttributes {
                path: path("/3/0/9"),
                attributes: vec!["pmin=5".into(), "st".into()],
            },
            "0.03 /3/0/9 ?pmin=5 ?st",
        ),
        (Operation::Execute { path: path("/3/0/4"), arguments: String::new() }, "0.02 /3/0/4"),
        (
            Operation::Execute { path: path("/1/0/8"), arguments: "0='U'".into() },
            "0.02 /1/0/8 format 0 0='U'",
        ),
        (Operation::Create { path: path("/3303"), content: None }, "0.02 /3303"),
        (
            Operation::Create { path: path("/3303"), content: Some(content(senml, "y")) },
            "0.02 /3303 format 112 y",
        ),
        (Operation::Delete { path: path("/3303/1") }, "0.04 /3303/1"),
    ];
    for (operation, expected) in cases {
        let mut world = World::new();
        world.register(address(HOME), "a");
        let id = world.ask_device(operation, 60 * SECOND).expect("taken");
        let request = world.request_to(address(HOME));
        let message = read(&request);
        let mut text = format!("{} {}", message.code(), uri(&message));
        message.uri_query().for_each(|query| text += &format!(" ?{query}"));
        message.accept().iter().for_each(|format| text += &format!(" accept {}", format.0));
        message.content_format().iter().for_each(|format| text += &format!(" format {}", format.0));
        if !message.payload().is_empty() {
            text += &format!(" {}", String::from_utf8_lossy(message.payload()));
        }
        assert_eq!(text, expected);
        assert_eq!((message.ty(), message.observe()), (Type::Con, None));
        world.send(address(HOME), &answer(&request, Code::CHANGED).bytes());
        let done = outcomes(&mut world);
        assert_eq!(done.len(), 1);
        assert_eq!((done[0].0, code_of(&done[0].1)), (id, Some(Code::CHANGED)));
    }
}

// Proves: GEN-11
#[test]
fn what_cannot_be_asked_is_not_sent() {
    let mut world = World::new();
    world.register(address(HOME), "a");
    let wrong = [
        Operation::Read { path: path("/"), accept: None },
        Operation::Replace { path: path("/3"), content: content(ContentFormat::TEXT, "") },
        Operation::Execute { path: path("/3/0"), arguments: String::new() },
        Operation::Execute { path: path("/3/0/4/0"), arguments: String::new() },
        Operation::Create { path: path("/3/0"), content: None },
        Operation::Delete { path: path("/3") },
        Operation::Delete { path: path("/3/0/1") },
    ];
    for operation in wrong {
        assert_eq!(world.ask_device(operation, SECOND), Err(RequestError::WrongPath));
    }
    let limits = Limits { request_body: 10, ..Limits::default() };
    let mut small = World::with(Config { limits, ..Config::default() });
    small.register(address(HOME), "a");
    let long =
        Operation::Replace { path: path("/3/0/14"), content: content(ContentFormat::TEXT, "01234567890") };
    assert_eq!(small.ask_device(long, SECOND), Err(RequestError::TooLarge));
    world.shard.forget(world.now, &endpoint("a"));
    let gone = Operation::Delete { path: path("/3303/1") };
    assert_eq!(world.ask_device(gone, SECOND), Err(RequestError::UnknownEndpoint));
    assert!(world.sent_to(address(HOME)).is_empty());
}

// Proves: GEN-08
#[test]
fn an_alternate_root_stands_before_every_path() {
    let mut world = World::new();
    let list = "</lwm2m/root>;rt=\"oma.lwm2m\";ct=110,</lwm2m/root/1/0>,</lwm2m/root/3/0>,</5/0>";
    let packet = world.register_packet("ep=a&lt=300&lwm2m=1.1", list);
    assert_eq!(world.ask(address(HOME), &packet), Code::CREATED);
    let objects = world.registration("a").expect("registered").details.objects.clone();
    assert_eq!((&*objects.root, objects.objects.len()), ("lwm2m/root", 2));
    world.read_request("a", "/3/0/9");
    let request = world.request_to(address(HOME));
    assert_eq!(uri(&read(&request)), "/lwm2m/root/3/0/9");
    world.send(address(HOME), &answer(&request, Code::CONTENT).bytes());
    let deadline = world.now + SECOND;
    let observed = world.shard.observe(
        world.now,
        &endpoint("a"),
        common::wanted("/3/0/9"),
        deadline,
        WhenAsleep::Refuse,
    );
    assert!(observed.is_ok());
    world.drain();
    assert_eq!(uri(&read(&world.request_to(address(HOME)))), "/lwm2m/root/3/0/9");
}

// Proves: COA-06
#[test]
fn a_device_gets_one_request_at_a_time_in_order() {
    let mut world = World::new();
    world.register(address(HOME), "a");
    let ids: Vec<_> = (0..100).map(|n| world.read_request("a", &format!("/3303/{n}"))).collect();
    for (n, id) in ids.iter().enumerate() {
        let request = world.request_to(address(HOME));
        assert_eq!(uri(&read(&request)), format!("/3303/{n}"));
        world.send_keeping(&answer(&request, Code::CONTENT).payload("x").bytes());
        let done = outcomes(&mut world);
        assert_eq!(done.len(), 1);
        assert_eq!(done[0].0, *id);
    }
    assert!(world.sent_to(address(HOME)).is_empty());
}

impl World {
    /// Hands a datagram in from the device; what comes back stays to be looked at.
    fn send_keeping(&mut self, datagram: &[u8]) {
        let back = self.send(address(HOME), datagram);
        self.out.extend(back.into_iter().map(|bytes| (address(HOME), bytes)));
    }
}

#[test]
fn a_line_has_an_end() {
    let limits = Limits { line: 3, requests: 5, ..Limits::default() };
    let mut world = World::with(Config { limits, ..Config::default() });
    world.register(address(HOME), "a");
    world.register(address("192.0.2.2:1"), "b");
    let read = |world: &mut World, name: &str| {
        let operation = Operation::Read { path: path("/3/0"), accept: None };
        let request = Request::new(operation, world.now + SECOND);
        world.shard.request(world.now, &endpoint(name), request)
    };
    let results: Vec<_> = (0..4).map(|_| read(&mut world, "a").err()).collect();
    assert_eq!(results, [None, None, None, Some(RequestError::LineFull)]);
    let results: Vec<_> = (0..3).map(|_| read(&mut world, "b").err()).collect();
    assert_eq!(results, [None, None, Some(RequestError::Overloaded)]);
    world.pass(2 * SECOND);
    assert_eq!(outcomes(&mut world).len(), 5, "all ended at their deadline");
    assert!(read(&mut world, "a").is_ok());
}

// Proves: COA-02
#[test]
fn a_request_is_repeated_and_then_given_up() {
    let mut world = World::new();
    world.register(address(HOME), "a");
    world.take_events();
    let begin = world.now;
    let first = world.read_request("a", "/3/0/0");
    let second = world.read_request("a", "/3/0/1");
    world.pass(61 * SECOND);
    let sent = world.sent_to(address(HOME));
    assert_eq!(sent.len(), 5, "once and four repetitions");
    assert!(sent.iter().all(|bytes| *bytes == sent[0]));
    assert!(outcomes(&mut world).is_empty());
    world.pass(33 * SECOND);
    assert_eq!(outcomes(&mut world), [(first, Outcome::Timeout)]);
    assert!(world.now.saturating_duration_since(begin) <= Duration::from_secs(94));
    let next = world.sent_to(address(HOME));
    assert_eq!(uri(&read(&next[0])), "/3/0/1", "the line goes on");
    world.send(address(HOME), &answer(&next[0], Code::CONTENT).bytes());
    assert_eq!(outcomes(&mut world)[0].0, second);
}

#[test]
fn a_deadline_ends_what_waits_and_what_is_under_way() {
    let mut world = World::new();
    world.register(address(HOME), "a");
    world.take_events();
    let patient = Operation::Read { path: path("/3/0/0"), accept: None };
    let first = world.ask_device(patient.clone(), 10 * SECOND).expect("taken");
    let second = world.ask_device(patient.clone(), 5 * SECOND).expect("taken");
    let third = world.ask_device(patient, 90 * SECOND).expect("taken");
    world.pass(6 * SECOND);
    assert_eq!(outcomes(&mut world), [(second, Outcome::Timeout)]);
    world.sent_to(address(HOME));
    world.pass(5 * SECOND);
    assert_eq!(outcomes(&mut world), [(first, Outcome::Timeout)]);
    let request = world.sent_to(address(HOME)).pop().expect("the third");
    world.send(address(HOME), &answer(&request, Code::CONTENT).bytes());
    assert_eq!(outcomes(&mut world)[0].0, third);
    world.pass(300 * SECOND);
    assert!(outcomes(&mut world).is_empty() && world.sent_to(address(HOME)).is_empty());
}

#[test]
fn cancelling_ends_a_request_once() {
    let mut world = World::new();
    world.register(address(HOME), "a");
    world.take_events();
    let first = world.read_request("a", "/3/0/0");
    let second = world.read_request("a", "/3/0/1");
    let late = world.request_to(address(HOME));
    for id in [second, second, first, first] {
        world.shard.cancel(world.now, id);
        world.drain();
    }
    assert_eq!(outcomes(&mut world), [(second, Outcome::Cancelled), (first, Outcome::Cancelled)]);
    world.send(address(HOME), &answer(&late, Code::CONTENT).bytes());
    world.pass(200 * SECOND);
    assert!(outcomes(&mut world).is_empty());
    assert!(world.sent_to(address(HOME)).is_empty());
}

// Proves: GEN-06
#[test]
fn every_response_code_comes_through_as_it_is() {
    let mut world = World::new();
    world.register(address(HOME), "a");
    for byte in (0x40..=0x5e).chain(0x80..=0xbf) {
        let id = world.read_request("a", "/3/0/0");
        let request = world.request_to(address(HOME));
        // 2.31 and 4.08 would speak about blocks.
        world.send_keeping(&answer(&request, Code(byte)).payload("why").bytes());
        let done = outcomes(&mut world);
        let Outcome::Response(response) = &done[0].1 else { panic!("{:?}", done[0]) };
        assert_eq!((done[0].0, response.code, &*response.payload), (id, Code(byte), &b"why"[..]));
    }
}

// Proves: COA-07
#[test]
fn a_reset_and_an_answer_from_elsewhere() {
    let mut world = World::new();
    world.register(address(HOME), "a");
    world.register(address("192.0.2.2:1"), "b");
    world.take_events();
    let id = world.read_request("a", "/3/0/0");
    let request = world.request_to(address(HOME));
    for stranger in ["203.0.113.1:1", "192.0.2.2:1"] {
        world.send(address(stranger), &answer(&request, Code::CONTENT).payload("lie").bytes());
        assert!(outcomes(&mut world).is_empty());
    }
    let reset = Packet::new(Type::Reset, Code::EMPTY, read(&request).message_id().0, &[]);
    world.send(address(HOME), &reset.bytes());
    assert_eq!(outcomes(&mut world), [(id, Outcome::Reset)]);
}

// Proves: COA-08
#[test]
fn an_answer_may_come_separately() {
    for early in [false, true] {
        let mut world = World::new();
        world.register(address(HOME), "a");
        world.take_events();
        let id = world.read_request("a", "/3/0/0");
        let request = world.request_to(address(HOME));
        let ack = Packet::new(Type::Ack, Code::EMPTY, read(&request).message_id().0, &[]);
        let mut separate = answer(&request, Code::CONTENT).payload("x");
        (separate.ty, separate.id) = (Type::Con, 4321);
        if !early {
            world.send(address(HOME), &ack.bytes());
            world.pass(60 * SECOND);
            assert!(world.sent_to(address(HOME)).is_empty(), "not repeated after the acknowledgement");
        }
        let back = world.send(address(HOME), &separate.bytes());
        assert_eq!((read(&back[0]).ty(), read(&back[0]).message_id().0), (Type::Ack, 4321));
        assert_eq!(outcomes(&mut world)[0].0, id);
        world.send(address(HOME), &ack.bytes());
        world.pass(100 * SECOND);
        assert!(world.sent_to(address(HOME)).is_empty());
    }
}

fn block(number: usize, more: bool, szx: u8) -> Vec<u8> {
    let value = u32::try_from(number << 4).expect("few") | u32::from(more) << 3 | u32::from(szx);
    let bytes = value.to_be_bytes();
    let skip = bytes.iter().take_while(|byte| **byte == 0).count();
    bytes[skip..].to_vec()
}

// Proves: COA-12
#[test]
fn long_answers_and_long_writes_travel_in_blocks() {
    let mut world = World::new();
    world.register(address(HOME), "a");
    world.take_events();
    let id = world.read_request("a", "/3");
    let body: Vec<u8> = (0..3000_u32).map(|n| n.to_le_bytes()[0]).collect();
    let blocks: Vec<_> = body.chunks(1024).collect();
    for (number, part) in blocks.iter().enumerate() {
        let request = world.request_to(address(HOME));
        assert_eq!(uri(&read(&request)), "/3");
        let more = number + 1 < blocks.len();
        let packet = answer(&request, Code::CONTENT).option(OptionNumber::BLOCK2, &block(number, more, 6));
        world.send_keeping(&packet.payload(part).bytes());
    }
    let done = outcomes(&mut world);
    let Outcome::Response(response) = &done[0].1 else { panic!("{:?}", done[0]) };
    assert_eq!((done[0].0, &*response.payload), (id, &*body));

    let content = Content { format: ContentFormat::OPAQUE, payload: body.clone().into() };
    let write = Operation::Replace { path: path("/5/0/0"), content };
    let id = world.ask_device(write, 600 * SECOND).expect("taken");
    let mut received = Vec::new();
    while received.len() < body.len() {
        let request = world.request_to(address(HOME));
        let message = read(&request);
        received.extend_from_slice(message.payload());
        let block1 = message.option(OptionNumber::BLOCK1).expect("in blocks").value.to_vec();
        let code = if received.len() < body.len() { Code::CONTINUE } else { Code::CHANGED };
        world.send_keeping(&answer(&request, code).option(OptionNumber::BLOCK1, &block1).bytes());
    }
    assert_eq!(received, body);
    let done = outcomes(&mut world);
    assert_eq!((done[0].0, code_of(&done[0].1)), (id, Some(Code::CHANGED)));
}

// Proves: COA-13
#[test]
fn a_device_that_never_stops_answering_is_stopped() {
    let limits = Limits { body: 16 * 1024, ..Limits::default() };
    let mut world = World::with(Config { limits, ..Config::default() });
    world.register(address(HOME), "a");
    world.take_events();
    world.read_request("a", "/3");
    for number in 0..100 {
        let requests = world.sent_to(address(HOME));
        let Some(request) = requests.iter().find(|bytes| read(bytes).code().is_request()) else { break };
        let packet = answer(request, Code::CONTENT).option(OptionNumber::BLOCK2, &block(number, true, 6));
        world.send_keeping(&packet.payload([7; 1024]).bytes());
    }
    assert!(matches!(outcomes(&mut world)[..], [(_, Outcome::Broken)]));
    // The same block again and again.
    world.read_request("a", "/3");
    for _ in 0..10 {
        let requests = world.sent_to(address(HOME));
        let Some(request) = requests.iter().find(|bytes| read(bytes).code().is_request()) else { break };
        let packet = answer(request, Code::CONTENT).option(OptionNumber::BLOCK2, &block(0, true, 6));
        world.send_keeping(&packet.payload([7; 1024]).bytes());
    }
    assert!(matches!(outcomes(&mut world)[..], [(_, Outcome::Broken)]));
}

// Proves: GEN-07
#[test]
fn nothing_is_asked_of_a_device_before_its_register_is_answered() {
    let mut world = World::new();
    world.accept = None;
    let packet = world.register_packet("ep=a&lt=300&lwm2m=1.1", LIST);
    world.send(address(HOME), &packet.bytes());
    let ask = world.take_events().into_iter().find_map(|event| match event {
        Event::AskRegister { ask, .. } => Some(ask),
        _ => None,
    });
    let early = Operation::Read { path: path("/3/0"), accept: None };
    assert_eq!(world.ask_device(early, SECOND), Err(RequestError::UnknownEndpoint));
    let observations = vec![common::wanted("/3/0/9")];
    world.shard.answer(world.now, ask.expect("asked"), Answer::Accept { observations });
    world.drain();
    let codes: Vec<_> = world.sent_to(address(HOME)).iter().map(|bytes| read(bytes).code()).collect();
    assert_eq!(codes, [Code::CREATED, Code::GET]);
}

#[test]
fn a_silent_device_costs_no_coap_state() {
    let mut world = World::new();
    world.register(address(HOME), "a");
    assert_eq!(world.shard.stats().peers, 1);
    world.pass(260 * SECOND);
    assert_eq!(world.shard.stats().peers, 0);
    assert_eq!(world.shard.stats().registrations, 1);
    world.read_request("a", "/3/0/0");
    let request = world.request_to(address(HOME));
    world.send(address(HOME), &answer(&request, Code::CONTENT).bytes());
    assert_eq!(outcomes(&mut world).len(), 1);
}
