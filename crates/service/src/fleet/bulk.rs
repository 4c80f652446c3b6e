//! Bulk: one operation for all devices that a filter holds for, as durable commands that are made little by little.
//!
//! ```text
//! start ──► note in the store ──► devices of the filter, page behind page ──► a command each, which names its bulk
//!                  ▲                                                             │
//!                  └────────── counts, with each command that moves on ◄─────────┘
//! ```
//! After a restart it goes on where its note says; a device that has its command already gets no second one.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use futures_util::StreamExt as _;
use lightship_api as api;
use lightship_api::{BulkOrder, BulkState, DownlinkAnswer, ProblemType, Timestamp};
use lightship_lwm2m::Endpoint;
use lightship_lwm2m::readable::readable;
use lightship_store::{Batch, CommandRecord, CommandState, Fact, Store, StoreError};
use serde::{Deserialize, Serialize};

use super::{beside, list};
use crate::access;
use crate::core::Core;
use crate::filter::Filter;
use crate::queue::{self, Terms, unread};
use crate::rest::Refusal;
use crate::rest::order::{Order, OrderText};

/// Every bulk operation that is known.
#[derive(Debug, Default)]
pub(crate) struct Bulks(Mutex<BTreeMap<u64, Live>>);

/// One of them as it stands, and as its note has it.
#[derive(Clone, Debug, Serialize, Deserialize)]
struct Live {
    shape: api::Bulk,
    /// The device that was given its command last, in the order of names.
    after: Option<String>,
    /// Whether all devices have been given theirs.
    all_made: bool,
}

/// What is asked, read and checked as far as that goes without a device.
#[derive(Clone, Debug)]
pub(crate) struct Asked {
    pub(crate) filter: Filter,
    pub(crate) order: BulkOrder,
    pub(crate) text: OrderText,
    pub(crate) terms: Terms,
}

impl Bulks {
    /// Those of the store; commands that wait, or were sent, are counted anew.
    pub(crate) async fn open(store: &impl Store) -> Result<Bulks, StoreError> {
        let mut bulks = BTreeMap::new();
        for (name, body) in store.notes(PREFIX).await? {
            let number = name.strip_prefix(PREFIX).and_then(|number| number.parse().ok());
            let live = serde_json::from_str::<Live>(&body).ok();
            match number.zip(live) {
                Some((number, live)) => drop(bulks.insert(number, live)),
                None => {
                    tracing::warn!(name = %readable(&name), "a note about a bulk operation cannot be read")
                }
            }
        }
        bulks.values_mut().for_each(|live: &mut Live| {
            live.shape.counts.insert(name(CommandState::Waiting).to_owned(), 0);
            live.shape.counts.insert(name(CommandState::Sent).to_owned(), 0);
        });
        for record in store.live_commands().await? {
            if let Some(live) = of(&record).and_then(|number| bulks.get_mut(&number)) {
                *live.shape.counts.entry(name(record.state).to_owned()).or_default() += 1;
            }
        }
        Ok(Bulks(Mutex::new(bulks)))
    }

    fn all(&self) -> MutexGuard<'_, BTreeMap<u64, Live>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The newest first.
    pub(crate) fn list(&self) -> Vec<api::Bulk> {
        self.all().values().rev().map(|live| live.shape.clone()).collect()
    }

    pub(crate) fn find(&self, id: &str) -> Option<api::Bulk> {
        self.all().get(&id.parse().ok()?).map(|live| live.shape.clone())
    }

    /// A command moves on; gives the note to be written with it.
    pub(crate) fn moves(
        &self,
        before: Option<CommandState>,
        record: &CommandRecord,
        now: Timestamp,
    ) -> Option<Fact> {
        let number = of(record)?;
        let mut all = self.all();
        let live = all.get_mut(&number)?;
        let counts = &mut live.shape.counts;
        if let Some(count) = before.and_then(|before| counts.get_mut(name(before))) {
            *count = count.saturating_sub(1);
        }
        *counts.entry(name(record.state).to_owned()).or_default() += 1;
        if matches!(record.state, CommandState::Refused | CommandState::Expired) {
            live.failed(&why(record));
        }
        live.end_if_over(now);
        Some(live.note(number))
    }

