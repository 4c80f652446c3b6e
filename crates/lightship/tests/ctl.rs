//! What `lightship ctl` shows and does of traces, object definitions and many devices at once, against the real program.

#![allow(clippy::unwrap_used, reason = "a test may fail anywhere")]
mod program;

use program::{Program, Server, eventually};
use serde_json::Value as Json;

#[test]
fn a_trace_is_listed_followed_and_written_as_a_capture() {
    let server = Server::start(&[]);
    let _device = server.device("probe", &[]);
    server.ctl(&["read", "probe", "/3/0/0"]);
    let text = server.ctl(&["trace", "probe"]);
    assert!(text.contains("register") && text.contains(" read /3/0/0 "), "{text}");
    assert!(text.contains("/3/0/0 Manufacturer = Lightship"), "the answer's value: {text}");
    let json = server.json(&["trace", "probe", "--limit", "2"]);
    let items = json["items"].as_array().unwrap();
    assert_eq!(
        (items.len(), &items[0]["direction"], &items[1]["direction"]),
        (2, &"out".into(), &"in".into())
    );
    assert_eq!(items[0]["exchange"], items[1]["exchange"]);
    assert!(server.ctl(&["trace", "--address", "127.0.0.1"]).contains(" read /3/0/0 "));
    assert!(server.ctl(&["trace", "nobody"]).contains("nothing is recorded of nobody"));

    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("probe.pcapng");
    let told = server.ctl(&["trace", "probe", "--pcapng", file.to_str().unwrap()]);
    let bytes = std::fs::read(&file).unwrap();
    assert!(told.contains(&format!("{} bytes", bytes.len())), "{told}");
    assert_eq!(bytes[..4], [0x0a, 0x0d, 0x0d, 0x0a], "the head of a pcapng file");

    let url = format!("http://{}", server.http);
    let mut follower = Program::start(&["ctl", "--url", &url, "trace", "probe", "--follow"]);
    follower.await_line(" read /3/0/0 ");
    server.ctl(&["read", "probe", "/3/0/1"]);
    follower.await_line(" read /3/0/1 ");
    follower.await_line("/3/0/1 Model Number = ");
    follower.kill();
}

fn pump(version: &str, resource: &str, kind: &str) -> String {
    format!(
        "<LWM2M><Object ObjectType=\"MODefinition\"><Name>Pump</Name><ObjectID>33000</ObjectID>\
         <ObjectVersion>{version}</ObjectVersion><MultipleInstances>Single</MultipleInstances><Mandatory>Optional</Mandatory>\
         <Resources><Item ID=\"1\"><Name>{resource}</Name><Operations>RW</Operations><MultipleInstances>Single</MultipleInstances>\
         <Mandatory>Optional</Mandatory><Type>{kind}</Type></Item></Resources></Object></LWM2M>"
    )
}

#[test]
fn object_definitions_are_checked_added_compared_and_taken_away() {
    let server = Server::start(&[]);
    let _device = server.device("probe", &[]);
    let folder = tempfile::tempdir().unwrap();
    let write = |name: &str, text: &str| {
        let file = folder.path().join(name);
        std::fs::write(&file, text).unwrap();
        file.to_str().unwrap().to_owned()
    };
    let old = write("old.xml", &pump("1.0", "Speed", "Integer"));
    let new = write("new.xml", &pump("1.1", "Speed", "Float"));
    let wrong = write("wrong.xml", &pump("1.2", "Speed", "Colour"));
    assert!(server.ctl(&["models", "check", &old]).contains("old.xml"));
    let refused = server.ctl_raw(&["models", "check", &wrong]);
    let told = String::from_utf8(refused.stdout).unwrap();
    assert!(refused.status.code() == Some(1) && told.contains("error") && told.contains("Colour"), "{told}");
    assert!(server.ctl_refused(&["models", "show", "33000"]).contains("33000"));
    let added = server.ctl(&["models", "add", &old, &new]);
    assert!(added.contains("Pump") && added.contains("loaded"), "{added}");
    let listed = server.json(&["models", "list", "--filter", "pump"]);
    let ids: Vec<&Json> = listed["items"].as_array().unwrap().iter().map(|item| &item["id"]).collect();
    assert!(ids.contains(&&Json::from(33000)), "{listed}");
    let shown = server.ctl(&["models", "show", "33000", "--version", "1.0"]);
    assert!(shown.contains("33000 Pump, version 1.0") && shown.contains("integer"), "{shown}");
    let diff = server.ctl(&["models", "diff", "33000", "1.0"]);
    assert!(diff.contains("version 1.0 → 1.1") && diff.contains("~1 Speed"), "{diff}");
    assert!(server.ctl(&["models", "diff", "33000", "1.1", "1.1"]).contains("nothing differs"));
    let users = server.ctl(&["models", "devices", "3303"]);
    assert!(users.contains("1 with version 1") && users.contains("probe"), "{users}");
    assert!(server.ctl(&["models", "devices", "33000"]).contains("no device has it"));
    for version in ["1.0", "1.1"] {
        assert!(server.ctl(&["models", "remove", "33000", version]).contains("is taken away"));
    }
    assert!(server.ctl_refused(&["models", "remove", "33000", "1.0"]).contains("No such object definition"));
    assert!(server.ctl_refused(&["models", "remove", "3", "1.0"]).contains("built in"));
}

