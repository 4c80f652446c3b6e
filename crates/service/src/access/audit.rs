//! What callers did: an entry in the store for each request that changes something, and for some that were refused.
//!
//! A change of the store takes a first entry along in its own batch, so that none is there without a trace; what came of it follows
//! when the answer is known. What devices do never comes here.

use std::future::Future;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, PoisonError};
use std::time::Duration;

use lightship_api::{AuditEntry, Timestamp};
use lightship_lwm2m::Endpoint;
use lightship_store::{AuditOf, AuditRecord, Batch, Fact, Store, StoreError};

use super::{Access, Actor, MINUTE_MS};
use crate::core::Core;

tokio::task_local! {
    /// The request that is served now.
    static TRAIL: Arc<Trail>;
}

/// One request that leaves a trace.
pub(crate) struct Trail {
    core: Arc<Core>,
    place: u64,
    endpoint: Option<Endpoint>,
    /// Without what came of it.
    entry: AuditEntry,
    is_told: AtomicBool,
}

/// A request as far as it is told.
pub(crate) struct Asked<'a> {
    pub(crate) action: &'a str,
    pub(crate) method: &'a str,
    pub(crate) target: &'a str,
    pub(crate) endpoint: Option<String>,
    pub(crate) path: Option<String>,
    pub(crate) from: Option<SocketAddr>,
}

/// What came of a request; an answer carries it as an extension.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Outcome {
    /// The device's code.
    pub(crate) code: Option<String>,
    pub(crate) detail: Option<String>,
    /// The device, where the address does not name it.
    pub(crate) endpoint: Option<Endpoint>,
    /// The LwM2M path, where the address does not name it.
    pub(crate) path: Option<String>,
}

/// How many refused tries were written lately.
#[derive(Debug, Default)]
pub(super) struct Refusals {
    minute: i64,
    written: u32,
    unwritten: u64,
}

impl Trail {
    pub(crate) fn begin(core: &Arc<Core>, actor: &Actor, asked: Asked<'_>) -> Arc<Trail> {
        let now = core.now();
        let place = core.access.next_place(now);
        let endpoint = asked.endpoint.as_deref().and_then(|name| Endpoint::new(name).ok());
        let entry = AuditEntry {
            id: format!("{place:016x}"),
            time: now,
            actor: actor.name.clone(),
            role: actor.role,
            token_id: actor.token.as_ref().map(|live| live.record.id.to_string()),
            from: asked.from.map(|from| from.ip().to_string()),
            action: asked.action.to_owned(),
            endpoint: asked.endpoint.map(|name| cut(&name)),
            path: asked.path.map(|path| cut(&path)),
            method: asked.method.to_owned(),
            target: cut(asked.target),
            status: None,
            code: None,
            detail: None,
        };
        Arc::new(Trail { core: core.clone(), place, endpoint, entry, is_told: AtomicBool::new(false) })
    }

    /// Serves the request; what it changes in the store takes its entry along.
    pub(crate) async fn serve<T>(self: &Arc<Trail>, serving: impl Future<Output = T>) -> T {
        let unfinished = Unfinished(self.clone());
        let served = TRAIL.scope(self.clone(), serving).await;
        unfinished.0.is_told.store(true, Ordering::Relaxed);
        served
    }

    /// Writes what came of it. A store that takes its time does not keep the answer waiting for long.
    pub(crate) async fn end(&self, status: u16, outcome: Outcome) {
        self.is_told.store(true, Ordering::Relaxed);
        let task = tokio::spawn(write(self.core.clone(), self.record(Some(status), outcome)));
        let _ = tokio::time::timeout(PATIENCE, task).await;
    }

    /// A part of the request that is about one device; what it changes is so as soon as it is stored.
    fn part(&self, endpoint: &Endpoint, detail: String) -> Trail {
        let place = self.core.access.next_place(self.core.now());
        let entry = AuditEntry {
            id: format!("{place:016x}"),
            endpoint: Some(cut(endpoint.as_str())),
            status: Some(200),
            detail: Some(detail),
            ..self.entry.clone()
        };
        let (core, endpoint) = (self.core.clone(), Some(endpoint.clone()));
        Trail { core, place, endpoint, entry, is_told: AtomicBool::new(true) }
    }

    fn record(&self, status: Option<u16>, outcome: Outcome) -> AuditRecord {
        let endpoint = self.endpoint.clone().or(outcome.endpoint);
        let entry = AuditEntry {
            endpoint: self.entry.endpoint.clone().or_else(|| endpoint.as_ref().map(ToString::to_string)),
            path: self.entry.path.clone().or_else(|| outcome.path.map(|path| cut(&path))),
            status: status.or(self.entry.status),
            code: outcome.code,
            detail: outcome.detail.or_else(|| self.entry.detail.clone()).map(|detail| cut(&detail)),
            ..self.entry.clone()
        };
        let body = serde_json::to_string(&entry).unwrap_or_default().into();
        AuditRecord { id: self.place, endpoint, body }
    }
}

