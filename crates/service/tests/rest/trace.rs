//! The trace of a device: what it said and was told, joined and read, live, and as a capture.

use serde_json::{Value as Json, json};

use crate::support::{Device, Events, Message, Server, agreeable, eventually};

const TRACE: &str = "/api/v1/endpoints/source/trace";

fn items(trace: &Json) -> &Vec<Json> {
    trace["items"].as_array().unwrap()
}

/// `in POST register /rd`, …
fn lines(trace: &Json) -> Vec<String> {
    let text = |item: &Json, key: &str| item[key].as_str().unwrap_or("-").to_owned();
    let line =
        |item: &Json| ["direction", "type", "code", "operation", "path"].map(|key| text(item, key)).join(" ");
    items(trace).iter().map(line).collect()
}

#[test]
fn a_conversation_is_told_in_order_joined_and_read() {
    let server = Server::start();
    let device = Device::register(&server, "source", agreeable());
    assert_eq!(server.get("/api/v1/endpoints/source/resources/3/0").status, 200);
    assert_eq!(server.call("PUT", "/api/v1/endpoints/source/observations/3303/0/5700", "").status, 200);
    device.next_request();
    let token = device.next_request().token;
    let options = vec![(6, vec![9]), (12, vec![])];
    device.send(&Message { kind: 0, code: 0x45, id: 500, token, options, payload: b"23.5".to_vec() });
    let mut trace = Json::Null;
    eventually(|| {
        trace = server.get(TRACE).json();
        items(&trace).len() >= 8
    });
    let registered = items(&trace)[0]["path"].as_str().unwrap().to_owned();
    assert_eq!(
        lines(&trace),
        [
            format!("in CON 0.02 register {registered}"),
            format!("out ACK 2.01 register {registered}"),
            "out CON 0.01 read /3/0".to_owned(),
            "in ACK 2.05 read /3/0".to_owned(),
            "out CON 0.01 observe /3303/0/5700".to_owned(),
            "in ACK 2.05 observe /3303/0/5700".to_owned(),
            "in CON 2.05 notify /3303/0/5700".to_owned(),
            "out ACK 0.00 notify /3303/0/5700".to_owned(),
        ]
    );
    let exchanges: Vec<_> = items(&trace).iter().map(|item| item["exchange"].clone()).collect();
    for pair in exchanges.chunks(2) {
        assert_eq!(pair[0], pair[1]);
    }
    let ids: Vec<_> = items(&trace).iter().map(|item| item["id"].clone()).collect();
    assert_eq!([&exchanges[0], &exchanges[2], &exchanges[6]], [&ids[0], &ids[2], &ids[6]]);
    let [register, _, _, answer, _, _, notify, _] = &items(&trace)[..] else { panic!("eight") };
    assert_eq!(register["payload"]["links"][1]["path"], "/3/0");
    assert_eq!(register["options"][0], json!({"name": "Uri-Path", "value": "rd"}));
    assert_eq!(
        register["options"][1],
        json!({"name": "Content-Format", "value": "40 (application/link-format)"})
    );
    assert_eq!(answer["format"], "tlv");
    let node = &answer["payload"]["nodes"][0];
    assert_eq!((&node["path"], &node["resources"]["0"]["value"]), (&json!("/3/0"), &json!("Acme")));
    assert!(
        answer["elapsed_us"].is_u64()
            && answer["bytes_hex"].as_str().unwrap().ends_with("c40041636d65c10954")
    );
    assert_eq!((&notify["payload"]["nodes"][0]["value"], &notify["format"]), (&json!(23.5), &json!("text")));
    assert!(items(&trace).iter().all(|item| item.get("dropped").is_none() && item.get("repeated").is_none()));
}

#[test]
fn copies_and_drops_say_what_they_are() {
    let server = Server::start();
    let device = Device::register(&server, "source", agreeable());
    let ping =
        Message { kind: 0, code: 0, id: 900, token: Vec::new(), options: Vec::new(), payload: Vec::new() };
    let lost = Message {
        kind: 2,
        code: 0x45,
        id: 901,
        token: vec![5, 5],
        options: Vec::new(),
        payload: b"x".to_vec(),
    };
    let update = Message {
        kind: 0,
        code: 2,
        id: 902,
        token: vec![7],
        options: vec![(11, b"rd".to_vec()), (11, b"zz".to_vec())],
        payload: Vec::new(),
    };
    for message in [&ping, &lost, &update, &update] {
        device.send(message);
    }
    let mut trace = Json::Null;
    eventually(|| {
        trace = server.get(TRACE).json();
        items(&trace).len() >= 9
    });
    let find = |id: u64| -> Vec<&Json> {
        items(&trace).iter().filter(|item| item["message_id"] == id && item["direction"] == "in").collect()
    };
    assert_eq!(find(900)[0]["operation"], "ping");
    assert_eq!((&find(901)[0]["dropped"], find(901)[0]["reason"].is_string()), (&json!("unmatched"), true));
    let copies = find(902);
    assert_eq!((copies[0].get("repeated"), &copies[1]["repeated"]), (None, &json!(true)));
    assert_eq!(copies[1]["dropped"], "duplicate");
    assert_eq!(copies[0]["exchange"], copies[1]["exchange"]);
    let answers: Vec<_> = items(&trace).iter().filter(|item| item["code"] == "4.04").collect();
    assert_eq!((answers.len(), answers[0].get("repeated"), &answers[1]["repeated"]), (2, None, &json!(true)));
}

