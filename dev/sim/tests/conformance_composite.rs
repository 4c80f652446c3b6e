//! Cases of OMA's Enabler Test Specification about several nodes at once, Send, and Discover.

#![allow(clippy::wildcard_enum_match_arm, reason = "a test looks for one event")]

mod world;

use core::time::Duration;
use std::collections::BTreeMap;

use lightship_client::SendRefused;
use lightship_coap::{Code, ContentFormat};
use lightship_lwm2m::format::Format;
use world::{boolean, integer, path, text};

const EVERY: [Format; 2] = [Format::SenmlJson, Format::SenmlCbor];

fn names<V>(values: &BTreeMap<String, V>) -> Vec<&str> {
    values.keys().map(String::as_str).collect()
}

// Case: LightweightM2M-1.1-int-229
#[test]
fn lightweightm2m_1_1_int_229_read_composite() {
    let mut world = world::world();
    for format in EVERY {
        let read = world.read_composite(&["/3", "/1/0/1", "/3/0/11/0"], format);
        assert_eq!(read.get("/3/0/0"), Some(&text("Lightship")));
        assert_eq!(read.get("/1/0/1"), Some(&integer(86_400)));
        assert_eq!(read.get("/3/0/11/0"), Some(&integer(0)));
    }
}

// Case: LightweightM2M-1.1-int-230
#[test]
fn lightweightm2m_1_1_int_230_write_composite() {
    for format in EVERY {
        let mut world = world::world();
        let values = [
            ("/1/0/1", integer(61)),
            ("/1/0/6", boolean(true)),
            ("/16/0/0/0", text("aa")),
            ("/16/0/0/1", text("bb")),
            ("/16/0/0/2", text("cc")),
            ("/16/0/0/3", text("dd")),
        ];
        assert_eq!(world.write_composite(format, &values), Code::CHANGED);
        for (target, value) in values {
            assert_eq!(world.read_one(target, Format::Text), value, "{target}");
        }
        world.pair.run(Duration::from_secs(2));
        assert_eq!(world.pair.registration().map(|r| r.details.lifetime_s), Some(61));
    }
}

// Case: LightweightM2M-1.1-int-235
#[test]
fn lightweightm2m_1_1_int_235_read_composite_of_the_root() {
    let mut world = world::world();
    for format in EVERY {
        let read = world.read_composite(&["/"], format);
        for needed in ["/1/0/0", "/3/0/0", "/16/0/0/0"] {
            assert!(read.contains_key(needed), "{needed} is in {:?}", names(&read));
        }
        let hidden = |name: &&str| name.starts_with("/0/") || name.starts_with("/21/");
        assert_eq!(names(&read).into_iter().find(hidden), None);
    }
}

// Case: LightweightM2M-1.1-int-236
#[test]
fn lightweightm2m_1_1_int_236_read_composite_partly_absent() {
    let mut world = world::world();
    let read = world.read_composite(&["/3/0/0", "/1/0/1", "/3339/0/5522", "/3353/0/6030"], Format::SenmlJson);
    assert_eq!(names(&read), ["/1/0/1", "/3/0/0"]);
}

// Case: LightweightM2M-1.1-int-257
// Proves: DMO-39
#[test]
fn lightweightm2m_1_1_int_257_write_composite_over_two_objects() {
    let mut world = world::world();
    // It is there already: Write-Composite makes no resources.
    assert_eq!(world.put("/1/0/2", "1"), Code::CHANGED);
    let values = [("/1/0/2", integer(101)), ("/1/0/6", boolean(true)), ("/16/0/0/0", text("x"))];
    assert_eq!(world.write_composite(Format::SenmlCbor, &values), Code::CHANGED);
    for (target, value) in values {
        assert_eq!(world.read_one(target, Format::Text), value, "{target}");
    }
    // One that cannot be written, and nothing is.
    let values = [("/1/0/2", integer(5)), ("/3/0/0", text("Other"))];
    assert_eq!(world.write_composite(Format::SenmlCbor, &values), Code::METHOD_NOT_ALLOWED);
    assert_eq!(world.read_one("/1/0/2", Format::Text), integer(101));
}

