//! Makes and deletes segments of the log beside the writer.
//!
//! Each tree that is made or deleted costs the library a dozen and more calls that wait for the disk, one after the other; together they
//! are fifty for each segment. On a busy disk that is seconds, in which the writer would acknowledge nothing.
//!
//! ```text
//! writer ──► make ──► two new trees, empty ──► the writer goes on in them when it next looks
//!        └─► seal, delete ──► done, and nobody waits for it
//! ```
//! While a tree is made or deleted the library takes no write, so there is a rest after each, in which the writer catches up.

use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, SyncSender, TryRecvError, sync_channel};
use std::thread::JoinHandle;
use std::time::Duration;

use super::trees::{Fresh, Segment, Trees, failed};
use crate::StoreError;

/// The thread beside the writer, as the writer sees it.
pub(crate) struct Keeper {
    /// Gone when it is to end.
    jobs: Option<SyncSender<(Arc<Trees>, Job)>>,
    done: Receiver<Result<Option<Fresh>, StoreError>>,
    thread: Option<JoinHandle<()>>,
    /// Jobs of which nothing was heard yet.
    waiting: usize,
    is_making: bool,
    fresh: Option<Fresh>,
}

enum Job {
    Make { name: u64 },
    Seal(Arc<Segment>),
    Delete(Arc<Segment>),
}

impl Keeper {
    pub(crate) fn new() -> std::io::Result<Keeper> {
        let (jobs, inbox) = sync_channel::<(Arc<Trees>, Job)>(JOBS_MAX);
        let (outbox, done) = sync_channel(JOBS_MAX);
        let work = move || {
            while let Ok((trees, job)) = inbox.recv() {
                let result = std::panic::catch_unwind(AssertUnwindSafe(|| job.run(&trees)));
                let result = result.unwrap_or_else(|_| Err(failed(trees.path(), fjall::Error::Poisoned)));
                // Who has gone does not want to know. The trees are let go of after their parts.
                let _ = outbox.send(result);
                drop(trees);
            }
        };
        let thread = Some(std::thread::Builder::new().name("store-segments".to_owned()).spawn(work)?);
        Ok(Keeper { jobs: Some(jobs), done, thread, waiting: 0, is_making: false, fresh: None })
    }

    /// Has the next segment made, unless it is there or under way.
    pub(crate) fn prepare(&mut self, trees: &Arc<Trees>, name: u64) {
        if self.fresh.is_none() && !self.is_making {
            self.is_making = self.give(trees, Job::Make { name });
        }
    }

    /// The next segment, if it is there.
    pub(crate) fn next(&mut self) -> Option<Fresh> {
        self.fresh.take()
    }

    /// Whether the next segment is under way.
    pub(crate) fn is_making(&self) -> bool {
        self.is_making
    }

    /// Writes the rest of a segment to its tables, since nothing more comes; it stays in memory when there is too much to do.
    pub(crate) fn seal(&mut self, trees: &Arc<Trees>, segment: Arc<Segment>) {
        self.give(trees, Job::Seal(segment));
    }

    /// Deletes a segment that is in no list any more.
    pub(crate) fn delete(&mut self, trees: &Arc<Trees>, segment: Arc<Segment>) {
        self.give(trees, Job::Delete(segment));
    }

    /// Whether it takes another segment to delete.
    pub(crate) fn has_room(&self) -> bool {
        self.waiting < JOBS_MAX / 2
    }

    /// Takes what is done.
    ///
    /// # Errors
    /// When something has failed.
    pub(crate) fn hear(&mut self) -> Result<(), StoreError> {
        loop {
            let result = match self.done.try_recv() {
                Ok(result) => result,
                Err(TryRecvError::Empty) => return Ok(()),
                Err(TryRecvError::Disconnected) => {
                    return Err(StoreError::Unavailable {
                        path: Default::default(),
                        source: std::io::Error::other("the thread that makes segments has ended"),
                    });
                }
            };
            self.waiting = self.waiting.saturating_sub(1);
            match result {
                Ok(None) => {}
                Ok(Some(fresh)) => {
                    self.fresh = Some(fresh);
                    self.is_making = false;
                }
                Err(error) => {
                    self.is_making = false;
                    return Err(error);
                }
            }
        }
    }

    /// Lets go of all that belongs to trees that are to be closed; whether it could.
    pub(crate) fn lets_go(&mut self) -> bool {
        // What else has failed in trees that are closed is not worth it any more.
        for _ in 0..=JOBS_MAX {
            if self.hear().is_ok() {
                break;
            }
        }
        self.fresh = None;
        self.waiting == 0
    }

