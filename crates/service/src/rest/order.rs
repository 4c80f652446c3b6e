//! Order: one downlink operation as a caller wants it, checked at the border.

use std::collections::BTreeSet;
use std::ops::RangeInclusive;
use std::sync::Arc;

use axum::extract::{Path as Parts, RawQuery, Request, State};
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use axum::response::IntoResponse;
use lightship_api::{
    AnswerContent, AttributesBody, CompositeObserveBody, CompositeReadBody, DownlinkAnswer, ExecuteBody,
    Node, Problem, ProblemType, ValueSource,
};
use lightship_lwm2m::Path;
use lightship_store::CommandRecord;
use serde::{Deserialize, Serialize};
use serde_json::Value as Json;

use super::call::Call;
use super::input::{self, Choices, DOWNLINK};
use super::reply::{Answer, json};
use super::{Refusal, check, composite, downlink, observations, write};
use crate::access::{self, Outcome};
use crate::core::Core;
use crate::directory::Device;
use crate::queue::{self, Terms};

/// What a downlink operation does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Verb {
    Read,
    Replace,
    PartialUpdate,
    Create,
    Delete,
    Execute,
    Discover,
    WriteAttributes,
    Observe,
    CancelObservation,
    ReadComposite,
    WriteComposite,
    ObserveComposite,
    CancelComposite,
}

/// One downlink operation, ready to be tried with a device.
#[derive(Clone, Debug)]
pub(crate) struct Order {
    pub(crate) verb: Verb,
    /// What it is about; the root for composite operations.
    pub(crate) path: Path,
    pub(crate) choices: Choices,
    pub(crate) task: Task,
}

/// What an operation needs besides its path.
#[derive(Clone, Debug)]
pub(crate) enum Task {
    Plain,
    Node(Node),
    Arguments(String),
    Attributes(AttributesBody),
    Paths(Vec<Path>),
    /// The nodes as they came: a mistake in one is told by its place.
    Nodes(Json),
    Composite {
        name: String,
        paths: Vec<Path>,
        attributes: AttributesBody,
    },
    Name(String),
}

/// How an operation ended.
#[derive(Debug)]
pub(crate) enum Done {
    /// The device answered.
    Answered(DownlinkAnswer),
    /// It has made an instance.
    Created(DownlinkAnswer),
    /// There was nothing to tell the device.
    Nothing,
}

impl Verb {
    /// The name in answers.
    pub(crate) fn operation(self) -> &'static str {
        match self {
            Verb::Read => "read",
            Verb::Replace | Verb::PartialUpdate => "write",
            Verb::Create => "create",
            Verb::Delete => "delete",
            Verb::Execute => "execute",
            Verb::Discover => "discover",
            Verb::WriteAttributes => "write-attributes",
            Verb::Observe => "observe",
            Verb::CancelObservation => "cancel-observation",
            Verb::ReadComposite => "read-composite",
            Verb::WriteComposite => "write-composite",
            Verb::ObserveComposite => "observe-composite",
            Verb::CancelComposite => "cancel-composite",
        }
    }

    /// What people call it, and the lengths that its path may have; `None` when its place is none.
    fn path(self) -> Option<(&'static str, RangeInclusive<usize>)> {
        match self {
            Verb::Read => Some(("Read", 1..=4)),
            Verb::Replace => Some(("Write (PUT)", 2..=4)),
            Verb::PartialUpdate => {
                Some(("Write with Partial Update (PATCH; PUT writes a Resource Instance)", 2..=3))
            }
            Verb::Create => Some(("Create", 1..=1)),
            Verb::Delete => Some(("Delete", 2..=4)),
            Verb::Execute => Some(("Execute", 3..=3)),
            Verb::Discover => Some(("Discover", 1..=3)),
            Verb::WriteAttributes => Some(("Write-Attributes", 1..=4)),
            Verb::Observe => Some(("Observe", 1..=4)),
            Verb::CancelObservation => Some(("Cancel Observation", 1..=4)),
            Verb::ReadComposite | Verb::WriteComposite | Verb::ObserveComposite | Verb::CancelComposite => {
                None
            }
        }
    }

    /// The query parameters that it knows.
    pub(super) fn parameters(self) -> Vec<&'static str> {
        let own: &[&str] = match self {
            Verb::Discover => &["depth"],
            Verb::ReadComposite | Verb::ObserveComposite => &["fallback"],
            Verb::Read
            | Verb::Replace
            | Verb::PartialUpdate
            | Verb::Create
            | Verb::Delete
            | Verb::Execute
            | Verb::WriteAttributes
            | Verb::Observe
            | Verb::CancelObservation
            | Verb::WriteComposite
            | Verb::CancelComposite => &[],
        };
        [DOWNLINK, own].concat()
    }

    /// Whether doing it twice is the same as doing it once.
    pub(crate) fn may_be_repeated(self) -> bool {
        match self {
            Verb::Read
            | Verb::Replace
            | Verb::Discover
            | Verb::WriteAttributes
            | Verb::Observe
            | Verb::CancelObservation
            | Verb::ReadComposite
            | Verb::ObserveComposite
            | Verb::CancelComposite => true,
            Verb::PartialUpdate | Verb::Create | Verb::Delete | Verb::Execute | Verb::WriteComposite => false,
        }
    }

    fn takes_body(self) -> bool {
        !matches!(
            self,
            Verb::Read | Verb::Delete | Verb::Discover | Verb::CancelObservation | Verb::CancelComposite
        )
    }
}

