//! Credentials over REST: what is taken, what is shown, what is kept, and that nobody passes them by.

use std::net::UdpSocket;
use std::path::Path;
use std::time::Duration;

use lightship_service::config::SealKey;
use lightship_service::{Config, Service};
use serde_json::json;

use super::support::{Device, Message, Server, agreeable, eventually};

const KEY: &str = "6c69676874736869702d6b65792d3132";
const DEV_7: &str = "/api/v1/credentials/urn%3Adev%3A7";
const DEV_7_BOOTSTRAP: &str = "/api/v1/bootstrap/urn%3Adev%3A7/credential";

fn psk(identity: &str) -> String {
    json!({"mode": "psk", "identity": identity, "key_hex": KEY}).to_string()
}

/// What a device gets for a Register without security.
fn register(server: &Server, name: &str) -> u8 {
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    socket.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
    let options = vec![
        (11, b"rd".to_vec()),
        (12, vec![40]),
        (15, format!("ep={name}").into_bytes()),
        (15, b"lt=60".to_vec()),
        (15, b"lwm2m=1.1".to_vec()),
    ];
    let register = Message { kind: 0, code: 2, id: 1, token: vec![], options, payload: b"</3/0>".to_vec() };
    socket.send_to(&register.bytes(), server.coap).unwrap();
    let mut buffer = [0; 100];
    let len = socket.recv(&mut buffer).unwrap();
    Message::parse(&buffer[..len]).code
}

// Proves: SEC-02, SEC-08
#[test]
fn every_mode_is_taken_and_shown_without_its_key() {
    let server = Server::start();
    let point = "046b17d1f2e12c4247f8bce6e563a440f277037d812deb33a0f4a13945d898c2964fe342e2fe1a7f9b8ee7eb4a7c0f9e162bce33576b315ececbb6406837bf51f5";
    let public_key = format!("3059301306072a8648ce3d020106082a8648ce3d030107034200{point}");
    for (put, shown) in [
        (
            json!({"mode": "psk", "identity": "me", "key_hex": KEY}),
            json!({"mode": "psk", "identity": "me", "key_set": true}),
        ),
        (
            json!({"mode": "psk", "identity_hex": "ff", "key_hex": KEY}),
            json!({"mode": "psk", "identity_hex": "ff"}),
        ),
        (json!({"mode": "rpk", "public_key_hex": public_key}), json!({"mode": "rpk"})),
        (json!({"mode": "x509", "name": "dev-7"}), json!({"mode": "x509", "name": "dev-7"})),
        (json!({"mode": "x509"}), json!({"mode": "x509"})),
        (json!({"mode": "nosec"}), json!({"mode": "nosec"})),
    ] {
        for address in [DEV_7, DEV_7_BOOTSTRAP] {
            let reply = server.call("PUT", address, &put.to_string());
            assert!(matches!(reply.status, 200 | 201), "{put}: {reply:?}");
            let got = server.get(address);
            assert_eq!(got.json(), reply.json());
            assert_eq!(got.json()["endpoint"], "urn:dev:7");
            for (member, value) in shown.as_object().unwrap() {
                assert_eq!(&got.json()[member], value, "{got:?}");
            }
            assert!(!got.body.contains(KEY) && !got.body.contains(&public_key), "{got:?}");
            if put["mode"] == "rpk" {
                assert_eq!(got.json()["public_key_sha256"].as_str().unwrap().len(), 64);
            }
        }
    }
    for list in ["/api/v1/credentials", "/api/v1/bootstrap-credentials"] {
        assert!(server.call("PUT", DEV_7, &psk("me")).status == 200);
        let body = server.get(list).body;
        assert!(body.contains("urn:dev:7") && !body.contains(KEY), "{body}");
    }
}

