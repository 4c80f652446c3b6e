//! Values against the object definition: what is wrong never reaches the device, what is unknown does.

use crate::support::{Device, Script, Server, agreeable};
use serde_json::{Value, json};

/// Method, path, body, the problem's pointer, words of its detail.
type Forbidden = (&'static str, &'static str, Value, Option<&'static str>, &'static str);

fn forbidden() -> Vec<Forbidden> {
    vec![
        (
            "PUT",
            "3/0/9",
            json!({"value": 101}),
            None,
            "/3/0/9 (Battery Level) takes a value of type integer in the range 0..100, not 101",
        ),
        (
            "PUT",
            "3/0/9",
            json!({"value": "x"}),
            None,
            "(Battery Level) takes a value of type integer in the range 0..100, not \"x\"",
        ),
        (
            "PUT",
            "3/0/9",
            json!({"type": "float", "value": 1.5}),
            None,
            "type integer in the range 0..100, not float",
        ),
        (
            "PUT",
            "1/0/0",
            json!({"value": 0}),
            None,
            "/1/0/0 (Short Server ID) takes a value of type integer in the range 1..65534, not 0",
        ),
        (
            "PUT",
            "3/0/14",
            json!({"instances": {"0": "+01:00"}}),
            None,
            "/3/0/14 (UTC Offset) has a single value, not instances",
        ),
        (
            "PUT",
            "3/0/7",
            json!({"value": 3}),
            None,
            "/3/0/7 (Power Source Voltage) has instances, not a single value",
        ),
        ("PUT", "3/0/4", json!({"value": 3}), None, "/3/0/4 (Reboot) takes no value, not 3"),
        ("PATCH", "3/0", json!({"resources": {"9": {"value": -1}}}), Some("/resources/9"), "(Battery Level)"),
        (
            "POST",
            "1",
            json!({"resources": {"0": {"value": 65535}}}),
            Some("/resources/0"),
            "(Short Server ID)",
        ),
        (
            "PUT",
            "3/0/6/0",
            json!({"value": 8}),
            None,
            "/3/0/6/0 (Available Power Sources) takes a value of type integer in the range 0..7, not 8",
        ),
    ]
}

// Proves: DAT-14
#[test]
fn a_value_that_the_definition_forbids_is_refused_before_it_is_sent() {
    let server = Server::start();
    let device = Device::register(&server, "one", agreeable());
    let resources = "/api/v1/endpoints/one/resources";
    for (method, path, body, pointer, words) in forbidden() {
        let reply = server.call(method, &format!("{resources}/{path}"), &body.to_string());
        assert_eq!(
            (reply.status, reply.problem().as_str()),
            (422, "does-not-fit"),
            "{path} {body}: {reply:?}"
        );
        let problem = reply.json();
        assert!(problem["detail"].as_str().unwrap().contains(words), "{path} {body}: {problem}");
        assert_eq!(problem["pointer"].as_str().filter(|text| !text.is_empty()), pointer, "{path} {body}");
    }
    assert!(device.requests.try_recv().is_err(), "something was sent to the device");
}

#[test]
fn a_value_that_the_format_cannot_say_is_refused_by_name() {
    let server = Server::start();
    let device = Device::register(&server, "one", agreeable());
    let resources = "/api/v1/endpoints/one/resources";
    for (method, path, body, words) in [
        ("PUT", "3442/0/130?format=text", json!({"value": "NaN"}), "/3442/0/130: format text: "),
        (
            "PATCH",
            "3442/0?format=senml-json",
            json!({"resources": {"110": {"value": "x"}, "130": {"value": "NaN"}}}),
            "/3442/0/130: format senml-json: ",
        ),
    ] {
        let reply = server.call(method, &format!("{resources}/{path}"), &body.to_string());
        assert_eq!((reply.status, reply.problem().as_str()), (422, "does-not-fit"), "{path}: {reply:?}");
        let detail = reply.json()["detail"].as_str().unwrap().to_owned();
        assert!(detail.starts_with(words), "{path}: {detail}");
    }
    assert!(device.requests.try_recv().is_err(), "something was sent to the device");
}

