//! The Bootstrap-Server: documents by REST, sessions over real sockets.

use std::net::UdpSocket;
use std::time::Duration;

use lightship_lwm2m::format::{Format, decode};
use serde_json::{Value as Json, json};

use crate::support::{Device, Events, Message, Reply, Server, agreeable as registered, eventually};

/// A key that must be seen nowhere: in hex, in base64, and in any case.
pub(crate) const KEY_HEX: &str = "c0ffee00c0ffee00c0ffee00c0ffee00";
pub(crate) const KEY_BASE64: &str = "wP/uAMD/7gDA/+4AwP/uAA";
const ADDRESS: &str = "/api/v1/bootstrap/dev-7";
/// What a device lists that has nothing but its Bootstrap-Server account.
pub(crate) const FRESH: &str = "</>;lwm2m=1.1,</0/0>,</1>,</3/0>";

pub(crate) fn document() -> Json {
    json!({"servers": [{"short_server_id": 7, "uri": "coaps://lwm2m.example:5684", "mode": "psk", "identity": "dev-7",
        "key_hex": KEY_HEX, "lifetime_s": 3600}], "write": [{"path": "/3/0/15", "value": "Europe/Berlin"}]})
}

pub(crate) fn put(server: &Server, document: &Json) -> Reply {
    server.call("PUT", ADDRESS, &document.to_string())
}

/// A device that bootstraps: asks, then answers what comes as its script says; gives what came.
pub(crate) struct Boot {
    pub(crate) socket: UdpSocket,
    commands: Vec<Message>,
}

impl Boot {
    /// Asks with these parameters and returns with the code of the answer.
    pub(crate) fn ask(server: &Server, path: &str, parameters: &str, accept: Option<u16>) -> (Boot, Message) {
        let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
        socket.connect(server.running.bootstrap().unwrap()).unwrap();
        socket.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
        let mut options = vec![(11, path.as_bytes().to_vec())];
        options.extend(parameters.split('&').map(|query| (15, query.as_bytes().to_vec())));
        options.extend(accept.map(|accept| (17, accept.to_be_bytes().to_vec())));
        let code = if path == "bs" { 2 } else { 1 };
        let request = Message { kind: 0, code, id: 7, token: vec![1, 2], options, payload: Vec::new() };
        socket.send(&request.bytes()).unwrap();
        let boot = Boot { socket, commands: Vec::new() };
        let answer = loop {
            let message = boot.receive();
            if message.code == 0 && message.kind == 0 {
                // A ping, before much is sent.
                let pong = Message { kind: 3, code: 0, token: Vec::new(), ..message };
                boot.socket.send(&pong.bytes()).unwrap();
            } else if message.code >= 64 {
                break message;
            }
        };
        (boot, answer)
    }

    pub(crate) fn receive(&self) -> Message {
        let mut buffer = [0; 2048];
        let len = self.socket.recv(&mut buffer).expect("a message within ten seconds");
        Message::parse(&buffer[..len])
    }

    /// Answers commands until a Finish was answered or the script is silent.
    pub(crate) fn play(mut self, mut script: impl FnMut(&Message) -> Option<Message>) -> Vec<Message> {
        loop {
            let command = self.receive();
            let Some(answer) = script(&command) else { return self.commands };
            self.socket.send(&answer.bytes()).unwrap();
            let is_over = command.path() == "/bs" || (answer.code >= 128 && command.code == 3);
            self.commands.push(command);
            if is_over {
                return self.commands;
            }
        }
    }
}

/// Takes everything; lists that when asked what there is.
pub(crate) fn agreeable(listed: &str) -> impl FnMut(&Message) -> Option<Message> {
    let listed = listed.to_owned();
    move |command| {
        Some(match command.code {
            1 if command.option(17) == Some(40) => command.answer(0x45, Some(40), listed.as_bytes()),
            1 => command.answer(0x84, None, b""),
            4 => command.answer(0x42, None, b""),
            _ => command.answer(0x44, None, b""),
        })
    }
}

/// The last session of the device, once it is over.
pub(crate) fn session(server: &Server) -> Json {
    let mut last = Json::Null;
    eventually(|| {
        last = server.get(&format!("{ADDRESS}/sessions")).json()[0].clone();
        last["ended_at"].is_string()
    });
    last
}

/// `GET /`, `PUT /0/1`, …
fn lines(commands: &[Message]) -> Vec<String> {
    let method = |code| ["GET", "POST", "PUT", "DELETE"][usize::from(code) - 1_usize];
    commands.iter().map(|command| format!("{} {}", method(command.code), command.path())).collect()
}

