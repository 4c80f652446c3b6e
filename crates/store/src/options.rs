//! What a store holds at most, and how one on the disk is opened.

use std::path::PathBuf;
use std::sync::Arc;

/// What is kept at most; a fact beyond is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Wanted observations of all devices together.
    pub wanted_max: usize,
    /// Commands of all devices together that wait or are on their way.
    pub commands_max: usize,
    /// Commands that have ended and are kept to be looked at.
    pub commands_kept: usize,
    /// Bytes that all commands take, with what was answered.
    pub command_bytes_max: usize,
    /// Bootstrap documents and templates together.
    pub documents_max: usize,
    /// Credentials of both sets together.
    pub credentials_max: usize,
    /// Tokens.
    pub tokens_max: usize,
    /// Entries about who did what; the oldest leave.
    pub audit_max: usize,
    /// For how long they are kept, in milliseconds.
    pub audit_age_ms: i64,
}

impl Default for Limits {
    fn default() -> Limits {
        Limits {
            wanted_max: 1_000_000,
            commands_max: 1_000_000,
            commands_kept: 10_000,
            command_bytes_max: 512 << 20,
            documents_max: 1_000_000,
            credentials_max: 2_000_000,
            tokens_max: 1000,
            audit_max: 100_000,
            audit_age_ms: 90 * 24 * 3600 * 1000,
        }
    }
}

/// Says what time it is, in milliseconds since 1970.
pub type NowMs = Arc<dyn Fn() -> i64 + Send + Sync>;

/// How an [`EmbeddedStore`](crate::EmbeddedStore) is opened.
#[derive(Clone)]
pub struct EmbeddedOptions {
    /// Where it is; made when it is not there. Nothing else may write into its `store`, `lock`, `hand-over` and `ticket-keys`.
    pub folder: PathBuf,
    /// The name of the log if it is made now; best chosen at random, never 0.
    pub writer: u32,
    /// Tells the age of events.
    pub now_ms: NowMs,
    /// When a commit comes back.
    pub durability: Durability,
    /// Which events are kept.
    pub log: LogLimits,
    /// What is kept of the rest.
    pub limits: Limits,
    /// With less space than this on its file system nothing new is taken, bytes.
    pub free_bytes_min: u64,
    /// Memory for what was read from the disk, bytes.
    pub cache_bytes: u64,
    /// Called each second by the thread that writes: to give back what its heap holds for nothing, where an allocator wants
    /// to be told.
    pub tidy: fn(),
}

impl EmbeddedOptions {
    /// The usual ones for a folder.
    #[must_use]
    pub fn new(folder: PathBuf, writer: u32, now_ms: NowMs) -> EmbeddedOptions {
        EmbeddedOptions {
            folder,
            writer,
            now_ms,
            durability: Durability::Always,
            log: LogLimits::default(),
            limits: Limits::default(),
            free_bytes_min: 128 << 20,
            cache_bytes: 16 << 20,
            tidy: || {},
        }
    }
}

impl std::fmt::Debug for EmbeddedOptions {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("EmbeddedOptions").field("folder", &self.folder).finish_non_exhaustive()
    }
}

/// When a commit comes back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Durability {
    /// When everything is on the disk.
    Always,
    /// When the system has it; it is on the disk at most so many milliseconds later. What a crash of the process cannot
    /// take away, a loss of power can.
    Relaxed {
        /// How much later, 1 to 60000 ms.
        after_ms: u64,
    },
}

/// Which events are kept. They leave in stretches of a sixteenth of these, the oldest first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LogLimits {
    /// For so long, in milliseconds.
    pub age_ms: i64,
    /// So many bytes of them at most, roughly.
    pub bytes: u64,
    /// So many can be read at most.
    pub events: u64,
}

impl Default for LogLimits {
    fn default() -> LogLimits {
        LogLimits { age_ms: 7 * 24 * 3600 * 1000, bytes: 1 << 30, events: u64::MAX }
    }
}
