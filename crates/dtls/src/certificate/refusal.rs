//! Why a certificate is not accepted.

use alloc::boxed::Box;
use core::fmt;
use core::time::Duration;

use lightship_platform::UnixTime;
use x509_cert::der::DateTime;

use crate::Alert;

/// Why a certificate, a chain or a raw public key is not accepted. The text is fit for a log and a web page.
#[derive(Clone, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub enum Refusal {
    /// The chain is empty.
    NoCertificate,
    /// The chain has more certificates or bytes than allowed.
    TooLarge,
    /// A certificate cannot be read.
    Malformed,
    /// A certificate is older than version 3 of X.509, so that nothing says what it may be used for.
    Version,
    /// The peer's key is not one of P-256.
    Key,
    /// A signature on the path has an algorithm that is not supported.
    Algorithm,
    /// A signature on the path is wrong.
    Signature,
    /// A certificate's time is over.
    Expired {
        /// Whose.
        subject: Box<str>,
        /// Since when.
        since: UnixTime,
    },
    /// A certificate's time has not come.
    NotYetValid {
        /// Whose.
        subject: Box<str>,
        /// Until when.
        until: UnixTime,
    },
    /// The certificates of the path were never valid all at once.
    NeverValid,
    /// The path ends at an authority that is not trusted, or lacks a certificate to go on.
    Untrusted {
        /// Who signed the last certificate.
        issuer: Box<str>,
    },
    /// A certificate on the path was signed by somebody who is no authority.
    NoAuthority,
    /// The peer presented an authority's certificate as its own.
    Authority,
    /// A certificate on the path must not be used for this.
    Purpose {
        /// Whose.
        subject: Box<str>,
    },
    /// A limit that an authority set, of names or of the path's length, is broken; or it has a critical extension that is
    /// not known.
    Constraint,
    /// The certificate is not for the expected name.
    Name {
        /// What was expected.
        expected: Box<str>,
        /// What the certificate says, one after another.
        presented: Box<str>,
    },
    /// The certificate is valid, but not the one that was given.
    OtherCertificate,
    /// The key is not the one that was given.
    OtherKey,
    /// The authority that was given is not on the path.
    OtherAuthority,
    /// The authority that was given is the peer itself.
    DirectTrust,
    /// The usage needs trusted authorities, and there are none.
    NothingTrusted,
    /// What was given to judge by is not usable.
    Expectation,
}

impl Refusal {
    /// What the peer is told (RFC 5246 §7.2.2).
    #[must_use]
    pub const fn alert(&self) -> Alert {
        match self {
            Self::NoCertificate
            | Self::TooLarge
            | Self::Malformed
            | Self::Signature
            | Self::NoAuthority
            | Self::Authority
            | Self::Constraint
            | Self::DirectTrust => Alert::BAD_CERTIFICATE,
            Self::Version | Self::Key | Self::Algorithm | Self::Purpose { .. } => {
                Alert::UNSUPPORTED_CERTIFICATE
            }
            Self::Expired { .. } | Self::NotYetValid { .. } | Self::NeverValid => Alert::CERTIFICATE_EXPIRED,
            Self::Untrusted { .. } | Self::OtherAuthority | Self::NothingTrusted => Alert::UNKNOWN_CA,
            Self::Name { .. } | Self::OtherCertificate | Self::OtherKey => Alert::CERTIFICATE_UNKNOWN,
            Self::Expectation => Alert::INTERNAL_ERROR,
        }
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = match self {
            Self::NoCertificate => "no certificate was presented",
            Self::TooLarge => "the certificate chain is too large",
            Self::Malformed => "a certificate cannot be read",
            Self::Version => "a certificate is not of version 3",
            Self::Key => "the certificate's key is not one of P-256",
            Self::Algorithm => "a certificate is signed with an unsupported algorithm",
            Self::Signature => "the signature of a certificate is wrong",
            Self::Expired { subject, since } => {
                return write!(f, "certificate '{subject}' expired on {}", Day(*since));
            }
            Self::NotYetValid { subject, until } => {
                return write!(f, "certificate '{subject}' is not valid before {}", Day(*until));
            }
            Self::NeverValid => "the certificates of the chain were never valid at the same time",
            Self::Untrusted { issuer } => return write!(f, "issuer '{issuer}' is not trusted"),
            Self::NoAuthority => "a certificate is signed by somebody who is no authority",
            Self::Authority => "an authority's certificate was presented as the peer's own",
            Self::Purpose { subject } => {
                return write!(
                    f,
                    "certificate '{subject}' must not be used for this: its key usage, or extended key usage, is another"
                );
            }
            Self::Constraint => "a constraint of an authority is not kept",
            Self::Name { expected, presented } if presented.is_empty() => {
                return write!(f, "the certificate names nobody, expected '{expected}'");
            }
            Self::Name { expected, presented } => {
                return write!(f, "the certificate is for '{presented}', expected '{expected}'");
            }
            Self::OtherCertificate => "the certificate is not the one that was given",
            Self::OtherKey => "the public key is not the one that was given",
            Self::OtherAuthority => "the authority that was given is not in the certificate chain",
            Self::DirectTrust => "the trust anchor that was given is the peer's own certificate",
            Self::NothingTrusted => {
                "certificate usages 0 and 1 need trust anchors of the device's own, and it has none"
            }
            Self::Expectation => "what was given to judge the certificate by is not usable",
        };
        f.write_str(text)
    }
}

impl core::error::Error for Refusal {}

/// A day as in ISO 8601.
struct Day(UnixTime);

impl fmt::Display for Day {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let since_1970 = Duration::from_secs(u64::try_from(self.0.as_secs()).unwrap_or(0));
        match DateTime::from_unix_duration(since_1970) {
            Ok(day) => write!(f, "{:04}-{:02}-{:02}", day.year(), day.month(), day.day()),
            Err(_) => f.write_str("a day after 9999"),
        }
    }
}

#[cfg(test)]
mod tests {
    use alloc::string::ToString;

    use super::*;

    #[test]
    fn refusals_read_like_sentences() {
        let expired = Refusal::Expired { subject: "dev-1".into(), since: UnixTime::from_secs(1_735_689_600) };
        assert_eq!(expired.to_string(), "certificate 'dev-1' expired on 2025-01-01");
        assert_eq!(expired.alert(), Alert::CERTIFICATE_EXPIRED);
        let early =
            Refusal::NotYetValid { subject: "dev-1".into(), until: UnixTime::from_secs(4_102_444_799) };
        assert_eq!(early.to_string(), "certificate 'dev-1' is not valid before 2099-12-31");
        let issuer = Refusal::Untrusted { issuer: "Acme Root".into() };
        assert_eq!(issuer.to_string(), "issuer 'Acme Root' is not trusted");
        assert_eq!(issuer.alert(), Alert::UNKNOWN_CA);
    }
}
