//! The peer's messages put together and in order, within bounds (RFC 6347 §4.2.2, §4.2.3).

use alloc::vec::Vec;
use core::ops::Range;

use crate::message::{Fragment, HEADER_LEN};

#[cfg(test)]
mod tests;

/// How far ahead of its turn a message may come.
const AHEAD_MAX: u16 = 8;
/// How many holes a message may have while it is put together.
const PIECES_MAX: usize = 64;

/// What has come of messages that cannot be used yet.
#[derive(Debug, Default)]
pub(crate) struct Reassembly {
    next: u16,
    parts: Vec<Partial>,
}

/// A message of which not everything has come, or whose turn has not.
#[derive(Debug)]
struct Partial {
    sequence: u16,
    kind: u8,
    protected: bool,
    len: usize,
    /// Header and body; grown to the last byte that has come.
    bytes: Vec<u8>,
    /// Which parts of the body have come: sorted, apart from each other.
    pieces: Vec<Range<usize>>,
}

/// What became of a fragment.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Took {
    /// It is kept.
    Kept,
    /// It is of a message that was used before.
    Old,
    /// It contradicts an earlier fragment, or exceeds a bound.
    Refused,
}

/// A message whose turn has come, put together.
#[derive(Debug)]
pub(crate) struct Whole {
    /// Header and body, as if it had never been cut.
    pub(crate) bytes: Vec<u8>,
    /// Whether it came under the new keys.
    pub(crate) protected: bool,
}

impl Reassembly {
    /// Waits for the message with this number.
    pub(crate) fn expect(&mut self, next: u16) {
        self.next = next;
        self.parts.retain(|partial| is_after(partial.sequence, next) || partial.sequence == next);
    }

    /// The number of the message whose turn it is.
    pub(crate) const fn next(&self) -> u16 {
        self.next
    }

    /// Whether the fragment is the whole message whose turn it is, so that it can be used where it lies.
    pub(crate) fn is_due(&self, fragment: &Fragment<'_>) -> bool {
        fragment.sequence == self.next && fragment.is_whole()
    }

    /// The message whose turn it was has been used.
    pub(crate) fn advance(&mut self) {
        self.expect(self.next.wrapping_add(1));
    }

    /// Bytes that are kept of what has come.
    pub(crate) fn kept_len(&self) -> usize {
        self.parts.iter().map(|partial| partial.bytes.capacity() + size_of::<Partial>()).sum()
    }

    /// Forgets what has come: nothing more is put together.
    pub(crate) fn clear(&mut self) {
        self.parts = Vec::new();
    }

    /// Keeps a fragment; all together never keep more than `len_max` bytes.
    pub(crate) fn take(&mut self, fragment: &Fragment<'_>, protected: bool, len_max: usize) -> Took {
        let ahead = fragment.sequence.wrapping_sub(self.next);
        if ahead > u16::MAX / 2 {
            return Took::Old;
        }
        if ahead > AHEAD_MAX || fragment.len > len_max {
            return Took::Refused;
        }
        let index = match self.parts.iter().position(|partial| partial.sequence == fragment.sequence) {
            Some(index) => index,
            None => {
                if !self.make_room(fragment, len_max) {
                    return Took::Refused;
                }
                self.parts.push(Partial::new(fragment, protected));
                self.parts.len() - 1
            }
        };
        let Some(partial) = self.parts.get_mut(index) else { return Took::Refused };
        if partial.kind != fragment.kind || partial.len != fragment.len || partial.protected != protected {
            return Took::Refused;
        }
        if partial.add(fragment.offset, fragment.body) { Took::Kept } else { Took::Refused }
    }

    /// The message whose turn it is, if all of it has come.
    pub(crate) fn pop(&mut self) -> Option<Whole> {
        let index =
            self.parts.iter().position(|partial| partial.sequence == self.next && partial.is_whole())?;
        let partial = self.parts.swap_remove(index);
        Some(Whole { bytes: partial.bytes, protected: partial.protected })
    }

    /// Makes room for a message, at the cost of those that come later than it.
    fn make_room(&mut self, fragment: &Fragment<'_>, len_max: usize) -> bool {
        loop {
            let kept: usize = self.parts.iter().map(|partial| partial.len).sum();
            if kept + fragment.len <= len_max {
                return true;
            }
            let last = self
                .parts
                .iter()
                .enumerate()
                .filter(|(_, partial)| is_after(partial.sequence, fragment.sequence))
                .max_by_key(|(_, partial)| partial.sequence.wrapping_sub(self.next));
            let Some((index, _)) = last else { return false };
            self.parts.swap_remove(index);
        }
    }
}

impl Partial {
    fn new(fragment: &Fragment<'_>, protected: bool) -> Self {
        let mut bytes = Vec::with_capacity(HEADER_LEN + fragment.body.len());
        let [_, a, b, c] = u32::try_from(fragment.len).unwrap_or(u32::MAX).to_be_bytes();
        let [s, t] = fragment.sequence.to_be_bytes();
        bytes.extend_from_slice(&[fragment.kind, a, b, c, s, t, 0, 0, 0, a, b, c]);
        Self {
            sequence: fragment.sequence,
            kind: fragment.kind,
            protected,
            len: fragment.len,
            bytes,
            pieces: Vec::new(),
        }
    }

    fn is_whole(&self) -> bool {
        self.len == 0 || matches!(self.pieces.as_slice(), [all] if *all == (0..self.len))
    }

    /// Adds a part; `false` if it says something else than came before, or makes too many pieces.
    fn add(&mut self, offset: usize, part: &[u8]) -> bool {
        let new = offset..offset + part.len();
        if part.is_empty() {
            return true;
        }
        for old in &self.pieces {
            let common = new.start.max(old.start)..new.end.min(old.end);
            if common.is_empty() {
                continue;
            }
            let had = self.bytes.get(HEADER_LEN + common.start..HEADER_LEN + common.end);
            if had != part.get(common.start - offset..common.end - offset) {
                return false;
            }
        }
        let (touched, mut apart): (Vec<_>, Vec<_>) =
            self.pieces.iter().cloned().partition(|old| old.start <= new.end && new.start <= old.end);
        if apart.len() >= PIECES_MAX {
            return false;
        }
        let merged =
            touched.iter().fold(new.clone(), |all, old| all.start.min(old.start)..all.end.max(old.end));
        apart.push(merged);
        self.pieces = apart;
        let end = HEADER_LEN + new.end;
        if self.bytes.len() < end {
            self.bytes.reserve_exact(end - self.bytes.len());
            self.bytes.resize(end, 0);
        }
        if let Some(room) = self.bytes.get_mut(HEADER_LEN + new.start..end) {
            room.copy_from_slice(part);
        }
        true
    }
}

/// Whether message `a` comes later than `b`.
const fn is_after(a: u16, b: u16) -> bool {
    let distance = a.wrapping_sub(b);
    distance != 0 && distance <= u16::MAX / 2
}
