//! The way to one server: its name, its address once known, and the socket towards it.
//!
//! Nothing here fails for good. A name that does not resolve and a network that is down cost datagrams, which the
//! engine repeats; a socket that breaks is opened again.

use std::future::Future;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, ToSocketAddrs};
use std::pin::Pin;
use std::task::{Context, Poll};

use tokio::io::ReadBuf;
use tokio::net::{UdpSocket, lookup_host};

/// CoAP's ports for UDP without security and with (RFC 7252 §12.6, §12.7).
const COAP_PORT: u16 = 5683;
const COAPS_PORT: u16 = 5684;
/// Datagrams kept while a name is being looked up; more than the engine sends before its first answer.
const WAITING_MAX: usize = 4;

/// Where a server is, as its URI says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Target {
    host: String,
    port: u16,
    secured: bool,
}

/// Why a server URI cannot be used here.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum TargetError {
    /// Neither `coap://…` nor `coaps://…`.
    #[error("{0:?} is not reachable over CoAP/UDP: the scheme must be coap:// or coaps://")]
    Scheme(String),
    /// No host, or a port that is no number.
    #[error("{0:?} is no URI of a server: expected coap://host[:port] or coaps://host[:port]")]
    Authority(String),
}

impl Target {
    /// Takes host and port out of `coap://host[:port][/…]` or the same with `coaps`; the host may be a name, an IPv4 address or an IPv6 address in
    /// brackets.
    ///
    /// # Errors
    /// Another scheme than `coap` and `coaps`, no host, a wrong port.
    pub fn parse(uri: &str) -> Result<Self, TargetError> {
        let bad = || TargetError::Authority(uri.to_owned());
        let (scheme, rest) = uri.split_once("://").ok_or_else(|| TargetError::Scheme(uri.to_owned()))?;
        let secured = scheme.eq_ignore_ascii_case("coaps");
        if !secured && !scheme.eq_ignore_ascii_case("coap") {
            return Err(TargetError::Scheme(uri.to_owned()));
        }
        let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
        let (host, port) = match authority.strip_prefix('[') {
            Some(v6) => {
                let (host, port) = v6.split_once(']').ok_or_else(bad)?;
                host.split('%').next().and_then(|ip| ip.parse::<Ipv6Addr>().ok()).ok_or_else(bad)?;
                (host, port.strip_prefix(':').or_else(|| port.is_empty().then_some("")).ok_or_else(bad)?)
            }
            None => authority.split_once(':').unwrap_or((authority, "")),
        };
        if host.is_empty() || host.contains(['@', ' ']) {
            return Err(bad());
        }
        let usual = if secured { COAPS_PORT } else { COAP_PORT };
        let port = if port.is_empty() { usual } else { port.parse().map_err(|_| bad())? };
        if port == 0 {
            return Err(bad());
        }
        Ok(Self { host: host.to_owned(), port, secured })
    }

    /// Whether the URI says `coaps`.
    #[must_use]
    pub fn is_secured(&self) -> bool {
        self.secured
    }

    /// The address that the name stands for now; waits for the name service. `None`: for none.
    ///
    /// # Errors
    /// When the name service does not know, or does not answer.
    pub fn resolve(&self) -> io::Result<Option<SocketAddr>> {
        Ok((self.host.as_str(), self.port).to_socket_addrs()?.next())
    }

    fn literal(&self) -> Option<SocketAddr> {
        self.host.parse::<IpAddr>().ok().map(|ip| SocketAddr::new(ip, self.port))
    }
}

impl std::fmt::Display for Target {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        if self.host.contains(':') {
            write!(f, "[{}]:{}", self.host, self.port)
        } else {
            write!(f, "{}:{}", self.host, self.port)
        }
    }
}

type Lookup = Pin<Box<dyn Future<Output = io::Result<Option<SocketAddr>>> + Send>>;

/// The way to one server.
pub(super) struct Route {
    target: Target,
    local: Option<SocketAddr>,
    address: Option<SocketAddr>,
    lookup: Option<Lookup>,
    waiting: Vec<Vec<u8>>,
    socket: Option<UdpSocket>,
}