    fn change<T>(&self, number: u64, change: impl FnOnce(&mut Live) -> T) -> Option<(T, Fact)> {
        let mut all = self.all();
        let live = all.get_mut(&number)?;
        let result = change(live);
        Some((result, live.note(number)))
    }
}

impl Live {
    fn failed(&mut self, why: &str) {
        let failures = &mut self.shape.failures;
        let why =
            if failures.len() < REASONS_MAX || failures.contains_key(why) { why } else { "other reasons" };
        *failures.entry(why.to_owned()).or_default() += 1;
    }

    fn is_running(&self) -> bool {
        self.shape.state == BulkState::Running
    }

    fn end_if_over(&mut self, now: Timestamp) {
        let at = |state| self.shape.counts.get(name(state)).copied().unwrap_or(0);
        if self.all_made && at(CommandState::Waiting) + at(CommandState::Sent) == 0 {
            self.shape.ended_at.get_or_insert(now);
            if self.is_running() {
                self.shape.state = BulkState::Done;
            }
        }
    }

    fn note(&self, number: u64) -> Fact {
        // Plain shapes always serialise.
        let body = serde_json::to_string(self).unwrap_or_default();
        Fact::Note { name: format!("{PREFIX}{number:020}").into(), body: Some(body.into()) }
    }
}

/// Which bulk a command belongs to.
fn of(record: &CommandRecord) -> Option<u64> {
    if !record.order.contains("\"bulk\":") {
        return None;
    }
    OrderText::read(&record.order)?.bulk
}

fn why(record: &CommandRecord) -> String {
    let answer =
        record.answer.as_deref().and_then(|answer| serde_json::from_str::<DownlinkAnswer>(answer).ok());
    match answer {
        Some(answer) => answer.code,
        None => {
            record.reason.as_deref().unwrap_or("no reason is known").chars().take(REASON_LEN_MAX).collect()
        }
    }
}

/// What the audit tells of it: the operation and whom it is for, but no value.
pub(crate) fn outcome(bulk: &api::Bulk) -> access::Outcome {
    let BulkOrder { filter, endpoints, operation, path, .. } = &bulk.order;
    let whom = match (endpoints.as_slice(), filter.trim()) {
        ([], "") => "all that are registered".to_owned(),
        ([], filter) => format!("filter {filter}"),
        (names, _) => {
            let more = if names.len() > NAMED { " …" } else { "" };
            names.iter().take(NAMED).cloned().collect::<Vec<_>>().join(", ") + more
        }
    };
    let devices = if bulk.matches == 1 { "device" } else { "devices" };
    let detail =
        format!("{operation} {path} on {} {devices} ({whom}), bulk operation {}", bulk.matches, bulk.id);
    access::Outcome { detail: Some(detail), path: Some(path.clone()), ..access::Outcome::default() }
}

fn name(state: CommandState) -> &'static str {
    queue::state(state).name()
}

/// How many it would be asked of, and the first of them.
pub(crate) async fn preview(core: &Arc<Core>, asked: Asked) -> Result<api::BulkPreview, Refusal> {
    beside(core, move |core| {
        let (mut matches, mut sample) = (0, Vec::new());
        if asked.order.endpoints.is_empty() {
            list::each_name(core, &asked.filter, usize::MAX, &mut |names| {
                matches += u64::try_from(names.len()).unwrap_or(0);
                let room = SAMPLE - sample.len();
                sample.extend(names.iter().take(room).map(ToString::to_string));
                true
            })?;
        } else {
            let here = asked.order.endpoints.iter().filter(|name| core.directory.has(name));
            sample = here.clone().take(SAMPLE).cloned().collect();
            matches = u64::try_from(here.count()).unwrap_or(0);
        }
        Ok(api::BulkPreview { matches, sample })
    })
    .await
}

