//! A device and a server over a network without faults, in the words of OMA's test specification: for conformance tests.

use core::time::Duration;
use std::collections::BTreeMap;

use lightship_client::{Account, Objects, SendRefused};
use lightship_coap::link::{Mode, links};
use lightship_coap::{Code, ContentFormat};
use lightship_lwm2m::format::{Encoder, Format, decode};
use lightship_lwm2m::node::{encode_entries, typed_entries};
use lightship_lwm2m::object::{implied_version, latest, lookup};
use lightship_lwm2m::{ObjectId, OwnedValue, Path, Version};
use lightship_server::{
    Composite, Content, Event, Fact, ObservationId, Observed, Operation, Outcome, Response, Wanted,
};

use crate::network::Quality;
use crate::pair::Pair;

/// A device, its server, and the words in which the test specification speaks.
///
/// Every method panics when something else comes back than the case can have.
pub struct World<O: Objects> {
    /// Both.
    pub pair: Pair<O>,
    /// Of LwM2M, by which values are read.
    pub version: Version,
}

/// A path.
#[must_use]
pub fn path(text: &str) -> Path {
    text.parse().expect("a path")
}

/// A text.
#[must_use]
pub fn text(text: &str) -> OwnedValue {
    OwnedValue::String(text.to_owned())
}

/// A number.
#[must_use]
pub fn integer(value: i64) -> OwnedValue {
    OwnedValue::Integer(value)
}

/// A truth.
#[must_use]
pub fn boolean(value: bool) -> OwnedValue {
    OwnedValue::Boolean(value)
}

#[allow(clippy::missing_panics_doc, reason = "every one does; said at the type")]
impl<O: Objects> World<O> {
    /// Registered, as a device of a version, over a network without faults; `change` sees its first account before.
    #[must_use]
    pub fn with(version: Version, objects: O, change: impl FnOnce(&mut Account)) -> Self {
        let mut pair = Pair::new(1, Quality::PERFECT, version, objects, change);
        pair.register();
        Self { pair, version }
    }

    /// The answer to a request; every one is answered.
    pub fn response(&mut self, operation: Operation) -> Response {
        match self.pair.request(operation) {
            Outcome::Response(response) => response,
            other => panic!("no answer: {other:?}"),
        }
    }

    /// The code of the answer.
    pub fn code(&mut self, operation: Operation) -> Code {
        self.response(operation).code
    }

    /// Writes a resource in plain text.
    pub fn put(&mut self, target: &str, value: &str) -> Code {
        let content = Content { format: ContentFormat::TEXT, payload: value.as_bytes().into() };
        self.code(Operation::Replace { path: path(target), content })
    }

    /// Executes, without arguments.
    pub fn execute(&mut self, target: &str) -> Code {
        self.code(Operation::Execute { path: path(target), arguments: String::new() })
    }

    /// Writes attributes: `name=value`, or `name` to unset one.
    pub fn attach(&mut self, target: &str, attributes: &[&str]) -> Code {
        let attributes = attributes.iter().map(|text| (*text).to_owned()).collect();
        self.code(Operation::WriteAttributes { path: path(target), attributes })
    }

    /// Writes (PUT).
    pub fn replace(&mut self, target: &str, format: Format, values: &[(&str, OwnedValue)]) -> Code {
        let content = content(target, format, values);
        self.code(Operation::Replace { path: path(target), content })
    }

    /// Writes what is named (POST).
    pub fn update(&mut self, target: &str, format: Format, values: &[(&str, OwnedValue)]) -> Code {
        let content = content(target, format, values);
        self.code(Operation::PartialUpdate { path: path(target), content })
    }

    /// Creates an instance.
    pub fn create(&mut self, target: &str, format: Format, values: &[(&str, OwnedValue)]) -> Code {
        let content = Some(content(target, format, values));
        self.code(Operation::Create { path: path(target), content })
    }

    /// Reads in a format, or in what the device likes.
    pub fn read(&mut self, target: &str, format: Option<Format>) -> BTreeMap<String, OwnedValue> {
        let accept = format.map(|format| ContentFormat(format.number()));
        let response = self.response(Operation::Read { path: path(target), accept });
        assert_eq!(response.code, Code::CONTENT, "{target}");
        let answered = response.content_format.expect("a format");
        assert!(accept.is_none_or(|accept| accept == answered), "{target} in {answered:?}");
        self.values(response.content_format, target, &response.payload)
    }

