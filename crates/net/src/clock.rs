//! The one place where engines' time comes from.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use lightship_platform::{Instant, UnixTime};

/// A clock that began to count when the server started. Copies tell the same time. It begins late enough for moments before the
/// start: a registration may be older than the process.
#[derive(Clone, Copy, Debug)]
pub struct Clock {
    start: std::time::Instant,
}

impl Clock {
    /// A clock that starts now.
    #[must_use]
    #[allow(clippy::disallowed_methods, reason = "net reads the clock for everyone")]
    pub fn start() -> Clock {
        Clock { start: std::time::Instant::now() }
    }

    /// Engine time: never goes back, not even when the system's date is changed.
    #[must_use]
    pub fn now(&self) -> Instant {
        START + self.start.elapsed()
    }

    /// The date of now.
    #[must_use]
    #[allow(clippy::disallowed_methods, reason = "net reads the clock for everyone")]
    pub fn date(&self) -> UnixTime {
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        UnixTime::from_millis(i64::try_from(since.as_millis()).unwrap_or(i64::MAX))
    }

    /// The date of a moment of engine time, as far as today's date is right.
    #[must_use]
    pub fn date_of(&self, moment: Instant) -> UnixTime {
        self.look().date_of(moment)
    }

    /// One look at both clocks, for the dates of several moments.
    #[must_use]
    pub fn look(&self) -> Look {
        Look { date: self.date(), now: self.now() }
    }
}

/// What both clocks have shown.
#[derive(Clone, Copy, Debug)]
pub struct Look {
    date: UnixTime,
    now: Instant,
}

impl Look {
    /// The date that was shown.
    #[must_use]
    pub fn date(&self) -> UnixTime {
        self.date
    }

    /// The date of a moment of engine time, as far as that date was right.
    #[must_use]
    pub fn date_of(&self, moment: Instant) -> UnixTime {
        let (date, now) = (self.date.as_millis(), self.now);
        let ms = |span: Duration| i64::try_from(span.as_millis()).unwrap_or(i64::MAX);
        UnixTime::from_millis(if moment > now {
            date.saturating_add(ms(moment.saturating_duration_since(now)))
        } else {
            date.saturating_sub(ms(now.saturating_duration_since(moment)))
        })
    }
}

/// What the clock shows when it starts: about 400 days.
const START: Instant = Instant::from_secs(400 * 24 * 60 * 60);
