//! Gate: what happens to secured sessions, of both servers.

use std::collections::{BTreeSet, HashMap};
use std::fs::{File, OpenOptions};
use std::io::Write;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};
use std::time::Duration;

use lightship_api::{EventType, Handshake, HandshakeResult, SecurityMode, ServerIdentity};
use lightship_dtls::Alert;
use lightship_dtls::certificate;
use lightship_lwm2m::Endpoint;
use lightship_platform::UnixTime;
use lightship_platform::crypto::Sha256;
use lightship_server::{
    Answer, Ask, Claim, Credential, CredentialEnd, Presented, Registrations, SecurityEvent, Whose,
};
use lightship_server::{Principal, bootstrap as bootstrap_engine};
use lightship_store::CredentialSet;
use tokio::sync::{RwLock as AsyncRwLock, Semaphore, watch};

use super::accepted::Accepted;
use super::credential::Proof;
use super::encoded::hex;
use super::history::History;
use super::judge::{self, Subject, shown, tagged};
use super::keeper::Change;
use super::setup::Trust;
use super::shown as facts;
use super::trusted::{Judged, Trusted};
use crate::config::Rule;
use crate::core::{Core, stopped};

/// What the parts of the server share about sessions.
pub(crate) struct Gate {
    pub(crate) history: History,
    pub(crate) identities: Vec<ServerIdentity>,
    trust: RwLock<Trust>,
    /// How the chains of devices were judged.
    pub(crate) judged: Judged,
    /// The certificates whose paths were checked, by SHA-256, and how long those hold. A session of any other is not resumed.
    checked: Mutex<HashMap<(CredentialSet, [u8; 32]), UnixTime>>,
    /// The last certificates that were accepted, so that it can be said what they mean.
    presented: Mutex<Accepted>,
    /// When the next one of them expires.
    next_end: watch::Sender<UnixTime>,
    key_log: Option<Mutex<File>>,
    /// How often a credential has changed.
    changes: AtomicU64,
    /// Held for reading from the look at a credential until the answer is on its way, for writing while credentials change: so no answer
    /// that rests on an old credential comes behind the order to end what rests on it.
    pub(super) turn: AsyncRwLock<()>,
    /// Room for questions about credentials that are being answered.
    answering: Arc<Semaphore>,
}

/// Something that the log should tell.
pub(crate) struct Told {
    pub(crate) kind: EventType,
    pub(crate) endpoint: Endpoint,
    pub(crate) handshake: Box<Handshake>,
}

impl Gate {
    pub(crate) fn new(
        history: History,
        identities: Vec<ServerIdentity>,
        trust: Trust,
        key_log: Option<File>,
    ) -> Gate {
        Gate {
            history,
            identities,
            trust: RwLock::new(trust),
            judged: Judged::default(),
            checked: Mutex::default(),
            presented: Mutex::default(),
            next_end: watch::Sender::new(UnixTime::from_millis(i64::MAX)),
            key_log: key_log.map(Mutex::new),
            changes: AtomicU64::new(0),
            turn: AsyncRwLock::new(()),
            answering: Arc::new(Semaphore::new(ANSWERS_MAX)),
        }
    }

    /// How often a credential has changed: who was judged before the last time may have to be judged again.
    pub(crate) fn credentials_changed(&self) -> u64 {
        self.changes.load(Ordering::Acquire)
    }

    pub(super) fn credential_changed(&self) {
        self.changes.fetch_add(1, Ordering::AcqRel);
    }

