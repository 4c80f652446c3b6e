//! Bootstrap with Leshan's library on the other side each way.

use super::{World, start};
use crate::leshan::{LeshanBootstrap, LeshanDevice, LeshanServer};
use crate::process::at_free_port;
use crate::report::{Report, same};
use crate::sides::SOON;
use crate::tools;
use serde_json::{Value, json};

/// A bootstrap server of Leshan's.
fn bootstrap_server(world: &World, name: &str) -> Result<(String, LeshanBootstrap), String> {
    let class_path = tools::leshan_bootstrap_class_path(&world.folders)?;
    let log = world.program.logs.join(format!("{name}-bootstrap.log"));
    let (port, server) = at_free_port(|port| Ok((port, LeshanBootstrap::start(&class_path, &log, port)?)))?;
    Ok((format!("coap://127.0.0.1:{port}"), server))
}

/// A server of Leshan's.
fn management_server(world: &World, name: &str) -> Result<(String, LeshanServer), String> {
    let class_path = tools::leshan_class_path(&world.folders)?;
    let launch = |port| Ok((port, LeshanServer::start(&class_path, &world.program.logs, port, name)?));
    let (port, server) = at_free_port(launch)?;
    Ok((format!("coap://127.0.0.1:{port}"), server))
}

/// What each step was, as `BootstrapWrite /0/1 2.04`.
fn in_short(steps: &[Value]) -> Vec<String> {
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
            {"instance": 0, "bootstrap": true, "uri": bootstrap_uri, "ssid": 0},
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
