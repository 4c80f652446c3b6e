//! The server's part: requests come in, responses go out.

use lightship_platform::Instant;

use super::Peer;
use super::buffer::Buffer;
use super::config::Config;
use super::types::{Incoming, SendError, Ticket};
use crate::code::Code;
use crate::encode::OptionWriter;
use crate::message::Message;

impl<B: Buffer> Peer<B> {
    /// Answers a request: in the acknowledgement if it comes in time, separately otherwise.
    ///
    /// `options` adds the response's options, without Block1, Block2 and sizes; `payload` is the
    /// whole body. What does not fit one message is kept for the other side to fetch block by
    /// block; the response to a GET that does not fit the peer's buffer is not kept, but asked of
    /// the application anew for each block. An entity tag is added to a body in blocks unless
    /// `options` adds one.
    ///
    /// # Errors
    ///
    /// [`SendError::TooLarge`] when the body must be kept and cannot (answer 5.00 then),
    /// [`SendError::Answered`] when that was done before, [`SendError::Options`], and
    /// [`SendError::Busy`] when too many separate responses await their acknowledgement.
    pub fn respond(
        &mut self,
        _now: Instant,
        _config: &Config,
        _ticket: Ticket,
        _code: Code,
        _options: impl FnOnce(&mut OptionWriter<'_>),
        _payload: &[u8],
    ) -> Result<(), SendError> {
        Ok(())
    }

    pub(super) fn on_request<'d>(
        &mut self,
        _now: Instant,
        _config: &Config,
        _message: Message<'d>,
    ) -> Incoming<'d> {
        Incoming::Nothing
    }
}
