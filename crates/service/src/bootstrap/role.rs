//! The role: answers the engine's questions, one session after another step by step, and writes down what happens.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use lightship_api::bootstrap::{BootstrapResult, BootstrapSession, BootstrapStep};
use lightship_api::convert::{self, Entry};
use lightship_api::{EventType, Node, SecurityMode};
use lightship_lwm2m::bootstrap::{Command, InstanceList, Operation};
use lightship_lwm2m::node::typed_entries;
use lightship_lwm2m::{Endpoint, Format, Path, ShortServerId, Version};
use lightship_server::bootstrap::{
    Answer, Caller, Ended, Event, Identity, Pack, SessionId, Step as Sent, StepOutcome,
};
use lightship_server::{Ask, Code, Response};
use tokio::sync::mpsc;

use super::document::{Document, number};
use super::plan::{Known, Plan, Step, pack, plan as planned};
use super::{Found, NotFound, find};
use crate::content;
use crate::core::Core;

/// An event of the role, for the journal.
#[derive(Debug)]
pub(crate) struct News {
    pub(crate) kind: EventType,
    pub(crate) endpoint: Endpoint,
    pub(crate) result: Option<BootstrapResult>,
    pub(crate) reason: Option<String>,
}

/// The Bootstrap-Server's host.
pub(crate) struct Role {
    core: Arc<Core>,
    sessions: HashMap<SessionId, Live>,
    /// Sessions since the start, for the history.
    numbered: u64,
}

/// A session under way.
struct Live {
    number: u64,
    endpoint: Endpoint,
    document: Document,
    preferred: Option<Format>,
    known: Known,
    phase: Phase,
    record: BootstrapSession,
}

enum Phase {
    Discovering,
    /// Which server each instance of object 1 is of, which old devices do not list.
    ReadingServers,
    /// The step of the plan that is under way.
    Running {
        plan: Plan,
        at: usize,
        is_fallback: bool,
    },
    /// The pack is on its way.
    Packing,
    /// Given up by us, for this reason.
    Over,
}

impl Role {
    pub(crate) fn new(core: Arc<Core>) -> Role {
        Role { core, sessions: HashMap::new(), numbered: 0 }
    }

    /// Runs until the engine has stopped.
    pub(crate) async fn run(mut self, mut events: mpsc::Receiver<Event>) {
        while let Some(event) = events.recv().await {
            match event {
                Event::AskBootstrap { ask, session, caller, preferred_format } => {
                    let answer = self.begin(session, &caller, preferred_format).await;
                    self.answer(ask, answer).await;
                }
                Event::AskPack { ask, session, caller, accept, account } => {
                    let answer = self.pack(session, &caller, accept, &account).await;
                    self.answer(ask, answer).await;
                }
                Event::StepDone { ask, session, command, outcome, elapsed, attempts } => {
                    let answer = self.step_done(session, command, outcome, elapsed, attempts);
                    if let Some(ask) = ask {
                        self.answer(ask, answer).await;
                    }
                }
                Event::Ended { session, reason, .. } => self.ended(session, reason).await,
                _ => {}
            }
        }
    }

    async fn answer(&self, ask: Ask, answer: Answer) {
        if let Some(inbox) = &self.core.bootstrap.inbox {
            // A stopped engine needs no answer.
            let _ = inbox.answer(ask, answer).await;
        }
    }

    async fn begin(&mut self, id: SessionId, caller: &Caller, preferred: Option<Format>) -> Answer {
        let (found, document) = match self.usable(caller).await {
            Ok(found) => found,
            Err((code, reason)) => return self.refuse(caller, preferred, code, &reason),
        };
        let record = self.record(caller, Some(found.from), preferred);
        self.started(caller, id, document, preferred, record, Phase::Discovering).await;
        Answer::Step(Sent::of(Command::discover(Path::ROOT)))
    }

