//! The Bootstrap-Server's thread: one engine, its sockets, and the loop between them.
//!
//! One thread is enough: a device comes here once in its life, not every few minutes. The order of a round is that of a shard's
//! thread: time that is due, answers, datagrams, each followed by a drain; then one batch of datagrams leaves. While events
//! cannot be delivered the sockets are not read: devices repeat what is lost.

use std::collections::VecDeque;
use std::future::poll_fn;
use std::io;
use std::net::{SocketAddr, UdpSocket};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use lightship_server::bootstrap::{Answer, BootstrapServer, Config, Event, Stats};
use lightship_server::{Ask, CredentialEnd, TraceAsk, TraceChunk, Whose};
use tokio::sync::{mpsc, oneshot};

use crate::clock::Clock;
use crate::followers::{Followers, TraceFollow};
use crate::inbox::{self, InboxError, SocketStats, ask};
use crate::shards::ListenError;
use crate::socket_group::{Kind, Sent, Sockets, Way};
use crate::sys::{Slot, tidy_heap};
use crate::udp;

/// What a Bootstrap-Server's thread is started with.
#[derive(Clone, Debug)]
pub struct BootstrapOptions {
    /// Listen here.
    pub addresses: Vec<SocketAddr>,
    /// Listen here for coaps.
    pub secure_addresses: Vec<SocketAddr>,
    /// What the engine is like.
    pub engine: Config,
    /// Events that may wait for the host.
    pub events_len: usize,
}

/// A running Bootstrap-Server; dropping it stops it.
#[derive(Debug)]
pub struct BootstrapThread {
    inbox: BootstrapInbox,
    addresses: Vec<SocketAddr>,
    secure_addresses: Vec<SocketAddr>,
    thread: Option<JoinHandle<()>>,
    stop: Arc<AtomicBool>,
}

/// The way into a Bootstrap-Server's thread; clones lead to the same.
#[derive(Clone, Debug)]
pub struct BootstrapInbox {
    controls: mpsc::Sender<Control>,
}

#[derive(Debug)]
enum Control {
    Answer(Ask, Answer),
    EndSessions(Arc<[Whose]>, CredentialEnd, oneshot::Sender<()>),
    Stats(oneshot::Sender<(Stats, SocketStats)>),
    Trace(TraceAsk, oneshot::Sender<TraceChunk>),
    Follow(TraceFollow, oneshot::Sender<Result<(), InboxError>>),
    Stop,
}

impl BootstrapInbox {
    /// Answers a question of the engine; waits for room, which the thread always makes.
    ///
    /// # Errors
    /// [`InboxError::Stopped`].
    pub async fn answer(&self, ask: Ask, answer: Answer) -> Result<(), InboxError> {
        self.controls.send(Control::Answer(ask, answer)).await.map_err(|_| InboxError::Stopped)
    }

    /// Ends secured sessions at once; returns when they have ended. Waits for room, which the thread always makes.
    ///
    /// # Errors
    /// [`InboxError::Stopped`].
    pub async fn end_sessions(&self, whose: Arc<[Whose]>, why: CredentialEnd) -> Result<(), InboxError> {
        let (done, is_done) = oneshot::channel();
        self.controls.send(Control::EndSessions(whose, why, done)).await.map_err(|_| InboxError::Stopped)?;
        is_done.await.map_err(|_| InboxError::Stopped)
    }

    /// The counters now.
    ///
    /// # Errors
    /// [`InboxError`].
    pub async fn stats(&self) -> Result<(Stats, SocketStats), InboxError> {
        ask(&self.controls, Control::Stats).await
    }
}

impl BootstrapInbox {
    /// What the engine has recorded; ask again with [`TraceChunk::more`] for older messages.
    ///
    /// # Errors
    /// [`InboxError`].
    pub async fn trace(&self, ask: TraceAsk) -> Result<TraceChunk, InboxError> {
        inbox::ask(&self.controls, |reply| Control::Trace(ask, reply)).await
    }

    /// Tells of messages from now on, as they come and go; a slow reader is told how many it has lost.
    ///
    /// # Errors
    /// [`InboxError`]; full when too many follow already.
    pub async fn follow(&self, follow: TraceFollow) -> Result<(), InboxError> {
        ask(&self.controls, |reply| Control::Follow(follow, reply)).await?
    }
}

impl BootstrapThread {
    /// Opens the sockets and starts the thread. Whoever holds the receiver must read it.
    ///
    /// # Errors
    /// See [`ListenError`].
    pub fn start(
        options: &BootstrapOptions,
        clock: Clock,
    ) -> Result<(BootstrapThread, mpsc::Receiver<Event>), ListenError> {
        let (plain, addresses) = open(&options.addresses)?;
        let (secured, secure_addresses) = open(&options.secure_addresses)?;
        let (events, event_reader) = mpsc::channel(options.events_len.max(1));
        let (controls, control_reader) = mpsc::channel(CONTROLS_MAX);
        let stop = Arc::new(AtomicBool::new(false));
        let start = Start {
            clock,
            engine: options.engine.clone(),
            events,
            controls: control_reader,
            stop: stop.clone(),
        };
        let thread = start.spawn(plain, secured).map_err(ListenError::System)?;
        let inbox = BootstrapInbox { controls };
        let thread = BootstrapThread { inbox, addresses, secure_addresses, thread: Some(thread), stop };
        Ok((thread, event_reader))
    }

