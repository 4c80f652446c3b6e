//! The provider for servers: AWS-LC where it is faster, pure Rust where it is not.

use alloc::boxed::Box;
use alloc::vec::Vec;

use aws_lc_rs::aead::{self, LessSafeKey, Nonce, UnboundKey};
use aws_lc_rs::agreement::{self, EphemeralPrivateKey, UnparsedPublicKey};
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{self, EcdsaKeyPair};

use zeroize::Zeroizing;

use super::curves::{self, POINT_LEN, SPKI_HEAD};
use super::{
    Aead, Agreement, AuthoritySignature, Crypto, CryptoError, Digest, Group, RustCrypto, Secret, SigningKey,
};
use crate::Rng;

/// The provider for servers: elliptic curves and GCM by AWS-LC, hashes and CCM by [`RustCrypto`], which has what AWS-LC
/// lacks and handles a short message with a raw key as soon.
///
/// The numbers in key pairs and signatures come from AWS-LC's own generator: no two calls give the same bytes, whatever
/// the [`Rng`] that is handed in says. Where bytes must repeat, take [`RustCrypto`].
#[derive(Clone, Copy, Default, Debug)]
pub struct FastCrypto;

impl Crypto for FastCrypto {
    fn hmac_sha256(&self, key: &[u8], parts: &[&[u8]]) -> [u8; 32] {
        RustCrypto.hmac_sha256(key, parts)
    }

    fn digest(&self, digest: Digest, bytes: &[u8]) -> Result<[u8; 64], CryptoError> {
        RustCrypto.digest(digest, bytes)
    }

    fn has_aead(&self, _aead: Aead) -> bool {
        true
    }

    fn seal(
        &self,
        aead: Aead,
        key: &[u8],
        nonce: &[u8; 12],
        aad: &[u8],
        buffer: &mut [u8],
    ) -> Result<[u8; 16], CryptoError> {
        let Some(algorithm) = gcm(aead) else {
            return RustCrypto.seal(aead, key, nonce, aad, buffer);
        };
        let key = LessSafeKey::new(UnboundKey::new(algorithm, key).map_err(|_| CryptoError)?);
        let tag = key
            .seal_in_place_separate_tag(Nonce::from(nonce), aead::Aad::from(aad), buffer)
            .map_err(|_| CryptoError)?;
        tag.as_ref().try_into().map_err(|_| CryptoError)
    }

    fn open(
        &self,
        aead: Aead,
        key: &[u8],
        nonce: &[u8; 12],
        aad: &[u8],
        buffer: &mut [u8],
        tag: &[u8],
    ) -> Result<(), CryptoError> {
        let Some(algorithm) = gcm(aead) else {
            return RustCrypto.open(aead, key, nonce, aad, buffer, tag);
        };
        let key = LessSafeKey::new(UnboundKey::new(algorithm, key).map_err(|_| CryptoError)?);
        key.open_in_place_separate_tag(Nonce::from(nonce), aead::Aad::from(aad), tag, buffer)
            .map_err(|_| CryptoError)?;
        Ok(())
    }

    fn has_cbc(&self) -> bool {
        true
    }

    fn cbc_encrypt(&self, key: &[u8], iv: &[u8; 16], buffer: &mut [u8]) -> Result<(), CryptoError> {
        RustCrypto.cbc_encrypt(key, iv, buffer)
    }

    fn cbc_decrypt(&self, key: &[u8], iv: &[u8; 16], buffer: &mut [u8]) -> Result<(), CryptoError> {
        RustCrypto.cbc_decrypt(key, iv, buffer)
    }

    fn has_group(&self, _group: Group) -> bool {
        true
    }

    fn agreement(&self, group: Group, _rng: &mut dyn Rng) -> Result<Box<dyn Agreement>, CryptoError> {
        // A key made from our own random bytes costs twice as much: its public half is computed once more to be checked.
        let private =
            EphemeralPrivateKey::generate(algorithm(group), &SystemRandom::new()).map_err(|_| CryptoError)?;
        let public = private.compute_public_key().map_err(|_| CryptoError)?;
        let mut share = [0; POINT_LEN];
        let len = public.as_ref().len();
        share.get_mut(..len).ok_or(CryptoError)?.copy_from_slice(public.as_ref());
        Ok(Box::new(Pair { private, group, share, len }))
    }

