//! What the Bootstrap-Server gives to devices: documents, templates, plans and the record of sessions.

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::extract::{Path as Parts, RawQuery, Request, State};
use axum::http::StatusCode;
use axum::response::IntoResponse;
use lightship_api::bootstrap::{
    BootstrapDocument, BootstrapEntries, BootstrapEntry, BootstrapPlan, BootstrapTemplate, BootstrapTemplates,
};
use lightship_api::{Problem, ProblemType};
use lightship_lwm2m::{Endpoint, Format, Path};
use lightship_server::bootstrap::Command;
use lightship_store::{Batch, DocumentKey, Fact, Store};

use super::Refusal;
use super::input::{self, Query};
use super::reply::{Answer, json};
use crate::access;
use crate::bootstrap::{self, Document, Known, NotFound, Step, Unusable};
use crate::core::Core;
use crate::queue::unstored;

/// GET /bootstrap
pub(crate) async fn list(State(core): State<Arc<Core>>, RawQuery(query): RawQuery) -> Answer {
    let query = Query::parse(query.as_deref(), &["filter", "limit", "cursor"])?;
    let limit = query.number("limit", 1, 1000)?.unwrap_or(100);
    let limit = usize::try_from(limit).unwrap_or(100);
    let filter = query.text("filter").unwrap_or_default();
    let mut after = query.text("cursor").map(str::to_owned);
    let mut items: Vec<BootstrapEntry> = Vec::new();
    loop {
        let (page, last) = page(&core, after.as_deref(), PAGE_LEN).await?;
        items.extend(page.into_iter().filter(|entry| entry.endpoint.contains(filter)));
        after = last;
        if items.len() > limit || after.is_none() {
            break;
        }
    }
    let has_more = items.len() > limit;
    items.truncate(limit);
    let next = items.last().map(|entry| entry.endpoint.clone()).filter(|_| has_more);
    json(StatusCode::OK, &BootstrapEntries { items, next })
}

/// Devices behind a name, with a document of their own or a session, and the name to go on behind.
async fn page(
    core: &Core,
    after: Option<&str>,
    max: usize,
) -> Result<(Vec<BootstrapEntry>, Option<String>), Refusal> {
    let key = after.and_then(|after| Endpoint::new(after).ok()).map(DocumentKey::Device);
    let documents = core.store.documents(key.as_ref(), max).await.map_err(|error| unstored(&error))?;
    let documents = documents.into_iter().filter_map(|(key, _)| match key {
        DocumentKey::Device(endpoint) => Some((endpoint, None)),
        DocumentKey::Template(_) => None,
    });
    let sessions = core.bootstrap.history.page(after, max);
    let mut rows: BTreeMap<Endpoint, Option<_>> = documents.collect();
    let full = rows.len() == max || sessions.len() == max;
    rows.extend(sessions.into_iter().map(|(endpoint, session)| (endpoint, Some(session))));
    // Behind the shorter of two full lists there may be more of the other.
    let rows: Vec<_> = rows.into_iter().take(max).collect();
    let last = rows.last().map(|(endpoint, _)| endpoint.to_string()).filter(|_| full);
    let mut entries = Vec::new();
    for (endpoint, session) in rows {
        let found = bootstrap::find(core, &endpoint).await.ok();
        entries.push(BootstrapEntry {
            endpoint: endpoint.to_string(),
            document: found.is_some(),
            from: found.map(|found| found.from),
            result: session.as_ref().map(|session| session.result),
            last_session_at: session.as_ref().map(|session| session.started_at),
            reason: session.and_then(|session| session.reason.clone()),
        });
    }
    Ok((entries, last))
}

/// GET /bootstrap/{endpoint}
pub(crate) async fn show(State(core): State<Arc<Core>>, Parts(endpoint): Parts<String>) -> Answer {
    let found = find(&core, &name(&endpoint)?).await?;
    json(StatusCode::OK, &shown(found.shape, Some(found.from)))
}

/// PUT /bootstrap/{endpoint}
pub(crate) async fn put(
    State(core): State<Arc<Core>>,
    Parts(endpoint): Parts<String>,
    request: Request,
) -> Answer {
    let endpoint = name(&endpoint)?;
    let (head, body) = request.into_parts();
    let mut shape: BootstrapDocument = input::object(&head.headers, &input::body(&core, body).await?)?;
    let key = DocumentKey::Device(endpoint);
    let kept: Option<BootstrapDocument> = kept(&core, &key).await?;
    bootstrap::keep(&mut shape, kept.as_ref()).map_err(|at| no_secret(&at))?;
    Document::read(&shape, &core.models.snapshot()).map_err(|unusable| unfit(&unusable, ""))?;
    store(&core, key, &shape).await?;
    let status = if kept.is_some() { StatusCode::OK } else { StatusCode::CREATED };
    json(status, &shown(shape, Some("document".to_owned())))
}

