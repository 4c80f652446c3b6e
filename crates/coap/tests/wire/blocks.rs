//! One peer, datagram by datagram: bodies in blocks (RFC 7959).

use crate::{block, id, message, no_options, request_of, test, token};
use lightship_coap::peer::{Failure, Incoming, NewRequest, PeerEvent, SendError};
use lightship_coap::{BlockSize, Code, Message, OptionWriter, Type};
use lightship_platform::Duration;

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

#[test]
fn blocks_of_bodies_with_different_request_tags_are_not_mixed() {
    let mut test = test();
    let piece = |message_id: u16, tag: &'static [u8], number: u32, more: bool, bytes: &[u8]| {
        let options = move |options: &mut OptionWriter<'_>| {
            options.block1(block(number, more, 0)).request_tag(tag);
        };
        message(Type::Con, Code::PUT, message_id, token(), options, bytes)
    };
    let code = |reply: &[u8]| Message::parse(reply).unwrap().code();
    assert_eq!(code(&test.reply(&piece(1, b"a", 0, true, &[1; 16]))), Code::CONTINUE);
    assert_eq!(code(&test.reply(&piece(2, b"b", 1, false, &[2; 4]))), Code::REQUEST_ENTITY_INCOMPLETE);
    let last = piece(3, b"a", 1, false, &[3; 4]);
    let body = request_of(test.input(&last)).body;
    assert_eq!(test.peer.payload(body), [&[1; 16][..], &[3; 4]].concat());
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

#[test]
fn we_ask_for_smaller_blocks_and_offer_no_larger_ones() {
    let mut test = test();
    test.config.block_size = BlockSize::MIN;
    let put = |id: u16, num, more, szx, payload: &[u8]| {
        let options = move |options: &mut OptionWriter<'_>| {
            options.uri_path("5").block1(block(num, more, szx));
        };
        message(Type::Con, Code::PUT, id, token(), options, payload)
    };
    let answer = test.reply(&put(1, 0, true, 2, &[1; 64]));
    let parsed = Message::parse(&answer).unwrap();
    assert_eq!((parsed.code(), parsed.block1()), (Code::CONTINUE, Some(Ok(block(0, true, 0)))));
    let last = put(2, 4, false, 0, &[2; 5]);
    let request = request_of(test.input(&last));
    assert_eq!(test.body(request.body), [&[1; 64][..], &[2; 5]].concat());
    test.respond(request, Code::CHANGED, &[]).unwrap();
    let answer = test.sent_one();
    assert_eq!(Message::parse(&answer).unwrap().block1(), Some(Ok(block(4, false, 0))));

    let large = |options: &mut OptionWriter<'_>| {
        options.block2(block(0, false, 6));
    };
    let get = message(Type::Con, Code::GET, 3, token(), large, &[]);
    let request = request_of(test.input(&get));
    test.respond(request, Code::CONTENT, &[3; 40]).unwrap();
    let answer = test.sent_one();
    assert_eq!(Message::parse(&answer).unwrap().block2(), Some(Ok(block(0, true, 0))));
}

#[test]
fn a_refusal_in_the_middle_of_an_upload_is_the_response() {
    let mut test = test();
    let exchange = test.request(NewRequest::con(Code::PUT), &[1; 2000]);
    let sent = test.sent_one();
    let first = Message::parse(&sent).unwrap();
    let go_on = |options: &mut OptionWriter<'_>| {
        options.block1(block(0, true, 6));
    };
    let sent = test.reply(&message(Type::Ack, Code::CONTINUE, id(&sent), first.token(), go_on, &[]));
    let second = Message::parse(&sent).unwrap();
    let smaller = |options: &mut OptionWriter<'_>| {
        options.block1(block(1, false, 2));
    };
    let refusal = message(Type::Ack, Code::REQUEST_ENTITY_TOO_LARGE, id(&sent), second.token(), smaller, &[]);
    let Incoming::Response(response) = test.input(&refusal) else { panic!("no response") };
    assert_eq!(response.exchange, exchange);
    assert_eq!(response.message.code(), Code::REQUEST_ENTITY_TOO_LARGE);
    assert_eq!(test.sent(), None);
}