/// The values that a command or a pack carries, as `path=value` in the order of the payload.
fn values(base: &str, format: u16, payload: &[u8]) -> Vec<String> {
    let format = Format::from_number(format).unwrap();
    let base = base.parse().unwrap_or_default();
    let definitions = lightship_lwm2m::object::Definitions::new();
    let entries = lightship_lwm2m::node::typed_entries(decode(format, base, payload), |object| {
        definitions.latest(object)
    });
    let value = |value: Option<lightship_lwm2m::OwnedValue>| {
        value.map(|value| format!("{:?}", value.as_value())).unwrap_or_default()
    };
    entries.unwrap().into_iter().map(|entry| format!("{}={}", entry.path, value(entry.value))).collect()
}

// Contract 5: documents.
#[test]
fn documents_are_kept_and_their_secrets_are_not_shown() {
    let server = Server::start();
    assert_eq!(server.get(ADDRESS).problem(), "no-document");
    let reply = put(&server, &document());
    assert_eq!(reply.status, 201, "{reply:?}");
    let shown = server.get(ADDRESS).json();
    assert_eq!(shown, reply.json());
    assert_eq!((&shown["from"], &shown["servers"][0]["key_set"]), (&json!("document"), &json!(true)));
    assert_eq!(shown["servers"][0]["binding"], "U", "defaults are shown");
    // What is shown may be written back, and keeps the key.
    let mut changed = shown.clone();
    changed["servers"][0]["lifetime_s"] = json!(60);
    let reply = put(&server, &changed);
    assert_eq!((reply.status, &reply.json()["servers"][0]["key_set"]), (200, &json!(true)), "{reply:?}");
    let written = json!({"servers": [], "write": [
        {"path": "/0/3", "resources": {"0": {"value": "coaps://h"}, "1": {"value": false}, "2": {"value": 0},
            "3": {"value": "aWQ="}, "5": {"value": KEY_BASE64.to_owned() + "=="}, "10": {"value": 9}}},
        {"path": "/1/3", "resources": {"0": {"value": 9}, "1": {"value": 60}, "6": {"value": true}, "7": {"value": "U"}}},
        {"path": "/21", "instances": {"0": {"resources": {"0": {"type": "opaque", "value": KEY_BASE64.to_owned() + "=="}}}}}]});
    assert_eq!(put(&server, &written).status, 200);
    let shown = server.get(ADDRESS).json();
    assert_eq!(shown["write"][0]["resources"]["5"]["value"], "(secret)");
    assert_eq!(shown["write"][0]["resources"]["3"]["value"], "aWQ=");
    assert_eq!(shown["write"][2]["instances"]["0"]["resources"]["0"]["value"], "(secret)");
    assert_eq!(put(&server, &shown).status, 200, "and keeps these secrets");
    let plan = server.get(&format!("{ADDRESS}/plan"));
    assert!(plan.json()["refused"].is_null(), "{plan:?}");
    for reply in [plan, server.get(ADDRESS), server.get("/api/v1/bootstrap"), server.get("/metrics")] {
        assert!(
            !reply.body.contains(KEY_BASE64) && !reply.body.to_lowercase().contains(KEY_HEX),
            "{reply:?}"
        );
    }
    assert_eq!(server.call("DELETE", ADDRESS, "").status, 204);
    assert_eq!(server.call("DELETE", ADDRESS, "").problem(), "no-document");
    assert_eq!(put(&server, &shown).status, 422, "now there is no secret to keep");
}

#[test]
fn a_single_resource_of_a_server_instance_that_is_deleted_is_refused() {
    let server = Server::start();
    let account = json!([{"short_server_id": 1, "uri": "coap://h", "mode": "nosec"}]);
    let write = json!([{"path": "/1/9/5", "value": 60}]);
    let torso = put(&server, &json!({"delete": ["/0", "/1"], "servers": account, "write": write}));
    assert_eq!((torso.status, torso.problem().as_str()), (422, "unusable-document"), "{torso:?}");
    assert!(torso.json()["detail"].as_str().unwrap().contains("/1/9"), "{torso:?}");
    // Where nothing is deleted the device may have the rest.
    let change = put(&server, &json!({"delete": [], "servers": account, "write": write}));
    assert_eq!(change.status, 201, "{change:?}");
}

