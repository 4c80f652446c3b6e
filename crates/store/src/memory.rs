//! The memory backend: nothing outlives the process.

use std::collections::BTreeMap;
use std::ops::Bound;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use lightship_lwm2m::{Endpoint, Path};

use crate::access::{Audit, AuditOf, AuditRecord, TokenRecord};
use crate::batch::{
    Batch, Cursor, DocumentKey, EventPage, EventsFound, EventsOf, Fact, RegistrationRecord, Unreadable,
    WantedKey, WantedObservation,
};
use crate::command::{CommandId, CommandRecord};
use crate::commands::Commands;
use crate::credential::{CredentialKey, CredentialRecord, CredentialSet};
use crate::credentials::{Change, Credentials};
use crate::options::Limits;
use crate::ring::Ring;
use crate::{Health, LastValue, Note, Store, StoreError};

/// Everything wanted, by device and key.
type Wanted = BTreeMap<Endpoint, BTreeMap<WantedKey, WantedObservation>>;
/// All documents, by key.
type Documents = BTreeMap<DocumentKey, Arc<str>>;

/// All tokens, by id.
type Tokens = BTreeMap<Arc<str>, Arc<TokenRecord>>;

/// How a memory store is made.
#[derive(Clone, Copy, Debug)]
pub struct Options {
    /// The name of the log; it ends with the process, so the next one has another.
    pub writer: u32,
    /// Events kept.
    pub events_max: usize,
    /// Bytes of events kept.
    pub event_bytes_max: usize,
    /// What is kept of the rest.
    pub limits: Limits,
}

impl Default for Options {
    fn default() -> Options {
        Options { writer: 0, events_max: 10_000, event_bytes_max: 64 << 20, limits: Limits::default() }
    }
}

/// Everything in memory.
#[derive(Debug)]
pub struct MemoryStore {
    limits: Limits,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    ring: Ring,
    registrations: BTreeMap<Endpoint, Arc<RegistrationRecord>>,
    wanted: Arc<Wanted>,
    commands: Arc<Commands>,
    documents: Arc<Documents>,
    credentials: Credentials,
    values: BTreeMap<Endpoint, BTreeMap<Path, Arc<[u8]>>>,
    notes: BTreeMap<Arc<str>, Arc<str>>,
    tokens: Arc<Tokens>,
    audit: Audit,
    hand_over: Option<Box<[u8]>>,
    ticket_keys: Option<Box<[u8]>>,
}

/// The rare facts that a batch changes, as they will be.
#[derive(Clone, Default)]
struct Changes {
    wanted: Option<Arc<Wanted>>,
    commands: Option<Arc<Commands>>,
    documents: Option<Arc<Documents>>,
    credentials: Vec<Change>,
    tokens: Option<Arc<Tokens>>,
}

