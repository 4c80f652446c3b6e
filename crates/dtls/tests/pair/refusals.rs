//! What must not lead to a session.

use std::time::Duration;

use lightship_dtls::message::Fragment;
use lightship_dtls::{
    Alert, Answer, Config, Connect, Credential, DropReason, Failure, Fault, KeyExchange, OwnKey, Presented,
    Suite,
};
use lightship_platform::Rng;
use lightship_platform::crypto::{CryptoError, Secret, SigningKey};
use proptest::prelude::*;
use proptest::sample::select;

use crate::harness::{From, IDENTITY, KEY, Pair, Tamper, own_key, pair, psk_connect};

const CLIENT_HELLO: u8 = 1;
const SERVER_HELLO: u8 = 2;

/// Runs until nothing is left to happen.
fn run_out(pair: &mut Pair) {
    for _ in 0..200 {
        pair.run();
        if pair.client.failure().is_some()
            && (pair.server.failure().is_some() || pair.server.association.is_none())
        {
            return;
        }
        if !pair.wait() {
            return;
        }
    }
}

fn impatient(suite: Suite) -> Pair {
    let mut pair = pair(suite);
    for side in [&mut pair.client, &mut pair.server] {
        side.config.retransmit_count = 2;
        side.config.handshake_time = Duration::from_secs(60);
    }
    pair
}

/// Changes the body of every message of this kind, wherever it is sent; bodies keep their length.
fn on_message(from: From, kind: u8, mut change: impl FnMut(&mut [u8]) + 'static) -> Tamper {
    Box::new(move |sender, datagram| {
        let mut at = 0;
        while sender == from && datagram.len() > at + 25 && datagram[at] == 22 && datagram[at + 4] == 0 {
            let len = usize::from(u16::from_be_bytes([datagram[at + 11], datagram[at + 12]]));
            let end = at + 13 + len;
            if datagram[at + 13] == kind {
                change(&mut datagram[at + 25..end]);
            }
            at = end;
        }
    })
}

#[test]
fn a_wrong_key_opens_nothing() {
    let mut pair = pair(Suite::PskAes128Ccm8);
    let credential = Credential::Psk { identity: IDENTITY.into(), key: Secret::new(b"another") };
    pair.connect(Connect { credential, ..psk_connect() });
    pair.run();
    // One Finished that does not authenticate may be anybody's.
    assert_eq!((pair.client.failure(), pair.server.failure()), (None, None));
    assert!(pair.wait());
    pair.run();
    let alert = Alert::DECRYPT_ERROR;
    assert_eq!(pair.server.failure(), Some(Failure::AlertSent(alert, Fault::BadFinished)));
    assert_eq!(pair.client.failure(), Some(Failure::AlertReceived(alert)));
    assert!(!pair.client.is_established() && !pair.server.is_established());
}

fn identify(identity: &[u8], key: &[u8]) -> Pair {
    let mut pair = impatient(Suite::PskAes128Ccm8);
    pair.client.config.datagram_len_max = 1200;
    let credential = Credential::Psk { identity: identity.into(), key: Secret::new(key) };
    pair.connect(Connect { credential, ..psk_connect() });
    run_out(&mut pair);
    pair
}

// Proves: DTL-10
#[test]
fn an_unknown_identity_is_told_so() {
    let alert = Alert::UNKNOWN_PSK_IDENTITY;
    for identity in [&b"stranger"[..], b"", b"urn:dev:1\0", b"URN:DEV:1", &[b'x'; 129]] {
        let pair = identify(identity, KEY);
        assert_eq!(pair.server.failure(), Some(Failure::AlertSent(alert, Fault::Refused)));
        assert_eq!(pair.client.failure(), Some(Failure::AlertReceived(alert)));
        assert!(pair.client.resumption().is_none());
    }
    // Longer than any message may be.
    let pair = identify(&[b'x'; 65_535], KEY);
    assert_eq!(pair.server.failure(), Some(Failure::AlertSent(Alert::DECODE_ERROR, Fault::BadMessage)));
}

