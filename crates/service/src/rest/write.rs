//! Write and Create: a Node in the body becomes a payload that the device understands.

use std::slice;

use lightship_api::convert::{self, ConvertError, Entry};
use lightship_api::{Content as NodeContent, DownlinkAnswer, Node, NodeError, Problem, ProblemType};
use lightship_lwm2m::format::{EncodeError, Use};
use lightship_lwm2m::object::Operations;
use lightship_lwm2m::{Format, Path};
use lightship_server::{Code, Content, ContentFormat, Operation, Response};

use super::Refusal;
use super::call::{Call, Payload};
use super::check::{addressable, allowed};
use super::input::Check;
use super::order::{Done, Verb};
use crate::content;
use crate::models;

/// Write, Replace or Partial Update.
pub(super) async fn write(call: &Call<'_>, node: &Node, verb: Verb) -> Result<Done, Refusal> {
    let path = call.path;
    let entries = replacement(call, node)?;
    let formats = match call.choices.format {
        Some(format) => vec![format],
        None => call.candidates(Use::Write),
    };
    let make = |content| {
        if verb == Verb::PartialUpdate {
            Operation::PartialUpdate { path, content }
        } else {
            Operation::Replace { path, content }
        }
    };
    let (response, format) = deliver(call, &formats, path, &entries, make).await?;
    if response.code.is_success() {
        call.spoke(format);
    }
    Ok(Done::Answered(shape(call, &response, format)))
}

/// The values of a Write.
pub(super) fn replacement(call: &Call<'_>, node: &Node) -> Result<Vec<Entry>, Refusal> {
    if let Some(said) = &node.path
        && said.parse() != Ok(call.path)
    {
        return Err(misplaced(said, call.path));
    }
    let entries = typed(call, node, call.path, "")?;
    for entry in &entries {
        allowed(call, entry.path, Operations::WRITE, "")?;
    }
    Ok(entries)
}

/// What a Create shall make.
pub(super) struct Creation {
    entries: Vec<Entry>,
    /// The instance that the caller names.
    named: Option<Path>,
    /// The instance that the values stand in.
    chosen: Option<Path>,
    formats: Vec<Format>,
}

/// Reads what a Create shall make.
pub(super) fn creation(call: &Call<'_>, node: &Node) -> Result<Creation, Refusal> {
    let object = call.path;
    let said: Option<Path> = match &node.path {
        Some(text) => Some(text.parse().map_err(|_| misplaced(text, object))?),
        None => None,
    };
    let named = said.filter(|path| path.len() == 2);
    let inside = said.is_none_or(|path| object.contains(path) && path.len() <= 2);
    if !inside || (named.is_some() && matches!(node.content, NodeContent::ObjectInstances(_))) {
        return Err(misplaced(node.path.as_deref().unwrap_or_default(), object));
    }
    let mut formats = match call.choices.format {
        Some(format) => vec![format],
        None => call.candidates(Use::Write),
    };
    let chosen = match (&node.content, named) {
        (NodeContent::ObjectInstances(_), _) => None,
        (_, Some(instance)) => Some(instance),
        (_, None) => {
            if call.choices.format.is_none() {
                // Only TLV can leave the choice of the ID to every device.
                formats.retain(|format| *format != Format::Tlv);
                formats.insert(0, Format::Tlv);
            }
            Some(free_instance(call, object)?)
        }
    };
    let entries = typed(call, node, chosen.unwrap_or(object), "")?;
    let leaves_choice = named.is_none() && chosen.is_some();
    if !leaves_choice && entries.iter().any(|entry| entry.path.len() == 2) {
        // An instance without values: the other formats have no word for it, and the device would choose the ID.
        if let Some(format) = call.choices.format.filter(|format| *format != Format::Tlv) {
            let detail = format!("format {format} cannot name an Object Instance without values; use tlv");
            return Err(Refusal::new(ProblemType::DoesNotFit, detail));
        }
        formats = vec![Format::Tlv];
    }
    Ok(Creation { entries, named, chosen, formats })
}

