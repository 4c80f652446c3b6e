//! What may be shown of sessions and handshakes.

use std::collections::BTreeMap;

use lightship_api as api;
use lightship_api::{Handshake, HandshakeResult, SecurityMode, ServerRole};
use lightship_dtls::{Alert, Failure, Fault};
use lightship_net::Clock;
use lightship_server::{
    Claim, HandshakeFailure, Mode, Party, Principal, Registration, SessionDrops, SessionInfo,
};
use lightship_store::CredentialSet;

use super::encoded::hex;
use super::judge::{Subject, shown};

/// How a device's messages are protected.
pub(crate) fn facts(registration: &Registration) -> api::Security {
    let session = registration.session.as_ref();
    match &registration.party {
        Some(party) => api::Security {
            mode: mode(party.principal.mode()),
            identity: Some(identity(&party.principal)),
            cipher_suite: session.map(|session| session.suite.name().to_owned()),
            cid: session.and_then(SessionInfo::cid).map(|cid| hex(&cid)),
        },
        None => api::Security { mode: SecurityMode::Nosec, identity: None, cipher_suite: None, cid: None },
    }
}

/// The session of a device.
pub(crate) fn session(info: &SessionInfo, opened_at: api::Timestamp, clock: Clock) -> api::Session {
    let age = clock.now().saturating_duration_since(info.opened_at);
    api::Session {
        opened_at,
        age_s: age.as_secs(),
        resumed: info.resumed,
        cid: info.cid().map(|cid| hex(&cid)),
        rrc: info.return_routability,
        record_size_limit: info.record_size_limit,
        dropped: dropped(info),
    }
}

/// What was dropped of a session's records, by reason.
fn dropped(info: &SessionInfo) -> BTreeMap<String, u64> {
    let SessionDrops { bad_mac, replayed, other } = info.dropped;
    let counts = [("bad_mac", u64::from(bad_mac)), ("replayed", replayed.into()), ("other", other.into())];
    let some = counts.into_iter().filter(|(_, count)| *count > 0);
    some.map(|(reason, count)| (reason.to_owned(), count)).collect()
}

/// What became of a session.
pub(super) fn of_session(
    set: CredentialSet,
    time: api::Timestamp,
    info: &SessionInfo,
    result: HandshakeResult,
) -> Handshake {
    let Party { principal, endpoints } = &*info.party;
    Handshake {
        endpoint: endpoints.one().map(ToString::to_string),
        mode: Some(mode(principal.mode())),
        identity: Some(identity(principal)),
        cipher_suite: Some(info.suite.name().to_owned()),
        cid: info.cid().map(|cid| hex(&cid)),
        resumed: Some(info.resumed),
        ..blank(set, time, info.address.to_string(), result)
    }
}

/// A handshake of which nothing is known but when, where and what.
pub(super) fn blank(
    set: CredentialSet,
    time: api::Timestamp,
    address: String,
    result: HandshakeResult,
) -> Handshake {
    let server = match set {
        CredentialSet::Server => ServerRole::Lwm2m,
        CredentialSet::Bootstrap => ServerRole::Bootstrap,
    };
    Handshake::new(time, result, server, address)
}

pub(crate) fn mode(mode: Mode) -> SecurityMode {
    match mode {
        Mode::Psk => SecurityMode::Psk,
        Mode::RawPublicKey => SecurityMode::Rpk,
        Mode::Certificate => SecurityMode::X509,
    }
}

/// Who somebody has proven to be, in words.
pub(super) fn identity(principal: &Principal) -> String {
    match principal {
        Principal::Psk(identity) => shown(identity),
        Principal::RawPublicKey(sha256) => hex(sha256),
        Principal::Certificate(certificate) => {
            Subject::of_principal(certificate).shown().unwrap_or_else(|| hex(&certificate.sha256))
        }
        _ => String::new(),
    }
}

/// What an alert of a device says about this server, where its name alone does not.
fn objection(alert: Alert) -> &'static str {
    match alert {
        Alert::BAD_CERTIFICATE | Alert::UNSUPPORTED_CERTIFICATE => {
            "; it can make nothing of this server's certificate or key"
        }
        Alert::CERTIFICATE_EXPIRED => {
            "; for it this server's certificate, or one above it, has expired or is not valid yet"
        }
        Alert::CERTIFICATE_UNKNOWN => {
            "; it expects another name in this server's certificate, or another certificate or key"
        }
        Alert::UNKNOWN_CA => "; it does not trust who has signed this server's certificate",
        Alert::HANDSHAKE_FAILURE => "; it finds nothing in common with this server",
        Alert::DECRYPT_ERROR => "; it has another key",
        _ => "",
    }
}

/// Why a handshake came to nothing, in plain words.
pub(super) fn reason(failure: &HandshakeFailure, claimed: Option<&Claim>) -> String {
    let text = match failure {
        HandshakeFailure::Refused(reason) => return reason.to_string(),
        HandshakeFailure::Unanswered => "the server did not decide in time",
        HandshakeFailure::Crowded => "it gave way to newer handshakes",
        HandshakeFailure::Restarted => "the device began anew",
        HandshakeFailure::Protocol(Failure::AlertReceived(alert)) => {
            return format!("the device gave up: {alert}{}", objection(*alert));
        }
        // Who has another key cannot be understood any more: its last message looks like noise, and is dropped.
        HandshakeFailure::Protocol(Failure::TimedOut) => match claimed {
            Some(Claim::PskIdentity(identity)) => {
                return format!(
                    "the handshake was not finished: the device has another key for PSK identity '{}', or went silent",
                    shown(identity)
                );
            }
            _ => "the handshake was not finished: the device went silent",
        },
        HandshakeFailure::Protocol(Failure::AlertSent(alert, Fault::BadFinished)) => {
            return match claimed {
                Some(Claim::PskIdentity(identity)) => {
                    format!("the device has another key for PSK identity '{}' ({alert})", shown(identity))
                }
                _ => {
                    format!("the device has another key, or somebody changed a message on the way ({alert})")
                }
            };
        }
        HandshakeFailure::Protocol(Failure::AlertSent(alert, fault)) => {
            let what = match fault {
                Fault::NothingInCommon => {
                    "no cipher suite, group, signature algorithm or certificate type in common"
                }
                Fault::NoKey => {
                    "the device wants a key or certificate of the server, and this server has none \
                     (security.key_file, or --dev)"
                }
                Fault::BadMessage => "a message of the device makes no sense",
                Fault::Refused => "what the device presented was refused",
                Fault::BadSignature => "the device's signature does not match its key",
                Fault::BadKeyShare => "the device's key share is not a point of its group",
                Fault::NoExtendedMasterSecret => "the device does not know the extended master secret",
                Fault::OldVersion => "the device offers nothing newer than DTLS 1.0",
                Fault::BadFinished | _ => "the device broke a rule",
            };
            return format!("{what} ({alert})");
        }
        HandshakeFailure::Protocol(_) | _ => "the handshake failed",
    };
    text.to_owned()
}
