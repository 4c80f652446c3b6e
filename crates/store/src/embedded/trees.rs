//! The trees on the disk, and the segments that the log consists of.
//!
//! The log is cut into segments, each a pair of trees named by the number of its first event: the events, and which of them
//! are found by their device. Events only leave the log as whole segments, so forgetting costs nothing per event.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock, PoisonError, RwLock};
use std::time::Duration;

use fjall::{AbstractTree, Database, Keyspace, KeyspaceCreateOptions, PersistMode};

use crate::StoreError;

/// Where a row belongs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Tree {
    Meta,
    Registrations,
    Wanted,
    Commands,
    Documents,
    Credentials,
    Principals,
    Values,
    Notes,
    Tokens,
    Audit,
    /// Entries of the one before by the device that they are about.
    Audited,
    /// Of the segment that is written.
    Events,
    /// Of the segment that is written.
    Found,
}

/// All trees, open.
pub(crate) struct Trees {
    database: Database,
    path: PathBuf,
    /// In the order of [`NAMES`].
    facts: Vec<Keyspace>,
    /// The oldest first; never empty once the log has a name.
    segments: RwLock<Arc<Vec<Arc<Segment>>>>,
}

/// A stretch of the log.
pub(crate) struct Segment {
    /// The number of its first event.
    pub(crate) first: u64,
    pub(crate) events: Keyspace,
    pub(crate) found: Keyspace,
    /// When its last event happened, once nothing more comes.
    pub(crate) newest_ms: OnceLock<i64>,
    /// What was written into it, once nothing more comes; that may reach its tables later.
    bytes: OnceLock<u64>,
    /// Whether it goes from the disk when nobody reads it any more.
    is_forgotten: AtomicBool,
}

impl Drop for Segment {
    fn drop(&mut self) {
        if self.is_forgotten.load(Ordering::Acquire) {
            [&self.events, &self.found].into_iter().for_each(close_files);
        }
    }
}

/// Closes the files of a tree that is to be deleted. The library deletes its folder and keeps the descriptors, and with them
/// the room on the disk, until so many other files are read that these are the oldest. Nobody may read the tree any more:
/// that would open them again.
fn close_files(tree: &Keyspace) {
    let Some(open) = &tree.tree.tree_config().descriptor_table else { return };
    for table in tree.tree.current_version().iter_tables() {
        open.remove_for_table(&(tree.tree.id(), table.id()).into());
    }
}

/// A row to be written, or to go.
#[derive(Clone, Debug)]
pub(crate) struct Row {
    pub(crate) tree: Tree,
    pub(crate) key: fjall::Slice,
    pub(crate) value: Option<fjall::Slice>,
}

impl Trees {
    /// Opens the trees of a folder, or makes them.
    pub(crate) fn open(path: &Path, cache_bytes: u64) -> Result<Trees, StoreError> {
        // What is damaged in a way that the library did not think of must not end the process.
        let opened = std::panic::catch_unwind(|| Trees::open_unguarded(path, cache_bytes));
        opened.unwrap_or_else(|_| Err(corrupt(path, "it cannot be opened at all")))
    }

    fn open_unguarded(path: &Path, cache_bytes: u64) -> Result<Trees, StoreError> {
        let failed = |error| failed(path, error);
        let builder = Database::builder(path).cache_size(cache_bytes).worker_threads(WORKERS);
        let builder = builder.max_journaling_size(JOURNAL_BYTES_MAX).max_cached_files(Some(FILES_OPEN_MAX));
        let database = builder.open().map_err(failed)?;
        let mut facts = Vec::new();
        for (name, memory) in NAMES {
            let options = || KeyspaceCreateOptions::default().max_memtable_size(memory);
            facts.push(database.keyspace(name, options).map_err(failed)?);
        }
        let trees = Trees { database, path: path.to_owned(), facts, segments: RwLock::default() };
        trees.find_segments()?;
        Ok(trees)
    }

