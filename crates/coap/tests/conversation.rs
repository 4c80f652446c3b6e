//! One peer, datagram by datagram: what RFC 7252, 7641 and 7959 say must be seen on the wire.

#![allow(clippy::unwrap_used, reason = "a test may fail anywhere")]

use lightship_coap::peer::{
    Body, CacheKey, Config, Dropped, Failure, FixedBuffer, Incoming, NewNotification, NewRequest, Peer,
    PeerEvent, Request, SendError,
};
use lightship_coap::{
    Block, BlockSize, Code, ContentFormat, Encoder, Message, MessageId, OptionWriter, Token, Type,
};
use lightship_platform::{Duration, Instant, SeededRng};

struct Test {
    peer: Peer<FixedBuffer<8192>>,
    config: Config,
    now: Instant,
}

fn test() -> Test {
    let peer = Peer::new(&mut SeededRng::from_number(5));
    Test { peer, config: Config::new(), now: Instant::from_secs(10) }
}

fn no_options(_: &mut OptionWriter<'_>) {}

fn token() -> Token {
    Token::new(b"tok").unwrap()
}

fn message(
    ty: Type,
    code: Code,
    id: u16,
    token: Token,
    options: impl FnOnce(&mut OptionWriter<'_>),
    payload: &[u8],
) -> Vec<u8> {
    let mut buffer = [0; 2000];
    let mut encoder = Encoder::new(&mut buffer, ty, code, MessageId(id), token);
    options(encoder.options());
    let len = encoder.finish_with(payload).unwrap();
    buffer[..len].to_vec()
}

fn empty(ty: Type, id: u16) -> Vec<u8> {
    message(ty, Code::EMPTY, id, Token::EMPTY, no_options, &[])
}

fn block(num: u32, more: bool, szx: u8) -> Block {
    Block::new(num, more, BlockSize::from_szx(szx).unwrap()).unwrap()
}

fn id(datagram: &[u8]) -> u16 {
    Message::parse(datagram).unwrap().message_id().0
}

fn request_of(incoming: Incoming<'_>) -> Request<'_> {
    let Incoming::Request(request) = incoming else { panic!("no request: {incoming:?}") };
    request
}

impl Test {
    fn input<'d>(&mut self, datagram: &'d [u8]) -> Incoming<'d> {
        self.peer.handle_input(self.now, &self.config, datagram)
    }

    fn sent(&mut self) -> Option<Vec<u8>> {
        let mut out = [0; 1152];
        self.peer.poll_transmit(&mut out).map(|len| out[..len].to_vec())
    }

    fn sent_one(&mut self) -> Vec<u8> {
        let datagram = self.sent().expect("something is sent");
        assert_eq!(self.sent(), None, "and nothing else");
        datagram
    }

    /// Lets a datagram in, and returns the one reply to it.
    fn reply(&mut self, datagram: &[u8]) -> Vec<u8> {
        self.input(datagram);
        self.sent_one()
    }

    fn wait_until(&mut self, at: Instant) {
        self.now = at;
        self.peer.handle_timeout(at, &self.config);
    }

    fn next_timeout(&mut self) -> Instant {
        self.peer.poll_timeout(&self.config).unwrap()
    }

    fn respond(&mut self, request: Request<'_>, code: Code, payload: &[u8]) -> Result<(), SendError> {
        self.peer.respond(self.now, &self.config, request.ticket, code, no_options, payload)
    }

    fn request(&mut self, new: NewRequest, payload: &[u8]) -> lightship_coap::peer::ExchangeId {
        let options = |options: &mut OptionWriter<'_>| {
            options.uri_path("3/0");
        };
        self.peer.request(self.now, &self.config, new, options, payload).unwrap()
    }

    fn body(&self, body: Body<'_>) -> Vec<u8> {
        self.peer.payload(body).to_vec()
    }
}

