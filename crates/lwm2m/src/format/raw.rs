//! A value as a payload holds it, before its data type is known.

#![allow(clippy::wildcard_enum_match_arm, reason = "a pair of types converts or does not")]

use super::{base64, json::JsonText};
use crate::{DataType, ObjectLink, Value, float};
use core::fmt;

/// A value as the payload holds it.
///
/// [`RawValue::decode`] turns it into a [`Value`] of a data type. Only texts with JSON escapes and Base64 need scratch memory,
/// and never more than [`RawValue::scratch_len`].
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct RawValue<'a>(Raw<'a>);

#[derive(Clone, Copy, Debug, PartialEq)]
enum Raw<'a> {
    /// An object instance or a multiple resource that holds nothing.
    Container,
    /// A name without a value.
    Nothing,
    /// An explicit null: remove it.
    Null,
    /// text/plain: every type has its text form.
    Text(&'a str),
    /// The bytes of a TLV: every type has its byte form.
    Tlv(&'a [u8]),
    Integer(i64),
    /// Above `i64::MAX` only.
    Unsigned(u64),
    Float(f64),
    Boolean(bool),
    String(&'a str),
    Escaped(JsonText<'a>),
    Opaque(&'a [u8]),
    Base64(JsonText<'a>),
    /// A text that LwM2M JSON uses for Opaque, too.
    #[cfg(feature = "alloc")]
    EscapedOrBase64(JsonText<'a>),
    ObjectLink(ObjectLink),
}

/// Why a value is not of the wanted data type. A device answers with 4.00, and with 4.13 for [`ValueError::ScratchTooSmall`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ValueError {
    /// The payload says another type.
    WrongType,
    /// The text or bytes are no value of the type.
    Malformed,
    /// The number does not fit the type.
    OutOfRange,
    /// There is no value.
    NoValue,
    /// The scratch memory is too small.
    ScratchTooSmall,
}

impl fmt::Display for ValueError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::WrongType => "the value is of another type",
            Self::Malformed => "the value is malformed",
            Self::OutOfRange => "the number is out of range",
            Self::NoValue => "there is no value",
            Self::ScratchTooSmall => "the scratch memory is too small",
        })
    }
}

impl core::error::Error for ValueError {}

impl<'a> RawValue<'a> {
    pub(super) const fn container() -> Self {
        Self(Raw::Container)
    }

    pub(super) const fn nothing() -> Self {
        Self(Raw::Nothing)
    }

    pub(super) const fn null() -> Self {
        Self(Raw::Null)
    }

    pub(super) const fn text(text: &'a str) -> Self {
        Self(Raw::Text(text))
    }

    pub(super) const fn tlv(bytes: &'a [u8]) -> Self {
        Self(Raw::Tlv(bytes))
    }

    pub(super) const fn opaque(bytes: &'a [u8]) -> Self {
        Self(Raw::Opaque(bytes))
    }

    pub(super) const fn string(text: &'a str) -> Self {
        Self(Raw::String(text))
    }

    pub(super) const fn json_text(text: JsonText<'a>) -> Self {
        Self(Raw::Escaped(text))
    }

    pub(super) const fn json_base64(text: JsonText<'a>) -> Self {
        Self(Raw::Base64(text))
    }

    #[cfg(feature = "alloc")]
    pub(super) const fn json_text_or_base64(text: JsonText<'a>) -> Self {
        Self(Raw::EscapedOrBase64(text))
    }

    pub(super) const fn integer(integer: i64) -> Self {
        Self(Raw::Integer(integer))
    }

    pub(super) fn unsigned(integer: u64) -> Self {
        Self(i64::try_from(integer).map_or(Raw::Unsigned(integer), Raw::Integer))
    }

    pub(super) const fn float(float: f64) -> Self {
        Self(Raw::Float(float))
    }

    pub(super) const fn boolean(flag: bool) -> Self {
        Self(Raw::Boolean(flag))
    }

    pub(super) const fn object_link(link: ObjectLink) -> Self {
        Self(Raw::ObjectLink(link))
    }

    /// Whether the entry is an object instance or multiple resource that holds nothing.
    #[must_use]
    pub const fn is_container(&self) -> bool {
        matches!(self.0, Raw::Container)
    }

    /// Whether the entry is a name without a value, as in the request of a Read-Composite.
    #[must_use]
    pub const fn is_nothing(&self) -> bool {
        matches!(self.0, Raw::Nothing)
    }

    /// Whether the entry says null: the node is to be removed.
    #[must_use]
    pub const fn is_null(&self) -> bool {
        matches!(self.0, Raw::Null)
    }

    /// Whether the payload is text/plain, where every type has its text form.
    #[must_use]
    pub const fn is_text(&self) -> bool {
        matches!(self.0, Raw::Text(_))
    }

    /// The data type that the payload itself shows; `None` for text/plain and TLV, which show none.
    #[must_use]
    pub const fn natural_type(&self) -> Option<DataType> {
        match self.0 {
            Raw::Container | Raw::Nothing | Raw::Null | Raw::Text(_) | Raw::Tlv(_) => None,
            Raw::Integer(_) => Some(DataType::Integer),
            Raw::Unsigned(_) => Some(DataType::Unsigned),
            Raw::Float(_) => Some(DataType::Float),
            Raw::Boolean(_) => Some(DataType::Boolean),
            Raw::String(_) | Raw::Escaped(_) => Some(DataType::String),
            #[cfg(feature = "alloc")]
            Raw::EscapedOrBase64(_) => Some(DataType::String),
            Raw::Opaque(_) | Raw::Base64(_) => Some(DataType::Opaque),
            Raw::ObjectLink(_) => Some(DataType::ObjectLink),
        }
    }

    /// How much scratch memory [`RawValue::decode`] needs for that type at most, in bytes.
    #[must_use]
    pub fn scratch_len(&self, data_type: DataType) -> usize {
        match self.0 {
            Raw::Escaped(text) | Raw::Base64(text) => text.decoded_len_max(),
            #[cfg(feature = "alloc")]
            Raw::EscapedOrBase64(text) => text.decoded_len_max(),
            Raw::Text(text) if data_type == DataType::Opaque => text.len(),
            _ => 0,
        }
    }

    /// The value as one of a data type. It borrows from the payload, or from `scratch`.
    ///
    /// Peers differ, so this is tolerant where nothing is lost: a Float may come as an integer, an integer as a float without a
    /// fraction, an object link as text. A number that does not fit is an error, never cut.
    ///
    /// # Errors
    /// [`ValueError`] says what does not fit.
    pub fn decode<'s>(&self, data_type: DataType, scratch: &'s mut [u8]) -> Result<Value<'s>, ValueError>
    where
        'a: 's,
    {
        match self.0 {
            Raw::Container | Raw::Nothing | Raw::Null => Err(ValueError::NoValue),
            Raw::Text(text) => from_text(text, data_type, scratch),
            Raw::Tlv(bytes) => from_tlv(bytes, data_type),
            Raw::Integer(integer) => from_integer(integer.into(), data_type),
            Raw::Unsigned(integer) => from_integer(integer.into(), data_type),
            Raw::Float(float) => from_float(float, data_type),
            Raw::Boolean(flag) if data_type == DataType::Boolean => Ok(Value::Boolean(flag)),
            Raw::String(text) => from_string(text, data_type),
            #[cfg(feature = "alloc")]
            Raw::EscapedOrBase64(text) if data_type == DataType::Opaque => from_base64(text.chars(), scratch),
            #[cfg(feature = "alloc")]
            Raw::EscapedOrBase64(text) => match text.borrowed() {
                Some(plain) => from_string(plain, data_type),
                None => Self(Raw::Escaped(text)).decode(data_type, scratch),
            },
            Raw::Escaped(text) => {
                from_string(text.unescape(scratch).ok_or(ValueError::ScratchTooSmall)?, data_type)
            }
            Raw::Opaque(bytes) if data_type == DataType::Opaque => Ok(Value::Opaque(bytes)),
            Raw::Base64(text) if data_type == DataType::Opaque => from_base64(text.chars(), scratch),
            Raw::ObjectLink(link) if data_type == DataType::ObjectLink => Ok(Value::ObjectLink(link)),
            Raw::Boolean(_) | Raw::Opaque(_) | Raw::Base64(_) | Raw::ObjectLink(_) => {
                Err(ValueError::WrongType)
            }
        }
    }

    /// The value as one of a data type, owned.
    ///
    /// # Errors
    /// [`ValueError`] says what does not fit.
    #[cfg(feature = "alloc")]
    pub fn decode_owned(&self, data_type: DataType) -> Result<crate::OwnedValue, ValueError> {
        let mut scratch = alloc::vec![0; self.scratch_len(data_type)];
        self.decode(data_type, &mut scratch).map(Value::into_owned)
    }
}

