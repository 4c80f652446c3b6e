//! ShardInbox: the bounded way into a shard thread.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use lightship_server::{
    Answer, Ask, CredentialEnd, Endpoint, Operation, Outcome, Path, Registration, RegistrationId,
    Registrations, RequestError, Stats, TraceAsk, TraceChunk, Wanted, WhenAsleep, Whose,
};
use tokio::sync::{mpsc, oneshot};

use crate::followers::TraceFollow;
use crate::socket_group::{Kind, Way};

/// What a caller is given for a command: the outcome comes later, once.
pub type Reply<T> = oneshot::Receiver<Result<T, RequestError>>;

/// The way into one shard thread; clones lead to the same shard.
#[derive(Clone, Debug)]
pub struct ShardInbox {
    commands: mpsc::Sender<Command>,
    controls: mpsc::Sender<Control>,
}

/// How long a caller waits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Wait {
    /// The longest time to the outcome.
    pub at_most: Duration,
    /// Whether that includes waiting for a device to wake.
    pub when_asleep: WhenAsleep,
}

impl Wait {
    /// For a device that is awake; one that sleeps is refused at once.
    #[must_use]
    pub const fn awake(at_most: Duration) -> Self {
        Self { at_most, when_asleep: WhenAsleep::Refuse }
    }

    /// For a device that may have to wake first.
    #[must_use]
    pub const fn held(at_most: Duration) -> Self {
        Self { at_most, when_asleep: WhenAsleep::Hold }
    }
}

/// Why a command was not taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InboxError {
    /// Too many commands wait; try again later.
    #[error("too many commands wait for the shard")]
    Full,
    /// The shard has stopped.
    #[error("the shard has stopped")]
    Stopped,
}

/// Counters of a shard and of its sockets.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ShardStats {
    /// The engine's.
    pub engine: Stats,
    /// The sockets'.
    pub sockets: SocketStats,
}

/// What a shard's sockets count.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SocketStats {
    /// Datagrams received.
    pub received: u64,
    /// Datagrams sent.
    pub sent: u64,
    /// Received datagrams that were empty or too long.
    pub unusable: u64,
    /// Datagrams that the system did not take.
    pub unsent: u64,
    /// Datagrams handed to the shard that owns their registration.
    pub handed_over: u64,
    /// Datagrams lost because that shard's inbox was full.
    pub hand_over_lost: u64,
    /// Datagrams that the system dropped before they were received: there was no room for them, or they were ClientHellos of which
    /// more came than could be answered.
    pub lost: u64,
    /// Gauge: how much of the ClientHellos the system is told to drop, from 0 (nothing) to 8 (nearly all).
    pub shedding: u64,
    /// Panics caught while a datagram was handled: mistakes of ours.
    pub bugs: u64,
}

/// What callers want; waits while the shard's events are not read.
#[derive(Debug)]
pub(crate) enum Command {
    Request { endpoint: Endpoint, operation: Operation, wait: Wait, reply: Sender<Outcome> },
    Observe { endpoint: Endpoint, wanted: Wanted, wait: Wait, reply: Sender<Outcome> },
    CancelObservation { endpoint: Endpoint, which: Which, wait: Duration, reply: Sender<Option<Outcome>> },
    Forget { endpoint: Endpoint, registration: RegistrationId, reply: Sender<()> },
    Registration { endpoint: Endpoint, reply: Sender<Registration> },
    Want { endpoint: Endpoint, wanted: Vec<Wanted> },
}

/// One of a device's observations.
#[derive(Debug)]
pub(crate) enum Which {
    Node(Path),
    Composite(Arc<str>),
}

