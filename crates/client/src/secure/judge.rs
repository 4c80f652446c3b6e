//! Whether a server is the one that the account means: `/0/x/4` with `/0/x/13` to `/0/x/15` (TS_Transport 5.2.8).

use alloc::boxed::Box;
#[cfg(feature = "x509")]
use lightship_dtls::certificate::{Expectation, Matching, Refusal, Usage, verify_server};
use lightship_dtls::{Alert, Answer, Presented};
use lightship_platform::UnixTime;
use lightship_platform::crypto::{Crypto, Digest};

use super::{SecureTransport, ServerFault};
use crate::account::{Account, Security, SecurityMode};

/// What a server is judged by.
pub(crate) struct Judge<'a> {
    pub(crate) account: &'a Account,
    /// The date, where the client knows it: certificates have one.
    #[cfg_attr(not(feature = "x509"), expect(dead_code, reason = "a key has no date"))]
    pub(crate) date: Option<UnixTime>,
}

/// Why a certificate is not accepted, in every detail.
#[cfg(feature = "x509")]
pub(super) type Detail = Refusal;
/// There are no certificates.
#[cfg(not(feature = "x509"))]
pub(super) type Detail = core::convert::Infallible;

/// What is wrong with a server, and what it is told.
pub(super) struct Wrong {
    pub(super) fault: ServerFault,
    pub(super) detail: Option<Detail>,
    alert: Alert,
}

impl Wrong {
    const KIND: Self =
        Wrong { fault: ServerFault::Kind, detail: None, alert: Alert::UNSUPPORTED_CERTIFICATE };
}

impl Judge<'_> {
    /// What to answer, and what is wrong.
    pub(super) fn answer(
        &self,
        transport: &SecureTransport,
        presented: &Presented,
    ) -> (Answer, Option<Wrong>) {
        let verdict = match presented {
            Presented::RawPublicKey(key) => self.public_key(&*transport.crypto, key),
            Presented::Certificates(chain) => self.certificates(transport, chain),
            // The account is still the one under which the session began.
            Presented::Resumed(_) => Ok(()),
            Presented::PskIdentity(_) | Presented::SessionId(_) | _ => Err(Wrong::KIND),
        };
        match verdict {
            Ok(()) => (Answer::Accept { note: Box::default() }, None),
            Err(wrong) => (Answer::Refuse(wrong.alert), Some(wrong)),
        }
    }

    fn public_key(&self, crypto: &dyn Crypto, key: &[u8]) -> Result<(), Wrong> {
        let security = &self.account.security;
        if security.mode != SecurityMode::RawPublicKey {
            return Err(Wrong::KIND);
        }
        if matches(security, crypto, key) {
            return Ok(());
        }
        Err(Wrong { fault: ServerFault::PublicKey, detail: None, alert: Alert::BAD_CERTIFICATE })
    }

    #[cfg(feature = "x509")]
    fn certificates(&self, transport: &SecureTransport, chain: &[Box<[u8]>]) -> Result<(), Wrong> {
        let security = &self.account.security;
        if security.mode != SecurityMode::Certificate {
            return Err(Wrong::KIND);
        }
        let verdict = expectation(security).and_then(|(usage, matching)| {
            let expectation = Expectation {
                usage,
                matching,
                given: security.server_key.as_slice(),
                trusted: Some(&transport.trust).filter(|trusted| !trusted.is_empty()),
                name: super::connect::reference_name(self.account).trim_matches(['[', ']']),
                date: self.date,
            };
            verify_server(&*transport.crypto, chain, &expectation)
        });
        verdict.map_err(|refusal| Wrong {
            alert: refusal.alert(),
            detail: Some(refusal),
            fault: ServerFault::Certificate,
        })
    }

    #[cfg(not(feature = "x509"))]
    fn certificates(&self, _: &SecureTransport, _: &[Box<[u8]>]) -> Result<(), Wrong> {
        let fault = ServerFault::NoCertificates;
        Err(Wrong { fault, detail: None, alert: Alert::UNSUPPORTED_CERTIFICATE })
    }
}

/// `/0/x/15` and `/0/x/13`, with their defaults.
#[cfg(feature = "x509")]
fn expectation(security: &Security) -> Result<(Usage, Matching), Refusal> {
    let usage = Usage::try_from(u64::from(security.certificate_usage.unwrap_or(3)))?;
    let matching = Matching::try_from(u64::from(security.matching_type.unwrap_or(0)))?;
    Ok((usage, matching))
}

/// Whether `/0/x/4` stands for these bytes, as `/0/x/13` has it. Nothing there stands for nothing.
fn matches(security: &Security, crypto: &dyn Crypto, bytes: &[u8]) -> bool {
    let expected = security.server_key.as_slice();
    let (digest, len) = match security.matching_type.unwrap_or(0) {
        0 => return !expected.is_empty() && expected == bytes,
        1 => (Digest::Sha256, 32),
        2 => (Digest::Sha384, 48),
        3 => (Digest::Sha512, 64),
        _ => return false,
    };
    crypto.digest(digest, bytes).is_ok_and(|hash| hash.get(..len) == Some(expected))
}
