//! The allocator of a whole program, which is mimalloc.

use std::alloc::{GlobalAlloc, Layout};
use std::cell::Cell;
use std::time::{Duration, Instant};

use libmimalloc_sys::{
    mi_collect, mi_free, mi_malloc, mi_malloc_aligned, mi_realloc, mi_realloc_aligned, mi_zalloc,
    mi_zalloc_aligned,
};

/// Allocates with mimalloc: what one thread allocates and another gives back takes no lock.
///
/// Its functions for an alignment ask for up to `align - 1` bytes more than they are asked for, which is the next larger block
/// for whatever fills one exactly. What is aligned anyhow is asked for without.
#[derive(Clone, Copy, Debug)]
pub struct Heap;

/// Every block of at least so many bytes begins at a multiple of them, and a smaller one at a multiple of its length
/// rounded down to a power of two (`MI_MAX_ALIGN_SIZE`).
const ALIGN_USUAL: usize = 16;

/// Whether a block of this length is aligned so without being asked for it.
#[inline]
const fn is_usual(size: usize, align: usize) -> bool {
    align <= ALIGN_USUAL && align <= size
}

// SAFETY: mimalloc's functions give blocks of at least the length and the alignment that are asked for, or null, and
// `mi_free` and `mi_realloc` take what any of them gave. They do not unwind.
unsafe impl GlobalAlloc for Heap {
    #[inline]
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        let (size, align) = (layout.size(), layout.align());
        // SAFETY: both take any length, and an alignment that is a power of two, as that of every layout.
        unsafe {
            let block = if is_usual(size, align) { mi_malloc(size) } else { mi_malloc_aligned(size, align) };
            block.cast()
        }
    }

    // SAFETY: what the caller owes is what the trait says.
    #[inline]
    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        let (size, align) = (layout.size(), layout.align());
        // SAFETY: as in `alloc`.
        unsafe {
            let block = if is_usual(size, align) { mi_zalloc(size) } else { mi_zalloc_aligned(size, align) };
            block.cast()
        }
    }

    // SAFETY: what the caller owes is what the trait says.
    #[inline]
    unsafe fn dealloc(&self, block: *mut u8, _: Layout) {
        // SAFETY: the caller says that it is a block of this allocator.
        unsafe { mi_free(block.cast()) };
    }

    // SAFETY: what the caller owes is what the trait says.
    #[inline]
    unsafe fn realloc(&self, block: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        let align = layout.align();
        // SAFETY: the caller says that it is a block of this allocator; lengths and alignments as in `alloc`.
        let moved = unsafe {
            if is_usual(size, align) {
                mi_realloc(block.cast(), size)
            } else {
                mi_realloc_aligned(block.cast(), size, align)
            }
        };
        moved.cast()
    }
}

/// Gives the system back what this thread holds for nothing, every ten seconds at most; for a thread that goes to sleep.
///
/// A block that another thread gives back is counted free when its own thread allocates again. A thread that has nothing to do any
/// more holds on to whole pages of them.
#[allow(clippy::disallowed_methods, reason = "it is no engine that measures")]
pub fn tidy_heap() {
    thread_local! {
        static TIDIED: Cell<Option<Instant>> = const { Cell::new(None) };
    }
    let now = Instant::now();
    TIDIED.with(|tidied| {
        if tidied.get().is_some_and(|then| now.duration_since(then) < TIDY_EVERY) {
            return;
        }
        tidied.set(Some(now));
        // SAFETY: it works on the heap of this thread alone, and can be called at any time.
        unsafe { mi_collect(true) };
    });
}

const TIDY_EVERY: Duration = Duration::from_secs(10);

#[cfg(test)]
mod tests {
    use super::*;

    /// The lengths around those of every size of block up to a mebibyte.
    fn lengths() -> impl Iterator<Item = usize> {
        let blocks = (0..=20).flat_map(|power| [4, 5, 6, 7].map(|part| (part << power) / 4));
        blocks.flat_map(|len: usize| [len.saturating_sub(1), len, len + 1]).filter(|len| *len > 0)
    }

    #[test]
    fn what_is_in_use_outlasts_a_tidying_and_what_another_thread_gave_back_does_not_hinder_it() {
        const LAYOUT: Layout = Layout::new::<[u64; 4]>();
        for _ in 0..2 {
            // SAFETY: the layout has a length; what is written and read lies within the blocks, and each is given back once.
            let blocks: Vec<usize> = (0..10_000_u64)
                .map(|n| unsafe {
                    let block = Heap.alloc(LAYOUT).cast::<u64>();
                    block.write(n);
                    block.expose_provenance()
                })
                .collect();
            let (kept, given): (Vec<_>, Vec<_>) = (0..).zip(blocks).partition(|(n, _)| n % 100 == 0);
            let give_back = |all: Vec<(u64, usize)>| {
                for (n, block) in all {
                    let block = std::ptr::with_exposed_provenance_mut::<u64>(block);
                    // SAFETY: as above.
                    unsafe {
                        assert_eq!(block.read(), n);
                        Heap.dealloc(block.cast(), LAYOUT);
                    }
                }
            };
            std::thread::scope(|scope| scope.spawn(|| give_back(given)).join()).expect("no panic");
            // SAFETY: as in `tidy_heap`, which may have done it just now.
            unsafe { mi_collect(true) };
            tidy_heap();
            give_back(kept);
        }
    }

    #[test]
    fn every_block_is_as_long_and_as_aligned_as_it_was_asked_for() {
        for (size, align) in lengths().flat_map(|len| (0..=13).map(move |power| (len, 1 << power))) {
            let layout = Layout::from_size_align(size, align).expect("a layout");
            let more = Layout::from_size_align(size * 2 + 1, align).expect("a layout");
            // Several, since the first of a page is aligned better than those behind it.
            let blocks: Vec<*mut u8> = (0..5)
                .map(|n| {
                    // SAFETY: no layout has the length 0, and what is written and read lies within the block.
                    unsafe {
                        let block = Heap.alloc_zeroed(layout);
                        assert!(!block.is_null() && block.addr().is_multiple_of(align), "{layout:?}");
                        assert_eq!(block.add(size - 1).read(), 0);
                        block.write_bytes(n + 1, size);
                        let block = Heap.realloc(block, layout, more.size());
                        assert!(!block.is_null() && block.addr().is_multiple_of(align), "{layout:?}");
                        assert_eq!(block.add(size - 1).read(), n + 1);
                        block.write_bytes(n + 1, more.size());
                        block
                    }
                })
                .collect();
            for (n, block) in (1..).zip(blocks) {
                // SAFETY: as above, and each is given back once.
                unsafe {
                    assert_eq!((block.read(), block.add(more.size() - 1).read()), (n, n), "{layout:?}");
                    Heap.dealloc(block, more);
                }
            }
        }
    }
}
