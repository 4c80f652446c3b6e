//! Queue: durable commands, kept in the store and sent to each device in their order, one at a time, when it is awake.
//!
//! ```text
//! accept() ──► waiting ──device can be reached──► sent ──► done | refused | expired
//!    ▲            │  ▲                              │
//!    │            │  └── nothing was sent, or no ───┘
//!    │            │      harm in sending it again
//!    │            └──► expired | cancelled | superseded
//! ```
//! `sent` is in the store before the first byte leaves: after a crash nothing that may have been done is done again.

mod agenda;
mod line;
mod serve;
mod shape;
mod watch;

use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use lightship_api::{Event, EventType, Problem, ProblemType, Timestamp};
use lightship_lwm2m::Endpoint;
use lightship_store::{
    Batch, CommandId, CommandRecord, CommandState, Fact, NewEvent, PLACE_STEP, Store, StoreError,
};
use tokio::sync::Notify;

use self::agenda::Agenda;
use self::line::Spot;
pub(crate) use self::line::Target;
pub(crate) use self::shape::{shape, state};
pub(crate) use self::watch::keep_watch;
use crate::access;
use crate::core::Core;
use crate::rest::Refusal;
use crate::rest::order::OrderText;

/// What is shared about commands; the commands themselves are in the store.
pub(crate) struct Queue {
    /// Tells commands of this process from those before it.
    writer: u32,
    last: AtomicU64,
    agenda: Mutex<Agenda>,
    /// Told when an alarm was set that may be the first.
    alarmed: Notify,
    /// One of them is held by whoever takes a command of a device out of `waiting`, or puts one in.
    turns: [tokio::sync::Mutex<()>; TURNS],
}

/// One command as it is from now on.
#[derive(Clone)]
struct Change {
    record: Arc<CommandRecord>,
    event: Option<EventType>,
}

impl Queue {
    /// The commands that a store holds; `writer` names those of this process.
    pub(crate) async fn open(writer: u32, kept: &impl Store) -> Result<Queue, StoreError> {
        let last = AtomicU64::new(kept.last_command().await?);
        let mut agenda = Agenda::default();
        for record in kept.live_commands().await? {
            agenda.put(&record);
            if record.state == CommandState::Sent {
                // Whoever sent it has ended.
                agenda.snooze(&record.endpoint, record.id, 0);
            }
        }
        let turns = std::array::from_fn(|_| tokio::sync::Mutex::default());
        Ok(Queue { writer, last, agenda: Mutex::new(agenda), alarmed: Notify::new(), turns })
    }

    fn agenda(&self) -> MutexGuard<'_, Agenda> {
        self.agenda.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The right to change which commands of a device wait.
    async fn turn(&self, endpoint: &Endpoint) -> tokio::sync::MutexGuard<'_, ()> {
        let mut hasher = DefaultHasher::new();
        endpoint.hash(&mut hasher);
        let place = hasher.finish() % u64::try_from(TURNS).unwrap_or(1);
        // Devices that share a place wait for each other; that is all.
        let [first, ..] = &self.turns;
        usize::try_from(place).ok().and_then(|place| self.turns.get(place)).unwrap_or(first).lock().await
    }

    /// Whether no command is on its way.
    pub(crate) fn is_idle(&self) -> bool {
        self.agenda().is_idle()
    }

    /// Commands of all devices that wait or are on their way.
    pub(crate) fn live(&self) -> usize {
        self.agenda().live()
    }

    /// Commands of a device that wait.
    fn waiting(&self, endpoint: &Endpoint) -> u64 {
        u64::try_from(self.agenda().waiting(endpoint)).unwrap_or(u64::MAX)
    }
}

