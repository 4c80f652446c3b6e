//! Every entry of the vector files, the malformed ones included.

#![allow(clippy::unwrap_used, reason = "a test may fail anywhere")]

use lightship_coap::link::{Mode, links};
use lightship_coap::peer::{Config, FixedBuffer, Incoming, Peer};
use lightship_coap::{
    Block, BlockSize, Code, Encoder, Freshness, Malformed, MalformedReason, Message, MessageId, OptionNumber,
    OptionWriter, Token, Type,
};
use lightship_platform::{Instant, SeededRng};
use serde_json::Value;

fn coap_udp() -> Value {
    serde_json::from_str(include_str!("vectors/coap_udp.json")).unwrap()
}

fn bytes(hex: &str) -> Vec<u8> {
    (0..hex.len()).step_by(2).map(|at| u8::from_str_radix(&hex[at..at + 2], 16).unwrap()).collect()
}

fn text<'a>(value: &'a Value, name: &str) -> &'a str {
    value[name].as_str().unwrap()
}

fn number(value: &Value, name: &str) -> u32 {
    u32::try_from(value[name].as_u64().unwrap()).unwrap()
}

#[test]
fn valid_messages_read_as_the_vectors_say_and_write_back_to_the_same_bytes() {
    let file = coap_udp();
    let valid: Vec<&Value> =
        file["vectors"].as_array().unwrap().iter().filter(|entry| entry["valid"] == true).collect();
    assert_eq!(valid.len(), 41);
    for entry in valid {
        let name = text(entry, "name");
        let datagram = bytes(text(entry, "hex"));
        let message = Message::parse(&datagram).unwrap_or_else(|error| panic!("{name}: {error:?}"));
        let expected = &entry["decoded"];
        let ty = match text(expected, "type") {
            "CON" => Type::Con,
            "NON" => Type::Non,
            "ACK" => Type::Ack,
            "RST" => Type::Reset,
            other => panic!("{name}: type {other}"),
        };
        let token = bytes(text(expected, "token"));
        let options: Vec<(u16, Vec<u8>)> = expected["options"]
            .as_array()
            .unwrap()
            .iter()
            .map(|pair| (u16::try_from(pair[0].as_u64().unwrap()).unwrap(), bytes(pair[1].as_str().unwrap())))
            .collect();
        let payload = bytes(text(expected, "payload"));

        assert_eq!(message.ty(), ty, "{name}");
        assert_eq!(message.code().to_string(), text(expected, "code"), "{name}");
        assert_eq!(u32::from(message.message_id().0), number(expected, "mid"), "{name}");
        assert_eq!(message.token().as_bytes(), token, "{name}");
        let read: Vec<(u16, Vec<u8>)> =
            message.options().map(|option| (option.number.0, option.value.to_vec())).collect();
        assert_eq!(read, options, "{name}");
        assert_eq!(message.payload(), payload, "{name}");

        // Backwards, so that each option but one must be put before others.
        for reverse in [false, true] {
            let mut buffer = vec![0; datagram.len()];
            let token = Token::new(&token).unwrap();
            let mut encoder = Encoder::new(&mut buffer, ty, message.code(), message.message_id(), token);
            let mut order: Vec<&(u16, Vec<u8>)> = options.iter().collect();
            if reverse {
                // Options of one number keep their order.
                order.sort_by_key(|(number, _)| core::cmp::Reverse(*number));
            }
            for (number, value) in order {
                encoder.options().option(OptionNumber(*number), value);
            }
            assert_eq!(encoder.finish_with(&payload), Ok(datagram.len()), "{name}");
            assert_eq!(buffer, datagram, "{name}");
        }
    }
}

fn reason(decoder_error: &str) -> Option<MalformedReason> {
    Some(match decoder_error {
        "short" => MalformedReason::Short,
        "version" => MalformedReason::Version,
        "tkl" => MalformedReason::TokenLength,
        "token truncated" => MalformedReason::TokenCut,
        "marker without payload" => MalformedReason::NoPayload,
        "nibble 15" => MalformedReason::ReservedNibble,
        "ext truncated" | "option value truncated" => MalformedReason::OptionCut,
        "option number overflow" => MalformedReason::OptionNumber,
        "empty with extra bytes" => MalformedReason::EmptyWithContent,
        "(syntactically fine; rejected at a higher level)" => return None,
        other => panic!("unknown error {other}"),
    })
}

/// What one datagram makes a fresh peer send.
fn reply(datagram: &[u8]) -> (bool, Option<Vec<u8>>) {
    let mut peer = Peer::<FixedBuffer<2048>>::new(&mut SeededRng::from_number(1));
    let config = Config::new();
    let incoming = peer.handle_input(Instant::ZERO, &config, datagram);
    let is_request = matches!(incoming, Incoming::Request(_));
    let mut out = [0; 1152];
    let sent = peer.poll_transmit(&mut out).map(|len| out[..len].to_vec());
    assert_eq!(peer.poll_transmit(&mut out), None, "one datagram has at most one reply");
    (is_request, sent)
}

