//! Observations: wanted ones run until the host cancels them or the registration ends.
//!
//! ```text
//! wanted ──► starting ──2.05 + Observe──► running ──error notification──┐
//!               ▲  └──anything else──► pausing (doubling) ◄─────────────┘
//!               └──────pause over, or the device shows itself──┘
//! ```
//! A registration's observations end with it (TS_Core 6.4.4.2); those of its successor come with the answer to
//! [`Event::AskRegister`](crate::Event::AskRegister).

use std::sync::Arc;

use lightship_coap::peer::Notification;
use lightship_coap::{Code, Freshness, Token};
use lightship_lwm2m::{Endpoint, Path};
use lightship_platform::Instant;

use crate::devices::Device;
use crate::downlink::Task;
use crate::frozen::Writer;
use crate::limits::{CROSSED_SETTLE, OBSERVE_RETRY_MAX, OBSERVE_RETRY_MIN};
use crate::links::Link;
use crate::observation::{Crossed, FrozenObservation, Observation, State};
use crate::shard::Due;
use crate::slab::Key;
use crate::{
    Ask, Event, ObservationId, Observed, Outcome, RequestError, RequestId, Response, Shard, Wanted,
    WhenAsleep,
};

/// What it takes to end an observation at the device.
pub(crate) struct Cancelled {
    pub(crate) wanted: Arc<Wanted>,
    pub(crate) token: Token,
}

impl Shard {
    /// Observes one or several nodes of a device: one attempt by `deadline`; if it succeeds the observation is kept running as
    /// those given with [`Answer::Accept`](crate::Answer) are. [`Event::ObservationStarted`] or
    /// [`Event::ObservationFailed`] follows. An observation of the same path, or of the same
    /// name, is replaced and keeps its identity.
    ///
    /// # Errors
    /// [`RequestError`]: nothing has changed.
    pub fn observe(
        &mut self,
        now: Instant,
        endpoint: &Endpoint,
        wanted: Wanted,
        deadline: Instant,
        when_asleep: WhenAsleep,
    ) -> Result<ObservationId, RequestError> {
        if !wanted.observed.is_possible() {
            return Err(RequestError::WrongPath);
        }
        if wanted.observed.body_len() > self.config.limits.request_body {
            return Err(RequestError::TooLarge);
        }
        let owner = self.devices.by_endpoint(endpoint).ok_or(RequestError::UnknownEndpoint)?;
        self.may_wait(owner, when_asleep)?;
        let known = self.observation_of(owner, |other| wanted.observed.replaces(other));
        if known.is_none() && self.observation_count(owner) >= self.config.limits.observations_per_device {
            return Err(RequestError::TooManyObservations);
        }
        let key = match known {
            Some(key) => {
                self.stop_attempt(now, key);
                let wanted = self.wanted.share(wanted);
                if let Some(observation) = self.observations.get_mut(key) {
                    observation.wanted = wanted;
                }
                key
            }
            None => self.add_observation(owner, wanted),
        };
        let job = match self.enqueue(owner, Task::Observe(key), Some(deadline)) {
            Ok(job) => job,
            Err(error) => {
                self.drop_observation(key);
                return Err(error);
            }
        };
        if let Some(job) = self.jobs.get_mut(job) {
            job.when_asleep = when_asleep;
        }
        if let Some(observation) = self.observations.get_mut(key) {
            observation.state = State::Starting(job);
            observation.rare_mut().one_attempt = true;
        }
        self.pump(now, owner);
        Ok(ObservationId(key.to_bits()))
    }

    /// The observation of a path of a device, running or still to be started.
    #[must_use]
    pub fn observation(&self, endpoint: &Endpoint, path: Path) -> Option<ObservationId> {
        self.find_observation(endpoint, |observed| observed.path() == Some(path))
    }

    /// The composite observation of a device under a name of the host's, running or still to be started.
    #[must_use]
    pub fn composite_observation(&self, endpoint: &Endpoint, name: &str) -> Option<ObservationId> {
        self.find_observation(endpoint, |observed| observed.name() == Some(name))
    }

    fn find_observation(&self, endpoint: &Endpoint, is: impl Fn(&Observed) -> bool) -> Option<ObservationId> {
        let owner = self.devices.by_endpoint(endpoint)?;
        self.observation_of(owner, is).map(|key| ObservationId(key.to_bits()))
    }

