//! Devices over coaps: who is let in under which name, what is shown of it, and what ends it.

use serde_json::{Value as Json, json};

use super::secured::{Identity, NAME, Secured, psk, uri};
use super::support::{Events, Message, Server, eventually};

const KEY: &str = "6c69676874736869702d6b65792d3132";
const OTHER_KEY: &str = "00000000000000000000000000000001";

pub(crate) fn put(server: &Server, endpoint: &str, credential: &Json) {
    let reply = server.call("PUT", &format!("/api/v1/credentials/{endpoint}"), &credential.to_string());
    assert!(matches!(reply.status, 200 | 201), "{reply:?}");
}

pub(crate) fn put_psk(server: &Server, endpoint: &str, identity: &str) {
    put(server, endpoint, &json!({"mode": "psk", "identity": identity, "key_hex": KEY}));
}

fn endpoint(server: &Server, name: &str) -> Json {
    server.wait_for(name);
    server.get(&format!("/api/v1/endpoints/{name}")).json()
}

fn handshakes(server: &Server, name: &str) -> Vec<Json> {
    let list = server.get(&format!("/api/v1/endpoints/{name}/handshakes")).json();
    list["items"].as_array().unwrap().clone()
}

fn failures(server: &Server) -> Vec<Json> {
    server.get("/api/v1/security/failures").json()["items"].as_array().unwrap().clone()
}

/// All failures once the newest has a reason with these words: shards tell them when they like.
fn failures_when(server: &Server, words: &str) -> Vec<Json> {
    eventually(|| {
        failures(server).first().is_some_and(|one| one["reason"].as_str().unwrap_or_default().contains(words))
    });
    failures(server)
}

/// What a POST of a device without security gets.
fn plain(to: std::net::SocketAddr, path: &str, name: &str) -> u8 {
    let socket = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
    socket.set_read_timeout(Some(std::time::Duration::from_secs(10))).unwrap();
    let query = |text: String| (15, text.into_bytes());
    let mut options = vec![(11, path.as_bytes().to_vec())];
    if path == "rd" {
        options.push((12, vec![40]));
        options.extend([format!("ep={name}"), "lt=60".to_owned(), "lwm2m=1.1".to_owned()].map(query));
    } else {
        options.push(query(format!("ep={name}")));
    }
    let payload = if path == "rd" { b"</3/0>".to_vec() } else { Vec::new() };
    let ask = Message { kind: 0, code: 2, id: 1, token: vec![1], options, payload };
    socket.send_to(&ask.bytes(), to).unwrap();
    let mut buffer = [0; 100];
    let len = socket.recv(&mut buffer).unwrap();
    Message::parse(&buffer[..len]).code
}

// Proves: SEC-01, SEC-02, SEC-08
#[test]
fn a_device_with_a_shared_key_is_served_and_shown_as_such() {
    let server = Server::start();
    put_psk(&server, "dev-7", "id-7");
    let mut events = Events::follow(&server, "?type=session_opened,registered", None);
    let mut device = Secured::psk(server.coaps(), b"id-7", KEY);
    assert_eq!(device.register("dev-7"), Some(0x41));
    let shown = endpoint(&server, "dev-7");
    let security = &shown["security"];
    assert_eq!((&security["mode"], &security["identity"]), (&json!("psk"), &json!("id-7")), "{shown}");
    assert!(security["cipher_suite"].as_str().unwrap().starts_with("TLS_"), "{shown}");
    assert_eq!(security["cid"].as_str().unwrap().len(), 12);
    let session = &shown["session"];
    assert_eq!(
        (&session["resumed"], &session["rrc"], &session["cid"]),
        (&json!(false), &json!(true), &security["cid"])
    );
    assert!(session["age_s"].as_u64().unwrap() < 10 && session["opened_at"].is_string());
    let opened = events.event();
    assert_eq!((&opened["type"], &opened["endpoint"]), (&json!("session_opened"), &json!("dev-7")));
    assert_eq!(opened["handshake"]["server_name"], "lwm2m.example");
    assert_eq!(events.event()["type"], "registered");
    // Down the same session.
    let address = server.http;
    let read = std::thread::spawn(move || {
        super::support::get_at(address, "/api/v1/endpoints/dev-7/resources/3/0/9")
    });
    let request = device.serve(|request| request.answer(0x45, Some(0), b"84")).expect("a request");
    assert_eq!((request.code, request.path()), (1, "/3/0/9".to_owned()));
    assert_eq!(read.join().unwrap().json()["content"]["value"], 84);
    let metrics = server.get("/metrics").body;
    for line in ["lightship_sessions{server=\"lwm2m\"} 1", "{server=\"lwm2m\",result=\"opened_psk\"} 1"] {
        assert!(metrics.contains(line), "{line}: {metrics}");
    }
    for page in
        ["/api/v1/endpoints/dev-7", "/api/v1/endpoints/dev-7/handshakes", "/api/v1/security", "/metrics"]
    {
        assert!(!server.get(page).body.contains(KEY), "{page}");
    }
}

