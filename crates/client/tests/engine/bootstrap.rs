//! The client's bootstrap, against a Bootstrap-Server played by hand.

use core::time::Duration;

use lightship_client::{Account, AccountId, Config, Event, Phase, Retry, Text};
use lightship_coap::{Code, ContentFormat};
use lightship_lwm2m::Version;
use lightship_platform::UnixTime;

use crate::bench::{Bench, Reply, account};

const JSON: ContentFormat = ContentFormat::SENML_JSON;

/// A server account: `/0/1` and `/1/0` for the Short Server ID 7.
const SECURITY: &str = r#"[{"bn":"/0/1/","n":"0","vs":"coap://new.example"},{"n":"1","vb":false},{"n":"2","v":3},{"n":"3","vd":""},{"n":"4","vd":""},{"n":"5","vd":""},{"n":"10","v":7}]"#;
const SERVER: &str =
    r#"[{"bn":"/1/0/","n":"0","v":7},{"n":"1","v":600},{"n":"6","vb":true},{"n":"7","vs":"U"}]"#;

fn config() -> Config {
    Config::new("urn:dev:os:1")
}

/// A client that has only the Bootstrap-Server's account, which `change` sees before.
fn fresh(change: impl FnOnce(&mut Account)) -> Bench {
    let mut account = Account::bootstrap("coap://bs.example/x?k=v");
    change(&mut account);
    Bench::with(config(), account)
}

/// A client with a server, Short Server ID 1, and a Bootstrap-Server; both are returned.
fn both(change: impl FnOnce(&mut Account)) -> (Bench, AccountId, AccountId) {
    let mut account = account(1, 300);
    change(&mut account);
    let mut bench = Bench::with(config(), account);
    let server = bench.id;
    let own = bench.client.add_account(Account::bootstrap("coap://bs.example")).expect("room");
    (bench, server, own)
}

/// The next datagram to an account.
fn to(bench: &mut Bench, id: AccountId) -> Reply {
    let place = bench.sent.iter().position(|(to, _)| *to == id).expect("something goes there");
    Reply::new(&bench.sent.remove(place).1)
}

/// Lets time pass until there is a request of that path to an account.
fn await_request(bench: &mut Bench, id: AccountId, path: &str) -> Reply {
    for _ in 0..200_000 {
        let found = bench
            .sent
            .iter()
            .position(|(to, sent)| *to == id && Reply::new(sent).path.join("/").ends_with(path));
        if let Some(place) = found {
            return Reply::new(&bench.sent.remove(place).1);
        }
        bench.seconds(1);
    }
    panic!("nothing to {path}");
}

/// Starts a session and has its request accepted.
fn begin(bench: &mut Bench, own: AccountId) -> Reply {
    bench.id = own;
    let _ = bench.client.bootstrap(bench.now);
    bench.drain();
    let request = await_request(bench, own, "bs");
    bench.answer(&request, Code::CHANGED, |_| {});
    request
}

fn write(bench: &mut Bench, path: &str, payload: &str) -> Code {
    bench.send(Code::PUT, path, JSON, payload.as_bytes()).code
}

fn finish(bench: &mut Bench) -> Code {
    bench.ask_with(Code::POST, "/bs", |_| {}, &[]);
    let own = bench.id;
    to(bench, own).code
}

fn account_of(bench: &Bench, ssid: u16) -> Option<(AccountId, Account)> {
    let found = bench.client.accounts().find(|(_, account)| account.ssid.is_some_and(|id| id.get() == ssid));
    found.map(|(id, account)| (id, account.clone()))
}

fn has(bench: &Bench, is: impl Fn(&Event) -> bool) -> bool {
    bench.events.iter().any(is)
}

// Proves: BST-03
#[test]
fn the_request_says_who_asks_and_what_it_wants_to_be_written_in() {
    let mut bench = fresh(|_| {});
    let own = bench.id;
    let request = begin(&mut bench, own);
    assert_eq!((request.code, request.path.join("/").as_str()), (Code::POST, "x/bs"));
    assert!(request.payload.is_empty());
    assert_eq!(request.query[..2], ["k=v".to_owned(), "ep=urn:dev:os:1".to_owned()]);
    let formats = ["pct=11542", "pct=110", "pct=112", "pct=11544"];
    assert!(formats.contains(&request.query[2].as_str()), "{:?}", request.query);
    assert!(has(&bench, |event| *event == Event::BootstrapStarted));
}

// Proves: BST-23
#[test]
fn the_request_waits_for_the_hold_off_time() {
    let mut bench = fresh(|account| account.security.hold_off_s = Some(30));
    let _ = bench.client.bootstrap(bench.now);
    bench.drain();
    let waited = bench.until_sent();
    assert!((Duration::from_secs(30)..=Duration::from_secs(33)).contains(&waited), "{waited:?}");
}

