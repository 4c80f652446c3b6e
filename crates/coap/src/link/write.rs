//! Writing link format.

use core::fmt::{self, Write};

/// Writes links and their attributes to any text sink; errors stick until [`LinkWriter::finish`].
#[derive(Debug)]
pub struct LinkWriter<W> {
    sink: W,
    is_first: bool,
    failed: bool,
}

impl<W: Write> LinkWriter<W> {
    /// Writes to `sink`.
    #[must_use]
    pub const fn new(sink: W) -> Self {
        Self { sink, is_first: true, failed: false }
    }

    /// Begins a link to `target`, which must be a URI reference (no angle brackets, no spaces).
    pub fn link(&mut self, target: fmt::Arguments<'_>) -> &mut Self {
        let comma = if self.is_first { "" } else { "," };
        self.is_first = false;
        self.put(format_args!("{comma}<{target}>"))
    }

    /// Adds an attribute without a value.
    pub fn flag(&mut self, name: &str) -> &mut Self {
        self.put(format_args!(";{name}"))
    }

    /// Adds an attribute with a bare value: digits, letters, dots and the like.
    pub fn attribute(&mut self, name: &str, value: fmt::Arguments<'_>) -> &mut Self {
        self.put(format_args!(";{name}={value}"))
    }

    /// Adds an attribute with a quoted value; quotes and backslashes in it are escaped.
    pub fn quoted(&mut self, name: &str, value: &str) -> &mut Self {
        self.put(format_args!(";{name}=\""));
        for part in value.split_inclusive(['"', '\\']) {
            match part.strip_suffix(['"', '\\']) {
                Some(plain) => {
                    let escaped = part.get(plain.len()..).unwrap_or("");
                    self.put(format_args!("{plain}\\{escaped}"));
                }
                None => {
                    self.put(format_args!("{part}"));
                }
            }
        }
        self.put(format_args!("\""))
    }

    /// Ends the writing and gives the sink back.
    ///
    /// # Errors
    ///
    /// When the sink refused anything, such as a [`TextBuffer`] that is full.
    pub fn finish(self) -> Result<W, fmt::Error> {
        if self.failed { Err(fmt::Error) } else { Ok(self.sink) }
    }

    fn put(&mut self, text: fmt::Arguments<'_>) -> &mut Self {
        if !self.failed {
            self.failed = self.sink.write_fmt(text).is_err();
        }
        self
    }
}

/// A text sink of fixed size.
#[derive(Debug)]
pub struct TextBuffer<'b> {
    bytes: &'b mut [u8],
    len: usize,
}

impl<'b> TextBuffer<'b> {
    /// Writes from the beginning of `bytes`.
    #[must_use]
    pub const fn new(bytes: &'b mut [u8]) -> Self {
        Self { bytes, len: 0 }
    }

    /// The number of bytes written.
    #[must_use]
    pub const fn len(&self) -> usize {
        self.len
    }

    /// True when nothing was written.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// What was written.
    #[must_use]
    pub fn as_str(&self) -> &str {
        self.bytes.get(..self.len).and_then(|bytes| core::str::from_utf8(bytes).ok()).unwrap_or("")
    }
}

impl Write for TextBuffer<'_> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        let end = self.len + text.len();
        self.bytes.get_mut(self.len..end).ok_or(fmt::Error)?.copy_from_slice(text.as_bytes());
        self.len = end;
        Ok(())
    }
}
