//! Send: values that the client tells on its own initiative (TS_Core 6.4.7).

use lightship_lwm2m::format::{EncodeError, Encoder, Format, Use};

use super::serve::world;
use super::*;
use crate::dispatch::{Operation as Op, World};
use crate::event::{SendId, SendRefused};
use crate::gather::{encode, gather, least_after};
use crate::history::{Head, Pack, Stage, senml_time};
use crate::list::fingerprint;
use crate::negotiate;
use crate::read::exists;
use crate::snapshot::Snapshot;

/// How many Sends may be under way at a time.
const SENDS: usize = 2;
/// How many paths a Send may name.
pub(crate) const SEND_PATHS: usize = 8;

/// The Sends whose outcome was not reported yet.
#[derive(Debug, Default)]
pub(super) struct Sends {
    slots: [Option<Sending>; SENDS],
    count: u16,
}

/// A Send that waits, or whose answer is awaited.
#[derive(Debug, Clone, Copy)]
struct Sending {
    id: SendId,
    account: u8,
    what: What,
    how: How,
    exchange: Option<ExchangeId>,
    /// When a Send that is not confirmed, or one with a patience of its own, counts as lost.
    deadline: Option<Instant>,
}

/// The manner of a Send.
#[derive(Debug, Clone, Copy)]
struct How {
    confirmable: bool,
    /// Instead of the configuration's format.
    format: Option<ContentFormat>,
    /// How long the answer is awaited once it went out, instead of as long as CoAP does.
    patience: Option<Duration>,
}

impl How {
    const CONFIRMED: Self = Self { confirmable: true, format: None, patience: None };
}

/// What a Send holds.
#[derive(Debug, Clone, Copy)]
enum What {
    /// What these paths hold when it goes out.
    Present([Option<Path>; SEND_PATHS]),
    /// What was recorded, with its times.
    Recorded,
}