impl MemoryStore {
    /// An empty one.
    #[must_use]
    pub fn new(options: Options) -> MemoryStore {
        let ring = Ring::new(options.writer, options.events_max, options.event_bytes_max);
        MemoryStore {
            limits: options.limits,
            state: Mutex::new(State {
                ring,
                registrations: BTreeMap::new(),
                wanted: Arc::default(),
                commands: Arc::default(),
                documents: Arc::default(),
                credentials: Credentials::default(),
                values: BTreeMap::new(),
                notes: BTreeMap::new(),
                tokens: Arc::default(),
                audit: Audit::default(),
                hand_over: None,
                ticket_keys: None,
            }),
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn commit_now(&self, batch: Batch) -> Result<Cursor, StoreError> {
        let mut state = self.state();
        let changes = state.changed(&batch, &self.limits)?;
        Ok(state.apply(batch, changes, &self.limits))
    }
}

impl State {
    /// The facts of the batch applied to copies; only what has such facts is copied.
    fn changed(&self, batch: &Batch, limits: &Limits) -> Result<Changes, StoreError> {
        let mut changes = Changes::default();
        let (mut wanted, mut commands, mut documents, mut tokens) = (None, None, None, None);
        for fact in &batch.facts {
            match fact {
                Fact::Happened(_)
                | Fact::Registered(_)
                | Fact::Leased { .. }
                | Fact::Deregistered { .. }
                | Fact::Value { .. }
                | Fact::Note { .. }
                | Fact::Audited(_) => {}
                Fact::Wanted { endpoint, observation } => {
                    let wanted = wanted.get_or_insert_with(|| Wanted::clone(&self.wanted));
                    let of_device = wanted.entry(endpoint.clone()).or_default();
                    of_device.insert(observation.key.clone(), observation.clone());
                }
                Fact::Unwanted { endpoint, key } => {
                    let wanted = wanted.get_or_insert_with(|| Wanted::clone(&self.wanted));
                    if let Some(of_device) = wanted.get_mut(endpoint) {
                        of_device.remove(key);
                        if of_device.is_empty() {
                            wanted.remove(endpoint);
                        }
                    }
                }
                Fact::Commanded(record) => {
                    let commands = commands.get_or_insert_with(|| Commands::clone(&self.commands));
                    commands.put(record.clone());
                }
                Fact::Document { key, body } => {
                    let documents = documents.get_or_insert_with(|| Documents::clone(&self.documents));
                    documents.insert(key.clone(), body.clone());
                }
                Fact::NoDocument { key } => {
                    documents.get_or_insert_with(|| Documents::clone(&self.documents)).remove(key);
                }
                Fact::Credential(record) => changes.credentials.push(Change::Put(record.clone())),
                Fact::NoCredential { key } => changes.credentials.push(Change::Gone(key.clone())),
                Fact::Token(record) => {
                    let tokens = tokens.get_or_insert_with(|| Tokens::clone(&self.tokens));
                    tokens.insert(record.id.clone(), record.clone());
                }
                Fact::NoToken { id } => {
                    tokens.get_or_insert_with(|| Tokens::clone(&self.tokens)).remove(id);
                }
            }
        }
        changes.tokens = tokens.map(|tokens| self.tokens_within(tokens, limits)).transpose()?;
        if let Some(wanted) = wanted {
            let count = |wanted: &Wanted| wanted.values().map(BTreeMap::len).sum::<usize>();
            if count(&wanted) > limits.wanted_max.max(count(&self.wanted)) {
                return Err(StoreError::Full { what: "wanted observations", max: limits.wanted_max });
            }
            changes.wanted = Some(Arc::new(wanted));
        }
        if let Some(mut commands) = commands {
            commands.within(limits, (self.commands.live_len(), self.commands.live_bytes()))?;
            commands.forget_ended(limits.commands_kept, limits.command_bytes_max);
            changes.commands = Some(Arc::new(commands));
        }
        if let Some(documents) = documents {
            if documents.len() > limits.documents_max.max(self.documents.len()) {
                return Err(StoreError::Full { what: "bootstrap documents", max: limits.documents_max });
            }
            changes.documents = Some(Arc::new(documents));
        }
        self.credentials.check(&changes.credentials, limits.credentials_max)?;
        Ok(changes)
    }

    fn tokens_within(&self, tokens: Tokens, limits: &Limits) -> Result<Arc<Tokens>, StoreError> {
        if tokens.len() > limits.tokens_max.max(self.tokens.len()) {
            return Err(StoreError::Full { what: "tokens", max: limits.tokens_max });
        }
        Ok(Arc::new(tokens))
    }

    fn apply(&mut self, batch: Batch, changes: Changes, limits: &Limits) -> Cursor {
        if let Some(wanted) = changes.wanted {
            self.wanted = wanted;
        }
        if let Some(commands) = changes.commands {
            self.commands = commands;
        }
        if let Some(documents) = changes.documents {
            self.documents = documents;
        }
        if let Some(tokens) = changes.tokens {
            self.tokens = tokens;
        }
        for fact in batch.facts {
            match fact {
                Fact::Happened(event) => self.ring.push(event),
                Fact::Audited(record) => self.audit.put(record, limits),
                Fact::Registered(record) => {
                    self.registrations.insert(record.endpoint.clone(), record);
                }
                Fact::Leased { endpoint, id, expires_ms } => {
                    let kept = self.registrations.get_mut(&endpoint).filter(|kept| kept.id == id);
                    if let Some(kept) = kept {
                        Arc::make_mut(kept).expires_ms = Some(expires_ms);
                    }
                }
                Fact::Deregistered { endpoint, id } => {
                    let is_kept = self.registrations.get(&endpoint).is_some_and(|kept| kept.id == id);
                    is_kept.then(|| self.registrations.remove(&endpoint));
                }
                Fact::Value { endpoint, path, value } => self.value(endpoint, path, value),
                Fact::Note { name, body: Some(body) } => {
                    self.notes.insert(name, body);
                }
                Fact::Note { name, body: None } => {
                    self.notes.remove(&name);
                }
                // Applied above, as a whole.
                Fact::Wanted { .. }
                | Fact::Unwanted { .. }
                | Fact::Commanded(_)
                | Fact::Document { .. }
                | Fact::NoDocument { .. }
                | Fact::Credential(_)
                | Fact::NoCredential { .. }
                | Fact::Token(_)
                | Fact::NoToken { .. } => {}
            }
        }
        changes.credentials.iter().for_each(|change| self.credentials.apply(change));
        self.ring.newest()
    }

    fn value(&mut self, endpoint: Endpoint, path: Path, value: Option<Arc<[u8]>>) {
        if let Some(value) = value {
            self.values.entry(endpoint).or_default().insert(path, value);
        } else if let Some(of_device) = self.values.get_mut(&endpoint) {
            of_device.remove(&path);
            if of_device.is_empty() {
                self.values.remove(&endpoint);
            }
        }
    }
}

impl Store for MemoryStore {
    async fn commit(&self, batch: Batch) -> Result<Cursor, StoreError> {
        let newest = self.commit_now(batch);
        std::future::ready(newest).await
    }

    fn health(&self) -> Health {
        Health::Good
    }

    async fn registration(&self, endpoint: &Endpoint) -> Result<Option<Arc<RegistrationRecord>>, StoreError> {
        let registration = self.state().registrations.get(endpoint).cloned();
        std::future::ready(Ok(registration)).await
    }

    fn each_registration(&self, visit: &(dyn Fn(Vec<RegistrationRecord>) + Sync)) -> Result<u64, StoreError> {
        let all: Vec<_> = self.state().registrations.values().map(|record| (**record).clone()).collect();
        let count = u64::try_from(all.len()).unwrap_or(u64::MAX);
        visit(all);
        Ok(count)
    }

    fn registrations_about(&self) -> u64 {
        u64::try_from(self.state().registrations.len()).unwrap_or(u64::MAX)
    }

    async fn events_of(&self, endpoint: &Endpoint, which: EventsOf) -> Result<EventsFound, StoreError> {
        let events = self.state().ring.of(endpoint, which);
        std::future::ready(Ok(EventsFound { events, unreadable: None })).await
    }

    fn unreadable(&self) -> Vec<Unreadable> {
        Vec::new()
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

    fn values(&self, endpoint: &Endpoint, below: Path) -> Result<Vec<LastValue>, StoreError> {
        let state = self.state();
        let of_device = state.values.get(endpoint).into_iter().flatten();
        let found = of_device.filter(|(path, _)| below.contains(**path));
        Ok(found.map(|(path, value)| (*path, value.clone())).collect())
    }

    fn values_at(&self, keys: &[(Endpoint, Path)]) -> Result<Vec<Option<Arc<[u8]>>>, StoreError> {
        let state = self.state();
        let at = |(endpoint, path): &(Endpoint, Path)| state.values.get(endpoint)?.get(path).cloned();
        Ok(keys.iter().map(at).collect())
    }

    fn each_value(
        &self,
        behind: Option<&Endpoint>,
        visit: &mut (dyn FnMut(&str, Path, &[u8]) -> bool + Send),
    ) -> Result<(), StoreError> {
        // A device at a time, so that nobody waits for long.
        let mut last: Option<Endpoint> = behind.cloned();
        loop {
            let from = last.as_ref().map_or(Bound::Unbounded, Bound::Excluded);
            let state = self.state();
            let next = state.values.range::<Endpoint, _>((from, Bound::Unbounded)).next();
            let Some((endpoint, values)) = next.map(|(endpoint, values)| (endpoint.clone(), values.clone()))
            else {
                return Ok(());
            };
            drop(state);
            if !values.iter().all(|(path, value)| visit(endpoint.as_str(), *path, value)) {
                return Ok(());
            }
            last = Some(endpoint);
        }
    }

    async fn notes(&self, prefix: &str) -> Result<Vec<Note>, StoreError> {
        let notes: Vec<_> = {
            let state = self.state();
            let notes = state.notes.iter().filter(|(name, _)| name.starts_with(prefix));
            notes.map(|(name, body)| (name.clone(), body.clone())).collect()
        };
        std::future::ready(Ok(notes)).await
    }

    fn notes_at(&self, names: &[Arc<str>]) -> Result<Vec<Option<Arc<str>>>, StoreError> {
        let state = self.state();
        Ok(names.iter().map(|name| state.notes.get(name).cloned()).collect())
    }

    async fn tokens(&self) -> Result<Vec<Arc<TokenRecord>>, StoreError> {
        let tokens = self.state().tokens.clone();
        std::future::ready(Ok(tokens.values().cloned().collect())).await
    }

    async fn audit(&self, which: AuditOf) -> Result<Vec<Arc<AuditRecord>>, StoreError> {
        let page = self.state().audit.page(&which);
        std::future::ready(Ok(page)).await
    }

    async fn leave_hand_over(&self, bytes: Box<[u8]>) -> Result<(), StoreError> {
        self.state().hand_over = Some(bytes);
        std::future::ready(Ok(())).await
    }

    async fn take_hand_over(&self) -> Result<Option<Vec<u8>>, StoreError> {
        let taken = self.state().hand_over.take().map(Vec::from);
        std::future::ready(Ok(taken)).await
    }

    async fn keep_ticket_keys(&self, bytes: Box<[u8]>) -> Result<(), StoreError> {
        self.state().ticket_keys = Some(bytes);
        std::future::ready(Ok(())).await
    }

    async fn ticket_keys(&self) -> Result<Option<Vec<u8>>, StoreError> {
        let kept = self.state().ticket_keys.as_deref().map(<[u8]>::to_vec);
        std::future::ready(Ok(kept)).await
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
