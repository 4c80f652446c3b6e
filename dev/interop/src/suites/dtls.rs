//! Foreign DTLS under CoAP put together here: their client at our server, our device at their server, every suite that
//! both sides have.

use super::dtls_peers::{End, KEY, Library, SUITES, Suite};
use super::{World, start};
use crate::keys::{Keys, SERVER_NAME};
use crate::lightship::{Device, Serve};
use crate::ports::{at_free_port, await_port};
use crate::process::eventually;
use crate::report::{Check, Report, holds, same};
use crate::secure::{SOON, Tunnel};
use crate::wire::{CON, Message, POST};
use serde_json::{Value, json};
use std::time::Duration;

/// Our server's side of the sessions: every kind of credential, every suite.
pub(super) fn security(keys: &Keys) -> String {
    format!(
        "allow_nosec = true\ncbc = true\nkey_file = \"{}\"\ncertificate_file = \"{}\"\ntrust_files = [\"{}\"]\n",
        keys.path("server.key"),
        keys.path("server.crt"),
        keys.path("ca.crt"),
    )
}

pub(crate) fn openssl(world: &World, report: &mut Report) {
    suite(world, report, Library::OpenSsl);
}

pub(crate) fn gnutls(world: &World, report: &mut Report) {
    suite(world, report, Library::GnuTls);
}

pub(crate) fn mbedtls(world: &World, report: &mut Report) {
    suite(world, report, Library::MbedTls);
}

pub(crate) fn pion(world: &World, report: &mut Report) {
    suite(world, report, Library::Pion);
}

/// The foreign programs with each other: what fails here is not ours.
pub(crate) fn peers(world: &World, report: &mut Report) {
    let made = start(report, "dtls-peers/starts", || Keys::of_this_run(&world.folders.cache));
    let Some(keys) = made else { return };
    let pairs = [
        (Library::OpenSsl, Library::OpenSsl),
        (Library::GnuTls, Library::OpenSsl),
        (Library::MbedTls, Library::OpenSsl),
        (Library::Pion, Library::OpenSsl),
        (Library::OpenSsl, Library::MbedTls),
        (Library::OpenSsl, Library::Pion),
    ];
    for (client, server) in pairs {
        for suite in SUITES.iter().filter(|suite| client.has(suite) && server.serves(suite)) {
            let (here, there) =
                (client.name().trim_start_matches("dtls-"), server.name().trim_start_matches("dtls-"));
            report.case(&format!("dtls-peers/{here}-at-{there}/{}", suite.short), || {
                let who = format!("{here}-at-{there}-{}", suite.short);
                keys.device(&who)?;
                let end = |library| End { world, keys: &keys, library, suite, who: &who, more: &[] };
                let (port, mut answers) = at_free_port(|port| Ok((port, end(server).server(port)?)))?;
                let mut asks = end(client).client(&format!("127.0.0.1:{port}"))?;
                let question = Message::new(CON, POST, 1, b"q").path("/rd").query(&format!("ep={who}"));
                asks.send(&question)?;
                answers.take_register(&who)?;
                same("answer", &asks.receive(SOON)?.code_text().as_str(), &"2.01")
            });
        }
    }
}

fn suite(world: &World, report: &mut Report, library: Library) {
    let name = library.name();
    let started = start(report, &format!("{name}/starts"), || {
        let keys = Keys::of_this_run(&world.folders.cache)?;
        let serve = Serve::start_secure(&world.program, &format!("serve-{name}"), &security(&keys))?;
        Ok((keys, serve))
    });
    let Some((keys, serve)) = started else { return };
    let hall = Hall { world, keys: &keys, serve: &serve, library };
    for suite in SUITES.iter().filter(|suite| library.has(suite)) {
        report.case(&format!("{name}/client/{}", suite.short), || hall.their_client(suite, &[]));
    }
    match library {
        Library::OpenSsl => hall.openssl_more(report),
        Library::GnuTls => hall.gnutls_more(report),
        Library::MbedTls => hall.mbedtls_more(report),
        Library::Pion => hall.pion_more(report),
    }
}

