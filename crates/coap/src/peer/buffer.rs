//! Where a [`Peer`](super::Peer) keeps what it must remember: on the heap, or in itself.

use super::dedup::Seen;
use super::flight::Flight;
use super::transfer::Transfer;

/// Memory for one peer; implemented by [`FixedBuffer`] and, with `alloc`, [`HeapBuffer`].
pub trait Buffer: sealed::Sealed {
    /// Bytes: bodies, options, stored answers.
    #[doc(hidden)]
    type Bytes: Bytes;
    /// Message IDs received.
    #[doc(hidden)]
    type Seen: List<Seen>;
    /// Messages sent that await something.
    #[doc(hidden)]
    type Flights: List<Flight>;
    /// Bodies on their way in or out, block by block.
    #[doc(hidden)]
    type Transfers: List<Transfer>;
}

mod sealed {
    pub trait Sealed {}
}

/// A growing and shrinking run of bytes.
#[doc(hidden)]
pub trait Bytes: Default + core::fmt::Debug {
    /// Whether memory given up is of use to others.
    const FREES: bool;
    /// The most bytes it can hold; `limit` counts for heap-backed memory only.
    fn capacity(limit: usize) -> usize;
    fn as_slice(&self) -> &[u8];
    fn as_mut_slice(&mut self) -> &mut [u8];
    /// Changes the length, if `limit` (for heap-backed memory) and the capacity allow it; new
    /// bytes are zero.
    fn resize(&mut self, len: usize, limit: usize) -> bool;
    /// Bytes of memory taken outside of the value itself.
    fn heap_len(&self) -> usize {
        0
    }
}

/// A short list, in order.
#[doc(hidden)]
pub trait List<T>: Default + core::fmt::Debug {
    fn as_slice(&self) -> &[T];
    fn as_mut_slice(&mut self) -> &mut [T];
    /// Adds at the end unless the list is full; `limit` counts for heap-backed memory only.
    fn push(&mut self, item: T, limit: usize) -> bool;
    /// Takes out one item and closes the gap.
    fn remove(&mut self, index: usize);
    /// Bytes of memory taken outside of the value itself.
    fn heap_len(&self) -> usize {
        0
    }
}

/// Memory inside the peer itself: `N` bytes, and room for 8 message IDs, 4 messages awaiting
/// something, and 2 bodies in blocks. Nothing is allocated.
#[derive(Debug)]
pub struct FixedBuffer<const N: usize>;

impl<const N: usize> sealed::Sealed for FixedBuffer<N> {}

impl<const N: usize> Buffer for FixedBuffer<N> {
    type Bytes = FixedBytes<N>;
    type Seen = FixedList<Seen, 8>;
    type Flights = FixedList<Flight, 4>;
    type Transfers = FixedList<Transfer, 2>;
}

/// See [`FixedBuffer`].
#[doc(hidden)]
#[derive(Debug)]
pub struct FixedBytes<const N: usize> {
    bytes: [u8; N],
    len: usize,
}

impl<const N: usize> Default for FixedBytes<N> {
    fn default() -> Self {
        Self { bytes: [0; N], len: 0 }
    }
}

impl<const N: usize> Bytes for FixedBytes<N> {
    const FREES: bool = false;

    fn capacity(_limit: usize) -> usize {
        N
    }

    fn as_slice(&self) -> &[u8] {
        self.bytes.get(..self.len).unwrap_or(&[])
    }

    fn as_mut_slice(&mut self) -> &mut [u8] {
        self.bytes.get_mut(..self.len).unwrap_or(&mut [])
    }

    fn resize(&mut self, len: usize, _limit: usize) -> bool {
        if len > N {
            return false;
        }
        if let Some(new) = self.bytes.get_mut(self.len..len) {
            new.fill(0);
        }
        self.len = len;
        true
    }
}

/// See [`FixedBuffer`].
#[doc(hidden)]
#[derive(Debug)]
pub struct FixedList<T, const N: usize> {
    items: [T; N],
    len: usize,
}

impl<T: Copy + Default, const N: usize> Default for FixedList<T, N> {
    fn default() -> Self {
        Self { items: [T::default(); N], len: 0 }
    }
}

impl<T: Copy + Default + core::fmt::Debug, const N: usize> List<T> for FixedList<T, N> {
    fn as_slice(&self) -> &[T] {
        self.items.get(..self.len).unwrap_or(&[])
    }

