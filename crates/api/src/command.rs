//! Durable commands: downlink operations that wait for their device.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::answer::DownlinkAnswer;
use crate::node::Node;
use crate::time::Timestamp;

/// The commands of one device, newest first.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Commands {
    /// Those that wait, and those that ended last.
    pub items: Vec<Command>,
}

/// One durable command.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Command {
    /// Its name in `/commands/{id}`.
    pub id: String,
    /// For which device.
    pub endpoint: String,
    /// What it does, as in the answer of the same operation: `read`, `write`, `execute`, …
    pub operation: String,
    /// What it is about; `/` for composite operations.
    pub path: String,
    /// What a composite operation is about.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub paths: Vec<String>,
    /// The name of the composite observation.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// What a Write, Create or Write-Composite writes, unless that is very much.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub nodes: Vec<Node>,
    /// Where it stands.
    pub state: CommandState,
    /// Who queued it: the name of the token.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub queued_by: Option<String>,
    /// When it was accepted.
    #[schema(value_type = String, format = DateTime)]
    pub created_at: Timestamp,
    /// When its state, or its place, changed last.
    #[schema(value_type = String, format = DateTime)]
    pub changed_at: Timestamp,
    /// Of one device, a higher one is sent first; 0 unless the caller said otherwise.
    #[serde(default)]
    pub priority: i8,
    /// Of one device and one priority, a lower one is sent first. Those that nobody has moved stand in the order they came.
    #[serde(default)]
    pub place: i64,
    /// How often it was sent to the device. What changes something that a second time would change again is sent once.
    pub attempts: u32,
    /// How often it may be sent; absent: as often as it takes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub attempts_max: Option<u32>,
    /// It is not sent again before this, unless the device wakes or registers anew.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, format = DateTime)]
    pub next_attempt_at: Option<Timestamp>,
    /// When it is given up if it has not been done by then.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, format = DateTime)]
    pub not_after: Option<Timestamp>,
    /// Why it ended so, or waits again, in plain words.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// What the device answered.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub answer: Option<DownlinkAnswer>,
}

/// Where a command that waits shall stand; exactly one of its members.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct CommandMove {
    /// From -100 to 100: behind those that have this priority already.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub priority: Option<i8>,
    /// The one that leaves next, or the last of all; with the priority of the one that stood there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub position: Option<CommandPosition>,
    /// Directly before this command of the same device, with its priority.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub before: Option<String>,
    /// Directly behind this command of the same device, with its priority.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub after: Option<String>,
}

/// An end of the queue of a device.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum CommandPosition {
    /// Before all others that wait.
    First,
    /// Behind all others that wait.
    Last,
}

/// Where a command stands. It begins in `waiting` and ends in one of the last five.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum CommandState {
    /// For the device to wake, or for those before it.
    Waiting,
    /// On its way to the device.
    Sent,
    /// The device did it.
    Done,
    /// The device answered with an error, or the server could not send it.
    Refused,
    /// Its time was over, or it was sent and nobody knows whether the device did it.
    Expired,
    /// Somebody took it back before it was sent.
    Cancelled,
    /// A later command for the same target took its place.
    Superseded,
}

impl Command {
    /// What it is about, in one line: its path, or those of a composite operation.
    #[must_use]
    pub fn target(&self) -> String {
        let name = self.name.iter().map(String::as_str);
        let target: Vec<&str> = name.chain(self.paths.iter().map(String::as_str)).collect();
        if target.is_empty() { self.path.clone() } else { target.join(" ") }
    }
}

impl CommandState {
    /// Every state.
    pub const ALL: [CommandState; 7] = [
        CommandState::Waiting,
        CommandState::Sent,
        CommandState::Done,
        CommandState::Refused,
        CommandState::Expired,
        CommandState::Cancelled,
        CommandState::Superseded,
    ];

    /// The name in JSON.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            CommandState::Waiting => "waiting",
            CommandState::Sent => "sent",
            CommandState::Done => "done",
            CommandState::Refused => "refused",
            CommandState::Expired => "expired",
            CommandState::Cancelled => "cancelled",
            CommandState::Superseded => "superseded",
        }
    }

    /// Whether nothing more happens to it.
    #[must_use]
    pub fn is_final(self) -> bool {
        !matches!(self, CommandState::Waiting | CommandState::Sent)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_those_of_the_json() {
        for state in CommandState::ALL {
            assert_eq!(serde_json::to_value(state).unwrap(), state.name());
        }
    }
}
