//! History: what a device has told of a path, found in the log.

use std::sync::Arc;

use axum::extract::{Path as Parts, RawQuery, State};
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::IntoResponse;
use lightship_api::{
    AnswerContent, Command, Content, EventType, History, HistoryItem, Node, ProblemType, Timestamp,
};
use lightship_lwm2m::{Endpoint, Path};
use lightship_store::{Cursor, EventRecord, EventsOf, Store};
use serde::Deserialize;

use super::Refusal;
use super::input::{self, Query, parameter, span};
use super::log::Missing;
use super::reply::{Answer, json};
use crate::core::Core;
use crate::queue::unread;

/// GET /endpoints/{endpoint}/history/{path}
pub(crate) async fn show(
    State(core): State<Arc<Core>>,
    Parts((endpoint, place)): Parts<(String, String)>,
    RawQuery(query): RawQuery,
    headers: HeaderMap,
) -> Answer {
    let path = input::path(&place, 1..=4, "a history")?;
    let query = Query::parse(query.as_deref(), &["from", "to", "limit", "cursor", "format"])?;
    let as_table = wants_table(&query, &headers)?;
    let search = Search::read(&core, &query, path).await?;
    let unregistered =
        || Refusal::new(ProblemType::EndpointNotRegistered, format!("{endpoint:?} is not registered"));
    let name = Endpoint::new(&endpoint).map_err(|_| unregistered())?;
    let mut missing = Missing::default();
    let (items, next) = search.run(&core, &name, &mut missing).await?;
    if items.is_empty() && missing.is_nothing() && !is_known(&core, &name).await? {
        // Of a device that is gone, what it told can be seen; of one that never was, nothing.
        input::device(&core, &endpoint).await?;
    }
    let next = next.map(|next| next.to_text());
    let warning = missing.warning(&core).await;
    let history = History { endpoint, path: path.to_string(), items, next, warning };
    if !as_table {
        return json(StatusCode::OK, &history);
    }
    let head = [
        (header::CONTENT_TYPE, "text/csv; charset=utf-8; header=present"),
        (header::CONTENT_DISPOSITION, "attachment; filename=\"history.csv\""),
    ];
    let mut answer = (StatusCode::OK, head, history.to_csv()).into_response();
    let link = history.next.map(|next| query.link(&next));
    if let Some(Ok(link)) = link.map(|link| HeaderValue::from_str(&link)) {
        answer.headers_mut().insert(header::LINK, link);
    }
    // A table has no place for it.
    let warning = history.warning.map(|warning| format!("199 - \"{warning}\""));
    if let Some(Ok(warning)) = warning.map(|warning| HeaderValue::from_str(&warning)) {
        answer.headers_mut().insert(header::WARNING, warning);
    }
    Ok(answer)
}

/// Whether the log has anything of that device.
pub(super) async fn is_known(core: &Core, endpoint: &Endpoint) -> Result<bool, Refusal> {
    let any = EventsOf { before: None, from_ms: i64::MIN, to_ms: i64::MAX, max: 1 };
    let events = core.store.events_of(endpoint, any).await.map_err(|error| unread(&error))?;
    Ok(!events.events.is_empty() || events.unreadable.is_some())
}

pub(super) fn wants_table(query: &Query, headers: &HeaderMap) -> Result<bool, Refusal> {
    match query.text("format") {
        Some("csv") => Ok(true),
        Some("json") => Ok(false),
        Some(_) => Err(parameter("format", "is json or csv")),
        None => {
            let accept =
                headers.get(header::ACCEPT).and_then(|accept| accept.to_str().ok()).unwrap_or_default();
            let kinds = accept.split(',').map(|kind| kind.split(';').next().unwrap_or_default().trim());
            let first = kinds.into_iter().find(|kind| ["text/csv", "application/json", "*/*"].contains(kind));
            Ok(first == Some("text/csv"))
        }
    }
}

impl Query {
    /// The same address with another cursor, as a `Link` header has it.
    fn link(&self, cursor: &str) -> String {
        let mut link = format!("<?cursor={cursor}");
        for name in ["from", "to", "limit", "format"] {
            if let Some(value) = self.text(name) {
                link.push_str(&format!("&{name}={value}"));
            }
        }
        link.push_str(">; rel=\"next\"");
        link
    }
}

/// What is looked for.
struct Search {
    path: Path,
    from_ms: i64,
    to_ms: i64,
    limit: usize,
    place: Option<Place>,
}

/// Where a page ends: within an event, for one may tell more than a page holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Place {
    /// The last event that was looked at.
    event: Cursor,
    /// How many of its values were given; `None`: all.
    given: Option<usize>,
}

impl Place {
    fn to_text(self) -> String {
        match self.given {
            Some(given) => format!("{}.{given}", self.event),
            None => self.event.to_string(),
        }
    }

    fn read(text: &str) -> Option<Place> {
        let (event, given) = match text.split_once('.') {
            Some((event, given)) => (event, Some(given.parse().ok()?)),
            None => (text, None),
        };
        let place = Place { event: event.parse().ok()?, given };
        (place.to_text() == text).then_some(place)
    }
}

impl Search {
    async fn read(core: &Core, query: &Query, path: Path) -> Result<Search, Refusal> {
        let now = core.now();
        let (from_ms, to_ms) = query.stretch(now)?;
        let limit = query.number("limit", 1, LIMIT_MAX)?.and_then(|limit| usize::try_from(limit).ok());
        let wrong = || parameter("cursor", "is not the `next` of a page before");
        let place = query.text("cursor").map(|text| Place::read(text).ok_or_else(wrong)).transpose()?;
        if let Some(Place { event, .. }) = place {
            let newest = core.store.newest().await.map_err(|error| unread(&error))?;
            if event.writer != newest.writer || event.number > newest.number {
                return Err(parameter("cursor", "is of another log: begin anew"));
            }
        }
        Ok(Search { path, from_ms, to_ms, limit: limit.unwrap_or(LIMIT), place })
    }

