//! Requests from devices: Register, Update, De-register, Send, and what is none of them.

use core::time::Duration;

use lightship_coap::peer::Ticket;
use lightship_coap::{Code, Message, Type};
use lightship_lwm2m::format::Use;
use lightship_lwm2m::uplink::Send;
use lightship_lwm2m::{Endpoint, Version};
use lightship_platform::Instant;

use crate::asks::About;
use crate::deviation::is_other_case;
use crate::devices::Device;
use crate::links::Link;
use crate::parameters::{self, NewRegistration, Said};
use crate::secure::Address;
use crate::slab::Key;
use crate::stateless::{Target, place};
use crate::{
    Details, Deviation, Deviations, Event, Fact, Locator, Party, Principal, Rebinding, RegistrationId,
    SecurityEvent, Shard, Terms, TraceDrop,
};
use std::sync::Arc;

/// An answer to a device's request.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Reply {
    pub(crate) code: Code,
    pub(crate) location: Option<RegistrationId>,
    /// How long the device should wait before it tries again.
    pub(crate) max_age_s: Option<u32>,
}

impl Reply {
    pub(crate) fn code(code: Code) -> Self {
        Self { code, location: None, max_age_s: None }
    }

    pub(crate) fn created(id: RegistrationId) -> Self {
        Self { location: Some(id), ..Self::code(Code::CREATED) }
    }

    /// Not before so long.
    fn not_before(code: Code, wait: Duration) -> Self {
        let whole_s = u32::try_from(wait.as_secs()).unwrap_or(u32::MAX);
        Self { max_age_s: Some(whole_s.saturating_add(1)), ..Self::code(code) }
    }

    /// Not now: RFC 7252 §5.9.3.4.
    pub(crate) fn busy() -> Self {
        Self { max_age_s: Some(BUSY_S), ..Self::code(Code::SERVICE_UNAVAILABLE) }
    }
}

/// Whether a Register was like one that was read before.
enum Like {
    Known(Arc<Terms>, Deviations),
    None(Box<NewRegistration>),
}

/// Whose Registers are counted.
#[derive(Hash)]
enum Metered<'a> {
    Address([u8; 16]),
    Network([u8; 16]),
    Device(&'a Principal, &'a Endpoint),
    Claim([u8; 16], &'a Endpoint),
}

/// How long an overloaded server asks to be left alone.
const BUSY_S: u32 = 30;

impl Shard {
    /// Serves a request whose body is complete.
    pub(crate) fn serve(
        &mut self,
        now: Instant,
        link: Key<Link>,
        ticket: Ticket,
        message: &Message<'_>,
        body: &[u8],
    ) {
        // The peer has refused what has options that are not understood.
        let refusal = match (place(message), message.code()) {
            (Ok(Target::Rd), Code::POST) => self.serve_register(now, link, ticket, message, body),
            (Ok(Target::Location(locator)), Code::POST) => {
                self.serve_update(now, link, ticket, locator, message, body)
            }
            (Ok(Target::Location(locator)), Code::DELETE) => {
                self.serve_deregister(now, link, ticket, locator)
            }
            (Ok(Target::Send), Code::POST) => self.serve_send(now, link, ticket, message, body),
            (Ok(_), _) => Err(Code::METHOD_NOT_ALLOWED),
            (Err(code), _) => Err(code),
        };
        if let Err(code) = refusal {
            self.reply(now, link, ticket, Reply::code(code));
        }
    }

    fn serve_register(
        &mut self,
        now: Instant,
        link: Key<Link>,
        ticket: Ticket,
        message: &Message<'_>,
        body: &[u8],
    ) -> Result<(), Code> {
        let new = if message.ty() == Type::Non {
            // The answer of a NON may be lost, and then both sides would disagree for a lifetime.
            Err(Code::BAD_REQUEST)
        } else if body.len() > self.config.limits.register_body {
            Err(Code::REQUEST_ENTITY_TOO_LARGE)
        } else {
            self.read_register(link, message, body)
        };
        if new.is_err()
            && let Some(endpoint) = parameters::claimed(message)
        {
            self.mark_name(link, &endpoint);
        }
        if let Ok((endpoint, _)) = &new
            && let Some(reply) = self.metered(now, link, endpoint)
        {
            self.trace.dropped(TraceDrop::TooMany);
            self.stats.registers_refused += 1;
            self.stats.registers_metered += 1;
            self.reply(now, link, ticket, reply);
            return Ok(());
        }
        let new = new.and_then(|(endpoint, said)| {
            let (terms, deviations) = match said {
                Like::Known(terms, deviations) => (terms, deviations),
                Like::None(new) => self.agree(message, body, *new)?,
            };
            Ok((Details { endpoint, terms }, deviations))
        });
        let (details, deviations) = new.inspect_err(|_| self.stats.registers_refused += 1)?;
        self.register(now, link, ticket, details, deviations);
        Ok(())
    }

