//! A store that fails: refused clearly, nothing that was acknowledged is lost, and all is well again when it is.

use std::net::UdpSocket;
use std::time::Duration;

use lightship_store::Faults;

use crate::support::{Device, Events, Message, Server, agreeable, eventually};

const CREATED: u8 = 0x41;
const DELETED: u8 = 0x42;
const CHANGED: u8 = 0x44;
const UNAVAILABLE: u8 = 0xa3;

fn fail(faults: &Faults) {
    faults.fail(1_700_000_000_000, "no space left");
}

/// A request of a device, with its Uri-Queries.
fn request(code: u8, path: &[&str], query: &[&str], payload: &[u8], id: u16) -> Message {
    let mut options: Vec<(u16, Vec<u8>)> =
        path.iter().map(|segment| (11, segment.as_bytes().to_vec())).collect();
    if !payload.is_empty() {
        options.push((12, vec![40]));
    }
    options.extend(query.iter().map(|part| (15, part.as_bytes().to_vec())));
    Message { kind: 0, code, id, token: id.to_be_bytes().to_vec(), options, payload: payload.to_vec() }
}

fn ask(socket: &UdpSocket, message: &Message) -> Message {
    let mut buffer = [0; 2048];
    socket.send(&message.bytes()).unwrap();
    let len = socket.recv(&mut buffer).unwrap();
    Message::parse(&buffer[..len])
}

fn device(server: &Server) -> UdpSocket {
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    socket.connect(server.coap).unwrap();
    socket.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
    socket
}

fn location(answer: &Message) -> String {
    let path: Vec<_> = answer.options.iter().filter(|(number, _)| *number == 8).collect();
    String::from_utf8(path[1].1.clone()).unwrap()
}

fn max_age(answer: &Message) -> bool {
    answer.options.iter().any(|(number, value)| *number == 14 && !value.is_empty())
}

fn kinds(server: &Server, endpoint: &str) -> Vec<String> {
    let mut events = Events::follow(server, &format!("?after=0&endpoint={endpoint}"), None);
    let last = format!("/api/v1/endpoints/{endpoint}");
    // A last event of our own ends the list.
    let put = server.call("DELETE", &last, "");
    assert_eq!(put.status, 204);
    let mut kinds = Vec::new();
    while kinds.last().is_none_or(|kind| kind != "deregistered") {
        kinds.push(events.event()["type"].as_str().unwrap().to_owned());
    }
    kinds
}