    async fn pack(&mut self, id: SessionId, caller: &Caller, accept: Format, account: &[Path]) -> Answer {
        let (found, document) = match self.usable(caller).await {
            Ok(found) => found,
            Err((Code::BAD_REQUEST, reason)) => {
                return self.refuse(caller, Some(accept), Code::NOT_FOUND, &reason);
            }
            Err((code, reason)) => return self.refuse(caller, Some(accept), code, &reason),
        };
        let step = match pack(&document, account, accept) {
            Ok(step) => step,
            Err(reason) => {
                // The device asks again, step by step; that is no failure worth a record.
                tracing::debug!(endpoint = %caller.endpoint, reason, "no pack");
                return Answer::Refuse { code: Code::METHOD_NOT_ALLOWED };
            }
        };
        let mut record = self.record(caller, Some(found.from), Some(accept));
        record.steps.push(BootstrapStep {
            operation: "bootstrap-pack".to_owned(),
            path: Path::ROOT.to_string(),
            method: "GET".to_owned(),
            format: Some(accept.to_string()),
            nodes: step.nodes,
            payload_bytes: u64::try_from(step.payload.len()).ok(),
            ..BootstrapStep::default()
        });
        self.started(caller, id, document, Some(accept), record, Phase::Packing).await;
        Answer::Pack(Pack { format: accept, payload: step.payload })
    }

    /// The document for a device that asks, if there is one that it can live with.
    async fn usable(&self, caller: &Caller) -> Result<(Found, Document), (Code, String)> {
        let core = &self.core;
        if caller.identity == Identity::Unsecured && !core.config.security.allow_nosec {
            let reason = "devices without security are not allowed".to_owned();
            return Err((Code::BAD_REQUEST, reason));
        }
        let found = find(&core.store, &caller.endpoint).await.map_err(|error| match error {
            NotFound::Nothing => (Code::BAD_REQUEST, "there is no document for it".to_owned()),
            NotFound::Template(name, reason) => {
                (Code::INTERNAL_SERVER_ERROR, format!("{name} does not fit it: {reason}"))
            }
            NotFound::Store(error) => {
                tracing::error!(%error, "the store does not answer");
                (Code::SERVICE_UNAVAILABLE, "the store does not answer".to_owned())
            }
        })?;
        let document = Document::read(&found.shape, &core.models.snapshot())
            .map_err(|unusable| (Code::INTERNAL_SERVER_ERROR, unusable.message))?;
        Ok((found, document))
    }

    fn refuse(&mut self, caller: &Caller, preferred: Option<Format>, code: Code, reason: &str) -> Answer {
        tracing::info!(endpoint = %caller.endpoint, %code, reason, "no bootstrap");
        let mut record = self.record(caller, None, preferred);
        record.result = BootstrapResult::Failed;
        record.reason = Some(reason.to_owned());
        record.ended_at = Some(record.started_at);
        self.numbered += 1;
        self.core.bootstrap.history.put(&caller.endpoint, self.numbered, record);
        Answer::Refuse { code }
    }

    fn record(&self, caller: &Caller, from: Option<String>, preferred: Option<Format>) -> BootstrapSession {
        BootstrapSession {
            started_at: self.core.now(),
            ended_at: None,
            result: BootstrapResult::Running,
            reason: None,
            address: caller.from.to_string(),
            security: match &caller.identity {
                Identity::Unsecured | _ => SecurityMode::Nosec,
            },
            from,
            lwm2m_version: None,
            preferred_format: preferred.map(|format| format.to_string()),
            steps: Vec::new(),
            notes: Vec::new(),
        }
    }

    async fn started(
        &mut self,
        caller: &Caller,
        id: SessionId,
        document: Document,
        preferred: Option<Format>,
        record: BootstrapSession,
        phase: Phase,
    ) {
        self.numbered += 1;
        let endpoint = caller.endpoint.clone();
        self.core.bootstrap.history.put(&endpoint, self.numbered, record.clone());
        tracing::info!(%endpoint, from = record.from.as_deref().unwrap_or_default(), "bootstrap begins");
        self.tell(EventType::BootstrapStarted, &endpoint, None, None).await;
        let known = Known::nothing();
        let live = Live { number: self.numbered, endpoint, document, preferred, known, phase, record };
        self.sessions.insert(id, live);
    }

