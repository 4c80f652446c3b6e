//! Option numbers and the rules each one carries (RFC 7252 §5.4, §5.10, and its extensions).

use core::fmt;

use crate::block::Block;
use crate::content_format::ContentFormat;

/// The number of an option; its low bits say how a stranger to it must react.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct OptionNumber(pub u16);

/// What the bytes of an option mean.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OptionFormat {
    /// No bytes at all.
    Empty,
    /// Bytes without meaning to this layer.
    Opaque,
    /// An unsigned number, big-endian, no leading zeros when sent.
    Uint,
    /// UTF-8 text.
    Text,
}

/// The rules of one registered option.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OptionRule {
    /// The option.
    pub number: OptionNumber,
    /// Its name in the registry.
    pub name: &'static str,
    /// What its bytes mean.
    pub format: OptionFormat,
    /// Fewest bytes allowed.
    pub len_min: u16,
    /// Most bytes allowed.
    pub len_max: u16,
    /// Whether a message may carry it more than once.
    pub repeatable: bool,
}

macro_rules! options {
    ($($name:ident = $number:literal, $text:literal, $format:ident, $min:literal ..= $max:literal, $repeat:literal, $doc:literal;)*) => {
        impl OptionNumber {
            $(#[doc = $doc] pub const $name: Self = Self($number);)*

            /// The rules of this option, or `None` if it is not registered.
            #[must_use]
            pub const fn rule(self) -> Option<OptionRule> {
                match self {
                    $(Self::$name => Some(OptionRule {
                        number: self,
                        name: $text,
                        format: OptionFormat::$format,
                        len_min: $min,
                        len_max: $max,
                        repeatable: $repeat,
                    }),)*
                    _ => None,
                }
            }

            /// The lengths allowed and whether it may be repeated: of the rules, what is asked for each message.
            const fn bounds(self) -> Option<(u16, u16, bool)> {
                match self {
                    $(Self::$name => Some(($min, $max, $repeat)),)*
                    _ => None,
                }
            }
        }
    };
}

options! {
    IF_MATCH = 1, "If-Match", Opaque, 0 ..= 8, true, "RFC 7252 §5.10.8.1";
    URI_HOST = 3, "Uri-Host", Text, 1 ..= 255, false, "RFC 7252 §5.10.1";
    ETAG = 4, "ETag", Opaque, 1 ..= 8, true, "RFC 7252 §5.10.6; once in a response";
    IF_NONE_MATCH = 5, "If-None-Match", Empty, 0 ..= 0, false, "RFC 7252 §5.10.8.2";
    OBSERVE = 6, "Observe", Uint, 0 ..= 3, false, "RFC 7641";
    URI_PORT = 7, "Uri-Port", Uint, 0 ..= 2, false, "RFC 7252 §5.10.1";
    LOCATION_PATH = 8, "Location-Path", Text, 0 ..= 255, true, "RFC 7252 §5.10.7";
    OSCORE = 9, "OSCORE", Opaque, 0 ..= 255, false, "RFC 8613";
    URI_PATH = 11, "Uri-Path", Text, 0 ..= 255, true, "RFC 7252 §5.10.1";
    CONTENT_FORMAT = 12, "Content-Format", Uint, 0 ..= 2, false, "RFC 7252 §5.10.3";
    MAX_AGE = 14, "Max-Age", Uint, 0 ..= 4, false, "RFC 7252 §5.10.5, seconds";
    URI_QUERY = 15, "Uri-Query", Text, 0 ..= 255, true, "RFC 7252 §5.10.1";
    HOP_LIMIT = 16, "Hop-Limit", Uint, 1 ..= 1, false, "RFC 8768";
    ACCEPT = 17, "Accept", Uint, 0 ..= 2, false, "RFC 7252 §5.10.4";
    Q_BLOCK1 = 19, "Q-Block1", Uint, 0 ..= 3, false, "RFC 9177";
    LOCATION_QUERY = 20, "Location-Query", Text, 0 ..= 255, true, "RFC 7252 §5.10.7";
    EDHOC = 21, "EDHOC", Empty, 0 ..= 0, false, "RFC 9668";
    BLOCK2 = 23, "Block2", Uint, 0 ..= 3, false, "RFC 7959";
    BLOCK1 = 27, "Block1", Uint, 0 ..= 3, false, "RFC 7959";
    SIZE2 = 28, "Size2", Uint, 0 ..= 4, false, "RFC 7959 §4, bytes";
    Q_BLOCK2 = 31, "Q-Block2", Uint, 0 ..= 3, true, "RFC 9177";
    PROXY_URI = 35, "Proxy-Uri", Text, 1 ..= 1034, false, "RFC 7252 §5.10.2";
    PROXY_SCHEME = 39, "Proxy-Scheme", Text, 1 ..= 255, false, "RFC 7252 §5.10.2";
    SIZE1 = 60, "Size1", Uint, 0 ..= 4, false, "RFC 7252 §5.10.9, bytes";
    ECHO = 252, "Echo", Opaque, 1 ..= 40, false, "RFC 9175 §2";
    NO_RESPONSE = 258, "No-Response", Uint, 0 ..= 1, false, "RFC 7967";
    REQUEST_TAG = 292, "Request-Tag", Opaque, 0 ..= 8, true, "RFC 9175 §3";
}

impl OptionNumber {
    /// A message with such an option must be refused by whoever does not understand it.
    #[must_use]
    pub const fn is_critical(self) -> bool {
        self.0 & 1 == 1
    }

    /// A proxy that does not understand it must not forward the message.
    #[must_use]
    pub const fn is_unsafe(self) -> bool {
        self.0 & 2 == 2
    }

    /// The option is no part of the cache key (RFC 7252 §5.4.2); unsafe options always are.
    #[must_use]
    pub const fn is_no_cache_key(self) -> bool {
        self.0 & 0x1e == 0x1c
    }

    /// The registered name, such as `Uri-Path`.
    #[must_use]
    pub fn name(self) -> Option<&'static str> {
        self.rule().map(|rule| rule.name)
    }

    /// Whether a value of `len` bytes is allowed; unregistered options allow any.
    #[inline]
    #[must_use]
    pub fn allows_len(self, len: usize) -> bool {
        self.bounds().is_none_or(|(min, max, _)| (usize::from(min)..=usize::from(max)).contains(&len))
    }

    /// Whether a message may carry it more than once; unregistered options may be.
    #[inline]
    pub(crate) fn is_repeatable(self) -> bool {
        self.bounds().is_none_or(|(.., repeatable)| repeatable)
    }
}

