//! The legal values of a resource, read from the registry's own words.

use crate::Value;

/// The legal values of a resource.
///
/// The registry writes ranges for people, in many spellings (`0..100`, `0-255`, `0,1,2`, `0..3, 99`, `0..255 bytes`, `6`). What is
/// understood is enforced; what is not ([`Range::Unknown`]) allows everything.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Range<'a> {
    /// No limits stated.
    Any,
    /// Numbers: single values and spans, in the registry's words.
    Numbers(&'a str),
    /// The length of a text or of bytes: single values and spans, in the registry's words.
    Length(&'a str),
    /// Words that say nothing a machine understands.
    Unknown(&'a str),
}

impl<'a> Range<'a> {
    /// Reads the registry's words.
    #[must_use]
    pub fn parse(words: &'a str) -> Self {
        let words = words.trim();
        if words.is_empty() {
            return Self::Any;
        }
        if let Some(lengths) = strip_bytes(words)
            && spans(lengths).all(|span| span.is_some())
        {
            return Self::Length(lengths);
        }
        if spans(words).all(|span| span.is_some()) { Self::Numbers(words) } else { Self::Unknown(words) }
    }

    /// Whether the value is legal. A range that does not fit the type of the value allows it, except that for texts and bytes a
    /// bare number range means their length. One number alone is the largest that is legal: what has a single legal value needs
    /// no range (Object 20 says `255` of what counts from 0).
    #[must_use]
    pub fn allows(&self, value: &Value<'_>) -> bool {
        let (words, number) = match (self, value) {
            (Self::Numbers(words) | Self::Length(words), Value::String(text) | Value::Corelnk(text)) => {
                (words, len(text.len()))
            }
            (Self::Numbers(words) | Self::Length(words), Value::Opaque(bytes)) => (words, len(bytes.len())),
            (Self::Numbers(words), Value::Float(number)) if number.is_nan() => return strict_nan(words),
            (Self::Numbers(words), _) => match (value.as_f64(), number(words)) {
                (Some(value), Some(most)) => return (most.min(0.0)..=most.max(0.0)).contains(&value),
                (Some(number), None) => (words, number),
                (None, _) => return true,
            },
            (Self::Length(_) | Self::Any | Self::Unknown(_), _) => return true,
        };
        spans(words).flatten().any(|(low, high)| low <= number && number <= high)
    }
}

/// NaN lies in no range.
fn strict_nan(words: &str) -> bool {
    words.is_empty()
}

fn len(bytes: usize) -> f64 {
    u32::try_from(bytes).map_or(f64::INFINITY, f64::from)
}

/// The words before `bytes` or `byte`, when they end so.
fn strip_bytes(words: &str) -> Option<&str> {
    let cut = words.len().checked_sub("bytes".len())?;
    let (before, unit) = words.split_at_checked(cut)?;
    unit.eq_ignore_ascii_case("bytes").then(|| before.trim_end())
}

/// The spans of a list such as `0..3, 99`; an element that is none is `None`.
fn spans(words: &str) -> impl Iterator<Item = Option<(f64, f64)>> + '_ {
    words.split([',', ';']).map(|element| span(element.trim()))
}

fn span(element: &str) -> Option<(f64, f64)> {
    for separator in ["...", ".."] {
        if let Some((low, high)) = element.split_once(separator) {
            let (low, high) = (number(low)?, number(high)?);
            return Some((low.min(high), low.max(high)));
        }
    }
    if let Some(single) = number(element) {
        return Some((single, single));
    }
    // `0-255`: the hyphen that is not a sign.
    let hyphen = element.char_indices().skip(1).find(|(_, letter)| *letter == '-').map(|(at, _)| at)?;
    let (low, high) = (number(element.get(..hyphen)?)?, number(element.get(hyphen + 1..)?)?);
    (low <= high).then_some((low, high))
}

fn number(text: &str) -> Option<f64> {
    let text = text.trim();
    let plain =
        !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit() || matches!(byte, b'.' | b'-'));
    if plain { text.parse().ok() } else { None }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spellings_of_the_registry() {
        for (words, legal, illegal) in [
            ("0..100", &[0.0, 50.0, 100.0][..], &[-1.0, 101.0][..]),
            ("-180..180", &[-180.0, 0.0], &[181.0]),
            ("0-255", &[0.0, 255.0], &[256.0]),
            ("0,1,2", &[0.0, 2.0], &[3.0]),
            ("0..3, 99", &[3.0, 99.0], &[4.0]),
            ("0; 3.8..20.5", &[0.0, 4.0], &[1.0]),
            ("1...15", &[1.0, 15.0], &[16.0]),
            ("-30..-120", &[-50.0], &[-20.0]),
            ("255", &[0.0, 7.0, 255.0], &[-1.0, 256.0]),
            ("0", &[0.0], &[1.0]),
            ("0.000001..1.0", &[0.5], &[0.0]),
        ] {
            let range = Range::parse(words);
            for number in legal {
                assert!(range.allows(&Value::Float(*number)), "{words} allows {number}");
            }
            for number in illegal {
                assert!(!range.allows(&Value::Float(*number)), "{words} forbids {number}");
            }
            assert!(!range.allows(&Value::Float(f64::NAN)), "{words} forbids NaN");
        }
    }

    #[test]
    fn lengths_of_texts_and_bytes() {
        assert_eq!(Range::parse("0..255 bytes"), Range::Length("0..255"));
        assert!(Range::parse("1..3 Bytes").allows(&Value::Opaque(&[1, 2, 3])));
        assert!(!Range::parse("1..3 Bytes").allows(&Value::Opaque(&[])));
        assert!(!Range::parse("0..3").allows(&Value::String("long")));
        assert!(Range::parse("16,32,48").allows(&Value::Opaque(&[0; 32])));
        assert!(!Range::parse("16,32,48").allows(&Value::Opaque(&[0; 33])));
    }

    #[test]
    fn words_that_say_nothing_allow_everything() {
        for words in ["ON;OFF", "[1:4]", "16-bit", "<7 to >12.5", "None", "2 Instances", "16-32-48 bytes"] {
            assert_eq!(Range::parse(words), Range::Unknown(words));
            assert!(Range::parse(words).allows(&Value::Integer(-5)));
        }
        assert_eq!(Range::parse(""), Range::Any);
    }
}
