//! Peels a UDP datagram out of a link-layer frame: Ethernet (with VLAN tags), Linux cooked (both versions), BSD
//! loopback, raw IP; IPv4 and IPv6 with extension headers.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

/// A UDP datagram and who sent it to whom.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Datagram<'a> {
    pub(crate) from: SocketAddr,
    pub(crate) to: SocketAddr,
    pub(crate) bytes: &'a [u8],
}

/// What a frame holds.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Content<'a> {
    Datagram(Datagram<'a>),
    /// A piece of a fragmented packet: not put together here.
    Fragment,
    /// Something else than UDP.
    Other,
    /// A link type that is not read here.
    UnknownLink,
}

const ETHERTYPE_IPV4: u16 = 0x0800;
const ETHERTYPE_IPV6: u16 = 0x86dd;
const PROTOCOL_UDP: u8 = 17;

/// Looks into one frame of the given link type.
pub(crate) fn peel(link: u32, frame: &[u8]) -> Content<'_> {
    let network = match link {
        0 | 108 => frame.get(4..),
        1 => ethernet(frame),
        101 | 12 | 14 | 228 | 229 => Some(frame),
        113 => cooked(frame, 14, 16),
        276 => cooked(frame, 0, 20),
        _ => return Content::UnknownLink,
    };
    match network {
        Some(packet) => match packet.first().map(|byte| byte >> 4) {
            Some(4) => ipv4(packet),
            Some(6) => ipv6(packet),
            _ => Content::Other,
        },
        None => Content::Other,
    }
}

fn u16_at(bytes: &[u8], at: usize) -> Option<u16> {
    bytes.get(at..)?.first_chunk::<2>().map(|raw| u16::from_be_bytes(*raw))
}

fn ethernet(frame: &[u8]) -> Option<&[u8]> {
    let mut at = 12;
    loop {
        match u16_at(frame, at)? {
            0x8100 | 0x88a8 | 0x9100 => at += 4,
            ETHERTYPE_IPV4 | ETHERTYPE_IPV6 => return frame.get(at + 2..),
            _ => return None,
        }
    }
}

fn cooked(frame: &[u8], protocol_at: usize, header_len: usize) -> Option<&[u8]> {
    match u16_at(frame, protocol_at)? {
        ETHERTYPE_IPV4 | ETHERTYPE_IPV6 => frame.get(header_len..),
        _ => None,
    }
}

fn ipv4(packet: &[u8]) -> Content<'_> {
    fn parts(packet: &[u8]) -> Option<(IpAddr, IpAddr, u8, bool, &[u8])> {
        let header_len = usize::from(packet.first()? & 0x0f) * 4;
        let total = usize::from(u16_at(packet, 2)?);
        let fragment = u16_at(packet, 6)? & 0x3fff != 0;
        let protocol = *packet.get(9)?;
        let source = Ipv4Addr::from(*packet.get(12..)?.first_chunk::<4>()?);
        let target = Ipv4Addr::from(*packet.get(16..)?.first_chunk::<4>()?);
        // Captures on the sending host may show a total length of zero (segmentation offload).
        let end = if total == 0 { packet.len() } else { total.min(packet.len()) };
        let rest = packet.get(header_len.max(20)..end)?;
        Some((source.into(), target.into(), protocol, fragment, rest))
    }
    match parts(packet) {
        Some((_, _, PROTOCOL_UDP, true, _)) => Content::Fragment,
        Some((from, to, PROTOCOL_UDP, false, rest)) => udp(from, to, rest),
        _ => Content::Other,
    }
}

fn ipv6(packet: &[u8]) -> Content<'_> {
    fn addresses(packet: &[u8]) -> Option<(IpAddr, IpAddr)> {
        let source = Ipv6Addr::from(*packet.get(8..)?.first_chunk::<16>()?);
        let target = Ipv6Addr::from(*packet.get(24..)?.first_chunk::<16>()?);
        Some((source.into(), target.into()))
    }
    let (Some((from, to)), Some(&first)) = (addresses(packet), packet.get(6)) else { return Content::Other };
    let mut next = first;
    let mut at = 40;
    loop {
        let header = packet.get(at).zip(packet.get(at + 1));
        match (next, header) {
            (PROTOCOL_UDP, _) => return udp(from, to, packet.get(at..).unwrap_or_default()),
            (44, Some(_)) => return Content::Fragment,
            // Hop-by-hop, routing and destination options (RFC 8200 §4).
            (0 | 43 | 60, Some((&following, &length))) => {
                next = following;
                at += (usize::from(length) + 1) * 8;
            }
            _ => return Content::Other,
        }
    }
}