    fn find_segments(&self) -> Result<(), StoreError> {
        let names = self.database.list_keyspace_names();
        let numbers = |kind: char| {
            let numbers = names.iter().filter_map(|name| name.strip_prefix(kind)?.parse::<u64>().ok());
            numbers.collect::<std::collections::BTreeSet<u64>>()
        };
        let (mut events, found) = (numbers(EVENTS), numbers(FOUND));
        // A crash came between the two trees of a new segment, which is then made whole. To delete the tree instead would be its
        // end: after a crash the library counts from the numbers of our rows, not of its own, and the deletion of a tree that is
        // just made may count as older than the making.
        events.extend(found.last().copied().filter(|first| events.last().is_none_or(|last| last < first)));
        let segments = events.iter().map(|first| self.open_segment(*first)).collect::<Result<_, _>>()?;
        self.set_segments(segments);
        // What a crash has left in memory, of those that nothing is written to any more.
        for segment in self.segments().iter().rev().skip(1) {
            self.to_tables(segment)?;
        }
        // Left by a crash while a segment was forgotten.
        for orphan in found.difference(&events) {
            let tree = self.tree_of_log(FOUND, *orphan)?;
            self.database.delete_keyspace(tree).map_err(|error| failed(&self.path, error))?;
        }
        Ok(())
    }

    fn tree_of_log(&self, kind: char, first: u64) -> Result<Keyspace, StoreError> {
        let options = || KeyspaceCreateOptions::default().max_memtable_size(LOG_MEMORY);
        let opened = self.database.keyspace(&format!("{kind}{first:020}"), options);
        opened.map_err(|error| failed(&self.path, error))
    }

    fn open_segment(&self, first: u64) -> Result<Arc<Segment>, StoreError> {
        // In this order: what has events has the other, too.
        let found = self.tree_of_log(FOUND, first)?;
        let events = self.tree_of_log(EVENTS, first)?;
        let (newest_ms, bytes, is_forgotten) = (OnceLock::new(), OnceLock::new(), AtomicBool::new(false));
        Ok(Arc::new(Segment { first, events, found, newest_ms, bytes, is_forgotten }))
    }

    fn set_segments(&self, segments: Vec<Arc<Segment>>) {
        *self.segments.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(segments);
    }

