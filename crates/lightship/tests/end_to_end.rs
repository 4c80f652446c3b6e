//! The program as its users run it: server, device and ctl as processes, over real sockets.

mod operations;
mod program;

use program::{PATIENCE, Program, Server, command, eventually, now};
use serde_json::json;
use std::process::Stdio;

// Proves: GEN-16
#[test]
fn a_device_is_listed_read_written_and_executed() {
    let server = Server::start(&[]);
    let _device = server.device("e2e", &["--lifetime", "120"]);

    let listed = server.json(&["endpoints"]);
    assert_eq!(listed["items"][0]["endpoint"], "e2e");
    assert_eq!(listed["items"][0]["lifetime_s"], 120);
    assert!(server.ctl(&["endpoints"]).contains("e2e"));
    assert!(server.ctl(&["show", "e2e"]).contains("/3303/0"));

    let read = server.json(&["read", "e2e", "/3/0/0"]);
    assert_eq!((&read["code"], &read["content"]["value"]), (&json!("2.05"), &json!("Lightship")));
    for format in ["text", "tlv", "senml-json", "senml-cbor", "cbor"] {
        let read = server.json(&["read", "e2e", "/3/0/9", "--format", format]);
        assert_eq!(read["content"]["value"], 84, "{format}: {read}");
        assert_eq!(read["format"], format);
    }
    let table = server.ctl(&["read", "e2e", "/3/0/9", "--format", "senml-json", "--raw"]);
    assert!(table.contains("Battery Level") && table.contains("content format 110 (senml-json)"), "{table}");
    assert!(table.contains("\n0000  5b 7b ") && table.contains("  [{"), "{table}");
    for with_payload in [
        &["discover", "e2e", "/3"][..],
        &["observe", "e2e", "/3/0/9"],
        &["composite", "read", "e2e", "/3/0/9", "/3/0/0"],
        &["composite", "observe", "e2e", "both", "/3/0/9", "/3/0/0"],
    ] {
        let told = server.ctl(&[with_payload, &["--raw"]].concat());
        assert!(told.contains("\npayload: ") && told.contains("\n0000  "), "{with_payload:?}: {told}");
        let plain = server.ctl(with_payload);
        assert!(!plain.contains("payload: "), "{with_payload:?}: {plain}");
    }
    let json = server.json(&["read", "e2e", "/3/0/9", "--format", "text", "--raw"]);
    assert_eq!(json["raw"], json!({"content_format": 0, "payload": "ODQ="}));
    let table = server.ctl(&["read", "e2e", "/3/0"]);
    assert!(table.contains("Manufacturer") && table.contains("Battery Level"), "{table}");

    server.ctl(&["write", "e2e", "/3442/0/110", "hello world"]);
    assert_eq!(server.json(&["read", "e2e", "/3442/0/110"])["content"]["value"], "hello world");
    server.ctl(&["write", "e2e", "/3442/0", "--partial", "120=-5", "125=18446744073709551615", "1120/3=7"]);
    assert_eq!(server.json(&["read", "e2e", "/3442/0/120"])["content"]["value"], -5);
    assert_eq!(server.json(&["read", "e2e", "/3442/0/125"])["content"]["value"], "18446744073709551615");
    assert_eq!(server.json(&["read", "e2e", "/3442/0/1120"])["content"]["instances"]["3"], 7);
    server.ctl(&["write", "e2e", "/3442/0/150", "0xdeadbeef"]);
    assert!(server.ctl(&["read", "e2e", "/3442/0/150"]).contains("0xdeadbeef"));

    server.ctl(&["exec", "e2e", "/3442/0/3", "0='x',5"]);
    let arguments = server.json(&["read", "e2e", "/3442/0/4"]);
    assert_eq!(arguments["content"]["instances"], json!({"0": "x", "5": ""}));
    server.ctl(&["exec", "e2e", "/3442/0/0"]);
    assert_eq!(server.json(&["read", "e2e", "/3442/0/120"])["content"]["value"], 1024);
}

