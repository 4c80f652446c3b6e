//! Batch: the only way to write. And what reads give back.

use std::borrow::Cow;
use std::sync::Arc;

use lightship_lwm2m::{Endpoint, Path};

use crate::access::{AuditRecord, TokenRecord};
use crate::command::CommandRecord;
use crate::credential::{CredentialKey, CredentialRecord};

/// Facts that become true together.
#[derive(Clone, Debug, Default)]
pub struct Batch {
    /// In the order they happened.
    pub facts: Vec<Fact>,
}

/// Something that shall be remembered.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum Fact {
    /// An event joins the log; the store gives it its number.
    Happened(NewEvent),
    /// A device is registered like this from now on; replaces what it had.
    Registered(Arc<RegistrationRecord>),
    /// Its registration lives longer; nothing happens when it has another one by now.
    Leased {
        /// Which device.
        endpoint: Endpoint,
        /// Which registration.
        id: u64,
        /// When it ends, in milliseconds since 1970.
        expires_ms: i64,
    },
    /// It is registered no longer; nothing happens when it has another registration by now.
    Deregistered {
        /// Which device.
        endpoint: Endpoint,
        /// Which registration.
        id: u64,
    },
    /// This shall be observed on a device from now on; replaces what was wanted under the same key.
    Wanted {
        /// Which device.
        endpoint: Endpoint,
        /// What.
        observation: WantedObservation,
    },
    /// A command is so from now on.
    Commanded(Arc<CommandRecord>),
    /// This shall be observed no longer; nothing happens when it was not.
    Unwanted {
        /// Which device.
        endpoint: Endpoint,
        /// Which.
        key: WantedKey,
    },
    /// This is what a device, or devices of a kind, are given when they bootstrap; replaces what was there.
    Document {
        /// For whom.
        key: DocumentKey,
        /// The document, a text that only its owner understands. It may hold keys.
        body: Arc<str>,
    },
    /// There is no such document any longer; nothing happens when there was none.
    NoDocument {
        /// For whom it was.
        key: DocumentKey,
    },
    /// This is how a device may prove who it is; replaces what it had in that set.
    Credential(Arc<CredentialRecord>),
    /// It may no longer; nothing happens when it could not.
    NoCredential {
        /// Whose credential it was.
        key: CredentialKey,
    },
    /// This is what was heard last of a Resource, or Resource Instance; replaces what was there.
    Value {
        /// Of which device.
        endpoint: Endpoint,
        /// Of what.
        path: Path,
        /// In the words of whoever shows it; `None`: it is forgotten.
        value: Option<Arc<[u8]>>,
    },
    /// Something small that its owner keeps under a name; replaces what was there.
    Note {
        /// Its name; names of one kind begin with the same letters.
        name: Arc<str>,
        /// A text that only its owner understands; `None`: it is forgotten.
        body: Option<Arc<str>>,
    },
    /// Callers may present this from now on; replaces the token of the same id.
    Token(Arc<TokenRecord>),
    /// They may no longer; nothing happens when they could not.
    NoToken {
        /// Which token it was.
        id: Arc<str>,
    },
    /// Somebody did something; replaces the entry of the same place.
    Audited(Arc<AuditRecord>),
}

/// Whom a bootstrap document is for; devices come before templates.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum DocumentKey {
    /// One device.
    Device(Endpoint),
    /// Devices whose names fit a pattern that the document says; this is the name of the template.
    Template(String),
}

/// What tells the observations of one device apart; paths come before names.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum WantedKey {
    /// The observation of one node.
    Path(Path),
    /// The composite observation of that name.
    Name(String),
}

impl From<Path> for WantedKey {
    fn from(path: Path) -> WantedKey {
        WantedKey::Path(path)
    }
}

/// An observation that shall run whenever the device is registered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WantedObservation {
    /// Which one.
    pub key: WantedKey,
    /// What a composite observation observes; empty for one of a path, where the key says it.
    pub paths: Vec<Path>,
    /// Content format number to ask for.
    pub accept: Option<u16>,
    /// Attributes carried in the Observe, `name=value` each.
    pub attributes: Vec<String>,
}

