//! Our device at Leshan's server through DTLS: credentials, certificate usages, connection IDs, resumption.

use super::dtls_peers::KEY;
use super::{World, start};
use crate::keys::{Keys, SERVER_NAME};
use crate::leshan::LeshanServer;
use crate::lightship::Device;
use crate::ports::at_free_port;
use crate::relay::{Relay, unchanged};
use crate::report::{Check, Report, holds};
use crate::sides::SOON;
use crate::tools;
use serde_json::{Value, json};
use std::time::Duration;

const NAME: &str = "leshan-secure-server";

/// A usage, what the device was given, and whether it comes.
type Row = (u8, &'static str, bool);

struct Hall<'a> {
    world: &'a World,
    keys: Keys,
    class_path: String,
}

/// A server of theirs and where it listens.
struct Theirs {
    server: LeshanServer,
    uri: String,
    port: u16,
}

/// Runs the suite.
pub(crate) fn their_server(world: &World, report: &mut Report) {
    let started = start(report, &format!("{NAME}/starts"), || {
        let keys = Keys::of_this_run(&world.folders.cache)?;
        Ok(Hall { world, keys, class_path: tools::leshan_class_path(&world.folders)? })
    });
    let Some(hall) = started else { return };
    hall.shared_keys(report);
    hall.raw_keys(report);
    hall.moves(report);
    hall.certificates(report);
}

