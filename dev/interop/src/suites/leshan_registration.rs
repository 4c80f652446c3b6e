//! The life of a registration with Leshan's library on the other side each way.

use super::{World, start};
use crate::lightship::Device;
use crate::process::{eventually, pause};
use crate::relay;
use crate::report::{Check, Report, holds, same};
use crate::sides::{Ours, SOON, Side, Theirs};
use serde_json::{Value, json};
use std::time::{Duration, Instant};

/// Short enough to see it end, long enough for a busy machine.
const LIFETIME_S: u32 = 6;
/// Sooner than a request ends by itself, after 10 s.
const ENDED: Duration = Duration::from_secs(3);
/// Requests that wait for a device that is gone.
const PENDING: usize = 4;

/// A device on Leshan's library at our server.
pub(crate) fn their_device(world: &World, report: &mut Report) {
    const NAME: &str = "leshan-registration-device";
    let flags = ["additional"];
    let started = start(report, &format!("{NAME}/registers"), || {
        Theirs::start_with(world, NAME, relay::unchanged, LIFETIME_S, &flags, &[])
    });
    let Some(mut side) = started else { return };
    report.case(&format!("{NAME}/additional-parameters-are-kept"), || {
        let attributes = side.registration()?["attributes"].clone();
        same("key1", &attributes["key1"], &json!("value1"))?;
        same("imei", &attributes["imei"], &json!("2136872368"))
    });
    report.case(&format!("{NAME}/updates-before-its-lifetime-ends"), || {
        let id = side.registration()?["registration_id"].clone();
        side.forget();
        side.event("updated", SOON)?;
        same("registration_id", &side.registration()?["registration_id"], &id)
    });
    report.case(&format!("{NAME}/registers-anew-without-de-register"), || {
        let id = side.registration()?["registration_id"].clone();
        side.device.process.kill();
        side.again(world, 3600, &flags)?;
        // The device knows it a moment before REST does.
        let registration = eventually(SOON, || {
            let registration = side.registration()?;
            holds(registration["registration_id"] != id, || format!("still {id}")).map(|()| registration)
        })?;
        same("lifetime_s", &registration["lifetime_s"], &json!(3600))
    });
    report.case(&format!("{NAME}/requests-end-with-the-registration"), || pending(world, &mut side, NAME));
    report.case(&format!("{NAME}/de-registers-and-registers-again"), || {
        side.device.process.tell("quit")?;
        side.serve.gone(NAME, SOON)?;
        side.again(world, 3600, &flags)?;
        side.serve.registered(NAME, SOON).map(drop)
    });
}

/// A device goes silent while requests wait for it; when it registers anew they end, and not with a success.
fn pending(world: &World, side: &mut Theirs, name: &str) -> Check {
    side.device.process.kill();
    let address = side.serve.rest.address();
    let waiting: Vec<_> = (0..PENDING)
        .map(|_| {
            let rest = crate::rest::Rest::new(address.parse().map_err(|_| "no address")?);
            let path = format!("endpoints/{name}/resources/3/0/1");
            Ok(std::thread::spawn(move || rest.get(&path)))
        })
        .collect::<Result<_, String>>()?;
    pause(Duration::from_millis(300));
    side.again(world, 3600, &["additional"])?;
    let since = Instant::now();
    for request in waiting {
        let answer = request.join().map_err(|_| "a request panicked")??;
        holds(answer.status != 200 || answer.body["code"].is_null(), || {
            format!("{} {}", answer.status, answer.body)
        })?;
    }
    let took = since.elapsed();
    holds(took < ENDED, || format!("the requests waited {took:?} more"))
}

/// A device on Leshan's library whose address changes under it.
pub(crate) fn their_device_moves(world: &World, report: &mut Report) {
    for policy in ["refuse", "follow"] {
        let name = format!("leshan-moving-device/{policy}");
        let endpoint = format!("leshan-moving-{policy}");
        let config = world.program.logs.join(format!("{endpoint}.toml"));
        let started = start(report, &format!("{name}/registers"), || {
            let text = format!("[registration]\nrebinding = \"{policy}\"\n");
            std::fs::write(&config, text).map_err(|error| format!("{}: {error}", config.display()))?;
            let file = config.to_string_lossy().into_owned();
            Theirs::start_with(world, &endpoint, relay::unchanged, 3600, &[], &["--config", &file])
        });
        let Some(mut side) = started else { continue };
        report.case(&format!("{name}/value-from-the-new-address-is-not-believed"), || {
            side.expect(json!({"op": "attributes", "path": "/3442/0/120", "query": "pmax=1"}), "2.04")?;
            side.expect(json!({"op": "observe", "path": "/3442/0/120"}), "2.05")?;
            side.notified("/3442/0/120", SOON)?;
            side.relay().rebind()?;
            side.forget();
            side.silent("/3442/0/120", Duration::from_millis(1500))
        });
        report.case(&format!("{name}/is-served-after-its-update"), || {
            let id = side.registration()?["registration_id"].clone();
            let address = side.registration()?["address"].clone();
            side.device.process.tell("update")?;
            eventually(SOON, || {
                let found = side.registration()?;
                holds(found["address"] != address, || format!("still at {address}"))
            })?;
            same(
                "the same registration",
                &(side.registration()?["registration_id"] == id),
                &(policy == "follow"),
            )?;
            side.read("/3/0", "tlv").map(drop)
        });
        report.case(&format!("{name}/is-observed-again"), || {
            // By the device's timer for pmax, which does not outlive a Reset that comes late (differences.md).
            side.forget();
            side.notified("/3442/0/120", Duration::from_secs(60))?;
            side.notified("/3442/0/120", SOON).map(drop)
        });
        report.case(&format!("{name}/changes-are-told-again"), || {
            side.forget();
            side.write("/3442/0/120", json!(4000))?;
            told_value(&mut side, "4000")
        });
    }
}

