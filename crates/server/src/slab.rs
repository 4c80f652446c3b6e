//! A table of values with small, checked handles.
//!
//! The values lie in chunks, which come and go; a handle carries a generation, so that one that outlived its value finds
//! nothing instead of a stranger.

use core::num::NonZeroU32;
use core::ops::Deref;
use std::marker::PhantomData;

use crate::chunks::{self, Chunks, Place};

/// Names one value of a [`Slab`].
pub(crate) struct Key<T> {
    pub(crate) index: u32,
    pub(crate) generation: NonZeroU32,
    kind: PhantomData<fn() -> T>,
}

impl<T> Key<T> {
    fn new(index: u32, generation: NonZeroU32) -> Self {
        Self { index, generation, kind: PhantomData }
    }

    /// One number that names index and generation, for public identifiers.
    pub(crate) fn to_bits(self) -> u64 {
        u64::from(self.generation.get()) << 32 | u64::from(self.index)
    }

    /// The reverse of [`Key::to_bits`].
    #[allow(clippy::cast_possible_truncation, reason = "the two halves of the number")]
    pub(crate) fn from_bits(bits: u64) -> Self {
        // No key has the generation 0: what was never given out may as well name one that will not be for long.
        Self::new(bits as u32, NonZeroU32::new((bits >> 32) as u32).unwrap_or(NonZeroU32::MAX))
    }
}

impl<T> Clone for Key<T> {
    fn clone(&self) -> Self {
        *self
    }
}
impl<T> Copy for Key<T> {}
impl<T> PartialEq for Key<T> {
    fn eq(&self, other: &Self) -> bool {
        self.index == other.index && self.generation == other.generation
    }
}
impl<T> Eq for Key<T> {}
impl<T> std::fmt::Debug for Key<T> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}.{}", self.index, self.generation)
    }
}

/// Values under handles, so many in a chunk ([`chunk_len`]); insertion and removal in constant time.
pub(crate) struct Slab<T, const LEN: usize = 256> {
    chunks: Chunks<Slot<T>, LEN>,
    len: usize,
}

struct Slot<T> {
    generation: NonZeroU32,
    state: State<T>,
}

enum State<T> {
    Used(T),
    /// The next free slot of the chunk.
    Free(u8),
}

impl<T> Place for Slot<T> {
    #[inline]
    fn free(next: u8, generation: NonZeroU32) -> Self {
        Self { generation, state: State::Free(next) }
    }

    #[inline]
    fn set_free(&mut self, next: u8) {
        self.state = State::Free(next);
    }

    #[inline]
    fn next(&self) -> u8 {
        match self.state {
            State::Used(_) => unreachable!("a free slot is free"),
            State::Free(next) => next,
        }
    }

    fn generation(&self) -> NonZeroU32 {
        self.generation
    }
}

impl<T, const LEN: usize> Slab<T, LEN> {
    pub(crate) fn new() -> Self {
        Self { chunks: Chunks::new(), len: 0 }
    }

    pub(crate) fn len(&self) -> usize {
        self.len
    }

    /// The key that the next [`Slab::insert`] will give out.
    pub(crate) fn next_key(&self) -> Key<T> {
        let (index, generation) = self.chunks.next();
        Key::new(index, generation)
    }

    pub(crate) fn insert(&mut self, value: T) -> Key<T> {
        self.len += 1;
        let (index, slot) = self.chunks.take();
        slot.state = State::Used(value);
        Key::new(index, slot.generation)
    }

    pub(crate) fn remove(&mut self, key: Key<T>) -> Option<T> {
        let slot = self.chunks.get_mut(key.index)?;
        if slot.generation != key.generation || !matches!(slot.state, State::Used(_)) {
            return None;
        }
        slot.generation = slot.generation.checked_add(1).unwrap_or(NonZeroU32::MIN);
        let State::Used(value) = std::mem::replace(&mut slot.state, State::Free(0)) else { return None };
        self.chunks.release(key.index);
        self.len -= 1;
        Some(value)
    }