    /// The oldest first.
    pub(crate) fn segments(&self) -> Arc<Vec<Arc<Segment>>> {
        self.segments.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Lets events from this number on go into a segment of their own; so many bytes are in the one before.
    pub(crate) fn begin_segment(&self, first: u64, bytes_before: u64) -> Result<(), StoreError> {
        let mut segments = self.segments().to_vec();
        let before = segments.last().cloned();
        segments.push(self.open_segment(first)?);
        self.set_segments(segments);
        let Some(before) = before else { return Ok(()) };
        before.bytes.get_or_init(|| bytes_before);
        self.to_tables(&before)
    }

    /// Writes as a table what is in memory of a tree; those of the library's threads do it soon.
    pub(crate) fn out_of_memory(&self, tree: Tree) -> Result<(), StoreError> {
        self.tree(tree)?.rotate_memtable().map(|_| ()).map_err(|error| failed(&self.path, error))
    }

    /// Out of memory, so that it does not keep the write-ahead log from being cut.
    fn to_tables(&self, segment: &Segment) -> Result<(), StoreError> {
        for tree in [&segment.events, &segment.found] {
            tree.rotate_memtable().map_err(|error| failed(&self.path, error))?;
        }
        Ok(())
    }

    /// Forgets the oldest segment, unless it is the one that is written.
    pub(crate) fn forget_segment(&self) -> Result<(), StoreError> {
        let mut segments = self.segments().to_vec();
        if segments.len() < 2 {
            return Ok(());
        }
        let oldest = segments.remove(0);
        self.set_segments(segments);
        for tree in [&oldest.events, &oldest.found] {
            self.database.delete_keyspace(tree.clone()).map_err(|error| failed(&self.path, error))?;
        }
        oldest.is_forgotten.store(true, Ordering::Release);
        Ok(())
    }

    /// Bytes of all segments but the one that is written.
    pub(crate) fn sealed_bytes(&self) -> u64 {
        let segments = self.segments();
        let sealed = segments.iter().rev().skip(1);
        let bytes = sealed.map(|segment| {
            let on_disk = segment.events.disk_space() + segment.found.disk_space();
            on_disk.max(segment.bytes.get().copied().unwrap_or(0))
        });
        bytes.sum()
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// A tree of facts; one of the log is that of the segment which is written.
    pub(crate) fn tree(&self, tree: Tree) -> Result<Keyspace, StoreError> {
        let place = match tree {
            Tree::Meta => 0,
            Tree::Registrations => 1,
            Tree::Wanted => 2,
            Tree::Commands => 3,
            Tree::Documents => 4,
            Tree::Credentials => 5,
            Tree::Principals => 6,
            Tree::Values => 7,
            Tree::Notes => 8,
            Tree::Tokens => 9,
            Tree::Audit => 10,
            Tree::Audited => 11,
            Tree::Events | Tree::Found => {
                let segments = self.segments();
                let newest = segments.last().ok_or_else(|| corrupt(&self.path, "there is no log"))?;
                return Ok(if tree == Tree::Events { newest.events.clone() } else { newest.found.clone() });
            }
        };
        self.facts.get(place).cloned().ok_or_else(|| corrupt(&self.path, "a tree is missing"))
    }

    pub(crate) fn get(&self, tree: Tree, key: &[u8]) -> Result<Option<fjall::Slice>, StoreError> {
        self.tree(tree)?.get(key).map_err(|error| failed(&self.path, error))
    }

    /// Writes all rows or none.
    pub(crate) fn write(&self, rows: &[Row], sync: Sync) -> Result<(), StoreError> {
        let mode = match sync {
            Sync::Now => PersistMode::SyncData,
            Sync::Later => PersistMode::Buffer,
        };
        let mut batch =
            fjall::OwnedWriteBatch::with_capacity(self.database.clone(), rows.len()).durability(Some(mode));
        let (events, found) = (self.tree(Tree::Events).ok(), self.tree(Tree::Found).ok());
        for row in rows {
            let fact;
            let of_log = match row.tree == Tree::Events {
                true => events.as_ref(),
                false => found.as_ref().filter(|_| row.tree == Tree::Found),
            };
            let tree = match of_log {
                Some(tree) => tree,
                None => {
                    fact = self.tree(row.tree)?;
                    &fact
                }
            };
            match &row.value {
                Some(value) => batch.insert(tree, row.key.clone(), value.clone()),
                None => batch.remove(tree, row.key.clone()),
            }
        }
        let written = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| batch.commit()));
        let written = written.unwrap_or(Err(fjall::Error::Poisoned));
        written.map_err(|error| failed(&self.path, error))
    }

    /// Brings to the disk what was written for later; fails also when nothing can be written any more.
    pub(crate) fn sync(&self, sync: Sync) -> Result<(), StoreError> {
        let mode = match sync {
            Sync::Now => PersistMode::SyncData,
            Sync::Later => PersistMode::Buffer,
        };
        self.database.persist(mode).map_err(|error| failed(&self.path, error))
    }

    /// Waits for the library's own threads while they are behind.
    pub(crate) fn wait(&self) -> Result<(), StoreError> {
        while self.is_behind() {
            // Fails when it will never be otherwise.
            self.sync(Sync::Later)?;
            std::thread::park_timeout(Duration::from_millis(1));
        }
        Ok(())
    }

    /// Whether so much waits for the library's own threads that it would stop the writer, for as long as they take.
    fn is_behind(&self) -> bool {
        let segments = self.segments();
        let log = segments.last().into_iter().flat_map(|segment| [&segment.events, &segment.found]);
        self.facts
            .iter()
            .chain(log)
            .any(|tree| tree.sealed_memtable_count() > SEALED_MAX || tree.l0_table_count() > FRESH_TABLES_MAX)
    }
}

/// When rows are on the disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Sync {
    /// When they were written.
    Now,
    /// Some time after; a crash of the process alone loses nothing.
    Later,
}

/// What a failure of the library means to a caller.
pub(crate) fn failed(path: &Path, error: fjall::Error) -> StoreError {
    let unavailable = |source| StoreError::Unavailable { path: path.to_owned(), source };
    if let fjall::Error::Io(source) | fjall::Error::Storage(fjall::LsmError::Io(source)) = error {
        return unavailable(source);
    }
    if matches!(error, fjall::Error::Poisoned) {
        return unavailable(std::io::Error::other(words(&error)));
    }
    if matches!(error, fjall::Error::Locked) {
        return unavailable(std::io::Error::other(words(&error)));
    }
    corrupt(path, &words(&error))
}