// Proves: DTL-03
#[test]
fn identities_of_128_and_keys_of_64_bytes_are_compared_byte_by_byte() {
    let identity: Vec<u8> = (0..128).collect();
    let key: Vec<u8> = (100..164).collect();
    for suite in [Suite::PskAes128Ccm8, Suite::EcdhePskAes128Gcm] {
        for change in [false, true] {
            let mut pair = impatient(suite);
            let (known, mut secret) = (identity.clone(), key.clone());
            secret[63] ^= u8::from(change);
            pair.server.judge = Box::new(move |presented| match presented {
                Presented::PskIdentity(identity) if **identity == known => {
                    Answer::Psk { key: Secret::new(&secret), note: Box::default() }
                }
                _ => Answer::Refuse(Alert::UNKNOWN_PSK_IDENTITY),
            });
            let credential = Credential::Psk { identity: identity.clone().into(), key: Secret::new(&key) };
            pair.connect(Connect { credential, ..psk_connect() });
            run_out(&mut pair);
            assert_eq!(pair.client.is_established(), !change);
            assert_eq!(pair.server.is_established(), !change);
        }
    }
}

#[test]
fn an_empty_key_is_no_key() {
    let pair = identify(IDENTITY, b"");
    let failure = Failure::AlertSent(Alert::HANDSHAKE_FAILURE, Fault::NothingInCommon);
    assert_eq!(pair.client.failure(), Some(failure));
    assert!(pair.log.is_empty());
    let mut pair = pair_with_empty_store();
    pair.connect(psk_connect());
    pair.run();
    let alert = Alert::UNKNOWN_PSK_IDENTITY;
    assert_eq!(pair.server.failure(), Some(Failure::AlertSent(alert, Fault::Refused)));
}

fn pair_with_empty_store() -> Pair {
    let mut pair = pair(Suite::PskAes128Ccm8);
    pair.server.judge = Box::new(|_| Answer::Psk { key: Secret::new(b""), note: Box::default() });
    pair
}

// Proves: DTL-02
#[test]
fn cbc_is_used_only_where_it_is_switched_on() {
    let suites = Config::default().suites;
    assert!(suites.contains(&Suite::PskAes128Ccm8));
    assert!(suites.iter().all(|suite| suite.aead().is_some()));
    // A client does not offer it, a server does not take it.
    let mut pair = impatient(Suite::PskAes128Cbc);
    pair.server.config.suites = suites;
    pair.connect(psk_connect());
    run_out(&mut pair);
    let failure = Failure::AlertSent(Alert::HANDSHAKE_FAILURE, Fault::NothingInCommon);
    assert_eq!(pair.server.failure(), Some(failure));
    assert_eq!(pair.client.failure(), Some(Failure::AlertReceived(Alert::HANDSHAKE_FAILURE)));
    // A server that has it switched on takes it from those who have nothing better.
    for suite in [Suite::PskAes128Cbc, Suite::PskAes128Ccm8] {
        let mut pair = pair_of(&[suite], &Suite::ALL);
        pair.connect(psk_connect());
        pair.run();
        pair.assert_talks();
        assert_eq!(pair.server.facts().unwrap().suite, suite);
    }
}

fn pair_of(client: &[Suite], server: &[Suite]) -> Pair {
    let mut pair = pair(Suite::PskAes128Ccm8);
    pair.client.config.suites = client.to_vec();
    pair.server.config.suites = server.to_vec();
    pair
}

#[test]
fn a_version_below_1_2_is_refused_on_either_side() {
    let version = |body: &mut [u8]| body[1] = 0xff;
    let mut pair = impatient(Suite::PskAes128Ccm8);
    pair.tamper = Some(on_message(From::Client, CLIENT_HELLO, version));
    pair.connect(psk_connect());
    pair.run();
    let alert = Alert::PROTOCOL_VERSION;
    assert_eq!(pair.server.failure(), Some(Failure::AlertSent(alert, Fault::OldVersion)));
    assert_eq!(pair.client.failure(), Some(Failure::AlertReceived(alert)));
    let mut pair = impatient(Suite::PskAes128Ccm8);
    pair.tamper = Some(on_message(From::Server, SERVER_HELLO, version));
    pair.connect(psk_connect());
    pair.run();
    assert_eq!(pair.client.failure(), Some(Failure::AlertSent(alert, Fault::OldVersion)));
    assert_eq!(pair.server.failure(), Some(Failure::AlertReceived(alert)));
}

