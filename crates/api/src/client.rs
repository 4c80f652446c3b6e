//! A typed, blocking client of the API, for `ctl` and tests.

mod access;
mod bootstrap;
mod credential;
mod downlink;
mod fleet;
mod log;
mod models;
mod security;
mod trace;

use std::time::Duration;

use serde::Serialize;
use serde::de::DeserializeOwned;
use ureq::Agent;
use ureq::http::{Request, Response, StatusCode};

pub use self::access::AuditOptions;
pub use self::credential::CredentialSet;
pub use self::downlink::{DownlinkOptions, WriteMode};
pub use self::fleet::ListOptions;
pub use self::log::{Events, HistoryOptions};
use crate::command::{Command, CommandMove, Commands};
use crate::endpoint::Endpoint;
use crate::problem::Problem;

/// A connection to one server's API.
#[derive(Clone, Debug)]
pub struct Client {
    base: String,
    token: Option<String>,
    agent: Agent,
}

/// Why a call did not give an answer.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ClientError {
    /// The server refused or failed, and said why.
    #[error("{}{}", .0.title, .0.detail.as_ref().map(|d| format!(" {d}")).unwrap_or_default())]
    Problem(Problem),
    /// No error, but no answer of the device either: with [`DownlinkOptions::queue`] the server made this command of it.
    #[error("the server queued the command {}", .0.id)]
    Queued(Box<Command>),
    /// The server could not be reached, or the connection broke.
    #[error("cannot talk to the server at {url}")]
    Transport {
        /// The server's address.
        url: String,
        /// What went wrong.
        #[source]
        source: Box<ureq::Error>,
    },
    /// The stream of events ended or broke.
    #[error("the stream of events broke")]
    Stream(#[source] std::io::Error),
    /// The server sent something else than its contract says.
    #[error("the server's answer makes no sense: {0}")]
    Nonsense(String),
}

impl Client {
    /// A client of the server at `base`, such as `http://127.0.0.1:8080`.
    #[must_use]
    pub fn new(base: &str, token: Option<String>) -> Client {
        let config = Agent::config_builder()
            .http_status_as_error(false)
            .timeout_connect(Some(Duration::from_secs(10)))
            .build();
        Client { base: base.trim_end_matches('/').to_owned(), token, agent: config.into() }
    }

    /// One registration.
    ///
    /// # Errors
    /// See [`ClientError`].
    pub fn endpoint(&self, endpoint: &str) -> Result<Endpoint, ClientError> {
        self.get(&at(endpoint, ""))
    }

    /// Forgets a registration.
    ///
    /// # Errors
    /// See [`ClientError`].
    pub fn forget(&self, endpoint: &str) -> Result<(), ClientError> {
        self.call("DELETE", &at(endpoint, ""), &[]).map(drop)
    }

    /// Commands of a device, newest first.
    ///
    /// # Errors
    /// See [`ClientError`].
    pub fn commands(&self, endpoint: &str) -> Result<Commands, ClientError> {
        self.get(&at(endpoint, "/commands"))
    }

    /// One command.
    ///
    /// # Errors
    /// See [`ClientError`].
    pub fn command(&self, id: &str) -> Result<Command, ClientError> {
        self.get(&format!("/api/v1/commands/{}", percent(id)))
    }

    /// Cancels a command that has not been sent.
    ///
    /// # Errors
    /// See [`ClientError`].
    pub fn cancel_command(&self, id: &str) -> Result<Command, ClientError> {
        self.empty("DELETE", &format!("/api/v1/commands/{}", percent(id)))
    }

    /// Gives a command that waits another place among those of its device.
    ///
    /// # Errors
    /// See [`ClientError`].
    pub fn move_command(&self, id: &str, to: &CommandMove) -> Result<Command, ClientError> {
        self.send("PATCH", &format!("/api/v1/commands/{}", percent(id)), to)
    }

    /// Queues once more what a command that has ended was to do.
    ///
    /// # Errors
    /// See [`ClientError`].
    pub fn retry_command(&self, id: &str) -> Result<Command, ClientError> {
        self.empty("POST", &format!("/api/v1/commands/{}/retry", percent(id)))
    }

