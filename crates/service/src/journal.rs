//! Journal: takes what happens in the shards, answers their questions, writes the log.

mod report;

use std::collections::HashSet;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use lightship_api as api;
use lightship_api::{EventType, ObservingState};
use lightship_lwm2m::{Endpoint, Path};
use lightship_net::{Events, ShardEvent, Wait};
use lightship_platform::Instant;
use lightship_server::{
    Answer, Ask, Code, ContentFormat, Details, Ended, Event, Fact as Durable, ObservationId, Observed,
    Outcome, Presence, Registration, RegistrationId, SecurityEvent, Wanted,
};
use lightship_store::{Batch, CredentialSet, Fact, NewEvent, Store, StoreError, WantedKey};
use tokio::sync::mpsc;

use self::report::{Asked, Heard};
use crate::bootstrap::News;
use crate::content;
use crate::core::{self, Core};
use crate::directory::{Device, Observed as Seen};
use crate::queue;
use crate::security;

/// The single writer of the event log.
pub(crate) struct Journal {
    core: Arc<Core>,
    batch: Batch,
    /// Questions to be answered once the batch is safe.
    after_commit: Vec<(u8, Ask)>,
    /// Registrations that give way to one of the same endpoint at another shard.
    displaced: HashSet<RegistrationId>,
}

impl Journal {
    pub(crate) fn new(core: Arc<Core>) -> Journal {
        Journal { core, batch: Batch::default(), after_commit: Vec::new(), displaced: HashSet::new() }
    }

    /// Runs until the shards have stopped.
    pub(crate) async fn run(mut self, mut events: Events, mut news: mpsc::Receiver<News>) {
        let mut taken = Vec::with_capacity(BATCH_LEN);
        loop {
            tokio::select! {
                count = events.recv_many(&mut taken, BATCH_LEN) => {
                    if count == 0 {
                        return;
                    }
                    for ShardEvent { shard, event } in taken.drain(..) {
                        self.take(shard, event).await;
                    }
                    self.commit().await;
                }
                Some(news) = news.recv() => {
                    self.log(news.kind, &news.endpoint, |event| {
                        event.result = news.result;
                        event.reason = news.reason;
                        event.handshake = news.handshake;
                    });
                    self.commit().await;
                }
            }
        }
    }

    async fn take(&mut self, shard: u8, event: Event) {
        match event {
            Event::AskRegister { ask, registration } => {
                self.asked_to_register(shard, ask, &registration).await;
            }
            Event::AskDurable { ask, fact } => match self.durable(&fact) {
                Ok(()) => self.after_commit.push((shard, ask)),
                Err(code) => self.answer(shard, ask, Answer::Refuse { code }).await,
            },
            Event::Registered { registration, displaced } => {
                self.registered(shard, registration, displaced.is_some());
            }
            Event::Awake { endpoint, until } => {
                self.presence(&endpoint, Presence::Awake { until }, EventType::Awake);
                queue::came(&self.core, &endpoint);
            }
            Event::Asleep { endpoint, expected } => {
                let presence = Presence::Asleep { since: self.core.clock.now(), expected };
                self.presence(&endpoint, presence, EventType::Asleep);
            }
            Event::Updated { registration, changed } => {
                self.updated(&registration, changed.objects);
            }
            Event::Refreshed { endpoint, registration, at, expires_at } => {
                self.refreshed(&endpoint, registration, at, expires_at);
            }
            Event::Deregistered { registration, reason } => self.ended(&registration, reason),
            Event::Notified { ask, endpoint, observed, code, content_format, payload, .. } => {
                let heard = Heard { code: Some(code), format: content_format, payload: &payload };
                self.notified(&endpoint, &observed, heard, ask.map(|ask| (shard, ask)));
            }
            Event::Lapsed { endpoint, .. } => self.core.directory.arrived(&endpoint),
            Event::ObservationStarted { endpoint, observed, response, .. } => {
                let (code, format) = (Some(response.code), response.content_format);
                self.observed(&endpoint, &observed, Heard { code, format, payload: &response.payload });
            }
            Event::ObservationFailed { endpoint, observed, outcome, retry_at, .. } => {
                let key = key(&observed);
                if !self.is_at(&endpoint, shard) {
                    return;
                }
                self.observation_failed(&endpoint, &key, &outcome, retry_at.is_some());
                if let Outcome::Response(response) = &outcome {
                    self.observe_otherwise(shard, &endpoint, &key, response.code).await;
                }
            }
            Event::ObservationEnded { endpoint, observed, .. } if self.is_at(&endpoint, shard) => {
                self.observation_ended(&endpoint, &key(&observed)).await;
            }
            Event::Deviated { endpoint, deviation, count } => {
                self.core.directory.change(&endpoint, None, |device| {
                    device.registration.deviations.raise(deviation, count);
                });
            }
            Event::Moved { registration, .. } => self.moved(&registration),
            Event::Restored { registration, observations } => {
                self.restored(shard, registration, &observations);
            }
            Event::Security(event) => self.secured(shard, event).await,
            // Answered where the request was made.
            Event::RequestDone { .. } | _ => {}
        }
    }

