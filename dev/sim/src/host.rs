//! The server's host in the simulation, and the model of what must hold.
//!
//! Plays the service: remembers across crashes of the server which observations are wanted, answers the shard's
//! questions, and checks every event against what it knows.

use core::time::Duration;
use std::collections::{BTreeMap, BTreeSet};

use lightship_coap::{Code, ContentFormat};
use lightship_lwm2m::format::{Format, decode};
use lightship_lwm2m::{DataType, Endpoint, OwnedValue, Path, path};
use lightship_platform::{Instant, Rng, SeededRng};
use lightship_server::{
    Answer, Ask, Content, Event, Operation, Outcome, Registration, Request, RequestId, Shard, Wanted,
};

/// The resource whose value only grows.
pub const VALUE: Path = path!(3303 / 0 / 5700);
/// The resource that the server writes.
pub const APPLICATION: Path = path!(3303 / 0 / 5750);
/// The resource that counts its executions.
pub const RESET: Path = path!(3303 / 0 / 5605);

/// What became of an Execute.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Verdict {
    /// It is under way, or its server died meanwhile.
    Unknown,
    /// The device said 2.04.
    Done,
    /// Refused, or no answer.
    Failed,
}

/// The host and its memory.
pub struct Host {
    rng: SeededRng,
    /// Survives a crash of the server.
    wanted: BTreeMap<Endpoint, Vec<Path>>,
    registered: BTreeMap<Endpoint, Registration>,
    running: BTreeSet<(Endpoint, Path)>,
    /// The last value of each observation.
    last: BTreeMap<(Endpoint, Path), String>,
    open: BTreeMap<RequestId, (Endpoint, Operation)>,
    /// Every Execute ever sent, by its argument.
    pub executes: BTreeMap<String, (Endpoint, Verdict)>,
    /// The answers of final Reads.
    pub reads: BTreeMap<(Endpoint, Path), Outcome>,
    /// Questions to be answered later.
    pub postponed: Vec<(Duration, Ask, Answer)>,
    /// Whether it answers everything at once.
    pub diligent: bool,
    number: u32,
}

impl Host {
    /// A host that wants nothing yet.
    #[must_use]
    pub fn new(rng: SeededRng) -> Self {
        Self {
            rng,
            wanted: BTreeMap::new(),
            registered: BTreeMap::new(),
            running: BTreeSet::new(),
            last: BTreeMap::new(),
            open: BTreeMap::new(),
            executes: BTreeMap::new(),
            reads: BTreeMap::new(),
            postponed: Vec::new(),
            diligent: false,
            number: 0,
        }
    }

    /// Wants an observation of a device from its next registration on.
    pub fn want(&mut self, endpoint: &Endpoint, path: Path) {
        self.wanted.entry(endpoint.clone()).or_default().push(path);
    }

    /// The server died: what only it knew is gone.
    pub fn server_died(&mut self) {
        self.registered.clear();
        self.running.clear();
        self.open.clear();
        self.postponed.clear();
    }

    /// Sends a random request to a device.
    pub fn request(&mut self, now: Instant, shard: &mut Shard, endpoint: &Endpoint) {
        self.number += 1;
        let number = self.number;
        let text = |text: String| Content { format: ContentFormat::TEXT, payload: text.into_bytes().into() };
        let operation = match self.rng.below(4) {
            0 => Operation::Read { path: VALUE, accept: Some(ContentFormat::TEXT) },
            1 => Operation::Replace { path: APPLICATION, content: text(format!("app-{number}")) },
            2 => Operation::Discover { path: VALUE, depth: None },
            _ => Operation::Execute { path: RESET, arguments: format!("0='{number}'") },
        };
        let patience = Duration::from_secs(5 + u64::from(self.rng.below(200)));
        self.send(now, shard, endpoint, operation, patience);
    }

