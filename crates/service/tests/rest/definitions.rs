//! Which definition of an object applies to which device.

use std::net::UdpSocket;

use crate::support::{Device, Script, Server, agreeable};

// Proves: DAT-07, DAT-09
#[test]
fn each_device_is_measured_by_the_versions_of_its_own_objects() {
    let server = Server::start();
    // The release, the links; then for each object the version that applies.
    // `/3/0/11` goes to 8 in 1.1 and to 32 in 1.2.
    let cases = [
        ("1.0", "</3/0>", "1.0", false),
        ("1.1", "</3/0>", "1.1", false),
        ("1.2", "</3/0>", "1.2", true),
        ("1.1", "</3>;ver=1.2,</3/0>", "1.2", true),
        ("1.1", "</3>;ver=\"1.2\",</3/0>", "1.2", true),
        ("1.1", "</3/0>;ver=1.2", "1.2", true),
        ("1.1", "</3/0>;ver=\"1.2\"", "1.2", true),
        ("1.2", "</3>;ver=1.1,</3/0>", "1.1", false),
        // A minor version that nobody knows is read as the nearest older one.
        ("1.1", "</3>;ver=1.9,</3/0>", "1.9", true),
    ];
    for (number, (release, links, version, to_32)) in cases.into_iter().enumerate() {
        let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
        let parameters = format!("ep=d{number}&lt=600&lwm2m={release}&b=U");
        let _device = Device::register_with(&server, socket, &parameters, links, agreeable());
        let detail = server.get(&format!("/api/v1/endpoints/d{number}")).json();
        assert_eq!(detail["objects"][0]["version"], version, "{release} {links}: {detail}");
        let address = format!("/api/v1/endpoints/d{number}/resources/3/0/11/0");
        let reply = server.call("PUT", &address, r#"{"value": 20}"#);
        let status = if to_32 { 200 } else { 422 };
        assert_eq!(reply.status, status, "{release} {links}: {reply:?}");
    }
    // An object outside the core is 1.0 when nothing is said.
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    let _device = Device::register_with(
        &server,
        socket,
        "ep=t&lt=600&lwm2m=1.2&b=U",
        "</3303/0>,</3311/0>;ver=1.1",
        agreeable(),
    );
    let detail = server.get("/api/v1/endpoints/t").json();
    let versions: Vec<_> =
        detail["objects"].as_array().unwrap().iter().map(|o| o["version"].clone()).collect();
    assert_eq!(versions, ["1.0", "1.1"]);
}

// Proves: DAT-10
#[test]
fn firmware_update_of_a_1_2_device_is_1_1_and_may_have_what_1_2_has() {
    let server = Server::start();
    let script: Script = Box::new(|request| {
        Some(match (request.code, request.path().as_str()) {
            // {5: {0: {3: 0, 13: 600, 14: true}}}: state, and two resources of 1.2.
            (1, "/5/0") => {
                request.answer(0x45, Some(11544), b"\xA1\x05\xA1\x00\xA3\x03\x00\x0D\x19\x02\x58\x0E\xF5")
            }
            _ => request.answer(0x44, None, b""),
        })
    });
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    let parameters = "ep=fw&lt=600&lwm2m=1.2&b=U";
    let _device = Device::register_with(&server, socket, parameters, "</3/0>,</5/0>", script);
    let detail = server.get("/api/v1/endpoints/fw").json();
    assert_eq!(detail["objects"][1], serde_json::json!({"path": "/5/0", "version": "1.1"}));
    let answer = server.get("/api/v1/endpoints/fw/resources/5/0").json();
    assert_eq!(answer["content"]["resources"]["13"]["value"], 600, "{answer}");
    assert_eq!(answer["content"]["resources"]["14"]["value"], true, "{answer}");
    let body = r#"{"value": 60}"#;
    let reply = server.call("PUT", "/api/v1/endpoints/fw/resources/5/0/13", body);
    assert_eq!((reply.status, &reply.json()["code"]), (200, &serde_json::json!("2.04")), "{reply:?}");
    let detail = server.get("/api/v1/endpoints/fw").json();
    assert_eq!(detail["deviations"], serde_json::json!({}), "tolerated without a word");
}

// Proves: GEN-01
#[test]
fn every_release_is_registered_and_spoken_to_by_its_own_rules() {
    let server = Server::start();
    let body = r#"{"paths": ["/3/0"]}"#;
    for (release, format, composites) in [("1.0", 11542, false), ("1.1", 112, true), ("1.2", 11544, true)] {
        let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
        let parameters = format!("ep=r{release}&lt=600&lwm2m={release}&b=U");
        let device = Device::register_with(&server, socket, &parameters, "</1/0>,</3/0>", agreeable());
        let at = format!("/api/v1/endpoints/r{release}");
        assert_eq!(server.get(&at).json()["lwm2m_version"], release);
        server.get(&format!("{at}/resources/3/0"));
        assert_eq!(device.next_request().option(17), Some(format), "{release}");
        let reply = server.call("POST", &format!("{at}/composite/read"), body);
        assert_eq!(reply.status != 422, composites, "{release}: {reply:?}");
    }
}

// Proves: FMT-01
#[test]
fn every_format_of_the_standard_is_read_from_a_device_and_written_to_it() {
    let server = Server::start();
    let cases: [(&str, &str, u16, &str, &[u8]); 9] = [
        ("1.0", "text", 0, "3/0/9", b"84"),
        ("1.0", "tlv", 11542, "3/0/9", b"\xC1\x09\x54"),
        ("1.0", "json", 11543, "3/0/9", br#"{"bn":"/3/0/9","e":[{"v":84}]}"#),
        ("1.1", "cbor", 60, "3/0/9", b"\x18\x54"),
        ("1.1", "senml-json", 110, "3/0/9", br#"[{"bn":"/3/0/9","v":84}]"#),
        ("1.1", "senml-cbor", 112, "3/0/9", b"\x81\xA2\x21\x66/3/0/9\x02\x18\x54"),
        ("1.2", "lwm2m-cbor", 11544, "3/0/9", b"\xBF\x03\xBF\x00\xBF\x09\x18\x54\xFF\xFF\xFF"),
        ("1.0", "opaque", 42, "5/0/0", b"\x01\x02"),
        ("1.2", "opaque", 42, "5/0/0", b"\x01\x02"),
    ];
    for (number, (release, name, format, path, bytes)) in cases.into_iter().enumerate() {
        let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
        let parameters = format!("ep=f{number}&lt=600&lwm2m={release}&b=U");
        let script: Script = Box::new(move |request| {
            Some(match request.code {
                1 => request.answer(0x45, Some(format), bytes),
                _ => request.answer(0x44, None, b""),
            })
        });
        let links = "</1/0>,</3/0>,</5/0>";
        let device = Device::register_with(&server, socket, &parameters, links, script);
        let at = format!("/api/v1/endpoints/f{number}/resources/{path}?format={name}");
        let answer = server.get(&at).json();
        let value = &answer["content"]["value"];
        assert!(*value == 84 || *value == "AQI=", "{name}: {answer}");
        assert_eq!(device.next_request().option(17), Some(u64::from(format)), "{name}");
        let body = if path == "5/0/0" { r#"{"value": "AQI="}"# } else { r#"{"value": 84}"# };
        let reply = server.call("PUT", &at, body);
        assert_eq!(reply.status, 200, "{name}: {reply:?}");
        let request = device.next_request();
        assert_eq!(request.option(12).unwrap_or(0), u64::from(format), "{name}");
        assert!(!request.payload.is_empty(), "{name}");
    }
    // Link format by Register (above) and Discover; SenML-ETCH by composites.
    for (number, format) in [(320, "senml-etch-json"), (322, "senml-etch-cbor")] {
        let answer_in = if number == 320 { 110 } else { 112 };
        let script: Script = Box::new(move |request| {
            Some(match (request.code, request.option(12), request.option(17)) {
                (1, _, Some(40)) => request.answer(0x45, Some(40), b"</3/0>,</3/0/9>;pmin=5"),
                (5, Some(list), _) if list == number && number == 320 => {
                    request.answer(0x45, Some(answer_in), br#"[{"n":"/3/0/9","v":84}]"#)
                }
                (5, Some(list), _) if list == number => {
                    request.answer(0x45, Some(answer_in), b"\x81\xA2\x21\x66/3/0/9\x02\x18\x54")
                }
                (7, Some(list), _) if list == number => request.answer(0x44, None, b""),
                _ => request.answer(0x8F, None, b""),
            })
        });
        let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
        let parameters = format!("ep=e{number}&lt=600&lwm2m=1.2&b=U");
        let _device = Device::register_with(&server, socket, &parameters, "</1/0>,</3/0>", script);
        let at = format!("/api/v1/endpoints/e{number}");
        let links = server.get(&format!("{at}/discover/3/0")).json();
        assert_eq!(links["content"]["links"][1]["attributes"]["pmin"], 5, "{links}");
        let read = server.call("POST", &format!("{at}/composite/read"), r#"{"paths": ["/3/0/9"]}"#).json();
        assert_eq!(read["content"]["nodes"][0]["value"], 84, "{format}: {read}");
        let nodes = r#"{"nodes": [{"path": "/1/0/1", "value": 60}]}"#;
        let write = server.call("POST", &format!("{at}/composite/write"), nodes);
        assert_eq!((write.status, &write.json()["code"]), (200, &serde_json::json!("2.04")), "{write:?}");
        assert_eq!(write.json()["format"], format);
    }
}