/// DELETE /bootstrap/{endpoint}
pub(crate) async fn delete(State(core): State<Arc<Core>>, Parts(endpoint): Parts<String>) -> Answer {
    remove(&core, DocumentKey::Device(name(&endpoint)?)).await
}

/// GET /bootstrap/{endpoint}/plan
pub(crate) async fn plan(
    State(core): State<Arc<Core>>,
    Parts(endpoint): Parts<String>,
    RawQuery(query): RawQuery,
) -> Answer {
    let query = Query::parse(query.as_deref(), &["format", "version"])?;
    let parameter = |name: &str, what: &str| {
        Refusal::new(ProblemType::InvalidParameter, format!("the parameter {name} {what}"))
    };
    let preferred = query.text("format").map(bootstrap::format).transpose();
    let preferred = preferred.map_err(|unusable| parameter("format", &unusable.message))?;
    let version = query.text("version").map(str::parse).transpose();
    let version = version.map_err(|_| parameter("version", "is one of 1.0 1.1 1.2"))?;
    let endpoint = name(&endpoint)?;
    let found = find(&core, &endpoint).await?;
    let preferred = preferred.or_else(|| said_last(&core, &endpoint));
    let learnt = core.bootstrap.history.known(&endpoint);
    let assumes = match &learnt {
        Some(_) => "the device as it is since its last session",
        None => "a device that has nothing but its Bootstrap-Server account, at /0/0",
    };
    let mut known = learnt.unwrap_or_else(Known::fresh);
    known.version = version.or(known.version);
    let mut steps = vec![bootstrap::shape_of(&Step::of(Command::discover(Path::ROOT)))];
    let planned = bootstrap::planned(&found.shape, &core.models.snapshot(), &known, preferred);
    let (notes, refused) = match planned {
        Ok(plan) => {
            steps.extend(plan.steps.iter().map(bootstrap::shape_of));
            (plan.notes, None)
        }
        Err(reason) => (Vec::new(), Some(reason)),
    };
    let assumes = assumes.to_owned();
    json(StatusCode::OK, &BootstrapPlan { from: found.from, assumes, steps, notes, refused })
}

/// The format that the device said it prefers when it last asked.
fn said_last(core: &Core, endpoint: &str) -> Option<Format> {
    let sessions = core.bootstrap.history.sessions(endpoint);
    bootstrap::format(sessions.first()?.preferred_format.as_deref()?).ok()
}

/// GET /bootstrap/{endpoint}/sessions
pub(crate) async fn sessions(State(core): State<Arc<Core>>, Parts(endpoint): Parts<String>) -> Answer {
    let sessions = core.bootstrap.history.sessions(&name(&endpoint)?);
    let sessions: Vec<_> = sessions.iter().map(AsRef::as_ref).collect();
    std::future::ready(json(StatusCode::OK, &sessions)).await
}

/// GET /bootstrap-templates
pub(crate) async fn templates(State(core): State<Arc<Core>>) -> Answer {
    let templates = core.bootstrap.templates(&core).await.map_err(|error| unstored(&error))?;
    let shown = |(name, template): &bootstrap::Named| shown_template(name.clone(), template.clone());
    let items = templates.iter().map(shown).collect();
    json(StatusCode::OK, &BootstrapTemplates { items })
}

/// GET /bootstrap-templates/{name}
pub(crate) async fn show_template(State(core): State<Arc<Core>>, Parts(name): Parts<String>) -> Answer {
    let key = template_key(&name)?;
    let template: Option<BootstrapTemplate> = kept(&core, &key).await?;
    let template = template.ok_or_else(|| nothing(&format!("there is no template {name:?}")))?;
    json(StatusCode::OK, &shown_template(name, template))
}

/// PUT /bootstrap-templates/{name}
pub(crate) async fn put_template(
    State(core): State<Arc<Core>>,
    Parts(name): Parts<String>,
    request: Request,
) -> Answer {
    let key = template_key(&name)?;
    let (head, body) = request.into_parts();
    let mut template: BootstrapTemplate = input::object(&head.headers, &input::body(&core, body).await?)?;
    let kept: Option<BootstrapTemplate> = kept(&core, &key).await?;
    let old = kept.as_ref().map(|kept| &kept.document);
    bootstrap::keep(&mut template.document, old).map_err(|at| no_secret(&format!("/document{at}")))?;
    template.name = None;
    // Tried with a name that fits, so that no device is the first to find a mistake.
    let example = bootstrap::example(&template.pattern);
    let at = |what: &str, at: &str| {
        Refusal(Problem::new(ProblemType::DoesNotFit, what.to_owned()).at(at.to_owned()))
    };
    if template.pattern.is_empty() {
        return Err(at("the pattern is empty; \"*\" is for every device", "/pattern"));
    }
    Endpoint::new(&example).map_err(|error| at(&error.to_string(), "/pattern"))?;
    let filled = bootstrap::filled(&template, &example).map_err(|reason| at(&reason, "/document"))?;
    Document::read(&filled, &core.models.snapshot()).map_err(|unusable| unfit(&unusable, "/document"))?;
    if kept.is_none() {
        let all = core.bootstrap.templates(&core).await.map_err(|error| unstored(&error))?;
        if all.len() >= bootstrap::TEMPLATES_MAX {
            let most = format!("there are at most {} templates", bootstrap::TEMPLATES_MAX);
            return Err(Refusal::new(ProblemType::Conflict, most));
        }
    }
    store(&core, key, &template).await?;
    let status = if kept.is_some() { StatusCode::OK } else { StatusCode::CREATED };
    json(status, &shown_template(name, template))
}

