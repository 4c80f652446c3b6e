//! Versions: of the LwM2M enabler, and of an object.

use core::{fmt, str::FromStr};

/// The LwM2M enabler version that a device registers with (`lwm2m=`): two numbers, 1.2.2 says `1.2`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Version {
    /// LwM2M 1.0, 1.0.1, 1.0.2
    V1_0,
    /// LwM2M 1.1, 1.1.1
    V1_1,
    /// LwM2M 1.2, 1.2.1, 1.2.2
    V1_2,
}

/// The error of a text that names no version known here.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct UnknownVersion;

impl fmt::Display for UnknownVersion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("not a known version")
    }
}

impl core::error::Error for UnknownVersion {}

impl Version {
    /// The highest version spoken here.
    pub const LATEST: Self = Self::V1_2;

    /// `"1.0"`, `"1.1"` or `"1.2"`.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::V1_0 => "1.0",
            Self::V1_1 => "1.1",
            Self::V1_2 => "1.2",
        }
    }
}

impl FromStr for Version {
    type Err = UnknownVersion;

    fn from_str(text: &str) -> Result<Self, UnknownVersion> {
        match text {
            "1.0" => Ok(Self::V1_0),
            "1.1" => Ok(Self::V1_1),
            "1.2" => Ok(Self::V1_2),
            _ => Err(UnknownVersion),
        }
    }
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// The version of an object definition, `major.minor`; 1.0 when nothing is said.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ObjectVersion {
    /// Changes that break: other multiplicity, types, operations, mandatory resources.
    pub major: u8,
    /// Changes that do not: added optional resources.
    pub minor: u8,
}

impl ObjectVersion {
    /// The version of an object that says none.
    pub const V1_0: Self = Self { major: 1, minor: 0 };

    /// `major.minor`.
    #[must_use]
    pub const fn new(major: u8, minor: u8) -> Self {
        Self { major, minor }
    }
}

impl Default for ObjectVersion {
    fn default() -> Self {
        Self::V1_0
    }
}

impl FromStr for ObjectVersion {
    type Err = UnknownVersion;

    /// Reads `1.1`; two plain decimal numbers of at most 255.
    fn from_str(text: &str) -> Result<Self, UnknownVersion> {
        let (major, minor) = text.split_once('.').ok_or(UnknownVersion)?;
        Ok(Self { major: parse_part(major)?, minor: parse_part(minor)? })
    }
}

fn parse_part(digits: &str) -> Result<u8, UnknownVersion> {
    if digits.is_empty() || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(UnknownVersion);
    }
    digits.parse().map_err(|_| UnknownVersion)
}

impl fmt::Display for ObjectVersion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.major, self.minor)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_two_plain_numbers() {
        assert_eq!("1.2".parse(), Ok(Version::V1_2));
        assert_eq!("2.0".parse::<Version>(), Err(UnknownVersion));
        assert_eq!("2.1".parse(), Ok(ObjectVersion::new(2, 1)));
        for text in ["1", "1.1.1", "abc", "1.", ".1", "+1.0", "1.256", ""] {
            assert_eq!(text.parse::<ObjectVersion>(), Err(UnknownVersion), "{text}");
        }
    }
}
