//! From a certificate to an authority that is trusted (RFC 5280 §6), by webpki.

use alloc::vec::Vec;
use core::fmt;
use core::sync::atomic::{AtomicU32, Ordering};
use core::time::Duration;

use lightship_platform::UnixTime;
use lightship_platform::crypto::{AuthoritySignature, Crypto};
use rustls_pki_types::{
    AlgorithmIdentifier, CertificateDer, InvalidSignature, SignatureVerificationAlgorithm, TrustAnchor,
    alg_id,
};
use webpki::{EndEntityCert, Error, ExtendedKeyUsageValidator, KeyPurposeId, KeyPurposeIdIter, VerifiedPath};

use super::Refusal;
use super::view::{View, p256_key};
use crate::spki;

/// Signatures that are checked for one chain, at most: a small device needs a fifth of a second for each.
const SIGNATURES_MAX: u32 = 16;

/// Authorities that are trusted.
#[derive(Clone, Default, Debug)]
pub struct Anchors {
    certificates: Vec<CertificateDer<'static>>,
    anchors: Vec<TrustAnchor<'static>>,
}

impl Anchors {
    /// The authorities of these certificates (DER). That they are trusted is their owner's decision: neither their
    /// signatures nor their dates are looked at.
    ///
    /// # Errors
    /// If one of them cannot be read.
    pub fn new<'a>(certificates: impl IntoIterator<Item = &'a [u8]>) -> Result<Self, Refusal> {
        let mut made = Self::default();
        for certificate in certificates {
            let certificate = CertificateDer::from(certificate.to_vec());
            let anchor =
                webpki::anchor_from_trusted_cert(&certificate).map_err(|_| Refusal::Malformed)?.to_owned();
            made.anchors.push(anchor);
            made.certificates.push(certificate);
        }
        Ok(made)
    }

    /// How many there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.anchors.len()
    }

    /// Whether nobody is trusted.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.anchors.is_empty()
    }
}

/// What the end entity does in the handshake.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Purpose {
    Server,
    Client,
}

