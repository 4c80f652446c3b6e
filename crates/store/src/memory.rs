//! The memory backend. With a folder, the rare facts (wanted observations) are also in one small file.

use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use lightship_lwm2m::Endpoint;

use crate::batch::{Batch, Cursor, EventPage, Fact, WantedObservation};
use crate::ring::Ring;
use crate::wanted_file::{self, Wanted};
use crate::{Store, StoreError};

/// How a memory store is made.
#[derive(Clone, Debug)]
pub struct Options {
    /// Folder for the rare facts; `None` = they end with the process.
    pub folder: Option<PathBuf>,
    /// The number of this process among the writers of events; another one after each restart.
    pub writer: u32,
    /// Events kept.
    pub events_max: usize,
    /// Bytes of events kept.
    pub event_bytes_max: usize,
    /// Wanted observations of all devices together.
    pub wanted_max: usize,
}

impl Default for Options {
    fn default() -> Options {
        Options {
            folder: None,
            writer: 0,
            events_max: 10_000,
            event_bytes_max: 64 << 20,
            wanted_max: 1_000_000,
        }
    }
}

/// Everything in memory.
#[derive(Debug)]
pub struct MemoryStore {
    folder: Option<PathBuf>,
    wanted_max: usize,
    state: Mutex<State>,
    /// Held while a file is written, so that batches with facts follow each other.
    writing: tokio::sync::Mutex<()>,
}

#[derive(Debug)]
struct State {
    ring: Ring,
    wanted: Arc<Wanted>,
}

impl MemoryStore {
    /// Opens the store; makes the folder if it is not there.
    ///
    /// # Errors
    /// When the folder cannot be made or read, or its file is damaged.
    pub fn open(options: Options) -> Result<MemoryStore, StoreError> {
        let wanted = match &options.folder {
            Some(folder) => {
                std::fs::create_dir_all(folder)
                    .map_err(|source| StoreError::Unavailable { path: folder.clone(), source })?;
                wanted_file::read(folder)?
            }
            None => Wanted::new(),
        };
        let ring = Ring::new(options.writer, options.events_max, options.event_bytes_max);
        Ok(MemoryStore {
            folder: options.folder,
            wanted_max: options.wanted_max,
            state: Mutex::new(State { ring, wanted: Arc::new(wanted) }),
            writing: tokio::sync::Mutex::new(()),
        })
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The facts of the batch applied to a copy; `None` when it has no facts but events.
    fn changed(&self, batch: &Batch) -> Result<Option<Wanted>, StoreError> {
        if batch.facts.iter().all(|fact| matches!(fact, Fact::Happened(_))) {
            return Ok(None);
        }
        let mut wanted = Wanted::clone(&self.state().wanted.clone());
        for fact in &batch.facts {
            match fact {
                Fact::Happened(_) => {}
                Fact::Wanted { endpoint, observation } => {
                    wanted
                        .entry(endpoint.clone())
                        .or_default()
                        .insert(observation.key.clone(), observation.clone());
                }
                Fact::Unwanted { endpoint, key } => {
                    if let Some(of_device) = wanted.get_mut(endpoint) {
                        of_device.remove(key);
                        if of_device.is_empty() {
                            wanted.remove(endpoint);
                        }
                    }
                }
            }
        }
        let count: usize = wanted.values().map(std::collections::BTreeMap::len).sum();
        if count > self.wanted_max {
            return Err(StoreError::Full { what: "wanted observations", max: self.wanted_max });
        }
        Ok(Some(wanted))
    }

    fn apply(&self, batch: Batch, wanted: Option<Arc<Wanted>>) {
        let mut state = self.state();
        if let Some(wanted) = wanted {
            state.wanted = wanted;
        }
        for fact in batch.facts {
            if let Fact::Happened(event) = fact {
                state.ring.push(event);
            }
        }
    }
}

impl Store for MemoryStore {
    async fn commit(&self, batch: Batch) -> Result<(), StoreError> {
        let _turn = self.writing.lock().await;
        let wanted = self.changed(&batch)?.map(Arc::new);
        if let (Some(wanted), Some(folder)) = (&wanted, &self.folder) {
            let (wanted, folder) = (wanted.clone(), folder.clone());
            let path = folder.clone();
            tokio::task::spawn_blocking(move || wanted_file::write(&folder, &wanted))
                .await
                .map_err(|error| StoreError::Unavailable { path, source: std::io::Error::other(error) })??;
        }
        self.apply(batch, wanted);
        Ok(())
    }

    async fn wanted(&self, endpoint: &Endpoint) -> Result<Vec<WantedObservation>, StoreError> {
        let of_device = self.state().wanted.get(endpoint).map(|map| map.values().cloned().collect());
        std::future::ready(Ok(of_device.unwrap_or_default())).await
    }

    async fn events(&self, after: Option<Cursor>, max: usize) -> Result<EventPage, StoreError> {
        let page = self.state().ring.page(after, max);
        std::future::ready(Ok(page)).await
    }

    async fn newest(&self) -> Result<Cursor, StoreError> {
        let newest = self.state().ring.newest();
        std::future::ready(Ok(newest)).await
    }
}
