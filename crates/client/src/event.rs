//! What the client tells the host.

use core::fmt;
use core::time::Duration;

use lightship_coap::Code;
use lightship_lwm2m::Path;
use lightship_lwm2m::bootstrap::consistency::Inconsistent;

/// Names a server account of one client, in the order in which they were added.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct AccountId(pub(crate) u8);

impl AccountId {
    /// Returns the position, 0 for the account that was added first.
    pub const fn index(self) -> usize {
        // A widening; `usize::from` is not const.
        self.0 as usize
    }
}

/// A datagram to be sent: `len` bytes of the buffer that was lent, to the server of an account.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Transmit {
    /// Whose server gets it.
    pub to: AccountId,
    /// Length in bytes.
    pub len: usize,
}

/// Names one request that waits for [`Client::answer`](crate::Client::answer).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct AskId {
    pub(crate) slot: u8,
    pub(crate) generation: u16,
}

/// Something that happened.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Event {
    /// The server accepted the registration.
    Registered(AccountId),
    /// The server accepted an Update.
    Updated(AccountId),
    /// The client is no longer registered, because it asked for that.
    Deregistered(AccountId),
    /// A Register or Update failed, and the client is not registered; it tries again by itself after `retry_in`.
    Failed {
        /// With which server.
        account: AccountId,
        /// Why.
        reason: Failure,
        /// Time until the next attempt.
        retry_in: Duration,
    },
    /// The server is too busy for an Update (5.03, 4.29). The client stays registered, and repeats it by itself after `retry_in`, or
    /// registers when its lifetime ends before.
    Postponed {
        /// With which server.
        account: AccountId,
        /// Why.
        reason: Failure,
        /// Time until the Update is repeated.
        retry_in: Duration,
    },
    /// All attempts of an account to register failed, in all its sequences (`/1/x/17` to `/1/x/20`). The client goes on with the
    /// sequence delay between attempts, or stops if that delay is the greatest there is; [`Event::Failed`] said so.
    GaveUp(AccountId),
    /// The Bootstrap-Server was asked for a configuration.
    BootstrapStarted,
    /// The Bootstrap-Server finished; the configuration is in use.
    BootstrapFinished,
    /// The Bootstrap-Server wanted to finish what cannot be used, and was told 4.06. It may mend it: the session goes on.
    BootstrapUnusable(Unusable),
    /// A bootstrap failed; everything is as it was before.
    BootstrapFailed {
        /// Why.
        reason: Failure,
        /// Time until the next attempt; `None` when there are servers that need none.
        retry_in: Option<Duration>,
    },
    /// A secure session with the server is established; [`Client::session`](crate::Client::session) shows it.
    #[cfg(feature = "dtls")]
    Secured(AccountId),
    /// No secure session with the server came about. What follows from it is told by [`Event::Failed`] or
    /// [`Event::BootstrapFailed`], unless a full handshake follows at once where a session was to be resumed.
    #[cfg(feature = "dtls")]
    HandshakeFailed {
        /// With which server.
        account: AccountId,
        /// Why.
        reason: crate::SecurityFailure,
    },
    /// A secure session ended. Where there is something to say to the server, the next handshake follows by itself.
    #[cfg(feature = "dtls")]
    SessionEnded {
        /// With which server.
        account: AccountId,
        /// Why.
        reason: crate::SessionEnd,
    },
    /// Accounts came, went or changed, by a bootstrap or its time-out: addresses are to be looked up, and accounts to be kept.
    AccountsChanged,
    /// In Queue Mode: the client sleeps towards that server, until something is due.
    Asleep(AccountId),
    /// In Queue Mode: the client listens to that server again.
    Awake(AccountId),
    /// The server took a Send.
    Sent {
        /// Which server.
        account: AccountId,
        /// What [`Client::send`](crate::Client::send) gave.
        send: SendId,
    },
    /// A Send came to nothing; it is not repeated.
    SendFailed {
        /// Which server.
        account: AccountId,
        /// What [`Client::send`](crate::Client::send) gave.
        send: SendId,
        /// Why.
        reason: Failure,
    },
    /// A server wrote something at or below `path`; a composite write tells the instances, or `/` when they are many.
    Written {
        /// Which server.
        account: AccountId,
        /// The target of the request.
        path: Path,
    },
    /// A server executed a resource.
    Executed {
        /// Which server.
        account: AccountId,
        /// The resource.
        path: Path,
    },
    /// A server created an instance.
    Created {
        /// Which server.
        account: AccountId,
        /// The instance, or the object when the payload numbered its instances itself.
        path: Path,
    },
    /// A server deleted an instance or a resource instance.
    Deleted {
        /// Which server.
        account: AccountId,
        /// What.
        path: Path,
    },
    /// A server began to observe `path`; of several paths observed as one, each is told.
    Observed {
        /// Which server.
        account: AccountId,
        /// The target.
        path: Path,
    },
    /// An observation ended: cancelled, rejected, vanished with its target or with the registration. Of several paths observed as
    /// one, each is told.
    ObservationEnded {
        /// Which server.
        account: AccountId,
        /// The target.
        path: Path,
    },
    /// An object answered [`Refusal::Later`](crate::Refusal::Later): the host does what is needed and calls
    /// [`Client::answer`](crate::Client::answer).
    Asked {
        /// What to give back with the answer.
        ask: AskId,
        /// Which server.
        account: AccountId,
        /// The target of the request.
        path: Path,
    },
}