#[test]
fn while_the_store_fails_nothing_is_promised_and_all_goes_on_when_it_works() {
    let (server, faults) = Server::faulty(|_| {});
    let socket = device(&server);
    let register = |name: &str, id| {
        request(2, &["rd"], &[&format!("ep={name}"), "lt=300", "lwm2m=1.1"], b"</1/0>,</3303/0>", id)
    };
    let answer = ask(&socket, &register("keeps", 1));
    assert_eq!(answer.code, CREATED);
    let location = location(&answer);
    server.wait_for("keeps");
    assert_eq!(server.get("/readyz").status, 200);

    fail(&faults);
    let ready = server.get("/readyz");
    assert_eq!(ready.status, 503);
    assert!(ready.body.contains("no space left") && ready.body.contains("2023-11-14"), "{}", ready.body);
    // What changes something is refused; what does not is served.
    let other = device(&server);
    let refused = [
        ask(&other, &register("new", 2)),
        ask(&socket, &request(2, &["rd", &location], &["lt=900"], b"", 3)),
        ask(&socket, &request(4, &["rd", &location], &[], b"", 4)),
        ask(
            &socket,
            &Message {
                options: vec![(11, b"dp".to_vec()), (12, vec![110])],
                ..request(2, &[], &[], b"[{\"n\":\"/3303/0/5700\",\"v\":1}]", 5)
            },
        ),
    ];
    for answer in &refused {
        assert_eq!((answer.code, max_age(answer)), (UNAVAILABLE, true));
    }
    assert_eq!(ask(&socket, &request(2, &["rd", &location], &[], b"", 6)).code, CHANGED);
    let shown = server.get("/api/v1/endpoints/keeps").json();
    assert_eq!(shown["lifetime_s"], 300);
    assert_eq!(server.get("/api/v1/endpoints/new").status, 404);
    // Callers are told to come again.
    let command = server.call("POST", "/api/v1/endpoints/keeps/execute/1/0/8?queue=true", "{}");
    let credential = server.call(
        "PUT",
        "/api/v1/credentials/other",
        r#"{"mode":"psk","identity":"other","key_hex":"000102030405060708090a0b0c0d0e0f"}"#,
    );
    let forgotten = server.call("DELETE", "/api/v1/endpoints/keeps", "");
    for reply in [&command, &credential, &forgotten] {
        assert_eq!(reply.status, 503, "{reply:?}");
        assert!(reply.head.contains("retry-after:"), "{reply:?}");
    }
    assert_eq!(server.get("/api/v1/endpoints/keeps").status, 200, "what is refused is not done");

    faults.mend();
    eventually(|| server.get("/readyz").status == 200);
    assert_eq!(ask(&other, &register("new", 7)).code, CREATED);
    assert_eq!(ask(&socket, &request(2, &["rd", &location], &["lt=900"], b"", 8)).code, CHANGED);
    eventually(|| server.get("/api/v1/endpoints/keeps").json()["lifetime_s"] == 900);
    assert_eq!(ask(&socket, &request(4, &["rd", &location], &[], b"", 9)).code, DELETED);
    eventually(|| server.get("/api/v1/endpoints/keeps").status == 404);
    assert_eq!(kinds(&server, "new"), ["registered", "deregistered"]);
}

#[test]
fn a_notification_that_is_not_kept_is_not_acknowledged_and_kept_when_it_comes_again() {
    let (server, faults) = Server::faulty(|_| {});
    let device = Device::register(&server, "tells", agreeable());
    let observed = server.call("PUT", "/api/v1/endpoints/tells/observations/3303/0/5700", "{}");
    assert_eq!(observed.status, 200, "{observed:?}");
    let observe = device.requests.recv_timeout(Duration::from_secs(10)).unwrap();
    let notification = Message {
        kind: 0,
        code: 69,
        id: 900,
        token: observe.token,
        options: vec![(6, vec![9]), (12, Vec::new())],
        payload: b"33.5".to_vec(),
    };
    fail(&faults);
    device.send(&notification);
    let count = || {
        let text = server.get("/metrics").body;
        let line = text.lines().find(|line| line.contains("refused_notification")).map(str::to_owned);
        line.and_then(|line| line.rsplit(' ').next()?.parse::<u64>().ok()).unwrap_or(0)
    };
    eventually(|| count() == 1);
    faults.mend();
    device.send(&notification);
    let kept = || {
        let kept = server.get("/api/v1/endpoints/tells/history/3303/0/5700").json();
        kept["items"].as_array().unwrap().iter().filter(|item| item["value"] == 33.5).count()
    };
    eventually(|| kept() == 1);
    assert_eq!(count(), 1, "refused once");
    // The acknowledgement was lost: the repetition is no news.
    device.send(&notification);
    server.call("GET", "/api/v1/endpoints/tells/resources/3/0/9", "");
    assert_eq!(kept(), 1);
}

#[test]
fn a_slow_store_makes_devices_wait_and_one_that_hangs_takes_nothing() {
    let (server, faults) = Server::faulty(|_| {});
    let socket = device(&server);
    faults.hold();
    let register = request(2, &["rd"], &["ep=waits", "lt=300", "lwm2m=1.1"], b"</3/0>", 1);
    socket.send(&register.bytes()).unwrap();
    socket.set_read_timeout(Some(Duration::from_millis(300))).unwrap();
    let mut buffer = [0; 200];
    let early = socket.recv(&mut buffer).map(|len| Message::parse(&buffer[..len]));
    assert!(early.as_ref().map_or(true, |message| message.code == 0), "{early:?}");
    assert_eq!(server.get("/api/v1/endpoints/waits").status, 404);
    faults.release();
    socket.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
    let answer = loop {
        let len = socket.recv(&mut buffer).unwrap();
        let message = Message::parse(&buffer[..len]);
        if message.code != 0 {
            break message;
        }
    };
    assert_eq!(answer.code, CREATED);
    server.wait_for("waits");
}

