//! Composite operations: several nodes of a device at once (LwM2M 1.1).

use lightship_api::convert::Entry;
use lightship_api::{AnswerContent, AttributesBody, DownlinkAnswer, Node, Problem, ProblemType, Unknown};
use lightship_lwm2m::format::{Format, Use};
use lightship_lwm2m::object::Operations;
use lightship_lwm2m::{AttributeName, Path, Version};
use lightship_server::{Code, ContentFormat, Operation};
use lightship_store::{WantedKey, WantedObservation};

use super::Refusal;
use super::call::{Call, Payload};
use super::check::{addressable, allowed};
use super::downlink;
use super::input::Check;
use super::observations::{end, run};
use super::order::{Done, Verb};
use super::write::{deliver, deliver_with, shape, typed};
use crate::content;

/// Read-Composite.
pub(super) async fn read(call: &Call<'_>, paths: &[Path]) -> Result<Done, Refusal> {
    let alone = call.choices.fallback && !paths.iter().any(|path| path.is_root());
    if alone && call.device.no_composites {
        return read_alone(call, paths).await;
    }
    let chosen = chosen(call, Verb::ReadComposite)?;
    let mut accept = chosen.or_else(|| call.candidates(Use::CompositeRead).first().copied());
    let mut lists = call.list_formats(chosen.map(Format::number)).into_iter();
    let mut list = lists.next().unwrap_or(Format::SenmlCbor);
    // Some devices that know no FETCH never answer it: something of the time is left for other ways.
    let wait = if alone { call.left() / 2 } else { call.left() };
    loop {
        let content = content::path_list(call.details(), list, paths)
            .map_err(|error| Refusal::new(ProblemType::DoesNotFit, error.to_string()))?;
        let asked = accept.map(|format| ContentFormat(format.number()));
        let operation = Operation::ReadComposite { content, accept: asked };
        let response = match call.ask_within(operation, wait.min(call.left())).await {
            Ok(response) => response,
            Err(refusal) if alone && refusal.is(ProblemType::NoAnswer) => {
                return learn_alone(call, paths).await;
            }
            Err(refusal) => return Err(refusal),
        };
        if response.code == Code::NOT_ACCEPTABLE && chosen.is_none() && accept.is_some() {
            // The last word is the device's own choice.
            accept = None;
            continue;
        }
        if response.code == Code::UNSUPPORTED_CONTENT_FORMAT
            && let Some(other) = lists.next()
        {
            list = other;
            if chosen.is_none()
                && accept.is_some()
                && other.is_for(Use::CompositeRead, call.details().version)
            {
                accept = Some(other);
            }
            continue;
        }
        if alone && is_unknown(response.code) {
            return learn_alone(call, paths).await;
        }
        if response.code.is_success() {
            took_list(call, list);
        }
        return Ok(call.answer(&response, Payload::Several(paths, asked)));
    }
}

/// Whether a device answers so to what it does not know.
fn is_unknown(code: Code) -> bool {
    code == Code::METHOD_NOT_ALLOWED || code == Code::NOT_IMPLEMENTED
}

/// Remembers how the device takes lists of paths.
pub(super) fn took_list(call: &Call<'_>, list: Format) {
    if call.device.list_format != Some(list) || call.device.no_composites {
        call.note(|device| {
            device.list_format = Some(list);
            device.no_composites = false;
        });
    }
}

/// Reads the paths one by one, and remembers that the device knows no other way if it answers.
async fn learn_alone(call: &Call<'_>, paths: &[Path]) -> Result<Done, Refusal> {
    let done = read_alone(call, paths).await?;
    call.note(|device| device.no_composites = true);
    Ok(done)
}

/// Reads the paths one by one; like a Read-Composite it leaves out what the device does not give.
async fn read_alone(call: &Call<'_>, paths: &[Path]) -> Result<Done, Refusal> {
    let accept = call.choices.format.or_else(|| call.candidates(Use::Read).first().copied());
    let mut nodes = Vec::new();
    let mut last: Option<DownlinkAnswer> = None;
    for path in paths {
        let mut asked = accept.map(|format| ContentFormat(format.number()));
        let mut response = call.ask(Operation::Read { path: *path, accept: asked }).await?;
        if response.code == Code::NOT_ACCEPTABLE && call.choices.format.is_none() {
            asked = None;
            response = call.ask(Operation::Read { path: *path, accept: None }).await?;
        }
        let mut answer = call.shape(&response, Payload::One(*path, asked));
        if let Some(AnswerContent::Node(node)) = answer.content.take() {
            nodes.push(node);
        }
        // One good answer makes the whole a good one.
        if last.as_ref().is_none_or(|last| !last.code.starts_with('2')) || answer.undecoded.is_some() {
            last = Some(answer);
        }
    }
    let mut answer = last.ok_or_else(|| Refusal::new(ProblemType::Internal, "nothing was asked"))?;
    if answer.code.starts_with('2') {
        answer.content = Some(AnswerContent::Nodes { nodes });
    }
    answer.fallback = Some("single-reads".to_owned());
    Ok(Done::Answered(answer))
}

