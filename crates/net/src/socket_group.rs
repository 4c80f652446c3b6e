//! The sockets of one shard, and which of them leads to whom.

use std::collections::HashMap;
use std::io;
use std::net::{IpAddr, SocketAddr, UdpSocket};
use std::task::{Context, Poll};
use std::time::Duration;

use lightship_platform::Instant;
use lightship_server::Transmit;
use tokio::io::Interest;

use crate::shedding::{Shedding, WAKE_EVERY};
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
    bound: SocketAddr,
    outgoing: Vec<Slot>,
    outgoing_len: usize,
    is_ipv4: bool,
    /// Whether no other socket of the group is of its family.
    is_only: bool,
    /// The address of ours that it was asked at first: what is sent from elsewhere is the exception to remember.
    usual: Option<IpAddr>,
    shedding: Shedding,
}

impl SocketGroup {
    /// Takes sockets over; needs the thread's own async runtime.
    pub(crate) fn new(sockets: Vec<UdpSocket>) -> io::Result<SocketGroup> {
        let open = |socket: UdpSocket| {
            let bound = socket.local_addr()?;
            let is_ipv4 = bound.is_ipv4();
            let readiness = tokio::net::UdpSocket::from_std(socket.try_clone()?)?;
            Ok(Socket {
                socket,
                readiness,
                bound,
                outgoing: Slot::batch(),
                outgoing_len: 0,
                is_ipv4,
                is_only: false,
                usual: None,
                shedding: Shedding::default(),
            })
        };
        let mut sockets: Vec<Socket> = sockets.into_iter().map(open).collect::<io::Result<_>>()?;
        let of_ipv4 = sockets.iter().filter(|socket| socket.is_ipv4).count();
        let of_ipv6 = sockets.len() - of_ipv4;
        for socket in &mut sockets {
            socket.is_only = if socket.is_ipv4 { of_ipv4 == 1 } else { of_ipv6 == 1 };
        }
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

    /// Lets the system drop a part of the ClientHellos while more of them come than can be answered.
    pub(crate) fn relieve(&mut self, now: Instant) {
        for socket in &mut self.sockets {
            socket.shedding.look(now, &socket.socket);
        }
    }

    /// How much of them is dropped, at the socket where it is most; 0 = nothing.
    pub(crate) fn shedding(&self) -> u8 {
        self.sockets.iter().map(|socket| socket.shedding.level()).max().unwrap_or(0)
    }

    /// Datagrams that the system has dropped: there was no room, or they were ClientHellos too many.
    pub(crate) fn lost(&self) -> u64 {
        self.sockets
            .iter()
            .filter_map(|socket| sys::fill(&socket.socket).ok())
            .map(|fill| u64::from(fill.dropped))
            .sum()
    }

    /// Remembers that this address was heard at that socket and that address of ours.
    pub(crate) fn heard(&mut self, from: SocketAddr, way: Way) {
        let Some(socket) = self.sockets.get_mut(way.socket) else { return };
        // A socket of one address, and nobody to remember: nothing is to be noted.
        if socket.is_only && way.local.is_none() && socket.usual.is_none() && self.senders.is_empty() {
            return;
        }
        socket.usual = socket.usual.or(way.local);
        let usual = way.local == socket.usual;
        self.senders.note(from, way, socket.is_only && usual);
    }

    /// The socket that listens there.
    pub(crate) fn position(&self, bound: SocketAddr) -> Option<usize> {
        self.sockets.iter().position(|socket| socket.bound == bound)
    }

    /// Shows what was heard where: by listening address, the address of ours, and who; the usual ways first, which are anybody's.
    pub(crate) fn each_way(&self, mut show: impl FnMut(SocketAddr, Option<IpAddr>, Option<SocketAddr>)) {
        for socket in self.sockets.iter().filter(|socket| socket.usual.is_some()) {
            show(socket.bound, socket.usual, None);
        }
        // The newer ones last, so that they count.
        for (peer, way) in self.senders.old.iter().chain(&self.senders.young) {
            if let Some(socket) = self.sockets.get(way.socket) {
                show(socket.bound, way.local, Some(*peer));
            }
        }
    }

    /// Goes on with what was shown before a restart.
    pub(crate) fn recall(&mut self, peer: Option<SocketAddr>, way: Way) {
        match (peer, self.sockets.get_mut(way.socket)) {
            (Some(peer), _) => self.senders.note(peer, way, false),
            (None, Some(socket)) => socket.usual = way.local,
            (None, None) => {}
        }
    }

    /// Puts the first bytes of a slot into the batch of the socket that leads to that address, and leaves other bytes in their place;
    /// a full batch leaves at once.
    pub(crate) fn push(&mut self, to: SocketAddr, len: usize, from: &mut Slot, counters: &mut Sent) {
        let way = self.senders.find(to).or_else(|| {
            let socket = self.sockets.iter().position(|socket| socket.is_ipv4 == to.is_ipv4())?;
            Some(Way { socket, local: self.sockets.get(socket)?.usual })
        });
        let Some((socket, way)) = way.and_then(|way| Some((self.sockets.get_mut(way.socket)?, way))) else {
            counters.unsent += 1;
            return;
        };
        let Some(slot) = socket.outgoing.get_mut(socket.outgoing_len) else { return };
        std::mem::swap(&mut slot.bytes, &mut from.bytes);
        slot.len = len;
        slot.address = to;
        slot.local = way.local;
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

/// Which sockets of a shard.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// Those for CoAP without security.
    Plain,
    /// Those for DTLS.
    Secured,
}

/// The sockets of one thread of both kinds: an address that is heard at one kind is answered there, whatever it does at the other.
pub(crate) struct Sockets {
    plain: SocketGroup,
    secured: SocketGroup,
}

impl Sockets {
    /// Takes sockets over; needs the thread's own async runtime.
    pub(crate) fn new(plain: Vec<UdpSocket>, secured: Vec<UdpSocket>) -> io::Result<Sockets> {
        Ok(Sockets { plain: SocketGroup::new(plain)?, secured: SocketGroup::new(secured)? })
    }

    pub(crate) fn of(&mut self, kind: Kind) -> &mut SocketGroup {
        match kind {
            Kind::Plain => &mut self.plain,
            Kind::Secured => &mut self.secured,
        }
    }

    /// Looks whether more ClientHellos come than can be answered.
    pub(crate) fn relieve(&mut self, now: Instant) {
        self.secured.relieve(now);
    }

    /// How long nothing may be looked at, if that matters.
    pub(crate) fn look_within(&self) -> Option<Duration> {
        (self.secured.shedding() > 0).then_some(WAKE_EVERY)
    }

    /// What is dropped of the ClientHellos, and how many datagrams the system has dropped, these included.
    pub(crate) fn losses(&self) -> (u64, u64) {
        (self.secured.shedding().into(), self.plain.lost() + self.secured.lost())
    }

    /// Ready when any socket may have something.
    pub(crate) fn poll_readable(&self, context: &mut Context<'_>) -> Poll<()> {
        match self.plain.poll_readable(context) {
            Poll::Ready(()) => Poll::Ready(()),
            Poll::Pending => self.secured.poll_readable(context),
        }
    }

    /// Puts a datagram that the engine has written there into its batch, without copying it.
    pub(crate) fn push(&mut self, transmit: Transmit, written: &mut Slot, counters: &mut Sent) {
        let kind = if transmit.secured { Kind::Secured } else { Kind::Plain };
        self.of(kind).push(transmit.to, transmit.len, written, counters);
    }

    /// Sends everything that waits.
    pub(crate) fn flush(&mut self, counters: &mut Sent) {
        self.plain.flush(counters);
        self.secured.flush(counters);
    }
}

/// How an address is reached: through which socket, from which of our addresses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Way {
    pub(crate) socket: usize,
    pub(crate) local: Option<IpAddr>,
}

/// The way to addresses that are not reached as usual: two generations, so that old addresses vanish and memory stays
/// bounded.
#[derive(Default)]
struct Senders {
    young: HashMap<SocketAddr, Way>,
    old: HashMap<SocketAddr, Way>,
}

impl Senders {
    fn note(&mut self, from: SocketAddr, way: Way, is_usual: bool) {
        if is_usual {
            if !self.is_empty() {
                self.young.remove(&from);
                self.old.remove(&from);
            }
            return;
        }
        if self.young.len() >= GENERATION_LEN_MAX && !self.young.contains_key(&from) {
            self.old = std::mem::take(&mut self.young);
        }
        self.young.insert(from, way);
    }

    fn is_empty(&self) -> bool {
        self.young.is_empty() && self.old.is_empty()
    }

    fn find(&self, to: SocketAddr) -> Option<Way> {
        if self.is_empty() {
            return None;
        }
        self.young.get(&to).or_else(|| self.old.get(&to)).copied()
    }
}

/// Addresses remembered in one generation.
const GENERATION_LEN_MAX: usize = 1 << 20;
