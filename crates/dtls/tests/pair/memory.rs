//! What handshakes cost in memory.

use lightship_dtls::cookie::Verdict;
use lightship_dtls::{Association, Cid, Host, Path, Suite};
use lightship_platform::SeededRng;
use lightship_platform::crypto::FastCrypto;

use crate::harness::{From, Pair, own_key, pair, psk_connect};

/// A server that has just taken a hello with a cookie, and what that cost in bytes.
fn half_open(pair: &mut Pair) -> (Association, u64) {
    pair.connect(psk_connect());
    for _ in 0..2 {
        let (from, datagram) = pair.wire.pop_front().unwrap();
        pair.deliver(from, datagram);
    }
    let (_, hello) = pair.wire.pop_front().unwrap();
    let mut rng = SeededRng::from_number(3);
    let mut server = None;
    let info = allocation_counter::measure(|| {
        let mut host =
            Host { now: pair.now, crypto: &FastCrypto, rng: &mut rng, config: &pair.server.config };
        let mut out = [0; 1500];
        let Verdict::Proven(hello) = pair.cookies.judge(&mut host, b"192.0.2.1:5000", &hello, &mut out)
        else {
            panic!("not proven")
        };
        let mut association = Association::accept(&mut host, hello, Cid::EMPTY, &[]);
        while association.poll_transmit(&mut host, &mut out).is_some() {}
        server = Some(association);
    });
    (server.unwrap(), info.bytes_current.unsigned_abs())
}

#[test]
fn a_handshake_that_is_never_finished_costs_little_and_a_bounded_more_if_it_is_abused() {
    let mut pair = pair(Suite::PskAes128Ccm8);
    let (mut server, cost) = half_open(&mut pair);
    assert!(cost < 2048, "{cost} bytes");
    let len_max = u64::try_from(pair.server.config.message_len_max).unwrap();
    let mut rng = SeededRng::from_number(4);
    let info = allocation_counter::measure(|| {
        let mut host =
            Host { now: pair.now, crypto: &FastCrypto, rng: &mut rng, config: &pair.server.config };
        // Pieces of every message that could come, single bytes apart from each other, and records of the next epoch.
        for sequence in 2..40_u16 {
            for offset in (1..8000_u16).step_by(50) {
                let [s, t] = sequence.to_be_bytes();
                let [a, b] = offset.to_be_bytes();
                let mut record = vec![22, 0xfe, 0xfd, 0, 0, 0, 0, 0, 0, 0, 9, 0, 13];
                record.extend_from_slice(&[16, 0, 0x1f, 0x40, s, t, 0, a, b, 0, 0, 1, 7]);
                server.handle_record(&mut host, Path::Current, &mut record, &mut 0);
                let mut record = vec![22, 0xfe, 0xfd, 0, 1, 0, 0, 0, 0, a, b, 0, 200];
                record.resize(213, 1);
                server.handle_record(&mut host, Path::Current, &mut record, &mut 0);
            }
        }
    });
    let bound = len_max + 8192;
    assert!(info.bytes_max < bound, "{} bytes", info.bytes_max);
}

#[test]
fn a_client_that_says_nothing_after_its_handshake_costs_little() {
    let mut pair = pair(Suite::EcdheEcdsaAes128Ccm8);
    pair.server.config.keys = vec![own_key("lightship.example")];
    let mut connect = psk_connect();
    connect.credential = lightship_dtls::Credential::RawPublicKey { key: own_key("device").key };
    pair.connect(connect);
    pair.run();
    assert!(pair.server.is_established());
    let association = pair.server.association.take();
    let info = allocation_counter::measure(|| drop(association));
    let freed = info.bytes_current.unsigned_abs();
    assert!(freed > 0 && freed < 2048, "{freed} bytes");
}

#[test]
fn nothing_of_a_handshake_stays_in_memory() {
    for suite in [Suite::PskAes128Ccm8, Suite::EcdheEcdsaAes128Ccm8] {
        let mut pair = pair(suite);
        pair.server.config.keys = vec![own_key("lightship.example")];
        let mut connect = psk_connect();
        if suite == Suite::EcdheEcdsaAes128Ccm8 {
            connect.credential = lightship_dtls::Credential::RawPublicKey { key: own_key("device").key };
        }
        pair.connect(connect);
        pair.run();
        pair.assert_talks();
        // What an association has on the heap is what is freed with it.
        for from in [From::Client, From::Server] {
            let side = if from == From::Client { &mut pair.client } else { &mut pair.server };
            let association = side.association.take();
            assert!(association.is_some());
            let info = allocation_counter::measure(|| drop(association));
            assert_eq!(info.bytes_current, 0);
        }
    }
}
