//! CBOR (RFC 8949): one value in application/cbor (60), and what SenML CBOR needs of it.

#![allow(clippy::wildcard_enum_match_arm, reason = "of the many CBOR types a place allows few")]

use super::{EncodeError, FormatError, RawValue, out::Out};
use crate::Value;
use core::fmt::Write;
use minicbor::{
    data::Type,
    decode::{Decoder, Error},
};

/// How deep a skipped value may nest.
const SKIP_DEPTH_MAX: usize = 16;

/// The value of an application/cbor payload.
pub(super) fn decode_single(payload: &[u8]) -> Result<RawValue<'_>, FormatError> {
    let mut reader = Decoder::new(payload);
    let value = value(&mut reader)?;
    if reader.position() < payload.len() { Err(FormatError::TrailingBytes) } else { Ok(value) }
}

/// The error of the reader in our words.
pub(super) fn fault(error: &Error) -> FormatError {
    if error.is_end_of_input() { FormatError::Truncated } else { FormatError::Malformed }
}

/// Whether another element follows; reads the break that ends an indefinite list.
pub(super) fn more(reader: &mut Decoder<'_>, left: Option<u64>) -> Result<bool, FormatError> {
    match left {
        Some(left) => Ok(left > 0),
        None if reader.datatype().map_err(|error| fault(&error))? == Type::Break => {
            reader.set_position(reader.position() + 1);
            Ok(false)
        }
        None => Ok(true),
    }
}

/// Reads one scalar. Tags 0 (date text), 1 (seconds) and 4 (decimal fraction) give numbers.
pub(super) fn value<'a>(reader: &mut Decoder<'a>) -> Result<RawValue<'a>, FormatError> {
    let fault = |error: Error| fault(&error);
    match reader.datatype().map_err(fault)? {
        Type::Bool => reader.bool().map(RawValue::boolean).map_err(fault),
        Type::Null => reader.null().map(|()| RawValue::null()).map_err(fault),
        Type::String => reader.str().map(RawValue::string).map_err(fault),
        Type::Bytes => reader.bytes().map(RawValue::opaque).map_err(fault),
        Type::Tag => tagged(reader),
        _ => number(reader),
    }
}

/// Reads an integer or a float of any width.
pub(super) fn number<'a>(reader: &mut Decoder<'a>) -> Result<RawValue<'a>, FormatError> {
    let fault = |error: Error| fault(&error);
    match reader.datatype().map_err(fault)? {
        Type::U8 | Type::U16 | Type::U32 | Type::U64 => reader.u64().map(RawValue::unsigned).map_err(fault),
        Type::I8 | Type::I16 | Type::I32 | Type::I64 | Type::Int => {
            reader.i64().map(RawValue::integer).map_err(fault)
        }
        Type::F16 => half(reader).map(RawValue::float),
        Type::F32 => reader.f32().map(|number| RawValue::float(number.into())).map_err(fault),
        Type::F64 => reader.f64().map(RawValue::float).map_err(fault),
        Type::Tag => tagged(reader),
        _ => Err(FormatError::Malformed),
    }
}

fn tagged<'a>(reader: &mut Decoder<'a>) -> Result<RawValue<'a>, FormatError> {
    let fault = |error: Error| fault(&error);
    match reader.tag().map_err(fault)?.as_u64() {
        0 => {
            let text = reader.str().map_err(fault)?;
            seconds_of_date(text).map(RawValue::integer).ok_or(FormatError::Malformed)
        }
        // Seconds are a number; a tag inside a tag is not.
        1 if reader.datatype().map_err(fault)? != Type::Tag => number(reader),
        4 => {
            if reader.array().map_err(fault)? != Some(2) {
                return Err(FormatError::Malformed);
            }
            let exponent = reader.i64().map_err(fault)?;
            let mantissa = reader.i64().map_err(fault)?;
            decimal(mantissa, exponent).map(RawValue::float).ok_or(FormatError::Malformed)
        }
        _ => Err(FormatError::Malformed),
    }
}

/// `mantissa · 10^exponent`, rounded once: through the decimal text, which the standard library reads exactly.
fn decimal(mantissa: i64, exponent: i64) -> Option<f64> {
    let exponent = i32::try_from(exponent).ok()?;
    let mut buffer = [0; 40];
    let mut out = Out::new(&mut buffer);
    write!(out, "{mantissa}e{exponent}").ok()?;
    let len = out.finish().ok()?;
    let number = crate::float::parse(core::str::from_utf8(buffer.get(..len)?).ok()?)?;
    number.is_finite().then_some(number)
}

