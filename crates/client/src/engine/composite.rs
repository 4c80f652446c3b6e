//! Composite requests, and observations of several paths at once.
//!
//! Each path of such an observation has a place of its own, with its own attributes and its own last values; places of one
//! observation share account and generation. What makes one of them due sends them all.

use lightship_lwm2m::format::Use;

use super::serve::world;
use super::*;
use crate::composite::Composite;
use crate::dispatch::World;
use crate::gather::{encode, least_after};
use crate::history::Stage;
use crate::observe::Part;

/// How many writes of one Write-Composite are told one by one; of more than that the host hears once.
const TOLD_WRITES: usize = 8;

impl<O: Objects, B: Buffer, const SERVERS: usize, const OBSERVATIONS: usize, const BODY: usize>
    Client<O, B, SERVERS, OBSERVATIONS, BODY>
{
    /// Answers a FETCH or an iPATCH.
    pub(super) fn serve_composite(&mut self, now: Instant, from: AccountId, incoming: &PeerRequest<'_>) {
        if !cfg!(feature = "composite") {
            let refused = Success::plain(Code::METHOD_NOT_ALLOWED);
            return self.respond(now, from, incoming.ticket, refused, None);
        }
        let (message, ticket) = (incoming.message, incoming.ticket);
        let observe = message.observe().filter(|_| message.code() == Code::FETCH);
        if observe == Some(1) {
            self.cancel(from, ticket);
        }
        let Some(link) = self.links.get(from.index()) else { return };
        let version = link.registration.version();
        let payload = link.peer.payload(incoming.body);
        let mut world = world(self.config.root(), &mut self.objects, &mut self.accounts, from.0, version);
        let (mut sequence, mut returned) = (None, None);
        let outcome = Composite::new(message, payload, version, self.config.root())
            .map_err(Deny::from)
            .and_then(|composite| {
                if message.code() == Code::IPATCH {
                    let written = composite.write(&mut world, &mut self.body);
                    if matches!(written, Ok(_) | Err(Deny::Later)) {
                        self.touched = true;
                        report_writes(&mut self.events, from, &composite);
                    }
                    return written;
                }
                let success = composite.read(&world, &mut self.body)?;
                if let (Some(0), Some(format)) = (observe, success.format) {
                    self.generation = self.generation.wrapping_add(1);
                    let (token, key) = (ticket.token(), ticket.cache_key());
                    let told = Snapshot::new();
                    let mut head =
                        Observation::new(now, from.0, Path::ROOT, token, key, format, composite.query, told);
                    head.generation = self.generation;
                    head.part = Part::First;
                    head.subject = Subject::of(composite.paths());
                    sequence = observe_all(&mut self.observations, &world, &composite, head);
                }
                returned = Some(composite);
                Ok(success)
            });
        for path in returned.iter().flat_map(Composite::paths) {
            self.touched |= self.objects.returned(path);
        }
        if sequence.is_some() {
            self.inherit_all(from, ticket);
        }
        match outcome {
            Ok(success) => self.respond(now, from, ticket, success, sequence),
            Err(Deny::With(code)) => self.respond(now, from, ticket, Success::plain(code), None),
            Err(Deny::Later) => self.ask(now, from, ticket, Path::ROOT, Resume::Finish(Code::CHANGED)),
        }
    }

    /// Tells all paths of a composite observation.
    pub(super) fn tell_all(&mut self, now: Instant, one: &Observation) {
        let ours = |other: &Observation| other.is_with(one);
        let Some(account) = self.account(AccountId(one.account)) else { return };
        let confirmable = self
            .observations
            .iter()
            .flatten()
            .filter(|other| ours(other))
            .any(|other| other.confirmable(now, &self.effective(other), account));
        let cut = self.is_cut(AccountId(one.account));
        let Some(link) = self.links.get_mut(usize::from(one.account)) else { return };
        let version = link.registration.version();
        let world = world(self.config.root(), &mut self.objects, &mut self.accounts, one.account, version);
        let paths = || self.observations.iter().flatten().filter(|other| ours(other)).map(|other| other.path);
        let next = |after| least_after(paths(), after);
        let mut sequence = one.sequence;
        let number = sequence.next();
        let sent = match encode(&world, &next, one.format, Use::CompositeRead, version, &mut self.body) {
            // Not to be had just now: the next change or pmax tries again.
            Err(_) => Err(SendError::TooLarge),
            Ok((format, len, _)) => {
                let options = |options: &mut OptionWriter<'_>| {
                    options.observe(number);
                    options.content_format(format);
                };
                let content = self.body.get(..len).unwrap_or_default();
                let new = one.notification(Code::CONTENT, confirmable);
                if cut {
                    Err(SendError::Busy)
                } else {
                    link.peer.notify(now, &self.config.coap, new, options, content)
                }
            }
        };
        let told = sent == Ok(()) && confirmable;
        link.busy = link.busy || sent == Err(SendError::Busy);
        for other in self.observations.iter_mut().flatten().filter(|other| ours(other)) {
            match sent {
                Ok(()) => {
                    let told = look(&world, other.path);
                    other.sequence = sequence;
                    other.told(now, told, confirmable);
                }
                Err(SendError::Busy) => other.blocked = true,
                Err(_) => other.told_nothing(now),
            }
        }
        if sent == Ok(()) {
            let paths =
                self.observations.iter().flatten().filter(|other| ours(other)).map(|other| other.path);
            for path in paths {
                self.touched |= self.objects.returned(path);
            }
        }
        if told {
            self.remember(now, one, Stage::Underway);
        }
    }
}

/// What a path of a composite observation holds: nothing, when it is absent or may not be read.
pub(super) fn look(world: &World<'_>, path: Path) -> Snapshot {
    let mut found = Snapshot::new();
    match walk(world, path, &mut found) {
        Ok(()) => found,
        Err(_) => Snapshot::new(),
    }
}

/// Gives each listed path a place, or none of them when there are too few; returns the first sequence number.
fn observe_all(
    observations: &mut [Option<Observation>],
    world: &World<'_>,
    composite: &Composite<'_>,
    mut head: Observation,
) -> Option<u32> {
    let replaced = |slot: &Option<Observation>| {
        slot.is_none_or(|present| {
            !present.runs() || (present.account == head.account && present.token == head.token)
        })
    };
    let places = observations.iter().filter(|slot| replaced(slot)).count();
    if composite.paths().count() > places {
        return None;
    }
    observations.iter_mut().filter(|slot| replaced(slot)).for_each(|slot| *slot = None);
    let number = head.sequence.next();
    let free = observations.iter_mut().filter(|slot| slot.is_none());
    for (slot, path) in free.zip(composite.paths()) {
        let mut member = head;
        member.path = path;
        member.begin(look(world, path));
        *slot = Some(member);
        head.part = Part::More;
    }
    Some(number)
}

/// Tells the host what a Write-Composite wrote.
fn report_writes(events: &mut Events, account: AccountId, composite: &Composite<'_>) {
    let next = |path: &Path| composite.next_instance(Some(*path));
    let written = || core::iter::successors(composite.next_instance(None), next);
    if written().nth(TOLD_WRITES).is_some() {
        events.push(Event::Written { account, path: Path::ROOT });
        return;
    }
    for path in written() {
        events.push(Event::Written { account, path });
    }
}
