//! What is kept of one session, and the table of all.
//!
//! ```text
//!   ClientHello with a good cookie ──▶ Pending ──Finished──▶ Open ──close, alert, eviction──▶ Closing ──last alert sent──▶ gone
//!                                         └──failure, time over, newer ones──▶ Closing
//! ```
//! There are millions of open sessions: what one costs is tested. What only a few need at a time is behind one pointer.

use core::hash::BuildHasher;
use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::Arc;

use lightship_dtls::{Association, DropReason, Suite};
use lightship_platform::{Instant, Rng};
use zeroize::Zeroizing;

use super::address::Address;
use super::handshake::Handshake;
use super::parties::{Parties, PartyId, PartyRef};
use crate::Party;
use crate::devices::SecretHash;
use crate::index::Index;
use crate::slab::{Key, Slab};
use crate::timer::TimerId;

/// One session; `T` is what the engine keeps with it.
pub(crate) struct Session<T> {
    pub(super) association: Association,
    /// The secret that the session can be resumed with, if [`Session::resumable`].
    pub(super) master: Zeroizing<[u8; 48]>,
    /// The random part of its connection ID.
    pub(super) random: u32,
    /// The random part of its session ID: the same, or that of the session that it resumes.
    pub(super) id_random: u32,
    pub(super) address: Address,
    /// Who the peer is, once that is proven.
    pub(super) party: Option<PartyId>,
    pub(super) opened_s: u32,
    /// The stage and the suite among them.
    pub(super) marks: Marks,
    /// Records that were dropped: seen before, and for other reasons than a wrong tag.
    pub(super) replayed: u16,
    pub(super) dropped: u16,
    /// The engine's part.
    pub(crate) held: T,
}

impl<T> Session<T> {
    pub(super) fn stage(&self) -> Stage {
        match self.marks.0 & Marks::STAGE {
            Marks::OPEN => Stage::Open,
            Marks::CLOSING => Stage::Closing,
            _ => Stage::Pending,
        }
    }

    fn set_stage(&mut self, stage: Stage) {
        let bits = match stage {
            Stage::Pending => 0,
            Stage::Open => Marks::OPEN,
            Stage::Closing => Marks::CLOSING,
        };
        self.marks.0 = self.marks.0 & !Marks::STAGE | bits;
    }

    pub(super) fn suite(&self) -> Option<Suite> {
        let number = usize::from(self.marks.0 >> Marks::SUITE_SHIFT);
        Suite::ALL.get(number.checked_sub(1)?).copied()
    }

    pub(super) fn set_suite(&mut self, suite: Suite) {
        let number = Suite::ALL.iter().position(|one| *one == suite).map_or(0, |at| at + 1);
        let number = u16::try_from(number).unwrap_or(0);
        self.marks.0 = self.marks.0 & !(0xf << Marks::SUITE_SHIFT) | number << Marks::SUITE_SHIFT;
    }

    /// Where the peer is.
    pub(crate) fn address(&self) -> SocketAddr {
        self.address.into()
    }

    pub(super) fn count_dropped(&mut self, reason: DropReason) {
        let counter = match reason {
            // The association counts these.
            DropReason::BadMac => return,
            DropReason::Replayed => &mut self.replayed,
            DropReason::Malformed
            | DropReason::TooLong
            | DropReason::Epoch
            | DropReason::ConnectionId
            | DropReason::NoSession
            | DropReason::Handshake
            | DropReason::Alert
            | DropReason::Early
            | _ => &mut self.dropped,
        };
        *counter = counter.saturating_add(1);
    }

    /// Whether it is open and nothing of the protocol itself is under way.
    pub(super) fn is_quiet(&self) -> bool {
        self.stage() == Stage::Open && !self.marks.has(Marks::BUSY) && self.association.is_quiet()
    }

