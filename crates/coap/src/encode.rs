//! Writing a message into a lent buffer (RFC 7252 §3).
//!
//! Errors stick: after the first one nothing more is written, and [`Encoder::finish`] reports it.

use core::fmt::{self, Write as _};

use crate::block::Block;
use crate::code::{Code, MessageId, Token, Type};
use crate::content_format::ContentFormat;
use crate::message::Options;
use crate::option::OptionNumber;

/// Why a message could not be written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EncodeError {
    /// The buffer is too small.
    BufferFull,
    /// An option's value has a length that its definition forbids.
    OptionLength(OptionNumber),
    /// An Empty message was given a token, an option or a payload.
    EmptyWithContent,
}

impl fmt::Display for EncodeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::BufferFull => f.write_str("the buffer is too small for the message"),
            Self::OptionLength(number) => write!(f, "{number} cannot have a value of this length"),
            Self::EmptyWithContent => f.write_str("an Empty message holds nothing"),
        }
    }
}

impl core::error::Error for EncodeError {}

/// Writes one message: header and token at once, then options, then the payload.
///
/// ```
/// use lightship_coap::{Code, ContentFormat, Encoder, MessageId, Token, Type};
///
/// let mut buffer = [0; 64];
/// let token = Token::new(&[0x2a]).unwrap();
/// let mut message = Encoder::new(&mut buffer, Type::Con, Code::GET, MessageId(7), token);
/// message.options().uri_path("3303/0/5700").accept(ContentFormat::SENML_CBOR);
/// let len = message.finish()?;
/// assert_eq!(&buffer[..5], [0x41, 0x01, 0, 7, 0x2a]);
/// # Ok::<(), lightship_coap::EncodeError>(())
/// ```
#[derive(Debug)]
pub struct Encoder<'b> {
    writer: OptionWriter<'b>,
    empty: bool,
}

impl<'b> Encoder<'b> {
    /// Begins a message in `buffer`.
    #[must_use]
    pub fn new(buffer: &'b mut [u8], ty: Type, code: Code, message_id: MessageId, token: Token) -> Self {
        let [high, low] = message_id.0.to_be_bytes();
        let header = [1 << 6 | ty.bits() << 4 | token.len(), code.0, high, low];
        let start = header.len() + usize::from(token.len());
        let mut error = None;
        match buffer.split_first_chunk_mut() {
            Some((place, rest)) => {
                *place = header;
                match rest.get_mut(..usize::from(token.len())) {
                    Some(place) => place.copy_from_slice(token.as_bytes()),
                    None => error = Some(EncodeError::BufferFull),
                }
            }
            None => error = Some(EncodeError::BufferFull),
        }
        let empty = code == Code::EMPTY;
        if empty && !token.is_empty() {
            error = error.or(Some(EncodeError::EmptyWithContent));
        }
        Self { writer: OptionWriter { buffer, start, end: start, last: 0, error }, empty }
    }

    /// The options, to be added to in any order.
    pub fn options(&mut self) -> &mut OptionWriter<'b> {
        &mut self.writer
    }

    /// Adds the payload and ends the message; an empty payload adds nothing.
    ///
    /// # Errors
    ///
    /// The first error since the message was begun.
    pub fn finish_with(mut self, payload: &[u8]) -> Result<usize, EncodeError> {
        if !payload.is_empty() {
            self.writer.append(&[0xff]);
            self.writer.append(payload);
        }
        self.finish()
    }

    /// Lets `write` put the payload in place; it returns how many bytes it wrote, or `None` when
    /// the room did not suffice.
    ///
    /// # Errors
    ///
    /// The first error since the message was begun.
    pub fn finish_in_place(
        mut self,
        write: impl FnOnce(&mut [u8]) -> Option<usize>,
    ) -> Result<usize, EncodeError> {
        if self.writer.error.is_none() {
            let at = self.writer.end.saturating_add(1);
            let room = self.writer.buffer.get_mut(at..).unwrap_or(&mut []);
            let room_len = room.len();
            match write(room) {
                Some(0) => {}
                Some(len) if len <= room_len => {
                    self.writer.append(&[0xff]);
                    self.writer.end = at.saturating_add(len);
                }
                _ => self.writer.error = Some(EncodeError::BufferFull),
            }
        }
        self.finish()
    }

    /// Ends the message without a payload; returns its length in bytes.
    ///
    /// # Errors
    ///
    /// The first error since the message was begun.
    pub fn finish(self) -> Result<usize, EncodeError> {
        if let Some(error) = self.writer.error {
            return Err(error);
        }
        if self.empty && self.writer.end > 4 {
            return Err(EncodeError::EmptyWithContent);
        }
        Ok(self.writer.end)
    }
}

