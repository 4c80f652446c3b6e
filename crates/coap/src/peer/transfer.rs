//! Bodies that cross block by block between requests: uploads being received, and
//! representations kept for the blocks still to be fetched (RFC 7959 §2.4, §2.5).

use lightship_platform::Instant;

use super::arena::{Arena, BlobId};
use super::buffer::{Bytes, List};
use super::types::CacheKey;
use crate::code::Code;

/// A body on its way.
#[doc(hidden)]
#[derive(Clone, Copy, Debug, Default)]
pub struct Transfer {
    pub(super) key: CacheKey,
    /// When it is given up if nothing moves.
    pub(super) expires: Instant,
    pub(super) body: BlobId,
    pub(super) direction: Direction,
    /// Whether the last block of a representation went out: whoever fetches it has all, or asks for
    /// a copy of a message, which is kept elsewhere.
    pub(super) is_served: bool,
}

/// Which way a body goes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Direction {
    /// An upload by Block1, so far received.
    #[default]
    In,
    /// A representation to be fetched by Block2, with the code and options of each of its blocks.
    Out(Code, BlobId),
}

impl Transfer {
    pub(super) fn is_in(&self) -> bool {
        self.direction == Direction::In
    }

    pub(super) fn free<M: Bytes>(&self, arena: &mut Arena<M>) {
        arena.free(self.body);
        if let Direction::Out(_, options) = self.direction {
            arena.free(options);
        }
    }
}

/// The bodies on their way; the one touched longest ago first.
#[derive(Debug, Default)]
pub(super) struct Transfers<L> {
    list: L,
}

/// How many bodies a heap-backed peer holds: two uploads and two downloads are more than a
/// well-behaved peer has, since a key carries one body at a time.
const TRANSFERS_MAX: usize = 4;

impl<L: List<Transfer>> Transfers<L> {
    #[cfg(feature = "alloc")]
    pub(super) fn heap_len(&self) -> usize {
        self.list.heap_len()
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &Transfer> {
        self.list.as_slice().iter()
    }

    /// Takes out the upload with this key.
    pub(super) fn take_in(&mut self, key: CacheKey) -> Option<Transfer> {
        self.take(|transfer| transfer.key == key && transfer.is_in())
    }

    /// Takes out the representation with this key.
    pub(super) fn take_out(&mut self, key: CacheKey) -> Option<Transfer> {
        self.take(|transfer| transfer.key == key && !transfer.is_in())
    }

    /// Puts a transfer at the end of the list; if that is full, one that was served is dropped, or
    /// else the one at its front.
    pub(super) fn put<M: Bytes>(&mut self, transfer: Transfer, arena: &mut Arena<M>) {
        while !self.list.push(transfer, TRANSFERS_MAX) {
            let _ = self.drop_if(|old| old.is_served, arena) || self.drop_oldest(arena);
        }
    }

    pub(super) fn drop_oldest<M: Bytes>(&mut self, arena: &mut Arena<M>) -> bool {
        self.drop_if(|_| true, arena)
    }

    /// Gives up a representation kept for fetching, one that was served before the oldest; uploads
    /// stay.
    pub(super) fn drop_kept<M: Bytes>(&mut self, arena: &mut Arena<M>) -> bool {
        self.drop_if(|kept| kept.is_served, arena) || self.drop_if(|kept| !kept.is_in(), arena)
    }

    pub(super) fn expire<M: Bytes>(&mut self, now: Instant, arena: &mut Arena<M>) {
        while self.drop_if(|transfer| transfer.expires <= now, arena) {}
    }

    /// Gives up the oldest one that is it; whether there was one.
    fn drop_if<M: Bytes>(&mut self, is_it: impl Fn(&Transfer) -> bool, arena: &mut Arena<M>) -> bool {
        self.take(is_it).inspect(|dropped| dropped.free(arena)).is_some()
    }

    fn take(&mut self, is_it: impl Fn(&Transfer) -> bool) -> Option<Transfer> {
        let index = self.list.as_slice().iter().position(is_it)?;
        let transfer = self.list.as_slice().get(index).copied();
        self.list.remove(index);
        transfer
    }
}
