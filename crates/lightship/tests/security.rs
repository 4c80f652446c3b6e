//! The security cases of OMA's Enabler Test Specification: our devices at our servers over DTLS, all of it the real program.

mod program;

use std::path::{Path, PathBuf};

use program::{Program, Server, eventually};
use rcgen::{BasicConstraints, Certificate, CertificateParams, DnType, IsCa, Issuer, KeyPair, SanType};
use serde_json::Value as Json;
use tempfile::TempDir;

const PSK: &str = "00112233445566778899aabbccddeeff";

/// An authority, a server and a device of its, as files.
struct Keys {
    folder: TempDir,
}

impl Keys {
    /// The server's certificate is for these names alone.
    fn new(device: &str, server_names: &[SanType]) -> Keys {
        let folder = tempfile::tempdir().expect("a folder");
        let authority_key = KeyPair::generate().expect("a key");
        let mut authority = params("Acme Root", &[]);
        authority.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let root = authority.self_signed(&authority_key).expect("signed");
        let issuer = Issuer::from_params(&authority, &authority_key);
        let keys = Keys { folder };
        keys.write("root.pem", &root.pem());
        let servers = ["server", "bootstrap"].map(|name| (name, params("a server", server_names)));
        for (name, params) in servers.into_iter().chain([("device", params(device, &[]))]) {
            let key = KeyPair::generate().expect("a key");
            let certificate: Certificate = params.signed_by(&key, &issuer).expect("signed");
            keys.write(&format!("{name}.pem"), &certificate.pem());
            keys.write(&format!("{name}.key"), &key.serialize_pem());
            keys.write(&format!("{name}.pub"), &key.public_key_pem());
        }
        let path = |name: &str| keys.path(name).display().to_string();
        let section = |section: &str, name: &str| {
            let (key, certificate) = (path(&format!("{name}.key")), path(&format!("{name}.pem")));
            let root = path("root.pem");
            format!(
                "[{section}]\nkey_file = {key:?}\ncertificate_file = {certificate:?}\ntrust_files = [{root:?}]\n"
            )
        };
        let config = [section("security", "server"), section("bootstrap", "bootstrap")].concat();
        keys.write("server.toml", &config);
        keys
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn write(&self, name: &str, text: &str) {
        std::fs::write(self.path(name), text).expect("written");
    }

    fn text(&self, name: &str) -> String {
        std::fs::read_to_string(self.path(name)).expect("readable")
    }

    /// A server with these keys.
    fn server(&self, more: &[&str]) -> Server {
        let config = self.path("server.toml");
        Server::start(&[&["--config", text(&config), "--coaps", "127.0.0.1:0"], more].concat())
    }

    /// A device with these keys.
    fn device(&self, endpoint: &str, server: &Server, more: &[&str]) -> Program {
        let (uri, files) =
            (uri(server), ["device.pem", "device.key", "root.pem"].map(|name| self.path(name)));
        let [certificate, key, root] = files.each_ref().map(|path| text(path));
        let fixed = ["device", "--endpoint", endpoint, "--server", &uri];
        Program::start(&[&fixed[..], &["--cert", certificate, "--key", key, "--trust", root], more].concat())
    }
}

fn params(common_name: &str, names: &[SanType]) -> CertificateParams {
    let mut params = CertificateParams::default();
    params.distinguished_name.push(DnType::CommonName, common_name);
    params.subject_alt_names = names.to_vec();
    params
}

fn text(path: &Path) -> &str {
    path.to_str().expect("UTF-8")
}

fn loopback() -> SanType {
    SanType::IpAddress([127, 0, 0, 1].into())
}

fn uri(server: &Server) -> String {
    format!("coaps://{}", server.coaps.expect("with security"))
}

/// Asserts that the device is registered in this security mode, and that the server reads its Device object in TLV.
fn assert_reads(server: &Server, endpoint: &str, mode: &str) {
    eventually("the device is listed", || server.is_registered(endpoint).then_some(()));
    let shown = server.json(&["show", endpoint]);
    assert_eq!(shown["security"]["mode"], mode, "{shown}");
    assert!(shown["session"]["opened_at"].is_string(), "{shown}");
    let read = server.json(&["read", endpoint, "/3/0", "--format", "tlv"]);
    assert_eq!((&read["code"], &read["format"]), (&"2.05".into(), &"tlv".into()), "{read}");
    assert!(read["content"]["resources"]["16"].is_object(), "{read}");
}

fn put(server: &Server, endpoint: &str, document: &Json) {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("document.json");
    std::fs::write(&file, document.to_string()).expect("written");
    server.ctl(&["bootstrap", "put", endpoint, text(&file)]);
}

/// Bootstraps a device, which knows the Bootstrap-Server alone, and asserts that the exchange is that of case 0.
fn bootstrap(server: &Server, endpoint: &str) -> Program {
    let at = format!("coap://{}", server.bootstrap.expect("a Bootstrap-Server"));
    let mut device = Program::start(&["device", "--endpoint", endpoint, "--bootstrap", &at]);
    device.await_line("event bootstrap_finished");
    device.await_line("event registered ssid=9");
    let last = server.json(&["bootstrap", "sessions", endpoint, "--last", "1"])[0].clone();
    assert_eq!(last["result"], "finished", "{last}");
    let step = |step: &Json| {
        [&step["method"], &step["path"], &step["code"]]
            .map(|text| text.as_str().unwrap_or("-").to_owned())
            .join(" ")
    };
    let steps: Vec<String> = last["steps"].as_array().expect("steps").iter().map(step).collect();
    assert_eq!(steps, ["GET / 2.05", "PUT /0/1 2.04", "PUT /1/0 2.04", "POST /bs 2.04"], "{last}");
    device
}

// Case: LightweightM2M-1.1-int-1
#[test]
fn lightweightm2m_1_1_int_1_a_bootstrap_leads_to_a_registration_with_a_pre_shared_key() {
    let server = Server::start(&["--coaps", "127.0.0.1:0", "--bootstrap-coap", "127.0.0.1:0"]);
    server.ctl(&["credentials", "put", "psk-1", "--psk-identity", "somebody", "--psk-key", PSK]);
    // The credential is for the server; at the Bootstrap-Server the device is still unknown.
    server.ctl(&["credentials", "put", "psk-1", "--nosec", "--bootstrap"]);
    let account = serde_json::json!({"short_server_id": 9, "uri": uri(&server), "mode": "psk",
        "identity": "somebody", "key_hex": PSK, "lifetime_s": 300});
    put(&server, "psk-1", &serde_json::json!({"servers": [account]}));
    let _device = bootstrap(&server, "psk-1");
    assert_reads(&server, "psk-1", "psk");
}

// Case: LightweightM2M-1.1-int-2
#[test]
fn lightweightm2m_1_1_int_2_a_bootstrap_leads_to_a_registration_with_a_certificate() {
    let keys = Keys::new("x509-1", &[loopback()]);
    let server = keys.server(&["--bootstrap-coap", "127.0.0.1:0"]);
    server.ctl(&["credentials", "put", "x509-1", "--x509"]);
    server.ctl(&["credentials", "put", "x509-1", "--nosec", "--bootstrap"]);
    // The server is known by its own certificate: usage 3, the default.
    let account = serde_json::json!({"short_server_id": 9, "uri": uri(&server), "mode": "x509", "lifetime_s": 300,
        "certificate_pem": keys.text("device.pem"), "secret_key_pem": keys.text("device.key"),
        "server_key_pem": keys.text("server.pem")});
    put(&server, "x509-1", &serde_json::json!({"servers": [account]}));
    let _device = bootstrap(&server, "x509-1");
    assert_reads(&server, "x509-1", "x509");
}

// Case: LightweightM2M-1.1-int-401
#[test]
fn lightweightm2m_1_1_int_401_a_device_registers_with_a_pre_shared_key() {
    let server = Server::start(&["--coaps", "127.0.0.1:0"]);
    server.ctl(&["credentials", "put", "psk-2", "--psk-identity", "somebody", "--psk-key", PSK]);
    let uri = uri(&server);
    let arguments =
        ["device", "--endpoint", "psk-2", "--server", &uri, "--psk-identity", "somebody", "--psk-key"];
    let mut stranger = Program::start(&[&arguments[..], &["ff"]].concat());
    eventually("the stranger is refused", || {
        let failed = server.json(&["security", "failures"]);
        failed["items"].as_array().is_some_and(|items| !items.is_empty()).then_some(())
    });
    stranger.close_input();
    assert!(!server.is_registered("psk-2"));
    let mut device = Program::start(&[&arguments[..], &[PSK]].concat());
    device.await_line("event registered ssid=1 location=/rd/");
    assert_reads(&server, "psk-2", "psk");
}

// Case: LightweightM2M-1.1-int-402
#[test]
fn lightweightm2m_1_1_int_402_a_device_registers_with_a_certificate() {
    let keys = Keys::new("x509-2", &[loopback()]);
    let server = keys.server(&[]);
    server.ctl(&["credentials", "put", "x509-2", "--x509"]);
    let mut device = keys.device("x509-2", &server, &[]);
    device.await_line("event registered ssid=1 location=/rd/");
    assert_reads(&server, "x509-2", "x509");
}

// Case: LightweightM2M-1.1-int-403
#[test]
fn lightweightm2m_1_1_int_403_a_server_with_another_name_is_not_trusted() {
    let keys = Keys::new("x509-3", &[SanType::DnsName("server.example".try_into().expect("a name"))]);
    let server = keys.server(&[]);
    server.ctl(&["credentials", "put", "x509-3", "--x509"]);
    let mut wrong = keys.device("x509-3", &server, &[]);
    wrong.await_line("expected '127.0.0.1'");
    assert!(!server.is_registered("x509-3"));
    drop(wrong);
    // The same certificates do where the account says the name.
    let mut device = keys.device("x509-3", &server, &["--server-name", "server.example"]);
    device.await_line("event registered ssid=1 location=/rd/");
    assert_reads(&server, "x509-3", "x509");
}

#[test]
fn a_device_is_bootstrapped_with_every_kind_of_credential_and_its_own_only() {
    let keys = Keys::new("boot-x509", &[loopback()]);
    let server = keys.server(&["--bootstrap-coaps", "127.0.0.1:0"]);
    let at = format!("coaps://{}", server.bootstrap_coaps.expect("with security"));
    let path = |name: &str| keys.path(name).display().to_string();
    let [certificate, key, root, public, peer] =
        ["device.pem", "device.key", "root.pem", "device.pub", "bootstrap.pub"].map(path);
    let kinds: [(&str, &[&str], &[&str]); 3] = [
        (
            "boot-psk",
            &["--psk-identity", "me", "--psk-key", PSK],
            &["--psk-identity", "me", "--psk-key", PSK],
        ),
        ("boot-rpk", &["--rpk", &public], &["--rpk-key", &key, "--rpk-peer", &peer]),
        ("boot-x509", &["--x509"], &["--cert", &certificate, "--key", &key, "--trust", &root]),
    ];
    let account = |lifetime: u32| {
        let uri = format!("coap://{}", server.coap);
        serde_json::json!({"servers": [{"short_server_id": 9, "uri": uri, "mode": "nosec", "lifetime_s": lifetime}]})
    };
    put(&server, "boot-other", &account(999));
    for (endpoint, credential, flags) in kinds {
        put(&server, endpoint, &account(300));
        let start = |endpoint: &str| {
            Program::start(&[&["device", "--endpoint", endpoint, "--bootstrap", &at], flags].concat())
        };
        start(endpoint).await_line("event bootstrap_failed");
        server.ctl(&[&["credentials", "put", endpoint, "--bootstrap"], credential].concat());
        let mut device = start(endpoint);
        device.await_line("event bootstrap_finished");
        device.await_line("event registered ssid=9");
        eventually("it is listed", || server.is_registered(endpoint).then_some(()));
        assert_eq!(server.json(&["read", endpoint, "/1/0/1"])["content"]["value"], 300);
        // In another name it gets nothing.
        let refused = start("boot-other").await_line("event bootstrap_failed");
        assert!(refused.contains("hint=\"this endpoint name may not be"), "{refused}");
        assert!(!server.is_registered("boot-other"));
    }
}

/// Which server a device trusts, with each certificate usage: what `--trust` begins with and the device's own trust anchors behind it,
/// and whether the server is the right one (TS_Transport 5.2.8.7, RFC 6698 §2.1.1).
const USAGES: [(&str, &[&str], bool); 12] = [
    // 0: this authority, and a path to a trust anchor of the device's own.
    ("0", &["root.pem", "root.pem"], true),
    ("0", &["other-root.pem", "root.pem"], false),
    ("0", &["root.pem", "other-root.pem"], false),
    // 1: this certificate, and a path to a trust anchor of the device's own.
    ("1", &["server.pem", "root.pem"], true),
    ("1", &["bootstrap.pem", "root.pem"], false),
    ("1", &["server.pem", "other-root.pem"], false),
    // 2: a path to this trust anchor.
    ("2", &["root.pem"], true),
    ("2", &["other-root.pem"], false),
    ("2", &["other-root.pem", "root.pem"], false),
    // 3: this certificate, and nothing else.
    ("3", &["server.pem"], true),
    ("3", &["server.pem", "other-root.pem"], true),
    ("3", &["bootstrap.pem", "root.pem"], false),
];

// Proves: DTL-06
#[test]
fn a_device_trusts_its_server_as_the_certificate_usage_says() {
    let keys = Keys::new("usage", &[loopback()]);
    let others = Keys::new("nobody", &[loopback()]);
    keys.write("other-root.pem", &others.text("root.pem"));
    let server = keys.server(&[]);
    server.ctl(&["credentials", "put", "usage", "--x509"]);
    let uri = uri(&server);
    let [certificate, key, trust] =
        ["device.pem", "device.key", "trust.pem"].map(|name| keys.path(name).display().to_string());
    for (usage, files, is_right) in USAGES {
        keys.write("trust.pem", &files.iter().map(|name| keys.text(name)).collect::<String>());
        let fixed =
            ["device", "--endpoint", "usage", "--server", &uri, "--cert", &certificate, "--key", &key];
        let mut device =
            Program::start(&[&fixed[..], &["--trust", &trust, "--certificate-usage", usage]].concat());
        if is_right {
            device.await_line("event registered ssid=1 location=/rd/");
            device.close_input();
            eventually("it is gone again", || (!server.is_registered("usage")).then_some(()));
        } else {
            device.await_line("event handshake-failed");
            assert!(!server.is_registered("usage"), "usage {usage} with {files:?}");
        }
    }
}