/// What came over a route.
pub(super) enum Arrived {
    /// A datagram of that length lies in the buffer.
    Datagram(usize),
    /// The name was looked up, or the socket broke: go on polling.
    Changed,
}

impl Route {
    pub(super) fn new(target: Target, local: Option<SocketAddr>) -> Self {
        let address = target.literal();
        Self { target, local, address, lookup: None, waiting: Vec::new(), socket: None }
    }

    /// The server's name and port.
    pub(super) fn target(&self) -> &Target {
        &self.target
    }

    /// The server's address, once known.
    pub(super) fn address(&self) -> Option<SocketAddr> {
        self.address
    }

    /// Our side's address, while the socket is open.
    pub(super) fn local(&self) -> Option<SocketAddr> {
        self.socket.as_ref().and_then(|socket| socket.local_addr().ok())
    }

    /// Closes the socket and looks the name up again when something is to be sent.
    pub(super) fn forget(&mut self) {
        self.close();
        self.address = self.target.literal();
        self.lookup = None;
        self.waiting.clear();
    }

    /// Closes the socket; the next datagram opens another one.
    pub(super) fn close(&mut self) {
        self.socket = None;
    }

    /// Opens another socket in place of an open one.
    pub(super) fn rebind(&mut self) {
        self.local = self.local.map(|local| SocketAddr::new(local.ip(), 0));
        if self.socket.is_some() {
            self.reopen();
        }
    }

    /// Opens another socket in place of a broken one, so that the server's requests still find us.
    fn reopen(&mut self) {
        self.close();
        if let Some(address) = self.address
            && let Err(error) = self.open(address)
        {
            tracing::debug!(server = %self.target, %error, "no socket can be opened now");
        }
    }

    /// Sends, or keeps a few datagrams until the name is looked up. Whatever goes wrong is logged: the engine repeats.
    pub(super) fn send(&mut self, datagram: &[u8]) -> bool {
        let Some(address) = self.address else {
            if self.lookup.is_none() {
                self.lookup = Some(look_up(self.target.clone()));
            }
            if self.waiting.len() < WAITING_MAX {
                self.waiting.push(datagram.to_vec());
            }
            return false;
        };
        let socket = match self.open(address) {
            Ok(socket) => socket,
            Err(error) => {
                tracing::warn!(server = %self.target, local = ?self.local, %error, "no socket can be opened");
                return false;
            }
        };
        let Err(error) = send_now(socket, datagram, address) else { return true };
        tracing::debug!(server = %self.target, %error, "a datagram could not be sent");
        if broken(&error) {
            self.close();
        }
        false
    }

    fn open(&mut self, towards: SocketAddr) -> io::Result<&UdpSocket> {
        if self.socket.is_none() {
            self.socket = Some(self.bind(towards)?);
        }
        self.socket.as_ref().ok_or_else(|| io::Error::other("no socket"))
    }

    fn bind(&self, towards: SocketAddr) -> io::Result<UdpSocket> {
        let any: IpAddr = match towards {
            SocketAddr::V4(_) => Ipv4Addr::UNSPECIFIED.into(),
            SocketAddr::V6(_) => Ipv6Addr::UNSPECIFIED.into(),
        };
        let local = match self.local {
            Some(local) if local.is_ipv4() == towards.is_ipv4() => local,
            _ => SocketAddr::new(any, 0),
        };
        let socket = std::net::UdpSocket::bind(local)?;
        socket.set_nonblocking(true)?;
        UdpSocket::from_std(socket)
    }

