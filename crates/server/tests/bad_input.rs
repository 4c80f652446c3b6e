//! Whatever arrives: the stated reaction, no panic, no growth.

mod common;

use core::time::Duration;

use common::{LIST, Packet, SECOND, World, address, answer, read};
use lightship_coap::{Code, Message, OptionNumber, Type};
use lightship_server::{Answer, Config, Limits};
use proptest::prelude::*;

const HOME: &str = "192.0.2.1:5683";

/// What may come back.
#[derive(Clone, Copy, Debug)]
enum Reaction {
    Silence,
    Reset,
    /// A Reset or nothing.
    ResetOrSilence,
    Code(Code),
    /// 4.00 or 4.04.
    NoSuchPath,
}

fn bytes(hex: &str) -> Vec<u8> {
    (0..hex.len()).step_by(2).map(|at| u8::from_str_radix(&hex[at..at + 2], 16).expect("hex")).collect()
}

fn check(back: &[Vec<u8>], reaction: Reaction, case: &str) {
    let seen: Vec<_> = back.iter().map(|bytes| (read(bytes).ty(), read(bytes).code())).collect();
    let fits = match (reaction, seen.as_slice()) {
        (Reaction::Silence | Reaction::ResetOrSilence, []) => true,
        (Reaction::Reset | Reaction::ResetOrSilence, [(Type::Reset, _)]) => true,
        (Reaction::Code(code), [(Type::Ack, seen)]) => *seen == code,
        (Reaction::NoSuchPath, [(Type::Ack, seen)]) => matches!(*seen, Code::BAD_REQUEST | Code::NOT_FOUND),
        _ => false,
    };
    assert!(fits, "{case}: {reaction:?} wanted, {seen:?} seen");
}

const CASES: &[(&str, Reaction)] = &[
    ("", Reaction::Silence),
    ("40", Reaction::Silence),
    ("400100", Reaction::Silence),
    ("00011234", Reaction::Silence),
    ("80011234", Reaction::Silence),
    ("49011234aaaaaaaaaaaaaaaaaa", Reaction::ResetOrSilence),
    ("4f011234aaaaaaaaaaaaaaaaaaaaaaaaaaaaaa", Reaction::ResetOrSilence),
    ("48011234aabb", Reaction::ResetOrSilence),
    ("42001234aabb", Reaction::ResetOrSilence),
    ("40001234ff31", Reaction::ResetOrSilence),
    ("40001234", Reaction::Reset),
    ("50001234", Reaction::Silence),
    ("60001234", Reaction::Silence),
    ("70001234", Reaction::Silence),
    ("60011234", Reaction::Silence),
    ("70451234", Reaction::Silence),
    ("40201234", Reaction::ResetOrSilence),
    ("40c01234", Reaction::ResetOrSilence),
    ("42451234aabbff31", Reaction::Reset),
    ("52451234aabbff31", Reaction::ResetOrSilence),
    ("42011234aabbf100", Reaction::ResetOrSilence),
    ("42011234aabb3f00", Reaction::ResetOrSilence),
    ("42011234aabbbd", Reaction::ResetOrSilence),
    ("42011234aabbbeffff33", Reaction::ResetOrSilence),
    ("42011234aabbe0fef2e0fef2", Reaction::ResetOrSilence),
    ("42011234aabbb133ff", Reaction::ResetOrSilence),
    // Options.
    (
        "42021234aabbb2726411283465703d61056c743d3630096c776d326d3d312e31e106e578ff3c2f312f303e",
        Reaction::Code(Code::BAD_OPTION),
    ),
    ("42011234aabbd916636f61703a2f2f782f", Reaction::Code(Code::PROXYING_NOT_SUPPORTED)),
    ("42011234aabbd41a636f6170", Reaction::Code(Code::PROXYING_NOT_SUPPORTED)),
    ("42011234aabb308133", Reaction::Code(Code::BAD_OPTION)),
    ("42011234aabb730102034133", Reaction::Code(Code::BAD_OPTION)),
    ("42011234aabbb133013063000028", Reaction::Code(Code::BAD_OPTION)),
    ("42011234aabbb1330130616e0170", Reaction::Code(Code::BAD_OPTION)),
    ("42011234aabbb2fffe", Reaction::NoSuchPath),
    ("42011234aabbb22e2e027264", Reaction::Code(Code::NOT_FOUND)),
    ("42011234aabbb4332f3000", Reaction::Code(Code::NOT_FOUND)),
    ("421f1234aabbb133", Reaction::Code(Code::METHOD_NOT_ALLOWED)),
    ("42031234aabb506133013002313410ff78", Reaction::Code(Code::BAD_OPTION)),
    ("42021234aabb9109ff00", Reaction::Code(Code::BAD_OPTION)),
    ("42021234aabb91e0ff00", Reaction::Code(Code::BAD_OPTION)),
    // Registration parameters.
    (
        "42021234aabbb272641128356c743d3630096c776d326d3d312e31ff3c2f312f303e2c3c2f332f303e",
        Reaction::Code(Code::BAD_REQUEST),
    ),
    (
        "42021234aabbb2726411283965703d6100620d0a63056c743d3630096c776d326d3d312e31ff3c2f312f303e2c3c2f332f303e",
        Reaction::Code(Code::BAD_REQUEST),
    ),
    (
        "42021234aabbb2726411283465703d61056c743d3630096c776d326d3d392e39ff3c2f312f303e2c3c2f332f303e",
        Reaction::Code(Code::PRECONDITION_FAILED),
    ),
];

