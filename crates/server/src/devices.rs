//! The table of registered devices and its indexes.
//!
//! One entry is small, because a shard keeps up to a million of them: what devices say about themselves is shared
//! where it is equal, and whatever only a busy device needs is behind one pointer.

use core::hash::BuildHasher;
use std::collections::VecDeque;
use std::net::SocketAddr;
use std::sync::Arc;

use lightship_coap::peer::ExchangeId;
use lightship_lwm2m::Endpoint;
use lightship_platform::Instant;

use crate::downlink::Job;
pub(crate) use crate::hash::SecretHash;
use crate::index::Index;
use crate::interned::Interned;
use crate::links::Link;
use crate::observation::Observation;
use crate::presence::Sleep;
use crate::secure::{Address, Parties, PartyId, PartyRef};
use crate::secured::SecuredSession;
use crate::slab::{Key, Keys, Slab, chunk_len};
use crate::timer::TimerId;
use crate::{Details, Deviations, Locator, ObjectList, Party, Registration, SessionInfo, Terms};

/// One registered device.
pub(crate) struct Device {
    /// The random part of its locator.
    pub(crate) random: u32,
    pub(crate) address: Address,
    /// Whose it is ([`Devices::party`]); `None` for a device without security.
    pub(crate) party: Option<PartyId>,
    /// The session that its messages come by; a secured device may have none for a while.
    pub(crate) session: Option<Key<SecuredSession>>,
    pub(crate) details: Details,
    pub(crate) registered_at: Instant,
    pub(crate) updated_at: Instant,
    pub(crate) expiry: Option<TimerId>,
    /// Whether it has answered a request of ours at its address.
    pub(crate) proven: bool,
    /// Whether the host is being asked about an Update that changes something, or about its De-register; nothing new is
    /// sent to it before it has its own answer.
    pub(crate) is_asking: bool,
    pub(crate) talk: Talk,
    /// What few devices have, as a rule.
    pub(crate) rare: Option<Box<Rare>>,
    pub(crate) observations: Keys<Observation>,
    /// What is under way and what waits; `None` when there is nothing.
    pub(crate) line: Option<Box<Line>>,
}

/// How it is with a device's CoAP state.
#[derive(Clone, Copy)]
pub(crate) enum Talk {
    /// Something is going on.
    Link(Key<Link>),
    /// It has none; so many bytes may be sent to it before it has answered.
    Silent { allowance: u32 },
}

/// What there is to say of a device that sleeps, or does not do what the standard says.
#[derive(Default)]
pub(crate) struct Rare {
    /// Its sleep, if it uses Queue Mode.
    pub(crate) sleep: Option<Sleep>,
    /// What it did otherwise than the standard says.
    pub(crate) deviations: Deviations,
}

/// The downlink requests of one device: one under way, the rest in order.
#[derive(Default)]
pub(crate) struct Line {
    pub(crate) current: Option<(Key<Job>, ExchangeId)>,
    pub(crate) waiting: VecDeque<Key<Job>>,
}

impl Line {
    pub(crate) fn len(&self) -> usize {
        self.waiting.len() + usize::from(self.current.is_some())
    }
}

/// All registered devices of the shard.
pub(crate) struct Devices {
    slab: Slab<Device, { chunk_len::<Device>() }>,
    parties: Parties,
    by_endpoint: Index,
    by_locator: Index,
    by_address: Index,
    lists: Interned<ObjectList>,
    terms: Interned<Terms>,
    hashes: SecretHash,
}

impl Devices {
    pub(crate) fn new(hashes: SecretHash) -> Self {
        Self {
            slab: Slab::new(),
            parties: Parties::new(),
            by_endpoint: Index::default(),
            by_locator: Index::default(),
            by_address: Index::default(),
            lists: Interned::new(hashes),
            terms: Interned::new(hashes),
            hashes,
        }
    }

    /// What every index of the shard hashes with.
    pub(crate) fn hashes(&self) -> SecretHash {
        self.hashes
    }

    pub(crate) fn len(&self) -> usize {
        self.slab.len()
    }

    pub(crate) fn get(&self, key: Key<Device>) -> Option<&Device> {
        self.slab.get(key)
    }