    async fn tell(
        &self,
        kind: EventType,
        endpoint: &Endpoint,
        result: Option<BootstrapResult>,
        reason: Option<String>,
    ) {
        let news = News { kind, endpoint: endpoint.clone(), result, reason };
        // Without a journal the process is about to end.
        let _ = self.core.bootstrap.news.send(news).await;
    }

    /// Writes down how a step ended and says what comes next.
    fn step_done(
        &mut self,
        id: SessionId,
        command: Command,
        outcome: StepOutcome,
        elapsed: Duration,
        attempts: u8,
    ) -> Answer {
        let Some(live) = self.sessions.get_mut(&id) else { return Answer::End };
        let mut step = match &live.phase {
            Phase::Running { plan, at, .. } => plan.steps.get(*at).map(shape_of).unwrap_or_default(),
            Phase::Discovering | Phase::ReadingServers | Phase::Packing | Phase::Over => {
                shape_of(&Step::of(command))
            }
        };
        step.elapsed_ms = u64::try_from(elapsed.as_millis()).ok();
        step.attempts = Some(attempts).filter(|attempts| *attempts > 1);
        let answer = match outcome {
            StepOutcome::Response(response) => {
                step.code = Some(response.code.to_string());
                live.answered(&self.core, &mut step, command, &response)
            }
            StepOutcome::Timeout => live.lost(&mut step, "the device did not answer"),
            StepOutcome::Reset => live.lost(&mut step, "the device rejected the message"),
            StepOutcome::Broken | _ => {
                live.lost(&mut step, "the device's answer does not fit together, or is too large")
            }
        };
        live.record.steps.push(step);
        self.core.bootstrap.history.put(&live.endpoint, live.number, live.record.clone());
        answer
    }

    async fn ended(&mut self, id: SessionId, reason: Ended) {
        let Some(mut live) = self.sessions.remove(&id) else { return };
        let now = self.core.now();
        let record = &mut live.record;
        record.ended_at = Some(now);
        let (result, why) = match reason {
            Ended::Finished => (BootstrapResult::Finished, None),
            Ended::PackSent => {
                if let Some(step) = record.steps.last_mut() {
                    step.code = Some(Code::CONTENT.to_string());
                    step.elapsed_ms = u64::try_from(now.0 - record.started_at.0).ok();
                }
                (BootstrapResult::Finished, None)
            }
            Ended::DeviceLost => (BootstrapResult::Lost, Some("the device stopped answering")),
            Ended::Displaced => (BootstrapResult::Displaced, Some("the device asked anew")),
            Ended::TooLong => (BootstrapResult::Lost, Some("the session took too long")),
            Ended::GivenUp | _ => (BootstrapResult::Failed, Some("the server gave the session up")),
        };
        // Where it was given up by us, the result is written down already.
        if record.result == BootstrapResult::Running {
            record.result = result;
            record.reason = record.reason.take().or(why.map(str::to_owned));
        }
        let (result, reason) = (record.result, record.reason.clone());
        tracing::info!(
            endpoint = %live.endpoint, ?result, reason = reason.as_deref().unwrap_or_default(), "bootstrap ended"
        );
        self.core.bootstrap.history.put(&live.endpoint, live.number, live.record);
        self.tell(EventType::BootstrapFinished, &live.endpoint, Some(result), reason).await;
    }
}

impl Live {
    fn lost(&mut self, step: &mut BootstrapStep, what: &str) -> Answer {
        step.detail = Some(what.to_owned());
        self.record.reason = Some(what.to_owned());
        Answer::End
    }

