//! Who a device is and how it can be reached: the Endpoint Client Name and the bindings.

use crate::version::Version;
use core::fmt;

/// The longest Endpoint Client Name in bytes: what fits one CoAP Uri-Query option (255) after `ep=`.
pub const ENDPOINT_LEN_MAX: usize = 252;

/// Why a text is no Endpoint Client Name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum InvalidEndpoint {
    /// The name is empty.
    Empty,
    /// The name is longer than [`ENDPOINT_LEN_MAX`] bytes.
    TooLong,
    /// The name holds a control character, so it could forge log lines and headers.
    ControlCharacter,
}

impl fmt::Display for InvalidEndpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Empty => "the endpoint name is empty",
            Self::TooLong => "the endpoint name is too long",
            Self::ControlCharacter => "the endpoint name holds a control character",
        })
    }
}

impl core::error::Error for InvalidEndpoint {}

/// Checks a text as Endpoint Client Name. Any other UTF-8 is legal (Core TS 1.2, 6.3.1 recommends URNs).
///
/// # Errors
/// [`InvalidEndpoint`] says which rule is broken.
pub fn check_endpoint(name: &str) -> Result<(), InvalidEndpoint> {
    if name.is_empty() {
        return Err(InvalidEndpoint::Empty);
    }
    if name.len() > ENDPOINT_LEN_MAX {
        return Err(InvalidEndpoint::TooLong);
    }
    if name.chars().any(char::is_control) {
        return Err(InvalidEndpoint::ControlCharacter);
    }
    Ok(())
}

#[cfg(feature = "alloc")]
pub use owned::Endpoint;

#[cfg(feature = "alloc")]
mod owned {
    use super::{InvalidEndpoint, check_endpoint};
    use crate::readable::{Readable, readable};
    use alloc::sync::Arc;
    use core::{borrow::Borrow, fmt, ops::Deref, str::FromStr};

    /// An Endpoint Client Name: not empty, at most [`ENDPOINT_LEN_MAX`](super::ENDPOINT_LEN_MAX) bytes, no control characters.
    ///
    /// Cloning shares the text. Looks up maps by `&str`.
    #[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
    pub struct Endpoint(Arc<str>);

    impl Endpoint {
        /// Checks and keeps a name.
        ///
        /// # Errors
        /// [`InvalidEndpoint`] says which rule is broken.
        pub fn new(name: &str) -> Result<Self, InvalidEndpoint> {
            check_endpoint(name)?;
            Ok(Self(name.into()))
        }

        /// The name.
        #[must_use]
        pub fn as_str(&self) -> &str {
            &self.0
        }

        /// The name for a log line: nothing in it deceives, and it is short.
        #[must_use]
        pub fn readable(&self) -> Readable<'_> {
            readable(&self.0)
        }
    }

    impl Deref for Endpoint {
        type Target = str;

        fn deref(&self) -> &str {
            &self.0
        }
    }

    impl Borrow<str> for Endpoint {
        fn borrow(&self) -> &str {
            &self.0
        }
    }

    impl AsRef<str> for Endpoint {
        fn as_ref(&self) -> &str {
            &self.0
        }
    }

    impl FromStr for Endpoint {
        type Err = InvalidEndpoint;

        fn from_str(name: &str) -> Result<Self, InvalidEndpoint> {
            Self::new(name)
        }
    }

    impl fmt::Display for Endpoint {
        fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.pad(&self.0)
        }
    }

    impl fmt::Debug for Endpoint {
        fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            fmt::Debug::fmt(&*self.0, f)
        }
    }
}

/// The transports a device can be reached over (`b=`, `/3/0/16`, `/1/x/7`): a set of `U M H T S N`.
///
/// Queue mode is kept apart from it, as LwM2M 1.1 does; 1.0 wrote both as one word (`UQ`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Binding(u8);

const LETTERS: [(u8, char); 6] = [(1, 'U'), (2, 'M'), (4, 'H'), (8, 'T'), (16, 'S'), (32, 'N')];

impl Binding {
    /// CoAP over UDP: the default, and what every server speaks.
    pub const UDP: Self = Self(1);
    /// MQTT.
    pub const MQTT: Self = Self(2);
    /// HTTP.
    pub const HTTP: Self = Self(4);
    /// CoAP over TCP.
    pub const TCP: Self = Self(8);
    /// CoAP over SMS.
    pub const SMS: Self = Self(16);
    /// CoAP over a non-IP link.
    pub const NON_IP: Self = Self(32);