// The corpus of bad inputs, 315 and 316.
#[test]
fn what_no_device_could_use_is_refused_and_nothing_is_kept() {
    let server = Server::start();
    let long = "i".repeat(200);
    for (body, status, problem, pointer) in [
        (
            json!({"mode": "psk", "identity": "a", "key_hex": "not hex"}),
            400,
            "invalid-credential",
            "/key_hex",
        ),
        (json!({"mode": "psk", "identity": "a", "key_hex": ""}), 400, "invalid-credential", "/key_hex"),
        (json!({"mode": "psk", "identity": "", "key_hex": KEY}), 400, "invalid-credential", "/identity"),
        (json!({"mode": "psk", "identity": long, "key_hex": KEY}), 400, "invalid-credential", "/identity"),
        (
            json!({"mode": "psk", "identity": "a", "key_hex": KEY.repeat(5)}),
            400,
            "invalid-credential",
            "/key_hex",
        ),
        (json!({"mode": "psk"}), 400, "invalid-credential", "/identity"),
        (json!({"mode": "rpk", "public_key_hex": "30"}), 400, "invalid-credential", "/public_key_hex"),
        (
            // The generator of P-256 with another last byte.
            json!({"mode": "rpk", "public_key_hex": "3059301306072a8648ce3d020106082a8648ce3d030107034200046b17d1f2e12c4247f8bce6e563a440f277037d812deb33a0f4a13945d898c2964fe342e2fe1a7f9b8ee7eb4a7c0f9e162bce33576b315ececbb6406837bf51f6"}),
            400,
            "invalid-credential",
            "/public_key_hex",
        ),
        (json!({"mode": "nosec", "key_hex": KEY}), 400, "invalid-credential", "/key_hex"),
        (json!({"mode": "est"}), 400, "malformed-body", ""),
        (json!({"mode": "psk", "identity": "a", "key": KEY}), 400, "malformed-body", ""),
        (json!(["psk"]), 400, "malformed-body", ""),
    ] {
        let reply = server.call("PUT", DEV_7, &body.to_string());
        assert_eq!((reply.status, reply.problem().as_str()), (status, problem), "{body}: {reply:?}");
        assert_eq!(reply.json()["pointer"].as_str().unwrap_or_default(), pointer, "{reply:?}");
        assert!(!reply.body.contains(KEY), "{reply:?}");
    }
    assert_eq!(server.get(DEV_7).problem(), "no-credential");
    assert_eq!(server.call("DELETE", DEV_7, "").status, 404);
    assert_eq!(server.get("/api/v1/credentials").json()["items"], json!([]));
    assert_eq!(server.call("PUT", "/api/v1/credentials/%00", &psk("a")).status, 400);
}

