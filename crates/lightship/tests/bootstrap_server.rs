//! Our own devices at our own Bootstrap-Server, all of it the real program.

mod program;

use program::{Program, Server, eventually};
use serde_json::Value as Json;

/// A server that is also a Bootstrap-Server.
fn server() -> Server {
    Server::start(&["--bootstrap-coap", "127.0.0.1:0"])
}

/// A device that knows the Bootstrap-Server alone.
fn device(server: &Server, endpoint: &str, more: &[&str]) -> Program {
    let uri = format!("coap://{}", server.bootstrap.expect("a Bootstrap-Server"));
    Program::start(&[&["device", "--endpoint", endpoint, "--bootstrap", &uri], more].concat())
}

fn put(server: &Server, endpoint: &str, document: &Json) {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("document.json");
    std::fs::write(&file, document.to_string()).expect("written");
    server.ctl(&["bootstrap", "put", endpoint, file.to_str().expect("UTF-8")]);
}

/// The last session of a device, once it is over.
fn session(server: &Server, endpoint: &str) -> Json {
    eventually("the session is over", || {
        let last = server.json(&["bootstrap", "sessions", endpoint, "--last", "1"])[0].clone();
        last["ended_at"].is_string().then_some(last)
    })
}

fn steps(session: &Json) -> Vec<String> {
    let text = |step: &Json, name: &str| step[name].as_str().unwrap_or("-").to_owned();
    let step =
        |step: &Json| format!("{} {} {}", text(step, "method"), text(step, "path"), text(step, "code"));
    session["steps"].as_array().expect("steps").iter().map(step).collect()
}

#[test]
fn a_device_is_bootstrapped_registers_and_is_sent_elsewhere() {
    let (server, other) = (server(), Server::start(&[]));
    let account = |at: &Server, lifetime: u32| {
        let uri = format!("coap://{}", at.coap);
        serde_json::json!({"short_server_id": 9, "uri": uri, "mode": "nosec", "lifetime_s": lifetime})
    };
    let document = serde_json::json!({"servers": [account(&server, 300)], "read": ["/1"],
        "write": [{"path": "/3442/0", "resources": {"110": {"value": "by bootstrap"}, "120": {"value": -7}}},
            {"path": "/3442/0/1120", "instances": {"0": 5, "3": 6}}]});
    for format in ["tlv", "senml-json", "senml-cbor", "lwm2m-cbor"] {
        let name = format!("boot-{format}");
        let mut document = document.clone();
        document["format"] = format.into();
        put(&server, &name, &document);
        let mut device = device(&server, &name, &[]);
        device.await_line("event bootstrap_finished");
        device.await_line("event registered ssid=9");
        let last = session(&server, &name);
        assert_eq!(last["result"], "finished", "{last}");
        let expected = [
            "GET / 2.05",
            "PUT /0/1 2.04",
            "PUT /1/0 2.04",
            "PUT /3442/0 2.04",
            "PUT /3442/0/1120 2.04",
            "GET /1 2.05",
            "POST /bs 2.04",
        ];
        assert_eq!(steps(&last), expected, "{format}");
        assert!(last["steps"][1]["format"] == format, "{last}");
        assert_eq!(last["steps"][5]["content"][0]["instances"]["0"]["resources"]["1"]["value"], 300);
        eventually("it is listed", || server.is_registered(&name).then_some(()));
        let value = |path: &str| server.json(&["read", &name, path])["content"].clone();
        assert_eq!(value("/1/0/1")["value"], 300);
        assert_eq!(value("/3442/0/120")["value"], -7);
        assert_eq!(value("/3442/0/1120")["instances"], serde_json::json!({"0": 5, "3": 6}));
    }

    // Told by its server to bootstrap, it finds itself sent elsewhere, with the same instances.
    put(&server, "boot-tlv", &serde_json::json!({"servers": [account(&other, 600)]}));
    let plan = server.ctl(&["bootstrap", "plan", "boot-tlv"]);
    assert!(plan.contains("DELETE /0/1") && plan.contains("PUT /1/0"), "it knows the device by now: {plan}");
}

