//! Cases of OMA's Enabler Test Specification, each played by our device and our server.
//!
//! `cargo xtask conformance` lists them in docs/conformance.md by their marks.

#![allow(clippy::wildcard_enum_match_arm, reason = "a test looks for one event")]

mod world;

use core::time::Duration;
use std::collections::BTreeMap;

use lightship_client::Phase;
use lightship_coap::{Code, ContentFormat};
use lightship_lwm2m::format::Format;
use lightship_lwm2m::{OwnedValue, Version};
use lightship_server::{Event, Operation};
use world::{boolean, integer, path, text};

// Case: LightweightM2M-1.1-int-101
#[test]
fn lightweightm2m_1_1_int_101_initial_registration() {
    let world = world::world();
    let registration = world.pair.registration().expect("registered");
    let details = &registration.details;
    assert_eq!((&*details.endpoint, details.version), (lightship_sim::pair::NAME, Version::V1_1));
    assert_eq!(details.lifetime_s, 86_400);
    let listed: Vec<_> = details.objects.objects.iter().map(|link| link.path.to_string()).collect();
    for needed in ["/1/0", "/3/0", "/16/0"] {
        assert!(listed.iter().any(|path| path == needed), "{needed} is listed in {listed:?}");
    }
    assert!(listed.iter().all(|path| !path.starts_with("/0") && !path.starts_with("/21")));
}

// Case: LightweightM2M-1.1-int-102
#[test]
fn lightweightm2m_1_1_int_102_registration_update() {
    let mut world = world::world();
    assert_eq!(world.put("/1/0/1", "20"), Code::CHANGED);
    world.pair.run(Duration::from_secs(2));
    assert_eq!(world.pair.registration().map(|r| r.details.lifetime_s), Some(20));
    // Without a further Update the server drops it.
    let until = world.pair.now + Duration::from_secs(100);
    world.pair.network.cut(0, until);
    world.pair.run(Duration::from_secs(25));
    assert!(world.pair.registration().is_none());
}

// Case: LightweightM2M-1.1-int-103
#[test]
fn lightweightm2m_1_1_int_103_deregistration() {
    let mut world = world::world();
    assert_eq!(world.put("/1/0/5", "86400"), Code::CHANGED);
    assert_eq!(world.execute("/1/0/4"), Code::CHANGED);
    world.pair.run(Duration::from_secs(5));
    assert!(world.pair.registration().is_none());
    let gone = |event: &Event| {
        matches!(event, Event::Deregistered { reason: lightship_server::Ended::Deregister, .. })
    };
    assert!(world.pair.events.iter().any(gone));
}

// Case: LightweightM2M-1.1-int-104
#[test]
fn lightweightm2m_1_1_int_104_registration_update_trigger() {
    let mut world = world::world();
    assert_eq!(world.put("/1/0/1", "20"), Code::CHANGED);
    world.pair.run(Duration::from_secs(2));
    world.pair.events.clear();
    let before = world.pair.registration().expect("registered").id;
    assert_eq!(world.execute("/1/0/8"), Code::CHANGED);
    world.pair.run(Duration::from_secs(1));
    assert!(world.pair.events.iter().any(|event| matches!(event, Event::Refreshed { .. })));
    world.pair.run(Duration::from_secs(60));
    assert_eq!(world.pair.registration().map(|registration| registration.id), Some(before));
}

// Case: LightweightM2M-1.1-int-105
#[test]
fn lightweightm2m_1_1_int_105_discarded_register_update() {
    let mut world = world::world();
    assert_eq!(world.put("/1/0/1", "30"), Code::CHANGED);
    world.pair.run(Duration::from_secs(2));
    let before = world.pair.registration().expect("registered").id;
    let endpoint = world.pair.endpoint();
    assert!(world.pair.shard.forget(world.pair.now, &endpoint));
    world.pair.drain();
    assert!(world.pair.registration().is_none());
    world.pair.run(Duration::from_secs(60));
    let after = world.pair.registration().expect("registered anew").id;
    assert_ne!(before, after);
    assert!(matches!(world.pair.client.phase(world.pair.account), Phase::Registered { .. }));
}

