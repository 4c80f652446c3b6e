//! One peer, datagram by datagram: messages, requests and responses (RFC 7252).

use crate::{empty, id, message, no_options, request_of, test, token};
use lightship_coap::peer::{Dropped, Failure, Incoming, NewRequest, PeerEvent, SendError};
use lightship_coap::{Code, Message, OptionWriter, Token, Type};
use lightship_platform::Duration;

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

// Proves: COA-03
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

// Proves: COA-10
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
fn a_ticket_does_not_answer_a_later_request_with_the_same_message_id() {
    let mut test = test();
    let first = message(Type::Con, Code::GET, 7, token(), no_options, &[]);
    let old = request_of(test.input(&first));
    test.wait_until(test.now + Duration::from_secs(1));
    test.sent_one();
    test.now += Duration::from_secs(300);
    let second = message(Type::Con, Code::GET, 7, Token::EMPTY, no_options, &[]);
    let new = request_of(test.input(&second));
    test.respond(old, Code::CONTENT, b"old").unwrap();
    let late = test.sent_one();
    let parsed = Message::parse(&late).unwrap();
    assert_eq!((parsed.ty(), parsed.token()), (Type::Con, token()), "sent on its own");
    test.respond(new, Code::CONTENT, b"new").unwrap();
    let answer = test.sent_one();
    let parsed = Message::parse(&answer).unwrap();
    assert_eq!((parsed.ty(), parsed.payload()), (Type::Ack, &b"new"[..]));
}

#[test]
fn an_answer_in_the_acknowledgement_counts_even_after_an_empty_one() {
    let mut test = test();
    test.request(NewRequest::con(Code::GET), &[]);
    let sent = test.sent_one();
    test.input(&empty(Type::Ack, id(&sent)));
    let right = Message::parse(&sent).unwrap().token();
    let answer = message(Type::Ack, Code::CONTENT, id(&sent), right, no_options, b"1");
    assert!(matches!(test.input(&answer), Incoming::Response(_)));
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
