//! What a certificate or a public key says, for people: every field, nothing judged.

use alloc::string::{String, ToString};
use alloc::vec::Vec;
use core::fmt::Write;
use core::time::Duration;

use lightship_platform::UnixTime;
use x509_cert::attr::AttributeTypeAndValue;
use x509_cert::certificate::Version;
use x509_cert::der::asn1::ObjectIdentifier;
use x509_cert::der::{Decode, Encode};
use x509_cert::ext::pkix::name::GeneralName;
use x509_cert::ext::pkix::{BasicConstraints, ExtendedKeyUsage, KeyUsage, SubjectAltName};
use x509_cert::name::Name;
use x509_cert::spki::SubjectPublicKeyInfoOwned;

use super::view::{View, text};
use super::{CHAIN_LEN_MAX, Names, Refusal};
use crate::spki;

/// Everything that a certificate says. Its texts are foreign: whoever shows them makes them fit to be shown.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Meaning {
    /// Version of X.509, 1 to 3.
    pub version: u8,
    /// Whom it is about, the most general part first.
    pub subject: Vec<NamePart>,
    /// Who has signed it, by its own words.
    pub issuer: Vec<NamePart>,
    /// Its number among those of its issuer.
    pub serial: Vec<u8>,
    /// The first moment at which it is valid.
    pub not_before: UnixTime,
    /// The last one.
    pub not_after: UnixTime,
    /// The names that may stand for an endpoint or a host.
    pub names: Names,
    /// Alternative names of other kinds, such as `email:a@example`.
    pub other_names: Vec<String>,
    /// The public key.
    pub key: PublicKey,
    /// The algorithm of its signature, such as `ecdsa-with-SHA256`, else an object identifier.
    pub signature_algorithm: String,
    /// What the key may be used for, in the words of RFC 5280 §4.2.1.3; `None`: nothing is said.
    pub key_usage: Option<Vec<&'static str>>,
    /// In which roles, in the words of RFC 5280 §4.2.1.12, else object identifiers; `None`: nothing is said.
    pub extended_key_usage: Option<Vec<String>>,
    /// Whether it is an authority's, and how many authorities may stand below it; `None`: nothing is said.
    pub basic_constraints: Option<Authority>,
    /// Whether subject and issuer are the same.
    pub is_self_issued: bool,
    /// Extensions that must be understood and are not, by their object identifiers.
    pub unknown_critical: Vec<String>,
}

/// One part of a distinguished name.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct NamePart {
    /// Such as `CN`, else an object identifier.
    pub kind: String,
    /// As text; what is none in hex behind a `#`.
    pub value: String,
}

/// What the basic constraints say (RFC 5280 §4.2.1.9).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Authority {
    /// Whether it may sign certificates.
    pub is_authority: bool,
    /// Authorities below it, at most; `None`: any number.
    pub path_len: Option<u8>,
}

/// A public key.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct PublicKey {
    /// SubjectPublicKeyInfo in DER.
    pub spki: Vec<u8>,
    /// `EC`, `RSA`, `Ed25519` and the like, else an object identifier.
    pub kind: String,
    /// The curve of `EC`, such as `P-256`, else an object identifier.
    pub curve: Option<String>,
    /// How long it is, where that is known.
    pub bits: Option<usize>,
    /// Whether it is an uncompressed point of P-256, the only kind that handshakes work with here.
    pub is_p256: bool,
}

/// Reads all that a certificate says (DER).
///
/// # Errors
/// If the certificate, or an extension of it that is looked at, cannot be read, or is larger than [`MEANING_LEN_MAX`].
pub fn meaning(certificate: &[u8]) -> Result<Meaning, Refusal> {
    if certificate.len() > MEANING_LEN_MAX {
        return Err(Refusal::TooLarge);
    }
    let view = View::parse(certificate)?;
    let fields = view.fields();
    let (not_before, not_after) = view.validity();
    Ok(Meaning {
        version: match fields.version() {
            Version::V1 => 1,
            Version::V2 => 2,
            Version::V3 => 3,
        },
        subject: parts(fields.subject()),
        issuer: parts(fields.issuer()),
        serial: fields.serial_number().as_bytes().to_vec(),
        not_before: moment(not_before),
        not_after: moment(not_after),
        names: view.names()?,
        other_names: other_names(&view)?,
        key: public_key(view.key())?,
        signature_algorithm: named(SIGNATURES, fields.signature().oid),
        key_usage: key_usage(&view)?,
        extended_key_usage: extended_key_usage(&view)?,
        basic_constraints: basic_constraints(&view)?,
        is_self_issued: fields.subject() == fields.issuer(),
        unknown_critical: unknown_critical(&view),
    })
}

