//! Call: one attempt to do an order with a device, from its start to the answer for the caller.

use std::collections::BTreeSet;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use lightship_api::{AnswerContent, DownlinkAnswer, Problem, ProblemType};
use lightship_lwm2m::format::Use;
use lightship_lwm2m::{Format, Path, Version};
use lightship_net::{InboxError, Reply, ShardInbox, Wait};
use lightship_platform::Instant;
use lightship_server::{
    ContentFormat, Endpoint, Operation, Outcome, RegistrationId, RequestError, Response, Wanted,
};

use super::Refusal;
use super::input::Choices;
use super::order::{Done, Order, Verb};
use crate::content::{self, Dialect, LINK_FORMAT};
use crate::core::{Core, WAIT_DEFAULT, stopped, timestamp};
use crate::deviation::Deviation;
use crate::directory::Device;
use crate::journal::raw;

/// What the payload of a good answer holds; of data, in which format it was wanted.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Payload<'a> {
    None,
    Data(Option<ContentFormat>),
    /// Data of that path, whatever the operation is about.
    One(Path, Option<ContentFormat>),
    /// Data of these paths.
    Several(&'a [Path], Option<ContentFormat>),
    Links,
}

/// One downlink operation from request to answer.
pub(crate) struct Call<'a> {
    pub(super) core: &'a Core,
    pub(super) device: Device,
    pub(super) choices: Choices,
    pub(super) path: Path,
    verb: Verb,
    started: Instant,
    /// The time that a durable command has; it is tried with devices that are awake only.
    at_most: Option<Duration>,
    fate: Mutex<Fate>,
}

/// What became of the last request of a call that brought no answer.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Fate {
    /// Nothing was sent, or what was sent before was answered.
    Unsent,
    /// Nobody knows whether the device has done it.
    Lost,
    /// The device threw it away.
    Rejected,
}

