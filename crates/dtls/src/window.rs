//! Which records were seen: the anti-replay window (RFC 6347 §4.1.2.6).

use crate::record::SEQUENCE_MAX;

#[cfg(test)]
mod tests;

/// The last [`Window::LEN`] sequence numbers of one epoch.
///
/// A record is first judged by [`Window::admits`], then authenticated, and only then remembered by [`Window::remember`]: nobody
/// without the keys can move the window.
#[derive(Clone, Default, PartialEq, Eq, Debug)]
pub(crate) struct Window {
    /// One more than the largest number that was seen; 0 if none was.
    next: u64,
    /// Bit i stands for the number `next - 1 - i`.
    seen: u64,
}

impl Window {
    /// How many numbers are remembered.
    pub(crate) const LEN: u64 = 64;

    /// Whether a record with this number was not seen yet, as far as is remembered.
    #[must_use]
    pub(crate) const fn admits(&self, sequence: u64) -> bool {
        match self.next.checked_sub(sequence) {
            None | Some(0) => true,
            Some(age) => age <= Self::LEN && self.seen >> (age - 1) & 1 == 0,
        }
    }

    /// Remembers the number of an authenticated record; tells whether none before was larger.
    pub(crate) const fn remember(&mut self, sequence: u64) -> bool {
        match self.next.checked_sub(sequence) {
            None | Some(0) => {
                let step = sequence - self.next + 1;
                self.seen = if step < Self::LEN { self.seen << step | 1 } else { 1 };
                self.next = sequence + 1;
                true
            }
            Some(age) => {
                if age <= Self::LEN {
                    self.seen |= 1 << (age - 1);
                }
                false
            }
        }
    }

    /// Its state as bytes, for a hand-over.
    pub(crate) fn to_bytes(&self) -> [u8; 16] {
        let mut bytes = [0; 16];
        let (next, seen) = bytes.split_at_mut(8);
        next.copy_from_slice(&self.next.to_be_bytes());
        seen.copy_from_slice(&self.seen.to_be_bytes());
        bytes
    }

    /// A window out of the bytes of [`Window::to_bytes`].
    pub(crate) fn from_bytes(bytes: [u8; 16]) -> Option<Self> {
        let (next, seen) = bytes.split_at(8);
        let next = u64::from_be_bytes(next.try_into().ok()?);
        let seen = u64::from_be_bytes(seen.try_into().ok()?);
        (next <= SEQUENCE_MAX + 1).then_some(Self { next, seen })
    }
}
