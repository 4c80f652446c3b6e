//! Who a secured session is with, and what it may say.

use core::fmt;

use lightship_lwm2m::Endpoint;

/// An authenticated peer, and the endpoints that it may speak for.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Party {
    /// Who it is.
    pub principal: Principal,
    /// For whom it may speak.
    pub endpoints: Endpoints,
}

/// Who somebody has proven to be.
#[derive(Clone, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Principal {
    /// Who knows the key of this PSK identity; up to [`PSK_IDENTITY_LEN_MAX`](crate::limits::PSK_IDENTITY_LEN_MAX) bytes.
    Psk(Box<[u8]>),
    /// Who has the private part of the public key with this SHA-256 (of its SubjectPublicKeyInfo).
    RawPublicKey([u8; 32]),
    /// Who has the private key of a certificate that was accepted.
    Certificate(Box<Certificate>),
}

/// What is kept of a certificate that was accepted.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Certificate {
    /// The SHA-256 of the certificate (DER).
    pub sha256: [u8; 32],
    /// The common name of its subject.
    pub common_name: Option<Box<str>>,
    /// The DNS names and URIs among its subject's other names, in its order.
    pub names: Box<[Box<str>]>,
}

/// The endpoints that an identity may speak for.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
#[non_exhaustive]
pub enum Endpoints {
    /// This one; a device that does not say its name is meant to be this one.
    One(Endpoint),
    /// Any that it names.
    Any,
}

/// The security modes of resource `/0/x/2` that a session can have.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
#[repr(u8)]
pub enum Mode {
    /// A shared key.
    Psk = 0,
    /// Raw public keys.
    RawPublicKey = 1,
    /// Certificates.
    Certificate = 2,
}

impl Principal {
    /// By what kind of credential it was proven.
    #[must_use]
    pub const fn mode(&self) -> Mode {
        match self {
            Self::Psk(_) => Mode::Psk,
            Self::RawPublicKey(_) => Mode::RawPublicKey,
            Self::Certificate(_) => Mode::Certificate,
        }
    }

    /// As bytes that come back when the session is resumed; `None` if they would be more than 255, so that it cannot be resumed.
    /// Where a ticket keeps them, a check of the shared key goes along: the ticket must not outlive the key.
    pub(crate) fn to_note(&self, key_check: Option<KeyCheck>) -> Option<Box<[u8]>> {
        let mut note = match key_check {
            Some(check) => [&[CHECKED][..], &check].concat(),
            None => vec![self.mode() as u8],
        };
        match self {
            Self::Psk(identity) => note.extend(identity),
            Self::RawPublicKey(sha256) => note.extend(sha256),
            Self::Certificate(certificate) => {
                note.extend(certificate.sha256);
                let names = certificate.names.iter().map(|name| &**name);
                for text in
                    core::iter::once(certificate.common_name.as_deref().unwrap_or_default()).chain(names)
                {
                    note.push(u8::try_from(text.len()).ok()?);
                    note.extend(text.as_bytes());
                }
            }
        }
        (note.len() <= NOTE_LEN_MAX).then(|| note.into())
    }

    /// The reverse of [`Principal::to_note`].
    pub(crate) fn from_note(note: &[u8]) -> Option<(Self, Option<KeyCheck>)> {
        let (mode, rest) = note.split_first()?;
        if *mode == CHECKED {
            let (check, identity) = rest.split_first_chunk()?;
            return Some((Self::Psk(identity.into()), Some(*check)));
        }
        let principal = match *mode {
            0 => Self::Psk(rest.into()),
            1 => Self::RawPublicKey(rest.try_into().ok()?),
            2 => {
                let (sha256, mut rest) = rest.split_first_chunk()?;
                let mut names: Vec<Box<str>> = Vec::new();
                while let Some((len, tail)) = rest.split_first() {
                    let (name, tail) = tail.split_at_checked((*len).into())?;
                    names.push(core::str::from_utf8(name).ok()?.into());
                    rest = tail;
                }
                let mut names = names.into_iter();
                let common_name = names.next().filter(|name| !name.is_empty());
                Self::Certificate(Box::new(Certificate {
                    sha256: *sha256,
                    common_name,
                    names: names.collect(),
                }))
            }
            _ => return None,
        };
        Some((principal, None))
    }
}

/// Tells whether a shared key is still the same, and nothing about it.
pub(crate) type KeyCheck = [u8; 8];

/// Stands before the check of a key and a PSK identity, in the place of a mode.
const CHECKED: u8 = 0x80;

/// Longest note that a session keeps.
const NOTE_LEN_MAX: usize = 255;

impl fmt::Debug for Principal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// For logs: the kind, and the identity, the fingerprint or the common name.
impl fmt::Display for Principal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Psk(identity) => write!(f, "PSK identity '{}'", identity.escape_ascii()),
            Self::RawPublicKey(sha256) => {
                f.write_str("raw public key ")?;
                sha256.iter().take(8).try_for_each(|byte| write!(f, "{byte:02x}"))
            }
            Self::Certificate(certificate) => {
                let name =
                    certificate.common_name.as_deref().or(certificate.names.first().map(|name| &**name));
                write!(f, "certificate of '{}'", name.unwrap_or_default().escape_debug())
            }
        }
    }
}

impl Endpoints {
    /// Whether the identity may speak for this endpoint.
    #[must_use]
    pub fn allow(&self, endpoint: &str) -> bool {
        match self {
            Self::One(one) => **one == *endpoint,
            Self::Any => true,
        }
    }

    /// The endpoint, if it is one in particular.
    #[must_use]
    pub fn one(&self) -> Option<&Endpoint> {
        match self {
            Self::One(one) => Some(one),
            Self::Any => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_principal_is_the_same_after_its_note_was_read() {
        let certificate = |common_name: Option<&str>, names: &[&str]| {
            let names = names.iter().map(|name| (*name).into()).collect();
            let common_name = common_name.map(Into::into);
            Principal::Certificate(Box::new(Certificate { sha256: [7; 32], common_name, names }))
        };
        for principal in [
            Principal::Psk([0, 255].into()),
            Principal::Psk([9; 128].into()),
            Principal::RawPublicKey([3; 32]),
            certificate(Some("lamp"), &["lamp.example", "urn:dev:1"]),
            certificate(None, &["lamp.example"]),
            certificate(None, &[]),
        ] {
            let note = principal.to_note(None).expect("it is short");
            assert_eq!(Principal::from_note(&note), Some((principal, None)));
        }
        let psk = Principal::Psk([0, 255].into());
        let note = psk.to_note(Some([7; 8])).expect("it is short");
        assert_eq!(Principal::from_note(&note), Some((psk, Some([7; 8]))));
        assert_eq!(certificate(Some(&"x".repeat(230)), &[]).to_note(None), None);
        for bad in [&[][..], &[9], &[1, 2, 3], &[2; 40], &[0x80; 8]] {
            assert_eq!(Principal::from_note(bad), None, "{bad:?}");
        }
    }
}
