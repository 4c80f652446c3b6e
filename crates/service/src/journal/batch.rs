//! How a write becomes durable: what happens is gathered, written together, and answered when it is safe.
//!
//! ```text
//! events of all shards ──► pending: facts, and who waits for them ──► in flight: commits ──► answers, in their order
//!                             ▲  gathers while enough are under way         │
//!            backlog, goes first ◄── facts that nobody waits for ◄── failed ┴──► 5.03 to all who wait
//! ```
//! Several commits are under way at once, so that one is made ready while the one before is written. Behind one that has facts that are
//! owed nothing takes off: if it fails, they must not be written over what came later.

use std::collections::VecDeque;
use std::future::pending;
use std::sync::atomic::Ordering;
use std::time::Duration;

use lightship_lwm2m::Endpoint;
use lightship_server::{Answer, Ask, Code, RegistrationId, Wanted};
use lightship_store::{Batch, Cursor, Fact, Health, Store, StoreError};
use tokio::task::JoinHandle;

use super::Journal;
use super::backlog::events;

/// What is gathered for the next commit.
#[derive(Default)]
pub(super) struct Pending {
    pub(super) facts: Vec<Fact>,
    /// Who waits, in the order of asking.
    pub(super) then: Vec<Then>,
    /// Those of the facts for which nobody waits and that must come true all the same.
    owed: Vec<Fact>,
}

/// What is done when the facts are safe.
pub(super) enum Then {
    /// The answer to a Register.
    Accept {
        shard: u8,
        ask: Ask,
        endpoint: Endpoint,
        registration: RegistrationId,
        observations: Vec<Wanted>,
    },
    /// The answer to anything else.
    Stored { shard: u8, ask: Ask },
}

/// A commit under way.
pub(super) struct Flight {
    task: JoinHandle<Result<Cursor, StoreError>>,
    then: Vec<Then>,
    owed: Vec<Fact>,
    events: u64,
    /// Those of them that are told no more when it fails.
    in_vain: u64,
}

/// Answers to all shards, in their order.
#[derive(Default)]
struct Answers {
    by_shard: Vec<Vec<(Ask, Answer)>>,
}

impl Answers {
    fn push(&mut self, shard: u8, ask: Ask, answer: Answer) {
        let shard = usize::from(shard);
        if self.by_shard.len() <= shard {
            self.by_shard.resize_with(shard + 1, Vec::new);
        }
        if let Some(answers) = self.by_shard.get_mut(shard) {
            answers.push((ask, answer));
        }
    }
}

impl Pending {
    pub(super) fn len(&self) -> usize {
        self.facts.len() + self.then.len()
    }

    /// A fact that is written as soon as the store takes it: nobody waits, but it is so.
    pub(super) fn owe(&mut self, fact: Fact) {
        self.facts.push(fact.clone());
        self.owed.push(fact);
    }

    /// Events that are told no more when this is refused.
    fn told_in_vain(&self) -> u64 {
        events(&self.facts) - events(&self.owed)
    }
}

impl Flight {
    /// Comes back when the first commit has come to its end; never without one.
    pub(super) async fn landed(flights: &mut VecDeque<Flight>) -> Result<Cursor, StoreError> {
        let Some(flight) = flights.front_mut() else { return pending().await };
        let lost = |error| StoreError::Unavailable {
            path: Default::default(),
            source: std::io::Error::other(error),
        };
        (&mut flight.task).await.map_err(lost)?
    }
}

impl Journal {
    /// Begins a commit of what was gathered, unless enough are under way or there is no sense in trying yet.
    pub(super) fn take_off(&mut self) {
        let waits_longer =
            self.pending.then.is_empty() && self.retry_at.is_some_and(|at| tokio::time::Instant::now() < at);
        let is_held = self.flights.len() >= FLIGHTS_MAX
            || self.flights.back().is_some_and(|last| !last.owed.is_empty())
            || !self.flights.is_empty() && self.pending.len() < FLIGHT_LEN_MIN;
        if is_held || waits_longer {
            return;
        }
        if self.is_idle() {
            return self.look_again();
        }
        let mut owed = self.backlog.stretch();
        let mut facts = owed.clone();
        let mut then = Vec::new();
        // What came later goes with what is owed, or behind it.
        if self.backlog.is_empty() {
            let pending = std::mem::take(&mut self.pending);
            facts.extend(pending.facts);
            owed.extend(pending.owed);
            then = pending.then;
        }
        let core = self.core.clone();
        let (all, in_vain) = (events(&facts), events(&facts) - events(&owed));
        let task = tokio::spawn(async move { core.store.commit(Batch { facts }).await });
        self.flights.push_back(Flight { task, then, owed, events: all, in_vain });
    }

