//! The messages in the middle of a handshake: keys, certificates, signatures, tickets.

use super::{Reader, extension};

/// The type of a curve that is named by number (RFC 8422 §5.4).
pub(crate) const NAMED_CURVE: u8 = 3;
/// `ecdsa_secp256r1_sha256`, or ECDSA with SHA-256 (RFC 5246 §7.4.1.4.1).
pub(crate) const ECDSA_SHA256: u16 = 0x0403;
/// The certificate type `ecdsa_sign` in a CertificateRequest (RFC 8422 §5.5).
pub(crate) const ECDSA_SIGN: u8 = 64;

/// A signature and its algorithm (RFC 5246 §4.7).
#[derive(Clone, Copy, Debug)]
pub struct Signed<'a> {
    /// The number of the algorithm.
    pub algorithm: u16,
    /// The signature.
    pub signature: &'a [u8],
}

impl<'a> Signed<'a> {
    /// Reads the body of a CertificateVerify (RFC 5246 §7.4.8).
    #[must_use]
    pub fn read(body: &'a [u8]) -> Option<Self> {
        let mut reader = Reader::new(body);
        let signed = Self { algorithm: reader.u16()?, signature: reader.part16()? };
        reader.end()?;
        Some(signed)
    }
}

/// A ServerKeyExchange: a hint for pre-shared keys (RFC 4279 §2), a share (RFC 8422 §5.4), or both (RFC 5489 §2).
#[derive(Clone, Copy, Debug)]
pub struct ServerKeyExchange<'a> {
    /// The hint about identities; nobody needs it.
    pub hint: Option<&'a [u8]>,
    /// The number of the group and the share.
    pub share: Option<(u16, &'a [u8])>,
    /// What the signature covers besides the randoms.
    pub parameters: &'a [u8],
    /// The signature.
    pub signed: Option<Signed<'a>>,
}

impl<'a> ServerKeyExchange<'a> {
    /// Reads the body as it is with pre-shared keys alone.
    #[must_use]
    pub fn read_psk(body: &'a [u8]) -> Option<Self> {
        let mut reader = Reader::new(body);
        let hint = reader.part16()?;
        reader.end()?;
        Some(Self { hint: Some(hint), share: None, parameters: &[], signed: None })
    }

    /// Reads the body as it is with pre-shared keys and key agreement.
    #[must_use]
    pub fn read_ecdhe_psk(body: &'a [u8]) -> Option<Self> {
        let mut reader = Reader::new(body);
        let hint = reader.part16()?;
        let share = read_share(&mut reader)?;
        reader.end()?;
        Some(Self { hint: Some(hint), share: Some(share), parameters: &[], signed: None })
    }

    /// Reads the body as it is with signed key agreement.
    #[must_use]
    pub fn read_ecdhe_ecdsa(body: &'a [u8]) -> Option<Self> {
        let mut reader = Reader::new(body);
        let share = read_share(&mut reader)?;
        let parameters = body.get(..body.len() - reader.rest().len())?;
        let signed = Signed::read(reader.rest())?;
        Some(Self { hint: None, share: Some(share), parameters, signed: Some(signed) })
    }
}

fn read_share<'a>(reader: &mut Reader<'a>) -> Option<(u16, &'a [u8])> {
    let named = reader.u8()? == NAMED_CURVE;
    let group = reader.u16()?;
    let share = reader.part8()?;
    named.then_some((group, share))
}

/// A ClientKeyExchange: an identity (RFC 4279 §2), a share (RFC 8422 §5.7), or both (RFC 5489 §2).
#[derive(Clone, Copy, Debug)]
pub struct ClientKeyExchange<'a> {
    /// The identity.
    pub identity: &'a [u8],
    /// The share.
    pub share: &'a [u8],
}

impl<'a> ClientKeyExchange<'a> {
    /// Reads the body; what it holds follows from the suite.
    #[must_use]
    pub fn read(body: &'a [u8], with_identity: bool, with_share: bool) -> Option<Self> {
        let mut reader = Reader::new(body);
        let identity = if with_identity { reader.part16()? } else { &[] };
        let share = if with_share { reader.part8()? } else { &[] };
        reader.end()?;
        Some(Self { identity, share })
    }
}

/// A CertificateRequest (RFC 5246 §7.4.4).
#[derive(Clone, Copy, Debug)]
pub struct CertificateRequest<'a> {
    /// The kinds of keys that will do.
    pub types: &'a [u8],
    /// The numbers of the algorithms, two bytes each.
    pub algorithms: &'a [u8],
    /// The names of authorities.
    pub authorities: &'a [u8],
}

impl<'a> CertificateRequest<'a> {
    /// Reads a body.
    #[must_use]
    pub fn read(body: &'a [u8]) -> Option<Self> {
        let mut reader = Reader::new(body);
        let request =
            Self { types: reader.part8()?, algorithms: reader.part16()?, authorities: reader.part16()? };
        reader.end()?;
        Some(request)
    }

    /// Whether an ECDSA key with SHA-256 will do.
    #[must_use]
    pub fn takes_ecdsa(&self) -> bool {
        self.types.contains(&ECDSA_SIGN)
            && extension::numbers(self.algorithms)
                .is_some_and(|mut algorithms| algorithms.any(|number| number == ECDSA_SHA256))
    }
}

/// A NewSessionTicket (RFC 5077 §3.3).
#[derive(Clone, Copy, Debug)]
pub struct NewSessionTicket<'a> {
    /// How long the ticket is good, in seconds; 0 says nothing.
    pub lifetime_s: u32,
    /// The ticket.
    pub ticket: &'a [u8],
}

impl<'a> NewSessionTicket<'a> {
    /// Reads a body.
    #[must_use]
    pub fn read(body: &'a [u8]) -> Option<Self> {
        let mut reader = Reader::new(body);
        let ticket = Self { lifetime_s: u32::from_be_bytes(*reader.array()?), ticket: reader.part16()? };
        reader.end()?;
        Some(ticket)
    }
}

/// The certificates of a Certificate message, the end entity first (RFC 5246 §7.4.2); `None` in the place of one that runs past
/// the end, and no list at all if the outer length is wrong.
#[must_use]
pub fn certificate_chain(body: &[u8]) -> Option<impl Iterator<Item = Option<&[u8]>>> {
    let mut reader = Reader::new(body);
    let mut list = Reader::new(reader.part24()?);
    reader.end()?;
    Some(core::iter::from_fn(move || {
        if list.end().is_some() {
            return None;
        }
        let certificate = list.part24().filter(|certificate| !certificate.is_empty());
        if certificate.is_none() {
            list = Reader::new(&[]);
        }
        Some(certificate)
    }))
}

/// The key of a Certificate message with a raw public key, SubjectPublicKeyInfo in DER; empty for none (RFC 7250 §3).
#[must_use]
pub fn raw_public_key(body: &[u8]) -> Option<&[u8]> {
    let mut reader = Reader::new(body);
    let key = reader.part24()?;
    reader.end()?;
    Some(key)
}
