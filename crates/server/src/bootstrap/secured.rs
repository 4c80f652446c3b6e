//! Secured sessions of a Bootstrap-Server: one link each, and gone with it, since a device that is configured does not come back soon.

use std::net::SocketAddr;

use lightship_platform::Instant;

use super::talk::Link;
use super::{BootstrapServer, Event, Identity};
use crate::secure::{self, Happened};
use crate::slab::Key;
use crate::{CredentialEnd, SecurityEvent, SessionEnd, Whose};

/// What is kept with a secured session.
#[derive(Default)]
pub(super) struct Held {
    link: Option<Key<Link>>,
}

pub(super) type SecuredSession = secure::Session<Held>;

impl BootstrapServer {
    /// Takes a datagram from the socket for secured ones. It never fails: what makes no sense is dropped, and counted.
    pub fn handle_secured_input(&mut self, now: Instant, from: SocketAddr, datagram: &mut [u8]) {
        self.trace.at(now);
        if let Some(session) = self.secured.input(now, from, datagram, &mut self.trace) {
            let mut at = 0;
            while let Some(range) =
                self.secured.next_data(now, session, from, (&mut *datagram, &mut at), &mut self.trace)
            {
                self.take_happened(now);
                let Some((held, address)) = self.secured.get(session).map(|s| (s.held.link, s.address()))
                else {
                    break;
                };
                let link = match held {
                    Some(link) => link,
                    None => self.open_link(now, (address, Some(session))),
                };
                if let Some(data) = datagram.get(range) {
                    self.input(now, link, data);
                }
                self.settle(now, link);
            }
        }
        self.take_happened(now);
    }

    /// Ends secured sessions at once, because their credentials were taken away or changed; they cannot be resumed. What was being
    /// configured by them ends as with a device that is lost.
    pub fn end_sessions(&mut self, now: Instant, whose: &[Whose], why: CredentialEnd) {
        self.secured.end_sessions(now, whose, why);
        self.take_happened(now);
    }

    /// Hears what has happened to the secured sessions.
    pub(super) fn take_happened(&mut self, now: Instant) {
        while let Some(happened) = self.secured.poll_happened() {
            let event = match happened {
                Happened::Told(event) => event,
                Happened::Opened { session, facts } => SecurityEvent::SessionOpened { session, facts },
                Happened::Closed { session, held, reason, .. } => {
                    let endpoint = held.link.and_then(|link| self.lose_link(now, link));
                    SecurityEvent::SessionClosed { session, endpoint, reason }
                }
                Happened::Moved { key, to, is_proven, allowance } => {
                    let link = self.secured.get(key).and_then(|session| session.held.link);
                    if let Some(link) = link.and_then(|link| self.links.get_mut(link)) {
                        (link.address, link.proven, link.allowance) = (to, is_proven, allowance);
                    }
                    continue;
                }
            };
            self.events.push_back(Event::Security(event));
        }
    }

    /// How the peer of a link has proven who it is.
    pub(super) fn identity(&self, link: Key<Link>) -> Identity {
        let secured = self.links.get(link).and_then(|link| link.secured);
        secured.and_then(|secured| self.secured.info(secured)).map_or(Identity::Unsecured, Identity::Secured)
    }

    pub(super) fn bind_link(&mut self, secured: Key<SecuredSession>, link: Key<Link>) {
        let Some(session) = self.secured.get_mut(secured) else { return };
        session.held.link = Some(link);
        let is_proven = session.is_proven();
        if let Some(link) = self.links.get_mut(link) {
            link.proven = is_proven;
        }
    }

    pub(super) fn secured_is_proven(&mut self, secured: Option<Key<SecuredSession>>) {
        if let Some(secured) = secured {
            self.secured.proven(secured);
        }
    }

    /// A link is not needed any more, and so is the session around it.
    pub(super) fn link_closed(&mut self, secured: Key<SecuredSession>) {
        if let Some(session) = self.secured.get_mut(secured) {
            session.held.link = None;
            self.secured.end(self.secured.now(), secured, SessionEnd::Done);
        }
    }
}