    /// Gives up, without a Finish, so that the device goes back to what it had.
    fn give_up(&mut self, result: BootstrapResult, reason: String) -> Answer {
        self.record.result = result;
        self.record.reason = Some(reason);
        self.phase = Phase::Over;
        Answer::End
    }

    /// The device has answered: what is next?
    fn answered(
        &mut self,
        core: &Core,
        step: &mut BootstrapStep,
        command: Command,
        response: &Response,
    ) -> Answer {
        if !response.code.is_success() {
            // A diagnostic text of the device (RFC 7252 §5.5.2), cut to what a person reads.
            let words: String = String::from_utf8_lossy(&response.payload).chars().take(WORDS_MAX).collect();
            step.detail = Some(words).filter(|words| !words.is_empty());
        }
        match std::mem::replace(&mut self.phase, Phase::Over) {
            Phase::Discovering => self.discovered(core, step, response),
            Phase::ReadingServers => {
                self.learn_servers(core, step, response);
                self.go(core)
            }
            Phase::Running { plan, at, is_fallback } => {
                self.ran(core, step, command, response, plan, at, is_fallback)
            }
            Phase::Packing | Phase::Over => Answer::End,
        }
    }

    fn discovered(&mut self, core: &Core, step: &mut BootstrapStep, response: &Response) -> Answer {
        let list = InstanceList::parse(&response.payload).ok().filter(|_| response.code == Code::CONTENT);
        match list {
            Some(list) => {
                step.links =
                    content::discovered("", &response.payload).map(|(links, _)| links).unwrap_or_default();
                self.known = Known::listed(&list);
                self.record.lwm2m_version = list.version().map(|version| version.to_string());
                core.bootstrap.history.learn(&self.endpoint, self.known.clone());
            }
            None => self.known = Known::nothing(),
        }
        // Bootstrap-Read is of 1.1; what says no version may know it or refuse it.
        if self.known.lacks_servers() && self.known.version != Some(Version::V1_0) {
            self.phase = Phase::ReadingServers;
            let accept = self.preferred.unwrap_or(Format::Tlv);
            return Answer::Step(Sent::of(Command::read(lightship_lwm2m::path!(1), accept)));
        }
        self.go(core)
    }

    /// Reads which server each instance of object 1 is of; whatever else the device tells is none of our business.
    fn learn_servers(&mut self, core: &Core, step: &mut BootstrapStep, response: &Response) {
        let Some(entries) = read_out(core, lightship_lwm2m::path!(1), response) else { return };
        step.content = nodes(lightship_lwm2m::path!(1), &entries);
        for (path, ssid) in &mut self.known.instances {
            let said = entries.iter().find(|entry| path.child(0) == Some(entry.path));
            let said = said.and_then(|entry| number(entry.value.as_ref()?));
            let said = said.and_then(|number| u16::try_from(number).ok()).and_then(ShortServerId::new);
            *ssid = ssid.or(said.filter(|_| path.object_id().is_some_and(|object| object.get() == 1)));
        }
        core.bootstrap.history.learn(&self.endpoint, self.known.clone());
    }

    /// Plans, and begins.
    fn go(&mut self, core: &Core) -> Answer {
        match planned(&self.document, &self.known, self.preferred) {
            Ok(plan) => {
                self.record.notes.clone_from(&plan.notes);
                self.next(plan, 0, false)
            }
            Err(reason) => {
                core.bootstrap.history.learn(&self.endpoint, self.known.clone());
                self.give_up(BootstrapResult::Failed, reason)
            }
        }
    }

    fn next(&mut self, plan: Plan, at: usize, is_fallback: bool) -> Answer {
        let Some(step) = plan.steps.get(at) else {
            return self.give_up(BootstrapResult::Failed, "there is nothing left to do".to_owned());
        };
        let sent = Sent { command: step.command, payload: step.payload.clone() };
        self.phase = Phase::Running { plan, at, is_fallback };
        Answer::Step(sent)
    }