// Core TS 1.2, 7.1 and 6.2.1; the corpus of bad inputs, 126.
// Proves: SEC-03
#[test]
fn nobody_speaks_in_the_name_of_another() {
    let server = Server::start();
    put_psk(&server, "dev-7", "id-7");
    put_psk(&server, "dev-8", "id-8");
    let mut seven = Secured::psk(server.coaps(), b"id-7", KEY);
    assert_eq!(seven.register("dev-8"), Some(0x80));
    assert_eq!(seven.register("stranger"), Some(0x80));
    assert_eq!(server.get("/api/v1/endpoints").json()["items"], json!([]));
    let registered = seven.ask(2, &["rd"], &["ep=dev-7", "lt=300", "lwm2m=1.1"], b"</3/0>").unwrap();
    let location: Vec<String> = registered
        .options
        .iter()
        .filter(|(number, _)| *number == 8)
        .map(|(_, value)| String::from_utf8(value.clone()).unwrap())
        .collect();
    let location: Vec<&str> = location.iter().map(String::as_str).collect();
    let mut eight = Secured::psk(server.coaps(), b"id-8", KEY);
    // Update, Send and De-register of another's registration.
    let update = eight.ask(2, &location, &["lt=600"], b"").unwrap();
    assert!(matches!(update.code, 0x80 | 0x84), "{update:?}");
    assert_eq!(endpoint(&server, "dev-7")["lifetime_s"], 300);
    let send = eight.ask(2, &["dp"], &[], b"[]").unwrap();
    assert!(matches!(send.code, 0x80..=0x8f), "{send:?}");
    let deregister = eight.ask(4, &location, &[], b"").unwrap();
    assert!(matches!(deregister.code, 0x80 | 0x84), "{deregister:?}");
    assert_eq!(server.get("/api/v1/endpoints/dev-7").status, 200);
    // Its owner may.
    assert_eq!(seven.ask(2, &location, &["lt=600"], b"").unwrap().code, 0x44);
    assert_eq!(seven.ask(4, &location, &[], b"").unwrap().code, 0x42);
}

// Proves: SEC-06
#[test]
fn a_credential_that_goes_or_changes_ends_its_session_at_once() {
    let server = Server::start();
    put_psk(&server, "dev-7", "id-7");
    put_psk(&server, "dev-8", "id-8");
    let mut seven = Secured::psk(server.coaps(), b"id-7", KEY);
    let mut eight = Secured::psk(server.coaps(), b"id-8", KEY);
    assert_eq!((seven.register("dev-7"), eight.register("dev-8")), (Some(0x41), Some(0x41)));
    server.wait_for("dev-7");
    let mut events = Events::follow(&server, "?type=session_closed", None);
    // What changes nothing ends nothing.
    put_psk(&server, "dev-7", "id-7");
    assert_eq!(server.call("DELETE", "/api/v1/credentials/dev-7", "").status, 204);
    assert!(seven.is_over(), "it is told");
    eventually(|| server.get("/api/v1/endpoints/dev-7").status == 404);
    let closed = events.event();
    assert_eq!((&closed["endpoint"], &closed["handshake"]["result"]), (&json!("dev-7"), &json!("closed")));
    assert_eq!(closed["handshake"]["reason"], "its credential was taken away");
    // Neither anew nor by resumption.
    let again =
        Secured::connect_with(server.coaps(), psk(b"id-7", KEY), seven.resumption.clone(), Some(NAME));
    assert!(again.facts.is_none() && again.over.is_some(), "{:?}", again.facts);
    // Another key: the session goes, the registration waits for its device.
    put(&server, "dev-8", &json!({"mode": "psk", "identity": "id-8", "key_hex": OTHER_KEY}));
    assert!(eight.is_over());
    eventually(|| server.get("/api/v1/endpoints/dev-8").json()["session"].is_null());
    let closed = events.event();
    assert_eq!(closed["handshake"]["reason"], "its credential was changed");
    let mut eight = Secured::psk(server.coaps(), b"id-8", OTHER_KEY);
    assert_eq!(eight.register("dev-8"), Some(0x41));
    assert!(endpoint(&server, "dev-8")["session"].is_object());
}

