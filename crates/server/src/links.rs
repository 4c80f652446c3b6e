//! CoAP state of addresses and sessions with something going on: devices that talk or are talked to, and a bounded number of
//! strangers on their way to a registration.
//!
//! A link lives as long as repetitions of its messages may arrive; a device that is silent for longer has none.

use std::borrow::Cow;
use std::collections::VecDeque;
use std::net::SocketAddr;

use core::hash::BuildHasher;

use hashbrown::HashTable;
use lightship_platform::Instant;

use crate::devices::{Device, SecretHash};
use crate::limits::AMPLIFICATION_MAX;
use crate::secured::SecuredSession;
use crate::slab::{Key, Slab};
use crate::talk::Peer;
use crate::timer::TimerId;
use crate::trace::Way;
use crate::transmission::Class;

/// The CoAP state of one address without security, or of one session.
pub(crate) struct Link {
    pub(crate) address: SocketAddr,
    /// The session around it; `None` for an address without security.
    pub(crate) session: Option<Key<SecuredSession>>,
    /// The longest message that fits into one record, if that is less than usual.
    pub(crate) message_len_max: Option<u16>,
    /// Which transmission parameters count for its device.
    pub(crate) class: Class,
    pub(crate) peer: Peer,
    /// What its messages are marked with where they are recorded.
    pub(crate) marks: TraceMarks,
    /// The device registered at this address; without one it is a stranger's.
    pub(crate) device: Option<Key<Device>>,
    pub(crate) timer: Option<(TimerId, Instant)>,
    /// When the last datagram came or the last request left.
    pub(crate) active_at: Instant,
    /// Bytes that may be sent to the address while it is not proven.
    pub(crate) allowance: u32,
    /// Whether somebody at the address has answered a request of ours. Until then the address may be forged, and
    /// somebody else may be flooded by what we send there.
    pub(crate) proven: bool,
    /// Whether it stands in the queue of those that may have something to send.
    queued: bool,
}

/// Whose messages a recorder takes down: the device that has named itself, and the session; each 0 while there is none.
#[derive(Clone, Copy, Default)]
pub(crate) struct TraceMarks {
    pub(crate) tag: u64,
    pub(crate) session: u32,
}

impl Link {
    /// The way of a message that comes from there, for the recorder.
    pub(crate) fn way_in(&self) -> Way {
        let flags = if self.session.is_some() { Way::SECURED } else { 0 };
        Way { address: self.address, session: self.marks.session, tag: self.marks.tag, flags }
    }

    /// The way of one that goes there.
    pub(crate) fn way_out(&self) -> Way {
        let way = self.way_in();
        Way { flags: way.flags | Way::OUT, ..way }
    }

    /// Whether a datagram of this length may be sent; if so it counts as sent.
    pub(crate) fn may_send(&mut self, len: usize) -> bool {
        if self.proven {
            return true;
        }
        let left = u32::try_from(len).ok().and_then(|len| self.allowance.checked_sub(len));
        self.allowance = left.unwrap_or(self.allowance);
        left.is_some()
    }

    /// The settings of CoAP for the peer: what fits into one record.
    pub(crate) fn coap<'a>(&self, usual: &'a lightship_coap::Config) -> Cow<'a, lightship_coap::Config> {
        match self.message_len_max {
            None => Cow::Borrowed(usual),
            Some(max) => Cow::Owned(lightship_coap::Config { message_len_max: max.into(), ..usual.clone() }),
        }
    }

    /// A datagram of this length was received.
    pub(crate) fn allow(&mut self, len: usize) {
        let more = u32::try_from(len).unwrap_or(u32::MAX).saturating_mul(AMPLIFICATION_MAX);
        self.allowance = self.allowance.saturating_add(more);
    }
}

/// All links of the shard.
pub(crate) struct Links {
    slab: Slab<Link>,
    by_address: HashTable<u32>,
    /// Links of strangers, the oldest first; those that became devices' are skipped when they come up.
    strangers: VecDeque<Key<Link>>,
    sending: VecDeque<Key<Link>>,
    hashes: SecretHash,
}

impl Links {
    pub(crate) fn new(hashes: SecretHash) -> Self {
        Self {
            slab: Slab::new(),
            by_address: HashTable::new(),
            strangers: VecDeque::new(),
            sending: VecDeque::new(),
            hashes,
        }
    }

    pub(crate) fn len(&self) -> usize {
        self.slab.len()
    }

