//! The fixed header's parts: type, code, message ID, token (RFC 7252 §3).

use core::fmt;

/// How a message travels: confirmed or not, or as the confirmation itself (RFC 7252 §4).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Type {
    /// Confirmable: repeated until acknowledged or reset.
    Con,
    /// Non-confirmable: sent once.
    Non,
    /// Acknowledgement, empty or with a response inside.
    Ack,
    /// Reset: the message could not be processed.
    Reset,
}

impl Type {
    pub(crate) const fn bits(self) -> u8 {
        match self {
            Self::Con => 0,
            Self::Non => 1,
            Self::Ack => 2,
            Self::Reset => 3,
        }
    }

    pub(crate) const fn from_bits(bits: u8) -> Self {
        match bits & 3 {
            0 => Self::Con,
            1 => Self::Non,
            2 => Self::Ack,
            _ => Self::Reset,
        }
    }
}

/// A method or response code: three bits of class, five of detail, written `c.dd`.
///
/// Any byte is a legal `Code`; [`Code::kind`] says what can be done with it.
#[derive(Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Code(pub u8);

/// What the class of a [`Code`] makes of a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CodeKind {
    /// 0.00: no content, only a message-layer signal.
    Empty,
    /// 0.01 to 0.31.
    Request,
    /// Classes 2, 4 and 5.
    Response,
    /// Classes 1, 3, 6, and class 7, which exists only on reliable transports.
    Reserved,
}

macro_rules! codes {
    ($($name:ident = $class:literal . $detail:literal, $text:literal, $doc:literal;)*) => {
        impl Code {
            $(#[doc = $doc] pub const $name: Self = Self::new($class, $detail);)*

            /// The registered name, such as `Content`, or `None` for an unregistered code.
            #[must_use]
            pub const fn name(self) -> Option<&'static str> {
                match self {
                    $(Self::$name => Some($text),)*
                    _ => None,
                }
            }
        }
    };
}

codes! {
    EMPTY = 0 . 0, "Empty", "0.00 Empty";
    GET = 0 . 1, "GET", "0.01 GET";
    POST = 0 . 2, "POST", "0.02 POST";
    PUT = 0 . 3, "PUT", "0.03 PUT";
    DELETE = 0 . 4, "DELETE", "0.04 DELETE";
    FETCH = 0 . 5, "FETCH", "0.05 FETCH (RFC 8132)";
    PATCH = 0 . 6, "PATCH", "0.06 PATCH (RFC 8132)";
    IPATCH = 0 . 7, "iPATCH", "0.07 iPATCH (RFC 8132)";
    CREATED = 2 . 1, "Created", "2.01 Created";
    DELETED = 2 . 2, "Deleted", "2.02 Deleted";
    VALID = 2 . 3, "Valid", "2.03 Valid";
    CHANGED = 2 . 4, "Changed", "2.04 Changed";
    CONTENT = 2 . 5, "Content", "2.05 Content";
    CONTINUE = 2 . 31, "Continue", "2.31 Continue (RFC 7959)";
    BAD_REQUEST = 4 . 0, "Bad Request", "4.00 Bad Request";
    UNAUTHORIZED = 4 . 1, "Unauthorized", "4.01 Unauthorized";
    BAD_OPTION = 4 . 2, "Bad Option", "4.02 Bad Option";
    FORBIDDEN = 4 . 3, "Forbidden", "4.03 Forbidden";
    NOT_FOUND = 4 . 4, "Not Found", "4.04 Not Found";
    METHOD_NOT_ALLOWED = 4 . 5, "Method Not Allowed", "4.05 Method Not Allowed";
    NOT_ACCEPTABLE = 4 . 6, "Not Acceptable", "4.06 Not Acceptable";
    REQUEST_ENTITY_INCOMPLETE = 4 . 8, "Request Entity Incomplete", "4.08 Request Entity Incomplete (RFC 7959)";
    CONFLICT = 4 . 9, "Conflict", "4.09 Conflict (RFC 8132)";
    PRECONDITION_FAILED = 4 . 12, "Precondition Failed", "4.12 Precondition Failed";
    REQUEST_ENTITY_TOO_LARGE = 4 . 13, "Request Entity Too Large", "4.13 Request Entity Too Large";
    UNSUPPORTED_CONTENT_FORMAT = 4 . 15, "Unsupported Content-Format", "4.15 Unsupported Content-Format";
    UNPROCESSABLE_ENTITY = 4 . 22, "Unprocessable Entity", "4.22 Unprocessable Entity (RFC 8132)";
    TOO_MANY_REQUESTS = 4 . 29, "Too Many Requests", "4.29 Too Many Requests (RFC 8516)";
    INTERNAL_SERVER_ERROR = 5 . 0, "Internal Server Error", "5.00 Internal Server Error";
    NOT_IMPLEMENTED = 5 . 1, "Not Implemented", "5.01 Not Implemented";
    BAD_GATEWAY = 5 . 2, "Bad Gateway", "5.02 Bad Gateway";
    SERVICE_UNAVAILABLE = 5 . 3, "Service Unavailable", "5.03 Service Unavailable";
    GATEWAY_TIMEOUT = 5 . 4, "Gateway Timeout", "5.04 Gateway Timeout";
    PROXYING_NOT_SUPPORTED = 5 . 5, "Proxying Not Supported", "5.05 Proxying Not Supported";
    HOP_LIMIT_REACHED = 5 . 8, "Hop Limit Reached", "5.08 Hop Limit Reached (RFC 8768)";
    CSM = 7 . 1, "CSM", "7.01 CSM (RFC 8323, reliable transports only)";
    PING = 7 . 2, "Ping", "7.02 Ping (RFC 8323, reliable transports only)";
    PONG = 7 . 3, "Pong", "7.03 Pong (RFC 8323, reliable transports only)";
    RELEASE = 7 . 4, "Release", "7.04 Release (RFC 8323, reliable transports only)";
    ABORT = 7 . 5, "Abort", "7.05 Abort (RFC 8323, reliable transports only)";
}

