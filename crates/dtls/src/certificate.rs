//! Certificates: is the peer who it should be?
//!
//! Pure functions over bytes. A client judges its server by [`Expectation`], the contents of the Security object (`/0/x/4`,
//! `/0/x/13`, `/0/x/15`); a server judges its devices by the authorities it trusts. Paths are validated by webpki, with
//! the signatures checked by the [`Crypto`] that is handed in; names and fields are read by `x509-cert`.

mod file;
mod meaning;
mod names;
mod path;
mod refusal;
mod verdicts;
mod view;

use alloc::borrow::ToOwned;
use alloc::boxed::Box;
use alloc::vec::Vec;

use lightship_platform::UnixTime;
use lightship_platform::crypto::{Crypto, Digest};

pub use self::file::{FileFault, certificates, private_key, raw_public_key};
pub use self::meaning::{
    Authority, MEANING_LEN_MAX, Meaning, NamePart, PublicKey, meaning, public_key_meaning,
};
pub use self::names::Names;
pub use self::path::Anchors;
use self::path::Purpose;
pub use self::refusal::Refusal;
pub use self::verdicts::{ChainDigest, Verdict, Verdicts};
use self::view::View;

/// Certificates in a chain, at most: four authorities below a root are more than anybody has, and the orders in which more
/// could be tried are many.
pub const CHAIN_COUNT_MAX: usize = 6;
/// Bytes of all certificates of a chain together, at most.
pub const CHAIN_LEN_MAX: usize = 16_384;

/// How a server's certificate is judged, the Certificate Usage resource (`/0/x/15`).
#[derive(Clone, Copy, PartialEq, Eq, Hash, Default, Debug)]
pub enum Usage {
    /// A path to one of the trusted authorities, through the given authority.
    CaConstraint = 0,
    /// A path to one of the trusted authorities, from the given certificate.
    ServiceCertificateConstraint = 1,
    /// A path to the given authority, whatever else is trusted.
    TrustAnchorAssertion = 2,
    /// The given certificate and nothing else: no path, no name, no date.
    #[default]
    DomainIssuedCertificate = 3,
}

impl TryFrom<u64> for Usage {
    type Error = Refusal;

    fn try_from(value: u64) -> Result<Self, Refusal> {
        match value {
            0 => Ok(Self::CaConstraint),
            1 => Ok(Self::ServiceCertificateConstraint),
            2 => Ok(Self::TrustAnchorAssertion),
            3 => Ok(Self::DomainIssuedCertificate),
            _ => Err(Refusal::Expectation),
        }
    }
}

/// What the given bytes are, the Matching Type resource (`/0/x/13`).
#[derive(Clone, Copy, PartialEq, Eq, Hash, Default, Debug)]
pub enum Matching {
    /// The certificate or raw public key itself, in DER.
    #[default]
    Exact,
    /// Its digest.
    Digest(Digest),
}

impl TryFrom<u64> for Matching {
    type Error = Refusal;

    fn try_from(value: u64) -> Result<Self, Refusal> {
        match value {
            0 => Ok(Self::Exact),
            1 => Ok(Self::Digest(Digest::Sha256)),
            2 => Ok(Self::Digest(Digest::Sha384)),
            3 => Ok(Self::Digest(Digest::Sha512)),
            _ => Err(Refusal::Expectation),
        }
    }
}

impl Matching {
    /// Whether `presented` is what `given` says.
    fn matches(self, crypto: &dyn Crypto, given: &[u8], presented: &[u8]) -> bool {
        match self {
            Self::Exact => given == presented,
            Self::Digest(digest) => {
                let len = match digest {
                    Digest::Sha256 => 32,
                    Digest::Sha384 => 48,
                    Digest::Sha512 => 64,
                };
                crypto.digest(digest, presented).is_ok_and(|hash| hash.get(..len) == Some(given))
            }
        }
    }
}

/// What a client expects of its server.
#[derive(Clone, Copy, Debug)]
pub struct Expectation<'a> {
    /// How to judge.
    pub usage: Usage,
    /// What `given` is.
    pub matching: Matching,
    /// The certificate, or its digest: the Server Public Key resource (`/0/x/4`).
    pub given: &'a [u8],
    /// The authorities that the device trusts by itself; only for the usages 0 and 1.
    pub trusted: Option<&'a Anchors>,
    /// Who the server should be: the SNI resource (`/0/x/14`), else the host of the server's URI. A name or an address.
    pub name: &'a str,
    /// The date, if there is a clock that is trusted; without one no certificate is too old or too new.
    pub date: Option<UnixTime>,
}