/// Reads a half-precision float.
fn half(reader: &mut Decoder<'_>) -> Result<f64, FormatError> {
    let position = reader.position();
    let bytes = reader.input().get(position..).and_then(|rest| rest.first_chunk::<3>());
    let [_, high, low] = *bytes.ok_or(FormatError::Truncated)?;
    reader.set_position(position + 3);
    Ok(from_half(u16::from_be_bytes([high, low])))
}

/// RFC 8949, appendix D, by bits.
fn from_half(half: u16) -> f64 {
    let sign = u32::from(half & 0x8000) << 16;
    let exponent = u32::from(half >> 10 & 0x1F);
    let fraction = u32::from(half & 0x3FF);
    let magnitude = match exponent {
        // Zero and subnormals: the fraction counts units of 2^-24.
        0 => (f32::from(half & 0x3FF) * f32::from_bits(0x3380_0000)).to_bits(),
        0x1F => 0x7F80_0000 | fraction << 13,
        _ => (exponent + 112) << 23 | fraction << 13,
    };
    f32::from_bits(sign | magnitude).into()
}

/// The half that holds the number exactly, if one does. Looks for it by its bits and compares.
fn to_half(number: f32) -> Option<u16> {
    let bits = number.to_bits();
    let [high, low, ..] = bits.to_be_bytes();
    let sign = u16::from_be_bytes([high, low]) & 0x8000;
    let exponent = bits >> 23 & 0xFF;
    let fraction = bits & 0x7F_FFFF;
    let half = match exponent {
        0 => 0,
        0xFF => 0x7C00 | u16::try_from(fraction >> 13).ok()?,
        113..=142 => u16::try_from((exponent - 112) << 10 | fraction >> 13).ok()?,
        // Subnormal halves: the fraction with its hidden bit, shifted to units of 2^-24.
        103..=112 => u16::try_from((0x80_0000 | fraction) >> (126 - exponent)).ok()?,
        _ => return None,
    };
    let same = from_half(sign | half) == f64::from(number) || number.is_nan();
    same.then_some(sign | half)
}

/// Reads over any value.
pub(super) fn skip(reader: &mut Decoder<'_>) -> Result<(), FormatError> {
    let fault = |error: Error| fault(&error);
    // How many items each open level still has; `None` = until a break.
    let mut levels = [Some(0_u64); SKIP_DEPTH_MAX];
    let mut depth: usize = 0;
    let mut left = Some(1_u64);
    loop {
        while left == Some(0) {
            let Some(above) = depth.checked_sub(1) else { return Ok(()) };
            depth = above;
            left = levels.get(depth).copied().flatten();
        }
        let kind = reader.datatype().map_err(fault)?;
        if kind == Type::Break {
            if left.is_some() {
                return Err(FormatError::Malformed);
            }
            reader.set_position(reader.position() + 1);
            left = Some(0);
            continue;
        }
        left = left.map(|left| left - 1);
        let inner = match kind {
            Type::Array | Type::ArrayIndef => reader.array().map_err(fault)?,
            Type::Map | Type::MapIndef => match reader.map().map_err(fault)? {
                Some(pairs) => Some(pairs.checked_mul(2).ok_or(FormatError::Truncated)?),
                None => None,
            },
            Type::Tag => {
                reader.tag().map_err(fault)?;
                Some(1)
            }
            _ => {
                reader.skip().map_err(fault)?;
                continue;
            }
        };
        *levels.get_mut(depth).ok_or(FormatError::TooDeep)? = left;
        depth += 1;
        left = inner;
    }
}

