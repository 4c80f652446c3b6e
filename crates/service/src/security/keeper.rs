//! Keeper: credentials in the store, sealed; read, changed and taken away.

use std::collections::HashSet;
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use lightship_api as api;
use lightship_lwm2m::Endpoint;
use lightship_platform::crypto::{Crypto, Group, Secret};
use lightship_store::{
    AnyStore, Batch, CredentialKey, CredentialRecord, CredentialSet, DocumentKey, Fact, Store, StoreError,
};

use super::credential::{Proof, Unusable};
use super::encoded::bytes_of_base64;
use super::same_keys::{KeyName, SameKeys};
use super::seal::{KeyFound, OpenError, SealError, Sealer};
use crate::access::audited;
use crate::random::Random;

/// Reads and writes credentials.
pub(crate) struct Keeper {
    crypto: Arc<dyn Crypto>,
    sealer: Sealer,
    /// Of either set.
    same_keys: Mutex<SameKeys>,
}

/// A credential as it is kept.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Kept {
    pub(crate) endpoint: Endpoint,
    pub(crate) proof: Proof,
    pub(crate) changed_at: api::Timestamp,
}

/// Why there is no credential to be had.
#[derive(Debug, thiserror::Error)]
pub(crate) enum KeepError {
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error(transparent)]
    Seal(#[from] SealError),
    #[error("{}", .0.message)]
    Unusable(Unusable),
    #[error("{by:?} has this identity already")]
    Taken { by: Endpoint },
}

/// What a change did.
#[derive(Debug)]
pub(crate) struct Change {
    /// What was there before.
    pub(crate) before: Option<Kept>,
    /// What is there now.
    pub(crate) now: Option<Kept>,
}

impl Change {
    /// Whether anything is otherwise than before.
    pub(crate) fn matters(&self) -> bool {
        match (&self.before, &self.now) {
            (Some(before), Some(now)) => !before.proof.proves_as(&now.proof),
            (before, now) => before.is_some() != now.is_some(),
        }
    }
}

impl Keeper {
    /// A keeper whose key opens everything that is kept.
    ///
    /// # Errors
    /// When it does not, or the store cannot be read.
    pub(crate) async fn open(
        crypto: Arc<dyn Crypto>,
        found: KeyFound,
        store: &AnyStore,
        folder: Option<&Path>,
    ) -> Result<Keeper, KeepError> {
        let sealer = Sealer::new(crypto.clone(), found.key);
        let keeper = Keeper { crypto, sealer, same_keys: Mutex::default() };
        let wrong = || SealError::Wrong {
            folder: folder.unwrap_or(Path::new("memory")).to_owned(),
            origin: found.origin.clone(),
        };
        keeper.check_documents(store, wrong).await?;
        for set in [CredentialSet::Server, CredentialSet::Bootstrap] {
            let mut after: Option<Endpoint> = None;
            loop {
                let page = store.credentials(set, after.as_ref(), PAGE_LEN).await?;
                let Some(last) = page.last() else { break };
                after = Some(last.key.endpoint.clone());
                for record in &page {
                    let proof = keeper.opened(record).map_err(|error| match error {
                        OpenError::OtherKey => wrong(),
                        OpenError::Damaged => damaged(record),
                    })?;
                    keeper.count(None, Some(&proof));
                }
            }
        }
        Ok(keeper)
    }

    /// A device's credential.
    pub(crate) async fn find(
        &self,
        store: &AnyStore,
        set: CredentialSet,
        endpoint: &Endpoint,
    ) -> Result<Option<Kept>, KeepError> {
        let key = CredentialKey { set, endpoint: endpoint.clone() };
        let record = store.credential(&key).await?;
        record.map(|record| self.read(&record)).transpose()
    }

    /// The credential of whoever presents this.
    pub(crate) async fn presented(
        &self,
        store: &AnyStore,
        set: CredentialSet,
        principal: &[u8],
    ) -> Result<Option<Kept>, KeepError> {
        let record = store.credential_presented(set, principal).await?;
        record.map(|record| self.read(&record)).transpose()
    }

    /// Credentials behind a device, at most `max`.
    pub(crate) async fn page(
        &self,
        store: &AnyStore,
        set: CredentialSet,
        after: Option<&Endpoint>,
        max: usize,
    ) -> Result<Vec<Kept>, KeepError> {
        let page = store.credentials(set, after, max).await?;
        page.iter().map(|record| self.read(record)).collect()
    }

    /// What a device has now, and what it would prove itself with.
    async fn checked(
        &self,
        store: &AnyStore,
        set: CredentialSet,
        endpoint: &Endpoint,
        shape: &api::Credential,
    ) -> Result<(Option<Kept>, Proof), KeepError> {
        let before = self.find(store, set, endpoint).await?;
        let kept = before.as_ref().map(|kept| &kept.proof);
        let proof = Proof::read(shape, kept, &|point| self.is_point(point)).map_err(KeepError::Unusable)?;
        Ok((before, proof))
    }

