//! What must not lead to a session.

use lightship_dtls::{Alert, Connect, Credential, Failure, Fault, Suite};
use lightship_platform::crypto::Secret;

use crate::harness::{IDENTITY, KEY, pair, psk_connect};

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

// Proves: DTL-10
#[test]
fn an_unknown_identity_is_told_so() {
    let mut pair = pair(Suite::PskAes128Ccm8);
    let credential = Credential::Psk { identity: b"stranger"[..].into(), key: Secret::new(KEY) };
    pair.connect(Connect { credential, ..psk_connect() });
    pair.run();
    let alert = Alert::UNKNOWN_PSK_IDENTITY;
    assert_eq!(pair.server.failure(), Some(Failure::AlertSent(alert, Fault::Refused)));
    assert_eq!(pair.client.failure(), Some(Failure::AlertReceived(alert)));
    assert!(pair.client.resumption().is_none());
}
