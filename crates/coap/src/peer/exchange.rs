//! The client's part: requests go out, responses come in.

use lightship_platform::Instant;

use super::Peer;
use super::buffer::Buffer;
use super::config::Config;
use super::flight::Flight;
use super::types::{ExchangeId, Incoming, NewRequest, Notification, SendError};
use crate::encode::{EncodeError, OptionWriter};
use crate::message::Message;

impl<B: Buffer> Peer<B> {
    /// Sends a request.
    ///
    /// `options` adds its options, without Block1, Block2 and sizes; `payload` is the whole body,
    /// of any length that fits the peer's buffer. It ends with exactly one
    /// [`Incoming::Response`] or [`PeerEvent::RequestFailed`](super::PeerEvent::RequestFailed),
    /// unless it is cancelled.
    ///
    /// # Errors
    ///
    /// [`SendError::Busy`], when NSTART allows no more: nothing was sent or stored;
    /// [`SendError::TooLarge`], [`SendError::TokenInUse`], [`SendError::Options`].
    pub fn request(
        &mut self,
        _now: Instant,
        _config: &Config,
        _new: NewRequest,
        _options: impl FnOnce(&mut OptionWriter<'_>),
        _payload: &[u8],
    ) -> Result<ExchangeId, SendError> {
        Err(SendError::Busy)
    }

    /// Fetches the rest of a notification whose first block has come (RFC 7959 §2.6).
    ///
    /// `new` and `options` are those of the request that began the observation, without Observe.
    /// The response carries the whole body, the notification's block included. Must be called
    /// while the notification's datagram is at hand; whoever cannot (because of
    /// [`SendError::Busy`]) may later send a plain request instead, which costs one block more.
    ///
    /// # Errors
    ///
    /// As for [`Peer::request`].
    pub fn request_rest(
        &mut self,
        now: Instant,
        config: &Config,
        _notification: &Notification<'_>,
        new: NewRequest,
        options: impl FnOnce(&mut OptionWriter<'_>),
    ) -> Result<ExchangeId, SendError> {
        self.request(now, config, new, options, &[])
    }

    /// Asks whether the other side is there (RFC 7252 §4.3): an empty confirmable message.
    /// Ends in [`PeerEvent::Pong`](super::PeerEvent::Pong) or
    /// [`PeerEvent::RequestFailed`](super::PeerEvent::RequestFailed).
    ///
    /// # Errors
    ///
    /// [`SendError::Busy`], as for [`Peer::request`].
    pub fn ping(&mut self, _now: Instant, _config: &Config) -> Result<ExchangeId, SendError> {
        Err(SendError::Busy)
    }

    pub(super) fn on_response<'d>(
        &mut self,
        _now: Instant,
        _config: &Config,
        _message: Message<'d>,
    ) -> Incoming<'d> {
        Incoming::Nothing
    }

    pub(super) fn encode_request(&self, _flight: &Flight, _out: &mut [u8]) -> Result<usize, EncodeError> {
        Err(EncodeError::BufferFull)
    }
}