    /// Reads several nodes at once.
    pub fn read_composite(&mut self, paths: &[&str], format: Format) -> BTreeMap<String, OwnedValue> {
        let accept = Some(ContentFormat(format.number()));
        let response = self.response(Operation::ReadComposite { content: list(paths, format), accept });
        assert_eq!((response.code, response.content_format), (Code::CONTENT, accept));
        self.values(response.content_format, "/", &response.payload)
    }

    /// Writes several nodes at once.
    pub fn write_composite(&mut self, format: Format, values: &[(&str, OwnedValue)]) -> Code {
        self.code(Operation::WriteComposite { content: content("/", format, values) })
    }

    /// Starts a composite observation and returns its first values.
    pub fn observe_composite(&mut self, name: &str, paths: &[&str]) -> BTreeMap<String, OwnedValue> {
        let composite = Composite { name: name.into(), content: list(paths, Format::SenmlJson) };
        let observed = Observed::Composite(composite);
        let accept = Some(ContentFormat::SENML_JSON);
        match self.pair.observe(Wanted { observed, accept, attributes: Vec::new() }) {
            Outcome::Response(response) if response.code == Code::CONTENT => {
                self.values(response.content_format, "/", &response.payload)
            }
            other => panic!("{name}: {other:?}"),
        }
    }

    /// The reports of a composite observation.
    pub fn reports(&self, name: &str) -> Vec<BTreeMap<String, OwnedValue>> {
        let report = |event: &Event| match event {
            Event::Notified { observed, content_format, payload, .. } if observed.name() == Some(name) => {
                Some(self.values(*content_format, "/", payload))
            }
            _ => None,
        };
        self.pair.events.iter().filter_map(report).collect()
    }

    /// Reads one value.
    pub fn read_one(&mut self, target: &str, format: Format) -> OwnedValue {
        let mut read = self.read(target, Some(format));
        assert_eq!(read.len(), 1);
        read.remove(target).expect("just that")
    }

    /// The links under a path, with their attributes.
    pub fn discover(&mut self, target: &str) -> BTreeMap<String, String> {
        self.discover_to(target, None)
    }

