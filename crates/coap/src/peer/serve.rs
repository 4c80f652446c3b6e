//! The server's part: requests come in, responses go out.

use core::fmt::Write as _;

use lightship_platform::Instant;

use super::arena::BlobId;
use super::buffer::Buffer;
use super::config::Config;
use super::cut::{Cut, Head, Payload, etag, has_option};
use super::dedup::{Seen, SeenState};
use super::digest::Digest;
use super::flight::Flight;
use super::transfer::{Direction, Transfer};
use super::types::{Body, CacheKey, Dropped, Incoming, Place, Request, SendError, Ticket};
use super::{Peer, Scratch};
use crate::block::Block;
use crate::code::{Code, MessageId, Type};
use crate::encode::OptionWriter;
use crate::link::TextBuffer;
use crate::message::{Message, Options};
use crate::option::OptionNumber;

/// What became of a block of a request's body.
enum Upload {
    /// It was the last.
    Complete(Body<'static>),
    /// More are to come.
    Continue,
    /// The body is given up, with this code.
    Refused(Code),
}

impl<B: Buffer> Peer<B> {
    /// Answers a request: in the acknowledgement if it comes in time, separately otherwise.
    ///
    /// `options` adds the response's options, without Block1, Block2 and sizes; `payload` is the
    /// whole body. What does not fit one message is kept for the other side to fetch block by
    /// block; the response to a GET that does not fit the peer's buffer is not kept, but asked of
    /// the application anew for each block. An entity tag is added to a body in blocks unless
    /// `options` adds one. A response that the requester does not want (No-Response, RFC 7967) is
    /// not sent.
    ///
    /// # Errors
    ///
    /// [`SendError::TooLarge`] when the body must be kept and cannot (answer 5.00 then),
    /// [`SendError::Answered`] when that was done before, [`SendError::Options`], and
    /// [`SendError::Busy`] when too many separate responses await their acknowledgement.
    pub fn respond(
        &mut self,
        now: Instant,
        config: &Config,
        ticket: Ticket,
        code: Code,
        options: impl FnOnce(&mut OptionWriter<'_>),
        payload: &[u8],
    ) -> Result<(), SendError> {
        let mut scratch = Scratch::empty();
        let options = scratch.write(options)?;
        self.answer(now, config, &ticket, code, options, payload)
    }

    /// The same with a code and nothing else, as most answers are.
    ///
    /// # Errors
    ///
    /// As [`Peer::respond`].
    pub fn respond_bare(
        &mut self,
        now: Instant,
        config: &Config,
        ticket: Ticket,
        code: Code,
    ) -> Result<(), SendError> {
        self.answer(now, config, &ticket, code, &[], &[])
    }

    pub(super) fn on_request<'d>(
        &mut self,
        now: Instant,
        config: &Config,
        message: Message<'d>,
    ) -> Incoming<'d> {
        if self.answer_again(message.message_id()) {
            return Incoming::Nothing;
        }
        let confirmable = message.ty() == Type::Con;
        let seen = Seen {
            at: now,
            message_id: message.message_id(),
            state: SeenState::Pending,
            confirmable,
            is_handed: false,
            due: false,
        };
        self.seen.note(seen, &mut self.arena, config);
        let digest = Digest::of(&message, config.understood);
        let is_in_blocks = digest.block1.is_some() || digest.block2.is_some();
        let needs_key = config.keep_answers || is_in_blocks;
        let ticket = Ticket {
            at: now,
            message_id: message.message_id(),
            token: message.token(),
            confirmable,
            method: message.code(),
            no_response: digest.no_response,
            block1: digest.block1.and_then(Result::ok),
            block2: digest.block2.and_then(Result::ok),
            key: if needs_key { self.cache_key(&message) } else { CacheKey::default() },
        };
        if let Some(bad) = digest.bad {
            let code = match bad.number {
                OptionNumber::PROXY_URI | OptionNumber::PROXY_SCHEME => Code::PROXYING_NOT_SUPPORTED,
                _ => Code::BAD_OPTION,
            };
            let mut text = [0; 40];
            let mut diagnosis = TextBuffer::new(&mut text);
            // Cut short if need be; it is for human eyes.
            let _ = write!(diagnosis, "{}", bad.number);
            return self.refuse(now, config, &ticket, code, diagnosis.as_str());
        }
        if let Some(code) = flaw(config, &message, &digest) {
            return self.refuse(now, config, &ticket, code, "");
        }
        self.on_good_request(now, config, message, ticket)
    }

