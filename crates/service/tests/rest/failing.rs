//! A store that takes nothing: refused clearly, nothing acknowledged lost, good again by itself.

use std::net::UdpSocket;

use crate::support::{AWAKE, Device, Message, Script, Server, agreeable, eventually, pause};
use serde_json::{Value as Json, json};

const DEVICE: &str = "/api/v1/endpoints/d";

fn sleepy(server: &Server, script: Script) -> Device {
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    let device = Device::register_with(
        server,
        socket,
        "ep=d&lt=600&lwm2m=1.1&b=U&Q",
        "</1/0>,</3/0>,</3303/0>",
        script,
    );
    eventually(|| server.get(DEVICE).json()["state"] == "asleep");
    device
}

fn update(server: &Server, id: u16) -> Message {
    let location = server.get(DEVICE).json()["registration_id"].as_str().unwrap().to_owned();
    let options = vec![(11, b"rd".to_vec()), (11, location.into_bytes())];
    Message { kind: 0, code: 2, id, token: id.to_be_bytes().to_vec(), options, payload: Vec::new() }
}

fn queue(server: &Server, method: &str, address: &str, body: &str) -> String {
    let reply = server.call(method, &format!("{DEVICE}/{address}"), body);
    assert_eq!(reply.status, 202, "{address}: {reply:?}");
    reply.json()["id"].as_str().unwrap().to_owned()
}

fn command(server: &Server, id: &str) -> Json {
    server.get(&format!("/api/v1/commands/{id}")).json()
}

fn sent(device: &Device) -> Vec<String> {
    device.requests.try_iter().map(|request| request.path()).collect()
}

#[test]
fn new_work_is_refused_with_the_time_to_try_again_and_reads_go_on() {
    let (server, faults) = Server::faulty(|config| config.queue.awake_window = AWAKE);
    let device = sleepy(&server, agreeable());
    let kept = queue(&server, "GET", "resources/3/0/9?queue=true&format=text", "");
    let credential = r#"{"mode": "psk", "identity": "d", "key_hex": "00112233445566778899aabbccddeeff"}"#;
    let document =
        r#"{"servers": [{"short_server_id": 1, "uri": "coap://127.0.0.1:5683", "mode": "nosec"}]}"#;
    let work = [
        ("GET", format!("{DEVICE}/resources/3/0/9?queue=true"), ""),
        ("POST", format!("{DEVICE}/execute/3/0/4?queue=true"), ""),
        ("DELETE", format!("/api/v1/commands/{kept}"), ""),
        ("PUT", format!("{DEVICE}/observations/3303/0/5700"), ""),
        ("PUT", "/api/v1/credentials/other".to_owned(), credential),
        ("PUT", "/api/v1/bootstrap/other".to_owned(), document),
    ];
    faults.fail(1_767_225_600_000, "No space left on device");
    for (method, address, body) in &work {
        let reply = server.call(method, address, body);
        assert_eq!((reply.status, reply.problem().as_str()), (503, "overloaded"), "{address}: {reply:?}");
        assert!(reply.head.contains("\r\nretry-after: "), "{address}: {reply:?}");
        assert!(reply.body.contains("No space left on device"), "{address}: {reply:?}");
    }
    let ready = server.get("/readyz");
    assert_eq!(ready.status, 503, "{ready:?}");
    assert!(ready.body.contains("No space left on device"), "{ready:?}");
    for address in [
        "/api/v1/endpoints".to_owned(),
        DEVICE.to_owned(),
        format!("{DEVICE}/commands"),
        format!("/api/v1/commands/{kept}"),
        format!("{DEVICE}/history/3/0/9"),
        "/metrics".to_owned(),
        "/healthz".to_owned(),
    ] {
        assert_eq!(server.get(&address).status, 200, "{address}");
    }
    // What was refused was not kept, and what was accepted is.
    let list = server.get(&format!("{DEVICE}/commands")).json();
    assert_eq!(list["items"].as_array().unwrap().len(), 1);
    // A command that could not be marked as sent is not sent.
    device.send(&update(&server, 20));
    pause(700);
    assert_eq!(sent(&device), [""; 0]);
    assert_eq!(command(&server, &kept)["state"], "waiting");
    faults.mend();
    eventually(|| server.get("/readyz").status == 200);
    for (method, address, body) in &work[4..] {
        assert_eq!(server.call(method, address, body).status / 100, 2, "{address}");
    }
    device.send(&update(&server, 21));
    eventually(|| command(&server, &kept)["state"] == "done");
    assert_eq!(sent(&device), ["/3/0/9"]);
}

#[test]
fn what_a_device_answered_meanwhile_is_kept_and_nothing_is_sent_twice() {
    let (server, faults) = Server::faulty(|_| {});
    let (word, given) = std::sync::mpsc::sync_channel::<()>(0);
    let slow: Script = Box::new(move |request| {
        if request.code == 2 {
            let _ = given.recv();
        }
        Some(request.answer(0x44, None, b""))
    });
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    let device = Device::register_with(&server, socket, "ep=d&lt=600&lwm2m=1.1&b=U", "</1/0>,</3/0>", slow);
    let execute = queue(&server, "POST", "execute/3/0/4?queue=true", "");
    let behind = queue(&server, "PUT", "resources/1/0/1?queue=true&format=text", r#"{"value": 60}"#);
    eventually(|| command(&server, &execute)["state"] == "sent");
    faults.fail(0, "Input/output error");
    drop(word);
    eventually(|| server.get("/metrics").body.contains("\nlightship_requests_live 0\n"));
    assert_eq!(command(&server, &execute)["state"], "sent", "its end cannot be stored yet");
    faults.mend();
    eventually(|| command(&server, &execute)["state"] == "done");
    assert_eq!(command(&server, &execute)["answer"]["code"], "2.04");
    eventually(|| command(&server, &behind)["state"] == "done");
    assert_eq!(sent(&device), ["/3/0/4", "/1/0/1"]);
    assert_eq!(command(&server, &execute)["attempts"], json!(1));
}

#[test]
fn a_time_that_runs_out_while_the_store_fails_runs_out_when_it_works_again() {
    let (server, faults) = Server::faulty(|config| config.queue.awake_window = AWAKE);
    let device = sleepy(&server, agreeable());
    let short = queue(&server, "GET", "resources/3/0/9?queue=true&not_after=2s", "");
    faults.fail(0, "Input/output error");
    pause(2500);
    assert_eq!(command(&server, &short)["state"], "waiting");
    faults.mend();
    eventually(|| command(&server, &short)["state"] == "expired");
    assert_eq!(sent(&device), [""; 0]);
}
