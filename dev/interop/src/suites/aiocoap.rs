//! aiocoap as a device at our server and as a server for our device: block-wise both ways, Observe.

use super::{World, start};
use crate::lightship::{Device, Serve};
use crate::ports::at_free_port;
use crate::process::{Process, eventually};
use crate::report::{Check, Report, holds, same};
use crate::tools;
use serde_json::{Value, json};
use std::process::Command;
use std::time::Duration;

const SOON: Duration = Duration::from_secs(30);
/// More than one block in either direction.
const LARGE: usize = 4000;

/// Runs the suite.
pub(crate) fn run(world: &World, report: &mut Report) {
    as_device(world, report);
    as_server(world, report);
}

fn script(world: &World, name: &str, arguments: &[&str]) -> Result<Process, String> {
    let mut command = Command::new(tools::python_with_aiocoap(&world.folders)?);
    command.arg(world.folders.source.join("aiocoap").join(name)).args(arguments);
    Process::start(command, &world.program.logs.join(format!("aiocoap-{name}.log")))
}

fn says(process: &mut Process, start: &str) -> Result<String, String> {
    process.wait_for(start, SOON, |line| line.starts_with(start).then(|| line.to_owned()))
}

fn as_device(world: &World, report: &mut Report) {
    let started = start(report, "aiocoap-device/registers-in-blocks", || {
        let serve = Serve::start(&world.program, "serve-aiocoap", &[])?;
        let mut device = script(world, "device.py", &[&format!("coap://{}", serve.coap), "aiocoap"])?;
        holds(says(&mut device, "registered")?.starts_with("registered 2.01"), || "refused".to_owned())?;
        let objects = serve.registered("aiocoap", SOON)?["objects"].to_string();
        holds(objects.contains("/10250/119"), || format!("the list is cut: {objects}"))?;
        Ok((serve, device))
    });
    let Some((serve, mut device)) = started else { return };
    let operate = |method: &str, path: &str, body: Option<&Value>, code: &str| {
        serve.rest.operate(method, &format!("endpoints/aiocoap/{path}"), body, code)
    };
    for format in ["text", "senml-json"] {
        report.case(&format!("aiocoap-device/reads/{format}"), || {
            let answer = operate("GET", &format!("resources/3/0/0?format={format}"), None, "2.05")?;
            same("value", &answer["content"]["value"], &json!("aiocoap"))
        });
        report.case(&format!("aiocoap-device/reads-in-blocks/{format}"), || {
            device.tell("fill a5000")?;
            says(&mut device, "filled")?;
            let answer = operate("GET", &format!("resources/3442/0/110?format={format}"), None, "2.05")?;
            same("value", &answer["content"]["value"], &json!("a".repeat(5000)))
        });
    }
    report.case("aiocoap-device/not-acceptable", || {
        operate("GET", "resources/3/0/0?format=tlv", None, "4.06").map(drop)
    });
    report.case("aiocoap-device/writes-in-blocks", || {
        let body = json!({"value": "w".repeat(LARGE)});
        operate("PUT", "resources/3442/0/110?format=text", Some(&body), "2.04")?;
        let answer = operate("GET", "resources/3442/0/110?format=text", None, "2.05")?;
        same("value", &answer["content"]["value"], &body["value"])
    });
    report.case("aiocoap-device/executes", || {
        operate("POST", "execute/3/0/4", Some(&json!({"arguments": "0='now'"})), "2.04")?;
        same("argument", &says(&mut device, "executed")?.as_str(), &"executed 0='now'")
    });
    report.case("aiocoap-device/observes", || {
        operate("PUT", "observations/3303/0/5700?format=senml-json", None, "2.05")?;
        for value in [21.5, 22.25, -4.0] {
            device.tell(&format!("set {value}"))?;
            last_value(&serve, "/3303/0/5700", &json!(value))?;
        }
        operate("DELETE", "observations/3303/0/5700", None, "2.05").map(drop)
    });
    report.case("aiocoap-device/updates-and-deregisters", || {
        device.tell("update")?;
        same("Update", &says(&mut device, "updated")?.as_str(), &"updated 2.04")?;
        device.tell("quit")?;
        same("De-register", &says(&mut device, "deregistered")?.as_str(), &"deregistered 2.02")?;
        serve.gone("aiocoap", SOON)
    });
}

