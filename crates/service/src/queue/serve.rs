//! Serving one device: its commands are sent one by one for as long as it can be reached.

use std::sync::Arc;
use std::time::Duration;

use lightship_api::{DownlinkAnswer, Problem, ProblemType};
use lightship_lwm2m::Endpoint;
use lightship_store::{CommandRecord, CommandState, Store};

use super::agenda::Next;
use super::watch::RETRY_STORE_MS;
use super::{Change, ended, store};
use crate::core::Core;
use crate::directory::Device;
use crate::rest::call::{Call, Fate};
use crate::rest::order::{Done, Order, OrderText};

/// Sends what waits for a device until nothing is left, or the device cannot be reached.
pub(super) async fn serve(core: &Arc<Core>, endpoint: &Endpoint) {
    loop {
        while let Some(record) = take(core, endpoint).await {
            if !attempt(core, record).await {
                break;
            }
        }
        // Whatever happens from here on starts a new one.
        if !core.queue.agenda().leave(endpoint) {
            return;
        }
    }
}

/// The next command of a device, marked as sent; `None` when there is none or the device cannot be reached.
async fn take(core: &Arc<Core>, endpoint: &Endpoint) -> Option<CommandRecord> {
    let _turn = core.queue.turn(endpoint).await;
    loop {
        if *core.stopping.borrow() {
            return None;
        }
        reachable(core, endpoint)?;
        let now_ms = core.now().0;
        let Next::Try(id) = core.queue.agenda().next(endpoint, now_ms) else { return None };
        let later = || core.queue.snooze(endpoint, id, now_ms.saturating_add(RETRY_STORE_MS));
        let Ok(Some(record)) = core.store.command(id).await else {
            later();
            return None;
        };
        let record = CommandRecord::clone(&record);
        if record.not_after_ms <= now_ms {
            let over = ended(core, record, CommandState::Expired, Some(TOO_LATE));
            if store(core, vec![over]).await.is_err() {
                later();
                return None;
            }
            continue;
        }
        let attempts = record.attempts.saturating_add(1);
        let sent =
            CommandRecord { state: CommandState::Sent, attempts, changed_ms: now_ms, next_ms: 0, ..record };
        let change = Change { record: Arc::new(sent.clone()), event: None };
        if store(core, vec![change]).await.is_err() {
            later();
            return None;
        }
        return Some(sent);
    }
}

fn reachable(core: &Core, endpoint: &Endpoint) -> Option<Device> {
    core.directory.find(endpoint.as_str()).filter(|device| !device.registration.presence.is_asleep())
}

/// Tries a command that is marked as sent; says whether the device can be sent the next.
async fn attempt(core: &Arc<Core>, record: CommandRecord) -> bool {
    let Some(device) = reachable(core, &record.endpoint) else {
        return again(core, unsent(record), None, Duration::ZERO).await;
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
        Ok(Done::Answered(answer) | Done::Created(answer)) => answered(core, record, answer).await,
        Ok(Done::Nothing) => end(core, record, CommandState::Done, None).await,
        Err(refusal) => match call.fate() {
            Fate::Unsent if refusal.is_passing() => {
                again(core, unsent(record), Some(&words(&refusal.0)), BREATH).await
            }
            Fate::Unsent => refuse(core, unsent(record), &refusal.0).await,
            Fate::Rejected => refuse(core, record, &refusal.0).await,
            // It stays as sent: the next process does what it does after a crash.
            Fate::Lost if *core.stopping.borrow() => false,
            Fate::Lost if order.verb.may_be_repeated() => lost(core, record).await,
            Fate::Lost => end(core, record, CommandState::Expired, Some(PERHAPS_DONE)).await,
        },
    }
}