// Case: LightweightM2M-1.1-int-107
#[test]
fn lightweightm2m_1_1_int_107_extending_the_lifetime() {
    let mut world = world::world();
    assert_eq!(world.put("/1/0/1", "60"), Code::CHANGED);
    world.pair.run(Duration::from_secs(2));
    assert_eq!(world.put("/1/0/1", "120"), Code::CHANGED);
    world.pair.run(Duration::from_secs(2));
    let registration = world.pair.registration().expect("registered");
    assert_eq!(registration.details.lifetime_s, 120);
    world.pair.run(Duration::from_secs(600));
    let later = world.pair.registration().expect("still");
    assert_eq!(later.id, registration.id);
    assert!(later.updated_at > registration.updated_at, "Updates come in time");
}

// Case: LightweightM2M-1.1-int-201
#[test]
fn lightweightm2m_1_1_int_201_read_in_plain_text() {
    let mut world = world::world();
    for (target, value) in [("/3/0/0", "Lightship"), ("/3/0/1", "Model 500"), ("/3/0/2", "LT-500")] {
        let response =
            world.response(Operation::Read { path: path(target), accept: Some(ContentFormat::TEXT) });
        assert_eq!((response.code, response.content_format), (Code::CONTENT, Some(ContentFormat::TEXT)));
        assert_eq!(core::str::from_utf8(&response.payload), Ok(value));
    }
}

fn reads_the_device_in(mut world: world::World, format: Format) {
    let read = world.read("/3/0", Some(format));
    for (name, value) in
        [("/3/0/0", "Lightship"), ("/3/0/1", "Model 500"), ("/3/0/2", "LT-500"), ("/3/0/3", "1.0")]
    {
        assert_eq!(read.get(name), Some(&text(value)), "{name}");
    }
    assert_eq!(read.get("/3/0/11/0"), Some(&integer(0)));
    assert_eq!(read.get("/3/0/16"), Some(&text("U")));
    assert!(!read.contains_key("/3/0/4"), "an executable resource is not read");
}

// Case: LightweightM2M-1.1-int-203
#[test]
fn lightweightm2m_1_1_int_203_read_in_tlv() {
    reads_the_device_in(world::world(), Format::Tlv);
}

// Case: LightweightM2M-1.1-int-205
#[test]
fn lightweightm2m_1_1_int_205_write_in_plain_text() {
    let mut world = world::world();
    for values in [["101", "1010", "2000"], ["1", "10", "86400"]] {
        for (target, value) in ["/1/0/2", "/1/0/3", "/1/0/5"].into_iter().zip(values) {
            assert_eq!(world.put(target, value), Code::CHANGED);
            let expected = value.parse().expect("a number");
            assert_eq!(world.read_one(target, Format::Text), integer(expected));
        }
    }
}

// Case: LightweightM2M-1.1-int-211
#[test]
fn lightweightm2m_1_1_int_211_read_in_cbor() {
    let mut world = world::world();
    let expected = [("/1/0/0", &b"\x01"[..]), ("/1/0/6", b"\xf4"), ("/1/0/7", b"\x61U")];
    assert_eq!(world.put("/1/0/6", "0"), Code::CHANGED);
    for (target, bytes) in expected {
        let response =
            world.response(Operation::Read { path: path(target), accept: Some(ContentFormat::CBOR) });
        assert_eq!((response.code, response.content_format), (Code::CONTENT, Some(ContentFormat::CBOR)));
        assert_eq!(&*response.payload, bytes, "{target}");
    }
}

// Case: LightweightM2M-1.1-int-212
#[test]
fn lightweightm2m_1_1_int_212_write_in_cbor() {
    let mut world = world::world();
    let values = [("/1/0/2", integer(101)), ("/1/0/3", integer(1010)), ("/1/0/6", boolean(true))];
    for (target, value) in values {
        assert_eq!(world.replace(target, Format::Cbor, &[(target, value.clone())]), Code::CHANGED);
        assert_eq!(world.read_one(target, Format::Cbor), value);
    }
}

