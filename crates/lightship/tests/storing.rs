//! Values of the past, between the real device and the real server: what was notified in vain, and what was recorded.

mod program;

use program::{Program, Server, eventually};
use serde_json::Value;
use std::time::Duration;

/// What the events of a type told of a path in SenML, oldest first: each value with its own time, if it had one.
fn told(server: &Server, word: &str, path: &str) -> Vec<(f64, Option<String>)> {
    let events = server.ctl(&["events", "--type", word, "--endpoint", "e2e", "--json"]);
    let mut told = Vec::new();
    for line in events.lines().filter(|line| !line.is_empty()) {
        let event: Value = serde_json::from_str(line).expect("JSON");
        for node in event["content"].as_array().expect("an array") {
            if node["path"] == path {
                let value = node["value"].as_f64().expect("a number");
                told.push((value, node["time"].as_str().map(str::to_owned)));
            }
        }
    }
    told
}

/// Values that came with times, which have to rise.
fn of_the_past(told: &[(f64, Option<String>)]) -> Vec<f64> {
    let past: Vec<_> = told.iter().filter_map(|(value, time)| Some((time.as_ref()?, *value))).collect();
    assert!(past.is_sorted_by(|one, next| one.0 < next.0), "{told:?}");
    past.into_iter().map(|(_, value)| value).collect()
}

/// Sets the value again and again, each at a moment of its own.
fn set(device: &mut Program, values: impl IntoIterator<Item = i32>) {
    for value in values {
        assert!(device.say(&format!("set /3303/0/5700 {value}")).starts_with("ok"));
        std::thread::park_timeout(Duration::from_millis(20));
    }
}

const IMPATIENT: [&str; 6] = ["--ack-timeout", "0.3", "--max-retransmit", "1", "--retry-timer", "1"];

// Proves: OBS-13
#[test]
fn what_happened_while_the_server_was_down_is_told_afterwards() {
    let folder = std::env::temp_dir().join(format!("lightship-storing-{}", std::process::id()));
    let data = folder.to_str().expect("a path of text");
    let server = Server::start(&["--data", data]);
    let mut device = server.device("e2e", &IMPATIENT);
    set(&mut device, [20]);
    server.json(&["observe", "e2e", "/3303/0/5700", "con=1"]);
    let (coap, http) = (server.coap.to_string(), server.http.to_string());
    server.program.kill();
    // From the first one on nobody answers; the device knows after a while.
    set(&mut device, [21, 22, 23]);
    device.await_line("event failed ssid=1");
    set(&mut device, [24]);
    let server = Server::start_at(&coap, &http, &["--data", data]);
    device.await_line("event observed ssid=1 path=/3303/0/5700");
    let told = eventually("the past is told", || {
        let told = told(&server, "notified", "/3303/0/5700");
        (of_the_past(&told).len() >= 4).then_some(told)
    });
    assert_eq!(of_the_past(&told), [21.0, 22.0, 23.0, 24.0]);
    set(&mut device, [25]);
    server.await_reported("e2e", "/3303/0/5700", &25.0.into());
    assert!(server.ctl(&["show", "e2e"]).contains("e2e"));
    let shown = server.json(&["show", "e2e"]);
    assert!(shown["deviations"].as_object().is_none_or(serde_json::Map::is_empty), "{shown}");
    let _ = std::fs::remove_dir_all(folder);
}

// Proves: ATT-10
#[test]
fn while_offline_as_much_is_kept_as_hqmax_says() {
    let server = Server::start(&[]);
    let mut device = server.device("e2e", &IMPATIENT);
    server.json(&["observe", "e2e", "/3303/0/5700", "hqmax=3"]);
    assert_eq!(device.say("offline"), "ok");
    set(&mut device, 1..=8);
    assert_eq!(device.say("online"), "ok");
    device.await_line("event observed ssid=1 path=/3303/0/5700");
    let past = || of_the_past(&told(&server, "notified", "/3303/0/5700"));
    assert_eq!(
        eventually("the past is told", || Some(past()).filter(|past| past.len() >= 3)),
        [6.0, 7.0, 8.0]
    );

    // A server that wants none of it gets none of it.
    server.ctl(&["write", "e2e", "/1/0/6", "false"]);
    assert_eq!(device.say("offline"), "ok");
    set(&mut device, 10..=15);
    assert_eq!(device.say("online"), "ok");
    device.await_line("event observed ssid=1 path=/3303/0/5700");
    set(&mut device, [16]);
    server.await_reported("e2e", "/3303/0/5700", &16.0.into());
    assert_eq!(past(), [6.0, 7.0, 8.0]);
}

// Proves: OBS-20, OBS-23, OBS-24
#[test]
fn recorded_values_go_out_in_one_send_with_their_times() {
    let server = Server::start(&[]);
    let mut device = server.device("e2e", &[]);
    assert!(device.say("send recorded").starts_with("error server 1: nothing"));
    for value in [1, 2, 3] {
        set(&mut device, [value]);
        assert_eq!(device.say("record /3303/0/5700"), "ok ssid=1");
    }
    assert_eq!(device.say("send recorded"), "ok ssid=1");
    device.await_line("event sent ssid=1");
    let sent = told(&server, "sent", "/3303/0/5700");
    assert_eq!(of_the_past(&sent), [1.0, 2.0, 3.0]);
    assert!(device.say("send recorded").starts_with("error server 1: nothing"));

    set(&mut device, [4]);
    assert_eq!(device.say("send once /3303/0/5700"), "ok ssid=1");
    device.await_line("event sent ssid=1");
    let sent = told(&server, "sent", "/3303/0/5700");
    assert_eq!(sent.last().map(|(value, _)| *value), Some(4.0));
}

// Proves: OBS-13, REG-39
#[test]
fn a_disabled_server_hears_afterwards_what_happened() {
    let server = Server::start(&[]);
    let mut device = server.device("e2e", &IMPATIENT);
    server.json(&["observe", "e2e", "/3303/0/5700"]);
    server.ctl(&["write", "e2e", "/1/0/5", "2"]);
    server.ctl(&["exec", "e2e", "/1/0/4"]);
    device.await_line("event deregistered ssid=1");
    set(&mut device, [31, 32]);
    assert!(!server.is_registered("e2e"), "not for two seconds");
    device.await_line("event registered ssid=1");
    device.await_line("event observed ssid=1 path=/3303/0/5700");
    let past = || of_the_past(&told(&server, "notified", "/3303/0/5700"));
    assert_eq!(eventually("the past is told", || Some(past()).filter(|past| past.len() >= 2)), [31.0, 32.0]);
}
