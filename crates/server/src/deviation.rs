//! What devices do otherwise than the standard says, and the server puts up with because the meaning is clear.

use core::fmt;

use lightship_coap::link::{Mode, links};
use lightship_coap::peer::ExchangeId;
use lightship_coap::{ContentFormat, Message};
use lightship_lwm2m::downlink;
use lightship_lwm2m::uplink::{Parameter, unknown_parameters};

use crate::devices::Device;
use crate::downlink::Task;
use crate::links::Link;
use crate::slab::Key;
use crate::{Event, Observed, Operation, Response, Shard, Wanted};

/// One kind of deviation.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
#[non_exhaustive]
pub enum Deviation {
    /// A payload came without its Content-Format.
    NoContentFormat,
    /// An answer came in another content format than the Accept option asked for.
    OtherFormat,
    /// An answer has a code that the standard does not give to its operation.
    OtherCode,
    /// A Register or Update has a parameter that no version of LwM2M knows.
    UnknownParameter,
    /// The list of objects breaks RFC 6690.
    SloppyList,
    /// `/RD`, `/DP` or a parameter `EP`, `LT`, …: names in letters of the other case.
    OtherCase,
    /// Two notifications of one observation have the same sequence number (RFC 7641 §3.4 tells the newer by it).
    SameSequence,
}

/// How often a device did so, by kind; each count stays at 65,535 once it is there.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub struct Deviations {
    counts: [u16; Deviation::ALL.len()],
}

impl Deviation {
    /// All kinds.
    pub const ALL: [Self; 7] = [
        Self::NoContentFormat,
        Self::OtherFormat,
        Self::OtherCode,
        Self::UnknownParameter,
        Self::SloppyList,
        Self::OtherCase,
        Self::SameSequence,
    ];

    /// A name for machines: lower case, with dashes.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::NoContentFormat => "no-content-format",
            Self::OtherFormat => "other-format",
            Self::OtherCode => "other-code",
            Self::UnknownParameter => "unknown-parameter",
            Self::SloppyList => "sloppy-list",
            Self::OtherCase => "other-case",
            Self::SameSequence => "same-sequence",
        }
    }

    const fn index(self) -> usize {
        self as usize
    }
}

impl fmt::Display for Deviation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

impl Deviations {
    /// How often.
    #[must_use]
    pub fn count(&self, deviation: Deviation) -> u16 {
        self.counts[deviation.index()]
    }

    /// The kinds that occurred, and how often.
    pub fn iter(&self) -> impl Iterator<Item = (Deviation, u16)> {
        Deviation::ALL.into_iter().zip(self.counts).filter(|(_, count)| *count > 0)
    }

    /// Takes note of [`Event::Deviated`].
    pub fn raise(&mut self, deviation: Deviation, count: u16) {
        let known = &mut self.counts[deviation.index()];
        *known = count.max(*known);
    }

    /// Counts one more; returns how many there are.
    pub(crate) fn add(&mut self, deviation: Deviation) -> u16 {
        let count = &mut self.counts[deviation.index()];
        *count = count.saturating_add(1);
        *count
    }

    pub(crate) const fn counts(&self) -> &[u16] {
        &self.counts
    }

    /// Adds another's counts.
    pub(crate) fn merge(&mut self, other: &Self) {
        for (count, more) in self.counts.iter_mut().zip(other.counts) {
            *count = count.saturating_add(more);
        }
    }

    /// What there is to say of a Register or Update that was taken.
    pub(crate) fn of_registration(message: &Message<'_>, body: &[u8]) -> Self {
        let mut found = Self::default();
        if !body.is_empty() {
            if message.content_format().is_none() {
                found.add(Deviation::NoContentFormat);
            }
            let text = core::str::from_utf8(body).unwrap_or_default();
            if links(text, Mode::Strict).any(|link| link.is_err()) {
                found.add(Deviation::SloppyList);
            }
        }
        for _ in unknown_parameters(message) {
            found.add(Deviation::UnknownParameter);
        }
        let misspelt = message.uri_query().filter_map(|part| {
            let name = part.split('=').next()?;
            Some(Parameter::named(name)?.as_str() != name)
        });
        if is_other_case(message) || misspelt.into_iter().any(|misspelt| misspelt) {
            found.add(Deviation::OtherCase);
        }
        found
    }
}

