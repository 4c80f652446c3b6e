//! A CoAP message as a view over the bytes it arrived in (RFC 7252 §3).
//!
//! [`Message::parse`] checks the whole message once; afterwards reading it cannot fail.

use crate::block::Block;
use crate::code::{Code, CodeKind, MessageId, Token, Type};
use crate::content_format::ContentFormat;
use crate::option::{OptionFormat, OptionNumber, RawOption};

/// A well-formed message; borrows the datagram.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Message<'a> {
    ty: Type,
    code: Code,
    message_id: MessageId,
    token: Token,
    /// Checked by `parse`: whole options only, no payload marker.
    options: &'a [u8],
    payload: &'a [u8],
}

/// Bytes that are no CoAP message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Malformed {
    /// What is wrong with them.
    pub reason: MalformedReason,
    /// The message ID to reject by a Reset; `None` when silence is due.
    pub reset: Option<MessageId>,
}

/// What is wrong with a malformed message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MalformedReason {
    /// Fewer than four bytes.
    Short,
    /// A version other than 1.
    Version,
    /// A token length of 9 to 15.
    TokenLength,
    /// The token goes beyond the end.
    TokenCut,
    /// An option's delta or length is the reserved 15.
    ReservedNibble,
    /// An option goes beyond the end.
    OptionCut,
    /// Option numbers add up to more than 65535.
    OptionNumber,
    /// A payload marker without a payload.
    NoPayload,
    /// An Empty message with something in it.
    EmptyWithContent,
}

/// The part a message plays, by its type and code together (RFC 7252 §4.3, table 1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// A request, confirmable or not.
    Request,
    /// A response: piggybacked in an ACK, or separate.
    Response,
    /// An empty ACK.
    Ack,
    /// A Reset.
    Reset,
    /// An empty CON: its receiver answers by a Reset.
    Ping,
    /// A combination without meaning; a Reset is due if the message was confirmable.
    Unusable,
}

/// The critical option for which a request must be refused by 4.02, and a response rejected.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BadOption {
    /// The option.
    pub number: OptionNumber,
    /// What is wrong with it.
    pub reason: BadOptionReason,
}

/// Why an option counts as not understood (RFC 7252 §5.4.1, §5.4.3, §5.4.5).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BadOptionReason {
    /// It is not among those the receiver understands.
    Unknown,
    /// Its length is outside the range of its definition.
    Length,
    /// It may occur once and occurs again.
    Repeated,
}

impl<'a> Message<'a> {
    /// Reads a datagram.
    ///
    /// # Errors
    ///
    /// [`Malformed`], when the bytes break the format of RFC 7252 §3; it says whether a Reset is
    /// due (format error in a confirmable message) or silence.
    pub fn parse(datagram: &'a [u8]) -> Result<Self, Malformed> {
        let silent = |reason| Malformed { reason, reset: None };
        let (&[first, code, mid_high, mid_low], rest) =
            datagram.split_first_chunk().ok_or(silent(MalformedReason::Short))?;
        if first >> 6 != 1 {
            return Err(silent(MalformedReason::Version));
        }
        let ty = Type::from_bits(first >> 4);
        let message_id = MessageId(u16::from_be_bytes([mid_high, mid_low]));
        let code = Code(code);
        let reset = (ty == Type::Con).then_some(message_id);
        let error = |reason| Malformed { reason, reset };

        if code == Code::EMPTY {
            return if first & 15 == 0 && rest.is_empty() {
                Ok(Self { ty, code, message_id, token: Token::EMPTY, options: &[], payload: &[] })
            } else {
                Err(error(MalformedReason::EmptyWithContent))
            };
        }
        let token_len = usize::from(first & 15);
        if token_len > Token::LEN_MAX {
            return Err(error(MalformedReason::TokenLength));
        }
        let (token, rest) = rest.split_at_checked(token_len).ok_or(error(MalformedReason::TokenCut))?;
        let token = Token::new(token).ok_or(error(MalformedReason::TokenLength))?;
        let (options, payload) = split_payload(rest).map_err(error)?;
        Ok(Self { ty, code, message_id, token, options, payload })
    }

    /// Confirmable, non-confirmable, acknowledgement or reset.
    #[must_use]
    pub const fn ty(&self) -> Type {
        self.ty
    }

    /// Method or response code.
    #[must_use]
    pub const fn code(&self) -> Code {
        self.code
    }

    /// The message ID.
    #[must_use]
    pub const fn message_id(&self) -> MessageId {
        self.message_id
    }

    /// The token.
    #[must_use]
    pub const fn token(&self) -> Token {
        self.token
    }

