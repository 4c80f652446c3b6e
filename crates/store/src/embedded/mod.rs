//! The store on the disk of one machine: trees of a log-structured engine in one folder, opened by one process at a time.
//!
//! ```text
//! commit ─▶ rows made ready ─▶ queue ─▶ writer thread: one group, one sync ─▶ everybody in it hears
//! reads  ─▶ the trees, by themselves; new events and commands from memory
//! ```
//! Start reading at: writer.rs, then draft.rs.

mod access;
mod archive;
mod around;
mod bundle;
mod draft;
mod import;
mod lock;
mod log;
#[cfg(test)]
mod older;
mod open;
mod opened;
mod quiet;
mod records;
mod scan;
mod trees;
mod values;
mod writer;

use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{SyncSender, sync_channel};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;

use lightship_lwm2m::{Endpoint, Path};
use tokio::sync::{Semaphore, oneshot};

use crate::access::{AuditOf, AuditRecord, TokenRecord};
use crate::batch::{
    Batch, Cursor, DocumentKey, EventPage, EventsFound, EventsOf, RegistrationRecord, Unreadable,
    WantedObservation,
};
use crate::command::{CommandId, CommandRecord};
use crate::commands::Commands;
use crate::credential::{CredentialKey, CredentialRecord, CredentialSet};
use crate::options::EmbeddedOptions;
use crate::ring::Ring;
use crate::{Health, LastValue, Note, Store, StoreError, file, hand_over};
pub use archive::{Entry, Head, Report};
use around::Damage;
use draft::{Counts, Step, steps};
pub use import::Importer;
use lock::FolderLock;
use log::Log;
use opened::Opened;
use trees::{Tree, Trees, corrupt, failed, shown};
use writer::{Job, Writer};

/// Everything on the disk.
#[derive(Debug)]
pub struct EmbeddedStore {
    shared: Arc<Shared>,
    /// Gone when the store is closed.
    queue: Option<SyncSender<Job>>,
    places: Arc<Semaphore>,
    writer: Option<JoinHandle<()>>,
}

/// What readers and the writer have in common.
struct Shared {
    options: EmbeddedOptions,
    trees: Opened<Trees>,
    memory: Mutex<Memory>,
    health: Mutex<Health>,
    damage: Mutex<Damage>,
    /// What of the log was missing already when it was imported.
    missing: Vec<Unreadable>,
    /// How many there are of what is often looked for where nothing is, as far as it is written.
    wanted: AtomicU64,
    credentials: AtomicU64,
    _lock: FolderLock,
}

/// What is read from memory.
struct Memory {
    /// The newest events.
    ring: Ring,
    commands: Commands,
}

impl EmbeddedStore {
    /// Opens the store of a folder, or makes one.
    ///
    /// # Errors
    /// [`StoreError::InUse`] when another process has it; otherwise when it cannot be read or written, is damaged, or was
    /// written by a newer program.
    pub fn open(options: EmbeddedOptions) -> Result<EmbeddedStore, StoreError> {
        open::make(&options.folder)?;
        let lock = FolderLock::take(&options.folder)?;
        let trees = open::trees(&options)?;
        let ledger = open::ledger(&trees, open::writer(&trees)?)?;
        let events_max = usize::try_from(options.log.events).unwrap_or(usize::MAX).min(RING_EVENTS);
        let missing = open::missing(&trees)?;
        let mut damage = Damage::default();
        for stretch in &missing {
            damage.add(*stretch);
        }
        let mut ring = Ring::new(ledger.newest.writer, events_max, RING_BYTES);
        ring.begin_at(ledger.newest);
        let shared = Arc::new(Shared {
            options,
            trees: Opened::new(trees),
            memory: Mutex::new(Memory { ring, commands: ledger.commands.clone() }),
            health: Mutex::new(Health::Good),
            damage: Mutex::new(damage),
            missing,
            wanted: AtomicU64::new(ledger.counts.wanted),
            credentials: AtomicU64::new(ledger.counts.credentials),
            _lock: lock,
        });
        // Before anybody is told that it works.
        if let Err(error) = shared.has_space().and_then(|()| shared.can_write()) {
            let (since_ms, reason): (_, Arc<str>) = (shared.now_ms(), error.reason().into());
            tracing::error!(%reason, "the store takes nothing until it can write");
            shared.set_health(Health::Failing { since_ms, reason });
        }
        let (queue, inbox) = sync_channel(QUEUE_MAX);
        let writer = Writer::new(shared.clone(), inbox, ledger);
        let thread = std::thread::Builder::new().name("store".to_owned()).spawn(|| writer.run());
        let thread = thread.map_err(|source| StoreError::Unavailable { path: shared.path(), source })?;
        let places = Arc::new(Semaphore::new(QUEUE_MAX));
        Ok(EmbeddedStore { shared, queue: Some(queue), places, writer: Some(thread) })
    }

