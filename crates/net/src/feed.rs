//! Registrations out of a store on their way into the shards, before those read their sockets.

use std::sync::Arc;

use lightship_platform::Instant;
use lightship_server::{Endpoint, RegistrationId, Stored};
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

/// The way of stored registrations into shards that wait for them.
#[derive(Debug)]
pub struct Feed {
    shards: Vec<ShardFeed>,
}

#[derive(Debug)]
struct ShardFeed {
    chunk: Vec<StoredRegistration>,
    sender: mpsc::Sender<Vec<StoredRegistration>>,
    done: oneshot::Receiver<u64>,
}

/// A shard's side.
#[derive(Debug)]
pub(crate) struct FeedReader {
    pub(crate) chunks: mpsc::Receiver<Vec<StoredRegistration>>,
    pub(crate) done: oneshot::Sender<u64>,
}

impl Feed {
    pub(crate) fn new(shards: u8) -> (Feed, Vec<FeedReader>) {
        let one = |_| {
            let (sender, chunks) = mpsc::channel(CHUNKS_MAX);
            let (told, done) = oneshot::channel();
            (ShardFeed { chunk: Vec::new(), sender, done }, FeedReader { chunks, done: told })
        };
        let (shards, readers) = (0..shards).map(one).unzip();
        (Feed { shards }, readers)
    }

    /// Hands one over; says whether there is a shard for it. It may block: not for async code.
    pub fn push(&mut self, registration: StoredRegistration) -> bool {
        let Some(shard) = self.shards.get_mut(usize::from(registration.id.shard)) else { return false };
        shard.chunk.push(registration);
        if shard.chunk.len() < CHUNK_LEN {
            return true;
        }
        let chunk = std::mem::replace(&mut shard.chunk, Vec::with_capacity(CHUNK_LEN));
        shard.sender.blocking_send(chunk).is_ok()
    }

    /// There are no more: the shards begin. Says how many registrations they have, those included that they were frozen with. It blocks.
    #[must_use]
    pub fn finish(self) -> u64 {
        let waiting = self.shards.into_iter().map(|shard| {
            // A shard that has died is found out by others.
            let _ = shard.sender.blocking_send(shard.chunk);
            shard.done
        });
        let waiting: Vec<_> = waiting.collect();
        waiting.into_iter().filter_map(|done| done.blocking_recv().ok()).sum()
    }
}

/// Registrations that are handed over together.
const CHUNK_LEN: usize = 1024;
/// Chunks that may wait before a shard.
const CHUNKS_MAX: usize = 8;
