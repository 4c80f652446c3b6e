//! The life of a session: who asks, the steps, the end.
//!
//! ```text
//!             ask_begin         answer(Step)                     answer(Step)
//!   (request) ────────▶ Question ────────▶ Session{running} ◀────────────────┐
//!                          │                     │ step_ended                │
//!                          │ Refuse, silence     ├─ answered ──▶ Question ───┤
//!                          ▼                     │                           │ End, silence
//!                       4.xx, 5.03               └─ lost, finished ──▶ end ◀─┘
//! ```

use core::time::Duration;

use lightship_coap::Code;
use lightship_coap::peer::{ExchangeId, Ticket};
use lightship_lwm2m::Endpoint;
use lightship_lwm2m::bootstrap::Operation;
use lightship_platform::Instant;

use super::contact::Wish;
use super::talk::Link;
use super::{Answer, BootstrapServer, Due, Ended, Event, Pack, SessionId, Step, StepOutcome};
use crate::Ask;
use crate::slab::Key;
use crate::timer::TimerId;

/// A device that is being configured.
pub(super) struct Session {
    id: SessionId,
    endpoint: Endpoint,
    link: Key<Link>,
    started_at: Instant,
    timer: TimerId,
    steps: u16,
    doing: Doing,
}

impl Session {
    pub(super) fn link(&self) -> Key<Link> {
        self.link
    }
}

/// What a session waits for.
enum Doing {
    /// The device's answer to a command.
    Running { step: Step, exchange: ExchangeId, is_command: bool, begun_at: Instant, attempts: u8 },
    /// The answer to a ping, before a pack is sent.
    Probing { exchange: ExchangeId, ticket: Ticket, pack: Pack },
    /// The host's word on what comes next.
    Asking(Key<Question>),
    /// Nothing: it is about to go on or to end.
    Nothing,
}

/// A question that the host has not answered yet.
pub(super) struct Question {
    timer: TimerId,
    about: About,
}

enum About {
    Begin { id: SessionId, link: Key<Link>, ticket: Ticket, endpoint: Endpoint, is_pack: bool },
    Next(Key<Session>),
}

impl BootstrapServer {
    /// Answers a question. Late and repeated answers are harmless; one that does not fit the question counts as no.
    pub fn answer(&mut self, now: Instant, ask: Ask, answer: Answer) {
        if ask.is_about_credential() {
            if let Answer::Credential(credential) = answer {
                self.secured.answer(now, ask, credential);
                self.take_happened(now);
            }
            return;
        }
        let Some(question) = self.questions.remove(Key::from_bits(ask.bits())) else { return };
        self.timers.cancel(question.timer);
        self.decide(now, question.about, answer);
    }

    fn decide(&mut self, now: Instant, about: About, answer: Answer) {
        let (id, link, ticket, endpoint, is_pack) = match about {
            About::Next(session) => return self.go_on(now, session, answer),
            About::Begin { id, link, ticket, endpoint, is_pack } => (id, link, ticket, endpoint, is_pack),
        };
        match (is_pack, answer) {
            (false, Answer::Step(step)) => {
                if let Some(session) = self.open_session(now, id, link, ticket, endpoint) {
                    self.reply(now, link, ticket, Code::CHANGED);
                    self.begin_step(now, session, step, 1);
                }
            }
            (true, Answer::Pack(pack)) => {
                if let Some(session) = self.open_session(now, id, link, ticket, endpoint) {
                    self.give_pack(now, session, ticket, pack);
                }
            }
            (_, Answer::Refuse { code }) => {
                self.stats.refused += 1;
                let code = if matches!(code.class(), 4 | 5) { code } else { Code::INTERNAL_SERVER_ERROR };
                self.reply(now, link, ticket, code);
            }
            (_, Answer::Step(_) | Answer::Pack(_) | Answer::Credential(_) | Answer::End) => {
                self.stats.refused += 1;
                self.reply(now, link, ticket, Code::INTERNAL_SERVER_ERROR);
            }
        }
        self.settle(now, link);
    }

