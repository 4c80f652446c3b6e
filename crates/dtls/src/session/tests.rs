use alloc::vec;
use alloc::vec::Vec;

use lightship_platform::SeededRng;
use lightship_platform::crypto::RustCrypto;
use proptest::prelude::*;

use super::*;
use crate::Suite;
use crate::captures::{self, Capture};
use crate::record;

fn rng() -> SeededRng {
    SeededRng::new([7; 32])
}

fn terms(own: &[u8], peer: &[u8]) -> Terms {
    Terms {
        own_cid: Cid::new(own).unwrap(),
        peer_cid: Cid::new(peer).unwrap(),
        peer_limit: None,
        own_limit: None,
        return_routability: false,
    }
}

/// A client and a server with the same keys; `cids` are what server and client receive.
fn pair(suite: Suite, etm: bool, cids: (&[u8], &[u8])) -> (Session, Session) {
    let keys = |role| {
        Keys::derive(suite, etm, role, |block| {
            for (at, byte) in (1..).zip(block) {
                *byte = at;
            }
        })
    };
    let (server_cid, client_cid) = cids;
    (
        Session::new(keys(Role::Client), &terms(client_cid, server_cid)),
        Session::new(keys(Role::Server), &terms(server_cid, client_cid)),
    )
}

fn seal(session: &mut Session, content_type: ContentType, content: &[u8]) -> Vec<u8> {
    let mut buffer = vec![0xaa; content.len() + session.overhead_max()];
    let start = session.headroom();
    buffer[start..start + content.len()].copy_from_slice(content);
    let len = session.seal(&RustCrypto, &mut rng(), content_type, &mut buffer, content.len()).unwrap();
    buffer.truncate(len);
    buffer
}

fn open(session: &mut Session, wire: &[u8]) -> Result<(ContentType, Vec<u8>, bool), DropReason> {
    let mut datagram = wire.to_vec();
    let header = record::parse(&datagram, 0, session.own_cid().len())?;
    let opened = session.open(&RustCrypto, &mut datagram, &header)?;
    Ok((opened.content_type, datagram[opened.range].to_vec(), opened.newest))
}

/// Every protection with every combination of connection IDs.
fn everything() -> Vec<(Session, Session)> {
    let mut all = Vec::new();
    for suite in Suite::ALL {
        for etm in [false, true] {
            for cids in [
                (&b""[..], &b""[..]),
                (b"server", b""),
                (b"", b"device"),
                (b"12345678", b"1"),
                (b"a long connection ID", b"another long one"),
            ] {
                all.push(pair(suite, etm, cids));
            }
        }
    }
    all
}

fn receiver_of(capture: &Capture, sender: Role) -> Session {
    let role = sender.peer();
    let own = capture.cid(sender);
    let peer = capture.cid(role);
    Session::new(capture.keys(role), &terms(own.bytes(), peer.bytes()))
}

#[test]
fn an_established_session_takes_a_hundred_bytes() {
    assert!(size_of::<Session>() <= 96, "{}", size_of::<Session>());
    assert_eq!(size_of::<Option<Session>>(), size_of::<Session>());
}

/// Every record of every capture that is under keys opens to what was captured.
// Proves: DTL-15
#[test]
fn captured_records_open() {
    let mut opened = 0;
    for capture in captures::all() {
        let mut receivers = [receiver_of(&capture, Role::Client), receiver_of(&capture, Role::Server)];
        for record in capture.records() {
            let [by_client, by_server] = &mut receivers;
            let receiver = if record.sender == Role::Client { by_client } else { by_server };
            let header = record::parse(&record.wire, 0, receiver.own_cid().len()).expect("a record");
            assert_eq!((header.epoch(), header.sequence()), (record.epoch, record.sequence));
            assert_eq!(header.end(), record.wire.len());
            if record.epoch == 0 {
                assert_eq!(header.content_type as u8, record.content_type);
                continue;
            }
            let (content_type, plaintext, newest) = open(receiver, &record.wire).expect(capture.name);
            assert_eq!(content_type as u8, record.content_type, "{}", capture.name);
            assert_eq!(plaintext, record.plaintext, "{}", capture.name);
            assert!(newest);
            opened += 1;
        }
    }
    assert!(opened >= 50, "{opened} records");
}

