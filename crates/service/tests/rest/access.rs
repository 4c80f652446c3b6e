//! Who may do what, and what is told of who did.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;

use lightship_api::routes::ROUTES;
use serde_json::{Value as Json, json};

use crate::support::{Device, Events, Reply, Server, agreeable, eventually};

const ADMIN: &str = "the-token-of-the-configuration";

fn locked() -> Server {
    Server::with(|config| config.api.token = Some(ADMIN.to_owned()))
}

fn request(method: &str, address: &str, token: &str, body: &str) -> String {
    let bearer = if token.is_empty() { String::new() } else { format!("Authorization: Bearer {token}\r\n") };
    let length = body.len();
    format!(
        "{method} {address} HTTP/1.1\r\nHost: localhost\r\n{bearer}Content-Length: {length}\r\nConnection: close\r\n\r\n{body}"
    )
}

fn call(server: &Server, method: &str, address: &str, token: &str, body: &str) -> Reply {
    server.raw(request(method, address, token, body))
}

/// A token that somebody has made; its secret and its id.
fn token(server: &Server, name: &str, role: &str, expires_in_s: Option<u64>) -> (String, String) {
    let new = json!({"name": name, "role": role, "expires_in_s": expires_in_s}).to_string();
    let made = call(server, "POST", "/api/v1/tokens", ADMIN, &new);
    assert_eq!(made.status, 201, "{made:?}");
    let text = |member: &str| made.json()[member].as_str().unwrap().to_owned();
    (text("secret"), text("id"))
}

/// Status and type of problem of an answer that may never end.
fn verdict(server: &Server, method: &str, address: &str, token: &str) -> (u16, String) {
    let mut stream = server.connect();
    stream.write_all(request(method, address, token, "").as_bytes()).unwrap();
    let mut reader = BufReader::new(stream);
    let mut head = String::new();
    while !head.ends_with("\r\n\r\n") && reader.read_line(&mut head).unwrap() > 0 {}
    let status = head.split(' ').nth(1).unwrap_or_default().parse().unwrap_or(0);
    if !head.contains("application/problem+json") {
        return (status, String::new());
    }
    let mut body = Vec::new();
    let _ = reader.read_to_end(&mut body);
    let problem: Json = serde_json::from_slice(&body).unwrap();
    (status, problem["type"].as_str().unwrap().replace("/problems/", ""))
}

/// What the checked-in document says that each operation needs: the table that people read.
fn documented() -> Vec<(String, String, String)> {
    let text = include_str!("../../../api/openapi.json");
    let document: Json = serde_json::from_str(text).unwrap();
    let mut rows = Vec::new();
    for (path, methods) in document["paths"].as_object().unwrap() {
        for (method, operation) in methods.as_object().unwrap() {
            let role = operation["security"][0]["token"][0].as_str().unwrap_or("nothing");
            rows.push((method.to_uppercase(), path.clone(), role.to_owned()));
        }
    }
    rows
}

#[test]
fn every_route_is_for_those_roles_that_the_document_names() {
    let server = locked();
    let (viewer, _) = token(&server, "viewer", "viewer", None);
    let (operator, _) = token(&server, "operator", "operator", None);
    let (admin, _) = token(&server, "admin", "admin", None);
    let (expired, _) = token(&server, "expired", "admin", Some(1));
    eventually(|| call(&server, "GET", "/api/v1/session", &expired, "").status == 401);
    let rows = documented();
    assert_eq!(rows.len(), ROUTES.len(), "crates/api/openapi.json is stale");
    let rank =
        |role: &str| ["nothing", "viewer", "operator", "admin"].iter().position(|known| *known == role);
    for (method, path, role) in rows {
        let address = path.replace("{path}", "3/0/9").replace("{objectId}", "3").replace(['{', '}'], "");
        for (caller, token) in [("viewer", &viewer), ("operator", &operator), ("admin", &admin)] {
            let (status, problem) = verdict(&server, &method, &address, token);
            let may = rank(caller).unwrap() >= rank(&role).unwrap();
            assert_eq!(problem != "forbidden-role", may, "{caller}: {method} {address}: {status} {problem}");
            assert!(
                status != 0 && status != 401 && problem != "internal",
                "{caller}: {method} {address}: {status}"
            );
        }
        for (caller, token, expected) in [
            ("nobody", "", "no-token"),
            ("expired", expired.as_str(), "token-expired"),
            ("unknown", "ls_0123456789ab_0123456789abcdef", "wrong-token"),
        ] {
            let (status, problem) = verdict(&server, &method, &address, token);
            let refused = [401, 403].contains(&status) && problem == expected;
            assert_eq!(refused, role != "nothing", "{caller}: {method} {address}: {status} {problem}");
        }
    }
}