#[test]
fn failures_are_told_in_plain_words_and_strangers_cannot_play_tricks() {
    let server = Server::start();
    put_psk(&server, "dev-7", "id-7");
    let wrong = Secured::psk(server.coaps(), b"id-7", OTHER_KEY);
    assert!(wrong.facts.is_none());
    for _ in 0..3 {
        let unknown = Secured::psk(server.coaps(), b"\x1b[31m<script>\xff", KEY);
        assert!(unknown.facts.is_none() && unknown.over.unwrap().contains("115"));
    }
    eventually(|| failures(&server).iter().any(|one| one["count"] == 3) && failures(&server).len() == 2);
    let told = failures_when(&server, "unknown PSK identity '\\u{1b}[31m<script>\\xff'");
    assert_eq!((told.len(), &told[0]["endpoint"]), (2, &Json::Null), "{told:?}");
    assert!(told[1]["reason"].as_str().unwrap().contains("another key"), "{told:?}");
    assert_eq!(told[1]["endpoint"], "dev-7");
    assert_eq!(handshakes(&server, "dev-7")[0]["result"], "failed");
    // The log tells what is about a device of ours, and once.
    let mut events = Events::follow(&server, "?after=0&type=handshake_failed,session_opened", None);
    let failed = events.event();
    assert_eq!((&failed["type"], &failed["endpoint"]), (&json!("handshake_failed"), &json!("dev-7")));
    assert!(Secured::psk(server.coaps(), b"id-7", KEY).facts.is_some());
    assert_eq!(events.event()["type"], "session_opened");
    // A name that an identity does not speak for.
    let mut seven = Secured::psk(server.coaps(), b"id-7", KEY);
    assert_eq!(seven.register("dev-8"), Some(0x80));
    let told = &failures_when(&server, "'id-7' may not speak for endpoint 'dev-8', only for 'dev-7'")[0];
    assert_eq!(told["endpoint"], "dev-7");
    // Whoever is known to the other server is helped.
    let body = json!({"mode": "psk", "identity": "boots", "key_hex": KEY}).to_string();
    server.call("PUT", "/api/v1/bootstrap/dev-9/credential", &body);
    Secured::psk(server.coaps(), b"boots", KEY);
    failures_when(&server, "the Bootstrap-Server knows it");
}

#[test]
fn refusals_without_security_stand_among_the_failures() {
    let server = Server::with(|config| {
        config.security.allow_nosec = false;
        config.listen.shards = 1;
    });
    put_psk(&server, "dev-7", "id-7");
    let register = |name| plain(server.coap, "rd", name);
    assert_eq!((register("dev-7"), register("dev-7"), register("nobody")), (0x83, 0x83, 0x83));
    let told = failures_when(&server, "security.allow_nosec");
    let [stranger, known] = told.as_slice() else { panic!("{told:?}") };
    assert_eq!(
        (&known["endpoint"], &known["mode"], &known["count"]),
        (&json!("dev-7"), &json!("nosec"), &json!(2))
    );
    assert_eq!(known["reason"], "it has a credential, so it may not come without security");
    assert!(stranger["reason"].as_str().unwrap().contains("security.allow_nosec"), "{stranger}");
    assert_eq!((&stranger["endpoint"], &stranger["server"]), (&json!("nobody"), &json!("lwm2m")));
    assert_eq!(handshakes(&server, "dev-7")[0]["reason"], known["reason"]);
    let [refused] = &handshakes(&server, "nobody")[..] else { panic!("who asks for that name sees it") };
    assert_eq!(refused["reason"], stranger["reason"]);
    // Nor does one come in the name of a device that is registered with security.
    let mut seven = Secured::psk(server.coaps(), b"id-7", KEY);
    assert_eq!(seven.register("dev-7"), Some(0x41));
    assert_eq!(register("dev-7"), 0x80);
    failures_when(&server, "a device with security is registered under this name");
    assert_eq!(plain(server.running.bootstrap().unwrap(), "bs", "dev-7"), 0x80);
    eventually(|| failures(&server)[0]["server"] == "bootstrap");
    assert_eq!(failures(&server)[0]["mode"], "nosec");
}

#[test]
fn what_handshakes_came_to_is_known_after_a_restart_and_shown_in_whose_name_they_failed() {
    let folder = tempfile::tempdir().unwrap();
    let server = in_folder(folder.path());
    put_psk(&server, "dev-7", "id-7");
    let mut device = Secured::psk(server.coaps(), b"id-7", KEY);
    assert_eq!(device.register("dev-7"), Some(0x41));
    assert!(Secured::psk(server.coaps(), b"id-7", OTHER_KEY).facts.is_none());
    // Of a device that has no credential yet.
    for _ in 0..2 {
        assert!(Secured::psk(server.coaps(), b"dev-8", KEY).facts.is_none());
    }
    failures_when(&server, "unknown PSK identity 'dev-8'");
    eventually(|| failures(&server).len() == 2 && failures(&server)[0]["count"] == 2);
    let results = |server: &Server, name| -> Vec<String> {
        handshakes(server, name).iter().map(|one| one["result"].as_str().unwrap().to_owned()).collect()
    };
    eventually(|| results(&server, "dev-7") == ["failed", "opened"]);
    let [refused] = &handshakes(&server, "dev-8")[..] else { panic!("it is shown in whose name it failed") };
    assert_eq!((&refused["reason"], &refused["count"]), (&json!("unknown PSK identity 'dev-8'"), &json!(2)));
    let before = ["dev-7", "dev-8"].map(|name| handshakes(&server, name));
    let told = failures(&server);
    let server = restarted(server, folder.path(), |_| {});
    assert_eq!(["dev-7", "dev-8"].map(|name| handshakes(&server, name)), before);
    assert_eq!(failures(&server), told);
    // What comes then stands in front of it, once.
    server.call("DELETE", "/api/v1/credentials/dev-7", "");
    eventually(|| results(&server, "dev-7") == ["closed", "failed", "opened"]);
    eventually(|| {
        let log = server.get("/api/v1/endpoints/dev-7/log?type=session_closed").json();
        log["items"].as_array().is_some_and(|items| items.len() == 1)
    });
    assert_eq!(results(&server, "dev-7"), ["closed", "failed", "opened"]);
}

