//! Values: what was heard last of each Resource. The newest lie here until they are in the store, which is soon; a value that is told
//! again meanwhile takes no second write.

use std::collections::{BTreeMap, HashMap};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use lightship_api as api;
use lightship_api::{KnownValue, Timestamp, ValueSource, ValueType};
use lightship_lwm2m::{Endpoint, Path};
use lightship_store::{Batch, Fact, Store, StoreError};
use serde::{Deserialize, Serialize};
use serde_json::Value as Json;
use tokio::sync::Notify;

use super::list::Key;
use crate::core::{Core, stopped};
use crate::rest::history::leaves;

/// What was heard last and is not in the store yet.
#[derive(Debug, Default)]
pub(crate) struct Values {
    fresh: Mutex<Fresh>,
    many: Notify,
    /// Who writes, or takes away, values now.
    pub(super) turn: tokio::sync::Mutex<()>,
    /// Values that were not kept: too many, or too long.
    pub(crate) dropped: AtomicU64,
}

#[derive(Debug, Default)]
struct Fresh {
    devices: HashMap<Endpoint, BTreeMap<Path, Kept>>,
    len: usize,
}

/// A value as it is kept.
#[derive(Clone, Debug)]
struct Kept {
    time: Timestamp,
    /// Whether the device said the time.
    dated: bool,
    body: Arc<[u8]>,
}

/// The same in the store.
#[derive(Serialize, Deserialize)]
struct Stored {
    #[serde(rename = "v")]
    value: Json,
    #[serde(rename = "k", default, skip_serializing_if = "Option::is_none")]
    kind: Option<ValueType>,
    /// In milliseconds since 1970.
    #[serde(rename = "t")]
    time_ms: i64,
    #[serde(rename = "s")]
    source: ValueSource,
}

impl Values {
    /// Takes note of what nodes hold; `base` is the path of those that say none.
    pub(crate) fn told(
        &self,
        endpoint: &Endpoint,
        base: Option<Path>,
        nodes: &[api::Node],
        source: ValueSource,
        now: Timestamp,
    ) {
        let mut fresh = self.fresh();
        for node in nodes {
            let path = node.path.as_deref().and_then(|path| path.parse().ok()).or(base);
            let Some(path) = path else { continue };
            leaves(path, node, node.time, &mut |path, node, time, value| {
                let (time, dated) = time.map_or((now, false), |time| (time.min(now), true));
                let stored = Stored { value: value.clone(), kind: node.kind, time_ms: time.0, source };
                match serde_json::to_vec(&stored) {
                    Ok(body) if body.len() <= BODY_LEN_MAX && fresh.len < FRESH_MAX => {
                        fresh.put(endpoint, path, Kept { time, dated, body: body.into() });
                    }
                    _ => {
                        self.dropped.fetch_add(1, Ordering::Relaxed);
                    }
                }
            });
        }
        if fresh.len >= MANY {
            self.many.notify_one();
        }
    }

    /// The last known values of a device at and below a path. It blocks its thread.
    pub(crate) fn of(core: &Core, endpoint: &Endpoint, below: Path) -> Result<Vec<KnownValue>, StoreError> {
        let fresh = core.fleet.values.fresh().devices.get(endpoint).cloned().unwrap_or_default();
        let stored = core.store.values(endpoint, below)?;
        let mut all: BTreeMap<Path, Arc<[u8]>> = stored.into_iter().collect();
        for (path, kept) in fresh.into_iter().filter(|(path, _)| below.contains(*path)) {
            let older = all
                .get(&path)
                .and_then(|body| time_of(body))
                .is_some_and(|time| kept.dated && time > kept.time);
            if !older {
                all.insert(path, kept.body);
            }
        }
        Ok(all.into_iter().filter_map(|(path, body)| open(path, &body)).collect())
    }

    /// The last known value of each of these. It blocks its thread.
    pub(crate) fn at(core: &Core, keys: &[(Endpoint, Path)]) -> Result<Vec<Option<KnownValue>>, StoreError> {
        let bodies = Values::bodies(core, keys)?;
        Ok(keys.iter().zip(bodies).map(|((_, path), body)| open(*path, &body?)).collect())
    }

    /// What each of these is ordered by. It blocks its thread.
    pub(super) fn keys_at(core: &Core, keys: &[(Endpoint, Path)]) -> Result<Vec<Option<Key>>, StoreError> {
        let key = |body: Arc<[u8]>| {
            let Stored { value, kind, .. } = serde_json::from_slice(&body).ok()?;
            Some(Key::of(&value, kind))
        };
        Ok(Values::bodies(core, keys)?.into_iter().map(|body| key(body?)).collect())
    }

    fn bodies(core: &Core, keys: &[(Endpoint, Path)]) -> Result<Vec<Option<Arc<[u8]>>>, StoreError> {
        let fresh: Vec<Option<Arc<[u8]>>> = {
            let fresh = core.fleet.values.fresh();
            let at = |(endpoint, path): &(Endpoint, Path)| {
                Some(fresh.devices.get(endpoint)?.get(path).filter(|kept| !kept.dated)?.body.clone())
            };
            keys.iter().map(at).collect()
        };
        let stored = core.store.values_at(keys)?;
        Ok(fresh.into_iter().zip(stored).map(|(fresh, stored)| fresh.or(stored)).collect())
    }

    /// Forgets what is not in the store yet; whether there was anything.
    pub(super) fn forget(&self, endpoint: &Endpoint) -> bool {
        let mut fresh = self.fresh();
        let gone = fresh.devices.remove(endpoint).map_or(0, |of_device| of_device.len());
        fresh.len -= gone;
        gone > 0
    }

