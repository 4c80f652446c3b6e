//! The one thread that writes. Batches that wait together are written together and reach the disk by one call; each of their
//! callers hears of it then.
//!
//! ```text
//!            ┌──────── group: draft ─▶ write, sync ─▶ publish ─▶ answer ◀──┐
//!  Good ─────┤                                                            │
//!            └─ it fails, or space runs out ─▶ Failing: all are refused ──┘ each second: is there space, does a file reach
//!                                                                            the disk? then the trees are opened anew
//! ```
//! The library takes nothing more after a failed write, so its trees are closed and opened again; they are read until then.
//! What a failed group may have left behind is taken back before anything else is written.

use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::time::Duration;

use tokio::sync::{OwnedSemaphorePermit, oneshot};

use super::Shared;
use super::draft::{Done, Draft, Ledger, Step, apply};
use super::log::{Log, newest_bytes};
use super::quiet::Quiet;
use super::trees::{Row, Sync, Tree, Trees};
use crate::batch::Cursor;
use crate::options::Durability;
use crate::{Health, StoreError, file};

/// A batch on its way, and who waits for it.
pub(crate) struct Job {
    pub(crate) steps: Vec<Step>,
    pub(crate) reply: oneshot::Sender<Result<Cursor, StoreError>>,
    /// Its place in the queue.
    pub(crate) permit: OwnedSemaphorePermit,
}

impl Job {
    fn len(&self) -> usize {
        self.steps.iter().map(Step::len).sum()
    }
}

pub(crate) struct Writer {
    shared: Arc<Shared>,
    inbox: Receiver<Job>,
    ledger: Ledger,
    /// Bytes in the segment that is written.
    segment_bytes: u64,
    looked_ms: i64,
    /// Since when something is not on the disk yet.
    unsynced_ms: Option<i64>,
    /// What the rows of a failed group were before.
    undo: Vec<Row>,
    quiet: Quiet,
}

impl Writer {
    pub(crate) fn new(shared: Arc<Shared>, inbox: Receiver<Job>, ledger: Ledger) -> Writer {
        let looked_ms = shared.now_ms();
        let quiet = Quiet::new(looked_ms);
        Writer {
            shared,
            inbox,
            ledger,
            segment_bytes: 0,
            looked_ms,
            unsynced_ms: None,
            undo: Vec::new(),
            quiet,
        }
    }

    /// Until nobody can send any more.
    pub(crate) fn run(mut self) {
        if let Some(trees) = self.shared.trees() {
            self.segment_bytes = newest_bytes(&trees).unwrap_or(0);
        }
        loop {
            match self.inbox.recv_timeout(self.patience()) {
                Ok(job) => self.group(job),
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => break,
            }
            self.sync_if_due();
            let now_ms = self.shared.now_ms();
            if now_ms.abs_diff(self.looked_ms) >= LOOK_MS {
                self.looked_ms = now_ms;
                self.look();
            }
        }
        if let Some(Err(error)) = self.shared.trees().map(|trees| trees.sync(Sync::Now)) {
            tracing::error!(%error, "what was written last may not be on the disk");
        }
    }

    fn patience(&self) -> Duration {
        match self.shared.options.durability {
            Durability::Relaxed { after_ms } if self.unsynced_ms.is_some() => Duration::from_millis(after_ms),
            Durability::Relaxed { .. } | Durability::Always => Duration::from_millis(LOOK_MS),
        }
    }

    fn sync_if_due(&mut self) {
        let Durability::Relaxed { after_ms } = self.shared.options.durability else { return };
        let Some(since) = self.unsynced_ms else { return };
        if self.shared.now_ms().abs_diff(since) >= after_ms
            && let Some(trees) = self.shared.good_trees()
        {
            self.unsynced_ms = None;
            if let Err(error) = trees.sync(Sync::Now) {
                self.fail(&error.reason());
            }
        }
    }