async fn answered(core: &Core, record: CommandRecord, answer: DownlinkAnswer) -> bool {
    let is_last = record.attempts >= record.attempts_max;
    if COME_LATER.contains(&answer.code.as_str()) && !is_last {
        let reason = format!("The device answered {}; it is asked again.", answer.code);
        let pause = pause(&record);
        return again(core, record, Some(&reason), pause).await;
    }
    let state = if answer.code.starts_with('2') { CommandState::Done } else { CommandState::Refused };
    let (answer, reason) = kept(answer);
    end(core, CommandRecord { answer, ..record }, state, reason).await
}

/// No answer came, and there is no harm in asking again.
pub(super) async fn lost(core: &Core, record: CommandRecord) -> bool {
    if record.attempts >= record.attempts_max {
        let times =
            if record.attempts == 1 { "once".to_owned() } else { format!("{} times", record.attempts) };
        let reason = format!("It was sent {times} and no answer came.");
        return end(core, record, CommandState::Expired, Some(&reason)).await;
    }
    let pause = pause(&record);
    again(core, record, Some(LOST), pause).await
}

/// How long to wait after an attempt: each time twice as long as before, to a limit.
fn pause(record: &CommandRecord) -> Duration {
    let doubled = 1_u64.checked_shl(record.attempts.saturating_sub(1)).unwrap_or(u64::MAX);
    let most = PAUSE_MAX_MS.max(record.pause_ms);
    Duration::from_millis(record.pause_ms.saturating_mul(doubled).min(most))
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

/// Back to waiting, for that long at least unless the device comes anew.
async fn again(core: &Core, record: CommandRecord, reason: Option<&str>, pause: Duration) -> bool {
    let now_ms = core.now().0;
    let next_ms = match i64::try_from(pause.as_millis()) {
        Ok(0) => 0,
        pause_ms => now_ms.saturating_add(pause_ms.unwrap_or(i64::MAX)),
    };
    let reason = reason.map(Arc::from);
    let waiting =
        CommandRecord { state: CommandState::Waiting, changed_ms: now_ms, reason, next_ms, ..record };
    settle(core, Change { record: Arc::new(waiting), event: None }).await;
    false
}

async fn refuse(core: &Core, record: CommandRecord, problem: &Problem) -> bool {
    end(core, record, CommandState::Refused, Some(&words(problem))).await
}

fn words(problem: &Problem) -> String {
    problem.detail.clone().unwrap_or_else(|| problem.title.to_string())
}

pub(super) async fn end(
    core: &Core,
    record: CommandRecord,
    state: CommandState,
    reason: Option<&str>,
) -> bool {
    settle(core, ended(core, record, state, reason)).await
}

/// Stores what an attempt came to; what the store does not take now is kept and tried again.
async fn settle(core: &Core, change: Change) -> bool {
    let stored = store(core, vec![change.clone()]).await.is_ok();
    if !stored {
        core.queue.keep(change.record, core.now().0.saturating_add(RETRY_STORE_MS));
    }
    stored
}

pub(super) const TOO_LATE: &str = "The device could not be reached in time.";
pub(super) const LOST: &str = "No answer came; it is sent again.";
pub(super) const PERHAPS_DONE: &str =
    "No answer came. The device may have done it, and it must not be done twice.";
const TOO_LONG: &str = "What the device answered is too long to be kept.";
/// Answers of a device that has done nothing and may do it later (RFC 7252 §5.9.3.4, RFC 8516).
const COME_LATER: [&str; 2] = ["5.03", "4.29"];
/// Bytes of an answer that is kept.
const ANSWER_LEN_MAX: usize = 256 << 10;
/// The longest that a device is waited for once it is spoken to: a CoAP exchange (RFC 7252 §4.8.2) and some blocks.
const ATTEMPT_MAX: Duration = Duration::from_secs(300);
/// After which something of our own that stood in the way may be over.
const BREATH: Duration = Duration::from_secs(1);
/// Pauses grow to this, unless the caller wants longer ones.
const PAUSE_MAX_MS: u64 = 3_600_000;