/// Our device at foreign servers.
pub(crate) fn devices(world: &World, report: &mut Report) {
    let made = start(report, "dtls-devices/starts", || Keys::of_this_run(&world.folders.cache));
    let Some(keys) = made else { return };
    for library in [Library::OpenSsl, Library::MbedTls, Library::Pion] {
        let hall = Inn { world, keys: &keys, library };
        let name = format!("dtls-devices/{}", library.name().trim_start_matches("dtls-"));
        for suite in SUITES.iter().filter(|suite| library.serves(suite)) {
            report.case(&format!("{name}/{}", suite.short), || hall.receives(suite, &[], &[]).map(drop));
        }
    }
    report.case("dtls-devices/gnutls/echo", || gnutls_echo(world));
    let pion = Inn { world, keys: &keys, library: Library::Pion };
    for cid in ["cid=0", "cid=6"] {
        report.case(&format!("dtls-devices/pion/{cid}/device-moves"), || {
            let (mut tunnel, mut device) = pion.receives(&SUITES[0], &[cid], &[])?;
            device.obey("rebind")?;
            device.process.tell("update")?;
            match cid {
                // Without an ID towards the server nothing tells whose record it is.
                "cid=0" => holds(tunnel.receive(Duration::from_secs(2)).is_err(), || "taken".to_owned()),
                _ => tunnel.receive(SOON).map(drop),
            }
        });
    }
}

/// gnutls-serv can only send back what it gets: the handshake and one record each way.
fn gnutls_echo(world: &World) -> Check {
    let password = world.program.logs.join("gnutls.psk");
    std::fs::write(&password, format!("gnutls-echo:{KEY}\n")).map_err(|error| error.to_string())?;
    let log = world.program.logs.join("gnutls-serv.log");
    let (port, mut server) = at_free_port(|port| {
        let mut command = std::process::Command::new("gnutls-serv");
        command.args(["--udp", "--echo", "-p", &port.to_string(), "--pskpasswd"]).arg(&password);
        command
            .args(["--priority", "NORMAL:-KX-ALL:+PSK:-VERS-ALL:+VERS-DTLS1.2:+AES-128-CCM-8:+AES-128-CCM"]);
        let server = crate::process::Process::start(command, &log)?;
        await_port(server.id(), port).map(|()| (port, server))
    })?;
    let uri = format!("coaps://127.0.0.1:{port}");
    let flags = ["--psk-identity", "gnutls-echo", "--psk-key", KEY, "--dtls-timeout", "1"];
    let mut device = Device::start(&world.program, &uri, "gnutls-echo", &flags)?;
    device.event("secured", SOON).map(drop).map_err(|error| {
        let said = std::fs::read_to_string(&log).unwrap_or_default();
        let ends = if server.alive() { "runs" } else { "has ended" };
        format!("{error}; gnutls-serv {ends} and said: {}", said.lines().collect::<Vec<_>>().join(" | "))
    })
}

/// One library's server, before our device.
struct Inn<'a> {
    world: &'a World,
    keys: &'a Keys,
    library: Library,
}

