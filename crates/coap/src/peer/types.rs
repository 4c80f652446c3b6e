//! What goes in and out of a [`Peer`](super::Peer).

use core::fmt;

use lightship_platform::Instant;

use crate::block::Block;
use crate::code::{Code, MessageId, Token};
use crate::encode::EncodeError;
use crate::message::{Malformed, Message};

/// What a datagram turned out to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Incoming<'d> {
    /// Dealt with: an acknowledgement, a duplicate, a block in the middle of a body, a ping.
    Nothing,
    /// Not usable; for the statistics.
    Dropped(Dropped),
    /// A request, its body complete. Answer it by [`Peer::respond`](super::Peer::respond), now or
    /// later.
    Request(Request<'d>),
    /// The response to one of our requests, its body complete. The exchange is over.
    Response(Response<'d>),
    /// A response to no open exchange: a notification if the application knows its token. It must
    /// be accepted or rejected: [`Peer::accept`](super::Peer::accept),
    /// [`Peer::reject`](super::Peer::reject).
    Notification(Notification<'d>),
}

/// Why a datagram was dropped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Dropped {
    /// Not well-formed.
    Malformed(Malformed),
    /// Type and code do not go together, or the code's class is reserved.
    Unusable,
    /// A response or acknowledgement that matches nothing.
    Unmatched,
    /// A request refused without asking the application: unknown method, critical option not
    /// understood, flawed or too large block.
    Refused(Code),
}

/// A request for the application.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Request<'d> {
    /// What to answer with.
    pub ticket: Ticket,
    /// The request's method and options; of a body in blocks this is the last block's message.
    pub message: Message<'d>,
    /// The whole body; see [`Peer::payload`](super::Peer::payload).
    pub body: Body<'d>,
}

/// The response to a request of ours.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Response<'d> {
    /// Which request it answers.
    pub exchange: ExchangeId,
    /// The code and options; of a body in blocks this is the last block's message.
    pub message: Message<'d>,
    /// The Observe option of the first block: present when an observation was established under
    /// the message's token.
    pub observe: Option<u32>,
    /// The token of the request as it was first sent: an observation's notifications carry it.
    pub token: Token,
    /// The whole body; see [`Peer::payload`](super::Peer::payload).
    pub body: Body<'d>,
}

/// A response to no open exchange.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Notification<'d> {
    /// What to accept or reject it with.
    pub ticket: NotificationTicket,
    /// The message; its token tells the observation. When `message.block2()` says that more
    /// blocks follow, the rest is to be fetched by
    /// [`Peer::request_rest`](super::Peer::request_rest).
    pub message: Message<'d>,
}

/// Where a body lies: in the datagram, or put together inside the peer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Body<'d>(pub(super) Place<'d>);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Place<'d> {
    Datagram(&'d [u8]),
    Assembled,
}

/// A request waiting for its answer. A plain value: it may be kept, and a late or repeated answer
/// is harmless.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ticket {
    /// When the request came; tells it from a later one with the same message ID.
    pub(super) at: Instant,
    pub(super) message_id: MessageId,
    pub(super) token: Token,
    pub(super) confirmable: bool,
    pub(super) method: Code,
    pub(super) no_response: u8,
    pub(super) block1: Option<Block>,
    pub(super) block2: Option<Block>,
    pub(super) key: CacheKey,
}

impl Ticket {
    /// The request's token; notifications of an observation begun by it carry it.
    #[must_use]
    pub const fn token(&self) -> Token {
        self.token
    }

    /// Whether the request was confirmable.
    #[must_use]
    pub const fn is_confirmable(&self) -> bool {
        self.confirmable
    }

    /// Identifies the request's method and options, so that later block requests find the body
    /// they belong to; give it to the notifications of an observation.
    #[must_use]
    pub const fn cache_key(&self) -> CacheKey {
        self.key
    }
}

/// Identifies what was asked for: method and options, without those that only steer the transfer.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct CacheKey(pub(super) u64);

/// A notification waiting to be accepted or rejected.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NotificationTicket {
    pub(super) at: Instant,
    pub(super) message_id: MessageId,
    pub(super) confirmable: bool,
    /// The message has an Observe option, so that even a non-confirmable one is worth a Reset.
    pub(super) observe: bool,
}

/// Names a request of ours until its response or failure was reported.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct ExchangeId(pub(super) u32);

/// The head of a request to be sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NewRequest {
    /// The method.
    pub code: Code,
    /// Repeated until acknowledged?
    pub confirmable: bool,
    /// A token to be used instead of a fresh one: that of the observation to be cancelled or
    /// renewed.
    pub token: Option<Token>,
}

impl NewRequest {
    /// A confirmable request.
    #[must_use]
    pub const fn con(code: Code) -> Self {
        Self { code, confirmable: true, token: None }
    }

    /// A non-confirmable request.
    #[must_use]
    pub const fn non(code: Code) -> Self {
        Self { code, confirmable: false, token: None }
    }

    /// The same with a token that is in use for an observation.
    #[must_use]
    pub const fn with_token(self, token: Token) -> Self {
        Self { token: Some(token), ..self }
    }
}

/// The head of a notification to be sent. The Observe option is the caller's to add, its number
/// from a [`Sequence`](crate::Sequence); a notification without it ends the observation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NewNotification {
    /// The caller's name for the observation; comes back in events.
    pub key: u32,
    /// The token of the request that began the observation.
    pub token: Token,
    /// [`Ticket::cache_key`] of the request that began the observation.
    pub cache_key: CacheKey,
    /// Usually 2.05.
    pub code: Code,
    /// Repeated until acknowledged?
    pub confirmable: bool,
}

/// What happened without a datagram for the application.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PeerEvent {
    /// A request of ours ended without a response.
    RequestFailed {
        /// The request.
        exchange: ExchangeId,
        /// Why.
        reason: Failure,
    },
    /// The other side answered a ping.
    Pong {
        /// The ping.
        exchange: ExchangeId,
    },
    /// A confirmable notification arrived.
    NotificationAcknowledged {
        /// The observation.
        key: u32,
    },
    /// The other side does not want these notifications: the observation is over.
    NotificationRejected {
        /// The observation.
        key: u32,
    },
    /// A confirmable notification was never acknowledged: the observation is over.
    NotificationTimedOut {
        /// The observation.
        key: u32,
    },
    /// A response that was sent separately was rejected or never acknowledged.
    ResponseLost,
}

/// Why a request ended without a response.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Failure {
    /// No acknowledgement, or no response in time.
    Timeout,
    /// The other side answered by a Reset.
    Reset,
    /// The response had a critical option that we do not understand, or a forbidden one.
    BadOption,
    /// A block had the wrong number, size or entity tag.
    BadBlock,
    /// The response's body is larger than we accept.
    TooLarge,
}

/// Why nothing was sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SendError {
    /// As many exchanges are open as [`Config::nstart`](super::Config::nstart) allows, or as the
    /// peer has room for. Try again when one has ended.
    Busy,
    /// The body does not fit the peer's buffer.
    TooLarge,
    /// The token given is in use by an open exchange.
    TokenInUse,
    /// The ticket was answered before.
    Answered,
    /// The options cannot be written.
    Options(EncodeError),
}

impl fmt::Display for SendError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Busy => f.write_str("too many exchanges are open with this peer"),
            Self::TooLarge => f.write_str("the body is too large for the peer's buffer"),
            Self::TokenInUse => f.write_str("the token is in use"),
            Self::Answered => f.write_str("the request was answered before"),
            Self::Options(error) => error.fmt(f),
        }
    }
}

impl core::error::Error for SendError {}