    /// Asks the host about a request.
    pub(super) fn ask_begin(
        &mut self,
        now: Instant,
        link: Key<Link>,
        ticket: Ticket,
        wish: &Wish,
    ) -> Option<(Ask, SessionId)> {
        let (endpoint, is_pack) = match wish {
            Wish::Bootstrap { endpoint, .. } => (endpoint.clone(), false),
            Wish::Pack { endpoint, .. } => (endpoint.clone(), true),
        };
        if self.questions.len() >= self.config.limits.asks {
            self.stats.refused += 1;
            self.reply(now, link, ticket, Code::SERVICE_UNAVAILABLE);
            return None;
        }
        self.last_session += 1;
        let id = SessionId(self.last_session);
        let (ask, _) = self.ask(now, About::Begin { id, link, ticket, endpoint, is_pack });
        Some((ask, id))
    }

    fn ask(&mut self, now: Instant, about: About) -> (Ask, Key<Question>) {
        let timer = self.timers.arm(now + self.config.ask_timeout, Due::Ask(self.questions.next_key()));
        let key = self.questions.insert(Question { timer, about });
        (Ask::request(key.to_bits()), key)
    }

    /// The host has not answered.
    pub(super) fn unanswered(&mut self, now: Instant, key: Key<Question>) {
        let Some(question) = self.questions.remove(key) else { return };
        self.stats.asks_unanswered += 1;
        match question.about {
            About::Begin { id, link, ticket, endpoint, .. } => {
                self.stats.refused += 1;
                self.reply(now, link, ticket, Code::SERVICE_UNAVAILABLE);
                self.settle(now, link);
                // The host may be about to answer, and would wait for the end of that session.
                self.stillborn(id, endpoint);
            }
            About::Next(session) => self.end(now, session, Ended::GivenUp),
        }
    }

    /// Begins a session; the one of the same device, and the one of the same address, give way.
    fn open_session(
        &mut self,
        now: Instant,
        id: SessionId,
        link: Key<Link>,
        ticket: Ticket,
        endpoint: Endpoint,
    ) -> Option<Key<Session>> {
        let Some(of_address) = self.links.get(link).map(|link| link.session) else {
            // The link had to give way meanwhile; the host is told, as of every session that it began.
            self.stillborn(id, endpoint);
            return None;
        };
        let of_device = self.by_endpoint.get(&endpoint).copied();
        for older in of_address.into_iter().chain(of_device) {
            self.end(now, older, Ended::Displaced);
        }
        if self.sessions.len() >= self.config.limits.sessions {
            self.stats.refused += 1;
            self.reply(now, link, ticket, Code::SERVICE_UNAVAILABLE);
            self.stillborn(id, endpoint);
            return None;
        }
        self.stats.started += 1;
        let due = now + self.config.session_timeout;
        let timer = self.timers.arm(due, Due::Session(self.sessions.next_key()));
        let session = self.sessions.insert(Session {
            id,
            endpoint: endpoint.clone(),
            link,
            started_at: now,
            timer,
            steps: 0,
            doing: Doing::Nothing,
        });
        self.by_endpoint.insert(endpoint, session);
        self.links.get_mut(link)?.session = Some(session);
        Some(session)
    }

    /// The secured session around a link has ended, and with it what was being configured; says whose that was.
    pub(super) fn lose_link(&mut self, now: Instant, link: Key<Link>) -> Option<Endpoint> {
        let session = self.links.get(link).and_then(|link| link.session);
        let endpoint = session.and_then(|session| self.sessions.get(session)).map(|one| one.endpoint.clone());
        if let Some(session) = session {
            self.end(now, session, Ended::DeviceLost);
        }
        self.close_link(link);
        endpoint
    }