#[test]
fn instances_come_and_go_and_the_server_hears_of_it() {
    let server = Server::start(&[]);
    let mut device = server.device("e2e", &["--object", "3313=2"]);
    let objects = |wanted: &str, present: bool| {
        eventually(&format!("{wanted} present: {present}"), || {
            let shown = server.json(&["show", "e2e"]);
            let found = shown["objects"].as_array()?.iter().any(|entry| entry["path"] == wanted);
            (found == present).then_some(())
        });
    };
    objects("/3313/1", true);
    let created = server.json(&["create", "e2e", "/3442/7", "110=new", "140=false"]);
    assert_eq!(created["code"], "2.01");
    assert_eq!(server.json(&["read", "e2e", "/3442/7/110"])["content"]["value"], "new");
    objects("/3442/7", true);
    let chosen = server.json(&["create", "e2e", "/3442"]);
    assert_eq!(chosen["code"], "2.01", "{chosen}");
    assert_eq!(server.json(&["delete", "e2e", "/3442/7"])["code"], "2.02");
    objects("/3442/7", false);
    assert_eq!(device.say("create /3303/4"), "ok /3303/4");
    objects("/3303/4", true);
    assert_eq!(device.say("delete /3303/4"), "ok /3303/4");
    objects("/3303/4", false);

    let links = server.json(&["discover", "e2e", "/3303/0"]);
    let found = links["content"]["links"].as_array().expect("links").iter();
    assert!(found.clone().any(|link| link["path"] == "/3303/0/5700"), "{links}");
    server.ctl(&["attributes", "e2e", "/3303/0/5700", "pmin=1", "pmax=60"]);
    let links = server.json(&["discover", "e2e", "/3303/0/5700"]);
    assert_eq!(links["content"]["links"][0]["attributes"]["pmin"], 1, "{links}");
    assert_eq!(device.say("attributes /3303/0/5700 gt=30"), "ok /3303/0/5700 pmin=1 pmax=60 gt=30");
    let links = server.json(&["discover", "e2e", "/3303/0/5700"]);
    assert_eq!(links["content"]["links"][0]["attributes"]["gt"], 30, "{links}");
}

#[test]
fn changes_are_reported_while_observed() {
    let server = Server::start(&[]);
    let mut device = server.device("e2e", &[]);
    assert_eq!(device.say("set /3303/0/5700 19.5"), "ok /3303/0/5700 19.5");
    let first = server.json(&["observe", "e2e", "/3303/0/5700"]);
    assert_eq!((&first["code"], &first["content"]["value"]), (&json!("2.05"), &json!(19.5)));
    device.await_line("event observed ssid=1 path=/3303/0/5700");
    device.say("set /3303/0/5700 23.25");
    server.await_reported("e2e", "/3303/0/5700", &json!(23.25));
    let events = server.ctl(&["events", "--type", "notified", "--endpoint", "e2e"]);
    assert!(events.contains("notified e2e /3303/0/5700 23.25"), "{events}");
    assert!(server.ctl(&["observations", "e2e"]).contains("Sensor Value"));
    server.ctl(&["unobserve", "e2e", "/3303/0/5700"]);
    device.await_line("event observation_ended ssid=1 path=/3303/0/5700");
    assert_eq!(server.json(&["observations", "e2e"])["items"], json!([]));
}

#[test]
fn refusals_have_words_and_exit_code_1() {
    let server = Server::start(&[]);
    let _device = server.device("e2e", &[]);
    for (arguments, words) in [
        (&["read", "e2e", "/3/0/99"][..], "4.04 (Not Found)"),
        (&["read", "e2e", "/3/0/4"][..], "4.05 (Method Not Allowed)"),
        (&["delete", "e2e", "/3/0"][..], "4.05 (Method Not Allowed)"),
        (&["exec", "e2e", "/3/0/0"][..], "4.05 (Method Not Allowed)"),
        (&["create", "e2e", "/2", "0=3", "1=0", "3=1"][..], "4.05 (Method Not Allowed)"),
        (&["read", "nobody", "/3/0"][..], "No such endpoint is registered"),
        (&["write", "e2e", "/1/0/1", "soon"][..], "not an integer"),
        (&["observations", "nobody"][..], "No such endpoint is registered"),
    ] {
        let said = server.ctl_refused(arguments);
        assert!(said.contains(words), "{arguments:?}: {said}");
    }
    let unreachable = command(&["ctl", "--url", "http://127.0.0.1:1", "endpoints"])
        .stdin(Stdio::null())
        .output()
        .expect("runs");
    assert_eq!(unreachable.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&unreachable.stderr).contains("http://127.0.0.1:1"));
    server.ctl(&["forget", "e2e"]);
    assert!(!server.is_registered("e2e"));
}

