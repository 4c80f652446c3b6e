//! What devices do on their own: messages, repetitions, and what becomes of their answers.

use std::time::Duration;

use lightship_coap::{Code, ContentFormat, Encoder, Message, MessageId, Token, Type};
use lightship_lwm2m::uplink::{Register, Update};
use lightship_lwm2m::{Binding, Format, Path};
use lightship_platform::Rng;

use super::{Engine, Operation, Outcome, Phase, Stage, Timer, index};
use crate::load::content;
use crate::load::device::{Exchange, Life};
use crate::load::ledger::Entry;

impl Engine {
    /// Lets a device that is not registered register; with security, the handshake comes first.
    pub(super) fn join(&mut self, device: u32, intended: lightship_platform::Instant) {
        let Some(state) = self.devices.get(index(device)) else { return };
        if state.life != Life::Outside || state.exchange.is_some() {
            return;
        }
        if self.settings.secure.is_some() && !state.tunnel.as_ref().is_some_and(|tunnel| tunnel.is_open()) {
            self.connect(device, intended);
        } else {
            self.begin(device, Operation::Register, intended);
        }
    }

    /// Begins an operation of a device that is free to do so.
    pub(super) fn begin(&mut self, device: u32, operation: Operation, intended: lightship_platform::Instant) {
        let Some(exchange) = self.open_exchange(device, operation, intended) else { return };
        let Some(mut bytes) =
            self.exchanges.get_mut(index(exchange)).map(|slot| std::mem::take(&mut slot.bytes))
        else {
            return;
        };
        bytes.resize(MESSAGE_LEN_MAX, 0);
        let len = self.write(device, exchange, &mut bytes);
        bytes.truncate(len.unwrap_or(0));
        if len.is_none() {
            // What cannot be said, such as a notification in a format without room for it, was not begun.
            self.take_back(exchange, bytes);
            return;
        }
        match operation {
            Operation::Register => self.set_life(device, Life::Registering),
            Operation::Deregister => self.set_life(device, Life::Leaving),
            Operation::Handshake
            | Operation::Update
            | Operation::Change
            | Operation::Send
            | Operation::Notify
            | Operation::Report => {}
        }
        self.send(device, &bytes);
        if operation == Operation::Report {
            self.end(exchange, Outcome::Right);
            self.enqueue(device);
        } else {
            self.await_answer(exchange, intended);
        }
        if let Some(slot) = self.exchanges.get_mut(index(exchange)) {
            slot.bytes = bytes;
        }
    }

    /// A place for an exchange; the device is busy with it from now on.
    pub(super) fn open_exchange(
        &mut self,
        device: u32,
        operation: Operation,
        intended: lightship_platform::Instant,
    ) -> Option<u32> {
        let phase = match self.stage {
            Stage::Ramp => Phase::Ramp,
            Stage::Run | Stage::Drain => Phase::Run,
            Stage::Leave => Phase::Leave,
        };
        let state = self.devices.get_mut(index(device))?;
        let message_id = state.message_id();
        self.next_token = self.next_token.wrapping_add(1);
        let blank = Exchange {
            device,
            operation,
            phase,
            token: self.next_token,
            message_id,
            repetitions: 0,
            is_acknowledged: false,
            begun: intended,
            timeout_us: 0,
            bytes: Vec::new(),
            value: 0,
        };
        let exchange = match self.free.pop() {
            Some(exchange) => {
                let slot = self.exchanges.get_mut(index(exchange))?;
                let bytes = std::mem::take(&mut slot.bytes);
                *slot = Exchange { bytes, ..blank };
                exchange
            }
            None => {
                self.exchanges.push(blank);
                u32::try_from(self.exchanges.len() - 1).ok()?
            }
        };
        state.exchange = Some(exchange);
        self.stats.tally_mut(phase, operation).begun += 1;
        Some(exchange)
    }

    /// Undoes [`Engine::open_exchange`].
    fn take_back(&mut self, exchange: u32, bytes: Vec<u8>) {
        let Some(slot) = self.exchanges.get_mut(index(exchange)) else { return };
        slot.bytes = bytes;
        let (device, phase, operation) = (slot.device, slot.phase, slot.operation);
        self.stats.tally_mut(phase, operation).begun -= 1;
        self.free.push(exchange);
        if let Some(state) = self.devices.get_mut(index(device)) {
            state.exchange = None;
            state.observations.clear();
        }
        self.enqueue(device);
    }