    /// Ends an observation: at once here ([`Event::ObservationEnded`]), and at the device by a Cancel Observation
    /// whose [`Event::RequestDone`] follows. `None` if there was nothing to cancel at the device.
    ///
    /// # Errors
    /// [`RequestError::UnknownEndpoint`] if there is no such observation.
    pub fn cancel_observation(
        &mut self,
        now: Instant,
        id: ObservationId,
        deadline: Instant,
    ) -> Result<Option<RequestId>, RequestError> {
        let key = Key::from_bits(id.0);
        let observation = self.observations.get(key).ok_or(RequestError::UnknownEndpoint)?;
        let owner = observation.device;
        let cancelled = match (&observation.state, observation.token) {
            (State::Running, Some(token)) => Some(Cancelled { wanted: observation.wanted.clone(), token }),
            _ => None,
        };
        self.stop_attempt(now, key);
        self.end_observation(key);
        // Without room in the line the device learns of it by the Reset of its next notification.
        let request = cancelled
            .and_then(|what| {
                self.enqueue(owner, Task::CancelObservation(Box::new(what)), Some(deadline)).ok()
            })
            .map(|job| RequestId(job.to_bits()));
        self.pump(now, owner);
        Ok(request)
    }

    /// Starts what shall be observed on a registered device, and is not yet, as what comes with [`Answer::Accept`](crate::Answer) is.
    /// Says whether the device is registered.
    pub fn want(&mut self, now: Instant, endpoint: &Endpoint, wanted: Vec<Wanted>) -> bool {
        let owner = self.devices.by_endpoint(endpoint);
        owner.inspect(|owner| self.observe_wanted(now, *owner, wanted)).is_some()
    }

    /// Starts the observations that the host wants of a device that has just registered.
    pub(crate) fn observe_wanted(&mut self, now: Instant, owner: Key<Device>, wanted: Vec<Wanted>) {
        for one in wanted {
            let full = self.observation_count(owner) >= self.config.limits.observations_per_device;
            let known = self.observation_of(owner, |other| one.observed.replaces(other)).is_some();
            let too_large = one.observed.body_len() > self.config.limits.request_body;
            if full || known || too_large || !one.observed.is_possible() {
                continue;
            }
            let key = self.add_observation(owner, one);
            self.attempt(now, key);
        }
        self.pump(now, owner);
    }

    /// The device sleeps: the observation waits until it shows itself.
    pub(crate) fn rest(&mut self, key: Key<Observation>) {
        if let Some(observation) = self.observations.get_mut(key) {
            observation.state = State::Idle;
        }
    }

    /// The device has woken: what waited for that is tried.
    pub(crate) fn wake_observations(&mut self, now: Instant, owner: Key<Device>) {
        let Some(device) = self.devices.get(owner) else { return };
        let rests = |key: &Key<Observation>| {
            self.observations.get(*key).is_some_and(|observation| matches!(observation.state, State::Idle))
        };
        let resting: Vec<_> = device.observations.iter().copied().filter(rests).collect();
        for key in resting {
            self.attempt(now, key);
        }
    }

    pub(crate) fn start_anew(&mut self, now: Instant, owner: Key<Device>, keys: &[Key<Observation>]) {
        for key in keys.iter().copied() {
            let Some(observation) = self.observations.get(key) else { continue };
            let (renewing, token) = (matches!(observation.state, State::Running), observation.token);
            self.stop_attempt(now, key);
            if let Some(observation) = self.observations.get_mut(key) {
                let rare = observation.rare_mut();
                (rare.renewing, rare.previous, rare.pause) = (renewing, token, OBSERVE_RETRY_MIN);
            }
            self.attempt(now, key);
        }
        self.pump(now, owner);
    }

    /// The pause of an observation is over.
    pub(crate) fn pause_over(&mut self, now: Instant, key: Key<Observation>) {
        let Some(observation) = self.observations.get_mut(key) else { return };
        observation.state = State::Idle;
        let owner = observation.device;
        self.attempt(now, key);
        self.pump(now, owner);
    }

    /// Puts the start of an observation into the line, or pauses if there is no room.
    fn attempt(&mut self, now: Instant, key: Key<Observation>) {
        let Some(owner) = self.observations.get(key).map(|observation| observation.device) else { return };
        if self.devices.get(owner).is_some_and(Device::is_asleep) {
            return self.rest(key);
        }
        let job = self.enqueue(owner, Task::Observe(key), None);
        let Some(observation) = self.observations.get_mut(key) else { return };
        match job {
            Ok(job) => observation.state = State::Starting(job),
            Err(_) => {
                let due = now + observation.rare().pause;
                observation.state = State::Pausing(self.timers.arm(due, Due::Pause(key)));
            }
        }
    }

