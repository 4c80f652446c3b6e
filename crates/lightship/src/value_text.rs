//! Values as people type and read them: on the command line, on a device's standard input, in tables.

use crate::decode::hex;
use lightship_api::Timestamp;
use lightship_lwm2m::{DataType, OwnedValue, Value};
use std::fmt::Write;

/// Reads a value of a known type.
///
/// Opaque values are hex (`0x01ab`, or `01ab` without the mark), `text:…` or `@FILE`; times are seconds since 1970 or
/// a moment such as `2026-01-01T00:00:00Z`; booleans are `true` and `false`, or `1` and `0`.
///
/// # Errors
/// Says what was expected instead.
pub(crate) fn parse(text: &str, data_type: DataType) -> Result<OwnedValue, String> {
    let expected = |what: &str| format!("{text:?} is not {what}");
    Ok(match data_type {
        DataType::String => OwnedValue::String(text.to_owned()),
        DataType::Corelnk => OwnedValue::Corelnk(text.to_owned()),
        DataType::Integer => OwnedValue::Integer(
            text.parse().map_err(|_| expected("an integer from -2^63 to 2^63 - 1, such as -42"))?,
        ),
        DataType::Unsigned => OwnedValue::Unsigned(
            text.parse().map_err(|_| expected("an unsigned integer up to 2^64 - 1, such as 42"))?,
        ),
        DataType::Float => OwnedValue::Float(
            text.parse::<f64>()
                .ok()
                .filter(|number| number.is_finite())
                .ok_or_else(|| expected("a number such as 21.5"))?,
        ),
        DataType::Boolean => OwnedValue::Boolean(match text {
            "true" | "1" => true,
            "false" | "0" => false,
            _ => return Err(expected("true or false")),
        }),
        DataType::Opaque => OwnedValue::Opaque(opaque(text)?),
        DataType::Time => OwnedValue::Time(match text.parse::<i64>() {
            Ok(seconds) => seconds,
            Err(_) => text
                .parse::<Timestamp>()
                .map(|moment| moment.0.div_euclid(1000))
                .map_err(|_| expected("a time: seconds since 1970, or 2026-01-01T00:00:00Z"))?,
        }),
        DataType::ObjectLink => OwnedValue::ObjectLink(
            text.parse().map_err(|_| expected("an object link such as 3:0 (65535:65535 = none)"))?,
        ),
    })
}

fn opaque(text: &str) -> Result<Vec<u8>, String> {
    if let Some(plain) = text.strip_prefix("text:") {
        return Ok(plain.as_bytes().to_vec());
    }
    if let Some(file) = text.strip_prefix('@') {
        return std::fs::read(file).map_err(|error| format!("{file}: {error}"));
    }
    hex::parse(text).map_err(|error| format!("{text:?} is not hex, text:… or @FILE: {error}"))
}

/// Prints a value for people. What comes out can be typed in again where the type is known.
pub(crate) fn print(value: &Value<'_>) -> String {
    match value {
        Value::String(text) | Value::Corelnk(text) => (*text).to_owned(),
        Value::Integer(number) => number.to_string(),
        Value::Unsigned(number) => number.to_string(),
        Value::Float(number) => number.to_string(),
        Value::Boolean(truth) => truth.to_string(),
        Value::Opaque(bytes) => print_opaque(bytes),
        Value::Time(seconds) => match seconds.checked_mul(1000) {
            Some(ms) => Timestamp(ms).to_string().replace(".000Z", "Z"),
            None => seconds.to_string(),
        },
        Value::ObjectLink(link) => link.to_string(),
    }
}

fn print_opaque(bytes: &[u8]) -> String {
    /// More than this is cut, with the length behind it.
    const SHOWN_LEN_MAX: usize = 64;
    let shown = bytes.get(..SHOWN_LEN_MAX).unwrap_or(bytes);
    let mut text = format!("0x{}", hex::print(shown));
    if shown.len() < bytes.len() {
        let _ = write!(text, "… ({} bytes)", bytes.len());
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_type_reads_what_it_prints() {
        let cases = [
            (DataType::String, "a b=c"),
            (DataType::Integer, "-9223372036854775808"),
            (DataType::Unsigned, "18446744073709551615"),
            (DataType::Float, "21.5"),
            (DataType::Boolean, "true"),
            (DataType::Opaque, "0x0123abcd"),
            (DataType::Time, "2000-01-01T00:00:00Z"),
            (DataType::ObjectLink, "3:0"),
            (DataType::Corelnk, "</3442>"),
        ];
        for (data_type, text) in cases {
            let value = parse(text, data_type).expect(text);
            assert_eq!(value.data_type(), data_type);
            assert_eq!(print(&value.as_value()), text);
        }
    }

    #[test]
    fn wrong_values_are_refused_with_a_hint() {
        let cases = [
            (DataType::Integer, "1.5"),
            (DataType::Integer, "9223372036854775808"),
            (DataType::Unsigned, "-1"),
            (DataType::Float, "NaN"),
            (DataType::Float, "warm"),
            (DataType::Boolean, "yes"),
            (DataType::Opaque, "0xzz"),
            (DataType::Time, "yesterday"),
            (DataType::ObjectLink, "3/0"),
        ];
        for (data_type, text) in cases {
            let error = parse(text, data_type).unwrap_err();
            assert!(error.contains(text), "{error}");
        }
    }

    #[test]
    fn opaque_takes_text_and_other_spellings() {
        assert_eq!(parse("text:hi", DataType::Opaque), Ok(OwnedValue::Opaque(b"hi".to_vec())));
        assert_eq!(parse("01:ab", DataType::Opaque), Ok(OwnedValue::Opaque(vec![1, 0xab])));
        assert_eq!(parse("", DataType::Opaque), Ok(OwnedValue::Opaque(vec![])));
        assert!(print(&Value::Opaque(&[0; 65])).ends_with("… (65 bytes)"));
    }
}
