//! The sockets of one shard, and which of them leads to whom.

use std::collections::HashMap;
use std::io;
use std::net::{SocketAddr, UdpSocket};
use std::task::{Context, Poll};

use tokio::io::Interest;

use crate::sys::{self, BATCH_LEN, Slot};
use crate::udp::concerns_one_datagram;

/// One socket for each listening address.
pub(crate) struct SocketGroup {
    sockets: Vec<Socket>,
    senders: Senders,
}

struct Socket {
    socket: UdpSocket,
    readiness: tokio::net::UdpSocket,
    outgoing: Vec<Slot>,
    outgoing_len: usize,
    is_ipv4: bool,
}

impl SocketGroup {
    /// Takes sockets over; needs the thread's own async runtime.
    pub(crate) fn new(sockets: Vec<UdpSocket>) -> io::Result<SocketGroup> {
        let open = |socket: UdpSocket| {
            let is_ipv4 = socket.local_addr()?.is_ipv4();
            let readiness = tokio::net::UdpSocket::from_std(socket.try_clone()?)?;
            Ok(Socket { socket, readiness, outgoing: Slot::batch(), outgoing_len: 0, is_ipv4 })
        };
        let sockets: Vec<Socket> = sockets.into_iter().map(open).collect::<io::Result<_>>()?;
        Ok(SocketGroup { senders: Senders::default(), sockets })
    }

    pub(crate) fn len(&self) -> usize {
        self.sockets.len()
    }

    /// Receives one batch from one socket; 0 when nothing is there.
    pub(crate) fn receive(&mut self, index: usize, slots: &mut [Slot]) -> io::Result<usize> {
        let Some(socket) = self.sockets.get(index) else { return Ok(0) };
        let received = socket.readiness.try_io(Interest::READABLE, || sys::receive(&socket.socket, slots));
        match received {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock || concerns_one_datagram(&error) => Ok(0),
            other => other,
        }
    }

    /// Ready when any socket may have something.
    pub(crate) fn poll_readable(&self, context: &mut Context<'_>) -> Poll<()> {
        for socket in &self.sockets {
            if socket.readiness.poll_recv_ready(context).is_ready() {
                return Poll::Ready(());
            }
        }
        Poll::Pending
    }

    /// Remembers that this address was heard at that socket.
    pub(crate) fn heard(&mut self, from: SocketAddr, index: usize) {
        if self.sockets.iter().filter(|socket| socket.is_ipv4 == from.is_ipv4()).count() > 1 {
            self.senders.insert(from, index);
        }
    }

    /// Puts a datagram into the batch of the socket that leads to its address; a full batch leaves at once.
    pub(crate) fn push(&mut self, to: SocketAddr, data: &[u8], counters: &mut Sent) {
        let index =
            self.senders.find(to).or_else(|| self.sockets.iter().position(|s| s.is_ipv4 == to.is_ipv4()));
        let Some(socket) = index.and_then(|index| self.sockets.get_mut(index)) else {
            counters.unsent += 1;
            return;
        };
        let Some(slot) = socket.outgoing.get_mut(socket.outgoing_len) else { return };
        let Some(place) = slot.bytes.get_mut(..data.len()) else {
            counters.unsent += 1;
            return;
        };
        place.copy_from_slice(data);
        slot.len = data.len();
        slot.address = to;
        socket.outgoing_len += 1;
        if socket.outgoing_len == BATCH_LEN {
            socket.flush(counters);
        }
    }

    /// Sends everything that waits.
    pub(crate) fn flush(&mut self, counters: &mut Sent) {
        for socket in &mut self.sockets {
            socket.flush(counters);
        }
    }
}

/// Datagrams sent, and not.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Sent {
    pub(crate) sent: u64,
    pub(crate) unsent: u64,
}

impl Socket {
    /// What the system does not take is lost, as on any network: the other side or our own timers repeat it.
    fn flush(&mut self, counters: &mut Sent) {
        let mut rest = self.outgoing.get(..self.outgoing_len).unwrap_or_default();
        while !rest.is_empty() {
            match sys::send(&self.socket, rest) {
                Ok(0) => break,
                Ok(count) => {
                    counters.sent += u64::try_from(count).unwrap_or(0);
                    rest = rest.get(count..).unwrap_or_default();
                }
                Err(error) if concerns_one_datagram(&error) => {
                    tracing::debug!(%error, "a datagram was not sent");
                    counters.unsent += 1;
                    rest = rest.get(1..).unwrap_or_default();
                }
                Err(error) => {
                    if error.kind() != io::ErrorKind::WouldBlock {
                        tracing::warn!(%error, "a socket does not send");
                    }
                    break;
                }
            }
        }
        counters.unsent += u64::try_from(rest.len()).unwrap_or(0);
        self.outgoing_len = 0;
    }
}

/// Which socket heard an address last: two generations, so that old addresses vanish and memory stays bounded.
#[derive(Default)]
struct Senders {
    young: HashMap<SocketAddr, usize>,
    old: HashMap<SocketAddr, usize>,
}

impl Senders {
    fn insert(&mut self, from: SocketAddr, index: usize) {
        if self.young.len() >= GENERATION_LEN_MAX && !self.young.contains_key(&from) {
            self.old = std::mem::take(&mut self.young);
        }
        self.young.insert(from, index);
    }

    fn find(&self, to: SocketAddr) -> Option<usize> {
        self.young.get(&to).or_else(|| self.old.get(&to)).copied()
    }
}

/// Addresses remembered in one generation.
const GENERATION_LEN_MAX: usize = 1 << 20;
