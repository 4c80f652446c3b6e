//! Where CoAP is spoken: links are opened, fed, asked what happened, and dropped when nothing goes on any more.

use std::net::SocketAddr;

use lightship_coap::peer::{
    Dropped, ExchangeId, Failure, NewRequest, Notification, NotificationTicket, Ticket,
};
use lightship_coap::{Freshness, Incoming, Message, OptionWriter, PeerEvent, Token, Type};
use lightship_platform::Instant;

use crate::asks::Newest;
use crate::deviation::of_notification;
use crate::devices::{Device, Talk};
use crate::downlink::{Job, Task};
use crate::limits::UNPROVEN_PAYLOAD_MAX;
use crate::links::Link;
use crate::message::Outgoing;
use crate::observation::Observation;
use crate::secured::{Held, SecuredSession};
use crate::shard::Due;
use crate::slab::Key;
use crate::trace::TraceDrop;
use crate::uplink::Reply;
use crate::{Deviation, Outcome, RegistrationId, Response, Shard};

/// The CoAP machine of one address.
pub(crate) type Peer = lightship_coap::Peer<lightship_coap::HeapBuffer>;

impl Shard {
    /// Makes a link for an address without security, or for a session, that has none.
    pub(crate) fn open_link(
        &mut self,
        now: Instant,
        (from, session): (SocketAddr, Option<Key<SecuredSession>>),
        device: Option<Key<Device>>,
    ) -> Key<Link> {
        let peer = Peer::new(&mut self.rng);
        let link = self.links.insert(now, (from, session), peer, device);
        self.mark(link, session, device);
        if let Some(session) = session {
            let message_len_max = self.sessions.message_len_max(session);
            if let Some(session) = self.sessions.get_mut(session)
                && let Some(entry) = self.links.get_mut(link)
            {
                session.held.link = link.index;
                entry.proven = session.is_proven();
                entry.message_len_max = u16::try_from(message_len_max)
                    .ok()
                    .filter(|max| usize::from(*max) < self.config.coap.message_len_max);
            }
        }
        if let Some(device) = device.and_then(|device| self.devices.get_mut(device)) {
            if let Some(link) = self.links.get_mut(link) {
                (link.proven, link.allowance) = (device.proven, device.allowance());
            }
            device.talk = Talk::Link(link);
        }
        while let Some(oldest) = self.links.surplus_stranger(self.config.limits.strangers) {
            self.stats.evicted_strangers += 1;
            self.close_link(oldest);
        }
        link
    }

    /// Says whose the messages of a link are: for the recorder, and for the parameters that they are sent with.
    pub(crate) fn mark(
        &mut self,
        link: Key<Link>,
        session: Option<Key<SecuredSession>>,
        device: Option<Key<Device>>,
    ) {
        let Some(link) = self.links.get_mut(link) else { return };
        if let Some(random) = session.and_then(|session| self.sessions.random(session)) {
            link.marks.session = random;
        }
        if let Some(device) = device.and_then(|device| self.devices.get(device)) {
            let endpoint = device.details.endpoint.as_str();
            link.marks.tag = self.trace.tag(endpoint);
            link.class = self.transmissions.class(endpoint);
        }
    }

    /// The link of a device, made if it has none.
    pub(crate) fn link_of(&mut self, now: Instant, key: Key<Device>) -> Option<Key<Link>> {
        let device = self.devices.get(key)?;
        match (device.link(), device.session) {
            (Some(link), _) => Some(link),
            (None, Some(session)) => self.link_of_session(now, session),
            (None, None) if device.party.is_some() => None,
            (None, None) => Some(self.open_link(now, (device.address(), None), Some(key))),
        }
    }

    pub(crate) fn close_link(&mut self, key: Key<Link>) {
        let Some(link) = self.links.remove(key) else { return };
        if let Some((timer, _)) = link.timer {
            self.timers.cancel(timer);
        }
        if let Some(device) = link.device.and_then(|device| self.devices.get_mut(device)) {
            device.talk = Talk::Silent { allowance: link.allowance };
        }
        if let Some(session) = link.session.and_then(|session| self.sessions.get_mut(session)) {
            session.held.link = Held::NOTHING;
        }
    }

