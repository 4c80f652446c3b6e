//! Who may come: credentials and what follows from them.

mod accepted;
mod credential;
mod dates;
mod encoded;
mod gate;
mod history;
mod judge;
mod keeper;
mod meaning;
mod overview;
mod same_keys;
mod seal;
mod setup;
mod shown;
pub(crate) mod ticket_keys;
mod trusted;

use std::fs::File;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;

use lightship_lwm2m::Endpoint;
use lightship_platform::crypto::Crypto;
use lightship_server::Party;
use lightship_store::{AnyStore, CredentialSet, Store, StoreError};

use crate::config::{Config, SealKey};
use crate::core::Core;

pub(crate) use credential::Proof;
pub(crate) use dates::{Dates, keep as keep_dates};
pub(crate) use encoded::{bytes_of_hex, der_of_pem, hex};
pub use gate::open_key_log;
pub(crate) use gate::{Gate, end_vouched, keep_watch, take};
pub(crate) use history::{HANDSHAKES_MAX, History};
pub(crate) use keeper::{Change, KeepError, Keeper, Kept};
pub(crate) use meaning::{explain, given, of_device, of_pinned};
pub(crate) use overview::overview;
pub(crate) use same_keys::KeyName;
pub use seal::SealError;
pub use setup::KeyError;
pub(crate) use setup::Setup;
pub(crate) use shown::{facts, mode, session};
pub(crate) use trusted::Judged;

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

/// The file that secrets of sessions are written to, if somebody wants that.
///
/// # Errors
/// When it cannot be opened.
pub(crate) fn key_log(config: &Config) -> Result<Option<File>, KeyError> {
    let Some(path) = &config.security.key_log_file else { return Ok(None) };
    let file = open_key_log(path).map_err(|source| KeyError::File { path: path.clone(), source })?;
    tracing::warn!(
        path = %path.display(),
        "secrets of all sessions are written to this file: whoever reads it can read what devices say"
    );
    Ok(Some(file))
}

/// Reads the trusted authorities anew; where that does not work, those before go on to count. Sessions that may rest on one that is
/// gone end, and their devices are judged anew when they come back.
pub(crate) async fn trust_anew(core: &Core) {
    match setup::Trust::read(&core.config) {
        Ok(trust) => {
            // Nobody is judged by those before and let in by those behind.
            let turn = core.gate.turn.write().await;
            let before = core.gate.trusted();
            core.gate.trust_anew(trust);
            let now = core.gate.trusted();
            let is_gone = before.iter().any(|certificate| !now.contains(certificate));
            if is_gone {
                core.gate.check_all_anew();
            }
            drop(turn);
            tracing::info!(authorities = now.len(), "the trusted authorities were read anew");
            if is_gone {
                end_vouched(core).await;
            }
        }
        Err(error) => {
            let source = std::error::Error::source(&error).map(ToString::to_string).unwrap_or_default();
            tracing::error!(%error, source, "the trusted authorities could not be read anew; those before still count");
        }
    }
}

/// Whether a device may come without security (SEC-04).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Unsecured {
    /// It may.
    Welcome,
    /// It has a credential, and must come with it.
    HasCredential,
    /// It has none, and nobody may come without.
    Nobody,
}

impl Unsecured {
    /// Why not, in plain words.
    const fn reason(self) -> Option<&'static str> {
        match self {
            Self::Welcome => None,
            Self::HasCredential => Some("it has a credential, so it may not come without security"),
            Self::Nobody => Some(
                "it has no credential, and devices may not come without security (security.allow_nosec is off)",
            ),
        }
    }
}

/// Whether a device may come without security: nobody who has a credential may, and others only where that is allowed.
///
/// # Errors
/// When the store does not answer.
pub(crate) async fn may_come_unsecured(
    core: &Core,
    set: CredentialSet,
    endpoint: &Endpoint,
) -> Result<Unsecured, KeepError> {
    let credential = core.keeper.find(&core.store, set, endpoint).await?;
    Ok(match credential.map(|kept| kept.proof) {
        None if core.config.security.allow_nosec => Unsecured::Welcome,
        None => Unsecured::Nobody,
        Some(Proof::Nosec) => Unsecured::Welcome,
        Some(_) => Unsecured::HasCredential,
    })
}

