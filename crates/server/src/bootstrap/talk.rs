//! Where CoAP is spoken with devices that are being configured.

use std::borrow::Cow;
use std::net::SocketAddr;

use lightship_coap::peer::{Dropped, ExchangeId, Failure, NewRequest, Ticket};
use lightship_coap::{Code, ContentFormat, Incoming, OptionWriter, PeerEvent};
use lightship_platform::Instant;

use super::contact::{NoWish, Wish, wish};
use super::secured::SecuredSession;
use super::session::Session;
use super::{BootstrapServer, Caller, Due, Event, Identity, Pack, Step, StepOutcome};
use crate::SecurityEvent;
use crate::limits::{AMPLIFICATION_MAX, UNPROVEN_PAYLOAD_MAX};
use crate::links::TraceMarks;
use crate::slab::Key;
use crate::talk::{Peer, whole};
use crate::timer::TimerId;
use crate::trace::{Known, TraceDrop, Way};

/// The CoAP state of one address.
pub(super) struct Link {
    pub(super) address: SocketAddr,
    /// The secured session around it; `None` for an address without security.
    pub(super) secured: Option<Key<SecuredSession>>,
    /// The longest message that fits into one record.
    message_len_max: usize,
    pub(super) peer: Peer,
    /// What its messages are marked with where they are recorded.
    marks: TraceMarks,
    pub(super) session: Option<Key<Session>>,
    pub(super) queued: bool,
    timer: Option<(TimerId, Instant)>,
    active_at: Instant,
    /// Whether somebody at the address has answered a request of ours.
    pub(super) proven: bool,
    /// Bytes that may be sent there until then.
    pub(super) allowance: u32,
}

impl Link {
    /// The way of a message that comes from there, for the recorder.
    fn way_in(&self) -> Way {
        let flags = if self.secured.is_some() { Way::SECURED } else { 0 };
        Way { address: self.address, session: self.marks.session, tag: self.marks.tag, flags }
    }

    /// Where the device is, for whoever asks the recorder.
    pub(super) fn known(&self) -> Known {
        Known { address: Some(self.address), session: Some(self.marks.session).filter(|random| *random != 0) }
    }

    /// The way of one that goes there.
    pub(super) fn way_out(&self) -> Way {
        let way = self.way_in();
        Way { flags: way.flags | Way::OUT, ..way }
    }

    /// The settings of CoAP for the peer: what fits into one record.
    fn coap<'a>(&self, usual: &'a lightship_coap::Config) -> Cow<'a, lightship_coap::Config> {
        if self.message_len_max >= usual.message_len_max {
            return Cow::Borrowed(usual);
        }
        Cow::Owned(lightship_coap::Config { message_len_max: self.message_len_max, ..usual.clone() })
    }

    /// Whether a datagram of this length may be sent; if so it counts as sent.
    pub(super) fn may_send(&mut self, len: usize) -> bool {
        if self.proven {
            return true;
        }
        let left = u32::try_from(len).ok().and_then(|len| self.allowance.checked_sub(len));
        self.allowance = left.unwrap_or(self.allowance);
        left.is_some()
    }
}

impl BootstrapServer {
    /// Makes a link for an address without security, or for a secured session, that has none.
    pub(super) fn open_link(
        &mut self,
        now: Instant,
        (address, secured): (SocketAddr, Option<Key<SecuredSession>>),
    ) -> Key<Link> {
        let key = self.links.insert(Link {
            address,
            secured,
            message_len_max: secured.map_or(usize::MAX, |secured| self.secured.message_len_max(secured)),
            peer: Peer::new(&mut self.rng),
            marks: TraceMarks { tag: 0, session: secured.and_then(|s| self.secured.random(s)).unwrap_or(0) },
            session: None,
            queued: false,
            timer: None,
            active_at: now,
            proven: false,
            allowance: 0,
        });
        match secured {
            None => {
                self.by_address.insert(address, key);
            }
            Some(secured) => self.bind_link(secured, key),
        }
        self.oldest.push_back(key);
        let kept = self.config.limits.strangers.saturating_add(self.config.limits.sessions);
        while self.links.len() > kept || self.oldest.len() > kept.saturating_mul(2) {
            let Some(oldest) = self.oldest.pop_front() else { break };
            match self.links.get(oldest) {
                Some(link) if link.session.is_some() || oldest == key => self.oldest.push_back(oldest),
                Some(_) => self.close_link(oldest),
                None => {}
            }
        }
        key
    }