    /// Reads what is long on a thread for that.
    async fn reading<T: Send + 'static>(
        &self,
        read: impl FnOnce(&Shared, &Trees) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, StoreError> {
        let shared = self.shared.clone();
        let done = tokio::task::spawn_blocking(move || {
            let trees = shared.readable()?;
            read(&shared, &trees)
        });
        let path = self.shared.path();
        done.await.map_err(|error| StoreError::Unavailable { path, source: std::io::Error::other(error) })?
    }

    async fn queued(&self, steps: Vec<Step>) -> Result<Cursor, StoreError> {
        let closed = || self.shared.unavailable("the store is closed");
        let permit = self.places.clone().acquire_owned().await.map_err(|_| closed())?;
        let (reply, answer) = oneshot::channel();
        let queue = self.queue.as_ref().ok_or_else(closed)?;
        // It never waits: there is a place.
        queue.send(Job { steps, reply, permit }).map_err(|_| closed())?;
        answer.await.map_err(|_| closed())?
    }
}

impl Drop for EmbeddedStore {
    fn drop(&mut self) {
        drop(self.queue.take());
        if let Some(Err(_)) = self.writer.take().map(JoinHandle::join) {
            tracing::error!("the writer of the store has panicked");
        }
    }
}

impl Store for EmbeddedStore {
    async fn commit(&self, batch: Batch) -> Result<Cursor, StoreError> {
        if self.health() != Health::Good {
            return Err(self.shared.refusal());
        }
        self.queued(steps(batch.facts)).await
    }

