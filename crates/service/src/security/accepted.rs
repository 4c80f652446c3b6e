//! The last certificates that were accepted, in memory, so that it can be said what they mean.

use std::collections::{HashMap, VecDeque};

/// Chains of certificates that were accepted, by the SHA-256 of the first.
#[derive(Default)]
pub(super) struct Accepted {
    chains: HashMap<[u8; 32], Vec<Box<[u8]>>>,
    /// The oldest first.
    order: VecDeque<[u8; 32]>,
    bytes: usize,
}

impl Accepted {
    /// What was presented with the certificate of that SHA-256, itself first.
    pub(super) fn chain(&self, sha256: &[u8; 32]) -> Option<Vec<Vec<u8>>> {
        self.chains.get(sha256).map(|chain| chain.iter().map(|der| der.to_vec()).collect())
    }

    /// Keeps one, and lets the oldest go where there are too many.
    pub(super) fn keep(&mut self, sha256: [u8; 32], chain: &[Box<[u8]>]) {
        let len = |chain: &[Box<[u8]>]| chain.iter().map(|der| der.len()).sum::<usize>() + OVERHEAD;
        if self.chains.contains_key(&sha256) {
            return;
        }
        self.bytes += len(chain);
        self.chains.insert(sha256, chain.into());
        self.order.push_back(sha256);
        while self.bytes > BYTES_MAX
            && let Some(oldest) = self.order.pop_front()
        {
            self.bytes -= self.chains.remove(&oldest).map_or(0, |gone| len(&gone));
        }
    }
}

/// Bytes of accepted certificates that are remembered: those of some thousand devices.
const BYTES_MAX: usize = 4 * 1024 * 1024;
/// Bytes that one takes besides.
const OVERHEAD: usize = 160;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_oldest_go_where_there_are_too_many() {
        let mut accepted = Accepted::default();
        let chain: [Box<[u8]>; 2] = [vec![1; 10_000].into(), vec![2; 6_000].into()];
        let name = |at: u32| {
            let mut name = [0; 32];
            name[..4].copy_from_slice(&at.to_be_bytes());
            name
        };
        let count = 1000;
        for at in 0..count {
            accepted.keep(name(at), &chain);
            accepted.keep(name(at), &chain);
            assert!(accepted.bytes <= BYTES_MAX);
            assert_eq!(accepted.order.len(), accepted.chains.len());
        }
        assert_eq!(accepted.chain(&name(0)), None);
        let kept = accepted.chain(&name(count - 1)).unwrap();
        assert_eq!((kept.len(), kept[1].len()), (2, 6_000));
        assert_eq!(accepted.bytes, accepted.order.len() * (16_000 + OVERHEAD));
    }
}
