//! A Bootstrap-Server, without sockets or clock: sessions in which devices are given their configuration, step by step.
//! Core TS 1.2, 6.1.
//!
//! ```text
//!   Bootstrap-Request ──▶ AskBootstrap ──▶ Answer::Step ──▶ 2.04, and the command
//!                                                              │
//!                  ┌── Answer::Step ◀── StepDone{ask} ◀── answer of the device
//!                  └──▶ the next command … Finish, 2.04 ──▶ Ended::Finished
//!
//!   Bootstrap-Pack-Request ──▶ AskPack ──▶ Answer::Pack ──▶ 2.05, Ended::PackSent
//! ```
//!
//! What a device is given the host decides, one step after another, since it may depend on what the device says of itself. This
//! machine owns what is the same for all: one session a device and address, of which the newest counts; one command at a time,
//! begun anew when no answer comes; an end to every session; and nothing kept for strangers beyond bounds.

mod contact;
mod event;
mod limits;
mod secured;
mod session;
mod talk;

use core::time::Duration;
use std::collections::{BTreeMap, VecDeque};
use std::net::SocketAddr;

use lightship_coap::MessageId;
use lightship_lwm2m::Endpoint;
use lightship_platform::{Instant, Rng as _, SeededRng};

// What my interface speaks of, so that a host needs no further room for it.
pub use lightship_lwm2m::bootstrap::{Command, Operation};

pub use self::event::{Answer, Caller, Ended, Event, Identity, Pack, SessionId, Step, StepOutcome};
pub use self::limits::Limits;
use self::secured::Held;
use self::session::{Question, Session};
use self::talk::Link;
use crate::devices::SecretHash;
use crate::limits::{RECORD_OVERHEAD, STATELESS_MAX};
use crate::secure::{Sealed, Sessions};
use crate::slab::{Key, Slab};
use crate::stateless::ShortAnswer;
use crate::timer::Timers;
use crate::trace::{Recorder, Way, answer};
use crate::{Security, SecurityStats, TraceAsk, TraceChunk, TraceDrop, TraceOf, Transmit};

/// The settings of a Bootstrap-Server; plain values, all of them legal.
#[derive(Clone, Debug)]
pub struct Config {
    /// The transmission parameters of CoAP (RFC 7252 §4.8).
    pub coap: lightship_coap::Config,
    /// What it takes to speak coaps; `None`: what comes to [`BootstrapServer::handle_secured_input`] is dropped.
    pub security: Option<Security>,
    /// How long the host may think about a question; then the answer is no.
    pub ask_timeout: Duration,
    /// How long a session may take, from its request to the answer to its Finish.
    pub session_timeout: Duration,
    /// How often a command is begun anew, with a new message ID, after the device has not answered at all. A device may
    /// be busy for long after it was given keys; it gives up itself after EXCHANGE_LIFETIME without a command.
    pub step_retries: u8,
    /// Whether Bootstrap-Pack-Requests are served; else they get 5.01, and devices fall back to Bootstrap-Requests.
    pub packs: bool,
    /// Whether a Bootstrap-Request that prefers an unknown format is served in TLV; the standard has it refused (4.15).
    pub tolerate_unknown_format: bool,
    /// Bytes for the last messages of all devices ([`BootstrapServer::trace`]); 0 = nothing is recorded.
    pub trace_bytes: usize,
    /// Every bound.
    pub limits: Limits,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            coap: lightship_coap::Config::default(),
            security: None,
            ask_timeout: Duration::from_secs(10),
            session_timeout: Duration::from_secs(15 * 60),
            step_retries: 1,
            packs: true,
            tolerate_unknown_format: false,
            trace_bytes: 1 << 20,
            limits: Limits::default(),
        }
    }
}

