//! The life of a registration (TS_Core 6.2): it begins with an accepted Register, is refreshed by Updates, and ends
//! by De-register, by the end of its lifetime, because the host forgets it, or because a newer one takes its place.

use core::time::Duration;
use std::collections::VecDeque;
use std::net::SocketAddr;
use std::sync::Arc;

use lightship_coap::Code;
use lightship_coap::peer::Ticket;
use lightship_lwm2m::Endpoint;
use lightship_platform::{Instant, Rng};

use crate::asks::About;
use crate::devices::{Device, Talk};
use crate::downlink::Job;
use crate::links::Link;
use crate::parameters::Changes;
use crate::presence::Sleep;
use crate::secured::{Held, SecuredSession};
use crate::slab::{Key, Keys};
use crate::uplink::Reply;
use crate::{
    Changed, Details, Deviations, Ended, Event, Fact, Locator, Name, ObjectList, Outcome, Presence,
    Rebinding, Registration, Shard, Terms, Wanted,
};

/// What an Update changes, as it will be.
pub(crate) struct Change {
    terms: Arc<Terms>,
    changed: Changed,
    deviations: Deviations,
    asked_at: Instant,
}

/// What is left of a registration that gave way to a new one.
#[derive(Default)]
struct Displaced {
    registration: Option<Registration>,
    sleep: Option<Sleep>,
    held: VecDeque<Key<Job>>,
}

impl Shard {
    /// Serves a Register: the registration as it will be is named, and the host asked.
    pub(crate) fn register(
        &mut self,
        now: Instant,
        link: Key<Link>,
        ticket: Ticket,
        details: Details,
        deviations: Deviations,
    ) {
        let Some((address, session)) = self.links.get(link).map(|link| (link.address, link.session)) else {
            return;
        };
        if self.is_full_for(&details.endpoint) {
            self.stats.refused_for_room();
            return self.reply(now, link, ticket, Reply::busy());
        }
        let before = self.devices.by_endpoint(&details.endpoint).and_then(|key| self.devices.get(key));
        let mut counted = before.map(Device::deviations).unwrap_or_default();
        counted.merge(&deviations);
        let presence = if details.queue_mode {
            Presence::Awake { until: now + self.config.awake_window }
        } else {
            Presence::Listening
        };
        let lifetime = Duration::from_secs(details.lifetime_s.into());
        let registration = Registration {
            id: Locator { shard: self.config.shard, node: self.config.node, random: self.fresh_random() },
            address,
            party: session.and_then(|session| self.party(session)),
            session: session.and_then(|session| self.sessions.info(session)),
            details,
            registered_at: now,
            updated_at: now,
            presence,
            deviations: counted,
            expires_at: (!lifetime.is_zero()).then(|| now + lifetime),
        };
        self.ask_register(now, link, ticket, registration, deviations);
    }

    /// Whether there is no room for a device that is not registered yet.
    fn is_full_for(&self, endpoint: &Endpoint) -> bool {
        self.devices.by_endpoint(endpoint).is_none() && self.devices.len() >= self.config.limits.registrations
    }

