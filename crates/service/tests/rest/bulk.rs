//! One operation for many devices.

use std::net::UdpSocket;

use lightship_service::Config;
use serde_json::{Value, json};

use crate::support::{Device, Script, Server, agreeable, eventually};

fn register(server: &Server, parameters: &str, script: Script) -> Device {
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    Device::register_with(server, socket, parameters, "</1/0>,</3/0>,</3303/0>", script)
}

fn bulk(server: &Server, id: &str) -> Value {
    server.get(&format!("/api/v1/bulk/{id}")).json()
}

/// Answers nothing at all.
fn silent() -> Script {
    Box::new(|_| None)
}

fn grumpy() -> Script {
    Box::new(|request| Some(request.answer(0x85, None, b"")))
}

#[test]
fn an_operation_is_previewed_and_done_with_all_that_a_filter_holds_for() {
    let server = Server::start();
    let _lamps: Vec<Device> = (0..3)
        .map(|n| register(&server, &format!("ep=lamp-{n}&lt=600&lwm2m=1.1&b=U"), agreeable()))
        .collect();
    let _pump = register(&server, "ep=pump&lt=600&lwm2m=1.1&b=U", agreeable());
    let _mule = register(&server, "ep=lamp-mule&lt=600&lwm2m=1.1&b=U", grumpy());
    let order = json!({"filter": "lamp", "operation": "read", "path": "/3/0"}).to_string();
    let preview = server.call("POST", "/api/v1/bulk?dry_run=true", &order);
    assert_eq!(preview.status, 200);
    assert_eq!(preview.json(), json!({"matches": 4, "sample": ["lamp-0", "lamp-1", "lamp-2", "lamp-mule"]}));
    assert_eq!(server.get("/api/v1/bulk").json(), json!({"items": []}), "a preview begins nothing");

    let begun = server.call("POST", "/api/v1/bulk", &order);
    assert_eq!((begun.status, begun.json()["state"].as_str()), (202, Some("running")));
    let id = begun.json()["id"].as_str().unwrap().to_owned();
    assert!(begun.head.contains(&format!("location: /api/v1/bulk/{id}")), "{}", begun.head);
    eventually(|| bulk(&server, &id)["state"] == "done");
    let done = bulk(&server, &id);
    assert_eq!((&done["matches"], &done["made"]), (&json!(4), &json!(4)));
    assert_eq!(done["counts"], json!({"waiting": 0, "sent": 0, "done": 3, "refused": 1}));
    assert_eq!(done["failures"], json!({"4.05": 1}));
    assert_eq!(server.get("/api/v1/endpoints/lamp-1/values?path=/3/0/9").json()["items"][0]["value"], 84);
    assert_eq!(server.get("/api/v1/endpoints/pump/commands").json()["items"], json!([]));
    assert_eq!(server.call("DELETE", &format!("/api/v1/bulk/{id}"), "").status, 409);
    assert_eq!(server.get("/api/v1/bulk").json()["items"].as_array().unwrap().len(), 1);
}

#[test]
fn devices_may_be_named_and_each_has_its_own_answer() {
    let server = Server::start();
    let _lamp = register(&server, "ep=lamp&lt=600&lwm2m=1.1&b=U", agreeable());
    let _pump = register(&server, "ep=pump&lt=600&lwm2m=1.1&b=U", agreeable());
    let order = json!({
        "filter": "", "endpoints": ["pump", "nobody"], "operation": "write", "path": "/1/0/1",
        "content": {"value": 77},
    });
    let begun = server.call("POST", "/api/v1/bulk", &order.to_string());
    assert_eq!(begun.status, 202, "{begun:?}");
    eventually(|| bulk(&server, "1")["state"] == "done");
    let done = bulk(&server, "1");
    let at = |name: &str| done["counts"][name].as_u64().unwrap_or(0);
    assert_eq!((at("done"), at("failed"), &done["matches"]), (1, 1, &json!(1)));
    assert_eq!(server.get("/api/v1/endpoints/pump/values").json()["items"][0]["value"], 77);
    assert_eq!(server.get("/api/v1/endpoints/lamp/commands").json()["items"], json!([]));
}