    /// The way in.
    #[must_use]
    pub fn inbox(&self) -> &BootstrapInbox {
        &self.inbox
    }

    /// The addresses really bound, in the order of the options.
    #[must_use]
    pub fn addresses(&self) -> &[SocketAddr] {
        &self.addresses
    }

    /// The addresses really bound for coaps, in the order of the options.
    #[must_use]
    pub fn secure_addresses(&self) -> &[SocketAddr] {
        &self.secure_addresses
    }

    /// Whether it still runs.
    #[must_use]
    pub fn alive(&self) -> bool {
        self.thread.as_ref().is_some_and(|thread| !thread.is_finished())
    }

    /// Stops and waits until the sockets are closed.
    pub fn stop(mut self) {
        self.end();
    }

    fn end(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        // A full inbox is read soon; a closed one has stopped already.
        let _ = self.inbox.controls.try_send(Control::Stop);
        if let Some(thread) = self.thread.take()
            && thread.join().is_err()
        {
            tracing::error!("the Bootstrap-Server's thread panicked");
        }
    }
}

impl Drop for BootstrapThread {
    fn drop(&mut self) {
        self.end();
    }
}

/// Opens a socket at each address; with them come the addresses really bound.
fn open(addresses: &[SocketAddr]) -> Result<(Vec<UdpSocket>, Vec<SocketAddr>), ListenError> {
    let mut sockets = Vec::new();
    let mut bound = Vec::new();
    for &address in addresses {
        let (socket, at) =
            udp::bind(address, 1).map_err(|source| ListenError::Address { address, source })?;
        bound.push(at);
        sockets.extend(socket);
    }
    Ok((sockets, bound))
}

struct Start {
    clock: Clock,
    engine: Config,
    events: mpsc::Sender<Event>,
    controls: mpsc::Receiver<Control>,
    stop: Arc<AtomicBool>,
}

impl Start {
    fn spawn(self, plain: Vec<UdpSocket>, secured: Vec<UdpSocket>) -> io::Result<JoinHandle<()>> {
        let mut seed = [0; 32];
        getrandom::fill(&mut seed).map_err(io::Error::other)?;
        let mut runtime = tokio::runtime::Builder::new_current_thread();
        let runtime = runtime.enable_io().enable_time().on_thread_park(tidy_heap).build()?;
        let sockets = {
            let _inside = runtime.enter();
            Sockets::new(plain, secured)?
        };
        std::thread::Builder::new().name("bootstrap".to_owned()).spawn(move || {
            let running = Running {
                clock: self.clock,
                engine: BootstrapServer::new(self.engine, seed),
                sockets,
                events: self.events,
                controls: self.controls,
                stop: self.stop,
                waiting: VecDeque::new(),
                outgoing: Slot::default(),
                stats: SocketStats::default(),
                sent: Sent::default(),
                followers: Followers::default(),
                stopping: false,
            };
            runtime.block_on(running.run());
        })
    }
}

struct Running {
    clock: Clock,
    engine: BootstrapServer,
    sockets: Sockets,
    events: mpsc::Sender<Event>,
    controls: mpsc::Receiver<Control>,
    stop: Arc<AtomicBool>,
    /// Events that the host has no room for yet.
    waiting: VecDeque<Event>,
    /// Where the engine writes its next datagram.
    outgoing: Slot,
    stats: SocketStats,
    sent: Sent,
    followers: Followers,
    stopping: bool,
}

impl Running {
    /// Runs until told to stop or until nobody reads its events.
    async fn run(mut self) {
        let mut slots = Slot::batch();
        let mut rounds = 0;
        while !self.stopping && !self.stop.load(Ordering::Relaxed) {
            let busy = self.round(&mut slots);
            rounds += 1;
            if !busy {
                self.wait().await;
                rounds = 0;
            } else if rounds >= ROUNDS_MAX {
                tokio::task::yield_now().await;
                rounds = 0;
            }
        }
        self.drain();
        self.sockets.flush(&mut self.sent);
    }

    /// One round; says whether there may be more to do at once.
    fn round(&mut self, slots: &mut [Slot]) -> bool {
        let now = self.clock.now();
        if self.engine.poll_timeout().is_some_and(|due| due <= now) {
            self.engine.handle_timeout(now);
            self.drain();
        }
        let mut busy = false;
        for _ in 0..CONTROLS_PER_ROUND {
            let Ok(control) = self.controls.try_recv() else { break };
            self.take_control(control);
            busy = true;
        }
        self.deliver();
        self.sockets.relieve(now);
        for kind in [Kind::Plain, Kind::Secured] {
            for index in 0..self.sockets.of(kind).len() {
                if self.waiting.is_empty() {
                    busy |= self.receive(kind, index, slots);
                    self.deliver();
                }
            }
        }
        self.sockets.flush(&mut self.sent);
        self.followers.look(now, self.engine.trace_newest(), |ask| self.engine.trace(ask));
        busy
    }