    pub(crate) fn get(&self, key: Key<Link>) -> Option<&Link> {
        self.slab.get(key)
    }

    pub(crate) fn get_mut(&mut self, key: Key<Link>) -> Option<&mut Link> {
        self.slab.get_mut(key)
    }

    /// Whatever link is at this place.
    pub(crate) fn at(&self, index: u32) -> Option<&Link> {
        self.slab.at(index).map(|(_, link)| link)
    }

    /// The link at this place if it is the session's.
    pub(crate) fn of_session(&self, index: u32, session: Key<SecuredSession>) -> Option<Key<Link>> {
        self.slab.at(index).filter(|(_, link)| link.session == Some(session)).map(|(key, _)| key)
    }

    /// The link of an address without security.
    pub(crate) fn by_address(&self, address: SocketAddr) -> Option<Key<Link>> {
        let hash = self.hashes.hash_one(address);
        let found = |index: &u32| self.slab.at(*index).is_some_and(|(_, link)| link.address == address);
        let index = self.by_address.find(hash, found)?;
        self.slab.at(*index).map(|(key, _)| key)
    }

    /// Adds a link for an address without security, or a session, that has none.
    pub(crate) fn insert(
        &mut self,
        now: Instant,
        (address, session): (SocketAddr, Option<Key<SecuredSession>>),
        peer: Peer,
        device: Option<Key<Device>>,
    ) -> Key<Link> {
        let key = self.slab.insert(Link {
            address,
            session,
            message_len_max: None,
            class: Class::default(),
            peer,
            marks: TraceMarks::default(),
            device,
            timer: None,
            active_at: now,
            allowance: 0,
            proven: false,
            queued: false,
        });
        let (hashes, slab) = (self.hashes, &self.slab);
        if session.is_none() {
            self.by_address.insert_unique(hashes.hash_one(address), key.index, |index| {
                slab.at(*index).map_or(0, |(_, link)| hashes.hash_one(link.address))
            });
        }
        if device.is_none() {
            self.strangers.push_back(key);
        }
        key
    }

    pub(crate) fn remove(&mut self, key: Key<Link>) -> Option<Link> {
        let link = self.slab.remove(key)?;
        let hash = self.hashes.hash_one(link.address);
        if let Ok(entry) = self.by_address.find_entry(hash, |index| *index == key.index) {
            entry.remove();
            let (hashes, slab, len) = (self.hashes, &self.slab, self.by_address.len());
            // Rarely: what many needed for a while is given back.
            if self.by_address.capacity() > (len * 8).max(ROOM_KEPT) {
                self.by_address.shrink_to(len * 2, |index| {
                    slab.at(*index).map_or(0, |(_, link)| hashes.hash_one(link.address))
                });
            }
        }
        Some(link)
    }

    /// The link becomes a stranger's again: its device is gone.
    pub(crate) fn estrange(&mut self, key: Key<Link>) {
        if let Some(link) = self.slab.get_mut(key)
            && link.device.take().is_some()
        {
            self.strangers.push_back(key);
        }
    }

    /// The oldest stranger, if there are more than `max`.
    pub(crate) fn surplus_stranger(&mut self, max: usize) -> Option<Key<Link>> {
        while self.strangers.len() > max {
            let key = self.strangers.pop_front()?;
            if self.slab.get(key).is_some_and(|link| link.device.is_none()) {
                return Some(key);
            }
        }
        None
    }

    /// Puts a link into the queue of those that may have something to send.
    pub(crate) fn queue(&mut self, key: Key<Link>) {
        if let Some(link) = self.slab.get_mut(key)
            && !link.queued
        {
            link.queued = true;
            self.sending.push_back(key);
        }
    }

    /// The first link of that queue.
    pub(crate) fn first_sending(&mut self) -> Option<&mut Link> {
        while let Some(key) = self.sending.front() {
            if self.slab.get(*key).is_some() {
                break;
            }
            self.sending.pop_front();
        }
        let key = *self.sending.front()?;
        self.slab.get_mut(key)
    }

    /// Takes the first link off that queue; it has nothing left to send.
    pub(crate) fn sent_all(&mut self) {
        if let Some(key) = self.sending.pop_front()
            && let Some(link) = self.slab.get_mut(key)
        {
            link.queued = false;
        }
    }
}

/// Addresses for which there is always room.
const ROOM_KEPT: usize = 1024;
