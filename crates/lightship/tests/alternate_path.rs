//! A real device whose objects are under an alternate path, with the real server.

mod program;

use program::{Server, eventually};
use serde_json::json;

// Proves: GEN-08, GEN-09
#[test]
fn a_device_with_a_path_of_its_own_is_managed_like_any_other() {
    let server = Server::start(&[]);
    for (endpoint, release) in [("newer", "1.2"), ("older", "1.1")] {
        let mut device = server.device(endpoint, &["--root", "/lwm2m", "--lwm2m", release]);
        let shown = server.json(&["show", endpoint]);
        assert_eq!(
            shown["alternate_path"].as_str().map(|path| path.trim_matches('/')),
            Some("lwm2m"),
            "{shown}"
        );
        let objects = shown["objects"].as_array().expect("objects");
        assert!(objects.iter().any(|object| object["path"] == "/3303/0"), "{shown}");

        device.say("set /3303/0/5700 19.5");
        for format in ["text", "tlv", "senml-json", "senml-cbor"] {
            let read = server.json(&["read", endpoint, "/3303/0/5700", "--format", format]);
            assert_eq!(read["content"]["value"], json!(19.5), "{format}: {read}");
        }
        server.ctl(&["write", endpoint, "/3442/0/110", "hello"]);
        server.ctl(&["write", endpoint, "/3442/0", "--partial", "120=-5", "--format", "senml-json"]);
        assert_eq!(device.say("show /3442/0/110"), "ok /3442/0/110=hello");
        assert_eq!(device.say("show /3442/0/120"), "ok /3442/0/120=-5");
        server.ctl(&["exec", endpoint, "/3442/0/3", "0='x'"]);
        assert_eq!(server.json(&["create", endpoint, "/3442/7", "110=new"])["code"], "2.01");
        assert_eq!(server.json(&["read", endpoint, "/3442/7/110"])["content"]["value"], "new");
        assert_eq!(server.json(&["delete", endpoint, "/3442/7"])["code"], "2.02");
        let links = server.json(&["discover", endpoint, "/3303/0"]);
        let found = links["content"]["links"].as_array().expect("links").iter();
        assert!(found.clone().any(|link| link["path"] == "/3303/0/5700"), "{links}");

        let read = server.json(&["composite", "read", endpoint, "/3/0/9", "/3303/0/5700"]);
        let nodes = read["content"]["nodes"].as_array().expect("nodes");
        assert!(nodes.iter().any(|node| node["path"] == "/3303/0/5700" && node["value"] == 19.5), "{read}");
        server.ctl(&["composite", "write", endpoint, "/3442/0/110=both", "/3442/0/1120/3=7"]);
        assert_eq!(device.say("show /3442/0/110"), "ok /3442/0/110=both");

        server.ctl(&["observe", endpoint, "/3303/0/5700"]);
        server.ctl(&["composite", "observe", endpoint, "climate", "/3303/0/5700", "/3/0/9"]);
        device.say("set /3303/0/5700 23.25");
        server.await_reported(endpoint, "/3303/0/5700", &json!(23.25));
        eventually("both values are reported", || {
            let told = server.ctl(&["events", "--type", "notified", "--endpoint", endpoint]);
            (told.contains("climate ") && told.contains("/3303/0/5700=23.25") && told.contains("/3/0/9=84"))
                .then_some(())
        });
        assert_eq!(device.say("send /3303/0/5700 /3/0/9"), "ok ssid=1");
        device.await_line("event sent ssid=1");
        let sent = server.ctl(&["events", "--type", "sent", "--endpoint", endpoint]);
        assert!(sent.contains("/3303/0/5700=23.25") && sent.contains("/3/0/9=84"), "{sent}");
        let shown = server.json(&["show", endpoint]);
        let deviations = shown["deviations"].as_array();
        assert!(deviations.is_none_or(Vec::is_empty), "{shown}");
    }
}
