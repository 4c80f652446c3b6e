//! Whatever is killed or cut comes back without help: registered, and observed as before.

use super::lossy::last_value;
use super::{World, start};
use crate::lightship::{Device, Serve};
use crate::ports::fresh_port;
use crate::process::{eventually, output_of, pause};
use crate::report::{Check, Report, holds, same};
use crate::wire_namespace::Cable;
use std::process::Command;
use std::time::Duration;

const SOON: Duration = Duration::from_secs(30);
/// Short, so that the device notices a lost server within the test.
const LIFETIME_S: &str = "10";
/// A device that lost its server tries again after growing pauses.
const PATIENCE: Duration = Duration::from_secs(240);
/// How long the network is away.
const CUT: Duration = Duration::from_secs(60);

/// Runs the suite.
pub(crate) fn run(world: &World, report: &mut Report) {
    report.case("survival/device-killed", || device_killed(world));
    server_killed(world, report);
    report.case("survival/network-cut-for-a-minute", || network_cut(world));
}

fn observe(serve: &Serve, endpoint: &str) -> Check {
    let path = format!("endpoints/{endpoint}/observations/3303/0/5700");
    serve.rest.operate("PUT", &path, None, "2.05").map(drop)
}

fn device_killed(world: &World) -> Check {
    let serve = Serve::start(&world.program, "serve-survival", &[])?;
    let uri = format!("coap://{}", serve.coap);
    let begin = || Device::start(&world.program, &uri, "phoenix", &["--lifetime", "600"]);
    let mut device = begin()?;
    let first = serve.registered("phoenix", SOON)?;
    observe(&serve, "phoenix")?;
    device.process.kill();
    let mut device = begin()?;
    device.event("registered", SOON)?;
    let second = serve.registered("phoenix", SOON)?;
    holds(first["registration_id"] != second["registration_id"], || {
        "the registration is the old one".to_owned()
    })?;
    observed_again(&serve, &mut device, "phoenix", SOON)
}

/// Sets values until one arrives: the observation may still be on its way back.
fn observed_again(serve: &Serve, device: &mut Device, endpoint: &str, limit: Duration) -> Check {
    let mut value = 50.0;
    eventually(limit, || {
        value += 1.5;
        device.obey(&format!("set /3303/0/5700 {value}"))?;
        last_value(serve, endpoint, value, Duration::from_secs(5))
    })
}

fn server_killed(world: &World, report: &mut Report) {
    let folder = world.program.logs.join("survival-data");
    let _absent = std::fs::remove_dir_all(&folder);
    let data = folder.display().to_string();
    let started = start(report, "survival/starts-with-a-data-folder", || {
        let [coap, http] = [fresh_port()?, fresh_port()?].map(|port| format!("127.0.0.1:{port}"));
        let serve = Serve::start_at(&world.program, "serve-mortal", &coap, &http, &["--data", &data])?;
        let uri = format!("coap://{}", serve.coap);
        let device = Device::start(&world.program, &uri, "widow", &["--lifetime", LIFETIME_S])?;
        serve.registered("widow", SOON)?;
        observe(&serve, "widow")?;
        Ok((serve, device))
    });
    let Some((mut serve, mut device)) = started else { return };
    for (name, gently) in [("survival/server-killed", false), ("survival/server-stopped", true)] {
        report.case(name, || {
            let (coap, http) = (serve.coap.to_string(), serve.rest.address());
            if gently {
                stop(&mut serve)?;
            } else {
                serve.process.kill();
            }
            serve = Serve::start_at(&world.program, "serve-mortal", &coap, &http, &["--data", &data])?;
            serve.registered("widow", PATIENCE)?;
            observed_again(&serve, &mut device, "widow", SOON)
        });
    }
}

/// SIGTERM; the server must end by itself with exit code 0.
fn stop(serve: &mut Serve) -> Check {
    output_of(Command::new("kill").args(["-TERM", &serve.process.id().to_string()]))?;
    same("exit code", &serve.process.close_and_wait(SOON)?, &0)
}

fn network_cut(world: &World) -> Check {
    let cable = Cable::lay()?;
    let serve = Serve::start_open(&world.program, "serve-cut", &format!("{}:0", cable.near))?;
    let mut command = world.program.command();
    let uri = format!("coap://{}", serve.coap);
    command.args(["device", "--endpoint", "cut-off", "--lifetime", "20", "--server", &uri]);
    let mut device = Device::from_command(&world.program, "device-cut", cable.at_far_end(&command))?;
    serve.registered("cut-off", SOON)?;
    observe(&serve, "cut-off")?;
    cable.cut()?;
    pause(CUT);
    serve.gone("cut-off", SOON)?;
    holds(device.process.alive(), || "the device ended when its network went away".to_owned())?;
    cable.mend()?;
    serve.registered("cut-off", PATIENCE)?;
    observed_again(&serve, &mut device, "cut-off", SOON)
}
