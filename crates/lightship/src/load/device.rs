//! What is kept of a simulated device: as little as its conversation needs.

use lightship_coap::{MessageId, Token};
use lightship_lwm2m::{Format, Path};
use lightship_platform::Instant;

use super::engine::Tunnel;
use super::mix::Operation;
use super::stats::Phase;

/// One device; its number is its place.
pub(crate) struct Device {
    pub(crate) life: Life,
    /// Whether it stands in the queue of those that may begin something.
    pub(crate) is_queued: bool,
    /// Whether it stands in the list of those that are observed.
    pub(crate) is_listed: bool,
    /// Whether its first Register has ended, well or not.
    pub(crate) has_joined: bool,
    next_id: u16,
    /// Updates with a new lifetime so far.
    pub(crate) changes: u16,
    /// The exchange under way: one at a time (RFC 7252 §4.7).
    pub(crate) exchange: Option<u32>,
    /// The token of the exchange before, whose answer may come once more.
    pub(crate) last_token: u32,
    /// The number of the next notification (RFC 7641 §3.4).
    pub(crate) sequence: u32,
    /// Where the server put the registration: `rd/5a3f`.
    pub(crate) location: Box<str>,
    /// In Queue Mode: until when it listens.
    pub(crate) awake_until: Instant,
    pub(crate) observations: Vec<Observation>,
    /// The last request of the server and what was answered, in case it comes again.
    pub(crate) answered: Option<Box<(MessageId, Box<[u8]>)>>,
    pub(crate) tunnel: Option<Box<Tunnel>>,
}

/// Where a device is in its life.
///
/// ```text
/// Outside ──► Connecting ──► Registering ──► Registered ──► Leaving ──► Outside
///    ▲            │ (coaps)       │               │ 4.04, silence
///    └────────────┴───────────────┴───────────────┘ again after a pause
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Life {
    /// Not registered.
    Outside,
    /// A DTLS handshake runs.
    Connecting,
    /// A Register is under way, and no registration is known.
    Registering,
    /// The server said where the registration is.
    Registered,
    /// A De-register is under way.
    Leaving,
}

/// What the server observes.
pub(crate) struct Observation {
    pub(crate) token: Token,
    /// One path, or those of an Observe-Composite.
    pub(crate) paths: Box<[Path]>,
    pub(crate) is_composite: bool,
    pub(crate) format: Format,
}

/// A request, or a confirmable notification, that waits for its answer.
pub(crate) struct Exchange {
    pub(crate) device: u32,
    pub(crate) operation: Operation,
    pub(crate) phase: Phase,
    /// Unique among all that this thread began; the token of requests.
    pub(crate) token: u32,
    pub(crate) message_id: MessageId,
    /// Repetitions so far.
    pub(crate) repetitions: u8,
    /// The server has the request, and answers later (RFC 7252 §5.2.2).
    pub(crate) is_acknowledged: bool,
    /// From when its latency counts.
    pub(crate) begun: Instant,
    /// How long it waits now.
    pub(crate) timeout_us: u64,
    /// What is repeated; its room is used again by later exchanges.
    pub(crate) bytes: Vec<u8>,
    /// The value that it carries, or the lifetime.
    pub(crate) value: u64,
}

impl Device {
    /// A device that nobody knows; its message IDs begin there.
    pub(crate) fn new(first_id: u16) -> Self {
        Self {
            life: Life::Outside,
            is_queued: false,
            is_listed: false,
            has_joined: false,
            next_id: first_id,
            changes: 0,
            exchange: None,
            last_token: 0,
            sequence: 0,
            location: Box::default(),
            awake_until: Instant::ZERO,
            observations: Vec::new(),
            answered: None,
            tunnel: None,
        }
    }

    /// Whether it may begin something.
    pub(crate) fn is_idle(&self) -> bool {
        self.life == Life::Registered && self.exchange.is_none()
    }

    /// A message ID that was not used for long.
    pub(crate) fn message_id(&mut self) -> MessageId {
        self.next_id = self.next_id.wrapping_add(1);
        MessageId(self.next_id)
    }

    /// The next number of a notification, 24 bits.
    pub(crate) fn next_sequence(&mut self) -> u32 {
        self.sequence = (self.sequence + 1) & 0x00ff_ffff;
        self.sequence
    }
}

/// Observations that one device keeps.
pub(crate) const OBSERVATIONS_MAX: usize = 16;
