//! The object LwM2M Server (1): every resource of its release, what may be written to it, and what the client makes of it.

use lightship_client::{Account, Array, Config, Event, Text};
use lightship_coap::{Code, ContentFormat};
use lightship_lwm2m::{ResourceInstanceId, Version};

#[cfg(feature = "bootstrap")]
use crate::bench::Reply;
use crate::bench::{Bench, account};

const TEXT: ContentFormat = ContentFormat::TEXT;
const JSON: ContentFormat = ContentFormat::SENML_JSON;

/// A client whose account has everything that a server cannot write.
fn at(version: Version) -> Bench {
    let account = Account {
        tls_alert: Some(42),
        last_bootstrapped_s: Some(1_700_000_000),
        priority: Some(1),
        failure_block: Some(true),
        bootstrap_on_failure: Some(false),
        ..account(1, 300)
    };
    let mut bench = Bench::with(Config { version, ..Config::new("a") }, account);
    bench.register();
    bench
}

// Proves: OBJ-04
#[test]
fn each_release_shows_its_resources_of_the_server_object_and_writes_those_that_may_be_written() {
    // Resource, a value that fits, one that does not, and whether a server may write it.
    let resources: [(u16, &str, &str, bool); 25] = [
        (0, "2", "", false),
        (1, "77", "-1", true),
        (2, "5", "x", true),
        (3, "60", "-1", true),
        (5, "100", "-1", true),
        (6, "0", "2", true),
        (7, "U", "UX", true),
        (10, "3:0", "9:9", true),
        (11, "1", "", false),
        (12, "1", "", false),
        (13, "1", "", false),
        (14, "3", "-1", true),
        (15, "1", "", false),
        (16, "1", "", false),
        (17, "4", "0", true),
        (18, "30", "-1", true),
        (19, "4294967295", "4294967296", true),
        (20, "2", "-1", true),
        (21, "1", "2", true),
        (22, "U", "UT", true),
        (23, "0", "7", true),
        (26, "1", "2", true),
        (27, "6", "256", true),
        (4, "1", "", false),
        (8, "1", "", false),
    ];
    for (version, last) in [(Version::V1_0, 8), (Version::V1_1, 23), (Version::V1_2, 27)] {
        let mut bench = at(version);
        for (resource, good, bad, writable) in resources {
            let path = format!("/1/0/{resource}");
            let (good_code, bad_code) = match (resource <= last, writable) {
                (false, _) => (Code::NOT_FOUND, Code::NOT_FOUND),
                (true, false) => (Code::METHOD_NOT_ALLOWED, Code::METHOD_NOT_ALLOWED),
                (true, true) => (Code::CHANGED, Code::BAD_REQUEST),
            };
            assert_eq!(bench.put(&path, bad), bad_code, "{version:?} {path} {bad}");
            assert_eq!(bench.put(&path, good), good_code, "{version:?} {path} {good}");
            bench.sent.clear();
            if good_code == Code::CHANGED {
                assert_eq!(bench.get(&path, TEXT).text(), good, "{version:?} {path}");
            }
        }
        let read_only = [("/1/0/0", "1"), ("/1/0/11", "42"), ("/1/0/12", "1700000000"), ("/1/0/13", "1")];
        for (path, value) in read_only.into_iter().chain([("/1/0/15", "1"), ("/1/0/16", "0")]) {
            let known = path == "/1/0/0" || last > 8;
            assert_eq!(bench.get(path, TEXT).text(), if known { value } else { "" }, "{version:?} {path}");
        }
    }
}

