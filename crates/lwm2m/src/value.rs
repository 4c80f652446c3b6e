//! Values of resources and their data types. Core TS 1.2, appendix C.

use crate::id::{MAX_ID, ObjectId, ObjectInstanceId};
use crate::path::Path;
use core::{fmt, str::FromStr};

/// The data type of a resource.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum DataType {
    /// UTF-8 text.
    String,
    /// Signed integer of 8 to 64 bits.
    Integer,
    /// Unsigned integer of 8 to 64 bits (since 1.1).
    Unsigned,
    /// IEEE 754 number of 32 or 64 bits.
    Float,
    /// True or false.
    Boolean,
    /// Bytes.
    Opaque,
    /// Seconds since 1970-01-01T00:00Z.
    Time,
    /// A reference to an object instance.
    ObjectLink,
    /// RFC 6690 link format text (since 1.1).
    Corelnk,
}

impl DataType {
    /// The names of the outer contract: `string integer unsigned float boolean opaque time objlnk corelnk`.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::String => "string",
            Self::Integer => "integer",
            Self::Unsigned => "unsigned",
            Self::Float => "float",
            Self::Boolean => "boolean",
            Self::Opaque => "opaque",
            Self::Time => "time",
            Self::ObjectLink => "objlnk",
            Self::Corelnk => "corelnk",
        }
    }

    /// Whether gt, lt and st may stand on a resource of this type.
    #[must_use]
    pub const fn is_numeric(self) -> bool {
        matches!(self, Self::Integer | Self::Unsigned | Self::Float | Self::Time)
    }
}

impl fmt::Display for DataType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

/// The error of a text that names no data type.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct UnknownDataType;

impl fmt::Display for UnknownDataType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("not a data type")
    }
}

impl core::error::Error for UnknownDataType {}

impl FromStr for DataType {
    type Err = UnknownDataType;

    /// Reads the names of [`DataType::as_str`] and, case apart, those of OMA's XML (`Unsigned Integer`).
    fn from_str(text: &str) -> Result<Self, UnknownDataType> {
        const NAMES: [(&str, DataType); 11] = [
            ("string", DataType::String),
            ("integer", DataType::Integer),
            ("unsigned", DataType::Unsigned),
            ("unsigned integer", DataType::Unsigned),
            ("float", DataType::Float),
            ("boolean", DataType::Boolean),
            ("opaque", DataType::Opaque),
            ("time", DataType::Time),
            ("objlnk", DataType::ObjectLink),
            ("corelnk", DataType::Corelnk),
            ("corelink", DataType::Corelnk),
        ];
        let known = NAMES.iter().find(|(name, _)| name.eq_ignore_ascii_case(text));
        known.map(|(_, data_type)| *data_type).ok_or(UnknownDataType)
    }
}

/// A reference to an object instance, written `oid:iid`. 65535 in either place means "none".
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ObjectLink {
    /// Object ID, or 65535.
    pub object: u16,
    /// Object Instance ID, or 65535.
    pub instance: u16,
}

impl ObjectLink {
    /// The link to nothing, 65535:65535.
    pub const NULL: Self = Self { object: MAX_ID, instance: MAX_ID };

    /// The link to an object instance.
    #[must_use]
    pub const fn to(object: ObjectId, instance: ObjectInstanceId) -> Self {
        Self { object: object.get(), instance: instance.get() }
    }

    /// The linked node: an object instance, an object (`oid:65535`), or `None` for no link.
    #[must_use]
    pub fn path(self) -> Option<Path> {
        let object = ObjectId::new(self.object)?;
        Some(match ObjectInstanceId::new(self.instance) {
            Some(instance) => Path::instance(object, instance),
            None => Path::object(object),
        })
    }
}

/// The error of a text that is no `oid:iid`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct InvalidObjectLink;

impl fmt::Display for InvalidObjectLink {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("not an object link")
    }
}

impl core::error::Error for InvalidObjectLink {}

impl FromStr for ObjectLink {
    type Err = InvalidObjectLink;

    /// Reads `3:0`, and `FFFF:FFFF`, which one example of the standard prints for no link.
    fn from_str(text: &str) -> Result<Self, InvalidObjectLink> {
        if text.eq_ignore_ascii_case("FFFF:FFFF") {
            return Ok(Self::NULL);
        }
        let number = |digits: &str| -> Result<u16, InvalidObjectLink> {
            let canonical = match digits.as_bytes() {
                [] | [b'0', _, ..] => false,
                bytes => bytes.iter().all(u8::is_ascii_digit),
            };
            if canonical { digits.parse().map_err(|_| InvalidObjectLink) } else { Err(InvalidObjectLink) }
        };
        let (object, instance) = text.split_once(':').ok_or(InvalidObjectLink)?;
        Ok(Self { object: number(object)?, instance: number(instance)? })
    }
}

impl fmt::Display for ObjectLink {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.object, self.instance)
    }
}