// Case: LightweightM2M-1.1-int-280
#[test]
fn lightweightm2m_1_1_int_280_read_composite_gives_what_was_asked() {
    let mut world = world::world();
    for format in EVERY {
        let read = world.read_composite(&["/3/0/16", "/3/0/11/0", "/1/0"], format);
        let others = names(&read).into_iter().filter(|name| !name.starts_with("/1/0/"));
        assert_eq!(others.collect::<Vec<_>>(), ["/3/0/11/0", "/3/0/16"]);
        assert_eq!(read.get("/1/0/0"), Some(&integer(1)));
    }
}

// Case: LightweightM2M-1.1-int-281
#[test]
fn lightweightm2m_1_1_int_281_read_composite_leaves_out_what_is_not_readable() {
    let mut world = world::world();
    let read = world.read_composite(&["/1/0/1", "/1/0/7", "/1/0/8"], Format::SenmlJson);
    assert_eq!(names(&read), ["/1/0/1", "/1/0/7"]);
}

// Case: LightweightM2M-1.1-int-304
#[test]
fn lightweightm2m_1_1_int_304_observe_composite() {
    let mut world = world::world();
    assert_eq!(world.attach("/1/0/1", &["pmin=30", "pmax=45"]), Code::CHANGED);
    let asked = ["/1/0/1", "/3/0/11/0", "/3/0/16"];
    let first = world.observe_composite("set", &asked);
    assert_eq!(names(&first), asked);
    world.pair.run(Duration::from_secs(29));
    assert!(world.reports("set").is_empty());
    world.pair.run(Duration::from_secs(18));
    let reports = world.reports("set");
    assert_eq!(reports.len(), 1, "one between 30 and 45 seconds");
    assert_eq!(names(&reports[0]), asked, "with all three");
}

// Case: LightweightM2M-1.1-int-305
#[test]
fn lightweightm2m_1_1_int_305_cancel_observation_composite() {
    let mut world = world::world();
    assert_eq!(world.attach("/1/0/1", &["pmin=30", "pmax=45"]), Code::CHANGED);
    world.observe_composite("set", &["/1/0/1", "/3/0/11/0", "/3/0/16"]);
    assert_eq!(world.cancel_composite("set"), Code::CONTENT);
    world.pair.events.clear();
    world.pair.run(Duration::from_secs(200));
    assert!(world.reports("set").is_empty());
    assert_eq!(world.pair.shard.stats().notifications_unknown, 0, "the device removed it");
}

// Case: LightweightM2M-1.1-int-308
// Proves: OBS-19
#[test]
fn lightweightm2m_1_1_int_308_observe_composite_and_create() {
    let mut world = world::world();
    assert_eq!(world.attach("/16/0", &["pmax=10"]), Code::CHANGED);
    let first = world.observe_composite("set", &["/16/0", "/16/1"]);
    assert!(names(&first).iter().all(|name| name.starts_with("/16/0/")));
    assert_eq!(world.create("/16", Format::Tlv, &[("/16/1/0/0", text("new"))]), Code::CREATED);
    world.pair.run(Duration::from_secs(12));
    let last = world.reports("set").pop().expect("a report");
    assert_eq!(last.get("/16/1/0/0"), Some(&text("new")));
}

// Case: LightweightM2M-1.1-int-309
#[test]
fn lightweightm2m_1_1_int_309_observe_composite_and_delete() {
    let mut world = world::world();
    assert_eq!(world.attach("/16/0", &["pmax=10"]), Code::CHANGED);
    assert_eq!(world.create("/16", Format::Tlv, &[("/16/1/0/0", text("new"))]), Code::CREATED);
    let first = world.observe_composite("set", &["/16/0", "/16/1"]);
    assert!(first.contains_key("/16/1/0/0"));
    let delete = lightship_server::Operation::Delete { path: path("/16/1") };
    assert_eq!(world.code(delete), Code::DELETED);
    world.pair.run(Duration::from_secs(12));
    let last = world.reports("set").pop().expect("a report");
    assert!(last.contains_key("/16/0/0/0") && !last.contains_key("/16/1/0/0"), "{:?}", names(&last));
}

