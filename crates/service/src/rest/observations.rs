//! Observations: wanted state, kept in the store, run by the shard.

use std::sync::Arc;

use axum::extract::{Path as Parts, State};
use axum::http::StatusCode;
use lightship_api::{AttributesBody, DownlinkAnswer, ObservationState, Observations, Problem, ProblemType};
use lightship_lwm2m::format::{Format, Use};
use lightship_lwm2m::{Path, Version};
use lightship_server::{Code, Outcome, RequestError};
use lightship_store::{Batch, Fact, Store, WantedKey, WantedObservation};

use super::Refusal;
use super::call::{Call, Payload, overloaded};
use super::composite::took_list;
use super::downlink::attributes;
use super::input;
use super::order::Done;
use super::reply::{Answer, json};
use crate::access;
use crate::content;
use crate::core::Core;
use crate::directory::LastContent;
use crate::models;
use crate::queue::unstored;

/// GET …/observations
pub(crate) async fn list(State(core): State<Arc<Core>>, Parts(endpoint): Parts<String>) -> Answer {
    let device = input::device(&core, &endpoint).await?;
    let name = &device.registration.details.endpoint;
    let wanted = core.store.wanted(name).await.map_err(|error| unstored(&error))?;
    let definitions = core.models.snapshot();
    let content = |one: &WantedObservation, last: &LastContent| {
        let mut nodes = last.nodes(&one.key)?;
        for node in &mut nodes {
            if let Some(path) = node.path.as_deref().and_then(|path| path.parse().ok()) {
                models::describe(&definitions, device.object_version(path), node, path);
            }
        }
        Some(nodes)
    };
    let item = |one: &WantedObservation| {
        let seen = device.observations.get(&one.key).cloned().unwrap_or_default();
        let attributes = one.attributes.iter().filter_map(|text| {
            let (name, value) = text.split_once('=')?;
            Some((name.to_owned(), value.parse().ok()?))
        });
        let (path, name) = match &one.key {
            WantedKey::Path(path) => (path.to_string(), None),
            WantedKey::Name(name) => (Path::ROOT.to_string(), Some(name.clone())),
        };
        ObservationState {
            path,
            name,
            paths: one.paths.iter().map(Path::to_string).collect(),
            state: seen.state,
            reason: seen.reason,
            attributes: attributes.collect(),
            content: content(one, &seen.content),
            time: seen.time,
            notifications: seen.notifications,
            since: seen.since,
            restarts: seen.restarts,
        }
    };
    json(StatusCode::OK, &Observations { items: wanted.iter().map(item).collect() })
}

/// Observe.
pub(super) async fn observe(call: &Call<'_>, body: &AttributesBody) -> Result<Done, Refusal> {
    let attributes = check(call, body)?;
    let accept = call.choices.format.map(Format::number);
    let key = WantedKey::Path(call.path);
    run(call, &WantedObservation { key, paths: Vec::new(), accept, attributes }).await
}

/// The query of an Observe.
pub(super) fn check(call: &Call<'_>, body: &AttributesBody) -> Result<Vec<String>, Refusal> {
    if body.attributes.is_empty() {
        return Ok(Vec::new());
    }
    if let Some((name, _)) = body.attributes.iter().find(|(_, value)| value.is_none()) {
        let problem = Problem::new(ProblemType::MalformedBody, "there is nothing to unset in an Observe");
        return Err(Refusal(problem.at(format!("/{name}"))));
    }
    let attributes = attributes(call, body, "")?;
    call.needs(Version::V1_2, "attributes in an Observe (PUT …/attributes writes them)")?;
    Ok(attributes)
}

/// Makes it wanted and starts it; what the device does not give is wanted no longer.
pub(super) async fn run(call: &Call<'_>, observation: &WantedObservation) -> Result<Done, Refusal> {
    let core = call.core;
    let name = call.details().endpoint.clone();
    let before = core.store.wanted(&name).await.map_err(|error| unstored(&error))?;
    let before = before.into_iter().find(|one| one.key == observation.key);
    // The tries of other formats are made here, not in the journal.
    core.directory.change(&name, None, |device| {
        device.format_left_open.insert(observation.key.clone());
        device.asked.insert(observation.key.clone());
    });
    // Stored first: what is promised to the caller survives whatever happens next.
    keep(core, Fact::Wanted { endpoint: name.clone(), observation: observation.clone() }).await?;
    let result = start(call, observation).await;
    let running = result.as_ref().is_ok_and(|answer| answer.code == Code::CONTENT.to_string());
    if !running {
        core.directory.change(&name, None, |device| device.asked.remove(&observation.key));
        // The caller knows, and asks again if need be.
        let fact = match before {
            Some(observation) => Fact::Wanted { endpoint: name, observation },
            None => Fact::Unwanted { endpoint: name, key: observation.key.clone() },
        };
        keep(core, fact).await?;
    }
    Ok(Done::Answered(result?))
}

