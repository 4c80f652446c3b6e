//! What SenML JSON and SenML CBOR share: names, times, and the choice of base names. RFC 8428, Core TS 1.2, 7.4.4 and 7.4.5.

use super::{Entry, FormatError, RawValue};
use crate::{Path, Value, id::MAX_ID, path::PathText};

/// Versions of SenML up to 10 are understood (RFC 8428 §4.4).
pub(super) const VERSION_MAX: i64 = 10;

/// How names are read.
#[derive(Clone, Debug)]
pub(super) struct Names<'a> {
    /// Removed from the front of names; without slashes around it.
    pub(super) alternate_path: &'a str,
    /// Accept names that do not start with a slash.
    pub(super) missing_slash: bool,
}

impl Names<'_> {
    pub(super) const fn new() -> Self {
        Self { alternate_path: "", missing_slash: false }
    }

    /// The path that base name and name make together, joined as they are.
    ///
    /// Reads no more characters than a path can have, so a base name that stays in force costs each record little.
    pub(super) fn resolve(&self, name: impl Iterator<Item = u8> + Clone) -> Result<Path, FormatError> {
        let mut rest = name.clone();
        let prefixed = !self.alternate_path.is_empty()
            && b"/"
                .iter()
                .copied()
                .chain(self.alternate_path.bytes())
                .all(|expected| rest.next() == Some(expected))
            && matches!(rest.clone().next(), Some(b'/') | None);
        let mut rest = if prefixed { rest } else { name };
        match rest.clone().next() {
            Some(b'/') => drop(rest.next()),
            None if prefixed => return Ok(Path::ROOT),
            Some(_) if self.missing_slash => {}
            _ => return Err(FormatError::BadPath),
        }
        if rest.clone().next().is_none() {
            return Ok(Path::ROOT);
        }
        let mut path = Path::ROOT;
        loop {
            let (number, ended) = segment(&mut rest)?;
            path = path.child(number).ok_or(FormatError::BadPath)?;
            if ended {
                return Ok(path);
            }
        }
    }
}

/// One canonical decimal; says whether the name ended with it.
fn segment(rest: &mut impl Iterator<Item = u8>) -> Result<(u16, bool), FormatError> {
    let mut number: Option<u16> = None;
    let ended = loop {
        let digit = match rest.next() {
            None => break true,
            Some(b'/') => break false,
            Some(digit @ b'0'..=b'9') => u16::from(digit - b'0'),
            Some(_) => return Err(FormatError::BadPath),
        };
        number = match number {
            None => Some(digit),
            Some(0) => return Err(FormatError::BadPath),
            Some(number) => number.checked_mul(10).and_then(|number| number.checked_add(digit)),
        };
        if number.is_none_or(|number| number == MAX_ID) {
            return Err(FormatError::BadPath);
        }
    };
    Ok((number.ok_or(FormatError::BadPath)?, ended))
}

/// The fields of one record that were seen, to refuse what stands twice.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(super) enum Field {
    BaseName,
    BaseTime,
    BaseUnit,
    Version,
    Name,
    Unit,
    Time,
    UpdateTime,
    /// Any of the five value fields: a record has one.
    Value,
}

/// What a record says, base fields already in force.
#[derive(Clone, Debug)]
pub(super) struct Record<'a, T> {
    seen: u16,
    pub(super) name: Option<T>,
    pub(super) time: Option<f64>,
    pub(super) value: RawValue<'a>,
}

impl<'a, T> Record<'a, T> {
    pub(super) const fn new() -> Self {
        Self { seen: 0, name: None, time: None, value: RawValue::nothing() }
    }

    /// Notes a field.
    pub(super) fn see(&mut self, field: Field) -> Result<(), FormatError> {
        let bit = 1 << u16::from(field.index());
        if self.seen & bit != 0 {
            return Err(FormatError::Duplicate);
        }
        self.seen |= bit;
        Ok(())
    }

    /// Notes the value.
    pub(super) fn set_value(&mut self, value: RawValue<'a>) -> Result<(), FormatError> {
        self.see(Field::Value)?;
        self.value = value;
        Ok(())
    }

    /// The entry for a resolved path.
    pub(super) fn entry(&self, path: Path, base_time: Option<f64>) -> Result<Entry<'a>, FormatError> {
        let time = match (base_time, self.time) {
            (None, None) => None,
            (base, own) => Some(base.unwrap_or_default() + own.unwrap_or_default()),
        };
        if time.is_some_and(|time| !time.is_finite()) {
            return Err(FormatError::Malformed);
        }
        let has_value = self.seen & (1 << u16::from(Field::Value.index())) != 0;
        if has_value && path.len() < 3 {
            return Err(FormatError::BadPath);
        }
        Ok(Entry { path, time, value: self.value })
    }
}

impl Field {
    const fn index(self) -> u8 {
        match self {
            Self::BaseName => 0,
            Self::BaseTime => 1,
            Self::BaseUnit => 2,
            Self::Version => 3,
            Self::Name => 4,
            Self::Unit => 5,
            Self::Time => 6,
            Self::UpdateTime => 7,
            Self::Value => 8,
        }
    }
}

/// What a record is to say.
#[derive(Clone, Copy, Debug)]
pub(super) enum Content<'v> {
    /// A name only.
    Nothing,
    /// Remove it.
    Null,
    Value(&'v Value<'v>),
}

/// The base name for a record: where it stands when nothing else is asked, the object instance.
///
/// A record about the requested node itself has the whole path as base name and no name; below it, the base name ends with a slash.
#[derive(Debug)]
pub(super) struct BaseNames<'b> {
    /// Stands in front of every path, between slashes; empty for none.
    pub(super) alternate_path: &'b str,
    base: Path,
    current: Option<Path>,
    /// Whether a base name is in force.
    any: bool,
}