/// Waits for a notification of this value, past those that the device's timer sends.
fn told_value(side: &mut Theirs, value: &str) -> Check {
    for _ in 0..20 {
        if side.notified("/3442/0/120", SOON)?.values.values().any(|told| told == value) {
            return Ok(());
        }
    }
    Err(format!("{value} was not told"))
}

/// Our device at a server on Leshan's library.
pub(crate) fn their_server(world: &World, report: &mut Report) {
    const NAME: &str = "leshan-registration-server";
    let lifetime = LIFETIME_S.to_string();
    let flags = ["--lwm2m", "1.1", "--lifetime", &lifetime];
    let started = start(report, &format!("{NAME}/registers"), || Ours::start(world, NAME, &flags));
    let Some(mut side) = started else { return };
    report.case(&format!("{NAME}/updates-before-its-lifetime-ends"), || {
        side.forget();
        side.server.process.wait_for("updated", SOON, updated_in_time)?
    });
    report.case(&format!("{NAME}/lifetime-written-is-told"), || {
        side.forget();
        side.write("/1/0/1", json!(1200))?;
        side.event("updated", SOON)?;
        let registration = side.server.order(json!({"op": "registration"}))?;
        same("lifetime", &registration["lifetime"], &json!(1200))
    });
    report.case(&format!("{NAME}/update-trigger"), || {
        side.forget();
        side.expect(json!({"op": "execute", "path": "/1/0/8"}), "2.04")?;
        side.event("updated", SOON)
    });
    report.case(&format!("{NAME}/new-objects-are-told"), || {
        side.forget();
        side.device.obey("create /3303/5")?;
        side.event("updated", SOON)?;
        eventually(SOON, || {
            let links = side.server.order(json!({"op": "registration"}))?["links"].to_string();
            holds(links.contains("</3303/5>"), || format!("</3303/5> is not among {links}"))
        })
    });
    report.case(&format!("{NAME}/registers-anew-without-de-register"), || {
        side.forget();
        side.device.obey("register")?;
        side.event("registered", SOON)?;
        side.device.event("registered", SOON).map(drop)
    });
    report.case(&format!("{NAME}/de-registers-and-registers-again"), || {
        side.forget();
        side.device.obey("deregister")?;
        side.event("deregistered", SOON)?;
        side.device.obey("register")?;
        side.event("registered", SOON)?;
        side.device.event("registered", SOON).map(drop)
    });
    report.case(&format!("{NAME}/served-after-its-address-changed"), || {
        side.relay().rebind()?;
        side.forget();
        side.device.obey("update")?;
        side.event("updated", SOON)?;
        side.read("/3/0", "tlv").map(drop)
    });
    report.case(&format!("{NAME}/disable"), || disabled(&mut side));
    report.case(&format!("{NAME}/expires-after-its-lifetime"), || {
        let uri = format!("coap://{}", side.relay().front);
        side.write("/1/0/1", json!(2))?;
        side.event("updated", SOON)?;
        side.forget();
        side.device.process.kill();
        side.event("expired", Duration::from_secs(20))?;
        // And a new one is welcome.
        side.device = Device::start(&world.program, &uri, NAME, &flags)?;
        side.event("registered", SOON)
    });
}

/// An Update before the server took the device for lost.
fn updated_in_time(line: &str) -> Option<Check> {
    let event: Value = serde_json::from_str(line).ok()?;
    match event["event"].as_str()? {
        "updated" => Some(Ok(())),
        "expired" | "registered" => Some(Err(line.to_owned())),
        _ => None,
    }
}

/// Execute of /1/0/4: the device leaves and comes back after /1/0/5 seconds.
fn disabled(side: &mut Ours) -> Check {
    side.write("/1/0/5", json!(2))?;
    side.forget();
    // The De-register follows the answer at once, and may overtake it inside the server, which then drops its request.
    let code = side.ask(json!({"op": "execute", "path": "/1/0/4"}))?.code;
    let overtaken = code.contains("RequestCanceledException");
    holds(code == "2.04" || overtaken, || format!("the Execute came to {code}"))?;
    side.event("deregistered", SOON)?;
    let since = Instant::now();
    side.event("registered", SOON)?;
    let away = since.elapsed();
    side.device.event("registered", SOON)?;
    holds(away > Duration::from_millis(1500), || format!("it was back after {away:?}"))
}
