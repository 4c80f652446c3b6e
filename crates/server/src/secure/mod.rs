//! Secured sessions: DTLS with many peers, the same for a Server and a Bootstrap-Server.
//!
//! Start reading at `event.rs` (what a host is told and asked), then `party.rs` (who a session is with), `config.rs` and `stats.rs`.

mod config;
mod event;
mod party;
mod stats;
mod steer;

pub use self::config::{Security, SecurityLimits};
pub use self::event::{
    Claim, Credential, HandshakeFailure, Presented, Registrations, SecurityEvent, SessionEnd, SessionInfo,
    Whose,
};
pub use self::party::{Certificate, Endpoints, Mode, Party, Principal};
pub use self::stats::{DropStats, FailureStats, SecurityStats};
pub use self::steer::shard_of;
