//! Journal: takes what happens in the shards, writes what lasts, answers the shards' questions when it is safe.

mod backlog;
mod batch;
mod coming;
mod forgotten;
mod observations;
mod registrations;
mod report;

use std::collections::{HashSet, VecDeque};
use std::sync::Arc;

use lightship_api as api;
use lightship_api::{EventType, Timestamp};
use lightship_lwm2m::Endpoint;
use lightship_net::{Events, Look, ShardEvent};
use lightship_platform::Instant;
use lightship_server::{Event, Outcome, Presence, RegistrationId, SecurityEvent};
use lightship_store::{CredentialSet, Fact, NewEvent};
use tokio::sync::mpsc;

use self::backlog::Backlog;
use self::batch::{Flight, Pending};
use self::coming::Coming;
pub(crate) use self::forgotten::Forgotten;
use self::observations::key;
pub(crate) use self::observations::{key as key_of, raw};
pub(crate) use self::registrations::{id_of, number};
use self::report::Heard;
use crate::bootstrap::News;
use crate::core::{self, Core};
use crate::directory::{Device, Kinds};
use crate::queue;
use crate::security;

/// Writes what the shards tell: commits are under way, the next is gathered.
pub(crate) struct Journal {
    core: Arc<Core>,
    pending: Pending,
    /// In the order of taking off.
    flights: VecDeque<Flight>,
    /// Owed since the store failed.
    backlog: Backlog,
    /// While the store fails: when it is tried again.
    retry_at: Option<tokio::time::Instant>,
    coming: Coming,
    /// Registrations that give way to one of the same endpoint at another shard.
    displaced: HashSet<RegistrationId>,
    unchanged: Bucket,
    kinds: Kinds,
    /// What time it is, as of the last few events.
    look: Look,
    /// The event that is being written.
    body: Vec<u8>,
}

/// How many events of one kind are written in a second; a second's worth may come at once.
struct Bucket {
    a_second: u32,
    /// In micro-events.
    filled: u64,
    at: Instant,
}

impl Bucket {
    fn take(&mut self, now: Instant) -> bool {
        let span = u64::try_from(now.saturating_duration_since(self.at).as_micros()).unwrap_or(u64::MAX);
        let a_second = u64::from(self.a_second);
        self.filled = self.filled.saturating_add(span.saturating_mul(a_second)).min(a_second * MICRO);
        self.at = self.at.max(now);
        let left = self.filled.checked_sub(MICRO);
        self.filled = left.unwrap_or(self.filled);
        left.is_some()
    }
}

impl Journal {
    pub(crate) fn new(core: Arc<Core>) -> Journal {
        let a_second = core.config.events.unchanged_updates_per_second;
        let at = core.clock.now();
        Journal {
            pending: Pending::default(),
            flights: VecDeque::new(),
            backlog: Backlog::default(),
            retry_at: None,
            coming: Coming::default(),
            displaced: HashSet::new(),
            unchanged: Bucket { a_second, filled: u64::from(a_second) * MICRO, at },
            kinds: Kinds::default(),
            look: core.clock.look(),
            core,
            body: Vec::new(),
        }
    }

    /// Runs until the shards have stopped and all that they told is written.
    pub(crate) async fn run(mut self, mut events: Events, mut news: mpsc::Receiver<News>) {
        let mut taken = Vec::with_capacity(BATCH_LEN);
        let mut stopped = false;
        while !(stopped && self.flights.is_empty() && (self.is_idle() || self.retry_at.is_some())) {
            let room = BATCH_LEN.saturating_sub(self.pending.len());
            tokio::select! {
                result = Flight::landed(&mut self.flights) => self.landed(result).await,
                count = events.recv_many(&mut taken, room), if room > 0 && !stopped => {
                    stopped = count == 0;
                    for (place, ShardEvent { shard, event }) in taken.drain(..).enumerate() {
                        if place.is_multiple_of(LOOK_EVERY) {
                            self.look = self.core.clock.look();
                        }
                        self.take(shard, event).await;
                    }
                }
                Some(news) = news.recv(), if room > 0 && !stopped => {
                    self.look = self.core.clock.look();
                    self.log(news.kind, &news.endpoint, |event| {
                        event.result = news.result;
                        event.reason = news.reason;
                        event.handshake = news.handshake;
                    });
                }
                () = Journal::retry(self.retry_at), if self.flights.is_empty() => {}
            }
            self.take_off();
        }
    }