/// Validates a path from the end entity to one of the anchors; returns the authorities on it, the anchor last.
///
/// The work is bounded: by the size of the chain, by [`SIGNATURES_MAX`], and by webpki's budgets for steps.
pub(super) fn verify<'a>(
    crypto: &dyn Crypto,
    (leaf, view): (&'a [u8], &View),
    others: &[&'a [u8]],
    anchors: &'a Anchors,
    purpose: Purpose,
    date: Option<UnixTime>,
) -> Result<Vec<Vec<u8>>, Refusal> {
    let leaf = CertificateDer::from(leaf);
    if !view.is_version_3() {
        return Err(Refusal::Version);
    }
    if !view.may_sign()?.handshakes {
        return Err(Refusal::Purpose { subject: view.subject() });
    }
    let end_entity = EndEntityCert::try_from(&leaf).map_err(|error| refusal(&error, view, others))?;
    if end_entity.subject_public_key_info().as_ref() != view.key() {
        return Err(Refusal::Malformed);
    }
    let intermediates: Vec<CertificateDer<'_>> =
        others.iter().map(|der| CertificateDer::from(*der)).collect();
    let budget = AtomicU32::new(SIGNATURES_MAX);
    let algorithms = algorithms(crypto, &budget);
    let algorithms: Vec<&dyn SignatureVerificationAlgorithm> =
        algorithms.iter().map(|algorithm| -> &dyn SignatureVerificationAlgorithm { algorithm }).collect();
    let mut complaint = None;
    for at in moments(date, view, others) {
        let at = rustls_pki_types::UnixTime::since_unix_epoch(at);
        match end_entity.verify_for_usage(
            &algorithms,
            &anchors.anchors,
            &intermediates,
            at,
            purpose,
            None,
            None,
        ) {
            Ok(path) => return authorities(&path, anchors),
            Err(_) if budget.load(Ordering::Relaxed) == 0 => return Err(Refusal::TooLarge),
            Err(Error::CertExpired { .. } | Error::CertNotValidYet { .. }) if date.is_none() => {
                complaint.get_or_insert(Refusal::NeverValid);
            }
            Err(error) => {
                complaint.get_or_insert_with(|| refusal(&error, view, others));
            }
        }
    }
    Err(complaint.unwrap_or(Refusal::NeverValid))
}

/// The moments to check dates at: the date, or without a trusted clock every moment at which a certificate of the chain
/// became valid. If no path was valid at one of these, none ever was.
fn moments(date: Option<UnixTime>, leaf: &View, others: &[&[u8]]) -> Vec<Duration> {
    if let Some(date) = date {
        return alloc::vec![Duration::from_millis(u64::try_from(date.as_millis()).unwrap_or(0))];
    }
    let above = line(leaf, others).into_iter().map(|view| view.validity().0);
    let likely = above.fold(leaf.validity().0, Duration::max);
    let all = others.iter().filter_map(|der| View::parse(der).ok()).map(|view| view.validity().0);
    let mut moments = alloc::vec![likely];
    for moment in all.chain([leaf.validity().0]) {
        if !moments.contains(&moment) {
            moments.push(moment);
        }
    }
    moments
}

/// The authorities on the path, which must be allowed to sign certificates.
fn authorities(path: &VerifiedPath<'_>, anchors: &Anchors) -> Result<Vec<Vec<u8>>, Refusal> {
    let mut authorities = Vec::new();
    for authority in path.intermediate_certificates() {
        let der = authority.der().as_ref().to_vec();
        let view = View::parse(&der)?;
        if !view.may_sign()?.certificates {
            return Err(Refusal::Purpose { subject: view.subject() });
        }
        authorities.push(der);
    }
    let last = anchors.anchors.iter().zip(&anchors.certificates).find(|(anchor, _)| *anchor == path.anchor());
    authorities.extend(last.map(|(_, certificate)| certificate.as_ref().to_vec()));
    Ok(authorities)
}

/// The authorities above the end entity as far as the chain holds them, by their names.
fn line(leaf: &View, others: &[&[u8]]) -> Vec<View> {
    let mut rest: Vec<View> = others.iter().filter_map(|der| View::parse(der).ok()).collect();
    let mut line: Vec<View> = Vec::new();
    while let Some(at) = rest.iter().position(|view| line.last().unwrap_or(leaf).names_as_issuer(view)) {
        line.push(rest.swap_remove(at));
    }
    line
}

impl ExtendedKeyUsageValidator for Purpose {
    fn validate(&self, purposes: KeyPurposeIdIter<'_, '_>) -> Result<(), Error> {
        // id-kp-serverAuth, id-kp-clientAuth, anyExtendedKeyUsage (RFC 5280 §4.2.1.12).
        const SERVER: KeyPurposeId<'_> = KeyPurposeId::new(&[0x2b, 6, 1, 5, 5, 7, 3, 1]);
        const CLIENT: KeyPurposeId<'_> = KeyPurposeId::new(&[0x2b, 6, 1, 5, 5, 7, 3, 2]);
        const ANY: KeyPurposeId<'_> = KeyPurposeId::new(&[0x55, 0x1d, 0x25, 0]);
        let wanted = match self {
            Self::Server => SERVER,
            Self::Client => CLIENT,
        };
        let mut restricted = false;
        for purpose in purposes {
            let purpose = purpose?;
            if purpose == wanted || purpose == ANY {
                return Ok(());
            }
            restricted = true;
        }
        // `EmptyEkuExtension` stands for "not for this": the fitting variant cannot be made outside webpki.
        if restricted { Err(Error::EmptyEkuExtension) } else { Ok(()) }
    }
}

/// What webpki complains about, in our words.
fn refusal(error: &Error, leaf: &View, others: &[&[u8]]) -> Refusal {
    let subject_with = |end: fn(&View) -> Duration, at: rustls_pki_types::UnixTime| {
        let views = others.iter().filter_map(|der| View::parse(der).ok());
        if end(leaf).as_secs() == at.as_secs() {
            return leaf.subject();
        }
        { views }
            .find(|view| end(view).as_secs() == at.as_secs())
            .map_or_else(|| leaf.subject(), |view| view.subject())
    };
    let date =
        |at: rustls_pki_types::UnixTime| UnixTime::from_secs(i64::try_from(at.as_secs()).unwrap_or(i64::MAX));
    #[allow(clippy::wildcard_enum_match_arm, reason = "webpki may find new things to complain about")]
    match error {
        Error::CertExpired { not_after, .. } => Refusal::Expired {
            subject: subject_with(|view| view.validity().1, *not_after),
            since: date(*not_after),
        },
        Error::CertNotValidYet { not_before, .. } => Refusal::NotYetValid {
            subject: subject_with(|view| view.validity().0, *not_before),
            until: date(*not_before),
        },
        Error::UnknownIssuer => {
            Refusal::Untrusted { issuer: line(leaf, others).last().unwrap_or(leaf).issuer() }
        }
        Error::UnsupportedCertVersion => Refusal::Version,
        Error::CaUsedAsEndEntity => Refusal::Authority,
        Error::EndEntityUsedAsCa => Refusal::NoAuthority,
        Error::InvalidSignatureForPublicKey | Error::SignatureAlgorithmMismatch => Refusal::Signature,
        Error::UnsupportedSignatureAlgorithmContext(_)
        | Error::UnsupportedSignatureAlgorithmForPublicKeyContext(_) => Refusal::Algorithm,
        Error::EmptyEkuExtension => Refusal::Purpose { subject: leaf.subject() },
        Error::NameConstraintViolation
        | Error::PathLenConstraintViolated
        | Error::UnsupportedCriticalExtension
        | Error::MaximumPathDepthExceeded => Refusal::Constraint,
        Error::MaximumSignatureChecksExceeded
        | Error::MaximumPathBuildCallsExceeded
        | Error::MaximumNameConstraintComparisonsExceeded => Refusal::TooLarge,
        _ => Refusal::Malformed,
    }
}

/// Whether a certificate is signed by the key of another; `None`: with an algorithm that is not known.
pub(super) fn is_signed_by(crypto: &dyn Crypto, (der, view): (&[u8], &View), issuer: &View) -> Option<bool> {
    let budget = AtomicU32::new(1);
    let (signature_id, signature) = view.signature()?;
    let (key_id, key) = issuer.key_parts()?;
    let known = algorithms(crypto, &budget);
    let fits = |one: &&Algorithm<'_>| {
        one.signature_id.as_ref() == signature_id.as_slice() && one.key_id.as_ref() == key_id.as_slice()
    };
    let algorithm = known.iter().find(fits)?;
    Some(algorithm.verify_signature(key, spki::signed_part(der)?, signature).is_ok())
}

