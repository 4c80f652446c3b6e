//! Downlink operations without a Node in the body, and what all of them share.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use axum::extract::{Path as Parts, RawQuery, Request, State};
use axum::http::StatusCode;
use lightship_api::{AnswerContent, AttributesBody, DownlinkAnswer, ExecuteBody, Problem, ProblemType};
use lightship_lwm2m::format::Use;
use lightship_lwm2m::{AttributeChange, AttributeName, Format, Path};
use lightship_net::Wait;
use lightship_platform::Instant;
use lightship_server::{ContentFormat, Operation, Outcome, RequestError, Response};

use super::Refusal;
use super::input::{self, Choices, DOWNLINK, Query};
use super::reply::{Answer, json};
use crate::content::{self, Dialect, LINK_FORMAT};
use crate::core::Core;
use crate::deviation::Deviation;
use crate::directory::Device;
use crate::journal::raw;
use crate::models;

/// GET …/resources/{path}
pub(crate) async fn read(
    State(core): State<Arc<Core>>,
    Parts((endpoint, path)): Parts<(String, String)>,
    RawQuery(query): RawQuery,
) -> Answer {
    let path = input::path(&path, 1..=4, "Read")?;
    let call = Call::start(&core, &endpoint, "read", path, query.as_deref(), DOWNLINK).await?;
    let mut formats: Vec<Option<Format>> = match call.choices.format {
        Some(format) => vec![Some(single_fits(format, path)?)],
        None => call.candidates(Use::Read).into_iter().map(Some).collect(),
    };
    if call.choices.format.is_none() {
        // The last word is the device's own choice.
        formats.truncate(2);
        formats.push(None);
    }
    let mut answer = None;
    for format in formats {
        let accept = format.map(|format| ContentFormat(format.number()));
        let response = call.ask(Operation::Read { path, accept }).await?;
        let refused = response.code == lightship_server::Code::NOT_ACCEPTABLE;
        answer = Some((response, accept));
        if !refused {
            break;
        }
    }
    let (response, asked) = answer.ok_or_else(|| Refusal::new(ProblemType::Internal, "nothing was asked"))?;
    call.answer(&response, Payload::Data(asked))
}

/// DELETE …/resources/{path}
pub(crate) async fn delete(
    State(core): State<Arc<Core>>,
    Parts((endpoint, path)): Parts<(String, String)>,
    RawQuery(query): RawQuery,
) -> Answer {
    let path = input::path(&path, 2..=4, "Delete")?;
    if path.len() == 3 {
        return Err(Refusal::new(
            ProblemType::InvalidPath,
            "Delete goes with instances, not with a Resource",
        ));
    }
    let call = Call::start(&core, &endpoint, "delete", path, query.as_deref(), DOWNLINK).await?;
    let response = call.ask(Operation::Delete { path }).await?;
    call.answer(&response, Payload::None)
}

/// POST …/execute/{path}
pub(crate) async fn execute(
    State(core): State<Arc<Core>>,
    Parts((endpoint, path)): Parts<(String, String)>,
    RawQuery(query): RawQuery,
    request: Request,
) -> Answer {
    let path = input::path(&path, 3..=3, "Execute")?;
    let call = Call::start(&core, &endpoint, "execute", path, query.as_deref(), DOWNLINK).await?;
    let (head, body) = request.into_parts();
    let body = input::body(&core, body).await?;
    let arguments = if body.is_empty() {
        String::new()
    } else {
        input::json::<ExecuteBody>(&head.headers, &body)?.arguments.unwrap_or_default()
    };
    let response = call.ask(Operation::Execute { path, arguments }).await?;
    call.answer(&response, Payload::None)
}

/// GET …/discover/{path}
pub(crate) async fn discover(
    State(core): State<Arc<Core>>,
    Parts((endpoint, path)): Parts<(String, String)>,
    RawQuery(query): RawQuery,
) -> Answer {
    let path = input::path(&path, 1..=3, "Discover")?;
    let known = [DOWNLINK, &["depth"]].concat();
    let call = Call::start(&core, &endpoint, "discover", path, query.as_deref(), &known).await?;
    let depth = Query::parse(query.as_deref(), &known)?.number("depth", 0, 3)?;
    let depth = depth.and_then(|depth| u8::try_from(depth).ok());
    let response = call.ask(Operation::Discover { path, depth }).await?;
    call.answer(&response, Payload::Links)
}

