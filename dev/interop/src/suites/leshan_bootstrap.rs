//! Bootstrap with Leshan's library on the other side each way.

use super::{World, start};
use crate::leshan::{LeshanBootstrap, LeshanDevice, LeshanServer};
use crate::lightship::Serve;
use crate::ports::at_free_port;
use crate::process::eventually;
use crate::report::{Check, Report, holds, same};
use crate::sides::SOON;
use crate::tools;
use serde_json::{Value, json};

/// A bootstrap server of Leshan's.
pub(super) fn bootstrap_server(world: &World, name: &str) -> Result<(String, LeshanBootstrap), String> {
    let class_path = tools::leshan_bootstrap_class_path(&world.folders)?;
    let log = world.program.logs.join(format!("{name}-bootstrap.log"));
    let (port, server) = at_free_port(|port| Ok((port, LeshanBootstrap::start(&class_path, &log, port)?)))?;
    Ok((format!("coap://127.0.0.1:{port}"), server))
}

/// A server of Leshan's.
pub(super) fn management_server(world: &World, name: &str) -> Result<(String, LeshanServer), String> {
    let class_path = tools::leshan_class_path(&world.folders)?;
    let launch = |port| Ok((port, LeshanServer::start(&class_path, &world.program.logs, port, name)?));
    let (port, server) = at_free_port(launch)?;
    Ok((format!("coap://127.0.0.1:{port}"), server))
}

/// What each step was, as `BootstrapWrite /0/1 2.04`.
pub(super) fn in_short(steps: &[Value]) -> Vec<String> {
    let step = |step: &Value| {
        let part = |name: &str| step[name].as_str().unwrap_or_default();
        format!("{} {} {}", part("operation"), part("path"), part("code")).replace("  ", " ")
    };
    steps.iter().filter(|step| step["event"] == "step").map(step).collect()
}

/// The peers with each other: what the other suites of this file stand on.
pub(crate) fn peers(world: &World, report: &mut Report) {
    const NAME: &str = "leshan-bootstrap-peers";
    let started = start(report, &format!("{NAME}/start"), || {
        Ok((bootstrap_server(world, NAME)?, management_server(world, NAME)?))
    });
    let Some(((bootstrap_uri, mut bootstrap), (uri, mut server))) = started else { return };
    report.case(&format!("{NAME}/their-device-their-bootstrap-server"), || {
        bootstrap.configure(&json!({"endpoint": NAME, "delete": ["/1"], "accounts": [
            {"instance": 0, "bootstrap": true, "uri": bootstrap_uri},
            {"instance": 1, "ssid": 1, "uri": uri, "lifetime": 1200},
        ]}))?;
        let class_path = tools::leshan_class_path(&world.folders)?;
        let logs = &world.program.logs;
        let mut device =
            LeshanDevice::start_with(&class_path, logs, &bootstrap_uri, NAME, 0, &["bootstrap"])?;
        let steps = bootstrap.session(SOON)?;
        same(
            "steps",
            &in_short(&steps),
            &[
                "BootstrapDelete /1 2.02",
                "BootstrapWrite /0/0 2.04",
                "BootstrapWrite /0/1 2.04",
                "BootstrapWrite /1/1 2.04",
                "BootstrapFinish 2.04",
            ]
            .map(str::to_owned)
            .to_vec(),
        )?;
        device.registered()?;
        server.event("registered", SOON)?;
        let registration = server.order(json!({"op": "registration"}))?;
        same("lifetime", &registration["lifetime"], &json!(1200))
    });
}

/// One device of Leshan's at our two servers.
struct Bootstrapped<'a> {
    world: &'a World,
    serve: &'a Serve,
    endpoint: String,
}

