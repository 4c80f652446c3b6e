//! Device management: every operation, its codes, and the order of the checks.

use crate::bench::Bench;
use lightship_client::Event;
use lightship_coap::{Code, ContentFormat};
use lightship_lwm2m::path;

const TEXT: ContentFormat = ContentFormat::TEXT;
const TLV: ContentFormat = ContentFormat::LWM2M_TLV;
const JSON: ContentFormat = ContentFormat::SENML_JSON;
const CBOR: ContentFormat = ContentFormat::SENML_CBOR;

// Proves: DMO-03, DMO-05, DMO-35, DMO-43
#[test]
fn reads_give_content_or_the_code_that_says_why_not() {
    let mut bench = Bench::registered();
    for (path, format, code) in [
        ("/3/0/0", TEXT, Code::CONTENT),
        ("/3/0/11/0", TEXT, Code::CONTENT),
        ("/3303", JSON, Code::CONTENT),
        ("/3303/0", JSON, Code::CONTENT),
        ("/99", TEXT, Code::NOT_FOUND),
        ("/3/1", TEXT, Code::NOT_FOUND),
        ("/3/0/77", TEXT, Code::NOT_FOUND),
        ("/3/0/9", TEXT, Code::NOT_FOUND),
        ("/3/0/11/7", TEXT, Code::NOT_FOUND),
        ("/3/0/4", TEXT, Code::METHOD_NOT_ALLOWED),
        ("/3/0/0/0", TEXT, Code::METHOD_NOT_ALLOWED),
        ("/0", TEXT, Code::UNAUTHORIZED),
        ("/0/0/0", TEXT, Code::UNAUTHORIZED),
        ("/21", TEXT, Code::UNAUTHORIZED),
        ("/23/0", TEXT, Code::UNAUTHORIZED),
        ("/3", TEXT, Code::NOT_ACCEPTABLE),
        ("/3/0/0", ContentFormat(65_000), Code::NOT_ACCEPTABLE),
        ("/3/0/0", ContentFormat::OPAQUE, Code::NOT_ACCEPTABLE),
        ("/99/0", ContentFormat(65_000), Code::NOT_FOUND),
    ] {
        assert_eq!(bench.get(path, format).code, code, "GET {path} as {format}");
    }
    assert_eq!(bench.get("/3/0/0", TEXT).payload, b"Lightship");
    assert_eq!(bench.get("/2", TLV).payload, b"", "no instance");
    let device = bench.get("/3/0", JSON);
    assert!(!device.text().contains("\"4\""), "an executable holds no value: {}", device.text());
    let values = r#"[{"bn":"/3303/0/","n":"5700","v":21.5},{"n":"5701","vs":"Cel"}]"#;
    assert_eq!(bench.get("/3303/0", JSON).text(), values);
}

// Proves: DMO-04
#[test]
fn an_answer_comes_in_the_format_asked_for_or_not_at_all() {
    let mut bench = Bench::registered();
    for format in [TEXT, ContentFormat::CBOR, TLV, JSON, CBOR] {
        assert_eq!(bench.get("/3303/0/5700", format).format, Some(format));
    }
    for format in [TEXT, ContentFormat::CBOR, ContentFormat::OPAQUE] {
        assert_eq!(bench.get("/3303/0", format).code, Code::NOT_ACCEPTABLE, "{format}");
        assert_eq!(bench.get("/3/0/11", format).code, Code::NOT_ACCEPTABLE, "{format}");
    }
    assert_eq!(bench.ask(Code::GET, "/3/0/0").format, Some(TEXT), "one value, nobody asked");
    assert_eq!(bench.ask(Code::GET, "/3/0").format, Some(CBOR), "several, nobody asked");
}

