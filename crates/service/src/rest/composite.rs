//! Composite operations: several nodes of a device at once (LwM2M 1.1).

use std::collections::BTreeSet;
use std::sync::Arc;

use axum::extract::{Path as Parts, RawQuery, Request, State};
use axum::http::StatusCode;
use lightship_api::convert::Entry;
use lightship_api::{CompositeReadBody, Node, Problem, ProblemType, Unknown};
use lightship_lwm2m::format::{Format, Use};
use lightship_lwm2m::{Path, Version};
use lightship_server::{Code, ContentFormat, Operation, Response};
use lightship_store::{WantedKey, WantedObservation};

use super::Refusal;
use super::downlink::{Call, Payload};
use super::input::{self, DOWNLINK};
use super::observations::{end, needs, run};
use super::reply::{Answer, json};
use super::write::{deliver, shape, typed};
use crate::content;
use crate::core::Core;

/// POST …/composite/read
pub(crate) async fn read(
    State(core): State<Arc<Core>>,
    Parts(endpoint): Parts<String>,
    RawQuery(query): RawQuery,
    request: Request,
) -> Answer {
    let call = start(&core, &endpoint, "read-composite", query.as_deref()).await?;
    let paths = paths(&core, request).await?;
    let chosen = chosen(&call, Use::CompositeRead)?;
    let mut accept = chosen.or_else(|| call.candidates(Use::CompositeRead).first().copied());
    let mut lists = content::list_formats(call.details(), chosen.map(Format::number), call.device.speaks);
    lists.reverse();
    let mut list = lists.pop();
    loop {
        let response = ask(&call, &paths, list, accept).await?;
        let other_list = lists.last().copied();
        if response.code == Code::NOT_ACCEPTABLE && chosen.is_none() && accept.is_some() {
            // The last word is the device's own choice.
            accept = None;
        } else if response.code == Code::UNSUPPORTED_CONTENT_FORMAT && other_list.is_some() {
            list = lists.pop();
        } else {
            let asked = accept.map(|format| ContentFormat(format.number()));
            return call.answer(&response, Payload::Several(&paths, asked));
        }
    }
}

async fn ask(
    call: &Call<'_>,
    paths: &[Path],
    list: Option<Format>,
    accept: Option<Format>,
) -> Result<Response, Refusal> {
    let content = content::path_list(call.details(), list.unwrap_or(Format::SenmlCbor), paths)
        .map_err(|error| Refusal::new(ProblemType::DoesNotFit, error.to_string()))?;
    let accept = accept.map(|format| ContentFormat(format.number()));
    call.ask(Operation::ReadComposite { content, accept }).await
}

/// POST …/composite/write
pub(crate) async fn write(
    State(core): State<Arc<Core>>,
    Parts(endpoint): Parts<String>,
    RawQuery(query): RawQuery,
    request: Request,
) -> Answer {
    let call = start(&core, &endpoint, "write-composite", query.as_deref()).await?;
    let (head, body) = request.into_parts();
    let body = input::body(&core, body).await?;
    // The shape alone; the nodes are read one by one, so that a mistake can be told by its place.
    let json_body: serde_json::Value = input::json(&head.headers, &body)?;
    let entries = entries(&call, &json_body)?;
    let formats = match chosen(&call, Use::CompositeWrite)? {
        Some(format) => vec![format],
        None => call.candidates(Use::CompositeWrite),
    };
    let make = |content| Operation::WriteComposite { content };
    let (response, format) = deliver(&call, &formats, Path::ROOT, &entries, make).await?;
    if response.code.is_success() {
        call.spoke(format);
    }
    json(StatusCode::OK, &shape(&call, &response, format))
}

