//! Secure sessions: when one is begun, what follows from its end, and CoAP through it (TS_Transport 5.2, 6).
//!
//! ```text
//!                something to say             handshake done
//!   no session ──────────────────► handshake ───────────────► session ──► CoAP flows
//!      ▲  ▲                            │ failed: the attempt       │
//!      │  └────────────────────────────┘ to register failed        │ closed, silent, rested, moved
//!      └───────────────────────────────────────────────────────────┘ next: resumed where possible, then an Update
//! ```

use alloc::boxed::Box;

use lightship_dtls::{Record, Resumption};

use super::*;
use crate::account::Security;
use crate::secure::{Judge, News, Reaction, SecureTransport, SecurityFailure, Session, SessionEnd};
use crate::secure::{is_secured, reaction};

impl<O: Objects, B: Buffer, const SERVERS: usize, const OBSERVATIONS: usize, const BODY: usize>
    Client<O, B, SERVERS, OBSERVATIONS, BODY>
{
    /// Hands in what is needed for servers behind coaps. Without it their accounts come to nothing
    /// ([`SecurityFailure::NoLibrary`]).
    pub fn secure(&mut self, transport: SecureTransport) {
        self.transport = Some(transport);
    }

    /// What was handed to [`Client::secure`], to change its settings; sessions that exist keep theirs.
    pub fn secure_transport_mut(&mut self) -> Option<&mut SecureTransport> {
        self.transport.as_mut()
    }

    /// The secure session with a server; `None` while there is none.
    pub fn session(&self, id: AccountId) -> Option<&Session> {
        self.links.get(id.index())?.tunnel.session()
    }

    /// Whether a handshake with a server is under way.
    pub fn is_connecting(&self, id: AccountId) -> bool {
        self.links.get(id.index()).is_some_and(|link| link.tunnel.is_connecting())
    }

    /// What the next session with a server can be resumed with, to be kept over a restart, as secret as a key; and to be given
    /// back to [`Client::set_resumption`]. `None` when the server gave nothing.
    pub fn resumption(&self, id: AccountId) -> Option<&Resumption> {
        self.links.get(id.index())?.tunnel.resumption()
    }

    /// What the next session with a server is resumed with, if the server still knows it. It must stem from the same account.
    pub fn set_resumption(&mut self, id: AccountId, resumption: Option<Resumption>) {
        self.with_link(id, |link| link.tunnel.set_resumption(resumption));
    }

    /// Why the certificate of a server was not accepted the last time.
    #[cfg(feature = "x509")]
    pub fn refusal(&self, id: AccountId) -> Option<&lightship_dtls::certificate::Refusal> {
        self.links.get(id.index())?.tunnel.refusal()
    }

    /// The next line for a key log in the NSS format, if [`SecureTransport::config`] asks for it.
    pub fn poll_key_log(&mut self) -> Option<Box<str>> {
        self.links.iter_mut().find_map(|link| link.tunnel.take_key_log())
    }

    /// Replaces the credentials of an account. Its session ends, and another one begins with the new ones; the registration
    /// goes on.
    pub fn set_security(&mut self, now: Instant, id: AccountId, security: Security) {
        let Some(account) = self.accounts.get_mut(id.index()).and_then(Option::as_mut) else { return };
        let (instance, bootstrap) = (account.security.instance, account.security.bootstrap);
        account.security = Security { instance, bootstrap, ..security };
        self.lose_session(now, id, SessionEnd::Replaced);
        self.with_link(id, |link| {
            link.tunnel.forget();
            link.registration.cut_off(now);
        });
        self.settle(now);
    }

    /// Tells that the device has another address. Where a connection ID lets a session live on, the server hears of it by an
    /// Update; other sessions are resumed; without security the client registers anew (TS_Core 6.2.2).
    pub fn moved(&mut self, now: Instant) {
        for index in (0..u8::MAX).take(SERVERS) {
            let id = AccountId(index);
            if !self.is_secured(id) {
                if self.phase(id) != Phase::Idle {
                    self.register(now, id);
                }
                continue;
            }
            self.with_link(id, |link| link.offline = false);
            if self.session(id).is_some_and(|session| session.cid.is_some()) {
                self.with_link(id, |link| link.registration.want_update());
                continue;
            }
            self.lose_session(now, id, SessionEnd::Moved);
            match self.phase(id) {
                Phase::Idle => {}
                Phase::Registered { .. } | Phase::Deregistering => {
                    self.with_link(id, |link| link.registration.cut_off(now));
                }
                Phase::Waiting { .. } | Phase::Registering => self.register(now, id),
            }
        }
        self.settle(now);
    }

    /// Whether nothing may go to the server of an account in the clear.
    pub(super) fn is_secured(&self, id: AccountId) -> bool {
        self.account(id).is_some_and(is_secured)
    }

    /// Whether a message may go to a server now. Where a session is missing, a handshake begins.
    pub(super) fn reach(&mut self, now: Instant, id: AccountId) -> bool {
        let account = self.accounts.get(id.index()).and_then(Option::as_ref);
        let (Some(account), Some(link)) = (account, self.links.get_mut(id.index())) else { return false };
        if !link.tunnel.is_cut(Some(account)) {
            link.tunnel.stay_open();
            return true;
        }
        if !link.tunnel.is_open() {
            let begun = match &mut self.transport {
                Some(transport) => link.tunnel.connect(now, transport, account),
                None => Err(SecurityFailure::NoLibrary),
            };
            match begun {
                Ok(()) => self.hear_tunnel(now, id),
                Err(reason) => self.not_secured(now, id, reason),
            }
        }
        false
    }

    /// Hears what happened to associations.
    pub(super) fn hear_tunnels(&mut self, now: Instant) {
        for index in (0..u8::MAX).take(SERVERS) {
            self.hear_tunnel(now, AccountId(index));
        }
    }

    fn hear_tunnel(&mut self, now: Instant, id: AccountId) {
        let date = self.date_ms(now).map(UnixTime::from_millis);
        loop {
            let account = self.accounts.get(id.index()).and_then(Option::as_ref);
            let (Some(account), Some(link)) = (account, self.links.get_mut(id.index())) else { return };
            let Some(transport) = &mut self.transport else { return };
            let Some(news) = link.tunnel.poll_news(now, transport, &Judge { account, date }) else { return };
            match news {
                News::Established(session) => self.session_began(now, id, session),
                News::Failed { reason, alert, again } => {
                    if let (Some(alert), Some(account)) =
                        (alert, self.accounts.get_mut(id.index()).and_then(Option::as_mut))
                    {
                        account.tls_alert = Some(alert.0);
                    }
                    if again {
                        // Perhaps it was because of the old session.
                        self.events.push(Event::HandshakeFailed { account: id, reason });
                        self.reach(now, id);
                        return;
                    }
                    self.not_secured(now, id, reason);
                }
                News::Ended(reason) => {
                    if let (SessionEnd::Closed(alert), Some(account)) =
                        (reason, self.accounts.get_mut(id.index()).and_then(Option::as_mut))
                    {
                        account.tls_alert = Some(alert.0);
                    }
                    self.session_ended(now, id, reason);
                }
            }
        }
    }

    fn session_began(&mut self, now: Instant, id: AccountId, session: Session) {
        self.events.push(Event::Secured(id));
        let Some(link) = self.links.get_mut(id.index()) else { return };
        link.heard_at = now;
        // What does not fit into a record never arrives, so it goes in smaller blocks; to the other servers as well.
        let room = link.tunnel.message_len_max();
        self.config.coap.message_len_max = self.config.coap.message_len_max.min(room);
        // Before 1.2 a new session ends a registration.
        let version = link.registration.version();
        if link.registration.is_registered() && !session.resumed && version < Version::V1_2 {
            link.registration.start(now, version);
            self.go_away(id);
        }
    }

    /// An attempt to reach a server failed.
    fn not_secured(&mut self, now: Instant, id: AccountId, reason: SecurityFailure) {
        self.events.push(Event::HandshakeFailed { account: id, reason });
        #[cfg(feature = "bootstrap")]
        if self.account(id).is_some_and(Account::is_bootstrap) {
            return self.no_way_to_bootstrap(now, id);
        }
        let hopeless = reaction(&reason) == Reaction::Fail;
        let account = self.accounts.get(id.index()).and_then(Option::as_ref);
        let (Some(account), Some(link)) = (account, self.links.get_mut(id.index())) else { return };
        let outcome = link.registration.not_connected(now, hopeless, account, &mut self.jitter);
        self.conclude(id, outcome);
    }

    /// A session ended by itself.
    fn session_ended(&mut self, now: Instant, id: AccountId, reason: SessionEnd) {
        let phase = self.phase(id);
        let suspect = self.links.get(id.index()).is_some_and(|link| link.tunnel.is_suspect);
        self.events.push(Event::SessionEnded { account: id, reason });
        self.lose_session(now, id, reason);
        #[cfg(feature = "bootstrap")]
        if self.account(id).is_some_and(Account::is_bootstrap) {
            return self.no_way_to_bootstrap(now, id);
        }
        // A server that ends one session after the other is given time.
        if suspect || matches!(phase, Phase::Registering | Phase::Deregistering) {
            let account = self.accounts.get(id.index()).and_then(Option::as_ref);
            let (Some(account), Some(link)) = (account, self.links.get_mut(id.index())) else { return };
            let outcome = link.registration.not_connected(now, false, account, &mut self.jitter);
            return self.conclude(id, outcome);
        }
        self.with_link(id, |link| {
            link.tunnel.is_suspect = true;
            link.registration.cut_off(now);
        });
    }

    /// No answer came. True if a new session may help, which then begins with an Update.
    pub(super) fn renew_silent(&mut self, now: Instant, id: AccountId) -> bool {
        if !self.is_secured(id) {
            return false;
        }
        let Some(link) = self.links.get(id.index()) else { return false };
        let renews = link.registration.is_registered() && !link.tunnel.is_suspect;
        self.lose_session(now, id, SessionEnd::Silent);
        self.with_link(id, |link| {
            link.tunnel.is_suspect = renews;
            if renews {
                link.registration.cut_off(now);
            }
        });
        renews
    }

    /// Gives up the session that an idle time has likely cut off, when there is something to say again.
    pub(super) fn renew_rested(&mut self, now: Instant, id: AccountId) {
        let (Some(link), Some(transport)) = (self.links.get(id.index()), &self.transport) else { return };
        if link.tunnel.is_stale(now, link.heard_at, transport) {
            self.lose_session(now, id, SessionEnd::Rested);
            self.with_link(id, |link| link.registration.cut_off(now));
        }
    }

    /// Ends a session without a word. What belonged to it ends with it (RFC 7252 §9.1): exchanges, answers still owed,
    /// notifications on their way, which are kept.
    pub(super) fn lose_session(&mut self, now: Instant, id: AccountId, reason: SessionEnd) {
        let Some(link) = self.links.get_mut(id.index()) else { return };
        if link.tunnel.session().is_some() {
            self.events.push(Event::SessionEnded { account: id, reason });
        }
        link.tunnel.cut();
        if reason != SessionEnd::Rested {
            // Whoever rested had nothing under way.
            self.go_away(id);
        }
        self.end_sends_under_way(id);
        for slot in &mut self.asks {
            slot.take_if(|ask| ask.account == id.0);
        }
        let Some(link) = self.links.get_mut(id.index()) else { return };
        if let Some(exchange) = link.exchange.take() {
            link.peer.cancel(exchange);
        }
        link.peer = match &mut self.transport {
            Some(transport) => Peer::new(&mut &mut *transport.rng),
            None => Peer::new(&mut self.jitter),
        };
        link.busy = false;
        link.asleep = None;
        self.now = now;
    }

    /// Closes a session once everything is said.
    pub(super) fn hang_up(&mut self, id: AccountId, at: Instant) {
        self.with_link(id, |link| link.tunnel.close_at(at));
    }

    /// Takes in a datagram of a secured server, record by record.
    pub(super) fn take_in_secured(&mut self, now: Instant, from: AccountId, datagram: &mut [u8]) {
        let mut at = 0;
        while let Some(transport) = &mut self.transport {
            let Some(link) = self.links.get_mut(from.index()) else { break };
            let Some(record) = link.tunnel.handle_record(now, transport, datagram, &mut at) else { break };
            self.hear_tunnel(now, from);
            if let Record::Data { range, .. } = record {
                self.with_link(from, |link| link.tunnel.is_suspect = false);
                self.take_in(now, from, datagram.get(range).unwrap_or_default());
            }
        }
        self.hear_tunnel(now, from);
    }

    pub(super) fn tunnels_handle_timeout(&mut self, now: Instant) {
        let Some(transport) = &mut self.transport else { return };
        for link in &mut self.links {
            link.tunnel.handle_timeout(now, transport);
        }
    }

    /// The next datagram to one server.
    pub(super) fn transmit(&mut self, index: usize, out: &mut [u8]) -> Option<usize> {
        let account = self.accounts.get(index).and_then(Option::as_ref);
        let link = self.links.get_mut(index)?;
        if !account.is_some_and(is_secured) {
            return link.peer.poll_transmit(out);
        }
        let transport = self.transport.as_mut()?;
        if let Some(len) = link.tunnel.poll_transmit(self.now, transport, &mut link.peer, out) {
            return Some(len);
        }
        if !self.renew_worn(AccountId(u8::try_from(index).ok()?)) {
            return None;
        }
        let (link, transport) = (self.links.get_mut(index)?, self.transport.as_mut()?);
        link.tunnel.poll_transmit(self.now, transport, &mut link.peer, out)
    }

    /// Begins a session in place of one whose keys have protected most of what they may. True if all is said, and nothing is under
    /// way that could be lost.
    fn renew_worn(&mut self, id: AccountId) -> bool {
        let Some(link) = self.links.get(id.index()) else { return false };
        let is_quiet = link.exchange.is_none() && link.asleep.is_none() && link.peer.is_idle();
        if !(link.tunnel.is_worn() && is_quiet && link.registration.is_registered()) {
            return false;
        }
        let now = self.now;
        self.lose_session(now, id, SessionEnd::UsedUp);
        self.with_link(id, |link| link.registration.cut_off(now));
        self.settle(now);
        true
    }
}