#[test]
fn object_definitions_can_be_looked_up() {
    let server = Server::start(&[]);
    let model = server.json(&["models", "show", "3303"]);
    assert_eq!(model["name"], "Temperature");
    assert!(server.ctl(&["models", "show", "3"]).contains("Battery Level"));
    assert!(server.ctl(&["models", "list", "--filter", "temperature"]).contains("3303"));
    assert!(server.ctl_refused(&["models", "show", "65000"]).contains("definition"));
}

#[test]
fn a_killed_device_comes_back_and_is_observed_again() {
    let server = Server::start(&[]);
    let device = server.device("e2e", &[]);
    server.ctl(&["observe", "e2e", "/3303/0/5700"]);
    device.kill();
    let mut device = server.device("e2e", &[]);
    device.await_line("event observed ssid=1 path=/3303/0/5700");
    device.say("set /3303/0/5700 33.5");
    server.await_reported("e2e", "/3303/0/5700", &json!(33.5));
    assert_eq!(server.json(&["endpoints"])["items"].as_array().map(Vec::len), Some(1));
}

#[test]
fn a_killed_server_gets_its_devices_and_observations_back() {
    let folder = tempfile::tempdir().expect("a folder");
    let data = folder.path().to_str().expect("UTF-8");
    let server = Server::start(&["--data", data]);
    // Short, so that the device is soon heard.
    let mut device = server.device(
        "e2e",
        &["--lifetime", "4", "--ack-timeout", "0.5", "--max-retransmit", "2", "--retry-timer", "1"],
    );
    server.ctl(&["observe", "e2e", "/3303/0/5700"]);
    device.await_line("event observed");
    let (coap, http) = (server.coap.to_string(), server.http.to_string());
    server.program.kill();
    let server = Server::start_at(&coap, &http, &["--data", data]);
    assert!(server.is_registered("e2e"), "it is remembered before anything is heard of it");
    device.await_line("event observed ssid=1 path=/3303/0/5700");
    device.say("set /3303/0/5700 -4.5");
    server.await_reported("e2e", "/3303/0/5700", &json!(-4.5));
}

#[test]
fn a_device_that_is_offline_expires_and_returns() {
    let server = Server::start(&[]);
    let mut device =
        server.device("e2e", &["--lifetime", "3", "--ack-timeout", "0.5", "--max-retransmit", "1"]);
    assert_eq!(device.say("offline"), "ok");
    eventually("the registration expires", || (!server.is_registered("e2e")).then_some(()));
    assert_eq!(device.say("online"), "ok");
    device.await_line("event registered");
    assert!(server.is_registered("e2e"));
    let before = device.say("sockets");
    assert_eq!(device.say("reconnect"), "ok");
    device.await_line("event registered");
    assert_ne!(device.say("sockets"), before, "a new socket has a new port");
}

// Proves: OBJ-11
#[test]
fn connectivity_is_counted_between_start_and_stop() {
    let server = Server::start(&[]);
    let _device = server.device("e2e", &[]);
    let value =
        |path: &str| server.json(&["read", "e2e", path])["content"]["value"].as_u64().expect("a number");
    let traffic =
        || (0..4).for_each(|_| drop(server.json(&["read", "e2e", "/3442/0", "--format", "senml-json"])));
    let counted = || ["/7/0/2", "/7/0/3", "/7/0/4", "/7/0/5"].map(value);
    traffic();
    assert_eq!(counted(), [0; 4], "nothing is counted before Start");
    server.ctl(&["exec", "e2e", "/7/0/6"]);
    traffic();
    server.ctl(&["exec", "e2e", "/7/0/7"]);
    let [sent_kb, _, largest, average] = counted();
    assert!(sent_kb >= 2 && largest > 500 && average > 50, "{:?}", counted());
    traffic();
    assert_eq!(counted(), counted(), "nothing is counted after Stop");
    assert_eq!(value("/7/0/2"), sent_kb);

    server.ctl(&["write", "e2e", "/7/0/8", "1"]);
    server.ctl(&["exec", "e2e", "/7/0/6"]);
    assert_eq!(value("/7/0/2"), 0, "Start begins at zero");
    traffic();
    let mut before = counted();
    assert!(before[0] >= 2, "{before:?}");
    eventually("the period ends", || {
        traffic();
        let now = counted();
        let same = now == before;
        before = now;
        same.then_some(())
    });
    traffic();
    assert_eq!(counted(), before, "nothing is counted after the period");
}