/// PUT …/attributes/{path}
pub(crate) async fn write_attributes(
    State(core): State<Arc<Core>>,
    Parts((endpoint, path)): Parts<(String, String)>,
    RawQuery(query): RawQuery,
    request: Request,
) -> Answer {
    let path = input::path(&path, 1..=4, "Write-Attributes")?;
    let call = Call::start(&core, &endpoint, "write-attributes", path, query.as_deref(), DOWNLINK).await?;
    let (head, body) = request.into_parts();
    let body = input::body(&core, body).await?;
    let attributes = attributes(&call, &input::json(&head.headers, &body)?)?;
    if attributes.is_empty() {
        return Err(Refusal::new(ProblemType::MalformedBody, "no attribute is given"));
    }
    let response = call.ask(Operation::WriteAttributes { path, attributes }).await?;
    call.answer(&response, Payload::None)
}

/// The query of attributes: `pmin=5` sets, `st` unsets. What contradicts itself, the level of the path or the type of
/// the Resource is refused here; what the device has attached already is for the device to judge.
pub(super) fn attributes(call: &Call<'_>, body: &AttributesBody) -> Result<Vec<String>, Refusal> {
    let path = call.path;
    let definitions = call.core.models.snapshot();
    let kind = models::data_type(&definitions, call.device.object_version(path), path);
    let text = |(name, value): (&String, &Option<serde_json::Number>)| match value {
        Some(value) => format!("{name}={value}"),
        None => name.clone(),
    };
    let queries: Vec<String> = body.attributes.iter().map(text).collect();
    for (query, name) in queries.iter().zip(body.attributes.keys()) {
        let refuse = |why: String| {
            Refusal(Problem::new(ProblemType::DoesNotFit, format!("{query}: {why}")).at(format!("/{name}")))
        };
        AttributeChange::parse([query.as_str()]).map_err(|error| refuse(error.to_string()))?;
        let known = AttributeName::from_text(name);
        if known.is_some_and(|known| !known.fits(path.level(), kind)) {
            let kind = kind.map_or_else(String::new, |kind| format!(", whose type is {kind}"));
            return Err(refuse(format!("this attribute does not go with {path}{kind}")));
        }
    }
    let together = AttributeChange::parse(queries.iter().map(String::as_str));
    together.and_then(|change| change.set().check()).map_err(|error| {
        Refusal::new(ProblemType::DoesNotFit, format!("the attributes contradict each other: {error}"))
    })?;
    Ok(queries)
}

/// Single-value formats go with Resources only.
pub(super) fn single_fits(format: Format, path: Path) -> Result<Format, Refusal> {
    if format.is_single_value() && path.len() < 3 {
        let detail = format!("format {format} holds one value, and {path} is no Resource");
        return Err(Refusal::new(ProblemType::InvalidParameter, detail));
    }
    Ok(format)
}

/// What the payload of a good answer holds; of data, in which format it was wanted.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Payload<'a> {
    None,
    Data(Option<ContentFormat>),
    /// Data of these paths.
    Several(&'a [Path], Option<ContentFormat>),
    Links,
}

/// One downlink operation from request to answer.
pub(super) struct Call<'a> {
    pub(super) core: &'a Core,
    pub(super) device: Device,
    pub(super) choices: Choices,
    pub(super) path: Path,
    operation: &'static str,
    started: Instant,
}

