//! The seam of cryptography: what the security protocols need, and who provides it.
//!
//! All primitives come from libraries. Engines are handed a `&dyn Crypto` and never know which.

#[cfg(feature = "rust-crypto")]
mod aes_ccm;
#[cfg(feature = "ecc")]
mod curves;
#[cfg(feature = "fast-crypto")]
mod fast;
#[cfg(feature = "rust-crypto")]
mod rust;
mod secret;
mod sha256;

use alloc::boxed::Box;
use alloc::vec::Vec;
use core::fmt;

#[cfg(feature = "fast-crypto")]
pub use self::fast::FastCrypto;
#[cfg(feature = "rust-crypto")]
pub use self::rust::RustCrypto;
pub use self::secret::Secret;
pub use self::sha256::Sha256;
use crate::Rng;

/// An algorithm that encrypts and authenticates; all of them take a nonce of 12 bytes.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Aead {
    /// AES-128-CCM with a tag of 8 bytes (RFC 6655).
    Aes128Ccm8,
    /// AES-128-CCM with a tag of 16 bytes (RFC 6655).
    Aes128Ccm,
    /// AES-128-GCM with a tag of 16 bytes (RFC 5288).
    Aes128Gcm,
    /// AES-256-GCM with a tag of 16 bytes, for what is kept on disk.
    Aes256Gcm,
}

impl Aead {
    /// Length of the nonce in bytes.
    pub const NONCE_LEN: usize = 12;

    /// Length of the key in bytes.
    #[must_use]
    pub const fn key_len(self) -> usize {
        match self {
            Self::Aes128Ccm8 | Self::Aes128Ccm | Self::Aes128Gcm => 16,
            Self::Aes256Gcm => 32,
        }
    }

    /// Length of the tag in bytes.
    #[must_use]
    pub const fn tag_len(self) -> usize {
        match self {
            Self::Aes128Ccm8 => 8,
            Self::Aes128Ccm | Self::Aes128Gcm | Self::Aes256Gcm => 16,
        }
    }
}

/// A group for key agreement; the discriminant is its number in the IANA registry.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
#[repr(u16)]
pub enum Group {
    /// NIST P-256; shares are uncompressed points of 65 bytes.
    Secp256r1 = 0x0017,
    /// Curve25519; shares have 32 bytes (RFC 7748).
    X25519 = 0x001d,
}

/// A hash for certificates; the discriminant is the Matching Type of the Security object (`/0/x/13`).
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
#[repr(u8)]
pub enum Digest {
    /// SHA-256, 32 bytes.
    Sha256 = 1,
    /// SHA-384, 48 bytes.
    Sha384 = 2,
    /// SHA-512, 64 bytes.
    Sha512 = 3,
}

/// How an authority may sign certificates, beside ECDSA with P-256 and SHA-256, which every provider knows.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
#[non_exhaustive]
pub enum AuthoritySignature {
    /// ECDSA with P-256 and SHA-384.
    EcdsaP256Sha384,
    /// ECDSA with P-384 and SHA-256.
    EcdsaP384Sha256,
    /// ECDSA with P-384 and SHA-384.
    EcdsaP384Sha384,
    /// RSA with 2048 to 8192 bits, PKCS #1 v1.5 and SHA-256.
    RsaSha256,
    /// The same with SHA-384.
    RsaSha384,
    /// The same with SHA-512.
    RsaSha512,
}

/// A cryptographic operation did not work: a tag or signature does not match, or a key or point is not one.
///
/// It says no more on purpose: what is told to a stranger helps a stranger.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct CryptoError;

impl fmt::Display for CryptoError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the cryptographic operation failed")
    }
}

impl core::error::Error for CryptoError {}

/// What the security protocols need of a library of cryptography.
///
/// Keys are handed in raw at each call: a kept key schedule is forty times larger than a key and saves next to nothing.
pub trait Crypto: Send + Sync {
    /// HMAC with SHA-256 over the parts one after another (RFC 2104).
    fn hmac_sha256(&self, key: &[u8], parts: &[&[u8]]) -> [u8; 32];

    /// A digest of `bytes`, written to the front of the answer; the rest is zero.
    ///
    /// # Errors
    /// If the digest is not known.
    fn digest(&self, digest: Digest, bytes: &[u8]) -> Result<[u8; 64], CryptoError>;

    /// Whether [`Crypto::seal`] and [`Crypto::open`] know the algorithm.
    fn has_aead(&self, aead: Aead) -> bool;

