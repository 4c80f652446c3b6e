//! Meaning: what certificates and public keys say, in the shapes of the API, with what will not work in plain words.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use lightship_api as api;
use lightship_api::{CertificateWarning, CertificateWarningKind as Kind, Explanation};
use lightship_dtls::certificate::{self, Meaning, NamePart, PublicKey, Refusal};
use lightship_lwm2m::Endpoint;
use lightship_platform::UnixTime;
use lightship_platform::crypto::Sha256;
use lightship_server::Principal;
use lightship_store::CredentialSet;

use super::credential::Proof;
use super::dates::{days_left, validity};
use super::encoded::{blocks_of_pem, bytes_of_hex, hex, pem, readable};
use super::judge::Subject;
use super::keeper::KeepError;
use crate::config::Rule;
use crate::core::Core;

/// What somebody wants to know the meaning of.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Given {
    /// Certificates in DER, that of the device first.
    Certificates(Vec<Vec<u8>>),
    /// A bare public key, SubjectPublicKeyInfo in DER.
    PublicKey(Vec<u8>),
}

/// Finds certificates or a public key in a file: PEM, DER, or hex of DER.
///
/// # Errors
/// What it is instead, in plain words, and nothing of its content: that may be a secret.
pub(crate) fn given(file: &[u8]) -> Result<Given, String> {
    if file.iter().all(u8::is_ascii_whitespace) {
        return Err("there is nothing to explain: send certificates or a public key, in PEM or DER".into());
    }
    let found = if file.windows(BEGIN.len()).any(|part| part == BEGIN) {
        of_pem(&String::from_utf8_lossy(file))?
    } else {
        let digits: String =
            file.iter().filter(|byte| !byte.is_ascii_whitespace()).map(|b| char::from(*b)).collect();
        of_der(bytes_of_hex(&digits).unwrap_or_else(|| file.to_vec()))?
    };
    match &found {
        Given::Certificates(all) if all.len() > CERTIFICATES_MAX => Err(format!(
            "there are {} certificates, and at most {CERTIFICATES_MAX} are explained at once",
            all.len()
        )),
        Given::Certificates(_) | Given::PublicKey(_) => Ok(found),
    }
}

fn of_pem(text: &str) -> Result<Given, String> {
    let blocks = blocks_of_pem(text).ok_or("a block of this PEM is broken")?;
    let has = |label: &str| blocks.iter().any(|block| block.label == label);
    if blocks.iter().any(|block| block.label.ends_with("PRIVATE KEY")) {
        return Err("there is a private key in this PEM: it must never leave its device".into());
    }
    if has("CERTIFICATE") {
        let certificates = blocks.into_iter().filter(|block| block.label == "CERTIFICATE");
        return Ok(Given::Certificates(certificates.map(|block| block.der).collect()));
    }
    if has("CERTIFICATE REQUEST") || has("NEW CERTIFICATE REQUEST") {
        return Err("this is a request for a certificate, which an authority has still to sign".into());
    }
    if has("PKCS7") {
        return Err(
            "this is PKCS #7: take the certificates out of it first, with `openssl pkcs7 -print_certs`"
                .into(),
        );
    }
    let mut keys = blocks.into_iter().filter(|block| block.label == "PUBLIC KEY");
    match (keys.next(), keys.next()) {
        (Some(key), None) => Ok(Given::PublicKey(key.der)),
        (None, _) => Err("there is neither CERTIFICATE nor PUBLIC KEY in this PEM".into()),
        (Some(_), Some(_)) => Err("there are several public keys: give one, or certificates".into()),
    }
}

fn of_der(der: Vec<u8>) -> Result<Given, String> {
    if certificate::meaning(&der).is_ok() {
        return Ok(Given::Certificates(vec![der]));
    }
    if certificate::public_key_meaning(&der).is_ok() {
        return Ok(Given::PublicKey(der));
    }
    // A key begins with its version, PKCS #7 with what it is; certificates and public keys with a SEQUENCE.
    let header = match der.get(1) {
        Some(0..=0x7f) => 2,
        Some(long) => 2 + usize::from(long & 0x7f),
        None => 0,
    };
    Err(match (der.first(), der.get(header)) {
        (Some(0x30), Some(0x02)) => {
            "this seems to be a private key or PKCS #12, which must never leave its device: send the certificate or the public key".into()
        }
        (Some(0x30), Some(0x06)) => {
            "this seems to be PKCS #7: take the certificates out of it first, with `openssl pkcs7 -print_certs`".into()
        }
        (Some(0x30), _) => "this is no certificate and no public key that can be read".into(),
        _ => "this is neither PEM nor DER".into(),
    })
}