    async fn asked_to_register(&mut self, shard: u8, ask: Ask, registration: &Registration) {
        let is_secured = registration.session.is_some();
        let answer = self.may_register(shard, &registration.details, is_secured).await;
        if matches!(answer, Answer::Accept { .. }) {
            self.core.directory.arriving(&registration.details.endpoint);
        }
        self.answer(shard, ask, answer).await;
    }

    /// The policy: who may register, and what is wanted of it.
    async fn may_register(&mut self, shard: u8, details: &Details, is_secured: bool) -> Answer {
        // Who has a session has been judged when it was made, and its shard has compared the names.
        if !is_secured && let Err(code) = self.may_come_unsecured(&details.endpoint).await {
            return Answer::Refuse { code };
        }
        // An endpoint has one registration, whichever shard its new address leads to.
        if let Some(old) = self.core.directory.find(details.endpoint.as_str())
            && old.shard != shard
            && let Some(inbox) = self.core.inbox(old.shard)
        {
            // A shard too busy for this keeps the old one until it expires; the directory knows the new one.
            if inbox.forget(details.endpoint.clone(), old.registration.id).is_ok()
                && self.displaced.len() < DISPLACED_MAX
            {
                self.displaced.insert(old.registration.id);
            }
        }
        match self.core.store.wanted(&details.endpoint).await {
            Ok(wanted) => {
                let wanted = wanted.iter().filter_map(|one| content::wanted_at_first(one, details).ok());
                Answer::Accept { observations: wanted.collect() }
            }
            Err(error) => {
                tracing::error!(%error, "the store does not answer");
                Answer::Refuse { code: Code::SERVICE_UNAVAILABLE }
            }
        }
    }

    async fn may_come_unsecured(&self, endpoint: &Endpoint) -> Result<(), Code> {
        match security::may_come_unsecured(&self.core, CredentialSet::Server, endpoint).await {
            Ok(true) => Ok(()),
            Ok(false) => {
                tracing::info!(%endpoint, "refused: it may not come without security");
                Err(Code::FORBIDDEN)
            }
            Err(error) => {
                tracing::error!(%error, "the store does not answer");
                Err(Code::SERVICE_UNAVAILABLE)
            }
        }
    }

    async fn answer(&self, shard: u8, ask: Ask, answer: Answer) {
        if let Some(inbox) = self.core.inbox(shard) {
            // A stopped shard needs no answer.
            let _ = inbox.answer(ask, answer).await;
        }
    }

    fn registered(&mut self, shard: u8, registration: Registration, carried: bool) {
        let endpoint = registration.details.endpoint.clone();
        let is_secured = registration.party.is_some();
        let device = self.device(shard, registration);
        let shape = Box::new(self.core.directory.registered(device, carried));
        self.log(EventType::Registered, &endpoint, |event| event.registration = Some(shape));
        queue::came(&self.core, &endpoint);
        if !is_secured {
            // Its credential may have come while it registered.
            security::forget_unsecured(&self.core, &endpoint);
        }
    }

    /// A registration goes on from before a restart. Its device has done nothing, so there is no event to tell.
    fn restored(&mut self, shard: u8, registration: Registration, observations: &[(ObservationId, Wanted)]) {
        let endpoint = registration.details.endpoint.clone();
        let party = registration.party.clone();
        let mut device = self.device(shard, registration);
        let since = Some(self.core.now());
        for (_, wanted) in observations {
            let seen = Seen { state: ObservingState::Active, since, ..Seen::default() };
            device.observations.insert(key(&wanted.observed), seen);
        }
        self.core.directory.registered(device, false);
        security::restored(&self.core, &endpoint, party.as_deref());
        queue::came(&self.core, &endpoint);
    }

