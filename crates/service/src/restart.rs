//! Restart: what a new process goes on with, and in which order.
//!
//! ```text
//! hand-over (orderly stop: sessions, registrations, observations) ─▶ shards ─┐
//! store, read by several threads ─▶ registrations not among those ─▶ shards ─┴▶ directory, filled by the shards' threads
//! all are there ─▶ names in order ─▶ commands that waited ─▶ shards begin ─▶ ready
//! wanted observations, credentials that have come since ─▶ in the background
//! ```
//! The shards read nothing from their sockets before all registrations are there: a device whose first message comes in between waits
//! a moment, and need not register anew.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use lightship_api::ObservingState;
use lightship_lwm2m::Endpoint;
use lightship_net::{Feed, RestoredRegistration, StoredRegistration, TakeRestored};
use lightship_store::{RegistrationRecord, Store, StoreError};
use tokio::runtime::Handle;
use tokio::sync::mpsc;

use crate::content;
use crate::core::{self, Core};
use crate::directory::{Device, Observed};
use crate::journal::{id_of, key_of};
use crate::queue;
use crate::security;

/// Gives the shards what the store has of them, and the directory what they go on with. It blocks.
pub(crate) fn feed(core: &Arc<Core>, runtime: &Handle, mut feed: Feed) -> Result<(), StoreError> {
    let room = core.config.limits.registrations_per_shard_max.saturating_mul(core.inboxes.len());
    let about = usize::try_from(core.store.registrations_about()).unwrap_or(usize::MAX);
    core.directory.fill(about.min(room));
    let take: TakeRestored = {
        let (core, runtime) = (core.clone(), runtime.clone());
        Arc::new(move |shard, restored| {
            // What it starts runs with the rest, not in the shard's thread.
            let _inside = runtime.enter();
            take(&core, shard, restored);
        })
    };
    feed.restored_to(&take);
    let homeless = AtomicU64::new(0);
    let (now, now_ms) = (core.clock.now(), core.clock.date().as_millis());
    let stored = |record: RegistrationRecord| {
        let age_ms = u64::try_from(now_ms.saturating_sub(record.registered_ms)).unwrap_or(0);
        StoredRegistration {
            endpoint: record.endpoint,
            id: id_of(record.id),
            registered_at: now - std::time::Duration::from_millis(age_ms),
            said: record.said,
        }
    };
    let count = core.store.each_registration(&|records| {
        homeless.fetch_add(feed.push(records.into_iter().map(stored).collect()), Ordering::Relaxed);
    })?;
    let homeless = homeless.into_inner();
    if homeless > 0 {
        tracing::warn!(
            registrations = homeless,
            "these were at shards that are not there any more; their devices register anew"
        );
    }
    let total = feed.finish();
    core.directory.filled();
    let _inside = runtime.enter();
    queue::all_came(core);
    if count > 0 || total > 0 {
        tracing::info!(
            stored = count,
            registrations = total,
            "going on with registrations of before the restart"
        );
    }
    Ok(())
}

/// Takes in what a shard goes on with. Its devices have done nothing, so there is no event to tell.
fn take(core: &Arc<Core>, shard: u8, restored: Vec<RestoredRegistration>) {
    let since = Some(core.now());
    let (mut parties, mut unsecured) = (Vec::new(), Vec::new());
    let devices = restored.into_iter().map(|RestoredRegistration { registration, observations }| {
        match &registration.party {
            Some(party) if registration.session.is_some() => parties.push(party.clone()),
            None if !core.config.security.allow_nosec => {
                unsecured.push(registration.details.endpoint.clone());
            }
            _ => {}
        }
        let mut device = Device::new(shard, registration, core.clock);
        for (_, wanted) in &observations {
            let seen = Observed { state: ObservingState::Active, since, ..Observed::default() };
            device.observations.insert(key_of(&wanted.observed), seen);
        }
        device
    });
    for old in core.directory.restored(devices) {
        // An endpoint has one registration: the older one, at another shard, gives way.
        if let Some(inbox) = core.inbox(old.shard) {
            // A shard too busy for this keeps it until it expires; the directory knows the other.
            let _ = inbox.forget(old.registration.details.endpoint.clone(), old.registration.id);
        }
    }
    // These look into the directory.
    security::restored(core, parties);
    security::forget_unsecured(core, unsecured);
}

/// What is done when devices are served again.
pub(crate) async fn go_on(core: Arc<Core>) {
    security::forget_all_unsecured(&core).await;
    let (sender, mut names) = mpsc::channel::<Vec<Endpoint>>(CHUNKS_MAX);
    let reader = core.clone();
    let read = tokio::task::spawn_blocking(move || {
        let mut chunk = Vec::new();
        let read = reader.store.each_wanted(&mut |endpoint| {
            chunk.push(endpoint);
            if chunk.len() >= CHUNK_LEN {
                // Without a receiver the server is stopping.
                let _ = sender.blocking_send(std::mem::take(&mut chunk));
            }
        });
        let _ = sender.blocking_send(chunk);
        read
    });
    let mut stopping = core.stopping.subscribe();
    loop {
        let names = tokio::select! {
            names = names.recv() => names,
            () = core::stopped(&mut stopping) => return,
        };
        let Some(names) = names else { break };
        for endpoint in names {
            observe_anew(&core, endpoint).await;
        }
    }
    match read.await {
        Ok(Ok(())) => {}
        Ok(Err(error)) => tracing::error!(%error, "wanted observations cannot be read"),
        Err(error) => tracing::error!(%error, "wanted observations cannot be read"),
    }
}

/// Has observed what is wanted of a device that is registered since before the restart.
async fn observe_anew(core: &Core, endpoint: Endpoint) {
    let Some(device) = core.directory.find(endpoint.as_str()) else { return };
    let wanted = core.store.wanted(&endpoint).await.unwrap_or_default();
    let details = &device.registration.details;
    let wanted = wanted.iter().filter_map(|one| content::wanted_at_first(one, details).ok()).collect();
    if let Some(inbox) = core.inbox(device.shard) {
        // A stopped shard observes nothing.
        let _ = inbox.want(endpoint, wanted).await;
    }
}

/// Names that are looked up together.
const CHUNK_LEN: usize = 1024;
/// Chunks of them that may wait.
const CHUNKS_MAX: usize = 4;
