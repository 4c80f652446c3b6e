//! Forgotten: registrations whose end was written, and told, before their shard was asked to forget them.

use std::collections::HashSet;
use std::sync::{Mutex, MutexGuard, PoisonError};

use lightship_server::RegistrationId;

/// Those whose shard has not said yet that it has forgotten them.
#[derive(Debug, Default)]
pub(crate) struct Forgotten(Mutex<HashSet<RegistrationId>>);

impl Forgotten {
    /// The end of this one is about to be written; false when too many are on their way, or this one is.
    pub(crate) fn begin(&self, id: RegistrationId) -> bool {
        let mut all = self.all();
        all.len() < FORGOTTEN_MAX && all.insert(id)
    }

    /// Whether nothing more may be written of it.
    pub(super) fn has(&self, id: RegistrationId) -> bool {
        self.all().contains(&id)
    }

    /// It is over; whether it was one of them.
    pub(crate) fn take(&self, id: RegistrationId) -> bool {
        self.all().remove(&id)
    }

    fn all(&self) -> MutexGuard<'_, HashSet<RegistrationId>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// More than callers can have under way.
const FORGOTTEN_MAX: usize = 16_384;
