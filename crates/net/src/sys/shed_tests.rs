//! What the filter drops, and what it must never drop.

use std::net::UdpSocket;

use super::{BATCH_LEN, Shed, Slot, fill, receive, shed_hellos};

/// A ClientHello with a session ID and a cookie of these lengths, in a record of this type and epoch.
fn hello(kind: u8, epoch: u8, message: u8, session_id: u8, cookie: u8) -> Vec<u8> {
    let mut bytes = vec![kind, 0xfe, 0xfd, 0, epoch, 0, 0, 0, 0, 0, 0, 0, 100];
    bytes.extend([message, 0, 0, 88, 0, 0, 0, 0, 0, 0, 0, 88, 0xfe, 0xfd]);
    bytes.extend([7; 32]);
    bytes.push(session_id);
    bytes.extend(vec![1; session_id.into()]);
    bytes.push(cookie);
    bytes.extend(vec![2; cookie.into()]);
    bytes.extend([0, 2, 0xc0, 0xa8, 1, 0]);
    bytes
}

fn pair(address: &str) -> (UdpSocket, UdpSocket) {
    let server = UdpSocket::bind(address).expect("loopback");
    server.set_nonblocking(true).expect("loopback");
    let client = UdpSocket::bind(address).expect("loopback");
    client.connect(server.local_addr().expect("loopback")).expect("loopback");
    (server, client)
}

/// How many of so many copies arrive.
fn arrive((server, client): &(UdpSocket, UdpSocket), datagram: &[u8], copies: usize) -> usize {
    let mut slots = Slot::batch();
    let mut arrived = 0;
    for _ in 0..copies / BATCH_LEN {
        for _ in 0..BATCH_LEN {
            client.send(datagram).expect("sent");
        }
        // Loopback delivers before the sender returns, on this core or very soon on another.
        for _ in 0..50 {
            arrived += receive(server, &mut slots).unwrap_or(0);
            std::thread::yield_now();
        }
    }
    arrived
}

const ALL: usize = 50 * BATCH_LEN;

#[test]
fn a_part_of_the_hellos_is_dropped_and_nothing_else() {
    for address in ["127.0.0.1:0", "[::1]:0"] {
        let pair = pair(address);
        let shed = Shed { kept_without_cookie: u32::MAX / 4, kept_with_cookie: u32::MAX / 2 };
        shed_hellos(&pair.0, shed).unwrap();
        for (session_id, cookie, expected) in
            [(0, 0, ALL / 4), (32, 0, ALL / 4), (0, 20, ALL / 2), (16, 32, ALL / 2)]
        {
            let arrived = arrive(&pair, &hello(22, 0, 1, session_id, cookie), ALL);
            let near = expected.abs_diff(arrived) < ALL / 10;
            assert!(near, "{arrived} of {ALL} with {session_id} and {cookie} bytes, not {expected}");
        }
        assert!(fill(&pair.0).unwrap().dropped > 0);
        shed_hellos(&pair.0, Shed { kept_without_cookie: 0, kept_with_cookie: 0 }).unwrap();
        assert!(arrive(&pair, &hello(22, 0, 1, 0, 0), ALL) < 5);
        let others = [
            hello(22, 1, 1, 0, 0),
            hello(22, 0, 16, 0, 0),
            hello(23, 0, 1, 0, 0),
            hello(25, 0, 1, 0, 0),
            hello(22, 0, 1, 0, 0)[..60].to_vec(),
            vec![22],
            b"@".to_vec(),
        ];
        for other in others {
            assert_eq!(arrive(&pair, &other, ALL), ALL, "{other:02x?}");
        }
        shed_hellos(&pair.0, Shed::NOTHING).unwrap();
        shed_hellos(&pair.0, Shed::NOTHING).unwrap();
        assert_eq!(arrive(&pair, &hello(22, 0, 1, 0, 0), ALL), ALL);
    }
}

#[test]
fn a_socket_tells_how_full_it_is() {
    let (server, client) = pair("127.0.0.1:0");
    let empty = fill(&server).unwrap();
    assert!(empty.waiting == 0 && empty.room > 10_000 && empty.dropped == 0, "{empty:?}");
    for _ in 0..100_000 {
        client.send(&[1; 1000]).unwrap();
        if fill(&server).unwrap().dropped > 0 {
            break;
        }
    }
    let full = fill(&server).unwrap();
    assert!(full.waiting > full.room / 2 && full.dropped > 0, "{full:?}");
}
