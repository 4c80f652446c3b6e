//! What the host hands in.

use alloc::string::String;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::fmt;

use lightship_platform::crypto::{Crypto, Group, SigningKey};
use lightship_platform::{Duration, Instant, Rng};

use crate::{Suite, TicketKeys};

/// What an association is lent at each call.
pub struct Host<'a> {
    /// The time.
    pub now: Instant,
    /// The library of cryptography.
    pub crypto: &'a dyn Crypto,
    /// Randomness; it must not be guessable.
    pub rng: &'a mut dyn Rng,
    /// The settings; the same at each call of one association.
    pub config: &'a Config,
}

impl fmt::Debug for Host<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Host").field("now", &self.now).finish_non_exhaustive()
    }
}

/// Settings that many associations share.
#[derive(Clone, Debug)]
pub struct Config {
    /// The suites that are offered or accepted, the preferred first. A suite with CBC is used if and only if it is listed.
    pub suites: Vec<Suite>,
    /// The groups for key agreement, the preferred first. X25519 by default, since it costs about half of what P-256 does.
    pub groups: Vec<Group>,
    /// Keys and certificates of our own that a server may present; the first is presented to who names no server or an unknown one.
    pub keys: Vec<OwnKey>,
    /// Whether a server demands a key or certificate of the client in the suites with signatures.
    pub client_authentication: bool,
    /// Whether a connection ID is offered, or given to who offers one (RFC 9146).
    pub connection_id: bool,
    /// Whether the return routability check is offered or accepted (RFC 9853).
    pub return_routability: bool,
    /// Whether that check asks the old address before the new one, so that nobody who forwards records faster than the network can
    /// draw an association to himself (RFC 9853 §7.2). A peer whose old address is dead waits a second longer for it.
    pub return_routability_enhanced: bool,
    /// Whether a peer without the extended master secret is refused (RFC 7627 §5).
    pub require_extended_master_secret: bool,
    /// Whether a client asks for a session ticket (RFC 5077); without it four bytes are saved and resumption is by session ID.
    pub request_ticket: bool,
    /// Keys that seal session tickets; `None`: no tickets are given or taken (RFC 5077).
    pub ticket_keys: Option<Arc<TicketKeys>>,
    /// Longest datagram that is sent, in bytes; handshake messages are cut to fit. 200 to 16384.
    pub datagram_len_max: usize,
    /// The record size limit that is announced, in bytes of plaintext (RFC 8449); 64 to 16384, `None` announces none.
    pub record_size_limit: Option<u16>,
    /// The maximum fragment length that a client asks for, 512, 1024, 2048 or 4096 bytes (RFC 6066 §4); `None` asks for none.
    pub max_fragment_len: Option<u16>,
    /// Longest handshake message that is put together, in bytes.
    pub message_len_max: usize,
    /// How long the first flight waits for an answer; doubled at each repetition (RFC 6347 §4.2.4.1). RFC 7925 §11 advises 9 s.
    pub retransmit_first: Duration,
    /// The longest wait between two repetitions.
    pub retransmit_max: Duration,
    /// How often a flight is repeated before the handshake fails.
    pub retransmit_count: u8,
    /// How long a handshake may take as a whole.
    pub handshake_time: Duration,
    /// Records sealed with one set of keys at most, where their algorithm does not allow fewer anyway; they are worn at three quarters
    /// of it ([`Wear`](crate::Wear)).
    pub records_max: u64,
    /// Whether [`Event::KeyLog`](crate::Event::KeyLog) tells the secrets of each session. For debugging only.
    pub key_log: bool,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            suites: Suite::ALL.into_iter().filter(|suite| suite.aead().is_some()).collect(),
            groups: alloc::vec![Group::X25519, Group::Secp256r1],
            keys: Vec::new(),
            client_authentication: true,
            connection_id: true,
            return_routability: true,
            return_routability_enhanced: false,
            require_extended_master_secret: false,
            request_ticket: true,
            ticket_keys: None,
            datagram_len_max: 1200,
            record_size_limit: None,
            max_fragment_len: None,
            message_len_max: 8192,
            retransmit_first: Duration::from_secs(2),
            retransmit_max: Duration::from_secs(60),
            retransmit_count: 5,
            handshake_time: Duration::from_secs(120),
            records_max: u64::MAX,
            key_log: false,
        }
    }
}

/// A key pair of our own, with or without certificates.
#[derive(Clone)]
pub struct OwnKey {
    /// The server names that it is for, in lower case; `*.example.org` stands for one label. Empty: for no name in particular.
    pub names: Vec<String>,
    /// The private key.
    pub key: Arc<dyn SigningKey>,
    /// The certificate and those above it, DER, the end entity first; empty if only the raw public key is presented.
    pub chain: Vec<Vec<u8>>,
}

impl fmt::Debug for OwnKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("OwnKey")
            .field("names", &self.names)
            .field("certificates", &self.chain.len())
            .finish_non_exhaustive()
    }
}
