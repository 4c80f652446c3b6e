//! How the secured sessions behave, and every bound on them.

use core::fmt;
use core::time::Duration;
use std::sync::Arc;

use lightship_platform::crypto::Crypto;

/// What an engine needs to speak coaps.
#[derive(Clone)]
pub struct Security {
    /// The settings of DTLS: suites, our keys, whether connection IDs are given.
    pub dtls: Arc<lightship_dtls::Config>,
    /// The library of cryptography.
    pub crypto: Arc<dyn Crypto>,
    /// Keys of session tickets that change with time; `None`: those in `dtls`, if there are any, and they stay.
    pub tickets: Option<crate::TicketRotation>,
    /// How long the secrets of an ended session are kept, so that it can be resumed by its session ID.
    pub resumption_time: Duration,
    /// Every bound.
    pub limits: SecurityLimits,
}

impl Security {
    /// The defaults with this library of cryptography.
    #[must_use]
    pub fn new(crypto: Arc<dyn Crypto>) -> Self {
        Self {
            dtls: Arc::default(),
            crypto,
            tickets: None,
            resumption_time: Duration::from_secs(24 * 60 * 60),
            limits: SecurityLimits::default(),
        }
    }
}

impl fmt::Debug for Security {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Security")
            .field("dtls", &self.dtls)
            .field("tickets", &self.tickets)
            .field("resumption_time", &self.resumption_time)
            .field("limits", &self.limits)
            .finish_non_exhaustive()
    }
}

/// Bounds of the secured sessions of one engine. The defaults let thousands of devices behind one carrier's NAT come back at once.
#[derive(Clone, Debug)]
pub struct SecurityLimits {
    /// Sessions; the one that was silent longest gives way to a new one.
    pub sessions: usize,
    /// Handshakes under way; the oldest gives way to a new one.
    pub handshakes: usize,
    /// Bytes that all handshakes under way may take together. Half of it is for all alike; beyond the other half those give way that
    /// grow and have more than their part: a flight of ours, certificates of the peer.
    pub handshake_bytes: usize,
    /// Handshakes under way from one address; beyond it a new one is not begun.
    pub handshakes_per_address: u32,
    /// Handshakes under way from one network (/24 or /56).
    pub handshakes_per_prefix: u32,
    /// Handshakes begun in a minute from one address, in the long run; as many more may come at once.
    pub handshakes_a_minute_per_address: u32,
    /// The same for one network.
    pub handshakes_a_minute_per_prefix: u32,
    /// Handshakes of one identity in a minute, in the long run; as many more may come at once. Only those count in which the identity
    /// was proven, so that nobody spends another's, and only of identities that stand for one endpoint. 0 = no limit.
    pub handshakes_a_minute_per_identity: u32,
    /// Sessions that can be resumed by their ID, the live ones included; 0 = none, tickets only.
    pub resumptions: usize,
    /// Addresses whose datagrams are handed to another shard.
    pub forwards: usize,
}

impl Default for SecurityLimits {
    fn default() -> Self {
        Self {
            sessions: 1_000_000,
            handshakes: 4096,
            handshake_bytes: 16 << 20,
            handshakes_per_address: 1024,
            handshakes_per_prefix: 2048,
            handshakes_a_minute_per_address: 12_000,
            handshakes_a_minute_per_prefix: 60_000,
            handshakes_a_minute_per_identity: 60,
            resumptions: 1_000_000,
            forwards: 4096,
        }
    }
}