#[test]
fn a_viewer_changes_nothing() {
    let server = locked();
    let device = Device::register(&server, "mine", agreeable());
    let (viewer, _) = token(&server, "screen", "viewer", None);
    let before = facts(&server);
    let node = r#"{"value": 60}"#;
    for (method, address, body) in [
        ("PUT", "/api/v1/endpoints/mine/resources/1/0/1", node),
        ("PATCH", "/api/v1/endpoints/mine/resources/1/0", node),
        ("POST", "/api/v1/endpoints/mine/resources/3303", "{}"),
        ("DELETE", "/api/v1/endpoints/mine/resources/3303/7", ""),
        ("POST", "/api/v1/endpoints/mine/execute/3/0/4", ""),
        ("PUT", "/api/v1/endpoints/mine/attributes/3303/0", r#"{"pmin": 5}"#),
        ("PUT", "/api/v1/endpoints/mine/observations/3303/0/5700", ""),
        ("DELETE", "/api/v1/endpoints/mine/observations/3303/0/5700", ""),
        ("POST", "/api/v1/endpoints/mine/composite/write", r#"{"nodes": []}"#),
        ("PUT", "/api/v1/endpoints/mine/composite/observations/x", r#"{"paths": ["/3"]}"#),
        ("GET", "/api/v1/endpoints/mine/resources/3/0?queue=true", ""),
        ("GET", "/api/v1/endpoints/mine/resources/3/0?%71ueue=true", ""),
        ("GET", "/api/v1/endpoints/mine/discover/3?queue", ""),
        ("POST", "/api/v1/endpoints/mine/composite/read?queue=true", r#"{"paths": ["/3"]}"#),
        ("DELETE", "/api/v1/endpoints/mine", ""),
        ("POST", "/api/v1/bulk", BULK),
        ("POST", "/api/v1/bulk?dry_run=false", BULK),
        ("POST", "/api/v1/bulk?dry_run=true&dry_run=false", BULK),
        ("PUT", "/api/v1/credentials/mine", r#"{"mode": "nosec"}"#),
        ("PUT", "/api/v1/bootstrap/mine", "{}"),
        ("PUT", "/api/v1/bootstrap/mine/credential", r#"{"mode": "nosec"}"#),
        ("PUT", "/api/v1/bootstrap-templates/all", "{}"),
        ("POST", "/api/v1/tokens", r#"{"name": "mine too", "role": "admin"}"#),
        ("GET", "/api/v1/tokens", ""),
        ("GET", "/api/v1/audit", ""),
    ] {
        let reply = call(&server, method, address, &viewer, body);
        assert_eq!(reply.problem(), "forbidden-role", "{method} {address}");
    }
    assert_eq!(device.requests.try_iter().count(), 0, "nothing reached the device");
    assert_eq!(facts(&server), before);
    assert_eq!(call(&server, "GET", "/api/v1/endpoints/mine/resources/3/0/9", &viewer, "").status, 200);
    let preview = call(&server, "POST", "/api/v1/bulk?dry_run=true", &viewer, BULK);
    assert_eq!((preview.status, &preview.json()["matches"]), (200, &json!(1)), "{preview:?}");
    assert_eq!(call(&server, "GET", "/api/v1/bulk", ADMIN, "").json()["items"], json!([]));
}

const BULK: &str = r#"{"filter": "", "operation": "execute", "path": "/3/0/4"}"#;

/// What a viewer could have changed.
fn facts(server: &Server) -> Vec<Json> {
    let lists = ["endpoints", "credentials", "bootstrap", "bootstrap-credentials", "bootstrap-templates"];
    let of_device = ["endpoints/mine/commands", "endpoints/mine/observations"];
    let lists = lists.iter().chain(&of_device);
    lists
        .map(|list| call(server, "GET", &format!("/api/v1/{list}"), ADMIN, "").json()["items"].clone())
        .collect()
}

#[test]
fn a_token_is_shown_once_and_says_who_one_is() {
    let server = locked();
    let (secret, id) = token(&server, "Ann", "operator", Some(3600));
    assert!(secret.starts_with(&format!("ls_{id}_")) && secret.len() == 4 + id.len() + 64, "{secret}");
    let me = call(&server, "GET", "/api/v1/session", &secret, "").json();
    assert_eq!((&me["name"], &me["role"], &me["token_id"]), (&json!("Ann"), &json!("operator"), &json!(id)));
    assert!(me["expires_at"].is_string());
    let listed = call(&server, "GET", "/api/v1/tokens", ADMIN, "");
    assert!(!listed.body.contains(&secret), "{listed:?}");
    let item = &listed.json()["items"][0];
    assert_eq!((&item["id"], &item["created_by"]), (&json!(id), &json!("configuration")));
    assert!(item["last_used_at"].is_string() && item["expired"] == false, "{item}");
    let twice = call(&server, "POST", "/api/v1/tokens", ADMIN, r#"{"name": "Ann", "role": "viewer"}"#);
    assert_eq!(twice.problem(), "conflict");
    for bad in [
        r#"{"name": "", "role": "viewer"}"#,
        r#"{"name": "dev", "role": "viewer"}"#,
        r#"{"name": "a\u0000", "role": "viewer"}"#,
        r#"{"name": "a", "role": "king"}"#,
        r#"{"name": "a", "role": "viewer", "expires_in_s": 0}"#,
        r#"{"name": "a", "role": "viewer", "secret": "mine"}"#,
    ] {
        assert_eq!(call(&server, "POST", "/api/v1/tokens", ADMIN, bad).problem(), "malformed-body", "{bad}");
    }
    assert_eq!(call(&server, "DELETE", &format!("/api/v1/tokens/{id}"), ADMIN, "").status, 204);
    assert_eq!(
        call(&server, "DELETE", &format!("/api/v1/tokens/{id}"), ADMIN, "").problem(),
        "unknown-token"
    );
    assert_eq!(call(&server, "GET", "/api/v1/session", &secret, "").problem(), "wrong-token");
}

#[test]
fn an_open_stream_ends_with_its_token() {
    let server = locked();
    let ends = |address: &str, secret: &str, end: &dyn Fn()| {
        let mut stream: TcpStream = server.connect();
        stream.write_all(request("GET", address, secret, "").as_bytes()).unwrap();
        let mut first = [0; 1];
        stream.read_exact(&mut first).unwrap();
        end();
        let mut rest = Vec::new();
        // It would time out if it did not end.
        stream.read_to_end(&mut rest).unwrap();
        assert!(String::from_utf8_lossy(&rest).contains("text/event-stream"));
    };
    let streams = ["/api/v1/events", "/api/v1/endpoints/mine/trace?follow=true"];
    for address in streams {
        let (secret, id) = token(&server, "taken away", "viewer", None);
        ends(address, &secret, &|| {
            assert_eq!(call(&server, "DELETE", &format!("/api/v1/tokens/{id}"), ADMIN, "").status, 204);
        });
    }
    let (secret, _) = token(&server, "short", "viewer", Some(1));
    ends("/api/v1/events", &secret, &|| {});
    assert_eq!(call(&server, "GET", "/api/v1/events", &secret, "").problem(), "token-expired");
}

#[test]
fn a_server_without_a_token_takes_everybody_for_an_admin() {
    let server = Server::start();
    assert_eq!(server.get("/api/v1/session").json(), json!({"name": "dev", "role": "admin"}));
    let made = server.call("POST", "/api/v1/tokens", r#"{"name": "screen", "role": "viewer"}"#).json();
    let secret = made["secret"].as_str().unwrap();
    assert_eq!(call(&server, "GET", "/api/v1/session", secret, "").json()["role"], "viewer");
    assert_eq!(call(&server, "GET", "/api/v1/tokens", secret, "").problem(), "forbidden-role");
    // A token that is gone does not make an admin of who has it.
    let id = made["id"].as_str().unwrap();
    assert_eq!(server.call("DELETE", &format!("/api/v1/tokens/{id}"), "").status, 204);
    assert_eq!(call(&server, "GET", "/api/v1/session", secret, "").problem(), "wrong-token");
}

#[test]
fn tokens_and_the_audit_outlive_the_process_and_the_secret_is_nowhere() {
    let folder = tempfile::tempdir().unwrap();
    let open = || {
        Server::with(|config| {
            config.api.token = Some(ADMIN.to_owned());
            config.store.folder = Some(folder.path().to_owned());
        })
    };
    let server = open();
    let (secret, id) = token(&server, "robot", "operator", None);
    let audit = call(&server, "GET", "/api/v1/audit", ADMIN, "").json();
    drop(server);
    let server = open();
    assert_eq!(call(&server, "GET", "/api/v1/session", &secret, "").json()["token_id"], json!(id));
    assert_eq!(call(&server, "GET", "/api/v1/audit", ADMIN, "").json(), audit);
    assert_eq!(call(&server, "PUT", "/api/v1/credentials/x", &secret, "{}").problem(), "forbidden-role");
    let all = call(&server, "GET", "/api/v1/audit", ADMIN, "").json();
    assert_eq!(all["items"].as_array().unwrap().len(), 2, "{all}");
    drop(server);
    let mut files = vec![folder.path().to_owned()];
    while let Some(path) = files.pop() {
        if path.is_dir() {
            files.extend(std::fs::read_dir(path).unwrap().map(|entry| entry.unwrap().path()));
        } else {
            let bytes = std::fs::read(&path).unwrap();
            let tail = secret.rsplit('_').next().unwrap().as_bytes();
            assert!(!bytes.windows(tail.len()).any(|window| window == tail), "{}", path.display());
        }
    }
}

/// The newest entries, without what changes from run to run.
fn told(server: &Server, address: &str, token: &str) -> Vec<Json> {
    let mut items = call(server, "GET", address, token, "").json()["items"].as_array().unwrap().clone();
    for item in &mut items {
        let item = item.as_object_mut().unwrap();
        assert!(
            item["time"].is_string() && item["id"].is_string() && item["from"] == "127.0.0.1",
            "{item:?}"
        );
        for member in ["id", "time", "from", "token_id"] {
            item.remove(member);
        }
    }
    items
}

#[test]
fn who_changes_something_is_told_and_what_is_secret_is_not() {
    let server = locked();
    let _device = Device::register(&server, "mine", agreeable());
    let (operator, _) = token(&server, "Olga", "operator", None);
    let (viewer, _) = token(&server, "Vera", "viewer", None);
    let address = "/api/v1/endpoints/mine/resources/1/0/1";
    assert_eq!(call(&server, "PUT", address, &operator, r#"{"value": 4711}"#).status, 200);
    assert_eq!(call(&server, "PUT", address, &viewer, r#"{"value": 4712}"#).status, 403);
    assert_eq!(call(&server, "GET", address, &viewer, "").status, 200);
    assert_eq!(call(&server, "PUT", address, &operator, r#"{"value": "no 4713"}"#).status, 422);
    let queued =
        call(&server, "POST", "/api/v1/endpoints/mine/execute/3/0/4?queue=true", &operator, "").json();
    assert_eq!(queued["queued_by"], "Olga", "{queued}");
    let credential =
        r#"{"mode": "psk", "identity": "somebody", "key_hex": "00112233445566778899aabbccddeeff"}"#;
    assert_eq!(call(&server, "PUT", "/api/v1/credentials/other%20one", ADMIN, credential).status, 201);
    let of_device = told(&server, "/api/v1/endpoints/mine/audit", &viewer);
    let entry = |method: &str, action: &str, path: &str, status: u16, actor: (&str, &str)| {
        json!({
            "actor": actor.0, "role": actor.1, "action": action, "endpoint": "mine", "path": path,
            "method": method, "status": status,
        })
    };
    let olga = ("Olga", "operator");
    let mut expected = [
        entry("POST", "execute", "/3/0/4", 202, olga),
        entry("PUT", "writeReplace", "/1/0/1", 422, olga),
        entry("PUT", "writeReplace", "/1/0/1", 403, ("Vera", "viewer")),
        entry("PUT", "writeReplace", "/1/0/1", 200, olga),
    ];
    for one in &mut expected[1..] {
        one["target"] = json!(address);
    }
    expected[0]["target"] = json!("/api/v1/endpoints/mine/execute/3/0/4?queue=true");
    expected[0]["detail"] = json!(format!("command {}", queued["id"].as_str().unwrap()));
    expected[1]["detail"] = json!("does-not-fit");
    expected[2]["detail"] = json!("forbidden-role");
    expected[3]["code"] = json!("2.04");
    assert_eq!(of_device, expected);
    let all = told(&server, "/api/v1/audit", ADMIN);
    let actions: Vec<_> = all.iter().map(|item| item["action"].as_str().unwrap()).collect();
    assert_eq!(
        actions,
        [
            "putCredentials",
            "execute",
            "writeReplace",
            "writeReplace",
            "writeReplace",
            "createToken",
            "createToken"
        ]
    );
    assert_eq!((&all[0]["endpoint"], &all[0]["status"]), (&json!("other one"), &json!(201)));
    let text = serde_json::to_string(&all).unwrap();
    for secret in ["00112233", "4711", "4712", "4713", &operator, &viewer, ADMIN, "somebody"] {
        assert!(!text.contains(secret), "{secret} in {text}");
    }
    assert_eq!(told(&server, "/api/v1/audit?actor=Vera", ADMIN).len(), 1);
    assert_eq!(told(&server, "/api/v1/audit?endpoint=mine&limit=3", ADMIN), expected[..3]);
    let next =
        call(&server, "GET", "/api/v1/audit?limit=3", ADMIN, "").json()["next"].as_str().unwrap().to_owned();
    assert_eq!(told(&server, &format!("/api/v1/audit?limit=100&cursor={next}"), ADMIN), all[3..]);
    assert!(told(&server, "/api/v1/audit?to=1h", ADMIN).is_empty());
    assert_eq!(told(&server, "/api/v1/audit?from=1h", ADMIN).len(), 7);
    for bad in ["from=x", "cursor=%20", "limit=0", "limit=1001", "endpoint=%00", "colour=red"] {
        assert_eq!(call(&server, "GET", &format!("/api/v1/audit?{bad}"), ADMIN, "").status, 400, "{bad}");
    }
}

#[test]
fn a_devices_audit_has_what_was_done_with_its_commands() {
    let server = Server::start();
    let refuse = |request: &crate::support::Message| Some(request.answer(0x85, None, b""));
    let _device = Device::register(&server, "mine", Box::new(refuse));
    let queued = server.call("POST", "/api/v1/endpoints/mine/execute/3/0/4?queue=true", "").json();
    let command = format!("/api/v1/commands/{}", queued["id"].as_str().unwrap());
    eventually(|| server.get(&command).json()["state"] == "refused");
    let again = server.call("POST", &format!("{command}/retry"), "");
    let location = format!("\r\nlocation: /api/v1/commands/{}\r\n", again.json()["id"].as_str().unwrap());
    assert!(again.status == 201 && again.head.contains(&location), "{again:?}");
    let actions: Vec<_> = told(&server, "/api/v1/endpoints/mine/audit", "")
        .iter()
        .map(|item| item["action"].as_str().unwrap().to_owned())
        .collect();
    assert_eq!(actions, ["retryCommand", "execute"]);
}

#[test]
fn who_goes_away_before_the_answer_is_told_all_the_same() {
    let server = Server::start();
    let silent = Device::register(&server, "silent", Box::new(|_| None));
    let mut stream = server.connect();
    let address = "/api/v1/endpoints/silent/execute/3/0/4?wait=30s";
    stream.write_all(request("POST", address, "", "").as_bytes()).unwrap();
    // It is on its way to the device by then.
    silent.next_request();
    drop(stream);
    eventually(|| {
        let all = server.get("/api/v1/endpoints/silent/audit").json();
        all["items"][0]["detail"] == "the caller did not wait for the answer"
    });
}

#[test]
fn refused_tries_are_told_up_to_a_bound() {
    let server = locked();
    let (viewer, _) = token(&server, "eager", "viewer", None);
    for _ in 0..200 {
        assert_eq!(call(&server, "DELETE", "/api/v1/endpoints/x", &viewer, "").status, 403);
    }
    let told = told(&server, "/api/v1/audit?actor=eager&limit=1000", ADMIN).len();
    // A minute may have begun anew in between.
    assert!((60..=120).contains(&told), "{told}");
}

#[test]
fn every_answer_of_the_page_says_what_it_may_load() {
    let server = Server::start();
    let index = server.get("/");
    assert_eq!(index.status, 200);
    let links =
        index.body.split(['"', '\'']).filter(|part| part.starts_with("./") || part.starts_with("/assets"));
    let mut files: Vec<String> =
        links.map(|link| format!("/{}", link.trim_start_matches(['.', '/']))).collect();
    files.extend([
        "/".to_owned(),
        "/index.html".to_owned(),
        "/api/v1/session".to_owned(),
        "/nothing".to_owned(),
    ]);
    assert!(
        files.iter().any(|file| file.ends_with(".js")) && files.iter().any(|file| file.ends_with(".css"))
    );
    for file in files {
        let head = server.get(&file).head;
        let policy =
            head.lines().find(|line| line.starts_with("content-security-policy:")).unwrap_or_default();
        assert!(
            policy.contains("default-src 'none'") && policy.contains("script-src 'self'"),
            "{file}: {head}"
        );
        assert!(
            !policy.contains("unsafe") && !policy.contains("http:") && !policy.contains('*'),
            "{file}: {head}"
        );
        assert!(head.contains("x-content-type-options: nosniff"), "{file}: {head}");
    }
    // Nothing in the page would need more than it may.
    assert!(
        !index.body.contains("<style") && !index.body.contains("style=") && !index.body.contains("onload=")
    );
    let scripts = index.body.matches("<script").count();
    assert_eq!(index.body.matches("src=").count(), scripts, "{}", index.body);
}

#[test]
fn an_event_reader_needs_a_token_and_gets_its_events() {
    let server = Server::start();
    let mut events = Events::follow(&server, "?type=registered", None);
    let _device = Device::register(&server, "seen", agreeable());
    assert_eq!(events.event()["endpoint"], "seen");
}
