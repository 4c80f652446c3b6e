//! Keys and certificates in files.

use lightship_dtls::certificate::{FileFault, certificates, private_key, public_key, raw_public_key};
use lightship_platform::crypto::{Crypto, RustCrypto};

use crate::{World, chain};

#[test]
fn certificates_are_read_from_pem_and_der() {
    let w = World::new();
    let expected = chain(&[&w.server, &w.middle]);
    let server = w.server.certificate.pem();
    let middle = w.middle.certificate.pem();
    let commented = format!("subject=CN = server\r\n{server}\n\nissued by:\n{middle}\nthe end");
    let crlf = format!("{server}{middle}").replace('\r', "").replace('\n', "\r\n");
    let with_key = format!("{}{server}{middle}", w.server.key.serialize_pem());
    for file in [format!("{server}{middle}"), commented, crlf, with_key] {
        assert_eq!(certificates(file.as_bytes()), Ok(expected.clone()), "{file}");
    }
    assert_eq!(certificates(&w.server.der()), Ok(vec![w.server.der()]));
}

#[test]
fn a_file_without_certificates_says_what_is_wrong() {
    let w = World::new();
    let server = w.server.certificate.pem();
    let key = w.server.key.serialize_pem();
    assert_eq!(certificates(key.as_bytes()), Err(FileFault::NoCertificate));
    assert_eq!(certificates(b""), Err(FileFault::Malformed));
    assert_eq!(certificates(b"hello"), Err(FileFault::Malformed));
    assert_eq!(certificates(&server.as_bytes()[..200]), Err(FileFault::Pem));
    assert_eq!(certificates(server.replace("MII", "M!I").as_bytes()), Err(FileFault::Pem));
    assert_eq!(certificates(&vec![b' '; 2_000_000]), Err(FileFault::TooLarge));
    let junk = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
    assert_eq!(certificates(junk.as_bytes()), Err(FileFault::Malformed));
    for text in
        ["-----BEGIN ", "-----BEGIN -----BEGIN ", "-----BEGIN X-----\n-----END Y-----\n", "-----BEGIN X-----"]
    {
        assert_eq!(certificates(text.as_bytes()), Err(FileFault::Pem), "{text}");
    }
}

#[test]
fn private_and_public_keys_are_read_from_pem_and_der() {
    let w = World::new();
    let key = &w.server.key;
    let spki = public_key(&w.server.der()).unwrap();
    let parameters = "-----BEGIN EC PARAMETERS-----\nBggqhkjOPQMBBw==\n-----END EC PARAMETERS-----\n";
    for file in [
        key.serialize_pem().into_bytes(),
        format!("{parameters}{}", key.serialize_pem()).into_bytes(),
        format!("{}{}", w.server.certificate.pem(), key.serialize_pem()).into_bytes(),
        key.serialize_der(),
    ] {
        let secret = private_key(&file).unwrap();
        assert_eq!(RustCrypto.signing_key(secret.bytes()).unwrap().public_key(), spki);
    }
    for file in [
        key.public_key_pem().into_bytes(),
        w.server.certificate.pem().into_bytes(),
        w.server.der(),
        spki.clone(),
    ] {
        assert_eq!(raw_public_key(&file), Ok(spki.clone()));
    }
    assert_eq!(private_key(w.server.certificate.pem().as_bytes()), Err(FileFault::NoPrivateKey));
    assert_eq!(raw_public_key(key.serialize_pem().as_bytes()), Err(FileFault::NoPublicKey));
    assert_eq!(raw_public_key(&key.serialize_der()), Err(FileFault::Malformed));
    let encrypted = key.serialize_pem().replace("PRIVATE KEY", "ENCRYPTED PRIVATE KEY");
    let fault = private_key(encrypted.as_bytes()).unwrap_err();
    assert_eq!(fault, FileFault::Encrypted);
    assert!(fault.to_string().contains("openssl pkey"));
}
