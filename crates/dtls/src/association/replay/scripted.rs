//! A provider that plays back what a capture says: its ephemeral shares, its signatures, its randomness.

use alloc::boxed::Box;
use alloc::collections::VecDeque;
use alloc::vec::Vec;
use core::sync::atomic::{AtomicUsize, Ordering};

use lightship_platform::Rng;
use lightship_platform::crypto::{
    Aead, Agreement, Crypto, CryptoError, Digest, Group, RustCrypto, Secret, SigningKey,
};

/// Stands for the premaster secret of key agreement, which no capture tells.
const UNKNOWN: [u8; 32] = [0xee; 32];

/// The provider, with the capture's ephemeral share and the master secret that must follow from the transcript.
pub(super) struct Scripted {
    pub(super) share: Vec<u8>,
    pub(super) peer_share: Vec<u8>,
    pub(super) session_hash: [u8; 32],
    pub(super) master: Vec<u8>,
    pub(super) blocks: AtomicUsize,
}

struct ScriptedAgreement {
    share: Vec<u8>,
    peer_share: Vec<u8>,
}

impl Agreement for ScriptedAgreement {
    fn share(&self) -> &[u8] {
        &self.share
    }

    fn agree(self: Box<Self>, peer_share: &[u8]) -> Result<Secret, CryptoError> {
        assert_eq!(peer_share, self.peer_share);
        Ok(Secret::new(&UNKNOWN))
    }
}

impl Crypto for Scripted {
    fn hmac_sha256(&self, key: &[u8], parts: &[&[u8]]) -> [u8; 32] {
        if key != UNKNOWN {
            return RustCrypto.hmac_sha256(key, parts);
        }
        // The extended master secret of the unknown premaster secret: its seed is what we are responsible for.
        match *parts {
            [b"extended master secret", hash, b""] => {
                assert_eq!(hash, self.session_hash);
                [0; 32]
            }
            [_, b"extended master secret", _, _] => {
                let at = 32 * self.blocks.fetch_add(1, Ordering::Relaxed);
                let mut block = [0; 32];
                let part = &self.master[at..self.master.len().min(at + 32)];
                block[..part.len()].copy_from_slice(part);
                block
            }
            _ => [0; 32],
        }
    }

    fn digest(&self, digest: Digest, bytes: &[u8]) -> Result<[u8; 64], CryptoError> {
        RustCrypto.digest(digest, bytes)
    }

    fn has_aead(&self, aead: Aead) -> bool {
        RustCrypto.has_aead(aead)
    }

    fn has_cbc(&self) -> bool {
        RustCrypto.has_cbc()
    }

    fn seal(
        &self,
        aead: Aead,
        key: &[u8],
        nonce: &[u8; 12],
        aad: &[u8],
        buffer: &mut [u8],
    ) -> Result<[u8; 16], CryptoError> {
        RustCrypto.seal(aead, key, nonce, aad, buffer)
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
        RustCrypto.open(aead, key, nonce, aad, buffer, tag)
    }

    fn cbc_encrypt(&self, key: &[u8], iv: &[u8; 16], buffer: &mut [u8]) -> Result<(), CryptoError> {
        RustCrypto.cbc_encrypt(key, iv, buffer)
    }

    fn cbc_decrypt(&self, key: &[u8], iv: &[u8; 16], buffer: &mut [u8]) -> Result<(), CryptoError> {
        RustCrypto.cbc_decrypt(key, iv, buffer)
    }

    fn has_group(&self, group: Group) -> bool {
        group == Group::Secp256r1
    }

    fn agreement(&self, _group: Group, _rng: &mut dyn Rng) -> Result<Box<dyn Agreement>, CryptoError> {
        Ok(Box::new(ScriptedAgreement { share: self.share.clone(), peer_share: self.peer_share.clone() }))
    }

    fn verify_ecdsa(&self, public_key: &[u8], message: &[u8], signature: &[u8]) -> Result<(), CryptoError> {
        RustCrypto.verify_ecdsa(public_key, message, signature)
    }

    fn signing_key(&self, key: &[u8]) -> Result<Box<dyn SigningKey>, CryptoError> {
        RustCrypto.signing_key(key)
    }
}

/// A key that signs only what the captured signature fits.
pub(super) struct ScriptedKey {
    pub(super) public_key: Vec<u8>,
    pub(super) signature: Vec<u8>,
}

impl SigningKey for ScriptedKey {
    fn public_key(&self) -> &[u8] {
        &self.public_key
    }

    fn sign(&self, _rng: &mut dyn Rng, message: &[u8]) -> Result<Vec<u8>, CryptoError> {
        RustCrypto.verify_ecdsa(&self.public_key, message, &self.signature)?;
        Ok(self.signature.clone())
    }
}

/// Randomness as it was.
#[derive(Default)]
pub(super) struct Script(pub(super) VecDeque<u8>);

impl Rng for Script {
    fn fill(&mut self, bytes: &mut [u8]) {
        bytes.iter_mut().for_each(|byte| *byte = self.0.pop_front().unwrap_or_default());
    }
}