impl Code {
    /// The code `class.detail`; only the low three and five bits count.
    #[must_use]
    pub const fn new(class: u8, detail: u8) -> Self {
        Self((class & 7) << 5 | detail & 31)
    }

    /// The number before the dot, 0 to 7.
    #[must_use]
    pub const fn class(self) -> u8 {
        self.0 >> 5
    }

    /// The number after the dot, 0 to 31.
    #[must_use]
    pub const fn detail(self) -> u8 {
        self.0 & 31
    }

    /// What a message with this code is.
    #[must_use]
    pub const fn kind(self) -> CodeKind {
        match (self.class(), self.detail()) {
            (0, 0) => CodeKind::Empty,
            (0, _) => CodeKind::Request,
            (2 | 4 | 5, _) => CodeKind::Response,
            _ => CodeKind::Reserved,
        }
    }

    /// True for 0.01 to 0.31.
    #[must_use]
    pub const fn is_request(self) -> bool {
        matches!(self.kind(), CodeKind::Request)
    }

    /// True for classes 2, 4 and 5.
    #[must_use]
    pub const fn is_response(self) -> bool {
        matches!(self.kind(), CodeKind::Response)
    }

    /// True for 2.xx.
    #[must_use]
    pub const fn is_success(self) -> bool {
        self.class() == 2
    }
}

impl fmt::Display for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{:02}", self.class(), self.detail())
    }
}

impl fmt::Debug for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// Names one message between two peers, for acknowledgement and duplicate detection.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct MessageId(pub u16);

/// Matches a response to its request: 0 to 8 opaque bytes chosen by the requester.
#[derive(Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Token {
    // Bytes beyond `len` are zero, so that derived comparison is right.
    bytes: [u8; Self::LEN_MAX],
    len: u8,
}

impl Token {
    /// The longest token of RFC 7252.
    pub const LEN_MAX: usize = 8;
    /// The token of no bytes, which is legal.
    pub const EMPTY: Self = Self { bytes: [0; Self::LEN_MAX], len: 0 };

    /// A token of these bytes; `None` when there are more than 8.
    #[must_use]
    pub fn new(token: &[u8]) -> Option<Self> {
        let mut bytes = [0; Self::LEN_MAX];
        match (bytes.first_chunk_mut(), token.as_array::<4>()) {
            // As long as most are: no call for so few bytes.
            (Some(place), Some(token)) => *place = *token,
            _ => bytes.get_mut(..token.len())?.copy_from_slice(token),
        }
        Some(Self { bytes, len: u8::try_from(token.len()).ok()? })
    }

    /// The token's bytes.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        self.bytes.get(..usize::from(self.len)).unwrap_or(&[])
    }

    /// Number of bytes, 0 to 8.
    #[must_use]
    pub const fn len(&self) -> u8 {
        self.len
    }

    /// True for the token of no bytes.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.len == 0
    }
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("0x")?;
        self.as_bytes().iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    extern crate std;
    use std::string::ToString as _;

    #[test]
    fn codes_print_as_the_standard_writes_them() {
        assert_eq!(Code::CONTENT.to_string(), "2.05");
        assert_eq!(Code::CONTENT.0, 0x45);
        assert_eq!(Code::UNAUTHORIZED.0, 0x81);
        assert_eq!(Code::IPATCH.name(), Some("iPATCH"));
        assert_eq!(Code::new(4, 21).name(), None);
    }

    #[test]
    fn every_byte_has_one_kind() {
        let count = |kind| (0..=255).filter(|byte| Code(*byte).kind() == kind).count();
        assert_eq!(count(CodeKind::Empty), 1);
        assert_eq!(count(CodeKind::Request), 31);
        assert_eq!(count(CodeKind::Response), 96);
        assert_eq!(count(CodeKind::Reserved), 128);
    }

    #[test]
    fn tokens_compare_by_their_bytes_and_length() {
        assert_eq!(Token::new(&[1; 9]), None);
        assert_ne!(Token::new(&[0]), Token::new(&[0, 0]));
        assert_eq!(Token::new(&[]), Some(Token::EMPTY));
        assert_eq!(Token::new(&[1, 2]).unwrap().as_bytes(), [1, 2]);
    }
}