    /// The host has accepted a Register: the registration begins.
    pub(crate) fn register_accepted(
        &mut self,
        now: Instant,
        link: Key<Link>,
        ticket: Ticket,
        (new, deviations): (Registration, Deviations),
        wanted: Vec<Wanted>,
    ) {
        let Registration { id, details, registered_at, .. } = new;
        // A link that gave way to others while the host was thinking has forgotten the request: the device asks again.
        let there = self.links.get(link).map(|link| (link.address, link.session));
        let full = self.is_full_for(&details.endpoint) || self.devices.by_random(id.random).is_some();
        let Some((address, session)) = there.filter(|_| !full) else {
            self.stats.refused_for_room();
            self.reply(now, link, ticket, Reply::busy());
            return self.tell_lapsed(details.endpoint.clone(), id);
        };
        let known = self.devices.by_endpoint(&details.endpoint);
        let left =
            known.and_then(|known| self.devices.get(known)?.session).filter(|left| Some(*left) != session);
        let Displaced { registration: displaced, sleep, held } =
            known.map(|known| self.displace(now, known, &details)).unwrap_or_default();
        let mut counted = displaced.as_ref().map(|displaced| displaced.deviations).unwrap_or_default();
        counted.merge(&deviations);
        self.take_place(now, address, session);
        let party = session.and_then(|session| self.party(session));
        let device = Device {
            random: id.random,
            address: address.into(),
            party: None,
            session,
            details,
            registered_at,
            updated_at: registered_at,
            expiry: None,
            proven: self.links.get(link).is_some_and(|link| link.proven),
            talk: Talk::Link(link),
            rare: None,
            observations: Keys::default(),
            line: None,
            is_asking: false,
        };
        let device = self.devices.insert(device, party.as_ref());
        if let Some(entry) = self.devices.get_mut(device) {
            entry.merge_deviations(&counted);
        }
        if let Some(link) = self.links.get_mut(link) {
            link.device = Some(device);
        }
        self.mark(link, session, Some(device));
        if let Some(session) = session.and_then(|session| self.sessions.get_mut(session)) {
            session.held.device = device.index;
        }
        self.leave_session(now, left);
        self.arm_expiry(now, device);
        self.stats.registers += 1;
        let awake = self.inherit_sleep(now, device, sleep);
        let Some(entry) = self.devices.get(device) else { return };
        self.profiles.learn(&entry.details.objects, &self.config.limits);
        let registration = Box::new(self.shown(entry));
        self.reply(now, link, ticket, Reply::created(registration.id));
        self.events.push_back(Event::Registered { registration, displaced: displaced.map(Box::new) });
        if awake {
            self.tell_awake(device);
        }
        self.inherit_held(device, held);
        self.observe_wanted(now, device, wanted);
    }

    /// Whether an Update from another address may move this registration.
    pub(crate) fn may_move(&self, locator: Locator) -> bool {
        let device = self.device_at(locator).and_then(|device| self.devices.get(device));
        self.config.rebinding == Rebinding::Follow && device.is_some_and(|device| device.party.is_none())
    }

    /// The device that a location names.
    pub(crate) fn device_at(&self, locator: Locator) -> Option<Key<Device>> {
        let ours = locator.shard == self.config.shard && locator.node == self.config.node;
        self.devices.by_random(locator.random).filter(|_| ours)
    }

    /// Serves an Update for a registration that the sender may update: at once if it changes nothing that lasts, else
    /// when the host has the change safe.
    pub(crate) fn update(
        &mut self,
        now: Instant,
        link: Key<Link>,
        ticket: Ticket,
        key: Key<Device>,
        (changes, objects): (Changes, Option<ObjectList>),
        deviations: Deviations,
    ) {
        if let Some(objects) = &objects {
            self.profiles.learn(objects, &self.config.limits);
        }
        let objects = objects.map(|objects| self.devices.share_list(objects));
        let Some(device) = self.devices.get_mut(key) else { return };
        let Some((terms, changed)) = after(&device.details, changes, objects) else {
            self.reply(now, link, ticket, Reply::code(Code::CHANGED));
            return self.refresh(now, link, key, &deviations);
        };
        if std::mem::replace(&mut device.is_asking, true) {
            // What this one changes can be said when it is known what the one before has changed.
            self.stats.updates_refused += 1;
            self.stats.busy_changing += 1;
            return self.reply(now, link, ticket, Reply::busy());
        }
        let terms = self.devices.share_terms(terms);
        let Some(registration) = self.devices.get(key).map(|device| {
            let lifetime = Duration::from_secs(terms.lifetime_s.into());
            let expires_at = (!lifetime.is_zero()).then(|| now + lifetime);
            let registration = self.shown(device);
            let details = Details { terms: terms.clone(), ..registration.details };
            Box::new(Registration { details, updated_at: now, expires_at, ..registration })
        }) else {
            return;
        };
        let change = Change { terms, changed, deviations, asked_at: now };
        let about = About::Update(ticket, key, Box::new(change));
        self.ask_durable(now, link, ticket, (about, Fact::Update { registration, changed }));
    }