/// Says what they mean, and what of them will not work; `endpoint` is the device that is to prove itself with the first.
///
/// # Errors
/// Which of them cannot be read.
pub(crate) fn explain(
    core: &Core,
    given: &Given,
    endpoint: Option<&Endpoint>,
) -> Result<Explanation, String> {
    match given {
        Given::PublicKey(der) => of_key(core, der),
        Given::Certificates(chain) => of_chain(core, chain, endpoint),
    }
}

fn of_key(core: &Core, der: &[u8]) -> Result<Explanation, String> {
    let key = certificate::public_key_meaning(der).map_err(|_| "this public key cannot be read")?;
    let key = public_key(core, &key);
    let wrong = (!key.supported).then(|| warning(Kind::UnsupportedKey, unsupported(&key)));
    Ok(Explanation {
        certificates: Vec::new(),
        public_key: Some(key),
        trusted: None,
        trust_reason: None,
        endpoints: Vec::new(),
        warnings: wrong.into_iter().collect(),
    })
}

fn of_chain(core: &Core, chain: &[Vec<u8>], endpoint: Option<&Endpoint>) -> Result<Explanation, String> {
    let mut meanings = Vec::with_capacity(chain.len());
    for (at, der) in chain.iter().enumerate() {
        let refused = |refusal: Refusal| match chain.len() {
            1 => format!("the certificate cannot be read: {refusal}"),
            _ => format!("certificate {} cannot be read: {refusal}", at + 1),
        };
        meanings.push(certificate::meaning(der).map_err(refused)?);
    }
    let Some(own) = meanings.first() else { return Err("there is no certificate".into()) };
    let line = Line { core, chain, meanings: &meanings };
    let mut certificates: Vec<_> =
        chain.iter().zip(&meanings).map(|(der, meaning)| shape(core, der, meaning)).collect();
    for at in 0..certificates.len() {
        let (signed_by, signed_by_next, more) = line.signatures(at);
        let role =
            if at == 0 { as_device(own) } else { meanings.get(at).map(as_authority).unwrap_or_default() };
        if let Some(one) = certificates.get_mut(at) {
            (one.signed_by, one.signed_by_next) = (signed_by, signed_by_next);
            one.warnings.extend(role.into_iter().chain(more));
            one.warnings.iter_mut().for_each(|warning| warning.certificate = u64::try_from(at).ok());
        }
    }
    let subject = Subject::of(&own.names);
    let endpoints = subject.endpoints(&core.config.security.endpoint_rules);
    let (trusted, trust_reason) = line.trusted();
    let mut warnings: Vec<_> = certificates.iter().flat_map(|one| one.warnings.clone()).collect();
    warnings.extend(line.too_large());
    warnings.extend(endpoint.and_then(|asked| other_name(core, &endpoints, asked)));
    Ok(Explanation {
        certificates,
        public_key: None,
        trusted: Some(trusted),
        trust_reason,
        endpoints: endpoints.iter().map(|name| readable(name.as_str().as_bytes())).collect(),
        warnings,
    })
}

/// The certificate by which a device is known now, else the one that its credential for the LwM2M Server names; `None`: neither is at
/// hand.
///
/// # Errors
/// When the store does not answer.
pub(crate) async fn of_device(core: &Core, endpoint: &Endpoint) -> Result<Option<Given>, KeepError> {
    let kept = core.keeper.find(&core.store, CredentialSet::Server, endpoint).await?;
    let pinned = kept.and_then(|kept| match kept.proof {
        Proof::Certificate { sha256, der } => der.map(|der| (sha256, vec![der.into_vec()])),
        Proof::Nosec
        | Proof::Psk { .. }
        | Proof::RawPublicKey { .. }
        | Proof::Named { .. }
        | Proof::EndpointNamed => None,
    });
    let party = core.directory.find(endpoint.as_str()).and_then(|device| device.registration.party);
    let in_use = party.as_ref().and_then(|party| match &party.principal {
        Principal::Certificate(used) => Some(used.sha256),
        Principal::Psk(_) | Principal::RawPublicKey(_) | _ => None,
    });
    let chain = match (in_use, pinned) {
        (Some(used), Some((pinned, chain))) if used == pinned => {
            Some(core.gate.presented(&used).unwrap_or(chain))
        }
        (Some(used), _) => core.gate.presented(&used),
        (None, pinned) => pinned.map(|(_, chain)| chain),
    };
    Ok(chain.map(Given::Certificates))
}

