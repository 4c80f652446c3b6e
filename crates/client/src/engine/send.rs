//! Send: values that the client tells on its own initiative (TS_Core 6.4.7).

use lightship_lwm2m::format::Use;

use super::serve::world;
use super::*;
use crate::event::{SendId, SendRefused};
use crate::gather::{encode, gather, least_after};
use crate::list::fingerprint;
use crate::negotiate;
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
    paths: [Option<Path>; SEND_PATHS],
    exchange: Option<ExchangeId>,
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
        let account = self.account(id).ok_or(SendRefused::NotRegistered)?;
        let link = self.links.get(id.index()).ok_or(SendRefused::NotRegistered)?;
        if !link.registration.is_registered() || link.registration.version() < Version::V1_1 {
            return Err(SendRefused::NotRegistered);
        }
        if account.mute_send != Some(false) {
            return Err(SendRefused::Muted);
        }
        let mut kept = [None; SEND_PATHS];
        if paths.len() > kept.len() {
            return Err(SendRefused::TooManyPaths);
        }
        kept.iter_mut().zip(paths).for_each(|(slot, path)| *slot = Some(*path));
        let version = self.version(id);
        let world = world(&mut self.objects, &mut self.accounts, id.0, version);
        let next = |after| least_after(paths.iter().copied(), after);
        match gather(&world, &next, &mut Snapshot::new()) {
            Ok((0, _)) => return Err(SendRefused::Nothing),
            Ok(_) => {}
            Err(_) => return Err(SendRefused::Busy),
        }
        let slot = self.sends.slots.iter_mut().find(|slot| slot.is_none()).ok_or(SendRefused::Busy)?;
        self.sends.count = self.sends.count.wrapping_add(1);
        let send = SendId(self.sends.count);
        *slot = Some(Sending { id: send, account: id.0, paths: kept, exchange: None });
        self.settle(now);
        Ok(send)
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
        let Some(link) = self.links.get_mut(id.index()) else { return };
        let due = link.registration.timeout().is_some_and(|at| at <= now);
        if link.busy || due || !link.peer.can_send(&self.config.coap) {
            return;
        }
        let version = link.registration.version();
        let world = world(&mut self.objects, &mut self.accounts, id.0, version);
        if fingerprint(&world, version) != link.told_list {
            // Only instances that the server knows may stand in a Send: an Update goes first.
            self.touched = true;
            return;
        }
        let next = |after| least_after(send.paths.iter().flatten().copied(), after);
        let format = self.config.send_format;
        let format = if negotiate::usable(format, Use::Send, version).is_some() {
            format
        } else {
            ContentFormat::SENML_CBOR
        };
        let outcome = match encode(&world, &next, format, Use::Send, version, &mut self.body) {
            Err(_) | Ok((_, _, 0)) => Err(Failure::Nonsense),
            Ok((format, len, _)) => {
                let account = self.accounts.get(id.index()).and_then(Option::as_ref);
                let uri = account.map_or("", |account| account.uri.as_str());
                let options = |options: &mut OptionWriter<'_>| {
                    prefix(uri, options);
                    options.uri_path_segment(lightship_lwm2m::uplink::DP);
                    options.content_format(format);
                };
                let content = self.body.get(..len).unwrap_or_default();
                link.peer
                    .request(now, &self.config.coap, NewRequest::con(Code::POST), options, content)
                    .map_err(|_| Failure::TooLarge)
            }
        };
        match outcome {
            Ok(exchange) => {
                link.busy = !link.peer.can_send(&self.config.coap);
                let slot = self.sends.slots.iter_mut().flatten().find(|slot| slot.id == send.id);
                if let Some(slot) = slot {
                    slot.exchange = Some(exchange);
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
        for index in 0..SENDS {
            let found = self.sends.slots.get(index).copied().flatten().filter(|send| send.account == id.0);
            if let Some(send) = found {
                if let (Some(exchange), Some(link)) = (send.exchange, self.links.get_mut(id.index())) {
                    link.peer.cancel(exchange);
                }
                self.end_send(id, send.id, Err(Failure::Ended));
            }
        }
    }

    fn end_send(&mut self, account: AccountId, send: SendId, outcome: Result<(), Failure>) {
        for slot in &mut self.sends.slots {
            if slot.take_if(|present| present.id == send).is_some() {
                self.events.push(match outcome {
                    Ok(()) => Event::Sent { account, send },
                    Err(reason) => Event::SendFailed { account, send, reason },
                });
            }
        }
    }
}