impl<'a> Call<'a> {
    pub(super) async fn start(
        core: &'a Core,
        endpoint: &str,
        operation: &'static str,
        path: Path,
        query: Option<&str>,
        known: &[&str],
    ) -> Result<Call<'a>, Refusal> {
        let choices = Choices::read(core, &Query::parse(query, known)?)?;
        let device = input::device(core, endpoint).await?;
        let version = device.registration.details.version;
        if choices.format == Some(Format::Json) && version >= lightship_lwm2m::Version::V1_1 {
            let detail = format!("a device of LwM2M {version} must not be asked for json");
            return Err(Refusal::new(ProblemType::InvalidParameter, detail));
        }
        Ok(Call { core, device, choices, path, operation, started: core.clock.now() })
    }

    pub(super) fn details(&self) -> &lightship_server::Details {
        &self.device.registration.details
    }

    /// What is left of the caller's time.
    pub(super) fn left(&self) -> Duration {
        let spent = self.core.clock.now().saturating_duration_since(self.started);
        self.choices.wait.saturating_sub(spent)
    }

    /// Sends one request and waits for the device's answer within what is left of the caller's time.
    pub(super) async fn ask(&self, operation: Operation) -> Result<Response, Refusal> {
        let wait = self.left();
        let inbox = self.core.inbox(self.device.shard).ok_or_else(overloaded)?;
        let reply = inbox
            .request(self.details().endpoint.clone(), operation, Wait::awake(wait))
            .map_err(|_| overloaded())?;
        self.outcome(reply.await.map_err(|_| overloaded())?)
    }

    pub(super) fn outcome(&self, result: Result<Outcome, RequestError>) -> Result<Response, Refusal> {
        let no_answer = |detail: &str| Refusal::new(ProblemType::NoAnswer, detail);
        match result.map_err(|error| refused(error, &self.device))? {
            Outcome::Response(response) => Ok(response),
            Outcome::Timeout => Err(no_answer("")),
            Outcome::Reset => Err(no_answer("the device rejected the message with a Reset")),
            Outcome::Broken => Err(no_answer(
                "the device's answer does not fit together, or is larger than the server takes",
            )),
            Outcome::Deregistered => Err(Refusal::new(
                ProblemType::EndpointNotRegistered,
                "the registration ended before the answer came",
            )),
            Outcome::Cancelled | _ => Err(overloaded()),
        }
    }

    /// The answer for the caller.
    pub(super) fn answer(&self, response: &Response, payload: Payload<'_>) -> Answer {
        let answer = self.shape(response, payload);
        json(StatusCode::OK, &answer)
    }

    pub(super) fn shape(&self, response: &Response, payload: Payload<'_>) -> DownlinkAnswer {
        let elapsed = self.core.clock.now().saturating_duration_since(self.started);
        let mut answer = DownlinkAnswer {
            operation: self.operation.to_owned(),
            path: self.path.to_string(),
            code: response.code.to_string(),
            format: response.content_format.map(content::format_name),
            elapsed_ms: u64::try_from(elapsed.as_millis()).unwrap_or(u64::MAX),
            content: None,
            location: None,
            diagnostic: None,
            undecoded: None,
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
            Payload::Data(asked) | Payload::Several(_, asked) => asked,
        };
        let definitions = self.core.models.snapshot();
        let registration = &self.device.registration;
        let dialect = Dialect { definitions: &definitions, registration, now: self.core.now() };
        let bytes = content::Payload { asked, format, bytes: &response.payload };
        let (content, deviations) = if let Payload::Several(paths, _) = payload {
            let decoded = dialect.several(paths, bytes)?;
            (Some(AnswerContent::Nodes { nodes: decoded.nodes }), decoded.deviations)
        } else {
            let decoded = dialect.nodes(self.path, bytes)?;
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
        self.operation.starts_with("observe")
    }

    /// The formats to try, best first.
    pub(super) fn candidates(&self, purpose: Use) -> Vec<Format> {
        content::candidates(self.details(), self.device.speaks, purpose)
    }

    /// Remembers a format that the device is known to speak, unless the caller has demanded it.
    pub(super) fn spoke(&self, format: Format) {
        if self.choices.format.is_none() && !format.is_single_value() && self.device.speaks != Some(format) {
            let registration = &self.device.registration;
            let id = Some(registration.id);
            self.core
                .directory
                .change(&registration.details.endpoint, id, |device| device.speaks = Some(format));
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

const DIAGNOSTIC_LEN_MAX: usize = 1024;
