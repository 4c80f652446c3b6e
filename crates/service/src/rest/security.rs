//! How sessions are secured, and what became of handshakes.

use std::sync::Arc;

use axum::extract::{Path, State};
use axum::http::StatusCode;
use lightship_api::{Handshakes, ProblemType};
use lightship_lwm2m::Endpoint;

use super::Refusal;
use super::reply::{Answer, json};
use crate::core::Core;
use crate::security;

/// GET /endpoints/{endpoint}/handshakes
pub(crate) async fn handshakes(State(core): State<Arc<Core>>, Path(endpoint): Path<String>) -> Answer {
    let endpoint = Endpoint::new(&endpoint)
        .map_err(|error| Refusal::new(ProblemType::InvalidParameter, error.to_string()))?;
    let items = core.gate.history.of(endpoint.as_str());
    std::future::ready(json(StatusCode::OK, &Handshakes { items })).await
}

/// GET /security/failures
pub(crate) async fn failures(State(core): State<Arc<Core>>) -> Answer {
    let items = core.gate.history.failures();
    std::future::ready(json(StatusCode::OK, &Handshakes { items })).await
}

/// GET /security
pub(crate) async fn overview(State(core): State<Arc<Core>>) -> Answer {
    json(StatusCode::OK, &security::overview(&core).await)
}
