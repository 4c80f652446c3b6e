//! What the client does by itself: registering, updating, looking at values, notifying.

use super::serve::world;
use super::*;
use crate::history::Stage;
use crate::observe::{Behind, Part};

impl<O: Objects, B: Buffer, const SERVERS: usize, const OBSERVATIONS: usize, const BODY: usize>
    Client<O, B, SERVERS, OBSERVATIONS, BODY>
{
    /// Brings everything up to date after any call.
    pub(super) fn settle(&mut self, now: Instant) {
        self.now = now;
        self.hear_peers(now);
        if core::mem::take(&mut self.touched) {
            self.observations.iter_mut().flatten().for_each(Observation::touch);
            self.compare_with_told();
        }
        for index in (0..u8::MAX).take(SERVERS) {
            self.expire(now, AccountId(index));
            self.step(now, AccountId(index));
            self.send_waiting(now, AccountId(index));
        }
        for index in 0..OBSERVATIONS {
            self.watch(now, index);
        }
    }

    fn hear_peers(&mut self, now: Instant) {
        for index in (0..u8::MAX).take(SERVERS) {
            let id = AccountId(index);
            while let Some(event) = self.links.get_mut(id.index()).and_then(|link| link.peer.poll_event()) {
                self.hear(now, id, event);
            }
            if let Some(link) = self.links.get_mut(id.index()) {
                // Whatever happened may have ended an exchange, so that the next one can begin.
                link.busy = !link.peer.can_send(&self.config.coap);
                if !link.busy {
                    self.unblock(id);
                }
            }
        }
    }

    fn hear(&mut self, now: Instant, id: AccountId, event: PeerEvent) {
        match event {
            PeerEvent::RequestFailed { exchange, reason } => {
                let reason = match reason {
                    PeerFailure::Timeout => Failure::Timeout,
                    PeerFailure::Reset => Failure::Reset,
                    PeerFailure::BadOption | PeerFailure::BadBlock | PeerFailure::TooLarge => {
                        Failure::Nonsense
                    }
                };
                if self.hear_send(id, exchange, Err(reason)) {
                    if reason == Failure::Timeout {
                        // Perhaps nothing gets through. An Update finds out.
                        self.lose_patience(id);
                        self.with_link(id, |link| link.registration.want_update());
                    }
                    return;
                }
                let Some(link) = self.links.get_mut(id.index()) else { return };
                if link.exchange != Some(exchange) {
                    return;
                }
                link.exchange = None;
                let Some(account) = self.accounts.get(id.index()).and_then(Option::as_ref) else { return };
                let outcome = link.registration.unanswered(now, reason, account, &mut self.jitter);
                self.conclude(id, outcome);
            }
            PeerEvent::NotificationRejected { key } => {
                self.end_where(
                    |present| present.account == id.0 && u32::from(present.generation) == key,
                    true,
                );
            }
            PeerEvent::NotificationTimedOut { .. } => {
                // The observation is over (RFC 7641 section 4.5), though the server may count on it. A fresh registration makes
                // both sides agree again; until then its values are kept.
                let Some(link) =
                    self.links.get_mut(id.index()).filter(|link| link.registration.is_registered())
                else {
                    return;
                };
                let outcome = link.registration.again(now, Failure::Timeout, None);
                self.conclude(id, outcome);
            }
            PeerEvent::NotificationAcknowledged { key } => self.arrived(id, key),
            PeerEvent::Pong { .. } | PeerEvent::ResponseLost => {}
        }
    }

    pub(super) fn on_response(&mut self, now: Instant, from: AccountId, response: &Response<'_>) {
        if self.hear_send(from, response.exchange, Ok(response.message.code())) {
            return;
        }
        let Some(link) = self.links.get_mut(from.index()) else { return };
        if link.exchange != Some(response.exchange) {
            return;
        }
        link.exchange = None;
        let Some(account) = self.accounts.get(from.index()).and_then(Option::as_ref) else { return };
        let mut code = response.message.code();
        let registering = link.registration.phase() == Phase::Registering;
        if registering && code == Code::CREATED {
            match Location::new(&response.message) {
                Some(location) => link.location = location,
                // A location that is missing or does not fit makes the registration useless.
                None => code = Code::EMPTY,
            }
        }
        let slow_down = matches!(code, Code::SERVICE_UNAVAILABLE | Code::TOO_MANY_REQUESTS);
        let max_age = slow_down.then(|| Duration::from_secs(response.message.max_age_s().into()));
        let wait = self.config.coap.max_transmit_wait();
        let outcome = if code == Code::EMPTY {
            link.registration.unanswered(now, Failure::Nonsense, account, &mut self.jitter)
        } else {
            link.registration.answered(now, code, max_age, account, wait, &mut self.jitter)
        };
        self.conclude(from, outcome);
    }

    /// Tells the host, and forgets what ended with a registration.
    fn conclude(&mut self, id: AccountId, outcome: Option<Outcome>) {
        let event = match outcome {
            None => return,
            Some(Outcome::Registered) => Event::Registered(id),
            Some(Outcome::Updated) => Event::Updated(id),
            Some(Outcome::Deregistered) => Event::Deregistered(id),
            Some(Outcome::Failed { reason, retry_in }) => Event::Failed { account: id, reason, retry_in },
        };
        self.events.push(event);
        if !matches!(event, Event::Updated(_)) {
            self.end_sends(id);
        }
        match outcome {
            Some(Outcome::Updated) => self.come_back(id),
            Some(Outcome::Registered) => self.begin_anew(id),
            Some(Outcome::Deregistered) if self.phase(id) == Phase::Idle => self.end_observations(id),
            _ => self.go_away(id),
        }
        // The lifetime or the list may have changed since the request went out.
        self.touched = true;
    }

    /// Compares lifetime and object list with what each server was told.
    fn compare_with_told(&mut self) {
        for (index, link) in self.links.iter_mut().enumerate() {
            if !link.registration.is_registered() {
                continue;
            }
            let world = world(&mut self.objects, &mut self.accounts, 0, link.registration.version());
            let Some(account) = world.server.accounts.get(index).and_then(Option::as_ref) else { continue };
            if account.lifetime_s != link.told_lifetime_s {
                link.registration.lifetime_changed();
            }
            if list::fingerprint(&world, link.registration.version()) != link.told_list {
                link.registration.objects_changed();
            }
        }
    }

    /// Registers anew when the lifetime ended without an Update: nothing else may be sent before (TS_Core 6.2.2).
    fn expire(&mut self, now: Instant, id: AccountId) {
        let Some(link) = self.links.get_mut(id.index()) else { return };
        if link.registration.has_expired(now) {
            if let Some(exchange) = link.exchange.take() {
                link.peer.cancel(exchange);
            }
            let outcome = link.registration.again(now, Failure::Expired, None);
            self.conclude(id, outcome);
        }
    }

    /// Sends the Register, Update or De-register that is due with one server.
    fn step(&mut self, now: Instant, id: AccountId) {
        let Some(link) = self.links.get_mut(id.index()).filter(|link| !link.offline) else { return };
        if link.busy || link.registration.timeout().is_none_or(|at| at > now) {
            return;
        }
        if !link.peer.can_send(&self.config.coap) {
            link.busy = true;
            return;
        }
        let Some(step) = link.registration.step(now) else { return };
        let version = link.registration.version();
        let world = world(&mut self.objects, &mut self.accounts, id.0, version);
        let Some(account) = world.server.accounts.get(id.index()).and_then(Option::as_ref) else { return };
        let with_list = matches!(step, Step::Register { .. } | Step::Update { objects: true, .. });
        let len = if with_list { list::write(&world, version, &mut self.body) } else { Some(0) };
        let content = len.and_then(|len| self.body.get(..len));
        let method = if step == Step::Deregister { Code::DELETE } else { Code::POST };
        let (endpoint, binding) = (self.config.endpoint.as_str(), self.config.binding.as_str());
        let options = |options: &mut OptionWriter<'_>| {
            match step {
                Step::Register { version } => {
                    prefix(account.uri.as_str(), options);
                    options.uri_path_segment("rd");
                    options.uri_query_fmt(format_args!("ep={endpoint}"));
                    options.uri_query_fmt(format_args!("lt={}", account.lifetime_s));
                    options.uri_query_fmt(format_args!("lwm2m={version}"));
                    options.uri_query_fmt(format_args!("b={binding}"));
                }
                Step::Update { lifetime, .. } => {
                    link.location.write(options);
                    if lifetime {
                        options.uri_query_fmt(format_args!("lt={}", account.lifetime_s));
                    }
                }
                Step::Deregister => link.location.write(options),
            }
            if with_list {
                options.content_format(ContentFormat::LINK);
            }
        };
        let sent = match content {
            Some(content) => {
                link.peer.request(now, &self.config.coap, NewRequest::con(method), options, content)
            }
            None => Err(SendError::TooLarge),
        };
        match sent {
            Ok(exchange) => {
                link.exchange = Some(exchange);
                if matches!(step, Step::Register { .. } | Step::Update { lifetime: true, .. }) {
                    link.told_lifetime_s = account.lifetime_s;
                }
                if with_list {
                    link.told_list = list::fingerprint(&world, version);
                }
            }
            Err(_) => {
                let outcome = link.registration.unanswered(now, Failure::TooLarge, account, &mut self.jitter);
                self.conclude(id, outcome);
            }
        }
    }

    /// The attributes that steer an observation: those of its request, or else the attached ones; pmin and pmax of the
    /// account where there are none.
    pub(super) fn effective(&self, observation: &Observation) -> Attributes {
        let attached = || self.attached.resolve(observation.account, observation.path);
        let mut attributes = match observation.query {
            None => attached(),
            Some(query) if observation.part == Part::Whole => query,
            // What can stand at an object comes from the query of an Observe-Composite, the rest from the resource.
            Some(query) => {
                let Attributes { gt, lt, st, edge, .. } = attached();
                Attributes { gt, lt, st, edge, ..query }
            }
        };
        if let Some(account) = self.account(AccountId(observation.account)) {
            attributes.pmin = attributes.pmin.or(account.default_pmin_s);
            attributes.pmax = attributes.pmax.or(account.default_pmax_s);
        }
        attributes
    }

    /// Does what is due with one observation.
    fn watch(&mut self, now: Instant, index: usize) {
        let slot = self.observations.get(index).copied().flatten();
        let Some(mut observation) = slot.filter(Observation::runs) else { return };
        let attributes = self.effective(&observation);
        let keeps = self.keeps(&observation, &attributes);
        let account = AccountId(observation.account);
        let path = observation.path;
        if observation.action(now, &attributes, keeps) == Action::Look {
            let mut found = Snapshot::new();
            let version = self.version(account);
            let world = world(&mut self.objects, &mut self.accounts, account.0, version);
            let looked = if observation.part == Part::Whole {
                walk(&world, path, &mut found)
            } else {
                found = composite::look(&world, path);
                Ok(())
            };
            match looked {
                Ok(()) => observation.looked(now, &found, &attributes, self.config.thresholds),
                Err(Refusal::NotFound) if !observation.away => return self.vanish(now, index),
                Err(_) => observation.looked_in_vain(now),
            }
        }
        if let Some(slot) = self.observations.get_mut(index) {
            *slot = Some(observation);
        }
        if observation.action(now, &attributes, keeps) != Action::Tell {
            return self.catch_up(now, &observation);
        }
        let behind = keeps && observation.behind != Behind::No;
        let later = observation.away || observation.blocked || behind;
        match (later, keeps) {
            (true, true) => return self.keep(now, &observation),
            (true, false) => observation.told_nothing(now),
            (false, _) if observation.part != Part::Whole => return self.tell_all(now, &observation),
            (false, _) => match self.read_again(account, path, Some(observation.format)) {
                Err(Deny::With(Code::NOT_FOUND)) => return self.vanish(now, index),
                // Not to be had just now: the next change or pmax tries again.
                Err(_) => observation.told_nothing(now),
                Ok(success) => self.tell(now, &mut observation, &attributes, success),
            },
        }
        if let Some(slot) = self.observations.get_mut(index) {
            *slot = Some(observation);
        }
    }

    fn tell(
        &mut self,
        now: Instant,
        observation: &mut Observation,
        attributes: &Attributes,
        success: Success,
    ) {
        let Some(account) = self.accounts.get(usize::from(observation.account)).and_then(Option::as_ref)
        else {
            return;
        };
        let confirmable = observation.confirmable(now, attributes, account);
        let new = observation.notification(success.code, confirmable);
        let mut sequence = observation.sequence;
        let number = sequence.next();
        let options = |options: &mut OptionWriter<'_>| {
            options.observe(number);
            if let Some(format) = success.format {
                options.content_format(format);
            }
        };
        let mut told = Snapshot::new();
        let version = self.version(AccountId(observation.account));
        let world = world(&mut self.objects, &mut self.accounts, observation.account, version);
        let _ = walk(&world, observation.path, &mut told);
        let content = self.body.get(..success.len).unwrap_or_default();
        let Some(link) = self.links.get_mut(usize::from(observation.account)) else { return };
        match link.peer.notify(now, &self.config.coap, new, options, content) {
            Ok(()) => {
                observation.sequence = sequence;
                observation.told(now, told, confirmable);
                if confirmable {
                    self.remember(now, observation, Stage::Underway);
                }
            }
            Err(SendError::Busy) => {
                observation.blocked = true;
                link.busy = true;
            }
            Err(_) => observation.told_nothing(now),
        }
    }

    /// Ends an observation whose target is gone, by one 4.04.
    fn vanish(&mut self, now: Instant, index: usize) {
        let Some(observation) = self.observations.get(index).copied().flatten() else { return };
        let link = self.links.get_mut(usize::from(observation.account));
        if let Some(link) = link.filter(|_| !observation.away) {
            let new: NewNotification = observation.notification(Code::NOT_FOUND, false);
            let _ = link.peer.notify(now, &self.config.coap, new, |_| {}, &[]);
        }
        self.end_where(|present| present.is_with(&observation), true);
    }
}