// Core TS 1.2, 6.1.7.6; bad inputs 294 to 297 as the server meets them.
// Proves: BST-27
#[test]
fn a_document_that_would_leave_the_device_unreachable_is_refused_with_the_reason() {
    let server = Server::start();
    let account = |more: Json| {
        let mut account = json!({"short_server_id": 1, "uri": "coap://h", "mode": "nosec"});
        account.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        json!({"servers": [account]})
    };
    for (document, detail) in [
        (json!({}), "register nowhere"),
        (json!({"delete": ["/"]}), "register nowhere"),
        (json!({"write": [{"path": "/1/0/5", "value": 60}]}), "/1/0/0 is missing"),
        (account(json!({"uri": "http://x"})), "no URI"),
        (account(json!({"uri": "coap://[::1"})), "no URI"),
        (account(json!({"uri": "coaps://h"})), "does not go with the mode"),
        (account(json!({"mode": "psk", "uri": "coaps://h"})), "keys"),
        (account(json!({"mode": "psk", "uri": "coaps://h", "identity": "i", "key_hex": ""})), "keys"),
        (account(json!({"binding": "X"})), "binding"),
        (account(json!({"security": {"17": {"value": "21:4"}}})), "object 21"),
        (
            json!({"write": [{"path": "/0/1", "resources": {"0": {"value": "coap://h"}, "1": {"value": false},
                "2": {"value": 3}, "10": {"value": 5}}}]}),
            "no instance of object 1",
        ),
        (
            json!({"write": [{"path": "/0/1", "resources": {"0": {"value": "coap://h"}, "1": {"value": false}, "2": {"value": 3}}}]}),
            "/0/1/10 is missing",
        ),
        (
            json!({"write": [{"path": "/1/1", "resources": {"0": {"value": 5}, "1": {"value": 5}, "6": {"value": true}, "7": {"value": "U"}}}],
                "servers": [{"short_server_id": 1, "uri": "coap://h", "mode": "nosec"}]}),
            "no instance of object 0",
        ),
    ] {
        let reply = put(&server, &document);
        assert_eq!(
            (reply.status, reply.problem().as_str()),
            (422, "unusable-document"),
            "{document}: {reply:?}"
        );
        assert!(reply.json()["detail"].as_str().unwrap().contains(detail), "{document}: {reply:?}");
    }
    for (document, pointer) in [
        (account(json!({"short_server_id": 0})), "/servers/0/short_server_id"),
        (account(json!({"short_server_id": 65535})), "/servers/0/short_server_id"),
        (account(json!({"identity": "x"})), "/servers/0/identity"),
        (
            account(json!({"mode": "psk", "uri": "coaps://h", "identity": "i", "key_hex": "xyz"})),
            "/servers/0/key_hex",
        ),
        (
            account(json!({"mode": "rpk", "uri": "coaps://h", "public_key_pem": "no"})),
            "/servers/0/public_key_pem",
        ),
        (json!({"delete": ["/3/0"]}), "/delete/0"),
        (json!({"delete": ["/0/0/1"]}), "/delete/0"),
        (json!({"read": ["/0"]}), "/read/0"),
        (json!({"format": "text"}), "/format"),
        (json!({"write": [{"path": "/", "resources": {}}]}), "/write/0/path"),
        (json!({"write": [{"path": "/3/0/9", "value": "x"}]}), "/write/0"),
        (json!({"write": [{"path": "/0/1/5", "value": "(secret)"}]}), "/write/0"),
    ] {
        let reply = put(&server, &document);
        assert_eq!((reply.status, reply.problem().as_str()), (422, "does-not-fit"), "{document}: {reply:?}");
        assert_eq!(reply.json()["pointer"], pointer, "{document}");
    }
    for body in ["", "[]", "{", r#"{"server": []}"#, r#"{"servers": [{}]}"#, r#"{"servers": 5}"#] {
        assert_eq!(server.call("PUT", ADDRESS, body).status, 400, "{body}");
    }
    assert_eq!(server.get(ADDRESS).status, 404, "nothing was kept");
}

// The standard would rather have it left out (TS_Core E.1), but the object definition has keys as mandatory in every mode,
// and devices that go by it (Leshan 2.0.0-M18) answer the Finish with 4.06 without them.
#[test]
fn what_a_mode_does_not_use_is_written_empty() {
    let server = Server::start();
    let document = json!({"servers": [{"short_server_id": 1, "uri": "coap://h", "mode": "nosec"}]});
    assert_eq!(put(&server, &document).status, 201);
    let plan = server.get(&format!("{ADDRESS}/plan")).json();
    let written = plan["steps"][1]["nodes"][0]["resources"].as_object().unwrap();
    assert_eq!(written.keys().collect::<Vec<_>>(), ["0", "1", "10", "2", "3", "4", "5"]);
    for key in ["3", "4", "5"] {
        assert!(matches!(written[key]["value"].as_str(), Some("" | "(secret)")), "{key}: {}", written[key]);
    }
}

#[test]
fn what_no_command_could_carry_is_refused() {
    let server = Server::start();
    let mut large = document();
    large["write"] = json!([{"path": "/3/0/15", "value": "x".repeat(200_000)}]);
    assert_eq!(put(&server, &large).problem(), "unusable-document");
    large["write"] = json!([{"path": "/3/0/15", "value": "x".repeat(20_000)}]);
    assert_eq!(put(&server, &large).status, 201, "but blocks are no hindrance");
}

