//! A router that forgets: the device's next record comes from another address and another port. Needs root, `ip` and `nft`.

use super::dtls::put_credential;
use super::dtls_peers::KEY;
use super::{World, start};
use crate::leshan::LeshanDevice;
use crate::lightship::{Device, Serve};
use crate::process::{Process, eventually, pause};
use crate::report::{Check, Report, holds, same};
use crate::sides::{SOON, follow};
use crate::tools;
use crate::wire_namespace::Cable;
use serde_json::{Value, json};
use std::net::SocketAddr;
use std::time::Duration;

/// How long a device is taken for awake after it was heard, in seconds.
const AWAKE_S: &str = "2";
/// Safely after that.
const ASLEEP: Duration = Duration::from_secs(30);
/// The port that the router gives out after it forgot.
const OUTSIDE: u16 = 40_001;
/// Ports of devices behind the router, which nobody but the two has.
const INSIDE: [u16; 2] = [45_001, 45_002];

struct Site {
    cable: Cable,
    serve: Serve,
    class_path: String,
}

/// Runs the suite.
pub(crate) fn run(world: &World, report: &mut Report) {
    let started = start(report, "nat/starts", || {
        let cable = Cable::lay()?;
        let at = format!("{}:0", cable.near);
        let more = ["--awake-window", AWAKE_S];
        let serve = Serve::start_secure_at(&world.program, "serve-nat", &at, "allow_nosec = true", &more)?;
        Ok(Site { cable, serve, class_path: tools::leshan_class_path(&world.folders)? })
    });
    let Some(site) = started else { return };
    site.with_connection_id(world, report);
    site.without(world, report);
    site.leshan(world, report);
    site.given_away(world, report);
}

impl Site {
    /// A command that runs a device of ours behind the router.
    fn ours(&self, world: &World, endpoint: &str, more: &[&str]) -> Result<Device, String> {
        put_credential(&self.serve, endpoint, &json!({"mode": "psk", "identity": endpoint, "key_hex": KEY}))?;
        let uri = format!("coaps://{}", self.serve.secure()?);
        let mut command = world.program.command();
        command.args(["device", "--endpoint", endpoint, "--lifetime", "3600", "--server", &uri]);
        command
            .args(["--psk-identity", endpoint, "--psk-key", KEY, "--dtls-timeout", "1", "--queue-mode"])
            .args(more);
        let mut device = Device::from_command(&world.program, endpoint, self.cable.at_far_end(&command))?;
        device.event("registered", SOON)?;
        Ok(device)
    }

    /// The router forgets, and gives the device another port. Returns the registration as it was before.
    fn forget(&self, endpoint: &str, outside: u16) -> Result<Value, String> {
        let before = self.serve.registered(endpoint, SOON)?;
        let port = address(&before)?.port();
        self.cable.rebind(port, outside)?;
        Ok(before)
    }

    fn asleep(&self, endpoint: &str) -> Check {
        eventually(ASLEEP, || {
            same("state", &self.serve.registered(endpoint, SOON)?["state"], &json!("asleep"))
        })
    }

    fn with_connection_id(&self, world: &World, report: &mut Report) {
        const NAME: &str = "nat-with-cid";
        let started = start(report, "nat/with-cid/registers-and-sleeps", || {
            let device = self.ours(world, NAME, &[])?;
            self.asleep(NAME)?;
            Ok((device, self.forget(NAME, OUTSIDE)?))
        });
        let Some((mut device, before)) = started else { return };
        report.case("nat/with-cid/next-record-is-accepted-and-a-request-reaches-the-new-address", || {
            self.read_awake(NAME, &mut device)?;
            self.same_session_elsewhere(NAME, &before, OUTSIDE)
        });
        report.case("nat/with-cid/values-of-the-device-are-believed", || {
            let mut events = follow(world, &self.serve, NAME)?;
            events.wait_for("registered", SOON, |line| line.contains("\"registered\"").then_some(()))?;
            self.asleep(NAME)?;
            self.cable.rebind(address(&before)?.port(), OUTSIDE + 1)?;
            device.obey("send once /3/0/0")?;
            events.wait_for("sent", SOON, |line| line.contains("\"sent\"").then_some(()))?;
            self.same_session_elsewhere(NAME, &before, OUTSIDE + 1)
        });
    }