/// Writes options in any order and keeps them sorted; fastest when they come sorted.
///
/// Options with the same number stay in the order in which they were added.
#[derive(Debug)]
pub struct OptionWriter<'b> {
    buffer: &'b mut [u8],
    /// Where the first option begins.
    start: usize,
    /// Where the next byte goes.
    end: usize,
    /// The largest number written so far.
    last: u16,
    error: Option<EncodeError>,
}

impl<'b> OptionWriter<'b> {
    /// Writes options alone, from the beginning of `buffer`.
    #[must_use]
    pub fn new(buffer: &'b mut [u8]) -> Self {
        Self { buffer, start: 0, end: 0, last: 0, error: None }
    }

    /// The number of bytes written.
    ///
    /// # Errors
    ///
    /// The first error since the writer was made.
    pub fn finish(self) -> Result<usize, EncodeError> {
        match self.error {
            None => Ok(self.end - self.start),
            Some(error) => Err(error),
        }
    }

    /// The first error so far.
    #[must_use]
    pub const fn error(&self) -> Option<EncodeError> {
        self.error
    }

    /// Adds an option of any number; the value's length must suit its definition.
    pub fn option(&mut self, number: OptionNumber, value: &[u8]) -> &mut Self {
        if self.error.is_some() {
            return self;
        }
        if !number.allows_len(value.len()) || value.len() > OPTION_LEN_MAX {
            self.error = Some(EncodeError::OptionLength(number));
            return self;
        }
        if number.0 < self.last {
            self.insert(number.0, value);
            return self;
        }
        match (u8::try_from(number.0 - self.last), u8::try_from(value.len())) {
            // Nearly all options have a header of one byte or two.
            (Ok(delta @ 0..=12), Ok(len @ 0..=12)) => {
                // So few bytes are copied faster in line than by a call.
                self.append_option([delta << 4 | len], value, |place| {
                    for (to, from) in place.iter_mut().zip(value) {
                        *to = *from;
                    }
                });
            }
            (Ok(delta @ 0..=12), Ok(len @ 13..)) => {
                self.append_option([delta << 4 | 13, len - 13], value, |place| place.copy_from_slice(value));
            }
            _ => {
                let header = Header::new(number.0 - self.last, value.len());
                self.append(header.as_bytes());
                self.append(value);
            }
        }
        self.last = number.0;
        self
    }

    /// Adds an option whose value is a number, in as few bytes as it needs.
    pub fn uint(&mut self, number: OptionNumber, value: u32) -> &mut Self {
        let bytes = value.to_be_bytes();
        let zeros = usize::try_from(value.leading_zeros() / 8).unwrap_or(0);
        self.option(number, bytes.get(zeros..).unwrap_or(&[]))
    }

    /// Adds an option whose value is formatted text of at most 255 bytes.
    pub fn text(&mut self, number: OptionNumber, text: fmt::Arguments<'_>) -> &mut Self {
        if let Some(text) = text.as_str() {
            return self.option(number, text.as_bytes());
        }
        let mut line = Line { bytes: [0; 255], len: 0 };
        if line.write_fmt(text).is_err() {
            self.error = self.error.or(Some(EncodeError::OptionLength(number)));
            return self;
        }
        self.option(number, line.bytes.get(..line.len).unwrap_or(&[]))
    }