fn from_string(text: &str, data_type: DataType) -> Result<Value<'_>, ValueError> {
    match data_type {
        DataType::String => Ok(Value::String(text)),
        DataType::Corelnk => Ok(Value::Corelnk(text)),
        DataType::ObjectLink => text.parse().map(Value::ObjectLink).map_err(|_| ValueError::Malformed),
        _ => Err(ValueError::WrongType),
    }
}

fn from_base64<'s>(text: impl Iterator<Item = char>, scratch: &'s mut [u8]) -> Result<Value<'s>, ValueError> {
    let len = base64::decode(text, scratch)
        .ok_or(ValueError::Malformed)?
        .map_err(|()| ValueError::ScratchTooSmall)?;
    Ok(Value::Opaque(scratch.get(..len).unwrap_or_default()))
}

fn from_text<'s>(text: &'s str, data_type: DataType, scratch: &'s mut [u8]) -> Result<Value<'s>, ValueError> {
    match data_type {
        DataType::String | DataType::Corelnk | DataType::ObjectLink => from_string(text, data_type),
        DataType::Integer => parse_integer(text).map(Value::Integer),
        DataType::Time => parse_integer(text).map(Value::Time),
        DataType::Unsigned => parse_integer(text).map(Value::Unsigned),
        DataType::Float => parse_float(text).map(Value::Float),
        DataType::Boolean => match text {
            "0" => Ok(Value::Boolean(false)),
            "1" => Ok(Value::Boolean(true)),
            _ => Err(ValueError::Malformed),
        },
        DataType::Opaque => from_base64(text.chars(), scratch),
    }
}