// Proves: DMO-44
#[test]
fn paths_that_are_none_and_methods_that_do_not_fit_are_refused() {
    let mut bench = Bench::registered();
    for (method, path, code) in [
        (Code::GET, "/", Code::METHOD_NOT_ALLOWED),
        (Code::GET, "/3/0/0/0/0", Code::METHOD_NOT_ALLOWED),
        (Code::GET, "/03/0", Code::NOT_FOUND),
        (Code::GET, "/+3/0", Code::NOT_FOUND),
        (Code::GET, "/3/65535", Code::METHOD_NOT_ALLOWED),
        (Code::GET, "/99999999999/0", Code::METHOD_NOT_ALLOWED),
        (Code::GET, "/3//", Code::NOT_FOUND),
        (Code::POST, "/bs", Code::NOT_FOUND),
        (Code::POST, "/3/0/11/0", Code::METHOD_NOT_ALLOWED),
        (Code::PUT, "/3", Code::METHOD_NOT_ALLOWED),
        (Code::DELETE, "/", Code::METHOD_NOT_ALLOWED),
        (Code::FETCH, "/3/0", Code::METHOD_NOT_ALLOWED),
        (Code::IPATCH, "/3/0", Code::METHOD_NOT_ALLOWED),
        (Code::GET, "/3/0?pmin=5", Code::BAD_OPTION),
        (Code::DELETE, "/3303/0?x", Code::BAD_OPTION),
    ] {
        assert_eq!(bench.ask(method, path).code, code, "{method} {path}");
    }
    bench.ask_with(
        Code::GET,
        "/3/0/0",
        |options| _ = options.option(lightship_coap::OptionNumber(1001), b"x"),
        &[],
    );
    assert_eq!(bench.take().code, Code::BAD_OPTION, "an unknown critical option");
}

// Proves: DMO-13, DMO-16, DMO-19
#[test]
fn writes_take_what_fits_and_refuse_the_rest() {
    let mut bench = Bench::registered();
    for (path, text, code) in [
        ("/1/0/1", "400", Code::CHANGED),
        ("/3311/0/5850", "1", Code::CHANGED),
        ("/3311/0/5851", "100", Code::CHANGED),
        ("/3311/0/5851", "101", Code::BAD_REQUEST),
        ("/3311/0/5851", "-1", Code::BAD_REQUEST),
        ("/3311/0/5850", "2", Code::BAD_REQUEST),
        ("/3311/0/5850", "", Code::BAD_REQUEST),
        ("/1/0/1", "abc", Code::BAD_REQUEST),
        ("/1/0/1", "-1", Code::BAD_REQUEST),
        ("/1/0/17", "0", Code::BAD_REQUEST),
        ("/3/0/0", "x", Code::METHOD_NOT_ALLOWED),
        ("/1/0/0", "123", Code::METHOD_NOT_ALLOWED),
        ("/3/0/4", "x", Code::METHOD_NOT_ALLOWED),
        ("/3303/0/5750", "a text of more than sixteen", Code::BAD_REQUEST),
        ("/3311/0/77", "1", Code::NOT_FOUND),
        ("/3311/9/5850", "1", Code::NOT_FOUND),
        ("/0/0/0", "x", Code::UNAUTHORIZED),
    ] {
        assert_eq!(bench.put(path, text), code, "PUT {path} {text}");
        bench.sent.clear();
    }
    assert_eq!(
        bench.send(Code::PUT, "/1/0/1", ContentFormat(65_000), b"4").code,
        Code::UNSUPPORTED_CONTENT_FORMAT
    );
    bench.ask_with(Code::PUT, "/1/0/1", |_| {}, b"4");
    assert_eq!(bench.take().code, Code::BAD_REQUEST, "no Content-Format");
    bench.ask_with(Code::PUT, "/1/0/1?pmin=5", |options| _ = options.content_format(TEXT), b"4");
    assert_eq!(bench.take().code, Code::BAD_OPTION, "a query on a Write");
    assert_eq!(bench.get("/3311/0/5851", TEXT).payload, b"100", "the last good one");
}

