//! `lightship ctl`: every operation from the shell, on our device and on Leshan's, with the exit codes of the contract.

use super::{World, start};
use crate::leshan::LeshanDevice;
use crate::lightship::{Device, Serve};
use crate::process::{Process, eventually, output_of};
use crate::report::{Check, Report, holds, same};
use crate::tools;
use std::process::Command;
use std::time::Duration;

const SOON: Duration = Duration::from_secs(30);

/// Runs the suite.
pub(crate) fn run(world: &World, report: &mut Report) {
    let started = start(report, "ctl/two-devices-register", || {
        let serve = Serve::start(&world.program, "serve-ctl", &[])?;
        let uri = format!("coap://{}", serve.coap);
        let ours = Device::start(&world.program, &uri, "ours", &["--lifetime", "3600"])?;
        let class_path = tools::leshan_class_path(&world.folders)?;
        let mut theirs = LeshanDevice::start(&class_path, &world.program.logs, &uri, "theirs", 3600)?;
        theirs.registered()?;
        serve.registered("ours", SOON)?;
        Ok((serve, ours, theirs))
    });
    let Some((serve, _ours, _theirs)) = started else { return };
    let shell = Shell { world, url: format!("http://{}", serve.rest.address()) };
    report.case("ctl/endpoints", || {
        let table = shell.prints(&["endpoints"])?;
        holds(table.contains("ours") && table.contains("theirs"), || table)
    });
    report.case("ctl/models", || {
        let text = shell.prints(&["models", "show", "3303"])?;
        holds(text.contains("Temperature") && text.contains("5700"), || text)
    });
    report.case("ctl/unknown-endpoint-exits-1", || shell.exits(&["read", "nobody", "/3/0"], 1));
    report.case("ctl/wrong-usage-exits-2", || shell.exits(&["read"], 2));
    report.case("ctl/unreachable-server-exits-1", || {
        let elsewhere = Shell { world, url: "http://127.0.0.1:1".to_owned() };
        elsewhere.exits(&["endpoints"], 1)
    });
    for endpoint in ["ours", "theirs"] {
        operations(&shell, report, endpoint);
    }
}

struct Shell<'a> {
    world: &'a World,
    url: String,
}

impl Shell<'_> {
    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(&self.world.program.binary);
        command.args(["ctl", "--url", &self.url]).args(arguments);
        command
    }

    /// Runs to exit code 0 and returns what it printed.
    fn prints(&self, arguments: &[&str]) -> Result<String, String> {
        output_of(&mut self.command(arguments))
            .map_err(|error| format!("ctl {}: {error}", arguments.join(" ")))
    }

    fn exits(&self, arguments: &[&str], code: i32) -> Check {
        let output = self.command(arguments).output().map_err(|error| error.to_string())?;
        same(&format!("exit code of ctl {}", arguments.join(" ")), &output.status.code(), &Some(code))?;
        holds(!output.stderr.is_empty(), || "nothing on standard error".to_owned())
    }
}

fn operations(shell: &Shell<'_>, report: &mut Report, endpoint: &str) {
    let contains = |arguments: &[&str], wanted: &str| {
        let text = shell.prints(arguments)?;
        holds(text.contains(wanted), || format!("no {wanted} in {text}"))
    };
    let mut case =
        |name: &str, check: &dyn Fn() -> Check| report.case(&format!("ctl/{endpoint}/{name}"), check);
    case("show", &|| contains(&["show", endpoint], "3442"));
    case("read", &|| contains(&["read", endpoint, "/3/0"], "Manufacturer"));
    case("read-json", &|| {
        let text = shell.prints(&["--json", "read", endpoint, "/3442/0/120", "--format", "senml-cbor"])?;
        let answer: serde_json::Value =
            serde_json::from_str(&text).map_err(|error| format!("{error}: {text}"))?;
        same("code", &answer["code"].as_str(), &Some("2.05"))?;
        same("format", &answer["format"].as_str(), &Some("senml-cbor"))
    });
    case("write", &|| {
        shell.prints(&["write", endpoint, "/3442/0/120", "42"])?;
        contains(&["read", endpoint, "/3442/0/120"], "42")
    });
    case("write-partial", &|| {
        shell.prints(&["write", endpoint, "/3442/0", "110=from the shell", "120=43", "--partial"])?;
        contains(&["read", endpoint, "/3442/0"], "from the shell")
    });
    case("exec", &|| {
        shell.prints(&["exec", endpoint, "/3442/0/3", "0='hello'"])?;
        contains(&["read", endpoint, "/3442/0/4"], "hello")
    });
    case("create-and-delete", &|| {
        shell.prints(&["create", endpoint, "/3442/7", "110=created"])?;
        contains(&["read", endpoint, "/3442/7/110"], "created")?;
        shell.prints(&["delete", endpoint, "/3442/7"])?;
        shell.exits(&["read", endpoint, "/3442/7"], 1)
    });
    case("discover-and-attributes", &|| {
        shell.prints(&["attributes", endpoint, "/3442/0/120", "pmin=1", "pmax=77"])?;
        contains(&["discover", endpoint, "/3442/0/120"], "77")?;
        shell.prints(&["attributes", endpoint, "/3442/0/120", "pmin=null", "pmax=null"]).map(drop)
    });
    case("observe-and-events", &|| observes(shell, endpoint));
    case("device-refusal-exits-1", &|| shell.exits(&["read", endpoint, "/3/0/99"], 1));
}

fn observes(shell: &Shell<'_>, endpoint: &str) -> Check {
    let follow =
        // From the oldest on, so that nothing is missed while it starts.
        shell.command(&["--json", "events", "--follow", "--after", "0", "--endpoint", endpoint, "--type", "notified"]);
    let mut events = Process::start(follow, &shell.world.program.logs.join("ctl-events.log"))?;
    shell.prints(&["observe", endpoint, "/3442/0/120"])?;
    shell.prints(&["write", endpoint, "/3442/0/120", "4711"])?;
    events.wait_for("a notified event with 4711", SOON, |line| line.contains("4711").then_some(()))?;
    eventually(SOON, || {
        let text = shell.prints(&["observations", endpoint])?;
        holds(text.contains("4711"), || text)
    })?;
    shell.prints(&["unobserve", endpoint, "/3442/0/120"])?;
    let text = shell.prints(&["observations", endpoint])?;
    holds(!text.contains("/3442/0/120"), || format!("still observed: {text}"))
}
