//! Timers for a million deadlines: a hierarchical wheel, everything in constant time.
//!
//! Eleven levels of 64 slots, one tick a millisecond; level *n* has slots of 64ⁿ ticks, and together they cover
//! every tick there is. A timer lies on the level
//! of the highest digit (base 64) in which its tick differs from the present one, and falls to a lower level when
//! its slot is reached. Nothing fires early; timers of one tick fire in an order that depends only on the calls.

use core::num::NonZeroU32;
use core::time::Duration;

use lightship_platform::Instant;

use crate::chunks::{Chunks, Place};

/// Names an armed timer until it fires or is cancelled.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct TimerId(NonZeroU32);

impl TimerId {
    fn of(place: u32) -> Self {
        // No place has the greatest number.
        Self(NonZeroU32::new(place.wrapping_add(1)).unwrap_or(NonZeroU32::MAX))
    }

    fn place(self) -> u32 {
        self.0.get() - 1
    }
}

/// The wheel; `K` says what a timer is for.
///
/// Timers that last and timers that pass want a wheel each, so that many of the latter leave nothing behind, and chunks of another
/// length ([`LASTING`]), since an allocator puts side by side what is as long.
pub(crate) struct Timers<K, const LEN: usize = 128> {
    nodes: Chunks<Node<K>, LEN>,
    /// Head and tail of each slot's list, the due list last.
    lists: Vec<(u32, u32)>,
    /// One bit for each slot that holds timers.
    occupied: [u64; LEVELS],
    /// One bit for each level that has such a slot.
    levels: u32,
    /// Everything up to and including this tick has moved to the due list.
    tick: u64,
    armed: usize,
}

/// There are as many as devices, and none is longer than it has to be.
struct Node<K> {
    /// `None`: not in use, and the next of these is in `next`.
    key: Option<K>,
    due: Tick,
    list: u16,
    previous: u32,
    next: u32,
}

/// A tick in six bytes, enough for 8900 years; one beyond is the last of them.
#[derive(Clone, Copy)]
struct Tick([u16; 3]);

impl Tick {
    const MAX: u64 = (1 << 48) - 1;

    #[inline]
    #[allow(clippy::cast_possible_truncation, reason = "the three parts of the number")]
    fn of(tick: u64) -> Self {
        let tick = tick.min(Self::MAX);
        Self([tick as u16, (tick >> 16) as u16, (tick >> 32) as u16])
    }

    #[inline]
    fn open(self) -> u64 {
        let [low, middle, high] = self.0.map(u64::from);
        high << 32 | middle << 16 | low
    }
}

/// Timers in a chunk of a wheel for those that last.
pub(crate) const LASTING: usize = 256;
const LEVELS: usize = 11;
const SLOT_BITS: u32 = 6;
const SLOTS: u32 = 1 << SLOT_BITS;
#[allow(clippy::cast_possible_truncation, reason = "a small constant")]
const DUE: u16 = LEVELS as u16 * SLOTS as u16;
const NONE: u32 = u32::MAX;
/// No list.
const NOWHERE: u16 = u16::MAX;
const TICK_US: u64 = 1000;

impl<K> Place for Node<K> {
    #[inline]
    fn free(next: u8, _: NonZeroU32) -> Self {
        Self { key: None, due: Tick::of(0), list: NOWHERE, previous: NONE, next: next.into() }
    }

    #[inline]
    fn set_free(&mut self, next: u8) {
        self.key = None;
        self.next = next.into();
    }

    #[inline]
    #[allow(clippy::cast_possible_truncation, reason = "it was one byte")]
    fn next(&self) -> u8 {
        self.next as u8
    }
}

impl<K: Copy, const LEN: usize> Timers<K, LEN> {
    pub(crate) fn new() -> Self {
        Self {
            nodes: Chunks::new(),
            lists: vec![(NONE, NONE); usize::from(DUE) + 1],
            occupied: [0; LEVELS],
            levels: 0,
            tick: 0,
            armed: 0,
        }
    }

    #[cfg(test)]
    pub(crate) fn len(&self) -> usize {
        self.armed
    }

    /// Fires `key` at the first [`Timers::advance`] that is not before `due`.
    pub(crate) fn arm(&mut self, due: Instant, key: K) -> TimerId {
        let due = Tick::of(due.as_micros().div_ceil(TICK_US));
        let list = self.list_for(due);
        let previous = self.lists[usize::from(list)].1;
        let (id, node) = self.nodes.take();
        *node = Node { key: Some(key), due, list, previous, next: NONE };
        self.armed += 1;
        self.append(list, previous, id);
        TimerId::of(id)
    }

