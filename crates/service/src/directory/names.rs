//! Names: devices in the order of their names, and where in it a text may occur.
//!
//! ```text
//! blocks, in order ─► 512 places in the order of their names, and a summary of these names:
//!                     one bit for each four letters that stand side by side in one of them
//! ```
//! Each block grows and splits by itself, so that nothing is ever copied as a whole. A search for a text of four letters
//! and more skips the blocks whose summary lacks some of it; the names of the others are looked at. A device costs 12 to 15 bytes here.

use super::order::in_order;

/// Where a device lies in the table.
pub(super) type Place = u32;

/// Devices in the order of their names. What they are called is the caller's to say.
#[derive(Debug, Default)]
pub(super) struct Names {
    blocks: Vec<Block>,
}

#[derive(Debug)]
struct Block {
    /// Never empty.
    places: Vec<Place>,
    grams: Grams,
    /// Names that are gone and may still be in the summary.
    gone: usize,
}

/// Which four letters stand side by side in some names; may claim too much, never too little.
#[derive(Debug)]
struct Grams(Box<[u64; GRAM_BITS / 64]>);

impl Names {
    /// All these devices at once, in any order.
    pub(super) fn of<'a>(places: &[Place], name_of: impl Fn(Place) -> &'a str + Sync) -> Names {
        let blocks = in_order(places, &name_of, |stretch| {
            stretch.chunks(BLOCK_LEN).map(|block| Block::of(block, &name_of)).collect::<Vec<_>>()
        });
        Names { blocks: blocks.into_iter().flatten().collect() }
    }

    /// Adds a device that is not here.
    pub(super) fn insert<'a>(&mut self, place: Place, name_of: impl Fn(Place) -> &'a str) {
        let name = name_of(place);
        let Some(mut at) = self.block_of(name, &name_of) else {
            self.blocks.push(Block::of(&[place], &name_of));
            return;
        };
        if let Some(block) = self.blocks.get(at)
            && block.places.len() >= BLOCK_LEN
        {
            let is_last = at + 1 == self.blocks.len();
            if is_last && block.places.last().is_some_and(|last| name_of(*last) < name) {
                // Names that come in their order fill each block.
                self.blocks.push(Block::of(&[place], &name_of));
                return;
            }
            if !self.even_out(at, &name_of) {
                self.split(at, name, &name_of);
            }
            at = self.block_of(name, &name_of).unwrap_or(at);
        }
        let Some(block) = self.blocks.get_mut(at) else { return };
        let behind = block.places.partition_point(|other| name_of(*other) < name);
        block.places.insert(behind, place);
        block.grams.add(name);
    }

    /// Takes a device out; it still has its name.
    pub(super) fn remove<'a>(&mut self, place: Place, name_of: impl Fn(Place) -> &'a str) {
        let name = name_of(place);
        let Some(at) = self.block_of(name, &name_of) else { return };
        let Some(block) = self.blocks.get_mut(at) else { return };
        let behind = block.places.partition_point(|other| name_of(*other) < name);
        if block.places.get(behind) != Some(&place) {
            return;
        }
        block.places.remove(behind);
        block.gone += 1;
        if block.places.is_empty() {
            self.blocks.remove(at);
        } else if block.places.len() <= BLOCK_LEN / 4 {
            self.join(at, &name_of);
        } else if block.gone >= BLOCK_LEN / 2 {
            *block = Block::of(&block.places, &name_of);
        }
    }

    /// Shows the devices behind the name `after` whose blocks may have `text`, in their order, until `each` wants no more; the one
    /// it saw last, if there may be more.
    pub(super) fn walk<'a>(
        &self,
        text: &str,
        after: Option<&str>,
        name_of: impl Fn(Place) -> &'a str,
        mut each: impl FnMut(Place) -> bool,
    ) -> Option<Place> {
        let first = after.and_then(|after| self.block_of(after, &name_of)).unwrap_or(0);
        let is_behind = |place: &Place| after.is_none_or(|after| name_of(*place) > after);
        let grams: Vec<usize> = grams(text).collect();
        for block in self.blocks.iter().skip(first).filter(|block| block.grams.have(&grams)) {
            let begin = block.places.partition_point(|place| !is_behind(place));
            for place in block.places.get(begin..).unwrap_or_default() {
                if !each(*place) {
                    return Some(*place);
                }
            }
        }
        None
    }

    /// The device that has so many before it.
    pub(super) fn nth(&self, mut before: usize) -> Option<Place> {
        for block in &self.blocks {
            if let Some(place) = block.places.get(before) {
                return Some(*place);
            }
            before -= block.places.len();
        }
        None
    }

    /// The block where a name is, or should be; none if there are no blocks.
    fn block_of<'a>(&self, name: &str, name_of: impl Fn(Place) -> &'a str) -> Option<usize> {
        let begins = |block: &Block| block.places.first().is_some_and(|first| name_of(*first) <= name);
        let is_last = self.blocks.last().is_some_and(begins);
        let behind = if is_last { self.blocks.len() } else { self.blocks.partition_point(begins) };
        (!self.blocks.is_empty()).then(|| behind.saturating_sub(1))
    }

    /// Makes two of a full block into which a name is to come.
    fn split<'a>(&mut self, at: usize, name: &str, name_of: impl Fn(Place) -> &'a str) {
        let is_last = at + 1 == self.blocks.len();
        let Some(block) = self.blocks.get_mut(at) else { return };
        let mut before = block.places.len() / 2;
        if is_last {
            // Of names that come nearly in their order few more come before this one.
            before = before.max(block.places.partition_point(|other| name_of(*other) < name));
        }
        let (below, above) = block.places.split_at(before);
        let (lower, upper) = (Block::of(below, &name_of), Block::of(above, &name_of));
        *block = lower;
        self.blocks.insert(at + 1, upper);
    }

    /// Makes a full block and one beside it as long as each other, if that gives room for a while.
    fn even_out<'a>(&mut self, at: usize, name_of: impl Fn(Place) -> &'a str) -> bool {
        let has_room =
            |at: usize| self.blocks.get(at).is_some_and(|block| block.places.len() <= BLOCK_LEN / 8 * 7);
        let first = match at.checked_sub(1) {
            _ if has_room(at + 1) => at,
            Some(before) if has_room(before) => before,
            _ => return false,
        };
        let Some([lower, upper]) = self.blocks.get_mut(first..first + 2) else { return false };
        let both = [&lower.places[..], &upper.places[..]].concat();
        let (below, above) = both.split_at(both.len() / 2);
        (*lower, *upper) = (Block::of(below, &name_of), Block::of(above, &name_of));
        true
    }

    /// Joins a block that has become short with the next one, if both fit into one with room to spare.
    fn join<'a>(&mut self, at: usize, name_of: impl Fn(Place) -> &'a str) {
        let len = |at: usize| self.blocks.get(at).map(|block| block.places.len());
        let (Some(short), Some(next)) = (len(at), len(at + 1)) else { return };
        if short + next > BLOCK_LEN / 4 * 3 {
            return;
        }
        let next = self.blocks.remove(at + 1);
        if let Some(block) = self.blocks.get_mut(at) {
            *block = Block::of(&[&block.places[..], &next.places[..]].concat(), &name_of);
        }
    }
}

