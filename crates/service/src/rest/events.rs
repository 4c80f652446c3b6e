//! The stream of events (Server-Sent Events). Each reader walks the log at its own pace with its own cursor: nothing
//! is queued for it, and it holds nobody.

use std::collections::VecDeque;
use std::fmt::Write;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use axum::Extension;
use axum::extract::{RawQuery, State};
use axum::http::HeaderMap;
use bytes::Bytes;
use lightship_api::{Event, EventType, Problem, ProblemType};
use lightship_store::{Cursor, EventPage, EventRecord, Store, Unreadable};
use tokio::sync::watch;

use super::input::Query;
use super::reply::Answer;
use super::stream::Pieces;
use super::{Refusal, stream};
use crate::access::Actor;
use crate::core::{Core, stopped};

/// GET /events
pub(crate) async fn follow(
    State(core): State<Arc<Core>>,
    Extension(actor): Extension<Arc<Actor>>,
    headers: HeaderMap,
    RawQuery(query): RawQuery,
) -> Answer {
    let query = Query::parse(query.as_deref(), &["endpoint", "type", "after"])?;
    let kinds = match query.text("type") {
        None | Some("") => None,
        Some(names) => Some(kinds(names)?),
    };
    let last = headers.get("last-event-id").map(|id| id.to_str().unwrap_or("?").to_owned());
    // A reader that comes back knows better than the address it first came with.
    let after = last.filter(|id| !id.is_empty()).or_else(|| query.text("after").map(str::to_owned));
    let seat = Seat::take(&core)?;
    let newest = core.newest.subscribe();
    let until = core.store.newest().await.map_err(|_| Refusal::new(ProblemType::Overloaded, ""))?;
    let start = match after.as_deref() {
        None => Some(until),
        Some("0") => None,
        // An id that makes no sense is as lost as one that is too old.
        Some(id) => Some(id.parse().unwrap_or(Cursor { writer: 0, number: u64::MAX })),
    };
    let reader = Reader {
        stopping: core.stopping.subscribe(),
        core: core.clone(),
        newest,
        cursor: start,
        fresh: true,
        until: Some(until),
        endpoint: query.text("endpoint").filter(|name| !name.is_empty()).map(str::to_owned),
        kinds,
        ready: VecDeque::from([stream::beginning()]),
        over: false,
        _seat: seat,
    };
    Ok(stream::answer(core, actor, reader))
}

pub(super) fn kinds(names: &str) -> Result<Vec<EventType>, Refusal> {
    let kind = |name: &str| {
        let known: Vec<_> = EventType::ALL.iter().map(|kind| kind.name()).collect();
        EventType::from_name(name.trim()).ok_or_else(|| {
            let detail = format!("type {name:?} is not one of {}", known.join(" "));
            Refusal::new(ProblemType::InvalidParameter, detail)
        })
    };
    names.split(',').map(kind).collect()
}

/// One reader's place among those allowed at once.
pub(super) struct Seat {
    core: Arc<Core>,
}

impl Seat {
    pub(super) fn take(core: &Arc<Core>) -> Result<Seat, Refusal> {
        let max = core.config.limits.event_readers_max;
        if core.counters.event_readers.fetch_add(1, Ordering::Relaxed) >= max {
            core.counters.event_readers.fetch_sub(1, Ordering::Relaxed);
            let problem = Problem::new(ProblemType::Overloaded, format!("{max} readers follow already"));
            return Err(Refusal(problem.retry_after(5)));
        }
        Ok(Seat { core: core.clone() })
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        self.core.counters.event_readers.fetch_sub(1, Ordering::Relaxed);
    }
}

struct Reader {
    core: Arc<Core>,
    newest: watch::Receiver<Cursor>,
    stopping: watch::Receiver<bool>,
    /// Behind which event to go on; `None` = before the oldest kept.
    cursor: Option<Cursor>,
    /// Nothing has been read of the log yet.
    fresh: bool,
    /// The newest event when it came, until it is told that it has all up to there.
    until: Option<Cursor>,
    endpoint: Option<String>,
    kinds: Option<Vec<EventType>>,
    ready: VecDeque<Bytes>,
    /// Nothing comes behind what is ready.
    over: bool,
    _seat: Seat,
}

