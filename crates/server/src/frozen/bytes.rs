//! Numbers, texts and spans as bytes, and back.

use core::time::Duration;

use lightship_platform::Instant;
use zeroize::Zeroizing;

/// Writes what [`Reader`] reads. What it has written is erased when it is dropped, since there are keys in it.
pub(crate) struct Writer {
    bytes: Zeroizing<Vec<u8>>,
    pub(crate) now: Instant,
}

impl Writer {
    pub(crate) fn new(now: Instant) -> Self {
        Self { bytes: Zeroizing::new(Vec::new()), now }
    }

    /// One for few bytes.
    pub(crate) fn with_capacity(now: Instant, capacity: usize) -> Self {
        Self { bytes: Zeroizing::new(Vec::with_capacity(capacity)), now }
    }

    pub(crate) fn finish(self) -> Zeroizing<Vec<u8>> {
        self.bytes
    }

    /// The bytes of what has no keys in it.
    pub(crate) fn finish_open(mut self) -> Vec<u8> {
        core::mem::take(&mut *self.bytes)
    }

    /// Bytes whose number is known to the reader.
    pub(crate) fn raw(&mut self, bytes: &[u8]) {
        // A vector that grows leaves its old bytes behind; this one erases them.
        if self.bytes.capacity() - self.bytes.len() < bytes.len() {
            let mut larger =
                Zeroizing::new(Vec::with_capacity((self.bytes.len() + bytes.len()).max(4096) * 2));
            larger.extend_from_slice(&self.bytes);
            self.bytes = larger;
        }
        self.bytes.extend_from_slice(bytes);
    }

    pub(crate) fn u8(&mut self, number: u8) {
        self.raw(&[number]);
    }

    pub(crate) fn bool(&mut self, yes: bool) {
        self.u8(yes.into());
    }

    pub(crate) fn u16(&mut self, number: u16) {
        self.raw(&number.to_be_bytes());
    }

    pub(crate) fn u32(&mut self, number: u32) {
        self.raw(&number.to_be_bytes());
    }

    pub(crate) fn u64(&mut self, number: u64) {
        self.raw(&number.to_be_bytes());
    }

    pub(crate) fn len(&mut self, len: usize) {
        self.u32(u32::try_from(len).unwrap_or(u32::MAX));
    }

    pub(crate) fn bytes(&mut self, bytes: &[u8]) {
        self.len(bytes.len());
        self.raw(bytes);
    }

    pub(crate) fn text(&mut self, text: &str) {
        self.bytes(text.as_bytes());
    }

    /// A value that may be missing.
    pub(crate) fn maybe<T>(&mut self, value: Option<T>, write: impl FnOnce(&mut Self, T)) {
        self.bool(value.is_some());
        if let Some(value) = value {
            write(self, value);
        }
    }

    /// A moment, as its distance from now: clocks of two processes have nothing in common.
    pub(crate) fn moment(&mut self, moment: Instant) {
        let is_past = moment <= self.now;
        let span = if is_past {
            self.now.saturating_duration_since(moment)
        } else {
            moment.saturating_duration_since(self.now)
        };
        self.bool(is_past);
        self.u64(u64::try_from(span.as_micros()).unwrap_or(u64::MAX));
    }
}

/// Reads what [`Writer`] has written; `None` where it is something else.
pub(crate) struct Reader<'a> {
    rest: &'a [u8],
    /// The moment that was now for the writer, on the reader's clock.
    then: Instant,
}

impl<'a> Reader<'a> {
    pub(crate) fn new(bytes: &'a [u8], then: Instant) -> Self {
        Self { rest: bytes, then }
    }

    pub(crate) fn is_at_end(&self) -> bool {
        self.rest.is_empty()
    }

    /// All that is not read yet.
    pub(crate) fn rest(&self) -> &'a [u8] {
        self.rest
    }

    pub(crate) fn raw(&mut self, len: usize) -> Option<&'a [u8]> {
        let (bytes, rest) = self.rest.split_at_checked(len)?;
        self.rest = rest;
        Some(bytes)
    }

    pub(crate) fn array<const N: usize>(&mut self) -> Option<[u8; N]> {
        self.raw(N)?.try_into().ok()
    }

    pub(crate) fn u8(&mut self) -> Option<u8> {
        self.array::<1>().map(|[byte]| byte)
    }

    pub(crate) fn bool(&mut self) -> Option<bool> {
        match self.u8()? {
            0 => Some(false),
            1 => Some(true),
            _ => None,
        }
    }

    pub(crate) fn u16(&mut self) -> Option<u16> {
        self.array().map(u16::from_be_bytes)
    }

    pub(crate) fn u32(&mut self) -> Option<u32> {
        self.array().map(u32::from_be_bytes)
    }

    pub(crate) fn u64(&mut self) -> Option<u64> {
        self.array().map(u64::from_be_bytes)
    }

    pub(crate) fn bytes(&mut self) -> Option<&'a [u8]> {
        let len = usize::try_from(self.u32()?).ok()?;
        self.raw(len)
    }

    pub(crate) fn text(&mut self) -> Option<&'a str> {
        core::str::from_utf8(self.bytes()?).ok()
    }

    pub(crate) fn maybe<T>(&mut self, read: impl FnOnce(&mut Self) -> Option<T>) -> Option<Option<T>> {
        Some(if self.bool()? { Some(read(self)?) } else { None })
    }

    pub(crate) fn moment(&mut self) -> Option<Instant> {
        let is_past = self.bool()?;
        let span = Duration::from_micros(self.u64()?);
        Some(if is_past { self.then - span } else { self.then + span })
    }

    /// As many values as are said to follow; none is made in advance.
    pub(crate) fn list<T>(&mut self, mut read: impl FnMut(&mut Self) -> Option<T>) -> Option<Vec<T>> {
        let len = self.u32()?;
        let mut list = Vec::new();
        for _ in 0..len {
            list.push(read(self)?);
        }
        Some(list)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_written_is_read_again_on_another_clock() {
        let mut writer = Writer::new(Instant::from_secs(100));
        writer.u16(7);
        writer.text("lamp");
        writer.maybe(Some(3), Writer::u64);
        writer.maybe(None, Writer::u64);
        writer.moment(Instant::from_secs(40));
        writer.moment(Instant::from_secs(130));
        writer.raw(&[1; 10_000]);
        let bytes = writer.finish();
        let mut reader = Reader::new(&bytes, Instant::from_secs(1000));
        assert_eq!((reader.u16(), reader.text()), (Some(7), Some("lamp")));
        assert_eq!((reader.maybe(Reader::u64), reader.maybe(Reader::u64)), (Some(Some(3)), Some(None)));
        assert_eq!(reader.moment(), Some(Instant::from_secs(940)));
        assert_eq!(reader.moment(), Some(Instant::from_secs(1030)));
        assert_eq!(reader.raw(10_000), Some(&[1; 10_000][..]));
        assert!(reader.is_at_end() && reader.u8().is_none());
        for len in 0..30 {
            let mut reader = Reader::new(&bytes[..len], Instant::ZERO);
            let _ = reader.u16().and_then(|_| reader.text()).and_then(|_| reader.maybe(Reader::u64));
            assert!(reader.list(Reader::moment).is_none_or(|list| list.is_empty()));
        }
    }
}