/// Create.
pub(super) async fn create(call: &Call<'_>, node: &Node) -> Result<Done, Refusal> {
    let object = call.path;
    let Creation { entries, named, chosen, formats } = creation(call, node)?;
    let leaves_choice = named.is_none() && chosen.is_some();
    let make = |content| Operation::Create { path: object, content: Some(content) };
    let first = formats.first().copied();
    let (response, format) = match (leaves_choice, chosen, first) {
        (true, Some(base), Some(Format::Tlv)) => {
            // The Resources alone, without an instance around them.
            let tried = deliver(call, &[Format::Tlv], base, &entries, make).await?;
            let more = formats.get(1..).unwrap_or_default();
            if tried.0.code == Code::UNSUPPORTED_CONTENT_FORMAT && !more.is_empty() {
                deliver(call, more, object, &entries, make).await?
            } else {
                // TLV was our need, not the device's wish: it is not remembered.
                tried
            }
        }
        _ => deliver(call, &formats, object, &entries, make).await?,
    };
    let mut answer = shape(call, &response, format);
    if response.code != Code::CREATED {
        return Ok(Done::Answered(answer));
    }
    if answer.location.is_none() {
        // A payload that names the instance made that one; bare values in TLV and no values leave the choice to the device.
        let says = format != Format::Tlv && entries.iter().any(|entry| entry.path.len() > 2);
        answer.location = chosen.filter(|_| !leaves_choice || says).map(|path| path.to_string());
    }
    if let NodeContent::ObjectInstances(instances) = &node.content {
        // The payload numbered them.
        answer.locations = instances.keys().map(|id| format!("{object}/{id}")).collect();
        if let [only] = answer.locations.as_slice() {
            answer.location.get_or_insert_with(|| only.clone());
        }
    }
    // 2.01 is the word that counts; the Update with the new list follows when the device has time for it.
    for path in answer.location.iter().chain(&answer.locations).filter_map(|path| path.parse().ok()) {
        call.note(|device| device.changed(path, true));
    }
    Ok(Done::Created(answer))
}

/// The answer, with the format of the request where the device's answer has none.
pub(super) fn shape(call: &Call<'_>, response: &Response, format: Format) -> DownlinkAnswer {
    let mut answer = call.shape(response, Payload::None);
    answer.format.get_or_insert_with(|| format.as_str().to_owned());
    answer
}

/// An instance of the object that the device has not listed.
fn free_instance(call: &Call<'_>, object: Path) -> Result<Path, Refusal> {
    let now = call.core.directory.find(call.details().endpoint.as_str());
    let taken = now.as_ref().unwrap_or(&call.device).listed();
    let free = (0..u16::MAX).filter_map(|id| object.child(id)).find(|path| !taken.contains(path));
    free.ok_or_else(|| Refusal::new(ProblemType::Conflict, "every instance ID is taken"))
}

/// The node's values in the types of the object definition in the version that the device registered.
///
/// `at` is where the node stands in the body.
pub(super) fn typed(call: &Call<'_>, node: &Node, base: Path, at: &str) -> Result<Vec<Entry>, Refusal> {
    addressable(call, base, &if at.is_empty() { String::new() } else { format!("{at}/path") })?;
    let definitions = call.core.models.snapshot();
    let known = |path: Path| models::expected(&definitions, call.device.object_version(path), path);
    let entries = match call.choices.check {
        Check::Values | Check::Operations => convert::entries(node, base, &known),
        // Whatever has the type that the definition says or, if need be, the one that the caller says.
        Check::Nothing => {
            let boundless = |path: Path| known(path).map(|known| convert::Expected { range: "", ..known });
            convert::entries(node, base, &boundless).or_else(|_| convert::entries(node, base, &|_| None))
        }
    };
    entries.map_err(|error| match error {
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
    let encode = |format, entries: &[Entry]| content::encode(call.details(), format, base, entries);
    deliver_with(call, formats, entries, encode, make).await
}

/// The same with words of its own.
pub(super) async fn deliver_with(
    call: &Call<'_>,
    formats: &[Format],
    entries: &[Entry],
    encode: impl Fn(Format, &[Entry]) -> Result<Vec<u8>, EncodeError>,
    make: impl Fn(Content) -> Operation,
) -> Result<(Response, Format), Refusal> {
    let mut why = None;
    let mut answer = None;
    for format in formats.iter().copied() {
        let payload = match encode(format, entries) {
            Ok(payload) => payload,
            Err(error) => {
                let culprit = entries.iter().find(|entry| encode(format, slice::from_ref(*entry)).is_err());
                let at = culprit.map_or_else(String::new, |entry| format!("{}: ", entry.path));
                why = Some(format!("{at}format {format}: {error}"));
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