/// Stores changes of one device's commands, all or none, and what follows from them.
async fn store(core: &Core, changes: Vec<Change>) -> Result<(), Refusal> {
    let mut notes = Vec::new();
    for Change { record, .. } in &changes {
        // What it was until now is read from memory.
        let before = core.store.command(record.id).await.ok().flatten().map(|before| before.state);
        notes.extend(core.fleet.bulks.moves(before, record, core.now()));
    }
    let facts = changes.iter().flat_map(|Change { record, event }| {
        let event = event.and_then(|kind| happened(core, kind, record));
        std::iter::once(Fact::Commanded(record.clone())).chain(event.map(Fact::Happened))
    });
    let facts = facts.chain(notes);
    let facts = access::audited(facts.collect());
    let newest = core.store.commit(Batch { facts }).await.map_err(|error| unstored(&error))?;
    core.tell_newest(newest);
    let mut agenda = core.queue.agenda();
    let before = agenda.first_alarm_ms();
    for Change { record, event } in &changes {
        agenda.put(record);
        core.counters.commands.count(record.state, *event == Some(EventType::CommandQueued));
    }
    let first = agenda.first_alarm_ms();
    drop(agenda);
    if first < before || before.is_none() {
        core.queue.alarmed.notify_one();
    }
    if let Some(change) = changes.first() {
        show_waiting(core, &change.record.endpoint);
    }
    Ok(())
}

/// The event that tells of a command.
fn happened(core: &Core, kind: EventType, record: &CommandRecord) -> Option<NewEvent> {
    let now = core.now();
    let mut event = Event::new(String::new(), now, kind, record.endpoint.to_string());
    event.command = Some(Box::new(shape(record)));
    let body = serde_json::to_string(&event).ok()?.into();
    Some(NewEvent { at_ms: now.0, endpoint: record.endpoint.clone(), kind: kind.name(), body, indexed: true })
}

/// Says in the directory how many commands wait for a device.
fn show_waiting(core: &Core, endpoint: &Endpoint) {
    let waiting = core.queue.waiting(endpoint);
    core.directory.change(endpoint, None, |device| device.commands_waiting = waiting);
}

/// Why something could not be kept, in the words of the store.
pub(crate) fn unstored(error: &StoreError) -> Refusal {
    if matches!(error, StoreError::Full { .. }) {
        return Refusal(Problem::new(ProblemType::Overloaded, error.to_string()).retry_after(5));
    }
    unread(error)
}

/// On which terms a command is accepted.
#[derive(Clone, Debug, Default)]
pub(crate) struct Terms {
    pub(crate) not_after: Option<Timestamp>,
    /// Higher ones go first.
    pub(crate) priority: i8,
    /// How often it may be sent.
    pub(crate) attempts: Option<u32>,
    /// Between the first attempt and the second.
    pub(crate) pause: Option<Duration>,
    /// Whether others give way to it.
    pub(crate) supersede: bool,
}

/// Accepts a command that has been checked.
pub(crate) async fn accept(
    core: &Arc<Core>,
    endpoint: &Endpoint,
    order: &OrderText,
    terms: &Terms,
) -> Result<CommandRecord, Refusal> {
    let queue = &core.queue;
    let turn = queue.turn(endpoint).await;
    let superseded = if terms.supersede { give_way(core, endpoint, order).await? } else { Vec::new() };
    let live = queue.agenda().live_of(endpoint);
    if live >= COMMANDS_PER_DEVICE_MAX + superseded.len() {
        let detail = format!("{COMMANDS_PER_DEVICE_MAX} commands wait for this device already");
        return Err(Refusal(Problem::new(ProblemType::Overloaded, detail).retry_after(60)));
    }
    let now_ms = core.now().0;
    let number = queue.last.fetch_add(1, Ordering::Relaxed) + 1;
    let pause = terms.pause.unwrap_or(PAUSE);
    let id = CommandId { number, writer: queue.writer };
    let record = CommandRecord {
        id,
        endpoint: endpoint.clone(),
        state: CommandState::Waiting,
        order: order.to_text().into(),
        created_ms: now_ms,
        changed_ms: now_ms,
        not_after_ms: terms.not_after.map_or(now_ms.saturating_add(COMMAND_LIFE_MS), |time| time.0),
        priority: terms.priority,
        // Behind all of its priority, wherever they were moved to.
        place: queue
            .agenda()
            .last_place(endpoint, terms.priority)
            .map_or(id.place(), |last| id.place().max(last.saturating_add(PLACE_STEP))),
        attempts: 0,
        attempts_max: terms.attempts.unwrap_or(u32::MAX),
        pause_ms: u64::try_from(pause.as_millis()).unwrap_or(u64::MAX),
        next_ms: 0,
        reason: None,
        answer: None,
    };
    let reason = format!("The command {} took its place.", record.id);
    let queued = Change { record: Arc::new(record.clone()), event: Some(EventType::CommandQueued) };
    let superseded = superseded
        .into_iter()
        .map(|old| ended(core, CommandRecord::clone(&old), CommandState::Superseded, Some(&reason)));
    store(core, std::iter::once(queued).chain(superseded).collect()).await?;
    drop(turn);
    kick(core, endpoint);
    Ok(record)
}

