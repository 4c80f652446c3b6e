//! Bootstrap through DTLS with Leshan's library on the other side each way.

use super::dtls::{put_credential, security};
use super::dtls_peers::KEY;
use super::leshan_bootstrap::in_short;
use super::{World, start};
use crate::keys::{Keys, SERVER_NAME};
use crate::leshan::{LeshanBootstrap, LeshanDevice, LeshanServer};
use crate::lightship::{Device, Serve};
use crate::ports::at_free_port;
use crate::report::{Check, Report, holds, same};
use crate::sides::SOON;
use crate::tools;
use serde_json::{Value, json};
use std::time::Duration;

const DEVICE: &str = "leshan-secure-bootstrap-device";
const SERVER: &str = "leshan-secure-bootstrap-server";
const MODES: [&str; 3] = ["psk", "rpk", "x509"];

/// Leshan's device at our Bootstrap-Server, and then at our server.
pub(crate) fn their_device(world: &World, report: &mut Report) {
    let started = start(report, &format!("{DEVICE}/starts"), || {
        let keys = Keys::of_this_run(&world.folders.cache)?;
        let own = [("key_file", "bootstrap.key"), ("certificate_file", "bootstrap.crt")];
        let own: String =
            own.iter().map(|(name, file)| format!("{name} = \"{}\"\n", keys.path(file))).collect();
        let text =
            format!("{}[bootstrap]\n{own}trust_files = [\"{}\"]\n", security(&keys), keys.path("ca.crt"));
        Ok((Serve::start_secure_bootstrap(&world.program, "serve-secure-bootstrap", &text)?, keys))
    });
    let Some((serve, keys)) = started else { return };
    let bootstrapped = |endpoint: &str, credential: &Value, flag: &str| -> Result<LeshanDevice, String> {
        admit(&serve, endpoint, credential)?;
        let port = serve.bootstrap_coaps.ok_or("no port for bootstraps")?.port();
        let class_path = tools::leshan_class_path(&world.folders)?;
        let uri = format!("coaps://localhost:{port}");
        LeshanDevice::start_with(&class_path, &world.program.logs, &uri, endpoint, 0, &["bootstrap", flag])
    };
    for mode in MODES {
        report.case(&format!("{DEVICE}/{mode}"), || {
            let endpoint = format!("leshan-bs-{mode}");
            let (credential, flag) = theirs(&keys, mode, &endpoint)?;
            let mut device = bootstrapped(&endpoint, &credential, &flag)?;
            device.says("bootstrapped", SOON * 2)?;
            device.registered()?;
            let registration = serve.registered(&endpoint, SOON)?;
            same("mode", &registration["security"]["mode"], &json!("psk"))
        });
    }
    report.case(&format!("{DEVICE}/refused/wrong-key"), || {
        let wrong = format!("psk=leshan-bs-wrong:{}", "00".repeat(16));
        let credential = json!({"mode": "psk", "identity": "leshan-bs-wrong", "key_hex": KEY});
        let mut device = bootstrapped("leshan-bs-wrong", &credential, &wrong)?;
        let said = device.says("bootstrapped", Duration::from_secs(6));
        holds(said.is_err(), || format!("{said:?}"))
    });
    report.case(&format!("{DEVICE}/refused/credential-of-the-other-role"), || {
        // A key for the server opens nothing at the Bootstrap-Server.
        put_credential(
            &serve,
            "leshan-bs-role",
            &json!({"mode": "psk", "identity": "role", "key_hex": KEY}),
        )?;
        let unused = json!({"mode": "psk", "identity": "leshan-bs-unused", "key_hex": KEY});
        let mut device = bootstrapped("leshan-bs-role", &unused, &format!("psk=role:{KEY}"))?;
        let said = device.says("bootstrapped", Duration::from_secs(6));
        holds(said.is_err(), || format!("{said:?}"))
    });
}

/// Lets a device bootstrap by this credential, and gives it an account at our server with a shared key.
fn admit(serve: &Serve, endpoint: &str, credential: &Value) -> Check {
    let path = format!("bootstrap/{endpoint}/credential");
    let answer = serve.rest.send("PUT", &path, Some(credential))?;
    holds(answer.status < 300, || format!("{path}: {} {}", answer.status, answer.body))?;
    let identity = format!("{endpoint}-at-the-server");
    put_credential(serve, endpoint, &json!({"mode": "psk", "identity": identity, "key_hex": KEY}))?;
    let account = json!({
        "short_server_id": 1,
        "uri": format!("coaps://localhost:{}", serve.secure()?.port()),
        "mode": "psk",
        "identity": identity,
        "key_hex": KEY,
        "lifetime_s": 600,
        "binding": "U",
    });
    let path = format!("bootstrap/{endpoint}");
    let answer = serve.rest.send("PUT", &path, Some(&json!({"servers": [account]})))?;
    holds(answer.status < 300, || format!("{path}: {} {}", answer.status, answer.body))
}