    /// Encrypts `buffer` in place and returns the tag, [`Aead::tag_len`] bytes of it.
    ///
    /// # Errors
    /// If the key is not [`Aead::key_len`] bytes long, or the algorithm is not known.
    fn seal(
        &self,
        aead: Aead,
        key: &[u8],
        nonce: &[u8; 12],
        aad: &[u8],
        buffer: &mut [u8],
    ) -> Result<[u8; 16], CryptoError>;

    /// Decrypts `buffer` in place if `tag` matches; the buffer's content is undefined otherwise.
    ///
    /// # Errors
    /// If the tag does not match, the key or the tag has a wrong length, or the algorithm is not known.
    fn open(
        &self,
        aead: Aead,
        key: &[u8],
        nonce: &[u8; 12],
        aad: &[u8],
        buffer: &mut [u8],
        tag: &[u8],
    ) -> Result<(), CryptoError>;

    /// Whether [`Crypto::cbc_encrypt`] and [`Crypto::cbc_decrypt`] are there.
    fn has_cbc(&self) -> bool;

    /// Encrypts whole blocks in place with AES-128-CBC, without padding.
    ///
    /// # Errors
    /// If the key is not 16 bytes long, the buffer not a multiple of 16, or CBC is not there.
    fn cbc_encrypt(&self, key: &[u8], iv: &[u8; 16], buffer: &mut [u8]) -> Result<(), CryptoError>;

    /// Decrypts whole blocks in place with AES-128-CBC; what the padding says is for the caller.
    ///
    /// # Errors
    /// If the key is not 16 bytes long, the buffer not a multiple of 16, or CBC is not there.
    fn cbc_decrypt(&self, key: &[u8], iv: &[u8; 16], buffer: &mut [u8]) -> Result<(), CryptoError>;

    /// Whether [`Crypto::agreement`] knows the group.
    fn has_group(&self, group: Group) -> bool;

    /// A fresh key pair for one agreement.
    ///
    /// # Errors
    /// If the group is not known.
    fn agreement(&self, group: Group, rng: &mut dyn Rng) -> Result<Box<dyn Agreement>, CryptoError>;

    /// Whether `signature` (DER) is `public_key`'s (SubjectPublicKeyInfo, DER) over the SHA-256 of `message`.
    ///
    /// # Errors
    /// If it is not, or if the key is not one of a curve that is accepted (P-256).
    fn verify_ecdsa(&self, public_key: &[u8], message: &[u8], signature: &[u8]) -> Result<(), CryptoError>;

    /// Whether [`Crypto::verify_authority`] knows the algorithm.
    fn has_authority_signature(&self, _algorithm: AuthoritySignature) -> bool {
        false
    }

    /// Whether `signature` is `public_key`'s over `message`, where the key is the content of the BIT STRING in a
    /// SubjectPublicKeyInfo of the algorithm's kind.
    ///
    /// # Errors
    /// If it is not, or the algorithm is not known.
    fn verify_authority(
        &self,
        _algorithm: AuthoritySignature,
        _public_key: &[u8],
        _message: &[u8],
        _signature: &[u8],
    ) -> Result<(), CryptoError> {
        Err(CryptoError)
    }

    /// Reads a P-256 private key: PKCS #8 or SEC 1 in DER, or the bare number of 32 bytes.
    ///
    /// # Errors
    /// If it is none of these.
    fn signing_key(&self, key: &[u8]) -> Result<Box<dyn SigningKey>, CryptoError>;
}

/// Half of a key agreement: the private part, used once.
pub trait Agreement: Send + Sync {
    /// The share to send.
    fn share(&self) -> &[u8];

    /// The common secret with the other side's share: the X coordinate for P-256, the u coordinate for X25519.
    ///
    /// # Errors
    /// If the share is not a point of the group, or the secret would be zero.
    fn agree(self: Box<Self>, peer_share: &[u8]) -> Result<Secret, CryptoError>;
}

/// A private key for ECDSA with P-256 and SHA-256, wherever it lives; a secure element is one.
pub trait SigningKey: Send + Sync {
    /// The public key as SubjectPublicKeyInfo, DER.
    fn public_key(&self) -> &[u8];

    /// Signs the SHA-256 of `message`; the signature is in DER.
    ///
    /// # Errors
    /// If the key refuses or its device fails.
    fn sign(&self, rng: &mut dyn Rng, message: &[u8]) -> Result<Vec<u8>, CryptoError>;
}