    fn group(&mut self, first: Job) {
        let mut facts = first.len();
        let mut jobs = vec![first];
        while facts < GROUP_FACTS_MAX {
            let Ok(job) = self.inbox.try_recv() else { break };
            facts += job.len();
            jobs.push(job);
        }
        let Some(trees) = self.shared.good_trees() else {
            let refused = |job: Job| job.reply.send(Err(self.shared.refusal()));
            jobs.into_iter().for_each(|job| drop(refused(job)));
            return;
        };
        let mut draft = Draft::new(&trees, &self.shared.options.limits, &mut self.ledger);
        let mut taken = Vec::with_capacity(jobs.len());
        for Job { steps, reply, permit } in jobs {
            taken.push((reply, draft.take(steps), permit));
        }
        let done = draft.done();
        match self.write(&trees, &done.rows) {
            Ok(()) => self.publish(done),
            Err(error) => {
                self.undo = undo(&trees, &done.rows);
                drop(trees);
                self.fail(&error.reason());
                for (_, result, _) in &mut taken {
                    if result.is_ok() {
                        *result = Err(self.shared.refusal());
                    }
                }
            }
        }
        for (reply, result, _) in taken {
            // Who has gone does not want to know.
            let _ = reply.send(result);
        }
        if self.segment_bytes >= self.segment_bytes_max() {
            self.keep_log_short();
        }
    }

    fn write(&mut self, trees: &Trees, rows: &[Row]) -> Result<(), StoreError> {
        if rows.is_empty() {
            return Ok(());
        }
        trees.wait()?;
        match self.shared.options.durability {
            Durability::Always => trees.write(rows, Sync::Now)?,
            Durability::Relaxed { .. } => {
                trees.write(rows, Sync::Later)?;
                self.unsynced_ms.get_or_insert_with(|| self.shared.now_ms());
            }
        }
        for row in rows {
            let bytes = row.key.len() + row.value.as_ref().map_or(0, |value| value.len());
            let bytes = u64::try_from(bytes).unwrap_or(0);
            self.quiet.wrote(row.tree, bytes);
            if matches!(row.tree, Tree::Events | Tree::Found) {
                self.segment_bytes += bytes;
            }
        }
        Ok(())
    }

    /// Shows everybody what is on the disk.
    fn publish(&self, done: Done) {
        self.shared.counted(self.ledger.counts);
        let mut memory = self.shared.memory();
        done.events.into_iter().for_each(|event| memory.ring.push(event));
        done.commands.iter().for_each(|change| apply(&mut memory.commands, change));
    }

    /// What is to be done now and then.
    fn look(&mut self) {
        (self.shared.options.tidy)();
        let Some(trees) = self.shared.good_trees() else { return self.recover() };
        // Says whether the library's own threads have failed.
        let works = trees.sync(Sync::Later).and_then(|()| self.shared.has_space());
        let works = works.and_then(|()| {
            self.quiet.look(self.looked_ms).into_iter().try_for_each(|tree| trees.out_of_memory(tree))
        });
        drop(trees);
        match works {
            Ok(()) => self.keep_log_short(),
            Err(error) => self.fail(&error.reason()),
        }
    }

    fn fail(&mut self, reason: &str) {
        tracing::error!(reason, "the store takes nothing more until it can write again");
        let since_ms = self.shared.now_ms();
        self.shared.set_health(Health::Failing { since_ms, reason: reason.into() });
    }

    fn recover(&mut self) {
        let works = self.shared.has_space().and_then(|()| self.shared.can_write());
        if let Err(error) = works.and_then(|()| self.open_again()) {
            self.shared.still_failing(&error.reason());
            return;
        }
        tracing::warn!("the store can write again");
        self.shared.set_health(Health::Good);
    }

