//! UDP sockets: one for each shard at each address, all in the kernel's care (`SO_REUSEPORT`).

use std::io;
use std::net::{SocketAddr, UdpSocket};

use socket2::{Domain, Protocol, Socket, Type};

use crate::sys;

/// Sockets for every shard at one address, and the address really bound.
///
/// # Errors
/// When the address is not ours or somebody else listens there.
pub(crate) fn bind(address: SocketAddr, shards: u8) -> io::Result<(Vec<UdpSocket>, SocketAddr)> {
    // With SO_REUSEPORT two servers could listen at one address without noticing; a plain socket finds out.
    let probe = open(address, Sharing::Alone)?;
    let bound = probe.local_addr()?;
    drop(probe);
    let sharing = if shards > 1 { Sharing::Group } else { Sharing::Alone };
    let sockets = (0..shards.max(1)).map(|_| open(bound, sharing)).collect::<io::Result<_>>()?;
    Ok((sockets, bound))
}

/// Who finds the shard that a connection ID names.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub enum Steering {
    /// A filter in the kernel, where the system takes one; else as with [`Steering::UserSpace`].
    #[default]
    Kernel,
    /// The shard that receives a datagram, which hands it over.
    UserSpace,
}

/// As [`bind`], for datagrams with connection IDs.
///
/// # Errors
/// When the address is not ours or somebody else listens there.
pub(crate) fn bind_secured(
    address: SocketAddr,
    shards: u8,
    steering: Steering,
) -> io::Result<(Vec<UdpSocket>, SocketAddr)> {
    let (sockets, bound) = bind(address, shards)?;
    if let (Steering::Kernel, true, Some(socket)) = (steering, shards > 1, sockets.first())
        && let Err(error) = sys::steer_by_connection_id(socket, shards)
    {
        tracing::warn!(%bound, %error, "the system steers no connection IDs; shards hand records over instead");
    }
    Ok((sockets, bound))
}

/// A socket on a free port that speaks for many addresses of ours: it listens on all of them.
pub(crate) fn open_shared(any: SocketAddr) -> io::Result<UdpSocket> {
    open(any, Sharing::Alone)
}

/// A socket on a free port for one device: small buffers, since there may be thousands.
pub(crate) fn open_own(local: SocketAddr) -> io::Result<UdpSocket> {
    let socket = UdpSocket::bind(local)?;
    socket.set_nonblocking(true)?;
    Ok(socket)
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Sharing {
    Alone,
    Group,
}

fn open(address: SocketAddr, sharing: Sharing) -> io::Result<UdpSocket> {
    let socket = Socket::new(Domain::for_address(address), Type::DGRAM, Some(Protocol::UDP))?;
    if address.is_ipv6() {
        // [::] means IPv6 alone, so that 0.0.0.0 can stand beside it.
        socket.set_only_v6(true)?;
    }
    #[cfg(unix)]
    if sharing == Sharing::Group {
        socket.set_reuse_port(true)?;
    }
    // Room for a burst; the system may give less.
    let _ = socket.set_recv_buffer_size(BUFFER_LEN);
    let _ = socket.set_send_buffer_size(BUFFER_LEN);
    socket.set_nonblocking(true)?;
    socket.bind(&address.into())?;
    let socket = UdpSocket::from(socket);
    if address.ip().is_unspecified() {
        // An answer must leave from the address that was asked, of which this machine may have several.
        sys::tell_local(&socket)?;
    }
    Ok(socket)
}

/// Whether an error of receiving or sending is about one datagram (a closed port, an unreachable network), not
/// about the socket.
pub(crate) fn concerns_one_datagram(error: &io::Error) -> bool {
    use io::ErrorKind::{
        AddrNotAvailable, ConnectionAborted, ConnectionRefused, ConnectionReset, HostUnreachable,
        Interrupted, InvalidInput, NetworkDown, NetworkUnreachable, PermissionDenied,
    };
    let own = [
        AddrNotAvailable,
        ConnectionAborted,
        ConnectionRefused,
        ConnectionReset,
        HostUnreachable,
        Interrupted,
        InvalidInput,
        NetworkDown,
        NetworkUnreachable,
        PermissionDenied,
    ];
    #[cfg(unix)]
    if [libc::EMSGSIZE, libc::ENOBUFS].iter().any(|code| error.raw_os_error() == Some(*code)) {
        return true;
    }
    own.contains(&error.kind())
}

const BUFFER_LEN: usize = 4 << 20;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_shard_gets_a_socket_at_the_same_address() {
        for address in ["127.0.0.1:0", "[::1]:0"] {
            let (sockets, bound) = bind(address.parse().unwrap(), 3).unwrap();
            assert_eq!(sockets.len(), 3);
            assert!(sockets.iter().all(|socket| socket.local_addr().unwrap() == bound));
        }
    }

    #[test]
    fn a_second_server_at_the_same_address_is_refused() {
        for shards in [1, 2] {
            let (_sockets, bound) = bind("127.0.0.1:0".parse().unwrap(), shards).unwrap();
            assert_eq!(bind(bound, shards).unwrap_err().kind(), io::ErrorKind::AddrInUse);
        }
    }

    #[test]
    fn both_families_may_have_the_same_port() {
        let (_four, bound) = bind("0.0.0.0:0".parse().unwrap(), 2).unwrap();
        let six = SocketAddr::from((std::net::Ipv6Addr::UNSPECIFIED, bound.port()));
        bind(six, 2).unwrap();
    }
}