    /// The device for changes that leave name, locator, address and party alone.
    pub(crate) fn get_mut(&mut self, key: Key<Device>) -> Option<&mut Device> {
        self.slab.get_mut(key)
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = (Key<Device>, &Device)> {
        self.slab.iter()
    }

    pub(crate) fn by_endpoint(&self, endpoint: &str) -> Option<Key<Device>> {
        let hash = self.hashes.hash_one(endpoint);
        let found = |index: &u32| self.slab.at(*index).is_some_and(|(_, d)| &*d.details.endpoint == endpoint);
        self.key(self.by_endpoint.find(hash, found))
    }

    pub(crate) fn by_random(&self, random: u32) -> Option<Key<Device>> {
        let hash = self.hashes.hash_one(random);
        let found = |index: &u32| self.slab.at(*index).is_some_and(|(_, d)| d.random == random);
        self.key(self.by_locator.find(hash, found))
    }

    pub(crate) fn by_address(&self, address: SocketAddr) -> Option<Key<Device>> {
        let address = Address::from(address);
        let hash = self.hashes.hash_one(address);
        let found = |index: &u32| self.slab.at(*index).is_some_and(|(_, d)| d.address == address);
        self.key(self.by_address.find(hash, found))
    }

    /// Whatever device is at this place.
    pub(crate) fn at(&self, index: u32) -> Option<&Device> {
        self.slab.at(index).map(|(_, device)| device)
    }

    /// The device at this place if it is registered by the session.
    pub(crate) fn of_session(&self, index: u32, session: Key<SecuredSession>) -> Option<Key<Device>> {
        self.slab.at(index).filter(|(_, device)| device.session == Some(session)).map(|(key, _)| key)
    }

    fn key(&self, index: Option<&u32>) -> Option<Key<Device>> {
        index.and_then(|index| self.slab.at(*index)).map(|(key, _)| key)
    }

    /// Whose a device is.
    pub(crate) fn party<'a>(&'a self, device: &'a Device) -> Option<PartyRef<'a>> {
        match device.party? {
            PartyId::ITSELF => Some(PartyRef::itself(&device.details.endpoint)),
            party => self.parties.get(party),
        }
    }

    /// The same for the host.
    pub(crate) fn whole_party(&self, device: &Device) -> Option<Arc<Party>> {
        match device.party? {
            PartyId::ITSELF => Some(PartyRef::itself(&device.details.endpoint).to_party()),
            party => self.parties.party(party),
        }
    }

    fn keep(&mut self, endpoint: &Endpoint, party: &Arc<Party>) -> PartyId {
        let is_itself = PartyRef::from(&**party).is_itself(endpoint);
        if is_itself { PartyId::ITSELF } else { self.parties.keep(party) }
    }

    fn release(&mut self, party: Option<PartyId>) {
        if let Some(party) = party.filter(|party| *party != PartyId::ITSELF) {
            self.parties.release(party);
        }
    }

    /// Adds a device whose name, locator and address are not in use, and which is the party's.
    pub(crate) fn insert(&mut self, mut device: Device, party: Option<&Arc<Party>>) -> Key<Device> {
        let hashes = self.hashes;
        device.party = party.map(|party| self.keep(&device.details.endpoint, party));
        let of_endpoint = hashes.hash_one(&*device.details.endpoint);
        let of_random = hashes.hash_one(device.random);
        let key = self.slab.insert(device);
        let slab = &self.slab;
        self.by_endpoint.insert_unique(of_endpoint, key.index, |index| {
            slab.at(*index).map_or(0, |(_, d)| hashes.hash_one(&*d.details.endpoint))
        });
        self.by_locator.insert_unique(of_random, key.index, |index| {
            slab.at(*index).map_or(0, |(_, d)| hashes.hash_one(d.random))
        });
        self.index_address(key);
        key
    }

    /// Sets where a device is and by whose session; an address without security is not in use.
    pub(crate) fn place(
        &mut self,
        key: Key<Device>,
        address: SocketAddr,
        secured: Option<(Key<SecuredSession>, Arc<Party>)>,
    ) {
        let Some(endpoint) = self.slab.get(key).map(|device| device.details.endpoint.clone()) else { return };
        let (session, party) = secured.unzip();
        let party = party.map(|party| self.keep(&endpoint, &party));
        let Some(device) = self.slab.get_mut(key) else { return };
        let old = std::mem::replace(&mut device.address, address.into());
        device.session = session;
        let before = std::mem::replace(&mut device.party, party);
        self.release(before);
        self.by_address.remove(self.hashes.hash_one(old), key.index);
        self.index_address(key);
    }

    /// Several secured devices may have been at one address; only those without security are found by it.
    fn index_address(&mut self, key: Key<Device>) {
        if self.slab.get(key).is_none_or(|device| device.party.is_some()) {
            return;
        }
        let (hashes, slab) = (self.hashes, &self.slab);
        let hash_at = |index: &u32| slab.at(*index).map_or(0, |(_, d)| hashes.hash_one(d.address));
        self.by_address.insert_unique(hash_at(&key.index), key.index, hash_at);
    }

    /// Takes a device out; whose it was is forgotten with that.
    pub(crate) fn remove(&mut self, key: Key<Device>) -> Option<Device> {
        let mut device = self.slab.remove(key)?;
        self.release(device.party.take());
        self.by_endpoint.remove(self.hashes.hash_one(&*device.details.endpoint), key.index);
        self.by_locator.remove(self.hashes.hash_one(device.random), key.index);
        self.by_address.remove(self.hashes.hash_one(device.address), key.index);
        Some(device)
    }

    /// The shared copy of an object list.
    pub(crate) fn share_list(&mut self, list: ObjectList) -> Arc<ObjectList> {
        self.lists.share(list)
    }

    /// The shared copy of what a device says beside its name; the list in it is a shared copy.
    pub(crate) fn share_terms(&mut self, terms: Terms) -> Arc<Terms> {
        self.terms.share(terms)
    }
}

impl Device {
    /// Where it is.
    pub(crate) fn address(&self) -> SocketAddr {
        self.address.into()
    }