/// Commands of a device that wait and need not be done once that order is.
async fn give_way(
    core: &Core,
    endpoint: &Endpoint,
    order: &OrderText,
) -> Result<Vec<Arc<CommandRecord>>, Refusal> {
    let mut all = core.store.commands(endpoint).await.map_err(|error| unread(&error))?;
    all.retain(|record| {
        record.state == CommandState::Waiting
            && OrderText::read(&record.order).is_some_and(|other| other.gives_way_to(order))
    });
    Ok(all)
}

/// Cancels a command that still waits.
pub(crate) async fn cancel(core: &Core, id: CommandId) -> Result<CommandRecord, Refusal> {
    let read = || async { core.store.command(id).await.map_err(|error| unread(&error)) };
    let gone = || unknown(&id.to_string());
    let endpoint = read().await?.ok_or_else(gone)?.endpoint.clone();
    let _turn = core.queue.turn(&endpoint).await;
    let record = read().await?.ok_or_else(gone)?;
    waits(&record)?;
    let change = ended(core, CommandRecord::clone(&record), CommandState::Cancelled, None);
    let record = CommandRecord::clone(&change.record);
    store(core, vec![change]).await?;
    Ok(record)
}

/// Gives a command that waits another place; says how it stands now.
pub(crate) async fn shift(core: &Arc<Core>, id: CommandId, to: Target) -> Result<CommandRecord, Refusal> {
    let read = |id: CommandId| async move { core.store.command(id).await.map_err(|error| unread(&error)) };
    let gone = || unknown(&id.to_string());
    let endpoint = read(id).await?.ok_or_else(gone)?.endpoint.clone();
    let turn = core.queue.turn(&endpoint).await;
    if let Target::Before(other) | Target::Behind(other) = to {
        let beside = read(other).await?.ok_or_else(|| unknown(&other.to_string()))?;
        if beside.endpoint != endpoint {
            return Err(Refusal::new(ProblemType::Conflict, "the other command is for another device"));
        }
        waits(&beside)?;
    }
    waits(&*read(id).await?.ok_or_else(gone)?)?;
    let line = core.queue.agenda().line(&endpoint);
    let mut changes = Vec::new();
    for spot in line::moved(&line, id, to) {
        let before = read(spot.id).await?.ok_or_else(gone)?;
        let Spot { priority, place, next_ms, .. } = spot;
        let changed_ms = core.now().0;
        let record = CommandRecord { priority, place, next_ms, changed_ms, ..CommandRecord::clone(&before) };
        changes.push(Change { record: Arc::new(record), event: Some(EventType::CommandMoved) });
    }
    if !changes.is_empty() {
        store(core, changes).await?;
    }
    let record = read(id).await?.ok_or_else(gone)?;
    drop(turn);
    // What stands first now may be one that need not pause.
    kick(core, &endpoint);
    Ok(CommandRecord::clone(&record))
}

/// Refuses what has ended, or is on its way.
fn waits(record: &CommandRecord) -> Result<(), Refusal> {
    if record.state == CommandState::Waiting {
        return Ok(());
    }
    let detail = format!("the command {} is {}", record.id, state(record.state).name());
    Err(Refusal::new(ProblemType::CommandOver, detail))
}

