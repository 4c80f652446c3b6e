//! Hand-over: sessions and registrations go on where the process that was stopped in order left them.
//!
//! ```text
//! stop:   shards freeze (they send nothing any more) ─▶ sealed ─▶ store
//! start:  store gives it once, gone for good before it is read ─▶ opened ─▶ shards go on, unless it is too old
//! ```
//! After a crash there is nothing: a record number must never be used twice (RFC 6347 §4.1).

use std::iter;
use std::time::Duration;

use lightship_net::Clock;
use lightship_platform::crypto::Secret;
use lightship_server::Frozen;
use lightship_store::{AnyStore, Store};

use crate::config::Config;
use crate::core::Core;
use crate::security::Keeper;

/// What the shards of the process before have left.
#[derive(Default)]
pub(crate) struct HandOver {
    shards: Vec<Secret>,
    /// What the gate knew; `None` if there was no process before, or nothing of it goes on.
    pub(crate) gate: Option<Vec<u8>>,
    /// How long ago.
    pub(crate) elapsed: Duration,
}

impl HandOver {
    /// Takes what was left, if it is not too old.
    pub(crate) async fn take(config: &Config, store: &AnyStore, keeper: &Keeper, clock: Clock) -> HandOver {
        let nothing = HandOver::default();
        let sealed = match store.take_hand_over().await {
            Ok(Some(sealed)) => sealed,
            Ok(None) => return nothing,
            Err(error) => {
                tracing::error!(%error, "sessions of before the restart cannot be taken over");
                return nothing;
            }
        };
        let Some(opened) = keeper.open_hand_over(&sealed) else {
            tracing::warn!(
                "sessions of before the restart are lost: they were sealed with another key, or are damaged"
            );
            return nothing;
        };
        let Some((at_ms, gate, shards)) = decode(opened.bytes()) else {
            tracing::warn!("sessions of before the restart are lost: another version wrote them");
            return nothing;
        };
        let now_ms = clock.date().as_millis();
        let elapsed = u64::try_from(now_ms.saturating_sub(at_ms)).ok().map(Duration::from_millis);
        match elapsed.filter(|elapsed| *elapsed <= config.security.hand_over) {
            Some(elapsed) => {
                tracing::info!(shards = shards.len(), ?elapsed, "going on with what was before the restart");
                HandOver { shards, gate: Some(gate), elapsed }
            }
            None => {
                tracing::info!("sessions of before the restart are too old; devices come back by themselves");
                nothing
            }
        }
    }

    /// For the shards; each call gives the same, and only one of the answers may be used.
    pub(crate) fn frozen(&self) -> Vec<Frozen> {
        self.shards.iter().map(|shard| Frozen::from_bytes(shard.bytes().to_vec())).collect()
    }
}

/// Leaves what frozen shards hold for the next process.
pub(crate) async fn leave(core: &Core, frozen: &[Frozen]) {
    let bytes = encode(core.clock.date().as_millis(), &core.gate.to_hand_over(), frozen);
    let left = match core.keeper.seal_hand_over(bytes.bytes()) {
        Ok(sealed) => core.store.leave_hand_over(sealed).await.map_err(|error| error.to_string()),
        Err(error) => Err(error.to_string()),
    };
    if let Err(error) = left {
        tracing::error!(error, "sessions end with this process: they cannot be left for the next");
    }
}

/// `version(1)  date in ms(8)`, then of the gate and of each shard `length(8)  bytes`.
fn encode(at_ms: i64, gate: &[u8], frozen: &[Frozen]) -> Secret {
    let parts = || iter::once(gate).chain(frozen.iter().map(Frozen::as_bytes));
    let len = parts().map(|part| part.len() + 8).sum::<usize>() + HEAD_LEN;
    // Reserved at once, so that no copy is left behind when it grows.
    let mut out = Vec::with_capacity(len);
    out.push(VERSION);
    out.extend_from_slice(&at_ms.to_be_bytes());
    for bytes in parts() {
        out.extend_from_slice(&u64::try_from(bytes.len()).unwrap_or(0).to_be_bytes());
        out.extend_from_slice(bytes);
    }
    let secret = Secret::new(&out);
    out.fill(0);
    secret
}

fn decode(bytes: &[u8]) -> Option<(i64, Vec<u8>, Vec<Secret>)> {
    let (&VERSION, rest) = bytes.split_first()? else { return None };
    let (at_ms, mut rest) = rest.split_first_chunk()?;
    let mut shards = Vec::new();
    while let Some((len, tail)) = rest.split_first_chunk() {
        let (shard, tail) = tail.split_at_checked(usize::try_from(u64::from_be_bytes(*len)).ok()?)?;
        shards.push(Secret::new(shard));
        rest = tail;
    }
    if !rest.is_empty() || shards.is_empty() {
        return None;
    }
    let gate = shards.remove(0).bytes().to_vec();
    Some((i64::from_be_bytes(*at_ms), gate, shards))
}

const VERSION: u8 = 3;
const HEAD_LEN: usize = 9;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_left_is_found_again_and_anything_else_is_not() {
        let frozen = [vec![1, 2, 3], Vec::new(), vec![7; 300]].map(Frozen::from_bytes);
        let bytes = encode(77, b"gate", &frozen);
        let (at_ms, gate, shards) = decode(bytes.bytes()).unwrap();
        assert_eq!((at_ms, &gate[..]), (77, &b"gate"[..]));
        let found: Vec<_> = shards.iter().map(Secret::bytes).collect();
        assert_eq!(found, [&[1, 2, 3][..], &[], &[7; 300]]);
        for end in (0..bytes.bytes().len()).filter(|end| !matches!(end, 21 | 32 | 40)) {
            assert!(decode(&bytes.bytes()[..end]).is_none(), "cut at {end}");
        }
        assert!(decode(&[1; 17]).is_none(), "of another version");
        assert!(decode(&[&[VERSION; 9][..], &[255; 8]].concat()).is_none());
    }
}
