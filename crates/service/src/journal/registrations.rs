//! The life of registrations in the journal: what of it is written, and when.
//!
//! A Register, an Update that changes something and a De-register are written while the device waits. An Update that says nothing new is
//! not: the registration's stored end is moved when it would come less than half a lifetime from now, which is once in half a lifetime, and
//! nobody waits for that. After a crash each registration gets a whole lifetime, so an end that is a little old harms nobody.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use lightship_api::EventType;
use lightship_lwm2m::Endpoint;
use lightship_platform::Instant;
use lightship_server::{
    Answer, Ask, Changed, Code, Details, Ended, Fact as Durable, Registration, RegistrationId, Wanted,
};
use lightship_store::{CredentialSet, Fact, RegistrationRecord, Store};

use super::Journal;
use super::batch::Then;
use crate::content;
use crate::core;
use crate::directory::Device;
use crate::queue;
use crate::security;

impl Journal {
    /// A device wants to register: if it may, the registration is written, then it is told.
    pub(super) async fn asked_to_register(&mut self, shard: u8, ask: Ask, registration: Registration) {
        // Who has a session has been judged when it was made, and its shard has compared the names.
        let unsecured = registration.session.is_none().then_some(registration.address);
        let details = &registration.details;
        let credentials = self.core.gate.credentials_changed();
        let observations = match self.may_register(details, unsecured).await {
            Ok(observations) => observations,
            Err(code) => return self.answer(shard, ask, Answer::Refuse { code }).await,
        };
        let endpoint = details.endpoint.clone();
        self.core.directory.arriving(&endpoint);
        let id = registration.id;
        self.coming.expect(endpoint.clone(), id, credentials);
        let record = self.record(&registration);
        self.pending.facts.push(Fact::Registered(record));
        let mut device = self.device(shard, registration);
        self.core.directory.announced(&mut device);
        self.log_registration(EventType::Registered, &device, None);
        self.pending.then.push(Then::Accept { shard, ask, endpoint, registration: id, observations });
    }

    /// The policy: who may register, and what is wanted of it.
    async fn may_register(
        &self,
        details: &Details,
        unsecured: Option<SocketAddr>,
    ) -> Result<Vec<Wanted>, Code> {
        if let Some(from) = unsecured {
            self.may_come_unsecured(&details.endpoint, from).await?;
        }
        let wanted = self.core.store.wanted(&details.endpoint).await.map_err(|error| {
            tracing::debug!(%error, "the store does not answer");
            Code::SERVICE_UNAVAILABLE
        })?;
        Ok(wanted.iter().filter_map(|one| content::wanted_at_first(one, details).ok()).collect())
    }

    async fn may_come_unsecured(&self, endpoint: &Endpoint, from: SocketAddr) -> Result<(), Code> {
        match security::judge_unsecured(&self.core, CredentialSet::Server, endpoint, from).await {
            Ok(Ok(())) => Ok(()),
            Ok(Err(reason)) => {
                tracing::info!(endpoint = %endpoint.readable(), reason, "refused");
                Err(Code::FORBIDDEN)
            }
            Err(error) => {
                tracing::debug!(%error, "the store does not answer");
                Err(Code::SERVICE_UNAVAILABLE)
            }
        }
    }

    /// A registration at another shard gives way to a new one of the same endpoint.
    pub(super) fn give_way(&mut self, shard: u8, endpoint: &Endpoint, id: RegistrationId) {
        // A shard too busy for this keeps the old one until it expires; the directory knows the new one.
        if let Some(inbox) = self.core.inbox(shard)
            && inbox.forget(endpoint.clone(), id).is_ok()
            && self.displaced.len() < DISPLACED_MAX
        {
            self.displaced.insert(id);
        }
    }

    /// A device has been told that it is registered.
    pub(super) fn registered(&mut self, shard: u8, registration: Registration, carried: bool) {
        let endpoint = registration.details.endpoint.clone();
        let is_secured = registration.party.is_some();
        let since = self.coming.take(&endpoint, registration.id);
        let device = self.device(shard, registration);
        let before = self.core.directory.registered(device, carried);
        if let Some((other, id)) = before.filter(|(other, _)| *other != shard) {
            // An endpoint has one registration, whichever shard its new address leads to. Only now: until the device has been told it
            // may come to nothing.
            self.give_way(other, &endpoint, id);
        }
        queue::came(&self.core, &endpoint);
        if !is_secured && since != Some(self.core.gate.credentials_changed()) {
            // Its credential may have come while it registered.
            security::forget_unsecured(&self.core, vec![endpoint]);
        }
    }

    /// A registration that was on its way does not come.
    pub(super) fn does_not_come(&mut self, endpoint: &Endpoint, id: RegistrationId) {
        if self.coming.take(endpoint, id).is_some() {
            self.core.directory.arrived(endpoint.as_str());
        }
    }

