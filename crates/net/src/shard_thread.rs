//! One thread, one shard, its sockets: the loop that moves datagrams, commands and events.
//!
//! The order of a round is fixed: time that is due, answers, commands, up to a batch of datagrams a socket, each followed by a
//! drain; then the datagrams leave in batches, and the events in one message, unless they are mere signs of life and more datagrams
//! come. While events cannot be delivered the shard reads neither commands nor sockets: the network waits, nothing is lost.

use std::collections::HashMap;
use std::future::poll_fn;
use std::net::SocketAddr;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use lightship_platform::Instant;
use lightship_server::{
    Event, Frozen, ObservationId, Outcome, Request, RequestError, RequestId, Route, Shard,
};

use crate::clock::Clock;
use crate::events::{Delivery, EventSender};
use crate::feed::{FeedReader, RestoredRegistration, Step, StoredRegistration, TakeRestored};
use crate::followers::Followers;
use crate::inbox::{Command, Control, InboxReader, Sender, ShardInbox, ShardStats, SocketStats, Wait, Which};
use crate::socket_group::{Kind, Sent, Sockets, Way};
use crate::sys::Slot;
use crate::ways;

/// What a shard thread is made of.
pub(crate) struct ShardThread {
    pub(crate) number: u8,
    pub(crate) clock: Clock,
    pub(crate) shard: Shard,
    pub(crate) sockets: Sockets,
    pub(crate) inbox: InboxReader,
    /// The inboxes of all shards, for datagrams that belong elsewhere.
    pub(crate) others: Vec<ShardInbox>,
    pub(crate) events: EventSender,
    /// Set when all shards shall stop; a message in the inbox wakes those that sleep.
    pub(crate) stop: Arc<AtomicBool>,
    /// Set before that if they shall leave something to go on with.
    pub(crate) freeze: Arc<AtomicBool>,
    pub(crate) state: State,
}

/// What a shard thread remembers between rounds.
#[derive(Default)]
pub(crate) struct State {
    /// Events that the host has not been given yet.
    waiting: Vec<Event>,
    /// Whether one of them is more than a sign of life, or there was no room for it.
    is_urgent: bool,
    /// Where the engine writes its next datagram.
    outgoing: Slot,
    requests: HashMap<RequestId, Waiting>,
    observations: HashMap<ObservationId, Sender<Outcome>>,
    stats: SocketStats,
    sent: Sent,
    /// When requests were last looked through for those that nobody waits for any more.
    swept_at: Instant,
    followers: Followers,
    stopping: bool,
}

/// Who waits for a request's outcome.
enum Waiting {
    Request(Sender<Outcome>),
    Cancel(Sender<Option<Outcome>>),
}

/// What ended a sleep.
enum Woken {
    Control(Control),
    Command(Command),
    Stop,
    Nothing,
}