    /// Both sets together.
    #[must_use]
    pub const fn with(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// Whether all transports of `other` are in the set.
    #[must_use]
    pub const fn contains(self, other: Self) -> bool {
        self.0 & other.0 == other.0
    }

    /// Reads the `b` parameter of a registration; the answer says also whether it asks for queue mode.
    ///
    /// 1.0 knows `U UQ S SQ US UQS`. Since 1.1 the letters come in any order and `Q` is its own parameter; a `Q` inside is
    /// tolerated as queue mode, because devices in the field send it. `None`: empty, an unknown letter or one twice.
    #[must_use]
    pub fn parse(text: &str, version: Version) -> Option<(Self, bool)> {
        if version == Version::V1_0 && !matches!(text, "U" | "UQ" | "S" | "SQ" | "US" | "UQS") {
            return None;
        }
        let mut bits = 0;
        let mut queue_mode = false;
        for letter in text.chars() {
            if letter == 'Q' {
                if queue_mode || bits == 0 {
                    return None;
                }
                queue_mode = true;
                continue;
            }
            let (bit, _) = LETTERS.into_iter().find(|(_, known)| *known == letter)?;
            if bits & bit != 0 {
                return None;
            }
            bits |= bit;
        }
        (bits != 0).then_some((Self(bits), queue_mode))
    }

    /// The text of the `b` parameter for a version, with the 1.0 forms of queue mode.
    #[must_use]
    pub fn to_text(self, version: Version, queue_mode: bool) -> BindingText {
        let mut text = BindingText { bytes: [0; 8], len: 0 };
        for (bit, letter) in LETTERS {
            if self.0 & bit == 0 {
                continue;
            }
            text.push(letter);
            if queue_mode && version == Version::V1_0 && !text.as_str().contains('Q') {
                text.push('Q');
            }
        }
        text
    }
}

impl Default for Binding {
    fn default() -> Self {
        Self::UDP
    }
}

impl fmt::Display for Binding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.to_text(Version::V1_1, false).as_str())
    }
}

/// The letters of a [`Binding`] as text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BindingText {
    bytes: [u8; 8],
    len: usize,
}

impl BindingText {
    fn push(&mut self, letter: char) {
        if let (Some(slot), Ok(byte)) = (self.bytes.get_mut(self.len), u8::try_from(letter)) {
            *slot = byte;
            self.len += 1;
        }
    }

    /// The letters.
    #[must_use]
    pub fn as_str(&self) -> &str {
        self.bytes.get(..self.len).and_then(|bytes| core::str::from_utf8(bytes).ok()).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::string::ToString;

    #[test]
    fn bindings_of_1_0_carry_queue_mode() {
        assert_eq!(Binding::parse("UQ", Version::V1_0), Some((Binding::UDP, true)));
        assert_eq!(Binding::parse("UQS", Version::V1_0), Some((Binding::UDP.with(Binding::SMS), true)));
        assert_eq!(Binding::parse("UT", Version::V1_0), None);
        assert_eq!(Binding::UDP.with(Binding::SMS).to_text(Version::V1_0, true).as_str(), "UQS");
        assert_eq!(Binding::SMS.to_text(Version::V1_0, true).as_str(), "SQ");
    }

    #[test]
    fn bindings_since_1_1_are_a_set_of_letters() {
        assert_eq!(Binding::parse("TU", Version::V1_1), Some((Binding::UDP.with(Binding::TCP), false)));
        assert_eq!(Binding::UDP.with(Binding::TCP).to_string(), "UT");
        for text in ["", "XYZ", "UU", "u", "Q", "U Q"] {
            assert_eq!(Binding::parse(text, Version::V1_1), None, "{text}");
        }
    }

    #[cfg(feature = "alloc")]
    #[test]
    fn endpoint_names_without_control_characters() {
        assert!(Endpoint::new("urn:imei:123456789012345").is_ok());
        assert!(
            Endpoint::new("../../etc/passwd").is_ok(),
            "text like any other; whoever prints it escapes it"
        );
        assert_eq!(Endpoint::new(""), Err(InvalidEndpoint::Empty));
        assert_eq!(Endpoint::new("a\0b\r\nc"), Err(InvalidEndpoint::ControlCharacter));
        assert_eq!(Endpoint::new(&"e".repeat(253)), Err(InvalidEndpoint::TooLong));
    }
}
