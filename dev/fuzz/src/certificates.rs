//! Certificates and keys: any bytes as a chain, as a file, as a key, a share or a signature.

use crate::script::Script;
use lightship_dtls::certificate::{
    Anchors, Expectation, Matching, Names, Refusal, Usage, certificates, names, private_key, public_key,
    raw_public_key, verify_client, verify_server, verify_server_key,
};
use lightship_platform::crypto::{
    Aead, Agreement, Crypto, CryptoError, Digest, Group, RustCrypto, SigningKey,
};
use lightship_platform::{Rng, SeededRng, UnixTime};

/// Cryptography to which every signature is right, so that the fuzzer gets past them; it knows nothing else.
struct Gullible;

impl Crypto for Gullible {
    fn hmac_sha256(&self, key: &[u8], parts: &[&[u8]]) -> [u8; 32] {
        RustCrypto.hmac_sha256(key, parts)
    }
    fn digest(&self, digest: Digest, bytes: &[u8]) -> Result<[u8; 64], CryptoError> {
        RustCrypto.digest(digest, bytes)
    }
    fn has_aead(&self, _: Aead) -> bool {
        false
    }
    fn has_cbc(&self) -> bool {
        false
    }
    fn seal(&self, _: Aead, _: &[u8], _: &[u8; 12], _: &[u8], _: &mut [u8]) -> Result<[u8; 16], CryptoError> {
        Err(CryptoError)
    }
    fn open(
        &self,
        _: Aead,
        _: &[u8],
        _: &[u8; 12],
        _: &[u8],
        _: &mut [u8],
        _: &[u8],
    ) -> Result<(), CryptoError> {
        Err(CryptoError)
    }
    fn cbc_encrypt(&self, _: &[u8], _: &[u8; 16], _: &mut [u8]) -> Result<(), CryptoError> {
        Err(CryptoError)
    }
    fn cbc_decrypt(&self, _: &[u8], _: &[u8; 16], _: &mut [u8]) -> Result<(), CryptoError> {
        Err(CryptoError)
    }
    fn has_group(&self, _: Group) -> bool {
        false
    }
    fn agreement(&self, _: Group, _: &mut dyn Rng) -> Result<Box<dyn Agreement>, CryptoError> {
        Err(CryptoError)
    }
    fn verify_ecdsa(&self, _: &[u8], _: &[u8], _: &[u8]) -> Result<(), CryptoError> {
        Ok(())
    }
    fn signing_key(&self, _: &[u8]) -> Result<Box<dyn SigningKey>, CryptoError> {
        Err(CryptoError)
    }
}

/// Judges a chain in every way: the first piece is trusted, the others are presented.
pub(crate) fn chain(data: &[u8]) {
    let mut script = Script(data);
    let (Some(choice), Some(given)) = (script.byte(), script.piece()) else { return };
    let presented: Vec<&[u8]> = std::iter::from_fn(|| script.piece()).collect();
    let trusted = Anchors::new([given]).ok();
    for certificate in &presented {
        let key = public_key(certificate);
        assert!(key.is_err() || key.as_ref().is_ok_and(|key| key.len() == 91));
        readable(names(certificate).err().as_ref());
    }
    let date =
        (choice & 1 == 0).then(|| UnixTime::from_secs(1_767_225_600 + i64::from(choice) * 86_400 * 365));
    for number in 0..4 {
        let (Ok(usage), Ok(matching)) = (Usage::try_from(number), Matching::try_from(u64::from(choice >> 6)))
        else {
            return;
        };
        let expectation =
            Expectation { usage, matching, given, trusted: trusted.as_ref(), name: "server.example", date };
        readable(verify_server(&Gullible, &presented, &expectation).err().as_ref());
        std::hint::black_box(verify_server_key(&Gullible, given, matching, given).is_ok());
    }
    if let Some(trusted) = &trusted {
        let verdict = verify_client(&Gullible, &presented, trusted, date);
        readable(verdict.as_ref().err());
        if let Ok(names) = verdict {
            let undated = verify_client(&Gullible, &presented, trusted, None);
            assert!(
                matches!(undated, Ok(_) | Err(Refusal::TooLarge)),
                "a clock makes no friends: {undated:?}"
            );
            look_at(&names);
        }
    }
}

/// What a refusal says can be shown to people.
fn readable(refusal: Option<&Refusal>) {
    let Some(refusal) = refusal else { return };
    let text = refusal.to_string();
    assert!(text.len() < 2_000 && !text.chars().any(char::is_control), "{text:?}");
    assert_ne!(refusal.alert().name(), "unknown");
}

fn look_at(names: &Names) {
    for name in names.candidates() {
        std::hint::black_box(names.include(name));
    }
    for address in &names.addresses {
        assert!(names.include(&address.to_string()));
    }
}

/// Reads a file as everything that a file may be, and a key as everything that a key may be.
pub(crate) fn file(data: &[u8]) {
    if let Ok(found) = certificates(data) {
        assert!(!found.is_empty());
    }
    if let Ok(key) = private_key(data)
        && let Ok(key) = RustCrypto.signing_key(key.bytes())
    {
        let signature = key.sign(&mut SeededRng::from_number(1), data).expect("a key signs");
        assert!(RustCrypto.verify_ecdsa(key.public_key(), data, &signature).is_ok());
        assert!(RustCrypto.verify_ecdsa(key.public_key(), data, data).is_err());
    }
    if let Ok(key) = raw_public_key(data) {
        std::hint::black_box(RustCrypto.verify_ecdsa(&key, b"", data).is_err());
        let pair =
            RustCrypto.agreement(Group::Secp256r1, &mut SeededRng::from_number(1)).expect("P-256 is there");
        std::hint::black_box(key.get(26..).map(|point| pair.agree(point).is_ok()));
    }
}