// Proves: BST-15, BST-38
#[test]
fn what_was_written_is_used_once_it_is_finished() {
    let mut bench = fresh(|_| {});
    bench.client.set_date(bench.now, UnixTime::from_secs(1_700_000_000));
    let own = bench.id;
    begin(&mut bench, own);
    assert_eq!(write(&mut bench, "/0/1", SECURITY), Code::CHANGED);
    assert_eq!(write(&mut bench, "/1/0", SERVER), Code::CHANGED);
    assert_eq!(account_of(&bench, 7), None, "not before it is complete");
    assert_eq!(finish(&mut bench), Code::CHANGED);
    assert!(has(&bench, |event| *event == Event::BootstrapFinished));
    assert!(has(&bench, |event| *event == Event::AccountsChanged));
    let (id, account) = account_of(&bench, 7).expect("the account is there");
    assert_eq!((account.uri.as_str(), account.lifetime_s), ("coap://new.example", 600));
    assert_eq!(account.last_bootstrapped_s, Some(1_700_000_000));
    let register = await_request(&mut bench, id, "rd");
    assert!(register.query.contains(&"lt=600".to_owned()), "{:?}", register.query);
    assert!(!register.text().contains("</0/"), "object 0 is nobody's business");
    assert!(bench.client.accounts().any(|(_, account)| account.is_bootstrap()), "kept");
}