#[test]
fn a_server_without_a_key_pair_says_so_when_a_device_wants_to_see_it() {
    let server = Server::with(|config| config.security.self_made_keys = false);
    let lamp = Identity::of(&Identity::authority("nobody"), "", |_| {});
    put(&server, "lamp", &json!({"mode": "rpk", "public_key_pem": lamp.public_key_pem()}));
    for (n, credential) in [(1, lamp.raw()), (2, lamp.x509())] {
        assert!(Secured::connect(server.coaps(), credential).facts.is_none());
        let count = |one: &Json| one["count"].as_u64().unwrap_or(1);
        eventually(|| failures(&server).iter().map(count).sum::<u64>() == n);
        let told = failures(&server);
        let words = "this server has none (security.key_file";
        assert!(told.iter().all(|one| one["reason"].as_str().unwrap().contains(words)), "{told:?}");
    }
}

#[test]
fn dropped_records_are_counted_for_their_device_and_for_all() {
    let server = Server::start();
    put_psk(&server, "dev-7", "id-7");
    let mut device = Secured::psk(server.coaps(), b"id-7", KEY);
    assert_eq!(device.register("dev-7"), Some(0x41));
    let cid = endpoint(&server, "dev-7")["session"]["cid"].as_str().unwrap().to_owned();
    assert!(endpoint(&server, "dev-7")["session"]["dropped"].is_null());
    // A record in its name that is not its own, three times, from somewhere else.
    let cid: Vec<u8> = (0..6).map(|at| u8::from_str_radix(&cid[2 * at..2 * at + 2], 16).unwrap()).collect();
    let head = [25, 0xfe, 0xfd, 0, 1, 0, 0, 0, 0, 0, 99];
    let forged = [&head[..], &cid, &[0, 24], &[7; 24]].concat();
    let stranger = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
    for _ in 0..3 {
        stranger.send_to(&forged, server.coaps()).unwrap();
    }
    eventually(|| endpoint(&server, "dev-7")["session"]["dropped"] == json!({"bad_mac": 3}));
    let metrics = server.get("/metrics").body;
    let line = "lightship_records_dropped_total{server=\"lwm2m\",reason=\"bad_mac\"} 3";
    assert!(metrics.contains(line), "{metrics}");
    // It lives, where it was.
    assert_eq!(device.register("dev-7"), Some(0x41));
}

#[test]
fn raw_public_keys_are_known_one_by_one() {
    let server = Server::start();
    let authority = Identity::authority("nobody");
    let (known, unknown) = (Identity::of(&authority, "", |_| {}), Identity::of(&authority, "", |_| {}));
    put(&server, "lamp", &json!({"mode": "rpk", "public_key_pem": known.public_key_pem()}));
    let mut device = Secured::connect(server.coaps(), known.raw());
    assert_eq!(device.register("lamp"), Some(0x41), "{:?}", device.over);
    let shown = endpoint(&server, "lamp");
    assert_eq!(shown["security"]["mode"], "rpk");
    let kept = server.get("/api/v1/credentials/lamp").json();
    assert_eq!(shown["security"]["identity"], kept["public_key_sha256"]);
    let stranger = Secured::connect(server.coaps(), unknown.raw());
    assert!(stranger.facts.is_none());
    failures_when(&server, "unknown raw public key");
    server.call("DELETE", "/api/v1/credentials/lamp", "");
    assert!(device.is_over());
}

/// A server with a certificate that trusts an authority.
pub(crate) fn trusting(
    authority: &Identity,
    more: impl FnOnce(&mut lightship_service::Config),
) -> (Server, tempfile::TempDir) {
    let folder = tempfile::tempdir().unwrap();
    let own = Identity::of(authority, "lwm2m.example", |_| {});
    let file = |name: &str, text: String| {
        let path = folder.path().join(name);
        std::fs::write(&path, text).unwrap();
        path
    };
    let key_file = file("key.pem", own.key.serialize_pem());
    let certificate_file = Some(file("own.pem", own.certificate.pem()));
    let trust = file("trust.pem", authority.certificate.pem());
    let server = Server::with(|config| {
        let names = Vec::new();
        config.security.keys = vec![lightship_service::config::KeyPair { names, key_file, certificate_file }];
        config.security.trust_files = vec![trust];
        more(config);
    });
    (server, folder)
}