#[test]
fn a_registration_outlives_a_new_one_at_another_shard_that_came_to_nothing() {
    let (server, faults) = Server::faulty(|_| {});
    let register = |name: &str, id| {
        let name = format!("ep={name}");
        request(2, &["rd"], &[&name, "lt=300", "lwm2m=1.1"], b"</1/0>,</3/0>", id)
    };
    let first = device(&server);
    let old = location(&ask(&first, &register("mover", 1)));
    server.wait_for("mover");
    // A location begins with its shard.
    let second = (0..200).map(|_| device(&server)).find(|socket| {
        let other = location(&ask(socket, &register("probe", 2)));
        other[..2] != old[..2]
    });
    let second = second.expect("one of them comes to the other shard");
    second.set_read_timeout(Some(Duration::from_secs(30))).unwrap();
    faults.hold();
    second.send(&register("mover", 3).bytes()).unwrap();
    let mut buffer = [0; 200];
    let refused = loop {
        let len = second.recv(&mut buffer).unwrap();
        let message = Message::parse(&buffer[..len]);
        if message.code != 0 {
            break message;
        }
    };
    assert_eq!(refused.code, UNAVAILABLE);
    faults.release();
    // What comes later is written later.
    let third = device(&server);
    assert_eq!(ask(&third, &register("later", 4)).code, CREATED);
    server.wait_for("later");
    assert_eq!(server.get("/api/v1/endpoints/mover").json()["registration_id"], old);
    assert_eq!(ask(&first, &request(2, &["rd", &old], &[], b"", 5)).code, CHANGED);
}

#[test]
fn who_registers_anew_is_shown_as_he_was_told() {
    let server = Server::start();
    let device = device(&server);
    for id in 0..300 {
        let register = request(2, &["rd"], &["ep=again", "lt=300", "lwm2m=1.1"], b"</3/0>", id);
        let told = ask(&device, &register);
        assert_eq!(told.code, CREATED);
        assert_eq!(server.get("/api/v1/endpoints/again").json()["registration_id"], location(&told), "{id}");
    }
}

/// What the log tells of a device: kinds, with their times.
fn told(server: &Server, endpoint: &str) -> Vec<(String, String)> {
    let log = server.get(&format!("/api/v1/endpoints/{endpoint}/log")).json();
    let word = |value: &serde_json::Value| value.as_str().unwrap().to_owned();
    let items = log["items"].as_array().unwrap().iter();
    items.rev().map(|event| (word(&event["type"]), word(&event["time"]))).collect()
}

fn told_kinds(server: &Server, endpoint: &str) -> Vec<String> {
    told(server, endpoint).into_iter().map(|(kind, _)| kind).collect()
}

fn none_is_lost(server: &Server) {
    let metrics = server.get("/metrics").body;
    assert!(metrics.contains("\nlightship_events_lost_total 0\n"), "{metrics}");
}

#[test]
fn a_registration_that_ends_while_the_store_fails_is_told_when_it_works_at_its_true_time() {
    let (server, faults) = Server::faulty(|_| {});
    let socket = device(&server);
    let register = request(2, &["rd"], &["ep=brief", "lt=1", "lwm2m=1.1"], b"</1/0>,</3/0>", 1);
    assert_eq!(ask(&socket, &register).code, CREATED);
    server.wait_for("brief");
    fail(&faults);
    eventually(|| server.get("/api/v1/endpoints/brief").status == 404);
    let since = server.get("/api/v1/fleet").json()["lost_devices"][0]["since"].clone();
    assert_eq!(told_kinds(&server, "brief"), ["registered"]);
    std::thread::park_timeout(Duration::from_millis(1500));
    faults.mend();
    eventually(|| told(&server, "brief").len() == 2);
    let (kind, time) = told(&server, "brief").remove(1);
    assert_eq!((kind.as_str(), Some(time.as_str())), ("expired", since.as_str()));
    none_is_lost(&server);
    // In order: what comes later is told later.
    assert_eq!(ask(&socket, &Message { id: 2, ..register }).code, CREATED);
    server.wait_for("brief");
    assert_eq!(told_kinds(&server, "brief"), ["registered", "expired", "registered"]);
}

