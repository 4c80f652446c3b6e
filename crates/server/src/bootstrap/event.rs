//! What a Bootstrap-Server tells its host, what it asks, and what the host answers.

use core::fmt;
use core::time::Duration;
use std::net::SocketAddr;
use std::sync::Arc;

use lightship_coap::Code;
use lightship_lwm2m::bootstrap::Command;
use lightship_lwm2m::{Endpoint, Format, Path};

use crate::{Ask, Credential, Response, SecurityEvent, SessionInfo};

/// A question or a statement.
#[derive(Debug)]
#[non_exhaustive]
pub enum Event {
    /// May this device be configured, and what is the first step? Unanswered means no (5.03).
    AskBootstrap {
        /// What [`BootstrapServer::answer`](super::BootstrapServer::answer) takes: [`Answer::Step`] or
        /// [`Answer::Refuse`].
        ask: Ask,
        /// The session that begins if the answer is a step.
        session: SessionId,
        /// Who asks.
        caller: Caller,
        /// What the device wants to be written in; `None`: it says nothing.
        preferred_format: Option<Format>,
    },
    /// What is in this device's pack? Unanswered means no (5.03).
    AskPack {
        /// What [`BootstrapServer::answer`](super::BootstrapServer::answer) takes: [`Answer::Pack`] or
        /// [`Answer::Refuse`].
        ask: Ask,
        /// The session that the pack is.
        session: SessionId,
        /// Who asks.
        caller: Caller,
        /// The format that the pack must have.
        accept: Format,
        /// The instances of the device's own Bootstrap-Server account, if it names them.
        account: Box<[Path]>,
    },
    /// A step ended. Where the device has answered and the session goes on: what is the next step?
    StepDone {
        /// What [`BootstrapServer::answer`](super::BootstrapServer::answer) takes: [`Answer::Step`] or [`Answer::End`];
        /// `None`: the session is over, and [`Event::Ended`] follows.
        ask: Option<Ask>,
        /// Which session.
        session: SessionId,
        /// What was to be done.
        command: Command,
        /// What came of it.
        outcome: StepOutcome,
        /// From the first sending to the outcome.
        elapsed: Duration,
        /// How often the command was begun: more than once when the device did not answer.
        attempts: u8,
    },
    /// Something about a secured session.
    Security(SecurityEvent),
    /// A session is over.
    Ended {
        /// Which session.
        session: SessionId,
        /// Which device.
        endpoint: Endpoint,
        /// How it ended.
        reason: Ended,
        /// How long it took.
        elapsed: Duration,
    },
}

/// Names one session; numbers are not used again.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct SessionId(pub(super) u64);

impl fmt::Display for SessionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0, f)
    }
}

/// A device that asks to be configured.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Caller {
    /// Its Endpoint Client Name, as it says or as its identity says.
    pub endpoint: Endpoint,
    /// Where it asks from.
    pub from: SocketAddr,
    /// How it has proven who it is. A secured one may speak for that endpoint.
    pub identity: Identity,
}

/// How a device has proven who it is.
#[derive(Clone, PartialEq, Eq, Default, Debug)]
#[non_exhaustive]
pub enum Identity {
    /// Not at all: the transport has no security.
    #[default]
    Unsecured,
    /// By the credential of its session; it may speak for the endpoint that it asks for.
    Secured(SessionInfo),
}

impl Identity {
    /// The endpoint that the identity stands for, so that the device need not say it.
    #[must_use]
    pub fn endpoint(&self) -> Option<Endpoint> {
        match self {
            Self::Unsecured => None,
            Self::Secured(session) => session.party.endpoints.one().cloned(),
        }
    }

    /// Whether it may speak for this endpoint. Without security that is for the host to say.
    pub(super) fn allows(&self, endpoint: &str) -> bool {
        match self {
            Self::Unsecured => true,
            Self::Secured(session) => session.party.endpoints.allow(endpoint),
        }
    }
}

/// A command and the content of a Write.
#[derive(Clone, PartialEq, Eq)]
pub struct Step {
    /// What to do.
    pub command: Command,
    /// The payload of a Write; empty for all others. It may hold keys, and is not printed.
    pub payload: Arc<[u8]>,
}

impl Step {
    /// A command without content.
    #[must_use]
    pub fn of(command: Command) -> Self {
        Self { command, payload: Arc::default() }
    }
}

impl fmt::Debug for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {} ({} bytes)", self.command.operation, self.command.path, self.payload.len())
    }
}

/// A whole configuration.
#[derive(Clone, PartialEq, Eq)]
pub struct Pack {
    /// What it is in: the format that was asked for.
    pub format: Format,
    /// The payload. It may hold keys, and is not printed.
    pub payload: Arc<[u8]>,
}

impl fmt::Debug for Pack {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "pack in {} ({} bytes)", self.format, self.payload.len())
    }
}

/// How a step ended.
#[derive(Clone, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub enum StepOutcome {
    /// The device answered.
    Response(Response),
    /// It did not, however often it was asked.
    Timeout,
    /// It rejected the message.
    Reset,
    /// Its answer broke the rules of CoAP, or was larger than [`Limits::body`](super::Limits).
    Broken,
}

/// How a session ended.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
#[non_exhaustive]
pub enum Ended {
    /// The device took the configuration: 2.04 to its Finish.
    Finished,
    /// The pack was sent.
    PackSent,
    /// The host gave up, or did not answer in time.
    GivenUp,
    /// The device stopped answering, or answered nonsense.
    DeviceLost,
    /// A newer request of the device, or of another one at its address, took the place of the session.
    Displaced,
    /// The session took longer than [`Config::session_timeout`](super::Config), or more steps than
    /// [`Limits::steps`](super::Limits).
    TooLong,
}

/// The answer to a question.
#[derive(Clone, PartialEq, Debug)]
#[non_exhaustive]
pub enum Answer {
    /// The first step, or the next one.
    Step(Step),
    /// The whole configuration at once.
    Pack(Pack),
    /// The word on a credential ([`SecurityEvent::AskCredential`]).
    Credential(Credential),
    /// No further step: the session is given up without a Finish.
    End,
    /// No: the device gets this code (4.00 unknown, 4.04 no pack, 4.05 no pack wanted, …).
    Refuse {
        /// A client or server error code; anything else becomes 5.00.
        code: Code,
    },
}
