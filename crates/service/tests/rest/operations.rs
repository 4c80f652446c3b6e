//! Devices over loopback, operated by REST: what arrives at the device, what comes back.

use crate::support::{Device, Events, Message, Script, Server, agreeable, eventually, pause};
use serde_json::{Value as Json, json};
use tempfile::TempDir;

fn with<'a>(list: &'a Json, path: &str) -> &'a Json {
    list["items"].as_array().unwrap().iter().find(|item| item["path"] == path).unwrap()
}

// Proves: OPS-04
#[test]
fn a_device_registers_and_is_read() {
    let server = Server::start();
    let _device = Device::register(&server, "one", agreeable());
    let list = server.get("/api/v1/endpoints").json();
    assert_eq!(list["items"][0]["endpoint"], "one");
    assert_eq!(list["items"][0]["lwm2m_version"], "1.1");
    assert_eq!(list["items"][0]["security"]["mode"], "nosec");
    assert!(list.get("next").is_none());
    let answer = server.get("/api/v1/endpoints/one/resources/3/0").json();
    assert_eq!(
        (&answer["operation"], &answer["code"], &answer["format"]),
        (&json!("read"), &json!("2.05"), &json!("tlv"))
    );
    let content = json!({"path": "/3/0", "name": "Device", "resources": {
        "0": {"type": "string", "value": "Acme"}, "9": {"type": "integer", "value": 84}}});
    assert_eq!(answer["content"], content);
    let answer = server.get("/api/v1/endpoints/one/resources/3/0/9?raw=true").json();
    assert_eq!(
        answer["content"],
        json!({"path": "/3/0/9", "name": "Battery Level", "type": "integer", "units": "%", "value": 42})
    );
    assert_eq!(answer["raw"], json!({"content_format": 0, "payload": "NDI="}));
}

// Proves: OPS-04
#[test]
fn every_operation_reaches_the_device_in_its_coap_form() {
    let server = Server::start();
    let device = Device::register(&server, "ops", agreeable());
    let resources = "/api/v1/endpoints/ops/resources";
    for (method, address, body, code, path, format, payload) in [
        (
            "PUT",
            format!("{resources}/1/0/1?format=text"),
            r#"{"value": 60}"#,
            3,
            "/1/0/1",
            Some(0),
            &b"60"[..],
        ),
        (
            "PUT",
            format!("{resources}/1/0?format=tlv"),
            r#"{"resources":{"1":{"value":60}}}"#,
            3,
            "/1/0",
            Some(11542),
            b"\xC1\x01\x3C",
        ),
        (
            "PATCH",
            format!("{resources}/1/0?format=tlv"),
            r#"{"resources":{"1":{"value":60}}}"#,
            2,
            "/1/0",
            Some(11542),
            b"\xC1\x01\x3C",
        ),
        (
            "POST",
            format!("{resources}/3303?format=tlv"),
            r#"{"resources":{"5701":{"value":"C"}}}"#,
            2,
            "/3303",
            Some(11542),
            b"\xE1\x16\x45C",
        ),
        (
            "POST",
            format!("{resources}/3303?format=tlv"),
            r#"{"path":"/3303/9","resources":{"5701":{"value":"C"}}}"#,
            2,
            "/3303",
            Some(11542),
            b"\x04\x09\xE1\x16\x45C",
        ),
        ("DELETE", format!("{resources}/3303/7"), "", 4, "/3303/7", None, b""),
        ("POST", "/api/v1/endpoints/ops/execute/3/0/4".to_owned(), "", 2, "/3/0/4", None, b""),
    ] {
        let reply = server.call(method, &address, body);
        assert_eq!(
            (reply.status, &reply.json()["code"]),
            (200, &json!("2.04")),
            "{method} {address}: {reply:?}"
        );
        let request = device.next_request();
        assert_eq!((request.code, request.path().as_str()), (code, path), "{method} {address}");
        assert_eq!(request.option(12), format, "{method} {address}");
        assert_eq!(request.payload, payload, "{method} {address}");
    }
}

