//! Where answers and lists are put together.

use core::fmt;
use core::ops::{Deref, DerefMut};

/// `N` bytes: in the client itself, or with `alloc` on the heap, where bodies of megabytes burden no stack and take memory
/// only as far as they were used.
pub(crate) struct Body<const N: usize> {
    #[cfg(not(feature = "heap"))]
    bytes: [u8; N],
    #[cfg(feature = "heap")]
    bytes: alloc::boxed::Box<[u8]>,
}

impl<const N: usize> Body<N> {
    pub(crate) fn new() -> Self {
        Body {
            #[cfg(not(feature = "heap"))]
            bytes: [0; N],
            #[cfg(feature = "heap")]
            bytes: alloc::vec![0; N].into_boxed_slice(),
        }
    }
}

impl<const N: usize> Deref for Body<N> {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &self.bytes
    }
}

impl<const N: usize> DerefMut for Body<N> {
    fn deref_mut(&mut self) -> &mut [u8] {
        &mut self.bytes
    }
}

impl<const N: usize> fmt::Debug for Body<N> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Body({N})")
    }
}