    /// Sends a request to a device.
    pub fn send(
        &mut self,
        now: Instant,
        shard: &mut Shard,
        endpoint: &Endpoint,
        operation: Operation,
        patience: Duration,
    ) {
        let request = Request::new(operation.clone(), now + patience);
        match shard.request(now, endpoint, request) {
            Ok(id) => {
                if let Operation::Execute { arguments, .. } = &operation {
                    self.executes.insert(arguments.clone(), (endpoint.clone(), Verdict::Unknown));
                }
                let old = self.open.insert(id, (endpoint.clone(), operation));
                assert!(old.is_none(), "the name {id} was given twice");
            }
            Err(_) => {
                assert!(!self.registered.contains_key(endpoint), "{endpoint} is registered, and refused")
            }
        }
    }

    /// Takes one event; returns an answer if it is due at once.
    pub fn handle(&mut self, event: Event) -> Option<(Ask, Answer)> {
        match event {
            Event::AskRegister { ask, registration } => {
                return self.asked(ask, &registration.details.endpoint);
            }
            Event::AskDurable { ask, .. } => return self.judged(ask, Answer::Stored),
            Event::Refreshed { endpoint, registration, at, expires_at } => {
                let known = self.registered.get_mut(&*endpoint).filter(|known| known.id == registration);
                let known = known.expect("only what is registered lives on");
                (known.updated_at, known.expires_at) = (at, expires_at);
            }
            Event::Lapsed { endpoint, standing, .. } => {
                let known = self.registered.get(&endpoint).map(|known| (known.id, known.details.clone()));
                assert_eq!(standing.map(|standing| (standing.id, standing.details)), known);
            }
            Event::Registered { registration, displaced } => {
                let endpoint = registration.details.endpoint.clone();
                self.forget(&endpoint);
                let old = self.registered.insert(endpoint, *registration);
                assert_eq!(old.map(|old| old.id), displaced.map(|old| old.id));
            }
            Event::Updated { registration, .. } => {
                let known =
                    self.registered.insert(registration.details.endpoint.clone(), (*registration).clone());
                assert_eq!(known.map(|known| known.id), Some(registration.id));
            }
            Event::Deregistered { registration, .. } => {
                let endpoint = &registration.details.endpoint;
                let known = self.registered.remove(endpoint).map(|known| known.id);
                assert_eq!(known, Some(registration.id), "what ended was known");
                self.forget(endpoint);
            }
            Event::ObservationStarted { endpoint, observed, response, .. } => {
                let path = observed.path().expect("only single nodes are wanted");
                assert!(self.running.insert((endpoint.clone(), path)), "{endpoint} {path} started twice");
                self.value(endpoint, path, &response.payload, response.content_format);
            }
            Event::Notified { ask, endpoint, observed, payload, content_format, .. } => {
                let path = observed.path().expect("only single nodes are wanted");
                assert!(
                    self.running.contains(&(endpoint.clone(), path)),
                    "{endpoint} {path} was not running"
                );
                self.value(endpoint, path, &payload, content_format);
                return ask.and_then(|ask| self.judged(ask, Answer::Stored));
            }
            Event::ObservationFailed { endpoint, observed, retry_at, .. } => {
                let path = observed.path().expect("only single nodes are wanted");
                assert!(retry_at.is_some(), "wanted observations are tried again");
                self.running.remove(&(endpoint, path));
            }
            Event::ObservationEnded { endpoint, observed, .. } => {
                let path = observed.path().expect("only single nodes are wanted");
                self.running.remove(&(endpoint, path));
            }
            Event::Deviated { endpoint, deviation, .. } => panic!("our device {endpoint}: {deviation}"),
            Event::RequestDone { id, endpoint, outcome } => self.done(id, &endpoint, outcome),
            // The devices of the model do not sleep.
            Event::Awake { .. } | Event::Asleep { .. } => panic!("nobody uses Queue Mode"),
            Event::Moved { registration, .. } => {
                let endpoint = registration.details.endpoint.clone();
                let known = self.registered.insert(endpoint, (*registration).clone());
                assert_eq!(known.map(|known| known.id), Some(registration.id));
            }
            Event::Security(_) | _ => panic!("an event that the model does not know"),
        }
        None
    }

    fn asked(&mut self, ask: Ask, endpoint: &Endpoint) -> Option<(Ask, Answer)> {
        let wanted = |path: &Path| Wanted {
            observed: (*path).into(),
            accept: Some(ContentFormat::TEXT),
            attributes: Vec::new(),
        };
        let paths = self.wanted.get(endpoint).map(Vec::as_slice).unwrap_or_default();
        let answer = Answer::Accept { observations: paths.iter().map(wanted).collect() };
        self.judged(ask, answer)
    }