#[test]
fn the_devices_clock_is_reported_while_observed() {
    let server = Server::start(&[]);
    let mut device = server.device("e2e", &[]);
    device.say("set /3303/0/5700 1");
    server.ctl(&["observe", "e2e", "/3/0/13"]);
    eventually("the time is reported", || {
        let found = server.json(&["observations", "e2e"]);
        found["items"][0]["notifications"].as_u64().filter(|count| *count >= 2)
    });
}

/// Stands between a device and a server and loses every third datagram, in both directions.
fn lossy_relay(server: std::net::SocketAddr) -> std::net::SocketAddr {
    let front = std::net::UdpSocket::bind("127.0.0.1:0").expect("a port");
    let address = front.local_addr().expect("bound");
    let back = std::net::UdpSocket::bind("127.0.0.1:0").expect("a port");
    back.connect(server).expect("connected");
    let device = std::sync::Arc::new(std::sync::Mutex::new(None));
    let counter = std::sync::Arc::new(std::sync::atomic::AtomicUsize::new(0));
    let lost = move || counter.fetch_add(1, std::sync::atomic::Ordering::Relaxed) % 3 == 2;
    let (to_device, lost_back) = (front.try_clone().expect("cloned"), lost.clone());
    let (from_server, its_device) = (back.try_clone().expect("cloned"), device.clone());
    std::thread::spawn(move || {
        let mut bytes = [0; 2048];
        while let Ok((length, from)) = front.recv_from(&mut bytes) {
            *device.lock().expect("unharmed") = Some(from);
            if !lost() {
                let _ = back.send(&bytes[..length]);
            }
        }
    });
    std::thread::spawn(move || {
        let mut bytes = [0; 2048];
        while let Ok(length) = from_server.recv(&mut bytes) {
            let device = *its_device.lock().expect("unharmed");
            if let Some(device) = device.filter(|_| !lost_back()) {
                let _ = to_device.send_to(&bytes[..length], device);
            }
        }
    });
    address
}

#[test]
fn losing_every_third_datagram_only_costs_time() {
    let server = Server::start(&[]);
    let through = format!("coap://{}", lossy_relay(server.coap));
    let mut device = Program::start(&[
        "device",
        "--endpoint",
        "e2e",
        "--server",
        &through,
        "--ack-timeout",
        "0.3",
        "--lifetime",
        "20",
    ]);
    device.await_line("event registered");
    let wait = ["--wait", "60s"];
    let all = server.json(&[&["read", "e2e", "/3442/0"], &wait[..]].concat());
    assert_eq!(all["content"]["resources"]["120"]["value"], 1024);
    for number in ["1", "2"] {
        server.ctl(&[&["write", "e2e", "/3442/0/120", number], &wait[..]].concat());
        let read = server.json(&[&["read", "e2e", "/3442/0/120"], &wait[..]].concat());
        assert_eq!(read["content"]["value"].to_string(), number);
    }
    server.ctl(&[&["observe", "e2e", "/3303/0/5700"], &wait[..]].concat());
    // A report that is not confirmed may be lost; the next one is not.
    let mut value = 40.0;
    eventually("changes are reported", || {
        value += 0.5;
        device.say(&format!("set /3303/0/5700 {value}"));
        let found = server.json(&["observations", "e2e"]);
        found["items"][0]["notifications"].as_u64().filter(|count| *count >= 3)
    });
}

// Proves: OBJ-08
#[test]
fn a_reboot_registers_anew() {
    let server = Server::start(&[]);
    let mut device = server.device("e2e", &[]);
    let first = server.json(&["show", "e2e"])["registration_id"].clone();
    assert_eq!(server.json(&["exec", "e2e", "/3/0/4"])["code"], "2.04");
    device.await_line("event executed ssid=1 path=/3/0/4");
    device.await_line("event registered");
    assert_ne!(server.json(&["show", "e2e"])["registration_id"], first);
    assert_eq!(server.json(&["exec", "e2e", "/1/0/8"])["code"], "2.04");
    device.await_line("event updated ssid=1");
}

