//! Who listens, who is awake, who sleeps (Queue Mode, TS_Core 6.2.1.2, TS_Transport 6.5).
//!
//! ```text
//!               a message of the device, a Register, Q switched on
//!   Asleep ─────────────────────────────────────────────────────────► Awake
//!      ▲                                                                │ ▲ each message, each request sent:
//!      └── the window passed in silence, or a request got no answer ────┘ └─ the window begins anew
//! ```
//! Nobody tells the server when a device falls asleep; both sides count from the last message. A device without
//! Queue Mode listens always and costs nothing here.

use core::time::Duration;
use std::collections::VecDeque;

use lightship_coap::Message;
use lightship_platform::Instant;

use crate::devices::Device;
use crate::downlink::Job;
use crate::frozen::{Reader, Writer};
use crate::shard::Due;
use crate::slab::Key;
use crate::stateless::{Target, target};
use crate::timer::{TimerId, Timers};
use crate::{Event, Outcome, Shard};

/// Whether a device can be reached now.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Presence {
    /// It registered without Queue Mode, and listens always.
    Listening,
    /// It was heard of late; requests go out.
    Awake {
        /// When it counts as asleep if nothing more is heard of it; a message or a request makes it later.
        until: Instant,
    },
    /// Requests wait for it.
    Asleep {
        /// When the server took note of it.
        since: Instant,
        /// When it should show itself, by its rhythm so far and at the latest before its lifetime ends; past if it
        /// is overdue, `None` for a device without either.
        expected: Option<Instant>,
    },
}

impl Presence {
    /// Whether requests have to wait.
    #[must_use]
    pub const fn is_asleep(&self) -> bool {
        matches!(self, Self::Asleep { .. })
    }
}

/// What is kept of a device in Queue Mode.
pub(crate) struct Sleep {
    /// Runs while the device is awake; goes off early and is armed anew when the window has moved.
    window: Option<TimerId>,
    /// While awake: the end of the window. While asleep: when it fell asleep.
    edge: Instant,
    woke_at: Instant,
    rhythm: Rhythm,
}

/// The spans between the last wake-ups, in seconds, the newest first; 0 = not seen yet.
#[derive(Clone, Copy, Default)]
struct Rhythm([u32; RHYTHM_LEN]);

const RHYTHM_LEN: usize = 5;

impl Rhythm {
    fn beat(&mut self, span: Duration) {
        self.0.rotate_right(1);
        self.0[0] = u32::try_from(span.as_secs()).unwrap_or(u32::MAX).max(1);
    }

    /// The median: an alarm between two reports, or one report lost, does not disturb it.
    fn span(self) -> Option<Duration> {
        let mut seen = self.0;
        seen.sort_unstable();
        let unseen = seen.iter().take_while(|span| **span == 0).count();
        let span = *seen.get(unseen + (RHYTHM_LEN - unseen) / 2)?;
        Some(Duration::from_secs(span.into()))
    }
}

impl Sleep {
    pub(crate) fn window(&self) -> Option<TimerId> {
        self.window
    }

    /// Writes what outlives an orderly restart.
    pub(crate) fn freeze(&self, writer: &mut Writer) {
        writer.bool(self.window.is_some());
        writer.moment(self.edge);
        writer.moment(self.woke_at);
        self.rhythm.0.iter().for_each(|span| writer.u32(*span));
    }

    /// Reads it; the window, if the device was awake, is the caller's to arm until [`Sleep::edge`].
    pub(crate) fn thaw(reader: &mut Reader<'_>) -> Option<(Self, bool)> {
        let (is_awake, edge, woke_at) = (reader.bool()?, reader.moment()?, reader.moment()?);
        let mut rhythm = Rhythm::default();
        for span in &mut rhythm.0 {
            *span = reader.u32()?;
        }
        Some((Self { window: None, edge, woke_at, rhythm }, is_awake))
    }

    /// Goes on being awake.
    pub(crate) fn stay_awake(&mut self, timers: &mut Timers<Due>, key: Key<Device>) {
        self.window = Some(timers.arm(self.edge, Due::Window(key)));
    }

    /// Of a device of whom nobody knows when it was awake last.
    pub(crate) fn asleep(now: Instant) -> Self {
        Self { window: None, edge: now, woke_at: now, rhythm: Rhythm::default() }
    }

    fn wakes(&mut self, now: Instant) {
        self.rhythm.beat(now.saturating_duration_since(self.woke_at));
        self.woke_at = now;
    }
}

impl Device {
    pub(crate) fn presence(&self) -> Presence {
        let Some(sleep) = self.sleep() else { return Presence::Listening };
        if sleep.window.is_some() {
            return Presence::Awake { until: sleep.edge };
        }
        let lifetime = Duration::from_secs(self.details.lifetime_s.into());
        let latest = (!lifetime.is_zero()).then(|| self.updated_at + lifetime);
        let learnt = sleep.rhythm.span().map(|span| sleep.woke_at + span);
        let expected = match (learnt, latest) {
            (Some(learnt), Some(latest)) => Some(learnt.min(latest)),
            (learnt, latest) => learnt.or(latest),
        };
        Presence::Asleep { since: sleep.edge, expected }
    }

    pub(crate) fn is_asleep(&self) -> bool {
        self.sleep().is_some_and(|sleep| sleep.window.is_none())
    }
}