fn udp(from: IpAddr, to: IpAddr, rest: &[u8]) -> Content<'_> {
    fn parts(rest: &[u8]) -> Option<(u16, u16, &[u8])> {
        let length = usize::from(u16_at(rest, 4)?);
        let end = if length < 8 { rest.len() } else { length.min(rest.len()) };
        Some((u16_at(rest, 0)?, u16_at(rest, 2)?, rest.get(8..end)?))
    }
    match parts(rest) {
        Some((source, target, bytes)) => Content::Datagram(Datagram {
            from: SocketAddr::new(from, source),
            to: SocketAddr::new(to, target),
            bytes,
        }),
        None => Content::Other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn udp_header(payload: &[u8]) -> Vec<u8> {
        let length = u16::try_from(payload.len() + 8).unwrap().to_be_bytes();
        [&[0x16, 0x33, 0xa0, 0x00][..], &length, &[0, 0], payload].concat()
    }

    fn ipv4_packet(payload: &[u8]) -> Vec<u8> {
        let udp = udp_header(payload);
        let total = u16::try_from(udp.len() + 20).unwrap().to_be_bytes();
        let header = [0x45, 0, total[0], total[1], 0, 0, 0, 0, 64, 17, 0, 0, 127, 0, 0, 1, 10, 0, 0, 2];
        [&header[..], &udp].concat()
    }

    fn ipv6_packet(payload: &[u8]) -> Vec<u8> {
        let udp = udp_header(payload);
        let mut packet = vec![0x60, 0, 0, 0, 0, 0, 0, 64];
        packet.extend([0; 15]);
        packet.extend([1]);
        packet.extend([0; 15]);
        packet.extend([2]);
        packet.extend([17, 0, 1, 4, 0, 0, 0, 0]);
        packet[6] = 60;
        [packet, udp].concat()
    }

    fn datagram(content: Content<'_>) -> (String, String, Vec<u8>) {
        let Content::Datagram(datagram) = content else { panic!("no datagram: {content:?}") };
        (datagram.from.to_string(), datagram.to.to_string(), datagram.bytes.to_vec())
    }

    #[test]
    fn every_link_type_leads_to_the_datagram() {
        let packet = ipv4_packet(b"coap");
        let expected = ("127.0.0.1:5683".to_owned(), "10.0.0.2:40960".to_owned(), b"coap".to_vec());
        let ethernet = [&[0; 12][..], &[0x08, 0x00], &packet].concat();
        let vlan = [&[0; 12][..], &[0x81, 0x00, 0, 5, 0x08, 0x00], &packet, &[0; 6]].concat();
        let cooked1 = [&[0; 14][..], &[0x08, 0x00], &packet].concat();
        let cooked2 = [&[0x08, 0x00][..], &[0; 18], &packet].concat();
        let loopback = [&[2, 0, 0, 0][..], &packet].concat();
        for (link, frame) in
            [(1, ethernet), (1, vlan), (113, cooked1), (276, cooked2), (0, loopback), (101, packet)]
        {
            assert_eq!(datagram(peel(link, &frame)), expected, "link type {link}");
        }
    }

    #[test]
    fn ipv6_extension_headers_are_skipped() {
        let (from, to, bytes) = datagram(peel(101, &ipv6_packet(b"coap")));
        assert_eq!(
            (from.as_str(), to.as_str(), bytes.as_slice()),
            ("[::1]:5683", "[::2]:40960", &b"coap"[..])
        );
    }

    #[test]
    fn fragments_and_others_are_told_apart() {
        let mut packet = ipv4_packet(b"coap");
        packet[6] = 0x20;
        assert_eq!(peel(101, &packet), Content::Fragment);
        let mut packet = ipv4_packet(b"coap");
        packet[9] = 6;
        assert_eq!(peel(101, &packet), Content::Other);
        assert_eq!(peel(147, &packet), Content::UnknownLink);
    }

    #[test]
    fn cut_frames_never_panic() {
        for (link, frame) in [(101, ipv4_packet(b"x")), (101, ipv6_packet(b"x")), (276, ipv4_packet(b"x"))] {
            for length in 0..frame.len() {
                let _ = peel(link, &frame[..length]);
            }
        }
    }
}
