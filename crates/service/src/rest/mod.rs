//! REST: addresses to handlers, and what holds for all of them.

mod access;
mod bootstrap;
pub(crate) mod bulk;
pub(crate) mod call;
mod check;
mod commands;
mod composite;
mod cover;
mod credentials;
mod csv;
mod downlink;
mod endpoints;
mod events;
mod fleet;
mod guard;
pub(crate) mod history;
mod import;
mod input;
mod log;
mod meta;
mod models;
mod observations;
pub(crate) mod order;
mod reply;
mod roles;
mod security;
mod stream;
mod trace;
mod write;

use std::sync::Arc;

use axum::Router;
use axum::extract::DefaultBodyLimit;
use axum::http::{Method, Request, Uri};
use axum::middleware;
use axum::routing::{get, post, put};

use crate::core::Core;
use credentials::{of_bootstrap, of_server};
pub(crate) use guard::Peer;
use order::Verb;
pub(crate) use reply::Refusal;

/// The handler of an operation about a path or a name.
macro_rules! about {
    ($verb:expr) => {
        |core, parts, query, request| order::at($verb, core, parts, query, request)
    };
}

/// The handler of an operation about a whole device.
macro_rules! of_device {
    ($verb:expr) => {
        |core, parts, query, request| order::whole($verb, core, parts, query, request)
    };
}

/// A device may be called `import`, too: only POST to that address is about a table. Any other method finds the device, by its name in
/// another spelling.
pub(crate) fn by_name<B>(request: &mut Request<B>) {
    if request.method() == Method::POST || request.uri().path() != IMPORT {
        return;
    }
    let query = request.uri().query().map_or_else(String::new, |query| format!("?{query}"));
    if let Ok(uri) = format!("{IMPORT_AS_NAME}{query}").parse::<Uri>() {
        *request.uri_mut() = uri;
    }
}

/// What the store keeps of a device: its past, and what it is still to do.
fn kept() -> Router<Arc<Core>> {
    Router::new()
        .route("/api/v1/endpoints/{endpoint}/history/{*path}", get(history::show))
        .route("/api/v1/endpoints/{endpoint}/log", get(log::show))
        .route("/api/v1/endpoints/{endpoint}/commands", get(commands::list))
        .route("/api/v1/commands/{id}", get(commands::show).patch(commands::shift).delete(commands::cancel))
        .route("/api/v1/commands/{id}/retry", post(commands::retry))
}

/// The last messages.
fn of_trace() -> Router<Arc<Core>> {
    Router::new()
        .route("/api/v1/endpoints/{endpoint}/trace", get(trace::show))
        .route("/api/v1/endpoints/{endpoint}/trace.pcapng", get(trace::export))
        .route("/api/v1/trace", get(trace::of_address))
}

/// Everything that is served over HTTP.
pub(crate) fn router(core: &Arc<Core>) -> Router {
    let device = "/api/v1/endpoints/{endpoint}";
    let at = |rest: &str| format!("{device}{rest}");
    of_callers()
        .merge(of_fleet())
        .merge(of_bootstrapping())
        .route(&at("/audit"), get(access::audit_of))
        .route(device, get(endpoints::show).delete(endpoints::forget))
        .route(
            &at("/resources/{*path}"),
            get(about!(Verb::Read))
                .put(about!(Verb::Replace))
                .patch(about!(Verb::PartialUpdate))
                .post(about!(Verb::Create))
                .delete(about!(Verb::Delete)),
        )
        .route(&at("/execute/{*path}"), post(about!(Verb::Execute)))
        .route(&at("/discover/{*path}"), get(about!(Verb::Discover)))
        .route(&at("/attributes/{*path}"), put(about!(Verb::WriteAttributes)))
        .route(&at("/observations"), get(observations::list))
        .route(
            &at("/observations/{*path}"),
            put(about!(Verb::Observe)).delete(about!(Verb::CancelObservation)),
        )
        .route(&at("/composite/read"), post(of_device!(Verb::ReadComposite)))
        .route(&at("/composite/write"), post(of_device!(Verb::WriteComposite)))
        .route(
            &at("/composite/observations/{name}"),
            put(about!(Verb::ObserveComposite)).delete(about!(Verb::CancelComposite)),
        )
        .merge(of_trace())
        .route(&at("/handshakes"), get(security::handshakes))
        .route(&at("/certificate"), get(security::certificate_of))
        .merge(kept())
        .route("/api/v1/security", get(security::overview))
        .route("/api/v1/security/failures", get(security::failures))
        .route("/api/v1/certificates/explain", post(security::explain))
        .route("/api/v1/credentials", get(of_server::list))
        .route(
            "/api/v1/credentials/{endpoint}",
            get(of_server::show).put(of_server::put).delete(of_server::delete),
        )
        .route(IMPORT, post(of_server::import))
        .route("/api/v1/bootstrap-credentials", get(of_bootstrap::list))
        .route("/api/v1/bootstrap-credentials/import", post(of_bootstrap::import))
        .route(
            "/api/v1/bootstrap/{endpoint}/credential",
            get(of_bootstrap::show).put(of_bootstrap::put).delete(of_bootstrap::delete),
        )
        .route("/api/v1/events", get(events::follow))
        .merge(of_models())
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

/// The fleet as a whole.
fn of_fleet() -> Router<Arc<Core>> {
    Router::new()
        .route("/api/v1/endpoints", get(fleet::list))
        .route("/api/v1/fleet", get(fleet::overview))
        .route("/api/v1/fleet/rates", get(fleet::rates))
        .route("/api/v1/bulk", get(bulk::list).post(bulk::start))
        .route("/api/v1/bulk/{id}", get(bulk::show).delete(bulk::cancel))
        .route("/api/v1/endpoints/{endpoint}/values", get(fleet::values))
}

/// Object definitions.
fn of_models() -> Router<Arc<Core>> {
    let one = "/api/v1/models/{object_id}";
    Router::new()
        .route("/api/v1/models", get(models::list).post(models::add))
        .route(one, get(models::show).delete(models::delete))
        .route(&format!("{one}/diff"), get(models::diff))
        .route(&format!("{one}/devices"), get(models::devices))
}

/// Who calls, and what callers did.
fn of_callers() -> Router<Arc<Core>> {
    Router::new()
        .route("/api/v1/session", get(access::session))
        .route("/api/v1/tokens", get(access::tokens).post(access::create))
        .route("/api/v1/tokens/{id}", axum::routing::delete(access::delete))
        .route("/api/v1/audit", get(access::audit))
}

/// What devices are given when they bootstrap.
fn of_bootstrapping() -> Router<Arc<Core>> {
    Router::new()
        .route("/api/v1/bootstrap", get(bootstrap::list))
        .route(
            "/api/v1/bootstrap/{endpoint}",
            get(bootstrap::show).put(bootstrap::put).delete(bootstrap::delete),
        )
        .route("/api/v1/bootstrap/{endpoint}/plan", get(bootstrap::plan))
        .route("/api/v1/bootstrap/{endpoint}/sessions", get(bootstrap::sessions))
        .route("/api/v1/bootstrap-templates", get(bootstrap::templates))
        .route(
            "/api/v1/bootstrap-templates/{name}",
            get(bootstrap::show_template).put(bootstrap::put_template).delete(bootstrap::delete_template),
        )
}

const IMPORT: &str = "/api/v1/credentials/import";
const IMPORT_AS_NAME: &str = "/api/v1/credentials/%69mport";