impl Block {
    fn of<'a>(some: &[Place], name_of: impl Fn(Place) -> &'a str) -> Block {
        let mut grams = Grams(Box::new([0; GRAM_BITS / 64]));
        some.iter().for_each(|place| grams.add(name_of(*place)));
        // Never more than it needs when it is full.
        let mut places = Vec::with_capacity(BLOCK_LEN);
        places.extend(some);
        Block { places, grams, gone: 0 }
    }
}

impl Grams {
    fn add(&mut self, name: &str) {
        for bit in grams(name) {
            if let Some(word) = self.0.get_mut(bit / 64) {
                *word |= 1 << (bit % 64);
            }
        }
    }

    fn have(&self, grams: &[usize]) -> bool {
        grams.iter().all(|bit| self.0.get(bit / 64).is_some_and(|word| word >> (bit % 64) & 1 == 1))
    }
}

/// The bits of all four letters that stand side by side.
fn grams(text: &str) -> impl Iterator<Item = usize> {
    text.as_bytes().windows(4).map(|four| {
        let four = four.iter().fold(0_u32, |four, letter| four << 8 | u32::from(*letter));
        // The highest bits of a product with an odd number depend on all letters.
        usize::try_from(four.wrapping_mul(0x9e37_79b1) >> (32 - GRAM_BITS.ilog2())).unwrap_or(0)
    })
}