/// Write-Composite.
pub(super) async fn write(call: &Call<'_>, body: &serde_json::Value) -> Result<Done, Refusal> {
    let entries = entries(call, body)?;
    let make = |content| Operation::WriteComposite { content };
    let removes = entries.iter().any(|entry| entry.value.is_none());
    let chosen = chosen(call, Verb::WriteComposite)?;
    let (response, format) = if removes {
        let encode = |format, entries: &[Entry]| content::encode_patch(call.details(), format, entries);
        deliver_with(call, &patch_formats(call, chosen), &entries, encode, make).await?
    } else {
        let formats = chosen.map_or_else(|| call.candidates(Use::CompositeWrite), |format| vec![format]);
        deliver(call, &formats, Path::ROOT, &entries, make).await?
    };
    if response.code.is_success() && !removes {
        call.spoke(format);
    }
    Ok(Done::Answered(shape(call, &response, format)))
}

/// The formats that can remove something: SenML-ETCH, like the one chosen or the one that the device speaks.
fn patch_formats(call: &Call<'_>, chosen: Option<Format>) -> Vec<Format> {
    match chosen.or(call.device.speaks) {
        Some(Format::SenmlJson) if chosen.is_some() => vec![Format::SenmlEtchJson],
        Some(Format::SenmlCbor) if chosen.is_some() => vec![Format::SenmlEtchCbor],
        Some(Format::SenmlJson) => vec![Format::SenmlEtchJson, Format::SenmlEtchCbor],
        _ => vec![Format::SenmlEtchCbor, Format::SenmlEtchJson],
    }
}

