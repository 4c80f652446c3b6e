//! What all parts of a running server share.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

use lightship_api::Timestamp;
use lightship_net::{Clock, ShardInbox};
use lightship_platform::UnixTime;
use lightship_platform::crypto::Crypto;
use lightship_store::{AnyStore, CommandState, Cursor};
use tokio::sync::watch;

use crate::access::Access;
use crate::bootstrap::Bootstrap;
use crate::config::Config;
use crate::directory::Directory;
use crate::fleet::Fleet;
use crate::journal::Forgotten;
use crate::models::Models;
use crate::queue::Queue;
use crate::security::{Gate, Keeper};

/// Shared by the journal and every REST handler.
pub(crate) struct Core {
    pub(crate) config: Config,
    pub(crate) access: Access,
    pub(crate) clock: Clock,
    pub(crate) store: AnyStore,
    pub(crate) directory: Directory,
    pub(crate) models: Models,
    pub(crate) inboxes: Vec<ShardInbox>,
    pub(crate) queue: Queue,
    pub(crate) bootstrap: Bootstrap,
    pub(crate) crypto: Arc<dyn Crypto>,
    pub(crate) keeper: Keeper,
    pub(crate) gate: Gate,
    pub(crate) fleet: Fleet,
    pub(crate) forgotten: Forgotten,
    /// The newest event of the log; readers of the stream wait for it to change.
    pub(crate) newest: watch::Sender<Cursor>,
    /// True from the moment the server is told to stop.
    pub(crate) stopping: watch::Sender<bool>,
    pub(crate) counters: Counters,
}

/// What the service itself counts.
#[derive(Debug, Default)]
pub(crate) struct Counters {
    pub(crate) http_requests: AtomicU64,
    pub(crate) http_problems: AtomicU64,
    pub(crate) http_connections: AtomicUsize,
    pub(crate) event_readers: AtomicUsize,
    pub(crate) event_readers_dropped: AtomicU64,
    pub(crate) undecoded: AtomicU64,
    pub(crate) commits: AtomicU64,
    pub(crate) commits_failed: AtomicU64,
    pub(crate) events: AtomicU64,
    pub(crate) events_lost: AtomicU64,
    pub(crate) updates_unlogged: AtomicU64,
    pub(crate) commands: CommandCounters,
}

/// Durable commands by what became of them.
#[derive(Debug, Default)]
pub(crate) struct CommandCounters {
    pub(crate) queued: AtomicU64,
    pub(crate) sent: AtomicU64,
    pub(crate) done: AtomicU64,
    pub(crate) refused: AtomicU64,
    pub(crate) expired: AtomicU64,
    pub(crate) cancelled: AtomicU64,
    pub(crate) superseded: AtomicU64,
}

impl CommandCounters {
    /// A command has come so far.
    pub(crate) fn count(&self, state: CommandState, is_new: bool) {
        let counter = match state {
            CommandState::Waiting if is_new => &self.queued,
            CommandState::Waiting => return,
            CommandState::Sent => &self.sent,
            CommandState::Done => &self.done,
            CommandState::Refused => &self.refused,
            CommandState::Expired => &self.expired,
            CommandState::Cancelled => &self.cancelled,
            CommandState::Superseded => &self.superseded,
        };
        counter.fetch_add(1, Ordering::Relaxed);
    }
}

impl Core {
    /// The date of now, as the API shows it.
    pub(crate) fn now(&self) -> Timestamp {
        timestamp(self.clock.date())
    }

    /// Wakes the readers of the log, once it is longer.
    pub(crate) fn tell_newest(&self, newest: Cursor) {
        self.newest.send_if_modified(|known| {
            let is_newer = newest.number > known.number;
            if is_newer {
                *known = newest;
            }
            is_newer
        });
    }

    pub(crate) fn inbox(&self, shard: u8) -> Option<&ShardInbox> {
        self.inboxes.get(usize::from(shard))
    }
}

pub(crate) fn timestamp(date: UnixTime) -> Timestamp {
    Timestamp(date.as_millis())
}

/// How long a caller waits for an awake device unless it says otherwise.
pub(crate) const WAIT_DEFAULT: Duration = Duration::from_secs(10);

/// Comes back once the server is told to stop.
pub(crate) async fn stopped(stopping: &mut watch::Receiver<bool>) {
    // An error means that the server is gone already.
    let _ = stopping.wait_for(|stopping| *stopping).await;
}
