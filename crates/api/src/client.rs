//! A typed, blocking client of the API, for `ctl` and tests.

mod access;
mod bootstrap;
mod credential;
mod fleet;
mod models;
mod security;
mod trace;

use std::io::{BufRead, BufReader, Read};
use std::time::Duration;

use serde::Serialize;
use serde::de::DeserializeOwned;
use ureq::Agent;
use ureq::http::{Request, Response, StatusCode};

pub use self::access::AuditOptions;
pub use self::credential::CredentialSet;
pub use self::fleet::ListOptions;
use crate::answer::{
    AttributesBody, CompositeObserveBody, CompositeReadBody, CompositeWriteBody, DownlinkAnswer, ExecuteBody,
    Observations,
};
use crate::command::{Command, CommandMove, Commands};
use crate::endpoint::Endpoint;
use crate::event::{Event, EventLog};
use crate::history::History;
use crate::node::Node;
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

/// Choices for one downlink operation; the default leaves them to the server.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DownlinkOptions {
    /// Content format by name, such as `senml-cbor`.
    pub format: Option<String>,
    /// How long to wait for the device.
    pub wait: Option<Duration>,
    /// Make it a durable command; the call ends with [`ClientError::Queued`].
    pub queue: bool,
    /// When to give the command up: a span such as `24h`, or a moment of RFC 3339.
    pub not_after: Option<String>,
    /// Of one device, commands of a higher priority are sent first: from -100 to 100.
    pub priority: Option<i8>,
    /// How often the command may be sent.
    pub attempts: Option<u32>,
    /// The pause after an attempt that brought no answer, such as `5m`.
    pub retry_after: Option<String>,
    /// Let commands that still wait give way if this one does again all that they do.
    pub supersede: bool,
    /// What is compared with the object definitions: `none values operations`.
    pub check: Option<String>,
    /// Let other operations do what the device refuses (composite operations).
    pub fallback: bool,
    /// Also give the payload as it came.
    pub raw: bool,
}

/// Which values of a history or events of a log; the default leaves it to the server.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct HistoryOptions {
    /// Only from this moment on: RFC 3339, or a span such as `24h` for so long ago.
    pub from: Option<String>,
    /// Only before this moment, likewise.
    pub to: Option<String>,
    /// At most so many.
    pub limit: Option<u32>,
    /// The `next` of the page before.
    pub cursor: Option<String>,
}

