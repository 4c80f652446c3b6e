//! Which shared keys more than one credential has.

use std::collections::{BTreeSet, HashMap};

/// The names of all shared keys, and how many credentials have the same, for those that are not alone.
///
/// There is a name for each of a million devices: a tree takes 14 bytes for one, whatever their number, where a table that
/// doubles would take up to 40.
#[derive(Default)]
pub(super) struct SameKeys {
    all: BTreeSet<KeyName>,
    counts: HashMap<KeyName, u32>,
}

/// The beginning of a name that does not give its key away; that two of a million keys have the same is less likely than
/// one in ten million.
pub(crate) type KeyName = [u8; 8];

impl SameKeys {
    /// One more credential has this key.
    pub(super) fn add(&mut self, name: KeyName) {
        if !self.all.insert(name) {
            *self.counts.entry(name).or_insert(1) += 1;
        }
    }

    /// One that had this key has it no more.
    pub(super) fn remove(&mut self, name: KeyName) {
        let Some(count) = self.counts.get_mut(&name) else {
            self.all.remove(&name);
            return;
        };
        *count -= 1;
        if *count < 2 {
            self.counts.remove(&name);
        }
    }

    /// Whether any credential has this key.
    pub(super) fn is_known(&self, name: KeyName) -> bool {
        self.all.contains(&name)
    }

    /// Whether more than one credential has this key.
    pub(super) fn is_shared(&self, name: KeyName) -> bool {
        self.counts.contains_key(&name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_shared_while_two_have_it() {
        let mut keys = SameKeys::default();
        let shared = |keys: &SameKeys| [[1; 8], [2; 8]].map(|name| keys.is_shared(name));
        keys.add([1; 8]);
        keys.add([2; 8]);
        assert_eq!(shared(&keys), [false, false]);
        keys.add([1; 8]);
        keys.add([1; 8]);
        assert_eq!(shared(&keys), [true, false]);
        keys.remove([1; 8]);
        assert_eq!(shared(&keys), [true, false]);
        keys.remove([1; 8]);
        assert_eq!(shared(&keys), [false, false], "one is left");
        keys.add([1; 8]);
        assert_eq!(shared(&keys), [true, false]);
        keys.remove([1; 8]);
        keys.remove([1; 8]);
        keys.add([1; 8]);
        assert_eq!(shared(&keys), [false, false], "all had gone");
    }
}