// The plan and the session come out of one function.
// Proves: BST-04, BST-14
#[test]
fn the_plan_shows_exactly_what_the_session_then_sends() {
    let server = Server::start();
    put(&server, &document());
    let plan = server.get(&format!("{ADDRESS}/plan")).json();
    let (boot, answer) = Boot::ask(&server, "bs", "ep=dev-7", None);
    assert_eq!(answer.code, 0x44);
    let commands = boot.play(agreeable(FRESH));
    assert_eq!(lines(&commands), ["GET ", "PUT /0/1", "PUT /1/0", "PUT /3/0/15", "POST /bs"]);
    let planned: Vec<_> = plan["steps"].as_array().unwrap().iter().collect();
    assert_eq!(planned.len(), commands.len(), "{plan}");
    for (step, command) in planned.iter().zip(&commands) {
        let path = step["path"].as_str().unwrap();
        assert_eq!(if path == "/" { "" } else { path }, command.path());
        if command.code == 3 {
            assert_eq!(step["payload_bytes"], command.payload.len(), "{step}");
            assert_eq!((&step["format"], command.option(12)), (&json!("tlv"), Some(11542)), "no pct: TLV");
        }
    }
    assert_eq!(
        values("/0/1", 11542, &commands[1].payload),
        [
            "/0/1/0=String(\"coaps://lwm2m.example:5684\")",
            "/0/1/1=Boolean(false)",
            "/0/1/2=Integer(0)",
            "/0/1/3=Opaque([100, 101, 118, 45, 55])",
            "/0/1/4=Opaque([])",
            "/0/1/5=Opaque([192, 255, 238, 0, 192, 255, 238, 0, 192, 255, 238, 0, 192, 255, 238, 0])",
            "/0/1/10=Integer(7)",
        ]
    );
    let session = session(&server);
    assert_eq!((&session["result"], &session["lwm2m_version"]), (&json!("finished"), &json!("1.1")));
    let codes: Vec<_> =
        session["steps"].as_array().unwrap().iter().map(|step| step["code"].clone()).collect();
    assert_eq!(codes, ["2.05", "2.04", "2.04", "2.04", "2.04"]);
    assert_eq!(session["steps"][1]["nodes"], plan["steps"][1]["nodes"]);
    assert!(session["steps"].as_array().unwrap().iter().all(|step| step["elapsed_ms"].is_u64()), "{session}");
    assert_eq!(session["steps"][0]["links"][1]["path"], "/0/0");
    let shown = server.get(&format!("{ADDRESS}/sessions"));
    assert!(!shown.body.contains(KEY_BASE64) && !shown.body.contains(KEY_HEX), "{shown:?}");
}

#[test]
fn the_plan_is_in_the_format_that_the_device_said_last() {
    let server = Server::start();
    put(&server, &document());
    let (boot, _) = Boot::ask(&server, "bs", "ep=dev-7&pct=112", None);
    let _ = boot.play(agreeable(FRESH));
    let _ = session(&server);
    let formats = |query: &str| {
        let plan = server.get(&format!("{ADDRESS}/plan{query}")).json();
        let steps = plan["steps"].as_array().unwrap().clone();
        let formats = steps.into_iter().filter(|step| step["operation"] == "bootstrap-write");
        formats.map(|mut step| step["format"].take()).collect::<Vec<_>>()
    };
    assert_eq!(formats(""), ["senml-cbor"; 3]);
    assert_eq!(formats("?format=tlv"), ["tlv"; 3]);
}

// Proves: BST-34
#[test]
fn instances_of_accounts_that_are_there_are_respected() {
    let server = Server::start();
    put(&server, &document());
    // The Bootstrap-Server's account at /0/2; server 7 known at /0/5 and /1/3; server 9 is stale.
    let listed = "</>;lwm2m=1.1,</0/0>;ssid=9;uri=\"coap://x\",</0/2>,</0/5>;ssid=7,</1/0>;ssid=9,</1/3>;ssid=7,</3/0>,</21/1>;ssid=9";
    let (boot, _) = Boot::ask(&server, "bs", "ep=dev-7", None);
    let commands = boot.play(agreeable(listed));
    assert_eq!(
        lines(&commands),
        [
            "GET ",
            "DELETE /0/0",
            "DELETE /0/5",
            "DELETE /21/1",
            "DELETE /1/0",
            "DELETE /1/3",
            "PUT /0/5",
            "PUT /1/3",
            "PUT /3/0/15",
            "POST /bs",
        ]
    );
    let _ = session(&server);
    // Now that the device is known, the plan knows it, too: only the accounts of server 7 are left.
    let plan = server.get(&format!("{ADDRESS}/plan")).json();
    let paths: Vec<_> = plan["steps"].as_array().unwrap().iter().map(|step| step["path"].clone()).collect();
    assert_eq!(paths, ["/", "/0/5", "/1/3", "/0/5", "/1/3", "/3/0/15", "/bs"], "{plan}");
    assert!(plan["assumes"].as_str().unwrap().contains("last session"));
    // What the document puts where the Bootstrap-Server's account is, goes elsewhere.
    let fixed = json!({"delete": ["/0", "/1"], "write": [
        {"path": "/0/2", "resources": {"0": {"value": "coap://h"}, "1": {"value": false}, "2": {"value": 3}, "10": {"value": 4}}},
        {"path": "/1/0", "resources": {"0": {"value": 4}, "1": {"value": 60}, "6": {"value": true}, "7": {"value": "U"}}}]});
    assert_eq!(put(&server, &fixed).status, 200);
    let (boot, _) = Boot::ask(&server, "bs", "ep=dev-7", None);
    let commands = boot.play(agreeable(listed));
    assert_eq!(lines(&commands), ["GET ", "DELETE /0", "DELETE /1", "PUT /0/0", "PUT /1/0", "POST /bs"]);
    assert!(session(&server)["notes"][0].as_str().unwrap().contains("/0/2"));
}

