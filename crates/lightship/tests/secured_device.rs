//! A device behind a NAT, at a server with coaps: both the real program.

mod program;

use program::{Program, Server, eventually};

const KEY: &str = "6c69676874736869702d6b65792d3132";

fn server() -> Server {
    Server::start(&["--coaps", "127.0.0.1:0"])
}

/// A device with a pre-shared key, which the server knows.
fn device(server: &Server, endpoint: &str, more: &[&str]) -> Program {
    let uri = format!("coaps://{}", server.coaps.expect("coaps"));
    server.ctl(&["credentials", "put", endpoint, "--psk-identity", endpoint, "--psk-key", KEY]);
    let usual =
        ["device", "--endpoint", endpoint, "--server", &uri, "--psk-identity", endpoint, "--psk-key", KEY];
    Program::start(&[&usual, more].concat())
}

/// What stands behind `name=` in a line.
fn field<'a>(line: &'a str, name: &str) -> &'a str {
    let found = line.split_whitespace().find_map(|part| part.strip_prefix(name)?.strip_prefix('='));
    found.unwrap_or_else(|| panic!("no {name} in {line:?}"))
}

/// Whether the server can ask the device; the session of another address may have come to another shard, where the device registers
/// anew.
fn reads(server: &Server, endpoint: &str) -> bool {
    let output = server.ctl_raw(&["read", endpoint, "/3/0/0"]);
    String::from_utf8_lossy(&output.stdout).contains("Lightship")
}

// Proves: DTL-15, COA-18
#[test]
fn with_a_connection_id_a_rebound_device_is_heard_and_reached_in_the_same_session() {
    let server = server();
    let mut device = device(&server, "roamer", &[]);
    let secured = device.await_line("event secured");
    assert_eq!(field(&secured, "resumed"), "false");
    assert_ne!(field(&secured, "cid"), "none");
    device.await_line("event registered");
    let before = device.say("sockets");
    // Updates go by the socket that the Register went by.
    assert!(device.say("update").starts_with("ok"));
    device.await_line("event updated");
    assert_eq!(device.say("sockets"), before);
    assert_eq!(device.say("rebind"), "ok");
    assert!(device.say("update").starts_with("ok"));
    device.await_line("event updated");
    let after = device.say("sockets");
    assert_ne!(after, before, "another port");
    assert_eq!(field(&after, "cid"), field(&secured, "cid"));
    assert_eq!(field(&after, "resumed"), "false");
    assert!(reads(&server, "roamer"));
}

// Proves: DTL-14
#[test]
fn without_one_the_session_is_resumed() {
    let server = server();
    let mut device =
        device(&server, "patient", &["--no-cid", "--ack-timeout", "0.1", "--max-retransmit", "1"]);
    let secured = device.await_line("event secured");
    assert_eq!(field(&secured, "cid"), "none");
    device.await_line("event registered");
    for _ in 0..4 {
        assert_eq!(device.say("rebind"), "ok");
        assert!(device.say("update").starts_with("ok"));
        assert!(device.await_line("event session-ended").contains("does not answer"));
        assert_eq!(field(&device.await_line("event secured"), "resumed"), "true");
        device.await_line("event updated");
    }
    eventually("it can be asked again", || reads(&server, "patient").then_some(()));
}

#[test]
fn a_device_that_was_offline_comes_back_with_what_it_has() {
    let server = server();
    for (endpoint, more, resumed) in [("with-cid", &[][..], None), ("no-cid", &["--no-cid"], Some("true"))] {
        let mut device = device(&server, endpoint, more);
        device.await_line("event registered");
        assert_eq!(device.say("offline"), "ok");
        assert_eq!(device.say("online"), "ok");
        if let Some(resumed) = resumed {
            assert_eq!(field(&device.await_line("event secured"), "resumed"), resumed);
        }
        eventually("it can be asked again", || reads(&server, endpoint).then_some(()));
    }
}