impl fmt::Debug for OptionNumber {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl fmt::Display for OptionNumber {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.name() {
            Some(name) => f.write_str(name),
            None => write!(f, "option {}", self.0),
        }
    }
}

/// One option of a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RawOption<'a> {
    /// Which option.
    pub number: OptionNumber,
    /// Its bytes, unchecked.
    pub value: &'a [u8],
}

impl<'a> RawOption<'a> {
    /// The value as a number; leading zeros are accepted, more than 4 bytes are not.
    #[must_use]
    pub fn uint(&self) -> Option<u32> {
        if self.value.len() > 4 {
            return None;
        }
        Some(self.value.iter().fold(0, |sum, byte| sum << 8 | u32::from(*byte)))
    }

    /// The value as text; a segment that is not UTF-8 reads as U+FFFD, which no name equals.
    #[must_use]
    pub fn text(&self) -> &'a str {
        core::str::from_utf8(self.value).unwrap_or("\u{fffd}")
    }
}

/// The value as people read it, by the format of its option; behind a `!` stands what is wrong with it.
impl fmt::Display for RawOption<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let format = self.number.rule().map_or(OptionFormat::Opaque, |rule| rule.format);
        match (self.number, format, self.uint()) {
            (OptionNumber::CONTENT_FORMAT | OptionNumber::ACCEPT, _, Some(value)) => {
                let format = u16::try_from(value).ok().map(ContentFormat);
                match format.and_then(ContentFormat::media_type) {
                    Some(media_type) => write!(f, "{value} ({media_type})"),
                    None => write!(f, "{value}"),
                }
            }
            (OptionNumber::BLOCK1 | OptionNumber::BLOCK2, _, Some(value)) => match Block::from_uint(value) {
                Some(block) => {
                    let more = if block.more() { "more follow" } else { "the last" };
                    write!(f, "number {}, {more}, {} bytes each", block.num(), block.size().bytes())
                }
                None => write!(f, "{value} ! the block size is reserved"),
            },
            (OptionNumber::MAX_AGE, _, Some(value)) => write!(f, "{value} s"),
            (OptionNumber::SIZE1 | OptionNumber::SIZE2, _, Some(value)) => write!(f, "{value} bytes"),
            (_, OptionFormat::Uint, Some(value)) => write!(f, "{value}"),
            (_, OptionFormat::Text, _) => match core::str::from_utf8(self.value) {
                Ok(text) if !text.contains(char::is_control) => f.write_str(text),
                _ => {
                    hex(f, self.value)?;
                    f.write_str(" ! not plain UTF-8")
                }
            },
            (_, OptionFormat::Empty, _) if self.value.is_empty() => f.write_str("present"),
            _ => hex(f, self.value),
        }
    }
}

fn hex(f: &mut fmt::Formatter<'_>, bytes: &[u8]) -> fmt::Result {
    f.write_str("0x")?;
    bytes.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_number_bits_agree_with_the_registry_table() {
        // Transcribed from the "C U N" columns of RFC 7252 §5.10, RFC 7959 §2.1, RFC 9175 §2.2.1.
        let critical = [1, 3, 5, 7, 9, 11, 15, 17, 19, 21, 23, 27, 31, 35, 39];
        let elective = [4, 6, 8, 12, 14, 16, 20, 28, 60, 252, 258, 292];
        assert!(critical.iter().all(|number| OptionNumber(*number).is_critical()));
        assert!(elective.iter().all(|number| !OptionNumber(*number).is_critical()));
        for number in [28, 60, 252] {
            assert!(OptionNumber(number).is_no_cache_key(), "{number}");
        }
        assert!(!OptionNumber::REQUEST_TAG.is_no_cache_key());
        assert!(OptionNumber::NO_RESPONSE.is_unsafe() && OptionNumber::OBSERVE.is_unsafe());
    }

    #[test]
    fn lengths_are_checked_at_their_edges() {
        assert!(!OptionNumber::URI_HOST.allows_len(0));
        assert!(OptionNumber::URI_HOST.allows_len(255));
        assert!(!OptionNumber::URI_HOST.allows_len(256));
        assert!(OptionNumber::ECHO.allows_len(40) && !OptionNumber::ECHO.allows_len(41));
        assert!(OptionNumber(65_000).allows_len(70_000));
    }

    #[test]
    fn numbers_may_have_leading_zeros_but_not_more_than_four_bytes() {
        let option = |value| RawOption { number: OptionNumber::SIZE1, value };
        assert_eq!(option(&[][..]).uint(), Some(0));
        assert_eq!(option(&[0, 0x6e]).uint(), Some(110));
        assert_eq!(option(&[255; 4]).uint(), Some(u32::MAX));
        assert_eq!(option(&[0; 5]).uint(), None);
    }
}