impl Bootstrapped<'_> {
    /// The document with an account at our server, and whatever more there is in it.
    fn document(&self, more: &Value) -> Value {
        let uri = format!("coap://{}", self.serve.coap);
        let account = json!({"short_server_id": 1, "uri": uri, "mode": "nosec", "lifetime_s": 1200});
        let mut document = json!({"servers": [account]});
        for (name, value) in more.as_object().into_iter().flatten() {
            document[name] = value.clone();
        }
        document
    }

    fn put(&self, document: &Value) -> Check {
        let answer = self.serve.rest.send("PUT", &format!("bootstrap/{}", self.endpoint), Some(document))?;
        holds(answer.status == 200 || answer.status == 201, || format!("{} {}", answer.status, answer.body))
    }

    fn device(&self, flags: &[&str]) -> Result<LeshanDevice, String> {
        let class_path = tools::leshan_class_path(&self.world.folders)?;
        let uri = format!("coap://{}", self.serve.bootstrap.ok_or("no Bootstrap-Server")?);
        let flags: Vec<&str> = ["bootstrap"].into_iter().chain(flags.iter().copied()).collect();
        let logs = &self.world.program.logs;
        LeshanDevice::start_with(&class_path, logs, &uri, &self.endpoint, 0, &flags)
    }

    /// Puts the document, lets the device have it, and sees it register; the device, and the session.
    fn run(&self, more: &Value, flags: &[&str]) -> Result<(LeshanDevice, Value), String> {
        self.put(&self.document(more))?;
        let mut device = self.device(flags)?;
        device.says("bootstrapped", SOON).map_err(|reason| {
            let sessions = self.serve.rest.get(&format!("bootstrap/{}/sessions", self.endpoint));
            format!("{reason}; {sessions:?}")
        })?;
        device.registered()?;
        let registration = self.serve.registered(&self.endpoint, SOON)?;
        same("lifetime_s", &registration["lifetime_s"], &json!(1200))?;
        Ok((device, self.session("finished")?))
    }

    /// The newest session, once it came to `result`.
    fn session(&self, result: &str) -> Result<Value, String> {
        let path = format!("bootstrap/{}/sessions", self.endpoint);
        eventually(SOON, || {
            let newest = self.serve.rest.get(&path)?.body[0].clone();
            holds(newest["result"] == result, || format!("the newest session is {newest}"))?;
            Ok(newest)
        })
    }

    fn read(&self, path: &str) -> Result<Value, String> {
        let path = format!("endpoints/{}/resources{path}", self.endpoint);
        self.serve.rest.operate("GET", &path, None, "2.05")
    }
}

/// Operation, path and format of each step of ours.
fn steps(of: &Value) -> Vec<String> {
    let step = |step: &Value| {
        let part = |name: &str| step[name].as_str().unwrap_or_default().to_owned();
        format!("{} {} {}", part("operation"), part("path"), part("format"))
    };
    of["steps"].as_array().into_iter().flatten().map(step).collect()
}

/// Our servers, to which devices of Leshan's come one after the other.
struct OurServers<'a> {
    world: &'a World,
    serve: &'a Serve,
}

const NAME: &str = "leshan-bootstrap-device";

/// Devices on Leshan's library at our Bootstrap-Server.
pub(crate) fn their_device(world: &World, report: &mut Report) {
    let started = start(report, &format!("{NAME}/start"), || {
        let serve = Serve::start_bootstrap(&world.program, "serve-leshan-bootstrap")?;
        holds(serve.bootstrap.is_some(), || "no Bootstrap-Server listens".to_owned())?;
        Ok(serve)
    });
    let Some(serve) = started else { return };
    let site = OurServers { world, serve: &serve };
    site.plain(report);
    site.effects(report);
    site.again(report);
    site.odd(report);
}