// Leshan's bootstrap server writes the SMS keys like this, whatever their lengths would have to be.
#[test]
fn keys_that_are_not_used_may_come_empty() {
    let mut bench = fresh(|_| {});
    let own = bench.id;
    begin(&mut bench, own);
    let with = |more: &str| SECURITY.replace("]", &format!(",{more}]"));
    assert_eq!(write(&mut bench, "/0/1", &with(r#"{"n":"7","vd":"AQ"}"#)), Code::BAD_REQUEST);
    assert_eq!(write(&mut bench, "/0/1", &with(r#"{"n":"7","vd":""},{"n":"8","vd":""}"#)), Code::CHANGED);
    assert_eq!(write(&mut bench, "/1/0", SERVER), Code::CHANGED);
    assert_eq!(finish(&mut bench), Code::CHANGED);
    assert!(account_of(&bench, 7).is_some());
}

// Proves: BST-15
#[test]
fn an_inconsistent_configuration_is_refused_and_may_be_mended() {
    let mut bench = fresh(|_| {});
    let own = bench.id;
    begin(&mut bench, own);
    // A server without its other half.
    assert_eq!(write(&mut bench, "/0/1", SECURITY), Code::CHANGED);
    assert_eq!(finish(&mut bench), Code::NOT_ACCEPTABLE);
    let told = bench.events.iter().find_map(|event| {
        let Event::BootstrapUnusable(reason) = event else { return None };
        Some(reason.to_string())
    });
    assert_eq!(told.as_deref(), Some("/0/1 has no instance of object 1 with its Short Server ID"));
    assert_eq!(write(&mut bench, "/1/0", SERVER), Code::CHANGED);
    assert_eq!(finish(&mut bench), Code::CHANGED);
    assert!(account_of(&bench, 7).is_some());
}

// A Bootstrap-Server that heard none of the answers says its Finish anew, under another message ID.
#[test]
fn a_finish_that_is_said_anew_gets_the_same_answer_for_a_while() {
    let mut bench = fresh(|_| {});
    let own = bench.id;
    begin(&mut bench, own);
    assert_eq!(write(&mut bench, "/0/1", SECURITY), Code::CHANGED);
    assert_eq!(write(&mut bench, "/1/0", SERVER), Code::CHANGED);
    assert_eq!(finish(&mut bench), Code::CHANGED);
    bench.events.clear();
    bench.seconds(240);
    bench.sent.clear();
    assert_eq!(finish(&mut bench), Code::CHANGED);
    assert!(!has(&bench, |event| *event == Event::BootstrapFinished), "it is finished once");
    assert_eq!(bench.ask(Code::DELETE, "/1/0").code, Code::BAD_REQUEST, "nothing else is taken");
    bench.seconds(8);
    assert_eq!(finish(&mut bench), Code::BAD_REQUEST, "EXCHANGE_LIFETIME is over");
}

// Proves: BST-16
#[test]
fn what_consistency_means() {
    let twice = SECURITY.replace("/0/1/", "/0/2/");
    let no_ssid = SECURITY.replace(r#",{"n":"10","v":7}"#, "");
    let secured = SECURITY.replace(r#""n":"2","v":3"#, r#""n":"2","v":0"#);
    let other = SERVER.replace("\"v\":7}", "\"v\":8}");
    let second = SERVER.replace("/1/0/", "/1/1/");
    let own = SECURITY.replace("/0/1/", "/0/3/").replace("\"vb\":false", "\"vb\":true");
    for (name, writes) in [
        ("two with one Short Server ID", vec![("/0/1", SECURITY), ("/0/2", &twice), ("/1/0", SERVER)]),
        ("no Short Server ID", vec![("/0/1", &no_ssid), ("/1/0", SERVER)]),
        ("no pair", vec![("/0/1", SECURITY), ("/1/0", &other)]),
        ("two halves for one", vec![("/0/1", SECURITY), ("/1/0", SERVER), ("/1/1", &second)]),
        ("keys that the mode needs", vec![("/0/1", &secured), ("/1/0", SERVER)]),
        (
            "a resource that is mandatory",
            vec![("/0/1", SECURITY), ("/1/0", r#"[{"bn":"/1/0/","n":"0","v":7}]"#)],
        ),
        ("two Bootstrap-Servers", vec![("/0/1", SECURITY), ("/1/0", SERVER), ("/0/3", &own)]),
    ] {
        let mut bench = fresh(|_| {});
        let id = bench.id;
        begin(&mut bench, id);
        let refused = writes.iter().any(|(path, payload)| write(&mut bench, path, payload) != Code::CHANGED);
        assert!(refused || finish(&mut bench) == Code::NOT_ACCEPTABLE, "{name}");
        assert_eq!(bench.client.accounts().count(), 1, "{name}");
    }
}

// Proves: BST-17, BST-18
#[test]
fn a_session_that_is_not_finished_leaves_everything_as_it_was() {
    let (mut bench, server, own) = both(|_| {});
    let before = bench.client.account(server).cloned();
    begin(&mut bench, own);
    assert_eq!(write(&mut bench, "/1/0", &SERVER.replace("\"v\":7", "\"v\":1")), Code::CHANGED);
    assert_eq!(write(&mut bench, "/0/5", &SECURITY.replace("/0/1/", "/0/5/")), Code::CHANGED);
    assert_eq!(write(&mut bench, "/3303/0", r#"[{"bn":"/3303/0/","n":"5750","vs":"attic"}]"#), Code::CHANGED);
    // Each command gives it more time.
    for _ in 0..3 {
        bench.seconds(200);
        assert_eq!(bench.discover("/").code, Code::CONTENT);
    }
    assert!(!has(&bench, |event| matches!(event, Event::BootstrapFailed { .. })));
    bench.seconds(250);
    assert!(has(&bench, |event| matches!(event, Event::BootstrapFailed { .. })));
    assert_eq!(bench.client.account(server).cloned(), before);
    assert_eq!(bench.client.accounts().count(), 2);
    let application = bench.client.objects().1.get(0).expect("there").application;
    assert_eq!(application.map(|text| text.as_str().to_owned()), None, "other objects, too");
}

// Proves: BST-08, BST-09
#[test]
fn deleting_spares_the_bootstrap_server_and_the_device() {
    let (mut bench, _, own) = both(|_| {});
    begin(&mut bench, own);
    for (path, code) in [
        ("/3303/9", Code::DELETED),
        ("/3303/0/5700", Code::BAD_REQUEST),
        ("/3/0", Code::BAD_REQUEST),
        ("/0/1", Code::BAD_REQUEST),
        ("/3303", Code::DELETED),
        ("/0/0", Code::DELETED),
    ] {
        assert_eq!(bench.ask(Code::DELETE, path).code, code, "{path}");
    }
    let left = bench.discover("/");
    assert!(left.text().contains("</0/1>") && left.text().contains("</1/0>"), "{}", left.text());
    assert!(!left.text().contains("</0/0>") && !left.text().contains("</3303/0>"), "{}", left.text());
    assert_eq!(bench.ask(Code::DELETE, "/").code, Code::DELETED);
    let left = bench.discover("/");
    assert!(left.text().contains("</0/1>") && left.text().contains("</3/0>"), "{}", left.text());
    assert!(!left.text().contains("</1/0>") && !left.text().contains("</3311/0>"), "{}", left.text());
    assert_eq!(write(&mut bench, "/0/2", &SECURITY.replace("/0/1/", "/0/2/")), Code::CHANGED);
    assert_eq!(write(&mut bench, "/1/0", SERVER), Code::CHANGED);
    assert_eq!(finish(&mut bench), Code::CHANGED);
    let ssids: Vec<Option<u16>> =
        bench.client.accounts().map(|(_, account)| account.ssid.map(|ssid| ssid.get())).collect();
    assert!(ssids.contains(&None) && ssids.contains(&Some(7)) && !ssids.contains(&Some(1)), "{ssids:?}");
    assert!(bench.client.objects().1.get(0).is_none());
}

// Proves: BST-10, BST-11
#[test]
fn discover_lists_instances_with_their_servers() {
    let (mut bench, _, own) = both(|_| {});
    begin(&mut bench, own);
    let all = bench.discover("/");
    assert_eq!((all.code, all.format), (Code::CONTENT, Some(ContentFormat::LINK)));
    let text = all.text();
    assert!(text.starts_with("</>;lwm2m=1.2,"), "{text}");
    assert!(text.contains("</0/0>;ssid=1;uri=\"coap://server.example\""), "{text}");
    assert!(text.contains("</0/1>,") && text.contains("</1/0>;ssid=1"), "{text}");
    assert!(text.contains("</3303>;ver=1.1") && text.contains("</3303/0>"), "{text}");
    assert!(!text.contains("5700"), "instances only: {text}");
    let one = bench.discover("/0");
    assert!(one.text().starts_with("</>;lwm2m=1.2,</0/0>"), "{}", one.text());
    assert!(!one.text().contains("</1"), "{}", one.text());
    for (path, code) in
        [("/3303/0", Code::BAD_REQUEST), ("/3303/0/5700", Code::BAD_REQUEST), ("/4711", Code::NOT_FOUND)]
    {
        assert_eq!(bench.discover(path).code, code, "{path}");
    }
}

// Proves: BST-13
#[test]
fn only_accounts_and_rights_can_be_read() {
    let (mut bench, _, own) = both(|_| {});
    begin(&mut bench, own);
    for path in ["/1", "/1/0", "/2"] {
        assert_eq!(bench.get(path, JSON).code, Code::CONTENT, "{path}");
    }
    assert!(bench.get("/1/0", JSON).text().contains(r#""n":"1","v":300"#));
    for path in ["/0", "/0/0", "/3", "/3303/0", "/1/0/1"] {
        assert_eq!(bench.get(path, JSON).code, Code::METHOD_NOT_ALLOWED, "{path}");
    }
    assert_eq!(bench.get("/1/9", JSON).code, Code::NOT_FOUND);
}

// Proves: BST-05, BST-06
#[test]
fn a_write_asks_neither_for_existence_nor_for_rights_and_skips_what_is_unknown() {
    let (mut bench, _, own) = both(|_| {});
    begin(&mut bench, own);
    // Read-only, of an instance that is not there, with a resource that nobody knows.
    let sensor = r#"[{"bn":"/3303/2/","n":"5700","v":4},{"n":"5750","vs":"attic"},{"n":"9999","v":1}]"#;
    assert_eq!(write(&mut bench, "/3303/2", sensor), Code::CHANGED);
    assert_eq!(
        write(&mut bench, "/3303", &sensor.replace("/3303/2/", "/3303/1/")),
        Code::CHANGED,
        "object level"
    );
    assert_eq!(bench.send(Code::PUT, "/3303/2/5750", ContentFormat::TEXT, b"cellar").code, Code::CHANGED);
    assert_eq!(bench.send(Code::PUT, "/3303/2/5750/0", ContentFormat::TEXT, b"x").code, Code::BAD_REQUEST);
    assert_eq!(finish(&mut bench), Code::CHANGED);
    let sensors = &bench.client.objects().1;
    let one = |id: u16| {
        let sensor = sensors.get(id).expect("written");
        let application = sensor.application.map(|text| text.as_str().to_owned());
        (sensor.value, sensor.unit, application)
    };
    assert_eq!(one(2), (4.0, None, Some("cellar".to_owned())));
    assert_eq!(one(1), (4.0, None, Some("attic".to_owned())), "and no optional resource that was not named");
}

// Proves: BST-25
#[test]
fn servers_are_not_heard_while_the_bootstrap_server_writes() {
    let (mut bench, server, own) = both(|_| {});
    bench.id = server;
    bench.register();
    begin(&mut bench, own);
    bench.sent.clear();
    bench.id = server;
    bench.ask_with(Code::GET, "/3/0/0", |_| {}, &[]);
    bench.ask_with(
        Code::PUT,
        "/3303/0/5750",
        |options| _ = options.content_format(ContentFormat::TEXT),
        b"x",
    );
    assert!(bench.sent.is_empty());
    bench.id = own;
    assert_eq!(bench.discover("/").code, Code::CONTENT);
}

#[test]
fn commands_outside_a_session_change_nothing() {
    let (mut bench, server, own) = both(|_| {});
    bench.id = server;
    bench.register();
    for path in ["/0/0", "/1/0"] {
        assert_ne!(write(&mut bench, path, SECURITY), Code::CHANGED, "a server is no Bootstrap-Server");
    }
    assert_ne!(finish(&mut bench), Code::CHANGED);
    bench.id = own;
    bench.ask_with(Code::DELETE, "/", |_| {}, &[]);
    assert!(bench.sent.iter().all(|(_, sent)| Reply::new(sent).code != Code::DELETED));
    assert_eq!(bench.client.accounts().count(), 2);
}

// Proves: REG-37
#[test]
fn a_server_may_send_the_client_to_the_bootstrap_server() {
    let (mut bench, server, own) = both(|_| {});
    bench.id = server;
    bench.register();
    assert_eq!(bench.ask(Code::POST, "/1/0/9").code, Code::CHANGED);
    let request = await_request(&mut bench, own, "bs");
    assert_eq!(request.code, Code::POST);
}

// Proves: REG-41, BST-22
#[test]
fn a_client_that_reaches_no_server_asks_the_bootstrap_server() {
    for (wanted, bootstraps) in [(None, true), (Some(true), true), (Some(false), false)] {
        let (mut bench, server, own) = both(|account| {
            account.retry = Retry::new(2, 5, 50, 1);
            account.bootstrap_on_failure = wanted;
        });
        bench.client.start(bench.now);
        bench.drain();
        bench.id = server;
        for _ in 0..2 {
            let register = await_request(&mut bench, server, "rd");
            assert!(!bench.sent.iter().any(|(to, _)| *to == own), "known servers come first");
            bench.answer(&register, Code::FORBIDDEN, |_| {});
        }
        bench.seconds(40);
        assert_eq!(bench.sent.iter().any(|(to, _)| *to == own), bootstraps, "/1/x/16 = {wanted:?}");
    }
}

// Proves: BST-22
#[test]
fn a_client_without_servers_asks_at_once() {
    let mut bench = fresh(|_| {});
    let own = bench.id;
    bench.client.start(bench.now);
    bench.drain();
    assert_eq!(await_request(&mut bench, own, "bs").code, Code::POST);
}

// Proves: BST-23
#[test]
fn the_account_of_the_bootstrap_server_goes_when_its_time_is_over() {
    let mut bench = fresh(|account| account.security.account_timeout_s = Some(60));
    let own = bench.id;
    begin(&mut bench, own);
    assert_eq!(write(&mut bench, "/0/1", SECURITY), Code::CHANGED);
    assert_eq!(write(&mut bench, "/1/0", SERVER), Code::CHANGED);
    assert_eq!(finish(&mut bench), Code::CHANGED);
    bench.seconds(59);
    assert!(bench.client.accounts().any(|(_, account)| account.is_bootstrap()));
    bench.seconds(1);
    assert!(!bench.client.accounts().any(|(_, account)| account.is_bootstrap()));
    assert!(account_of(&bench, 7).is_some());
}

// Proves: BST-26
#[test]
fn a_server_whose_account_is_gone_is_left_and_a_changed_one_hears_of_it() {
    let (mut bench, server, own) = both(|_| {});
    bench.id = server;
    bench.register();
    bench.ask(Code::PUT, "/3303/0/5700?pmin=5");
    bench.observe("/3303/0/5700");
    begin(&mut bench, own);
    bench.sent.clear();
    bench.id = own;
    assert_eq!(bench.ask(Code::DELETE, "/0/0").code, Code::DELETED);
    assert_eq!(bench.ask(Code::DELETE, "/1/0").code, Code::DELETED);
    assert_eq!(write(&mut bench, "/0/2", &SECURITY.replace("/0/1/", "/0/2/")), Code::CHANGED);
    assert_eq!(write(&mut bench, "/1/0", SERVER), Code::CHANGED);
    assert_eq!(finish(&mut bench), Code::CHANGED);
    let (id, _) = account_of(&bench, 7).expect("there");
    let register = await_request(&mut bench, id, "rd");
    bench.id = id;
    bench.answer(&register, Code::CREATED, |options| _ = options.location_path("/rd/n"));
    assert!(matches!(bench.client.phase(id), Phase::Registered { .. }));
    assert!(!bench.discover("/3303/0/5700").text().contains("pmin"), "attributes of the old server are gone");
    bench.sent.clear();
    bench.set(40.0);
    assert!(bench.sent.is_empty(), "and its observations");
}

#[test]
fn a_bootstrap_server_that_does_not_answer_is_asked_again() {
    let mut bench = fresh(|_| {});
    let own = bench.id;
    let _ = bench.client.bootstrap(bench.now);
    bench.drain();
    bench.seconds(100);
    bench.sent.clear();
    let again = await_request(&mut bench, own, "bs");
    bench.answer(&again, Code::BAD_REQUEST, |_| {});
    assert!(has(&bench, |event| matches!(event, Event::BootstrapFailed { .. })));
    bench.sent.clear();
    let again = await_request(&mut bench, own, "bs");
    bench.answer(&again, Code::CHANGED, |_| {});
    assert_eq!(bench.discover("/").code, Code::CONTENT);
}

#[test]
fn a_device_of_1_0_says_nothing_of_formats() {
    let mut bench = Bench::with(
        Config { version: Version::V1_0, ..config() },
        Account { uri: Text::new("coap://bs.example"), ..Account::bootstrap("") },
    );
    let own = bench.id;
    let request = begin(&mut bench, own);
    assert_eq!(request.query, ["ep=urn:dev:os:1"]);
    assert!(
        bench.discover("/").text().starts_with("</>;lwm2m=1.0,")
            || bench.discover("/").text().starts_with("lwm2m")
    );
}

/// A pack in SenML JSON: the account, and one sensor.
fn pack() -> String {
    let sensor = r#"{"bn":"/3303/2/","n":"5700","v":4}]"#;
    format!("{},{},{sensor}", SECURITY.trim_end_matches(']'), &SERVER[1..SERVER.len() - 1])
}

fn packed() -> (Bench, AccountId, Reply) {
    let config = Config { bootstrap_pack: true, ..config() };
    let mut bench = Bench::with(config, Account::bootstrap("coap://bs.example/x"));
    let own = bench.id;
    let _ = bench.client.bootstrap(bench.now);
    bench.drain();
    let request = await_request(&mut bench, own, "bspack");
    (bench, own, request)
}

fn answer_pack(bench: &mut Bench, request: &Reply, payload: &str) {
    let mut buffer = [0; 1024];
    let mut message = lightship_coap::Encoder::new(
        &mut buffer,
        lightship_coap::Type::Ack,
        Code::CONTENT,
        request.id,
        request.token,
    );
    message.options().content_format(JSON);
    let len = message.finish_with(payload.as_bytes()).expect("fits");
    bench.input(&buffer[..len]);
}

// Proves: BST-30, BST-32, BST-33
#[test]
fn a_pack_brings_everything_at_once() {
    let (mut bench, own, request) = packed();
    assert_eq!((request.code, request.path.join("/").as_str()), (Code::GET, "x/bspack"));
    assert_eq!(request.query, ["ep=urn:dev:os:1", "acc=</0/0>"]);
    answer_pack(&mut bench, &request, &pack());
    assert!(has(&bench, |event| *event == Event::BootstrapFinished), "{:?}", bench.events);
    let (id, _) = account_of(&bench, 7).expect("there");
    assert!(bench.client.account(own).is_some_and(Account::is_bootstrap), "its own account stays");
    let sensors = &bench.client.objects().1;
    assert_eq!(
        (sensors.get(2).map(|sensor| sensor.value), sensors.get(0).is_none()),
        (Some(4.0), true),
        "replaced"
    );
    assert!(bench.client.objects().3.get(0).is_some(), "an object that is not in the pack is left alone");
    let register = await_request(&mut bench, id, "rd");
    assert_eq!(register.code, Code::POST);
}

// Proves: BST-30
#[test]
fn without_a_usable_pack_commands_are_asked_for() {
    for code in [Code::NOT_FOUND, Code::METHOD_NOT_ALLOWED, Code::NOT_IMPLEMENTED, Code::BAD_REQUEST] {
        let (mut bench, own, request) = packed();
        bench.answer(&request, code, |_| {});
        let request = await_request(&mut bench, own, "x/bs");
        assert_eq!(request.code, Code::POST, "{code}");
    }
    let unfinished = format!("{}]", pack().replace(r#"{"n":"7","vs":"U"},"#, "").trim_end_matches(']'));
    for payload in ["[]", "no pack", &unfinished] {
        let (mut bench, own, request) = packed();
        answer_pack(&mut bench, &request, payload);
        assert_eq!(account_of(&bench, 7), None, "{payload}");
        assert!(bench.client.objects().1.get(0).is_some(), "as it was: {payload}");
        let request = await_request(&mut bench, own, "x/bs");
        assert_eq!(request.code, Code::POST);
        bench.answer(&request, Code::CHANGED, |_| {});
        assert_eq!(write(&mut bench, "/0/1", SECURITY), Code::CHANGED);
        assert_eq!(write(&mut bench, "/1/0", SERVER), Code::CHANGED);
        assert_eq!(finish(&mut bench), Code::CHANGED);
    }
    let (mut bench, own, _) = packed();
    bench.seconds(100);
    assert_eq!(await_request(&mut bench, own, "x/bs").code, Code::POST, "after silence");
}

// Proves: BST-24
#[test]
fn the_bootstrap_server_may_put_another_in_its_place() {
    let (mut bench, server, own) = both(|_| {});
    begin(&mut bench, own);
    let next = r#"[{"bn":"/0/1/","n":"0","vs":"coap://next.example"},{"n":"1","vb":true},{"n":"2","v":3},{"n":"3","vd":""},{"n":"4","vd":""},{"n":"5","vd":""}]"#;
    assert_eq!(write(&mut bench, "/0/1", next), Code::CHANGED);
    let uris = |bench: &Bench| -> Vec<String> {
        let own = bench.client.accounts().filter(|(_, account)| account.is_bootstrap());
        own.map(|(_, account)| account.uri.as_str().to_owned()).collect()
    };
    assert_eq!(uris(&bench), ["coap://bs.example"], "not before it is complete");
    assert_eq!(finish(&mut bench), Code::CHANGED);
    assert_eq!(uris(&bench), ["coap://next.example"]);
    // Two of them are one too many; the old one stays.
    bench.id = server;
    begin(&mut bench, own);
    let refused = write(&mut bench, "/0/5", &next.replace("/0/1/", "/0/5/")) != Code::CHANGED;
    assert!(refused || finish(&mut bench) == Code::NOT_ACCEPTABLE);
    bench.seconds(300);
    assert_eq!(uris(&bench), ["coap://next.example"]);
}

// Proves: BST-26
#[test]
fn what_a_removed_server_owned_goes_to_the_one_that_may_most_of_it() {
    use crate::bench::{Rights, Temperature};
    use lightship_client::{Array, ResourceInstanceId};
    let (mut bench, _, own) = both(|_| {});
    for ssid in [2, 3] {
        bench.client.add_account(account(ssid, 300)).expect("room");
    }
    let acl = |list: &[(u16, u16)]| {
        let mut acl = Array::new();
        for (ssid, rights) in list {
            acl.insert(ResourceInstanceId::new(*ssid).expect("legal"), *rights).expect("room");
        }
        Some(acl)
    };
    let objects = bench.client.objects_mut();
    let _ = objects.1.insert(1, Temperature::default());
    for (id, object, instance, owner, list) in [
        // Owned by the one that goes; 3 may write and delete, 2 may only read.
        (0, 3303, 0, 1, &[(1, 15), (2, 1), (3, 11)][..]),
        // Nobody else may do anything.
        (1, 3303, 1, 1, &[(1, 15)]),
        // Owned by another: only the entry goes.
        (2, 3311, 0, 2, &[(1, 1), (2, 15)]),
    ] {
        let _ = objects.2.insert(id, Rights { object, instance, acl: acl(list), owner });
    }
    begin(&mut bench, own);
    assert_eq!(bench.ask(Code::DELETE, "/0/0").code, Code::DELETED);
    assert_eq!(bench.ask(Code::DELETE, "/1/0").code, Code::DELETED);
    assert_eq!(finish(&mut bench), Code::CHANGED);
    let objects = bench.client.objects();
    let entry = |id: u16| {
        let entry = objects.2.get(id)?;
        let named =
            |ssid: u16| entry.acl.as_ref().is_some_and(|acl| acl.iter().any(|(id, _)| id.get() == ssid));
        Some((entry.owner, named(1), named(3)))
    };
    assert_eq!(entry(0), Some((3, false, true)));
    assert_eq!((entry(1), objects.1.get(1).is_none()), (None, true), "gone with what it spoke about");
    assert_eq!(entry(2), Some((2, false, false)));
    assert!(objects.1.get(0).is_some());
}

#[test]
fn keys_of_an_account_come_as_they_were_written() {
    let mut bench = fresh(|_| {});
    let own = bench.id;
    begin(&mut bench, own);
    let secured = SECURITY
        .replace("coap://", "coaps://")
        .replace(r#""n":"2","v":3"#, r#""n":"2","v":0"#)
        .replace(r#""n":"3","vd":"""#, r#""n":"3","vd":"aWQ""#)
        .replace(r#""n":"5","vd":"""#, r#""n":"5","vd":"a2V5a2V5a2V5a2V5""#);
    assert_eq!(write(&mut bench, "/0/1", &secured), Code::CHANGED);
    assert_eq!(write(&mut bench, "/1/0", SERVER), Code::CHANGED);
    assert_eq!(finish(&mut bench), Code::CHANGED);
    let (_, account) = account_of(&bench, 7).expect("there");
    let security = &account.security;
    assert_eq!(
        (security.bootstrap, security.mode.number(), account.uri.as_str()),
        (false, 0, "coaps://new.example")
    );
    assert_eq!((security.identity.as_slice(), security.key.as_slice()), (&b"id"[..], &b"keykeykeykey"[..]));
}

// Proves: OBJ-01
#[test]
fn the_objects_that_every_client_has_have_what_is_mandatory() {
    let mut bench = fresh(|_| {});
    let own = bench.id;
    begin(&mut bench, own);
    assert_eq!(write(&mut bench, "/0/1", SECURITY), Code::CHANGED);
    assert_eq!(write(&mut bench, "/1/0", SERVER), Code::CHANGED);
    assert_eq!(finish(&mut bench), Code::CHANGED);
    let (id, _) = account_of(&bench, 7).expect("there");
    let register = await_request(&mut bench, id, "rd");
    bench.id = id;
    bench.answer(&register, Code::CREATED, |options| _ = options.location_path("/rd/n"));
    for (path, mandatory) in [("/1/0", &[0, 1, 6, 7, 8][..]), ("/3/0", &[4, 11, 16])] {
        let found = bench.discover(path);
        for resource in mandatory {
            assert!(
                found.text().contains(&format!("<{path}/{resource}>")),
                "{path}/{resource}: {}",
                found.text()
            );
        }
    }
}

#[test]
fn keys_that_the_mode_does_not_use_are_ignored() {
    let mut bench = fresh(|_| {});
    let own = bench.id;
    begin(&mut bench, own);
    let odd = SECURITY.replace(r#""n":"3","vd":"""#, r#""n":"3","vd":"aWQ""#);
    assert_eq!(write(&mut bench, "/0/1", &odd), Code::CHANGED);
    assert_eq!(write(&mut bench, "/1/0", SERVER), Code::CHANGED);
    assert_eq!(finish(&mut bench), Code::CHANGED);
    assert!(account_of(&bench, 7).is_some_and(|(_, account)| account.security.identity.is_empty()));
}

const ANYWHERE: [&str; 17] = [
    "/",
    "/0",
    "/1",
    "/2",
    "/3",
    "/0/0",
    "/0/1",
    "/1/0",
    "/1/7",
    "/2/3",
    "/3/0",
    "/3303/0",
    "/3303/0/5700",
    "/16",
    "/99",
    "bs",
    "/65535",
];
const ANYHOW: [u16; 10] = [0, 40, 42, 60, 110, 112, 11542, 11543, 11544, 9999];

/// A number below `len`.
fn pick(rng: &mut impl lightship_platform::Rng, len: usize) -> usize {
    usize::try_from(rng.below(u32::try_from(len).expect("small"))).expect("small")
}

/// A payload with a few bytes changed and perhaps its end cut off.
fn spoilt(rng: &mut impl lightship_platform::Rng, payload: &[u8]) -> Vec<u8> {
    let mut payload = payload.to_vec();
    for _ in 0..rng.below(4) {
        if !payload.is_empty() {
            let at = pick(rng, payload.len());
            payload[at] = rng.next_u32().to_le_bytes()[0];
        }
    }
    payload.truncate(pick(rng, payload.len() + 1).max(payload.len() / 2));
    payload
}

// Proves: BST-18
#[test]
fn whatever_a_bootstrap_server_sends_it_comes_to_nothing_without_a_finish() {
    use lightship_platform::SeededRng;
    let pack = pack();
    let seeds = [
        SECURITY.as_bytes(),
        SERVER.as_bytes(),
        pack.as_bytes(),
        b"\x08\x00\x03\xC1\x01\x05",
        b"\xA1\x01\xA1\x00\xA1\x01\x05",
        b"",
    ];
    for seed in 0..40 {
        let mut rng = SeededRng::from_number(seed);
        let (mut bench, server, own) = both(|_| {});
        let before: Vec<Account> = bench.client.accounts().map(|(_, account)| account.clone()).collect();
        bench.id = server;
        begin(&mut bench, own);
        for _ in 0..60 {
            let path = ANYWHERE[pick(&mut rng, ANYWHERE.len())];
            let code = [Code::GET, Code::PUT, Code::DELETE, Code::POST, Code::FETCH, Code::IPATCH]
                [pick(&mut rng, 6)];
            if path == "bs" && code == Code::POST {
                continue;
            }
            let format = ContentFormat(ANYHOW[pick(&mut rng, ANYHOW.len())]);
            let whole = seeds[pick(&mut rng, seeds.len())];
            let payload = spoilt(&mut rng, whole);
            let options = |options: &mut lightship_coap::OptionWriter<'_>| {
                if code == Code::GET {
                    options.accept(format);
                } else {
                    options.content_format(format);
                }
            };
            bench.ask_with(code, path, options, &payload);
            let answers = bench.sent.drain(..).filter(|(to, _)| *to == own).count();
            assert_eq!(answers, 1, "{code} {path}");
        }
        bench.seconds(300);
        assert!(has(&bench, |event| matches!(event, Event::BootstrapFailed { .. })));
        let after: Vec<Account> = bench.client.accounts().map(|(_, account)| account.clone()).collect();
        assert_eq!(after, before, "seed {seed}");
        let objects = bench.client.objects();
        assert_eq!(objects.1.get(0).map(|sensor| sensor.value), Some(21.5), "seed {seed}");
        assert!(objects.1.get(2).is_none() && objects.3.get(0).is_some(), "seed {seed}");
    }
}
