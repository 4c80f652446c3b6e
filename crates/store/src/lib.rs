//! Keeps a LwM2M server's state and event log.
//!
//! ```text
//! I am what a server remembers: an event log that readers follow by cursor, and facts that outlive the process.
//! I may: read and write files of the folder I am given, hold locks for moments, have one thread that writes.
//! I must not: know CoAP, HTTP or JSON; decide what is kept; call anyone.
//! My invariants: a batch is written whole or not at all · what commit has acknowledged is in the next process (facts
//!   in a folder) and in every later page (events) · a reader that was too slow is told about its gap · memory is bounded.
//! Start reading at: batch.rs (the only write), then memory.rs (everything in memory), then embedded/mod.rs (on the disk).
//! ```

mod access;
mod any;
mod batch;
mod command;
mod commands;
pub mod conformance;
mod credential;
mod credentials;
mod embedded;
mod faulty;
mod file;
mod hand_over;
mod memory;
mod options;
mod ring;

use std::future::Future;
use std::path::PathBuf;
use std::sync::Arc;

pub use access::{AuditOf, AuditRecord, TokenRecord};
pub use any::AnyStore;
pub use batch::{
    BadCursor, Batch, Cursor, DocumentKey, EventPage, EventRecord, EventsFound, EventsOf, Fact, NewEvent,
    RegistrationRecord, Unreadable, WantedKey, WantedObservation,
};
pub use command::{CommandId, CommandRecord, CommandState, PLACE_STEP};
pub use credential::{CredentialKey, CredentialRecord, CredentialSet};
pub use embedded::{EmbeddedStore, Entry, Head, Importer, Report};
pub use faulty::{Faults, FaultyStore};
pub use memory::{MemoryStore, Options};
pub use options::{Durability, EmbeddedOptions, Limits, LogLimits, NowMs};

use lightship_lwm2m::{Endpoint, Path};

/// What every backend does.
pub trait Store {
    /// The only write: everything in the batch or nothing of it. Anybody may write; what is written is safe when this comes
    /// back, with the cursor of the newest event then.
    ///
    /// # Errors
    /// See [`StoreError`].
    fn commit(&self, batch: Batch) -> impl Future<Output = Result<Cursor, StoreError>> + Send;

    /// Whether it takes what it is given. A store that failed tries by itself until it can write again.
    fn health(&self) -> Health;

    /// The registration of a device.
    ///
    /// # Errors
    /// See [`StoreError`].
    fn registration(
        &self,
        endpoint: &Endpoint,
    ) -> impl Future<Output = Result<Option<Arc<RegistrationRecord>>, StoreError>> + Send;

    /// Shows every registration, each once, many at a time and in no order, from several threads at once; says how many there
    /// were. It blocks its thread: for the start, while nobody writes.
    ///
    /// # Errors
    /// See [`StoreError`].
    fn each_registration(&self, visit: &(dyn Fn(Vec<RegistrationRecord>) + Sync)) -> Result<u64, StoreError>;

    /// About how many registrations there are, rather more than less.
    fn registrations_about(&self) -> u64;

    /// What is wanted to be observed on a device, ordered by key.
    ///
    /// # Errors
    /// See [`StoreError`].
    fn wanted(
        &self,
        endpoint: &Endpoint,
    ) -> impl Future<Output = Result<Vec<WantedObservation>, StoreError>> + Send;

    /// Shows every device of which something is wanted, once, in the order of names. It blocks its thread.
    ///
    /// # Errors
    /// See [`StoreError`].
    fn each_wanted(&self, visit: &mut (dyn FnMut(Endpoint) + Send)) -> Result<(), StoreError>;

    /// A command, if it is kept.
    ///
    /// # Errors
    /// See [`StoreError`].
    fn command(
        &self,
        id: CommandId,
    ) -> impl Future<Output = Result<Option<Arc<CommandRecord>>, StoreError>> + Send;

    /// The commands of a device, in their order.
    ///
    /// # Errors
    /// See [`StoreError`].
    fn commands(
        &self,
        endpoint: &Endpoint,
    ) -> impl Future<Output = Result<Vec<Arc<CommandRecord>>, StoreError>> + Send;

    /// The commands of all devices that wait or are on their way, in their order.
    ///
    /// # Errors
    /// See [`StoreError`].
    fn live_commands(&self) -> impl Future<Output = Result<Vec<Arc<CommandRecord>>, StoreError>> + Send;

    /// The highest number that a kept command has; 0 for none.
    ///
    /// # Errors
    /// See [`StoreError`].
    fn last_command(&self) -> impl Future<Output = Result<u64, StoreError>> + Send;