    /// Waits for a datagram from the server, or for the name to be looked up.
    pub(super) fn poll(&mut self, cx: &mut Context<'_>, buffer: &mut [u8]) -> Poll<Arrived> {
        if let Some(lookup) = &mut self.lookup
            && let Poll::Ready(found) = lookup.as_mut().poll(cx)
        {
            self.lookup = None;
            self.looked_up(found);
            return Poll::Ready(Arrived::Changed);
        }
        let Some(socket) = &self.socket else { return Poll::Pending };
        loop {
            let mut filled = ReadBuf::new(buffer);
            match socket.poll_recv_from(cx, &mut filled) {
                Poll::Pending => return Poll::Pending,
                Poll::Ready(Ok(from)) if Some(from) == self.address => {
                    return Poll::Ready(Arrived::Datagram(filled.filled().len()));
                }
                Poll::Ready(Ok(from)) => tracing::debug!(%from, "a datagram from a stranger was dropped"),
                Poll::Ready(Err(error)) if broken(&error) => {
                    tracing::debug!(server = %self.target, %error, "the socket broke");
                    self.reopen();
                    return Poll::Ready(Arrived::Changed);
                }
                Poll::Ready(Err(error)) => tracing::debug!(server = %self.target, %error, "receiving failed"),
            }
        }
    }

    /// Drops what has arrived.
    pub(super) fn discard(&self, buffer: &mut [u8]) {
        if let Some(socket) = &self.socket {
            while socket.try_recv_from(buffer).is_ok() {}
        }
    }

    fn looked_up(&mut self, found: io::Result<Option<SocketAddr>>) {
        let waiting = std::mem::take(&mut self.waiting);
        match found {
            Ok(Some(address)) => {
                self.address = Some(address);
                for datagram in waiting {
                    self.send(&datagram);
                }
            }
            Ok(None) => tracing::warn!(server = %self.target, "the server's name has no address"),
            Err(error) => {
                tracing::warn!(server = %self.target, %error, "the server's name cannot be looked up");
            }
        }
    }
}

/// Sends without waiting; a full socket buffer loses the datagram, as a network may.
fn send_now(socket: &UdpSocket, datagram: &[u8], to: SocketAddr) -> io::Result<()> {
    let socket = socket2::SockRef::from(socket);
    socket.send_to(datagram, &to.into()).map(|_| ())
}

/// Whether the socket itself is of no more use, unlike a network that is down for a while.
fn broken(error: &io::Error) -> bool {
    use io::ErrorKind as Kind;
    let passing = [
        Kind::WouldBlock,
        Kind::Interrupted,
        Kind::ConnectionRefused,
        Kind::ConnectionReset,
        Kind::HostUnreachable,
        Kind::NetworkUnreachable,
        Kind::NetworkDown,
        Kind::PermissionDenied,
    ];
    !passing.contains(&error.kind())
}

fn look_up(target: Target) -> Lookup {
    Box::pin(async move {
        let addresses: Vec<SocketAddr> = lookup_host((target.host.as_str(), target.port)).await?.collect();
        let v4 = addresses.iter().find(|address| address.is_ipv4()).copied();
        Ok(v4.or_else(|| addresses.first().copied()))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    // Proves: COA-21
    #[test]
    fn server_uris_give_host_and_port() {
        for (uri, expected) in [
            ("coap://127.0.0.1", "127.0.0.1:5683"),
            ("coap://127.0.0.1:6000/path?x", "127.0.0.1:6000"),
            ("COAP://lwm2m.example:99", "lwm2m.example:99"),
            ("coap://[::1]", "[::1]:5683"),
            ("coap://[fd00::1]:77", "[fd00::1]:77"),
            ("coaps://lwm2m.example", "lwm2m.example:5684"),
            ("coaps://[::1]:99/path", "[::1]:99"),
        ] {
            assert_eq!(Target::parse(uri).map(|target| target.to_string()), Ok(expected.to_owned()), "{uri}");
        }
    }

    #[test]
    fn other_uris_are_refused() {
        for uri in ["127.0.0.1", "coaps+tcp://host", "http://host", ""] {
            assert!(matches!(Target::parse(uri), Err(TargetError::Scheme(_))), "{uri}");
        }
        for uri in [
            "coap://",
            "coap://:5683",
            "coap://h:x",
            "coap://h:0",
            "coap://h:70000",
            "coap://[::1",
            "coap://[x]",
        ] {
            assert!(matches!(Target::parse(uri), Err(TargetError::Authority(_))), "{uri}");
        }
    }
}