#[test]
fn arguments_and_attributes_reach_the_device_as_text_and_query() {
    let server = Server::start();
    let device = Device::register(&server, "ops", agreeable());
    let reply = server.call("POST", "/api/v1/endpoints/ops/execute/3/0/4", r#"{"arguments":"0='x',1"}"#);
    assert_eq!((reply.status, device.next_request().payload), (200, b"0='x',1".to_vec()));
    let reply =
        server.call("PUT", "/api/v1/endpoints/ops/attributes/3303/0/5700", r#"{"pmin": 5, "st": null}"#);
    let request = device.next_request();
    let queries: Vec<_> = request.options.iter().filter(|(n, _)| *n == 15).map(|(_, v)| v.clone()).collect();
    assert_eq!((reply.status, request.code), (200, 3));
    assert_eq!(queries, [b"pmin=5".to_vec(), b"st".to_vec()]);
}

#[test]
fn discover_gives_links_with_attributes() {
    let server = Server::start();
    let script: Script = Box::new(|request| {
        Some(request.answer(
            0x45,
            Some(40),
            b"</3303/0>;pmin=10;ver=1.0,</3303/0/5700>;pmax=60;gt=-1.5,</3303/0/5701>",
        ))
    });
    let _device = Device::register(&server, "links", script);
    let answer = server.get("/api/v1/endpoints/links/discover/3303/0").json();
    assert_eq!(
        answer["content"]["links"],
        json!([
            {"path": "/3303/0", "attributes": {"pmin": 10, "ver": "1.0"}},
            {"path": "/3303/0/5700", "attributes": {"pmax": 60, "gt": -1.5}},
            {"path": "/3303/0/5701", "attributes": {}},
        ])
    );
}

#[test]
fn the_devices_verdict_is_in_the_body() {
    let server = Server::start();
    let script: Script = Box::new(|request| Some(request.answer(0x84, None, b"no such thing")));
    let _device = Device::register(&server, "no", script);
    let reply = server.get("/api/v1/endpoints/no/resources/3/0/99");
    assert_eq!(reply.status, 200);
    assert_eq!(
        (&reply.json()["code"], &reply.json()["diagnostic"]),
        (&json!("4.04"), &json!("no such thing"))
    );
}

#[test]
fn a_format_the_device_refuses_is_followed_by_the_next() {
    let server = Server::start();
    let script: Script = Box::new(|request| {
        Some(match (request.code, request.option(17), request.option(12)) {
            (1, Some(11542), _) | (1, None, _) => request.answer(0x45, Some(11542), b"\xC1\x09\x54"),
            (1, ..) => request.answer(0x86, None, b""),
            (_, _, Some(11542)) => request.answer(0x44, None, b""),
            _ => request.answer(0x8F, None, b""),
        })
    });
    let device = Device::register(&server, "picky", script);
    let write = || server.call("PUT", "/api/v1/endpoints/picky/resources/1/0/1", r#"{"value": 60}"#).json();
    assert_eq!(write()["code"], "2.04");
    assert!(device.requests.try_iter().count() > 1, "others were tried first");
    assert_eq!(write()["code"], "2.04");
    assert_eq!(device.requests.try_iter().count(), 1, "what it takes is remembered");
    assert_eq!(
        server.get("/api/v1/endpoints/picky/resources/3/0").json()["content"]["resources"]["9"]["value"],
        84
    );
}

// Proves: REG-17
#[test]
fn announced_formats_are_asked_for_and_written_in() {
    let server = Server::start();
    for (name, links, format) in [
        ("bare", "</>;rt=\"oma.lwm2m\";ct=110,</1/0>,</3/0>", 110),
        ("quoted", "</>;rt=\"oma.lwm2m\";ct=\"60 11542\",</1/0>,</3/0>", 11542),
    ] {
        let socket = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
        let device = Device::register_as(&server, socket, name, links, agreeable());
        server.get(&format!("/api/v1/endpoints/{name}/resources/3/0"));
        assert_eq!(device.next_request().option(17), Some(format), "{name}");
        let value = r#"{"value": 60}"#;
        server.call("PUT", &format!("/api/v1/endpoints/{name}/resources/1/0/1"), value);
        let expected = if name == "bare" { 11542 } else { format };
        // The first device has just answered in TLV, which is a better witness than its announcement.
        assert_eq!(device.next_request().option(12), Some(expected), "{name}");
    }
}

#[test]
fn a_format_that_was_forced_is_not_remembered() {
    let server = Server::start();
    let device = Device::register(&server, "free", agreeable());
    let accept = || {
        server.get("/api/v1/endpoints/free/resources/3303/0/5700");
        device.requests.try_iter().last().and_then(|request| request.option(17))
    };
    let preferred = accept();
    assert_eq!(preferred, Some(112));
    let create = server.call(
        "POST",
        "/api/v1/endpoints/free/resources/3303",
        r#"{"resources":{"5701":{"value":"C"}}}"#,
    );
    assert_eq!((create.status, &create.json()["format"]), (200, &json!("tlv")));
    assert_eq!(accept(), preferred);
    server.get("/api/v1/endpoints/free/resources/3/0?format=tlv");
    server.call("PUT", "/api/v1/endpoints/free/resources/1/0/1?format=tlv", r#"{"value": 60}"#);
    assert_eq!(accept(), preferred);
}

#[test]
fn a_silent_device_is_a_504() {
    let server = Server::start();
    let _silent = Device::register(&server, "silent", Box::new(|_| None));
    let reply = server.get("/api/v1/endpoints/silent/resources/3/0?wait=1s");
    assert_eq!((reply.status, reply.problem().as_str()), (504, "no-answer"));
}

#[test]
fn a_device_that_takes_its_time_blocks_nobody() {
    let server = Server::start();
    let (asked, arrived) = std::sync::mpsc::sync_channel(1);
    let (speak, told) = std::sync::mpsc::sync_channel::<()>(0);
    let slow: Script = Box::new(move |request| {
        let _ = asked.try_send(());
        // An end of the channel is the word to speak as well.
        let _ = told.recv();
        Some(request.answer(0x45, Some(0), b"1"))
    });
    let _slow = Device::register(&server, "slow", slow);
    let _other = Device::register(&server, "other", agreeable());
    std::thread::scope(|scope| {
        let waiting = scope.spawn(|| server.get("/api/v1/endpoints/slow/resources/3/0/9?wait=60s"));
        arrived.recv().unwrap();
        for _ in 0..20 {
            assert_eq!(server.get("/api/v1/endpoints/other/resources/3/0/9").status, 200);
        }
        drop(speak);
        assert_eq!(waiting.join().unwrap().status, 200);
    });
}

#[test]
fn a_hundred_parallel_reads_of_one_device_go_one_after_the_other() {
    let server = Server::start();
    let script: Script = Box::new(|request| {
        pause(2);
        Some(request.answer(0x45, Some(0), b"1"))
    });
    let device = Device::register(&server, "busy", script);
    let statuses: Vec<u16> = std::thread::scope(|scope| {
        let read = || server.get("/api/v1/endpoints/busy/resources/3/0/9").status;
        let threads: Vec<_> = (0..100).map(|_| scope.spawn(read)).collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).collect()
    });
    assert_eq!(statuses, [200; 100]);
    // A second request under way would have been repeated by the timers, or seen before the answer to the first.
    let ids: std::collections::BTreeSet<u16> = device.requests.try_iter().map(|request| request.id).collect();
    assert_eq!(ids.len(), 100);
}

// Proves: OBS-04
#[test]
fn an_observation_reports_is_listed_and_is_cancelled() {
    let server = Server::start();
    let device = Device::register(&server, "watch", agreeable());
    let mut events =
        Events::follow(&server, "?endpoint=watch&type=observed,notified,observation_cancelled", None);
    let address = "/api/v1/endpoints/watch/observations/3303/0/5700";
    let answer = server.call("PUT", address, "").json();
    assert_eq!((&answer["code"], &answer["content"]["value"]), (&json!("2.05"), &json!(21.0)));
    assert_eq!(events.event()["type"], "observed");
    let observe = device.next_request();
    assert_eq!(observe.option(6), Some(0));
    let options = vec![(6, vec![2]), (12, vec![])];
    let notify = Message {
        kind: 1,
        code: 0x45,
        id: 900,
        token: observe.token.clone(),
        options,
        payload: b"22.5".to_vec(),
    };
    device.send(&notify);
    let event = events.event();
    assert_eq!((&event["type"], &event["content"][0]["value"]), (&json!("notified"), &json!(22.5)));
    let list = server.get("/api/v1/endpoints/watch/observations").json();
    let item = with(&list, "/3303/0/5700");
    assert_eq!((&item["state"], &item["content"][0]["value"]), (&json!("active"), &json!(22.5)));
    assert_eq!(server.call("DELETE", address, "").json()["code"], "2.05");
    assert_eq!(events.event()["type"], "observation_cancelled");
    let cancel = device.next_request();
    assert_eq!((cancel.option(6), &cancel.token), (Some(1), &observe.token));
    let others =
        |request: &Message| -> Vec<_> { request.options.iter().filter(|(n, _)| *n != 6).cloned().collect() };
    assert_eq!(others(&cancel), others(&observe));
    assert_eq!(server.get("/api/v1/endpoints/watch/observations").json()["items"], json!([]));
    assert_eq!(server.call("DELETE", address, "").problem(), "not-observed");
}

#[test]
fn a_wanted_observation_in_a_format_the_device_lacks_is_asked_for_again_without() {
    let server = Server::start();
    let device = Device::register(&server, "tlv", agreeable());
    assert_eq!(
        server.call("PUT", "/api/v1/endpoints/tlv/observations/3303/0/5700", "").json()["code"],
        "2.05"
    );
    drop(device);
    let script: Script = Box::new(|request| {
        let mut answer = match request.option(17) {
            Some(_) => request.answer(0x86, None, b""),
            None => request.answer(0x45, Some(0), b"19"),
        };
        if answer.code == 0x45 {
            answer.options.insert(0, (6, vec![1]));
        }
        Some(answer)
    });
    let _device = Device::register(&server, "tlv", script);
    eventually(|| {
        let list = server.get("/api/v1/endpoints/tlv/observations").json();
        let item = with(&list, "/3303/0/5700");
        item["state"] == "active" && item["content"][0]["value"] == 19.0
    });
}

#[test]
fn an_observation_the_device_refuses_is_not_wanted_on() {
    let server = Server::start();
    let _device =
        Device::register(&server, "never", Box::new(|request| Some(request.answer(0x85, None, b""))));
    let answer = server.call("PUT", "/api/v1/endpoints/never/observations/3303/0/5700", "").json();
    assert_eq!(answer["code"], "4.05");
    assert_eq!(server.get("/api/v1/endpoints/never/observations").json()["items"], json!([]));
}

// Proves: OBS-07
#[test]
fn a_server_that_was_killed_observes_again() {
    let folder = tempfile::tempdir().unwrap();
    let start =
        |folder: &TempDir| Server::with(|config| config.store.folder = Some(folder.path().to_owned()));
    let server = start(&folder);
    let device = Device::register(&server, "again", agreeable());
    assert_eq!(
        server.call("PUT", "/api/v1/endpoints/again/observations/3303/0/5700", "").json()["code"],
        "2.05"
    );
    drop(device);
    let left = server.crash(folder.path());
    let server = start(&left);
    let device = Device::register(&server, "again", agreeable());
    let observe = device.next_request();
    assert_eq!((observe.path().as_str(), observe.option(6)), ("/3303/0/5700", Some(0)));
    eventually(|| {
        let list = server.get("/api/v1/endpoints/again/observations").json();
        with(&list, "/3303/0/5700")["state"] == "active"
    });
}

#[test]
fn a_device_that_comes_back_from_other_ports_has_one_registration() {
    let server = Server::with(|config| config.listen.shards = 4);
    let mut ids = std::collections::BTreeSet::new();
    for _ in 0..12 {
        let device = Device::register(&server, "roaming", agreeable());
        let before =
            server.get("/api/v1/endpoints/roaming").json()["registration_id"].as_str().unwrap().to_owned();
        ids.insert(before);
        eventually(|| server.get("/api/v1/endpoints/roaming/resources/3/0/9?wait=1s").status == 200);
        drop(device);
    }
    let metrics = server.get("/metrics").body;
    assert!(metrics.contains("\nlightship_dropped_total{reason=\"unmatched\"} 0\n"), "{metrics}");
    assert!(metrics.contains("\nlightship_registered_endpoints 1\n"), "{metrics}");
    assert!(metrics.contains("\nlightship_registrations 1\n"), "old shards have forgotten it: {metrics}");
}

#[test]
fn forgetting_a_device_removes_it() {
    let server = Server::start();
    let _device = Device::register(&server, "gone", agreeable());
    let mut events = Events::follow(&server, "?type=deregistered", None);
    assert_eq!(server.call("DELETE", "/api/v1/endpoints/gone", "").status, 204);
    assert_eq!(server.get("/api/v1/endpoints/gone").problem(), "endpoint-not-registered");
    assert_eq!(events.event()["endpoint"], "gone");
}

#[test]
fn lists_come_in_pages_and_can_be_filtered() {
    let server = Server::start();
    let _devices: Vec<_> =
        ["a1", "a2", "b1", "b2", "b3"].map(|name| Device::register(&server, name, agreeable())).into();
    let names = |address: &str| -> (Vec<String>, Option<String>) {
        let page = server.get(address).json();
        let items = page["items"].as_array().unwrap();
        let names = items.iter().map(|item| item["endpoint"].as_str().unwrap().to_owned()).collect();
        (names, page["next"].as_str().map(str::to_owned))
    };
    let (first, next) = names("/api/v1/endpoints?limit=2");
    assert_eq!((first, next.as_deref()), (vec!["a1".into(), "a2".into()], Some("a2")));
    let (rest, next) = names("/api/v1/endpoints?limit=3&cursor=a2");
    assert_eq!((rest, next), (vec!["b1".into(), "b2".into(), "b3".into()], None));
    assert_eq!(
        names("/api/v1/endpoints?filter=b&limit=2"),
        (vec!["b1".into(), "b2".into()], Some("b2".into()))
    );
}

#[test]
fn models_are_listed_shown_loaded_and_used() {
    let folder = tempfile::tempdir().unwrap();
    let start = || Server::with(|config| config.store.folder = Some(folder.path().to_owned()));
    let server = start();
    let list = server.get("/api/v1/models").json();
    assert!(list["items"].as_array().unwrap().iter().any(|item| item["id"] == 3 && item["name"] == "Device"));
    let model = server.get("/api/v1/models/3303").json();
    let value = model["resources"].as_array().unwrap().iter().find(|r| r["id"] == 5700).unwrap();
    assert_eq!((&value["type"], &value["operations"]), (&json!("float"), &json!("R")));
    assert_eq!(server.get("/api/v1/models/42800").problem(), "unknown-model");
    let xml = "<LWM2M><Object><Name>Pump</Name><ObjectID>42799</ObjectID><MultipleInstances>Single</MultipleInstances>\
               <Mandatory>Optional</Mandatory><Resources><Item ID=\"1\"><Name>Speed</Name><Operations>RW</Operations>\
               <MultipleInstances>Single</MultipleInstances><Mandatory>Optional</Mandatory><Type>Integer</Type></Item>\
               </Resources></Object></LWM2M>";
    assert_eq!(server.call("POST", "/api/v1/models", xml).status, 201);
    assert_eq!(server.call("POST", "/api/v1/models", xml).status, 201, "the same again is no conflict");
    assert_eq!(server.call("POST", "/api/v1/models", &xml.replace("Speed", "Rate")).problem(), "conflict");
    assert_eq!(server.call("POST", "/api/v1/models", "<!DOCTYPE x><a/>").problem(), "malformed-body");
    let _device = Device::register(&server, "pump", agreeable());
    let answer = server.get("/api/v1/endpoints/pump/resources/42799/0/1").json();
    assert_eq!(
        (&answer["content"]["type"], &answer["content"]["name"]),
        (&json!("integer"), &json!("Speed"))
    );
    drop(server);
    assert_eq!(
        start().get("/api/v1/models/42799").json()["name"],
        "Pump",
        "it is still known after a restart"
    );
}

#[test]
fn without_permission_devices_without_security_are_refused() {
    let server = Server::with(|config| config.security.allow_nosec = false);
    let socket = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
    socket.set_read_timeout(Some(std::time::Duration::from_secs(10))).unwrap();
    let options = vec![
        (11, b"rd".to_vec()),
        (12, vec![40]),
        (15, b"ep=x".to_vec()),
        (15, b"lt=60".to_vec()),
        (15, b"lwm2m=1.1".to_vec()),
    ];
    let register = Message { kind: 0, code: 2, id: 1, token: vec![], options, payload: b"</3/0>".to_vec() };
    socket.send_to(&register.bytes(), server.coap).unwrap();
    let mut buffer = [0; 100];
    let len = socket.recv(&mut buffer).unwrap();
    assert_eq!(Message::parse(&buffer[..len]).code, 0x83);
    assert_eq!(server.get("/api/v1/endpoints").json()["items"], json!([]));
}

#[test]
fn an_instance_without_values_is_made_under_its_name_or_not_at_all() {
    let server = Server::start();
    let script: Script = Box::new(|request| {
        Some(match request.option(12) {
            Some(11542) => request.answer(0x41, None, b""),
            _ => request.answer(0x8F, None, b""),
        })
    });
    let device = Device::register(&server, "one", script);
    let create = |query: &str| {
        let body = r#"{"path": "/3303/9", "resources": {}}"#;
        server.call("POST", &format!("/api/v1/endpoints/one/resources/3303{query}"), body)
    };
    let reply = create("");
    assert_eq!((reply.status, &reply.json()["location"]), (201, &json!("/3303/9")), "{reply:?}");
    assert!(reply.head.contains("\r\nlocation: /api/v1/endpoints/one/resources/3303/9\r\n"), "{reply:?}");
    let request = device.next_request();
    assert_eq!((request.option(12), request.payload.as_slice()), (Some(11542), &b"\x00\x09"[..]));
    let reply = create("?format=senml-json");
    assert_eq!((reply.status, reply.problem().as_str()), (422, "does-not-fit"));
    assert!(device.requests.try_recv().is_err(), "something was sent to the device");
}

// Proves: OBS-07
#[test]
fn observations_run_again_after_either_side_was_away_and_rest_says_so() {
    let folder = tempfile::tempdir().unwrap();
    let start = || Server::with(|config| config.store.folder = Some(folder.path().to_owned()));
    let server = start();
    let device = Device::register(&server, "one", agreeable());
    assert_eq!(
        server.call("PUT", "/api/v1/endpoints/one/observations/3303/0/5700", "").json()["code"],
        "2.05"
    );
    let state = |server: &Server| server.get("/api/v1/endpoints/one/observations").json()["items"][0].clone();
    eventually(|| state(&server)["state"] == "active");
    let first = state(&server);
    assert_eq!((&first["restarts"], first["since"].is_string()), (&json!(0), true));
    // The device was away.
    drop(device);
    let device = Device::register(&server, "one", agreeable());
    eventually(|| state(&server)["state"] == "active" && state(&server)["restarts"] == 1);
    assert!(state(&server)["since"].as_str() > first["since"].as_str());
    assert_eq!(device.requests.try_iter().filter(|request| request.option(6) == Some(0)).count(), 1);
    // The server was away.
    drop(device);
    server.running.stop();
    let server = start();
    let device = Device::register(&server, "one", agreeable());
    eventually(|| state(&server)["state"] == "active" && state(&server)["restarts"] == 1);
    assert_eq!(state(&server)["content"][0]["value"], 21.0);
    assert_eq!(device.requests.try_iter().filter(|request| request.option(6) == Some(0)).count(), 1);
}

#[test]
fn the_latest_value_is_shown_when_a_device_reports_what_it_has_kept() {
    let server = Server::start();
    let script: Script = Box::new(|request| {
        let mut answer = request.answer(0x45, Some(110), br#"[{"n":"/3303/0/5700","v":20}]"#);
        answer.options.insert(0, (6, vec![1]));
        Some(answer)
    });
    let device = Device::register(&server, "one", script);
    let mut events = Events::follow(&server, "?type=notified", None);
    assert_eq!(
        server.call("PUT", "/api/v1/endpoints/one/observations/3303/0/5700", "").json()["code"],
        "2.05"
    );
    let token = device.next_request().token;
    let notify = |id: u16, payload: &[u8]| Message {
        kind: 1,
        code: 0x45,
        id,
        token: token.clone(),
        options: vec![(6, id.to_be_bytes().to_vec()), (12, vec![110])],
        payload: payload.to_vec(),
    };
    let shown = || server.get("/api/v1/endpoints/one/observations").json()["items"][0]["content"].clone();
    // Kept while it was out of reach: all of it is an event, and none of it is newer than what came at the start.
    device.send(&notify(
        900,
        br#"[{"bn":"/3303/0/5700","bt":1700000000,"v":1},{"t":60,"v":2},{"t":30,"v":3}]"#,
    ));
    assert_eq!(events.event()["content"].as_array().unwrap().len(), 3);
    assert_eq!(shown()[0]["value"], 20.0);
    device.send(&notify(901, br#"[{"n":"/3303/0/5700","v":21}]"#));
    events.event();
    assert_eq!(shown()[0]["value"], 21.0);
    // A clock that is ahead does not hold back what comes later.
    device.send(&notify(902, br#"[{"bn":"/3303/0/5700","bt":4000000000,"v":22},{"t":-10,"v":23}]"#));
    events.event();
    assert_eq!((&shown()[0]["value"], shown().as_array().unwrap().len()), (&json!(22.0), 1));
    device.send(&notify(903, br#"[{"n":"/3303/0/5700","v":24}]"#));
    events.event();
    assert_eq!(shown()[0]["value"], 24.0);
}

// Proves: DMO-31
#[test]
fn what_was_made_and_deleted_counts_before_the_device_lists_it() {
    let server = Server::start();
    let script: Script = Box::new(|request| {
        Some(match request.code {
            2 if request.path() == "/3303" => request.answer(0x41, None, b""),
            4 => request.answer(0x42, None, b""),
            _ => request.answer(0x85, None, b""),
        })
    });
    let device = Device::register(&server, "one", script);
    let create = |query: &str, body: &str| {
        let reply = server.call("POST", &format!("/api/v1/endpoints/one/resources/3303{query}"), body);
        (reply.status, device.next_request().payload)
    };
    let listed = || {
        let shown = server.get("/api/v1/endpoints/one").json();
        shown["objects"]
            .as_array()
            .unwrap()
            .iter()
            .map(|entry| entry["path"].as_str().unwrap().to_owned())
            .collect::<Vec<_>>()
    };
    let before = ["/1/0", "/3/0", "/3303/0", "/3303/7"];
    assert_eq!(listed(), before);
    // The ID is in the payload, and no Location is needed.
    let values = r#"{"path": "/3303/1", "resources": {"5701": {"value": "C"}}}"#;
    assert_eq!(
        create("?format=senml-json", values),
        (201, br#"[{"bn":"/3303/1/","n":"5701","vs":"C"}]"#.to_vec())
    );
    assert_eq!(listed(), ["/1/0", "/3/0", "/3303/0", "/3303/1", "/3303/7"]);
    let values = r#"{"resources": {"5701": {"value": "C"}}}"#;
    assert_eq!(
        create("?format=senml-json", values),
        (201, br#"[{"bn":"/3303/2/","n":"5701","vs":"C"}]"#.to_vec())
    );
    for path in ["3303/0", "3303/1"] {
        assert_eq!(server.call("DELETE", &format!("/api/v1/endpoints/one/resources/{path}"), "").status, 200);
        device.next_request();
    }
    assert!(!listed().iter().any(|path| path == "/3303/0" || path == "/3303/1"), "{:?}", listed());
    // Only what was announced, for who wants it so.
    for (method, path, body) in [("POST", "3304", values), ("DELETE", "3303/0", ""), ("DELETE", "3304/0", "")]
    {
        let address = format!("/api/v1/endpoints/one/resources/{path}?check=operations");
        let reply = server.call(method, &address, body);
        assert_eq!((reply.status, reply.problem().as_str()), (422, "does-not-fit"), "{method} {path}");
    }
    assert!(device.requests.try_recv().is_err(), "something was sent to the device");
    // Its own list is the last word.
    let location = server.get("/api/v1/endpoints/one").json()["registration_id"].as_str().unwrap().to_owned();
    let options = vec![(11, b"rd".to_vec()), (11, location.into_bytes()), (12, vec![40])];
    let links = b"</1/0>,</3/0>,</3303/5>".to_vec();
    device.ask(&Message { kind: 0, code: 2, id: 77, token: vec![7], options, payload: links });
    eventually(|| listed() == ["/1/0", "/3/0", "/3303/5"]);
}