/// What is wrong, in words of ours: those of the library are for who writes it.
pub(crate) fn words(error: &fjall::Error) -> String {
    use fjall::LsmError as Inner;
    let damaged = match error {
        fjall::Error::Io(source) | fjall::Error::Storage(Inner::Io(source)) => return source.to_string(),
        fjall::Error::Storage(inner) => match inner {
            Inner::ChecksumMismatch { .. } => "a block is not what was written there",
            Inner::Decompress(_) => "a block cannot be unpacked",
            Inner::InvalidVersion(_) => "a file has a form that this program does not know",
            Inner::Unrecoverable => "files of it are missing or damaged",
            Inner::InvalidTag(_) | Inner::InvalidTrailer | Inner::InvalidHeader(_) | Inner::Utf8(_) | _ => {
                "a block makes no sense"
            }
        },
        fjall::Error::JournalRecovery(_) => "what was written last cannot be read",
        fjall::Error::InvalidVersion(_) => "its files have a form that this program does not know",
        fjall::Error::Unrecoverable => "files of it are missing or damaged",
        fjall::Error::Decompress(_) | fjall::Error::InvalidTrailer | fjall::Error::InvalidTag(_) => {
            "what was written last makes no sense"
        }
        fjall::Error::Poisoned => "a write before this one has failed",
        fjall::Error::KeyspaceDeleted => "a tree of it is gone",
        fjall::Error::Locked => "somebody else has it open",
        _ => return format!("the library says: {error}"),
    };
    damaged.to_owned()
}

pub(crate) fn corrupt(path: &Path, message: &str) -> StoreError {
    StoreError::Corrupt { path: path.to_owned(), message: message.to_owned() }
}

/// The key of a row as people know it: a number, or what is in it of text.
pub(crate) fn shown(key: &[u8]) -> String {
    let is_text = |rest: &[u8]| str::from_utf8(rest).is_ok_and(|text| !text.contains(char::is_control));
    match key.as_array::<8>() {
        // Before a name there may be a small number that says of which kind it is.
        Some(number @ [0 | 1, rest @ ..]) if !is_text(rest) => u64::from_be_bytes(*number).to_string(),
        _ => String::from_utf8_lossy(key).trim_start_matches(char::is_control).escape_debug().to_string(),
    }
}

/// Says of what is damaged of which kind it is.
pub(crate) fn among(what: &'static str) -> impl Fn(StoreError) -> StoreError {
    move |error| {
        if let StoreError::Corrupt { path, message } = &error {
            return corrupt(path, &format!("{what}: {message}"));
        }
        error
    }
}

/// Trees of facts, each with the bytes of it that are kept in memory until they are written as a table.
const NAMES: [(&str, u64); 12] = [
    ("meta", 1 << 20),
    ("registrations", 16 << 20),
    ("wanted", 4 << 20),
    ("commands", 4 << 20),
    ("documents", 4 << 20),
    ("credentials", 8 << 20),
    ("principals", 4 << 20),
    ("values", 8 << 20),
    ("notes", 1 << 20),
    ("tokens", 1 << 20),
    ("audit", 4 << 20),
    ("audited", 1 << 20),
];
/// The same for each tree of the log.
const LOG_MEMORY: u64 = 8 << 20;
const EVENTS: char = 'e';
const FOUND: char = 'f';
/// Threads that write and merge tables.
const WORKERS: usize = 2;
/// Tables that are kept open to be read; one beyond is opened anew, in some microseconds. Many a system gives a process 1024
/// descriptors, of which the others are for whoever calls.
const FILES_OPEN_MAX: usize = 256;
/// The write-ahead log is cut when it is longer; opening after a crash reads it.
const JOURNAL_BYTES_MAX: u64 = 64 << 20;
/// The library stops whoever writes at 4 memory tables to be written, or at 30 tables to be merged, without end if its
/// threads have failed. So the writer waits before that, and looks.
const SEALED_MAX: usize = 1;
const FRESH_TABLES_MAX: usize = 18;
