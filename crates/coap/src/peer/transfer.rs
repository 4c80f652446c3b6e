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

    /// Puts a transfer at the end of the list; if that is full, the one at its front is dropped.
    pub(super) fn put<M: Bytes>(&mut self, transfer: Transfer, arena: &mut Arena<M>) {
        while !self.list.push(transfer, TRANSFERS_MAX) {
            self.drop_oldest(arena);
        }
    }

    pub(super) fn drop_oldest<M: Bytes>(&mut self, arena: &mut Arena<M>) -> bool {
        let Some(oldest) = self.list.as_slice().first() else { return false };
        oldest.free(arena);
        self.list.remove(0);
        true
    }

    /// Gives up the oldest representation kept for fetching; uploads stay.
    pub(super) fn drop_kept<M: Bytes>(&mut self, arena: &mut Arena<M>) -> bool {
        let kept = self.take(|transfer| !transfer.is_in());
        kept.inspect(|kept| kept.free(arena)).is_some()
    }

    pub(super) fn expire<M: Bytes>(&mut self, now: Instant, arena: &mut Arena<M>) {
        while let Some(over) = self.take(|transfer| transfer.expires <= now) {
            over.free(arena);
        }
    }

    fn take(&mut self, is_it: impl Fn(&Transfer) -> bool) -> Option<Transfer> {
        let index = self.list.as_slice().iter().position(is_it)?;
        let transfer = self.list.as_slice().get(index).copied();
        self.list.remove(index);
        transfer
    }
}