/// Reads a public key, SubjectPublicKeyInfo in DER.
///
/// # Errors
/// If it is none, or larger than [`MEANING_LEN_MAX`].
pub fn public_key_meaning(spki: &[u8]) -> Result<PublicKey, Refusal> {
    if spki.len() > MEANING_LEN_MAX {
        return Err(Refusal::TooLarge);
    }
    public_key(spki)
}

/// Bytes of one certificate whose meaning is shown, at most: more than a handshake takes ([`CHAIN_LEN_MAX`]), so that it can be said of
/// one that it is too large.
pub const MEANING_LEN_MAX: usize = 16 * CHAIN_LEN_MAX;

fn public_key(der: &[u8]) -> Result<PublicKey, Refusal> {
    let info = SubjectPublicKeyInfoOwned::from_der(der).map_err(|_| Refusal::Malformed)?;
    let key = info.subject_public_key.raw_bytes();
    let kind = named(KEYS, info.algorithm.oid);
    let parameter = || info.algorithm.parameters.as_ref()?.decode_as::<ObjectIdentifier>().ok();
    let curve = parameter().filter(|_| kind == "EC").map(|oid| named(CURVES, oid));
    let bits = match (kind.as_str(), curve.as_deref()) {
        ("RSA", _) => spki::rsa_bits(key),
        (_, Some("P-224")) => Some(224),
        (_, Some("P-256" | "secp256k1" | "brainpoolP256r1")) | ("Ed25519" | "X25519", _) => Some(256),
        (_, Some("P-384")) => Some(384),
        (_, Some("P-521")) => Some(521),
        _ => None,
    };
    Ok(PublicKey { is_p256: spki::is_p256(der), spki: der.to_vec(), kind, curve, bits })
}

fn moment(since_1970: Duration) -> UnixTime {
    UnixTime::from_secs(i64::try_from(since_1970.as_secs()).unwrap_or(i64::MAX))
}

fn parts(name: &Name) -> Vec<NamePart> {
    let part = |part: &AttributeTypeAndValue| NamePart {
        kind: named(ATTRIBUTES, part.oid),
        value: text(&part.value).unwrap_or_else(|| hex(part.value.value())),
    };
    name.iter().map(part).collect()
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::from("#"), |mut out, byte| {
        let _ = write!(out, "{byte:02x}");
        out
    })
}

fn other_names(view: &View) -> Result<Vec<String>, Refusal> {
    let alternative = view.fields().get_extension::<SubjectAltName>().map_err(|_| Refusal::Malformed)?;
    let Some((_, alternative)) = alternative else { return Ok(Vec::new()) };
    let mut names = Vec::new();
    for name in alternative.0 {
        names.push(match name {
            GeneralName::Rfc822Name(address) => alloc::format!("email:{address}"),
            GeneralName::DirectoryName(name) => {
                let parts = parts(&name);
                let parts = parts.iter().map(|part| alloc::format!("{}={}", part.kind, part.value));
                alloc::format!("name:{}", parts.collect::<Vec<_>>().join(","))
            }
            GeneralName::RegisteredId(id) => alloc::format!("id:{id}"),
            GeneralName::OtherName(other) => {
                let value = other.value.to_der().map(|der| hex(&der)).unwrap_or_default();
                alloc::format!("other:{}={value}", other.type_id)
            }
            GeneralName::EdiPartyName(_) => String::from("edi"),
            GeneralName::DnsName(_)
            | GeneralName::UniformResourceIdentifier(_)
            | GeneralName::IpAddress(_) => continue,
        });
    }
    Ok(names)
}

fn key_usage(view: &View) -> Result<Option<Vec<&'static str>>, Refusal> {
    let found = view.fields().get_extension::<KeyUsage>().map_err(|_| Refusal::Malformed)?;
    Ok(found.map(|(_, usage)| {
        let table = [
            (usage.digital_signature(), "digitalSignature"),
            (usage.non_repudiation(), "nonRepudiation"),
            (usage.key_encipherment(), "keyEncipherment"),
            (usage.data_encipherment(), "dataEncipherment"),
            (usage.key_agreement(), "keyAgreement"),
            (usage.key_cert_sign(), "keyCertSign"),
            (usage.crl_sign(), "cRLSign"),
            (usage.encipher_only(), "encipherOnly"),
            (usage.decipher_only(), "decipherOnly"),
        ];
        table.into_iter().filter(|(is, _)| *is).map(|(_, name)| name).collect()
    }))
}

fn extended_key_usage(view: &View) -> Result<Option<Vec<String>>, Refusal> {
    let found = view.fields().get_extension::<ExtendedKeyUsage>().map_err(|_| Refusal::Malformed)?;
    Ok(found.map(|(_, usage)| usage.0.into_iter().map(|oid| named(PURPOSES, oid)).collect()))
}

fn basic_constraints(view: &View) -> Result<Option<Authority>, Refusal> {
    let found = view.fields().get_extension::<BasicConstraints>().map_err(|_| Refusal::Malformed)?;
    Ok(found.map(|(_, found)| Authority { is_authority: found.ca, path_len: found.path_len_constraint }))
}

