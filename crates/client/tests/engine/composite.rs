//! Composite operations: several nodes in one request, and in one observation.

use core::time::Duration;

use lightship_client::{Array, Config, Event};
use lightship_coap::{Code, ContentFormat, OptionWriter, Token, Type};
use lightship_lwm2m::{ResourceInstanceId, Version, path};

use crate::bench::{Bench, Light, Reply, Rights, Temperature, account};

const JSON: ContentFormat = ContentFormat::SENML_JSON;
const ETCH: ContentFormat = ContentFormat::SENML_ETCH_JSON;

fn at(version: Version) -> Bench {
    let mut bench = Bench::with(Config { version, ..Config::new("a") }, account(1, 0));
    bench.register();
    let mut acl = Array::new();
    acl.insert(ResourceInstanceId::new(1).expect("legal"), 15).expect("room");
    acl.insert(ResourceInstanceId::new(7).expect("legal"), 1).expect("room");
    let rights = Rights { object: 3, instance: 0, acl: Some(acl), owner: 1 };
    bench.client.objects_mut().2.insert(0, rights).unwrap_or_else(|_| panic!("room"));
    bench.drain();
    let update = bench.take();
    bench.answer(&update, Code::CHANGED, |_| {});
    bench.events.clear();
    bench
}

fn ask(bench: &mut Bench, method: Code, format: ContentFormat, payload: &str) -> Reply {
    bench.send(method, "/", format, payload.as_bytes())
}

fn fetch(bench: &mut Bench, payload: &str) -> Reply {
    ask(bench, Code::FETCH, JSON, payload)
}

fn patch(bench: &mut Bench, payload: &str) -> Code {
    ask(bench, Code::IPATCH, JSON, payload).code
}

