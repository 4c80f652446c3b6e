//! One peer, datagram by datagram: observations (RFC 7641).

use crate::{block, empty, id, message, no_options, request_of, test, token};
use lightship_coap::peer::{CacheKey, Incoming, NewNotification, NewRequest, PeerEvent, SendError};
use lightship_coap::{BlockSize, Code, ContentFormat, Message, OptionWriter, Type};
use lightship_platform::Duration;

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
        assert_eq!(Message::parse(&answer).unwrap().observe(), None);
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