/// One that somebody trusts; `None` if it cannot be read.
pub(super) fn of_certificate(core: &Core, der: &[u8]) -> Option<api::Certificate> {
    let meaning = certificate::meaning(der).ok()?;
    Some(shape(core, der, &meaning))
}

/// One that is kept for a device, whoever vouches for it; `None` if it cannot be read.
pub(crate) fn of_pinned(core: &Core, der: &[u8]) -> Option<api::Certificate> {
    let meaning = certificate::meaning(der).ok()?;
    let mut shape = shape(core, der, &meaning);
    if !shape.public_key.supported {
        shape.warnings.push(warning(Kind::UnsupportedKey, unsupported(&shape.public_key)));
    }
    Some(shape)
}

/// Certificates that were given together.
struct Line<'a> {
    core: &'a Core,
    chain: &'a [Vec<u8>],
    meanings: &'a [Meaning],
}

impl Line<'_> {
    /// Which one has signed that one, whether it is the next, and what is wrong with that.
    fn signatures(&self, at: usize) -> (Option<u64>, Option<bool>, Vec<CertificateWarning>) {
        let (Some(der), Some(meaning)) = (self.chain.get(at), self.meanings.get(at)) else {
            return (None, None, Vec::new());
        };
        let mut warnings = Vec::new();
        if self.chain.iter().take(at).any(|other| other == der) {
            warnings.push(warning(Kind::Twice, "this certificate is there more than once"));
        }
        let by = |issuer: &[u8]| certificate::is_signed_by(&*self.core.crypto, der, issuer);
        let others = self.chain.iter().zip(self.meanings).enumerate();
        let signer = { others }
            .filter(|(other, (issuer_der, issuer))| {
                *other != at && *issuer_der != der && issuer.subject == meaning.issuer
            })
            .find(|(_, (issuer_der, _))| by(issuer_der) == Some(true))
            .map(|(other, _)| other);
        let next = self.chain.get(at + 1).zip(self.meanings.get(at + 1));
        let by_next = next.and_then(|(issuer, _)| by(issuer));
        if let Some((_, issuer)) = next
            && by_next == Some(false)
        {
            warnings.push(match signer {
                Some(other) => warning(
                    Kind::NotSignedByNext,
                    format!("certificate {} has signed this one: put it next", other + 1),
                ),
                None if issuer.subject == meaning.issuer => warning(
                    Kind::BadSignature,
                    "the next certificate should have signed this one, by its name, and its key has not",
                ),
                None => warning(Kind::NotSignedByNext, "the next certificate has not signed this one"),
            });
        }
        (signer.and_then(|other| u64::try_from(other).ok()), by_next, warnings)
    }

    /// Whether a device with the first would be trusted now, else why not.
    fn trusted(&self) -> (bool, Option<String>) {
        let trust = self.core.gate.trust(CredentialSet::Server);
        if trust.anchors.is_empty() {
            return (false, Some("no authority is trusted here (security.trust_files)".into()));
        }
        let own = self.chain.first().map(Vec::as_slice).unwrap_or_default();
        if self.core.gate.trusted().iter().any(|authority| **authority == *own) {
            return (true, None);
        }
        let date = Some(self.core.clock.date());
        match certificate::verify_client(&*self.core.crypto, self.chain, &trust.anchors, date) {
            Ok(_) => (true, None),
            Err(refusal) => (false, Some(readable(refusal.to_string().as_bytes()))),
        }
    }

    fn too_large(&self) -> Option<CertificateWarning> {
        let len: usize = self.chain.iter().map(Vec::len).sum();
        let (count_max, len_max) = (certificate::CHAIN_COUNT_MAX, certificate::CHAIN_LEN_MAX);
        (self.chain.len() > count_max || len > len_max).then(|| {
            let text = format!("a handshake takes {count_max} certificates and {len_max} bytes at most");
            warning(Kind::TooLarge, text)
        })
    }
}

