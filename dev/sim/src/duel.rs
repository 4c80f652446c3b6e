//! The engines against the reference [`model`](crate::model): random questions over a bad network, every answer compared.

use core::time::Duration;
use std::collections::{BTreeMap, BTreeSet};

use lightship_client::{Arguments, Multiple, Object, Refusal, Text};
use lightship_coap::ContentFormat;
use lightship_coap::link::{Mode, links};
use lightship_lwm2m::format::{Encoder, Format, decode};
use lightship_lwm2m::node::{encode_entries, typed_entries};
use lightship_lwm2m::object;
use lightship_lwm2m::{DataType, ObjectVersion, OwnedValue, Path, Version};
use lightship_platform::{Rng, SeededRng};
use lightship_server::{Composite, Content, Event, Observed, Operation, Outcome, Response, Wanted};

use crate::model::{APPLICATION, Possible, Question, RESET, ROOM, Reply, Sensor as ModelSensor, Tree, VALUE};
use crate::network::Quality;
use crate::pair::{PATIENCE, Pair};

/// The instance that is always there, and observed.
const FIXED: u16 = 9;
/// The name of the observation of both values.
const TOGETHER: &str = "together";
/// What a datagram takes at most, so that nothing old is on its way any more.
const QUIET: Duration = Duration::from_secs(5);

#[derive(Object, Clone, Default)]
#[lwm2m(object = 3303, version = "1.1", execute(5605 = Self::reset))]
struct Sensor {
    #[resource(5700)]
    value: f32,
    #[resource(5750)]
    application: Option<Text<16>>,
    executed: Vec<String>,
}

impl Sensor {
    fn reset(&mut self, arguments: Arguments<'_>) -> Result<(), Refusal> {
        self.executed.push(arguments.as_str().to_owned());
        Ok(())
    }
}

type Objects = (Multiple<Sensor, ROOM>,);

/// One run.
pub struct Duel {
    rng: SeededRng,
    pair: Pair<Objects>,
    possible: Possible,
    number: u32,
    lossy: bool,
    last_value: Option<u32>,
    version: Version,
    /// What is observed of the fixed instance: its value, or both its values as one.
    together: bool,
    /// How many questions were answered.
    pub answered: u32,
    /// How many ended without an answer.
    pub unanswered: u32,
    /// How many values came.
    pub notified: u32,
}

impl Duel {
    /// Plays one seed to its end.
    ///
    /// # Panics
    /// When the engines and the model disagree.
    #[must_use]
    pub fn play(seed: u64) -> Self {
        let mut rng = SeededRng::from_number(seed ^ 0xD0E1);
        let quality = match rng.below(4) {
            0 => Quality { duplicates_per_mille: 300, loss_per_mille: 0, ..Quality::POOR },
            1 => Quality { loss_per_mille: 350, duplicates_per_mille: 150, ..Quality::POOR },
            2 => Quality { lose_every: 3, ..Quality::PERFECT },
            _ => Quality::POOR,
        };
        let lossy = quality.loss_per_mille > 0 || quality.lose_every > 0;
        let objects = (Multiple::new().creatable(Sensor::default).with(FIXED, Sensor::default()),);
        let tree = Tree { instances: BTreeMap::from([(FIXED, ModelSensor::default())]), ..Tree::default() };
        let version = [Version::V1_0, Version::V1_1, Version::V1_2][rng.below(3) as usize];
        let together = version > Version::V1_0 && rng.below(2) == 0;
        let mut duel = Self {
            version,
            together,
            pair: Pair::new(seed, quality, version, objects, |account| {
                // Non-confirmable ones may overtake each other.
                account.confirmable_notifications = Some(seed.is_multiple_of(2));
            }),
            possible: Possible::new(tree),
            rng,
            number: 0,
            lossy,
            last_value: None,
            answered: 0,
            unanswered: 0,
            notified: 0,
        };
        duel.pair.register();
        for _ in 0..30 {
            duel.round();
        }
        duel.finish();
        duel
    }

