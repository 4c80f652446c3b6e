//! Observations: when to look at values, and when to tell about them (TS_Core 6.4, 7.3.2; RFC 7641).

use core::time::Duration;

use lightship_coap::peer::{CacheKey, NewNotification};
use lightship_coap::{Code, ContentFormat, Sequence, Token};
use lightship_lwm2m::{Attributes, Path};
use lightship_platform::Instant;

use crate::account::Account;
use crate::config::Thresholds;
use crate::history::Subject;
use crate::snapshot::{Snapshot, fires};

/// A notification is confirmable at least that often (RFC 7641 section 4.5), minus the time a transmission takes.
const CONFIRM_EVERY: Duration = Duration::from_secs(24 * 3600 - 93);

/// One server watching one path.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Observation {
    pub(crate) account: u8,
    pub(crate) path: Path,
    pub(crate) token: Token,
    pub(crate) cache_key: CacheKey,
    /// The format of the first answer, which all notifications keep.
    pub(crate) format: ContentFormat,
    /// Attributes of the Observe request; they replace the attached ones.
    pub(crate) query: Option<Attributes>,
    /// Whether it is a whole observation, or one path of a composite one.
    pub(crate) part: Part,
    pub(crate) sequence: Sequence,
    /// Distinguishes this observation from an earlier one in the same place.
    pub(crate) generation: u16,
    /// What its records in the history go by.
    pub(crate) subject: Subject,
    /// What the host was told of it.
    pub(crate) news: News,
    /// What the server was told last.
    told: Snapshot,
    told_at: Instant,
    /// When the last notification went out, as opposed to the last that was put off.
    sent_at: Instant,
    confirmed_at: Instant,
    looked_at: Instant,
    /// The values may have changed since the last look.
    stale: bool,
    /// There is something to tell, as soon as pmin allows.
    due: bool,
    /// Nothing can be sent before the exchange under way ends.
    pub(crate) blocked: bool,
    /// The server is out of reach or disabled: what were notifications is kept for later, or dropped.
    pub(crate) away: bool,
    /// There are values from before that the server is told first.
    pub(crate) behind: Behind,
    /// What was put off while something else was under way is superseded when that arrives.
    put_off: bool,
}

/// Whether a server is to be told values of the past.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Behind {
    No,
    /// They are told first, one message after the other.
    Yes,
}

/// What the host is still to be told of an observation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum News {
    Begun,
    None,
    /// It ended; its place is free as soon as that was told.
    Ended,
}

/// Which part of an observation one path is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Part {
    Whole,
    /// The path of a composite observation that acts for all of them.
    First,
    More,
}

/// What is to be done about an observation now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Action {
    Look,
    Tell,
    Wait,
}

impl Observation {
    /// An observation whose first answer, holding `told`, goes out now.
    #[allow(clippy::too_many_arguments, reason = "a plain record of the request")]
    pub(crate) fn new(
        now: Instant,
        account: u8,
        path: Path,
        token: Token,
        cache_key: CacheKey,
        format: ContentFormat,
        query: Option<Attributes>,
        told: Snapshot,
    ) -> Self {
        Observation {
            account,
            path,
            token,
            cache_key,
            format,
            query,
            part: Part::Whole,
            sequence: Sequence::starting_at(1),
            generation: 0,
            subject: Subject::of(core::iter::once(path)),
            news: News::Begun,
            told,
            told_at: now,
            sent_at: now,
            confirmed_at: now,
            looked_at: now,
            stale: false,
            due: false,
            blocked: false,
            away: false,
            behind: Behind::No,
            put_off: false,
        }
    }

    /// What the first answer told.
    pub(crate) fn begin(&mut self, told: Snapshot) {
        self.told = told;
    }

    /// Whether it runs, as opposed to a place whose end the host has not heard of.
    pub(crate) fn runs(&self) -> bool {
        self.news != News::Ended
    }

    /// Whether it belongs to the same observation as another one.
    pub(crate) fn is_with(&self, other: &Observation) -> bool {
        self.runs() && self.account == other.account && self.generation == other.generation
    }

    /// The values may have changed.
    pub(crate) fn touch(&mut self) {
        self.stale = true;
    }

    /// Says what to do at `now`. `keeps`: what cannot be told now is kept for later.
    pub(crate) fn action(&self, now: Instant, attributes: &Attributes, keeps: bool) -> Action {
        if self.look_at(attributes).is_some_and(|at| at <= now) {
            return Action::Look;
        }
        match self.tell_at(attributes) {
            Some(at) if at <= now && self.may_tell(keeps) => Action::Tell,
            _ => Action::Wait,
        }
    }

    /// Whether a notification that is due goes out now, or is kept now.
    fn may_tell(&self, keeps: bool) -> bool {
        self.away || if self.blocked { keeps } else { self.behind == Behind::No }
    }

