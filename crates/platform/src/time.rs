//! Two clocks that must not be mixed up: one that only counts, one that knows the date.

use core::ops::{Add, AddAssign, Sub};
use core::time::Duration;

/// A moment on a clock that never goes back, in microseconds since a start nobody need know.
///
/// Engines are handed one with every call and never read a clock. Additions saturate, so an
/// absurd timeout means "never" and cannot wrap into the past.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Instant(u64);

impl Instant {
    /// The clock's start.
    pub const ZERO: Self = Self(0);
    /// Later than any moment that will be reached.
    pub const NEVER: Self = Self(u64::MAX);

    /// The moment `us` microseconds after the clock's start.
    #[must_use]
    pub const fn from_micros(us: u64) -> Self {
        Self(us)
    }

    /// The moment `ms` milliseconds after the clock's start; saturates.
    #[must_use]
    pub const fn from_millis(ms: u64) -> Self {
        Self(ms.saturating_mul(1_000))
    }

    /// The moment `s` seconds after the clock's start; saturates.
    #[must_use]
    pub const fn from_secs(s: u64) -> Self {
        Self(s.saturating_mul(1_000_000))
    }

    /// Microseconds since the clock's start.
    #[must_use]
    pub const fn as_micros(self) -> u64 {
        self.0
    }

    /// Whole milliseconds since the clock's start.
    #[must_use]
    pub const fn as_millis(self) -> u64 {
        self.0 / 1_000
    }

    /// The time from `earlier` to here; zero if `earlier` is later.
    #[must_use]
    pub const fn saturating_duration_since(self, earlier: Self) -> Duration {
        Duration::from_micros(self.0.saturating_sub(earlier.0))
    }

    /// This moment plus `span`, or `None` when the clock cannot show it.
    #[inline]
    #[must_use]
    pub fn checked_add(self, span: Duration) -> Option<Self> {
        let us = span.as_secs().checked_mul(1_000_000)?.checked_add(u64::from(span.subsec_micros()))?;
        self.0.checked_add(us).map(Self)
    }
}

impl Add<Duration> for Instant {
    type Output = Self;

    fn add(self, span: Duration) -> Self {
        self.checked_add(span).unwrap_or(Self::NEVER)
    }
}

impl AddAssign<Duration> for Instant {
    fn add_assign(&mut self, span: Duration) {
        *self = *self + span;
    }
}

impl Sub<Duration> for Instant {
    type Output = Self;

    /// This moment minus `span`; saturates at the clock's start.
    fn sub(self, span: Duration) -> Self {
        Self(self.0.saturating_sub(u64::try_from(span.as_micros()).unwrap_or(u64::MAX)))
    }
}

/// A date and time: milliseconds since 1970-01-01T00:00:00Z, leap seconds not counted.
///
/// Used where the standards speak of dates (Time resources, SenML, certificates); never for
/// timeouts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct UnixTime(i64);

impl UnixTime {
    /// The moment `ms` milliseconds after 1970 began; negative values lie before.
    #[must_use]
    pub const fn from_millis(ms: i64) -> Self {
        Self(ms)
    }

    /// The moment `s` seconds after 1970 began; saturates.
    #[must_use]
    pub const fn from_secs(s: i64) -> Self {
        Self(s.saturating_mul(1_000))
    }

    /// Milliseconds since 1970 began.
    #[must_use]
    pub const fn as_millis(self) -> i64 {
        self.0
    }

    /// Whole seconds since 1970 began, rounded towards the past.
    #[must_use]
    pub const fn as_secs(self) -> i64 {
        self.0.div_euclid(1_000)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addition_saturates_instead_of_wrapping() {
        assert_eq!(Instant::from_micros(u64::MAX - 1) + Duration::from_secs(1), Instant::NEVER);
        assert_eq!(Instant::ZERO + Duration::MAX, Instant::NEVER);
        assert_eq!(Instant::from_secs(1).checked_add(Duration::MAX), None);
        assert_eq!(Instant::from_secs(1) - Duration::from_secs(2), Instant::ZERO);
    }

    #[test]
    fn a_span_backwards_is_zero() {
        let early = Instant::from_millis(5);
        let late = early + Duration::from_micros(7);
        assert_eq!(late.saturating_duration_since(early), Duration::from_micros(7));
        assert_eq!(early.saturating_duration_since(late), Duration::ZERO);
        assert_eq!(late.as_micros(), 5_007);
        assert_eq!(late.as_millis(), 5);
    }

    #[test]
    fn seconds_before_1970_round_towards_the_past() {
        assert_eq!(UnixTime::from_millis(-1).as_secs(), -1);
        assert_eq!(UnixTime::from_millis(1_999).as_secs(), 1);
        assert_eq!(UnixTime::from_secs(i64::MAX).as_millis(), i64::MAX);
    }
}
