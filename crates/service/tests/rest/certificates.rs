//! What certificates mean: every field, every warning, and nothing that a file could do to the server.

use rcgen::{
    CertificateParams, DnType, ExtendedKeyUsagePurpose, KeyPair, KeyUsagePurpose, PKCS_ECDSA_P384_SHA384,
    SanType, date_time_ymd,
};
use serde_json::{Value as Json, json};

use super::secured::{Identity, Secured, uri};
use super::sessions::{put, trusting};
use super::support::{Reply, Server, eventually};

const EXPLAIN: &str = "/api/v1/certificates/explain";

fn post(server: &Server, address: &str, body: &[u8]) -> Reply {
    let head = format!(
        "POST {address} HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/octet-stream\r\nContent-Length: {}\r\nConnection: close\r\n\r\n",
        body.len()
    );
    server.raw([head.as_bytes(), body].concat())
}

fn explained(server: &Server, body: impl AsRef<[u8]>) -> Json {
    let reply = post(server, EXPLAIN, body.as_ref());
    assert_eq!(reply.status, 200, "{reply:?}");
    reply.json()
}

/// The kinds of warnings, with the certificate of each.
fn warnings(explanation: &Json) -> Vec<(String, Option<u64>)> {
    let all = explanation["warnings"].as_array().unwrap().iter();
    all.map(|one| (one["kind"].as_str().unwrap().to_owned(), one["certificate"].as_u64())).collect()
}

fn kinds(explanation: &Json) -> Vec<String> {
    warnings(explanation).into_iter().map(|(kind, _)| kind).collect()
}

#[test]
fn every_field_of_a_certificate_is_told_in_pem_der_and_hex() {
    let authority = Identity::authority("Devices, Ltd");
    let (server, _folder) = trusting(&authority, |_| {});
    let device = Identity::of(&authority, "meter", |params| {
        params.subject_alt_names =
            vec![uri("urn:dev:7"), SanType::DnsName("meter.example".try_into().unwrap())];
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
        params.not_before = date_time_ymd(2020, 1, 2);
        params.not_after = date_time_ymd(2090, 3, 4);
        params.serial_number = Some(vec![0x12, 0xab].into());
    });
    let der = device.certificate.der().to_vec();
    let hex: String = der.iter().map(|byte| format!("{byte:02X}\n")).collect();
    let by_pem = explained(&server, format!("words\n{}", device.certificate.pem()));
    assert_eq!(explained(&server, &der), by_pem);
    assert_eq!(explained(&server, hex), by_pem);
    let one = &by_pem["certificates"][0];
    for (member, told) in [
        ("version", json!(3)),
        ("subject", json!("CN=meter")),
        ("issuer", json!("CN=Devices\\, Ltd")),
        ("serial", json!("12ab")),
        ("valid_from", json!("2020-01-02T00:00:00.000Z")),
        ("valid_until", json!("2090-03-04T00:00:00.000Z")),
        ("common_name", json!("meter")),
        ("alternative_names", json!(["dns:meter.example", "uri:urn:dev:7"])),
        ("signature_algorithm", json!("ecdsa-with-SHA256")),
        ("key_usage", json!(["digitalSignature"])),
        ("extended_key_usage", json!(["clientAuth"])),
        ("authority", json!(false)),
        ("self_signed", json!(false)),
        ("warnings", json!([])),
    ] {
        assert_eq!(one[member], told, "{member}");
    }
    assert!(one["days_left"].as_i64().unwrap() > 20_000);
    let key = &one["public_key"];
    assert_eq!((&key["kind"], &key["curve"]), (&json!("EC"), &json!("P-256")));
    assert_eq!((&key["bits"], &key["supported"]), (&json!(256), &json!(true)));
    assert_eq!(
        (&by_pem["trusted"], &by_pem["endpoints"]),
        (&json!(true), &json!(["meter", "urn:dev:7", "meter.example"]))
    );
    // A bare public key says the same of itself.
    let bare = explained(&server, device.public_key_pem());
    assert_eq!(&bare["public_key"], key);
    assert_eq!((&bare["certificates"], &bare["warnings"]), (&json!([]), &json!([])));
    // For whom it stands is the server's rule.
    for (endpoint, warned) in
        [("meter", vec![]), ("urn%3Adev%3A7", vec![]), ("pump", vec!["other-name".to_owned()])]
    {
        let reply = post(&server, &format!("{EXPLAIN}?endpoint={endpoint}"), &der);
        assert_eq!(kinds(&reply.json()), warned, "{endpoint}");
    }
}