#[test]
fn a_registered_device_is_sent_to_another_server() {
    let (server, other) = (server(), Server::start(&[]));
    let uri = |server: &Server| format!("coap://{}", server.coap);
    server.ctl(&["bootstrap", "templates", "put", "all", "--pattern", "*", "--server", &uri(&server)]);
    let mut device = device(&server, "mover", &[]);
    device.await_line("event registered ssid=1");
    eventually("it is listed", || server.is_registered("mover").then_some(()));
    assert_eq!(session(&server, "mover")["from"], "template:all");
    server.ctl(&["bootstrap", "put", "mover", "--server", &uri(&other), "--lifetime", "600"]);
    assert_eq!(server.json(&["exec", "mover", "/1/0/9"])["code"], "2.04");
    device.await_line("event bootstrap_finished");
    device.await_line("event registered ssid=1");
    eventually("it is at the other server", || other.is_registered("mover").then_some(()));
    let last = session(&server, "mover");
    let expected = [
        "GET / 2.05",
        "DELETE /0/1 2.02",
        "DELETE /1/0 2.02",
        "PUT /0/1 2.04",
        "PUT /1/0 2.04",
        "POST /bs 2.04",
    ];
    assert_eq!((steps(&last), &last["from"]), (expected.map(str::to_owned).to_vec(), &"document".into()));
    assert_eq!(other.json(&["read", "mover", "/1/0/1"])["content"]["value"], 600);
    let events = server.ctl(&["events", "--endpoint", "mover", "--type", "bootstrap_finished"]);
    assert_eq!(events.matches("bootstrap_finished mover finished").count(), 2, "{events}");
}

#[test]
fn nobody_is_bootstrapped_without_a_document_and_no_key_is_told() {
    let server = server();
    let mut unknown = device(&server, "unknown", &[]);
    unknown.await_line("event bootstrap_failed");
    let listed = server.ctl(&["bootstrap", "list"]);
    assert!(listed.contains("unknown") && listed.contains("no document"), "{listed}");
    let refused = server.ctl_refused(&["bootstrap", "put", "x", "--server", "http://x"]);
    assert!(refused.contains("no URI"), "{refused}");
    let key = "00112233445566778899aabbccddeeff";
    server.ctl(&[
        "bootstrap",
        "put",
        "keyed",
        "--server",
        "coaps://h",
        "--psk-identity",
        "i",
        "--psk-key",
        key,
    ]);
    for command in [&["bootstrap", "get", "keyed"][..], &["bootstrap", "plan", "keyed", "--json"]] {
        let text = server.ctl(command);
        assert!(!text.contains(key) && !text.contains("ABEiM0RVZneImaq7zN3u/w"), "{text}");
    }
}

// Case: LightweightM2M-1.2-int-12
// Proves: BST-30
#[test]
fn lightweightm2m_1_2_int_12_a_device_fetches_all_of_it_as_a_pack() {
    let server = server();
    let uri = format!("coap://{}", server.coap);
    let document = serde_json::json!({
        "servers": [{"short_server_id": 9, "uri": uri, "mode": "nosec", "lifetime_s": 300}],
        "write": [{"path": "/3442/0", "resources": {"110": {"value": "by pack"}}}]});
    put(&server, "packed", &document);
    let mut device = device(&server, "packed", &["--bootstrap-pack"]);
    device.await_line("event bootstrap_finished");
    device.await_line("event registered ssid=9");
    let last = session(&server, "packed");
    assert_eq!(
        (&last["steps"][0]["operation"], last["steps"].as_array().map(Vec::len)),
        (&"bootstrap-pack".into(), Some(1))
    );
    eventually("it is listed", || server.is_registered("packed").then_some(()));
    assert_eq!(server.json(&["read", "packed", "/1/0/1"])["content"]["value"], 300);
    assert_eq!(server.json(&["read", "packed", "/3442/0/110"])["content"]["value"], "by pack");
}