#[test]
fn the_end_of_input_is_the_end_of_the_device() {
    let server = Server::start(&[]);
    let mut device = server.device("e2e", &[]);
    device.close_input();
    assert_eq!(device.await_end().code(), Some(0));
    assert!(!server.is_registered("e2e"));

    let mut device = server.device("e2e", &[]);
    assert_eq!(device.say("quit"), "ok");
    device.await_line("event deregistered ssid=1");
    assert_eq!(device.await_end().code(), Some(0));
    assert!(!server.is_registered("e2e"));

    // What was sent before is heard before it leaves.
    let mut device = server.device("e2e", &[]);
    device.type_ahead("send /3303/0/5700 /3/0/9\nquit");
    device.await_line("event sent ssid=1");
    device.await_line("event deregistered ssid=1");
    assert_eq!(device.await_end().code(), Some(0));

    let coap = format!("coap://{}", server.coap);
    let arguments = ["device", "--endpoint", "shy", "--server", &coap];
    let output = command(&arguments).stdin(Stdio::null()).output().expect("runs");
    assert_eq!(output.status.code(), Some(0));
    assert!(!server.is_registered("shy"));
}

#[test]
fn a_device_serves_two_servers_by_name_and_by_number() {
    let (first, second) = (Server::start(&[]), Server::start_at("[::1]:0", "127.0.0.1:0", &[]));
    let by_name = format!("coap://localhost:{}", first.coap.port());
    let by_number = format!("coap://{}", second.coap);
    let mut device =
        Program::start(&["device", "--endpoint", "e2e", "--server", &by_name, "--server", &by_number]);
    for server in [&first, &second] {
        eventually("both know the device", || server.is_registered("e2e").then_some(()));
        server.ctl(&["observe", "e2e", "/3303/0/5700"]);
    }
    device.say("set /3303/0/5700 1.5");
    for server in [&first, &second] {
        server.await_reported("e2e", "/3303/0/5700", &json!(1.5));
    }
    first.ctl(&["attributes", "e2e", "/3303/0/5700", "st=5"]);
    let links = second.json(&["discover", "e2e", "/3303/0/5700"]);
    assert_eq!(links["content"]["links"][0]["attributes"], json!({}), "attributes are each server's own");
    assert_eq!(device.say("quit"), "ok");
    assert_eq!(device.await_end().code(), Some(0));
    assert!(!first.is_registered("e2e") && !second.is_registered("e2e"));
}

#[test]
fn commands_are_answered_one_line_each() {
    let server = Server::start(&[]);
    let mut device = server.device("e2e", &[]);
    for (line, answer) in [
        ("set /3442/0/110 two words", "ok /3442/0/110 \"two words\""),
        ("show /3442/0/110", "ok /3442/0/110=\"two words\""),
        ("show /1/0/0", "ok /1/0/0=1"),
        ("update", "ok"),
        ("update 1", "ok"),
        ("update 2", "error no server has that Short Server ID"),
        ("advance 5", "error advance needs --virtual-clock"),
        ("fly", "error unknown command \"fly\""),
        ("set /3/0/9 101", "error Battery Level allows 0..100"),
        ("attributes /3303/0/5700 pmin=5 pmax=60 st=0.5", "ok /3303/0/5700 pmin=5 pmax=60 st=0.5"),
        ("attributes /3303/0/5700 st=null", "ok /3303/0/5700 pmin=5 pmax=60"),
        ("attributes /3303/0/5700", "ok /3303/0/5700 pmin=5 pmax=60"),
        (
            "attributes /3303/0/5700 gt=1 lt=9",
            "error these attributes do not fit /3303/0/5700, or each other",
        ),
        ("attributes /3303/0/5701 gt=5", "error these attributes do not fit /3303/0/5701, or each other"),
        ("attributes /3303/7 pmin=5", "error no /3303/7"),
        ("attributes /3/0/4 pmin=5", "error /3/0/4 cannot be read"),
        ("send /3/0/9", "ok ssid=1"),
        ("bootstrap", "error there is no Bootstrap-Server account"),
        ("show /9", "error nothing at /9"),
        ("online", "error the device is online"),
        ("deregister", "ok"),
    ] {
        assert_eq!(device.say(line), answer, "{line}");
    }
    device.await_line("event deregistered ssid=1");
    assert!(!server.is_registered("e2e"));
    assert_eq!(device.say("update"), "error not registered with server 1");
    assert_eq!(device.say("register"), "ok");
    device.await_line("event registered ssid=1");
}

