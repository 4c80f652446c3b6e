//! The life of a registration with one server, as a machine that only decides (TS_Core 6.2).
//!
//! ```text
//!            start                    2.01                    Disable, deregister
//!   Idle ───────────► Waiting ─► Registering ─► Registered ──────────► Deregistering ──► Idle
//!                        ▲            │             │ │ ▲                   │
//!                        │   failure  │     4.04,   │ │ │ 2.04              │ Disable
//!                        └────────────┘    silence  │ └─┘ Update            ▼
//!                        ◄──────────────────────────┘                    Waiting
//! ```

#![allow(clippy::wildcard_enum_match_arm, reason = "what does not concern a phase is ignored in all of them")]

use core::time::Duration;

use lightship_coap::Code;
use lightship_lwm2m::Version;
use lightship_platform::{Instant, Rng};

use crate::account::{Account, Retry};
use crate::event::Failure;

/// Where a registration stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Phase {
    /// Not registered and not trying.
    Idle,
    /// The next Register goes out then.
    Waiting {
        /// When; [`Instant::NEVER`] while it is another server's turn, or when the account wants no more attempts.
        until: Instant,
    },
    /// A Register is under way.
    Registering,
    /// The server knows the client.
    Registered {
        /// When the server forgets it without an Update; `None` = never.
        expires: Option<Instant>,
    },
    /// A De-register is under way.
    Deregistering,
}

/// What should be sent now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Step {
    Register { version: Version },
    Update(Changes),
    Deregister,
}

/// What a server was told before and is different now.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Changes {
    pub(crate) lifetime: bool,
    pub(crate) objects: bool,
    /// `b`, and with it `Q`.
    pub(crate) binding: bool,
    pub(crate) sms: bool,
}

impl Changes {
    fn any(self) -> bool {
        self.lifetime || self.objects || self.binding || self.sms
    }

    pub(crate) fn or(self, other: Changes) -> Changes {
        Changes {
            lifetime: self.lifetime || other.lifetime,
            objects: self.objects || other.objects,
            binding: self.binding || other.binding,
            sms: self.sms || other.sms,
        }
    }
}

/// What a Response or its absence led to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Outcome {
    Registered,
    Updated,
    /// The server cannot take an Update now, and keeps the registration.
    Postponed {
        reason: Failure,
        retry_in: Duration,
    },
    Deregistered,
    /// `gave_up`: this was the last attempt that the account asks for.
    Failed {
        reason: Failure,
        retry_in: Duration,
        gave_up: bool,
    },
}

#[derive(Debug)]
pub(crate) struct Registration {
    phase: Phase,
    version: Version,
    /// The version to begin with when all were refused.
    highest: Version,
    refresh_at: Option<Instant>,
    /// An Update is under way.
    updating: bool,
    /// When the request under way began; lifetimes count from there, on the safe side.
    asked_at: Instant,
    attempt: u16,
    sequence: u16,
    /// What the next Update has to carry.
    changes: Changes,
    /// What the one under way carries.
    carried: Changes,
    update_wanted: bool,
    leave: Option<Leave>,
}

/// Why a registration ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Leave {
    ForGood,
    For(Duration),
}

impl Registration {
    pub(crate) fn new(version: Version) -> Self {
        Registration {
            phase: Phase::Idle,
            version,
            highest: version,
            refresh_at: None,
            updating: false,
            asked_at: Instant::default(),
            attempt: 0,
            sequence: 0,
            changes: Changes::default(),
            carried: Changes::default(),
            update_wanted: false,
            leave: None,
        }
    }

    pub(crate) fn phase(&self) -> Phase {
        self.phase
    }

    pub(crate) fn is_registered(&self) -> bool {
        matches!(self.phase, Phase::Registered { .. })
    }

    pub(crate) fn version(&self) -> Version {
        self.version
    }

