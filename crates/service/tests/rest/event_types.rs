//! Every type of event, each brought about by a device: read as it happens without a hole, and found again after a
//! restart.

use std::collections::BTreeSet;
use std::net::UdpSocket;
use std::time::Duration;

use lightship_api::EventType;
use serde_json::{Value as Json, json};

use crate::bootstrap::{Boot, FRESH, agreeable as boots, document, put as put_document};
use crate::secured::Secured;
use crate::support::{AWAKE, Device, Events, Message, Server, agreeable};

const KEY: &str = "6c69676874736869702d6b65792d3132";
const OTHER_KEY: &str = "00000000000000000000000000000001";

/// What happens below, in this order: each comes later in the stream than the one before.
const HAPPENS: [(&str, &str); 21] = [
    ("secured", "handshake_failed"),
    ("secured", "session_opened"),
    ("secured", "registered"),
    ("secured", "updated"),
    ("secured", "deregistered"),
    ("secured", "session_closed"),
    ("source", "registered"),
    ("source", "observed"),
    ("source", "notified"),
    ("source", "sent"),
    ("source", "observation_cancelled"),
    ("sleepy", "registered"),
    ("sleepy", "asleep"),
    ("sleepy", "command_queued"),
    ("sleepy", "command_moved"),
    ("sleepy", "awake"),
    ("sleepy", "command_done"),
    ("dev-7", "bootstrap_started"),
    ("dev-7", "bootstrap_finished"),
    ("brief", "registered"),
    ("brief", "expired"),
];

/// A reader of the whole stream, and what it has read.
struct Walk {
    events: Events,
    seen: Vec<Json>,
    happened: usize,
}

impl Walk {
    /// Reads on until the next that is to happen, which must be this.
    fn until(&mut self, endpoint: &str, kind: &str) -> Json {
        assert_eq!(HAPPENS[self.happened], (endpoint, kind));
        self.happened += 1;
        loop {
            let event = self.events.event();
            self.seen.push(event.clone());
            if event["endpoint"] == endpoint && event["type"] == kind {
                return event;
            }
        }
    }
}

fn message(code: u8, id: u16, path: &[&str], query: &[&str], format: Option<u8>, payload: &[u8]) -> Message {
    let mut options: Vec<_> = path.iter().map(|part| (11, part.as_bytes().to_vec())).collect();
    options.extend(format.map(|format| (12, vec![format])));
    options.extend(query.iter().map(|part| (15, part.as_bytes().to_vec())));
    Message { kind: 0, code, id, token: id.to_be_bytes().to_vec(), options, payload: payload.to_vec() }
}

/// One with a key: at first with a wrong one.
fn secured(server: &Server, walk: &mut Walk) {
    let credential = json!({"mode": "psk", "identity": "id-secured", "key_hex": KEY}).to_string();
    assert_eq!(server.call("PUT", "/api/v1/credentials/secured", &credential).status, 201);
    assert!(Secured::psk(server.coaps(), b"id-secured", OTHER_KEY).facts.is_none());
    walk.until("secured", "handshake_failed");
    let mut device = Secured::psk(server.coaps(), b"id-secured", KEY);
    walk.until("secured", "session_opened");
    let query = ["ep=secured", "lt=300", "lwm2m=1.1"];
    let created = device.ask(2, &["rd"], &query, b"</1/0>,</3/0>").unwrap();
    assert_eq!(created.code, 0x41);
    walk.until("secured", "registered");
    let location = created.options.iter().filter(|(number, _)| *number == 8);
    let location: Vec<String> =
        location.map(|(_, value)| String::from_utf8(value.clone()).unwrap()).collect();
    let location: Vec<&str> = location.iter().map(String::as_str).collect();
    assert_eq!(device.ask(2, &location, &["lt=600"], b"").unwrap().code, 0x44);
    assert_eq!(walk.until("secured", "updated")["registration"]["lifetime_s"], 600);
    assert_eq!(device.ask(4, &location, &[], b"").unwrap().code, 0x42);
    walk.until("secured", "deregistered");
    assert_eq!(server.call("DELETE", "/api/v1/credentials/secured", "").status, 204);
    walk.until("secured", "session_closed");
}

/// One that is observed, and tells something of its own accord.
fn source(server: &Server, walk: &mut Walk) -> Device {
    const OBSERVATION: &str = "/api/v1/endpoints/source/observations/3303/0/5700";
    let device = Device::register(server, "source", agreeable());
    walk.until("source", "registered");
    assert_eq!(server.call("PUT", OBSERVATION, "").json()["code"], "2.05");
    walk.until("source", "observed");
    let token = device.next_request().token;
    let options = vec![(6, vec![9]), (12, Vec::new())];
    device.send(&Message { kind: 1, code: 0x45, id: 900, token, options, payload: b"33.5".to_vec() });
    assert_eq!(walk.until("source", "notified")["content"][0]["value"], 33.5);
    let pack = br#"[{"n":"/3303/0/5700","v":34.5}]"#;
    assert_eq!(device.ask(&message(2, 901, &["dp"], &[], Some(110), pack)).code, 0x44);
    assert_eq!(walk.until("source", "sent")["content"][0]["value"], 34.5);
    assert_eq!(server.call("DELETE", OBSERVATION, "").status, 200);
    walk.until("source", "observation_cancelled");
    device
}