/// Counters since the Bootstrap-Server was made, and two gauges.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub struct Stats {
    /// Gauge: sessions under way.
    pub sessions: u64,
    /// Gauge: addresses for which CoAP state is kept now.
    pub peers: u64,
    /// Datagrams handed in.
    pub datagrams_in: u64,
    /// Datagrams given out.
    pub datagrams_out: u64,
    /// Datagrams not sent because the address has not proven to be its sender's, and got enough.
    pub withheld: u64,
    /// Datagrams that were no CoAP message.
    pub malformed: u64,
    /// Messages that came to nothing: answers that nobody waits for, requests for what is not here.
    pub dropped: u64,
    /// Bootstrap-Requests and Bootstrap-Pack-Requests refused, by us or by the host.
    pub refused: u64,
    /// Sessions begun.
    pub started: u64,
    /// Sessions that ended with the device's 2.04 to Finish, or with a pack sent.
    pub finished: u64,
    /// Sessions that ended otherwise.
    pub failed: u64,
    /// Sessions among those that a newer one displaced.
    pub displaced: u64,
    /// Packs sent.
    pub packs: u64,
    /// Commands sent, each counted once.
    pub steps: u64,
    /// Commands begun anew because the device had not answered.
    pub steps_repeated: u64,
    /// Questions that the host did not answer in time.
    pub asks_unanswered: u64,
    /// What is counted of secured sessions.
    pub security: SecurityStats,
}

/// A Bootstrap-Server: many devices, no sockets, no clock.
///
/// Driven by the five verbs and [`BootstrapServer::answer`]. After any call that takes `&mut self` the host drains
/// [`BootstrapServer::poll_transmit`] and [`BootstrapServer::poll_event`] until both return `None`, then reads
/// [`BootstrapServer::poll_timeout`]. Equal calls give equal results.
pub struct BootstrapServer {
    config: Config,
    rng: SeededRng,
    stats: Stats,
    secured: Sessions<Held>,
    links: Slab<Link>,
    by_address: BTreeMap<SocketAddr, Key<Link>>,
    /// Links in the order in which they were made, for [`Limits::strangers`].
    oldest: VecDeque<Key<Link>>,
    sending: VecDeque<Key<Link>>,
    sessions: Slab<Session>,
    by_endpoint: BTreeMap<Endpoint, Key<Session>>,
    last_session: u64,
    questions: Slab<Question>,
    timers: Timers<Due>,
    events: VecDeque<Event>,
    stateless: VecDeque<(SocketAddr, ShortAnswer)>,
    /// The last messages, for whoever asks.
    trace: Recorder,
    last_message_id: u16,
}

/// What a timer is for.
#[derive(Clone, Copy, Debug)]
enum Due {
    /// The CoAP machine of a link wants to go on, or the link is no longer needed.
    Link(Key<Link>),
    /// A session has taken too long.
    Session(Key<Session>),
    /// The host has had long enough to answer.
    Ask(Key<Question>),
}

impl BootstrapServer {
    /// A Bootstrap-Server without sessions. The seed must be secret and fresh for each run: tokens come from it.
    #[must_use]
    pub fn new(mut config: Config, seed: [u8; 32]) -> Self {
        let limits = &config.limits;
        config.coap.body_len_max = limits.body;
        config.coap.buffer_len_max = limits.body.max(limits.request_body).saturating_mul(2);
        config.coap.nstart = 1;
        let mut rng = SeededRng::new(seed);
        let mut security = config.security.clone().map(|security| (security, rng.split()));
        let mut secret = [0; 16];
        if let Some((_, rng)) = &mut security {
            rng.fill(&mut secret);
        }
        let hashes = SecretHash { secret: u128::from_le_bytes(secret) };
        let trace_bytes = config.trace_bytes;
        let secured = Sessions::new(security, (0, 0), config.ask_timeout, hashes);
        Self {
            config,
            rng,
            stats: Stats::default(),
            secured,
            links: Slab::new(),
            by_address: BTreeMap::new(),
            oldest: VecDeque::new(),
            sending: VecDeque::new(),
            sessions: Slab::new(),
            by_endpoint: BTreeMap::new(),
            last_session: 0,
            questions: Slab::new(),
            timers: Timers::new(),
            events: VecDeque::new(),
            stateless: VecDeque::new(),
            trace: Recorder::new(trace_bytes, hashes),
            last_message_id: 0,
        }
    }