// Proves: DMO-37, DMO-38, COA-20
#[test]
fn what_is_there_is_read_in_tree_order_and_once() {
    let mut bench = at(Version::V1_1);
    let list = r#"[{"n":"/3303/0/5700"},{"n":"/3/0/0"},{"n":"/3/0/4"},{"n":"/77"},{"n":"/3303/9"},{"n":"/3303/0"},{"n":"/2/0/2/7"}]"#;
    let answer = fetch(&mut bench, list);
    assert_eq!((answer.code, answer.format), (Code::CONTENT, Some(JSON)));
    let expected = r#"[{"bn":"/2/0/","n":"2/7","v":1},{"bn":"/3/0/","n":"0","vs":"Lightship"},{"bn":"/3303/0/","n":"5700","v":21.5},{"n":"5701","vs":"Cel"}]"#;
    assert_eq!(answer.text(), expected);
    assert_eq!(fetch(&mut bench, r#"[{"n":"/3/0/9"}]"#).text(), "[]", "nothing is left");
    let all = fetch(&mut bench, r#"[{"n":"/"}]"#);
    for part in ["/1/0/", "/2/0/", "/3/0/", "/3303/0/", "/3311/0/"] {
        assert!(all.text().contains(part), "{part} in {}", all.text());
    }
    assert!(!all.text().contains("\"/0/"));
    let other = |options: &mut OptionWriter<'_>| {
        options.accept(ContentFormat::SENML_CBOR).content_format(JSON);
    };
    bench.ask_with(Code::FETCH, "/", other, br#"[{"n":"/3/0/0"}]"#);
    let answer = bench.take();
    assert_eq!(answer.format, Some(ContentFormat::SENML_CBOR));
    assert_eq!(answer.payload, b"\x81\xA3\x21\x65/3/0/\x00\x610\x03\x69Lightship");
}

// Proves: DMO-40, DMO-42
#[test]
fn composite_reads_are_refused_by_the_rules() {
    let mut bench = at(Version::V1_2);
    let list = r#"[{"n":"/3/0/0"}]"#;
    for (path, format, payload, code) in [
        ("/", JSON, list, Code::CONTENT),
        ("/", ETCH, list, Code::CONTENT),
        ("/3/0", JSON, list, Code::METHOD_NOT_ALLOWED),
        ("/", ContentFormat::LWM2M_TLV, list, Code::UNSUPPORTED_CONTENT_FORMAT),
        ("/", ContentFormat::TEXT, list, Code::UNSUPPORTED_CONTENT_FORMAT),
        ("/", ContentFormat::LWM2M_CBOR, list, Code::UNSUPPORTED_CONTENT_FORMAT),
        ("/", JSON, "[]", Code::BAD_REQUEST),
        ("/", JSON, "[{", Code::BAD_REQUEST),
        ("/", JSON, r#"[{"n":"/3/0/0","v":1}]"#, Code::BAD_REQUEST),
        ("/", JSON, r#"[{"n":"/3/0/0"},{"n":"/3/0/0"}]"#, Code::BAD_REQUEST),
        ("/", JSON, r#"[{"n":"/x"}]"#, Code::BAD_REQUEST),
        ("/?pmin=3", JSON, list, Code::BAD_OPTION),
    ] {
        let answer = bench.send(Code::FETCH, path, format, payload.as_bytes());
        assert_eq!(answer.code, code, "{path} {format} {payload}");
    }
    bench.ask_with(Code::FETCH, "/", |_| {}, list.as_bytes());
    assert_eq!(bench.take().code, Code::BAD_REQUEST, "without a Content-Format");
    for accept in [ContentFormat::TEXT, ContentFormat::LWM2M_TLV, ETCH, ContentFormat(65_000)] {
        let options = |options: &mut OptionWriter<'_>| {
            options.accept(accept).content_format(JSON);
        };
        bench.ask_with(Code::FETCH, "/", options, list.as_bytes());
        assert_eq!(bench.take().code, Code::NOT_ACCEPTABLE, "{accept}");
    }
    assert_eq!(fetch(&mut bench, r#"[{"n":"/0/0"}]"#).code, Code::UNAUTHORIZED);
    let unknown_field = r#"[{"n":"/3/0/0","x":1}]"#;
    assert_eq!(ask(&mut bench, Code::FETCH, ETCH, unknown_field).code, Code::BAD_REQUEST);

    assert_eq!(fetch(&mut at(Version::V1_0), list).code, Code::METHOD_NOT_ALLOWED);
    let etch = ask(&mut at(Version::V1_1), Code::FETCH, ETCH, list);
    assert_eq!(etch.code, Code::UNSUPPORTED_CONTENT_FORMAT, "ETCH came with 1.2");
}

fn state(bench: &Bench) -> (Option<u8>, bool, u32, Vec<u16>) {
    let (_, _, rights, lights, _) = bench.client.objects();
    let light = lights.get(0).expect("there");
    let acl = rights.get(0).and_then(|rights| rights.acl.as_ref());
    let acl = acl.map(|acl| acl.iter().map(|(id, _)| id.get()).collect()).unwrap_or_default();
    (light.dimmer, light.on, bench.client.account(bench.id).expect("there").lifetime_s, acl)
}

// Proves: DMO-39, COA-20
#[test]
fn a_composite_write_changes_all_or_nothing() {
    let mut bench = at(Version::V1_1);
    bench.client.objects_mut().3.insert(0, Light { on: false, dimmer: Some(3) }).unwrap_or_else(|_| panic!());
    bench.drain();
    let before = state(&bench);
    let good = r#"{"n":"/3311/0/5850","vb":true},{"n":"/3311/0/5851","v":50},{"n":"/2/0/2/1","v":3}"#;
    for (bad, code) in [
        (r#"{"n":"/3311/0/5852","v":1}"#, Code::NOT_FOUND),
        (r#"{"n":"/3303/0/5750","vs":"x"}"#, Code::NOT_FOUND),
        (r#"{"n":"/3311/7/5850","vb":true}"#, Code::NOT_FOUND),
        (r#"{"n":"/3/0/0","vs":"x"}"#, Code::METHOD_NOT_ALLOWED),
        (r#"{"n":"/3311/0/5850/0","vb":true}"#, Code::METHOD_NOT_ALLOWED),
        (r#"{"n":"/1/0/1","vs":"x"}"#, Code::BAD_REQUEST),
        (r#"{"n":"/1/0/7","vs":"X"}"#, Code::BAD_REQUEST),
        (r#"{"n":"/1/0/17","v":3}"#, Code::NOT_FOUND),
        (r#"{"n":"/2/0/2","v":3}"#, Code::BAD_REQUEST),
        (r#"{"n":"/2/0/2/7","v":null}"#, Code::BAD_REQUEST),
        (r#"{"n":"/3311/0/5850","vb":false}"#, Code::BAD_REQUEST),
        (r#"{"n":"/3311/0"}"#, Code::BAD_REQUEST),
        (r#"{"n":"/1/0/1"}"#, Code::BAD_REQUEST),
        (r#"{"n":"/0/0/0","vs":"x"}"#, Code::UNAUTHORIZED),
    ] {
        for payload in [format!("[{good},{bad}]"), format!("[{bad},{good}]")] {
            assert_eq!(patch(&mut bench, &payload), code, "{payload}");
            assert_eq!(state(&bench), before, "{payload}");
        }
    }
    assert_eq!(patch(&mut bench, "[]"), Code::BAD_REQUEST);
    assert!(bench.events.is_empty(), "{:?}", bench.events);
    let lifetime = r#"{"n":"/1/0/1","v":777}"#;
    assert_eq!(
        patch(&mut bench, &format!("[{good},{lifetime},{}]", r#"{"n":"/2/0/2/9","v":2}"#)),
        Code::CHANGED
    );
    assert_eq!(state(&bench), (Some(50), true, 777, vec![1, 7, 9]));
    let written = |path| Event::Written { account: bench.id, path };
    assert_eq!(bench.events, [written(path!(1 / 0)), written(path!(2 / 0)), written(path!(3311 / 0))]);
}

#[test]
fn a_patch_of_1_2_removes_resource_instances() {
    let mut bench = at(Version::V1_2);
    let remove = |bench: &mut Bench, path: &str| {
        ask(bench, Code::IPATCH, ETCH, &format!(r#"[{{"n":"{path}","v":null}}]"#)).code
    };
    assert_eq!(remove(&mut bench, "/2/0/2/5"), Code::NOT_FOUND);
    assert_eq!(remove(&mut bench, "/2/0/2"), Code::BAD_REQUEST);
    assert_eq!(remove(&mut bench, "/2/0/2/7"), Code::CHANGED);
    assert_eq!(state(&bench).3, [1]);
}

/// Begins an Observe-Composite; returns its token and the first answer.
fn observe(bench: &mut Bench, query: &str, list: &str) -> (Token, Reply) {
    let options = |options: &mut OptionWriter<'_>| {
        options.observe(0).content_format(JSON);
    };
    let token = bench.ask_with(Code::FETCH, &format!("/?{query}"), options, list.as_bytes());
    (token, bench.take())
}

const BOTH: &str = r#"[{"n":"/3303/0/5700"},{"n":"/3311/0"}]"#;

fn lamp(bench: &mut Bench, on: bool) {
    bench.client.objects_mut().3.get_mut(0).expect("there").on = on;
    bench.drain();
}

// Proves: OBS-14, OBS-18, OBS-05
#[test]
fn any_listed_path_triggers_and_all_of_them_are_told() {
    let mut bench = at(Version::V1_1);
    let (token, first) = observe(&mut bench, "", BOTH);
    assert_eq!((first.code, first.token), (Code::CONTENT, token));
    assert!(first.observe.is_some());
    let account = bench.id;
    let paths = [path!(3303 / 0 / 5700), path!(3311 / 0)];
    bench.events.retain(|event| !matches!(event, Event::Registered(_)));
    assert_eq!(std::mem::take(&mut bench.events), paths.map(|path| Event::Observed { account, path }));
    lamp(&mut bench, true);
    let second = bench.take();
    let expected = r#"[{"bn":"/3303/0/","n":"5700","v":21.5},{"bn":"/3311/0/","n":"5850","vb":true}]"#;
    assert_eq!((second.token, second.ty, second.text()), (token, Type::Non, expected));
    assert!(second.observe > first.observe);
    bench.set(3.0);
    let third = bench.take();
    assert!(third.text().contains(r#""v":3}"#) && third.text().contains("5850"), "{}", third.text());
    assert!(third.observe > second.observe && bench.sent.is_empty(), "one for all");

    let options = |options: &mut OptionWriter<'_>| {
        options.observe(1).content_format(JSON);
    };
    bench.ask_as(token, Code::FETCH, "/", options, BOTH.as_bytes());
    let last = bench.take();
    assert_eq!((last.code, last.observe), (Code::CONTENT, None));
    assert_eq!(
        std::mem::take(&mut bench.events),
        paths.map(|path| Event::ObservationEnded { account, path })
    );
    bench.set(4.0);
    lamp(&mut bench, false);
    assert!(bench.sent.is_empty());
}

#[test]
fn a_reset_ends_the_whole_composite_observation() {
    let mut bench = at(Version::V1_1);
    observe(&mut bench, "", BOTH);
    bench.set(3.0);
    let notification = bench.take();
    let id = notification.id.0.to_be_bytes();
    bench.input(&[0x70, 0, id[0], id[1]]);
    lamp(&mut bench, true);
    bench.set(5.0);
    assert!(bench.sent.is_empty());
}

// Proves: OBS-19
#[test]
fn what_appears_and_vanishes_enters_and_leaves_the_next_notification() {
    let mut bench = at(Version::V1_1);
    let (_, first) = observe(&mut bench, "", r#"[{"n":"/3303/1"},{"n":"/3/0/0"}]"#);
    assert_eq!(first.text(), r#"[{"bn":"/3/0/","n":"0","vs":"Lightship"}]"#);
    let notification = |bench: &mut Bench| {
        bench.drain();
        let mut sent: Vec<Reply> = bench.sent.drain(..).map(|(_, sent)| Reply::new(&sent)).collect();
        let update = sent.iter().position(|sent| sent.code == Code::POST).map(|index| sent.remove(index));
        if let Some(update) = update {
            bench.answer(&update, Code::CHANGED, |_| {});
        }
        assert_eq!(sent.len(), 1, "{sent:?}");
        sent.remove(0).text().to_owned()
    };
    let _ = bench.client.objects_mut().1.insert(1, Temperature { value: 7.0, ..Temperature::default() });
    assert!(notification(&mut bench).contains(r#"{"bn":"/3303/1/","n":"5700","v":7}"#));
    bench.client.objects_mut().1.remove(1);
    assert_eq!(notification(&mut bench), r#"[{"bn":"/3/0/","n":"0","vs":"Lightship"}]"#);
}

// Proves: OBS-16
#[test]
fn the_query_holds_for_all_paths_and_thresholds_stay_with_theirs() {
    let mut bench = at(Version::V1_2);
    for path in ["/3303/0/5700?gt=30", "/3303/0/5700?pmin=100", "/3311/0?pmax=5"] {
        assert_eq!(bench.ask(Code::PUT, path).code, Code::CHANGED);
    }
    let (_, first) = observe(&mut bench, "pmin=10", BOTH);
    assert_eq!(first.code, Code::CONTENT);
    bench.seconds(50);
    assert!(bench.sent.is_empty(), "the attached pmax is out of force");
    bench.set(25.0);
    bench.seconds(50);
    assert!(bench.sent.is_empty(), "gt was not crossed");
    bench.set(31.0);
    assert_eq!(bench.sent.len(), 1, "the attached pmin is out of force");
    bench.sent.clear();
    lamp(&mut bench, true);
    assert_eq!(bench.until_sent(), Duration::from_secs(10));
    bench.sent.clear();

    for query in ["gt=3", "hqmax=2", "edge=1", "epmin=5&epmax=5", "x=1", "ver=1"] {
        assert_eq!(observe(&mut bench, query, BOTH).1.code, Code::BAD_REQUEST, "{query}");
    }
    assert_eq!(observe(&mut at(Version::V1_1), "pmin=1", BOTH).1.code, Code::BAD_REQUEST);
}

// Proves: OBS-18
#[test]
fn a_cancellation_may_repeat_the_query() {
    let mut bench = at(Version::V1_2);
    let (token, _) = observe(&mut bench, "pmin=10&pmax=20", BOTH);
    let options = |options: &mut OptionWriter<'_>| {
        options.observe(1).content_format(JSON);
    };
    bench.ask_as(token, Code::FETCH, "/?pmin=10&pmax=20", options, BOTH.as_bytes());
    assert_eq!(bench.take().code, Code::CONTENT);
    bench.seconds(100);
    assert!(bench.sent.is_empty());
}

// Proves: ATT-09
#[test]
fn one_confirmable_path_makes_the_notification_confirmable() {
    let mut bench = at(Version::V1_2);
    assert_eq!(bench.ask(Code::PUT, "/3311?con=1").code, Code::CHANGED);
    observe(&mut bench, "", BOTH);
    bench.set(1.0);
    assert_eq!(bench.take().ty, Type::Con);
}

#[test]
fn more_paths_than_there_is_room_for_are_read_but_not_observed() {
    let mut bench = at(Version::V1_1);
    let list: Vec<String> = (0..7).map(|id| format!(r#"{{"n":"/3/0/{id}"}}"#)).collect();
    let (_, answer) = observe(&mut bench, "", &format!("[{}]", list.join(",")));
    assert_eq!((answer.code, answer.observe), (Code::CONTENT, None));
}