#[test]
fn a_hello_that_asks_for_what_is_not_offered_is_refused() {
    // Behind version, random, session ID and cookie.
    let suites_at = |body: &[u8]| 2 + 32 + 1 + 1 + usize::from(body[35]);
    let no_suite = move |body: &mut [u8]| {
        let at = suites_at(body);
        body[at + 2..at + 4].copy_from_slice(&[0, 1]);
    };
    let no_compression = move |body: &mut [u8]| {
        let at = suites_at(body);
        body[at + 7] = 1;
    };
    let bad_extensions = move |body: &mut [u8]| {
        let at = suites_at(body);
        body[at + 9] ^= 1;
    };
    let changes: [(Tamper, Alert, Fault); 3] = [
        (on_message(From::Client, CLIENT_HELLO, no_suite), Alert::HANDSHAKE_FAILURE, Fault::NothingInCommon),
        (on_message(From::Client, CLIENT_HELLO, no_compression), Alert::ILLEGAL_PARAMETER, Fault::BadMessage),
        (on_message(From::Client, CLIENT_HELLO, bad_extensions), Alert::DECODE_ERROR, Fault::BadMessage),
    ];
    for (tamper, alert, fault) in changes {
        let mut pair = impatient(Suite::PskAes128Ccm8);
        pair.tamper = Some(tamper);
        pair.connect(psk_connect());
        pair.run();
        assert_eq!(pair.server.failure(), Some(Failure::AlertSent(alert, fault)));
        assert_eq!(pair.client.failure(), Some(Failure::AlertReceived(alert)));
    }
}

// Proves: DTL-14
#[test]
fn an_answer_with_what_was_not_offered_is_refused() {
    let suite_at = |body: &[u8]| 2 + 32 + 1 + usize::from(body[34]);
    let other_suite = move |body: &mut [u8]| {
        let at = suite_at(body);
        body[at..at + 2].copy_from_slice(&Suite::PskAes128Gcm.number().to_be_bytes());
    };
    let compressed = move |body: &mut [u8]| {
        let at = suite_at(body);
        body[at + 2] = 1;
    };
    // The extended master secret becomes application-layer protocol negotiation.
    let other_extension = move |body: &mut [u8]| {
        let at = suite_at(body) + 5;
        assert_eq!(body[at..at + 2], [0, 23]);
        body[at + 1] = 16;
    };
    let changes: [(Tamper, Alert); 3] = [
        (on_message(From::Server, SERVER_HELLO, other_suite), Alert::ILLEGAL_PARAMETER),
        (on_message(From::Server, SERVER_HELLO, compressed), Alert::ILLEGAL_PARAMETER),
        (on_message(From::Server, SERVER_HELLO, other_extension), Alert::UNSUPPORTED_EXTENSION),
    ];
    for (tamper, alert) in changes {
        let mut pair = impatient(Suite::PskAes128Ccm8);
        pair.tamper = Some(tamper);
        pair.connect(psk_connect());
        pair.run();
        assert_eq!(pair.client.failure(), Some(Failure::AlertSent(alert, Fault::BadMessage)));
        assert_eq!(pair.server.failure(), Some(Failure::AlertReceived(alert)));
    }
}

