//! What is read from one certificate.

use alloc::borrow::ToOwned;
use alloc::boxed::Box;
use alloc::string::{String, ToString};
use alloc::vec::Vec;
use core::net::IpAddr;
use core::time::Duration;

use x509_cert::certificate::{Certificate, TbsCertificate, Version};
use x509_cert::der::asn1::ObjectIdentifier;
use x509_cert::der::{Any, Decode, Encode, Tag, Tagged};
use x509_cert::ext::pkix::name::GeneralName;
use x509_cert::ext::pkix::{KeyUsage, NameConstraints, SubjectAltName};
use x509_cert::name::Name;

use super::names::Names;
use super::{Refusal, shown};
use crate::spki;

/// id-at-commonName (RFC 5280 appendix A).
const COMMON_NAME: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.5.4.3");
/// id-at-organizationName.
const ORGANIZATION: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.5.4.10");
/// How the SubjectPublicKeyInfo of a P-256 key begins (RFC 5480 §2); the point follows.
const P256_HEAD: [u8; 26] = [
    0x30, 0x59, 0x30, 0x13, 0x06, 0x07, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x02, 0x01, 0x06, 0x08, 0x2a, 0x86,
    0x48, 0xce, 0x3d, 0x03, 0x01, 0x07, 0x03, 0x42, 0x00,
];
/// A certificate that can be read.
pub(super) struct View {
    certificate: Certificate,
    key: Vec<u8>,
}

impl View {
    pub(super) fn parse(der: &[u8]) -> Result<Self, Refusal> {
        let certificate = Certificate::from_der(der).map_err(|_| Refusal::Malformed)?;
        let key = certificate
            .tbs_certificate()
            .subject_public_key_info()
            .to_der()
            .map_err(|_| Refusal::Malformed)?;
        // The key that is judged must be the one that the handshake proves.
        if spki::of_certificate(der) == Some(&key) {
            Ok(Self { certificate, key })
        } else {
            Err(Refusal::Malformed)
        }
    }

    /// What is signed, read.
    pub(super) fn fields(&self) -> &TbsCertificate {
        self.certificate.tbs_certificate()
    }

    /// The algorithm of the signature, without its SEQUENCE, and the signature.
    pub(super) fn signature(&self) -> Option<(Vec<u8>, &[u8])> {
        let algorithm = self.certificate.signature_algorithm().to_der().ok()?;
        let signature = self.certificate.signature().as_bytes()?;
        Some((spki::inner(&algorithm)?.to_vec(), signature))
    }

    /// The algorithm of the public key, without its SEQUENCE, and the key as it stands in the BIT STRING.
    pub(super) fn key_parts(&self) -> Option<(Vec<u8>, &[u8])> {
        let info = self.fields().subject_public_key_info();
        let algorithm = info.algorithm.to_der().ok()?;
        Some((spki::inner(&algorithm)?.to_vec(), info.subject_public_key.as_bytes()?))
    }

    /// The public key, SubjectPublicKeyInfo in DER.
    pub(super) fn key(&self) -> &[u8] {
        &self.key
    }

    /// The public key, if it is an uncompressed point of P-256.
    pub(super) fn p256_key(&self) -> Result<&[u8], Refusal> {
        if spki::is_p256(&self.key) { Ok(&self.key) } else { Err(Refusal::Key) }
    }

    pub(super) fn is_version_3(&self) -> bool {
        self.certificate.tbs_certificate().version() == Version::V3
    }

    /// From when to when it is valid, since 1970.
    pub(super) fn validity(&self) -> (Duration, Duration) {
        let validity = self.certificate.tbs_certificate().validity();
        (validity.not_before.to_unix_duration(), validity.not_after.to_unix_duration())
    }

    /// Whether it is issued by the other one, by the names.
    pub(super) fn names_as_issuer(&self, other: &Self) -> bool {
        self.certificate.tbs_certificate().issuer() == other.certificate.tbs_certificate().subject()
    }

    /// The subject in a few words.
    pub(super) fn subject(&self) -> Box<str> {
        in_words(self.certificate.tbs_certificate().subject())
    }

    /// The issuer in a few words.
    pub(super) fn issuer(&self) -> Box<str> {
        in_words(self.certificate.tbs_certificate().issuer())
    }

    /// Which of the two uses of the key the certificate allows: to sign a handshake, to sign certificates. Without the
    /// extension every use is allowed (RFC 5280 §4.2.1.3).
    pub(super) fn may_sign(&self) -> Result<MaySign, Refusal> {
        match self.certificate.tbs_certificate().get_extension::<KeyUsage>() {
            Ok(None) => Ok(MaySign { handshakes: true, certificates: true }),
            Ok(Some((_, usage))) => {
                Ok(MaySign { handshakes: usage.digital_signature(), certificates: usage.key_cert_sign() })
            }
            Err(_) => Err(Refusal::Malformed),
        }
    }

    /// Whether it is an authority that may sign for some names only.
    pub(super) fn constrains_names(&self) -> bool {
        self.certificate.tbs_certificate().filter_extensions::<NameConstraints>().next().is_some()
    }

    pub(super) fn names(&self) -> Result<Names, Refusal> {
        let mut names = Names {
            common_name: attribute(self.certificate.tbs_certificate().subject(), COMMON_NAME),
            ..Names::default()
        };
        let alternative = self.certificate.tbs_certificate().get_extension::<SubjectAltName>();
        let Some((_, alternative)) = alternative.map_err(|_| Refusal::Malformed)? else { return Ok(names) };
        for name in alternative.0 {
            match name {
                GeneralName::DnsName(name) => names.dns.push(name.to_string()),
                GeneralName::UniformResourceIdentifier(uri) => names.uris.push(uri.to_string()),
                GeneralName::IpAddress(address) => names.addresses.extend(ip(address.as_bytes())),
                GeneralName::OtherName(_)
                | GeneralName::Rfc822Name(_)
                | GeneralName::DirectoryName(_)
                | GeneralName::EdiPartyName(_)
                | GeneralName::RegisteredId(_) => {}
            }
        }
        Ok(names)
    }
}

/// The SubjectPublicKeyInfo of a point of P-256.
pub(super) fn p256_key(point: &[u8]) -> Vec<u8> {
    [&P256_HEAD, point].concat()
}

/// What a key may be used for.
pub(super) struct MaySign {
    pub(super) handshakes: bool,
    pub(super) certificates: bool,
}

fn ip(bytes: &[u8]) -> Option<IpAddr> {
    if let Ok(bytes) = <[u8; 4]>::try_from(bytes) {
        return Some(bytes.into());
    }
    <[u8; 16]>::try_from(bytes).ok().map(IpAddr::from)
}

/// A name for people: the common name, else the organisation.
fn in_words(name: &Name) -> Box<str> {
    let words = attribute(name, COMMON_NAME).or_else(|| attribute(name, ORGANIZATION));
    words.map_or_else(|| "(no name)".into(), |words| shown(&words))
}

/// The last attribute of the kind: the most specific comes last (RFC 6125 §2.3.1).
fn attribute(name: &Name, kind: ObjectIdentifier) -> Option<String> {
    name.iter()
        .filter(|attribute| attribute.oid == kind)
        .filter_map(|attribute| text(&attribute.value))
        .last()
}

pub(super) fn text(value: &Any) -> Option<String> {
    let readable = matches!(value.tag(), Tag::Utf8String | Tag::PrintableString | Tag::Ia5String);
    readable.then(|| core::str::from_utf8(value.value()).ok().map(ToOwned::to_owned)).flatten()
}