impl Inn<'_> {
    /// Our device registers at their server and is read.
    fn receives(&self, suite: &Suite, more: &[&str], flags: &[&str]) -> Result<(Tunnel, Device), String> {
        let endpoint = format!("{}-server-{}", self.library.name(), suite.short);
        if !suite.psk {
            self.keys.device(&endpoint)?;
        }
        let end =
            End { world: self.world, keys: self.keys, library: self.library, suite, who: &endpoint, more };
        let (port, mut tunnel) = at_free_port(|port| Ok((port, end.server(port)?)))?;
        let mut own: Vec<String> =
            vec!["--ciphersuites".into(), suite.name.into(), "--dtls-timeout".into(), "1".into()];
        if suite.psk {
            own.extend(["--psk-identity", &endpoint, "--psk-key", KEY].map(str::to_owned));
        } else {
            let files = [
                ("--cert", format!("{endpoint}.crt")),
                ("--key", format!("{endpoint}.key")),
                ("--trust", "ca.crt".into()),
            ];
            own.extend(files.iter().flat_map(|(flag, file)| [(*flag).to_owned(), self.keys.path(file)]));
            own.extend(["--server-name".to_owned(), SERVER_NAME.to_owned()]);
        }
        own.extend(flags.iter().map(|flag| (*flag).to_owned()));
        let flags: Vec<&str> = own.iter().map(String::as_str).collect();
        let uri = format!("coaps://127.0.0.1:{port}");
        let mut device = Device::start(&self.world.program, &uri, &endpoint, &flags)?;
        tunnel.take_register(&endpoint)?;
        device.event("registered", SOON)?;
        tunnel.read_device()?;
        Ok((tunnel, device))
    }
}

/// One library's clients at our server.
struct Hall<'a> {
    world: &'a World,
    keys: &'a Keys,
    serve: &'a Serve,
    library: Library,
}

