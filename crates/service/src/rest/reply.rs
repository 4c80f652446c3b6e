//! Answers: JSON and problem documents.

use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use lightship_api::{Problem, ProblemType};
use serde::Serialize;

use crate::access::Outcome;

/// What a handler gives: an answer or a problem.
pub(crate) type Answer = Result<Response, Refusal>;

/// A problem on its way out.
#[derive(Debug)]
pub(crate) struct Refusal(pub(crate) Problem);

impl Refusal {
    pub(crate) fn new(kind: ProblemType, detail: impl Into<String>) -> Refusal {
        Refusal(Problem::new(kind, detail))
    }

    /// Whether it may be otherwise at another time.
    pub(crate) fn is_passing(&self) -> bool {
        [
            ProblemType::Asleep,
            ProblemType::Overloaded,
            ProblemType::EndpointNotRegistered,
            ProblemType::NoAnswer,
        ]
        .into_iter()
        .any(|kind| self.is(kind))
    }

    /// Whether it is of that type.
    pub(crate) fn is(&self, kind: ProblemType) -> bool {
        self.0.is(kind)
    }
}

impl IntoResponse for Refusal {
    fn into_response(mut self) -> Response {
        if self.0.status == 503 && self.0.retry_after_s.is_none() {
            self.0.retry_after_s = Some(SOON_S);
        }
        let status = StatusCode::from_u16(self.0.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let body = serde_json::to_vec(&self.0).unwrap_or_default();
        let mut response =
            (status, [(header::CONTENT_TYPE, "application/problem+json")], body).into_response();
        // Its name, and no more: what was wrong may quote a value.
        let detail = self.0.kind.strip_prefix("/problems/").map(str::to_owned);
        response.extensions_mut().insert(Outcome { detail, ..Outcome::default() });
        if let Some(seconds) = self.0.retry_after_s {
            response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from(seconds));
        }
        if status == StatusCode::UNAUTHORIZED {
            response.headers_mut().insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
        }
        response
    }
}

/// When to try again after a 503 that says nothing else.
const SOON_S: u64 = 1;

/// JSON with that status.
pub(crate) fn json(status: StatusCode, value: &impl Serialize) -> Answer {
    match serde_json::to_vec(value) {
        Ok(body) => Ok((status, [(header::CONTENT_TYPE, "application/json")], body).into_response()),
        Err(error) => {
            tracing::error!(%error, "an answer cannot be written");
            Err(Refusal::new(ProblemType::Internal, "the answer cannot be written"))
        }
    }
}

/// Known address, unknown method; `Allow` is added by the router.
pub(crate) async fn method_not_allowed() -> Refusal {
    std::future::ready(Refusal::new(ProblemType::MethodNotAllowed, "")).await
}