    fn device(&self, shard: u8, registration: Registration) -> Device {
        let clock = self.core.clock;
        let mut device = Device {
            shard,
            clock,
            session_opened: None,
            registered_at: core::timestamp(clock.date_of(registration.registered_at)),
            updated_at: core::timestamp(clock.date_of(registration.updated_at)),
            expires_at: registration.expires_at.map(|at| core::timestamp(clock.date_of(at))),
            awake_until: None,
            expected_wake: None,
            commands_waiting: 0,
            speaks: None,
            made: Default::default(),
            deleted: Default::default(),
            list_format: None,
            no_composites: false,
            observations: Default::default(),
            deviations: Default::default(),
            deviations_before: Default::default(),
            format_left_open: Default::default(),
            asked: Default::default(),
            registration: registration.clone(),
        };
        device.hold(registration);
        device.present(device.registration.presence, |at| core::timestamp(clock.date_of(at)));
        device
    }

    fn updated(&mut self, registration: &Registration, listed_anew: bool) {
        let endpoint = &registration.details.endpoint;
        let clock = self.core.clock;
        let shape = self.core.directory.change(endpoint, Some(registration.id), |device| {
            device.updated_at = core::timestamp(clock.date_of(registration.updated_at));
            device.expires_at = registration.expires_at.map(|at| core::timestamp(clock.date_of(at)));
            device.hold(registration.clone());
            if listed_anew {
                device.made.clear();
                device.deleted.clear();
            }
            device.present(registration.presence, |at| core::timestamp(clock.date_of(at)));
            Box::new(device.shape())
        });
        if let Some(shape) = shape {
            self.log(EventType::Updated, endpoint, |event| event.registration = Some(shape));
        }
    }

    /// A device sent an Update that says nothing new.
    fn refreshed(
        &mut self,
        endpoint: &Endpoint,
        id: RegistrationId,
        at: Instant,
        expires_at: Option<Instant>,
    ) {
        let clock = self.core.clock;
        let until = at + self.core.config.queue.awake_window;
        let shape = self.core.directory.change(endpoint, Some(id), |device| {
            (device.registration.updated_at, device.registration.expires_at) = (at, expires_at);
            device.updated_at = core::timestamp(clock.date_of(at));
            device.expires_at = expires_at.map(|at| core::timestamp(clock.date_of(at)));
            device.heard(until, |at| core::timestamp(clock.date_of(at)));
            Box::new(device.shape())
        });
        if let Some(shape) = shape {
            self.log(EventType::Updated, endpoint, |event| event.registration = Some(shape));
        }
    }

    /// A device is at another address, or has another session.
    fn moved(&self, registration: &Registration) {
        let endpoint = &registration.details.endpoint;
        self.core
            .directory
            .change(endpoint, Some(registration.id), |device| device.hold(registration.clone()));
    }

    async fn secured(&mut self, shard: u8, event: SecurityEvent) {
        if let SecurityEvent::SessionClosed { session, endpoint: Some(endpoint), .. } = &event {
            self.core.directory.change(endpoint, None, |device| {
                if device.registration.session.as_ref().is_some_and(|now| now.id == session.id) {
                    device.registration.session = None;
                }
            });
        }
        if let Some(told) = security::take(&self.core, CredentialSet::Server, shard, event).await {
            self.log(told.kind, &told.endpoint, |event| event.handshake = Some(told.handshake));
        }
    }

    /// A device in Queue Mode fell asleep or woke.
    fn presence(&mut self, endpoint: &Endpoint, presence: Presence, kind: EventType) {
        let clock = self.core.clock;
        let shape = self.core.directory.change(endpoint, None, |device| {
            device.present(presence, |at| core::timestamp(clock.date_of(at)));
            Box::new(device.shape())
        });
        if let Some(shape) = shape {
            self.log(kind, endpoint, |event| event.registration = Some(shape));
        }
    }

    fn ended(&mut self, registration: &Registration, reason: Ended) {
        let endpoint = &registration.details.endpoint;
        if self.displaced.remove(&registration.id) && reason == Ended::Forgotten {
            self.core.directory.remove(registration);
            return;
        }
        // One that gave way to a registration at another shard has been replaced already.
        let Some(device) = self.core.directory.remove(registration) else { return };
        let (kind, why) = match reason {
            Ended::Expired => (EventType::Expired, None),
            Ended::Forgotten => (EventType::Deregistered, Some("forgotten by the server")),
            Ended::Deregister | _ => (EventType::Deregistered, None),
        };
        self.log(kind, endpoint, |event| {
            event.registration = Some(Box::new(device.shape()));
            event.reason = why.map(str::to_owned);
        });
    }

