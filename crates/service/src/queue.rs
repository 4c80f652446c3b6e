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

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use lightship_api as api;
use lightship_api::{DownlinkAnswer, EventType, Problem, ProblemType, Timestamp};
use lightship_lwm2m::Endpoint;
use lightship_server::Presence;
use lightship_store::{CommandId, CommandRecord, CommandState, Store};
use tokio::sync::{mpsc, oneshot};

use crate::core::{Core, stopped};
use crate::directory::Device;
use crate::rest::Refusal;
use crate::rest::call::{Call, Fate};
use crate::rest::order::{Done, Order, OrderText, Verb};

/// What is shared about commands; the commands themselves are in the store.
pub(crate) struct Queue {
    /// Tells commands of this process from those before it.
    writer: u32,
    last: AtomicU64,
    /// To the journal, which alone writes events.
    notes: mpsc::Sender<Note>,
    /// Devices that are being served, and whether something has happened meanwhile.
    serving: Mutex<HashMap<Endpoint, bool>>,
    /// One of them is held by whoever takes a command of a device out of `waiting`, or puts one in.
    turns: [tokio::sync::Mutex<()>; TURNS],
}

/// A change of a command, for the journal to store together with its event.
pub(crate) struct Note {
    pub(crate) record: Arc<CommandRecord>,
    pub(crate) event: Option<EventType>,
    /// Hears whether it is stored.
    pub(crate) stored: oneshot::Sender<bool>,
}

impl Queue {
    pub(crate) fn new(writer: u32, last: u64) -> (Queue, mpsc::Receiver<Note>) {
        let (notes, receiver) = mpsc::channel(NOTES_LEN);
        let (last, serving) = (AtomicU64::new(last), Mutex::default());
        let turns = std::array::from_fn(|_| tokio::sync::Mutex::default());
        (Queue { writer, last, notes, serving, turns }, receiver)
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
        self.serving.lock().unwrap_or_else(PoisonError::into_inner).is_empty()
    }

    async fn note(&self, record: CommandRecord, event: Option<EventType>) -> Result<(), Refusal> {
        let (stored, answer) = oneshot::channel();
        let note = Note { record: Arc::new(record), event, stored };
        let unstored =
            || Refusal(Problem::new(ProblemType::Overloaded, "the command cannot be stored").retry_after(5));
        self.notes.send(note).await.map_err(|_| unstored())?;
        if answer.await == Ok(true) { Ok(()) } else { Err(unstored()) }
    }
}

/// When to give a new command up, and whether others give way to it.
pub(crate) struct Terms {
    pub(crate) not_after: Option<Timestamp>,
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
    let before = core.store.commands(endpoint).await.map_err(|error| unread(&error))?;
    let live = before.iter().filter(|record| record.state.is_live());
    let superseded: Vec<&Arc<CommandRecord>> = live
        .clone()
        .filter(|record| terms.supersede && record.state == CommandState::Waiting)
        .filter(|record| OrderText::read(&record.order).is_some_and(|other| other.is_for_the_same(order)))
        .collect();
    if live.count() >= COMMANDS_PER_DEVICE_MAX + superseded.len() {
        let detail = format!("{COMMANDS_PER_DEVICE_MAX} commands wait for this device already");
        return Err(Refusal(Problem::new(ProblemType::Overloaded, detail).retry_after(60)));
    }
    let now_ms = core.now().0;
    let number = queue.last.fetch_add(1, Ordering::Relaxed) + 1;
    let record = CommandRecord {
        id: CommandId { number, writer: queue.writer },
        endpoint: endpoint.clone(),
        state: CommandState::Waiting,
        order: order.to_text().into(),
        created_ms: now_ms,
        changed_ms: now_ms,
        not_after_ms: terms.not_after.map_or(now_ms.saturating_add(COMMAND_LIFE_MS), |time| time.0),
        attempts: 0,
        reason: None,
        answer: None,
    };
    queue.note(record.clone(), Some(EventType::CommandQueued)).await?;
    for old in superseded {
        let reason = format!("The command {} took its place.", record.id);
        end(core, CommandRecord::clone(old), CommandState::Superseded, Some(&reason)).await?;
    }
    drop(turn);
    kick(core, endpoint);
    Ok(record)
}