// Proves: COA-02
#[test]
fn a_confirmable_message_is_sent_five_times_and_given_up_after_62_to_93_seconds() {
    let mut test = test();
    let exchange = test.request(NewRequest::con(Code::GET), &[]);
    let first = test.sent_one();
    let begun = test.now;
    let mut last = begun;
    let mut waits = Vec::new();
    for _ in 0..4 {
        let at = test.next_timeout();
        waits.push(at.saturating_duration_since(last));
        last = at;
        test.wait_until(at);
        assert_eq!(test.sent_one(), first, "a retransmission repeats the same bytes");
        assert_eq!(test.peer.poll_event(), None);
    }
    let at = test.next_timeout();
    waits.push(at.saturating_duration_since(last));
    test.wait_until(at);
    assert_eq!(test.sent(), None);
    let failed = PeerEvent::RequestFailed { exchange, reason: Failure::Timeout };
    assert_eq!(test.peer.poll_event(), Some(failed));
    assert_eq!(test.peer.poll_event(), None);
    assert_eq!(test.peer.poll_timeout(&test.config), None);

    assert!((2_000..=3_000).contains(&waits[0].as_millis()));
    assert!(waits.windows(2).all(|pair| pair[1] == pair[0] * 2));
    let total = at.saturating_duration_since(begun);
    assert!((62..=93).contains(&total.as_secs()), "{total:?}");
}

// Proves: COA-03
#[test]
fn a_repeated_request_gets_the_same_answer_and_is_not_delivered_again() {
    let mut test = test();
    let datagram = message(Type::Con, Code::POST, 7, token(), no_options, b"go");
    let request = request_of(test.input(&datagram));
    test.respond(request, Code::CHANGED, b"done").unwrap();
    let answer = test.sent_one();
    let parsed = Message::parse(&answer).unwrap();
    assert_eq!((parsed.ty(), parsed.message_id().0, parsed.token()), (Type::Ack, 7, token()));

    test.now += Duration::from_secs(246);
    // The same ID and token count, whatever else the message says.
    let other = message(Type::Con, Code::POST, 7, token(), no_options, b"go elsewhere");
    for _ in 0..1000 {
        assert_eq!(test.input(&other), Incoming::Nothing);
        assert_eq!(test.sent_one(), answer);
    }
    test.now += Duration::from_secs(2);
    assert!(matches!(test.input(&datagram), Incoming::Request(_)), "after EXCHANGE_LIFETIME it is new");
}

#[test]
fn a_non_confirmable_request_is_remembered_for_145_seconds_and_answered_once() {
    let mut test = test();
    let datagram = message(Type::Non, Code::GET, 7, token(), no_options, &[]);
    let request = request_of(test.input(&datagram));
    test.respond(request, Code::CONTENT, b"1").unwrap();
    let answer = test.sent_one();
    let parsed = Message::parse(&answer).unwrap();
    assert_eq!((parsed.ty(), parsed.token()), (Type::Non, token()));
    test.now += Duration::from_secs(144);
    assert_eq!(test.input(&datagram), Incoming::Nothing);
    assert_eq!(test.sent(), None);
    test.now += Duration::from_secs(2);
    assert!(matches!(test.input(&datagram), Incoming::Request(_)));
}

// Proves: COA-08
#[test]
fn an_answer_that_takes_long_is_sent_separately_and_repeated_until_acknowledged() {
    let mut test = test();
    let datagram = message(Type::Con, Code::GET, 7, token(), no_options, &[]);
    let request = request_of(test.input(&datagram));
    assert_eq!(test.sent(), None);
    assert_eq!(test.input(&datagram), Incoming::Nothing);
    assert_eq!(test.sent(), None, "the application still thinks, and the ACK is not due");
    let at = test.next_timeout();
    assert_eq!(at, test.now + test.config.piggyback_within);
    test.wait_until(at);
    assert_eq!(test.sent_one(), empty(Type::Ack, 7));
    assert_eq!(test.reply(&datagram), empty(Type::Ack, 7));

    test.respond(request, Code::CONTENT, b"1").unwrap();
    let answer = test.sent_one();
    let parsed = Message::parse(&answer).unwrap();
    assert_eq!((parsed.ty(), parsed.token(), parsed.payload()), (Type::Con, token(), &b"1"[..]));
    let at = test.next_timeout();
    test.wait_until(at);
    assert_eq!(test.sent_one(), answer);
    assert_eq!(test.input(&empty(Type::Ack, id(&answer))), Incoming::Nothing);
    assert_eq!(test.peer.poll_timeout(&test.config), None);
    assert_eq!(test.respond(request, Code::CONTENT, b"2"), Err(SendError::Answered));
    assert_eq!(test.sent(), None);
}

