//! Numbered places in chunks, which come when they are needed and go when nothing is left in them.
//!
//! Nothing moves and nothing is copied when there is more. What comes lies as far in front as there is room, so that chunks
//! behind become empty when many leave: what a million needed for four minutes is not kept for ever.
//!
//! A place is named by the number of its chunk and, in the lowest eight bits, by where it is in that. Chunks may be shorter than
//! 256, so that each fills a block of the allocator; the names beyond are nobody's then.

use core::num::NonZeroU32;

/// What lies at a place: something, or nothing and the number of another place.
pub(crate) trait Place {
    /// One that is not in use.
    fn free(next: u8, generation: NonZeroU32) -> Self;

    /// It is in use no more.
    fn set_free(&mut self, next: u8);

    /// What [`Place::free`] or [`Place::set_free`] was told last.
    fn next(&self) -> u8;

    /// The generation of what lies here, or will lie here next, for those that have one.
    fn generation(&self) -> NonZeroU32 {
        NonZeroU32::MIN
    }
}

/// Values at numbered places, so many in a chunk.
pub(crate) struct Chunks<S, const LEN: usize> {
    chunks: Vec<Chunk<S, LEN>>,
    /// One bit for each chunk that takes memory and has room.
    rooms: Vec<u64>,
    /// The first of these; `NONE` if there is none.
    open: u32,
    /// One in which nothing is left, and which is kept so that a few that come and go do not take a chunk along each time.
    /// Something may have come into it since.
    spare: u32,
    /// Those that were given back.
    gone: Vec<u32>,
}

struct Chunk<S, const LEN: usize> {
    places: Option<Box<[S; LEN]>>,
    /// The first of its list of places that are not in use, if there is one.
    free: u8,
    used: u16,
    /// Not before any generation that was given out here before it was given back.
    generation: NonZeroU32,
}

const CHUNK_BITS: u32 = 8;
/// Places in a chunk, at most.
const LEN_MAX: usize = 1 << CHUNK_BITS;
const NONE: u32 = u32::MAX;

/// How many places of this length a chunk is to have, so that each takes the least of the blocks that an allocator has: the
/// lengths of these are 4, 5, 6 and 7 times a power of two.
pub(crate) const fn len_for(place_len: usize) -> usize {
    let (mut best, mut len) = (LEN_MAX, LEN_MAX);
    while len > LEN_MAX / 2 {
        if block_len(len * place_len) * best < block_len(best * place_len) * len {
            best = len;
        }
        len -= 1;
    }
    best
}

/// The least block that has room for so many bytes.
const fn block_len(bytes: usize) -> usize {
    let power = bytes.next_power_of_two();
    let mut eighths = 8;
    while power / 8 * (eighths - 1) >= bytes && eighths > 5 {
        eighths -= 1;
    }
    power / 8 * eighths
}

impl<S: Place, const LEN: usize> Chunks<S, LEN> {
    pub(crate) fn new() -> Self {
        const { assert!(LEN > 0 && LEN <= LEN_MAX) };
        Self { chunks: Vec::new(), rooms: Vec::new(), open: NONE, spare: NONE, gone: Vec::new() }
    }

    /// The place that the next [`Chunks::take`] takes, and its generation.
    pub(crate) fn next(&self) -> (u32, NonZeroU32) {
        if let Some(chunk) = self.chunks.get(self.open as usize)
            && let Some(places) = &chunk.places
        {
            return (place(self.open, chunk.free), places[usize::from(chunk.free)].generation());
        }
        let number = self.gone.last().copied().unwrap_or_else(|| count(self.chunks.len()));
        let generation = self.chunks.get(number as usize).map_or(NonZeroU32::MIN, |chunk| chunk.generation);
        (place(number, 0), generation)
    }

    /// Takes a place, into which something is to be put at once.
    #[inline]
    pub(crate) fn take(&mut self) -> (u32, &mut S) {
        if self.open == NONE {
            self.grow();
        }
        let number = self.open;
        let chunk = &mut self.chunks[number as usize];
        let places = chunk.places.as_mut().expect("one with room takes memory");
        let at = chunk.free;
        let found = &mut places[usize::from(at)];
        chunk.free = found.next();
        chunk.used += 1;
        if usize::from(chunk.used) == LEN {
            self.open = filled(&mut self.rooms, number);
        }
        (place(number, at), found)
    }

    /// A place that is in use is free from now on.
    #[inline]
    pub(crate) fn release(&mut self, index: u32) {
        let (number, at) = split(index);
        let Some(chunk) = self.chunks.get_mut(number as usize) else { return };
        let Some(places) = &mut chunk.places else { return };
        places[usize::from(at)].set_free(chunk.free);
        chunk.free = at;
        let was_full = usize::from(chunk.used) == LEN;
        chunk.used -= 1;
        if chunk.used == 0 || was_full {
            self.changed(number);
        }
    }