#[test]
fn the_order_of_a_chain_and_who_signed_whom_is_told() {
    let root = Identity::authority("root");
    let (server, _folder) = trusting(&root, |_| {});
    let middle = Identity::below(&root, "middle");
    let device = Identity::of(&middle, "meter", |_| {});
    let pems = |all: &[&Identity]| all.iter().map(|one| one.certificate.pem()).collect::<String>();
    let right = explained(&server, pems(&[&device, &middle, &root]));
    let told = |explanation: &Json, at: usize| {
        let one = &explanation["certificates"][at];
        (one["signed_by"].as_u64(), one["signed_by_next"].as_bool(), one["self_signed"].as_bool().unwrap())
    };
    assert_eq!(told(&right, 0), (Some(1), Some(true), false));
    assert_eq!(told(&right, 1), (Some(2), Some(true), false));
    assert_eq!(told(&right, 2), (None, None, true));
    assert_eq!((&right["trusted"], kinds(&right)), (&json!(true), Vec::<String>::new()));
    let wrong = explained(&server, pems(&[&device, &root, &middle]));
    assert_eq!(told(&wrong, 0), (Some(2), Some(false), false));
    assert_eq!(
        warnings(&wrong),
        [("not-signed-by-next".to_owned(), Some(0)), ("not-signed-by-next".to_owned(), Some(1))]
    );
    // One who only calls himself the same.
    let impostor = Identity::below(&root, "middle");
    let forged = explained(&server, pems(&[&device, &impostor]));
    assert_eq!(
        (told(&forged, 0), kinds(&forged)),
        ((None, Some(false), false), vec!["bad-signature".to_owned()])
    );
    assert_eq!(forged["trusted"], false);
    let twice = explained(&server, pems(&[&device, &device]));
    assert!(kinds(&twice).contains(&"twice".to_owned()), "{twice}");
    let long = explained(&server, pems(&[&device, &middle, &root, &root, &root, &root, &root]));
    assert!(kinds(&long).contains(&"too-large".to_owned()));
    let alone = explained(&server, pems(&[&root]));
    assert_eq!((kinds(&alone), &alone["trusted"]), (vec!["authority-as-device".to_owned()], &json!(true)));
}

#[test]
fn what_will_not_work_is_told_in_words() {
    let authority = Identity::authority("authority");
    let (server, _folder) = trusting(&authority, |_| {});
    let day = 24 * 60 * 60;
    let now = std::time::SystemTime::UNIX_EPOCH.elapsed().unwrap().as_secs();
    let soon = date_time_ymd(1970, 1, 1) + std::time::Duration::from_secs(now + 3 * day + 60);
    type Change = Box<dyn FnOnce(&mut CertificateParams)>;
    let cases: [(&str, Change, &str); 7] = [
        (
            "expired",
            Box::new(|params| {
                params.not_before = date_time_ymd(2001, 1, 1);
                params.not_after = date_time_ymd(2002, 2, 3);
            }),
            "it expired on 2002-02-03",
        ),
        (
            "not-yet-valid",
            Box::new(|params| {
                params.not_before = date_time_ymd(2090, 1, 2);
                params.not_after = date_time_ymd(2091, 2, 3);
            }),
            "it is not valid before 2090-01-02",
        ),
        ("expires-soon", Box::new(move |params| params.not_after = soon), "it expires in 3 days"),
        (
            "no-client-auth",
            Box::new(|params| {
                params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
            }),
            "clientAuth",
        ),
        (
            "key-usage",
            Box::new(|params| params.key_usages = vec![KeyUsagePurpose::KeyAgreement]),
            "digitalSignature",
        ),
        (
            "unknown-critical",
            Box::new(|params| {
                let mut extension =
                    rcgen::CustomExtension::from_oid_content(&[1, 3, 6, 1, 4, 1, 99999, 7], vec![5, 0]);
                extension.set_criticality(true);
                params.custom_extensions = vec![extension];
            }),
            "1.3.6.1.4.1.99999.7",
        ),
        (
            "no-name",
            Box::new(|params| params.distinguished_name = rcgen::DistinguishedName::new()),
            "names nobody",
        ),
    ];
    for (kind, change, words) in cases {
        let own = Identity::of(&authority, "meter", change);
        let found = explained(&server, own.certificate.der());
        let text = found["warnings"].to_string();
        assert_eq!((kinds(&found), text.contains(words)), (vec![kind.to_owned()], true), "{text}");
    }
}

