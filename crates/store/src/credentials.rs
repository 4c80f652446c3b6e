//! Credentials by device and by what a peer presents, in memory.

use std::collections::{BTreeMap, HashMap};
use std::ops::Bound;
use std::sync::Arc;

use lightship_lwm2m::Endpoint;

use crate::StoreError;
use crate::credential::{CredentialKey, CredentialRecord, CredentialSet};

/// All credentials.
#[derive(Debug, Default)]
pub(crate) struct Credentials {
    by_key: BTreeMap<CredentialKey, Arc<CredentialRecord>>,
    by_principal: HashMap<(CredentialSet, Box<[u8]>), Endpoint>,
}

/// What a batch does to credentials.
#[derive(Clone, Debug)]
pub(crate) enum Change {
    Put(Arc<CredentialRecord>),
    Gone(CredentialKey),
}

impl Credentials {
    pub(crate) fn get(&self, key: &CredentialKey) -> Option<Arc<CredentialRecord>> {
        self.by_key.get(key).cloned()
    }

    /// Whose it is that a peer presents.
    pub(crate) fn presented(&self, set: CredentialSet, principal: &[u8]) -> Option<Arc<CredentialRecord>> {
        let endpoint = self.by_principal.get(&(set, principal.into()))?;
        self.get(&CredentialKey { set, endpoint: endpoint.clone() })
    }

    /// Credentials of a set behind a name, at most `max`.
    pub(crate) fn page(
        &self,
        set: CredentialSet,
        after: Option<&Endpoint>,
        max: usize,
    ) -> Vec<Arc<CredentialRecord>> {
        let key = after.map(|endpoint| CredentialKey { set, endpoint: endpoint.clone() });
        let from = key.as_ref().map_or(Bound::Unbounded, Bound::Excluded);
        let page = self.by_key.range((from, Bound::Unbounded));
        let page = page.map(|(_, record)| record).filter(|record| record.key.set == set);
        page.take(max).cloned().collect()
    }

    /// Whether the changes may be made, in their order.
    pub(crate) fn check(&self, changes: &[Change], max: usize) -> Result<(), StoreError> {
        // Who would have what, as far as the changes say.
        let mut now: HashMap<(CredentialSet, &[u8]), Option<&Endpoint>> = HashMap::new();
        let mut had: BTreeMap<&CredentialKey, Option<&CredentialRecord>> = BTreeMap::new();
        let mut len = self.by_key.len();
        for change in changes {
            let (key, new) = match change {
                Change::Put(record) => (&record.key, Some(record.as_ref())),
                Change::Gone(key) => (key, None),
            };
            let old = match had.get(key) {
                Some(old) => *old,
                None => self.by_key.get(key).map(Arc::as_ref),
            };
            if let Some(principal) = old.and_then(|old| old.principal.as_deref()) {
                now.insert((key.set, principal), None);
            }
            if let Some(principal) = new.and_then(|new| new.principal.as_deref()) {
                let kept = self.by_principal.get(&(key.set, principal.into()));
                let holder = now.get(&(key.set, principal)).copied().unwrap_or(kept);
                if let Some(holder) = holder.filter(|holder| **holder != key.endpoint) {
                    return Err(StoreError::Taken { by: holder.clone() });
                }
                now.insert((key.set, principal), Some(&key.endpoint));
            }
            len = len + usize::from(new.is_some()) - usize::from(old.is_some());
            had.insert(key, new);
        }
        let grows = len > self.by_key.len();
        if grows && len > max { Err(StoreError::Full { what: "credentials", max }) } else { Ok(()) }
    }

    /// Makes a change that was checked.
    pub(crate) fn apply(&mut self, change: &Change) {
        let (key, new) = match change {
            Change::Put(record) => (&record.key, Some(record)),
            Change::Gone(key) => (key, None),
        };
        let old = match new {
            Some(record) => self.by_key.insert(key.clone(), record.clone()),
            None => self.by_key.remove(key),
        };
        if let Some(principal) = old.and_then(|old| old.principal.clone()) {
            self.by_principal.remove(&(key.set, principal));
        }
        if let Some(principal) = new.and_then(|new| new.principal.clone()) {
            self.by_principal.insert((key.set, principal), key.endpoint.clone());
        }
    }
}
