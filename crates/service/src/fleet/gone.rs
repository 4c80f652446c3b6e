//! Gone: the last known values of devices that are not registered any more.
//!
//! They stay, since a device may come back and since somebody may want to know how it was. They go when somebody forgets the device
//! (`DELETE /endpoints/{endpoint}`), and when the newest of them is older than `store.gone_values_max_age_s`.

use std::sync::Arc;
use std::time::Duration;

use lightship_api::Timestamp;
use lightship_lwm2m::{Endpoint, Path};
use lightship_store::{Batch, Fact, Store, StoreError};

use super::{beside, values};
use crate::core::{Core, stopped};
use crate::queue::unread;
use crate::rest::Refusal;

/// Forgets what is known of a device that is not registered; whether anything was.
pub(crate) async fn forget(core: &Arc<Core>, endpoint: &Endpoint) -> Result<bool, Refusal> {
    // Nothing of it is on its way into the store meanwhile.
    let _turn = core.fleet.values.turn.lock().await;
    let fresh = core.fleet.values.forget(endpoint);
    let name = endpoint.clone();
    let known =
        beside(core, move |core| core.store.values(&name, Path::ROOT).map_err(|error| unread(&error)));
    let values = known.await?.into_iter().map(|(path, _)| no_value(endpoint, path));
    let mut facts: Vec<Fact> = values.collect();
    let is_known = fresh || !facts.is_empty() || core.fleet.lost.since(endpoint).is_some();
    facts.extend(core.fleet.lost.take(endpoint));
    if !facts.is_empty() {
        core.store.commit(Batch { facts }).await.map_err(|error| unread(&error))?;
    }
    Ok(is_known)
}

/// Looks for values to be forgotten: each hour, or more often where they are kept for less than a day.
pub(crate) async fn keep(core: Arc<Core>) {
    let every = (core.config.store.gone_values_age_max / 24).clamp(EVERY_MIN, EVERY_MAX);
    let mut stopping = core.stopping.subscribe();
    loop {
        tokio::select! {
            () = tokio::time::sleep(every) => {}
            () = stopped(&mut stopping) => return,
        }
        sweep(&core).await;
    }
}

/// Looks through all values, some at a time, and forgets those of devices that have been gone for too long.
async fn sweep(core: &Arc<Core>) {
    let age_ms = i64::try_from(core.config.store.gone_values_age_max.as_millis()).unwrap_or(i64::MAX);
    let before = Timestamp(core.now().0.saturating_sub(age_ms));
    let (mut after, mut swept) = (None, 0);
    loop {
        let stretch =
            beside(core, move |core| look(core, after.as_ref(), before).map_err(|error| unread(&error)));
        let Ok(Stretch { facts, next }) = stretch.await else { return };
        swept += facts.len();
        if !facts.is_empty() && core.store.commit(Batch { facts }).await.is_err() {
            return;
        }
        after = next;
        if after.is_none() || *core.stopping.borrow() {
            break;
        }
        // Others use the store, too.
        tokio::time::sleep(PAUSE).await;
    }
    if swept > 0 {
        tracing::info!(values = swept, "forgotten: last known values of devices that are gone");
    }
}

/// What was found in a stretch of all values, and where to go on.
struct Stretch {
    facts: Vec<Fact>,
    next: Option<Endpoint>,
}

fn look(core: &Core, after: Option<&Endpoint>, before: Timestamp) -> Result<Stretch, StoreError> {
    let mut facts = Vec::new();
    // The device that is looked at, and its values if it is gone and all so far are old.
    let mut device: Option<(Endpoint, Option<Vec<Path>>)> = None;
    let (mut looked_at, mut next) = (0, None);
    let end = |device: &mut Option<(Endpoint, Option<Vec<Path>>)>, facts: &mut Vec<Fact>| {
        if let Some((endpoint, Some(paths))) = device.take() {
            // It may have come back meanwhile.
            if !is_here(core, endpoint.as_str()) {
                facts.extend(paths.into_iter().map(|path| no_value(&endpoint, path)));
            }
        }
    };
    core.store.each_value(after, &mut |name, path, body| {
        if device.as_ref().is_none_or(|(endpoint, _)| endpoint.as_str() != name) {
            let last = device.as_ref().map(|(endpoint, _)| endpoint.clone());
            end(&mut device, &mut facts);
            if looked_at >= LOOKED_AT_MAX || facts.len() >= FACTS_MAX {
                next = last;
                return false;
            }
            let Ok(endpoint) = Endpoint::new(name) else { return true };
            device = Some((endpoint, (!is_here(core, name)).then(Vec::new)));
        }
        looked_at += 1;
        if let Some((_, paths)) = &mut device {
            match paths {
                Some(old) if values::time_of(body).is_some_and(|time| time < before) => old.push(path),
                _ => *paths = None,
            }
        }
        true
    })?;
    end(&mut device, &mut facts);
    Ok(Stretch { facts, next })
}

fn is_here(core: &Core, name: &str) -> bool {
    core.directory.has(name) || core.directory.is_arriving(name)
}

fn no_value(endpoint: &Endpoint, path: Path) -> Fact {
    Fact::Value { endpoint: endpoint.clone(), path, value: None }
}

/// Values that are looked at, and that are forgotten, before others have their turn; one device may pass them.
const LOOKED_AT_MAX: usize = 20_000;
const FACTS_MAX: usize = 4096;
const EVERY_MIN: Duration = Duration::from_secs(1);
const EVERY_MAX: Duration = Duration::from_secs(3600);
const PAUSE: Duration = Duration::from_millis(100);
