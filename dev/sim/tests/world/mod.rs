//! A device with the objects of the test specification and a server, over a network without faults.
#![expect(unreachable_pub, reason = "shared by test files")]
#![allow(dead_code, reason = "each test file uses its part")]

use core::time::Duration;
use std::collections::BTreeMap;

use lightship_client::{Array, Multiple, Object, Refusal, ResourceInstanceId, Single, Text};
use lightship_coap::link::{Mode, links};
use lightship_coap::{Code, ContentFormat};
use lightship_lwm2m::format::{Encoder, Format, decode};
use lightship_lwm2m::node::{encode_entries, typed_entries};
use lightship_lwm2m::object::{implied_version, lookup};
use lightship_lwm2m::{OwnedValue, Path, Version};
use lightship_server::{
    Composite, Content, Event, ObservationId, Observed, Operation, Outcome, Response, Wanted,
};
use lightship_sim::network::Quality;
use lightship_sim::pair::Pair;

/// Device, as the test specification wants it.
#[derive(Object, Clone)]
#[lwm2m(object = 3, version = "1.1", execute(4 = Self::reboot))]
pub struct Device {
    #[resource(0)]
    manufacturer: &'static str,
    #[resource(1)]
    model: &'static str,
    #[resource(2)]
    serial: &'static str,
    #[resource(3)]
    firmware: &'static str,
    #[resource(7)]
    voltage: Array<i64, 2>,
    #[resource(8)]
    current: Array<i64, 2>,
    #[resource(11)]
    error: Array<i64, 4>,
    #[resource(16)]
    binding: &'static str,
}

impl Device {
    fn reboot(&mut self, _: lightship_client::Arguments<'_>) -> Result<(), Refusal> {
        Ok(())
    }
}

/// Portfolio.
#[derive(Object, Clone, Default)]
#[lwm2m(object = 16, version = "1.0")]
pub struct Portfolio {
    #[resource(0)]
    identity: Array<Text<32>, 4>,
}

type Objects = (Single<Device>, Multiple<Portfolio, 4>);

/// The device and the server.
pub struct World {
    pub pair: Pair<Objects>,
}

pub fn path(text: &str) -> Path {
    text.parse().expect("a path")
}

pub fn text(text: &str) -> OwnedValue {
    OwnedValue::String(text.to_owned())
}

pub fn integer(value: i64) -> OwnedValue {
    OwnedValue::Integer(value)
}

pub fn boolean(value: bool) -> OwnedValue {
    OwnedValue::Boolean(value)
}

fn array<T: lightship_client::Scalar, const N: usize>(values: impl IntoIterator<Item = T>) -> Array<T, N> {
    let mut array = Array::new();
    for (id, value) in (0..).zip(values) {
        let id = ResourceInstanceId::new(id).expect("legal");
        assert!(array.insert(id, value).is_ok(), "it fits");
    }
    array
}

impl World {
    /// Registered, as a device of LwM2M 1.1.
    pub fn new() -> Self {
        let device = Device {
            manufacturer: "Lightship",
            model: "Model 500",
            serial: "LT-500",
            firmware: "1.0",
            voltage: array([3800, 5000]),
            current: array([125, 900]),
            error: array([0]),
            binding: "U",
        };
        let identity = array(["host", "model"].map(Text::new));
        let portfolio = Multiple::new().creatable(Portfolio::default).with(0, Portfolio { identity });
        let objects = (Single::new(device), portfolio);
        let mut pair = Pair::new(1, Quality::PERFECT, Version::V1_1, objects, |_| {});
        pair.register();
        Self { pair }
    }

    /// The answer to a request; every one is answered.
    pub fn response(&mut self, operation: Operation) -> Response {
        match self.pair.request(operation) {
            Outcome::Response(response) => response,
            other => panic!("no answer: {other:?}"),
        }
    }

    pub fn code(&mut self, operation: Operation) -> Code {
        self.response(operation).code
    }

    pub fn put(&mut self, target: &str, value: &str) -> Code {
        let content = Content { format: ContentFormat::TEXT, payload: value.as_bytes().into() };
        self.code(Operation::Replace { path: path(target), content })
    }

    pub fn execute(&mut self, target: &str) -> Code {
        self.code(Operation::Execute { path: path(target), arguments: String::new() })
    }

    pub fn attach(&mut self, target: &str, attributes: &[&str]) -> Code {
        let attributes = attributes.iter().map(|text| (*text).to_owned()).collect();
        self.code(Operation::WriteAttributes { path: path(target), attributes })
    }

    pub fn replace(&mut self, target: &str, format: Format, values: &[(&str, OwnedValue)]) -> Code {
        let content = content(target, format, values);
        self.code(Operation::Replace { path: path(target), content })
    }

    pub fn update(&mut self, target: &str, format: Format, values: &[(&str, OwnedValue)]) -> Code {
        let content = content(target, format, values);
        self.code(Operation::PartialUpdate { path: path(target), content })
    }

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
        values(response.content_format, target, &response.payload)
    }

    pub fn read_composite(&mut self, paths: &[&str], format: Format) -> BTreeMap<String, OwnedValue> {
        let accept = Some(ContentFormat(format.number()));
        let response = self.response(Operation::ReadComposite { content: list(paths, format), accept });
        assert_eq!((response.code, response.content_format), (Code::CONTENT, accept));
        values(response.content_format, "/", &response.payload)
    }

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
                values(response.content_format, "/", &response.payload)
            }
            other => panic!("{name}: {other:?}"),
        }
    }

    /// The reports of a composite observation.
    pub fn reports(&self, name: &str) -> Vec<BTreeMap<String, OwnedValue>> {
        let report = |event: &Event| match event {
            Event::Notified { observed, content_format, payload, .. } if observed.name() == Some(name) => {
                Some(values(*content_format, "/", payload))
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
        let response = self.response(Operation::Discover { path: path(target), depth: None });
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
        let wanted = Wanted { observed: path(target).into(), accept: None, attributes: Vec::new() };
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
    pub fn notified(&self, target: &str) -> usize {
        let of_it = |event: &&Event| matches!(event, Event::Notified { observed, .. } if observed.path() == Some(path(target)));
        self.pair.events.iter().filter(of_it).count()
    }
}

/// Values by path.
pub fn values(format: Option<ContentFormat>, base: &str, payload: &[u8]) -> BTreeMap<String, OwnedValue> {
    let format = Format::from_number(format.expect("a format").0).expect("a format for values");
    let definition = |id| lookup(id, implied_version(id, Version::V1_1));
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
