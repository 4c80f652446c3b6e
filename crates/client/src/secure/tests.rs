//! What a client does about failures, and how it says so.

use alloc::format;
use alloc::string::{String, ToString};

use lightship_dtls::{Alert, Failure, Fault};

use super::*;
use crate::account::SecurityMode;

// Proves: DTL-09
#[test]
fn each_alert_has_its_reaction() {
    let refused = |alert: u8| SecurityFailure::Handshake(Failure::AlertReceived(Alert(alert)));
    for alert in [0, 10, 20, 21, 22, 40, 47, 50, 51, 70, 71, 80, 86, 90, 100, 111] {
        assert_eq!(reaction(&refused(alert)), Reaction::Retry, "{alert}");
    }
    for alert in [42, 43, 44, 45, 46, 48, 49, 112, 113, 114, 115] {
        assert_eq!(reaction(&refused(alert)), Reaction::Fail, "{alert}");
    }
    // What was found wrong with whoever answered may be otherwise the next time.
    for failure in [
        SecurityFailure::Server(ServerFault::PublicKey),
        SecurityFailure::Handshake(Failure::TimedOut),
        SecurityFailure::Handshake(Failure::AlertSent(Alert(42), Fault::Refused)),
    ] {
        assert_eq!(reaction(&failure), Reaction::Retry, "{failure}");
    }
    for failure in [SecurityFailure::Scheme, SecurityFailure::Key, SecurityFailure::Mode(SecurityMode::Est)] {
        assert_eq!(reaction(&failure), Reaction::Fail, "{failure}");
    }
}

// Proves: SEC-02
#[test]
fn every_security_mode_is_known_by_its_number_and_est_is_refused_by_name() {
    let modes = [
        SecurityMode::Psk,
        SecurityMode::RawPublicKey,
        SecurityMode::Certificate,
        SecurityMode::NoSec,
        SecurityMode::Est,
    ];
    for (number, mode) in (0..).zip(modes) {
        assert_eq!((SecurityMode::from_number(number), mode.number()), (Some(mode), number));
    }
    assert_eq!(SecurityMode::from_number(5), None);
    let est = SecurityFailure::Mode(SecurityMode::Est);
    assert_eq!(reaction(&est), Reaction::Fail);
    assert_eq!(est.to_string(), "security mode 4, certificates by EST, is not supported");
}

#[test]
fn failures_read_like_sentences() {
    let said = |failure: SecurityFailure| failure.to_string();
    let refused = SecurityFailure::Handshake(Failure::AlertReceived(Alert::UNKNOWN_PSK_IDENTITY));
    assert_eq!(
        said(refused),
        "the server refused: unknown_psk_identity (115); it does not know this identity"
    );
    let told = |alert| said(SecurityFailure::Handshake(Failure::AlertReceived(alert)));
    for (alert, words) in [
        (Alert::UNSUPPORTED_CERTIFICATE, "this device's certificate is not for this use"),
        (Alert::CERTIFICATE_UNKNOWN, "it does not know this device's key or certificate"),
        (Alert::DECRYPT_ERROR, "it has another key for this device"),
        (Alert::BAD_CERTIFICATE, "it can make nothing of this device's certificate"),
        (Alert::CERTIFICATE_EXPIRED, "has expired or is not valid yet"),
        (Alert::UNKNOWN_CA, "it does not trust who has signed this device's certificate"),
    ] {
        assert!(told(alert).ends_with(words), "{}", told(alert));
    }
    assert_eq!(told(Alert::INTERNAL_ERROR), "the server refused: internal_error (80)");
    assert_eq!(said(SecurityFailure::Handshake(Failure::TimedOut)), "the server did not answer");
    let finished = Failure::AlertSent(Alert::DECRYPT_ERROR, Fault::BadFinished);
    assert_eq!(
        said(SecurityFailure::Handshake(finished)),
        "the server has another key, or a message was changed on the way: decrypt_error (51)"
    );
    let modes = [SecurityMode::Est, SecurityMode::Psk].map(|mode| said(SecurityFailure::Mode(mode)));
    assert_eq!(modes[0], "security mode 4, certificates by EST, is not supported");
    let ends: String = format!("{}, {}", SessionEnd::Closed(Alert::CLOSE_NOTIFY), SessionEnd::Silent);
    assert_eq!(ends, "the server closed it, the server does not answer");
}
