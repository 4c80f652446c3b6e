//! Credentials from the shell, and a server that keeps them: all of it the real program.

mod program;

use lightship_api::Credential;
use lightship_api::client::{Client, CredentialSet};
use program::{Server, eventually, listening, start_logged};
use rcgen::{CertificateParams, DnType, KeyPair};

const KEY: &str = "6c69676874736869702d6b65792d3132";

#[test]
fn credentials_are_put_shown_listed_and_taken_away_without_a_key_in_sight() {
    let server = Server::start(&[]);
    let folder = tempfile::tempdir().expect("a folder");
    let key = folder.path().join("key.hex");
    std::fs::write(&key, format!("{KEY}\n")).expect("written");
    let key = key.to_str().expect("UTF-8");
    let mut seen = String::new();
    seen += &server.ctl(&["credentials", "put", "a", "--psk-identity", "id-a", "--psk-key-file", key]);
    seen += &server.ctl(&["credentials", "put", "b", "--x509"]);
    seen += &server.ctl(&["credentials", "put", "c", "--name", "meter 7"]);
    seen += &server.ctl(&["credentials", "put", "d", "--nosec"]);
    seen +=
        &server.ctl(&["credentials", "put", "a", "--bootstrap", "--psk-identity", "bs-a", "--psk-key", KEY]);
    // Another identity for the same key.
    seen += &server.ctl(&["credentials", "put", "a", "--psk-identity", "id-a2"]);
    let listed = server.ctl(&["credentials", "list"]);
    for part in ["id-a2", "endpoint's name", "meter 7", "nosec"] {
        assert!(listed.contains(part), "{part}: {listed}");
    }
    assert!(!listed.contains("bs-a"), "{listed}");
    assert!(server.ctl(&["credentials", "list", "--bootstrap"]).contains("bs-a"));
    assert_eq!(server.json(&["credentials", "get", "a"])["key_set"], true);
    seen += &server.ctl(&["credentials", "get", "a", "--bootstrap"]);
    seen += &listed;
    assert!(!seen.contains(KEY), "{seen}");
    let refused =
        server.ctl_refused(&["credentials", "put", "x", "--psk-identity", "id-a2", "--psk-key", KEY]);
    assert!(refused.contains("\"a\" has it"), "{refused}");
    let refused = server.ctl_refused(&["credentials", "put", "x", "--psk-identity", "x", "--psk-key", "zz"]);
    assert!(refused.contains("no hex") && refused.contains("/key_hex"), "{refused}");
    let refused = server.ctl_refused(&["credentials", "put", "y", "--psk-identity", "y"]);
    assert!(refused.contains("give one with --psk-key or --psk-key-file"), "{refused}");
    server.ctl(&["credentials", "delete", "a"]);
    assert!(server.ctl_refused(&["credentials", "get", "a"]).contains("no such credential"));
    assert!(server.ctl(&["credentials", "get", "a", "--bootstrap"]).contains("bs-a"));
}

#[test]
fn a_table_is_tried_and_then_kept() {
    let server = Server::start(&[]);
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("devices.csv");
    let file = file.to_str().expect("UTF-8");
    let table = format!("endpoint,mode,identity,key_hex\na,psk,id-a,{KEY}\nimport,psk,id-i,{KEY}\n");
    std::fs::write(file, &table).expect("written");
    let tried = server.ctl(&["credentials", "import", file, "--dry-run"]);
    assert!(tried.contains("2 would be created, 0 would be replaced, 0 refused"), "{tried}");
    assert!(server.ctl_refused(&["credentials", "get", "a"]).contains("no such credential"));
    let kept = server.ctl(&["credentials", "import", file]);
    assert!(kept.contains("2 created, 0 replaced, 0 refused"), "{kept}");
    assert_eq!(server.json(&["credentials", "get", "a"])["identity"], "id-a");
    assert_eq!(server.json(&["credentials", "get", "import"])["identity"], "id-i");
    std::fs::write(file, format!("{table}b,psk,id-a,{KEY}\nc,x509,,\n")).expect("written");
    let refused = server.ctl_refused(&["credentials", "import", file, "--bootstrap"]);
    assert!(refused.contains("1 row is wrong") && !refused.contains(KEY), "{refused}");
    assert!(server.ctl(&["credentials", "list", "--bootstrap"]).contains('c'));
}

