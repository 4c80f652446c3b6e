//! A device whose objects are under a path of their own.

use lightship_client::{AlternatePath, Config, Text};
use lightship_coap::{Code, ContentFormat, OptionWriter};
use lightship_lwm2m::{Version, path};

use crate::bench::{Bench, Reply, account};

const JSON: ContentFormat = ContentFormat::SENML_JSON;

fn config(version: Version, root: &str) -> Config {
    let alternate_path = Some(AlternatePath::new(root).expect("legal"));
    Config { version, alternate_path, send_format: JSON, ..Config::new("a") }
}

/// A client that is registered, and its Register.
fn at(version: Version) -> (Bench, Reply) {
    let mut account = account(1, 0);
    account.mute_send = Some(false);
    let mut bench = Bench::with(config(version, "/lwm2m"), account);
    let register = bench.register();
    (bench, register)
}

/// A client of 1.2 and one of 1.1, each with what stands before its names.
fn both() -> [(Bench, &'static str); 2] {
    [(at(Version::V1_2).0, "/lwm2m"), (at(Version::V1_1).0, "")]
}

fn value(bench: &Bench) -> Option<Text<16>> {
    bench.client.objects().1.get(0).expect("there").application
}

#[test]
fn numbers_dots_and_strange_letters_make_no_alternate_path() {
    let longest = "x".repeat(32);
    for text in ["/lwm2m", "lwm2m/", "/a/b-3._~", "/v1.0", longest.as_str()] {
        let made = AlternatePath::new(text).expect(text);
        assert_eq!(made.as_str(), text.trim_matches('/'));
    }
    let too_long = "x".repeat(33);
    for text in
        ["", "/", "/3", "/a/3", "/a//b", "/..", "/a/.", "/a b", "/a>b", "/ä", "/a%20b", too_long.as_str()]
    {
        assert_eq!(AlternatePath::new(text), None, "{text}");
    }
}

// Proves: GEN-08
#[test]
fn registrations_and_updates_announce_it_on_every_link() {
    let list = |formats: &str| {
        format!(
            r#"</lwm2m>;rt="oma.lwm2m"{formats},</lwm2m/1/0>,</lwm2m/2>,</lwm2m/3/0>,</lwm2m/3303>;ver=1.1,</lwm2m/3303/0>"#
        )
    };
    let (mut bench, register) = at(Version::V1_2);
    let begins = list(r#";ct="60 110 112 320 322 11542 11544""#);
    for part in begins.split(',') {
        assert!(
            register.text().split(',').any(|link| link.starts_with(part)),
            "{part} in {}",
            register.text()
        );
    }
    let prefixed = |text: &str| text.split(',').all(|link| link.starts_with("</lwm2m"));
    assert!(prefixed(register.text()) && register.text().starts_with("</lwm2m>;rt"), "{}", register.text());
    bench.client.objects_mut().1.insert(2, Default::default()).unwrap_or_else(|_| panic!("room"));
    bench.drain();
    let update = bench.take();
    assert_eq!(update.path, ["rd", "5a3f"]);
    assert!(prefixed(update.text()) && update.text().contains("</lwm2m/3303/2>"), "{}", update.text());
    // 1.0 has no formats to announce; the path it has.
    let (_, register) = at(Version::V1_0);
    assert!(register.text().starts_with(r#"</lwm2m>;rt="oma.lwm2m",</lwm2m/1/0>"#), "{}", register.text());
}

// Proves: GEN-08
#[test]
fn every_operation_is_below_it_and_nowhere_else() {
    let (mut bench, _) = at(Version::V1_2);
    assert_eq!(bench.get("/lwm2m/3303/0/5700", ContentFormat::TEXT).text(), "21.5");
    assert_eq!(bench.put("/lwm2m/3303/0/5750", "hall"), Code::CHANGED);
    assert_eq!(value(&bench), Some(Text::new("hall")));
    assert_eq!(bench.ask(Code::POST, "/lwm2m/3303/0/5605").code, Code::CHANGED);
    assert_eq!(bench.ask(Code::PUT, "/lwm2m/3303/0/5700?pmin=7").code, Code::CHANGED);
    let links = bench.discover("/lwm2m/3303/0");
    let expected = "</lwm2m/3303/0>,</lwm2m/3303/0/5605>,</lwm2m/3303/0/5700>;pmin=7,</lwm2m/3303/0/5701>";
    assert!(links.text().starts_with(expected), "{}", links.text());
    let links = bench.discover("/lwm2m/3303");
    assert!(links.text().starts_with("</lwm2m/3303>;ver=1.1,</lwm2m/3303/0>"), "{}", links.text());
    let created = bench.ask(Code::POST, "/lwm2m/3303");
    assert_eq!((created.code, created.location.join("/").as_str()), (Code::CREATED, "lwm2m/3303/1"));
    bench.sent.clear();
    assert_eq!(bench.ask(Code::DELETE, "/lwm2m/3303/1").code, Code::DELETED);
    bench.sent.clear();

    assert_eq!(bench.ask(Code::GET, "/lwm2m").code, Code::METHOD_NOT_ALLOWED);
    assert_eq!(bench.ask(Code::GET, "/lwm2m/0/0").code, Code::UNAUTHORIZED);
    for path in ["/3303/0/5700", "/0/0", "/lwm2m2/3/0", "/x/3/0", "/lwm2m/lwm2m/3/0", "/"] {
        for method in [Code::GET, Code::PUT, Code::POST, Code::DELETE] {
            assert_eq!(bench.ask(method, path).code, Code::NOT_FOUND, "{method} {path}");
        }
    }
    for path in ["/", "/3"] {
        let list = br#"[{"n":"/3/0/0"}]"#;
        assert_eq!(bench.send(Code::FETCH, path, JSON, list).code, Code::NOT_FOUND, "{path}");
    }
}

// Proves: GEN-08
#[test]
fn it_may_have_several_segments() {
    let mut bench = Bench::with(config(Version::V1_2, "/v1.0/things"), account(1, 0));
    let register = bench.register();
    assert!(register.text().contains("</v1.0/things/3/0>"), "{}", register.text());
    let answer = bench.get("/v1.0/things/3303/0/5701", JSON);
    assert_eq!(answer.text(), r#"[{"bn":"/v1.0/things/3303/0/5701","vs":"Cel"}]"#);
    assert_eq!(bench.ask(Code::GET, "/v1.0/3303/0/5701").code, Code::NOT_FOUND);
}

// Proves: GEN-09
#[test]
fn names_of_senml_carry_it_since_1_2_and_the_paths_of_other_formats_never() {
    for (mut bench, root) in both() {
        let answer = bench.get("/lwm2m/3303/0", JSON);
        let expected =
            format!(r#"[{{"bn":"{root}/3303/0/","n":"5700","v":21.5}},{{"n":"5701","vs":"Cel"}}]"#);
        assert_eq!(answer.text(), expected);
        let answer = bench.get("/lwm2m/3303/0/5701", ContentFormat::SENML_CBOR);
        let name = format!("{root}/3303/0/5701");
        assert!(answer.payload.windows(name.len()).any(|part| part == name.as_bytes()), "{answer:?}");
    }
    let (mut bench, _) = at(Version::V1_2);
    let answer = bench.get("/lwm2m/3303/0", ContentFormat::LWM2M_CBOR);
    assert_eq!(answer.code, Code::CONTENT);
    assert!(!answer.payload.windows(5).any(|part| part == b"lwm2m"), "{answer:?}");
}

// Proves: GEN-09
#[test]
fn names_that_are_written_may_carry_it_or_not() {
    for (mut bench, _) in both() {
        for (name, text) in [("/lwm2m/3303/0/", "one"), ("/3303/0/", "two")] {
            let payload = format!(r#"[{{"bn":"{name}","n":"5750","vs":"{text}"}}]"#);
            let written = bench.send(Code::POST, "/lwm2m/3303/0", JSON, payload.as_bytes());
            assert_eq!((written.code, value(&bench)), (Code::CHANGED, Some(Text::new(text))), "{name}");
        }
        // The instance that a Create chooses is the one after the alternate path.
        let payload = br#"[{"bn":"/lwm2m/3303/2/","n":"5750","vs":"new"}]"#;
        assert_eq!(bench.send(Code::POST, "/lwm2m/3303", JSON, payload).code, Code::CREATED);
        assert!(bench.client.objects().1.get(2).is_some());
        bench.sent.clear();
        let other = br#"[{"bn":"/other/3303/0/","n":"5750","vs":"x"}]"#;
        assert_eq!(bench.send(Code::POST, "/lwm2m/3303/0", JSON, other).code, Code::BAD_REQUEST);
    }
}

// Proves: GEN-09
#[test]
fn composites_take_and_give_names_as_the_version_has_them() {
    for (mut bench, root) in both() {
        let expected = format!(
            r#"[{{"bn":"{root}/3/0/","n":"0","vs":"Lightship"}},{{"bn":"{root}/3303/0/","n":"5700","v":21.5}}]"#
        );
        for list in [
            r#"[{"n":"/lwm2m/3/0/0"},{"n":"/lwm2m/3303/0/5700"}]"#,
            r#"[{"n":"/3/0/0"},{"n":"/3303/0/5700"}]"#,
        ] {
            let answer = bench.send(Code::FETCH, "/lwm2m", JSON, list.as_bytes());
            assert_eq!((answer.code, answer.text()), (Code::CONTENT, expected.as_str()), "{list}");
        }
        let twice = br#"[{"n":"/lwm2m/3/0/0"},{"n":"/3/0/0"}]"#;
        assert_eq!(bench.send(Code::FETCH, "/lwm2m", JSON, twice).code, Code::BAD_REQUEST);
        let all = bench.send(Code::FETCH, "/lwm2m", JSON, br#"[{"n":"/lwm2m"}]"#);
        assert!(all.text().contains(&format!(r#""bn":"{root}/3311/0/""#)), "{}", all.text());
        let below = bench.send(Code::FETCH, "/lwm2m/3", JSON, br#"[{"n":"/lwm2m/3/0/0"}]"#);
        assert_eq!(below.code, Code::METHOD_NOT_ALLOWED);

        bench.client.objects_mut().1.get_mut(0).expect("there").application = Some(Text::new("zero"));
        bench.drain();
        for (name, text) in [("/lwm2m/3303/0/5750", "one"), ("/3303/0/5750", "two")] {
            let payload = format!(r#"[{{"n":"{name}","vs":"{text}"}}]"#);
            let written = bench.send(Code::IPATCH, "/lwm2m", JSON, payload.as_bytes());
            assert_eq!((written.code, value(&bench)), (Code::CHANGED, Some(Text::new(text))), "{name}");
        }
    }
}

// Proves: GEN-09
#[test]
fn notifications_and_sends_have_names_as_the_version_has_them() {
    for (mut bench, root) in both() {
        let observe = |options: &mut OptionWriter<'_>| {
            options.observe(0).accept(JSON);
        };
        bench.ask_with(Code::GET, "/lwm2m/3303/0/5700", observe, &[]);
        let single = |value: &str| format!(r#"[{{"bn":"{root}/3303/0/5700","v":{value}}}]"#);
        let first = bench.take();
        assert_eq!((first.observe.is_some(), first.text()), (true, single("21.5").as_str()));
        bench.set(22.5);
        assert_eq!(bench.notified(), [single("22.5")]);

        let observe = |options: &mut OptionWriter<'_>| {
            options.observe(0).content_format(JSON);
        };
        bench.ask_with(
            Code::FETCH,
            "/lwm2m",
            observe,
            br#"[{"n":"/lwm2m/3303/0/5700"},{"n":"/lwm2m/3/0/0"}]"#,
        );
        let several = |value: &str| {
            format!(
                r#"[{{"bn":"{root}/3/0/","n":"0","vs":"Lightship"}},{{"bn":"{root}/3303/0/","n":"5700","v":{value}}}]"#
            )
        };
        let first = bench.take();
        assert_eq!((first.observe.is_some(), first.text()), (true, several("22.5").as_str()));
        bench.set(23.5);
        let told = bench.notified();
        assert!(told.contains(&single("23.5")) && told.contains(&several("23.5")), "{told:?}");

        let records = format!(r#"[{{"bn":"{root}/3303/0/","n":"5700","v":23.5}}]"#);
        bench.client.send(bench.now, bench.id, &[path!(3303 / 0 / 5700)]).expect("allowed");
        bench.drain();
        let sent = bench.take();
        assert_eq!((sent.path.join("/").as_str(), sent.text()), ("dp", records.as_str()));
        bench.answer(&sent, Code::CHANGED, |_| {});
        bench.client.record(bench.now, bench.id, &[path!(3303 / 0 / 5700)]).expect("room");
        bench.client.send_recorded(bench.now, bench.id).expect("allowed");
        bench.drain();
        let sent = bench.take();
        assert!(sent.text().contains(&format!(r#""bn":"{root}/3303/0/""#)), "{}", sent.text());
    }
}

// Proves: GEN-09
#[cfg(feature = "storing")]
#[test]
fn what_was_kept_for_a_server_has_its_names() {
    for (mut bench, root) in both() {
        let observe = |options: &mut OptionWriter<'_>| {
            options.observe(0).accept(JSON);
        };
        bench.ask_with(Code::GET, "/lwm2m/3303/0/5700", observe, &[]);
        bench.sent.clear();
        bench.client.offline(bench.now);
        bench.set(30.0);
        bench.seconds(5);
        bench.set(31.0);
        bench.seconds(5);
        bench.sent.clear();
        bench.client.online(bench.now);
        bench.drain();
        let update = bench.take();
        assert_eq!(update.path, ["rd", "5a3f"]);
        bench.answer(&update, Code::CHANGED, |_| {});
        let told = bench.take();
        assert!(told.text().contains(&format!(r#""bn":"{root}/3303/0/5700""#)), "{}", told.text());
        assert!(told.text().contains("\"v\":30") && told.text().contains("\"v\":31"), "{}", told.text());
    }
}

// Proves: GEN-09
#[cfg(feature = "bootstrap")]
#[test]
fn bootstrap_knows_nothing_of_it() {
    let own = lightship_client::Account::bootstrap("coap://bs.example");
    let mut bench = Bench::with(config(Version::V1_2, "/lwm2m"), own);
    let _ = bench.client.bootstrap(bench.now);
    bench.drain();
    let request = bench.take();
    assert_eq!(request.path, ["bs"]);
    bench.answer(&request, Code::CHANGED, |_| {});
    let server =
        br#"[{"bn":"/1/0/","n":"0","v":7},{"n":"1","v":600},{"n":"6","vb":true},{"n":"7","vs":"U"}]"#;
    assert_eq!(bench.send(Code::PUT, "/1/0", JSON, server).code, Code::CHANGED);
    let read = bench.get("/1/0", JSON);
    assert!(read.text().starts_with(r#"[{"bn":"/1/0/","n":"0","v":7}"#), "{}", read.text());
    let found = bench.discover("/");
    assert!(found.text().contains("</1/0>") && !found.text().contains("</lwm2m"), "{}", found.text());
    assert_ne!(bench.send(Code::PUT, "/lwm2m/1/0", JSON, server).code, Code::CHANGED);
    let prefixed = br#"[{"bn":"/lwm2m/1/0/","n":"1","v":700}]"#;
    assert_eq!(bench.send(Code::PUT, "/1/0", JSON, prefixed).code, Code::BAD_REQUEST);
}
