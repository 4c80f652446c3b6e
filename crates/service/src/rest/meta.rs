//! What is not about devices: document, health, metrics, the web UI.

use std::sync::Arc;
use std::time::Duration;

use axum::extract::State;
use axum::http::{HeaderMap, Method, StatusCode, Uri, header};
use axum::response::{IntoResponse, Response};
use lightship_api::{ProblemType, Timestamp, openapi as document};
use lightship_store::{Health, Store};
use serde_json::json;

use super::reply::{self, Answer};
use super::{Refusal, events, roles};
use crate::core::Core;
use crate::metrics;
use crate::ui;

/// GET /api/openapi.json
pub(crate) async fn openapi() -> Answer {
    let head = [(header::CONTENT_TYPE, "application/json")];
    std::future::ready(Ok((StatusCode::OK, head, document::document_text()).into_response())).await
}

/// GET /healthz
pub(crate) async fn health() -> Answer {
    std::future::ready(reply::json(StatusCode::OK, &json!({"status": "alive"}))).await
}

/// GET /readyz
pub(crate) async fn ready(State(core): State<Arc<Core>>) -> Answer {
    let mut reasons = Vec::new();
    if *core.stopping.borrow() {
        reasons.push("stopping".to_owned());
    }
    if let Health::Failing { since_ms, reason } = core.store.health() {
        reasons.push(format!("the store does not take what happens since {}: {reason}", Timestamp(since_ms)));
    }
    for (number, inbox) in core.inboxes.iter().enumerate() {
        match tokio::time::timeout(PATIENCE, inbox.stats()).await {
            Ok(Ok(_)) => {}
            Ok(Err(error)) => reasons.push(format!("shard {number}: {error}")),
            Err(_) => reasons.push(format!("shard {number} does not answer")),
        }
    }
    let (status, word) = if reasons.is_empty() {
        (StatusCode::OK, "ready")
    } else {
        (StatusCode::SERVICE_UNAVAILABLE, "not ready")
    };
    // What is damaged keeps nobody from being served.
    let newest = core.store.newest().await.ok();
    let damaged = core.store.unreadable().into_iter().take(WARNINGS_MAX);
    let warnings: Vec<_> =
        damaged.filter_map(|stretch| Some(events::damaged(newest?.writer, stretch))).collect();
    let mut shape = json!({"status": word, "reasons": reasons});
    if !warnings.is_empty() {
        shape["warnings"] = json!(warnings);
    }
    reply::json(status, &shape)
}

/// GET /metrics
pub(crate) async fn metrics(State(core): State<Arc<Core>>) -> Response {
    let head = [(header::CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8")];
    (StatusCode::OK, head, metrics::text(&core).await).into_response()
}

/// Everything else: the web UI's files, or nothing.
pub(crate) async fn ui(method: Method, uri: Uri, headers: HeaderMap) -> Response {
    let nothing =
        || Refusal::new(ProblemType::NotFound, format!("there is nothing at {}", uri.path())).into_response();
    let response = match ui::file(uri.path(), &headers) {
        Some(_) if method != Method::GET && method != Method::HEAD => roles::no_method("GET,HEAD"),
        file => file.unwrap_or_else(nothing),
    };
    std::future::ready(response).await
}

/// Stretches of the log that are named.
const WARNINGS_MAX: usize = 10;
const PATIENCE: Duration = Duration::from_secs(1);
