//! The hash behind every index of a shard: a few multiplications, keyed by a secret.
//!
//! A stranger chooses names and addresses, so equal hashes must not be his to make: all that is hashed goes through a
//! multiplication by a secret (the upper half of the product folded into the lower), after it was mixed with another secret.
//! Nothing of a hash may be shown to anybody: whoever sees outputs may work back to the key.

use core::hash::{BuildHasher, Hasher};

/// Makes the hashers of one shard: equal in equal runs, and foreseen by nobody who does not know the secret.
#[derive(Clone, Copy)]
pub(crate) struct SecretHash {
    pub(crate) secret: u128,
}

/// One hash on its way.
pub(crate) struct FoldingHasher {
    state: u64,
    factor: u64,
}

impl BuildHasher for SecretHash {
    type Hasher = FoldingHasher;

    #[inline]
    #[allow(clippy::cast_possible_truncation, reason = "the two halves of the secret")]
    fn build_hasher(&self) -> FoldingHasher {
        // Odd, so that no bit of what is hashed is lost.
        FoldingHasher { state: self.secret as u64, factor: (self.secret >> 64) as u64 | 1 }
    }
}

impl FoldingHasher {
    #[inline]
    fn mix(&mut self, word: u64) {
        self.state = fold(self.state ^ word, self.factor);
    }
}

impl Hasher for FoldingHasher {
    fn write(&mut self, bytes: &[u8]) {
        let (words, rest) = bytes.as_chunks::<8>();
        for word in words {
            self.mix(u64::from_le_bytes(*word));
        }
        let mut last = [0; 8];
        last[..rest.len()].copy_from_slice(rest);
        // The length tells trailing zeroes from none; lengths of eight and more differ in it, too.
        self.mix(u64::from_le_bytes(last) ^ (bytes.len() as u64) << 56);
    }

    #[inline]
    fn write_u8(&mut self, number: u8) {
        self.mix(number.into());
    }

    #[inline]
    fn write_u16(&mut self, number: u16) {
        self.mix(number.into());
    }

    #[inline]
    fn write_u32(&mut self, number: u32) {
        self.mix(number.into());
    }

    #[inline]
    fn write_u64(&mut self, number: u64) {
        self.mix(number);
    }

    #[inline]
    fn write_usize(&mut self, number: usize) {
        self.mix(number as u64);
    }

    #[inline]
    fn finish(&self) -> u64 {
        fold(self.state, LAST_FACTOR)
    }
}

#[inline]
#[allow(clippy::cast_possible_truncation, reason = "the two halves of the product")]
fn fold(one: u64, other: u64) -> u64 {
    let product = u128::from(one) * u128::from(other);
    product as u64 ^ (product >> 64) as u64
}

/// Any odd number with many bits: it spreads the last word over the whole hash (π's digits).
const LAST_FACTOR: u64 = 0x243f_6a88_85a3_08d3;

#[cfg(test)]
mod tests {
    use std::collections::HashSet;
    use std::net::SocketAddr;

    use super::*;

    const HASH: SecretHash = SecretHash { secret: 0x9b05_688c_2b3e_6c1f_1f83_d9ab_fb41_bd6b };

    /// The parts of a hash that a table uses: its lowest bits for the place, its highest seven for the tag.
    fn spread(hashes: impl Iterator<Item = u64>) -> (usize, usize) {
        let hashes: Vec<u64> = hashes.collect();
        let places: HashSet<u64> = hashes.iter().map(|hash| hash & 0xffff).collect();
        let tags: HashSet<u64> = hashes.iter().map(|hash| hash >> 57).collect();
        (places.len(), tags.len())
    }

    #[test]
    fn names_addresses_and_numbers_that_count_up_are_spread_as_chance_would() {
        // Of 65,536 balls into as many bins about 63 % of the bins are hit.
        let fair = 41_000..42_000;
        let names = (0..65_536).map(|n| HASH.hash_one(format!("urn:imei:{n:015}")));
        let addresses = (0..65_536_u32).map(|n| {
            let [_, a, b, c] = n.to_be_bytes();
            HASH.hash_one(SocketAddr::from(([10, a, b, c], 5683)))
        });
        let ports = (0..=u16::MAX).map(|port| HASH.hash_one(SocketAddr::from(([192, 0, 2, 1], port))));
        let six = (0..=u16::MAX)
            .map(|n| HASH.hash_one(SocketAddr::from(([0x2001, 0xdb8, 0, n, 0, 0, 0, 1], 5683))));
        let numbers = (0..65_536_u32).map(|n| HASH.hash_one(n));
        for (places, tags) in [spread(names), spread(addresses), spread(ports), spread(six), spread(numbers)]
        {
            assert!(fair.contains(&places) && tags == 128, "{places} places, {tags} tags");
        }
    }

    #[test]
    fn another_secret_is_another_order() {
        let other = SecretHash { secret: HASH.secret ^ 1 };
        let same = (0..10_000_u32).filter(|n| HASH.hash_one(n) & 0xff == other.hash_one(n) & 0xff).count();
        assert!(same < 80, "{same} of 10,000, where chance makes 39");
        let third = SecretHash { secret: HASH.secret ^ 1 << 100 };
        let same = (0..10_000_u32).filter(|n| HASH.hash_one(n) & 0xff == third.hash_one(n) & 0xff).count();
        assert!(same < 80, "{same} of 10,000, where chance makes 39");
    }

    #[test]
    fn lengths_and_borders_count() {
        let hashes: HashSet<u64> = (0..40).map(|len| HASH.hash_one(vec![0_u8; len])).collect();
        assert_eq!(hashes.len(), 40);
        assert_ne!(HASH.hash_one(("ab", "c")), HASH.hash_one(("a", "bc")));
    }
}
