//! Durable commands by REST: which goes first, how often one is tried, and which give way.

use std::net::UdpSocket;
use std::path::Path;
use std::time::Duration;

use crate::support::{AWAKE, Device, Events, Message, Script, Server, agreeable, eventually};
use serde_json::{Value as Json, json};

const LINKS: &str = "</1/0>,</3/0>,</3303/0>";

fn server() -> Server {
    Server::with(|config| config.queue.awake_window = AWAKE)
}

/// A server that keeps what it has in a folder. It hands nothing over: with the registration the next one would send what
/// waits at once.
fn server_on(folder: &Path) -> Server {
    Server::with(|config| {
        config.queue.awake_window = AWAKE;
        config.store.folder = Some(folder.to_owned());
        config.security.hand_over = Duration::ZERO;
    })
}

fn register(server: &Server, parameters: &str, script: Script) -> Device {
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    Device::register_with(server, socket, &format!("ep=d&lt=600&{parameters}"), LINKS, script)
}

/// A device that sleeps now.
fn sleepy(server: &Server, script: Script) -> Device {
    let device = register(server, "lwm2m=1.1&b=U&Q", script);
    eventually(|| shown(server)["state"] == "asleep");
    device
}

fn shown(server: &Server) -> Json {
    server.get("/api/v1/endpoints/d").json()
}

/// A message about its registration.
fn about(server: &Server, code: u8, id: u16) -> Message {
    let location = shown(server)["registration_id"].as_str().unwrap().to_owned();
    let options = vec![(11, b"rd".to_vec()), (11, location.into_bytes())];
    Message { kind: 0, code, id, token: id.to_be_bytes().to_vec(), options, payload: Vec::new() }
}

fn queue(server: &Server, method: &str, address: &str, body: &str) -> String {
    let joint = if address.contains('?') { '&' } else { '?' };
    let reply = server.call(method, &format!("/api/v1/endpoints/d/{address}{joint}queue=true"), body);
    assert_eq!(reply.status, 202, "{address}: {reply:?}");
    reply.json()["id"].as_str().unwrap().to_owned()
}

fn command(server: &Server, id: &str) -> Json {
    server.get(&format!("/api/v1/commands/{id}")).json()
}

fn await_state(server: &Server, id: &str, state: &str) -> Json {
    eventually(|| command(server, id)["state"] == state);
    command(server, id)
}

fn paths(device: &Device) -> Vec<String> {
    device.requests.try_iter().map(|request| request.path()).collect()
}

#[test]
fn urgent_commands_are_sent_first_and_equals_in_the_order_they_came() {
    let folder = tempfile::tempdir().unwrap();
    let server = server_on(folder.path());
    let device = sleepy(&server, agreeable());
    let read = |priority: &str, id: u16| {
        queue(&server, "GET", &format!("resources/3/0/{id}?format=text{priority}"), "")
    };
    let ids = [
        read("", 1),
        read("&priority=-5", 2),
        read("&priority=100", 3),
        read("&priority=0", 4),
        read("&priority=100", 5),
    ];
    let told = command(&server, &ids[2]);
    assert_eq!((&told["priority"], &command(&server, &ids[0])["priority"]), (&json!(100), &json!(0)));
    // Over a restart, too.
    server.running.stop();
    drop(device);
    let server = server_on(folder.path());
    let device = register(&server, "lwm2m=1.1&b=U&Q", agreeable());
    for id in &ids {
        await_state(&server, id, "done");
    }
    assert_eq!(paths(&device), ["/3/0/3", "/3/0/5", "/3/0/1", "/3/0/4", "/3/0/2"]);
}