    /// Whether nothing is to be written.
    pub(super) fn is_idle(&self) -> bool {
        self.pending.len() == 0 && self.backlog.is_empty()
    }

    /// Nothing is to be written that could tell whether the store works again: it says so itself.
    fn look_again(&mut self) {
        if self.retry_at.is_none() {
            return;
        }
        if self.core.store.health() == Health::Good {
            self.works_again();
        } else {
            self.retry_at = Some(tokio::time::Instant::now() + RETRY_EVERY);
        }
    }

    fn works_again(&mut self) {
        if self.retry_at.take().is_some() {
            tracing::info!("the store takes what happens again");
        }
    }

    /// A commit has come to its end.
    pub(super) async fn landed(&mut self, result: Result<Cursor, StoreError>) {
        let Some(flight) = self.flights.pop_front() else { return };
        let counters = &self.core.counters;
        match result {
            Ok(newest) => {
                counters.commits.fetch_add(1, Ordering::Relaxed);
                counters.events.fetch_add(flight.events, Ordering::Relaxed);
                self.core.tell_newest(newest);
                self.works_again();
                self.grant(flight.then).await;
            }
            Err(error) => {
                if self.retry_at.is_none() {
                    let error = &error as &dyn std::error::Error;
                    tracing::error!(error, "the store does not take what happens; new work is refused");
                }
                self.retry_at = Some(tokio::time::Instant::now() + RETRY_EVERY);
                counters.commits_failed.fetch_add(1, Ordering::Relaxed);
                counters.events_lost.fetch_add(flight.in_vain, Ordering::Relaxed);
                self.backlog.put_back(flight.owed);
                self.refuse(flight.then).await;
                if self.flights.is_empty() {
                    self.refuse_pending().await;
                }
            }
        }
    }

    /// What was gathered since fails with the commits before it: nobody waits for what would fail, and the backlog is in order.
    async fn refuse_pending(&mut self) {
        let pending = std::mem::take(&mut self.pending);
        let in_vain = pending.told_in_vain();
        let left_out = self.backlog.add(pending.owed);
        if !left_out.is_empty() {
            tracing::error!(facts = left_out.len(), "facts are lost: the store has failed for too long");
        }
        self.core.counters.events_lost.fetch_add(in_vain + events(&left_out), Ordering::Relaxed);
        self.refuse(pending.then).await;
    }

    /// Comes back when a store that failed may be tried again; never when none did.
    pub(super) async fn retry(at: Option<tokio::time::Instant>) {
        match at {
            Some(at) => tokio::time::sleep_until(at).await,
            None => pending().await,
        }
    }

    async fn grant(&self, then: Vec<Then>) {
        let mut answers = Answers::default();
        for then in then {
            match then {
                Then::Accept { shard, ask, observations, .. } => {
                    answers.push(shard, ask, Answer::Accept { observations });
                }
                Then::Stored { shard, ask } => answers.push(shard, ask, Answer::Stored),
            }
        }
        self.send(answers).await;
    }

    async fn refuse(&mut self, then: Vec<Then>) {
        let mut answers = Answers::default();
        for then in then {
            let (shard, ask) = match then {
                Then::Accept { shard, ask, endpoint, registration, .. } => {
                    self.does_not_come(&endpoint, registration);
                    (shard, ask)
                }
                Then::Stored { shard, ask } => (shard, ask),
            };
            answers.push(shard, ask, Answer::Refuse { code: Code::SERVICE_UNAVAILABLE });
        }
        self.send(answers).await;
    }

    async fn send(&self, answers: Answers) {
        for (shard, answers) in (0..).zip(answers.by_shard) {
            if let Some(inbox) = self.core.inbox(shard).filter(|_| !answers.is_empty()) {
                // A stopped shard needs no answer.
                let _ = inbox.answer_many(answers).await;
            }
        }
    }

    pub(super) async fn answer(&self, shard: u8, ask: Ask, answer: Answer) {
        if let Some(inbox) = self.core.inbox(shard) {
            // A stopped shard needs no answer.
            let _ = inbox.answer(ask, answer).await;
        }
    }
}

/// Commits that are under way at once.
const FLIGHTS_MAX: usize = 4;
/// What is worth a commit of its own while another is under way.
const FLIGHT_LEN_MIN: usize = 64;
/// How often a store that fails is tried when nobody waits.
const RETRY_EVERY: Duration = Duration::from_secs(1);
