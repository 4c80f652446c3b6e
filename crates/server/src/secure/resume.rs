//! Session IDs, and what is kept of sessions that have ended so that they can be resumed (RFC 5246 §7.3).

use core::hash::{BuildHasher, Hash, Hasher};
use std::collections::VecDeque;
use std::hash::DefaultHasher;
use std::sync::Arc;

use hashbrown::HashTable;
use lightship_dtls::Suite;
use lightship_platform::Instant;
use zeroize::Zeroizing;

use crate::devices::SecretHash;
use crate::slab::{Key, Slab};
use crate::{Locator, Party};

/// Length of the session IDs that we give. Some clients do not resume with less than 16 bytes.
pub(super) const SESSION_ID_LEN: usize = 16;

/// The session ID of a locator: its bytes, so that a ClientHello finds the shard, and a check, so that it finds nothing in another
/// run of the shard, nor under another name of the server than that of the first handshake (RFC 6066 §3).
pub(super) fn session_id(locator: Locator, tag: u128, server_name: Option<&str>) -> [u8; SESSION_ID_LEN] {
    // This one is shown, so it must not give its key away: SipHash.
    let mut check = DefaultHasher::new();
    check.write_u128(tag);
    (locator.to_bytes(), server_name.map(str::to_ascii_lowercase)).hash(&mut check);
    let mut id = [0; SESSION_ID_LEN];
    id[..6].copy_from_slice(&locator.to_bytes());
    id[6..14].copy_from_slice(&check.finish().to_be_bytes());
    id
}

/// The locator that a session ID of ours begins with; it may be another shard's.
pub(super) fn locator_of(session_id: &[u8]) -> Option<Locator> {
    let id: &[u8; SESSION_ID_LEN] = session_id.try_into().ok()?;
    id.first_chunk().map(|bytes| Locator::from_bytes(*bytes))
}

/// What is kept of a session that has ended.
pub(super) struct EndedSession {
    pub(super) id_random: u32,
    pub(super) master: Zeroizing<[u8; 48]>,
    pub(super) suite: Suite,
    pub(super) extended_master_secret: bool,
    pub(super) party: Arc<Party>,
}

/// Sessions that have ended and can be resumed.
pub(super) struct EndedSessions {
    slab: Slab<EndedSession>,
    by_id: HashTable<u32>,
    /// In the order in which they ended; those that were resumed are skipped when they come up.
    order: VecDeque<(Instant, Key<EndedSession>)>,
    hashes: SecretHash,
}

impl EndedSessions {
    pub(super) fn new(hashes: SecretHash) -> Self {
        Self { slab: Slab::new(), by_id: HashTable::new(), order: VecDeque::new(), hashes }
    }

    /// All of them, and until when they are kept.
    pub(super) fn iter(&self) -> impl Iterator<Item = (Instant, &EndedSession)> {
        self.order.iter().filter_map(|(until, key)| Some((*until, self.slab.get(*key)?)))
    }

    pub(super) fn len(&self) -> usize {
        self.slab.len()
    }

    fn find(&self, id_random: u32) -> Option<Key<EndedSession>> {
        let is = |at: &u32| self.slab.at(*at).is_some_and(|(_, ended)| ended.id_random == id_random);
        let at = self.by_id.find(self.hashes.hash_one(id_random), is)?;
        self.slab.at(*at).map(|(key, _)| key)
    }

    pub(super) fn get(&self, id_random: u32) -> Option<&EndedSession> {
        self.slab.get(self.find(id_random)?)
    }

    /// Keeps one until [`EndedSessions::expire`] is told a later moment than `until`; the oldest give way if there are more than `max`.
    pub(super) fn insert(&mut self, until: Instant, ended: EndedSession, max: usize) {
        self.remove(ended.id_random);
        while self.slab.len() >= max {
            let Some((_, oldest)) = self.order.pop_front() else { return };
            self.drop_key(oldest);
        }
        let hashes = self.hashes;
        let key = self.slab.insert(ended);
        let slab = &self.slab;
        let hash = |at: u32| slab.at(at).map_or(0, |(_, ended)| hashes.hash_one(ended.id_random));
        self.by_id.insert_unique(hash(key.index), key.index, |at| hash(*at));
        self.order.push_back((until, key));
        if self.order.len() > 2 * self.slab.len().max(64) {
            self.order.retain(|(_, key)| slab.get(*key).is_some());
        }
    }

    /// Lets the oldest go until there are at most so many.
    pub(super) fn trim(&mut self, max: usize) {
        while self.slab.len() > max {
            let Some((_, oldest)) = self.order.pop_front() else { return };
            self.drop_key(oldest);
        }
    }

    pub(super) fn remove(&mut self, id_random: u32) {
        if let Some(key) = self.find(id_random) {
            self.drop_key(key);
        }
    }

    fn drop_key(&mut self, key: Key<EndedSession>) {
        let Some(ended) = self.slab.remove(key) else { return };
        if let Ok(entry) = self.by_id.find_entry(self.hashes.hash_one(ended.id_random), |at| *at == key.index)
        {
            entry.remove();
        }
    }

    /// Forgets those whose time is over and says when the next one's is.
    pub(super) fn expire(&mut self, now: Instant) -> Option<Instant> {
        while let Some((until, key)) = self.order.front().copied() {
            if self.slab.get(key).is_some() && until > now {
                return Some(until);
            }
            self.order.pop_front();
            self.drop_key(key);
        }
        None
    }

    /// Forgets those of a party.
    pub(super) fn forget(&mut self, is: impl Fn(&Party) -> bool) {
        let keys: Vec<_> =
            self.slab.iter().filter(|(_, ended)| is(&ended.party)).map(|(key, _)| key).collect();
        for key in keys {
            self.drop_key(key);
        }
    }
}