impl ShardThread {
    /// Runs until told to stop or until nobody reads its events.
    pub(crate) async fn run(mut self, feed: Option<FeedReader>) -> Option<Frozen> {
        self.drain();
        if let Some(feed) = feed {
            self.restore(feed).await;
        }
        let mut slots = Slot::batch();
        let mut rounds = 0;
        while !self.state.stopping && !self.stop.load(Ordering::Relaxed) {
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
        self.deliver();
        self.sockets.flush(&mut self.state.sent);
        if !self.freeze.load(Ordering::Relaxed) {
            return None;
        }
        Some(ways::join(&self.shard.freeze(self.clock.now()), &mut self.sockets))
    }

    /// Goes on with registrations out of a store; nothing is read from the network before all shards have done so.
    async fn restore(&mut self, feed: FeedReader) {
        let FeedReader { mut steps, done, opened } = feed;
        let mut take = None;
        while let Some(step) = steps.recv().await {
            match step {
                Step::Take(taker) => take = Some(taker),
                Step::Stored(chunk) => {
                    self.shard.restore(self.clock.now(), chunk.iter().map(StoredRegistration::stored));
                }
            }
            self.drain();
            if let Some(take) = &take {
                self.give_restored(take);
            }
            while self.deliver() == Delivery::Full {
                self.events.room().await;
            }
        }
        let count = u64::try_from(self.shard.registrations().count()).unwrap_or(u64::MAX);
        let _ = done.send(count);
        // It is never sent anything: it ends.
        let _ = opened.await;
    }

    /// Gives what is restored to the host at once, past the other events.
    fn give_restored(&mut self, take: &TakeRestored) {
        let is_restored = |event: &mut Event| matches!(event, Event::Restored { .. });
        let restored = self.state.waiting.extract_if(.., is_restored).filter_map(|event| {
            let Event::Restored { registration, observations } = event else { return None };
            Some(RestoredRegistration { registration: *registration, observations })
        });
        let restored = restored.collect();
        // What a hand-over tells at once is never that much again.
        self.state.waiting.shrink_to(WAITING_ROOM_MAX);
        take(self.number, restored);
    }

    /// One round; says whether there may be more to do at once.
    fn round(&mut self, slots: &mut [Slot]) -> bool {
        let now = self.clock.now();
        if self.shard.poll_timeout().is_some_and(|due| due <= now) {
            self.shard.handle_timeout(now);
            self.drain();
        }
        self.sweep(now);
        self.sockets.relieve(now);
        // What the host had no room for keeps commands and datagrams waiting; controls always get through.
        let held = self.state.is_urgent && self.deliver() == Delivery::Full;
        let mut busy = false;
        for _ in 0..CONTROLS_PER_ROUND {
            let Ok(control) = self.inbox.controls.try_recv() else { break };
            self.take_control(control);
            busy = true;
        }
        if !held {
            for _ in 0..COMMANDS_PER_ROUND {
                let Ok(command) = self.inbox.commands.try_recv() else { break };
                self.take_command(command);
                busy = true;
            }
            for kind in [Kind::Plain, Kind::Secured] {
                for index in 0..self.sockets.of(kind).len() {
                    busy |= self.receive(kind, index, slots);
                }
            }
        }
        // The host works while the datagrams leave.
        let gathers = busy && !self.state.is_urgent && self.state.waiting.len() < GATHERED_MAX;
        let delivered = gathers || self.deliver() == Delivery::Done;
        self.sockets.flush(&mut self.state.sent);
        self.state.followers.look(now, self.shard.trace_newest(), |ask| self.shard.trace(ask));
        busy && delivered
    }

    /// Takes back requests whose callers have hung up and that have not left yet: nobody expects them to be done when
    /// the device wakes.
    fn sweep(&mut self, now: Instant) {
        if now < self.state.swept_at + SWEEP_EVERY {
            return;
        }
        self.state.swept_at = now;
        let abandoned = |(id, waiting): (&RequestId, &Waiting)| {
            matches!(waiting, Waiting::Request(reply) if reply.is_closed()).then_some(*id)
        };
        let abandoned: Vec<RequestId> = self.state.requests.iter().filter_map(abandoned).collect();
        for id in abandoned {
            self.shard.cancel_unsent(now, id);
            self.drain();
        }
    }

    /// Sleeps until there is something to do.
    async fn wait(&mut self) {
        let delivered = self.state.waiting.is_empty();
        let due = [self.shard.poll_timeout(), self.state.followers.due(self.shard.trace_newest())];
        let due = due.into_iter().flatten().min().map(|due| due.saturating_duration_since(self.clock.now()));
        let sleep_max = self.sockets.look_within().unwrap_or(SLEEP_MAX);
        let sleep = tokio::time::sleep(due.unwrap_or(sleep_max).min(sleep_max));
        let sockets = &self.sockets;
        let woken = tokio::select! {
            () = poll_fn(|context| sockets.poll_readable(context)), if delivered => Woken::Nothing,
            control = self.inbox.controls.recv() => control.map_or(Woken::Stop, Woken::Control),
            Some(command) = self.inbox.commands.recv(), if delivered => Woken::Command(command),
            () = self.events.room(), if !delivered => Woken::Nothing,
            () = sleep => Woken::Nothing,
        };
        match woken {
            Woken::Control(control) => self.take_control(control),
            Woken::Command(command) => self.take_command(command),
            Woken::Stop => self.state.stopping = true,
            Woken::Nothing => {}
        }
    }

    fn receive(&mut self, kind: Kind, index: usize, slots: &mut [Slot]) -> bool {
        let count = match self.sockets.of(kind).receive(index, slots) {
            Ok(count) => count,
            Err(error) => {
                tracing::warn!(%error, "a socket does not receive");
                0
            }
        };
        if count == 0 {
            return false;
        }
        let now = self.clock.now();
        let batch = slots.iter().take(count);
        match kind {
            Kind::Plain => self.shard.foresee(batch.map(|slot| slot.address)),
            Kind::Secured => self.shard.foresee_secured(batch.map(Slot::data)),
        }
        for slot in slots.iter_mut().take(count) {
            self.state.stats.received += 1;
            if slot.len == 0 {
                self.state.stats.unusable += 1;
                continue;
            }
            let way = Way { socket: index, local: slot.local };
            self.sockets.of(kind).heard(slot.address, way);
            let route = match kind {
                Kind::Plain => self.shard.route(slot.address, slot.data()),
                Kind::Secured => self.shard.route_secured(slot.address, slot.data()),
            };
            match route {
                Route::Shard(owner) if owner != self.number => self.hand_over(owner, kind, way, slot),
                Route::Here | Route::Shard(_) => {
                    self.feed(now, kind, slot.address, &mut slot.bytes[..slot.len]);
                }
            }
        }
        true
    }

    fn hand_over(&mut self, owner: u8, kind: Kind, way: Way, slot: &Slot) {
        let taken = match self.others.get(usize::from(owner)) {
            Some(inbox) => inbox.hand_over(kind, way, slot.address, slot.data()),
            None => false,
        };
        if taken {
            self.state.stats.handed_over += 1;
        } else {
            self.state.stats.hand_over_lost += 1;
        }
    }

    /// Gives one datagram to the engine. A panic in there is our bug: it costs this datagram, not the shard.
    fn feed(&mut self, now: Instant, kind: Kind, from: SocketAddr, datagram: &mut [u8]) {
        let shard = &mut self.shard;
        let fed = catch_unwind(AssertUnwindSafe(|| match kind {
            Kind::Plain => shard.handle_input(now, from, datagram),
            Kind::Secured => shard.handle_secured_input(now, from, datagram),
        }));
        if fed.is_err() {
            self.state.stats.bugs += 1;
            tracing::error!("a datagram made the engine panic; please report this");
        }
        self.drain();
    }

    /// Takes everything out of the engine that the last call put there.
    fn drain(&mut self) {
        loop {
            while let Some(transmit) = self.shard.poll_transmit(&mut self.state.outgoing.bytes) {
                self.sockets.push(transmit, &mut self.state.outgoing, &mut self.state.sent);
            }
            // What leaves may end a session, of which an event tells, and the end may let something leave; a sign of life does not.
            let mut idle = true;
            while let Some(event) = self.shard.poll_event() {
                idle &= matches!(event, Event::Refreshed { .. });
                self.take_event(event);
            }
            if idle {
                return;
            }
        }
    }

    fn take_event(&mut self, event: Event) {
        match &event {
            Event::RequestDone { id, outcome, .. } => {
                // Somebody who no longer waits needs no answer.
                match self.state.requests.remove(id) {
                    Some(Waiting::Request(reply)) => drop(reply.send(Ok(outcome.clone()))),
                    Some(Waiting::Cancel(reply)) => drop(reply.send(Ok(Some(outcome.clone())))),
                    None => {}
                }
                return;
            }
            Event::ObservationStarted { observation, response, .. } => {
                if let Some(reply) = self.state.observations.remove(observation) {
                    let _ = reply.send(Ok(Outcome::Response(response.clone())));
                }
            }
            Event::ObservationFailed { observation, outcome, .. } => {
                if let Some(reply) = self.state.observations.remove(observation) {
                    let _ = reply.send(Ok(outcome.clone()));
                }
            }
            Event::ObservationEnded { observation, .. } => {
                if let Some(reply) = self.state.observations.remove(observation) {
                    let _ = reply.send(Ok(Outcome::Deregistered));
                }
            }
            Event::AskRegister { .. }
            | Event::AskDurable { .. }
            | Event::Registered { .. }
            | Event::Updated { .. }
            | Event::Deregistered { .. }
            | Event::Notified { .. }
            | Event::Deviated { .. }
            | _ => {}
        }
        self.state.is_urgent |= !matches!(event, Event::Refreshed { .. });
        self.state.waiting.push(event);
    }

    /// Gives events to the host as long as it has room.
    fn deliver(&mut self) -> Delivery {
        let delivery = self.events.deliver(self.number, &mut self.state.waiting);
        self.state.is_urgent = delivery != Delivery::Done;
        self.state.stopping |= delivery == Delivery::Closed;
        delivery
    }

    fn take_control(&mut self, control: Control) {
        match control {
            Control::Answer(ask, answer) => {
                self.shard.answer(self.clock.now(), ask, answer);
                self.drain();
            }
            Control::Answers(answers) => {
                let now = self.clock.now();
                for (ask, answer) in answers {
                    self.shard.answer(now, ask, answer);
                    self.drain();
                }
            }
            Control::Datagram { kind, way, from, mut bytes } => {
                self.sockets.of(kind).heard(from, way);
                self.feed(self.clock.now(), kind, from, &mut bytes);
            }
            Control::EndSessions { whose, why, registrations, done } => {
                self.shard.end_sessions(self.clock.now(), &whose, why, registrations);
                self.drain();
                self.sockets.flush(&mut self.state.sent);
                let _ = done.send(());
            }
            Control::Stats(reply) => {
                let Sent { sent, unsent } = self.state.sent;
                let (shedding, lost) = self.sockets.losses();
                let sockets = SocketStats { sent, unsent, lost, shedding, ..self.state.stats };
                let _ = reply.send(ShardStats { engine: self.shard.stats(), sockets });
            }
            Control::Trace(ask, reply) => drop(reply.send(self.shard.trace(ask))),
            Control::Follow(follow, reply) => drop(reply.send(self.state.followers.add(follow))),
            Control::Stop => {}
        }
    }

    fn take_command(&mut self, command: Command) {
        let now = self.clock.now();
        match command {
            Command::Request { endpoint, operation, wait, reply } => {
                let Wait { at_most, when_asleep } = wait;
                let request = Request { operation, deadline: now + at_most, when_asleep };
                match self.shard.request(now, &endpoint, request) {
                    Ok(id) => drop(self.state.requests.insert(id, Waiting::Request(reply))),
                    Err(error) => drop(reply.send(Err(error))),
                }
            }
            Command::Observe { endpoint, wanted, wait, reply } => {
                match self.shard.observe(now, &endpoint, wanted, now + wait.at_most, wait.when_asleep) {
                    Ok(id) => {
                        if let Some(displaced) = self.state.observations.insert(id, reply) {
                            let _ = displaced.send(Ok(Outcome::Cancelled));
                        }
                    }
                    Err(error) => drop(reply.send(Err(error))),
                }
            }
            Command::CancelObservation { endpoint, which, wait, reply } => {
                let id = match which {
                    Which::Node(path) => self.shard.observation(&endpoint, path),
                    Which::Composite(name) => self.shard.composite_observation(&endpoint, &name),
                };
                if let Some(starting) = id.and_then(|id| self.state.observations.remove(&id)) {
                    let _ = starting.send(Ok(Outcome::Cancelled));
                }
                let cancelled = id.ok_or(RequestError::UnknownEndpoint);
                match cancelled.and_then(|id| self.shard.cancel_observation(now, id, now + wait)) {
                    Ok(Some(id)) => drop(self.state.requests.insert(id, Waiting::Cancel(reply))),
                    Ok(None) => drop(reply.send(Ok(None))),
                    Err(error) => drop(reply.send(Err(error))),
                }
            }
            Command::Registration { endpoint, reply } => {
                let _ = reply.send(self.shard.registration(&endpoint).ok_or(RequestError::UnknownEndpoint));
            }
            Command::Want { endpoint, wanted } => {
                self.shard.want(now, &endpoint, wanted);
            }
            Command::Forget { endpoint, registration, reply } => {
                let known = self.shard.registration(&endpoint).is_some_and(|r| r.id == registration);
                if known {
                    self.shard.forget(now, &endpoint);
                }
                let _ = reply.send(if known { Ok(()) } else { Err(RequestError::UnknownEndpoint) });
            }
        }
        self.drain();
    }
}

/// Rounds without a pause before others of the thread get their turn.
const ROUNDS_MAX: u32 = 64;
/// Answers and hand-overs taken in one round.
const CONTROLS_PER_ROUND: usize = 256;
/// Commands taken in one round.
const COMMANDS_PER_ROUND: usize = 64;
/// Signs of life that are gathered while more datagrams come: to wake the host for each batch would cost as much as to serve some of it.
const GATHERED_MAX: usize = 256;
/// Room that is kept for events on their way to the host, in events.
const WAITING_ROOM_MAX: usize = 4096;
/// Between two looks for requests that nobody waits for any more.
const SWEEP_EVERY: Duration = Duration::from_secs(1);
/// Longest sleep; waking for nothing once in a while costs nothing.
const SLEEP_MAX: Duration = Duration::from_secs(60);
