//! Questions to the host, each with a deadline: no answer means no.
//!
//! What a device is told to be done is safe by then. So whatever lasts (a registration, a change of it, its end, a Send, a confirmable
//! notification) waits here between the message and its answer:
//!
//! ```text
//! message ──► open ──answer: yes──► it is so, and the device is told
//!               ├────answer: no───► it is not so: 5.03, or no acknowledgement
//!               └──nothing came───► the same, and the host is told what is so (Event::Lapsed)
//! ```

use lightship_coap::peer::{NotificationTicket, Ticket};
use lightship_coap::{Code, Freshness};
use lightship_lwm2m::Endpoint;
use lightship_platform::Instant;

use crate::devices::Device;
use crate::links::Link;
use crate::observation::Observation;
use crate::register::Change;
use crate::shard::Due;
use crate::slab::Key;
use crate::timer::TimerId;
use crate::uplink::Reply;
use crate::{Answer, Ask, Deviations, Event, Fact, Registration, RegistrationId, Response, Shard};

/// A question that the host has not answered yet.
pub(crate) struct Question {
    link: Key<Link>,
    timer: TimerId,
    about: About,
}

pub(crate) enum About {
    /// The registration as it will be, and what of its deviations is new.
    Register(Ticket, Box<(Registration, Deviations)>),
    Update(Ticket, Key<Device>, Box<Change>),
    Deregister(Ticket, Key<Device>),
    Send(Ticket),
    Notification(NotificationTicket, Key<Observation>, Newest),
}

/// What the newest value of an observation was before and is with a notification that waits here.
#[derive(Clone, Copy)]
pub(crate) struct Newest {
    pub(crate) before: Freshness,
    pub(crate) now: Freshness,
}

impl Shard {
    /// Answers a question. Late and repeated answers are harmless, and so are those to another question.
    pub fn answer(&mut self, now: Instant, ask: Ask, answer: Answer) {
        if ask.is_about_credential() {
            if let Answer::Credential(credential) = answer {
                self.sessions.answer(now, ask, credential);
                self.take_happened(now);
            }
            return;
        }
        let Some(question) = self.questions.remove(Key::from_bits(ask.bits())) else { return };
        self.timers.cancel(question.timer);
        let Question { link, about, .. } = question;
        match (about, answer) {
            (About::Register(ticket, new), Answer::Accept { observations }) => {
                self.register_accepted(now, link, ticket, *new, observations);
            }
            (about @ About::Register(..), Answer::Stored) | (about, Answer::Credential(_)) => {
                self.refuse_ask(now, link, &about, Code::INTERNAL_SERVER_ERROR);
            }
            (about, Answer::Accept { .. } | Answer::Stored) => self.stored(now, link, about),
            (about, Answer::Refuse { code }) => {
                self.stats.busy_host += u64::from(code == Code::SERVICE_UNAVAILABLE);
                let error = matches!(code.class(), 4 | 5);
                let code = if error { code } else { Code::INTERNAL_SERVER_ERROR };
                self.refuse_ask(now, link, &about, code);
            }
        }
        self.settle(now, link);
    }

    /// Asks whether a device may register.
    pub(crate) fn ask_register(
        &mut self,
        now: Instant,
        link: Key<Link>,
        ticket: Ticket,
        registration: Registration,
        deviations: Deviations,
    ) {
        let about = About::Register(ticket, Box::new((registration.clone(), deviations)));
        match self.open(now, link, about) {
            Ok(ask) => {
                self.events.push_back(Event::AskRegister { ask, registration: Box::new(registration) })
            }
            Err(_) => self.reply(now, link, ticket, Reply::busy()),
        }
    }

    /// Asks whether what lasts of a request is safe.
    pub(crate) fn ask_durable(
        &mut self,
        now: Instant,
        link: Key<Link>,
        ticket: Ticket,
        (about, fact): (About, Fact),
    ) {
        match self.open(now, link, about) {
            Ok(ask) => self.events.push_back(Event::AskDurable { ask, fact }),
            Err(about) => {
                self.go_on(now, &about);
                self.reply(now, link, ticket, Reply::busy());
            }
        }
    }

