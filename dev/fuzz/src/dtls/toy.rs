//! Cryptography without curves: as quick as a hash, so that the fuzzer spends its time in the protocol. Both sides agree on a
//! secret, and a signature fits one message and one key; whoever knows this file can forge it, which the fuzzer does not.

use lightship_platform::Rng;
use lightship_platform::crypto::{
    Aead, Agreement, Crypto, CryptoError, Digest, Group, RustCrypto, Secret, Sha256, SigningKey,
};

pub(crate) struct Toy;

fn hash(parts: &[&[u8]]) -> [u8; 32] {
    let mut hash = Sha256::new();
    parts.iter().for_each(|part| hash.update(part));
    hash.finish()
}

fn signature(public_key: &[u8], message: &[u8]) -> Vec<u8> {
    hash(&[b"signature", public_key, message]).to_vec()
}

impl Crypto for Toy {
    fn hmac_sha256(&self, key: &[u8], parts: &[&[u8]]) -> [u8; 32] {
        RustCrypto.hmac_sha256(key, parts)
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

    fn has_group(&self, _group: Group) -> bool {
        true
    }

    fn agreement(&self, group: Group, rng: &mut dyn Rng) -> Result<Box<dyn Agreement>, CryptoError> {
        let mut share = match group {
            Group::Secp256r1 => vec![0; 65],
            Group::X25519 => vec![0; 32],
        };
        rng.fill(&mut share);
        if share.len() == 65 {
            share[0] = 4;
        }
        Ok(Box::new(ToyAgreement { share }))
    }

    fn verify_ecdsa(&self, public_key: &[u8], message: &[u8], given: &[u8]) -> Result<(), CryptoError> {
        if signature(public_key, message) == given { Ok(()) } else { Err(CryptoError) }
    }

    fn signing_key(&self, _key: &[u8]) -> Result<Box<dyn SigningKey>, CryptoError> {
        Ok(Box::new(ToyKey::new()))
    }
}

struct ToyAgreement {
    share: Vec<u8>,
}

impl Agreement for ToyAgreement {
    fn share(&self) -> &[u8] {
        &self.share
    }

    fn agree(self: Box<Self>, peer_share: &[u8]) -> Result<Secret, CryptoError> {
        if peer_share.len() != self.share.len() {
            return Err(CryptoError);
        }
        let (first, second) =
            if *self.share < *peer_share { (&*self.share, peer_share) } else { (peer_share, &*self.share) };
        Ok(Secret::new(&hash(&[b"agreed", first, second])))
    }
}

/// A key whose public part looks like one of P-256.
pub(crate) struct ToyKey {
    public_key: Vec<u8>,
}

impl ToyKey {
    pub(crate) fn new() -> Self {
        let mut public_key = vec![
            0x30, 0x59, 0x30, 0x13, 0x06, 0x07, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x02, 0x01, 0x06, 0x08, 0x2a,
            0x86, 0x48, 0xce, 0x3d, 0x03, 0x01, 0x07, 0x03, 0x42, 0x00, 0x04,
        ];
        public_key.extend([0x5a; 64]);
        Self { public_key }
    }

    /// As much of a certificate with this key as a handshake reads: `SEQUENCE { SEQUENCE { … } … }`.
    pub(crate) fn certificate(&self) -> Vec<u8> {
        let sequence = |content: &[u8]| {
            let len = u16::try_from(content.len()).expect("short").to_be_bytes();
            [&[0x30, 0x82], &len[..], content].concat()
        };
        let number = [0x02, 0x01, 0x01];
        let name_or_algorithm = [0x30, 0x00];
        let body = [
            &[0xa0, 0x03, 0x02, 0x01, 0x02][..],
            &number,
            &name_or_algorithm,
            &name_or_algorithm,
            &name_or_algorithm,
            &name_or_algorithm,
            &self.public_key,
        ]
        .concat();
        let signed = [&sequence(&body)[..], &name_or_algorithm, &[0x03, 0x01, 0x00]].concat();
        sequence(&signed)
    }
}

impl SigningKey for ToyKey {
    fn public_key(&self) -> &[u8] {
        &self.public_key
    }

    fn sign(&self, _rng: &mut dyn Rng, message: &[u8]) -> Result<Vec<u8>, CryptoError> {
        Ok(signature(&self.public_key, message))
    }
}
