//! What devices do otherwise than they should: served where it is clear, and counted.

use crate::support::{Device, Script, Server};
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
            "/3303/0/5700" => (None, b"21.5"),
            "/3303/0" => (None, br#"[{"bn":"/3303/0/5700","v":1}]"#),
            "/3303/7" => (Some(40), b"</3303/7>;pmin=\"10\" , </3303/7/5700"),
            _ => (Some(60), b"\xFF\xFF"),
        };
        Some(request.answer(0x45, format, payload))
    });
    let _device = Device::register(&server, "odd", script);
    assert_eq!(deviations(&server, "odd"), Json::Null);
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
    assert_eq!(read("3303/0/5700")["content"]["value"], 21.5);
    assert_eq!(read("3303/0")["content"]["resources"]["5700"]["value"], 1.0);
    assert!(read("3303/0/5701")["undecoded"].is_string());
    let seen = deviations(&server, "odd");
    for kind in [
        "outside-range",
        "wrong-type",
        "missing-slash",
        "wrong-multiplicity",
        "old-format-number",
        "undecodable",
    ] {
        assert_eq!(seen[kind], 1, "{kind}: {seen}");
    }
    read("3/0/9");
    assert_eq!(deviations(&server, "odd")["outside-range"], 2);
}