    /// Adds one Uri-Path option for each segment between the slashes of `path`; a leading slash
    /// is allowed, and an empty path adds nothing.
    pub fn uri_path(&mut self, path: &str) -> &mut Self {
        let path = path.strip_prefix('/').unwrap_or(path);
        if !path.is_empty() {
            for segment in path.split('/') {
                self.uri_path_segment(segment);
            }
        }
        self
    }

    /// Adds one segment of the path.
    pub fn uri_path_segment(&mut self, segment: &str) -> &mut Self {
        self.option(OptionNumber::URI_PATH, segment.as_bytes())
    }

    /// Adds one segment of the path that is a number, as in LwM2M.
    pub fn uri_path_number(&mut self, segment: u16) -> &mut Self {
        self.text(OptionNumber::URI_PATH, format_args!("{segment}"))
    }

    /// Adds one part of the query.
    pub fn uri_query(&mut self, query: &str) -> &mut Self {
        self.option(OptionNumber::URI_QUERY, query.as_bytes())
    }

    /// Adds one part of the query that is put together by `format_args!`.
    pub fn uri_query_fmt(&mut self, query: fmt::Arguments<'_>) -> &mut Self {
        self.text(OptionNumber::URI_QUERY, query)
    }

    /// Adds one Location-Path option for each segment between the slashes of `path`.
    pub fn location_path(&mut self, path: &str) -> &mut Self {
        for segment in path.strip_prefix('/').unwrap_or(path).split('/') {
            self.option(OptionNumber::LOCATION_PATH, segment.as_bytes());
        }
        self
    }

    /// Adds Content-Format.
    pub fn content_format(&mut self, format: ContentFormat) -> &mut Self {
        self.uint(OptionNumber::CONTENT_FORMAT, u32::from(format.0))
    }

    /// Adds Accept.
    pub fn accept(&mut self, format: ContentFormat) -> &mut Self {
        self.uint(OptionNumber::ACCEPT, u32::from(format.0))
    }

    /// Adds Observe: 0 or 1 in a request, the low 24 bits of a sequence number in a notification.
    pub fn observe(&mut self, value: u32) -> &mut Self {
        self.uint(OptionNumber::OBSERVE, value & 0x00ff_ffff)
    }

    /// Adds Block1.
    pub fn block1(&mut self, block: Block) -> &mut Self {
        self.uint(OptionNumber::BLOCK1, block.to_uint())
    }

    /// Adds Block2.
    pub fn block2(&mut self, block: Block) -> &mut Self {
        self.uint(OptionNumber::BLOCK2, block.to_uint())
    }

    /// Adds Size1, in bytes.
    pub fn size1(&mut self, bytes: u32) -> &mut Self {
        self.uint(OptionNumber::SIZE1, bytes)
    }

    /// Adds Size2, in bytes.
    pub fn size2(&mut self, bytes: u32) -> &mut Self {
        self.uint(OptionNumber::SIZE2, bytes)
    }

    /// Adds an entity tag of 1 to 8 bytes.
    pub fn etag(&mut self, tag: &[u8]) -> &mut Self {
        self.option(OptionNumber::ETAG, tag)
    }

    /// Adds Max-Age, in seconds.
    pub fn max_age_s(&mut self, seconds: u32) -> &mut Self {
        self.uint(OptionNumber::MAX_AGE, seconds)
    }

    /// Adds an Echo value of 1 to 40 bytes (RFC 9175 §2).
    pub fn echo(&mut self, value: &[u8]) -> &mut Self {
        self.option(OptionNumber::ECHO, value)
    }

    /// Adds a Request-Tag of 0 to 8 bytes (RFC 9175 §3).
    pub fn request_tag(&mut self, tag: &[u8]) -> &mut Self {
        self.option(OptionNumber::REQUEST_TAG, tag)
    }

    /// Copies every option of `options` for which `keep` is true.
    pub(crate) fn copy(&mut self, options: Options<'_>, keep: impl Fn(OptionNumber) -> bool) -> &mut Self {
        for option in options {
            if keep(option.number) {
                self.option(option.number, option.value);
            }
        }
        self
    }