/// Accepts once more, on the terms it had, what a command that has ended was to do.
pub(crate) async fn retry(core: &Arc<Core>, id: CommandId) -> Result<CommandRecord, Refusal> {
    let record = core.store.command(id).await.map_err(|error| unread(&error))?;
    let record = record.ok_or_else(|| unknown(&id.to_string()))?;
    let state = state(record.state);
    if !state.is_final() {
        return Err(Refusal::new(ProblemType::Conflict, format!("the command is still {}", state.name())));
    }
    let order = OrderText::read(&record.order).ok_or_else(|| unknown(&id.to_string()))?;
    let life_ms = record.not_after_ms.saturating_sub(record.created_ms);
    let terms = Terms {
        // As long again.
        not_after: Some(Timestamp(core.now().0.saturating_add(life_ms))),
        priority: record.priority,
        attempts: Some(record.attempts_max),
        pause: Some(Duration::from_millis(record.pause_ms)),
        supersede: false,
    };
    accept(core, &record.endpoint, &order, &terms).await
}

/// Comes back when the commands that were there before have ended, or the time is over: who waits for a device that
/// sleeps is served in turn.
pub(crate) async fn in_turn(core: &Core, endpoint: &Endpoint, at_most: Duration) {
    let last = core.queue.last.load(Ordering::Relaxed);
    let wait = async {
        loop {
            let Some(moved) = core.queue.agenda().listen(endpoint, last) else { return };
            let told = moved.notified();
            // It hears from here on; what was before it has been missed.
            if core.queue.agenda().listen(endpoint, last).is_none() {
                return;
            }
            told.await;
        }
    };
    // Out of time is out of turn: the caller hears that the device sleeps, or does not answer.
    let _ = tokio::time::timeout(at_most, wait).await;
    core.queue.agenda().unlisten(endpoint);
}

/// A command that is not kept.
pub(crate) fn unknown(id: &str) -> Refusal {
    Refusal::new(ProblemType::UnknownCommand, format!("no command {id:?} is kept"))
}

/// A device has registered, or woken: what waits for it may go, also what paused because it did not answer.
pub(crate) fn came(core: &Arc<Core>, endpoint: &Endpoint) {
    let any = core.queue.agenda().came(endpoint);
    if any {
        show_waiting(core, endpoint);
        kick(core, endpoint);
    }
}

/// After a restart: the same of every device that is registered.
pub(crate) fn all_came(core: &Arc<Core>) {
    let endpoints = core.queue.agenda().endpoints();
    for endpoint in endpoints.iter().filter(|endpoint| core.directory.has(endpoint)) {
        came(core, endpoint);
    }
}

/// Sees to the commands of a device, if it has any and can be reached. Cheap when it is done already.
fn kick(core: &Arc<Core>, endpoint: &Endpoint) {
    let mine = core.queue.agenda().enter(endpoint);
    if mine {
        let (core, endpoint) = (core.clone(), endpoint.clone());
        tokio::spawn(async move { serve::serve(&core, &endpoint).await });
    }
}

/// A command at its end.
fn ended(core: &Core, record: CommandRecord, state: CommandState, reason: Option<&str>) -> Change {
    let reason = reason.map(Arc::from);
    let record = CommandRecord { state, changed_ms: core.now().0, next_ms: 0, reason, ..record };
    Change { record: Arc::new(record), event: Some(EventType::CommandDone) }
}

pub(crate) fn unread(error: &StoreError) -> Refusal {
    let why = error.chain();
    tracing::error!(error = %why, "the store does not answer");
    if error.is_damage() {
        // To come again does not help.
        return Refusal::new(ProblemType::Internal, why);
    }
    Refusal(Problem::new(ProblemType::Overloaded, why).retry_after(5))
}

/// Commands of one device that may wait.
const COMMANDS_PER_DEVICE_MAX: usize = 100;
/// Seven days.
const COMMAND_LIFE_MS: i64 = 7 * 24 * 3_600_000;
/// Between two attempts with a device that listens and did not answer, unless the caller says otherwise.
const PAUSE: Duration = Duration::from_secs(60);
/// Enough that devices rarely wait for each other.
const TURNS: usize = 256;