#[test]
fn the_state_file_lets_a_restarted_device_resume_and_the_key_log_tells_every_session() {
    let server = server();
    let folder = tempfile::tempdir().expect("a folder");
    let path = |name: &str| folder.path().join(name).to_str().expect("UTF-8").to_owned();
    let (state, keys) = (path("state.json"), path("keys.log"));
    let more = ["--state", state.as_str(), "--key-log", keys.as_str()];
    // It may have been there before, for everybody.
    std::fs::write(&keys, "").expect("written");
    for resumed in ["false", "true"] {
        let mut device = device(&server, "again", &more);
        assert_eq!(field(&device.await_line("event secured"), "resumed"), resumed);
        device.await_line("event registered");
        device.say("quit");
        assert!(device.await_end().success());
    }
    let log = std::fs::read_to_string(&keys).expect("a key log");
    assert_eq!(log.lines().filter(|line| line.starts_with("CLIENT_RANDOM ")).count(), 2, "{log}");
    #[cfg(unix)]
    for file in [&state, &keys] {
        let mode =
            std::os::unix::fs::PermissionsExt::mode(&std::fs::metadata(file).expect("there").permissions());
        assert_eq!(mode & 0o077, 0, "{file} is its owner's");
    }
}

// Proves: DTL-14
#[test]
fn a_device_with_little_memory_gets_records_that_fit() {
    let server = server();
    let limits = [
        ("tiny", &["--record-size-limit", "64"][..], Some(64)),
        ("short", &["--max-fragment-length", "512"], Some(512)),
        // The newer one counts where both are offered (RFC 8449 §5).
        ("both", &["--record-size-limit", "100", "--max-fragment-length", "1024"], Some(100)),
        ("usual", &[], None),
    ];
    for (endpoint, flags, limit) in limits {
        let mut device = device(&server, endpoint, flags);
        device.await_line("event registered");
        eventually("the device is listed", || server.is_registered(endpoint).then_some(()));
        let session = server.json(&["show", endpoint])["session"].clone();
        assert_eq!(session.get("record_size_limit").and_then(serde_json::Value::as_u64), limit, "{session}");
        let told = server.ctl(&["show", endpoint]);
        let words = limit
            .map_or("records of at most".to_owned(), |limit| format!("records of at most {limit} bytes"));
        assert_eq!(told.contains(&words), limit.is_some(), "{told}");
        let long = "long ".repeat(400);
        server.ctl(&["write", endpoint, "/3442/0/110", &long]);
        assert!(device.say("show /3442/0/110").contains(&long));
        let read = server.json(&["read", endpoint, "/3442/0/110"]);
        assert_eq!(read["content"]["value"].as_str(), Some(long.as_str()), "{read}");
        let trace = server.json(&["trace", endpoint, "--limit", "2000"]);
        let sent = trace["items"].as_array().expect("items").iter().filter(|item| item["direction"] == "out");
        let longest = sent.map(|item| item["length"].as_u64().expect("a length")).max().expect("some");
        match limit {
            Some(limit) => assert!(longest <= limit, "{longest} bytes for {endpoint}"),
            None => assert!(longest > 1000, "{longest} bytes are no block of 1024"),
        }
    }
}

#[test]
fn a_device_says_why_it_has_no_session_and_comes_when_it_is_known() {
    let server = server();
    let uri = format!("coaps://{}", server.coaps.expect("coaps"));
    let mut stranger = Program::start(&[
        "device",
        "--endpoint",
        "late",
        "--server",
        &uri,
        "--psk-identity",
        "late",
        "--psk-key",
        KEY,
    ]);
    let failed = stranger.await_line("event handshake-failed");
    assert!(failed.contains("unknown_psk_identity (115); it does not know this identity"), "{failed}");
    assert_eq!(field(&stranger.await_line("event failed"), "reason"), "not_secured");
    stranger.await_line("event gave_up");
    server.ctl(&["credentials", "put", "late", "--psk-identity", "late", "--psk-key", KEY]);
    assert!(stranger.say("register").starts_with("ok"));
    stranger.await_line("event registered");
    // What is taken away ends the session at once.
    server.ctl(&["credentials", "delete", "late"]);
    stranger.await_line("event session-ended");
    assert!(stranger.await_line("event handshake-failed").contains("unknown_psk_identity"));
    assert!(!stranger.say("sockets").contains("suite="));
}

#[test]
fn a_device_that_comes_in_another_name_is_told_what_may_be_wrong() {
    let server = server();
    server.ctl(&["credentials", "put", "mine", "--psk-identity", "mine", "--psk-key", KEY]);
    let uri = format!("coaps://{}", server.coaps.expect("coaps"));
    let line =
        ["device", "--endpoint", "other", "--server", &uri, "--psk-identity", "mine", "--psk-key", KEY];
    let mut device = Program::start(&line);
    let failed = device.await_line("event failed");
    assert_eq!(field(&failed, "reason"), "refused_4.00");
    assert!(failed.contains("hint=") && failed.contains("may not be what the identity"), "{failed}");
}
