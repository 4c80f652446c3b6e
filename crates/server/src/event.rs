//! What the shard tells its host, and what it asks.

use std::net::SocketAddr;
use std::sync::Arc;

use lightship_coap::{Code, ContentFormat};
use lightship_lwm2m::{Endpoint, Path};
use lightship_platform::Instant;

use crate::{
    Content, Credential, Deviation, Name, ObservationId, Outcome, Registration, RegistrationId, RequestId,
    Response, SecurityEvent,
};

/// A question or a statement.
#[derive(Debug)]
#[non_exhaustive]
pub enum Event {
    /// May this device register, and what of it shall be observed? Whoever says yes has the registration safe, if it
    /// shall outlive him: the device is told after the answer. Unanswered means no (5.03, and [`Event::Lapsed`]).
    AskRegister {
        /// What [`Shard::answer`](crate::Shard::answer) takes.
        ask: Ask,
        /// The registration as it will be. A party, if it has one, may speak for its endpoint; without one it came
        /// without security.
        registration: Box<Registration>,
    },
    /// Is this fact safe? It becomes so, and the device is told, only after the answer; unanswered means no (5.03, and
    /// [`Event::Lapsed`] if it is about a registration).
    AskDurable {
        /// What [`Shard::answer`](crate::Shard::answer) takes.
        ask: Ask,
        /// The fact.
        fact: Fact,
    },
    /// An answer did not come in time, or could not be followed any more: what the host may have stored of this
    /// registration for its question is not so, and the device was not told.
    Lapsed {
        /// Whose registration.
        endpoint: Endpoint,
        /// Which one.
        registration: RegistrationId,
        /// What stands here now of that endpoint; maybe this very registration, as it was before.
        standing: Option<Box<Registration>>,
    },
    /// A device registered and was told so.
    Registered {
        /// The new registration.
        registration: Box<Registration>,
        /// The registration of the same endpoint that gave way; its requests have ended.
        displaced: Option<Box<Registration>>,
    },
    /// A device sent an Update that says nothing new, and lives on.
    Refreshed {
        /// Which device.
        endpoint: Name,
        /// Its registration.
        registration: RegistrationId,
        /// When.
        at: Instant,
        /// When it ends without another; `None` for a lifetime of 0.
        expires_at: Option<Instant>,
    },
    /// A device sent an Update, and there is something to say of it: it changed what the device says of itself (safe by
    /// [`Fact::Update`], told to it), or came from another address or session, or deviated.
    Updated {
        /// The registration as it is now.
        registration: Box<Registration>,
        /// What the Update said or showed to be different.
        changed: Changed,
    },
    /// A registration ended.
    Deregistered {
        /// The registration as it was.
        registration: Box<Registration>,
        /// Why it ended.
        reason: Ended,
    },
    /// A device in Queue Mode is awake: it registered, or showed itself after a sleep.
    Awake {
        /// Which device.
        endpoint: Endpoint,
        /// When it counts as asleep again if nothing more is heard of it.
        until: Instant,
    },
    /// A device in Queue Mode has fallen asleep: its awake window passed, or it did not answer.
    Asleep {
        /// Which device.
        endpoint: Endpoint,
        /// When it should show itself, as in [`Presence::Asleep`](crate::Presence).
        expected: Option<Instant>,
    },
    /// A value arrived for an observation, newer than all before.
    Notified {
        /// What [`Shard::answer`](crate::Shard::answer) takes if the device wants an acknowledgement: it gets one when the host
        /// has the value safe ([`Answer::Stored`]), and repeats itself otherwise. `None` if nobody waits: it was
        /// not confirmable, or was fetched.
        ask: Option<Ask>,
        /// Whose value it is.
        endpoint: Endpoint,
        /// The observation.
        observation: ObservationId,
        /// What is observed.
        observed: Observed,
        /// The device's code, 2.05 as a rule.
        code: Code,
        /// What the payload is in.
        content_format: Option<ContentFormat>,
        /// The payload, all blocks together.
        payload: Box<[u8]>,
    },
    /// An observation runs; the device's answer is its first value.
    ObservationStarted {
        /// Whose it is.
        endpoint: Endpoint,
        /// The observation.
        observation: ObservationId,
        /// What is observed.
        observed: Observed,
        /// The first value.
        response: Response,
    },
    /// An observation could not be started, or the device ended it.
    ObservationFailed {
        /// Whose it is.
        endpoint: Endpoint,
        /// The observation.
        observation: ObservationId,
        /// What should be observed.
        observed: Observed,
        /// The content format that was asked for.
        accept: Option<ContentFormat>,
        /// What happened.
        outcome: Outcome,
        /// When it is tried again; `None`: the observation is gone.
        retry_at: Option<Instant>,
    },
    /// An observation ended because the host cancelled it or its registration ended.
    ObservationEnded {
        /// Whose it was.
        endpoint: Endpoint,
        /// The observation.
        observation: ObservationId,
        /// What was observed.
        observed: Observed,
    },
    /// A device did something otherwise than the standard says; every [`Registration`] has
    /// all counts.
    Deviated {
        /// Which device.
        endpoint: Endpoint,
        /// What it did.
        deviation: Deviation,
        /// How often by now.
        count: u16,
    },
    /// A device is at another address: its newest record came from there, or it came back with a new session.
    Moved {
        /// The registration as it is now.
        registration: Box<Registration>,
        /// Where it was.
        from: SocketAddr,
    },
    /// A registration goes on from before a restart ([`Shard::thaw`](crate::Shard::thaw),
    /// [`Shard::restore`](crate::Shard::restore)).
    Restored {
        /// The registration.
        registration: Box<Registration>,
        /// Its observations, under new names.
        observations: Box<[(ObservationId, Wanted)]>,
    },
    /// Something about a secured session.
    Security(SecurityEvent),
    /// A downlink request ended.
    RequestDone {
        /// The request.
        id: RequestId,
        /// Whose it was.
        endpoint: Endpoint,
        /// How it ended.
        outcome: Outcome,
    },
}