#[test]
fn a_separate_answer_that_is_reset_is_reported_lost() {
    let mut test = test();
    let datagram = message(Type::Con, Code::GET, 7, token(), no_options, &[]);
    let request = request_of(test.input(&datagram));
    test.wait_until(test.now + Duration::from_secs(1));
    test.sent_one();
    test.respond(request, Code::CONTENT, b"1").unwrap();
    let answer = test.sent_one();
    test.input(&empty(Type::Reset, id(&answer)));
    assert_eq!(test.peer.poll_event(), Some(PeerEvent::ResponseLost));
}

// Proves: COA-06
#[test]
fn a_second_request_waits_until_the_first_has_ended() {
    let mut test = test();
    test.request(NewRequest::con(Code::GET), &[]);
    let first = test.sent_one();
    let again = test.peer.request(test.now, &test.config, NewRequest::con(Code::GET), no_options, &[]);
    assert_eq!(again, Err(SendError::Busy));
    // An empty acknowledgement does not end it.
    test.input(&empty(Type::Ack, id(&first)));
    assert!(!test.peer.can_send(&test.config));
    let token = Message::parse(&first).unwrap().token();
    let response = message(Type::Con, Code::CONTENT, 90, token, no_options, b"1");
    assert!(matches!(test.input(&response), Incoming::Response(_)));
    assert!(test.peer.can_send(&test.config));
}

// Proves: COA-07
#[test]
fn a_response_is_matched_by_token_and_a_piggybacked_one_by_message_id_too() {
    let mut test = test();
    let exchange = test.request(NewRequest::con(Code::GET), &[]);
    let sent = test.sent_one();
    let right = Message::parse(&sent).unwrap().token();
    let wrong_id = message(Type::Ack, Code::CONTENT, id(&sent) ^ 1, right, no_options, b"1");
    assert_eq!(test.input(&wrong_id), Incoming::Dropped(Dropped::Unmatched));
    let wrong_token = message(Type::Ack, Code::CONTENT, id(&sent), token(), no_options, b"1");
    assert_eq!(test.input(&wrong_token), Incoming::Dropped(Dropped::Unmatched));
    let good = message(Type::Ack, Code::CONTENT, id(&sent), right, no_options, b"1");
    let Incoming::Response(response) = test.input(&good) else { panic!("no response") };
    assert_eq!((response.exchange, response.token), (exchange, right));
    assert_eq!(test.body(response.body), b"1");
    assert_eq!(test.sent(), None);
    assert_eq!(test.peer.poll_timeout(&test.config), None);
    assert_eq!(test.input(&good), Incoming::Dropped(Dropped::Unmatched));
}

// Proves: COA-08
#[test]
fn a_separate_response_that_overtakes_the_acknowledgement_ends_the_request() {
    for ty in [Type::Con, Type::Non] {
        let mut test = test();
        test.request(NewRequest::con(Code::GET), &[]);
        let sent = test.sent_one();
        let right = Message::parse(&sent).unwrap().token();
        let response = message(ty, Code::CONTENT, 900, right, no_options, b"1");
        assert!(matches!(test.input(&response), Incoming::Response(_)));
        let ack = (ty == Type::Con).then(|| empty(Type::Ack, 900));
        assert_eq!(test.sent(), ack);
        assert_eq!(test.input(&empty(Type::Ack, id(&sent))), Incoming::Dropped(Dropped::Unmatched));
        // Its repetition is acknowledged again and not delivered.
        assert_eq!(test.input(&response), Incoming::Nothing);
        assert_eq!(test.sent(), ack);
    }
}

#[test]
fn a_request_that_is_reset_fails() {
    let mut test = test();
    let exchange = test.request(NewRequest::con(Code::GET), &[]);
    let sent = test.sent_one();
    assert_eq!(test.input(&empty(Type::Reset, id(&sent))), Incoming::Nothing);
    let failed = PeerEvent::RequestFailed { exchange, reason: Failure::Reset };
    assert_eq!(test.peer.poll_event(), Some(failed));
    assert_eq!(test.sent(), None);
}

