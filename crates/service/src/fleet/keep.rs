//! Keep: what was counted, who is lost, and whose handshakes failed, in the store; once a minute, and once more at the end.

use std::sync::Arc;
use std::time::Duration;

use lightship_api::{NoisyDevice, Timestamp};
use lightship_store::{Batch, Fact, Store, StoreError};
use serde::{Deserialize, Serialize};

use super::noise::Noise;
use super::rates;
use super::rates::Rates;
use crate::core::{Core, stopped};

/// Who sent the most, as the store has it.
#[derive(Serialize, Deserialize)]
struct Loudest {
    at: Timestamp,
    devices: Vec<NoisyDevice>,
}

/// What a process before has counted.
pub(super) async fn open(store: &impl Store, now: Timestamp) -> Result<(Rates, Noise), StoreError> {
    let (counted, noise) = (Rates::new(), Noise::new());
    counted.go_on(&store.notes(rates::PREFIX).await?, now);
    for (_, body) in store.notes(NOISE).await? {
        let loudest = serde_json::from_str::<Loudest>(&body).ok();
        if let Some(loudest) = loudest.filter(|loudest| now.0.saturating_sub(loudest.at.0) < NOISE_MS) {
            noise.go_on(loudest.devices);
        }
    }
    Ok((counted, noise))
}

/// Writes what is new each minute.
pub(crate) async fn keep(core: Arc<Core>) {
    let mut stopping = core.stopping.subscribe();
    loop {
        tokio::select! {
            () = tokio::time::sleep(EVERY) => {}
            () = stopped(&mut stopping) => return,
        }
        write(&core).await;
    }
}

/// Writes what was counted in the step that is not over, too.
pub(crate) async fn write_last(core: &Arc<Core>) {
    core.fleet.rates.step(core.now());
    write(core).await;
}

/// What the store does not take is written with what comes later.
async fn write(core: &Arc<Core>) {
    let now = core.now();
    let mut unwritten = core.fleet.rates.unwritten();
    let mut facts = std::mem::take(&mut unwritten.facts);
    let devices = core.fleet.noise.loudest();
    if let Ok(body) = serde_json::to_string(&Loudest { at: now, devices }) {
        facts.push(Fact::Note { name: NOISE.into(), body: Some(body.into()) });
    }
    facts.extend(core.fleet.lost.age(now));
    let history = &core.gate.history;
    let failures = history.unwritten().map(|failures| {
        facts.push(failures.fact);
        failures.changes
    });
    match core.store.commit(Batch { facts }).await {
        Ok(_) => {
            core.fleet.rates.wrote(unwritten);
            failures.into_iter().for_each(|changes| history.wrote(changes));
        }
        Err(error) => tracing::debug!(%error, "the store does not take what was counted"),
    }
}

const NOISE: &str = "noisiest";
/// For so long it is shown who sent the most, until that is known anew.
const NOISE_MS: i64 = 600_000;
const EVERY: Duration = Duration::from_secs(60);
