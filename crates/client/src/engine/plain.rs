//! In place of `secured` and `secure`, for clients built without DTLS: CoAP goes out as it is, and protecting it is the host's business.

use super::*;

/// There is nothing in between.
#[derive(Debug, Default)]
pub(super) struct Tunnel {}

impl Tunnel {
    pub(super) fn is_cut(&self, _: Option<&Account>) -> bool {
        false
    }

    pub(super) fn is_connecting(&self) -> bool {
        false
    }

    pub(super) fn give_up(&mut self) {}

    pub(super) fn poll_timeout(&self) -> Option<Instant> {
        None
    }
}

impl<O: Objects, B: Buffer, const SERVERS: usize, const OBSERVATIONS: usize, const BODY: usize>
    Client<O, B, SERVERS, OBSERVATIONS, BODY>
{
    pub(super) fn reach(&mut self, _: Instant, _: AccountId) -> bool {
        true
    }

    pub(super) fn renew_silent(&mut self, _: Instant, _: AccountId) -> bool {
        false
    }

    pub(super) fn renew_rested(&mut self, _: Instant, _: AccountId) {}

    pub(super) fn hear_tunnels(&mut self, _: Instant) {}

    pub(super) fn hang_up(&mut self, _: AccountId, _: Instant) {}

    pub(super) fn tunnels_handle_timeout(&mut self, _: Instant) {}

    pub(super) fn transmit(&mut self, index: usize, out: &mut [u8]) -> Option<usize> {
        self.links.get_mut(index)?.peer.poll_transmit(out)
    }
}
