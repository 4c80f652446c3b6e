//! The conversation with one other side, in both roles at once, without sockets or clock.
//!
//! ```text
//!                    handle_input ──▶ Incoming: Request / Response / Notification
//!   application      respond · request · notify · accept · reject · cancel           network
//!                    poll_event ──▶ what failed, what was acknowledged
//!                    handle_timeout · poll_timeout                 poll_transmit ──▶ datagrams
//! ```
//!
//! After every call that takes `&mut self`, take datagrams from [`Peer::poll_transmit`] and events
//! from [`Peer::poll_event`] until both return `None`; then ask [`Peer::poll_timeout`].
//!
//! Who does what: the peer repeats, acknowledges, detects duplicates, matches, cuts bodies into
//! blocks and puts them together. It keeps **no** list of observations: the application keeps the
//! token with what it knows of the observation anyway, sends with [`Peer::notify`], and accepts or
//! rejects what comes with that token. It keeps no line of waiting requests either: NSTART is
//! enforced ([`SendError::Busy`]), and the application's line stands before [`Peer::request`].

mod arena;
mod buffer;
mod config;
mod cut;
mod dedup;
mod digest;
mod exchange;
mod flight;
mod notify;
mod random;
mod serve;
mod transfer;
mod types;

use lightship_platform::{Instant, Rng};

use self::arena::{Arena, BlobId};
use self::buffer::{Bytes, List};
use self::dedup::{Dedup, Seen, SeenState};
use self::flight::{Flight, Kind, Phase};
use self::random::Random;
use self::transfer::Transfers;
use self::types::Place;
use crate::code::{Code, MessageId, Token, Type};
use crate::encode::{EncodeError, Encoder, OptionWriter};
use crate::message::{Message, Role};

#[cfg(feature = "alloc")]
pub use self::buffer::HeapBuffer;
pub use self::buffer::{Buffer, FixedBuffer};
pub use self::config::{Config, UNDERSTOOD};
pub use self::types::{
    Body, CacheKey, Dropped, ExchangeId, Failure, Incoming, NewNotification, NewRequest, Notification,
    NotificationTicket, PeerEvent, Request, Response, SendError, Ticket,
};

/// The longest that one message's options may be, together.
pub const OPTIONS_LEN_MAX: usize = 512;

/// One other side. See the [module](self).
#[derive(Debug)]
pub struct Peer<B: Buffer> {
    random: Random,
    arena: Arena<B::Bytes>,
    seen: Dedup<B::Seen>,
    flights: B::Flights,
    transfers: Transfers<B::Transfers>,
    /// The number of the next exchange.
    next_exchange: u32,
    /// A body handed out; freed at the next input.
    handed_out: BlobId,
    /// A Reset that is due for a message that is not remembered.
    reset: Option<MessageId>,
    /// The last non-confirmable notifications: a Reset to one ends its observation.
    notified: [Notified; 4],
}

/// A non-confirmable notification sent before.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Notified {
    #[default]
    Nothing,
    Sent(MessageId, u32),
    /// It was answered by a Reset, which is yet to be reported.
    Rejected(u32),
}

impl<B: Buffer> Peer<B> {
    /// A conversation that has not begun. `rng` seeds tokens, message IDs and timeouts.
    pub fn new(rng: &mut impl Rng) -> Self {
        Self {
            random: Random::new(rng),
            arena: Arena::default(),
            seen: Dedup::default(),
            flights: B::Flights::default(),
            transfers: Transfers::default(),
            next_exchange: 0,
            handed_out: BlobId::NONE,
            reset: None,
            notified: [Notified::Nothing; 4],
        }
    }

    /// The message ID that will be used next; for a peer that takes this one's place.
    #[must_use]
    pub const fn next_message_id(&self) -> MessageId {
        self.random.peek_message_id()
    }

    /// Goes on with the message IDs of the peer whose place this one takes, so that the other side does not take something new
    /// for a repetition (RFC 7252 §4.4).
    pub const fn continue_message_ids(&mut self, next: MessageId) {
        self.random.set_message_id(next);
    }