// Proves: COA-09, COA-10
#[test]
fn bad_datagrams_get_what_they_deserve_from_strangers_and_from_devices() {
    for (hex, reaction) in CASES {
        let mut world = World::new();
        let stranger = address("203.0.113.1:7");
        check(&world.send(stranger, &bytes(hex)), *reaction, hex);
        world.register(address(HOME), "good");
        check(&world.send(address(HOME), &bytes(hex)), *reaction, hex);
        world.register(stranger, "another");
        assert_eq!(world.shard.stats().registrations, 2, "{hex}");
    }
}

#[test]
fn what_is_dropped_is_counted_once_and_by_its_reason() {
    let counts = |world: &World| {
        let stats = world.shard.stats();
        [stats.malformed, stats.unusable, stats.unmatched, stats.refused_requests, stats.refused_strangers]
    };
    // Malformed; a reserved class; an acknowledgement of nothing; an unknown critical option.
    let cases = [("40001234ff31", 0), ("40c01234", 1), ("60001234", 2), ("42011234aabb308133", 3)];
    for (hex, reason) in cases {
        let mut world = World::new();
        world.register(address(HOME), "good");
        world.send(address(HOME), &bytes(hex));
        let mut wanted = [0; 5];
        wanted[reason] = 1;
        assert_eq!(counts(&world), wanted, "a device: {hex}");

        let mut world = World::new();
        world.send(address("203.0.113.1:7"), &bytes(hex));
        let wanted = if reason == 0 { [1, 0, 0, 0, 0] } else { [0, 0, 0, 0, 1] };
        assert_eq!(counts(&world), wanted, "a stranger: {hex}");
    }
}

#[test]
fn an_answer_to_a_stranger_is_not_longer_than_its_question() {
    for (hex, _) in CASES {
        let mut world = World::new();
        let question = bytes(hex);
        for answer in world.send(address(HOME), &question) {
            assert!(answer.len() <= question.len(), "{hex}");
        }
        assert!(world.shard.stats().peers <= 1);
    }
    // A ping, a Register and what follows it.
    let mut world = World::new();
    let packet = world.register_packet("ep=a&lt=300&lwm2m=1.1", LIST).bytes();
    let back: usize = world.send(address(HOME), &packet).iter().map(Vec::len).sum();
    assert!(back <= packet.len());
}

// Proves: COA-13, SEC-07
#[test]
fn strangers_with_half_a_register_are_bounded_and_do_not_keep_others_out() {
    let limits = Limits { strangers: 100, ..Limits::default() };
    let mut world = World::with(Config { limits, ..Config::default() });
    for port in 1..=2000 {
        let from = address(&format!("203.0.113.1:{port}"));
        let packet = world
            .register_packet("ep=a&lt=300&lwm2m=1.1", "")
            .option(OptionNumber::BLOCK1, &[0x0d])
            .payload([b'<'; 512]);
        assert_eq!(world.ask(from, &packet), Code::CONTINUE);
    }
    assert_eq!(world.shard.stats().peers, 100);
    assert_eq!(world.shard.stats().evicted_strangers, 1900);
    world.register(address(HOME), "good");
    world.pass(Duration::from_secs(600));
    assert_eq!(world.shard.stats().peers, 0, "all is given back");
}

#[test]
fn registers_that_the_host_does_not_answer_are_bounded() {
    let limits = Limits { asks: 50, ..Limits::default() };
    let mut world = World::with(Config { limits, ..Config::default() });
    world.accept = None;
    for port in 1..=200 {
        let packet = world.register_packet(&format!("ep={port}&lt=300&lwm2m=1.1"), LIST);
        let back = world.send(address(&format!("203.0.113.1:{port}")), &packet.bytes());
        let expected = if port <= 50 { Reaction::Silence } else { Reaction::Code(Code::SERVICE_UNAVAILABLE) };
        check(&back, expected, "a Register");
    }
    world.pass(30 * SECOND);
    world.accept = Some(Answer::Accept { observations: Vec::new() });
    world.register(address(HOME), "good");
}