    fn round(&mut self) {
        self.number += 1;
        if self.pair.wanted.is_empty() || self.rng.below(12) == 0 {
            return self.observe();
        }
        let question = self.question();
        let formats = match self.version {
            Version::V1_0 => &[Format::Tlv, Format::Json][..],
            Version::V1_1 => &[Format::Tlv, Format::SenmlJson, Format::SenmlCbor],
            _ => &[Format::Tlv, Format::SenmlJson, Format::SenmlCbor, Format::Lwm2mCbor],
        };
        let format = formats[self.rng.below(u32::try_from(formats.len()).unwrap_or(1)) as usize];
        let patience = match self.rng.below(3) {
            0 => Duration::from_millis(100 + u64::from(self.rng.below(4000))),
            _ => PATIENCE,
        };
        let id = self.pair.ask(operation(&question, format), patience);
        self.possible.ask(question.clone());
        let grows_at = self.pair.now + Duration::from_millis(self.rng.below(1500).into());
        let grows = self.rng.below(3) == 0;
        let mut grown = false;
        let outcome = loop {
            if let Some(outcome) = self.pair.outcome(id) {
                break outcome;
            }
            if grows && !grown && !self.pair.step(grows_at) {
                self.grow();
                grown = true;
            } else if grown || !grows {
                assert!(self.pair.step(self.pair.now + PATIENCE), "every request ends");
            }
        };
        match outcome {
            Outcome::Response(response) => {
                self.answered += 1;
                self.possible.answered(&reply(&question, &response));
            }
            _ => {
                self.unanswered += 1;
                self.pair.run(QUIET);
                self.possible.unanswered();
                // An attempt on command that failed is not repeated, unless a registration took its place.
                if !self.is_observed() {
                    self.pair.wanted.clear();
                }
            }
        }
        self.values();
    }

    fn question(&mut self) -> Question {
        let instance = [0, 1, 2, FIXED][self.rng.below(4) as usize];
        let text = |number: u32| format!("text-{number}");
        let text = if self.rng.below(6) == 0 { "seventeen letters".into() } else { text(self.number) };
        let resource = match self.rng.below(8) {
            0 => RESET,
            1 | 2 => VALUE,
            3 => 5999,
            _ => APPLICATION,
        };
        if self.version > Version::V1_0 && self.rng.below(4) == 0 {
            return self.composite_question(text);
        }
        match self.rng.below(16) {
            0 => Question::ReadObject,
            1 => Question::ReadInstance(instance),
            2 | 3 => Question::Read(instance, resource),
            4 | 5 => Question::Write(instance, resource, text),
            6 => Question::WriteInstance { instance, replace: false, text: Some(text) },
            7 => Question::WriteInstance { instance, replace: true, text: Some(text) },
            8 | 9 => Question::Create(instance, (self.rng.below(2) == 0).then_some(text)),
            10 => Question::Delete(instance % FIXED),
            11 | 12 => Question::Execute(
                instance,
                if resource == 5999 { RESET } else { resource },
                format!("0='{}'", self.number),
            ),
            13 | 14 => {
                let resource = (self.rng.below(2) == 0).then_some(VALUE);
                let name = ["pmin", "pmax"][self.rng.below(2) as usize];
                // pmin stays below pmax, whichever is set.
                let value = if name == "pmin" { 1 + self.rng.below(3) } else { 10 + self.rng.below(20) };
                let value = (self.rng.below(4) > 0).then_some(value);
                Question::Attach { instance, resource, name, value }
            }
            _ => Question::Discover(instance),
        }
    }

    /// What there is since 1.1.
    fn composite_question(&mut self, text: String) -> Question {
        let any = |rng: &mut SeededRng| [0, 1, 2, FIXED][rng.below(4) as usize];
        match self.rng.below(6) {
            0 | 1 => {
                let count = 1 + self.rng.below(3);
                let mut node = || {
                    let resource =
                        [None, Some(VALUE), Some(APPLICATION), Some(RESET)][self.rng.below(4) as usize];
                    (any(&mut self.rng), resource)
                };
                // The same node twice is refused.
                let nodes: BTreeSet<_> = (0..count).map(|_| node()).collect();
                Question::ReadSeveral(nodes.into_iter().collect())
            }
            2 | 3 => {
                let instances = [any(&mut self.rng), any(&mut self.rng)];
                let resource = if self.rng.below(5) == 0 { VALUE } else { APPLICATION };
                let mut values = vec![(instances[0], APPLICATION, text.clone())];
                if instances[1] != instances[0] {
                    let text =
                        if resource == VALUE { "7".to_owned() } else { format!("also-{}", self.number) };
                    values.push((instances[1], resource, text));
                }
                Question::WriteSeveral(values)
            }
            4 => Question::CreateBoth([[0, 1], [1, 2], [0, 2]][self.rng.below(3) as usize], text),
            _ => Question::CreateAnywhere,
        }
    }