#[test]
fn an_acknowledged_request_without_response_fails_in_the_end() {
    let mut test = test();
    let exchange = test.request(NewRequest::con(Code::GET), &[]);
    let sent = test.sent_one();
    test.input(&empty(Type::Ack, id(&sent)));
    let at = test.next_timeout();
    assert_eq!(at, test.now + test.config.response_within);
    test.wait_until(at);
    let failed = PeerEvent::RequestFailed { exchange, reason: Failure::Timeout };
    assert_eq!(test.peer.poll_event(), Some(failed));
}

#[test]
fn a_cancelled_request_leaves_nothing_behind() {
    let mut test = test();
    let exchange = test.request(NewRequest::con(Code::PUT), &[1; 3000]);
    let sent = test.sent_one();
    test.peer.cancel(exchange);
    assert_eq!((test.peer.buffered_len(), test.peer.poll_timeout(&test.config)), (0, None));
    let right = Message::parse(&sent).unwrap().token();
    let late = message(Type::Con, Code::CHANGED, 900, right, no_options, &[]);
    let Incoming::Notification(notification) = test.input(&late) else { panic!("unmatched") };
    test.peer.reject(notification.ticket);
    assert_eq!(test.sent_one(), empty(Type::Reset, 900));
}

#[test]
fn a_ping_is_answered_by_a_reset_and_ours_ends_in_a_pong() {
    let mut test = test();
    assert_eq!(test.reply(&empty(Type::Con, 77)), empty(Type::Reset, 77));
    let exchange = test.peer.ping(test.now, &test.config).unwrap();
    let sent = test.sent_one();
    assert_eq!(Message::parse(&sent).unwrap().code(), Code::EMPTY);
    test.input(&empty(Type::Reset, id(&sent)));
    assert_eq!(test.peer.poll_event(), Some(PeerEvent::Pong { exchange }));
}

#[test]
fn a_response_nobody_wants_is_suppressed() {
    let mut test = test();
    let options = |options: &mut OptionWriter<'_>| {
        options.uint(lightship_coap::OptionNumber::NO_RESPONSE, 2);
    };
    let con = message(Type::Con, Code::POST, 1, token(), options, &[]);
    let request = request_of(test.input(&con));
    test.respond(request, Code::CHANGED, &[]).unwrap();
    assert_eq!(test.sent_one(), empty(Type::Ack, 1));
    let non = message(Type::Non, Code::POST, 2, token(), options, &[]);
    let request = request_of(test.input(&non));
    test.respond(request, Code::CHANGED, &[]).unwrap();
    assert_eq!(test.sent(), None);
    let bad = message(Type::Non, Code::POST, 3, token(), options, &[]);
    let request = request_of(test.input(&bad));
    test.respond(request, Code::NOT_FOUND, &[]).unwrap();
    assert_eq!(Message::parse(&test.sent_one()).unwrap().code(), Code::NOT_FOUND);
}

#[test]
fn a_response_with_an_unknown_critical_option_is_rejected() {
    let mut test = test();
    let exchange = test.request(NewRequest::con(Code::GET), &[]);
    let sent = test.sent_one();
    let right = Message::parse(&sent).unwrap().token();
    let strange = |options: &mut OptionWriter<'_>| {
        options.option(lightship_coap::OptionNumber(2049), b"x");
    };
    let response = message(Type::Con, Code::CONTENT, 900, right, strange, b"1");
    assert_eq!(test.reply(&response), empty(Type::Reset, 900));
    let failed = PeerEvent::RequestFailed { exchange, reason: Failure::BadOption };
    assert_eq!(test.peer.poll_event(), Some(failed));
}

// Proves: COA-15
#[test]
fn a_challenge_is_answered_by_repeating_the_request_with_the_echo_value() {
    let mut test = test();
    let exchange = test.request(NewRequest::con(Code::POST), b"body");
    let sent = test.sent_one();
    let right = Message::parse(&sent).unwrap().token();
    let echo = |options: &mut OptionWriter<'_>| {
        options.echo(b"fresh");
    };
    let challenge = message(Type::Ack, Code::UNAUTHORIZED, id(&sent), right, echo, &[]);
    let again = test.reply(&challenge);
    let parsed = Message::parse(&again).unwrap();
    assert_eq!((parsed.echo(), parsed.payload()), (Some(&b"fresh"[..]), &b"body"[..]));
    assert!(parsed.uri_path().eq(["3", "0"]));
    assert_ne!(id(&again), id(&sent));
    // A second challenge is the answer.
    let challenge = message(Type::Ack, Code::UNAUTHORIZED, id(&again), parsed.token(), echo, &[]);
    let Incoming::Response(response) = test.input(&challenge) else { panic!("no response") };
    assert_eq!(response.exchange, exchange);
}