    /// What a Register says whose sender may register under the name that it gives.
    fn read_register(
        &mut self,
        link: Key<Link>,
        message: &Message<'_>,
        body: &[u8],
    ) -> Result<(Endpoint, Like), Code> {
        let party = self.party_of(link);
        let (endpoint, said) = match self.alike.find(message, body) {
            Some((endpoint, terms, deviations)) => (endpoint, Like::Known(terms, deviations)),
            None => {
                let named = party.as_ref().and_then(|party| party.endpoints.one());
                let new = parameters::register(message, body, named, &self.config.limits)?;
                (new.endpoint.clone(), Like::None(Box::new(new)))
            }
        };
        self.mark_name(link, &endpoint);
        if self.may_register(&party, &endpoint) {
            return Ok((endpoint, said));
        }
        self.tell_name_refused(link, endpoint);
        Err(Code::BAD_REQUEST)
    }

    /// The terms of a device of a new kind, and what is to say against its words.
    fn agree(
        &mut self,
        message: &Message<'_>,
        body: &[u8],
        new: NewRegistration,
    ) -> Result<(Arc<Terms>, Deviations), Code> {
        // Without a list that could be known, the device sends it on this code (TS_Core 6.2.1).
        let objects = self.profiles.resolve(&new.list, &self.config.limits).ok_or(Code::CONFLICT)?;
        let terms = Terms {
            version: new.version,
            lifetime_s: new.lifetime_s,
            binding: new.binding,
            queue_mode: new.queue_mode,
            sms: new.sms,
            attributes: new.attributes,
            objects: self.devices.share_list(objects),
        };
        let terms = self.devices.share_terms(terms);
        let deviations = Deviations::of_registration(message, body);
        if new.list.profile.is_none() {
            // What a profile stands for may be another list tomorrow.
            self.alike.learn(message, body, &terms, &deviations);
        }
        Ok((terms, deviations))
    }

    /// What a Register gets of which there were too many: 5.03 if too many come from there, 4.29 (RFC 8516) if the device sends too
    /// many, each with the time to wait.
    fn metered(&mut self, now: Instant, link: Key<Link>, endpoint: &Endpoint) -> Option<Reply> {
        let limits = &self.config.limits;
        let from = self.links.get(link)?.address;
        let address = Address::from(from);
        if !from.ip().to_canonical().is_loopback() {
            let sources = [
                (Metered::Address(address.host()), limits.registers_a_minute_per_address),
                (Metered::Network(address.prefix()), limits.registers_a_minute_per_prefix),
            ];
            for (source, a_minute) in sources {
                if let Err(wait) = self.registers.take(now, source, a_minute) {
                    return Some(Reply::not_before(Code::SERVICE_UNAVAILABLE, wait));
                }
            }
        }
        let party = self.party_of(link);
        // A name that nobody has proven is only that of its address, so that nobody spends another's.
        let device = match &party {
            Some(party) => Metered::Device(&party.principal, endpoint),
            None => Metered::Claim(address.host(), endpoint),
        };
        let wait =
            self.registers.take(now, device, self.config.limits.registers_a_minute_per_device).err()?;
        Some(Reply::not_before(Code::TOO_MANY_REQUESTS, wait))
    }

    fn serve_update(
        &mut self,
        now: Instant,
        link: Key<Link>,
        ticket: Ticket,
        locator: Locator,
        message: &Message<'_>,
        body: &[u8],
    ) -> Result<(), Code> {
        let refused = |shard: &mut Self, code| {
            shard.stats.updates_refused += 1;
            Err(code)
        };
        let Some(device) = self.device_at(locator) else { return refused(self, Code::NOT_FOUND) };
        let Some(version) = self.devices.get(device).map(|device| device.details.version) else {
            return refused(self, Code::NOT_FOUND);
        };
        if let Err(code) = self.may_update(link, device) {
            return refused(self, code);
        }
        if body.len() > self.config.limits.register_body {
            return refused(self, Code::REQUEST_ENTITY_TOO_LARGE);
        }
        if body.is_empty() && message.uri_query().next().is_none() {
            // It says no more than that the device is there, as nearly all do.
            let mut deviations = Deviations::default();
            if is_other_case(message) {
                deviations.add(Deviation::OtherCase);
            }
            self.reply(now, link, ticket, Reply::code(Code::CHANGED));
            self.refresh(now, link, device, &deviations);
            return Ok(());
        }
        match parameters::update(message, body, version, &self.config.limits) {
            Ok(changes) => {
                // There is no code for a profile that is not known; on this one the device registers anew.
                let says_something = changes.list != Said::default();
                let objects = self.profiles.resolve(&changes.list, &self.config.limits);
                if says_something && objects.is_none() {
                    return refused(self, Code::NOT_FOUND);
                }
                let deviations = Deviations::of_registration(message, body);
                self.update(now, link, ticket, device, (changes, objects), deviations);
                Ok(())
            }
            Err(code) => refused(self, code),
        }
    }

