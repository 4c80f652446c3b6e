//! Observations: wanted state, kept in the store, run by the shard.

use std::sync::Arc;

use axum::extract::{Path as Parts, RawQuery, Request, State};
use axum::http::StatusCode;
use axum::response::IntoResponse;
use lightship_api::{AttributesBody, DownlinkAnswer, ObservationState, Observations, Problem, ProblemType};
use lightship_lwm2m::{Endpoint, Path};
use lightship_server::{Code, ContentFormat, RequestError};
use lightship_store::{Batch, Fact, Store, StoreError, WantedObservation};

use super::Refusal;
use super::downlink::{Call, Payload, attributes, overloaded, single_fits};
use super::input::{self, DOWNLINK};
use super::reply::{Answer, json};
use crate::content;
use crate::core::{self, Core};

/// GET …/observations
pub(crate) async fn list(State(core): State<Arc<Core>>, Parts(endpoint): Parts<String>) -> Answer {
    let device = input::device(&core, &endpoint).await?;
    let name = &device.registration.details.endpoint;
    let wanted = core.store.wanted(name).await.map_err(|error| unstored(&error))?;
    let item = |one: &WantedObservation| {
        let seen = device.observations.get(&one.path).cloned().unwrap_or_default();
        let attributes = one.attributes.iter().filter_map(|text| {
            let (name, value) = text.split_once('=')?;
            Some((name.to_owned(), value.parse().ok()?))
        });
        ObservationState {
            path: one.path.to_string(),
            name: None,
            paths: Vec::new(),
            state: seen.state,
            reason: seen.reason,
            attributes: attributes.collect(),
            content: seen.content,
            time: seen.time,
            notifications: seen.notifications,
        }
    };
    json(StatusCode::OK, &Observations { items: wanted.iter().map(item).collect() })
}

/// PUT …/observations/{path}
pub(crate) async fn observe(
    State(core): State<Arc<Core>>,
    Parts((endpoint, path)): Parts<(String, String)>,
    RawQuery(query): RawQuery,
    request: Request,
) -> Answer {
    let path = input::path(&path, 1..=4, "Observe")?;
    let call = Call::start(&core, &endpoint, "observe", path, query.as_deref(), DOWNLINK).await?;
    let (head, body) = request.into_parts();
    let body = input::body(&core, body).await?;
    let attributes = if body.is_empty() {
        Vec::new()
    } else {
        let body: AttributesBody = input::json(&head.headers, &body)?;
        if let Some((name, _)) = body.attributes.iter().find(|(_, value)| value.is_none()) {
            let problem = Problem::new(ProblemType::MalformedBody, "there is nothing to unset in an Observe");
            return Err(Refusal(problem.at(format!("/{name}"))));
        }
        attributes(&body)?
    };
    let accept = match call.choices.format {
        Some(format) => Some(single_fits(format, path)?.number()),
        None => None,
    };
    let observation = WantedObservation { path, accept, attributes };
    let name = call.details().endpoint.clone();
    let before = core.store.wanted(&name).await.map_err(|error| unstored(&error))?;
    let before = before.into_iter().find(|one| one.path == path);
    // Stored first: what is promised to the caller survives whatever happens next.
    keep(&core, Fact::Wanted { endpoint: name.clone(), observation: observation.clone() }).await?;
    let result = start(&call, &name, &observation).await;
    let running = result.as_ref().is_ok_and(|answer| answer.code == Code::CONTENT.to_string());
    if !running {
        // What the device does not give is not wanted on: the caller knows, and asks again if need be.
        let fact = match before {
            Some(observation) => Fact::Wanted { endpoint: name, observation },
            None => Fact::Unwanted { endpoint: name, path },
        };
        keep(&core, fact).await?;
    }
    json(StatusCode::OK, &result?)
}

async fn start(
    call: &Call<'_>,
    name: &Endpoint,
    wanted: &WantedObservation,
) -> Result<DownlinkAnswer, Refusal> {
    let default = content::candidates(call.details(), call.device.speaks).first().copied();
    let default = default.map(|format| ContentFormat(format.number()));
    let mut tries = vec![core::wanted(wanted, default)];
    if wanted.accept.is_none() && default.is_some() {
        tries.push(core::wanted(wanted, None));
    }
    let mut answer = None;
    for wanted in tries {
        let inbox = call.core.inbox(call.device.shard).ok_or_else(overloaded)?;
        let reply = inbox.observe(name.clone(), wanted, call.choices.wait).map_err(|_| overloaded())?;
        let response = call.outcome(reply.await.map_err(|_| overloaded())?)?;
        let refused = response.code == Code::NOT_ACCEPTABLE;
        answer = Some(response);
        if !refused {
            break;
        }
    }
    let response = answer.ok_or_else(overloaded)?;
    Ok(call.shape(&response, Payload::Data))
}

/// DELETE …/observations/{path}
pub(crate) async fn cancel(
    State(core): State<Arc<Core>>,
    Parts((endpoint, path)): Parts<(String, String)>,
    RawQuery(query): RawQuery,
) -> Answer {
    let path = input::path(&path, 1..=4, "Cancel Observation")?;
    let call = Call::start(&core, &endpoint, "cancel-observation", path, query.as_deref(), DOWNLINK).await?;
    let name = call.details().endpoint.clone();
    let wanted = core.store.wanted(&name).await.map_err(|error| unstored(&error))?;
    if wanted.iter().all(|one| one.path != path) {
        return Err(Refusal::new(ProblemType::NotObserved, format!("{path} is not observed")));
    }
    keep(&core, Fact::Unwanted { endpoint: name.clone(), path }).await?;
    cancel_at_device(&call, &name, path).await
}

async fn cancel_at_device(call: &Call<'_>, name: &Endpoint, path: Path) -> Answer {
    let inbox = call.core.inbox(call.device.shard).ok_or_else(overloaded)?;
    let reply = inbox.cancel_observation(name.clone(), path, call.choices.wait).map_err(|_| overloaded())?;
    let response = match reply.await.map_err(|_| overloaded())? {
        // It was not running: there is nothing to tell the device.
        Ok(None) | Err(RequestError::UnknownEndpoint) => return Ok(StatusCode::NO_CONTENT.into_response()),
        Ok(Some(outcome)) => call.outcome(Ok(outcome))?,
        Err(error) => call.outcome(Err(error))?,
    };
    let payload = if response.payload.is_empty() { Payload::None } else { Payload::Data };
    call.answer(&response, payload)
}

async fn keep(core: &Core, fact: Fact) -> Result<(), Refusal> {
    core.store.commit(Batch { facts: vec![fact] }).await.map_err(|error| unstored(&error))
}

fn unstored(error: &StoreError) -> Refusal {
    tracing::error!(%error, "the store refuses");
    Refusal(Problem::new(ProblemType::Overloaded, error.to_string()).retry_after(5))
}
