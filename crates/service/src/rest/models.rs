//! Object definitions.

use std::sync::Arc;

use axum::extract::{Path, RawQuery, Request, State};
use axum::http::StatusCode;
use lightship_api::ProblemType;
use lightship_lwm2m::{ObjectId, ObjectVersion};

use super::Refusal;
use super::input::{self, Query};
use super::reply::{Answer, json};
use crate::core::Core;
use crate::models::{self, ModelError};

/// GET /models
pub(crate) async fn list(State(core): State<Arc<Core>>) -> Answer {
    std::future::ready(json(StatusCode::OK, &models::list(&core.models.snapshot(), None))).await
}

/// GET /models/{objectId}
pub(crate) async fn show(
    State(core): State<Arc<Core>>,
    Path(object): Path<String>,
    RawQuery(query): RawQuery,
) -> Answer {
    let query = Query::parse(query.as_deref(), &["version"])?;
    let canonical = object == "0" || !object.starts_with(['0', '+']);
    let id = object.parse().ok().and_then(ObjectId::new).filter(|_| canonical);
    let id =
        id.ok_or_else(|| Refusal::new(ProblemType::InvalidPath, format!("{object:?} is no Object ID")))?;
    let definitions = core.models.snapshot();
    let definition = match query.text("version") {
        None => definitions.latest(id),
        Some(text) => {
            let version: ObjectVersion = text.parse().map_err(|_| {
                Refusal::new(
                    ProblemType::InvalidParameter,
                    format!("version {text:?} is no version such as 1.1"),
                )
            })?;
            definitions.lookup(id, version)
        }
    };
    let definition = definition.ok_or_else(|| {
        Refusal::new(ProblemType::UnknownModel, format!("object {id} in that version is not known"))
    })?;
    let loaded = definitions.is_loaded(definition.id, definition.version);
    std::future::ready(json(StatusCode::OK, &models::shape(&definition, loaded))).await
}

/// POST /models
pub(crate) async fn add(State(core): State<Arc<Core>>, request: Request) -> Answer {
    let (head, body) = request.into_parts();
    input::media_type(&head.headers, &["application/xml", "text/xml"])?;
    let xml = input::body(&core, body).await?;
    let worker = core.clone();
    let loaded = tokio::task::spawn_blocking(move || worker.models.load(&xml)).await;
    let loaded =
        loaded.map_err(|_| Refusal::new(ProblemType::Internal, "loading failed"))?.map_err(|error| {
            let kind = match &error {
                ModelError::Xml(_) => ProblemType::MalformedBody,
                ModelError::Conflict { .. } | ModelError::TooMany => ProblemType::Conflict,
                ModelError::File { .. } => ProblemType::Overloaded,
            };
            Refusal::new(kind, error.to_string())
        })?;
    let ids: Vec<ObjectId> = loaded.into_iter().map(|(id, _)| id).collect();
    json(StatusCode::CREATED, &models::list(&core.models.snapshot(), Some(&ids)))
}