// Proves: SEC-08
#[test]
fn no_key_is_said_however_much_is_logged() {
    let folder = tempfile::tempdir().expect("a folder");
    let at = |name: &str| folder.path().join(name);
    let data = at("data");
    let serve = ["serve", "--dev", "--coap", "none", "--coaps", "127.0.0.1:0", "--bootstrap-coap", "none"];
    let more = ["--bootstrap-coaps", "none", "--http", "127.0.0.1:0", "--log", "trace", "--data"];
    let arguments = [&serve[..], &more, &[data.to_str().expect("UTF-8")]].concat();
    let server = start_logged(&arguments, &at("server.log"));
    let (coaps, http) = (listening(&at("server.log"), "coaps"), listening(&at("server.log"), "http"));
    let client = Client::new(&format!("http://{http}"), None);
    let credential = Credential::psk("me", KEY);
    client.put_credential(CredentialSet::Server, "loud", &credential).expect("kept");
    let uri = format!("coaps://{coaps}");
    let device = ["device", "--endpoint", "loud", "--server", &uri, "--psk-identity", "me", "--psk-key", KEY];
    let arguments = [&device[..], &["--log", "trace"]].concat();
    let device = start_logged(&arguments, &at("device.log"));
    eventually("it registers", || client.endpoint("loud").ok());
    // A mistake, too: what is wrong with a key is told without the key.
    let wrong = Credential::psk("you", format!("{KEY}zz"));
    let refused = client.put_credential(CredentialSet::Server, "other", &wrong).expect_err("no hex");
    assert!(!refused.to_string().contains(KEY), "{refused}");
    drop((device, server));
    for (log, said) in [("server.log", "debug"), ("device.log", "event registered")] {
        let text = std::fs::read_to_string(at(log)).expect("a log").to_lowercase();
        assert!(text.contains(said), "{log} lacks {said}: {text}");
        // In hex, as text, and as a list of numbers.
        for key in [KEY, "lightship-key-12", "108, 105, 103, 104, 116"] {
            assert!(!text.contains(key), "{log} says {key}");
        }
    }
}

#[test]
fn a_private_key_stays_where_it_is() {
    let folder = tempfile::tempdir().expect("a folder");
    let key = KeyPair::generate().expect("a key");
    let file = |name: &str, content: &[u8]| {
        let path = folder.path().join(name);
        std::fs::write(&path, content).expect("written");
        path.to_str().expect("UTF-8").to_owned()
    };
    let certificate = CertificateParams::default().self_signed(&key).expect("signed").pem();
    let both = file("both.pem", format!("{certificate}{}", key.serialize_pem()).as_bytes());
    let table = format!("endpoint,mode,certificate_pem\na,x509,\"{}\"\n", key.serialize_pem());
    let pem = file("key.pem", key.serialize_pem().as_bytes());
    let der = file("key.der", &key.serialize_der());
    let table = file("devices.csv", table.as_bytes());
    let document = serde_json::json!({"mode": "x509", "certificate_pem": key.serialize_pem()});
    let document = file("credential.json", document.to_string().as_bytes());
    for arguments in [
        &["credentials", "put", "a", "--rpk", &pem][..],
        &["credentials", "put", "a", "--rpk", &der],
        &["credentials", "put", "a", "--certificate", &both],
        &["credentials", "put", "a", &document],
        &["credentials", "import", &table],
        &["certificate", "explain", &pem],
        &["certificate", "explain", &der],
    ] {
        // Nobody listens there: who would send it says so.
        let output = program::command(&[&["ctl", "--url", "http://127.0.0.1:9"], arguments].concat())
            .output()
            .expect("it runs");
        let said = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(1), "{arguments:?}: {said}");
        assert!(
            said.contains("holds a private key, which must never leave its device"),
            "{arguments:?}: {said}"
        );
    }
}

