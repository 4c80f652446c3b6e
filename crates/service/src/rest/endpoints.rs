//! Registered devices.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::IntoResponse;
use lightship_api::{Event, EventType, ProblemType};
use lightship_lwm2m::Endpoint;
use lightship_net::InboxError;
use lightship_server::Registration;
use lightship_store::{Batch, Fact, NewEvent, Store};

use super::Refusal;
use super::input;
use super::reply::{Answer, json};
use crate::core::Core;
use crate::directory::Device;
use crate::fleet::gone;
use crate::journal;
use crate::queue::unread;

/// GET /endpoints/{endpoint}
pub(crate) async fn show(State(core): State<Arc<Core>>, Path(endpoint): Path<String>) -> Answer {
    let mut device = input::device(&core, &endpoint).await?;
    // What is counted of a session stands in its shard.
    if device.registration.session.is_some()
        && let Some(now) = asked(&core, &device).await
        && now.id == device.registration.id
    {
        device.registration.session = now.session;
    }
    let mut shape = device.shape();
    shape.transmission = Some(core.config.transmission.shown(&endpoint));
    json(StatusCode::OK, &shape)
}

/// The registration as its shard has it; `None` where that takes too long.
async fn asked(core: &Core, device: &Device) -> Option<Registration> {
    let reply = core.inbox(device.shard)?.registration(device.registration.details.endpoint.clone()).ok()?;
    tokio::time::timeout(PATIENCE, reply).await.ok()?.ok()?.ok()
}

/// DELETE /endpoints/{endpoint}
pub(crate) async fn forget(State(core): State<Arc<Core>>, Path(endpoint): Path<String>) -> Answer {
    let unregistered = match input::device(&core, &endpoint).await {
        Ok(device) => return forget_registered(&core, &endpoint, device).await,
        Err(unregistered) => unregistered,
    };
    let Ok(name) = Endpoint::new(&endpoint) else { return Err(unregistered) };
    // Of one that is lost, or has left, something may still be known.
    if gone::forget(&core, &name).await? {
        Ok(StatusCode::NO_CONTENT.into_response())
    } else {
        Err(unregistered)
    }
}

async fn forget_registered(core: &Arc<Core>, endpoint: &str, device: Device) -> Answer {
    let overloaded = || Refusal::new(ProblemType::Overloaded, "");
    let (name, id) = (device.registration.details.endpoint.clone(), device.registration.id);
    if !core.forgotten.begin(id) {
        return Err(overloaded());
    }
    // Once begun it goes to its end, also when the caller has gone.
    let (shared, forgotten) = (core.clone(), name.clone());
    let ending = tokio::spawn(async move { end(&shared, &forgotten, &device).await });
    let is_forgotten = ending.await.map_err(|_| overloaded())??;
    if !is_forgotten {
        let detail = format!("{endpoint:?} is not registered any more");
        return Err(Refusal::new(ProblemType::EndpointNotRegistered, detail));
    }
    // The journal follows at once; a caller that lists devices next shall not see this one.
    for _ in 0..100 {
        if core.directory.find(endpoint).is_none_or(|now| now.registration.id != id) {
            break;
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    gone::forget(core, &name).await?;
    Ok(StatusCode::NO_CONTENT.into_response())
}

/// Ends a registration; false when it has ended by itself.
async fn end(core: &Core, name: &Endpoint, device: &Device) -> Result<bool, Refusal> {
    let overloaded = || Refusal::new(ProblemType::Overloaded, "");
    let id = device.registration.id;
    // Seen again now that the journal leaves it to us.
    if core.directory.find(name.as_str()).is_none_or(|now| now.registration.id != id) {
        core.forgotten.take(id);
        return Ok(false);
    }
    // First on disk, the fact and the event that tells it: whoever hears that it is gone shall not find it again after a crash.
    let event = told(core, name, device);
    let facts = std::iter::once(Fact::Deregistered { endpoint: name.clone(), id: journal::number(id) });
    let facts = facts.chain(event.map(Fact::Happened)).collect();
    let newest = core.store.commit(Batch { facts }).await.map_err(|error| {
        core.forgotten.take(id);
        unread(&error)
    })?;
    core.tell_newest(newest);
    core.counters.events.fetch_add(1, Ordering::Relaxed);
    let inbox = core.inbox(device.shard).ok_or_else(overloaded)?;
    for _ in 0..TRIES {
        match inbox.forget(name.clone(), id) {
            Ok(reply) => return Ok(reply.await.map_err(|_| overloaded())?.is_ok()),
            Err(InboxError::Full) => tokio::time::sleep(BREATH).await,
            Err(_) => break,
        }
    }
    core.forgotten.take(id);
    Err(overloaded())
}

/// The event of a registration that is forgotten.
fn told(core: &Core, name: &Endpoint, device: &Device) -> Option<NewEvent> {
    let (now, kind) = (core.now(), EventType::Deregistered);
    let event = Event {
        registration: Some(Box::new(device.shape())),
        reason: Some("forgotten by the server".to_owned()),
        ..Event::new(String::new(), now, kind, name.to_string())
    };
    let body = serde_json::to_string(&event).ok()?;
    // It makes nobody lost, so there is no note to be written.
    let _ = core.fleet.happened(kind, name, now, &body);
    Some(NewEvent {
        at_ms: now.0,
        endpoint: name.clone(),
        kind: kind.name(),
        body: body.into(),
        indexed: true,
    })
}

/// How long a busy shard is waited for.
const PATIENCE: Duration = Duration::from_millis(500);
/// How often, and how long in between, a busy shard is asked to forget what the store has forgotten.
const TRIES: u32 = 500;
const BREATH: Duration = Duration::from_millis(10);
