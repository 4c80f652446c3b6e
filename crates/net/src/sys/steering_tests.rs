//! One corpus for the filter in the kernel and the function in user space that it stands for.

use std::collections::{HashMap, HashSet};
use std::net::{SocketAddr, UdpSocket};

use lightship_server::shard_of;

use crate::udp::{Steering, bind_secured};

/// Datagrams that name a shard, seem to, or do not.
fn corpus() -> Vec<Vec<u8>> {
    let mut all = vec![Vec::new()];
    for first in [25, 0, 20, 21, 22, 23, 24, 26, 27, 0x19 | 0x20, 0x40, 255] {
        for len in [1, 2, 11, 12, 13, 20, 60, 1200] {
            for shard in [0, 1, 2, 3, 4, 5, 7, 8, 127, 128, 254, 255] {
                let mut datagram = vec![0xa5; len];
                datagram[0] = first;
                if let Some(byte) = datagram.get_mut(11) {
                    *byte = shard;
                }
                // Behind a ChangeCipherSpec, and behind what only looks like one.
                for (kind, length) in [(20, [0, 1]), (20, [0, 2]), (20, [1, 1]), (21, [0, 1])] {
                    let mut flight = vec![kind, 0xfe, 0xfd, 0, 0, 0, 0, 0, 0, 0, 3, length[0], length[1], 1];
                    flight.extend(&datagram);
                    all.push(flight);
                }
                all.push(datagram);
            }
        }
    }
    all
}

/// The number of the socket that got what was sent last; loopback delivers before the sender returns.
fn receiver(sockets: &[UdpSocket]) -> usize {
    let mut buffer = [0; 2048];
    for _ in 0..1000 {
        if let Some(at) = sockets.iter().position(|socket| socket.recv_from(&mut buffer).is_ok()) {
            return at;
        }
        std::thread::yield_now();
    }
    panic!("a datagram did not arrive");
}

// Proves: DTL-15, DTL-16
#[test]
fn the_kernel_picks_the_shard_that_the_function_says() {
    for (shards, address) in [(2, "127.0.0.1:0"), (3, "[::1]:0"), (8, "127.0.0.1:0"), (255, "127.0.0.1:0")] {
        let address: SocketAddr = address.parse().unwrap();
        let (sockets, bound) = bind_secured(address, shards, Steering::Kernel).unwrap();
        let from = SocketAddr::new(address.ip(), 0);
        let sources: Vec<_> = (0..16).map(|_| UdpSocket::bind(from).unwrap()).collect();
        let (mut named, mut behind) = (0, 0);
        let mut by_address: HashMap<usize, usize> = HashMap::new();
        for (number, datagram) in corpus().iter().enumerate() {
            // Each from two ports, as a device behind a NAT that has forgotten it.
            for source in [number % sources.len(), (number * 7 + 3) % sources.len()] {
                sources[source].send_to(datagram, bound).unwrap();
                let got = receiver(&sockets);
                match shard_of(datagram, shards) {
                    Some(shard) => {
                        assert_eq!(got, usize::from(shard), "of {shards}: {:?}", &datagram[..12]);
                        behind += usize::from(datagram[0] == 20);
                        named += 1;
                    }
                    // What names no shard stays with the one that its address leads to.
                    None => assert_eq!(got, *by_address.entry(source).or_insert(got)),
                }
            }
        }
        assert!(named >= 2 * 4 * 2 && behind >= 2 * 4 * 2, "{named} {behind}");
        let spread: HashSet<_> = by_address.values().collect();
        assert!(spread.len() > 1, "sixteen addresses all lead to one of {shards} shards");
    }
}

#[test]
fn without_the_filter_addresses_decide() {
    let (sockets, bound) = bind_secured("127.0.0.1:0".parse().unwrap(), 4, Steering::UserSpace).unwrap();
    let mut record = [0; 40];
    record[0] = 25;
    record[11] = 2;
    let elsewhere = (0..64).any(|_| {
        let source = UdpSocket::bind("127.0.0.1:0").unwrap();
        source.send_to(&record, bound).unwrap();
        receiver(&sockets) != 2
    });
    assert!(elsewhere);
}
