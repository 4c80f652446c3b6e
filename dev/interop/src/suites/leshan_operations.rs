//! Read, Write, Create, Delete, Execute and Discover with Leshan's library on the other side each way: what the first
//! suites leave out, and above all what must be refused.

use super::{World, start};
use crate::relay;
use crate::report::{Check, Report, holds, same};
use crate::sides::{Ours, Side, Theirs, holds_value};
use serde_json::{Value, json};

/// Formats for several values; every one of them also takes a single value.
const MULTIPLE: [&str; 3] = ["tlv", "senml-json", "senml-cbor"];
/// Formats for an opaque value.
const OPAQUE: [&str; 6] = ["tlv", "senml-json", "senml-cbor", "cbor", "text", "opaque"];

/// A device on Leshan's library at our server.
pub(crate) fn their_device(world: &World, report: &mut Report) {
    const NAME: &str = "leshan-operations-device";
    let started =
        start(report, &format!("{NAME}/registers"), || Theirs::start(world, NAME, relay::unchanged));
    let Some(mut side) = started else { return };
    run(&mut side, NAME, report);
}

/// Our device at a server on Leshan's library.
pub(crate) fn their_server(world: &World, report: &mut Report) {
    const NAME: &str = "leshan-operations-server";
    let started =
        start(report, &format!("{NAME}/registers"), || Ours::start(world, NAME, &["--lwm2m", "1.1"]));
    let Some(mut side) = started else { return };
    run(&mut side, NAME, report);
    old_formats(&mut side, NAME, report);
}

fn run(side: &mut dyn Side, who: &str, report: &mut Report) {
    reads(side, who, report);
    writes(side, who, report);
    creates(side, who, report);
    arguments(side, who, report);
    refusals(side, who, report);
    discovers(side, who, report);
}

fn reads(side: &mut dyn Side, who: &str, report: &mut Report) {
    for format in MULTIPLE {
        report.case(&format!("{who}/read/object-without-instances/{format}"), || {
            same("values", &side.read("/2", format)?.len(), &0)
        });
    }
    for format in OPAQUE {
        report.case(&format!("{who}/read/empty-opaque/{format}"), || {
            side.expect(json!({"op": "execute", "path": "/3442/0/2"}), "2.04")?;
            holds_value(&side.read("/3442/0/150", format)?, "/3442/0/150", "")
        });
    }
    for format in ["tlv", "senml-json", "senml-cbor", "cbor", "text"] {
        report.case(&format!("{who}/read/instance-of-a-single-resource/{format}"), || {
            let read = json!({"op": "read", "path": "/3442/0/120/0", "format": format});
            let code = side.ask(read)?.code;
            let right = if side.ours() { "4.05" } else { "4.00" };
            same("code", &code.as_str(), &right)
        });
    }
}

fn writes(side: &mut dyn Side, who: &str, report: &mut Report) {
    for format in MULTIPLE {
        report.case(&format!("{who}/write/multiple-object-links/{format}"), || {
            side.reset()?;
            let links = json!({"0": "3:0", "2": "3303:0"});
            side.expect(
                json!({"op": "write", "path": "/3442/0/1170", "format": format, "value": links}),
                "2.04",
            )?;
            let found = side.read("/3442/0/1170", "tlv")?;
            holds_value(&found, "/3442/0/1170/0", "3:0")?;
            holds_value(&found, "/3442/0/1170/2", "3303:0")?;
            same("instances", &found.len(), &2)
        });
        report.case(&format!("{who}/write/empty-multiple-resource/{format}"), || {
            multiple_resources(side, format)
        });
    }
    for format in ["senml-json", "senml-cbor", "text", "cbor"] {
        report.case(&format!("{who}/write/resource-instance/{format}"), || {
            side.reset()?;
            side.write("/3442/0/1110", json!({"0": "first", "1": "second"}))?;
            let write = json!({"op": "write", "path": "/3442/0/1110/1", "format": format, "value": "other"});
            side.expect(write, "2.04")?;
            let found = side.read("/3442/0/1110", "tlv")?;
            holds_value(&found, "/3442/0/1110/0", "first")?;
            holds_value(&found, "/3442/0/1110/1", "other")
        });
    }
    for format in OPAQUE {
        if format == "tlv" {
            continue;
        }
        report.case(&format!("{who}/write/opaque-resource-instance/{format}"), || {
            side.reset()?;
            side.write("/3442/0/1150", json!({"0": "AQ==", "3": "Ag=="}))?;
            let path = "/3442/0/1150/3";
            side.expect(json!({"op": "write", "path": path, "format": format, "value": "AP8Qgg=="}), "2.04")?;
            let found = side.read("/3442/0/1150", "tlv")?;
            holds_value(&found, "/3442/0/1150/0", "AQ==")?;
            holds_value(&found, path, "AP8Qgg==")
        });
    }
    for format in ["tlv", "senml-json", "senml-cbor", "text", "cbor"] {
        report.case(&format!("{who}/write/link-list/{format}"), || {
            side.reset()?;
            let list = "</3442>,</3442/0>;pmin=5";
            let write = json!({"op": "write", "path": "/3442/0/180", "format": format, "value": list});
            side.expect(write, "2.04")?;
            holds_value(&side.read("/3442/0/180", "tlv")?, "/3442/0/180", list)
        });
    }
}