    /// Writes the message of an exchange.
    fn write(&mut self, device: u32, exchange: u32, buffer: &mut [u8]) -> Option<usize> {
        let slot = self.exchanges.get(index(exchange))?;
        let (operation, id) = (slot.operation, slot.message_id);
        let token = Token::new(&slot.token.to_be_bytes())?;
        let (len, value) = match operation {
            Operation::Handshake => return None,
            Operation::Register => self.write_register(device, id, token, buffer)?,
            Operation::Update | Operation::Change => {
                self.write_update(device, operation == Operation::Change, (id, token), buffer)?
            }
            Operation::Deregister => {
                let state = self.devices.get(index(device))?;
                let mut message = Encoder::new(buffer, Type::Con, Code::DELETE, id, token);
                message.options().uri_path(&state.location);
                (message.finish().ok()?, 0)
            }
            Operation::Send => self.write_send(device, id, token, buffer)?,
            Operation::Notify => self.write_notification(device, Type::Con, id, buffer)?,
            Operation::Report => self.write_notification(device, Type::Non, id, buffer)?,
        };
        self.exchanges.get_mut(index(exchange))?.value = value;
        self.note_begun(device, operation, value);
        Some(len)
    }

    fn write_register(
        &mut self,
        device: u32,
        id: MessageId,
        token: Token,
        buffer: &mut [u8],
    ) -> Option<(usize, u64)> {
        let name = self.name(device);
        let lifetime_s = self.settings.lifetime_s;
        let register = Register {
            endpoint: Some(&name),
            lifetime_s,
            version: self.settings.version,
            binding: Binding::UDP,
            queue_mode: self.settings.awake.is_some(),
            sms: None,
            profile: None,
            objects: None,
        };
        let mut message = Encoder::new(buffer, Type::Con, Code::POST, id, token);
        register.write_options(message.options());
        message.options().content_format(ContentFormat::LINK);
        let len = message.finish_with(self.links.as_bytes()).ok()?;
        // A new registration has no observations, and the server may observe as soon as it has answered.
        let state = self.devices.get_mut(index(device))?;
        state.observations.clear();
        Some((len, lifetime_s.into()))
    }

    fn write_update(
        &mut self,
        device: u32,
        is_change: bool,
        (id, token): (MessageId, Token),
        buffer: &mut [u8],
    ) -> Option<(usize, u64)> {
        let state = self.devices.get_mut(index(device))?;
        let mut lifetime_s = self.settings.lifetime_s;
        if is_change {
            state.changes = state.changes % CHANGES + 1;
            lifetime_s = lifetime_s.saturating_add(state.changes.into());
        }
        let update = Update { lifetime_s: is_change.then_some(lifetime_s), ..Update::default() };
        let mut message = Encoder::new(buffer, Type::Con, Code::POST, id, token);
        message.options().uri_path(&state.location);
        update.write_options(self.settings.version, message.options());
        Some((message.finish().ok()?, lifetime_s.into()))
    }

    fn write_send(
        &mut self,
        device: u32,
        id: MessageId,
        token: Token,
        buffer: &mut [u8],
    ) -> Option<(usize, u64)> {
        let value = self.unique_value();
        let name = self.name(device);
        let mut message = Encoder::new(buffer, Type::Con, Code::POST, id, token);
        message.options().uri_path("dp").content_format(ContentFormat::SENML_CBOR);
        let what = (Path::ROOT, &[self.reported][..]);
        let settings = &self.settings;
        let len = message
            .finish_in_place(|room| content::encode(settings, (&name, value), what, Format::SenmlCbor, room))
            .ok()?;
        Some((len, value))
    }

    /// Writes a notification for the observation whose turn it is.
    fn write_notification(
        &mut self,
        device: u32,
        ty: Type,
        id: MessageId,
        buffer: &mut [u8],
    ) -> Option<(usize, u64)> {
        let value = self.unique_value();
        let name = self.name(device);
        let state = self.devices.get_mut(index(device))?;
        let sequence = state.next_sequence();
        let turn = index(sequence) % state.observations.len().max(1);
        let observation = state.observations.get(turn)?;
        let base = match (&*observation.paths, observation.is_composite) {
            ([path], false) => *path,
            _ => Path::ROOT,
        };
        let mut message = Encoder::new(buffer, ty, Code::CONTENT, id, observation.token);
        message.options().observe(sequence).content_format(ContentFormat(observation.format.number()));
        let settings = &self.settings;
        let what = (base, &*observation.paths);
        let len = message
            .finish_in_place(|room| content::encode(settings, (&name, value), what, observation.format, room))
            .ok()?;
        Some((len, value))
    }