// Proves: BST-12
#[test]
fn old_devices_are_asked_in_other_ways() {
    let server = Server::start();
    put(&server, &document());
    // LwM2M 1.0: the version stands in front, object 1 without its server; no Bootstrap-Read.
    let (boot, _) = Boot::ask(&server, "bs", "ep=dev-7", None);
    let commands = boot.play(agreeable("lwm2m=\"1.0\", </0/0/>, </0/1>;ssid=7, </1/0>, </3/0>"));
    assert_eq!(lines(&commands)[1..4], ["DELETE /0/1", "DELETE /1/0", "PUT /0/1"]);
    // 1.1: object 1 is read, and whatever else stands in it does not hinder.
    let (boot, _) = Boot::ask(&server, "bs", "ep=dev-7", None);
    let mut others = agreeable("</>;lwm2m=\"1.1\",</0/0>;ssid=0,</0/4>;ssid=7,</1/2>,</3/0>");
    let commands = boot.play(|command| match command.path().as_str() {
        // Instance 2: Short Server ID 7, and a Resource that nobody knows.
        "/1" => Some(command.answer(0x45, Some(11542), &[0x08, 2, 7, 0xC1, 0, 7, 0xE1, 0xEA, 0x60, 5][..])),
        _ => others(command),
    });
    assert_eq!(lines(&commands)[1..6], ["GET /1", "DELETE /0/4", "DELETE /1/2", "PUT /0/4", "PUT /1/2"]);
    // A device without Discover: all accounts go, and its own is left alone.
    let (boot, _) = Boot::ask(&server, "bs", "ep=dev-7", None);
    let mut others = agreeable("");
    let commands = boot.play(|command| match command.code {
        1 => Some(command.answer(0x85, None, b"")),
        _ => others(command),
    });
    assert_eq!(lines(&commands)[1..5], ["DELETE /0", "DELETE /1", "PUT /0/1", "PUT /1/0"]);
    assert_eq!(session(&server)["result"], "finished");
}

// Core TS 1.2, 6.1.7; Transport TS 1.2, 6.4.2.
// Proves: BST-02, BST-04, BST-07, BST-29
#[test]
fn the_device_is_written_in_the_format_that_it_prefers() {
    let server = Server::start();
    let mut document = document();
    document["write"] = json!([{"path": "/2", "instances": {
        "0": {"resources": {"0": {"value": 3}, "1": {"value": 0}, "2": {"instances": {"7": 15}}, "3": {"value": 7}}},
        "5": {"resources": {"0": {"value": 4}, "1": {"value": 65535}, "2": {"instances": {"7": 16}}, "3": {"value": 65535}}}}}]);
    put(&server, &document);
    for format in [11542, 110, 112, 11544] {
        let (boot, answer) = Boot::ask(&server, "bs", &format!("ep=dev-7&pct={format}"), None);
        assert_eq!(answer.code, 0x44);
        let commands = boot.play(agreeable(FRESH));
        assert_eq!(lines(&commands), ["GET ", "PUT /0/1", "PUT /1/0", "PUT /2", "POST /bs"]);
        for command in commands.iter().filter(|command| command.code == 3) {
            assert_eq!(command.option(12), Some(u64::from(format)));
        }
        let server_object = values("/1/0", format, &commands[2].payload);
        let expected =
            ["/1/0/0=Integer(7)", "/1/0/1=Integer(3600)", "/1/0/6=Boolean(true)", "/1/0/7=String(\"U\")"];
        assert_eq!(server_object, expected, "{format}");
        let rights = values("/2", format, &commands[3].payload);
        assert_eq!(rights.len(), 8, "two instances in one: {rights:?}");
        assert!(rights.contains(&"/2/5/2/7=Integer(16)".to_owned()), "{rights:?}");
    }
    let (_, answer) = Boot::ask(&server, "bs", "ep=dev-7&pct=60", None);
    assert_eq!(answer.code, 0x8F, "4.15");
    // The document outranks the device.
    document["format"] = json!("senml-json");
    put(&server, &document);
    let (boot, _) = Boot::ask(&server, "bs", "ep=dev-7&pct=112", None);
    assert_eq!(boot.play(agreeable(FRESH))[1].option(12), Some(110));
    // A device that does not take what it said it prefers gets TLV.
    document.as_object_mut().unwrap().remove("format");
    put(&server, &document);
    let (boot, _) = Boot::ask(&server, "bs", "ep=dev-7&pct=112", None);
    let mut others = agreeable(FRESH);
    let mut formats = Vec::new();
    let mut socket_script = |command: &Message| {
        if command.code == 3 {
            formats.push((command.path(), command.option(12).unwrap()));
            if command.option(12) == Some(112) {
                return Some(command.answer(0x8F, None, b""));
            }
        }
        others(command)
    };
    play_on(&boot, &mut socket_script);
    assert_eq!(formats[..2], [("/0/1".to_owned(), 112), ("/0/1".to_owned(), 11542)]);
    assert_eq!(session(&server)["result"], "finished");
}