    fn as_mut_slice(&mut self) -> &mut [T] {
        self.items.get_mut(..self.len).unwrap_or(&mut [])
    }

    fn push(&mut self, item: T, _limit: usize) -> bool {
        match self.items.get_mut(self.len) {
            Some(place) => {
                *place = item;
                self.len += 1;
                true
            }
            None => false,
        }
    }

    fn remove(&mut self, index: usize) {
        if index < self.len {
            self.items.copy_within(index + 1..self.len, index);
            self.len -= 1;
        }
    }
}

#[cfg(feature = "alloc")]
pub use heap::HeapBuffer;

#[cfg(feature = "alloc")]
mod heap {
    use alloc::vec::Vec;

    use super::{Buffer, Bytes, Flight, List, Seen, Transfer, sealed};

    /// Memory on the heap, taken when needed and given back when not; limited by
    /// [`Config`](super::super::Config).
    #[derive(Debug)]
    pub struct HeapBuffer;

    impl sealed::Sealed for HeapBuffer {}

    impl Buffer for HeapBuffer {
        type Bytes = Vec<u8>;
        type Seen = Vec<Seen>;
        type Flights = Vec<Flight>;
        type Transfers = Vec<Transfer>;
    }

    impl Bytes for Vec<u8> {
        const FREES: bool = true;

        fn capacity(limit: usize) -> usize {
            limit
        }

        fn as_slice(&self) -> &[u8] {
            self
        }

        fn as_mut_slice(&mut self) -> &mut [u8] {
            self
        }

        fn resize(&mut self, len: usize, limit: usize) -> bool {
            if len > self.len() {
                if len > limit {
                    return false;
                }
                self.resize(len, 0);
            } else {
                self.truncate(len);
                if len < self.capacity() / 4 {
                    self.shrink_to_fit();
                }
            }
            true
        }

        fn heap_len(&self) -> usize {
            self.capacity()
        }
    }

    impl<T: core::fmt::Debug> List<T> for Vec<T> {
        fn as_slice(&self) -> &[T] {
            self
        }

        fn as_mut_slice(&mut self) -> &mut [T] {
            self
        }

        fn push(&mut self, item: T, limit: usize) -> bool {
            let fits = self.len() < limit;
            if fits {
                if self.len() == self.capacity() {
                    self.reserve_exact(1);
                }
                self.push(item);
            }
            fits
        }

        fn remove(&mut self, index: usize) {
            if index < self.len() {
                self.remove(index);
            }
            if self.is_empty() {
                *self = Self::new();
            }
        }

        fn heap_len(&self) -> usize {
            self.capacity() * size_of::<T>()
        }
    }
}

#[cfg(all(test, feature = "alloc"))]
mod tests {
    use core::mem::size_of;

    use lightship_platform::{Duration, Instant, SeededRng};

    use super::{FixedBuffer, HeapBuffer};
    use crate::code::{Code, MessageId, Token, Type};
    use crate::encode::Encoder;
    use crate::peer::{Config, Incoming, Peer};

    #[test]
    fn a_peer_that_has_nothing_to_remember_is_small() {
        let heap = size_of::<Peer<HeapBuffer>>();
        assert!(heap <= 256, "{heap} bytes");
        // What a device pays beside the bytes it chooses.
        let fixed = size_of::<Peer<FixedBuffer<1024>>>() - 1024;
        assert!(fixed <= 1280, "{fixed} bytes");
    }

    #[test]
    fn a_peer_on_the_heap_gives_its_memory_back() {
        let mut peer = Peer::<HeapBuffer>::new(&mut SeededRng::from_number(1));
        let config = Config::new();
        let mut datagram = [0; 16];
        let update = Encoder::new(&mut datagram, Type::Con, Code::POST, MessageId(1), Token::EMPTY);
        let len = update.finish_with(b"update").unwrap();
        let Incoming::Request(request) =
            peer.handle_input(Instant::ZERO, &config, datagram.get(..len).unwrap())
        else {
            panic!("no request");
        };
        peer.respond(Instant::ZERO, &config, request.ticket, Code::CHANGED, |_| {}, &[]).unwrap();
        assert!(peer.poll_transmit(&mut [0; 64]).is_some());
        assert!(peer.heap_len() > 0);
        let at = peer.poll_timeout(&config).unwrap();
        assert_eq!(at, Instant::ZERO + Duration::from_secs(247));
        peer.handle_timeout(at, &config);
        assert_eq!((peer.heap_len(), peer.poll_timeout(&config)), (0, None));
    }
}
