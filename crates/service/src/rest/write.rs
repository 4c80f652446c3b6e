//! Write and Create: a Node in the body becomes a payload that the device understands.

use std::sync::Arc;

use axum::body::Body;
use axum::extract::{Path as Parts, RawQuery, Request, State};
use axum::http::{HeaderMap, StatusCode};
use lightship_api::convert::{self, ConvertError, Entry};
use lightship_api::{Content as NodeContent, DownlinkAnswer, Node, NodeError, Problem, ProblemType};
use lightship_lwm2m::format::Use;
use lightship_lwm2m::{Format, Path};
use lightship_server::{Code, Content, ContentFormat, Operation, Response};

use super::Refusal;
use super::downlink::{Call, Payload, single_fits};
use super::input::{self, DOWNLINK};
use super::reply::{Answer, json};
use crate::content;
use crate::core::Core;
use crate::models;

/// PUT …/resources/{path}
pub(crate) async fn replace(
    State(core): State<Arc<Core>>,
    Parts((endpoint, path)): Parts<(String, String)>,
    RawQuery(query): RawQuery,
    request: Request,
) -> Answer {
    write(&core, &endpoint, &path, query.as_deref(), request, |path, content| Operation::Replace {
        path,
        content,
    })
    .await
}

/// PATCH …/resources/{path}
pub(crate) async fn partial_update(
    State(core): State<Arc<Core>>,
    Parts((endpoint, path)): Parts<(String, String)>,
    RawQuery(query): RawQuery,
    request: Request,
) -> Answer {
    let make = |path, content| Operation::PartialUpdate { path, content };
    write(&core, &endpoint, &path, query.as_deref(), request, make).await
}

async fn write(
    core: &Core,
    endpoint: &str,
    path: &str,
    query: Option<&str>,
    request: Request,
    make: fn(Path, Content) -> Operation,
) -> Answer {
    let path = input::path(path, 2..=4, "Write")?;
    let call = Call::start(core, endpoint, "write", path, query, DOWNLINK).await?;
    let (head, body) = request.into_parts();
    let node = node(core, &head.headers, body).await?;
    if let Some(said) = &node.path
        && said.parse() != Ok(path)
    {
        return Err(misplaced(said, path));
    }
    let entries = typed(&call, &node, path, "")?;
    let formats = match call.choices.format {
        Some(format) => vec![single_fits(format, path)?],
        None => call.candidates(Use::Write),
    };
    let (response, format) = deliver(&call, &formats, path, &entries, |content| make(path, content)).await?;
    if response.code.is_success() {
        call.spoke(format);
    }
    json(StatusCode::OK, &shape(&call, &response, format))
}

/// POST …/resources/{objectId}
pub(crate) async fn create(
    State(core): State<Arc<Core>>,
    Parts((endpoint, path)): Parts<(String, String)>,
    RawQuery(query): RawQuery,
    request: Request,
) -> Answer {
    let object = input::path(&path, 1..=1, "Create")?;
    let call = Call::start(&core, &endpoint, "create", object, query.as_deref(), DOWNLINK).await?;
    let (head, body) = request.into_parts();
    let node = node(&core, &head.headers, body).await?;
    let said: Option<Path> = match &node.path {
        Some(text) => Some(text.parse().map_err(|_| misplaced(text, object))?),
        None => None,
    };
    let instance = said.filter(|path| path.len() == 2);
    let inside = said.is_none_or(|path| object.contains(path) && path.len() <= 2);
    if !inside || (instance.is_some() && matches!(node.content, NodeContent::ObjectInstances(_))) {
        return Err(misplaced(node.path.as_deref().unwrap_or_default(), object));
    }
    let mut formats = match call.choices.format {
        Some(format) => vec![single_fits(format, object)?],
        None => call.candidates(Use::Write),
    };
    let chosen = match (&node.content, instance) {
        (NodeContent::ObjectInstances(_), _) => None,
        (_, Some(instance)) => Some(instance),
        (_, None) => {
            if call.choices.format.is_none() {
                // Only TLV can leave the choice of the ID to the device.
                formats.retain(|format| *format != Format::Tlv);
                formats.insert(0, Format::Tlv);
            }
            Some(free_instance(&call, object)?)
        }
    };
    let entries = typed(&call, &node, chosen.unwrap_or(object), "")?;
    let leaves_choice = instance.is_none() && chosen.is_some();
    let make = |content| Operation::Create { path: object, content: Some(content) };
    let first = formats.first().copied();
    let (response, format) = match (leaves_choice, chosen, first) {
        (true, Some(base), Some(Format::Tlv)) => {
            // The Resources alone, without an instance around them.
            let tried = deliver(&call, &[Format::Tlv], base, &entries, make).await?;
            let more = formats.get(1..).unwrap_or_default();
            if tried.0.code == Code::UNSUPPORTED_CONTENT_FORMAT && !more.is_empty() {
                deliver(&call, more, object, &entries, make).await?
            } else {
                // TLV was our need, not the device's wish: it is not remembered.
                tried
            }
        }
        _ => deliver(&call, &formats, object, &entries, make).await?,
    };
    let mut answer = shape(&call, &response, format);
    if answer.location.is_none() && response.code == Code::CREATED {
        answer.location = instance.map(|path| path.to_string());
    }
    json(if response.code == Code::CREATED { StatusCode::CREATED } else { StatusCode::OK }, &answer)
}

