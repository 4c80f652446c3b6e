//! Durable commands: shown, listed, moved, taken back.

use std::sync::Arc;

use axum::extract::{Path, RawQuery, Request, State};
use axum::http::StatusCode;
use lightship_api::{CommandMove, CommandPosition, Commands, ProblemType};
use lightship_lwm2m::Endpoint;
use lightship_store::{CommandId, CommandRecord, Store};

use super::input::Query;
use super::reply::{Answer, json};
use super::{Refusal, input, order};
use crate::access::Outcome;
use crate::core::Core;
use crate::queue::{self, Target, shape, unknown, unread};

/// GET /commands/{id}
pub(crate) async fn show(State(core): State<Arc<Core>>, Path(id): Path<String>) -> Answer {
    let command = core.store.command(read(&id)?).await.map_err(|error| unread(&error))?;
    let command = command.ok_or_else(|| unknown(&id))?;
    json(StatusCode::OK, &shape(&command))
}

/// DELETE /commands/{id}
pub(crate) async fn cancel(State(core): State<Arc<Core>>, Path(id): Path<String>) -> Answer {
    let command = queue::cancel(&core, read(&id)?).await?;
    told(StatusCode::OK, &command)
}

/// PATCH /commands/{id}
pub(crate) async fn shift(State(core): State<Arc<Core>>, Path(id): Path<String>, request: Request) -> Answer {
    let (head, body) = request.into_parts();
    let body = input::body(&core, body).await?;
    let id = read(&id)?;
    let command = queue::shift(&core, id, target(id, &input::object(&head.headers, &body)?)?).await?;
    told(StatusCode::OK, &command)
}

/// Where a command shall stand, in one way only.
fn target(id: CommandId, to: &CommandMove) -> Result<Target, Refusal> {
    let wrong = |why: &str| Refusal::new(ProblemType::MalformedBody, why);
    let target = match to {
        CommandMove { priority: Some(priority), position: None, before: None, after: None } => {
            if priority.unsigned_abs() > input::PRIORITY_MAX.unsigned_abs() {
                return Err(wrong("priority is from -100 to 100"));
            }
            Target::Priority(*priority)
        }
        CommandMove { priority: None, position: Some(CommandPosition::First), before: None, after: None } => {
            Target::First
        }
        CommandMove { priority: None, position: Some(CommandPosition::Last), before: None, after: None } => {
            Target::Last
        }
        CommandMove { priority: None, position: None, before: Some(other), after: None } => {
            Target::Before(read(other)?)
        }
        CommandMove { priority: None, position: None, before: None, after: Some(other) } => {
            Target::Behind(read(other)?)
        }
        _ => return Err(wrong("give one of priority, position, before and after")),
    };
    if matches!(target, Target::Before(other) | Target::Behind(other) if other == id) {
        return Err(wrong("a command does not stand beside itself"));
    }
    Ok(target)
}

/// POST /commands/{id}/retry
pub(crate) async fn retry(State(core): State<Arc<Core>>, Path(id): Path<String>) -> Answer {
    let command = queue::retry(&core, read(&id)?).await?;
    let mut answer = told(StatusCode::CREATED, &command)?;
    answer.headers_mut().extend(order::location(&command));
    Ok(answer)
}

/// Answers with a command that was changed, and has the audit know whose it is.
fn told(status: StatusCode, command: &CommandRecord) -> Answer {
    let mut answer = json(status, &shape(command))?;
    let endpoint = Some(command.endpoint.clone());
    answer.extensions_mut().insert(Outcome { endpoint, ..Outcome::default() });
    Ok(answer)
}

/// GET /endpoints/{endpoint}/commands
pub(crate) async fn list(
    State(core): State<Arc<Core>>,
    Path(endpoint): Path<String>,
    RawQuery(query): RawQuery,
) -> Answer {
    let limit = Query::parse(query.as_deref(), &["limit"])?.number("limit", 1, LIMIT_MAX)?;
    let limit = limit.and_then(|limit| usize::try_from(limit).ok()).unwrap_or(LIMIT);
    let unregistered =
        || Refusal::new(ProblemType::EndpointNotRegistered, format!("{endpoint:?} is not registered"));
    let name = Endpoint::new(endpoint.as_str()).map_err(|_| unregistered())?;
    let commands = core.store.commands(&name).await.map_err(|error| unread(&error))?;
    if commands.is_empty() {
        // Of a device that is gone, what it still has to do can be seen; of one that never was, nothing.
        input::device(&core, &endpoint).await?;
    }
    json(
        StatusCode::OK,
        &Commands { items: commands.iter().rev().take(limit).map(|record| shape(record)).collect() },
    )
}

fn read(id: &str) -> Result<CommandId, Refusal> {
    id.parse().map_err(|_| unknown(id))
}

/// Commands in a list: all that may wait, and some that have ended.
const LIMIT: usize = 200;
const LIMIT_MAX: u64 = 10_000;
