//! Each device is spoken to in the version that it registered with, and with the patience that its name has.

use std::net::UdpSocket;
use std::time::Duration;

use crate::support::{Device, Message, Script, Server, agreeable};
use serde_json::json;

fn register(server: &Server, version: &str) -> Device {
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    let parameters = format!("ep=v{version}&lt=600&lwm2m={version}&b=U");
    Device::register_with(server, socket, &parameters, "</1/0>,</3/0>,</3303/0>", agreeable())
}

fn queries(request: &Message) -> Vec<String> {
    let queries = request.options.iter().filter(|(number, _)| *number == 15);
    queries.map(|(_, value)| String::from_utf8(value.clone()).unwrap()).collect()
}

#[test]
fn the_default_format_is_the_one_of_the_version() {
    let server = Server::start();
    for (version, format) in [("1.0", 11542), ("1.1", 112), ("1.2", 11544)] {
        let device = register(&server, version);
        server.get(&format!("/api/v1/endpoints/v{version}/resources/3/0"));
        assert_eq!(device.next_request().option(17), Some(format), "{version}");
    }
}

#[test]
fn what_a_version_does_not_have_is_refused_and_not_sent() {
    let server = Server::start();
    let device = register(&server, "1.0");
    for (method, place, body) in [
        ("POST", "composite/read", r#"{"paths": ["/3/0"]}"#),
        ("POST", "composite/write", r#"{"nodes": [{"path": "/1/0/1", "value": 60}]}"#),
        ("PUT", "composite/observations/x", r#"{"paths": ["/3/0"]}"#),
        ("PUT", "observations/3303/0/5700", r#"{"pmin": 5}"#),
    ] {
        let reply = server.call(method, &format!("/api/v1/endpoints/v1.0/{place}"), body);
        assert_eq!((reply.status, reply.problem().as_str()), (422, "not-in-version"), "{place}: {reply:?}");
    }
    assert!(device.requests.try_recv().is_err(), "something was sent to the device");
}

#[test]
fn attributes_travel_in_the_observe_of_a_1_2_device_once_they_make_sense() {
    let server = Server::start();
    let device = register(&server, "1.2");
    let observe = |path: &str, body: &str| {
        server.call("PUT", &format!("/api/v1/endpoints/v1.2/observations/{path}"), body)
    };
    for (path, body) in [
        ("3303/0", r#"{"gt": 5}"#),
        ("3303/0/5701", r#"{"gt": 5}"#),
        ("3303/0/5700", r#"{"edge": 1}"#),
        ("3303/0/5700", r#"{"gt": 5, "lt": 6}"#),
        ("3303/0/5700", r#"{"gt": 10, "lt": 5, "st": 3}"#),
        ("3303/0/5700", r#"{"epmin": 5, "epmax": 5}"#),
        ("3303/0/5700", r#"{"pmin": -1}"#),
        ("3303/0/5700", r#"{"colour": 1}"#),
    ] {
        let reply = observe(path, body);
        assert_eq!(
            (reply.status, reply.problem().as_str()),
            (422, "does-not-fit"),
            "{path} {body}: {reply:?}"
        );
    }
    assert!(device.requests.try_recv().is_err(), "something was sent to the device");
    assert_eq!(observe("3303/0/5700", r#"{"gt": 25.5, "pmin": 5}"#).json()["code"], "2.05");
    let mut said = queries(&device.next_request());
    said.sort();
    assert_eq!(said, ["gt=25.5", "pmin=5"]);
    let list = server.get("/api/v1/endpoints/v1.2/observations").json();
    assert_eq!(list["items"][0]["attributes"], serde_json::json!({"gt": 25.5, "pmin": 5}));
}

// Proves: FMT-04
#[test]
fn the_json_of_1_0_is_read_from_everyone_and_sent_to_1_0_devices_alone() {
    let server = Server::start();
    let script = || -> Script {
        Box::new(|request| {
            Some(match request.code {
                1 => request.answer(0x45, Some(11543), br#"{"bn":"/3/0/","e":[{"n":"9","v":84}]}"#),
                _ => request.answer(0x44, None, b""),
            })
        })
    };
    for (version, writes) in [("1.0", true), ("1.1", false), ("1.2", false)] {
        let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
        let parameters = format!("ep=v{version}&lt=600&lwm2m={version}&b=U");
        let device = Device::register_with(&server, socket, &parameters, "</1/0>,</3/0>", script());
        let at = format!("/api/v1/endpoints/v{version}/resources");
        for _ in 0..2 {
            let answer = server.get(&format!("{at}/3/0")).json();
            assert_eq!(answer["content"]["resources"]["9"]["value"], 84, "{version}: {answer}");
            assert_eq!(answer["format"], "json");
            server.call("PUT", &format!("{at}/1/0/1"), r#"{"value": 60}"#);
        }
        let forced = server.call("PUT", &format!("{at}/1/0/1?format=json"), r#"{"value": 60}"#);
        assert_eq!(forced.status, if writes { 200 } else { 400 }, "{version}: {forced:?}");
        let formats: Vec<_> =
            device.requests.try_iter().filter(|r| r.code == 3).map(|r| r.option(12)).collect();
        assert_eq!(formats.contains(&Some(11543)), writes, "{version}: {formats:?}");
    }
}

// Proves: GEN-09
#[test]
fn names_carry_the_alternate_root_of_a_1_2_device() {
    let server = Server::start();
    for (version, place) in [("1.1", ""), ("1.2", "/lwm2m")] {
        let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
        let parameters = format!("ep=v{version}&lt=600&lwm2m={version}&b=U");
        let objects = "</lwm2m>;rt=\"oma.lwm2m\",</lwm2m/1/0>,</lwm2m/3/0>";
        let device = Device::register_with(&server, socket, &parameters, objects, agreeable());
        let at = format!("/api/v1/endpoints/v{version}");
        let last = |method: &str, address: &str, body: &str| {
            server.call(method, &format!("{at}/{address}"), body);
            device.requests.try_iter().last().expect("a request")
        };
        let write =
            last("PATCH", "resources/1/0?format=senml-json", r#"{"resources": {"1": {"value": 60}}}"#);
        assert_eq!(write.path(), "/lwm2m/1/0");
        let body = String::from_utf8(write.payload).unwrap();
        assert_eq!(body, format!(r#"[{{"bn":"{place}/1/0/","n":"1","v":60}}]"#), "{version}");
        let nodes = r#"{"nodes": [{"path": "/1/0/1", "value": 60}]}"#;
        let write = last("POST", "composite/write?format=senml-json", nodes);
        assert_eq!(write.path(), "/lwm2m");
        let body = String::from_utf8(write.payload).unwrap();
        assert_eq!(body, format!(r#"[{{"bn":"{place}/1/0/","n":"1","v":60}}]"#), "{version}");
        let read = last("POST", "composite/read?format=senml-json", r#"{"paths": ["/3/0"]}"#);
        assert_eq!(
            String::from_utf8(read.payload).unwrap(),
            format!(r#"[{{"n":"{place}/3/0"}}]"#),
            "{version}"
        );
    }
}

#[test]
fn what_a_version_lacks_is_not_sent_to_its_devices() {
    let server = Server::start();
    let mut devices = Vec::new();
    for version in ["1.0", "1.1", "1.2"] {
        let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
        let parameters = format!("ep=v{version}&lt=600&lwm2m={version}&b=U");
        devices.push((
            version,
            Device::register_with(&server, socket, &parameters, "</1/0>,</3/0>", agreeable()),
        ));
    }
    for (method, address, body, since) in [
        ("GET", "resources/3/0/7/0", "", "1.1"),
        ("PUT", "resources/3/0/11/0", r#"{"value": 0}"#, "1.1"),
        ("PUT", "observations/3/0/7/0", "", "1.1"),
        ("PUT", "attributes/3/0/7", r#"{"epmin": 5}"#, "1.1"),
        ("POST", "composite/read", r#"{"paths": ["/3/0"]}"#, "1.1"),
        ("PUT", "attributes/3/0/7", r#"{"con": 1}"#, "1.2"),
        ("PUT", "attributes/3/0/7", r#"{"hqmax": 9}"#, "1.2"),
        ("DELETE", "resources/3/0/11/0", "", "1.2"),
        ("GET", "discover/3?depth=1", "", "1.2"),
        ("PUT", "observations/3/0/7", r#"{"pmin": 5}"#, "1.2"),
        ("PUT", "composite/observations/x", r#"{"paths": ["/3/0"], "attributes": {"pmin": 5}}"#, "1.2"),
    ] {
        for (version, device) in &devices {
            let reply = server.call(method, &format!("/api/v1/endpoints/v{version}/{address}"), body);
            let requests = device.requests.try_iter().count();
            if *version < since {
                let seen = (reply.status, reply.problem(), requests);
                assert_eq!(seen, (422, "not-in-version".to_owned(), 0), "{version} {address}");
            } else {
                assert!(reply.status == 200 && requests > 0, "{version} {address}: {reply:?}");
            }
        }
    }
}

// Proves: DMO-15
#[test]
fn several_values_and_partial_updates_go_in_formats_that_can_hold_them() {
    let server = Server::start();
    for (version, format) in [("1.0", 11542), ("1.1", 112), ("1.2", 11544)] {
        let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
        let parameters = format!("ep=v{version}&lt=600&lwm2m={version}&b=U");
        let device = Device::register_with(&server, socket, &parameters, "</1/0>,</3/0>", agreeable());
        for (method, path, body) in [
            ("PUT", "3/0/11", r#"{"instances": {"0": 1, "1": 2}}"#),
            ("PATCH", "3/0/11", r#"{"instances": {"0": 1}}"#),
            ("PUT", "1/0", r#"{"resources": {"1": {"value": 60}}}"#),
            ("PATCH", "1/0", r#"{"resources": {"1": {"value": 60}}}"#),
        ] {
            let address = format!("/api/v1/endpoints/v{version}/resources/{path}");
            assert_eq!(server.call(method, &address, body).status, 200, "{version} {method} {path}");
            let request = device.next_request();
            assert_eq!(request.option(12), Some(format), "{version} {method} {path}");
            assert!(request.options.iter().all(|(number, _)| *number != 15), "a query in a Write");
            for single in ["text", "cbor", "opaque"] {
                let reply = server.call(method, &format!("{address}?format={single}"), body);
                assert!([400, 422].contains(&reply.status), "{version} {method} {path} {single}: {reply:?}");
            }
        }
        server.call("PUT", &format!("/api/v1/endpoints/v{version}/attributes/3/0/7"), r#"{"pmin": 5}"#);
        let request = device.next_request();
        assert_eq!((request.option(12), request.payload.as_slice()), (None, &b""[..]), "{version}");
    }
}

// Proves: COA-19
#[test]
fn a_device_is_shown_how_long_it_is_waited_for() {
    let server = Server::with(|config| {
        let slow = lightship_server::Transmission {
            endpoints: vec!["v1.1".to_owned(), "nb-*".to_owned()],
            ack_timeout: Duration::from_secs(15),
            ack_random_percent: 100,
            max_retransmit: 1,
        };
        config.transmission.devices = vec![slow];
    });
    let _devices = [register(&server, "1.0"), register(&server, "1.1")];
    let shown = |name: &str| server.get(&format!("/api/v1/endpoints/{name}")).json()["transmission"].clone();
    assert_eq!(
        shown("v1.0"),
        json!({"ack_timeout_ms": 2000, "ack_random_percent": 150, "max_retransmit": 4, "lost_after_ms": 93000})
    );
    assert_eq!(
        shown("v1.1"),
        json!({
            "ack_timeout_ms": 15000, "ack_random_percent": 100, "max_retransmit": 1, "lost_after_ms": 45000,
            "rule": ["v1.1", "nb-*"]
        })
    );
    // A list would say the same of each.
    let listed = server.get("/api/v1/endpoints").json();
    assert!(listed["items"][0].get("transmission").is_none(), "{listed}");
}
