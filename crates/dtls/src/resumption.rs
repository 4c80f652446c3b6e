//! What outlives an association so that the next one is cheap.

use alloc::boxed::Box;
use core::fmt;
use core::time::Duration;

use lightship_platform::Instant;
use lightship_platform::crypto::Secret;

use crate::Suite;

/// What a session can be resumed with (RFC 5246 §7.3, RFC 5077), on either side.
#[derive(Clone, PartialEq, Eq)]
pub struct Resumption {
    /// The session ID, 1 to 32 bytes; empty if there is only a ticket.
    pub session_id: Box<[u8]>,
    /// The ticket that a server gave; empty if there is only an ID, and on the server's side.
    pub ticket: Box<[u8]>,
    /// The master secret, 48 bytes.
    pub master_secret: Secret,
    /// The suite.
    pub suite: Suite,
    /// Whether the master secret was made with the extended rule (RFC 7627).
    pub extended_master_secret: bool,
    /// The note under which the host accepted the peer.
    pub note: Box<[u8]>,
}

impl fmt::Debug for Resumption {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Resumption").field("suite", &self.suite).finish_non_exhaustive()
    }
}

/// Keys that seal session tickets; the same on every shard and node that shall take them.
#[derive(Clone, Debug)]
pub struct TicketKeys {
    /// Seals new tickets.
    pub current: TicketKey,
    /// Still opens older ones.
    pub previous: Option<TicketKey>,
    /// How long a ticket is good.
    pub lifetime: Duration,
}

impl TicketKeys {
    /// Where a ticket was given: the first two bytes of the connection ID that [`Association::accept`](crate::Association::accept)
    /// got then; `None` if the ticket is too short. Nothing is checked: anybody can write such bytes, and tickets of others have any
    /// there, so they may steer a ClientHello, and nothing else.
    #[must_use]
    pub fn origin_of(ticket: &[u8]) -> Option<[u8; ORIGIN_LEN]> {
        ticket.get(NAME_LEN..FRONT_LEN)?.first_chunk().copied()
    }
}

/// One key for tickets.
#[derive(Clone, Debug)]
pub struct TicketKey {
    /// Which one it is; stands in the ticket.
    pub name: [u8; NAME_LEN],
    /// 16 bytes.
    pub key: Secret,
    /// When it came into use.
    pub since: Instant,
}

/// Length of a key's name.
pub(crate) const NAME_LEN: usize = 8;
/// Length of what says in a ticket where it was given.
pub(crate) const ORIGIN_LEN: usize = 2;
/// Length of what stands in clear before the nonce: the key's name, the origin.
pub(crate) const FRONT_LEN: usize = NAME_LEN + ORIGIN_LEN;