/// The typed values of all nodes in the order of their paths, none twice.
pub(super) fn entries(call: &Call<'_>, body: &serde_json::Value) -> Result<Vec<Entry>, Refusal> {
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
    let mut removed = Vec::new();
    for (index, node) in nodes.iter().enumerate() {
        let at = format!("/nodes/{index}");
        if let Some(path) = removal(call, node, &at)? {
            removed.push(Entry { path, value: None });
            continue;
        }
        let node = Node::from_json(node, Unknown::Refuse)
            .map_err(|error| malformed(&error.message, format!("{at}{}", error.pointer)))?;
        let path = node.path.as_deref().ok_or_else(|| malformed("the path is missing", at.clone()))?;
        let path: Path = path.parse().map_err(|_| malformed("this is no path", format!("{at}/path")))?;
        if path.is_root() {
            return Err(malformed("the root holds no values", format!("{at}/path")));
        }
        for entry in typed(call, &node, path, &at)? {
            allowed(call, entry.path, Operations::WRITE, &at)?;
            entries.push(entry);
        }
    }
    // What holds nothing cannot be said, and need not be: a Write-Composite leaves alone what it does not name.
    entries.retain(|entry| entry.value.is_some());
    entries.append(&mut removed);
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

/// The Resource Instance that a node with `"value": null` removes.
fn removal(call: &Call<'_>, node: &serde_json::Value, at: &str) -> Result<Option<Path>, Refusal> {
    if !node.get("value").is_some_and(serde_json::Value::is_null) {
        return Ok(None);
    }
    let refuse = |kind, detail: &str| Refusal(Problem::new(kind, detail).at(at));
    let malformed = |detail: &str| refuse(ProblemType::MalformedBody, detail);
    let known = |name: &String| ["path", "value"].contains(&name.as_str());
    if !node.as_object().is_some_and(|members| members.keys().all(known)) {
        return Err(malformed("what is removed has a path, the value null, and nothing else"));
    }
    let path = node.get("path").and_then(serde_json::Value::as_str).unwrap_or_default();
    let path: Path = path.parse().map_err(|_| malformed("the path is missing or none"))?;
    addressable(call, path, &format!("{at}/path"))?;
    if path.len() != 4 {
        let detail = format!("{path} is no Resource Instance, and only these can be removed");
        return Err(refuse(ProblemType::DoesNotFit, &detail));
    }
    call.needs(Version::V1_2, "way to remove something in a Write-Composite")?;
    if chosen(call, Verb::WriteComposite)? == Some(Format::Lwm2mCbor) {
        return Err(refuse(
            ProblemType::DoesNotFit,
            "format lwm2m-cbor cannot remove anything; use senml-cbor",
        ));
    }
    allowed(call, path, Operations::WRITE, at)?;
    Ok(Some(path))
}

/// Observe-Composite.
pub(super) async fn observe(
    call: &Call<'_>,
    name: &str,
    paths: &[Path],
    body: &AttributesBody,
) -> Result<Done, Refusal> {
    let attributes = attributes(call, body)?;
    let accept = chosen(call, Verb::ObserveComposite)?.map(Format::number);
    let key = WantedKey::Name(name.to_owned());
    let mut wanted = WantedObservation { key, paths: paths.to_vec(), accept, attributes };
    let done = run(call, &wanted).await?;
    let Done::Answered(answer) = &done else { return Ok(done) };
    // TS_Core 1.2 wants attributes in the query; devices that do not take them there may take them beforehand.
    let refused = [Code::BAD_OPTION, Code::BAD_REQUEST, Code::METHOD_NOT_ALLOWED];
    let refused = refused.iter().any(|code| code.to_string() == answer.code);
    if wanted.attributes.is_empty() || !refused || !call.choices.fallback {
        return Ok(done);
    }
    for path in paths {
        let attributes = wanted.attributes.clone();
        let response = call.ask(Operation::WriteAttributes { path: *path, attributes }).await?;
        if !response.code.is_success() {
            return Ok(done);
        }
    }
    wanted.attributes.clear();
    let mut done = run(call, &wanted).await?;
    if let Done::Answered(answer) = &mut done {
        answer.fallback = Some("write-attributes".to_owned());
    }
    Ok(done)
}

/// The query of an Observe-Composite: only what every level of the tree has, and nothing to unset.
pub(super) fn attributes(call: &Call<'_>, body: &AttributesBody) -> Result<Vec<String>, Refusal> {
    if body.attributes.is_empty() {
        return Ok(Vec::new());
    }
    call.needs(Version::V1_2, "attributes in an Observe-Composite (PUT …/attributes writes them)")?;
    for (name, value) in &body.attributes {
        let refuse =
            |kind, detail: &str| Refusal(Problem::new(kind, detail).at(format!("/attributes/{name}")));
        if value.is_none() {
            return Err(refuse(ProblemType::MalformedBody, "there is nothing to unset in an Observe"));
        }
        if call.choices.check != Check::Nothing && !COMPOSITE_ATTRIBUTES.contains(&name.as_str()) {
            let known = AttributeName::from_text(name).is_some();
            let why = if known { "goes with one path, not with several" } else { "is not known" };
            let detail =
                format!("the attribute {name} {why}; known here: {}", COMPOSITE_ATTRIBUTES.join(" "));
            return Err(refuse(ProblemType::DoesNotFit, &detail));
        }
    }
    downlink::attributes(call, body, "/attributes")
}

/// Cancel-Composite.
pub(super) async fn cancel(call: &Call<'_>, name: &str) -> Result<Done, Refusal> {
    end(call, WantedKey::Name(name.to_owned())).await
}

/// The format that the caller demands, if it can hold several nodes.
pub(super) fn chosen(call: &Call<'_>, verb: Verb) -> Result<Option<Format>, Refusal> {
    let Some(format) = call.choices.format else { return Ok(None) };
    let purpose = if verb == Verb::WriteComposite { Use::CompositeWrite } else { Use::CompositeRead };
    if format.is_for(purpose, Version::V1_2) {
        return Ok(Some(format));
    }
    let detail =
        format!("format {format} cannot hold several nodes; known here: senml-json senml-cbor lwm2m-cbor");
    Err(Refusal::new(ProblemType::InvalidParameter, detail))
}

/// Refuses too few and too many members of a list.
pub(super) fn count(count: usize, at: &str) -> Result<(), Refusal> {
    if (1..=MEMBERS_MAX).contains(&count) {
        return Ok(());
    }
    let detail = format!("from 1 to {MEMBERS_MAX} are taken, not {count}");
    Err(Refusal(Problem::new(ProblemType::MalformedBody, detail).at(at)))
}

/// Paths or nodes in one operation.
const MEMBERS_MAX: usize = 1000;
/// What an Observe-Composite may carry (TS_Core 1.2, 6.4.5).
const COMPOSITE_ATTRIBUTES: [&str; 5] = ["pmin", "pmax", "epmin", "epmax", "con"];
