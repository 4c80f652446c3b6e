//! Journal: takes what happens in the shards, answers their questions, writes the log.

use std::collections::HashSet;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use lightship_api as api;
use lightship_api::{EventType, ObservingState};
use lightship_lwm2m::{Endpoint, Path};
use lightship_net::ShardEvent;
use lightship_server::{
    Answer, Ask, Code, ContentFormat, Details, Ended, Event, Fact as Asked, Outcome, Registration,
    RegistrationId,
};
use lightship_store::{Batch, Cursor, EventRecord, Fact, Store};
use tokio::sync::mpsc;

use crate::content::{self, Dialect};
use crate::core::{self, Core};
use crate::directory::{Device, object_version};

/// The single writer of the event log.
pub(crate) struct Journal {
    core: Arc<Core>,
    cursor: Cursor,
    batch: Batch,
    /// Questions to be answered once the batch is safe.
    after_commit: Vec<(u8, Ask)>,
    /// Registrations that give way to one of the same endpoint at another shard.
    displaced: HashSet<RegistrationId>,
}

impl Journal {
    pub(crate) fn new(core: Arc<Core>, cursor: Cursor) -> Journal {
        Journal { core, cursor, batch: Batch::default(), after_commit: Vec::new(), displaced: HashSet::new() }
    }

    /// Runs until the shards have stopped.
    pub(crate) async fn run(mut self, mut events: mpsc::Receiver<ShardEvent>) {
        let mut taken = Vec::with_capacity(BATCH_LEN);
        while events.recv_many(&mut taken, BATCH_LEN).await > 0 {
            for ShardEvent { shard, event } in taken.drain(..) {
                self.take(shard, event).await;
            }
            self.commit().await;
        }
    }

    async fn take(&mut self, shard: u8, event: Event) {
        match event {
            Event::AskRegister { ask, details, .. } => {
                let answer = self.may_register(shard, &details).await;
                if matches!(answer, Answer::Accept { .. }) {
                    self.core.directory.arriving(&details.endpoint);
                }
                self.answer(shard, ask, answer).await;
            }
            Event::AskDurable { ask, fact } => match self.durable(&fact) {
                Ok(()) => self.after_commit.push((shard, ask)),
                Err(code) => self.answer(shard, ask, Answer::Refuse { code }).await,
            },
            Event::Registered { registration, .. } => self.registered(shard, registration),
            Event::Updated { registration, .. } => self.updated(&registration),
            Event::Deregistered { registration, reason } => self.ended(&registration, reason),
            Event::Notified { endpoint, observed, code, content_format, payload, .. } => {
                let Some(path) = observed.path() else { return };
                self.notified(&endpoint, path, code, content_format, &payload);
            }
            Event::ObservationStarted { endpoint, observed, response, .. } => {
                let Some(path) = observed.path() else { return };
                self.observed(&endpoint, path, response.code, response.content_format, &response.payload);
            }
            Event::ObservationFailed { endpoint, observed, outcome, retry_at, .. } => {
                let Some(path) = observed.path() else { return };
                self.observation_failed(&endpoint, path, &outcome, retry_at.is_some());
                if matches!(&outcome, Outcome::Response(response) if response.code == Code::NOT_ACCEPTABLE) {
                    self.observe_in_any_format(shard, &endpoint, path).await;
                }
            }
            Event::ObservationEnded { endpoint, observed, .. } => {
                let Some(path) = observed.path() else { return };
                self.observation_ended(&endpoint, path).await;
            }
            Event::Deviated { endpoint, deviation, count } => {
                self.core.directory.change(&endpoint, None, |device| {
                    device.registration.deviations.raise(deviation, count);
                });
            }
            // Answered where the request was made.
            Event::RequestDone { .. } | _ => {}
        }
    }

