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
mod parties;
mod party;
mod resume;
mod session;
mod sessions;
mod stats;
mod steer;
mod tickets;

pub use self::address::Address;
pub use self::config::{Security, SecurityLimits};
pub use self::event::{
    Claim, Credential, CredentialEnd, HandshakeFailure, Presented, Registrations, SecurityEvent,
    SessionDrops, SessionEnd, SessionInfo, Whose,
};
pub(crate) use self::parties::{Parties, PartyId, PartyRef};
pub use self::party::{Certificate, Endpoints, Mode, Party, Principal};
#[cfg(test)]
pub(crate) use self::session::CHUNK_LEN as SESSIONS_IN_CHUNK;
pub(crate) use self::session::Session;
pub(crate) use self::sessions::{Happened, Sealed, Sessions};
pub use self::stats::{DropStats, FailureStats, SecurityStats};
pub use self::steer::shard_of;
pub use self::tickets::TicketRotation;

/// Which shard of which node gave what a ClientHello wants to resume with, as anybody can say; `None` for what names none, and for
/// other datagrams. Beside a ticket the session ID means nothing (RFC 5077 §3.4).
pub(crate) fn resumed_at(datagram: &[u8]) -> Option<(u8, u8)> {
    let hello = steer::hello_of(datagram)?;
    if hello.ticket.is_empty() {
        return resume::locator_of(hello.session_id).map(|locator| (locator.shard, locator.node));
    }
    lightship_dtls::TicketKeys::origin_of(hello.ticket).map(|[shard, node]| (shard, node))
}
