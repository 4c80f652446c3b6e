//! Calls about the last messages.

use std::io::{BufRead, BufReader, Read};

use super::{Client, ClientError, at, with_query};
use crate::trace::{Trace, TraceTold};

impl Client {
    /// The last messages of a device, oldest first; with `after` only those behind.
    ///
    /// # Errors
    /// See [`ClientError`].
    pub fn trace(&self, endpoint: &str, limit: u32, after: Option<&str>) -> Result<Trace, ClientError> {
        let limit = limit.to_string();
        self.get(&with_query(&at(endpoint, "/trace"), [("limit", Some(limit.as_str())), ("after", after)]))
    }

    /// The last messages of an address, such as `192.0.2.7` or `192.0.2.7:5683`.
    ///
    /// # Errors
    /// See [`ClientError`].
    pub fn trace_of_address(&self, address: &str, limit: u32) -> Result<Trace, ClientError> {
        let limit = limit.to_string();
        self.get(&with_query("/api/v1/trace", [("address", Some(address)), ("limit", Some(limit.as_str()))]))
    }

    /// The last messages of a device as a capture (pcapng).
    ///
    /// # Errors
    /// See [`ClientError`].
    pub fn trace_capture(&self, endpoint: &str, limit: u32) -> Result<Vec<u8>, ClientError> {
        let limit = limit.to_string();
        let address = with_query(&at(endpoint, "/trace.pcapng"), [("limit", Some(limit.as_str()))]);
        let mut response = self.call("GET", &address, &[])?;
        let mut bytes = Vec::new();
        response
            .body_mut()
            .as_reader()
            .take(CAPTURE_LEN_MAX)
            .read_to_end(&mut bytes)
            .map_err(ClientError::Stream)?;
        Ok(bytes)
    }

    /// Each message of a device from now on, or from `after` on, as it comes or goes; who is too slow is told what is missing.
    ///
    /// # Errors
    /// See [`ClientError`].
    pub fn follow_trace(
        &self,
        endpoint: &str,
        after: Option<&str>,
    ) -> Result<impl Iterator<Item = Result<TraceTold, ClientError>> + Send + use<>, ClientError> {
        let path = with_query(&at(endpoint, "/trace"), [("follow", Some("true")), ("after", after)]);
        let lines = BufReader::new(self.call("GET", &path, &[])?.into_body().into_reader()).lines();
        let mut is_gap = false;
        Ok(lines.filter_map(move |line| {
            let line = match line {
                Ok(line) => line,
                Err(error) => return Some(Err(ClientError::Stream(error))),
            };
            is_gap |= line == "event: gap";
            // Signs of life and places say nothing more.
            let data = line.strip_prefix("data: ")?;
            let told = if std::mem::take(&mut is_gap) {
                serde_json::from_str(data).map(TraceTold::Gap)
            } else {
                serde_json::from_str(data).map(TraceTold::Item)
            };
            Some(told.map_err(|error| ClientError::Nonsense(error.to_string())))
        }))
    }
}

/// More than the server gives.
const CAPTURE_LEN_MAX: u64 = 64 << 20;
