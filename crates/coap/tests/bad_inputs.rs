//! Datagrams and lists that a hostile or broken peer sends, each with the reaction that is right.

#![allow(clippy::unwrap_used, reason = "a test may fail anywhere")]

use lightship_coap::link::{LinkError, Mode, links};
use lightship_coap::peer::{Config, FixedBuffer, Incoming, Peer};
use lightship_coap::{
    Block, BlockSize, Code, Encoder, Message, MessageId, OptionNumber, OptionWriter, Token, Type,
};
use lightship_platform::{Duration, Instant, SeededRng};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Reaction {
    Silence,
    Reset,
    /// Answered without the application.
    Refused(Code),
    /// Handed to the application.
    Served,
}
use Reaction::{Refused, Reset, Served, Silence};

fn bytes(hex: &str) -> Vec<u8> {
    (0..hex.len()).step_by(2).map(|at| u8::from_str_radix(&hex[at..at + 2], 16).unwrap()).collect()
}

fn peer() -> Peer<FixedBuffer<4096>> {
    Peer::new(&mut SeededRng::from_number(3))
}

fn reaction(peer: &mut Peer<FixedBuffer<4096>>, now: Instant, datagram: &[u8]) -> Reaction {
    let config = Config { body_len_max: 2048, ..Config::new() };
    let incoming = peer.handle_input(now, &config, datagram);
    if let Incoming::Notification(notification) = incoming {
        // No observation is known here.
        peer.reject(notification.ticket);
    }
    let mut out = [0; 1152];
    let reply = peer.poll_transmit(&mut out).map(|len| out[..len].to_vec());
    assert_eq!(peer.poll_transmit(&mut [0; 1152]), None);
    match (incoming, reply) {
        (Incoming::Request(_), None) => Served,
        (_, None) => Silence,
        (_, Some(reply)) => {
            let reply = Message::parse(&reply).unwrap();
            assert!(reply.message_id().0.to_be_bytes() == datagram[2..4] || reply.ty() == Type::Non);
            if reply.ty() == Type::Reset { Reset } else { Refused(reply.code()) }
        }
    }
}

/// A datagram in hexadecimal, and the reaction to it.
const TABLE: &[(&str, Reaction)] = &[
    // The message layer.
    ("", Silence),
    ("40", Silence),
    ("400100", Silence),
    ("00011234", Silence),
    ("80011234", Silence),
    ("49011234aaaaaaaaaaaaaaaaaa", Reset),
    ("4f011234aaaaaaaaaaaaaaaaaaaaaaaaaaaaaa", Reset),
    ("48011234aabb", Reset),
    ("42001234aabb", Reset),
    ("40001234ff31", Reset),
    ("40001234", Reset),
    ("50001234", Silence),
    ("60001234", Silence),
    ("70001234", Silence),
    ("60011234", Silence),
    ("70451234", Silence),
    ("40201234", Reset),
    ("40c01234", Reset),
    ("42451234aabbff31", Reset),
    ("52451234aabbff31", Silence),
    ("42011234aabbf100", Reset),
    ("42011234aabb3f00", Reset),
    ("42011234aabbbd", Reset),
    ("42011234aabbbeffff33", Reset),
    ("42011234aabbe0fef2e0fef2", Reset),
    ("42011234aabbb133ff", Reset),
    // Options.
    (
        "42021234aabbb2726411283465703d61056c743d3630096c776d326d3d312e31e106e578ff3c2f312f303e",
        Refused(Code::BAD_OPTION),
    ),
    ("42011234aabbb13301300130e106e978", Refused(Code::BAD_OPTION)),
    ("42011234aabbb13301300130e106ec78", Served),
    ("52011234aabbb13301300130e106e978", Silence),
    ("42011234aabbd916636f61703a2f2f782f", Refused(Code::PROXYING_NOT_SUPPORTED)),
    ("42011234aabbd41a636f6170", Refused(Code::PROXYING_NOT_SUPPORTED)),
    ("42011234aabb308133", Refused(Code::BAD_OPTION)),
    ("42011234aabb730102034133", Refused(Code::BAD_OPTION)),
    ("42011234aabbb133013063000028", Refused(Code::BAD_OPTION)),
    ("42011234aabbb1330130616e0170", Refused(Code::BAD_OPTION)),
    ("42031234aabbb133013002313413000000ff78", Served),
    ("42011234aabbb133013062006e", Served),
    ("42011234aabbb2fffe", Refused(Code::BAD_REQUEST)),
    ("421f1234aabbb133", Refused(Code::METHOD_NOT_ALLOWED)),
    ("42081234aabbb133", Refused(Code::METHOD_NOT_ALLOWED)),
    ("42031234aabb506133013002313410ff78", Refused(Code::BAD_OPTION)),
    ("42021234aabb9109ff00", Refused(Code::BAD_OPTION)),
    ("42021234aabb91e0ff00", Refused(Code::BAD_OPTION)),
    // Blocks.
    ("42031234aabbb133013002313410d10207ff78", Refused(Code::BAD_REQUEST)),
    (
        "42031234aabbb13501300130112ad10258ff78787878787878787878787878787878",
        Refused(Code::REQUEST_ENTITY_INCOMPLETE),
    ),
    ("42031234aabbb13501300130112ad1020aff7878787878", Refused(Code::BAD_REQUEST)),
    (
        "42031234aabbb13501300130112ad10208ff7878787878787878787878787878787878787878",
        Refused(Code::BAD_REQUEST),
    ),
    ("42031234aabbb13501300130112ad40200000000ff78", Refused(Code::BAD_OPTION)),
    (
        "42031234aabbb13501300130112ad302fffffeff78787878787878787878787878787878",
        Refused(Code::REQUEST_ENTITY_INCOMPLETE),
    ),
    (
        "42031234aabbb13501300130112ad10208d414ffffffffff78787878787878787878787878787878",
        Refused(Code::REQUEST_ENTITY_TOO_LARGE),
    ),
    ("42011234aabbb1330130c107", Refused(Code::BAD_REQUEST)),
    // Observe.
    ("4001123460513301300139", Served),
    ("42011234aabb6400000000513301300139", Served),
];