    #[inline]
    pub(crate) fn get(&self, key: Key<T>) -> Option<&T> {
        let slot = self.chunks.get(key.index)?;
        match &slot.state {
            State::Used(value) if slot.generation == key.generation => Some(value),
            State::Used(_) | State::Free(_) => None,
        }
    }

    #[inline]
    pub(crate) fn get_mut(&mut self, key: Key<T>) -> Option<&mut T> {
        let slot = self.chunks.get_mut(key.index)?;
        match &mut slot.state {
            State::Used(value) if slot.generation == key.generation => Some(value),
            State::Used(_) | State::Free(_) => None,
        }
    }

    /// The value in a slot whatever its generation: for indexes that are kept in step with the slab.
    pub(crate) fn at(&self, index: u32) -> Option<(Key<T>, &T)> {
        let slot = self.chunks.get(index)?;
        match &slot.state {
            State::Used(value) => Some((Key::new(index, slot.generation), value)),
            State::Free(_) => None,
        }
    }

    /// All values in the order of their slots.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (Key<T>, &T)> {
        self.chunks.places().filter_map(|index| self.at(index))
    }

    /// More than the number of every slot in use.
    pub(crate) fn end(&self) -> u32 {
        self.chunks.end()
    }
}

/// A list of keys that takes little where it is short.
pub(crate) enum Keys<T> {
    /// None or one.
    Few(Option<Key<T>>),
    #[expect(clippy::box_collection, reason = "what few have may cost more, so that the rest costs less")]
    Many(Box<Vec<Key<T>>>),
}

impl<T> Keys<T> {
    pub(crate) fn push(&mut self, key: Key<T>) {
        match self {
            Self::Few(None) => *self = Self::Few(Some(key)),
            Self::Few(Some(first)) => *self = Self::Many(Box::new(vec![*first, key])),
            Self::Many(keys) => keys.push(key),
        }
    }

    pub(crate) fn remove(&mut self, key: Key<T>) {
        if let Self::Many(keys) = self {
            keys.retain(|other| *other != key);
            if let [] | [_] = keys[..] {
                *self = Self::Few(keys.first().copied());
            }
        } else if **self == [key] {
            *self = Self::Few(None);
        }
    }
}

impl<T> Default for Keys<T> {
    fn default() -> Self {
        Self::Few(None)
    }
}

impl<T> Deref for Keys<T> {
    type Target = [Key<T>];

    fn deref(&self) -> &[Key<T>] {
        match self {
            Self::Few(key) => key.as_slice(),
            Self::Many(keys) => keys,
        }
    }
}

/// How many of these a chunk is to have where there may be a million of them.
pub(crate) const fn chunk_len<T>() -> usize {
    chunks::len_for(slot_len::<T>())
}

/// What a value takes in a slab, in bytes.
pub(crate) const fn slot_len<T>() -> usize {
    size_of::<Slot<T>>()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_that_outlived_its_value_finds_nothing() {
        let mut slab = Slab::<_, 256>::new();
        let first = slab.insert("first");
        assert_eq!(slab.remove(first), Some("first"));
        let second = slab.insert("second");
        assert_eq!(second.index, first.index);
        assert_eq!(slab.get(first), None);
        assert_eq!(slab.remove(first), None);
        assert_eq!(slab.get(second), Some(&"second"));
    }

    #[test]
    fn the_next_key_is_the_one_given_out() {
        let mut slab = Slab::<_, 131>::new();
        let keys: Vec<_> = (0..700)
            .map(|n| {
                let expected = slab.next_key();
                assert_eq!(slab.insert(n), expected);
                expected
            })
            .collect();
        for key in keys.iter().step_by(3) {
            slab.remove(*key);
        }
        for n in 0..300 {
            let expected = slab.next_key();
            assert_eq!(slab.insert(n), expected);
            assert_eq!(Key::from_bits(expected.to_bits()), expected);
        }
        assert_eq!(slab.iter().count(), slab.len());
    }
}
