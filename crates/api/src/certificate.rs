//! What certificates and public keys mean. Never a private key.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::time::Timestamp;

/// What a file of certificates, or a bare public key, says.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Explanation {
    /// The certificates in the order in which they were given; empty for a bare public key.
    pub certificates: Vec<Certificate>,
    /// The bare public key, if that is what was given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub public_key: Option<PublicKey>,
    /// Whether a device with the first certificate would be trusted by the LwM2M Server now: by an authority that it trusts, for no
    /// certificate of which it knows alone. Absent for a bare public key.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub trusted: Option<bool>,
    /// Why it would not be.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub trust_reason: Option<String>,
    /// The endpoints that the first certificate stands for by the server's rules (`security.endpoint_rules`), the preferred first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub endpoints: Vec<String>,
    /// What is unwise or will not work, in plain words: all warnings of the certificates, and those about the whole.
    pub warnings: Vec<CertificateWarning>,
}

/// One certificate. Its texts are as the certificate has them, with everything escaped that could deceive (`\u{202e}`), and cut where
/// they are longer than any name.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Certificate {
    /// Version of X.509, 1 to 3.
    pub version: u8,
    /// Whom it is about, such as `O=Example, CN=sensor-3`.
    pub subject: String,
    /// Who has signed it, by its own words.
    pub issuer: String,
    /// Its number among those of its issuer, in hex.
    pub serial: String,
    /// The first moment at which it is valid.
    #[schema(value_type = String, format = DateTime)]
    pub valid_from: Timestamp,
    /// The last one.
    #[schema(value_type = String, format = DateTime)]
    pub valid_until: Timestamp,
    /// Whole days until it expires; below zero since it has.
    pub days_left: i64,
    /// The common name of the subject.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub common_name: Option<String>,
    /// Alternative names (SAN) with their kind: `dns:…`, `uri:…`, `ip:…`, `email:…` and others; a hundred at most.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub alternative_names: Vec<String>,
    /// How many more there are.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub alternative_names_left_out: u64,
    /// The public key.
    pub public_key: PublicKey,
    /// The algorithm of its signature, such as `ecdsa-with-SHA256`, else an object identifier.
    pub signature_algorithm: String,
    /// What the key may be used for (RFC 5280 §4.2.1.3), such as `digitalSignature`; absent: nothing is said, so for anything.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key_usage: Option<Vec<String>>,
    /// In which roles (RFC 5280 §4.2.1.12), such as `clientAuth`; absent: nothing is said, so in any.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub extended_key_usage: Option<Vec<String>>,
    /// Whether it is an authority's, which may sign others.
    pub authority: bool,
    /// Authorities that may stand below this one, at most.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub path_length: Option<u8>,
    /// Whether subject and issuer are the same, and its own key has signed it.
    pub self_signed: bool,
    /// Which certificate of those given has signed it, counted from 0; itself not counted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub signed_by: Option<u64>,
    /// Whether the next one of those given has signed it; absent for the last one, and where the algorithm is not known here.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub signed_by_next: Option<bool>,
    /// The SHA-256 of its DER in hex.
    pub sha256: String,
    /// The certificate in PEM.
    pub pem: String,
    /// What is unwise or will not work, in plain words.
    pub warnings: Vec<CertificateWarning>,
}

/// A public key.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct PublicKey {
    /// `EC`, `RSA`, `Ed25519` and the like, else an object identifier.
    pub kind: String,
    /// The curve of `EC`, such as `P-256`, else an object identifier.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub curve: Option<String>,
    /// How long it is, where that is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bits: Option<u64>,
    /// Whether devices can prove themselves with such a key here: an uncompressed point on P-256.
    pub supported: bool,
    /// SubjectPublicKeyInfo in hex of its DER.
    pub spki_hex: String,
    /// The same in base64.
    pub spki_base64: String,
    /// The SHA-256 of that in hex.
    pub sha256: String,
}

/// What is unwise or will not work.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct CertificateWarning {
    /// What it is about.
    pub kind: CertificateWarningKind,
    /// In plain words.
    pub text: String,
    /// The certificate that it is about, counted from 0; absent: the whole.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub certificate: Option<u64>,
}

/// What a warning is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum CertificateWarningKind {
    /// Its time is over.
    Expired,
    /// Its time has not come.
    NotYetValid,
    /// It expires within a month.
    ExpiresSoon,
    /// No device can prove itself with such a key here.
    UnsupportedKey,
    /// Signatures of this kind cannot be checked here.
    UnsupportedSignature,
    /// It is of an old version of X.509.
    OldVersion,
    /// It is an authority's, and stands where a device's should.
    AuthorityAsDevice,
    /// It stands where an authority's should, and is none.
    NoAuthority,
    /// Its extended key usage does not have `clientAuth`.
    NoClientAuth,
    /// Its key usage does not let it sign a handshake, or, as an authority's, certificates.
    KeyUsage,
    /// It names nobody.
    NoName,
    /// It does not stand for the endpoint that was asked about.
    OtherName,
    /// It has a critical extension that is not known here.
    UnknownCritical,
    /// It is not signed by the next one.
    NotSignedByNext,
    /// The signature of the next one, which should be its issuer, is wrong.
    BadSignature,
    /// It is there more than once.
    Twice,
    /// The certificates are more, or larger, than a handshake takes.
    TooLarge,
    /// Nobody but itself vouches for it.
    SelfSigned,
}

#[allow(clippy::trivially_copy_pass_by_ref, reason = "serde wants a reference")]
fn is_zero(number: &u64) -> bool {
    *number == 0
}