    fn health(&self) -> Health {
        self.shared.health.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    async fn registration(&self, endpoint: &Endpoint) -> Result<Option<Arc<RegistrationRecord>>, StoreError> {
        let key = records::registration_key(endpoint);
        let found = self.shared.one(Tree::Registrations, key, records::read_registration);
        std::future::ready(found.map(|found| found.map(Arc::new))).await
    }

    fn each_registration(&self, visit: &(dyn Fn(Vec<RegistrationRecord>) + Sync)) -> Result<u64, StoreError> {
        scan::registrations(&*self.shared.readable()?, visit)
    }

    fn registrations_about(&self) -> u64 {
        let tree = self.shared.readable().and_then(|trees| trees.tree(Tree::Registrations));
        tree.map_or(0, |tree| u64::try_from(tree.approximate_len()).unwrap_or(u64::MAX))
    }

    async fn wanted(&self, endpoint: &Endpoint) -> Result<Vec<WantedObservation>, StoreError> {
        let found = self.shared.readable().and_then(|trees| {
            let mut wanted = Vec::new();
            if self.shared.wanted.load(Ordering::Acquire) == 0 {
                return Ok(wanted);
            }
            for row in trees.tree(Tree::Wanted)?.prefix(records::of_endpoint(endpoint)) {
                wanted.push(decoded(&trees, row, records::read_wanted)?.1);
            }
            wanted.sort_by(|a: &WantedObservation, b| a.key.cmp(&b.key));
            Ok(wanted)
        });
        std::future::ready(found).await
    }

    fn each_wanted(&self, visit: &mut (dyn FnMut(Endpoint) + Send)) -> Result<(), StoreError> {
        let trees = self.shared.readable()?;
        let mut last = None;
        for row in trees.tree(Tree::Wanted)?.iter() {
            let key = row.key().map_err(|error| failed(trees.path(), error))?;
            let endpoint = records::read_wanted_of(&key);
            let endpoint = endpoint.map_err(|message| corrupt(trees.path(), &message))?;
            if last.as_ref() != Some(&endpoint) {
                visit(endpoint.clone());
                last = Some(endpoint);
            }
        }
        Ok(())
    }

    async fn command(&self, id: CommandId) -> Result<Option<Arc<CommandRecord>>, StoreError> {
        let command = self.shared.memory().commands.get(id);
        std::future::ready(Ok(command)).await
    }

    async fn commands(&self, endpoint: &Endpoint) -> Result<Vec<Arc<CommandRecord>>, StoreError> {
        let commands = self.shared.memory().commands.of(endpoint);
        std::future::ready(Ok(commands)).await
    }

    async fn live_commands(&self) -> Result<Vec<Arc<CommandRecord>>, StoreError> {
        let commands = self.shared.memory().commands.live();
        std::future::ready(Ok(commands)).await
    }

    async fn last_command(&self) -> Result<u64, StoreError> {
        let number = self.shared.memory().commands.last_number();
        std::future::ready(Ok(number)).await
    }

    async fn document(&self, key: &DocumentKey) -> Result<Option<Arc<str>>, StoreError> {
        let key = records::document_key(key);
        let found = self.shared.one(Tree::Documents, &key, records::read_document);
        std::future::ready(found.map(|found| found.map(|(_, body)| body))).await
    }

    async fn documents(
        &self,
        after: Option<&DocumentKey>,
        max: usize,
    ) -> Result<Vec<(DocumentKey, Arc<str>)>, StoreError> {
        // Behind the key itself comes the key with a zero byte.
        let from = after.map_or_else(Vec::new, |key| [&records::document_key(key), &[0][..]].concat());
        self.reading(move |_, trees| {
            let rows = trees.tree(Tree::Documents)?.range(from..).take(max);
            rows.map(|row| decoded(trees, row, records::read_document)).collect()
        })
        .await
    }

    async fn credential(&self, key: &CredentialKey) -> Result<Option<Arc<CredentialRecord>>, StoreError> {
        std::future::ready(self.shared.credential(key)).await
    }

    async fn credential_presented(
        &self,
        set: CredentialSet,
        principal: &[u8],
    ) -> Result<Option<Arc<CredentialRecord>>, StoreError> {
        let key = self.shared.readable().and_then(|trees| draft::presented(&trees, set, principal));
        let found = key.and_then(|key| key.map_or(Ok(None), |key| self.shared.credential(&key)));
        std::future::ready(found).await
    }

    async fn credentials(
        &self,
        set: CredentialSet,
        after: Option<&Endpoint>,
        max: usize,
    ) -> Result<Vec<Arc<CredentialRecord>>, StoreError> {
        let number = records::set_number(set);
        let behind = |name: &Endpoint| [&[number], name.as_str().as_bytes(), &[0]].concat();
        let from = after.map_or_else(|| vec![number], behind);
        self.reading(move |_, trees| {
            let rows = trees.tree(Tree::Credentials)?.range(from..vec![number + 1]).take(max);
            rows.map(|row| decoded(trees, row, records::read_credential).map(Arc::new)).collect()
        })
        .await
    }

    fn values(&self, endpoint: &Endpoint, below: Path) -> Result<Vec<LastValue>, StoreError> {
        let trees = self.shared.readable()?;
        let rows = trees.tree(Tree::Values)?.prefix(records::value_key(endpoint, below));
        let read = |key: &[u8], value: &[u8]| {
            records::read_value(key, value).map(|(_, path, value)| (path, value.into()))
        };
        rows.map(|row| decoded(&trees, row, read)).collect()
    }

    fn values_at(&self, keys: &[(Endpoint, Path)]) -> Result<Vec<Option<Arc<[u8]>>>, StoreError> {
        values::at(&*self.shared.readable()?, keys)
    }

    fn each_value(
        &self,
        behind: Option<&Endpoint>,
        visit: &mut (dyn FnMut(&str, Path, &[u8]) -> bool + Send),
    ) -> Result<(), StoreError> {
        let trees = self.shared.readable()?;
        // A zero stands behind each name.
        let from = behind.map_or_else(Vec::new, |name| [name.as_str().as_bytes(), &[1]].concat());
        for row in trees.tree(Tree::Values)?.range(from..) {
            let (key, value) = row.into_inner().map_err(|error| failed(trees.path(), error))?;
            let read = records::read_value(&key, &value);
            let (name, path, value) =
                read.map_err(|message| corrupt(trees.path(), &format!("{}: {message}", shown(&key))))?;
            if !visit(name, path, value) {
                break;
            }
        }
        Ok(())
    }

    async fn notes(&self, prefix: &str) -> Result<Vec<Note>, StoreError> {
        let prefix = prefix.to_owned();
        self.reading(move |_, trees| {
            let rows = trees.tree(Tree::Notes)?.prefix(prefix);
            rows.map(|row| decoded(trees, row, records::read_note)).collect()
        })
        .await
    }

    fn notes_at(&self, names: &[Arc<str>]) -> Result<Vec<Option<Arc<str>>>, StoreError> {
        let trees = self.shared.readable()?;
        let notes = trees.tree(Tree::Notes)?;
        let at = |name: &Arc<str>| {
            let found = notes.get(name.as_bytes()).map_err(|error| failed(trees.path(), error))?;
            let read = |value: &[u8]| records::read_note(name.as_bytes(), value).map(|(_, body)| body);
            let body = found.map(|value| read(&value)).transpose();
            body.map_err(|message| corrupt(trees.path(), &format!("note {name}: {message}")))
        };
        names.iter().map(at).collect()
    }

    async fn tokens(&self) -> Result<Vec<Arc<TokenRecord>>, StoreError> {
        let found = self.shared.readable().and_then(|trees| {
            let rows = trees.tree(Tree::Tokens)?.iter();
            rows.map(|row| decoded(&trees, row, records::read_token).map(Arc::new)).collect()
        });
        std::future::ready(found).await
    }

    async fn audit(&self, which: AuditOf) -> Result<Vec<Arc<AuditRecord>>, StoreError> {
        self.reading(move |_, trees| access::page(trees, &which)).await
    }

    async fn leave_hand_over(&self, bytes: Box<[u8]>) -> Result<(), StoreError> {
        self.reading(move |shared, _| hand_over::write(&shared.options.folder, &bytes)).await
    }

    async fn take_hand_over(&self) -> Result<Option<Vec<u8>>, StoreError> {
        self.reading(|shared, _| hand_over::take(&shared.options.folder)).await
    }

    async fn keep_ticket_keys(&self, bytes: Box<[u8]>) -> Result<(), StoreError> {
        self.reading(move |shared, _| file::write(&shared.options.folder, TICKET_KEYS, &bytes)).await
    }

    async fn ticket_keys(&self) -> Result<Option<Vec<u8>>, StoreError> {
        self.reading(|shared, _| file::read(&shared.options.folder, TICKET_KEYS)).await
    }

    async fn events(&self, after: Option<Cursor>, max: usize) -> Result<EventPage, StoreError> {
        let in_memory = {
            let memory = self.shared.memory();
            after.filter(|after| memory.ring.covers(*after)).map(|after| memory.ring.page(Some(after), max))
        };
        match in_memory {
            Some(page) => Ok(page),
            None => {
                let page = self.reading(move |shared, trees| shared.log(trees).page(after, max)).await?;
                self.shared.found_damaged(page.unreadable);
                Ok(page)
            }
        }
    }

    async fn events_of(&self, endpoint: &Endpoint, which: EventsOf) -> Result<EventsFound, StoreError> {
        let endpoint = endpoint.clone();
        self.reading(move |shared, trees| shared.log(trees).of(&endpoint, which)).await
    }

    fn unreadable(&self) -> Vec<Unreadable> {
        let oldest = self.shared.trees().map_or(1, |trees| self.shared.log(&trees).oldest());
        self.shared.damage.lock().unwrap_or_else(PoisonError::into_inner).since(oldest)
    }

    async fn newest(&self) -> Result<Cursor, StoreError> {
        let newest = self.shared.memory().ring.newest();
        std::future::ready(Ok(newest)).await
    }
}

impl Shared {
    fn counted(&self, counts: Counts) {
        self.wanted.store(counts.wanted, Ordering::Release);
        self.credentials.store(counts.credentials, Ordering::Release);
    }