impl Hall<'_> {
    fn end<'b>(&'b self, suite: &'b Suite, who: &'b str, more: &'b [&'b str]) -> End<'b> {
        End { world: self.world, keys: self.keys, library: self.library, suite, who, more }
    }

    /// Lets a device in by this suite.
    fn admit(&self, suite: &Suite, endpoint: &str) -> Check {
        let credential = if suite.psk {
            json!({"mode": "psk", "identity": endpoint, "key_hex": KEY})
        } else {
            self.keys.device(endpoint)?;
            json!({"mode": "x509"})
        };
        put_credential(self.serve, endpoint, &credential)
    }

    fn named(&self, what: &str) -> String {
        format!("{}-{what}", self.library.name())
    }

    fn their_client(&self, suite: &Suite, more: &[&str]) -> Check {
        let extra =
            more.first().map(|flag| flag.trim_start_matches('-').replace('=', "-")).unwrap_or_default();
        let endpoint = self.named(&format!("{}{extra}", suite.short));
        self.admit(suite, &endpoint)?;
        let mut tunnel = self.end(suite, &endpoint, more).client(&self.secure()?)?;
        self.is_served(&mut tunnel, suite, &endpoint).map(drop)
    }

    fn secure(&self) -> Result<String, String> {
        self.serve.secure().map(|address| address.to_string())
    }

    /// Registers, and is read; returns its location and its registration.
    fn is_served(
        &self,
        tunnel: &mut Tunnel,
        suite: &Suite,
        endpoint: &str,
    ) -> Result<(String, Value), String> {
        let location = tunnel.register(endpoint)?;
        let registration = self.serve.registered(endpoint, SOON)?;
        let shown = &registration["security"];
        let mode = if suite.psk { "psk" } else { "x509" };
        same("mode", &shown["mode"].as_str(), &Some(mode))?;
        same("suite", &shown["cipher_suite"].as_str(), &Some(suite.name))?;
        tunnel.serve_read(self.serve, endpoint)?;
        Ok((location, registration))
    }

    fn openssl_more(&self, report: &mut Report) {
        let (shared, signed) = (&SUITES[0], &SUITES[5]);
        let name = self.library.name();
        for (mtu, suite) in [("256", shared), ("512", signed), ("256", signed)] {
            report.case(&format!("{name}/client/{}/mtu-{mtu}", suite.short), || {
                self.their_client(suite, &["-mtu", mtu])
            });
        }
        report.case(&format!("{name}/client/max-fragment-length"), || {
            self.their_client(signed, &["-maxfraglen", "512"])
        });
        for (kind, flags) in [("ticket", &[][..]), ("session-id", &["-no_ticket"])] {
            for suite in [shared, signed] {
                report.case(&format!("{name}/client/{}/resumes-by-{kind}", suite.short), || {
                    self.openssl_resumes(suite, kind, flags)
                });
            }
        }
        report.case(&format!("{name}/client/wrong-key"), || {
            put_credential(
                self.serve,
                "openssl-wrong",
                &json!({"mode": "psk", "identity": "openssl-wrong", "key_hex": "ff"}),
            )?;
            let mut tunnel = self.end(shared, "openssl-wrong", &[]).client(&self.secure()?)?;
            refused(&mut tunnel, "openssl-wrong")?;
            self.failure_is_told("openssl-wrong")
        });
        report.case(&format!("{name}/client/unknown-identity"), || {
            let mut tunnel = self.end(shared, "openssl-unknown", &[]).client(&self.secure()?)?;
            refused(&mut tunnel, "openssl-unknown")?;
            self.failure_is_told("openssl-unknown")
        });
        report.case(&format!("{name}/client/certificate-of-a-stranger"), || {
            let endpoint = "openssl-stranger";
            put_credential(self.serve, endpoint, &json!({"mode": "x509"}))?;
            self.keys.device_by(endpoint, endpoint, "stranger")?;
            let mut tunnel = self.end(signed, endpoint, &[]).client(&self.secure()?)?;
            refused(&mut tunnel, endpoint)
        });
        report.case(&format!("{name}/client/without-endpoint-name"), || {
            self.admit(shared, "openssl-nameless")?;
            let mut tunnel = self.end(shared, "openssl-nameless", &[]).client(&self.secure()?)?;
            tunnel.register_as("")?;
            self.serve.registered("openssl-nameless", SOON)?;
            tunnel.serve_read(self.serve, "openssl-nameless")
        });
        report.case(&format!("{name}/client/somebody-elses-endpoint"), || {
            self.admit(shared, "openssl-me")?;
            let mut tunnel = self.end(shared, "openssl-me", &[]).client(&self.secure()?)?;
            self.admit(shared, "openssl-victim")?;
            holds(tunnel.register("openssl-victim").is_err(), || {
                "registered under another's name".to_owned()
            })?;
            same("registration", &self.serve.rest.get("endpoints/openssl-victim")?.status, &404)?;
            self.is_served(&mut tunnel, shared, "openssl-me").map(drop)
        });
    }

    fn openssl_resumes(&self, suite: &Suite, kind: &str, flags: &[&str]) -> Check {
        let endpoint = self.named(&format!("{}-{kind}", suite.short));
        self.admit(suite, &endpoint)?;
        let file = self.world.program.logs.join(format!("{endpoint}.session")).to_string_lossy().into_owned();
        let _none = std::fs::remove_file(&file);
        let first = [flags, &["-sess_out", &file]].concat();
        let mut tunnel = self.end(suite, &endpoint, &first).client(&self.secure()?)?;
        let (_, registration) = self.is_served(&mut tunnel, suite, &endpoint)?;
        same("resumed at first", &registration["session"]["resumed"], &json!(false))?;
        drop(tunnel);
        let second = [flags, &["-sess_in", &file]].concat();
        let mut tunnel = self.end(suite, &endpoint, &second).client(&self.secure()?)?;
        let (_, registration) = self.is_served(&mut tunnel, suite, &endpoint)?;
        same("resumed then", &registration["session"]["resumed"], &json!(true))
    }

    fn gnutls_more(&self, report: &mut Report) {
        let name = self.library.name();
        for suite in [&SUITES[0], &SUITES[5]] {
            report.case(&format!("{name}/client/{}/mtu", suite.short), || {
                self.their_client(suite, &["--mtu", "400"])
            });
        }
        report.case(&format!("{name}/client/record-size-limit"), || {
            self.their_client(&SUITES[5], &["--recordsize", "600"])
        });
    }

    fn mbedtls_more(&self, report: &mut Report) {
        let name = self.library.name();
        let (shared, signed) = (&SUITES[0], &SUITES[5]);
        for (suite, flag) in
            [(signed, "mtu=400"), (shared, "fragment=512"), (signed, "fragment=512"), (shared, "no-ems")]
        {
            report
                .case(&format!("{name}/client/{}/{flag}", suite.short), || self.their_client(suite, &[flag]));
        }
        for (suite, kind) in
            [(shared, "tickets"), (shared, "session-id"), (signed, "tickets"), (signed, "session-id")]
        {
            report.case(&format!("{name}/client/{}/resumes-by-{kind}", suite.short), || {
                self.comes_again(suite, if kind == "tickets" { &["tickets"] } else { &[] }, kind)
            });
        }
    }

    fn comes_again(&self, suite: &Suite, more: &[&str], kind: &str) -> Check {
        let endpoint = self.named(&format!("{}-{kind}", suite.short));
        self.admit(suite, &endpoint)?;
        let mut tunnel = self.end(suite, &endpoint, more).client(&self.secure()?)?;
        self.is_served(&mut tunnel, suite, &endpoint)?;
        tunnel.order("again")?;
        tunnel.says("established")?;
        let (_, registration) = self.is_served(&mut tunnel, suite, &endpoint)?;
        same("resumed", &registration["session"]["resumed"], &json!(true))
    }

    fn pion_more(&self, report: &mut Report) {
        let name = self.library.name();
        let (shared, signed) = (&SUITES[0], &SUITES[5]);
        for (suite, flag) in
            [(signed, "mtu=400"), (shared, "no-ems"), (shared, "cid=0"), (shared, "cid=8"), (signed, "cid=4")]
        {
            report
                .case(&format!("{name}/client/{}/{flag}", suite.short), || self.their_client(suite, &[flag]));
        }
        report.case(&format!("{name}/client/resumes-by-session-id"), || {
            self.comes_again(shared, &[], "session-id")
        });
        for (suite, flag) in [(shared, "cid=0"), (shared, "cid=6")] {
            report.case(&format!("{name}/client/{}/moves-with-{flag}", suite.short), || {
                self.moves(suite, flag)
            });
        }
    }

    /// The same session goes on from another port, and a request reaches the device there.
    fn moves(&self, suite: &Suite, flag: &str) -> Check {
        let endpoint = self.named(&format!("{}-moves-{}", suite.short, flag.replace('=', "")));
        self.admit(suite, &endpoint)?;
        let mut tunnel = self.end(suite, &endpoint, &[flag]).client(&self.secure()?)?;
        let (location, before) = self.is_served(&mut tunnel, suite, &endpoint)?;
        tunnel.order("rebind")?;
        tunnel.says("rebound")?;
        tunnel.update(&location)?;
        let after = eventually(SOON, || {
            let now = self.serve.registered(&endpoint, SOON)?;
            holds(now["address"] != before["address"], || format!("still at {}", now["address"]))?;
            Ok(now)
        })?;
        same("registration", &after["registration_id"], &before["registration_id"])?;
        tunnel.serve_read(self.serve, &endpoint)
    }

    fn failure_is_told(&self, who: &str) -> Check {
        eventually(SOON, || {
            let failures = self.serve.rest.get("security/failures")?.body.to_string();
            holds(failures.contains(who), || format!("no word of {who} in {failures}"))
        })
    }
}

/// Nobody registers through this tunnel.
fn refused(tunnel: &mut Tunnel, endpoint: &str) -> Check {
    match tunnel.register(endpoint) {
        Ok(location) => Err(format!("registered at {location}")),
        Err(_) => Ok(()),
    }
}

/// How a device may come.
pub(super) fn put_credential(serve: &Serve, endpoint: &str, credential: &Value) -> Check {
    let answer = serve.rest.send("PUT", &format!("credentials/{endpoint}"), Some(credential))?;
    holds(matches!(answer.status, 200 | 201 | 204), || format!("{} {}", answer.status, answer.body))
}