    /// The host has it safe what an Update changes: now it is so.
    pub(crate) fn update_stored(
        &mut self,
        now: Instant,
        link: Key<Link>,
        ticket: Ticket,
        key: Key<Device>,
        change: Change,
    ) {
        let may = self.may_update(link, key);
        let Some(device) = self.devices.get_mut(key) else {
            self.stats.updates_refused += 1;
            return self.reply(now, link, ticket, Reply::code(Code::NOT_FOUND));
        };
        device.is_asking = false;
        if let Err(code) = may {
            self.stats.updates_refused += 1;
            let named = (device.details.endpoint.clone(), device.random);
            self.reply(now, link, ticket, Reply::code(code));
            self.pump(now, key);
            let id = Locator { shard: self.config.shard, node: self.config.node, random: named.1 };
            return self.tell_lapsed(named.0, id);
        }
        device.details.terms = change.terms;
        device.merge_deviations(&change.deviations);
        device.updated_at = device.updated_at.max(change.asked_at);
        let moved = self.move_device(now, key, link);
        self.arm_expiry(now, key);
        self.stats.updates += 1;
        let awake = self.set_queue_mode(now, key);
        self.reply(now, link, ticket, Reply::code(Code::CHANGED));
        let Some(device) = self.devices.get(key) else { return };
        let registration = Box::new(self.shown(device));
        let changed = Changed { address: moved, ..change.changed };
        self.events.push_back(Event::Updated { registration, changed });
        if awake {
            self.tell_awake(key);
        }
        self.resume_observations(now, key, moved);
        self.pump(now, key);
    }

    /// An Update that says nothing new: the registration lives on.
    pub(crate) fn refresh(
        &mut self,
        now: Instant,
        link: Key<Link>,
        key: Key<Device>,
        deviations: &Deviations,
    ) {
        let session = self.devices.get(key).and_then(|device| device.session);
        let moved = self.move_device(now, key, link);
        let Some(device) = self.devices.get_mut(key) else { return };
        device.merge_deviations(deviations);
        device.updated_at = now;
        let is_usual = !moved && device.session == session && *deviations == Deviations::default();
        // A timer that runs goes off too early now, sees that, and is set again: less work than to move it each time.
        if device.expiry.is_none() {
            self.arm_expiry(now, key);
        }
        self.stats.updates += 1;
        let Some(device) = self.devices.get(key) else { return };
        self.events.push_back(if is_usual {
            Event::Refreshed {
                endpoint: Name::from(&device.details.endpoint),
                registration: self.locator(device),
                at: now,
                expires_at: device.expires_at(),
            }
        } else {
            let changed = Changed { address: moved, ..Changed::default() };
            Event::Updated { registration: Box::new(self.shown(device)), changed }
        });
        self.resume_observations(now, key, moved);
        self.pump(now, key);
    }

    /// Whoever else is registered by this session, or at this address without security, cannot be reached any more.
    fn take_place(&mut self, now: Instant, address: SocketAddr, session: Option<Key<SecuredSession>>) {
        let other = match session {
            Some(session) => self.device_of_session(session),
            None => self.devices.by_address(address),
        };
        if let Some(other) = other {
            self.end_and_tell(now, other, Ended::AddressTaken);
        }
    }

    /// Gives a registration the address, and the session, of the link that a message of it came by.
    pub(crate) fn move_device(&mut self, now: Instant, key: Key<Device>, link: Key<Link>) -> bool {
        let Some((address, session)) = self.links.get(link).map(|link| (link.address, link.session)) else {
            return false;
        };
        let Some(device) = self.devices.get(key) else { return false };
        let left = device.session;
        if session.is_some() && left == session {
            return false;
        }
        let has_moved = device.address() != address;
        if left == session && !has_moved {
            return false;
        }
        self.take_place(now, address, session);
        self.restart_current(now, key);
        let old = self.devices.get_mut(key).and_then(|device| {
            let old = device.link();
            device.talk = Talk::Link(link);
            old
        });
        let party = session.and_then(|session| self.party(session));
        self.devices.place(key, address, session.zip(party));
        if let Some(session) = session.and_then(|session| self.sessions.get_mut(session)) {
            session.held.device = key.index;
        }
        let proven = self.links.get(link).is_some_and(|link| link.proven);
        if let Some(device) = self.devices.get_mut(key) {
            device.proven = proven;
        }
        if let Some(old) = old {
            self.links.estrange(old);
        }
        if let Some(link) = self.links.get_mut(link) {
            link.device = Some(key);
        }
        self.mark(link, session, Some(key));
        self.leave_session(now, left);
        has_moved
    }

