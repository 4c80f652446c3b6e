//! The log of one device: its events, newest first, page by page.

use std::sync::Arc;

use axum::extract::{Path as Parts, RawQuery, State};
use axum::http::StatusCode;
use lightship_api::{Event, EventLog, EventType, Handshake, Problem, ProblemType};
use lightship_lwm2m::Endpoint;
use lightship_store::{Cursor, EventRecord, EventsFound, EventsOf, Store, Unreadable};

use super::Refusal;
use super::events::{damaged, kinds};
use super::history::is_known;
use super::input::{self, Query, parameter};
use super::reply::{Answer, json};
use crate::core::Core;
use crate::queue::unread;
use crate::security::HANDSHAKES_MAX;

/// GET /endpoints/{endpoint}/log
pub(crate) async fn show(
    State(core): State<Arc<Core>>,
    Parts(endpoint): Parts<String>,
    RawQuery(query): RawQuery,
) -> Answer {
    let query = Query::parse(query.as_deref(), &["type", "from", "to", "limit", "cursor"])?;
    let wanted = match query.text("type") {
        None | Some("") => None,
        Some(names) => Some(kinds(names)?).filter(|kinds| !kinds.is_empty()),
    };
    if wanted.as_ref().is_some_and(|kinds| kinds.iter().all(|kind| *kind == EventType::Updated)) {
        // Not found by their device: there are too many of them.
        return Err(parameter(
            "type",
            "names Updates alone, which are not in the log of one device: the stream of events has them",
        ));
    }
    let now = core.now();
    let (from_ms, to_ms) = query.stretch(now)?;
    let limit = query.number("limit", 1, LIMIT_MAX)?.and_then(|limit| usize::try_from(limit).ok());
    let before = cursor(&core, &query).await?;
    let name = Endpoint::new(&endpoint).map_err(|_| {
        Refusal::new(ProblemType::EndpointNotRegistered, format!("{endpoint:?} is not registered"))
    })?;
    let first = EventsOf { before, from_ms, to_ms, max: CHUNK };
    let mut missing = Missing::default();
    let limit = limit.unwrap_or(LIMIT);
    let (items, next) = page(&core, &name, first, wanted.as_deref(), limit, &mut missing).await?;
    if items.is_empty() && missing.is_nothing() && !is_known(&core, &name).await? {
        input::device(&core, &endpoint).await?;
    }
    let (next, warning) = (next.map(|next| next.to_string()), missing.warning(&core).await);
    json(StatusCode::OK, &EventLog { endpoint, items, next, warning })
}

async fn cursor(core: &Core, query: &Query) -> Result<Option<Cursor>, Refusal> {
    let Some(text) = query.text("cursor") else { return Ok(None) };
    let cursor: Cursor =
        text.parse().map_err(|_| parameter("cursor", "is not the `next` of a page before"))?;
    let newest = core.store.newest().await.map_err(|error| unread(&error))?;
    if cursor.writer != newest.writer || cursor.number > newest.number {
        return Err(parameter("cursor", "is of another log: begin anew"));
    }
    Ok(Some(cursor))
}

/// What the log has of a device's handshakes, newest first. What cannot be read now is left out.
pub(super) async fn handshakes(core: &Core, endpoint: &Endpoint) -> Vec<Handshake> {
    const KINDS: [EventType; 3] =
        [EventType::SessionOpened, EventType::SessionClosed, EventType::HandshakeFailed];
    let all = EventsOf { before: None, from_ms: i64::MIN, to_ms: i64::MAX, max: CHUNK };
    // As many may be remembered besides.
    let missing = &mut Missing::default();
    let found = page(core, endpoint, all, Some(&KINDS), 2 * HANDSHAKES_MAX, missing).await;
    let events = found.map(|(events, _)| events).unwrap_or_default();
    events.into_iter().filter_map(|event| event.handshake.map(|handshake| *handshake)).collect()
}

/// The events of one page, and the last that was looked at where older ones may be left.
async fn page(
    core: &Core,
    endpoint: &Endpoint,
    mut which: EventsOf,
    wanted: Option<&[EventType]>,
    limit: usize,
    missing: &mut Missing,
) -> Result<(Vec<Event>, Option<Cursor>), Refusal> {
    let mut items = Vec::new();
    for _ in 0..CHUNKS_MAX {
        let found = core.store.events_of(endpoint, which).await.map_err(|error| unread(&error))?;
        let events = missing.take(found);
        for event in &events {
            if items.len() == limit {
                return Ok((items, which.before));
            }
            which.before = Some(event.cursor);
            let kind = EventType::from_name(&event.kind);
            if wanted.is_none_or(|wanted| kind.is_some_and(|kind| wanted.contains(&kind))) {
                items.push(told(event)?);
            }
        }
        if events.len() < CHUNK {
            return Ok((items, None));
        }
        // Others want to get on, too.
        tokio::task::yield_now().await;
    }
    Ok((items, which.before))
}

/// What is damaged of that which was looked through.
#[derive(Debug, Default)]
pub(super) struct Missing(Option<Unreadable>);

impl Missing {
    /// The events that were found.
    pub(super) fn take(&mut self, found: EventsFound) -> Vec<Arc<EventRecord>> {
        self.0 = found.unreadable.map(|more| more.and(self.0)).or(self.0);
        found.events
    }

    pub(super) const fn is_nothing(&self) -> bool {
        self.0.is_none()
    }

    /// What whoever reads the rest must know.
    pub(super) async fn warning(self, core: &Core) -> Option<String> {
        let writer = core.store.newest().await.map_or(0, |newest| newest.writer);
        self.0.map(|missing| {
            format!("{}: those of this device among them are missing here", damaged(writer, missing))
        })
    }
}

fn told(record: &EventRecord) -> Result<Event, Refusal> {
    let unreadable = |_| Refusal(Problem::new(ProblemType::Internal, "an event of the log cannot be read"));
    let mut event: Event = serde_json::from_str(&record.body).map_err(unreadable)?;
    event.id = record.cursor.to_string();
    Ok(event)
}

const LIMIT: usize = 100;
const LIMIT_MAX: u64 = 1000;
/// Events read at once.
const CHUNK: usize = 256;
/// Events that one page looks at: 20,480. A page that finds little among them says where to go on.
const CHUNKS_MAX: usize = 80;