/// How our server knows Leshan's device, and the device's flag.
fn theirs(keys: &Keys, mode: &str, endpoint: &str) -> Result<(Value, String), String> {
    let path = |file: String| keys.path(&file);
    if mode == "psk" {
        let credential = json!({"mode": "psk", "identity": endpoint, "key_hex": KEY});
        return Ok((credential, format!("psk={endpoint}:{KEY}")));
    }
    keys.device(endpoint)?;
    let (own, server, credential) = if mode == "rpk" {
        let public = keys.text(&format!("{endpoint}.pub"))?;
        ("pub", "bootstrap.pub.der", json!({"mode": "rpk", "public_key_pem": public}))
    } else {
        ("crt", "bootstrap.crt.der", json!({"mode": "x509"}))
    };
    let (own, key) = (path(format!("{endpoint}.{own}.der")), path(format!("{endpoint}.key.der")));
    Ok((credential, format!("{mode}={own}:{key}:{}", path(server.to_owned()))))
}

/// Our device at Leshan's Bootstrap-Server, and then at Leshan's server with a shared key.
pub(crate) fn their_server(world: &World, report: &mut Report) {
    let started = start(report, &format!("{SERVER}/starts"), || {
        let class_path = tools::leshan_class_path(&world.folders)?;
        let logs = &world.program.logs;
        let launch = |port| {
            let server = LeshanServer::start_with(&class_path, logs, port, SERVER, &["93000", "coaps"])?;
            Ok((format!("coaps://127.0.0.1:{port}"), server))
        };
        Ok((Keys::of_this_run(&world.folders.cache)?, at_free_port(launch)?))
    });
    let Some((keys, (uri, mut server))) = started else { return };
    for mode in MODES {
        report.case(&format!("{SERVER}/{mode}"), || {
            let endpoint = format!("ours-bs-{mode}");
            let (flags, credential, own) = ours(&keys, mode, &endpoint)?;
            let class_path = tools::leshan_bootstrap_class_path(&world.folders)?;
            let log = world.program.logs.join(format!("{endpoint}-server.log"));
            let flags: Vec<&str> = flags.iter().map(String::as_str).collect();
            let launch = |port| Ok((port, LeshanBootstrap::start_with(&class_path, &log, port, &flags)?));
            let (port, mut bootstrap) = at_free_port(launch)?;
            bootstrap.configure(&credential)?;
            let identity = format!("{endpoint}-at-the-server");
            bootstrap.configure(&json!({"endpoint": endpoint, "delete": ["/1"], "accounts": [
                {"instance": 1, "ssid": 1, "uri": uri, "lifetime": 600, "identity": identity, "key": KEY},
            ]}))?;
            server.set_endpoint(&endpoint);
            server.order(json!({"op": "credential", "identity": identity, "key": KEY}))?;
            let mut command = world.program.command();
            command.args([
                "device",
                "--endpoint",
                &endpoint,
                "--bootstrap",
                &format!("coaps://127.0.0.1:{port}"),
            ]);
            command.args(["--dtls-timeout", "1"]).args(&own);
            let mut device = Device::from_command(&world.program, &endpoint, command)?;
            let steps = in_short(&bootstrap.session(SOON)?);
            holds(steps.iter().any(|step| step == "BootstrapFinish 2.04"), || format!("{steps:?}"))?;
            device.event("registered", SOON)?;
            server.expect(json!({"op": "read", "path": "/3/0/0", "format": "TLV"}), "2.05").map(drop)
        });
    }
}

/// Flags of Leshan's Bootstrap-Server, how it knows our device, and our device's flags.
fn ours(keys: &Keys, mode: &str, endpoint: &str) -> Result<(Vec<String>, Value, Vec<String>), String> {
    let path = |file: &str| keys.path(file);
    let mut server = vec!["coaps".to_owned()];
    if mode == "psk" {
        let credential = json!({"credential": endpoint, "identity": endpoint, "key": KEY});
        let own = ["--psk-identity", endpoint, "--psk-key", KEY].map(str::to_owned);
        return Ok((server, credential, own.to_vec()));
    }
    keys.device(endpoint)?;
    let key = path(&format!("{endpoint}.key"));
    server.push(format!("key={}", path("server.key.der")));
    if mode == "rpk" {
        server.push(format!("public={}", path("server.pub.der")));
        let credential = json!({"credential": endpoint, "public": path(&format!("{endpoint}.pub.der"))});
        let own = ["--rpk-key".to_owned(), key, "--rpk-peer".into(), path("server.pub")];
        return Ok((server, credential, own.to_vec()));
    }
    server.extend([format!("chain={}", path("server.crt.der")), format!("trust={}", path("ca.crt.der"))]);
    let certificate = path(&format!("{endpoint}.crt"));
    let own =
        ["--cert", &certificate, "--key", &key, "--trust", &path("ca.crt"), "--server-name", SERVER_NAME];
    Ok((server, json!({"credential": endpoint, "x509": true}), own.map(str::to_owned).to_vec()))
}
