//! A device in Queue Mode with its radio off, and a server that waits for it.

mod program;

use program::{Server, eventually};
use serde_json::json;

#[test]
fn a_sleeping_device_is_served_when_it_wakes() {
    let server = Server::start(&["--awake-window", "1"]);
    let times = ["--queue-mode", "--awake", "1", "--wake-every", "3", "--lifetime", "60"];
    let mut device = server.device("meter", &times);
    let shown = server.json(&["show", "meter"]);
    assert_eq!(shown["queue_mode"], true);
    device.await_line("event asleep ssid=1");
    eventually("the server knows that it sleeps", || {
        (server.json(&["show", "meter"])["state"] == "asleep").then_some(())
    });
    let refused = server.ctl_refused(&["read", "meter", "/3/0/0"]);
    assert!(refused.contains("sleeps in Queue Mode"), "{refused}");
    // One waits, one is left behind.
    server.ctl(&["write", "meter", "/3442/0/110", "left behind", "--queue"]);
    let read = server.json(&["read", "meter", "/3/0/0", "--wait", "20s"]);
    assert_eq!((&read["code"], &read["content"]["value"]), (&json!("2.05"), &json!("Lightship")));
    device.await_line("event awake ssid=1");
    device.await_line("event written ssid=1 path=/3442/0/110");
    device.await_line("event asleep ssid=1");
    assert!(device.say("show /3442/0/110").contains("left behind"));
}

#[test]
fn what_is_sent_to_a_sleeping_device_is_lost() {
    // The server thinks that the device listens for longer than it does.
    let server = Server::start(&["--awake-window", "60"]);
    let mut device = server.device("deaf", &["--queue-mode", "--awake", "1"]);
    device.await_line("event asleep ssid=1");
    let refused = server.ctl_refused(&["read", "deaf", "/3/0/0", "--wait", "2s"]);
    assert!(refused.contains("answer"), "{refused}");
    // By itself it wakes for what it has to say, here because it is told to.
    assert_eq!(device.say("update"), "ok");
    device.await_line("event awake ssid=1");
    assert_eq!(server.json(&["read", "deaf", "/3/0/0"])["code"], "2.05");
}