/// What paths are refused for: a critical extension that neither webpki nor this room looks at.
fn unknown_critical(view: &View) -> Vec<String> {
    let all = view.fields().extensions().map(|all| all.as_slice()).unwrap_or_default();
    let unknown = all.iter().filter(|one| one.critical && !UNDERSTOOD.contains(&one.extn_id));
    unknown.map(|one| one.extn_id.to_string()).collect()
}

fn named(table: &[(ObjectIdentifier, &str)], oid: ObjectIdentifier) -> String {
    table.iter().find(|(known, _)| *known == oid).map_or_else(|| oid.to_string(), |(_, name)| (*name).into())
}

const fn oid(text: &str) -> ObjectIdentifier {
    ObjectIdentifier::new_unwrap(text)
}

/// Key usage, alternative name, basic constraints, name constraints, distribution points, extended key usage.
const UNDERSTOOD: [ObjectIdentifier; 6] = [
    oid("2.5.29.15"),
    oid("2.5.29.17"),
    oid("2.5.29.19"),
    oid("2.5.29.30"),
    oid("2.5.29.31"),
    oid("2.5.29.37"),
];
const ATTRIBUTES: &[(ObjectIdentifier, &str)] = &[
    (oid("2.5.4.3"), "CN"),
    (oid("2.5.4.4"), "SN"),
    (oid("2.5.4.5"), "serialNumber"),
    (oid("2.5.4.6"), "C"),
    (oid("2.5.4.7"), "L"),
    (oid("2.5.4.8"), "ST"),
    (oid("2.5.4.9"), "street"),
    (oid("2.5.4.10"), "O"),
    (oid("2.5.4.11"), "OU"),
    (oid("2.5.4.12"), "title"),
    (oid("2.5.4.42"), "GN"),
    (oid("0.9.2342.19200300.100.1.1"), "UID"),
    (oid("0.9.2342.19200300.100.1.25"), "DC"),
    (oid("1.2.840.113549.1.9.1"), "emailAddress"),
];
const KEYS: &[(ObjectIdentifier, &str)] = &[
    (oid("1.2.840.10045.2.1"), "EC"),
    (oid("1.2.840.113549.1.1.1"), "RSA"),
    (oid("1.2.840.113549.1.1.10"), "RSA-PSS"),
    (oid("1.2.840.10040.4.1"), "DSA"),
    (oid("1.3.101.110"), "X25519"),
    (oid("1.3.101.111"), "X448"),
    (oid("1.3.101.112"), "Ed25519"),
    (oid("1.3.101.113"), "Ed448"),
];
const CURVES: &[(ObjectIdentifier, &str)] = &[
    (oid("1.3.132.0.33"), "P-224"),
    (oid("1.2.840.10045.3.1.7"), "P-256"),
    (oid("1.3.132.0.34"), "P-384"),
    (oid("1.3.132.0.35"), "P-521"),
    (oid("1.3.132.0.10"), "secp256k1"),
    (oid("1.3.36.3.3.2.8.1.1.7"), "brainpoolP256r1"),
];
const SIGNATURES: &[(ObjectIdentifier, &str)] = &[
    (oid("1.2.840.10045.4.1"), "ecdsa-with-SHA1"),
    (oid("1.2.840.10045.4.3.2"), "ecdsa-with-SHA256"),
    (oid("1.2.840.10045.4.3.3"), "ecdsa-with-SHA384"),
    (oid("1.2.840.10045.4.3.4"), "ecdsa-with-SHA512"),
    (oid("1.2.840.113549.1.1.4"), "md5WithRSAEncryption"),
    (oid("1.2.840.113549.1.1.5"), "sha1WithRSAEncryption"),
    (oid("1.2.840.113549.1.1.10"), "rsassaPss"),
    (oid("1.2.840.113549.1.1.11"), "sha256WithRSAEncryption"),
    (oid("1.2.840.113549.1.1.12"), "sha384WithRSAEncryption"),
    (oid("1.2.840.113549.1.1.13"), "sha512WithRSAEncryption"),
    (oid("1.3.101.112"), "Ed25519"),
    (oid("1.3.101.113"), "Ed448"),
];
const PURPOSES: &[(ObjectIdentifier, &str)] = &[
    (oid("2.5.29.37.0"), "anyExtendedKeyUsage"),
    (oid("1.3.6.1.5.5.7.3.1"), "serverAuth"),
    (oid("1.3.6.1.5.5.7.3.2"), "clientAuth"),
    (oid("1.3.6.1.5.5.7.3.3"), "codeSigning"),
    (oid("1.3.6.1.5.5.7.3.4"), "emailProtection"),
    (oid("1.3.6.1.5.5.7.3.8"), "timeStamping"),
    (oid("1.3.6.1.5.5.7.3.9"), "OCSPSigning"),
];