    async fn take(&mut self, shard: u8, event: Event) {
        match event {
            Event::AskRegister { ask, registration } => {
                self.asked_to_register(shard, ask, *registration).await;
            }
            Event::AskDurable { ask, fact } => self.durable(shard, ask, fact).await,
            Event::Registered { registration, displaced } => {
                self.registered(shard, *registration, displaced.is_some());
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
                self.updated(&registration, changed);
            }
            Event::Refreshed { endpoint, registration, at, expires_at } => {
                self.refreshed(&endpoint, registration, at, expires_at);
            }
            Event::Deregistered { registration, reason } => self.ended(&registration, reason),
            Event::Notified { ask, endpoint, observed, code, content_format, payload, .. } => {
                let heard = Heard { code: Some(code), format: content_format, payload: &payload };
                self.notified(&endpoint, &observed, heard, ask.map(|ask| (shard, ask)));
            }
            Event::Lapsed { endpoint, registration, standing } => {
                self.lapsed(endpoint, registration, standing.as_deref());
            }
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
            Event::Security(event) => self.secured(shard, event).await,
            // Answered where the request was made; taken in before the journal has anything to do.
            Event::RequestDone { .. } | _ => {}
        }
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
        let device = self.core.directory.change(endpoint, None, |device| {
            device.present(presence, |at| core::timestamp(clock.date_of(at)));
            device.clone()
        });
        if let Some(device) = device {
            self.log_registration(kind, &device, None);
        }
    }

    /// Adds an event to the batch.
    fn log(&mut self, kind: EventType, endpoint: &Endpoint, fill: impl FnOnce(&mut api::Event)) {
        let now = core::timestamp(self.look.date());
        let mut event = api::Event::new(String::new(), now, kind, endpoint.to_string());
        fill(&mut event);
        self.body.clear();
        match serde_json::to_writer(&mut self.body, &event) {
            Ok(()) => {
                let event = self.happened(now, kind, endpoint);
                self.pending.facts.extend(event);
            }
            Err(error) => tracing::error!(%error, "an event cannot be written"),
        }
    }

    /// Adds an event that shows a registration.
    fn log_registration(&mut self, kind: EventType, device: &Device, reason: Option<&str>) {
        let event = self.of_registration(kind, device, reason);
        self.pending.facts.extend(event);
    }

    /// The event that shows a registration.
    fn of_registration(&mut self, kind: EventType, device: &Device, reason: Option<&str>) -> Option<Fact> {
        let now = core::timestamp(self.look.date());
        self.body.clear();
        match self.kinds.write_event(&mut self.body, (now, kind), device, reason) {
            Ok(()) => self.happened(now, kind, &device.registration.details.endpoint),
            Err(error) => {
                tracing::error!(%error, "an event cannot be written");
                None
            }
        }
    }

    /// The event whose body is ready.
    fn happened(&mut self, now: Timestamp, kind: EventType, endpoint: &Endpoint) -> Option<Fact> {
        // JSON is UTF-8.
        let body = std::str::from_utf8(&self.body).ok()?;
        if let Some(note) = self.core.fleet.happened(kind, endpoint, now, body) {
            self.pending.owe(note);
        }
        // An Update that is one of many says nothing that its registration does not.
        let indexed = kind != EventType::Updated;
        let endpoint = endpoint.clone();
        Some(Fact::Happened(NewEvent {
            at_ms: now.0,
            endpoint,
            kind: kind.name(),
            body: body.into(),
            indexed,
        }))
    }
}

/// What may share one commit.
const BATCH_LEN: usize = 4096;
/// Events that share one look at the clocks: less than a millisecond's work.
const LOOK_EVERY: usize = 64;
const MICRO: u64 = 1_000_000;

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn a_bucket_lets_through_as_many_as_it_says() {
        let start = Instant::from_secs(5);
        let mut bucket = Bucket { a_second: 10, filled: 10 * MICRO, at: start };
        let taken = |bucket: &mut Bucket, now| (0..100).filter(|_| bucket.take(now)).count();
        assert_eq!(taken(&mut bucket, start), 10);
        assert_eq!(taken(&mut bucket, start + Duration::from_millis(250)), 2);
        assert_eq!(taken(&mut bucket, start + Duration::from_millis(300)), 1);
        assert_eq!(taken(&mut bucket, start + Duration::from_secs(60)), 10);
        let mut none = Bucket { a_second: 0, filled: 0, at: start };
        assert_eq!(taken(&mut none, start + Duration::from_secs(60)), 0);
    }
}