    /// Takes a datagram. It never fails: what makes no sense is dropped, and counted.
    pub fn handle_input(&mut self, now: Instant, from: SocketAddr, datagram: &mut [u8]) {
        self.stats.datagrams_in += 1;
        let known = self.by_address.get(&from).copied();
        let Some(link) = known.or_else(|| self.admit(now, from, datagram)) else { return };
        self.input(now, link, datagram);
        self.settle(now, link);
    }

    /// Lets the time pass.
    pub fn handle_timeout(&mut self, now: Instant) {
        self.timers.advance(now);
        while let Some(due) = self.timers.pop() {
            match due {
                Due::Link(link) => self.link_due(now, link),
                Due::Session(session) => self.session_due(now, session),
                Due::Ask(question) => self.unanswered(now, question),
            }
        }
        self.secured.handle_timeout(now);
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
        if let Some((to, len)) = self.secured.poll_transmit(out) {
            return Some(Transmit { to, secured: true, len });
        }
        while let Some(key) = self.sending.front().copied() {
            let Some(link) = self.links.get_mut(key) else {
                self.sending.pop_front();
                continue;
            };
            if let Some(secured) = link.secured {
                let len = self.secured.room(secured, out).and_then(|room| {
                    let len = link.peer.poll_transmit(room)?;
                    self.trace.record(link.way_out(), room.get(..len)?);
                    Some(len)
                });
                match len {
                    Some(len) if link.may_send(len + RECORD_OVERHEAD) => {
                        if let Some(Sealed { to, len, .. }) = self.secured.seal(secured, out, len) {
                            return Some(Transmit { to, secured: true, len });
                        }
                        self.trace.dropped(TraceDrop::Unsent);
                    }
                    Some(_) => self.trace.withhold(&mut self.stats.withheld),
                    None => {
                        link.queued = false;
                        self.sending.pop_front();
                    }
                }
                continue;
            }
            let Some(len) = link.peer.poll_transmit(out) else {
                link.queued = false;
                self.sending.pop_front();
                continue;
            };
            self.trace.record_start(link.way_out(), out, len);
            if link.may_send(len) {
                return Some(Transmit { to: link.address, secured: false, len });
            }
            self.trace.withhold(&mut self.stats.withheld);
        }
        None
    }

    /// The next thing the host should know or answer.
    pub fn poll_event(&mut self) -> Option<Event> {
        self.take_happened(self.secured.now());
        self.events.pop_front()
    }

    /// When [`BootstrapServer::handle_timeout`] has something to do; `None` for never.
    #[must_use]
    pub fn poll_timeout(&self) -> Option<Instant> {
        [self.timers.next(), self.secured.poll_timeout()].into_iter().flatten().min()
    }

    /// The place of the newest message that is recorded ([`TraceAsk::after`]); 0 = there is none.
    #[must_use]
    pub fn trace_newest(&self) -> u64 {
        self.trace.newest()
    }

    /// What is recorded of a device, or of an address; asked again with [`TraceChunk::more`] for older messages.
    #[must_use]
    pub fn trace(&self, ask: TraceAsk) -> TraceChunk {
        let key = match ask.of() {
            TraceOf::Endpoint(endpoint) => self.by_endpoint.get(endpoint),
            TraceOf::Address(..) => None,
        };
        let link = key.and_then(|key| self.links.get(self.sessions.get(*key)?.link()));
        let known = link.map(Link::known).unwrap_or_default();
        answer(&self.trace, ask, &known)
    }

    /// The counters.
    #[must_use]
    pub fn stats(&self) -> Stats {
        let count = |len: usize| u64::try_from(len).unwrap_or(u64::MAX);
        Stats {
            sessions: count(self.sessions.len()),
            peers: count(self.links.len()),
            security: self.secured.stats(),
            ..self.stats
        }
    }

    /// For answers outside any link.
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