    /// Checks what a device may prove itself with, and keeps nothing: what would change.
    pub(crate) async fn tried(
        &self,
        store: &AnyStore,
        set: CredentialSet,
        endpoint: &Endpoint,
        shape: &api::Credential,
        now: api::Timestamp,
    ) -> Result<Change, KeepError> {
        let (before, proof) = self.checked(store, set, endpoint, shape).await?;
        if let Some(principal) = proof.principal()
            && let Some(owner) = store.credential_presented(set, &principal).await?
            && owner.key.endpoint != *endpoint
        {
            return Err(KeepError::Taken { by: owner.key.endpoint.clone() });
        }
        let now = Kept { endpoint: endpoint.clone(), proof, changed_at: now };
        Ok(Change { before, now: Some(now) })
    }

    /// Checks and keeps what a device may prove itself with; one change at a time.
    pub(crate) async fn put(
        &self,
        store: &AnyStore,
        set: CredentialSet,
        endpoint: &Endpoint,
        shape: &api::Credential,
        now: api::Timestamp,
    ) -> Result<Change, KeepError> {
        let (before, proof) = self.checked(store, set, endpoint, shape).await?;
        let key = CredentialKey { set, endpoint: endpoint.clone() };
        let principal = proof.principal();
        let sealed = self.sealer.seal(&whose(&key, principal.as_deref()), proof.bytes().bytes())?;
        let record = Arc::new(CredentialRecord { key, principal, sealed, changed_ms: now.0 });
        match store.commit(Batch { facts: audited(vec![Fact::Credential(record)]) }).await {
            Err(StoreError::Taken { by }) => return Err(KeepError::Taken { by }),
            stored => stored?,
        };
        self.count(before.as_ref().map(|kept| &kept.proof), Some(&proof));
        let now = Kept { endpoint: endpoint.clone(), proof, changed_at: now };
        Ok(Change { before, now: Some(now) })
    }

    /// Takes a device's credential away, if it has one.
    pub(crate) async fn remove(
        &self,
        store: &AnyStore,
        set: CredentialSet,
        endpoint: &Endpoint,
    ) -> Result<Option<Change>, KeepError> {
        let Some(before) = self.find(store, set, endpoint).await? else { return Ok(None) };
        let key = CredentialKey { set, endpoint: endpoint.clone() };
        store.commit(Batch { facts: audited(vec![Fact::NoCredential { key }]) }).await?;
        self.count(Some(&before.proof), None);
        Ok(Some(Change { before: Some(before), now: None }))
    }

    /// What may be shown of a credential.
    pub(crate) fn shape(&self, kept: &Kept) -> api::Credential {
        shown(kept, self.name_of_key(&kept.proof).is_some_and(|name| self.same_keys().is_shared(name)))
    }

    /// What would be shown of one that was only tried, after those whose keys are named; its own is named then, too.
    pub(crate) fn shape_of_tried(
        &self,
        tried: &Change,
        keys: &mut HashSet<KeyName>,
    ) -> Option<api::Credential> {
        let name = |kept: Option<&Kept>| kept.and_then(|kept| self.name_of_key(&kept.proof));
        let is_shared = name(tried.now.as_ref()).is_some_and(|now| {
            let had_it = name(tried.before.as_ref()) == Some(now);
            let same_keys = self.same_keys();
            let others = if had_it { same_keys.is_shared(now) } else { same_keys.is_known(now) };
            !keys.insert(now) || others
        });
        tried.now.as_ref().map(|now| shown(now, is_shared))
    }

    fn count(&self, before: Option<&Proof>, now: Option<&Proof>) {
        let mut same_keys = self.same_keys();
        if let Some(name) = before.and_then(|proof| self.name_of_key(proof)) {
            same_keys.remove(name);
        }
        if let Some(name) = now.and_then(|proof| self.name_of_key(proof)) {
            same_keys.add(name);
        }
    }

    fn name_of_key(&self, proof: &Proof) -> Option<KeyName> {
        let Proof::Psk { key, .. } = proof else { return None };
        self.sealer.name_of(key).first_chunk().copied()
    }

    fn same_keys(&self) -> MutexGuard<'_, SameKeys> {
        self.same_keys.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A bootstrap document, which holds keys, as it is kept.
    pub(crate) fn seal_document(&self, key: &DocumentKey, body: &str) -> Result<Arc<str>, SealError> {
        let sealed = self.sealer.seal(&whose_document(key), body.as_bytes())?;
        Ok(format!("{SEALED}{}", api::convert::base64(&sealed)).into())
    }

