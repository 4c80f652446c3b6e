//! What a server may ask depends on the version that was negotiated with it; and which of several faults is told.

use lightship_client::{Array, Config, Text};
use lightship_coap::{Code, ContentFormat, OptionWriter};
use lightship_lwm2m::{ResourceInstanceId, Version};

use crate::bench::{Bench, Portfolio, Rights, account};

const TEXT: ContentFormat = ContentFormat::TEXT;
const JSON: ContentFormat = ContentFormat::SENML_JSON;
const ETCH: ContentFormat = ContentFormat::SENML_ETCH_JSON;
const TLV: ContentFormat = ContentFormat::LWM2M_TLV;
const CONTENT: Code = Code::CONTENT;
const CHANGED: Code = Code::CHANGED;
const BAD: Code = Code::BAD_REQUEST;
const NOT_HERE: Code = Code::METHOD_NOT_ALLOWED;
const FORMAT: Code = Code::UNSUPPORTED_CONTENT_FORMAT;

/// A registered client with rights of two servers in `/2/0/2`.
fn at(version: Version) -> Bench {
    let mut bench = Bench::with(Config { version, ..Config::new("a") }, account(1, 0));
    bench.register();
    let mut acl = Array::new();
    acl.insert(ResourceInstanceId::new(1).expect("legal"), 15).expect("room");
    acl.insert(ResourceInstanceId::new(2).expect("legal"), 1).expect("room");
    let rights = Rights { object: 3, instance: 0, acl: Some(acl), owner: 1 };
    bench.client.objects_mut().2.insert(0, rights).unwrap_or_else(|_| panic!("room"));
    bench.drain();
    let update = bench.take();
    bench.answer(&update, Code::CHANGED, |_| {});
    bench
}

/// A request and what 1.0, 1.1 and 1.2 make of it.
type Row = (Code, &'static str, Option<ContentFormat>, &'static [u8], [Code; 3]);

