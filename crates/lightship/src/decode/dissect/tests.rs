//! What dissections say, by hand-picked messages and by the vectors of the CoAP standards.

use super::*;
use lightship_coap::{Code, ContentFormat, Encoder, MessageId, Token, Type};

fn dissected(hex_text: &str) -> (String, bool) {
    let bytes = hex::parse(hex_text).unwrap();
    let found = message(&bytes, "", &mut Conversation::default());
    (found.lines.join("\n"), found.sound)
}

#[test]
fn flaws_are_named_with_their_place() {
    for (bytes, place) in [
        ("4001", "at byte 2"),
        ("80017d34", "at byte 0"),
        ("49017d34", "at byte 0"),
        ("42017d34aa", "at byte 5"),
        ("40017d34b3727261f1", "at byte 8"),
        ("40017d34b37272", "at byte 4"),
        ("40017d34b172ff", "at byte 6"),
        ("40007d3401", "at byte 4"),
        ("40010001e0ffffe0ffff", "at byte 4"),
    ] {
        let (text, sound) = dissected(bytes);
        assert!(!sound, "{bytes}");
        assert!(text.contains("no CoAP message") && text.contains(place), "{bytes}: {text}");
    }
}

#[test]
fn a_register_is_spelled_out() {
    let (text, sound) = dissected(
        "44022a1f7b2d19e0b272641128396c776d326d3d312e310b65703d73656e736f722d31066c743d333030\
         ff3c2f332f303e2c3c2f333330332f303e",
    );
    assert!(sound);
    for part in [
        "CoAP CON 0.02 POST, message ID 0x2a1f, token 7b2d19e0, 59 bytes",
        "Uri-Path: rd",
        "Content-Format: 40 (application/link-format)",
        "LwM2M Register: LwM2M 1.1, endpoint \"sensor-1\", lifetime 300 s",
        "/3/0 (Device)",
        "/3303/0 (Temperature)",
    ] {
        assert!(text.contains(part), "{part} is not in\n{text}");
    }
}

#[test]
fn a_register_that_servers_refuse_says_why() {
    // The same with a lifetime of "3x0".
    let (text, sound) = dissected(
        "44022a1f7b2d19e0b272641128396c776d326d3d312e310b65703d73656e736f722d31066c743d337830\
         ff3c2f332f303e2c3c2f333330332f303e",
    );
    assert!(!sound);
    assert!(text.contains("! a server refuses this: lt has a bad value"), "{text}");
}

#[test]
fn a_response_is_read_in_the_light_of_its_request() {
    let mut conversation = Conversation::default();
    // GET /3/0/9, then 2.05 with the text 84.
    let get = hex::parse("42011234abcd b133 0130 0139").unwrap();
    let first = message(&get, "a b", &mut conversation).lines.join("\n");
    assert!(first.contains("Read /3/0/9 (Device / Battery Level)"), "{first}");
    let answer = hex::parse("62451234abcd c0 ff 3834").unwrap();
    let second = message(&answer, "a b", &mut conversation).lines.join("\n");
    assert!(second.contains("/3/0/9 Battery Level = 84"), "{second}");
    let stranger = message(&answer, "a c", &mut conversation).lines.join("\n");
    assert!(!stranger.contains("Battery Level"), "{stranger}");
}

#[test]
fn a_bootstrap_is_spelled_out() {
    let said = |code: Code, path: &str, query: &str, accept: Option<u16>| {
        let mut buffer = [0; 128];
        let mut message = Encoder::new(&mut buffer, Type::Con, code, MessageId(1), Token::EMPTY);
        if path != "/" {
            message.options().uri_path(path);
        }
        query
            .split('&')
            .filter(|part| !part.is_empty())
            .for_each(|part| _ = message.options().uri_query(part));
        if let Some(accept) = accept {
            message.options().accept(ContentFormat(accept));
        }
        let length = message.finish().unwrap();
        dissected(&hex::print(&buffer[..length])).0
    };
    for (code, path, query, accept, words) in [
        (
            Code::POST,
            "bs",
            "ep=x&pct=112",
            None,
            "LwM2M Bootstrap-Request: endpoint \"x\", preferred content format 112",
        ),
        (
            Code::GET,
            "bspack",
            "ep=x&acc=0",
            Some(112),
            "LwM2M Bootstrap-Pack-Request: endpoint \"x\", accounts 0",
        ),
        (Code::GET, "/", "", Some(40), "LwM2M Bootstrap-Discover /"),
        (Code::GET, "0", "", Some(40), "LwM2M Bootstrap-Discover /0 ("),
        (Code::GET, "1/0", "", Some(112), "LwM2M Read /1/0 (LwM2M Server)"),
        (Code::DELETE, "/", "", None, "LwM2M Bootstrap-Delete /"),
        (Code::DELETE, "1", "", None, "LwM2M Bootstrap-Delete /1 (LwM2M Server)"),
        (Code::DELETE, "0/2", "", None, "LwM2M Bootstrap-Delete /0/2"),
        (Code::PUT, "0/1", "", None, "LwM2M Bootstrap-Write /0/1"),
        (Code::POST, "bs", "", None, "LwM2M Bootstrap-Finish"),
    ] {
        let text = said(code, path, query, accept);
        assert!(text.contains(words), "{words} is not in\n{text}");
    }
}