#[test]
fn certificates_are_known_by_their_names_or_one_by_one() {
    let authority = Identity::authority("authority");
    let (server, _folder) = trusting(&authority, |_| {});
    let by_name = Identity::of(&authority, "meter", |_| {});
    put(&server, "meter", &json!({"mode": "x509"}));
    let mut device = Secured::connect(server.coaps(), by_name.x509());
    assert_eq!(device.register("other"), Some(0x80), "{:?}", device.over);
    assert_eq!(device.register("meter"), Some(0x41));
    let shown = endpoint(&server, "meter");
    assert_eq!(
        (&shown["security"]["mode"], &shown["security"]["identity"]),
        (&json!("x509"), &json!("meter"))
    );
    // Its session is resumed, since its certificate was looked at here and has not expired.
    let resumption = device.resumption.clone();
    assert!(resumption.is_some());
    let mut again = Secured::connect_with(server.coaps(), by_name.x509(), resumption, Some(NAME));
    assert!(again.facts.as_ref().is_some_and(|facts| facts.resumed), "{:?}", again.over);
    assert_eq!(again.register("meter"), Some(0x41));
    let mut device = again;
    // By a URI of the subject, and by another name.
    let by_uri =
        Identity::of(&authority, "unit 7", |params| params.subject_alt_names = vec![uri("urn:dev:7")]);
    put(&server, "urn%3Adev%3A7", &json!({"mode": "x509"}));
    assert_eq!(Secured::connect(server.coaps(), by_uri.x509()).register("urn:dev:7"), Some(0x41));
    let elsewhere = Identity::of(&authority, "serial 12", |_| {});
    put(&server, "pump", &json!({"mode": "x509", "name": "serial 12"}));
    assert_eq!(Secured::connect(server.coaps(), elsewhere.x509()).register("pump"), Some(0x41));
    // Exactly this one, whoever issued it and until when: as with certificate usage 3 at a device, its dates do not count.
    let own = Identity::of(&Identity::authority("unknown"), "self", |params| {
        params.not_before = rcgen::date_time_ymd(2001, 1, 1);
        params.not_after = rcgen::date_time_ymd(2002, 2, 3);
    });
    put(&server, "pinned", &json!({"mode": "x509", "certificate_pem": own.certificate.pem()}));
    assert_eq!(Secured::connect(server.coaps(), own.x509()).register("pinned"), Some(0x41));
    // Taking the word back ends it.
    server.call("DELETE", "/api/v1/credentials/meter", "");
    assert!(device.is_over());
}

#[test]
fn certificates_that_do_not_hold_are_refused_with_the_reason() {
    let authority = Identity::authority("authority");
    let (server, _folder) = trusting(&authority, |_| {});
    for name in ["old", "stranger", "psk"] {
        put(&server, name, &json!({"mode": "x509"}));
    }
    put_psk(&server, "psk", "psk");
    let old = Identity::of(&authority, "old", |params| {
        params.not_before = rcgen::date_time_ymd(2001, 1, 1);
        params.not_after = rcgen::date_time_ymd(2002, 2, 3);
    });
    let cases = [
        (old, "expired on 2002-02-03"),
        (Identity::of(&Identity::authority("somebody"), "stranger", |_| {}), "'somebody' is not trusted"),
        (Identity::of(&authority, "nobody", |_| {}), "there is no credential for 'nobody'"),
        (Identity::of(&authority, "psk", |_| {}), "has another credential"),
        (Identity::of(&authority, "", |_| {}), "names no endpoint"),
    ];
    for (identity, reason) in cases {
        let device = Secured::connect(server.coaps(), identity.x509());
        assert!(device.facts.is_none(), "{reason}");
        eventually(|| {
            failures(&server).first().is_some_and(|one| one["reason"].as_str().unwrap().contains(reason))
        });
    }
}

#[test]
fn rules_make_endpoints_of_what_is_presented() {
    let authority = Identity::authority("authority");
    let (server, _folder) = trusting(&authority, |config| {
        config.security.endpoint_rules =
            ["urn:dev:{cn}", "urn:id:{identity}"].map(|rule| rule.parse().unwrap()).to_vec();
        config.security.accept_trusted = true;
    });
    let unit = Identity::of(&authority, "9", |_| {});
    assert_eq!(Secured::connect(server.coaps(), unit.x509()).register("urn:dev:9"), Some(0x41));
    assert_eq!(Secured::connect(server.coaps(), unit.x509()).register("9"), Some(0x80));
    put_psk(&server, "kept", "7");
    assert_eq!(Secured::psk(server.coaps(), b"7", KEY).register("kept"), Some(0x80));
    assert_eq!(Secured::psk(server.coaps(), b"7", KEY).register("urn:id:7"), Some(0x41));
    // Who has a credential of its own is not spoken for.
    put_psk(&server, "urn%3Aid%3A8", "8-own");
    put_psk(&server, "kept-8", "8");
    let device = Secured::psk(server.coaps(), b"8", KEY);
    assert!(device.facts.is_none());
    let told = "credential of its own";
    eventually(|| {
        failures(&server).first().is_some_and(|one| one["reason"].as_str().unwrap().contains(told))
    });
}