#[test]
fn an_instance_that_the_server_numbered_is_told() {
    let server = Server::start();
    let created: Script = Box::new(|request| Some(request.answer(0x41, None, b"")));
    let _device = Device::register(&server, "one", created);
    let address = "/api/v1/endpoints/one/resources/3303";
    for (format, body, location) in [
        ("senml-json", json!({"resources": {"5700": {"value": 1.5}}}), true),
        ("tlv", json!({"resources": {"5700": {"value": 1.5}}}), false),
        ("senml-json", json!({"resources": {}}), false),
    ] {
        let reply = server.call("POST", &format!("{address}?format={format}"), &body.to_string());
        assert_eq!(reply.status, 201, "{format} {body}: {reply:?}");
        assert_eq!(reply.json()["location"].is_string(), location, "{format} {body}: {reply:?}");
    }
}

// Proves: DAT-05
#[test]
fn unknown_objects_and_resources_are_written_in_the_type_that_the_caller_gives() {
    let server = Server::start();
    let device = Device::register(&server, "one", agreeable());
    for (path, body, payload) in [
        ("3/0/26241", json!({"type": "integer", "value": 70_000}), "70000"),
        ("42769/0/1", json!({"type": "string", "value": "new"}), "new"),
        ("3/0/9", json!({"value": 100}), "100"),
        ("3303/0/5700", json!({"value": 1000}), "1000"),
    ] {
        let address = format!("/api/v1/endpoints/one/resources/{path}?format=text");
        let reply = server.call("PUT", &address, &body.to_string());
        assert_eq!(reply.status, 200, "{path}: {reply:?}");
        let request = device.next_request();
        assert_eq!(String::from_utf8(request.payload).unwrap(), payload, "{path}");
    }
}

