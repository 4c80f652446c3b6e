//! Cutting a response's body to one message, and putting that message together
//! (RFC 7959 §2.4).

use super::arena::BlobId;
use super::buffer::{Buffer, Bytes};
use super::config::Config;
use super::random::SipHasher;
use super::types::SendError;
use super::{OPTIONS_LEN_MAX, Peer};
use crate::block::{Block, BlockSize};
use crate::code::{Code, MessageId, Token, Type};
use crate::encode::Encoder;
use crate::message::Options;
use crate::option::OptionNumber;

/// Header, token, the longest options, and those that this layer adds.
const HEAD_LEN_MAX: usize = 4 + Token::LEN_MAX + OPTIONS_LEN_MAX + 40;

/// The block of a body that one response carries.
#[derive(Clone, Copy, Debug)]
pub(super) struct Cut {
    /// The Block2 option, unless the body fits and nobody asked.
    pub(super) block: Option<Block>,
    pub(super) from: usize,
    pub(super) to: usize,
}

impl Cut {
    /// The block that `wish` asks for, of a body of `len` bytes, where a message has room for
    /// `room` bytes of it; `None` when the body ends before.
    pub(super) fn new(wish: Option<Block>, len: usize, room: usize, config: &Config) -> Option<Self> {
        let size = wish.map_or(config.block_size, |wish| wish.size().min(config.block_size));
        let from = wish.map_or(0, Block::offset);
        if from > 0 && from >= len {
            return None;
        }
        if from == 0 && len <= size.bytes().min(room) {
            let block = wish.and_then(|_| Block::at(0, len, size));
            return Some(Self { block, from, to: len });
        }
        let size = size.min(BlockSize::at_most(room));
        let to = len.min(from.saturating_add(size.bytes()));
        Some(Self { block: Some(Block::at(from, len, size)?), from, to })
    }

    /// Whether this is a part of the body only.
    pub(super) fn is_part(&self) -> bool {
        self.from > 0 || self.has_more()
    }

    pub(super) fn has_more(&self) -> bool {
        self.block.is_some_and(Block::more)
    }
}

/// Everything of a response but its payload.
pub(super) struct Head<'a> {
    pub(super) ty: Type,
    pub(super) code: Code,
    pub(super) message_id: MessageId,
    pub(super) token: Token,
    /// Option bytes, sorted.
    pub(super) options: &'a [u8],
    pub(super) etag: Option<[u8; 4]>,
    pub(super) block1: Option<Block>,
    pub(super) block2: Option<Block>,
    /// The body's size, told with its first block.
    pub(super) size2: Option<usize>,
}

/// Where the payload of a response lies.
#[derive(Clone, Copy)]
pub(super) enum Payload<'a> {
    Lent(&'a [u8]),
    /// Part of a stored body.
    Stored(BlobId, usize, usize),
}

impl Payload<'_> {
    fn len(&self) -> usize {
        match self {
            Self::Lent(bytes) => bytes.len(),
            Self::Stored(_, from, to) => to - from,
        }
    }
}

/// An entity tag for a body: equal bodies have equal tags, whoever sends them.
pub(super) fn etag(body: &[u8]) -> [u8; 4] {
    let mut hasher = SipHasher::new((0, 0));
    hasher.write(body);
    let [a, b, c, d, ..] = hasher.finish().to_le_bytes();
    [a, b, c, d]
}

pub(super) fn has_option(options: &[u8], number: OptionNumber) -> bool {
    Options::over(options).any(|option| option.number == number)
}

impl<B: Buffer> Peer<B> {
    /// Stores a whole message, ready to be sent.
    pub(super) fn store_message(
        &mut self,
        head: &Head<'_>,
        payload: Payload<'_>,
        config: &Config,
    ) -> Result<BlobId, SendError> {
        let mut bytes = [0; HEAD_LEN_MAX];
        let head_len = encode_head(head, &mut bytes)?;
        let head = bytes.get(..head_len).unwrap_or(&[]);
        let marker = usize::from(payload.len() > 0);
        let blob = self.alloc(head_len + marker + payload.len(), config)?;
        let message = self.arena.get_mut(blob);
        if let Some((place, rest)) = message.split_at_mut_checked(head_len) {
            place.copy_from_slice(head);
            if let Some((first, place)) = rest.split_first_mut() {
                *first = 0xff;
                if let Payload::Lent(bytes) = payload {
                    place.copy_from_slice(bytes);
                }
            }
        }
        if let Payload::Stored(from, start, end) = payload {
            self.arena.copy(from, start..end, blob, head_len + marker);
        }
        Ok(blob)
    }

    /// A new blob; what is held only for convenience makes room for it.
    pub(super) fn alloc(&mut self, len: usize, config: &Config) -> Result<BlobId, SendError> {
        loop {
            let blob = self.arena.alloc(len, config.buffer_len_max);
            if !blob.is_none() {
                return Ok(blob);
            }
            self.make_room()?;
        }
    }

    /// Stores bytes; no bytes are stored as `BlobId::NONE`.
    pub(super) fn store(&mut self, bytes: &[u8], config: &Config) -> Result<BlobId, SendError> {
        if bytes.is_empty() {
            return Ok(BlobId::NONE);
        }
        let blob = self.alloc(bytes.len(), config)?;
        self.arena.get_mut(blob).copy_from_slice(bytes);
        Ok(blob)
    }

    /// Adds bytes to a body being received, leaving room for the answers to it.
    pub(super) fn append(
        &mut self,
        body: BlobId,
        bytes: &[u8],
        config: &Config,
    ) -> Result<BlobId, SendError> {
        loop {
            if self.arena.len().saturating_add(bytes.len()) <= self.body_room(config)
                && let Some(body) = self.arena.append(body, bytes, config.buffer_len_max)
            {
                return Ok(body);
            }
            self.make_room()?;
        }
    }

    /// The room that bodies being received may fill.
    pub(super) fn body_room(&self, config: &Config) -> usize {
        const ANSWER_RESERVE: usize = 128;
        <B::Bytes as Bytes>::capacity(config.buffer_len_max).saturating_sub(ANSWER_RESERVE)
    }

    /// Gives up the oldest stored answer, or else the oldest body kept for fetching.
    fn make_room(&mut self) -> Result<(), SendError> {
        let made = self.seen.make_room(&mut self.arena) || self.transfers.drop_kept(&mut self.arena);
        if made { Ok(()) } else { Err(SendError::TooLarge) }
    }
}

fn encode_head(head: &Head<'_>, bytes: &mut [u8]) -> Result<usize, SendError> {
    let mut message = Encoder::new(bytes, head.ty, head.code, head.message_id, head.token);
    let options = message.options();
    options.copy(Options::over(head.options), |_| true);
    if let Some(tag) = head.etag {
        options.etag(&tag);
    }
    if let Some(block) = head.block2 {
        options.block2(block);
    }
    if let Some(block) = head.block1 {
        options.block1(block);
    }
    if let Some(len) = head.size2 {
        options.size2(u32::try_from(len).unwrap_or(u32::MAX));
    }
    message.finish().map_err(SendError::Options)
}