/// An order as it is kept until it is carried out: what the caller said, word by word.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct OrderText {
    pub(crate) verb: Verb,
    /// The path without its first slash, or the name.
    place: String,
    query: String,
    #[serde(default, skip_serializing_if = "String::is_empty")]
    body: String,
    /// The bulk operation that it is a part of.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) bulk: Option<u64>,
    /// Who queued it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) by: Option<String>,
}

/// Of the body of a composite operation: what it is about.
#[derive(Deserialize)]
struct Listed {
    paths: Vec<String>,
}

/// Of the body of a Write-Composite: what it writes.
#[derive(Deserialize)]
struct Composed {
    nodes: Vec<Json>,
}

impl OrderText {
    pub(crate) fn new(verb: Verb, place: &str, query: &str, body: &str) -> OrderText {
        OrderText {
            verb,
            place: place.to_owned(),
            query: query.to_owned(),
            body: body.to_owned(),
            bulk: None,
            by: access::caller(),
        }
    }

    /// The same as a part of a bulk operation.
    pub(crate) fn of_bulk(self, number: u64) -> OrderText {
        OrderText { bulk: Some(number), ..self }
    }

    pub(crate) fn read(text: &str) -> Option<OrderText> {
        serde_json::from_str(text).ok()
    }

    pub(crate) fn to_text(&self) -> String {
        // Plain text always serialises.
        serde_json::to_string(self).unwrap_or_default()
    }

    /// What it is about.
    pub(crate) fn path(&self) -> String {
        if self.verb.path().is_some() { format!("/{}", self.place) } else { "/".to_owned() }
    }

    /// What a composite operation is about.
    pub(crate) fn paths(&self) -> Vec<String> {
        if matches!(self.verb, Verb::ReadComposite | Verb::ObserveComposite) {
            return serde_json::from_str::<Listed>(&self.body).map(|listed| listed.paths).unwrap_or_default();
        }
        let path = |node: &Json| node["path"].as_str().map(str::to_owned);
        self.composed().iter().filter_map(path).collect()
    }

    /// The name of a composite observation.
    pub(crate) fn name(&self) -> Option<String> {
        matches!(self.verb, Verb::ObserveComposite | Verb::CancelComposite).then(|| self.place.clone())
    }

    /// What it writes; nothing when that is too much to be shown with every mention of it.
    pub(crate) fn nodes(&self) -> Vec<Node> {
        if self.body.len() > SHOWN_LEN_MAX {
            return Vec::new();
        }
        if matches!(self.verb, Verb::Replace | Verb::PartialUpdate | Verb::Create) {
            let node = serde_json::from_str::<Node>(&self.body).ok();
            return node.map(|node| Node { path: Some(self.path()), ..node }).into_iter().collect();
        }
        // One that only takes a value away is no Node.
        self.composed().into_iter().filter_map(|node| serde_json::from_value(node).ok()).collect()
    }

    /// The nodes of a Write-Composite, as they came.
    fn composed(&self) -> Vec<Json> {
        if self.verb != Verb::WriteComposite {
            return Vec::new();
        }
        serde_json::from_str::<Composed>(&self.body).map(|body| body.nodes).unwrap_or_default()
    }

    /// The path without its first slash, or the name.
    pub(super) fn place(&self) -> &str {
        &self.place
    }

    /// What it needs besides its path.
    pub(super) fn task(&self) -> Result<Task, Refusal> {
        Order::task(self.verb, &self.place, &HeaderMap::new(), self.body.as_bytes())
    }
}

impl Order {
    /// Reads an order that has waited.
    pub(crate) fn stored(core: &Core, text: &OrderText) -> Result<Order, Refusal> {
        let verb = text.verb;
        let path = match verb.path() {
            Some((what, lengths)) => input::path(&text.place, lengths, what)?,
            None => Path::ROOT,
        };
        let choices = Choices::read(core, &input::Query::parse(Some(&text.query), &verb.parameters())?)?;
        Ok(Order { verb, path, choices, task: text.task()? })
    }

