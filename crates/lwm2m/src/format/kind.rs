//! The formats by number and name, and what each may be used for.

use crate::Version;
use core::{fmt, str::FromStr};

/// A content format for resource data.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum Format {
    /// text/plain, 0: one value.
    Text,
    /// application/octet-stream, 42: one Opaque value.
    Opaque,
    /// application/cbor, 60: one value (since 1.1.1).
    Cbor,
    /// application/senml+json, 110 (since 1.1).
    SenmlJson,
    /// application/senml+cbor, 112 (since 1.1).
    SenmlCbor,
    /// application/senml-etch+json, 320: lists of paths and composite writes (since 1.2).
    SenmlEtchJson,
    /// application/senml-etch+cbor, 322: lists of paths and composite writes (since 1.2).
    SenmlEtchCbor,
    /// application/vnd.oma.lwm2m+tlv, 11542.
    Tlv,
    /// application/vnd.oma.lwm2m+json, 11543 (1.0 only). Read and written with the feature `alloc`.
    Json,
    /// application/vnd.oma.lwm2m+cbor, 11544 (since 1.2).
    Lwm2mCbor,
}

/// What a payload is for. Which formats it may have follows from the tables of the standard: Core TS 1.2, 7.4.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Use {
    /// The answer to a Read or Observe, and a notification.
    Read,
    /// A Write or Create.
    Write,
    /// The list of paths of a Read-Composite or Observe-Composite.
    CompositePaths,
    /// The answer to these, and a notification.
    CompositeRead,
    /// A Write-Composite.
    CompositeWrite,
    /// A Send.
    Send,
}

const FORMATS: [(Format, u16, &str); 10] = [
    (Format::Text, 0, "text"),
    (Format::Opaque, 42, "opaque"),
    (Format::Cbor, 60, "cbor"),
    (Format::SenmlJson, 110, "senml-json"),
    (Format::SenmlCbor, 112, "senml-cbor"),
    (Format::SenmlEtchJson, 320, "senml-etch-json"),
    (Format::SenmlEtchCbor, 322, "senml-etch-cbor"),
    (Format::Tlv, 11542, "tlv"),
    (Format::Json, 11543, "json"),
    (Format::Lwm2mCbor, 11544, "lwm2m-cbor"),
];

impl Format {
    /// The CoAP content-format number.
    #[must_use]
    pub const fn number(self) -> u16 {
        match self {
            Self::Text => 0,
            Self::Opaque => 42,
            Self::Cbor => 60,
            Self::SenmlJson => 110,
            Self::SenmlCbor => 112,
            Self::SenmlEtchJson => 320,
            Self::SenmlEtchCbor => 322,
            Self::Tlv => 11542,
            Self::Json => 11543,
            Self::Lwm2mCbor => 11544,
        }
    }

    /// The format with that CoAP content-format number, also under the numbers used before IANA gave them
    /// (1541 text, 1542 TLV, 1543 JSON, 1544 opaque), which devices in the field still send.
    #[must_use]
    pub const fn from_number(number: u16) -> Option<Self> {
        Some(match number {
            0 | 1541 => Self::Text,
            42 | 1544 => Self::Opaque,
            60 => Self::Cbor,
            110 => Self::SenmlJson,
            112 => Self::SenmlCbor,
            320 => Self::SenmlEtchJson,
            322 => Self::SenmlEtchCbor,
            11542 | 1542 => Self::Tlv,
            11543 | 1543 => Self::Json,
            11544 => Self::Lwm2mCbor,
            _ => return None,
        })
    }

    /// The name in the outer contract: `text opaque cbor senml-json senml-cbor tlv json lwm2m-cbor`, and, not offered there,
    /// `senml-etch-json senml-etch-cbor`.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Text => "text",
            Self::Opaque => "opaque",
            Self::Cbor => "cbor",
            Self::SenmlJson => "senml-json",
            Self::SenmlCbor => "senml-cbor",
            Self::SenmlEtchJson => "senml-etch-json",
            Self::SenmlEtchCbor => "senml-etch-cbor",
            Self::Tlv => "tlv",
            Self::Json => "json",
            Self::Lwm2mCbor => "lwm2m-cbor",
        }
    }

    /// Whether the format holds exactly one value: a single resource or a resource instance.
    #[must_use]
    pub const fn is_single_value(self) -> bool {
        matches!(self, Self::Text | Self::Opaque | Self::Cbor)
    }

    /// Whether the format is of the SenML-ETCH pair: only for what composite operations ask (RFC 8790).
    #[must_use]
    pub const fn is_senml_etch(self) -> bool {
        matches!(self, Self::SenmlEtchJson | Self::SenmlEtchCbor)
    }

    /// The first LwM2M version that has the format.
    #[must_use]
    pub const fn since(self) -> Version {
        match self {
            Self::Text | Self::Opaque | Self::Tlv | Self::Json => Version::V1_0,
            Self::Cbor | Self::SenmlJson | Self::SenmlCbor => Version::V1_1,
            Self::Lwm2mCbor | Self::SenmlEtchJson | Self::SenmlEtchCbor => Version::V1_2,
        }
    }

    /// Whether two sides that agreed on that version may use the format for that. A receiver may be more tolerant, a sender not.
    #[must_use]
    pub const fn is_for(self, purpose: Use, version: Version) -> bool {
        let known = match (self.since(), version) {
            (Version::V1_0, _) | (Version::V1_1, Version::V1_1 | Version::V1_2) => true,
            (Version::V1_2, Version::V1_2) => true,
            (Version::V1_1 | Version::V1_2, Version::V1_0) | (Version::V1_2, Version::V1_1) => false,
        };
        known
            && match self {
                // Composites in plain SenML are of 1.1 and again of 1.2.1.
                Self::SenmlJson | Self::SenmlCbor => true,
                Self::SenmlEtchJson | Self::SenmlEtchCbor => {
                    matches!(purpose, Use::CompositePaths | Use::CompositeWrite)
                }
                Self::Lwm2mCbor => !matches!(purpose, Use::CompositePaths),
                Self::Json => matches!(version, Version::V1_0) && matches!(purpose, Use::Read | Use::Write),
                Self::Text | Self::Opaque | Self::Cbor | Self::Tlv => {
                    matches!(purpose, Use::Read | Use::Write)
                }
            }
    }

    /// Whether the format is built in: SenML JSON and LwM2M CBOR are features that small devices leave out, LwM2M JSON needs `alloc`.
    #[must_use]
    pub const fn is_spoken(self) -> bool {
        match self {
            Self::SenmlJson | Self::SenmlEtchJson => cfg!(feature = "senml-json"),
            Self::Lwm2mCbor => cfg!(feature = "lwm2m-cbor"),
            Self::Json => cfg!(feature = "alloc"),
            Self::Text | Self::Opaque | Self::Cbor | Self::SenmlCbor | Self::SenmlEtchCbor | Self::Tlv => {
                true
            }
        }
    }

    /// All formats, ascending by number.
    pub fn all() -> impl Iterator<Item = Self> {
        FORMATS.into_iter().map(|(format, _, _)| format)
    }
}

impl fmt::Display for Format {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

/// The error of a text that names no format.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct UnknownFormat;

impl fmt::Display for UnknownFormat {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("not a known format")
    }
}

impl core::error::Error for UnknownFormat {}

impl FromStr for Format {
    type Err = UnknownFormat;

    fn from_str(text: &str) -> Result<Self, UnknownFormat> {
        FORMATS
            .into_iter()
            .find(|(_, _, name)| *name == text)
            .map(|(format, _, _)| format)
            .ok_or(UnknownFormat)
    }
}
