//! Credential: what people wrote, checked; what is kept, as bytes; what may be shown of it.

use lightship_api as api;
use lightship_api::SecurityMode;
use lightship_dtls::certificate::names;
use lightship_platform::crypto::{Secret, Sha256};

use super::encoded::{blocks_of_pem, bytes_of_hex, hex, readable};

/// How one device may prove who it is; everything in it can be used.
#[derive(Clone, PartialEq, Eq)]
pub(crate) enum Proof {
    /// It need not.
    Nosec,
    /// By a shared key.
    Psk { identity: Box<[u8]>, key: Secret },
    /// By the private key to this public key, named by the SHA-256 of its SubjectPublicKeyInfo.
    RawPublicKey { sha256: [u8; 32] },
    /// By exactly this certificate, named by the SHA-256 of its DER, which is kept where it was given.
    Certificate { sha256: [u8; 32], der: Option<Box<[u8]>> },
    /// By a trusted certificate with this name.
    Named { name: String },
    /// By a trusted certificate with the endpoint's name.
    EndpointNamed,
}

/// Why a credential cannot be used.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Unusable {
    /// Where, as a JSON pointer.
    pub(crate) pointer: &'static str,
    pub(crate) message: String,
}

impl std::fmt::Debug for Proof {
    /// Without anything secret.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Proof::Nosec => f.write_str("Nosec"),
            Proof::Psk { identity, .. } => write!(f, "Psk({})", readable(identity)),
            Proof::RawPublicKey { sha256 } => write!(f, "RawPublicKey({})", hex(sha256)),
            Proof::Certificate { sha256, .. } => write!(f, "Certificate({})", hex(sha256)),
            Proof::Named { name } => write!(f, "Named({name:?})"),
            Proof::EndpointNamed => f.write_str("EndpointNamed"),
        }
    }
}

impl Proof {
    /// Checks what people wrote. `kept` is what the device has now, whose key may stay; `is_point` says whether 65 bytes are an uncompressed point of P-256.
    pub(crate) fn read(
        shape: &api::Credential,
        kept: Option<&Proof>,
        is_point: &dyn Fn(&[u8]) -> bool,
    ) -> Result<Proof, Unusable> {
        nothing_beside(shape)?;
        match shape.mode {
            SecurityMode::Nosec => Ok(Proof::Nosec),
            SecurityMode::Psk => Ok(Proof::Psk { identity: identity(shape)?, key: key(shape, kept)? }),
            SecurityMode::Rpk => Ok(Proof::RawPublicKey { sha256: public_key(shape, is_point)? }),
            SecurityMode::X509 => certificate(shape, kept),
        }
    }

    /// What a peer with this proof presents; devices are told apart by it. `None`: something that others may present, too.
    pub(crate) fn principal(&self) -> Option<Box<[u8]>> {
        let tagged = |tag: u8, bytes: &[u8]| Some([&[tag], bytes].concat().into());
        match self {
            Proof::Psk { identity, .. } => tagged(b'P', identity),
            Proof::RawPublicKey { sha256 } => tagged(b'K', sha256),
            Proof::Certificate { sha256, .. } => tagged(b'C', sha256),
            Proof::Named { name } => tagged(b'N', name.as_bytes()),
            Proof::Nosec | Proof::EndpointNamed => None,
        }
    }

    /// Whether the same peer proves itself with both.
    pub(crate) fn proves_as(&self, other: &Proof) -> bool {
        match (self, other) {
            (Proof::Certificate { sha256, .. }, Proof::Certificate { sha256: other, .. }) => sha256 == other,
            _ => self == other,
        }
    }

    pub(crate) fn mode(&self) -> SecurityMode {
        match self {
            Proof::Nosec => SecurityMode::Nosec,
            Proof::Psk { .. } => SecurityMode::Psk,
            Proof::RawPublicKey { .. } => SecurityMode::Rpk,
            Proof::Certificate { .. } | Proof::Named { .. } | Proof::EndpointNamed => SecurityMode::X509,
        }
    }