/// Decimal digits after an optional minus sign; a fraction of zeros is tolerated.
fn parse_integer<T: core::str::FromStr>(text: &str) -> Result<T, ValueError> {
    let text = match text.split_once('.') {
        Some((whole, zeros)) if !zeros.is_empty() && zeros.bytes().all(|byte| byte == b'0') => whole,
        _ => text,
    };
    let digits = text.strip_prefix('-').unwrap_or(text);
    if digits.is_empty() || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(ValueError::Malformed);
    }
    text.parse().map_err(|_| ValueError::OutOfRange)
}

/// A decimal number; exponents are read though the standard writes none. No `inf`, no `nan`, no plus sign in front.
fn parse_float(text: &str) -> Result<f64, ValueError> {
    let first = text.strip_prefix('-').unwrap_or(text).bytes().next();
    if !first.is_some_and(|byte| byte.is_ascii_digit()) {
        return Err(ValueError::Malformed);
    }
    let float = float::parse(text).ok_or(ValueError::Malformed)?;
    if float.is_finite() { Ok(float) } else { Err(ValueError::OutOfRange) }
}

fn from_tlv(bytes: &[u8], data_type: DataType) -> Result<Value<'_>, ValueError> {
    match data_type {
        DataType::String => core::str::from_utf8(bytes).map(Value::String).map_err(|_| ValueError::Malformed),
        DataType::Corelnk => {
            core::str::from_utf8(bytes).map(Value::Corelnk).map_err(|_| ValueError::Malformed)
        }
        DataType::Opaque => Ok(Value::Opaque(bytes)),
        DataType::Integer => signed(bytes).map(Value::Integer),
        DataType::Time => signed(bytes).map(Value::Time),
        DataType::Unsigned => {
            if !matches!(bytes.len(), 1 | 2 | 4 | 8) {
                return Err(ValueError::Malformed);
            }
            Ok(Value::Unsigned(bytes.iter().fold(0, |number, byte| number << 8 | u64::from(*byte))))
        }
        DataType::Float => {
            if let Ok(bytes) = <[u8; 4]>::try_from(bytes) {
                Ok(Value::Float(f32::from_be_bytes(bytes).into()))
            } else if let Ok(bytes) = <[u8; 8]>::try_from(bytes) {
                Ok(Value::Float(f64::from_be_bytes(bytes)))
            } else {
                Err(ValueError::Malformed)
            }
        }
        DataType::Boolean => match bytes {
            [0] => Ok(Value::Boolean(false)),
            [1] => Ok(Value::Boolean(true)),
            _ => Err(ValueError::Malformed),
        },
        DataType::ObjectLink => match *bytes {
            [a, b, c, d] => Ok(Value::ObjectLink(ObjectLink {
                object: u16::from_be_bytes([a, b]),
                instance: u16::from_be_bytes([c, d]),
            })),
            _ => Err(ValueError::Malformed),
        },
    }
}