    /// Answers at once, later, or not at all.
    fn judged(&mut self, ask: Ask, answer: Answer) -> Option<(Ask, Answer)> {
        let mood = if self.diligent { 0 } else { self.rng.below(20) };
        match mood {
            // Says nothing at all: the device gets 5.03 and tries again.
            19 => None,
            15..=18 => {
                let delay = Duration::from_millis(self.rng.below(12_000).into());
                self.postponed.push((delay, ask, answer));
                None
            }
            _ => Some((ask, answer)),
        }
    }

    fn value(&mut self, endpoint: Endpoint, path: Path, payload: &[u8], format: Option<ContentFormat>) {
        let number = |text: &str| text.parse::<f64>().expect("a number");
        if format == Some(ContentFormat::SENML_CBOR) {
            // Values of the past, which may come after the present one. The last of them is as new as any.
            let value = newest_of_the_past(path, payload);
            let key = (endpoint, path);
            let known = self.last.get(&key);
            if path != VALUE || known.is_none_or(|known| number(known) < number(&value)) {
                self.last.insert(key, value);
            }
            return;
        }
        let value = String::from_utf8(payload.to_vec()).expect("text");
        let key = (endpoint, path);
        if path == VALUE
            && let Some(last) = self.last.get(&key)
        {
            assert!(number(last) <= number(&value), "{} went back from {last} to {value}", key.0);
        }
        self.last.insert(key, value);
    }

    fn forget(&mut self, endpoint: &Endpoint) {
        let left: Vec<_> = self.running.iter().filter(|(other, _)| other == endpoint).collect();
        assert!(left.is_empty(), "{left:?} outlived the registration");
        let left: Vec<_> = self.open.values().filter(|(other, _)| other == endpoint).collect();
        assert!(left.is_empty(), "{left:?} outlived the registration");
    }

    fn done(&mut self, id: RequestId, endpoint: &Endpoint, outcome: Outcome) {
        let (target, operation) = self.open.remove(&id).expect("a request ends once");
        assert_eq!(&target, endpoint);
        if let Operation::Execute { arguments, .. } = &operation {
            let done = matches!(&outcome, Outcome::Response(response) if response.code == Code::CHANGED);
            let verdict = if done { Verdict::Done } else { Verdict::Failed };
            self.executes.insert(arguments.clone(), (target, verdict));
        } else if let Operation::Read { path, .. } = operation {
            self.reads.insert((target, path), outcome);
        }
    }

    /// The registration of a device, as the events told it.
    #[must_use]
    pub fn registration(&self, endpoint: &Endpoint) -> Option<&Registration> {
        self.registered.get(endpoint)
    }

    /// Requests that have not ended.
    #[must_use]
    pub fn open_requests(&self) -> usize {
        self.open.len()
    }

    /// The last value of a running observation.
    #[must_use]
    pub fn observed(&self, endpoint: &Endpoint, path: Path) -> Option<&str> {
        let key = (endpoint.clone(), path);
        self.running.contains(&key).then(|| self.last.get(&key).map(String::as_str)).flatten()
    }

    /// What is wanted of a device.
    #[must_use]
    pub fn wanted(&self, endpoint: &Endpoint) -> &[Path] {
        self.wanted.get(endpoint).map(Vec::as_slice).unwrap_or_default()
    }
}

/// The last value of a SenML pack about one resource, all of whose records have a time.
fn newest_of_the_past(path: Path, payload: &[u8]) -> String {
    let entries = decode(Format::SenmlCbor, path, payload);
    let last =
        entries.map(|entry| entry.expect("it can be read")).inspect(|entry| assert!(entry.time.is_some()));
    let last = last.last().expect("at least one record").value;
    match last.decode_owned(DataType::String) {
        Ok(OwnedValue::String(text)) => text,
        _ => {
            let number = last.decode_owned(DataType::Float).expect("a text or a number");
            number.as_value().as_f64().expect("a number").to_string()
        }
    }
}
