//! The shard: its tables, its five verbs, and what the host may look up.

use core::time::Duration;
use std::collections::VecDeque;
use std::net::SocketAddr;

use lightship_coap::{Code, Message, MessageId};
use lightship_lwm2m::Endpoint;
use lightship_platform::{Instant, Rng, SeededRng};

use crate::alike::Alike;
use crate::asks::Question;
use crate::devices::{Device, Devices, SecretHash};
use crate::downlink::Job;
use crate::interned::Interned;
use crate::limits::{METERED_MAX, RECORD_OVERHEAD, STATELESS_MAX};
use crate::links::{Link, Links};
use crate::meter::Meter;
use crate::observation::Observation;
use crate::profiles::Profiles;
use crate::route::Forwards;
use crate::secure::{Sealed, SessionEnd, Sessions};
use crate::secured::Held;
use crate::slab::{Key, Slab, chunk_len};
use crate::stateless::{FirstContact, ShortAnswer, first_contact, refuse};
use crate::timer::{LASTING, Timers};
use crate::trace::{Known, Recorder, Way, answer};
use crate::transmission::Settings;
use crate::{Config, Event, Locator, Registration, Stats, TraceAsk, TraceChunk, TraceDrop, TraceOf, Wanted};

/// One shard of a LwM2M Server: many devices, no sockets, no clock.
///
/// Driven by five verbs and its commands. After any call that takes `&mut self` the host drains
/// [`Shard::poll_transmit`] and [`Shard::poll_event`] until both return `None`, then reads [`Shard::poll_timeout`]
/// and calls [`Shard::handle_timeout`] when that moment has come. Equal calls give equal results.
pub struct Shard {
    pub(crate) config: Config,
    /// For addresses without a registration: the same, with room for a Register only.
    pub(crate) strangers_coap: lightship_coap::Config,
    /// For devices, by their names.
    pub(crate) transmissions: Settings,
    /// How long repetitions of a message may arrive; what nobody is heard of for so long is forgotten.
    pub(crate) link_span: Duration,
    pub(crate) rng: SeededRng,
    pub(crate) stats: Stats,
    pub(crate) devices: Devices,
    pub(crate) links: Links,
    pub(crate) sessions: Sessions<Held>,
    pub(crate) jobs: Slab<Job>,
    pub(crate) observations: Slab<Observation, { chunk_len::<Observation>() }>,
    pub(crate) wanted: Interned<Wanted>,
    pub(crate) questions: Slab<Question>,
    pub(crate) timers: Timers<Due>,
    /// When the lifetimes of registrations are over.
    pub(crate) lifetimes: Timers<Key<Device>, LASTING>,
    pub(crate) events: VecDeque<Event>,
    pub(crate) forwards: Forwards,
    pub(crate) secured_forwards: Forwards,
    pub(crate) profiles: Profiles,
    pub(crate) alike: Alike,
    /// Registers by device, address and network.
    pub(crate) registers: Meter,
    /// The last messages, for whoever asks.
    pub(crate) trace: Recorder,
    stateless: VecDeque<(SocketAddr, ShortAnswer)>,
    last_message_id: u16,
}

/// What a timer is for.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Due {
    /// The CoAP machine of a link wants to go on, or the link is no longer needed.
    Link(Key<Link>),
    /// The awake window of a device in Queue Mode may be over.
    Window(Key<Device>),
    /// A downlink request has waited long enough.
    Deadline(Key<Job>),
    /// A wanted observation is to be tried again.
    Pause(Key<Observation>),
    /// An observation in doubt has run long enough to be started anew.
    Doubt(Key<Observation>),
    /// The host has had long enough to answer.
    Ask(Key<Question>),
}

/// A datagram that [`Shard::poll_transmit`] has written.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Transmit {
    /// Where it goes.
    pub to: SocketAddr,
    /// Whether it leaves by the socket for secured datagrams.
    pub secured: bool,
    /// How many bytes of the buffer it takes.
    pub len: usize,
}

