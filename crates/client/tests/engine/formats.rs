//! Which formats a server of each version gets and may write.

use lightship_client::{Config, Event};
use lightship_coap::{Code, ContentFormat, OptionWriter};
use lightship_lwm2m::{Version, path};

use crate::bench::{Bench, account};

const CBOR: ContentFormat = ContentFormat::LWM2M_CBOR;

fn at(version: Version) -> Bench {
    let mut bench = Bench::with(Config { version, ..Config::new("a") }, account(1, 300));
    bench.register();
    bench.events.clear();
    bench
}

// Proves: FMT-02, FMT-03, FMT-26
#[test]
fn each_version_has_its_formats() {
    use ContentFormat as F;
    let formats = [
        (F::TEXT, Version::V1_0),
        (F::LWM2M_TLV, Version::V1_0),
        (F::CBOR, Version::V1_1),
        (F::SENML_JSON, Version::V1_1),
        (F::SENML_CBOR, Version::V1_1),
        (F::LWM2M_CBOR, Version::V1_2),
    ];
    for version in [Version::V1_0, Version::V1_1, Version::V1_2] {
        let mut bench = at(version);
        for (format, since) in formats {
            let answer = bench.get("/3/0/0", format);
            let read = if version >= since { Code::CONTENT } else { Code::NOT_ACCEPTABLE };
            assert_eq!(answer.code, read, "{version} {format}");
            // What was read is written back to a resource that may not be written: 4.05 only if the format is known.
            let written = bench.send(Code::PUT, "/1/0/7", format, b"").code;
            assert_eq!(written != Code::UNSUPPORTED_CONTENT_FORMAT, version >= since, "{version} {format}");
        }
        for format in [F::SENML_ETCH_JSON, F::SENML_ETCH_CBOR, F::LINK, F(65_000)] {
            let refused = Code::UNSUPPORTED_CONTENT_FORMAT;
            assert_eq!(bench.send(Code::PUT, "/1/0/7", format, b"").code, refused, "{version} {format}");
        }
        for format in [F::SENML_ETCH_JSON, F::SENML_ETCH_CBOR, F(65_000)] {
            assert_eq!(bench.get("/3/0/0", format).code, Code::NOT_ACCEPTABLE, "{version} {format}");
        }
    }
    // The JSON of 1.0 is gone since.
    for (version, code) in [(Version::V1_0, Code::CONTENT), (Version::V1_1, Code::NOT_ACCEPTABLE)] {
        for format in [F::LWM2M_JSON, F::LWM2M_JSON_OLD] {
            assert_eq!(at(version).get("/3/0/0", format).code, code, "{version} {format}");
        }
    }
}

// Proves: FMT-06
#[test]
fn numbers_from_before_the_registration_are_read_and_never_sent() {
    let mut bench = at(Version::V1_0);
    let answer = bench.get("/3/0/0", ContentFormat::LWM2M_TLV_OLD);
    assert_eq!((answer.code, answer.format), (Code::CONTENT, Some(ContentFormat::LWM2M_TLV)));
    assert_eq!(bench.send(Code::PUT, "/1/0/1", ContentFormat::LWM2M_TEXT_OLD, b"500").code, Code::CHANGED);
}

// Proves: FMT-22, FMT-26
#[test]
fn lwm2m_cbor_is_read_written_and_observed() {
    let mut bench = at(Version::V1_2);
    let light = bench.get("/3311/0", CBOR);
    assert_eq!((light.code, light.format), (Code::CONTENT, Some(CBOR)));
    // {[3311,0,5850]: false}
    assert_eq!(light.payload, b"\xA1\x83\x19\x0C\xEF\x00\x19\x16\xDA\xF4");
    // {[3311,0]: {5850: true}}
    let on = b"\xA1\x82\x19\x0C\xEF\x00\xA1\x19\x16\xDA\xF5";
    assert_eq!(bench.send(Code::POST, "/3311/0", CBOR, on).code, Code::CHANGED);
    assert_eq!(bench.client.objects().3.get(0).map(|light| light.on), Some(true));
    // {[3311,0,5850]: null} and an empty map are refused.
    for bad in [&b"\xA1\x83\x19\x0C\xEF\x00\x19\x16\xDA\xF6"[..], b"\xA1\x82\x19\x0C\xEF\x00\xA0"] {
        assert_eq!(bench.send(Code::POST, "/3311/0", CBOR, bad).code, Code::BAD_REQUEST, "{bad:02x?}");
    }
    let options = |options: &mut OptionWriter<'_>| {
        options.observe(0).accept(CBOR);
    };
    bench.ask_with(Code::GET, "/3303/0/5700", options, &[]);
    assert_eq!(bench.take().format, Some(CBOR));
    bench.set(2.0);
    assert_eq!(bench.take().format, Some(CBOR));
}

// Proves: DMO-30
#[test]
fn instance_65535_of_lwm2m_cbor_asks_the_client_to_choose() {
    let mut bench = at(Version::V1_2);
    // {[3303,65535]: {5700: 21.5, 5750: "x"}}: 5700 is read-only and ignored.
    let create = b"\xA1\x82\x19\x0C\xE7\x19\xFF\xFF\xA2\x19\x16\x44\xFB\x40\x35\x80\x00\x00\x00\x00\x00\x19\x16\x76\x61x";
    let answer = bench.send(Code::POST, "/3303", CBOR, create);
    assert_eq!((answer.code, answer.location), (Code::CREATED, vec!["3303".to_owned(), "1".to_owned()]));
    let made = bench.client.objects().1.get(1).expect("made");
    assert_eq!((made.value, made.application.as_ref().map(|text| text.as_str())), (0.0, Some("x")));
    let created = Event::Created { account: bench.id, path: path!(3303 / 1) };
    assert!(bench.events.contains(&created), "{:?}", bench.events);
    bench.sent.clear();
    // Elsewhere 65535 is no instance.
    assert_eq!(bench.send(Code::PUT, "/3303/0", CBOR, create).code, Code::BAD_REQUEST);
}

// Proves: FMT-26
#[test]
fn composites_are_answered_and_written_in_lwm2m_cbor() {
    let mut bench = at(Version::V1_2);
    let options = |options: &mut OptionWriter<'_>| {
        options.accept(CBOR).content_format(ContentFormat::SENML_ETCH_JSON);
    };
    bench.ask_with(Code::FETCH, "/", options, br#"[{"n":"/3311/0/5850"},{"n":"/1/0/1"}]"#);
    let answer = bench.take();
    assert_eq!((answer.code, answer.format), (Code::CONTENT, Some(CBOR)));
    // What was read can be written back, a little changed: both values are there.
    let at = answer
        .payload
        .windows(3)
        .position(|window| window == b"\x19\x01\x2C")
        .unwrap_or_else(|| panic!("the lifetime, 300, in {:02x?}", answer.payload));
    let mut changed = answer.payload.clone();
    changed[at + 2] = 0x2D;
    assert_eq!(bench.send(Code::IPATCH, "/", CBOR, &changed).code, Code::CHANGED);
    assert_eq!(bench.client.account(bench.id).map(|account| account.lifetime_s), Some(301));
}