    /// Begins to register at `at`, with fresh counters.
    pub(crate) fn start(&mut self, at: Instant, version: Version) {
        *self = Registration { phase: Phase::Waiting { until: at }, version, ..Registration::new(version) };
    }

    /// Has to wait until [`Registration::start`]: it is another server's turn.
    pub(crate) fn hold(&mut self, version: Version) {
        self.start(Instant::NEVER, version);
    }

    /// The request under way was refused for what it held; the next one holds something else, at once.
    pub(crate) fn ask_otherwise(&mut self, now: Instant, reason: Failure) -> Option<Outcome> {
        if self.leave.is_some() {
            return self.gone(now);
        }
        self.phase = Phase::Waiting { until: now };
        Some(Outcome::Failed { reason, retry_in: Duration::ZERO, gave_up: false })
    }

    /// Leaves the server: for good, or to come back after a while.
    pub(crate) fn leave(&mut self, now: Instant, back_after: Option<Duration>) {
        let leave = back_after.map_or(Leave::ForGood, Leave::For);
        match self.phase {
            // A Register under way may have reached the server: it ends first.
            Phase::Registering | Phase::Registered { .. } | Phase::Deregistering => self.leave = Some(leave),
            Phase::Idle | Phase::Waiting { .. } => self.left(now, leave),
        }
    }

    fn left(&mut self, now: Instant, leave: Leave) {
        *self = Registration { highest: self.highest, ..Registration::new(self.version) };
        if let Leave::For(back_after) = leave {
            self.phase = Phase::Waiting { until: now + back_after };
        }
    }

    pub(crate) fn want_update(&mut self) {
        self.update_wanted = true;
    }

    /// The server has to hear of that.
    pub(crate) fn changed(&mut self, changes: Changes) {
        self.changes = self.changes.or(changes);
        self.update_wanted = self.update_wanted || changes.any();
    }

    /// When [`Registration::step`] has something to say next.
    pub(crate) fn timeout(&self) -> Option<Instant> {
        match self.phase {
            Phase::Waiting { until } => Some(until).filter(|until| *until < Instant::NEVER),
            Phase::Registered { .. } if self.updating => None,
            Phase::Registered { .. } if self.update_wanted || self.leave.is_some() => Some(self.asked_at),
            Phase::Registered { .. } => self.refresh_at,
            Phase::Idle | Phase::Registering | Phase::Deregistering => None,
        }
    }

    /// Whether the server has forgotten the client, because no Update came in time: after a long sleep.
    pub(crate) fn has_expired(&self, now: Instant) -> bool {
        self.expired_at().is_some_and(|at| at <= now)
    }

    /// When the lifetime is over unless an Update succeeds before. What waits for an answer has to look at the clock then.
    pub(crate) fn expired_at(&self) -> Option<Instant> {
        match self.phase {
            Phase::Registered { expires } => expires.map(|at| at + Duration::from_millis(1)),
            _ => None,
        }
    }

    /// Says what to send now; the caller sends it and reports the outcome.
    pub(crate) fn step(&mut self, now: Instant) -> Option<Step> {
        match self.phase {
            Phase::Waiting { until } if until <= now => {
                self.phase = Phase::Registering;
                self.asked_at = now;
                // The Register says everything there is to say.
                self.changes = Changes::default();
                self.update_wanted = false;
                Some(Step::Register { version: self.version })
            }
            Phase::Registered { .. } if self.updating => None,
            Phase::Registered { .. } if self.leave.is_some() => {
                self.phase = Phase::Deregistering;
                Some(Step::Deregister)
            }
            Phase::Registered { .. } if self.update_wanted || self.refresh_at.is_some_and(|at| at <= now) => {
                self.updating = true;
                self.asked_at = now;
                self.update_wanted = false;
                self.carried = core::mem::take(&mut self.changes);
                Some(Step::Update(self.carried))
            }
            _ => None,
        }
    }

