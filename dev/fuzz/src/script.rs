//! Fuzz bytes read as a script: small numbers and pieces of data, until there is nothing left.

/// What is left of the bytes.
pub(crate) struct Script<'a>(pub(crate) &'a [u8]);

impl<'a> Script<'a> {
    /// The next byte, `None` at the end.
    pub(crate) fn byte(&mut self) -> Option<u8> {
        let (&first, rest) = self.0.split_first()?;
        self.0 = rest;
        Some(first)
    }

    /// A piece of data: two bytes of length, little-endian, then as many bytes as are there.
    pub(crate) fn piece(&mut self) -> Option<&'a [u8]> {
        let length = usize::from(u16::from_le_bytes([self.byte()?, self.byte()?]));
        let (piece, rest) = self.0.split_at(length.min(self.0.len()));
        self.0 = rest;
        Some(piece)
    }
}
