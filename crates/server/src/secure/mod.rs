//! Secured sessions: DTLS with many peers, the same for a Server and a Bootstrap-Server.
//!
//! Start reading at `sessions.rs` (what comes in and goes out), then `handshake.rs` (how a session begins), `session.rs` (what is kept of
//! one) and `event.rs` (what a host is told and asked).

mod address;
mod budget;
mod config;
mod event;
mod frozen;
mod handshake;
mod party;
mod resume;
mod session;
mod sessions;
mod stats;
mod steer;
mod tickets;

pub(crate) use self::address::Address;
pub use self::config::{Security, SecurityLimits};
pub use self::event::{
    Claim, Credential, HandshakeFailure, Presented, Registrations, SecurityEvent, SessionDrops, SessionEnd,
    SessionInfo, Whose,
};
pub use self::party::{Certificate, Endpoints, Mode, Party, Principal};
pub(crate) use self::session::Session;
pub(crate) use self::sessions::{Happened, Sessions};
pub use self::stats::{DropStats, FailureStats, SecurityStats};
pub use self::steer::shard_of;
pub use self::tickets::TicketRotation;
use crate::Locator;

/// The session that a ClientHello wants to resume: `Some(None)` for a ClientHello that names none of ours, `None` for other datagrams.
pub(crate) fn hello_session_id(datagram: &[u8]) -> Option<Option<Locator>> {
    Some(resume::locator_of(steer::hello_of(datagram)?.session_id))
}