/// With the captured nonce or IV, each record is sealed byte for byte.
// Proves: DTL-15
#[test]
fn captured_records_are_sealed_byte_for_byte() {
    let mut sealed = 0;
    for capture in captures::all() {
        for record in capture.records().filter(|record| record.epoch == EPOCH) {
            let keys = capture.keys(record.sender);
            let cid = capture.cid(record.sender);
            let header = record::parse(&record.wire, 0, cid.bytes().len()).expect("a record");
            let explicit = &record.wire[header.fragment.start..][..keys.explicit_len()];
            let sealing = Sealing {
                number: header.number,
                content_type: ContentType::from_number(record.content_type).expect("a type"),
                cid: cid.bytes(),
                explicit,
            };
            let start = header.fragment.start + explicit.len();
            let mut buffer = vec![0xaa; record.wire.len()];
            buffer[start..start + record.plaintext.len()].copy_from_slice(&record.plaintext);
            let len = keys.seal(&RustCrypto, &sealing, &mut buffer, record.plaintext.len());
            assert_eq!(len, Some(record.wire.len()), "{}", capture.name);
            assert_eq!(buffer, record.wire, "{}", capture.name);
            sealed += 1;
        }
    }
    assert!(sealed >= 50, "{sealed} records");
}

/// What one side seals the other opens, with and without connection IDs, also in one direction only.
// Proves: DTL-15
#[test]
fn both_sides_understand_each_other_in_every_suite() {
    for (mut client, mut server) in everything() {
        for len in [0, 1, 15, 16, 17, 31, 32, 33, 255, 256, 1024, PLAIN_LEN_MAX - 1] {
            let content: Vec<u8> = (0..len).map(|at| u8::try_from(at % 251).unwrap()).collect();
            let wire = seal(&mut client, ContentType::ApplicationData, &content);
            assert_eq!(wire[0] == 25, !server.own_cid().is_empty());
            assert!(wire.len() <= len + client.overhead_max());
            assert_eq!(
                open(&mut server, &wire),
                Ok((ContentType::ApplicationData, content.clone(), true)),
                "{client:?} {len}"
            );
            let wire = seal(&mut server, ContentType::Handshake, &content);
            assert_eq!(open(&mut client, &wire), Ok((ContentType::Handshake, content, true)));
        }
    }
}

// Proves: DTL-15
#[test]
fn a_record_without_the_agreed_connection_id_is_dropped() {
    let (mut client, mut server) = pair(Suite::PskAes128Ccm8, false, (b"server", b""));
    let good = seal(&mut client, ContentType::ApplicationData, b"data");
    let mut other = good.clone();
    other[11] ^= 1;
    assert_eq!(open(&mut server, &other), Err(DropReason::ConnectionId));
    let (mut plain, _) = pair(Suite::PskAes128Ccm8, false, (b"", b""));
    let without = seal(&mut plain, ContentType::ApplicationData, b"data");
    assert_eq!(open(&mut server, &without), Err(DropReason::ConnectionId));
    assert_eq!(server.failures(), 0);
    assert!(open(&mut server, &good).is_ok());
    // And one with a connection ID where none was agreed upon.
    let (_, mut without) = pair(Suite::PskAes128Ccm8, false, (b"", b""));
    assert_eq!(open(&mut without, &good), Err(DropReason::ConnectionId));
}