/// Write, Replace or Partial Update.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WriteMode {
    /// What is not named goes away.
    Replace,
    /// What is not named stays.
    PartialUpdate,
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

    /// Reads; `path` as `/3/0/9`.
    ///
    /// # Errors
    /// See [`ClientError`].
    pub fn read(
        &self,
        endpoint: &str,
        path: &str,
        o: &DownlinkOptions,
    ) -> Result<DownlinkAnswer, ClientError> {
        self.get(&downlink(endpoint, "resources", path, o))
    }

    /// Writes.
    ///
    /// # Errors
    /// See [`ClientError`].
    pub fn write(
        &self,
        endpoint: &str,
        path: &str,
        mode: WriteMode,
        node: &Node,
        o: &DownlinkOptions,
    ) -> Result<DownlinkAnswer, ClientError> {
        let method = match mode {
            WriteMode::Replace => "PUT",
            WriteMode::PartialUpdate => "PATCH",
        };
        self.send(method, &downlink(endpoint, "resources", path, o), node)
    }

    /// Creates an Object Instance; `path` is the Object's.
    ///
    /// # Errors
    /// See [`ClientError`].
    pub fn create(
        &self,
        endpoint: &str,
        path: &str,
        node: &Node,
        o: &DownlinkOptions,
    ) -> Result<DownlinkAnswer, ClientError> {
        self.send("POST", &downlink(endpoint, "resources", path, o), node)
    }

    /// Deletes an Object Instance or Resource Instance.
    ///
    /// # Errors
    /// See [`ClientError`].
    pub fn delete(
        &self,
        endpoint: &str,
        path: &str,
        o: &DownlinkOptions,
    ) -> Result<DownlinkAnswer, ClientError> {
        self.empty("DELETE", &downlink(endpoint, "resources", path, o))
    }

    /// Executes a Resource.
    ///
    /// # Errors
    /// See [`ClientError`].
    pub fn execute(
        &self,
        endpoint: &str,
        path: &str,
        arguments: Option<&str>,
        o: &DownlinkOptions,
    ) -> Result<DownlinkAnswer, ClientError> {
        let body = ExecuteBody { arguments: arguments.map(str::to_owned) };
        self.send("POST", &downlink(endpoint, "execute", path, o), &body)
    }

    /// Lists what is at a path.
    ///
    /// # Errors
    /// See [`ClientError`].
    pub fn discover(
        &self,
        endpoint: &str,
        path: &str,
        depth: Option<u8>,
        o: &DownlinkOptions,
    ) -> Result<DownlinkAnswer, ClientError> {
        let mut address = downlink(endpoint, "discover", path, o);
        if let Some(depth) = depth {
            let joint = if address.contains('?') { '&' } else { '?' };
            address = format!("{address}{joint}depth={depth}");
        }
        self.get(&address)
    }

    /// Sets and unsets attributes.
    ///
    /// # Errors
    /// See [`ClientError`].
    pub fn write_attributes(
        &self,
        endpoint: &str,
        path: &str,
        attributes: &AttributesBody,
        o: &DownlinkOptions,
    ) -> Result<DownlinkAnswer, ClientError> {
        self.send("PUT", &downlink(endpoint, "attributes", path, o), attributes)
    }

    /// Observes from now on.
    ///
    /// # Errors
    /// See [`ClientError`].
    pub fn observe(
        &self,
        endpoint: &str,
        path: &str,
        attributes: &AttributesBody,
        o: &DownlinkOptions,
    ) -> Result<DownlinkAnswer, ClientError> {
        self.send("PUT", &downlink(endpoint, "observations", path, o), attributes)
    }

    /// Observes no longer; `None` when the observation was not running, so that the device had nothing to be told.
    ///
    /// # Errors
    /// See [`ClientError`].
    pub fn cancel_observation(
        &self,
        endpoint: &str,
        path: &str,
        o: &DownlinkOptions,
    ) -> Result<Option<DownlinkAnswer>, ClientError> {
        self.empty("DELETE", &downlink(endpoint, "observations", path, o))
    }

    /// Reads several paths at once.
    ///
    /// # Errors
    /// See [`ClientError`].
    pub fn read_composite(
        &self,
        endpoint: &str,
        body: &CompositeReadBody,
        o: &DownlinkOptions,
    ) -> Result<DownlinkAnswer, ClientError> {
        self.send("POST", &downlink(endpoint, "composite", "read", o), body)
    }

    /// Writes several nodes at once: all of them or none.
    ///
    /// # Errors
    /// See [`ClientError`].
    pub fn write_composite(
        &self,
        endpoint: &str,
        body: &CompositeWriteBody,
        o: &DownlinkOptions,
    ) -> Result<DownlinkAnswer, ClientError> {
        self.send("POST", &downlink(endpoint, "composite", "write", o), body)
    }

    /// Observes several paths under a name of the caller's.
    ///
    /// # Errors
    /// See [`ClientError`].
    pub fn observe_composite(
        &self,
        endpoint: &str,
        name: &str,
        body: &CompositeObserveBody,
        o: &DownlinkOptions,
    ) -> Result<DownlinkAnswer, ClientError> {
        let place = format!("observations/{}", percent(name));
        self.send("PUT", &downlink(endpoint, "composite", &place, o), body)
    }

    /// Ends such an observation; `None` when it was not running, so that the device had nothing to be told.
    ///
    /// # Errors
    /// See [`ClientError`].
    pub fn cancel_composite(
        &self,
        endpoint: &str,
        name: &str,
        o: &DownlinkOptions,
    ) -> Result<Option<DownlinkAnswer>, ClientError> {
        let place = format!("observations/{}", percent(name));
        self.empty("DELETE", &downlink(endpoint, "composite", &place, o))
    }

    /// Commands of a device, newest first.
    ///
    /// # Errors
    /// See [`ClientError`].
    pub fn commands(&self, endpoint: &str) -> Result<Commands, ClientError> {
        self.get(&at(endpoint, "/commands"))
    }

    /// Values that a device has told, those heard last first; `path` as `/3303/0/5700`.
    ///
    /// # Errors
    /// See [`ClientError`].
    pub fn history(
        &self,
        endpoint: &str,
        path: &str,
        which: &HistoryOptions,
    ) -> Result<History, ClientError> {
        let limit = which.limit.map(|limit| limit.to_string());
        let query = [
            ("from", which.from.as_deref()),
            ("to", which.to.as_deref()),
            ("limit", limit.as_deref()),
            ("cursor", which.cursor.as_deref()),
        ];
        self.get(&with_query(&at(endpoint, &format!("/history/{}", path.trim_start_matches('/'))), query))
    }

    /// Events of a device, newest first; `kinds` = names of their types, empty for all.
    ///
    /// # Errors
    /// See [`ClientError`].
    pub fn log(
        &self,
        endpoint: &str,
        kinds: &[String],
        which: &HistoryOptions,
    ) -> Result<EventLog, ClientError> {
        let limit = which.limit.map(|limit| limit.to_string());
        let kinds = kinds.join(",");
        let query = [
            ("type", Some(kinds.as_str()).filter(|kinds| !kinds.is_empty())),
            ("from", which.from.as_deref()),
            ("to", which.to.as_deref()),
            ("limit", limit.as_deref()),
            ("cursor", which.cursor.as_deref()),
        ];
        self.get(&with_query(&at(endpoint, "/log"), query))
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

    /// What is observed on a device.
    ///
    /// # Errors
    /// See [`ClientError`].
    pub fn observations(&self, endpoint: &str) -> Result<Observations, ClientError> {
        self.get(&at(endpoint, "/observations"))
    }

    /// Follows events: every one after `after` (an id, or `0` for the oldest kept; default: from now on) until the
    /// server ends the stream.
    ///
    /// # Errors
    /// See [`ClientError`]; each item may also be one.
    pub fn events(
        &self,
        endpoint: Option<&str>,
        types: Option<&str>,
        after: Option<&str>,
    ) -> Result<Events, ClientError> {
        let address =
            with_query("/api/v1/events", [("endpoint", endpoint), ("type", types), ("after", after)]);
        let response = self.call("GET", &address, &[])?;
        Ok(Events { lines: BufReader::new(Box::new(response.into_body().into_reader())) })
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

/// Events as they come; ends when the server ends the stream.
pub struct Events {
    lines: BufReader<Box<dyn Read + Send>>,
}

impl Iterator for Events {
    type Item = Result<Event, ClientError>;

    fn next(&mut self) -> Option<Self::Item> {
        let mut data = String::new();
        loop {
            let mut line = String::new();
            match (&mut self.lines).take(LINE_LEN_MAX).read_line(&mut line) {
                Err(error) => return Some(Err(ClientError::Stream(error))),
                Ok(0) => return None,
                Ok(_) => {}
            }
            let line = line.trim_end_matches(['\r', '\n']);
            if let Some(text) = line.strip_prefix("data:") {
                data.push_str(text.strip_prefix(' ').unwrap_or(text));
            } else if line.is_empty() && !data.is_empty() {
                return Some(serde_json::from_str(&data).map_err(nonsense));
            }
        }
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

fn downlink(endpoint: &str, what: &str, path: &str, options: &DownlinkOptions) -> String {
    let wait = options.wait.map(|wait| format!("{}ms", wait.as_millis()));
    let priority = options.priority.map(|priority| priority.to_string());
    let attempts = options.attempts.map(|attempts| attempts.to_string());
    let address = at(endpoint, &format!("/{what}/{}", path.trim_start_matches('/')));
    let query = [
        ("format", options.format.as_deref()),
        ("wait", wait.as_deref()),
        ("queue", options.queue.then_some("true")),
        ("not_after", options.not_after.as_deref()),
        ("priority", priority.as_deref()),
        ("attempts", attempts.as_deref()),
        ("retry_after", options.retry_after.as_deref()),
        ("supersede", options.supersede.then_some("true")),
        ("check", options.check.as_deref()),
        ("fallback", options.fallback.then_some("true")),
        ("raw", options.raw.then_some("true")),
    ];
    with_query(&address, query)
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

const LINE_LEN_MAX: u64 = 16 << 20;
const ANSWER_LEN_MAX: u64 = 64 << 20;

/// Whether the answer is the command that was made of an operation; other things are begun with the same status.
fn is_queued(response: &Response<ureq::Body>) -> bool {
    let location = response.headers().get("location").and_then(|location| location.to_str().ok());
    response.status() == StatusCode::ACCEPTED
        && location.is_some_and(|location| location.starts_with("/api/v1/commands/"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::answer::AnswerContent;

    #[test]
    fn names_are_percent_encoded_once_and_queries_joined() {
        let options = DownlinkOptions { wait: Some(Duration::from_secs(2)), raw: true, ..Default::default() };
        assert_eq!(
            downlink("urn:imei:1/é%", "resources", "/3/0", &options),
            "/api/v1/endpoints/urn%3Aimei%3A1%2F%C3%A9%25/resources/3/0?wait=2000ms&raw=true"
        );
    }

    #[test]
    fn composite_content_is_told_from_a_node() {
        let shared = r#""operation":"read-composite","path":"/","code":"2.05","elapsed_ms":3"#;
        let read = |content: &str| {
            let text = format!(r#"{{{shared},"content":{content}}}"#);
            serde_json::from_str::<DownlinkAnswer>(&text).unwrap().content.unwrap()
        };
        let nodes = read(r#"{"nodes":[{"path":"/3/0/9","type":"integer","value":84}]}"#);
        assert!(matches!(nodes, AnswerContent::Nodes { nodes } if nodes.len() == 1));
        assert!(matches!(read(r#"{"path":"/3/0/9","value":84}"#), AnswerContent::Node(_)));
        assert!(matches!(read(r#"{"links":[]}"#), AnswerContent::Links { .. }));
    }

    #[test]
    fn events_are_read_across_comments_and_ids() {
        let text = "retry: 1000\n\n: still here\n\nid: a-1\ndata: {\"id\":\"a-1\",\"time\":\"2026-01-01T00:00:00.000Z\",\n\
                    data: \"type\":\"updated\",\"endpoint\":\"x\"}\n\ndata: nonsense\n\n";
        let mut events = Events { lines: BufReader::new(Box::new(text.as_bytes())) };
        assert_eq!(events.next().unwrap().unwrap().id, "a-1");
        assert!(matches!(events.next(), Some(Err(ClientError::Nonsense(_)))));
        assert!(events.next().is_none());
    }
}
