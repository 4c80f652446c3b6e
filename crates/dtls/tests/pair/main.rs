//! A client and a server of ours, back to back.

#![allow(missing_docs, clippy::unwrap_used, clippy::wildcard_enum_match_arm, reason = "tests")]

mod cookies;
mod harness;
mod memory;
mod refusals;
mod resumption;
mod storms;

use harness::{From, pair, psk_connect};
use lightship_dtls::{Cid, Suite};

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