// Proves: DMO-16, FMT-14
#[test]
fn a_write_with_one_bad_value_changes_nothing() {
    let mut bench = Bench::registered();
    for (body, code) in [
        (r#"[{"bn":"/3311/0/","n":"5850","vb":true},{"n":"5851","v":101}]"#, Code::BAD_REQUEST),
        (r#"[{"bn":"/3311/0/","n":"5850","vb":true},{"n":"5851","vs":"x"}]"#, Code::BAD_REQUEST),
        (r#"[{"bn":"/3311/0/","n":"5850","vb":true},{"n":"5851/0","v":1}]"#, Code::BAD_REQUEST),
        (r#"[{"bn":"/3311/1/","n":"5850","vb":true}]"#, Code::BAD_REQUEST),
        (r#"[{"bn":"/3311/0/","n":"5850","vb":true},"#, Code::BAD_REQUEST),
        (r#"[{"bn":"/3311/0/","n":"5850","vb":true},{"n":"5850","vb":true}]"#, Code::BAD_REQUEST),
    ] {
        for method in [Code::PUT, Code::POST] {
            assert_eq!(bench.send(method, "/3311/0", JSON, body.as_bytes()).code, code, "{method} {body}");
            assert!(!bench.client.objects().3.get(0).unwrap().on, "{method} {body}");
        }
    }
    let read_only = br#"[{"bn":"/1/0/","n":"1","v":60},{"n":"0","v":5}]"#;
    assert_eq!(bench.send(Code::POST, "/1/0", JSON, read_only).code, Code::METHOD_NOT_ALLOWED);
    assert_eq!(bench.get("/1/0/1", TEXT).payload, b"300");
}

// Proves: DMO-18, DMO-19
#[test]
fn replace_drops_what_is_absent_and_partial_update_keeps_it() {
    let mut bench = Bench::registered();
    bench.put("/3311/0/5851", "50");
    let on = br#"[{"n":"/3311/0/5850","vb":true},{"n":"/3311/0/9999","v":1}]"#;
    assert_eq!(bench.send(Code::POST, "/3311/0", JSON, on).code, Code::CHANGED);
    let light = bench.client.objects().3.get(0).unwrap();
    assert_eq!((light.on, light.dimmer), (true, Some(50)));
    assert_eq!(bench.send(Code::PUT, "/3311/0", JSON, on).code, Code::CHANGED);
    let light = bench.client.objects().3.get(0).unwrap();
    assert_eq!((light.on, light.dimmer), (true, None));
}

/// A /2 instance for object 3 with an array of rights.
const RIGHTS: &[u8] =
    br#"[{"bn":"/2/0/","n":"0","v":3},{"n":"1","v":0},{"n":"2/1","v":15},{"n":"2/2","v":1},{"n":"3","v":1}]"#;

// Proves: DMO-18
#[test]
fn arrays_are_swapped_by_put_and_added_to_by_post() {
    let mut bench = Bench::registered();
    assert_eq!(bench.send(Code::POST, "/2", JSON, RIGHTS).code, Code::CREATED);
    bench.sent.clear();
    let items = |bench: &mut Bench| {
        let acl = bench.client.objects().2.get(0).and_then(|rights| rights.acl).unwrap();
        acl.iter().map(|(id, value)| (id.get(), *value)).collect::<Vec<_>>()
    };
    let body = br#"[{"n":"/2/0/2/1","v":7},{"n":"/2/0/2/9","v":1}]"#;
    assert_eq!(bench.send(Code::POST, "/2/0/2", JSON, body).code, Code::CHANGED);
    assert_eq!(items(&mut bench), [(1, 7), (2, 1), (9, 1)]);
    assert_eq!(bench.send(Code::PUT, "/2/0/2", JSON, body).code, Code::CHANGED);
    assert_eq!(items(&mut bench), [(1, 7), (9, 1)]);
    let four = br#"[{"bn":"/2/0/2/","n":"1","v":7},{"n":"2","v":1},{"n":"3","v":1},{"n":"4","v":1}]"#;
    assert_eq!(bench.send(Code::PUT, "/2/0/2", JSON, four).code, Code::UNAUTHORIZED, "no room for a fourth");
    assert_eq!(items(&mut bench), [(1, 7), (9, 1)]);
    assert_eq!(bench.put("/2/0/2/9", "3"), Code::CHANGED);
    assert_eq!(bench.put("/2/0/2/5", "3"), Code::NOT_FOUND, "PUT on a resource instance that is not there");
    assert_eq!(items(&mut bench), [(1, 7), (9, 3)]);
    assert_eq!(bench.send(Code::PUT, "/2/0/2", TLV, &[0x80, 0x02]).code, Code::CHANGED);
    assert_eq!(items(&mut bench), []);
    assert_eq!(bench.put("/2/0/2", "3"), Code::BAD_REQUEST, "one value for an array");
}

// Proves: DMO-24, DMO-25, DMO-27
#[test]
fn execute_wants_an_executable_and_arguments_of_the_grammar() {
    let mut bench = Bench::registered();
    assert_eq!(bench.ask(Code::POST, "/3/0/4").code, Code::CHANGED);
    assert!(bench.events.contains(&Event::Executed { account: bench.id, path: path!(3 / 0 / 4) }));
    for (arguments, code) in [
        ("0", Code::CHANGED),
        ("0='a',1", Code::CHANGED),
        ("0='a", Code::BAD_REQUEST),
        ("10", Code::BAD_REQUEST),
        ("0=a", Code::BAD_REQUEST),
        ("0,0", Code::BAD_REQUEST),
    ] {
        assert_eq!(bench.send(Code::POST, "/3/0/4", TEXT, arguments.as_bytes()).code, code, "{arguments}");
    }
    let opaque = bench.send(Code::POST, "/1/0/8", ContentFormat::OPAQUE, b"0").code;
    assert_eq!(opaque, Code::UNSUPPORTED_CONTENT_FORMAT);
    assert_eq!(bench.ask(Code::POST, "/3/0/0").code, Code::METHOD_NOT_ALLOWED);
    assert_eq!(bench.ask(Code::POST, "/3/0/77").code, Code::NOT_FOUND);
    assert_eq!(bench.ask(Code::POST, "/3/5/4").code, Code::NOT_FOUND);
}

// Proves: DMO-28, DMO-29, DMO-34
#[test]
fn create_makes_a_whole_instance_or_none() {
    let mut bench = Bench::registered();
    for (path, body, code) in [
        ("/2", &br#"[{"bn":"/2/0/","n":"0","v":3}]"#[..], Code::BAD_REQUEST),
        ("/2", br#"[{"bn":"/2/65535/","n":"0","v":3}]"#, Code::BAD_REQUEST),
        ("/3303", br#"[{"bn":"/3303/0/","n":"5750","vs":"x"}]"#, Code::BAD_REQUEST),
        ("/3", br#"[{"bn":"/3/0/","n":"15","vs":"x"}]"#, Code::METHOD_NOT_ALLOWED),
        ("/0", br#"[{"bn":"/0/5/","n":"0","vs":"x"}]"#, Code::UNAUTHORIZED),
        ("/99", br#"[{"bn":"/99/5/","n":"0","vs":"x"}]"#, Code::NOT_FOUND),
        ("/1", br#"[{"bn":"/1/0/","n":"1","v":60}]"#, Code::BAD_REQUEST),
    ] {
        assert_eq!(bench.send(Code::POST, path, JSON, body).code, code, "{path}");
    }
    assert_eq!(bench.send(Code::POST, "/2", TEXT, b"3").code, Code::UNSUPPORTED_CONTENT_FORMAT);
    assert!(bench.sent.is_empty(), "the list did not change");

    let created = bench.send(Code::POST, "/2", JSON, RIGHTS);
    assert_eq!((created.code, created.location.len()), (Code::CREATED, 0));
    assert!(bench.take().text().contains("</2/0>"), "an Update with the new list");
    assert!(bench.events.contains(&Event::Created { account: bench.id, path: path!(2) }));

    // Read-only values and unknown resources are ignored; the client numbers the instance.
    let created = bench.send(
        Code::POST,
        "/3303",
        TLV,
        &[0xE4, 0x16, 0x44, 0, 0, 0, 0, 0xE3, 0x16, 0x76, b'a', b'b', b'c'],
    );
    assert_eq!((created.code, created.location.join("/")), (Code::CREATED, "3303/1".to_owned()));
    assert_eq!(bench.client.objects().1.get(1).unwrap().application.unwrap().as_str(), "abc");
    assert_eq!(bench.ask(Code::POST, "/3303").location.join("/"), "3303/2", "without a payload");
    assert_eq!(bench.ask(Code::POST, "/3303").code, Code::SERVICE_UNAVAILABLE, "all three places are taken");
}

// Proves: DMO-29
#[test]
fn of_two_instances_neither_exists_when_the_second_is_incomplete() {
    let mut bench = Bench::registered();
    let body =
        br#"[{"bn":"/2/0/","n":"0","v":3},{"n":"1","v":0},{"n":"3","v":1},{"bn":"/2/1/","n":"0","v":3}]"#;
    assert_eq!(bench.send(Code::POST, "/2", JSON, body).code, Code::BAD_REQUEST);
    assert!(bench.client.objects().2.get(0).is_none() && bench.client.objects().2.get(1).is_none());
    let body = br#"[{"bn":"/2/0/","n":"0","v":3},{"n":"1","v":0},{"n":"3","v":1},{"bn":"/2/1/","n":"0","v":3},{"n":"1","v":0},{"n":"3","v":1}]"#;
    assert_eq!(bench.send(Code::POST, "/2", JSON, body).code, Code::CREATED);
    assert!(bench.client.objects().2.get(0).is_some() && bench.client.objects().2.get(1).is_some());
}

// Proves: DMO-14, DMO-32, DMO-33
#[test]
fn delete_takes_instances_and_resource_instances_but_never_the_device() {
    let mut bench = Bench::registered();
    bench.send(Code::POST, "/2", JSON, RIGHTS);
    bench.sent.clear();
    for (path, code) in [
        ("/3/0", Code::METHOD_NOT_ALLOWED),
        ("/3", Code::METHOD_NOT_ALLOWED),
        ("/3303/0/5700", Code::METHOD_NOT_ALLOWED),
        ("/1/0", Code::METHOD_NOT_ALLOWED),
        ("/1/9", Code::NOT_FOUND),
        ("/3303/8", Code::NOT_FOUND),
        ("/2/0/2/7", Code::NOT_FOUND),
        ("/3/0/11/0", Code::METHOD_NOT_ALLOWED),
        ("/2/0/2/1", Code::DELETED),
        ("/2/0/2/1", Code::NOT_FOUND),
        ("/2/0", Code::DELETED),
    ] {
        assert_eq!(bench.ask(Code::DELETE, path).code, code, "DELETE {path}");
    }
}

#[test]
fn attributes_go_with_what_a_replace_leaves_out() {
    let mut bench = Bench::registered();
    bench.send(Code::POST, "/2", JSON, RIGHTS);
    bench.sent.clear();
    for path in ["/2/0/2/1?pmin=10", "/2/0/2/2?pmin=20"] {
        assert_eq!(bench.ask(Code::PUT, path).code, Code::CHANGED);
    }
    let attached = "</2/0/2>;dim=2,</2/0/2/1>;pmin=10,</2/0/2/2>;pmin=20";
    assert_eq!(bench.discover("/2/0/2").text(), attached);
    for (code, list, links) in [
        // A Partial Update takes nothing away, whatever it leaves out.
        (Code::POST, r#"[{"n":"/2/0/2/2","v":15}]"#, attached),
        (Code::PUT, r#"[{"n":"/2/0/2/2","v":15}]"#, "</2/0/2>;dim=1,</2/0/2/2>;pmin=20"),
        (
            Code::PUT,
            r#"[{"n":"/2/0/2/1","v":15},{"n":"/2/0/2/2","v":15}]"#,
            "</2/0/2>;dim=2,</2/0/2/1>,</2/0/2/2>;pmin=20",
        ),
    ] {
        assert_eq!(bench.send(code, "/2/0/2", JSON, list.as_bytes()).code, Code::CHANGED);
        assert_eq!(bench.discover("/2/0/2").text(), links);
    }
}

// Proves: DMO-08, DMO-09, DMO-11
#[test]
fn discover_shows_what_there_is() {
    let mut bench = Bench::registered();
    bench.send(Code::POST, "/2", JSON, RIGHTS);
    bench.sent.clear();
    for (path, links) in [
        ("/3303", "</3303>;ver=1.1,</3303/0>,</3303/0/5605>,</3303/0/5700>,</3303/0/5701>"),
        ("/3303?depth=0", "</3303>;ver=1.1"),
        ("/3303?depth=1", "</3303>;ver=1.1,</3303/0>"),
        ("/3303/0?depth=0", "</3303/0>"),
        ("/2/0", "</2/0>,</2/0/0>,</2/0/1>,</2/0/2>;dim=2,</2/0/3>"),
        ("/2/0?depth=2", "</2/0>,</2/0/0>,</2/0/1>,</2/0/2>;dim=2,</2/0/2/1>,</2/0/2/2>,</2/0/3>"),
        ("/2/0/2", "</2/0/2>;dim=2,</2/0/2/1>,</2/0/2/2>"),
        ("/2/0/2?depth=0", "</2/0/2>;dim=2"),
        ("/3311", "</3311>,</3311/0>,</3311/0/5850>"),
    ] {
        let reply = bench.discover(path);
        assert_eq!((reply.code, reply.text()), (Code::CONTENT, links), "{path}");
        assert_eq!(reply.format, Some(ContentFormat::LINK));
    }
    for (path, code) in [
        ("/99", Code::NOT_FOUND),
        ("/3303/5", Code::NOT_FOUND),
        ("/3303/0/77", Code::NOT_FOUND),
        ("/3/0/11/0", Code::METHOD_NOT_ALLOWED),
        ("/0", Code::UNAUTHORIZED),
        ("/3303?depth=99", Code::BAD_REQUEST),
        ("/3303?depth=-1", Code::BAD_REQUEST),
        ("/3303?x=1", Code::BAD_OPTION),
    ] {
        assert_eq!(bench.discover(path).code, code, "{path}");
    }
}

// Proves: DMO-08, DMO-23, ATT-01, ATT-02, ATT-07, ATT-11
#[test]
fn attributes_are_attached_shown_changed_and_taken_away() {
    let mut bench = Bench::registered();
    for (path, code) in [
        ("/3303?pmin=3", Code::CHANGED),
        ("/3303/0?pmax=60", Code::CHANGED),
        ("/3303/0/5700?gt=50&lt=42.2&st=0.5&epmin=1&epmax=20", Code::CHANGED),
        ("/3303/0/5700?lt=60", Code::BAD_REQUEST),
        ("/3303/0/5700?lt=49.5", Code::BAD_REQUEST),
        ("/3303/0/5700?epmax=1", Code::BAD_REQUEST),
        ("/3303/0/5700?pmin=-1", Code::BAD_REQUEST),
        ("/3303/0/5700?pmin=1&pmin=2", Code::BAD_REQUEST),
        ("/3303/0/5700?dim=1", Code::BAD_REQUEST),
        ("/3303/0/5700?edge=1", Code::BAD_REQUEST),
        ("/3303/0?gt=5", Code::BAD_REQUEST),
        ("/3303/0/5701?gt=5", Code::BAD_REQUEST),
        ("/3311/0/5850?edge=1", Code::CHANGED),
        ("/3311/0/5850?edge=2", Code::BAD_REQUEST),
        ("/3303/0/77?pmin=5", Code::NOT_FOUND),
        ("/3303/9?pmin=5", Code::NOT_FOUND),
        ("/3/0/4?pmin=5", Code::METHOD_NOT_ALLOWED),
        ("/0?pmin=5", Code::UNAUTHORIZED),
        ("/3/0/9?pmin=5", Code::NOT_FOUND),
    ] {
        assert_eq!(bench.ask(Code::PUT, path).code, code, "PUT {path}");
    }
    assert_eq!(
        bench.discover("/3303/0/5700").text(),
        "</3303/0/5700>;pmin=3;pmax=60;gt=50;lt=42.2;st=0.5;epmin=1;epmax=20",
        "own and inherited ones at the target"
    );
    assert_eq!(
        bench.discover("/3303").text(),
        "</3303>;ver=1.1;pmin=3,</3303/0>;pmax=60,</3303/0/5605>,</3303/0/5700>;gt=50;lt=42.2;st=0.5;epmin=1;epmax=20,</3303/0/5701>"
    );
    assert_eq!(bench.ask(Code::PUT, "/3303/0/5700?gt&lt&st&epmin=&epmax=").code, Code::CHANGED);
    assert_eq!(bench.discover("/3303/0/5700?depth=0").text(), "</3303/0/5700>;pmin=3;pmax=60");
}

// Proves: DMO-10
#[test]
fn below_1_2_an_object_level_discover_keeps_to_the_object() {
    let config = lightship_client::Config {
        version: lightship_lwm2m::Version::V1_1,
        ..lightship_client::Config::new("x")
    };
    let mut bench = Bench::with(config, crate::bench::account(1, 300));
    bench.register();
    bench.ask(Code::PUT, "/3303?pmin=3");
    bench.ask(Code::PUT, "/3303/0/5700?gt=5");
    assert_eq!(
        bench.discover("/3303").text(),
        "</3303>;ver=1.1;pmin=3,</3303/0>,</3303/0/5605>,</3303/0/5700>,</3303/0/5701>"
    );
    assert!(!bench.discover("/3").text().contains("dim"));
    assert!(bench.discover("/3/0").text().contains("</3/0/11>;dim=1"));
    assert_eq!(bench.ask(Code::PUT, "/3303/0/5700?con=1").code, Code::BAD_REQUEST, "con is of 1.2");
    assert_eq!(bench.ask(Code::DELETE, "/2/0/2/1").code, Code::METHOD_NOT_ALLOWED, "of 1.2");
}

// Proves: DMO-21
#[test]
fn a_body_beyond_the_limit_is_refused_and_a_gap_noticed() {
    use lightship_coap::{Block, BlockSize};
    let mut bench = Bench::registered();
    let block = |num, more| Block::new(num, more, BlockSize::from_szx(4).unwrap()).unwrap();
    let mut send = |num, more| {
        let options = |options: &mut lightship_coap::OptionWriter<'_>| {
            options.content_format(TEXT).block1(block(num, more));
        };
        bench.ask_with(Code::PUT, "/3303/0/5750", options, &[b'x'; 256]);
        bench.take().code
    };
    assert_eq!(send(0, true), Code::CONTINUE);
    assert_eq!(send(2, true), Code::REQUEST_ENTITY_INCOMPLETE);
    let code = (0..200).map(|num| send(num, true)).find(|code| *code != Code::CONTINUE);
    assert_eq!(code, Some(Code::REQUEST_ENTITY_TOO_LARGE));
}

#[test]
fn answers_may_come_later() {
    use lightship_client::Refusal;
    let mut bench = Bench::registered();
    bench.client.objects_mut().1.get_mut(0).unwrap().pending = true;
    bench.drain();
    let read = bench.ask_with(Code::GET, "/3303/0/5700", |_| {}, &[]);
    let execute =
        bench.ask_with(Code::POST, "/3303/0/5605", |options| _ = options.content_format(TEXT), b"9");
    let asks: Vec<_> = bench
        .events
        .drain(..)
        .filter_map(|event| if let Event::Asked { ask, path, .. } = event { Some((ask, path)) } else { None })
        .collect();
    assert_eq!(
        asks.iter().map(|(_, path)| *path).collect::<Vec<_>>(),
        [path!(3303 / 0 / 5700), path!(3303 / 0 / 5605)]
    );
    bench.seconds(5);
    let acks = bench.sent.drain(..).filter(|(_, sent)| sent.len() == 4 && sent[0] == 0x60).count();
    assert_eq!(acks, 2, "empty acknowledgements meanwhile");

    let temperature = bench.client.objects_mut().1.get_mut(0).unwrap();
    (temperature.pending, temperature.value) = (false, 30.0);
    bench.client.answer(bench.now, asks[0].0, Ok(()));
    bench.client.answer(bench.now, asks[1].0, Err(Refusal::Busy));
    bench.client.answer(bench.now, asks[1].0, Ok(()));
    bench.drain();
    let (first, second) = (bench.take(), bench.take());
    assert_eq!((first.token, first.code, first.text()), (read, Code::CONTENT, "30"));
    assert_eq!((second.token, second.code), (execute, Code::SERVICE_UNAVAILABLE));
    assert!(bench.sent.is_empty(), "one answer each");
}

#[test]
fn an_answer_that_never_comes_is_given_up() {
    let mut bench = Bench::registered();
    for _ in 0..4 {
        bench.ask_with(Code::POST, "/3303/0/5605", |_| {}, b"9");
    }
    bench.ask_with(Code::POST, "/3303/0/5605", |_| {}, b"9");
    assert_eq!(bench.take().code, Code::SERVICE_UNAVAILABLE, "there is room for four");
    bench.seconds(61);
    let codes = bench.sent.drain(..).map(|(_, sent)| crate::bench::Reply::new(&sent).code);
    assert!(codes.filter(|code| *code == Code::SERVICE_UNAVAILABLE).count() >= 4);
}
