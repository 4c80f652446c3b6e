//! Who may come: credentials and what follows from them.

mod credential;
mod encoded;
mod keeper;
mod seal;

use std::path::Path;
use std::sync::Arc;

use lightship_lwm2m::Endpoint;
use lightship_platform::crypto::Crypto;
use lightship_store::{AnyStore, CredentialSet, Store, StoreError};

use crate::config::SealKey;
use crate::core::Core;

pub(crate) use credential::Proof;
pub(crate) use encoded::{bytes_of_hex, der_of_pem};
pub(crate) use keeper::{Change, KeepError, Keeper, Kept};
pub use seal::SealError;

/// Opens what is kept of credentials, with the key that the configuration names, or one in the folder beside them.
///
/// # Errors
/// When there is no key, or it is not the one that sealed what is kept.
pub(crate) async fn open(
    crypto: Arc<dyn Crypto>,
    key: &SealKey,
    store: &AnyStore,
    folder: Option<&Path>,
) -> Result<Keeper, KeepError> {
    let found = match (key, folder) {
        (SealKey::Text(text), _) => seal::parse(text.as_bytes(), "the configured sealing key")?,
        (SealKey::File(path), _) => seal::read(path)?,
        (SealKey::OfFolder, Some(folder)) => seal::read_or_make(folder, is_sealed(store).await?)?,
        (SealKey::OfFolder, None) => seal::KeyFound { key: seal::fresh()?, origin: "memory".to_owned() },
    };
    Keeper::open(crypto, found, store, folder).await
}

async fn is_sealed(store: &AnyStore) -> Result<bool, StoreError> {
    for set in [CredentialSet::Server, CredentialSet::Bootstrap] {
        if !store.credentials(set, None, 1).await?.is_empty() {
            return Ok(true);
        }
    }
    let documents = store.documents(None, 1).await?;
    Ok(documents.first().is_some_and(|(_, body)| keeper::is_sealed_document(body)))
}

/// Whether a device may come to the LwM2M Server without security (SEC-04): nobody who has a credential may, and others only where
/// that is allowed.
///
/// # Errors
/// When the store does not answer.
pub(crate) async fn may_come_unsecured(
    core: &Core,
    set: CredentialSet,
    endpoint: &Endpoint,
) -> Result<bool, KeepError> {
    let credential = core.keeper.find(&core.store, set, endpoint).await?;
    Ok(match credential.map(|kept| kept.proof) {
        None => core.config.security.allow_nosec,
        Some(Proof::Nosec) => true,
        Some(_) => false,
    })
}

/// A credential is otherwise than before: what rested on the old one ends at once.
pub(crate) async fn changed(core: &Core, set: CredentialSet, endpoint: &Endpoint, change: &Change) {
    if !change.matters() || set == CredentialSet::Bootstrap {
        return;
    }
    forget_unsecured(core, endpoint).await;
}

/// A registration made without security ends when the device must have some from now on.
async fn forget_unsecured(core: &Core, endpoint: &Endpoint) {
    let Some(device) = core.directory.find(endpoint.as_str()) else { return };
    if matches!(may_come_unsecured(core, CredentialSet::Server, endpoint).await, Ok(true)) {
        return;
    }
    if let Some(inbox) = core.inbox(device.shard)
        && let Ok(reply) = inbox.forget(endpoint.clone(), device.registration.id)
    {
        // Its shard tells the journal, too.
        let _ = reply.await;
        tracing::info!(%endpoint, "forgotten: it registered without security, and may not any more");
    }
}