/// `content | type | zeros`: the zeros go, a record of nothing but zeros is no record (RFC 9146 §4).
// Proves: DTL-15
#[test]
fn padding_behind_the_inner_type_is_taken_off() {
    for (inner, expected) in [
        (&b"data\x17"[..], Ok((ContentType::ApplicationData, b"data".to_vec()))),
        (b"data\x17\0\0\0\0", Ok((ContentType::ApplicationData, b"data".to_vec()))),
        (b"\0\0\x17", Ok((ContentType::ApplicationData, vec![0, 0]))),
        (b"\x15", Ok((ContentType::Alert, vec![]))),
        (b"\0\0\0\0", Err(DropReason::Malformed)),
        (b"", Err(DropReason::Malformed)),
        (b"data\x19", Err(DropReason::Malformed)),
        (b"data\x99", Err(DropReason::Malformed)),
    ] {
        let (client, mut server) = pair(Suite::PskAes128Ccm8, false, (b"server", b""));
        let Keys::Aead { aead, block, .. } = &client.keys else { panic!("an AEAD") };
        let number = (1_u64 << 48).to_be_bytes();
        let mut body = inner.to_vec();
        let mut nonce = [0; 12];
        nonce[..4].copy_from_slice(&block[32..36]);
        nonce[4..].copy_from_slice(&number);
        let mut aad = vec![0xff; 8];
        aad.extend_from_slice(&[25, 6, 25, 0xfe, 0xfd]);
        aad.extend_from_slice(&number);
        aad.extend_from_slice(b"server");
        aad.extend_from_slice(&u16::try_from(inner.len()).unwrap().to_be_bytes());
        let tag = RustCrypto.seal(*aead, &block[..16], &nonce, &aad, &mut body).unwrap();
        let mut wire = vec![0; 32];
        let fragment_len = 8 + body.len() + 8;
        let len =
            record::write_header(&mut wire, ContentType::Cid, 1 << 48, b"server", fragment_len).unwrap();
        wire.truncate(len);
        wire.extend_from_slice(&number);
        wire.extend_from_slice(&body);
        wire.extend_from_slice(&tag[..8]);
        let result = open(&mut server, &wire).map(|(content_type, content, _)| (content_type, content));
        assert_eq!(result, expected, "{inner:?}");
        // Authentic either way, so that it is not taken twice.
        assert_eq!(open(&mut server, &wire), Err(DropReason::Replayed));
    }
}

// Proves: DTL-11
#[test]
fn a_record_is_taken_once_and_late_ones_are_not_the_newest() {
    for (mut client, mut server) in everything() {
        let wires: Vec<_> =
            (0..70_u8).map(|at| seal(&mut client, ContentType::ApplicationData, &[at])).collect();
        assert!(open(&mut server, &wires[69]).unwrap().2, "the newest");
        assert!(!open(&mut server, &wires[60]).unwrap().2, "a late one");
        for at in [69, 60] {
            assert_eq!(open(&mut server, &wires[at]), Err(DropReason::Replayed));
        }
        assert_eq!(open(&mut server, &wires[5]), Err(DropReason::Replayed), "too old to tell");
        assert!(open(&mut server, &wires[6]).is_ok(), "the oldest that is remembered");
    }
}

#[test]
fn a_record_of_another_epoch_is_dropped() {
    let (mut client, mut server) = pair(Suite::PskAes128Ccm8, false, (b"", b""));
    let mut wire = seal(&mut client, ContentType::ApplicationData, b"data");
    wire[4] = 2;
    assert_eq!(open(&mut server, &wire), Err(DropReason::Epoch));
    wire[4] = 0;
    assert_eq!(open(&mut server, &wire), Err(DropReason::Epoch));
}

#[test]
fn a_peer_is_not_sent_more_than_it_takes() {
    let keys = Keys::derive(Suite::PskAes128Ccm8, false, Role::Client, |_| {});
    let mut session = Session::new(
        keys,
        &Terms { peer_limit: Some(512), peer_cid: Cid::new(b"id").unwrap(), ..terms(b"", b"") },
    );
    assert_eq!(session.content_len_max(), 511);
    let mut buffer = [0; 1024];
    let sealed = session.seal(&RustCrypto, &mut rng(), ContentType::ApplicationData, &mut buffer, 512);
    assert_eq!(sealed, Err(SealError::TooLong));
    let sealed = session.seal(&RustCrypto, &mut rng(), ContentType::ApplicationData, &mut buffer, 511);
    assert!(sealed.is_ok());
}

#[test]
fn a_record_longer_than_we_take_is_dropped() {
    for (suite, etm, cid) in [
        (Suite::PskAes128Ccm8, false, &b""[..]),
        (Suite::PskAes128Gcm, false, b"id"),
        (Suite::PskAes128Cbc, true, b"id"),
    ] {
        let (mut client, mut server) = pair(suite, etm, (cid, b""));
        server.own = OwnTerms::new(512, false);
        let long = seal(&mut client, ContentType::ApplicationData, &[7; 513]);
        assert_eq!(open(&mut server, &long), Err(DropReason::TooLong));
        assert_eq!(open(&mut server, &long), Err(DropReason::Replayed), "it was authentic");
        let fits = seal(&mut client, ContentType::ApplicationData, &[7; 512]);
        assert!(open(&mut server, &fits).is_ok());
    }
}