// Proves: COA-09, COA-10
#[test]
fn messages_that_break_the_rules_get_the_reaction_of_the_standards() {
    for (hex, expected) in TABLE {
        // Some rows of the table leave out a byte or two of what they mean; the reaction stands.
        assert_eq!(reaction(&mut peer(), Instant::ZERO, &bytes(hex)), *expected, "{hex}");
    }
}

fn request(id: u16, options: impl FnOnce(&mut OptionWriter<'_>), payload: &[u8]) -> Vec<u8> {
    let mut buffer = vec![0; 70_000];
    let token = Token::new(&[0xaa, 0xbb]).unwrap();
    let mut message = Encoder::new(&mut buffer, Type::Con, Code::PUT, MessageId(id), token);
    options(message.options());
    let len = message.finish_with(payload).unwrap();
    buffer.truncate(len);
    buffer
}

fn block1(num: u32, more: bool) -> impl FnOnce(&mut OptionWriter<'_>) {
    move |options| {
        options.uri_path("5/0/0").block1(Block::new(num, more, BlockSize::MIN).unwrap());
    }
}

#[test]
fn a_block_out_of_turn_drops_the_body_and_block_0_starts_anew() {
    let mut peer = peer();
    let now = Instant::ZERO;
    let mut next_id = 0..;
    let mut put = |num, more, payload: &[u8]| {
        let datagram = request(next_id.next().unwrap(), block1(num, more), payload);
        reaction(&mut peer, now, &datagram)
    };
    let go_on = Refused(Code::CONTINUE);
    assert_eq!(put(0, true, &[1; 16]), go_on);
    assert_eq!(put(2, true, &[1; 16]), Refused(Code::REQUEST_ENTITY_INCOMPLETE));
    assert_eq!(put(1, true, &[1; 16]), Refused(Code::REQUEST_ENTITY_INCOMPLETE), "nothing was kept");
    assert_eq!(put(0, true, &[1; 16]), go_on);
    assert_eq!(put(0, true, &[2; 16]), go_on, "a new body");
    assert_eq!(put(1, false, &[3; 4]), Served);
}

#[test]
fn the_body_of_a_restarted_transfer_is_the_second_one() {
    let mut peer = peer();
    let config = Config::new();
    for (id, num, payload) in [(1, 0, &[1; 16][..]), (2, 0, &[2; 16]), (3, 1, &[3; 16]), (4, 1, &[3; 16])] {
        peer.handle_input(Instant::ZERO, &config, &request(id, block1(num, true), payload));
    }
    let last = request(5, block1(2, false), &[4]);
    let Incoming::Request(whole) = peer.handle_input(Instant::ZERO, &config, &last) else { panic!() };
    let body = [&[2; 16][..], &[3; 16], &[4]].concat();
    assert_eq!(peer.payload(whole.body), body);
}

#[test]
fn a_change_of_format_inside_a_transfer_is_refused() {
    let mut peer = peer();
    let with_format = |num, format| {
        move |options: &mut OptionWriter<'_>| {
            block1(num, true)(options);
            options.uint(OptionNumber::CONTENT_FORMAT, format);
        }
    };
    let first = request(1, with_format(0, 42), &[1; 16]);
    assert_eq!(reaction(&mut peer, Instant::ZERO, &first), Refused(Code::CONTINUE));
    let second = request(2, with_format(1, 60), &[1; 16]);
    assert_eq!(reaction(&mut peer, Instant::ZERO, &second), Refused(Code::REQUEST_ENTITY_INCOMPLETE));
}