#[test]
fn arrays_of_the_server_object_are_written_and_dropped_like_any_other() {
    let mut bench = at(Version::V1_2);
    let versions = br#"[{"bn":"/1/0/25/","n":"0","vs":"1.0"},{"n":"3","vs":"1.1.1"}]"#;
    assert_eq!(bench.send(Code::PUT, "/1/0/25", JSON, versions).code, Code::CHANGED);
    assert_eq!(bench.get("/1/0/25/3", TEXT).text(), "1.1.1");
    let nonsense = br#"[{"n":"/1/0/25/0","vs":"1.22"}]"#;
    assert_eq!(bench.send(Code::PUT, "/1/0/25", JSON, nonsense).code, Code::BAD_REQUEST);
    let links = br#"[{"n":"/1/0/24/0","vlo":"3:0"}]"#;
    assert_eq!(bench.send(Code::PUT, "/1/0/24", JSON, links).code, Code::CHANGED);
    // A Replace of the instance keeps what every account has and drops the rest.
    let replace = br#"[{"bn":"/1/0/","n":"1","v":300},{"n":"6","vb":true},{"n":"7","vs":"U"}]"#;
    assert_eq!(bench.send(Code::PUT, "/1/0", JSON, replace).code, Code::CHANGED);
    for gone in ["/1/0/24", "/1/0/25", "/1/0/5"] {
        assert_eq!(bench.get(gone, JSON).code, Code::NOT_FOUND, "{gone}");
    }
    let discovered = bench.discover("/1/0");
    let expected = "</1/0>,</1/0/0>,</1/0/1>,</1/0/4>,</1/0/6>,</1/0/7>,</1/0/8>,</1/0/9>,</1/0/11>,</1/0/12>,</1/0/13>,</1/0/15>,</1/0/16>";
    assert_eq!(discovered.text(), expected, "what is absent is not listed");
}

fn knowing(versions: &[&str]) -> Account {
    let mut list = Array::new();
    for (version, id) in versions.iter().zip(0..) {
        list.insert(ResourceInstanceId::new(id).expect("legal"), Text::new(version)).expect("room");
    }
    Account { supported_versions: Some(list), ..account(1, 300) }
}

fn offered(bench: &mut Bench) -> String {
    let register = bench.take();
    let version = register.query.iter().find(|part| part.starts_with("lwm2m=")).expect("a version").clone();
    bench.answer(&register, Code::PRECONDITION_FAILED, |_| {});
    version
}

// Proves: GEN-18
#[test]
fn the_version_offered_is_the_highest_that_the_server_is_known_to_support() {
    for (versions, first, second) in [
        (&["1.0", "1.1.1"][..], "lwm2m=1.1", Some("lwm2m=1.0")),
        (&["1.0"], "lwm2m=1.0", None),
        (&["1.2", "1.0"], "lwm2m=1.2", Some("lwm2m=1.0")),
        (&["2.0"], "lwm2m=1.2", Some("lwm2m=1.1")),
    ] {
        let mut bench = Bench::with(Config::new("a"), knowing(versions));
        bench.client.register(bench.now, bench.id);
        bench.drain();
        assert_eq!(offered(&mut bench), first, "{versions:?}");
        match second {
            Some(second) => assert_eq!(offered(&mut bench), second, "{versions:?}"),
            None => assert!(bench.sent.is_empty(), "{versions:?}"),
        }
        assert!(bench.events.iter().any(|event| matches!(event, Event::Failed { .. })));
    }
}

// Proves: OBJ-01
#[cfg(feature = "bootstrap")]
#[test]
fn objects_0_1_and_3_are_there_with_all_that_is_mandatory() {
    let mut bench = Bench::registered();
    let present = ["/1/0/0", "/1/0/1", "/1/0/6", "/1/0/7", "/3/0/11", "/3/0/16"];
    for path in present {
        assert_eq!(bench.get(path, JSON).code, Code::CONTENT, "{path}");
    }
    for (instance, executable) in [("/1/0", "</1/0/8>"), ("/3/0", "</3/0/4>")] {
        assert!(bench.discover(instance).text().contains(executable), "{executable}");
    }

    // Object 0 is shown to the Bootstrap-Server alone, whose Finish also says whether anything mandatory is missing.
    let own = bench.client.add_account(Account::bootstrap("coap://bs.example")).expect("room");
    bench.id = own;
    assert!(bench.client.bootstrap(bench.now));
    bench.drain();
    let request = bench.take();
    bench.answer(&request, Code::CHANGED, |_| {});
    let accounts = bench.discover("/0");
    let expected = "</>;lwm2m=1.2,</0/0>;ssid=1;uri=\"coap://server.example\",</0/1>";
    assert_eq!(accounts.text(), expected);
    assert_eq!(bench.send(Code::PUT, "/0/0/12", TEXT, b"7").code, Code::CHANGED, "nothing mandatory");
    bench.ask_with(Code::POST, "/bs", |_| {}, &[]);
    let finished = bench.sent.iter().find(|(to, _)| *to == own).map(|(_, sent)| Reply::new(sent).code);
    assert_eq!(finished, Some(Code::CHANGED));
    assert_eq!(bench.client.accounts().count(), 2);
}
