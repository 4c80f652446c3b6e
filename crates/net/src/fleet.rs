//! The sockets of a simulated fleet: very many addresses towards one server, on few sockets where the system allows it.
//!
//! On Linux every address of 127.0.0.0/8 is ours. A socket that listens on all addresses, and is told at which of them a
//! datagram arrived, speaks for as many devices as wanted; so a fleet on loopback costs a handful of descriptors. Towards any
//! other server each device has a socket of its own.

mod ready;

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};
use std::time::Duration;

use self::ready::Ready;
use crate::sys::{self, BATCH_LEN, Slot};
use crate::udp::{self, concerns_one_datagram};

/// Many source addresses towards one server, for one thread.
pub struct Fleet {
    server: SocketAddr,
    sockets: Vec<Socket>,
    /// Whether a socket speaks for many addresses.
    shared: bool,
    sources: u32,
    ready: Ready,
    incoming: Vec<Slot>,
    counters: FleetCounters,
}

/// How many datagrams a fleet has moved, and how long they were together.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct FleetCounters {
    /// Datagrams sent.
    pub sent: u64,
    /// Their bytes.
    pub sent_bytes: u64,
    /// Datagrams that the system did not take.
    pub unsent: u64,
    /// Datagrams received from the server.
    pub received: u64,
    /// Their bytes.
    pub received_bytes: u64,
    /// Datagrams from elsewhere, empty ones, and such that were too long.
    pub dropped: u64,
}

/// Where the datagrams of a fleet come from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Origin {
    /// The local address of every device; `None`: for a server in 127.0.0.0/8 an address each where the system has them, else
    /// the system's choice.
    pub local: Option<IpAddr>,
    /// On how many ports the devices of one thread are spread, if they have addresses of their own. At least 1.
    pub ports: u16,
}

impl Default for Origin {
    fn default() -> Self {
        Self { local: None, ports: 4 }
    }
}

struct Socket {
    socket: UdpSocket,
    outgoing: Vec<Slot>,
    outgoing_len: usize,
}

impl Fleet {
    /// Opens sockets for the sources 0 to `sources` - 1.
    ///
    /// # Errors
    /// When the system has not enough addresses, ports or descriptors.
    pub fn open(server: SocketAddr, origin: Origin, sources: u32) -> io::Result<Self> {
        let shared = origin.local.is_none() && has_loopback_addresses(server.ip());
        let count = if shared { u32::from(origin.ports.max(1)).min(sources.max(1)) } else { sources };
        if shared && sources.div_ceil(count) > ADDRESSES {
            return Err(io::Error::other(format!(
                "127.0.0.0/8 has addresses for {ADDRESSES} devices a port"
            )));
        }
        let any = match server {
            SocketAddr::V4(_) => IpAddr::from(Ipv4Addr::UNSPECIFIED),
            SocketAddr::V6(_) => IpAddr::from(Ipv6Addr::UNSPECIFIED),
        };
        let local = SocketAddr::new(origin.local.unwrap_or(any), 0);
        let mut ready = Ready::new()?;
        let mut sockets = Vec::new();
        for number in 0..count {
            let socket = if shared { udp::open_shared(local)? } else { udp::open_own(local)? };
            ready.add(&socket, number)?;
            sockets.push(Socket { socket, outgoing: Vec::new(), outgoing_len: 0 });
        }
        let incoming = Slot::batch();
        Ok(Self { server, sockets, shared, sources, ready, incoming, counters: FleetCounters::default() })
    }

    /// How many descriptors a fleet of so many devices takes.
    #[must_use]
    pub fn descriptors(server: SocketAddr, origin: Origin, sources: u32) -> u32 {
        let shared = origin.local.is_none() && has_loopback_addresses(server.ip());
        if shared { u32::from(origin.ports.max(1)).min(sources) } else { sources }
    }

    /// What was moved so far.
    #[must_use]
    pub fn counters(&self) -> FleetCounters {
        self.counters
    }

    /// Puts a datagram of that source into a batch; a full batch leaves at once.
    pub fn push(&mut self, source: u32, data: &[u8]) {
        let count = u32::try_from(self.sockets.len()).unwrap_or(u32::MAX).max(1);
        let (number, local) = if self.shared {
            (source % count, address_of(source / count).map(IpAddr::from))
        } else {
            (source, None)
        };
        let Some(socket) = self.sockets.get_mut(ready::index(number)) else { return };
        if socket.outgoing.is_empty() {
            // A socket of one device sends one datagram at a time.
            socket.outgoing =
                if self.shared { Slot::batch() } else { Slot::batch().split_off(BATCH_LEN - 1) };
        }
        let Some(slot) = socket.outgoing.get_mut(socket.outgoing_len) else { return };
        let Some(place) = slot.bytes.get_mut(..data.len()) else {
            self.counters.unsent += 1;
            return;
        };
        place.copy_from_slice(data);
        slot.len = data.len();
        slot.address = self.server;
        slot.local = local;
        socket.outgoing_len += 1;
        if socket.outgoing_len == socket.outgoing.len() {
            socket.flush(&mut self.counters);
        }
    }

    /// Sends everything that waits.
    pub fn flush(&mut self) {
        if !self.shared {
            // Full at the first datagram, so nothing waits.
            return;
        }
        for socket in &mut self.sockets {
            socket.flush(&mut self.counters);
        }
    }