    /// The attempt to start an observation ended.
    pub(crate) fn observe_done(&mut self, now: Instant, key: Key<Observation>, outcome: Outcome) {
        let Some(observation) = self.observations.get_mut(key) else { return };
        observation.state = State::Idle;
        let endpoint = self.devices.get(observation.device).map(|device| device.details.endpoint.clone());
        let (Some(endpoint), observed) = (endpoint, observation.wanted.observed.clone()) else { return };
        let begun = observation.token.is_some();
        if let Outcome::Response(response) = &outcome
            && begun
            && response.code == Code::CONTENT
        {
            observation.state = State::Running;
            (observation.heard_at, observation.started_at) = (now, now);
            let mut was_renewed = false;
            if let Some(rare) = &mut observation.rare {
                (rare.one_attempt, rare.doubtful, rare.pause) = (false, false, OBSERVE_RETRY_MIN);
                was_renewed = std::mem::take(&mut rare.renewing);
                if rare.crossed == Crossed::Yes {
                    rare.crossed = Crossed::Settled;
                    rare.recheck = Some(self.timers.arm(now + CROSSED_SETTLE, Due::Doubt(key)));
                }
            }
            observation.tidy();
            let response = response.clone();
            if was_renewed {
                self.tell_value(key, response, None);
            } else {
                let observation = ObservationId(key.to_bits());
                self.events.push_back(Event::ObservationStarted {
                    endpoint,
                    observation,
                    observed,
                    response,
                });
            }
        } else {
            self.observation_failed(now, key, endpoint, outcome);
        }
    }

    /// An observation does not run (any more): it pauses, or ends if that was its only attempt.
    fn observation_failed(
        &mut self,
        now: Instant,
        key: Key<Observation>,
        endpoint: Endpoint,
        outcome: Outcome,
    ) {
        self.forget_doubt(key);
        let Some(observation) = self.observations.get_mut(key) else { return };
        observation.halt();
        let (observed, accept) = (observation.wanted.observed.clone(), observation.wanted.accept);
        let rare = observation.rare_mut();
        let retry_at = (!rare.one_attempt).then(|| now + rare.pause);
        if let Some(due) = retry_at {
            rare.pause = (rare.pause * 2).min(OBSERVE_RETRY_MAX);
            observation.state = State::Pausing(self.timers.arm(due, Due::Pause(key)));
        }
        let observation = ObservationId(key.to_bits());
        self.events.push_back(Event::ObservationFailed {
            endpoint,
            observation,
            observed,
            accept,
            outcome,
            retry_at,
        });
        if retry_at.is_none() {
            self.drop_observation(key);
        }
    }

    /// The observation of a link's device that has this token.
    pub(crate) fn observation_by_token(&self, link: Key<Link>, token: Token) -> Option<Key<Observation>> {
        let device = self.devices.get(self.links.get(link)?.device?)?;
        let has_token = |key: &&Key<Observation>| {
            self.observations.get(**key).is_some_and(|observation| observation.token == Some(token))
        };
        device.observations.iter().find(has_token).copied()
    }

    /// A value that is newer than all before, or the device's word that there will be none.
    pub(crate) fn notified(&mut self, now: Instant, key: Key<Observation>, response: Response, last: bool) {
        if !last {
            return self.tell_value(key, response, None);
        }
        let Some(observation) = self.observations.get_mut(key) else { return };
        observation.state = State::Idle;
        let Some(device) = self.devices.get(observation.device) else { return };
        let endpoint = device.details.endpoint.clone();
        self.observation_failed(now, key, endpoint, Outcome::Response(response));
    }

    /// A notification had only the first block of its value: the rest is read, by a request without Observe
    /// (RFC 7959 §2.6). What changes meanwhile is in what is read, or in the next notification. Behind other requests
    /// the whole is read, since nobody keeps the first block.
    pub(crate) fn fetch_value(
        &mut self,
        now: Instant,
        link: Key<Link>,
        key: Key<Observation>,
        begun: &Notification<'_>,
    ) {
        let Some(observation) = self.observations.get_mut(key) else { return };
        let owner = observation.device;
        if std::mem::replace(&mut observation.rare_mut().fetching, true) {
            return;
        }
        let Ok(job) = self.enqueue(owner, Task::FetchValue(key), None) else {
            return self.value_fetched(key, Outcome::Broken);
        };
        if self.next_job(owner).is_none() {
            return;
        }
        match self.start_after(now, link, job, Some(begun)) {
            Some(exchange) => self.under_way(now, owner, link, job, exchange),
            None => self.finish(now, job, Outcome::Broken),
        }
        self.pump(now, owner);
    }

    /// The whole of a value has been read, or could not be: then the next notification brings a newer one.
    pub(crate) fn value_fetched(&mut self, key: Key<Observation>, outcome: Outcome) {
        let Some(observation) = self.observations.get_mut(key) else { return };
        observation.rare_mut().fetching = false;
        observation.tidy();
        if let Outcome::Response(response) = outcome
            && response.code == Code::CONTENT
            && matches!(observation.state, State::Running)
        {
            self.tell_value(key, response, None);
        }
    }