    /// The payload; empty when there is none.
    #[must_use]
    pub const fn payload(&self) -> &'a [u8] {
        self.payload
    }

    /// What the message is, by type and code together.
    #[must_use]
    pub const fn role(&self) -> Role {
        match (self.code.kind(), self.ty) {
            (CodeKind::Request, Type::Con | Type::Non) => Role::Request,
            (CodeKind::Response, Type::Con | Type::Non | Type::Ack) => Role::Response,
            (CodeKind::Empty, Type::Con) => Role::Ping,
            (CodeKind::Empty, Type::Ack) => Role::Ack,
            (CodeKind::Empty, Type::Reset) => Role::Reset,
            _ => Role::Unusable,
        }
    }

    /// All options, in ascending order of their numbers.
    #[must_use]
    pub const fn options(&self) -> Options<'a> {
        Options { rest: self.options, number: 0 }
    }

    /// The first option with this number whose length is allowed.
    #[must_use]
    pub fn option(&self, number: OptionNumber) -> Option<RawOption<'a>> {
        self.options()
            .take_while(|option| option.number <= number)
            .find(|option| option.number == number && number.allows_len(option.value.len()))
    }

    /// The first option with this number as a number, if its length is allowed.
    #[must_use]
    pub fn uint(&self, number: OptionNumber) -> Option<u32> {
        self.option(number)?.uint()
    }

    /// The values of a repeatable text option; see [`RawOption::text`] for what is not UTF-8.
    pub fn texts(&self, number: OptionNumber) -> impl Iterator<Item = &'a str> + Clone + use<'a> {
        self.options()
            .skip_while(move |option| option.number < number)
            .take_while(move |option| option.number == number)
            .map(|option| option.text())
    }

    /// The segments of the request's path.
    pub fn uri_path(&self) -> impl Iterator<Item = &'a str> + Clone + use<'a> {
        self.texts(OptionNumber::URI_PATH)
    }

    /// The parts of the request's query.
    pub fn uri_query(&self) -> impl Iterator<Item = &'a str> + Clone + use<'a> {
        self.texts(OptionNumber::URI_QUERY)
    }

    /// The segments of the response's location.
    pub fn location_path(&self) -> impl Iterator<Item = &'a str> + Clone + use<'a> {
        self.texts(OptionNumber::LOCATION_PATH)
    }

    /// What the payload is written in.
    #[must_use]
    pub fn content_format(&self) -> Option<ContentFormat> {
        self.uint(OptionNumber::CONTENT_FORMAT).and_then(|n| u16::try_from(n).ok()).map(ContentFormat)
    }

    /// What the requester wants the answer to be written in.
    #[must_use]
    pub fn accept(&self) -> Option<ContentFormat> {
        self.uint(OptionNumber::ACCEPT).and_then(|n| u16::try_from(n).ok()).map(ContentFormat)
    }

    /// The Observe option: 0 and 1 in a GET or FETCH begin and end an observation, in a response
    /// it is the notification's 24-bit sequence number.
    #[must_use]
    pub fn observe(&self) -> Option<u32> {
        self.uint(OptionNumber::OBSERVE)
    }

    /// The Block1 option: `Some(Err(_))` holds a value with the reserved size 7.
    #[must_use]
    pub fn block1(&self) -> Option<Result<Block, ReservedSize>> {
        self.block(OptionNumber::BLOCK1)
    }

    /// The Block2 option: `Some(Err(_))` holds a value with the reserved size 7.
    #[must_use]
    pub fn block2(&self) -> Option<Result<Block, ReservedSize>> {
        self.block(OptionNumber::BLOCK2)
    }

    fn block(&self, number: OptionNumber) -> Option<Result<Block, ReservedSize>> {
        self.uint(number).map(|value| Block::from_uint(value).ok_or(ReservedSize))
    }

    /// The request body's size in bytes; in a 4.13 the largest the server takes.
    #[must_use]
    pub fn size1(&self) -> Option<u32> {
        self.uint(OptionNumber::SIZE1)
    }

    /// The response body's size in bytes; 0 in a request asks for it.
    #[must_use]
    pub fn size2(&self) -> Option<u32> {
        self.uint(OptionNumber::SIZE2)
    }

    /// The first entity tag, 1 to 8 bytes.
    #[must_use]
    pub fn etag(&self) -> Option<&'a [u8]> {
        self.option(OptionNumber::ETAG).map(|option| option.value)
    }

    /// How long the response is fresh, in seconds; 60 when the message does not say.
    #[must_use]
    pub fn max_age_s(&self) -> u32 {
        self.uint(OptionNumber::MAX_AGE).unwrap_or(60)
    }

    /// The Echo value to be sent back, 1 to 40 bytes (RFC 9175 §2).
    #[must_use]
    pub fn echo(&self) -> Option<&'a [u8]> {
        self.option(OptionNumber::ECHO).map(|option| option.value)
    }

    /// The classes of responses the requester does not care for (RFC 7967): bits 2, 8 and 16 for
    /// 2.xx, 4.xx and 5.xx.
    #[must_use]
    pub fn no_response(&self) -> u8 {
        self.uint(OptionNumber::NO_RESPONSE).and_then(|bits| u8::try_from(bits).ok()).unwrap_or(0)
    }

    /// The first critical option that is not in `understood`, has a forbidden length, or is
    /// repeated although it may not be. Elective options never count: they are ignored.
    #[must_use]
    pub fn bad_option(&self, understood: &[OptionNumber]) -> Option<BadOption> {
        let mut last = None;
        for RawOption { number, value } in self.options() {
            let repeated = last == Some(number);
            last = Some(number);
            if !number.is_critical() {
                continue;
            }
            let reason = if !understood.contains(&number) {
                BadOptionReason::Unknown
            } else if !number.allows_len(value.len()) {
                BadOptionReason::Length
            } else if repeated && !number.is_repeatable() {
                BadOptionReason::Repeated
            } else {
                continue;
            };
            return Some(BadOption { number, reason });
        }
        None
    }

    /// True when every text option that is registered as such is UTF-8.
    #[must_use]
    pub fn is_text_valid(&self) -> bool {
        self.options().all(|option| {
            option.number.rule().is_none_or(|rule| rule.format != OptionFormat::Text)
                || core::str::from_utf8(option.value).is_ok()
        })
    }
}

