//! The stream of events, for as long as someone reads.

use super::show;
use crate::failure;
use crate::output;
use lightship_api::Event;
use lightship_api::client::{Client, ClientError};
use std::time::Duration;

/// How long to wait before a broken stream is opened again.
const RECONNECT_AFTER: Duration = Duration::from_secs(2);

/// Which events.
pub(super) struct Wanted {
    pub(super) endpoint: Option<String>,
    pub(super) types: Vec<String>,
    pub(super) after: Option<String>,
    pub(super) follow: bool,
    /// Only those of one observation.
    pub(super) subject: Option<Subject>,
}

/// An observation.
pub(super) enum Subject {
    /// Of a path.
    Path(String),
    /// A composite one, by its name.
    Name(String),
}

impl Wanted {
    fn covers(&self, event: &Event) -> bool {
        match &self.subject {
            None => true,
            Some(Subject::Path(path)) => event.name.is_none() && event.path.as_ref() == Some(path),
            Some(Subject::Name(name)) => event.name.as_ref() == Some(name),
        }
    }
}

/// Why no more events are printed.
pub(super) enum Failed {
    Server(Box<ClientError>),
    Output(failure::Failure),
}

impl From<ClientError> for Failed {
    fn from(error: ClientError) -> Self {
        Self::Server(Box::new(error))
    }
}

/// Prints events. A stream that breaks while following is opened again behind the last event.
pub(super) fn print(client: &Client, wanted: &Wanted, json: bool) -> Result<(), Failed> {
    let oldest = || (!wanted.follow).then(|| "0".to_owned());
    let mut after = wanted.after.clone().or_else(oldest);
    let mut opened_before = false;
    loop {
        let types = (!wanted.types.is_empty()).then(|| wanted.types.join(","));
        let stream = match client.events(wanted.endpoint.as_deref(), types.as_deref(), after.as_deref()) {
            Ok(stream) => stream,
            Err(error @ ClientError::Transport { .. }) if opened_before => {
                tracing::warn!("{}; trying again", failure::chain(&error));
                wait(RECONNECT_AFTER);
                continue;
            }
            Err(error) => return Err(error.into()),
        };
        opened_before = true;
        if !wanted.follow {
            return stream.so_far().try_for_each(|event| tell(&event?, wanted, json));
        }
        for event in stream {
            match event {
                Ok(event) => {
                    after = Some(event.id.clone());
                    tell(&event, wanted, json)?;
                }
                Err(error) => {
                    tracing::warn!("{}; opening the stream again", failure::chain(&error));
                    break;
                }
            }
        }
        wait(RECONNECT_AFTER);
    }
}

fn tell(event: &Event, wanted: &Wanted, json: bool) -> Result<(), Failed> {
    if !wanted.covers(event) {
        return Ok(());
    }
    let told = match json {
        true => output::exactly(&serde_json::to_string(event).unwrap_or_default()),
        false => output::line(&show::event(event)),
    };
    told.map_err(Failed::Output)
}

/// Lets time pass without work to wait for.
fn wait(span: Duration) {
    std::thread::park_timeout(span);
}