    /// Waits for datagrams, at most so long, and hands each over with its source. Returns how many there were.
    ///
    /// # Errors
    /// When the system refuses to wait.
    pub fn receive(&mut self, wait: Duration, mut take: impl FnMut(u32, &mut [u8])) -> io::Result<usize> {
        self.ready.wait(wait)?;
        let mut total = 0;
        let count = u32::try_from(self.sockets.len()).unwrap_or(u32::MAX);
        while let Some(number) = self.ready.next() {
            let Some(socket) = self.sockets.get(ready::index(number)) else { continue };
            for _ in 0..ROUNDS_MAX {
                let received = match sys::receive(&socket.socket, &mut self.incoming) {
                    Ok(received) => received,
                    Err(error) if concerns_one_datagram(&error) => continue,
                    // Nothing more to read; what is broken for good shows as missing answers.
                    Err(_) => break,
                };
                total += received;
                for slot in self.incoming.iter_mut().take(received) {
                    let source =
                        if self.shared { source_of(slot.local, number, count) } else { Some(number) };
                    let source =
                        source.filter(|source| *source < self.sources && slot.address == self.server);
                    match (source, slot.bytes.get_mut(..slot.len)) {
                        (Some(source), Some(data @ [_, ..])) => {
                            self.counters.received += 1;
                            self.counters.received_bytes += u64::try_from(data.len()).unwrap_or(0);
                            take(source, data);
                        }
                        _ => self.counters.dropped += 1,
                    }
                }
                if received < BATCH_LEN {
                    break;
                }
            }
        }
        Ok(total)
    }
}

/// Lets this process open so many descriptors if it may; returns how many it may open now, `None` where nothing limits it.
#[must_use]
pub fn allow_descriptors(wanted: u64) -> Option<u64> {
    #[cfg(unix)]
    {
        use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
        let limit = getrlimit(Resource::Nofile);
        let current = limit.current?;
        if current >= wanted {
            return Some(current);
        }
        let raised = limit.maximum.map_or(wanted, |maximum| maximum.min(wanted));
        let asked = Rlimit { current: Some(raised), maximum: limit.maximum };
        Some(setrlimit(Resource::Nofile, asked).map_or(current, |()| raised))
    }
    #[cfg(not(unix))]
    {
        let _ = wanted;
        None
    }
}

impl std::fmt::Debug for Fleet {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Fleet")
            .field("server", &self.server)
            .field("sources", &self.sources)
            .finish_non_exhaustive()
    }
}

impl Socket {
    /// What the system does not take is lost, as on any network: devices repeat it.
    fn flush(&mut self, counters: &mut FleetCounters) {
        let mut rest = self.outgoing.get(..self.outgoing_len).unwrap_or_default();
        while let [first, others @ ..] = rest {
            match sys::send(&self.socket, rest) {
                Ok(0) => break,
                Ok(count) => {
                    let (sent, left) = rest.split_at(count.min(rest.len()));
                    counters.sent += u64::try_from(count).unwrap_or(0);
                    counters.sent_bytes +=
                        sent.iter().map(|slot| u64::try_from(slot.len).unwrap_or(0)).sum::<u64>();
                    rest = left;
                }
                Err(error) if concerns_one_datagram(&error) => {
                    tracing::debug!(%error, to = %first.address, "a datagram was not sent");
                    counters.unsent += 1;
                    rest = others;
                }
                Err(_) => break,
            }
        }
        counters.unsent += u64::try_from(rest.len()).unwrap_or(0);
        self.outgoing_len = 0;
    }
}

/// Whether each device can have an address of its own towards that server.
fn has_loopback_addresses(server: IpAddr) -> bool {
    cfg!(target_os = "linux") && matches!(server, IpAddr::V4(address) if address.is_loopback())
}

/// The n-th address, from 127.1.0.1 on. Neighbours are far from each other, as devices are: they share no network that a server
/// would count together.
fn address_of(number: u32) -> Option<Ipv4Addr> {
    let byte = |value: u32| u8::try_from(value).ok();
    let (second, third, fourth) = (number % 254 + 1, number / 254 % 256, number / (254 * 256) + 1);
    if fourth > 254 {
        return None;
    }
    Some(Ipv4Addr::new(127, byte(second)?, byte(third)?, byte(fourth)?))
}

/// The inverse of what [`Fleet::push`] does with a source.
fn source_of(local: Option<IpAddr>, socket: u32, sockets: u32) -> Option<u32> {
    let Some(IpAddr::V4(address)) = local else { return None };
    let [127, second, third, fourth] = address.octets() else { return None };
    let (second, fourth) = (u32::from(second).checked_sub(1)?, u32::from(fourth).checked_sub(1)?);
    if second > 253 || fourth > 253 {
        return None;
    }
    let number = second + 254 * (u32::from(third) + 256 * fourth);
    number.checked_mul(sockets)?.checked_add(socket)
}

/// Addresses of 127.0.0.0/8 that are used: the second and fourth byte from 1 to 254.
const ADDRESSES: u32 = 254 * 256 * 254;
/// Batches taken from one socket before the others get their turn.
const ROUNDS_MAX: usize = 8;

#[cfg(test)]
mod tests;