/// Cancels a command that still waits.
pub(crate) async fn cancel(core: &Core, id: CommandId) -> Result<CommandRecord, Refusal> {
    let read = || async { core.store.command(id).await.map_err(|error| unread(&error)) };
    let gone = || unknown(&id.to_string());
    let endpoint = read().await?.ok_or_else(gone)?.endpoint.clone();
    let _turn = core.queue.turn(&endpoint).await;
    let record = read().await?.ok_or_else(gone)?;
    if record.state != CommandState::Waiting {
        let detail = format!("the command is {}", state(record.state).name());
        return Err(Refusal::new(ProblemType::CommandOver, detail));
    }
    end(core, CommandRecord::clone(&record), CommandState::Cancelled, None).await
}

/// Comes back when the commands that were there before have ended, or the time is over: who waits for a device that
/// sleeps is served in turn.
pub(crate) async fn in_turn(core: &Core, endpoint: &Endpoint, at_most: Duration) {
    let last = core.queue.last.load(Ordering::Relaxed);
    let before = async || {
        let commands = core.store.commands(endpoint).await.unwrap_or_default();
        commands.iter().any(|record| record.state.is_live() && record.id.number <= last)
    };
    let wait = async {
        while before().await {
            tokio::time::sleep(TURN_EVERY).await;
        }
    };
    // Out of time is out of turn: the caller hears that the device sleeps, or does not answer.
    let _ = tokio::time::timeout(at_most, wait).await;
}

/// A command that is not kept.
pub(crate) fn unknown(id: &str) -> Refusal {
    Refusal::new(ProblemType::UnknownCommand, format!("no command {id:?} is kept"))
}

/// Sees to the commands of a device, if it has any and can be reached. Cheap when it is done already.
pub(crate) fn kick(core: &Arc<Core>, endpoint: &Endpoint) {
    match core.queue.serving.lock().unwrap_or_else(PoisonError::into_inner).entry(endpoint.clone()) {
        Entry::Occupied(mut again) => {
            again.insert(true);
        }
        Entry::Vacant(place) => {
            place.insert(false);
            let (core, endpoint) = (core.clone(), endpoint.clone());
            tokio::spawn(async move { serve(&core, &endpoint).await });
        }
    }
}

/// Sends what waits for a device until nothing is left, or the device cannot be reached.
async fn serve(core: &Arc<Core>, endpoint: &Endpoint) {
    loop {
        while let Some(record) = take(core, endpoint).await {
            if !attempt(core, record).await {
                break;
            }
        }
        let mut serving = core.queue.serving.lock().unwrap_or_else(PoisonError::into_inner);
        // Whatever happened from here on starts a new one.
        if serving.insert(endpoint.clone(), false) != Some(true) {
            serving.remove(endpoint);
            return;
        }
    }
}

/// The next command of a device, marked as sent; `None` when there is none or the device cannot be reached.
async fn take(core: &Arc<Core>, endpoint: &Endpoint) -> Option<CommandRecord> {
    let _turn = core.queue.turn(endpoint).await;
    if *core.stopping.borrow() {
        return None;
    }
    reachable(core, endpoint)?;
    let now_ms = core.now().0;
    for record in core.store.commands(endpoint).await.ok()? {
        if record.state != CommandState::Waiting {
            continue;
        }
        let record = CommandRecord::clone(&record);
        if record.not_after_ms <= now_ms {
            end(core, record, CommandState::Expired, Some(TOO_LATE)).await.ok()?;
            continue;
        }
        let attempts = record.attempts.saturating_add(1);
        let sent = CommandRecord { state: CommandState::Sent, attempts, changed_ms: now_ms, ..record };
        core.queue.note(sent.clone(), None).await.ok()?;
        return Some(sent);
    }
    None
}

fn reachable(core: &Core, endpoint: &Endpoint) -> Option<Device> {
    core.directory.find(endpoint.as_str()).filter(|device| !device.registration.presence.is_asleep())
}