    /// Forgets a timer that has not fired yet.
    pub(crate) fn cancel(&mut self, id: TimerId) {
        debug_assert!(self.node(id.place()).key.is_some(), "a timer is cancelled once, before it fires");
        let id = id.place();
        self.unlink(id);
        self.release(id);
    }

    /// The moment at which [`Timers::advance`] has something to do; not after the earliest timer.
    pub(crate) fn next(&self) -> Option<Instant> {
        if self.lists[usize::from(DUE)].0 != NONE {
            return Some(instant_of(self.tick));
        }
        self.next_slot().map(|(_, _, tick)| instant_of(tick))
    }

    /// Lets the time pass; what became due comes out of [`Timers::pop`].
    pub(crate) fn advance(&mut self, now: Instant) {
        let to = now.as_micros() / TICK_US;
        while let Some((level, slot, tick)) = self.next_slot() {
            if tick > to {
                break;
            }
            self.tick = self.tick.max(tick);
            let list = level * SLOTS as usize + slot as usize;
            let mut id = self.lists[list].0;
            self.lists[list] = (NONE, NONE);
            self.clear(level, slot);
            while id != NONE {
                let next = self.node(id).next;
                self.sort_in(id);
                id = next;
            }
        }
        self.tick = self.tick.max(to);
    }

    /// The next timer that is due.
    pub(crate) fn pop(&mut self) -> Option<K> {
        let id = self.lists[usize::from(DUE)].0;
        if id == NONE {
            return None;
        }
        let key = self.node(id).key;
        self.unlink(id);
        self.release(id);
        key
    }

    fn next_slot(&self) -> Option<(usize, u32, u64)> {
        let level = self.levels.trailing_zeros();
        let slot = self.occupied.get(level as usize)?.trailing_zeros();
        let shift = SLOT_BITS * level;
        let above =
            self.tick.checked_shr(shift + SLOT_BITS).map_or(0, |digits| digits << (shift + SLOT_BITS));
        Some((level as usize, slot, above | u64::from(slot) << shift))
    }

    fn sort_in(&mut self, id: u32) {
        let list = self.list_for(self.node(id).due);
        let tail = self.lists[usize::from(list)].1;
        let node = self.node_mut(id);
        (node.previous, node.next, node.list) = (tail, NONE, list);
        self.append(list, tail, id);
    }

    /// The list for a timer that is due then, which comes into it at once.
    #[inline]
    fn list_for(&mut self, due: Tick) -> u16 {
        let due = due.open();
        if due <= self.tick {
            return DUE;
        }
        let differing = 63 - ((due ^ self.tick) | (u64::from(SLOTS) - 1)).leading_zeros();
        let level = differing / SLOT_BITS;
        let slot = (due >> (level * SLOT_BITS)) & (u64::from(SLOTS) - 1);
        self.occupied[level as usize] |= 1 << slot;
        self.levels |= 1 << level;
        #[allow(clippy::cast_possible_truncation, reason = "there are some hundred lists")]
        let list = (u64::from(level * SLOTS) + slot) as u16;
        list
    }

    /// Puts a timer, which knows it already, behind the last of a list.
    #[inline]
    fn append(&mut self, list: u16, tail: u32, id: u32) {
        let ends = &mut self.lists[usize::from(list)];
        ends.1 = id;
        match tail {
            NONE => ends.0 = id,
            tail => self.node_mut(tail).next = id,
        }
    }

    fn unlink(&mut self, id: u32) {
        let Node { previous, next, list, .. } = *self.node(id);
        match previous {
            NONE => self.lists[usize::from(list)].0 = next,
            previous => self.node_mut(previous).next = next,
        }
        match next {
            NONE => self.lists[usize::from(list)].1 = previous,
            next => self.node_mut(next).previous = previous,
        }
        if (previous, next) == (NONE, NONE) && list < DUE {
            self.clear(usize::from(list) / SLOTS as usize, u32::from(list) % SLOTS);
        }
    }

    /// A slot holds no timers any more.
    fn clear(&mut self, level: usize, slot: u32) {
        self.occupied[level] &= !(1 << slot);
        if self.occupied[level] == 0 {
            self.levels &= !(1 << level);
        }
    }

    fn release(&mut self, id: u32) {
        self.nodes.release(id);
        self.armed -= 1;
    }

    #[inline]
    fn node(&self, id: u32) -> &Node<K> {
        self.nodes.get(id).expect("lists lead to timers")
    }