    fn same_session_elsewhere(&self, endpoint: &str, before: &Value, port: u16) -> Check {
        let after = eventually(SOON, || {
            let now = self.serve.registered(endpoint, SOON)?;
            same("port", &address(&now)?.port(), &port).map(|()| now)
        })?;
        same("registration", &after["registration_id"], &before["registration_id"])?;
        same("session", &after["session"]["cid"], &before["session"]["cid"])?;
        let (new, old) = (address(&after)?, address(before)?);
        holds(new != old, || format!("still at {new}"))
    }

    fn without(&self, world: &World, report: &mut Report) {
        const NAME: &str = "nat-without-cid";
        let started = start(report, "nat/without-cid/registers-and-sleeps", || {
            let device = self.ours(world, NAME, &["--no-cid", "--ack-timeout", "0.5"])?;
            self.asleep(NAME)?;
            Ok((device, self.forget(NAME, OUTSIDE)?))
        });
        let Some((mut device, before)) = started else { return };
        report.case("nat/without-cid/next-record-is-refused", || {
            device.obey("update")?;
            let updated = device.process.wait_for("updated", Duration::from_secs(3), |line| {
                (line.starts_with("event updated") || line.starts_with("event registered"))
                    .then(|| line.to_owned())
            });
            holds(updated.is_err(), || format!("accepted: {updated:?}"))?;
            let now = self.serve.registered(NAME, SOON)?;
            same("address", &now["address"], &before["address"])
        });
        report.case("nat/without-cid/it-comes-back-by-another-handshake", || {
            device.event("secured", Duration::from_secs(60))?;
            eventually(Duration::from_secs(60), || {
                let now = self.serve.registered(NAME, SOON)?;
                same("port", &address(&now)?.port(), &OUTSIDE)?;
                same("resumed", &now["session"]["resumed"], &json!(true))
            })?;
            let path = format!("endpoints/{NAME}/resources/3/0/0?wait=20s");
            self.serve.rest.operate("GET", &path, None, "2.05").map(drop)
        });
    }

    /// The router gives the address of one device to another, while the first one's session lives; the other is a stranger, or
    /// has a session that it can resume.
    fn given_away(&self, world: &World, report: &mut Report) {
        let mut outside = OUTSIDE + 10;
        for (case, cid, stranger) in [
            ("with-cid/to-a-stranger", &[][..], true),
            ("with-cid/to-a-known-one", &[], false),
            ("without-cid/to-a-stranger", &["--no-cid"], true),
            ("without-cid/to-a-known-one", &["--no-cid"], false),
        ] {
            let name = format!("nat/given-away/{case}");
            let [first, second] =
                ["first", "second"].map(|which| format!("nat-{which}-{}", case.replace('/', "-")));
            let local = INSIDE.map(|port| format!("0.0.0.0:{port}"));
            let quick = ["--ack-timeout", "0.5", "--local"];
            let start_second =
                || self.ours(world, &second, &[&["--no-cid"], &quick[..], &[&local[1]]].concat());
            let started = start(report, &format!("{name}/the-first-registers"), || {
                self.cable.rebind(INSIDE[0], outside)?;
                let one = self.ours(world, &first, &[cid, &quick, &[&local[0]]].concat())?;
                let before = self.serve.registered(&first, SOON)?;
                same("port", &address(&before)?.port(), &outside)?;
                let known = if stranger { None } else { Some(start_second()?) };
                self.cable.rebind_all(&[(INSIDE[0], outside + 1), (INSIDE[1], outside)])?;
                Ok((one, known, before))
            });
            let Some((mut one, known, before)) = started else { continue };
            let there =
                start(report, &format!("{name}/the-other-makes-a-handshake-there-and-is-read"), || {
                    let mut two = match known {
                        None => start_second()?,
                        Some(mut known) => {
                            known.obey("update")?;
                            known.event("secured", Duration::from_secs(60))?;
                            known
                        }
                    };
                    let now = eventually(SOON, || {
                        let now = self.serve.registered(&second, SOON)?;
                        same("address", &now["address"], &before["address"]).map(|()| now)
                    })?;
                    if stranger {
                        same("resumed", &now["session"]["resumed"], &json!(false))?;
                    }
                    self.read_awake(&second, &mut two)?;
                    Ok(two)
                });
            let Some(mut two) = there else { continue };
            if cid.is_empty() {
                report.case(&format!("{name}/the-first-goes-on-with-its-session"), || {
                    self.read_awake(&first, &mut one)?;
                    self.same_session_elsewhere(&first, &before, outside + 1)
                });
            } else {
                report.case(&format!("{name}/the-first-comes-back-by-a-handshake"), || {
                    one.obey("update")?;
                    one.event("secured", Duration::from_secs(60))?;
                    eventually(SOON, || {
                        let now = self.serve.registered(&first, SOON)?;
                        same("port", &address(&now)?.port(), &(outside + 1))
                    })?;
                    self.read_awake(&first, &mut one)
                });
            }
            report.case(&format!("{name}/the-other-stays-where-it-is"), || {
                self.read_awake(&second, &mut two)?;
                let now = self.serve.registered(&second, SOON)?;
                same("address", &now["address"], &before["address"])
            });
            outside += 2;
        }
    }

