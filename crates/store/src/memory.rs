//! The memory backend. With a folder, the rare facts (wanted observations, commands, bootstrap documents) are also in small
//! files, one for each kind; each is written whole.

use std::collections::BTreeMap;
use std::ops::Bound;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use lightship_lwm2m::Endpoint;

use crate::batch::{
    Batch, Cursor, DocumentKey, EventPage, EventRecord, EventsOf, Fact, RegistrationRecord, WantedObservation,
};
use crate::command::{CommandId, CommandRecord};
use crate::commands::{self, Commands};
use crate::credential::{CredentialKey, CredentialRecord, CredentialSet};
use crate::credentials::{Change, Credentials, Frame};
use crate::documents_file::{self, Documents};
use crate::hand_over;
use crate::ring::Ring;
use crate::wanted_file::{self, Wanted};
use crate::{Health, Store, StoreError};

/// How a memory store is made.
#[derive(Clone, Debug)]
pub struct Options {
    /// Folder for the rare facts; `None` = they end with the process.
    pub folder: Option<PathBuf>,
    /// The name of the log; it ends with the process, so the next one has another.
    pub writer: u32,
    /// Events kept.
    pub events_max: usize,
    /// Bytes of events kept.
    pub event_bytes_max: usize,
    /// Wanted observations of all devices together.
    pub wanted_max: usize,
    /// Commands of all devices together that wait or are on their way.
    pub commands_max: usize,
    /// Commands that have ended and are kept to be looked at.
    pub commands_kept: usize,
    /// Bootstrap documents and templates together.
    pub documents_max: usize,
    /// Credentials of both sets together.
    pub credentials_max: usize,
    /// Bytes that all commands take, with what was answered.
    pub command_bytes_max: usize,
}

impl Default for Options {
    fn default() -> Options {
        Options {
            folder: None,
            writer: 0,
            events_max: 10_000,
            event_bytes_max: 64 << 20,
            wanted_max: 1_000_000,
            commands_max: 10_000,
            commands_kept: 10_000,
            documents_max: 1_000_000,
            credentials_max: 2_000_000,
            command_bytes_max: 16 << 20,
        }
    }
}

/// Everything in memory.
#[derive(Debug)]
pub struct MemoryStore {
    folder: Option<PathBuf>,
    wanted_max: usize,
    commands_max: usize,
    commands_kept: usize,
    documents_max: usize,
    credentials_max: usize,
    command_bytes_max: usize,
    state: Mutex<State>,
    /// Held while a file is written, so that batches with facts follow each other.
    writing: tokio::sync::Mutex<()>,
}

#[derive(Debug)]
struct State {
    ring: Ring,
    registrations: BTreeMap<Endpoint, Arc<RegistrationRecord>>,
    wanted: Arc<Wanted>,
    commands: Arc<Commands>,
    documents: Arc<Documents>,
    credentials: Credentials,
}

/// The rare facts that a batch changes, as they will be.
#[derive(Clone, Default)]
struct Changes {
    wanted: Option<Arc<Wanted>>,
    commands: Option<Arc<Commands>>,
    documents: Option<Arc<Documents>>,
    credentials: Vec<Change>,
    frame: Option<Frame>,
}

impl MemoryStore {
    /// Opens the store; makes the folder if it is not there.
    ///
    /// # Errors
    /// When the folder cannot be made or read, or its file is damaged.
    pub fn open(options: Options) -> Result<MemoryStore, StoreError> {
        let (wanted, commands, documents, credentials) = match &options.folder {
            Some(folder) => {
                std::fs::create_dir_all(folder)
                    .map_err(|source| StoreError::Unavailable { path: folder.clone(), source })?;
                (
                    wanted_file::read(folder)?,
                    commands::read(folder)?,
                    documents_file::read(folder)?,
                    Credentials::open(folder)?,
                )
            }
            None => Default::default(),
        };
        let ring = Ring::new(options.writer, options.events_max, options.event_bytes_max);
        Ok(MemoryStore {
            folder: options.folder,
            wanted_max: options.wanted_max,
            commands_max: options.commands_max,
            commands_kept: options.commands_kept,
            command_bytes_max: options.command_bytes_max,
            documents_max: options.documents_max,
            credentials_max: options.credentials_max,
            state: Mutex::new(State {
                ring,
                registrations: BTreeMap::new(),
                wanted: Arc::new(wanted),
                commands: Arc::new(commands),
                documents: Arc::new(documents),
                credentials,
            }),
            writing: tokio::sync::Mutex::new(()),
        })
    }