#[test]
fn a_session_is_resumed_and_follows_its_device() {
    let server = Server::start();
    put_psk(&server, "dev-7", "id-7");
    let mut device = Secured::psk(server.coaps(), b"id-7", KEY);
    assert_eq!(device.register("dev-7"), Some(0x41));
    let before = endpoint(&server, "dev-7")["address"].clone();
    device.rebind();
    assert_eq!(device.ask(2, &["rd"], &["ep=other", "lt=300", "lwm2m=1.1"], b"</3/0>").unwrap().code, 0x80);
    eventually(|| endpoint(&server, "dev-7")["address"] != before);
    let resumption = device.resumption.take().expect("can be resumed");
    let mut again = Secured::connect_with(server.coaps(), psk(b"id-7", KEY), Some(resumption), Some(NAME));
    assert!(again.facts.as_ref().is_some_and(|facts| facts.resumed), "{:?}", again.over);
    assert_eq!(again.register("dev-7"), Some(0x41));
    eventually(|| endpoint(&server, "dev-7")["session"]["resumed"] == true);
    let told = handshakes(&server, "dev-7");
    assert!(told.iter().any(|one| one["resumed"] == true && one["result"] == "opened"), "{told:?}");
}

#[test]
fn the_bootstrap_server_has_credentials_of_its_own() {
    let server = Server::start();
    let document = json!({"servers": [{"short_server_id": 1, "uri": "coap://127.0.0.1", "mode": "nosec"}]});
    server.call("PUT", "/api/v1/bootstrap/dev-7", &document.to_string());
    let body = json!({"mode": "psk", "identity": "boot-7", "key_hex": KEY}).to_string();
    server.call("PUT", "/api/v1/bootstrap/dev-7/credential", &body);
    let address = server.running.bootstrap_coaps().unwrap();
    let mut device = Secured::psk(address, b"boot-7", KEY);
    assert_eq!(device.ask(2, &["bs"], &["ep=dev-8"], b"").unwrap().code, 0x80, "{:?}", device.over);
    let told = &failures_when(&server, "'boot-7' may not speak for endpoint 'dev-8'")[0];
    assert_eq!((&told["server"], &told["endpoint"]), (&json!("bootstrap"), &json!("dev-7")));
    let mut device = Secured::psk(address, b"boot-7", KEY);
    // Who is known by its credential need not say its name.
    assert_eq!(device.ask(2, &["bs"], &[], b"").unwrap().code, 0x44, "{:?}", device.over);
    eventually(|| server.get("/api/v1/bootstrap/dev-7/sessions").json()[0]["security"] == "psk");
    let told = handshakes(&server, "dev-7");
    assert!(told.iter().all(|one| one["server"] == "bootstrap") && !told.is_empty(), "{told:?}");
    // Not with what the LwM2M Server knows.
    put_psk(&server, "dev-7", "id-7");
    assert!(Secured::psk(address, b"id-7", KEY).facts.is_none());
    // And not without security any more.
    let plain = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
    plain.set_read_timeout(Some(std::time::Duration::from_secs(5))).unwrap();
    let options = vec![(11, b"bs".to_vec()), (15, b"ep=dev-7".to_vec())];
    let ask = Message { kind: 0, code: 2, id: 1, token: vec![1], options, payload: Vec::new() };
    plain.send_to(&ask.bytes(), server.running.bootstrap().unwrap()).unwrap();
    let mut buffer = [0; 100];
    let len = plain.recv(&mut buffer).unwrap();
    assert_eq!(Message::parse(&buffer[..len]).code, 0x80);
}

// Proves: SEC-05
#[test]
fn the_two_servers_do_not_share_a_key() {
    let authority = Identity::authority("authority");
    let folder = tempfile::tempdir().unwrap();
    let key = folder.path().join("key.pem");
    std::fs::write(&key, authority.key.serialize_pem()).unwrap();
    let pair = || lightship_service::config::KeyPair {
        names: Vec::new(),
        key_file: key.clone(),
        certificate_file: None,
    };
    let mut config = lightship_service::Config::loopback();
    config.security.keys = vec![pair()];
    config.bootstrap.key = Some(pair());
    let error = lightship_service::Service::start(config).err().expect("must not start");
    let text = std::error::Error::source(&error).map(ToString::to_string).unwrap_or_default();
    assert!(text.contains("each needs a key pair of its own"), "{error}: {text}");
    // Made here they differ, too.
    let server = Server::start();
    let shown = server.get("/api/v1/security").json();
    let keys: Vec<_> =
        shown["identities"].as_array().unwrap().iter().map(|one| &one["public_key_sha256"]).collect();
    assert!(keys.len() == 2 && keys[0] != keys[1], "{shown}");
    assert!(!shown.to_string().contains("PRIVATE"), "{shown}");
    // Devices have keys of their own: a raw public key is of one device, and a shared key of two is told.
    let key = json!({"mode": "rpk", "public_key_pem": authority.public_key_pem()});
    put(&server, "one", &key);
    assert_eq!(server.call("PUT", "/api/v1/credentials/two", &key.to_string()).status, 409);
    put_psk(&server, "one", "id-1");
    let warnings = || server.get("/api/v1/credentials/one").json()["warnings"].to_string();
    assert_eq!(warnings(), "null");
    put_psk(&server, "two", "id-2");
    assert!(warnings().contains("same key"), "{}", warnings());
    server.call("DELETE", "/api/v1/credentials/two", "");
    assert_eq!(warnings(), "null");
}

