//! Notifications, sent and received (RFC 7641).

use lightship_platform::Instant;

use super::buffer::{Buffer, List};
use super::config::Config;
use super::cut::{Cut, Head, Payload, etag, has_option};
use super::dedup::{Seen, SeenState};
use super::flight::{Flight, Kind};
use super::types::{NewNotification, NotificationTicket, SendError};
use super::{Peer, Scratch};
use crate::code::Type;
use crate::encode::OptionWriter;
use crate::option::OptionNumber;

impl<B: Buffer> Peer<B> {
    /// Sends a notification.
    ///
    /// `options` adds Observe (from the observation's [`Sequence`](crate::Sequence)) and the rest;
    /// of a body that is too large for one message the first block is sent, and the rest kept for
    /// the other side to fetch. If the peer's buffer cannot keep it, the application is asked anew
    /// for each block, by a GET.
    ///
    /// A confirmable one ends in one of `PeerEvent::Notification…`; until then another of the same
    /// `key` is refused as [`SendError::Busy`]: send the newest state when that event comes. After
    /// `NotificationRejected` and `NotificationTimedOut` the observation is over.
    ///
    /// # Errors
    ///
    /// [`SendError::Busy`], [`SendError::TooLarge`], [`SendError::Options`].
    pub fn notify(
        &mut self,
        now: Instant,
        config: &Config,
        new: NewNotification,
        options: impl FnOnce(&mut OptionWriter<'_>),
        payload: &[u8],
    ) -> Result<(), SendError> {
        let kind = Kind::Notification(new.key);
        let is_underway = self.flights.as_slice().iter().any(|flight| flight.kind == kind);
        if is_underway || (new.confirmable && !self.can_send(config)) {
            return Err(SendError::Busy);
        }
        let options = Scratch::new(options)?;
        let options = options.as_bytes();
        let room = config.payload_room(new.token.len(), options.len());
        let cut = Cut::new(None, payload.len(), room, config).ok_or(SendError::TooLarge)?;
        let tag = (cut.is_part() && !has_option(options, OptionNumber::ETAG)).then(|| etag(payload));
        let kept = if cut.has_more() {
            self.keep(now, config, new.cache_key, new.code, options, tag, payload).ok()
        } else {
            None
        };
        let head = Head {
            ty: if new.confirmable { Type::Con } else { Type::Non },
            code: new.code,
            message_id: self.random.message_id(),
            token: new.token,
            options,
            etag: tag,
            block1: None,
            block2: cut.block,
            size2: cut.has_more().then_some(payload.len()),
        };
        let part = Payload::Lent(payload.get(cut.from..cut.to).unwrap_or(&[]));
        let sent = self.store_message(&head, part, config).and_then(|blob| {
            let mut flight = Flight { kind, blob, confirmable: new.confirmable, ..Flight::default() };
            let timeout_ms = self.random.first_timeout_ms(config);
            flight.launch(now, head.message_id, timeout_ms, config);
            self.push_flight(flight)
        });
        match (kept, sent) {
            (Some(kept), Ok(())) => self.transfers.put(kept, &mut self.arena),
            (Some(kept), Err(_)) => kept.free(&mut self.arena),
            (None, _) => {}
        }
        sent
    }

    /// Stops repeating a notification whose observation is over; no event follows.
    pub fn withdraw(&mut self, key: u32) {
        let kind = Kind::Notification(key);
        if let Some(index) = self.flights.as_slice().iter().position(|flight| flight.kind == kind) {
            self.remove_flight(index);
        }
    }

    /// Accepts a notification, now or later: it is acknowledged if it was confirmable. To be called
    /// also for one that is not the newest (RFC 7641 §3.4).
    pub fn accept(&mut self, ticket: NotificationTicket) {
        let state = if ticket.confirmable { SeenState::Ack } else { SeenState::Silent };
        self.decide(ticket, state);
    }

    /// Rejects a notification whose token is unknown or no longer wanted, by a Reset. A
    /// non-confirmable response that is no notification is ignored instead.
    pub fn reject(&mut self, ticket: NotificationTicket) {
        let is_worth_it = ticket.confirmable || ticket.observe;
        self.decide(ticket, if is_worth_it { SeenState::Reset } else { SeenState::Silent });
    }

    /// Takes back that a notification came: it is not acknowledged, and its repetition appears as a new one. For one that could
    /// not be kept.
    pub fn forget(&mut self, ticket: NotificationTicket) {
        let undecided = |seen: &Seen| {
            seen.message_id == ticket.message_id && seen.at == ticket.at && seen.state == SeenState::Undecided
        };
        let index = self.seen.iter().position(undecided);
        if let Some(index) = index {
            self.seen.remove(index, &mut self.arena);
        }
    }

    fn decide(&mut self, ticket: NotificationTicket, state: SeenState) {
        self.seen.change(ticket.message_id, |seen| {
            if seen.at == ticket.at && seen.state == SeenState::Undecided {
                (seen.state, seen.due) = (state, state != SeenState::Silent);
            }
        });
    }
}
