//! Queue Mode by REST: who sleeps is not asked, waited for, or given a command.

use std::net::{TcpStream, UdpSocket};
use std::sync::mpsc::{SyncSender, sync_channel};
use std::time::Duration;

use crate::support::{
    AWAKE, Device, Events, Message, Script, Server, agreeable, eventually, eventually_within, get_at, pause,
};
use serde_json::{Value as Json, json};
use tempfile::TempDir;

fn server() -> Server {
    Server::with(|config| config.queue.awake_window = AWAKE)
}

fn sleepy(server: &Server, script: Script) -> Device {
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    let links = "</1/0>,</3/0>,</3303/0>";
    Device::register_with(server, socket, "ep=sleepy&lt=600&lwm2m=1.1&b=U&Q", links, script)
}

/// An Update, which shows that the device is awake.
fn update(server: &Server, id: u16) -> Message {
    let location = shown(server)["registration_id"].as_str().unwrap().to_owned();
    let options = vec![(11, b"rd".to_vec()), (11, location.into_bytes())];
    Message { kind: 0, code: 2, id, token: id.to_be_bytes().to_vec(), options, payload: Vec::new() }
}

fn shown(server: &Server) -> Json {
    server.get("/api/v1/endpoints/sleepy").json()
}

fn await_sleep(server: &Server) {
    eventually(|| shown(server)["state"] == "asleep");
}

/// Waits until so many requests, which callers wait for, are with the shards.
fn await_requests(server: &Server, count: usize) {
    let line = format!("\nlightship_requests_live {count}\n");
    eventually(|| server.get("/metrics").body.contains(&line));
}

fn await_state(server: &Server, id: &str, state: &str) -> Json {
    let command = || server.get(&format!("/api/v1/commands/{id}")).json();
    eventually(|| command()["state"] == state);
    command()
}

fn queue(server: &Server, method: &str, address: &str, body: &str) -> String {
    let joint = if address.contains('?') { '&' } else { '?' };
    let reply = server.call(method, &format!("/api/v1/endpoints/sleepy/{address}{joint}queue=true"), body);
    assert_eq!(reply.status, 202, "{address}: {reply:?}");
    let id = reply.json()["id"].as_str().unwrap().to_owned();
    assert!(reply.head.contains(&format!("location: /api/v1/commands/{id}\r\n")), "{reply:?}");
    id
}

fn paths(device: &Device) -> Vec<(u8, String)> {
    device.requests.try_iter().map(|request| (request.code, request.path())).collect()
}

