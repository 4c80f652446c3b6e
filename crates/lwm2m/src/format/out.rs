//! A buffer lent by the caller, filled from the front.

use super::EncodeError;
use core::fmt;

#[derive(Debug)]
pub(super) struct Out<'b> {
    buffer: &'b mut [u8],
    len: usize,
    full: bool,
}

impl<'b> Out<'b> {
    pub(super) fn new(buffer: &'b mut [u8]) -> Self {
        Self { buffer, len: 0, full: false }
    }

    pub(super) fn len(&self) -> usize {
        self.len
    }

    #[inline]
    pub(super) fn push(&mut self, byte: u8) {
        match self.buffer.get_mut(self.len) {
            Some(slot) if !self.full => {
                *slot = byte;
                self.len += 1;
            }
            _ => self.full = true,
        }
    }

    /// Appends bytes; what does not fit marks the buffer full, once and for all.
    pub(super) fn extend(&mut self, bytes: &[u8]) {
        let end = self.len.saturating_add(bytes.len());
        match self.buffer.get_mut(self.len..end) {
            Some(target) if !self.full => {
                target.copy_from_slice(bytes);
                self.len = end;
            }
            _ => self.full = true,
        }
    }

    /// Takes the last byte away again.
    pub(super) fn drop_last(&mut self) {
        self.len = self.len.saturating_sub(1);
    }

    /// Leaves room for `len` bytes that are written later.
    pub(super) fn reserve(&mut self, len: usize) {
        let end = self.len.saturating_add(len);
        if end <= self.buffer.len() && !self.full {
            self.len = end;
        } else {
            self.full = true;
        }
    }

    /// Puts `head` in the room of `reserved` bytes at `at` and closes the gap. `head` is at most as long as the room.
    pub(super) fn fill(&mut self, at: usize, reserved: usize, head: &[u8]) {
        let content = at.saturating_add(reserved);
        let start = at.saturating_add(head.len());
        if self.full || content > self.len || start > content {
            return;
        }
        self.buffer.copy_within(content..self.len, start);
        if let Some(target) = self.buffer.get_mut(at..start) {
            target.copy_from_slice(head);
        }
        self.len -= content - start;
    }

    /// Whether everything fitted.
    pub(super) fn check(&self) -> Result<(), EncodeError> {
        if self.full { Err(EncodeError::BufferTooSmall) } else { Ok(()) }
    }

    pub(super) fn finish(self) -> Result<usize, EncodeError> {
        self.check().map(|()| self.len)
    }
}

impl fmt::Write for Out<'_> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        self.extend(text.as_bytes());
        if self.full { Err(fmt::Error) } else { Ok(()) }
    }
}