/// A Replace of the instance gives a multiple resource other instances, and none at all.
fn multiple_resources(side: &mut dyn Side, format: &str) -> Check {
    side.reset()?;
    let mut replace = |resources: Value| {
        let write = json!({"op": "write", "path": "/3442/0", "format": format, "resources": resources});
        side.expect(write, "2.04")?;
        side.read("/3442/0", "tlv")
    };
    let found = replace(json!({"1110": {"0": "one", "1": "two"}, "1120": {"0": 11, "1": 22}}))?;
    holds_value(&found, "/3442/0/1110/1", "two")?;
    holds_value(&found, "/3442/0/1120/1", "22")?;
    let found = replace(json!({"1110": {"3": "new"}}))?;
    holds_value(&found, "/3442/0/1110/3", "new")?;
    let left = found.keys().filter(|path| path.starts_with("/3442/0/1110/")).count();
    same("instances of /3442/0/1110", &left, &1)?;
    holds(!found.contains_key("/3442/0/1120/0"), || "Replace left /3442/0/1120/0 in place".to_owned())?;
    side.write("/3442/0/1110", json!({}))?;
    let found = side.read("/3442/0", "tlv")?;
    let left = found.keys().filter(|path| path.starts_with("/3442/0/1110/")).count();
    same("instances after an empty Replace", &left, &0)
}

fn creates(side: &mut dyn Side, who: &str, report: &mut Report) {
    for format in MULTIPLE {
        report.case(&format!("{who}/create/two-instances/{format}"), || {
            let resources = |value: u16| json!({"resources": {"120": value}});
            let instances = json!({"12": resources(123), "13": resources(124)});
            let create = json!({"op": "create", "path": "/3442", "format": format, "instances": instances});
            side.expect(create, "2.01")?;
            let found = side.read("/3442", "tlv");
            for instance in [12, 13] {
                side.expect(json!({"op": "delete", "path": format!("/3442/{instance}")}), "2.02")?;
            }
            let found = found?;
            holds_value(&found, "/3442/12/120", "123")?;
            holds_value(&found, "/3442/13/120", "124")
        });
        report.case(&format!("{who}/create/without-mandatory-resources/{format}"), || {
            // Of Portfolio, 0 Identity is mandatory; of Access Control, 0, 1 and 3 are, which on our device no server
            // may create.
            let (object, lacking) =
                if side.ours() { ("/16", json!({"3": 1})) } else { ("/2", json!({"0": 12})) };
            let before = side.read(object, "tlv")?;
            // An instance without any resource has no form in SenML; our server says so itself.
            let inexpressible = !side.ours() && format != "tlv";
            for (instance, resources) in [(5, json!({})), (6, lacking)].into_iter().skip(inexpressible.into())
            {
                let create = json!({"op": "create", "path": object, "instance": instance, "format": format,
                    "resources": resources, "check": "none"});
                side.expect(create, "4.00")?;
            }
            same("what the object holds", &side.read(object, "tlv")?, &before)
        });
    }
}

fn arguments(side: &mut dyn Side, who: &str, report: &mut Report) {
    report.case(&format!("{who}/execute/with-and-without-arguments"), || {
        side.expect(json!({"op": "execute", "path": "/3442/0/3"}), "2.04")?;
        side.expect(json!({"op": "execute", "path": "/3442/0/3", "arguments": "0='a',7"}), "2.04")?;
        let found = side.read("/3442/0/4", "tlv")?;
        holds_value(&found, "/3442/0/4/0", "a")?;
        holds_value(&found, "/3442/0/4/7", "")
    });
}

