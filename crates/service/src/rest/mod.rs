//! REST: addresses to handlers, and what holds for all of them.

mod composite;
mod downlink;
mod endpoints;
mod events;
mod guard;
mod input;
mod meta;
mod models;
mod not_yet;
mod observations;
mod reply;
mod write;

use std::sync::Arc;

use axum::Router;
use axum::extract::DefaultBodyLimit;
use axum::middleware;
use axum::routing::{get, post, put};

use crate::core::Core;
use not_yet::not_yet;
use reply::Refusal;

/// Everything that is served over HTTP.
pub(crate) fn router(core: &Arc<Core>) -> Router {
    let device = "/api/v1/endpoints/{endpoint}";
    let at = |rest: &str| format!("{device}{rest}");
    Router::new()
        .route("/api/v1/endpoints", get(endpoints::list))
        .route(device, get(endpoints::show).delete(endpoints::forget))
        .route(
            &at("/resources/{*path}"),
            get(downlink::read)
                .put(write::replace)
                .patch(write::partial_update)
                .post(write::create)
                .delete(downlink::delete),
        )
        .route(&at("/execute/{*path}"), post(downlink::execute))
        .route(&at("/discover/{*path}"), get(downlink::discover))
        .route(&at("/attributes/{*path}"), put(downlink::write_attributes))
        .route(&at("/observations"), get(observations::list))
        .route(&at("/observations/{*path}"), put(observations::observe).delete(observations::cancel))
        .route(&at("/composite/read"), post(composite::read))
        .route(&at("/composite/write"), post(composite::write))
        .route(&at("/composite/observations/{name}"), put(composite::observe).delete(composite::cancel))
        .route(&at("/commands"), get(not_yet))
        .route("/api/v1/commands/{id}", get(not_yet).delete(not_yet))
        .route("/api/v1/credentials/{endpoint}", get(not_yet).put(not_yet).delete(not_yet))
        .route("/api/v1/bootstrap/{endpoint}", get(not_yet).put(not_yet).delete(not_yet))
        .route("/api/v1/bootstrap/{endpoint}/sessions", get(not_yet))
        .route("/api/v1/events", get(events::follow))
        .route("/api/v1/models", get(models::list).post(models::add))
        .route("/api/v1/models/{object_id}", get(models::show))
        .route("/api/openapi.json", get(meta::openapi))
        .route("/healthz", get(meta::health))
        .route("/readyz", get(meta::ready))
        .route("/metrics", get(meta::metrics))
        .method_not_allowed_fallback(reply::method_not_allowed)
        .fallback(meta::ui)
        .layer(middleware::from_fn_with_state(core.clone(), guard::guard))
        .layer(DefaultBodyLimit::disable())
        .with_state(core.clone())
}
