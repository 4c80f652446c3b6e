use super::*;

fn shape(json: &str) -> api::Credential {
    serde_json::from_str(json).unwrap()
}

/// The last byte of a point that lies on the curve, for these tests.
fn read(json: &str) -> Result<Proof, Unusable> {
    Proof::read(&shape(json), None, &|point| point.last() == Some(&7))
}

fn public_key(last: u8) -> Vec<u8> {
    let mut der = P256_PREFIX.to_vec();
    der.push(4);
    der.extend([1; 63]);
    der.push(last);
    der
}

fn pem(label: &str, der: &[u8]) -> String {
    format!("-----BEGIN {label}-----\\n{}\\n-----END {label}-----", api::convert::base64(der))
}

#[test]
fn what_can_be_used_is_kept_and_shown_without_keys() {
    let key = public_key(7);
    let sum = hex(&Sha256::of(&key));
    let certificate = rcgen::generate_simple_self_signed([]).unwrap().cert.der().to_vec();
    for (json, shown) in [
        (r#"{"mode":"nosec"}"#.to_owned(), r#"{"mode":"nosec"}"#.to_owned()),
        (
            r#"{"mode":"psk","identity":"gerät","key_hex":"00112233445566778899AABBccddeeff"}"#.to_owned(),
            r#"{"mode":"psk","identity":"gerät","key_set":true}"#.to_owned(),
        ),
        (
            r#"{"mode":"psk","identity_hex":"ff00","key_hex":"00112233445566778899aabbccddeeff"}"#.to_owned(),
            r#"{"mode":"psk","identity_hex":"ff00","key_set":true}"#.to_owned(),
        ),
        (
            format!(r#"{{"mode":"rpk","public_key_pem":"{}"}}"#, pem("PUBLIC KEY", &key)),
            format!(r#"{{"mode":"rpk","public_key_sha256":"{sum}"}}"#),
        ),
        (
            format!(r#"{{"mode":"rpk","public_key_hex":"{}"}}"#, hex(&key)),
            format!(r#"{{"mode":"rpk","public_key_sha256":"{sum}"}}"#),
        ),
        (
            format!(r#"{{"mode":"rpk","public_key_sha256":"{}"}}"#, sum.to_uppercase()),
            format!(r#"{{"mode":"rpk","public_key_sha256":"{sum}"}}"#),
        ),
        (
            format!(r#"{{"mode":"x509","certificate_pem":"{}"}}"#, pem("CERTIFICATE", &certificate)),
            format!(r#"{{"mode":"x509","certificate_sha256":"{}"}}"#, hex(&Sha256::of(&certificate))),
        ),
        (
            format!(r#"{{"mode":"x509","certificate_sha256":"{sum}"}}"#),
            format!(r#"{{"mode":"x509","certificate_sha256":"{sum}"}}"#),
        ),
        (r#"{"mode":"x509","name":"meter-7"}"#.to_owned(), r#"{"mode":"x509","name":"meter-7"}"#.to_owned()),
        (r#"{"mode":"x509"}"#.to_owned(), r#"{"mode":"x509"}"#.to_owned()),
    ] {
        let proof = read(&json).unwrap();
        assert_eq!(proof.shape(), shape(&shown), "{json}");
        assert_eq!(Proof::of_bytes(proof.bytes().bytes()), Some(proof.clone()), "{json}");
        // What is shown may be written back, and changes nothing.
        assert_eq!(Proof::read(&shape(&shown), Some(&proof), &|_| true), Ok(proof), "{shown}");
    }
}

#[test]
fn what_cannot_be_used_is_refused_with_its_place() {
    let foreign = hex(&[P256_PREFIX.get(..20).unwrap(), &[9; 71]].concat());
    let (on, off) = (public_key(7), public_key(8));
    let sum = hex(&Sha256::of(&off));
    for (json, at, what) in [
        (r#"{"mode":"psk","key_hex":"00"}"#.to_owned(), "/identity", "needs an identity"),
        (r#"{"mode":"psk","identity":"a"}"#.to_owned(), "/key_hex", "needs a key"),
        (r#"{"mode":"psk","identity":"a","key_hex":"xyz1"}"#.to_owned(), "/key_hex", "no hex"),
        (r#"{"mode":"psk","identity":"a","key_hex":"0"}"#.to_owned(), "/key_hex", "no hex"),
        (r#"{"mode":"psk","identity":"a","key_hex":""}"#.to_owned(), "/key_hex", "this one has 0"),
        (format!(r#"{{"mode":"psk","identity":"a","key_hex":"{}"}}"#, "00".repeat(65)), "/key_hex", "has 65"),
        (r#"{"mode":"psk","identity":"a","key_set":true}"#.to_owned(), "/key_set", "no key"),
        (r#"{"mode":"psk","identity":"","key_hex":"00"}"#.to_owned(), "/identity", "this one has 0"),
        (
            format!(r#"{{"mode":"psk","identity":"{}","key_hex":"00"}}"#, "i".repeat(129)),
            "/identity",
            "this one has 129",
        ),
        (
            r#"{"mode":"psk","identity":"a","identity_hex":"00","key_hex":"00"}"#.to_owned(),
            "/identity_hex",
            "not both",
        ),
        (r#"{"mode":"psk","identity_hex":"0x","key_hex":"00"}"#.to_owned(), "/identity_hex", "no hex"),
        (r#"{"mode":"nosec","key_hex":"00"}"#.to_owned(), "/key_hex", "does not go with the mode"),
        (r#"{"mode":"x509","identity":"a"}"#.to_owned(), "/identity", "does not go with the mode"),
        (r#"{"mode":"rpk"}"#.to_owned(), "/public_key_pem", "needs a public key"),
        (r#"{"mode":"rpk","public_key_pem":"no"}"#.to_owned(), "/public_key_pem", "no block PUBLIC KEY"),
        (
            format!(r#"{{"mode":"rpk","public_key_pem":"{}"}}"#, pem("PRIVATE KEY", &on)),
            "/public_key_pem",
            "private key",
        ),
        (format!(r#"{{"mode":"rpk","public_key_hex":"{foreign}"}}"#), "/public_key_hex", "P-256"),
        (format!(r#"{{"mode":"rpk","public_key_hex":"{}"}}"#, hex(&off)), "/public_key_hex", "on the curve"),
        (
            format!(r#"{{"mode":"rpk","public_key_hex":"{}","public_key_sha256":"{sum}"}}"#, hex(&on)),
            "/public_key_sha256",
            "not the fingerprint",
        ),
        (r#"{"mode":"rpk","public_key_sha256":"00"}"#.to_owned(), "/public_key_sha256", "64 hex digits"),
        (
            format!(r#"{{"mode":"x509","certificate_pem":"{}"}}"#, pem("CERTIFICATE", &on)),
            "/certificate_pem",
            "cannot be read",
        ),
        (r#"{"mode":"x509","name":""}"#.to_owned(), "/name", "1 to 255"),
        (r#"{"mode":"x509","name":"a","certificate_sha256":"00"}"#.to_owned(), "/name", "not both"),
        (r#"{"mode":"x509","certificate_sha256":"00"}"#.to_owned(), "/certificate_sha256", "64 hex digits"),
    ] {
        let unusable = read(&json).unwrap_err();
        assert_eq!(unusable.pointer, at, "{json}: {unusable:?}");
        assert!(unusable.message.contains(what), "{json}: {unusable:?}");
    }
}

#[test]
fn a_short_key_is_taken_with_a_warning() {
    let short = read(r#"{"mode":"psk","identity":"a","key_hex":"001122"}"#).unwrap();
    assert_eq!(short.shape().warnings, ["the key has 3 bytes; fewer than 16 can be guessed"]);
    let long = read(&format!(r#"{{"mode":"psk","identity":"a","key_hex":"{}"}}"#, "00".repeat(64))).unwrap();
    assert!(long.shape().warnings.is_empty());
}

#[test]
fn an_identity_of_128_bytes_is_taken() {
    let json =
        format!(r#"{{"mode":"psk","identity":"{}","key_hex":"{}"}}"#, "i".repeat(128), "00".repeat(16));
    let proof = read(&json).unwrap();
    assert_eq!(proof.principal().unwrap().len(), 129);
    assert_eq!(Proof::of_bytes(proof.bytes().bytes()), Some(proof));
}

#[test]
fn kinds_of_identities_never_meet() {
    let sum = "41".repeat(32);
    let proofs = [
        format!(r#"{{"mode":"psk","identity_hex":"{sum}","key_hex":"00"}}"#),
        format!(r#"{{"mode":"rpk","public_key_sha256":"{sum}"}}"#),
        format!(r#"{{"mode":"x509","certificate_sha256":"{sum}"}}"#),
        format!(r#"{{"mode":"x509","name":"{}"}}"#, "A".repeat(32)),
    ];
    let mut principals: Vec<_> = proofs.iter().map(|json| read(json).unwrap().principal()).collect();
    principals.sort();
    principals.dedup();
    assert_eq!(principals.len(), 4);
}

#[test]
fn a_proof_is_printed_without_its_key() {
    let json = r#"{"mode":"psk","identity":"me","key_hex":"deadbeefdeadbeefdeadbeefdeadbeef"}"#;
    let printed = format!("{:?} {:?}", read(json).unwrap(), shape(json));
    assert!(
        printed.contains("me") && !printed.contains("dead") && !printed.contains("222, 173"),
        "{printed}"
    );
}

#[test]
fn any_bytes_are_a_proof_or_none() {
    for kind in 0..8 {
        for len in 0..80 {
            let mut bytes = vec![VERSION, kind];
            bytes.resize(len + 2, 3);
            if let Some(proof) = Proof::of_bytes(&bytes) {
                assert_eq!(proof.bytes().bytes(), bytes);
            }
        }
    }
}
