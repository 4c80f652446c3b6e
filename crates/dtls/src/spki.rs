//! The one thing of a certificate that a handshake needs itself: its public key. Whether to trust it is for others.

use crate::message::Reader;

/// The SubjectPublicKeyInfo of an X.509 certificate, both in DER (RFC 5280 §4.1); `None` if it cannot be found.
pub(crate) fn of_certificate(certificate: &[u8]) -> Option<&[u8]> {
    let (certificate, rest) = value(certificate, SEQUENCE)?;
    if !rest.is_empty() {
        return None;
    }
    let (mut fields, _) = value(certificate, SEQUENCE)?;
    if fields.first() == Some(&VERSION) {
        (_, fields) = value(fields, VERSION)?;
    }
    (_, fields) = value(fields, INTEGER)?;
    // The algorithm of the signature, the issuer, the validity and the subject.
    for _ in 0..4 {
        (_, fields) = value(fields, SEQUENCE)?;
    }
    let (_, rest) = value(fields, SEQUENCE)?;
    fields.get(..fields.len() - rest.len())
}

/// Whether a SubjectPublicKeyInfo is an uncompressed point of P-256 (RFC 5480 §2); only the signature shows whether it is one.
pub(crate) fn is_p256(spki: &[u8]) -> bool {
    spki.len() == P256_START.len() + 64 && spki.starts_with(&P256_START)
}

/// What every SubjectPublicKeyInfo of P-256 begins with: id-ecPublicKey, secp256r1, a string of bits, an uncompressed point.
const P256_START: [u8; 27] = [
    0x30, 0x59, 0x30, 0x13, 0x06, 0x07, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x02, 0x01, 0x06, 0x08, 0x2a, 0x86,
    0x48, 0xce, 0x3d, 0x03, 0x01, 0x07, 0x03, 0x42, 0x00, 0x04,
];

/// What the signature of a certificate is over, with its header.
#[cfg(feature = "x509")]
pub(crate) fn signed_part(certificate: &[u8]) -> Option<&[u8]> {
    let (content, _) = value(certificate, SEQUENCE)?;
    let (_, rest) = value(content, SEQUENCE)?;
    content.get(..content.len() - rest.len())
}

/// The content of a SEQUENCE.
#[cfg(feature = "x509")]
pub(crate) fn inner(sequence: &[u8]) -> Option<&[u8]> {
    value(sequence, SEQUENCE).map(|(content, _)| content)
}

/// How long the modulus of an RSAPublicKey is (RFC 8017 appendix A.1.1).
#[cfg(feature = "x509")]
pub(crate) fn rsa_bits(key: &[u8]) -> Option<usize> {
    let (modulus, _) = value(inner(key)?, INTEGER)?;
    let zeros = modulus.iter().take_while(|byte| **byte == 0).count();
    let first = modulus.get(zeros)?;
    Some((modulus.len() - zeros) * 8 - usize::try_from(first.leading_zeros()).ok()?)
}

const SEQUENCE: u8 = 0x30;
const INTEGER: u8 = 0x02;
const VERSION: u8 = 0xa0;

/// The content of the value with this tag at the front of `bytes`, and what follows it.
fn value(bytes: &[u8], tag: u8) -> Option<(&[u8], &[u8])> {
    let mut reader = Reader::new(bytes);
    if reader.u8()? != tag {
        return None;
    }
    let len = match reader.u8()? {
        short @ 0..=0x7f => usize::from(short),
        0x81 => usize::from(reader.u8()?),
        0x82 => usize::from(reader.u16()?),
        0x83 => reader.u24()?,
        _ => return None,
    };
    let content = reader.take(len)?;
    Some((content, reader.rest()))
}
