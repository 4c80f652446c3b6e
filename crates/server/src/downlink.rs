//! The lines of downlink requests: one at a time for each device (NSTART 1, RFC 7252 §4.7), each ending once.
//!
//! ```text
//! request() ──► waiting ──► under way ──► RequestDone(Response | Reset | Timeout | Broken)
//!                  │            │
//!                  └────────────┴──deadline, cancel, registration gone──► RequestDone(Timeout | Cancelled | …)
//! ```

use lightship_coap::peer::ExchangeId;
use lightship_lwm2m::{Endpoint, Path};
use lightship_platform::Instant;

use crate::devices::{Device, Line};
use crate::links::Link;
use crate::observation::Observation;
use crate::shard::Due;
use crate::slab::Key;
use crate::timer::TimerId;
use crate::{
    Details, Event, Operation, Outcome, Presence, Request, RequestError, RequestId, Shard, WhenAsleep,
};

/// One request to a device, waiting or under way.
pub(crate) struct Job {
    pub(crate) device: Key<Device>,
    pub(crate) task: Task,
    pub(crate) when_asleep: WhenAsleep,
    /// Whether the device may have received it.
    pub(crate) sent: bool,
    pub(crate) timer: Option<TimerId>,
}

impl Job {
    /// Whether it goes on under a new registration of its device: a request that waits for the device to wake, and
    /// whose object the device still has.
    pub(crate) fn outlives(&self, details: &Details) -> bool {
        let Task::Operation(operation) = &self.task else { return false };
        let object = operation.path().object_id();
        let listed = &details.objects.objects;
        self.when_asleep == WhenAsleep::Hold
            && details.queue_mode
            && object.is_none_or(|object| listed.iter().any(|link| link.path.object_id() == Some(object)))
    }

    /// Whether it stays in the line of a device that sleeps. What the shard wants of its own accord does not, so that
    /// a fleet asleep leaves room for the host's requests.
    pub(crate) fn waits_for_a_sleeper(&self) -> bool {
        self.when_asleep == WhenAsleep::Hold && self.timer.is_some()
    }
}

/// What a job does.
pub(crate) enum Task {
    /// A request of the host.
    Operation(Operation),
    /// Starts an observation.
    Observe(Key<Observation>),
    /// Reads a value of which a notification had only the first block.
    FetchValue(Key<Observation>),
    /// Ends an observation that is forgotten already.
    CancelObservation(Box<crate::observe::Cancelled>),
}

impl Shard {
    /// Puts a request into the line of a device; [`Event::RequestDone`] tells how it ended, once.
    ///
    /// # Errors
    /// [`RequestError`]: the request was not taken, and nothing will be heard of it.
    pub fn request(
        &mut self,
        now: Instant,
        endpoint: &Endpoint,
        request: Request,
    ) -> Result<RequestId, RequestError> {
        check(&request.operation, self.config.limits.request_body)?;
        let device = self.devices.by_endpoint(endpoint).ok_or(RequestError::UnknownEndpoint)?;
        self.may_wait(device, request.when_asleep)?;
        let job = self.enqueue(device, Task::Operation(request.operation), Some(request.deadline))?;
        if let Some(job) = self.jobs.get_mut(job) {
            job.when_asleep = request.when_asleep;
        }
        self.pump(now, device);
        Ok(RequestId(job.to_bits()))
    }

    /// Ends a request; if it has not ended yet, [`Event::RequestDone`] says [`Outcome::Cancelled`]. What is under
    /// way may still have its effect.
    pub fn cancel(&mut self, now: Instant, id: RequestId) {
        let key = Key::from_bits(id.0);
        if let Some(job) = self.jobs.get(key)
            && matches!(job.task, Task::Operation(_) | Task::CancelObservation(_))
        {
            self.abandon(now, key, Outcome::Cancelled);
        }
    }

    /// The same for a request that has not left yet; one that is under way goes on, so that the line stays in step with
    /// the device.
    pub fn cancel_unsent(&mut self, now: Instant, id: RequestId) {
        let key = Key::from_bits(id.0);
        let Some(owner) = self.jobs.get(key).map(|job| job.device) else { return };
        let line = self.devices.get(owner).and_then(|device| device.line.as_ref());
        let under_way = line.and_then(|line| line.current).is_some_and(|(current, _)| current == key);
        if !under_way {
            self.cancel(now, id);
        }
    }

    /// Whether a request can be taken that does or does not want to wait for a device that sleeps.
    pub(crate) fn may_wait(&self, key: Key<Device>, when_asleep: WhenAsleep) -> Result<(), RequestError> {
        match self.devices.get(key).map(Device::presence) {
            Some(Presence::Asleep { expected, .. }) if when_asleep == WhenAsleep::Refuse => {
                Err(RequestError::Asleep { expected })
            }
            _ => Ok(()),
        }
    }

