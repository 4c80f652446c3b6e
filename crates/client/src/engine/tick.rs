//! What the client does by itself: registering, updating, looking at values, notifying.

use super::serve::world;
use super::*;
use crate::history::Stage;
use crate::observe::Part;

impl<O: Objects, B: Buffer, const SERVERS: usize, const OBSERVATIONS: usize, const BODY: usize>
    Client<O, B, SERVERS, OBSERVATIONS, BODY>
{
    /// Brings everything up to date after any call.
    pub(super) fn settle(&mut self, now: Instant) {
        self.now = now;
        self.hear_tunnels(now);
        self.hear_peers(now);
        if core::mem::take(&mut self.touched) {
            self.observations.iter_mut().flatten().for_each(Observation::touch);
            self.compare_with_told();
        }
        #[cfg(feature = "bootstrap")]
        self.bootstrap_step(now);
        for index in (0..u8::MAX).take(SERVERS) {
            self.expire(now, AccountId(index));
            self.rouse(now, AccountId(index));
            self.step(now, AccountId(index));
            self.send_waiting(now, AccountId(index));
        }
        for index in 0..OBSERVATIONS {
            self.watch(now, index);
        }
        for index in (0..u8::MAX).take(SERVERS) {
            self.doze(now, AccountId(index));
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
                if !link.busy && !self.is_cut(id) {
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
                        self.renew_silent(now, id);
                    }
                    return;
                }
                let Some(link) = self.links.get_mut(id.index()) else { return };
                if link.exchange != Some(exchange) {
                    return;
                }
                link.exchange = None;
                if reason == Failure::Timeout && self.renew_silent(now, id) {
                    return;
                }
                let Some(account) = self.accounts.get(id.index()).and_then(Option::as_ref) else { return };
                #[cfg(feature = "bootstrap")]
                if account.is_bootstrap() {
                    return self.hear_bootstrap(now, id, Err(reason));
                }
                let Some(link) = self.links.get_mut(id.index()) else { return };
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
                // both sides agree again; until then its values are kept. Where a new session may help, its Update does the same.
                if self.renew_silent(now, id) {
                    return;
                }
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
            let world = world(self.config.root(), &mut self.objects, &mut self.accounts, account.0, version);
            let looked = if !cfg!(feature = "composite") || observation.part == Part::Whole {
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
        if self.links.get(account.index()).is_some_and(|link| link.asleep.is_some()) && !observation.away {
            self.wake(now, account);
            self.touched = true;
            return;
        }
        let later = observation.away || observation.blocked;
        match (later, keeps) {
            (true, true) => return self.keep(now, &observation),
            (true, false) => observation.told_nothing(now),
            (false, _) if cfg!(feature = "composite") && observation.part != Part::Whole => {
                return self.tell_all(now, &observation);
            }
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
        let cut = self.is_cut(AccountId(observation.account));
        let mut told = Snapshot::new();
        let version = self.version(AccountId(observation.account));
        let world =
            world(self.config.root(), &mut self.objects, &mut self.accounts, observation.account, version);
        let _ = walk(&world, observation.path, &mut told);
        let content = self.body.get(..success.len).unwrap_or_default();
        let Some(link) = self.links.get_mut(usize::from(observation.account)) else { return };
        let sent = if cut {
            Err(SendError::Busy)
        } else {
            link.peer.notify(now, &self.config.coap, new, options, content)
        };
        match sent {
            Ok(()) => {
                observation.sequence = sequence;
                observation.told(now, told, confirmable);
                self.touched |= self.objects.returned(observation.path);
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