// Proves: SEC-08
#[test]
fn a_key_of_the_wrong_type_is_not_told_back() {
    let server = Server::start();
    let account = |key: &str| {
        format!(
            r#"{{"servers": [{{"short_server_id": 1, "uri": "coaps://x", "mode": "psk", "identity": "x", "key_hex": {key}}}]}}"#
        )
    };
    let credential = |key: &str| format!(r#"{{"mode": "psk", "identity": "x", "key_hex": {key}}}"#);
    let bodies = [
        (DEV_7, credential("1122334455667788")),
        (DEV_7, credential("11.22334455667788")),
        (DEV_7, r#"{"mode": "psk", "identity": "x", "key_set": "1122334455667788, expected"}"#.to_owned()),
        (DEV_7, r#""1122334455667788""#.to_owned()),
        ("/api/v1/bootstrap/dev-7", account("1122334455667788")),
    ];
    for (address, body) in bodies {
        let reply = server.call("PUT", address, &body);
        assert_eq!(reply.problem(), "malformed-body", "{reply:?}");
        let detail = reply.json()["detail"].as_str().unwrap().to_owned();
        assert!(!detail.contains("334455") && detail.contains(", expected a "), "{detail}");
    }
}

#[test]
fn an_identity_is_of_one_device_in_each_set() {
    let server = Server::start();
    assert_eq!(server.call("PUT", DEV_7, &psk("same")).status, 201);
    let taken = server.call("PUT", "/api/v1/credentials/other", &psk("same"));
    assert_eq!((taken.status, taken.problem().as_str()), (409, "identity-taken"));
    assert!(taken.body.contains("urn:dev:7"), "{taken:?}");
    // The Bootstrap-Server has a set of its own.
    assert_eq!(server.call("PUT", "/api/v1/bootstrap/other/credential", &psk("same")).status, 201);
    assert_eq!(server.get("/api/v1/credentials/other").status, 404);
    // Once it is free, another may have it.
    assert_eq!(server.call("DELETE", DEV_7, "").status, 204);
    assert_eq!(server.call("PUT", "/api/v1/credentials/other", &psk("same")).status, 201);
}

#[test]
fn a_key_that_is_not_said_stays_where_that_is_wanted() {
    let server = Server::start();
    server.call("PUT", DEV_7, &psk("a"));
    let shown = server.get(DEV_7).body;
    assert_eq!(server.call("PUT", DEV_7, &shown).status, 200, "what is shown can be written back");
    let renamed = json!({"mode": "psk", "identity": "b", "key_set": true}).to_string();
    assert_eq!(server.call("PUT", DEV_7, &renamed).json()["identity"], "b");
    let reply = server.call(
        "PUT",
        "/api/v1/credentials/other",
        &json!({"mode": "psk", "identity": "c", "key_set": true}).to_string(),
    );
    assert_eq!((reply.status, reply.json()["pointer"].as_str()), (400, Some("/key_set")));
    let weak =
        server.call("PUT", DEV_7, &json!({"mode": "psk", "identity": "b", "key_hex": "0102"}).to_string());
    assert!(weak.json()["warnings"][0].as_str().unwrap().contains("2 bytes"), "{weak:?}");
}

#[test]
fn credentials_come_in_pages() {
    let server = Server::start();
    for number in 0..7 {
        server.call("PUT", &format!("/api/v1/credentials/dev-{number}"), &psk(&format!("id-{number}")));
    }
    server.call("PUT", "/api/v1/credentials/else", &psk("else"));
    let mut names = Vec::new();
    let mut cursor = String::new();
    loop {
        let page = server.get(&format!("/api/v1/credentials?limit=3&filter=dev{cursor}")).json();
        names.extend(
            page["items"]
                .as_array()
                .unwrap()
                .iter()
                .map(|item| item["endpoint"].as_str().unwrap().to_owned()),
        );
        let Some(next) = page["next"].as_str() else { break };
        cursor = format!("&cursor={next}");
    }
    assert_eq!(names, (0..7).map(|number| format!("dev-{number}")).collect::<Vec<_>>());
    assert_eq!(server.get("/api/v1/credentials?limit=0").status, 400);
}

// Core TS 1.2, 7: a device that has a credential must use it.
// Proves: SEC-04
#[test]
fn who_has_a_credential_does_not_come_without_security() {
    let server = Server::start();
    assert_eq!(register(&server, "urn:dev:7"), 0x41);
    let _device = Device::register(&server, "dev-8", agreeable());
    // Whoever registered before without security is forgotten.
    server.call("PUT", "/api/v1/credentials/dev-8", &psk("8"));
    eventually(|| server.get("/api/v1/endpoints/dev-8").status == 404);
    server.call("PUT", DEV_7, &psk("7"));
    assert_eq!(register(&server, "urn:dev:7"), 0x83);
    assert_eq!(register(&server, "dev-8"), 0x83);
    assert_eq!(register(&server, "dev-9"), 0x41, "others may, since that is allowed here");
    server.call("PUT", DEV_7, r#"{"mode": "nosec"}"#);
    assert_eq!(register(&server, "urn:dev:7"), 0x41);
    // The other way round: not allowed in general, allowed to one.
    let strict = Server::with(|config| config.security.allow_nosec = false);
    assert_eq!(register(&strict, "urn:dev:7"), 0x83);
    strict.call("PUT", DEV_7, r#"{"mode": "nosec"}"#);
    assert_eq!(register(&strict, "urn:dev:7"), 0x41);
    strict.call("DELETE", DEV_7, "");
    eventually(|| strict.get("/api/v1/endpoints/urn%3Adev%3A7").status == 404);
    assert_eq!(register(&strict, "urn:dev:7"), 0x83);
}

fn in_folder(folder: &Path, seal_key: SealKey) -> Config {
    let mut config = Config::loopback();
    config.listen.shards = 1;
    config.store.folder = Some(folder.to_owned());
    config.security.seal_key = seal_key;
    config
}

fn started(config: Config) -> Server {
    let running = Service::start(config).unwrap();
    Server { http: running.http().unwrap(), coap: running.coap().unwrap(), running, token: None }
}

/// Every byte of every file in a folder and below, but for the sealing key.
fn bytes_in(folder: &Path) -> Vec<u8> {
    let paths = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let paths = paths.filter(|path| path.extension() != Some("key".as_ref()));
    paths
        .flat_map(|path| if path.is_dir() { bytes_in(&path) } else { std::fs::read(path).unwrap() })
        .collect()
}

fn contains(bytes: &[u8], part: &[u8]) -> bool {
    bytes.windows(part.len()).any(|window| window == part)
}

// Proves: SEC-08
#[test]
fn keys_are_sealed_on_disk_and_open_with_their_key_alone() {
    let folder = tempfile::tempdir().unwrap();
    let server = started(in_folder(folder.path(), SealKey::OfFolder));
    server.call("PUT", DEV_7, &psk("me-in-the-file"));
    server.call("PUT", DEV_7_BOOTSTRAP, &psk("me"));
    let account = json!({"short_server_id": 1, "uri": "coaps://[::1]", "mode": "psk", "identity": "me", "key_hex": KEY});
    let reply =
        server.call("PUT", "/api/v1/bootstrap/urn%3Adev%3A7", &json!({"servers": [account]}).to_string());
    assert_eq!(reply.status, 201, "{reply:?}");
    drop(server);
    let bytes = bytes_in(folder.path());
    assert!(contains(&bytes, b"me-in-the-file"), "the identity can be looked up");
    assert!(!contains(&bytes, KEY.as_bytes()), "the key in hex");
    assert!(!contains(&bytes, b"lightship-key-12"), "the bytes of the key");
    // They are there after a restart.
    let server = started(in_folder(folder.path(), SealKey::OfFolder));
    assert_eq!(server.get(DEV_7).json()["identity"], "me-in-the-file");
    assert_eq!(server.get(DEV_7_BOOTSTRAP).json()["identity"], "me");
    let servers = server.get("/api/v1/bootstrap/urn%3Adev%3A7").json();
    assert_eq!(servers["servers"][0]["key_set"], true);
    drop(server);
    // Another key opens nothing, and the server says so in place of starting with nothing.
    let other = SealKey::Text("00".repeat(32));
    let error = Service::start(in_folder(folder.path(), other)).err().expect("must not start");
    let text = chain(&error);
    assert!(text.contains("sealed with another key") && text.contains("--seal-key"), "{text}");
    std::fs::rename(folder.path().join("seal.key"), folder.path().join("kept.elsewhere")).unwrap();
    let error = Service::start(in_folder(folder.path(), SealKey::OfFolder)).err().expect("must not start");
    assert!(chain(&error).contains("is gone"), "{}", chain(&error));
    let server = started(in_folder(folder.path(), SealKey::File(folder.path().join("kept.elsewhere"))));
    assert_eq!(server.get(DEV_7).json()["identity"], "me-in-the-file");
    assert!(!folder.path().join("seal.key").exists());
}

fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(inner) = source {
        text.push_str(&format!(": {inner}"));
        source = inner.source();
    }
    text
}

fn row(reply: &super::support::Reply, at: usize) -> (u64, String, String) {
    let row = &reply.json()["rows"][at];
    let text = |member: &str| row[member].as_str().unwrap_or_default().to_owned();
    (row["line"].as_u64().unwrap(), text("result"), format!("{} {}", text("column"), text("reason")))
}

/// Line, result, and what is said of each row of the table below.
const COME_OF_ROWS: [(u64, &str, &str); 11] = [
    (2, "created", " "),
    (3, "created", " "),
    (4, "replaced", " "),
    (5, "refused", ""),
    (6, "refused", "endpoint line 2"),
    (7, "refused", "key_hex the key is no hex"),
    (8, "refused", "mode it is one of psk rpk x509 nosec"),
    (9, "refused", "identity "),
    (10, "refused", "it has 3 fields"),
    (11, "refused", "endpoint "),
    (12, "created", " "),
];

#[test]
fn a_table_is_kept_row_by_row_and_what_is_wrong_is_told_without_a_key() {
    for (import, one) in [
        ("/api/v1/credentials/import", "/api/v1/credentials/"),
        ("/api/v1/bootstrap-credentials/import", "/api/v1/bootstrap/"),
    ] {
        let server = Server::start();
        let address = |name: &str| {
            if one.ends_with("bootstrap/") {
                format!("{one}{name}/credential")
            } else {
                format!("{one}{name}")
            }
        };
        assert_eq!(server.call("PUT", &address("old"), &psk("old-id")).status, 201);
        let table = format!(
            "\u{feff}endpoint,mode,identity,key_hex,name\r\n\
             a,psk,id-a,{KEY},\r\n\
             \"b, the \"\"second\"\"\",x509,,,\"meter\u{e9}\"\r\n\
             old,psk,old-2,{KEY},\r\n\
             c,psk,id-a,{KEY},\r\n\
             a,nosec,,,\r\n\
             d,psk,d,{KEY}zz,\r\n\
             e,{KEY},e,psk,\r\n\
             f,x509,f,,\r\n\
             g,psk,g\r\n\
             ,nosec,,,\r\n\
             h,psk,h,00,\r\n"
        );
        let before = server.get(&address("old")).json();
        let tried = server.call("POST", &format!("{import}?dry_run=true"), &table);
        assert_eq!(tried.status, 200, "{tried:?}");
        assert_eq!(tried.json()["dry_run"], true);
        assert_eq!(server.get(&address("a")).status, 404, "it was only tried");
        assert_eq!(server.get(&address("old")).json(), before);
        let done = server.call("POST", import, &table);
        for (reply, third) in [(&tried, "line 2"), (&done, "\"a\" has this identity")] {
            let json = reply.json();
            assert_eq!(
                (&json["created"], &json["replaced"], &json["refused"]),
                (&json!(3), &json!(1), &json!(7))
            );
            assert!(!reply.body.contains(KEY), "{reply:?}");
            for (at, (line, result, why)) in COME_OF_ROWS.iter().enumerate() {
                let told = row(reply, at);
                assert!(told.0 == *line && told.1 == *result && told.2.contains(why), "{told:?}");
            }
            assert!(row(reply, 3).2.contains(third), "{reply:?}");
            assert!(json["rows"][10]["warnings"][0].as_str().unwrap().contains("can be guessed"), "{json}");
        }
        let warnings = [&tried, &done].map(|reply| {
            (0..COME_OF_ROWS.len()).map(|at| reply.json()["rows"][at]["warnings"].clone()).collect::<Vec<_>>()
        });
        assert_eq!(warnings[0], warnings[1], "who tries it is warned of the same");
        assert!(done.json()["rows"][0]["warnings"].to_string().contains("same key"), "{done:?}");
        assert_eq!(server.get(&address("a")).json()["identity"], "id-a");
        assert_eq!(server.get(&address("b,%20the%20%22second%22")).json()["name"], "meter\u{e9}");
        assert_eq!(server.get(&address("old")).json()["identity"], "old-2");
        for name in ["c", "d", "e", "f", "g"] {
            assert_eq!(server.get(&address(name)).status, 404, "{name}");
        }
        let told = server.get("/api/v1/audit").json();
        let entries = told["items"].as_array().unwrap();
        let whole = entries.iter().find(|entry| entry["endpoint"].is_null()).unwrap();
        assert_eq!(whole["detail"], "3 created, 1 replaced, 7 refused");
        each_changed_device_has_its_entry(&server, whole, import);
        assert!(!told.to_string().contains(KEY));
        let taken = server.call("POST", import, "endpoint,mode,identity,key_hex\nz,psk,id-a,00");
        assert!(row(&taken, 0).2.contains("\"a\" has this identity"), "{taken:?}");
    }
}

#[test]
fn a_key_in_an_address_is_not_kept() {
    let server = Server::start();
    for address in [DEV_7, DEV_7_BOOTSTRAP, "/api/v1/credentials/import"] {
        for method in ["PUT", "POST", "DELETE"] {
            server.call(method, &format!("{address}?key_hex={KEY}"), &psk("me"));
        }
    }
    let told = server.get("/api/v1/audit").json();
    assert!(told["items"].as_array().is_some_and(|items| items.len() >= 5), "{told}");
    assert!(!told.to_string().contains(KEY), "{told}");
}

/// Each device that a row has changed is found in the audit, with the line.
fn each_changed_device_has_its_entry(server: &Server, whole: &serde_json::Value, import: &str) {
    for (name, line) in [("a", 2), ("b,%20the%20%22second%22", 3), ("old", 4), ("h", 12)] {
        let of_device = server.get(&format!("/api/v1/endpoints/{name}/audit")).json();
        let entry = &of_device["items"][0];
        let detail =
            format!("line {line} of a table; the whole of it is entry {}", whole["id"].as_str().unwrap());
        assert_eq!((&entry["detail"], &entry["status"]), (&json!(detail), &json!(200)), "{of_device}");
        assert_eq!((&entry["action"], &entry["target"]), (&whole["action"], &json!(import)));
        assert_eq!(of_device["items"].as_array().unwrap().len(), if name == "old" { 2 } else { 1 });
    }
    let refused = server.get("/api/v1/endpoints/c/audit").json();
    assert_eq!(refused["items"], json!([]), "nothing was changed");
}

#[test]
fn what_is_no_table_of_credentials_is_refused_as_a_whole() {
    let server = Server::start();
    let import = "/api/v1/credentials/import";
    let other = server.call("POST", import, "endpoint;mode\na;nosec");
    assert!(other.body.contains("between columns stands a comma"), "{other:?}");
    for table in [
        "",
        &format!("a,psk,a,{KEY}\nb,psk,b,{KEY}"),
        "endpoint\na",
        "endpoint,mode,mode\na,nosec,nosec",
        "endpoint,mode\na,\"nosec",
    ] {
        let reply = server.call("POST", import, table);
        assert_eq!(reply.problem(), "malformed-body", "{table}");
        assert!(!reply.body.contains(KEY), "{reply:?}");
    }
    assert_eq!(server.call("POST", &format!("{import}?colour=red"), "endpoint,mode").status, 400);
    assert!(server.get("/api/v1/credentials").json()["items"].as_array().unwrap().is_empty());
    // A device may have that name all the same.
    for (address, status) in [(import, 201), ("/api/v1/credentials/%69mport", 200)] {
        assert_eq!(server.call("PUT", address, &psk("i")).status, status, "{address}");
        assert_eq!(server.get(address).json()["endpoint"], "import", "{address}");
    }
    let told = server.get("/api/v1/endpoints/import/audit").json();
    assert_eq!(told["items"].as_array().unwrap().len(), 2, "{told}");
    assert_eq!(server.get(&format!("{import}?colour=red")).status, 200);
    assert_eq!(server.call("DELETE", import, "").status, 204);
    assert_eq!(server.call("PATCH", import, "{}").status, 405);
}

#[test]
fn a_credential_in_anothers_name_is_a_mistake() {
    let server = Server::start();
    let body = r#"{"endpoint": "other", "mode": "nosec"}"#;
    for address in ["/api/v1/credentials/one", "/api/v1/bootstrap/one/credential"] {
        let reply = server.call("PUT", address, body);
        assert_eq!((reply.status, reply.problem().as_str()), (400, "malformed-body"), "{reply:?}");
        assert_eq!(reply.json()["pointer"], "/endpoint");
        assert_eq!(server.call("PUT", address, &body.replace("other", "one")).status, 201);
    }
}
