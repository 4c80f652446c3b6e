//! Durable commands: shown, listed, taken back.

use std::sync::Arc;

use axum::extract::{Path, RawQuery, State};
use axum::http::StatusCode;
use lightship_api::{Commands, ProblemType};
use lightship_lwm2m::Endpoint;
use lightship_store::{CommandId, CommandRecord, Store};

use super::input::Query;
use super::reply::{Answer, json};
use super::{Refusal, input};
use crate::access::Outcome;
use crate::core::Core;
use crate::queue::{self, shape, unknown, unread};

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

/// POST /commands/{id}/retry
pub(crate) async fn retry(State(core): State<Arc<Core>>, Path(id): Path<String>) -> Answer {
    let command = queue::retry(&core, read(&id)?).await?;
    told(StatusCode::CREATED, &command)
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
