//! Composite operations at every level and in every pair of formats, with Leshan's library on the other side each way.

use super::{World, start};
use crate::process::pause;
use crate::relay;
use crate::report::{Check, Report, holds, same};
use crate::sides::{Ours, SOON, Side, Theirs, holds_value};
use serde_json::{Value, json};
use std::time::Duration;

const QUIET: Duration = Duration::from_millis(300);

/// Formats of the list of paths and of the answer.
const PAIRS: [(&str, &str); 4] = [
    ("senml-json", "senml-json"),
    ("senml-cbor", "senml-cbor"),
    ("senml-json", "senml-cbor"),
    ("senml-cbor", "senml-json"),
];

/// A device on Leshan's library at our server.
pub(crate) fn their_device(world: &World, report: &mut Report) {
    const NAME: &str = "leshan-composites-device";
    let started =
        start(report, &format!("{NAME}/registers"), || Theirs::start(world, NAME, relay::unchanged));
    let Some(mut side) = started else { return };
    run(&mut side, NAME, report);
}

/// Our device at a server on Leshan's library.
pub(crate) fn their_server(world: &World, report: &mut Report) {
    const NAME: &str = "leshan-composites-server";
    let started =
        start(report, &format!("{NAME}/registers"), || Ours::start(world, NAME, &["--lwm2m", "1.1"]));
    let Some(mut side) = started else { return };
    run(&mut side, NAME, report);
}

fn run(side: &mut dyn Side, who: &str, report: &mut Report) {
    // Our server asks in the format that it wants to be answered in.
    let pairs = if side.ours() { &PAIRS[..] } else { &PAIRS[..2] };
    for (list, answer) in pairs {
        reads(side, who, report, list, answer);
    }
    for format in ["senml-json", "senml-cbor"] {
        writes(side, who, report, format);
    }
    for (list, answer) in pairs {
        observes(side, who, report, list, answer);
    }
    unrelated(side, who, report);
}

fn composite(op: &str, list: &str, answer: &str, paths: &Value) -> Value {
    json!({"op": op, "format": list, "answer": answer, "paths": paths})
}

fn reads(side: &mut dyn Side, who: &str, report: &mut Report, list: &str, answer: &str) {
    report.case(&format!("{who}/read/root/{list}/{answer}"), || {
        side.reset()?;
        let found = side.expect(composite("read-composite", list, answer, &json!(["/"])), "2.05")?.values;
        for path in ["/1/0", "/3/0", "/3303/0", "/3442/0"] {
            let alone = side.read(path, "tlv")?;
            holds(!alone.is_empty(), || format!("{path} reads as nothing"))?;
            // What the clock or the machine moves may differ; its path must be there.
            let missing = alone.keys().find(|path| !found.contains_key(*path));
            holds(missing.is_none(), || format!("{missing:?} is not in the root"))?;
        }
        holds_value(&found, "/3442/0/110", "initial value")?;
        holds(!found.keys().any(|path| path.starts_with("/0/")), || "the root shows /0".to_owned())
    });
    let cases = [
        ("resources", json!(["/3442/0/110", "/1/0/1"]), json!(["/3442/0/110", "/1/0/1"])),
        ("resource-instance", json!(["/3442/0/1120/0"]), json!(["/3442/0/1120/0"])),
        (
            "object-instance-resource-and-resource-instance",
            json!(["/3303", "/3/0", "/3442/0/120", "/3442/0/1110/0"]),
            json!(["/3303/0/5700", "/3/0/0", "/3442/0/120", "/3442/0/1110/0"]),
        ),
    ];
    for (name, paths, expected) in cases {
        report.case(&format!("{who}/read/{name}/{list}/{answer}"), || {
            side.reset()?;
            let found = side.expect(composite("read-composite", list, answer, &paths), "2.05")?.values;
            for path in expected.as_array().into_iter().flatten().filter_map(Value::as_str) {
                holds(found.contains_key(path), || format!("{path} is not in {found:?}"))?;
            }
            Ok(())
        });
    }
}

