//! One session under way: what the device has answered, and what comes next.
//!
//! ```text
//!   Discovering ──▶ (ReadingServers) ──▶ Running: step after step of the plan ──▶ the device's 2.04 to Finish
//!                                           │ 4.15: the rest in TLV
//!                                           └ anything else: given up, without a Finish
//! ```

use lightship_api::Node;
use lightship_api::bootstrap::{BootstrapResult, BootstrapSession, BootstrapStep};
use lightship_api::convert::{self, Entry};
use lightship_lwm2m::bootstrap::{Command, InstanceList, Operation};
use lightship_lwm2m::node::typed_entries;
use lightship_lwm2m::{Endpoint, Format, Path, ShortServerId, Version};
use lightship_server::bootstrap::{Answer, Step as Sent};
use lightship_server::{Code, Response};

use super::document::{Document, number};
use super::plan::{Known, Plan, Step, outcome, plan};
use crate::content;
use crate::core::Core;

/// A session under way.
pub(super) struct Live {
    pub(super) number: u64,
    pub(super) endpoint: Endpoint,
    pub(super) record: BootstrapSession,
    document: Document,
    /// The format to write in, unless the document says one: what the device prefers, or TLV after it refused that.
    preferred: Option<Format>,
    known: Known,
    phase: Phase,
    plan: Plan,
    /// The step of the plan that is under way.
    at: usize,
}

#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Phase {
    Discovering,
    /// Which server each instance of object 1 is of, which old devices do not list.
    ReadingServers,
    Running,
    /// The pack is on its way.
    Packing,
    /// Given up by us.
    Over,
}

impl Live {
    pub(super) fn new(
        number: u64,
        endpoint: Endpoint,
        document: Document,
        preferred: Option<Format>,
        phase: Phase,
        record: BootstrapSession,
    ) -> Live {
        let (known, plan) = (Known::nothing(), Plan::default());
        Live { number, endpoint, record, document, preferred, known, phase, plan, at: 0 }
    }

    /// The step that is under way, if it is one of the plan.
    pub(super) fn step(&self) -> Option<&Step> {
        self.plan.steps.get(self.at).filter(|_| self.phase == Phase::Running)
    }

    /// The device has taken its configuration: so it looks now.
    pub(super) fn finished(&self, core: &Core) {
        if self.known.said {
            core.bootstrap.history.learn(&self.endpoint, outcome(&self.document, &self.known));
        }
    }

    /// The device has not answered, or not to the point.
    pub(super) fn lost(&mut self, step: &mut BootstrapStep, what: &str) -> Answer {
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
    pub(super) fn answered(
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
        match self.phase {
            Phase::Discovering => self.discovered(core, step, response),
            Phase::ReadingServers => {
                self.learn_servers(core, step, response);
                self.go()
            }
            Phase::Running => self.ran(core, step, command, response),
            Phase::Packing | Phase::Over => Answer::End,
        }
    }

    fn discovered(&mut self, core: &Core, step: &mut BootstrapStep, response: &Response) -> Answer {
        let list = InstanceList::parse(&response.payload).ok().filter(|_| response.code == Code::CONTENT);
        if let Some(list) = list {
            step.links =
                content::discovered("", &response.payload).map(|(links, _)| links).unwrap_or_default();
            self.known = Known::listed(&list);
            self.record.lwm2m_version = list.version().map(|version| version.to_string());
            core.bootstrap.history.learn(&self.endpoint, self.known.clone());
        }
        // Bootstrap-Read is of 1.1; what says no version may know it or refuse it.
        if self.known.lacks_servers() && self.known.version != Some(Version::V1_0) {
            self.phase = Phase::ReadingServers;
            let accept = self.preferred.unwrap_or(Format::Tlv);
            return Answer::Step(Sent::of(Command::read(lightship_lwm2m::path!(1), accept)));
        }
        self.go()
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
    fn go(&mut self) -> Answer {
        self.phase = Phase::Running;
        if let Err(reason) = self.plan() {
            return self.give_up(BootstrapResult::Failed, reason);
        }
        self.send(0)
    }

    /// The steps for what is known now. Their number and order do not depend on formats.
    fn plan(&mut self) -> Result<(), String> {
        self.plan = plan(&self.document, &self.known, self.preferred)?;
        for note in &self.plan.notes {
            if !self.record.notes.contains(note) {
                self.record.notes.push(note.clone());
            }
        }
        Ok(())
    }

    fn send(&mut self, at: usize) -> Answer {
        self.at = at;
        match self.step() {
            Some(step) => Answer::Step(Sent { command: step.command, payload: step.payload.clone() }),
            None => self.give_up(BootstrapResult::Failed, "there is nothing left to do".to_owned()),
        }
    }

    fn ran(
        &mut self,
        core: &Core,
        step: &mut BootstrapStep,
        command: Command,
        response: &Response,
    ) -> Answer {
        let (operation, code) = (command.operation, response.code);
        if operation == Operation::Read && code == Code::CONTENT {
            let entries = read_out(core, command.path, response).unwrap_or_default();
            step.content = nodes(command.path, &entries);
        }
        // What cannot be read back does not hinder, nor does what is not there to be deleted.
        if code == operation.success() || matches!(operation, Operation::Read | Operation::Delete) {
            // Behind the Finish nothing comes; the engine tells of the end next.
            return if operation == Operation::Finish { Answer::End } else { self.send(self.at + 1) };
        }
        let again = match (operation, code) {
            (Operation::Write, Code::UNSUPPORTED_CONTENT_FORMAT) => {
                self.otherwise_in_tlv(command).then_some(self.at)
            }
            _ => None,
        };
        match again {
            Some(at) => self.send(at),
            None => self.refused(command, response),
        }
    }

    /// The rest in the format that every device has had since 1.0, unless that was it.
    fn otherwise_in_tlv(&mut self, command: Command) -> bool {
        if self.document.format.is_some() || command.format == Some(Format::Tlv) {
            return false;
        }
        self.preferred = Some(Format::Tlv);
        self.record.notes.push("the device does not take that format; the rest is TLV".to_owned());
        self.plan().is_ok()
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

/// Characters kept of a device's diagnostic text.
const WORDS_MAX: usize = 200;