    /// Adds a job to the line of a device; it waits if the device sleeps.
    pub(crate) fn enqueue(
        &mut self,
        key: Key<Device>,
        task: Task,
        deadline: Option<Instant>,
    ) -> Result<Key<Job>, RequestError> {
        if self.jobs.len() >= self.config.limits.requests {
            return Err(RequestError::Overloaded);
        }
        let device = self.devices.get_mut(key).ok_or(RequestError::UnknownEndpoint)?;
        let line = device.line.get_or_insert_default();
        if line.len() >= self.config.limits.line {
            return Err(RequestError::LineFull);
        }
        let job = self.jobs.insert(Job {
            device: key,
            task,
            when_asleep: WhenAsleep::Hold,
            sent: false,
            timer: None,
        });
        line.waiting.push_back(job);
        let timer = deadline.map(|deadline| self.timers.arm(deadline, Due::Deadline(job)));
        if let Some(job) = self.jobs.get_mut(job) {
            job.timer = timer;
        }
        self.stats.requests += 1;
        Ok(job)
    }

    /// Starts the next job of a device if none is under way.
    pub(crate) fn pump(&mut self, now: Instant, key: Key<Device>) {
        while let Some(job) = self.next_job(key) {
            let link = self.link_of(now, key);
            match link.and_then(|link| self.start(now, link, job).map(|exchange| (link, exchange))) {
                Some((link, exchange)) => return self.under_way(now, key, link, job, exchange),
                None => self.finish(now, job, Outcome::Broken),
            }
        }
    }

    /// A job that was taken off the line has been sent.
    pub(crate) fn under_way(
        &mut self,
        now: Instant,
        key: Key<Device>,
        link: Key<Link>,
        job: Key<Job>,
        exchange: ExchangeId,
    ) {
        if let Some(line) = self.devices.get_mut(key).and_then(|device| device.line.as_mut()) {
            line.current = Some((job, exchange));
        }
        self.spoken_to(now, key);
        self.settle(now, link);
    }

    /// Takes the next job off the line if none is under way and the device is awake, in reach and not waiting for an answer itself.
    pub(crate) fn next_job(&mut self, key: Key<Device>) -> Option<Key<Job>> {
        let may_go = |device: &&mut Device| !device.is_asleep() && device.is_in_reach() && !device.is_asking;
        let device = self.devices.get_mut(key).filter(may_go)?;
        let line: &mut Line = device.line.as_mut()?;
        if line.current.is_some() {
            return None;
        }
        let next = line.waiting.pop_front();
        if next.is_none() {
            device.line = None;
        }
        next
    }

    /// A job's deadline has passed.
    pub(crate) fn deadline_passed(&mut self, now: Instant, key: Key<Job>) {
        let Some(job) = self.jobs.get_mut(key) else { return };
        job.timer = None;
        let (owner, sent) = (job.device, job.sent);
        let Some(device) = self.devices.get(owner) else { return };
        let outcome = if device.is_asleep() && !sent { Outcome::Asleep } else { Outcome::Timeout };
        let current = device.line.as_ref().and_then(|line| line.current);
        let silent = current.is_some_and(|(current, _)| current == key) && self.is_silent(now, device);
        self.take_off_line(now, key);
        if silent {
            self.unanswering(now, owner);
        }
        self.finish(now, key, outcome);
        self.pump(now, owner);
    }

    /// Whether nothing came back for two transmissions: a device that sleeps at times sleeps then (TS_Transport 6.5).
    fn is_silent(&self, now: Instant, device: &Device) -> bool {
        let link = device.link().and_then(|link| self.links.get(link));
        link.is_some_and(|link| {
            let silence = self.transmissions.of(link.class).ack_timeout.saturating_mul(4);
            now >= link.active_at + silence
        })
    }

    /// Ends a job wherever it is and goes on with the next.
    pub(crate) fn abandon(&mut self, now: Instant, key: Key<Job>, outcome: Outcome) {
        let Some(device) = self.take_off_line(now, key) else { return };
        self.finish(now, key, outcome);
        self.pump(now, device);
    }

    /// Takes a job off its line, and its exchange off the air.
    fn take_off_line(&mut self, now: Instant, key: Key<Job>) -> Option<Key<Device>> {
        let owner = self.jobs.get(key)?.device;
        let device = self.devices.get_mut(owner)?;
        let line = device.line.as_mut()?;
        match line.current {
            Some((current, exchange)) if current == key => {
                line.current = None;
                let link = device.link();
                if let Some(link) = link {
                    self.cancel_exchange(now, link, exchange);
                }
            }
            _ => line.waiting.retain(|waiting| *waiting != key),
        }
        Some(owner)
    }