fn writes(side: &mut dyn Side, who: &str, report: &mut Report, format: &str) {
    let cases = [
        ("resources", json!({"/3442/0/110": "+02", "/1/0/1": 3500})),
        ("resource-and-resource-instance", json!({"/3442/0/110": "+03", "/3442/0/1110/0": "other"})),
        ("adds-resource-instances", json!({"/3442/0/1110/5": "added", "/3442/0/1120/9": 99})),
    ];
    for (name, values) in cases {
        report.case(&format!("{who}/write/{name}/{format}"), || {
            side.reset()?;
            side.expect(json!({"op": "write-composite", "format": format, "values": values}), "2.04")?;
            for (path, value) in values.as_object().into_iter().flatten() {
                let text = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
                holds_value(&side.read(path, "senml-cbor")?, path, &text)?;
            }
            // Nothing that was not named goes away.
            holds_value(&side.read("/3442/0/1120", "tlv")?, "/3442/0/1120/0", "1024")
        });
    }
    report.case(&format!("{who}/write/is-notified-once/{format}"), || {
        side.reset()?;
        side.forget();
        side.expect(json!({"op": "observe", "path": "/3442/0"}), "2.05")?;
        let values = json!({"/3442/0/110": "+11", "/3442/0/120": 5});
        side.expect(json!({"op": "write-composite", "format": format, "values": values}), "2.04")?;
        // A device may tell each of the two; the last one has both.
        let mut last = side.notified("/3442/0", SOON)?.values;
        while let Ok(more) = side.notified("/3442/0", QUIET) {
            last = more.values;
        }
        side.expect(json!({"op": "cancel", "path": "/3442/0"}), "2.05")?;
        holds_value(&last, "/3442/0/110", "+11")?;
        holds_value(&last, "/3442/0/120", "5")
    });
}

fn observes(side: &mut dyn Side, who: &str, report: &mut Report, list: &str, answer: &str) {
    let cases = [
        ("single-resource", json!(["/3442/0/110"])),
        ("several-resources", json!(["/3442/0/110", "/3442/0/120", "/3/0/0"])),
        ("instance", json!(["/3442/0"])),
        ("object", json!(["/3442"])),
        ("root", json!(["/"])),
    ];
    for (name, paths) in cases {
        report.case(&format!("{who}/observe/{name}/{list}/{answer}"), || {
            side.reset()?;
            pause(QUIET);
            side.forget();
            let first = side.expect(composite("observe-composite", list, answer, &paths), "2.05")?.values;
            holds_value(&first, "/3442/0/110", "initial value")?;
            let outcome = tells_everything(side, &first);
            side.expect(json!({"op": "cancel-composite"}), "2.05")?;
            outcome?;
            side.forget();
            let before = side.relay().contents();
            side.write("/3442/0/110", json!("unseen"))?;
            pause(QUIET);
            same("notifications after the cancellation", &(side.relay().contents() - before), &0)
        });
    }
}

/// Each change brings a notification with every path of the first answer.
fn tells_everything(side: &mut dyn Side, first: &crate::sides::Values) -> Check {
    for value in ["one", "two"] {
        side.write("/3442/0/110", json!(value))?;
        let told = loop {
            // At the root other values move by themselves.
            let told = side.notified("", SOON)?.values;
            if told.get("/3442/0/110").is_some_and(|found| found == value) {
                break told;
            }
        };
        let missing = first.keys().find(|path| !told.contains_key(*path));
        holds(missing.is_none(), || format!("{missing:?} is missing in {told:?}"))?;
    }
    Ok(())
}

fn unrelated(side: &mut dyn Side, who: &str, report: &mut Report) {
    report.case(&format!("{who}/observe/unrelated-change-is-not-told"), || {
        side.reset()?;
        side.forget();
        let paths = json!(["/3442/0/110", "/3442/0/130"]);
        side.expect(composite("observe-composite", "senml-cbor", "senml-cbor", &paths), "2.05")?;
        side.write("/3442/0/120", json!(77))?;
        let outcome = side.silent("", Duration::from_secs(1));
        side.expect(json!({"op": "cancel-composite"}), "2.05")?;
        outcome
    });
}