    /// One bootstrap document.
    ///
    /// # Errors
    /// See [`StoreError`].
    fn document(
        &self,
        key: &DocumentKey,
    ) -> impl Future<Output = Result<Option<Arc<str>>, StoreError>> + Send;

    /// Bootstrap documents after a key, in the order of keys, at most `max`: first those of devices, then templates.
    ///
    /// # Errors
    /// See [`StoreError`].
    fn documents(
        &self,
        after: Option<&DocumentKey>,
        max: usize,
    ) -> impl Future<Output = Result<Vec<(DocumentKey, Arc<str>)>, StoreError>> + Send;

    /// The credential of a device, if it has one in that set.
    ///
    /// # Errors
    /// See [`StoreError`].
    fn credential(
        &self,
        key: &CredentialKey,
    ) -> impl Future<Output = Result<Option<Arc<CredentialRecord>>, StoreError>> + Send;

    /// The credential whose owner presents this.
    ///
    /// # Errors
    /// See [`StoreError`].
    fn credential_presented(
        &self,
        set: CredentialSet,
        principal: &[u8],
    ) -> impl Future<Output = Result<Option<Arc<CredentialRecord>>, StoreError>> + Send;

    /// Credentials of a set behind a device, in the order of names, at most `max`.
    ///
    /// # Errors
    /// See [`StoreError`].
    fn credentials(
        &self,
        set: CredentialSet,
        after: Option<&Endpoint>,
        max: usize,
    ) -> impl Future<Output = Result<Vec<Arc<CredentialRecord>>, StoreError>> + Send;

    /// What was heard last of a device at and below a path, in the order of paths. It blocks its thread.
    ///
    /// # Errors
    /// See [`StoreError`].
    fn values(&self, endpoint: &Endpoint, below: Path) -> Result<Vec<LastValue>, StoreError>;

    /// What was heard last of each of these; `None` where nothing is known. It blocks its thread.
    ///
    /// # Errors
    /// See [`StoreError`].
    fn values_at(&self, keys: &[(Endpoint, Path)]) -> Result<Vec<Option<Arc<[u8]>>>, StoreError>;

    /// Shows all that was heard last of the devices behind one, by name and path, until `visit` says no. It blocks its thread.
    ///
    /// # Errors
    /// See [`StoreError`].
    fn each_value(
        &self,
        behind: Option<&Endpoint>,
        visit: &mut (dyn FnMut(&str, Path, &[u8]) -> bool + Send),
    ) -> Result<(), StoreError>;

    /// Notes whose names begin like this, in the order of names.
    ///
    /// # Errors
    /// See [`StoreError`].
    fn notes(&self, prefix: &str) -> impl Future<Output = Result<Vec<Note>, StoreError>> + Send;

    /// What the notes of these names say; `None` where there is none. It blocks its thread.
    ///
    /// # Errors
    /// See [`StoreError`].
    fn notes_at(&self, names: &[Arc<str>]) -> Result<Vec<Option<Arc<str>>>, StoreError>;

    /// All tokens, ordered by their id.
    ///
    /// # Errors
    /// See [`StoreError`].
    fn tokens(&self) -> impl Future<Output = Result<Vec<Arc<TokenRecord>>, StoreError>> + Send;

    /// What was done by whom, newest first.
    ///
    /// # Errors
    /// See [`StoreError`].
    fn audit(&self, which: AuditOf)
    -> impl Future<Output = Result<Vec<Arc<AuditRecord>>, StoreError>> + Send;

    /// Leaves something for the next process that opens this store; what was left before is replaced.
    ///
    /// # Errors
    /// See [`StoreError`].
    fn leave_hand_over(&self, bytes: Box<[u8]>) -> impl Future<Output = Result<(), StoreError>> + Send;

    /// Takes what a process before has left. It is given once: it is gone for good before this returns, also when the process that
    /// took it dies at once.
    ///
    /// # Errors
    /// See [`StoreError`].
    fn take_hand_over(&self) -> impl Future<Output = Result<Option<Vec<u8>>, StoreError>> + Send;

    /// Keeps the keys of session tickets, sealed, for the processes that open this store later. What was kept before is replaced, not
    /// only outdated: keys of the past must not be found.
    ///
    /// # Errors
    /// See [`StoreError`].
    fn keep_ticket_keys(&self, bytes: Box<[u8]>) -> impl Future<Output = Result<(), StoreError>> + Send;

    /// The keys of session tickets, as they were kept last.
    ///
    /// # Errors
    /// See [`StoreError`].
    fn ticket_keys(&self) -> impl Future<Output = Result<Option<Vec<u8>>, StoreError>> + Send;