#[test]
fn a_key_that_devices_cannot_have_is_told() {
    let server = Server::start();
    let key = KeyPair::generate_for(&PKCS_ECDSA_P384_SHA384).unwrap();
    let self_signed = CertificateParams::default().self_signed(&key).unwrap();
    let found = explained(&server, self_signed.der());
    assert_eq!(found["certificates"][0]["public_key"]["curve"], "P-384");
    assert_eq!(kinds(&found), ["unsupported-key", "self-signed"]);
    assert_eq!(found["trusted"], false);
    let bare = explained(&server, key.public_key_pem());
    assert_eq!(
        (kinds(&bare), &bare["public_key"]["supported"]),
        (vec!["unsupported-key".to_owned()], &json!(false))
    );
}

#[test]
fn a_file_that_is_no_certificate_gets_a_plain_answer() {
    let server = Server::start();
    let own = Identity::of(&Identity::authority("authority"), "meter", |_| {});
    let der = own.certificate.der().to_vec();
    let secret = own.key.serialize_pem();
    let many = own.certificate.pem().repeat(17);
    let broken = own.certificate.pem().replace("END", "AND");
    let nested = [&[0x30, 0x83, 0x03, 0xff, 0xff][..], &[0x30, 0x80].repeat(100_000)].concat();
    let flipped: Vec<Vec<u8>> = (0..der.len())
        .map(|at| {
            let mut der = der.clone();
            der[at] ^= 0x55;
            der
        })
        .collect();
    let cases: [(&[u8], u16, &str); 12] = [
        (b" \n", 400, "nothing to explain"),
        (b"hello", 400, "neither PEM nor DER"),
        (&[0; 1000], 400, "neither PEM nor DER"),
        (&[[0x30, 0x7f]; 500].concat(), 400, "no certificate"),
        (&[0x30, 0x84, 0xff, 0xff, 0xff, 0xff, 0x30], 400, "no certificate"),
        (&nested, 400, "no certificate"),
        (&der[..der.len() - 1], 400, "no certificate"),
        (secret.as_bytes(), 400, "must never leave its device"),
        (&own.key.serialize_der(), 400, "must never leave its device"),
        (broken.as_bytes(), 400, "broken"),
        (many.as_bytes(), 400, "t most 16"),
        (&vec![b'x'; 262_145], 413, "t most 262144 bytes"),
    ];
    for (body, status, detail) in cases {
        let reply = post(&server, EXPLAIN, body);
        assert_eq!((reply.status, reply.body.contains(detail)), (status, true), "{detail}: {reply:?}");
    }
    // Every byte of a certificate may be another one.
    for body in flipped {
        let reply = post(&server, EXPLAIN, &body);
        assert!([200, 400].contains(&reply.status), "{reply:?}");
    }
    assert_eq!(server.call("POST", &format!("{EXPLAIN}?endpoint=a%00b"), "x").problem(), "invalid-parameter");
    let reply = server.raw(format!("POST {EXPLAIN} HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: 2\r\nConnection: close\r\n\r\n{{}}"));
    assert_eq!(reply.problem(), "unsupported-media-type");
}

