//! The clock of a device: the machine's, or one that stands still until someone moves it.

use lightship_platform::{Instant, UnixTime};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// A clock that can be shared; clones show the same time.
#[derive(Clone, Debug)]
pub struct Clock(Arc<Kind>);

#[derive(Debug)]
enum Kind {
    Machine(crate::Clock),
    Standing { now_us: AtomicU64, date_ms: i64 },
}

impl Clock {
    /// The machine's clock, counting from now.
    #[must_use]
    pub fn machine() -> Self {
        Self(Arc::new(Kind::Machine(crate::Clock::start())))
    }

    /// A clock that stands still unless it is moved, and that begins at this date.
    #[must_use]
    pub fn standing(date: UnixTime) -> Self {
        Self(Arc::new(Kind::Standing { now_us: AtomicU64::new(0), date_ms: date.as_millis() }))
    }

    /// The present moment.
    #[must_use]
    pub fn now(&self) -> Instant {
        match &*self.0 {
            Kind::Machine(clock) => clock.now(),
            Kind::Standing { now_us, .. } => Instant::from_micros(now_us.load(Ordering::Relaxed)),
        }
    }

    /// The present date.
    #[must_use]
    pub fn date(&self) -> UnixTime {
        match &*self.0 {
            Kind::Machine(clock) => clock.date(),
            Kind::Standing { now_us, date_ms } => {
                let ms = i64::try_from(now_us.load(Ordering::Relaxed) / 1000).unwrap_or(i64::MAX);
                UnixTime::from_millis(date_ms.saturating_add(ms))
            }
        }
    }

    /// How long to wait for a moment; `None` when waiting does not bring it nearer.
    #[must_use]
    pub fn until(&self, moment: Instant) -> Option<Duration> {
        let wait = moment.saturating_duration_since(self.now());
        match &*self.0 {
            Kind::Machine(_) => Some(wait),
            Kind::Standing { .. } => wait.is_zero().then_some(wait),
        }
    }

    /// Whether it stands still by itself.
    #[must_use]
    pub fn stands_still(&self) -> bool {
        matches!(&*self.0, Kind::Standing { .. })
    }

    /// Moves a standing clock to a later moment; the machine's clock is not ours to move. A device's engine is moved along by
    /// [`Driver::advance`](super::Driver::advance).
    pub fn move_to(&self, moment: Instant) {
        if let Kind::Standing { now_us, .. } = &*self.0 {
            now_us.fetch_max(moment.as_micros(), Ordering::Relaxed);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_standing_clock_moves_only_forward_and_when_told() {
        let clock = Clock::standing(UnixTime::from_secs(1_000_000));
        let start = clock.now();
        assert_eq!(clock.date(), UnixTime::from_secs(1_000_000));
        assert_eq!(clock.until(start + Duration::from_secs(5)), None);
        clock.move_to(start + Duration::from_secs(5));
        assert_eq!(clock.now(), start + Duration::from_secs(5));
        assert_eq!(clock.date(), UnixTime::from_secs(1_000_005));
        clock.move_to(start);
        assert_eq!(clock.now(), start + Duration::from_secs(5));
        assert_eq!(clock.until(start), Some(Duration::ZERO));
    }

    #[test]
    fn the_machines_clock_does_not_go_back() {
        let clock = Clock::machine();
        let first = clock.now();
        assert!(clock.now() >= first);
        assert!(clock.date() > UnixTime::from_secs(1_700_000_000));
        assert!(clock.until(first + Duration::from_secs(60)).is_some());
    }
}
