//! How a socket keeps its devices served while more ClientHellos come than can be answered.
//!
//! When datagrams come faster than they are read, the kernel drops those for which the queue has no room, whosever they are. A
//! record of a session is worth more than a hello of a stranger, and a hello that returns a cookie more than one without: so when
//! the queue fills, the kernel is told to drop a part of the hellos before it queues them, a greater part the longer that lasts, and
//! a smaller one again when the queue stays empty. Who is dropped asks again (RFC 6347 §4.2.4).

use std::net::UdpSocket;
use std::time::Duration;

use lightship_platform::Instant;

use crate::sys::{self, Fill, Shed};

/// What one socket drops.
#[derive(Debug)]
pub(crate) struct Shedding {
    level: u8,
    look_at: Instant,
    /// When the level was changed last, and whether that was downwards.
    changed_at: Instant,
    lowered: bool,
    /// How long the queue must stay empty before less is dropped.
    patience: Duration,
    /// Whether the system can do that at all.
    is_possible: bool,
}

impl Default for Shedding {
    fn default() -> Self {
        Self {
            level: 0,
            look_at: Instant::ZERO,
            changed_at: Instant::ZERO,
            lowered: false,
            patience: PATIENCE_MIN,
            is_possible: true,
        }
    }
}

impl Shedding {
    /// Looks at the socket, if it is time.
    pub(crate) fn look(&mut self, now: Instant, socket: &UdpSocket) {
        if now < self.look_at || !self.is_possible {
            return;
        }
        self.look_at = now + LOOK_EVERY;
        let before = self.level;
        match sys::fill(socket) {
            Ok(fill) => self.judge(now, fill),
            Err(error) => self.give_up(&error),
        }
        if self.level == before {
            return;
        }
        tracing::debug!(level = self.level, "ClientHellos are dropped by the system");
        if let Err(error) = sys::shed_hellos(socket, self.shed()) {
            self.give_up(&error);
        }
    }

    /// How much is dropped: 0 = nothing, [`LEVEL_MAX`] = nearly all.
    pub(crate) const fn level(&self) -> u8 {
        self.level
    }

    fn judge(&mut self, now: Instant, fill: Fill) {
        let part = u64::from(fill.waiting) * 16 / u64::from(fill.room.max(1));
        let since = now.saturating_duration_since(self.changed_at);
        if part >= FULL_SIXTEENTHS && self.level < LEVEL_MAX {
            // Less than this was too little a moment ago: it is not tried again so soon.
            let too_soon = self.lowered && since < RELAPSE;
            self.patience = if too_soon { (self.patience * 2).min(PATIENCE_MAX) } else { PATIENCE_MIN };
            (self.level, self.changed_at, self.lowered) = (self.level + 1, now, false);
        } else if part < EMPTY_SIXTEENTHS && self.level > 0 && since >= self.patience {
            (self.level, self.changed_at, self.lowered) = (self.level - 1, now, true);
        }
    }

    fn shed(&self) -> Shed {
        let part = |halvings: u8| u32::MAX >> halvings;
        Shed {
            kept_without_cookie: part(self.level),
            kept_with_cookie: part(self.level.saturating_sub(COOKIES_FROM)),
        }
    }

    fn give_up(&mut self, error: &std::io::Error) {
        tracing::debug!(%error, "the system drops no ClientHellos by themselves; when too many come, others are lost with them");
        self.is_possible = false;
        self.level = 0;
    }
}

/// Each level keeps half of the hellos of the level before.
const LEVEL_MAX: u8 = 8;
/// Up to this level hellos with a cookie are all kept; a flood of them would have needed no more than a few bytes for it.
const COOKIES_FROM: u8 = 4;
/// Between two looks at a busy socket.
const LOOK_EVERY: Duration = Duration::from_millis(10);
/// While anything is dropped a quiet socket is looked at so often, since what it does not get cannot wake it.
pub(crate) const WAKE_EVERY: Duration = Duration::from_millis(100);
const FULL_SIXTEENTHS: u64 = 4;
const EMPTY_SIXTEENTHS: u64 = 1;
const PATIENCE_MIN: Duration = Duration::from_millis(200);
const PATIENCE_MAX: Duration = Duration::from_millis(3200);
const RELAPSE: Duration = Duration::from_secs(1);

#[cfg(test)]
mod tests {
    use super::*;

    fn judge(shedding: &mut Shedding, at_ms: u64, percent: u32) -> u8 {
        let fill = Fill { waiting: percent, room: 100, dropped: 0 };
        shedding.judge(Instant::from_millis(at_ms), fill);
        shedding.level()
    }

    #[test]
    fn more_is_dropped_while_the_queue_is_full_and_less_when_it_stays_empty() {
        let mut shedding = Shedding::default();
        assert_eq!(judge(&mut shedding, 1000, 10), 0, "a burst finds room");
        for level in 1..=LEVEL_MAX {
            assert_eq!(judge(&mut shedding, 1000 + u64::from(level) * 10, 50), level);
        }
        assert_eq!(judge(&mut shedding, 1100, 90), LEVEL_MAX);
        let Shed { kept_without_cookie, kept_with_cookie } = shedding.shed();
        assert_eq!((kept_without_cookie, kept_with_cookie), (u32::MAX >> 8, u32::MAX >> 4));
        assert_eq!(judge(&mut shedding, 1200, 0), LEVEL_MAX, "not at once");
        let mut at = 1300;
        for level in (0..LEVEL_MAX).rev() {
            assert_eq!(judge(&mut shedding, at, 0), level);
            at += 200;
        }
        assert_eq!(shedding.shed(), Shed::NOTHING);
    }

    #[test]
    fn what_was_too_little_is_tried_ever_more_seldom() {
        let mut shedding = Shedding::default();
        let (mut tries, mut at) = (0, 1000);
        judge(&mut shedding, at, 50);
        while at < 61_000 {
            at += 10;
            // One level is enough, none is too little.
            let level = judge(&mut shedding, at, 0);
            if level == 0 {
                tries += 1;
                at += 10;
                assert_eq!(judge(&mut shedding, at, 50), 1);
            }
        }
        assert!((15..30).contains(&tries), "{tries} in a minute");
        assert_eq!(judge(&mut shedding, at + 10_000, 0), 0, "and in the end it is over");
    }
}