    /// Tells a value, and the question that waits with it.
    pub(crate) fn tell_value(&mut self, key: Key<Observation>, response: Response, ask: Option<Ask>) {
        let Some(observation) = self.observations.get(key) else { return };
        let Some(device) = self.devices.get(observation.device) else { return };
        self.stats.notifications += 1;
        self.events.push_back(Event::Notified {
            ask,
            endpoint: device.details.endpoint.clone(),
            observation: ObservationId(key.to_bits()),
            observed: observation.wanted.observed.clone(),
            code: response.code,
            content_format: response.content_format,
            payload: response.payload,
        });
    }

    /// Takes an observation off the line or out of its pause.
    fn stop_attempt(&mut self, now: Instant, key: Key<Observation>) {
        self.forget_doubt(key);
        let Some(observation) = self.observations.get_mut(key) else { return };
        let state = std::mem::replace(&mut observation.state, State::Idle);
        observation.halt();
        match state {
            State::Pausing(timer) => self.timers.cancel(timer),
            State::Starting(job) => self.withdraw(now, job),
            State::Running | State::Idle => {}
        }
    }

    /// Ends an observation here and says so.
    pub(crate) fn end_observation(&mut self, key: Key<Observation>) {
        let Some(observation) = self.observations.get(key) else { return };
        let observed = observation.wanted.observed.clone();
        if let Some(device) = self.devices.get(observation.device) {
            let endpoint = device.details.endpoint.clone();
            let observation = ObservationId(key.to_bits());
            self.events.push_back(Event::ObservationEnded { endpoint, observation, observed });
        }
        self.drop_observation(key);
    }

    fn add_observation(&mut self, owner: Key<Device>, wanted: Wanted) -> Key<Observation> {
        let key = self.observations.insert(Observation {
            device: owner,
            wanted: self.wanted.share(wanted),
            state: State::Idle,
            token: None,
            newest: Freshness::new(Instant::ZERO, 0),
            heard_at: Instant::ZERO,
            started_at: Instant::ZERO,
            rare: None,
        });
        if let Some(device) = self.devices.get_mut(owner) {
            device.observations.push(key);
        }
        key
    }

    fn drop_observation(&mut self, key: Key<Observation>) {
        self.forget_doubt(key);
        let Some(observation) = self.observations.remove(key) else { return };
        if let State::Pausing(timer) = observation.state {
            self.timers.cancel(timer);
        }
        if let Some(device) = self.devices.get_mut(observation.device) {
            device.observations.remove(key);
        }
    }

    /// Writes what outlives an orderly restart of an observation; says whether there is anything.
    pub(crate) fn freeze_observation(&self, key: Key<Observation>, writer: &mut Writer) {
        let Some(observation) = self.observations.get(key) else { return };
        observation.wanted.freeze(writer);
        let is_running = matches!(observation.state, State::Running);
        let running = observation.token.zip(observation.newest()).filter(|_| is_running);
        writer.maybe(running, |writer, (token, newest)| {
            writer.bytes(token.as_bytes());
            writer.u32(newest.sequence());
            writer.moment(newest.at());
            writer.moment(observation.heard_at);
            writer.moment(observation.started_at);
        });
    }

    /// Whether an observation goes on after a restart: one whose only attempt has not succeeded yet does not.
    pub(crate) fn is_lasting(&self, key: Key<Observation>) -> bool {
        let is = |one: &Observation| !one.rare().one_attempt || matches!(one.state, State::Running);
        self.observations.get(key).is_some_and(is)
    }

    /// Brings back an observation; one that did not run is to be started.
    pub(crate) fn thaw_observation(
        &mut self,
        owner: Key<Device>,
        frozen: FrozenObservation,
    ) -> Key<Observation> {
        let key = self.add_observation(owner, frozen.wanted);
        if let (Some(observation), Some(running)) = (self.observations.get_mut(key), frozen.running) {
            observation.state = State::Running;
            observation.begin(running.token, running.newest);
            observation.heard_at = running.heard_at;
            observation.started_at = running.started_at;
        }
        key
    }

    /// Starts the observations of a device that do not run.
    pub(crate) fn start_idle(&mut self, now: Instant, owner: Key<Device>) {
        self.wake_observations(now, owner);
        self.pump(now, owner);
    }

    fn observation_count(&self, owner: Key<Device>) -> usize {
        self.devices.get(owner).map_or(0, |device| device.observations.len())
    }

    fn observation_of(&self, owner: Key<Device>, is: impl Fn(&Observed) -> bool) -> Option<Key<Observation>> {
        let observes = |key: &&Key<Observation>| {
            self.observations.get(**key).is_some_and(|observation| is(&observation.wanted.observed))
        };
        self.devices.get(owner)?.observations.iter().find(observes).copied()
    }
}
