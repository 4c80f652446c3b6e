//! What an association tells its host and asks it.

use alloc::boxed::Box;
use alloc::string::String;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::fmt;

use lightship_platform::crypto::{Secret, SigningKey};

use crate::{Alert, CertificateType, Cid, Failure, Resumption, Suite};

/// What an association tells its host.
#[derive(Debug)]
#[non_exhaustive]
pub enum Event {
    /// The peer presents something that the host is to judge; [`Association::answer`](crate::Association::answer) goes on.
    Ask(Presented),
    /// The handshake is done; application data may flow.
    Established(Facts),
    /// This session can be resumed with what is here.
    Resumable(Resumption),
    /// The peer is at the new path from now on: its newest authenticated record came from there, and the return routability
    /// check, if there is one, was passed (RFC 9146 §6, RFC 9853).
    Moved,
    /// The handshake failed; the association is over.
    Failed(Failure),
    /// The peer ended the association with an authenticated alert, `close_notify` as a rule.
    Closed(Alert),
    /// A line for a key log in the NSS format, only if [`Config::key_log`](crate::Config::key_log) is on: label, client random, secret.
    KeyLog(Box<str>),
}

/// What a peer presents of itself.
#[derive(Clone, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub enum Presented {
    /// A server is told a PSK identity; answered with [`Answer::Psk`].
    PskIdentity(Box<[u8]>),
    /// A raw public key, SubjectPublicKeyInfo in DER, whose possession is proven before the handshake ends.
    RawPublicKey(Box<[u8]>),
    /// A chain of certificates in DER, the end entity first, as the peer sent them: none of it has been checked.
    Certificates(Vec<Box<[u8]>>),
    /// A server is asked to resume a session by its ID; answered with [`Answer::Resume`].
    SessionId(Box<[u8]>),
    /// A session is about to be resumed whose peer was accepted under this note at its first handshake; answered with
    /// [`Answer::Accept`] or [`Answer::Refuse`].
    Resumed(Box<[u8]>),
}

/// What the host says to a [`Presented`].
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum Answer {
    /// The key that belongs to the PSK identity; `note` is kept with the session, as with [`Answer::Accept`].
    Psk {
        /// The key, 1 to 64 bytes.
        key: Secret,
        /// What [`Presented::Resumed`] will show when the session is resumed, at most 255 bytes.
        note: Box<[u8]>,
    },
    /// The key or the certificates are accepted.
    Accept {
        /// What [`Presented::Resumed`] will show when the session is resumed, at most 255 bytes.
        note: Box<[u8]>,
    },
    /// The session to resume; `None` leads to a full handshake.
    Resume(Option<Resumption>),
    /// No. The peer is sent this alert; for [`Presented::Resumed`] a full handshake follows instead.
    Refuse(Alert),
}

/// What a client proves itself with.
#[derive(Clone)]
pub enum Credential {
    /// A shared key.
    Psk {
        /// The identity, 0 to 65535 bytes; others need not support more than 128.
        identity: Box<[u8]>,
        /// The key, 1 to 64 bytes.
        key: Secret,
    },
    /// A raw public key; the server must present one as well.
    RawPublicKey {
        /// The private key.
        key: Arc<dyn SigningKey>,
    },
    /// Certificates; the server must present some as well.
    Certificates {
        /// The private key.
        key: Arc<dyn SigningKey>,
        /// The certificates in DER, the end entity first.
        chain: Vec<Vec<u8>>,
    },
}

impl fmt::Debug for Credential {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Psk { .. } => "Psk(…)",
            Self::RawPublicKey { .. } => "RawPublicKey(…)",
            Self::Certificates { .. } => "Certificates(…)",
        })
    }
}

/// What is known of an association when its handshake is done.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Facts {
    /// The cipher suite.
    pub suite: Suite,
    /// How the peer presented its key, in the suites with signatures.
    pub peer_certificate_type: Option<CertificateType>,
    /// Whether an earlier session was resumed.
    pub resumed: bool,
    /// The note under which the host accepted the peer.
    pub note: Box<[u8]>,
    /// The server name that the client asked for.
    pub server_name: Option<String>,
    /// The connection ID that the peer puts into its records; empty if none, and `None` if connection IDs were not negotiated.
    pub own_cid: Option<Cid>,
    /// The connection ID that our records carry.
    pub peer_cid: Option<Cid>,
    /// Whether the return routability check was negotiated.
    pub return_routability: bool,
    /// Whether the extended master secret was.
    pub extended_master_secret: bool,
}
