//! The OpenAPI document against the server: what is answered is what the document describes, with nothing left out on either side.

use std::collections::BTreeMap;

use serde_json::{Value as Json, json};

use crate::support::{Device, Reply, Script, Server, agreeable};

/// What is asked of a server with one device, `one`, and what the answers hold is to be described.
const ASKED: &[(&str, &str, &str)] = &[
    ("GET", "/endpoints?count=true&columns=/3/0/9", ""),
    ("GET", "/endpoints/one", ""),
    ("GET", "/endpoints/nobody", ""),
    ("GET", "/endpoints/%zz", ""),
    ("GET", "/endpoints/one/resources/3/0?raw=true", ""),
    ("GET", "/endpoints/one/resources/3/0?wait=long", ""),
    ("PUT", "/endpoints/one/resources/3303/0/5750", r#"{"value": "x"}"#),
    ("PUT", "/endpoints/one/resources/3303/0/5750", r#"{"value": 5}"#),
    ("PUT", "/endpoints/one/resources/3303/0/5750?queue=true", r#"{"value": "y"}"#),
    ("GET", "/endpoints/one/discover/3303", ""),
    ("PUT", "/endpoints/one/observations/3303/0/5700", r#"{"pmin": 1}"#),
    ("GET", "/endpoints/one/observations", ""),
    ("GET", "/endpoints/one/commands", ""),
    ("GET", "/endpoints/one/values", ""),
    ("GET", "/endpoints/one/history/3303/0/5700", ""),
    ("GET", "/endpoints/one/log", ""),
    ("GET", "/endpoints/one/trace", ""),
    ("GET", "/endpoints/one/handshakes", ""),
    ("GET", "/endpoints/one/audit", ""),
    ("GET", "/fleet", ""),
    ("GET", "/fleet/rates", ""),
    ("GET", "/session", ""),
    ("GET", "/security", ""),
    ("PUT", "/credentials/one", r#"{"mode": "nosec"}"#),
    ("GET", "/credentials", ""),
    ("GET", "/credentials/nobody", ""),
    ("POST", "/credentials/import", "endpoint,mode\na,nosec\nb,none"),
    (
        "PUT",
        "/bootstrap/two",
        r#"{"servers": [{"short_server_id": 1, "uri": "coap://[::1]", "mode": "nosec"}]}"#,
    ),
    ("GET", "/bootstrap/two/plan", ""),
    ("GET", "/bootstrap", ""),
    ("POST", "/bulk?dry_run=true", r#"{"operation": "read", "path": "/3/0/9", "filter": "lwm2m:1.1"}"#),
    ("POST", "/bulk", r#"{"operation": "read", "path": "/3/0/9", "filter": "lwm2m:1.1"}"#),
    ("GET", "/bulk", ""),
    ("POST", "/tokens", r#"{"name": "ann", "role": "viewer"}"#),
    ("GET", "/models?q=temperature", ""),
    ("GET", "/models/3", ""),
    ("GET", "/models/3/diff?from=1.0", ""),
    ("GET", "/models/3/devices", ""),
    ("POST", "/models?dry_run=true", "<LWM2M/>"),
    ("POST", "/models", "<LWM2M"),
];

fn links_too() -> Script {
    let mut others = agreeable();
    Box::new(move |request| {
        let wants_links = (request.code, request.option(17)) == (1, Some(40));
        if wants_links {
            return Some(request.answer(
                0x45,
                Some(40),
                b"</3303>;ver=1.1;pmin=5,</3303/0>,</3303/0/5700>;st=0.5",
            ));
        }
        others(request)
    })
}

#[test]
fn what_is_answered_is_what_the_document_describes() {
    let server = Server::start();
    let _device = Device::register(&server, "one", links_too());
    let document = server.get("/api/openapi.json").json();
    let mut wrong = Vec::new();
    for (method, address, body) in ASKED {
        let reply = server.call(method, &format!("/api/v1{address}"), body);
        let mut told = Vec::new();
        described(&document, method, address, &reply, &mut told);
        wrong.extend(told.into_iter().map(|what| format!("{method} {address}: {what}")));
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

/// Holds an answer against the operation that the document has for its address.
fn described(document: &Json, method: &str, address: &str, reply: &Reply, wrong: &mut Vec<String>) {
    let asked: Vec<&str> = address.split(['?']).next().unwrap().split('/').collect();
    let paths = document["paths"].as_object().unwrap();
    let fits = |path: &str| {
        let known: Vec<&str> = path.strip_prefix("/api/v1").unwrap_or_default().split('/').collect();
        let is_tail = known.last() == Some(&"{path}");
        (known.len() == asked.len() || (is_tail && asked.len() > known.len()))
            && known.iter().zip(&asked).all(|(known, asked)| known.starts_with('{') || known == asked)
    };
    let fitting =
        paths.iter().filter(|(path, _)| fits(path)).min_by_key(|(path, _)| path.matches('{').count());
    let operation = &fitting.unwrap().1[method.to_lowercase()];
    let answer = &operation["responses"][reply.status.to_string()];
    if answer.is_null() {
        return wrong.push(format!("status {} is not described", reply.status));
    }
    if reply.head.contains("\r\nlocation: ") && answer["headers"]["Location"].is_null() {
        wrong.push(format!("Location of {} is not described", reply.status));
    }
    let kind = reply.head.split("content-type: ").nth(1).unwrap().split(['\r', ';']).next().unwrap();
    let shape = &answer["content"][kind]["schema"];
    if shape.is_null() {
        return wrong.push(format!("{kind} is not described"));
    }
    fit(document, shape, &reply.json(), &format!("{}", reply.status), wrong);
}

/// As much of JSON Schema as the document uses; a member that is not described is wrong.
fn fit(document: &Json, shape: &Json, value: &Json, at: &str, wrong: &mut Vec<String>) {
    if let Some(name) = shape["$ref"].as_str() {
        return fit(document, document.pointer(&name[1..]).unwrap(), value, at, wrong);
    }
    for choice in ["oneOf", "anyOf"] {
        let Some(shapes) = shape[choice].as_array() else { continue };
        let told = shapes.iter().map(|shape| {
            let mut told = Vec::new();
            fit(document, shape, value, at, &mut told);
            told
        });
        wrong.extend(told.min_by_key(Vec::len).unwrap_or_default());
    }
    let kinds = shape["type"].as_array().cloned().unwrap_or_else(|| vec![shape["type"].clone()]);
    let is = |kind: &Json| match kind.as_str() {
        Some("object") => value.is_object(),
        Some("array") => value.is_array(),
        Some("string") => value.is_string(),
        Some("integer") => value.is_i64() || value.is_u64(),
        Some("number") => value.is_number(),
        Some("boolean") => value.is_boolean(),
        Some("null") => value.is_null(),
        _ => true,
    };
    if !kinds.iter().any(is) {
        return wrong.push(format!("{at} is no {}: {value}", shape["type"]));
    }
    if shape["enum"].as_array().is_some_and(|known| !known.contains(value)) {
        wrong.push(format!("{at} is not listed: {value}"));
    }
    if let Some(items) = value.as_array() {
        let each = &shape["items"];
        items
            .iter()
            .enumerate()
            .for_each(|(index, item)| fit(document, each, item, &format!("{at}/{index}"), wrong));
    }
    if let Some(members) = value.as_object() {
        let known: BTreeMap<String, Json> =
            serde_json::from_value(shape["properties"].clone()).unwrap_or_default();
        let others = &shape["additionalProperties"];
        let says_something = !known.is_empty() || shape["required"].is_array();
        for (name, member) in members {
            match known.get(name) {
                Some(shape) => fit(document, shape, member, &format!("{at}/{name}"), wrong),
                None if others.is_object() => fit(document, others, member, &format!("{at}/{name}"), wrong),
                None if says_something => wrong.push(format!("{at}/{name} is not described")),
                None => {}
            }
        }
        let required = shape["required"].as_array().cloned().unwrap_or_default();
        let missing = required.iter().filter(|name| value.get(name.as_str().unwrap_or_default()).is_none());
        wrong.extend(missing.map(|name| format!("{at} lacks {name}")));
    }
}

#[test]
fn what_departs_from_a_description_is_told() {
    let shape = json!({"type": "object", "required": ["a"], "properties": {"a": {"type": "integer"}, "b": {"enum": ["x"]}}});
    for (value, count) in [
        (json!({"a": 1}), 0),
        (json!({"a": 1, "b": "x"}), 0),
        (json!({"b": "y"}), 2),
        (json!({"a": "1", "c": 1}), 2),
        (json!([]), 1),
    ] {
        let mut wrong = Vec::new();
        fit(&json!({}), &shape, &value, "", &mut wrong);
        assert_eq!(wrong.len(), count, "{value}: {wrong:?}");
    }
}