// Proves: COA-13
#[test]
fn a_body_is_bounded_in_size_and_in_time() {
    let mut peer = peer();
    let mut refused_at = None;
    for num in 0..1000 {
        let datagram = request(u16::try_from(num).unwrap(), block1(num, true), &[7; 16]);
        if reaction(&mut peer, Instant::ZERO, &datagram) == Refused(Code::REQUEST_ENTITY_TOO_LARGE) {
            refused_at = Some(num);
            break;
        }
    }
    assert_eq!(refused_at, Some(2048 / 16));
    let answers_only = peer.buffered_len();
    assert!(answers_only < 256, "the body was freed");

    let config = Config::new();
    peer.handle_input(Instant::ZERO, &config, &request(5000, block1(0, true), &[7; 16]));
    assert!(!peer.is_idle());
    peer.handle_timeout(Instant::ZERO + Duration::from_secs(248), &config);
    assert!(peer.is_idle());
    assert_eq!(peer.buffered_len(), 0);
}

// Proves: COA-13
#[test]
fn the_number_of_unfinished_bodies_is_bounded_and_the_oldest_gives_way() {
    let mut peer = peer();
    let mut put = |id: u16, path: u16, num, more| {
        let options = |options: &mut OptionWriter<'_>| {
            options.uri_path_number(path).block1(Block::new(num, more, BlockSize::MIN).unwrap());
        };
        reaction(&mut peer, Instant::ZERO, &request(id, options, &[7; 16]))
    };
    for path in 0..100 {
        assert_eq!(put(path, path, 0, true), Refused(Code::CONTINUE));
    }
    assert_eq!(put(200, 99, 1, false), Served, "the newest is still there");
    assert_eq!(put(201, 0, 1, false), Refused(Code::REQUEST_ENTITY_INCOMPLETE));
}

// Proves: COA-03
#[test]
fn a_flood_of_repetitions_and_of_new_requests_keeps_memory_bounded() {
    let mut peer = peer();
    let config = Config::new();
    let mut served = 0;
    let mut most = 0;
    for id in [0xffff, 0, 1].into_iter().chain(2..3000) {
        let datagram = request(id, |_| {}, &[]);
        for _ in 0..3 {
            if let Incoming::Request(request) = peer.handle_input(Instant::ZERO, &config, &datagram) {
                served += 1;
                let answer =
                    peer.respond(Instant::ZERO, &config, request.ticket, Code::CONTENT, |_| {}, &[1; 1000]);
                assert_eq!(answer, Ok(()));
            }
            assert!(peer.poll_transmit(&mut [0; 1152]).is_some());
            most = most.max(peer.buffered_len());
        }
    }
    assert_eq!(served, 3001);
    assert!(most <= 4096);
}

#[test]
fn a_flood_of_unanswered_requests_keeps_memory_bounded_and_the_newest_answerable() {
    let mut peer = peer();
    let config = Config::new();
    let mut last = None;
    for id in 0..3000 {
        let datagram = request(id, |_| {}, &[]);
        if let Incoming::Request(request) = peer.handle_input(Instant::ZERO, &config, &datagram) {
            last = Some(request.ticket);
        }
    }
    peer.respond(Instant::ZERO, &config, last.unwrap(), Code::CHANGED, |_| {}, &[]).unwrap();
    let mut out = [0; 64];
    let len = peer.poll_transmit(&mut out).unwrap();
    assert_eq!(Message::parse(&out[..len]).unwrap().message_id(), MessageId(2999));
}