    pub(super) fn close_link(&mut self, key: Key<Link>) {
        let Some(link) = self.links.remove(key) else { return };
        match link.secured {
            None => {
                self.by_address.remove(&link.address);
            }
            Some(secured) => self.link_closed(secured),
        }
        if let Some((timer, _)) = link.timer {
            self.timers.cancel(timer);
        }
    }

    /// Gives a datagram to a link.
    pub(super) fn input(&mut self, now: Instant, key: Key<Link>, datagram: &[u8]) {
        let identity = self.identity(key);
        let Some(link) = self.links.get_mut(key) else { return };
        self.trace.at(now);
        self.trace.record(link.way_in(), datagram);
        link.active_at = now;
        let more = u32::try_from(datagram.len()).unwrap_or(u32::MAX).saturating_mul(AMPLIFICATION_MAX);
        link.allowance = link.allowance.saturating_add(more);
        let config = link.coap(&self.config.coap);
        match link.peer.handle_input(now, &config, datagram) {
            Incoming::Nothing => {}
            Incoming::Dropped(why) => {
                self.trace.dropped(why.into());
                let is_malformed = matches!(why, Dropped::Malformed(_));
                let counter = if is_malformed { &mut self.stats.malformed } else { &mut self.stats.dropped };
                *counter += 1;
            }
            Incoming::Request(request) => match wish(&request.message, &identity, &self.config) {
                Ok(wish) => self.asked(now, key, request.ticket, wish),
                Err(refusal) => {
                    self.stats.refused += 1;
                    self.reply(now, key, request.ticket, refusal.code());
                    if let (NoWish::WrongName(endpoint), Identity::Secured(session)) = (refusal, identity) {
                        let refused = SecurityEvent::NameRefused { session, endpoint };
                        self.events.push_back(Event::Security(refused));
                    }
                }
            },
            Incoming::Response(response) => {
                let answer = whole(&response.message, link.peer.payload(response.body));
                link.proven = true;
                let secured = link.secured;
                self.secured_is_proven(secured);
                let exchange = response.exchange;
                self.step_ended(now, key, exchange, StepOutcome::Response(answer));
            }
            Incoming::Notification(notification) => {
                link.peer.reject(notification.ticket);
                self.trace.dropped(TraceDrop::UnknownToken);
                self.stats.dropped += 1;
            }
        }
    }

    fn asked(&mut self, now: Instant, key: Key<Link>, ticket: Ticket, wish: Wish) {
        let identity = self.identity(key);
        let Some(link) = self.links.get_mut(key) else { return };
        let from = link.address;
        link.marks.tag = self.trace.tag(wish.endpoint().as_str());
        let Some((ask, session)) = self.ask_begin(now, key, ticket, &wish) else { return };
        self.events.push_back(match wish {
            Wish::Bootstrap { endpoint, preferred_format } => Event::AskBootstrap {
                ask,
                session,
                caller: Caller { endpoint, from, identity },
                preferred_format,
            },
            Wish::Pack { endpoint, accept, account } => {
                Event::AskPack { ask, session, caller: Caller { endpoint, from, identity }, accept, account }
            }
        });
    }