#[test]
fn a_buffer_without_room_costs_no_number() {
    for (mut client, mut server) in everything() {
        let need = seal(&mut client, ContentType::ApplicationData, b"data").len();
        for room in 0..need {
            let mut buffer = vec![0; room];
            let sealed = client.seal(&RustCrypto, &mut rng(), ContentType::ApplicationData, &mut buffer, 4);
            assert_eq!(sealed, Err(SealError::TooLong), "{room} bytes");
        }
        let wire = seal(&mut client, ContentType::ApplicationData, b"data");
        let header = record::parse(&wire, 0, server.own_cid().len()).unwrap();
        assert_eq!(header.sequence(), 1);
        assert!(open(&mut server, &wire).is_ok());
    }
}

/// Keys wear by what they seal; at the end nothing is sealed, so that no number comes twice.
// Proves: DTL-21
#[test]
fn keys_are_renewed_before_their_limit() {
    for (suite, limit) in [
        (Suite::PskAes128Ccm8, 1 << 23),
        (Suite::PskAes128Ccm, 1 << 23),
        (Suite::PskAes128Gcm, 23_726_566),
        (Suite::PskAes128Cbc, 1 << 48),
    ] {
        let (mut client, _) = pair(suite, false, (b"", b""));
        assert_eq!(client.wear(u64::MAX), Wear::Fresh);
        client.next_sequence = limit / 4 * 3 - 1;
        assert_eq!((client.wear(u64::MAX), client.wear(limit / 2)), (Wear::Fresh, Wear::Out));
        client.next_sequence = limit / 4 * 3;
        assert_eq!(client.wear(u64::MAX), Wear::Worn);
        client.next_sequence = limit - 1;
        seal(&mut client, ContentType::ApplicationData, b"the last");
        assert_eq!(client.wear(u64::MAX), Wear::Out);
        let mut buffer = [0; 256];
        let sealed = client.seal(&RustCrypto, &mut rng(), ContentType::ApplicationData, &mut buffer, 1);
        assert_eq!(sealed, Err(SealError::Exhausted));
    }
}

/// Failures are counted per key; they raise an alarm early and end the keys only where the algorithm asks for it.
// Proves: DTL-21
#[test]
fn failures_are_counted_and_do_not_end_the_session_soon() {
    let (mut client, mut server) = pair(Suite::PskAes128Ccm8, false, (b"", b""));
    let good = seal(&mut client, ContentType::ApplicationData, b"data");
    let mut forged = good.clone();
    *forged.last_mut().unwrap() ^= 1;
    for _ in 0..128 {
        assert_eq!(open(&mut server, &forged), Err(DropReason::BadMac));
    }
    assert_eq!((server.failures(), server.wear(u64::MAX)), (128, Wear::Suspicious));
    assert!(open(&mut server, &good).is_ok());
    server.failures = 11_863_283 / 4 * 3;
    assert_eq!(server.wear(u64::MAX), Wear::Worn);
    server.failures = 11_863_283;
    assert_eq!(server.wear(u64::MAX), Wear::Out);
    let good = seal(&mut client, ContentType::ApplicationData, b"data");
    assert_eq!(open(&mut server, &good), Err(DropReason::BadMac));
}

#[test]
fn a_thawed_session_goes_on_where_the_frozen_one_stopped() {
    for (mut client, mut server) in everything() {
        let old = seal(&mut client, ContentType::ApplicationData, b"before");
        open(&mut server, &old).unwrap();
        seal(&mut server, ContentType::ApplicationData, b"unheard");
        let _ = open(&mut server, &[&old[..old.len() - 1], &[0]].concat());
        server.peer_limit = 600;
        server.own = OwnTerms::new(700, true);
        let failures = server.failures();
        let frozen = server.freeze();
        assert!(frozen.len() <= 38 + 40 + 96);
        let mut thawed = Session::thaw(&frozen).expect("what was frozen");
        assert_eq!(thawed.failures(), failures);
        assert_eq!(thawed.peer_limit, 600);
        assert_eq!((thawed.return_routability(), thawed.own.limit()), (true, 700));
        assert_eq!(open(&mut thawed, &old), Err(DropReason::Replayed));
        let wire = seal(&mut client, ContentType::ApplicationData, b"after");
        assert!(open(&mut thawed, &wire).is_ok());
        let wire = seal(&mut thawed, ContentType::ApplicationData, b"answer");
        let header = record::parse(&wire, 0, client.own_cid().len()).unwrap();
        assert_eq!(header.sequence(), 1, "no number comes twice");
        assert!(open(&mut client, &wire).is_ok());
    }
}

