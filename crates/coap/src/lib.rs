//! CoAP with one peer: codec, reliability, Observe, block-wise, link format.
//!
//! ```text
//! I am CoAP over datagrams, as far as two sides are concerned (RFC 7252, 7641, 7959, 8132, 9175, 6690).
//! I may: read and write the bytes I am handed, remember what the standards make me remember about
//!   one peer, ask for a wake-up.
//! I must not: know LwM2M, know other peers, know the time unless told, allocate per message, grow
//!   beyond the limits I am given, fail on foreign bytes.
//! My invariants: a request reaches the application at most once · every exchange I began ends with
//!   exactly one result · a retransmission repeats the same bytes · a body is delivered whole or not at all.
//! Start reading at: message.rs (what arrives), encode.rs (what leaves), peer.rs (the conversation).
//! ```

#![no_std]
#![warn(clippy::indexing_slicing, clippy::std_instead_of_core, clippy::as_conversions)]

#[cfg(feature = "alloc")]
extern crate alloc;

mod block;
mod code;
mod content_format;
mod encode;
pub mod link;
mod message;
mod observe;
mod option;
pub mod peer;

pub use block::{Block, BlockSize};
pub use code::{Code, CodeKind, MessageId, Token, Type};
pub use content_format::ContentFormat;
pub use encode::{EncodeError, Encoder, OptionWriter};
pub use message::{
    BadOption, BadOptionReason, Malformed, MalformedReason, Message, Options, ReservedSize, Role,
};
pub use observe::{Freshness, Sequence};
pub use option::{OptionFormat, OptionNumber, OptionRule, RawOption};
#[cfg(feature = "alloc")]
pub use peer::HeapBuffer;
pub use peer::{Config, FixedBuffer, Incoming, Peer, PeerEvent};
