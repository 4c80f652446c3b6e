//! Types that hold one value and need no allocator.

use lightship_lwm2m::{DataType, ObjectLink, ShortServerId, Value};

use super::super::Refusal;
use super::{Scalar, Types};

/// A text of at most `N` bytes that needs no allocator.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Text<const N: usize>(Bytes<N>);

impl<const N: usize> Text<N> {
    /// Copies `text`, as many whole characters as fit.
    pub fn new(text: &str) -> Self {
        Text(Bytes::new(text.get(..text.floor_char_boundary(N)).unwrap_or_default().as_bytes()))
    }

    /// Returns the text.
    pub fn as_str(&self) -> &str {
        core::str::from_utf8(self.0.as_slice()).unwrap_or_default()
    }
}

impl<const N: usize> Default for Text<N> {
    fn default() -> Self {
        Text(Bytes::default())
    }
}

impl<const N: usize> core::fmt::Debug for Text<N> {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        self.as_str().fmt(f)
    }
}

/// At most `N` bytes that need no allocator.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Bytes<const N: usize> {
    len: usize,
    bytes: [u8; N],
}

impl<const N: usize> Bytes<N> {
    /// Copies `from`, as much as fits.
    pub fn new(from: &[u8]) -> Self {
        let mut bytes = [0; N];
        let len = from.len().min(N);
        bytes.iter_mut().zip(from).for_each(|(to, from)| *to = *from);
        Bytes { len, bytes }
    }

    /// Returns the bytes.
    pub fn as_slice(&self) -> &[u8] {
        self.bytes.get(..self.len).unwrap_or_default()
    }
}

impl<const N: usize> Default for Bytes<N> {
    fn default() -> Self {
        Bytes { len: 0, bytes: [0; N] }
    }
}

impl<const N: usize> Scalar for Text<N> {
    const TYPES: Types = Types::of(&[DataType::String, DataType::Corelnk]);

    fn value(&self) -> Value<'_> {
        Value::String(self.as_str())
    }

    fn from_value(value: Value<'_>) -> Result<Self, Refusal> {
        match value {
            Value::String(text) | Value::Corelnk(text) if text.len() <= N => Ok(Text::new(text)),
            _ => Err(Refusal::BadValue),
        }
    }
}

/// Text known at compile time, for read-only resources; a server cannot write it.
impl Scalar for &'static str {
    const TYPES: Types = Types::of(&[DataType::String, DataType::Corelnk]);

    fn value(&self) -> Value<'_> {
        Value::String(self)
    }

    fn from_value(_: Value<'_>) -> Result<Self, Refusal> {
        Err(Refusal::NotAllowed)
    }
}

impl<const N: usize> Scalar for Bytes<N> {
    const TYPES: Types = Types::of(&[DataType::Opaque]);

    fn value(&self) -> Value<'_> {
        Value::Opaque(self.as_slice())
    }

    fn from_value(value: Value<'_>) -> Result<Self, Refusal> {
        match value {
            Value::Opaque(bytes) if bytes.len() <= N => Ok(Bytes::new(bytes)),
            _ => Err(Refusal::BadValue),
        }
    }
}

impl Scalar for bool {
    const TYPES: Types = Types::of(&[DataType::Boolean]);

    fn value(&self) -> Value<'_> {
        Value::Boolean(*self)
    }

    fn from_value(value: Value<'_>) -> Result<Self, Refusal> {
        if let Value::Boolean(value) = value { Ok(value) } else { Err(Refusal::BadValue) }
    }
}

impl Scalar for ObjectLink {
    const TYPES: Types = Types::of(&[DataType::ObjectLink]);

    fn value(&self) -> Value<'_> {
        Value::ObjectLink(*self)
    }

    fn from_value(value: Value<'_>) -> Result<Self, Refusal> {
        if let Value::ObjectLink(value) = value { Ok(value) } else { Err(Refusal::BadValue) }
    }
}

impl Scalar for ShortServerId {
    const TYPES: Types = Types::of(&[DataType::Integer]);

    fn value(&self) -> Value<'_> {
        Value::Integer(self.get().into())
    }

    fn from_value(value: Value<'_>) -> Result<Self, Refusal> {
        u16::from_value(value).ok().and_then(ShortServerId::new).ok_or(Refusal::BadValue)
    }
}

impl Scalar for f64 {
    const TYPES: Types = Types::of(&[DataType::Float]);

    fn value(&self) -> Value<'_> {
        Value::Float(*self)
    }

    fn from_value(value: Value<'_>) -> Result<Self, Refusal> {
        if let Value::Float(value) = value { Ok(value) } else { Err(Refusal::BadValue) }
    }
}

impl Scalar for f32 {
    const TYPES: Types = Types::of(&[DataType::Float]);

    fn value(&self) -> Value<'_> {
        Value::Float(f64::from(*self))
    }

    #[allow(
        clippy::cast_possible_truncation,
        reason = "the nearest single is what the application asked for"
    )]
    fn from_value(value: Value<'_>) -> Result<Self, Refusal> {
        if let Value::Float(value) = value { Ok(value as f32) } else { Err(Refusal::BadValue) }
    }
}

macro_rules! integers {
    ($($type:ty),*) => { $(
        impl Scalar for $type {
            const TYPES: Types = Types::of(&[DataType::Integer, DataType::Unsigned, DataType::Time]);

            fn value(&self) -> Value<'_> {
                i64::try_from(*self).map_or(Value::Unsigned(u64::MAX), Value::Integer)
            }

            fn from_value(value: Value<'_>) -> Result<Self, Refusal> {
                match value {
                    Value::Integer(value) | Value::Time(value) => Self::try_from(value).ok(),
                    Value::Unsigned(value) => Self::try_from(value).ok(),
                    _ => None,
                }
                .ok_or(Refusal::BadValue)
            }
        }
    )* };
}
integers!(i8, i16, i32, i64, u8, u16, u32);

impl Scalar for u64 {
    const TYPES: Types = Types::of(&[DataType::Unsigned]);

    fn value(&self) -> Value<'_> {
        Value::Unsigned(*self)
    }

    fn from_value(value: Value<'_>) -> Result<Self, Refusal> {
        match value {
            Value::Unsigned(value) => Ok(value),
            Value::Integer(value) => u64::try_from(value).map_err(|_| Refusal::BadValue),
            _ => Err(Refusal::BadValue),
        }
    }
}