    /// Sleeps until there is something to do.
    async fn wait(&mut self) {
        let delivered = self.waiting.is_empty();
        let due = [self.engine.poll_timeout(), self.followers.due(self.engine.trace_newest())];
        let due = due.into_iter().flatten().min().map(|due| due.saturating_duration_since(self.clock.now()));
        let sleep_max = self.sockets.look_within().unwrap_or(SLEEP_MAX);
        let sleep = tokio::time::sleep(due.unwrap_or(sleep_max).min(sleep_max));
        let sockets = &self.sockets;
        let control = tokio::select! {
            () = poll_fn(|context| sockets.poll_readable(context)), if delivered => None,
            control = self.controls.recv() => Some(control.unwrap_or(Control::Stop)),
            permit = self.events.reserve(), if !delivered => match permit {
                Ok(permit) => {
                    if let Some(event) = self.waiting.pop_front() {
                        permit.send(event);
                    }
                    None
                }
                Err(_) => Some(Control::Stop),
            },
            () = sleep => None,
        };
        if let Some(control) = control {
            self.take_control(control);
        }
    }

    fn receive(&mut self, kind: Kind, index: usize, slots: &mut [Slot]) -> bool {
        let count = self.sockets.of(kind).receive(index, slots).unwrap_or_else(|error| {
            tracing::warn!(%error, "a socket does not receive");
            0
        });
        for slot in slots.iter_mut().take(count) {
            self.stats.received += 1;
            if slot.len == 0 {
                self.stats.unusable += 1;
                continue;
            }
            self.sockets.of(kind).heard(slot.address, Way { socket: index, local: slot.local });
            self.feed(kind, slot);
        }
        count > 0
    }

    /// Gives one datagram to the engine. A panic in there is our bug: it costs this datagram, not the thread.
    fn feed(&mut self, kind: Kind, slot: &mut Slot) {
        let (now, engine) = (self.clock.now(), &mut self.engine);
        let Some(datagram) = slot.bytes.get_mut(..slot.len) else { return };
        let fed = catch_unwind(AssertUnwindSafe(|| match kind {
            Kind::Plain => engine.handle_input(now, slot.address, datagram),
            Kind::Secured => engine.handle_secured_input(now, slot.address, datagram),
        }));
        if fed.is_err() {
            self.stats.bugs += 1;
            tracing::error!("a datagram made the engine panic; please report this");
        }
        self.drain();
    }

    /// Takes everything out of the engine that the last call put there.
    fn drain(&mut self) {
        while let Some(transmit) = self.engine.poll_transmit(&mut self.outgoing.bytes) {
            self.sockets.push(transmit, &mut self.outgoing, &mut self.sent);
        }
        while let Some(event) = self.engine.poll_event() {
            self.waiting.push_back(event);
        }
    }

    /// Gives events to the host as long as it has room.
    fn deliver(&mut self) {
        while !self.waiting.is_empty() {
            match self.events.try_reserve() {
                Ok(permit) => {
                    if let Some(event) = self.waiting.pop_front() {
                        permit.send(event);
                    }
                }
                Err(mpsc::error::TrySendError::Full(())) => return,
                Err(mpsc::error::TrySendError::Closed(())) => {
                    self.stopping = true;
                    return;
                }
            }
        }
    }

    fn take_control(&mut self, control: Control) {
        match control {
            Control::Answer(ask, answer) => {
                self.engine.answer(self.clock.now(), ask, answer);
                self.drain();
            }
            Control::EndSessions(whose, why, done) => {
                self.engine.end_sessions(self.clock.now(), &whose, why);
                self.drain();
                self.sockets.flush(&mut self.sent);
                let _ = done.send(());
            }
            Control::Stats(reply) => {
                let Sent { sent, unsent } = self.sent;
                let (shedding, lost) = self.sockets.losses();
                let sockets = SocketStats { sent, unsent, lost, shedding, ..self.stats };
                let _ = reply.send((self.engine.stats(), sockets));
            }
            Control::Trace(ask, reply) => drop(reply.send(self.engine.trace(ask))),
            Control::Follow(follow, reply) => drop(reply.send(self.followers.add(follow))),
            Control::Stop => self.stopping = true,
        }
    }
}

/// Rounds without a pause before others of the thread get their turn.
const ROUNDS_MAX: u32 = 64;
/// Answers taken in one round.
const CONTROLS_PER_ROUND: usize = 256;
/// Answers and questions about counters that may wait.
const CONTROLS_MAX: usize = 4096;
/// Longest sleep; waking for nothing once in a while costs nothing.
const SLEEP_MAX: Duration = Duration::from_secs(60);
