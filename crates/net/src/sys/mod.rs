//! System calls: many datagrams at once, and the filter that steers them. The only folder with `unsafe`; everything it offers is safe.

#[allow(unsafe_code, reason = "what speaks to the system lives here and nowhere else")]
mod heap;
#[cfg(target_os = "linux")]
#[allow(unsafe_code, reason = "system calls live here and nowhere else")]
mod linux;
#[cfg(any(not(target_os = "linux"), test))]
mod other;
#[cfg(target_os = "linux")]
#[allow(unsafe_code, reason = "system calls live here and nowhere else")]
mod shed;

use std::net::{IpAddr, Ipv4Addr, SocketAddr};

pub use heap::{Heap, tidy_heap};
#[cfg(target_os = "linux")]
pub(crate) use linux::{receive, send, steer_by_connection_id, tell_local};
#[cfg(not(target_os = "linux"))]
pub(crate) use other::{fill, receive, send, shed_hellos, steer_by_connection_id, tell_local};
#[cfg(target_os = "linux")]
pub(crate) use shed::{fill, shed_hellos};

/// Which part of the ClientHellos the kernel lets through: of 2³², one more than this.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Shed {
    /// Of those without a cookie.
    pub(crate) kept_without_cookie: u32,
    /// Of those with one, whatever it is worth.
    pub(crate) kept_with_cookie: u32,
}

impl Shed {
    /// All of them.
    pub(crate) const NOTHING: Shed = Shed { kept_without_cookie: u32::MAX, kept_with_cookie: u32::MAX };
}

/// How full a socket is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Fill {
    /// What waits to be received, in bytes as the kernel counts them.
    pub(crate) waiting: u32,
    /// How much may wait.
    pub(crate) room: u32,
    /// Datagrams dropped so far: the socket was full, or a filter said so. Begins anew behind the greatest number.
    pub(crate) dropped: u32,
}

/// Datagrams moved by one system call.
pub(crate) const BATCH_LEN: usize = 32;

/// Bytes of one received datagram; longer ones are dropped. CoAP asks for messages that fit 1280 (RFC 7252 §4.6).
pub(crate) const DATAGRAM_LEN_MAX: usize = 2048;

/// Room for one datagram.
#[derive(Clone)]
pub(crate) struct Slot {
    /// The other side.
    pub(crate) address: SocketAddr,
    /// Which of our addresses it came to or leaves from; `None` = the socket's own, or the system's choice.
    pub(crate) local: Option<IpAddr>,
    /// Bytes in use.
    pub(crate) len: usize,
    /// All bytes.
    pub(crate) bytes: Box<[u8]>,
}

impl Slot {
    /// Slots for one batch.
    pub(crate) fn batch() -> Vec<Slot> {
        vec![Slot::default(); BATCH_LEN]
    }

    /// The bytes in use.
    pub(crate) fn data(&self) -> &[u8] {
        self.bytes.get(..self.len).unwrap_or_default()
    }
}

impl Default for Slot {
    fn default() -> Self {
        let address = SocketAddr::from((Ipv4Addr::UNSPECIFIED, 0));
        Slot { address, local: None, len: 0, bytes: vec![0; DATAGRAM_LEN_MAX].into_boxed_slice() }
    }
}

#[cfg(all(test, target_os = "linux"))]
mod shed_tests;
#[cfg(all(test, target_os = "linux"))]
mod steering_tests;
#[cfg(test)]
mod tests;
