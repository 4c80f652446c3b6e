//! Our device and our server over a cable that loses every third packet: nothing changes but time.

use super::{World, start};
use crate::lightship::{Device, Serve};
use crate::process::eventually;
use crate::report::{Check, Report, holds, same};
use crate::wire_namespace::Cable;
use serde_json::{Value, json};
use std::time::Duration;

/// Enough for every retransmission of one exchange (RFC 7252 §4.8.2, MAX_TRANSMIT_WAIT 93 s).
const PATIENCE: Duration = Duration::from_secs(95);
const ENDPOINT: &str = "lossy";

struct Site {
    cable: Cable,
    serve: Serve,
    device: Device,
    registration: Value,
}

/// Runs the suite.
pub(crate) fn run(world: &World, report: &mut Report) {
    let Some(mut site) = start(report, "lossy/registers", || Site::start(world)) else { return };
    report.case("lossy/reads", || {
        for _ in 0..5 {
            let answer = site.operate("GET", "resources/3/0?wait=60s", None, "2.05")?;
            holds(answer["content"]["resources"]["0"]["value"].is_string(), || answer.to_string())?;
        }
        Ok(())
    });
    report.case("lossy/writes-and-reads-in-blocks", || {
        let body = json!({"value": "l".repeat(3000)});
        site.operate("PUT", "resources/3442/0/110?wait=90s", Some(&body), "2.04")?;
        let answer = site.operate("GET", "resources/3442/0/110?wait=90s", None, "2.05")?;
        same("value", &answer["content"]["value"], &body["value"])
    });
    report.case("lossy/observes", || site.observes());
    report.case("lossy/stays-registered", || {
        let registration = site.serve.registered(ENDPOINT, Duration::ZERO)?;
        same("registration_id", &registration["registration_id"], &site.registration["registration_id"])
    });
    report.case("lossy/packets-were-lost", || {
        let lost = site.cable.lost()?;
        holds(lost >= 10, || format!("only {lost} packets were lost"))
    });
}

impl Site {
    fn start(world: &World) -> Result<Self, String> {
        let cable = Cable::lay()?;
        cable.lose_every_third()?;
        let serve = Serve::start_open(&world.program, "serve-lossy", &format!("{}:0", cable.near))?;
        let mut command = world.program.command();
        let uri = format!("coap://{}", serve.coap);
        command.args(["device", "--endpoint", ENDPOINT, "--lifetime", "300", "--server", &uri]);
        let device = Device::from_command(&world.program, "device-lossy", cable.at_far_end(&command))?;
        let registration = serve.registered(ENDPOINT, PATIENCE)?;
        Ok(Self { cable, serve, device, registration })
    }

    fn operate(&self, method: &str, path: &str, body: Option<&Value>, code: &str) -> Result<Value, String> {
        self.serve.rest.operate(method, &format!("endpoints/{ENDPOINT}/{path}"), body, code)
    }

    /// Notifications are non-confirmable by default: a lost one is not repeated, the next one brings the value.
    /// That there is a next one is what pmax is for.
    fn observes(&mut self) -> Check {
        self.operate("PUT", "attributes/3303/0/5700?wait=60s", Some(&json!({"pmax": 3})), "2.04")?;
        self.operate("PUT", "observations/3303/0/5700?wait=60s", None, "2.05")?;
        for value in [10.5, 11.25, -1.5, 40.0, 41.5, 42.5] {
            self.device.obey(&format!("set /3303/0/5700 {value}"))?;
            last_value(&self.serve, ENDPOINT, value, PATIENCE)?;
        }
        Ok(())
    }
}

/// Waits until the server's last value of /3303/0/5700 is this one.
pub(crate) fn last_value(serve: &Serve, endpoint: &str, value: f64, limit: Duration) -> Check {
    eventually(limit, || {
        let answer = serve.rest.get(&format!("endpoints/{endpoint}/observations"))?;
        let items = answer.body["items"].as_array().cloned().unwrap_or_default();
        let item = items.iter().find(|item| item["path"] == "/3303/0/5700").ok_or("not observed")?;
        let found = item["content"][0]["value"].as_f64();
        holds(found == Some(value), || format!("last value is {found:?}, expected {value}"))
    })
}