#[test]
fn a_long_transfer_does_not_push_out_the_memory_of_what_was_done() {
    let mut test = test();
    let reboot = message(Type::Con, Code::POST, 1, token(), no_options, &[]);
    let request = request_of(test.input(&reboot));
    test.respond(request, Code::CHANGED, &[]).unwrap();
    let answer = test.sent_one();
    for num in 0..50 {
        let options = |options: &mut OptionWriter<'_>| {
            options.block1(block(num, true, 0));
        };
        let id = 100 + u16::try_from(num).unwrap();
        test.reply(&message(Type::Con, Code::PUT, id, token(), options, &[1; 16]));
    }
    assert_eq!(test.reply(&reboot), answer);
}

#[test]
fn what_is_kept_gives_way_to_what_is_new() {
    let mut test = test();
    for id in 1..40 {
        let path = |options: &mut OptionWriter<'_>| {
            options.uri_path_number(id);
        };
        let get = message(Type::Con, Code::FETCH, id, token(), path, b"?");
        let request = request_of(test.input(&get));
        test.respond(request, Code::CONTENT, &[1; 3000]).unwrap();
        test.sent_one();
        assert!(test.peer.buffered_len() <= 8192);
    }
}

#[test]
fn a_body_that_fills_the_buffer_leaves_room_for_its_answer() {
    let mut test = test();
    let mut num = 0;
    let refusal = loop {
        let options = |options: &mut OptionWriter<'_>| {
            options.block1(block(num, true, 0));
        };
        let id = u16::try_from(num).unwrap();
        let answer = test.reply(&message(Type::Con, Code::PUT, id, token(), options, &[1; 16]));
        if Message::parse(&answer).unwrap().code() != Code::CONTINUE {
            break answer;
        }
        num += 1;
    };
    let parsed = Message::parse(&refusal).unwrap();
    assert_eq!(parsed.code(), Code::REQUEST_ENTITY_TOO_LARGE);
    let largest = parsed.size1().unwrap();
    assert!((7_900..8_192).contains(&largest), "{largest}");
    // As much as was offered is taken, and answered.
    let blocks = largest / 16 - 1;
    for num in 0..blocks {
        let options = |options: &mut OptionWriter<'_>| {
            options.block1(block(num, num + 1 < blocks, 0));
        };
        let id = 2000 + u16::try_from(num).unwrap();
        let datagram = message(Type::Con, Code::PUT, id, token(), options, &[1; 16]);
        if let Incoming::Request(request) = test.input(&datagram) {
            assert_eq!(num + 1, blocks);
            test.respond(request, Code::CHANGED, &[2; 64]).unwrap();
        }
        let answer = test.sent_one();
        assert!(Message::parse(&answer).unwrap().code().is_success());
    }
}

// Proves: COA-11
#[test]
fn long_options_make_the_blocks_smaller_and_no_message_longer_than_1152_bytes() {
    let mut left = test();
    let mut right = test();
    let long = |options: &mut OptionWriter<'_>| {
        options.uri_query(&"q".repeat(250)).option(lightship_coap::OptionNumber(2050), &[1; 200]);
    };
    for len in [600, 700, 1000, 1024, 3000] {
        let body: Vec<u8> = (0..len).map(|n: u32| n.to_le_bytes()[0]).collect();
        let new = NewRequest::con(Code::POST);
        left.peer.request(left.now, &left.config, new, long, &body).unwrap();
        let response = loop {
            let sent = left.sent_one();
            assert!(sent.len() <= 1152);
            if let Incoming::Request(request) = right.input(&sent) {
                assert_eq!(right.body(request.body), body);
                right
                    .peer
                    .respond(right.now, &right.config, request.ticket, Code::CONTENT, long, &body)
                    .unwrap();
            }
            let answer = right.sent_one();
            assert!(answer.len() <= 1152);
            if let Incoming::Response(response) = left.input(&answer) {
                break left.body(response.body);
            }
        };
        assert_eq!(response, body);
    }
}