// Proves: DTL-14
#[test]
fn the_extended_master_secret_is_demanded_where_it_was_or_must_be() {
    // Somebody takes it out of the hello, by another number.
    let strip = |body: &mut [u8]| {
        let at = body.windows(4).position(|four| four == [0, 23, 0, 0]).unwrap();
        body[at] = 0x7f;
    };
    let failure = Failure::AlertSent(Alert::HANDSHAKE_FAILURE, Fault::NoExtendedMasterSecret);
    let mut first = pair(Suite::PskAes128Ccm8);
    first.session_id = b"an id".to_vec();
    first.connect(psk_connect());
    first.run();
    let kept = first.server.resumption().cloned().unwrap();
    let mut second = pair(Suite::PskAes128Ccm8);
    let found = kept.clone();
    second.server.judge = Box::new(move |_| Answer::Resume(Some(found.clone())));
    second.tamper = Some(on_message(From::Client, CLIENT_HELLO, strip));
    second.connect(Connect { resume: Some(kept), ..psk_connect() });
    second.run();
    assert_eq!(second.server.failure(), Some(failure));
    for side in [From::Client, From::Server] {
        let mut pair = pair(Suite::PskAes128Ccm8);
        pair.client.config.require_extended_master_secret = side == From::Client;
        pair.server.config.require_extended_master_secret = side == From::Server;
        pair.tamper = Some(on_message(From::Client, CLIENT_HELLO, strip));
        pair.connect(psk_connect());
        pair.run();
        let failed = if side == From::Client { &pair.client } else { &pair.server };
        assert_eq!(failed.failure(), Some(failure));
    }
}

#[test]
fn a_client_gives_up_on_a_server_that_never_likes_its_cookie() {
    let mut pair = pair(Suite::PskAes128Ccm8);
    pair.connect(psk_connect());
    let (_, hello) = pair.wire.pop_front().unwrap();
    let mut cookies = 0;
    while pair.client.failure().is_none() {
        cookies += 1;
        assert!(cookies < 100);
        let mut request =
            vec![22, 0xfe, 0xff, 0, 0, 0, 0, 0, 0, 0, 0, 0, 17, 3, 0, 0, 5, 0, 0, 0, 0, 0, 0, 0, 5];
        request.extend_from_slice(&[0xfe, 0xff, 2, 0, cookies]);
        pair.deliver(From::Server, request);
    }
    assert!(pair.wire.len() < 8);
    let (_, again) = &pair.wire[0];
    assert!(again.len() > hello.len());
}

#[test]
fn nobody_waits_for_ever() {
    // A server that is silent.
    let mut pair = impatient(Suite::PskAes128Ccm8);
    pair.connect(psk_connect());
    let start = pair.now;
    let mut sent = Vec::new();
    loop {
        sent.extend(pair.wire.drain(..).map(|_| pair.now.saturating_duration_since(start).as_secs()));
        if !pair.wait() {
            break;
        }
    }
    assert_eq!(sent, [0, 1, 3]);
    assert_eq!(pair.client.failure(), Some(Failure::TimedOut));
    // A client that returns its cookie and is silent then.
    let mut pair = impatient(Suite::PskAes128Ccm8);
    pair.connect(psk_connect());
    pair.tamper = Some(Box::new(|from, datagram| {
        if from == From::Server && datagram[13] == SERVER_HELLO {
            datagram.clear();
        }
    }));
    run_out(&mut pair);
    assert_eq!(pair.server.failure(), Some(Failure::TimedOut));
    // A host that does not answer.
    let mut pair = impatient(Suite::PskAes128Ccm8);
    pair.is_lazy = true;
    pair.connect(psk_connect());
    while let Some((from, datagram)) = pair.wire.pop_front() {
        pair.deliver(from, datagram);
    }
    while pair.server.failure().is_none() {
        assert!(pair.wait());
    }
    assert_eq!(pair.server.failure(), Some(Failure::TimedOut));
}

