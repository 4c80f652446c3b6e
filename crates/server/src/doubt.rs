//! Observations that the server believes to run and the device may not have any more.
//!
//! A device gives one up without a word: when it moved and its notification got a Reset, when notifications were not
//! acknowledged (RFC 7641 §4.5), when it keeps one for each path and a request of ours that was late took the place of
//! a newer one. Whatever hints at that makes the shard start the observation anew, not more often than it must.

use lightship_coap::Token;
use lightship_platform::Instant;

use crate::Shard;
use crate::devices::Device;
use crate::limits::{CROSSED_SETTLE, OBSERVE_RETRY_MAX, SLEEPER_REFRESH_MIN, TRANSMIT_SPAN_MAX};
use crate::links::Link;
use crate::observation::{Crossed, Observation, State};
use crate::shard::Due;
use crate::slab::Key;

impl Shard {
    /// The device has shown itself: pauses are over. Observations that it may have lost without a word are started
    /// anew: after it has moved (a notification from the new address got a Reset), and when nothing came under them
    /// for long (it gave up after notifications were not acknowledged, RFC 7641 §4.5).
    pub(crate) fn resume_observations(&mut self, now: Instant, owner: Key<Device>, moved: bool) {
        let Some(device) = self.devices.get(owner) else { return };
        if device.observations.is_empty() {
            return;
        }
        let refresh = match device.sleep() {
            Some(_) => self.config.observation_refresh.max(SLEEPER_REFRESH_MIN),
            None => self.config.observation_refresh,
        };
        let doubtful = |key: &Key<Observation>| {
            self.observations.get(*key).is_some_and(|observation| match observation.state {
                State::Pausing(_) | State::Idle => true,
                State::Running => {
                    let silent = now.saturating_duration_since(observation.heard_at) >= refresh;
                    moved || observation.rare().doubtful || silent
                }
                State::Starting(_) => false,
            })
        };
        let doubtful: Vec<_> = device.observations.iter().copied().filter(doubtful).collect();
        if doubtful.is_empty() {
            return;
        }
        // What the device told from its new address before its Update got a Reset, which may cross the new start.
        let crossed = if moved { Crossed::Yes } else { Crossed::No };
        for key in &doubtful {
            if let Some(observation) = self.observations.get_mut(*key) {
                observation.set_crossed(crossed);
            }
        }
        self.start_anew(now, owner, &doubtful);
    }

    /// The observation whose notification under this token may have been on its way when it was started anew. A Reset
    /// would be meant for the one before, but devices that keep one for each path take it for the new one.
    pub(crate) fn replaced(&self, now: Instant, link: Key<Link>, token: Token) -> Option<Key<Observation>> {
        let device = self.devices.get(self.links.get(link)?.device?)?;
        let replaced = |key: &&Key<Observation>| {
            self.observations.get(**key).is_some_and(|observation| {
                observation.rare().previous == Some(token)
                    && match observation.state {
                        State::Starting(_) => true,
                        State::Running => now < observation.started_at + TRANSMIT_SPAN_MAX,
                        State::Pausing(_) | State::Idle => false,
                    }
            })
        };
        device.observations.iter().find(replaced).copied()
    }

    /// Something of the observation before crossed the start of this one: which of the two the device goes on with is
    /// its secret, so it is asked once more when nothing is under way.
    pub(crate) fn crossed(&mut self, now: Instant, key: Key<Observation>) {
        let Some(observation) = self.observations.get_mut(key) else { return };
        let runs = matches!(observation.state, State::Running);
        let rare = observation.rare_mut();
        if rare.crossed != Crossed::No {
            return;
        }
        rare.crossed = Crossed::Yes;
        if runs && rare.recheck.is_none() {
            rare.crossed = Crossed::Settled;
            rare.recheck = Some(self.timers.arm(now + CROSSED_SETTLE, Due::Doubt(key)));
        }
    }

    /// A notification came under a token that is not ours. The Reset that it gets may end an observation that we
    /// believe to run: devices that keep one for each path take a request of ours that was late for a newer one.
    pub(crate) fn doubt(&mut self, now: Instant, owner: Key<Device>, token: Token) {
        let Some(device) = self.devices.get(owner) else { return };
        let keys = device.observations.to_vec();
        let explained = |key: &Key<Observation>| {
            self.observations.get(*key).is_some_and(|o| o.rare().previous == Some(token))
        };
        if keys.iter().any(explained) {
            return;
        }
        let mut doubtful = Vec::new();
        for key in keys {
            let Some(observation) = self.observations.get_mut(key) else { continue };
            if !matches!(observation.state, State::Running) {
                continue;
            }
            let started_at = observation.started_at;
            let rare = observation.rare_mut();
            rare.doubtful = true;
            // The others wait, so that a device that goes on does not keep us busy.
            let trusted_until = started_at + rare.trust;
            if now >= trusted_until {
                doubtful.push(key);
            } else if rare.recheck.is_none() {
                rare.recheck = Some(self.timers.arm(trusted_until, Due::Doubt(key)));
            }
        }
        self.distrust(now, owner, &doubtful);
    }

    /// A doubtful observation has run for as long as it was trusted, or one whose start was crossed for a moment.
    pub(crate) fn doubt_due(&mut self, now: Instant, key: Key<Observation>) {
        let Some(observation) = self.observations.get_mut(key) else { return };
        let owner = observation.device;
        let rare = observation.rare_mut();
        rare.recheck = None;
        let doubtful = rare.doubtful;
        if doubtful {
            self.distrust(now, owner, &[key]);
        } else {
            self.start_anew(now, owner, &[key]);
        }
    }

    fn distrust(&mut self, now: Instant, owner: Key<Device>, keys: &[Key<Observation>]) {
        for key in keys {
            if let Some(observation) = self.observations.get_mut(*key) {
                let rare = observation.rare_mut();
                rare.trust = (rare.trust * 2).min(OBSERVE_RETRY_MAX);
            }
        }
        self.start_anew(now, owner, keys);
    }

    pub(crate) fn forget_doubt(&mut self, key: Key<Observation>) {
        if let Some(timer) = self.observations.get_mut(key).and_then(Observation::take_recheck) {
            self.timers.cancel(timer);
        }
    }
}