/// Seconds since 1970 of an RFC 3339 text such as `2013-05-02T11:20:15Z`; fractions of a second are dropped.
fn seconds_of_date(text: &str) -> Option<i64> {
    let number = |from: usize, len: usize| -> Option<i64> {
        let digits = text.get(from..from.checked_add(len)?)?;
        if digits.bytes().all(|byte| byte.is_ascii_digit()) { digits.parse().ok() } else { None }
    };
    let is = |at: usize, wanted: &[u8]| text.as_bytes().get(at).is_some_and(|byte| wanted.contains(byte));
    let (year, month, day) = (number(0, 4)?, number(5, 2)?, number(8, 2)?);
    let (hour, minute, second) = (number(11, 2)?, number(14, 2)?, number(17, 2)?);
    let shaped = is(4, b"-") && is(7, b"-") && is(10, b"Tt ") && is(13, b":") && is(16, b":");
    let ranged =
        (1..=12).contains(&month) && (1..=31).contains(&day) && hour < 24 && minute < 60 && second <= 60;
    if !shaped || !ranged {
        return None;
    }
    let mut at = 19;
    if is(at, b".") {
        at += 1;
        while is(at, b"0123456789") {
            at += 1;
        }
    }
    let zone = match text.get(at..)? {
        "Z" | "z" => 0,
        offset => {
            let sign = match offset.as_bytes() {
                [b'+', _, _, b':', _, _] => 1,
                [b'-', _, _, b':', _, _] => -1,
                _ => return None,
            };
            sign * (number(at + 1, 2)? * 3600 + number(at + 4, 2)? * 60)
        }
    };
    // Days since 1970 of the proleptic Gregorian calendar, counted in years that begin in March.
    let years = if month <= 2 { year - 1 } else { year };
    let day_of_year = (153 * (month + if month > 2 { -3 } else { 9 }) + 2) / 5 + day - 1;
    let days =
        years * 365 + years.div_euclid(4) - years.div_euclid(100) + years.div_euclid(400) + day_of_year
            - 719_468;
    Some(days * 86_400 + hour * 3600 + minute * 60 + second - zone)
}

/// The major types in their place.
/// The major type of unsigned integers.
pub(super) const UNSIGNED: u8 = 0x00;
const NEGATIVE: u8 = 0x20;
const BYTES: u8 = 0x40;
pub(super) const TEXT: u8 = 0x60;
/// Null.
pub(super) const NULL: u8 = 0xF6;
/// The major type of arrays.
pub(super) const ARRAY: u8 = 0x80;
/// The major type of maps.
pub(super) const MAP: u8 = 0xA0;

/// The shortest head of an item and how many of its bytes count.
pub(super) fn head_bytes(major: u8, argument: u64) -> ([u8; 9], usize) {
    let bytes = argument.to_be_bytes();
    let (info, width) = match argument {
        0..=23 => (bytes.last().copied().unwrap_or_default(), 0),
        24..=0xFF => (24, 1),
        0x100..=0xFFFF => (25, 2),
        0x1_0000..=0xFFFF_FFFF => (26, 4),
        _ => (27, 8),
    };
    let mut head = [0; 9];
    let tail = bytes.get(8 - width..).unwrap_or_default();
    for (slot, byte) in head.iter_mut().zip([major | info].iter().chain(tail)) {
        *slot = *byte;
    }
    (head, 1 + width)
}

#[inline]
pub(super) fn head(out: &mut Out<'_>, major: u8, argument: u64) {
    if let Ok(small @ 0..=23) = u8::try_from(argument) {
        return out.push(major | small);
    }
    let (head, len) = head_bytes(major, argument);
    out.extend(head.get(..len).unwrap_or_default());
}

pub(super) fn integer(out: &mut Out<'_>, number: i64) {
    match u64::try_from(number) {
        Ok(number) => head(out, UNSIGNED, number),
        // -1 - n is the complement of n.
        Err(_) => head(out, NEGATIVE, u64::from_be_bytes((!number).to_be_bytes())),
    }
}

/// The narrowest float that holds the number exactly.
#[allow(clippy::as_conversions, clippy::cast_possible_truncation, reason = "checked for exactness")]
pub(super) fn float(out: &mut Out<'_>, number: f64) {
    let narrow = number as f32;
    if number.is_nan() {
        out.extend(&[0xF9, 0x7E, 0x00]);
    } else if f64::from(narrow) != number {
        out.push(0xFB);
        out.extend(&number.to_be_bytes());
    } else if let Some(half) = to_half(narrow) {
        out.push(0xF9);
        out.extend(&half.to_be_bytes());
    } else {
        out.push(0xFA);
        out.extend(&narrow.to_be_bytes());
    }
}

pub(super) fn text(out: &mut Out<'_>, text: &str) {
    text_bytes(out, text.as_bytes());
}

/// Writes text that is known to be UTF-8.
pub(super) fn text_bytes(out: &mut Out<'_>, text: &[u8]) {
    sized(out, TEXT, text);
}

fn sized(out: &mut Out<'_>, major: u8, bytes: &[u8]) {
    head(out, major, u64::try_from(bytes.len()).unwrap_or(u64::MAX));
    out.extend(bytes);
}

