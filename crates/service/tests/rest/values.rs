//! Values against the object definition: what is wrong never reaches the device, what is unknown does.

use crate::support::{Device, Server, agreeable};
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
