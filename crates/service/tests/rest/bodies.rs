//! Bodies of operations as people write them, and what they are told when that is not enough.

use std::net::UdpSocket;

use serde_json::{Value as Json, json};

use crate::support::{Device, Script, Server, agreeable};

/// A device of LwM2M 1.2.
fn newest(server: &Server) -> Device {
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    let links = "</1/0>,</3/0>,</3303/0>,</3342/0>";
    Device::register_with(server, socket, "ep=one&lt=300&lwm2m=1.2", links, agreeable())
}

#[test]
fn a_create_tells_where_all_its_instances_stand() {
    let server = Server::start();
    let script: Script = Box::new(|request| Some(request.answer(0x41, None, b"")));
    let device = Device::register(&server, "one", script);
    let create = |body: &str| {
        let reply = server.call("POST", "/api/v1/endpoints/one/resources/3303", body);
        assert_eq!(reply.status, 201, "{reply:?}");
        (reply.json()["location"].clone(), reply.json()["locations"].clone())
    };
    let two =
        create(r#"{"instances": {"5": {"resources": {"5700": {"value": 1}}}, "7": {"resources": {}}}}"#);
    assert_eq!(two, (Json::Null, json!(["/3303/5", "/3303/7"])));
    let one = create(r#"{"instances": {"6": {"resources": {}}}}"#);
    assert_eq!(one, (json!("/3303/6"), json!(["/3303/6"])));
    device.requests.try_iter().for_each(drop);
    // Nothing said of values: an instance without any, where the device likes.
    assert_eq!(create("{}"), (Json::Null, Json::Null));
    let request = device.next_request();
    assert_eq!((request.option(12), request.payload.as_slice()), (Some(11542), &b""[..]));
    assert_eq!(create(r#"{"path": "/3303/8"}"#), (json!("/3303/8"), Json::Null));
    assert_eq!(device.next_request().payload, b"\x00\x08");
}

#[test]
fn refusals_name_the_operation_the_path_and_the_range() {
    let server = Server::start();
    let _device = newest(&server);
    for (method, address, body, detail) in [
        (
            "PATCH",
            "resources/3/0/7/0",
            r#"{"value": 1}"#,
            "(PATCH; PUT writes a Resource Instance) does not go with /3/0/7/0",
        ),
        ("PUT", "resources/3", r#"{"instances": {}}"#, "Write (PUT) does not go with /3"),
        ("PUT", "attributes/3303/0/5700", r#"{"pmin": -1}"#, "it takes whole seconds from 0 to 4294967295"),
        ("PUT", "attributes/3303/0/5700", r#"{"st": 0}"#, "it takes a decimal number above 0"),
        ("PUT", "attributes/3303/0/5700", r#"{"con": 2}"#, "it takes 0 or 1"),
        (
            "PUT",
            "attributes/3303/0/5700",
            r#"{"pmin": true}"#,
            "The attribute pmin is true, expected a number",
        ),
        (
            "PUT",
            "attributes/3303/0/5700",
            r#"{"pmin": "5"}"#,
            "The attribute pmin is \"5\", expected a number",
        ),
    ] {
        let reply = server.call(method, &format!("/api/v1/endpoints/one/{address}"), body);
        assert!(
            reply.json()["detail"].as_str().unwrap().contains(detail),
            "{method} {address} {body}: {reply:?}"
        );
    }
}

#[test]
fn attributes_that_are_flags_are_taken_as_flags() {
    let server = Server::start();
    let device = newest(&server);
    let body = r#"{"con": true, "edge": 0}"#;
    let reply = server.call("PUT", "/api/v1/endpoints/one/attributes/3342/0/5500", body);
    assert_eq!(reply.status, 200, "{reply:?}");
    let request = device.next_request();
    let queries: Vec<_> = request.options.iter().filter(|(n, _)| *n == 15).map(|(_, v)| v.clone()).collect();
    assert_eq!(queries, [b"con=1".to_vec(), b"edge=0".to_vec()]);
}