/// What must get through always: there are never more of these than the shard has asked for.
#[derive(Debug)]
pub(crate) enum Control {
    Answer(Ask, Answer),
    Answers(Vec<(Ask, Answer)>),
    Datagram {
        kind: Kind,
        way: Way,
        from: SocketAddr,
        bytes: Box<[u8]>,
    },
    EndSessions {
        whose: Arc<[Whose]>,
        why: CredentialEnd,
        registrations: Registrations,
        done: oneshot::Sender<()>,
    },
    Stats(oneshot::Sender<ShardStats>),
    Trace(TraceAsk, oneshot::Sender<TraceChunk>),
    Follow(TraceFollow, oneshot::Sender<Result<(), InboxError>>),
    Stop,
}

pub(crate) type Sender<T> = oneshot::Sender<Result<T, RequestError>>;

/// The shard's side of an inbox.
#[derive(Debug)]
pub(crate) struct InboxReader {
    pub(crate) commands: mpsc::Receiver<Command>,
    pub(crate) controls: mpsc::Receiver<Control>,
}

impl ShardInbox {
    pub(crate) fn new(len: usize) -> (ShardInbox, InboxReader) {
        let (commands, command_reader) = mpsc::channel(len.max(1));
        let (controls, control_reader) = mpsc::channel(CONTROLS_MAX);
        (
            ShardInbox { commands, controls },
            InboxReader { commands: command_reader, controls: control_reader },
        )
    }

    /// The registration of an endpoint as it is now, with the session that it uses and what was dropped of it.
    ///
    /// # Errors
    /// [`InboxError`]: nothing will happen.
    pub fn registration(&self, endpoint: Endpoint) -> Result<Reply<Registration>, InboxError> {
        self.command(|reply| Command::Registration { endpoint, reply })
    }

    /// One downlink request; its outcome comes within the time of `wait`.
    ///
    /// # Errors
    /// [`InboxError`]: nothing will happen.
    pub fn request(
        &self,
        endpoint: Endpoint,
        operation: Operation,
        wait: Wait,
    ) -> Result<Reply<Outcome>, InboxError> {
        self.command(|reply| Command::Request { endpoint, operation, wait, reply })
    }

    /// Starts an observation; the outcome is the device's first answer.
    ///
    /// # Errors
    /// [`InboxError`]: nothing will happen.
    pub fn observe(
        &self,
        endpoint: Endpoint,
        wanted: Wanted,
        wait: Wait,
    ) -> Result<Reply<Outcome>, InboxError> {
        self.command(|reply| Command::Observe { endpoint, wanted, wait, reply })
    }

    /// Ends an observation; the outcome is the device's answer, or `None` when there was nothing to tell it.
    ///
    /// # Errors
    /// [`InboxError`]: nothing will happen.
    pub fn cancel_observation(
        &self,
        endpoint: Endpoint,
        path: Path,
        wait: Duration,
    ) -> Result<Reply<Option<Outcome>>, InboxError> {
        let which = Which::Node(path);
        self.command(|reply| Command::CancelObservation { endpoint, which, wait, reply })
    }

    /// Ends the composite observation of that name, as [`ShardInbox::cancel_observation`] does one of a path.
    ///
    /// # Errors
    /// [`InboxError`]: nothing will happen.
    pub fn cancel_composite(
        &self,
        endpoint: Endpoint,
        name: Arc<str>,
        wait: Duration,
    ) -> Result<Reply<Option<Outcome>>, InboxError> {
        let which = Which::Composite(name);
        self.command(|reply| Command::CancelObservation { endpoint, which, wait, reply })
    }

    /// Has those observations run that do not yet, until they are cancelled; nothing happens if the device is not registered. Waits for
    /// room: for those who have time.
    ///
    /// # Errors
    /// [`InboxError::Stopped`].
    pub async fn want(&self, endpoint: Endpoint, wanted: Vec<Wanted>) -> Result<(), InboxError> {
        let command = Command::Want { endpoint, wanted };
        self.commands.send(command).await.map_err(|_| InboxError::Stopped)
    }

    /// Forgets that registration, if the endpoint still has it.
    ///
    /// # Errors
    /// [`InboxError`]: nothing will happen.
    pub fn forget(&self, endpoint: Endpoint, registration: RegistrationId) -> Result<Reply<()>, InboxError> {
        self.command(|reply| Command::Forget { endpoint, registration, reply })
    }

