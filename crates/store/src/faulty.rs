//! A store for tests that fails, or takes its time, when it is told to.

use std::sync::{Arc, Mutex, PoisonError};

use lightship_lwm2m::{Endpoint, Path};
use tokio::sync::watch;

use crate::{
    AuditOf, AuditRecord, Batch, CommandId, CommandRecord, CredentialKey, CredentialRecord, CredentialSet,
    Cursor, DocumentKey, EventPage, EventsFound, EventsOf, Health, LastValue, MemoryStore, Note,
    RegistrationRecord, Store, StoreError, TokenRecord, Unreadable, WantedObservation,
};

/// Memory, with a switch for its failures.
#[derive(Debug)]
pub struct FaultyStore {
    store: MemoryStore,
    faults: Faults,
}

/// The switch; clones are the same one.
#[derive(Clone, Debug)]
pub struct Faults {
    health: Arc<Mutex<Health>>,
    /// What becomes of it behind the next commit.
    behind: Arc<Mutex<Option<Health>>>,
    held: watch::Sender<bool>,
}

impl FaultyStore {
    /// A store that works, and its switch.
    #[must_use]
    pub fn new(store: MemoryStore) -> (FaultyStore, Faults) {
        let faults = Faults {
            health: Arc::new(Mutex::new(Health::Good)),
            behind: Arc::default(),
            held: watch::Sender::new(false),
        };
        (FaultyStore { store, faults: faults.clone() }, faults)
    }
}

impl Faults {
    /// From now on nothing is taken, as on a full disk; what is on its way is refused, too.
    pub fn fail(&self, since_ms: i64, reason: &str) {
        self.set(Health::Failing { since_ms, reason: reason.into() });
    }

    /// One more commit is taken, then it fails.
    pub fn fail_behind_one(&self, since_ms: i64, reason: &str) {
        let failing = Health::Failing { since_ms, reason: reason.into() };
        *self.behind.lock().unwrap_or_else(PoisonError::into_inner) = Some(failing);
    }

    /// It works again.
    pub fn mend(&self) {
        self.set(Health::Good);
    }

    /// From now on commits wait, as before a slow disk.
    pub fn hold(&self) {
        self.held.send_replace(true);
    }

    /// They go on.
    pub fn release(&self) {
        self.held.send_replace(false);
    }

    fn set(&self, health: Health) {
        *self.health.lock().unwrap_or_else(PoisonError::into_inner) = health;
    }

    fn works(&self) -> Result<(), StoreError> {
        match &*self.health.lock().unwrap_or_else(PoisonError::into_inner) {
            Health::Good => Ok(()),
            Health::Failing { reason, .. } => Err(StoreError::Unavailable {
                path: "faulty".into(),
                source: std::io::Error::other(reason.to_string()),
            }),
        }
    }
}

impl Store for FaultyStore {
    async fn commit(&self, batch: Batch) -> Result<Cursor, StoreError> {
        self.faults.works()?;
        let mut held = self.faults.held.subscribe();
        // The switch lives as long as this store.
        let _ = held.wait_for(|held| !held).await;
        self.faults.works()?;
        let behind = self.faults.behind.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(health) = behind {
            self.faults.set(health);
        }
        self.store.commit(batch).await
    }

