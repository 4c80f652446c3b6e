//! libcoap with its DTLS back-ends: its client registers at our server, our device registers at its resource directory.

use super::dtls::{put_credential, security};
use super::{World, start};
use crate::keys::{Keys, SERVER_NAME};
use crate::lightship::{Device, Serve};
use crate::ports::{at_free_port, await_port};
use crate::process::{Process, output_of};
use crate::report::{Check, Report, same};
use crate::secure::SOON;
use serde_json::{Value, json};
use std::process::Command;

/// libcoap takes the text itself for the key.
const KEY: &str = "sixteen-byte-key";

fn key_hex() -> String {
    KEY.bytes().map(|byte| format!("{byte:02x}")).collect()
}

/// Runs the suite.
pub(crate) fn run(world: &World, report: &mut Report) {
    let started = start(report, "dtls-libcoap/starts", || {
        let keys = Keys::of_this_run(&world.folders.cache)?;
        let serve = Serve::start_secure(&world.program, "serve-dtls-libcoap", &security(&keys))?;
        Ok((keys, serve))
    });
    let Some((keys, serve)) = started else { return };
    for library in ["openssl", "gnutls"] {
        report.case(&format!("dtls-libcoap/{library}/client/psk"), || {
            let endpoint = format!("libcoap-{library}-psk");
            let credential = json!({"mode": "psk", "identity": endpoint, "key_hex": key_hex()});
            registers(&serve, library, &endpoint, &credential, &["-k", KEY, "-u", &endpoint])
        });
        report.case(&format!("dtls-libcoap/{library}/client/x509"), || {
            let endpoint = format!("libcoap-{library}-x509");
            keys.device(&endpoint)?;
            let files = [".crt", ".key"].map(|end| keys.path(&format!("{endpoint}{end}")));
            let flags = ["-c", &files[0], "-j", &files[1], "-C", &keys.path("ca.crt")];
            registers(&serve, library, &endpoint, &json!({"mode": "x509"}), &flags)
        });
        report.case(&format!("dtls-libcoap/{library}/server/psk"), || {
            let own = ["--psk-identity".to_owned(), "any".into(), "--psk-key".into(), key_hex()];
            device_registers(world, library, &["-k", KEY], &own)
        });
        report.case(&format!("dtls-libcoap/{library}/server/x509"), || {
            let endpoint = format!("libcoap-{library}-server-x509");
            keys.device(&endpoint)?;
            let path = |file: &str| keys.path(file);
            let own = [
                "--cert".to_owned(),
                path(&format!("{endpoint}.crt")),
                "--key".into(),
                path(&format!("{endpoint}.key")),
                "--trust".into(),
                path("ca.crt"),
                "--server-name".into(),
                SERVER_NAME.into(),
            ];
            let both = keys.text("server.crt")? + &keys.text("server.key")?;
            let file = world.program.logs.join(format!("libcoap-{library}.pem"));
            std::fs::write(&file, both).map_err(|error| error.to_string())?;
            let file = file.to_string_lossy().into_owned();
            device_registers(world, library, &["-c", &file, "-C", &path("ca.crt")], &own)
        });
    }
    report.case("dtls-libcoap/gnutls/client/rpk", || {
        let endpoint = "libcoap-gnutls-rpk";
        keys.device(endpoint)?;
        let credential = json!({"mode": "rpk", "public_key_pem": keys.text(&format!("{endpoint}.pub"))?});
        let both = keys.text(&format!("{endpoint}.pub"))? + &keys.text(&format!("{endpoint}.key"))?;
        let file = world.program.logs.join("libcoap-rpk.pem");
        std::fs::write(&file, both).map_err(|error| error.to_string())?;
        registers(&serve, "gnutls", endpoint, &credential, &["-M", &file.to_string_lossy()])
    });
}

fn registers(serve: &Serve, library: &str, endpoint: &str, credential: &Value, flags: &[&str]) -> Check {
    put_credential(serve, endpoint, credential)?;
    let mut command = Command::new(format!("coap-client-{library}"));
    command.args(["-B", "10", "-m", "post", "-t", "40", "-e", "</1/0>,</3/0>"]).args(flags);
    command.arg(format!("coaps://localhost:{}/rd?ep={endpoint}&lt=60&lwm2m=1.1&b=U", serve.secure()?.port()));
    output_of(&mut command)?;
    let registration = serve.registered(endpoint, SOON)?;
    same("mode", &registration["security"]["mode"], &credential["mode"])
}

/// Our device registers at libcoap's resource directory, which takes whatever is posted to /rd.
fn device_registers(world: &World, library: &str, theirs: &[&str], own: &[String]) -> Check {
    let log = world.program.logs.join(format!("coap-rd-{library}.log"));
    let endpoint = format!("libcoap-{library}-server");
    let (port, _directory) = at_free_port(|port| {
        let mut command = Command::new(format!("coap-rd-{library}"));
        command.args(["-A", "127.0.0.1", "-p", &port.to_string()]).args(theirs);
        // Secured is one above the port that it is given.
        let directory = Process::start(command, &log)?;
        await_port(directory.id(), port + 1).map(|()| (port, directory))
    })?;
    let own: Vec<&str> = own.iter().map(String::as_str).chain(["--dtls-timeout", "1"]).collect();
    let uri = format!("coaps://127.0.0.1:{}", port + 1);
    let mut device = Device::start(&world.program, &uri, &endpoint, &own)?;
    device.event("registered", SOON).map(drop)
}