    /// The policy: who may register, and what is wanted of it.
    async fn may_register(&mut self, shard: u8, details: &Details) -> Answer {
        if !self.core.config.security.allow_nosec {
            tracing::info!(endpoint = %details.endpoint, "refused: devices without security are not allowed");
            return Answer::Refuse { code: Code::FORBIDDEN };
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
                let default = content::candidates(details, None).first().copied();
                let default = default.map(|format| ContentFormat(format.number()));
                Answer::Accept { observations: wanted.iter().map(|one| core::wanted(one, default)).collect() }
            }
            Err(error) => {
                tracing::error!(%error, "the store does not answer");
                Answer::Refuse { code: Code::SERVICE_UNAVAILABLE }
            }
        }
    }

    async fn answer(&self, shard: u8, ask: Ask, answer: Answer) {
        if let Some(inbox) = self.core.inbox(shard) {
            // A stopped shard needs no answer.
            let _ = inbox.answer(ask, answer).await;
        }
    }

    fn registered(&mut self, shard: u8, registration: Registration) {
        let endpoint = registration.details.endpoint.clone();
        let clock = self.core.clock;
        let device = Device {
            shard,
            registered_at: core::timestamp(clock.date_of(registration.registered_at)),
            updated_at: core::timestamp(clock.date_of(registration.updated_at)),
            expires_at: registration.expires_at.map(|at| core::timestamp(clock.date_of(at))),
            speaks: None,
            observations: Default::default(),
            registration,
        };
        let shape = Box::new(device.shape());
        self.core.directory.registered(device);
        self.log(EventType::Registered, &endpoint, |event| event.registration = Some(shape));
    }

    fn updated(&mut self, registration: &Registration) {
        let endpoint = &registration.details.endpoint;
        let clock = self.core.clock;
        let shape = self.core.directory.change(endpoint, Some(registration.id), |device| {
            device.updated_at = core::timestamp(clock.date_of(registration.updated_at));
            device.expires_at = registration.expires_at.map(|at| core::timestamp(clock.date_of(at)));
            device.registration = registration.clone();
            Box::new(device.shape())
        });
        if let Some(shape) = shape {
            self.log(EventType::Updated, endpoint, |event| event.registration = Some(shape));
        }
    }

    fn ended(&mut self, registration: &Registration, reason: Ended) {
        let endpoint = &registration.details.endpoint;
        if self.displaced.remove(&registration.id) && reason == Ended::Forgotten {
            self.core.directory.remove(endpoint, registration.id);
            return;
        }
        // One that gave way to a registration at another shard has been replaced already.
        let Some(device) = self.core.directory.remove(endpoint, registration.id) else { return };
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

    fn observed(
        &mut self,
        endpoint: &Endpoint,
        path: Path,
        code: Code,
        format: Option<ContentFormat>,
        payload: &[u8],
    ) {
        let report = self.report(endpoint, path, format, payload);
        self.remember(endpoint, path, &report, 0);
        self.log(EventType::Observed, endpoint, |event| {
            report.into_event(event, Some(path), Some(code), format)
        });
    }

    fn notified(
        &mut self,
        endpoint: &Endpoint,
        path: Path,
        code: Code,
        format: Option<ContentFormat>,
        payload: &[u8],
    ) {
        let report = self.report(endpoint, path, format, payload);
        self.remember(endpoint, path, &report, 1);
        self.log(EventType::Notified, endpoint, |event| {
            report.into_event(event, Some(path), Some(code), format)
        });
    }

    /// A Send: all of it, or none of it and the code that says why (TS_Core 6.4.7).
    fn durable(&mut self, fact: &Asked) -> Result<(), Code> {
        let Asked::Send { endpoint, content_format, payload } = fact else {
            return Err(Code::NOT_IMPLEMENTED);
        };
        let device = self.core.directory.find(endpoint.as_str()).ok_or(Code::NOT_FOUND)?;
        let report = self.report(endpoint, Path::ROOT, *content_format, payload);
        let Ok(content) = &report.content else { return Err(Code::BAD_REQUEST) };
        let links = &device.registration.details.objects.objects;
        let listed = |path: Path| links.iter().any(|link| link.path.object_id() == path.object_id());
        let paths = content.iter().filter_map(|node| node.path.as_deref()?.parse().ok());
        if !paths.into_iter().all(listed) {
            return Err(Code::NOT_FOUND);
        }
        self.log(EventType::Sent, endpoint, |event| report.into_event(event, None, None, *content_format));
        Ok(())
    }

    fn observation_failed(&mut self, endpoint: &Endpoint, path: Path, outcome: &Outcome, again: bool) {
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
            Outcome::Cancelled | Outcome::Deregistered | _ => (None, "it was cancelled".to_owned()),
        };
        let was_active = self.core.directory.change(endpoint, None, |device| {
            let observed = device.observations.entry(path).or_default();
            let was_active = observed.state == ObservingState::Active;
            observed.state = if code.is_some() { ObservingState::Failed } else { ObservingState::Pending };
            observed.reason = Some(reason.clone());
            if !again && !was_active {
                device.observations.remove(&path);
            }
            was_active
        });
        if was_active == Some(true) {
            self.log(EventType::ObservationCancelled, endpoint, |event| {
                event.path = Some(path.to_string());
                event.code = code.map(|code| code.to_string());
                event.reason = Some(reason);
            });
        }
    }

    /// The format was our guess and the device does not speak it: let it choose.
    async fn observe_in_any_format(&self, shard: u8, endpoint: &Endpoint, path: Path) {
        let wanted = self.core.store.wanted(endpoint).await.unwrap_or_default();
        let guessed = wanted.iter().find(|one| one.path == path && one.accept.is_none());
        if let (Some(observation), Some(inbox)) = (guessed, self.core.inbox(shard)) {
            // Nobody waits for this one; its outcome comes as an event.
            let _ = inbox.observe(endpoint.clone(), core::wanted(observation, None), core::WAIT_DEFAULT);
        }
    }

    async fn observation_ended(&mut self, endpoint: &Endpoint, path: Path) {
        let known =
            self.core.directory.change(endpoint, None, |device| device.observations.remove(&path)).flatten();
        let wanted = self.core.store.wanted(endpoint).await.unwrap_or_default();
        // One that ended with its registration is still wanted, and comes back with the next.
        if known.is_some() && wanted.iter().all(|one| one.path != path) {
            self.log(EventType::ObservationCancelled, endpoint, |event| event.path = Some(path.to_string()));
        }
    }

    /// What a device reported, as far as it can be understood.
    fn report(
        &self,
        endpoint: &Endpoint,
        path: Path,
        format: Option<ContentFormat>,
        payload: &[u8],
    ) -> Report {
        let Some(device) = self.core.directory.find(endpoint.as_str()) else {
            return Report {
                content: Err("the device is not registered".to_owned()),
                raw: raw(format, payload),
            };
        };
        let definitions = self.core.models.snapshot();
        let dialect = Dialect {
            definitions: &definitions,
            version: object_version(&device.registration, path),
            root: &device.registration.details.objects.root,
            now: self.core.now(),
        };
        let content = if path.is_root() {
            dialect.composite(&device.registration, format, payload)
        } else {
            dialect.nodes(path, format, payload)
        };
        if let Err(reason) = &content {
            self.core.counters.undecoded.fetch_add(1, Ordering::Relaxed);
            tracing::debug!(%endpoint, %path, reason, "a report cannot be decoded");
        }
        Report { content, raw: raw(format, payload) }
    }

    fn remember(&self, endpoint: &Endpoint, path: Path, report: &Report, notifications: u64) {
        let now = self.core.now();
        self.core.directory.change(endpoint, None, |device| {
            let observed = device.observations.entry(path).or_default();
            observed.state = ObservingState::Active;
            observed.notifications += notifications;
            observed.time = Some(now);
            observed.reason = report.content.as_ref().err().cloned();
            if let Ok(content) = &report.content {
                observed.content = Some(content.clone());
            }
        });
    }

    /// Adds an event to the batch.
    fn log(&mut self, kind: EventType, endpoint: &Endpoint, fill: impl FnOnce(&mut api::Event)) {
        let cursor = Cursor { number: self.cursor.number + 1, ..self.cursor };
        let mut event = api::Event::new(cursor.to_string(), self.core.now(), kind, endpoint.to_string());
        fill(&mut event);
        let body = match serde_json::to_string(&event) {
            Ok(body) => body.into(),
            Err(error) => {
                tracing::error!(%error, "an event cannot be written");
                return;
            }
        };
        self.cursor = cursor;
        let record = EventRecord { cursor, endpoint: endpoint.clone(), kind: kind.name(), body };
        self.batch.facts.push(Fact::Happened(record));
    }

    async fn commit(&mut self) {
        let batch = std::mem::take(&mut self.batch);
        let count = batch.facts.len();
        let mut stored = true;
        if !batch.facts.is_empty() {
            if let Err(error) = self.core.store.commit(batch).await {
                tracing::error!(%error, "events are lost: the store does not take them");
                self.core.counters.commits_failed.fetch_add(1, Ordering::Relaxed);
                stored = false;
                // What was not written has no number.
                self.cursor.number -= u64::try_from(count).unwrap_or(0);
            }
            self.core.store_ok.store(stored, Ordering::Relaxed);
            self.core.newest.send_replace(self.cursor);
        }
        for (shard, ask) in std::mem::take(&mut self.after_commit) {
            let answer =
                if stored { Answer::Stored } else { Answer::Refuse { code: Code::SERVICE_UNAVAILABLE } };
            self.answer(shard, ask, answer).await;
        }
    }
}

/// Something a device reported.
struct Report {
    content: Result<Vec<api::Node>, String>,
    raw: api::RawPayload,
}

impl Report {
    fn into_event(
        self,
        event: &mut api::Event,
        path: Option<Path>,
        code: Option<Code>,
        format: Option<ContentFormat>,
    ) {
        event.path = path.map(|path| path.to_string());
        event.code = code.map(|code| code.to_string());
        event.format = format.map(content::format_name);
        match self.content {
            Ok(content) => event.content = Some(content),
            Err(reason) => {
                event.reason = Some(reason);
                event.raw = Some(self.raw);
            }
        }
    }
}

pub(crate) fn raw(format: Option<ContentFormat>, payload: &[u8]) -> api::RawPayload {
    api::RawPayload { content_format: format.map(|format| format.0), payload: api::convert::base64(payload) }
}

/// Events that may share one commit.
const BATCH_LEN: usize = 512;
/// Registrations giving way at the same time that are remembered; beyond that an event too many is told.
const DISPLACED_MAX: usize = 65_536;