/// The answer, with the format of the request where the device's answer has none.
pub(super) fn shape(call: &Call<'_>, response: &Response, format: Format) -> DownlinkAnswer {
    let mut answer = call.shape(response, Payload::None);
    answer.format.get_or_insert_with(|| format.as_str().to_owned());
    answer
}

/// An instance of the object that the device has not listed.
fn free_instance(call: &Call<'_>, object: Path) -> Result<Path, Refusal> {
    let taken: Vec<Path> = call.details().objects.objects.iter().map(|link| link.path).collect();
    let free = (0..u16::MAX).filter_map(|id| object.child(id)).find(|path| !taken.contains(path));
    free.ok_or_else(|| Refusal::new(ProblemType::Conflict, "every instance ID is taken"))
}

async fn node(core: &Core, headers: &HeaderMap, body: Body) -> Result<Node, Refusal> {
    let bytes = input::body(core, body).await?;
    input::node(headers, &bytes)
}

/// The node's values in the types of the object definition in the version that the device registered.
///
/// `at` is where the node stands in the body.
pub(super) fn typed(call: &Call<'_>, node: &Node, base: Path, at: &str) -> Result<Vec<Entry>, Refusal> {
    let definitions = call.core.models.snapshot();
    let expected = |path: Path| models::expected(&definitions, call.device.object_version(path), path);
    convert::entries(node, base, &expected).map_err(|error| match error {
        ConvertError::Shape(error) => place(ProblemType::MalformedBody, error, at),
        ConvertError::DoesNotFit(error) => place(ProblemType::DoesNotFit, error, at),
    })
}

/// Sends the entries in the first format that can say them and that the device takes.
pub(super) async fn deliver(
    call: &Call<'_>,
    formats: &[Format],
    base: Path,
    entries: &[Entry],
    make: impl Fn(Content) -> Operation,
) -> Result<(Response, Format), Refusal> {
    let mut why = None;
    let mut answer = None;
    for format in formats.iter().copied() {
        let payload = match content::encode(call.details(), format, base, entries) {
            Ok(payload) => payload,
            Err(error) => {
                why = Some(format!("format {format}: {error}"));
                continue;
            }
        };
        let content = Content { format: ContentFormat(format.number()), payload: payload.into() };
        let response = call.ask(make(content)).await?;
        let refused = response.code == Code::UNSUPPORTED_CONTENT_FORMAT;
        answer = Some((response, format));
        if !refused {
            break;
        }
    }
    answer.ok_or_else(|| Refusal::new(ProblemType::DoesNotFit, why.unwrap_or_default()))
}

fn misplaced(said: &str, path: Path) -> Refusal {
    let problem =
        Problem::new(ProblemType::MalformedBody, format!("the node says {said}, the address {path}"));
    Refusal(problem.at("/path"))
}

fn place(kind: ProblemType, error: NodeError, at: &str) -> Refusal {
    Refusal(Problem::new(kind, error.message).at(format!("{at}{}", error.pointer)))
}