/// Two's complement of 1, 2, 4 or 8 bytes.
fn signed(bytes: &[u8]) -> Result<i64, ValueError> {
    match *bytes {
        [a] => Ok(i8::from_be_bytes([a]).into()),
        [a, b] => Ok(i16::from_be_bytes([a, b]).into()),
        [a, b, c, d] => Ok(i32::from_be_bytes([a, b, c, d]).into()),
        _ => bytes.try_into().map(i64::from_be_bytes).map_err(|_| ValueError::Malformed),
    }
}

#[allow(clippy::as_conversions, clippy::cast_precision_loss, reason = "a Float rounds")]
fn from_integer<'a>(integer: i128, data_type: DataType) -> Result<Value<'a>, ValueError> {
    match data_type {
        DataType::Integer => integer.try_into().map(Value::Integer).map_err(|_| ValueError::OutOfRange),
        DataType::Time => integer.try_into().map(Value::Time).map_err(|_| ValueError::OutOfRange),
        DataType::Unsigned => integer.try_into().map(Value::Unsigned).map_err(|_| ValueError::OutOfRange),
        DataType::Float => Ok(Value::Float(integer as f64)),
        _ => Err(ValueError::WrongType),
    }
}

/// A float is also an integer when it has no fraction and lies inside the range where every integer has its own float.
#[allow(clippy::as_conversions, clippy::cast_possible_truncation, reason = "checked for exactness")]
fn from_float<'a>(float: f64, data_type: DataType) -> Result<Value<'a>, ValueError> {
    const EXACT_MAX: f64 = 9_007_199_254_740_992.0;
    match data_type {
        DataType::Float => Ok(Value::Float(float)),
        DataType::Integer | DataType::Unsigned | DataType::Time => {
            if !float.is_finite() {
                return Err(ValueError::WrongType);
            }
            if float.abs() > EXACT_MAX {
                return Err(ValueError::OutOfRange);
            }
            let integer = float as i64;
            if integer as f64 != float {
                return Err(ValueError::WrongType);
            }
            from_integer(integer.into(), data_type)
        }
        _ => Err(ValueError::WrongType),
    }
}