/// As [`Boot::play`], but a refused Write does not end it.
fn play_on(boot: &Boot, script: &mut dyn FnMut(&Message) -> Option<Message>) {
    loop {
        let command = boot.receive();
        let Some(answer) = script(&command) else { return };
        boot.socket.send(&answer.bytes()).unwrap();
        if command.path() == "/bs" {
            return;
        }
    }
}

// Bad inputs 287, 289, 290.
#[test]
fn what_goes_wrong_is_told_and_ends() {
    let server = Server::start();
    let mut events = Events::follow(&server, "?endpoint=dev-7", None);
    let (_, answer) = Boot::ask(&server, "bs", "ep=dev-7", None);
    assert_eq!(answer.code, 0x80, "there is no document");
    let entry = server.get("/api/v1/bootstrap?filter=dev-7").json()["items"][0].clone();
    assert_eq!((&entry["document"], &entry["result"]), (&json!(false), &json!("failed")), "{entry}");
    assert!(entry["reason"].as_str().unwrap().contains("no document"));
    put(&server, &document());

    let refusing = |path: &'static str, code: u8| {
        let mut others = agreeable(FRESH);
        move |command: &Message| {
            if command.path() == path {
                Some(command.answer(code, None, b"because"))
            } else {
                others(command)
            }
        }
    };
    for (path, code, reason) in [
        ("/1/0", 0x80, "the device answered 4.00 to Bootstrap-Write /1/0"),
        ("/3/0/15", 0x8F, "the device answered 4.15 to Bootstrap-Write /3/0/15"),
        ("/bs", 0x86, "the device finds its configuration inconsistent (4.06)"),
        ("/0/1", 0xA0, "the device answered 5.00 to Bootstrap-Write /0/1"),
    ] {
        let (boot, _) = Boot::ask(&server, "bs", "ep=dev-7", None);
        let commands = boot.play(refusing(path, code));
        assert_eq!(commands.last().unwrap().path(), path, "and no loop");
        let session = session(&server);
        assert_eq!((&session["result"], &session["reason"]), (&json!("refused"), &json!(reason)));
        let step = session["steps"].as_array().unwrap().last().unwrap().clone();
        assert_eq!(step["detail"], "because", "{step}");
        let (started, finished) = (events.event(), events.event());
        assert_eq!(
            (&started["type"], &finished["type"]),
            (&json!("bootstrap_started"), &json!("bootstrap_finished"))
        );
        assert_eq!((&finished["result"], &finished["reason"]), (&json!("refused"), &json!(reason)));
    }
    // A newer request ends the older session.
    let (older, _) = Boot::ask(&server, "bs", "ep=dev-7", None);
    let _ = older.receive();
    let (newer, _) = Boot::ask(&server, "bs", "ep=dev-7", None);
    newer.play(agreeable(FRESH));
    eventually(|| {
        let sessions = server.get(&format!("{ADDRESS}/sessions")).json();
        (&sessions[0]["result"], &sessions[1]["result"]) == (&json!("finished"), &json!("displaced"))
    });
    let metrics = server.get("/metrics").body;
    for line in ["{result=\"finished\"} 1", "{result=\"displaced\"} 1", "{result=\"started\"} 6"] {
        assert!(metrics.contains(&format!("lightship_bootstrap_sessions_total{line}")), "{line}: {metrics}");
    }
}

