//! Questions to the host, each with a deadline: no answer means no.

use std::sync::Arc;

use lightship_coap::Code;
use lightship_coap::peer::Ticket;
use lightship_platform::Instant;

use crate::links::Link;
use crate::shard::Due;
use crate::slab::Key;
use crate::timer::TimerId;
use crate::uplink::Reply;
use crate::{Answer, Ask, Details, Deviations, Event, Fact, Shard};

/// A question that the host has not answered yet.
pub(crate) struct Question {
    link: Key<Link>,
    ticket: Ticket,
    timer: TimerId,
    about: About,
}

enum About {
    Register(Arc<Details>, Deviations),
    Send,
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
        let Some(question) = self.close(Key::from_bits(ask.bits())) else { return };
        self.timers.cancel(question.timer);
        let Question { link, ticket, about, .. } = question;
        match (about, answer) {
            (About::Register(details, deviations), Answer::Accept { observations }) => {
                self.register_accepted(now, link, ticket, (details, deviations), observations);
            }
            (About::Send, Answer::Accept { .. } | Answer::Stored) => {
                self.stats.sends += 1;
                self.reply(now, link, ticket, Reply::code(Code::CHANGED));
            }
            (about @ About::Register(..), Answer::Stored) | (about, Answer::Credential(_)) => {
                self.refuse_ask(now, link, ticket, &about, Code::INTERNAL_SERVER_ERROR);
            }
            (about, Answer::Refuse { code }) => {
                let error = matches!(code.class(), 4 | 5);
                let code = if error { code } else { Code::INTERNAL_SERVER_ERROR };
                self.refuse_ask(now, link, ticket, &about, code);
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
        details: Arc<Details>,
        deviations: Deviations,
    ) {
        let Some((from, session)) = self.links.get(link).map(|link| (link.address, link.session)) else {
            return;
        };
        if let Some(ask) = self.open(now, link, ticket, About::Register(details.clone(), deviations)) {
            let session = session.and_then(|session| self.sessions.info(session));
            self.events.push_back(Event::AskRegister { ask, details, from, session });
        }
    }

    /// Asks whether what a device sent is safe.
    pub(crate) fn ask_durable(&mut self, now: Instant, link: Key<Link>, ticket: Ticket, fact: Fact) {
        if let Some(ask) = self.open(now, link, ticket, About::Send) {
            self.events.push_back(Event::AskDurable { ask, fact });
        }
    }

    fn open(&mut self, now: Instant, link: Key<Link>, ticket: Ticket, about: About) -> Option<Ask> {
        if self.questions.len() >= self.config.limits.asks {
            self.reply(now, link, ticket, Reply::busy());
            return None;
        }
        let timer = self.timers.arm(now + self.config.ask_timeout, Due::Ask(self.questions.next_key()));
        let key = self.questions.insert(Question { link, ticket, timer, about });
        Some(Ask::request(key.to_bits()))
    }

    fn close(&mut self, key: Key<Question>) -> Option<Question> {
        self.questions.remove(key)
    }

    /// The host has not answered.
    pub(crate) fn unanswered(&mut self, now: Instant, key: Key<Question>) {
        let Some(question) = self.close(key) else { return };
        self.stats.asks_unanswered += 1;
        self.refuse_ask(now, question.link, question.ticket, &question.about, Code::SERVICE_UNAVAILABLE);
        self.settle(now, question.link);
    }

    fn refuse_ask(&mut self, now: Instant, link: Key<Link>, ticket: Ticket, about: &About, code: Code) {
        match about {
            About::Register(..) => self.stats.registers_refused += 1,
            About::Send => self.stats.sends_refused += 1,
        }
        let reply = if code == Code::SERVICE_UNAVAILABLE { Reply::busy() } else { Reply::code(code) };
        self.reply(now, link, ticket, reply);
    }
}
