//! Shape: a command as the API shows it.

use lightship_api as api;
use lightship_api::Timestamp;
use lightship_store::{CommandRecord, CommandState};

use crate::rest::order::OrderText;

/// A command as the API shows it.
pub(crate) fn shape(record: &CommandRecord) -> api::Command {
    let text = OrderText::read(&record.order);
    api::Command {
        id: record.id.to_string(),
        endpoint: record.endpoint.to_string(),
        queued_by: text.as_ref().and_then(|text| text.by.clone()),
        operation: text.as_ref().map_or("", |text| text.verb.operation()).to_owned(),
        paths: text.as_ref().map(OrderText::paths).unwrap_or_default(),
        name: text.as_ref().and_then(OrderText::name),
        nodes: text.as_ref().map(OrderText::nodes).unwrap_or_default(),
        path: text.map_or_else(|| "/".to_owned(), |text| text.path()),
        state: state(record.state),
        created_at: Timestamp(record.created_ms),
        changed_at: Timestamp(record.changed_ms),
        priority: record.priority,
        place: record.place,
        attempts: record.attempts,
        attempts_max: Some(record.attempts_max).filter(|max| *max != u32::MAX),
        next_attempt_at: Some(record.next_ms).filter(|next| *next > 0).map(Timestamp),
        not_after: Some(Timestamp(record.not_after_ms)),
        reason: record.reason.as_deref().map(str::to_owned),
        answer: record.answer.as_deref().and_then(|answer| serde_json::from_str(answer).ok()),
    }
}

pub(crate) fn state(state: CommandState) -> api::CommandState {
    match state {
        CommandState::Waiting => api::CommandState::Waiting,
        CommandState::Sent => api::CommandState::Sent,
        CommandState::Done => api::CommandState::Done,
        CommandState::Refused => api::CommandState::Refused,
        CommandState::Expired => api::CommandState::Expired,
        CommandState::Cancelled => api::CommandState::Cancelled,
        CommandState::Superseded => api::CommandState::Superseded,
    }
}
