//! Many timers, none of them exact to the millisecond.
//!
//! A ring of slots, one for each millisecond; what is due later than the ring is long goes round again. Timers are not
//! cancelled: whoever is woken looks whether there is still something to do.

use lightship_platform::Instant;

/// Timers that wake up a `T`.
pub(crate) struct Wheel<T> {
    slots: Vec<Vec<(u64, T)>>,
    /// The next millisecond to look at.
    tick: u64,
    len: usize,
}

impl<T> Wheel<T> {
    /// No timers; time begins at `now`.
    pub(crate) fn new(now: Instant) -> Self {
        Self { slots: (0..SLOTS).map(|_| Vec::new()).collect(), tick: now.as_millis(), len: 0 }
    }

    /// Wakes `item` at `deadline`, at most a millisecond later.
    pub(crate) fn push(&mut self, deadline: Instant, item: T) {
        let due = deadline.as_micros().div_ceil(1000).max(self.tick);
        if let Some(slot) = self.slots.get_mut(index(due)) {
            slot.push((due, item));
            self.len += 1;
        }
    }

    /// Takes out what is due into `out`.
    pub(crate) fn advance(&mut self, now: Instant, out: &mut Vec<T>) {
        let now = now.as_millis();
        if self.len == 0 {
            self.tick = self.tick.max(now + 1);
            return;
        }
        // Once round is enough, however long nobody looked.
        let first = self.tick.max((now + 1).saturating_sub(SLOTS));
        for tick in first..=now {
            let Some(slot) = self.slots.get_mut(index(tick)) else { continue };
            if slot.is_empty() {
                continue;
            }
            let before = slot.len();
            out.extend(slot.extract_if(.., |(due, _)| *due <= now).map(|(_, item)| item));
            self.len -= before - slot.len();
            if slot.is_empty() && slot.capacity() > KEPT_CAPACITY {
                *slot = Vec::new();
            }
        }
        self.tick = self.tick.max(now + 1);
    }

    /// When to look next: not later than the first timer.
    pub(crate) fn poll_timeout(&self) -> Option<Instant> {
        if self.len == 0 {
            return None;
        }
        let soon = (self.tick..self.tick + LOOK_AHEAD)
            .find(|tick| self.slots.get(index(*tick)).is_some_and(|slot| !slot.is_empty()));
        Some(Instant::from_millis(soon.unwrap_or(self.tick + LOOK_AHEAD)))
    }
}

fn index(tick: u64) -> usize {
    usize::try_from(tick % SLOTS).unwrap_or(0)
}

/// Slots of a millisecond each: 16 s.
const SLOTS: u64 = 1 << 14;
/// How far it looks for the next timer, in milliseconds.
const LOOK_AHEAD: u64 = 50;
/// Room that an empty slot may keep.
const KEPT_CAPACITY: usize = 1024;

#[cfg(test)]
mod tests {
    use super::*;

    fn ms(ms: u64) -> Instant {
        Instant::from_millis(ms)
    }

    #[test]
    fn timers_fire_in_time_and_once() {
        let mut wheel = Wheel::new(ms(5));
        for (due, item) in [(7, 'a'), (7, 'b'), (100, 'c'), (40_000, 'd'), (7 + 16_384, 'e')] {
            wheel.push(ms(due), item);
        }
        let mut fired = Vec::new();
        for now in 5..50_000 {
            let mut out = Vec::new();
            if wheel.poll_timeout().is_some_and(|at| at <= ms(now)) {
                wheel.advance(ms(now), &mut out);
            }
            fired.extend(out.into_iter().map(|item| (now, item)));
        }
        assert_eq!(fired, [(7, 'a'), (7, 'b'), (100, 'c'), (16_391, 'e'), (40_000, 'd')]);
        assert_eq!(wheel.poll_timeout(), None);
    }

    #[test]
    fn after_a_long_pause_nothing_is_forgotten() {
        let mut wheel = Wheel::new(ms(0));
        for due in (0..200_000).step_by(997) {
            wheel.push(ms(due), due);
        }
        let mut out = Vec::new();
        wheel.advance(ms(100_000), &mut out);
        out.sort_unstable();
        assert_eq!(out, (0..=100_000).step_by(997).collect::<Vec<_>>());
        wheel.push(ms(3), 3);
        wheel.advance(ms(100_001), &mut out);
        assert_eq!(out.last(), Some(&3));
    }
}
