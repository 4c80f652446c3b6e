//! The portable provider: pure Rust, without the standard library.

use alloc::boxed::Box;

#[cfg(feature = "cbc")]
use aes::Aes128Dec;
#[cfg(any(feature = "cbc", feature = "gcm"))]
use aes::Aes128Enc;
#[cfg(feature = "gcm")]
use aes::Aes256Enc;
use aes::cipher::KeyInit;
#[cfg(feature = "gcm")]
use aes::cipher::consts::U12;
#[cfg(feature = "cbc")]
use aes::cipher::{consts::U16, inout::InOutBuf};
#[cfg(feature = "gcm")]
use aes_gcm::{AesGcm, aead::AeadInOut};
#[cfg(feature = "cbc")]
use cbc::cipher::{BlockModeDecrypt, BlockModeEncrypt, KeyIvInit};
use hmac::{Hmac, Mac};
use sha2::Digest as _;

use super::aes_ccm;
use super::{Aead, Agreement, Crypto, CryptoError, Digest, Group, SigningKey};
use crate::Rng;

/// The provider that runs everywhere: no standard library, no C, no allocation for hashes and ciphers.
///
/// Whatever it draws it draws from the [`Rng`] that is handed in, and its signatures need none (RFC 6979), so equal
/// seeds give equal bytes. Without the feature `ecc` it knows no group and no signature; GCM, CBC, SHA-384 and SHA-512 have
/// features too.
#[derive(Clone, Copy, Default, Debug)]
pub struct RustCrypto;

impl Crypto for RustCrypto {
    fn hmac_sha256(&self, key: &[u8], parts: &[&[u8]]) -> [u8; 32] {
        hmac_sha256(key, parts)
    }

    fn digest(&self, digest: Digest, bytes: &[u8]) -> Result<[u8; 64], CryptoError> {
        let mut hash = [0; 64];
        match digest {
            Digest::Sha256 => copy(&mut hash, &sha2::Sha256::digest(bytes)),
            #[cfg(feature = "wide-digests")]
            Digest::Sha384 => copy(&mut hash, &sha2::Sha384::digest(bytes)),
            #[cfg(feature = "wide-digests")]
            Digest::Sha512 => copy(&mut hash, &sha2::Sha512::digest(bytes)),
            #[cfg(not(feature = "wide-digests"))]
            Digest::Sha384 | Digest::Sha512 => return Err(CryptoError),
        }
        Ok(hash)
    }

    fn has_aead(&self, aead: Aead) -> bool {
        match aead {
            Aead::Aes128Ccm8 | Aead::Aes128Ccm => true,
            Aead::Aes128Gcm | Aead::Aes256Gcm => cfg!(feature = "gcm"),
        }
    }

    fn seal(
        &self,
        aead: Aead,
        key: &[u8],
        nonce: &[u8; 12],
        aad: &[u8],
        buffer: &mut [u8],
    ) -> Result<[u8; 16], CryptoError> {
        match aead {
            Aead::Aes128Ccm8 => aes_ccm::seal::<8>(key, nonce, aad, buffer),
            Aead::Aes128Ccm => aes_ccm::seal::<16>(key, nonce, aad, buffer),
            #[cfg(feature = "gcm")]
            Aead::Aes128Gcm => seal_with::<AesGcm<Aes128Enc, U12>>(key, nonce, aad, buffer),
            #[cfg(feature = "gcm")]
            Aead::Aes256Gcm => seal_with::<AesGcm<Aes256Enc, U12>>(key, nonce, aad, buffer),
            #[cfg(not(feature = "gcm"))]
            Aead::Aes128Gcm | Aead::Aes256Gcm => Err(CryptoError),
        }
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
        match aead {
            Aead::Aes128Ccm8 => aes_ccm::open::<8>(key, nonce, aad, buffer, tag),
            Aead::Aes128Ccm => aes_ccm::open::<16>(key, nonce, aad, buffer, tag),
            #[cfg(feature = "gcm")]
            Aead::Aes128Gcm => open_with::<AesGcm<Aes128Enc, U12>>(key, nonce, aad, buffer, tag),
            #[cfg(feature = "gcm")]
            Aead::Aes256Gcm => open_with::<AesGcm<Aes256Enc, U12>>(key, nonce, aad, buffer, tag),
            #[cfg(not(feature = "gcm"))]
            Aead::Aes128Gcm | Aead::Aes256Gcm => Err(CryptoError),
        }
    }

    fn has_cbc(&self) -> bool {
        cfg!(feature = "cbc")
    }

    #[cfg(feature = "cbc")]
    fn cbc_encrypt(&self, key: &[u8], iv: &[u8; 16], buffer: &mut [u8]) -> Result<(), CryptoError> {
        let mut cipher = cbc::Encryptor::<Aes128Enc>::new_from_slices(key, iv).map_err(|_| CryptoError)?;
        let (blocks, rest) = InOutBuf::from(buffer).into_chunks::<U16>();
        if !rest.is_empty() {
            return Err(CryptoError);
        }
        cipher.encrypt_blocks_inout(blocks);
        Ok(())
    }