    /// Gives a datagram to a link; says whether it was a message.
    pub(crate) fn input(&mut self, now: Instant, key: Key<Link>, datagram: &[u8]) -> bool {
        let Some(link) = self.links.get_mut(key) else { return false };
        self.trace.at(now);
        self.trace.record(link.way_in(), datagram);
        link.active_at = now;
        link.allow(datagram.len());
        let config = link.coap(match link.device {
            Some(_) => self.transmissions.of(link.class),
            None => &self.strangers_coap,
        });
        match link.peer.handle_input(now, &config, datagram) {
            Incoming::Nothing => {}
            Incoming::Dropped(why) => {
                self.stats.dropped(why);
                self.trace.dropped(why.into());
                return !matches!(why, Dropped::Malformed(_) | Dropped::Unusable);
            }
            Incoming::Request(request) => {
                let body = link.peer.payload(request.body);
                if std::ptr::eq(body, request.message.payload()) {
                    self.serve(now, key, request.ticket, &request.message, request.message.payload());
                } else {
                    let body = body.to_vec();
                    self.serve(now, key, request.ticket, &request.message, &body);
                }
            }
            Incoming::Response(response) => {
                let whole = whole(&response.message, link.peer.payload(response.body));
                let begun = response.observe.map(|sequence| (response.token, sequence));
                self.proven(key);
                self.responded(now, key, response.exchange, whole, begun);
            }
            Incoming::Notification(notification) => self.notification(now, key, &notification),
        }
        true
    }

    /// Somebody at the address has answered: it is its sender's.
    fn proven(&mut self, key: Key<Link>) {
        let Some(link) = self.links.get_mut(key) else { return };
        link.proven = true;
        if let Some(session) = link.session {
            self.sessions.proven(session);
        }
        if let Some(device) = link.device.and_then(|device| self.devices.get_mut(device)) {
            device.proven = true;
        }
    }

    fn responded(
        &mut self,
        now: Instant,
        link: Key<Link>,
        exchange: ExchangeId,
        response: Response,
        begun: Option<(Token, u32)>,
    ) {
        self.judge(link, exchange, &response);
        if let (Some(key), Some((token, sequence))) = (self.observation_started_by(link, exchange), begun)
            && let Some(observation) = self.observations.get_mut(key)
        {
            observation.begin(token, Freshness::new(now, sequence));
        }
        self.exchange_done(now, link, exchange, Outcome::Response(response));
    }

    /// The observation that the exchange under way is to start.
    fn observation_started_by(&self, link: Key<Link>, exchange: ExchangeId) -> Option<Key<Observation>> {
        let device = self.devices.get(self.links.get(link)?.device?)?;
        let (job, _) = device.line.as_ref()?.current.filter(|(_, current)| *current == exchange)?;
        match self.jobs.get(job)?.task {
            Task::Observe(observation) => Some(observation),
            Task::Operation(_) | Task::FetchValue(_) | Task::CancelObservation(_) => None,
        }
    }