    /// A bootstrap document as it was given; one of an older program was kept as it is.
    pub(crate) fn open_document(&self, key: &DocumentKey, kept: &str) -> Result<String, SealError> {
        let Some(sealed) = kept.strip_prefix(SEALED) else { return Ok(kept.to_owned()) };
        let name = match key {
            DocumentKey::Device(endpoint) => endpoint.to_string(),
            DocumentKey::Template(name) => name.clone(),
        };
        let sealed = bytes_of_base64(sealed).ok_or(OpenError::Damaged);
        let opened = sealed.and_then(|sealed| self.sealer.open(&whose_document(key), &sealed));
        let text = opened.ok().and_then(|bytes| String::from_utf8(bytes.bytes().to_vec()).ok());
        text.ok_or(SealError::Damaged { endpoint: name })
    }

    /// What one process leaves for the next, as it is kept.
    pub(crate) fn seal_hand_over(&self, bytes: &[u8]) -> Result<Box<[u8]>, SealError> {
        self.sealer.seal(HAND_OVER, bytes)
    }

    /// What the process before has left.
    pub(crate) fn open_hand_over(&self, sealed: &[u8]) -> Option<Secret> {
        self.sealer.open(HAND_OVER, sealed).ok()
    }

    /// The keys of session tickets, as they are kept.
    pub(crate) fn seal_ticket_keys(&self, bytes: &[u8]) -> Result<Box<[u8]>, SealError> {
        self.sealer.seal(TICKET_KEYS, bytes)
    }

    /// The keys of session tickets that were kept.
    pub(crate) fn open_ticket_keys(&self, sealed: &[u8]) -> Option<Secret> {
        self.sealer.open(TICKET_KEYS, sealed).ok()
    }

    /// Whether the key opens what is sealed of documents.
    async fn check_documents(
        &self,
        store: &AnyStore,
        wrong: impl Fn() -> SealError,
    ) -> Result<(), KeepError> {
        let mut after: Option<DocumentKey> = None;
        loop {
            let page = store.documents(after.as_ref(), PAGE_LEN).await?;
            let Some((last, _)) = page.last() else { return Ok(()) };
            after = Some(last.clone());
            for (key, body) in &page {
                let sealed =
                    body.strip_prefix(SEALED).map(|sealed| bytes_of_base64(sealed).unwrap_or_default());
                let opened = sealed.map(|sealed| self.sealer.open(&whose_document(key), &sealed));
                if matches!(opened, Some(Err(OpenError::OtherKey))) {
                    return Err(wrong().into());
                }
            }
        }
    }

    fn read(&self, record: &CredentialRecord) -> Result<Kept, KeepError> {
        let proof = self.opened(record).map_err(|_| damaged(record))?;
        Ok(Kept {
            endpoint: record.key.endpoint.clone(),
            proof,
            changed_at: api::Timestamp(record.changed_ms),
        })
    }

    fn opened(&self, record: &CredentialRecord) -> Result<Proof, OpenError> {
        let whose = whose(&record.key, record.principal.as_deref());
        let bytes = self.sealer.open(&whose, &record.sealed)?;
        Proof::of_bytes(bytes.bytes()).ok_or(OpenError::Damaged)
    }

    /// Whether 65 bytes are an uncompressed point of P-256.
    pub(super) fn is_point(&self, point: &[u8]) -> bool {
        let agreement = self.crypto.agreement(Group::Secp256r1, &mut Random);
        agreement.and_then(|agreement| agreement.agree(point)).is_ok()
    }
}

/// What a seal is bound to: it is worth nothing for another device, or another identity.
fn whose(key: &CredentialKey, principal: Option<&[u8]>) -> Vec<u8> {
    let set = match key.set {
        CredentialSet::Server => b"server",
        CredentialSet::Bootstrap => b"bootst",
    };
    [set.as_slice(), key.endpoint.as_str().as_bytes(), &[0], principal.unwrap_or_default()].concat()
}

/// Whether a document is kept sealed.
pub(super) fn is_sealed_document(kept: &str) -> bool {
    kept.starts_with(SEALED)
}

fn whose_document(key: &DocumentKey) -> Vec<u8> {
    match key {
        DocumentKey::Device(endpoint) => [b"document", endpoint.as_str().as_bytes()].concat(),
        DocumentKey::Template(name) => [b"template", name.as_bytes()].concat(),
    }
}

fn shown(kept: &Kept, is_shared: bool) -> api::Credential {
    let mut shape = kept.proof.shape();
    shape.endpoint = Some(kept.endpoint.to_string());
    shape.changed_at = Some(kept.changed_at);
    if is_shared {
        let what = "another credential has the same key: whoever knows one can pass for the other";
        shape.warnings.push(what.to_owned());
    }
    shape
}

fn damaged(record: &CredentialRecord) -> SealError {
    SealError::Damaged { endpoint: record.key.endpoint.to_string() }
}

/// Whose a hand-over is.
const HAND_OVER: &[u8] = b"hand-over";
const TICKET_KEYS: &[u8] = b"ticket keys";
/// What stands before a sealed document.
const SEALED: &str = "sealed:";
/// Credentials looked at in one go.
const PAGE_LEN: usize = 1000;