#[test]
fn a_page_goes_on_where_the_one_before_ended() {
    let server = Server::start();
    let _device = Device::register(&server, "source", agreeable());
    let first = server.get(TRACE).json();
    assert_eq!(items(&first).len(), 2);
    let after = format!("{TRACE}?after={}", first["next"].as_str().unwrap());
    assert_eq!(items(&server.get(&after).json()).len(), 0);
    server.get("/api/v1/endpoints/source/resources/3303/0/5700");
    let next = server.get(&after).json();
    assert_eq!(lines(&next), ["out CON 0.01 read /3303/0/5700", "in ACK 2.05 read /3303/0/5700"]);
    assert_eq!(next.get("gap"), None);
    assert_eq!(lines(&server.get(&format!("{TRACE}?limit=1")).json()), ["in ACK 2.05 read /3303/0/5700"]);
    for query in
        ["limit=0", "limit=2001", "after=1.2.3", "after=x", "follow=maybe", "follow=true&limit=3", "from=1h"]
    {
        assert_eq!(server.get(&format!("{TRACE}?{query}")).status, 400, "{query}");
    }
    assert_eq!(items(&server.get("/api/v1/endpoints/nobody/trace").json()).len(), 0);
}

#[test]
fn who_follows_is_told_as_it_happens() {
    let server = Server::start();
    let _device = Device::register(&server, "source", agreeable());
    let place = server.get(TRACE).json()["next"].as_str().unwrap().to_owned();
    let mut live = Events::at(&server, &format!("{TRACE}?follow=true"), None);
    server.get("/api/v1/endpoints/source/resources/3303/0/5700");
    let (request, answer) = (live.event(), live.event());
    assert_eq!((&request["operation"], &answer["code"]), (&json!("read"), &json!("2.05")));
    assert_eq!(request["exchange"], answer["exchange"]);
    // One that comes back misses nothing, nor does one that begins at a place.
    let mut back = Events::at(&server, &format!("{TRACE}?follow=true"), Some(&place));
    assert_eq!(back.event()["id"], request["id"]);
    let mut from = Events::at(&server, &format!("{TRACE}?follow=true&after={place}"), None);
    assert_eq!(from.event()["id"], request["id"]);
    // A place of another run is lost, and says so.
    let mut lost = Events::at(&server, &format!("{TRACE}?follow=true"), Some("99.1.2"));
    assert_eq!(lost.event(), json!({}));
}

#[test]
fn strangers_are_seen_by_their_address() {
    let server = Server::start();
    let socket = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
    let from = socket.local_addr().unwrap();
    let update = Message {
        kind: 0,
        code: 2,
        id: 1,
        token: vec![1],
        options: vec![(11, b"rd".to_vec()), (11, b"gone".to_vec())],
        payload: Vec::new(),
    };
    socket.send_to(&update.bytes(), server.coap).unwrap();
    let mut trace = Json::Null;
    eventually(|| {
        trace = server.get(&format!("/api/v1/trace?address={from}")).json();
        items(&trace).len() == 2
    });
    assert_eq!(lines(&trace), ["in CON 0.02 update /rd/gone", "out ACK 4.04 update /rd/gone"]);
    assert_eq!(items(&trace)[0]["dropped"], "not-registered");
    assert!(!items(&server.get("/api/v1/trace?address=127.0.0.1").json()).is_empty());
    assert!(items(&server.get("/api/v1/trace?address=203.0.113.9").json()).is_empty());
    for query in ["", "?address=", "?address=host", "?address=127.0.0.1:99999"] {
        assert_eq!(server.get(&format!("/api/v1/trace{query}")).status, 400, "{query}");
    }
}

#[test]
fn without_memory_there_is_nothing_to_show() {
    let server = Server::with(|config| config.trace.bytes = 0);
    let _device = Device::register(&server, "source", agreeable());
    assert!(items(&server.get(TRACE).json()).is_empty());
}