    /// Does what waits for the disk on a thread for that.
    async fn blocking<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, StoreError> {
        let path = || self.folder.clone().unwrap_or_default();
        let done = tokio::task::spawn_blocking(work).await;
        done.map_err(|error| StoreError::Unavailable { path: path(), source: std::io::Error::other(error) })?
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The facts of the batch applied to copies; only what has such facts is copied.
    fn changed(&self, batch: &Batch) -> Result<Changes, StoreError> {
        let mut changes = Changes::default();
        let (mut wanted, mut commands, mut documents) = (None, None, None);
        for fact in &batch.facts {
            match fact {
                Fact::Happened(_) | Fact::Registered(_) | Fact::Leased { .. } | Fact::Deregistered { .. } => {
                }
                Fact::Wanted { endpoint, observation } => {
                    let wanted = wanted.get_or_insert_with(|| Wanted::clone(&self.state().wanted.clone()));
                    let of_device = wanted.entry(endpoint.clone()).or_default();
                    of_device.insert(observation.key.clone(), observation.clone());
                }
                Fact::Unwanted { endpoint, key } => {
                    let wanted = wanted.get_or_insert_with(|| Wanted::clone(&self.state().wanted.clone()));
                    if let Some(of_device) = wanted.get_mut(endpoint) {
                        of_device.remove(key);
                        if of_device.is_empty() {
                            wanted.remove(endpoint);
                        }
                    }
                }
                Fact::Commanded(record) => {
                    let commands =
                        commands.get_or_insert_with(|| Commands::clone(&self.state().commands.clone()));
                    commands.put(record.clone());
                }
                Fact::Document { key, body } => {
                    let documents =
                        documents.get_or_insert_with(|| Documents::clone(&self.state().documents.clone()));
                    documents.insert(key.clone(), body.clone());
                }
                Fact::NoDocument { key } => {
                    let documents =
                        documents.get_or_insert_with(|| Documents::clone(&self.state().documents.clone()));
                    documents.remove(key);
                }
                Fact::Credential(record) => changes.credentials.push(Change::Put(record.clone())),
                Fact::NoCredential { key } => changes.credentials.push(Change::Gone(key.clone())),
            }
        }
        if let Some(wanted) = wanted {
            changes.wanted = Some(self.within(wanted)?);
        }
        if let Some(mut commands) = commands {
            // What ends a command is always taken.
            let (before, bytes_before) = {
                let commands = &self.state().commands;
                (commands.live_len(), commands.live_bytes())
            };
            if commands.live_len() > self.commands_max.max(before) {
                return Err(StoreError::Full { what: "commands that wait", max: self.commands_max });
            }
            let more = commands.live_len() > before;
            if more && commands.live_bytes() > self.command_bytes_max.max(bytes_before) {
                return Err(StoreError::Full { what: "bytes of commands", max: self.command_bytes_max });
            }
            commands.forget_ended(self.commands_kept, self.command_bytes_max);
            changes.commands = Some(Arc::new(commands));
        }
        if let Some(documents) = documents {
            if documents.len() > self.documents_max {
                return Err(StoreError::Full { what: "bootstrap documents", max: self.documents_max });
            }
            changes.documents = Some(Arc::new(documents));
        }
        self.prepare_credentials(&mut changes)?;
        Ok(changes)
    }

    fn within(&self, wanted: Wanted) -> Result<Arc<Wanted>, StoreError> {
        let count: usize = wanted.values().map(BTreeMap::len).sum();
        if count > self.wanted_max {
            return Err(StoreError::Full { what: "wanted observations", max: self.wanted_max });
        }
        Ok(Arc::new(wanted))
    }

    fn prepare_credentials(&self, changes: &mut Changes) -> Result<(), StoreError> {
        if !changes.credentials.is_empty() {
            let credentials = &self.state().credentials;
            credentials.check(&changes.credentials, self.credentials_max)?;
            changes.frame = credentials.frame(&changes.credentials);
        }
        Ok(())
    }

    fn apply(&self, batch: Batch, changes: Changes) -> Cursor {
        let mut state = self.state();
        if let Some(wanted) = changes.wanted {
            state.wanted = wanted;
        }
        if let Some(commands) = changes.commands {
            state.commands = commands;
        }
        if let Some(documents) = changes.documents {
            state.documents = documents;
        }
        for fact in batch.facts {
            match fact {
                Fact::Happened(event) => state.ring.push(event),
                Fact::Registered(record) => {
                    state.registrations.insert(record.endpoint.clone(), record);
                }
                Fact::Leased { endpoint, id, expires_ms } => {
                    let kept = state.registrations.get_mut(&endpoint).filter(|kept| kept.id == id);
                    if let Some(kept) = kept {
                        Arc::make_mut(kept).expires_ms = Some(expires_ms);
                    }
                }
                Fact::Deregistered { endpoint, id } => {
                    let is_kept = state.registrations.get(&endpoint).is_some_and(|kept| kept.id == id);
                    is_kept.then(|| state.registrations.remove(&endpoint));
                }
                // Applied above, as a whole.
                Fact::Wanted { .. }
                | Fact::Unwanted { .. }
                | Fact::Commanded(_)
                | Fact::Document { .. }
                | Fact::NoDocument { .. }
                | Fact::Credential(_)
                | Fact::NoCredential { .. } => {}
            }
        }
        changes.credentials.iter().for_each(|change| state.credentials.apply(change));
        if let Some(frame) = &changes.frame {
            state.credentials.written(frame, changes.credentials.len());
        }
        state.ring.newest()
    }
}

/// Brings the changed facts to the disk, each file whole.
fn write(folder: &Path, changes: &Changes) -> Result<(), StoreError> {
    if let Some(wanted) = &changes.wanted {
        wanted_file::write(folder, wanted)?;
    }
    if let Some(commands) = &changes.commands {
        commands::write(folder, commands)?;
    }
    if let Some(documents) = &changes.documents {
        documents_file::write(folder, documents)?;
    }
    changes.frame.as_ref().map_or(Ok(()), Frame::write)
}

impl Changes {
    const fn is_empty(&self) -> bool {
        self.wanted.is_none()
            && self.commands.is_none()
            && self.documents.is_none()
            && self.credentials.is_empty()
    }
}

impl Store for MemoryStore {
    async fn commit(&self, batch: Batch) -> Result<Cursor, StoreError> {
        let _turn = self.writing.lock().await;
        let changes = self.changed(&batch)?;
        if let Some(folder) = self.folder.clone().filter(|_| !changes.is_empty()) {
            let written = changes.clone();
            self.blocking(move || write(&folder, &written)).await?;
        }
        Ok(self.apply(batch, changes))
    }