    /// Serves a De-register: the host is asked to have it safe.
    pub(crate) fn deregister(&mut self, now: Instant, link: Key<Link>, ticket: Ticket, key: Key<Device>) {
        let Some(device) = self.devices.get_mut(key) else { return };
        if std::mem::replace(&mut device.is_asking, true) {
            self.stats.updates_refused += 1;
            self.stats.busy_changing += 1;
            return self.reply(now, link, ticket, Reply::busy());
        }
        let Some(device) = self.devices.get(key) else { return };
        let fact = Fact::Deregister { registration: Box::new(self.shown(device)) };
        self.ask_durable(now, link, ticket, (About::Deregister(ticket, key), fact));
    }

    /// The host has a De-register safe: now it is so.
    pub(crate) fn deregister_stored(
        &mut self,
        now: Instant,
        link: Key<Link>,
        ticket: Ticket,
        key: Key<Device>,
    ) {
        if self.devices.get(key).is_none() {
            self.stats.updates_refused += 1;
            return self.reply(now, link, ticket, Reply::code(Code::NOT_FOUND));
        }
        self.stats.deregisters += 1;
        self.reply(now, link, ticket, Reply::code(Code::DELETED));
        self.end_and_tell(now, key, Ended::Deregister);
    }

    /// Removes a registration for a reason of the host's; the device learns of it at its next Update (4.04).
    pub fn forget(&mut self, now: Instant, endpoint: &Endpoint) -> bool {
        let Some(key) = self.devices.by_endpoint(endpoint) else { return false };
        self.end_and_tell(now, key, Ended::Forgotten);
        true
    }

    /// A registration's lifetime is over, and its grace.
    pub(crate) fn expired(&mut self, now: Instant, key: Key<Device>) {
        let Some(device) = self.devices.get_mut(key) else { return };
        device.expiry = None;
        let due = device.expires_at().map(|end| end + self.config.registration_grace);
        if let Some(due) = due.filter(|due| *due > now) {
            // Updates have come since it was set.
            device.expiry = Some(self.lifetimes.arm(due, key));
            return;
        }
        self.stats.expired += 1;
        self.end_and_tell(now, key, Ended::Expired);
    }

    pub(crate) fn end_and_tell(&mut self, now: Instant, key: Key<Device>, reason: Ended) {
        if let Some(registration) = self.end(now, key) {
            self.events.push_back(Event::Deregistered { registration: Box::new(registration), reason });
        }
    }

    /// Ends a registration that gives way to a new one of the same device. Requests that were meant to wait for the
    /// device to wake outlive it, if what they are about is still there.
    fn displace(&mut self, now: Instant, key: Key<Device>, details: &Details) -> Displaced {
        let mut held = VecDeque::new();
        if let Some(line) = self.devices.get_mut(key).and_then(|device| device.line.as_mut()) {
            let jobs = &self.jobs;
            let keep = |job: &Key<Job>| jobs.get(*job).is_some_and(|job| job.outlives(details));
            (held, line.waiting) = line.waiting.drain(..).partition(keep);
        }
        let sleep = self.devices.get_mut(key).and_then(Device::take_sleep);
        let sleep = sleep.map(|sleep| self.without_window(now, sleep));
        Displaced { registration: self.end(now, key), sleep, held }
    }