/// A Block option with the size exponent 7, which is reserved over UDP (RFC 7959 §2.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ReservedSize;

/// The options of a [`Message`].
#[derive(Clone, Copy, Debug)]
pub struct Options<'a> {
    rest: &'a [u8],
    number: u16,
}

impl<'a> Options<'a> {
    /// Reads option bytes that were checked before; stops at the first flaw.
    pub(crate) const fn over(bytes: &'a [u8]) -> Self {
        Self { rest: bytes, number: 0 }
    }

    /// The bytes not yet read.
    pub(crate) const fn rest(&self) -> &'a [u8] {
        self.rest
    }
}

impl<'a> Iterator for Options<'a> {
    type Item = RawOption<'a>;

    #[inline]
    fn next(&mut self) -> Option<RawOption<'a>> {
        if self.rest.is_empty() {
            return None;
        }
        let (number, value, rest) = split_option(self.rest, self.number).ok()?;
        self.rest = rest;
        self.number = number;
        Some(RawOption { number: OptionNumber(number), value })
    }
}

/// Finds the end of the options, checking each, and the payload behind its marker.
fn split_payload(bytes: &[u8]) -> Result<(&[u8], &[u8]), MalformedReason> {
    let mut rest = bytes;
    let mut number = 0;
    loop {
        match rest {
            [] => return Ok((bytes, &[])),
            [0xff] => return Err(MalformedReason::NoPayload),
            [0xff, payload @ ..] => {
                let options_len = bytes.len() - rest.len();
                return Ok((bytes.get(..options_len).unwrap_or(&[]), payload));
            }
            _ => (number, _, rest) = split_option(rest, number)?,
        }
    }
}

/// Reads one option that begins at `bytes`, after an option with number `last`.
///
/// Returns its number, its value, and what follows. Each call consumes at least one byte.
#[inline]
fn split_option(bytes: &[u8], last: u16) -> Result<(u16, &[u8], &[u8]), MalformedReason> {
    let (&first, rest) = bytes.split_first().ok_or(MalformedReason::OptionCut)?;
    let (delta, rest) = extended(first >> 4, rest)?;
    let (len, rest) = extended(first & 15, rest)?;
    let number = u16::try_from(u32::from(last) + delta).map_err(|_| MalformedReason::OptionNumber)?;
    let len = usize::try_from(len).map_err(|_| MalformedReason::OptionCut)?;
    let (value, rest) = rest.split_at_checked(len).ok_or(MalformedReason::OptionCut)?;
    Ok((number, value, rest))
}

/// Reads a delta or length whose nibble is 13 or 14 from the bytes after it (RFC 7252 §3.1).
#[inline]
fn extended(nibble: u8, bytes: &[u8]) -> Result<(u32, &[u8]), MalformedReason> {
    match nibble {
        0..=12 => Ok((u32::from(nibble), bytes)),
        13 => {
            let (&byte, rest) = bytes.split_first().ok_or(MalformedReason::OptionCut)?;
            Ok((u32::from(byte) + 13, rest))
        }
        14 => {
            let (&word, rest) = bytes.split_first_chunk().ok_or(MalformedReason::OptionCut)?;
            Ok((u32::from(u16::from_be_bytes(word)) + 269, rest))
        }
        _ => Err(MalformedReason::ReservedNibble),
    }
}
