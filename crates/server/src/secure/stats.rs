//! What the secured sessions count: plain numbers, added up by the host.

use lightship_dtls::{DropReason, Fault};

use super::event::{HandshakeFailure, SessionEnd};
use crate::Mode;

/// Counters since the engine was made, and four gauges.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub struct SecurityStats {
    /// Gauge: sessions kept now.
    pub sessions: u64,
    /// Gauge: handshakes under way.
    pub handshakes: u64,
    /// Gauge: bytes that these take.
    pub handshake_bytes: u64,
    /// Gauge: sessions that can be resumed by their ID, the live ones included.
    pub resumptions: u64,
    /// Datagrams handed in.
    pub datagrams_in: u64,
    /// Datagrams given out.
    pub datagrams_out: u64,
    /// Datagrams not sent because the new address of a session is not checked yet, and got enough.
    pub withheld: u64,
    /// Records with data, decrypted.
    pub records_in: u64,
    /// Records with data, encrypted.
    pub records_out: u64,
    /// Cookies asked of addresses that had shown none.
    pub cookies_asked: u64,
    /// Handshakes begun: cookies that came back.
    pub handshakes_begun: u64,
    /// Handshakes not begun because their address or network had too many.
    pub handshakes_over_budget: u64,
    /// Handshakes refused because their identity had too many.
    pub handshakes_metered: u64,
    /// Full handshakes done with a shared key.
    pub opened_psk: u64,
    /// Full handshakes done with raw public keys.
    pub opened_raw_public_key: u64,
    /// Full handshakes done with certificates.
    pub opened_certificate: u64,
    /// Sessions resumed.
    pub opened_resumed: u64,
    /// Handshakes that failed, by cause.
    pub failed: FailureStats,
    /// Of these, failures of which the host was not told, because there were too many.
    pub failures_untold: u64,
    /// Sessions that their peer ended.
    pub closed_by_peer: u64,
    /// Sessions that a new one of the same peer or at the same address replaced.
    pub closed_replaced: u64,
    /// Sessions that the host ended.
    pub closed_by_host: u64,
    /// Sessions that gave way to newer ones.
    pub closed_crowded: u64,
    /// Sessions whose keys were used up.
    pub closed_exhausted: u64,
    /// Sessions that a Bootstrap-Server was done with.
    pub closed_done: u64,
    /// Sessions whose peer moved to another address.
    pub moved: u64,
    /// Records and datagrams that were dropped, by cause.
    pub dropped: DropStats,
}

/// Records and datagrams that were dropped without an answer.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub struct DropStats {
    /// Not a record.
    pub malformed: u64,
    /// Longer than a record may be.
    pub too_long: u64,
    /// Of an epoch without keys.
    pub epoch: u64,
    /// Seen before, or too old to tell.
    pub replayed: u64,
    /// Not authentic.
    pub bad_mac: u64,
    /// With a connection ID that is not known, or without the one agreed upon.
    pub connection_id: u64,
    /// From an address without a session, and no ClientHello.
    pub no_session: u64,
    /// Handshake messages that cannot be used.
    pub handshake: u64,
    /// Alerts that nobody has authenticated.
    pub alert: u64,
    /// Data before the handshake was done.
    pub early: u64,
    /// For other reasons.
    pub other: u64,
}

/// Handshakes that failed.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub struct FailureStats {
    /// The host refused what was presented.
    pub refused: u64,
    /// The host did not answer in time.
    pub unanswered: u64,
    /// No suite, group, algorithm or certificate type in common, an old version, no extended master secret.
    pub nothing_in_common: u64,
    /// A signature, Finished or key share was wrong.
    pub bad_proof: u64,
    /// A message made no sense.
    pub bad_message: u64,
    /// The peer gave up, or somebody in its name.
    pub by_peer: u64,
    /// The peer went silent.
    pub timed_out: u64,
    /// Gave way to newer ones.
    pub crowded: u64,
    /// The peer began anew.
    pub restarted: u64,
}

impl DropStats {
    pub(crate) fn count(&mut self, reason: DropReason) {
        *self.counter(reason) += 1;
    }

    fn counter(&mut self, reason: DropReason) -> &mut u64 {
        match reason {
            DropReason::Malformed => &mut self.malformed,
            DropReason::TooLong => &mut self.too_long,
            DropReason::Epoch => &mut self.epoch,
            DropReason::Replayed => &mut self.replayed,
            DropReason::BadMac => &mut self.bad_mac,
            DropReason::ConnectionId => &mut self.connection_id,
            DropReason::NoSession => &mut self.no_session,
            DropReason::Handshake => &mut self.handshake,
            DropReason::Alert => &mut self.alert,
            DropReason::Early => &mut self.early,
            _ => &mut self.other,
        }
    }
}

impl FailureStats {
    fn counter(&mut self, reason: &HandshakeFailure) -> &mut u64 {
        use lightship_dtls::Failure;
        match reason {
            HandshakeFailure::Refused(_) => &mut self.refused,
            HandshakeFailure::Unanswered => &mut self.unanswered,
            HandshakeFailure::Crowded => &mut self.crowded,
            HandshakeFailure::Restarted => &mut self.restarted,
            HandshakeFailure::Protocol(Failure::TimedOut) => &mut self.timed_out,
            HandshakeFailure::Protocol(Failure::AlertSent(_, fault)) => match fault {
                Fault::Refused => &mut self.refused,
                Fault::BadSignature | Fault::BadFinished | Fault::BadKeyShare => &mut self.bad_proof,
                Fault::NothingInCommon | Fault::NoKey | Fault::OldVersion | Fault::NoExtendedMasterSecret => {
                    &mut self.nothing_in_common
                }
                Fault::BadMessage | _ => &mut self.bad_message,
            },
            HandshakeFailure::Protocol(_) => &mut self.by_peer,
        }
    }
}

impl SecurityStats {
    pub(crate) fn failed(&mut self, reason: &HandshakeFailure) {
        *self.failed.counter(reason) += 1;
    }

    pub(crate) fn opened(&mut self, mode: Mode, resumed: bool) {
        let counter = match mode {
            _ if resumed => &mut self.opened_resumed,
            Mode::Psk => &mut self.opened_psk,
            Mode::RawPublicKey => &mut self.opened_raw_public_key,
            Mode::Certificate => &mut self.opened_certificate,
        };
        *counter += 1;
    }

    pub(crate) fn closed(&mut self, reason: SessionEnd) {
        let counter = match reason {
            SessionEnd::ByPeer(_) => &mut self.closed_by_peer,
            SessionEnd::Replaced => &mut self.closed_replaced,
            SessionEnd::Ended(_) => &mut self.closed_by_host,
            SessionEnd::Crowded => &mut self.closed_crowded,
            SessionEnd::Exhausted => &mut self.closed_exhausted,
            SessionEnd::Done => &mut self.closed_done,
        };
        *counter += 1;
    }
}
