//! The event stream: nothing missing, nothing twice, nobody held up.

use std::io::{Read, Write};
use std::net::UdpSocket;
use std::time::Duration;

use crate::support::{Device, Events, Message, Server, agreeable, eventually, pause};
use serde_json::json;

/// A server with a device that is observed, and the notification that it sends with a number.
fn observed(server: &Server) -> (Device, impl Fn(u16) -> Message) {
    let device = Device::register(server, "source", agreeable());
    let address = "/api/v1/endpoints/source/observations/3303/0/5700";
    assert_eq!(server.call("PUT", address, "").json()["code"], "2.05");
    let token = device.next_request().token;
    let notify = move |number: u16| {
        let sequence = (u32::from(number) + 2).to_be_bytes();
        let options = vec![(6, sequence[1..].to_vec()), (12, vec![])];
        let payload = number.to_string().into_bytes();
        Message { kind: 1, code: 0x45, id: 2000 + number, token: token.clone(), options, payload }
    };
    (device, notify)
}

fn value(event: &serde_json::Value) -> u64 {
    assert_eq!(event["type"], "notified", "{event}");
    event["content"][0]["value"].as_f64().map(|value| value.to_string().parse().unwrap()).unwrap()
}

#[test]
fn a_reader_that_comes_back_misses_nothing() {
    let server = Server::start();
    let (device, notify) = observed(&server);
    let mut first = Events::follow(&server, "?type=notified", None);
    let mut last = String::new();
    for number in 0..3 {
        device.send(&notify(number));
        let event = first.event();
        assert_eq!(value(&event), u64::from(number));
        last = event["id"].as_str().unwrap().to_owned();
    }
    drop(first);
    for number in 3..6 {
        device.send(&notify(number));
    }
    for (query, header) in
        [("?type=notified", Some(last.as_str())), (&*format!("?type=notified&after={last}"), None)]
    {
        let mut second = Events::follow(&server, query, header);
        for number in 3..6 {
            assert_eq!(value(&second.event()), number);
        }
    }
}

#[test]
fn a_reader_sees_what_it_asked_for() {
    let server = Server::start();
    let mut all = Events::follow(&server, "", None);
    let mut other = Events::follow(&server, "?endpoint=other", None);
    let mut kinds = Events::follow(&server, "?type=observed,deregistered", None);
    let of = |events: &mut Events, count: usize| -> Vec<(String, String)> {
        let text = |json: &serde_json::Value| json.as_str().unwrap().to_owned();
        (0..count)
            .map(|_| events.event())
            .map(|event| (text(&event["endpoint"]), text(&event["type"])))
            .collect()
    };
    let (_device, _) = observed(&server);
    let mut seen = of(&mut all, 2);
    let _other = Device::register(&server, "other", agreeable());
    assert_eq!(server.call("DELETE", "/api/v1/endpoints/other", "").status, 204);
    seen.extend(of(&mut all, 2));
    let pair = |endpoint: &str, kind: &str| (endpoint.to_owned(), kind.to_owned());
    let expected = [
        pair("source", "registered"),
        pair("source", "observed"),
        pair("other", "registered"),
        pair("other", "deregistered"),
    ];
    assert_eq!(seen, expected);
    assert_eq!(of(&mut other, 2), expected[2..]);
    assert_eq!(of(&mut kinds, 2), [expected[1].clone(), expected[3].clone()]);
}

#[test]
fn a_reader_is_told_when_it_has_all_that_there_was_when_it_came() {
    let server = Server::start();
    let (device, notify) = observed(&server);
    (1..=200).for_each(|number| device.send(&notify(number)));
    let history = "/api/v1/endpoints/source/history/3303/0/5700?limit=1";
    eventually(|| server.get(history).json()["items"][0]["value"] == 200.0);
    for query in ["?after=0", "?after=0&type=deregistered", "?after=0&endpoint=nobody", ""] {
        Events::follow(&server, query, None).until("\n: so far\n");
    }
    let mut events = Events::follow(&server, "?after=0&type=notified", None);
    while value(&events.event()) != 200 {}
    events.until(": so far\n");
}

#[test]
fn a_place_that_is_lost_is_told_as_a_gap() {
    let server = Server::with(|config| config.limits.events_kept = 4);
    let (device, notify) = observed(&server);
    let mut live = Events::follow(&server, "?type=notified", None);
    for number in 0..10 {
        device.send(&notify(number));
        live.event();
    }
    for id in ["00000000-3", "nonsense", "ffffffff-99999999999999999999"] {
        let mut events = Events::follow(&server, "", Some(id));
        assert_eq!(events.event()["type"], "gap", "{id}");
        assert_eq!(value(&events.event()), 6, "{id}: four are kept");
    }
    let mut events = Events::follow(&server, "?after=0", None);
    assert_eq!(value(&events.event()), 6, "asked for the oldest kept, that is no gap");
}