    /// When [`Observation::action`] changes by itself.
    pub(crate) fn timeout(&self, attributes: &Attributes, keeps: bool) -> Option<Instant> {
        let tell_at = self.tell_at(attributes).filter(|_| self.may_tell(keeps));
        [self.look_at(attributes), tell_at].into_iter().flatten().min()
    }

    /// Not before epmin after the last look; without a change at epmax.
    fn look_at(&self, attributes: &Attributes) -> Option<Instant> {
        if self.due {
            return None;
        }
        if self.stale {
            return Some(self.looked_at + seconds(attributes.epmin.unwrap_or(0)));
        }
        attributes.epmax.filter(|epmax| *epmax > 0).map(|epmax| self.looked_at + seconds(epmax))
    }

    /// What is due waits for pmin; pmax makes it due by itself, unless it is 0 or below pmin.
    fn tell_at(&self, attributes: &Attributes) -> Option<Instant> {
        let pmin = attributes.pmin.unwrap_or(0);
        if self.due {
            return Some(self.told_at + seconds(pmin));
        }
        let pmax = attributes.pmax.filter(|pmax| *pmax > 0 && *pmax >= pmin);
        pmax.map(|pmax| self.told_at + seconds(pmax))
    }

    /// Takes what a look found.
    pub(crate) fn looked(
        &mut self,
        now: Instant,
        found: &Snapshot,
        attributes: &Attributes,
        thresholds: Thresholds,
    ) {
        self.stale = false;
        self.looked_at = now;
        self.due = self.due || fires(attributes, thresholds, &self.told, found);
    }

    /// A look that found nothing to read.
    pub(crate) fn looked_in_vain(&mut self, now: Instant) {
        self.stale = false;
        self.looked_at = now;
    }

    /// Whether the next notification has to be confirmable.
    pub(crate) fn confirmable(&self, now: Instant, attributes: &Attributes, account: &Account) -> bool {
        attributes.con.unwrap_or(account.confirmable_notifications.unwrap_or(false))
            || now.saturating_duration_since(self.confirmed_at) >= CONFIRM_EVERY
    }

    /// The head of the next notification.
    pub(crate) fn notification(&self, code: Code, confirmable: bool) -> NewNotification {
        let key = u32::from(self.generation);
        NewNotification { key, token: self.token, cache_key: self.cache_key, code, confirmable }
    }

    /// Nothing could be told; as if it had been, so that it is not tried again and again.
    pub(crate) fn told_nothing(&mut self, now: Instant) {
        let told = self.told;
        self.told(now, told, false);
    }

    /// A notification with these values went out.
    pub(crate) fn told(&mut self, now: Instant, told: Snapshot, confirmable: bool) {
        self.kept(now, told);
        self.sent_at = now;
        self.put_off = false;
        if confirmable {
            self.confirmed_at = now;
        }
    }

    /// A notification with these values was due, and was kept for later.
    pub(crate) fn kept(&mut self, now: Instant, told: Snapshot) {
        self.told = told;
        self.told_at = now;
        self.looked_at = now;
        self.stale = false;
        self.due = false;
        self.put_off = true;
    }

    /// Values of the past went out, in a confirmable message.
    pub(crate) fn caught_up_some(&mut self, now: Instant) {
        self.sent_at = now;
        self.confirmed_at = now;
        self.put_off = false;
        // What becomes due meanwhile waits for the acknowledgement.
        self.blocked = true;
    }

    /// All values of the past arrived.
    pub(crate) fn caught_up(&mut self, differs: bool) {
        self.behind = Behind::No;
        self.due = self.due || differs;
    }

    /// What it waited for arrived. What was put off meanwhile is told as it is now.
    pub(crate) fn unblock(&mut self) {
        self.blocked = false;
        if core::mem::take(&mut self.put_off) {
            self.due = true;
            self.told_at = self.sent_at;
        }
    }

    /// What it waited for never arrived: what was put off meanwhile is told first.
    pub(crate) fn was_cut_off(&mut self) {
        if core::mem::take(&mut self.put_off) {
            self.blocked = false;
            self.behind = Behind::Yes;
        }
    }

    /// The server is out of reach: notifications that are due from now on cannot be sent.
    pub(crate) fn go_away(&mut self) {
        self.away = true;
        self.blocked = false;
        self.put_off = false;
    }

    /// The server is back, and has kept the observation.
    pub(crate) fn come_back(&mut self) {
        self.away = false;
        self.put_off = false;
        self.stale = true;
        self.behind = Behind::Yes;
    }
}

fn seconds(seconds: u32) -> Duration {
    Duration::from_secs(seconds.into())
}