const ROWS: [Row; 20] = [
    (Code::GET, "/2/0/2/1", None, b"", [NOT_HERE, CONTENT, CONTENT]),
    (Code::PUT, "/2/0/2/1", Some(TEXT), b"7", [NOT_HERE, CHANGED, CHANGED]),
    (Code::PUT, "/2/0/2/1?pmin=5", None, b"", [NOT_HERE, CHANGED, CHANGED]),
    (Code::DELETE, "/2/0/2/1", None, b"", [NOT_HERE, NOT_HERE, Code::DELETED]),
    (Code::POST, "/2/0/2", Some(TLV), b"\x83\x02\x41\x02\x03", [NOT_HERE, CHANGED, CHANGED]),
    (Code::PUT, "/2/0/3", Some(JSON), br#"[{"n":"/2/0/3","v":1}]"#, [FORMAT, CHANGED, CHANGED]),
    (Code::PUT, "/2/0/3", Some(ContentFormat::CBOR), b"\x01", [FORMAT, CHANGED, CHANGED]),
    (Code::PUT, "/1/0/1", Some(ETCH), b"[]", [FORMAT, FORMAT, FORMAT]),
    (Code::FETCH, "/", Some(JSON), br#"[{"n":"/3/0/0"}]"#, [NOT_HERE, CONTENT, CONTENT]),
    (Code::FETCH, "/", Some(ETCH), br#"[{"n":"/3/0/0"}]"#, [NOT_HERE, FORMAT, CONTENT]),
    (Code::IPATCH, "/", Some(JSON), br#"[{"n":"/3311/0/5850","vb":true}]"#, [NOT_HERE, CHANGED, CHANGED]),
    (Code::IPATCH, "/", Some(ETCH), br#"[{"n":"/3311/0/5850","vb":true}]"#, [NOT_HERE, FORMAT, CHANGED]),
    (Code::PUT, "/3303/0/5700?epmin=5", None, b"", [BAD, CHANGED, CHANGED]),
    (Code::PUT, "/3303/0/5700?epmax=50", None, b"", [BAD, CHANGED, CHANGED]),
    (Code::PUT, "/3303/0/5700?con=1", None, b"", [BAD, BAD, CHANGED]),
    (Code::PUT, "/3303/0/5700?hqmax=1", None, b"", [BAD, BAD, CHANGED]),
    (Code::PUT, "/3311/0/5850?edge=1", None, b"", [BAD, BAD, CHANGED]),
    (Code::PUT, "/3303/0/5700?pmin=1", None, b"", [CHANGED, CHANGED, CHANGED]),
    (Code::POST, "/1/0/8", None, b"", [CHANGED, CHANGED, CHANGED]),
    (Code::POST, "/1/0/9", None, b"", [Code::NOT_FOUND, NOT_HERE, NOT_HERE]),
];

// Proves: DMO-43
#[test]
fn each_version_is_served_what_it_has() {
    for (version, at_index) in [(Version::V1_0, 0), (Version::V1_1, 1), (Version::V1_2, 2)] {
        for (method, path, format, payload, codes) in ROWS {
            let mut bench = at(version);
            let options = |options: &mut OptionWriter<'_>| {
                if let Some(format) = format {
                    options.content_format(format);
                }
            };
            bench.ask_with(method, path, options, payload);
            assert_eq!(bench.take().code, codes[at_index], "{version} {method} {path}");
        }
    }
}

// Proves: DMO-09
#[test]
fn depth_and_observe_attributes_are_of_1_2() {
    for (version, deep, observed) in
        [(Version::V1_0, CONTENT, BAD), (Version::V1_1, CONTENT, BAD), (Version::V1_2, BAD, CONTENT)]
    {
        let mut bench = at(version);
        let usual = bench.discover("/2/0");
        let shallow = bench.discover("/2/0?depth=0");
        let ignored = version < Version::V1_2;
        assert_eq!(usual.text() == shallow.text(), ignored, "{version}");
        assert_eq!(bench.discover("/2/0?depth=9").code, deep, "{version}");
        assert_eq!(bench.discover("/2/0?pmin=9").code, Code::BAD_OPTION, "{version}");
        bench.ask_with(Code::GET, "/3303/0/5700?pmin=1", |options| _ = options.observe(0), &[]);
        assert_eq!(bench.take().code, observed, "{version}");
    }
}

// Proves: DMO-35, DMO-44
#[test]
fn of_several_faults_the_first_of_the_order_is_told() {
    let mut bench = at(Version::V1_2);
    for (method, path, code) in [
        // Objects that are nobody's business come first, whatever is asked of them.
        (Code::PUT, "/0", Code::UNAUTHORIZED),
        (Code::DELETE, "/0", Code::UNAUTHORIZED),
        (Code::DELETE, "/21/0/1/2", Code::UNAUTHORIZED),
        (Code::POST, "/23", Code::UNAUTHORIZED),
        (Code::PUT, "/0/0/0?pmin=1", Code::UNAUTHORIZED),
        (Code::GET, "/0/0?pmin=1", Code::UNAUTHORIZED),
        // Path and method before existence.
        (Code::DELETE, "/99", NOT_HERE),
        (Code::DELETE, "/99/0/1", NOT_HERE),
        (Code::PUT, "/99", NOT_HERE),
        // Existence before what may be done.
        (Code::POST, "/99/0/1", Code::NOT_FOUND),
        (Code::POST, "/3/1/4", Code::NOT_FOUND),
        (Code::POST, "/3/0/9", Code::NOT_FOUND),
        (Code::POST, "/3/0/0", NOT_HERE),
        (Code::PUT, "/3/0/9", Code::NOT_FOUND),
        (Code::PUT, "/3/0/0", NOT_HERE),
        (Code::PUT, "/3/0/11/7", Code::NOT_FOUND),
        (Code::PUT, "/3/0/11/0", NOT_HERE),
        (Code::PUT, "/3/0/0/0", NOT_HERE),
        (Code::DELETE, "/3/0/9/0", Code::NOT_FOUND),
        (Code::DELETE, "/3/0/11/7", Code::NOT_FOUND),
        (Code::DELETE, "/3/0/11/0", NOT_HERE),
        (Code::DELETE, "/3/0/0/0", NOT_HERE),
        (Code::DELETE, "/3/0", NOT_HERE),
        (Code::DELETE, "/1/9", Code::NOT_FOUND),
    ] {
        // A payload that is wrong in every respect is looked at last.
        bench.ask_with(method, path, |options| _ = options.content_format(ContentFormat(65_000)), b"'");
        assert_eq!(bench.take().code, code, "{method} {path}");
    }
    bench.ask_with(Code::POST, "/1/0/8?0='U'", |_| {}, &[]);
    assert_eq!(bench.take().code, CHANGED, "arguments of an Execute may stand in the query, too");
    bench.sent.clear();
    bench.ask_with(Code::POST, "/1/0/8?pmin=5", |_| {}, &[]);
    assert_eq!(bench.take().code, Code::BAD_OPTION);
}

// Proves: DMO-20, DMO-33
#[test]
fn a_refused_removal_of_a_resource_instance_gives_4_01() {
    let mut bench = at(Version::V1_2);
    let nulls = br#"[{"n":"/2/0/2/1","v":null},{"n":"/2/0/2/2","v":null}]"#;
    assert_eq!(bench.send(Code::IPATCH, "/", ETCH, nulls).code, CHANGED, "the list of rights is optional");
    let fourth = br#"[{"bn":"/2/0/2/","n":"1","v":1},{"n":"2","v":1},{"n":"3","v":1},{"n":"4","v":1}]"#;
    assert_eq!(bench.send(Code::POST, "/2/0/2", JSON, fourth).code, Code::UNAUTHORIZED, "no room");

    let identity = Array::from(["a", "b"].map(Text::new));
    bench.client.objects_mut().4.insert(0, Portfolio { identity }).unwrap_or_else(|_| panic!("room"));
    bench.drain();
    let update = bench.take();
    bench.answer(&update, Code::CHANGED, |_| {});
    let both = br#"[{"n":"/16/0/0/0","v":null},{"n":"/16/0/0/1","v":null}]"#;
    assert_eq!(bench.send(Code::IPATCH, "/", ETCH, both).code, Code::UNAUTHORIZED);
    assert_eq!(
        bench.send(Code::PUT, "/16/0/0", TLV, &[0x80, 0x00]).code,
        BAD,
        "an array that must not be empty"
    );
    let other = br#"[{"n":"/16/0/0/7","vs":"c"}]"#;
    assert_eq!(bench.send(Code::PUT, "/16/0/0", JSON, other).code, CHANGED);
    let list = bench.get("/16/0/0", JSON);
    assert_eq!(list.text(), r#"[{"bn":"/16/0/0/","n":"7","vs":"c"}]"#);
    assert_eq!(bench.ask(Code::DELETE, "/16/0/0/7").code, Code::UNAUTHORIZED, "the last one");
}
