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

/// Handshakes that the server remembers, those before its start among them.
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
    assert_eq!(handshakes(&server, "steady"), 1, "that of before, and no other");
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
    assert_eq!(handshakes(&server, "survivor"), 1);
    let (coap, coaps, http) = (server.coap, server.coaps, server.http);
    server.program.kill();
    assert!(!folder.path().join("hand-over").exists(), "nothing of a crash is left");
    let coaps_text = coaps.expect("coaps").to_string();
    let more = ["--coaps", coaps_text.as_str(), "--data", path];
    let server = Server::start_at(&coap.to_string(), &http.to_string(), &more);
    assert!(session(&server, "survivor").expect("still registered").is_null(), "without a session");
    assert!(device.say("reconnect").starts_with("ok"), "as it does by itself after some time");
    device.say("update");
    let after = eventually("it comes back", || session(&server, "survivor").filter(Json::is_object));
    assert_ne!(after["cid"], before["cid"]);
    eventually("both are remembered", || (handshakes(&server, "survivor") == 2).then_some(()));
    // With new record numbers, but what the device has a ticket for need not be agreed on again.
    assert_eq!(after["resumed"], true);
    assert!(server.ctl(&["read", "survivor", "/3/0/0"]).contains("Lightship"));
}

// Proves: SEC-06
#[test]
fn a_ticket_of_before_a_crash_opens_nothing_once_its_credential_is_another() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().to_str().expect("UTF-8");
    let server = start(path);
    let mut device = secured(&server, "outdated");
    let (coap, coaps, http) = (server.coap, server.coaps, server.http);
    server.program.kill();
    let coaps_text = coaps.expect("coaps").to_string();
    let more = ["--coaps", coaps_text.as_str(), "--data", path];
    let server = Server::start_at(&coap.to_string(), &http.to_string(), &more);
    let other = KEY.replace('6', "7");
    server.ctl(&["credentials", "put", "outdated", "--psk-identity", "outdated", "--psk-key", &other]);
    assert!(device.say("reconnect").starts_with("ok"));
    let client = Client::new(&format!("http://{}", server.http), None);
    eventually("it is refused", || {
        let list = client.handshakes("outdated").expect("a list");
        list.items.iter().any(|one| one.result == HandshakeResult::Failed).then_some(())
    });
    assert_eq!(handshakes(&server, "outdated"), 1, "that of before the crash");
}

/// Members of what is shown that outlive a crash.
fn lasting(server: &Server, endpoint: &str) -> Vec<Json> {
    let shown = server.json(&["show", endpoint]);
    ["registration_id", "lifetime_s", "binding", "address", "objects", "sms"]
        .map(|member| shown[member].clone())
        .to_vec()
}

/// When it registered, in milliseconds since 1970.
fn since(server: &Server, endpoint: &str) -> i64 {
    let client = Client::new(&format!("http://{}", server.http), None);
    client.endpoint(endpoint).expect("registered").registered_at.0
}

fn plain(server: &Server, endpoint: &str) -> Program {
    let uri = format!("coap://{}", server.coap);
    let mut device =
        Program::start(&["device", "--endpoint", endpoint, "--server", &uri, "--lifetime", "300"]);
    device.await_line("event registered");
    eventually("it is registered", || server.is_registered(endpoint).then_some(()));
    device
}

/// The log, oldest first: number, kind and device of each event.
fn log(server: &Server) -> Vec<(u64, String, String)> {
    let text = server.ctl(&["events", "--json"]);
    let entry = |line: &str| {
        let event: Json = serde_json::from_str(line).expect("an event a line");
        let text = |member: &str| event[member].as_str().expect("a text").to_owned();
        let number = text("id").split_once('-').expect("a cursor").1.parse().expect("a number");
        (number, text("type"), text("endpoint"))
    };
    text.lines().map(entry).collect()
}

/// The server after it was killed, at the same addresses.
fn killed_and_started(server: Server, folder: &str) -> Server {
    let (coap, http) = (server.coap.to_string(), server.http.to_string());
    server.program.kill();
    Server::start_at(&coap, &http, &["--data", folder])
}

#[test]
fn after_a_crash_registrations_observations_and_the_log_are_there() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().to_str().expect("UTF-8");
    let server = Server::start(&["--data", path]);
    let mut stays = plain(&server, "stays");
    let mut leaves = plain(&server, "leaves");
    server.ctl(&["observe", "stays", "/3303/0/5700"]);
    // An Update that changes something.
    server.ctl(&["write", "stays", "/1/0/1", "400"]);
    eventually("it has another lifetime", || (lasting(&server, "stays")[1] == 400).then_some(()));
    assert!(leaves.say("quit").starts_with("ok"));
    leaves.await_end();
    eventually("it has left", || (!server.is_registered("leaves")).then_some(()));
    let (before, told, at) = (lasting(&server, "stays"), log(&server), since(&server, "stays"));

    let server = killed_and_started(server, path);
    assert_eq!(lasting(&server, "stays"), before);
    // Dates are counted from a clock of the process, to the millisecond.
    assert!(since(&server, "stays").abs_diff(at) <= 5);
    assert!(!server.is_registered("leaves"));
    let again = log(&server);
    assert_eq!(again[..told.len()], told[..], "nothing of the log is missing");
    // The device notices nothing but that it is observed anew, and what is observed arrives.
    assert!(stays.say("update").starts_with("ok"));
    stays.await_line("event updated");
    eventually("it is observed anew", || {
        log(&server)[told.len()..].iter().any(|(_, kind, _)| kind == "observed").then_some(())
    });
    assert!(stays.say("set /3303/0/5700 31.5").starts_with("ok"));
    server.await_reported("stays", "/3303/0/5700", &serde_json::json!(31.5));
    assert_eq!(lasting(&server, "stays"), before);
    // Once more, without anything in between: the numbers go on without a hole.
    let server = killed_and_started(server, path);
    assert!(server.is_registered("stays"));
    assert!(server.ctl(&["read", "stays", "/3/0/0"]).contains("Lightship"));
    let numbers: Vec<_> = log(&server).into_iter().map(|(number, ..)| number).collect();
    assert_eq!(numbers, (1..=numbers.len() as u64).collect::<Vec<_>>());
}

#[test]
fn a_new_server_takes_over_from_the_old_one() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().to_str().expect("UTF-8");
    let mut server = start(path);
    let mut device = secured(&server, "carried");
    let before = session(&server, "carried").expect("registered");
    let coaps = server.coaps.expect("coaps").to_string();
    let (coap, http) = (server.coap.to_string(), server.http.to_string());
    let refused = program::command(&["serve", "--dev", "--data", path]).output().expect("it runs");
    let message = String::from_utf8_lossy(&refused.stderr).into_owned();
    assert!(!refused.status.success() && message.contains("in use by another process"), "{message}");
    // The folder may stand in a file as well.
    let config = tempfile::NamedTempFile::new().expect("a file");
    std::fs::write(&config, format!("[store]\nfolder = \"{path}\"\n")).expect("written");
    let config = config.path().to_str().expect("UTF-8");
    let next = Server::start_at(&coap, &http, &["--coaps", &coaps, "--config", config, "--take-over"]);
    assert!(server.program.await_end().success());
    let after = eventually("it is there again", || session(&next, "carried"));
    assert_eq!(after["cid"], before["cid"]);
    assert!(device.say("update").starts_with("ok"));
    device.await_line("event updated");
    assert_eq!(handshakes(&next, "carried"), 1, "that with the server before");
}