    /// What was written for a question is not so: what stands is written in its place.
    pub(super) fn lapsed(
        &mut self,
        endpoint: Endpoint,
        registration: RegistrationId,
        standing: Option<&Registration>,
    ) {
        self.does_not_come(&endpoint, registration);
        tracing::debug!(endpoint = %endpoint.readable(), "a device was told to try again: the store took too long");
        let elsewhere = || self.core.directory.find(endpoint.as_str()).map(|device| device.registration);
        // One at another shard stands as well.
        let standing = standing.cloned().or_else(|| elsewhere().filter(|other| other.id != registration));
        let fact = match standing {
            Some(standing) => Fact::Registered(self.record(&standing)),
            None => Fact::Deregistered { endpoint, id: number(registration) },
        };
        self.pending.owe(fact);
    }

    /// Something about a registration, or a Send, is to be written while the device waits.
    pub(super) async fn durable(&mut self, shard: u8, ask: Ask, fact: Durable) {
        let judged = match &fact {
            Durable::Send { endpoint, content_format, payload } => {
                self.sent(endpoint, *content_format, payload)
            }
            Durable::Update { registration, changed } => self.changes(shard, registration, *changed),
            Durable::Deregister { registration } => self.leaves(registration),
            _ => Err(Code::NOT_IMPLEMENTED),
        };
        match judged {
            Ok(()) => self.pending.then.push(Then::Stored { shard, ask }),
            Err(code) => self.answer(shard, ask, Answer::Refuse { code }).await,
        }
    }

    /// An Update changes something.
    fn changes(&mut self, shard: u8, registration: &Registration, changed: Changed) -> Result<(), Code> {
        let endpoint = &registration.details.endpoint;
        let device = self.core.directory.find(endpoint.as_str());
        self.is_present(registration, device.as_ref())?;
        let record = self.record(registration);
        self.pending.facts.push(Fact::Registered(record));
        let mut device = device.unwrap_or_else(|| self.device(shard, registration.clone()));
        self.take_update(&mut device, registration, changed.objects);
        self.log_registration(EventType::Updated, &device, None);
        Ok(())
    }

    /// A device de-registers.
    fn leaves(&mut self, registration: &Registration) -> Result<(), Code> {
        let endpoint = &registration.details.endpoint;
        let device = self.core.directory.find(endpoint.as_str());
        self.is_present(registration, device.as_ref())?;
        let id = number(registration.id);
        self.pending.facts.push(Fact::Deregistered { endpoint: endpoint.clone(), id });
        if let Some(device) = device {
            self.log_registration(EventType::Deregistered, &device, None);
        }
        Ok(())
    }

    /// Whether a registration is still that of its endpoint: another may have taken its place, or be about to.
    fn is_present(&self, registration: &Registration, device: Option<&Device>) -> Result<(), Code> {
        if self.core.forgotten.has(registration.id) {
            return Err(Code::NOT_FOUND);
        }
        let coming = self.coming.of(&registration.details.endpoint);
        let present = coming.or_else(|| device.map(|device| device.registration.id));
        if present.is_none_or(|present| present == registration.id) { Ok(()) } else { Err(Code::NOT_FOUND) }
    }

    /// An Update was told to its device; what it changed of the device's words is written by then.
    pub(super) fn updated(&mut self, registration: &Registration, changed: Changed) {
        let endpoint = &registration.details.endpoint;
        let says_something = changed.parameters || changed.objects;
        let device = self.core.directory.change(endpoint, Some(registration.id), |device| {
            self.take_update(device, registration, changed.objects);
            (!says_something).then(|| device.clone())
        });
        let Some(device) = device else { return };
        if !says_something || changed.address {
            let record = self.record(registration);
            self.pending.owe(Fact::Registered(record));
        }
        if let Some(device) = device {
            self.log_registration(EventType::Updated, &device, None);
        }
    }

    fn take_update(&self, device: &mut Device, registration: &Registration, listed_anew: bool) {
        let clock = self.core.clock;
        device.updated_at = core::timestamp(clock.date_of(registration.updated_at));
        device.expires_at = registration.expires_at.map(|at| core::timestamp(clock.date_of(at)));
        device.hold(registration.clone());
        if listed_anew {
            device.made.clear();
            device.deleted.clear();
        }
        device.present(registration.presence, |at| core::timestamp(clock.date_of(at)));
    }

    /// A device sent an Update that says nothing new.
    pub(super) fn refreshed(
        &mut self,
        endpoint: &str,
        id: RegistrationId,
        at: Instant,
        expires_at: Option<Instant>,
    ) {
        let clock = self.core.clock;
        let until = at + self.core.config.queue.awake_window;
        let Some(before) = self.core.directory.refreshed(endpoint, id, at, until) else { return };
        if let Some(expires_at) = expires_at
            && is_lease_due(before.registered_at, before.updated_at, at, expires_at)
        {
            let expires_ms = clock.date_of(expires_at).as_millis();
            if let Ok(endpoint) = Endpoint::new(endpoint) {
                self.pending.owe(Fact::Leased { endpoint, id: number(id), expires_ms });
            }
        }
        if !self.unchanged.take(at) {
            self.core.counters.updates_unlogged.fetch_add(1, Ordering::Relaxed);
            self.core.fleet.rates.happened(EventType::Updated);
            self.core.fleet.noise.heard(endpoint);
            return;
        }
        if let Some(device) = self.core.directory.find(endpoint) {
            self.log_registration(EventType::Updated, &device, None);
        }
    }