#[test]
fn names_that_mean_harm_are_escaped_and_cut() {
    let authority = Identity::authority("evil\u{202e}\nroot");
    let (server, _folder) = trusting(&authority, |_| {});
    let long = "<img src=x onerror=alert(1)>".repeat(2_500);
    let device = Identity::of(&authority, "<script>alert(1)</script>\u{200b}\u{1b}[31m", |params| {
        params.distinguished_name.push(DnType::OrganizationName, long.as_str());
        params.subject_alt_names = (0..150).map(|at| uri(&format!("urn:dev:{at}"))).collect();
    });
    let found = explained(&server, device.certificate.der());
    let one = &found["certificates"][0];
    assert_eq!(one["common_name"], "<script>alert(1)</script>\\u{200b}\\u{1b}[31m");
    assert_eq!(one["issuer"], "CN=evil\\u{202e}\\u{a}root");
    let subject = one["subject"].as_str().unwrap();
    assert!(
        subject.contains("O=<img") && subject.ends_with('…') && subject.chars().count() < 1_200,
        "{subject}"
    );
    assert_eq!(one["alternative_names"].as_array().unwrap().len(), 100);
    assert_eq!(one["alternative_names_left_out"], 50);
    assert!(kinds(&found).contains(&"too-large".to_owned()));
}

#[test]
fn what_is_kept_trusted_and_used_is_explained_too() {
    let authority = Identity::authority("authority");
    let (server, _folder) = trusting(&authority, |_| {});
    let overview = server.call("GET", "/api/v1/security", "").json();
    assert_eq!(overview["trust"][0]["meaning"]["authority"], true);
    assert_eq!(overview["identities"][0]["certificate"]["meaning"]["common_name"], "lwm2m.example");
    // Kept for one device: whole, and the whole stays when what is shown is written back.
    let own = Identity::of(&Identity::authority("unknown"), "self", |_| {});
    let address = "/api/v1/credentials/pinned";
    put(&server, "pinned", &json!({"mode": "x509", "certificate_pem": own.certificate.pem()}));
    let shown = server.call("GET", address, "").json();
    assert_eq!(shown["certificate"]["common_name"], "self");
    assert_eq!(shown["certificate"]["sha256"], shown["certificate_sha256"]);
    let mut session = Secured::connect(server.coaps(), own.x509());
    assert_eq!(session.register("pinned"), Some(0x41));
    assert_eq!(server.call("PUT", address, &shown.to_string()).status, 200);
    assert_eq!(server.call("GET", address, "").json()["certificate"], shown["certificate"]);
    let used = server.call("GET", "/api/v1/endpoints/pinned/certificate", "").json();
    assert_eq!(used["certificates"][0]["sha256"], shown["certificate_sha256"]);
    // Nobody's session ends over what changes nothing.
    eventually(|| server.call("GET", "/api/v1/endpoints/pinned", "").status == 200);
    assert_eq!(session.register("pinned"), Some(0x41));
    let listed = server.call("GET", "/api/v1/credentials", "").json();
    assert!(listed["items"][0].get("certificate").is_none(), "{listed}");
    // By a name that an authority vouches for.
    let named = Identity::of(&authority, "meter", |_| {});
    put(&server, "meter", &json!({"mode": "x509"}));
    let nothing = server.call("GET", "/api/v1/endpoints/meter/certificate", "");
    assert_eq!((nothing.status, nothing.problem().as_str()), (404, "no-credential"));
    assert_eq!(Secured::connect(server.coaps(), named.x509()).register("meter"), Some(0x41));
    server.wait_for("meter");
    let used = server.call("GET", "/api/v1/endpoints/meter/certificate", "").json();
    assert_eq!((&used["certificates"][0]["subject"], &used["trusted"]), (&json!("CN=meter"), &json!(true)));
    let bad = json!({"mode": "x509", "certificate_pem": "-----BEGIN CERTIFICATE-----\nMAA=\n-----END CERTIFICATE-----"});
    assert_eq!(server.call("PUT", address, &bad.to_string()).problem(), "invalid-credential");
}