    fn health(&self) -> Health {
        self.faults.health.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    async fn registration(&self, endpoint: &Endpoint) -> Result<Option<Arc<RegistrationRecord>>, StoreError> {
        self.store.registration(endpoint).await
    }

    fn each_registration(&self, visit: &(dyn Fn(Vec<RegistrationRecord>) + Sync)) -> Result<u64, StoreError> {
        self.store.each_registration(visit)
    }

    fn registrations_about(&self) -> u64 {
        self.store.registrations_about()
    }

    async fn wanted(&self, endpoint: &Endpoint) -> Result<Vec<WantedObservation>, StoreError> {
        self.store.wanted(endpoint).await
    }

    fn each_wanted(&self, visit: &mut (dyn FnMut(Endpoint) + Send)) -> Result<(), StoreError> {
        self.store.each_wanted(visit)
    }

    async fn command(&self, id: CommandId) -> Result<Option<Arc<CommandRecord>>, StoreError> {
        self.store.command(id).await
    }

    async fn commands(&self, endpoint: &Endpoint) -> Result<Vec<Arc<CommandRecord>>, StoreError> {
        self.store.commands(endpoint).await
    }

    async fn live_commands(&self) -> Result<Vec<Arc<CommandRecord>>, StoreError> {
        self.store.live_commands().await
    }

    async fn last_command(&self) -> Result<u64, StoreError> {
        self.store.last_command().await
    }

    async fn document(&self, key: &DocumentKey) -> Result<Option<Arc<str>>, StoreError> {
        self.store.document(key).await
    }

    async fn documents(
        &self,
        after: Option<&DocumentKey>,
        max: usize,
    ) -> Result<Vec<(DocumentKey, Arc<str>)>, StoreError> {
        self.store.documents(after, max).await
    }

    async fn credential(&self, key: &CredentialKey) -> Result<Option<Arc<CredentialRecord>>, StoreError> {
        self.store.credential(key).await
    }

    async fn credential_presented(
        &self,
        set: CredentialSet,
        principal: &[u8],
    ) -> Result<Option<Arc<CredentialRecord>>, StoreError> {
        self.store.credential_presented(set, principal).await
    }

    async fn credentials(
        &self,
        set: CredentialSet,
        after: Option<&Endpoint>,
        max: usize,
    ) -> Result<Vec<Arc<CredentialRecord>>, StoreError> {
        self.store.credentials(set, after, max).await
    }

    fn values(&self, endpoint: &Endpoint, below: Path) -> Result<Vec<LastValue>, StoreError> {
        self.store.values(endpoint, below)
    }

    fn values_at(&self, keys: &[(Endpoint, Path)]) -> Result<Vec<Option<Arc<[u8]>>>, StoreError> {
        self.store.values_at(keys)
    }

    fn each_value(
        &self,
        behind: Option<&Endpoint>,
        visit: &mut (dyn FnMut(&str, Path, &[u8]) -> bool + Send),
    ) -> Result<(), StoreError> {
        self.store.each_value(behind, visit)
    }

    async fn notes(&self, prefix: &str) -> Result<Vec<Note>, StoreError> {
        self.store.notes(prefix).await
    }

    fn notes_at(&self, names: &[Arc<str>]) -> Result<Vec<Option<Arc<str>>>, StoreError> {
        self.store.notes_at(names)
    }

    async fn tokens(&self) -> Result<Vec<Arc<TokenRecord>>, StoreError> {
        self.store.tokens().await
    }

    async fn audit(&self, which: AuditOf) -> Result<Vec<Arc<AuditRecord>>, StoreError> {
        self.store.audit(which).await
    }

    async fn leave_hand_over(&self, bytes: Box<[u8]>) -> Result<(), StoreError> {
        self.faults.works()?;
        self.store.leave_hand_over(bytes).await
    }

    async fn take_hand_over(&self) -> Result<Option<Vec<u8>>, StoreError> {
        self.store.take_hand_over().await
    }

    async fn keep_ticket_keys(&self, bytes: Box<[u8]>) -> Result<(), StoreError> {
        self.faults.works()?;
        self.store.keep_ticket_keys(bytes).await
    }

    async fn ticket_keys(&self) -> Result<Option<Vec<u8>>, StoreError> {
        self.store.ticket_keys().await
    }

    async fn events(&self, after: Option<Cursor>, max: usize) -> Result<EventPage, StoreError> {
        self.store.events(after, max).await
    }

    async fn events_of(&self, endpoint: &Endpoint, which: EventsOf) -> Result<EventsFound, StoreError> {
        self.store.events_of(endpoint, which).await
    }

    fn unreadable(&self) -> Vec<Unreadable> {
        self.store.unreadable()
    }

    async fn newest(&self) -> Result<Cursor, StoreError> {
        self.store.newest().await
    }
}
