//! `lightship load` against a server that is not ours: simulated devices must look like devices to it.

use super::{World, start};
use crate::leshan::LeshanServer;
use crate::ports::at_free_port;
use crate::process::{Process, output_of};
use crate::report::{Check, Report, holds, same};
use crate::tools;
use serde_json::{Value, json};
use std::process::Command;
use std::time::Duration;

const SOON: Duration = Duration::from_secs(30);
/// The key of the device with that number.
const KEY: &str = "000102030405060708090a0b{n:08x}";
const SECURED: u32 = 8;
/// Devices that answer.
const FLEET: u32 = 5;

/// Runs the suite.
pub(crate) fn run(world: &World, report: &mut Report) {
    plain(world, report);
    secured(world, report);
}

fn server(world: &World, flags: &[&str]) -> Result<(u16, LeshanServer), String> {
    let class_path = tools::leshan_class_path(&world.folders)?;
    let logs = &world.program.logs;
    at_free_port(|port| Ok((port, LeshanServer::start_with(&class_path, logs, port, "load-0", flags)?)))
}

fn command(world: &World, uri: &str, more: &[&str]) -> Command {
    let mut command = world.program.command();
    command.args(["load", "--quiet", "--json", "--server", uri, "--threads", "1"]).args(more);
    command
}

/// Runs a load to its end; no answer may be missing or wrong.
fn load(world: &World, uri: &str, more: &[&str]) -> Result<Value, String> {
    let text = output_of(&mut command(world, uri, more))?;
    let summary: Value = serde_json::from_str(&text).map_err(|error| format!("{error}: {text}"))?;
    faultless(&summary)?;
    Ok(summary)
}

fn faultless(summary: &Value) -> Check {
    for kind in ["missing", "wrong", "unfinished"] {
        same(kind, &summary["answers"][kind], &json!(0)).map_err(|error| format!("{error}: {summary}"))?;
    }
    Ok(())
}

/// How often an operation went right in a phase.
fn right(summary: &Value, phase: &str, operation: &str) -> u64 {
    let phases = summary["phases"].as_array().into_iter().flatten();
    let operations =
        phases.filter(|item| item["phase"] == phase).filter_map(|item| item["operations"].as_array());
    operations
        .flatten()
        .find(|item| item["operation"] == operation)
        .and_then(|item| item["right"].as_u64())
        .unwrap_or(0)
}

fn plain(world: &World, report: &mut Report) {
    let Some((port, mut server)) = start(report, "load/starts", || server(world, &[])) else { return };
    let uri = format!("coap://127.0.0.1:{port}");
    report.case("load/everything-is-answered", || {
        let mix = ["--mix", "update=4,change=2,send=2,register=1,rejoin=1", "--rate", "200"];
        let summary = load(world, &uri, &[&["--devices", "200", "--duration", "3s"][..], &mix].concat())?;
        same("registers", &right(&summary, "ramp", "register"), &200)?;
        for operation in ["update", "change", "send", "register", "deregister"] {
            holds(right(&summary, "run", operation) > 0, || format!("no {operation}: {summary}"))?;
        }
        same("de-registers", &right(&summary, "leave", "deregister"), &200)
    });
    report.case("load/with-loss", || {
        let loss = ["--loss", "10", "--ack-timeout", "0.3", "--max-retransmit", "8", "--rate", "100"];
        load(world, &uri, &[&["--devices", "50", "--duration", "3s"][..], &loss].concat()).map(drop)
    });
    server.process.skip_output();
    report.case("load/devices-answer", || answers(world, &uri, &mut server));
}

/// The server reads, writes, executes, discovers and observes while the load runs.
fn answers(world: &World, uri: &str, server: &mut LeshanServer) -> Check {
    let mix =
        ["--mix", "update=1,notify=3", "--rate", "20", "--duration", "1h", "--devices", &FLEET.to_string()];
    let mut fleet = Process::start(command(world, uri, &mix), &world.program.logs.join("load-fleet.log"))?;
    for _ in 0..FLEET {
        server.event("registered", SOON)?;
    }
    for format in ["TLV", "SENML_JSON", "SENML_CBOR"] {
        let answer = server.expect(json!({"op": "read", "path": "/3/0", "format": format}), "2.05")?;
        same("serial number", &answer["content"]["/3/0/2"], &json!("load-0"))?;
    }
    server.expect(json!({"op": "discover", "path": "/3303"}), "2.05")?;
    server.expect(json!({"op": "execute", "path": "/3/0/5"}), "2.04")?;
    server.expect(json!({"op": "observe", "path": "/3303/0/5700", "format": "SENML_CBOR"}), "2.05")?;
    let reported = |server: &mut LeshanServer| {
        let overtaken =
            std::mem::take(&mut server.overtaken).into_iter().find(|event| event["event"] == "notified");
        overtaken.map_or_else(|| server.event("notified", SOON), Ok)
    };
    let first = reported(server)?;
    let second = server.event("notified", SOON)?;
    holds(first != second, || format!("the same twice: {first}"))?;
    let mut interrupt = Command::new("kill");
    output_of(interrupt.args(["-INT", &fleet.id().to_string()]))?;
    let mut text = String::new();
    let summary = fleet.wait_for("summary", SOON, |line| {
        text.push_str(line);
        serde_json::from_str::<Value>(&text).ok()
    })?;
    faultless(&summary)?;
    for (operation, least) in [("read", 3), ("discover", 1), ("execute", 1), ("observe", 1)] {
        let count = summary["downlink"][operation].as_u64().unwrap_or(0);
        holds(count >= least, || format!("{count} × {operation}: {summary}"))?;
    }
    holds(right(&summary, "run", "notify") >= 2, || format!("no notifications: {summary}"))
}

fn secured(world: &World, report: &mut Report) {
    let started = start(report, "load/starts-secured", || {
        let (port, mut server) = server(world, &["93000", "coaps"])?;
        for number in 0..SECURED {
            let name = format!("load-{number}");
            server.set_endpoint(&name);
            let key = format!("000102030405060708090a0b{number:08x}");
            server.order(json!({"op": "credential", "identity": name, "key": key}))?;
        }
        Ok((format!("coaps://127.0.0.1:{port}"), server))
    });
    let Some((uri, _server)) = started else { return };
    report.case("load/over-dtls", || {
        let count = SECURED.to_string();
        let flags =
            ["--devices", &count, "--psk-key", KEY, "--rate", "100", "--duration", "3s", "--loss", "5"];
        let patience = ["--ack-timeout", "0.3", "--max-retransmit", "8"];
        let summary = load(world, &uri, &[&flags[..], &patience].concat())?;
        same("handshakes", &right(&summary, "ramp", "handshake"), &u64::from(SECURED))?;
        holds(right(&summary, "run", "update") > 0, || format!("no Updates: {summary}"))
    });
}
