//! Messages of ours that await something: repeated until acknowledged (RFC 7252 §4.2), kept
//! until responded to.
//!
//! ```text
//!            sent            empty ACK              response
//!   (new) ─────────▶ Sending ─────────▶ Acknowledged ─────────▶ removed
//!                     │ │ ▲ timer: doubled, at most            │ timer
//!                     │ └─┘ max_retransmit times               ▼
//!                     └────────── given up, Reset ─────────▶ Done ── event read ──▶ removed
//! ```

use lightship_platform::{Duration, Instant};

use super::arena::BlobId;
use super::config::Config;
use super::types::PeerEvent;
use crate::block::{Block, BlockSize};
use crate::code::{Code, MessageId, Token};

/// One message of ours that awaits something.
#[doc(hidden)]
#[derive(Clone, Copy, Debug, Default)]
pub struct Flight {
    pub(super) kind: Kind,
    pub(super) phase: Phase,
    pub(super) confirmable: bool,
    /// To be sent at the next opportunity.
    pub(super) due: bool,
    /// How often it was repeated.
    pub(super) repeated: u8,
    pub(super) message_id: MessageId,
    pub(super) token: Token,
    /// The timeout now running; doubles with each repetition.
    pub(super) timeout_ms: u32,
    /// When the timeout ends.
    pub(super) at: Instant,
    /// A request's options; of all other kinds the whole message.
    pub(super) blob: BlobId,
    pub(super) request: Exchange,
}

/// What a flight carries.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Kind {
    /// A request of ours; the number of its `ExchangeId`.
    Request(u32),
    /// An empty confirmable message; the number of its `ExchangeId`.
    Ping(u32),
    /// A notification; the application's name for the observation.
    Notification(u32),
    /// A separate response.
    #[default]
    Response,
}

/// How far a flight is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Phase {
    /// Not acknowledged yet.
    #[default]
    Sending,
    /// Acknowledged, or not confirmable; awaits the response.
    Acknowledged,
    /// Over; awaits the reading of its event.
    Done(PeerEvent),
}

/// What a request needs beyond its message: the way through the blocks of its body and of the
/// response's.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Exchange {
    pub(super) code: Code,
    /// The token of the first message; an observation lives under it.
    pub(super) first_token: Token,
    /// The request's body.
    pub(super) body: BlobId,
    /// Where the block of the body now being sent begins; `None` when the body fits one message.
    pub(super) upload_at: Option<u32>,
    /// The block size now in use for the request's body.
    pub(super) upload_size: BlockSize,
    /// The block of the response to be asked for, if any.
    pub(super) ask: Option<Block>,
    /// The response's first block has come: from here on only its rest is asked for.
    pub(super) is_fetching: bool,
    /// The response's body, so far received.
    pub(super) received: BlobId,
    /// Stands for entity tag and format of the response's first block.
    pub(super) fingerprint: u64,
    /// The Observe option of the response's first block.
    pub(super) observe: Option<u32>,
    /// The request was repeated with the server's Echo value.
    pub(super) is_echoed: bool,
}

impl Flight {
    /// True while it counts against NSTART (RFC 7252 §4.7).
    pub(super) fn is_outstanding(&self) -> bool {
        match self.kind {
            Kind::Request(_) | Kind::Ping(_) => !self.is_done(),
            Kind::Notification(_) => self.confirmable && !self.is_done(),
            Kind::Response => false,
        }
    }

    pub(super) const fn is_done(&self) -> bool {
        matches!(self.phase, Phase::Done(_))
    }

    /// Begins (again) with a message not sent before.
    pub(super) fn launch(&mut self, now: Instant, message_id: MessageId, timeout_ms: u32, config: &Config) {
        self.message_id = message_id;
        self.repeated = 0;
        self.due = true;
        if self.confirmable {
            self.phase = Phase::Sending;
            self.timeout_ms = timeout_ms;
            self.at = now + Duration::from_millis(u64::from(timeout_ms));
        } else {
            self.phase = Phase::Acknowledged;
            self.at = now + config.response_within;
        }
    }

    /// Its timeout has ended: repeats the message, or returns false when all was tried.
    pub(super) fn repeat(&mut self, now: Instant, config: &Config) -> bool {
        if self.phase != Phase::Sending || self.repeated >= config.max_retransmit {
            return false;
        }
        self.repeated += 1;
        self.timeout_ms = self.timeout_ms.saturating_mul(2);
        self.at = now + Duration::from_millis(u64::from(self.timeout_ms));
        self.due = true;
        true
    }
}
