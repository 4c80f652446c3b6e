//! The trace over HTTP: as a list, live as a stream of events, as a capture.

use std::collections::VecDeque;
use std::fmt::Write;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use axum::Extension;
use axum::extract::{Path as Parts, RawQuery, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::IntoResponse;
use bytes::Bytes;
use lightship_api::{ProblemType, Trace, TraceGap};
use lightship_lwm2m::Endpoint;
use lightship_net::{InboxError, TraceNews};
use lightship_server::TraceOf;
use tokio::sync::{mpsc, watch};

use super::events::Seat;
use super::input::{Query, parameter};
use super::reply::{Answer, json};
use super::stream::Pieces;
use super::{Refusal, stream};
use crate::access::Actor;
use crate::core::{Core, stopped};
use crate::trace::{self, Gathered, Joiner, Place, gather};

/// GET /endpoints/{endpoint}/trace
pub(crate) async fn show(
    State(core): State<Arc<Core>>,
    Extension(actor): Extension<Arc<Actor>>,
    Parts(endpoint): Parts<String>,
    RawQuery(query): RawQuery,
    headers: HeaderMap,
) -> Answer {
    let query = Query::parse(query.as_deref(), &["limit", "after", "follow"])?;
    let of = TraceOf::Endpoint(name(&endpoint)?);
    if query.flag("follow")? {
        return follow(core, actor, of, &query, &headers).await;
    }
    list(&core, &of, &query).await
}

/// GET /trace
pub(crate) async fn of_address(State(core): State<Arc<Core>>, RawQuery(query): RawQuery) -> Answer {
    let query = Query::parse(query.as_deref(), &["address", "limit", "after"])?;
    let wrong =
        || parameter("address", "is an IP address, or one with a port: 192.0.2.7, [2001:db8::7]:5683");
    let text = query.text("address").ok_or_else(wrong)?;
    let with_port = text.parse::<SocketAddr>().ok().map(|at| (at.ip(), Some(at.port())));
    let bare = text.trim_start_matches('[').trim_end_matches(']').parse::<IpAddr>().ok().map(|ip| (ip, None));
    let (ip, port) = with_port.or(bare).ok_or_else(wrong)?;
    list(&core, &TraceOf::Address(ip, port), &query).await
}

/// GET /endpoints/{endpoint}/trace.pcapng
pub(crate) async fn export(
    State(core): State<Arc<Core>>,
    Parts(endpoint): Parts<String>,
    RawQuery(query): RawQuery,
) -> Answer {
    let query = Query::parse(query.as_deref(), &["limit"])?;
    let limit = query.number("limit", 1, EXPORT_MAX)?.unwrap_or(EXPORT_LIMIT);
    let of = TraceOf::Endpoint(name(&endpoint)?);
    let at_most = usize::try_from(limit).unwrap_or(usize::MAX);
    let gathered = gather(&core, &of, &Place::default(), at_most).await.map_err(|error| busy(&error))?;
    let listening = core.config.listen.coap.first().map(SocketAddr::ip);
    let file = trace::capture(&gathered, &core.models.snapshot(), listening);
    let head = [
        (header::CONTENT_TYPE, "application/x-pcapng"),
        (header::CONTENT_DISPOSITION, "attachment; filename=\"trace.pcapng\""),
    ];
    Ok((StatusCode::OK, head, file).into_response())
}

async fn list(core: &Core, of: &TraceOf, query: &Query) -> Answer {
    let limit = query.number("limit", 1, LIMIT_MAX)?.unwrap_or(LIMIT);
    let limit = usize::try_from(limit).unwrap_or(usize::MAX);
    let run = trace::run(core);
    let after = query.text("after").map(|text| place(text, run)).transpose()?;
    // What came before explains what follows, and is not shown.
    let all = gather(core, of, &Place::default(), limit + CONTEXT).await.map_err(|error| busy(&error))?;
    let mut items = trace::items(&all, &mut Joiner::new(), &core.models.snapshot(), run);
    let mut gap = false;
    if let Some(after) = &after {
        let mut behind = all.seen.iter().map(|seen| after.is_before(seen));
        items.retain(|_| behind.next().unwrap_or(false));
        gap = gather(core, of, after, limit).await.map_err(|error| busy(&error))?.gap;
    }
    let surplus = items.len().saturating_sub(limit);
    items.drain(..surplus);
    json(StatusCode::OK, &Trace { items, next: all.place.to_text(run), gap })
}

/// A stream of what comes and goes from now on, or from a place on.
async fn follow(
    core: Arc<Core>,
    actor: Arc<Actor>,
    of: TraceOf,
    query: &Query,
    headers: &HeaderMap,
) -> Answer {
    if query.text("limit").is_some() {
        return Err(parameter("limit", "does not go with follow=true"));
    }
    let seat = Seat::take(&core)?;
    let run = trace::run(&core);
    // A reader that comes back knows better than the address it first came with; a place of another run is lost.
    let last = headers.get("last-event-id").and_then(|id| id.to_str().ok()).filter(|id| !id.is_empty());
    let after = match (last, query.text("after")) {
        (Some(last), _) => Some(Place::read(last, run)),
        (None, Some(after)) => Some(Place::read(after, run)),
        (None, None) => None,
    };
    let before = gather(&core, &of, &Place::default(), CONTEXT).await.map_err(|error| busy(&error))?;
    let news = trace::follow(&core, &of, &before.place).await.map_err(|error| match error {
        InboxError::Full => Refusal::new(ProblemType::Overloaded, "too many follow already"),
        InboxError::Stopped => busy(&error),
    })?;
    let mut reader = Reader {
        stopping: core.stopping.subscribe(),
        joiner: Joiner::new(),
        place: before.place.clone(),
        ready: VecDeque::from([stream::beginning()]),
        news,
        run,
        core: core.clone(),
        _seat: seat,
    };
    reader.begin(&before, after);
    Ok(stream::answer(core, actor, reader))
}

/// One who follows: the shards tell it.
struct Reader {
    core: Arc<Core>,
    stopping: watch::Receiver<bool>,
    news: mpsc::Receiver<TraceNews>,
    run: u32,
    joiner: Joiner,
    place: Place,
    ready: VecDeque<Bytes>,
    _seat: Seat,
}

impl Pieces for Reader {
    async fn next(&mut self) -> Option<Bytes> {
        loop {
            if let Some(chunk) = self.ready.pop_front() {
                return Some(chunk);
            }
            let first = tokio::select! {
                () = stopped(&mut self.stopping) => return None,
                news = self.news.recv() => news?,
                () = tokio::time::sleep(stream::HEARTBEAT) => return Some(stream::heartbeat()),
            };
            let more = std::iter::from_fn(|| self.news.try_recv().ok());
            let place = std::mem::take(&mut self.place);
            let (told, lost) = Gathered::of_news(&self.core, place, std::iter::once(first).chain(more));
            let mut text = String::new();
            if told.gap || lost > 0 {
                write_gap(&mut text, Some(lost).filter(|lost| *lost > 0));
            }
            for item in &trace::items(&told, &mut self.joiner, &self.core.models.snapshot(), self.run) {
                write_item(&mut text, item);
            }
            self.place = told.place;
            self.close(text);
        }
    }
}

impl Reader {
    /// Tells what lies behind a place already.
    fn begin(&mut self, before: &Gathered, after: Option<Option<Place>>) {
        let items = trace::items(before, &mut self.joiner, &self.core.models.snapshot(), self.run);
        let mut text = String::new();
        match after {
            None => {}
            Some(None) => write_gap(&mut text, None),
            Some(Some(after)) => {
                // The oldest that was looked at may not be the first behind that place.
                if before.seen.len() >= CONTEXT
                    && before.seen.first().is_some_and(|seen| after.is_before(seen))
                {
                    write_gap(&mut text, None);
                }
                let new = before.seen.iter().zip(&items).filter(|(seen, _)| after.is_before(seen));
                for (_, item) in new {
                    write_item(&mut text, item);
                }
            }
        }
        self.close(text);
    }

    /// Ends a piece with the place where the next one begins.
    fn close(&mut self, mut text: String) {
        if !text.is_empty() {
            // With the last one, whose JSON has no line breaks.
            let last = text.trim_end_matches('\n').rfind("\n\n").map_or(0, |end| end + 2);
            text.insert_str(last, &format!("id: {}\n", self.place.to_text(self.run)));
            self.ready.push_back(Bytes::from(text));
        }
    }
}

fn write_gap(text: &mut String, lost: Option<u64>) {
    // Writing into a String cannot fail.
    let _ = write!(
        text,
        "event: gap\ndata: {}\n\n",
        serde_json::to_string(&TraceGap { lost }).unwrap_or_default()
    );
}

fn write_item(text: &mut String, item: &lightship_api::TraceItem) {
    // Writing into a String cannot fail.
    let _ = write!(text, "data: {}\n\n", serde_json::to_string(item).unwrap_or_default());
}

fn name(endpoint: &str) -> Result<Endpoint, Refusal> {
    let unknown =
        || Refusal::new(ProblemType::EndpointNotRegistered, format!("{endpoint:?} is no endpoint's name"));
    Endpoint::new(endpoint).map_err(|_| unknown())
}

fn place(text: &str, run: u32) -> Result<Place, Refusal> {
    Place::read(text, run)
        .ok_or_else(|| parameter("after", "is not the `next` of a trace of this run of the server"))
}

fn busy(error: &InboxError) -> Refusal {
    Refusal::new(ProblemType::Overloaded, error.to_string())
}

const LIMIT: u64 = 200;
const LIMIT_MAX: u64 = 2000;
const EXPORT_LIMIT: u64 = 10_000;
const EXPORT_MAX: u64 = 20_000;
/// Older messages that are looked at to explain the newer ones.
const CONTEXT: usize = 256;