    #[inline]
    fn append_option<const H: usize>(&mut self, header: [u8; H], value: &[u8], copy: impl FnOnce(&mut [u8])) {
        let end = self.end + H + value.len();
        match self.buffer.get_mut(self.end..end).and_then(<[u8]>::split_first_chunk_mut) {
            Some((first, rest)) => {
                *first = header;
                copy(rest);
                self.end = end;
            }
            None => self.error = Some(EncodeError::BufferFull),
        }
    }

    fn append(&mut self, bytes: &[u8]) {
        let end = self.end.saturating_add(bytes.len());
        match self.buffer.get_mut(self.end..end) {
            Some(place) if self.error.is_none() => {
                place.copy_from_slice(bytes);
                self.end = end;
            }
            _ => self.error = self.error.or(Some(EncodeError::BufferFull)),
        }
    }

    /// Puts an option before the first one with a larger number, whose delta shrinks by that.
    fn insert(&mut self, number: u16, value: &[u8]) {
        let written = self.buffer.get(self.start..self.end).unwrap_or(&[]);
        let mut options = Options::over(written);
        let (mut at, mut before) = (0, 0);
        let next = loop {
            match options.next() {
                Some(option) if option.number.0 > number => break option,
                Some(option) => {
                    before = option.number.0;
                    at = written.len() - options.rest().len();
                }
                None => return,
            }
        };
        let header = Header::new(number - before, value.len());
        let next_header = Header::new(next.number.0 - number, next.value.len());
        // From here on stand the next option's value and all that follows.
        let tail_from = self.start + written.len() - options.rest().len() - next.value.len();
        let at = self.start + at;
        let tail_to = at + header.len + value.len() + next_header.len;
        let end = tail_to + (self.end - tail_from);
        if end > self.buffer.len() {
            self.error = Some(EncodeError::BufferFull);
            return;
        }
        self.buffer.copy_within(tail_from..self.end, tail_to);
        self.end = at;
        self.append(header.as_bytes());
        self.append(value);
        self.append(next_header.as_bytes());
        self.end = end;
    }
}

/// The largest value an option header can announce.
const OPTION_LEN_MAX: usize = 65_535 + 269;

/// An option's first bytes: delta and length, each with zero to two more bytes.
struct Header {
    bytes: [u8; 5],
    len: usize,
}

impl Header {
    /// `value_len` is at most [`OPTION_LEN_MAX`].
    fn new(delta: u16, value_len: usize) -> Self {
        let value_len = u32::try_from(value_len).unwrap_or(0);
        let (delta_nibble, delta_more) = nibble(u32::from(delta));
        let (len_nibble, len_more) = nibble(value_len);
        let mut header = Self { bytes: [delta_nibble << 4 | len_nibble, 0, 0, 0, 0], len: 1 };
        for (nibble, more) in [(delta_nibble, delta_more), (len_nibble, len_more)] {
            let [high, low] = more.to_be_bytes();
            match nibble {
                13 => header.push(low),
                14 => {
                    header.push(high);
                    header.push(low);
                }
                _ => {}
            }
        }
        header
    }

    fn push(&mut self, byte: u8) {
        if let Some(place) = self.bytes.get_mut(self.len) {
            *place = byte;
            self.len += 1;
        }
    }

    fn as_bytes(&self) -> &[u8] {
        self.bytes.get(..self.len).unwrap_or(&[])
    }
}

/// Splits a delta or length into its nibble and what the bytes after it hold.
fn nibble(number: u32) -> (u8, u16) {
    match number {
        0..=12 => (u8::try_from(number).unwrap_or(0), 0),
        13..=268 => (13, u16::try_from(number - 13).unwrap_or(0)),
        _ => (14, u16::try_from(number - 269).unwrap_or(u16::MAX)),
    }
}

/// Text being formatted for one option.
struct Line {
    bytes: [u8; 255],
    len: usize,
}

impl fmt::Write for Line {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        let end = self.len + text.len();
        self.bytes.get_mut(self.len..end).ok_or(fmt::Error)?.copy_from_slice(text.as_bytes());
        self.len = end;
        Ok(())
    }
}