// Proves: QUE-01, QUE-04
#[test]
fn a_sleeping_device_is_not_asked_unless_the_caller_waits() {
    let server = server();
    let mut events = Events::follow(&server, "?type=awake,asleep", None);
    let device = sleepy(&server, agreeable());
    let first = shown(&server);
    assert_eq!((&first["state"], &first["queue_mode"]), (&json!("awake"), &json!(true)));
    assert!(first["awake_until"].is_string() && first.get("expected_wake").is_none(), "{first}");
    assert_eq!(server.get("/api/v1/endpoints/sleepy/resources/3/0/9").status, 200);
    device.next_request();
    await_sleep(&server);
    let asleep = loop {
        let event = events.event();
        if event["type"] == "asleep" {
            break event;
        }
    };
    assert_eq!(asleep["registration"]["state"], "asleep");
    let now = shown(&server);
    assert_eq!(
        (now.get("awake_until"), now["expected_wake"].as_str()),
        (None, asleep["registration"]["expected_wake"].as_str())
    );
    for query in ["", "?wait=0s"] {
        let reply = server.get(&format!("/api/v1/endpoints/sleepy/resources/3/0/9{query}"));
        assert_eq!((reply.status, reply.problem().as_str()), (409, "asleep"), "{reply:?}");
        let problem = reply.json();
        assert_eq!(problem["expected_wake"], now["expected_wake"]);
        let seconds = problem["retry_after_s"].as_u64().unwrap();
        assert!((500..=600).contains(&seconds), "{seconds}");
        assert!(reply.head.contains(&format!("retry-after: {seconds}")), "{reply:?}");
    }
    // Nobody came: still the same, after the time that the caller has given.
    let reply = server.get("/api/v1/endpoints/sleepy/resources/3/0/9?wait=300ms");
    assert_eq!((reply.status, reply.problem().as_str()), (409, "asleep"), "{reply:?}");
    for (method, address, body) in [
        ("PUT", "resources/1/0/1", r#"{"value": 60}"#),
        ("POST", "execute/3/0/4", ""),
        ("PUT", "observations/3303/0/5700", ""),
        ("POST", "composite/read", r#"{"paths": ["/3/0"]}"#),
    ] {
        let reply = server.call(method, &format!("/api/v1/endpoints/sleepy/{address}"), body);
        assert_eq!((reply.status, reply.problem().as_str()), (409, "asleep"), "{address}: {reply:?}");
    }
    assert!(device.requests.try_recv().is_err(), "something was sent to a device that sleeps");
    // It is waited for, and comes.
    std::thread::scope(|scope| {
        let waiting = scope.spawn(|| server.get("/api/v1/endpoints/sleepy/resources/3/0/9?wait=20s"));
        await_requests(&server, 1);
        assert!(device.requests.try_recv().is_err());
        device.ask(&update(&server, 20));
        let reply = waiting.join().unwrap();
        assert_eq!((reply.status, &reply.json()["content"]["value"]), (200, &json!(42)), "{reply:?}");
    });
    assert_eq!(shown(&server)["state"], "awake");
}

// Proves: QUE-02, QUE-05
#[test]
fn commands_wait_for_the_device_and_go_one_by_one_in_their_order() {
    let server = server();
    let device = sleepy(&server, agreeable());
    await_sleep(&server);
    let mut events = Events::follow(&server, "?type=command_queued,command_done", None);
    let ids = [
        queue(&server, "PUT", "resources/1/0/1?format=text", r#"{"value": 61}"#),
        queue(&server, "POST", "execute/3/0/4", r#"{"arguments": "1"}"#),
        queue(&server, "GET", "resources/3/0/99?format=text", ""),
        queue(&server, "PUT", "observations/3303/0/5700?format=text", ""),
        queue(
            &server,
            "POST",
            "resources/3303",
            r#"{"path": "/3303/5", "resources": {"5701": {"value": "C"}}}"#,
        ),
    ];
    let queued: Vec<Json> = ids.iter().map(|_| events.event()).collect();
    assert!(queued.iter().all(|event| event["type"] == "command_queued" && event["endpoint"] == "sleepy"));
    assert_eq!(queued[1]["command"]["operation"], "execute");
    let first = server.get(&format!("/api/v1/commands/{}", ids[0])).json();
    assert_eq!(
        (&first["operation"], &first["path"], &first["state"], &first["attempts"]),
        (&json!("write"), &json!("/1/0/1"), &json!("waiting"), &json!(0))
    );
    assert!(first["created_at"].is_string() && first["not_after"].as_str() > first["created_at"].as_str());
    assert_eq!(shown(&server)["commands_waiting"], 5);
    let list = server.get("/api/v1/endpoints/sleepy/commands").json();
    let listed: Vec<_> =
        list["items"].as_array().unwrap().iter().map(|item| item["id"].as_str().unwrap()).collect();
    assert_eq!(listed, ids.iter().rev().map(String::as_str).collect::<Vec<_>>(), "newest first");
    assert!(device.requests.try_recv().is_err(), "something was sent to a device that sleeps");
    device.ask(&update(&server, 20));
    for id in &ids {
        await_state(&server, id, "done");
    }
    let sent = paths(&device);
    let expected = [(3, "/1/0/1"), (2, "/3/0/4"), (1, "/3/0/99"), (1, "/3303/0/5700"), (2, "/3303")];
    assert_eq!(sent, expected.map(|(code, path)| (code, path.to_owned())));
    let done: Vec<Json> = ids.iter().map(|_| events.event()).collect();
    for (event, id) in done.iter().zip(&ids) {
        assert_eq!((&event["type"], &event["command"]["id"]), (&json!("command_done"), &json!(id)));
        assert_eq!((&event["command"]["state"], &event["command"]["attempts"]), (&json!("done"), &json!(1)));
    }
    assert_eq!(done[2]["command"]["answer"]["content"]["value"], "42");
    assert_eq!(shown(&server).get("commands_waiting"), None);
    assert_eq!(server.get("/api/v1/endpoints/sleepy/observations").json()["items"][0]["state"], "active");
    // Who waits comes after those who were there before.
    await_sleep(&server);
    let write = queue(&server, "PUT", "resources/1/0/1?format=text", r#"{"value": 62}"#);
    std::thread::scope(|scope| {
        let waiting = scope.spawn(|| server.get("/api/v1/endpoints/sleepy/resources/3/0/9?wait=20s"));
        pause(300);
        device.ask(&update(&server, 21));
        assert_eq!(waiting.join().unwrap().status, 200);
    });
    await_state(&server, &write, "done");
    assert_eq!(paths(&device), [(3, "/1/0/1".to_owned()), (1, "/3/0/9".to_owned())]);
    // An awake device gets its command at once.
    let id = queue(&server, "GET", "resources/3/0/9?format=text", "");
    assert_eq!(await_state(&server, &id, "done")["answer"]["code"], "2.05");
}

#[test]
fn each_command_ends_in_one_state() {
    let server = server();
    let script: Script = Box::new(|request| {
        Some(match request.path().as_str() {
            "/3/0/9" => request.answer(0x84, None, b"no battery"),
            _ => request.answer(0x44, None, b""),
        })
    });
    let device = sleepy(&server, script);
    await_sleep(&server);
    let refused = queue(&server, "GET", "resources/3/0/9?format=text", "");
    let cancelled = queue(&server, "PUT", "resources/1/0/1?format=text", r#"{"value": 61}"#);
    let superseded = queue(&server, "PUT", "resources/1/0/2?format=text", r#"{"value": 1}"#);
    let other = queue(&server, "PUT", "resources/1/0/3?format=text", r#"{"value": 1}"#);
    let successor = queue(&server, "PUT", "resources/1/0/2?format=text&supersede=true", r#"{"value": 2}"#);
    let expired = queue(&server, "GET", "resources/3/0?not_after=300ms", "");
    let gone = queue(&server, "GET", "resources/42769/0", "");
    let reply = server.call("DELETE", &format!("/api/v1/commands/{cancelled}"), "");
    assert_eq!((reply.status, &reply.json()["state"]), (200, &json!("cancelled")), "{reply:?}");
    let reply = server.call("DELETE", &format!("/api/v1/commands/{cancelled}"), "");
    assert_eq!((reply.status, reply.problem().as_str()), (409, "command-over"));
    assert_eq!(
        await_state(&server, &superseded, "superseded")["reason"],
        format!("The command {successor} took its place.")
    );
    assert_eq!(await_state(&server, &expired, "expired")["attempts"], 0);
    device.ask(&update(&server, 20));
    let answer = &await_state(&server, &refused, "refused")["answer"];
    assert_eq!((&answer["code"], &answer["diagnostic"]), (&json!("4.04"), &json!("no battery")));
    await_state(&server, &other, "done");
    await_state(&server, &successor, "done");
    let stale = await_state(&server, &gone, "refused");
    assert_eq!((stale.get("answer"), &stale["attempts"]), (None, &json!(0)));
    let sent = paths(&device);
    let expected = [(1, "/3/0/9"), (3, "/1/0/3"), (3, "/1/0/2")];
    assert_eq!(sent, expected.map(|(code, path)| (code, path.to_owned())));
    let metrics = server.get("/metrics").body;
    for (state, count) in [
        ("queued", 7),
        ("sent", 4),
        ("done", 2),
        ("refused", 2),
        ("expired", 1),
        ("cancelled", 1),
        ("superseded", 1),
    ] {
        assert!(
            metrics.contains(&format!("\nlightship_commands_total{{state=\"{state}\"}} {count}\n")),
            "{state}: {metrics}"
        );
    }
    let reply = server.get("/api/v1/commands/00000000-1");
    assert_eq!((reply.status, reply.problem().as_str()), (404, "unknown-command"));
}

#[test]
fn what_has_ended_is_queued_once_more_with_its_content() {
    let server = server();
    let device = sleepy(&server, agreeable());
    await_sleep(&server);
    let first = queue(&server, "PUT", "resources/1/0/1?format=text&priority=3", r#"{"value": 61}"#);
    let again = |id: &str| server.call("POST", &format!("/api/v1/commands/{id}/retry"), "");
    let reply = again(&first);
    assert_eq!((reply.status, reply.problem().as_str()), (409, "conflict"), "it still waits");
    assert_eq!(server.call("DELETE", &format!("/api/v1/commands/{first}"), "").status, 200);
    let reply = again(&first);
    assert_eq!((reply.status, &reply.json()["priority"]), (201, &json!(3)), "{reply:?}");
    let second = reply.json()["id"].as_str().unwrap().to_owned();
    assert_ne!(first, second);
    device.ask(&update(&server, 20));
    await_state(&server, &second, "done");
    assert_eq!(device.next_request().payload, b"61");
    assert_eq!(again("00000000-1").status, 404);
}

// Proves: QUE-05
#[test]
fn what_must_not_be_done_twice_is_sent_once() {
    let server = server();
    let script: Script = Box::new(|request| match request.code {
        // Executed, but the answer is lost; a Read is answered the second time only.
        2 => None,
        1 if request.id % 2 == 0 => None,
        _ => Some(request.answer(0x45, Some(0), b"42")),
    });
    let device = sleepy(&server, script);
    await_sleep(&server);
    let execute = queue(&server, "POST", "execute/3/0/4", "");
    device.ask(&update(&server, 20));
    let sent = device.next_request();
    assert_eq!(sent.path(), "/3/0/4");
    let state = || server.get(&format!("/api/v1/commands/{execute}")).json()["state"].clone();
    assert_eq!(state(), "sent");
    let reply = server.call("DELETE", &format!("/api/v1/commands/{execute}"), "");
    assert_eq!((reply.status, reply.problem().as_str()), (409, "command-over"), "it is on its way");
    // The device registers anew without a word about it.
    drop(device);
    let device = sleepy(&server, agreeable());
    let command = await_state(&server, &execute, "expired");
    assert!(command["reason"].as_str().unwrap().contains("must not be done twice"), "{command}");
    pause(300);
    assert!(paths(&device).is_empty(), "it was sent again");
}

#[test]
fn commands_outlive_the_server() {
    let folder = tempfile::tempdir().unwrap();
    let start = |folder: &TempDir| {
        Server::with(|config| {
            config.queue.awake_window = AWAKE;
            config.store.folder = Some(folder.path().to_owned());
        })
    };
    let server = start(&folder);
    let silent: Script = Box::new(|request| match request.code {
        2 => None,
        _ => Some(request.answer(0x44, None, b"")),
    });
    let device = sleepy(&server, silent);
    await_sleep(&server);
    let execute = queue(&server, "POST", "execute/3/0/4", "");
    let write = queue(&server, "PUT", "resources/1/0/1?format=text", r#"{"value": 61}"#);
    let cancelled = queue(&server, "PUT", "resources/1/0/1?format=text", r#"{"value": 62}"#);
    server.call("DELETE", &format!("/api/v1/commands/{cancelled}"), "");
    device.ask(&update(&server, 20));
    assert_eq!(device.next_request().path(), "/3/0/4");
    // The server dies while the Execute is on its way.
    let left = server.crash(folder.path());
    drop(device);
    let server = start(&left);
    await_state(&server, &execute, "expired");
    assert_eq!(server.get(&format!("/api/v1/commands/{cancelled}")).json()["state"], "cancelled");
    assert_eq!(server.get("/api/v1/endpoints/sleepy/commands").json()["items"].as_array().unwrap().len(), 3);
    let device = sleepy(&server, agreeable());
    await_state(&server, &write, "done");
    assert_eq!(paths(&device), [(3, "/1/0/1".to_owned())]);
    let next = queue(&server, "GET", "resources/3/0/9?format=text", "");
    assert_ne!(next.split('-').next(), write.split('-').next(), "another process names them otherwise");
    await_state(&server, &next, "done");
}

#[test]
fn what_makes_no_command_is_refused_at_once() {
    let server = server();
    let device = sleepy(&server, agreeable());
    await_sleep(&server);
    for (method, address, body, status) in [
        ("GET", "resources/3/0?queue=true&wait=5s", "", 400),
        ("GET", "resources/3/0?not_after=5s", "", 400),
        ("GET", "resources/3/0?supersede=true", "", 400),
        ("GET", "resources/3/0?queue=true&not_after=soon", "", 400),
        ("GET", "resources/3/0?queue=true&not_after=2020-01-01T00:00:00Z", "", 400),
        ("GET", "resources/3/0?queue=true&not_after=9999d", "", 400),
        ("PUT", "resources/3/0/9?queue=true", r#"{"value": 101}"#, 422),
        ("GET", "resources/0/0?queue=true", "", 422),
        ("POST", "execute/3/0/4?queue=true", r#"{"arguments": "x"}"#, 422),
        ("PUT", "resources/1/0/1?queue=true", "{", 400),
    ] {
        let reply = server.call(method, &format!("/api/v1/endpoints/sleepy/{address}"), body);
        assert_eq!(reply.status, status, "{address}: {reply:?}");
    }
    let reply = server.get("/api/v1/endpoints/nobody/resources/3/0?queue=true");
    assert_eq!((reply.status, reply.problem().as_str()), (404, "endpoint-not-registered"));
    let reply = server.get("/api/v1/endpoints/nobody/commands");
    assert_eq!((reply.status, reply.problem().as_str()), (404, "endpoint-not-registered"));
    assert_eq!(server.get("/api/v1/endpoints/sleepy/commands").json(), json!({"items": []}));
    assert!(device.requests.try_recv().is_err(), "something was sent to a device that sleeps");
}

// Proves: QUE-06
#[test]
fn a_device_has_so_many_commands_and_no_more() {
    let server = server();
    let device = sleepy(&server, agreeable());
    await_sleep(&server);
    let ids: Vec<String> = (0..100)
        .map(|n| {
            queue(
                &server,
                "PUT",
                &format!("resources/3/0/{}?format=text", 26_241 + n),
                r#"{"type": "integer", "value": 1}"#,
            )
        })
        .collect();
    let reply = server.get("/api/v1/endpoints/sleepy/resources/3/0?queue=true");
    assert_eq!((reply.status, reply.problem().as_str()), (503, "overloaded"), "{reply:?}");
    let listed = |query: &str| {
        let list = server.get(&format!("/api/v1/endpoints/sleepy/commands{query}")).json();
        list["items"].as_array().unwrap().iter().map(|item| item["id"].clone()).collect::<Vec<_>>()
    };
    assert_eq!((listed("").len(), listed("?limit=2")), (100, vec![json!(ids[99]), json!(ids[98])]));
    assert_eq!(server.get("/api/v1/endpoints/sleepy/commands?limit=0").problem(), "invalid-parameter");
    server.call("DELETE", &format!("/api/v1/commands/{}", ids[50]), "");
    queue(&server, "GET", "resources/3/0", "");
    drop(device);
}

#[test]
fn who_hangs_up_is_not_waited_for_any_more() {
    use std::io::Write;
    let server = server();
    let device = sleepy(&server, agreeable());
    await_sleep(&server);
    let mut caller = server.connect();
    let request = "POST /api/v1/endpoints/sleepy/execute/3/0/4?wait=60s HTTP/1.1\r\nHost: localhost\r\n\r\n";
    caller.write_all(request.as_bytes()).unwrap();
    await_requests(&server, 1);
    drop(caller);
    await_requests(&server, 0);
    device.ask(&update(&server, 20));
    assert_eq!(server.get("/api/v1/endpoints/sleepy/resources/3/0/9").status, 200);
    assert_eq!(paths(&device), [(1, "/3/0/9".to_owned())], "the Execute of a caller that is gone");
}

#[test]
fn an_observation_of_a_sleeping_device_ends_at_once_and_the_device_is_told_later() {
    let server = server();
    let device = sleepy(&server, agreeable());
    let address = "/api/v1/endpoints/sleepy/observations/3303/0/5700";
    assert_eq!(server.call("PUT", address, "").json()["code"], "2.05");
    await_sleep(&server);
    device.requests.try_iter().for_each(drop);
    let reply = server.call("DELETE", address, "");
    assert_eq!(reply.status, 204, "{reply:?}");
    assert_eq!(server.get("/api/v1/endpoints/sleepy/observations").json()["items"], json!([]));
    device.ask(&update(&server, 20));
    let cancel = device.next_request();
    assert_eq!((cancel.path().as_str(), cancel.option(6)), ("/3303/0/5700", Some(1)));
}

#[test]
fn who_waits_for_a_device_waits_for_it_at_any_address() {
    let server = server();
    let home = sleepy(&server, agreeable());
    await_sleep(&server);
    let shard_of = |name: &str| {
        let shown = server.get(&format!("/api/v1/endpoints/{name}")).json();
        shown["registration_id"].as_str().unwrap()[..2].to_owned()
    };
    let shard = shard_of("sleepy");
    // An address that leads to the other shard.
    let away = (0..).find_map(|number| {
        let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
        let probe = format!("probe{number}");
        drop(Device::register_as(&server, socket.try_clone().unwrap(), &probe, "</1/0>,</3/0>", agreeable()));
        (shard_of(&probe) != shard).then_some(socket)
    });
    std::thread::scope(|scope| {
        let waiting = scope.spawn(|| server.get("/api/v1/endpoints/sleepy/resources/3/0/9?wait=20s"));
        let observing = scope
            .spawn(|| server.call("PUT", "/api/v1/endpoints/sleepy/observations/3303/0/5700?wait=20s", ""));
        await_requests(&server, 2);
        let parameters = "ep=sleepy&lt=600&lwm2m=1.1&b=U&Q";
        let links = "</1/0>,</3/0>,</3303/0>";
        let _away = Device::register_with(&server, away.unwrap(), parameters, links, agreeable());
        let reply = waiting.join().unwrap();
        assert_eq!((reply.status, &reply.json()["content"]["value"]), (200, &json!(42)), "{reply:?}");
        let reply = observing.join().unwrap();
        assert_eq!((reply.status, &reply.json()["content"]["value"]), (200, &json!(21.0)), "{reply:?}");
    });
    assert_ne!(shard_of("sleepy"), shard);
    assert!(home.requests.try_recv().is_err(), "nothing went to where it was");
}

// Proves: QUE-02
#[test]
fn many_devices_get_each_command_once_and_in_order() {
    const DEVICES: usize = 20;
    const COMMANDS: usize = 8;
    let folder = tempfile::tempdir().unwrap();
    let server = Server::with(|config| {
        config.queue.awake_window = AWAKE;
        config.store.folder = Some(folder.path().to_owned());
    });
    let device = |n: usize| {
        let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
        let parameters = format!("ep=d{n}&lt=600&lwm2m=1.1&b=U&Q");
        Device::register_with(&server, socket, &parameters, "</3/0>", agreeable())
    };
    let devices: Vec<Device> = (0..DEVICES).map(device).collect();
    let shown = |n: usize| server.get(&format!("/api/v1/endpoints/d{n}")).json();
    eventually(|| (0..DEVICES).all(|n| shown(n)["state"] == "asleep"));
    // Reads that devices may be sent twice, and writes that they must not be.
    std::thread::scope(|scope| {
        for n in 0..DEVICES {
            let server = &server;
            scope.spawn(move || {
                for id in 0..COMMANDS {
                    let (method, body) =
                        if id % 2 == 0 { ("GET", "") } else { ("POST", r#"{"arguments": "1"}"#) };
                    let place = if id % 2 == 0 { "resources" } else { "execute" };
                    let address = format!("/api/v1/endpoints/d{n}/{place}/3/0/{id}?queue=true");
                    assert_eq!(server.call(method, &address, body).status, 202, "{address}");
                }
            });
        }
    });
    let states = |n: usize| {
        let listed = server.get(&format!("/api/v1/endpoints/d{n}/commands")).json();
        listed["items"].as_array().unwrap().iter().map(|item| item["state"].clone()).collect::<Vec<_>>()
    };
    let mut id = 50;
    // Each wakes as often as it takes until a loaded machine has sent all.
    eventually_within(60, || {
        id += 1;
        for (n, device) in devices.iter().enumerate() {
            let shown = shown(n);
            if shown["state"] == "asleep" && shown.get("commands_waiting").is_some() {
                let location = shown["registration_id"].as_str().unwrap().to_owned();
                let options = vec![(11, b"rd".to_vec()), (11, location.into_bytes())];
                device.send(&Message { kind: 0, code: 2, id, token: vec![5], options, payload: Vec::new() });
            }
        }
        (0..DEVICES).all(|n| states(n).iter().all(|state| state == "done"))
    });
    let expected: Vec<_> =
        (0..COMMANDS).map(|id| (1 + u8::try_from(id % 2).unwrap(), format!("/3/0/{id}"))).collect();
    for (n, device) in devices.iter().enumerate() {
        assert_eq!(paths(device), expected, "d{n}");
        assert_eq!(states(n).len(), COMMANDS);
    }
}

#[test]
fn a_command_waits_for_a_device_that_has_left() {
    let server = server();
    let register = |script| {
        let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
        Device::register_with(&server, socket, "ep=sleepy&lt=600&lwm2m=1.1&b=U", "</1/0>,</3/0>", script)
    };
    // It listens always, and does not answer: nothing is known of it.
    let device = register(Box::new(|_| None));
    let id = queue(&server, "PUT", "resources/1/0/1?format=text", r#"{"value": 61}"#);
    device.next_request();
    let leave = Message { code: 4, ..update(&server, 30) };
    assert_eq!(device.ask(&leave).code, 0x42);
    let command = await_state(&server, &id, "waiting");
    assert_eq!(
        (&command["attempts"], &command["reason"]),
        (&json!(1), &json!("No answer came; it is sent again."))
    );
    assert_eq!(server.get("/api/v1/endpoints/sleepy").status, 404);
    let listed = server.get("/api/v1/endpoints/sleepy/commands").json();
    assert_eq!(listed["items"][0]["id"], json!(id), "it can still be seen");
    drop(device);
    let device = register(agreeable());
    assert_eq!(await_state(&server, &id, "done")["attempts"], 2);
    assert_eq!(paths(&device), [(3, "/1/0/1".to_owned())]);
}

/// Numbers that look random and are the same each time.
struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % sides
    }
}

/// What a device that breaks down again and again has executed, and whether it has just broken down.
#[derive(Default)]
struct Fragile {
    executed: Vec<String>,
    broken: bool,
}

#[test]
fn nothing_is_executed_twice_by_a_device_that_breaks_down_again_and_again() {
    use std::sync::{Arc, Mutex};
    let server = server();
    let fragile = Arc::new(Mutex::new(Fragile::default()));
    let script = |seed: u64| -> Script {
        let (fragile, mut dice, mut broken) = (fragile.clone(), Dice(seed), false);
        Box::new(move |request| {
            // It stays so: it is another that comes back, and what is still sent to this one is lost.
            if broken {
                return None;
            }
            let mut fragile = fragile.lock().unwrap();
            let (fate, arguments) = (dice.roll(4), String::from_utf8_lossy(&request.payload).into_owned());
            // Before or after it was done, or with an answer.
            if fate != 0 && request.code == 2 {
                fragile.executed.push(arguments);
            }
            broken = fate < 2;
            fragile.broken = broken;
            (!broken).then(|| request.answer(0x44, None, b""))
        })
    };
    let mut device = sleepy(&server, script(1));
    await_sleep(&server);
    let ids: Vec<(String, String)> = (0..60)
        .map(|n| {
            let text = format!("0='n{n}'");
            let body = json!({ "arguments": text }).to_string();
            let id = if n % 3 == 0 {
                queue(&server, "PUT", "resources/1/0/1?format=text", r#"{"value": 60}"#)
            } else {
                queue(&server, "POST", "execute/3/0/4", &body)
            };
            (id, text)
        })
        .collect();
    device.ask(&update(&server, 20));
    let all = || server.get("/api/v1/endpoints/sleepy/commands").json()["items"].as_array().unwrap().clone();
    let (mut seed, mut id) = (1, 20);
    // Alone it takes two seconds; beside all others on two cores it takes its time.
    eventually_within(60, || {
        if fragile.lock().unwrap().broken {
            seed += 1;
            // It comes back as another, at another address.
            let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
            fragile.lock().unwrap().broken = false;
            let parameters = "ep=sleepy&lt=600&lwm2m=1.1&b=U&Q";
            device = Device::register_with(&server, socket, parameters, "</1/0>,</3/0>", script(seed));
        } else if shown(&server)["state"] == "asleep" {
            // A server that got no time for its commands while the device was awake gets another chance, as of any device.
            id += 1;
            device.ask(&update(&server, id));
        }
        all().iter().all(|command| !["waiting", "sent"].contains(&command["state"].as_str().unwrap()))
    });
    assert!(seed > 10, "it broke down {seed} times only");
    let executed = fragile.lock().unwrap().executed.clone();
    let commands = all();
    for (id, text) in &ids {
        let command = commands.iter().find(|command| command["id"] == json!(id)).unwrap();
        let times = executed.iter().filter(|done| *done == text).count();
        match (command["operation"].as_str().unwrap(), command["state"].as_str().unwrap()) {
            ("execute", "done") => assert_eq!(times, 1, "{command}"),
            ("execute", "expired") => assert!(times <= 1, "{command}"),
            // To write the same again does no harm, so that it is done in the end.
            ("write", "done") => {}
            other => panic!("{other:?}: {command}"),
        }
    }
}

/// A device whose answers to some requests wait for a word, and the word: what is dropped.
fn held_back(which: impl Fn(&Message) -> bool + Send + 'static) -> (Script, SyncSender<()>) {
    let (word, given) = sync_channel(0);
    let script: Script = Box::new(move |request| {
        if which(request) {
            let _ = given.recv();
        }
        Some(request.answer(0x44, None, b""))
    });
    (script, word)
}

/// Stops the server, and gives the word when it takes no more.
fn stop_before(server: Server, word: SyncSender<()>) {
    let http = server.http;
    std::thread::scope(|scope| {
        scope.spawn(move || server.running.stop());
        eventually(|| TcpStream::connect(http).is_err());
        drop(word);
    });
}

#[test]
fn a_server_that_is_told_to_stop_hears_out_what_is_on_its_way() {
    let folder = tempfile::tempdir().unwrap();
    let start = || {
        Server::with(|config| {
            config.queue.awake_window = AWAKE;
            config.store.folder = Some(folder.path().to_owned());
            // With the registration handed over the next server would send what waits at once.
            config.security.hand_over = Duration::ZERO;
        })
    };
    let server = start();
    let (slow, word) = held_back(|request| request.code == 2);
    let device = sleepy(&server, slow);
    await_sleep(&server);
    let execute = queue(&server, "POST", "execute/3/0/4", "");
    let write = queue(&server, "PUT", "resources/1/0/1?format=text", r#"{"value": 61}"#);
    device.ask(&update(&server, 20));
    await_state(&server, &execute, "sent");
    stop_before(server, word);
    drop(device);
    let server = start();
    let state = |id: &str| server.get(&format!("/api/v1/commands/{id}")).json()["state"].clone();
    assert_eq!((state(&execute), state(&write)), (json!("done"), json!("waiting")));
}

#[test]
fn a_server_that_hands_over_lets_its_successor_send_what_waits_and_nothing_goes_twice() {
    let folder = tempfile::tempdir().unwrap();
    let start = |coap: Option<std::net::SocketAddr>, awake_window| {
        Server::with(|config| {
            config.queue.awake_window = awake_window;
            config.store.folder = Some(folder.path().to_owned());
            config.listen.coap.splice(.., coap.or(config.listen.coap.first().copied()));
            assert!(!config.security.hand_over.is_zero(), "it is on unless it is switched off");
        })
    };
    // Awake for as long as a slow machine needs to start the successor.
    let server = start(None, Duration::from_secs(5));
    let (slow, word) = held_back(|request| request.payload == b"0='slow'");
    let device = sleepy(&server, slow);
    let before = shown(&server)["registration_id"].clone();
    let execute = |text| queue(&server, "POST", "execute/3/0/4", &json!({ "arguments": text }).to_string());
    let first = execute("0='slow'");
    let write = queue(&server, "PUT", "resources/1/0/1?format=text", r#"{"value": 61}"#);
    let second = execute("0='next'");
    await_state(&server, &first, "sent");
    let coap = server.coap;
    stop_before(server, word);
    assert_eq!(paths(&device), [(2, "/3/0/4".to_owned())], "no other was begun by a server that stops");
    let server = start(Some(coap), AWAKE);
    // The first was heard out. The device is registered and awake as it was, so that the others need not wait for it to come.
    assert_eq!(await_state(&server, &first, "done")["attempts"], 1);
    for id in [&write, &second] {
        assert_eq!(await_state(&server, id, "done")["attempts"], 1);
    }
    assert_eq!(shown(&server)["registration_id"], before);
    await_sleep(&server);
    assert_eq!(paths(&device), [(3, "/1/0/1".to_owned()), (2, "/3/0/4".to_owned())], "each once, in order");
    // It sleeps for the successor as well, which keeps what comes then.
    let later = queue(&server, "POST", "execute/3/0/4", r#"{"arguments": "0='later'"}"#);
    pause(300);
    assert_eq!(server.get(&format!("/api/v1/commands/{later}")).json()["state"], "waiting");
    device.ask(&update(&server, 20));
    await_state(&server, &later, "done");
}

#[test]
fn what_a_server_that_stops_got_no_answer_to_is_not_done_twice_by_its_successor() {
    let folder = tempfile::tempdir().unwrap();
    let start = |coap: Option<std::net::SocketAddr>| {
        Server::with(|config| {
            config.store.folder = Some(folder.path().to_owned());
            config.listen.coap.splice(.., coap.or(config.listen.coap.first().copied()));
        })
    };
    let server = start(None);
    let silent =
        || -> Script { Box::new(|request| (request.code == 3).then(|| request.answer(0x44, None, b""))) };
    let device = Device::register(&server, "sleepy", silent());
    let execute = queue(&server, "POST", "execute/3/0/4", "");
    let write = queue(&server, "PUT", "resources/1/0/1?format=text", r#"{"value": 61}"#);
    let sent = device.next_request();
    let (http, coap) = (server.http, server.coap);
    // One who waits for an answer is told that none will come.
    let mute = Device::register(&server, "mute", Box::new(|_| None));
    let waits = std::thread::spawn(move || {
        get_at(http, "/api/v1/endpoints/mute/resources/3/0/9?format=text&wait=60s")
    });
    mute.next_request();
    server.running.stop();
    let refused = waits.join().unwrap();
    assert_eq!((refused.status, refused.problem().as_str()), (503, "overloaded"), "{refused:?}");
    let server = start(Some(coap));
    let over = await_state(&server, &execute, "expired");
    assert!(over["reason"].as_str().unwrap().contains("may have done it"), "{over}");
    await_state(&server, &write, "done");
    let executed: Vec<_> = device.requests.try_iter().filter(|request| request.code == 2).collect();
    assert!(
        executed.iter().all(|again| again.id == sent.id),
        "only repetitions of one message: {executed:?}"
    );
}