/// Whether a request that we serve names its target in other letters.
pub(crate) fn is_other_case(message: &Message<'_>) -> bool {
    message.uri_path().next().is_some_and(|first| first != "rd" && first != "dp")
}

impl Shard {
    /// Counts a deviation of a device, and tells the host.
    pub(crate) fn deviated(&mut self, key: Key<Device>, deviation: Deviation) {
        let Some(device) = self.devices.get_mut(key) else { return };
        let deviations = &mut device.rare.get_or_insert_default().deviations;
        let before = deviations.count(deviation);
        let count = deviations.add(deviation);
        if count > before {
            let endpoint = device.details.endpoint.clone();
            self.events.push_back(Event::Deviated { endpoint, deviation, count });
        }
    }

    /// Looks at the answer to what is under way.
    pub(crate) fn judge(&mut self, link: Key<Link>, exchange: ExchangeId, response: &Response) {
        let Some(owner) = self.links.get(link).and_then(|link| link.device) else { return };
        let Some(line) = self.devices.get(owner).and_then(|device| device.line.as_ref()) else { return };
        let Some((job, _)) = line.current.filter(|(_, current)| *current == exchange) else { return };
        let Some(job) = self.jobs.get(job) else { return };
        let (operation, accept) = match &job.task {
            Task::Operation(operation) => expected(operation),
            Task::Observe(key) | Task::FetchValue(key) => match self.observations.get(*key) {
                Some(observation) => observing(&observation.wanted),
                None => return,
            },
            Task::CancelObservation(cancelled) => observing(&cancelled.wanted),
        };
        let format = response.content_format;
        // The first notification may overtake the answer to its Observe.
        let accept =
            if matches!(job.task, Task::Observe(_)) { of_notification(accept, format) } else { accept };
        if !operation.may_be_answered(response.code) {
            self.deviated(owner, Deviation::OtherCode);
        }
        if response.code.is_success() {
            self.judge_format(owner, accept, format, &response.payload);
        }
    }

    /// Looks at the format of a value.
    pub(crate) fn judge_format(
        &mut self,
        owner: Key<Device>,
        accept: Option<ContentFormat>,
        format: Option<ContentFormat>,
        payload: &[u8],
    ) {
        match (accept, format) {
            (_, None) if !payload.is_empty() => self.deviated(owner, Deviation::NoContentFormat),
            (Some(accept), Some(format)) if accept != format => {
                self.deviated(owner, Deviation::OtherFormat);
            }
            _ => {}
        }
    }
}

/// The format that a notification has to have. What a device kept while it was out of reach comes in SenML, which has times,
/// whatever the observation is in.
pub(crate) fn of_notification(
    accept: Option<ContentFormat>,
    format: Option<ContentFormat>,
) -> Option<ContentFormat> {
    let is_senml = matches!(format, Some(ContentFormat::SENML_CBOR | ContentFormat::SENML_JSON));
    accept.filter(|_| !is_senml)
}

fn expected(operation: &Operation) -> (downlink::Operation, Option<ContentFormat>) {
    use downlink::Operation as Lwm2m;
    match operation {
        Operation::Read { accept, .. } => (Lwm2m::Read, *accept),
        Operation::Discover { .. } => (Lwm2m::Discover, Some(ContentFormat::LINK)),
        Operation::Replace { .. } => (Lwm2m::Replace, None),
        Operation::PartialUpdate { .. } => (Lwm2m::PartialUpdate, None),
        Operation::WriteAttributes { .. } => (Lwm2m::WriteAttributes, None),
        Operation::Execute { .. } => (Lwm2m::Execute, None),
        Operation::Create { .. } => (Lwm2m::Create, None),
        Operation::Delete { .. } => (Lwm2m::Delete, None),
        Operation::ReadComposite { accept, .. } => (Lwm2m::ReadComposite, *accept),
        Operation::WriteComposite { .. } => (Lwm2m::WriteComposite, None),
    }
}

fn observing(wanted: &Wanted) -> (downlink::Operation, Option<ContentFormat>) {
    let operation = match wanted.observed {
        Observed::Node(_) => downlink::Operation::Observe,
        Observed::Composite(_) => downlink::Operation::ObserveComposite,
    };
    (operation, wanted.accept)
}
