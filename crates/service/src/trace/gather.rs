//! Asks all recorders, and puts what they tell in order.

use std::net::SocketAddr;

use futures_util::future::join_all;
use lightship_api::ServerRole;
use lightship_net::{InboxError, TraceFollow, TraceNews};
use lightship_server::{Observed, Token, TraceAsk, TraceChunk, TraceDrop, TraceOf};

use tokio::sync::mpsc;

use crate::core::Core;

/// One message as a recorder has it.
#[derive(Clone, Debug)]
pub(crate) struct Seen {
    /// Which recorder: the shard's number, or behind them all the Bootstrap-Server.
    pub(crate) source: usize,
    pub(crate) position: u64,
    pub(crate) server: ServerRole,
    /// Microseconds since 1970.
    pub(crate) time_us: i64,
    pub(crate) address: SocketAddr,
    pub(crate) is_out: bool,
    pub(crate) is_secured: bool,
    pub(crate) is_sealed: bool,
    pub(crate) dropped: Option<TraceDrop>,
    pub(crate) len: usize,
    pub(crate) bytes: Vec<u8>,
}

/// What all recorders have told.
#[derive(Debug, Default)]
pub(crate) struct Gathered {
    /// In the order of time.
    pub(crate) seen: Vec<Seen>,
    /// Where to go on.
    pub(crate) place: Place,
    /// Whether something behind the place asked for is lost.
    pub(crate) gap: bool,
    pub(crate) observed: Vec<(Token, Observed)>,
    pub(crate) root: String,
}

/// How far each recorder was read.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Place(Vec<u64>);

impl Place {
    /// The text of a place, good for this process only.
    pub(crate) fn to_text(&self, run: u32) -> String {
        self.0.iter().fold(format!("{run:x}"), |text, newest| text + &format!(".{newest:x}"))
    }

    /// The reverse; `None` if it is none of this process.
    pub(crate) fn read(text: &str, run: u32) -> Option<Self> {
        let mut parts = text.split('.').map(|part| u64::from_str_radix(part, 16));
        let is_ours = parts.next()?.ok()? == u64::from(run);
        let places: Result<Vec<u64>, _> = parts.collect();
        let place = places.ok().map(Self).filter(|place| is_ours && place.0.len() <= SOURCES_MAX)?;
        (place.to_text(run) == text).then_some(place)
    }

    /// Whether a message lies behind it.
    pub(crate) fn is_before(&self, seen: &Seen) -> bool {
        seen.position > self.of(seen.source)
    }

    fn of(&self, source: usize) -> u64 {
        self.0.get(source).copied().unwrap_or(0)
    }
}

/// A number that tells this process from the ones before it.
pub(crate) fn run(core: &Core) -> u32 {
    core.newest.borrow().writer
}

/// The newest messages of a device or an address, so many at most, and only those behind a place.
///
/// # Errors
/// When a shard has no room for the question.
pub(crate) async fn gather(
    core: &Core,
    of: &TraceOf,
    after: &Place,
    at_most: usize,
) -> Result<Gathered, InboxError> {
    let ask = |source| TraceAsk::new(of.clone()).after(after.of(source)).at_most(at_most);
    let shards = join_all(
        core.inboxes
            .iter()
            .enumerate()
            .map(|(source, inbox)| all(ask(source), move |ask| async move { inbox.trace(ask).await })),
    );
    let mut told: Vec<Vec<TraceChunk>> = shards.await.into_iter().collect::<Result<_, _>>()?;
    if let Some(inbox) = &core.bootstrap.inbox {
        told.push(all(ask(told.len()), move |ask| async move { inbox.trace(ask).await }).await?);
    }
    let mut out = Gathered::default();
    for (source, chunks) in told.into_iter().enumerate() {
        out.place.0.push(chunks.first().map_or(0, |chunk| chunk.newest));
        out.take(core, source, chunks);
    }
    out.order();
    let surplus = out.seen.len().saturating_sub(at_most);
    out.seen.drain(..surplus);
    Ok(out)
}

/// Has all recorders tell of messages behind a place as they come and go.
///
/// # Errors
/// When too many follow at one of them.
pub(crate) async fn follow(
    core: &Core,
    of: &TraceOf,
    after: &Place,
) -> Result<mpsc::Receiver<TraceNews>, InboxError> {
    let (told, news) = mpsc::channel(NEWS_MAX);
    let follow = |source| TraceFollow { of: of.clone(), after: after.of(source), source, told: told.clone() };
    for (source, inbox) in core.inboxes.iter().enumerate() {
        inbox.follow(follow(source)).await?;
    }
    if let Some(inbox) = &core.bootstrap.inbox {
        inbox.follow(follow(core.inboxes.len())).await?;
    }
    Ok(news)
}

impl Gathered {
    /// What recorders have told by themselves, behind a place; and how many messages are known to be lost before it.
    pub(crate) fn of_news(
        core: &Core,
        place: Place,
        news: impl IntoIterator<Item = TraceNews>,
    ) -> (Self, u64) {
        let (mut out, mut lost) = (Self { place, ..Self::default() }, 0);
        for one in news {
            lost += one.lost;
            out.gap |= one.is_torn;
            if let Some(place) = out.place.0.get_mut(one.source) {
                *place = one.newest;
            }
            out.take(core, one.source, one.chunks);
        }
        out.order();
        (out, lost)
    }

    fn take(&mut self, core: &Core, source: usize, chunks: Vec<TraceChunk>) {
        let (date_us, now) = (core.clock.date().as_millis().saturating_mul(1000), core.clock.now());
        let server = if source < core.inboxes.len() { ServerRole::Lwm2m } else { ServerRole::Bootstrap };
        for chunk in chunks {
            self.gap |= chunk.is_torn;
            self.seen.extend(chunk.records().map(|record| {
                let ago = now.saturating_duration_since(record.at).as_micros();
                Seen {
                    source,
                    server,
                    position: record.position,
                    time_us: date_us.saturating_sub(i64::try_from(ago).unwrap_or(i64::MAX)),
                    address: record.address,
                    is_out: record.is_out,
                    is_secured: record.is_secured,
                    is_sealed: record.is_sealed,
                    dropped: record.dropped,
                    len: record.len,
                    bytes: record.bytes.to_vec(),
                }
            }));
            self.observed.extend(chunk.observed);
            if !chunk.root.is_empty() {
                self.root = chunk.root;
            }
        }
    }

    fn order(&mut self) {
        self.seen.sort_by_key(|seen| (seen.time_us, seen.source, seen.position));
    }
}

/// All chunks of an ask.
async fn all<F>(ask: TraceAsk, tell: impl Fn(TraceAsk) -> F) -> Result<Vec<TraceChunk>, InboxError>
where
    F: Future<Output = Result<TraceChunk, InboxError>>,
{
    let mut chunks = Vec::new();
    let mut next = Some(ask);
    while let Some(ask) = next.take() {
        let mut chunk = tell(ask).await?;
        next = chunk.more.take();
        chunks.push(chunk);
    }
    Ok(chunks)
}

/// What waits for one who follows; beyond that he loses some and is told how many.
const NEWS_MAX: usize = 16;
/// Shards, and one more.
const SOURCES_MAX: usize = 65;
