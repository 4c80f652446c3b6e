//! A moment as the API prints it: RFC 3339 in UTC with milliseconds.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// Milliseconds since 1970-01-01T00:00:00Z; printed as `2026-01-01T00:00:00.000Z`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Timestamp(pub i64);

impl Timestamp {
    /// 0000-01-01T00:00:00.000Z, before which RFC 3339 has no moments.
    pub const EARLIEST: Timestamp = Timestamp(-62_167_219_200_000);
    /// 9999-12-31T23:59:59.999Z, after which it has none.
    pub const LATEST: Timestamp = Timestamp(253_402_300_799_999);
}

/// The text is no RFC 3339 moment in UTC.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("expected a moment like 2026-01-01T00:00:00.000Z")]
pub struct BadTimestamp;

impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(text) = self.text() {
            return f.write_str(text.as_str());
        }
        let (days, ms) = (self.0.div_euclid(DAY_MS), self.0.rem_euclid(DAY_MS));
        let (year, month, day) = civil_from_days(days);
        let (hour, minute, second) = (ms / 3_600_000, ms / 60_000 % 60, ms / 1000 % 60);
        write!(f, "{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}.{:03}Z", ms % 1000)
    }
}

/// A moment as text, in place: the log writes several for each event.
#[derive(Clone, Copy, Debug)]
pub struct TimestampText([u8; 24]);

impl TimestampText {
    /// The text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        // Nothing but digits and signs was put there.
        std::str::from_utf8(&self.0).unwrap_or_default()
    }
}

impl Timestamp {
    /// Its text, of which every moment that RFC 3339 has takes the same room; `None` for others.
    #[must_use]
    pub fn text(self) -> Option<TimestampText> {
        if self < Timestamp::EARLIEST || self > Timestamp::LATEST {
            return None;
        }
        let (days, ms) = (self.0.div_euclid(DAY_MS), self.0.rem_euclid(DAY_MS));
        let (year, month, day) = civil_from_days(days);
        let mut text = *b"0000-00-00T00:00:00.000Z";
        let second = ms / 1000;
        for (at, number) in [
            (0, year / 100),
            (2, year % 100),
            (5, month),
            (8, day),
            (11, second / 3600),
            (14, second / 60 % 60),
            (17, second % 60),
            (20, ms / 10 % 100),
        ] {
            // Each is less than a hundred.
            let number = u8::try_from(number).unwrap_or(0);
            if let Some([tens, ones]) = text.get_mut(at..at + 2) {
                (*tens, *ones) = (b'0' + number / 10, b'0' + number % 10);
            }
        }
        let [.., last, _] = &mut text;
        *last = b'0' + u8::try_from(ms % 10).unwrap_or(0);
        Some(TimestampText(text))
    }
}

impl FromStr for Timestamp {
    type Err = BadTimestamp;

    fn from_str(text: &str) -> Result<Timestamp, BadTimestamp> {
        let text = text.strip_suffix('Z').ok_or(BadTimestamp)?;
        let (date, clock) = text.split_once('T').ok_or(BadTimestamp)?;
        let [year, month, day] = numbers(date, '-')?;
        let (clock, fraction) = clock.split_once('.').unwrap_or((clock, "0"));
        let [hour, minute, second] = numbers(clock, ':')?;
        if !fraction.bytes().all(|b| b.is_ascii_digit()) || fraction.is_empty() {
            return Err(BadTimestamp);
        }
        let digits: String = fraction.chars().chain("00".chars()).take(3).collect();
        let ms: i64 = digits.parse().map_err(|_| BadTimestamp)?;
        let legal = (1..=12).contains(&month) && (1..=31).contains(&day) && (0..=9999).contains(&year);
        if !legal || hour > 23 || minute > 59 || second > 60 {
            return Err(BadTimestamp);
        }
        let days = days_from_civil(year, month, day);
        Ok(Timestamp(days * DAY_MS + hour * 3_600_000 + minute * 60_000 + second * 1000 + ms))
    }
}

impl Serialize for Timestamp {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self.text() {
            Some(text) => serializer.serialize_str(text.as_str()),
            None => serializer.collect_str(self),
        }
    }
}

impl<'de> Deserialize<'de> for Timestamp {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Timestamp, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}

fn numbers<const N: usize>(text: &str, separator: char) -> Result<[i64; N], BadTimestamp> {
    let mut out = [0; N];
    let mut parts = text.split(separator);
    for slot in &mut out {
        let part = parts.next().ok_or(BadTimestamp)?;
        if part.is_empty() || part.len() > 4 || !part.bytes().all(|b| b.is_ascii_digit()) {
            return Err(BadTimestamp);
        }
        *slot = part.parse().map_err(|_| BadTimestamp)?;
    }
    if parts.next().is_some() { Err(BadTimestamp) } else { Ok(out) }
}

/// Proleptic Gregorian date of a day number (0 = 1970-01-01), counted in eras of 400 years from 0000-03-01.
fn civil_from_days(days: i64) -> (i64, i64, i64) {
    let shifted = days + 719_468;
    let era = shifted.div_euclid(146_097);
    let day_of_era = shifted.rem_euclid(146_097);
    let year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month_from_march = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month_from_march + 2) / 5 + 1;
    let month = if month_from_march < 10 { month_from_march + 3 } else { month_from_march - 9 };
    (year_of_era + era * 400 + i64::from(month <= 2), month, day)
}

fn days_from_civil(year: i64, month: i64, day: i64) -> i64 {
    let year = if month <= 2 { year - 1 } else { year };
    let era = year.div_euclid(400);
    let year_of_era = year.rem_euclid(400);
    let day_of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    let day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
    era * 146_097 + day_of_era - 719_468
}

const DAY_MS: i64 = 86_400_000;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn known_moments_print_and_parse() {
        for (ms, text) in [
            (0, "1970-01-01T00:00:00.000Z"),
            (951_782_400_123, "2000-02-29T00:00:00.123Z"),
            (1_767_225_600_000, "2026-01-01T00:00:00.000Z"),
            (-1, "1969-12-31T23:59:59.999Z"),
            (Timestamp::EARLIEST.0, "0000-01-01T00:00:00.000Z"),
            (Timestamp::LATEST.0, "9999-12-31T23:59:59.999Z"),
        ] {
            assert_eq!(Timestamp(ms).to_string(), text);
            assert_eq!(text.parse(), Ok(Timestamp(ms)));
        }
        assert_eq!("2026-01-01T00:00:00Z".parse(), Ok(Timestamp(1_767_225_600_000)));
        for bad in ["", "2026-01-01", "2026-13-01T00:00:00Z", "2026-01-01T00:00:00", "2026-01-01T0x:00:00Z"] {
            assert_eq!(bad.parse::<Timestamp>(), Err(BadTimestamp), "{bad}");
        }
    }
}
