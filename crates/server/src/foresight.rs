//! A look at what the datagrams of a batch will need.
//!
//! What a shard knows of a device lies in four or five places that lead to each other, and among many devices none of them is in
//! the processor's nearest caches. Asked for one datagram after another, each is waited for; here those of all datagrams are asked
//! for at once, place by place, so that the waits fall into one. Nothing is changed, and nothing depends on it.

use core::hint::black_box;
use std::net::SocketAddr;

use crate::Shard;
use crate::secured::Held;

/// Datagrams looked at together.
const TOGETHER: usize = 32;

impl Shard {
    /// Reads what datagrams from these addresses, which came in one batch, will need. It may be left out: it saves a part of the time
    /// that is spent waiting for memory.
    pub fn foresee(&self, addresses: impl ExactSizeIterator<Item = SocketAddr>) {
        self.look_at(addresses.map(|from| match self.links.by_address(from) {
            Some(link) => Held { link: link.index, device: Held::NOTHING },
            None => {
                let device = self.devices.by_address(from);
                Held { link: Held::NOTHING, device: device.map_or(Held::NOTHING, |device| device.index) }
            }
        }));
    }

    /// The same for datagrams from the socket for secured ones.
    pub fn foresee_secured<'a>(&self, datagrams: impl ExactSizeIterator<Item = &'a [u8]>) {
        self.look_at(datagrams.map(|datagram| self.sessions.held(datagram).unwrap_or_default()));
    }

    fn look_at(&self, places: impl ExactSizeIterator<Item = Held>) {
        // One alone is waited for either way.
        if places.len() < 2 {
            return;
        }
        let mut begun = [Held::default(); TOGETHER];
        for (place, found) in begun.iter_mut().zip(places) {
            *place = found;
        }
        for Held { link, device } in &mut begun {
            let Some(link) = self.links.at(*link) else { continue };
            black_box((link.allowance, link.peer.is_at_rest()));
            *device = link.device.map_or(Held::NOTHING, |device| device.index);
        }
        for Held { link, device } in begun {
            if let Some(link) = self.links.at(link) {
                black_box(link.peer.last_heard());
            }
            if let Some(device) = self.devices.at(device) {
                let begin = device.details.endpoint.as_str().as_bytes().first().copied();
                black_box((device.updated_at, device.random, device.line.is_some(), begin));
            }
        }
    }
}