    fn is_observed(&self) -> bool {
        let (shard, endpoint) = (&self.pair.shard, self.pair.endpoint());
        match self.together {
            true => shard.composite_observation(&endpoint, TOGETHER).is_some(),
            false => shard.observation(&endpoint, path(FIXED, VALUE)).is_some(),
        }
    }

    fn grow(&mut self) {
        self.pair.change(|objects| {
            if let Some(sensor) = objects.0.get_mut(FIXED) {
                sensor.value += 1.0;
            }
        });
        self.possible.change(|tree| {
            if let Some(sensor) = tree.instances.get_mut(&FIXED) {
                sensor.value += 1;
            }
        });
    }

    /// Observes the value of the fixed instance; the first value answers as a Read would.
    fn observe(&mut self) {
        let (question, wanted) = self.wish();
        self.possible.ask(question.clone());
        match self.pair.observe(wanted.clone()) {
            Outcome::Response(response) if told(&response.payload, response.content_format).0 => {
                // The first answer was lost, and what the device had kept came before it was sent again.
                self.unanswered += 1;
                self.possible.unanswered();
                self.pair.wanted = vec![wanted];
            }
            Outcome::Response(response) => {
                self.answered += 1;
                let reply = reply(&question, &response);
                self.possible.answered(&reply);
                assert!(self.is_observed(), "the device has room for more, and observes");
                self.pair.wanted = vec![wanted];
            }
            _ => {
                self.unanswered += 1;
                self.pair.run(QUIET);
                self.possible.unanswered();
                // An attempt on command that failed is not repeated, unless a registration took its place.
                if !self.is_observed() {
                    self.pair.wanted.clear();
                }
            }
        }
        self.values();
    }

    /// What is observed, and the Read that the first value answers.
    fn wish(&self) -> (Question, Wanted) {
        if self.together {
            let nodes = vec![(FIXED, Some(VALUE)), (FIXED, Some(APPLICATION))];
            let content = names(&nodes);
            let observed = Observed::Composite(Composite { name: TOGETHER.into(), content });
            let accept = Some(ContentFormat::SENML_CBOR);
            (Question::ReadSeveral(nodes), Wanted { observed, accept, attributes: Vec::new() })
        } else {
            let observed = path(FIXED, VALUE).into();
            let wanted = Wanted { observed, accept: Some(ContentFormat::TEXT), attributes: Vec::new() };
            (Question::Read(FIXED, VALUE), wanted)
        }
    }

    /// Values never go backwards, unless they say that they are of the past.
    fn values(&mut self) {
        for event in std::mem::take(&mut self.pair.events) {
            let (payload, format) = match event {
                Event::Notified { payload, content_format, .. } => (payload, content_format),
                Event::ObservationStarted { response, .. } => (response.payload, response.content_format),
                _ => continue,
            };
            self.notified += 1;
            let (of_the_past, told) = told(&payload, format);
            if of_the_past {
                assert!(told.is_sorted(), "{told:?}");
                self.last_value = self.last_value.max(told.last().copied());
                continue;
            }
            let value = told.into_iter().next_back().expect("a value");
            assert!(self.last_value <= Some(value), "{:?} came before {value}", self.last_value);
            self.last_value = Some(value);
        }
    }

    fn finish(&mut self) {
        self.pair.network.set_quality(Quality::PERFECT);
        self.pair.run(Duration::from_secs(200));
        self.grow();
        self.pair.run(Duration::from_secs(60));
        if self.lossy {
            // A device may give up an observation whose notifications are not acknowledged; that heals at an Update.
            self.pair.run(Duration::from_secs(3600));
        }
        // So does an older start of the same observation that overtook the newer one.
        self.pair.client.update(self.pair.now, self.pair.account);
        self.pair.drain();
        self.pair.run(Duration::from_secs(30));
        self.values();
        let sensors = &self.pair.client.objects().0;
        let mut instances = BTreeMap::new();
        for id in 0..=FIXED {
            let Some(sensor) = sensors.get(id) else { continue };
            let application = sensor.application.as_ref().map(|text| text.as_str().to_owned());
            let value = number(&sensor.value.to_string());
            instances.insert(id, ModelSensor { value, application, executed: sensor.executed.clone() });
        }
        assert!(self.possible.has_instances(&instances), "{instances:?} is not among {:#?}", self.possible);
        if !self.pair.wanted.is_empty() {
            let value = instances.get(&FIXED).map(|sensor| sensor.value);
            assert_eq!(
                self.last_value,
                value,
                "the last value is not lost: {} together {} observed {} lossy {} {:?}",
                self.version,
                self.together,
                self.is_observed(),
                self.lossy,
                self.pair.told
            );
        }
    }
}

