//! Captured exchanges, read by a third party.

use super::*;
use serde_json::Value;
use std::collections::BTreeMap;
use std::sync::OnceLock;

const FILES: [&str; 11] = [
    include_str!("../../../tests/vectors/dtls12_cid_cbc.json"),
    include_str!("../../../tests/vectors/dtls12_cid_ccm8.json"),
    include_str!("../../../tests/vectors/dtls12_cid_gcm.json"),
    include_str!("../../../tests/vectors/dtls12_cid_oneway.json"),
    include_str!("../../../tests/vectors/dtls12_ecdhe_ecdsa_ccm8.json"),
    include_str!("../../../tests/vectors/dtls12_noems_ccm8.json"),
    include_str!("../../../tests/vectors/dtls12_psk_cbc.json"),
    include_str!("../../../tests/vectors/dtls12_psk_cbc_etm.json"),
    include_str!("../../../tests/vectors/dtls12_psk_ccm8.json"),
    include_str!("../../../tests/vectors/dtls12_psk_gcm.json"),
    include_str!("../../../tests/vectors/dtls12_rpk_ccm8_cid.json"),
];

fn captures() -> &'static BTreeMap<String, Value> {
    static CAPTURES: OnceLock<BTreeMap<String, Value>> = OnceLock::new();
    CAPTURES.get_or_init(|| {
        let read = |text: &&str| {
            let file: Value = serde_json::from_str(text).unwrap();
            (file["vectors"][0]["name"].as_str().unwrap().to_owned(), file["vectors"][0].clone())
        };
        FILES.iter().map(read).collect()
    })
}

fn key_log(capture: &Value) -> String {
    let text = |key: &str| capture[key].as_str().unwrap();
    format!("# made for a test\nCLIENT_RANDOM {} {}\n", text("client_random"), text("master_secret"))
}

/// Dissects all datagrams of a capture; each is said to come from the address that `at` makes of its place and sender.
fn dissected(capture: &Value, given: Given, at: impl Fn(usize, bool) -> String) -> (String, bool) {
    let mut sessions = Sessions::new(given);
    let mut conversation = Conversation::default();
    let (mut text, mut sound) = (String::new(), true);
    for (place, item) in capture["datagrams"].as_array().unwrap().iter().enumerate() {
        let from_client = item["dir"] == "C>S";
        let (from, to) = (at(place, from_client), at(place, !from_client));
        let bytes = hex::parse(item["hex"].as_str().unwrap()).unwrap();
        assert!(is_record(&bytes));
        let found = datagram(&bytes, Way { from: &from, to: &to }, &mut sessions, &mut conversation);
        text.push_str(&found.lines.join("\n"));
        text.push('\n');
        sound &= found.sound;
    }
    (text, sound)
}

fn side(_: usize, client: bool) -> String {
    if client { "192.0.2.1:1".to_owned() } else { "192.0.2.2:5684".to_owned() }
}

/// The content of the application records, which is no CoAP in these captures.
fn contents(capture: &Value) -> Vec<String> {
    let records = capture["records"].as_array().unwrap().iter();
    let data = records
        .filter(|record| record["real_type"] == 23 || (record["content_type"] == 23 && record["epoch"] == 1));
    data.map(|record| record["plaintext"].as_str().unwrap().to_owned()).collect()
}

#[test]
fn every_captured_exchange_is_read_with_its_key_log() {
    for (name, capture) in captures() {
        let given = Given::new(&key_log(capture), &[]).unwrap();
        let (text, _) = dissected(capture, given, side);
        assert!(!text.contains("not opened") && !text.contains("protected;"), "{name}: {text}");
        assert!(text.contains("opened: Handshake"), "{name}: {text}");
        let contents = contents(capture);
        assert!(!contents.is_empty(), "{name}");
        for content in contents {
            let bytes = hex::parse(&content).unwrap();
            let found = dissect::message(&bytes, "", &mut Conversation::default());
            let first = found.lines.first().unwrap();
            assert!(text.contains(first), "{name}: {first} is not in\n{text}");
        }
    }
}

#[test]
fn a_pre_shared_key_opens_what_has_no_ephemeral_keys() {
    for (name, capture) in captures() {
        let Some(key) = capture["psk"].as_str() else { continue };
        let (text, _) = dissected(capture, Given::new("", &[key.to_owned()]).unwrap(), side);
        assert!(!text.contains("not opened"), "{name}: {text}");
        let (text, _) = dissected(capture, Given::new("", &["00".to_owned()]).unwrap(), side);
        assert!(text.contains("not opened: no secret that was given fits"), "{name}: {text}");
    }
    let signed = &captures()["ecdhe_ecdsa_ccm8"];
    let (text, _) = dissected(signed, Given::new("", &["00".to_owned()]).unwrap(), side);
    assert!(text.contains("nothing else opens it"), "{text}");
    let (text, _) = dissected(signed, Given::default(), side);
    assert!(text.contains("protected; --keylog or --psk opens it"), "{text}");
}