#[test]
fn one_operation_goes_to_many_devices_and_can_be_taken_back() {
    let server = Server::start(&["--awake-window", "1"]);
    let _devices = ["lamp-1", "lamp-2"].map(|name| server.device(name, &[]));
    let asleep = ["--queue-mode", "--awake", "1", "--lifetime", "600"];
    let _meter = server.device("meter", &asleep);
    eventually("it sleeps", || (server.json(&["show", "meter"])["state"] == "asleep").then_some(()));
    let tried = server.ctl(&["bulk", "start", "read", "/3/0/0", "--filter", "lamp", "--dry-run"]);
    assert_eq!(tried, "2 devices: lamp-1 lamp-2\n");
    assert_eq!(server.json(&["bulk", "list"])["items"], serde_json::json!([]));

    let begun = server.ctl(&["bulk", "start", "read", "/3/0/0", "--filter", "lamp"]);
    assert!(begun.starts_with("1 ") && begun.contains("read /3/0/0 for \"lamp\""), "{begun}");
    let done = eventually("all have answered", || {
        let shown = server.ctl(&["bulk", "show", "1"]);
        shown.contains(": done, 2 of 2 made; 2 done").then_some(shown)
    });
    assert_eq!(server.ctl(&["bulk", "list"]), done);
    assert!(server.ctl_refused(&["bulk", "cancel", "1"]).contains("come to its end"));
    let listed = server.ctl(&["endpoints", "--sort", "-/3/0/0", "--columns", "/3/0/0", "--filter", "lamp"]);
    assert!(listed.contains("Lightship"), "what was read is known: {listed}");

    server.ctl(&["bulk", "start", "execute", "/3/0/4", "--endpoint", "meter", "--not-after", "1h"]);
    eventually("its command waits", || {
        server.ctl(&["bulk", "show", "2"]).contains("1 waiting").then_some(())
    });
    assert!(server.ctl(&["bulk", "cancel", "2"]).contains(": cancelled"));
    let after = server.json(&["bulk", "show", "2"]);
    assert_eq!(
        (&after["counts"]["cancelled"], &after["counts"]["waiting"]),
        (&1.into(), &0.into()),
        "{after}"
    );
    assert!(server.ctl_refused(&["bulk", "show", "7"]).contains("No bulk operation"));
    assert!(server.ctl_refused(&["bulk", "start", "paint", "/3", "--filter", ""]).contains("paint"));
}

#[test]
fn documents_come_from_files_and_from_the_standard_input() {
    let server = Server::start(&["--coaps", "127.0.0.1:0", "--bootstrap-coap", "127.0.0.1:0"]);
    let _device = server.device("probe", &[]);
    let folder = tempfile::tempdir().unwrap();
    let write = |name: &str, text: &str| {
        let file = folder.path().join(name);
        std::fs::write(&file, text).unwrap();
        file.to_str().unwrap().to_owned()
    };
    // A whole Node, the body of an operation for many, a definition.
    let node = write("node.json", r#"{"path": "/1/0/1", "value": 61}"#);
    server.ctl(&["write", "probe", "/1/0/1", "--node", &format!("@{node}")]);
    assert!(server.ctl(&["read", "probe", "/1/0/1"]).contains("61"));
    server.ctl_fed(&["composite", "write", "probe", "--node", "@-"], r#"{"path": "/1/0/1", "value": 62}"#);
    assert!(server.ctl(&["read", "probe", "/1/0/1"]).contains("62"));
    let body = write("body.json", r#"{"value": 63}"#);
    let content = format!("@{body}");
    server.ctl(&["bulk", "start", "write", "/1/0/1", "--endpoint", "probe", "--content", &content]);
    eventually("it is written", || server.ctl(&["read", "probe", "/1/0/1"]).contains("63").then_some(()));
    assert!(server.ctl_fed(&["models", "add", "-"], &pump("1.0", "Speed", "Integer")).contains("Pump"));
    // Documents and credentials, and keys that nobody sees among the processes.
    let document = r#"{"servers": [{"short_server_id": 1, "uri": "coap://192.0.2.1", "mode": "nosec"}]}"#;
    let file = write("document.json", document);
    assert!(server.ctl(&["bootstrap", "put", "one", &file]).contains("coap://192.0.2.1"));
    assert!(server.ctl_fed(&["bootstrap", "put", "two", "-"], document).contains("coap://192.0.2.1"));
    let template = ["bootstrap", "templates", "put", "all", "--pattern", "all-*", &file];
    assert!(server.ctl(&template).contains("all"));
    let key = write("key.hex", "00112233445566778899aabbccddeeff\n");
    let by_key = ["--server", "coaps://192.0.2.1", "--psk-identity", "three", "--psk-key-file", &key];
    server.ctl(&[&["bootstrap", "put", "three"], &by_key[..]].concat());
    assert_eq!(server.json(&["bootstrap", "get", "three"])["servers"][0]["key_set"], true);
    server.ctl(&["credentials", "put", "three", "--psk-identity", "three", "--psk-key-file", &key]);
    assert_eq!(server.json(&["credentials", "get", "three"])["key_set"], true);
    let missing = server.ctl_refused(&["write", "probe", "/1/0/1", "--node", "@no-such-file"]);
    assert!(missing.contains("no-such-file"), "{missing}");
}