/// Tries a command that is marked as sent; says whether the device can be sent the next.
async fn attempt(core: &Arc<Core>, record: CommandRecord) -> bool {
    let Some(device) = reachable(core, &record.endpoint) else {
        return again(core, unsent(record), None).await;
    };
    let order = match OrderText::read(&record.order).map(|text| Order::stored(core, &text)) {
        Some(Ok(order)) => order,
        Some(Err(refusal)) => return refuse(core, unsent(record), &refusal.0).await,
        None => {
            let problem = Problem::new(ProblemType::Internal, "the command cannot be read");
            return refuse(core, unsent(record), &problem).await;
        }
    };
    let wrong = stale(&device, &order).or_else(|| order.check(core, &device).err().map(|refusal| refusal.0));
    if let Some(problem) = wrong {
        return refuse(core, unsent(record), &problem).await;
    }
    let call = Call::within(core, device, &order, ATTEMPT_MAX);
    match order.run(&call).await {
        Ok(Done::Answered(answer) | Done::Created(answer)) => {
            let state = if answer.code.starts_with('2') { CommandState::Done } else { CommandState::Refused };
            let (answer, reason) = kept(answer);
            end(core, CommandRecord { answer, ..record }, state, reason).await.is_ok()
        }
        Ok(Done::Nothing) => end(core, record, CommandState::Done, None).await.is_ok(),
        Err(refusal) => match call.fate() {
            Fate::Unsent if refusal.is_passing() => {
                again(core, unsent(record), Some(&words(&refusal.0))).await
            }
            Fate::Unsent => refuse(core, unsent(record), &refusal.0).await,
            Fate::Rejected => refuse(core, record, &refusal.0).await,
            Fate::Lost if order.verb.may_be_repeated() => again(core, record, Some(LOST)).await,
            Fate::Lost => end(core, record, CommandState::Expired, Some(PERHAPS_DONE)).await.is_ok(),
        },
    }
}

/// The answer as it is kept, and why it is not whole.
fn kept(mut answer: DownlinkAnswer) -> (Option<Arc<str>>, Option<&'static str>) {
    let text = serde_json::to_string(&answer).unwrap_or_default();
    if text.len() <= ANSWER_LEN_MAX {
        return (Some(text.into()), None);
    }
    (answer.content, answer.raw) = (None, None);
    (serde_json::to_string(&answer).ok().map(Arc::from), Some(TOO_LONG))
}

/// A command for an Object that the device has registered without lately makes no sense any more.
fn stale(device: &Device, order: &Order) -> Option<Problem> {
    let object = order.path.object_id()?;
    let objects = &device.registration.details.objects.objects;
    let listed = objects.iter().any(|link| link.path.object_id() == Some(object));
    let detail = format!("the device has no Object {object} any more");
    (!listed && !objects.is_empty()).then(|| Problem::new(ProblemType::Conflict, detail))
}

/// An attempt that sent nothing does not count.
fn unsent(record: CommandRecord) -> CommandRecord {
    CommandRecord { attempts: record.attempts.saturating_sub(1), ..record }
}

/// Back to waiting.
async fn again(core: &Core, record: CommandRecord, reason: Option<&str>) -> bool {
    let waiting = CommandRecord {
        state: CommandState::Waiting,
        changed_ms: core.now().0,
        reason: reason.map(Arc::from),
        ..record
    };
    let _ = core.queue.note(waiting, None).await;
    false
}

async fn refuse(core: &Core, record: CommandRecord, problem: &Problem) -> bool {
    end(core, record, CommandState::Refused, Some(&words(problem))).await.is_ok()
}

fn words(problem: &Problem) -> String {
    problem.detail.clone().unwrap_or_else(|| problem.title.to_string())
}

async fn end(
    core: &Core,
    record: CommandRecord,
    state: CommandState,
    reason: Option<&str>,
) -> Result<CommandRecord, Refusal> {
    let ended = CommandRecord { state, changed_ms: core.now().0, reason: reason.map(Arc::from), ..record };
    core.queue.note(ended.clone(), Some(EventType::CommandDone)).await?;
    Ok(ended)
}

/// What nobody tells: the end of a command's time, devices without Queue Mode that did not answer, and commands whose
/// end could not be stored.
pub(crate) async fn keep_watch(core: Arc<Core>) {
    let mut stopping = core.stopping.subscribe();
    loop {
        let live = core.store.live_commands().await.unwrap_or_default();
        for some in live.chunks(NOTES_LEN) {
            // Together, so that they share a write of the store.
            futures_util::future::join_all(some.iter().map(|record| look_after(&core, record))).await;
        }
        tokio::select! {
            () = tokio::time::sleep(WATCH_EVERY) => {}
            () = stopped(&mut stopping) => return,
        }
    }
}

async fn look_after(core: &Arc<Core>, record: &CommandRecord) {
    let now_ms = core.now().0;
    if record.state == CommandState::Sent {
        settle(core, record).await;
    } else if record.not_after_ms <= now_ms {
        expire(core, record).await;
    } else if is_due(core, record, now_ms) {
        kick(core, &record.endpoint);
    }
}

