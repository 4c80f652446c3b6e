//! Randomness as an argument: one trait, and one generator that a seed fully determines.

use rand_chacha::ChaCha12Rng;
use rand_core::{Rng as _, SeedableRng};

/// A source of random bytes.
///
/// A port hands in the hardware's or the operating system's generator where tokens and keys must
/// not be guessed; tests and simulations hand in [`SeededRng`].
pub trait Rng {
    /// Fills `bytes` with random bytes.
    fn fill(&mut self, bytes: &mut [u8]);

    /// A random number over the whole range.
    fn next_u32(&mut self) -> u32 {
        let mut bytes = [0; 4];
        self.fill(&mut bytes);
        u32::from_le_bytes(bytes)
    }

    /// A random number over the whole range.
    fn next_u64(&mut self) -> u64 {
        let mut bytes = [0; 8];
        self.fill(&mut bytes);
        u64::from_le_bytes(bytes)
    }

    /// A random number from `0` to `n - 1`, each equally likely; 0 when `n` is 0.
    fn below(&mut self, n: u32) -> u32 {
        if n == 0 {
            return 0;
        }
        // Numbers above the last whole multiple of `n` would favour the small ones.
        let unfair = u32::MAX - (u32::MAX % n + 1) % n;
        loop {
            let number = self.next_u32();
            if number <= unfair {
                return number % n;
            }
        }
    }
}

impl<R: Rng + ?Sized> Rng for &mut R {
    fn fill(&mut self, bytes: &mut [u8]) {
        (**self).fill(bytes);
    }
}

/// A cryptographically strong generator (ChaCha with 12 rounds) that its seed fully determines.
///
/// The same seed gives the same numbers on every machine and in every version, so a failing
/// simulation is repeated by its seed alone. Seeded from the operating system it is fit for
/// tokens and keys.
#[derive(Clone, Debug)]
pub struct SeededRng(ChaCha12Rng);

impl SeededRng {
    /// A generator that starts from `seed`.
    #[must_use]
    pub fn new(seed: [u8; 32]) -> Self {
        Self(ChaCha12Rng::from_seed(seed))
    }

    /// Another generator, which shares nothing with this one but that this one's next 32 bytes determine it.
    #[must_use]
    pub fn split(&mut self) -> Self {
        let mut seed = [0; 32];
        self.fill(&mut seed);
        Self::new(seed)
    }

    /// A generator for tests and simulations that starts from a short number.
    #[must_use]
    pub fn from_number(seed: u64) -> Self {
        let mut bytes = [0; 32];
        for (byte, part) in bytes.iter_mut().zip(seed.to_le_bytes()) {
            *byte = part;
        }
        Self::new(bytes)
    }
}

impl Rng for SeededRng {
    fn fill(&mut self, bytes: &mut [u8]) {
        self.0.fill_bytes(bytes);
    }

    fn next_u32(&mut self) -> u32 {
        self.0.next_u32()
    }

    fn next_u64(&mut self) -> u64 {
        self.0.next_u64()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equal_seeds_give_equal_numbers() {
        let mut one = SeededRng::from_number(7);
        let mut two = SeededRng::from_number(7);
        let mut other = SeededRng::from_number(8);
        let first: [u64; 4] = core::array::from_fn(|_| one.next_u64());
        let second: [u64; 4] = core::array::from_fn(|_| two.next_u64());
        assert_eq!(first, second);
        assert_ne!(first[0], other.next_u64());
    }

    #[test]
    fn the_stream_is_chacha12_and_stays_so() {
        // ChaCha12, all-zero key and nonce: draft-strombergson-chacha-test-vectors-01, TC1.
        let mut rng = SeededRng::new([0; 32]);
        let mut bytes = [0; 8];
        rng.fill(&mut bytes);
        assert_eq!(bytes, [0x9b, 0xf4, 0x9a, 0x6a, 0x07, 0x55, 0xf9, 0x53]);
    }

    #[test]
    fn below_stays_below_and_reaches_every_number() {
        let mut rng = SeededRng::from_number(1);
        let mut seen = [0_u32; 6];
        for _ in 0..600 {
            let index = usize::try_from(rng.below(6)).unwrap();
            seen[index] += 1;
        }
        assert!(seen.iter().all(|count| *count > 50), "{seen:?}");
        assert_eq!(rng.below(0), 0);
        assert_eq!(rng.below(1), 0);
        assert!(rng.below(u32::MAX) < u32::MAX);
    }

    #[test]
    fn below_draws_again_instead_of_favouring_small_numbers() {
        struct Scripted<'a>(core::slice::Iter<'a, u32>);
        impl Rng for Scripted<'_> {
            fn fill(&mut self, bytes: &mut [u8]) {
                bytes.copy_from_slice(&self.0.next().unwrap().to_le_bytes());
            }
        }
        // 2^32 is 1 more than a multiple of 3: the topmost number must be drawn again.
        let mut rng = Scripted([u32::MAX, 4].iter());
        assert_eq!(rng.below(3), 1);
        // 2^32 is a multiple of 4: nothing is drawn again.
        let mut rng = Scripted([u32::MAX].iter());
        assert_eq!(rng.below(4), 3);
    }
}
