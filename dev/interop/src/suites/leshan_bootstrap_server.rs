//! Our device at a bootstrap server and a server on Leshan's library.

use super::leshan_bootstrap::{bootstrap_server, in_short, management_server};
use super::{World, start};
use crate::leshan::{LeshanBootstrap, LeshanServer};
use crate::lightship::Device;
use crate::report::{Check, Report, holds, same};
use crate::sides::SOON;
use serde_json::{Map, Value, json};
use std::time::Duration;

const NAME: &str = "leshan-bootstrap-server";

/// Where attributes and observations are put before another bootstrap.
const PATHS: [&str; 3] = ["/3442", "/3442/0", "/3442/0/120"];

/// Both servers; devices of ours come one after the other, under names of their own.
struct Site<'a> {
    world: &'a World,
    bootstrap: LeshanBootstrap,
    bootstrap_uri: String,
    server: LeshanServer,
    uri: String,
}

/// Runs the suite.
pub(crate) fn run(world: &World, report: &mut Report) {
    let started = start(report, &format!("{NAME}/start"), || {
        let (bootstrap_uri, bootstrap) = bootstrap_server(world, NAME)?;
        let (uri, server) = management_server(world, NAME)?;
        Ok(Site { world, bootstrap, bootstrap_uri, server, uri })
    });
    let Some(mut site) = started else { return };
    site.plain(report);
    site.formats(report);
    site.begins(report);
    site.deletes(report);
    site.refused(report);
    site.again(report);
}

/// The first step of a session.
fn first(steps: &[Value]) -> Result<Value, String> {
    steps.iter().find(|step| step["event"] == "step").cloned().ok_or("no step".to_owned())
}

fn is_empty(content: &Value) -> bool {
    content.as_object().is_none_or(Map::is_empty)
}

