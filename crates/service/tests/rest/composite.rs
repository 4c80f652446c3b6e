//! Composite operations by REST: several nodes of one device at once.

use crate::support::{Device, Events, Message, Script, Server, agreeable, eventually};
use serde_json::json;
use tempfile::TempDir;

const DATA: &[u8] =
    br#"[{"bn":"/3/0/","n":"9","v":84},{"n":"0","vs":"Acme"},{"bn":"/3303/0/5700","v":21.5}]"#;

/// Knows SenML JSON alone, and answers lists of paths with the same three values.
fn composite() -> Script {
    Box::new(|request| {
        let mut answer = match (request.code, request.option(12)) {
            (5, Some(110)) if matches!(request.option(17), None | Some(110)) => {
                request.answer(0x45, Some(110), DATA)
            }
            (5, Some(110)) => request.answer(0x86, None, b""),
            (7, Some(110)) => request.answer(0x44, None, b""),
            (5 | 7, _) => request.answer(0x8F, None, b""),
            _ => request.answer(0x44, None, b""),
        };
        if answer.code == 0x45 && request.option(6) == Some(0) {
            answer.options.insert(0, (6, vec![1]));
        }
        Some(answer)
    })
}

/// The names in a SenML JSON body.
fn names(message: &Message) -> Vec<String> {
    let records: Vec<serde_json::Value> = serde_json::from_slice(&message.payload).unwrap();
    let mut base = String::new();
    let name = |record: serde_json::Value| {
        if let Some(said) = record["bn"].as_str() {
            base = said.to_owned();
        }
        format!("{base}{}", record["n"].as_str().unwrap_or_default())
    };
    records.into_iter().map(name).collect()
}