    fn verify_ecdsa(&self, public_key: &[u8], message: &[u8], signature: &[u8]) -> Result<(), CryptoError> {
        let point = curves::spki_point(public_key)?;
        signature::UnparsedPublicKey::new(&signature::ECDSA_P256_SHA256_ASN1, point)
            .verify(message, signature)
            .map_err(|_| CryptoError)
    }

    fn has_authority_signature(&self, algorithm: AuthoritySignature) -> bool {
        authority_algorithm(algorithm).is_some()
    }

    fn verify_authority(
        &self,
        algorithm: AuthoritySignature,
        public_key: &[u8],
        message: &[u8],
        signature: &[u8],
    ) -> Result<(), CryptoError> {
        let algorithm = authority_algorithm(algorithm).ok_or(CryptoError)?;
        signature::UnparsedPublicKey::new(algorithm, public_key)
            .verify(message, signature)
            .map_err(|_| CryptoError)
    }

    fn signing_key(&self, key: &[u8]) -> Result<Box<dyn SigningKey>, CryptoError> {
        let secret = curves::private_key(key)?;
        let public = curves::public_key(&secret)?;
        let number: Zeroizing<[u8; 32]> = Zeroizing::new(secret.to_bytes().into());
        let pair = EcdsaKeyPair::from_private_key_and_public_key(
            &signature::ECDSA_P256_SHA256_ASN1_SIGNING,
            number.as_ref(),
            curves::spki_point(&public)?,
        )
        .map_err(|_| CryptoError)?;
        Ok(Box::new(Key { pair, public }))
    }
}

fn authority_algorithm(
    algorithm: AuthoritySignature,
) -> Option<&'static dyn signature::VerificationAlgorithm> {
    Some(match algorithm {
        AuthoritySignature::EcdsaP256Sha384 => &signature::ECDSA_P256_SHA384_ASN1,
        AuthoritySignature::EcdsaP384Sha256 => &signature::ECDSA_P384_SHA256_ASN1,
        AuthoritySignature::EcdsaP384Sha384 => &signature::ECDSA_P384_SHA384_ASN1,
        AuthoritySignature::RsaSha256 => &signature::RSA_PKCS1_2048_8192_SHA256,
        AuthoritySignature::RsaSha384 => &signature::RSA_PKCS1_2048_8192_SHA384,
        AuthoritySignature::RsaSha512 => &signature::RSA_PKCS1_2048_8192_SHA512,
    })
}

/// The algorithm, if it is one that AWS-LC does better.
fn gcm(aead: Aead) -> Option<&'static aead::Algorithm> {
    match aead {
        Aead::Aes128Ccm8 | Aead::Aes128Ccm => None,
        Aead::Aes128Gcm => Some(&aead::AES_128_GCM),
        Aead::Aes256Gcm => Some(&aead::AES_256_GCM),
    }
}

fn algorithm(group: Group) -> &'static agreement::Algorithm {
    match group {
        Group::Secp256r1 => &agreement::ECDH_P256,
        Group::X25519 => &agreement::X25519,
    }
}

struct Pair {
    private: EphemeralPrivateKey,
    group: Group,
    share: [u8; POINT_LEN],
    len: usize,
}

impl Agreement for Pair {
    fn share(&self) -> &[u8] {
        self.share.get(..self.len).unwrap_or_default()
    }

    fn agree(self: Box<Self>, peer_share: &[u8]) -> Result<Secret, CryptoError> {
        let peer_share = match self.group {
            Group::Secp256r1 => curves::uncompressed(peer_share)?,
            Group::X25519 => peer_share,
        };
        let peer = UnparsedPublicKey::new(algorithm(self.group), peer_share);
        agreement::agree_ephemeral(self.private, peer, CryptoError, |secret| Ok(Secret::new(secret)))
    }
}

struct Key {
    pair: EcdsaKeyPair,
    public: [u8; SPKI_HEAD.len() + POINT_LEN],
}

impl SigningKey for Key {
    fn public_key(&self) -> &[u8] {
        &self.public
    }

    fn sign(&self, _rng: &mut dyn Rng, message: &[u8]) -> Result<Vec<u8>, CryptoError> {
        let signature = self.pair.sign(&SystemRandom::new(), message).map_err(|_| CryptoError)?;
        Ok(signature.as_ref().to_vec())
    }
}
