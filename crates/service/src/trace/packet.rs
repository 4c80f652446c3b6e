//! IP and UDP around a message, made for a capture: what carried it was never seen here.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

/// A packet from one side to the other; `whole_len` counts bytes of the message that are not there, too.
pub(super) fn packet(from: SocketAddr, to: SocketAddr, message: &[u8], whole_len: usize) -> Vec<u8> {
    match (from.ip().to_canonical(), to.ip().to_canonical()) {
        (IpAddr::V4(source), IpAddr::V4(target)) => {
            let pseudo = [&source.octets()[..], &target.octets()].concat();
            let udp = udp((from.port(), to.port()), message, whole_len, &pseudo);
            let mut header = [0x45, 0, 0, 0, 0, 0, 0x40, 0, 64, PROTOCOL_UDP, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];
            header[2..4].copy_from_slice(&short(20 + 8 + whole_len).to_be_bytes());
            header[12..16].copy_from_slice(&source.octets());
            header[16..20].copy_from_slice(&target.octets());
            let sum = checksum(&[&header]);
            header[10..12].copy_from_slice(&sum.to_be_bytes());
            [&header[..], &udp].concat()
        }
        (source, target) => {
            let (source, target) = (v6(source), v6(target));
            let pseudo = [&source.octets()[..], &target.octets()].concat();
            let udp = udp((from.port(), to.port()), message, whole_len, &pseudo);
            let mut header = [0; 40];
            header[0] = 0x60;
            header[4..6].copy_from_slice(&short(8 + whole_len).to_be_bytes());
            (header[6], header[7]) = (PROTOCOL_UDP, 64);
            header[8..24].copy_from_slice(&source.octets());
            header[24..].copy_from_slice(&target.octets());
            [&header[..], &udp].concat()
        }
    }
}

/// Bytes before the message.
pub(super) const fn head_len(from: SocketAddr, to: SocketAddr) -> usize {
    if matches!(from.ip().to_canonical(), IpAddr::V4(_)) && matches!(to.ip().to_canonical(), IpAddr::V4(_)) {
        28
    } else {
        48
    }
}

/// The server's side: its port, and an address that stands for it where the configuration names none that fits.
pub(super) fn server(listening: Option<IpAddr>, device: SocketAddr, port: u16) -> SocketAddr {
    let device = device.ip().to_canonical();
    let fits = |ip: &IpAddr| !ip.is_unspecified() && ip.is_ipv4() == device.is_ipv4();
    let stands_for = match device {
        ip if ip.is_loopback() => ip,
        // Addresses for documentation (RFC 5737, RFC 3849).
        IpAddr::V4(_) => Ipv4Addr::new(192, 0, 2, 1).into(),
        IpAddr::V6(_) => Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 1).into(),
    };
    SocketAddr::new(listening.map(|ip| ip.to_canonical()).filter(fits).unwrap_or(stands_for), port)
}

fn udp((from, to): (u16, u16), message: &[u8], whole_len: usize, addresses: &[u8]) -> Vec<u8> {
    let len = short(8 + whole_len);
    let mut header = [0; 8];
    header[..2].copy_from_slice(&from.to_be_bytes());
    header[2..4].copy_from_slice(&to.to_be_bytes());
    header[4..6].copy_from_slice(&len.to_be_bytes());
    if message.len() == whole_len {
        // RFC 768, RFC 8200 §8.1: over both addresses, the protocol and the length, too; zero is written as all ones.
        let [high, low] = len.to_be_bytes();
        let sum = checksum(&[addresses, &[0, PROTOCOL_UDP, high, low], &header, message]);
        let sum = if sum == 0 { 0xffff } else { sum };
        header[6..].copy_from_slice(&sum.to_be_bytes());
    }
    [&header[..], message].concat()
}

/// RFC 1071; every part but the last has an even length.
fn checksum(parts: &[&[u8]]) -> u16 {
    let word = |pair: &[u8]| {
        u64::from(pair.first().copied().unwrap_or(0)) << 8 | u64::from(pair.get(1).copied().unwrap_or(0))
    };
    let mut sum: u64 = parts.iter().flat_map(|part| part.chunks(2)).map(word).sum();
    while sum > 0xffff {
        sum = (sum >> 16) + (sum & 0xffff);
    }
    !u16::try_from(sum).unwrap_or(0)
}

fn v6(ip: IpAddr) -> Ipv6Addr {
    match ip {
        IpAddr::V4(v4) => v4.to_ipv6_mapped(),
        IpAddr::V6(v6) => v6,
    }
}

fn short(len: usize) -> u16 {
    u16::try_from(len).unwrap_or(u16::MAX)
}

const PROTOCOL_UDP: u8 = 17;

#[cfg(test)]
mod tests {
    use super::*;

    /// A sum over everything that the checksum covers, itself included, is zero.
    fn is_right(packet: &[u8], addresses: &[u8], udp_at: usize) -> bool {
        let udp = &packet[udp_at..];
        let len = short(udp.len()).to_be_bytes();
        checksum(&[addresses, &[0, PROTOCOL_UDP, len[0], len[1]], udp]) == 0
    }

    #[test]
    fn checksums_are_right_for_even_and_odd_lengths() {
        for message in [&b"coap"[..], b"coaps", b"\xff\xfe", b""] {
            let (a, b) = ("192.0.2.7:40000".parse().unwrap(), "192.0.2.1:5683".parse().unwrap());
            let made = packet(a, b, message, message.len());
            assert_eq!(made.len(), head_len(a, b) + message.len());
            assert_eq!(checksum(&[&made[..20]]), 0);
            assert!(is_right(&made, &made[12..20], 20), "{message:?}");
            let (a, b) = ("[2001:db8::7]:40000".parse().unwrap(), "[2001:db8::1]:5683".parse().unwrap());
            let made = packet(a, b, message, message.len());
            assert_eq!(made.len(), head_len(a, b) + message.len());
            assert!(is_right(&made, &made[8..40], 40), "{message:?}");
        }
    }

    #[test]
    fn what_is_cut_counts_in_the_lengths() {
        let (a, b) = ("192.0.2.7:40000".parse().unwrap(), "192.0.2.1:5683".parse().unwrap());
        let made = packet(a, b, b"co", 100);
        assert_eq!((made.len(), &made[2..4], &made[24..28]), (30, &[0, 128][..], &[0, 108, 0, 0][..]));
    }

    #[test]
    fn the_server_has_an_address_of_the_devices_kind() {
        let ip = |text: &str| Some(text.parse::<IpAddr>().unwrap());
        for (listening, device, expected) in [
            (ip("0.0.0.0"), "10.1.1.1:7", "192.0.2.1:5683"),
            (ip("10.9.9.9"), "10.1.1.1:7", "10.9.9.9:5683"),
            (ip("::"), "[fd00::7]:7", "[2001:db8::1]:5683"),
            (ip("10.9.9.9"), "[fd00::7]:7", "[2001:db8::1]:5683"),
            (None, "127.0.0.1:7", "127.0.0.1:5683"),
            (ip("::"), "[::ffff:10.1.1.1]:7", "192.0.2.1:5683"),
        ] {
            assert_eq!(server(listening, device.parse().unwrap(), 5683).to_string(), expected);
        }
    }
}
