//! Servers behind coaps: one DTLS association each, made from the facts of `/0` (TS_Transport 5).
//!
//! `connect` turns an account into a handshake, `judge` decides whether a server is the one that the account means,
//! `tunnel` is the association of one account with what outlives it.

mod connect;
mod judge;
mod tunnel;

use alloc::boxed::Box;
use core::fmt;
use core::time::Duration;

use lightship_dtls::{self as dtls, Alert, Cid, Credential, Suite};
use lightship_platform::crypto::Crypto;
use lightship_platform::{Instant, Rng};

use crate::account::{Account, SecurityMode};

pub(crate) use self::connect::is_secured;
pub(crate) use self::judge::Judge;
pub(crate) use self::tunnel::{News, Tunnel};

/// What a client needs beside its accounts to talk to servers behind coaps;
/// see [`Client::secure`](crate::Client::secure).
pub struct SecureTransport {
    /// The library of cryptography. One without elliptic curves knows pre-shared keys alone.
    pub crypto: Box<dyn Crypto>,
    /// Randomness for secrets: it must not be guessable.
    pub rng: Box<dyn Rng + Send>,
    /// The settings of handshakes. What an account says in `/0/x/16`, `/0/x/18` and `/0/x/24` counts more.
    pub config: dtls::Config,
    /// The device's own trust anchors: what the certificate usages 0 and 1 build upon.
    #[cfg(feature = "x509")]
    pub trust: dtls::certificate::Anchors,
    /// Keys that the host keeps.
    pub keys: Option<Box<dyn Keys + Send>>,
    /// How long a session without connection ID may rest in Queue Mode before it counts as lost on the way, since a NAT in
    /// between has forgotten it. It is resumed then, where the server gave the means.
    pub rest_max: Duration,
}

impl SecureTransport {
    /// With the settings of a device: the suites without CBC, connection ID of length zero, first repetition after 9 s
    /// (RFC 7925 §11), no trust anchors, sessions resumed after a rest of 30 s.
    pub fn new(crypto: Box<dyn Crypto>, rng: Box<dyn Rng + Send>) -> Self {
        let config = dtls::Config { retransmit_first: Duration::from_secs(9), ..dtls::Config::default() };
        SecureTransport {
            crypto,
            rng,
            config,
            #[cfg(feature = "x509")]
            trust: dtls::certificate::Anchors::default(),
            keys: None,
            rest_max: Duration::from_secs(30),
        }
    }

    /// What an association is lent.
    fn lend<'a>(&'a mut self, now: Instant, config: &'a dtls::Config) -> dtls::Host<'a> {
        dtls::Host { now, crypto: &*self.crypto, rng: &mut *self.rng, config }
    }
}

impl fmt::Debug for SecureTransport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SecureTransport").field("config", &self.config).finish_non_exhaustive()
    }
}

/// Keys that the host keeps, in a secure element for example, in place of `/0/x/3` and `/0/x/5`.
pub trait Keys {
    /// What the client proves itself with to the server of an account; `None` leaves it to the account.
    fn credential(&self, account: &Account) -> Option<Credential>;
}

/// A secure session, as far as it may be shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Session {
    /// The cipher suite.
    pub suite: Suite,
    /// The connection ID that our records carry, which the server chose; `None` without one.
    pub cid: Option<Cid>,
    /// Whether an earlier session was resumed.
    pub resumed: bool,
    /// Whether the return routability check was negotiated.
    pub return_routability: bool,
    /// Since when.
    pub since: Instant,
}

/// Why no secure session came about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum SecurityFailure {
    /// The host handed no library of cryptography in.
    NoLibrary,
    /// The URI says coaps and the Security Mode NoSec, or the other way round.
    Scheme,
    /// A Security Mode that this client does not have.
    Mode(SecurityMode),
    /// The key of `/0/x/5` is none of the kind that the mode needs.
    Key,
    /// `/0/x/3` holds another public key than the one that belongs to `/0/x/5`.
    KeyPair,
    /// `/0/x/3` holds no certificate.
    Certificate,
    /// No suite of `/0/x/16` fits the Security Mode, or the groups of `/0/x/18`.
    NoSuite,
    /// No algorithm of `/0/x/20` is known.
    NoSignatureAlgorithm,
    /// The server is not the one that the account means.
    Server(ServerFault),
    /// The handshake failed.
    Handshake(dtls::Failure),
}

impl fmt::Display for SecurityFailure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::NoLibrary => "this client has no library of cryptography",
            Self::Scheme => "the URI of the server and the security mode contradict each other",
            Self::Mode(SecurityMode::Est) => "security mode 4, certificates by EST, is not supported",
            Self::Mode(_) => "this security mode is not supported",
            Self::Key => "the key of the account cannot be used",
            Self::KeyPair => "the public key of the account is not that of its private key",
            Self::Certificate => "the account holds no certificate that can be read",
            Self::NoSuite => "none of the cipher suites of the account can be used",
            Self::NoSignatureAlgorithm => "none of the signature algorithms of the account can be used",
            Self::Server(fault) => return fault.fmt(f),
            Self::Handshake(failure) => return explain(failure, f),
        })
    }
}