#[test]
fn only_whole_frozen_sessions_thaw() {
    let (client, _) = pair(Suite::PskAes128Ccm8, false, (b"server", b""));
    let frozen = client.freeze();
    for len in 0..frozen.len() {
        assert!(Session::thaw(&frozen[..len]).is_none(), "{len} bytes");
    }
    assert!(Session::thaw(&[&frozen[..], &[0]].concat()).is_none());
    for (at, value) in [(0, 1), (0, 3), (1, 5), (2, 2), (3, 2), (4, 0xff)] {
        let mut other = frozen.clone();
        other[at] = value;
        assert!(Session::thaw(&other).is_none(), "byte {at} = {value}");
    }
}

#[test]
fn no_key_is_printed() {
    for capture in captures::all() {
        let block = capture.bytes("key_block").unwrap();
        let session = receiver_of(&capture, Role::Client);
        let printed = alloc::format!("{session:?}");
        for key in block.windows(2) {
            assert!(!printed.contains(&alloc::format!("{}, {}", key[0], key[1])), "{printed}");
        }
        assert!(printed.len() < 300, "{printed}");
    }
}

proptest! {
    /// Whatever happens to a record on its way, it is not taken, and the session is as before but for the count of failures.
    // Proves: DTL-11
    #[test]
    fn forged_and_cut_records_change_nothing(
        which in 0_usize..120,
        len in 0_usize..300,
        flips in prop::collection::vec((any::<prop::sample::Index>(), 1_u8..=255), 1..4),
        cut in any::<prop::sample::Index>(),
        cuts in any::<bool>(),
    ) {
        let (mut client, mut server) = everything().swap_remove(which);
        let first = seal(&mut client, ContentType::ApplicationData, b"first");
        open(&mut server, &first).unwrap();
        let good = seal(&mut client, ContentType::ApplicationData, &vec![0x55; len]);
        let mut bad = good.clone();
        if cuts {
            bad.truncate(cut.index(good.len()));
        } else {
            for (at, flip) in flips {
                bad[at.index(good.len())] ^= flip;
            }
        }
        prop_assume!(bad != good);
        let window = server.window.clone();
        let failures = server.failures;
        let result = open(&mut server, &bad);
        prop_assert!(result.is_err(), "{result:?}");
        prop_assert_eq!(&server.window, &window);
        prop_assert_eq!(server.next_sequence, 0);
        prop_assert_eq!(server.failures - failures, u32::from(result == Err(DropReason::BadMac)));
        prop_assert_eq!(open(&mut server, &good).unwrap().1, vec![0x55; len]);
    }

    #[test]
    fn any_bytes_at_all_are_dropped(
        which in 0_usize..120,
        bytes in prop::collection::vec(any::<u8>(), 0..200),
        head in prop::sample::select(vec![20_u8, 21, 22, 23, 25, 27]),
        shaped in any::<bool>(),
    ) {
        let (_, mut server) = everything().swap_remove(which);
        let mut bytes = bytes;
        if shaped && bytes.len() > 40 {
            let cid = server.own_cid().to_vec();
            let len = bytes.len() - 13 - if head == 25 { cid.len() } else { 0 };
            let content_type = ContentType::from_number(head).unwrap();
            record::write_header(&mut bytes, content_type, 1 << 48, &cid, len).unwrap();
        }
        prop_assert!(open(&mut server, &bytes).is_err());
        prop_assert_eq!(server.window, Window::default());
    }

    #[test]
    fn thawing_any_bytes_is_harmless(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        let _ = Session::thaw(&bytes);
    }
}

#[test]
fn the_longest_records_pass() {
    let (mut client, mut server) = pair(Suite::PskAes128Cbc, false, (b"", b""));
    let wire = seal(&mut client, ContentType::ApplicationData, &[7; PLAIN_LEN_MAX]);
    assert_eq!(open(&mut server, &wire).unwrap().1.len(), PLAIN_LEN_MAX);
}
