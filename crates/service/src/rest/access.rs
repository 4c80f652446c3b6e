//! Who the caller is, tokens, and what was done.

use std::sync::Arc;

use axum::Extension;
use axum::extract::{Path, RawQuery, Request, State};
use axum::http::StatusCode;
use axum::response::IntoResponse;
use lightship_api::{Audit, NewToken, ProblemType};
use lightship_lwm2m::Endpoint;
use lightship_store::AuditOf;

use super::Refusal;
use super::input::{self, Query, parameter};
use super::reply::{Answer, json};
use crate::access::{self, Actor, Outcome};
use crate::core::Core;
use crate::queue::unread;

/// GET /session
pub(crate) async fn session(Extension(actor): Extension<Arc<Actor>>) -> Answer {
    std::future::ready(json(StatusCode::OK, &actor.shape())).await
}

/// GET /tokens
pub(crate) async fn tokens(State(core): State<Arc<Core>>) -> Answer {
    std::future::ready(json(StatusCode::OK, &access::list(&core))).await
}

/// POST /tokens
pub(crate) async fn create(
    State(core): State<Arc<Core>>,
    Extension(actor): Extension<Arc<Actor>>,
    request: Request,
) -> Answer {
    let (head, body) = request.into_parts();
    let new: NewToken = input::object(&head.headers, &input::body(&core, body).await?)?;
    let made = access::create(&core, &new, &actor).await?;
    let mut answer = json(StatusCode::CREATED, &made)?;
    let detail = format!("token {} {:?}, {}", made.token.id, made.token.name, made.token.role);
    answer.extensions_mut().insert(Outcome { detail: Some(detail), ..Outcome::default() });
    Ok(answer)
}

/// DELETE /tokens/{id}
pub(crate) async fn delete(State(core): State<Arc<Core>>, Path(id): Path<String>) -> Answer {
    let name = access::delete(&core, &id).await?;
    let mut answer = StatusCode::NO_CONTENT.into_response();
    let detail = Some(format!("token {id} {name:?}"));
    answer.extensions_mut().insert(Outcome { detail, ..Outcome::default() });
    Ok(answer)
}

/// GET /audit
pub(crate) async fn audit(State(core): State<Arc<Core>>, RawQuery(query): RawQuery) -> Answer {
    let query = Query::parse(query.as_deref(), &["endpoint", "actor", "from", "to", "limit", "cursor"])?;
    let endpoint = query.text("endpoint").filter(|name| !name.is_empty()).map(Endpoint::new).transpose();
    let endpoint = endpoint.map_err(|error| parameter("endpoint", &format!("is no name: {error}")))?;
    page(&core, &query, endpoint).await
}

/// GET /endpoints/{endpoint}/audit
pub(crate) async fn audit_of(
    State(core): State<Arc<Core>>,
    Path(endpoint): Path<String>,
    RawQuery(query): RawQuery,
) -> Answer {
    let query = Query::parse(query.as_deref(), &["actor", "from", "to", "limit", "cursor"])?;
    let endpoint = Endpoint::new(&endpoint)
        .map_err(|error| Refusal::new(ProblemType::InvalidParameter, error.to_string()))?;
    page(&core, &query, Some(endpoint)).await
}

async fn page(core: &Core, query: &Query, endpoint: Option<Endpoint>) -> Answer {
    let now = core.now();
    let wrong = || parameter("cursor", "is not the `next` of a page before");
    let before =
        query.text("cursor").map(|text| u64::from_str_radix(text, 16).map_err(|_| wrong())).transpose()?;
    let limit = query.number("limit", 1, 1000)?.unwrap_or(100);
    let which = AuditOf {
        before,
        endpoint,
        from_ms: query.moment("from", now)?.unwrap_or(i64::MIN),
        to_ms: query.moment("to", now)?.unwrap_or(i64::MAX),
        max: usize::try_from(limit).unwrap_or(100),
    };
    let actor = query.text("actor").filter(|name| !name.is_empty());
    let (items, next) = access::entries(core, which, actor).await.map_err(|error| unread(&error))?;
    json(StatusCode::OK, &Audit { items, next })
}
