//! Who calls, what that caller may do, and what it did.
//!
//! ```text
//! token ─▶ what it hashes to ─▶ Actor ─▶ its role against the address's ─▶ handler ─▶ Trail: an entry in the store
//! ```
//! The secret of a token is nowhere: its hash is looked up, which takes no time that would tell how much of a guess was right.

mod audit;
mod tokens;

use std::collections::HashMap;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::time::Duration;

use lightship_api::{Caller, ProblemType, Role, Timestamp};
use lightship_platform::crypto::Sha256;
use lightship_store::{AnyStore, AuditOf, Store, StoreError, TokenRecord};
use tokio::sync::watch;

pub(crate) use audit::{Asked, Outcome, Trail, about, audited, audited_as, caller, entries};
pub(crate) use tokens::{create, delete, list};

use crate::config::Api;
use crate::core::Core;
use crate::rest::Refusal;

/// Everybody who may call.
pub(crate) struct Access {
    /// What the configured token hashes to; `None`: no token is needed.
    configured: Option<[u8; 32]>,
    /// By what their secrets hash to.
    tokens: RwLock<HashMap<[u8; 32], Arc<Live>>>,
    /// One change of tokens at a time.
    turn: tokio::sync::Mutex<()>,
    /// The place of the newest entry about who did what.
    place: AtomicU64,
    refusals: Mutex<audit::Refusals>,
}

/// A token in use.
#[derive(Debug)]
struct Live {
    record: Arc<TokenRecord>,
    role: Role,
    /// When it was used last, to the minute; 0: never.
    used_ms: AtomicI64,
    /// True once it is taken away.
    gone: watch::Sender<bool>,
}

/// Somebody who calls; handlers find it as an extension of their request.
#[derive(Clone, Debug)]
pub(crate) struct Actor {
    /// The token's name.
    pub(crate) name: String,
    pub(crate) role: Role,
    token: Option<Arc<Live>>,
}

/// Somebody who may not call, and who it is, if that is known.
#[derive(Debug)]
pub(crate) struct Denied {
    pub(crate) refusal: Refusal,
    pub(crate) actor: Option<Actor>,
}

impl Denied {
    pub(crate) fn new(refusal: Refusal, actor: Option<Actor>) -> Box<Denied> {
        Box::new(Denied { refusal, actor })
    }
}

impl Actor {
    fn admin(name: &str) -> Actor {
        Actor { name: name.to_owned(), role: Role::Admin, token: None }
    }

    /// As the API shows it.
    pub(crate) fn shape(&self) -> Caller {
        let record = self.token.as_ref().map(|live| &live.record);
        Caller {
            name: self.name.clone(),
            role: self.role,
            token_id: record.map(|record| record.id.to_string()),
            expires_at: record.and_then(|record| record.expires_ms).map(Timestamp),
        }
    }

    /// Refuses what its role may not do.
    pub(crate) fn must_be(&self, needed: Role) -> Result<(), Refusal> {
        if self.role >= needed {
            return Ok(());
        }
        let detail = format!("it needs the role {needed}, and {:?} is {}", self.name, self.role);
        Err(Refusal::new(ProblemType::ForbiddenRole, detail))
    }

    /// Comes back once it may not call any more: its token was taken away, or its time is over.
    pub(crate) async fn ended(&self, core: &Core) {
        let Some(live) = &self.token else { return std::future::pending().await };
        let mut gone = live.gone.subscribe();
        loop {
            let left = live.record.expires_ms.map(|expires_ms| expires_ms.saturating_sub(core.now().0));
            if *gone.borrow() || left.is_some_and(|left| left <= 0) {
                return;
            }
            // The date may be set in between.
            let left = left.and_then(|left| u64::try_from(left).ok()).map(Duration::from_millis);
            tokio::select! {
                changed = gone.changed() => if changed.is_err() { return },
                () = tokio::time::sleep(left.unwrap_or(LOOK).min(LOOK)) => {}
            }
        }
    }
}

impl Access {
    /// Everybody whom the configuration and the store know.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub(crate) async fn open(api: &Api, store: &AnyStore) -> Result<Access, StoreError> {
        let tokens = store.tokens().await?;
        let newest = AuditOf { before: None, endpoint: None, from_ms: 0, to_ms: i64::MAX, max: 1 };
        let newest = store.audit(newest).await?;
        Ok(Access {
            configured: api.token.as_ref().map(|token| Sha256::of(token.as_bytes())),
            tokens: RwLock::new(tokens.into_iter().filter_map(Live::read).collect()),
            turn: tokio::sync::Mutex::default(),
            place: AtomicU64::new(newest.first().map_or(0, |record| record.id)),
            refusals: Mutex::default(),
        })
    }

    /// Who presents this token, or nothing.
    pub(crate) fn actor(&self, given: Option<&str>, now: Timestamp) -> Result<Actor, Box<Denied>> {
        let denied = |kind, detail: &str| Denied::new(Refusal::new(kind, detail), None);
        let hash = given.map(|given| Sha256::of(given.as_bytes()));
        if hash.is_some() && hash == self.configured {
            return Ok(Actor::admin("configuration"));
        }
        if let Some(live) = hash.and_then(|hash| self.tokens().get(&hash).cloned()) {
            let actor =
                Actor { name: live.record.name.to_string(), role: live.role, token: Some(live.clone()) };
            if live.is_over(now) {
                let refusal = Refusal::new(ProblemType::TokenExpired, "");
                return Err(Denied::new(refusal, Some(actor)));
            }
            live.used(now);
            return Ok(actor);
        }
        match given {
            // Who shows a token of ours wants to be taken for that one, not for everybody.
            Some(given) if self.configured.is_some() || given.starts_with(tokens::PREFIX) => {
                Err(denied(ProblemType::WrongToken, ""))
            }
            None if self.configured.is_some() => {
                Err(denied(ProblemType::NoToken, "send Authorization: Bearer and the token"))
            }
            _ => Ok(Actor::admin("dev")),
        }
    }

    fn tokens(&self) -> std::sync::RwLockReadGuard<'_, HashMap<[u8; 32], Arc<Live>>> {
        self.tokens.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn tokens_to_change(&self) -> std::sync::RwLockWriteGuard<'_, HashMap<[u8; 32], Arc<Live>>> {
        self.tokens.write().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Live {
    fn read(record: Arc<TokenRecord>) -> Option<([u8; 32], Arc<Live>)> {
        let Some(role) = Role::from_name(&record.role) else {
            tracing::error!(id = %record.id, role = %record.role, "a token has a role that this program does not know: it is of no use");
            return None;
        };
        let (used_ms, gone) = (AtomicI64::new(0), watch::Sender::new(false));
        Some((record.digest, Arc::new(Live { record, role, used_ms, gone })))
    }

    fn is_over(&self, now: Timestamp) -> bool {
        self.record.expires_ms.is_some_and(|expires_ms| expires_ms <= now.0)
    }

    fn used(&self, now: Timestamp) {
        if now.0 >= self.used_ms.load(Ordering::Relaxed).saturating_add(MINUTE_MS) {
            self.used_ms.store(now.0 - now.0.rem_euclid(MINUTE_MS), Ordering::Relaxed);
        }
    }
}

const MINUTE_MS: i64 = 60_000;
/// How often what was opened with a token looks at the clock.
const LOOK: Duration = Duration::from_secs(30);