    /// Takes the server's answer to the request under way. `max_age` is that of 5.03 and 4.29.
    pub(crate) fn answered(
        &mut self,
        now: Instant,
        code: Code,
        max_age: Option<Duration>,
        account: &Account,
        max_transmit_wait: Duration,
        rng: &mut impl Rng,
    ) -> Option<Outcome> {
        match self.phase {
            Phase::Registering if code == Code::CREATED => {
                self.attempt = 0;
                self.sequence = 0;
                self.refresh(account.lifetime_s, max_transmit_wait);
                Some(Outcome::Registered)
            }
            Phase::Registering => {
                if self.leave.is_some() {
                    return self.gone(now);
                }
                if code == Code::PRECONDITION_FAILED {
                    if let Some(lower) = lower(self.version) {
                        self.version = account.offer(lower);
                        return self.ask_otherwise(now, Failure::Refused(code));
                    }
                    // Perhaps another server answers the next time.
                    self.version = self.highest;
                }
                Some(self.failed(now, Failure::Refused(code), max_age, &account.retry, rng))
            }
            Phase::Registered { .. } if self.updating && code == Code::CHANGED => {
                self.updating = false;
                self.refresh(account.lifetime_s, max_transmit_wait);
                Some(Outcome::Updated)
            }
            Phase::Registered { .. } if self.updating && self.leave.is_none() && max_age.is_some() => {
                Some(self.postpone(now, Failure::Refused(code), max_age.unwrap_or_default()))
            }
            // 4.04: the server has forgotten the client. Any other refusal leaves the two apart as well.
            Phase::Registered { .. } if self.updating => self.again(now, Failure::Refused(code), max_age),
            Phase::Deregistering => self.gone(now),
            _ => None,
        }
    }

    /// Takes the failure of the request under way.
    pub(crate) fn unanswered(
        &mut self,
        now: Instant,
        reason: Failure,
        account: &Account,
        rng: &mut impl Rng,
    ) -> Option<Outcome> {
        match self.phase {
            Phase::Registering if self.leave.is_some() => self.gone(now),
            Phase::Registering => Some(self.failed(now, reason, None, &account.retry, rng)),
            Phase::Registered { .. } if self.updating => self.again(now, reason, None),
            Phase::Deregistering => self.gone(now),
            _ => None,
        }
    }

    /// There is no way to the server at present. `hopeless`: trying again leads to the same, so this was the last attempt.
    #[cfg(feature = "dtls")]
    pub(crate) fn not_connected(
        &mut self,
        now: Instant,
        hopeless: bool,
        account: &Account,
        rng: &mut impl Rng,
    ) -> Option<Outcome> {
        if self.phase == Phase::Idle {
            return None;
        }
        if self.leave.is_some() {
            return self.gone(now);
        }
        self.updating = false;
        if hopeless {
            (self.attempt, self.sequence) = (u16::MAX, u16::MAX);
        }
        Some(self.failed(now, Failure::NotSecured, None, &account.retry, rng))
    }

    /// The way to the server was lost, and with it the request under way. What comes back by it begins with an Update, or with that
    /// request.
    #[cfg(feature = "dtls")]
    pub(crate) fn cut_off(&mut self, now: Instant) {
        self.updating = false;
        match self.phase {
            Phase::Registering => self.phase = Phase::Waiting { until: now },
            Phase::Deregistering => self.phase = Phase::Registered { expires: None },
            Phase::Registered { .. } => self.update_wanted = true,
            Phase::Idle | Phase::Waiting { .. } => {}
        }
    }

    /// Registers anew because the server's picture and the client's have come apart.
    pub(crate) fn again(
        &mut self,
        now: Instant,
        reason: Failure,
        max_age: Option<Duration>,
    ) -> Option<Outcome> {
        let retry_in = max_age.unwrap_or_default();
        // An Update that is still under way belongs to the registration that is over.
        self.updating = false;
        match self.leave {
            Some(leave) => {
                self.left(now, leave);
                Some(Outcome::Deregistered)
            }
            None => {
                self.phase = Phase::Waiting { until: now + retry_in };
                Some(Outcome::Failed { reason, retry_in, gave_up: false })
            }
        }
    }

