//! Names of registrations that say where they live.

use core::fmt;
use core::str::FromStr;

/// The identifier of a registration or of a secured session: `shard · node · random`, six bytes, twelve hex digits.
///
/// A session's is its connection ID. A registration's is part of the Location-Path (`/rd/` and this), so that every Update and De-register names its owner
/// (TS_Transport 6.4.3); the random part makes a foreign one hard to guess.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Locator {
    /// The shard that keeps the registration.
    pub shard: u8,
    /// The node that the shard belongs to.
    pub node: u8,
    /// Fresh for each registration.
    pub random: u32,
}

/// A registration is named by its [`Locator`].
pub type RegistrationId = Locator;

impl Locator {
    /// The identifier's bytes in the order of the text form.
    #[must_use]
    pub fn to_bytes(self) -> [u8; 6] {
        let [a, b, c, d] = self.random.to_be_bytes();
        [self.shard, self.node, a, b, c, d]
    }

    /// The reverse of [`Locator::to_bytes`].
    #[must_use]
    pub fn from_bytes(bytes: [u8; 6]) -> Self {
        let [shard, node, a, b, c, d] = bytes;
        Self { shard, node, random: u32::from_be_bytes([a, b, c, d]) }
    }

    /// The text form, twelve lowercase hex digits.
    #[must_use]
    pub fn to_hex(self) -> [u8; 12] {
        let mut text = [0; 12];
        for (pair, byte) in text.chunks_exact_mut(2).zip(self.to_bytes()) {
            pair.copy_from_slice(&[hex_digit(byte >> 4), hex_digit(byte & 15)]);
        }
        text
    }

    /// Reads the text form as bytes; only the canonical one, so that a registration has one name.
    #[must_use]
    pub fn parse(text: &[u8]) -> Option<Self> {
        let digits: &[u8; 12] = text.try_into().ok()?;
        let mut bytes = [0; 6];
        for (byte, pair) in bytes.iter_mut().zip(digits.chunks_exact(2)) {
            *byte = value_of(pair[0])? << 4 | value_of(pair[1])?;
        }
        Some(Self::from_bytes(bytes))
    }
}

impl fmt::Display for Locator {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(core::str::from_utf8(&self.to_hex()).unwrap_or_default())
    }
}

impl fmt::Debug for Locator {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl FromStr for Locator {
    type Err = BadLocator;

    fn from_str(text: &str) -> Result<Self, BadLocator> {
        Self::parse(text.as_bytes()).ok_or(BadLocator)
    }
}

/// The text is not twelve lowercase hex digits.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct BadLocator;

impl fmt::Display for BadLocator {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a registration id has twelve lowercase hex digits")
    }
}

impl std::error::Error for BadLocator {}

fn hex_digit(value: u8) -> u8 {
    match value {
        0..=9 => b'0' + value,
        _ => b'a' + value - 10,
    }
}

fn value_of(digit: u8) -> Option<u8> {
    match digit {
        b'0'..=b'9' => Some(digit - b'0'),
        b'a'..=b'f' => Some(digit - b'a' + 10),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_locator_has_one_text_form() {
        let locator = Locator { shard: 3, node: 0xAB, random: 0x0102_F0E0 };
        assert_eq!(locator.to_string(), "03ab0102f0e0");
        assert_eq!("03ab0102f0e0".parse(), Ok(locator));
        for bad in ["03AB0102f0e0", "03ab0102f0e", "03ab0102f0e00", "03ab0102f0eg", "+3ab0102f0e0", ""] {
            assert_eq!(bad.parse::<Locator>(), Err(BadLocator), "{bad}");
        }
    }
}
