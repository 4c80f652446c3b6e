//! Gate: what happens to secured sessions, of both servers.

use std::collections::HashSet;
use std::fs::{File, OpenOptions};
use std::io::Write;
use std::sync::{Arc, Mutex, PoisonError, RwLock};

use lightship_api::{EventType, Handshake, HandshakeResult, ServerIdentity};
use lightship_dtls::Alert;
use lightship_dtls::certificate::{self, Anchors};
use lightship_lwm2m::Endpoint;
use lightship_server::{Answer, Ask, Claim, Credential, Presented, Registrations, SecurityEvent, Whose};
use lightship_server::{Principal, bootstrap as bootstrap_engine};
use lightship_store::CredentialSet;
use tokio::sync::RwLock as AsyncRwLock;

use super::credential::Proof;
use super::encoded::hex;
use super::history::History;
use super::judge::{self, Subject, shown, tagged};
use super::keeper::Change;
use super::setup::Trust;
use super::shown as facts;
use crate::config::Rule;
use crate::core::Core;

/// What the parts of the server share about sessions.
pub(crate) struct Gate {
    pub(crate) history: History,
    pub(crate) identities: Vec<ServerIdentity>,
    trust: RwLock<Trust>,
    /// Since an authority went: the certificates whose paths were checked after that, by SHA-256. A session of any other is not resumed.
    checked: Mutex<Option<HashSet<[u8; 32]>>>,
    key_log: Option<Mutex<File>>,
    /// Held for reading from the look at a credential until the answer is on its way, for writing while credentials change: so no answer
    /// that rests on an old credential comes behind the order to end what rests on it.
    pub(super) turn: AsyncRwLock<()>,
}

/// Something that the log should tell.
pub(crate) struct Told {
    pub(crate) kind: EventType,
    pub(crate) endpoint: Endpoint,
    pub(crate) handshake: Box<Handshake>,
}

impl Gate {
    pub(crate) fn new(identities: Vec<ServerIdentity>, trust: Trust, key_log: Option<File>) -> Gate {
        Gate {
            history: History::default(),
            identities,
            trust: RwLock::new(trust),
            checked: Mutex::default(),
            key_log: key_log.map(Mutex::new),
            turn: AsyncRwLock::new(()),
        }
    }

    /// The authorities that count now.
    pub(crate) fn trust(&self, set: CredentialSet) -> Arc<Anchors> {
        let trust = self.trust.read().unwrap_or_else(PoisonError::into_inner);
        match set {
            CredentialSet::Server => trust.server.clone(),
            CredentialSet::Bootstrap => trust.bootstrap.clone(),
        }
    }

    /// The authorities' certificates, as they were read.
    pub(crate) fn trusted(&self) -> Vec<Arc<[u8]>> {
        self.trust.read().unwrap_or_else(PoisonError::into_inner).certificates.clone()
    }

    /// Others count from now on.
    pub(crate) fn trust_anew(&self, trust: Trust) {
        *self.trust.write().unwrap_or_else(PoisonError::into_inner) = trust;
    }

    /// An authority has gone: no path that was checked before counts.
    pub(super) fn check_all_anew(&self) {
        *self.checked.lock().unwrap_or_else(PoisonError::into_inner) = Some(HashSet::new());
    }

    /// The path of a certificate was checked.
    pub(super) fn is_checked(&self, sha256: [u8; 32]) {
        let mut checked = self.checked.lock().unwrap_or_else(PoisonError::into_inner);
        // Who finds no room makes a full handshake each time.
        if let Some(checked) = checked.as_mut().filter(|checked| checked.len() < CHECKED_MAX) {
            checked.insert(sha256);
        }
    }

    /// Whether a session of a certificate may be resumed, whose path is not checked then.
    pub(super) fn may_resume(&self, sha256: &[u8; 32]) -> bool {
        let checked = self.checked.lock().unwrap_or_else(PoisonError::into_inner);
        checked.as_ref().is_none_or(|checked| checked.contains(sha256))
    }

    fn log_key(&self, line: &str) {
        let Some(file) = &self.key_log else { return };
        let mut file = file.lock().unwrap_or_else(PoisonError::into_inner);
        if let Err(error) = writeln!(file, "{line}") {
            tracing::warn!(%error, "the key log cannot be written");
        }
    }
}

