//! An address in eighteen bytes, because a shard keeps up to a million of them.

use core::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV6};

/// An IP address and a port. An IPv4 address lies behind a prefix that no IPv6 address has; one that an IPv6 socket shows as mapped
/// stays so, since answers must leave by that socket. The zone of a link-local address lies in bytes of it that are zero otherwise.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Address {
    ip: [u8; 16],
    port: [u8; 2],
}

impl Address {
    /// The address as bytes.
    pub(crate) fn bytes(self) -> [u8; 18] {
        let mut bytes = [0; 18];
        bytes[..16].copy_from_slice(&self.ip);
        bytes[16..].copy_from_slice(&self.port);
        bytes
    }

    /// The reverse of [`Address::bytes`].
    pub(crate) fn unpack(bytes: [u8; 18]) -> Self {
        let mut address = Self { ip: [0; 16], port: [0; 2] };
        address.ip.copy_from_slice(&bytes[..16]);
        address.port.copy_from_slice(&bytes[16..]);
        address
    }

    /// The address without its port, for a budget.
    pub(crate) fn host(self) -> [u8; 16] {
        self.ip
    }

    /// The network: /24 or /56.
    pub(crate) fn prefix(self) -> [u8; 16] {
        let is_v4 = self.ip.starts_with(&V4) || self.ip.starts_with(&V4_MAPPED);
        let kept = if is_v4 { 15 } else { 7 };
        let mut prefix = self.ip;
        prefix[kept..].fill(0);
        prefix
    }
}

const V4_MAPPED: [u8; 12] = [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff];
const V4: [u8; 12] = [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xfe];

fn is_link_local(ip: &[u8; 16]) -> bool {
    ip[0] == 0xfe && ip[1] & 0xc0 == 0x80
}

impl From<SocketAddr> for Address {
    fn from(address: SocketAddr) -> Self {
        let port = address.port().to_be_bytes();
        let ip = match address {
            SocketAddr::V4(v4) => {
                let mut ip = [0; 16];
                ip[..12].copy_from_slice(&V4);
                ip[12..].copy_from_slice(&v4.ip().octets());
                ip
            }
            SocketAddr::V6(v6) => {
                let mut ip = v6.ip().octets();
                if is_link_local(&ip) {
                    ip[4..8].copy_from_slice(&v6.scope_id().to_be_bytes());
                }
                ip
            }
        };
        Self { ip, port }
    }
}

impl fmt::Debug for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&SocketAddr::from(*self), f)
    }
}

impl From<Address> for SocketAddr {
    fn from(address: Address) -> Self {
        let Address { mut ip, port } = address;
        let port = u16::from_be_bytes(port);
        if ip.starts_with(&V4) {
            return Self::new(IpAddr::V4(Ipv4Addr::new(ip[12], ip[13], ip[14], ip[15])), port);
        }
        let mut zone = [0; 4];
        if is_link_local(&ip) {
            zone.copy_from_slice(&ip[4..8]);
            ip[4..8].fill(0);
        }
        Self::V6(SocketAddrV6::new(Ipv6Addr::from(ip), port, 0, u32::from_be_bytes(zone)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_the_same_after_it_was_packed() {
        for text in [
            "192.0.2.1:5684",
            "[2001:db8::1]:1",
            "[fe80::1%7]:5684",
            "[::1]:65535",
            "[::ffff:192.0.2.1]:5",
            "0.0.0.0:0",
        ] {
            let address: SocketAddr = text.parse().expect("an address");
            assert_eq!(SocketAddr::from(Address::from(address)), address);
        }
        assert_eq!(size_of::<Address>(), 18);
    }

    #[test]
    fn networks_are_24_and_56_bits_wide() {
        let prefix = |text: &str| Address::from(text.parse::<SocketAddr>().expect("an address")).prefix();
        assert_eq!(prefix("192.0.2.1:1"), prefix("192.0.2.254:9"));
        assert_ne!(prefix("192.0.2.1:1"), prefix("192.0.3.1:1"));
        assert_eq!(prefix("[2001:db8:0:1ff::1]:1"), prefix("[2001:db8:0:100::2]:1"));
        assert_ne!(prefix("[2001:db8:0:1ff::1]:1"), prefix("[2001:db8:0:200::1]:1"));
    }
}
