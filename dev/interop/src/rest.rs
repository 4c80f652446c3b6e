//! The REST API as an outsider sees it: plain HTTP and JSON, no types of ours.

use crate::report::{Check, holds, same};
use serde_json::Value;
use std::net::SocketAddr;
use std::time::Duration;

/// Longer than any deadline of the server's own.
const REQUEST_LIMIT: Duration = Duration::from_secs(60);

/// One server's API.
pub(crate) struct Rest {
    agent: ureq::Agent,
    base: String,
    /// Sent with every request when the server wants one.
    pub(crate) token: Option<&'static str>,
}

/// Status and body of an answer; the body is `Null` when it is no JSON.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) body: Value,
}

impl Rest {
    /// The API that listens at `address`.
    pub(crate) fn new(address: SocketAddr) -> Self {
        let agent = ureq::Agent::config_builder()
            .http_status_as_error(false)
            .timeout_global(Some(REQUEST_LIMIT))
            .build()
            .new_agent();
        Self { agent, base: format!("http://{address}"), token: None }
    }

    /// The same API for another thread.
    pub(crate) fn again(&self) -> Self {
        Self { agent: self.agent.clone(), base: self.base.clone(), token: self.token }
    }

    /// Where it listens.
    pub(crate) fn address(&self) -> String {
        self.base.trim_start_matches("http://").to_owned()
    }

    /// GET below `/api/v1/`.
    pub(crate) fn get(&self, path: &str) -> Result<Answer, String> {
        self.send("GET", path, None)
    }

    /// Any method below `/api/v1/`, with an optional JSON body.
    pub(crate) fn send(&self, method: &str, path: &str, body: Option<&Value>) -> Result<Answer, String> {
        let mut request =
            ureq::http::Request::builder().method(method).uri(format!("{}/api/v1/{path}", self.base));
        if body.is_some() {
            request = request.header("content-type", "application/json");
        }
        if let Some(token) = self.token {
            request = request.header("authorization", format!("Bearer {token}"));
        }
        let bytes = body.map(Value::to_string).unwrap_or_default();
        let request = request.body(bytes).map_err(|error| error.to_string())?;
        let mut response = self.agent.run(request).map_err(|error| format!("{method} {path}: {error}"))?;
        let text =
            response.body_mut().read_to_string().map_err(|error| format!("{method} {path}: {error}"))?;
        Ok(Answer {
            status: response.status().as_u16(),
            body: serde_json::from_str(&text).unwrap_or(Value::Null),
        })
    }

    /// A downlink operation that the server delivers; its answer must carry the device's code.
    pub(crate) fn operate(
        &self,
        method: &str,
        path: &str,
        body: Option<&Value>,
        code: &str,
    ) -> Result<Value, String> {
        let answer = self.send(method, path, body)?;
        let delivered = if code == "2.01" { 201 } else { 200 };
        let shown = || format!("{method} {path}: {} {}", answer.status, answer.body);
        holds(answer.status == delivered, shown)?;
        same(&format!("{method} {path}: code"), &answer.body["code"].as_str().unwrap_or_default(), &code)?;
        Ok(answer.body)
    }

    /// An operation that the server itself must refuse with this status and a problem document.
    pub(crate) fn refuse(&self, method: &str, path: &str, body: Option<&Value>, status: u16) -> Check {
        let answer = self.send(method, path, body)?;
        same(&format!("{method} {path}: status"), &answer.status, &status)?;
        holds(answer.body["type"].is_string(), || {
            format!("{method} {path}: no problem document: {}", answer.body)
        })
    }
}
