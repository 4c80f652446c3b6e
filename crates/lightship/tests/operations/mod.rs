//! Device management from end to end: each operation from the command line through REST to a device and back.

use crate::program::{Server, eventually};
use serde_json::json;

// Proves: DAT-12
#[test]
fn an_older_device_shows_the_objects_of_its_release() {
    let server = Server::start(&[]);
    for (release, device_object, monitoring, signal) in
        [("1.0", "1.0", "1.0", "4.04"), ("1.1", "1.1", "1.2", "2.05"), ("1.2", "1.2", "1.3", "2.05")]
    {
        let _device = server.device(release, &["--lwm2m", release]);
        let shown = server.json(&["show", release]);
        assert_eq!(shown["lwm2m_version"], release);
        let version = |path: &str| {
            let objects = shown["objects"].as_array().expect("a list").iter();
            objects.clone().find(|entry| entry["path"] == path).map(|entry| entry["version"].clone())
        };
        assert_eq!(version("/1/0"), Some(json!(release)), "{shown}");
        assert_eq!(version("/3/0"), Some(json!(device_object)), "{shown}");
        assert_eq!(version("/4/0"), Some(json!(monitoring)), "{shown}");
        assert_eq!(version("/3303/0"), Some(json!("1.1")), "{shown}");
        // 4/0/11 Signal to noise ratio came with version 1.1 of the object.
        let answer = server.ctl_raw(&["read", release, "/4/0/11", "--json"]);
        let answer: serde_json::Value = serde_json::from_slice(&answer.stdout).expect("JSON");
        assert_eq!(answer["code"], signal, "{release}: {answer}");
    }
}

// Proves: OBS-20, OBS-21
#[test]
fn a_device_sends_what_it_is_told_to_unless_muted() {
    let server = Server::start(&[]);
    let mut device = server.device("e2e", &[]);
    device.say("set /3303/0/5700 19.5");
    assert_eq!(device.say("send /3303/0/5700 /3/0/9"), "ok ssid=1");
    device.await_line("event sent ssid=1");
    let events = || server.ctl(&["events", "--type", "sent", "--endpoint", "e2e"]);
    let sent = events();
    assert!(sent.contains("/3303/0/5700=19.5") && sent.contains("/3/0/9=84"), "{sent}");

    // A server can ask for it, too.
    server.ctl(&["write", "e2e", "/3442/0/6", "0=/3/0/2"]);
    server.ctl(&["exec", "e2e", "/3442/0/5"]);
    device.await_line("event sent ssid=1");
    let sent = events();
    assert!(sent.contains("/3/0/2 e2e") || sent.contains("/3/0/2=e2e"), "{sent}");

    assert!(device.say("send /3303/9").starts_with("error server 1: nothing there"));
    server.ctl(&["write", "e2e", "/1/0/23", "true"]);
    assert!(device.say("send /3/0/9").contains("muted"));
    assert_eq!(device.say("show /1/0/23"), "ok /1/0/23=true");
}

// Proves: OBS-01
#[test]
fn an_observation_can_carry_its_attributes() {
    let server = Server::start(&[]);
    let mut device = server.device("e2e", &[]);
    device.say("set /3303/0/5700 20");
    let first = server.json(&["observe", "e2e", "/3303/0/5700", "st=5"]);
    assert_eq!(first["code"], "2.05", "{first}");
    let item = &server.json(&["observations", "e2e"])["items"][0];
    assert_eq!((&item["path"], &item["attributes"]["st"]), (&json!("/3303/0/5700"), &json!(5)), "{item}");
    // Less than a step; then a step from the value that was told.
    device.say("set /3303/0/5700 23");
    device.say("set /3303/0/5700 25.5");
    server.await_reported("e2e", "/3303/0/5700", &json!(25.5));
    let told = server.ctl(&["events", "--type", "notified", "--endpoint", "e2e"]);
    assert!(!told.contains(" 23"), "{told}");
    // The server repeats the attributes when it cancels; the device takes the cancellation.
    server.ctl(&["unobserve", "e2e", "/3303/0/5700"]);
    device.await_line("event observation_ended ssid=1 path=/3303/0/5700");
    assert_eq!(server.json(&["observations", "e2e"])["items"], json!([]));
}