#[test]
fn a_command_is_tried_so_often_and_not_again_before_its_pause() {
    let server = server();
    let silent = || -> Script { Box::new(|_| None) };
    let device = register(&server, "lwm2m=1.1&b=U", silent());
    let id = queue(&server, "GET", "resources/3/0/9?format=text&attempts=2&retry_after=7d", "");
    let behind = queue(&server, "GET", "resources/3/0/1?format=text", "");
    assert_eq!(device.next_request().path(), "/3/0/9");
    // It leaves without an answer.
    assert_eq!(device.ask(&about(&server, 4, 30)).code, 0x42);
    let first = await_state(&server, &id, "waiting");
    assert_eq!((&first["attempts"], &first["attempts_max"]), (&json!(1), &json!(2)), "{first}");
    assert!(
        first["next_attempt_at"].as_str() > Some("2026") || first["next_attempt_at"].is_null(),
        "{first}"
    );
    drop(device);
    // A device that comes anew ends the pause.
    let device = register(&server, "lwm2m=1.1&b=U", silent());
    assert_eq!(device.next_request().path(), "/3/0/9");
    assert_eq!(command(&server, &behind)["state"], "waiting", "it keeps its turn");
    assert_eq!(device.ask(&about(&server, 4, 31)).code, 0x42);
    let over = await_state(&server, &id, "expired");
    assert_eq!(
        (&over["attempts"], &over["reason"]),
        (&json!(2), &json!("It was sent 2 times and no answer came."))
    );
    drop(device);
    let device = register(&server, "lwm2m=1.1&b=U", agreeable());
    await_state(&server, &behind, "done");
    assert_eq!(paths(&device), ["/3/0/1"]);
}

#[test]
fn a_device_that_says_later_is_asked_later() {
    let server = server();
    let mut busy = 2;
    let script: Script = Box::new(move |request| {
        if request.code == 2 && busy > 0 {
            busy -= 1;
            // Nothing is done by a device that answers so, be it an Execute.
            return Some(request.answer(if busy == 1 { 0xA3 } else { 0x9D }, None, b""));
        }
        Some(request.answer(0x44, None, b""))
    });
    let device = register(&server, "lwm2m=1.1&b=U", script);
    let mut events = Events::follow(&server, "?type=command_done", None);
    let id = queue(&server, "POST", "execute/3/0/4?retry_after=1s", "");
    eventually(|| command(&server, &id)["attempts"] == 1 && command(&server, &id)["state"] == "waiting");
    let first = command(&server, &id);
    assert_eq!(first["reason"], "The device answered 5.03; it is asked again.");
    assert!(first["next_attempt_at"].as_str() > first["changed_at"].as_str(), "{first}");
    let done = await_state(&server, &id, "done");
    assert_eq!((&done["attempts"], &done["answer"]["code"]), (&json!(3), &json!("2.04")));
    assert_eq!((done.get("next_attempt_at"), done.get("reason")), (None, None), "{done}");
    assert_eq!(events.event()["command"]["id"], json!(id), "its end is told once");
    // Who may try once hears what the device says.
    drop(device);
    let device =
        register(&server, "lwm2m=1.1&b=U", Box::new(|request| Some(request.answer(0xA3, None, b""))));
    let once = queue(&server, "GET", "resources/3/0?attempts=1", "");
    assert_eq!(await_state(&server, &once, "refused")["answer"]["code"], "5.03");
    drop(device);
}

#[test]
fn a_pause_ends_by_itself() {
    let server = server();
    let mut calls = 0;
    let script: Script = Box::new(move |request| {
        calls += 1;
        Some(if calls == 1 { request.answer(0xA3, None, b"") } else { request.answer(0x45, Some(0), b"42") })
    });
    let device = register(&server, "lwm2m=1.1&b=U", script);
    let paused = queue(&server, "GET", "resources/3/0/9?format=text&retry_after=2s&not_after=1h", "");
    eventually(|| command(&server, &paused)["next_attempt_at"].is_string());
    // Something urgent need not wait for that, and what came later does.
    let behind = queue(&server, "GET", "resources/3/0/1?format=text", "");
    let urgent = queue(&server, "GET", "resources/3/0/2?format=text&priority=1", "");
    await_state(&server, &urgent, "done");
    assert_eq!(command(&server, &behind)["state"], "waiting");
    await_state(&server, &behind, "done");
    assert_eq!(command(&server, &paused)["state"], "done");
    assert_eq!(paths(&device), ["/3/0/9", "/3/0/2", "/3/0/9", "/3/0/1"]);
}

