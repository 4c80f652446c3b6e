//! A cursor over foreign bytes.

/// Reads numbers and length-prefixed parts from the front of bytes; `None` means that they end too early.
#[derive(Clone, Copy, Debug)]
pub struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    /// A reader of all of `bytes`.
    #[must_use]
    pub const fn new(bytes: &'a [u8]) -> Self {
        Self(bytes)
    }

    /// What has not been read.
    #[must_use]
    pub const fn rest(&self) -> &'a [u8] {
        self.0
    }

    /// `Some` if everything has been read.
    #[must_use]
    pub const fn end(&self) -> Option<()> {
        if self.0.is_empty() { Some(()) } else { None }
    }

    /// The next `len` bytes.
    pub fn take(&mut self, len: usize) -> Option<&'a [u8]> {
        let (part, rest) = self.0.split_at_checked(len)?;
        self.0 = rest;
        Some(part)
    }

    /// The next `N` bytes.
    pub fn array<const N: usize>(&mut self) -> Option<&'a [u8; N]> {
        let (part, rest) = self.0.split_first_chunk()?;
        self.0 = rest;
        Some(part)
    }

    /// A number of one byte.
    pub fn u8(&mut self) -> Option<u8> {
        self.array().map(|[byte]| *byte)
    }

    /// A number of two bytes.
    pub fn u16(&mut self) -> Option<u16> {
        self.array().map(|bytes| u16::from_be_bytes(*bytes))
    }

    /// A number of three bytes.
    pub fn u24(&mut self) -> Option<usize> {
        let [a, b, c] = *self.array()?;
        usize::try_from(u32::from_be_bytes([0, a, b, c])).ok()
    }

    /// A part behind its length in one byte.
    pub fn part8(&mut self) -> Option<&'a [u8]> {
        let len = self.u8()?;
        self.take(len.into())
    }

    /// A part behind its length in two bytes.
    pub fn part16(&mut self) -> Option<&'a [u8]> {
        let len = self.u16()?;
        self.take(len.into())
    }

    /// A part behind its length in three bytes.
    pub fn part24(&mut self) -> Option<&'a [u8]> {
        let len = self.u24()?;
        self.take(len)
    }
}