/// A value of a resource or resource instance, borrowed from wherever it lies.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Value<'a> {
    /// UTF-8 text.
    String(&'a str),
    /// Signed integer.
    Integer(i64),
    /// Unsigned integer.
    Unsigned(u64),
    /// Floating point number.
    Float(f64),
    /// True or false.
    Boolean(bool),
    /// Bytes.
    Opaque(&'a [u8]),
    /// Seconds since 1970.
    Time(i64),
    /// A reference to an object instance.
    ObjectLink(ObjectLink),
    /// RFC 6690 link format text.
    Corelnk(&'a str),
}

impl Value<'_> {
    /// The data type of the value.
    #[must_use]
    pub const fn data_type(&self) -> DataType {
        match self {
            Self::String(_) => DataType::String,
            Self::Integer(_) => DataType::Integer,
            Self::Unsigned(_) => DataType::Unsigned,
            Self::Float(_) => DataType::Float,
            Self::Boolean(_) => DataType::Boolean,
            Self::Opaque(_) => DataType::Opaque,
            Self::Time(_) => DataType::Time,
            Self::ObjectLink(_) => DataType::ObjectLink,
            Self::Corelnk(_) => DataType::Corelnk,
        }
    }

    /// The value as a number, as gt, lt and st compare it; `None` for types that are none. 64-bit integers are rounded.
    #[must_use]
    #[allow(
        clippy::as_conversions,
        clippy::cast_precision_loss,
        reason = "rounding to the nearest f64 is what is wanted"
    )]
    pub const fn as_f64(&self) -> Option<f64> {
        match self {
            Self::Integer(value) | Self::Time(value) => Some(*value as f64),
            Self::Unsigned(value) => Some(*value as f64),
            Self::Float(value) => Some(*value),
            Self::String(_) | Self::Boolean(_) | Self::Opaque(_) | Self::ObjectLink(_) | Self::Corelnk(_) => {
                None
            }
        }
    }
}

macro_rules! value_from {
    ($($from:ty => |$value:ident| $make:expr;)*) => {
        $(impl<'a> From<$from> for Value<'a> {
            fn from($value: $from) -> Self {
                $make
            }
        })*
    };
}

value_from! {
    &'a str => |value| Value::String(value);
    i64 => |value| Value::Integer(value);
    i32 => |value| Value::Integer(value.into());
    i16 => |value| Value::Integer(value.into());
    i8 => |value| Value::Integer(value.into());
    u64 => |value| Value::Unsigned(value);
    u32 => |value| Value::Unsigned(value.into());
    u16 => |value| Value::Unsigned(value.into());
    u8 => |value| Value::Unsigned(value.into());
    f64 => |value| Value::Float(value);
    f32 => |value| Value::Float(value.into());
    bool => |value| Value::Boolean(value);
    &'a [u8] => |value| Value::Opaque(value);
    ObjectLink => |value| Value::ObjectLink(value);
}

#[cfg(feature = "alloc")]
mod owned {
    use super::{DataType, ObjectLink, Value};
    use alloc::{string::String, vec::Vec};

    /// A [`Value`] that owns its text or bytes.
    #[derive(Clone, Debug, PartialEq)]
    pub enum OwnedValue {
        /// UTF-8 text.
        String(String),
        /// Signed integer.
        Integer(i64),
        /// Unsigned integer.
        Unsigned(u64),
        /// Floating point number.
        Float(f64),
        /// True or false.
        Boolean(bool),
        /// Bytes.
        Opaque(Vec<u8>),
        /// Seconds since 1970.
        Time(i64),
        /// A reference to an object instance.
        ObjectLink(ObjectLink),
        /// RFC 6690 link format text.
        Corelnk(String),
    }

    impl OwnedValue {
        /// The value, borrowed.
        #[must_use]
        pub fn as_value(&self) -> Value<'_> {
            match self {
                Self::String(value) => Value::String(value),
                Self::Integer(value) => Value::Integer(*value),
                Self::Unsigned(value) => Value::Unsigned(*value),
                Self::Float(value) => Value::Float(*value),
                Self::Boolean(value) => Value::Boolean(*value),
                Self::Opaque(value) => Value::Opaque(value),
                Self::Time(value) => Value::Time(*value),
                Self::ObjectLink(value) => Value::ObjectLink(*value),
                Self::Corelnk(value) => Value::Corelnk(value),
            }
        }

        /// The data type of the value.
        #[must_use]
        pub fn data_type(&self) -> DataType {
            self.as_value().data_type()
        }
    }

    impl From<Value<'_>> for OwnedValue {
        fn from(value: Value<'_>) -> Self {
            match value {
                Value::String(value) => Self::String(value.into()),
                Value::Integer(value) => Self::Integer(value),
                Value::Unsigned(value) => Self::Unsigned(value),
                Value::Float(value) => Self::Float(value),
                Value::Boolean(value) => Self::Boolean(value),
                Value::Opaque(value) => Self::Opaque(value.into()),
                Value::Time(value) => Self::Time(value),
                Value::ObjectLink(value) => Self::ObjectLink(value),
                Value::Corelnk(value) => Self::Corelnk(value.into()),
            }
        }
    }

    impl Value<'_> {
        /// The value with its own text or bytes.
        #[must_use]
        pub fn into_owned(self) -> OwnedValue {
            self.into()
        }
    }
}

#[cfg(feature = "alloc")]
pub use owned::OwnedValue;

#[cfg(test)]
mod tests {
    use super::*;
    use std::string::ToString;

    #[test]
    fn object_links_are_two_plain_numbers() {
        assert_eq!("66:0".parse(), Ok(ObjectLink { object: 66, instance: 0 }));
        assert_eq!("65535:65535".parse(), Ok(ObjectLink::NULL));
        assert_eq!("FFFF:FFFF".parse(), Ok(ObjectLink::NULL));
        assert_eq!(ObjectLink::NULL.to_string(), "65535:65535");
        for text in ["3:", ":0", "3", "65536:0", "-1:0", "3:0:0", "03:0", " 3:0", "+3:0", ""] {
            assert_eq!(text.parse::<ObjectLink>(), Err(InvalidObjectLink), "{text}");
        }
    }

    #[test]
    fn data_types_read_their_own_names() {
        for text in
            ["string", "integer", "unsigned", "float", "boolean", "opaque", "time", "objlnk", "corelnk"]
        {
            assert_eq!(text.parse::<DataType>().map(DataType::as_str), Ok(text));
        }
        assert_eq!("Unsigned Integer".parse(), Ok(DataType::Unsigned));
        assert_eq!("".parse::<DataType>(), Err(UnknownDataType));
    }
}