    fn path(&self) -> PathBuf {
        self.options.folder.join(open::STORE)
    }

    fn now_ms(&self) -> i64 {
        (self.options.now_ms)()
    }

    fn memory(&self) -> MutexGuard<'_, Memory> {
        self.memory.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn trees(&self) -> Option<Arc<Trees>> {
        self.trees.now()
    }

    /// The trees, as long as they can be written.
    fn good_trees(&self) -> Option<Arc<Trees>> {
        let is_good = *self.health.lock().unwrap_or_else(PoisonError::into_inner) == Health::Good;
        self.trees().filter(|_| is_good)
    }

    fn readable(&self) -> Result<Arc<Trees>, StoreError> {
        self.trees.soon().ok_or_else(|| self.refusal())
    }

    fn set_health(&self, health: Health) {
        *self.health.lock().unwrap_or_else(PoisonError::into_inner) = health;
    }

    /// It fails for this reason by now.
    fn still_failing(&self, now: &str) {
        let mut health = self.health.lock().unwrap_or_else(PoisonError::into_inner);
        if let Health::Failing { reason, .. } = &mut *health
            && **reason != *now
        {
            tracing::warn!(reason = now, "the store still takes nothing");
            *reason = now.into();
        }
    }

    /// A reader has come upon what is damaged.
    fn found_damaged(&self, unreadable: Option<Unreadable>) {
        let Some(Unreadable { first, last }) = unreadable else { return };
        let is_new = |found| self.damage.lock().unwrap_or_else(PoisonError::into_inner).add(found);
        if unreadable.is_some_and(is_new) {
            tracing::error!(first, last, "events of the log are damaged on the disk and cannot be read");
        }
    }

