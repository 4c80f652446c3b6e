//! Object definitions.

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::extract::{Path, RawQuery, Request, State};
use axum::http::StatusCode;
use axum::response::IntoResponse;
use lightship_api::{ModelCheck, ModelDevice, ModelDevices, ModelUse, ProblemType, Severity};
use lightship_lwm2m::object::{Definitions, ObjectDefinition, implied_version};
use lightship_lwm2m::{ObjectId, ObjectVersion};
use lightship_server::Terms;

use super::Refusal;
use super::input::{self, Query, parameter};
use super::reply::{Answer, json};
use crate::core::Core;
use crate::fleet::beside;
use crate::models::{self, ModelError};

/// GET /models
pub(crate) async fn list(State(core): State<Arc<Core>>, RawQuery(query): RawQuery) -> Answer {
    let query = Query::parse(query.as_deref(), &["q"])?;
    let definitions = core.models.snapshot();
    let found = match query.text("q").filter(|text| !text.trim().is_empty()) {
        None => models::list(&definitions, None),
        Some(text) => models::search(&definitions, text),
    };
    std::future::ready(json(StatusCode::OK, &found)).await
}

/// GET /models/{objectId}
pub(crate) async fn show(
    State(core): State<Arc<Core>>,
    Path(object): Path<String>,
    RawQuery(query): RawQuery,
) -> Answer {
    let query = Query::parse(query.as_deref(), &["version"])?;
    let id = object_id(&object)?;
    let definitions = core.models.snapshot();
    let definition = definition(&definitions, id, version(&query, "version")?)?;
    std::future::ready(json(StatusCode::OK, &models::shape(&definitions, &definition))).await
}

/// GET /models/{objectId}/diff
pub(crate) async fn diff(
    State(core): State<Arc<Core>>,
    Path(object): Path<String>,
    RawQuery(query): RawQuery,
) -> Answer {
    let query = Query::parse(query.as_deref(), &["from", "to"])?;
    let id = object_id(&object)?;
    let from =
        version(&query, "from")?.ok_or_else(|| parameter("from", "is missing: a version such as 1.0"))?;
    let definitions = core.models.snapshot();
    let old = definition(&definitions, id, Some(from))?;
    let new = definition(&definitions, id, version(&query, "to")?)?;
    std::future::ready(json(StatusCode::OK, &models::diff(&old, &new))).await
}

/// POST /models
pub(crate) async fn add(State(core): State<Arc<Core>>, request: Request) -> Answer {
    let (head, body) = request.into_parts();
    let query = Query::parse(head.uri.query(), &["dry_run"])?;
    let is_trial = query.flag("dry_run")?;
    input::media_type(&head.headers, &["application/xml", "text/xml"])?;
    let xml = input::body(&core, body).await?;
    let worker = core.clone();
    if is_trial {
        let found = tokio::task::spawn_blocking(move || check(&worker.models.snapshot(), &xml)).await;
        let found = found.map_err(|_| Refusal::new(ProblemType::Internal, "checking failed"))?;
        return json(StatusCode::OK, &found);
    }
    let loaded = tokio::task::spawn_blocking(move || worker.models.load(&xml)).await;
    let loaded = loaded
        .map_err(|_| Refusal::new(ProblemType::Internal, "loading failed"))?
        .map_err(|e| refused(&e))?;
    let ids: Vec<ObjectId> = loaded.into_iter().map(|(id, _)| id).collect();
    json(StatusCode::CREATED, &models::list(&core.models.snapshot(), Some(&ids)))
}

/// DELETE /models/{objectId}
pub(crate) async fn delete(
    State(core): State<Arc<Core>>,
    Path(object): Path<String>,
    RawQuery(query): RawQuery,
) -> Answer {
    let query = Query::parse(query.as_deref(), &["version"])?;
    let id = object_id(&object)?;
    let version =
        version(&query, "version")?.ok_or_else(|| parameter("version", "is missing: which one goes"))?;
    let worker = core.clone();
    let gone = tokio::task::spawn_blocking(move || worker.models.unload(id, version)).await;
    gone.map_err(|_| Refusal::new(ProblemType::Internal, "taking it away failed"))?
        .map_err(|error| refused(&error))?;
    Ok(StatusCode::NO_CONTENT.into_response())
}