impl OurServers<'_> {
    fn one(&self, case: &str) -> Bootstrapped<'_> {
        let endpoint = format!("{NAME}-{}", case.replace('/', "-"));
        Bootstrapped { world: self.world, serve: self.serve, endpoint }
    }

    /// A case with a document like this and a device with these flags, which goes well.
    fn succeeds(&self, report: &mut Report, case: &str, more: &Value, flags: &[&str], check: SessionCheck) {
        report.case(&format!("{NAME}/{case}"), || {
            let site = self.one(case);
            let (device, session) = site.run(more, flags)?;
            check(&site, device, &session)
        });
    }

    fn plain(&self, report: &mut Report) {
        let nothing: SessionCheck = |_, _, _| Ok(());
        self.succeeds(report, "plain", &json!({}), &[], nothing);
        self.succeeds(report, "additional-parameters", &json!({}), &["additional"], nothing);
        for (format, check) in FORMATS {
            self.succeeds(
                report,
                &format!("format-of-the-document/{format}"),
                &json!({"format": format}),
                &[],
                check,
            );
        }
        let [tlv, _, cbor] = FORMATS;
        self.succeeds(report, "format-that-the-device-prefers/tlv", &json!({}), &["prefers-tlv"], tlv.1);
        self.succeeds(report, "format-that-the-device-prefers/senml-cbor", &json!({}), &[], cbor.1);
        self.succeeds(report, "accounts-are-discovered", &json!({}), &[], |_, mut device, session| {
            let discovered = session["steps"][0].clone();
            same("first step", &discovered["operation"], &json!("bootstrap-discover"))?;
            let links = discovered["links"].to_string();
            holds(links.contains("/0/0"), || format!("/0/0 is not in {links}"))?;
            device.process.tell("accounts")?;
            // The bootstrap account stays where it was; the server's has another number.
            same("accounts", &device.says("accounts", SOON)?.as_str(), &"accounts /0/0,/0/1,/1/0")
        });
        self.succeeds(
            report,
            "no-read-back-from-a-device-that-says-1.0",
            &json!({"read": ["/1"]}),
            &[],
            |_, _, session| {
                holds(!steps(session).iter().any(|step| step.starts_with("bootstrap-read")), || {
                    format!("a device of 1.0 was read: {session}")
                })?;
                holds(session["notes"].to_string().contains("/1"), || format!("no word of it: {session}"))
            },
        );
    }

    fn effects(&self, report: &mut Report) {
        self.succeeds(report, "delete-subset", &json!({"delete": ["/3442"]}), &[], |site, _, _| {
            let answer = site.read("/3442");
            holds(
                answer.is_err() || !answer.clone().unwrap_or_default().to_string().contains("\"120\""),
                || format!("/3442 is still there: {answer:?}"),
            )?;
            site.read("/3/0").map(drop)
        });
        self.succeeds(report, "delete-all", &json!({"delete": ["/"]}), &[], |site, _, _| {
            site.read("/3/0").map(drop)
        });
        let rights = json!([{"path": "/2/0", "resources": {
        "0": {"value": 3}, "1": {"value": 0}, "2": {"instances": {"1": 1}}, "3": {"value": 1}}}]);
        self.succeeds(report, "access-control", &json!({"write": rights}), &[], |site, _, _| {
            let found = site.read("/2/0")?["content"]["resources"].clone();
            same("owner", &found["3"]["value"], &json!(1))?;
            same("rights", &found["2"]["instances"], &json!({"1": 1}))
        });
    }

    fn again(&self, report: &mut Report) {
        self.succeeds(report, "again-keeps-the-accounts", &json!({}), &[], |site, mut device, first| {
            device.process.skip_output();
            let path = format!("endpoints/{}/execute/1/0/9", site.endpoint);
            // The device may leave before it answers.
            site.serve.rest.send("POST", &path, None)?;
            device.says("bootstrapped", SOON)?;
            device.registered()?;
            let again = eventually(SOON, || {
                let session = site.session("finished")?;
                holds(session["started_at"] != first["started_at"], || "no second session".to_owned())?;
                Ok(session)
            })?;
            holds(again["steps"][0]["links"].to_string().contains("/0/1"), || format!("{again}"))?;
            device.process.tell("accounts")?;
            same("accounts", &device.says("accounts", SOON)?.as_str(), &"accounts /0/0,/0/1,/1/0")
        });
    }

    fn odd(&self, report: &mut Report) {
        report.case(&format!("{NAME}/the-plan-is-what-is-sent"), || {
            let site = self.one("plan");
            let document = site.document(&json!({"format": "senml-cbor"}));
            site.put(&document)?;
            let plan = self.serve.rest.get(&format!("bootstrap/{}/plan", site.endpoint))?;
            same("status of the plan", &plan.status, &200)?;
            let (_device, session) = site.run(&json!({"format": "senml-cbor"}), &[])?;
            same("steps", &steps(&session), &steps(&plan.body))
        });
        report.case(&format!("{NAME}/without-a-document"), || {
            let site = self.one("nobody");
            let mut device = site.device(&[])?;
            device.says("bootstrap refused", SOON)?;
            let known = self.serve.rest.get("bootstrap")?.body.to_string();
            holds(known.contains(&site.endpoint), || format!("the device is not in {known}"))
        });
    }
}

/// What a device and its session must show besides having gone well.
type SessionCheck = fn(&Bootstrapped<'_>, LeshanDevice, &Value) -> Check;

const FORMATS: [(&str, SessionCheck); 3] = [
    ("tlv", |_, _, session| written_in(session, "tlv")),
    ("senml-json", |_, _, session| written_in(session, "senml-json")),
    ("senml-cbor", |_, _, session| written_in(session, "senml-cbor")),
];

fn written_in(session: &Value, format: &str) -> Check {
    let all = session["steps"].as_array().cloned().unwrap_or_default();
    let mut writes = all.iter().filter(|step| step["operation"] == "bootstrap-write").peekable();
    holds(writes.peek().is_some(), || format!("nothing was written: {session}"))?;
    writes.try_for_each(|step| same("format", &step["format"], &json!(format)))
}
