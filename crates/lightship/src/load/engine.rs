//! One thread's devices: what they send and when, what they make of what comes. Driven like the engines of the house: it never
//! waits, reads no clock and opens nothing.
//!
//! The host calls [`Engine::handle_input`] for each datagram and [`Engine::drive`] often; after any of them it takes the ledger's
//! lines, then the datagrams to be sent.

mod downlink;
mod secure;
mod uplink;

pub(crate) use self::secure::Tunnel;

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use hdrhistogram::Histogram;
use lightship_coap::{Code, Message, MessageId, Role, Token, Type};
use lightship_lwm2m::Path;
use lightship_platform::{Instant, Rng, SeededRng, UnixTime};

use super::device::{Device, Exchange, Life};
use super::ledger::Ledger;
use super::mix::Operation;
use super::settings::Settings;
use super::stats::{Outcome, Phase, Stats, histogram, record};
use super::wheel::Wheel;

/// One thread's devices.
pub(crate) struct Engine {
    settings: Arc<Settings>,
    part: Part,
    links: String,
    reported: Path,
    devices: Vec<Device>,
    exchanges: Vec<Exchange>,
    free: Vec<u32>,
    /// Devices that may begin something, the one that rested longest first; some of them only might.
    idle: VecDeque<u32>,
    observed: Vec<u32>,
    observed_next: usize,
    wheel: Wheel<Timer>,
    due: Vec<Timer>,
    stage: Stage,
    pace: Pace,
    /// The next device of the stages in which each has its turn.
    turn: u32,
    joining: u32,
    registered: u32,
    next_token: u32,
    next_value: u64,
    stats: Stats,
    /// Latencies since they were last taken out.
    recent: Histogram<u64>,
    outbox: Outbox,
    ledger: Option<Ledger>,
    rng: SeededRng,
    now: Instant,
    date: UnixTime,
}

/// Which devices a thread has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Part {
    /// Its number among the threads.
    pub(crate) thread: u16,
    /// How many threads there are.
    pub(crate) threads: u16,
    /// The number of its first device.
    pub(crate) first: u32,
    /// How many devices it has.
    pub(crate) devices: u32,
    /// How many operations it may have under way in a closed loop.
    pub(crate) window: u32,
}

/// What is to be done at present.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Stage {
    /// Every device registers.
    Ramp,
    /// Devices do what the mix says.
    Run,
    /// What is under way comes to its end.
    Drain,
    /// Every device de-registers.
    Leave,
}

/// When the next operation of an open loop is due.
#[derive(Clone, Copy, Debug)]
struct Pace {
    begin: Instant,
    /// Operations a second; `None`: a closed loop.
    rate: Option<f64>,
    count: u64,
}

#[derive(Clone, Copy, Debug)]
enum Timer {
    /// An exchange waits for long enough.
    Repeat { exchange: u32, token: u32 },
    /// A handshake has something to do.
    Handshake(u32),
    /// A device tries again to register.
    Join(u32),
}

/// Datagrams to be sent.
#[derive(Default)]
struct Outbox {
    bytes: Vec<u8>,
    datagrams: Vec<(u32, usize)>,
}

impl Engine {
    /// Devices that are not registered yet. `seed`: from the system's random numbers if they are to be secure.
    pub(crate) fn new(settings: Arc<Settings>, part: Part, now: Instant, seed: [u8; 32]) -> Self {
        let mut rng = SeededRng::new(seed);
        let device = |_| Device::new(u16::try_from(rng.next_u32() & 0xffff).unwrap_or(0));
        let devices = (0..part.devices).map(device).collect();
        Self {
            part,
            links: super::content::links(&settings.objects, settings.version),
            reported: super::content::reported(&settings.objects),
            devices,
            exchanges: Vec::new(),
            free: Vec::new(),
            idle: VecDeque::new(),
            observed: Vec::new(),
            observed_next: 0,
            wheel: Wheel::new(now),
            due: Vec::new(),
            stage: Stage::Drain,
            pace: Pace { begin: now, rate: None, count: 0 },
            turn: 0,
            joining: part.devices,
            registered: 0,
            next_token: rng.next_u32(),
            next_value: 0,
            stats: Stats::default(),
            recent: histogram(),
            outbox: Outbox::default(),
            ledger: settings.ledger.is_some().then(Ledger::default),
            rng,
            now,
            date: UnixTime::from_millis(0),
            settings,
        }
    }

