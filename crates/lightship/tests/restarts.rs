//! Servers that stop and come back while their devices hold secure sessions: all of it the real program.

mod program;

use lightship_api::HandshakeResult;
use lightship_api::client::Client;
use program::{Program, Server, eventually};
use serde_json::Value as Json;

const KEY: &str = "6c69676874736869702d6b65792d3132";

/// A server that listens for coaps and keeps its data in a folder.
fn start(folder: &str) -> Server {
    Server::start(&["--coaps", "127.0.0.1:0", "--data", folder])
}

/// The same once more, at the same addresses.
fn start_again(before: &Server, folder: &str) -> Server {
    let coaps = before.coaps.expect("coaps").to_string();
    let more = ["--coaps", coaps.as_str(), "--data", folder];
    Server::start_at(&before.coap.to_string(), &before.http.to_string(), &more)
}

fn secured(server: &Server, endpoint: &str) -> Program {
    let uri = format!("coaps://{}", server.coaps.expect("coaps"));
    server.ctl(&["credentials", "put", endpoint, "--psk-identity", endpoint, "--psk-key", KEY]);
    let mut device = Program::start(&[
        "device",
        "--endpoint",
        endpoint,
        "--server",
        &uri,
        "--psk-identity",
        endpoint,
        "--psk-key",
        KEY,
        "--lifetime",
        "300",
    ]);
    device.await_line("event registered");
    eventually("it is registered", || server.is_registered(endpoint).then_some(()));
    device
}

fn session(server: &Server, endpoint: &str) -> Option<Json> {
    server.is_registered(endpoint).then(|| server.json(&["show", endpoint])["session"].clone())
}

/// Handshakes that the server has seen since its start.
fn handshakes(server: &Server, endpoint: &str) -> usize {
    let client = Client::new(&format!("http://{}", server.http), None);
    let list = client.handshakes(endpoint).expect("a list");
    list.items.iter().filter(|one| one.result == HandshakeResult::Opened).count()
}

#[test]
fn after_an_orderly_restart_a_device_notices_nothing() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().to_str().expect("UTF-8");
    let mut server = start(path);
    let mut device = secured(&server, "steady");
    let before = session(&server, "steady").expect("registered");
    server.program.ask_to_end();
    assert!(server.program.await_end().success());
    assert!(folder.path().join("hand-over").exists());
    let server = start_again(&server, path);
    assert!(!folder.path().join("hand-over").exists());
    let after = eventually("it is there again", || session(&server, "steady"));
    assert_eq!(after["cid"], before["cid"]);
    // Down the old session, and up.
    assert!(server.ctl(&["read", "steady", "/3/0/0"]).contains("Lightship"));
    assert!(device.say("update").starts_with("ok"));
    device.await_line("event updated");
    assert_eq!(handshakes(&server, "steady"), 0);
}

#[test]
fn after_a_crash_there_are_no_sessions_and_devices_come_back_by_themselves() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().to_str().expect("UTF-8");
    // A restart in order first: what was handed over then must not be used again.
    let mut server = start(path);
    let mut device = secured(&server, "survivor");
    server.program.ask_to_end();
    assert!(server.program.await_end().success());
    let server = start_again(&server, path);
    let before = eventually("it is there again", || session(&server, "survivor"));
    let (coap, coaps, http) = (server.coap, server.coaps, server.http);
    server.program.kill();
    assert!(!folder.path().join("hand-over").exists(), "nothing of a crash is left");
    let coaps_text = coaps.expect("coaps").to_string();
    let more = ["--coaps", coaps_text.as_str(), "--data", path];
    let server = Server::start_at(&coap.to_string(), &http.to_string(), &more);
    assert!(!server.is_registered("survivor"));
    assert!(device.say("reconnect").starts_with("ok"), "as it does by itself after some time");
    device.say("update");
    let after = eventually("it comes back", || session(&server, "survivor").filter(Json::is_object));
    assert_ne!(after["cid"], before["cid"]);
    assert!(handshakes(&server, "survivor") > 0);
}