// Proves: COA-09
#[test]
fn malformed_messages_are_found_and_answered_as_the_vectors_say() {
    let file = coap_udp();
    let malformed: Vec<&Value> =
        file["vectors"].as_array().unwrap().iter().filter(|entry| entry["valid"] == false).collect();
    assert_eq!(malformed.len(), 36);
    for entry in malformed {
        let name = text(entry, "name");
        let datagram = bytes(text(entry, "hex"));
        let message_id = || MessageId(u16::from_be_bytes([datagram[2], datagram[3]]));
        let reset = || Some([&[0x70, 0][..], &datagram[2..4]].concat());
        let (is_request, sent) = reply(&datagram);
        let code = sent.as_ref().map(|sent| Message::parse(sent).unwrap().code());
        if let Some(reason) = reason(text(entry, "decoder_error")) {
            let is_silent = matches!(reason, MalformedReason::Short | MalformedReason::Version);
            let is_con = datagram.first().is_some_and(|first| first >> 4 & 3 == 0);
            let due = !is_silent && is_con;
            let expected = Malformed { reason, reset: due.then(message_id) };
            assert_eq!(Message::parse(&datagram), Err(expected), "{name}");
            assert_eq!(sent, if due { reset() } else { None }, "{name}");
            assert!(!is_request, "{name}");
            continue;
        }
        assert!(Message::parse(&datagram).is_ok(), "{name}");
        match text(entry, "reaction") {
            "reject: CON gets RST" => assert_eq!(sent, reset(), "{name}"),
            "reject (NON cannot be empty): silent or RST" | "ignore silently" => {
                assert_eq!(sent, None, "{name}");
            }
            reaction if reaction.contains("4.02") => assert_eq!(code, Some(Code::BAD_OPTION), "{name}"),
            reaction if reaction.starts_with("4.05") => {
                assert_eq!(code, Some(Code::METHOD_NOT_ALLOWED), "{name}");
            }
            reaction if reaction.starts_with("4.00") => assert_eq!(code, Some(Code::BAD_REQUEST), "{name}"),
            "elective option out of length: ignored" => {
                assert!(is_request, "{name}");
                assert_eq!(Message::parse(&datagram).unwrap().echo(), None, "{name}");
            }
            other => panic!("{name}: unknown reaction {other}"),
        }
        let is_served = text(entry, "reaction").starts_with("elective");
        assert_eq!(is_request, is_served, "{name}");
    }
}

#[test]
fn block_values_read_and_write_as_the_vectors_say() {
    let file = coap_udp();
    let entries = file["block_values"]["entries"].as_array().unwrap();
    assert_eq!(entries.len(), 13);
    for entry in entries {
        let value = bytes(text(entry, "hex"));
        let read = value.iter().fold(0, |sum, byte| sum << 8 | u32::from(*byte));
        let block = Block::from_uint(read);
        let Some(size) = entry["size"].as_u64() else {
            // Size 7 exists on reliable transports only.
            assert_eq!(number(entry, "szx"), 7);
            assert_eq!(block, None);
            continue;
        };
        let block = block.unwrap();
        assert_eq!(block.num(), number(entry, "num"));
        assert_eq!(block.more(), entry["more"].as_bool().unwrap());
        assert_eq!(u32::from(block.size().szx()), number(entry, "szx"));
        assert_eq!(u64::try_from(block.size().bytes()).unwrap(), size);
        assert_eq!(u32::try_from(block.offset()).unwrap(), number(entry, "offset"));

        let size = BlockSize::from_szx(u8::try_from(number(entry, "szx")).unwrap()).unwrap();
        let made = Block::new(number(entry, "num"), entry["more"].as_bool().unwrap(), size).unwrap();
        let mut buffer = [0; 8];
        let mut writer = OptionWriter::new(&mut buffer);
        writer.block1(made);
        let len = writer.finish().unwrap();
        // Number 27 takes the first byte and one more.
        assert_eq!(buffer[2..len], value, "{entry}");
    }
}

#[test]
fn freshness_decides_as_the_vectors_say() {
    let file = coap_udp();
    let entries = file["observe_order"]["entries"].as_array().unwrap();
    assert_eq!(entries.len(), 12);
    for entry in entries {
        let at = |name: &str| {
            let milliseconds = entry[name].as_f64().unwrap() * 1000.0;
            Instant::from_millis(format!("{milliseconds:.0}").parse().unwrap())
        };
        let mut freshness = Freshness::new(at("t1"), number(entry, "v1"));
        let newer = entry["newer"].as_bool().unwrap();
        assert_eq!(freshness.is_newer(at("t2"), number(entry, "v2")), newer, "{entry}");
        let before = freshness;
        assert_eq!(freshness.accept(at("t2"), number(entry, "v2")), newer);
        let expected = if newer { Freshness::new(at("t2"), number(entry, "v2")) } else { before };
        assert_eq!(freshness, expected, "only a newer notification is remembered");
    }
}

// Proves: FMT-28
#[test]
fn link_lists_read_as_the_vectors_say_in_both_modes() {
    let file: Value = serde_json::from_str(include_str!("vectors/link_format.json")).unwrap();
    let entries = file["vectors"].as_array().unwrap();
    assert_eq!(entries.len(), 14);
    for (entry, mode) in entries.iter().flat_map(|entry| [(entry, Mode::Strict), (entry, Mode::Tolerant)]) {
        let name = text(entry, "name");
        let read: Result<Vec<_>, _> = links(text(entry, "text"), mode).collect();
        if entry["valid"] == false {
            // Devices write it, and what they mean is clear.
            let tolerated = mode == Mode::Tolerant && name == "invalid: trailing comma";
            assert_eq!(read.is_ok(), tolerated, "{name} {mode:?}");
            continue;
        }
        let read = read.unwrap_or_else(|error| panic!("{name}: {error}"));
        let found: Vec<Value> = read
            .iter()
            .map(|link| {
                let attributes: Vec<Value> = link
                    .attributes()
                    .map(|one| serde_json::json!([one.name, one.value.map(|value| value.to_string())]))
                    .collect();
                serde_json::json!({ "target": link.target, "attrs": attributes })
            })
            .collect();
        assert_eq!(Value::Array(found), entry["links"], "{name} {mode:?}");
    }
}