    fn health(&self) -> Health {
        Health::Good
    }

    async fn registration(&self, endpoint: &Endpoint) -> Result<Option<Arc<RegistrationRecord>>, StoreError> {
        let registration = self.state().registrations.get(endpoint).cloned();
        std::future::ready(Ok(registration)).await
    }

    fn each_registration(
        &self,
        visit: &mut (dyn FnMut(RegistrationRecord) + Send),
    ) -> Result<u64, StoreError> {
        let all = self.state().registrations.clone();
        let mut count = 0;
        for record in all.into_values() {
            visit(Arc::unwrap_or_clone(record));
            count += 1;
        }
        Ok(count)
    }

    async fn events_of(
        &self,
        endpoint: &Endpoint,
        which: EventsOf,
    ) -> Result<Vec<Arc<EventRecord>>, StoreError> {
        let events = self.state().ring.of(endpoint, which);
        std::future::ready(Ok(events)).await
    }

    async fn credential(&self, key: &CredentialKey) -> Result<Option<Arc<CredentialRecord>>, StoreError> {
        let credential = self.state().credentials.get(key);
        std::future::ready(Ok(credential)).await
    }

    async fn credential_presented(
        &self,
        set: CredentialSet,
        principal: &[u8],
    ) -> Result<Option<Arc<CredentialRecord>>, StoreError> {
        let credential = self.state().credentials.presented(set, principal);
        std::future::ready(Ok(credential)).await
    }