    fn fresh(&self) -> MutexGuard<'_, Fresh> {
        self.fresh.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Fresh {
    fn put(&mut self, endpoint: &Endpoint, path: Path, new: Kept) {
        if !self.devices.contains_key(endpoint) {
            self.devices.insert(endpoint.clone(), BTreeMap::new());
        }
        let Some(of_device) = self.devices.get_mut(endpoint) else { return };
        match of_device.get_mut(&path) {
            // Of two that lie here the later one counts; a device's clock is only compared with itself.
            Some(old) if old.dated && new.dated && old.time > new.time => {}
            Some(old) => *old = new,
            None => {
                of_device.insert(path, new);
                self.len += 1;
            }
        }
    }

    /// Takes out what was written, unless it has been told again since.
    fn written(&mut self, rows: &[Row]) {
        for Row { endpoint, path, kept } in rows {
            let Some(of_device) = self.devices.get_mut(endpoint) else { continue };
            if of_device.get(path).is_some_and(|now| Arc::ptr_eq(&now.body, &kept.body)) {
                of_device.remove(path);
                self.len -= 1;
            }
            if of_device.is_empty() {
                self.devices.remove(endpoint);
            }
        }
    }
}

/// One value on its way into the store.
struct Row {
    endpoint: Endpoint,
    path: Path,
    kept: Kept,
}

fn open(path: Path, body: &[u8]) -> Option<KnownValue> {
    let Stored { value, kind, time_ms, source } = serde_json::from_slice(body).ok()?;
    Some(KnownValue { path: path.to_string(), kind, value, time: Timestamp(time_ms), source })
}

/// A value as a text.
pub(super) fn text_of(body: &[u8]) -> Option<String> {
    let stored: Stored = serde_json::from_slice(body).ok()?;
    Some(stored.value.as_str().map_or_else(|| stored.value.to_string(), str::to_owned))
}

/// The moment of a value.
pub(super) fn time_of(body: &[u8]) -> Option<Timestamp> {
    let stored: Stored = serde_json::from_slice(body).ok()?;
    Some(Timestamp(stored.time_ms))
}

/// Brings values into the store: each second, or when there are many; and once more at the end.
pub(crate) async fn keep(core: Arc<Core>) {
    let mut stopping = core.stopping.subscribe();
    loop {
        let over = tokio::select! {
            () = tokio::time::sleep(EVERY) => false,
            () = core.fleet.values.many.notified() => false,
            () = stopped(&mut stopping) => true,
        };
        write(&core).await;
        if over {
            return;
        }
    }
}

/// Writes what is fresh now. What the store does not take stays.
pub(crate) async fn write(core: &Arc<Core>) {
    let _turn = core.fleet.values.turn.lock().await;
    loop {
        let rows: Vec<Row> = {
            let fresh = core.fleet.values.fresh();
            let all = fresh.devices.iter().flat_map(|(endpoint, of_device)| {
                of_device.iter().map(|(path, kept)| Row {
                    endpoint: endpoint.clone(),
                    path: *path,
                    kept: kept.clone(),
                })
            });
            all.take(ROWS_MAX).collect()
        };
        if rows.is_empty() {
            return;
        }
        let asked = core.clone();
        let looked = tokio::task::spawn_blocking(move || {
            let facts = facts(&asked, &rows);
            (rows, facts)
        });
        let Ok((rows, Ok(facts))) = looked.await else { return };
        if !facts.is_empty() && core.store.commit(Batch { facts }).await.is_err() {
            return;
        }
        core.fleet.values.fresh().written(&rows);
    }
}

/// Those that are news: not older than what is there, and of no device that has too many.
fn facts(core: &Core, rows: &[Row]) -> Result<Vec<Fact>, StoreError> {
    let keys: Vec<_> = rows.iter().map(|row| (row.endpoint.clone(), row.path)).collect();
    let before = core.store.values_at(&keys)?;
    let mut counts: HashMap<&Endpoint, usize> = HashMap::new();
    let mut facts = Vec::with_capacity(rows.len());
    for (row, before) in rows.iter().zip(before) {
        match &before {
            Some(before) if row.kept.dated && time_of(before).is_some_and(|time| time > row.kept.time) => {
                continue;
            }
            Some(_) => {}
            None => {
                let count = match counts.get(&row.endpoint) {
                    Some(count) => *count,
                    None => core.store.values(&row.endpoint, Path::ROOT)?.len(),
                };
                counts.insert(&row.endpoint, count + 1);
                if count >= PER_DEVICE_MAX {
                    core.fleet.values.dropped.fetch_add(1, Ordering::Relaxed);
                    continue;
                }
            }
        }
        let value = Some(row.kept.body.clone());
        facts.push(Fact::Value { endpoint: row.endpoint.clone(), path: row.path, value });
    }
    Ok(facts)
}

/// How old a value may be that is not in the store.
const EVERY: Duration = Duration::from_secs(1);
/// So many are written without waiting for that.
const MANY: usize = 4096;
/// Written together.
const ROWS_MAX: usize = 4096;
/// Values that lie here, at most: when the store fails, what is told meanwhile is not known afterwards.
const FRESH_MAX: usize = 65_536;
/// Values of one device that are known.
const PER_DEVICE_MAX: usize = 1000;
/// Bytes of a value with what belongs to it.
const BODY_LEN_MAX: usize = 8192;