#[test]
fn repeated_writes_become_one_when_asked_for() {
    let server = server();
    let device = sleepy(&server, agreeable());
    let mut events = Events::follow(&server, "?type=command_queued,command_done", None);
    let write = |body: &str| queue(&server, "PATCH", "resources/1/0?format=tlv&supersede=true", body);
    let first = write(r#"{"resources": {"1": {"value": 60}}}"#);
    let other = write(r#"{"resources": {"2": {"value": 5}}}"#);
    let both = write(r#"{"resources": {"1": {"value": 61}, "3": {"value": 6}}}"#);
    let kept = queue(&server, "PUT", "resources/1/0/1?format=text", r#"{"value": 62}"#);
    assert_eq!(command(&server, &first)["state"], "superseded");
    assert_eq!(command(&server, &first)["reason"], format!("The command {both} took its place."));
    let kinds: Vec<_> = (0..4).map(|_| events.event()).collect();
    let told: Vec<_> = kinds.iter().map(|e| (e["type"].as_str().unwrap(), &e["command"]["id"])).collect();
    assert_eq!(
        told,
        [
            ("command_queued", &json!(first)),
            ("command_queued", &json!(other)),
            ("command_queued", &json!(both)),
            ("command_done", &json!(first)),
        ]
    );
    device.ask(&about(&server, 2, 20));
    for id in [&other, &both, &kept] {
        await_state(&server, id, "done");
    }
    assert_eq!(paths(&device), ["/1/0", "/1/0", "/1/0/1"]);
}

#[test]
fn every_operation_can_wait() {
    let server = server();
    let mut simple = agreeable();
    let script: Script = Box::new(move |request| match (request.code, request.option(6)) {
        (5, observe) => {
            let pack = br#"[{"n":"/3/0/9","v":84}]"#;
            let mut answer = request.answer(0x45, Some(110), pack);
            if observe == Some(0) {
                answer.options.insert(0, (6, vec![1]));
            }
            Some(answer)
        }
        _ => simple(request),
    });
    let device = sleepy(&server, script);
    let paths_of = r#"{"paths": ["/3/0/9", "/3303/0/5700"]}"#;
    let operations = [
        ("GET", "resources/3/0/9?format=text", "", "read", "/3/0/9"),
        ("PUT", "resources/1/0/1?format=text", r#"{"value": 61}"#, "write", "/1/0/1"),
        ("PATCH", "resources/1/0", r#"{"resources": {"1": {"value": 61}}}"#, "write", "/1/0"),
        ("POST", "resources/3303", r#"{"resources": {"5701": {"value": "C"}}}"#, "create", "/3303"),
        ("DELETE", "resources/3303/5", "", "delete", "/3303/5"),
        ("POST", "execute/3/0/4", "", "execute", "/3/0/4"),
        ("GET", "discover/3", "", "discover", "/3"),
        ("PUT", "attributes/3303/0/5700", r#"{"pmin": 5}"#, "write-attributes", "/3303/0/5700"),
        ("PUT", "observations/3303/0/5700?format=text", "", "observe", "/3303/0/5700"),
        ("DELETE", "observations/3303/0/5700", "", "cancel-observation", "/3303/0/5700"),
        ("POST", "composite/read", paths_of, "read-composite", "/"),
        (
            "POST",
            "composite/write",
            r#"{"nodes": [{"path": "/1/0/1", "value": 60}]}"#,
            "write-composite",
            "/",
        ),
        ("PUT", "composite/observations/power", paths_of, "observe-composite", "/"),
        ("DELETE", "composite/observations/power", "", "cancel-composite", "/"),
    ];
    let ids: Vec<String> =
        operations.iter().map(|(method, address, body, ..)| queue(&server, method, address, body)).collect();
    assert!(device.requests.try_recv().is_err(), "something was sent to a device that sleeps");
    device.ask(&about(&server, 2, 20));
    for (id, (_, address, _, operation, path)) in ids.iter().zip(operations) {
        let over = || command(&server, id);
        eventually(|| !["waiting", "sent"].contains(&over()["state"].as_str().unwrap()));
        let over = over();
        assert_eq!((&over["operation"], &over["path"]), (&json!(operation), &json!(path)), "{address}");
        assert_eq!(over["state"], "done", "{address}: {over}");
    }
    // In their order, each of them once.
    let sent: Vec<(u8, String)> = device.requests.try_iter().map(|r| (r.code, r.path())).collect();
    let expected = [
        (1, "/3/0/9"),
        (3, "/1/0/1"),
        (2, "/1/0"),
        (2, "/3303"),
        (4, "/3303/5"),
        (2, "/3/0/4"),
        (1, "/3"),
        (3, "/3303/0/5700"),
        (1, "/3303/0/5700"),
        (1, "/3303/0/5700"),
        (5, ""),
        (7, ""),
        (5, ""),
        (5, ""),
    ];
    assert_eq!(sent, expected.map(|(code, path)| (code, path.to_owned())));
}

fn shift(server: &Server, id: &str, to: &Json) -> Json {
    let reply = server.call("PATCH", &format!("/api/v1/commands/{id}"), &to.to_string());
    assert_eq!(reply.status, 200, "{to}: {reply:?}");
    reply.json()
}

#[test]
fn commands_that_wait_are_moved_and_stay_so_over_a_restart() {
    let folder = tempfile::tempdir().unwrap();
    let server = server_on(folder.path());
    let device = sleepy(&server, agreeable());
    let read =
        |terms: &str, id: u16| queue(&server, "GET", &format!("resources/3/0/{id}?format=text{terms}"), "");
    let mut events = Events::follow(&server, "?type=command_moved", None);
    let [one, two, three, urgent] = [read("", 1), read("", 2), read("", 3), read("&priority=9", 4)];
    // 4 | 1 2 3
    let first = shift(&server, &three, &json!({"position": "first"}));
    assert_eq!((&first["state"], &first["priority"]), (&json!("waiting"), &json!(9)), "{first}");
    let told = events.event();
    assert_eq!((&told["type"], &told["command"]), (&json!("command_moved"), &first));
    // 3 4 | 1 2
    let behind = shift(&server, &urgent, &json!({"after": one}));
    assert_eq!((&behind["priority"], &events.event()["command"]), (&json!(0), &behind));
    // 3 | 1 4 2
    let before = shift(&server, &two, &json!({"before": one}));
    assert_eq!(&events.event()["command"], &before);
    // 3 | 2 1 4
    shift(&server, &three, &json!({"priority": -3}));
    // 2 1 4 | 3, and what comes now still goes behind the others of its priority.
    let late = read("", 5);
    let last = shift(&server, &two, &json!({"position": "last"}));
    assert_eq!(last["priority"], -3);
    // 1 4 5 | 3 2
    let same = shift(&server, &two, &json!({"position": "last"}));
    assert_eq!(same, last, "it stands there already");
    let audit = server.get("/api/v1/endpoints/d/audit").json();
    let moves = audit["items"].as_array().unwrap().iter().filter(|item| item["action"] == "moveCommand");
    assert_eq!(moves.count(), 6);
    server.running.stop();
    drop(device);
    let server = server_on(folder.path());
    let device = register(&server, "lwm2m=1.1&b=U&Q", agreeable());
    for id in [&one, &two, &three, &urgent, &late] {
        await_state(&server, id, "done");
    }
    assert_eq!(paths(&device), ["/3/0/1", "/3/0/4", "/3/0/5", "/3/0/3", "/3/0/2"]);
    let over = server.call("PATCH", &format!("/api/v1/commands/{one}"), r#"{"position": "first"}"#);
    assert_eq!((over.status, over.problem().as_str()), (409, "command-over"), "{over:?}");
}

#[test]
fn one_that_is_moved_before_a_pause_goes_at_once() {
    let server = server();
    let mut calls = 0;
    let script: Script = Box::new(move |request| {
        calls += 1;
        Some(if calls == 1 { request.answer(0xA3, None, b"") } else { request.answer(0x45, Some(0), b"42") })
    });
    let device = register(&server, "lwm2m=1.1&b=U", script);
    let paused = queue(&server, "GET", "resources/3/0/9?format=text&retry_after=1h", "");
    eventually(|| command(&server, &paused)["next_attempt_at"].is_string());
    let pause = command(&server, &paused)["next_attempt_at"].clone();
    let behind = queue(&server, "GET", "resources/3/0/1?format=text", "");
    let moved = shift(&server, &behind, &json!({"before": paused}));
    assert_eq!(moved["id"], json!(behind));
    await_state(&server, &behind, "done");
    let still = command(&server, &paused);
    assert_eq!((&still["state"], &still["next_attempt_at"]), (&json!("waiting"), &pause), "it still pauses");
    // Back and forth does not end its pause, nor bring one back that a wake-up has ended.
    shift(&server, &paused, &json!({"priority": 2}));
    assert_eq!(command(&server, &paused)["next_attempt_at"], pause);
    assert_eq!(paths(&device), ["/3/0/9", "/3/0/1"]);
}

#[test]
fn moves_that_make_no_sense_are_refused() {
    let server = server();
    let _device = sleepy(&server, agreeable());
    let id = queue(&server, "GET", "resources/3/0/1", "");
    let other = queue(&server, "GET", "resources/3/0/2", "");
    let asked = |id: &str, body: &str| {
        let reply = server.call("PATCH", &format!("/api/v1/commands/{id}"), body);
        (reply.status, reply.problem())
    };
    for body in [
        "",
        "{}",
        "[]",
        r#"{"priority": 101}"#,
        r#"{"priority": -101}"#,
        r#"{"priority": 1.5}"#,
        r#"{"position": 1}"#,
        r#"{"position": "middle"}"#,
        r#"{"place": 5}"#,
        r#"{"position": "first", "priority": 1}"#,
        &json!({"before": other, "after": other}).to_string(),
        &json!({"before": id}).to_string(),
        &json!({"after": id}).to_string(),
    ] {
        assert_eq!(asked(&id, body), (400, "malformed-body".to_owned()), "{body}");
    }
    let nobody = (404, "unknown-command".to_owned());
    assert_eq!(asked("0000000a-99", r#"{"position": "first"}"#), nobody);
    assert_eq!(asked(&id, r#"{"before": "0000000a-99"}"#), nobody);
    assert_eq!(asked(&id, r#"{"after": "x"}"#), nobody);
    // Of another device.
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    let _far = Device::register_with(&server, socket, "ep=far&lt=600&lwm2m=1.1&b=U&Q", LINKS, agreeable());
    eventually(|| server.get("/api/v1/endpoints/far").json()["state"] == "asleep");
    let theirs = server.call("GET", "/api/v1/endpoints/far/resources/3/0/1?queue=true", "").json();
    let beside = json!({"before": theirs["id"]}).to_string();
    assert_eq!(asked(&id, &beside), (409, "conflict".to_owned()));
    // Of one that is over.
    assert_eq!(server.call("DELETE", &format!("/api/v1/commands/{other}"), "").status, 200);
    let beside = json!({"after": other}).to_string();
    assert_eq!(asked(&id, &beside), (409, "command-over".to_owned()));
}

#[test]
fn terms_that_make_no_sense_are_refused() {
    let server = server();
    let _device = sleepy(&server, agreeable());
    for query in [
        "priority=5",
        "attempts=5",
        "retry_after=5s",
        "queue=true&priority=101",
        "queue=true&priority=-101",
        "queue=true&priority=1.5",
        "queue=true&priority=high",
        "queue=true&priority=99999999999999999999",
        "queue=true&attempts=0",
        "queue=true&attempts=-1",
        "queue=true&attempts=1001",
        "queue=true&retry_after=0s",
        "queue=true&retry_after=999ms",
        "queue=true&retry_after=8d",
        "queue=true&retry_after=often",
        "queue=true&retry_after=2026-01-01T00:00:00Z",
    ] {
        let reply = server.get(&format!("/api/v1/endpoints/d/resources/3/0?{query}"));
        assert_eq!(
            (reply.status, reply.problem().as_str()),
            (400, "invalid-parameter"),
            "{query}: {reply:?}"
        );
    }
    assert_eq!(server.get("/api/v1/endpoints/d/commands").json(), json!({"items": []}));
}
