//! Values that no datagram holds, from the REST API to a device and back, block by block.

mod program;

use lightship_api::client::{Client, ClientError, DownlinkOptions, WriteMode};
use lightship_api::{AnswerContent, AttributesBody, Content, DownlinkAnswer, Node};
use program::{Program, Server, eventually, now};
use serde_json::{Value as Json, json};
use std::time::Duration;

const MEBIBYTE: usize = 1 << 20;

/// Bytes in which no block is like another, in hexadecimal digits.
fn digits(len: usize, seed: u32) -> String {
    let mut state = seed | 1;
    let mut text = String::with_capacity(len * 2);
    for _ in 0..len {
        state ^= state << 13;
        state ^= state >> 17;
        state ^= state << 5;
        text.push_str(&format!("{:02x}", state >> 24));
    }
    text
}

/// As the REST API wants bytes.
fn base64(hex: &str) -> String {
    const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let bytes: Vec<u32> =
        (0..hex.len()).step_by(2).map(|at| u32::from_str_radix(&hex[at..at + 2], 16).expect("hex")).collect();
    let mut text = String::new();
    for three in bytes.chunks(3) {
        let word = three.iter().fold(0, |word, byte| word << 8 | byte) << (8 * (3 - three.len()));
        for place in 0..4 {
            let index = usize::try_from(word >> (18 - 6 * place) & 63).expect("small");
            text.push(if place <= three.len() { char::from(ALPHABET[index]) } else { '=' });
        }
    }
    text
}

fn client(server: &Server) -> (Client, DownlinkOptions) {
    let options = DownlinkOptions { wait: Some(Duration::from_secs(60)), ..DownlinkOptions::default() };
    (Client::new(&format!("http://{}", server.http), None), options)
}

fn bytes(text: &str) -> Node {
    Node::new(Content::Value(json!(text)))
}

fn value(node: &Node) -> &Json {
    let Content::Value(value) = &node.content else { panic!("no single value: {node:?}") };
    value
}

fn answered(answer: &DownlinkAnswer) -> &Json {
    match &answer.content {
        Some(AnswerContent::Node(node)) => value(node),
        other => panic!("{other:?}"),
    }
}

fn assert_memory(program: &Program, name: &str, most: u64) {
    if let Some(peak) = program.peak_memory() {
        assert!(peak < most, "{name} took {} KiB", peak / 1024);
    }
}

#[test]
fn two_mebibytes_go_to_a_device_and_come_back() {
    let server = Server::start(&[]);
    let device = server.device("large", &["--object", "19=1"]);
    let (client, options) = client(&server);
    let begun = now();
    for (seed, path) in [(1, "/19/0/0/0"), (2, "/3442/0/150"), (3, "/19/0/0/0")] {
        let text = base64(&digits(2 * MEBIBYTE, seed));
        let written = client.write("large", path, WriteMode::Replace, &bytes(&text), &options).expect(path);
        assert_eq!(written.code, "2.04", "{path}");
        let read = client.read("large", path, &options).expect(path);
        assert_eq!(read.code, "2.05", "{path}");
        assert!(answered(&read) == &json!(text), "{path}: other bytes");
    }
    // 12 MiB in 12,000 blocks, one after the other: far from what waiting or copying all for each would take.
    let spent = now().saturating_duration_since(begun);
    assert!(spent < Duration::from_secs(60), "{spent:?}");
    // A handful of copies of 2 MiB, three times; a copy for each block would be gigabytes.
    assert_memory(&server.program, "the server", 76 << 20);
    assert_memory(&device, "the device", 36 << 20);
}

#[test]
fn a_large_value_is_observed_whole() {
    let server = Server::start(&[]);
    let mut device = server.device("large", &["--object", "19=1"]);
    let (client, options) = client(&server);
    for (seed, len) in [(4, 3 * 1024), (5, 200 * 1024), (6, 2 * MEBIBYTE)] {
        let text = digits(len, seed);
        assert!(device.say(&format!("set /19/0/0/0 0x{text}")).starts_with("ok"));
        if seed == 4 {
            client.observe("large", "/19/0/0/0", &AttributesBody::default(), &options).expect("observed");
        }
        let wanted = json!(base64(&text));
        eventually("the whole value is reported", || {
            let reported = client.observations("large").expect("observations");
            let content = reported.items.into_iter().next()?.content?;
            (value(content.first()?) == &wanted).then_some(())
        });
    }
}

#[test]
fn what_is_too_large_is_refused_by_whoever_it_is_too_large_for() {
    let server = Server::start(&[]);
    let _device = server.device("large", &["--object", "19=1"]);
    let (client, options) = client(&server);
    // Too large for the API.
    let text = base64(&digits(4 * MEBIBYTE, 7));
    let refused = client.write("large", "/19/0/0/0", WriteMode::Replace, &bytes(&text), &options);
    match refused {
        Err(ClientError::Problem(problem)) => assert_eq!(problem.status, 413, "{problem:?}"),
        // The server may close the connection before all was sent.
        Err(ClientError::Transport { .. }) => {}
        other => panic!("{other:?}"),
    }
    // And the device is as it was.
    let read = client.read("large", "/3/0/0", &options).expect("a read");
    assert_eq!(read.code, "2.05");
}

#[test]
fn the_limits_of_device_and_server_are_told_apart() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("lightship.toml");
    let limits = "[limits]\nbody_bytes_max = 16777216\ndevice_body_bytes_max = 100000\n";
    std::fs::write(&file, limits).expect("written");
    let server = Server::start(&["--config", file.to_str().expect("UTF-8")]);
    let device = server.device("large", &["--object", "19=1"]);
    let (client, options) = client(&server);
    // The device takes 8 MiB; it refuses at the first block.
    let text = base64(&digits(9 * MEBIBYTE, 8));
    let begun = now();
    let written =
        client.write("large", "/19/0/0/0", WriteMode::Replace, &bytes(&text), &options).expect("an answer");
    assert_eq!(written.code, "4.13");
    assert!(now().saturating_duration_since(begun) < Duration::from_secs(30));
    assert_memory(&device, "the device", 8 << 20);
    // The device takes these, the server does not take them back.
    let text = base64(&digits(100_001, 9));
    let node = bytes(&text);
    let written = client.write("large", "/19/0/0/0", WriteMode::Replace, &node, &options).expect("written");
    assert_eq!(written.code, "2.04");
    match client.read("large", "/19/0/0/0", &options) {
        Err(ClientError::Problem(problem)) => assert_eq!(problem.status, 504, "{problem:?}"),
        other => panic!("{other:?}"),
    }
    // Neither is the worse for it.
    assert_eq!(client.read("large", "/3/0/0", &options).expect("a read").code, "2.05");
    let written = client.write("large", "/19/0/0/0", WriteMode::Replace, &bytes("AAEC"), &options);
    assert_eq!(written.expect("written").code, "2.04");
    assert_eq!(answered(&client.read("large", "/19/0/0/0", &options).expect("a read")), &json!("AAEC"));
}
