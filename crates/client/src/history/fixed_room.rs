//! Where records lie: in the client itself.

pub(super) struct Room<const N: usize> {
    bytes: [u8; N],
    len: usize,
}

impl<const N: usize> Room<N> {
    pub(super) const CAPACITY: usize = N;

    pub(super) const fn new() -> Self {
        Room { bytes: [0; N], len: 0 }
    }

    pub(super) fn stored(&self) -> &[u8] {
        self.bytes.get(..self.len).unwrap_or_default()
    }

    pub(super) fn stored_mut(&mut self) -> &mut [u8] {
        self.bytes.get_mut(..self.len).unwrap_or_default()
    }

    pub(super) fn append(&mut self, bytes: &[u8]) {
        if let Some(room) = self.bytes.get_mut(self.len..).and_then(|room| room.get_mut(..bytes.len())) {
            room.copy_from_slice(bytes);
            self.len += bytes.len();
        }
    }

    pub(super) fn cut(&mut self, len: usize) {
        self.len = self.len.min(len);
    }
}