#[cfg(unix)]
#[test]
fn trusted_authorities_are_read_anew_on_sighup() {
    let folder = tempfile::tempdir().expect("a folder");
    let trust = folder.path().join("trust.pem");
    let authority = |name: &str| {
        let mut params = CertificateParams::new(Vec::new()).expect("no names");
        params.distinguished_name.push(DnType::CommonName, name);
        let key = KeyPair::generate().expect("a key");
        params.self_signed(&key).expect("a certificate").pem()
    };
    std::fs::write(&trust, authority("first authority")).expect("written");
    let config = folder.path().join("lightship.toml");
    let text = format!("[security]\ntrust_files = [{:?}]\n", trust.to_str().expect("UTF-8"));
    std::fs::write(&config, text).expect("written");
    let server = Server::start(&["--config", config.to_str().expect("UTF-8")]);
    let client = Client::new(&format!("http://{}", server.http), None);
    let trusted =
        || client.security().expect("told").trust.iter().map(|one| one.names.join(" ")).collect::<Vec<_>>();
    assert_eq!(trusted(), ["first authority"]);
    let both = authority("second authority") + &authority("third authority");
    std::fs::write(&trust, both).expect("written");
    server.program.signal("-HUP");
    eventually("they are read anew", || (trusted() == ["second authority", "third authority"]).then_some(()));
    // What cannot be read changes nothing.
    std::fs::write(&trust, "nonsense").expect("written");
    server.program.signal("-HUP");
    std::fs::write(&trust, authority("fourth authority")).expect("written");
    server.program.signal("-HUP");
    eventually("and once more", || (trusted() == ["fourth authority"]).then_some(()));
}

#[cfg(unix)]
#[test]
fn who_was_vouched_for_by_an_authority_that_is_gone_does_not_stay() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = |name: &str, text: &str| {
        let path = folder.path().join(name);
        std::fs::write(&path, text).expect("written");
        path.to_str().expect("UTF-8").to_owned()
    };
    let mut params = CertificateParams::new(Vec::new()).expect("no names");
    params.distinguished_name.push(DnType::CommonName, "authority");
    params.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
    params.key_usages = vec![rcgen::KeyUsagePurpose::KeyCertSign];
    let key = KeyPair::generate().expect("a key");
    let authority = params.self_signed(&key).expect("a certificate").pem();
    let issuer = rcgen::Issuer::from_params(&params, &key);
    let of = |name: &str| {
        let mut params = CertificateParams::new(vec![name.to_owned()]).expect("a name");
        params.distinguished_name = rcgen::DistinguishedName::new();
        params.distinguished_name.push(DnType::CommonName, name);
        let key = KeyPair::generate().expect("a key");
        let certificate = params.signed_by(&key, &issuer).expect("signed").pem();
        (file(&format!("{name}.key"), &key.serialize_pem()), file(&format!("{name}.pem"), &certificate))
    };
    let ((server_key, server_certificate), (device_key, device_certificate)) = (of("localhost"), of("meter"));
    let (trust, device_trust) = (file("trust.pem", &authority), file("device-trust.pem", &authority));
    let config = format!(
        "[security]\nkey_file = {server_key:?}\ncertificate_file = {server_certificate:?}\ntrust_files = [{trust:?}]\n"
    );
    let server = Server::start(&["--config", &file("server.toml", &config), "--coaps", "127.0.0.1:0"]);
    server.ctl(&["credentials", "put", "meter", "--x509"]);
    let uri = format!("coaps://localhost:{}", server.coaps.expect("coaps").port());
    let own = ["--cert", &device_certificate, "--key", &device_key, "--trust", &device_trust];
    let mut device =
        program::Program::start(&[&["device", "--endpoint", "meter", "--server", &uri], &own[..]].concat());
    device.await_line("event registered");
    let client = Client::new(&format!("http://{}", server.http), None);
    let session = || client.endpoint("meter").ok()?.session;
    eventually("it has a session", session);
    let other =
        CertificateParams::new(Vec::new()).expect("no names").self_signed(&key).expect("a certificate");
    file("trust.pem", &other.pem());
    server.program.signal("-HUP");
    eventually("its session ends", || session().is_none().then_some(()));
    device.say("update");
    let refused = || {
        let told = client.security_failures().ok()?.items;
        told.into_iter()
            .find(|one| one.reason.as_deref().is_some_and(|reason| reason.contains("not trusted")))
    };
    eventually("and it does not come back", refused);
}