    /// The answer of any GET address as text, for what has no shape of its own (`/metrics`, `/healthz`).
    ///
    /// # Errors
    /// See [`ClientError`].
    pub fn text(&self, address: &str) -> Result<String, ClientError> {
        let mut response = self.call("GET", address, &[])?;
        response.body_mut().read_to_string().map_err(|source| self.transport(source))
    }

    fn get<T: DeserializeOwned>(&self, address: &str) -> Result<T, ClientError> {
        self.empty("GET", address)
    }

    fn empty<T: DeserializeOwned>(&self, method: &str, address: &str) -> Result<T, ClientError> {
        json(self.call(method, address, &[])?)
    }

    fn send<T: DeserializeOwned>(
        &self,
        method: &str,
        address: &str,
        body: &impl Serialize,
    ) -> Result<T, ClientError> {
        let body = serde_json::to_vec(body).map_err(nonsense)?;
        json(self.call(method, address, &body)?)
    }

    fn call(&self, method: &str, address: &str, body: &[u8]) -> Result<Response<ureq::Body>, ClientError> {
        let head = self.head(method, address);
        if body.is_empty() {
            let request = head.body(()).map_err(nonsense)?;
            return self.checked(self.agent.run(request));
        }
        let request = head.header("content-type", "application/json").body(body).map_err(nonsense)?;
        self.checked(self.agent.run(request))
    }

    fn head(&self, method: &str, address: &str) -> ureq::http::request::Builder {
        let head = Request::builder().method(method).uri(format!("{}{address}", self.base));
        match &self.token {
            Some(token) => head.header("authorization", format!("Bearer {token}")),
            None => head,
        }
    }

    fn checked(
        &self,
        result: Result<Response<ureq::Body>, ureq::Error>,
    ) -> Result<Response<ureq::Body>, ClientError> {
        let mut response = result.map_err(|source| self.transport(source))?;
        if is_queued(&response) {
            return Err(ClientError::Queued(Box::new(json(response)?)));
        }
        if response.status().is_success() {
            return Ok(response);
        }
        let status = response.status();
        let text = response.body_mut().read_to_string().unwrap_or_default();
        match serde_json::from_str(&text) {
            Ok(problem) => Err(ClientError::Problem(problem)),
            Err(_) => Err(ClientError::Nonsense(format!("HTTP status {status} without a problem document"))),
        }
    }

    fn transport(&self, source: ureq::Error) -> ClientError {
        ClientError::Transport { url: self.base.clone(), source: Box::new(source) }
    }
}

fn json<T: DeserializeOwned>(mut response: Response<ureq::Body>) -> Result<T, ClientError> {
    let text = response.body_mut().with_config().limit(ANSWER_LEN_MAX).read_to_string().map_err(nonsense)?;
    let text = if text.is_empty() { "null" } else { &text };
    serde_json::from_str(text).map_err(nonsense)
}

fn nonsense(error: impl std::fmt::Display) -> ClientError {
    ClientError::Nonsense(error.to_string())
}

fn at(endpoint: &str, rest: &str) -> String {
    format!("/api/v1/endpoints/{}{rest}", percent(endpoint))
}

fn with_query<const N: usize>(address: &str, query: [(&str, Option<&str>); N]) -> String {
    let mut out = address.to_owned();
    for (name, value) in query {
        if let Some(value) = value {
            out.push(if out.contains('?') { '&' } else { '?' });
            out.push_str(name);
            out.push('=');
            out.push_str(&percent(value));
        }
    }
    out
}

/// Everything but unreserved characters becomes `%XX` (RFC 3986 §2.3).
fn percent(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            out.push(char::from(byte));
        } else {
            out.push_str(&format!("%{byte:02X}"));
        }
    }
    out
}

const ANSWER_LEN_MAX: u64 = 64 << 20;

/// Whether the answer is the command that was made of an operation; other things are begun with the same status.
fn is_queued(response: &Response<ureq::Body>) -> bool {
    let location = response.headers().get("location").and_then(|location| location.to_str().ok());
    response.status() == StatusCode::ACCEPTED
        && location.is_some_and(|location| location.starts_with("/api/v1/commands/"))
}
