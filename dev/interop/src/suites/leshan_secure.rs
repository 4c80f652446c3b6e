//! Leshan's device at our server through DTLS: credentials, connection IDs, resumption, addresses that change.

use super::dtls::{put_credential, security};
use super::dtls_peers::KEY;
use super::{World, start};
use crate::keys::{Keys, SERVER_NAME};
use crate::leshan::LeshanDevice;
use crate::lightship::Serve;
use crate::process::{eventually, pause};
use crate::relay::{Relay, unchanged};
use crate::report::{Check, Report, holds, same};
use crate::sides::{SOON, follow};
use crate::tools;
use serde_json::{Value, json};
use std::time::Duration;

const NAME: &str = "leshan-secure-device";
const LIFETIME_S: u32 = 3600;
/// Longer than a Java program on a busy machine takes to start and to be refused.
const REFUSAL: Duration = Duration::from_secs(60);

struct Hall<'a> {
    world: &'a World,
    keys: Keys,
    serve: Serve,
    class_path: String,
}

/// Runs the suite.
pub(crate) fn their_device(world: &World, report: &mut Report) {
    let started = start(report, &format!("{NAME}/starts"), || {
        let keys = Keys::of_this_run(&world.folders.cache)?;
        let other = format!(
            "servers = [{{ names = [\"other.interop.test\"], key_file = \"{}\", certificate_file = \"{}\" }}]",
            keys.path("other.key"),
            keys.path("other.crt")
        );
        let text = format!("{}{other}\n", security(&keys));
        let serve = Serve::start_secure(&world.program, "serve-leshan-secure", &text)?;
        let class_path = tools::leshan_class_path(&world.folders)?;
        Ok(Hall { world, keys, serve, class_path })
    });
    let Some(hall) = started else { return };
    hall.kinds(report);
    hall.refusals(report);
    hall.usages(report);
    hall.sessions(report);
    hall.moves(report);
    hall.removals(report);
}