    fn notification(&mut self, now: Instant, link: Key<Link>, notification: &Notification<'_>) {
        let message = &notification.message;
        let observation = self.observation_by_token(link, message.token());
        let Some(key) = observation else {
            if let Some(key) = self.replaced(now, link, message.token()) {
                self.crossed(now, key);
                self.stats.notifications_stale += 1;
                self.trace.dropped(TraceDrop::Stale);
                return self.acknowledge(link, notification.ticket);
            }
            self.stats.notifications_unknown += 1;
            self.trace.dropped(TraceDrop::UnknownToken);
            let Some(link) = self.links.get_mut(link) else { return };
            link.peer.reject(notification.ticket);
            let owner = link.device;
            if let Some(owner) = owner.filter(|_| message.observe().is_some()) {
                self.doubt(now, owner, message.token());
            }
            return;
        };
        let Some(observation) = self.observations.get_mut(key) else { return };
        observation.heard_at = now;
        let before = observation.newest();
        // RFC 7641 §3.2: a response that is no success, or has no Observe option, is the last one.
        let sequence = message.observe().filter(|_| message.code().is_success());
        let last = sequence.is_none();
        let newest = observation.newest_mut();
        // Copies of a message do not come this far: the same number on another one is a value in its own right.
        let repeated = newest.as_ref().zip(sequence).is_some_and(|(newest, sequence)| {
            newest.is_repeated(sequence) && !newest.is_newer(now, sequence)
        });
        let newer = newest.is_some_and(|newest| sequence.is_none_or(|sequence| newest.accept(now, sequence)));
        let newest = before.zip(observation.newest()).map(|(before, now)| Newest { before, now });
        if !newer && !repeated {
            self.stats.notifications_stale += 1;
            self.trace.dropped(TraceDrop::Stale);
            return self.acknowledge(link, notification.ticket);
        }
        if repeated {
            let owner = observation.device;
            self.deviated(owner, Deviation::SameSequence);
        }
        let Some(observation) = self.observations.get(key) else { return };
        let (owner, accept) = (observation.device, observation.wanted.accept);
        if !last {
            let format = message.content_format();
            self.judge_format(owner, of_notification(accept, format), format, message.payload());
        }
        if message.block2().is_some_and(|block| block.is_ok_and(|block| block.more())) {
            self.acknowledge(link, notification.ticket);
            return self.fetch_value(now, link, key, notification);
        }
        let response = whole(message, message.payload());
        match newest.filter(|_| !last && message.ty() == Type::Con) {
            Some(newest) => self.ask_notified(now, link, (notification.ticket, key, newest), response),
            None => {
                self.acknowledge(link, notification.ticket);
                self.notified(now, key, response, last);
            }
        }
    }

    fn acknowledge(&mut self, link: Key<Link>, ticket: NotificationTicket) {
        if let Some(link) = self.links.get_mut(link) {
            link.peer.accept(ticket);
        }
    }