/// Devices in a block, at most.
const BLOCK_LEN: usize = 512;
/// Bits in the summary of a block: random names of a block set about a third of them.
const GRAM_BITS: usize = 32_768;

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    /// The names that have a text, found in pages, and how many names were looked at.
    fn pages(names: &Names, text: &str, limit: usize, table: &[String]) -> (Vec<String>, usize) {
        let (mut all, mut after, mut looked_at) = (Vec::new(), None::<String>, 0);
        let name_of = |place: Place| table[place as usize].as_str();
        loop {
            let mut page = Vec::new();
            let last = names.walk(text, after.as_deref(), name_of, |place| {
                looked_at += 1;
                page.extend(Some(name_of(place).to_owned()).filter(|name| name.contains(text)));
                page.len() < limit
            });
            all.append(&mut page);
            match last {
                Some(last) => after = Some(name_of(last).to_owned()),
                None => return (all, looked_at),
            }
        }
    }

    #[test]
    fn pages_are_those_of_a_sorted_set_whatever_comes_and_goes() {
        let mut numbers = lightship_platform::SeededRng::from_number(7);
        let mut below = |limit: u32| lightship_platform::Rng::below(&mut numbers, limit);
        let table: Vec<String> =
            (0..6000_u32).map(|n| format!("urn:{:08x}-{n}", n.wrapping_mul(0x9e37_79b1))).collect();
        let name_of = |place: Place| table[place as usize].as_str();
        let (mut names, mut model) = (Names::default(), BTreeSet::new());
        for round in 0..30_000 {
            let place = below(6000);
            // It grows, then shrinks.
            if below(10) < if round < 15_000 { 8 } else { 2 } {
                if model.insert(name_of(place)) {
                    names.insert(place, name_of);
                }
            } else if model.remove(name_of(place)) {
                names.remove(place, name_of);
            }
            if round % 1000 == 0 {
                for text in ["", "7", "9e3", "urn:9e37", "-42", "urn:00000000-0", "nothing like it"] {
                    let expected: Vec<_> =
                        model.iter().filter(|name| name.contains(text)).map(|n| (*n).to_owned()).collect();
                    assert_eq!(pages(&names, text, 100, &table).0, expected, "{text:?} in round {round}");
                }
            }
        }
        assert!(names.blocks.len() <= 6000 / (BLOCK_LEN / 4) + 1, "{} blocks", names.blocks.len());
    }

    #[test]
    fn names_that_come_at_once_are_found_like_those_that_come_one_by_one() {
        let table: Vec<String> =
            (0..3000_u32).map(|n| format!("urn:dev:ops:{:06}", n * 7919 % 3000)).collect();
        let name_of = |place: Place| table[place as usize].as_str();
        let places: Vec<Place> = (0..).take(table.len()).collect();
        let mut at_once = Names::of(&places, name_of);
        let mut one_by_one = Names::default();
        for place in places {
            one_by_one.insert(place, name_of);
        }
        for gone in 0..500 {
            at_once.remove(gone * 3, name_of);
            one_by_one.remove(gone * 3, name_of);
        }
        for text in ["", "00", ":002999"] {
            let (expected, _) = pages(&one_by_one, text, 70, &table);
            assert_eq!(pages(&at_once, text, 70, &table).0, expected, "{text:?}");
        }
        assert_eq!(pages(&at_once, "", 70, &table).0.len(), 2500);
        assert!(Names::of(&[], name_of).blocks.is_empty());
    }

    #[test]
    fn blocks_are_well_filled_in_whatever_order_names_come() {
        let mut numbers = lightship_platform::SeededRng::from_number(11);
        let mut below = |limit: u32| lightship_platform::Rng::below(&mut numbers, limit);
        let table: Vec<String> = (0..60_000_u32).map(|n| format!("urn:imei:{n:015}")).collect();
        let name_of = |place: Place| table[place as usize].as_str();
        let in_order: Vec<Place> = (0..).take(table.len()).collect();
        let mut nearly_in_order = in_order.clone();
        nearly_in_order.sort_by_cached_key(|place| *place + below(500));
        let mut in_any_order = in_order.clone();
        in_any_order.sort_by_cached_key(|_| below(u32::MAX));
        for (order, filled) in [(in_order, 99), (nearly_in_order, 85), (in_any_order, 80)] {
            let mut names = Names::default();
            order.iter().for_each(|place| names.insert(*place, name_of));
            let percent = order.len() * 100 / (names.blocks.len() * BLOCK_LEN);
            assert!(percent >= filled, "{percent} % of {} blocks, not {filled}", names.blocks.len());
        }
    }

    #[test]
    fn a_rare_text_is_found_by_looking_at_a_few_names() {
        let table: Vec<String> =
            (0..100_000_u64).map(|n| format!("{:016x}", n.wrapping_mul(0x9e37_79b9_7f4a_7c15))).collect();
        let name_of = |place: Place| table[place as usize].as_str();
        let mut names = Names::default();
        for place in 0..100_000 {
            names.insert(place, name_of);
        }
        let wanted = &table[77_777];
        let (found, looked_at) = pages(&names, &wanted[4..14], 10, &table);
        assert_eq!(found, std::slice::from_ref(wanted));
        assert!(looked_at <= 4 * BLOCK_LEN, "{looked_at}");
        let mut sorted = table.clone();
        sorted.sort_unstable();
        for before in [0, 1, 511, 512, 77_777, 99_999] {
            assert_eq!(names.nth(before).map(name_of), Some(sorted[before].as_str()));
        }
        assert_eq!(names.nth(100_000), None);
    }
}
