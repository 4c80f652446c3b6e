//! Blobs of varying length in one run of bytes.
//!
//! ```text
//! | id:2 | len:4 | bytes … | id:2 | len:4 | bytes … |
//! ```
//!
//! A peer has a handful of blobs, so finding one is a short walk, and freeing one closes the gap.

use core::ops::Range;

use super::buffer::Bytes;

/// Names a blob; 0 names none. Bytes, so that what holds a name needs no alignment.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct BlobId([u8; 2]);

impl BlobId {
    pub(super) const NONE: Self = Self([0; 2]);

    pub(super) const fn is_none(self) -> bool {
        matches!(self.0, [0, 0])
    }
}

const HEAD: usize = 6;

#[derive(Debug, Default)]
pub(super) struct Arena<M> {
    memory: M,
    last_id: u16,
}

impl<M: Bytes> Arena<M> {
    /// Bytes in use, heads included.
    pub(super) fn len(&self) -> usize {
        self.memory.as_slice().len()
    }

    #[cfg(feature = "alloc")]
    pub(super) fn heap_len(&self) -> usize {
        self.memory.heap_len()
    }

    /// A new blob of `len` zero bytes; `NONE` when there is no room, or when `len` is 0.
    pub(super) fn alloc(&mut self, len: usize, limit: usize) -> BlobId {
        let Ok(len_word) = u32::try_from(len) else { return BlobId::NONE };
        let at = self.len();
        let Some(end) = at.checked_add(HEAD).and_then(|end| end.checked_add(len)) else {
            return BlobId::NONE;
        };
        if len == 0 || !self.memory.resize(end, limit) {
            return BlobId::NONE;
        }
        let id = self.fresh_id(at);
        let head = self.memory.as_mut_slice().get_mut(at..at + HEAD).unwrap_or(&mut []);
        if let Some((id_place, len_place)) = head.split_first_chunk_mut() {
            *id_place = id.0;
            len_place.copy_from_slice(&len_word.to_ne_bytes());
        }
        id
    }

    /// A new blob with these bytes.
    fn store(&mut self, bytes: &[u8], limit: usize) -> BlobId {
        let id = self.alloc(bytes.len(), limit);
        if !id.is_none() {
            self.get_mut(id).copy_from_slice(bytes);
        }
        id
    }

    pub(super) fn get(&self, id: BlobId) -> &[u8] {
        match self.find(id) {
            Some((at, len)) => self.memory.as_slice().get(at + HEAD..at + HEAD + len).unwrap_or(&[]),
            None => &[],
        }
    }

    pub(super) fn get_mut(&mut self, id: BlobId) -> &mut [u8] {
        match self.find(id) {
            Some((at, len)) => {
                self.memory.as_mut_slice().get_mut(at + HEAD..at + HEAD + len).unwrap_or(&mut [])
            }
            None => &mut [],
        }
    }

    /// Adds bytes at the end of a blob, or makes one if `id` is `NONE`; leaves it as it was when
    /// there is no room, and then returns `None`.
    pub(super) fn append(&mut self, id: BlobId, bytes: &[u8], limit: usize) -> Option<BlobId> {
        let Some((at, len)) = self.find(id) else {
            let id = self.store(bytes, limit);
            return (!id.is_none() || bytes.is_empty()).then_some(id);
        };
        let old_end = self.len();
        let blob_end = at + HEAD + len;
        if !self.memory.resize(old_end + bytes.len(), limit) {
            return None;
        }
        let memory = self.memory.as_mut_slice();
        memory.copy_within(blob_end..old_end, blob_end + bytes.len());
        memory.get_mut(blob_end..blob_end + bytes.len())?.copy_from_slice(bytes);
        let len = u32::try_from(len + bytes.len()).ok()?;
        memory.get_mut(at + 2..at + HEAD)?.copy_from_slice(&len.to_ne_bytes());
        Some(id)
    }