    #[expect(
        clippy::too_many_arguments,
        reason = "the parts of a phase that is taken apart by its one caller"
    )]
    fn ran(
        &mut self,
        core: &Core,
        step: &mut BootstrapStep,
        command: Command,
        response: &Response,
        plan: Plan,
        at: usize,
        is_fallback: bool,
    ) -> Answer {
        let good = response.code == command.operation.success();
        match command.operation {
            Operation::Read if good => {
                step.content = read_out(core, command.path, response)
                    .map(|entries| nodes(command.path, &entries))
                    .unwrap_or_default();
                self.next(plan, at + 1, is_fallback)
            }
            // What cannot be read back does not hinder, nor does what is not there to be deleted.
            Operation::Read | Operation::Delete => self.next(plan, at + 1, is_fallback),
            Operation::Write if response.code == Code::UNSUPPORTED_CONTENT_FORMAT => {
                let fixed = self.document.format.is_some() || command.format == Some(Format::Tlv);
                match planned(&self.document, &self.known, Some(Format::Tlv)) {
                    // The same steps in the format that every device has had since 1.0.
                    Ok(again) if !fixed && !is_fallback => {
                        self.record
                            .notes
                            .push("the device does not take that format; the rest is TLV".to_owned());
                        self.next(again, at, true)
                    }
                    _ => self.refused(command, response),
                }
            }
            // The end; the engine tells of it next.
            Operation::Finish if good => Answer::End,
            Operation::Discover | Operation::Write | Operation::Finish | _ if good => {
                self.next(plan, at + 1, is_fallback)
            }
            Operation::Discover | Operation::Write | Operation::Finish | _ => self.refused(command, response),
        }
    }

    fn refused(&mut self, command: Command, response: &Response) -> Answer {
        let reason = match (command.operation, response.code) {
            (Operation::Finish, Code::NOT_ACCEPTABLE) => {
                "the device finds its configuration inconsistent (4.06)".to_owned()
            }
            (operation, code) => format!("the device answered {code} to {operation} {}", command.path),
        };
        self.give_up(BootstrapResult::Refused, reason)
    }
}

/// The values that a Bootstrap-Read brought, if they can be read.
fn read_out(core: &Core, base: Path, response: &Response) -> Option<Vec<Entry>> {
    if response.code != Code::CONTENT {
        return None;
    }
    let format = response.content_format.and_then(|number| Format::from_number(number.0));
    let format = format.unwrap_or(Format::Tlv);
    let definitions = core.models.snapshot();
    let decoder = lightship_lwm2m::format::decode(format, base, &response.payload).tolerate_missing_slash();
    let entries = typed_entries(decoder, |object| definitions.latest(object)).ok()?;
    Some(entries.into_iter().map(|entry| Entry { path: entry.path, value: entry.value }).collect())
}

fn nodes(base: Path, entries: &[Entry]) -> Vec<Node> {
    vec![convert::node(base, entries)]
}

/// A command as the API shows it, before it is sent.
pub(crate) fn shape_of(step: &Step) -> BootstrapStep {
    let command = step.command;
    let (operation, method) = match command.operation {
        Operation::Discover => ("bootstrap-discover", "GET"),
        Operation::Read => ("bootstrap-read", "GET"),
        Operation::Write => ("bootstrap-write", "PUT"),
        Operation::Delete => ("bootstrap-delete", "DELETE"),
        Operation::Finish | _ => ("bootstrap-finish", "POST"),
    };
    let is_write = command.operation == Operation::Write;
    let path =
        if command.operation == Operation::Finish { "/bs".to_owned() } else { command.path.to_string() };
    BootstrapStep {
        operation: operation.to_owned(),
        path,
        method: method.to_owned(),
        format: command.format.map(|format| format.to_string()),
        nodes: step.nodes.clone(),
        payload_bytes: u64::try_from(step.payload.len()).ok().filter(|_| is_write),
        ..BootstrapStep::default()
    }
}

/// Characters kept of a device's diagnostic text.
const WORDS_MAX: usize = 200;