    /// Sets the timer of an exchange whose message has just left (RFC 7252 §4.2).
    fn await_answer(&mut self, exchange: u32, intended: lightship_platform::Instant) {
        let least = u64::try_from(self.settings.ack_timeout.as_micros()).unwrap_or(u64::MAX / 4);
        // ACK_RANDOM_FACTOR 1.5
        let more = u64::from(self.rng.below(u32::try_from(least / 2).unwrap_or(u32::MAX)));
        let Some(slot) = self.exchanges.get_mut(index(exchange)) else { return };
        slot.timeout_us = least + more;
        slot.begun = intended;
        let deadline = self.now + Duration::from_micros(slot.timeout_us);
        self.wheel.push(deadline, Timer::Repeat { exchange, token: slot.token });
    }

    /// An exchange has waited long enough: it is repeated, or given up.
    pub(super) fn repeat(&mut self, exchange: u32, token: u32) {
        let Some(slot) = self.exchanges.get_mut(index(exchange)) else { return };
        let is_running =
            self.devices.get(index(slot.device)).is_some_and(|state| state.exchange == Some(exchange));
        if slot.token != token || !is_running {
            return;
        }
        if slot.repetitions >= self.settings.max_retransmit {
            self.conclude(exchange, Outcome::Missing);
            return;
        }
        slot.repetitions += 1;
        slot.timeout_us = slot.timeout_us.saturating_mul(2);
        let deadline = self.now + Duration::from_micros(slot.timeout_us);
        if slot.is_acknowledged {
            // Its answer comes on its own, and may take as long as all repetitions would.
            self.wheel.push(deadline, Timer::Repeat { exchange, token });
            return;
        }
        let (device, bytes) = (slot.device, std::mem::take(&mut slot.bytes));
        self.stats.tally_mut(slot.phase, slot.operation).repetitions += 1;
        self.wheel.push(deadline, Timer::Repeat { exchange, token });
        self.send(device, &bytes);
        if let Some(slot) = self.exchanges.get_mut(index(exchange)) {
            slot.bytes = bytes;
        }
    }

    /// Takes an answer with content: in an acknowledgement, or on its own.
    pub(super) fn handle_response(&mut self, device: u32, message: &Message<'_>) {
        let Some(state) = self.devices.get(index(device)) else { return };
        let running =
            state.exchange.and_then(|exchange| Some((exchange, self.exchanges.get(index(exchange))?)));
        let fits = |token: u32| message.token().as_bytes() == token.to_be_bytes();
        let found = running.filter(|(_, slot)| {
            fits(slot.token)
                && !matches!(slot.operation, Operation::Handshake | Operation::Notify)
                && (message.ty() != Type::Ack || message.message_id() == slot.message_id)
        });
        let Some((exchange, slot)) = found else {
            let repeated = fits(state.last_token);
            self.stats.repeated += u64::from(repeated);
            self.stats.stray += u64::from(!repeated);
            if message.ty() == Type::Con {
                let ty = if repeated { Type::Ack } else { Type::Reset };
                self.send_empty(device, ty, message.message_id());
            }
            return;
        };
        let operation = slot.operation;
        if message.ty() == Type::Con {
            self.send_empty(device, Type::Ack, message.message_id());
        }
        let expected = operation.expects();
        let location = (operation == Operation::Register).then(|| location_of(message));
        if message.code() != expected || location.as_ref().is_some_and(Option::is_none) {
            // Who is told when to come again comes then (RFC 7252 §5.9.3.4, RFC 8516).
            let said = matches!(message.code(), Code::TOO_MANY_REQUESTS | Code::SERVICE_UNAVAILABLE)
                .then(|| Duration::from_secs(message.max_age_s().into()));
            let pause = said.map_or(self.settings.retry, |said| said.max(self.settings.retry));
            self.conclude_and_pause(exchange, Outcome::Wrong(message.code()), pause);
            return;
        }
        if let (Some(location), Some(state)) = (location.flatten(), self.devices.get_mut(index(device))) {
            state.location = location;
        }
        self.conclude(exchange, Outcome::Right);
    }

    /// Takes an acknowledgement or a Reset without content.
    pub(super) fn handle_empty(&mut self, device: u32, message: &Message<'_>) {
        let Some(state) = self.devices.get(index(device)) else { return };
        let running =
            state.exchange.and_then(|exchange| Some((exchange, self.exchanges.get_mut(index(exchange))?)));
        let Some((exchange, slot)) = running.filter(|(_, slot)| slot.message_id == message.message_id())
        else {
            // The acknowledgement of something that is over, or the refusal of a report.
            self.stats.repeated += 1;
            return;
        };
        match (message.ty(), slot.operation) {
            (Type::Ack, Operation::Notify) => self.conclude(exchange, Outcome::Right),
            (Type::Ack, _) => slot.is_acknowledged = true,
            _ => self.conclude(exchange, Outcome::Wrong(Code::EMPTY)),
        }
    }