/// How the name of a record is written.
#[derive(Debug, PartialEq)]
pub(super) struct Written {
    /// The base name to write, if it changes, and whether a slash follows it.
    pub(super) base: Option<(Path, bool)>,
    /// What stands in the name.
    pub(super) name: Name,
}

/// What stands in the name of a record.
#[derive(Debug, PartialEq)]
pub(super) enum Name {
    /// No name: the base name says it all.
    None,
    /// The path from that level on.
    From(usize),
    /// The whole path.
    Whole,
}

impl Name {
    /// The text of the name of a record about `path`.
    pub(super) fn text(&self, path: Path) -> Option<PathText> {
        match self {
            Self::None => None,
            Self::From(level) => Some(PathText::below(path, *level)),
            Self::Whole => Some(PathText::whole(path, false)),
        }
    }
}

impl BaseNames<'_> {
    pub(super) const fn new(base: Path) -> Self {
        Self { alternate_path: "", base, current: None, any: false }
    }

    /// What follows the alternate path: of the root nothing, since the alternate path has no slash at its end.
    pub(super) fn behind<'t>(&self, path: Path, text: &'t PathText) -> &'t [u8] {
        if path.is_root() && !self.alternate_path.is_empty() { &[] } else { text.as_bytes() }
    }

    pub(super) fn next(&mut self, path: Path, content: Content<'_>) -> Written {
        // Lists of paths are shorter and plainer without base names.
        if matches!(content, Content::Nothing) && !self.any {
            return Written { base: None, name: Name::Whole };
        }
        self.any = true;
        if path == self.base || path.len() < 3 {
            self.current = None;
            return Written { base: Some((path, false)), name: Name::None };
        }
        let wanted = path.truncated(self.base.len().max(2));
        let base = if self.current == Some(wanted) { None } else { Some((wanted, true)) };
        self.current = Some(wanted);
        Written { base, name: Name::From(wanted.len()) }
    }
}

/// The base time in force: the first time is the base, later ones count from there.
#[derive(Debug)]
pub(super) struct BaseTimes(Option<f64>);

impl BaseTimes {
    pub(super) const fn new() -> Self {
        Self(None)
    }

    /// The base time and the time to write for a record.
    #[allow(clippy::float_cmp, reason = "a difference is used only if it gives the very same time back")]
    pub(super) fn next(&mut self, time: Option<f64>) -> (Option<f64>, Option<f64>) {
        match (self.0, time) {
            (None, None) => return (None, None),
            (Some(base), Some(time)) if base + neat(time - base) == time => {
                let behind = neat(time - base);
                return (None, (behind != 0.0).then_some(behind));
            }
            // 0 is the moment of receipt.
            (Some(0.0), None) => return (None, None),
            (Some(_), None) => self.0 = Some(0.0),
            (_, Some(time)) => self.0 = Some(time),
        }
        (self.0, None)
    }
}

/// The nearest number of seconds with seven decimals, for spans below seven years; others come out as something else.
///
/// The difference of two times in seconds since 1970 has the dirt of both: 1.0010000467300415 for a millisecond more than
/// a second. Leshan refuses what is finer than nanoseconds, and nobody is served by the digits.
fn neat(seconds: f64) -> f64 {
    const DECIMALS: f64 = 1e7;
    // Adding this leaves no room for a fraction.
    const WHOLE: f64 = 6_755_399_441_055_744.0;
    (seconds * DECIMALS + WHOLE - WHOLE) / DECIMALS
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::path;

    #[test]
    #[allow(clippy::float_cmp, reason = "the very number is what is wanted")]
    fn later_times_have_few_decimals_or_are_a_new_base() {
        let base = 1_795_239_365.653;
        for milliseconds in 1..5_000_u32 {
            let time = (1_795_239_365_653.0 + f64::from(milliseconds)) / 1e3;
            let mut times = BaseTimes::new();
            assert_eq!(times.next(Some(base)), (Some(base), None));
            match times.next(Some(time)) {
                (None, Some(behind)) => {
                    assert_eq!(base + behind, time);
                    assert_eq!(behind, neat(behind), "seven decimals");
                }
                other => assert_eq!(other, (Some(time), None)),
            }
        }
    }

    #[test]
    fn names_are_joined_as_they_are() {
        let resolve = |name: &str| Names::new().resolve(name.bytes());
        assert_eq!(resolve("/3/0/9"), Ok(path!(3 / 0 / 9)));
        assert_eq!(resolve("/"), Ok(Path::ROOT));
        for name in [
            "3/0/9",
            "/a/b",
            "/3/0//9",
            "/3/0/9/",
            "/3/0/9/0/1",
            "/65536/0/1",
            "/65535",
            "/03/0",
            "/-1",
            "",
            "//",
        ] {
            assert_eq!(resolve(name), Err(FormatError::BadPath), "{name}");
        }
    }

    #[test]
    fn alternate_path_and_missing_slash() {
        let names = Names { alternate_path: "lwm2m", missing_slash: true };
        let resolve = |name: &str| names.resolve(name.bytes());
        assert_eq!(resolve("/lwm2m/3/0/9"), Ok(path!(3 / 0 / 9)));
        assert_eq!(resolve("/3/0/9"), Ok(path!(3 / 0 / 9)));
        assert_eq!(resolve("3/0/9"), Ok(path!(3 / 0 / 9)));
        assert_eq!(resolve("/lwm2m"), Ok(Path::ROOT));
        assert_eq!(resolve("/lwm2mx/3"), Err(FormatError::BadPath));
    }
}