#[test]
fn a_handshake_is_spelled_out() {
    let (text, _) = dissected(&captures()["cid_ccm8"], Given::default(), side);
    for part in [
        "DTLS 1.2 Handshake, epoch 0, record 0, 73 bytes",
        "ClientHello, message 0, 61 bytes",
        "cookie: none",
        "cipher suites: TLS_PSK_WITH_AES_128_CCM_8, TLS_EMPTY_RENEGOTIATION_INFO_SCSV",
        "extended_master_secret\n",
        "connection_id: ef88d351f51b in records to this side",
        "HelloVerifyRequest, message 0, 35 bytes",
        "cipher suite: TLS_PSK_WITH_AES_128_CCM_8",
        "identity: \"Client_identity\"",
        "DTLS 1.2 record with connection ID, epoch 1, record 0, connection ID 93605251b49b, 41 bytes",
    ] {
        assert!(text.contains(part), "{part} is not in\n{text}");
    }
    let (text, _) = dissected(&captures()["ecdhe_ecdsa_ccm8"], Given::default(), side);
    for part in [
        "Certificate, message",
        "certificate of ",
        "share: secp256r1, 04",
        "signature: ecdsa_secp256r1_sha256",
    ] {
        assert!(text.contains(part), "{part} is not in\n{text}");
    }
    let (text, _) = dissected(&captures()["rpk_ccm8_cid"], Given::default(), side);
    assert!(text.contains("raw public key: 3059"), "{text}");
}

#[test]
fn a_device_is_followed_by_its_connection_id() {
    let capture = &captures()["cid_ccm8"];
    let given = Given::new(&key_log(capture), &[]).unwrap();
    let moving = |place: usize, client: bool| {
        let port = if place < 6 { 1000 } else { 1000 + place };
        if client { format!("192.0.2.1:{port}") } else { side(place, false) }
    };
    let (text, _) = dissected(capture, given, moving);
    assert!(!text.contains("not opened"), "{text}");
}

#[test]
fn records_alone_are_read_as_far_as_they_tell() {
    let mut sessions = Sessions::default();
    let mut read = |text: &str| {
        let bytes = hex::parse(text).unwrap();
        let found = datagram(&bytes, Way { from: "", to: "" }, &mut sessions, &mut Conversation::default());
        (found.lines.join("\n"), found.sound)
    };
    let (text, sound) = read("15fefd000000000000000000020273");
    assert!(sound && text.contains("fatal: unknown_psk_identity (115)"), "{text}");
    // The connection ID's length comes out by where the record ends.
    let (text, sound) = read(
        "19fefd000100000000000193605251b49b00220001000000000001002039555796359daa83f4bd3a117c8cb7dadc222f6a8f4ffba3",
    );
    assert!(sound && text.contains("connection ID 93605251b49b"), "{text}");
    let (text, sound) = read("16fefd000000000000000000ff01");
    assert!(!sound && text.contains("! no DTLS record at byte 0"), "{text}");
    let (text, sound) = read("16fefd00000000000000000003010000");
    assert!(!sound && text.contains("! no handshake message"), "{text}");
}

#[test]
fn a_message_in_pieces_is_put_together() {
    let capture = &captures()["cid_ccm8"];
    let whole = hex::parse(capture["datagrams"][0]["hex"].as_str().unwrap()).unwrap();
    let body = &whole[25..];
    let (mut sessions, mut conversation) = (Sessions::default(), Conversation::default());
    let mut text = String::new();
    // The second piece first.
    for (sequence, range) in [(0_u8, 20..body.len()), (1, 0..20)] {
        let part = &body[range.clone()];
        let len = u8::try_from(part.len()).unwrap();
        let offset = u8::try_from(range.start).unwrap();
        let mut record = vec![22, 0xfe, 0xfd, 0, 0, 0, 0, 0, 0, 0, sequence, 0, len + 12];
        record.extend([1, 0, 0, u8::try_from(body.len()).unwrap(), 0, 0, 0, 0, offset, 0, 0, len]);
        record.extend_from_slice(part);
        let found = datagram(&record, Way { from: "a", to: "b" }, &mut sessions, &mut conversation);
        assert!(found.sound, "{:?}", found.lines);
        text = found.lines.join("\n");
    }
    assert!(text.contains("ClientHello, message 0, 61 bytes, bytes 0 to 20"), "{text}");
    assert!(text.contains("TLS_PSK_WITH_AES_128_CCM_8"), "{text}");
}

#[test]
fn cut_and_changed_datagrams_never_panic() {
    for capture in captures().values() {
        let given = Given::new(&key_log(capture), &["00".to_owned()]).unwrap();
        let (mut sessions, mut conversation) = (Sessions::new(given), Conversation::default());
        for item in capture["datagrams"].as_array().unwrap() {
            let bytes = hex::parse(item["hex"].as_str().unwrap()).unwrap();
            let way = Way { from: "a", to: "b" };
            for len in 0..bytes.len() {
                let found = datagram(&bytes[..len], way, &mut sessions, &mut conversation);
                assert!(found.sound || found.lines.iter().any(|line| line.contains("! ")));
            }
            for at in 0..bytes.len() {
                let mut changed = bytes.clone();
                changed[at] ^= 0xff;
                let _ = datagram(&changed, way, &mut sessions, &mut conversation);
            }
        }
    }
}

#[test]
fn strange_lines_of_a_key_log_are_left_out() {
    let log = format!(
        "{}\nCLIENT_RANDOM 00 11\nCLIENT_HANDSHAKE_TRAFFIC_SECRET x y\n",
        key_log(&captures()["cid_gcm"])
    );
    assert!(!Given::new(&log, &[]).unwrap().is_empty());
    assert!(Given::new("CLIENT_RANDOM 00 11", &[]).unwrap().is_empty());
    assert!(Given::new("", &["xyz".to_owned()]).is_err());
}