    /// Reads a device that is told to show itself meanwhile.
    fn read_awake(&self, endpoint: &str, device: &mut Device) -> Check {
        let rest = self.serve.rest.again();
        let path = format!("endpoints/{endpoint}/resources/3/0/0?wait=20s");
        let waiting = std::thread::spawn(move || rest.operate("GET", &path, None, "2.05"));
        pause(Duration::from_millis(300));
        device.obey("update")?;
        waiting.join().map_err(|_| "the request panicked")?.map(drop)
    }

    fn leshan(&self, world: &World, report: &mut Report) {
        // The first one stays at its port; a session there would keep the other from being led to its own by its ID.
        for (cid, goes_on, outside) in [("cid=0", true, OUTSIDE + 2), ("", false, OUTSIDE + 3)] {
            let name = if goes_on { "nat/leshan-with-cid" } else { "nat/leshan-without-cid" };
            let endpoint = name.replace('/', "-");
            let started = start(report, &format!("{name}/registers"), || {
                let psk = json!({"mode": "psk", "identity": endpoint, "key_hex": KEY});
                put_credential(&self.serve, &endpoint, &psk)?;
                let uri = format!("coaps://{}", self.serve.secure()?);
                let mut java = crate::leshan::java(&self.class_path, "LeshanDevice");
                java.args([&uri, &endpoint, "3600", "queue", &format!("psk={endpoint}:{KEY}"), cid]);
                let log = world.program.logs.join(format!("{endpoint}.log"));
                let mut device =
                    LeshanDevice { process: Process::start(self.cable.at_far_end(&java), &log)? };
                device.registered()?;
                Ok((device, self.forget(&endpoint, outside)?))
            });
            let Some((mut device, before)) = started else { continue };
            if goes_on {
                report.case(&format!("{name}/goes-on-and-is-read-at-the-new-address"), || {
                    device.process.tell("update")?;
                    device.says("updated", SOON)?;
                    let path = format!("endpoints/{endpoint}/resources/3/0/0?wait=10s");
                    self.serve.rest.operate("GET", &path, None, "2.05")?;
                    self.same_session_elsewhere(&endpoint, &before, outside)
                });
            } else {
                report.case(&format!("{name}/next-record-is-refused"), || {
                    device.process.tell("update")?;
                    let updated = device.says("updated", Duration::from_secs(3));
                    holds(updated.is_err(), || "accepted".to_owned())?;
                    let now = self.serve.registered(&endpoint, SOON)?;
                    same("address", &now["address"], &before["address"])
                });
                report.case(&format!("{name}/comes-back-by-resumption"), || {
                    device.process.tell("resume")?;
                    eventually(Duration::from_secs(60), || {
                        let now = self.serve.registered(&endpoint, SOON)?;
                        same("port", &address(&now)?.port(), &outside)?;
                        same("resumed", &now["session"]["resumed"], &json!(true))
                    })
                });
            }
        }
    }
}

fn address(registration: &Value) -> Result<SocketAddr, String> {
    let text = registration["address"].as_str().ok_or("no address")?;
    text.parse().map_err(|_| format!("no address: {text}"))
}