// Case: LightweightM2M-1.1-int-306
#[test]
fn lightweightm2m_1_1_int_306_send() {
    let mut world = world::world();
    assert_eq!(world.put("/1/0/23", "0"), Code::CHANGED);
    world.send(&["/3/0"]).expect("taken");
    let sent = world.sent();
    assert_eq!(sent.len(), 1);
    let (format, values) = &sent[0];
    assert!(matches!(*format, Some(ContentFormat::SENML_JSON | ContentFormat::SENML_CBOR)), "{format:?}");
    assert_eq!(values.get("/3/0/0"), Some(&text("Lightship")));
    assert_eq!(world.pair.shard.stats().sends, 1, "answered 2.04");
}

// Case: LightweightM2M-1.1-int-307
#[test]
fn lightweightm2m_1_1_int_307_mute_send() {
    let mut world = world::world();
    assert_eq!(world.put("/1/0/23", "1"), Code::CHANGED);
    assert_eq!(world.send(&["/3/0/0"]), Err(SendRefused::Muted));
    assert!(world.sent().is_empty());
    assert_eq!(world.put("/1/0/23", "0"), Code::CHANGED);
    world.send(&["/3/0/0"]).expect("taken");
    assert_eq!(world.sent().len(), 1);
}

// Case: LightweightM2M-1.1-int-311
#[test]
fn lightweightm2m_1_1_int_311_send_content() {
    let mut world = world::world();
    assert_eq!(world.put("/1/0/23", "0"), Code::CHANGED);
    world.send(&["/1/0/1", "/3/0/11/0"]).expect("taken");
    let sent = world.sent();
    let expected = [("/1/0/1", integer(86_400)), ("/3/0/11/0", integer(0))];
    assert_eq!(sent[0].1, expected.map(|(name, value)| (name.to_owned(), value)).into());
}

// Case: LightweightM2M-1.1-int-260
#[test]
fn lightweightm2m_1_1_int_260_discover() {
    let mut world = world::world();
    let links = world.discover("/3");
    for needed in ["/3", "/3/0", "/3/0/0", "/3/0/4", "/3/0/7", "/3/0/16"] {
        assert!(links.contains_key(needed), "{needed} is in {links:?}");
    }
    // Up to 1.1 the object level does not count resource instances, its instances do.
    let links = world.discover("/3/0");
    for (counted, dim) in [("/3/0/7", "dim=2"), ("/3/0/8", "dim=2"), ("/3/0/11", "dim=1"), ("/3/0/0", "")] {
        assert_eq!(links.get(counted).map(String::as_str), Some(dim), "{counted}");
    }
    assert_eq!(world.attach("/3", &["pmin=10", "pmax=200"]), Code::CHANGED);
    let links = world.discover("/3/0");
    // The case shows none at all here; TS_Core 6.3.2 shows the target's inherited ones, and those below only their own.
    assert_eq!(links.get("/3/0").map(String::as_str), Some("pmin=10;pmax=200"));
    assert_eq!(links.get("/3/0/7").map(String::as_str), Some("dim=2"), "what it inherits is not its own");
    assert_eq!(world.attach("/3/0/7", &["lt=1", "gt=6", "st=1"]), Code::CHANGED);
    let links = world.discover("/3/0/7");
    let mut shown: Vec<_> = links.get("/3/0/7").expect("itself").split(';').collect();
    shown.sort_unstable();
    assert_eq!(shown, ["dim=2", "gt=6", "lt=1", "pmax=200", "pmin=10", "st=1"]);
}