    /// Goes on to another stage.
    pub(crate) fn enter(&mut self, stage: Stage, now: Instant) {
        let threads = f64::from(self.part.threads);
        let rate = match stage {
            Stage::Ramp => {
                self.settings.ramp.map(|ramp| f64::from(self.part.devices) / ramp.as_secs_f64().max(1e-6))
            }
            Stage::Run => self.settings.rate.map(|rate| rate / threads),
            Stage::Drain | Stage::Leave => None,
        };
        // Threads take turns instead of beginning together.
        let shift = rate.map_or(0.0, |rate| f64::from(self.part.thread) / threads / rate);
        self.stage = stage;
        self.turn = 0;
        self.pace = Pace { begin: now + Duration::from_secs_f64(shift), rate, count: 0 };
    }

    /// Whether the stage has done all that it is for; [`Stage::Run`] never has.
    pub(crate) fn is_finished(&self) -> bool {
        match self.stage {
            Stage::Ramp => self.turn == self.part.devices && self.joining == 0,
            Stage::Run => false,
            Stage::Drain => self.under_way() == 0,
            Stage::Leave => self.turn == self.part.devices && self.under_way() == 0,
        }
    }

    /// Operations that wait for their end.
    pub(crate) fn under_way(&self) -> u32 {
        u32::try_from(self.exchanges.len() - self.free.len()).unwrap_or(u32::MAX)
    }

    /// Devices that are registered.
    pub(crate) fn registered(&self) -> u32 {
        self.registered
    }

    /// What was measured.
    pub(crate) fn stats(&self) -> &Stats {
        &self.stats
    }

    /// Latencies since the last call.
    pub(crate) fn take_recent(&mut self, into: &mut Histogram<u64>) {
        // Histograms of one kind always add up.
        let _ = into.add(&self.recent);
        self.recent.reset();
    }

    /// The lines of the ledger that must be written before anything is sent.
    pub(crate) fn take_ledger(&mut self) -> Option<&mut Vec<u8>> {
        self.ledger.as_mut().map(Ledger::lines).filter(|lines| !lines.is_empty())
    }

    /// Hands every datagram that is to be sent to `send`, with its device.
    pub(crate) fn poll_transmit(&mut self, mut send: impl FnMut(u32, &[u8])) {
        let mut begin = 0;
        for (device, end) in self.outbox.datagrams.drain(..) {
            send(device, self.outbox.bytes.get(begin..end).unwrap_or_default());
            begin = end;
        }
        self.outbox.bytes.clear();
    }

    /// When [`Engine::drive`] has something to do, if nothing comes before.
    pub(crate) fn poll_timeout(&self) -> Option<Instant> {
        let next = match self.stage {
            Stage::Ramp if self.turn < self.part.devices => self.pace.next(),
            Stage::Run if !self.idle.is_empty() => self.pace.next(),
            Stage::Ramp | Stage::Run | Stage::Drain | Stage::Leave => None,
        };
        // What is left to begin in a closed loop waits for an answer, or for its next turn.
        let is_short =
            self.stage == Stage::Run && self.pace.rate.is_none() && self.under_way() < self.part.window;
        let next = next.or_else(|| is_short.then(|| self.now + Duration::from_millis(1)));
        next.into_iter().chain(self.wheel.poll_timeout()).min()
    }

    /// Does what is due.
    pub(crate) fn drive(&mut self, now: Instant, date: UnixTime) {
        (self.now, self.date) = (now, date);
        let mut due = std::mem::take(&mut self.due);
        self.wheel.advance(now, &mut due);
        for timer in due.drain(..) {
            match timer {
                Timer::Repeat { exchange, token } => self.repeat(exchange, token),
                Timer::Handshake(device) => self.handshake_timeout(device),
                Timer::Join(device) if matches!(self.stage, Stage::Ramp | Stage::Run) => {
                    self.join(device, now)
                }
                Timer::Join(_) => {}
            }
        }
        self.due = due;
        match self.stage {
            Stage::Ramp => self.ramp(),
            Stage::Run => self.run(),
            Stage::Drain => {}
            Stage::Leave => self.leave(),
        }
    }

