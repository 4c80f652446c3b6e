//! The sequence numbers of notifications (RFC 7641 §3.4 and §4.4).

use lightship_platform::{Duration, Instant};

const SEQUENCE_MASK: u32 = 0x00ff_ffff;
const HALF: u32 = 1 << 23;
/// After this time a smaller number is newer again: the server may have started anew.
const NEWER_AFTER: Duration = Duration::from_secs(128);

/// The receiving side's memory of the newest notification of one observation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Freshness {
    sequence: u32,
    at: Instant,
}

impl Freshness {
    /// Begins with the response that established the observation; `sequence` is its Observe
    /// option.
    #[must_use]
    pub const fn new(now: Instant, sequence: u32) -> Self {
        Self { sequence: sequence & SEQUENCE_MASK, at: now }
    }

    /// The number of the newest notification so far.
    #[must_use]
    pub const fn sequence(&self) -> u32 {
        self.sequence
    }

    /// When that one arrived.
    #[must_use]
    pub const fn at(&self) -> Instant {
        self.at
    }

    /// Whether a notification with this number, arriving now, is newer than the newest so far.
    #[must_use]
    pub fn is_newer(&self, now: Instant, sequence: u32) -> bool {
        let (v1, v2) = (self.sequence, sequence & SEQUENCE_MASK);
        (v1 < v2 && v2 - v1 < HALF)
            || (v1 > v2 && v1 - v2 > HALF)
            || now.saturating_duration_since(self.at) > NEWER_AFTER
    }

    /// Whether a notification has the very number of the newest so far: a sender that follows the standard counts on.
    #[must_use]
    pub const fn is_repeated(&self, sequence: u32) -> bool {
        self.sequence == sequence & SEQUENCE_MASK
    }

    /// Remembers the notification if it is newer; returns whether it was. Older ones are to be
    /// acknowledged all the same, and their content dropped.
    pub fn accept(&mut self, now: Instant, sequence: u32) -> bool {
        let newer = self.is_newer(now, sequence);
        if newer {
            *self = Self::new(now, sequence);
        }
        newer
    }
}

/// The sending side's counter of one observation: 24 bits, wraps.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Sequence(u32);

impl Sequence {
    /// A counter whose first number is `first` (its low 24 bits).
    #[must_use]
    pub const fn starting_at(first: u32) -> Self {
        Self(first & SEQUENCE_MASK)
    }

    /// The number for the next notification. At no more than 32768 notifications a second it
    /// stays within the standard's 2^23 per 256 s.
    #[allow(clippy::should_implement_trait, reason = "a counter never ends")]
    pub fn next(&mut self) -> u32 {
        let number = self.0;
        self.0 = (number + 1) & SEQUENCE_MASK;
        number
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_counter_wraps_and_stays_newer() {
        let mut sequence = Sequence::starting_at(SEQUENCE_MASK);
        let mut freshness = Freshness::new(Instant::ZERO, sequence.next());
        let wrapped = sequence.next();
        assert_eq!(wrapped, 0);
        assert!(freshness.accept(Instant::ZERO, wrapped));
        assert!(!freshness.accept(Instant::ZERO, wrapped));
    }
}