    /// Answers a device's request; does nothing if the link is gone.
    pub(crate) fn reply(&mut self, now: Instant, link: Key<Link>, ticket: Ticket, reply: Reply) {
        let Some(link) = self.links.get_mut(link) else { return };
        let hex = reply.location.map(RegistrationId::to_hex);
        let options = |options: &mut OptionWriter<'_>| {
            if let Some(id) = hex.as_ref().and_then(|hex| core::str::from_utf8(hex).ok()) {
                options.location_path("rd").location_path(id);
            }
            if let Some(seconds) = reply.max_age_s {
                options.max_age_s(seconds);
            }
        };
        let config = link.coap(self.transmissions.of(link.class));
        let sent = match reply {
            Reply { code, location: None, max_age_s: None } => {
                link.peer.respond_bare(now, &config, ticket, code)
            }
            Reply { code, .. } => link.peer.respond(now, &config, ticket, code, options, &[]),
        };
        if let Err(error) = sent {
            tracing::debug!(%error, "an answer was not sent");
        }
    }

    /// Sends a job's request.
    pub(crate) fn start(&mut self, now: Instant, link: Key<Link>, job: Key<Job>) -> Option<ExchangeId> {
        self.start_after(now, link, job, None)
    }

    /// Sends a job's request, or the request for what a notification did not hold of the value.
    pub(crate) fn start_after(
        &mut self,
        now: Instant,
        link: Key<Link>,
        job: Key<Job>,
        begun: Option<&Notification<'_>>,
    ) -> Option<ExchangeId> {
        let job = self.jobs.get_mut(job)?;
        job.sent = true;
        let root = &self.devices.get(job.device)?.details.objects.root;
        let (outgoing, token) = match &job.task {
            Task::Operation(operation) => (Outgoing::of_operation(operation), None),
            Task::Observe(key) => (Outgoing::observe(&self.observations.get(*key)?.wanted), None),
            Task::FetchValue(key) => (Outgoing::value(&self.observations.get(*key)?.wanted), None),
            Task::CancelObservation(cancelled) => {
                (Outgoing::cancel(&cancelled.wanted), Some(cancelled.token))
            }
        };
        let link = self.links.get_mut(link)?;
        link.active_at = now;
        if !link.proven && outgoing.payload.len() > UNPROVEN_PAYLOAD_MAX {
            return link.peer.ping(now, self.transmissions.of(link.class)).ok();
        }
        let config = link.coap(self.transmissions.of(link.class));
        let request = NewRequest { token, ..NewRequest::con(outgoing.code) };
        let write = |options: &mut OptionWriter<'_>| outgoing.write_options(root, options);
        let sent = match begun {
            Some(begun) => link.peer.request_rest(now, &config, begun, request, write, outgoing.payload),
            None => link.peer.request(now, &config, request, write, outgoing.payload),
        };
        sent.inspect_err(|error| tracing::debug!(%error, "a request was not sent")).ok()
    }

    /// A ping before a long request has been answered: now the request.
    fn probed(&mut self, now: Instant, link: Key<Link>, exchange: ExchangeId) {
        let Some(owner) = self.links.get(link).and_then(|link| link.device) else { return };
        let Some(line) = self.devices.get_mut(owner).and_then(|device| device.line.as_mut()) else { return };
        let Some((job, _)) = line.current.take_if(|(_, current)| *current == exchange) else { return };
        match self.start(now, link, job) {
            Some(exchange) => {
                if let Some(line) = self.devices.get_mut(owner).and_then(|device| device.line.as_mut()) {
                    line.current = Some((job, exchange));
                }
            }
            None => {
                self.finish(now, job, Outcome::Broken);
                self.pump(now, owner);
            }
        }
    }

    /// Takes back a request that is under way.
    pub(crate) fn cancel_exchange(&mut self, now: Instant, key: Key<Link>, exchange: ExchangeId) {
        if let Some(link) = self.links.get_mut(key) {
            link.peer.cancel(exchange);
            self.settle(now, key);
        }
    }

    /// After anything was done with a link: hears what happened, sets its timer, lets it send.
    pub(crate) fn settle(&mut self, now: Instant, key: Key<Link>) {
        self.trace.at(now);
        while let Some(event) = self.links.get_mut(key).and_then(|link| link.peer.poll_event()) {
            match event {
                PeerEvent::RequestFailed { exchange, reason } => {
                    let outcome = match reason {
                        Failure::Timeout => Outcome::Timeout,
                        Failure::Reset => Outcome::Reset,
                        Failure::BadOption | Failure::BadBlock | Failure::TooLarge => Outcome::Broken,
                    };
                    self.exchange_done(now, key, exchange, outcome);
                }
                PeerEvent::Pong { exchange } => {
                    self.proven(key);
                    self.probed(now, key, exchange);
                }
                PeerEvent::NotificationAcknowledged { .. }
                | PeerEvent::NotificationRejected { .. }
                | PeerEvent::NotificationTimedOut { .. }
                | PeerEvent::ResponseLost => {}
            }
        }
        self.arm_link(now, key);
        self.links.queue(key);
    }

    /// Arms a link's timer if it has to go off earlier than it would; if later, it sets itself again.
    fn arm_link(&mut self, now: Instant, key: Key<Link>) {
        let Some(link) = self.links.get_mut(key) else { return };
        let span = self.link_span;
        // One that is busy beyond its end is looked at again later.
        let end = Some(link.active_at + span).filter(|end| *end > now).unwrap_or(now + span);
        // It was set to look when all that lasts longest is over, or earlier.
        if link.timer.is_some_and(|(_, armed)| armed <= end) && link.peer.is_at_rest() {
            return;
        }
        let due = link.peer.poll_timeout(self.transmissions.of(link.class)).map_or(end, |due| due.min(end));
        match link.timer {
            Some((_, armed)) if armed <= due => return,
            Some((timer, _)) => self.timers.cancel(timer),
            None => {}
        }
        link.timer = Some((self.timers.arm(due, Due::Link(key)), due));
    }

    /// A link's timer went off.
    pub(crate) fn link_due(&mut self, now: Instant, key: Key<Link>) {
        let Some(link) = self.links.get_mut(key) else { return };
        link.timer = None;
        link.peer.handle_timeout(now, self.transmissions.of(link.class));
        let quiet = now >= link.active_at + self.link_span;
        let device = link.device;
        self.settle(now, key);
        let busy = device
            .and_then(|device| self.devices.get(device)?.line.as_ref())
            .is_some_and(|line| line.current.is_some());
        if quiet && !busy {
            self.close_link(key);
        }
    }
}

/// A response as the host gets it.
pub(crate) fn whole(message: &Message<'_>, body: &[u8]) -> Response {
    Response {
        code: message.code(),
        content_format: message.content_format(),
        payload: body.into(),
        location: message.location_path().map(str::to_owned).collect(),
    }
}