#[test]
fn a_reader_that_never_reads_holds_nobody_and_costs_little() {
    let server = Server::with(|config| config.limits.events_kept = 50);
    let (device, notify) = observed(&server);
    let mut stuck = server.connect();
    stuck.write_all(b"GET /api/v1/events HTTP/1.1\r\nHost: localhost\r\n\r\n").unwrap();
    let mut live = Events::follow(&server, "?type=notified", None);
    for number in 0..500 {
        device.send(&notify(number));
        assert_eq!(value(&live.event()), u64::from(number));
    }
    // What the stuck reader finds when it wakes up is what the system's buffers held, in order; then it is cut off
    // or goes on, but it never sees a hole without being told.
    stuck.set_read_timeout(Some(Duration::from_millis(300))).unwrap();
    let mut text = Vec::new();
    let _ = stuck.read_to_end(&mut text);
    let text = String::from_utf8_lossy(&text).into_owned();
    let numbers: Vec<u64> = text
        .split("\nid: ")
        .skip(1)
        .filter_map(|part| part.split_once('\n')?.0.split_once('-')?.1.parse().ok())
        .collect();
    assert!(numbers.windows(2).all(|pair| pair[1] == pair[0] + 1), "{numbers:?}");
    drop(stuck);
    drop(live);
    let readers = || server.get("/metrics").body.contains("\nlightship_event_readers 0\n");
    device.send(&notify(3001));
    eventually(readers);
}

#[test]
fn a_reader_that_is_too_slow_is_told_and_comes_back() {
    let server = Server::with(|config| config.limits.events_kept = 100);
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    let fast = socket.try_clone().unwrap();
    let _device = Device::register_as(&server, socket, "source", "</3303/0>", agreeable());
    let mut slow = server.connect();
    let request = "GET /api/v1/events?after=0 HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n";
    slow.write_all(request.as_bytes()).unwrap();
    let dropped = || !server.get("/metrics").body.contains("\nlightship_event_readers_dropped_total 0\n");
    let text = "x".repeat(1000);
    let pack = format!(r#"[{{"n":"/3303/0/5750","vs":"{text}"}}]"#);
    // More than the buffers of the system hold.
    let (mut id, mut rounds) = (0_u16, 0);
    while !dropped() {
        assert!(rounds < 3000, "it never falls behind");
        rounds += 1;
        pause(5);
        for _ in 0..500 {
            let message = Message { kind: 1, ..send(id, 110, pack.as_bytes()) };
            fast.send(&message.bytes()).unwrap();
            id = id.wrapping_add(1);
        }
    }
    let mut text = Vec::new();
    slow.read_to_end(&mut text).unwrap_or_default();
    let text = String::from_utf8_lossy(&text).into_owned();
    assert!(
        text.ends_with(
            ": too slow, the log has gone past you; come back with Last-Event-ID\n\n\r\n0\r\n\r\n"
        )
    );
    let last = text.rsplit("\nid: ").next().and_then(|part| part.split('\n').next()).unwrap();
    let mut again = Events::follow(&server, "", Some(last));
    assert_eq!(again.event()["type"], "gap");
    assert_eq!(again.event()["type"], "sent");
}

#[test]
fn readers_are_few() {
    let server = Server::with(|config| config.limits.event_readers_max = 2);
    let _readers = [Events::follow(&server, "", None), Events::follow(&server, "", None)];
    let reply = server.get("/api/v1/events");
    assert_eq!((reply.status, reply.problem().as_str()), (503, "overloaded"));
    assert!(reply.head.contains("retry-after: "));
}

#[test]
fn wrong_filters_are_refused() {
    let server = Server::start();
    for query in ["?type=notifed", "?type=registered,,", "?colour=red"] {
        assert_eq!(server.get(&format!("/api/v1/events{query}")).problem(), "invalid-parameter", "{query}");
    }
}

fn send(id: u16, format: u8, payload: &[u8]) -> Message {
    let options = vec![(11, b"dp".to_vec()), (12, vec![format])];
    Message { kind: 0, code: 2, id, token: id.to_be_bytes().to_vec(), options, payload: payload.to_vec() }
}

// Proves: OBS-22, OBS-23
#[test]
fn values_a_device_sends_on_its_own_are_events_and_are_acknowledged_after_storing() {
    let server = Server::start();
    let device = Device::register(&server, "sender", agreeable());
    let mut events = Events::follow(&server, "?type=sent", None);
    for (id, bad, code) in [
        (4000, &br#"[{"bn":"/3/0/9","v":1}"#[..], 0x80),
        (4001, br#"[{"bn":"/3/0/9","v":1},{"bn":"/9/0/0","v":1}]"#, 0x84),
    ] {
        assert_eq!(device.ask(&send(id, 110, bad)).code, code, "{}", String::from_utf8_lossy(bad));
    }
    let good = br#"[{"bn":"/3303/0/5700","bt":1767225600,"v":21.5},{"t":60,"v":22.5},{"bn":"/3/0/","n":"9","v":84},{"n":"999","v":1}]"#;
    assert_eq!(device.ask(&send(4003, 110, good)).code, 0x44);
    let event = events.event();
    assert_eq!(
        event["content"][0],
        json!({"path": "/3303/0/5700", "name": "Sensor Value", "time": "2026-01-01T00:00:00.000Z", "type": "float", "value": 21.5})
    );
    assert_eq!(event["content"][1]["time"], "2026-01-01T00:01:00.000Z");
    assert_eq!(event["content"][2]["path"], "/3/0/9");
    assert_eq!(event["content"][3]["path"], "/3/0/999", "what the definition does not know is passed on");
}

#[test]
fn the_stream_ends_when_the_server_stops() {
    let server = Server::start();
    let mut reader = server.connect();
    reader.write_all(b"GET /api/v1/events HTTP/1.1\r\nHost: localhost\r\n\r\n").unwrap();
    let mut first = [0; 12];
    reader.read_exact(&mut first).unwrap();
    server.running.stop();
    let mut rest = Vec::new();
    reader.read_to_end(&mut rest).unwrap();
    assert!(
        rest.ends_with(b"0\r\n\r\n"),
        "the stream is ended properly: {:?}",
        String::from_utf8_lossy(&rest)
    );
}
