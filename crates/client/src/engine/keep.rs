//! Notifications that cannot be sent now, and what becomes of them when the server is back (TS_Core 6.4, `/1/x/6`, hqmax).
//!
//! While a server is out of reach or disabled its observations go on `away`: what would be notified is recorded. An accepted
//! Update brings them back. A new registration ends them; then the records wait for the server to observe the same again.
//! What was recorded goes out first, oldest first, in confirmable messages: with times in SenML, also where the observation is in
//! a format without them, since a value of the past must not pass for the present one. To 1.0, which has no SenML, it goes one
//! after the other, and only where nothing newer was told before.

use lightship_lwm2m::format::{EncodeError, Encoder, Format};

use super::composite::look;
use super::serve::world;
use super::*;
use crate::dispatch::in_names;
use crate::gather::least_after;
use crate::history::{Head, Pack, Stage, senml_time};
use crate::observe::{Behind, Part};
use crate::read::Visitor;

impl<O: Objects, B: Buffer, const SERVERS: usize, const OBSERVATIONS: usize, const BODY: usize>
    Client<O, B, SERVERS, OBSERVATIONS, BODY>
{
    /// Whether notifications that cannot be sent are kept.
    pub(super) fn keeps(&self, observation: &Observation, attributes: &Attributes) -> bool {
        let account = self.account(AccountId(observation.account));
        let stores = cfg!(feature = "storing") && account.is_some_and(|account| account.notification_storing);
        stores && attributes.hqmax != Some(0)
    }

    /// Keeps what is due for later.
    pub(super) fn keep(&mut self, now: Instant, one: &Observation) {
        self.remember(now, one, if one.away { Stage::Kept } else { Stage::Tentative });
        let version = self.version(AccountId(one.account));
        let world = world(self.config.root(), &mut self.objects, &mut self.accounts, one.account, version);
        for other in self.observations.iter_mut().flatten().filter(|other| other.is_with(one)) {
            other.kept(now, look(&world, other.path));
        }
    }

    /// Records what the paths of an observation hold.
    pub(super) fn remember(&mut self, now: Instant, one: &Observation, stage: Stage) {
        for index in 0..OBSERVATIONS {
            let slot = self.observations.get(index).copied().flatten();
            let Some(member) = slot.filter(|member| member.is_with(one)) else { continue };
            let attributes = self.effective(&member);
            if !self.keeps(&member, &attributes) {
                continue;
            }
            self.record_path(now, &member, stage);
            if let Some(most) = attributes.hqmax {
                let most = usize::try_from(most).unwrap_or(usize::MAX);
                self.history.limit(member.account, member.subject, member.path, most);
            }
        }
    }

    fn record_path(&mut self, now: Instant, member: &Observation, stage: Stage) {
        let version = self.version(AccountId(member.account));
        let world = world(self.config.root(), &mut self.objects, &mut self.accounts, member.account, version);
        let mut pack = Pack::new(&mut self.body);
        if walk(&world, member.path, &mut pack).is_err() {
            return;
        }
        let Some((len, 1..)) = pack.finish() else { return };
        let (account, subject, target) = (member.account, member.subject, member.path);
        let head = Head { account, stage, subject, at: now, target };
        self.history.push(head, self.body.get(..len).unwrap_or_default());
    }

    /// A server is out of reach or disabled.
    pub(super) fn go_away(&mut self, id: AccountId) {
        let Some(link) = self.links.get_mut(id.index()) else { return };
        for observation in self.observations.iter_mut().flatten().filter(|found| found.account == id.0) {
            link.peer.withdraw(u32::from(observation.generation));
            observation.go_away();
        }
        self.history.restage(|head| {
            let cut_off = matches!(head.stage, Stage::Tentative | Stage::Underway);
            (head.account == id.0 && cut_off).then_some(Stage::Kept)
        });
    }

    /// A server took an Update: it still has its observations.
    pub(super) fn come_back(&mut self, id: AccountId) {
        if self.links.get(id.index()).is_none_or(|link| link.offline) {
            return;
        }
        let away = |found: &&mut Observation| found.account == id.0 && found.away;
        self.observations.iter_mut().flatten().filter(away).for_each(Observation::come_back);
    }

    /// A server took a Register: observations ended, and what is left of them waits to be asked for, until the next time.
    pub(super) fn begin_anew(&mut self, id: AccountId) {
        let stores = self.account(id).is_some_and(|account| account.notification_storing);
        let ours = |head: &Head| head.account == id.0 && head.subject != Subject::SEND;
        self.history.retain(|head| !ours(head) || (stores && head.stage != Stage::Orphaned));
        self.history.restage(|head| ours(head).then_some(Stage::Orphaned));
        self.end_observations(id);
    }

    /// Gives a new observation what was kept of an earlier one of the same.
    pub(super) fn inherit(&mut self, new: &mut Observation) {
        let (account, subject) = (new.account, new.subject);
        if self.past_format(new).is_none_or(|format| !has_times(format)) {
            // The first answer told the present, after which the past cannot be told any more.
            return self.history.retain(|head| !head.is_of(account, subject));
        }
        let earlier = self.observations.iter().flatten().find(|other| {
            other.runs() && other.account == account && other.subject == subject && other.token != new.token
        });
        if earlier.is_some_and(|earlier| earlier.behind == Behind::No && !earlier.away) {
            // The first answer says more than what was under way.
            self.history.retain(|head| !head.is_of(account, subject));
        }
        let mut found = false;
        self.history.restage(|head| {
            let ours = head.is_of(account, subject);
            found = found || ours;
            ours.then_some(Stage::Kept)
        });
        if found {
            new.behind = Behind::Yes;
        }
    }

    /// As [`Client::inherit`], for all paths of a composite observation.
    pub(super) fn inherit_all(&mut self, account: AccountId, ticket: Ticket) {
        let ours = |new: &Observation| new.runs() && new.account == account.0 && new.token == ticket.token();
        let Some(mut new) = self.observations.iter().flatten().copied().find(|new| ours(new)) else { return };
        self.inherit(&mut new);
        for member in self.observations.iter_mut().flatten().filter(|member| ours(member)) {
            member.behind = new.behind;
        }
    }

    /// Whatever blocked notifications to a server arrived.
    pub(super) fn unblock(&mut self, id: AccountId) {
        for observation in self.observations.iter_mut().flatten() {
            if observation.account == id.0 && observation.blocked && !observation.away {
                let subject = observation.subject;
                self.history.retain(|head| !(head.is_of(id.0, subject) && head.stage == Stage::Tentative));
                observation.unblock();
            }
        }
    }

    /// A request of ours got no answer: what was put off because of it is not superseded, it is missing.
    pub(super) fn lose_patience(&mut self, id: AccountId) {
        self.history
            .restage(|head| (head.account == id.0 && head.stage == Stage::Tentative).then_some(Stage::Kept));
        for observation in self.observations.iter_mut().flatten().filter(|found| found.account == id.0) {
            observation.was_cut_off();
        }
    }

    /// A confirmable notification arrived.
    pub(super) fn arrived(&mut self, id: AccountId, key: u32) {
        let ours = |found: &Observation| found.account == id.0 && u32::from(found.generation) == key;
        let Some(found) = self.observations.iter().flatten().copied().find(|found| ours(found)) else {
            return;
        };
        let is_past = |head: &Head| head.is_of(id.0, found.subject) && head.stage == Stage::Kept;
        if found.behind == Behind::Yes && !self.history.iter().any(|(head, _)| is_past(&head)) {
            self.back_to_the_present(&found);
        }
        self.history.retain(|head| !(head.is_of(id.0, found.subject) && head.stage == Stage::Underway));
    }

    /// All of the past was told. What differs from the last of it is told as it is now, so that nothing older stays the newest.
    fn back_to_the_present(&mut self, one: &Observation) {
        let version = self.version(AccountId(one.account));
        let world = world(self.config.root(), &mut self.objects, &mut self.accounts, one.account, version);
        let mut differs = false;
        for member in self.observations.iter().flatten().filter(|member| member.is_with(one)) {
            let of = |head: &Head| {
                head.is_of(one.account, one.subject)
                    && head.target == member.path
                    && head.stage == Stage::Underway
            };
            let last = self.history.iter().filter(|(head, _)| of(head)).last();
            let mut past = Snapshot::new();
            let told = last.map(|(_, values)| values.for_each(|(path, value)| past.value(path, value)));
            differs = differs || (told.is_some() && look(&world, member.path).differs_from(&past));
        }
        for member in self.observations.iter_mut().flatten().filter(|member| member.is_with(one)) {
            member.caught_up(differs);
        }
    }

    fn set_behind(&mut self, one: &Observation, behind: Behind) {
        for member in self.observations.iter_mut().flatten().filter(|member| member.is_with(one)) {
            member.behind = behind;
        }
    }

    /// Ends observations; the host hears of each path. With `forget`, what was kept of them is of no use any more.
    pub(super) fn end_where(&mut self, is_meant: impl Fn(&Observation) -> bool, forget: bool) {
        for slot in &mut self.observations {
            let Some(ended) = slot.as_mut().filter(|present| present.runs() && is_meant(present)) else {
                continue;
            };
            if forget {
                let (account, subject) = (ended.account, ended.subject);
                self.history.retain(|head| !head.is_of(account, subject));
            }
            if ended.news == News::None {
                ended.news = News::Ended;
            } else {
                *slot = None;
            }
        }
    }

    /// What the host has not heard of observations.
    pub(super) fn observation_news(&mut self) -> Option<Event> {
        self.observations.iter_mut().find_map(|slot| {
            let found = slot.as_mut()?;
            let (account, path) = (AccountId(found.account), found.path);
            match found.news {
                News::None => None,
                News::Begun => {
                    found.news = News::None;
                    Some(Event::Observed { account, path })
                }
                News::Ended => {
                    *slot = None;
                    Some(Event::ObservationEnded { account, path })
                }
            }
        })
    }

    /// Tells what was kept, if it is time for that.
    pub(super) fn catch_up(&mut self, now: Instant, one: &Observation) {
        if !cfg!(feature = "storing") {
            return self.set_behind(one, Behind::No);
        }
        if one.behind == Behind::No || one.away || one.blocked || one.part == Part::More {
            return;
        }
        let (account, subject) = (one.account, one.subject);
        if !self.account(AccountId(account)).is_some_and(|account| account.notification_storing) {
            self.history.retain(|head| !head.is_of(account, subject));
            return self.set_behind(one, Behind::No);
        }
        let mut waiting = 0_usize;
        for (head, _) in self.history.iter().filter(|(head, _)| head.is_of(account, subject)) {
            match head.stage {
                Stage::Underway => return,
                Stage::Kept => waiting = waiting.saturating_add(1),
                Stage::Tentative | Stage::Orphaned => {}
            }
        }
        if waiting == 0 {
            return self.set_behind(one, Behind::No);
        }
        self.tell_past(now, one, waiting);
    }

    /// Sends as much of the past as fits into a message, at least one moment of it.
    fn tell_past(&mut self, now: Instant, one: &Observation, waiting: usize) {
        let Some(format) = self.past_format(one) else { return };
        let timed = has_times(format);
        let version = self.version(AccountId(one.account));
        let date_ms = self.date_ms(now);
        let single = self.config.coap.block_size.bytes().min(BODY);
        let mut count = if timed { waiting } else { 0 };
        loop {
            let room = if count > 1 { single } else { BODY };
            let out = self.body.get_mut(..room).unwrap_or_default();
            let records = || self.history.iter().filter(|(head, _)| is_past(head, one));
            let names = in_names(self.config.root(), version);
            let base = if one.part == Part::Whole { one.path } else { Path::ROOT };
            let mut encoder = Encoder::new(format, base, out).with_alternate_path(names);
            let taken = if timed {
                for (head, values) in records().take(count) {
                    let time = senml_time(head.at, now, date_ms);
                    for (path, value) in values {
                        let _ = encoder.timed(path, &value, time);
                    }
                }
                count
            } else {
                encode_moment(&self.history, one, &mut encoder)
            };
            let sent = match encoder.finish() {
                Ok(len) => self.send_past(now, one, format, len),
                Err(EncodeError::BufferTooSmall) => Err(SendError::TooLarge),
                Err(_) => Err(SendError::Answered),
            };
            match sent {
                Err(SendError::TooLarge) if count > 1 => count = count.div_ceil(2),
                Err(SendError::Busy) => {
                    for member in self.observations.iter_mut().flatten().filter(|member| member.is_with(one))
                    {
                        member.blocked = true;
                    }
                    return;
                }
                outcome => return self.past_told(now, one, taken, outcome.is_ok()),
            }
        }
    }

    fn send_past(
        &mut self,
        now: Instant,
        one: &Observation,
        format: Format,
        len: usize,
    ) -> Result<(), SendError> {
        let mut sequence = one.sequence;
        let number = sequence.next();
        let options = |options: &mut OptionWriter<'_>| {
            options.observe(number);
            options.content_format(ContentFormat(format.number()));
        };
        let cut = self.is_cut(AccountId(one.account));
        let content = self.body.get(..len).unwrap_or_default();
        let link = self.links.get_mut(usize::from(one.account)).ok_or(SendError::Busy)?;
        let new = one.notification(Code::CONTENT, true);
        let sent = if cut {
            Err(SendError::Busy)
        } else {
            link.peer.notify(now, &self.config.coap, new, options, content)
        };
        link.busy = link.busy || sent == Err(SendError::Busy);
        sent?;
        for member in self.observations.iter_mut().flatten().filter(|member| member.is_with(one)) {
            member.sequence = sequence;
            member.caught_up_some(now);
        }
        Ok(())
    }

    /// The first records of an observation are on their way, or can never be.
    fn past_told(&mut self, now: Instant, one: &Observation, taken: usize, sent: bool) {
        let mut left = taken;
        let mut is_taken = |head: &Head| {
            let taken = left > 0 && is_past(head, one);
            left -= usize::from(taken);
            taken
        };
        if sent {
            self.history.restage(|head| is_taken(head).then_some(Stage::Underway));
        } else {
            self.history.retain(|head| !is_taken(head));
            self.touched = true;
        }
        self.now = now;
    }

    /// The format in which values of the past are told: that of the observation if it has times, or if SenML is not known.
    fn past_format(&self, one: &Observation) -> Option<Format> {
        let format = Format::from_number(one.format.0)?;
        let senml = self.version(AccountId(one.account)) >= Version::V1_1;
        Some(if has_times(format) || !senml { format } else { Format::SenmlCbor })
    }

    /// Milliseconds since 1970, where the host told.
    pub(super) fn date_ms(&self, now: Instant) -> Option<i64> {
        let since_zero = i64::try_from(now.as_millis()).unwrap_or(i64::MAX);
        Some(self.date_at_zero_ms?.saturating_add(since_zero))
    }
}

/// Whether a record is of the past that an observation still has to tell.
fn is_past(head: &Head, one: &Observation) -> bool {
    head.is_of(one.account, one.subject) && head.stage == Stage::Kept
}

fn has_times(format: Format) -> bool {
    matches!(format, Format::SenmlJson | Format::SenmlCbor | Format::Json)
}

/// Writes what the oldest moment of some records held, in tree order; returns how many records that are.
fn encode_moment<const N: usize>(
    history: &History<N>,
    one: &Observation,
    encoder: &mut Encoder<'_>,
) -> usize {
    let records = || history.iter().filter(|(head, _)| is_past(head, one));
    let Some((first, _)) = records().next() else { return 0 };
    let of_then = || records().take_while(|(head, _)| head.at == first.at);
    let next = |after| least_after(of_then().map(|(head, _)| head.target), after);
    let mut at = next(None);
    while let Some(target) = at {
        for (_, values) in of_then().filter(|(head, _)| head.target == target) {
            for (path, value) in values {
                let _ = encoder.entry(path, &value);
            }
        }
        at = next(Some(target));
    }
    of_then().count()
}