#[test]
#[allow(clippy::disallowed_methods, reason = "how long others wait is what is looked at")]
fn however_many_registrations_end_meanwhile_others_are_answered_and_all_ends_are_told() {
    let (server, faults) = Server::faulty(|config| {
        config.limits.registers_a_minute_per_address = 0;
        config.limits.registers_a_minute_per_network = 0;
    });
    let count = 2500_u16;
    for number in 0..count {
        let [high, low] = number.to_be_bytes();
        let socket = UdpSocket::bind(format!("127.7.{high}.{low}:0")).unwrap();
        socket.connect(server.coap).unwrap();
        socket.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
        let name = format!("ep=many-{number}");
        let register = request(2, &["rd"], &[&name, "lt=6", "lwm2m=1.1"], b"</1/0>,</3/0>", number);
        assert_eq!(ask(&socket, &register).code, CREATED);
    }
    fail(&faults);
    let known = || server.get("/api/v1/fleet").json()["registered"].as_u64();
    eventually(|| known() == Some(0));
    let other = device(&server);
    let begin = std::time::Instant::now();
    for id in 0..8 {
        let register = request(2, &["rd"], &["ep=new", "lt=300", "lwm2m=1.1"], b"</1/0>", id);
        assert_eq!(ask(&other, &register).code, UNAVAILABLE);
    }
    assert!(begin.elapsed() < Duration::from_secs(2), "{:?} for eight refusals", begin.elapsed());
    faults.mend();
    let mut events = Events::follow(&server, "?after=0&type=expired", None);
    let ends: std::collections::BTreeSet<String> =
        (0..count).map(|_| events.event()["endpoint"].as_str().unwrap().to_owned()).collect();
    assert_eq!(ends.len(), usize::from(count));
}

#[test]
fn a_device_that_is_forgotten_is_told_with_what_makes_it_so() {
    let (server, faults) = Server::faulty(|_| {});
    let socket = device(&server);
    let register = request(2, &["rd"], &["ep=d", "lt=300", "lwm2m=1.1"], b"</1/0>,</3/0>", 1);
    assert_eq!(ask(&socket, &register).code, CREATED);
    server.wait_for("d");
    faults.fail_behind_one(0, "no space left");
    assert_eq!(server.call("DELETE", "/api/v1/endpoints/d", "").status, 204);
    assert_eq!(server.get("/readyz").status, 503);
    assert_eq!(told_kinds(&server, "d"), ["registered", "deregistered"]);
    faults.mend();
    assert_eq!(ask(&socket, &Message { id: 2, ..register }).code, CREATED);
    server.wait_for("d");
    assert_eq!(told_kinds(&server, "d"), ["registered", "deregistered", "registered"]);
    none_is_lost(&server);
}

#[test]
fn a_server_that_starts_on_a_full_disk_says_so_from_the_beginning() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::with(|config| {
        config.store.folder = Some(folder.path().to_owned());
        config.store.free_bytes_min = u64::MAX;
    });
    let ready = server.get("/readyz");
    assert_eq!(ready.status, 503, "{ready:?}");
    assert!(ready.body.contains(" MB are free, "), "{ready:?}");
    let credential = r#"{"mode":"psk","identity":"other","key_hex":"000102030405060708090a0b0c0d0e0f"}"#;
    let refused = server.call("PUT", "/api/v1/credentials/other", credential);
    assert_eq!(refused.status, 503);
    let detail = refused.json()["detail"].as_str().unwrap().to_owned();
    assert_eq!(detail.matches("cannot be written").count(), 1, "said once: {detail}");
}
