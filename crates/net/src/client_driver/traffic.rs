//! What went over a device's sockets.

use std::sync::atomic::{AtomicU64, Ordering};

/// Counts datagrams and bytes; shared between a driver and whoever wants to know.
#[derive(Debug, Default)]
pub struct Counters {
    sent_bytes: AtomicU64,
    sent_messages: AtomicU64,
    received_bytes: AtomicU64,
    received_messages: AtomicU64,
    largest_message: AtomicU64,
}

/// A reading of [`Counters`]. Bytes are CoAP bytes, without UDP and IP headers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Traffic {
    /// Bytes sent.
    pub sent_bytes: u64,
    /// Datagrams sent.
    pub sent_messages: u64,
    /// Bytes received.
    pub received_bytes: u64,
    /// Datagrams received.
    pub received_messages: u64,
    /// Bytes of the largest datagram in either direction.
    pub largest_message: u64,
}

impl Counters {
    /// The present reading.
    #[must_use]
    pub fn traffic(&self) -> Traffic {
        Traffic {
            sent_bytes: self.sent_bytes.load(Ordering::Relaxed),
            sent_messages: self.sent_messages.load(Ordering::Relaxed),
            received_bytes: self.received_bytes.load(Ordering::Relaxed),
            received_messages: self.received_messages.load(Ordering::Relaxed),
            largest_message: self.largest_message.load(Ordering::Relaxed),
        }
    }

    /// Starts the search for the largest datagram afresh.
    pub fn forget_largest(&self) {
        self.largest_message.store(0, Ordering::Relaxed);
    }

    /// Counts a datagram that was sent.
    pub fn sent(&self, len: usize) {
        self.sent_messages.fetch_add(1, Ordering::Relaxed);
        self.count(&self.sent_bytes, len);
    }

    /// Counts a datagram that was received.
    pub fn received(&self, len: usize) {
        self.received_messages.fetch_add(1, Ordering::Relaxed);
        self.count(&self.received_bytes, len);
    }

    fn count(&self, total: &AtomicU64, len: usize) {
        let len = u64::try_from(len).unwrap_or(u64::MAX);
        total.fetch_add(len, Ordering::Relaxed);
        self.largest_message.fetch_max(len, Ordering::Relaxed);
    }
}

impl Traffic {
    /// What came since an earlier reading; the largest datagram is taken as it is.
    #[must_use]
    pub fn since(&self, earlier: &Traffic) -> Traffic {
        Traffic {
            sent_bytes: self.sent_bytes.saturating_sub(earlier.sent_bytes),
            sent_messages: self.sent_messages.saturating_sub(earlier.sent_messages),
            received_bytes: self.received_bytes.saturating_sub(earlier.received_bytes),
            received_messages: self.received_messages.saturating_sub(earlier.received_messages),
            largest_message: self.largest_message,
        }
    }
}