#[test]
fn what_was_read_back_is_in_the_record() {
    let server = Server::start();
    let mut document = document();
    document["read"] = json!(["/1"]);
    put(&server, &document);
    let (boot, _) = Boot::ask(&server, "bs", "ep=dev-7", None);
    let mut others = agreeable(FRESH);
    let commands = boot.play(|command| match command.path().as_str() {
        "/1" => Some(command.answer(0x45, Some(11542), &[0x08, 0, 3, 0xC1, 0, 7][..])),
        _ => others(command),
    });
    assert_eq!(lines(&commands)[4..], ["GET /1", "POST /bs"]);
    let step = session(&server)["steps"][4].clone();
    assert_eq!(step["content"][0]["instances"]["0"]["resources"]["0"]["value"], 7, "{step}");
}

// Core TS 1.2, 6.1.7.2.
// Proves: BST-31
#[test]
fn devices_of_1_2_get_everything_in_one_pack() {
    let server = Server::start();
    let mut document = document();
    document["write"] = json!([{"path": "/3303/0", "resources": {"5750": {"value": "cellar"}}}]);
    put(&server, &document);
    for format in [110, 112, 11544] {
        let (_, answer) = Boot::ask(&server, "bspack", "ep=dev-7&acc=</0/0>,</21/0>", Some(format));
        assert_eq!((answer.code, answer.option(12)), (0x45, Some(u64::from(format))));
        let values = values("/", format, &answer.payload);
        assert!(values.contains(&"/0/1/10=Integer(7)".to_owned()), "{values:?}");
        assert!(values.contains(&"/1/0/7=String(\"U\")".to_owned()), "{values:?}");
        assert!(values.contains(&"/3303/0/5750=String(\"cellar\")".to_owned()), "{values:?}");
        assert!(values.iter().all(|value| !value.starts_with("/0/0/")), "its own account is left alone");
        let session = session(&server);
        assert_eq!((&session["result"], &session["steps"][0]["code"]), (&json!("finished"), &json!("2.05")));
        assert!(!session.to_string().contains(KEY_BASE64), "{session}");
    }
    // What a pack cannot say goes step by step.
    for (member, value) in [
        ("pack", json!(false)),
        ("delete", json!([])),
        ("delete", json!(["/"])),
        ("write", json!([{"path": "/3/0/15", "value": "x"}])),
    ] {
        let mut other = document.clone();
        other[member] = value;
        assert_eq!(put(&server, &other).status, 200, "{other}");
        let (_, answer) = Boot::ask(&server, "bspack", "ep=dev-7", Some(112));
        assert_eq!(answer.code, 0x85, "4.05: {other}");
    }
    let (_, answer) = Boot::ask(&server, "bspack", "ep=nobody", Some(112));
    assert_eq!(answer.code, 0x84, "4.04: no pack for this device");
    let without = Server::with(|config| config.bootstrap.packs = false);
    let (_, answer) = Boot::ask(&without, "bspack", "ep=dev-7", Some(112));
    assert_eq!(answer.code, 0xA1, "5.01");
}