    /// It is at another address of the same session; returns where it was. Those without security are moved by
    /// [`Devices::place`].
    pub(crate) fn move_to(&mut self, address: SocketAddr) -> SocketAddr {
        std::mem::replace(&mut self.address, address.into()).into()
    }

    /// Its CoAP state, while something is going on.
    #[inline]
    pub(crate) fn link(&self) -> Option<Key<Link>> {
        match self.talk {
            Talk::Link(link) => Some(link),
            Talk::Silent { .. } => None,
        }
    }

    /// Bytes that may be sent to it before it has answered, while it has no CoAP state.
    pub(crate) fn allowance(&self) -> u32 {
        match self.talk {
            Talk::Link(_) => 0,
            Talk::Silent { allowance } => allowance,
        }
    }

    /// What it did otherwise than the standard says.
    pub(crate) fn deviations(&self) -> Deviations {
        self.rare.as_ref().map(|rare| rare.deviations).unwrap_or_default()
    }

    pub(crate) fn merge_deviations(&mut self, more: &Deviations) {
        if *more != Deviations::default() {
            self.rare.get_or_insert_default().deviations.merge(more);
        }
    }

    /// Its sleep, if it uses Queue Mode.
    pub(crate) fn sleep(&self) -> Option<&Sleep> {
        self.rare.as_ref()?.sleep.as_ref()
    }

    pub(crate) fn sleep_mut(&mut self) -> Option<&mut Sleep> {
        self.rare.as_mut()?.sleep.as_mut()
    }

    pub(crate) fn set_sleep(&mut self, sleep: Sleep) {
        self.rare.get_or_insert_default().sleep = Some(sleep);
    }

    /// It uses Queue Mode no more.
    pub(crate) fn take_sleep(&mut self) -> Option<Sleep> {
        let sleep = self.rare.as_mut()?.sleep.take();
        self.rare.take_if(|rare| rare.deviations == Deviations::default());
        sleep
    }

    /// Whether a request can be sent at all: a secured device without a session has to come back first.
    pub(crate) fn is_in_reach(&self) -> bool {
        self.party.is_none() || self.session.is_some()
    }

    /// The registration as the host sees it.
    pub(crate) fn registration(
        &self,
        id: Locator,
        party: Option<Arc<Party>>,
        session: Option<SessionInfo>,
    ) -> Registration {
        Registration {
            id,
            address: self.address(),
            party,
            session,
            details: self.details.clone(),
            registered_at: self.registered_at,
            updated_at: self.updated_at,
            presence: self.presence(),
            deviations: self.deviations(),
            expires_at: self.expires_at(),
        }
    }

    /// When its lifetime is over; `None` for a lifetime of 0.
    pub(crate) fn expires_at(&self) -> Option<Instant> {
        let lifetime = core::time::Duration::from_secs(self.details.lifetime_s.into());
        (!lifetime.is_zero()).then(|| self.updated_at + lifetime)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_device_is_small() {
        let slot = crate::slab::slot_len::<Device>();
        assert!(slot <= 128, "{slot}");
    }
}
