//! Every suite with every kind of credential through every size of datagram, each in a storm of its own.

use std::collections::BTreeSet;
use std::ops::RangeInclusive;

use lightship_dtls::{CertificateType, KeyExchange, Suite};

use crate::harness::{Pair, Suffered, Weather};
use crate::storms::{CIDS, RESUMES, Scene, plain, play_all};

/// Bytes, of both sides.
const SIZES: RangeInclusive<usize> = 200..=1400;

/// A scene for this size and suite: how it resumes, with which connection IDs, and what becomes of each datagram.
fn scene(size: usize, nth: usize, suite: Suite, certificates: bool) -> Scene {
    let seed = (size * Suite::ALL.len() + nth) * 2 + usize::from(certificates);
    Scene {
        certificates,
        // Longer than any datagram of the sweep.
        chain_len: if certificates { 5 } else { 1 },
        client_authentication: size % 4 != 3,
        resume: RESUMES[(size + nth) % RESUMES.len()],
        cids: CIDS[(size / 3 + nth) % CIDS.len()],
        client_datagram: size,
        server_datagram: size,
        is_lazy: size.is_multiple_of(5),
        weather: Weather { seed: seed as u64, troubled: 40, loss: 25, duplicate: 25, reorder: 4 },
        ..plain(suite)
    }
}

/// Whether a message that can be read came in pieces: a handshake record of the first epoch that does not hold the whole.
fn is_fragmented(pair: &Pair) -> bool {
    pair.log.iter().any(|(_, datagram)| {
        let mut rest = &datagram[..];
        while rest.len() > 25 && rest[0] == 22 && rest[3..5] == [0, 0] {
            if rest[14..17] != rest[22..25] {
                return true;
            }
            rest = &rest[13 + usize::from(u16::from_be_bytes([rest[11], rest[12]]))..];
        }
        false
    })
}

/// Plays every size with every suite of this kind of credential, and asserts that nothing was left out.
fn sweep(key_exchange: KeyExchange, certificates: bool) {
    let suites = Suite::ALL.map(|suite| (suite.key_exchange() == key_exchange).then_some(suite));
    let suites: Vec<Suite> = suites.into_iter().flatten().collect();
    let mut finished = BTreeSet::new();
    let mut troubles = Suffered::default();
    for size in SIZES {
        let mut here = Suffered::default();
        for (nth, suite) in suites.iter().enumerate() {
            let scene = scene(size, nth, *suite, certificates);
            // Both sides are established, say the same of their session and hear each other, or it panics.
            let pair = play_all(&scene);
            let (client, server) = (pair.client.facts().unwrap(), pair.server.facts().unwrap());
            assert!(pair.log.iter().all(|(_, datagram)| datagram.len() <= size), "{scene:?}");
            if certificates {
                assert_eq!(client.peer_certificate_type, Some(CertificateType::X509));
                assert!(is_fragmented(&pair), "a chain longer than a datagram goes in pieces: {scene:?}");
            }
            here.add(pair.suffered);
            finished.insert((size, server.suite.number()));
        }
        assert!(here.lost > 0 && here.doubled > 0, "no storm at {size}: {here:?}");
        troubles.add(here);
    }
    // The sweep itself: four suites have this kind of key exchange, and each met each size; in all 19,216 scenes.
    assert_eq!(suites.len(), 4);
    assert_eq!(finished.len(), SIZES.count() * suites.len());
    assert_eq!(finished.len(), 4804);
    // Whole flights fit into one large datagram, and then there is nothing to overtake: once for each size is what the small ones bring.
    assert!(troubles.overtaken as usize > SIZES.count(), "{troubles:?}");
}

// Proves: DTL-01, DTL-13
#[test]
fn pre_shared_keys_open_sessions_at_every_size_of_datagram_in_storms() {
    sweep(KeyExchange::Psk, false);
}

// Proves: DTL-01, DTL-13
#[test]
fn pre_shared_keys_with_ephemeral_ones_open_sessions_at_every_size_of_datagram_in_storms() {
    sweep(KeyExchange::EcdhePsk, false);
}

// Proves: DTL-01, DTL-13
#[test]
fn raw_public_keys_open_sessions_at_every_size_of_datagram_in_storms() {
    sweep(KeyExchange::EcdheEcdsa, false);
}

// Proves: DTL-01, DTL-13
#[test]
fn certificates_open_sessions_at_every_size_of_datagram_in_storms() {
    sweep(KeyExchange::EcdheEcdsa, true);
}
