//! A client and a server of ours, back to back.

#![allow(missing_docs, clippy::unwrap_used, clippy::wildcard_enum_match_arm, reason = "tests")]

mod cookies;
mod established;
mod harness;
mod memory;
mod refusals;
mod resumption;
mod sizes;
mod storms;

use harness::{From, own_key, pair, psk_connect};
use lightship_dtls::{Alert, Association, Cid, Credential, DropReason, Failure, Fault, Suite};
use lightship_platform::crypto::Group;

#[test]
fn a_pre_shared_key_opens_a_session() {
    for suite in [Suite::PskAes128Ccm8, Suite::PskAes128Ccm, Suite::PskAes128Gcm, Suite::PskAes128Cbc] {
        let mut pair = pair(suite);
        pair.server_cid = Cid::new(&[1, 2, 3, 4, 5, 6]).unwrap();
        pair.connect(psk_connect());
        pair.run();
        pair.assert_talks();
        let facts = pair.server.facts().unwrap();
        assert_eq!(facts.suite, suite);
        assert_eq!(*facts.note, *b"note");
        assert_eq!(facts.server_name.as_deref(), Some("lightship.example"));
        assert_eq!(facts.own_cid, Some(pair.server_cid));
        assert!(facts.extended_master_secret);
        // Hello, request, hello with cookie, hello, two finished and two of data.
        assert_eq!(pair.log.len(), 8);
        assert_eq!(pair.log[6].0, From::Client);
        assert_eq!(pair.log[6].1[0], 25);
    }
}

// Proves: DTL-13
#[test]
fn several_messages_may_share_a_record() {
    for suite in [Suite::PskAes128Ccm8, Suite::EcdheEcdsaAes128Ccm8] {
        let mut pair = pair(suite);
        pair.server.config.keys = vec![own_key("lightship.example")];
        let mut connect = psk_connect();
        if suite == Suite::EcdheEcdsaAes128Ccm8 {
            connect.credential = Credential::RawPublicKey { key: own_key("device").key };
        }
        pair.tamper = Some(Box::new(|_, datagram| *datagram = merged(datagram)));
        pair.connect(connect);
        pair.run();
        pair.assert_talks();
    }
}

/// The datagram with all handshake messages without protection in its first record.
fn merged(datagram: &[u8]) -> Vec<u8> {
    let mut merged: Vec<u8> = Vec::new();
    let mut rest = datagram;
    while rest.len() > 13 && rest[0] == 22 && rest[4] == 0 {
        let len = usize::from(u16::from_be_bytes([rest[11], rest[12]]));
        let (record, after) = rest.split_at(13 + len);
        merged.extend_from_slice(if merged.is_empty() { record } else { &record[13..] });
        rest = after;
    }
    if let Some(len) = merged.len().checked_sub(13) {
        merged[11..13].copy_from_slice(&u16::try_from(len).unwrap().to_be_bytes());
    }
    merged.extend_from_slice(rest);
    merged
}

#[test]
fn either_group_will_do_and_one_must_be_common() {
    let (p256, x25519) = (Group::Secp256r1, Group::X25519);
    let table = [
        (vec![x25519], vec![p256, x25519], true),
        (vec![p256], vec![x25519, p256], true),
        (vec![x25519, p256], vec![x25519], true),
        (vec![x25519], vec![p256], false),
    ];
    for (client, server, is_common) in table {
        for suite in [Suite::EcdhePskAes128Ccm8, Suite::EcdheEcdsaAes128Ccm8] {
            let mut pair = pair(suite);
            pair.client.config.groups.clone_from(&client);
            pair.server.config.groups.clone_from(&server);
            pair.server.config.keys = vec![own_key("lightship.example")];
            let mut connect = psk_connect();
            if suite == Suite::EcdheEcdsaAes128Ccm8 {
                connect.credential = Credential::RawPublicKey { key: own_key("device").key };
            }
            pair.connect(connect);
            pair.run();
            assert_eq!(pair.client.is_established(), is_common);
            if is_common {
                pair.assert_talks();
            } else {
                let alert = Alert::HANDSHAKE_FAILURE;
                let failure = Failure::AlertSent(alert, Fault::NothingInCommon);
                assert_eq!(pair.server.failure(), Some(failure));
            }
        }
    }
}

// Proves: DTL-14
#[test]
fn a_record_above_the_limit_that_was_announced_is_dropped() {
    for (record_size_limit, max_fragment_len, most) in [(Some(100), None, 100), (None, Some(512), 512)] {
        let mut pair = pair(Suite::PskAes128Ccm8);
        pair.client.config.record_size_limit = record_size_limit;
        pair.client.config.max_fragment_len = max_fragment_len;
        pair.connect(psk_connect());
        pair.run();
        pair.assert_talks();
        // A server that does not keep to it: what it has agreed to stands behind its counters.
        let mut frozen = pair.server.association.take().and_then(Association::freeze).unwrap();
        assert_eq!(frozen[32..34], u16::to_be_bytes(most));
        frozen[32..34].copy_from_slice(&16_000_u16.to_be_bytes());
        pair.server.association = Association::thaw(&frozen);
        pair.send(From::Server, &vec![1; usize::from(most) + 1]);
        pair.run();
        assert_eq!(pair.client.dropped, [DropReason::TooLong]);
        pair.send(From::Server, &vec![1; usize::from(most)]);
        pair.run();
        assert_eq!(pair.client.received.last().map(Vec::len), Some(most.into()));
    }
}

// Proves: DTL-14
#[test]
fn a_limit_of_records_is_kept_by_the_other_side() {
    let table = [(Some(100), None, 100), (Some(100), Some(512), 100), (None, Some(512), 512)];
    for (record_size_limit, max_fragment_len, most) in table {
        for suite in [Suite::EcdheEcdsaAes128Ccm8, Suite::PskAes128Cbc] {
            let mut pair = pair(suite);
            pair.server.config.keys = vec![own_key("lightship.example")];
            pair.client.config.record_size_limit = record_size_limit;
            pair.client.config.max_fragment_len = max_fragment_len;
            let mut connect = psk_connect();
            if suite == Suite::EcdheEcdsaAes128Ccm8 {
                let device = own_key("device");
                connect.credential = Credential::Certificates { key: device.key, chain: device.chain };
            }
            pair.connect(connect);
            pair.run();
            pair.assert_talks();
            assert_eq!(pair.server.association.as_ref().unwrap().data_len_max(), most);
            // The fragment length holds for the handshake as well (RFC 6066 §4), the record limit for what is protected.
            if let (None, Some(limit)) = (record_size_limit, max_fragment_len) {
                for (_, datagram) in pair.log.iter().filter(|(from, _)| *from == From::Server) {
                    let mut rest = &datagram[..];
                    while rest.len() > 13 && rest[0] == 22 && rest[4] == 0 {
                        let len = u16::from_be_bytes([rest[11], rest[12]]);
                        assert!(len <= limit);
                        rest = &rest[13 + usize::from(len)..];
                    }
                }
            }
        }
    }
}