/// What keeps a device from proving itself with this one.
fn as_device(own: &Meaning) -> Vec<CertificateWarning> {
    let mut warnings = Vec::new();
    if own.basic_constraints.is_some_and(|found| found.is_authority) {
        let text = "this is an authority's certificate: the server can trust it (security.trust_files), but no device can prove itself with it";
        return vec![warning(Kind::AuthorityAsDevice, text)];
    }
    if !own.key.is_p256 {
        warnings.push(warning(Kind::UnsupportedKey, "devices need a key of P-256 here, uncompressed"));
    }
    if own.key_usage.as_ref().is_some_and(|usage| !usage.contains(&"digitalSignature")) {
        warnings.push(warning(
            Kind::KeyUsage,
            "its key usage lacks digitalSignature: it cannot sign a handshake",
        ));
    }
    warnings.extend(client_auth(own));
    if own.names.candidates().next().is_none() {
        warnings.push(warning(Kind::NoName, "it names nobody: no common name, DNS name or URI"));
    }
    if own.is_self_issued {
        let text = "nobody but itself vouches for it: it works only where exactly this certificate is kept for a device";
        warnings.push(warning(Kind::SelfSigned, text));
    }
    warnings
}

/// What keeps this one from vouching for others.
fn as_authority(one: &Meaning) -> Vec<CertificateWarning> {
    let mut warnings = Vec::new();
    if !one.basic_constraints.is_some_and(|found| found.is_authority) {
        warnings.push(warning(Kind::NoAuthority, "it is no authority's, so it can vouch for nobody"));
    }
    if one.key_usage.as_ref().is_some_and(|usage| !usage.contains(&"keyCertSign")) {
        warnings
            .push(warning(Kind::KeyUsage, "its key usage lacks keyCertSign: it cannot sign certificates"));
    }
    warnings.extend(client_auth(one));
    warnings
}

fn client_auth(one: &Meaning) -> Option<CertificateWarning> {
    let usage = one.extended_key_usage.as_ref()?;
    let fits = usage.iter().any(|purpose| purpose == "clientAuth" || purpose == "anyExtendedKeyUsage");
    (!fits).then(|| {
        warning(Kind::NoClientAuth, "its extended key usage lacks clientAuth: it is not for devices")
    })
}

fn other_name(core: &Core, endpoints: &[Endpoint], asked: &Endpoint) -> Option<CertificateWarning> {
    if endpoints.contains(asked) || core.config.security.endpoint_rules.contains(&Rule::Any) {
        return None;
    }
    let asked = readable(asked.as_str().as_bytes());
    let names: Vec<String> = endpoints.iter().map(|name| readable(name.as_str().as_bytes())).collect();
    let text = match names.as_slice() {
        [] => format!(
            "it stands for no endpoint, so not for '{asked}': give its name, or keep exactly this certificate"
        ),
        names => format!(
            "it stands for '{}' and not for '{asked}': give its name, or keep exactly this certificate",
            names.join("', '")
        ),
    };
    Some(CertificateWarning { certificate: Some(0), ..warning(Kind::OtherName, text) })
}

/// What holds of a certificate wherever it stands.
fn of_itself(meaning: &Meaning, now: UnixTime) -> Vec<CertificateWarning> {
    let mut warnings = Vec::from_iter(validity(meaning, now));
    if meaning.version < 3 {
        let text =
            format!("it is of version {} of X.509: nothing says what it may be used for", meaning.version);
        warnings.push(warning(Kind::OldVersion, text));
    }
    if !SIGNATURES.contains(&meaning.signature_algorithm.as_str()) {
        let text = format!("its signature ({}) cannot be checked here", meaning.signature_algorithm);
        warnings.push(warning(Kind::UnsupportedSignature, text));
    }
    for id in meaning.unknown_critical.iter().take(UNKNOWN_MAX) {
        let text = format!("it has a critical extension that is not known here: {id}");
        warnings.push(warning(Kind::UnknownCritical, text));
    }
    warnings
}

