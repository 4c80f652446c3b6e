//! LwM2M JSON (11543), the second format of LwM2M 1.0, with Leshan's library on the other side each way.
//!
//! Leshan's device always registers as one of 1.1; a relay makes it say 1.0, since nobody else may be sent this format.

use super::{World, start};
use crate::relay;
use crate::report::{Report, holds, same};
use crate::sides::{Ours, SOON, Side, Theirs, holds_value};
use serde_json::{Value, json};

/// A device on Leshan's library at our server.
pub(crate) fn their_device(world: &World, report: &mut Report) {
    const NAME: &str = "leshan-json-device";
    let started = start(report, &format!("{NAME}/registers"), || {
        let side = Theirs::start(world, NAME, relay::as_version_1_0)?;
        same("lwm2m_version", &side.registration()?["lwm2m_version"], &json!("1.0"))?;
        Ok(side)
    });
    let Some(mut side) = started else { return };
    run(&mut side, NAME, report);
}

/// Our device at a server on Leshan's library.
pub(crate) fn their_server(world: &World, report: &mut Report) {
    const NAME: &str = "leshan-json-server";
    let started = start(report, &format!("{NAME}/registers"), || {
        // Versions in quotation marks, as 1.0 wants them, are nothing that Leshan's server knows.
        Ours::start_through(world, NAME, &["--lwm2m", "1.0"], relay::without_quotes)
    });
    let Some(mut side) = started else { return };
    run(&mut side, NAME, report);
    for number in ["1542", "1543"] {
        report.case(&format!("{NAME}/write/old-number-{number}"), || {
            side.reset()?;
            let write = json!({"op": "write", "path": "/3442/0", "update": true, "format": number,
                "resources": {"110": "old", "120": 15}});
            side.expect(write, "2.04")?;
            let found = side.read("/3442/0", "json")?;
            holds_value(&found, "/3442/0/110", "old")?;
            holds_value(&found, "/3442/0/120", "15")
        });
    }
}

fn run(side: &mut dyn Side, who: &str, report: &mut Report) {
    let typed: [(u16, &str, Value, &str); 7] = [
        (110, "string", json!("Grüße, \"世界\""), "Grüße, \"世界\""),
        (120, "integer", json!(-70000), "-70000"),
        (130, "float", json!(-0.25), "-0.25"),
        (140, "boolean", json!(false), "false"),
        (150, "opaque", json!("AP8Qgg=="), "AP8Qgg=="),
        (160, "time", json!(1_700_000_000), "1700000000"),
        (170, "objlnk", json!("3303:0"), "3303:0"),
    ];
    for (id, kind, value, text) in typed {
        report.case(&format!("{who}/write-and-read/{kind}"), || {
            side.reset()?;
            let path = format!("/3442/0/{id}");
            side.expect(json!({"op": "write", "path": path, "format": "json", "value": value}), "2.04")?;
            holds_value(&side.read(&path, "tlv")?, &path, text)?;
            holds_value(&side.read(&path, "json")?, &path, text)
        });
    }
    for path in ["/3442", "/3442/0", "/3442/0/1120", "/3/0"] {
        report.case(&format!("{who}/read/agrees-with-tlv{path}"), || {
            side.reset()?;
            let (json, tlv) = (side.read(path, "json")?, side.read(path, "tlv")?);
            same("paths", &json.keys().collect::<Vec<_>>(), &tlv.keys().collect::<Vec<_>>())?;
            let moves = |path: &&String| !path.starts_with("/3/0/13");
            let differing = json.iter().find(|(path, value)| moves(path) && tlv.get(*path) != Some(*value));
            holds(differing.is_none(), || format!("{differing:?} differs from TLV"))
        });
    }
    report.case(&format!("{who}/write/partial-update"), || {
        side.reset()?;
        let write = json!({"op": "write", "path": "/3442/0", "update": true, "format": "json",
            "resources": {"110": "partly", "1120": {"3": 33}}});
        side.expect(write, "2.04")?;
        let found = side.read("/3442/0", "json")?;
        holds_value(&found, "/3442/0/110", "partly")?;
        holds_value(&found, "/3442/0/1120/3", "33")?;
        holds_value(&found, "/3442/0/120", "1024")
    });
    report.case(&format!("{who}/write/replace"), || {
        side.reset()?;
        let write = json!({"op": "write", "path": "/3442/0", "format": "json", "resources": {"110": "only"}});
        side.expect(write, "2.04")?;
        let found = side.read("/3442/0", "json")?;
        holds_value(&found, "/3442/0/110", "only")?;
        holds(!found.contains_key("/3442/0/120"), || "Replace left /3442/0/120 in place".to_owned())
    });
    report.case(&format!("{who}/create-and-delete"), || {
        let create = json!({"op": "create", "path": "/3442", "format": "json", "instance": 6,
            "resources": {"110": "made"}});
        side.expect(create, "2.01")?;
        holds_value(&side.read("/3442/6", "json")?, "/3442/6/110", "made")?;
        side.expect(json!({"op": "delete", "path": "/3442/6"}), "2.02").map(drop)
    });
    for (level, path) in [("object", "/3442"), ("instance", "/3442/0"), ("resource", "/3442/0/120")] {
        report.case(&format!("{who}/observe/{level}"), || {
            side.reset()?;
            side.forget();
            let first = side.expect(json!({"op": "observe", "path": path, "format": "json"}), "2.05")?;
            holds_value(&first.values, "/3442/0/120", "1024")?;
            side.write("/3442/0/120", json!(7))?;
            holds_value(&side.notified(path, SOON)?.values, "/3442/0/120", "7")?;
            side.expect(json!({"op": "cancel", "path": path}), "2.05").map(drop)
        });
    }
}