/// The typed values of all nodes in the order of their paths, none twice.
fn entries(call: &Call<'_>, body: &serde_json::Value) -> Result<Vec<Entry>, Refusal> {
    let malformed =
        |detail: &str, at: String| Refusal(Problem::new(ProblemType::MalformedBody, detail).at(at));
    let members = body.as_object().ok_or_else(|| malformed("expected an object", String::new()))?;
    if let Some(other) = members.keys().find(|name| *name != "nodes") {
        return Err(malformed("only `nodes` is known here", format!("/{other}")));
    }
    let nodes = members.get("nodes").and_then(serde_json::Value::as_array);
    let nodes = nodes.ok_or_else(|| malformed("expected a list of nodes", "/nodes".to_owned()))?;
    count(nodes.len(), "/nodes")?;
    let mut entries = Vec::new();
    for (index, node) in nodes.iter().enumerate() {
        let at = format!("/nodes/{index}");
        let node = Node::from_json(node, Unknown::Refuse)
            .map_err(|error| malformed(&error.message, format!("{at}{}", error.pointer)))?;
        let path = node.path.as_deref().ok_or_else(|| malformed("the path is missing", at.clone()))?;
        let path: Path = path.parse().map_err(|_| malformed("this is no path", format!("{at}/path")))?;
        if path.is_root() {
            return Err(malformed("the root holds no values", format!("{at}/path")));
        }
        entries.extend(typed(call, &node, path, &at)?);
    }
    // What holds nothing cannot be said, and need not be: a Write-Composite leaves alone what it does not name.
    entries.retain(|entry| entry.value.is_some());
    entries.sort_by_key(|entry| entry.path);
    let twice = entries.windows(2).find_map(|pair| match pair {
        [one, two] if one.path == two.path => Some(one.path),
        _ => None,
    });
    if let Some(path) = twice {
        return Err(malformed(&format!("{path} is given twice"), "/nodes".to_owned()));
    }
    if entries.is_empty() {
        return Err(malformed("there is nothing to write", "/nodes".to_owned()));
    }
    Ok(entries)
}

/// PUT …/composite/observations/{name}
pub(crate) async fn observe(
    State(core): State<Arc<Core>>,
    Parts((endpoint, name)): Parts<(String, String)>,
    RawQuery(query): RawQuery,
    request: Request,
) -> Answer {
    let name = named(name)?;
    let call = start(&core, &endpoint, "observe-composite", query.as_deref()).await?;
    let paths = paths(&core, request).await?;
    let accept = chosen(&call, Use::CompositeRead)?.map(Format::number);
    let key = WantedKey::Name(name);
    run(&call, WantedObservation { key, paths, accept, attributes: Vec::new() }).await
}

/// DELETE …/composite/observations/{name}
pub(crate) async fn cancel(
    State(core): State<Arc<Core>>,
    Parts((endpoint, name)): Parts<(String, String)>,
    RawQuery(query): RawQuery,
) -> Answer {
    let name = named(name)?;
    let call = start(&core, &endpoint, "cancel-composite", query.as_deref()).await?;
    end(&call, WantedKey::Name(name)).await
}

async fn start<'a>(
    core: &'a Core,
    endpoint: &str,
    operation: &'static str,
    query: Option<&str>,
) -> Result<Call<'a>, Refusal> {
    let call = Call::start(core, endpoint, operation, Path::ROOT, query, DOWNLINK).await?;
    needs(&call, Version::V1_1, "composite operations")?;
    Ok(call)
}

/// The format that the caller demands, if it can hold several nodes.
fn chosen(call: &Call<'_>, purpose: Use) -> Result<Option<Format>, Refusal> {
    let Some(format) = call.choices.format else { return Ok(None) };
    if format.is_for(purpose, Version::V1_2) {
        return Ok(Some(format));
    }
    let detail =
        format!("format {format} cannot hold several nodes; known here: senml-json senml-cbor lwm2m-cbor");
    Err(Refusal::new(ProblemType::InvalidParameter, detail))
}

/// The paths of a body, none twice.
async fn paths(core: &Core, request: Request) -> Result<Vec<Path>, Refusal> {
    let (head, body) = request.into_parts();
    let body = input::body(core, body).await?;
    let body: CompositeReadBody = input::json(&head.headers, &body)?;
    count(body.paths.len(), "/paths")?;
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
    body.paths.iter().enumerate().map(path).collect()
}

fn count(count: usize, at: &str) -> Result<(), Refusal> {
    if (1..=MEMBERS_MAX).contains(&count) {
        return Ok(());
    }
    let detail = format!("from 1 to {MEMBERS_MAX} are taken, not {count}");
    Err(Refusal(Problem::new(ProblemType::MalformedBody, detail).at(at)))
}

fn named(name: String) -> Result<String, Refusal> {
    let fits = (1..=NAME_LEN_MAX).contains(&name.len()) && !name.contains(char::is_control);
    let detail = format!("a name has from 1 to {NAME_LEN_MAX} bytes and no control characters");
    fits.then_some(name).ok_or_else(|| Refusal::new(ProblemType::MalformedRequest, detail))
}

/// Paths or nodes in one operation.
const MEMBERS_MAX: usize = 1000;
const NAME_LEN_MAX: usize = 64;