// Proves: DMO-02, DMO-40
#[test]
fn several_paths_are_read_at_once_in_whatever_the_device_speaks() {
    let server = Server::start();
    let device = Device::register(&server, "one", composite());
    let body = r#"{"paths": ["/3/0", "/3303/0/5700"]}"#;
    let reply = server.call("POST", "/api/v1/endpoints/one/composite/read", body);
    let answer = reply.json();
    assert_eq!(
        (reply.status, &answer["code"], &answer["path"]),
        (200, &json!("2.05"), &json!("/")),
        "{reply:?}"
    );
    assert_eq!(answer["operation"], "read-composite");
    assert_eq!(
        answer["content"]["nodes"],
        json!([
            {"path": "/3/0", "name": "Device", "resources": {
                "0": {"type": "string", "value": "Acme"}, "9": {"type": "integer", "value": 84}}},
            {"path": "/3303/0/5700", "name": "Sensor Value", "type": "float", "value": 21.5},
        ])
    );
    let last = device.requests.try_iter().last().unwrap();
    assert_eq!((last.code, last.path().as_str(), last.option(12)), (5, "", Some(110)));
    assert_eq!(names(&last), ["/3/0", "/3303/0/5700"]);
    // What the device has not been asked for is no answer.
    let answer = server.call("POST", "/api/v1/endpoints/one/composite/read", r#"{"paths": ["/3/0"]}"#).json();
    assert_eq!(answer.get("content"), None);
    assert_eq!(answer["undecoded"], "/3303/0/5700 was not asked for");
    assert!(answer["raw"]["payload"].is_string());
}

// Proves: DMO-02, DMO-40
#[test]
fn several_nodes_are_written_at_once_after_all_have_been_checked() {
    let server = Server::start();
    let device = Device::register(&server, "one", composite());
    let address = "/api/v1/endpoints/one/composite/write";
    let body = r#"{"nodes": [{"path": "/3303/0/5701", "value": "C"}, {"path": "/1/0", "resources": {"1": {"value": 60}}}]}"#;
    let answer = server.call("POST", address, body).json();
    assert_eq!((&answer["code"], &answer["format"]), (&json!("2.04"), &json!("senml-json")));
    let last = device.requests.try_iter().last().unwrap();
    assert_eq!((last.code, last.path().as_str(), last.option(12)), (7, "", Some(110)));
    assert_eq!(names(&last), ["/1/0/1", "/3303/0/5701"]);
    let records: serde_json::Value = serde_json::from_slice(&last.payload).unwrap();
    assert_eq!((&records[0]["v"], &records[1]["vs"]), (&json!(60), &json!("C")));
    for (body, status, pointer) in [
        (r#"{"nodes": []}"#, 400, "/nodes"),
        (r#"{"nodes": [{"value": 1}]}"#, 400, "/nodes/0"),
        (r#"{"nodes": [{"path": "/", "resources": {}}]}"#, 400, "/nodes/0/path"),
        (r#"{"nodes": [{"path": "/1/0/1", "value": 1}, {"path": "/1/0/1", "value": 2}]}"#, 400, "/nodes"),
        (r#"{"nodes": [{"path": "/1/0/1", "value": 1}], "more": 1}"#, 400, "/more"),
        (
            r#"{"nodes": [{"path": "/1/0/1", "value": 1}, {"path": "/3/0", "resources": {"9": {"value": 101}}}]}"#,
            422,
            "/nodes/1/resources/9",
        ),
    ] {
        let reply = server.call("POST", address, body);
        assert_eq!(
            (reply.status, reply.json()["pointer"].as_str()),
            (status, Some(pointer)),
            "{body}: {reply:?}"
        );
    }
    assert!(device.requests.try_recv().is_err(), "something was sent to the device");
}

// Proves: OBS-07, OBS-15
#[test]
fn a_composite_observation_is_wanted_until_it_is_cancelled() {
    let folder = tempfile::tempdir().unwrap();
    let start =
        |folder: &TempDir| Server::with(|config| config.store.folder = Some(folder.path().to_owned()));
    let server = start(&folder);
    let device = Device::register(&server, "one", composite());
    let mut events = Events::follow(&server, "?type=observed,notified,observation_cancelled", None);
    let address = "/api/v1/endpoints/one/composite/observations/mine";
    let body = r#"{"paths": ["/3/0", "/3303/0/5700"]}"#;
    let answer = server.call("PUT", address, body).json();
    assert_eq!((&answer["operation"], &answer["code"]), (&json!("observe-composite"), &json!("2.05")));
    assert_eq!(answer["content"]["nodes"][1]["value"], 21.5);
    let event = events.event();
    assert_eq!((&event["type"], &event["name"]), (&json!("observed"), &json!("mine")));
    assert_eq!((event.get("path"), event["content"].as_array().unwrap().len()), (None, 2));
    let observe = device.requests.try_iter().last().unwrap();
    assert_eq!((observe.code, observe.option(6)), (5, Some(0)));
    let notify = |id, number, payload: &[u8]| Message {
        kind: 1,
        code: 0x45,
        id,
        token: observe.token.clone(),
        options: vec![(6, vec![number]), (12, vec![110])],
        payload: payload.to_vec(),
    };
    device.send(&notify(900, 2, br#"[{"n":"/3303/0/5700","v":22.5}]"#));
    let event = events.event();
    assert_eq!((&event["type"], &event["content"][0]["value"]), (&json!("notified"), &json!(22.5)));
    // Values that were not asked for are reported as a mistake, and not kept.
    device.send(&notify(901, 3, br#"[{"n":"/3303/0/5700","v":1},{"n":"/6/0/0","v":1}]"#));
    let event = events.event();
    assert_eq!((event.get("content"), &event["reason"]), (None, &json!("/6/0/0 was not asked for")));
    let list = server.get("/api/v1/endpoints/one/observations").json();
    let item = &list["items"][0];
    assert_eq!(
        (&item["name"], &item["path"], &item["state"]),
        (&json!("mine"), &json!("/"), &json!("active"))
    );
    assert_eq!(item["paths"], json!(["/3/0", "/3303/0/5700"]));
    assert_eq!(item["content"][0]["value"], 22.5);
    drop(device);
    let left = server.crash(folder.path());
    let server = start(&left);
    let device = Device::register(&server, "one", composite());
    let running = |restarts: u64| {
        let list = server.get("/api/v1/endpoints/one/observations").json();
        let item = &list["items"][0];
        item["state"] == "active" && item["since"].is_string() && item["restarts"] == restarts
    };
    // Each start that nobody asked for counts, the one after the server's own restart as well.
    eventually(|| running(1));
    drop(device);
    let device = Device::register(&server, "one", composite());
    eventually(|| running(2));
    let observe = device.requests.try_iter().last().unwrap();
    assert_eq!(server.call("DELETE", address, "").json()["operation"], "cancel-composite");
    let cancel = device.next_request();
    assert_eq!((cancel.code, cancel.option(6), &cancel.token), (5, Some(1), &observe.token));
    assert_eq!(cancel.payload, observe.payload);
    assert_eq!(server.get("/api/v1/endpoints/one/observations").json()["items"], json!([]));
    assert_eq!(server.call("DELETE", address, "").problem(), "not-observed");
}

#[test]
fn what_cannot_be_asked_together_is_refused() {
    let server = Server::start();
    let device = Device::register(&server, "one", agreeable());
    for (address, body, status) in [
        ("read", r#"{"paths": []}"#, 400),
        ("read", r#"{"paths": ["/3/x"]}"#, 400),
        ("read", r#"{"paths": ["/3", "/3"]}"#, 400),
        ("read?format=tlv", r#"{"paths": ["/3"]}"#, 400),
        ("write?format=text", r#"{"nodes": [{"path": "/1/0/1", "value": 1}]}"#, 400),
        ("write", r#"{"paths": ["/3"]}"#, 400),
    ] {
        let reply = server.call("POST", &format!("/api/v1/endpoints/one/composite/{address}"), body);
        assert_eq!(reply.status, status, "{address} {body}: {reply:?}");
    }
    let reply = server.call("PUT", "/api/v1/endpoints/one/observations/3/0/9", r#"{"pmin": 5}"#);
    assert_eq!((reply.status, reply.problem().as_str()), (422, "not-in-version"));
    assert!(device.requests.try_recv().is_err(), "something was sent to the device");
}

fn queries(message: &Message) -> Vec<String> {
    let queries = message.options.iter().filter(|(number, _)| *number == 15);
    queries.map(|(_, value)| String::from_utf8(value.clone()).unwrap()).collect()
}

fn register_1_2(server: &Server, script: Script) -> Device {
    let socket = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
    let links = "</1/0>,</3/0>,</3442/0>";
    Device::register_with(server, socket, "ep=new&lt=600&lwm2m=1.2&b=U", links, script)
}

#[test]
fn a_resource_instance_is_removed_by_a_null_value() {
    let server = Server::start();
    let device = register_1_2(&server, agreeable());
    // Who has answered once is sent long requests without a ping before.
    server.get("/api/v1/endpoints/new/resources/3/0/9");
    device.next_request();
    let address = "/api/v1/endpoints/new/composite/write";
    let body = r#"{"nodes": [{"path": "/3442/0/1120/3", "value": null}, {"path": "/1/0/1", "value": 60}]}"#;
    for (query, format, payload) in [
        (
            "?format=senml-json",
            320,
            &br#"[{"bn":"/1/0/","n":"1","v":60},{"bn":"/3442/0/","n":"1120/3","v":null}]"#[..],
        ),
        ("", 322, b"\x82\xA3\x21\x65/1/0/\x00\x611\x02\x18\x3C\xA3\x21\x68/3442/0/\x00\x661120/3\x02\xF6"),
    ] {
        let reply = server.call("POST", &format!("{address}{query}"), body);
        assert_eq!(reply.json()["code"], "2.04", "{reply:?}");
        let request = device.next_request();
        assert_eq!((request.code, request.option(12)), (7, Some(format)));
        assert_eq!(String::from_utf8_lossy(&request.payload), String::from_utf8_lossy(payload));
    }
    for (query, body, status) in [
        ("", r#"{"nodes": [{"path": "/3442/0/120", "value": null}]}"#, 422),
        ("", r#"{"nodes": [{"path": "/3442/0/1120/3", "value": null, "type": "integer"}]}"#, 400),
        ("?format=lwm2m-cbor", r#"{"nodes": [{"path": "/3442/0/1120/3", "value": null}]}"#, 422),
    ] {
        let reply = server.call("POST", &format!("{address}{query}"), body);
        assert_eq!(reply.status, status, "{body}: {reply:?}");
    }
    let old = Device::register(&server, "old", agreeable());
    let reply = server.call("POST", "/api/v1/endpoints/old/composite/write", body);
    assert_eq!((reply.status, reply.problem().as_str()), (422, "not-in-version"));
    assert!(device.requests.try_recv().is_err() && old.requests.try_recv().is_err());
}

/// Like `composite`, but with 4.02 for attributes in the query.
fn without_queries() -> Script {
    let mut inner = composite();
    Box::new(move |request| match request.code {
        5 if !queries(request).is_empty() => Some(request.answer(0x82, None, b"")),
        _ => inner(request),
    })
}

// Proves: OBS-17
#[test]
fn attributes_of_a_composite_observation_travel_in_the_query_or_are_written_before() {
    let server = Server::start();
    let device = register_1_2(&server, composite());
    let address = "/api/v1/endpoints/new/composite/observations/mine";
    let body = r#"{"paths": ["/3/0", "/3303/0/5700"], "attributes": {"pmin": 5, "con": 1}}"#;
    let answer = server.call("PUT", &format!("{address}?format=senml-json"), body).json();
    assert_eq!(answer["code"], "2.05", "{answer}");
    let observe = device.requests.try_iter().last().unwrap();
    assert_eq!((observe.code, observe.option(6)), (5, Some(0)));
    assert_eq!(queries(&observe), ["con=1", "pmin=5"]);
    let list = server.get("/api/v1/endpoints/new/observations").json();
    assert_eq!(list["items"][0]["attributes"], json!({"con": 1, "pmin": 5}));
    for (attributes, status) in [
        (r#"{"gt": 5}"#, 422),
        (r#"{"hqmax": 5}"#, 422),
        (r#"{"pmin": null}"#, 400),
        (r#"{"pmin": -1}"#, 422),
        (r#"{"epmin": 9, "epmax": 3}"#, 422),
    ] {
        let body = format!(r#"{{"paths": ["/3/0"], "attributes": {attributes}}}"#);
        let reply = server.call("PUT", address, &body);
        assert_eq!(reply.status, status, "{attributes}: {reply:?}");
    }
    assert!(device.requests.try_recv().is_err());
    drop(device);
    let device = register_1_2(&server, without_queries());
    eventually(|| device.requests.try_iter().next().is_some());
    let answer = server.call("PUT", &format!("{address}?format=senml-json"), body).json();
    assert_eq!((&answer["code"], answer.get("fallback")), (&json!("4.02"), None));
    device.requests.try_iter().for_each(drop);
    let answer = server.call("PUT", &format!("{address}?format=senml-json&fallback=true"), body).json();
    assert_eq!(
        (&answer["code"], &answer["fallback"]),
        (&json!("2.05"), &json!("write-attributes")),
        "{answer}"
    );
    let sent: Vec<Message> = device.requests.try_iter().filter(|request| request.code != 5).collect();
    let written: Vec<_> =
        sent.iter().map(|request| (request.code, request.path(), queries(request))).collect();
    let attributes = vec!["con=1".to_owned(), "pmin=5".to_owned()];
    assert_eq!(
        written,
        [(3, "/3/0".to_owned(), attributes.clone()), (3, "/3303/0/5700".to_owned(), attributes)]
    );
}

// Proves: DMO-41
#[test]
fn a_device_without_composites_is_read_path_by_path_if_the_caller_allows() {
    let server = Server::start();
    let script: Script = Box::new(|request| {
        Some(match (request.code, request.path().as_str()) {
            (1, "/3303/0/5700") => request.answer(0x45, Some(0), b"21.5"),
            (1, "/3/0/9") => request.answer(0x45, Some(0), b"84"),
            (1, _) => request.answer(0x84, None, b""),
            _ => request.answer(0x85, None, b""),
        })
    });
    let device = Device::register(&server, "plain", script);
    let body = r#"{"paths": ["/3/0/9", "/6/0", "/3303/0/5700"]}"#;
    let read = |query: &str| {
        let address = format!("/api/v1/endpoints/plain/composite/read{query}");
        let answer = server.call("POST", &address, body).json();
        let codes: Vec<u8> = device.requests.try_iter().map(|request| request.code).collect();
        (answer, codes)
    };
    let (answer, codes) = read("");
    assert_eq!((&answer["code"], answer.get("content"), codes), (&json!("4.05"), None, vec![5]));
    let (answer, codes) = read("?fallback=true");
    assert_eq!((&answer["code"], &answer["fallback"]), (&json!("2.05"), &json!("single-reads")), "{answer}");
    assert_eq!(codes, [5, 1, 1, 1]);
    let nodes = answer["content"]["nodes"].as_array().unwrap();
    let values: Vec<_> = nodes.iter().map(|node| (&node["path"], &node["value"])).collect();
    assert_eq!(values, [(&json!("/3/0/9"), &json!(84)), (&json!("/3303/0/5700"), &json!(21.5))]);
    assert_eq!(read("?fallback=true").1, [1, 1, 1], "what it cannot do is remembered");
    assert_eq!(read("").1, [5], "who does not allow it gets the device's own answer");
}

// Proves: DMO-41
#[test]
fn a_composite_read_asks_for_the_answer_in_its_own_format_which_is_remembered() {
    let server = Server::start();
    let device = Device::register(&server, "one", composite());
    let formats = || {
        let answer =
            server.call("POST", "/api/v1/endpoints/one/composite/read", r#"{"paths": ["/3/0", "/3303"]}"#);
        assert_eq!(answer.json()["code"], "2.05");
        let asked = |request: Message| (request.option(12), request.option(17));
        device.requests.try_iter().map(asked).collect::<Vec<_>>()
    };
    assert_eq!(formats(), [(Some(112), Some(112)), (Some(110), Some(110))]);
    assert_eq!(formats(), [(Some(110), Some(110))]);
}

#[test]
fn a_composite_command_that_waits_shows_what_it_is_about() {
    let server = Server::start();
    let _device = Device::register(&server, "one", Box::new(|_| None));
    let queued = |method: &str, address: &str, body: &str| {
        let reply = server.call(method, &format!("/api/v1/endpoints/one/{address}?queue=true"), body);
        assert_eq!(reply.status, 202, "{reply:?}");
        let id = reply.json()["id"].as_str().unwrap().to_owned();
        let shown = server.get(&format!("/api/v1/commands/{id}")).json();
        assert_eq!(shown["paths"], reply.json()["paths"]);
        shown
    };
    let body = r#"{"paths": ["/3/0", "/3303/0/5700"]}"#;
    let read = queued("POST", "composite/read", body);
    assert_eq!((&read["path"], &read["paths"]), (&json!("/"), &json!(["/3/0", "/3303/0/5700"])));
    let observe = queued("PUT", "composite/observations/both", body);
    assert_eq!((&observe["name"], &observe["paths"]), (&json!("both"), &json!(["/3/0", "/3303/0/5700"])));
    let nodes = r#"{"nodes": [{"path": "/1/0/1", "value": 60}, {"path": "/1/0/2", "value": 1}]}"#;
    let write = queued("POST", "composite/write", nodes);
    assert_eq!(write["paths"], json!(["/1/0/1", "/1/0/2"]));
    assert_eq!(write["nodes"], json!([{"path": "/1/0/1", "value": 60}, {"path": "/1/0/2", "value": 1}]));
    let plain = queued("PUT", "resources/1/0/1", r#"{"value": 60}"#);
    assert_eq!((&plain["path"], plain.get("paths")), (&json!("/1/0/1"), None));
    assert_eq!(plain["nodes"], json!([{"path": "/1/0/1", "value": 60}]));
}
