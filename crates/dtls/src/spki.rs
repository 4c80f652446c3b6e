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