/// GET /models/{objectId}/devices
pub(crate) async fn devices(
    State(core): State<Arc<Core>>,
    Path(object): Path<String>,
    RawQuery(query): RawQuery,
) -> Answer {
    let query = Query::parse(query.as_deref(), &["version", "limit", "cursor"])?;
    let id = object_id(&object)?;
    let only = version(&query, "version")?;
    let limit =
        query.number("limit", 1, PAGE_MAX)?.and_then(|number| usize::try_from(number).ok()).unwrap_or(PAGE);
    let cursor = query.text("cursor").map(str::to_owned);
    let found = beside(&core, move |core| Ok(users(core, id, only, limit, cursor))).await?;
    json(StatusCode::OK, &found)
}

fn object_id(text: &str) -> Result<ObjectId, Refusal> {
    let canonical = text == "0" || !text.starts_with(['0', '+']);
    let id = text.parse().ok().and_then(ObjectId::new).filter(|_| canonical);
    id.ok_or_else(|| Refusal::new(ProblemType::InvalidPath, format!("{text:?} is no Object ID")))
}

fn version(query: &Query, name: &str) -> Result<Option<ObjectVersion>, Refusal> {
    let parse = |text: &str| text.parse().map_err(|_| parameter(name, "is no version such as 1.1"));
    query.text(name).map(parse).transpose()
}

fn definition(
    definitions: &Definitions,
    id: ObjectId,
    version: Option<ObjectVersion>,
) -> Result<ObjectDefinition<'_>, Refusal> {
    let found = match version {
        None => definitions.latest(id),
        Some(version) => definitions.lookup(id, version),
    };
    found.ok_or_else(|| {
        Refusal::new(ProblemType::UnknownModel, format!("object {id} in that version is not known"))
    })
}

fn refused(error: &ModelError) -> Refusal {
    let kind = match error {
        ModelError::Xml(_) => ProblemType::MalformedBody,
        ModelError::Conflict { .. } | ModelError::TooMany | ModelError::BuiltIn | ModelError::Given => {
            ProblemType::Conflict
        }
        ModelError::Unknown => ProblemType::UnknownModel,
        ModelError::File { .. } => ProblemType::Overloaded,
    };
    Refusal::new(kind, error.to_string())
}

/// What loading a document would say, and what it would bring.
fn check(known: &Definitions, xml: &[u8]) -> ModelCheck {
    let findings = models::lint(xml, known);
    let mut after = known.clone();
    let read = models::read_xml(xml).unwrap_or_default();
    let keys: Vec<_> = read.iter().map(|definition| (definition.id, definition.version)).collect();
    for definition in read {
        after.load(definition);
    }
    let shown = keys.iter().filter_map(|(id, version)| after.lookup(*id, *version));
    let models = shown.map(|definition| models::shape(&after, &definition)).collect();
    ModelCheck { valid: findings.iter().all(|found| found.severity != Severity::Error), findings, models }
}

/// Looks through all devices, in steps, for those that have an object.
fn users(
    core: &Core,
    id: ObjectId,
    only: Option<ObjectVersion>,
    limit: usize,
    cursor: Option<String>,
) -> ModelDevices {
    let is_first = cursor.is_none();
    let mut counts: BTreeMap<ObjectVersion, u64> = BTreeMap::new();
    let (mut items, mut is_more) = (Vec::new(), false);
    core.directory.walk("", cursor, &mut |seen| {
        let facts = seen.facts();
        let Some((version, instances)) = has(facts.terms, id) else { return true };
        if is_first {
            *counts.entry(version).or_default() += 1;
        }
        if only.is_none_or(|only| only == version) {
            if items.len() < limit {
                let endpoint = facts.name.to_owned();
                items.push(ModelDevice { endpoint, version: version.to_string(), instances });
            } else {
                is_more = true;
            }
        }
        // The first page counts them all.
        is_first || !is_more
    });
    let definitions = core.models.snapshot();
    let total = is_first.then(|| counts.values().sum());
    let mut versions: Vec<ModelUse> = counts
        .into_iter()
        .map(|(version, devices)| ModelUse {
            version: version.to_string(),
            known: definitions.lookup(id, version).is_some(),
            devices,
        })
        .collect();
    versions.sort_by_key(|one| std::cmp::Reverse(one.devices));
    let next = items.last().filter(|_| is_more).map(|last| last.endpoint.clone());
    ModelDevices { id: id.get(), total, versions, items, next }
}

/// The version in which a device has an object, and how many instances.
fn has(terms: &Terms, id: ObjectId) -> Option<(ObjectVersion, usize)> {
    let links = || terms.objects.objects.iter().filter(|link| link.path.object_id() == Some(id));
    links().next()?;
    let said = links().find_map(|link| link.version);
    let instances = links().filter(|link| link.path.len() == 2).count();
    Some((said.unwrap_or_else(|| implied_version(id, terms.version)), instances))
}

const PAGE: usize = 100;
const PAGE_MAX: u64 = 1000;