    /// The exchange that was under way ended.
    pub(crate) fn exchange_done(
        &mut self,
        now: Instant,
        link: Key<Link>,
        exchange: ExchangeId,
        outcome: Outcome,
    ) {
        let Some(owner) = self.links.get(link).and_then(|link| link.device) else { return };
        let Some(line) = self.devices.get_mut(owner).and_then(|device| device.line.as_mut()) else { return };
        let Some((job, current)) = line.current else { return };
        if current != exchange {
            return;
        }
        line.current = None;
        if outcome != Outcome::Timeout {
            self.finish(now, job, outcome);
            return self.pump(now, owner);
        }
        if self.devices.get(owner).is_some_and(|device| self.is_silent(now, device)) {
            self.unanswering(now, owner);
        }
        let Some(device) = self.devices.get_mut(owner) else { return };
        let waits = |job: &Job| job.waits_for_a_sleeper() && job.task.may_be_repeated();
        if device.is_asleep() && self.jobs.get(job).is_some_and(waits) {
            // Sent in vain, it is first in line.
            device.line.get_or_insert_default().waiting.push_front(job);
        } else if device.is_asleep() {
            self.end_asleep(now, job, outcome);
        } else {
            self.finish(now, job, outcome);
            self.pump(now, owner);
        }
    }

    /// Ends a job that does not wait for a device to wake. An observation that is wanted does, without a job.
    pub(crate) fn end_asleep(&mut self, now: Instant, key: Key<Job>, outcome: Outcome) {
        match self.jobs.get(key) {
            Some(Job { task: Task::Observe(observation), timer: None, .. }) => {
                let observation = *observation;
                self.jobs.remove(key);
                self.rest(observation);
            }
            _ => self.finish(now, key, outcome),
        }
    }

    /// Takes a job back without a word.
    pub(crate) fn withdraw(&mut self, now: Instant, key: Key<Job>) {
        self.take_off_line(now, key);
        if let Some(timer) = self.jobs.remove(key).and_then(|job| job.timer) {
            self.timers.cancel(timer);
        }
    }

    /// What is under way will not be answered where it was sent: it is sent again, or given up if the device may
    /// have done it.
    pub(crate) fn restart_current(&mut self, now: Instant, owner: Key<Device>) {
        let Some(line) = self.devices.get(owner).and_then(|device| device.line.as_ref()) else { return };
        let Some((key, _)) = line.current else { return };
        self.take_off_line(now, key);
        if self.jobs.get(key).is_some_and(|job| job.task.may_be_repeated()) {
            if let Some(line) = self.devices.get_mut(owner).and_then(|device| device.line.as_mut()) {
                line.waiting.push_front(key);
            }
        } else {
            self.finish(now, key, Outcome::Timeout);
        }
    }

    /// Reports how a job ended; it stands in no line any more.
    pub(crate) fn finish(&mut self, now: Instant, key: Key<Job>, outcome: Outcome) {
        let Some(job) = self.jobs.remove(key) else { return };
        if let Some(timer) = job.timer {
            self.timers.cancel(timer);
        }
        if outcome == Outcome::Timeout {
            self.stats.requests_timed_out += 1;
        }
        match job.task {
            Task::Observe(observation) => return self.observe_done(now, observation, outcome),
            Task::FetchValue(observation) => return self.value_fetched(observation, outcome),
            Task::Operation(_) | Task::CancelObservation(_) => {}
        }
        let Some(endpoint) = self.devices.get(job.device).map(|device| device.details.endpoint.clone())
        else {
            return;
        };
        self.events.push_back(Event::RequestDone { id: RequestId(key.to_bits()), endpoint, outcome });
    }
}

/// Whether the operation fits its path, and its body the limit.
fn check(operation: &Operation, body_max: usize) -> Result<(), RequestError> {
    use lightship_lwm2m::path::Level;
    let (path, fits): (_, &[Level]) = match operation {
        Operation::Read { path, .. } => {
            (path, &[Level::Object, Level::Instance, Level::Resource, Level::ResourceInstance])
        }
        Operation::Discover { path, .. } => (path, &[Level::Object, Level::Instance, Level::Resource]),
        Operation::Replace { path, .. } => {
            (path, &[Level::Instance, Level::Resource, Level::ResourceInstance])
        }
        Operation::PartialUpdate { path, .. } => (path, &[Level::Instance, Level::Resource]),
        Operation::WriteAttributes { path, .. } => {
            (path, &[Level::Object, Level::Instance, Level::Resource, Level::ResourceInstance])
        }
        Operation::Execute { path, .. } => (path, &[Level::Resource]),
        Operation::Create { path, .. } => (path, &[Level::Object]),
        Operation::Delete { path } => (path, &[Level::Instance, Level::ResourceInstance]),
        Operation::ReadComposite { .. } | Operation::WriteComposite { .. } => (&Path::ROOT, &[Level::Root]),
    };
    if !fits.contains(&path.level()) {
        return Err(RequestError::WrongPath);
    }
    if operation.body_len() > body_max {
        return Err(RequestError::TooLarge);
    }
    Ok(())
}
