//! How devices may prove who they are: to the LwM2M Server, and to the Bootstrap-Server.

use std::sync::Arc;

use axum::extract::{Path as Parts, RawQuery, Request, State};
use axum::http::StatusCode;
use axum::response::IntoResponse;
use lightship_api::{Credential, Credentials, Problem, ProblemType};
use lightship_lwm2m::Endpoint;
use lightship_store::{CredentialSet, StoreError};

use super::Refusal;
use super::input::{self, Query};
use super::reply::{Answer, json};
use crate::core::Core;
use crate::queue::unread;
use crate::security::{self, KeepError, Kept, Proof};

/// GET of a list
pub(crate) async fn list(set: CredentialSet, core: Arc<Core>, query: Option<String>) -> Answer {
    let query = Query::parse(query.as_deref(), &["filter", "limit", "cursor"])?;
    let limit = query.number("limit", 1, 1000)?.unwrap_or(100);
    let limit = usize::try_from(limit).unwrap_or(100);
    let filter = query.text("filter").unwrap_or_default();
    let mut after = query.text("cursor").map(name).transpose()?;
    let mut items: Vec<Credential> = Vec::new();
    while items.len() <= limit {
        let page = core.keeper.page(&core.store, set, after.as_ref(), PAGE_LEN).await.map_err(refused)?;
        let Some(last) = page.last() else { break };
        after = Some(last.endpoint.clone());
        let fitting = page.iter().filter(|kept| kept.endpoint.contains(filter));
        items.extend(fitting.map(|kept| core.keeper.shape(kept)));
    }
    let has_more = items.len() > limit;
    items.truncate(limit);
    let next = items.last().and_then(|last| last.endpoint.clone()).filter(|_| has_more);
    json(StatusCode::OK, &Credentials { items, next })
}

/// GET of one
pub(crate) async fn show(set: CredentialSet, core: Arc<Core>, endpoint: &str) -> Answer {
    let endpoint = name(endpoint)?;
    let kept = core.keeper.find(&core.store, set, &endpoint).await.map_err(refused)?;
    json(StatusCode::OK, &explained(&core, &kept.ok_or_else(|| nothing(&endpoint))?))
}

/// PUT of one
pub(crate) async fn put(set: CredentialSet, core: Arc<Core>, endpoint: &str, request: Request) -> Answer {
    let endpoint = name(endpoint)?;
    let (head, body) = request.into_parts();
    let shape: Credential = input::object(&head.headers, &input::body(&core, body).await?)?;
    if let Some(said) = shape.endpoint.as_deref().filter(|said| *said != endpoint.as_str()) {
        let detail = format!("the credential says {said:?}, the address {:?}", endpoint.as_str());
        return Err(Refusal(Problem::new(ProblemType::MalformedBody, detail).at("/endpoint")));
    }
    let change = security::put(&core, set, &endpoint, &shape).await.map_err(refused)?;
    let status = if change.before.is_some() { StatusCode::OK } else { StatusCode::CREATED };
    json(status, &explained(&core, &change.now.ok_or_else(|| nothing(&endpoint))?))
}

/// What may be shown of one, with the meaning of its certificate.
fn explained(core: &Core, kept: &Kept) -> Credential {
    let mut shape = core.keeper.shape(kept);
    if let Proof::Certificate { der: Some(der), .. } = &kept.proof {
        shape.certificate = security::of_pinned(core, der).map(Box::new);
    }
    if let Some(certificate) = &shape.certificate {
        shape.warnings.extend(certificate.warnings.iter().map(|warning| warning.text.clone()));
    }
    shape
}

/// DELETE of one
pub(crate) async fn delete(set: CredentialSet, core: Arc<Core>, endpoint: &str) -> Answer {
    let endpoint = name(endpoint)?;
    let change = security::remove(&core, set, &endpoint).await.map_err(refused)?;
    change.ok_or_else(|| nothing(&endpoint))?;
    Ok(StatusCode::NO_CONTENT.into_response())
}

/// The handlers of one set.
macro_rules! handlers {
    ($name:ident, $set:expr) => {
        pub(crate) mod $name {
            use super::{Answer, Arc, Core, Parts, RawQuery, Request, State};

            pub(crate) async fn list(State(core): State<Arc<Core>>, RawQuery(query): RawQuery) -> Answer {
                super::list($set, core, query).await
            }

            pub(crate) async fn import(State(core): State<Arc<Core>>, request: Request) -> Answer {
                super::super::import::import($set, core, request).await
            }

            pub(crate) async fn show(
                State(core): State<Arc<Core>>,
                Parts(endpoint): Parts<String>,
            ) -> Answer {
                super::show($set, core, &endpoint).await
            }

            pub(crate) async fn put(
                State(core): State<Arc<Core>>,
                Parts(endpoint): Parts<String>,
                request: Request,
            ) -> Answer {
                super::put($set, core, &endpoint, request).await
            }

            pub(crate) async fn delete(
                State(core): State<Arc<Core>>,
                Parts(endpoint): Parts<String>,
            ) -> Answer {
                super::delete($set, core, &endpoint).await
            }
        }
    };
}

handlers!(of_server, super::CredentialSet::Server);
handlers!(of_bootstrap, super::CredentialSet::Bootstrap);

fn name(endpoint: &str) -> Result<Endpoint, Refusal> {
    Endpoint::new(endpoint).map_err(|error| Refusal::new(ProblemType::InvalidParameter, error.to_string()))
}

fn nothing(endpoint: &Endpoint) -> Refusal {
    Refusal::new(ProblemType::NoCredential, format!("{:?} has none", endpoint.as_str()))
}

pub(super) fn refused(error: KeepError) -> Refusal {
    match error {
        KeepError::Unusable(unusable) => {
            Refusal(Problem::new(ProblemType::InvalidCredential, unusable.message).at(unusable.pointer))
        }
        KeepError::Taken { by } => {
            Refusal::new(ProblemType::IdentityTaken, format!("{:?} has it", by.as_str()))
        }
        KeepError::Store(error @ StoreError::Full { .. }) => {
            Refusal::new(ProblemType::Conflict, error.to_string())
        }
        KeepError::Store(error) => unread(&error),
        KeepError::Seal(error) => {
            tracing::error!(%error, "a credential cannot be read or sealed");
            Refusal::new(ProblemType::Internal, error.to_string())
        }
    }
}

/// Credentials looked at in one go.
const PAGE_LEN: usize = 256;
