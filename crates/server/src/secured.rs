//! Secured sessions in a shard: what comes by them, whose registration they carry, and what becomes of it when they end.
//!
//! A session is a session's whatever its address; a device that comes back with another session of its own is taken to be there
//! from the first authentic message on, and the older session ends.

use std::net::SocketAddr;
use std::sync::Arc;

use lightship_lwm2m::Endpoint;
use lightship_platform::Instant;

use crate::devices::{Device, Talk};
use crate::links::Link;
use crate::route::Route;
use crate::secure::{Happened, Session, resumed_at};
use crate::slab::Key;
use crate::{
    CredentialEnd, Ended, Event, Party, Registration, Registrations, SecurityEvent, SessionEnd, SessionInfo,
    Shard, Whose, shard_of,
};

/// What the shard keeps with a session: places in the tables, which count if what is there names the session in turn.
#[derive(Clone, Copy)]
pub(crate) struct Held {
    /// The CoAP state, while something is going on.
    pub(crate) link: u32,
    /// The device registered by this session.
    pub(crate) device: u32,
}

impl Held {
    /// No place.
    pub(crate) const NOTHING: u32 = u32::MAX;
}

impl Default for Held {
    fn default() -> Self {
        Self { link: Self::NOTHING, device: Self::NOTHING }
    }
}

pub(crate) type SecuredSession = Session<Held>;

impl Shard {
    /// Takes a datagram from the socket for secured ones. It never fails: what makes no sense is dropped, and counted.
    pub fn handle_secured_input(&mut self, now: Instant, from: SocketAddr, datagram: &mut [u8]) {
        self.trace.at(now);
        if let Some(session) = self.sessions.input(now, from, datagram, &mut self.trace) {
            let mut at = 0;
            while let Some(range) =
                self.sessions.next_data(now, session, from, (&mut *datagram, &mut at), &mut self.trace)
            {
                self.take_happened(now);
                if let Some(data) = datagram.get(range) {
                    self.take_secured(now, session, data);
                }
            }
        }
        self.take_happened(now);
    }

    /// Says which shard a datagram from the socket for secured ones belongs to; to be asked as [`Shard::route`] is.
    pub fn route_secured(&mut self, from: SocketAddr, datagram: &[u8]) -> Route {
        let (own, shards) = (self.config.shard, self.config.shards);
        if shards <= 1 {
            return Route::Here;
        }
        let to = |shard: u8| if shard == own { Route::Here } else { Route::Shard(shard) };
        if let Some(shard) = shard_of(datagram, shards) {
            return to(shard);
        }
        // Whoever wants to resume is served where the session is, and with him all that follows from his address. Anybody can say so
        // in another's name: that moves neither an address that was moved before nor one with a session here.
        if let Some(shard) = self.secured_forwards.get(from) {
            return to(shard);
        }
        let is_other =
            |(shard, node): &(u8, u8)| *node == self.config.node && *shard < shards && *shard != own;
        match resumed_at(datagram).filter(is_other) {
            Some((shard, _)) if !self.sessions.needs_address(from) => {
                self.secured_forwards.set(from, shard);
                Route::Shard(shard)
            }
            Some(_) | None => Route::Here,
        }
    }

    /// Ends secured sessions at once, because their credentials were taken away or changed; they cannot be resumed. One call for many
    /// is cheaper than many calls: each looks at all sessions.
    pub fn end_sessions(
        &mut self,
        now: Instant,
        whose: &[Whose],
        why: CredentialEnd,
        registrations: Registrations,
    ) {
        self.sessions.end_sessions(now, whose, why);
        self.take_happened(now);
        if registrations == Registrations::End {
            let is = |device: &Device| {
                let is_meant = |party| whose.iter().any(|one| one.is_kept(party));
                self.devices.party(device).is_some_and(is_meant)
            };
            let keys: Vec<_> =
                self.devices.iter().filter(|(_, device)| is(device)).map(|(key, _)| key).collect();
            for key in keys {
                self.end_and_tell(now, key, Ended::CredentialGone);
            }
        }
    }

    /// The open sessions, in no order that means anything, each with the endpoint that is registered by it.
    pub fn sessions(&self) -> impl Iterator<Item = (SessionInfo, Option<Endpoint>)> {
        self.sessions.keys().filter_map(|key| {
            let device = self.device_of_session(key).and_then(|device| self.devices.get(device));
            Some((self.sessions.info(key)?, device.map(|device| device.details.endpoint.clone())))
        })
    }

    /// A registration as the host sees it.
    pub(crate) fn shown(&self, device: &Device) -> Registration {
        let session = device.session.and_then(|session| self.sessions.info(session));
        device.registration(self.locator(device), self.devices.whole_party(device), session)
    }

    /// Hears what has happened to the sessions.
    pub(crate) fn take_happened(&mut self, now: Instant) {
        while let Some(happened) = self.sessions.poll_happened() {
            match happened {
                Happened::Told(event) => self.events.push_back(Event::Security(event)),
                Happened::Opened { session, facts } => {
                    self.events.push_back(Event::Security(SecurityEvent::SessionOpened { session, facts }));
                }
                Happened::Closed { key, session, held, reason } => {
                    self.session_closed(now, key, session, held, reason);
                }
                Happened::Moved { key, to, is_proven, allowance } => {
                    self.session_moved(key, to, is_proven, allowance);
                }
            }
        }
    }