/// Writes a short formatted text: a path or an object link.
fn short_text(out: &mut Out<'_>, parts: core::fmt::Arguments<'_>) {
    let mut buffer = [0; 32];
    let mut written = Out::new(&mut buffer);
    let _ = written.write_fmt(parts);
    let len = written.len();
    sized(out, TEXT, buffer.get(..len).unwrap_or_default());
}

/// Writes a value as one item.
pub(super) fn encode_value(out: &mut Out<'_>, value: &Value<'_>) {
    match value {
        Value::String(string) | Value::Corelnk(string) => text(out, string),
        Value::Integer(number) | Value::Time(number) => integer(out, *number),
        Value::Unsigned(number) => head(out, UNSIGNED, *number),
        Value::Float(number) => float(out, *number),
        Value::Boolean(flag) => out.push(if *flag { 0xF5 } else { 0xF4 }),
        Value::Opaque(bytes) => sized(out, BYTES, bytes),
        Value::ObjectLink(link) => short_text(out, format_args!("{link}")),
    }
}

/// Tag 1: seconds since 1970 (RFC 8949 §3.4.2).
const EPOCH_TAG: u8 = 0xC1;

/// Writes an application/cbor payload. Time is tagged: LwM2M 1.1 leaves it open, 1.2.2 names tags 0 and 1, and there are peers
/// that refuse a bare number.
pub(super) fn encode_single(out: &mut Out<'_>, value: &Value<'_>) -> Result<(), EncodeError> {
    if matches!(value, Value::Time(_)) {
        out.push(EPOCH_TAG);
    }
    encode_value(out, value);
    out.check()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(number: f64) -> std::vec::Vec<u8> {
        let mut buffer = [0; 16];
        let mut out = Out::new(&mut buffer);
        float(&mut out, number);
        let len = out.finish().expect("fits");
        buffer.get(..len).map(Into::into).unwrap_or_default()
    }

    /// RFC 8949, appendix A.
    #[test]
    fn floats_take_the_shortest_exact_width() {
        for (number, bytes) in [
            (0.0, &[0xF9, 0x00, 0x00][..]),
            (-0.0, &[0xF9, 0x80, 0x00]),
            (1.0, &[0xF9, 0x3C, 0x00]),
            (1.5, &[0xF9, 0x3E, 0x00]),
            (65504.0, &[0xF9, 0x7B, 0xFF]),
            (100_000.0, &[0xFA, 0x47, 0xC3, 0x50, 0x00]),
            (3.402_823_466_385_288_6e38, &[0xFA, 0x7F, 0x7F, 0xFF, 0xFF]),
            (1.0e300, &[0xFB, 0x7E, 0x37, 0xE4, 0x3C, 0x88, 0x00, 0x75, 0x9C]),
            (5.960_464_477_539_063e-8, &[0xF9, 0x00, 0x01]),
            (0.000_061_035_156_25, &[0xF9, 0x04, 0x00]),
            (-4.0, &[0xF9, 0xC4, 0x00]),
            (1.1, &[0xFB, 0x3F, 0xF1, 0x99, 0x99, 0x99, 0x99, 0x99, 0x9A]),
            (22.5, &[0xF9, 0x4D, 0xA0]),
            (f64::INFINITY, &[0xF9, 0x7C, 0x00]),
            (f64::NEG_INFINITY, &[0xF9, 0xFC, 0x00]),
        ] {
            assert_eq!(written(number), bytes, "{number}");
        }
    }

    #[test]
    fn every_half_survives() {
        for half in 0..=u16::MAX {
            let number = from_half(half);
            if number.is_nan() {
                continue;
            }
            let bytes = written(number);
            assert_eq!(bytes.get(1..), Some(&half.to_be_bytes()[..]), "{half:#06x}");
        }
    }

    #[test]
    fn dates_are_seconds() {
        assert_eq!(seconds_of_date("2013-05-02T11:20:15Z"), Some(1_367_493_615));
        assert_eq!(seconds_of_date("1970-01-01T00:00:00Z"), Some(0));
        assert_eq!(seconds_of_date("1969-12-31T23:59:59.9Z"), Some(-1));
        assert_eq!(seconds_of_date("2000-02-29T12:00:00+02:00"), Some(951_818_400));
        for text in [
            "",
            "2013-05-02",
            "2013-13-02T11:20:15Z",
            "2013-05-02T11:20:15",
            "2013-05-02T11:20:15+2",
            "20é3-05-02T11:20:15Z",
        ] {
            assert_eq!(seconds_of_date(text), None, "{text}");
        }
    }
}
