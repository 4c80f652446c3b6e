//! Registrations out of a store on their way into the shards, before those read their sockets.
//!
//! ```text
//! host's threads ─▶ push ─▶ shards, each by itself ─▶ what they go on with, in the host's hands again
//!                    finish: all have gone on     drop: they begin to serve
//! ```

use std::sync::Arc;

use lightship_platform::Instant;
use lightship_server::{Endpoint, ObservationId, Registration, RegistrationId, Stored, Wanted};
use tokio::sync::{mpsc, oneshot};

/// A registration out of a store.
#[derive(Clone, Debug)]
pub struct StoredRegistration {
    /// Whose it is.
    pub endpoint: Endpoint,
    /// Its name; the first byte says which shard it belongs to.
    pub id: RegistrationId,
    /// When the device registered.
    pub registered_at: Instant,
    /// What [`Registration::said`](lightship_server::Registration::said) gave.
    pub said: Arc<[u8]>,
}

impl StoredRegistration {
    pub(crate) fn stored(&self) -> Stored<'_> {
        Stored {
            endpoint: self.endpoint.clone(),
            id: self.id,
            registered_at: self.registered_at,
            said: &self.said,
        }
    }
}

/// A registration that a shard goes on with, and the observations that go on with it.
#[derive(Clone, Debug)]
pub struct RestoredRegistration {
    /// As it is now.
    pub registration: Registration,
    /// What is observed on it.
    pub observations: Box<[(ObservationId, Wanted)]>,
}

/// Takes what the shard of that number goes on with; called by the shards' own threads, by several at once.
pub type TakeRestored = Arc<dyn Fn(u8, Vec<RestoredRegistration>) + Send + Sync>;

/// The way of stored registrations into shards that wait for them. Dropping it lets the shards begin.
pub struct Feed {
    shards: Vec<ShardFeed>,
}

struct ShardFeed {
    ways: Option<Ways>,
    /// Dropped when the shard may read its sockets.
    _closed: oneshot::Sender<()>,
}

struct Ways {
    sender: mpsc::Sender<Step>,
    done: oneshot::Receiver<u64>,
}

/// What a shard is given before it begins.
pub(crate) enum Step {
    /// From now on nothing that is restored is told as an event.
    Take(TakeRestored),
    Stored(Vec<StoredRegistration>),
}

/// A shard's side.
#[derive(Debug)]
pub(crate) struct FeedReader {
    pub(crate) steps: mpsc::Receiver<Step>,
    pub(crate) done: oneshot::Sender<u64>,
    /// Ends when the shard may read its sockets.
    pub(crate) opened: oneshot::Receiver<()>,
}

impl Feed {
    pub(crate) fn new(shards: u8) -> (Feed, Vec<FeedReader>) {
        let one = |_| {
            let (sender, steps) = mpsc::channel(STEPS_MAX);
            let (told, done) = oneshot::channel();
            let (closed, opened) = oneshot::channel();
            let feed = ShardFeed { ways: Some(Ways { sender, done }), _closed: closed };
            (feed, FeedReader { steps, done: told, opened })
        };
        let (shards, readers) = (0..shards).map(one).unzip();
        (Feed { shards }, readers)
    }

    /// From now on gives what is restored to `take`, in the shards' own threads, in place of
    /// [`Event::Restored`](lightship_server::Event::Restored); also what a shard was frozen with. It may block: not for async code.
    pub fn restored_to(&self, take: &TakeRestored) {
        for ways in self.ways() {
            // A shard that has died is found out by others.
            let _ = ways.sender.blocking_send(Step::Take(take.clone()));
        }
    }

    /// Hands registrations over; says for how many there is no shard. It may block: not for async code.
    pub fn push(&self, registrations: Vec<StoredRegistration>) -> u64 {
        let share = registrations.len() / self.shards.len().max(1) + 1;
        let mut parts: Vec<Vec<StoredRegistration>> = Vec::new();
        parts.resize_with(self.shards.len(), || Vec::with_capacity(share + share / 4));
        let mut homeless = 0;
        for registration in registrations {
            match parts.get_mut(usize::from(registration.id.shard)) {
                Some(part) => part.push(registration),
                None => homeless += 1,
            }
        }
        for (ways, part) in self.ways().zip(parts).filter(|(_, part)| !part.is_empty()) {
            let len = u64::try_from(part.len()).unwrap_or(u64::MAX);
            homeless += ways.sender.blocking_send(Step::Stored(part)).map_or(len, |()| 0);
        }
        homeless
    }

    /// There are no more. Says how many registrations the shards have, those included that they were frozen with; they begin when the
    /// feed is dropped. It blocks.
    #[must_use]
    pub fn finish(&mut self) -> u64 {
        let waiting: Vec<_> = self.shards.iter_mut().filter_map(|shard| shard.ways.take()).collect();
        let waiting: Vec<_> = waiting.into_iter().map(|ways| ways.done).collect();
        waiting.into_iter().filter_map(|done| done.blocking_recv().ok()).sum()
    }

    fn ways(&self) -> impl Iterator<Item = &Ways> {
        self.shards.iter().filter_map(|shard| shard.ways.as_ref())
    }
}

impl std::fmt::Debug for Feed {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Feed").field("shards", &self.shards.len()).finish_non_exhaustive()
    }
}

impl std::fmt::Debug for Step {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Step::Take(_) => f.write_str("Take"),
            Step::Stored(registrations) => write!(f, "Stored({})", registrations.len()),
        }
    }
}

/// Steps that may wait before a shard.
const STEPS_MAX: usize = 8;
