//! Watch: one task that sleeps until the first alarm of all commands.

use std::sync::Arc;
use std::time::Duration;

use lightship_api::EventType;
use lightship_lwm2m::Endpoint;
use lightship_store::{CommandId, CommandRecord, CommandState, Store};

use super::agenda::Due;
use super::serve::{self, PERHAPS_DONE, TOO_LATE};
use super::{Change, Queue, ended, kick, store};
use crate::core::{Core, stopped};
use crate::rest::order::{OrderText, Verb};

impl Queue {
    pub(super) fn snooze(&self, endpoint: &Endpoint, id: CommandId, at_ms: i64) {
        self.agenda().snooze(endpoint, id, at_ms);
        self.alarmed.notify_one();
    }

    pub(super) fn keep(&self, record: Arc<CommandRecord>, at_ms: i64) {
        self.agenda().keep(record, at_ms);
        self.alarmed.notify_one();
    }
}

/// Does what is due for commands, when it is due.
pub(crate) async fn keep_watch(core: Arc<Core>) {
    let mut stopping = core.stopping.subscribe();
    loop {
        let now_ms = core.now().0;
        let (due, first_ms) = {
            let mut agenda = core.queue.agenda();
            let due = agenda.due(now_ms, AT_ONCE);
            (due, agenda.first_alarm_ms())
        };
        if !due.is_empty() {
            // Together, so that they share a write of the store.
            futures_util::future::join_all(due.into_iter().map(|due| see_to(&core, due))).await;
            continue;
        }
        let left_ms = first_ms.map_or(LONG_MS, |first_ms| first_ms.saturating_sub(now_ms).clamp(1, LONG_MS));
        let left = Duration::from_millis(left_ms.unsigned_abs());
        tokio::select! {
            () = tokio::time::sleep(left) => {}
            () = core.queue.alarmed.notified() => {}
            () = stopped(&mut stopping) => return,
        }
    }
}

async fn see_to(core: &Arc<Core>, due: Due) {
    match due {
        Due::Try(endpoint) => kick(core, &endpoint),
        Due::Expire(endpoint, id) => expire(core, &endpoint, id).await,
        Due::Settle(endpoint, id) => settle(core, &endpoint, id).await,
        Due::Store(record) => store_again(core, record).await,
    }
}

async fn expire(core: &Arc<Core>, endpoint: &Endpoint, id: CommandId) {
    let _turn = core.queue.turn(endpoint).await;
    let stored = match core.store.command(id).await {
        Ok(Some(record)) if record.state == CommandState::Waiting => {
            let over = ended(core, CommandRecord::clone(&record), CommandState::Expired, Some(TOO_LATE));
            store(core, vec![over]).await.is_ok()
        }
        // It is on its way, or has ended.
        Ok(_) => true,
        Err(_) => false,
    };
    if !stored {
        core.queue.snooze(endpoint, id, core.now().0.saturating_add(RETRY_STORE_MS));
    }
    // It may have stood in the way of others.
    kick(core, endpoint);
}

/// A command that is on its way and that nobody waits for: the process that sent it has ended.
async fn settle(core: &Arc<Core>, endpoint: &Endpoint, id: CommandId) {
    let _turn = core.queue.turn(endpoint).await;
    let record = match core.store.command(id).await {
        Ok(Some(record)) if record.state == CommandState::Sent => CommandRecord::clone(&record),
        Ok(_) => return,
        Err(_) => return core.queue.snooze(endpoint, id, core.now().0.saturating_add(RETRY_STORE_MS)),
    };
    if OrderText::read(&record.order).map(|text| text.verb).is_some_and(Verb::may_be_repeated) {
        serve::lost(core, CommandRecord { pause_ms: 0, ..record }).await;
    } else {
        serve::end(core, record, CommandState::Expired, Some(PERHAPS_DONE)).await;
    }
    kick(core, endpoint);
}

/// Once more what an attempt came to and the store did not take.
async fn store_again(core: &Arc<Core>, record: Arc<CommandRecord>) {
    let endpoint = record.endpoint.clone();
    let event = (!record.state.is_live()).then_some(EventType::CommandDone);
    if store(core, vec![Change { record: record.clone(), event }]).await.is_ok() {
        kick(core, &endpoint);
    } else {
        core.queue.keep(record, core.now().0.saturating_add(RETRY_STORE_MS));
    }
}

/// After which the store may take again what it did not take.
pub(super) const RETRY_STORE_MS: i64 = 1000;
/// What is seen to together.
const AT_ONCE: usize = 256;
/// The longest sleep; no alarm is missed by it.
const LONG_MS: i64 = 3_600_000;
