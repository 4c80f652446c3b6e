//! Texts that differ from device to device: `load-{n}`, `sensor-{n:06}`, `00112233{n:08x}`.

use std::fmt::Write as _;

/// A text with places for a device's number.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Pattern(Vec<Part>);

#[derive(Clone, Debug, PartialEq, Eq)]
enum Part {
    Text(String),
    Decimal(usize),
    Hexadecimal(usize),
}

impl Pattern {
    /// Reads a pattern; `Err` holds the place that makes no sense.
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        let mut parts = Vec::new();
        let mut rest = text;
        while let Some((before, after)) = rest.split_once('{') {
            if !before.is_empty() {
                parts.push(Part::Text(before.to_owned()));
            }
            let (place, behind) = after.split_once('}').ok_or_else(|| format!("{{{after}"))?;
            parts.push(Part::parse(place).ok_or_else(|| format!("{{{place}}}"))?);
            rest = behind;
        }
        if !rest.is_empty() {
            parts.push(Part::Text(rest.to_owned()));
        }
        Ok(Self(parts))
    }

    /// Whether every device gets a text of its own.
    pub(crate) fn tells_apart(&self) -> bool {
        self.0.iter().any(|part| !matches!(part, Part::Text(_)))
    }

    /// The text of one device.
    pub(crate) fn of(&self, number: u32) -> String {
        let mut text = String::new();
        self.write(number, &mut text);
        text
    }

    /// The same into a text that is emptied before.
    pub(crate) fn write(&self, number: u32, text: &mut String) {
        text.clear();
        for part in &self.0 {
            // Writing into a String does not fail.
            let _ = match part {
                Part::Text(part) => text.write_str(part),
                Part::Decimal(width) => write!(text, "{number:0width$}"),
                Part::Hexadecimal(width) => write!(text, "{number:0width$x}"),
            };
        }
    }
}

impl Part {
    fn parse(place: &str) -> Option<Self> {
        if place == "n" {
            return Some(Self::Decimal(0));
        }
        let how = place.strip_prefix("n:")?;
        let (digits, part): (&str, fn(usize) -> Self) = match how.strip_suffix('x') {
            Some(digits) => (digits, Self::Hexadecimal),
            None => (how, Self::Decimal),
        };
        if digits.is_empty() && how == "x" {
            return Some(Self::Hexadecimal(0));
        }
        let width = digits.parse().ok().filter(|width| (1..=WIDTH_MAX).contains(width))?;
        Some(part(width))
    }
}

/// Digits of a number in a pattern; a key has at most 64 bytes.
const WIDTH_MAX: usize = 128;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_are_filled() {
        for (text, expected) in [
            ("load-{n}", "load-299"),
            ("{n:06}", "000299"),
            ("a{n:08x}b{n}", "a0000012bb299"),
            ("{n:x}", "12b"),
            ("plain", "plain"),
            ("", ""),
        ] {
            let pattern = Pattern::parse(text).expect("a pattern");
            assert_eq!(pattern.of(299), expected);
            assert_eq!(pattern.tells_apart(), text.contains('{'));
        }
    }

    #[test]
    fn places_that_make_no_sense_are_named() {
        for (text, place) in
            [("{m}", "{m}"), ("x{n:}", "{n:}"), ("{n:0}", "{n:0}"), ("{n:999}", "{n:999}"), ("{n", "{n")]
        {
            assert_eq!(Pattern::parse(text), Err(place.to_owned()));
        }
    }
}
