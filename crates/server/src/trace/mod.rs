//! The recorder of a shard: the last messages of all its devices, decrypted, as they came and went.
//!
//! ```text
//!   message in, after decryption ──┐                        ┌── TraceAsk: a device by name, or an address
//!   message out, before it is ─────┼──► ring of bytes ──────┤
//!   what is dropped, with why ─────┘    (oldest gives way)  └──► TraceChunk: copies, newest first, a bounded number
//! ```
//!
//! Writing is a copy of a head and of the message's bytes, for whomever it is, and nothing else: whose messages are wanted, what
//! belongs together and what they mean is found out when somebody asks. What the bytes hold is for the host to hide; see
//! [`TraceRecord::bytes`].

mod ask;
mod ring;

use std::net::SocketAddr;

use lightship_coap::peer::Dropped;
use lightship_dtls::DropReason;
use lightship_platform::Instant;

pub(crate) use self::ask::{Known, answer};
pub use self::ask::{TraceAsk, TraceChunk, TraceOf};
pub(crate) use self::ring::{Recorder, Way};

/// Bytes of one message that are kept; the true length always is.
pub const TRACED_LEN_MAX: usize = 1500;

/// Bytes of a DTLS record that are kept where it could not be opened: its head, none of its content.
pub const TRACED_RECORD_LEN_MAX: usize = 19;

/// One message as it was seen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TraceRecord<'a> {
    /// Its place in the recorder; later messages have larger ones.
    pub position: u64,
    /// When it came or went.
    pub at: Instant,
    /// The other side's address.
    pub address: SocketAddr,
    /// Whether it went to the device.
    pub is_out: bool,
    /// Whether it came or went by a secured session.
    pub is_secured: bool,
    /// Whether the bytes are the head of a DTLS record that could not be opened, not a CoAP message.
    pub is_sealed: bool,
    /// Why nothing was done with it.
    pub dropped: Option<TraceDrop>,
    /// Its length in bytes; more than `bytes` has if it was cut.
    pub len: usize,
    /// Its bytes, at most [`TRACED_LEN_MAX`]. They may hold keys that a Bootstrap-Server writes: never to be shown as they are.
    pub bytes: &'a [u8],
}

/// Why nothing was done with a message, or nothing more than to refuse it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[non_exhaustive]
#[repr(u8)]
pub enum TraceDrop {
    /// No CoAP message.
    Malformed = 1,
    /// Type and code do not go together.
    Unusable,
    /// An acknowledgement, Reset or response that matches nothing under way.
    Unmatched,
    /// Refused before it reached the application: an option that is not understood, a block that does not fit.
    Refused,
    /// From an address without a registration, and no Register.
    NotRegistered,
    /// A notification under a token that is nobody's.
    UnknownToken,
    /// A notification older than one that came before.
    Stale,
    /// A Register beyond what may come in a minute.
    TooMany,
    /// Not sent: the address has not proven to be its sender's, and got enough.
    Withheld,
    /// Not sent: the session is over or its keys are used up.
    Unsent,
    /// A record that is not authentic.
    BadMac,
    /// A record that was seen before, or too old to tell.
    Replayed,
    /// A record with a connection ID that names no session.
    UnknownConnectionId,
    /// A record without a session for its address.
    NoSession,
    /// A record of an epoch without keys.
    Epoch,
    /// Data before the handshake was done.
    Early,
    /// No DTLS record.
    NoRecord,
    /// A handshake message or an alert that cannot be used.
    Handshake,
}

impl TraceDrop {
    /// Every reason.
    pub const ALL: [Self; 18] = [
        Self::Malformed,
        Self::Unusable,
        Self::Unmatched,
        Self::Refused,
        Self::NotRegistered,
        Self::UnknownToken,
        Self::Stale,
        Self::TooMany,
        Self::Withheld,
        Self::Unsent,
        Self::BadMac,
        Self::Replayed,
        Self::UnknownConnectionId,
        Self::NoSession,
        Self::Epoch,
        Self::Early,
        Self::NoRecord,
        Self::Handshake,
    ];

    const fn number(self) -> u8 {
        // The discriminants are written above.
        self as u8
    }

    fn from_number(number: u8) -> Option<Self> {
        Self::ALL.into_iter().find(|reason| reason.number() == number)
    }
}

impl From<Dropped> for TraceDrop {
    fn from(dropped: Dropped) -> Self {
        match dropped {
            Dropped::Malformed(_) => Self::Malformed,
            Dropped::Unusable => Self::Unusable,
            Dropped::Unmatched => Self::Unmatched,
            Dropped::Refused(_) => Self::Refused,
        }
    }
}

impl From<DropReason> for TraceDrop {
    fn from(reason: DropReason) -> Self {
        match reason {
            DropReason::BadMac => Self::BadMac,
            DropReason::Replayed => Self::Replayed,
            DropReason::ConnectionId => Self::UnknownConnectionId,
            DropReason::NoSession => Self::NoSession,
            DropReason::Epoch => Self::Epoch,
            DropReason::Early => Self::Early,
            DropReason::Handshake | DropReason::Alert => Self::Handshake,
            DropReason::Malformed | DropReason::TooLong | _ => Self::NoRecord,
        }
    }
}