/// A ticket for one question.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Ask {
    bits: u64,
    kind: AskKind,
}

/// Who keeps the question.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub(crate) enum AskKind {
    /// The engine.
    Request,
    /// The secured sessions.
    Credential,
}

impl Ask {
    pub(crate) const fn request(bits: u64) -> Self {
        Self { bits, kind: AskKind::Request }
    }

    pub(crate) const fn credential(bits: u64) -> Self {
        Self { bits, kind: AskKind::Credential }
    }

    pub(crate) const fn bits(self) -> u64 {
        self.bits
    }

    pub(crate) const fn is_about_credential(self) -> bool {
        matches!(self.kind, AskKind::Credential)
    }
}

/// The answer to a question.
#[derive(Clone, PartialEq, Debug)]
#[non_exhaustive]
pub enum Answer {
    /// Yes to [`Event::AskRegister`]: and these observations shall run.
    Accept {
        /// The wanted observations; tried until they run.
        observations: Vec<Wanted>,
    },
    /// Yes to [`Event::AskDurable`] and [`Event::Notified`].
    Stored,
    /// The word on a credential ([`SecurityEvent::AskCredential`]).
    Credential(Credential),
    /// No: the device gets this code (4.03 by policy, 4.00 unknown, 5.03 not now, …).
    Refuse {
        /// A client or server error code; anything else becomes 5.00.
        code: Code,
    },
}

/// An observation that the host wants to run.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Wanted {
    /// What to observe.
    pub observed: Observed,
    /// The content format wanted; `None` leaves it to the device.
    pub accept: Option<ContentFormat>,
    /// Attributes to carry in the Observe (LwM2M 1.2), one `name=value` each; empty as a rule.
    pub attributes: Vec<String>,
}

/// What an observation is of. A device has one observation of each path, and one under each name.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub enum Observed {
    /// An object, instance, resource or resource instance.
    Node(Path),
    /// Several nodes at once (LwM2M 1.1, Observe-Composite). Cloning shares the bytes.
    Composite(Composite),
}

/// Several nodes that are observed together.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Composite {
    /// A name of the host's choice.
    pub name: Arc<str>,
    /// The list of paths, in a format for several nodes.
    pub content: Content,
}

impl Observed {
    /// The node, if it is one.
    #[must_use]
    pub fn path(&self) -> Option<Path> {
        match self {
            Self::Node(path) => Some(*path),
            Self::Composite(_) => None,
        }
    }

    /// The name, if it is of several nodes.
    #[must_use]
    pub fn name(&self) -> Option<&str> {
        match self {
            Self::Node(_) => None,
            Self::Composite(composite) => Some(&composite.name),
        }
    }

    /// Whether one takes the place of the other.
    pub(crate) fn replaces(&self, other: &Self) -> bool {
        (self.path(), self.name()) == (other.path(), other.name())
    }

    /// Whether a request can be made of it: the root can only be observed by its nodes.
    pub(crate) fn is_possible(&self) -> bool {
        self.path().is_none_or(|path| !path.is_root())
    }

    /// The length of the body that travels to the device.
    pub(crate) fn body_len(&self) -> usize {
        match self {
            Self::Node(_) => 0,
            Self::Composite(composite) => composite.content.payload.len(),
        }
    }
}

impl From<Path> for Observed {
    fn from(path: Path) -> Self {
        Self::Node(path)
    }
}

/// A fact that must be safe before the device is told that it arrived.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum Fact {
    /// The device sent values of its own accord (TS_Core 6.4.7).
    Send {
        /// The sender.
        endpoint: Endpoint,
        /// What the payload is in.
        content_format: Option<ContentFormat>,
        /// The payload, all blocks together.
        payload: Box<[u8]>,
    },
    /// The device sent an Update that changes something.
    Update {
        /// The registration as it will be.
        registration: Box<Registration>,
        /// What is other than before, the address left out.
        changed: Changed,
    },
    /// The device de-registers.
    Deregister {
        /// The registration that ends.
        registration: Box<Registration>,
    },
}

/// Why a registration ended.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
#[non_exhaustive]
pub enum Ended {
    /// The device said so.
    Deregister,
    /// Its lifetime passed without an Update.
    Expired,
    /// The host told the shard to forget it.
    Forgotten,
    /// The host ended it with the sessions of a credential that was taken away or changed.
    CredentialGone,
    /// Another device registered at its address or by its session, so that it cannot be reached any more.
    AddressTaken,
}

/// What an Update changed.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub struct Changed {
    /// The address is another.
    pub address: bool,
    /// Lifetime, binding, queue mode, SMS number or unknown parameters are others.
    pub parameters: bool,
    /// The list of objects is another.
    pub objects: bool,
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Each is moved a few times on its way to the host.
    #[test]
    fn an_event_is_small() {
        let len = size_of::<Event>();
        assert!(len <= 144, "{len}");
    }
}