#[test]
fn an_upload_obeys_the_smaller_size_and_the_early_refusal() {
    let mut test = test();
    let body: Vec<u8> = (0..1500_u16).map(|n| n.to_le_bytes()[0]).collect();
    test.request(NewRequest::con(Code::PUT), &body);
    let sent = test.sent_one();
    let first = Message::parse(&sent).unwrap();
    assert_eq!(first.block1(), Some(Ok(block(0, true, 6))));
    assert_eq!((first.size1(), first.payload()), (Some(1500), &body[..1024]));
    // 4.13 with a smaller size: begin anew with that.
    let smaller = |options: &mut OptionWriter<'_>| {
        options.block1(block(0, true, 4));
    };
    let refusal = message(Type::Ack, Code::REQUEST_ENTITY_TOO_LARGE, id(&sent), first.token(), smaller, &[]);
    let sent = test.reply(&refusal);
    let first = Message::parse(&sent).unwrap();
    assert_eq!((first.block1(), first.payload()), (Some(Ok(block(0, true, 4))), &body[..256]));
    // 2.31 with a still smaller size: the number is scaled.
    let smaller = |options: &mut OptionWriter<'_>| {
        options.block1(block(0, true, 2));
    };
    let go_on = message(Type::Ack, Code::CONTINUE, id(&sent), first.token(), smaller, &[]);
    let sent = test.reply(&go_on);
    let second = Message::parse(&sent).unwrap();
    assert_eq!((second.block1(), second.payload()), (Some(Ok(block(4, true, 2))), &body[256..320]));
    // A larger size than ours is nonsense.
    let larger = |options: &mut OptionWriter<'_>| {
        options.block1(block(4, true, 6));
    };
    let nonsense = message(Type::Ack, Code::CONTINUE, id(&sent), second.token(), larger, &[]);
    test.input(&nonsense);
    let event = test.peer.poll_event();
    assert!(matches!(event, Some(PeerEvent::RequestFailed { reason: Failure::BadBlock, .. })));
    assert_eq!(test.peer.buffered_len(), 0);
}

#[test]
fn a_fetch_that_does_not_fit_together_fails() {
    // What the second response says, and how the request ends.
    let other_tag = |options: &mut OptionWriter<'_>| {
        options.etag(b"2").block2(block(1, false, 0));
    };
    let first_again = |options: &mut OptionWriter<'_>| {
        options.etag(b"1").block2(block(0, true, 0));
    };
    let skipped = |options: &mut OptionWriter<'_>| {
        options.etag(b"1").block2(block(2, false, 0));
    };
    let overfull = |options: &mut OptionWriter<'_>| {
        options.etag(b"1").block2(block(1, false, 0));
    };
    type Options<'a> = &'a dyn Fn(&mut OptionWriter<'_>);
    let cases: [(Options<'_>, usize); 4] =
        [(&other_tag, 3), (&first_again, 16), (&skipped, 3), (&overfull, 17)];
    for (second, len) in cases {
        let mut test = test();
        test.request(NewRequest::con(Code::GET), &[]);
        let sent = test.sent_one();
        let start = |options: &mut OptionWriter<'_>| {
            options.etag(b"1").block2(block(0, true, 0));
        };
        let asked = Message::parse(&sent).unwrap();
        let sent = test.reply(&message(Type::Ack, Code::CONTENT, id(&sent), asked.token(), start, &[7; 16]));
        let asked = Message::parse(&sent).unwrap();
        assert_eq!(asked.block2(), Some(Ok(block(1, false, 0))));
        test.input(&message(Type::Ack, Code::CONTENT, id(&sent), asked.token(), second, &vec![7; len]));
        let event = test.peer.poll_event();
        assert!(matches!(event, Some(PeerEvent::RequestFailed { reason: Failure::BadBlock, .. })));
        assert_eq!(test.peer.buffered_len(), 0);
    }
}

// Proves: COA-13
#[test]
fn an_endless_response_is_given_up_at_the_limit() {
    let mut test = test();
    test.config.body_len_max = 100;
    test.request(NewRequest::con(Code::GET), &[]);
    let mut sent = test.sent_one();
    for num in 0.. {
        let asked = Message::parse(&sent).unwrap();
        let more = |options: &mut OptionWriter<'_>| {
            options.block2(block(num, true, 0));
        };
        test.input(&message(Type::Ack, Code::CONTENT, id(&sent), asked.token(), more, &[7; 16]));
        match test.sent() {
            Some(next) => sent = next,
            None => break,
        }
        assert!(num < 7);
    }
    let event = test.peer.poll_event();
    assert!(matches!(event, Some(PeerEvent::RequestFailed { reason: Failure::TooLarge, .. })));
}