fn last_value(serve: &Serve, path: &str, value: &Value) -> Check {
    eventually(SOON, || {
        let answer = serve.rest.get("endpoints/aiocoap/observations")?;
        let items = answer.body["items"].as_array().cloned().unwrap_or_default();
        let item = items.into_iter().find(|item| item["path"] == path).ok_or(format!("no {path}"))?;
        let found = &item["content"][0]["value"];
        holds(found == value, || format!("last value is {:.80}", found.to_string()))
    })
}

struct Judge {
    server: Process,
    device: Device,
}

impl Judge {
    fn start(world: &World) -> Result<Self, String> {
        let (port, mut server) = at_free_port(|port| {
            let mut server = script(world, "server.py", &[&port.to_string()])?;
            server.wait_for("ready", SOON, |line| line.contains("ready").then_some(()))?;
            Ok((port, server))
        })?;
        let uri = format!("coap://127.0.0.1:{port}");
        let mut device = Device::start(&world.program, &uri, "for-aiocoap", &["--lifetime", "3600"])?;
        let line = server
            .wait_for("registered", SOON, |line| line.contains("registered").then(|| line.to_owned()))?;
        device.event("registered", SOON)?;
        for part in ["\"lt\": \"3600\"", "</3/0>", "</3442/0>"] {
            holds(line.contains(part), || format!("{part} is not in {line}"))?;
        }
        Ok(Self { server, device })
    }

    fn order(&mut self, order: &Value) -> Result<Value, String> {
        self.server.tell(&order.to_string())?;
        self.server.wait_for("answer", Duration::from_secs(35), |line| {
            serde_json::from_str(line).ok().filter(|line: &Value| line["event"].is_null())
        })
    }

    fn expect(&mut self, order: &Value, code: &str) -> Result<Value, String> {
        let answer = self.order(order)?;
        holds(answer["code"] == code, || format!("{}: expected {code}, got {answer}", order["path"]))?;
        Ok(answer)
    }

    fn notified(&mut self, value: &str) -> Check {
        self.device.obey(&format!("set /3303/0/5700 {value}"))?;
        let event: Value = self.server.wait_for("notification", SOON, |line| {
            serde_json::from_str(line).ok().filter(|line: &Value| line["event"] == "notified")
        })?;
        same("notified", &event["payload"], &json!(value))
    }
}

fn as_server(world: &World, report: &mut Report) {
    let Some(mut judge) = start(report, "aiocoap-server/registers", || Judge::start(world)) else { return };
    report.case("aiocoap-server/reads", || {
        let answer = judge.expect(&json!({"method": "GET", "path": "/3/0/0", "accept": 0}), "2.05")?;
        same("format", &answer["format"], &json!(0))
    });
    report.case("aiocoap-server/reads-link-format", || {
        let answer = judge.expect(&json!({"method": "GET", "path": "/3/0", "accept": 40}), "2.05")?;
        holds(answer["payload"].to_string().contains("</3/0/0>"), || answer.to_string())
    });
    report.case("aiocoap-server/writes-and-reads-in-blocks", || {
        let text = "b".repeat(LARGE);
        let write = json!({"method": "PUT", "path": "/3442/0/110", "content_format": 0, "payload": text});
        judge.expect(&write, "2.04")?;
        let answer = judge.expect(&json!({"method": "GET", "path": "/3442/0/110", "accept": 0}), "2.05")?;
        same("payload", &answer["payload"], &json!(text))
    });
    report.case("aiocoap-server/observes", || {
        let observe = json!({"method": "GET", "path": "/3303/0/5700", "accept": 0, "observe": true});
        judge.expect(&observe, "2.05")?;
        for value in ["21.5", "22.25", "-4.5"] {
            judge.notified(value)?;
        }
        judge.expect(&json!({"method": "CANCEL", "path": "/3303/0/5700"}), "cancelled").map(drop)
    });
    report.case("aiocoap-server/deregisters", || {
        same("exit code", &judge.device.process.close_and_wait(SOON)?, &0)?;
        judge.server.wait_for("deregistered", SOON, |line| line.contains("deregistered").then_some(()))
    });
}
