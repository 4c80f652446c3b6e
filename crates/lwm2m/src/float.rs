//! Decimal text to 64-bit floating point numbers and back.
//!
//! With `std` these are the exact and shortest forms of the core library. They cost 20 KB of code, so a microcontroller
//! gets small ones instead: exact and shortest for numbers of up to 15 digits between 10^-15 and 10^15, which is what
//! sensors and thresholds have; beyond that the last digits may differ, and less than 10^-22 prints as 0.

use core::fmt;

/// Reads digits with an optional sign, fraction and exponent.
pub(crate) fn parse(text: &str) -> Option<f64> {
    if cfg!(feature = "std") { text.parse().ok() } else { parse_small(text) }
}

/// Prints as decimal digits, never with an exponent.
pub(crate) struct Decimal(pub(crate) f64);

impl fmt::Display for Decimal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if cfg!(feature = "std") { fmt::Display::fmt(&self.0, f) } else { print_small(self.0, f) }
    }
}

/// Prints as JSON wants it: like [`Decimal`], but very large and small numbers with an exponent, given the exact forms.
pub(crate) struct Scientific(pub(crate) f64);

impl fmt::Display for Scientific {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let number = self.0;
        if cfg!(feature = "std") && number != 0.0 && !(1e-6..1e16).contains(&number.abs()) {
            fmt::LowerExp::fmt(&number, f)
        } else {
            Decimal(number).fmt(f)
        }
    }
}

/// 10^22 is the largest power of ten that a double holds exactly.
const EXACT_POWER_MAX: u32 = 22;
/// 2^53: integers below are exact.
const EXACT_INTEGER_MAX: f64 = 9_007_199_254_740_992.0;

fn power_of_ten(exponent: u32) -> f64 {
    (0..exponent.min(EXACT_POWER_MAX)).fold(1.0, |power, _| power * 10.0)
}

fn parse_small(text: &str) -> Option<f64> {
    let (negative, text) = match text.strip_prefix('-') {
        Some(rest) => (true, rest),
        None => (false, text),
    };
    let (number, exponent) = match text.bytes().position(|byte| matches!(byte, b'e' | b'E')) {
        Some(at) => (text.get(..at)?, text.get(at + 1..)?.parse::<i16>().ok()?),
        None => (text, 0),
    };
    let mut exponent = i32::from(exponent);
    let mut mantissa = 0_u64;
    let (mut digits, mut fraction) = (false, false);
    for byte in number.bytes() {
        match byte {
            b'.' if !fraction => fraction = true,
            b'0'..=b'9' => {
                digits = true;
                let next = mantissa.checked_mul(10).and_then(|tens| tens.checked_add(u64::from(byte - b'0')));
                match next {
                    Some(next) => {
                        mantissa = next;
                        exponent -= i32::from(fraction);
                    }
                    // Digits beyond the nineteenth only count as zeros.
                    None => exponent += i32::from(!fraction),
                }
            }
            _ => return None,
        }
    }
    #[allow(clippy::as_conversions, clippy::cast_precision_loss, reason = "rounding is what is wanted")]
    let mut value = mantissa as f64;
    // More than 350 steps either way end in zero or infinity.
    let mut steps = exponent.unsigned_abs().min(400);
    while steps > 0 {
        let power = power_of_ten(steps);
        value = if exponent < 0 { value / power } else { value * power };
        steps -= steps.min(EXACT_POWER_MAX);
    }
    digits.then_some(if negative { -value } else { value })
}

#[allow(
    clippy::as_conversions,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    clippy::cast_precision_loss,
    reason = "every conversion is of a whole number below 2^64, or saturates"
)]
fn print_small(value: f64, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    if value.is_nan() {
        return f.write_str("NaN");
    }
    if value.is_sign_negative() {
        f.write_str("-")?;
    }
    let magnitude = value.abs();
    if magnitude.is_infinite() {
        return f.write_str("inf");
    }
    let mut decimals = 0;
    let mut scaled = magnitude;
    for more in 0..=EXACT_POWER_MAX {
        let power = power_of_ten(more);
        if magnitude * power >= EXACT_INTEGER_MAX {
            break;
        }
        // From 2^52 on there is no fraction, and adding a half would round up.
        let half = if magnitude * power < EXACT_INTEGER_MAX / 2.0 { 0.5 } else { 0.0 };
        let rounded = (magnitude * power + half) as u64 as f64;
        decimals = more;
        scaled = rounded;
        if rounded / power == magnitude {
            break;
        }
    }
    let mut zeros = 0;
    while scaled >= 18_446_744_073_709_551_616.0 {
        scaled /= 10.0;
        zeros += 1;
    }
    let mut digits = scaled as u64;
    while decimals > 0 && digits.is_multiple_of(10) {
        digits /= 10;
        decimals -= 1;
    }
    // Below 2^53, so at most 16 digits stand before the point, and 22 behind it.
    let split = 10_u64.checked_pow(decimals).unwrap_or(u64::MAX);
    write!(f, "{}", digits / split)?;
    if decimals > 0 {
        let width = usize::try_from(decimals).unwrap_or(0);
        write!(f, ".{:0width$}", digits % split)?;
    }
    (0..zeros).try_for_each(|_| f.write_str("0"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::{format, string::String};

    struct Small(f64);

    impl fmt::Display for Small {
        fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            print_small(self.0, f)
        }
    }

    #[test]
    fn the_small_forms_agree_with_the_exact_ones_for_what_sensors_have() {
        for text in [
            "0",
            "-0",
            "1",
            "-1",
            "21.5",
            "42.2",
            "0.1",
            "-0.05",
            "1e5",
            "1.5E-3",
            "0.000000000123",
            "65535",
            "3.14159265358979",
            "9007199254740991",
            "123456789012345",
            "0.00000000006667",
            "100",
            "1e15",
        ] {
            let exact: f64 = text.parse().expect("a number");
            assert_eq!(parse_small(text).map(f64::to_bits), Some(exact.to_bits()), "{text}");
            assert_eq!(format!("{}", Small(exact)), format!("{exact}"), "{text}");
        }
        for thousandth in -100_000..100_000 {
            let exact = f64::from(thousandth) / 1000.0;
            let text = format!("{exact}");
            assert_eq!(parse_small(&text), Some(exact));
            assert_eq!(format!("{}", Small(exact)), text);
        }
    }

    #[test]
    fn the_small_forms_come_close_to_anything() {
        for exact in [0.1_f32.into(), 1.0 / 3.0, 1e308, 1e300, 1.7e-10, 2.5e19, f64::EPSILON] {
            let text: String = format!("{}", Small(exact));
            let back: f64 = text.parse().expect("a number");
            assert!((back - exact).abs() <= exact * 1e-6, "{exact} became {text}");
            let read = parse_small(&format!("{exact:e}")).expect("a number");
            assert!((read - exact).abs() <= exact * 1e-14, "{exact} was read as {read}");
        }
        assert_eq!(
            format!("{} {} {}", Small(f64::NAN), Small(f64::INFINITY), Small(f64::NEG_INFINITY)),
            "NaN inf -inf"
        );
        assert_eq!(parse_small("1e400"), Some(f64::INFINITY));
        assert_eq!(parse_small("1e-400"), Some(0.0));
    }

    #[test]
    fn what_is_no_number_is_none() {
        for text in
            ["", "-", ".", "e5", "1e", "1e99999", "1.2.3", "+1", "0x1", "1 ", "NaN", "inf", "--1", "1e+-5"]
        {
            assert_eq!(parse_small(text), None, "{text}");
        }
    }
}
