//! One of the backends.

use std::sync::Arc;

use lightship_lwm2m::{Endpoint, Path};

use crate::{
    AuditOf, AuditRecord, Batch, CommandId, CommandRecord, CredentialKey, CredentialRecord, CredentialSet,
    Cursor, DocumentKey, EmbeddedStore, EventPage, EventsFound, EventsOf, FaultyStore, Health, LastValue,
    MemoryStore, Note, RegistrationRecord, Store, StoreError, TokenRecord, Unreadable, WantedObservation,
};

/// The backend in use.
#[derive(Debug)]
#[non_exhaustive]
pub enum AnyStore {
    /// Memory: nothing outlives the process.
    Memory(MemoryStore),
    /// A folder on the disk.
    Embedded(EmbeddedStore),
    /// Memory that fails on demand, for tests.
    #[doc(hidden)]
    Faulty(FaultyStore),
}

/// Asks the backend in use.
macro_rules! each {
    ($any:expr, $store:ident => $asked:expr) => {
        match $any {
            AnyStore::Memory($store) => $asked,
            AnyStore::Embedded($store) => $asked,
            AnyStore::Faulty($store) => $asked,
        }
    };
}

impl Store for AnyStore {
    async fn commit(&self, batch: Batch) -> Result<Cursor, StoreError> {
        each!(self, store => store.commit(batch).await)
    }

    fn health(&self) -> Health {
        each!(self, store => store.health())
    }

    async fn registration(&self, endpoint: &Endpoint) -> Result<Option<Arc<RegistrationRecord>>, StoreError> {
        each!(self, store => store.registration(endpoint).await)
    }

    fn each_registration(&self, visit: &(dyn Fn(Vec<RegistrationRecord>) + Sync)) -> Result<u64, StoreError> {
        each!(self, store => store.each_registration(visit))
    }

    fn registrations_about(&self) -> u64 {
        each!(self, store => store.registrations_about())
    }

    async fn events_of(&self, endpoint: &Endpoint, which: EventsOf) -> Result<EventsFound, StoreError> {
        each!(self, store => store.events_of(endpoint, which).await)
    }

    fn unreadable(&self) -> Vec<Unreadable> {
        each!(self, store => store.unreadable())
    }

    async fn wanted(&self, endpoint: &Endpoint) -> Result<Vec<WantedObservation>, StoreError> {
        each!(self, store => store.wanted(endpoint).await)
    }

    fn each_wanted(&self, visit: &mut (dyn FnMut(Endpoint) + Send)) -> Result<(), StoreError> {
        each!(self, store => store.each_wanted(visit))
    }

    async fn command(&self, id: CommandId) -> Result<Option<Arc<CommandRecord>>, StoreError> {
        each!(self, store => store.command(id).await)
    }

    async fn commands(&self, endpoint: &Endpoint) -> Result<Vec<Arc<CommandRecord>>, StoreError> {
        each!(self, store => store.commands(endpoint).await)
    }

    async fn live_commands(&self) -> Result<Vec<Arc<CommandRecord>>, StoreError> {
        each!(self, store => store.live_commands().await)
    }

    async fn last_command(&self) -> Result<u64, StoreError> {
        each!(self, store => store.last_command().await)
    }

    async fn document(&self, key: &DocumentKey) -> Result<Option<Arc<str>>, StoreError> {
        each!(self, store => store.document(key).await)
    }

    async fn documents(
        &self,
        after: Option<&DocumentKey>,
        max: usize,
    ) -> Result<Vec<(DocumentKey, Arc<str>)>, StoreError> {
        each!(self, store => store.documents(after, max).await)
    }

    async fn credential(&self, key: &CredentialKey) -> Result<Option<Arc<CredentialRecord>>, StoreError> {
        each!(self, store => store.credential(key).await)
    }

    async fn credential_presented(
        &self,
        set: CredentialSet,
        principal: &[u8],
    ) -> Result<Option<Arc<CredentialRecord>>, StoreError> {
        each!(self, store => store.credential_presented(set, principal).await)
    }

    async fn credentials(
        &self,
        set: CredentialSet,
        after: Option<&Endpoint>,
        max: usize,
    ) -> Result<Vec<Arc<CredentialRecord>>, StoreError> {
        each!(self, store => store.credentials(set, after, max).await)
    }

    fn values(&self, endpoint: &Endpoint, below: Path) -> Result<Vec<LastValue>, StoreError> {
        each!(self, store => store.values(endpoint, below))
    }

    fn values_at(&self, keys: &[(Endpoint, Path)]) -> Result<Vec<Option<Arc<[u8]>>>, StoreError> {
        each!(self, store => store.values_at(keys))
    }

    fn each_value(
        &self,
        behind: Option<&Endpoint>,
        visit: &mut (dyn FnMut(&str, Path, &[u8]) -> bool + Send),
    ) -> Result<(), StoreError> {
        each!(self, store => store.each_value(behind, visit))
    }

    async fn notes(&self, prefix: &str) -> Result<Vec<Note>, StoreError> {
        each!(self, store => store.notes(prefix).await)
    }

    fn notes_at(&self, names: &[Arc<str>]) -> Result<Vec<Option<Arc<str>>>, StoreError> {
        each!(self, store => store.notes_at(names))
    }

    async fn tokens(&self) -> Result<Vec<Arc<TokenRecord>>, StoreError> {
        each!(self, store => store.tokens().await)
    }

    async fn audit(&self, which: AuditOf) -> Result<Vec<Arc<AuditRecord>>, StoreError> {
        each!(self, store => store.audit(which).await)
    }

    async fn leave_hand_over(&self, bytes: Box<[u8]>) -> Result<(), StoreError> {
        each!(self, store => store.leave_hand_over(bytes).await)
    }

    async fn take_hand_over(&self) -> Result<Option<Vec<u8>>, StoreError> {
        each!(self, store => store.take_hand_over().await)
    }

    async fn keep_ticket_keys(&self, bytes: Box<[u8]>) -> Result<(), StoreError> {
        each!(self, store => store.keep_ticket_keys(bytes).await)
    }

    async fn ticket_keys(&self) -> Result<Option<Vec<u8>>, StoreError> {
        each!(self, store => store.ticket_keys().await)
    }

    async fn events(&self, after: Option<Cursor>, max: usize) -> Result<EventPage, StoreError> {
        each!(self, store => store.events(after, max).await)
    }

    async fn newest(&self) -> Result<Cursor, StoreError> {
        each!(self, store => store.newest().await)
    }
}
