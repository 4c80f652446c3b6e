//! Bulk operations: previewed, begun, shown, cancelled.

use std::sync::Arc;

use axum::extract::{Path as Parts, RawQuery, Request, State};
use axum::http::{HeaderValue, StatusCode, header};
use lightship_api::{BulkOrder, Bulks, ProblemType};

use super::input::{self, Query};
use super::order::{Order, OrderText, Verb};
use super::reply::{Answer, json};
use super::{Refusal, fleet};
use crate::core::Core;
use crate::fleet::bulk::{self, Asked};

/// POST /bulk
pub(crate) async fn start(
    State(core): State<Arc<Core>>,
    RawQuery(query): RawQuery,
    request: Request,
) -> Answer {
    let query = Query::parse(query.as_deref(), &["dry_run"])?;
    let (head, body) = request.into_parts();
    let body = input::body(&core, body).await?;
    let asked = read(&core, input::json(&head.headers, &body)?)?;
    if query.flag("dry_run")? {
        return json(StatusCode::OK, &bulk::preview(&core, asked).await?);
    }
    let begun = bulk::start(&core, asked).await?;
    let mut answer = json(StatusCode::ACCEPTED, &begun)?;
    if let Ok(location) = HeaderValue::from_str(&format!("/api/v1/bulk/{}", begun.id)) {
        answer.headers_mut().insert(header::LOCATION, location);
    }
    answer.extensions_mut().insert(bulk::outcome(&begun));
    Ok(answer)
}

/// Reads what is asked, as if it were asked of one device.
pub(crate) fn read(core: &Core, order: BulkOrder) -> Result<Asked, Refusal> {
    let filter = fleet::filter(&order.filter)?;
    if order.endpoints.len() > ENDPOINTS_MAX {
        let detail = format!("a bulk operation names {ENDPOINTS_MAX} devices at most; use a filter");
        return Err(Refusal::new(ProblemType::MalformedBody, detail));
    }
    if !order.endpoints.is_empty() && !order.filter.is_empty() {
        let detail = "give a filter or names of devices, not both";
        return Err(Refusal::new(ProblemType::MalformedBody, detail));
    }
    let known: Vec<&str> = OPERATIONS.iter().map(|(name, _)| *name).collect();
    let verb = OPERATIONS.iter().find(|(name, _)| *name == order.operation).map(|(_, verb)| *verb);
    let verb = verb.ok_or_else(|| {
        let detail = format!("operation {:?} is not one of {}", order.operation, known.join(" "));
        Refusal::new(ProblemType::MalformedBody, detail)
    })?;
    let mut query = "queue=true".to_owned();
    if let Some(span) = &order.not_after {
        let is_plain = span.bytes().all(|byte| byte.is_ascii_alphanumeric() || b":.-".contains(&byte));
        if !is_plain {
            return Err(input::parameter("not_after", "is a span such as 24h, or a moment"));
        }
        query.push_str(&format!("&not_after={span}"));
    }
    let terms = Query::parse(Some(&query), &verb.parameters())?.terms(core)?.unwrap_or_default();
    let body = order.content.as_ref().map(ToString::to_string).unwrap_or_default();
    let text = OrderText::new(verb, order.path.trim_start_matches('/'), &query, &body);
    Order::stored(core, &text)?;
    Ok(Asked { filter, order, text, terms })
}

/// GET /bulk
pub(crate) async fn list(State(core): State<Arc<Core>>) -> Answer {
    std::future::ready(json(StatusCode::OK, &Bulks { items: core.fleet.bulks.list() })).await
}

/// GET /bulk/{id}
pub(crate) async fn show(State(core): State<Arc<Core>>, Parts(id): Parts<String>) -> Answer {
    let bulk = core.fleet.bulks.find(&id).ok_or_else(|| unknown(&id))?;
    std::future::ready(json(StatusCode::OK, &bulk)).await
}

/// DELETE /bulk/{id}
pub(crate) async fn cancel(State(core): State<Arc<Core>>, Parts(id): Parts<String>) -> Answer {
    let cancelled = bulk::cancel(&core, &id).await?.ok_or_else(|| unknown(&id))?;
    let mut answer = json(StatusCode::OK, &cancelled)?;
    answer.extensions_mut().insert(bulk::outcome(&cancelled));
    Ok(answer)
}

fn unknown(id: &str) -> Refusal {
    Refusal::new(ProblemType::UnknownBulk, format!("no bulk operation {id:?} is kept"))
}

/// What may be asked of many devices, by its name there.
const OPERATIONS: [(&str, Verb); 10] = [
    ("read", Verb::Read),
    ("write", Verb::Replace),
    ("write-partial", Verb::PartialUpdate),
    ("execute", Verb::Execute),
    ("observe", Verb::Observe),
    ("cancel-observation", Verb::CancelObservation),
    ("write-attributes", Verb::WriteAttributes),
    ("discover", Verb::Discover),
    ("create", Verb::Create),
    ("delete", Verb::Delete),
];
/// Devices that may be named one by one.
const ENDPOINTS_MAX: usize = 10_000;