/// A document with this server as number 1.
fn one(server: &Server, lifetime: u32) -> Json {
    let uri = format!("coap://{}", server.coap);
    serde_json::json!({"servers": [{"short_server_id": 1, "uri": uri, "mode": "nosec", "lifetime_s": lifetime}]})
}

fn await_registration(server: &Server, device: &mut Program, endpoint: &str) {
    device.await_line("event registered ssid=1");
    eventually("it is listed", || server.is_registered(endpoint).then_some(()));
}

fn links(session: &Json) -> String {
    session["steps"][0]["links"].to_string()
}

// Case: LightweightM2M-1.1-int-0
#[test]
fn lightweightm2m_1_1_int_0_a_device_asks_and_is_given_an_account() {
    let server = server();
    put(&server, "int-0", &one(&server, 300));
    let mut device = device(&server, "int-0", &[]);
    device.await_line("event bootstrap_started");
    device.await_line("event bootstrap_finished");
    await_registration(&server, &mut device, "int-0");
    let expected = ["GET / 2.05", "PUT /0/1 2.04", "PUT /1/0 2.04", "POST /bs 2.04"];
    assert_eq!(steps(&session(&server, "int-0")), expected);
    // What it then lists: its own account without a server, the other one with.
    assert_eq!(device.say("bootstrap"), "ok");
    device.await_line("event bootstrap_finished");
    let listed = links(&session(&server, "int-0"));
    for link in [
        r#"{"attributes":{},"path":"/0/0"}"#,
        r#""ssid":1,"uri":"#,
        r#"{"attributes":{"ssid":1},"path":"/1/0"}"#,
        r#"{"attributes":{},"path":"/3/0"}"#,
    ] {
        assert!(listed.contains(link), "{link}: {listed}");
    }
}

// Case: LightweightM2M-1.1-int-4
#[test]
fn lightweightm2m_1_1_int_4_accounts_are_deleted_and_the_way_back_stays() {
    let server = server();
    put(&server, "int-4", &one(&server, 300));
    let mut device = device(&server, "int-4", &[]);
    await_registration(&server, &mut device, "int-4");
    let mut document = one(&server, 600);
    document["delete"] = serde_json::json!(["/0", "/1"]);
    document["read"] = serde_json::json!(["/1"]);
    put(&server, "int-4", &document);
    assert_eq!(device.say("bootstrap"), "ok");
    device.await_line("event bootstrap_finished");
    let last = session(&server, "int-4");
    let expected = [
        "GET / 2.05",
        "DELETE /0 2.02",
        "DELETE /1 2.02",
        "PUT /0/1 2.04",
        "PUT /1/0 2.04",
        "GET /1 2.05",
        "POST /bs 2.04",
    ];
    assert_eq!(steps(&last), expected);
    assert!(links(&last).contains("/1/0"), "it was there before: {last}");
    assert_eq!(last["steps"][5]["content"][0]["instances"]["0"]["resources"]["1"]["value"], 600);
    eventually("it is registered anew", || {
        let registration = server.json(&["show", "int-4"]);
        (registration["lifetime_s"] == 600).then_some(())
    });
    // Its own account has survived, so that it can ask once more.
    assert_eq!(device.say("bootstrap"), "ok");
    device.await_line("event bootstrap_finished");
}

// Case: LightweightM2M-1.1-int-5
#[test]
fn lightweightm2m_1_1_int_5_a_server_sends_the_device_to_bootstrap() {
    let server = server();
    put(&server, "int-5", &one(&server, 300));
    let mut device = device(&server, "int-5", &[]);
    await_registration(&server, &mut device, "int-5");
    put(&server, "int-5", &one(&server, 900));
    assert_eq!(server.json(&["exec", "int-5", "/1/0/9"])["code"], "2.04");
    device.await_line("event bootstrap_started");
    device.await_line("event bootstrap_finished");
    assert_eq!(session(&server, "int-5")["result"], "finished");
    eventually("the new lifetime holds", || {
        (server.json(&["show", "int-5"])["lifetime_s"] == 900).then_some(())
    });
}