/// One that sleeps, is left a command, and comes for it.
fn sleepy(server: &Server, walk: &mut Walk) -> Device {
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    let parameters = "ep=sleepy&lt=600&lwm2m=1.1&b=U&Q";
    let device = Device::register_with(server, socket, parameters, "</1/0>,</3/0>", agreeable());
    let registered = walk.until("sleepy", "registered");
    walk.until("sleepy", "asleep");
    let queued = server.call("POST", "/api/v1/endpoints/sleepy/execute/3/0/4?queue=true", "");
    assert_eq!(queued.status, 202, "{queued:?}");
    walk.until("sleepy", "command_queued");
    let id = queued.json()["id"].as_str().unwrap().to_owned();
    let moved = server.call("PATCH", &format!("/api/v1/commands/{id}"), r#"{"priority": 5}"#);
    assert_eq!(moved.json()["priority"], 5, "{moved:?}");
    walk.until("sleepy", "command_moved");
    let location = registered["registration"]["registration_id"].as_str().unwrap();
    assert_eq!(device.ask(&message(2, 902, &["rd", location], &[], None, b"")).code, 0x44);
    walk.until("sleepy", "awake");
    let done = walk.until("sleepy", "command_done");
    assert_eq!((&done["command"]["id"], &done["command"]["state"]), (&queued.json()["id"], &json!("done")));
    device
}

/// One that is told where it belongs.
fn bootstrapped(server: &Server, walk: &mut Walk) {
    assert!(matches!(put_document(server, &document()).status, 200 | 201));
    let (boot, _) = Boot::ask(server, "bs", "ep=dev-7", None);
    boot.play(boots(FRESH));
    walk.until("dev-7", "bootstrap_started");
    assert_eq!(walk.until("dev-7", "bootstrap_finished")["result"], "finished");
}

/// One that is not heard of again.
fn brief(server: &Server, walk: &mut Walk) {
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    let query = ["ep=brief", "lt=1", "lwm2m=1.1"];
    let register = message(2, 903, &["rd"], &query, Some(40), b"</3/0>");
    socket.send_to(&register.bytes(), server.coap).unwrap();
    walk.until("brief", "registered");
    walk.until("brief", "expired");
}

fn number(event: &Json) -> u64 {
    event["id"].as_str().unwrap().split_once('-').unwrap().1.parse().unwrap()
}

#[test]
fn every_type_of_event_comes_in_its_order_and_is_there_after_a_restart() {
    let folder = tempfile::tempdir().unwrap();
    let start = || {
        Server::with(|config| {
            config.store.folder = Some(folder.path().to_owned());
            config.queue.awake_window = AWAKE;
            config.registration.grace = Duration::ZERO;
        })
    };
    let server = start();
    let mut walk = Walk { events: Events::follow(&server, "", None), seen: Vec::new(), happened: 0 };
    secured(&server, &mut walk);
    let devices = (source(&server, &mut walk), sleepy(&server, &mut walk));
    bootstrapped(&server, &mut walk);
    brief(&server, &mut walk);

    // A type that is new must come about above, too; the description of the API lists what the enumeration has.
    assert_eq!(walk.happened, HAPPENS.len());
    let happened: BTreeSet<&str> = HAPPENS.iter().map(|(_, kind)| *kind).collect();
    assert_eq!(happened, EventType::ALL.iter().map(|kind| kind.name()).collect());
    let described = server.get("/api/openapi.json").json();
    let described = described["components"]["schemas"]["EventType"]["enum"].as_array().unwrap().clone();
    let mut described: BTreeSet<&str> = described.iter().map(|kind| kind.as_str().unwrap()).collect();
    assert!(described.remove("gap"), "only a stream that lost its place has it: {described:?}");
    assert_eq!(happened, described);

    let numbers: Vec<u64> = walk.seen.iter().map(number).collect();
    let all: Vec<u64> = (1..).take(numbers.len()).collect();
    assert_eq!(numbers, all, "from the first on, without a hole");
    let Walk { events, seen, .. } = walk;
    drop(events);
    server.running.stop();
    drop(devices);

    let server = start();
    let mut again = Events::follow(&server, "?after=0", None);
    for event in &seen {
        assert_eq!(again.event(), *event);
    }
    // A reader goes on from any place.
    let middle = seen.len() / 2;
    let mut rest = Events::follow(&server, "", seen[middle - 1]["id"].as_str());
    for event in &seen[middle..] {
        assert_eq!(rest.event(), *event);
    }
    for kind in EventType::ALL {
        let first = seen.iter().find(|event| event["type"] == kind.name()).unwrap();
        let mut events = Events::follow(&server, &format!("?after=0&type={}", kind.name()), None);
        assert_eq!(events.event(), *first);
    }
}