#[test]
fn later_blocks_are_served_from_the_kept_body_with_one_entity_tag() {
    let mut test = test();
    let body: Vec<u8> = (0..100).collect();
    let ask = |num: u32, szx: u8| {
        message(
            Type::Con,
            Code::GET,
            u16::try_from(num).unwrap() + 100 * u16::from(szx),
            token(),
            move |options| {
                options.uri_path("3").block2(block(num, false, szx));
            },
            &[],
        )
    };
    let first = ask(0, 1);
    let request = request_of(test.input(&first));
    test.respond(request, Code::CONTENT, &body).unwrap();
    let answer = test.sent_one();
    let parsed = Message::parse(&answer).unwrap();
    assert_eq!((parsed.block2(), parsed.payload()), (Some(Ok(block(0, true, 1))), &body[..32]));
    assert_eq!(parsed.size2(), Some(100));
    let tag = parsed.etag().unwrap().to_vec();
    // A smaller size from the second block on (late negotiation): the position counts.
    for (num, szx, range) in [(2, 0, 32..48), (3, 0, 48..64), (2, 1, 64..96), (3, 1, 96..100)] {
        let answer = test.reply(&ask(num, szx));
        let parsed = Message::parse(&answer).unwrap();
        assert_eq!(parsed.block2(), Some(Ok(block(num, range.end < 100, szx))));
        assert_eq!((parsed.payload(), parsed.etag()), (&body[range], Some(&tag[..])));
    }
    let beyond = test.reply(&ask(4, 1));
    assert_eq!(Message::parse(&beyond).unwrap().code(), Code::BAD_REQUEST);
    // When it is gone, a GET is the application's again; the tag of an equal body is equal.
    test.wait_until(test.now + Duration::from_secs(248));
    let again = ask(1, 1);
    let request = request_of(test.input(&again));
    test.respond(request, Code::CONTENT, &body).unwrap();
    let answer = test.sent_one();
    let parsed = Message::parse(&answer).unwrap();
    assert_eq!((parsed.payload(), parsed.etag()), (&body[32..64], Some(&tag[..])));
}

#[test]
fn a_body_that_the_buffer_cannot_keep_is_refused_except_for_a_get() {
    let big = [1; 9000];
    for (method, expected) in [(Code::GET, Ok(())), (Code::POST, Err(SendError::TooLarge))] {
        let mut test = test();
        let datagram = message(Type::Con, method, 1, token(), no_options, &[]);
        let request = request_of(test.input(&datagram));
        assert_eq!(test.respond(request, Code::CONTENT, &big), expected);
        if expected.is_err() {
            test.respond(request, Code::INTERNAL_SERVER_ERROR, &[]).unwrap();
        }
        let answer = test.sent_one();
        let code = if expected.is_ok() { Code::CONTENT } else { Code::INTERNAL_SERVER_ERROR };
        assert_eq!(Message::parse(&answer).unwrap().code(), code);
    }
}

fn observation(confirmable: bool) -> NewNotification {
    NewNotification {
        key: 3,
        token: token(),
        cache_key: CacheKey::default(),
        code: Code::CONTENT,
        confirmable,
    }
}