    async fn credentials(
        &self,
        set: CredentialSet,
        after: Option<&Endpoint>,
        max: usize,
    ) -> Result<Vec<Arc<CredentialRecord>>, StoreError> {
        let page = self.state().credentials.page(set, after, max);
        std::future::ready(Ok(page)).await
    }

    async fn leave_hand_over(&self, bytes: Box<[u8]>) -> Result<(), StoreError> {
        match self.folder.clone() {
            Some(folder) => self.blocking(move || hand_over::write(&folder, &bytes)).await,
            // Nothing of this store outlives the process.
            None => Ok(()),
        }
    }

    async fn take_hand_over(&self) -> Result<Option<Vec<u8>>, StoreError> {
        match self.folder.clone() {
            Some(folder) => self.blocking(move || hand_over::take(&folder)).await,
            None => Ok(None),
        }
    }

    async fn command(&self, id: CommandId) -> Result<Option<Arc<CommandRecord>>, StoreError> {
        let commands = self.state().commands.clone();
        std::future::ready(Ok(commands.get(id))).await
    }

    async fn commands(&self, endpoint: &Endpoint) -> Result<Vec<Arc<CommandRecord>>, StoreError> {
        let commands = self.state().commands.clone();
        std::future::ready(Ok(commands.of(endpoint))).await
    }

    async fn live_commands(&self) -> Result<Vec<Arc<CommandRecord>>, StoreError> {
        let commands = self.state().commands.clone();
        std::future::ready(Ok(commands.live())).await
    }

    async fn last_command(&self) -> Result<u64, StoreError> {
        let commands = self.state().commands.clone();
        std::future::ready(Ok(commands.last_number())).await
    }

    async fn document(&self, key: &DocumentKey) -> Result<Option<Arc<str>>, StoreError> {
        let document = self.state().documents.get(key).cloned();
        std::future::ready(Ok(document)).await
    }

    async fn documents(
        &self,
        after: Option<&DocumentKey>,
        max: usize,
    ) -> Result<Vec<(DocumentKey, Arc<str>)>, StoreError> {
        let documents = self.state().documents.clone();
        let from = after.map_or(Bound::Unbounded, Bound::Excluded);
        let page = documents.range((from, Bound::Unbounded)).take(max);
        let page = page.map(|(key, body)| (key.clone(), body.clone())).collect();
        std::future::ready(Ok(page)).await
    }

    async fn wanted(&self, endpoint: &Endpoint) -> Result<Vec<WantedObservation>, StoreError> {
        let of_device = self.state().wanted.get(endpoint).map(|map| map.values().cloned().collect());
        std::future::ready(Ok(of_device.unwrap_or_default())).await
    }

    fn each_wanted(&self, visit: &mut (dyn FnMut(Endpoint) + Send)) -> Result<(), StoreError> {
        let wanted = self.state().wanted.clone();
        wanted.keys().cloned().for_each(visit);
        Ok(())
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
