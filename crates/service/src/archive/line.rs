//! The lines of an export: one shape each, and what the store keeps of it.

use std::sync::Arc;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use lightship_lwm2m::Endpoint;
use lightship_store::{
    AuditRecord, CommandId, CommandRecord, CommandState, CredentialKey, CredentialRecord, CredentialSet,
    Cursor, DocumentKey, Entry, EventRecord, Head, RegistrationRecord, TokenRecord, Unreadable, WantedKey,
    WantedObservation,
};
use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::value::RawValue;

/// One line; its first word is the name of the variant.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub(super) enum Line {
    Store(Store),
    Registration(Registration),
    Wanted(Wanted),
    Command(Command),
    Document(Document),
    Credential(Credential),
    Value(LastValue),
    Note(Note),
    Token(Token),
    Audit(Audit),
    Event(Event),
    Missing(Missing),
    End { lines: u64 },
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Store {
    version: u32,
    log: String,
    oldest: u64,
    newest: u64,
}

impl Store {
    /// What the log of the store is called, and which events it has.
    pub(super) fn head(&self) -> Result<Head, String> {
        if self.version != VERSION {
            return Err(format!("version {}, this program knows {VERSION}", self.version));
        }
        let writer = u32::from_str_radix(&self.log, 16).map_err(|error| error.to_string())?;
        if self.oldest == 0 || self.oldest > self.newest.saturating_add(1) {
            return Err(format!("events from {} to {}", self.oldest, self.newest));
        }
        Ok(Head { writer, oldest: self.oldest, newest: self.newest })
    }
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Registration {
    endpoint: String,
    id: u64,
    registered_ms: i64,
    updated_ms: i64,
    expires_ms: Option<i64>,
    said: Bytes,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Wanted {
    endpoint: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    path: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    name: Option<String>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    paths: Vec<String>,
    accept: Option<u16>,
    attributes: Vec<String>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Command {
    id: String,
    endpoint: String,
    state: String,
    order: Text,
    created_ms: i64,
    changed_ms: i64,
    not_after_ms: i64,
    priority: i8,
    /// Absent: nobody has moved it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    place: Option<i64>,
    attempts: u32,
    attempts_max: u32,
    pause_ms: u64,
    next_ms: i64,
    reason: Option<Text>,
    answer: Option<Text>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Document {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    endpoint: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    template: Option<String>,
    body: Text,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Credential {
    set: String,
    endpoint: String,
    principal: Option<Bytes>,
    sealed: Bytes,
    changed_ms: i64,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct LastValue {
    endpoint: String,
    path: String,
    value: Text,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Note {
    name: String,
    body: Text,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Event {
    number: u64,
    at_ms: i64,
    endpoint: String,
    kind: String,
    indexed: bool,
    body: Text,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Missing {
    first: u64,
    last: u64,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Token {
    id: String,
    name: String,
    role: String,
    sha256: Bytes,
    created_ms: i64,
    created_by: String,
    expires_ms: Option<i64>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Audit {
    place: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    endpoint: Option<String>,
    body: Text,
}

struct Bytes(Vec<u8>);

impl Serialize for Bytes {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&STANDARD.encode(&self.0))
    }
}

impl<'de> Deserialize<'de> for Bytes {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Bytes, D::Error> {
        let text = String::deserialize(deserializer)?;
        STANDARD.decode(text).map(Bytes).map_err(D::Error::custom)
    }
}

/// A text that is mostly JSON: that stays as it is, letter by letter; anything else is a string.
struct Text(Arc<str>);

impl Serialize for Text {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let is_one_line = self.0.starts_with(['{', '[']) && !self.0.contains(['\n', '\r']);
        let raw = is_one_line.then(|| serde_json::from_str::<&RawValue>(&self.0).ok()).flatten();
        match raw.filter(|raw| raw.get() == &*self.0) {
            Some(raw) => raw.serialize(serializer),
            None => serializer.serialize_str(&self.0),
        }
    }
}

impl<'de> Deserialize<'de> for Text {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Text, D::Error> {
        let raw = Box::<RawValue>::deserialize(deserializer)?;
        if raw.get().starts_with('"') {
            let text: String = serde_json::from_str(raw.get()).map_err(D::Error::custom)?;
            return Ok(Text(text.into()));
        }
        Ok(Text(raw.get().into()))
    }
}

impl From<Entry> for Line {
    fn from(entry: Entry) -> Line {
        match entry {
            Entry::Registration(record) => Line::Registration(Registration {
                endpoint: record.endpoint.to_string(),
                id: record.id,
                registered_ms: record.registered_ms,
                updated_ms: record.updated_ms,
                expires_ms: record.expires_ms,
                said: Bytes(record.said.to_vec()),
            }),
            Entry::Wanted { endpoint, observation } => {
                let (path, name) = match observation.key {
                    WantedKey::Path(path) => (Some(path.to_string()), None),
                    WantedKey::Name(name) => (None, Some(name)),
                };
                Line::Wanted(Wanted {
                    endpoint: endpoint.to_string(),
                    path,
                    name,
                    paths: observation.paths.iter().map(ToString::to_string).collect(),
                    accept: observation.accept,
                    attributes: observation.attributes,
                })
            }
            Entry::Command(record) => Line::Command(record.into()),
            Entry::Document { key, body } => {
                let (endpoint, template) = match key {
                    DocumentKey::Device(endpoint) => (Some(endpoint.to_string()), None),
                    DocumentKey::Template(name) => (None, Some(name)),
                };
                Line::Document(Document { endpoint, template, body: Text(body) })
            }
            Entry::Credential(record) => Line::Credential(Credential {
                set: match record.key.set {
                    CredentialSet::Server => SERVER.to_owned(),
                    CredentialSet::Bootstrap => BOOTSTRAP.to_owned(),
                },
                endpoint: record.key.endpoint.to_string(),
                principal: record.principal.map(|principal| Bytes(principal.into())),
                sealed: Bytes(record.sealed.into()),
                changed_ms: record.changed_ms,
            }),
            Entry::Value { endpoint, path, value } => Line::Value(LastValue {
                endpoint: endpoint.to_string(),
                path: path.to_string(),
                // It is JSON; what is not comes back as what could be read of it.
                value: Text(String::from_utf8_lossy(&value).into()),
            }),
            Entry::Note { name, body } => Line::Note(Note { name: name.to_string(), body: Text(body) }),
            Entry::Token(record) => Line::Token(record.into()),
            Entry::Audit(record) => Line::Audit(Audit {
                place: format!("{:016x}", record.id),
                endpoint: record.endpoint.map(|endpoint| endpoint.to_string()),
                body: Text(record.body),
            }),
            Entry::Event { event, indexed } => Line::Event(Event {
                number: event.cursor.number,
                at_ms: event.at_ms,
                endpoint: event.endpoint.to_string(),
                kind: event.kind.into_owned(),
                indexed,
                body: Text(event.body),
            }),
            Entry::Missing(Unreadable { first, last }) => Line::Missing(Missing { first, last }),
        }
    }
}

impl From<TokenRecord> for Token {
    fn from(record: TokenRecord) -> Token {
        Token {
            id: record.id.to_string(),
            name: record.name.to_string(),
            role: record.role.to_string(),
            sha256: Bytes(record.digest.into()),
            created_ms: record.created_ms,
            created_by: record.created_by.to_string(),
            expires_ms: record.expires_ms,
        }
    }
}

impl From<CommandRecord> for Command {
    fn from(record: CommandRecord) -> Command {
        Command {
            id: record.id.to_string(),
            endpoint: record.endpoint.to_string(),
            state: state_name(record.state).to_owned(),
            order: Text(record.order),
            created_ms: record.created_ms,
            changed_ms: record.changed_ms,
            not_after_ms: record.not_after_ms,
            priority: record.priority,
            place: Some(record.place).filter(|place| *place != record.id.place()),
            attempts: record.attempts,
            attempts_max: record.attempts_max,
            pause_ms: record.pause_ms,
            next_ms: record.next_ms,
            reason: record.reason.map(Text),
            answer: record.answer.map(Text),
        }
    }
}

const fn state_name(state: CommandState) -> &'static str {
    match state {
        CommandState::Waiting => "waiting",
        CommandState::Sent => "sent",
        CommandState::Done => "done",
        CommandState::Refused => "refused",
        CommandState::Expired => "expired",
        CommandState::Cancelled => "cancelled",
        CommandState::Superseded => "superseded",
    }
}

fn endpoint(name: &str) -> Result<Endpoint, String> {
    Endpoint::new(name).map_err(|error| format!("{name:?}: {error}"))
}

fn path(text: &str) -> Result<lightship_lwm2m::Path, String> {
    text.parse().map_err(|_| format!("{text:?} is no path"))
}

impl Line {
    /// The line that names the store.
    pub(super) fn first(head: Head) -> Line {
        Line::Store(Store {
            version: VERSION,
            log: format!("{:08x}", head.writer),
            oldest: head.oldest,
            newest: head.newest,
        })
    }

    /// What the store is to keep for this line; `writer` is the name of its log.
    pub(super) fn entry(self, writer: u32) -> Result<Entry, String> {
        Ok(match self {
            Line::Store(_) | Line::End { .. } => return Err("not in the middle".to_owned()),
            Line::Registration(line) => Entry::Registration(RegistrationRecord {
                endpoint: endpoint(&line.endpoint)?,
                id: line.id,
                registered_ms: line.registered_ms,
                updated_ms: line.updated_ms,
                expires_ms: line.expires_ms,
                said: line.said.0.into(),
            }),
            Line::Wanted(line) => line.entry()?,
            Line::Command(line) => Entry::Command(line.record()?),
            Line::Document(line) => {
                let key = match (&line.endpoint, line.template) {
                    (Some(name), None) => DocumentKey::Device(endpoint(name)?),
                    (None, Some(name)) => DocumentKey::Template(name),
                    _ => return Err("a document is for an endpoint or of a template".to_owned()),
                };
                Entry::Document { key, body: line.body.0 }
            }
            Line::Credential(line) => {
                let set = match line.set.as_str() {
                    SERVER => CredentialSet::Server,
                    BOOTSTRAP => CredentialSet::Bootstrap,
                    other => return Err(format!("there is no set {other:?}")),
                };
                Entry::Credential(CredentialRecord {
                    key: CredentialKey { set, endpoint: endpoint(&line.endpoint)? },
                    principal: line.principal.map(|bytes| bytes.0.into()),
                    sealed: line.sealed.0.into(),
                    changed_ms: line.changed_ms,
                })
            }
            Line::Value(line) => Entry::Value {
                endpoint: endpoint(&line.endpoint)?,
                path: path(&line.path)?,
                value: line.value.0.as_bytes().into(),
            },
            Line::Note(line) => Entry::Note { name: line.name.into(), body: line.body.0 },
            Line::Token(line) => Entry::Token(TokenRecord {
                id: line.id.into(),
                name: line.name.into(),
                role: line.role.into(),
                digest: line.sha256.0.try_into().map_err(|_| "a SHA-256 has 32 bytes".to_owned())?,
                created_ms: line.created_ms,
                created_by: line.created_by.into(),
                expires_ms: line.expires_ms,
            }),
            Line::Audit(line) => Entry::Audit(AuditRecord {
                id: u64::from_str_radix(&line.place, 16).map_err(|error| error.to_string())?,
                endpoint: line.endpoint.as_deref().map(endpoint).transpose()?,
                body: line.body.0,
            }),
            Line::Event(line) => Entry::Event {
                event: EventRecord {
                    cursor: Cursor { writer, number: line.number },
                    at_ms: line.at_ms,
                    endpoint: endpoint(&line.endpoint)?,
                    kind: line.kind.into(),
                    body: line.body.0,
                },
                indexed: line.indexed,
            },
            Line::Missing(Missing { first, last }) => Entry::Missing(Unreadable { first, last }),
        })
    }
}

impl Wanted {
    fn entry(self) -> Result<Entry, String> {
        let key = match (&self.path, self.name) {
            (Some(text), None) => WantedKey::Path(path(text)?),
            (None, Some(name)) => WantedKey::Name(name),
            _ => return Err("an observation has a path or a name".to_owned()),
        };
        let paths = self.paths.iter().map(|text| path(text)).collect::<Result<_, _>>()?;
        let observation = WantedObservation { key, paths, accept: self.accept, attributes: self.attributes };
        Ok(Entry::Wanted { endpoint: endpoint(&self.endpoint)?, observation })
    }
}

impl Command {
    fn record(self) -> Result<CommandRecord, String> {
        let state = CommandState::ALL.into_iter().find(|state| state_name(*state) == self.state);
        let id: CommandId = self.id.parse().map_err(|_| format!("{:?} is no id", self.id))?;
        Ok(CommandRecord {
            id,
            endpoint: endpoint(&self.endpoint)?,
            state: state.ok_or_else(|| format!("there is no state {:?}", self.state))?,
            order: self.order.0,
            created_ms: self.created_ms,
            changed_ms: self.changed_ms,
            not_after_ms: self.not_after_ms,
            priority: self.priority,
            place: self.place.unwrap_or_else(|| id.place()),
            attempts: self.attempts,
            attempts_max: self.attempts_max,
            pause_ms: self.pause_ms,
            next_ms: self.next_ms,
            reason: self.reason.map(|text| text.0),
            answer: self.answer.map(|text| text.0),
        })
    }
}

/// The form of an export.
const VERSION: u32 = 1;
const SERVER: &str = "server";
const BOOTSTRAP: &str = "bootstrap";