    /// The values of one page, and where the next one begins.
    async fn run(
        &self,
        core: &Core,
        endpoint: &Endpoint,
        missing: &mut Missing,
    ) -> Result<(Vec<HistoryItem>, Option<Place>), Refusal> {
        let mut items = Vec::new();
        let mut before = self.place.map(|place| match place.given {
            // That one once more.
            Some(_) => Cursor { number: place.event.number.saturating_add(1), ..place.event },
            None => place.event,
        });
        for _ in 0..CHUNKS_MAX {
            // Times of values lie before those of their events, so that later events may tell of earlier times.
            let which = EventsOf { before, from_ms: self.from_ms, to_ms: i64::MAX, max: CHUNK };
            let found = core.store.events_of(endpoint, which).await.map_err(|error| unread(&error))?;
            let events = missing.take(found);
            for event in &events {
                let told = self.told(event);
                let skip =
                    self.place.filter(|place| place.event == event.cursor).and_then(|place| place.given);
                for (index, item) in told.into_iter().enumerate().skip(skip.unwrap_or(0)) {
                    if items.len() == self.limit {
                        return Ok((items, Some(Place { event: event.cursor, given: Some(index) })));
                    }
                    items.push(item);
                }
                before = Some(event.cursor);
            }
            if events.len() < CHUNK {
                return Ok((items, None));
            }
            if items.len() == self.limit {
                break;
            }
            // Others want to get on, too.
            tokio::task::yield_now().await;
        }
        Ok((items, before.map(|event| Place { event, given: None })))
    }

    /// The values that an event tells of the path within the time, the latest first.
    fn told(&self, event: &EventRecord) -> Vec<HistoryItem> {
        let Some(source) = EventType::from_name(&event.kind).filter(|kind| TELLING.contains(kind)) else {
            return Vec::new();
        };
        // One that cannot be read tells nothing.
        let Ok(told) = serde_json::from_str::<Told>(&event.body) else { return Vec::new() };
        let received_at = Timestamp(event.at_ms);
        let (nodes, base) = told.nodes();
        let mut items = Vec::new();
        for node in nodes {
            let path = node.path.as_deref().or(base.as_deref()).and_then(|path| path.parse().ok());
            let Some(path) = path else { continue };
            leaves(path, &node, node.time, &mut |path, node, time, value| {
                let time = time.unwrap_or(received_at);
                if self.path.contains(path) && (self.from_ms..self.to_ms).contains(&time.0) {
                    items.push(HistoryItem {
                        time,
                        received_at,
                        path: path.to_string(),
                        kind: node.kind,
                        value: value.clone(),
                        source,
                        event: event.cursor.to_string(),
                    });
                }
            });
        }
        items.sort_by_key(|item| std::cmp::Reverse(item.time));
        items
    }
}

/// Of an event, what may hold values.
#[derive(Deserialize)]
struct Told {
    path: Option<String>,
    content: Option<Vec<Node>>,
    command: Option<Box<Command>>,
}

impl Told {
    /// The nodes, and the path of those that say none.
    fn nodes(self) -> (Vec<Node>, Option<String>) {
        let Some(command) = self.command else { return (self.content.unwrap_or_default(), self.path) };
        // What a command has written is not what the device has told; what starts an observation has an event of its own.
        let Some(answer) = command.answer.filter(|answer| answer.operation.starts_with("read")) else {
            return (Vec::new(), None);
        };
        let nodes = match answer.content {
            Some(AnswerContent::Node(node)) => vec![node],
            Some(AnswerContent::Nodes { nodes }) => nodes,
            Some(AnswerContent::Links { .. }) | None => Vec::new(),
        };
        (nodes, Some(answer.path))
    }
}

/// Each value below a node, with the time that stands nearest to it.
pub(crate) fn leaves(
    path: Path,
    node: &Node,
    time: Option<Timestamp>,
    each: &mut impl FnMut(Path, &Node, Option<Timestamp>, &serde_json::Value),
) {
    let time = node.time.or(time);
    match &node.content {
        Content::Value(value) => each(path, node, time, value),
        Content::Instances(values) => {
            for (id, value) in values {
                if let Some(path) = path.child(*id) {
                    each(path, node, time, value);
                }
            }
        }
        Content::Resources(nodes) | Content::ObjectInstances(nodes) => {
            for (id, node) in nodes {
                if let Some(path) = path.child(*id) {
                    leaves(path, node, time, each);
                }
            }
        }
    }
}

impl Query {
    /// A moment: as such, or as a span for so long ago.
    pub(super) fn moment(&self, name: &str, now: Timestamp) -> Result<Option<i64>, Refusal> {
        let Some(text) = self.text(name) else { return Ok(None) };
        let ago = span(text).and_then(|span| i64::try_from(span.as_millis()).ok());
        let moment = ago.map(|ms| now.0.saturating_sub(ms));
        let moment = moment.or_else(|| text.parse::<Timestamp>().ok().map(|moment| moment.0));
        let what = "is a moment such as 2026-01-01T00:00:00Z, or a span such as 24h for so long ago";
        moment.map(Some).ok_or_else(|| parameter(name, what))
    }
}

/// Events that tell values.
const TELLING: [EventType; 4] =
    [EventType::Notified, EventType::Observed, EventType::Sent, EventType::CommandDone];
const LIMIT: usize = 100;
const LIMIT_MAX: u64 = 10_000;
/// Events read at once.
const CHUNK: usize = 256;
/// Events that one page looks at: 20,480. A page that finds little among them says where to go on.
const CHUNKS_MAX: usize = 80;
