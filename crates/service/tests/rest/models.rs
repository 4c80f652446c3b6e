//! The model browser: search, versions side by side, lint, taking away, and who uses what.

use std::net::UdpSocket;

use serde_json::{Value as Json, json};

use super::support::{Device, Server, agreeable};

fn pump(version: &str, resources: &str) -> String {
    format!(
        "<Object ObjectType=\"MODefinition\"><Name>Pump</Name><ObjectID>33000</ObjectID><ObjectVersion>{version}</ObjectVersion>\
         <MultipleInstances>Single</MultipleInstances><Mandatory>Optional</Mandatory><Resources>{resources}</Resources></Object>"
    )
}

fn resource(id: u16, name: &str, kind: &str) -> String {
    format!(
        "<Item ID=\"{id}\"><Name>{name}</Name><Operations>RW</Operations><MultipleInstances>Single</MultipleInstances>\
         <Mandatory>Optional</Mandatory><Type>{kind}</Type></Item>"
    )
}

fn document(objects: &[String]) -> String {
    format!("<LWM2M>{}</LWM2M>", objects.concat())
}

fn ids(list: &Json) -> Vec<u64> {
    list["items"].as_array().unwrap().iter().map(|item| item["id"].as_u64().unwrap()).collect()
}

#[test]
fn definitions_are_found_by_id_name_urn_and_the_names_of_their_resources() {
    let server = Server::start();
    let find = |text: &str| server.get(&format!("/api/v1/models?q={text}")).json();
    assert!(ids(&find("humidity")).contains(&3304));
    assert_eq!(ids(&find("urn:oma:lwm2m:ext:3303")), [3303]);
    assert!(ids(&find("Battery%20Level")).contains(&3), "a resource");
    assert!(ids(&find("no%20such%20thing")).is_empty());
    assert_eq!(ids(&find("")), ids(&server.get("/api/v1/models").json()));
    let device = server.get("/api/v1/models/3?version=1.1").json();
    assert_eq!((&device["urn"], &device["loaded"]), (&json!("urn:oma:lwm2m:oma:3:1.1"), &json!(false)));
    let versions = device["versions"].as_array().unwrap();
    assert!(versions.contains(&json!({"version": "1.0", "loaded": false})), "{versions:?}");
}

#[test]
fn two_versions_are_compared() {
    let server = Server::start();
    let old = pump("1.0", &[resource(1, "Speed", "Integer"), resource(2, "Mode", "String")].concat());
    let new = pump("1.1", &[resource(1, "Speed", "Float"), resource(3, "Noise", "Float")].concat());
    assert_eq!(server.call("POST", "/api/v1/models", &document(&[old, new])).status, 201);
    let diff = server.get("/api/v1/models/33000/diff?from=1.0").json();
    assert_eq!((&diff["from"], &diff["to"], &diff["object"]), (&json!("1.0"), &json!("1.1"), &json!([])));
    assert_eq!((&diff["added"][0]["name"], &diff["removed"][0]["name"]), (&json!("Noise"), &json!("Mode")));
    let changes = json!([{"field": "type", "from": "integer", "to": "float"}]);
    assert_eq!(diff["changed"], json!([{"id": 1, "name": "Speed", "changes": changes}]));
    assert_eq!(server.get("/api/v1/models/33000/diff?from=2.0").problem(), "unknown-model");
    assert_eq!(server.get("/api/v1/models/33000/diff").problem(), "invalid-parameter");
}