#[test]
fn giant_messages_cost_bounded_work() {
    let many = |number| {
        move |options: &mut OptionWriter<'_>| {
            for _ in 0..300 {
                options.option(number, b"a");
            }
        }
    };
    for number in [OptionNumber::URI_PATH, OptionNumber::URI_QUERY] {
        assert_eq!(reaction(&mut peer(), Instant::ZERO, &request(1, many(number), &[])), Served);
    }
    let large = request(1, |_| {}, &[0xff; 1300]);
    assert_eq!(reaction(&mut peer(), Instant::ZERO, &large), Served);
    let largest = request(1, |_| {}, &vec![0xff; 65_500]);
    assert_eq!(reaction(&mut peer(), Instant::ZERO, &largest), Refused(Code::REQUEST_ENTITY_TOO_LARGE));
    let mut segment = bytes("42011234aabbbd");
    segment.push(243);
    segment.extend([b'a'; 256]);
    assert_eq!(reaction(&mut peer(), Instant::ZERO, &segment), Refused(Code::BAD_OPTION));
}

#[test]
fn a_block_beyond_the_end_is_a_bad_request() {
    let mut peer = peer();
    let config = Config::new();
    let datagram = bytes("42011234aabbb1330130c23886");
    let Incoming::Request(request) = peer.handle_input(Instant::ZERO, &config, &datagram) else { panic!() };
    peer.respond(Instant::ZERO, &config, request.ticket, Code::CONTENT, |_| {}, b"short").unwrap();
    let mut out = [0; 64];
    let len = peer.poll_transmit(&mut out).unwrap();
    assert_eq!(Message::parse(&out[..len]).unwrap().code(), Code::BAD_REQUEST);
}

// Proves: FMT-28
#[test]
fn broken_link_lists_are_refused_at_the_right_place() {
    let table: [(&str, Mode, Result<usize, LinkError>); 15] = [
        ("</1/0>,,</3/0>", Mode::Tolerant, Err(LinkError::ExpectedLink(7))),
        ("</1/0", Mode::Tolerant, Err(LinkError::Target(5))),
        ("1/0,3/0", Mode::Tolerant, Err(LinkError::ExpectedLink(0))),
        ("</1/0>;", Mode::Strict, Err(LinkError::Name(7))),
        ("</1/0>;", Mode::Tolerant, Ok(1)),
        ("</1/0>;ver", Mode::Strict, Ok(1)),
        ("</1/0>;ver=\"1.1", Mode::Tolerant, Err(LinkError::Quote(11))),
        ("</1/0>;ver=", Mode::Strict, Err(LinkError::Value(11))),
        ("</1/0>;ver=", Mode::Tolerant, Ok(1)),
        ("</1/0> , </3/0> ", Mode::Strict, Err(LinkError::Separator(6))),
        ("</1/0> , </3/0> ", Mode::Tolerant, Ok(2)),
        ("</1/0>,</3/0>,", Mode::Strict, Err(LinkError::ExpectedLink(14))),
        ("</1/0>,</3/0>, ", Mode::Tolerant, Ok(2)),
        ("</1/0>,,", Mode::Tolerant, Err(LinkError::ExpectedLink(7))),
        ("</1/0></3/0>", Mode::Tolerant, Err(LinkError::Separator(6))),
    ];
    for (text, mode, expected) in table {
        let read = links(text, mode).collect::<Result<Vec<_>, _>>().map(|links| links.len());
        assert_eq!(read, expected, "{text} {mode:?}");
    }
}

#[test]
fn long_nonsense_is_refused_in_linear_time() {
    for nonsense in ["<", ",", ";", "\"", "<>;", "</1>;a=\"\\", "</1>;a", "</1>,"] {
        let text = nonsense.repeat(200_000);
        for mode in [Mode::Strict, Mode::Tolerant] {
            let last = links(&text, mode).last();
            let is_list_of_flags = nonsense == "</1>;a" || nonsense == "<>;";
            let is_list = is_list_of_flags || (nonsense == "</1>," && mode == Mode::Tolerant);
            assert!(last.is_some_and(|last| last.is_err()) || is_list, "{nonsense}");
        }
    }
}
