//! What devices do otherwise than they should: served where it is clear, and counted.

use crate::support::{Device, Message, Script, Server, agreeable, eventually};
use serde_json::{Value as Json, json};

fn deviations(server: &Server, name: &str) -> Json {
    server.get(&format!("/api/v1/endpoints/{name}")).json()["deviations"].clone()
}

// Proves: DAT-02, DMO-06
#[test]
fn data_that_is_not_as_defined_is_served_and_counted() {
    let server = Server::start();
    let script: Script = Box::new(|request| {
        let (format, payload): (_, &[u8]) = match request.path().as_str() {
            "/3/0/9" => (Some(110), br#"[{"n":"/3/0/9","v":101}]"#),
            "/3/0/13" => (Some(110), br#"[{"n":"/3/0/13","vs":"noon"}]"#),
            "/3/0/14" => (Some(110), br#"[{"n":"3/0/14","vs":"+01:00"}]"#),
            "/3/0/0" => (Some(110), br#"[{"n":"/3/0/0/0","vs":"Acme"}]"#),
            "/3/0/26241" => (Some(110), br#"[{"n":"/3/0/26241","v":7}]"#),
            "/1/0/1" => (Some(1541), b"60"),
            "/1/0/2" => (Some(1542), b"\xC1\x02\x07"),
            "/1/0/3" => (Some(1543), br#"{"bn":"/1/0/3","e":[{"v":9}]}"#),
            "/3303/0/5700" => (None, b"21.5"),
            "/3303/0" => (None, br#"[{"bn":"/3303/0/5700","v":1}]"#),
            "/3303/7" => (Some(40), b"</3303/7>;pmin=\"10\" , </3303/7/5700"),
            _ => (Some(60), b"\xFF\xFF"),
        };
        Some(request.answer(0x45, format, payload))
    });
    let _device = Device::register(&server, "odd", script);
    assert_eq!(deviations(&server, "odd"), json!({}));
    let read = |path: &str| server.get(&format!("/api/v1/endpoints/odd/resources/{path}")).json();
    assert_eq!(read("3/0/9")["content"]["value"], 101);
    assert_eq!(
        read("3/0/13")["content"],
        json!({"path": "/3/0/13", "name": "Current Time", "type": "string", "value": "noon"})
    );
    assert_eq!(read("3/0/14")["content"]["value"], "+01:00");
    assert_eq!(read("3/0/0")["content"]["instances"], json!({"0": "Acme"}));
    assert_eq!(read("3/0/26241")["content"]["value"], 7.0);
    assert_eq!(read("1/0/1")["content"]["value"], 60);
    assert_eq!(read("1/0/2")["content"]["value"], 7);
    assert_eq!(read("1/0/3")["content"]["value"], 9);
    assert_eq!(read("3303/0/5700")["content"]["value"], 21.5);
    assert_eq!(read("3303/0")["content"]["resources"]["5700"]["value"], 1.0);
    assert!(read("3303/0/5701")["undecoded"].is_string());
    let seen = deviations(&server, "odd");
    for kind in ["outside-range", "wrong-type", "missing-slash", "wrong-multiplicity", "undecodable"] {
        assert_eq!(seen[kind], 1, "{kind}: {seen}");
    }
    assert_eq!(seen["old-format-number"], 3, "{seen}");
    read("3/0/9");
    assert_eq!(deviations(&server, "odd")["outside-range"], 2);
}

/// A Register of the endpoint `odd` with that first segment in its path.
fn register(segment: &[u8], format: Option<u8>, links: &str) -> Message {
    let mut options = vec![(11, segment.to_vec())];
    options.extend(format.map(|format| (12, vec![format])));
    let query = ["ep=odd", "lt=600", "lwm2m=1.1", "b=U", "colour=green"];
    options.extend(query.map(|part| (15, part.as_bytes().to_vec())));
    Message { kind: 0, code: 2, id: 900, token: vec![9, 9], options, payload: links.as_bytes().to_vec() }
}

// Proves: GEN-06
#[test]
fn messages_that_are_not_as_they_should_be_are_served_and_counted() {
    let server = Server::start();
    let script: Script = Box::new(|request| {
        Some(match (request.code, request.option(17), request.path().as_str()) {
            (1, Some(40), _) => request.answer(0x45, Some(40), b"</3/0/> ; pmin=10 , </3/0/9>;pmax=\"60\""),
            (1, _, "/3/0/9") => request.answer(0x45, Some(0), b"84"),
            (1, _, "/3/0/13") => request.answer(0x45, None, b"84"),
            (1, ..) => request.answer(0x41, None, b""),
            _ => request.answer(0x44, None, b""),
        })
    });
    let device = Device::register(&server, "odd", script);
    let answer = device.ask(&register(b"RD", None, "</1/0> , </3/0>;foo=\"1\""));
    assert_eq!(answer.code, 0x41);
    let kinds = ["no-content-format", "sloppy-list", "other-case", "unknown-parameter"];
    eventually(|| kinds.iter().all(|kind| deviations(&server, "odd")[kind] == 1));
    let read = |path: &str| server.get(&format!("/api/v1/endpoints/odd/resources/{path}")).json();
    assert_eq!(read("3/0/9?format=tlv")["content"]["value"], 84);
    assert_eq!(read("3/0/13?format=text")["content"]["value"], 84);
    assert_eq!(read("3/0/0")["code"], "2.01");
    let links = server.get("/api/v1/endpoints/odd/discover/3/0").json();
    assert_eq!(
        links["content"]["links"],
        json!([{"path": "/3/0", "attributes": {"pmin": 10}}, {"path": "/3/0/9", "attributes": {"pmax": "60"}}])
    );
    let expected = json!({
        "other-format": 1, "no-content-format": 2, "other-code": 1, "sloppy-links": 1, "sloppy-list": 1,
        "other-case": 1, "unknown-parameter": 1,
    });
    eventually(|| deviations(&server, "odd") == expected);
    let shown = server.get("/api/v1/endpoints/odd").json();
    assert_eq!(shown["attributes"], json!({"colour": "green"}));
}

// Proves: DMO-12
#[test]
fn links_of_any_depth_are_read_as_devices_write_them() {
    let server = Server::start();
    let script: Script = Box::new(|request| {
        let links: &[u8] = match request.path().as_str() {
            "/3" => b"</3>;ver=1.2,</3/0>,</3/0/7>;dim=2,</3/0/7/0>,</3/0/7/1>;pmin=1",
            "/3/0" => b"</3/0/> , </3/0/9/>; pmin = 10 ; pmax=\"60\"",
            "/1" => b"</1>,</1/0>&pmin=5&pmax=\"a&b\",</1/0/1>;title=\"x&y\"",
            _ => b"</3/0",
        };
        Some(request.answer(0x45, Some(40), links))
    });
    let _device = Device::register(&server, "odd", script);
    let links = |path: &str| {
        let answer = server.get(&format!("/api/v1/endpoints/odd/discover/{path}")).json();
        let links = answer["content"]["links"].as_array().cloned().unwrap_or_default();
        links
            .iter()
            .map(|link| format!("{} {}", link["path"].as_str().unwrap(), link["attributes"]))
            .collect::<Vec<_>>()
    };
    let sloppy = || deviations(&server, "odd")["sloppy-links"].clone();
    assert_eq!(
        links("3"),
        [r#"/3 {"ver":"1.2"}"#, "/3/0 {}", r#"/3/0/7 {"dim":2}"#, "/3/0/7/0 {}", r#"/3/0/7/1 {"pmin":1}"#]
    );
    assert_eq!(sloppy(), Json::Null);
    assert_eq!(links("3/0"), ["/3/0 {}", r#"/3/0/9 {"pmax":"60","pmin":10}"#]);
    assert_eq!(links("1"), ["/1 {}", r#"/1/0 {"pmax":"a&b","pmin":5}"#, r#"/1/0/1 {"title":"x&y"}"#]);
    assert_eq!(sloppy(), 2);
    assert_eq!(links("6"), [""; 0]);
    assert_eq!(deviations(&server, "odd")["undecodable"], 1);
}

#[test]
fn counts_outlive_the_registration() {
    let server = Server::start();
    let script: Script = Box::new(|request| {
        Some(match request.code {
            1 if request.option(6) == Some(0) => {
                let mut answer = request.answer(0x45, None, b"101");
                answer.options.insert(0, (6, vec![1]));
                answer
            }
            1 => request.answer(0x45, None, b"101"),
            _ => request.answer(0x44, None, b""),
        })
    });
    let device = Device::register(&server, "odd", script);
    server.get("/api/v1/endpoints/odd/resources/3/0/9?format=text");
    assert_eq!(server.call("PUT", "/api/v1/endpoints/odd/observations/3/0/9?format=text", "").status, 200);
    let observed = || server.get("/api/v1/endpoints/odd/observations").json()["items"][0].clone();
    eventually(|| observed()["state"] == "active");
    assert_eq!(observed()["restarts"], 0, "a caller asked for this start");
    // Another PUT of the same is a caller's doing, too.
    assert_eq!(server.call("PUT", "/api/v1/endpoints/odd/observations/3/0/9?format=text", "").status, 200);
    eventually(|| deviations(&server, "odd")["outside-range"] == 3);
    assert_eq!(observed()["restarts"], 0);
    let location = server.get("/api/v1/endpoints/odd").json()["registration_id"].as_str().unwrap().to_owned();
    let options = vec![(11, b"rd".to_vec()), (11, location.into_bytes())];
    let leave = Message { kind: 0, code: 4, id: 901, token: vec![8], options, payload: Vec::new() };
    assert_eq!(device.ask(&leave).code, 0x42);
    eventually(|| server.get("/api/v1/endpoints/odd").status == 404);
    let counts = json!({"outside-range": 4, "no-content-format": 4, "unknown-parameter": 1});
    let again = register(b"rd", Some(40), "</1/0>,</3/0>");
    device.send(&again);
    server.wait_for("odd");
    eventually(|| observed()["state"] == "active" && observed()["restarts"] == 1);
    eventually(|| deviations(&server, "odd") == counts);
    drop(device);
    let _same = Device::register(&server, "odd", agreeable());
    eventually(|| deviations(&server, "odd") == counts);
}