// Case: LightweightM2M-1.1-int-6
#[test]
fn lightweightm2m_1_1_int_6_known_servers_come_before_the_bootstrap_server() {
    let server = server();
    put(&server, "int-6", &one(&server, 300));
    let uri = format!("coap://{}", server.bootstrap.expect("a Bootstrap-Server"));
    let mut device = server.device("int-6", &["--bootstrap", &uri, "--lifetime", "120"]);
    assert_eq!(server.json(&["bootstrap", "sessions", "int-6"]), serde_json::json!([]), "nobody asked");
    assert_eq!(server.json(&["show", "int-6"])["lifetime_s"], 120);
    // It keeps the account all the same, and can be told to use it.
    assert_eq!(device.say("bootstrap"), "ok");
    device.await_line("event bootstrap_finished");
}

// Case: LightweightM2M-1.1-int-7
#[test]
fn lightweightm2m_1_1_int_7_a_server_that_is_not_there_leads_to_bootstrap() {
    let server = server();
    put(&server, "int-7", &one(&server, 300));
    let silent = std::net::UdpSocket::bind("127.0.0.1:0").expect("a port");
    let dead = format!("coap://{}", silent.local_addr().expect("bound"));
    let hurry = ["--ack-timeout", "0.5", "--max-retransmit", "1", "--retry-count", "1", "--retry-timer", "1"];
    let more = [&["--server", &dead, "--retry-sequence-count", "1"][..], &hurry].concat();
    let mut device = device(&server, "int-7", &more);
    device.await_line("event bootstrap_started");
    device.await_line("event bootstrap_finished");
    await_registration(&server, &mut device, "int-7");
    let last = session(&server, "int-7");
    assert!(links(&last).contains(&dead), "the dead server's account was known: {last}");
    assert_eq!(last["result"], "finished");
}

// Case: LightweightM2M-1.1-int-8
#[test]
fn lightweightm2m_1_1_int_8_accounts_and_access_rights_are_read_back() {
    let server = server();
    let mut document = one(&server, 300);
    document["write"] = serde_json::json!([{"path": "/2/0", "resources": {"0": {"value": 3}, "1": {"value": 0},
        "2": {"instances": {"1": 15}}, "3": {"value": 1}}}]);
    document["read"] = serde_json::json!(["/1", "/2"]);
    put(&server, "int-8", &document);
    let mut device = device(&server, "int-8", &[]);
    device.await_line("event bootstrap_finished");
    let last = session(&server, "int-8");
    let expected = [
        "GET / 2.05",
        "PUT /0/1 2.04",
        "PUT /1/0 2.04",
        "PUT /2/0 2.04",
        "GET /1 2.05",
        "GET /2 2.05",
        "POST /bs 2.04",
    ];
    assert_eq!(steps(&last), expected);
    let read = |step: usize| &last["steps"][step]["content"][0]["instances"]["0"]["resources"];
    assert_eq!(read(4)["1"]["value"], 300);
    assert_eq!((&read(5)["2"]["instances"]["1"], &read(5)["3"]["value"]), (&15.into(), &1.into()));
}

// Case: LightweightM2M-1.1-int-9
#[test]
fn lightweightm2m_1_1_int_9_an_incomplete_configuration_is_refused() {
    let server = server();
    put(&server, "int-9", &one(&server, 300));
    let mut device = device(&server, "int-9", &[]);
    await_registration(&server, &mut device, "int-9");
    // A server that nothing but its Disable Timeout is known of.
    put(&server, "int-9", &serde_json::json!({"delete": [], "write": [{"path": "/1/5/5", "value": 60}]}));
    assert_eq!(device.say("bootstrap"), "ok");
    let last = session(&server, "int-9");
    assert_eq!(steps(&last), ["GET / 2.05", "PUT /1/5/5 2.04", "POST /bs 4.06"]);
    assert_eq!(last["result"], "refused");
    assert!(server.is_registered("int-9"), "nothing has changed");
}
