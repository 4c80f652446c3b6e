//! What is kept of one observation.

use core::time::Duration;
use std::sync::Arc;

use lightship_coap::{Freshness, Token};
use lightship_platform::Instant;

use crate::Wanted;
use crate::devices::Device;
use crate::downlink::Job;
use crate::frozen::Reader;
use crate::limits::OBSERVE_RETRY_MIN;
use crate::slab::Key;
use crate::timer::TimerId;

/// One observation of one device. There may be millions of these: what only few have at a time is behind one pointer.
pub(crate) struct Observation {
    pub(crate) device: Key<Device>,
    /// Devices of one kind share it.
    pub(crate) wanted: Arc<Wanted>,
    pub(crate) state: State,
    /// Chosen anew for each attempt, so that values of an earlier one are not taken for this one's.
    pub(crate) token: Option<Token>,
    /// Which of its values is the newest (RFC 7641 §3.4), if there is a token.
    pub(crate) newest: Freshness,
    /// When the device last said anything under it.
    pub(crate) heard_at: Instant,
    pub(crate) started_at: Instant,
    pub(crate) rare: Option<Box<Rare>>,
}

/// What there is to say of an observation that begins, fails or is in doubt.
#[derive(PartialEq, Eq)]
pub(crate) struct Rare {
    /// The token before the last start: a notification under it is explained.
    pub(crate) previous: Option<Token>,
    /// Whether the device may have it under a token that is not ours any more.
    pub(crate) doubtful: bool,
    /// How long it must have run before a doubt starts it anew at once; doubles each time.
    pub(crate) trust: Duration,
    /// Starts it anew when that time is over, if a doubt came before.
    pub(crate) recheck: Option<TimerId>,
    pub(crate) crossed: Crossed,
    /// Whether the whole of a value is being fetched.
    pub(crate) fetching: bool,
    /// Whether the host knows it as running, though it is being started anew.
    pub(crate) renewing: bool,
    pub(crate) pause: Duration,
    /// Whether a failure of this attempt ends the observation.
    pub(crate) one_attempt: bool,
}

impl Rare {
    const NOTHING: Self = Self {
        previous: None,
        doubtful: false,
        trust: OBSERVE_RETRY_MIN,
        recheck: None,
        crossed: Crossed::No,
        fetching: false,
        renewing: false,
        pause: OBSERVE_RETRY_MIN,
        one_attempt: false,
    };
}

impl Observation {
    pub(crate) fn rare(&self) -> &Rare {
        self.rare.as_deref().unwrap_or(&Rare::NOTHING)
    }

    pub(crate) fn rare_mut(&mut self) -> &mut Rare {
        self.rare.get_or_insert_with(|| Box::new(Rare::NOTHING))
    }

    /// Lets go of what has nothing to say any more.
    pub(crate) fn tidy(&mut self) {
        self.rare.take_if(|rare| **rare == Rare::NOTHING);
    }

    /// The device has answered: values under this token are newer than that.
    pub(crate) fn begin(&mut self, token: Token, newest: Freshness) {
        (self.token, self.newest) = (Some(token), newest);
    }

    pub(crate) fn newest(&self) -> Option<Freshness> {
        self.token.map(|_| self.newest)
    }

    pub(crate) fn newest_mut(&mut self) -> Option<&mut Freshness> {
        self.token.map(|_| &mut self.newest)
    }

    pub(crate) fn set_crossed(&mut self, crossed: Crossed) {
        if self.rare().crossed != crossed {
            self.rare_mut().crossed = crossed;
        }
    }

    pub(crate) fn take_recheck(&mut self) -> Option<TimerId> {
        self.rare.as_mut().and_then(|rare| rare.recheck.take())
    }

    /// No attempt is under way any more, and nothing runs.
    pub(crate) fn halt(&mut self) {
        self.token = None;
        if let Some(rare) = &mut self.rare {
            rare.renewing = false;
        }
    }
}

/// An observation from before a restart.
pub(crate) struct FrozenObservation {
    pub(crate) wanted: Wanted,
    pub(crate) running: Option<FrozenRun>,
}

pub(crate) struct FrozenRun {
    pub(crate) token: Token,
    pub(crate) newest: Freshness,
    pub(crate) heard_at: Instant,
    pub(crate) started_at: Instant,
}

impl FrozenObservation {
    pub(crate) fn read(reader: &mut Reader<'_>) -> Option<Self> {
        let wanted = Wanted::thaw(reader)?;
        let running = reader.maybe(|reader| {
            let token = Token::new(reader.bytes()?)?;
            let sequence = reader.u32()?;
            let newest = Freshness::new(reader.moment()?, sequence);
            Some(FrozenRun { token, newest, heard_at: reader.moment()?, started_at: reader.moment()? })
        })?;
        Some(Self { wanted, running })
    }
}

pub(crate) enum State {
    /// In the device's line.
    Starting(Key<Job>),
    Running,
    /// Until the timer fires or the device shows itself.
    Pausing(TimerId),
    /// It was just made, or the device sleeps: until it shows itself.
    Idle,
}

/// Whether something of the observation before crossed the start of this one, so that the device may go on with that.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Crossed {
    No,
    /// It is to be started once more as soon as it has run for a moment.
    Yes,
    /// It has been, or will be by its timer.
    Settled,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_observation_is_small() {
        let slot = crate::slab::slot_len::<Observation>();
        assert!(slot <= 88, "{slot}");
    }
}