    fn unavailable(&self, reason: &str) -> StoreError {
        StoreError::Unavailable { path: self.path(), source: std::io::Error::other(reason.to_owned()) }
    }

    /// What callers hear while it fails.
    fn refusal(&self) -> StoreError {
        match &*self.health.lock().unwrap_or_else(PoisonError::into_inner) {
            Health::Failing { reason, .. } => self.unavailable(reason),
            Health::Good => self.unavailable("it is being opened"),
        }
    }

    /// Whether there is as much space as there must be.
    fn has_space(&self) -> Result<(), StoreError> {
        let space = rustix::fs::statvfs(&self.options.folder);
        let space =
            space.map_err(|error| StoreError::Unavailable { path: self.path(), source: error.into() })?;
        let free = space.f_bavail.saturating_mul(space.f_frsize);
        let min = self.options.free_bytes_min;
        if free >= min {
            return Ok(());
        }
        Err(self.unavailable(&format!("{} MB are free, {} MB must be", free >> 20, min >> 20)))
    }

    fn one<T>(
        &self,
        tree: Tree,
        key: &[u8],
        read: impl FnOnce(&[u8], &[u8]) -> Result<T, String>,
    ) -> Result<Option<T>, StoreError> {
        let trees = self.readable()?;
        let value = trees.get(tree, key)?;
        let read = value.map(|value| read(key, &value)).transpose();
        read.map_err(|message| corrupt(trees.path(), &format!("{tree:?}: {message}")))
    }

    fn credential(&self, key: &CredentialKey) -> Result<Option<Arc<CredentialRecord>>, StoreError> {
        if self.credentials.load(Ordering::Acquire) == 0 {
            return self.readable().map(|_| None);
        }
        let found = self.one(Tree::Credentials, &records::credential_key(key), records::read_credential)?;
        Ok(found.map(Arc::new))
    }

    /// What is known to be written.
    fn log<'a>(&'a self, trees: &'a Trees) -> Log<'a> {
        let newest = self.memory().ring.newest();
        Log { trees, missing: &self.missing, newest, events_max: self.options.log.events }
    }
}

impl std::fmt::Debug for Shared {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Shared").field("options", &self.options).finish_non_exhaustive()
    }
}

fn decoded<T>(
    trees: &Trees,
    row: fjall::Guard,
    read: impl FnOnce(&[u8], &[u8]) -> Result<T, String>,
) -> Result<T, StoreError> {
    let (key, value) = row.into_inner().map_err(|error| failed(trees.path(), error))?;
    read(&key, &value).map_err(|message| corrupt(trees.path(), &format!("{}: {message}", shown(&key))))
}

/// Batches that wait for the writer; who comes then waits before.
const QUEUE_MAX: usize = 1024;
/// The file of the keys of session tickets.
const TICKET_KEYS: &str = "ticket-keys";
/// The newest events are read from memory: so many, or so many bytes.
const RING_EVENTS: usize = 8192;
const RING_BYTES: usize = 16 << 20;