impl Site<'_> {
    /// A configuration with both accounts, and whatever more there is in it.
    fn configuration(&self, endpoint: &str, more: &Value) -> Value {
        let mut configuration = json!({"endpoint": endpoint, "accounts": [
            {"instance": 0, "bootstrap": true, "uri": self.bootstrap_uri},
            {"instance": 1, "ssid": 1, "uri": self.uri, "lifetime": 1200},
        ]});
        for (name, value) in more.as_object().into_iter().flatten() {
            configuration[name] = value.clone();
        }
        configuration
    }

    fn device(&mut self, endpoint: &str) -> Result<Device, String> {
        self.server.set_endpoint(endpoint);
        let mut command = self.world.program.command();
        command.args([
            "device",
            "--bootstrap",
            &self.bootstrap_uri,
            "--endpoint",
            endpoint,
            "--lwm2m",
            "1.1",
        ]);
        Device::from_command(&self.world.program, endpoint, command)
    }

    /// Configures, starts the device and sees it register; the device, and the steps of the session.
    fn run(&mut self, case: &str, more: &Value) -> Result<(Device, Vec<Value>), String> {
        let endpoint = format!("{NAME}-{case}");
        let configuration = self.configuration(&endpoint, more);
        self.bootstrap.configure(&configuration)?;
        self.server.process.skip_output();
        let device = self.device(&endpoint)?;
        let steps = self.bootstrap.session(SOON)?;
        self.server.event("registered", SOON)?;
        let registration = self.server.order(json!({"op": "registration"}))?;
        same("lifetime", &registration["lifetime"], &json!(1200))?;
        Ok((device, steps))
    }

    fn plain(&mut self, report: &mut Report) {
        report.case(&format!("{NAME}/plain"), || {
            let (mut device, steps) = self.run("plain", &json!({}))?;
            let expected = [
                "BootstrapWrite /0/0 2.04",
                "BootstrapWrite /0/1 2.04",
                "BootstrapWrite /1/1 2.04",
                "BootstrapFinish 2.04",
            ];
            same("steps", &in_short(&steps), &expected.map(str::to_owned).to_vec())?;
            self.server.expect(json!({"op": "read", "path": "/3/0"}), "2.05")?;
            same("exit code", &device.process.close_and_wait(SOON)?, &0)?;
            self.server.event("deregistered", SOON).map(drop)
        });
    }

    fn formats(&mut self, report: &mut Report) {
        for format in ["TLV", "SENML_JSON", "SENML_CBOR"] {
            report.case(&format!("{NAME}/format-of-the-configuration/{format}"), || {
                let (_device, steps) = self.run(&format!("format-{format}"), &json!({"format": format}))?;
                let mut writes = steps.iter().filter(|step| step["operation"] == "BootstrapWrite").peekable();
                holds(writes.peek().is_some(), || format!("nothing was written: {steps:?}"))?;
                writes.try_for_each(|step| same("format", &step["format"], &json!(format)))
            });
        }
        report.case(&format!("{NAME}/format-that-the-device-prefers"), || {
            let (_device, steps) = self.run("pct", &json!({}))?;
            let asked = steps.iter().find(|step| step["event"] == "asked").ok_or("nobody asked")?;
            let name = match asked["pct"].as_u64() {
                Some(110) => "SENML_JSON",
                Some(112) => "SENML_CBOR",
                Some(11542) => "TLV",
                _ => return Err(format!("no known format is preferred: {asked}")),
            };
            let write = steps.iter().find(|step| step["operation"] == "BootstrapWrite").ok_or("no write")?;
            same("format", &write["format"], &json!(name))
        });
    }

    fn begins(&mut self, report: &mut Report) {
        report.case(&format!("{NAME}/discover-root-first"), || {
            let (_device, steps) = self.run("discover-root", &json!({"begin": "discover /"}))?;
            let links = first(&steps)?["links"].to_string();
            for wanted in ["</>;lwm2m=1.", "</0/0>", "</3/0>", "</3442/0>"] {
                holds(links.contains(wanted), || format!("{wanted} is not among {links}"))?;
            }
            holds(!links.contains("/3/0/"), || format!("Resources are listed: {links}"))
        });
        report.case(&format!("{NAME}/discover-device-first"), || {
            let (_device, steps) = self.run("discover-device", &json!({"begin": "discover /3"}))?;
            let links = first(&steps)?["links"].to_string();
            holds(links.contains("</3/0>") && !links.contains("</1"), || format!("links: {links}"))
        });
        report.case(&format!("{NAME}/read-first"), || {
            let (_device, steps) = self.run("read", &json!({"begin": "read /1"}))?;
            same("code", &first(&steps)?["code"], &json!("2.05"))
        });
        report.case(&format!("{NAME}/instance-ids-by-discover"), || {
            let (_device, steps) = self.run("auto-ids", &json!({"auto_ids": true}))?;
            same("first step", &first(&steps)?["operation"], &json!("BootstrapDiscover"))
        });
    }

    fn deletes(&mut self, report: &mut Report) {
        report.case(&format!("{NAME}/delete-subset"), || {
            let (_device, steps) = self.run("delete-subset", &json!({"delete": ["/2", "/3442"]}))?;
            holds(in_short(&steps).contains(&"BootstrapDelete /3442 2.02".to_owned()), || {
                format!("{steps:?}")
            })?;
            let test = self.server.order(json!({"op": "read", "path": "/3442"}))?;
            holds(is_empty(&test["content"]), || format!("/3442 is still there: {test}"))?;
            self.server.expect(json!({"op": "read", "path": "/3303/0"}), "2.05").map(drop)
        });
        report.case(&format!("{NAME}/delete-all"), || {
            let (_device, _) = self.run("delete-all", &json!({"delete": ["/"]}))?;
            self.server.expect(json!({"op": "read", "path": "/3/0"}), "2.05")?;
            let sensor = self.server.order(json!({"op": "read", "path": "/3303"}))?;
            holds(is_empty(&sensor["content"]), || format!("/3303 is still there: {sensor}"))
        });
        report.case(&format!("{NAME}/access-control"), || {
            let acls = json!([{"object": 3, "instance": 0, "owner": 1, "rights": {"1": 1}}]);
            let (_device, _) = self.run("acl", &json!({"acls": acls}))?;
            let found = self.server.expect(json!({"op": "read", "path": "/2/0"}), "2.05")?["content"].clone();
            same("object", &found["/2/0/0"], &json!("3"))?;
            same("owner", &found["/2/0/3"], &json!("1"))?;
            same("rights", &found["/2/0/2/1"], &json!("1"))
        });
    }

    fn refused(&mut self, report: &mut Report) {
        report.case(&format!("{NAME}/two-bootstrap-accounts"), || {
            let endpoint = format!("{NAME}-two");
            let mut configuration = self.configuration(&endpoint, &json!({}));
            configuration["accounts"][0]["instance"] = json!(7);
            self.bootstrap.configure(&configuration)?;
            let mut device = self.device(&endpoint)?;
            let outcome = self.bootstrap.session(SOON);
            holds(outcome.as_ref().is_err_and(|reason| reason.contains("4.0")), || format!("{outcome:?}"))?;
            // The bootstrap server may still mend it; until then there is nobody to register with.
            let registered = device.event("registered", Duration::from_secs(1));
            holds(registered.is_err(), || format!("{registered:?}"))
        });
        report.case(&format!("{NAME}/without-a-configuration"), || {
            let mut device = self.device(&format!("{NAME}-nobody"))?;
            device.event("bootstrap_failed", SOON).map(drop)
        });
    }

    /// Attributes and an observation at each level, then another bootstrap; its steps.
    fn bootstrap_again(&mut self, endpoint: &str, more: &Value, account: u16) -> Result<Vec<Value>, String> {
        let mut configuration = self.configuration(endpoint, more);
        configuration["accounts"][1]["instance"] = json!(account);
        for path in PATHS {
            self.server.expect(json!({"op": "attributes", "path": path, "query": "pmin=1"}), "2.04")?;
            self.server.expect(json!({"op": "observe", "path": path}), "2.05")?;
        }
        self.bootstrap.configure(&configuration)?;
        self.server.process.skip_output();
        self.server.overtaken.clear();
        // The device may leave before the server has its answer.
        self.server.order(json!({"op": "execute", "path": "/1/1/9"}))?;
        self.bootstrap.session(SOON)
    }

    fn again(&mut self, report: &mut Report) {
        let discover = json!({"begin": "discover /"});
        report.case(&format!("{NAME}/again-with-the-same-account"), || {
            let (_device, _) = self.run("again", &discover)?;
            let steps = self.bootstrap_again(&format!("{NAME}-again"), &discover, 1)?;
            let links = first(&steps)?["links"].to_string();
            for wanted in ["</0/1>;ssid=1", "</1/1>;ssid=1"] {
                holds(links.contains(wanted), || format!("{wanted} is not among {links}"))?;
            }
            // Nothing has changed for that server: the registration, and what hangs on it, goes on.
            self.server.expect(json!({"op": "write", "path": "/3442/0/120", "value": 4}), "2.04")?;
            let told = self.server.overtaken.iter().any(|event| event["event"] == "notified");
            if told { Ok(()) } else { self.server.event("notified", SOON).map(drop) }
        });
        report.case(&format!("{NAME}/another-account-ends-observations"), || {
            let (_device, _) = self.run("another", &discover)?;
            let anew = json!({"begin": "discover /", "delete": ["/0", "/1"]});
            self.bootstrap_again(&format!("{NAME}-another"), &anew, 2)?;
            self.registered_again()?;
            self.server.process.skip_output();
            self.server.overtaken.clear();
            self.server.expect(json!({"op": "write", "path": "/3442/0/120", "value": 4}), "2.04")?;
            let early = self.server.overtaken.iter().any(|event| event["event"] == "notified");
            let late = self.server.event("notified", Duration::from_millis(1500));
            holds(!early && late.is_err(), || format!("an observation outlived its account: {late:?}"))
        });
    }

    fn registered_again(&mut self) -> Check {
        let seen = self.server.overtaken.iter().any(|event| event["event"] == "registered");
        self.server.overtaken.clear();
        if seen { Ok(()) } else { self.server.event("registered", SOON).map(drop) }
    }
}