    /// Reads the body of an operation.
    fn task(verb: Verb, place: &str, headers: &HeaderMap, body: &[u8]) -> Result<Task, Refusal> {
        Ok(match verb {
            Verb::Read | Verb::Delete | Verb::Discover | Verb::CancelObservation => Task::Plain,
            Verb::Replace | Verb::PartialUpdate => Task::Node(input::node(headers, body)?),
            Verb::Create => Task::Node(input::new_instance(headers, body)?),
            Verb::Execute if body.is_empty() => Task::Arguments(String::new()),
            Verb::Execute => {
                let body: ExecuteBody = input::json(headers, body)?;
                Task::Arguments(body.arguments.unwrap_or_default())
            }
            Verb::Observe if body.is_empty() => Task::Attributes(AttributesBody::default()),
            Verb::WriteAttributes | Verb::Observe => Task::Attributes(input::json(headers, body)?),
            Verb::ReadComposite => {
                let body: CompositeReadBody = input::json(headers, body)?;
                Task::Paths(paths(&body.paths)?)
            }
            Verb::WriteComposite => Task::Nodes(input::json(headers, body)?),
            Verb::ObserveComposite => {
                let body: CompositeObserveBody = input::json(headers, body)?;
                let (paths, attributes) = (paths(&body.paths)?, body.attributes);
                Task::Composite { name: name(place)?, paths, attributes }
            }
            Verb::CancelComposite => Task::Name(name(place)?),
        })
    }

    /// Refuses what must not or cannot be asked of that device; nothing is sent.
    pub(crate) fn check(&self, core: &Core, device: &Device) -> Result<(), Refusal> {
        check::order(core, device, self)
    }

    /// Does it.
    pub(crate) async fn run(&self, call: &Call<'_>) -> Result<Done, Refusal> {
        let done = self.perform(call).await;
        self.learn(call, &done);
        call.core.fleet.operated(&done);
        done
    }

    /// Takes note of values that were read or written.
    fn learn(&self, call: &Call<'_>, done: &Result<Done, Refusal>) {
        let Ok(Done::Answered(answer)) = done else { return };
        if !answer.code.starts_with('2') {
            return;
        }
        let (written, composed);
        let (nodes, source): (&[Node], _) = match (&answer.content, &self.task) {
            (Some(AnswerContent::Node(node)), Task::Plain) => (std::slice::from_ref(node), ValueSource::Read),
            (Some(AnswerContent::Nodes { nodes }), Task::Paths(_)) => (nodes, ValueSource::Read),
            (_, Task::Node(node)) if self.verb != Verb::Create => {
                written = [Node { path: None, ..node.clone() }];
                (&written, ValueSource::Write)
            }
            (_, Task::Nodes(body)) => {
                let nodes = body.get("nodes").cloned().unwrap_or_default();
                composed = serde_json::from_value::<Vec<Node>>(nodes).unwrap_or_default();
                (&composed, ValueSource::Write)
            }
            _ => return,
        };
        let endpoint = &call.details().endpoint;
        call.core.fleet.values.told(endpoint, Some(self.path), nodes, source, call.core.now());
    }

    async fn perform(&self, call: &Call<'_>) -> Result<Done, Refusal> {
        match (self.verb, &self.task) {
            (Verb::Read, _) => downlink::read(call).await,
            (Verb::Delete, _) => downlink::delete(call).await,
            (Verb::Discover, _) => downlink::discover(call, self.choices.depth).await,
            (Verb::Execute, Task::Arguments(arguments)) => downlink::execute(call, arguments).await,
            (Verb::WriteAttributes, Task::Attributes(body)) => downlink::write_attributes(call, body).await,
            (Verb::Replace | Verb::PartialUpdate, Task::Node(node)) => {
                write::write(call, node, self.verb).await
            }
            (Verb::Create, Task::Node(node)) => write::create(call, node).await,
            (Verb::Observe, Task::Attributes(body)) => observations::observe(call, body).await,
            (Verb::CancelObservation, _) => observations::cancel(call).await,
            (Verb::ReadComposite, Task::Paths(paths)) => composite::read(call, paths).await,
            (Verb::WriteComposite, Task::Nodes(body)) => composite::write(call, body).await,
            (Verb::ObserveComposite, Task::Composite { name, paths, attributes }) => {
                composite::observe(call, name, paths, attributes).await
            }
            (Verb::CancelComposite, Task::Name(name)) => composite::cancel(call, name).await,
            _ => Err(Refusal::new(ProblemType::Internal, "the operation lacks its body")),
        }
    }
}

/// A handler for an operation about the path, or the name, at the end of the address.
pub(crate) async fn at(
    verb: Verb,
    State(core): State<Arc<Core>>,
    Parts((endpoint, place)): Parts<(String, String)>,
    RawQuery(query): RawQuery,
    request: Request,
) -> Answer {
    serve(&core, verb, &endpoint, &place, query.as_deref(), request).await
}

