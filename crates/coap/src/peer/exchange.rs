//! The client's part: requests go out, responses come in.

use lightship_platform::Instant;

use super::arena::BlobId;
use super::buffer::{Buffer, List};
use super::config::Config;
use super::dedup::{Seen, SeenState};
use super::flight::{Exchange, Flight, Kind, Phase};
use super::types::{
    Body, Dropped, ExchangeId, Failure, Incoming, NewRequest, Notification, NotificationTicket, PeerEvent,
    Place, Response, SendError,
};
use super::{Peer, Scratch};
use crate::block::{Block, BlockSize};
use crate::code::{Code, Token, Type};
use crate::encode::{EncodeError, Encoder, OptionWriter};
use crate::message::{Message, Options};
use crate::option::OptionNumber;

impl<B: Buffer> Peer<B> {
    /// Sends a request.
    ///
    /// `options` adds its options, without Block1, Block2 and sizes; `payload` is the whole body,
    /// of any length that fits the peer's buffer. It ends with exactly one
    /// [`Incoming::Response`] or [`PeerEvent::RequestFailed`], unless it is cancelled.
    ///
    /// # Errors
    ///
    /// [`SendError::Busy`], when NSTART allows no more: nothing was sent or stored;
    /// [`SendError::TooLarge`], [`SendError::TokenInUse`], [`SendError::Options`].
    pub fn request(
        &mut self,
        now: Instant,
        config: &Config,
        new: NewRequest,
        options: impl FnOnce(&mut OptionWriter<'_>),
        payload: &[u8],
    ) -> Result<ExchangeId, SendError> {
        let asks = config.early_block2 && payload.len() <= config.block_size.bytes();
        let exchange = Exchange {
            ask: if asks { Block::new(0, false, config.block_size) } else { None },
            ..Exchange::default()
        };
        self.begin_exchange(now, config, new, options, exchange, payload)
    }

    /// Fetches the rest of a notification whose first block has come (RFC 7959 §2.6).
    ///
    /// `new` and `options` are those of the request that began the observation, without Observe
    /// and with a fresh token; `payload` is that request's body (of a FETCH), or empty.
    /// The response carries the whole body, the notification's block included. Must be called
    /// while the notification's datagram is at hand; whoever cannot (because of
    /// [`SendError::Busy`]) may later send a plain request instead, which costs one block more.
    ///
    /// # Errors
    ///
    /// As for [`Peer::request`].
    pub fn request_rest(
        &mut self,
        now: Instant,
        config: &Config,
        notification: &Notification<'_>,
        new: NewRequest,
        options: impl FnOnce(&mut OptionWriter<'_>),
        payload: &[u8],
    ) -> Result<ExchangeId, SendError> {
        let message = &notification.message;
        let first = match message.block2() {
            Some(Ok(block)) if block.num() == 0 && block.more() && block.fits(message.payload().len()) => {
                block
            }
            // There is no rest to this one: the whole is fetched.
            _ => return self.request(now, config, new, options, payload),
        };
        self.check_free(config, new.token)?;
        let received = self.append(BlobId::NONE, message.payload(), config)?;
        let exchange = Exchange {
            ask: next_block(message.payload().len(), first.size().min(config.block_size)),
            is_fetching: true,
            received,
            fingerprint: self.fingerprint(message),
            ..Exchange::default()
        };
        self.begin_exchange(now, config, new, options, exchange, payload)
            .inspect_err(|_| self.arena.free(received))
    }

    /// Asks whether the other side is there (RFC 7252 §4.3): an empty confirmable message.
    /// Ends in [`PeerEvent::Pong`] or [`PeerEvent::RequestFailed`].
    ///
    /// # Errors
    ///
    /// [`SendError::Busy`], as for [`Peer::request`].
    pub fn ping(&mut self, now: Instant, config: &Config) -> Result<ExchangeId, SendError> {
        self.check_free(config, None)?;
        let number = self.exchange_number();
        let mut flight = Flight { kind: Kind::Ping(number), confirmable: true, ..Flight::default() };
        self.launch(&mut flight, now, config);
        self.push_flight(flight)?;
        Ok(ExchangeId(number))
    }

    fn begin_exchange(
        &mut self,
        now: Instant,
        config: &Config,
        new: NewRequest,
        options: impl FnOnce(&mut OptionWriter<'_>),
        exchange: Exchange,
        payload: &[u8],
    ) -> Result<ExchangeId, SendError> {
        self.check_free(config, new.token)?;
        let options = Scratch::new(options)?;
        let blob = self.store(options.as_bytes(), config)?;
        let body = self.store(payload, config).inspect_err(|_| self.arena.free(blob))?;
        let token = match new.token {
            Some(token) => token,
            None => self.fresh_token(config),
        };
        let number = self.exchange_number();
        let (upload_at, upload_size) = if exchange.is_fetching {
            (None, config.block_size)
        } else {
            upload_start(config, token, options.as_bytes().len(), payload.len())
        };
        let request =
            Exchange { code: new.code, first_token: token, body, upload_at, upload_size, ..exchange };
        let mut flight = Flight {
            kind: Kind::Request(number),
            confirmable: new.confirmable,
            token,
            blob,
            request,
            ..Flight::default()
        };
        self.launch(&mut flight, now, config);
        self.push_flight(flight)?;
        Ok(ExchangeId(number))
    }

    /// Checks NSTART, and that the token is free.
    fn check_free(&self, config: &Config, token: Option<Token>) -> Result<(), SendError> {
        if !self.can_send(config) {
            return Err(SendError::Busy);
        }
        match token {
            Some(token) if self.exchange_with(token).is_some() => Err(SendError::TokenInUse),
            _ => Ok(()),
        }
    }

    fn exchange_number(&mut self) -> u32 {
        let number = self.next_exchange;
        self.next_exchange = number.wrapping_add(1);
        number
    }

    fn fresh_token(&mut self, config: &Config) -> Token {
        loop {
            let token = self.random.token(config);
            if self.exchange_with(token).is_none() {
                return token;
            }
        }
    }

    pub(super) fn launch(&mut self, flight: &mut Flight, now: Instant, config: &Config) {
        let message_id = self.random.message_id();
        let timeout_ms = self.random.first_timeout_ms(config);
        flight.launch(now, message_id, timeout_ms, config);
    }

    /// The open request under this token.
    fn exchange_with(&self, token: Token) -> Option<usize> {
        self.flights.as_slice().iter().position(|flight| {
            matches!(flight.kind, Kind::Request(_))
                && !flight.is_done()
                && (flight.token == token || flight.request.first_token == token)
        })
    }

    /// The open request to which a response with this token belongs: the one it was last sent
    /// under, or the one an observation is being established under.
    fn exchange_awaiting(&self, token: Token) -> Option<usize> {
        let index = self.exchange_with(token)?;
        let flight = self.flights.as_slice().get(index)?;
        (flight.token == token || flight.request.observe.is_some()).then_some(index)
    }

    pub(super) fn on_response<'d>(
        &mut self,
        now: Instant,
        config: &Config,
        message: Message<'d>,
    ) -> Incoming<'d> {
        if message.ty() != Type::Ack && self.answer_again(message.message_id()) {
            return Incoming::Nothing;
        }
        let is_bad = message.bad_option(config.understood).is_some();
        let Some(index) = self.exchange_awaiting(message.token()) else {
            return self.on_unmatched(now, config, message, is_bad);
        };
        let Some(flight) = self.flights.as_slice().get(index) else { return Incoming::Nothing };
        let is_piggybacked = message.ty() == Type::Ack;
        let fits = flight.token == message.token() && flight.message_id == message.message_id();
        if is_piggybacked && !fits {
            return Incoming::Dropped(Dropped::Unmatched);
        }
        if !is_piggybacked {
            let state = match (message.ty(), is_bad) {
                (Type::Con, false) => SeenState::Ack,
                (Type::Con, true) => SeenState::Reset,
                _ => SeenState::Silent,
            };
            self.note_response(now, config, &message, state);
        }
        if is_bad {
            return self.fail(index, Failure::BadOption);
        }
        self.advance(now, config, index, message)
    }

    /// A response to no open exchange is the application's to judge, unless it is an
    /// acknowledgement: those answer nothing but requests.
    fn on_unmatched<'d>(
        &mut self,
        now: Instant,
        config: &Config,
        message: Message<'d>,
        is_bad: bool,
    ) -> Incoming<'d> {
        if message.ty() == Type::Ack {
            return Incoming::Dropped(Dropped::Unmatched);
        }
        if is_bad {
            let is_con = message.ty() == Type::Con;
            let state = if is_con { SeenState::Reset } else { SeenState::Silent };
            self.note_response(now, config, &message, state);
            return Incoming::Dropped(Dropped::Unmatched);
        }
        self.note_response(now, config, &message, SeenState::Undecided);
        let ticket = NotificationTicket {
            at: now,
            message_id: message.message_id(),
            confirmable: message.ty() == Type::Con,
            observe: message.observe().is_some(),
        };
        Incoming::Notification(Notification { ticket, message })
    }

    fn note_response(&mut self, now: Instant, config: &Config, message: &Message<'_>, state: SeenState) {
        let confirmable = message.ty() == Type::Con;
        let due = matches!(state, SeenState::Ack | SeenState::Reset);
        let is_handed = state == SeenState::Undecided;
        let seen = Seen { at: now, message_id: message.message_id(), state, confirmable, is_handed, due };
        self.seen.note(seen, &mut self.arena, config);
    }

    /// Takes an exchange one response further.
    fn advance<'d>(
        &mut self,
        now: Instant,
        config: &Config,
        index: usize,
        message: Message<'d>,
    ) -> Incoming<'d> {
        let Some(flight) = self.flights.as_slice().get(index).copied() else { return Incoming::Nothing };
        let mut request = flight.request;
        if flight.token != message.token() {
            // A newer notification arrived while the rest of the first was fetched: begin anew
            // with this one (RFC 7959 §2.6).
            if message.observe().is_none() {
                return self.finish(index, message, request.observe, Place::Datagram(message.payload()));
            }
            self.arena.free(request.received);
            request = Exchange { received: BlobId::NONE, is_fetching: false, ask: None, ..request };
        }
        if let Some(echo) = message.echo()
            && message.code() == Code::UNAUTHORIZED
            && !request.is_echoed
        {
            return self.repeat_with_echo(now, config, index, echo, message);
        }
        match upload_step(&request, self.arena.get(request.body).len(), &message) {
            UploadStep::Next(at, size) => {
                let request = Exchange { upload_at: Some(at), upload_size: size, ..request };
                return self.send_next(now, config, index, request, flight.token);
            }
            UploadStep::Wrong => return self.fail(index, Failure::BadBlock),
            UploadStep::Over => {}
        }
        self.receive(now, config, index, request, message)
    }

    /// Takes in the response's body, or a block of it.
    fn receive<'d>(
        &mut self,
        now: Instant,
        config: &Config,
        index: usize,
        mut request: Exchange,
        message: Message<'d>,
    ) -> Incoming<'d> {
        let payload = message.payload();
        let so_far = self.arena.get(request.received).len();
        let observe = if so_far == 0 { message.observe() } else { request.observe };
        let block = match message.block2() {
            // An error ends a transfer; a response that ignores blocks is a whole.
            _ if !message.code().is_success() => None,
            None => None,
            Some(Err(_)) => return self.fail(index, Failure::BadBlock),
            Some(Ok(block)) => Some(block),
        };
        let announced = message.size2().and_then(|size| usize::try_from(size).ok()).unwrap_or(0);
        let len = payload.len().saturating_add(if block.is_some() { so_far } else { 0 });
        if len > config.body_len_max || (block.is_some_and(Block::more) && announced > config.body_len_max) {
            return self.fail(index, Failure::TooLarge);
        }
        let Some(block) = block else {
            return self.finish(index, message, observe, Place::Datagram(payload));
        };
        let fingerprint = self.fingerprint(&message);
        let is_continued = so_far == 0 || fingerprint == request.fingerprint;
        if block.offset() != so_far || !block.fits(payload.len()) || !is_continued {
            return self.fail(index, Failure::BadBlock);
        }
        if so_far == 0 && !block.more() {
            return self.finish(index, message, observe, Place::Datagram(payload));
        }
        let Ok(received) = self.append(request.received, payload, config) else {
            return self.fail(index, Failure::TooLarge);
        };
        if let Some(flight) = self.flights.as_mut_slice().get_mut(index) {
            flight.request.received = received;
        }
        if !block.more() {
            return self.finish(index, message, observe, Place::Assembled);
        }
        request.received = received;
        request.observe = observe;
        request.fingerprint = fingerprint;
        request.is_fetching = true;
        if request.upload_at.take().is_some() || request.code != Code::FETCH {
            // The other side has it; only a short FETCH is repeated whole (RFC 8132 §2).
            self.arena.free(request.body);
            request.body = BlobId::NONE;
        }
        request.ask = next_block(so_far + payload.len(), block.size().min(config.block_size));
        if request.ask.is_none() {
            return self.fail(index, Failure::BadBlock);
        }
        let token = self.fresh_token(config);
        self.send_next(now, config, index, request, token)
    }

    /// Sends the exchange's next message.
    fn send_next(
        &mut self,
        now: Instant,
        config: &Config,
        index: usize,
        request: Exchange,
        token: Token,
    ) -> Incoming<'static> {
        let message_id = self.random.message_id();
        let timeout_ms = self.random.first_timeout_ms(config);
        if let Some(flight) = self.flights.as_mut_slice().get_mut(index) {
            flight.request = request;
            flight.token = token;
            flight.launch(now, message_id, timeout_ms, config);
        }
        Incoming::Nothing
    }

    /// Sends the request again with the value that proves its freshness (RFC 9175 §2.3).
    fn repeat_with_echo<'d>(
        &mut self,
        now: Instant,
        config: &Config,
        index: usize,
        echo: &[u8],
        message: Message<'d>,
    ) -> Incoming<'d> {
        let Some(flight) = self.flights.as_slice().get(index).copied() else { return Incoming::Nothing };
        let options = Scratch::new(|writer| {
            writer.copy(Options::over(self.arena.get(flight.blob)), |number| number != OptionNumber::ECHO);
            writer.echo(echo);
        });
        let stored = options
            .and_then(|options| Ok((self.store(options.as_bytes(), config)?, options.as_bytes().len())));
        let Ok((blob, options_len)) = stored else {
            return self.finish(index, message, None, Place::Datagram(message.payload()));
        };
        self.arena.free(flight.blob);
        if let Some(flight) = self.flights.as_mut_slice().get_mut(index) {
            flight.blob = blob;
        }
        let body_len = self.arena.get(flight.request.body).len();
        let (upload_at, upload_size) = upload_start(config, flight.token, options_len, body_len);
        let request = Exchange { is_echoed: true, upload_at, upload_size, ..flight.request };
        self.send_next(now, config, index, request, flight.token)
    }

    fn finish<'d>(
        &mut self,
        index: usize,
        message: Message<'d>,
        observe: Option<u32>,
        place: Place<'d>,
    ) -> Incoming<'d> {
        let Some(flight) = self.flights.as_mut_slice().get_mut(index) else { return Incoming::Nothing };
        let Kind::Request(number) = flight.kind else { return Incoming::Nothing };
        let token = flight.request.first_token;
        if place == Place::Assembled {
            let body = core::mem::take(&mut flight.request.received);
            self.hand_out(body);
        }
        self.remove_flight(index);
        Incoming::Response(Response {
            exchange: ExchangeId(number),
            message,
            observe,
            token,
            body: Body(place),
        })
    }

    fn fail(&mut self, index: usize, reason: Failure) -> Incoming<'static> {
        if let Some(flight) = self.flights.as_mut_slice().get_mut(index)
            && let Kind::Request(number) = flight.kind
        {
            flight.due = false;
            flight.phase = Phase::Done(PeerEvent::RequestFailed { exchange: ExchangeId(number), reason });
        }
        Incoming::Nothing
    }

    /// Stands for what must be the same in all blocks of a body.
    fn fingerprint(&self, message: &Message<'_>) -> u64 {
        let mut hasher = self.random.hasher();
        hasher.write(&[message.code().0]);
        for option in message.options() {
            if matches!(option.number, OptionNumber::ETAG | OptionNumber::CONTENT_FORMAT) {
                hasher.write(&option.number.0.to_le_bytes());
                hasher.write(option.value);
            }
        }
        hasher.finish()
    }

    /// Writes the request's current message; the same bytes each time until the next one begins.
    pub(super) fn encode_request(&self, flight: &Flight, out: &mut [u8]) -> Result<usize, EncodeError> {
        let request = &flight.request;
        let ty = if flight.confirmable { Type::Con } else { Type::Non };
        let mut message = Encoder::new(out, ty, request.code, flight.message_id, flight.token);
        let options = message.options();
        options.copy(Options::over(self.arena.get(flight.blob)), |number| {
            !(request.is_fetching && number == OptionNumber::OBSERVE)
        });
        if let Some(block) = request.ask {
            options.block2(block);
        }
        let body = self.arena.get(request.body);
        let part = match request.upload_at {
            Some(at) => {
                let from = usize::try_from(at).unwrap_or(usize::MAX);
                if let Some(block) = Block::at(from, body.len(), request.upload_size) {
                    options.block1(block);
                }
                if at == 0 {
                    options.size1(u32::try_from(body.len()).unwrap_or(u32::MAX));
                }
                let to = body.len().min(from.saturating_add(request.upload_size.bytes()));
                body.get(from..to).unwrap_or(&[])
            }
            None => body,
        };
        message.finish_with(part)
    }
}

