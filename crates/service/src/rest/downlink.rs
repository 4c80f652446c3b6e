//! Downlink operations without a Node in the body.

use lightship_api::{AttributesBody, Problem, ProblemType};
use lightship_lwm2m::format::Use;
use lightship_lwm2m::{AttributeChange, AttributeName, Format, Path};
use lightship_server::{Code, ContentFormat, Operation};

use super::Refusal;
use super::call::{Call, Payload};
use super::input::Check;
use super::order::Done;
use crate::models;

/// Read.
pub(super) async fn read(call: &Call<'_>) -> Result<Done, Refusal> {
    let path = call.path;
    let mut formats: Vec<Option<Format>> = match call.choices.format {
        Some(format) => vec![Some(format)],
        None => call.candidates(Use::Read).into_iter().map(Some).collect(),
    };
    if call.choices.format.is_none() {
        // The last word is the device's own choice.
        formats.push(None);
    }
    let mut answer = None;
    for format in formats {
        let accept = format.map(|format| ContentFormat(format.number()));
        let response = call.ask(Operation::Read { path, accept }).await?;
        let refused = [Code::NOT_ACCEPTABLE, Code::UNSUPPORTED_CONTENT_FORMAT].contains(&response.code);
        answer = Some((response, accept));
        if !refused {
            break;
        }
    }
    let (response, asked) = answer.ok_or_else(|| Refusal::new(ProblemType::Internal, "nothing was asked"))?;
    Ok(call.answer(&response, Payload::Data(asked)))
}

/// Delete.
pub(super) async fn delete(call: &Call<'_>) -> Result<Done, Refusal> {
    let response = call.ask(Operation::Delete { path: call.path }).await?;
    if response.code == Code::DELETED && call.path.len() == 2 {
        call.note(|device| device.changed(call.path, false));
    }
    Ok(call.answer(&response, Payload::None))
}

/// Refuses what cannot be deleted on any device.
pub(super) fn deletable(path: Path) -> Result<(), Refusal> {
    if path.len() != 3 {
        return Ok(());
    }
    Err(Refusal::new(ProblemType::InvalidPath, "Delete goes with instances, not with a Resource"))
}

/// Execute.
pub(super) async fn execute(call: &Call<'_>, given: &str) -> Result<Done, Refusal> {
    let arguments = arguments(call, given)?;
    let response = call.ask(Operation::Execute { path: call.path, arguments }).await?;
    Ok(call.answer(&response, Payload::None))
}

/// The arguments as they are sent: each digit once, alone or with a text between quotes, without blanks (TS_Core 6.3.5).
pub(super) fn arguments(call: &Call<'_>, given: &str) -> Result<String, Refusal> {
    if call.choices.check == Check::Nothing {
        return Ok(given.to_owned());
    }
    let refuse = |why: &str| {
        let detail = format!("the arguments {given:?} are none of Execute: {why}; write them as 0='x',1");
        Refusal(Problem::new(ProblemType::DoesNotFit, detail).at("/arguments"))
    };
    let mut sent = String::with_capacity(given.len());
    let mut seen = [false; 10];
    let mut rest = given.trim();
    while !rest.is_empty() {
        let digit = rest.chars().next().and_then(|first| first.to_digit(10));
        let digit = digit.ok_or_else(|| refuse("each begins with a digit from 0 to 9"))?;
        let place = usize::try_from(digit).ok().and_then(|digit| seen.get_mut(digit));
        if place.is_some_and(|seen| std::mem::replace(seen, true)) {
            return Err(refuse("a digit stands twice"));
        }
        let after = rest.get(1..).unwrap_or_default();
        let (text, after) = match after.strip_prefix("='") {
            None => ("", after),
            Some(after) => {
                let (text, after) = after.split_once('\'').ok_or_else(|| refuse("a quote does not end"))?;
                let legal = |letter: u8| letter.is_ascii_graphic() && !matches!(letter, b'"' | b'\\');
                if !text.bytes().all(legal) {
                    return Err(refuse("a text is printable ASCII without blanks, quotes and backslashes"));
                }
                (text, after)
            }
        };
        let quoted = rest.get(1..).is_some_and(|after| after.starts_with("='"));
        sent.push_str(rest.get(..1).unwrap_or_default());
        if quoted {
            sent.push_str("='");
            sent.push_str(text);
            sent.push('\'');
        }
        // People write a blank behind the comma; devices need not take it.
        rest = match after.strip_prefix(',').map(str::trim_start) {
            Some(more) if !more.is_empty() => {
                sent.push(',');
                more
            }
            None if after.is_empty() => after,
            _ => return Err(refuse("a comma stands between two arguments, and nowhere else")),
        };
    }
    Ok(sent)
}

/// Discover.
pub(super) async fn discover(call: &Call<'_>, depth: Option<u8>) -> Result<Done, Refusal> {
    let response = call.ask(Operation::Discover { path: call.path, depth }).await?;
    Ok(call.answer(&response, Payload::Links))
}

/// Write-Attributes.
pub(super) async fn write_attributes(call: &Call<'_>, body: &AttributesBody) -> Result<Done, Refusal> {
    let attributes = attributes(call, body, "")?;
    let response = call.ask(Operation::WriteAttributes { path: call.path, attributes }).await?;
    Ok(call.answer(&response, Payload::None))
}

/// The query of attributes: `pmin=5` sets, `st` unsets; `at` is where they stand in the body. What contradicts itself, the level of the path or the type of
/// the Resource is refused here; what the device has attached already is for the device to judge.
pub(super) fn attributes(call: &Call<'_>, body: &AttributesBody, at: &str) -> Result<Vec<String>, Refusal> {
    if body.attributes.is_empty() {
        return Err(Refusal::new(ProblemType::MalformedBody, "no attribute is given"));
    }
    let path = call.path;
    let definitions = call.core.models.snapshot();
    let kind = models::data_type(&definitions, call.device.object_version(path), path);
    let text = |(name, value): (&String, &Option<serde_json::Number>)| match value {
        Some(value) => format!("{name}={value}"),
        None => name.clone(),
    };
    let queries: Vec<String> = body.attributes.iter().map(text).collect();
    if call.choices.check == Check::Nothing {
        return Ok(queries);
    }
    for (query, name) in queries.iter().zip(body.attributes.keys()) {
        let refuse = |why: String| {
            Refusal(
                Problem::new(ProblemType::DoesNotFit, format!("the attribute {query}: {why}"))
                    .at(format!("{at}/{name}")),
            )
        };
        AttributeChange::parse([query.as_str()]).map_err(|error| refuse(error.to_string()))?;
        let known = AttributeName::from_text(name);
        if !path.is_root() && known.is_some_and(|known| !known.fits(path.level(), kind)) {
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
