//! Who the caller is.

use std::sync::Arc;

use axum::Extension;
use axum::http::StatusCode;

use super::reply::{Answer, json};
use crate::access::Actor;

/// GET /session
pub(crate) async fn show(Extension(actor): Extension<Arc<Actor>>) -> Answer {
    std::future::ready(json(StatusCode::OK, &actor.shape())).await
}