    /// Takes a datagram from the server.
    pub(crate) fn handle_input(&mut self, now: Instant, device: u32, datagram: &mut [u8]) {
        self.now = now;
        if self.is_lost() {
            self.stats.lost[1] += 1;
            return;
        }
        let Some(state) = self.devices.get_mut(index(device)) else { return };
        if let Some(awake) = self.settings.awake {
            // Who waits for an answer listens, however late it is.
            if state.awake_until < now && state.exchange.is_none() {
                self.stats.downlink.asleep += 1;
                return;
            }
            state.awake_until = now + awake;
        }
        if self.settings.secure.is_some() {
            self.handle_record(device, datagram);
        } else {
            self.handle_message(device, datagram);
        }
    }

    fn handle_message(&mut self, device: u32, datagram: &[u8]) {
        let Ok(message) = Message::parse(datagram) else {
            self.stats.stray += 1;
            return;
        };
        match message.role() {
            Role::Request => self.handle_request(device, &message),
            Role::Response => self.handle_response(device, &message),
            Role::Ack | Role::Reset => self.handle_empty(device, &message),
            Role::Ping => self.send_empty(device, Type::Reset, message.message_id()),
            Role::Unusable => self.stats.stray += 1,
        }
    }

    /// Devices that have not registered yet do.
    fn ramp(&mut self) {
        for _ in 0..BURST_MAX {
            let Some(intended) = self.due_now().filter(|_| self.turn < self.part.devices) else { return };
            let device = self.turn;
            self.turn += 1;
            self.join(device, intended);
        }
    }

    /// Begins what is due, as long as there are devices for it.
    fn run(&mut self) {
        let settings = Arc::clone(&self.settings);
        for _ in 0..BURST_MAX {
            let Some(intended) = self.due_now() else { return };
            let operation = settings.mix.pick(self.rng.below(settings.mix.total()));
            let device = if operation.is_notification() { self.next_observed() } else { self.next_idle() };
            match device {
                Some(device) => self.begin(device, operation, intended),
                None if operation.is_notification() && self.observed.is_empty() => {
                    self.stats.unobserved += 1;
                }
                // It begins late then, and its latency tells.
                None => {
                    self.pace.count -= 1;
                    return;
                }
            }
        }
    }

    /// Devices that are registered de-register.
    fn leave(&mut self) {
        while self.turn < self.part.devices && self.under_way() < self.part.window {
            let device = self.turn;
            self.turn += 1;
            if self.devices.get(index(device)).is_some_and(Device::is_idle) {
                self.begin(device, Operation::Deregister, self.now);
            }
        }
    }

    /// The moment that the next operation is meant for, if it has come; it counts as begun.
    fn due_now(&mut self) -> Option<Instant> {
        let intended = match self.pace.next() {
            Some(at) if self.pace.rate.is_some() => Some(at).filter(|at| *at <= self.now),
            _ => (self.under_way() < self.part.window).then_some(self.now),
        }?;
        self.pace.count += 1;
        Some(intended)
    }

    fn next_idle(&mut self) -> Option<u32> {
        while let Some(device) = self.idle.pop_front() {
            let state = self.devices.get_mut(index(device))?;
            state.is_queued = false;
            if state.is_idle() {
                return Some(device);
            }
        }
        None
    }

    fn next_observed(&mut self) -> Option<u32> {
        for _ in 0..OBSERVED_TRIES {
            if self.observed_next >= self.observed.len() {
                self.observed_next = 0;
            }
            let device = *self.observed.get(self.observed_next)?;
            let state = self.devices.get_mut(index(device))?;
            if state.observations.is_empty() {
                state.is_listed = false;
                self.observed.swap_remove(self.observed_next);
                continue;
            }
            self.observed_next += 1;
            if state.is_idle() {
                return Some(device);
            }
        }
        None
    }