    #[inline]
    pub(crate) fn get(&self, index: u32) -> Option<&S> {
        let (number, at) = split(index);
        self.chunks.get(number as usize)?.places.as_ref()?.get(usize::from(at))
    }

    #[inline]
    pub(crate) fn get_mut(&mut self, index: u32) -> Option<&mut S> {
        let (number, at) = split(index);
        self.chunks.get_mut(number as usize)?.places.as_mut()?.get_mut(usize::from(at))
    }

    /// All places, those that are not in use included, but for chunks that are given back.
    pub(crate) fn places(&self) -> impl Iterator<Item = u32> {
        let held = self.chunks.iter().enumerate().filter(|(_, chunk)| chunk.places.is_some());
        held.flat_map(|(number, _)| (0..=u8::MAX).take(LEN).map(move |at| place(count(number), at)))
    }

    /// More than the number of every place in use.
    pub(crate) fn end(&self) -> u32 {
        place(count(self.chunks.len()), 0)
    }

    /// Chunks that take memory.
    #[cfg(test)]
    pub(crate) fn held(&self) -> usize {
        self.chunks.iter().filter(|chunk| chunk.places.is_some()).count()
    }

    /// Gets memory for one more chunk.
    #[cold]
    fn grow(&mut self) {
        let number = self.gone.pop().unwrap_or_else(|| {
            self.chunks.push(Chunk { places: None, free: 0, used: 0, generation: NonZeroU32::MIN });
            count(self.chunks.len() - 1)
        });
        let chunk = &mut self.chunks[number as usize];
        let next = |at: u8| at.wrapping_add(1);
        let places: Vec<S> = (0..=u8::MAX).take(LEN).map(|at| S::free(next(at), chunk.generation)).collect();
        chunk.places = places.into_boxed_slice().try_into().ok();
        chunk.free = 0;
        set_room(&mut self.rooms, number, true);
        self.open = number;
    }

    /// A chunk has room again, or nothing is left in it.
    #[cold]
    fn changed(&mut self, number: u32) {
        set_room(&mut self.rooms, number, true);
        // None is behind `NONE`.
        self.open = self.open.min(number);
        if self.chunks[number as usize].used > 0 {
            return;
        }
        let is_empty = |chunk: &Chunk<S, LEN>| chunk.used == 0 && chunk.places.is_some();
        if self.spare == number || !self.chunks.get(self.spare as usize).is_some_and(is_empty) {
            self.spare = number;
            return;
        }
        let behind = self.spare.max(number);
        self.spare = self.spare.min(number);
        let chunk = &mut self.chunks[behind as usize];
        let newest = chunk.places.take().and_then(|places| places.iter().map(S::generation).max());
        chunk.generation = newest.unwrap_or(chunk.generation);
        self.gone.push(behind);
        set_room(&mut self.rooms, behind, false);
        // The one that is kept has room and is in front of it.
    }
}

/// A chunk has no room left; gives the next one that has.
#[cold]
fn filled(rooms: &mut Vec<u64>, number: u32) -> u32 {
    set_room(rooms, number, false);
    // It was the first.
    let words = rooms.iter().enumerate().skip(number as usize / 64);
    let mut found = words.filter(|(_, bits)| **bits != 0);
    found.next().map_or(NONE, |(word, bits)| count(word) * 64 + bits.trailing_zeros())
}

fn set_room(rooms: &mut Vec<u64>, number: u32, has_room: bool) {
    let (word, bit) = (number as usize / 64, 1 << (number % 64));
    if rooms.len() <= word {
        rooms.resize(word + 1, 0);
    }
    rooms[word] = rooms[word] & !bit | if has_room { bit } else { 0 };
}

fn count(chunks: usize) -> u32 {
    let count = u32::try_from(chunks).ok().filter(|count| *count < NONE >> CHUNK_BITS);
    count.expect("the limits keep tables below 2^32 entries")
}

fn place(number: u32, at: u8) -> u32 {
    number << CHUNK_BITS | u32::from(at)
}

#[allow(clippy::cast_possible_truncation, reason = "the lowest bits")]
fn split(index: u32) -> (u32, u8) {
    (index >> CHUNK_BITS, index as u8)
}

#[cfg(test)]
mod tests {
    use std::collections::{BTreeSet, HashSet};

    use lightship_platform::{Rng, SeededRng};

    use super::*;

    /// One more generation with each value that left.
    struct Counted {
        next: u8,
        generation: NonZeroU32,
    }