/// What must be refused, with the code that our device gives and the one that Leshan's gives where it differs.
fn refusals(side: &mut dyn Side, who: &str, report: &mut Report) {
    let op = |op: &str, path: &str| json!({"op": op, "path": path});
    let write = |path: &str, value: Value| json!({"op": "write", "path": path, "value": value});
    let cases: Vec<(&str, Value, &str, &str)> = vec![
        ("read/not-readable", op("read", "/3442/0/0"), "4.05", "4.05"),
        ("read/missing-object", op("read", "/50"), "4.04", "4.04"),
        ("read/missing-instance", op("read", "/3/1"), "4.04", "4.04"),
        ("read/missing-resource", op("read", "/3/0/50"), "4.04", "4.04"),
        ("read/security", op("read", "/0/0/0"), "4.01", "4.04"),
        ("write/not-writable", write("/3/0/0", json!("x")), "4.05", "4.05"),
        ("write/security", write("/0/0/0", json!("coap://new.dest")), "4.01", "4.04"),
        (
            "write/replace-lacks-a-mandatory-resource",
            json!({"op": "write", "path": "/1/0", "format": "tlv", "resources": {"1": 60, "2": 10}}),
            // The standard is silent; our device keeps mandatory resources that a Replace leaves out.
            "2.04",
            "4.00",
        ),
        (
            "create/single-mandatory-object",
            json!({"op": "create", "path": "/3", "format": "tlv", "resources": {"15": "Europe/Paris"}}),
            "4.05",
            "4.00",
        ),
        (
            "create/security",
            json!({"op": "create", "path": "/0", "format": "tlv", "resources": {"0": "coap://new.dest"}}),
            "4.01",
            "4.04",
        ),
        (
            "create/absent-object",
            json!({"op": "create", "path": "/50", "format": "tlv", "resources": {}}),
            "4.04",
            "4.04",
        ),
        ("delete/unknown-instance", op("delete", "/2/0"), "4.04", "4.04"),
        ("delete/device", op("delete", "/3/0"), "4.05", "4.05"),
        ("delete/security", op("delete", "/0/0"), "4.01", "4.04"),
        ("execute/read-only", op("execute", "/3/0/0"), "4.05", "4.05"),
        ("execute/read-write", op("execute", "/3442/0/110"), "4.05", "4.05"),
        ("execute/missing-resource", op("execute", "/3/0/9999"), "4.04", "4.04"),
        ("execute/missing-object", op("execute", "/9999/0/0"), "4.04", "4.04"),
        ("execute/security", op("execute", "/0/0/0"), "4.01", "4.04"),
        ("discover/missing-object", op("discover", "/4242"), "4.04", "4.04"),
        ("discover/missing-instance", op("discover", "/3/1"), "4.04", "4.04"),
        ("discover/resource-of-a-missing-object", op("discover", "/4242/0/0"), "4.04", "4.04"),
        ("discover/resource-of-a-missing-instance", op("discover", "/3/1/0"), "4.04", "4.04"),
        ("discover/missing-resource-of-a-missing-instance", op("discover", "/3/1/50"), "4.04", "4.04"),
        ("discover/missing-resource", op("discover", "/3/0/4242"), "4.04", "4.04"),
    ];
    for (name, order, ours, theirs) in cases {
        report.case(&format!("{who}/refused/{name}"), || {
            let code = if side.ours() { ours } else { theirs };
            // Our server would refuse some of it before it sends.
            let mut order = order.clone();
            order["check"] = json!("none");
            side.expect(order, code).map(drop)
        });
    }
}

fn discovers(side: &mut dyn Side, who: &str, report: &mut Report) {
    report.case(&format!("{who}/discover/multiple-resource"), || {
        side.reset()?;
        side.write("/3442/0/1120", json!({"0": 1, "4": 2, "5": 3}))?;
        let links = side.discover("/3442/0/1120")?;
        let mut wanted = vec!["</3442/0/1120>;dim=3"];
        // Up to 1.1 our Discover of a resource ends there.
        if !side.ours() {
            wanted.extend(["</3442/0/1120/0>", "</3442/0/1120/4>", "</3442/0/1120/5>"]);
        }
        same("links", &links.iter().map(String::as_str).collect::<Vec<_>>(), &wanted)
    });
    report.case(&format!("{who}/discover/single-resource"), || {
        same("links", &side.discover("/3/0/1")?, &vec!["</3/0/1>".to_owned()])
    });
    for path in ["/3", "/3/0"] {
        report.case(&format!("{who}/discover{path}"), || {
            let links = side.discover(path)?;
            let readable = side.read(path, "tlv")?;
            let listed = |of: &String| {
                let resource: Vec<&str> = of.split('/').take(4).collect();
                let start = format!("<{}>", resource.join("/"));
                links.iter().any(|link| link.starts_with(&start))
            };
            let missing: Vec<&String> = readable.keys().filter(|path| !listed(path)).collect();
            holds(missing.is_empty(), || format!("{missing:?} is not among {links:?}"))
        });
    }
}

/// The number that TLV had before it was registered: a device takes it still. That of JSON is as little known to a
/// device of 1.1 as the registered one.
fn old_formats(side: &mut dyn Side, who: &str, report: &mut Report) {
    for (number, code) in [("1542", "2.04"), ("1543", "4.15")] {
        report.case(&format!("{who}/write/old-number-{number}"), || {
            side.reset()?;
            let resources = json!({"110": "old", "120": 15});
            let write = json!({"op": "write", "path": "/3442/0", "update": true, "format": number,
                "resources": resources});
            side.expect(write, code)?;
            if code != "2.04" {
                return Ok(());
            }
            let found = side.read("/3442/0", "tlv")?;
            holds_value(&found, "/3442/0/110", "old")?;
            holds_value(&found, "/3442/0/120", "15")
        });
    }
}