/// The values of cases 215, 220, 233 and 234.
fn changed() -> [(&'static str, OwnedValue); 5] {
    [
        ("/1/0/2", integer(101)),
        ("/1/0/3", integer(1010)),
        ("/1/0/5", integer(2000)),
        ("/1/0/6", boolean(true)),
        ("/1/0/7", text("U")),
    ]
}

fn updates_and_restores_the_server_in(format: Format) {
    updates_and_restores(world::world(), format);
}

fn updates_and_restores(mut world: world::World, format: Format) {
    let saved = world.read("/1/0", Some(format));
    assert_eq!(world.update("/1/0", format, &changed()), Code::CHANGED);
    let read = world.read("/1/0", Some(format));
    for (target, value) in changed() {
        assert_eq!(read.get(target), Some(&value), "{target}");
    }
    assert_eq!(read.get("/1/0/1"), saved.get("/1/0/1"), "what is not named stays");
    let names = ["/1/0/1", "/1/0/2", "/1/0/3", "/1/0/5", "/1/0/6", "/1/0/7"];
    let back: Vec<_> = names.into_iter().filter_map(|name| Some((name, saved.get(name)?.clone()))).collect();
    assert_eq!(world.replace("/1/0", format, &back), Code::CHANGED);
    let restored = world.read("/1/0", Some(format));
    for (target, value) in back {
        assert_eq!(restored.get(target), Some(&value), "{target}");
    }
}

// Case: LightweightM2M-1.1-int-215
#[test]
fn lightweightm2m_1_1_int_215_write_in_tlv() {
    updates_and_restores_the_server_in(Format::Tlv);
}

// Case: LightweightM2M-1.1-int-221
#[test]
fn lightweightm2m_1_1_int_221_the_security_object_is_closed() {
    let mut world = world::world();
    assert_eq!(world.code(Operation::Read { path: path("/0"), accept: None }), Code::UNAUTHORIZED);
    assert_eq!(world.put("/0/0/0", "coap://example.org"), Code::UNAUTHORIZED);
    assert_eq!(world.attach("/0", &["pmin=10"]), Code::UNAUTHORIZED);
}

// Case: LightweightM2M-1.1-int-222
#[test]
fn lightweightm2m_1_1_int_222_read_object() {
    let mut world = world::world();
    assert_eq!(world.read("/1", None).get("/1/0/0"), Some(&integer(1)));
    assert_eq!(world.read("/3", None).get("/3/0/1"), Some(&text("Model 500")));
}

// Case: LightweightM2M-1.1-int-223
#[test]
fn lightweightm2m_1_1_int_223_read_object_instance() {
    let mut world = world::world();
    assert_eq!(world.read("/1/0", None).get("/1/0/0"), Some(&integer(1)));
    assert_eq!(world.read("/3/0", None).get("/3/0/1"), Some(&text("Model 500")));
}

// Case: LightweightM2M-1.1-int-224
#[test]
fn lightweightm2m_1_1_int_224_read_resource() {
    let mut world = world::world();
    let values =
        [("/1/0/0", integer(1)), ("/1/0/1", integer(86_400)), ("/1/0/7", text("U")), ("/3/0/16", text("U"))];
    for (target, value) in values {
        assert_eq!(world.read(target, None), BTreeMap::from([(target.to_owned(), value)]));
    }
}

// Case: LightweightM2M-1.1-int-225
#[test]
fn lightweightm2m_1_1_int_225_read_resource_instance() {
    let mut world = world::world();
    assert_eq!(world.read("/3/0/11/0", None), BTreeMap::from([("/3/0/11/0".to_owned(), integer(0))]));
}

// Case: LightweightM2M-1.1-int-226
#[test]
fn lightweightm2m_1_1_int_226_partial_update_of_an_instance() {
    let mut world = world::world();
    let values = [("/1/0/1", integer(61)), ("/1/0/6", boolean(true))];
    assert_eq!(world.update("/1/0", Format::SenmlJson, &values), Code::CHANGED);
    world.pair.run(Duration::from_secs(2));
    assert_eq!(world.pair.registration().map(|r| r.details.lifetime_s), Some(61));
    assert_eq!(world.read_one("/1/0/6", Format::Text), boolean(true));
}

// Case: LightweightM2M-1.1-int-227
#[test]
fn lightweightm2m_1_1_int_227_replace_a_resource() {
    let mut world = world::world();
    assert_eq!(world.put("/1/0/1", "63"), Code::CHANGED);
    world.pair.run(Duration::from_secs(2));
    assert_eq!(world.pair.registration().map(|r| r.details.lifetime_s), Some(63));
    assert_eq!(world.read_one("/1/0/1", Format::Text), integer(63));
}

// Case: LightweightM2M-1.1-int-228
#[test]
fn lightweightm2m_1_1_int_228_write_a_resource_instance() {
    let mut world = world::world();
    assert_eq!(world.put("/16/0/0/1", "test"), Code::CHANGED);
    let read = world.read("/16/0/0", None);
    assert_eq!(read.get("/16/0/0/1"), Some(&text("test")));
    assert_eq!(read.get("/16/0/0/0"), Some(&text("host")), "only that one");
}

fn reads_all_levels_in(format: Format) {
    let mut world = world::world();
    for (target, name, value) in [
        ("/1", "/1/0/0", integer(1)),
        ("/3/0", "/3/0/0", text("Lightship")),
        ("/3/0/16", "/3/0/16", text("U")),
        ("/3/0/11/0", "/3/0/11/0", integer(0)),
    ] {
        assert_eq!(world.read(target, Some(format)).get(name), Some(&value), "{target}");
    }
}

// Case: LightweightM2M-1.1-int-231
#[test]
fn lightweightm2m_1_1_int_231_read_in_senml_json() {
    reads_all_levels_in(Format::SenmlJson);
}

// Case: LightweightM2M-1.1-int-232
#[test]
fn lightweightm2m_1_1_int_232_read_in_senml_cbor() {
    reads_all_levels_in(Format::SenmlCbor);
}

fn writes_all_levels_in(format: Format) {
    updates_and_restores_the_server_in(format);
    let mut world = world::world();
    assert_eq!(world.replace("/16/0/0/0", format, &[("/16/0/0/0", text("aa"))]), Code::CHANGED);
    assert_eq!(world.read_one("/16/0/0/0", format), text("aa"));
    assert_eq!(world.replace("/1/0/1", format, &[("/1/0/1", integer(63))]), Code::CHANGED);
    world.pair.run(Duration::from_secs(2));
    assert_eq!(world.pair.registration().map(|r| r.details.lifetime_s), Some(63));
}

// Case: LightweightM2M-1.1-int-233
#[test]
fn lightweightm2m_1_1_int_233_write_in_senml_cbor() {
    writes_all_levels_in(Format::SenmlCbor);
}

// Case: LightweightM2M-1.1-int-234
#[test]
fn lightweightm2m_1_1_int_234_write_in_senml_json() {
    writes_all_levels_in(Format::SenmlJson);
}

// Case: LightweightM2M-1.1-int-237
#[test]
fn lightweightm2m_1_1_int_237_read_without_accept() {
    let mut world = world::world();
    assert_eq!(world.read("/1", None).get("/1/0/0"), Some(&integer(1)));
    assert_eq!(world.read("/3", None).get("/3/0/0"), Some(&text("Lightship")));
}

// Case: LightweightM2M-1.1-int-256
#[test]
fn lightweightm2m_1_1_int_256_write_failure() {
    let mut world = world::world();
    assert_eq!(world.put("/1/0/0", "123"), Code::METHOD_NOT_ALLOWED);
    assert_eq!(world.read_one("/1/0/0", Format::Text), integer(1));
}

// Case: LightweightM2M-1.1-int-301
#[test]
fn lightweightm2m_1_1_int_301_observe_and_notify() {
    let mut world = world::world();
    assert_eq!(world.attach("/3/0/7", &["pmin=5", "pmax=15"]), Code::CHANGED);
    assert_eq!(world.attach("/3/0/8", &["pmin=10", "pmax=20"]), Code::CHANGED);
    world.observe("/3/0/7");
    world.observe("/3/0/8");
    world.pair.run(Duration::from_secs(125));
    let (seven, eight) = (world.notified("/3/0/7"), world.notified("/3/0/8"));
    assert!((8..=25).contains(&seven), "{seven} reports of 7 in two minutes");
    assert!((6..=12).contains(&eight), "{eight} reports of 8 in two minutes");
    // However often the values change, there are pmin seconds between two reports, and no more than that.
    for (target, pmin) in [("/3/0/7", 5.0), ("/3/0/8", 10.0)] {
        let gaps = world.gaps_while(target, Duration::from_secs(60), |objects| objects.0.drift());
        let steady: Vec<f32> = gaps.iter().skip(1).map(Duration::as_secs_f32).collect();
        assert!(steady.len() >= 4, "{target}: {gaps:?}");
        assert!(steady.iter().all(|gap| (pmin..pmin + 1.5).contains(gap)), "{target}: {gaps:?}");
    }
}

// Case: LightweightM2M-1.1-int-302
#[test]
fn lightweightm2m_1_1_int_302_cancel_by_reset() {
    let mut world = world::world();
    for target in ["/3/0/7", "/3/0/8"] {
        assert_eq!(world.attach(target, &["pmin=5", "pmax=15"]), Code::CHANGED);
        world.observe(target);
    }
    for (target, left) in [("/3/0/7", 1), ("/3/0/8", 0)] {
        let id = world.pair.shard.observation(&world.pair.endpoint(), path(target)).expect("observed");
        // Nothing of the Cancel reaches the device: it learns by the Reset of its next notification.
        let until = world.pair.now + Duration::from_millis(1);
        world.pair.network.cut(0, until);
        let now = world.pair.now;
        let request =
            world.pair.shard.cancel_observation(now, id, now + Duration::from_secs(1)).expect("known");
        world.pair.shard.cancel(now, request.expect("a request"));
        world.pair.drain();
        world.pair.run(Duration::from_secs(60));
        world.pair.events.clear();
        let before = world.pair.shard.stats().notifications_unknown;
        assert!(before > 0, "{target} was rejected by Reset");
        world.pair.run(Duration::from_secs(120));
        assert_eq!(world.pair.shard.stats().notifications_unknown, before, "{target} stays silent");
        assert_eq!(world.notified(target), 0);
        assert_eq!(world.notified("/3/0/8") > 0, left > 0, "the other goes on");
    }
}

// Case: LightweightM2M-1.1-int-303
#[test]
fn lightweightm2m_1_1_int_303_cancel_with_observe_1() {
    let mut world = world::world();
    for target in ["/3/0/7", "/3/0/8"] {
        assert_eq!(world.attach(target, &["pmin=5", "pmax=15"]), Code::CHANGED);
        world.observe(target);
    }
    for target in ["/3/0/7", "/3/0/8"] {
        assert_eq!(world.cancel(target), Code::CONTENT);
    }
    world.pair.events.clear();
    world.pair.run(Duration::from_secs(120));
    assert_eq!((world.notified("/3/0/7"), world.notified("/3/0/8")), (0, 0));
    assert_eq!(world.pair.shard.stats().notifications_unknown, 0, "the device removed them");
}

// Case: LightweightM2M-1.1-int-680
#[test]
fn lightweightm2m_1_1_int_680_create_on_device() {
    let mut world = world::world();
    assert_eq!(world.code(Operation::Create { path: path("/3"), content: None }), Code::METHOD_NOT_ALLOWED);
}

// Case: LightweightM2M-1.1-int-685
#[test]
fn lightweightm2m_1_1_int_685_delete_on_device() {
    let mut world = world::world();
    assert_eq!(world.code(Operation::Delete { path: path("/3/0") }), Code::METHOD_NOT_ALLOWED);
    assert_eq!(world.read_one("/3/0/0", Format::Text), text("Lightship"));
}

// Case: LightweightM2M-1.1-int-652
#[test]
fn lightweightm2m_1_1_int_652_firmware_version() {
    let mut world = world::world();
    assert_eq!(world.read_one("/3/0/3", Format::Text), text("1.0"));
}

// Case: LightweightM2M-1.1-int-1630
#[test]
fn lightweightm2m_1_1_int_1630_create_portfolio_instance() {
    let mut world = world::world();
    let values = [("/16/1/0/0", text("Host Device ID #1")), ("/16/1/0/1", text("Host Device Model #1"))];
    assert_eq!(world.create("/16", Format::Tlv, &values), Code::CREATED);
    let links = world.discover("/16/1");
    assert_eq!(links.get("/16/1/0").map(String::as_str), Some("dim=2"), "{links:?}");
    let read = world.read("/16", Some(Format::Tlv));
    assert_eq!(read.get("/16/1/0/1"), Some(&text("Host Device Model #1")));
    assert_eq!(read.get("/16/0/0/0"), Some(&text("host")));
    world.pair.run(Duration::from_secs(2));
    let objects = &world.pair.registration().expect("registered").details.objects.objects;
    assert!(objects.iter().any(|link| link.path == path("/16/1")), "the Update lists it");
}

// Case: LightweightM2M-1.1-int-1635
#[test]
fn lightweightm2m_1_1_int_1635_delete_portfolio_instances() {
    let mut world = world::world();
    let values = [("/16/1/0/0", text("Host Device ID #1"))];
    assert_eq!(world.create("/16", Format::Tlv, &values), Code::CREATED);
    for instance in ["/16/0", "/16/1"] {
        assert_eq!(world.code(Operation::Delete { path: path(instance) }), Code::DELETED);
    }
    let links: Vec<_> = world.discover("/16").into_keys().collect();
    assert_eq!(links, ["/16"]);
}

// Case: LightweightM2M-1.1-int-204
#[test]
fn lightweightm2m_1_1_int_204_read_in_json() {
    reads_the_device_in(world::world_1_0(), Format::Json);
}

// Case: LightweightM2M-1.1-int-220
#[test]
fn lightweightm2m_1_1_int_220_write_in_json() {
    updates_and_restores(world::world_1_0(), Format::Json);
}