    fn stillborn(&mut self, session: SessionId, endpoint: Endpoint) {
        let reason = Ended::GivenUp;
        self.events.push_back(Event::Ended { session, endpoint, reason, elapsed: Duration::ZERO });
    }

    /// The host has said what comes next.
    fn go_on(&mut self, now: Instant, key: Key<Session>, answer: Answer) {
        match answer {
            Answer::Step(step) => self.begin_step(now, key, step, 1),
            Answer::Pack(_) | Answer::Credential(_) | Answer::End | Answer::Refuse { .. } => {
                self.end(now, key, Ended::GivenUp)
            }
        }
        if let Some(link) = self.sessions.get(key).map(|session| session.link) {
            self.settle(now, link);
        }
    }

    /// Sends a command, for the first time or anew.
    fn begin_step(&mut self, now: Instant, key: Key<Session>, step: Step, attempts: u8) {
        let Some(session) = self.sessions.get_mut(key) else { return };
        let link = session.link;
        if attempts == 1 {
            session.steps = session.steps.saturating_add(1);
            if session.steps > self.config.limits.steps {
                return self.end(now, key, Ended::TooLong);
            }
            self.stats.steps += 1;
        } else {
            self.stats.steps_repeated += 1;
        }
        let fits = step.payload.len() <= self.config.limits.request_body;
        let Some((exchange, is_command)) = (if fits { self.send(now, link, &step) } else { None }) else {
            return self.end(now, key, Ended::GivenUp);
        };
        if let Some(session) = self.sessions.get_mut(key) {
            session.doing = Doing::Running { step, exchange, is_command, begun_at: now, attempts };
        }
    }

    /// What was under way with a device has ended.
    pub(super) fn step_ended(
        &mut self,
        now: Instant,
        link: Key<Link>,
        exchange: ExchangeId,
        outcome: StepOutcome,
    ) {
        let Some(key) = self.links.get(link).and_then(|link| link.session) else { return };
        let Some(session) = self.sessions.get_mut(key) else { return };
        match std::mem::replace(&mut session.doing, Doing::Nothing) {
            Doing::Running { step, exchange: current, is_command, begun_at, attempts }
                if current == exchange =>
            {
                let again = attempts <= self.config.step_retries;
                if outcome == StepOutcome::Timeout && again {
                    return self.begin_step(now, key, step, attempts + 1);
                }
                // A device that rejects a ping is there: the answer of a ping is no failure of the command.
                debug_assert!(
                    is_command || !matches!(outcome, StepOutcome::Response(_)),
                    "a ping has no response"
                );
                self.step_done(now, key, &step, outcome, begun_at, attempts);
            }
            Doing::Probing { exchange: current, .. } if current == exchange => {
                self.end(now, key, Ended::DeviceLost);
            }
            other @ (Doing::Running { .. } | Doing::Probing { .. } | Doing::Asking(_) | Doing::Nothing) => {
                session.doing = other;
            }
        }
    }

    fn step_done(
        &mut self,
        now: Instant,
        key: Key<Session>,
        step: &Step,
        outcome: StepOutcome,
        begun_at: Instant,
        attempts: u8,
    ) {
        let Some(id) = self.sessions.get(key).map(|session| session.id) else { return };
        let code = match &outcome {
            StepOutcome::Response(response) => Some(response.code),
            StepOutcome::Timeout | StepOutcome::Reset | StepOutcome::Broken => None,
        };
        let finished = step.command.operation == Operation::Finish && code == Some(Code::CHANGED);
        let end = match code {
            None => Some(Ended::DeviceLost),
            Some(_) if finished => Some(Ended::Finished),
            Some(_) => None,
        };
        let ask = if end.is_none() {
            let (ask, question) = self.ask(now, About::Next(key));
            if let Some(session) = self.sessions.get_mut(key) {
                session.doing = Doing::Asking(question);
            }
            Some(ask)
        } else {
            None
        };
        let elapsed = now.saturating_duration_since(begun_at);
        self.events.push_back(Event::StepDone {
            ask,
            session: id,
            command: step.command,
            outcome,
            elapsed,
            attempts,
        });
        if let Some(end) = end {
            self.end(now, key, end);
        }
    }

