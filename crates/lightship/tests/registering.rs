//! Registrations of the real device: several servers, and profiles in place of the list.

mod program;

use program::{Program, Server, eventually};
use serde_json::json;

fn paths(server: &Server) -> Vec<String> {
    let shown = server.json(&["show", "e2e"]);
    let objects = shown["objects"].as_array().cloned().unwrap_or_default();
    objects.iter().filter_map(|object| object["path"].as_str().map(str::to_owned)).collect()
}

// Proves: PRF-01, PRF-04
#[test]
fn a_profile_is_learnt_and_told_again_where_it_was_forgotten() {
    let server = Server::start(&[]);
    let mut device = server.device("e2e", &["--profile", "hash"]);
    let listed = paths(&server);
    assert!(listed.contains(&"/3303/0".to_owned()), "{listed:?}");
    // The second time the hash is enough; the server knows the same objects by it.
    let again = |device: &mut Program| {
        assert_eq!(device.say("register"), "ok");
        device.await_line("event registered ssid=1");
        paths(&server)
    };
    assert_eq!(again(&mut device), listed);
    assert_eq!(server.json(&["read", "e2e", "/3303/0/5701"])["code"], "2.05");
    // A new instance changes what the hash stands for.
    assert_eq!(device.say("create /3303/5"), "ok /3303/5");
    eventually("the new instance is listed", || paths(&server).contains(&"/3303/5".to_owned()).then_some(()));
    assert!(again(&mut device).contains(&"/3303/5".to_owned()));

    let (coap, http) = (server.coap.to_string(), server.http.to_string());
    server.program.kill();
    let server = Server::start_at(&coap, &http, &[]);
    assert_eq!(device.say("register"), "ok");
    device.await_line("event failed ssid=1 reason=refused_4.09 retry_in_s=0");
    device.await_line("event registered ssid=1");
    eventually("the list is told anew", || paths(&server).contains(&"/3303/5".to_owned()).then_some(()));
}

// Proves: REG-46
#[test]
fn a_server_that_is_down_does_not_keep_the_device_from_another() {
    let up = Server::start(&[]);
    let down = Server::start(&[]);
    let (coap, http) = (down.coap.to_string(), down.http.to_string());
    down.program.kill();
    let impatient = ["--ack-timeout", "0.3", "--max-retransmit", "1", "--retry-timer", "1"];
    let servers = [format!("coap://{coap}"), format!("coap://{}", up.coap)];
    let fixed = ["device", "--endpoint", "e2e", "--server", &servers[0], "--server", &servers[1]];
    let mut device = Program::start(&[&fixed[..], &impatient].concat());
    device.await_line("event registered ssid=2");
    device.await_line("event failed ssid=1");
    // Each server has its own account, and object 2 says who may do what; the first server owns the objects.
    assert_eq!(up.json(&["read", "e2e", "/1"])["code"], "2.05");
    let down = Server::start_at(&coap, &http, &[]);
    device.await_line("event registered ssid=1");
    eventually("both know it", || (down.is_registered("e2e") && up.is_registered("e2e")).then_some(()));
    device.say("set /3303/0/5700 17");
    assert_eq!(down.json(&["read", "e2e", "/3303/0/5700"])["content"]["value"], json!(17.0));
}

// Proves: REG-40
#[test]
fn a_device_says_when_it_has_tried_all() {
    let server = Server::start(&[]);
    let target = format!("coap://{}", server.coap);
    server.program.kill();
    let impatient =
        ["--ack-timeout", "0.1", "--max-retransmit", "1", "--retry-timer", "1", "--retry-count", "2"];
    let fixed = ["device", "--endpoint", "e2e", "--server", &target, "--retry-sequence-delay", "4294967295"];
    let mut device = Program::start(&[&fixed[..], &impatient].concat());
    device.await_line("event failed ssid=1 reason=timeout retry_in_s=1");
    device.await_line("event failed ssid=1 reason=timeout");
    device.await_line("event gave_up ssid=1");
    assert_eq!(device.say("quit"), "ok");
    assert!(device.await_end().success());
}
