//! Where records lie: on the heap, as far as they need it.

use alloc::vec::Vec;

/// The most that is kept.
const LEN_MAX: usize = 64 * 1024;

pub(super) struct Room<const N: usize>(Vec<u8>);

impl<const N: usize> Room<N> {
    pub(super) const CAPACITY: usize = if N < LEN_MAX { N } else { LEN_MAX };

    pub(super) const fn new() -> Self {
        Room(Vec::new())
    }

    pub(super) fn stored(&self) -> &[u8] {
        &self.0
    }

    pub(super) fn stored_mut(&mut self) -> &mut [u8] {
        &mut self.0
    }

    pub(super) fn append(&mut self, bytes: &[u8]) {
        self.0.extend_from_slice(bytes);
    }

    pub(super) fn cut(&mut self, len: usize) {
        self.0.truncate(len);
        if len == 0 {
            // An outage may last for ever, the memory of one need not.
            self.0 = Vec::new();
        }
    }
}