impl Shard {
    /// A shard without devices. The seed must be secret and fresh for each run: tokens and locators come from it.
    #[must_use]
    pub fn new(mut config: Config, seed: [u8; 32]) -> Self {
        if config.strict_parameters {
            config.limits.attributes = 0;
        }
        let limits = &config.limits;
        config.coap.body_len_max = limits.body.max(limits.register_body);
        config.coap.buffer_len_max = limits.body.max(limits.request_body).saturating_mul(2);
        // The device's line admits one request at a time; its blocks and retransmissions are the machine's.
        config.coap.nstart = 1;
        // No answer of ours is long.
        config.coap.keep_answers = false;
        let strangers_coap = lightship_coap::Config {
            body_len_max: limits.register_body,
            buffer_len_max: limits.register_body.saturating_mul(2),
            ..config.coap.clone()
        };
        let transmissions = Settings::new(&config.coap, &config.transmissions);
        let link_span = transmissions.exchange_lifetime_max();
        let mut rng = SeededRng::new(seed);
        let hashes = SecretHash { secret: u128::from(rng.next_u64()) << 64 | u128::from(rng.next_u64()) };
        let forwards = |size| Forwards::new(if config.shards > 1 { size } else { 0 }, hashes);
        let secured = config.security.as_ref().map_or(0, |security| security.limits.forwards);
        let (forwards, secured_forwards) = (forwards(config.limits.forwards), forwards(secured));
        let trace_bytes = config.trace_bytes;
        let security = config.security.clone().map(|security| (security, rng.split()));
        let sessions = Sessions::new(security, (config.shard, config.node), config.ask_timeout, hashes);
        Self {
            config,
            strangers_coap,
            transmissions,
            link_span,
            rng,
            stats: Stats::default(),
            devices: Devices::new(hashes),
            links: Links::new(hashes),
            sessions,
            jobs: Slab::new(),
            observations: Slab::new(),
            wanted: Interned::new(hashes),
            questions: Slab::new(),
            timers: Timers::new(),
            lifetimes: Timers::new(),
            events: VecDeque::new(),
            forwards,
            secured_forwards,
            profiles: Profiles::default(),
            alike: Alike::new(hashes),
            registers: Meter::new(METERED_MAX, hashes),
            trace: Recorder::new(trace_bytes, hashes),
            stateless: VecDeque::new(),
            last_message_id: 0,
        }
    }

    /// Takes a datagram. It never fails: what makes no sense is dropped, and counted.
    pub fn handle_input(&mut self, now: Instant, from: SocketAddr, datagram: &mut [u8]) {
        self.stats.datagrams_in += 1;
        let link = match self.links.by_address(from) {
            Some(link) => link,
            None => match self.devices.by_address(from) {
                Some(device) => self.open_link(now, (from, None), Some(device)),
                None => match self.admit(now, from, datagram) {
                    Some(link) => link,
                    None => return,
                },
            },
        };
        if self.input(now, link, datagram)
            && let Some(device) = self.links.get(link).and_then(|link| link.device)
        {
            self.heard(now, device, datagram);
        }
        self.settle(now, link);
    }

    /// Lets the time pass.
    pub fn handle_timeout(&mut self, now: Instant) {
        self.timers.advance(now);
        while let Some(due) = self.timers.pop() {
            match due {
                Due::Link(link) => self.link_due(now, link),
                Due::Window(device) => self.window_due(now, device),
                Due::Deadline(job) => self.deadline_passed(now, job),
                Due::Pause(observation) => self.pause_over(now, observation),
                Due::Doubt(observation) => self.doubt_due(now, observation),
                Due::Ask(question) => self.unanswered(now, question),
            }
        }
        self.lifetimes.advance(now);
        while let Some(device) = self.lifetimes.pop() {
            self.expired(now, device);
        }
        self.sessions.handle_timeout(now);
        self.take_happened(now);
    }

    /// Writes the next datagram into `out`, which should have room for
    /// [`DATAGRAM_LEN_MAX`](crate::limits::DATAGRAM_LEN_MAX) bytes.
    pub fn poll_transmit(&mut self, out: &mut [u8]) -> Option<Transmit> {
        let transmit = self.next_transmit(out)?;
        self.stats.datagrams_out += 1;
        Some(transmit)
    }