impl<'a> Call<'a> {
    pub(crate) fn new(core: &'a Core, device: Device, order: &Order) -> Call<'a> {
        Call {
            core,
            device,
            choices: order.choices.clone(),
            path: order.path,
            verb: order.verb,
            started: core.clock.now(),
            at_most: None,
            fate: Mutex::new(Fate::Unsent),
        }
    }

    /// An attempt of a durable command.
    pub(crate) fn within(core: &'a Core, device: Device, order: &Order, at_most: Duration) -> Call<'a> {
        Call { at_most: Some(at_most), ..Call::new(core, device, order) }
    }

    /// What became of its last request if it ended without an answer.
    pub(crate) fn fate(&self) -> Fate {
        *self.fate.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn set_fate(&self, fate: Fate) {
        *self.fate.lock().unwrap_or_else(PoisonError::into_inner) = fate;
    }

    pub(super) fn details(&self) -> &lightship_server::Details {
        &self.device.registration.details
    }

    /// What is left of the caller's time.
    pub(super) fn left(&self) -> Duration {
        let spent = self.core.clock.now().saturating_duration_since(self.started);
        let given = self.at_most.or(self.choices.wait.filter(|wait| !wait.is_zero()));
        given.unwrap_or(WAIT_DEFAULT).saturating_sub(spent)
    }

    /// How long to wait: also for a device that sleeps, if the caller said a time.
    pub(super) fn wait(&self, at_most: Duration) -> Wait {
        if self.waits() { Wait::held(at_most) } else { Wait::awake(at_most) }
    }

    /// Whether the caller wants to wait for a device that sleeps.
    pub(super) fn waits(&self) -> bool {
        self.at_most.is_none() && self.choices.wait.is_some_and(|wait| !wait.is_zero())
    }

    /// Sends one request and waits for the device's answer within what is left of the caller's time.
    pub(super) async fn ask(&self, operation: Operation) -> Result<Response, Refusal> {
        self.ask_within(operation, self.left()).await
    }

    /// The same within a part of that time.
    pub(super) async fn ask_within(
        &self,
        operation: Operation,
        at_most: Duration,
    ) -> Result<Response, Refusal> {
        let send = |inbox: &ShardInbox, endpoint, wait| inbox.request(endpoint, operation.clone(), wait);
        self.outcome(self.reach(at_most, send, |outcome| *outcome == Outcome::Unsent).await?)
    }

    /// Starts an observation and waits for the device's first answer.
    pub(super) async fn observe(&self, wanted: &Wanted) -> Result<Response, Refusal> {
        let send = |inbox: &ShardInbox, endpoint, wait| inbox.observe(endpoint, wanted.clone(), wait);
        let gone = |outcome: &Outcome| matches!(outcome, Outcome::Unsent | Outcome::Deregistered);
        self.outcome(self.reach(self.left(), send, gone).await?)
    }

    /// Sends something to the device. A device that is waited for may wake at another address, and its Register reach
    /// another shard: what is `lost` by that goes there.
    async fn reach(
        &self,
        at_most: Duration,
        send: impl Fn(&ShardInbox, Endpoint, Wait) -> Result<Reply<Outcome>, InboxError>,
        lost: impl Fn(&Outcome) -> bool,
    ) -> Result<Result<Outcome, RequestError>, Refusal> {
        let until = self.core.clock.now() + at_most;
        let mut asked = (self.device.shard, self.device.registration.id);
        loop {
            let inbox = self.core.inbox(asked.0).ok_or_else(overloaded)?;
            let left = until.saturating_duration_since(self.core.clock.now());
            self.set_fate(Fate::Unsent);
            let reply = send(inbox, self.details().endpoint.clone(), self.wait(left));
            let reply = reply.map_err(|_| overloaded())?;
            // A shard that ends says nothing more, and may have sent it.
            self.set_fate(Fate::Lost);
            let result = tokio::select! {
                biased;
                result = reply => result.map_err(|_| overloaded())?,
                () = self.called_off() => return Err(overloaded()),
            };
            if !self.waits() || !result.as_ref().is_ok_and(&lost) {
                return Ok(result);
            }
            let Some(successor) = self.successor(asked.1).await else { return Ok(result) };
            asked = (successor.shard, successor.registration.id);
        }
    }

    /// The server stops, and a caller who waits is told while there is time for it. A durable command waits to the end.
    async fn called_off(&self) {
        if self.at_most.is_some() {
            return std::future::pending().await;
        }
        stopped(&mut self.core.stopping.subscribe()).await;
        tokio::time::sleep(LAST_ANSWERS).await;
    }

    /// The registration that another one of the device gives way to, if it comes soon.
    async fn successor(&self, old: RegistrationId) -> Option<Device> {
        let endpoint = self.details().endpoint.as_str();
        for _ in 0..SUCCESSOR_STEPS {
            let device = self.core.directory.find(endpoint);
            if let Some(device) = device.filter(|device| device.registration.id != old) {
                return Some(device);
            }
            tokio::time::sleep(SUCCESSOR_STEP).await;
        }
        None
    }

    pub(super) fn outcome(&self, result: Result<Outcome, RequestError>) -> Result<Response, Refusal> {
        let no_answer = |detail: &str| Refusal::new(ProblemType::NoAnswer, detail);
        if result.is_err() {
            self.set_fate(Fate::Unsent);
        }
        let result = result.map_err(|error| {
            if let RequestError::Asleep { expected } = error {
                self.asleep(expected)
            } else {
                refused(error, &self.device)
            }
        });
        let outcome = result?;
        self.set_fate(match outcome {
            Outcome::Response(_) | Outcome::Asleep | Outcome::Unsent => Fate::Unsent,
            Outcome::Reset => Fate::Rejected,
            Outcome::Timeout | Outcome::Broken | Outcome::Deregistered | Outcome::Cancelled | _ => Fate::Lost,
        });
        match outcome {
            Outcome::Response(response) => {
                let until = self.core.clock.now() + self.core.config.queue.awake_window;
                self.note(|device| device.heard(until, |at| timestamp(self.core.clock.date_of(at))));
                Ok(response)
            }
            Outcome::Timeout => Err(no_answer("")),
            Outcome::Reset => Err(no_answer("the device rejected the message with a Reset")),
            Outcome::Broken => Err(no_answer(
                "the device's answer does not fit together, or is larger than the server takes",
            )),
            Outcome::Deregistered | Outcome::Unsent => Err(Refusal::new(
                ProblemType::EndpointNotRegistered,
                "the registration ended before the answer came",
            )),
            Outcome::Asleep => Err(self.asleep(None)),
            Outcome::Cancelled | _ => Err(overloaded()),
        }
    }

    /// The device sleeps: nothing was sent.
    fn asleep(&self, expected: Option<Instant>) -> Refusal {
        let endpoint = &self.details().endpoint;
        let known = self.core.directory.find(endpoint.as_str()).and_then(|device| device.expected_wake);
        let expected = known.or(expected.map(|at| timestamp(self.core.clock.date_of(at))));
        let detail = format!("{:?} sleeps in Queue Mode and was not asked", endpoint.as_str());
        let problem = Problem::new(ProblemType::Asleep, detail);
        // One that is overdue may come at any moment.
        let Some(expected) = expected else { return Refusal(problem) };
        let left_ms = expected.0.saturating_sub(self.core.now().0);
        let left_s = u64::try_from(left_ms).unwrap_or(0).div_ceil(1000).max(1);
        Refusal(problem.expected_wake(expected, left_s))
    }

    /// The answer for the caller.
    pub(super) fn answer(&self, response: &Response, payload: Payload<'_>) -> Done {
        Done::Answered(self.shape(response, payload))
    }

    /// Refuses what the version that a device registered with does not have.
    pub(super) fn needs(&self, version: Version, what: &str) -> Result<(), Refusal> {
        let has = self.details().version;
        if has >= version {
            return Ok(());
        }
        let detail = format!("the device registered with LwM2M {has}, which has no {what}");
        Err(Refusal::new(ProblemType::NotInVersion, detail))
    }

    pub(super) fn shape(&self, response: &Response, payload: Payload<'_>) -> DownlinkAnswer {
        let elapsed = self.core.clock.now().saturating_duration_since(self.started);
        let mut answer = DownlinkAnswer {
            operation: self.verb.operation().to_owned(),
            path: self.path.to_string(),
            code: response.code.to_string(),
            format: response.content_format.map(content::format_name),
            elapsed_ms: u64::try_from(elapsed.as_millis()).unwrap_or(u64::MAX),
            content: None,
            location: None,
            locations: Vec::new(),
            diagnostic: None,
            undecoded: None,
            fallback: None,
            raw: self.choices.raw.then(|| raw(response.content_format, &response.payload)),
        };
        if !response.code.is_success() {
            answer.diagnostic = diagnostic(&response.payload);
            return answer;
        }
        if !response.location.is_empty() {
            answer.location = Some(self.created(&response.location));
        }
        match self.decode(response, payload) {
            Ok(content) => answer.content = content,
            Err(reason) => {
                answer.undecoded = Some(reason);
                answer.raw = Some(raw(response.content_format, &response.payload));
            }
        }
        answer
    }

    fn decode(&self, response: &Response, payload: Payload<'_>) -> Result<Option<AnswerContent>, String> {
        let endpoint = &self.details().endpoint;
        match self.decoded(response, payload) {
            Ok((content, deviations)) => {
                if !self.starts_observation() {
                    self.core.directory.deviated(endpoint, deviations);
                }
                Ok(content)
            }
            Err(reason) => {
                if !self.starts_observation() {
                    self.core.directory.deviated(endpoint, [Deviation::Undecodable]);
                }
                Err(reason)
            }
        }
    }

    fn decoded(&self, response: &Response, payload: Payload<'_>) -> Result<Understood, String> {
        let format = response.content_format;
        let asked = match payload {
            Payload::None => return Ok((None, BTreeSet::new())),
            Payload::Links => {
                if let Some(format) = format.filter(|format| format.0 != LINK_FORMAT) {
                    return Err(format!("content format {} is no list of links", format.0));
                }
                let (links, sloppy) = content::discovered(&self.details().objects.root, &response.payload)?;
                return Ok((Some(AnswerContent::Links { links }), sloppy.into_iter().collect()));
            }
            Payload::Data(asked) | Payload::One(_, asked) | Payload::Several(_, asked) => asked,
        };
        let definitions = self.core.models.snapshot();
        let dialect = Dialect { definitions: &definitions, details: self.details(), now: self.core.now() };
        let bytes = content::Payload { asked, format, bytes: &response.payload };
        let (content, deviations) = if let Payload::Several(paths, _) = payload {
            let decoded = dialect.several(paths, bytes)?;
            (Some(AnswerContent::Nodes { nodes: decoded.nodes }), decoded.deviations)
        } else {
            let path = if let Payload::One(path, _) = payload { path } else { self.path };
            let decoded = dialect.nodes(path, bytes)?;
            // Several moments in one Read: the last one is what is true now.
            (decoded.nodes.into_iter().next_back().map(AnswerContent::Node), decoded.deviations)
        };
        if let Some(format) = format.and_then(|format| Format::from_number(format.0)) {
            self.spoke(format);
        }
        Ok((content, deviations))
    }

    /// The first value of an observation also comes to the journal, which counts what is wrong with it.
    fn starts_observation(&self) -> bool {
        matches!(self.verb, Verb::Observe | Verb::ObserveComposite)
    }

    /// The formats to try, best first.
    pub(super) fn candidates(&self, purpose: Use) -> Vec<Format> {
        content::candidates(self.details(), self.device.speaks, purpose)
    }

    /// The formats to try for a list of paths, best first.
    pub(super) fn list_formats(&self, accept: Option<u16>) -> Vec<Format> {
        let others = content::list_formats(self.details(), accept, self.device.speaks);
        let known = self.device.list_format.filter(|_| accept.is_none());
        let others = others.into_iter().filter(|format| Some(*format) != known);
        known.into_iter().chain(others).collect()
    }

    /// Takes note in the directory, if the registration is still the present one.
    pub(super) fn note(&self, change: impl FnOnce(&mut Device)) {
        let registration = &self.device.registration;
        self.core.directory.change(&registration.details.endpoint, Some(registration.id), change);
    }

    /// Remembers a format that the device is known to speak, unless the caller has demanded it.
    pub(super) fn spoke(&self, format: Format) {
        if self.choices.format.is_none() && !format.is_single_value() && self.device.speaks != Some(format) {
            self.note(|device| device.speaks = Some(format));
        }
    }

    /// The path of a new instance, without an alternate path in front.
    fn created(&self, location: &[String]) -> String {
        let text = location.join("/");
        let root = &*self.details().objects.root;
        match text.strip_prefix(root) {
            Some(rest) if !root.is_empty() => format!("/{}", rest.trim_start_matches('/')),
            _ => format!("/{text}"),
        }
    }
}

/// The text that a device may send along with an error.
fn diagnostic(payload: &[u8]) -> Option<String> {
    let text = String::from_utf8_lossy(payload.get(..payload.len().min(DIAGNOSTIC_LEN_MAX))?).into_owned();
    Some(text).filter(|text| !text.is_empty())
}

pub(super) fn overloaded() -> Refusal {
    Refusal(Problem::new(ProblemType::Overloaded, "").retry_after(1))
}

fn refused(error: RequestError, device: &Device) -> Refusal {
    let kind = match error {
        RequestError::UnknownEndpoint => {
            let detail =
                format!("{:?} is not registered any more", device.registration.details.endpoint.as_str());
            return Refusal::new(ProblemType::EndpointNotRegistered, detail);
        }
        RequestError::TooLarge => ProblemType::TooLarge,
        RequestError::TooManyObservations => ProblemType::Conflict,
        RequestError::WrongPath => ProblemType::InvalidPath,
        RequestError::LineFull | RequestError::Overloaded | _ => {
            return Refusal(Problem::new(ProblemType::Overloaded, error.to_string()).retry_after(1));
        }
    };
    Refusal::new(kind, error.to_string())
}

type Understood = (Option<AnswerContent>, BTreeSet<Deviation>);

/// How long answers of devices are waited for when the server stops: less than what connections have to end.
const LAST_ANSWERS: Duration = Duration::from_secs(2);
const DIAGNOSTIC_LEN_MAX: usize = 1024;
const SUCCESSOR_STEP: Duration = Duration::from_millis(5);
/// One second: a device registers at once or not at all.
const SUCCESSOR_STEPS: u32 = 200;