    /// What may be shown of it.
    pub(crate) fn shape(&self) -> api::Credential {
        let mut shape = api::Credential::of(self.mode());
        match self {
            Proof::Nosec | Proof::EndpointNamed => {}
            Proof::Psk { identity, key } => {
                match std::str::from_utf8(identity) {
                    Ok(text) => shape.identity = Some(text.to_owned()),
                    Err(_) => shape.identity_hex = Some(hex(identity)),
                }
                shape.key_set = Some(true);
                if key.bytes().len() < KEY_LEN_SAFE {
                    let len = key.bytes().len();
                    shape
                        .warnings
                        .push(format!("the key has {len} bytes; fewer than {KEY_LEN_SAFE} can be guessed"));
                }
            }
            Proof::RawPublicKey { sha256 } => shape.public_key_sha256 = Some(hex(sha256)),
            Proof::Certificate { sha256, .. } => shape.certificate_sha256 = Some(hex(sha256)),
            Proof::Named { name } => shape.name = Some(name.clone()),
        }
        shape
    }

    /// What is kept of it, to be sealed.
    pub(crate) fn bytes(&self) -> Secret {
        let mut out = vec![VERSION];
        match self {
            Proof::Nosec => out.push(0),
            Proof::Psk { identity, key } => {
                out.push(1);
                // At most IDENTITY_LEN_MAX.
                out.push(u8::try_from(identity.len()).unwrap_or(u8::MAX));
                out.extend_from_slice(identity);
                out.extend_from_slice(key.bytes());
            }
            Proof::RawPublicKey { sha256 } => {
                out.push(2);
                out.extend_from_slice(sha256);
            }
            Proof::Certificate { der: Some(der), .. } => {
                out.push(6);
                out.extend_from_slice(der);
            }
            Proof::Certificate { sha256, der: None } => {
                out.push(3);
                out.extend_from_slice(sha256);
            }
            Proof::Named { name } => {
                out.push(4);
                out.extend_from_slice(name.as_bytes());
            }
            Proof::EndpointNamed => out.push(5),
        }
        let secret = Secret::new(&out);
        out.fill(0);
        secret
    }

    /// What [`Proof::bytes`] made; `None` for anything else.
    pub(crate) fn of_bytes(bytes: &[u8]) -> Option<Proof> {
        let [VERSION, kind, rest @ ..] = bytes else { return None };
        match kind {
            0 => rest.is_empty().then_some(Proof::Nosec),
            1 => {
                let (len, rest) = rest.split_first()?;
                let (identity, key) = rest.split_at_checked(usize::from(*len))?;
                let fits = !identity.is_empty() && (1..=KEY_LEN_MAX).contains(&key.len());
                fits.then(|| Proof::Psk { identity: identity.into(), key: Secret::new(key) })
            }
            2 => Some(Proof::RawPublicKey { sha256: rest.try_into().ok()? }),
            3 => Some(Proof::Certificate { sha256: rest.try_into().ok()?, der: None }),
            4 => Some(Proof::Named { name: String::from_utf8(rest.to_vec()).ok()? }),
            5 => rest.is_empty().then_some(Proof::EndpointNamed),
            6 => Some(Proof::Certificate { sha256: Sha256::of(rest), der: Some(rest.into()) }),
            _ => None,
        }
    }
}

/// What the mode does not use is a mistake, not something to be skipped in silence.
fn nothing_beside(shape: &api::Credential) -> Result<(), Unusable> {
    let (psk, rpk, x509) = (SecurityMode::Psk, SecurityMode::Rpk, SecurityMode::X509);
    let members = [
        ("/identity", shape.identity.is_some(), psk),
        ("/identity_hex", shape.identity_hex.is_some(), psk),
        ("/key_hex", shape.key_hex.is_some(), psk),
        ("/key_set", shape.key_set.is_some(), psk),
        ("/public_key_pem", shape.public_key_pem.is_some(), rpk),
        ("/public_key_hex", shape.public_key_hex.is_some(), rpk),
        ("/public_key_sha256", shape.public_key_sha256.is_some(), rpk),
        ("/certificate_pem", shape.certificate_pem.is_some(), x509),
        ("/certificate_sha256", shape.certificate_sha256.is_some(), x509),
        ("/name", shape.name.is_some(), x509),
    ];
    match members.iter().find(|(_, given, mode)| *given && *mode != shape.mode) {
        Some((pointer, ..)) => Err(unusable(pointer, "this member does not go with the mode")),
        None => Ok(()),
    }
}