    /// Events after a cursor, oldest first, at most `max`. Without a cursor: the oldest kept.
    ///
    /// # Errors
    /// See [`StoreError`].
    fn events(
        &self,
        after: Option<Cursor>,
        max: usize,
    ) -> impl Future<Output = Result<EventPage, StoreError>> + Send;

    /// Events of a device that were written to be found again, newest first.
    ///
    /// # Errors
    /// See [`StoreError`].
    fn events_of(
        &self,
        endpoint: &Endpoint,
        which: EventsOf,
    ) -> impl Future<Output = Result<EventsFound, StoreError>> + Send;

    /// What readers of the log have found damaged since the store was opened, in order.
    fn unreadable(&self) -> Vec<Unreadable>;

    /// The cursor behind the newest event.
    ///
    /// # Errors
    /// See [`StoreError`].
    fn newest(&self) -> impl Future<Output = Result<Cursor, StoreError>> + Send;
}

/// What was heard last of a Resource or Resource Instance, in the words of whoever shows it.
pub type LastValue = (Path, Arc<[u8]>);

/// The name of a note, and what it says.
pub type Note = (Arc<str>, Arc<str>);

/// Whether a store takes what it is given.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Health {
    /// It does.
    Good,
    /// It does not, until further notice; every commit is refused at once.
    Failing {
        /// Since when, in milliseconds since 1970.
        since_ms: i64,
        /// Why, in plain words.
        reason: Arc<str>,
    },
}

/// Why a store does not do what it is asked.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StoreError {
    /// It cannot be reached or written now; try again.
    #[error("the store cannot be written: {path}")]
    Unavailable {
        /// Which file.
        path: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// Another process has it open.
    #[error("{} is in use by another process{}", path.display(), by.map(|pid| format!(", number {pid}")).unwrap_or_default())]
    InUse {
        /// The folder.
        path: PathBuf,
        /// Which process, if it says so.
        by: Option<u32>,
    },
    /// Something is stored already where a new store was to be made.
    #[error("{path} has a store already, or half of one")]
    Occupied {
        /// The folder.
        path: PathBuf,
    },
    /// An import into it was interrupted.
    #[error("{path}: an import into it has not come to its end: remove it, and import again")]
    Unfinished {
        /// The folder.
        path: PathBuf,
    },
    /// What is stored makes no sense; stop.
    #[error(
        "{path} is damaged or of a newer version: {message}; keep a copy of the folder, and go on with a backup of it \
         (lightship store import) or with the newer program"
    )]
    Corrupt {
        /// Which file.
        path: PathBuf,
        /// What was found.
        message: String,
    },
    /// Another device presents the same already.
    #[error("{by:?} has that already")]
    Taken {
        /// Which one.
        by: Endpoint,
    },
    /// A limit of the store would be passed.
    #[error("the store is full: at most {max} {what}")]
    Full {
        /// Of what.
        what: &'static str,
        /// How many it holds.
        max: usize,
    },
}

impl StoreError {
    /// Whether what was to be read is there and makes no sense, or lies where the disk cannot be read: reading it again does not help.
    #[must_use]
    pub fn is_damage(&self) -> bool {
        match self {
            StoreError::Corrupt { .. } => true,
            StoreError::Unavailable { source, .. } => {
                source.raw_os_error() == Some(EIO) || source.kind() == std::io::ErrorKind::UnexpectedEof
            }
            StoreError::InUse { .. }
            | StoreError::Occupied { .. }
            | StoreError::Unfinished { .. }
            | StoreError::Taken { .. }
            | StoreError::Full { .. } => false,
        }
    }

    /// Why, without where: for whoever says that himself.
    #[must_use]
    pub fn reason(&self) -> String {
        match self {
            StoreError::Unavailable { source, .. } => source.to_string(),
            StoreError::Corrupt { message, .. } => message.clone(),
            StoreError::InUse { .. }
            | StoreError::Occupied { .. }
            | StoreError::Unfinished { .. }
            | StoreError::Taken { .. }
            | StoreError::Full { .. } => self.to_string(),
        }
    }

    /// What happened and why, in one line.
    #[must_use]
    pub fn chain(&self) -> String {
        let mut text = self.to_string();
        let mut source = std::error::Error::source(self);
        while let Some(error) = source {
            text.push_str(": ");
            text.push_str(&error.to_string());
            source = error.source();
        }
        text
    }
}

/// What a system says of a place on the disk that cannot be read.
const EIO: i32 = 5;
