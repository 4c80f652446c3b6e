//! What has happened and what happens, for the typed client: history, log and the stream of events.

use std::io::{BufRead, BufReader, Read};

use super::{Client, ClientError, at, nonsense, with_query};
use crate::event::{Event, EventLog};
use crate::history::History;

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

impl Client {
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
        Ok(Events::read(response.into_body().into_reader()))
    }
}

/// Events as they come; ends when the server ends the stream.
pub struct Events {
    lines: BufReader<Box<dyn Read + Send>>,
}

impl Events {
    fn read(stream: impl Read + Send + 'static) -> Events {
        Events { lines: BufReader::new(Box::new(stream)) }
    }

    /// Events up to the newest that there was when the stream was opened. The last is an error where it ends before.
    pub fn so_far(mut self) -> impl Iterator<Item = Result<Event, ClientError>> {
        let mut is_over = false;
        std::iter::from_fn(move || {
            if std::mem::replace(&mut is_over, true) {
                return None;
            }
            let broken = |why: String| Some(Err(ClientError::Stream(std::io::Error::other(why))));
            match self.piece() {
                Some(Ok(Piece::Event(event))) => {
                    is_over = false;
                    Some(Ok(*event))
                }
                // A sign of life says as much: it comes when there is nothing else.
                Some(Ok(Piece::Comment(text))) if text == SO_FAR || text == HERE => None,
                Some(Ok(Piece::Comment(text))) => broken(text),
                Some(Err(error)) => Some(Err(error)),
                None => broken("it ended before all was told".to_owned()),
            }
        })
    }

    fn piece(&mut self) -> Option<Result<Piece, ClientError>> {
        let mut data = String::new();
        loop {
            let mut line = String::new();
            match (&mut self.lines).take(LINE_LEN_MAX).read_line(&mut line) {
                Err(error) => return Some(Err(ClientError::Stream(error))),
                Ok(0) => return None,
                Ok(_) => {}
            }
            let line = line.trim_end_matches(['\r', '\n']);
            if let Some(text) = line.strip_prefix(':') {
                return Some(Ok(Piece::Comment(text.trim_start().to_owned())));
            }
            if let Some(text) = line.strip_prefix("data:") {
                data.push_str(text.strip_prefix(' ').unwrap_or(text));
            } else if line.is_empty() && !data.is_empty() {
                return Some(serde_json::from_str(&data).map(Piece::Event).map_err(nonsense));
            }
        }
    }
}

impl Iterator for Events {
    type Item = Result<Event, ClientError>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            match self.piece()? {
                Ok(Piece::Event(event)) => return Some(Ok(*event)),
                Ok(Piece::Comment(_)) => {}
                Err(error) => return Some(Err(error)),
            }
        }
    }
}

/// What a stream consists of.
enum Piece {
    Event(Box<Event>),
    Comment(String),
}

/// The comment behind the newest event that there was when the reader came.
const SO_FAR: &str = "so far";
/// The comment of a server that has nothing to tell now.
const HERE: &str = "here";
/// Longest line of the stream, in bytes.
const LINE_LEN_MAX: u64 = 16 << 20;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn events_are_read_across_comments_and_ids() {
        let text = "retry: 1000\n\n: still here\n\nid: a-1\ndata: {\"id\":\"a-1\",\"time\":\"2026-01-01T00:00:00.000Z\",\n\
                    data: \"type\":\"updated\",\"endpoint\":\"x\"}\n\ndata: nonsense\n\n";
        let mut events = Events::read(text.as_bytes());
        assert_eq!(events.next().unwrap().unwrap().id, "a-1");
        assert!(matches!(events.next(), Some(Err(ClientError::Nonsense(_)))));
        assert!(events.next().is_none());
    }

    #[test]
    fn events_so_far_end_where_the_server_says_so_and_nowhere_else() {
        let event = "id: a-1\ndata: {\"id\":\"a-1\",\"time\":\"2026-01-01T00:00:00.000Z\",\"type\":\"updated\",\"endpoint\":\"x\"}\n\n";
        let of = |text: String| {
            let events = Events::read(std::io::Cursor::new(text));
            events.so_far().map(|event| event.map(|event| event.id)).collect::<Vec<_>>()
        };
        for end in [": so far", ": here"] {
            let ids = of(format!("retry: 1000\n\n{event}{end}\n\n{event}"));
            assert!(matches!(ids.as_slice(), [Ok(id)] if id == "a-1"), "{end}: {ids:?}");
        }
        let ids = of(event.to_owned());
        assert!(matches!(ids.as_slice(), [Ok(_), Err(ClientError::Stream(_))]), "{ids:?}");
        let ids = of(format!("{event}: the disk is gone; come back with Last-Event-ID\n\n"));
        assert!(
            matches!(ids.as_slice(), [Ok(_), Err(ClientError::Stream(why))] if why.to_string().contains("the disk is gone"))
        );
    }
}