// Proves: SEC-01
#[test]
fn no_data_passes_before_the_handshake_is_done() {
    let mut pair = pair(Suite::PskAes128Ccm8);
    pair.connect(psk_connect());
    let data = vec![23, 0xfe, 0xfd, 0, 0, 0, 0, 0, 0, 0, 9, 0, 2, b'h', b'i'];
    pair.deliver(From::Server, data.clone());
    assert_eq!(pair.client.dropped, [DropReason::Early]);
    for _ in 0..2 {
        let (from, datagram) = pair.wire.pop_front().unwrap();
        pair.deliver(from, datagram);
    }
    let (from, datagram) = pair.wire.pop_front().unwrap();
    pair.deliver(from, datagram);
    pair.deliver(From::Client, data);
    assert_eq!(pair.server.dropped, [DropReason::Early]);
    pair.run();
    pair.assert_talks();
    assert_eq!((pair.client.received.len(), pair.server.received.len()), (1, 1));
}

#[test]
fn certificates_without_measure_are_refused() {
    let suite = Suite::EcdheEcdsaAes128Ccm8;
    for (count, size) in [(11, 300), (1, 9000), (100, 300)] {
        let mut pair = impatient(suite);
        pair.server.config.keys = vec![own_key("lightship.example")];
        let device = own_key("device");
        let mut chain = vec![device.chain[0].clone(); count];
        let len = chain[0].len().max(size);
        chain[0].resize(len, 0);
        let credential = Credential::Certificates { key: device.key, chain };
        pair.connect(Connect { credential, ..psk_connect() });
        run_out(&mut pair);
        let alert = Alert::BAD_CERTIFICATE;
        assert_eq!(pair.server.failure(), Some(Failure::AlertSent(alert, Fault::BadMessage)));
        assert_eq!(pair.client.failure(), Some(Failure::AlertReceived(alert)));
    }
}

// Proves: DTL-04
#[test]
fn a_raw_public_key_is_presented_as_it_is_and_can_be_refused() {
    let suite = Suite::EcdheEcdsaAes128Ccm8;
    for refused in [From::Client, From::Server] {
        let mut pair = impatient(suite);
        let (device, server) = (own_key("device"), own_key("lightship.example"));
        let expect = |spki: &[u8], is_refused: bool| -> crate::harness::Judge {
            let spki = spki.to_vec();
            Box::new(move |presented| {
                assert_eq!(*presented, Presented::RawPublicKey(spki.clone().into()));
                match is_refused {
                    true => Answer::Refuse(Alert::ACCESS_DENIED),
                    false => Answer::Accept { note: Box::default() },
                }
            })
        };
        pair.client.judge = expect(server.key.public_key(), refused == From::Client);
        pair.server.judge = expect(device.key.public_key(), refused == From::Server);
        pair.server.config.keys = vec![server];
        pair.connect(Connect { credential: Credential::RawPublicKey { key: device.key }, ..psk_connect() });
        pair.run();
        let (judge, other) = match refused {
            From::Client => (&pair.client, &pair.server),
            From::Server => (&pair.server, &pair.client),
        };
        let alert = Alert::ACCESS_DENIED;
        assert_eq!(judge.failure(), Some(Failure::AlertSent(alert, Fault::Refused)));
        assert_eq!(other.failure(), Some(Failure::AlertReceived(alert)));
    }
}

// Proves: DTL-07
#[test]
fn the_name_that_a_client_asks_for_chooses_the_key() {
    let keys = [own_key("one.example"), own_key("*.two.example"), own_key("three.example")];
    let table = [
        ("one.example", 0),
        ("a.two.example", 1),
        ("A.Two.Example", 1),
        ("three.example", 2),
        ("two.example", 0),
        ("b.a.two.example", 0),
        ("unknown.example", 0),
    ];
    for (name, index) in table {
        let mut pair = pair(Suite::EcdheEcdsaAes128Gcm);
        pair.server.config.keys = keys.to_vec();
        let device = own_key("device");
        let credential = Credential::Certificates { key: device.key, chain: device.chain };
        pair.connect(Connect { credential, server_name: Some(name.into()), ..psk_connect() });
        pair.run();
        pair.assert_talks();
        let shown = pair.client.events.iter().find_map(|event| match event {
            lightship_dtls::Event::Ask(Presented::Certificates(chain)) => Some(chain[0].to_vec()),
            _ => None,
        });
        assert_eq!(shown.as_ref(), keys[index].chain.first(), "{name}");
        assert_eq!(pair.server.facts().unwrap().server_name.as_deref(), Some(name));
    }
}