    /// Takes in one datagram. Never fails: whatever is wrong with it, is told in the result.
    pub fn handle_input<'d>(&mut self, now: Instant, config: &Config, datagram: &'d [u8]) -> Incoming<'d> {
        self.begin(now, config);
        let message = match Message::parse(datagram) {
            Ok(message) => message,
            Err(malformed) => {
                self.reset = malformed.reset;
                return Incoming::Dropped(Dropped::Malformed(malformed));
            }
        };
        match message.role() {
            Role::Request => self.on_request(now, config, message),
            Role::Response => self.on_response(now, config, message),
            Role::Ack => self.on_ack(now, config, message.message_id()),
            Role::Reset => self.on_reset(message.message_id()),
            Role::Ping => {
                self.reset = Some(message.message_id());
                Incoming::Nothing
            }
            Role::Unusable => {
                if message.ty() == Type::Con {
                    self.reset = Some(message.message_id());
                }
                Incoming::Dropped(Dropped::Unusable)
            }
        }
    }

    /// The bytes of a body just handed out; valid until the next [`Peer::handle_input`] or
    /// [`Peer::handle_timeout`], empty afterwards.
    #[must_use]
    pub fn payload<'a>(&'a self, body: Body<'a>) -> &'a [u8] {
        match body.0 {
            Place::Datagram(bytes) => bytes,
            Place::Assembled => self.arena.get(self.handed_out),
        }
    }

    /// Acts on all timers that have ended.
    pub fn handle_timeout(&mut self, now: Instant, config: &Config) {
        self.begin(now, config);
        self.seen.acknowledge_late(now, config);
        for flight in self.flights.as_mut_slice() {
            if flight.at > now || flight.is_done() || flight.repeat(now, config) {
                continue;
            }
            flight.phase = Phase::Done(match flight.kind {
                Kind::Request(number) | Kind::Ping(number) => {
                    PeerEvent::RequestFailed { exchange: ExchangeId(number), reason: Failure::Timeout }
                }
                Kind::Notification(key) => PeerEvent::NotificationTimedOut { key },
                Kind::Response => PeerEvent::ResponseLost,
            });
        }
    }

    /// When [`Peer::handle_timeout`] wants to be called; `None` when nothing is awaited.
    #[must_use]
    pub fn poll_timeout(&self, config: &Config) -> Option<Instant> {
        let flights = self.flights.as_slice().iter().filter(|flight| !flight.is_done());
        let acks = self.seen.iter().filter_map(|seen| seen.ack_due_at(config));
        // Only where memory can be given back is it worth waking up for. One waking for all.
        let frees = <B::Bytes as Bytes>::FREES;
        let seen = if frees { self.seen.all_expired_at(config) } else { None };
        let transfers = self.transfers.iter().filter(|_| frees).map(|transfer| transfer.expires).max();
        flights.map(|flight| flight.at).chain(acks).chain(seen).chain(transfers).min()
    }

    /// Whether nothing is under way: all that [`Peer::poll_timeout`] may say then is when memory can be given back.
    #[must_use]
    pub fn is_at_rest(&self) -> bool {
        self.flights.as_slice().is_empty()
            && self.transfers.iter().next().is_none()
            && !self.seen.has_pending()
    }

    /// Writes the next datagram into `out` and returns its length; `None` when there is none.
    ///
    /// `out` should hold 1152 bytes (RFC 7252 §4.6), or as much as the largest block, options and
    /// header need; a datagram that does not fit is lost.
    pub fn poll_transmit(&mut self, out: &mut [u8]) -> Option<usize> {
        if let Some(message_id) = self.reset.take()
            && let Ok(len) = encode_empty(Type::Reset, message_id, out)
        {
            return Some(len);
        }
        while let Some(seen) = self.seen.take_due() {
            let written = match seen.state {
                SeenState::Acknowledged | SeenState::Ack => encode_empty(Type::Ack, seen.message_id, out),
                SeenState::Reset => encode_empty(Type::Reset, seen.message_id, out),
                SeenState::Answer(blob) => copy(self.arena.get(blob), out),
                SeenState::Bare(code, token) => {
                    Encoder::new(out, Type::Ack, code, seen.message_id, token).finish()
                }
                SeenState::Pending | SeenState::Undecided | SeenState::Silent | SeenState::Forgotten => {
                    continue;
                }
            };
            if let Ok(len) = written {
                return Some(len);
            }
        }
        self.transmit_flight(out)
    }

    /// When the newest message came that is still remembered.
    #[must_use]
    pub fn last_heard(&self) -> Option<Instant> {
        self.seen.iter().map(|seen| seen.at).max()
    }

    /// Whether [`Peer::poll_transmit`] may have more to write.
    #[must_use]
    pub fn has_more(&self) -> bool {
        self.reset.is_some() || self.seen.has_due() || self.flights.as_slice().iter().any(|flight| flight.due)
    }

    /// The next event; `None` when there is none.
    pub fn poll_event(&mut self) -> Option<PeerEvent> {
        for slot in &mut self.notified {
            if let Notified::Rejected(key) = *slot {
                *slot = Notified::Nothing;
                return Some(PeerEvent::NotificationRejected { key });
            }
        }
        let flights = self.flights.as_slice().iter().enumerate();
        let (index, event) = flights.into_iter().find_map(|(index, flight)| match flight.phase {
            Phase::Done(event) => Some((index, event)),
            Phase::Sending | Phase::Acknowledged => None,
        })?;
        self.remove_flight(index);
        Some(event)
    }

    /// Ends a request of ours without waiting for its response; no event follows. Its response,
    /// should it come, appears as an [`Incoming::Notification`].
    pub fn cancel(&mut self, exchange: ExchangeId) {
        let ours = |flight: &Flight| {
            flight.kind == Kind::Request(exchange.0) || flight.kind == Kind::Ping(exchange.0)
        };
        if let Some(index) = self.flights.as_slice().iter().position(ours) {
            self.remove_flight(index);
        }
    }

    /// Whether NSTART and the peer's memory allow one more request or confirmable notification.
    #[must_use]
    pub fn can_send(&self, config: &Config) -> bool {
        self.outstanding() < usize::from(config.nstart.max(1))
    }

    /// True when nothing is open: no request in either direction, no notification awaiting its
    /// acknowledgement, no body half-way.
    #[must_use]
    pub fn is_idle(&self) -> bool {
        let working = |seen: &Seen| matches!(seen.state, SeenState::Pending | SeenState::Acknowledged);
        self.flights.as_slice().is_empty()
            && self.transfers.iter().next().is_none()
            && !self.seen.iter().any(working)
    }

    /// Bytes now held in bodies, options and stored answers.
    #[must_use]
    pub fn buffered_len(&self) -> usize {
        self.arena.len()
    }

    /// Memory now taken beside the peer itself, in bytes.
    #[cfg(feature = "alloc")]
    #[must_use]
    pub fn heap_len(&self) -> usize {
        self.arena.heap_len() + self.seen.heap_len() + self.flights.heap_len() + self.transfers.heap_len()
    }

    /// Gives up bodies in blocks that have not arrived or been fetched whole, and stored answers,
    /// to make memory free. What was given up is answered like something never begun.
    pub fn shed(&mut self) {
        while self.transfers.drop_oldest(&mut self.arena) {}
        while self.seen.make_room(&mut self.arena) {}
    }

    /// What every input begins with: the last body handed out is over, and what is too old goes.
    fn begin(&mut self, now: Instant, config: &Config) {
        self.arena.free(self.handed_out);
        self.handed_out = BlobId::NONE;
        self.seen.expire(now, &mut self.arena, config);
        self.transfers.expire(now, &mut self.arena);
    }

    fn outstanding(&self) -> usize {
        self.flights.as_slice().iter().filter(|flight| flight.is_outstanding()).count()
    }

    fn on_ack(&mut self, now: Instant, config: &Config, message_id: MessageId) -> Incoming<'static> {
        let Some(index) = self.flight_sending(message_id) else {
            return Incoming::Dropped(Dropped::Unmatched);
        };
        if let Some(flight) = self.flights.as_mut_slice().get_mut(index) {
            match flight.kind {
                Kind::Request(_) => {
                    flight.phase = Phase::Acknowledged;
                    flight.at = now + config.response_within;
                }
                Kind::Ping(number) => {
                    flight.phase = Phase::Done(PeerEvent::Pong { exchange: ExchangeId(number) });
                }
                Kind::Notification(key) => {
                    flight.phase = Phase::Done(PeerEvent::NotificationAcknowledged { key });
                }
                Kind::Response => self.remove_flight(index),
            }
        }
        Incoming::Nothing
    }

    fn on_reset(&mut self, message_id: MessageId) -> Incoming<'static> {
        if let Some(index) = self.flights.as_slice().iter().position(|flight| {
            // A Reset may also follow the empty acknowledgement, or answer an unconfirmed message.
            flight.message_id == message_id && !flight.is_done()
        }) {
            if let Some(flight) = self.flights.as_mut_slice().get_mut(index) {
                flight.due = false;
                flight.phase = Phase::Done(match flight.kind {
                    Kind::Request(number) => {
                        PeerEvent::RequestFailed { exchange: ExchangeId(number), reason: Failure::Reset }
                    }
                    Kind::Ping(number) => PeerEvent::Pong { exchange: ExchangeId(number) },
                    Kind::Notification(key) => PeerEvent::NotificationRejected { key },
                    Kind::Response => PeerEvent::ResponseLost,
                });
            }
            return Incoming::Nothing;
        }
        for slot in &mut self.notified {
            if let Notified::Sent(sent, key) = *slot
                && sent == message_id
            {
                *slot = Notified::Rejected(key);
                return Incoming::Nothing;
            }
        }
        Incoming::Dropped(Dropped::Unmatched)
    }

    fn flight_sending(&self, message_id: MessageId) -> Option<usize> {
        self.flights
            .as_slice()
            .iter()
            .position(|flight| flight.message_id == message_id && flight.phase == Phase::Sending)
    }

    /// Writes the next message that is due.
    fn transmit_flight(&mut self, out: &mut [u8]) -> Option<usize> {
        loop {
            let index = self.flights.as_slice().iter().position(|flight| flight.due && !flight.is_done())?;
            let flight = self.flights.as_mut_slice().get_mut(index)?;
            flight.due = false;
            let flight = *flight;
            let written = match flight.kind {
                Kind::Request(_) => self.encode_request(&flight, out),
                Kind::Ping(_) => encode_empty(Type::Con, flight.message_id, out),
                Kind::Notification(_) | Kind::Response => copy(self.arena.get(flight.blob), out),
            };
            if !flight.confirmable {
                match flight.kind {
                    // These await nothing more.
                    Kind::Response => self.remove_flight(index),
                    Kind::Notification(key) => {
                        self.notified.rotate_right(1);
                        if let Some(newest) = self.notified.first_mut() {
                            *newest = Notified::Sent(flight.message_id, key);
                        }
                        self.remove_flight(index);
                    }
                    Kind::Request(_) | Kind::Ping(_) => {}
                }
            }
            if let Ok(len) = written {
                return Some(len);
            }
        }
    }

    fn push_flight(&mut self, flight: Flight) -> Result<(), SendError> {
        /// More than the application's answers to the requests a well-behaved peer has open.
        const FLIGHTS_MAX: usize = 16;
        if self.flights.push(flight, FLIGHTS_MAX) {
            return Ok(());
        }
        self.free_flight(&flight);
        Err(SendError::Busy)
    }

    fn remove_flight(&mut self, index: usize) {
        if let Some(flight) = self.flights.as_slice().get(index).copied() {
            self.free_flight(&flight);
            self.flights.remove(index);
        }
    }

    fn free_flight(&mut self, flight: &Flight) {
        self.arena.free(flight.blob);
        self.arena.free(flight.request.body);
        self.arena.free(flight.request.received);
    }
}