/// Judges the chain that a server presented, the end entity first (RFC 7925 §4.4, Certificate Usage as in RFC 6698 §2.1.1).
///
/// | Usage | Path | `given` is | Name and date |
/// |---|---|---|---|
/// | 0 | to `trusted` | an authority on the path | checked |
/// | 1 | to `trusted` | the end entity | checked |
/// | 2 | to `given` alone | the authority at its end | checked |
/// | 3 | none | the end entity | not checked |
///
/// In the usages 0 and 2 the end entity cannot vouch for itself. With usage 2 and a digest, the authority must be in
/// the chain, for its key is not known otherwise.
///
/// # Errors
/// The reason why the server is not trusted.
pub fn verify_server(
    crypto: &dyn Crypto,
    chain: &[impl AsRef<[u8]>],
    expectation: &Expectation<'_>,
) -> Result<(), Refusal> {
    let (leaf, others) = bounded(chain)?;
    let view = View::parse(leaf)?;
    view.p256_key()?;
    let is_given = |certificate: &[u8]| expectation.matching.matches(crypto, expectation.given, certificate);
    let path_to = |anchors: &Anchors| {
        path::verify(crypto, (leaf, &view), &others, anchors, Purpose::Server, expectation.date)
    };
    let path = match expectation.usage {
        Usage::DomainIssuedCertificate => {
            return if is_given(leaf) { Ok(()) } else { Err(Refusal::OtherCertificate) };
        }
        Usage::ServiceCertificateConstraint => {
            let path = path_to(expectation.trusted.ok_or(Refusal::NothingTrusted)?)?;
            if !is_given(leaf) {
                return Err(Refusal::OtherCertificate);
            }
            path
        }
        Usage::CaConstraint => {
            let path = path_to(expectation.trusted.ok_or(Refusal::NothingTrusted)?)?;
            if !path.iter().any(|authority| is_given(authority)) {
                return Err(Refusal::OtherAuthority);
            }
            path
        }
        Usage::TrustAnchorAssertion => {
            let anchor = match expectation.matching {
                Matching::Exact => Some(expectation.given),
                Matching::Digest(_) => others.iter().copied().find(|authority| is_given(authority)),
            };
            let anchor = anchor.ok_or(Refusal::OtherAuthority)?;
            if anchor == leaf {
                return Err(Refusal::DirectTrust);
            }
            path_to(&Anchors::new([anchor]).map_err(|_| Refusal::Expectation)?)?
        }
    };
    let mut names = view.names()?;
    // Constraints of names say nothing about common names (RFC 5280 §4.2.1.10), so that an authority that is held to
    // some hosts could speak for any other.
    if path.iter().any(|authority| View::parse(authority).is_ok_and(|view| view.constrains_names())) {
        names.common_name = None;
    }
    names.check(expectation.name)
}

/// Judges the raw public key that a server presented: `given` is the key (SubjectPublicKeyInfo in DER) or its digest.
///
/// # Errors
/// If it is another key.
pub fn verify_server_key(
    crypto: &dyn Crypto,
    key: &[u8],
    matching: Matching,
    given: &[u8],
) -> Result<(), Refusal> {
    if matching.matches(crypto, given, key) { Ok(()) } else { Err(Refusal::OtherKey) }
}

/// Judges the chain that a device presented, the end entity first: a path to one of the authorities.
///
/// Returns the names in the device's certificate; which endpoints they stand for is the server's rule.
///
/// # Errors
/// The reason why the device is not trusted.
pub fn verify_client(
    crypto: &dyn Crypto,
    chain: &[impl AsRef<[u8]>],
    trusted: &Anchors,
    date: Option<UnixTime>,
) -> Result<Names, Refusal> {
    Verdict::of_client(crypto, chain, trusted, date).map(|verdict| verdict.names)
}

/// The public key of a certificate, SubjectPublicKeyInfo in DER, if it is one of P-256; nothing else is checked.
///
/// # Errors
/// If the certificate cannot be read, or has another kind of key.
pub fn public_key(certificate: &[u8]) -> Result<Vec<u8>, Refusal> {
    if certificate.len() > CHAIN_LEN_MAX {
        return Err(Refusal::TooLarge);
    }
    View::parse(certificate)?.p256_key().map(<[u8]>::to_vec)
}

/// Whether `certificate` is signed by the key of `issuer`, both in DER; that `issuer` may sign is not looked at. `None`: the algorithm
/// is not known here, or one of them cannot be read.
#[must_use]
pub fn is_signed_by(crypto: &dyn Crypto, certificate: &[u8], issuer: &[u8]) -> Option<bool> {
    if certificate.len().max(issuer.len()) > MEANING_LEN_MAX {
        return None;
    }
    let (view, issuer) = (View::parse(certificate).ok()?, View::parse(issuer).ok()?);
    path::is_signed_by(crypto, (certificate, &view), &issuer)
}

/// The names in a certificate; nothing else is checked.
///
/// # Errors
/// If the certificate cannot be read.
pub fn names(certificate: &[u8]) -> Result<Names, Refusal> {
    if certificate.len() > CHAIN_LEN_MAX {
        return Err(Refusal::TooLarge);
    }
    View::parse(certificate)?.names()
}

/// The end entity and the others, if the chain is not larger than it may be.
fn bounded(chain: &[impl AsRef<[u8]>]) -> Result<(&[u8], Vec<&[u8]>), Refusal> {
    let len: usize = chain.iter().map(|certificate| certificate.as_ref().len()).sum();
    if chain.len() > CHAIN_COUNT_MAX || len > CHAIN_LEN_MAX {
        return Err(Refusal::TooLarge);
    }
    let (leaf, others) = chain.split_first().ok_or(Refusal::NoCertificate)?;
    Ok((leaf.as_ref(), others.iter().map(AsRef::as_ref).collect()))
}

/// A copy of a foreign text that can be shown: without control characters, and not longer than a line.
fn shown(text: &str) -> Box<str> {
    const SHOWN_CHARS_MAX: usize = 100;
    let clean = |c: char| if c.is_control() { char::REPLACEMENT_CHARACTER } else { c };
    let mut short: alloc::string::String = text.chars().take(SHOWN_CHARS_MAX).map(clean).collect();
    if text.chars().nth(SHOWN_CHARS_MAX).is_some() {
        short.push('…');
    }
    short.to_owned().into()
}
