use std::io::ErrorKind;
use std::net::{SocketAddr, UdpSocket};

use super::*;

type Receive = fn(&UdpSocket, &mut [Slot]) -> std::io::Result<usize>;
type Send = fn(&UdpSocket, &[Slot]) -> std::io::Result<usize>;

/// Every implementation for this system.
const ALL: &[(Receive, Send)] = &[(receive, send), (other::receive, other::send)];

fn socket(address: &str) -> UdpSocket {
    let socket = UdpSocket::bind(address).unwrap();
    socket.set_nonblocking(true).unwrap();
    socket
}

fn filled(to: SocketAddr, count: usize) -> Vec<Slot> {
    let mut slots = Slot::batch();
    slots.truncate(count);
    for (number, slot) in slots.iter_mut().enumerate() {
        slot.address = to;
        slot.len = number + 1;
        slot.bytes[..=number].fill(u8::try_from(number).unwrap());
    }
    slots
}

fn receive_all(receive: Receive, socket: &UdpSocket, expected: usize) -> Vec<(SocketAddr, Vec<u8>)> {
    let mut slots = Slot::batch();
    let mut out = Vec::new();
    for _ in 0..10_000 {
        match receive(socket, &mut slots) {
            Ok(count) => out.extend(slots[..count].iter().map(|slot| (slot.address, slot.data().to_vec()))),
            Err(error) => assert_eq!(error.kind(), ErrorKind::WouldBlock),
        }
        if out.len() >= expected {
            break;
        }
        std::thread::yield_now();
    }
    out
}

#[test]
fn a_batch_arrives_whole_in_order_and_with_its_sender() {
    for address in ["127.0.0.1:0", "[::1]:0"] {
        for (receive, send) in ALL {
            let (here, there) = (socket(address), socket(address));
            let mut slots = Slot::batch();
            assert_eq!(receive(&there, &mut slots).unwrap_err().kind(), ErrorKind::WouldBlock);
            let batch = filled(there.local_addr().unwrap(), BATCH_LEN);
            assert_eq!(send(&here, &batch).unwrap(), BATCH_LEN);
            let got = receive_all(*receive, &there, BATCH_LEN);
            assert_eq!(got.len(), BATCH_LEN);
            for ((from, data), sent) in got.iter().zip(&batch) {
                assert_eq!((*from, data.as_slice()), (here.local_addr().unwrap(), sent.data()));
            }
        }
    }
}

#[test]
fn a_datagram_too_long_for_its_slot_is_marked_not_cut() {
    for (receive, _) in ALL {
        let (here, there) = (socket("127.0.0.1:0"), socket("127.0.0.1:0"));
        here.send_to(&[7; DATAGRAM_LEN_MAX + 1], there.local_addr().unwrap()).unwrap();
        here.send_to(&[], there.local_addr().unwrap()).unwrap();
        here.send_to(&[1], there.local_addr().unwrap()).unwrap();
        let lengths: Vec<_> = receive_all(*receive, &there, 3).iter().map(|(_, data)| data.len()).collect();
        assert_eq!(lengths, [0, 0, 1]);
    }
}

#[test]
fn more_slots_than_a_batch_are_sent_in_several_calls() {
    let (here, there) = (socket("127.0.0.1:0"), socket("127.0.0.1:0"));
    let mut batch = filled(there.local_addr().unwrap(), BATCH_LEN);
    batch.extend(batch.clone());
    assert_eq!(send(&here, &batch).unwrap(), BATCH_LEN);
    assert_eq!(send(&here, &[]).unwrap(), 0);
}

#[test]
fn the_answers_of_closed_ports_do_not_kill_the_socket() {
    for (receive, send) in ALL {
        let (here, there) = (socket("127.0.0.1:0"), socket("127.0.0.1:0"));
        let closed = socket("127.0.0.1:0").local_addr().unwrap();
        for _ in 0..20 {
            let _ = send(&here, &filled(closed, 2));
        }
        there.send_to(&[9], here.local_addr().unwrap()).unwrap();
        assert_eq!(receive_all(*receive, &here, 1).len(), 1);
    }
}

#[cfg(target_os = "linux")]
#[test]
fn an_answer_leaves_from_the_address_that_was_asked() {
    for (all, asked) in [("0.0.0.0:0", "127.0.0.2"), ("0.0.0.0:0", "127.0.0.1"), ("[::]:0", "::1")] {
        let here = socket(all);
        tell_local(&here).unwrap();
        let asked = SocketAddr::new(asked.parse().unwrap(), here.local_addr().unwrap().port());
        let there = socket(if asked.is_ipv4() { "127.0.0.1:0" } else { "[::1]:0" });
        there.send_to(&[1], asked).unwrap();
        let mut slots = Slot::batch();
        while receive(&here, &mut slots).is_err() {
            std::thread::yield_now();
        }
        assert_eq!(slots[0].local, Some(asked.ip()));
        assert_eq!(send(&here, &slots[..1]).unwrap(), 1);
        assert_eq!(receive_all(receive, &there, 1)[0].0, asked);
    }
}