    fn inherit_held(&mut self, key: Key<Device>, held: VecDeque<Key<Job>>) {
        for job in &held {
            if let Some(job) = self.jobs.get_mut(*job) {
                job.device = key;
            }
        }
        if let Some(device) = self.devices.get_mut(key).filter(|_| !held.is_empty()) {
            device.line.get_or_insert_default().waiting = held;
        }
    }

    /// Ends a registration with all that hangs on it: its requests and its observations.
    fn end(&mut self, now: Instant, key: Key<Device>) -> Option<Registration> {
        while let Some(observation) =
            self.devices.get(key).and_then(|device| device.observations.first().copied())
        {
            self.end_observation(observation);
        }
        self.end_line(now, key);
        let registration = self.shown(self.devices.get(key)?);
        let device = self.devices.remove(key)?;
        let window = device.sleep().and_then(Sleep::window);
        if let Some(expiry) = device.expiry {
            self.lifetimes.cancel(expiry);
        }
        if let Some(window) = window {
            self.timers.cancel(window);
        }
        if let Some(link) = device.link() {
            self.links.estrange(link);
        }
        if let Some(session) = device.session.and_then(|session| self.sessions.get_mut(session)) {
            session.held.device = Held::NOTHING;
        }
        Some(registration)
    }

    /// Ends all requests of a device.
    fn end_line(&mut self, now: Instant, key: Key<Device>) {
        let Some(device) = self.devices.get_mut(key) else { return };
        let Some(line) = device.line.take() else { return };
        let link = device.link();
        if let (Some((job, exchange)), Some(link)) = (line.current, link) {
            self.cancel_exchange(now, link, exchange);
            self.finish(now, job, Outcome::Deregistered);
        }
        for job in line.waiting {
            let sent = self.jobs.get(job).is_some_and(|job| job.sent);
            self.finish(now, job, if sent { Outcome::Deregistered } else { Outcome::Unsent });
        }
    }

    pub(crate) fn arm_expiry(&mut self, now: Instant, key: Key<Device>) {
        let Some(device) = self.devices.get_mut(key) else { return };
        if let Some(timer) = device.expiry.take() {
            self.lifetimes.cancel(timer);
        }
        // LwM2M 1.2: a lifetime of 0 does not end.
        if device.details.lifetime_s > 0 {
            let lifetime = Duration::from_secs(device.details.lifetime_s.into());
            let due = now + lifetime + self.config.registration_grace;
            device.expiry = Some(self.lifetimes.arm(due, key));
        }
    }

    fn fresh_random(&mut self) -> u32 {
        loop {
            let random = self.rng.next_u32();
            if self.devices.by_random(random).is_none() {
                return random;
            }
        }
    }
}

/// What a device says of itself after an Update, and what of that is other than before; `None` if nothing is.
fn after(before: &Terms, changes: Changes, objects: Option<Arc<ObjectList>>) -> Option<(Terms, Changed)> {
    fn other<T: PartialEq>(said: Option<&T>, before: &T) -> bool {
        said.is_some_and(|said| said != before)
    }
    let changed = Changed {
        address: false,
        parameters: other(changes.lifetime_s.as_ref(), &before.lifetime_s)
            || other(changes.binding.as_ref(), &before.binding)
            || other(changes.queue_mode.as_ref(), &before.queue_mode)
            || changes.sms.is_some() && changes.sms != before.sms
            || !changes.attributes.is_empty() && changes.attributes != before.attributes,
        objects: other(objects.as_ref(), &before.objects),
    };
    if changed == Changed::default() {
        return None;
    }
    let attributes =
        if changes.attributes.is_empty() { before.attributes.clone() } else { changes.attributes };
    let terms = Terms {
        version: before.version,
        lifetime_s: changes.lifetime_s.unwrap_or(before.lifetime_s),
        binding: changes.binding.unwrap_or(before.binding),
        queue_mode: changes.queue_mode.unwrap_or(before.queue_mode),
        sms: changes.sms.or_else(|| before.sms.clone()),
        attributes,
        objects: objects.unwrap_or_else(|| before.objects.clone()),
    };
    Some((terms, changed))
}
