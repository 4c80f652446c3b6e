//! Operations on devices, for the typed client.

use std::time::Duration;

use super::{Client, ClientError, at, percent, with_query};
use crate::answer::{
    AttributesBody, CompositeObserveBody, CompositeReadBody, CompositeWriteBody, DownlinkAnswer, ExecuteBody,
    Observations,
};
use crate::node::Node;

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

/// Write, Replace or Partial Update.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WriteMode {
    /// What is not named goes away.
    Replace,
    /// What is not named stays.
    PartialUpdate,
}

impl Client {
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

    /// What is observed on a device.
    ///
    /// # Errors
    /// See [`ClientError`].
    pub fn observations(&self, endpoint: &str) -> Result<Observations, ClientError> {
        self.get(&at(endpoint, "/observations"))
    }
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
}