/// The algorithms that the cryptography at hand can check.
fn algorithms<'a>(crypto: &'a dyn Crypto, budget: &'a AtomicU32) -> Vec<Algorithm<'a>> {
    let mut algorithms = alloc::vec![Algorithm {
        crypto,
        budget,
        signature: None,
        key_id: alg_id::ECDSA_P256,
        signature_id: alg_id::ECDSA_SHA256,
    }];
    let further = [
        (AuthoritySignature::EcdsaP256Sha384, alg_id::ECDSA_P256, alg_id::ECDSA_SHA384),
        (AuthoritySignature::EcdsaP384Sha256, alg_id::ECDSA_P384, alg_id::ECDSA_SHA256),
        (AuthoritySignature::EcdsaP384Sha384, alg_id::ECDSA_P384, alg_id::ECDSA_SHA384),
        (AuthoritySignature::RsaSha256, alg_id::RSA_ENCRYPTION, alg_id::RSA_PKCS1_SHA256),
        (AuthoritySignature::RsaSha384, alg_id::RSA_ENCRYPTION, alg_id::RSA_PKCS1_SHA384),
        (AuthoritySignature::RsaSha512, alg_id::RSA_ENCRYPTION, alg_id::RSA_PKCS1_SHA512),
    ];
    for (signature, key_id, signature_id) in further {
        if crypto.has_authority_signature(signature) {
            algorithms.push(Algorithm { crypto, budget, signature: Some(signature), key_id, signature_id });
        }
    }
    algorithms
}

/// One algorithm of signatures, as webpki wants it; without a further one it is ECDSA with P-256 and SHA-256.
struct Algorithm<'a> {
    crypto: &'a dyn Crypto,
    /// How many signatures may still be checked; not counted atomically, for only one thread does it.
    budget: &'a AtomicU32,
    signature: Option<AuthoritySignature>,
    key_id: AlgorithmIdentifier,
    signature_id: AlgorithmIdentifier,
}

impl fmt::Debug for Algorithm<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Algorithm({:?})", self.signature)
    }
}

impl SignatureVerificationAlgorithm for Algorithm<'_> {
    fn verify_signature(&self, key: &[u8], message: &[u8], signature: &[u8]) -> Result<(), InvalidSignature> {
        let left = self.budget.load(Ordering::Relaxed).checked_sub(1).ok_or(InvalidSignature)?;
        self.budget.store(left, Ordering::Relaxed);
        let verdict = match self.signature {
            Some(algorithm) => self.crypto.verify_authority(algorithm, key, message, signature),
            None => self.crypto.verify_ecdsa(&p256_key(key), message, signature),
        };
        verdict.map_err(|_| InvalidSignature)
    }

    fn public_key_alg_id(&self) -> AlgorithmIdentifier {
        self.key_id
    }

    fn signature_alg_id(&self) -> AlgorithmIdentifier {
        self.signature_id
    }
}
