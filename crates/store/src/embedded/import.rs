//! A store made of what another one was written out as: all of it, or none.

use std::collections::HashSet;

use super::archive::{Entry, Head};
use super::draft::{COUNTS, Counts, counts_value};
use super::lock::FolderLock;
use super::trees::{Row, Sync, Tree, Trees, corrupt, shown};
use super::{open, records};
use crate::StoreError;
use crate::batch::{Cursor, EventRecord, Unreadable};
use crate::options::EmbeddedOptions;

/// Fills a new store with what another one held.
pub struct Importer {
    trees: Trees,
    _lock: FolderLock,
    next: u64,
    counts: Counts,
    rows: Vec<Row>,
    keys: HashSet<(Tree, fjall::Slice)>,
    segment_bytes: usize,
    missing: Vec<Unreadable>,
}

impl Importer {
    /// Begins in a folder where no store is. Until [`Self::finish`] it cannot be opened.
    ///
    /// # Errors
    /// When there is a store already, or see [`StoreError`].
    pub fn begin(options: &EmbeddedOptions, head: Head) -> Result<Importer, StoreError> {
        open::make(&options.folder)?;
        let lock = FolderLock::take(&options.folder)?;
        let trees = Trees::open(&options.folder.join(open::STORE), options.cache_bytes)?;
        if !open::is_new(&trees)? {
            return Err(StoreError::Occupied { path: trees.path().to_owned() });
        }
        trees.write(&[open::log_row(head.writer)], Sync::Now)?;
        trees.begin_segment(head.oldest.max(1), 0)?;
        Ok(Importer {
            trees,
            _lock: lock,
            next: head.oldest.max(1),
            counts: Counts::default(),
            rows: Vec::new(),
            keys: HashSet::new(),
            segment_bytes: 0,
            missing: Vec::new(),
        })
    }

    /// Takes one thing; events in their order, without holes.
    ///
    /// # Errors
    /// When it cannot be, or see [`StoreError`].
    pub fn push(&mut self, entry: Entry) -> Result<(), StoreError> {
        match entry {
            Entry::Registration(record) => {
                let key = records::registration_key(&record.endpoint).to_vec();
                self.row(Tree::Registrations, key, records::registration(&record))
            }
            Entry::Wanted { endpoint, observation } => {
                self.counts.wanted += 1;
                let key = records::wanted_key(&endpoint, &observation.key);
                self.row(Tree::Wanted, key, records::wanted(&observation))
            }
            Entry::Command(record) => {
                let key = records::number_key(record.id.number).to_vec();
                self.row(Tree::Commands, key, records::command(&record))
            }
            Entry::Document { key, body } => {
                self.counts.documents += 1;
                self.row(Tree::Documents, records::document_key(&key), records::document(&body))
            }
            Entry::Credential(record) => {
                self.counts.credentials += 1;
                if let Some(principal) = &record.principal {
                    let key = records::principal_key(record.key.set, principal);
                    let owner = record.key.endpoint.as_str().as_bytes().to_vec();
                    self.row(Tree::Principals, key, owner)?;
                }
                self.row(
                    Tree::Credentials,
                    records::credential_key(&record.key),
                    records::credential(&record),
                )
            }
            Entry::Value { endpoint, path, value } => {
                self.row(Tree::Values, records::value_key(&endpoint, path), records::last_value(&value))
            }
            Entry::Note { name, body } => {
                self.row(Tree::Notes, name.as_bytes().to_vec(), records::note(&body))
            }
            Entry::Token(record) => {
                self.row(Tree::Tokens, record.id.as_bytes().to_vec(), records::token(&record))
            }
            Entry::Audit(record) => {
                if let Some(endpoint) = &record.endpoint {
                    self.row(Tree::Audited, records::index_key(endpoint, record.id), Vec::new())?;
                }
                self.row(Tree::Audit, records::number_key(record.id).to_vec(), records::audit(&record))
            }
            Entry::Event { event, indexed } => self.event(&event, indexed),
            Entry::Missing(stretch) => self.lost(stretch),
        }
    }

