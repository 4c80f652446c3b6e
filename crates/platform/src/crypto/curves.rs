//! Elliptic curves of the portable provider, and the one reader of private keys for every provider.

use alloc::boxed::Box;
use alloc::vec::Vec;

use p256::ecdsa::signature::{Signer as _, Verifier as _};
use p256::ecdsa::{self, DerSignature, VerifyingKey};
use p256::elliptic_curve::sec1::ToSec1Point as _;
use p256::pkcs8::DecodePrivateKey as _;
use p256::{PublicKey, SecretKey};
use x25519_dalek::StaticSecret;
use zeroize::Zeroizing;

use super::{Agreement, CryptoError, Group, Secret, SigningKey};
use crate::Rng;

/// Length of an uncompressed P-256 point in bytes: 4, X, Y.
pub(super) const POINT_LEN: usize = 65;
/// What stands before the point in the SubjectPublicKeyInfo of a P-256 key: id-ecPublicKey, prime256v1 (RFC 5480 §2).
/// DER leaves no other way to say it.
pub(super) const SPKI_HEAD: [u8; 26] = [
    0x30, 0x59, 0x30, 0x13, 0x06, 0x07, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x02, 0x01, 0x06, 0x08, 0x2a, 0x86,
    0x48, 0xce, 0x3d, 0x03, 0x01, 0x07, 0x03, 0x42, 0x00,
];
/// How often a number is drawn for a private key; one draw in 2^32 is out of range, so a second failure in a row means
/// that the generator is broken.
const DRAWS_MAX: usize = 8;

/// A fresh key pair.
pub(super) fn agreement(group: Group, rng: &mut dyn Rng) -> Result<Box<dyn Agreement>, CryptoError> {
    Ok(match group {
        Group::Secp256r1 => {
            let secret = draw(rng)?;
            Box::new(P256Agreement { share: point(&secret.public_key())?, secret })
        }
        Group::X25519 => {
            let mut number = Zeroizing::new([0; 32]);
            rng.fill(number.as_mut());
            let secret = StaticSecret::from(*number);
            Box::new(X25519Agreement { share: x25519_dalek::PublicKey::from(&secret).to_bytes(), secret })
        }
    })
}

/// Draws 32 bytes until they make a private key of P-256, a number from 1 to the order less 1.
fn draw(rng: &mut dyn Rng) -> Result<SecretKey, CryptoError> {
    let mut number = Zeroizing::new([0; 32]);
    for _ in 0..DRAWS_MAX {
        rng.fill(number.as_mut());
        if let Ok(key) = SecretKey::from_slice(number.as_ref()) {
            return Ok(key);
        }
    }
    Err(CryptoError)
}

/// Whether the signature is the key's.
pub(super) fn verify_ecdsa(public_key: &[u8], message: &[u8], signature: &[u8]) -> Result<(), CryptoError> {
    let key = VerifyingKey::from_sec1_bytes(spki_point(public_key)?).map_err(|_| CryptoError)?;
    let signature = DerSignature::from_bytes(signature).map_err(|_| CryptoError)?;
    key.verify(message, &signature).map_err(|_| CryptoError)
}

/// The uncompressed point in a P-256 SubjectPublicKeyInfo.
pub(super) fn spki_point(public_key: &[u8]) -> Result<&[u8], CryptoError> {
    uncompressed(public_key.strip_prefix(&SPKI_HEAD).ok_or(CryptoError)?)
}

/// The point itself, if it has the form of an uncompressed one, the only form allowed (RFC 8422 §5.1.2).
pub(super) fn uncompressed(point: &[u8]) -> Result<&[u8], CryptoError> {
    if point.len() == POINT_LEN && point.first() == Some(&4) { Ok(point) } else { Err(CryptoError) }
}

/// Reads a private key: PKCS #8, SEC 1, or the bare number. A public key that is given along must be its own.
pub(super) fn private_key(key: &[u8]) -> Result<SecretKey, CryptoError> {
    if key.len() == 32 {
        return SecretKey::from_slice(key).map_err(|_| CryptoError);
    }
    SecretKey::from_pkcs8_der(key).or_else(|_| SecretKey::from_sec1_der(key)).map_err(|_| CryptoError)
}

/// The SubjectPublicKeyInfo of a private key.
pub(super) fn public_key(secret: &SecretKey) -> Result<[u8; SPKI_HEAD.len() + POINT_LEN], CryptoError> {
    let mut spki = [0; SPKI_HEAD.len() + POINT_LEN];
    let point = point(&secret.public_key())?;
    for (to, from) in spki.iter_mut().zip(SPKI_HEAD.iter().chain(&point)) {
        *to = *from;
    }
    Ok(spki)
}

pub(super) fn signing_key(key: &[u8]) -> Result<Box<dyn SigningKey>, CryptoError> {
    let secret = private_key(key)?;
    Ok(Box::new(P256Key { public: public_key(&secret)?, key: ecdsa::SigningKey::from(&secret) }))
}

fn point(key: &PublicKey) -> Result<[u8; POINT_LEN], CryptoError> {
    key.to_sec1_point(false).as_bytes().try_into().map_err(|_| CryptoError)
}

struct P256Agreement {
    secret: SecretKey,
    share: [u8; POINT_LEN],
}

impl Agreement for P256Agreement {
    fn share(&self) -> &[u8] {
        &self.share
    }

    fn agree(self: Box<Self>, peer_share: &[u8]) -> Result<Secret, CryptoError> {
        let peer = PublicKey::from_sec1_bytes(uncompressed(peer_share)?).map_err(|_| CryptoError)?;
        Ok(Secret::new(self.secret.diffie_hellman(&peer).raw_secret_bytes()))
    }
}

struct X25519Agreement {
    secret: StaticSecret,
    share: [u8; 32],
}

impl Agreement for X25519Agreement {
    fn share(&self) -> &[u8] {
        &self.share
    }

    fn agree(self: Box<Self>, peer_share: &[u8]) -> Result<Secret, CryptoError> {
        let peer: [u8; 32] = peer_share.try_into().map_err(|_| CryptoError)?;
        let shared = self.secret.diffie_hellman(&peer.into());
        // RFC 7748 §6.1: a point of small order would make the secret known to everybody.
        if shared.was_contributory() { Ok(Secret::new(shared.as_bytes())) } else { Err(CryptoError) }
    }
}

struct P256Key {
    key: ecdsa::SigningKey,
    public: [u8; SPKI_HEAD.len() + POINT_LEN],
}

impl SigningKey for P256Key {
    fn public_key(&self) -> &[u8] {
        &self.public
    }

    fn sign(&self, _rng: &mut dyn Rng, message: &[u8]) -> Result<Vec<u8>, CryptoError> {
        let signature: DerSignature = self.key.try_sign(message).map_err(|_| CryptoError)?;
        Ok(signature.as_bytes().to_vec())
    }
}