    fn open_again(&mut self) -> Result<(), StoreError> {
        let shared = self.shared.clone();
        let opening = shared.trees.opening();
        if !opening.close() {
            return Err(shared.unavailable("somebody reads for long"));
        }
        let trees = Arc::new(Trees::open(&self.shared.path(), self.shared.options.cache_bytes)?);
        if !self.undo.is_empty() {
            trees.write(&self.undo, Sync::Now)?;
            self.undo.clear();
        }
        self.ledger = super::open::ledger(&trees, self.ledger.newest.writer)?;
        self.shared.counted(self.ledger.counts);
        self.segment_bytes = newest_bytes(&trees)?;
        let newest = self.ledger.newest;
        let mut memory = self.shared.memory();
        if memory.ring.newest() != newest {
            memory.ring.begin_at(newest);
        }
        memory.commands = self.ledger.commands.clone();
        drop(memory);
        self.unsynced_ms = None;
        opening.set(trees);
        Ok(())
    }

    fn segment_bytes_max(&self) -> u64 {
        (self.shared.options.log.bytes / SEGMENTS).max(SEGMENT_BYTES_MIN)
    }

    /// Begins a new segment when it is time, and forgets old ones.
    fn keep_log_short(&mut self) {
        let Some(trees) = self.shared.good_trees() else { return };
        if let Err(error) = self.shorten(&trees) {
            drop(trees);
            self.fail(&error.reason());
        }
    }

    fn shorten(&mut self, trees: &Trees) -> Result<(), StoreError> {
        let limits = self.shared.options.log;
        let now_ms = self.shared.now_ms();
        let log = Log { trees, missing: &[], newest: self.ledger.newest, events_max: limits.events };
        if let Some(written) = trees.segments().last() {
            let old_ms = now_ms.saturating_sub(limits.age_ms / i64::try_from(SEGMENTS).unwrap_or(1));
            let is_old = written.oldest_ms(&log)?.is_some_and(|oldest_ms| oldest_ms < old_ms);
            if is_old || self.segment_bytes >= self.segment_bytes_max() {
                trees.begin_segment(self.ledger.newest.number + 1, self.segment_bytes)?;
                self.segment_bytes = 0;
            }
        }
        loop {
            let segments = trees.segments();
            let [oldest, next, ..] = segments.as_slice() else { return Ok(()) };
            let is_old = oldest.newest_ms(&log)?.is_some_and(|ms| ms < now_ms.saturating_sub(limits.age_ms));
            let is_much = trees.sealed_bytes() + self.segment_bytes > limits.bytes;
            if !is_old && !is_much && next.first > log.oldest() {
                return Ok(());
            }
            tracing::debug!(first = oldest.first, next = next.first, "forgetting the oldest events");
            trees.forget_segment()?;
        }
    }
}

/// What rows are now, that are to be written.
fn undo(trees: &Trees, rows: &[Row]) -> Vec<Row> {
    let before = |row: &Row| {
        // What is to join the log was never there before.
        let is_of_log = matches!(row.tree, Tree::Events | Tree::Found);
        let value = if is_of_log { None } else { trees.get(row.tree, &row.key).ok()? };
        Some(Row { value, ..row.clone() })
    };
    rows.iter().filter_map(before).collect()
}

impl Shared {
    /// Whether a file reaches the disk.
    pub(super) fn can_write(&self) -> Result<(), StoreError> {
        let folder = &self.options.folder;
        let written = file::write(folder, PROBE, &[0; PROBE_LEN]);
        // Also one that is only half there.
        let _ = std::fs::remove_file(folder.join(PROBE));
        let _ = std::fs::remove_file(folder.join(PROBE).with_extension("new"));
        written
    }
}

/// Facts that are written together, at most; more when one batch has more.
const GROUP_FACTS_MAX: usize = 8192;
const LOOK_MS: u64 = 1000;
/// The log is forgotten by stretches of this part of what is kept.
const SEGMENTS: u64 = 16;
const SEGMENT_BYTES_MIN: u64 = 1 << 20;
const PROBE: &str = "probe";
const PROBE_LEN: usize = 1 << 20;
