//! What the secured sessions tell the host, and what it answers.

use core::fmt;
use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::sync::Arc;

use lightship_dtls::{Alert, Facts, Failure, Suite};
use lightship_lwm2m::Endpoint;
use lightship_platform::Instant;
use lightship_platform::crypto::Secret;

use super::parties::PartyRef;
use crate::{Ask, Endpoints, Locator, Mode, Party, Principal};

/// What happens to secured sessions, the same for a Server and a Bootstrap-Server.
#[derive(Debug)]
#[non_exhaustive]
pub enum SecurityEvent {
    /// Somebody presents a credential in a handshake: is it known, and for whom may it speak? Answered with
    /// [`Answer::Credential`](crate::Answer::Credential) within [`Config::ask_timeout`](crate::Config::ask_timeout); unanswered means no.
    AskCredential {
        /// What the answer is for.
        ask: Ask,
        /// Where it comes from; the address is proven.
        from: SocketAddr,
        /// What is presented.
        presented: Presented,
        /// The server name that the peer asked for.
        server_name: Option<Box<str>>,
    },
    /// A handshake is done.
    SessionOpened {
        /// The session.
        session: SessionInfo,
        /// What else was agreed upon.
        facts: Box<Facts>,
    },
    /// A session has ended. A registration that used it stands, but cannot be reached until its device comes back.
    SessionClosed {
        /// The session as it was.
        session: SessionInfo,
        /// The registration that used it, if one did.
        endpoint: Option<Endpoint>,
        /// Why it ended.
        reason: SessionEnd,
    },
    /// A handshake came to nothing; told so often at most
    /// ([`FAILURES_TOLD_A_MINUTE`](crate::limits::FAILURES_TOLD_A_MINUTE)).
    HandshakeFailed {
        /// Where it came from; the address is proven.
        from: SocketAddr,
        /// What was presented as far as it went; not proven.
        claimed: Option<Claim>,
        /// The server name that the peer asked for.
        server_name: Option<Box<str>>,
        /// Why it failed.
        reason: HandshakeFailure,
    },
    /// A Register, or a request to be configured, in a name that the session's identity does not speak for was refused.
    NameRefused {
        /// The session.
        session: SessionInfo,
        /// The name that was asked for.
        endpoint: Endpoint,
    },
    /// A Register without security in the name of a device that is registered with it was refused.
    UnsecuredRefused {
        /// Where it came from; not proven.
        from: SocketAddr,
        /// The name that was asked for.
        endpoint: Endpoint,
    },
    /// A line for a key log in the NSS format; only if [`Config::key_log`](lightship_dtls::Config::key_log) is on.
    KeyLog(Box<str>),
}

/// What somebody presents in a handshake.
#[derive(Clone, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub enum Presented {
    /// A PSK identity; answered with [`Credential::Psk`].
    PskIdentity(Box<[u8]>),
    /// A raw public key; answered with [`Credential::RawPublicKey`].
    RawPublicKey {
        /// SubjectPublicKeyInfo, DER.
        public_key: Box<[u8]>,
        /// Its SHA-256.
        sha256: [u8; 32],
    },
    /// Certificates in DER, the end entity first, as they came: nothing of them has been checked. Answered with
    /// [`Credential::Certificate`].
    Certificates(Vec<Box<[u8]>>),
    /// A session of this principal is to be resumed; answered with [`Credential::Resumed`], or with [`Credential::Psk`] if it is a PSK
    /// identity.
    Resumed(Principal),
}

/// What somebody claimed to be in a handshake that failed.
#[derive(Clone, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub enum Claim {
    /// A PSK identity.
    PskIdentity(Box<[u8]>),
    /// The owner of the raw public key with this SHA-256.
    RawPublicKey([u8; 32]),
    /// The subject of this certificate, DER.
    Certificate(Box<[u8]>),
    /// Somebody who has been here.
    Resumed(Principal),
}

/// The host's word on a credential.
#[derive(Clone, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub enum Credential {
    /// The key of the PSK identity.
    Psk {
        /// The key, 1 to 64 bytes.
        key: Secret,
        /// For whom the identity may speak.
        endpoints: Endpoints,
    },
    /// The raw public key is known.
    RawPublicKey {
        /// For whom its owner may speak.
        endpoints: Endpoints,
    },
    /// The certificates have been checked and are good.
    Certificate {
        /// The common name of the subject.
        common_name: Option<Box<str>>,
        /// The DNS names and URIs among the subject's other names.
        names: Box<[Box<str>]>,
        /// For whom the subject may speak.
        endpoints: Endpoints,
    },
    /// The principal is still welcome. Where it is a PSK identity, [`Credential::Psk`] says so with the key of today: a ticket that
    /// was given under another key is worth nothing.
    Resumed {
        /// For whom it may speak.
        endpoints: Endpoints,
    },
    /// No. A session that was to be resumed is not; a full handshake follows then.
    Refused {
        /// What the peer is told.
        alert: Alert,
        /// Why, in words for people; comes back in [`HandshakeFailure::Refused`].
        reason: Arc<str>,
    },
}

/// Why a handshake came to nothing.
#[derive(Clone, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub enum HandshakeFailure {
    /// The protocol says so, one side or the other.
    Protocol(Failure),
    /// The host refused what was presented, with these words.
    Refused(Arc<str>),
    /// The host did not answer in time.
    Unanswered,
    /// It gave way to newer ones ([`SecurityLimits::handshakes`](crate::SecurityLimits)).
    Crowded,
    /// The peer began anew.
    Restarted,
}