// Proves: DMO-36
#[test]
fn objects_of_the_bootstrap_server_are_not_addressed() {
    let server = Server::start();
    let device = Device::register(&server, "one", agreeable());
    for (method, address, body, pointer) in [
        ("GET", "resources/0", "", None),
        ("GET", "resources/21/0/1", "", None),
        ("PUT", "resources/0/0/0", r#"{"value": "coap://evil"}"#, None),
        ("PATCH", "resources/23/0", r#"{"resources": {}}"#, None),
        ("POST", "resources/0", r#"{"resources": {}}"#, None),
        ("DELETE", "resources/0/0", "", None),
        ("GET", "discover/0", "", None),
        ("PUT", "attributes/0/0", r#"{"pmin": 5}"#, None),
        ("POST", "execute/0/0/1", "", None),
        ("PUT", "observations/21", "", None),
        ("DELETE", "observations/21", "", None),
        ("POST", "composite/read", r#"{"paths": ["/3/0", "/0"]}"#, Some("/paths/1")),
        ("PUT", "composite/observations/x", r#"{"paths": ["/23/0"]}"#, Some("/paths/0")),
        (
            "POST",
            "composite/write",
            r#"{"nodes": [{"path": "/0/0/0", "value": "x"}]}"#,
            Some("/nodes/0/path"),
        ),
    ] {
        let reply = server.call(method, &format!("/api/v1/endpoints/one/{address}"), body);
        assert_eq!(
            (reply.status, reply.problem().as_str()),
            (422, "protected-object"),
            "{address}: {reply:?}"
        );
        assert_eq!(reply.json()["pointer"].as_str(), pointer, "{address}");
    }
    assert!(device.requests.try_recv().is_err(), "something was sent to the device");
    // Who tests a device may want to see it refuse.
    server.get("/api/v1/endpoints/one/resources/0/0?check=none");
    assert_eq!(device.next_request().path(), "/0/0");
}

// Proves: DMO-22
#[test]
fn operations_that_the_definition_does_not_give_are_refused_where_the_caller_wants_it() {
    let server = Server::start();
    let device = Device::register(&server, "one", agreeable());
    for (method, address, body) in [
        ("PUT", "resources/3/0/0", r#"{"value": "Acme"}"#),
        ("PUT", "resources/3/0", r#"{"resources": {"0": {"value": "Acme"}}}"#),
        ("GET", "resources/3/0/4", ""),
        ("PUT", "observations/3/0/4", ""),
        ("POST", "execute/3/0/9", ""),
        ("POST", "composite/write", r#"{"nodes": [{"path": "/3/0/9", "value": 5}]}"#),
        ("POST", "composite/read", r#"{"paths": ["/3/0/4"]}"#),
    ] {
        let reply = server.call(method, &format!("/api/v1/endpoints/one/{address}?check=operations"), body);
        assert_eq!((reply.status, reply.problem().as_str()), (422, "does-not-fit"), "{address}: {reply:?}");
        let detail = reply.json()["detail"].as_str().unwrap().to_owned();
        assert!(detail.contains("cannot be ") && detail.contains("object definition"), "{detail}");
        assert!(device.requests.try_recv().is_err(), "{address} was sent to the device");
        // The verdict is the device's otherwise: its object may be another than the registry's.
        let reply = server.call(method, &format!("/api/v1/endpoints/one/{address}"), body);
        assert_eq!(reply.status, 200, "{address}: {reply:?}");
        device.next_request();
    }
    for address in ["resources/3/0/9", "resources/3/0", "resources/42769/0/1"] {
        let reply = server.get(&format!("/api/v1/endpoints/one/{address}?check=operations"));
        assert_eq!(reply.status, 200, "{address}: {reply:?}");
    }
    let reply = server.get("/api/v1/endpoints/one/resources/3/0/9?check=some");
    assert_eq!((reply.status, reply.problem().as_str()), (400, "invalid-parameter"));
}

// Proves: DMO-22
#[test]
fn every_way_to_write_is_checked() {
    let server = Server::start();
    let device = Device::register(&server, "one", agreeable());
    let words = "takes a value of type integer in the range 0..100, not 101";
    for (method, address, body) in [
        ("PUT", "resources/3/0/9", r#"{"value": 101}"#),
        ("PUT", "resources/3/0", r#"{"resources": {"9": {"value": 101}}}"#),
        ("PATCH", "resources/3/0", r#"{"resources": {"9": {"value": 101}}}"#),
        ("POST", "resources/3", r#"{"resources": {"9": {"value": 101}}}"#),
        ("POST", "resources/3", r#"{"instances": {"4": {"resources": {"9": {"value": 101}}}}}"#),
        (
            "POST",
            "composite/write",
            r#"{"nodes": [{"path": "/3", "instances": {"0": {"resources": {"9": {"value": 101}}}}}]}"#,
        ),
    ] {
        let reply = server.call(method, &format!("/api/v1/endpoints/one/{address}"), body);
        assert_eq!((reply.status, reply.problem().as_str()), (422, "does-not-fit"), "{address}: {reply:?}");
        assert!(reply.json()["detail"].as_str().unwrap().contains(words), "{reply:?}");
    }
    // A list of values: 0, 1 or 2 for the state of an update, and 8 is none of the power sources.
    let reply =
        server.call("PUT", "/api/v1/endpoints/one/resources/3/0/6", r#"{"instances": {"0": 1, "1": 8}}"#);
    assert_eq!((reply.status, reply.json()["pointer"].as_str()), (422, Some("/instances/1")));
    assert!(device.requests.try_recv().is_err(), "something was sent to the device");
    let reply = server.call(
        "PUT",
        "/api/v1/endpoints/one/resources/3/0/9?check=none&format=text",
        r#"{"value": 101}"#,
    );
    assert_eq!((reply.status, device.next_request().payload), (200, b"101".to_vec()));
    let body = r#"{"type": "string", "value": "much"}"#;
    let reply = server.call("PUT", "/api/v1/endpoints/one/resources/3/0/9?check=none&format=text", body);
    assert_eq!((reply.status, device.next_request().payload), (200, b"much".to_vec()));
}

// Proves: DMO-26
#[test]
fn arguments_are_those_of_the_standard() {
    let server = Server::start();
    let device = Device::register(&server, "one", agreeable());
    let execute = |query: &str, arguments: &str| {
        let body = json!({"arguments": arguments}).to_string();
        server.call("POST", &format!("/api/v1/endpoints/one/execute/3/0/4{query}"), &body)
    };
    for (given, sent) in
        [("0='x',1", "0='x',1"), ("0, 1='', 2='a=b'", "0,1='',2='a=b'"), ("", ""), ("5", "5")]
    {
        assert_eq!(execute("", given).status, 200, "{given}");
        assert_eq!(String::from_utf8(device.next_request().payload).unwrap(), sent, "{given}");
    }
    for given in
        ["x", "10", "0='a b'", "0='", "0=5", "0,", ",0", "0,0", "0='a'1", "0=\"x\"", "0='\u{e9}'", "0='a\\b'"]
    {
        let reply = execute("", given);
        assert_eq!((reply.status, reply.problem().as_str()), (422, "does-not-fit"), "{given}: {reply:?}");
        assert_eq!(reply.json()["pointer"], "/arguments");
    }
    assert!(device.requests.try_recv().is_err(), "something was sent to the device");
    assert_eq!(execute("?check=none", "0='a b'").status, 200);
    assert_eq!(device.next_request().payload, b"0='a b'");
}