/// A handler for an operation about the whole device.
pub(crate) async fn whole(
    verb: Verb,
    State(core): State<Arc<Core>>,
    Parts(endpoint): Parts<String>,
    RawQuery(query): RawQuery,
    request: Request,
) -> Answer {
    serve(&core, verb, &endpoint, "", query.as_deref(), request).await
}

async fn serve(
    core: &Arc<Core>,
    verb: Verb,
    endpoint: &str,
    place: &str,
    query: Option<&str>,
    request: Request,
) -> Answer {
    let path = match verb.path() {
        Some((what, lengths)) => input::path(place, lengths, what)?,
        None => Path::ROOT,
    };
    let parsed = input::Query::parse(query, &verb.parameters())?;
    let choices = Choices::read(core, &parsed)?;
    let terms = parsed.terms(core)?;
    let device = input::device(core, endpoint).await?;
    let (head, body) = request.into_parts();
    let body = if verb.takes_body() { input::body(core, body).await? } else { bytes::Bytes::new() };
    let task = Order::task(verb, place, &head.headers, &body)?;
    let order = Order { verb, path, choices, task };
    order.check(core, &device)?;
    if let Some(terms) = terms {
        let text = OrderText::new(verb, place, query.unwrap_or_default(), &String::from_utf8_lossy(&body));
        return queued(core, &device, &text, &terms).await;
    }
    let mut call = Call::new(core, device, &order);
    if call.waits() && call.device.registration.presence.is_asleep() {
        queue::in_turn(core, &call.details().endpoint.clone(), call.left()).await;
        call.device = input::device(core, endpoint).await?;
    }
    match order.run(&call).await? {
        Done::Answered(answer) => answered(StatusCode::OK, &answer),
        Done::Created(answer) => {
            let mut response = answered(StatusCode::CREATED, &answer)?;
            // Beside the address of the Object, which ends with its ID.
            let resources = head.uri.path().rsplit_once('/').map(|(resources, _)| resources);
            let address =
                resources.zip(answer.location).map(|(resources, path)| format!("{resources}{path}"));
            response.headers_mut().extend(address.and_then(|address| located(&address)));
            Ok(response)
        }
        Done::Nothing => Ok(StatusCode::NO_CONTENT.into_response()),
    }
}

/// What the device said, for the caller and for the audit.
fn answered(status: StatusCode, answer: &DownlinkAnswer) -> Answer {
    let mut response = json(status, answer)?;
    response.extensions_mut().insert(Outcome { code: Some(answer.code.clone()), ..Outcome::default() });
    Ok(response)
}

async fn queued(core: &Arc<Core>, device: &Device, order: &OrderText, terms: &Terms) -> Answer {
    let record = queue::accept(core, &device.registration.details.endpoint, order, terms).await?;
    let mut answer = json(StatusCode::ACCEPTED, &queue::shape(&record))?;
    let detail = Some(format!("command {}", record.id));
    answer.extensions_mut().insert(Outcome { detail, ..Outcome::default() });
    answer.headers_mut().extend(location(&record));
    Ok(answer)
}

/// Where a command can be seen.
pub(super) fn location(command: &CommandRecord) -> Option<(HeaderName, HeaderValue)> {
    located(&format!("/api/v1/commands/{}", command.id))
}

fn located(address: &str) -> Option<(HeaderName, HeaderValue)> {
    Some((header::LOCATION, HeaderValue::from_str(address).ok()?))
}

/// The paths of a body, none twice.
fn paths(texts: &[String]) -> Result<Vec<Path>, Refusal> {
    composite::count(texts.len(), "/paths")?;
    let mut seen = BTreeSet::new();
    let path = |(index, text): (usize, &String)| {
        let refuse = |kind, detail: String| Refusal(Problem::new(kind, detail).at(format!("/paths/{index}")));
        let path: Path = text
            .parse()
            .map_err(|_| refuse(ProblemType::InvalidPath, format!("{text:?} is no LwM2M path")))?;
        if seen.insert(path) {
            Ok(path)
        } else {
            Err(refuse(ProblemType::MalformedBody, format!("{path} is given twice")))
        }
    };
    texts.iter().enumerate().map(path).collect()
}

/// A name of the caller's for a composite observation.
fn name(text: &str) -> Result<String, Refusal> {
    let fits = (1..=NAME_LEN_MAX).contains(&text.len()) && !text.contains(char::is_control);
    let detail = format!("a name has from 1 to {NAME_LEN_MAX} bytes and no control characters");
    fits.then(|| text.to_owned()).ok_or_else(|| Refusal::new(ProblemType::MalformedRequest, detail))
}

const NAME_LEN_MAX: usize = 64;
/// Bytes of what a command writes, to be shown.
const SHOWN_LEN_MAX: usize = 4096;