/// DELETE /bootstrap-templates/{name}
pub(crate) async fn delete_template(State(core): State<Arc<Core>>, Parts(name): Parts<String>) -> Answer {
    remove(&core, template_key(&name)?).await
}

fn name(endpoint: &str) -> Result<Endpoint, Refusal> {
    Endpoint::new(endpoint).map_err(|error| Refusal::new(ProblemType::InvalidParameter, error.to_string()))
}

fn template_key(name: &str) -> Result<DocumentKey, Refusal> {
    let is_name = (1..=TEMPLATE_NAME_LEN_MAX).contains(&name.len()) && !name.chars().any(char::is_control);
    if is_name {
        return Ok(DocumentKey::Template(name.to_owned()));
    }
    let what = format!("a template's name has 1 to {TEMPLATE_NAME_LEN_MAX} bytes and no control characters");
    Err(Refusal::new(ProblemType::InvalidParameter, what))
}

async fn find(core: &Core, endpoint: &Endpoint) -> Result<bootstrap::Found, Refusal> {
    bootstrap::find(core, endpoint).await.map_err(|error| match error {
        NotFound::Nothing => nothing(&format!("there is no document for {:?}", endpoint.as_str())),
        NotFound::Store(error) => unstored(&error),
        NotFound::Template(name, reason) => {
            let detail = format!("{name} does not fit {:?}: {reason}", endpoint.as_str());
            Refusal::new(ProblemType::UnusableDocument, detail)
        }
    })
}

async fn kept<T: serde::de::DeserializeOwned>(core: &Core, key: &DocumentKey) -> Result<Option<T>, Refusal> {
    let body = core.store.document(key).await.map_err(|error| unstored(&error))?;
    let body = body.map(|body| core.keeper.open_document(key, &body)).transpose().map_err(|error| {
        tracing::error!(%error, "a document cannot be opened");
        Refusal::new(ProblemType::Internal, error.to_string())
    })?;
    Ok(body.and_then(|body| serde_json::from_str(&body).ok()))
}

async fn store(core: &Core, key: DocumentKey, shape: &impl serde::Serialize) -> Result<(), Refusal> {
    let body = serde_json::to_string(shape)
        .map_err(|_| Refusal::new(ProblemType::Internal, "the document cannot be written"))?;
    let body = core.keeper.seal_document(&key, &body);
    let body = body.map_err(|error| Refusal::new(ProblemType::Internal, error.to_string()))?;
    let facts = access::audited(vec![Fact::Document { key, body }]);
    core.store.commit(Batch { facts }).await.map_err(|error| unstored(&error))?;
    core.bootstrap.forget_templates();
    Ok(())
}

async fn remove(core: &Core, key: DocumentKey) -> Answer {
    if core.store.document(&key).await.map_err(|error| unstored(&error))?.is_none() {
        return Err(nothing("there is none"));
    }
    let facts = access::audited(vec![Fact::NoDocument { key }]);
    core.store.commit(Batch { facts }).await.map_err(|error| unstored(&error))?;
    core.bootstrap.forget_templates();
    Ok(StatusCode::NO_CONTENT.into_response())
}

fn shown(mut shape: BootstrapDocument, from: Option<String>) -> BootstrapDocument {
    bootstrap::hide(&mut shape);
    shape.from = from;
    shape
}

fn shown_template(name: String, template: BootstrapTemplate) -> BootstrapTemplate {
    BootstrapTemplate { name: Some(name), document: shown(template.document, None), ..template }
}

fn nothing(detail: &str) -> Refusal {
    Refusal::new(ProblemType::NoDocument, detail)
}

fn unfit(unusable: &Unusable, prefix: &str) -> Refusal {
    if unusable.pointer.is_empty() {
        return Refusal::new(ProblemType::UnusableDocument, unusable.message.clone());
    }
    let at = format!("{prefix}{}", unusable.pointer);
    Refusal(Problem::new(ProblemType::DoesNotFit, unusable.message.clone()).at(at))
}

fn no_secret(at: &str) -> Refusal {
    let detail = "the secret that should be kept is not there: give it";
    Refusal(Problem::new(ProblemType::DoesNotFit, detail).at(at.to_owned()))
}

/// Devices looked at in one go.
const PAGE_LEN: usize = 256;
const TEMPLATE_NAME_LEN_MAX: usize = 100;
