//! A server judges its devices.

use std::str::FromStr;

use lightship_dtls::Alert;
use lightship_dtls::certificate::{Anchors, Refusal, names, public_key, verify_client};
use lightship_platform::crypto::{Crypto, FastCrypto, RustCrypto};
use rcgen::{
    ExtendedKeyUsagePurpose, KeyPair, PKCS_ECDSA_P384_SHA384, PKCS_ED25519, PKCS_RSA_SHA256, SanType,
    date_time_ymd,
};

use crate::{
    World, anchors, authority, chain, dns, entity, self_signed, self_signed_with, signed, signed_with, today,
};

// Proves: DTL-05
#[test]
fn a_device_of_a_trusted_authority_comes_in_with_its_names() {
    let w = World::new();
    let uri = SanType::URI("urn:dev:mac:0024befffe804ff1".try_into().unwrap());
    let address = SanType::IpAddress("192.0.2.7".parse().unwrap());
    let device = signed(entity("urn:imei:1", &[dns("dev-1.example"), uri, address]), &w.middle);
    for crypto in [&FastCrypto as &dyn Crypto, &RustCrypto] {
        let names =
            verify_client(crypto, &chain(&[&device, &w.middle]), &anchors(&[&w.root]), today()).unwrap();
        assert_eq!(names.common_name.as_deref(), Some("urn:imei:1"));
        assert_eq!(names.dns, ["dev-1.example"]);
        assert_eq!(names.uris, ["urn:dev:mac:0024befffe804ff1"]);
        let candidates: Vec<&str> = names.candidates().collect();
        assert_eq!(candidates, ["urn:imei:1", "dev-1.example", "urn:dev:mac:0024befffe804ff1"]);
        // An authority may be trusted that is not a root, and several may be.
        let trusted = anchors(&[&w.stranger, &w.middle]);
        assert_eq!(verify_client(crypto, &chain(&[&device]), &trusted, None), Ok(names));
    }
}

// Proves: DTL-05
#[test]
fn a_device_that_no_trusted_authority_vouches_for_is_refused() {
    let w = World::new();
    let device = signed(entity("dev-1", &[]), &w.stranger);
    let own = self_signed(entity("dev-1", &[]));
    let known = signed(entity("dev-1", &[]), &w.middle);
    let forged = signed(entity("dev-1", &[]), &self_signed(authority("Acme Root")));
    let rooted = anchors(&[&w.root]);
    let untrusted = |issuer: &str| Refusal::Untrusted { issuer: issuer.into() };
    let table = [
        (chain(&[&device]), &rooted, untrusted("Evil Root"), "issuer 'Evil Root' is not trusted"),
        (
            chain(&[&device, &w.stranger]),
            &rooted,
            untrusted("Evil Root"),
            "issuer 'Evil Root' is not trusted",
        ),
        (chain(&[&own]), &rooted, untrusted("dev-1"), "issuer 'dev-1' is not trusted"),
        (chain(&[&known]), &rooted, untrusted("Acme Devices"), "issuer 'Acme Devices' is not trusted"),
        (chain(&[&forged]), &rooted, Refusal::Signature, "the signature of a certificate is wrong"),
        (chain(&[]), &rooted, Refusal::NoCertificate, "no certificate was presented"),
    ];
    for (presented, trusted, refusal, text) in table {
        assert_eq!(verify_client(&FastCrypto, &presented, trusted, today()), Err(refusal.clone()));
        assert_eq!(refusal.to_string(), text);
    }
    assert_eq!(untrusted("x").alert(), Alert::UNKNOWN_CA);
    let none = Anchors::default();
    assert!(none.is_empty());
    assert!(verify_client(&FastCrypto, &chain(&[&known, &w.middle, &w.root]), &none, today()).is_err());
}

#[test]
fn a_device_cannot_sign_for_another() {
    let w = World::new();
    let device = signed(entity("dev-1", &[]), &w.root);
    let other = signed(entity("dev-2", &[]), &device);
    let verdict = verify_client(&FastCrypto, &chain(&[&other, &device]), &anchors(&[&w.root]), today());
    assert_eq!(verdict, Err(Refusal::NoAuthority));
    // An authority that may not sign certificates, although it calls itself one.
    let mut params = authority("Acme Printer");
    params.key_usages = vec![rcgen::KeyUsagePurpose::DigitalSignature];
    let printer = signed(params, &w.root);
    let device = signed(entity("dev-1", &[]), &printer);
    let verdict = verify_client(&FastCrypto, &chain(&[&device, &printer]), &anchors(&[&w.root]), today());
    assert_eq!(verdict, Err(Refusal::Purpose { subject: "Acme Printer".into() }));
}