    fn observed(&mut self, endpoint: &Endpoint, observed: &Observed, heard: Heard<'_>) {
        let report = self.report(endpoint, &self.asked(endpoint, observed), heard);
        let (key, now) = (key(observed), self.core.now());
        let asked = self.core.directory.change(endpoint, None, |device| device.asked.remove(&key));
        self.remember(endpoint, &key, &report, |seen| {
            seen.restarts += u64::from(asked != Some(true));
            seen.since = Some(now);
        });
        self.log(EventType::Observed, endpoint, |event| report.into_event(event, Some(&key), heard));
    }

    fn notified(
        &mut self,
        endpoint: &Endpoint,
        observed: &Observed,
        heard: Heard<'_>,
        ask: Option<(u8, Ask)>,
    ) {
        self.after_commit.extend(ask);
        let report = self.report(endpoint, &self.asked(endpoint, observed), heard);
        let key = key(observed);
        self.remember(endpoint, &key, &report, |seen| seen.notifications += 1);
        self.log(EventType::Notified, endpoint, |event| report.into_event(event, Some(&key), heard));
    }

    fn asked(&self, endpoint: &Endpoint, observed: &Observed) -> Asked {
        match observed {
            Observed::Node(path) => Asked::Node(*path),
            Observed::Composite(composite) => {
                let device = self.core.directory.find(endpoint.as_str());
                let root = device.as_ref().map_or("", |device| &device.registration.details.objects.root);
                Asked::Several(content::listed(root, &composite.content))
            }
        }
    }

    /// A Send: all of it, or none of it and the code that says why (TS_Core 6.4.7).
    fn durable(&mut self, fact: &Durable) -> Result<(), Code> {
        let (endpoint, content_format, payload) = match fact {
            Durable::Send { endpoint, content_format, payload } => (endpoint, content_format, payload),
            // Their events follow when it is so.
            Durable::Update { .. } | Durable::Deregister { .. } => return Ok(()),
            _ => return Err(Code::NOT_IMPLEMENTED),
        };
        let device = self.core.directory.find(endpoint.as_str()).ok_or(Code::NOT_FOUND)?;
        let heard = Heard { code: None, format: *content_format, payload };
        let report = self.report(endpoint, &Asked::Nothing, heard);
        let Ok(content) = &report.content else { return Err(Code::BAD_REQUEST) };
        let links = &device.registration.details.objects.objects;
        let listed = |path: Path| links.iter().any(|link| link.path.object_id() == path.object_id());
        let paths = content.iter().filter_map(|node| node.path.as_deref()?.parse().ok());
        if !paths.into_iter().all(listed) {
            return Err(Code::NOT_FOUND);
        }
        self.log(EventType::Sent, endpoint, |event| report.into_event(event, None, heard));
        Ok(())
    }

    fn observation_failed(&mut self, endpoint: &Endpoint, key: &WantedKey, outcome: &Outcome, again: bool) {
        let (code, reason) = match outcome {
            Outcome::Response(response) => {
                (Some(response.code), format!("the device answered {}", response.code))
            }
            Outcome::Timeout => (None, "the device did not answer in time".to_owned()),
            Outcome::Reset => (None, "the device rejected the message".to_owned()),
            Outcome::Broken => (
                None,
                "the device's answer does not fit together, or is larger than the server takes".to_owned(),
            ),
            Outcome::Cancelled | Outcome::Deregistered | Outcome::Unsent | _ => {
                (None, "it was cancelled".to_owned())
            }
        };
        let was_active = self.core.directory.change(endpoint, None, |device| {
            let observed = device.observations.entry(key.clone()).or_default();
            let was_active = observed.state == ObservingState::Active;
            observed.state = if code.is_some() { ObservingState::Failed } else { ObservingState::Pending };
            observed.reason = Some(reason.clone());
            if !again && !was_active {
                device.observations.remove(key);
            }
            was_active
        });
        if was_active == Some(true) {
            self.log(EventType::ObservationCancelled, endpoint, |event| {
                name(event, key);
                event.code = code.map(|code| code.to_string());
                event.reason = Some(reason);
            });
        }
    }