    fn serve_deregister(
        &mut self,
        now: Instant,
        link: Key<Link>,
        ticket: Ticket,
        locator: Locator,
    ) -> Result<(), Code> {
        let device = self.device_at(locator).ok_or(Code::NOT_FOUND);
        let device = device.and_then(|device| {
            // Without security only the address tells that it is the device itself.
            let is_there = self.links.get(link).is_some_and(|link| link.device == Some(device));
            if self.party_of(link).is_none() && !is_there {
                return Err(Code::NOT_FOUND);
            }
            self.may_update(link, device).map(|()| device)
        });
        let device = device.inspect_err(|_| self.stats.updates_refused += 1)?;
        self.deregister(now, link, ticket, device);
        Ok(())
    }

    /// Whoever gives himself a name is recorded under it, whatever becomes of his request.
    fn mark_name(&mut self, link: Key<Link>, endpoint: &Endpoint) {
        if let Some(link) = self.links.get_mut(link)
            && link.device.is_none()
        {
            link.marks.tag = self.trace.tag(endpoint.as_str());
        }
    }

    fn party_of(&self, link: Key<Link>) -> Option<Arc<Party>> {
        self.party(self.links.get(link)?.session?)
    }

    /// Tells the host of a name that a session's identity does not speak for, or that needs one.
    fn tell_name_refused(&mut self, link: Key<Link>, endpoint: Endpoint) {
        let Some((from, session)) = self.links.get(link).map(|link| (link.address, link.session)) else {
            return;
        };
        let refused = match session {
            None => SecurityEvent::UnsecuredRefused { from, endpoint },
            Some(session) => match self.sessions.info(session) {
                Some(session) => SecurityEvent::NameRefused { session, endpoint },
                None => return,
            },
        };
        self.events.push_back(Event::Security(refused));
    }

    /// Whether the sender may register as this endpoint: its identity may speak for it, and without security nobody takes the place of
    /// a registration that was made under it.
    fn may_register(&self, party: &Option<Arc<Party>>, endpoint: &Endpoint) -> bool {
        let Some(party) = party else {
            let known = self.devices.by_endpoint(endpoint).and_then(|key| self.devices.get(key));
            return known.is_none_or(|device| device.party.is_none());
        };
        party.endpoints.allow(endpoint)
    }

    /// Whether the sender may change or end a registration, or the code that refuses it.
    pub(crate) fn may_update(&self, link: Key<Link>, device: Key<Device>) -> Result<(), Code> {
        let session = self.links.get(link).and_then(|link| link.session);
        let device = self.devices.get(device).ok_or(Code::NOT_FOUND)?;
        if session.is_some() && device.session == session {
            // Whoever a session is with stays so, and that was looked at when the registration came to be this session's.
            return Ok(());
        }
        let link_party = session.and_then(|session| self.sessions.party(session));
        let endpoint = &device.details.endpoint;
        match (link_party, self.devices.party(device)) {
            (Some(party), Some(theirs)) if party.may_continue(theirs, endpoint) => Ok(()),
            (Some(party), None) if party.is_of(endpoint) => Ok(()),
            // TS_Core 6.2: the identity must be the registration's.
            (Some(_), _) => Err(Code::BAD_REQUEST),
            // Nothing is said of it to who has not proven anything.
            (None, Some(_)) => Err(Code::NOT_FOUND),
            (None, None) => {
                let is_there = self.links.get(link).is_some_and(|link| link.address == device.address());
                let follow = self.config.rebinding == Rebinding::Follow;
                if is_there || follow { Ok(()) } else { Err(Code::NOT_FOUND) }
            }
        }
    }

    /// TS_Core 6.4.7; what a well-formed payload says is for the host to understand.
    fn serve_send(
        &mut self,
        now: Instant,
        link: Key<Link>,
        ticket: Ticket,
        message: &Message<'_>,
        body: &[u8],
    ) -> Result<(), Code> {
        let device = self.links.get(link).and_then(|link| link.device);
        let known = device.and_then(|device| Some((device, self.devices.get(device)?.details.clone())));
        let Some((device, details)) = known else {
            self.stats.sends_refused += 1;
            return Err(Code::NOT_FOUND);
        };
        // What was not in the version that the device registered with is served all the same, and noted.
        let send = Send::parse(message, body, Version::V1_2, &details.objects.root).map_err(|refused| {
            tracing::debug!(endpoint = %details.endpoint.readable(), %refused, "a Send was refused");
            self.stats.sends_refused += 1;
            refused.code()
        })?;
        if !send.format.is_for(Use::Send, details.version) {
            self.deviated(device, Deviation::OtherFormat);
        }
        if is_other_case(message) {
            self.deviated(device, Deviation::OtherCase);
        }
        let endpoint = details.endpoint.clone();
        let fact = Fact::Send { endpoint, content_format: message.content_format(), payload: body.into() };
        self.ask_durable(now, link, ticket, (About::Send(ticket), fact));
        Ok(())
    }
}
