//! What happened: one JSON object per event.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::answer::RawPayload;
use crate::bootstrap::BootstrapResult;
use crate::command::Command;
use crate::endpoint::Endpoint;
use crate::node::Node;
use crate::security::Handshake;
use crate::time::Timestamp;

/// One event of the log; in the stream its `id` is also the `id:` field for `Last-Event-ID`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Event {
    /// Position in the log; give it as `after` or `Last-Event-ID` to go on behind it.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    #[schema(required)]
    pub id: String,
    /// When the server noticed.
    #[schema(value_type = String, format = DateTime)]
    pub time: Timestamp,
    /// What happened.
    #[serde(rename = "type")]
    pub kind: EventType,
    /// To whom.
    pub endpoint: String,
    /// The registration after the event (`registered`, `updated`, `awake`, `asleep`) or as it last was (`deregistered`, `expired`).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub registration: Option<Box<Endpoint>>,
    /// What is observed (`observed`, `notified`, `observation_cancelled`).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub path: Option<String>,
    /// The name of the composite observation, in place of `path`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// The device's response code where one belongs to the event.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub code: Option<String>,
    /// Content format of the payload.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub format: Option<String>,
    /// Reported data (`notified`, `sent`, `observed`), each node with its own time when the device gave one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub content: Option<Vec<Node>>,
    /// The command as it is then (`command_queued`, `command_moved`, `command_done`).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub command: Option<Box<Command>>,
    /// How a bootstrap went (`bootstrap_finished`).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub result: Option<BootstrapResult>,
    /// Why, in plain words (`bootstrap_finished`, `observation_cancelled`, `deregistered`, payload that could not be decoded).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// The handshake, or the end of the session that came of it (`session_opened`, `session_closed`, `handshake_failed`).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub handshake: Option<Box<Handshake>>,
    /// The payload as it came, when it could not be decoded.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub raw: Option<RawPayload>,
}

/// Events of one device, newest first.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct EventLog {
    /// Of which device.
    pub endpoint: String,
    /// As the stream has them.
    pub items: Vec<Event>,
    /// Give it as `cursor` to go on with older ones; absent: the log holds none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next: Option<String>,
    /// What is missing because it is damaged on the server's disk, in words; absent: nothing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub warning: Option<String>,
}

impl Event {
    /// The JSON of an event with its place in the log, from its JSON without (an empty `id` is left out).
    #[must_use]
    pub fn numbered(id: &str, body: &str) -> String {
        // A cursor needs no escapes.
        format!("{{\"id\":\"{id}\",{}", body.strip_prefix('{').unwrap_or(body))
    }

    /// An event with nothing but its head.
    #[must_use]
    pub fn new(id: String, time: Timestamp, kind: EventType, endpoint: String) -> Event {
        Event {
            id,
            time,
            kind,
            endpoint,
            registration: None,
            path: None,
            name: None,
            code: None,
            format: None,
            content: None,
            command: None,
            result: None,
            reason: None,
            handshake: None,
            raw: None,
        }
    }
}

/// Kinds of events.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum EventType {
    /// A device registered.
    Registered,
    /// A device updated its registration.
    Updated,
    /// A registration ended by the device's word or by ours.
    Deregistered,
    /// A registration ended because no Update came in time.
    Expired,
    /// A Queue Mode device can be reached.
    Awake,
    /// A Queue Mode device went to sleep.
    Asleep,
    /// The device accepted an observation.
    Observed,
    /// The device reported a value.
    Notified,
    /// The device sent data on its own (Send).
    Sent,
    /// An observation ended.
    ObservationCancelled,
    /// A durable command was accepted.
    CommandQueued,
    /// A durable command that waits has another place, or another priority.
    CommandMoved,
    /// A durable command came to its end.
    CommandDone,
    /// A bootstrap began.
    BootstrapStarted,
    /// A bootstrap ended.
    BootstrapFinished,
    /// A security session began.
    SessionOpened,
    /// A security session ended.
    SessionClosed,
    /// A handshake came to nothing that was begun with the credential of this device.
    HandshakeFailed,
    /// Only in a stream: the place asked for is no longer in the log; what follows starts later.
    Gap,
}

impl EventType {
    /// Every kind that a stream can be filtered by.
    pub const ALL: [EventType; 18] = [
        EventType::Registered,
        EventType::Updated,
        EventType::Deregistered,
        EventType::Expired,
        EventType::Awake,
        EventType::Asleep,
        EventType::Observed,
        EventType::Notified,
        EventType::Sent,
        EventType::ObservationCancelled,
        EventType::CommandQueued,
        EventType::CommandMoved,
        EventType::CommandDone,
        EventType::BootstrapStarted,
        EventType::BootstrapFinished,
        EventType::SessionOpened,
        EventType::SessionClosed,
        EventType::HandshakeFailed,
    ];

    /// The name used in JSON and in `?type=`.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            EventType::Registered => "registered",
            EventType::Updated => "updated",
            EventType::Deregistered => "deregistered",
            EventType::Expired => "expired",
            EventType::Awake => "awake",
            EventType::Asleep => "asleep",
            EventType::Observed => "observed",
            EventType::Notified => "notified",
            EventType::Sent => "sent",
            EventType::ObservationCancelled => "observation_cancelled",
            EventType::CommandQueued => "command_queued",
            EventType::CommandMoved => "command_moved",
            EventType::CommandDone => "command_done",
            EventType::BootstrapStarted => "bootstrap_started",
            EventType::BootstrapFinished => "bootstrap_finished",
            EventType::SessionOpened => "session_opened",
            EventType::SessionClosed => "session_closed",
            EventType::HandshakeFailed => "handshake_failed",
            EventType::Gap => "gap",
        }
    }

    /// The kind of that name.
    #[must_use]
    pub fn from_name(name: &str) -> Option<EventType> {
        EventType::ALL.into_iter().find(|kind| kind.name() == name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_in_json_and_in_filters_are_the_same() {
        for kind in EventType::ALL {
            assert_eq!(serde_json::to_value(kind).unwrap(), kind.name());
            assert_eq!(EventType::from_name(kind.name()), Some(kind));
        }
    }
}