/// Begins a bulk operation.
pub(crate) async fn start(core: &Arc<Core>, asked: Asked) -> Result<api::Bulk, Refusal> {
    let api::BulkPreview { matches, .. } = preview(core, asked.clone()).await?;
    let now = core.now();
    let (number, live, forgotten) = {
        let mut all = core.fleet.bulks.all();
        let running = all.values().filter(|live| live.is_running()).count();
        if running >= RUNNING_MAX {
            let detail = format!("{RUNNING_MAX} bulk operations are under way already");
            return Err(Refusal::new(ProblemType::Overloaded, detail));
        }
        let number = all.keys().next_back().map_or(1, |last| last + 1);
        let shape = api::Bulk {
            id: number.to_string(),
            order: asked.order.clone(),
            created_at: now,
            ended_at: None,
            state: BulkState::Running,
            matches,
            made: 0,
            counts: BTreeMap::new(),
            failures: BTreeMap::new(),
        };
        let live = Live { shape, after: None, all_made: false };
        all.insert(number, live.clone());
        let ended = all.iter().filter(|(_, live)| !live.is_running()).map(|(number, _)| *number);
        let surplus = all.len().saturating_sub(KEPT_MAX);
        let forgotten: Vec<u64> = ended.take(surplus).collect();
        forgotten.iter().for_each(|number| drop(all.remove(number)));
        (number, live, forgotten)
    };
    let gone = forgotten
        .iter()
        .map(|number| Fact::Note { name: format!("{PREFIX}{number:020}").into(), body: None });
    let facts = std::iter::once(live.note(number)).chain(gone).collect();
    let facts = access::audited_as(facts, outcome(&live.shape));
    if let Err(error) = core.store.commit(Batch { facts }).await {
        core.fleet.bulks.all().remove(&number);
        return Err(unread(&error));
    }
    tokio::spawn(run(core.clone(), number, asked));
    Ok(live.shape)
}

/// Goes on with those that a process before this one has begun.
pub(crate) fn go_on(core: &Arc<Core>) {
    let unfinished: Vec<(u64, BulkOrder)> = {
        let mut all = core.fleet.bulks.all();
        let now = core.now();
        all.values_mut().for_each(|live| live.end_if_over(now));
        let unfinished = all.iter().filter(|(_, live)| live.is_running() && !live.all_made);
        unfinished.map(|(number, live)| (*number, live.shape.order.clone())).collect()
    };
    for (number, order) in unfinished {
        match crate::rest::bulk::read(core, order) {
            Ok(asked) => drop(tokio::spawn(run(core.clone(), number, asked))),
            Err(refusal) => {
                tracing::warn!(number, problem = %refusal.0.title, "a bulk operation cannot go on")
            }
        }
    }
}

/// Gives each device its command.
async fn run(core: Arc<Core>, number: u64, asked: Asked) {
    let text = Arc::new(asked.text.clone().of_bulk(number));
    loop {
        let Some(after) =
            core.fleet.bulks.all().get(&number).filter(|live| live.is_running()).map(|l| l.after.clone())
        else {
            return;
        };
        if *core.stopping.borrow() {
            return;
        }
        let (wanted, from) = (asked.clone(), after.clone());
        let page = beside(&core, move |core| page(core, &wanted, from)).await;
        let Ok((names, next)) = page else {
            tokio::time::sleep(PAUSE_FAILED).await;
            continue;
        };
        let mut given = Vec::with_capacity(names.len());
        for endpoint in names {
            let (core, text, terms) = (core.clone(), text.clone(), asked.terms.clone());
            given.push(async move { give(&core, number, &endpoint, &text, &terms).await });
        }
        let outcomes: Vec<Outcome> =
            futures_util::stream::iter(given).buffer_unordered(AT_ONCE).collect().await;
        if outcomes.contains(&Outcome::Stopped) {
            return;
        }
        let now = core.now();
        let changed = core.fleet.bulks.change(number, |live| {
            live.shape.made += u64::try_from(outcomes.len()).unwrap_or(0);
            for outcome in &outcomes {
                if let Outcome::Failed(why) = outcome {
                    *live.shape.counts.entry(FAILED.to_owned()).or_default() += 1;
                    live.failed(why);
                }
            }
            live.all_made = next.is_none();
            live.after.clone_from(&next);
            live.end_if_over(now);
        });
        let Some(((), note)) = changed else { return };
        while core.store.commit(Batch { facts: vec![note.clone()] }).await.is_err() {
            tokio::time::sleep(PAUSE_FAILED).await;
            if *core.stopping.borrow() {
                return;
            }
        }
        if next.is_none() {
            return;
        }
        // Others use the store and the devices, too.
        tokio::time::sleep(PAUSE).await;
    }
}