fn identity(shape: &api::Credential) -> Result<Box<[u8]>, Unusable> {
    let (pointer, identity) = match (&shape.identity, &shape.identity_hex) {
        (Some(text), None) => ("/identity", text.as_bytes().to_vec()),
        (None, Some(hex)) => {
            let at = "/identity_hex";
            (at, bytes_of_hex(hex).ok_or_else(|| unusable(at, "the identity is no hex"))?)
        }
        (None, None) => return Err(unusable("/identity", "mode psk needs an identity")),
        (Some(_), Some(_)) => {
            return Err(unusable("/identity_hex", "give the identity as text or in hex, not both"));
        }
    };
    if (1..=IDENTITY_LEN_MAX).contains(&identity.len()) {
        return Ok(identity.into());
    }
    let what = format!("an identity has 1 to {IDENTITY_LEN_MAX} bytes, this one has {}", identity.len());
    Err(unusable(pointer, what))
}

fn key(shape: &api::Credential, kept: Option<&Proof>) -> Result<Secret, Unusable> {
    let at = "/key_hex";
    match (&shape.key_hex, kept) {
        (Some(hex), _) => {
            let mut bytes = bytes_of_hex(hex).ok_or_else(|| unusable(at, "the key is no hex"))?;
            let key = Secret::new(&bytes);
            bytes.fill(0);
            let len = key.bytes().len();
            if (1..=KEY_LEN_MAX).contains(&len) {
                Ok(key)
            } else {
                Err(unusable(at, format!("a key has 1 to {KEY_LEN_MAX} bytes, this one has {len}")))
            }
        }
        (None, Some(Proof::Psk { key, .. })) if shape.key_set == Some(true) => Ok(key.clone()),
        (None, _) if shape.key_set == Some(true) => {
            Err(unusable("/key_set", "there is no key that could be kept: give one (key_hex)"))
        }
        (None, _) => Err(unusable(at, "mode psk needs a key")),
    }
}

fn public_key(shape: &api::Credential, is_point: &dyn Fn(&[u8]) -> bool) -> Result<[u8; 32], Unusable> {
    let (pointer, der) = match (&shape.public_key_pem, &shape.public_key_hex, &shape.public_key_sha256) {
        (Some(pem), None, _) => ("/public_key_pem", one_block(pem, "PUBLIC KEY", "/public_key_pem")?),
        (None, Some(hex), _) => {
            let at = "/public_key_hex";
            (at, bytes_of_hex(hex).ok_or_else(|| unusable(at, "the key is no hex"))?)
        }
        (None, None, Some(fingerprint)) => return sha256(fingerprint, "/public_key_sha256"),
        (None, None, None) => return Err(unusable("/public_key_pem", "mode rpk needs a public key")),
        (Some(_), Some(_), _) => {
            return Err(unusable("/public_key_hex", "give the key in PEM or in hex, not both"));
        }
    };
    let Some(point) = der.strip_prefix(P256_PREFIX) else {
        return Err(unusable(
            pointer,
            "this is no SubjectPublicKeyInfo of a P-256 key (secp256r1), uncompressed",
        ));
    };
    if !is_point(point) {
        return Err(unusable(pointer, "this point does not lie on the curve P-256"));
    }
    matching(&shape.public_key_sha256, Sha256::of(&der), "/public_key_sha256")
}

