//! The association of one account, and what outlives it.

use alloc::boxed::Box;
use alloc::collections::VecDeque;
use core::fmt;

use lightship_coap::Peer;
use lightship_coap::peer::Buffer;
use lightship_dtls::{self as dtls, Alert, Association, Path, Record, Resumption, SealError, Wear};
use lightship_platform::{Instant, debug};

use super::connect::{is_secured, plan};
use super::judge::Detail;
use super::{Judge, SecureTransport, SecurityFailure, ServerFault, Session, SessionEnd};
use crate::account::Account;

/// The secure way to one server.
#[derive(Default)]
pub(crate) struct Tunnel {
    running: Option<Box<Running>>,
    /// What failed, until its last words are said.
    dying: Option<Box<Running>>,
    /// What the server gave to come back with.
    resumption: Option<Box<Resumption>>,
    key_log: VecDeque<Box<str>>,
    /// Why the last certificate was not accepted.
    refusal: Option<Box<Detail>>,
    /// The session took the place of one that seemed dead, and nothing was heard through it.
    pub(crate) is_suspect: bool,
    /// All that may be said has been said then.
    close_at: Option<Instant>,
}

/// An association with the settings that it began with.
struct Running {
    association: Association,
    config: dtls::Config,
    session: Option<Session>,
    /// An earlier session was offered to be resumed.
    offered: bool,
    /// Why the server was refused.
    fault: Option<ServerFault>,
    /// The server gave something to come back with.
    resumable: bool,
    closed: bool,
    used_up: bool,
}

/// What happened to an association.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum News {
    /// It is established.
    Established(Session),
    /// It did not come about; with the alert that was sent or received. `again`: it may be because of the session that was
    /// offered to be resumed.
    Failed { reason: SecurityFailure, alert: Option<Alert>, again: bool },
    /// It ended.
    Ended(SessionEnd),
}

impl fmt::Debug for Tunnel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tunnel").field("session", &self.session()).finish_non_exhaustive()
    }
}

impl Tunnel {
    /// The session, once it is established.
    pub(crate) fn session(&self) -> Option<&Session> {
        self.running.as_ref()?.session.as_ref()
    }

    /// The longest message that one record carries to the server, in bytes.
    pub(crate) fn message_len_max(&self) -> usize {
        self.running.as_ref().map_or(usize::MAX, |running| running.association.data_len_max())
    }

    /// Whether a handshake is under way.
    pub(crate) fn is_connecting(&self) -> bool {
        self.running.as_ref().is_some_and(|running| running.session.is_none())
    }

    /// Whether the session's keys should be replaced at the next occasion that loses nothing.
    pub(crate) fn is_worn(&self) -> bool {
        self.session().is_some()
            && self.running.as_deref().is_some_and(|Running { association, config, closed, .. }| {
                !closed && matches!(association.wear(config), Wear::Worn | Wear::Out)
            })
    }

    /// Whether there is an association, or one to come.
    pub(crate) fn is_open(&self) -> bool {
        self.running.is_some()
    }

    /// Whether CoAP has to wait for a session.
    pub(crate) fn is_cut(&self, account: Option<&Account>) -> bool {
        self.session().is_none() && account.is_some_and(is_secured)
    }

    /// Whether the session, last used at `used`, is likely lost on the way while it can be resumed.
    pub(crate) fn is_stale(&self, now: Instant, used: Instant, transport: &SecureTransport) -> bool {
        let lost = self.session().is_some_and(|session| session.cid.is_none());
        lost && self.resumption.is_some() && now >= used + transport.rest_max
    }

    pub(crate) fn resumption(&self) -> Option<&Resumption> {
        self.resumption.as_deref()
    }

    pub(crate) fn set_resumption(&mut self, resumption: Option<Resumption>) {
        self.resumption = resumption.map(Box::new);
    }

    #[cfg(feature = "x509")]
    pub(crate) fn refusal(&self) -> Option<&Detail> {
        self.refusal.as_deref()
    }

    pub(crate) fn take_key_log(&mut self) -> Option<Box<str>> {
        self.key_log.pop_front()
    }

    /// Begins a handshake in place of whatever there was.
    pub(crate) fn connect(
        &mut self,
        now: Instant,
        transport: &mut SecureTransport,
        account: &Account,
    ) -> Result<(), SecurityFailure> {
        let (mut connect, config) = plan(account, transport)?;
        connect.resume = self.resumption.as_deref().cloned();
        let offered = connect.resume.is_some();
        let association = Association::connect(&mut transport.lend(now, &config), connect);
        self.close_at = None;
        self.running = Some(Box::new(Running {
            association,
            config,
            session: None,
            offered,
            fault: None,
            resumable: false,
            closed: false,
            used_up: false,
        }));
        Ok(())
    }

    /// Ends the association without a word; what it can be resumed with stays.
    pub(crate) fn cut(&mut self) {
        self.running = None;
        self.close_at = None;
    }

    /// Ends the association without a word, for credentials that count no more.
    pub(crate) fn forget(&mut self) {
        self.cut();
        self.resumption = None;
        self.is_suspect = false;
    }

    /// Ends a handshake that is under way, without a word.
    pub(crate) fn give_up(&mut self) {
        if self.is_connecting() {
            self.cut();
        }
    }

    /// Says goodbye at that moment, behind everything that CoAP has to say.
    pub(crate) fn close_at(&mut self, at: Instant) {
        if self.session().is_some() {
            self.close_at = Some(self.close_at.map_or(at, |planned| planned.min(at)));
        } else {
            self.cut();
        }
    }

    /// There is something to say after all.
    pub(crate) fn stay_open(&mut self) {
        self.close_at = None;
    }