    /// Answers a question of the shard; waits for room, which the shard always makes.
    ///
    /// # Errors
    /// [`InboxError::Stopped`].
    pub async fn answer(&self, ask: Ask, answer: Answer) -> Result<(), InboxError> {
        self.controls.send(Control::Answer(ask, answer)).await.map_err(|_| InboxError::Stopped)
    }

    /// Answers many questions of the shard by one message; waits for room, which the shard always makes.
    ///
    /// # Errors
    /// [`InboxError::Stopped`].
    pub async fn answer_many(&self, answers: Vec<(Ask, Answer)>) -> Result<(), InboxError> {
        self.controls.send(Control::Answers(answers)).await.map_err(|_| InboxError::Stopped)
    }

    /// Ends secured sessions at once; returns when they have ended. Waits for room, which the shard always makes.
    ///
    /// # Errors
    /// [`InboxError::Stopped`].
    pub async fn end_sessions(
        &self,
        whose: Arc<[Whose]>,
        why: CredentialEnd,
        registrations: Registrations,
    ) -> Result<(), InboxError> {
        let (done, is_done) = oneshot::channel();
        let control = Control::EndSessions { whose, why, registrations, done };
        self.controls.send(control).await.map_err(|_| InboxError::Stopped)?;
        is_done.await.map_err(|_| InboxError::Stopped)
    }

    /// The counters now.
    ///
    /// # Errors
    /// [`InboxError`].
    pub async fn stats(&self) -> Result<ShardStats, InboxError> {
        ask(&self.controls, Control::Stats).await
    }

    /// What the shard has recorded; ask again with [`TraceChunk::more`] for older messages.
    ///
    /// # Errors
    /// [`InboxError`].
    pub async fn trace(&self, ask: TraceAsk) -> Result<TraceChunk, InboxError> {
        self::ask(&self.controls, |reply| Control::Trace(ask, reply)).await
    }

    /// Tells of messages from now on, as they come and go; a slow reader is told how many it has lost.
    ///
    /// # Errors
    /// [`InboxError`]; full when too many follow already.
    pub async fn follow(&self, follow: TraceFollow) -> Result<(), InboxError> {
        ask(&self.controls, |reply| Control::Follow(follow, reply)).await?
    }

    /// Hands over a datagram that belongs to this shard; says whether there was room.
    pub(crate) fn hand_over(&self, kind: Kind, way: Way, from: SocketAddr, bytes: &[u8]) -> bool {
        self.controls.try_send(Control::Datagram { kind, way, from, bytes: bytes.into() }).is_ok()
    }

    pub(crate) fn stop(&self) {
        // A full inbox is read soon; a closed one has stopped already.
        let _ = self.controls.try_send(Control::Stop);
    }

    fn command<T>(&self, make: impl FnOnce(Sender<T>) -> Command) -> Result<Reply<T>, InboxError> {
        let (sender, receiver) = oneshot::channel();
        self.commands.try_send(make(sender)).map_err(refused)?;
        Ok(receiver)
    }
}

/// Asks a thread something and waits for what it says.
pub(crate) async fn ask<C, T>(
    controls: &mpsc::Sender<C>,
    make: impl FnOnce(oneshot::Sender<T>) -> C,
) -> Result<T, InboxError> {
    let (sender, receiver) = oneshot::channel();
    controls.try_send(make(sender)).map_err(refused)?;
    receiver.await.map_err(|_| InboxError::Stopped)
}

#[expect(clippy::needless_pass_by_value, reason = "it is given away with what was not taken")]
fn refused<T>(error: mpsc::error::TrySendError<T>) -> InboxError {
    match error {
        mpsc::error::TrySendError::Full(_) => InboxError::Full,
        mpsc::error::TrySendError::Closed(_) => InboxError::Stopped,
    }
}

/// Answers, hand-overs and questions about counters that may wait.
const CONTROLS_MAX: usize = 4096;
