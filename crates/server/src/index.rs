//! Places in a slab by the hash of what lies there.
//!
//! A table of powers of two is half empty when it has just grown, and grows all at once: that is a pause of a tenth of
//! a second among a million. So an index is made of parts that get unequal shares, each part 1/32 of a doubling more
//! than the one before: at any number of entries some have just grown and some are about to, one entry costs 8.3 bytes
//! on the average, and a part that grows has a few ten thousand of a million.

use hashbrown::HashTable;

/// A table of places, which whoever has it knows what lies at.
#[derive(Debug)]
pub struct Index {
    parts: Box<[HashTable<u32>]>,
    len: usize,
}

impl Default for Index {
    fn default() -> Self {
        Self { parts: BOUNDS.iter().map(|_| HashTable::new()).collect(), len: 0 }
    }
}

impl Index {
    /// How many places there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Makes room for about so many more; `rehash` says the hash of what lies at those that are here.
    pub fn reserve(&mut self, about: usize, rehash: impl Fn(&u32) -> u64) {
        let mut begin = 0;
        for (part, end) in self.parts.iter_mut().zip(BOUNDS) {
            let share = about.saturating_mul(usize::from(end - begin)) >> SHARE_BITS;
            part.reserve(share, &rehash);
            begin = end;
        }
    }

    /// The place of this hash at which there is what is looked for. The hash's bits are all random.
    #[inline]
    pub fn find(&self, hash: u64, is: impl FnMut(&u32) -> bool) -> Option<&u32> {
        self.parts.get(part_of(hash))?.find(hash, is)
    }

    /// Adds a place that is not here; `rehash` says the hash of what lies at others.
    pub fn insert_unique(&mut self, hash: u64, place: u32, rehash: impl Fn(&u32) -> u64) {
        if let Some(part) = self.parts.get_mut(part_of(hash)) {
            part.insert_unique(hash, place, rehash);
            self.len += 1;
        }
    }

    /// Takes a place out, if it is here.
    pub fn remove(&mut self, hash: u64, place: u32) {
        if let Some(part) = self.parts.get_mut(part_of(hash))
            && let Ok(entry) = part.find_entry(hash, |other| *other == place)
        {
            entry.remove();
            self.len -= 1;
        }
    }
}

/// The part of a hash. The tables use its lowest bits and its highest ones.
fn part_of(hash: u64) -> usize {
    let share = (hash >> 32) & ((1 << SHARE_BITS) - 1);
    PARTS.get(share as usize).copied().unwrap_or_default().into()
}

const SHARE_BITS: u32 = 10;

/// The part of each share.
const PARTS: [u8; 1 << SHARE_BITS] = {
    let mut parts = [0; 1024];
    let (mut share, mut part) = (0, 0);
    while share < parts.len() {
        if share >= BOUNDS[part as usize] as usize {
            part += 1;
        }
        parts[share] = part;
        share += 1;
    }
    parts
};

/// Where the shares end, in 1024ths: 2^(n/32) - 1.
const BOUNDS: [u16; 32] = [
    22, 45, 69, 93, 117, 142, 168, 194, 220, 248, 276, 304, 333, 363, 393, 424, 456, 488, 521, 555, 590, 625,
    661, 698, 736, 774, 814, 854, 895, 937, 980, 1024,
];

#[cfg(test)]
mod tests {
    use core::hash::BuildHasher;

    use super::*;
    use crate::devices::SecretHash;

    const HASHES: SecretHash = SecretHash { secret: 0x9b05_688c_2b3e_6c1f_1f83_d9ab_fb41_bd6b };

    #[test]
    fn what_was_put_in_is_found_until_it_is_taken_out() {
        let mut index = Index::default();
        let hash = |place: &u32| HASHES.hash_one(*place);
        for place in 0..10_000 {
            index.insert_unique(hash(&place), place, hash);
        }
        for place in (0..10_000).step_by(3) {
            index.remove(hash(&place), place);
            index.remove(hash(&place), place);
        }
        assert_eq!(index.len(), 6666);
        for place in 0..10_000 {
            let found = index.find(hash(&place), |other| *other == place);
            assert_eq!(found.copied(), (place % 3 != 0).then_some(place));
        }
    }

    #[test]
    fn room_made_before_is_used_and_what_was_there_stays() {
        let mut index = Index::default();
        let hash = |place: &u32| HASHES.hash_one(*place);
        let room = |index: &Index| index.parts.iter().map(HashTable::capacity).sum::<usize>();
        (0..1000).for_each(|place| index.insert_unique(hash(&place), place, hash));
        index.reserve(100_000, hash);
        let made = room(&index);
        assert!((100_000..250_000).contains(&made), "{made}");
        (1000..90_000).for_each(|place| index.insert_unique(hash(&place), place, hash));
        assert_eq!(room(&index), made, "nothing grew");
        assert!((0..90_000).all(|place| index.find(hash(&place), |other| *other == place).is_some()));
    }

    #[test]
    fn an_entry_costs_about_the_same_at_any_number_of_them() {
        let mut index = Index::default();
        let hash = |place: &u32| HASHES.hash_one(*place);
        for place in 0..300_000_u32 {
            index.insert_unique(hash(&place), place, hash);
            if place >= 50_000 && place % 5000 == 0 {
                // A place and a tag for each bucket; a table is filled to seven eighths.
                let buckets: usize =
                    index.parts.iter().map(|part| (part.capacity() * 8 / 7).next_power_of_two()).sum();
                let each = buckets as f64 * 5.0 / f64::from(place + 1);
                assert!((7.6..9.0).contains(&each), "{each} bytes at {place}");
            }
        }
    }
}