fn shape(core: &Core, der: &[u8], meaning: &Meaning) -> api::Certificate {
    let now = core.clock.date();
    let names = &meaning.names;
    let alternative = names.dns.iter().map(|name| ("dns:", name.clone()));
    let alternative = alternative.chain(names.uris.iter().map(|uri| ("uri:", uri.clone())));
    let alternative = alternative.chain(names.addresses.iter().map(|address| ("ip:", address.to_string())));
    let alternative = alternative.chain(meaning.other_names.iter().map(|name| ("", name.clone())));
    let count = names.dns.len() + names.uris.len() + names.addresses.len() + meaning.other_names.len();
    let authority = meaning.basic_constraints.filter(|found| found.is_authority);
    let self_signed =
        meaning.is_self_issued && certificate::is_signed_by(&*core.crypto, der, der) == Some(true);
    api::Certificate {
        version: meaning.version,
        subject: in_words(&meaning.subject),
        issuer: in_words(&meaning.issuer),
        serial: hex(&meaning.serial),
        valid_from: api::Timestamp(meaning.not_before.as_millis()),
        valid_until: api::Timestamp(meaning.not_after.as_millis()),
        days_left: days_left(meaning, now),
        common_name: names.common_name.as_deref().map(field),
        alternative_names: alternative
            .take(NAMES_MAX)
            .map(|(kind, name)| format!("{kind}{}", field(&name)))
            .collect(),
        alternative_names_left_out: u64::try_from(count.saturating_sub(NAMES_MAX)).unwrap_or(u64::MAX),
        public_key: public_key(core, &meaning.key),
        signature_algorithm: meaning.signature_algorithm.clone(),
        key_usage: meaning
            .key_usage
            .as_ref()
            .map(|usage| usage.iter().map(|one| (*one).to_owned()).collect()),
        extended_key_usage: meaning
            .extended_key_usage
            .as_ref()
            .map(|all| all.iter().take(NAMES_MAX).cloned().collect()),
        authority: authority.is_some(),
        path_length: authority.and_then(|found| found.path_len),
        self_signed,
        signed_by: None,
        signed_by_next: None,
        sha256: hex(&Sha256::of(der)),
        pem: pem("CERTIFICATE", der),
        warnings: of_itself(meaning, now),
    }
}

fn public_key(core: &Core, key: &PublicKey) -> api::PublicKey {
    let point = key.spki.get(super::credential::P256_PREFIX.len()..).unwrap_or_default();
    api::PublicKey {
        kind: key.kind.clone(),
        curve: key.curve.clone(),
        bits: key.bits.and_then(|bits| u64::try_from(bits).ok()),
        supported: key.is_p256 && core.keeper.is_point(point),
        spki_hex: hex(&key.spki),
        spki_base64: STANDARD.encode(&key.spki),
        sha256: hex(&Sha256::of(&key.spki)),
    }
}

fn unsupported(key: &api::PublicKey) -> String {
    if key.curve.as_deref() == Some("P-256") {
        return "this is no uncompressed point on the curve P-256".to_owned();
    }
    let kind = key.curve.as_deref().unwrap_or(&key.kind);
    format!("this is a key of {kind}; devices need one of P-256 here")
}

/// A distinguished name as people write it, `O=Example, CN=sensor-3`; a comma in a part is escaped.
pub(super) fn in_words(parts: &[NamePart]) -> String {
    let shown = parts
        .iter()
        .take(NAMES_MAX)
        .map(|part| format!("{}={}", part.kind, field(&part.value).replace(',', "\\,")));
    let mut text = shown.collect::<Vec<_>>().join(", ");
    if parts.len() > NAMES_MAX {
        text.push_str(", …");
    }
    text
}

/// A foreign text, fit to be shown.
fn field(text: &str) -> String {
    let cut: String = text.chars().take(FIELD_CHARS_MAX).collect();
    let mut shown = readable(cut.as_bytes());
    if cut.len() < text.len() {
        shown.push('…');
    }
    shown
}

pub(super) fn warning(kind: Kind, text: impl Into<String>) -> CertificateWarning {
    CertificateWarning { kind, text: text.into(), certificate: None }
}

const BEGIN: &[u8] = b"-----BEGIN ";
/// Certificates that are explained at once: more than a handshake takes.
const CERTIFICATES_MAX: usize = 16;
/// Alternative names, or parts of a name, that are shown of a certificate.
const NAMES_MAX: usize = 100;
/// Unknown extensions that are told of a certificate.
const UNKNOWN_MAX: usize = 10;
/// Letters that are shown of a name: X.520 allows no longer ones than 32,768, and the usual bound is 64.
const FIELD_CHARS_MAX: usize = 1000;
/// Signatures that can be checked here.
const SIGNATURES: [&str; 5] = [
    "ecdsa-with-SHA256",
    "ecdsa-with-SHA384",
    "sha256WithRSAEncryption",
    "sha384WithRSAEncryption",
    "sha512WithRSAEncryption",
];