impl Shard {
    /// A message of a device: it is awake, and what waits for it may go. A Register, whole or a block of it, wakes
    /// when it is accepted: until then the device listens to nothing (TS_Core 6.2.1).
    pub(crate) fn heard(&mut self, now: Instant, key: Key<Device>, datagram: &[u8]) {
        let until = now + self.config.awake_window;
        let Some(device) = self.devices.get_mut(key) else { return };
        let Some(sleep) = device.sleep_mut() else { return };
        if sleep.window.is_some() {
            sleep.edge = sleep.edge.max(until);
            return;
        }
        if Message::parse(datagram).is_ok_and(|message| target(&message) == Ok(Target::Rd)) {
            return;
        }
        sleep.wakes(now);
        self.awake(now, key);
        self.tell_awake(key);
        self.wake_observations(now, key);
        self.pump(now, key);
    }

    /// A request left for a device: it stays awake for a while after it has received it.
    pub(crate) fn spoken_to(&mut self, now: Instant, key: Key<Device>) {
        let until = now + self.config.awake_window;
        if let Some(sleep) = self.devices.get_mut(key).and_then(Device::sleep_mut) {
            sleep.edge = sleep.edge.max(until);
        }
    }

    /// A Register, or an Update, says whether the device sleeps; it came from the device, so it is awake. Says
    /// whether that is to be told.
    pub(crate) fn set_queue_mode(&mut self, now: Instant, key: Key<Device>) -> bool {
        let Some(device) = self.devices.get_mut(key) else { return false };
        match (device.details.queue_mode, device.sleep().is_some()) {
            (true, false) => {
                device.set_sleep(Sleep::asleep(now));
                self.awake(now, key);
                true
            }
            (false, true) => {
                let window = device.take_sleep().and_then(|sleep| sleep.window);
                if let Some(timer) = window {
                    self.timers.cancel(timer);
                }
                false
            }
            (true, true) | (false, false) => false,
        }
    }

    /// What a registration that ends knows about its device's sleep; a Register is a wake-up like any other.
    pub(crate) fn without_window(&mut self, now: Instant, mut sleep: Sleep) -> Sleep {
        match sleep.window.take() {
            Some(timer) => self.timers.cancel(timer),
            None => sleep.wakes(now),
        }
        sleep
    }

    /// Begins the awake time of a new registration, which knows what the one before it has learnt.
    pub(crate) fn inherit_sleep(&mut self, now: Instant, key: Key<Device>, before: Option<Sleep>) -> bool {
        let Some(device) = self.devices.get_mut(key) else { return false };
        let Some(before) = before.filter(|_| device.details.queue_mode) else {
            return self.set_queue_mode(now, key);
        };
        device.set_sleep(before);
        self.awake(now, key);
        true
    }

    fn awake(&mut self, now: Instant, key: Key<Device>) {
        let until = now + self.config.awake_window;
        let Some(device) = self.devices.get_mut(key) else { return };
        let Some(sleep) = device.sleep_mut() else { return };
        sleep.edge = until;
        sleep.window = Some(self.timers.arm(until, Due::Window(key)));
        self.stats.awakenings += 1;
    }

    pub(crate) fn tell_awake(&mut self, key: Key<Device>) {
        let Some(device) = self.devices.get(key) else { return };
        if let Presence::Awake { until } = device.presence() {
            self.events.push_back(Event::Awake { endpoint: device.details.endpoint.clone(), until });
        }
    }

    /// A device's awake window may be over.
    pub(crate) fn window_due(&mut self, now: Instant, key: Key<Device>) {
        let Some(sleep) = self.devices.get_mut(key).and_then(Device::sleep_mut) else { return };
        if now < sleep.edge {
            sleep.window = Some(self.timers.arm(sleep.edge, Due::Window(key)));
            return;
        }
        sleep.window = None;
        self.asleep(now, key);
    }

    /// A request got no answer: the device sleeps, if it is one that does.
    pub(crate) fn unanswering(&mut self, now: Instant, key: Key<Device>) {
        let Some(sleep) = self.devices.get_mut(key).and_then(Device::sleep_mut) else { return };
        if let Some(timer) = sleep.window.take() {
            self.timers.cancel(timer);
            self.asleep(now, key);
        }
    }

    /// The device has fallen asleep; who does not want to wait for it is told.
    fn asleep(&mut self, now: Instant, key: Key<Device>) {
        let Some(device) = self.devices.get_mut(key) else { return };
        let Some(sleep) = device.sleep_mut() else { return };
        sleep.edge = now;
        let endpoint = device.details.endpoint.clone();
        let presence = device.presence();
        let Presence::Asleep { expected, .. } = presence else { return };
        self.events.push_back(Event::Asleep { endpoint, expected });
        let Some(line) = device.line.as_mut() else { return };
        let jobs = &self.jobs;
        let waits = |job: &Key<_>| jobs.get(*job).is_some_and(Job::waits_for_a_sleeper);
        let (held, others): (VecDeque<_>, _) = line.waiting.drain(..).partition(waits);
        line.waiting = held;
        for job in others {
            self.end_asleep(now, job, Outcome::Asleep);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rhythm_is_the_middle_of_what_was_seen() {
        let mut rhythm = Rhythm::default();
        assert_eq!(rhythm.span(), None);
        for (span, expected) in [(60, 60), (60, 60), (5, 60), (61, 60), (120, 60), (3600, 61), (3600, 120)] {
            rhythm.beat(Duration::from_secs(span));
            assert_eq!(rhythm.span(), Some(Duration::from_secs(expected)), "{span}");
        }
    }
}