    /// Answers a device's request without content.
    pub(super) fn reply(&mut self, now: Instant, key: Key<Link>, ticket: Ticket, code: Code) {
        let busy = |options: &mut OptionWriter<'_>| {
            if code == Code::SERVICE_UNAVAILABLE {
                options.max_age_s(BUSY_S);
            }
        };
        self.respond(now, key, ticket, code, busy, &[]);
    }

    /// Answers a Bootstrap-Pack-Request with a pack.
    pub(super) fn reply_pack(&mut self, now: Instant, key: Key<Link>, ticket: Ticket, pack: &Pack) {
        let format = ContentFormat(pack.format.number());
        let write = |options: &mut OptionWriter<'_>| {
            options.content_format(format);
        };
        self.respond(now, key, ticket, Code::CONTENT, write, &pack.payload);
    }

    fn respond(
        &mut self,
        now: Instant,
        key: Key<Link>,
        ticket: Ticket,
        code: Code,
        options: impl FnOnce(&mut OptionWriter<'_>),
        payload: &[u8],
    ) {
        let Some(link) = self.links.get_mut(key) else { return };
        let config = link.coap(&self.config.coap);
        let sent = link.peer.respond(now, &config, ticket, code, options, payload);
        if let Err(error) = sent {
            tracing::debug!(%error, "an answer was not sent");
        }
    }

    /// Sends a command; where much would go to an address that has not answered anything yet, a ping first. Says what was sent, and
    /// whether it was the command.
    pub(super) fn send(&mut self, now: Instant, key: Key<Link>, step: &Step) -> Option<(ExchangeId, bool)> {
        let link = self.links.get_mut(key)?;
        link.active_at = now;
        if !link.proven && step.payload.len() > UNPROVEN_PAYLOAD_MAX {
            return link.peer.ping(now, &self.config.coap).ok().map(|exchange| (exchange, false));
        }
        let request = NewRequest::con(step.command.operation.method());
        let write = |options: &mut OptionWriter<'_>| step.command.write_options(options);
        let config = link.coap(&self.config.coap);
        let sent = link.peer.request(now, &config, request, write, &step.payload);
        let exchange = sent.inspect_err(|error| tracing::debug!(%error, "a command was not sent")).ok()?;
        Some((exchange, true))
    }

    /// Asks whether somebody is at an address before much is sent there; `None` when that is known.
    pub(super) fn probe(&mut self, now: Instant, key: Key<Link>, payload_len: usize) -> Option<ExchangeId> {
        let link = self.links.get_mut(key)?;
        if link.proven || payload_len <= UNPROVEN_PAYLOAD_MAX {
            return None;
        }
        link.peer.ping(now, &self.config.coap).ok()
    }

    /// Takes back what is under way with a device.
    pub(super) fn withdraw(&mut self, key: Key<Link>, exchange: ExchangeId) {
        if let Some(link) = self.links.get_mut(key) {
            link.peer.cancel(exchange);
        }
    }

    /// After anything was done with a link: hears what happened, sets its timer, lets it send.
    pub(super) fn settle(&mut self, now: Instant, key: Key<Link>) {
        self.trace.at(now);
        while let Some(event) = self.links.get_mut(key).and_then(|link| link.peer.poll_event()) {
            match event {
                PeerEvent::RequestFailed { exchange, reason } => {
                    let outcome = match reason {
                        Failure::Timeout => StepOutcome::Timeout,
                        Failure::Reset => StepOutcome::Reset,
                        Failure::BadOption | Failure::BadBlock | Failure::TooLarge => StepOutcome::Broken,
                    };
                    self.step_ended(now, key, exchange, outcome);
                }
                PeerEvent::Pong { exchange } => {
                    if let Some(link) = self.links.get_mut(key) {
                        link.proven = true;
                        let secured = link.secured;
                        self.secured_is_proven(secured);
                    }
                    self.probed(now, key, exchange);
                }
                PeerEvent::NotificationAcknowledged { .. }
                | PeerEvent::NotificationRejected { .. }
                | PeerEvent::NotificationTimedOut { .. }
                | PeerEvent::ResponseLost => {}
            }
        }
        self.arm_link(now, key);
        if let Some(link) = self.links.get_mut(key)
            && !std::mem::replace(&mut link.queued, true)
        {
            self.sending.push_back(key);
        }
    }

    /// Arms a link's timer if it has to go off earlier than it would; if later, it sets itself again.
    fn arm_link(&mut self, now: Instant, key: Key<Link>) {
        let Some(link) = self.links.get_mut(key) else { return };
        // A link with a session stays however quiet it is.
        let since = if link.session.is_some() { now } else { link.active_at };
        let end = since + self.config.coap.exchange_lifetime();
        let due = link.peer.poll_timeout(&self.config.coap).map_or(end, |due| due.min(end));
        match link.timer {
            Some((_, armed)) if armed <= due => return,
            Some((timer, _)) => self.timers.cancel(timer),
            None => {}
        }
        link.timer = Some((self.timers.arm(due, Due::Link(key)), due));
    }

    /// A link's timer went off.
    pub(super) fn link_due(&mut self, now: Instant, key: Key<Link>) {
        let Some(link) = self.links.get_mut(key) else { return };
        link.timer = None;
        link.peer.handle_timeout(now, &self.config.coap);
        self.settle(now, key);
        let Some(link) = self.links.get(key) else { return };
        if now >= link.active_at + self.config.coap.exchange_lifetime() && link.session.is_none() {
            self.close_link(key);
        }
    }
}

/// How long an overloaded server asks to be left alone.
const BUSY_S: u32 = 30;