#[test]
fn a_standing_clock_runs_when_told() {
    let server = Server::start(&[]);
    let mut device = server.device("e2e", &["--virtual-clock", "--lifetime", "1000"]);
    let time = device.say("show /3/0/13");
    assert_eq!(time, "ok /3/0/13=2026-01-01T00:00:00Z");
    assert!(device.say("advance 960").starts_with("ok"));
    device.await_line("event updated ssid=1");
    assert_eq!(device.say("show /3/0/13"), "ok /3/0/13=2026-01-01T00:16:00Z");
}

#[test]
fn a_device_that_no_server_answers_says_so_and_keeps_trying() {
    let deaf = std::net::UdpSocket::bind("127.0.0.1:0").expect("a port");
    let server = format!("coap://{}", deaf.local_addr().expect("bound"));
    let mut device = Program::start(&[
        "device",
        "--endpoint",
        "e2e",
        "--server",
        &server,
        "--ack-timeout",
        "0.1",
        "--max-retransmit",
        "1",
        "--retry-timer",
        "1",
    ]);
    for _ in 0..2 {
        let line = device.await_line("event failed");
        assert!(line.starts_with("event failed ssid=1 reason=timeout retry_in_s="), "{line}");
    }
    device.ask_to_end();
    assert_eq!(device.await_end().code(), Some(0));
}

#[test]
fn the_server_ends_gracefully() {
    let mut server = Server::start(&[]);
    server.program.ask_to_end();
    assert_eq!(server.program.await_end().code(), Some(0));
}

#[test]
fn listeners_that_are_not_there_yet_do_not_break_the_start() {
    let arguments = ["serve", "--dev", "--coap", "127.0.0.1:0", "--http", "none"];
    let mut server = Program::start(&arguments);
    server.await_line("listening coap udp 127.0.0.1:");
    server.await_line("ready");
    server.ask_to_end();
    assert_eq!(server.await_end().code(), Some(0));
}

#[test]
fn the_demo_shows_three_devices() {
    let start = now();
    let mut demo = Program::start(&["demo", "--free-ports"]);
    demo.await_line("listening coap udp 127.0.0.1:");
    let http = demo.await_line("listening http tcp 127.0.0.1:");
    demo.await_line("ready");
    let address = http.split(' ').next_back().expect("an address").to_owned();
    demo.await_line(&format!("http://{address}/"));
    let line = demo.await_line("curl ");
    let url = line.split("curl ").nth(1).expect("a URL").trim();
    assert!(url.ends_with("/api/v1/endpoints/demo-sensor/resources/3303/0/5700"), "{url}");
    let base = format!("http://{address}");
    let ctl = |arguments: &[&str]| {
        let all = [&["ctl", "--url", &base, "--json"], arguments].concat();
        let output = command(&all).stdin(Stdio::null()).output().expect("runs");
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        serde_json::from_slice::<serde_json::Value>(&output.stdout).expect("JSON")
    };
    let listed = ctl(&["endpoints"]);
    let names: Vec<&str> = listed["items"]
        .as_array()
        .expect("items")
        .iter()
        .filter_map(|item| item["endpoint"].as_str())
        .collect();
    assert_eq!(names, ["demo-meter", "demo-sensor", "demo-updatable"]);
    let secured = ctl(&["show", "demo-updatable"]);
    assert_eq!(
        (&secured["security"]["mode"], &secured["session"]["resumed"]),
        (&"psk".into(), &false.into())
    );
    let kept = ctl(&["credentials", "get", "demo-updatable"]);
    assert_eq!((&kept["key_set"], kept.get("key_hex")), (&true.into(), None), "{kept}");
    eventually("the sensor reports by itself", || {
        let found = ctl(&["observations", "demo-sensor"]);
        let reports =
            found["items"].as_array()?.iter().filter_map(|item| item["notifications"].as_u64()).sum::<u64>();
        (reports >= 2).then_some(())
    });
    demo.ask_to_end();
    assert_eq!(demo.await_end().code(), Some(0));
    assert!(now() - start < PATIENCE * 2);
}

#[test]
fn the_demo_says_when_its_ports_are_taken() {
    let taken = std::net::UdpSocket::bind("127.0.0.1:0").expect("a port");
    let address = taken.local_addr().expect("bound").to_string();
    let output = command(&["demo", "--coap", &address, "--http", "127.0.0.1:0"])
        .stdin(Stdio::null())
        .output()
        .expect("runs");
    assert_eq!(output.status.code(), Some(1));
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(said.contains(&address) && said.contains("--free-ports"), "{said}");
}