    fn next_transmit(&mut self, out: &mut [u8]) -> Option<Transmit> {
        while let Some((to, answer)) = self.stateless.pop_front() {
            let bytes = answer.as_bytes();
            if let Some(place) = out.get_mut(..bytes.len()) {
                place.copy_from_slice(bytes);
                self.trace.record(Way { address: to, session: 0, tag: 0, flags: Way::OUT }, bytes);
                return Some(Transmit { to, secured: false, len: bytes.len() });
            }
        }
        if let Some((to, len)) = self.sessions.poll_transmit(out) {
            return Some(Transmit { to, secured: true, len });
        }
        while let Some(link) = self.links.first_sending() {
            if let Some(session) = link.session {
                let sending = self.sessions.room(session, out).and_then(|room| {
                    let len = link.peer.poll_transmit(room)?;
                    self.trace.record(link.way_out(), room.get(..len)?);
                    Some((len, is_acknowledgement(room)))
                });
                match sending {
                    Some((len, is_ack)) if link.may_send(len + RECORD_OVERHEAD) => {
                        if let Some(Sealed { to, len, is_worn }) = self.sessions.seal(session, out, len) {
                            let has_more = link.peer.has_more();
                            // The device is awake and has its answer: it makes new keys without losing anything.
                            if is_worn && is_ack && link.peer.is_idle() {
                                self.sessions.end(self.sessions.now(), session, SessionEnd::Exhausted);
                            }
                            if !has_more {
                                self.links.sent_all();
                            }
                            return Some(Transmit { to, secured: true, len });
                        }
                        self.trace.dropped(TraceDrop::Unsent);
                    }
                    Some(_) => self.trace.withhold(&mut self.stats.withheld),
                    None => self.links.sent_all(),
                }
                continue;
            }
            let Some(len) = link.peer.poll_transmit(out) else {
                self.links.sent_all();
                continue;
            };
            self.trace.record_start(link.way_out(), out, len);
            if link.may_send(len) {
                let to = link.address;
                if !link.peer.has_more() {
                    self.links.sent_all();
                }
                return Some(Transmit { to, secured: false, len });
            }
            self.trace.withhold(&mut self.stats.withheld);
        }
        None
    }

    /// The next thing the host should know or answer.
    #[inline]
    pub fn poll_event(&mut self) -> Option<Event> {
        self.take_happened(self.sessions.now());
        let event = self.events.pop_front();
        if event.is_none() && self.events.capacity() > EVENTS_ROOM_MAX {
            // A restart tells of all devices at once.
            self.events = VecDeque::new();
        }
        event
    }

    /// When [`Shard::handle_timeout`] has something to do; `None` for never.
    #[must_use]
    pub fn poll_timeout(&self) -> Option<Instant> {
        let timers = [self.timers.next(), self.lifetimes.next(), self.sessions.poll_timeout()];
        timers.into_iter().flatten().min()
    }

    /// The counters.
    #[must_use]
    pub fn stats(&self) -> Stats {
        Stats {
            registrations: count(self.devices.len()),
            observations: count(self.observations.len()),
            requests_live: count(self.jobs.len()),
            peers: count(self.links.len()),
            security: self.sessions.stats(),
            ..self.stats
        }
    }

    /// The registration of an endpoint.
    #[must_use]
    pub fn registration(&self, endpoint: &Endpoint) -> Option<Registration> {
        let device = self.devices.get(self.devices.by_endpoint(endpoint)?)?;
        Some(self.shown(device))
    }

    /// All registrations, in no order that means anything.
    pub fn registrations(&self) -> impl Iterator<Item = Registration> {
        self.devices.iter().map(|(_, device)| self.shown(device))
    }

    pub(crate) fn locator(&self, device: &Device) -> Locator {
        Locator { shard: self.config.shard, node: self.config.node, random: device.random }
    }

    /// The place of the newest message that is recorded ([`TraceAsk::after`]); 0 = there is none.
    #[must_use]
    pub fn trace_newest(&self) -> u64 {
        self.trace.newest()
    }