#[test]
fn secrets_of_sessions_go_to_a_file_only_where_that_is_wanted() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("keys.log");
    // One that was there before, and that everybody could read.
    std::fs::write(&path, "").unwrap();
    #[cfg(unix)]
    let mode = {
        use std::os::unix::fs::PermissionsExt as _;
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o644)).unwrap();
        || std::fs::metadata(&path).unwrap().permissions().mode() & 0o777
    };
    let server = Server::with(|config| config.security.key_log_file = Some(path.clone()));
    put_psk(&server, "dev-7", "id-7");
    assert!(Secured::psk(server.coaps(), b"id-7", KEY).facts.is_some());
    eventually(|| std::fs::read_to_string(&path).unwrap().starts_with("CLIENT_RANDOM "));
    #[cfg(unix)]
    assert_eq!(mode(), 0o600);
    assert_eq!(server.get("/api/v1/security").json()["key_log"], true);
    let server = Server::start();
    assert_eq!(server.get("/api/v1/security").json()["key_log"], false);
}

/// The same server once more, at the same addresses.
pub(crate) fn restarted(
    server: Server,
    folder: &std::path::Path,
    change: impl FnOnce(&mut lightship_service::Config),
) -> Server {
    let (coap, coaps) = (server.coap, server.coaps());
    drop(server);
    Server::with(|config| {
        config.listen.coap = vec![coap];
        config.listen.coaps = vec![coaps];
        config.store.folder = Some(folder.to_owned());
        change(config);
    })
}

pub(crate) fn in_folder(folder: &std::path::Path) -> Server {
    Server::with(|config| config.store.folder = Some(folder.to_owned()))
}

#[test]
fn an_orderly_restart_keeps_sessions_with_their_registrations_and_observations() {
    let folder = tempfile::tempdir().unwrap();
    let server = in_folder(folder.path());
    put_psk(&server, "dev-7", "id-7");
    let mut device = Secured::psk(server.coaps(), b"id-7", KEY);
    assert_eq!(device.register("dev-7"), Some(0x41));
    let before = endpoint(&server, "dev-7");
    let address = server.http;
    let observe = std::thread::spawn(move || {
        super::support::put_at(address, "/api/v1/endpoints/dev-7/observations/3/0/9")
    });
    let mut token = Vec::new();
    device
        .serve(|request| {
            let mut answer = request.answer(0x45, Some(0), b"84");
            answer.options.insert(0, (6, vec![1]));
            answer
        })
        .map(|request| token = request.token)
        .expect("an Observe");
    assert_eq!(observe.join().unwrap().status, 200);
    let server = restarted(server, folder.path(), |_| {});
    let kept = folder.path().join("hand-over");
    assert!(!kept.exists(), "it is used once, whatever happens next");
    let after = endpoint(&server, "dev-7");
    for member in ["registration_id", "security", "address", "registered_at"] {
        let (before, after) = (&before[member], &after[member]);
        if member == "registered_at" {
            // Of another clock: a second may lie between them, also at the turn of a minute.
            let of_day = |text: &Json| {
                let parts =
                    text.as_str().unwrap()[11..19].split(':').map(|part| part.parse::<i64>().unwrap());
                parts.fold(0, |sum, part| sum * 60 + part)
            };
            let apart = (of_day(before) - of_day(after)).rem_euclid(86_400);
            assert!(apart <= 1 || apart == 86_399, "{before} {after}");
        } else {
            assert_eq!(before, after, "{member}");
        }
    }
    assert_eq!(after["session"]["cid"], before["session"]["cid"]);
    // The server speaks down the session, the device up, and what was observed goes on.
    let address = server.http;
    let read = std::thread::spawn(move || {
        super::support::get_at(address, "/api/v1/endpoints/dev-7/resources/3/0/9")
    });
    assert_eq!(
        device.serve(|request| request.answer(0x45, Some(0), b"83")).expect("a Read").path(),
        "/3/0/9"
    );
    assert_eq!(read.join().unwrap().json()["content"]["value"], 83);
    let notify = Message {
        kind: 1,
        code: 0x45,
        id: 900,
        token,
        options: vec![(6, vec![2]), (12, vec![])],
        payload: b"82".to_vec(),
    };
    device.send(&notify.bytes());
    let observed = || server.get("/api/v1/endpoints/dev-7/observations").json()["items"][0].clone();
    eventually(|| observed()["content"][0]["value"] == 82);
    assert_eq!(observed()["state"], "active");
    let metrics = server.get("/metrics").body;
    assert!(metrics.contains("lightship_handshakes_total{server=\"lwm2m\",result=\"begun\"} 0"), "{metrics}");
    // Another restart, another hand-over; but who is no longer welcome does not come back.
    server.call("DELETE", "/api/v1/credentials/dev-7", "");
    let server = restarted(server, folder.path(), |_| {});
    assert_eq!(server.get("/api/v1/endpoints/dev-7").status, 404);
}