    /// A ping was answered: now what it stood before.
    pub(super) fn probed(&mut self, now: Instant, link: Key<Link>, exchange: ExchangeId) {
        let Some(key) = self.links.get(link).and_then(|link| link.session) else { return };
        let Some(session) = self.sessions.get_mut(key) else { return };
        match std::mem::replace(&mut session.doing, Doing::Nothing) {
            Doing::Running { step, exchange: current, begun_at, attempts, .. } if current == exchange => {
                match self.send(now, link, &step) {
                    Some((exchange, is_command)) => {
                        if let Some(session) = self.sessions.get_mut(key) {
                            session.doing = Doing::Running { step, exchange, is_command, begun_at, attempts };
                        }
                    }
                    None => self.end(now, key, Ended::GivenUp),
                }
            }
            Doing::Probing { exchange: current, ticket, pack } if current == exchange => {
                self.give_pack(now, key, ticket, pack);
            }
            other @ (Doing::Running { .. } | Doing::Probing { .. } | Doing::Asking(_) | Doing::Nothing) => {
                session.doing = other;
            }
        }
    }

    /// Sends a pack, once somebody is known to be at the address.
    fn give_pack(&mut self, now: Instant, key: Key<Session>, ticket: Ticket, pack: Pack) {
        let Some(session) = self.sessions.get(key) else { return };
        let link = session.link;
        if pack.payload.len() > self.config.limits.request_body {
            self.reply(now, link, ticket, Code::INTERNAL_SERVER_ERROR);
            return self.end(now, key, Ended::GivenUp);
        }
        if let Some(exchange) = self.probe(now, link, pack.payload.len()) {
            if let Some(session) = self.sessions.get_mut(key) {
                session.doing = Doing::Probing { exchange, ticket, pack };
            }
            return;
        }
        self.stats.packs += 1;
        self.reply_pack(now, link, ticket, &pack);
        self.end(now, key, Ended::PackSent);
    }

    /// A session has taken too long.
    pub(super) fn session_due(&mut self, now: Instant, key: Key<Session>) {
        self.close(now, key, Ended::TooLong, None);
    }

    fn end(&mut self, now: Instant, key: Key<Session>, reason: Ended) {
        if let Some(timer) = self.sessions.get(key).map(|session| session.timer) {
            self.close(now, key, reason, Some(timer));
        }
    }

    fn close(&mut self, now: Instant, key: Key<Session>, reason: Ended, timer: Option<TimerId>) {
        let Some(session) = self.sessions.remove(key) else { return };
        if let Some(timer) = timer {
            self.timers.cancel(timer);
        }
        self.by_endpoint.remove(&session.endpoint);
        if let Some(link) = self.links.get_mut(session.link) {
            link.session = None;
        }
        match session.doing {
            Doing::Running { exchange, .. } | Doing::Probing { exchange, .. } => {
                self.withdraw(session.link, exchange);
            }
            Doing::Asking(question) => {
                if let Some(question) = self.questions.remove(question) {
                    self.timers.cancel(question.timer);
                }
            }
            Doing::Nothing => {}
        }
        let counter = match reason {
            Ended::Finished | Ended::PackSent => &mut self.stats.finished,
            Ended::Displaced => {
                self.stats.failed += 1;
                &mut self.stats.displaced
            }
            Ended::GivenUp | Ended::DeviceLost | Ended::TooLong => &mut self.stats.failed,
        };
        *counter += 1;
        let elapsed = now.saturating_duration_since(session.started_at);
        let (session, endpoint) = (session.id, session.endpoint);
        self.events.push_back(Event::Ended { session, endpoint, reason, elapsed });
    }
}
