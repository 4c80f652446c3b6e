//! Registered devices.

use std::sync::Arc;
use std::time::Duration;

use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::IntoResponse;
use lightship_api::ProblemType;
use lightship_lwm2m::Endpoint;
use lightship_server::Registration;
use lightship_store::{Batch, Fact, Store};

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
        Ok(device) => return forget_registered(&core, &endpoint, &device).await,
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

async fn forget_registered(core: &Arc<Core>, endpoint: &str, device: &Device) -> Answer {
    let overloaded = || Refusal::new(ProblemType::Overloaded, "");
    let inbox = core.inbox(device.shard).ok_or_else(overloaded)?;
    let registration = &device.registration;
    // First on disk: whoever is told that it is gone shall not find it again after a crash.
    let (name, id) = (registration.details.endpoint.clone(), journal::number(registration.id));
    let gone = Fact::Deregistered { endpoint: name, id };
    core.store.commit(Batch { facts: vec![gone] }).await.map_err(|error| unread(&error))?;
    let reply =
        inbox.forget(registration.details.endpoint.clone(), registration.id).map_err(|_| overloaded())?;
    reply.await.map_err(|_| overloaded())?.map_err(|_| {
        Refusal::new(ProblemType::EndpointNotRegistered, format!("{endpoint:?} is not registered any more"))
    })?;
    // The journal follows at once; a caller that lists devices next shall not see this one.
    for _ in 0..100 {
        if core.directory.find(endpoint).is_none_or(|now| now.registration.id != registration.id) {
            break;
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    gone::forget(core, &registration.details.endpoint).await?;
    Ok(StatusCode::NO_CONTENT.into_response())
}

/// How long a busy shard is waited for.
const PATIENCE: Duration = Duration::from_millis(500);