// Proves: OBS-05
#[test]
fn a_reset_to_a_notification_of_either_kind_ends_the_observation() {
    for confirmable in [true, false] {
        let mut test = test();
        let observe = |options: &mut OptionWriter<'_>| {
            options.observe(12);
        };
        let new = observation(confirmable);
        test.peer.notify(test.now, &test.config, new, observe, b"1").unwrap();
        let sent = test.sent_one();
        let parsed = Message::parse(&sent).unwrap();
        assert_eq!((parsed.observe(), parsed.token()), (Some(12), token()));
        test.input(&empty(Type::Reset, id(&sent)));
        assert_eq!(test.peer.poll_event(), Some(PeerEvent::NotificationRejected { key: 3 }));
        assert_eq!(test.peer.poll_event(), None);
        assert_eq!(test.peer.poll_timeout(&test.config), None);
    }
}

#[test]
fn a_confirmable_notification_is_acknowledged_or_times_out_and_none_overtakes_it() {
    let mut test = test();
    test.peer.notify(test.now, &test.config, observation(true), no_options, b"1").unwrap();
    let sent = test.sent_one();
    let again = test.peer.notify(test.now, &test.config, observation(false), no_options, b"2");
    assert_eq!(again, Err(SendError::Busy));
    test.input(&empty(Type::Ack, id(&sent)));
    assert_eq!(test.peer.poll_event(), Some(PeerEvent::NotificationAcknowledged { key: 3 }));

    test.peer.notify(test.now, &test.config, observation(true), no_options, b"2").unwrap();
    while let Some(at) = test.peer.poll_timeout(&test.config) {
        test.wait_until(at);
        test.sent();
    }
    assert_eq!(test.peer.poll_event(), Some(PeerEvent::NotificationTimedOut { key: 3 }));
}

// Proves: OBS-06
#[test]
fn a_notification_is_the_applications_to_accept_or_reject() {
    let mut test = test();
    let observe = |options: &mut OptionWriter<'_>| {
        options.observe(1);
    };
    for (ty, accept, reply) in [
        (Type::Con, true, Some(Type::Ack)),
        (Type::Con, false, Some(Type::Reset)),
        (Type::Non, true, None),
        (Type::Non, false, Some(Type::Reset)),
    ] {
        let message_id = 100 + u16::try_from(test.now.as_millis() % 1000).unwrap();
        test.now += Duration::from_millis(1);
        let datagram = message(ty, Code::CONTENT, message_id, token(), observe, b"1");
        let Incoming::Notification(notification) = test.input(&datagram) else { panic!("no notification") };
        // Until it is decided nothing is said, even if it comes again.
        assert_eq!(test.input(&datagram), Incoming::Nothing);
        assert_eq!(test.sent(), None);
        if accept {
            test.peer.accept(notification.ticket);
        } else {
            test.peer.reject(notification.ticket);
        }
        let expected = reply.map(|ty| empty(ty, message_id));
        assert_eq!(test.sent(), expected);
        assert_eq!(test.input(&datagram), Incoming::Nothing);
        assert_eq!(test.sent(), expected);
    }
}

// Proves: COA-14
#[test]
fn a_large_notification_is_fetched_to_its_end_without_observe() {
    let mut device = test();
    let mut server = test();
    device.config.block_size = BlockSize::MIN;
    let body: Vec<u8> = (0..50).collect();
    let path = |options: &mut OptionWriter<'_>| {
        options.uri_path("5").accept(ContentFormat::LWM2M_TLV);
    };
    // The observation begins with a small value.
    let observe = |options: &mut OptionWriter<'_>| {
        path(options);
        options.observe(0);
    };
    let new = NewRequest::con(Code::GET);
    server.peer.request(server.now, &server.config, new, observe, &[]).unwrap();
    let register = server.sent_one();
    let request = request_of(device.input(&register));
    let sequence = |options: &mut OptionWriter<'_>| {
        options.observe(4);
    };
    device.peer.respond(device.now, &device.config, request.ticket, Code::CONTENT, sequence, b"1").unwrap();
    let answer = device.sent_one();
    let Incoming::Response(response) = server.input(&answer) else { panic!("no response") };
    assert_eq!(response.observe, Some(4));

    let new = NewNotification {
        token: request.ticket.token(),
        cache_key: request.ticket.cache_key(),
        ..observation(true)
    };
    device.peer.notify(device.now, &device.config, new, sequence, &body).unwrap();
    let first = device.sent_one();
    let Incoming::Notification(notification) = server.input(&first) else { panic!("no notification") };
    assert_eq!(notification.message.token(), response.token);
    assert_eq!(notification.message.block2(), Some(Ok(block(0, true, 0))));
    server.peer.accept(notification.ticket);
    let new = NewRequest::con(Code::GET);
    let exchange =
        server.peer.request_rest(server.now, &server.config, &notification, new, path, &[]).unwrap();
    let ack = server.sent().unwrap();
    device.input(&ack);
    assert_eq!(device.peer.poll_event(), Some(PeerEvent::NotificationAcknowledged { key: 3 }));
    let mut blocks = 0;
    loop {
        let ask = server.sent_one();
        let parsed = Message::parse(&ask).unwrap();
        assert_eq!(parsed.observe(), None);
        assert_ne!(parsed.token(), response.token);
        assert_eq!(device.input(&ask), Incoming::Nothing, "the application is not asked");
        blocks += 1;
        let answer = device.sent_one();
        if let Incoming::Response(response) = server.input(&answer) {
            assert_eq!(response.exchange, exchange);
            assert_eq!(server.body(response.body), body);
            break;
        }
    }
    assert_eq!(blocks, 3);
}