/// The values that a notification tells, the present one last or the past ones in their order; whether of the past.
fn told(payload: &[u8], format: Option<ContentFormat>) -> (bool, Vec<u32>) {
    if format != Some(ContentFormat::SENML_CBOR) {
        return (false, vec![number(core::str::from_utf8(payload).expect("text"))]);
    }
    let mut told = Vec::new();
    for entry in decode(Format::SenmlCbor, Path::ROOT, payload) {
        let entry = entry.expect("it can be read");
        if entry.path == path(FIXED, VALUE) {
            let value = entry.value.decode(DataType::Float, &mut []).expect("a number");
            told.push((entry.time, number(&value.as_f64().expect("a number").to_string())));
        }
    }
    let of_the_past = told.iter().any(|(time, _)| time.is_some());
    if of_the_past {
        assert!(told.iter().all(|(time, _)| time.is_some()), "all of the past have a time: {told:?}");
        assert!(told.is_sorted_by(|one, next| one.0 < next.0), "{told:?}");
    } else {
        assert_eq!(told.len(), 1, "one present value");
    }
    (of_the_past, told.into_iter().map(|(_, value)| value).collect())
}

fn path(instance: u16, resource: u16) -> Path {
    format!("/3303/{instance}/{resource}").parse().expect("a path")
}

fn number(text: &str) -> u32 {
    text.trim_end_matches(".0").parse().expect("a whole number")
}

fn node(instance: u16, resource: Option<u16>) -> Path {
    match resource {
        Some(resource) => path(instance, resource),
        None => format!("/3303/{instance}").parse().expect("a path"),
    }
}

/// The request that asks a question, with values in this format.
fn operation(question: &Question, format: Format) -> Operation {
    let object: Path = "/3303".parse().expect("a path");
    let accept = Some(ContentFormat(format.number()));
    let text = |text: &String| Content { format: ContentFormat::TEXT, payload: text.as_bytes().into() };
    match question {
        Question::ReadObject => Operation::Read { path: object, accept },
        Question::ReadInstance(instance) => Operation::Read { path: node(*instance, None), accept },
        Question::Read(instance, resource) => {
            Operation::Read { path: path(*instance, *resource), accept: Some(ContentFormat::TEXT) }
        }
        Question::Write(instance, resource, value) => {
            Operation::Replace { path: path(*instance, *resource), content: text(value) }
        }
        Question::WriteInstance { instance, replace, text } => {
            let path = node(*instance, None);
            let content = instance_content(format, path, *instance, text.as_deref());
            match replace {
                true => Operation::Replace { path, content },
                false => Operation::PartialUpdate { path, content },
            }
        }
        Question::Create(instance, text) => {
            // Only TLV can say that an instance is empty.
            let format = if text.is_none() { Format::Tlv } else { format };
            let content = instance_content(format, object, *instance, text.as_deref());
            Operation::Create { path: object, content: Some(content) }
        }
        Question::CreateBoth(both, text) => {
            let value = OwnedValue::String(text.clone());
            let entries = both.map(|instance| (path(instance, APPLICATION), Some(&value)));
            let content = written(format, object, &entries);
            Operation::Create { path: object, content: Some(content) }
        }
        Question::CreateAnywhere => Operation::Create { path: object, content: None },
        Question::ReadSeveral(nodes) => {
            let accept = Some(ContentFormat(several(format).number()));
            Operation::ReadComposite { content: names(nodes), accept }
        }
        Question::WriteSeveral(values) => {
            Operation::WriteComposite { content: several_content(several(format), values) }
        }
        Question::Delete(instance) => Operation::Delete { path: node(*instance, None) },
        Question::Execute(instance, resource, arguments) => {
            Operation::Execute { path: path(*instance, *resource), arguments: arguments.clone() }
        }
        Question::Attach { instance, resource, name, value } => Operation::WriteAttributes {
            path: node(*instance, *resource),
            attributes: vec![value.map_or((*name).to_owned(), |value| format!("{name}={value}"))],
        },
        Question::Discover(instance) => Operation::Discover { path: node(*instance, None), depth: None },
    }
}