#[test]
fn what_comes_after_the_handshake_without_protection_changes_nothing() {
    let mut pair = pair(Suite::PskAes128Ccm8);
    pair.connect(psk_connect());
    pair.run();
    pair.assert_talks();
    let everything: Vec<(From, Vec<u8>)> = pair.log.clone();
    for text in [[2, 40], [1, 0]] {
        let mut alert = vec![21, 0xfe, 0xfd, 0, 0, 0, 0, 0, 0, 0, 9, 0, 2];
        alert.extend_from_slice(&text);
        pair.deliver(From::Client, alert.clone());
        pair.deliver(From::Server, alert);
    }
    assert_eq!(pair.server.dropped, [DropReason::Alert; 2]);
    assert_eq!(pair.client.dropped, [DropReason::Alert; 2]);
    // All that was ever said, said again; no record under the keys counts twice.
    for (from, datagram) in everything {
        pair.deliver(from, datagram);
    }
    assert_eq!((pair.client.received.len(), pair.server.received.len()), (1, 1));
    assert!(pair.server.dropped.contains(&DropReason::Replayed));
    pair.assert_talks();
    assert_eq!(pair.server.events.len(), 2);
}

/// What is changed in every sending of a message.
fn blemishes() -> impl Strategy<Value = (Suite, bool, From, u8, u16, u8)> {
    let from_client = select(vec![1_u8, 11, 15, 16]).prop_map(|kind| (From::Client, kind));
    let from_server = select(vec![2_u8, 11, 12, 13, 14]).prop_map(|kind| (From::Server, kind));
    let message = prop_oneof![from_client, from_server];
    (select(Suite::ALL.to_vec()), any::<bool>(), message, any::<u16>(), 1..=255_u8)
        .prop_map(|(suite, certificates, (from, kind), at, bits)| (suite, certificates, from, kind, at, bits))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn a_changed_message_opens_no_session((suite, certificates, from, kind, at, bits) in blemishes()) {
        let mut pair = impatient(suite);
        pair.server.config.keys = vec![own_key("lightship.example")];
        let device = own_key("device");
        let credential = match (suite.key_exchange(), certificates) {
            (KeyExchange::EcdheEcdsa, true) => Credential::Certificates { key: device.key, chain: device.chain },
            (KeyExchange::EcdheEcdsa, false) => Credential::RawPublicKey { key: device.key },
            _ => psk_connect().credential,
        };
        let changed = std::rc::Rc::new(std::cell::Cell::new(false));
        let seen = changed.clone();
        let mut is_first = true;
        pair.tamper = Some(Box::new(move |sender, datagram| {
            let mut rest = 0;
            while sender == from && datagram.get(rest) == Some(&22) && datagram.get(rest + 4) == Some(&0) {
                let len = usize::from(u16::from_be_bytes([datagram[rest + 11], datagram[rest + 12]]));
                let start = rest + 13;
                let is_it = Fragment::read(&datagram[start..start + len]).is_some_and(|(one, _)| one.kind == kind);
                // A first hello is no part of what is proven.
                if is_it && !(kind == CLIENT_HELLO && std::mem::take(&mut is_first)) {
                    datagram[start + usize::from(at) % len] ^= bits;
                    seen.set(true);
                }
                rest = start + len;
            }
        }));
        pair.connect(Connect { credential, ..psk_connect() });
        run_out(&mut pair);
        prop_assert_eq!(pair.client.is_established(), !changed.get());
        prop_assert_eq!(pair.server.is_established(), !changed.get());
    }

    #[test]
    fn noise_in_between_changes_nothing(seed: u64, suite in select(Suite::ALL.to_vec())) {
        let mut pair = pair(suite);
        pair.server.config.keys = vec![own_key("lightship.example")];
        let device = own_key("device");
        let credential = match suite.key_exchange() {
            KeyExchange::EcdheEcdsa => Credential::RawPublicKey { key: device.key },
            _ => psk_connect().credential,
        };
        let mut dice = lightship_platform::SeededRng::from_number(seed);
        pair.connect(Connect { credential, ..psk_connect() });
        let mut steps = 0;
        while let Some((from, datagram)) = pair.wire.pop_front() {
            steps += 1;
            // Records of the right form with the wrong content, at any time and from both sides.
            for _ in 0..3 {
                let mut noise = vec![0; usize::try_from(dice.below(80)).unwrap()];
                dice.fill(&mut noise);
                let kind = [20, 23, 25, 27, 99][usize::try_from(dice.below(5)).unwrap()];
                let len = u8::try_from(noise.len()).unwrap();
                let epoch = u8::try_from(dice.below(3)).unwrap();
                let mut record = vec![kind, 0xfe, 0xfd, 0, epoch, 0, 0, 0, 0, 0, 77, 0, len];
                record.extend_from_slice(&noise);
                let to = if dice.below(2) == 0 { From::Client } else { From::Server };
                if pair.server.association.is_some() || to == From::Server {
                    pair.deliver(to, record);
                }
            }
            pair.deliver(from, datagram);
        }
        prop_assert!(steps < 20);
        pair.assert_talks();
    }
}

