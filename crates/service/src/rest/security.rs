//! How sessions are secured, and what became of handshakes.

use std::sync::Arc;

use axum::extract::{Path, Request, State};
use axum::http::StatusCode;
use lightship_api::{Handshakes, ProblemType};
use lightship_dtls::certificate;
use lightship_lwm2m::Endpoint;

use super::input::{self, Query};
use super::reply::{Answer, json};
use super::{Refusal, log};
use crate::core::Core;
use crate::fleet::beside;
use crate::security;

/// GET /endpoints/{endpoint}/handshakes
pub(crate) async fn handshakes(State(core): State<Arc<Core>>, Path(endpoint): Path<String>) -> Answer {
    let endpoint = name(&endpoint)?;
    let logged = log::handshakes(&core, &endpoint).await;
    let items = core.gate.history.of(endpoint.as_str(), logged);
    json(StatusCode::OK, &Handshakes { items })
}

/// GET /security/failures
pub(crate) async fn failures(State(core): State<Arc<Core>>) -> Answer {
    let items = core.gate.history.failures();
    std::future::ready(json(StatusCode::OK, &Handshakes { items })).await
}

/// GET /security
pub(crate) async fn overview(State(core): State<Arc<Core>>) -> Answer {
    json(StatusCode::OK, &security::overview(&core).await)
}

/// POST /certificates/explain
pub(crate) async fn explain(State(core): State<Arc<Core>>, request: Request) -> Answer {
    let (head, body) = request.into_parts();
    let query = Query::parse(head.uri.query(), &["endpoint"])?;
    let endpoint = query.text("endpoint").map(name).transpose()?;
    input::media_type(&head.headers, &FILES)?;
    let file = input::body(&core, body).await?;
    if file.len() > FILE_LEN_MAX {
        let detail = format!("at most {FILE_LEN_MAX} bytes are explained");
        return Err(Refusal::new(ProblemType::TooLarge, detail));
    }
    let explanation = beside(&core, move |core| {
        let unreadable = |what: String| Refusal::new(ProblemType::MalformedBody, what);
        let given = security::given(&file).map_err(unreadable)?;
        security::explain(core, &given, endpoint.as_ref()).map_err(unreadable)
    });
    json(StatusCode::OK, &explanation.await?)
}

/// GET /endpoints/{endpoint}/certificate
pub(crate) async fn certificate_of(State(core): State<Arc<Core>>, Path(endpoint): Path<String>) -> Answer {
    let endpoint = name(&endpoint)?;
    let given = security::of_device(&core, &endpoint).await.map_err(super::credentials::refused)?;
    let given = given.ok_or_else(|| {
        let detail = format!(
            "{:?} uses no certificate, or one that was presented before this process began",
            endpoint.as_str()
        );
        Refusal::new(ProblemType::NoCredential, detail)
    })?;
    let explanation = beside(&core, move |core| {
        security::explain(core, &given, Some(&endpoint))
            .map_err(|what| Refusal::new(ProblemType::NoCredential, what))
    });
    json(StatusCode::OK, &explanation.await?)
}

fn name(endpoint: &str) -> Result<Endpoint, Refusal> {
    Endpoint::new(endpoint).map_err(|error| Refusal::new(ProblemType::InvalidParameter, error.to_string()))
}

/// What files of certificates are called.
const FILES: [&str; 7] = [
    "application/x-pem-file",
    "application/pem-certificate-chain",
    "application/pkix-cert",
    "application/x-x509-ca-cert",
    "application/x-x509-user-cert",
    "application/octet-stream",
    "text/plain",
];
/// Bytes of certificates that are explained: sixteen times what a handshake takes.
const FILE_LEN_MAX: usize = certificate::MEANING_LEN_MAX;