#[test]
fn a_document_is_looked_at_before_it_is_loaded() {
    let server = Server::start();
    let check = |xml: &str| server.call("POST", "/api/v1/models?dry_run=true", xml);
    let good = document(&[pump("1.0", &resource(1, "Speed", "Float"))]);
    let found = check(&good);
    assert_eq!(
        (found.status, &found.json()["valid"], &found.json()["findings"]),
        (200, &json!(true), &json!([]))
    );
    assert_eq!(found.json()["models"][0]["resources"][0]["name"], "Speed");
    assert_eq!(server.get("/api/v1/models/33000").problem(), "unknown-model", "nothing was loaded");
    let twice = document(&[pump("1.0", &resource(1, "<![CDATA[<b>Speed]]>", "Float").repeat(2))]);
    let found = check(&twice).json();
    assert_eq!((&found["valid"], &found["models"]), (&json!(false), &json!([])));
    assert_eq!(found["findings"][0]["place"], "/33000//1");
    assert_eq!(found["findings"][0]["severity"], "error");
    assert_eq!(server.call("POST", "/api/v1/models", &twice).problem(), "malformed-body");
    let cut = check("<LWM2M><Object>").json();
    assert_eq!((&cut["valid"], &cut["findings"][0]["place"]), (&json!(false), &json!("")));
}

#[test]
fn what_was_loaded_can_be_taken_away_for_good() {
    let folder = tempfile::tempdir().unwrap();
    let start = || Server::with(|config| config.store.folder = Some(folder.path().to_owned()));
    let server = start();
    let both = ["1.0", "1.1"].map(|version| pump(version, &resource(1, "Speed & \"more\"", "Float")));
    let both = document(&both).replace("Speed & ", "Speed &amp; ");
    assert_eq!(server.call("POST", "/api/v1/models", &both).status, 201);
    let delete = |server: &Server, at: &str| server.call("DELETE", &format!("/api/v1/models/{at}"), "");
    assert_eq!(delete(&server, "33000?version=1.0").status, 204);
    assert_eq!(delete(&server, "33000?version=1.0").problem(), "unknown-model");
    assert_eq!(delete(&server, "33000").problem(), "invalid-parameter");
    assert_eq!(delete(&server, "3303?version=1.0").problem(), "conflict");
    drop(server);
    // The other one of the same document stays, as it was.
    let server = start();
    assert_eq!(server.get("/api/v1/models/33000?version=1.0").problem(), "unknown-model");
    let left = server.get("/api/v1/models/33000").json();
    assert_eq!((&left["version"], &left["loaded"]), (&json!("1.1"), &json!(true)));
    assert_eq!(left["resources"][0]["name"], "Speed & \"more\"");
    assert_eq!(delete(&server, "33000?version=1.1").status, 204);
    drop(server);
    assert_eq!(start().get("/api/v1/models/33000").problem(), "unknown-model");
}

#[test]
fn who_has_an_object_in_which_version() {
    let server = Server::start();
    let mut devices = Vec::new();
    for (name, links) in [
        ("a", "</3/0>,</3303>;ver=1.1,</3303/0>,</3303/1>"),
        ("b", "</3/0>,</3303/0>"),
        ("c", "</3/0>"),
        ("d", "</3/0>,</3303>;ver=9.9,</3303/0>"),
        ("e", "</3/0>,</3303>;ver=1.1"),
    ] {
        let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
        devices.push(Device::register_as(&server, socket, name, links, agreeable()));
        server.wait_for(name);
    }
    let all = server.get("/api/v1/models/3303/devices").json();
    assert_eq!((&all["total"], &all["next"]), (&json!(4), &Json::Null));
    assert_eq!(all["versions"][0], json!({"version": "1.1", "known": true, "devices": 2}));
    assert!(
        all["versions"]
            .as_array()
            .unwrap()
            .contains(&json!({"version": "9.9", "known": false, "devices": 1}))
    );
    let first = json!({"endpoint": "a", "version": "1.1", "instances": 2});
    assert_eq!((&all["items"][0], all["items"].as_array().unwrap().len()), (&first, 4));
    let page = server.get("/api/v1/models/3303/devices?version=1.1&limit=1").json();
    assert_eq!((&page["items"], &page["next"], &page["total"]), (&json!([first]), &json!("a"), &json!(4)));
    let rest = server.get("/api/v1/models/3303/devices?version=1.1&limit=1&cursor=a").json();
    assert_eq!((&rest["items"][0]["endpoint"], &rest["next"]), (&json!("e"), &Json::Null));
    assert!(rest["total"].is_null(), "counted once");
    assert_eq!(server.get("/api/v1/models/42/devices").json()["total"], 0);
}