#[test]
fn records_of_an_older_association_do_not_disturb_a_new_one() {
    let mut old = pair(Suite::PskAes128Ccm8);
    old.connect(psk_connect());
    old.run();
    let mut new = pair(Suite::PskAes128Ccm8);
    new.connect(psk_connect());
    while let Some((from, datagram)) = new.wire.pop_front() {
        for sender in [From::Client, From::Server] {
            old.send(sender, b"from before");
            let (_, datagram) = old.wire.pop_back().unwrap();
            if new.server.association.is_some() || sender == From::Server {
                new.deliver(sender, datagram);
            }
        }
        new.deliver(from, datagram);
    }
    new.assert_talks();
}

#[test]
fn a_kind_of_certificate_that_nobody_has_is_refused_by_name() {
    let mut pair = impatient(Suite::EcdheEcdsaAes128Ccm8);
    pair.server.config.keys = vec![own_key("lightship.example")];
    pair.tamper = Some(on_message(From::Client, CLIENT_HELLO, |body| {
        let at = body.windows(6).position(|six| six == [0, 20, 0, 2, 1, 2]).unwrap();
        body[at + 5] = 1;
    }));
    let credential = Credential::RawPublicKey { key: own_key("device").key };
    pair.connect(Connect { credential, ..psk_connect() });
    pair.run();
    let alert = Alert::UNSUPPORTED_CERTIFICATE;
    assert_eq!(pair.server.failure(), Some(Failure::AlertSent(alert, Fault::NothingInCommon)));
    assert_eq!(pair.client.failure(), Some(Failure::AlertReceived(alert)));
    // Nor by one without any key.
    let mut pair = impatient(Suite::EcdheEcdsaAes128Ccm8);
    let credential = Credential::RawPublicKey { key: own_key("device").key };
    pair.connect(Connect { credential, ..psk_connect() });
    pair.run();
    assert_eq!(pair.server.failure(), Some(Failure::AlertSent(alert, Fault::NoKey)));
    // A server with bare keys only has nothing for who wants certificates and does not say so.
    let mut pair = impatient(Suite::EcdheEcdsaAes128Ccm8);
    pair.server.config.keys = vec![OwnKey { chain: Vec::new(), ..own_key("lightship.example") }];
    let device = own_key("device");
    let credential = Credential::Certificates { key: device.key, chain: device.chain };
    pair.connect(Connect { credential, ..psk_connect() });
    pair.run();
    let alert = Alert::HANDSHAKE_FAILURE;
    assert_eq!(pair.server.failure(), Some(Failure::AlertSent(alert, Fault::NothingInCommon)));
}