#[test]
fn what_was_handed_over_too_long_ago_or_sealed_otherwise_is_lost_and_nothing_else_happens() {
    let folder = tempfile::tempdir().unwrap();
    let server = in_folder(folder.path());
    put_psk(&server, "dev-7", "id-7");
    assert_eq!(Secured::psk(server.coaps(), b"id-7", KEY).register("dev-7"), Some(0x41));
    let kept = folder.path().join("hand-over");
    let server =
        restarted(server, folder.path(), |config| config.security.hand_over = std::time::Duration::ZERO);
    // The registration is in the store, its session is gone.
    let kept_on = |server: &Server| {
        let listed = server.get("/api/v1/endpoints").json();
        let items = listed["items"].as_array().unwrap();
        assert!(matches!(items.as_slice(), [item] if item.get("session").is_none()), "{listed}");
    };
    kept_on(&server);
    let server = restarted(server, folder.path(), |_| {});
    assert_eq!(Secured::psk(server.coaps(), b"id-7", KEY).register("dev-7"), Some(0x41));
    let (coap, coaps) = (server.coap, server.coaps());
    drop(server);
    let bytes = std::fs::read(&kept).unwrap();
    assert!(!bytes.windows(5).any(|window| window == b"dev-7"), "sealed");
    for bad in [&bytes[..bytes.len() / 2], b"", &[0; 100]] {
        std::fs::write(&kept, bad).unwrap();
        let server = Server::with(|config| {
            config.listen.coap = vec![coap];
            config.listen.coaps = vec![coaps];
            config.store.folder = Some(folder.path().to_owned());
        });
        kept_on(&server);
        assert!(!kept.exists());
        assert_eq!(Secured::psk(server.coaps(), b"id-7", KEY).register("dev-7"), Some(0x41));
    }
}

#[test]
fn a_session_ends_when_its_certificate_expires() {
    let authority = Identity::authority("authority");
    let (server, _folder) = trusting(&authority, |_| {});
    put(&server, "brief", &json!({"mode": "x509"}));
    let now_s = u64::try_from(lightship_net::Clock::start().date().as_secs()).unwrap();
    let brief = Identity::of(&authority, "brief", |params| {
        params.not_after = rcgen::date_time_ymd(1970, 1, 1) + std::time::Duration::from_secs(now_s + 4);
    });
    let mut device = Secured::connect(server.coaps(), brief.x509());
    assert_eq!(device.register("brief"), Some(0x41), "{:?}", device.over);
    eventually(|| device.is_over());
    eventually(|| {
        handshakes(&server, "brief").iter().any(|one| one["reason"] == "its certificate has expired")
    });
    let again = Secured::connect_with(server.coaps(), brief.x509(), device.resumption.take(), Some(NAME));
    assert!(again.facts.is_none());
    eventually(|| failures(&server).iter().any(|one| one["reason"].as_str().unwrap().contains("expired on")));
}

#[test]
fn sessions_with_certificates_go_on_after_a_restart_only_while_who_vouched_for_them_is_trusted() {
    let folder = tempfile::tempdir().unwrap();
    let authority = Identity::authority("authority");
    let path = folder.path().to_owned();
    let (server, files) = trusting(&authority, move |config| config.store.folder = Some(path));
    put(&server, "lamp", &json!({"mode": "x509"}));
    let lamp = Identity::of(&authority, "lamp", |_| {});
    let mut device = Secured::connect(server.coaps(), lamp.x509());
    assert_eq!(device.register("lamp"), Some(0x41), "{:?}", device.over);
    let file = |name: &str| files.path().join(name);
    let other = file("other.pem");
    std::fs::write(&other, Identity::authority("another").certificate.pem()).unwrap();
    let anew = |server: Server, trusts: &[std::path::PathBuf]| {
        restarted(server, folder.path(), |config| {
            config.security.keys = vec![lightship_service::config::KeyPair {
                names: Vec::new(),
                key_file: file("key.pem"),
                certificate_file: Some(file("own.pem")),
            }];
            config.security.trust_files = trusts.to_vec();
        })
    };
    let server = anew(server, &[other.clone(), file("trust.pem")]);
    assert_eq!(device.register("lamp"), Some(0x41), "it goes on, and one more authority does no harm");
    let server = anew(server, &[other]);
    assert!(device.is_over(), "nobody vouches for it any more");
    assert!(Secured::connect(server.coaps(), lamp.x509()).facts.is_none());
}