impl Hall<'_> {
    fn server(&self, name: &str, flags: &[String]) -> Result<Theirs, String> {
        let mut arguments = vec!["93000", "coaps"];
        arguments.extend(flags.iter().map(String::as_str));
        let logs = &self.world.program.logs;
        at_free_port(|port| {
            let server = LeshanServer::start_with(&self.class_path, logs, port, name, &arguments)?;
            Ok(Theirs { server, uri: format!("coaps://127.0.0.1:{port}"), port })
        })
    }

    fn device(&self, uri: &str, endpoint: &str, flags: &[String]) -> Result<Device, String> {
        let mut flags: Vec<&str> = flags.iter().map(String::as_str).collect();
        if !flags.contains(&"--dtls-timeout") {
            flags.extend(["--dtls-timeout", "1"]);
        }
        Device::start(&self.world.program, uri, endpoint, &flags)
    }

    /// Our device registers and is read.
    fn comes(&self, theirs: &mut Theirs, endpoint: &str, flags: &[String]) -> Result<Device, String> {
        let mut device = self.device(&theirs.uri, endpoint, flags)?;
        device.event("registered", SOON)?;
        theirs.server.set_endpoint(endpoint);
        theirs.server.expect(json!({"op": "read", "path": "/3/0/0", "format": "TLV"}), "2.05")?;
        Ok(device)
    }

    /// Our device does not register, and says why.
    fn stays_away(&self, theirs: &Theirs, endpoint: &str, flags: &[String]) -> Check {
        // Scandium says nothing to whoever it does not know: we give up when nothing came for long.
        let flags = [flags, &["--dtls-timeout".into(), "0.1".into()]].concat();
        let mut device = self.device(&theirs.uri, endpoint, &flags)?;
        device.process.wait_for("a failed handshake", Duration::from_secs(30), |line| {
            let failed = line.starts_with("event handshake-failed") || line.starts_with("event failed");
            let came = line.starts_with("event registered");
            if failed { Some(Ok(())) } else { came.then(|| Err(line.to_owned())) }
        })?
    }

    fn credential(&self, theirs: &mut Theirs, endpoint: &str, mut credential: Value) -> Check {
        credential["op"] = json!("credential");
        theirs.server.set_endpoint(endpoint);
        let answer = theirs.server.order(credential)?;
        holds(answer["done"] == true, || answer.to_string())
    }

    fn psk(&self, theirs: &mut Theirs, endpoint: &str) -> Result<Vec<String>, String> {
        self.credential(theirs, endpoint, json!({"identity": endpoint, "key": KEY}))?;
        Ok(psk_flags(endpoint, KEY))
    }

    fn shared_keys(&self, report: &mut Report) {
        let started = start(report, &format!("{NAME}/psk/server-starts"), || {
            self.server("leshan-psk-server", &["cid=6".into()])
        });
        let Some(mut theirs) = started else { return };
        for suite in [
            "TLS_PSK_WITH_AES_128_CCM_8",
            "TLS_ECDHE_PSK_WITH_AES_128_CCM_8_SHA256",
            "TLS_ECDHE_PSK_WITH_AES_128_GCM_SHA256",
        ] {
            report.case(&format!("{NAME}/psk/{suite}"), || {
                let endpoint = format!("ours-{}", suite.to_lowercase());
                let mut flags = self.psk(&mut theirs, &endpoint)?;
                flags.extend(["--ciphersuites".into(), suite.into()]);
                self.comes(&mut theirs, &endpoint, &flags).map(drop)
            });
        }
        report.case(&format!("{NAME}/psk/registers-again"), || {
            let flags = self.psk(&mut theirs, "ours-again")?;
            let mut device = self.comes(&mut theirs, "ours-again", &flags)?;
            device.obey("deregister")?;
            device.event("deregistered", SOON)?;
            device.obey("register")?;
            device.event("registered", SOON).map(drop)
        });
        report.case(&format!("{NAME}/psk/refused/wrong-key"), || {
            self.psk(&mut theirs, "ours-wrong-key")?;
            self.stays_away(&theirs, "ours-wrong-key", &psk_flags("ours-wrong-key", "00"))
        });
        report.case(&format!("{NAME}/psk/refused/unknown-identity"), || {
            self.stays_away(&theirs, "ours-unknown", &psk_flags("ours-unknown", KEY))
        });
        report.case(&format!("{NAME}/psk/refused/another-endpoint"), || {
            self.psk(&mut theirs, "ours-owner")?;
            self.stays_away(&theirs, "ours-thief", &psk_flags("ours-owner", KEY))
        });
        report.case(&format!("{NAME}/psk/reconnects-by-resumption"), || {
            let flags = self.psk(&mut theirs, "ours-resumes")?;
            let mut device = self.comes(&mut theirs, "ours-resumes", &flags)?;
            device.process.skip_output();
            device.obey("reconnect")?;
            let secured = device.event("secured", SOON)?;
            holds(secured.contains("resumed=true"), || secured)?;
            device.event("registered", SOON)?;
            theirs.server.expect(json!({"op": "read", "path": "/3/0/0", "format": "TLV"}), "2.05").map(drop)
        });
        report.case(&format!("{NAME}/psk/credential-removed-cuts-the-session"), || {
            let mut flags = self.psk(&mut theirs, "ours-removed")?;
            flags.extend(["--dtls-timeout", "0.1", "--ack-timeout", "0.2"].map(str::to_owned));
            let mut device = self.comes(&mut theirs, "ours-removed", &flags)?;
            device.process.skip_output();
            theirs.server.order(json!({"op": "forget-credential"}))?;
            device.process.tell("update")?;
            device.event("handshake-failed", Duration::from_secs(120)).map(drop)
        });
    }

    fn raw_keys(&self, report: &mut Report) {
        let flags = ["key=server.key.der", "public=server.pub.der"].map(|flag| self.file(flag));
        let started =
            start(report, &format!("{NAME}/rpk/server-starts"), || self.server("leshan-rpk-server", &flags));
        let Some(mut theirs) = started else { return };
        let own = |endpoint: &str, server: &str| -> Result<Vec<String>, String> {
            self.keys.device(endpoint)?;
            let key = self.keys.path(&format!("{endpoint}.key"));
            Ok(vec!["--rpk-key".into(), key, "--rpk-peer".into(), self.keys.path(&format!("{server}.pub"))])
        };
        report.case(&format!("{NAME}/rpk/comes"), || {
            let flags = own("ours-rpk", "server")?;
            let public = self.keys.path("ours-rpk.pub.der");
            self.credential(&mut theirs, "ours-rpk", json!({"public": public}))?;
            self.comes(&mut theirs, "ours-rpk", &flags).map(drop)
        });
        report.case(&format!("{NAME}/rpk/refused/the-server-has-another-key"), || {
            let flags = own("ours-rpk-other", "other")?;
            let public = self.keys.path("ours-rpk-other.pub.der");
            self.credential(&mut theirs, "ours-rpk-other", json!({"public": public}))?;
            self.stays_away(&theirs, "ours-rpk-other", &flags)
        });
        report.case(&format!("{NAME}/rpk/refused/we-have-another-key"), || {
            let flags = own("ours-rpk-wrong", "server")?;
            let public = self.keys.path("other.pub.der");
            self.credential(&mut theirs, "ours-rpk-wrong", json!({"public": public}))?;
            self.stays_away(&theirs, "ours-rpk-wrong", &flags)
        });
    }

    /// `name=a,b` with the paths of the files.
    fn file(&self, flag: &str) -> String {
        let (name, files) = flag.split_once('=').unwrap_or((flag, ""));
        let paths: Vec<String> = files.split(',').map(|file| self.keys.path(file)).collect();
        format!("{name}={}", paths.join(","))
    }

    fn moves(&self, report: &mut Report) {
        let started = start(report, &format!("{NAME}/moves/server-starts"), || {
            let mut theirs = self.server("leshan-moves-server", &["cid=6".into(), "follow".into()])?;
            let flags = self.psk(&mut theirs, "ours-moves")?;
            let relay = Relay::start(([127, 0, 0, 1], theirs.port).into(), unchanged)?;
            theirs.uri = format!("coaps://{}", relay.front);
            let device = self.comes(&mut theirs, "ours-moves", &flags)?;
            Ok((theirs, device, relay))
        });
        let Some((mut theirs, mut device, relay)) = started else { return };
        report.case(&format!("{NAME}/moves/notification-is-believed"), || {
            theirs
                .server
                .expect(json!({"op": "observe", "path": "/3303/0/5700", "format": "TLV"}), "2.05")?;
            relay.rebind()?;
            theirs.server.process.skip_output();
            device.obey("set /3303/0/5700 33.5")?;
            theirs.server.event("notified", SOON).map(drop)
        });
        report.case(&format!("{NAME}/moves/request-reaches-it-there"), || {
            theirs.server.expect(json!({"op": "read", "path": "/3/0/0", "format": "TLV"}), "2.05").map(drop)
        });
        report.case(&format!("{NAME}/moves/send-is-believed"), || {
            relay.rebind()?;
            device.obey("send /3/0/0")?;
            device.event("sent", SOON).map(drop)
        });
        report.case(&format!("{NAME}/moves/update-is-believed"), || {
            relay.rebind()?;
            device.process.skip_output();
            device.obey("update")?;
            device.event("updated", SOON).map(drop)
        });
        drop((device, relay));
        report.case(&format!("{NAME}/moves/without-cid/comes-back-by-itself"), || {
            let mut flags = self.psk(&mut theirs, "ours-no-cid")?;
            flags.extend(["--no-cid".into(), "--ack-timeout".into(), "0.3".into()]);
            let relay = Relay::start(([127, 0, 0, 1], theirs.port).into(), unchanged)?;
            theirs.uri = format!("coaps://{}", relay.front);
            let mut device = self.comes(&mut theirs, "ours-no-cid", &flags)?;
            relay.rebind()?;
            device.process.skip_output();
            device.obey("update")?;
            device.event("secured", Duration::from_secs(60))?;
            device.process.wait_for("updated or registered", SOON, |line| {
                (line.starts_with("event updated") || line.starts_with("event registered")).then_some(())
            })?;
            theirs.server.expect(json!({"op": "read", "path": "/3/0/0", "format": "TLV"}), "2.05").map(drop)
        });
    }

    /// Each server chain, each usage: what the device was given, and whether it goes in.
    fn certificates(&self, report: &mut Report) {
        let table: [(&str, &[Row]); 5] = [
            (
                "server",
                &[
                    (0, "ca", true),
                    (0, "stranger", false),
                    (1, "server", true),
                    (1, "other", false),
                    (2, "ca", true),
                    (2, "stranger", false),
                    (3, "server", true),
                    (3, "other", false),
                ],
            ),
            (
                "deep,between",
                &[
                    (0, "between", true),
                    (0, "ca", true),
                    (0, "deep", false),
                    (1, "deep", true),
                    (2, "ca", true),
                    (2, "between", true),
                    (3, "deep", true),
                ],
            ),
            ("deep", &[(0, "ca", false), (1, "deep", false), (2, "ca", false), (3, "deep", true)]),
            ("alone", &[(0, "alone", false), (1, "alone", false), (2, "ca", false), (3, "alone", true)]),
            ("other", &[(0, "ca", false), (1, "other", false), (2, "ca", false), (3, "other", true)]),
        ];
        for (chain, rows) in table {
            let shown = chain.replace(',', "+");
            let started = start(report, &format!("{NAME}/x509/{shown}/server-starts"), || {
                let own = chain.split(',').next().unwrap_or(chain);
                let files = chain.replace(',', ".crt.der,");
                let flags = [
                    format!("key={own}.key.der"),
                    format!("chain={files}.crt.der"),
                    "trust=ca.crt.der".into(),
                ];
                let flags = flags.map(|flag| self.file(&flag));
                let mut theirs = self.server(&format!("leshan-x509-{own}-{}", rows.len()), &flags)?;
                self.keys.device("ours-x509")?;
                self.credential(&mut theirs, "ours-x509", json!({"x509": true}))?;
                Ok(theirs)
            });
            let Some(mut theirs) = started else { continue };
            for (usage, given, good) in rows {
                let verdict = if *good { "comes" } else { "stays-away" };
                report.case(&format!("{NAME}/x509/{shown}/usage-{usage}/{given}/{verdict}"), || {
                    let flags = self.x509("ours-x509", *usage, given)?;
                    if *good {
                        self.comes(&mut theirs, "ours-x509", &flags)?.obey("deregister").map(drop)
                    } else {
                        self.stays_away(&theirs, "ours-x509", &flags)
                    }
                });
            }
            if chain == "server" {
                self.refused_certificates(report, &mut theirs);
            }
        }
    }

    /// Our flags: the given certificate first, then what the device trusts by itself.
    fn x509(&self, endpoint: &str, usage: u8, given: &str) -> Result<Vec<String>, String> {
        let mut trust = self.keys.text(&format!("{given}.crt"))?;
        if usage < 2 {
            trust += &self.keys.text("ca.crt")?;
        }
        let file = self.world.program.logs.join(format!("trust-{usage}-{given}.pem"));
        std::fs::write(&file, trust).map_err(|error| error.to_string())?;
        let path = |file: String| self.keys.path(&file);
        Ok(vec![
            "--cert".into(),
            path(format!("{endpoint}.crt")),
            "--key".into(),
            path(format!("{endpoint}.key")),
            "--trust".into(),
            file.to_string_lossy().into_owned(),
            "--certificate-usage".into(),
            usage.to_string(),
            "--server-name".into(),
            SERVER_NAME.into(),
        ])
    }

    fn refused_certificates(&self, report: &mut Report, theirs: &mut Theirs) {
        report.case(&format!("{NAME}/x509/refused/another-common-name"), || {
            self.keys.device_by("ours-name", "somebody-else", "ca")?;
            self.credential(theirs, "ours-name", json!({"x509": true}))?;
            self.stays_away(theirs, "ours-name", &self.x509("ours-name", 3, "server")?)
        });
        report.case(&format!("{NAME}/x509/refused/by-a-stranger"), || {
            self.keys.device_by("ours-foreign", "ours-foreign", "stranger")?;
            self.credential(theirs, "ours-foreign", json!({"x509": true}))?;
            self.stays_away(theirs, "ours-foreign", &self.x509("ours-foreign", 3, "server")?)
        });
    }
}

fn psk_flags(identity: &str, key: &str) -> Vec<String> {
    ["--psk-identity", identity, "--psk-key", key].map(str::to_owned).to_vec()
}