/// A registration as it outlives the process.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RegistrationRecord {
    /// Whose it is.
    pub endpoint: Endpoint,
    /// Its locator, read as a number.
    pub id: u64,
    /// When the device registered, in milliseconds since 1970.
    pub registered_ms: i64,
    /// When it was heard last, as far as that is stored.
    pub updated_ms: i64,
    /// When it ends, as far as that is stored; `None`: never.
    pub expires_ms: Option<i64>,
    /// All that the device said, in the words of whoever serves it.
    pub said: Arc<[u8]>,
}

/// An event on its way into the log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewEvent {
    /// When it happened, in milliseconds since 1970.
    pub at_ms: i64,
    /// Whom it is about.
    pub endpoint: Endpoint,
    /// What kind it is, as readers filter it.
    pub kind: &'static str,
    /// The event in the words of whoever shows it, who adds its cursor.
    pub body: Arc<str>,
    /// Whether it is found again by its device ([`Store::events_of`](crate::Store::events_of)).
    pub indexed: bool,
}

/// One event of the log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EventRecord {
    /// Its place.
    pub cursor: Cursor,
    /// When it happened, in milliseconds since 1970.
    pub at_ms: i64,
    /// Whom it is about.
    pub endpoint: Endpoint,
    /// What kind it is, as readers filter it.
    pub kind: Cow<'static, str>,
    /// The event in the words of whoever shows it; shared by all readers.
    pub body: Arc<str>,
}

/// Which events of a device are asked for, the newest first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EventsOf {
    /// Only those before this one.
    pub before: Option<Cursor>,
    /// Not older than this, in milliseconds since 1970.
    pub from_ms: i64,
    /// Older than this.
    pub to_ms: i64,
    /// At most so many.
    pub max: usize,
}

/// A place in the log: `writer` names the log for as long as it exists, `number` counts its events from 1, over restarts too.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Cursor {
    /// Who wrote.
    pub writer: u32,
    /// Which of its events; 0 stands before the first.
    pub number: u64,
}

impl std::fmt::Display for Cursor {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{:08x}-{}", self.writer, self.number)
    }
}

impl std::str::FromStr for Cursor {
    type Err = BadCursor;

    fn from_str(text: &str) -> Result<Cursor, BadCursor> {
        let (writer, number) = text.split_once('-').ok_or(BadCursor)?;
        let cursor = Cursor {
            writer: u32::from_str_radix(writer, 16).map_err(|_| BadCursor)?,
            number: number.parse().map_err(|_| BadCursor)?,
        };
        if cursor.to_string() == text { Ok(cursor) } else { Err(BadCursor) }
    }
}

/// The text is no cursor, or names no command.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not the id of an event or a command")]
pub struct BadCursor;

/// A stretch of the log.
#[derive(Clone, Debug, PartialEq)]
pub struct EventPage {
    /// Oldest first.
    pub events: Vec<Arc<EventRecord>>,
    /// Whether events between the reader's cursor and the first one here are lost to it.
    pub gap: bool,
    /// Those behind the ones here, if they are damaged on the disk.
    pub unreadable: Option<Unreadable>,
    /// Where to go on.
    pub next: Cursor,
}

/// Events of one device, newest first.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct EventsFound {
    /// Those that can be read.
    pub events: Vec<Arc<EventRecord>>,
    /// Where others of it may have been, which are damaged on the disk.
    pub unreadable: Option<Unreadable>,
}

/// A stretch of the log that is damaged on the disk, by the numbers of its events.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Unreadable {
    /// The first that cannot be read.
    pub first: u64,
    /// The last.
    pub last: u64,
}

impl Unreadable {
    /// The stretch that holds this one and another.
    #[must_use]
    pub fn and(self, other: Option<Unreadable>) -> Unreadable {
        other.map_or(self, |other| Unreadable {
            first: self.first.min(other.first),
            last: self.last.max(other.last),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cursor_has_one_spelling() {
        let cursor = Cursor { writer: 0xAB, number: 12 };
        assert_eq!(cursor.to_string(), "000000ab-12");
        assert_eq!("000000ab-12".parse(), Ok(cursor));
        for bad in ["", "ab-12", "000000AB-12", "000000ab-012", "000000ab", "000000ab--1", "0000000000ab-1"] {
            assert_eq!(bad.parse::<Cursor>(), Err(BadCursor), "{bad}");
        }
    }
}
