//! Ports for foreign programs, which take a number and no socket, and for what is to come back at the port that it had.
//!
//! The kernel gives ports of its ephemeral range to everybody, from one moment to the next: a port from there that was free when it was
//! asked for may be another's when the program takes it. These are from outside of that range, and each is handed out once.

use crate::process::eventually;
use std::collections::hash_map::RandomState;
use std::hash::{BuildHasher, Hasher};
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener, UdpSocket};
use std::sync::LazyLock;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

/// Below are the ports of well-known services.
const LOWEST: u16 = 10_000;
/// How long a program may take to listen; one that found its port taken is started again after it.
const BOUND_LIMIT: Duration = Duration::from_secs(20);
/// What Linux has when nobody changed it.
const EPHEMERAL_USUALLY: (u16, u16) = (32_768, 60_999);

/// A port of UDP and TCP at all addresses of this machine, and the one after it, which a program with two transports takes as well.
pub(crate) fn fresh_port() -> Result<u16, String> {
    static PAIRS: LazyLock<Vec<u16>> = LazyLock::new(|| pairs(ephemeral()));
    static NEXT: LazyLock<AtomicUsize> = LazyLock::new(|| AtomicUsize::new(random()));
    for _ in 0..PAIRS.len() {
        let place = NEXT.fetch_add(1, Ordering::Relaxed) % PAIRS.len();
        let Some(&port) = PAIRS.get(place) else { break };
        if is_free(port) && is_free(port + 1) {
            return Ok(port);
        }
    }
    Err("no free port outside of the ephemeral range".to_owned())
}

/// Starts something at such a port; a program outside of this run may take it first, so it is tried again.
pub(crate) fn at_free_port<T>(mut start: impl FnMut(u16) -> Result<T, String>) -> Result<T, String> {
    let mut outcome = Err("no free port".to_owned());
    for _ in 0..3 {
        outcome = start(fresh_port()?);
        if outcome.is_ok() {
            break;
        }
    }
    outcome
}

/// Waits until this process has that UDP port, for programs that do not say when they listen: a datagram that comes before is refused.
pub(crate) fn await_port(process: u32, port: u16) -> Result<(), String> {
    eventually(BOUND_LIMIT, || {
        let theirs = sockets_of(process);
        let has = sockets_at(port).iter().any(|socket| theirs.contains(socket));
        if has { Ok(()) } else { Err(format!("process {process} does not have port {port}")) }
    })
}

/// The sockets that are bound to this UDP port, by the kernel's numbers.
fn sockets_at(port: u16) -> Vec<String> {
    let local = format!(":{port:04X}");
    let tables =
        ["/proc/net/udp", "/proc/net/udp6"].map(|table| std::fs::read_to_string(table).unwrap_or_default());
    let sockets = tables.iter().flat_map(|text| text.lines().skip(1)).map(str::split_whitespace);
    let here = sockets.filter(|socket| socket.clone().nth(1).is_some_and(|at| at.ends_with(&local)));
    here.filter_map(|mut socket| socket.nth(9)).map(|number| format!("socket:[{number}]")).collect()
}

/// What a process has open; nothing of one that has ended.
fn sockets_of(process: u32) -> Vec<String> {
    let open = std::fs::read_dir(format!("/proc/{process}/fd")).into_iter().flatten().flatten();
    open.filter_map(|entry| std::fs::read_link(entry.path()).ok())
        .map(|target| target.to_string_lossy().into_owned())
        .collect()
}

fn ephemeral() -> (u16, u16) {
    let text = std::fs::read_to_string("/proc/sys/net/ipv4/ip_local_port_range").unwrap_or_default();
    let mut ends = text.split_whitespace().filter_map(|end| end.parse().ok());
    ends.next().zip(ends.next()).unwrap_or(EPHEMERAL_USUALLY)
}

/// The lower ports of all pairs outside of this range.
fn pairs((from, to): (u16, u16)) -> Vec<u16> {
    (LOWEST..u16::MAX).step_by(2).filter(|&port| port + 1 < from || port > to).collect()
}

/// Every hasher of the standard library is keyed at random.
fn random() -> usize {
    usize::try_from(RandomState::new().build_hasher().finish() >> 40).unwrap_or_default()
}

fn is_free(port: u16) -> bool {
    let everywhere: [SocketAddr; 2] =
        [(Ipv4Addr::UNSPECIFIED, port).into(), (Ipv6Addr::UNSPECIFIED, port).into()];
    everywhere.iter().all(|at| {
        let taken = |error: std::io::Error| error.kind() == std::io::ErrorKind::AddrInUse;
        // A machine without IPv6 has no address to be taken.
        !UdpSocket::bind(at).is_err_and(taken) && !TcpListener::bind(at).is_err_and(taken)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pairs_keep_clear_of_the_ephemeral_range() {
        for (from, to) in [EPHEMERAL_USUALLY, (1024, 60_999), (10_001, 65_533), (20_000, 65_535)] {
            let all = pairs((from, to));
            assert!(!all.is_empty() || to == 65_535, "{from}-{to}");
            for port in all {
                for port in [port, port + 1] {
                    assert!(port >= LOWEST && !(from..=to).contains(&port), "{port} of {from}-{to}");
                }
            }
        }
    }

    #[test]
    fn a_socket_is_found_at_its_port_and_with_its_process() {
        let socket = UdpSocket::bind("127.0.0.1:0").expect("a socket");
        let port = socket.local_addr().expect("its address").port();
        let found = sockets_at(port);
        assert_eq!(found.len(), 1);
        assert!(sockets_of(std::process::id()).contains(&found[0]));
        assert!(!sockets_of(1).contains(&found[0]));
        assert_eq!(await_port(std::process::id(), port), Ok(()));
    }

    #[test]
    fn a_port_is_handed_out_once_and_not_when_it_is_taken() {
        let first = fresh_port().expect("a port");
        let _taken = UdpSocket::bind(("127.0.0.1", first + 2));
        let mut seen = vec![first];
        for _ in 0..20 {
            let port = fresh_port().expect("another");
            assert_ne!(port, first + 2);
            assert!(!seen.contains(&port));
            seen.push(port);
        }
    }
}