/// Names one Send until its outcome was reported.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct SendId(pub(crate) u16);

/// Why a Send is not even tried.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum SendRefused {
    /// There is no registration, or one of LwM2M 1.0, which has no Send.
    NotRegistered,
    /// Mute Send, `/1/x/23`, is absent or true.
    Muted,
    /// More than eight paths.
    TooManyPaths,
    /// The paths hold nothing that this server may see.
    Nothing,
    /// Too many Sends are under way, or a value is not there yet.
    Busy,
}

impl fmt::Display for SendRefused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            SendRefused::NotRegistered => "not registered for LwM2M 1.1 or later",
            SendRefused::Muted => "the server has muted Send (/1/x/23)",
            SendRefused::TooManyPaths => "more than eight paths",
            SendRefused::Nothing => "nothing there that this server may see",
            SendRefused::Busy => "too many Sends are under way, or a value is not there yet",
        })
    }
}

impl core::error::Error for SendRefused {}

/// Why a Register, an Update or a Send failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Failure {
    /// No answer within the retransmission time.
    Timeout,
    /// The server answered with a Reset.
    Reset,
    /// The server refused.
    Refused(Code),
    /// The server's answer made no sense, for example a 2.01 without a location.
    Nonsense,
    /// The lifetime ended before the client could send an Update.
    Expired,
    /// The content or a parameter does not fit into a message.
    TooLarge,
    /// The registration ended first.
    Ended,
    /// The server muted Send (`/1/x/23`) before it went out.
    Muted,
    /// There is no secure session with the server.
    NotSecured,
}

/// Events that the host has not taken yet. The drain rule bounds them; a host that breaks it loses the newest.
#[derive(Debug, Default)]
pub(crate) struct Events {
    waiting: [Option<Event>; 16],
}

impl Events {
    /// Adds an event; returns whether there was room.
    pub(crate) fn push(&mut self, event: Event) -> bool {
        match self.waiting.iter_mut().find(|slot| slot.is_none()) {
            Some(slot) => {
                *slot = Some(event);
                true
            }
            None => false,
        }
    }

    /// Takes the oldest event.
    pub(crate) fn pop(&mut self) -> Option<Event> {
        let [first, ..] = &mut self.waiting;
        let event = first.take();
        self.waiting.rotate_left(1);
        event
    }
}

/// Why what a Bootstrap-Server wrote cannot be used (TS_Core 6.1.7.6).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Unusable {
    /// The standard does not allow it.
    Inconsistent(Inconsistent),
    /// That instance of object 0 holds what this client cannot keep: a URI or a key that is too long.
    Security(u16),
    /// That instance of object 1 holds what this client cannot keep.
    Server(u16),
    /// More accounts than this client has room for.
    Accounts,
    /// The client has no Device object.
    Device,
}

impl fmt::Display for Unusable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Inconsistent(what) => what.fmt(f),
            Self::Security(instance) => write!(f, "/0/{instance} holds what this device cannot keep"),
            Self::Server(instance) => write!(f, "/1/{instance} holds what this device cannot keep"),
            Self::Accounts => f.write_str("more accounts than this device has room for"),
            Self::Device => f.write_str("this device has no object 3"),
        }
    }
}