/// The next devices, and the name to go on behind.
fn page(
    core: &Arc<Core>,
    asked: &Asked,
    after: Option<String>,
) -> Result<(Vec<Endpoint>, Option<String>), Refusal> {
    if asked.order.endpoints.is_empty() {
        return list::names(core, &asked.filter, after, PAGE);
    }
    let begin = after.and_then(|after| after.parse().ok()).unwrap_or(0);
    let some = asked.order.endpoints.iter().skip(begin).take(PAGE);
    let names = some.filter_map(|name| Endpoint::new(name).ok()).collect();
    let end = begin + PAGE;
    Ok((names, (end < asked.order.endpoints.len()).then(|| end.to_string())))
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Outcome {
    Given,
    Failed(String),
    Stopped,
}

/// Gives a device its command, unless it has it.
async fn give(
    core: &Arc<Core>,
    number: u64,
    endpoint: &Endpoint,
    text: &OrderText,
    terms: &Terms,
) -> Outcome {
    let mine = |records: Vec<Arc<CommandRecord>>| records.iter().any(|record| of(record) == Some(number));
    if core.store.commands(endpoint).await.is_ok_and(mine) {
        return Outcome::Given;
    }
    let Some(device) = core.directory.find(endpoint.as_str()) else {
        return Outcome::Failed("the device is not registered any more".to_owned());
    };
    let words =
        |refusal: Refusal| Outcome::Failed(refusal.0.detail.unwrap_or_else(|| refusal.0.title.to_string()));
    match Order::stored(core, text).and_then(|order| order.check(core, &device)) {
        Ok(()) => {}
        Err(refusal) => return words(refusal),
    }
    for _ in 0..TRIES {
        match queue::accept(core, endpoint, text, terms).await {
            Ok(_) => return Outcome::Given,
            Err(refusal) if refusal.is(ProblemType::Overloaded) => {}
            Err(refusal) => return words(refusal),
        }
        if *core.stopping.borrow() {
            return Outcome::Stopped;
        }
        tokio::time::sleep(PAUSE_FAILED).await;
    }
    Outcome::Failed("too many commands wait already".to_owned())
}

/// Makes no more commands, and takes back those that wait.
pub(crate) async fn cancel(core: &Arc<Core>, id: &str) -> Result<Option<api::Bulk>, Refusal> {
    let Ok(number) = id.parse::<u64>() else { return Ok(None) };
    let now = core.now();
    let changed = core.fleet.bulks.change(number, |live| {
        let was_running = live.is_running();
        if was_running {
            live.shape.state = BulkState::Cancelled;
            live.all_made = true;
            live.end_if_over(now);
        }
        (was_running, live.shape.clone())
    });
    let Some(((was_running, bulk), note)) = changed else { return Ok(None) };
    if !was_running {
        return Err(Refusal::new(ProblemType::CommandOver, "the bulk operation has come to its end"));
    }
    let facts = access::audited_as(vec![note], outcome(&bulk));
    core.store.commit(Batch { facts }).await.map_err(|error| unread(&error))?;
    let live = core.store.live_commands().await.map_err(|error| unread(&error))?;
    let mut cancelled = Vec::new();
    for record in live {
        if record.state == CommandState::Waiting && of(&record) == Some(number) {
            let core = core.clone();
            cancelled.push(async move { queue::cancel(&core, record.id).await });
        }
    }
    // What was sent meanwhile comes to its own end.
    let _: Vec<_> = futures_util::stream::iter(cancelled).buffer_unordered(AT_ONCE).collect().await;
    Ok(core.fleet.bulks.find(id))
}

const PREFIX: &str = "bulk/";
const FAILED: &str = "failed";
/// Names in a preview.
const SAMPLE: usize = 10;
/// Names that the audit tells.
const NAMED: usize = 5;
/// Devices that are given their commands before the note is written.
const PAGE: usize = 256;
const AT_ONCE: usize = 32;
const PAUSE: Duration = Duration::from_millis(100);
const PAUSE_FAILED: Duration = Duration::from_secs(1);
/// How often a command is tried that the store has no room for.
const TRIES: u32 = 60;
/// Bulk operations under way, and those that are remembered.
const RUNNING_MAX: usize = 20;
const KEPT_MAX: usize = 100;
/// Reasons that are told apart.
const REASONS_MAX: usize = 32;
const REASON_LEN_MAX: usize = 200;
