//! Tokens, made and taken away.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use lightship_api::{MadeToken, NewToken, Problem, ProblemType, Timestamp, Token, Tokens};
use lightship_platform::Rng;
use lightship_platform::crypto::Sha256;
use lightship_store::{Batch, Fact, Store, StoreError, TokenRecord};

use super::{Actor, Live, audited};
use crate::core::Core;
use crate::queue::unread;
use crate::random::Random;
use crate::rest::Refusal;
use crate::security::hex;

/// All tokens, those made first come first.
pub(crate) fn list(core: &Core) -> Tokens {
    let now = core.now();
    let mut items: Vec<Token> = core.access.tokens().values().map(|live| shape(live, now)).collect();
    items.sort_by(|a, b| (a.created_at, &a.id).cmp(&(b.created_at, &b.id)));
    Tokens { items }
}

/// Makes a token.
pub(crate) async fn create(core: &Core, new: &NewToken, actor: &Actor) -> Result<MadeToken, Refusal> {
    let name = name(&new.name)?;
    let lifetime_ms = new.expires_in_s.map(lifetime_ms).transpose()?;
    let _turn = core.access.turn.lock().await;
    if core.access.tokens().values().any(|live| *live.record.name == *name) {
        return Err(Refusal(
            Problem::new(ProblemType::Conflict, format!("there is a token {name:?} already")).at("/name"),
        ));
    }
    let (mut id, mut secret) = ([0; 6], [0; 32]);
    Random.fill(&mut id);
    Random.fill(&mut secret);
    let id = hex(&id);
    let secret = format!("{PREFIX}{id}_{}", hex(&secret));
    let now = core.now();
    let record = Arc::new(TokenRecord {
        id: id.into(),
        name: name.into(),
        role: new.role.name().into(),
        digest: Sha256::of(secret.as_bytes()),
        created_ms: now.0,
        created_by: actor.name.as_str().into(),
        expires_ms: lifetime_ms.map(|lifetime_ms| now.0.saturating_add(lifetime_ms)),
    });
    commit(core, Fact::Token(record.clone())).await?;
    let (digest, live) =
        Live::read(record).ok_or_else(|| Refusal::new(ProblemType::Internal, "the role is unknown"))?;
    let token = shape(&live, now);
    core.access.tokens_to_change().insert(digest, live);
    Ok(MadeToken { secret, token })
}

/// Takes a token away: what was opened with it ends at once. Gives its name.
pub(crate) async fn delete(core: &Core, id: &str) -> Result<String, Refusal> {
    let _turn = core.access.turn.lock().await;
    let found = core.access.tokens().values().find(|live| *live.record.id == *id).cloned();
    let unknown = || Refusal::new(ProblemType::UnknownToken, format!("there is no token {id:?}"));
    let live = found.ok_or_else(unknown)?;
    commit(core, Fact::NoToken { id: live.record.id.clone() }).await?;
    core.access.tokens_to_change().remove(&live.record.digest);
    live.gone.send_replace(true);
    Ok(live.record.name.to_string())
}

async fn commit(core: &Core, fact: Fact) -> Result<(), Refusal> {
    let stored = core.store.commit(Batch { facts: audited(vec![fact]) }).await;
    stored.map(drop).map_err(|error| match error {
        StoreError::Full { .. } => Refusal::new(ProblemType::Conflict, error.to_string()),
        StoreError::Unavailable { .. }
        | StoreError::InUse { .. }
        | StoreError::Occupied { .. }
        | StoreError::Unfinished { .. }
        | StoreError::Corrupt { .. }
        | StoreError::Taken { .. }
        | _ => unread(&error),
    })
}

fn shape(live: &Live, now: Timestamp) -> Token {
    let record = &live.record;
    Token {
        id: record.id.to_string(),
        name: record.name.to_string(),
        role: live.role,
        created_at: Timestamp(record.created_ms),
        created_by: record.created_by.to_string(),
        expires_at: record.expires_ms.map(Timestamp),
        expired: live.is_over(now),
        last_used_at: Some(live.used_ms.load(Ordering::Relaxed)).filter(|ms| *ms > 0).map(Timestamp),
    }
}

/// A name that tells its owner from everybody else, in the audit too.
fn name(text: &str) -> Result<&str, Refusal> {
    let wrong = |detail: String| Err(Refusal(Problem::new(ProblemType::MalformedBody, detail).at("/name")));
    let length = text.chars().count();
    if !(1..=NAME_CHARS_MAX).contains(&length) || text.trim() != text || text.contains(char::is_control) {
        return wrong(format!(
            "a name has from 1 to {NAME_CHARS_MAX} characters, none of them control characters, and no space at its ends"
        ));
    }
    if RESERVED.contains(&text) { wrong(format!("{text:?} stands for somebody else")) } else { Ok(text) }
}

fn lifetime_ms(seconds: u64) -> Result<i64, Refusal> {
    let wrong = || {
        let detail = format!("a token is good for 1 to {LIFETIME_MAX_S} seconds, or until it is taken away");
        Refusal(Problem::new(ProblemType::MalformedBody, detail).at("/expires_in_s"))
    };
    let legal = Some(seconds).filter(|seconds| (1..=LIFETIME_MAX_S).contains(seconds));
    legal.and_then(|seconds| i64::try_from(seconds * 1000).ok()).ok_or_else(wrong)
}

/// What every token begins with, so that one that is found somewhere is known for what it is.
pub(super) const PREFIX: &str = "ls_";
const NAME_CHARS_MAX: usize = 64;
/// Callers without a token of their own.
const RESERVED: [&str; 2] = ["configuration", "dev"];
/// Ten years.
const LIFETIME_MAX_S: u64 = 315_576_000;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_plain_and_nobody_elses() {
        for good in ["ci", "Ann Müller", &"x".repeat(64), "Δ"] {
            assert_eq!(name(good).unwrap(), good);
        }
        for bad in ["", " ", " a", "a ", "a\nb", "a\0", "configuration", "dev", &"x".repeat(65)] {
            assert!(name(bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn a_lifetime_has_bounds() {
        assert_eq!(lifetime_ms(1).unwrap(), 1000);
        assert_eq!(lifetime_ms(LIFETIME_MAX_S).unwrap(), 315_576_000_000);
        assert!(lifetime_ms(0).is_err() && lifetime_ms(u64::MAX).is_err());
    }
}