#[test]
fn a_newer_notification_restarts_the_fetching_of_the_first_value() {
    let mut test = test();
    let observe = |options: &mut OptionWriter<'_>| {
        options.uri_path("5").observe(0);
    };
    let new = NewRequest::con(Code::GET);
    let exchange = test.peer.request(test.now, &test.config, new, observe, &[]).unwrap();
    let sent = test.sent_one();
    let token = Message::parse(&sent).unwrap().token();
    let first = |options: &mut OptionWriter<'_>| {
        options.observe(1).etag(b"1").block2(block(0, true, 0));
    };
    let rest = test.reply(&message(Type::Ack, Code::CONTENT, id(&sent), token, first, &[1; 16]));
    assert_eq!(Message::parse(&rest).unwrap().observe(), None);
    // Before the rest arrives, a newer value is notified, and its rest is asked for.
    let newer = |options: &mut OptionWriter<'_>| {
        options.observe(2).etag(b"2").block2(block(0, true, 0));
    };
    test.input(&message(Type::Con, Code::CONTENT, 700, token, newer, &[2; 16]));
    assert_eq!(test.sent(), Some(empty(Type::Ack, 700)));
    let rest = test.sent_one();
    let parsed = Message::parse(&rest).unwrap();
    let last = |options: &mut OptionWriter<'_>| {
        options.etag(b"2").block2(block(1, false, 0));
    };
    let answer = message(Type::Ack, Code::CONTENT, id(&rest), parsed.token(), last, &[2; 4]);
    let Incoming::Response(response) = test.input(&answer) else { panic!("no response") };
    assert_eq!((response.exchange, response.token, response.observe), (exchange, token, Some(2)));
    assert_eq!(test.body(response.body), [2; 20]);
}

#[test]
fn an_observation_can_be_cancelled_under_its_token() {
    let mut test = test();
    let cancel = |options: &mut OptionWriter<'_>| {
        options.uri_path("5").observe(1);
    };
    let new = NewRequest::con(Code::GET).with_token(token());
    test.peer.request(test.now, &test.config, new, cancel, &[]).unwrap();
    let sent = test.sent_one();
    let parsed = Message::parse(&sent).unwrap();
    assert_eq!((parsed.token(), parsed.observe()), (token(), Some(1)));
    test.config.nstart = 2;
    let again = test.peer.request(test.now, &test.config, new, cancel, &[]);
    assert_eq!(again, Err(SendError::TokenInUse));
}

// Proves: COA-01
#[test]
fn tokens_of_every_length_are_echoed() {
    let mut test = test();
    for len in 0..=8 {
        let token = Token::new(&[9; 8][..len]).unwrap();
        let datagram = message(Type::Con, Code::GET, u16::try_from(len).unwrap(), token, no_options, &[]);
        let request = request_of(test.input(&datagram));
        test.respond(request, Code::CONTENT, b"1").unwrap();
        assert_eq!(Message::parse(&test.sent_one()).unwrap().token(), token);
    }
}
