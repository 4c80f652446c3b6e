//! Notifications, sent and received (RFC 7641).

use lightship_platform::Instant;

use super::Peer;
use super::buffer::Buffer;
use super::config::Config;
use super::types::{NewNotification, NotificationTicket, SendError};
use crate::encode::OptionWriter;

impl<B: Buffer> Peer<B> {
    /// Sends a notification.
    ///
    /// `options` adds Observe (from the observation's [`Sequence`](crate::Sequence)) and the rest;
    /// of a body that is too large for one message the first block is sent, and the rest kept for
    /// the other side to fetch.
    ///
    /// A confirmable one ends in one of `PeerEvent::Notification…`; until then another of the same
    /// `key` is refused as [`SendError::Busy`]: send the newest state when that event comes. After
    /// `NotificationRejected` and `NotificationTimedOut` the observation is over.
    ///
    /// # Errors
    ///
    /// [`SendError::Busy`], [`SendError::TooLarge`], [`SendError::Options`].
    pub fn notify(
        &mut self,
        _now: Instant,
        _config: &Config,
        _new: NewNotification,
        _options: impl FnOnce(&mut OptionWriter<'_>),
        _payload: &[u8],
    ) -> Result<(), SendError> {
        Err(SendError::Busy)
    }

    /// Accepts a notification, now or later: it is acknowledged if it was confirmable. To be called
    /// also for one that is not the newest (RFC 7641 §3.4).
    pub fn accept(&mut self, _ticket: NotificationTicket) {}

    /// Rejects a notification whose token is unknown or no longer wanted, by a Reset.
    pub fn reject(&mut self, _ticket: NotificationTicket) {}
}