/// Options written aside, before anything is stored.
struct Scratch {
    bytes: [u8; OPTIONS_LEN_MAX],
    len: usize,
}

impl Scratch {
    /// Nothing yet. Made where it stays: it is worth not moving.
    const fn empty() -> Self {
        Self { bytes: [0; OPTIONS_LEN_MAX], len: 0 }
    }

    fn new(options: impl FnOnce(&mut OptionWriter<'_>)) -> Result<Self, SendError> {
        let mut scratch = Self::empty();
        scratch.write(options)?;
        Ok(scratch)
    }

    fn write(&mut self, options: impl FnOnce(&mut OptionWriter<'_>)) -> Result<&[u8], SendError> {
        let mut writer = OptionWriter::new(&mut self.bytes);
        options(&mut writer);
        self.len = writer.finish().map_err(SendError::Options)?;
        Ok(self.as_bytes())
    }

    fn as_bytes(&self) -> &[u8] {
        self.bytes.get(..self.len).unwrap_or(&[])
    }
}

fn encode_empty(ty: Type, message_id: MessageId, out: &mut [u8]) -> Result<usize, EncodeError> {
    Encoder::new(out, ty, Code::EMPTY, message_id, Token::EMPTY).finish()
}

fn copy(message: &[u8], out: &mut [u8]) -> Result<usize, EncodeError> {
    out.get_mut(..message.len()).ok_or(EncodeError::BufferFull)?.copy_from_slice(message);
    // An answer that was given up has no bytes any more.
    if message.is_empty() { Err(EncodeError::BufferFull) } else { Ok(message.len()) }
}
