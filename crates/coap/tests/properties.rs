//! What holds for all inputs.

#![allow(clippy::unwrap_used, reason = "a test may fail anywhere")]

use lightship_coap::link::{LinkWriter, Mode, links};
use lightship_coap::peer::{Config, FixedBuffer, Incoming, NewNotification, NewRequest, Peer};
use lightship_coap::{Code, Encoder, Message, MessageId, OptionNumber, Token, Type};
use lightship_platform::{Duration, Instant, SeededRng};
use proptest::prelude::*;

fn types() -> impl Strategy<Value = Type> {
    prop_oneof![Just(Type::Con), Just(Type::Non), Just(Type::Ack), Just(Type::Reset)]
}

fn option() -> impl Strategy<Value = (u16, Vec<u8>)> {
    let number = prop_oneof![0..70_u16, 240..320_u16, any::<u16>()];
    let value = prop_oneof![
        3 => prop::collection::vec(any::<u8>(), 0..20),
        1 => prop::collection::vec(any::<u8>(), 255..300),
    ];
    (number, value)
}

/// A datagram that is nearly a message, so that more than its first byte is looked at.
fn nearly() -> impl Strategy<Value = Vec<u8>> {
    let tail = prop::collection::vec(any::<u8>(), 0..60);
    let code = prop_oneof![0..8_u8, Just(0x45_u8), Just(0x5f), Just(0x8d), any::<u8>()];
    (0..4_u8, 0..10_u8, code, 0..6_u8, tail).prop_map(|(ty, token_len, code, id, tail)| {
        let mut datagram = vec![0x40 | ty << 4 | token_len, code, 0, id];
        datagram.extend(tail);
        datagram
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn what_is_written_is_read_back(
        ty in types(),
        code in 1..=255_u8,
        id: u16,
        token in prop::collection::vec(any::<u8>(), 0..=8),
        mut options in prop::collection::vec(option(), 0..12),
        payload in prop::collection::vec(any::<u8>(), 0..100),
    ) {
        options.retain(|(number, value)| OptionNumber(*number).allows_len(value.len()));
        let mut buffer = [0; 8192];
        let token = Token::new(&token).unwrap();
        let mut encoder = Encoder::new(&mut buffer, ty, Code(code), MessageId(id), token);
        for (number, value) in &options {
            encoder.options().option(OptionNumber(*number), value);
        }
        let len = encoder.finish_with(&payload).unwrap();
        let message = Message::parse(&buffer[..len]).unwrap();
        // Sorted by number, those of one number in the order in which they were added.
        options.sort_by_key(|(number, _)| *number);
        let read: Vec<_> = message.options().map(|option| (option.number.0, option.value.to_vec())).collect();
        prop_assert_eq!(read, options.clone());
        prop_assert_eq!(message.ty(), ty);
        prop_assert_eq!(message.code(), Code(code));
        prop_assert_eq!(message.message_id(), MessageId(id));
        prop_assert_eq!(message.token(), token);
        prop_assert_eq!(message.payload(), &payload[..]);

        // A buffer one byte too small is an error, and never more than a buffer's worth is written.
        let mut small = vec![0; len - 1];
        let mut encoder = Encoder::new(&mut small, ty, Code(code), MessageId(id), token);
        for (number, value) in &options {
            encoder.options().option(OptionNumber(*number), value);
        }
        prop_assert!(encoder.finish_with(&payload).is_err());
    }

    #[test]
    fn what_is_read_can_be_written_again(datagram in prop_oneof![nearly(), prop::collection::vec(any::<u8>(), 0..80)]) {
        let Ok(message) = Message::parse(&datagram) else { return Ok(()) };
        let mut buffer = [0; 256];
        let mut encoder =
            Encoder::new(&mut buffer, message.ty(), message.code(), message.message_id(), message.token());
        let mut lengths_allowed = true;
        for option in message.options() {
            lengths_allowed &= option.number.allows_len(option.value.len());
            encoder.options().option(option.number, option.value);
        }
        let written = encoder.finish_with(message.payload());
        prop_assert_eq!(written.is_ok(), lengths_allowed);
        if let Ok(len) = written {
            // Not always the same bytes: lengths may be written longer than needed.
            prop_assert_eq!(Message::parse(&buffer[..len]), Ok(message));
        }
    }

    #[test]
    fn no_sequence_of_datagrams_and_calls_breaks_a_peer(
        steps in prop::collection::vec((nearly(), 0..10_u8, 0..400_u16), 0..60),
        seed: u64,
    ) {
        let mut peer = Peer::<FixedBuffer<700>>::new(&mut SeededRng::from_number(seed));
        let config = Config { body_len_max: 300, nstart: 2, ..Config::new() };
        let mut now = Instant::ZERO;
        let mut out = [0; 1152];
        let mut tickets = Vec::new();
        for (datagram, call, wait_s) in steps {
            match peer.handle_input(now, &config, &datagram) {
                Incoming::Request(request) => {
                    let _ = peer.payload(request.body);
                    tickets.push(request.ticket);
                }
                Incoming::Response(response) => {
                    let _ = peer.payload(response.body);
                }
                Incoming::Notification(notification) => match call {
                    0..3 => peer.accept(notification.ticket),
                    3..6 => peer.reject(notification.ticket),
                    _ => {
                        let new = NewRequest::con(Code::GET);
                        let _ = peer.request_rest(now, &config, &notification, new, |_| {}, &[]);
                    }
                },
                Incoming::Nothing | Incoming::Dropped(_) => {}
            }
            let payload = vec![call; usize::from(wait_s)];
            match (call, tickets.pop()) {
                (0..6, Some(ticket)) => {
                    let _ = peer.respond(now, &config, ticket, Code::CONTENT, |_| {}, &payload);
                }
                (6, _) => {
                    let token = Token::new(&[call; 2]).unwrap();
                    let new = NewRequest::non(Code::PUT).with_token(token);
                    let _ = peer.request(now, &config, new, |_| {}, &payload);
                }
                (7, ticket) => {
                    let cache_key = ticket.map(|ticket| ticket.cache_key()).unwrap_or_default();
                    let new = NewNotification {
                        key: 1, token: Token::EMPTY, cache_key, code: Code::CONTENT, confirmable: wait_s % 2 == 0,
                    };
                    let _ = peer.notify(now, &config, new, |_| {}, &payload);
                }
                _ => {}
            }
            if call == 9 {
                now += Duration::from_secs(u64::from(wait_s));
                peer.handle_timeout(now, &config);
            }
            while let Some(len) = peer.poll_transmit(&mut out) {
                prop_assert!(Message::parse(&out[..len]).is_ok());
            }
            while peer.poll_event().is_some() {}
            prop_assert!(peer.poll_timeout(&config).is_none_or(|at| at >= now));
        }
        // Whatever happened, it is over some time.
        for _ in 0..200 {
            let Some(at) = peer.poll_timeout(&config) else { break };
            now = now.max(at);
            peer.handle_timeout(now, &config);
            while peer.poll_transmit(&mut out).is_some() {}
            while peer.poll_event().is_some() {}
        }
        peer.handle_timeout(now + Duration::from_secs(1000), &config);
        prop_assert!(peer.is_idle());
        prop_assert_eq!(peer.buffered_len(), 0);
    }

    #[test]
    fn any_text_is_read_as_links_without_harm(text in "[<>/;,=\"\\\\ a-z0-9.é]{0,60}") {
        let strict: Result<Vec<_>, _> = links(&text, Mode::Strict).collect();
        let tolerant: Result<Vec<_>, _> = links(&text, Mode::Tolerant).collect();
        if let Ok(strict) = strict {
            let tolerant = tolerant.unwrap();
            prop_assert_eq!(strict.len(), tolerant.len());
            for (one, other) in strict.iter().zip(&tolerant) {
                prop_assert_eq!(one.target, other.target);
                prop_assert!(one.attributes().eq(other.attributes()));
            }
        }
    }

    #[test]
    fn written_links_are_read_back(
        list in prop::collection::vec(("/[a-z0-9/.]{0,10}", "[a-z]{1,6}", "[ -~é]{0,12}", "[a-z0-9.]{1,6}"), 0..6),
    ) {
        let mut writer = LinkWriter::new(String::new());
        for (target, name, text, word) in &list {
            writer.link(format_args!("{target}")).flag("obs").quoted(name, text);
            writer.attribute("ver", format_args!("{word}"));
        }
        let text = writer.finish().unwrap();
        let read: Vec<_> = links(&text, Mode::Strict).collect::<Result<_, _>>().unwrap();
        prop_assert_eq!(read.len(), list.len());
        for (link, (target, name, value, word)) in read.iter().zip(&list) {
            prop_assert_eq!(link.target, target);
            let mut attributes = link.attributes();
            prop_assert_eq!(attributes.next().map(|one| (one.name, one.value)), Some(("obs", None)));
            let quoted = attributes.next().unwrap();
            prop_assert_eq!(quoted.name, name);
            prop_assert_eq!(quoted.value.unwrap().to_string(), value.clone());
            prop_assert_eq!(attributes.next().unwrap().value.unwrap().as_str(), Some(&word[..]));
        }
    }
}

#[test]
fn discovery_queries_select_links() {
    let text = "</link1>;rt=\"Type1 Type2\";if=\"If1\",</link2>;sz=64;rt=Type3,</path>;ct=40";
    let selected = |name: &str, pattern: &str| -> Vec<&str> {
        let all = links(text, Mode::Strict).map(Result::unwrap);
        all.filter(|link| link.matches(name, pattern)).map(|link| link.target).collect()
    };
    assert_eq!(selected("rt", "Type1"), ["/link1"]);
    assert_eq!(selected("rt", "Type2"), ["/link1"]);
    assert_eq!(selected("rt", "*"), ["/link1", "/link2"]);
    assert_eq!(selected("if", "If*"), ["/link1"]);
    assert_eq!(selected("sz", "*"), ["/link2"]);
    assert_eq!(selected("href", "/link1"), ["/link1"]);
    assert_eq!(selected("href", "/link*"), ["/link1", "/link2"]);
    assert_eq!(selected("rt", "Type"), [""; 0]);
}