    /// The authorities that count now.
    pub(super) fn trust(&self, set: CredentialSet) -> Arc<Trusted> {
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

    /// A device has proven itself with a certificate.
    pub(super) fn remember(&self, sha256: [u8; 32], chain: &[Box<[u8]>]) {
        self.presented.lock().unwrap_or_else(PoisonError::into_inner).keep(sha256, chain);
    }

    /// What a device has presented with its certificate, if it was among the last.
    pub(super) fn presented(&self, sha256: &[u8; 32]) -> Option<Vec<Vec<u8>>> {
        let presented = self.presented.lock().unwrap_or_else(PoisonError::into_inner);
        presented.chain(sha256)
    }

    /// An authority has gone: no path that was checked before counts.
    pub(super) fn check_all_anew(&self) {
        self.checked().clear();
    }

    /// Takes out the certificates that have expired, by server; and says when the next one does.
    fn expired(&self, now: UnixTime) -> (HashMap<CredentialSet, BTreeSet<[u8; 32]>>, Option<UnixTime>) {
        let mut gone: HashMap<_, BTreeSet<_>> = HashMap::new();
        let mut next: Option<UnixTime> = None;
        // A certificate holds to the end of its last second.
        let now = UnixTime::from_secs(now.as_secs());
        self.checked().retain(|(set, sha256), until| {
            let holds = now <= *until;
            if holds {
                next = Some(next.map_or(*until, |next| next.min(*until)));
            } else {
                gone.entry(*set).or_default().insert(*sha256);
            }
            holds
        });
        (gone, next)
    }

    /// What the next process has to know: the authorities that counted, and the certificates whose paths were checked.
    pub(crate) fn to_hand_over(&self) -> Vec<u8> {
        let trusted = self.trusted();
        let mut out = Vec::new();
        out.extend_from_slice(&u32::try_from(trusted.len()).unwrap_or(0).to_be_bytes());
        trusted.iter().for_each(|certificate| out.extend_from_slice(&Sha256::of(certificate)));
        for ((set, sha256), until) in self.checked().iter() {
            out.push(u8::from(*set == CredentialSet::Bootstrap));
            out.extend_from_slice(sha256);
            out.extend_from_slice(&until.as_millis().to_be_bytes());
        }
        out
    }

    /// Goes on with what the process before knew. False if an authority is gone that counted then, or that cannot be told: sessions that
    /// rest on one have to end.
    pub(crate) fn take_over(&self, bytes: &[u8]) -> bool {
        let now: Vec<[u8; 32]> = self.trusted().iter().map(|certificate| Sha256::of(certificate)).collect();
        let Some((count, mut rest)) = bytes.split_first_chunk() else { return false };
        for _ in 0..u32::from_be_bytes(*count) {
            match rest.split_first_chunk::<32>() {
                Some((before, tail)) if now.contains(before) => rest = tail,
                Some(_) | None => return false,
            }
        }
        let mut checked = self.checked();
        for kept in rest.chunks_exact(CHECKED_LEN) {
            let Some((set, kept)) = kept.split_first() else { continue };
            let (Some((sha256, _)), Some((_, until))) = (kept.split_first_chunk(), kept.split_last_chunk())
            else {
                continue;
            };
            let set = if *set == 0 { CredentialSet::Server } else { CredentialSet::Bootstrap };
            checked.insert((set, *sha256), UnixTime::from_millis(i64::from_be_bytes(*until)));
        }
        true
    }

    /// The path of a certificate was checked, and holds until then.
    pub(super) fn is_checked(&self, set: CredentialSet, sha256: [u8; 32], until: UnixTime) {
        let mut checked = self.checked();
        // Who finds no room makes a full handshake each time.
        if checked.len() < CHECKED_MAX || checked.contains_key(&(set, sha256)) {
            checked.insert((set, sha256), until);
            drop(checked);
            if until < *self.next_end.borrow() {
                self.next_end.send_replace(until);
            }
        }
    }

    /// Whether a session of a certificate may be resumed, which is not shown and whose path is not checked then.
    pub(super) fn may_resume(&self, set: CredentialSet, sha256: [u8; 32], now: UnixTime) -> bool {
        self.checked().get(&(set, sha256)).is_some_and(|until| now <= *until)
    }

    fn checked(&self) -> MutexGuard<'_, HashMap<(CredentialSet, [u8; 32]), UnixTime>> {
        self.checked.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn log_key(&self, line: &str) {
        let Some(file) = &self.key_log else { return };
        let mut file = file.lock().unwrap_or_else(PoisonError::into_inner);
        if let Err(error) = writeln!(file, "{line}") {
            tracing::warn!(%error, "the key log cannot be written");
        }
    }
}

/// Opens a file for secrets of sessions, which its owner alone may read, also where it was there before.
///
/// # Errors
/// When the system refuses.
pub fn open_key_log(path: &std::path::Path) -> std::io::Result<File> {
    let mut options = OpenOptions::new();
    options.append(true).create(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let file = options.open(path)?;
    // One that was there before may be open to all.
    #[cfg(unix)]
    if file.metadata()?.is_file() {
        file.set_permissions(std::os::unix::fs::PermissionsExt::from_mode(0o600))?;
    }
    Ok(file)
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
            ask_about(core, set, shard, ask, presented);
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
        SecurityEvent::NameRefused { session, endpoint } => {
            let mut handshake = facts::of_session(set, time, &session, HandshakeResult::Failed);
            let identity = handshake.identity.as_deref().unwrap_or_default();
            let name = shown(endpoint.as_str().as_bytes());
            let owner = session.party.endpoints.one().cloned();
            let only =
                owner.as_ref().map(|owner| format!(", only for '{}'", shown(owner.as_str().as_bytes())));
            handshake.reason =
                Some(format!("'{identity}' may not speak for endpoint '{name}'{}", only.unwrap_or_default()));
            // The session itself came about, so there is no event to tell.
            let _ = note(core, EventType::HandshakeFailed, owner, handshake);
            None
        }
        SecurityEvent::UnsecuredRefused { from, endpoint } => {
            note_unsecured(
                core,
                set,
                &endpoint,
                from,
                true,
                "a device with security is registered under this name",
            );
            None
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
    core.fleet.rates.shook_hands(&handshake);
    let is_news = core.gate.history.add(endpoint.as_ref(), &handshake);
    let handshake = Box::new(handshake);
    endpoint.filter(|_| is_news).map(|endpoint| Told { kind, endpoint, handshake })
}

/// Remembers that a device was refused that came without security. Its name is only claimed: the list of a device's own is for those
/// that have a credential, so that strangers do not fill it.
pub(super) fn note_unsecured(
    core: &Core,
    set: CredentialSet,
    endpoint: &Endpoint,
    from: SocketAddr,
    is_known: bool,
    reason: &'static str,
) {
    let mut handshake = facts::blank(set, core.now(), from.to_string(), HandshakeResult::Failed);
    handshake.mode = Some(SecurityMode::Nosec);
    handshake.endpoint = Some(endpoint.to_string());
    handshake.reason = Some(reason.to_owned());
    // No handshake was begun with its credential, so there is no event to tell.
    let _ = note(core, EventType::HandshakeFailed, is_known.then(|| endpoint.clone()), handshake);
}

/// Has a question about a credential answered. While the store is slow, handshakes come and go: what nobody waits for any more must not
/// heap up. One that gets no answer fails in time, and its device tries again.
fn ask_about(core: &Arc<Core>, set: CredentialSet, shard: u8, ask: Ask, presented: Presented) {
    let Ok(permit) = core.gate.answering.clone().try_acquire_owned() else { return };
    let core = core.clone();
    tokio::spawn(async move {
        answer(&core, set, shard, ask, &presented).await;
        drop(permit);
    });
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
    let (mode, identity, principal) = match claim {
        Claim::PskIdentity(identity) => (SecurityMode::Psk, shown(identity), tagged(b'P', identity)),
        Claim::RawPublicKey(sha256) => (SecurityMode::Rpk, hex(sha256), tagged(b'K', sha256)),
        Claim::Certificate(der) => {
            let sha256 = Sha256::of(der);
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
    // That the store does not answer now is no verdict.
    if let Err((alert, reason)) = judge::again(core, principal).await
        && alert != Alert::INTERNAL_ERROR
    {
        tracing::info!(%principal, %reason, "not welcome any more");
        let whose: Arc<[Whose]> = [Whose::Principal(principal.clone())].into();
        for inbox in &core.inboxes {
            let _ = inbox.end_sessions(whose.clone(), CredentialEnd::TakenAway, Registrations::End).await;
        }
    }
}

/// Ends the sessions with certificates, of registered devices and of others: one of them may rest on an authority that is gone.
pub(crate) async fn end_vouched(core: &Core) {
    tracing::info!("an authority is gone: sessions with certificates end");
    let whose: Arc<[Whose]> = [Whose::Certificates].into();
    for inbox in &core.inboxes {
        // A stopped shard has no sessions.
        let _ = inbox.end_sessions(whose.clone(), CredentialEnd::Untrusted, Registrations::Keep).await;
    }
    if let Some(inbox) = &core.bootstrap.inbox {
        let _ = inbox.end_sessions(whose, CredentialEnd::Untrusted).await;
    }
}

/// Ends the sessions of certificates that expire, soon after they do; their devices come back with new ones, or are refused with the
/// reason.
pub(crate) async fn keep_watch(core: Arc<Core>) {
    let mut stopping = core.stopping.subscribe();
    let mut next_end = core.gate.next_end.subscribe();
    loop {
        let now = core.clock.date();
        let (gone, next) = core.gate.expired(now);
        core.gate.next_end.send_if_modified(|end| {
            *end = next.unwrap_or(UnixTime::from_millis(i64::MAX));
            false
        });
        for (set, certificates) in gone {
            end_expired(&core, set, certificates).await;
        }
        let left_ms = next.map_or(i64::MAX, |next| next.as_millis().saturating_sub(now.as_millis()) + 1000);
        let left = Duration::from_millis(u64::try_from(left_ms).unwrap_or(0)).max(SWEEP_MIN);
        tokio::select! {
            () = tokio::time::sleep(left.min(SWEEP_MAX)) => {}
            // One that ends earlier. Not at once, since each look is at all of them.
            _ = next_end.changed() => tokio::time::sleep(SWEEP_MIN).await,
            () = stopped(&mut stopping) => return,
        }
    }
}

async fn end_expired(core: &Core, set: CredentialSet, certificates: BTreeSet<[u8; 32]>) {
    tracing::info!(certificates = certificates.len(), "certificates have expired: their sessions end");
    let whose: Arc<[Whose]> = [Whose::CertificatesOf(certificates)].into();
    match set {
        CredentialSet::Server => {
            for inbox in &core.inboxes {
                // A stopped shard has no sessions.
                let _ = inbox.end_sessions(whose.clone(), CredentialEnd::Expired, Registrations::Keep).await;
            }
        }
        CredentialSet::Bootstrap => {
            if let Some(inbox) = &core.bootstrap.inbox {
                let _ = inbox.end_sessions(whose, CredentialEnd::Expired).await;
            }
        }
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
    let gone = change.now.is_none();
    let why = if gone { CredentialEnd::TakenAway } else { CredentialEnd::Changed };
    match set {
        CredentialSet::Server => {
            let registrations = if gone { Registrations::End } else { Registrations::Keep };
            for inbox in &core.inboxes {
                // A stopped shard has no sessions.
                let _ = inbox.end_sessions(whose.clone(), why, registrations).await;
            }
        }
        CredentialSet::Bootstrap => {
            if let Some(inbox) = &core.bootstrap.inbox {
                let _ = inbox.end_sessions(whose, why).await;
            }
        }
    }
}

/// One of them in a hand-over: server, SHA-256, end.
const CHECKED_LEN: usize = 1 + 32 + 8;
/// Between two looks for certificates that have expired.
const SWEEP_MIN: Duration = Duration::from_secs(1);
const SWEEP_MAX: Duration = Duration::from_secs(60);
/// Questions about credentials that are answered at a time.
const ANSWERS_MAX: usize = 4096;
/// Certificates remembered as checked.
const CHECKED_MAX: usize = 1_000_000;

#[cfg(test)]
mod tests {
    use lightship_dtls::certificate::Anchors;

    use super::*;

    fn trusting(certificates: &[&[u8]]) -> Gate {
        let nobody = Arc::new(Trusted::new(Anchors::default(), 0));
        let certificates = certificates.iter().map(|der| (*der).into()).collect();
        Gate::new(
            History::default(),
            Vec::new(),
            Trust { server: nobody.clone(), bootstrap: nobody, certificates },
            None,
        )
    }

    #[test]
    fn a_checked_certificate_counts_for_its_server_until_it_expires() {
        let gate = trusting(&[]);
        let (server, bootstrap) = (CredentialSet::Server, CredentialSet::Bootstrap);
        let may = |set, second| gate.may_resume(set, [1; 32], UnixTime::from_secs(second));
        assert!(!may(server, 0), "nobody has looked at it");
        gate.is_checked(bootstrap, [1; 32], UnixTime::from_secs(50));
        assert!(may(bootstrap, 50) && !may(bootstrap, 51));
        assert!(!may(server, 0), "each server trusts whom it trusts");
        gate.is_checked(server, [2; 32], UnixTime::from_secs(50));
        assert!(!may(server, 0));
        gate.is_checked(server, [1; 32], UnixTime::from_secs(60));
        assert!(may(server, 60));
        gate.check_all_anew();
        assert!(!may(server, 0) && !may(bootstrap, 0));
    }

    #[test]
    fn what_was_checked_is_handed_over_unless_an_authority_is_gone() {
        let before = trusting(&[b"one", b"two"]);
        let (server, bootstrap) = (CredentialSet::Server, CredentialSet::Bootstrap);
        before.is_checked(server, [1; 32], UnixTime::from_secs(50));
        before.is_checked(bootstrap, [2; 32], UnixTime::from_secs(60));
        let bytes = before.to_hand_over();
        let after = trusting(&[b"three", b"two", b"one"]);
        assert!(after.take_over(&bytes));
        assert!(after.may_resume(server, [1; 32], UnixTime::from_secs(50)));
        let (gone, next) = after.expired(UnixTime::from_secs(51));
        assert_eq!((gone.len(), gone[&server].contains(&[1; 32])), (1, true));
        assert_eq!(next, Some(UnixTime::from_secs(60)));
        assert!(!after.may_resume(server, [1; 32], UnixTime::from_secs(50)), "taken out");
        assert!(after.may_resume(bootstrap, [2; 32], UnixTime::from_secs(60)));
        let fewer = trusting(&[b"two"]);
        assert!(!fewer.take_over(&bytes), "an authority is gone");
        assert!(!fewer.may_resume(server, [1; 32], UnixTime::from_secs(0)));
        for len in 0..4 + 64 {
            assert!(!after.take_over(&bytes[..len]), "{len}");
        }
    }
}