    /// What is recorded of a device, or of an address; asked again with [`TraceChunk::more`] for older messages.
    #[must_use]
    pub fn trace(&self, ask: TraceAsk) -> TraceChunk {
        let device = match ask.of() {
            TraceOf::Endpoint(endpoint) => {
                self.devices.by_endpoint(endpoint).and_then(|key| self.devices.get(key))
            }
            TraceOf::Address(..) => None,
        };
        let Some(device) = device else { return answer(&self.trace, ask, &Known::default()) };
        let session = device.session.and_then(|session| self.sessions.random(session));
        let mut chunk = answer(&self.trace, ask, &Known { address: Some(device.address()), session });
        let observations = device.observations.iter().filter_map(|key| self.observations.get(*key));
        let told = observations.filter_map(|one| Some((one.token?, one.wanted.observed.clone())));
        chunk.observed = told.collect();
        chunk.root = device.details.objects.root.to_string();
        chunk
    }

    /// Decides about a datagram from an address that has neither state nor a registration.
    fn admit(&mut self, now: Instant, from: SocketAddr, datagram: &[u8]) -> Option<Key<Link>> {
        self.trace.at(now);
        let id = self.next_message_id();
        match first_contact(datagram, || id) {
            FirstContact::Register => return Some(self.open_link(now, (from, None), None)),
            FirstContact::Update(locator) if self.may_move(locator) => {
                return Some(self.open_link(now, (from, None), None));
            }
            FirstContact::Update(_) => {
                self.stats.updates_refused += 1;
                self.refused_stranger(from, datagram, false);
                if let Ok(message) = Message::parse(datagram) {
                    let id = self.next_message_id();
                    if let FirstContact::Answer { answer, .. } = refuse(&message, Code::NOT_FOUND, || id) {
                        self.send_stateless(from, answer);
                    }
                }
            }
            FirstContact::Answer { answer, malformed } => {
                self.refused_stranger(from, datagram, malformed);
                self.send_stateless(from, answer);
            }
            FirstContact::Drop { malformed } => self.refused_stranger(from, datagram, malformed),
        }
        None
    }

    /// Each message counts once: as malformed, or as a stranger's.
    fn refused_stranger(&mut self, from: SocketAddr, datagram: &[u8], malformed: bool) {
        let why = if malformed { TraceDrop::Malformed } else { TraceDrop::NotRegistered };
        self.trace.record_dropped(Way { address: from, session: 0, tag: 0, flags: 0 }, datagram, why);
        let counter = if malformed { &mut self.stats.malformed } else { &mut self.stats.refused_strangers };
        *counter += 1;
    }

    /// For answers outside any link; strangers are few enough that a counter does not repeat itself too soon.
    fn next_message_id(&mut self) -> MessageId {
        self.last_message_id = self.last_message_id.wrapping_add(1);
        MessageId(self.last_message_id)
    }

    fn send_stateless(&mut self, to: SocketAddr, answer: ShortAnswer) {
        if self.stateless.len() < STATELESS_MAX {
            self.stateless.push_back((to, answer));
        }
    }
}

/// Whether a message acknowledges one of the other side (RFC 7252 §3).
fn is_acknowledgement(message: &[u8]) -> bool {
    message.first().is_some_and(|first| first >> 4 & 3 == 2)
}

fn count(len: usize) -> u64 {
    u64::try_from(len).unwrap_or(u64::MAX)
}

/// Room for events that an empty queue keeps, in events.
const EVENTS_ROOM_MAX: usize = 4096;

#[cfg(test)]
mod tests {
    use lightship_lwm2m::Endpoint;

    use super::*;

    #[test]
    fn the_room_of_very_many_events_is_given_back_and_that_of_many_kept() {
        let mut shard = Shard::new(Config::default(), [7; 32]);
        let endpoint = Endpoint::new("lamp").expect("a name");
        for (count, is_kept) in [(1000, true), (100_000, false)] {
            let event = || Event::Asleep { endpoint: endpoint.clone(), expected: None };
            shard.events.extend(std::iter::repeat_with(event).take(count));
            let told = std::iter::from_fn(|| shard.poll_event()).count();
            assert_eq!(told, count);
            assert_eq!(shard.events.capacity() >= count, is_kept, "{}", shard.events.capacity());
        }
    }
}