#[test]
fn of_an_unknown_object_the_owner_of_its_number_is_told() {
    for (path, words) in [
        ("/42770/0/1", "/42770/0/1 (an unknown object of tests)"),
        ("/33000", "/33000 (an unknown object of a company)"),
        ("/60000/0", "/60000/0 (a reserved number)"),
        ("/3/0/26300", "/3/0/26300 (Device / a private resource)"),
        ("/3/0", "/3/0 (Device)"),
        ("/", "/"),
    ] {
        assert_eq!(crate::decode::meaning::named(path.parse().unwrap()), words);
    }
}

/// A confirmable request with a payload, dissected.
fn requested(code: Code, path: &str, format: u16, payload: &[u8]) -> (String, bool) {
    let mut buffer = [0; 512];
    let mut message = Encoder::new(&mut buffer, Type::Con, code, MessageId(1), Token::EMPTY);
    message.options().uri_path(path);
    message.options().content_format(ContentFormat(format));
    let length = message.finish_with(payload).unwrap();
    dissected(&hex::print(&buffer[..length]))
}

#[test]
fn composite_requests_and_sends_are_spelled_out() {
    let reading = br#"[{"n":"/3/0/9"},{"n":"/3303/0/5700"}]"#;
    let writing = br#"[{"n":"/1/0/1","v":60},{"n":"/3442/0/110","vs":"x"}]"#;
    let removing = br#"[{"n":"/3442/0/1120/3","v":null}]"#;
    let sending = br#"[{"bn":"/3303/0/5700","v":21.5,"t":1700000000}]"#;
    for (code, path, format, payload, parts) in [
        (
            Code::FETCH,
            "",
            110,
            &reading[..],
            ["LwM2M Read-Composite\n", "/3/0/9 Battery Level\n", "/3303/0/5700 Sensor Value"],
        ),
        (
            Code::FETCH,
            "",
            320,
            &reading[..],
            ["LwM2M Read-Composite\n", "/3/0/9 Battery Level\n", "/3303/0/5700 Sensor Value"],
        ),
        (
            Code::IPATCH,
            "",
            110,
            &writing[..],
            ["LwM2M Write-Composite\n", "/1/0/1 Lifetime = 60 s", "/3442/0/110 String Value = x"],
        ),
        (
            Code::IPATCH,
            "",
            320,
            &removing[..],
            ["LwM2M Write-Composite\n", "/3442/0/1120/3 ", "= null (remove)"],
        ),
        (
            Code::POST,
            "dp",
            110,
            &sending[..],
            ["LwM2M Send\n", "/3303/0/5700 Sensor Value = 21.5", "2023-11-14T22:13:20"],
        ),
        // {3: {0: {9: 84}}}
        (
            Code::POST,
            "dp",
            11544,
            b"\xa1\x03\xa1\x00\xa1\x09\x18\x54",
            ["LwM2M Send\n", "/3/0/9 Battery Level = 84", "11544"],
        ),
    ] {
        let (text, sound) = requested(code, path, format, payload);
        assert!(sound, "{text}");
        for part in parts {
            assert!(text.contains(part), "{part:?} is not in\n{text}");
        }
    }
}

#[test]
fn the_standards_vectors_are_judged_rightly() {
    let vectors: serde_json::Value =
        serde_json::from_str(include_str!("../../../tests/vectors/coap_udp.json")).unwrap();
    let vectors = vectors["vectors"].as_array().unwrap();
    assert!(vectors.len() > 70);
    for vector in vectors {
        let name = vector["name"].as_str().unwrap();
        let (text, sound) = dissected(vector["hex"].as_str().unwrap());
        let syntax = !text.contains("no CoAP message");
        if vector["valid"].as_bool().unwrap() {
            assert!(syntax, "{name}: {text}");
            let options = vector["decoded"]["options"].as_array().unwrap().len();
            let shown = text.lines().filter(|line| line.starts_with("  ") && line.contains(": ")).count();
            assert!(shown >= options, "{name} has {options} options: {text}");
            continue;
        }
        // Some are fine as bytes and refused by the receiver's role or abilities, which a reader of bytes does not know.
        let by_ability = ["without OSCORE support", "unknown method"].iter().any(|part| name.contains(part));
        assert_eq!(sound, by_ability, "{name}: {text}");
        let higher = vector["decoder_error"].as_str().unwrap().starts_with('(');
        assert_eq!(syntax, higher, "{name}: {text}");
    }
}

#[test]
fn no_bytes_make_it_panic() {
    let mut seed: u32 = 1;
    let mut conversation = Conversation::default();
    for _ in 0..20_000 {
        let length = (seed >> 8) % 48;
        let bytes: Vec<u8> = (0..length)
            .map(|_| {
                seed = seed.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                seed.to_be_bytes()[0]
            })
            .collect();
        seed = seed.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        let _ = message(&bytes, "a b", &mut conversation);
    }
}