/// How the upload of a request's body goes on after a response.
enum UploadStep {
    /// With the block at this position, of this size.
    Next(u32, BlockSize),
    /// The response does not fit what was sent.
    Wrong,
    /// There is no upload any more, or the response ends it.
    Over,
}

/// Judges the response to a block of an upload (RFC 7959 §2.5, §2.9.3).
fn upload_step(request: &Exchange, body_len: usize, message: &Message<'_>) -> UploadStep {
    let code = message.code();
    let is_continue = code == Code::CONTINUE;
    let Some(at) = request.upload_at else {
        return if is_continue { UploadStep::Wrong } else { UploadStep::Over };
    };
    let size = request.upload_size;
    let next = usize::try_from(at).unwrap_or(usize::MAX).saturating_add(size.bytes());
    let block = match message.block1() {
        Some(Err(_)) => return UploadStep::Wrong,
        Some(Ok(block)) => Some(block),
        None => None,
    };
    if code == Code::REQUEST_ENTITY_TOO_LARGE
        && at == 0
        && let Some(block) = block
        && block.size() < size
    {
        return UploadStep::Next(0, block.size());
    }
    let has_more = next < body_len;
    let Some(block) = block.filter(|_| is_continue || (has_more && code.is_success())) else {
        return if is_continue { UploadStep::Wrong } else { UploadStep::Over };
    };
    let current = Block::at(usize::try_from(at).unwrap_or(usize::MAX), body_len, size);
    // The number stays that of the block sent, even when a smaller size is asked for.
    let is_ours = current.is_some_and(|current| current.num() == block.num()) && block.size() <= size;
    match u32::try_from(next) {
        Ok(next) if is_ours && has_more => UploadStep::Next(next, block.size()),
        _ => UploadStep::Wrong,
    }
}

/// Where the upload of a body begins, and in which size; at `None` if one message carries it all.
fn upload_start(config: &Config, token: Token, options_len: usize, len: usize) -> (Option<u32>, BlockSize) {
    let room = config.payload_room(token.len(), options_len);
    let fits = len <= config.block_size.bytes().min(room);
    let size = config.block_size.min(BlockSize::at_most(room));
    if fits { (None, size) } else { (Some(0), size) }
}

/// What to ask for after `received` bytes.
fn next_block(received: usize, size: BlockSize) -> Option<Block> {
    // The "more" bit means nothing in a request and is sent as 0.
    let block = Block::at(received, 0, size)?;
    Block::new(block.num(), false, size)
}
