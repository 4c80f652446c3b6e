//! What was received before, so that a repeated message is answered alike and acted upon once
//! (RFC 7252 §4.5).

use lightship_platform::Instant;

use super::arena::{Arena, BlobId};
use super::buffer::{Bytes, List};
use super::config::Config;
use crate::code::{Code, MessageId, Token};

/// A message ID received, and how it was or will be answered.
#[doc(hidden)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Seen {
    pub(super) at: Instant,
    pub(super) message_id: MessageId,
    pub(super) state: SeenState,
    pub(super) confirmable: bool,
    /// The application has been handed it: to forget it may mean to act twice.
    pub(super) is_handed: bool,
    /// The answer is to be sent (again).
    pub(super) due: bool,
}

/// How a message received is answered.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum SeenState {
    /// A request that the application is working on.
    #[default]
    Pending,
    /// The same, acknowledged on its own meanwhile: the response comes separately.
    Acknowledged,
    /// A response that the application must accept or reject.
    Undecided,
    /// By nothing.
    Silent,
    /// By an empty acknowledgement.
    Ack,
    /// By a Reset.
    Reset,
    /// By these bytes.
    Answer(BlobId),
    /// By an acknowledgement with a code and nothing else, as most requests are.
    Bare(Code, Token),
    /// By bytes that had to make room; a repetition stays unanswered.
    Forgotten,
}

/// The message IDs received within their lifetimes; oldest first.
#[derive(Debug, Default)]
pub(super) struct Dedup<L> {
    list: L,
    /// How many of them are what, so that nobody looks through all for what is not there.
    counts: Counts,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Counts {
    due: u16,
    pending: u16,
    /// Dealt with without the application.
    unhanded: u16,
}

impl Counts {
    fn of(seen: &Seen) -> Self {
        Self {
            due: seen.due.into(),
            pending: (seen.state == SeenState::Pending).into(),
            unhanded: (!seen.is_handed).into(),
        }
    }

    fn add(&mut self, seen: &Seen) {
        let Self { due, pending, unhanded } = Self::of(seen);
        self.due = self.due.saturating_add(due);
        self.pending = self.pending.saturating_add(pending);
        self.unhanded = self.unhanded.saturating_add(unhanded);
    }