    /// Tells a value that is acknowledged when the host has it safe. Without room for the question there is no acknowledgement,
    /// and the device repeats itself.
    pub(crate) fn ask_notified(
        &mut self,
        now: Instant,
        link: Key<Link>,
        (ticket, key, newest): (NotificationTicket, Key<Observation>, Newest),
        response: Response,
    ) {
        match self.open(now, link, About::Notification(ticket, key, newest)) {
            Ok(ask) => self.tell_value(key, response, Some(ask)),
            Err(about) => self.refuse_ask(now, link, &about, Code::SERVICE_UNAVAILABLE),
        }
    }

    fn open(&mut self, now: Instant, link: Key<Link>, about: About) -> Result<Ask, About> {
        if self.questions.len() >= self.config.limits.asks {
            self.stats.busy_asks += 1;
            return Err(about);
        }
        let timer = self.timers.arm(now + self.config.ask_timeout, Due::Ask(self.questions.next_key()));
        let key = self.questions.insert(Question { link, timer, about });
        Ok(Ask::request(key.to_bits()))
    }

    /// The host has it safe.
    fn stored(&mut self, now: Instant, link: Key<Link>, about: About) {
        match about {
            About::Update(ticket, device, change) => self.update_stored(now, link, ticket, device, *change),
            About::Deregister(ticket, device) => self.deregister_stored(now, link, ticket, device),
            About::Send(ticket) => {
                self.stats.sends += 1;
                self.reply(now, link, ticket, Reply::code(Code::CHANGED));
            }
            About::Notification(ticket, ..) => {
                if let Some(link) = self.links.get_mut(link) {
                    link.peer.accept(ticket);
                }
            }
            About::Register(..) => {}
        }
    }

    /// The host has not answered.
    pub(crate) fn unanswered(&mut self, now: Instant, key: Key<Question>) {
        let Some(Question { link, about, .. }) = self.questions.remove(key) else { return };
        self.stats.asks_unanswered += 1;
        let registration = match &about {
            About::Register(_, new) => Some((new.0.details.endpoint.clone(), new.0.id)),
            About::Update(_, device, _) | About::Deregister(_, device) => self
                .devices
                .get(*device)
                .map(|device| (device.details.endpoint.clone(), self.locator(device))),
            About::Send(_) | About::Notification(..) => None,
        };
        self.refuse_ask(now, link, &about, Code::SERVICE_UNAVAILABLE);
        if let Some((endpoint, registration)) = registration {
            self.tell_lapsed(endpoint, registration);
        }
        self.settle(now, link);
    }

    /// What the host may have stored is not so.
    pub(crate) fn tell_lapsed(&mut self, endpoint: Endpoint, registration: RegistrationId) {
        let standing = self.registration(&endpoint).map(Box::new);
        self.events.push_back(Event::Lapsed { endpoint, registration, standing });
    }

    fn refuse_ask(&mut self, now: Instant, link: Key<Link>, about: &About, code: Code) {
        self.go_on(now, about);
        let ticket = match *about {
            About::Register(ticket, _) => {
                self.stats.registers_refused += 1;
                ticket
            }
            About::Update(ticket, ..) | About::Deregister(ticket, _) => {
                self.stats.updates_refused += 1;
                ticket
            }
            About::Send(ticket) => {
                self.stats.sends_refused += 1;
                ticket
            }
            About::Notification(ticket, key, newest) => {
                self.stats.notifications_refused += 1;
                return self.forget_notification(link, ticket, key, newest);
            }
        };
        let reply = if code == Code::SERVICE_UNAVAILABLE { Reply::busy() } else { Reply::code(code) };
        self.reply(now, link, ticket, reply);
    }

    /// No code can be said to a notification: it is as if it had not come, so that its repetition is news.
    fn forget_notification(
        &mut self,
        link: Key<Link>,
        ticket: NotificationTicket,
        key: Key<Observation>,
        newest: Newest,
    ) {
        if let Some(link) = self.links.get_mut(link) {
            link.peer.forget(ticket);
        }
        if let Some(observation) = self.observations.get_mut(key)
            && let Some(known) = observation.newest_mut()
            && *known == newest.now
        {
            *known = newest.before;
        }
    }

    /// The device may ask again, and what waits for it may go.
    fn go_on(&mut self, now: Instant, about: &About) {
        if let About::Update(_, key, _) | About::Deregister(_, key) = about
            && let Some(device) = self.devices.get_mut(*key)
        {
            device.is_asking = false;
            self.pump(now, *key);
        }
    }
}