impl<O: Objects, B: Buffer, const SERVERS: usize, const OBSERVATIONS: usize, const BODY: usize>
    Client<O, B, SERVERS, OBSERVATIONS, BODY>
{
    /// Sends what some paths hold to a server: objects, instances, resources or resource instances, at most eight.
    ///
    /// The values are read when the message goes out, which is at once unless another exchange is open with that server.
    /// What is absent, not readable, or no business of that server is left out. Exactly one [`Event::Sent`] or
    /// [`Event::SendFailed`] follows.
    ///
    /// # Errors
    /// [`SendRefused::NotRegistered`] without a registration of 1.1 or later, [`SendRefused::Muted`] unless `/1/x/23` is there
    /// and false, [`SendRefused::Nothing`] when the paths hold nothing to send, [`SendRefused::Busy`] while as many Sends as
    /// possible are under way.
    pub fn send(&mut self, now: Instant, id: AccountId, paths: &[Path]) -> Result<SendId, SendRefused> {
        self.send_present(now, id, paths, How::CONFIRMED)
    }

    /// As [`Client::send`], in a format of its own, and given up (with [`Failure::Timeout`]) when no answer comes within
    /// `patience` of going out; `None` leaves either as it always is. A format that a Send of the negotiated version cannot have
    /// becomes SenML CBOR.
    ///
    /// # Errors
    /// As [`Client::send`].
    pub fn send_as(
        &mut self,
        now: Instant,
        id: AccountId,
        paths: &[Path],
        format: Option<ContentFormat>,
        patience: Option<Duration>,
    ) -> Result<SendId, SendRefused> {
        self.send_present(now, id, paths, How { format, patience, ..How::CONFIRMED })
    }

    /// As [`Client::send`], in a message that is sent once and not repeated (1.2.1). Where no answer comes within five
    /// acknowledgement times, [`Event::SendFailed`] says so; the values may have arrived all the same.
    ///
    /// # Errors
    /// As [`Client::send`]; [`SendRefused::NotRegistered`] also with a registration older than 1.2.
    pub fn send_unconfirmed(
        &mut self,
        now: Instant,
        id: AccountId,
        paths: &[Path],
    ) -> Result<SendId, SendRefused> {
        self.send_present(now, id, paths, How { confirmable: false, ..How::CONFIRMED })
    }

    /// Remembers what some paths hold now, for a later [`Client::send_recorded`] to this server. Returns how many values that
    /// are; without any nothing is remembered.
    ///
    /// Any time will do, registered or not, muted or not. When memory is used up, the oldest moments make room, of this and of
    /// what is kept for observations; without the feature `storing` there is none.
    ///
    /// # Errors
    /// [`SendRefused::Nothing`] when the paths hold nothing that this server may see, [`SendRefused::Busy`] when a value is not
    /// there yet or it is more than all of the memory, [`SendRefused::NotRegistered`] without such an account.
    pub fn record(&mut self, now: Instant, id: AccountId, paths: &[Path]) -> Result<usize, SendRefused> {
        self.account(id).ok_or(SendRefused::NotRegistered)?;
        let version = self.version(id);
        let world = world(self.config.root(), &mut self.objects, &mut self.accounts, id.0, version);
        let next = |after| least_after(paths.iter().copied(), after);
        let mut pack = Pack::new(&mut self.body);
        gather(&world, &next, &mut pack).map_err(|_| SendRefused::Busy)?;
        let (len, count) = pack.finish().ok_or(SendRefused::Busy)?;
        if count == 0 {
            return Err(SendRefused::Nothing);
        }
        let head =
            Head { account: id.0, stage: Stage::Kept, subject: Subject::SEND, at: now, target: Path::ROOT };
        if self.history.push(head, self.body.get(..len).unwrap_or_default()) {
            Ok(count)
        } else {
            Err(SendRefused::Busy)
        }
    }

    /// Sends what was recorded for a server, with its times, in SenML: as many moments, the oldest first, as fit into one body.
    /// They are forgotten when the server took them, and stay for another try when not. What was recorded while the Send was
    /// under way stays for the next.
    ///
    /// Exactly one [`Event::Sent`] or [`Event::SendFailed`] follows.
    ///
    /// # Errors
    /// As [`Client::send`]; [`SendRefused::Nothing`] when nothing was recorded, [`SendRefused::Busy`] also while such a Send is
    /// under way to the same server.
    pub fn send_recorded(&mut self, now: Instant, id: AccountId) -> Result<SendId, SendRefused> {
        self.may_send(id, Version::V1_1)?;
        if !self.history.iter().any(|(head, _)| head.is_of(id.0, Subject::SEND)) {
            return Err(SendRefused::Nothing);
        }
        let same = |send: &Sending| send.account == id.0 && matches!(send.what, What::Recorded);
        if self.sends.slots.iter().flatten().any(same) {
            return Err(SendRefused::Busy);
        }
        self.queue_send(now, id, What::Recorded, How::CONFIRMED)
    }

    /// Whether a Send waits or is under way.
    #[must_use]
    pub fn is_sending(&self) -> bool {
        self.sends.slots.iter().any(Option::is_some)
    }

    fn may_send(&self, id: AccountId, since: Version) -> Result<(), SendRefused> {
        let account = self.account(id).ok_or(SendRefused::NotRegistered)?;
        let link = self.links.get(id.index()).ok_or(SendRefused::NotRegistered)?;
        if !link.registration.is_registered() || link.registration.version() < since {
            Err(SendRefused::NotRegistered)
        } else if account.mute_send != Some(false) {
            Err(SendRefused::Muted)
        } else {
            Ok(())
        }
    }

    fn send_present(
        &mut self,
        now: Instant,
        id: AccountId,
        paths: &[Path],
        how: How,
    ) -> Result<SendId, SendRefused> {
        self.may_send(id, if how.confirmable { Version::V1_1 } else { Version::V1_2 })?;
        let mut kept = [None; SEND_PATHS];
        if paths.len() > kept.len() {
            return Err(SendRefused::TooManyPaths);
        }
        kept.iter_mut().zip(paths).for_each(|(slot, path)| *slot = Some(*path));
        let version = self.version(id);
        let world = world(self.config.root(), &mut self.objects, &mut self.accounts, id.0, version);
        let next = |after| least_after(paths.iter().copied(), after);
        match gather(&world, &next, &mut Snapshot::new()) {
            Ok((0, _)) => return Err(SendRefused::Nothing),
            Ok(_) => {}
            Err(_) => return Err(SendRefused::Busy),
        }
        self.queue_send(now, id, What::Present(kept), how)
    }

    fn queue_send(
        &mut self,
        now: Instant,
        id: AccountId,
        what: What,
        how: How,
    ) -> Result<SendId, SendRefused> {
        let slot = self.sends.slots.iter_mut().find(|slot| slot.is_none()).ok_or(SendRefused::Busy)?;
        self.sends.count = self.sends.count.wrapping_add(1);
        let send = SendId(self.sends.count);
        *slot = Some(Sending { id: send, account: id.0, what, how, exchange: None, deadline: None });
        self.settle(now);
        Ok(send)
    }

    /// Gives up Sends that are not repeated and were not answered.
    pub(super) fn expire_sends(&mut self, now: Instant) {
        for index in 0..SENDS {
            let late = |send: &Sending| send.deadline.is_some_and(|deadline| deadline <= now);
            let Some(send) = self.sends.slots.get(index).copied().flatten().filter(late) else { continue };
            let id = AccountId(send.account);
            if let (Some(exchange), Some(link)) = (send.exchange, self.links.get_mut(id.index())) {
                link.peer.cancel(exchange);
            }
            self.end_send(id, send.id, Err(Failure::Timeout));
        }
    }

    /// Whether a Send to a server waits or is under way.
    pub(super) fn has_sends(&self, id: AccountId) -> bool {
        self.sends.slots.iter().flatten().any(|send| send.account == id.0)
    }

    /// When [`Client::expire_sends`] has something to do.
    pub(super) fn sends_expire_at(&self) -> Option<Instant> {
        self.sends.slots.iter().flatten().filter_map(|send| send.deadline).min()
    }

    /// Sends what waits for a server, once the server knows the present list of instances.
    pub(super) fn send_waiting(&mut self, now: Instant, id: AccountId) {
        let waiting = |send: &Sending| send.account == id.0 && send.exchange.is_none();
        // The one that waits longest is first.
        let oldest = self.sends.slots.iter().flatten().copied().filter(waiting);
        let Some(send) = oldest.min_by_key(|send| send.id.0.wrapping_sub(self.sends.count).wrapping_sub(1))
        else {
            return;
        };
        if self.may_send(id, Version::V1_1) == Err(SendRefused::Muted) {
            // It was muted meanwhile.
            return self.end_send(id, send.id, Err(Failure::Muted));
        }
        let date_ms = self.date_ms(now);
        let cut = self.is_cut(id);
        let Some(link) = self.links.get_mut(id.index()) else { return };
        let due = link.registration.timeout().is_some_and(|at| at <= now);
        if cut
            || link.busy
            || link.offline
            || link.asleep.is_some()
            || due
            || !link.peer.can_send(&self.config.coap)
        {
            return;
        }
        let version = link.registration.version();
        let world = world(self.config.root(), &mut self.objects, &mut self.accounts, id.0, version);
        if fingerprint(&world, version) != link.told.list {
            // Only instances that the server knows may stand in a Send: an Update goes first.
            self.touched = true;
            return;
        }
        let time = |at| senml_time(at, now, date_ms);
        let format = send.how.format.unwrap_or(self.config.send_format);
        let encoded = encode_send(&world, &send.what, format, &time, &mut self.history, &mut self.body);
        let outcome = match encoded {
            None => Err(Failure::Nonsense),
            Some((format, len)) => {
                let account = self.accounts.get(id.index()).and_then(Option::as_ref);
                let uri = account.map_or("", |account| account.uri.as_str());
                let options = |options: &mut OptionWriter<'_>| {
                    prefix(uri, options);
                    options.uri_path_segment(lightship_lwm2m::uplink::DP);
                    options.content_format(format);
                };
                let content = self.body.get(..len).unwrap_or_default();
                let new = NewRequest { confirmable: send.how.confirmable, ..NewRequest::con(Code::POST) };
                link.peer
                    .request(now, &self.config.coap, new, options, content)
                    .map_err(|_| Failure::TooLarge)
            }
        };
        match outcome {
            Ok(exchange) => {
                link.busy = !link.peer.can_send(&self.config.coap);
                let slot = self.sends.slots.iter_mut().flatten().find(|slot| slot.id == send.id);
                if let Some(slot) = slot {
                    slot.exchange = Some(exchange);
                    let usual = self.config.coap.ack_timeout.saturating_mul(5);
                    let patience = slot.how.patience.or((!slot.how.confirmable).then_some(usual));
                    slot.deadline = patience.map(|patience| now + patience);
                }
            }
            Err(reason) => self.end_send(id, send.id, Err(reason)),
        }
    }

    /// Takes the answer to a Send or its absence; says whether the exchange was one.
    pub(super) fn hear_send(
        &mut self,
        id: AccountId,
        exchange: ExchangeId,
        outcome: Result<Code, Failure>,
    ) -> bool {
        let ours = |send: &&Sending| send.account == id.0 && send.exchange == Some(exchange);
        let Some(send) = self.sends.slots.iter().flatten().find(ours).map(|send| send.id) else {
            return false;
        };
        let outcome = match outcome {
            Ok(Code::CHANGED) => Ok(()),
            Ok(code) => Err(Failure::Refused(code)),
            Err(reason) => Err(reason),
        };
        self.end_send(id, send, outcome);
        true
    }

    /// Ends all Sends to a server whose registration ended.
    pub(super) fn end_sends(&mut self, id: AccountId) {
        self.end_sends_which(id, |_| true, Failure::Ended);
    }

    /// Ends the Sends whose answers are awaited, when the session ended that they would come by.
    #[cfg(feature = "dtls")]
    pub(super) fn end_sends_under_way(&mut self, id: AccountId) {
        self.end_sends_which(id, |send| send.exchange.is_some(), Failure::NotSecured);
    }

    fn end_sends_which(&mut self, id: AccountId, which: impl Fn(&Sending) -> bool, reason: Failure) {
        for index in 0..SENDS {
            let ours = |send: &Sending| send.account == id.0 && which(send);
            let found = self.sends.slots.get(index).copied().flatten().filter(ours);
            if let Some(send) = found {
                if let (Some(exchange), Some(link)) = (send.exchange, self.links.get_mut(id.index())) {
                    link.peer.cancel(exchange);
                }
                self.end_send(id, send.id, Err(reason));
            }
        }
    }

    fn end_send(&mut self, account: AccountId, send: SendId, outcome: Result<(), Failure>) {
        for slot in &mut self.sends.slots {
            if let Some(ended) = slot.take_if(|present| present.id == send) {
                if matches!(ended.what, What::Recorded) {
                    let told =
                        |head: &Head| head.is_of(account.0, Subject::SEND) && head.stage == Stage::Underway;
                    match outcome {
                        Ok(()) => self.history.retain(|head| !told(head)),
                        Err(_) => self.history.restage(|head| told(head).then_some(Stage::Kept)),
                    }
                }
                self.events.push(match outcome {
                    Ok(()) => Event::Sent { account, send },
                    Err(reason) => Event::SendFailed { account, send, reason },
                });
            }
        }
    }
}