/// An instance with this text, or without any.
fn instance_content(format: Format, base: Path, instance: u16, text: Option<&str>) -> Content {
    let value = text.map(|text| OwnedValue::String(text.to_owned()));
    let entry = match &value {
        Some(value) => (path(instance, APPLICATION), Some(value)),
        None => (node(instance, None), None),
    };
    written(format, base, &[entry])
}

/// Values of several resources.
fn several_content(format: Format, values: &[(u16, u16, String)]) -> Content {
    let owned: Vec<_> = values
        .iter()
        .map(|(instance, resource, text)| {
            let value = match *resource {
                VALUE => OwnedValue::Float(7.0),
                _ => OwnedValue::String(text.clone()),
            };
            (path(*instance, *resource), value)
        })
        .collect();
    let entries: Vec<_> = owned.iter().map(|(path, value)| (*path, Some(value))).collect();
    written(format, Path::ROOT, &entries)
}

/// These entries in this format.
fn written(format: Format, base: Path, entries: &[(Path, Option<&OwnedValue>)]) -> Content {
    let payload = encode_entries(format, base, entries).expect("it can be written");
    Content { format: ContentFormat(format.number()), payload: payload.into() }
}

/// TLV cannot name several nodes.
fn several(format: Format) -> Format {
    if format == Format::Tlv { Format::SenmlCbor } else { format }
}

/// A list of nodes.
fn names(nodes: &[(u16, Option<u16>)]) -> Content {
    let mut buffer = [0; 256];
    let mut encoder = Encoder::new(Format::SenmlCbor, Path::ROOT, &mut buffer);
    for (instance, resource) in nodes {
        encoder.name(node(*instance, *resource)).expect("it fits");
    }
    let len = encoder.finish().expect("it fits");
    Content { format: ContentFormat::SENML_CBOR, payload: buffer[..len].into() }
}

/// The device's answer in the model's words.
fn reply(question: &Question, response: &Response) -> Reply {
    if !response.code.is_success() {
        return (response.code, BTreeSet::new());
    }
    let values = |base: &str, response: &Response| values(base, response.content_format, &response.payload);
    let content = match question {
        Question::Discover(_) => attributes(&response.payload),
        Question::ReadObject => values("/3303", response),
        Question::ReadSeveral(_) => values("/", response),
        Question::CreateAnywhere => {
            BTreeSet::from([("location".to_owned(), format!("/{}", response.location.join("/")))])
        }
        Question::ReadInstance(instance) => values(&format!("/3303/{instance}"), response),
        Question::Read(instance, resource) => values(&format!("/3303/{instance}/{resource}"), response),
        _ => BTreeSet::new(),
    };
    (response.code, content)
}

fn values(base: &str, format: Option<ContentFormat>, payload: &[u8]) -> BTreeSet<(String, String)> {
    let number = format.expect("a format").0;
    let format = Format::from_number(number).expect("a format that was asked for");
    let version: ObjectVersion = "1.1".parse().expect("a version");
    let definition = |id| object::lookup(id, version);
    let payload = decode(format, base.parse().expect("a path"), payload);
    let entries = typed_entries(payload, definition).expect("it can be read");
    let shown = |value: OwnedValue| match value {
        OwnedValue::String(text) => text,
        OwnedValue::Float(value) => value.to_string(),
        other => format!("{other:?}"),
    };
    entries.into_iter().filter_map(|entry| Some((entry.path.to_string(), shown(entry.value?)))).collect()
}

fn attributes(payload: &[u8]) -> BTreeSet<(String, String)> {
    let text = core::str::from_utf8(payload).expect("text");
    let link = |link: Result<lightship_coap::link::Link<'_>, _>| {
        let link = link.expect("link format");
        let mut attached: Vec<_> = link
            .attributes()
            .map(|attribute| {
                format!("{}={}", attribute.name, attribute.value.map_or("", |value| value.raw()))
            })
            .collect();
        attached.sort_unstable();
        (link.target.to_owned(), attached.join(";"))
    };
    links(text, Mode::Strict).map(link).collect()
}
