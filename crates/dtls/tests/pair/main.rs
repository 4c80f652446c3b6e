//! A client and a server of ours, back to back.

#![allow(missing_docs, clippy::unwrap_used, clippy::wildcard_enum_match_arm, reason = "tests")]

mod established;
mod harness;

use harness::{From, IDENTITY, KEY, Pair, Side, config, psk_judge};
use lightship_dtls::{Alert, Cid, Connect, Credential, DropReason, Failure, Fault, Suite};
use lightship_platform::crypto::Secret;

fn psk_connect() -> Connect {
    Connect {
        credential: Credential::Psk { identity: IDENTITY.into(), key: Secret::new(KEY) },
        server_name: Some("lightship.example".into()),
        own_cid: Cid::EMPTY,
        resume: None,
    }
}

fn psk_pair(suite: Suite) -> Pair {
    let config = lightship_dtls::Config { suites: vec![suite], ..config() };
    let client = Side::new(config.clone(), 1, psk_judge());
    let server = Side::new(config, 2, psk_judge());
    Pair::new(client, server)
}

#[test]
fn a_pre_shared_key_opens_a_session() {
    for suite in [Suite::PskAes128Ccm8, Suite::PskAes128Ccm, Suite::PskAes128Gcm, Suite::PskAes128Cbc] {
        let mut pair = psk_pair(suite);
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

#[test]
fn a_wrong_key_opens_nothing() {
    let mut pair = psk_pair(Suite::PskAes128Ccm8);
    let credential = Credential::Psk { identity: IDENTITY.into(), key: Secret::new(b"another") };
    pair.connect(Connect { credential, ..psk_connect() });
    pair.run();
    while pair.wait() {
        pair.run();
    }
    assert!(!pair.client.is_established() && !pair.server.is_established());
    assert_eq!(pair.client.failure(), Some(Failure::TimedOut));
    assert_eq!(pair.server.failure(), Some(Failure::TimedOut));
    assert!(pair.server.dropped.contains(&DropReason::BadMac));
}

#[test]
fn an_unknown_identity_is_told_so() {
    let mut pair = psk_pair(Suite::PskAes128Ccm8);
    let credential = Credential::Psk { identity: b"stranger"[..].into(), key: Secret::new(KEY) };
    pair.connect(Connect { credential, ..psk_connect() });
    pair.run();
    let alert = Alert::UNKNOWN_PSK_IDENTITY;
    assert_eq!(pair.server.failure(), Some(Failure::AlertSent(alert, Fault::Refused)));
    assert_eq!(pair.client.failure(), Some(Failure::AlertReceived(alert)));
    assert!(pair.client.resumption().is_none());
}