/// Writes what a Send holds; returns format and length.
fn encode_send<const N: usize>(
    world: &World<'_>,
    what: &What,
    wanted: ContentFormat,
    time: &dyn Fn(Instant) -> f64,
    history: &mut History<N>,
    out: &mut [u8],
) -> Option<(ContentFormat, usize)> {
    let version = world.server.version;
    let usable = negotiate::usable(wanted, Use::Send, version).is_some();
    let format = if usable { wanted } else { ContentFormat::SENML_CBOR };
    match what {
        What::Present(paths) => {
            let next = |after| least_after(paths.iter().flatten().copied(), after);
            let (format, len, count) = encode(world, &next, format, Use::Send, version, out).ok()?;
            (count > 0).then_some((format, len))
        }
        What::Recorded => {
            // LwM2M CBOR has no times.
            let json = format == ContentFormat::SENML_JSON;
            let format = if json { Format::SenmlJson } else { Format::SenmlCbor };
            let len = encode_recorded(world, history, time, format, out)?;
            Some((ContentFormat(format.number()), len))
        }
    }
}

/// Writes what was recorded for the server that asks, as many moments as fit; marks them, and forgets those that hold nothing
/// for that server any more: only instances that it knows and may read are its business.
fn encode_recorded<const N: usize>(
    world: &World<'_>,
    history: &mut History<N>,
    time: &dyn Fn(Instant) -> f64,
    format: Format,
    out: &mut [u8],
) -> Option<usize> {
    let ours = |head: &Head| head.is_of(world.asking, Subject::SEND);
    let is_shown = |path: Path| {
        let (Some(id), Some(instance)) = (path.object_id(), path.instance_id()) else { return false };
        let there = world.object(id).is_some_and(|object| exists(object, instance));
        there && !id.is_hidden() && world.allows(Op::Read, id, Some(instance))
    };
    let mut count = history.iter().filter(|(head, _)| ours(head)).count();
    while count > 0 {
        let mut encoder = Encoder::new(format, Path::ROOT, &mut *out).with_alternate_path(world.in_names());
        let mut values = 0_usize;
        for (head, recorded) in history.iter().filter(|(head, _)| ours(head)).take(count) {
            for (path, value) in recorded.filter(|(path, _)| is_shown(*path)) {
                values += 1;
                let _ = encoder.timed(path, &value, time(head.at));
            }
        }
        let encoded = encoder.finish();
        if encoded == Err(EncodeError::BufferTooSmall) && count > 1 {
            count = count.div_ceil(2);
            continue;
        }
        let mut left = count;
        history.restage(|head| {
            let taken = left > 0 && ours(head);
            left -= usize::from(taken);
            taken.then_some(Stage::Underway)
        });
        if let (Ok(len), 1..) = (encoded, values) {
            return Some(len);
        }
        history.retain(|head| !(ours(head) && head.stage == Stage::Underway));
        count = history.iter().filter(|(head, _)| ours(head)).count();
    }
    None
}