    #[inline]
    fn node_mut(&mut self, id: u32) -> &mut Node<K> {
        self.nodes.get_mut(id).expect("lists lead to timers")
    }
}

fn instant_of(tick: u64) -> Instant {
    Instant::from_micros(0) + Duration::from_millis(tick)
}

#[cfg(test)]
mod tests {
    use lightship_platform::{Rng, SeededRng};
    use proptest::prelude::*;

    use super::*;

    fn at(ms: u64) -> Instant {
        instant_of(ms)
    }

    #[test]
    fn nothing_fires_early_and_everything_fires() {
        let mut timers = Timers::<_, 128>::new();
        timers.arm(at(10), 'b');
        timers.arm(Instant::from_micros(9001), 'c');
        timers.arm(at(3_600_000), 'd');
        timers.arm(at(0), 'a');
        timers.advance(at(0));
        assert_eq!(timers.pop(), Some('a'));
        assert_eq!(timers.pop(), None);
        timers.advance(Instant::from_micros(9_999));
        assert_eq!(timers.pop(), None);
        timers.advance(at(10));
        assert_eq!((timers.pop(), timers.pop(), timers.pop()), (Some('b'), Some('c'), None));
        timers.advance(at(3_599_999));
        assert_eq!(timers.pop(), None);
        timers.advance(at(3_600_000));
        assert_eq!(timers.pop(), Some('d'));
        assert_eq!(timers.next(), None);
    }

    #[test]
    fn a_timer_in_the_next_century_takes_few_wakes() {
        let mut timers = Timers::<_, 128>::new();
        let far = 1 << 42 | 12_345;
        timers.arm(at(far), ());
        let mut wakes = 0;
        while let Some(next) = timers.next() {
            timers.advance(next);
            wakes += 1;
            assert!(wakes <= LEVELS, "one for each level at most");
            if timers.pop().is_some() {
                assert_eq!(next, at(far));
            }
        }
        assert_eq!(timers.len(), 0);
    }

    #[test]
    fn a_timer_takes_little_room() {
        use crate::{devices::Device, slab::Key};
        assert_eq!(size_of::<Node<Key<Device>>>(), 24);
    }

    #[test]
    fn what_lies_behind_the_last_tick_waits_for_it() {
        let mut timers = Timers::<_, 128>::new();
        timers.arm(Instant::from_micros(u64::MAX), 'b');
        timers.arm(at(Tick::MAX - 1), 'a');
        timers.advance(at(Tick::MAX - 2));
        assert_eq!(timers.pop(), None);
        timers.advance(at(Tick::MAX - 1));
        assert_eq!((timers.pop(), timers.pop()), (Some('a'), None));
        timers.advance(at(Tick::MAX));
        assert_eq!((timers.pop(), timers.pop()), (Some('b'), None));
    }

    proptest! {
        #[test]
        fn a_wheel_fires_as_a_sorted_list_does(seed: [u8; 32]) {
            let mut rng = SeededRng::new(seed);
            let mut timers = Timers::<_, 128>::new();
            let mut model: Vec<(u64, u32, TimerId)> = Vec::new();
            let mut now = u64::from(rng.next_u32()) << 8;
            for n in 0..300_u32 {
                match rng.below(4) {
                    0 | 1 => {
                        let spread = 1_u32 << rng.below(30);
                        let due = now + u64::from(rng.below(spread));
                        model.push((due, n, timers.arm(at(due), n)));
                    }
                    2 if !model.is_empty() => {
                        let victim = rng.below(u32::try_from(model.len()).unwrap_or(1)) as usize;
                        timers.cancel(model.swap_remove(victim).2);
                    }
                    _ => {
                        if rng.below(2) == 0 && let Some(next) = timers.next() {
                            now = now.max(next.as_micros() / TICK_US);
                        } else {
                            let spread = 1_u32 << rng.below(30);
                            now += u64::from(rng.below(spread));
                        }
                        timers.advance(at(now));
                        while let Some(key) = timers.pop() {
                            let place = model.iter().position(|(_, n, _)| *n == key).expect("armed");
                            prop_assert!(model.swap_remove(place).0 <= now);
                        }
                        prop_assert!(model.iter().all(|(due, _, _)| *due > now));
                    }
                }
                prop_assert_eq!(timers.len(), model.len());
                let earliest = model.iter().map(|(due, _, _)| *due).min();
                match (timers.next(), earliest) {
                    (Some(next), Some(earliest)) => prop_assert!(next <= at(earliest.max(now))),
                    (next, earliest) => prop_assert_eq!(next.is_some(), earliest.is_some()),
                }
            }
        }
    }
}