/// Opens the key log.
pub(super) fn open_key_log(path: &std::path::Path) -> std::io::Result<File> {
    let mut options = OpenOptions::new();
    options.append(true).create(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options.open(path)
}

/// Takes what an engine tells of its sessions; what the log should tell comes back.
pub(crate) async fn take(
    core: &Arc<Core>,
    set: CredentialSet,
    shard: u8,
    event: SecurityEvent,
) -> Option<Told> {
    let time = core.now();
    match event {
        SecurityEvent::AskCredential { ask, presented, .. } => {
            let core = core.clone();
            tokio::spawn(async move { answer(&core, set, shard, ask, &presented).await });
            None
        }
        SecurityEvent::SessionOpened { session, facts: agreed } => {
            let mut handshake = facts::of_session(set, time, &session, HandshakeResult::Opened);
            handshake.server_name = agreed.server_name.map(|name| shown(name.as_bytes()));
            note(core, EventType::SessionOpened, session.party.endpoints.one().cloned(), handshake)
        }
        SecurityEvent::SessionClosed { session, endpoint, reason } => {
            let mut handshake = facts::of_session(set, time, &session, HandshakeResult::Closed);
            handshake.reason = Some(reason.to_string());
            let endpoint = endpoint.or_else(|| session.party.endpoints.one().cloned());
            handshake.endpoint = endpoint.as_ref().map(ToString::to_string);
            note(core, EventType::SessionClosed, endpoint, handshake)
        }
        SecurityEvent::HandshakeFailed { from, claimed, server_name, reason } => {
            let mut handshake = facts::blank(set, time, from.to_string(), HandshakeResult::Failed);
            handshake.server_name = server_name.map(|name| shown(name.as_bytes()));
            handshake.reason = Some(facts::reason(&reason, claimed.as_ref()));
            let endpoint = match &claimed {
                Some(claim) => claimant(core, set, claim, &mut handshake).await,
                None => None,
            };
            handshake.endpoint = endpoint.as_ref().map(ToString::to_string);
            note(core, EventType::HandshakeFailed, endpoint, handshake)
        }
        SecurityEvent::KeyLog(line) => {
            core.gate.log_key(&line);
            None
        }
        _ => None,
    }
}

fn note(core: &Core, kind: EventType, endpoint: Option<Endpoint>, handshake: Handshake) -> Option<Told> {
    tracing::debug!(
        ?kind,
        address = handshake.address,
        identity = handshake.identity.as_deref().unwrap_or_default(),
        reason = handshake.reason.as_deref().unwrap_or_default(),
        "secured"
    );
    let is_news = core.gate.history.add(endpoint.as_ref(), &handshake);
    let handshake = Box::new(handshake);
    endpoint.filter(|_| is_news).map(|endpoint| Told { kind, endpoint, handshake })
}

async fn answer(core: &Core, set: CredentialSet, shard: u8, ask: Ask, presented: &Presented) {
    let _turn = core.gate.turn.read().await;
    let credential = judge::judge(core, set, presented).await;
    if let Credential::Refused { reason, .. } = &credential {
        tracing::debug!(%reason, "a handshake is refused");
    }
    // A stopped engine needs no answer.
    match set {
        CredentialSet::Server => {
            if let Some(inbox) = core.inbox(shard) {
                let _ = inbox.answer(ask, Answer::Credential(credential)).await;
            }
        }
        CredentialSet::Bootstrap => {
            if let Some(inbox) = &core.bootstrap.inbox {
                let _ = inbox.answer(ask, bootstrap_engine::Answer::Credential(credential)).await;
            }
        }
    }
}

/// Whom a failed handshake was about, as far as a credential says so; notes what was claimed.
async fn claimant(
    core: &Core,
    set: CredentialSet,
    claim: &Claim,
    handshake: &mut Handshake,
) -> Option<Endpoint> {
    use lightship_api::SecurityMode;
    let (mode, identity, principal) = match claim {
        Claim::PskIdentity(identity) => (SecurityMode::Psk, shown(identity), tagged(b'P', identity)),
        Claim::RawPublicKey(sha256) => (SecurityMode::Rpk, hex(sha256), tagged(b'K', sha256)),
        Claim::Certificate(der) => {
            let sha256 = lightship_platform::crypto::Sha256::of(der);
            let names = certificate::names(der).unwrap_or_default();
            let subject = Subject::of(&names);
            let text = subject.shown().unwrap_or_else(|| hex(&sha256));
            handshake.mode = Some(SecurityMode::X509);
            handshake.identity = Some(text);
            if let Some(owner) = judge::owner(core, set, &tagged(b'C', &sha256)).await {
                return Some(owner);
            }
            return named(core, set, &subject).await;
        }
        Claim::Resumed(principal) => {
            handshake.mode = Some(facts::mode(principal.mode()));
            handshake.identity = Some(facts::identity(principal));
            return match principal {
                Principal::Psk(identity) => judge::owner(core, set, &tagged(b'P', identity)).await,
                Principal::RawPublicKey(sha256) => judge::owner(core, set, &tagged(b'K', sha256)).await,
                Principal::Certificate(kept) => named(core, set, &Subject::of_principal(kept)).await,
                _ => None,
            };
        }
        _ => return None,
    };
    handshake.mode = Some(mode);
    handshake.identity = Some(identity);
    judge::owner(core, set, &principal).await
}

/// The first endpoint that a certificate names and that has a credential; what it says is not proven.
async fn named(core: &Core, set: CredentialSet, subject: &Subject<'_>) -> Option<Endpoint> {
    for name in subject.endpoints(&core.config.security.endpoint_rules) {
        if matches!(core.keeper.find(&core.store, set, &name).await, Ok(Some(_))) {
            return Some(name);
        }
    }
    None
}

/// Ends the sessions of a principal that is not welcome any more.
pub(super) async fn ask_again(core: &Core, principal: &Principal) {
    let presented = Presented::Resumed(principal.clone());
    let judged = judge::judge(core, CredentialSet::Server, &presented).await;
    // That the store does not answer now is no verdict.
    if let Credential::Refused { reason, alert } = judged
        && alert != Alert::INTERNAL_ERROR
    {
        tracing::info!(%principal, %reason, "not welcome any more");
        let whose: Arc<[Whose]> = [Whose::Principal(principal.clone())].into();
        for inbox in &core.inboxes {
            let _ = inbox.end_sessions(whose.clone(), Registrations::End).await;
        }
    }
}

/// Ends the sessions of devices that an authority vouches for, which may be one that is not trusted any more.
pub(super) async fn end_vouched(core: &Core) {
    let mut whose = Vec::new();
    for party in core.directory.parties() {
        if let Principal::Certificate(certificate) = &party.principal
            && judge::owner(core, CredentialSet::Server, &tagged(b'C', &certificate.sha256)).await.is_none()
        {
            whose.push(Whose::Principal(party.principal.clone()));
        }
    }
    tracing::info!(sessions = whose.len(), "an authority is gone: sessions with certificates end");
    let whose: Arc<[Whose]> = whose.into();
    for inbox in &core.inboxes {
        // A stopped shard has no sessions.
        let _ = inbox.end_sessions(whose.clone(), Registrations::Keep).await;
    }
}

/// Ends sessions that rest on a credential that is otherwise now, or gone.
pub(super) async fn end_sessions(core: &Core, set: CredentialSet, endpoint: &Endpoint, change: &Change) {
    let Some(before) = &change.before else { return };
    let mut whose = vec![Whose::Endpoint(endpoint.clone())];
    let is_any = core.config.security.endpoint_rules.contains(&Rule::Any);
    match &before.proof {
        Proof::Psk { identity, .. } => whose.push(Whose::Principal(Principal::Psk(identity.clone()))),
        Proof::RawPublicKey { sha256 } => whose.push(Whose::Principal(Principal::RawPublicKey(*sha256))),
        // Whose session it is says only the certificate, which is not kept.
        Proof::Certificate { .. } | Proof::Named { .. } | Proof::EndpointNamed if is_any => {
            whose.push(Whose::All);
        }
        Proof::Certificate { .. } | Proof::Named { .. } | Proof::EndpointNamed | Proof::Nosec => {}
    }
    let whose: Arc<[Whose]> = whose.into();
    match set {
        CredentialSet::Server => {
            let gone = change.now.is_none();
            let registrations = if gone { Registrations::End } else { Registrations::Keep };
            for inbox in &core.inboxes {
                // A stopped shard has no sessions.
                let _ = inbox.end_sessions(whose.clone(), registrations).await;
            }
        }
        CredentialSet::Bootstrap => {
            if let Some(inbox) = &core.bootstrap.inbox {
                let _ = inbox.end_sessions(whose).await;
            }
        }
    }
}

/// Certificates remembered as checked since an authority went.
const CHECKED_MAX: usize = 100_000;
