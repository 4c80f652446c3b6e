//! Queue Mode: when the client may sleep, and what wakes it (TS_Core 6.2.3, TS_Transport 6.2).
//!
//! A server takes the client for awake for a while after each message, and sends what it kept. Then the client sleeps. It wakes
//! for what is due, or, with [`QueueMode::wake_every`](crate::QueueMode::wake_every), at set moments; the first thing it then
//! sends is an Update, which tells the server so, and behind it goes what waited.

use super::*;

impl<O: Objects, B: Buffer, const SERVERS: usize, const OBSERVATIONS: usize, const BODY: usize>
    Client<O, B, SERVERS, OBSERVATIONS, BODY>
{
    /// Until when the radio may stay off: [`Instant::NEVER`] when nothing is planned. `None` while it is needed: always without
    /// Queue Mode, otherwise while an exchange is open and for [`QueueMode::awake`](crate::QueueMode::awake) after each message.
    ///
    /// To be asked again after each call. At that moment [`Client::handle_timeout`] wants to be called, as
    /// [`Client::poll_timeout`] says; it may turn out that the radio is not needed even then.
    pub fn sleep_until(&self) -> Option<Instant> {
        self.config.queue_mode?;
        #[cfg(feature = "bootstrap")]
        if self.bootstrap.is_open() {
            return None;
        }
        let needs_radio = |link: &Link<B>| match link.registration.phase() {
            _ if link.tunnel.is_connecting() => true,
            Phase::Registering | Phase::Deregistering => true,
            Phase::Registered { .. } => link.asleep.is_none(),
            Phase::Idle | Phase::Waiting { .. } => !link.peer.is_idle(),
        };
        let online = |link: &&Link<B>| !link.offline;
        if self.touched || self.links.iter().filter(online).any(needs_radio) {
            return None;
        }
        Some(self.poll_timeout().unwrap_or(Instant::NEVER))
    }

    /// When the client falls asleep towards a server, or wakes up.
    pub(super) fn sleep_timeout(&self, link: &Link<B>) -> Option<Instant> {
        let mode = self.config.queue_mode.filter(|_| link.registration.is_registered() && !link.offline)?;
        match link.asleep {
            Some(wake_at) => Some(wake_at).filter(|at| *at < Instant::NEVER),
            None => {
                let end = link.heard_at + mode.awake;
                // What keeps it awake beyond that has a timer of its own, or is looked at again.
                Some(if end > self.now { end } else { self.now + mode.awake.max(Duration::from_secs(1)) })
            }
        }
    }

    /// A message came or went.
    pub(super) fn stay_awake(&mut self, now: Instant, id: AccountId) {
        let Some(link) = self.links.get_mut(id.index()) else { return };
        link.heard_at = now;
        if link.asleep.take().is_some() {
            self.events.push(Event::Awake(id));
            self.come_back(id);
        }
    }

    /// Wakes towards a server to tell it something, beginning with an Update.
    pub(super) fn wake(&mut self, now: Instant, id: AccountId) {
        let Some(link) = self.links.get_mut(id.index()) else { return };
        if link.asleep.take().is_some() {
            link.registration.want_update();
            self.events.push(Event::Awake(id));
            self.renew_rested(now, id);
            self.with_link(id, |link| link.heard_at = now);
        }
    }

    /// Wakes what has to wake.
    pub(super) fn rouse(&mut self, now: Instant, id: AccountId) {
        let Some(link) = self.links.get(id.index()) else { return };
        let Some(wake_at) = link.asleep else { return };
        let update = link.registration.timeout().is_some_and(|at| at <= now);
        let wakes = self.config.queue_mode.is_none_or(|mode| mode.wake_every.is_none());
        if wake_at <= now || update || (wakes && self.has_sends(id)) {
            self.wake(now, id);
        }
    }

    /// Falls asleep towards a server when there is nothing more to be done.
    pub(super) fn doze(&mut self, now: Instant, id: AccountId) {
        let Some(mode) = self.config.queue_mode else { return };
        let Some(link) = self.links.get(id.index()) else { return };
        let asked = self.asks.iter().flatten().any(|ask| ask.account == id.0);
        let due = link.registration.timeout().is_some_and(|at| at <= now);
        let open = link.exchange.is_some() || !link.peer.is_idle() || asked || self.has_sends(id);
        let free = link.registration.is_registered() && link.asleep.is_none() && !link.offline;
        if !free || open || due || self.touched || now < link.heard_at + mode.awake {
            return;
        }
        if let Some(link) = self.links.get_mut(id.index()) {
            link.asleep = Some(mode.wake_every.map_or(Instant::NEVER, |every| now + every));
        }
        self.events.push(Event::Asleep(id));
        if mode.wake_every.is_some() {
            self.go_away(id);
        }
    }
}
