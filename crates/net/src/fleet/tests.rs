use std::collections::HashSet;
use std::net::UdpSocket;

use super::*;

fn server() -> UdpSocket {
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    socket.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
    socket
}

/// Every source asks, the server sends each datagram back, and every source hears its own.
fn converses(origin: Origin, sources: u32) -> HashSet<SocketAddr> {
    let server = server();
    let mut fleet = Fleet::open(server.local_addr().unwrap(), origin, sources).unwrap();
    let mut heard = vec![0; usize::try_from(sources).unwrap()];
    let mut addresses = HashSet::new();
    for source in 0..sources {
        fleet.push(source, &source.to_be_bytes());
        if source % 16 == 15 || source + 1 == sources {
            fleet.flush();
            let expected = source % 16 + 1;
            let mut buffer = [0; 16];
            for _ in 0..expected {
                let (len, from) = server.recv_from(&mut buffer).unwrap();
                addresses.insert(from);
                server.send_to(&buffer[..len], from).unwrap();
            }
            let mut got = 0;
            while got < usize::try_from(expected).unwrap() {
                got += fleet
                    .receive(Duration::from_secs(5), |source, data| {
                        assert_eq!(data, source.to_be_bytes());
                        heard[usize::try_from(source).unwrap()] += 1;
                    })
                    .unwrap();
            }
        }
    }
    assert!(heard.iter().all(|count| *count == 1), "{heard:?}");
    assert_eq!(fleet.counters().sent, u64::from(sources));
    assert_eq!(fleet.counters().received_bytes, u64::from(sources) * 4);
    addresses
}

#[test]
fn every_device_on_loopback_has_an_address_and_few_sockets() {
    let origin = Origin { local: None, ports: 3 };
    assert_eq!(converses(origin, 1000).len(), 1000);
    let server = "127.0.0.1:5683".parse().unwrap();
    let expected = if cfg!(target_os = "linux") { 3 } else { 1000 };
    assert_eq!(Fleet::descriptors(server, origin, 1000), expected);
    assert_eq!(Fleet::descriptors("[::1]:5683".parse().unwrap(), origin, 1000), 1000);
}

#[test]
fn with_a_given_address_every_device_has_a_socket() {
    let local = Some("127.0.0.1".parse().unwrap());
    let addresses = converses(Origin { local, ports: 3 }, 40);
    assert_eq!(addresses.len(), 40);
    assert!(addresses.iter().all(|address| address.ip() == IpAddr::from([127, 0, 0, 1])));
}

#[test]
fn addresses_and_sources_are_inverse_and_all_different() {
    for sockets in [1, 4] {
        for source in (0..3_000_000).step_by(977) {
            let address = address_of(source / sockets).unwrap();
            assert!(address.is_loopback());
            assert_eq!(source_of(Some(address.into()), source % sockets, sockets), Some(source));
        }
    }
    assert!(address_of(ADDRESSES - 1).is_some() && address_of(ADDRESSES).is_none());
    assert_eq!(source_of(Some(IpAddr::from([127, 0, 0, 1])), 0, 4), None);
}

#[test]
fn strangers_are_not_heard() {
    let server = server();
    let mut fleet = Fleet::open(server.local_addr().unwrap(), Origin::default(), 1).unwrap();
    fleet.push(0, b"hello");
    fleet.flush();
    let (_, from) = server.recv_from(&mut [0; 8]).unwrap();
    let stranger = UdpSocket::bind("127.0.0.1:0").unwrap();
    stranger.send_to(b"psst", from).unwrap();
    let mut got = 0;
    while got == 0 {
        got = fleet.receive(Duration::from_secs(5), |_, data| panic!("{data:?}")).unwrap();
    }
    assert_eq!(fleet.counters().dropped, 1);
}

#[test]
fn waiting_ends_in_time() {
    let server = server();
    let mut fleet = Fleet::open(server.local_addr().unwrap(), Origin::default(), 1).unwrap();
    let clock = crate::Clock::start();
    let begin = clock.now();
    assert_eq!(fleet.receive(Duration::from_millis(20), |_, _| {}).unwrap(), 0);
    assert!(clock.now() >= begin + Duration::from_millis(if cfg!(target_os = "linux") { 20 } else { 1 }));
}