    /// Copies part of one blob over another, from byte `to` of that on.
    pub(super) fn copy(&mut self, from: BlobId, range: Range<usize>, into: BlobId, to: usize) {
        if let (Some((from_at, from_len)), Some((into_at, into_len))) = (self.find(from), self.find(into))
            && range.start <= range.end
            && range.end <= from_len
            && to.saturating_add(range.len()) <= into_len
        {
            let start = from_at + HEAD + range.start;
            let end = from_at + HEAD + range.end;
            self.memory.as_mut_slice().copy_within(start..end, into_at + HEAD + to);
        }
    }

    pub(super) fn free(&mut self, id: BlobId) {
        if let Some((at, len)) = self.find(id) {
            let end = self.len();
            let size = HEAD + len;
            self.memory.as_mut_slice().copy_within(at + size..end, at);
            self.memory.resize(end - size, usize::MAX);
        }
    }

    /// Where a blob begins, and the length of its bytes.
    fn find(&self, id: BlobId) -> Option<(usize, usize)> {
        if id.is_none() {
            return None;
        }
        self.walk(self.len()).find(|(_, found, _)| *found == id).map(|(at, _, len)| (at, len))
    }

    /// The position, name and length of each blob that begins before `end`.
    fn walk(&self, end: usize) -> impl Iterator<Item = (usize, BlobId, usize)> {
        let memory = self.memory.as_slice();
        let mut at = 0;
        core::iter::from_fn(move || {
            if at >= end {
                return None;
            }
            let (&[a, b, c, d, e, f], _) = memory.get(at..)?.split_first_chunk()?;
            let len = usize::try_from(u32::from_ne_bytes([c, d, e, f])).ok()?;
            let blob = (at, BlobId([a, b]), len);
            at += HEAD + len;
            Some(blob)
        })
    }

    /// A name that no blob before `end` has.
    fn fresh_id(&mut self, end: usize) -> BlobId {
        loop {
            self.last_id = self.last_id.checked_add(1).unwrap_or(1);
            let id = BlobId(self.last_id.to_ne_bytes());
            if !self.walk(end).any(|(_, taken, _)| taken == id) {
                return id;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::peer::buffer::FixedBytes;

    type Small = Arena<FixedBytes<40>>;

    #[test]
    fn blobs_survive_the_freeing_and_growing_of_others() {
        let mut arena = Small::default();
        let one = arena.store(b"one", 0);
        let two = arena.store(b"two", 0);
        let three = arena.store(b"three", 0);
        assert_eq!(arena.append(one, b"-more", 0), Some(one));
        arena.free(two);
        assert_eq!(arena.get(one), b"one-more");
        assert_eq!(arena.get(two), b"");
        assert_eq!(arena.get(three), b"three");
        arena.free(one);
        arena.free(three);
        assert_eq!(arena.len(), 0);
    }

    #[test]
    fn a_full_arena_refuses_and_keeps_what_it_has() {
        let mut arena = Small::default();
        let one = arena.store(&[7; 34], 0);
        assert_eq!(arena.len(), 40);
        assert!(arena.store(b"x", 0).is_none());
        assert_eq!(arena.append(one, b"x", 0), None);
        assert_eq!(arena.get(one), [7; 34]);
    }

    #[test]
    fn parts_of_blobs_are_copied_within_bounds_only() {
        let mut arena = Small::default();
        let one = arena.store(b"abcdef", 0);
        let two = arena.alloc(4, 0);
        arena.copy(one, 2..5, two, 1);
        assert_eq!(arena.get(two), b"\0cde");
        arena.copy(one, 2..5, two, 2);
        arena.copy(one, 5..7, two, 0);
        assert_eq!(arena.get(two), b"\0cde");
    }

    #[test]
    fn names_are_not_given_twice_while_in_use() {
        let mut arena = Small::default();
        let kept = arena.store(b"kept", 0);
        for _ in 0..70_000 {
            let id = arena.store(b"x", 0);
            assert_ne!(id, kept);
            arena.free(id);
        }
        assert_eq!(arena.get(kept), b"kept");
    }
}