#[test]
fn a_thousand_registers_of_one_endpoint_are_one_registration() {
    let limits = Limits { registers_a_minute_per_device: 0, ..Limits::default() };
    let mut world = World::with(Config { limits, ..Config::default() });
    world.accept = Some(Answer::Accept { observations: vec![common::wanted("/3303/0/5700")] });
    for n in 0..1000_u32 {
        let from = address(&format!("203.0.113.{}:{}", n % 7, 1000 + n));
        world.register(from, "a");
        world.pass(Duration::from_millis(1));
    }
    let stats = world.shard.stats();
    assert_eq!((stats.registrations, stats.observations), (1, 1));
    world.pass(Duration::from_secs(300));
    let stats = world.shard.stats();
    assert_eq!((stats.registrations, stats.observations), (0, 0));
    world.pass(Duration::from_secs(300));
    assert_eq!(world.shard.stats().peers, 0);
    assert_eq!(world.shard.poll_timeout(), None, "nothing is left to be waited for");
}

#[test]
fn many_parameters_and_links_are_refused_at_the_limit() {
    let mut world = World::new();
    let query: Vec<String> = (0..300).map(|n| format!("x{n}=1")).collect();
    let packet = world.register_packet(&format!("ep=a&lt=60&lwm2m=1.1&{}", query.join("&")), LIST);
    assert_eq!(world.ask(address(HOME), &packet), Code::BAD_REQUEST);
    let within = world.register_packet(&format!("ep=a&lt=60&lwm2m=1.1&{}", query[..16].join("&")), LIST);
    assert_eq!(world.ask(address(HOME), &within), Code::CREATED);
    let path = (0..300)
        .fold(Packet::new(Type::Con, Code::POST, 7, &[]), |p, _| p.option(OptionNumber::URI_PATH, b"rd"));
    assert_eq!(world.ask(address("203.0.113.1:1"), &path), Code::NOT_FOUND);
    assert_eq!(world.ask(address(HOME), &path), Code::NOT_FOUND);
}

/// A shard with one registered device, one running observation and one request under way.
fn busy_world() -> (World, Vec<u8>) {
    let mut world = World::new();
    world.accept = Some(Answer::Accept { observations: vec![common::wanted("/3303/0/5700")] });
    world.register(address(HOME), "a");
    let request = world.request_to(address(HOME));
    let first = answer(&request, Code::CONTENT).observe(1).payload("1");
    world.send(address(HOME), &first.bytes());
    world.read_request("a", "/3/0/0");
    (world, request)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn any_bytes_from_anywhere_leave_the_shard_in_service(
        datagrams in proptest::collection::vec(
            (0..4_u8, proptest::collection::vec(any::<u8>(), 0..120), any::<bool>()), 1..60)
    ) {
        let (mut world, _) = busy_world();
        for (from, mut datagram, dressed) in datagrams {
            if dressed && datagram.len() > 4 {
                // A legal header, so that more of it is looked at.
                datagram[0] = 0x40 | datagram[0] & 0x32;
                datagram[1] &= 0x87;
            }
            let from = if from == 0 { address(HOME) } else { address(&format!("203.0.113.{from}:9")) };
            for answer in world.send(from, &datagram) {
                prop_assert!(Message::parse(&answer).is_ok());
            }
            world.pass(Duration::from_millis(100));
        }
        prop_assert!(world.shard.stats().peers <= 4);
        world.register(address("198.51.100.1:1"), "good");
        world.pass(Duration::from_secs(4000));
        prop_assert_eq!(world.shard.stats().registrations, 0);
        prop_assert_eq!(world.shard.stats().peers, 0);
    }

    #[test]
    fn flipped_bits_in_real_traffic_do_no_harm(
        flips in proptest::collection::vec((0..5_usize, any::<u16>(), any::<u8>()), 1..40)
    ) {
        let (mut world, request) = busy_world();
        let location = world.registration("a").expect("registered").id;
        let read_request = world.sent_to(address(HOME)).pop();
        for (which, place, mask) in flips {
            let mut datagram = match which {
                0 => world.register_packet("ep=b&lt=300&lwm2m=1.1&b=U&Q", LIST).bytes(),
                1 => world.update_packet(&format!("rd/{location}"), "lt=60").bytes(),
                2 => common::notification(Type::Con, place, &request, 5, "2").bytes(),
                3 => Packet::new(Type::Con, Code::DELETE, place, &[1]).path("rd/000000000001").bytes(),
                _ => match &read_request {
                    Some(request) => answer(request, Code::CONTENT).payload("x").bytes(),
                    None => Vec::new(),
                },
            };
            if !datagram.is_empty() {
                let place = usize::from(place) % datagram.len();
                datagram[place] ^= mask;
            }
            let from = if which == 0 { address("203.0.113.1:9") } else { address(HOME) };
            for answer in world.send(from, &datagram) {
                prop_assert!(Message::parse(&answer).is_ok());
            }
        }
        prop_assert!(world.shard.stats().registrations <= 3);
        world.register(address("198.51.100.1:1"), "good");
    }
}