    fn on_good_request<'d>(
        &mut self,
        now: Instant,
        config: &Config,
        message: Message<'d>,
        ticket: Ticket,
    ) -> Incoming<'d> {
        let mut body = Body(Place::Datagram(message.payload()));
        if let Some(block) = ticket.block1 {
            if block.num() > 0 || block.more() {
                match self.receive_block(now, config, ticket.key, block, &message) {
                    Upload::Complete(whole) => body = whole,
                    Upload::Continue => return self.ask_next_block(now, config, &ticket, block),
                    Upload::Refused(code) => return self.refuse(now, config, &ticket, code, ""),
                }
            } else if !block.fits(message.payload().len()) {
                return self.refuse(now, config, &ticket, Code::BAD_REQUEST, "");
            }
        } else if ticket.block2.is_some_and(|block| block.num() > 0) {
            if let Some(kept) = self.transfers.take_out(ticket.key) {
                return self.serve_kept(now, config, &ticket, kept);
            }
            let is_whole = message.code() == Code::FETCH && !message.payload().is_empty();
            if message.code() != Code::GET && !is_whole {
                // To have the application do it again would be wrong, and its body is not here.
                return self.refuse(now, config, &ticket, Code::REQUEST_ENTITY_INCOMPLETE, "");
            }
        }
        self.seen.change(ticket.message_id, |seen| seen.is_handed = true);
        Incoming::Request(Request { ticket, message, body })
    }

    /// Repeats the answer to a message received before; false if it was not.
    pub(super) fn answer_again(&mut self, message_id: MessageId) -> bool {
        self.seen.change(message_id, |seen| {
            seen.due = match seen.state {
                SeenState::Acknowledged
                | SeenState::Ack
                | SeenState::Reset
                | SeenState::Answer(_)
                | SeenState::Bare(..) => true,
                SeenState::Pending | SeenState::Undecided | SeenState::Silent | SeenState::Forgotten => false,
            };
        })
    }

    /// Answers without the application. A non-confirmable request with a bad option is dropped
    /// (RFC 7252 §5.4.1).
    fn refuse(
        &mut self,
        now: Instant,
        config: &Config,
        ticket: &Ticket,
        code: Code,
        diagnosis: &str,
    ) -> Incoming<'static> {
        let bad_option = matches!(code, Code::BAD_OPTION | Code::PROXYING_NOT_SUPPORTED);
        if bad_option && !ticket.confirmable {
            self.settle(ticket, SeenState::Silent, false);
            return Incoming::Dropped(Dropped::Refused(code));
        }
        let size1 = u32::try_from(config.body_len_max.min(self.body_room(config))).unwrap_or(u32::MAX);
        let options = Scratch::new(|options| {
            if code == Code::REQUEST_ENTITY_TOO_LARGE {
                options.size1(size1);
            }
        });
        // Without room for even this there is no answer, and the other side asks again.
        let _ = options.and_then(|options| {
            self.answer(now, config, ticket, code, options.as_bytes(), diagnosis.as_bytes())
        });
        Incoming::Dropped(Dropped::Refused(code))
    }

    fn ask_next_block(
        &mut self,
        now: Instant,
        config: &Config,
        ticket: &Ticket,
        block: Block,
    ) -> Incoming<'static> {
        let block1 = Block::new(block.num(), true, block.size().min(config.block_size));
        // A No-Response option cannot mean that the transfer shall stall.
        let ticket = Ticket { block1, block2: None, no_response: 0, ..*ticket };
        let _ = self.answer(now, config, &ticket, Code::CONTINUE, &[], &[]);
        Incoming::Nothing
    }

    /// Takes in one block of a request's body (RFC 7959 §2.5).
    fn receive_block(
        &mut self,
        now: Instant,
        config: &Config,
        key: CacheKey,
        block: Block,
        message: &Message<'_>,
    ) -> Upload {
        let expires = now + config.exchange_lifetime();
        let begun = self.transfers.take_in(key);
        if let Some(transfer) = begun
            && block.more()
            && self.has_received(transfer.body, block.offset(), message.payload())
        {
            // A copy of an old block that went astray; or the transfer began anew with the same
            // body, which makes no difference.
            self.transfers.put(Transfer { expires, ..transfer }, &mut self.arena);
            return Upload::Continue;
        }
        let so_far = begun.map_or(BlobId::NONE, |transfer| transfer.body);
        let so_far = match block.num() {
            0 => {
                self.arena.free(so_far);
                BlobId::NONE
            }
            _ if !so_far.is_none() && self.arena.get(so_far).len() == block.offset() => so_far,
            _ => {
                self.arena.free(so_far);
                return Upload::Refused(Code::REQUEST_ENTITY_INCOMPLETE);
            }
        };
        if !block.fits(message.payload().len()) {
            self.arena.free(so_far);
            return Upload::Refused(Code::BAD_REQUEST);
        }
        let announced = message.size1().and_then(|size| usize::try_from(size).ok()).unwrap_or(0);
        let len = block.offset().saturating_add(message.payload().len());
        let appended = if len.max(announced) > config.body_len_max {
            Err(SendError::TooLarge)
        } else {
            self.append(so_far, message.payload(), config)
        };
        let Ok(body) = appended else {
            self.arena.free(so_far);
            return Upload::Refused(Code::REQUEST_ENTITY_TOO_LARGE);
        };
        if block.more() {
            let transfer = Transfer { key, expires, body, direction: Direction::In, is_served: false };
            self.transfers.put(transfer, &mut self.arena);
            return Upload::Continue;
        }
        self.hand_out(body);
        Upload::Complete(Body(Place::Assembled))
    }

    fn has_received(&self, body: BlobId, offset: usize, payload: &[u8]) -> bool {
        let end = offset.saturating_add(payload.len());
        self.arena.get(body).get(offset..end).is_some_and(|received| received == payload)
    }

    /// Answers with a block of a body kept for that.
    fn serve_kept(
        &mut self,
        now: Instant,
        config: &Config,
        ticket: &Ticket,
        kept: Transfer,
    ) -> Incoming<'static> {
        let Direction::Out(code, options) = kept.direction else { return Incoming::Nothing };
        let len = self.arena.get(kept.body).len();
        let room = config.payload_room(ticket.token.len(), self.arena.get(options).len());
        let Some(cut) = Cut::new(ticket.block2, len, room, config) else {
            self.transfers.put(kept, &mut self.arena);
            return self.refuse(now, config, ticket, Code::BAD_REQUEST, "");
        };
        let mut copy = [0; super::OPTIONS_LEN_MAX];
        let options_len = super::copy(self.arena.get(options), &mut copy).unwrap_or(0);
        let part = Payload::Stored(kept.body, cut.from, cut.to);
        let options = copy.get(..options_len).unwrap_or(&[]);
        let sent = self.send_response(now, config, ticket, code, options, None, cut, len, part);
        let expires = now + config.exchange_lifetime();
        let is_served = kept.is_served || (sent.is_ok() && !cut.has_more());
        self.transfers.put(Transfer { expires, is_served, ..kept }, &mut self.arena);
        match sent {
            Ok(()) => Incoming::Nothing,
            Err(_) => self.refuse(now, config, ticket, Code::INTERNAL_SERVER_ERROR, ""),
        }
    }

    /// Cuts, keeps, and sends a response. Nothing was sent when it fails.
    fn answer(
        &mut self,
        now: Instant,
        config: &Config,
        ticket: &Ticket,
        code: Code,
        options: &[u8],
        payload: &[u8],
    ) -> Result<(), SendError> {
        if no_response_wanted(ticket, code) {
            return self.suppress(ticket);
        }
        // An error is no representation of which a later block could be meant.
        let wish = ticket.block2.filter(|block| code.is_success() || block.num() == 0);
        let room = config.payload_room(ticket.token.len(), options.len());
        let Some(cut) = Cut::new(wish, payload.len(), room, config) else {
            return self.answer(now, config, ticket, Code::BAD_REQUEST, &[], &[]);
        };
        let tag = (cut.is_part() && !has_option(options, OptionNumber::ETAG)).then(|| etag(payload));
        let kept = if cut.has_more() {
            if !config.keep_answers {
                return Err(SendError::TooLarge);
            }
            let kept = self.keep(now, config, ticket.key, code, options, tag, payload);
            if ticket.method == Code::GET { kept.ok() } else { Some(kept?) }
        } else {
            None
        };
        let part = Payload::Lent(payload.get(cut.from..cut.to).unwrap_or(&[]));
        let sent = self.send_response(now, config, ticket, code, options, tag, cut, payload.len(), part);
        match (kept, sent) {
            (Some(kept), Ok(())) => self.transfers.put(kept, &mut self.arena),
            (Some(kept), Err(_)) => kept.free(&mut self.arena),
            (None, _) => {}
        }
        sent
    }

    /// Stores a body for the blocks still to be fetched. The caller puts it into the list.
    #[allow(clippy::too_many_arguments, reason = "the parts of a response")]
    pub(super) fn keep(
        &mut self,
        now: Instant,
        config: &Config,
        key: CacheKey,
        code: Code,
        options: &[u8],
        tag: Option<[u8; 4]>,
        payload: &[u8],
    ) -> Result<Transfer, SendError> {
        if let Some(old) = self.transfers.take_out(key) {
            old.free(&mut self.arena);
        }
        let options = Scratch::new(|writer| {
            // Observe belongs to the notification, not to the rest of its body (RFC 7959 §2.6).
            writer.copy(Options::over(options), |number| number != OptionNumber::OBSERVE);
            if let Some(tag) = tag {
                writer.etag(&tag);
            }
        })?;
        let options = self.store(options.as_bytes(), config)?;
        let body = self.store(payload, config).inspect_err(|_| self.arena.free(options))?;
        let expires = now + config.exchange_lifetime();
        Ok(Transfer { key, expires, body, direction: Direction::Out(code, options), is_served: false })
    }

    /// Sends one response message: piggybacked while its request waits for that, else on its own.
    #[allow(clippy::too_many_arguments, reason = "the parts of a response")]
    fn send_response(
        &mut self,
        now: Instant,
        config: &Config,
        ticket: &Ticket,
        code: Code,
        options: &[u8],
        etag: Option<[u8; 4]>,
        cut: Cut,
        body_len: usize,
        part: Payload<'_>,
    ) -> Result<(), SendError> {
        let state = self.waiting_state(ticket)?;
        let piggyback = ticket.confirmable && state == Some(SeenState::Pending);
        let is_bare = options.is_empty() && body_len == 0 && ticket.block1.is_none() && cut.block.is_none();
        if piggyback && is_bare {
            self.settle(ticket, SeenState::Bare(code, ticket.token), true);
            return Ok(());
        }
        let (ty, message_id) = match (piggyback, ticket.confirmable) {
            (true, _) => (Type::Ack, ticket.message_id),
            (false, true) => (Type::Con, self.random.message_id()),
            (false, false) => (Type::Non, self.random.message_id()),
        };
        let head = Head {
            ty,
            code,
            message_id,
            token: ticket.token,
            options,
            etag,
            block1: ticket.block1,
            block2: cut.block,
            size2: (cut.from == 0 && cut.has_more()).then_some(body_len),
        };
        let blob = self.store_message(&head, part, config)?;
        if piggyback {
            self.settle(ticket, SeenState::Answer(blob), true);
            return Ok(());
        }
        let mut flight = Flight { blob, confirmable: ticket.confirmable, ..Flight::default() };
        let timeout_ms = self.random.first_timeout_ms(config);
        flight.launch(now, message_id, timeout_ms, config);
        self.push_flight(flight)?;
        let settled = if ticket.confirmable { SeenState::Ack } else { SeenState::Silent };
        self.settle(ticket, settled, false);
        Ok(())
    }

    /// Ends a request without a response (RFC 7967): a confirmable one is acknowledged.
    fn suppress(&mut self, ticket: &Ticket) -> Result<(), SendError> {
        let state = self.waiting_state(ticket)?;
        if ticket.confirmable {
            self.settle(ticket, SeenState::Ack, state == Some(SeenState::Pending));
        } else {
            self.settle(ticket, SeenState::Silent, false);
        }
        Ok(())
    }

    /// How the request waits; `None` when it is so old that it was forgotten.
    fn waiting_state(&mut self, ticket: &Ticket) -> Result<Option<SeenState>, SendError> {
        match self.seen.find(ticket.message_id).filter(|seen| seen.at == ticket.at) {
            None => Ok(None),
            Some(seen) => match seen.state {
                SeenState::Pending | SeenState::Acknowledged => Ok(Some(seen.state)),
                SeenState::Undecided
                | SeenState::Silent
                | SeenState::Ack
                | SeenState::Reset
                | SeenState::Answer(_)
                | SeenState::Bare(..)
                | SeenState::Forgotten => Err(SendError::Answered),
            },
        }
    }

    fn settle(&mut self, ticket: &Ticket, state: SeenState, due: bool) {
        self.seen.change(ticket.message_id, |seen| {
            if seen.at == ticket.at {
                (seen.state, seen.due) = (state, due);
            }
        });
    }

    /// Makes a body the one that [`Peer::payload`] shows.
    pub(super) fn hand_out(&mut self, body: BlobId) {
        self.arena.free(self.handed_out);
        self.handed_out = body;
    }

    fn cache_key(&self, message: &Message<'_>) -> CacheKey {
        let mut hasher = self.random.hasher();
        hasher.write(&[message.code().0]);
        for option in message.options().filter(|option| steers_only_the_content(option.number)) {
            hasher.write(&option.number.0.to_le_bytes());
            hasher.write(&u32::try_from(option.value.len()).unwrap_or(u32::MAX).to_le_bytes());
            hasher.write(option.value);
        }
        CacheKey(hasher.finish())
    }
}

/// Whether an option decides what is transferred, and not how.
fn steers_only_the_content(number: OptionNumber) -> bool {
    let steers_transfer =
        matches!(number, OptionNumber::OBSERVE | OptionNumber::BLOCK1 | OptionNumber::BLOCK2);
    !steers_transfer && !number.is_no_cache_key()
}

/// The code to refuse a request with whose critical options are understood, but flawed.
fn flaw(config: &Config, message: &Message<'_>, digest: &Digest) -> Option<Code> {
    if message.code().detail() > Code::IPATCH.detail() {
        return Some(Code::METHOD_NOT_ALLOWED);
    }
    let reserved_size = matches!(digest.block1, Some(Err(_))) || matches!(digest.block2, Some(Err(_)));
    if !digest.is_text || reserved_size {
        return Some(Code::BAD_REQUEST);
    }
    (message.payload().len() > config.body_len_max).then_some(Code::REQUEST_ENTITY_TOO_LARGE)
}

fn no_response_wanted(ticket: &Ticket, code: Code) -> bool {
    let bit = 1_u8.checked_shl(u32::from(code.class()).saturating_sub(1)).unwrap_or(0);
    ticket.no_response & bit != 0
}
