//! Which shard a datagram belongs to.
//!
//! The kernel spreads datagrams by their addresses, so a device stays with one shard until its NAT gives it another
//! address. Then its Update arrives elsewhere and is handed to the shard that its location names; what follows from
//! that address (acknowledgements, answers, notifications) carries no location and goes the same way.

use core::hash::BuildHasher;
use std::net::SocketAddr;

use lightship_coap::{Message, OptionNumber};

use crate::devices::SecretHash;
use crate::{Locator, Shard};

/// Where a datagram goes. It is handed over once at most: the shard that gets it there takes it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Route {
    /// To this shard's [`Shard::handle_input`].
    Here,
    /// To that shard's.
    Shard(u8),
}

/// Addresses whose datagrams belong to another shard: a table of fixed size in which a new entry takes the place
/// of whatever hashes to it.
pub(crate) struct Forwards {
    entries: Vec<Option<(SocketAddr, u8)>>,
    hashes: SecretHash,
}

impl Forwards {
    pub(crate) fn new(size: usize, hashes: SecretHash) -> Self {
        Self { entries: vec![None; size], hashes }
    }

    /// The shard that an address belongs to, if it is another one.
    pub(crate) fn get(&mut self, address: SocketAddr) -> Option<u8> {
        self.slot(address)?.filter(|(owner, _)| *owner == address).map(|(_, shard)| shard)
    }

    pub(crate) fn set(&mut self, address: SocketAddr, shard: u8) {
        if let Some(slot) = self.slot(address) {
            *slot = Some((address, shard));
        }
    }

    pub(crate) fn forget(&mut self, address: SocketAddr) {
        if let Some(slot) = self.slot(address) {
            slot.take_if(|(owner, _)| *owner == address);
        }
    }

    fn slot(&mut self, address: SocketAddr) -> Option<&mut Option<(SocketAddr, u8)>> {
        let slots = u64::try_from(self.entries.len()).unwrap_or(u64::MAX);
        let slot = self.hashes.hash_one(address).checked_rem(slots)?;
        self.entries.get_mut(usize::try_from(slot).ok()?)
    }
}

impl Shard {
    /// Says which shard a datagram belongs to; to be asked before [`Shard::handle_input`], by the shard that
    /// received it, and not again by the one it is handed to.
    pub fn route(&mut self, from: SocketAddr, datagram: &[u8]) -> Route {
        if self.config.shards <= 1 {
            return Route::Here;
        }
        let Some(locator) = location(datagram) else {
            return self.forwards.get(from).map_or(Route::Here, Route::Shard);
        };
        if locator.node != self.config.node || locator.shard >= self.config.shards {
            return Route::Here;
        }
        if locator.shard == self.config.shard {
            self.forwards.forget(from);
            return Route::Here;
        }
        // An address with a registration here is not given away because somebody names another shard in its name.
        if self.devices.by_address(from).is_none() {
            self.forwards.set(from, locator.shard);
        }
        Route::Shard(locator.shard)
    }
}

/// The location that a request is for, if it is for one.
fn location(datagram: &[u8]) -> Option<Locator> {
    let message = Message::parse(datagram).ok().filter(|message| message.code().is_request())?;
    let mut path = message.options().filter(|option| option.number == OptionNumber::URI_PATH);
    let (first, second) = (path.next()?, path.next()?);
    if first.value != b"rd" || path.next().is_some() {
        return None;
    }
    Locator::parse(second.value)
}