/// Whether a command that waits for a device that could be reached should be tried.
fn is_due(core: &Core, record: &CommandRecord, now_ms: i64) -> bool {
    let pause = if record.attempts == 0 { 0 } else { RETRY_PAUSE_MS };
    let listens = |device: &Device| !matches!(device.registration.presence, Presence::Asleep { .. });
    now_ms.saturating_sub(record.changed_ms) >= pause
        && core.directory.find(record.endpoint.as_str()).as_ref().is_some_and(listens)
}

async fn expire(core: &Core, record: &CommandRecord) {
    let _turn = core.queue.turn(&record.endpoint).await;
    if let Ok(Some(record)) = core.store.command(record.id).await
        && record.state == CommandState::Waiting
    {
        let _ = end(core, CommandRecord::clone(&record), CommandState::Expired, Some(TOO_LATE)).await;
    }
}

/// A command that is on its way and that nobody waits for: the process that sent it has ended, or its end could not be
/// stored.
async fn settle(core: &Core, record: &CommandRecord) {
    let _turn = core.queue.turn(&record.endpoint).await;
    let served =
        |endpoint| core.queue.serving.lock().unwrap_or_else(PoisonError::into_inner).contains_key(endpoint);
    if served(&record.endpoint) {
        return;
    }
    let Ok(Some(record)) = core.store.command(record.id).await else { return };
    if record.state != CommandState::Sent {
        return;
    }
    let verb = OrderText::read(&record.order).map(|text| text.verb);
    let record = CommandRecord::clone(&record);
    if verb.is_some_and(Verb::may_be_repeated) {
        again(core, record, Some(LOST)).await;
    } else {
        let _ = end(core, record, CommandState::Expired, Some(PERHAPS_DONE)).await;
    }
}

/// A command as the API shows it.
pub(crate) fn shape(record: &CommandRecord) -> api::Command {
    let text = OrderText::read(&record.order);
    api::Command {
        id: record.id.to_string(),
        endpoint: record.endpoint.to_string(),
        operation: text.as_ref().map_or("", |text| text.verb.operation()).to_owned(),
        path: text.map_or_else(|| "/".to_owned(), |text| text.path()),
        state: state(record.state),
        created_at: Timestamp(record.created_ms),
        changed_at: Timestamp(record.changed_ms),
        attempts: record.attempts,
        not_after: Some(Timestamp(record.not_after_ms)),
        reason: record.reason.as_deref().map(str::to_owned),
        answer: record.answer.as_deref().and_then(|answer| serde_json::from_str(answer).ok()),
    }
}

fn state(state: CommandState) -> api::CommandState {
    match state {
        CommandState::Waiting => api::CommandState::Waiting,
        CommandState::Sent => api::CommandState::Sent,
        CommandState::Done => api::CommandState::Done,
        CommandState::Refused => api::CommandState::Refused,
        CommandState::Expired => api::CommandState::Expired,
        CommandState::Cancelled => api::CommandState::Cancelled,
        CommandState::Superseded => api::CommandState::Superseded,
    }
}

pub(crate) fn unread(error: &lightship_store::StoreError) -> Refusal {
    tracing::error!(%error, "the store does not answer");
    Refusal(Problem::new(ProblemType::Overloaded, error.to_string()).retry_after(5))
}

const TOO_LATE: &str = "The device could not be reached in time.";
const LOST: &str = "No answer came; it is sent again.";
const PERHAPS_DONE: &str = "No answer came. The device may have done it, and it must not be done twice.";
const TOO_LONG: &str = "What the device answered is too long to be kept.";
/// Bytes of an answer that is kept.
const ANSWER_LEN_MAX: usize = 256 << 10;
/// Commands of one device that may wait.
const COMMANDS_PER_DEVICE_MAX: usize = 100;
/// Seven days.
const COMMAND_LIFE_MS: i64 = 7 * 24 * 3_600_000;
/// The longest that a device is waited for once it is spoken to: a CoAP exchange (RFC 7252 §4.8.2) and some blocks.
const ATTEMPT_MAX: Duration = Duration::from_secs(300);
/// Enough that devices rarely wait for each other.
const TURNS: usize = 256;
/// Changes that may wait for the journal, and that it takes at once.
pub(crate) const NOTES_LEN: usize = 256;
const WATCH_EVERY: Duration = Duration::from_secs(1);
/// Between two looks whether it is a waiting caller's turn.
const TURN_EVERY: Duration = Duration::from_millis(20);
/// Between two attempts with a device that listens and did not answer.
const RETRY_PAUSE_MS: i64 = 60_000;