    /// Whether somebody is known to be at the address.
    pub(crate) fn is_proven(&self) -> bool {
        self.marks.has(Marks::PROVEN)
    }
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Stage {
    Pending,
    Open,
    Closing,
}

/// One bit for each thing that is so or is not, and what else fits into a few bits.
#[derive(Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Marks(pub(super) u16);

impl Marks {
    pub(super) const CONNECTION_ID: u16 = 1;
    pub(super) const RETURN_ROUTABILITY: u16 = 2;
    pub(super) const RESUMED: u16 = 4;
    pub(super) const EXTENDED_MASTER_SECRET: u16 = 8;
    pub(super) const RESUMABLE: u16 = 16;
    /// Whether the index by address leads here.
    pub(super) const AT_ADDRESS: u16 = 32;
    /// Whether something came since the hand of the clock that looks for silent sessions passed.
    pub(super) const HEARD: u16 = 64;
    /// Whether it stands in the queue of those that may have something to send.
    pub(super) const QUEUED: u16 = 128;
    /// Whether somebody is known to be at the address.
    pub(super) const PROVEN: u16 = 256;
    /// Whether there is more to it in [`Table::busy`].
    const BUSY: u16 = 512;
    /// Two bits for the stage, none for pending.
    const STAGE: u16 = Self::OPEN | Self::CLOSING;
    const OPEN: u16 = 1024;
    const CLOSING: u16 = 2048;
    /// Four bits for the place of the suite among all, counted from one; 0 before it is agreed upon.
    const SUITE_SHIFT: u32 = 12;

    pub(super) fn has(self, mark: u16) -> bool {
        self.0 & mark != 0
    }

    pub(super) fn set(&mut self, mark: u16, on: bool) {
        self.0 = if on { self.0 | mark } else { self.0 & !mark };
    }
}

/// What only a session in a handshake, or on its way to another address, has.
#[derive(Default)]
pub(super) struct Busy {
    pub(super) timer: Option<(TimerId, Instant)>,
    pub(super) handshake: Option<Handshake>,
    pub(super) new_path: Option<NewPath>,
}

impl Busy {
    fn is_idle(&self) -> bool {
        self.timer.is_none() && self.handshake.is_none() && self.new_path.is_none()
    }
}

/// Another address from which authentic records came.
pub(super) struct NewPath {
    pub(super) address: SocketAddr,
    /// Bytes that may be sent there before it is checked.
    pub(super) allowance: u32,
    /// Whether the newest record came from there, so that answers go there.
    pub(super) newest: bool,
}

/// How many sessions a chunk has: what [`crate::slab::chunk_len`] says for those of a shard. It may not depend on `T`.
pub(crate) const CHUNK_LEN: usize = 236;

/// All sessions of an engine and their indexes.
pub(super) struct Table<T> {
    slab: Slab<Session<T>, CHUNK_LEN>,
    /// What few sessions have at a time, by their places in the slab.
    busy: HashMap<u32, Box<Busy>, SecretHash>,
    /// With whom the sessions are.
    parties: Parties,
    /// By the random part of the connection ID.
    by_random: Index,
    /// By the random part of the session ID, where it is another.
    by_id: Index,
    /// Open sessions: the last one that was opened at an address.
    by_address: Index,
    /// Pending ones, one for each address.
    pending: Index,
    /// Where the search for a silent session goes on.
    hand: u32,
    open: usize,
    hashes: SecretHash,
}

impl<T> Table<T> {
    pub(super) fn new(hashes: SecretHash) -> Self {
        Self {
            slab: Slab::new(),
            busy: HashMap::with_hasher(hashes),
            parties: Parties::new(),
            by_random: Index::default(),
            by_id: Index::default(),
            by_address: Index::default(),
            pending: Index::default(),
            hand: 0,
            open: 0,
            hashes,
        }
    }

    pub(super) fn get(&self, key: Key<Session<T>>) -> Option<&Session<T>> {
        self.slab.get(key)
    }

    /// A session for changes that leave its randoms, its address and its stage alone.
    pub(super) fn get_mut(&mut self, key: Key<Session<T>>) -> Option<&mut Session<T>> {
        self.slab.get_mut(key)
    }

    /// What only a handshake or a change of address needs.
    pub(super) fn busy(&self, key: Key<Session<T>>) -> Option<&Busy> {
        self.get(key).filter(|session| session.marks.has(Marks::BUSY))?;
        self.busy.get(&key.index).map(|busy| &**busy)
    }

    pub(super) fn busy_mut(&mut self, key: Key<Session<T>>) -> Option<&mut Busy> {
        self.get(key).filter(|session| session.marks.has(Marks::BUSY))?;
        self.busy.get_mut(&key.index).map(|busy| &mut **busy)
    }

    /// The same for a session that has had nothing of it so far; `None` if there is no such session.
    pub(super) fn make_busy(&mut self, key: Key<Session<T>>) -> Option<&mut Busy> {
        self.get_mut(key)?.marks.set(Marks::BUSY, true);
        Some(self.busy.entry(key.index).or_default())
    }