    /// A device is at another address, or has another session.
    pub(super) fn moved(&self, registration: &Registration) {
        let endpoint = &registration.details.endpoint;
        self.core
            .directory
            .change(endpoint, Some(registration.id), |device| device.hold(registration.clone()));
    }

    /// A registration has ended.
    pub(super) fn ended(&mut self, registration: &Registration, reason: Ended) {
        let endpoint = &registration.details.endpoint;
        let is_told = self.core.forgotten.take(registration.id);
        if self.displaced.remove(&registration.id) && reason == Ended::Forgotten {
            self.core.directory.remove(registration);
            return;
        }
        // One that gave way to a registration at another shard has been replaced already.
        let Some(device) = self.core.directory.remove(registration) else { return };
        let (kind, why) = match reason {
            // Written before the device was told.
            Ended::Deregister => return,
            Ended::Expired => (EventType::Expired, None),
            Ended::Forgotten => (EventType::Deregistered, Some("forgotten by the server")),
            Ended::CredentialGone | Ended::AddressTaken | _ => (EventType::Deregistered, None),
        };
        self.pending.owe(Fact::Deregistered { endpoint: endpoint.clone(), id: number(registration.id) });
        if is_told {
            return;
        }
        // It goes with the fact: neither is in the store without the other.
        if let Some(event) = self.of_registration(kind, &device, why) {
            self.pending.owe(event);
        }
    }

    fn device(&self, shard: u8, registration: Registration) -> Device {
        Device::at(self.look, shard, registration, self.core.clock)
    }

    /// A registration as the store keeps it.
    fn record(&mut self, registration: &Registration) -> Arc<RegistrationRecord> {
        let look = self.look;
        let date = |at| look.date_of(at).as_millis();
        let terms = self.kinds.packed(&registration.details.terms);
        Arc::new(RegistrationRecord {
            endpoint: registration.details.endpoint.clone(),
            id: number(registration.id),
            registered_ms: date(registration.registered_at),
            updated_ms: date(registration.updated_at),
            expires_ms: registration.expires_at.map(date),
            said: registration.said_with(terms).into(),
        })
    }
}

/// The name of a registration as the store knows it.
pub(crate) fn number(id: RegistrationId) -> u64 {
    let [a, b, c, d, e, f] = id.to_bytes();
    u64::from_be_bytes([0, 0, a, b, c, d, e, f])
}

/// The reverse of [`number`].
pub(crate) fn id_of(number: u64) -> RegistrationId {
    let [_, _, a, b, c, d, e, f] = number.to_be_bytes();
    RegistrationId::from_bytes([a, b, c, d, e, f])
}

/// Whether this Update is the first in its half of a lifetime, counted from the registration on: then at most half a lifetime is missing
/// from the end that is stored.
fn is_lease_due(registered_at: Instant, before: Instant, at: Instant, expires_at: Instant) -> bool {
    let half = expires_at.saturating_duration_since(at).as_micros() / 2;
    let place =
        |moment: Instant| moment.saturating_duration_since(registered_at).as_micros().checked_div(half);
    place(before) != place(at)
}

/// Registrations giving way at the same time that are remembered; beyond that an event too many is told.
const DISPLACED_MAX: usize = 65_536;

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn the_stored_end_is_never_less_than_half_a_lifetime_away() {
        let began = Instant::from_secs(1000);
        for (lifetime_s, every_s) in [(300, 10), (300, 140), (300, 151), (300, 299), (60, 59), (86_400, 3601)]
        {
            let lifetime = Duration::from_secs(lifetime_s);
            let (mut at, mut before, mut stored, mut written) = (began, began, began + lifetime, 0);
            for _ in 0..200 {
                at += Duration::from_secs(every_s);
                if is_lease_due(began, before, at, at + lifetime) {
                    stored = at + lifetime;
                    written += 1;
                }
                before = at;
                assert!(stored.saturating_duration_since(at) >= lifetime / 2, "{lifetime_s} {every_s}");
            }
            let halves = 200 * every_s * 2 / lifetime_s + 1;
            assert!(written <= halves.min(200), "{written} writes in {halves} half lifetimes");
        }
    }

    #[test]
    fn a_number_names_its_registration() {
        let id = RegistrationId { shard: 3, node: 1, random: 0x0102_0304 };
        assert_eq!((number(id), id_of(number(id))), (0x0301_0102_0304, id));
    }
}