impl Hall<'_> {
    fn uri(&self) -> Result<String, String> {
        Ok(format!("coaps://localhost:{}", self.serve.secure()?.port()))
    }

    fn device(&self, uri: &str, endpoint: &str, flags: &[&str]) -> Result<LeshanDevice, String> {
        LeshanDevice::start_with(&self.class_path, &self.world.program.logs, uri, endpoint, LIFETIME_S, flags)
    }

    fn admit(&self, endpoint: &str, credential: &Value) -> Check {
        put_credential(&self.serve, endpoint, credential)
    }

    fn admit_psk(&self, endpoint: &str) -> Check {
        self.admit(endpoint, &json!({"mode": "psk", "identity": endpoint, "key_hex": KEY}))
    }

    /// `rpk=` with the key pair of that name.
    fn rpk(&self, own: &str) -> Result<String, String> {
        self.keys.device(own)?;
        let file = |file: String| self.keys.path(&file);
        Ok(format!(
            "rpk={}:{}:{}",
            file(format!("{own}.pub.der")),
            file(format!("{own}.key.der")),
            file("server.pub.der".into())
        ))
    }

    /// `x509=` with the certificate of that name, expecting the server's certificate or authority in `given`.
    fn x509(&self, own: &str, given: &str) -> Result<String, String> {
        self.keys.device(own)?;
        let file = |file: String| self.keys.path(&file);
        Ok(format!(
            "x509={}:{}:{}",
            file(format!("{own}.crt.der")),
            file(format!("{own}.key.der")),
            file(format!("{given}.crt.der"))
        ))
    }

    /// It registers with these flags, is read, and is shown as secured like this.
    fn comes(&self, endpoint: &str, flags: &[&str], mode: &str) -> Result<(LeshanDevice, Value), String> {
        let mut device = self.device(&self.uri()?, endpoint, flags)?;
        device.registered()?;
        let registration = self.serve.registered(endpoint, SOON)?;
        same("mode", &registration["security"]["mode"].as_str(), &Some(mode))?;
        self.is_read(endpoint)?;
        Ok((device, registration))
    }

    fn is_read(&self, endpoint: &str) -> Check {
        self.serve
            .rest
            .operate("GET", &format!("endpoints/{endpoint}/resources/3/0/0"), None, "2.05")
            .map(drop)
    }

    /// It does not get in.
    fn stays_out(&self, endpoint: &str, flags: &[&str]) -> Check {
        let mut device = self.device(&self.uri()?, endpoint, flags)?;
        let outcome = ["registered", "failed", "refused", "timed out"];
        let ended = |line: &str| outcome.iter().any(|word| line.starts_with(word)).then(|| line.to_owned());
        let said = device.process.wait_for("the end of the attempt", REFUSAL, ended)?;
        holds(!said.starts_with("registered"), || said)?;
        same("registration", &self.serve.rest.get(&format!("endpoints/{endpoint}"))?.status, &404)
    }

    fn kinds(&self, report: &mut Report) {
        let suites = [
            "TLS_PSK_WITH_AES_128_CCM_8",
            "TLS_PSK_WITH_AES_128_GCM_SHA256",
            "TLS_ECDHE_PSK_WITH_AES_128_CCM_8_SHA256",
            "TLS_ECDHE_PSK_WITH_AES_128_CCM_SHA256",
            "TLS_ECDHE_PSK_WITH_AES_128_GCM_SHA256",
            "TLS_PSK_WITH_AES_128_CBC_SHA256",
        ];
        for (number, suite) in suites.into_iter().enumerate() {
            report.case(&format!("{NAME}/psk/{suite}"), || {
                let endpoint = format!("leshan-psk-{number}");
                self.admit_psk(&endpoint)?;
                let flags = [format!("psk={endpoint}:{KEY}"), format!("suite={suite}")];
                let flags: Vec<&str> = flags.iter().map(String::as_str).collect();
                let (_, registration) = self.comes(&endpoint, &flags, "psk")?;
                same("suite", &registration["security"]["cipher_suite"].as_str(), &Some(suite))
            });
        }
        report.case(&format!("{NAME}/rpk"), || {
            let endpoint = "leshan-rpk";
            let flag = self.rpk(endpoint)?;
            let public = self.keys.text(&format!("{endpoint}.pub"))?;
            self.admit(endpoint, &json!({"mode": "rpk", "public_key_pem": public}))?;
            self.comes(endpoint, &[&flag], "rpk").map(drop)
        });
        report.case(&format!("{NAME}/registers-again"), || {
            self.admit_psk("leshan-again")?;
            let flag = format!("psk=leshan-again:{KEY}");
            let (mut device, _) = self.comes("leshan-again", &[&flag], "psk")?;
            device.process.tell("quit")?;
            self.serve.gone("leshan-again", SOON)?;
            self.comes("leshan-again", &[&flag], "psk").map(drop)
        });
    }

    fn refusals(&self, report: &mut Report) {
        let psk = |identity: &str, key: &str| format!("psk={identity}:{key}");
        report.case(&format!("{NAME}/refused/psk-wrong-key"), || {
            self.admit_psk("leshan-wrong-key")?;
            self.stays_out("leshan-wrong-key", &[&psk("leshan-wrong-key", "ff")])
        });
        report.case(&format!("{NAME}/refused/psk-unknown-identity"), || {
            self.admit_psk("leshan-wrong-identity")?;
            self.stays_out("leshan-wrong-identity", &[&psk("somebody", KEY)])
        });
        report.case(&format!("{NAME}/refused/psk-of-another-endpoint"), || {
            self.admit_psk("leshan-owner")?;
            self.admit("leshan-thief", &json!({"mode": "psk", "identity": "thief", "key_hex": KEY}))?;
            self.stays_out("leshan-thief", &[&psk("leshan-owner", KEY)])
        });
        report.case(&format!("{NAME}/refused/psk-identity-given-twice"), || {
            self.admit_psk("leshan-first")?;
            let second = json!({"mode": "psk", "identity": "leshan-first", "key_hex": KEY});
            self.serve.rest.refuse("PUT", "credentials/leshan-second", Some(&second), 409)
        });
        report.case(&format!("{NAME}/refused/rpk-unknown-key"), || {
            let flag = self.rpk("leshan-rpk-unknown")?;
            self.keys.device("leshan-rpk-known")?;
            let public = self.keys.text("leshan-rpk-known.pub")?;
            self.admit("leshan-rpk-unknown", &json!({"mode": "rpk", "public_key_pem": public}))?;
            self.stays_out("leshan-rpk-unknown", &[&flag])
        });
        report.case(&format!("{NAME}/refused/rpk-where-x509-is-due"), || {
            let flag = self.rpk("leshan-not-rpk")?;
            self.admit("leshan-not-rpk", &json!({"mode": "x509"}))?;
            self.stays_out("leshan-not-rpk", &[&flag])
        });
        report.case(&format!("{NAME}/refused/x509-where-rpk-is-due"), || {
            let flag = self.x509("leshan-not-x509", "server")?;
            let public = self.keys.text("leshan-not-x509.pub")?;
            self.admit("leshan-not-x509", &json!({"mode": "rpk", "public_key_pem": public}))?;
            self.stays_out("leshan-not-x509", &[&flag])
        });
        report.case(&format!("{NAME}/refused/x509-of-another-name"), || {
            let flag = self.x509("leshan-name-a", "server")?;
            self.admit("leshan-name-a", &json!({"mode": "x509"}))?;
            self.admit("leshan-name-b", &json!({"mode": "x509"}))?;
            self.stays_out("leshan-name-b", &[&flag])
        });
        report.case(&format!("{NAME}/refused/x509-of-a-stranger"), || {
            self.keys.device_by("leshan-by-stranger", "leshan-by-stranger", "stranger")?;
            self.admit("leshan-by-stranger", &json!({"mode": "x509"}))?;
            self.stays_out("leshan-by-stranger", &[&self.x509("leshan-by-stranger", "server")?])
        });
        report.case(&format!("{NAME}/refused/x509-with-another-key"), || {
            self.keys.device("leshan-key-a")?;
            self.keys.device("leshan-key-b")?;
            self.admit("leshan-key-a", &json!({"mode": "x509"}))?;
            let path = |file| self.keys.path(file);
            let (own, key, given) =
                (path("leshan-key-a.crt.der"), path("leshan-key-b.key.der"), path("server.crt.der"));
            self.stays_out("leshan-key-a", &[&format!("x509={own}:{key}:{given}")])
        });
    }

    /// Their device judges our server by each usage; our server presents what it should.
    fn usages(&self, report: &mut Report) {
        let trust = format!("trust={}", self.keys.path("ca.crt.der"));
        let name = format!("sni={SERVER_NAME}");
        // Usage, what the device was given, whether it comes.
        let table = [
            (0, "ca", true),
            (0, "stranger", false),
            (1, "server", true),
            (1, "other", false),
            (2, "ca", true),
            (2, "stranger", false),
            (3, "server", true),
            (3, "other", false),
        ];
        for (usage, given, good) in table {
            let verdict = if good { "comes" } else { "stays-away" };
            report.case(&format!("{NAME}/x509/usage-{usage}/{given}/{verdict}"), || {
                let endpoint = format!("leshan-usage-{usage}-{given}");
                let flags =
                    [self.x509(&endpoint, given)?, format!("usage={usage}"), trust.clone(), name.clone()];
                let flags: Vec<&str> = flags.iter().map(String::as_str).collect();
                self.admit(&endpoint, &json!({"mode": "x509"}))?;
                if good {
                    self.comes(&endpoint, &flags, "x509").map(drop)
                } else {
                    self.stays_out(&endpoint, &flags)
                }
            });
        }
        for (sni, good) in [("other.interop.test", true), (SERVER_NAME, false)] {
            let verdict = if good { "right-certificate" } else { "not-for-another-name" };
            report.case(&format!("{NAME}/sni/{verdict}"), || {
                let endpoint = format!("leshan-sni-{verdict}");
                let flags = [self.x509(&endpoint, "other")?, "usage=3".into(), format!("sni={sni}")];
                let flags: Vec<&str> = flags.iter().map(String::as_str).collect();
                self.admit(&endpoint, &json!({"mode": "x509"}))?;
                if good {
                    self.comes(&endpoint, &flags, "x509").map(drop)
                } else {
                    self.stays_out(&endpoint, &flags)
                }
            });
        }
    }

    fn sessions(&self, report: &mut Report) {
        for (cid, shown) in [("", false), ("cid=0", true), ("cid=5", true)] {
            report.case(&format!("{NAME}/{}", if cid.is_empty() { "no-cid" } else { cid }), || {
                let endpoint = format!("leshan-cid-{}", cid.replace('=', ""));
                self.admit_psk(&endpoint)?;
                let psk = format!("psk={endpoint}:{KEY}");
                let (_, registration) = self.comes(&endpoint, &[&psk, cid], "psk")?;
                let found = &registration["security"]["cid"];
                holds(found.as_str().is_some_and(|cid| !cid.is_empty()) == shown, || format!("cid {found}"))
            });
        }
        for (order, resumed) in [("resume", true), ("handshake", false)] {
            report.case(&format!("{NAME}/{order}"), || {
                let endpoint = format!("leshan-{order}");
                self.admit_psk(&endpoint)?;
                let (mut device, before) =
                    self.comes(&endpoint, &[&format!("psk={endpoint}:{KEY}")], "psk")?;
                pause(Duration::from_millis(1100)); // the moment of opening is told in seconds
                device.process.tell(order)?;
                device.says("updated", SOON)?;
                eventually(SOON, || {
                    let session = self.serve.registered(&endpoint, SOON)?["session"].clone();
                    holds(session["opened_at"] != before["session"]["opened_at"], || {
                        "the old session".to_owned()
                    })?;
                    same("resumed", &session["resumed"], &json!(resumed))
                })?;
                self.is_read(&endpoint)
            });
        }
        report.case(&format!("{NAME}/record-size-limit"), || {
            self.admit_psk("leshan-limit")?;
            let psk = format!("psk=leshan-limit:{KEY}");
            let (_device, _) = self.comes("leshan-limit", &[&psk, "limit=200"], "psk")?;
            // Longer than the limit: it goes in blocks, or in records that fit.
            let path = "endpoints/leshan-limit/resources/3442/0/150";
            let long = json!({"path": "/3442/0/150", "value": "A".repeat(400)});
            self.serve.rest.operate("PUT", path, Some(&long), "2.04").map(drop)
        });
    }

    /// Through a relay whose address changes: with a connection ID the session goes on, for each kind of credential.
    fn moves(&self, report: &mut Report) {
        for mode in ["psk", "rpk", "x509"] {
            let started =
                start(report, &format!("{NAME}/moves/{mode}/registers"), || self.moving(mode, "cid=0"));
            let Some((mut device, relay, endpoint)) = started else { continue };
            report.case(&format!("{NAME}/moves/{mode}/notification-is-believed"), || {
                let mut events = follow(self.world, &self.serve, &endpoint)?;
                let path = format!("endpoints/{endpoint}/attributes/3442/0/120");
                self.serve.rest.operate("PUT", &path, Some(&json!({"pmax": 1})), "2.04")?;
                let path = format!("endpoints/{endpoint}/observations/3442/0/120");
                self.serve.rest.operate("PUT", &path, None, "2.05")?;
                relay.rebind()?;
                events.skip_output();
                for _ in 0..2 {
                    events.wait_for("notified", SOON, |line| line.contains("\"notified\"").then_some(()))?;
                }
                Ok(())
            });
            report.case(&format!("{NAME}/moves/{mode}/request-reaches-it-there"), || self.is_read(&endpoint));
            report.case(&format!("{NAME}/moves/{mode}/send-is-believed"), || {
                relay.rebind()?;
                device.process.tell("send SENML_CBOR /3/0/0")?;
                let sent = device.says("sent", SOON)?;
                holds(sent.contains("CHANGED"), || sent)
            });
            report.case(&format!("{NAME}/moves/{mode}/update-is-believed"), || {
                let before = self.serve.registered(&endpoint, SOON)?;
                relay.rebind()?;
                device.process.tell("update")?;
                device.says("updated", SOON)?;
                let after = self.serve.registered(&endpoint, SOON)?;
                same("registration", &after["registration_id"], &before["registration_id"])
            });
        }
        let started =
            start(report, &format!("{NAME}/moves/without-cid/registers"), || self.moving("psk", ""));
        let Some((mut device, relay, endpoint)) = started else { return };
        report.case(&format!("{NAME}/moves/without-cid/update-is-not-believed"), || {
            relay.rebind()?;
            device.process.tell("update")?;
            let updated = device.says("updated", Duration::from_secs(3));
            holds(updated.is_err(), || "updated".to_owned())
        });
        report.case(&format!("{NAME}/moves/without-cid/comes-back-by-a-handshake"), || {
            device.process.tell("handshake")?;
            device.process.wait_for("registered or updated", Duration::from_secs(60), |line| {
                (line.starts_with("updated") || line.starts_with("registered")).then_some(())
            })?;
            self.is_read(&endpoint)
        });
    }

    fn moving(&self, mode: &str, cid: &str) -> Result<(LeshanDevice, Relay, String), String> {
        let endpoint = format!("leshan-moves-{mode}{}", cid.replace('=', ""));
        let relay = Relay::start(self.serve.secure()?, unchanged)?;
        let credential = match mode {
            "psk" => {
                self.admit_psk(&endpoint)?;
                format!("psk={endpoint}:{KEY}")
            }
            "rpk" => {
                let flag = self.rpk(&endpoint)?;
                let public = self.keys.text(&format!("{endpoint}.pub"))?;
                self.admit(&endpoint, &json!({"mode": "rpk", "public_key_pem": public}))?;
                flag
            }
            _ => {
                self.admit(&endpoint, &json!({"mode": "x509"}))?;
                self.x509(&endpoint, "server")?
            }
        };
        let uri = format!("coaps://localhost:{}", relay.front.port());
        let mut device = self.device(&uri, &endpoint, &[&credential, cid])?;
        device.registered()?;
        Ok((device, relay, endpoint))
    }

    /// A credential that is taken away or changed ends the session that it opened.
    fn removals(&self, report: &mut Report) {
        for (how, change) in [
            ("removed", None),
            ("another-identity", Some(json!({"mode": "psk", "identity": "leshan-renamed", "key_hex": KEY}))),
            (
                "another-key",
                Some(json!({"mode": "psk", "identity": "leshan-cut-another-key", "key_hex": "00"})),
            ),
        ] {
            report.case(&format!("{NAME}/credential-{how}/cuts-the-session"), || {
                let endpoint = format!("leshan-cut-{how}");
                self.admit_psk(&endpoint)?;
                let (mut device, _) = self.comes(&endpoint, &[&format!("psk={endpoint}:{KEY}")], "psk")?;
                match &change {
                    Some(change) => self.admit(&endpoint, change)?,
                    None => {
                        let answer =
                            self.serve.rest.send("DELETE", &format!("credentials/{endpoint}"), None)?;
                        holds(answer.status < 300, || format!("{}", answer.status))?;
                    }
                }
                let path = format!("endpoints/{endpoint}/resources/3/0/0?wait=2s");
                let read = self.serve.rest.get(&path)?;
                holds(read.body["code"].is_null(), || format!("still read: {}", read.body))?;
                device.process.tell("update")?;
                let updated = device.says("updated", Duration::from_secs(3));
                holds(updated.is_err(), || "still updated".to_owned())
            });
        }
    }
}