async fn start(call: &Call<'_>, observation: &WantedObservation) -> Result<DownlinkAnswer, Refusal> {
    let composite = matches!(observation.key, WantedKey::Name(_));
    let purpose = if composite { Use::CompositeRead } else { Use::Read };
    let mut accept = call.candidates(purpose).first().copied();
    let mut lists = call.list_formats(observation.accept).into_iter().filter(|_| composite);
    let mut list = lists.next();
    loop {
        let response = attempt(call, observation, accept, list).await?;
        if response.code == Code::NOT_ACCEPTABLE && observation.accept.is_none() && accept.is_some() {
            // The last word is the device's own choice.
            accept = None;
        } else if response.code == Code::UNSUPPORTED_CONTENT_FORMAT
            && let Some(other) = lists.next()
        {
            list = Some(other);
        } else {
            if let Some(list) = list.filter(|_| response.code.is_success()) {
                took_list(call, list);
            }
            let asked =
                observation.accept.or(accept.map(Format::number)).map(lightship_server::ContentFormat);
            let paths = &observation.paths;
            let payload = if composite { Payload::Several(paths, asked) } else { Payload::Data(asked) };
            return Ok(call.shape(&response, payload));
        }
    }
}

async fn attempt(
    call: &Call<'_>,
    observation: &WantedObservation,
    accept: Option<Format>,
    list: Option<Format>,
) -> Result<lightship_server::Response, Refusal> {
    let wanted = content::wanted(observation, call.details(), accept, list)
        .map_err(|error| Refusal::new(ProblemType::DoesNotFit, error.to_string()))?;
    call.observe(&wanted).await
}

/// Cancel Observation.
pub(super) async fn cancel(call: &Call<'_>) -> Result<Done, Refusal> {
    end(call, WantedKey::Path(call.path)).await
}

/// Makes it unwanted and tells the device.
pub(super) async fn end(call: &Call<'_>, key: WantedKey) -> Result<Done, Refusal> {
    let name = call.details().endpoint.clone();
    let wanted = call.core.store.wanted(&name).await.map_err(|error| unstored(&error))?;
    let Some(wanted) = wanted.into_iter().find(|one| one.key == key) else {
        let what = match &key {
            WantedKey::Path(path) => format!("{path} is not observed"),
            WantedKey::Name(name) => format!("nothing is observed under the name {name:?}"),
        };
        return Err(Refusal::new(ProblemType::NotObserved, what));
    };
    keep(call.core, Fact::Unwanted { endpoint: name.clone(), key: key.clone() }).await?;
    let inbox = call.core.inbox(call.device.shard).ok_or_else(overloaded)?;
    let reply = match key {
        WantedKey::Path(path) => inbox.cancel_observation(name, path, call.left()),
        WantedKey::Name(key) => inbox.cancel_composite(name, key.into(), call.left()),
    };
    let reply = reply.map_err(|_| overloaded())?;
    if call.device.registration.presence.is_asleep() && !call.waits() {
        // It is told when it wakes, by this request or by a Reset to its next notification.
        return Ok(Done::Nothing);
    }
    let response = match reply.await.map_err(|_| overloaded())? {
        // It was not running, or the device sleeps on: there is nothing to tell it, or no way.
        Ok(None | Some(Outcome::Asleep)) | Err(RequestError::UnknownEndpoint) => return Ok(Done::Nothing),
        Ok(Some(outcome)) => call.outcome(Ok(outcome))?,
        Err(error) => call.outcome(Err(error))?,
    };
    let payload = match &wanted.key {
        _ if response.payload.is_empty() => Payload::None,
        WantedKey::Path(_) => Payload::Data(None),
        WantedKey::Name(_) => Payload::Several(&wanted.paths, None),
    };
    Ok(call.answer(&response, payload))
}

async fn keep(core: &Core, fact: Fact) -> Result<(), Refusal> {
    core.store
        .commit(Batch { facts: access::audited(vec![fact]) })
        .await
        .map_err(|error| unstored(&error))?;
    Ok(())
}
