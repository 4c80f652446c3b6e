//! Durable commands: what waits for a device, and what became of it.

use std::sync::Arc;

use lightship_lwm2m::Endpoint;

use crate::BadCursor;

/// One command as it stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CommandRecord {
    /// Which one.
    pub id: CommandId,
    /// For whom.
    pub endpoint: Endpoint,
    /// Where it stands.
    pub state: CommandState,
    /// What is to be done, in the words of whoever will do it.
    pub order: Arc<str>,
    /// When it was accepted, in milliseconds since 1970.
    pub created_ms: i64,
    /// When it changed last.
    pub changed_ms: i64,
    /// When it is given up.
    pub not_after_ms: i64,
    /// Of one device, a higher one is sent first.
    pub priority: i8,
    /// Of one device and one priority, a lower one is sent first; [`CommandId::place`] unless it was moved.
    pub place: i64,
    /// How often it was sent.
    pub attempts: u32,
    /// How often it may be sent; `u32::MAX`: as often as it takes.
    pub attempts_max: u32,
    /// The pause after the first attempt that brought no answer, in milliseconds.
    pub pause_ms: u64,
    /// It is not sent before this; 0: at any time.
    pub next_ms: i64,
    /// Why it stands where it stands.
    pub reason: Option<Arc<str>>,
    /// What the device answered, in the words of whoever asked.
    pub answer: Option<Arc<str>>,
}

/// Names a command: `writer` is the process that accepted it, `number` rises over all of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct CommandId {
    /// The place in the order.
    pub number: u64,
    /// Who accepted it.
    pub writer: u32,
}

impl CommandId {
    /// Where a command stands among its equals when nobody has moved it: behind those that were accepted before it.
    /// Between two of them is room.
    #[must_use]
    pub fn place(self) -> i64 {
        i64::try_from(self.number).unwrap_or(i64::MAX).saturating_mul(PLACE_STEP)
    }
}

/// Places between two commands that follow each other.
pub const PLACE_STEP: i64 = 1 << 16;

/// Where a command stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum CommandState {
    /// For its turn.
    Waiting,
    /// On its way.
    Sent,
    /// The device did it.
    Done,
    /// The device did not want it.
    Refused,
    /// Its time was over, or nobody knows what became of it.
    Expired,
    /// It was taken back.
    Cancelled,
    /// Another took its place.
    Superseded,
}

impl CommandState {
    /// All of them; the place in this list is their number in files.
    pub const ALL: [CommandState; 7] = [
        CommandState::Waiting,
        CommandState::Sent,
        CommandState::Done,
        CommandState::Refused,
        CommandState::Expired,
        CommandState::Cancelled,
        CommandState::Superseded,
    ];

    /// Whether something may still happen to it.
    #[must_use]
    pub fn is_live(self) -> bool {
        matches!(self, CommandState::Waiting | CommandState::Sent)
    }
}

impl std::fmt::Display for CommandId {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{:08x}-{}", self.writer, self.number)
    }
}

impl std::str::FromStr for CommandId {
    type Err = BadCursor;

    fn from_str(text: &str) -> Result<CommandId, BadCursor> {
        let place: crate::Cursor = text.parse()?;
        Ok(CommandId { number: place.number, writer: place.writer })
    }
}