    impl Place for Counted {
        fn free(next: u8, generation: NonZeroU32) -> Self {
            Self { next, generation }
        }

        fn set_free(&mut self, next: u8) {
            self.next = next;
            self.generation = self.generation.saturating_add(1);
        }

        fn next(&self) -> u8 {
            self.next
        }

        fn generation(&self) -> NonZeroU32 {
            self.generation
        }
    }

    fn take<const LEN: usize>(chunks: &mut Chunks<Counted, LEN>) -> (u32, NonZeroU32) {
        let expected = chunks.next();
        let (index, place) = chunks.take();
        assert_eq!((index, place.generation), expected);
        expected
    }

    #[test]
    fn what_many_needed_is_given_back_in_whatever_order_they_leave() {
        let orders: [fn(u32) -> u32; 3] = [|n| n, |n| 9999 - n, |n| n * 7919 % 10_000];
        for order in orders {
            let mut chunks = Chunks::<_, 256>::new();
            for _ in 0..10_000 {
                take(&mut chunks);
            }
            assert_eq!(chunks.held(), 40);
            (0..9900).for_each(|n| chunks.release(order(n)));
            let left: Vec<u32> = (9900..10_000).map(order).collect();
            let kept: BTreeSet<u32> = left.iter().map(|place| place >> CHUNK_BITS).collect();
            assert!(chunks.held() <= kept.len() + 1, "{} of {}", chunks.held(), kept.len());
            left.iter().for_each(|place| chunks.release(*place));
            assert_eq!(chunks.held(), 1);
        }
    }

    #[test]
    fn what_comes_lies_as_far_in_front_as_there_is_room() {
        let mut chunks = Chunks::<_, 256>::new();
        (0..2000).for_each(|_| _ = take(&mut chunks));
        [1700, 300, 1000].into_iter().for_each(|place| chunks.release(place));
        let taken: Vec<u32> = (0..3).map(|_| take(&mut chunks).0).collect();
        assert_eq!(taken, [300, 1000, 1700]);
    }

    #[test]
    fn a_chunk_fills_a_block_of_the_allocator() {
        let blocks: Vec<usize> = (0..20).flat_map(|power| [4, 5, 6, 7].map(|part| part << power)).collect();
        for bytes in 32..600_000_usize {
            let least = blocks.iter().copied().find(|block| *block >= bytes);
            assert_eq!(Some(block_len(bytes)), least, "{bytes}");
        }
        for place_len in (8..=512).step_by(8) {
            let len = len_for(place_len);
            assert!((LEN_MAX / 2 + 1..=LEN_MAX).contains(&len));
            let wasted = block_len(len * place_len) - len * place_len;
            assert!(wasted * 128 < len * place_len, "{wasted} bytes beside {len} places of {place_len}");
        }
    }

    #[test]
    fn a_few_that_come_and_go_take_no_chunk_along() {
        let mut chunks = Chunks::<_, 256>::new();
        (0..256).for_each(|_| _ = take(&mut chunks));
        let (more, _) = take(&mut chunks);
        let before = chunks.get(more).map(std::ptr::from_ref);
        for _ in 0..10 {
            chunks.release(more);
            assert_eq!(take(&mut chunks).0, more);
            assert_eq!(chunks.get(more).map(std::ptr::from_ref), before);
        }
    }

    #[test]
    fn no_place_is_given_out_twice_under_one_generation() {
        given_out_once::<256>();
        given_out_once::<227>();
        given_out_once::<128>();
    }

    fn given_out_once<const LEN: usize>() {
        let mut rng = SeededRng::from_number(3);
        let mut chunks = Chunks::<_, LEN>::new();
        let (mut given, mut live) = (HashSet::new(), Vec::new());
        let (mut most, mut least) = (0, usize::MAX);
        for round in 0..60_000_u32 {
            // It grows and shrinks in turns.
            let grows = round % 20_000 < 8000;
            if rng.below(10) < if grows { 9 } else { 1 } {
                let new = take(&mut chunks);
                assert!(given.insert(new), "{new:?}");
                live.push(new.0);
            } else if !live.is_empty() {
                let at = rng.below(u32::try_from(live.len()).unwrap_or(1)) as usize;
                chunks.release(live.swap_remove(at));
            }
            if round > 10_000 {
                (most, least) = (most.max(chunks.held()), least.min(chunks.held()));
            }
            if round % 1000 == 0 {
                let places: HashSet<u32> = chunks.places().collect();
                assert!(live.iter().all(|place| places.contains(place) && *place < chunks.end()));
                assert_eq!(live.iter().collect::<HashSet<_>>().len(), live.len());
            }
        }
        assert!(most > 25 && least < 3, "{most} and {least} chunks");
    }
}