fn explain(failure: &dtls::Failure, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    match failure {
        dtls::Failure::AlertReceived(alert) => {
            write!(f, "the server refused: {alert}")?;
            f.write_str(meaning(*alert))
        }
        dtls::Failure::AlertSent(alert, fault) => write!(f, "{}: {alert}", blame(*fault)),
        dtls::Failure::TimedOut => f.write_str("the server did not answer"),
        _ => f.write_str("the handshake failed"),
    }
}

/// What an alert of a server says about this account, where its name alone does not.
fn meaning(alert: Alert) -> &'static str {
    match alert {
        Alert::HANDSHAKE_FAILURE => {
            "; nothing in common with what this account offers (a server without a key pair knows pre-shared keys only)"
        }
        Alert::UNSUPPORTED_CERTIFICATE => {
            "; it has no key, or no certificate, of the kind that this account wants, or this device's certificate is not for this use"
        }
        Alert::BAD_CERTIFICATE => "; it can make nothing of this device's certificate",
        Alert::CERTIFICATE_EXPIRED => {
            "; for it this device's certificate, or one above it, has expired or is not valid yet"
        }
        Alert::UNKNOWN_CA => "; it does not trust who has signed this device's certificate",
        Alert::CERTIFICATE_UNKNOWN => "; it does not know this device's key or certificate",
        Alert::DECRYPT_ERROR => "; it has another key for this device",
        Alert::UNKNOWN_PSK_IDENTITY => "; it does not know this identity",
        _ => "",
    }
}

fn blame(fault: dtls::Fault) -> &'static str {
    match fault {
        dtls::Fault::NothingInCommon => "nothing in common with the server",
        dtls::Fault::BadMessage => "the server sent a message that makes no sense",
        dtls::Fault::Refused => "the server was refused",
        dtls::Fault::BadSignature => "the server does not have the key that it shows",
        dtls::Fault::BadFinished => "the server has another key, or a message was changed on the way",
        dtls::Fault::BadKeyShare => "the server's key share is none",
        dtls::Fault::NoExtendedMasterSecret => "the server does without the extended master secret",
        dtls::Fault::OldVersion => "the server has no DTLS 1.2",
        dtls::Fault::NoKey | _ => "the handshake failed",
    }
}

/// Why a server is not the one that the account means.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum ServerFault {
    /// It presented something of another kind than the Security Mode says.
    Kind,
    /// Its public key is not that of `/0/x/4`.
    PublicKey,
    /// Its certificate is not accepted; [`Client::refusal`](crate::Client::refusal) says why.
    #[cfg(feature = "x509")]
    Certificate,
    /// This client was built without certificates.
    NoCertificates,
}

impl fmt::Display for ServerFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Kind => "the server presented another kind of key than the security mode says",
            Self::PublicKey => "the server's public key is not the one of the account",
            #[cfg(feature = "x509")]
            Self::Certificate => "the server's certificate is not accepted",
            Self::NoCertificates => "this client was built without certificates",
        })
    }
}

/// Why a secure session ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum SessionEnd {
    /// The server said so, with an authenticated alert.
    Closed(Alert),
    /// The server answers nothing any more.
    Silent,
    /// It rested for longer than a NAT remembers, without connection ID.
    Rested,
    /// The device has another address, and there is no connection ID.
    Moved,
    /// The host wants another one.
    Renewed,
    /// Its credentials were replaced.
    Replaced,
    /// Its keys have protected as many records as they may.
    UsedUp,
}

impl fmt::Display for SessionEnd {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Closed(Alert::CLOSE_NOTIFY) => "the server closed it",
            Self::Closed(alert) => return write!(f, "the server ended it: {alert}"),
            Self::Silent => "the server does not answer",
            Self::Rested => "it rested for too long without a connection ID",
            Self::Moved => "the device has another address, and there is no connection ID",
            Self::Renewed => "the device begins another one",
            Self::Replaced => "its credentials were replaced",
            Self::UsedUp => "its keys are used up",
        })
    }
}

/// What a client does about a fatal alert (TS_Transport 5.2.8).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Reaction {
    /// Try again, as the account's timers say.
    Retry,
    /// Trying again leads to the same: another configuration is needed.
    Fail,
}

/// The reaction to a failure. Of alerts that are to be ignored an association makes no failure.
pub(crate) fn reaction(failure: &SecurityFailure) -> Reaction {
    match failure {
        SecurityFailure::Handshake(dtls::Failure::AlertReceived(Alert(alert))) => match alert {
            42..=46 | 48 | 49 | 112..=115 => Reaction::Fail,
            _ => Reaction::Retry,
        },
        // What lies with the account stays as it is until the account changes.
        SecurityFailure::NoLibrary
        | SecurityFailure::Scheme
        | SecurityFailure::Mode(_)
        | SecurityFailure::Key
        | SecurityFailure::KeyPair
        | SecurityFailure::Certificate
        | SecurityFailure::NoSuite
        | SecurityFailure::NoSignatureAlgorithm => Reaction::Fail,
        // Whoever answered in the server's place may be gone the next time.
        SecurityFailure::Server(_) | SecurityFailure::Handshake(_) => Reaction::Retry,
    }
}

#[cfg(test)]
mod tests;