    fn calm(&mut self, key: Key<Session<T>>) {
        if let Some(session) = self.get_mut(key) {
            session.marks.set(Marks::BUSY, false);
            self.busy.remove(&key.index);
        }
    }

    /// Lets go of what is not needed any more.
    pub(super) fn tidy(&mut self, key: Key<Session<T>>) {
        if self.busy(key).is_some_and(Busy::is_idle) {
            self.calm(key);
        }
    }

    /// With whom a session is, once that is proven.
    pub(super) fn party(&self, key: Key<Session<T>>) -> Option<PartyRef<'_>> {
        self.parties.get(self.get(key)?.party?)
    }

    /// The same for the host.
    pub(super) fn whole_party(&self, key: Key<Session<T>>) -> Option<Arc<Party>> {
        self.parties.party(self.get(key)?.party?)
    }

    /// It is proven with whom a session is.
    pub(super) fn set_party(&mut self, key: Key<Session<T>>, party: &Arc<Party>) {
        let Some(session) = self.slab.get_mut(key) else { return };
        if let Some(before) = session.party.replace(self.parties.keep(party)) {
            self.parties.release(before);
        }
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (Key<Session<T>>, &Session<T>)> {
        self.slab.iter()
    }

    /// Open sessions.
    pub(super) fn open_len(&self) -> usize {
        self.open
    }

    pub(super) fn pending_len(&self) -> usize {
        self.pending.len()
    }

    pub(super) fn by_random(&self, random: u32) -> Option<Key<Session<T>>> {
        self.find(&self.by_random, self.hashes.hash_one(random), |session| session.random == random)
    }

    /// The open session with this session ID.
    pub(super) fn by_id(&self, id_random: u32) -> Option<Key<Session<T>>> {
        let same =
            self.by_random(id_random).filter(|key| self.get(*key).is_some_and(|s| s.id_random == id_random));
        same.or_else(|| {
            self.find(&self.by_id, self.hashes.hash_one(id_random), |session| session.id_random == id_random)
        })
    }

    pub(super) fn at_address(&self, address: Address) -> Option<Key<Session<T>>> {
        self.find(&self.by_address, self.hashes.hash_one(address), |session| session.address == address)
    }

    pub(super) fn pending_at(&self, address: Address) -> Option<Key<Session<T>>> {
        self.find(&self.pending, self.hashes.hash_one(address), |session| session.address == address)
    }

    fn find(&self, index: &Index, hash: u64, is: impl Fn(&Session<T>) -> bool) -> Option<Key<Session<T>>> {
        let found = index.find(hash, |at| self.slab.at(*at).is_some_and(|(_, session)| is(session)))?;
        self.slab.at(*found).map(|(key, _)| key)
    }

    /// A random part that neither a session nor the ID of one has.
    pub(super) fn fresh_random(&self, rng: &mut dyn Rng, is_taken: impl Fn(u32) -> bool) -> u32 {
        loop {
            let random = rng.next_u32();
            if self.by_random(random).is_none() && self.by_id(random).is_none() && !is_taken(random) {
                return random;
            }
        }
    }

    /// Adds a pending session at an address that has none.
    pub(super) fn insert(&mut self, session: Session<T>) -> Key<Session<T>> {
        debug_assert!(session.stage() == Stage::Pending, "a session begins with a handshake");
        let key = self.slab.insert(session);
        let (hashes, slab) = (self.hashes, &self.slab);
        index(&mut self.by_random, key.index, |at| slab.at(at).map_or(0, |(_, s)| hashes.hash_one(s.random)));
        index(&mut self.pending, key.index, |at| slab.at(at).map_or(0, |(_, s)| hashes.hash_one(s.address)));
        key
    }

    /// Adds an open session from before a restart; its randoms are not in use.
    pub(super) fn insert_open(&mut self, mut session: Session<T>, party: &Arc<Party>) {
        let at_address = session.marks.has(Marks::AT_ADDRESS) && self.at_address(session.address).is_none();
        session.marks.set(Marks::AT_ADDRESS, at_address);
        let has_other_id = session.id_random != session.random;
        session.party = Some(self.parties.keep(party));
        session.set_stage(Stage::Open);
        let key = self.slab.insert(session);
        self.open += 1;
        let (hashes, slab) = (self.hashes, &self.slab);
        index(&mut self.by_random, key.index, |at| slab.at(at).map_or(0, |(_, s)| hashes.hash_one(s.random)));
        if at_address {
            index(&mut self.by_address, key.index, |at| {
                slab.at(at).map_or(0, |(_, s)| hashes.hash_one(s.address))
            });
        }
        if has_other_id {
            index(&mut self.by_id, key.index, |at| {
                slab.at(at).map_or(0, |(_, s)| hashes.hash_one(s.id_random))
            });
        }
    }

    /// A pending session is open now, and the one that its address leads to; the one that it led to before is returned.
    pub(super) fn open(&mut self, key: Key<Session<T>>) -> Option<Key<Session<T>>> {
        let (hashes, address) = (self.hashes, self.get(key)?.address);
        unindex(&mut self.pending, hashes.hash_one(address), key.index);
        let before = self.at_address(address);
        if let Some(before) = before {
            self.forget_address(before);
        }
        self.open += 1;
        let session = self.slab.get_mut(key)?;
        session.set_stage(Stage::Open);
        session.marks.set(Marks::AT_ADDRESS | Marks::HEARD, true);
        let has_other_id = session.id_random != session.random;
        let slab = &self.slab;
        index(&mut self.by_address, key.index, |at| {
            slab.at(at).map_or(0, |(_, s)| hashes.hash_one(s.address))
        });
        if has_other_id {
            index(&mut self.by_id, key.index, |at| {
                slab.at(at).map_or(0, |(_, s)| hashes.hash_one(s.id_random))
            });
        }
        before
    }

    /// Takes a session out of all indexes; it stays until [`Table::remove`] so that it can say good-bye.
    pub(super) fn begin_closing(&mut self, key: Key<Session<T>>) {
        let hashes = self.hashes;
        self.forget_address(key);
        let Some(session) = self.slab.get_mut(key) else { return };
        let stage = session.stage();
        session.set_stage(Stage::Closing);
        let (random, id_random, address) = (session.random, session.id_random, session.address);
        match stage {
            Stage::Pending => unindex(&mut self.pending, hashes.hash_one(address), key.index),
            Stage::Open => {
                self.open -= 1;
                unindex(&mut self.by_id, hashes.hash_one(id_random), key.index);
            }
            Stage::Closing => return,
        }
        unindex(&mut self.by_random, hashes.hash_one(random), key.index);
    }

    pub(super) fn remove(&mut self, key: Key<Session<T>>) -> Option<Session<T>> {
        self.calm(key);
        let session = self.slab.remove(key)?;
        if let Some(party) = session.party {
            self.parties.release(party);
        }
        Some(session)
    }

    /// The peer is at another address, to which the index does not lead: whoever moves has a connection ID.
    pub(super) fn move_to(&mut self, key: Key<Session<T>>, address: Address) {
        self.forget_address(key);
        if let Some(session) = self.slab.get_mut(key) {
            session.address = address;
        }
    }

    fn forget_address(&mut self, key: Key<Session<T>>) {
        let hashes = self.hashes;
        if let Some(session) = self.slab.get_mut(key)
            && session.marks.has(Marks::AT_ADDRESS)
        {
            session.marks.set(Marks::AT_ADDRESS, false);
            let hash = hashes.hash_one(session.address);
            unindex(&mut self.by_address, hash, key.index);
        }
    }

    /// An open session that was silent for long: the first one of which nothing came since the hand passed last.
    pub(super) fn silent(&mut self) -> Option<Key<Session<T>>> {
        // Once around clears every mark, so that the second round finds one.
        let mut left = self.slab.end().saturating_mul(2).saturating_add(1);
        while left > 0 {
            left -= 1;
            self.hand = if self.hand >= self.slab.end() { 0 } else { self.hand };
            let key = self.slab.at(self.hand).map(|(key, _)| key);
            self.hand += 1;
            let Some(key) = key else { continue };
            let Some(session) = self.slab.get_mut(key).filter(|session| session.stage() == Stage::Open)
            else {
                continue;
            };
            if !session.marks.has(Marks::HEARD) {
                return Some(key);
            }
            session.marks.set(Marks::HEARD, false);
        }
        None
    }
}

fn index(table: &mut Index, at: u32, hash: impl Fn(u32) -> u64) {
    table.insert_unique(hash(at), at, |at| hash(*at));
}

fn unindex(table: &mut Index, hash: u64, at: u32) {
    table.remove(hash, at);
}
