//! The role: answers the engine's questions, one session after another step by step, and writes down what happens.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use lightship_api::bootstrap::{BootstrapResult, BootstrapSession, BootstrapStep};
use lightship_api::{EventType, Handshake, SecurityMode};
use lightship_lwm2m::bootstrap::{Command, Operation};
use lightship_lwm2m::{Endpoint, Format, Path};
use lightship_server::bootstrap::{
    Answer, Caller, Ended, Event, Identity, Pack, SessionId, Step as Sent, StepOutcome,
};
use lightship_server::{Ask, Code, SecurityEvent};
use lightship_store::CredentialSet;
use tokio::sync::mpsc;

use super::document::Document;
use super::live::{Live, Phase};
use super::plan::{Step, pack};
use super::{Found, NotFound, find};
use crate::core::Core;
use crate::security;

/// An event of the role, for the journal.
#[derive(Debug)]
pub(crate) struct News {
    pub(crate) kind: EventType,
    pub(crate) endpoint: Endpoint,
    pub(crate) result: Option<BootstrapResult>,
    pub(crate) reason: Option<String>,
    pub(crate) handshake: Option<Box<Handshake>>,
}

/// The Bootstrap-Server's host.
pub(crate) struct Role {
    core: Arc<Core>,
    sessions: HashMap<SessionId, Live>,
    /// Sessions since the start, for the history.
    numbered: u64,
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
                Event::Security(event) => self.secured(event).await,
                _ => {}
            }
        }
    }

    async fn secured(&self, event: SecurityEvent) {
        if let Some(told) = security::take(&self.core, CredentialSet::Bootstrap, 0, event).await {
            let handshake = Some(told.handshake);
            let news =
                News { kind: told.kind, endpoint: told.endpoint, result: None, reason: None, handshake };
            // Without a journal the process is about to end.
            let _ = self.core.bootstrap.news.send(news).await;
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
                tracing::debug!(endpoint = %caller.endpoint.readable(), reason, "no pack");
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
        if caller.identity == Identity::Unsecured {
            let set = CredentialSet::Bootstrap;
            match security::judge_unsecured(core, set, &caller.endpoint, caller.from).await {
                Ok(Ok(())) => {}
                Ok(Err(reason)) => return Err((Code::BAD_REQUEST, reason.to_owned())),
                Err(error) => {
                    tracing::error!(%error, "the store does not answer");
                    return Err((Code::SERVICE_UNAVAILABLE, "the store does not answer".to_owned()));
                }
            }
        }
        let found = find(core, &caller.endpoint).await.map_err(|error| match error {
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
            .map_err(|unusable| (Code::INTERNAL_SERVER_ERROR, unusable.in_public()))?;
        Ok((found, document))
    }

    fn refuse(&mut self, caller: &Caller, preferred: Option<Format>, code: Code, reason: &str) -> Answer {
        tracing::info!(endpoint = %caller.endpoint.readable(), %code, reason, "no bootstrap");
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
                Identity::Secured(session) => security::mode(session.party.principal.mode()),
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
        tracing::info!(endpoint = %endpoint.readable(), from = record.from.as_deref().unwrap_or_default(), "bootstrap begins");
        self.tell(EventType::BootstrapStarted, &endpoint, None, None).await;
        let live = Live::new(self.numbered, endpoint, document, preferred, phase, record);
        self.sessions.insert(id, live);
    }

    async fn tell(
        &self,
        kind: EventType,
        endpoint: &Endpoint,
        result: Option<BootstrapResult>,
        reason: Option<String>,
    ) {
        let news = News { kind, endpoint: endpoint.clone(), result, reason, handshake: None };
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
        let mut step = live.step().map_or_else(|| shape_of(&Step::of(command)), shape_of);
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
        if result == BootstrapResult::Finished {
            live.finished(&self.core);
        }
        tracing::info!(
            endpoint = %live.endpoint.readable(), ?result, reason = reason.as_deref().unwrap_or_default(), "bootstrap ended"
        );
        self.core.bootstrap.history.put(&live.endpoint, live.number, live.record);
        self.tell(EventType::BootstrapFinished, &live.endpoint, Some(result), reason).await;
    }
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