#[test]
fn what_makes_no_sense_is_refused_before_anything_is_asked() {
    let server = Server::start();
    for (order, word) in [
        (json!({"filter": "stat:asleep", "operation": "read", "path": "/3/0"}), "state"),
        (json!({"filter": "", "operation": "paint", "path": "/3/0"}), "write-attributes"),
        (json!({"filter": "", "operation": "read", "path": "/x"}), "path"),
        (json!({"filter": "", "operation": "write", "path": "/1/0/1"}), "body"),
        (json!({"filter": "a", "endpoints": ["b"], "operation": "read", "path": "/3/0"}), "not both"),
        (json!({"filter": "", "operation": "read", "path": "/3/0", "not_after": "a&b"}), "not_after"),
        (json!({"filter": "", "operation": "read", "path": "/3/0", "more": 1}), "more"),
    ] {
        let refused = server.call("POST", "/api/v1/bulk", &order.to_string());
        assert_eq!(refused.status, 400, "{order} {refused:?}");
        assert!(refused.body.contains(word), "{order} {refused:?}");
    }
    for method in ["GET", "DELETE"] {
        let refused = server.call(method, "/api/v1/bulk/7", "");
        assert_eq!((refused.status, refused.problem().as_str()), (404, "unknown-bulk"));
        assert_eq!(refused.json()["title"], "No such bulk operation is known.");
    }
}

#[test]
fn a_cancelled_bulk_takes_back_what_waits_also_after_a_restart() {
    let folder = tempfile::tempdir().unwrap();
    let keep = |config: &mut Config| config.store.folder = Some(folder.path().to_owned());
    let server = Server::with(keep);
    let devices: Vec<Device> =
        (0..3).map(|n| register(&server, &format!("ep=mute-{n}&lt=600&lwm2m=1.1&b=U"), silent())).collect();
    let order = json!({"filter": "mute", "operation": "read", "path": "/3/0", "not_after": "1h"}).to_string();
    assert_eq!(server.call("POST", "/api/v1/bulk", &order).status, 202);
    eventually(|| bulk(&server, "1")["made"] == 3);
    assert_eq!(bulk(&server, "1")["state"], "running");
    drop(devices);
    drop(server);

    let server = Server::with(keep);
    let found = bulk(&server, "1");
    let at = |bulk: &Value, state: &str| bulk["counts"][state].as_u64().unwrap_or(0);
    assert_eq!(
        (at(&found, "waiting") + at(&found, "sent"), &found["state"]),
        (3, &json!("running")),
        "{found}"
    );
    assert_eq!(server.call("DELETE", "/api/v1/bulk/1", "").json()["state"], "cancelled");
    let found = bulk(&server, "1");
    assert_eq!(at(&found, "cancelled") + at(&found, "sent"), 3, "{found}");
    assert_eq!(at(&found, "waiting"), 0, "{found}");
}

#[test]
fn the_audit_names_the_operation_and_whom_it_was_for() {
    let server = Server::start();
    let _devices: Vec<Device> =
        (0..2).map(|n| register(&server, &format!("ep=mute-{n}&lt=600&lwm2m=1.1&b=U"), silent())).collect();
    let write = json!({"operation": "write", "path": "/3/0/14", "content": {"value": "+4711"}});
    let order = |whom: Value| {
        let mut order = write.clone();
        order.as_object_mut().unwrap().extend(whom.as_object().unwrap().clone());
        server.call("POST", "/api/v1/bulk", &order.to_string()).status
    };
    let state = json!({"filter": "lifetime>60 lwm2m:1.1"});
    assert_eq!(order(state), 202);
    assert_eq!(order(json!({"filter": ""})), 202);
    assert_eq!(order(json!({"filter": "", "endpoints": ["mute-1"]})), 202);
    assert_eq!(server.call("DELETE", "/api/v1/bulk/1", "").status, 200);
    assert_eq!(server.call("DELETE", "/api/v1/bulk/1", "").status, 409);
    let told: Vec<_> = server.get("/api/v1/audit").json()["items"]
        .as_array()
        .unwrap()
        .iter()
        .map(|entry| (entry["action"].clone(), entry["path"].clone(), entry["detail"].clone()))
        .collect();
    let entry = |action: &str, detail: &str| (json!(action), json!("/3/0/14"), json!(detail));
    let by_filter = "write /3/0/14 on 2 devices (filter lifetime>60 lwm2m:1.1), bulk operation 1";
    assert_eq!(
        told,
        [
            (json!("cancelBulk"), Value::Null, json!("command-over")),
            entry("cancelBulk", by_filter),
            entry("startBulk", "write /3/0/14 on 1 device (mute-1), bulk operation 3"),
            entry("startBulk", "write /3/0/14 on 2 devices (all that are registered), bulk operation 2"),
            entry("startBulk", by_filter),
        ]
    );
}