    fn give(&mut self, trees: &Arc<Trees>, job: Job) -> bool {
        let given = self.jobs.as_ref().is_some_and(|jobs| jobs.try_send((trees.clone(), job)).is_ok());
        self.waiting += usize::from(given);
        given
    }
}

impl Drop for Keeper {
    fn drop(&mut self) {
        drop(self.jobs.take());
        if let Some(Err(_)) = self.thread.take().map(JoinHandle::join) {
            tracing::error!("the thread that makes segments of the log has panicked");
        }
    }
}

impl Job {
    fn run(self, trees: &Trees) -> Result<Option<Fresh>, StoreError> {
        match self {
            Job::Make { name } => trees.make_segment(name, rest).map(Some),
            Job::Seal(segment) => trees.to_tables(&segment).map(|()| None),
            Job::Delete(segment) => trees.delete_segment(&segment, rest).map(|()| None),
        }
    }
}

/// Lets the writer catch up.
fn rest() {
    std::thread::park_timeout(REST);
}

/// A segment makes three of them.
const JOBS_MAX: usize = 64;
const REST: Duration = Duration::from_millis(20);

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::Ordering;
    use std::time::Duration;

    use lightship_lwm2m::Endpoint;

    use super::Trees;
    use crate::{Batch, EmbeddedOptions, EmbeddedStore, Fact, LogLimits, NewEvent, Store};

    fn open(folder: &std::path::Path, events: u64) -> EmbeddedStore {
        let log = LogLimits { bytes: 64 << 20, events, ..LogLimits::default() };
        let options = EmbeddedOptions::new(folder.to_owned(), 7, Arc::new(|| 1_000));
        EmbeddedStore::open(EmbeddedOptions { free_bytes_min: 0, log, ..options }).expect("it opens")
    }

    async fn write(store: &EmbeddedStore, times: usize) {
        let event = || NewEvent {
            at_ms: 1_000,
            endpoint: Endpoint::new("a").expect("a name"),
            kind: "sent",
            body: "x".repeat(16 << 10).into(),
            indexed: true,
        };
        for _ in 0..times {
            let written = store.commit(Batch { facts: (0..64).map(|_| Fact::Happened(event())).collect() });
            let written = tokio::time::timeout(Duration::from_secs(60), written).await;
            written.expect("it is acknowledged").expect("it is written");
        }
    }

    async fn numbers(store: &EmbeddedStore) -> Vec<u64> {
        let page = store.events(None, 10_000).await.expect("they are read");
        page.events.iter().map(|event| event.cursor.number).collect()
    }

    /// While it is there no segment is made or deleted.
    struct Busy(Arc<Trees>);

    impl Busy {
        fn begin(trees: &Arc<Trees>) -> Busy {
            trees.is_slow.store(true, Ordering::Release);
            Busy(trees.clone())
        }
    }

    impl Drop for Busy {
        fn drop(&mut self) {
            self.0.is_slow.store(false, Ordering::Release);
        }
    }

    /// A busy disk makes of each segment seconds of waiting.
    #[tokio::test]
    async fn what_is_written_is_acknowledged_while_a_segment_is_made_or_deleted() {
        let folder = tempfile::tempdir().expect("a folder");
        let store = open(folder.path(), 512);
        write(&store, 1).await;
        let trees = store.shared.trees().expect("open");
        let busy = Busy::begin(&trees);
        write(&store, 6).await;
        assert_eq!(trees.segments().len(), 1, "the next one is not there yet");
        assert!(numbers(&store).await.into_iter().eq(1..=7 * 64));
        drop(busy);
        while trees.segments().len() < 2 {
            write(&store, 1).await;
        }
        let begun = trees.segments().last().expect("there is one").first;
        let busy = Busy::begin(&trees);
        write(&store, 8).await;
        while trees.segments().first().is_none_or(|oldest| oldest.first != begun) {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        drop(busy);
        drop(trees);
        // Afterwards all is there but what has left, in one piece.
        let newest = store.newest().await.expect("a number").number;
        drop(store);
        let store = open(folder.path(), u64::MAX);
        assert_eq!(store.newest().await.expect("a number").number, newest);
        write(&store, 1).await;
        assert!(numbers(&store).await.into_iter().eq(begun..=newest + 64), "{begun} to {newest}");
    }
}
