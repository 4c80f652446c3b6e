//! What can go wrong, in typed form.

use core::fmt;

/// A TLS alert by its number (RFC 5246 §7.2).
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Alert(pub u8);

impl Alert {
    /// The peer will send no more.
    pub const CLOSE_NOTIFY: Self = Self(0);
    /// A message came at the wrong time.
    pub const UNEXPECTED_MESSAGE: Self = Self(10);
    /// A record could not be authenticated.
    pub const BAD_RECORD_MAC: Self = Self(20);
    /// A record is longer than allowed.
    pub const RECORD_OVERFLOW: Self = Self(22);
    /// Nothing in common.
    pub const HANDSHAKE_FAILURE: Self = Self(40);
    /// A certificate is corrupt or its signature wrong.
    pub const BAD_CERTIFICATE: Self = Self(42);
    /// A certificate is of a kind that is not supported.
    pub const UNSUPPORTED_CERTIFICATE: Self = Self(43);
    /// A certificate was revoked.
    pub const CERTIFICATE_REVOKED: Self = Self(44);
    /// A certificate has expired, or is not valid yet.
    pub const CERTIFICATE_EXPIRED: Self = Self(45);
    /// A certificate is not acceptable for another reason.
    pub const CERTIFICATE_UNKNOWN: Self = Self(46);
    /// A field is out of range or contradicts another.
    pub const ILLEGAL_PARAMETER: Self = Self(47);
    /// No path to a trusted authority.
    pub const UNKNOWN_CA: Self = Self(48);
    /// The identity is fine, but may not come in.
    pub const ACCESS_DENIED: Self = Self(49);
    /// A message cannot be parsed.
    pub const DECODE_ERROR: Self = Self(50);
    /// A signature or Finished is wrong.
    pub const DECRYPT_ERROR: Self = Self(51);
    /// The version is not supported.
    pub const PROTOCOL_VERSION: Self = Self(70);
    /// The peer offers nothing strong enough.
    pub const INSUFFICIENT_SECURITY: Self = Self(71);
    /// Something of our own went wrong.
    pub const INTERNAL_ERROR: Self = Self(80);
    /// The handshake is given up.
    pub const USER_CANCELED: Self = Self(90);
    /// No second handshake in one association.
    pub const NO_RENEGOTIATION: Self = Self(100);
    /// An extension was answered that was not offered.
    pub const UNSUPPORTED_EXTENSION: Self = Self(110);
    /// No server of that name.
    pub const UNRECOGNIZED_NAME: Self = Self(112);
    /// No key for that identity.
    pub const UNKNOWN_PSK_IDENTITY: Self = Self(115);

    /// The name in the IANA registry, `unknown` for others.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self.0 {
            0 => "close_notify",
            10 => "unexpected_message",
            20 => "bad_record_mac",
            21 => "decryption_failed",
            22 => "record_overflow",
            30 => "decompression_failure",
            40 => "handshake_failure",
            41 => "no_certificate",
            42 => "bad_certificate",
            43 => "unsupported_certificate",
            44 => "certificate_revoked",
            45 => "certificate_expired",
            46 => "certificate_unknown",
            47 => "illegal_parameter",
            48 => "unknown_ca",
            49 => "access_denied",
            50 => "decode_error",
            51 => "decrypt_error",
            60 => "export_restriction",
            70 => "protocol_version",
            71 => "insufficient_security",
            80 => "internal_error",
            86 => "inappropriate_fallback",
            90 => "user_canceled",
            100 => "no_renegotiation",
            109 => "missing_extension",
            110 => "unsupported_extension",
            111 => "certificate_unobtainable",
            112 => "unrecognized_name",
            113 => "bad_certificate_status_response",
            114 => "bad_certificate_hash_value",
            115 => "unknown_psk_identity",
            116 => "certificate_required",
            120 => "no_application_protocol",
            _ => "unknown",
        }
    }
}

impl fmt::Display for Alert {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({})", self.name(), self.0)
    }
}

/// Why a handshake failed.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
#[non_exhaustive]
pub enum Failure {
    /// The peer said so; before Finished nothing proves that it was the peer.
    AlertReceived(Alert),
    /// We found a fault and said so.
    AlertSent(Alert, Fault),
    /// Nobody answered, or the host did not.
    TimedOut,
}

/// The fault behind an alert that we sent.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
#[non_exhaustive]
pub enum Fault {
    /// No cipher suite, group, signature algorithm or certificate type in common.
    NothingInCommon,
    /// The client wants to see a key or a certificate, and we have no key at all.
    NoKey,
    /// A message that cannot be parsed, is too long, or comes at the wrong time.
    BadMessage,
    /// The host refused what the peer presented.
    Refused,
    /// The peer's signature does not match its key.
    BadSignature,
    /// Finished does not match: another key, or somebody changed a message.
    BadFinished,
    /// A key share is not a point of its group.
    BadKeyShare,
    /// The extended master secret is missing where it is needed.
    NoExtendedMasterSecret,
    /// A version below DTLS 1.2.
    OldVersion,
}

/// Why a record or a datagram was dropped without an answer; for counters.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
#[repr(u8)]
#[non_exhaustive]
pub enum DropReason {
    /// Not a record: too short, an unknown type or version, or longer than the datagram.
    Malformed,
    /// Longer than a record may be.
    TooLong,
    /// Of an epoch without keys.
    Epoch,
    /// Seen before, or too old to tell.
    Replayed,
    /// Not authentic.
    BadMac,
    /// Without the connection ID that was agreed upon, or with another.
    ConnectionId,
    /// Not a ClientHello where only that can be.
    NoSession,
    /// A handshake message that cannot be used: out of bounds, contradicting an earlier fragment, beyond a limit.
    Handshake,
    /// An alert that nobody has authenticated.
    Alert,
    /// Application data before the handshake was done.
    Early,
}

/// How far the keys of an association are used up, by records sealed and by records that failed to authenticate.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Wear {
    /// They are good.
    Fresh,
    /// They are good, but so many records were not authentic that somebody should look; anybody can send such records, so this is no
    /// reason to end anything.
    Suspicious,
    /// A new handshake should follow at the next occasion that loses nothing.
    Worn,
    /// Nothing is sealed with them any more, or nothing opened: only a new handshake helps.
    Out,
}

/// Why nothing could be sealed.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub enum SealError {
    /// The handshake is not done, or the association is over.
    NotEstablished,
    /// The buffer has no room for the record around the data, or the data is longer than a record of this peer may be.
    TooLong,
    /// All record numbers of these keys are used up; a new handshake is needed.
    Exhausted,
}

impl fmt::Display for SealError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::NotEstablished => "the secure session is not established",
            Self::TooLong => "the data does not fit into one record",
            Self::Exhausted => "the keys of the session are used up",
        })
    }
}

impl core::error::Error for SealError {}