/// The same where a device has come without security, from that address: a refusal is remembered among the failures, and its reason
/// comes back.
///
/// # Errors
/// When the store does not answer.
pub(crate) async fn judge_unsecured(
    core: &Core,
    set: CredentialSet,
    endpoint: &Endpoint,
    from: SocketAddr,
) -> Result<Result<(), &'static str>, KeepError> {
    let judged = may_come_unsecured(core, set, endpoint).await?;
    let Some(reason) = judged.reason() else { return Ok(Ok(())) };
    gate::note_unsecured(core, set, endpoint, from, judged == Unsecured::HasCredential, reason);
    Ok(Err(reason))
}

/// Checks and keeps what a device may prove itself with; what rested on the old credential ends at once.
///
/// # Errors
/// Why it is not kept.
pub(crate) async fn put(
    core: &Arc<Core>,
    set: CredentialSet,
    endpoint: &Endpoint,
    shape: &lightship_api::Credential,
) -> Result<Change, KeepError> {
    let turn = core.gate.turn.write().await;
    let change = core.keeper.put(&core.store, set, endpoint, shape, core.now()).await?;
    drop(turn);
    changed(core, set, endpoint, &change).await;
    Ok(change)
}

/// Takes a device's credential away, if it has one; what rested on it ends at once.
///
/// # Errors
/// When the store refuses.
pub(crate) async fn remove(
    core: &Arc<Core>,
    set: CredentialSet,
    endpoint: &Endpoint,
) -> Result<Option<Change>, KeepError> {
    let turn = core.gate.turn.write().await;
    let change = core.keeper.remove(&core.store, set, endpoint).await?;
    drop(turn);
    if let Some(change) = &change {
        changed(core, set, endpoint, change).await;
    }
    Ok(change)
}

async fn changed(core: &Arc<Core>, set: CredentialSet, endpoint: &Endpoint, change: &Change) {
    core.gate.credential_changed();
    if !change.matters() {
        return;
    }
    gate::end_sessions(core, set, endpoint, change).await;
    if set == CredentialSet::Server {
        forget_unsecured(core, vec![endpoint.clone()]);
    }
}

/// Sessions go on from before a restart: are their devices still welcome? Nobody waits for the answers, and there may be hundreds of
/// thousands of them, so one task asks for all, one after the other.
pub(crate) fn restored(core: &Arc<Core>, parties: Vec<Arc<Party>>) {
    if parties.is_empty() {
        return;
    }
    let core = core.clone();
    tokio::spawn(async move {
        for party in parties {
            gate::ask_again(&core, &party.principal).await;
            // None of these waits for long, and others want their turn.
            tokio::task::yield_now().await;
        }
    });
}

/// Registrations made without security have gone on from before a restart: those end whose devices must have some by now.
pub(crate) async fn forget_all_unsecured(core: &Arc<Core>) {
    let mut after: Option<Endpoint> = None;
    loop {
        let page = core.store.credentials(CredentialSet::Server, after.as_ref(), PAGE_LEN).await;
        let page = page.inspect_err(|error| tracing::error!(%error, "the store does not answer"));
        let Ok(page) = page else { return };
        let Some(last) = page.last() else { return };
        after = Some(last.key.endpoint.clone());
        let unsecured = page.into_iter().filter_map(|record| {
            let endpoint = &record.key.endpoint;
            let device = core.directory.find(endpoint.as_str())?;
            device.registration.party.is_none().then(|| endpoint.clone())
        });
        forget_unsecured(core, unsecured.collect());
    }
}

/// Registrations made without security end when their devices must have some from now on; nobody waits for that.
pub(crate) fn forget_unsecured(core: &Arc<Core>, endpoints: Vec<Endpoint>) {
    if endpoints.is_empty() {
        return;
    }
    let core = core.clone();
    tokio::spawn(async move {
        for endpoint in endpoints {
            forget_if_unwelcome(&core, &endpoint).await;
            tokio::task::yield_now().await;
        }
    });
}

async fn forget_if_unwelcome(core: &Core, endpoint: &Endpoint) {
    let Some(device) = core.directory.find(endpoint.as_str()) else { return };
    let is_secured = device.registration.party.is_some();
    let may_come = may_come_unsecured(core, CredentialSet::Server, endpoint).await;
    if is_secured || matches!(may_come, Ok(Unsecured::Welcome)) {
        return;
    }
    if let Some(inbox) = core.inbox(device.shard)
        && let Ok(forgotten) = inbox.forget(endpoint.clone(), device.registration.id)
    {
        // Its shard tells the journal. Of many the next one is forgotten after this one, so that the shard's inbox does not overflow.
        if let Ok(Ok(())) = forgotten.await {
            tracing::info!(endpoint = %endpoint.readable(), "forgotten: it registered without security, and may not any more");
        }
    }
}

/// Credentials that are looked through at once.
const PAGE_LEN: usize = 256;