    fn take(&mut self, seen: &Seen) {
        let Self { due, pending, unhanded } = Self::of(seen);
        self.due = self.due.saturating_sub(due);
        self.pending = self.pending.saturating_sub(pending);
        self.unhanded = self.unhanded.saturating_sub(unhanded);
    }
}

impl<L: List<Seen>> Dedup<L> {
    #[cfg(feature = "alloc")]
    pub(super) fn heap_len(&self) -> usize {
        self.list.heap_len()
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &Seen> {
        self.list.as_slice().iter()
    }

    pub(super) fn find(&self, message_id: MessageId) -> Option<&Seen> {
        // The newest first: a message is asked for most often while it is handled.
        self.list.as_slice().iter().rfind(|seen| seen.message_id == message_id)
    }

    /// Changes what is remembered of a message; says whether there is anything.
    pub(super) fn change(&mut self, message_id: MessageId, change: impl FnOnce(&mut Seen)) -> bool {
        let found = self.list.as_mut_slice().iter_mut().rfind(|seen| seen.message_id == message_id);
        let Some(seen) = found else { return false };
        self.counts.take(seen);
        change(seen);
        self.counts.add(seen);
        true
    }

    /// Whether the application works on any of them.
    pub(super) fn has_pending(&self) -> bool {
        self.counts.pending > 0
    }

    /// Whether the answer to any of them is to be sent.
    pub(super) fn has_due(&self) -> bool {
        self.counts.due > 0
    }

    /// The first whose answer is to be sent; the mark is taken off.
    pub(super) fn take_due(&mut self) -> Option<Seen> {
        let mut all = self.list.as_mut_slice().iter_mut();
        // One alone is most often the newest.
        let seen = match self.counts.due {
            0 => None,
            1 => all.rfind(|seen| seen.due),
            _ => all.find(|seen| seen.due),
        }?;
        self.counts.take(seen);
        seen.due = false;
        self.counts.add(seen);
        Some(*seen)
    }

    /// Notes a new message. When the list is full, the oldest makes room that is settled and was
    /// dealt with without the application; or else the oldest settled; or else the oldest.
    pub(super) fn note<M: Bytes>(&mut self, seen: Seen, arena: &mut Arena<M>, config: &Config) {
        let limit = config.seen_max.max(1);
        while !self.list.push(seen, limit) {
            let mut settled = self.list.as_slice().iter().enumerate().filter(|(_, seen)| seen.is_settled());
            let oldest = settled.next();
            let has_ours = self.counts.unhanded > 0;
            let mut ours = oldest.into_iter().chain(settled).filter(|(_, seen)| !seen.is_handed);
            let index = has_ours.then(|| ours.next()).flatten().or(oldest).map_or(0, |(index, _)| index);
            self.remove(index, arena);
        }
        self.counts.add(&seen);
    }

    /// Forgets those whose lifetime is over.
    pub(super) fn expire<M: Bytes>(&mut self, now: Instant, arena: &mut Arena<M>, config: &Config) {
        let Some(oldest) = self.list.as_slice().first() else { return };
        let lifetimes = Lifetimes::of(config);
        // They stand in the order in which they came.
        if after(oldest.at, lifetimes.confirmable_us.min(lifetimes.non_confirmable_us)) > now {
            return;
        }
        let is_over = |seen: &Seen| seen.expires(&lifetimes) <= now;
        while let Some(index) = self.list.as_slice().iter().position(is_over) {
            self.remove(index, arena);
        }
    }

    /// When the last of them will be forgotten.
    pub(super) fn all_expired_at(&self, config: &Config) -> Option<Instant> {
        let lifetimes = Lifetimes::of(config);
        let newest = self.list.as_slice().last()?;
        if newest.confirmable && lifetimes.confirmable_us >= lifetimes.non_confirmable_us {
            return Some(newest.expires(&lifetimes));
        }
        self.iter().map(|seen| seen.expires(&lifetimes)).max()
    }

    /// Gives up the bytes of the oldest stored answer; false when there is none.
    pub(super) fn make_room<M: Bytes>(&mut self, arena: &mut Arena<M>) -> bool {
        for seen in self.list.as_mut_slice() {
            if let SeenState::Answer(blob) = seen.state
                && !seen.due
            {
                arena.free(blob);
                seen.state = SeenState::Forgotten;
                return true;
            }
        }
        false
    }

    /// Marks the requests that waited too long for the application: they are acknowledged now.
    pub(super) fn acknowledge_late(&mut self, now: Instant, config: &Config) {
        for seen in self.list.as_mut_slice() {
            if seen.ack_due_at(config).is_some_and(|at| at <= now) {
                self.counts.take(seen);
                seen.state = SeenState::Acknowledged;
                seen.due = true;
                self.counts.add(seen);
            }
        }
    }

    pub(super) fn remove<M: Bytes>(&mut self, index: usize, arena: &mut Arena<M>) {
        let Some(seen) = self.list.as_slice().get(index) else { return };
        if let SeenState::Answer(blob) = seen.state {
            arena.free(blob);
        }
        self.counts.take(seen);
        self.list.remove(index);
    }
}

/// How long a message ID is remembered.
struct Lifetimes {
    confirmable_us: u64,
    non_confirmable_us: u64,
}

impl Lifetimes {
    fn of(config: &Config) -> Self {
        Self { confirmable_us: config.exchange_lifetime_us(), non_confirmable_us: config.non_lifetime_us() }
    }
}

fn after(at: Instant, span_us: u64) -> Instant {
    Instant::from_micros(at.as_micros().saturating_add(span_us))
}

impl Seen {
    fn expires(&self, lifetimes: &Lifetimes) -> Instant {
        let lifetime = if self.confirmable { lifetimes.confirmable_us } else { lifetimes.non_confirmable_us };
        after(self.at, lifetime)
    }

    /// When to acknowledge a request for which the application still has no answer.
    pub(super) fn ack_due_at(&self, config: &Config) -> Option<Instant> {
        (self.confirmable && self.state == SeenState::Pending).then(|| self.at + config.piggyback_within)
    }

    fn is_settled(&self) -> bool {
        match self.state {
            SeenState::Pending | SeenState::Acknowledged | SeenState::Undecided => false,
            SeenState::Silent
            | SeenState::Ack
            | SeenState::Reset
            | SeenState::Answer(_)
            | SeenState::Bare(..)
            | SeenState::Forgotten => !self.due,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A peer remembers up to sixteen, and a shard has many peers.
    #[test]
    fn what_is_remembered_of_a_message_is_small() {
        assert_eq!(size_of::<Seen>(), 24);
    }
}