    /// The next record of a datagram; what it holds lies in it, decrypted.
    pub(crate) fn handle_record(
        &mut self,
        now: Instant,
        transport: &mut SecureTransport,
        datagram: &mut [u8],
        at: &mut usize,
    ) -> Option<Record> {
        let Running { association, config, .. } = self.running.as_deref_mut()?;
        association.handle_record(&mut transport.lend(now, config), Path::Current, datagram, at)
    }

    pub(crate) fn handle_timeout(&mut self, now: Instant, transport: &mut SecureTransport) {
        let Some(Running { association, config, .. }) = self.running.as_deref_mut() else { return };
        if association.poll_timeout().is_some_and(|at| at <= now) {
            association.handle_timeout(&mut transport.lend(now, config));
        }
    }

    pub(crate) fn poll_timeout(&self) -> Option<Instant> {
        let running = self.running.as_ref()?;
        let close_at = self.close_at.filter(|_| !running.closed);
        let at_once = running.used_up.then_some(Instant::ZERO);
        [running.association.poll_timeout(), close_at, at_once].into_iter().flatten().min()
    }

    /// Hears the association, and answers what it asks.
    pub(crate) fn poll_news(
        &mut self,
        now: Instant,
        transport: &mut SecureTransport,
        judge: &Judge<'_>,
    ) -> Option<News> {
        loop {
            let running = self.running.as_deref_mut()?;
            if core::mem::take(&mut running.used_up) {
                self.cut();
                return Some(News::Ended(SessionEnd::UsedUp));
            }
            match running.association.poll_event()? {
                dtls::Event::Ask(presented) => {
                    let (answer, wrong) = judge.answer(transport, &presented);
                    running.fault = wrong.as_ref().map(|wrong| wrong.fault);
                    self.refusal = wrong.and_then(|wrong| wrong.detail).map(Box::new);
                    running.association.answer(&mut transport.lend(now, &running.config), answer);
                }
                dtls::Event::Established(facts) => return self.established(now, &facts),
                dtls::Event::Resumable(resumption) => {
                    running.resumable = true;
                    self.resumption = Some(Box::new(resumption));
                }
                dtls::Event::Failed(failure) => return Some(self.failed(failure)),
                dtls::Event::Closed(alert) => {
                    if alert != Alert::CLOSE_NOTIFY {
                        // RFC 5246 §7.2.2: a session that ended with an error is not resumed.
                        self.resumption = None;
                    }
                    self.dying = self.running.take();
                    self.close_at = None;
                    return Some(News::Ended(SessionEnd::Closed(alert)));
                }
                dtls::Event::KeyLog(line) => self.key_log.push_back(line),
                // The server's address is the host's business.
                dtls::Event::Moved | _ => {}
            }
        }
    }

    fn established(&mut self, now: Instant, facts: &dtls::Facts) -> Option<News> {
        let running = self.running.as_deref_mut()?;
        let session = Session {
            suite: facts.suite,
            cid: facts.peer_cid.filter(|cid| !cid.is_empty()),
            resumed: facts.resumed,
            return_routability: facts.return_routability,
            since: now,
        };
        running.session = Some(session);
        if !facts.resumed && !running.resumable {
            // What there was belongs to an earlier session.
            self.resumption = None;
        }
        Some(News::Established(session))
    }

    fn failed(&mut self, failure: dtls::Failure) -> News {
        // What is still to be said goes out of the old association.
        self.dying = self.running.take();
        self.close_at = None;
        // Whether or not it was to blame: the next handshake is a full one.
        let kept = self.resumption.take();
        let (fault, offered) =
            self.dying.as_ref().map_or((None, false), |dying| (dying.fault, dying.offered));
        let alert = match failure {
            dtls::Failure::AlertReceived(alert) | dtls::Failure::AlertSent(alert, _) => Some(alert),
            dtls::Failure::TimedOut | _ => None,
        };
        if alert.is_none() {
            // Nobody answered, so nobody refused it.
            self.resumption = kept;
        }
        let reason = fault.map_or(SecurityFailure::Handshake(failure), SecurityFailure::Server);
        News::Failed { reason, alert, again: alert.is_some() && offered }
    }

    /// The next datagram: of the handshake, of CoAP once there is a session, then the goodbye.
    pub(crate) fn poll_transmit<B: Buffer>(
        &mut self,
        now: Instant,
        transport: &mut SecureTransport,
        peer: &mut Peer<B>,
        out: &mut [u8],
    ) -> Option<usize> {
        if let Some(Running { association, config, .. }) = self.dying.as_deref_mut() {
            if let Some(transmit) = association.poll_transmit(&mut transport.lend(now, config), out) {
                return Some(transmit.len);
            }
            self.dying = None;
        }
        let running = self.running.as_deref_mut()?;
        loop {
            let mut host = transport.lend(now, &running.config);
            if let Some(transmit) = running.association.poll_transmit(&mut host, out) {
                return Some(transmit.len);
            }
            if running.session.is_some() && !running.closed {
                let headroom = running.association.headroom();
                let room = out.get_mut(headroom..)?;
                if let Some(len) = peer.poll_transmit(room) {
                    match running.association.seal(&mut host, out, len) {
                        Ok(len) => return Some(len),
                        Err(error) => {
                            debug!("a message of {} bytes is lost", len);
                            running.used_up |= error == SealError::Exhausted;
                            continue;
                        }
                    }
                }
            }
            if self.close_at.is_none_or(|at| at > now) {
                return None;
            }
            if running.closed {
                self.cut();
                return None;
            }
            running.association.close(&mut host);
            running.closed = true;
        }
    }
}
