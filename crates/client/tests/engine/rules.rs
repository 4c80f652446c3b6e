//! Rules about the data model and the built-in objects, one table each.

use lightship_client::Config;
use lightship_coap::{Code, ContentFormat};
use lightship_lwm2m::Version;

use crate::bench::{Bench, account};

const TEXT: ContentFormat = ContentFormat::TEXT;

// Proves: GEN-10
#[test]
fn a_path_of_the_wrong_shape_is_not_allowed() {
    let mut bench = Bench::registered();
    for (method, path) in [
        // A resource instance where the resource is single.
        (Code::GET, "/3/0/0/0"),
        (Code::GET, "/3303/0/5700/0"),
        (Code::PUT, "/1/0/1/0"),
        (Code::PUT, "/3311/0/5851/0"),
        (Code::POST, "/3311/0/5851/0"),
        // Execute reaches resources, nothing above and nothing below.
        (Code::POST, "/3/0/4/0"),
        (Code::POST, "/"),
        // Nothing lies below a resource instance.
        (Code::GET, "/3/0/11/0/0"),
    ] {
        let reply = bench.send(method, path, TEXT, b"1");
        assert_eq!(reply.code, Code::METHOD_NOT_ALLOWED, "{method} {path}");
    }
    bench.events.clear();
    assert_ne!(bench.ask(Code::POST, "/3/0").code, Code::CHANGED, "Execute on an instance");
    assert!(bench.events.is_empty(), "{:?}", bench.events);
    assert_eq!(bench.observe("/3/0/0/0").1.code, Code::METHOD_NOT_ALLOWED);
}

#[test]
fn the_server_object_has_its_resources_and_guards_its_name() {
    for version in [Version::V1_0, Version::V1_1, Version::V1_2] {
        let mut bench = Bench::with(Config { version, ..Config::new("x") }, account(1, 300));
        bench.register();
        bench.sent.clear();
        for path in ["/1/0/0", "/1/0/1", "/1/0/6", "/1/0/7"] {
            assert_eq!(bench.get(path, TEXT).code, Code::CONTENT, "{version} {path}");
        }
        for (path, text, code) in [
            ("/1/0/0", "2", Code::METHOD_NOT_ALLOWED),
            ("/1/0/2", "1", Code::CHANGED),
            ("/1/0/3", "60", Code::CHANGED),
            ("/1/0/5", "600", Code::CHANGED),
            ("/1/0/6", "0", Code::CHANGED),
            ("/1/0/7", "U", Code::CHANGED),
        ] {
            assert_eq!(bench.put(path, text), code, "{version} {path}");
            if code == Code::CHANGED {
                assert_eq!(bench.get(path, TEXT).text(), text, "{version} {path}");
            }
        }
        // How a device registers is decided at bootstrap.
        for path in ["/1/0/13", "/1/0/15", "/1/0/16"] {
            assert_ne!(bench.put(path, "1"), Code::CHANGED, "{version} {path}");
        }
        assert_eq!(bench.put("/1/0/1", "120"), Code::CHANGED);
        bench.sent.clear();
        assert_eq!(bench.ask(Code::POST, "/1/0/8").code, Code::CHANGED, "{version}");
    }
}

// Proves: DAT-08
#[test]
fn versions_are_told_where_they_are_not_the_ones_of_the_release() {
    let mut bench = Bench::new();
    let register = bench.register();
    let links: Vec<_> = register.text().split(',').filter(|link| link.contains("ver")).collect();
    assert_eq!(links, ["</2>;ver=1.0", "</3303>;ver=1.1"]);
    let found = bench.discover("/3303");
    assert!(found.text().starts_with("</3303>;ver=1.1"), "{}", found.text());
    assert!(bench.discover("/2").text().starts_with("</2>;ver=1.0"), "the release has 1.1");
    assert!(!bench.discover("/3").text().contains("ver="), "the release has the same");
    assert!(!bench.discover("/3311").text().contains("ver="), "1.0 needs no word");
    let objects = bench.client.objects_mut();
    objects.1.insert(1, crate::bench::Temperature::default()).ok();
    bench.drain();
    let update = bench.take();
    assert_eq!(update.path, ["rd", "5a3f"]);
    for (said, there) in
        [("</3303>;ver=1.1", true), ("</2>;ver=1.0", true), ("</3>", false), ("</3311>", false)]
    {
        assert_eq!(update.text().contains(said), there, "{said} in {}", update.text());
    }
    // 1.1 has 1.0 of object 2.
    let config = Config { version: Version::V1_1, ..Config::new("x") };
    let register = Bench::with(config, account(1, 300)).register();
    assert!(register.text().contains("</3303>;ver=1.1"), "{}", register.text());
    assert!(!register.text().contains("</2>;ver"), "{}", register.text());
}

// Proves: GEN-03
#[test]
fn only_an_unsupported_version_is_followed_by_a_lower_one() {
    for (code, next) in [
        (Code::PRECONDITION_FAILED, "lwm2m=1.1"),
        (Code::BAD_REQUEST, "lwm2m=1.2"),
        (Code::UNAUTHORIZED, "lwm2m=1.2"),
        (Code::FORBIDDEN, "lwm2m=1.2"),
        (Code::NOT_FOUND, "lwm2m=1.2"),
        (Code::NOT_ACCEPTABLE, "lwm2m=1.2"),
    ] {
        let mut bench = Bench::new();
        bench.client.register(bench.now, bench.id);
        bench.drain();
        let register = bench.take();
        bench.answer(&register, code, |_| {});
        bench.until_sent();
        let again = bench.take();
        assert!(again.query.contains(&next.to_owned()), "{code}: {:?}", again.query);
    }
}
