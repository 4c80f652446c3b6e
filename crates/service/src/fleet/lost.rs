//! Lost: devices whose registration has expired, until they come back, are forgotten, or a week has gone by.
//!
//! Each is a note in the store, which says what the event said; it is written and taken back with the event that makes it so. Here lies
//! only since when, so that counting them reads nothing.

use std::collections::BTreeMap;
use std::ops::Bound;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use lightship_api as api;
use lightship_api::{PresenceState, Timestamp};
use lightship_lwm2m::Endpoint;
use lightship_lwm2m::readable::readable;
use lightship_store::{Fact, Store, StoreError};
use serde::Deserialize;

/// Devices that are lost, and since when.
#[derive(Debug, Default)]
pub(crate) struct Lost(Mutex<BTreeMap<Endpoint, Timestamp>>);

/// What is read of a note at the start.
#[derive(Deserialize)]
struct Since {
    time: Timestamp,
}

/// What is read of it when the device is shown.
#[derive(Deserialize)]
struct Said {
    registration: api::Endpoint,
}

impl Lost {
    /// Those that a store knows.
    pub(crate) async fn open(store: &impl Store, now: Timestamp) -> Result<Lost, StoreError> {
        let mut lost = BTreeMap::new();
        for (name, body) in store.notes(PREFIX).await? {
            let endpoint = name.strip_prefix(PREFIX).and_then(|name| Endpoint::new(name).ok());
            match endpoint.zip(serde_json::from_str::<Since>(&body).ok()) {
                // A clock that was put back makes nobody lost for longer.
                Some((endpoint, Since { time })) => drop(lost.insert(endpoint, time.min(now))),
                None => tracing::warn!(name = %readable(&name), "a note about a lost device cannot be read"),
            }
        }
        Ok(Lost(Mutex::new(lost)))
    }

    /// A registration has expired, as an event says; gives what is to be written.
    pub(super) fn expired(&self, endpoint: &Endpoint, at: Timestamp, event: &str) -> Option<Fact> {
        let mut lost = self.lost();
        if lost.len() >= LOST_MAX && !lost.contains_key(endpoint) {
            return None;
        }
        lost.insert(endpoint.clone(), at);
        Some(Fact::Note { name: name(endpoint), body: Some(event.into()) })
    }

    /// It is lost no longer; gives what is to be written if it was.
    pub(super) fn take(&self, endpoint: &Endpoint) -> Option<Fact> {
        self.lost().remove(endpoint).map(|_| Fact::Note { name: name(endpoint), body: None })
    }

    /// Since when it is lost.
    pub(crate) fn since(&self, endpoint: &Endpoint) -> Option<Timestamp> {
        self.lost().get(endpoint).copied()
    }

    /// Forgets those that have been lost for too long; gives what is to be written.
    pub(super) fn age(&self, now: Timestamp) -> Vec<Fact> {
        let mut lost = self.lost();
        let is_old = |since: &Timestamp| now.0.saturating_sub(since.0) >= LOST_MS;
        let old: Vec<Endpoint> = lost
            .iter()
            .filter(|(_, since)| is_old(since))
            .map(|(name, _)| name.clone())
            .take(TOGETHER * 8)
            .collect();
        let forgotten = old.iter().filter(|endpoint| lost.remove(*endpoint).is_some());
        forgotten.map(|endpoint| Fact::Note { name: name(endpoint), body: None }).collect()
    }

    /// How many there are, and the last of them, newest first.
    pub(crate) fn shape(&self, now: Timestamp) -> (u64, Vec<api::LostDevice>) {
        let lost = self.lost();
        let is_recent = |since: Timestamp| now.0.saturating_sub(since.0) < LOST_MS;
        let recent = lost.iter().filter(|(_, since)| is_recent(**since));
        let mut all: Vec<(Timestamp, &Endpoint)> = recent.map(|(name, since)| (*since, name)).collect();
        all.sort_unstable_by(|a, b| (b.0.0, a.1.as_str()).cmp(&(a.0.0, b.1.as_str())));
        let shape = |(since, name): &(Timestamp, &Endpoint)| api::LostDevice {
            endpoint: name.to_string(),
            since: *since,
        };
        (u64::try_from(all.len()).unwrap_or(u64::MAX), all.iter().take(LOST_SHOWN).map(shape).collect())
    }