#[test]
fn purpose_and_date_of_a_device_are_checked() {
    let w = World::new();
    let rooted = anchors(&[&w.root]);
    let mut params = entity("dev-1", &[]);
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    let device = signed(params, &w.root);
    let verdict = verify_client(&FastCrypto, &chain(&[&device]), &rooted, today());
    assert_eq!(verdict, Err(Refusal::Purpose { subject: "dev-1".into() }));
    let mut params = entity("dev-1", &[]);
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
    params.not_before = date_time_ymd(2020, 1, 1);
    params.not_after = date_time_ymd(2025, 3, 9);
    let device = signed(params, &w.root);
    let refusal = verify_client(&FastCrypto, &chain(&[&device]), &rooted, today()).unwrap_err();
    assert_eq!(refusal.to_string(), "certificate 'dev-1' expired on 2025-03-09");
    assert!(verify_client(&FastCrypto, &chain(&[&device]), &rooted, None).is_ok());
}

// Proves: DTL-07
#[test]
fn the_key_of_a_device_is_one_of_p256() {
    let w = World::new();
    let rooted = anchors(&[&w.root]);
    for algorithm in [&PKCS_ECDSA_P384_SHA384, &PKCS_ED25519, &PKCS_RSA_SHA256] {
        let device = signed_with(entity("dev-1", &[]), KeyPair::generate_for(algorithm).unwrap(), &w.root);
        let verdict = verify_client(&FastCrypto, &chain(&[&device]), &rooted, today());
        assert_eq!(verdict, Err(Refusal::Key), "{algorithm:?}");
        assert_eq!(public_key(&device.der()), Err(Refusal::Key), "{algorithm:?}");
    }
    let device = signed(entity("dev-1", &[]), &w.root);
    let key = public_key(&device.der()).unwrap();
    assert_eq!(key.len(), 91);
    assert!(key.ends_with(device.key.public_key_raw()));
}

#[test]
fn authorities_with_other_keys_are_for_the_fast_provider() {
    for (algorithm, known) in
        [(&PKCS_ECDSA_P384_SHA384, true), (&PKCS_RSA_SHA256, true), (&PKCS_ED25519, false)]
    {
        let root = self_signed_with(authority("Acme Root"), KeyPair::generate_for(algorithm).unwrap());
        let device = signed(entity("dev-1", &[]), &root);
        let fast = verify_client(&FastCrypto, &chain(&[&device]), &anchors(&[&root]), today());
        assert_eq!(fast.is_ok(), known, "{algorithm:?}: {fast:?}");
        let portable = verify_client(&RustCrypto, &chain(&[&device]), &anchors(&[&root]), today());
        assert_eq!(portable, Err(Refusal::Algorithm), "{algorithm:?}");
    }
}

#[test]
fn the_names_of_a_certificate_are_read_without_judging_it() {
    let own = self_signed(entity("x", &[dns("a.example"), SanType::IpAddress("::1".parse().unwrap())]));
    let names = names(&own.der()).unwrap();
    assert_eq!(names.dns, ["a.example"]);
    assert_eq!(names.addresses, [std::net::IpAddr::from_str("::1").unwrap()]);
    assert!(names.include("::1"));
    assert!(!names.include("x"));
}

#[test]
fn a_certificate_of_version_1_has_a_key_but_no_path() {
    // What `openssl x509 -req` makes without extensions; the capture's server has one.
    let capture: serde_json::Value =
        serde_json::from_str(include_str!("../vectors/dtls12_ecdhe_ecdsa_ccm8.json")).unwrap();
    let der = |name: &str| {
        let text = capture["vectors"][0][name].as_str().unwrap();
        let pair = |at| u8::from_str_radix(&text[at..at + 2], 16).unwrap();
        (0..text.len()).step_by(2).map(pair).collect::<Vec<u8>>()
    };
    let (root, device) = (der("ca_cert_der"), der("server_cert_der"));
    let trusted = Anchors::new([root.as_slice()]).unwrap();
    assert_eq!(verify_client(&FastCrypto, &[&device], &trusted, None), Err(Refusal::Version));
    let key = FastCrypto.signing_key(&der("server_private_scalar")).unwrap();
    assert_eq!(public_key(&device).unwrap(), key.public_key());
}
