//! What the trace of a bootstrap shows, and that it is no key.

use serde_json::{Value as Json, json};

use crate::bootstrap::{Boot, FRESH, KEY_BASE64, KEY_HEX, agreeable, document, put, session};
use crate::support::{Message, Server};

/// A capture, as its bytes.
fn capture(server: &Server, address: &str) -> Vec<u8> {
    use std::io::{Read, Write};
    let mut stream = server.connect();
    let request = format!("GET {address} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).unwrap();
    let mut bytes = Vec::new();
    stream.read_to_end(&mut bytes).unwrap();
    bytes
}

// Keys that a device is given are in its trace as they travelled, and are shown to nobody, whatever their format.
#[test]
fn the_trace_of_a_bootstrap_shows_the_steps_and_no_key() {
    for (parameters, format) in [
        ("ep=dev-7&pct=11542", 11542),
        ("ep=dev-7&pct=110", 110),
        ("ep=dev-7&pct=112", 112),
        ("ep=dev-7&pct=11544", 11544),
    ] {
        let server = Server::start();
        put(&server, &document());
        let (boot, answer) = Boot::ask(&server, "bs", parameters, None);
        assert_eq!(answer.code, 0x44, "{format}");
        let commands = boot.play(agreeable(FRESH));
        let written = commands.iter().find(|command| command.path().starts_with("/0/") && command.code == 3);
        let key: Vec<u8> = (0..4).flat_map(|_| [0xc0, 0xff, 0xee, 0x00]).collect();
        let written = written.expect("an account is written");
        let travelled = written.payload.windows(16).any(|window| window == key)
            || String::from_utf8_lossy(&written.payload).replace(['-', '_'], "+").contains("wP");
        assert!(travelled, "{format}: the key did travel");
        session(&server);
        let shown = server.get("/api/v1/endpoints/dev-7/trace");
        let items = shown.json()["items"].as_array().unwrap().clone();
        let operations: Vec<_> = items.iter().filter_map(|item| item["operation"].as_str()).collect();
        assert_eq!(
            (operations[0], operations[operations.len() - 1]),
            ("bootstrap-request", "bootstrap-finish")
        );
        assert!(items.iter().all(|item| item["server"] == "bootstrap"), "{shown:?}");
        let is_account = |item: &&Json| {
            item["operation"] == "bootstrap-write"
                && item["direction"] == "out"
                && item["path"].as_str().is_some_and(|path| path.starts_with("/0/"))
        };
        let account = items.iter().find(is_account).expect("the account is in the trace");
        let payload = &account["payload"];
        assert_eq!(payload["hidden"], true, "{account}");
        assert!(payload["nodes"].to_string().contains("coaps://lwm2m.example:5684"), "{account}");
        assert!(payload["nodes"].to_string().contains("(secret)"), "{account}");
        let length = usize::try_from(account["length"].as_u64().unwrap()).unwrap();
        assert_eq!(account["bytes_hex"].as_str().unwrap().len() / 2 + 1 + written.payload.len(), length);
        // What is no secret is there.
        let others = items.iter().filter(|item| item["path"] == "/3/0/15" || item["path"] == "/3/0");
        assert!(
            others.clone().count() > 0
                && others.clone().any(|item| item.to_string().contains("Europe/Berlin")),
            "{format}"
        );
        let file = capture(&server, "/api/v1/endpoints/dev-7/trace.pcapng");
        assert!(file.windows(4).any(|window| window == [0x0a, 0x0d, 0x0d, 0x0a]));
        for text in [shown.body.as_bytes(), &file[..]] {
            let has =
                |secret: &[u8]| text.windows(secret.len()).any(|window| window.eq_ignore_ascii_case(secret));
            assert!(!has(&key) && !has(KEY_HEX.as_bytes()), "{format}");
            assert!(!has(KEY_BASE64.as_bytes()) && !has(b"wP_uAMD_7gDA"), "{format}");
            let hex_of_text: String = KEY_BASE64.bytes().take(8).map(|byte| format!("{byte:02x}")).collect();
            assert!(!has(hex_of_text.as_bytes()), "{format}");
        }
    }
}

#[test]
fn the_trace_of_a_pack_in_blocks_hides_all_of_them() {
    let server = Server::start();
    let mut document = document();
    // So long that it travels in blocks.
    document["write"] = json!([{"path": "/3303/0", "resources": {"5750": {"value": "cellar ".repeat(300)}}}]);
    assert_eq!(put(&server, &document).status, 201);
    let (boot, first) = Boot::ask(&server, "bspack", "ep=dev-7&acc=</0/0>", Some(112));
    assert_eq!(first.code, 0x45);
    let block = u32::try_from(first.option(23).expect("it is a block")).unwrap();
    let mut last = first;
    for number in 1..10_u32 {
        if last.option(23).unwrap() & 8 == 0 {
            break;
        }
        let next = number << 4 | (block & 7);
        let options = vec![
            (11, b"bspack".to_vec()),
            (15, b"ep=dev-7".to_vec()),
            (15, b"acc=</0/0>".to_vec()),
            (17, vec![112]),
            (23, vec![u8::try_from(next).unwrap()]),
        ];
        let id = 20 + u16::try_from(number).unwrap();
        boot.socket
            .send(&Message { kind: 0, code: 1, id, token: vec![9], options, payload: Vec::new() }.bytes())
            .unwrap();
        last = boot.receive();
        assert_eq!(last.code, 0x45);
    }
    let shown = server.get("/api/v1/endpoints/dev-7/trace").json();
    let items = shown["items"].as_array().unwrap();
    let parts: Vec<&Json> = items.iter().filter(|item| item["code"] == "2.05").collect();
    assert!(parts.len() > 1, "{shown}");
    assert!(parts.iter().all(|part| part["payload"]["hidden"] == true && part["payload"]["part"] == true));
    let exchanges: std::collections::BTreeSet<_> =
        parts.iter().map(|part| part["exchange"].to_string()).collect();
    assert_eq!(exchanges.len(), 1, "the blocks are one exchange");
    assert!(!shown.to_string().contains("cellar"));
}
