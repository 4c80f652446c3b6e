//! Why a message came to nothing, in words.

use lightship_server::TraceDrop;

/// The reason as one word, and what it means to somebody who looks for a mistake.
pub(super) fn words(dropped: TraceDrop) -> (&'static str, &'static str) {
    match dropped {
        TraceDrop::Malformed => ("malformed", "It is no CoAP message."),
        TraceDrop::Unusable => ("unusable", "Its type and its code mean nothing together."),
        TraceDrop::Unmatched => (
            "unmatched",
            "It answers nothing that is under way here: it came too late, or is of a conversation that this server has forgotten.",
        ),
        TraceDrop::Refused => (
            "refused",
            "It was refused at once: an option that is not understood, or a block that does not fit.",
        ),
        TraceDrop::NotRegistered => (
            "not-registered",
            "Nothing is registered at this address, and it is no Register; or the registration that it names is over.",
        ),
        TraceDrop::UnknownToken => (
            "unknown-token",
            "It is a notification, or a late answer, under a token that belongs to nothing here; the device was told to stop by a Reset.",
        ),
        TraceDrop::Stale => ("stale", "A newer notification came before it."),
        TraceDrop::TooMany => ("too-many", "More Registers came within a minute than are allowed."),
        TraceDrop::Withheld => (
            "withheld",
            "It was not sent: the address has not proven to be its sender's, and three times as many bytes as came from there were sent already.",
        ),
        TraceDrop::Unsent => ("unsent", "It was not sent: the session is over, or its keys are used up."),
        TraceDrop::BadMac => (
            "bad-mac",
            "The record is not authentic: it was sealed with other keys, was damaged on the way, or is forged.",
        ),
        TraceDrop::Replayed => ("replayed", "The record came before, or is so old that nobody can tell."),
        TraceDrop::UnknownConnectionId => (
            "unknown-connection-id",
            "No session has this connection ID: it is over, or of another run of the server. The device has to make a new handshake.",
        ),
        TraceDrop::NoSession => (
            "no-session",
            "There is no session with this address: it is over, or the address has changed and the device uses no connection ID.",
        ),
        TraceDrop::Epoch => ("no-keys", "The record is of an epoch for which there are no keys."),
        TraceDrop::Early => ("early", "It came before the handshake was done."),
        TraceDrop::NoRecord => ("no-record", "It is no DTLS record, or one of an impossible length."),
        TraceDrop::Handshake => {
            ("bad-handshake", "It is a message of a handshake, or an alert, that cannot be used here.")
        }
        _ => ("dropped", "It was dropped."),
    }
}

/// The same for a copy of a message that had come before.
pub(super) const DUPLICATE: (&str, &str) = (
    "duplicate",
    "It is a copy of a message that came before; it was answered as before and not served again.",
);
