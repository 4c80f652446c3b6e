//! A device that keeps its state: what servers and the user changed is there after it was killed.

mod program;

use program::{Server, command, eventually};
use serde_json::json;
use std::process::Stdio;

#[test]
fn a_killed_device_remembers_accounts_attributes_and_objects() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("device.state");
    let state = file.to_str().expect("UTF-8");
    let server = Server::start(&[]);
    let mut device = server.device("e2e", &["--state", state, "--object", "3313=2"]);
    server.ctl(&["write", "e2e", "/1/0/1", "1200"]);
    server.ctl(&["write", "e2e", "/3442/0/110", "kept"]);
    server.ctl(&["write", "e2e", "/3442/0", "--partial", "1120/9=7"]);
    server.ctl(&["attributes", "e2e", "/3303/0/5700", "pmin=1", "gt=30"]);
    assert_eq!(server.json(&["create", "e2e", "/3442/4", "110=new"])["code"], "2.01");
    assert_eq!(server.json(&["delete", "e2e", "/3313/1"])["code"], "2.02");
    assert_eq!(device.say("set /3303/0/5701 K"), "ok /3303/0/5701 K");
    // Attributes come with no event; they are looked for four times a second.
    eventually("the attributes are in the file", || {
        std::fs::read_to_string(&file).ok().filter(|text| text.contains("gt=30"))
    });
    device.kill();

    let device = server.device("e2e", &["--state", state, "--object", "3313=2", "--lifetime", "60"]);
    let shown = server.json(&["show", "e2e"]);
    assert_eq!(shown["lifetime_s"], 1200, "the server's word outranks the flag");
    let value = |path: &str| server.json(&["read", "e2e", path])["content"]["value"].clone();
    assert_eq!(value("/3442/0/110"), json!("kept"));
    assert_eq!(value("/3442/0/1120/9"), json!(7));
    assert_eq!(value("/3442/4/110"), json!("new"));
    assert_eq!(value("/3303/0/5701"), json!("K"));
    let objects: Vec<_> = shown["objects"].as_array().expect("a list").iter().map(|o| &o["path"]).collect();
    assert!(objects.contains(&&json!("/3442/4")) && !objects.contains(&&json!("/3313/1")), "{objects:?}");
    let links = server.json(&["discover", "e2e", "/3303/0/5700"]);
    assert_eq!(links["content"]["links"][0]["attributes"], json!({"gt": 30, "pmin": 1}), "{links}");
    drop(device);
}

#[test]
fn a_device_does_not_start_with_a_state_that_it_cannot_read_or_write() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("device.state");
    let state = file.to_str().expect("UTF-8");
    std::fs::write(&file, "{\"lightship_device_state\": 1, \"endp").expect("written");
    let refused = |state: &str, words: &str| {
        let output = command(&["device", "--state", state]).stdin(Stdio::null()).output().expect("runs");
        let error = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(1), "{error}");
        assert!(error.contains(state) && error.contains(words), "{error}");
    };
    refused(state, "remove it to start afresh");
    assert!(std::fs::read_to_string(&file).expect("there").ends_with("endp"), "it is left as it was");
    refused("/nowhere/at/all", "No such file");
}
