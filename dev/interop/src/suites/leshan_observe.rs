//! Observe at each level with Leshan's library on the other side each way, and every way in which it ends.

use super::{World, start};
use crate::process::{eventually, pause};
use crate::relay;
use crate::report::{Check, Report, holds, same};
use crate::sides::{Ours, SOON, Side, Theirs, holds_value};
use serde_json::{Value, json};
use std::time::Duration;

const MULTIPLE: [&str; 3] = ["tlv", "senml-json", "senml-cbor"];
const QUIET: Duration = Duration::from_millis(300);

/// A device on Leshan's library at our server.
pub(crate) fn their_device(world: &World, report: &mut Report) {
    const NAME: &str = "leshan-observe-device";
    let started =
        start(report, &format!("{NAME}/registers"), || Theirs::start(world, NAME, relay::unchanged));
    let Some(mut side) = started else { return };
    run(&mut side, NAME, report);
    report.case(&format!("{NAME}/server-forgets/single-and-composite"), || forgotten(&mut side, NAME));
}

/// Our device at a server on Leshan's library.
pub(crate) fn their_server(world: &World, report: &mut Report) {
    const NAME: &str = "leshan-observe-server";
    let started =
        start(report, &format!("{NAME}/registers"), || Ours::start(world, NAME, &["--lwm2m", "1.1"]));
    let Some(mut side) = started else { return };
    run(&mut side, NAME, report);
    passive(&mut side, NAME, report);
}

const LEVELS: [(&str, &str); 4] = [
    ("object", "/3442"),
    ("instance", "/3442/0"),
    ("resource", "/3442/0/1110"),
    ("resource-instance", "/3442/0/1110/0"),
];

fn run(side: &mut dyn Side, who: &str, report: &mut Report) {
    for format in MULTIPLE {
        for (level, path) in LEVELS {
            report.case(&format!("{who}/observe/{level}/{format}"), || observes(side, path, format));
        }
    }
    report.case(&format!("{who}/deleted-under-observation/instance"), || {
        let create = json!({"op": "create", "path": "/3442", "format": "tlv", "instance": 7,
            "resources": {"120": 1}});
        side.expect(create, "2.01")?;
        ends(side, "/3442/7", |side| {
            side.expect(json!({"op": "delete", "path": "/3442/7"}), "2.02").map(drop)
        })
    });
    report.case(&format!("{who}/deleted-under-observation/resource-instance"), || {
        side.reset()?;
        ends(side, "/3442/0/1110/0", |side| side.write("/3442/0/1110", json!({"1": "another"})))
    });
}

fn observes(side: &mut dyn Side, path: &str, format: &str) -> Check {
    side.reset()?;
    side.forget();
    let at = "/3442/0/1110/0";
    let first = side.expect(json!({"op": "observe", "path": path, "format": format}), "2.05")?;
    holds_value(&first.values, at, "initial value")?;
    for value in ["a new string", "another"] {
        side.write("/3442/0/1110", json!({"0": value}))?;
        holds_value(&side.notified(path, SOON)?.values, at, value)?;
    }
    let whole = side.read(path, format)?;
    side.expect(json!({"op": "cancel", "path": path}), "2.05")?;
    side.forget();
    side.write("/3442/0/1110", json!({"0": "unseen"}))?;
    side.silent(path, QUIET)?;
    holds_value(&whole, at, "another")
}

/// The observed node goes away: the device says so once, with 4.04, and both sides drop the observation.
fn ends(side: &mut dyn Side, path: &str, delete: impl FnOnce(&mut dyn Side) -> Check) -> Check {
    side.forget();
    side.expect(json!({"op": "observe", "path": path}), "2.05")?;
    delete(side)?;
    let told = side.notified(path, SOON)?;
    if side.ours() {
        same("code of the last notification", &told.code.as_str(), &"4.04")?;
    }
    let before = side.relay().contents();
    pause(QUIET);
    side.reset()?;
    pause(QUIET);
    same("notifications after the last one", &(side.relay().contents() - before), &0)?;
    side.ask(json!({"op": "cancel", "path": path})).map(drop)
}

/// Leshan's server drops an observation without a word and answers the next notification with a Reset.
fn passive(side: &mut Ours, who: &str, report: &mut Report) {
    for (level, path) in LEVELS {
        report.case(&format!("{who}/cancelled-by-reset/{level}"), || {
            side.reset()?;
            side.expect(json!({"op": "observe", "path": path}), "2.05")?;
            let cancel = json!({"op": "cancel-passive", "path": path});
            side.server.order(cancel)?;
            resets(side, |side, value| side.write("/3442/0/1110", json!({"0": value})))
        });
    }
    report.case(&format!("{who}/cancelled-by-reset/composite"), || {
        side.reset()?;
        let paths = json!(["/3442/0/1110", "/3442/0/120"]);
        side.expect(json!({"op": "observe-composite", "format": "senml-cbor", "paths": paths}), "2.05")?;
        side.server.order(json!({"op": "cancel-composite-passive", "paths": paths}))?;
        resets(side, |side, value| side.write("/3442/0/1110", json!({"0": value})))
    });
}

/// One notification meets the Reset; after it there is none.
fn resets(side: &mut dyn Side, write: impl Fn(&mut dyn Side, Value) -> Check) -> Check {
    let (before, resets) = (side.relay().contents(), side.relay().resets());
    write(side, json!("met by a Reset"))?;
    reset_after(side, resets)?;
    same("notifications until the Reset", &(side.relay().contents() - before), &1)?;
    for value in ["unseen", "unseen, too"] {
        write(side, json!(value))?;
        pause(QUIET);
    }
    same("notifications after it", &(side.relay().contents() - before), &1)
}

/// Waits until the server sent one more Reset than so many.
fn reset_after(side: &dyn Side, before: usize) -> Check {
    eventually(SOON, || holds(side.relay().resets() > before, || "no Reset came from the server".to_owned()))
}

/// Our server forgets the registration, and with it what it observed: what the device still sends gets a Reset. When the
/// device registers anew, what is wanted runs again.
fn forgotten(side: &mut Theirs, name: &str) -> Check {
    side.reset()?;
    let path = "/3442/0/120";
    side.expect(json!({"op": "attributes", "path": path, "query": "pmax=1"}), "2.04")?;
    side.expect(json!({"op": "observe", "path": path}), "2.05")?;
    side.notified(path, SOON)?;
    let resets = side.relay().resets();
    same("DELETE", &side.serve.rest.send("DELETE", &format!("endpoints/{name}"), None)?.status, &204)?;
    reset_after(side, resets)?;
    // The device may have begun another one while the Reset was on its way.
    pause(QUIET);
    let before = side.relay().contents();
    pause(Duration::from_millis(1600));
    same("notifications after the Reset", &(side.relay().contents() - before), &0)?;
    side.device.process.tell("update")?;
    side.serve.registered(name, SOON)?;
    side.forget();
    side.notified(path, SOON).map(drop)
}