/// Why a session ended.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
#[non_exhaustive]
pub enum SessionEnd {
    /// The peer said so.
    ByPeer(Alert),
    /// The peer, or another one at its address, has made a new one.
    Replaced,
    /// The host wanted it ([`Shard::end_sessions`](crate::Shard::end_sessions)).
    Ended(CredentialEnd),
    /// It gave way to newer ones ([`SecurityLimits::sessions`](crate::SecurityLimits)).
    Crowded,
    /// Its keys are used up.
    Exhausted,
    /// The engine's part is done: a Bootstrap-Server does not keep sessions.
    Done,
}

/// What became of the credential that a session rests on.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum CredentialEnd {
    /// It is not accepted any more.
    TakenAway,
    /// Another one is in its place, or its key is another.
    Changed,
    /// An authority that may have vouched for it is not trusted any more.
    Untrusted,
    /// The certificate, or one above it, has expired.
    Expired,
}

/// A secured session, as it was when the event that carries it happened. Cloning shares the party.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct SessionInfo {
    /// Names the session; also its connection ID.
    pub id: Locator,
    /// Who it is with, and for whom that one may speak.
    pub party: Arc<Party>,
    /// Where the peer is.
    pub address: SocketAddr,
    /// The cipher suite.
    pub suite: Suite,
    /// Whether the peer puts a connection ID into its records, so that they find the session from wherever they come.
    pub connection_id: bool,
    /// Whether a new address is checked by the return routability check (RFC 9853).
    pub return_routability: bool,
    /// The longest plaintext of a record that the peer takes, in bytes, if it has told a limit (RFC 8449, RFC 6066 §4).
    pub record_size_limit: Option<u16>,
    /// Whether an earlier session was resumed.
    pub resumed: bool,
    /// When the handshake was done.
    pub opened_at: Instant,
    /// Records under its name that were dropped so far.
    pub dropped: SessionDrops,
}

/// Records that named a session and were dropped; each count stays at its greatest number once it is there.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub struct SessionDrops {
    /// Not authentic: somebody else sent them, or they were damaged.
    pub bad_mac: u32,
    /// Seen before, or too old to tell.
    pub replayed: u16,
    /// For other reasons.
    pub other: u16,
}

impl SessionInfo {
    /// The connection ID that the peer puts into its records, if it does.
    #[must_use]
    pub fn cid(&self) -> Option<[u8; 6]> {
        self.connection_id.then(|| self.id.to_bytes())
    }
}

/// Which sessions [`Shard::end_sessions`](crate::Shard::end_sessions) is about.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
#[non_exhaustive]
pub enum Whose {
    /// Those that may speak for this endpoint alone.
    Endpoint(Endpoint),
    /// Those with this principal.
    Principal(Principal),
    /// Those that a certificate was presented for, whoever vouches for it.
    Certificates,
    /// Those that a certificate with one of these SHA-256 was presented for.
    CertificatesOf(BTreeSet<[u8; 32]>),
    /// All of them.
    All,
}

impl Whose {
    /// Whether a party's sessions are meant.
    pub(crate) fn is(&self, party: &Party) -> bool {
        self.is_kept(party.into())
    }

    /// The same of a party as it is kept.
    pub(crate) fn is_kept(&self, party: PartyRef<'_>) -> bool {
        match self {
            Self::Endpoint(endpoint) => party.endpoint() == Some(endpoint.as_str()),
            Self::Principal(principal) => match (principal, party) {
                (Principal::Psk(its), PartyRef::Text { mode: Mode::Psk, identity, .. }) => **its == *identity,
                (Principal::RawPublicKey(its), PartyRef::Text { mode: Mode::RawPublicKey, identity, .. }) => {
                    its == identity
                }
                (principal, PartyRef::Whole(party)) => party.principal == *principal,
                (_, PartyRef::Text { .. }) => false,
            },
            Self::Certificates => party.mode() == Mode::Certificate,
            Self::CertificatesOf(some) => match party {
                PartyRef::Whole(party) => {
                    matches!(&party.principal, Principal::Certificate(kept) if some.contains(&kept.sha256))
                }
                PartyRef::Text { .. } => false,
            },
            Self::All => true,
        }
    }
}

/// What becomes of a registration whose session the host ends.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Registrations {
    /// It stands, out of reach until its device comes back with a credential for it, or its lifetime is over.
    Keep,
    /// It ends.
    End,
}

impl fmt::Display for SessionEnd {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::ByPeer(alert) => write!(f, "the peer ended it: {alert}"),
            Self::Replaced => f.write_str("a new one took its place"),
            Self::Ended(CredentialEnd::TakenAway) => f.write_str("its credential was taken away"),
            Self::Ended(CredentialEnd::Changed) => f.write_str("its credential was changed"),
            Self::Ended(CredentialEnd::Untrusted) => {
                f.write_str("an authority that may have vouched for it is trusted no longer")
            }
            Self::Ended(CredentialEnd::Expired) => f.write_str("its certificate has expired"),
            Self::Crowded => f.write_str("it gave way to newer ones"),
            Self::Exhausted => f.write_str("its keys are used up"),
            Self::Done => f.write_str("it is not needed any more"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn those_with_certificates_are_those_alone() {
        let party = |principal| Party { principal, endpoints: Endpoints::Any };
        let certificate = crate::Certificate { sha256: [1; 32], common_name: None, names: Box::default() };
        assert!(Whose::Certificates.is(&party(Principal::Certificate(Box::new(certificate)))));
        assert!(!Whose::Certificates.is(&party(Principal::Psk(b"lamp".as_slice().into()))));
        assert!(!Whose::Certificates.is(&party(Principal::RawPublicKey([1; 32]))));
    }
}