    /// Some whose names come behind one, in the order of names, as they were known when they expired. It blocks its thread.
    pub(super) fn behind(
        &self,
        store: &impl Store,
        after: Option<&Endpoint>,
    ) -> Result<Vec<(Endpoint, Option<api::Endpoint>)>, StoreError> {
        let from = after.map_or(Bound::Unbounded, Bound::Excluded);
        let some: Vec<(Endpoint, Timestamp)> = {
            let lost = self.lost();
            let some = lost.range::<Endpoint, _>((from, Bound::Unbounded)).take(TOGETHER);
            some.map(|(endpoint, since)| (endpoint.clone(), *since)).collect()
        };
        read(store, some)
    }

    /// Those of these that are lost. It blocks its thread.
    pub(super) fn at(
        &self,
        store: &impl Store,
        names: &[Endpoint],
    ) -> Result<Vec<api::Endpoint>, StoreError> {
        let some = names.iter().filter_map(|name| Some((name.clone(), self.since(name)?))).collect();
        Ok(read(store, some)?.into_iter().filter_map(|(_, shape)| shape).collect())
    }

    fn lost(&self) -> MutexGuard<'_, BTreeMap<Endpoint, Timestamp>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn read(
    store: &impl Store,
    some: Vec<(Endpoint, Timestamp)>,
) -> Result<Vec<(Endpoint, Option<api::Endpoint>)>, StoreError> {
    let names: Vec<Arc<str>> = some.iter().map(|(endpoint, _)| name(endpoint)).collect();
    let bodies = store.notes_at(&names)?;
    let shape = |((endpoint, since), body): ((Endpoint, Timestamp), Option<Arc<str>>)| {
        let event = body.and_then(|body| serde_json::from_str::<Said>(&body).ok());
        let known = event.map(|Said { registration }| api::Endpoint {
            state: PresenceState::Lost,
            expires_at: Some(since),
            awake_until: None,
            expected_wake: None,
            session: None,
            ..registration
        });
        (endpoint, known)
    };
    Ok(some.into_iter().zip(bodies).map(shape).collect())
}

fn name(endpoint: &Endpoint) -> Arc<str> {
    format!("{PREFIX}{endpoint}").into()
}

const PREFIX: &str = "lost/";
/// Lost devices that are remembered.
const LOST_MAX: usize = 65_536;
/// Seven days.
const LOST_MS: i64 = 7 * 24 * 3_600_000;
const LOST_SHOWN: usize = 100;
/// Those that are read together.
const TOGETHER: usize = 512;

#[cfg(test)]
mod tests {
    use super::*;

    fn endpoint(number: u32) -> Endpoint {
        Endpoint::new(&format!("d{number}")).expect("a name")
    }

    #[test]
    fn lost_devices_come_back_or_are_forgotten() {
        let lost = Lost::default();
        for number in 0..3 {
            let note = lost.expired(&endpoint(number), Timestamp(i64::from(number)), "{}");
            assert!(matches!(note, Some(Fact::Note { body: Some(_), .. })));
        }
        assert_eq!(lost.take(&endpoint(7)), None, "nothing is written of those that were not lost");
        assert!(matches!(lost.take(&endpoint(1)), Some(Fact::Note { body: None, .. })));
        let (count, shown) = lost.shape(Timestamp(10));
        assert_eq!((count, shown[0].endpoint.as_str(), shown[1].endpoint.as_str()), (2, "d2", "d0"));
        assert_eq!(lost.shape(Timestamp(LOST_MS + 1)).0, 1);
        assert_eq!(lost.age(Timestamp(LOST_MS + 1)).len(), 1);
        assert_eq!((lost.since(&endpoint(0)), lost.since(&endpoint(2))), (None, Some(Timestamp(2))));
    }
}