/// A request whose caller may go away before it is answered: what it did then is told all the same.
struct Unfinished(Arc<Trail>);

impl Drop for Unfinished {
    fn drop(&mut self) {
        if self.0.is_told.load(Ordering::Relaxed) {
            return;
        }
        if let Ok(runtime) = tokio::runtime::Handle::try_current() {
            let detail = Some("the caller did not wait for the answer".to_owned());
            let record = self.0.record(None, Outcome { detail, ..Outcome::default() });
            runtime.spawn(write(self.0.core.clone(), record));
        }
    }
}

async fn write(core: Arc<Core>, record: AuditRecord) {
    let facts = vec![Fact::Audited(Arc::new(record))];
    if let Err(error) = core.store.commit(Batch { facts }).await {
        tracing::warn!(%error, "the store does not take what a caller did");
    }
}

/// Facts that a request brings, with the entry about it.
pub(crate) fn audited(facts: Vec<Fact>) -> Vec<Fact> {
    audited_as(facts, Outcome::default())
}

/// The same with what the address alone does not say.
pub(crate) fn audited_as(mut facts: Vec<Fact>, known: Outcome) -> Vec<Fact> {
    let entry = TRAIL.try_with(|trail| Fact::Audited(Arc::new(trail.record(None, known))));
    facts.extend(entry);
    facts
}

/// Does what a request asks about one of many devices: what that changes takes an entry of its own along, found with the device.
pub(crate) async fn about<T>(
    endpoint: &Endpoint,
    detail: impl FnOnce(&str) -> String,
    doing: impl Future<Output = T>,
) -> T {
    match TRAIL.try_with(|trail| Arc::new(trail.part(endpoint, detail(&trail.entry.id)))) {
        Ok(part) => TRAIL.scope(part, doing).await,
        Err(_) => doing.await,
    }
}

/// The name of whoever made the request that is served.
pub(crate) fn caller() -> Option<String> {
    TRAIL.try_with(|trail| trail.entry.actor.clone()).ok()
}

/// Entries that fit, newest first, at most `max`; and where to go on.
pub(crate) async fn entries(
    core: &Core,
    which: AuditOf,
    actor: Option<&str>,
) -> Result<(Vec<AuditEntry>, Option<String>), StoreError> {
    let mut items = Vec::new();
    let mut before = which.before;
    let oldest_ms = core.now().0.saturating_sub(core.config.audit.age_max_ms());
    let from_ms = which.from_ms.max(oldest_ms);
    for _ in 0..PAGES_MAX {
        let page = AuditOf { before, from_ms, max: PAGE_LEN, ..which.clone() };
        let page = core.store.audit(page).await?;
        for record in &page {
            before = Some(record.id);
            let Ok(entry) = serde_json::from_str::<AuditEntry>(&record.body) else { continue };
            if actor.is_none_or(|actor| entry.actor == actor) {
                items.push(entry);
            }
            if items.len() == which.max {
                return Ok((items, before.map(|before| format!("{before:016x}"))));
            }
        }
        if page.len() < PAGE_LEN {
            return Ok((items, None));
        }
    }
    // Others want to be answered, too: whoever looks for something rare goes on from here.
    Ok((items, before.map(|before| format!("{before:016x}"))))
}

impl Access {
    fn next_place(&self, now: Timestamp) -> u64 {
        let first = AuditRecord::first_id(now.0);
        let next = |last: u64| Some(first.max(last + 1));
        let before = self.place.fetch_update(Ordering::Relaxed, Ordering::Relaxed, next);
        before.map_or(first, |before| first.max(before + 1))
    }

    /// Whether a refused try is written; so many a minute are. How many before it were not.
    pub(crate) fn tells_refusal(&self, now: Timestamp) -> Option<u64> {
        let mut refusals = self.refusals.lock().unwrap_or_else(PoisonError::into_inner);
        let minute = now.0.div_euclid(MINUTE_MS);
        if refusals.minute != minute {
            (refusals.minute, refusals.written) = (minute, 0);
        }
        if refusals.written >= REFUSALS_A_MINUTE {
            refusals.unwritten += 1;
            return None;
        }
        refusals.written += 1;
        Some(std::mem::take(&mut refusals.unwritten))
    }
}

/// The beginning of a text that may be long.
fn cut(text: &str) -> String {
    if text.len() <= TEXT_LEN_MAX {
        return text.to_owned();
    }
    let end = (0..=TEXT_LEN_MAX).rev().find(|end| text.is_char_boundary(*end)).unwrap_or(0);
    format!("{}…", text.get(..end).unwrap_or_default())
}

const TEXT_LEN_MAX: usize = 300;
const PATIENCE: Duration = Duration::from_secs(1);
const REFUSALS_A_MINUTE: u32 = 60;
/// Entries looked at in one go, and how many goes a request has.
const PAGE_LEN: usize = 256;
const PAGES_MAX: usize = 40;