    #[cfg(not(feature = "cbc"))]
    fn cbc_encrypt(&self, _key: &[u8], _iv: &[u8; 16], _buffer: &mut [u8]) -> Result<(), CryptoError> {
        Err(CryptoError)
    }

    #[cfg(feature = "cbc")]
    fn cbc_decrypt(&self, key: &[u8], iv: &[u8; 16], buffer: &mut [u8]) -> Result<(), CryptoError> {
        let mut cipher = cbc::Decryptor::<Aes128Dec>::new_from_slices(key, iv).map_err(|_| CryptoError)?;
        let (blocks, rest) = InOutBuf::from(buffer).into_chunks::<U16>();
        if !rest.is_empty() {
            return Err(CryptoError);
        }
        cipher.decrypt_blocks_inout(blocks);
        Ok(())
    }

    #[cfg(not(feature = "cbc"))]
    fn cbc_decrypt(&self, _key: &[u8], _iv: &[u8; 16], _buffer: &mut [u8]) -> Result<(), CryptoError> {
        Err(CryptoError)
    }

    #[cfg(feature = "ecc")]
    fn has_group(&self, _group: Group) -> bool {
        true
    }

    #[cfg(not(feature = "ecc"))]
    fn has_group(&self, _group: Group) -> bool {
        false
    }

    #[cfg(feature = "ecc")]
    fn agreement(&self, group: Group, rng: &mut dyn Rng) -> Result<Box<dyn Agreement>, CryptoError> {
        super::curves::agreement(group, rng)
    }

    #[cfg(not(feature = "ecc"))]
    fn agreement(&self, _group: Group, _rng: &mut dyn Rng) -> Result<Box<dyn Agreement>, CryptoError> {
        Err(CryptoError)
    }

    #[cfg(feature = "ecc")]
    fn verify_ecdsa(&self, public_key: &[u8], message: &[u8], signature: &[u8]) -> Result<(), CryptoError> {
        super::curves::verify_ecdsa(public_key, message, signature)
    }

    #[cfg(not(feature = "ecc"))]
    fn verify_ecdsa(
        &self,
        _public_key: &[u8],
        _message: &[u8],
        _signature: &[u8],
    ) -> Result<(), CryptoError> {
        Err(CryptoError)
    }

    #[cfg(feature = "ecc")]
    fn signing_key(&self, key: &[u8]) -> Result<Box<dyn SigningKey>, CryptoError> {
        super::curves::signing_key(key)
    }

    #[cfg(not(feature = "ecc"))]
    fn signing_key(&self, _key: &[u8]) -> Result<Box<dyn SigningKey>, CryptoError> {
        Err(CryptoError)
    }
}

/// HMAC with SHA-256; any length of key will do, so it cannot fail.
fn hmac_sha256(key: &[u8], parts: &[&[u8]]) -> [u8; 32] {
    let Ok(mut mac) = <Hmac<sha2::Sha256> as KeyInit>::new_from_slice(key) else {
        return [0; 32]; // never: HMAC hashes a key that is longer than a block
    };
    for part in parts {
        mac.update(part);
    }
    mac.finalize().into_bytes().into()
}

#[cfg(feature = "gcm")]
fn seal_with<A: KeyInit + AeadInOut>(
    key: &[u8],
    nonce: &[u8],
    aad: &[u8],
    buffer: &mut [u8],
) -> Result<[u8; 16], CryptoError> {
    let cipher = A::new_from_slice(key).map_err(|_| CryptoError)?;
    let nonce = nonce.try_into().map_err(|_| CryptoError)?;
    let tag = cipher.encrypt_inout_detached(nonce, aad, buffer.into()).map_err(|_| CryptoError)?;
    Ok(whole(&tag))
}

#[cfg(feature = "gcm")]
fn open_with<A: KeyInit + AeadInOut>(
    key: &[u8],
    nonce: &[u8],
    aad: &[u8],
    buffer: &mut [u8],
    tag: &[u8],
) -> Result<(), CryptoError> {
    let cipher = A::new_from_slice(key).map_err(|_| CryptoError)?;
    let nonce = nonce.try_into().map_err(|_| CryptoError)?;
    let tag = tag.try_into().map_err(|_| CryptoError)?;
    cipher.decrypt_inout_detached(nonce, aad, buffer.into(), tag).map_err(|_| CryptoError)
}

/// The tag in front of zeros.
#[cfg(feature = "gcm")]
fn whole(tag: &[u8]) -> [u8; 16] {
    let mut whole = [0; 16];
    copy(&mut whole, tag);
    whole
}

/// Copies as much as fits.
fn copy(to: &mut [u8], from: &[u8]) {
    for (to, from) in to.iter_mut().zip(from) {
        *to = *from;
    }
}