    /// Puts a device that may begin something into the queue.
    fn enqueue(&mut self, device: u32) {
        if let Some(state) = self.devices.get_mut(index(device))
            && state.is_idle()
            && !std::mem::replace(&mut state.is_queued, true)
        {
            self.idle.push_back(device);
        }
    }

    /// Ends an exchange, well or not; returns what it was.
    fn end(&mut self, exchange: u32, outcome: Outcome) -> Option<(u32, Operation, u64)> {
        let slot = self.exchanges.get(index(exchange))?;
        let (device, operation, phase, value) = (slot.device, slot.operation, slot.phase, slot.value);
        let latency = self.now.saturating_duration_since(slot.begun);
        let token = slot.token;
        self.free.push(exchange);
        if outcome == Outcome::Right {
            record(&mut self.recent, latency);
        }
        let in_time = u64::from(self.phase() == Some(phase));
        self.stats.end((phase, operation), outcome, latency, in_time);
        if let Some(state) = self.devices.get_mut(index(device)) {
            state.exchange = None;
            state.last_token = token;
        }
        Some((device, operation, value))
    }

    /// What is measured at present.
    fn phase(&self) -> Option<Phase> {
        match self.stage {
            Stage::Ramp => Some(Phase::Ramp),
            Stage::Run => Some(Phase::Run),
            Stage::Drain => None,
            Stage::Leave => Some(Phase::Leave),
        }
    }

    /// Sends a message of CoAP, through the tunnel if there is one.
    fn send(&mut self, device: u32, message: &[u8]) {
        if self.settings.secure.is_some() {
            self.seal(device, message);
        } else {
            self.transmit(device, message);
        }
    }

    fn send_empty(&mut self, device: u32, ty: Type, message_id: MessageId) {
        let mut buffer = [0; 4];
        let message = lightship_coap::Encoder::new(&mut buffer, ty, Code::EMPTY, message_id, Token::EMPTY);
        if message.finish().is_ok() {
            self.send(device, &buffer);
        }
    }

    fn transmit(&mut self, device: u32, datagram: &[u8]) {
        if let (Some(awake), Some(state)) = (self.settings.awake, self.devices.get_mut(index(device))) {
            state.awake_until = self.now + awake;
        }
        if self.is_lost() {
            self.stats.lost[0] += 1;
            return;
        }
        self.outbox.bytes.extend_from_slice(datagram);
        self.outbox.datagrams.push((device, self.outbox.bytes.len()));
    }

    fn is_lost(&mut self) -> bool {
        self.settings.loss > 0 && self.rng.next_u32() < self.settings.loss
    }

    /// The number of a device among all.
    fn number(&self, device: u32) -> u32 {
        self.part.first.wrapping_add(device)
    }

    fn name(&self, device: u32) -> String {
        self.settings.name.of(self.number(device))
    }

    /// A value that no other operation of any thread carries.
    fn unique_value(&mut self) -> u64 {
        self.next_value += 1;
        self.next_value * u64::from(self.part.threads) + u64::from(self.part.thread)
    }

    fn set_life(&mut self, device: u32, life: Life) {
        let Some(state) = self.devices.get_mut(index(device)) else { return };
        let was = std::mem::replace(&mut state.life, life);
        self.registered -= u32::from(was == Life::Registered);
        self.registered += u32::from(life == Life::Registered);
    }
}

impl Pace {
    /// When the next operation is due; in a closed loop at once.
    #[allow(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "not negative, and saturating"
    )]
    #[allow(clippy::cast_precision_loss, reason = "counts stay far below 2^53")]
    fn next(&self) -> Option<Instant> {
        let rate = self.rate?;
        Some(self.begin + Duration::from_micros((self.count as f64 / rate * 1e6) as u64))
    }
}

/// A number as an index.
fn index(number: u32) -> usize {
    usize::try_from(number).unwrap_or(usize::MAX)
}

/// Operations begun before anything that came is looked at.
const BURST_MAX: usize = 256;
/// How far to look for a device that is observed and has nothing else to do.
const OBSERVED_TRIES: usize = 64;

#[cfg(test)]
mod tests;
