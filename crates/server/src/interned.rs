//! Values of which equal ones are kept once: what devices of one kind have in common.

use core::hash::{BuildHasher, Hash};
use std::sync::Arc;

use hashbrown::HashTable;

use crate::devices::SecretHash;

/// The shared copies of values; those that nobody has any more go when their number has doubled.
pub(crate) struct Interned<T> {
    known: HashTable<Arc<T>>,
    sweep_at: usize,
    hashes: SecretHash,
}

impl<T: Eq + Hash> Interned<T> {
    pub(crate) fn new(hashes: SecretHash) -> Self {
        Self { known: HashTable::new(), sweep_at: SWEEP_MIN, hashes }
    }

    /// The shared copy of a value.
    pub(crate) fn share(&mut self, value: T) -> Arc<T> {
        let hashes = self.hashes;
        let hash = hashes.hash_one(&value);
        if let Some(known) = self.known.find(hash, |known| **known == value) {
            return known.clone();
        }
        if self.known.len() >= self.sweep_at {
            // The table's own reference is the last one of a value that nobody has any more.
            self.known.retain(|known| Arc::strong_count(known) > 1);
            self.sweep_at = 2 * self.known.len().max(SWEEP_MIN);
        }
        let value = Arc::new(value);
        self.known.insert_unique(hash, value.clone(), |known| hashes.hash_one(&**known));
        value
    }
}

/// Unused values are looked for when their number has doubled, and not below this.
const SWEEP_MIN: usize = 64;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equal_values_are_kept_once_and_unused_ones_not_at_all() {
        let mut interned = Interned::new(SecretHash { secret: 1 });
        let kept = interned.share(0);
        assert!(Arc::ptr_eq(&kept, &interned.share(0)));
        for n in 1..10_000 {
            interned.share(n);
        }
        assert!(interned.known.len() <= 2 * SWEEP_MIN);
        assert!(Arc::ptr_eq(&kept, &interned.share(0)));
    }
}
