//! Keys and certificates as files: PEM (RFC 7468) or DER.

use alloc::vec::Vec;
use core::fmt;

use lightship_platform::crypto::Secret;
use x509_cert::der::pem;
use zeroize::Zeroizing;

use crate::spki;

/// Bytes of a file with keys or certificates, at most.
const FILE_LEN_MAX: usize = 1_048_576;
const BEGIN: &[u8] = b"-----BEGIN ";

/// Why a file is not what it should be.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub enum FileFault {
    /// It is longer than a mebibyte.
    TooLarge,
    /// A block of PEM is broken.
    Pem,
    /// It is PEM, and none of its blocks is a certificate.
    NoCertificate,
    /// It is PEM, and none of its blocks is a private key.
    NoPrivateKey,
    /// It is PEM, and none of its blocks is a public key or a certificate, which has one.
    NoPublicKey,
    /// The private key is protected by a password, which is not supported.
    Encrypted,
    /// A certificate or key in it cannot be read.
    Malformed,
}

impl fmt::Display for FileFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::TooLarge => "the file is too large",
            Self::Pem => "a PEM block in the file is broken",
            Self::NoCertificate => "there is no certificate in the file",
            Self::NoPrivateKey => "there is no private key in the file",
            Self::NoPublicKey => "there is neither a public key nor a certificate in the file",
            Self::Encrypted => {
                "the private key is encrypted; decrypt it first, for example with `openssl pkey`"
            }
            Self::Malformed => "a certificate or key in the file cannot be read",
        })
    }
}

impl core::error::Error for FileFault {}

/// The certificates in a file, in DER: all of a PEM file in their order, or the one of a DER file.
///
/// # Errors
/// If there is none, or one cannot be read.
pub fn certificates(file: &[u8]) -> Result<Vec<Vec<u8>>, FileFault> {
    let blocks = blocks(file)?;
    let found: Vec<Vec<u8>> = match blocks {
        None => alloc::vec![file.to_vec()],
        Some(blocks) => blocks
            .into_iter()
            .filter(|(label, _)| label == &"CERTIFICATE")
            .map(|(_, der)| der.to_vec())
            .collect(),
    };
    if found.is_empty() {
        return Err(FileFault::NoCertificate);
    }
    for certificate in &found {
        super::names(certificate).map_err(|_| FileFault::Malformed)?;
    }
    Ok(found)
}

/// The private key in a file, for [`Crypto::signing_key`](lightship_platform::crypto::Crypto::signing_key).
///
/// # Errors
/// If there is none.
pub fn private_key(file: &[u8]) -> Result<Secret, FileFault> {
    let Some(blocks) = blocks(file)? else { return Ok(Secret::new(file)) };
    if blocks.iter().any(|(label, _)| label == &"ENCRYPTED PRIVATE KEY") {
        return Err(FileFault::Encrypted);
    }
    let key = blocks.iter().find(|(label, _)| matches!(*label, "PRIVATE KEY" | "EC PRIVATE KEY"));
    key.map(|(_, der)| Secret::new(der)).ok_or(FileFault::NoPrivateKey)
}

/// The public key in a file, SubjectPublicKeyInfo in DER: a bare one, or that of a certificate.
///
/// # Errors
/// If there is none, or it is not one of P-256.
pub fn raw_public_key(file: &[u8]) -> Result<Vec<u8>, FileFault> {
    let key = match blocks(file)? {
        None => file.to_vec(),
        Some(blocks) => {
            let found = blocks.into_iter().find(|(label, _)| matches!(*label, "PUBLIC KEY" | "CERTIFICATE"));
            found.ok_or(FileFault::NoPublicKey)?.1.to_vec()
        }
    };
    if spki::is_p256(&key) {
        return Ok(key);
    }
    super::public_key(&key).map_err(|_| FileFault::Malformed)
}

type Block<'a> = (&'a str, Zeroizing<Vec<u8>>);

/// The blocks of a PEM file; `None` if it is none.
fn blocks(file: &[u8]) -> Result<Option<Vec<Block<'_>>>, FileFault> {
    if file.len() > FILE_LEN_MAX {
        return Err(FileFault::TooLarge);
    }
    let Some(mut at) = find(file, BEGIN) else { return Ok(None) };
    let mut blocks = Vec::new();
    while let Some(rest) = file.get(at..).filter(|rest| !rest.is_empty()) {
        let next = rest
            .get(BEGIN.len()..)
            .and_then(|tail| find(tail, BEGIN))
            .map_or(rest.len(), |next| next + BEGIN.len());
        let block = rest.get(..next).unwrap_or(rest);
        let (label, der) = pem::decode_vec(trimmed(block)).map_err(|_| FileFault::Pem)?;
        blocks.push((label, Zeroizing::new(der)));
        at += next;
    }
    Ok(Some(blocks))
}

/// The block up to the end of its last line; what stands between blocks is for people.
fn trimmed(block: &[u8]) -> &[u8] {
    let Some(end) = find(block, b"-----END ") else { return block };
    let line = block.get(end..).unwrap_or_default();
    let len = line.iter().position(|byte| *byte == b'\n').map_or(line.len(), |at| at + 1);
    block.get(..end + len).unwrap_or(block)
}

fn find(text: &[u8], wanted: &[u8]) -> Option<usize> {
    text.windows(wanted.len()).position(|window| window == wanted)
}