    /// A format was our guess and the device does not speak it: let it choose, once in a registration.
    async fn observe_otherwise(&self, shard: u8, endpoint: &Endpoint, key: &WantedKey, code: Code) {
        let composite = matches!(key, WantedKey::Name(_));
        if code != Code::NOT_ACCEPTABLE && !(composite && code == Code::UNSUPPORTED_CONTENT_FORMAT) {
            return;
        }
        let first = |device: &mut Device| device.format_left_open.insert(key.clone());
        if self.core.directory.change(endpoint, None, first) != Some(true) {
            return;
        }
        let wanted = self.core.store.wanted(endpoint).await.unwrap_or_default();
        let guessed = wanted.iter().find(|one| one.key == *key && one.accept.is_none());
        let Some(guessed) = guessed else { return };
        let Some(device) = self.core.directory.find(endpoint.as_str()) else { return };
        let details = &device.registration.details;
        // The list goes in the other format when the first was not understood.
        let list = usize::from(code == Code::UNSUPPORTED_CONTENT_FORMAT);
        let list = content::list_formats(details, None, None).get(list).copied();
        let wanted = content::wanted(guessed, details, None, list);
        if let (Ok(wanted), Some(inbox)) = (wanted, self.core.inbox(shard)) {
            // Nobody waits for this one; its outcome comes as an event.
            let _ = inbox.observe(endpoint.clone(), wanted, Wait::held(core::WAIT_DEFAULT));
        }
    }

    /// Whether the device's present registration is at that shard: the one that it left may have a last word still.
    fn is_at(&self, endpoint: &Endpoint, shard: u8) -> bool {
        self.core.directory.find(endpoint.as_str()).is_none_or(|device| device.shard == shard)
    }

    async fn observation_ended(&mut self, endpoint: &Endpoint, key: &WantedKey) {
        let wanted = self.core.store.wanted(endpoint).await.unwrap_or_default();
        // One that ended with its registration is still wanted, and comes back with the next.
        let wanted = wanted.iter().any(|one| one.key == *key);
        let ended = self.core.directory.change(endpoint, None, |device| {
            if let Some(seen) = device.observations.get_mut(key)
                && wanted
            {
                seen.state = ObservingState::Pending;
                return false;
            }
            device.observations.remove(key).is_some()
        });
        if ended == Some(true) {
            self.log(EventType::ObservationCancelled, endpoint, |event| name(event, key));
        }
    }

    /// Adds an event to the batch.
    fn log(&mut self, kind: EventType, endpoint: &Endpoint, fill: impl FnOnce(&mut api::Event)) {
        let now = self.core.now();
        let mut event = api::Event::new(String::new(), now, kind, endpoint.to_string());
        fill(&mut event);
        let body = match serde_json::to_string(&event) {
            Ok(body) => body.into(),
            Err(error) => {
                tracing::error!(%error, "an event cannot be written");
                return;
            }
        };
        // An Update that is one of many says nothing that its registration does not.
        let indexed = kind != EventType::Updated;
        let record = NewEvent { at_ms: now.0, endpoint: endpoint.clone(), kind: kind.name(), body, indexed };
        self.batch.facts.push(Fact::Happened(record));
    }

    /// Writes the batch and answers who waits for that.
    async fn commit(&mut self) {
        let mut stored = true;
        if !self.batch.facts.is_empty() {
            if let Err(error) = self.write().await {
                tracing::error!(%error, "events are lost: the store does not take them");
                self.core.counters.commits_failed.fetch_add(1, Ordering::Relaxed);
                stored = false;
            }
            self.core.store_ok.store(stored, Ordering::Relaxed);
        }
        for (shard, ask) in std::mem::take(&mut self.after_commit) {
            let answer =
                if stored { Answer::Stored } else { Answer::Refuse { code: Code::SERVICE_UNAVAILABLE } };
            self.answer(shard, ask, answer).await;
        }
    }

    /// Writes the batch and tells the readers of the log.
    async fn write(&mut self) -> Result<(), StoreError> {
        let batch = std::mem::take(&mut self.batch);
        let newest = self.core.store.commit(batch).await?;
        self.core.tell_newest(newest);
        Ok(())
    }
}

/// What the store calls it.
fn key(observed: &Observed) -> WantedKey {
    match observed {
        Observed::Node(path) => WantedKey::Path(*path),
        Observed::Composite(composite) => WantedKey::Name(composite.name.to_string()),
    }
}

/// Says in an event which observation it is about.
fn name(event: &mut api::Event, key: &WantedKey) {
    match key {
        WantedKey::Path(path) => event.path = Some(path.to_string()),
        WantedKey::Name(name) => event.name = Some(name.clone()),
    }
}

pub(crate) fn raw(format: Option<ContentFormat>, payload: &[u8]) -> api::RawPayload {
    api::RawPayload { content_format: format.map(|format| format.0), payload: api::convert::base64(payload) }
}

/// Events that may share one commit.
const BATCH_LEN: usize = 512;
/// Registrations giving way at the same time that are remembered; beyond that an event too many is told.
const DISPLACED_MAX: usize = 65_536;