fn certificate(shape: &api::Credential, kept: Option<&Proof>) -> Result<Proof, Unusable> {
    let pinned = shape.certificate_pem.is_some() || shape.certificate_sha256.is_some();
    match &shape.name {
        Some(_) if pinned => Err(unusable("/name", "give a certificate or a name, not both")),
        Some(name) if !(1..=NAME_LEN_MAX).contains(&name.len()) || name.chars().any(char::is_control) => {
            let what = format!("a name has 1 to {NAME_LEN_MAX} bytes and no control characters");
            Err(unusable("/name", what))
        }
        Some(name) => Ok(Proof::Named { name: name.clone() }),
        None if !pinned => Ok(Proof::EndpointNamed),
        None => {
            let at = "/certificate_sha256";
            let Some(pem) = &shape.certificate_pem else {
                let sha256 = sha256(shape.certificate_sha256.as_deref().unwrap_or_default(), at)?;
                // What is shown is written back: the certificate stays.
                let kept = kept.and_then(|kept| match kept {
                    Proof::Certificate { sha256: of_kept, der } => der.clone().filter(|_| *of_kept == sha256),
                    Proof::Nosec
                    | Proof::Psk { .. }
                    | Proof::RawPublicKey { .. }
                    | Proof::Named { .. }
                    | Proof::EndpointNamed => None,
                });
                return Ok(Proof::Certificate { sha256, der: kept });
            };
            let der = one_block(pem, "CERTIFICATE", "/certificate_pem")?;
            // A handshake would refuse it as well.
            names(&der)
                .map_err(|refusal| unusable("/certificate_pem", format!("it cannot be used: {refusal}")))?;
            let sha256 = matching(&shape.certificate_sha256, Sha256::of(&der), at)?;
            Ok(Proof::Certificate { sha256, der: Some(der.into()) })
        }
    }
}

fn one_block(pem: &str, label: &str, pointer: &'static str) -> Result<Vec<u8>, Unusable> {
    let blocks = blocks_of_pem(pem).ok_or_else(|| unusable(pointer, "this is no PEM"))?;
    if blocks.iter().any(|block| block.label.ends_with("PRIVATE KEY")) {
        return Err(unusable(pointer, "there is a private key in this PEM: it must never leave its device"));
    }
    let mut fitting = blocks.into_iter().filter(|block| block.label == label);
    match (fitting.next(), fitting.next()) {
        (Some(block), None) => Ok(block.der),
        (None, _) => Err(unusable(pointer, format!("there is no block {label} in this PEM"))),
        (Some(_), Some(_)) => {
            Err(unusable(pointer, format!("give one block {label}, that of the device alone")))
        }
    }
}

/// The fingerprint, which must be the one that is said beside, if one is.
fn matching(said: &Option<String>, found: [u8; 32], pointer: &'static str) -> Result<[u8; 32], Unusable> {
    match said.as_deref().map(|said| sha256(said, pointer)).transpose()? {
        Some(said) if said != found => Err(unusable(pointer, "this is not the fingerprint of what is given")),
        _ => Ok(found),
    }
}

fn sha256(fingerprint: &str, pointer: &'static str) -> Result<[u8; 32], Unusable> {
    let digits: String = fingerprint.chars().filter(|char| *char != ':').collect();
    let bytes = bytes_of_hex(&digits).and_then(|bytes| bytes.try_into().ok());
    bytes.ok_or_else(|| unusable(pointer, "a fingerprint is a SHA-256 in 64 hex digits"))
}

fn unusable(pointer: &'static str, message: impl Into<String>) -> Unusable {
    Unusable { pointer, message: message.into() }
}

/// What stands before the point in the SubjectPublicKeyInfo of an uncompressed P-256 key (RFC 5480).
pub(crate) const P256_PREFIX: &[u8] = &[
    0x30, 0x59, 0x30, 0x13, 0x06, 0x07, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x02, 0x01, 0x06, 0x08, 0x2a, 0x86,
    0x48, 0xce, 0x3d, 0x03, 0x01, 0x07, 0x03, 0x42, 0x00,
];
const VERSION: u8 = 1;
/// What every implementation must support (RFC 7925 §4.2, TS_Core E.1), and no more.
const IDENTITY_LEN_MAX: usize = 128;
const KEY_LEN_MAX: usize = 64;
const KEY_LEN_SAFE: usize = 16;
const NAME_LEN_MAX: usize = 255;

#[cfg(test)]
mod tests;