    fn lost(&mut self, stretch: Unreadable) -> Result<(), StoreError> {
        let Unreadable { first, last } = stretch;
        if first != self.next || !(first..u64::MAX).contains(&last) {
            let message = format!("events {first} to {last} are missing in place of {}", self.next);
            return Err(corrupt(self.trees.path(), &message));
        }
        if self.missing.len() >= MISSING_MAX {
            let message = format!("more than {MISSING_MAX} stretches of the log are missing");
            return Err(corrupt(self.trees.path(), &message));
        }
        self.missing.push(stretch);
        self.next = last + 1;
        Ok(())
    }

    fn event(&mut self, event: &EventRecord, indexed: bool) -> Result<(), StoreError> {
        let Cursor { number, .. } = event.cursor;
        if number != self.next {
            return Err(corrupt(
                self.trees.path(),
                &format!("event {number} comes in place of {}", self.next),
            ));
        }
        if self.segment_bytes >= SEGMENT_BYTES {
            self.write()?;
            self.trees.begin_segment(number, u64::try_from(self.segment_bytes).unwrap_or(u64::MAX))?;
            self.segment_bytes = 0;
        }
        self.next += 1;
        let value = records::event_row(event.at_ms, &event.endpoint, &event.kind, &event.body, indexed);
        self.segment_bytes += value.len();
        if indexed {
            let key = records::index_key(&event.endpoint, number);
            self.row(Tree::Found, key, event.at_ms.to_be_bytes().to_vec())?;
        }
        self.row(Tree::Events, records::number_key(number).to_vec(), value)
    }

    fn row(&mut self, tree: Tree, key: Vec<u8>, value: Vec<u8>) -> Result<(), StoreError> {
        let key = fjall::Slice::from(key);
        let is_twice = !self.keys.insert((tree, key.clone()));
        // Of the log nothing can be there twice.
        let of_log = matches!(tree, Tree::Events | Tree::Found);
        if is_twice || (!of_log && self.trees.get(tree, &key)?.is_some()) {
            return Err(corrupt(self.trees.path(), &format!("{tree:?}: {} is there twice", shown(&key))));
        }
        self.rows.push(Row { tree, key, value: Some(value.into()) });
        if self.rows.len() < ROWS_MAX { Ok(()) } else { self.write() }
    }

    fn write(&mut self) -> Result<(), StoreError> {
        self.trees.wait()?;
        self.trees.write(&self.rows, Sync::Later)?;
        self.rows.clear();
        self.keys.clear();
        Ok(())
    }

    /// All was taken: from now on it is a store.
    ///
    /// # Errors
    /// When the log does not end where it should, or see [`StoreError`].
    pub fn finish(mut self, head: Head) -> Result<(), StoreError> {
        if self.next != head.newest + 1 {
            let message = format!("the log ends before event {}, not behind {}", self.next, head.newest);
            return Err(corrupt(self.trees.path(), &message));
        }
        self.row(Tree::Meta, COUNTS.to_vec(), counts_value(self.counts))?;
        self.rows.push(open::missing_row(&self.missing));
        self.write()?;
        if self.missing.last().is_some_and(|stretch| stretch.last == head.newest) {
            // No number is given twice.
            self.trees.begin_segment(self.next, u64::try_from(self.segment_bytes).unwrap_or(u64::MAX))?;
        }
        self.trees.write(&[open::format_row()], Sync::Now)
    }
}

impl std::fmt::Debug for Importer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Importer").field("path", &self.trees.path()).finish_non_exhaustive()
    }
}

/// Stretches that may be missing of what is imported.
const MISSING_MAX: usize = 65_536;
/// Rows of an import that are written together.
const ROWS_MAX: usize = 2000;
/// Bytes of events in one segment of what is imported.
const SEGMENT_BYTES: usize = 64 << 20;