// Proves: DMO-02, DMO-37
#[test]
fn several_paths_are_read_written_and_observed_at_once() {
    let server = Server::start(&[]);
    let mut device = server.device("e2e", &[]);
    device.say("set /3303/0/5700 20");
    for format in ["senml-json", "senml-cbor", "lwm2m-cbor"] {
        let read = server.json(&["composite", "read", "e2e", "/3/0/9", "/3303/0/5700", "--format", format]);
        assert_eq!((&read["code"], &read["format"]), (&json!("2.05"), &json!(format)), "{read}");
        let nodes = read["content"]["nodes"].as_array().expect("nodes").iter();
        let value =
            |path: &str| nodes.clone().find(|node| node["path"] == path).map(|node| node["value"].clone());
        assert_eq!((value("/3/0/9"), value("/3303/0/5700")), (Some(json!(84)), Some(json!(20.0))), "{read}");
    }
    let table = server.ctl(&["composite", "read", "e2e", "/3/0/9", "/3303/0/5700"]);
    assert!(table.contains("Battery Level") && table.contains("Sensor Value"), "{table}");

    server.ctl(&["composite", "write", "e2e", "/3442/0/110=hello", "/3442/0/1120/3=7"]);
    assert_eq!(device.say("show /3442/0/110"), "ok /3442/0/110=hello");
    // All or nothing: the second cannot be written.
    let refused = server.ctl_refused(&["composite", "write", "e2e", "/3442/0/110=lost", "/3/0/9=1"]);
    assert!(refused.contains("4.05") || refused.contains("cannot be written"), "{refused}");
    assert_eq!(device.say("show /3442/0/110"), "ok /3442/0/110=hello");
}

// Proves: OBS-14, OBS-15
#[test]
fn a_server_works_with_each_object_of_the_enabler() {
    let server = Server::start(&[]);
    let _device = server.device("e2e", &["--object", "2=1"]);
    for (object, resource, name) in [
        (1, 1, "Lifetime"),
        (2, 0, "Object ID"),
        (3, 0, "Manufacturer"),
        (4, 0, "Network Bearer"),
        (5, 3, "State"),
        (6, 0, "Latitude"),
        (7, 8, "Collection Period"),
    ] {
        let read = server.json(&["read", "e2e", &format!("/{object}/0")]);
        assert_eq!(read["code"], "2.05", "/{object}: {read}");
        let one = server.json(&["read", "e2e", &format!("/{object}/0/{resource}")]);
        assert_eq!(one["content"]["name"], name, "{one}");
        assert_eq!(one["content"]["value"], read["content"]["resources"][resource.to_string()]["value"]);
    }
    // What can be written or executed there.
    assert_eq!(server.json(&["write", "e2e", "/1/0/1", "120"])["code"], "2.04");
    assert_eq!(server.json(&["write", "e2e", "/7/0/8", "30"])["code"], "2.04");
    assert_eq!(server.json(&["exec", "e2e", "/7/0/6"])["code"], "2.04");
    assert_eq!(server.json(&["exec", "e2e", "/3/0/12"])["code"], "2.04");
    // No server may see it: ours does not ask, and the device would not tell.
    assert!(server.ctl_refused(&["read", "e2e", "/0/0"]).contains("No server may address this Object."));
    assert!(server.ctl_refused(&["read", "e2e", "/0/0", "--check", "none"]).contains("4.01"));
}

#[test]
fn several_paths_are_observed_under_one_name() {
    let server = Server::start(&[]);
    let mut device = server.device("e2e", &[]);
    device.say("set /3303/0/5700 20");
    let begun = server.json(&["composite", "observe", "e2e", "climate", "/3303/0/5700", "/3/0/9"]);
    assert_eq!(begun["code"], "2.05", "{begun}");
    device.say("set /3303/0/5700 31.5");
    eventually("both values are reported", || {
        let told = server.ctl(&["events", "--type", "notified", "--endpoint", "e2e"]);
        (told.contains("notified e2e climate ")
            && told.contains("/3303/0/5700=31.5")
            && told.contains("/3/0/9=84"))
        .then_some(())
    });
    assert!(server.ctl(&["observations", "e2e"]).contains("climate"));
    server.ctl(&["composite", "unobserve", "e2e", "climate"]);
    assert_eq!(server.json(&["observations", "e2e"])["items"], json!([]));
}