    /// Ends an exchange and draws the consequences.
    pub(super) fn conclude(&mut self, exchange: u32, outcome: Outcome) {
        self.conclude_and_pause(exchange, outcome, self.settings.retry);
    }

    fn conclude_and_pause(&mut self, exchange: u32, outcome: Outcome, pause: Duration) {
        let Some((device, operation, value)) = self.end(exchange, outcome) else { return };
        if outcome == Outcome::Right {
            self.note_acknowledged(device, operation, value);
        }
        match (operation, outcome) {
            (Operation::Register, Outcome::Right) => {
                self.set_life(device, Life::Registered);
                self.has_joined(device);
            }
            (Operation::Register, _) => {
                if outcome == Outcome::Missing {
                    self.disconnect(device);
                }
                self.lose_registration(device, pause);
                self.has_joined(device);
            }
            (Operation::Deregister, Outcome::Right) => {
                self.set_life(device, Life::Outside);
                // In a mix, who leaves comes back at once, also when the run ended meanwhile: what was begun is brought to its end.
                if matches!(self.stage, Stage::Run | Stage::Drain) {
                    self.join(device, self.now);
                }
            }
            (Operation::Notify, Outcome::Wrong(_)) => {
                if let Some(state) = self.devices.get_mut(index(device)) {
                    state.observations.clear();
                }
            }
            // Who is not known, or is not answered, registers again (Core TS 1.2, 6.2.2).
            (_, Outcome::Wrong(Code::NOT_FOUND | Code::EMPTY)) => self.lose_registration(device, pause),
            (_, Outcome::Missing) => {
                self.disconnect(device);
                self.lose_registration(device, pause);
            }
            (Operation::Deregister, Outcome::Wrong(_)) => self.lose_registration(device, pause),
            _ => {}
        }
        self.enqueue(device);
    }

    /// The registration is gone; another one is tried after a pause.
    pub(super) fn lose_registration(&mut self, device: u32, pause: Duration) {
        self.set_life(device, Life::Outside);
        self.wheel.push(self.now + pause, Timer::Join(device));
    }

    /// The device's first attempt has ended.
    pub(super) fn has_joined(&mut self, device: u32) {
        if let Some(state) = self.devices.get_mut(index(device))
            && !std::mem::replace(&mut state.has_joined, true)
        {
            self.joining -= 1;
        }
    }

    fn note_begun(&mut self, device: u32, operation: Operation, value: u64) {
        let is_change = matches!(operation, Operation::Register | Operation::Change | Operation::Deregister);
        if is_change && self.ledger.is_some() {
            self.note(device, operation, "begun", value);
        }
    }

    fn note_acknowledged(&mut self, device: u32, operation: Operation, value: u64) {
        if self.ledger.is_some()
            && !matches!(operation, Operation::Update | Operation::Handshake | Operation::Report)
        {
            self.note(device, operation, "acknowledged", value);
        }
    }

    fn note(&mut self, device: u32, operation: Operation, state: &'static str, value: u64) {
        let name = self.name(device);
        let has_location = !(operation == Operation::Register && state == "begun");
        let location = self.devices.get(index(device)).filter(|_| has_location).map(|state| &*state.location);
        let Some(ledger) = &mut self.ledger else { return };
        let what = match operation {
            Operation::Register | Operation::Change => Entry::Lifetime { location, lifetime_s: value },
            Operation::Send | Operation::Notify => Entry::Value { path: self.reported, value },
            Operation::Handshake | Operation::Update | Operation::Deregister | Operation::Report => {
                Entry::Location { location }
            }
        };
        ledger.note(self.date, &name, (operation.name(), state), &what);
    }
}

/// The location of a registration, if the server gave one.
fn location_of(message: &Message<'_>) -> Option<Box<str>> {
    let location = message.location_path().collect::<Vec<_>>().join("/");
    (!location.is_empty()).then(|| location.into_boxed_str())
}

/// Bytes of a message that a device sends.
pub(super) const MESSAGE_LEN_MAX: usize = 1280;
/// After so many new lifetimes they begin again.
const CHANGES: u16 = 10_000;