#[test]
fn finished_tells_that_somebody_changed_a_message_even_where_the_keys_do_not() {
    // Without the extended master secret the keys follow from the randoms alone: only Finished covers the rest.
    let mut pair = impatient(Suite::PskAes128Ccm8);
    pair.tamper = Some(on_message(From::Client, CLIENT_HELLO, |body| {
        let at = body.windows(4).position(|four| four == [0, 23, 0, 0]).unwrap();
        body[at] = 0x7f;
    }));
    pair.connect(psk_connect());
    pair.run();
    let failure = Failure::AlertSent(Alert::DECRYPT_ERROR, Fault::BadFinished);
    assert_eq!(pair.server.failure(), Some(failure));
    assert_eq!(pair.client.failure(), Some(Failure::AlertReceived(Alert::DECRYPT_ERROR)));
    // The ticket is the one message that only the server's Finished covers.
    let mut pair = impatient(Suite::PskAes128Ccm8);
    let current = lightship_dtls::TicketKey {
        name: *b"the name",
        key: Secret::new(&[7; 16]),
        since: lightship_platform::Instant::ZERO,
    };
    let lifetime = Duration::from_secs(86_400);
    let keys = lightship_dtls::TicketKeys { current, previous: None, lifetime };
    pair.server.config.ticket_keys = Some(std::sync::Arc::new(keys));
    pair.tamper = Some(on_message(From::Server, 4, |body| body[20] ^= 1));
    pair.connect(psk_connect());
    pair.run();
    assert_eq!(pair.client.failure(), Some(failure));
    assert!(!pair.client.is_established());
}

/// Shows somebody else's public key and signs with its own.
struct Impostor {
    shown: Vec<u8>,
    own: std::sync::Arc<dyn SigningKey>,
}

impl SigningKey for Impostor {
    fn public_key(&self) -> &[u8] {
        &self.shown
    }

    fn sign(&self, rng: &mut dyn Rng, message: &[u8]) -> Result<Vec<u8>, CryptoError> {
        self.own.sign(rng, message)
    }
}

fn impostor(of: &OwnKey) -> OwnKey {
    let own = own_key("impostor").key;
    let key = std::sync::Arc::new(Impostor { shown: of.key.public_key().to_vec(), own });
    OwnKey { key, ..of.clone() }
}

// Proves: SEC-01, DTL-04
#[test]
fn who_shows_a_key_without_holding_it_does_not_come_in() {
    let failure = Failure::AlertSent(Alert::DECRYPT_ERROR, Fault::BadSignature);
    for with_chain in [false, true] {
        for liar in [From::Client, From::Server] {
            let mut pair = impatient(Suite::EcdheEcdsaAes128Ccm8);
            let (mut device, mut server) = (own_key("device"), own_key("lightship.example"));
            match liar {
                From::Client => device = impostor(&device),
                From::Server => server = impostor(&server),
            }
            pair.server.config.keys = vec![server];
            let credential = match with_chain {
                true => Credential::Certificates { key: device.key, chain: device.chain },
                false => Credential::RawPublicKey { key: device.key },
            };
            pair.connect(Connect { credential, ..psk_connect() });
            pair.run();
            let (honest, other) = match liar {
                From::Client => (&pair.server, &pair.client),
                From::Server => (&pair.client, &pair.server),
            };
            assert_eq!(honest.failure(), Some(failure));
            assert_eq!(other.failure(), Some(Failure::AlertReceived(Alert::DECRYPT_ERROR)));
        }
    }
}

#[test]
fn nobody_is_the_device_without_an_identity() {
    let mut pair = pair(Suite::PskAes128Ccm8);
    // Whatever the host would say.
    pair.server.judge = Box::new(|_| Answer::Psk { key: Secret::new(KEY), note: Box::default() });
    let mut connect = psk_connect();
    connect.credential = Credential::Psk { identity: Box::default(), key: Secret::new(KEY) };
    pair.connect(connect);
    pair.run();
    let failure = Failure::AlertSent(Alert::UNKNOWN_PSK_IDENTITY, Fault::Refused);
    assert_eq!(pair.server.failure(), Some(failure));
    assert!(!pair.client.is_established() && !pair.server.is_established());
}
