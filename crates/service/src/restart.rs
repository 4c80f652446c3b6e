//! Restart: what a new process goes on with, and in which order.
//!
//! ```text
//! hand-over (orderly stop: sessions, registrations, observations) ─▶ shards
//! stored registrations that are not among those                   ─▶ shards ─▶ directory ─▶ ready
//! wanted observations, credentials that have come since           ─▶ in the background
//! ```
//! The shards read nothing from their sockets before their registrations are there: a device whose first message comes in between waits
//! a moment, and need not register anew.

use std::sync::Arc;

use lightship_lwm2m::Endpoint;
use lightship_net::{Clock, Feed, StoredRegistration};
use lightship_store::{AnyStore, RegistrationRecord, Store, StoreError};
use tokio::sync::mpsc;

use crate::content;
use crate::core::{self, Core};
use crate::journal::id_of;
use crate::security;

/// Gives the shards what the store has of them; says how many registrations they have then. It blocks.
pub(crate) fn feed(store: &AnyStore, clock: Clock, mut feed: Feed) -> Result<u64, StoreError> {
    let (now, now_ms) = (clock.now(), clock.date().as_millis());
    let mut homeless = 0_u64;
    let count = store.each_registration(&mut |record: RegistrationRecord| {
        let age_ms = u64::try_from(now_ms.saturating_sub(record.registered_ms)).unwrap_or(0);
        let registration = StoredRegistration {
            endpoint: record.endpoint,
            id: id_of(record.id),
            registered_at: now - std::time::Duration::from_millis(age_ms),
            said: record.said,
        };
        homeless += u64::from(!feed.push(registration));
    })?;
    if homeless > 0 {
        tracing::warn!(
            registrations = homeless,
            "these were at shards that are not there any more; their devices register anew"
        );
    }
    let total = feed.finish();
    tracing::info!(
        stored = count,
        registrations = total,
        "going on with registrations of before the restart"
    );
    Ok(total)
}

/// Comes back when the directory has as many registrations of before as the shards.
pub(crate) async fn settled(core: &Core, total: u64) {
    // An error means that the server is gone already.
    let _ = core.restored.subscribe().wait_for(|restored| *restored >= total).await;
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