#[test]
fn templates_apply_by_pattern_and_fill_in_the_name() {
    let server = Server::start();
    let template = |pattern: &str, uri: &str| {
        json!({"pattern": pattern, "document": {"servers": [{"short_server_id": 1, "uri": uri, "mode": "nosec"}]}}).to_string()
    };
    let at = |name: &str| format!("/api/v1/bootstrap-templates/{name}");
    assert_eq!(server.call("PUT", &at("all"), &template("*", "coap://all.example")).status, 201);
    let reply = server.call("PUT", &at("sensors"), &template("sensor-*", "coap://{1}.example/{endpoint}"));
    assert_eq!(reply.status, 201, "{reply:?}");
    assert_eq!(server.get(&at("sensors")).json(), reply.json());
    let reply = server.call("PUT", &at("none"), &template("", "coap://all.example"));
    assert_eq!((reply.status, &reply.json()["pointer"]), (422, &json!("/pattern")), "{reply:?}");
    assert_eq!(reply.json()["detail"], "The pattern is empty; \"*\" is for every device.");
    let names = server.get("/api/v1/bootstrap-templates").json();
    assert_eq!((&names["items"][0]["name"], &names["items"][1]["name"]), (&json!("all"), &json!("sensors")));
    let of = |name: &str| server.get(&format!("/api/v1/bootstrap/{name}")).json();
    let sensor = of("sensor-12");
    assert_eq!(sensor["from"], "template:sensors", "the closer one");
    assert_eq!(sensor["servers"][0]["uri"], "coap://12.example/sensor-12");
    assert_eq!(of("meter")["from"], "template:all");
    for name in ["second", "first"] {
        server.call("PUT", &at(name), &template("equal-*", "coap://h"));
    }
    assert_eq!(of("equal-1")["from"], "template:first", "of equals the first by name");
    let (boot, _) = Boot::ask(&server, "bs", "ep=meter", None);
    assert_eq!(lines(&boot.play(agreeable(FRESH))), ["GET ", "PUT /0/1", "PUT /1/0", "POST /bs"]);
    eventually(|| server.get("/api/v1/bootstrap/meter/sessions").json()[0]["result"] == "finished");
    assert_eq!(server.get("/api/v1/bootstrap/meter/sessions").json()[0]["from"], "template:all");
    // What fits the example may not fit every device; nobody is told the value that does not.
    let keyed = json!({"pattern": "k-*", "document": {"servers": [{"short_server_id": 1, "uri": "coaps://h", "mode": "psk",
        "identity": "i", "key_hex": "c0ffee{1}"}]}});
    assert_eq!(server.call("PUT", &at("keyed"), &keyed.to_string()).status, 201);
    assert!(of("k-0A")["servers"][0]["key_set"] == true);
    let plan = server.get("/api/v1/bootstrap/k-xyz/plan");
    assert!(plan.json()["refused"].as_str().unwrap().contains("/servers/0/key_hex"), "{plan:?}");
    let (_, answer) = Boot::ask(&server, "bs", "ep=k-xyz", None);
    assert_eq!(answer.code, 0xA0, "5.00");
    let told = server.get("/api/v1/bootstrap/k-xyz/sessions");
    assert!(told.body.contains("/servers/0/key_hex") && !told.body.contains("c0ffee"), "{told:?}");
    assert!(!plan.body.contains("c0ffee"), "{plan:?}");
    // A document of its own comes first.
    let own = json!({"servers": [{"short_server_id": 1, "uri": "coap://own", "mode": "nosec"}]});
    assert_eq!(server.call("PUT", "/api/v1/bootstrap/sensor-12", &own.to_string()).status, 201);
    assert_eq!(of("sensor-12")["from"], "document");
    for (body, status) in [
        (template("*", "coap://{name}"), 422),
        (template("x", "coap://{1}"), 422),
        (template("*", "http://x"), 422),
        (template("*", "coap://{"), 422),
        (r#"{"document": {}}"#.to_owned(), 400),
        (r#"{"pattern": "*", "document": {}}"#.to_owned(), 422),
    ] {
        let reply = server.call("PUT", &at("bad"), &body);
        assert_eq!(reply.status, status, "{body}: {reply:?}");
    }
    assert_eq!(server.get(&at("bad")).problem(), "no-document");
    assert_eq!(server.call("DELETE", &at("all"), "").status, 204);
    assert_eq!(server.get("/api/v1/bootstrap/meter").status, 404);
}

#[test]
fn documents_outlive_the_process_and_lists_have_pages() {
    let folder = tempfile::tempdir().unwrap();
    let start = || Server::with(|config| config.store.folder = Some(folder.path().to_owned()));
    let server = start();
    for number in 0..5 {
        let address = format!("/api/v1/bootstrap/page-{number}");
        assert_eq!(server.call("PUT", &address, &document().to_string()).status, 201);
    }
    drop(server);
    let server = start();
    let mut names = Vec::new();
    let mut cursor = String::new();
    loop {
        let page = server.get(&format!("/api/v1/bootstrap?limit=2&filter=page{cursor}")).json();
        names.extend(page["items"].as_array().unwrap().iter().map(|item| item["endpoint"].clone()));
        let Some(next) = page["next"].as_str() else { break };
        cursor = format!("&cursor={next}");
    }
    assert_eq!(names, ["page-0", "page-1", "page-2", "page-3", "page-4"]);
    // With its key, which nobody has seen.
    let (boot, _) = Boot::ask(&server, "bs", "ep=page-3", None);
    let commands = boot.play(agreeable(FRESH));
    assert!(values("/0/1", 11542, &commands[1].payload)[5].starts_with("/0/1/5=Opaque([192, 255, 238"));
}

#[test]
fn without_security_nobody_is_bootstrapped_unless_that_is_allowed() {
    let server = Server::with(|config| config.security.allow_nosec = false);
    put(&server, &document());
    let (_, answer) = Boot::ask(&server, "bs", "ep=dev-7", None);
    assert_eq!(answer.code, 0x80);
    let last = session(&server);
    assert!(last["reason"].as_str().unwrap().contains("without security"), "{last}");
}

// Core TS 1.2, 6.1.4 and E.2.
// Proves: BST-21
#[test]
fn a_registered_device_can_be_told_to_bootstrap() {
    let server = Server::start();
    let device = Device::register(&server, "dev-7", registered());
    let reply = server.call("POST", "/api/v1/endpoints/dev-7/execute/1/0/9", "");
    assert_eq!((reply.status, &reply.json()["code"]), (200, &json!("2.04")), "{reply:?}");
    let request = device.next_request();
    assert_eq!((request.code, request.path(), request.payload.len()), (2, "/1/0/9".to_owned(), 0));
}
