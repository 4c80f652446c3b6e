//! text/plain (0) and application/octet-stream (42): one value.

use super::{EncodeError, FormatError, RawValue, base64, out::Out};
use crate::Value;
use crate::float::Decimal;
use core::fmt::Write;

/// The value of a text/plain payload.
pub(super) fn decode(payload: &[u8]) -> Result<RawValue<'_>, FormatError> {
    match core::str::from_utf8(payload) {
        Ok(text) => Ok(RawValue::text(text)),
        Err(_) => Err(FormatError::NotUtf8),
    }
}

/// Writes a value as text/plain.
pub(super) fn encode(out: &mut Out<'_>, value: &Value<'_>) -> Result<(), EncodeError> {
    let written = match value {
        Value::String(text) | Value::Corelnk(text) => out.write_str(text),
        Value::Integer(number) | Value::Time(number) => write!(out, "{number}"),
        Value::Unsigned(number) => write!(out, "{number}"),
        // No exponent: `{}` of a float never writes one.
        Value::Float(number) if number.is_finite() => write!(out, "{}", Decimal(*number)),
        Value::Float(_) => return Err(EncodeError::NotExpressible),
        Value::Boolean(flag) => out.write_str(if *flag { "1" } else { "0" }),
        Value::Opaque(bytes) => {
            base64::encode_standard(out, bytes);
            Ok(())
        }
        Value::ObjectLink(link) => write!(out, "{link}"),
    };
    written.map_err(|_| EncodeError::BufferTooSmall)?;
    out.check()
}

/// Writes an Opaque value as it is.
pub(super) fn encode_opaque(out: &mut Out<'_>, value: &Value<'_>) -> Result<(), EncodeError> {
    let Value::Opaque(bytes) = value else { return Err(EncodeError::NotExpressible) };
    out.extend(bytes);
    out.check()
}