    /// The links under a path down to a depth, with their attributes.
    pub fn discover_to(&mut self, target: &str, depth: Option<u8>) -> BTreeMap<String, String> {
        let response = self.response(Operation::Discover { path: path(target), depth });
        assert_eq!((response.code, response.content_format), (Code::CONTENT, Some(ContentFormat::LINK)));
        let text = core::str::from_utf8(&response.payload).expect("text");
        let link = |link: Result<lightship_coap::link::Link<'_>, _>| {
            let link = link.expect("link format");
            let shown = |attribute: lightship_coap::link::Attribute<'_>| {
                format!("{}={}", attribute.name, attribute.value.map_or("", |value| value.raw()))
            };
            (link.target.to_owned(), link.attributes().map(shown).collect::<Vec<_>>().join(";"))
        };
        links(text, Mode::Strict).map(link).collect()
    }

    /// Starts an observation.
    pub fn observe(&mut self, target: &str) {
        self.observe_with(target, &[]);
    }

    /// Starts an observation with attributes in its request.
    pub fn observe_with(&mut self, target: &str, attributes: &[&str]) {
        let attributes = attributes.iter().map(|text| (*text).to_owned()).collect();
        let wanted = Wanted { observed: path(target).into(), accept: None, attributes };
        let outcome = self.pair.observe(wanted);
        assert!(matches!(outcome, Outcome::Response(response) if response.code == Code::CONTENT), "{target}");
    }

    /// Cancels one; the code is the device's.
    pub fn cancel(&mut self, target: &str) -> Code {
        let id = self.pair.shard.observation(&self.pair.endpoint(), path(target)).expect("observed");
        self.cancel_observation(id)
    }

    /// Cancels a composite one.
    pub fn cancel_composite(&mut self, name: &str) -> Code {
        let id = self.pair.shard.composite_observation(&self.pair.endpoint(), name).expect("observed");
        self.cancel_observation(id)
    }

    fn cancel_observation(&mut self, id: ObservationId) -> Code {
        let now = self.pair.now;
        let cancelled = self.pair.shard.cancel_observation(now, id, now + Duration::from_secs(60));
        let request = cancelled.expect("known").expect("a request");
        self.pair.drain();
        self.pair.run(Duration::from_secs(5));
        match self.pair.outcome(request) {
            Some(Outcome::Response(response)) => response.code,
            other => panic!("no answer: {other:?}"),
        }
    }

    /// How many values of an observation came since the events were looked at.
    #[must_use]
    pub fn notified(&self, target: &str) -> usize {
        self.pair.events.iter().filter(|event| is_report(event, target)).count()
    }

    /// Lets time pass and tells after how long each report of an observation, of a path or under a name, came.
    ///
    /// The first moment counts from the latest report before, or from now.
    pub fn gaps(&mut self, observed: &str, span: Duration) -> Vec<Duration> {
        let end = self.pair.now + span;
        let (mut gaps, mut last) = (Vec::new(), self.pair.now);
        self.pair.events.clear();
        while self.pair.step(end) {
            for event in core::mem::take(&mut self.pair.events) {
                if is_report(&event, observed) {
                    gaps.push(self.pair.now.saturating_duration_since(last));
                    last = self.pair.now;
                }
            }
        }
        gaps
    }

    /// As [`World::gaps`], while something about the objects changes every second.
    pub fn gaps_while(
        &mut self,
        observed: &str,
        span: Duration,
        mut change: impl FnMut(&mut O),
    ) -> Vec<Duration> {
        let end = self.pair.now + span;
        let (mut gaps, mut since) = (Vec::new(), Duration::ZERO);
        while self.pair.now < end {
            self.pair.change(&mut change);
            let second = self.gaps(observed, Duration::from_secs(1));
            let told: Duration = second.iter().sum();
            gaps.extend(second.iter().enumerate().map(|(at, gap)| if at == 0 { since + *gap } else { *gap }));
            since = if second.is_empty() { since } else { Duration::ZERO } + Duration::from_secs(1) - told;
        }
        gaps
    }

    /// Has the device send these nodes of its own accord.
    ///
    /// # Errors
    /// The device's reason not to.
    pub fn send(&mut self, paths: &[&str]) -> Result<(), SendRefused> {
        let paths: Vec<_> = paths.iter().map(|text| path(text)).collect();
        let taken = self.pair.client.send(self.pair.now, self.pair.account, &paths);
        self.pair.drain();
        self.pair.run(Duration::from_secs(2));
        taken.map(drop)
    }

    /// What the server was sent: the format and the values.
    #[must_use]
    pub fn sent(&self) -> Vec<(Option<ContentFormat>, BTreeMap<String, OwnedValue>)> {
        let send = |event: &Event| match event {
            Event::AskDurable { fact: Fact::Send { content_format, payload, .. }, .. } => {
                Some((*content_format, self.values(*content_format, "/", payload)))
            }
            _ => None,
        };
        self.pair.events.iter().filter_map(send).collect()
    }

    fn values(
        &self,
        format: Option<ContentFormat>,
        base: &str,
        payload: &[u8],
    ) -> BTreeMap<String, OwnedValue> {
        values(self.version, format, base, payload)
    }
}

fn is_report(event: &Event, of: &str) -> bool {
    match event {
        Event::Notified { observed, .. } => match observed.path() {
            Some(path) => path.to_string() == of,
            None => observed.name() == Some(of),
        },
        _ => false,
    }
}

/// Values by path, as a server reads them that knows the objects of a version.
fn values(
    version: Version,
    format: Option<ContentFormat>,
    base: &str,
    payload: &[u8],
) -> BTreeMap<String, OwnedValue> {
    let format = Format::from_number(format.expect("a format").0).expect("a format for values");
    // Objects 0 to 7 go with the version of LwM2M; all others our devices serve as new as they get.
    const ENABLER_OBJECT_MAX: u16 = 7;
    let definition = |id: ObjectId| {
        let implied = lookup(id, implied_version(id, version)).filter(|_| id.get() <= ENABLER_OBJECT_MAX);
        implied.or_else(|| latest(id))
    };
    let entries = typed_entries(decode(format, path(base), payload), definition);
    let entries = entries.expect("it can be read").into_iter();
    entries.filter_map(|entry| Some((entry.path.to_string(), entry.value?))).collect()
}

/// A list of paths for a composite.
fn list(paths: &[&str], format: Format) -> Content {
    let mut buffer = [0; 512];
    let mut encoder = Encoder::new(format, Path::ROOT, &mut buffer);
    for name in paths {
        encoder.name(path(name)).expect("it fits");
    }
    let len = encoder.finish().expect("it fits");
    Content { format: ContentFormat(format.number()), payload: buffer[..len].into() }
}

fn content(target: &str, format: Format, values: &[(&str, OwnedValue)]) -> Content {
    let entries: Vec<_> = values.iter().map(|(name, value)| (path(name), Some(value))).collect();
    let payload = encode_entries(format, path(target), &entries).expect("it can be written");
    Content { format: ContentFormat(format.number()), payload: payload.into() }
}