    /// The server is too busy for an Update (5.03, 4.29) and knows the client all the same: the same Update goes out later, unless the
    /// lifetime ends before.
    fn postpone(&mut self, now: Instant, reason: Failure, max_age: Duration) -> Outcome {
        let retry_in = max_age.max(Duration::from_secs(1));
        self.updating = false;
        self.changes = self.changes.or(self.carried);
        let later = now + retry_in;
        self.refresh_at = Some(self.expired_at().map_or(later, |end| later.min(end)));
        Outcome::Postponed { reason, retry_in }
    }

    fn gone(&mut self, now: Instant) -> Option<Outcome> {
        let leave = self.leave.take().unwrap_or(Leave::ForGood);
        self.left(now, leave);
        Some(Outcome::Deregistered)
    }

    /// Lifetime and next Update after the server's consent. The Update comes a transmission's longest time before the
    /// end, so that its retransmissions fit in, but not before half of the lifetime.
    fn refresh(&mut self, lifetime_s: u32, max_transmit_wait: Duration) {
        let lifetime = Duration::from_secs(lifetime_s.into());
        if lifetime.is_zero() {
            self.refresh_at = None;
            self.phase = Phase::Registered { expires: None };
            return;
        }
        let margin = max_transmit_wait.min(lifetime / 2);
        let wait = lifetime.saturating_sub(margin).max(Duration::from_secs(1));
        self.refresh_at = Some(self.asked_at + wait);
        self.phase = Phase::Registered { expires: Some(self.asked_at + lifetime) };
    }

    /// The next attempt: `timer · 2^(attempt − 1)` within a sequence and the sequence delay between sequences, each with up to a
    /// tenth of jitter. After the last sequence the client has given up, and goes on with the sequence delay all the same,
    /// since the account may be its only way to anybody; unless that delay is the greatest there is.
    fn failed(
        &mut self,
        now: Instant,
        reason: Failure,
        max_age: Option<Duration>,
        retry: &Retry,
        rng: &mut impl Rng,
    ) -> Outcome {
        self.attempt = self.attempt.saturating_add(1);
        let mut gave_up = false;
        let delay_s = if self.attempt < retry.count() {
            let doublings = u32::from(self.attempt.saturating_sub(1));
            1_u32
                .checked_shl(doublings)
                .and_then(|factor| retry.timer_s().checked_mul(factor))
                .unwrap_or(u32::MAX)
        } else {
            self.attempt = 0;
            self.sequence = self.sequence.saturating_add(1);
            gave_up = self.sequence >= retry.sequence_count() || retry.sequence_delay_s() == u32::MAX;
            if gave_up {
                self.sequence = 0;
            }
            retry.sequence_delay_s()
        };
        if delay_s == u32::MAX {
            self.phase = Phase::Waiting { until: Instant::NEVER };
            return Outcome::Failed { reason, retry_in: Duration::MAX, gave_up };
        }
        let delay_s = delay_s.max(1);
        let jitter_ms = rng.below(delay_s.saturating_mul(100).max(1));
        let delay = Duration::from_secs(delay_s.into()) + Duration::from_millis(jitter_ms.into());
        let retry_in = max_age.map_or(delay, |max_age| delay.max(max_age));
        self.phase = Phase::Waiting { until: now + retry_in };
        Outcome::Failed { reason, retry_in, gave_up }
    }
}

/// The next lower enabler version.
fn lower(version: Version) -> Option<Version> {
    match version {
        Version::V1_2 => Some(Version::V1_1),
        Version::V1_1 => Some(Version::V1_0),
        Version::V1_0 => None,
    }
}