    /// A message came by a session.
    fn take_secured(&mut self, now: Instant, session: Key<SecuredSession>, data: &[u8]) {
        let Some(link) = self.link_of_session(now, session) else { return };
        self.adopt(now, session, link);
        if self.input(now, link, data)
            && let Some(device) = self.links.get(link).and_then(|link| link.device)
        {
            self.heard(now, device, data);
        }
        self.settle(now, link);
    }

    /// The link of a session, made if it has none.
    pub(crate) fn link_of_session(&mut self, now: Instant, key: Key<SecuredSession>) -> Option<Key<Link>> {
        let session = self.sessions.get(key)?;
        if let Some(link) = self.links.of_session(session.held.link, key) {
            return Some(link);
        }
        let (address, device) = (session.address(), self.device_of_session(key));
        Some(self.open_link(now, (address, Some(key)), device))
    }

    /// The device that is registered by a session.
    pub(crate) fn device_of_session(&self, key: Key<SecuredSession>) -> Option<Key<Device>> {
        self.devices.of_session(self.sessions.get(key)?.held.device, key)
    }

    /// A device that comes with a session of its own is there from now on.
    fn adopt(&mut self, now: Instant, session: Key<SecuredSession>, link: Key<Link>) {
        if self.links.get(link).is_none_or(|link| link.device.is_some()) {
            return;
        }
        let Some(party) = self.sessions.party(session) else { return };
        let Some(endpoint) = party.endpoint() else { return };
        let Some(key) = self.devices.by_endpoint(endpoint) else { return };
        let Some(device) = self.devices.get(key) else { return };
        let theirs = self.devices.party(device);
        if !theirs.is_some_and(|theirs| party.may_continue(theirs, &device.details.endpoint)) {
            return;
        }
        let from = Some(device.address());
        self.move_device(now, key, link);
        if let (Some(from), Some(device)) = (from, self.devices.get(key)) {
            let registration = Box::new(self.shown(device));
            self.events.push_back(Event::Moved { registration, from });
        }
        self.pump(now, key);
    }

    /// With whom a session is.
    pub(crate) fn party(&self, session: Key<SecuredSession>) -> Option<Arc<Party>> {
        self.sessions.whole_party(session)
    }

    /// Gives up the session that a device had before it came with another one.
    pub(crate) fn leave_session(&mut self, now: Instant, old: Option<Key<SecuredSession>>) {
        let Some(old) = old else { return };
        if let Some(session) = self.sessions.get_mut(old) {
            session.held.device = Held::NOTHING;
            self.sessions.end(now, old, SessionEnd::Replaced);
            self.take_happened(now);
        }
    }

    fn session_closed(
        &mut self,
        now: Instant,
        closed: Key<SecuredSession>,
        session: SessionInfo,
        held: Held,
        reason: SessionEnd,
    ) {
        let mut endpoint = None;
        if let Some(key) = self.devices.of_session(held.device, closed) {
            self.restart_current(now, key);
            if let Some(device) = self.devices.get_mut(key) {
                device.session = None;
                endpoint = Some(device.details.endpoint.clone());
            }
            self.unanswering(now, key);
        }
        if let Some(link) = self.links.of_session(held.link, closed) {
            self.close_link(link);
        }
        self.events.push_back(Event::Security(SecurityEvent::SessionClosed { session, endpoint, reason }));
    }

    /// A session's peer is at another address; what is under way goes on there.
    fn session_moved(&mut self, key: Key<SecuredSession>, to: SocketAddr, is_proven: bool, allowance: u32) {
        let Some(held) = self.sessions.get(key).map(|session| session.held) else { return };
        let link = self.links.of_session(held.link, key);
        if let Some(link) = link.and_then(|link| self.links.get_mut(link)) {
            (link.address, link.proven, link.allowance) = (to, is_proven, allowance);
        }
        let Some(owner) = self.devices.of_session(held.device, key) else { return };
        let Some(device) = self.devices.get_mut(owner) else { return };
        let from = device.move_to(to);
        device.proven = is_proven;
        if device.link().is_none() {
            device.talk = Talk::Silent { allowance };
        }
        if let Some(device) = self.devices.get(owner) {
            let registration = Box::new(self.shown(device));
            self.events.push_back(Event::Moved { registration, from });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// With its places in the indexes by connection ID and by address (5.7 to 11.4 bytes each, 6.5 where the table is as full as it is
    /// with 200,000) and the text of its party (32 bytes for a name of up to 30) an idle session costs less than 256 bytes, what it can
    /// be resumed with included.
    #[test]
    fn an_idle_session_is_small() {
        let len = crate::slab::slot_len::<SecuredSession>();
        assert!(len <= 208, "{len}");
        assert_eq!(crate::secure::SESSIONS_IN_CHUNK, crate::slab::chunk_len::<SecuredSession>());
    }
}