impl Pieces for Reader {
    async fn next(&mut self) -> Option<Bytes> {
        loop {
            if let Some(chunk) = self.ready.pop_front() {
                return Some(chunk);
            }
            if self.over {
                return None;
            }
            // Marked before reading the log, so that an event in between wakes us.
            self.newest.mark_unchanged();
            let page = match self.core.store.events(self.cursor, PAGE_LEN).await {
                Ok(page) => page,
                Err(error) => {
                    let why = error.chain();
                    tracing::warn!(error = %why, "the log cannot be read; a reader comes back");
                    self.over = true;
                    return Some(unread(&why));
                }
            };
            if page.gap && !self.fresh {
                // It was so slow that the log has gone past it: it may come back and hear of its gap.
                self.core.counters.event_readers_dropped.fetch_add(1, Ordering::Relaxed);
                self.over = true;
                return Some(Bytes::from_static(TOO_SLOW));
            }
            self.take(&page);
            if !self.ready.is_empty() {
                continue;
            }
            if !page.events.is_empty() || page.unreadable.is_some() {
                // Nothing of it was wanted: others want to get on, too.
                tokio::task::yield_now().await;
                continue;
            }
            tokio::select! {
                changed = self.newest.changed() => changed.ok()?,
                () = stopped(&mut self.stopping) => return None,
                () = tokio::time::sleep(stream::HEARTBEAT) => self.ready.push_back(stream::heartbeat()),
            }
        }
    }
}

impl Reader {
    fn take(&mut self, page: &EventPage) {
        let mut text = String::new();
        if page.gap {
            let place = Cursor {
                writer: page.next.writer,
                number: page.events.first().map_or(page.next.number, |e| e.cursor.number - 1),
            };
            self.gap(&mut text, place, "earlier events are no longer kept".to_owned());
        }
        for event in page.events.iter().filter(|event| self.wants(event)) {
            let cursor = event.cursor.to_string();
            let _ = write!(text, "id: {cursor}\ndata: {}\n\n", Event::numbered(&cursor, &event.body));
        }
        if let Some(unreadable) = page.unreadable {
            self.gap(&mut text, page.next, damaged(page.next.writer, unreadable));
        }
        self.cursor = Some(page.next);
        self.fresh = false;
        if !text.is_empty() {
            self.ready.push_back(Bytes::from(text));
        }
        if self.until.take_if(|until| until.number <= page.next.number).is_some() {
            self.ready.push_back(stream::so_far());
        }
    }

    /// An event of ours: those up to here are missing.
    fn gap(&self, text: &mut String, place: Cursor, reason: String) {
        let mut event = Event::new(place.to_string(), self.core.now(), EventType::Gap, String::new());
        event.reason = Some(reason);
        let _ = write!(text, "id: {place}\ndata: {}\n\n", serde_json::to_string(&event).unwrap_or_default());
    }

    fn wants(&self, event: &EventRecord) -> bool {
        let endpoint = self.endpoint.as_deref().is_none_or(|name| name == event.endpoint.as_str());
        endpoint && self.kinds.as_ref().is_none_or(|kinds| kinds.iter().any(|kind| kind.name() == event.kind))
    }
}

/// Which events are damaged, by their cursors.
pub(crate) fn damaged(writer: u32, Unreadable { first, last }: Unreadable) -> String {
    let [first, last] = [first, last].map(|number| Cursor { writer, number });
    format!("events {first} to {last} are damaged on the server's disk and cannot be read")
}

/// The last words to a reader when the log cannot be read at all now.
fn unread(why: &str) -> Bytes {
    // A comment is one line.
    Bytes::from(format!(": {}; come back with Last-Event-ID\n\n", why.replace(['\n', '\r'], " ")))
}

/// Events read of the log at once.
const PAGE_LEN: usize = 64;
/// The last words to a reader; it comes back with `Last-Event-ID` and is told by an event what it has missed.
const TOO_SLOW: &[u8] = b": too slow, the log has gone past you; come back with Last-Event-ID\n\n";
