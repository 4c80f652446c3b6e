//! What is never sent: what the standard keeps from servers, and what does not fit the device or its definitions.

use lightship_api::{Problem, ProblemType};
use lightship_lwm2m::object::Operations;
use lightship_lwm2m::{Format, Path, Version};

use super::Refusal;
use super::call::Call;
use super::input::Check;
use super::order::{Order, Task, Verb};
use super::{composite, downlink, observations, write};
use crate::core::Core;
use crate::directory::Device;
use crate::models;

/// Refuses an order that must not reach that device.
pub(super) fn order(core: &Core, device: &Device, order: &Order) -> Result<(), Refusal> {
    let call = Call::new(core, device.clone(), order);
    in_version(&call, order)?;
    addressable(&call, order.path, "")?;
    match (&order.task, order.verb) {
        (Task::Plain, Verb::Read) => allowed(&call, order.path, Operations::READ, ""),
        (Task::Plain, Verb::Delete) => {
            downlink::deletable(order.path)?;
            announced(&call, order.path)
        }
        (Task::Plain | Task::Name(_), _) => Ok(()),
        (Task::Arguments(arguments), _) => {
            allowed(&call, order.path, Operations::EXECUTE, "")?;
            downlink::arguments(&call, arguments).map(drop)
        }
        (Task::Attributes(body), Verb::Observe) => {
            allowed(&call, order.path, Operations::READ, "")?;
            observations::check(&call, body).map(drop)
        }
        (Task::Attributes(body), _) => downlink::attributes(&call, body, "").map(drop),
        (Task::Node(node), Verb::Create) => {
            announced(&call, order.path)?;
            write::creation(&call, node).map(drop)
        }
        (Task::Node(node), _) => write::replacement(&call, node).map(drop),
        (Task::Nodes(body), _) => composite::entries(&call, body).map(drop),
        (Task::Paths(paths), _) => composite_paths(&call, paths),
        (Task::Composite { paths, attributes, .. }, _) => {
            composite_paths(&call, paths)?;
            composite::attributes(&call, attributes).map(drop)
        }
    }
}

fn in_version(call: &Call<'_>, order: &Order) -> Result<(), Refusal> {
    let version = call.details().version;
    if call.choices.check != Check::Nothing {
        newer(call, order)?;
    }
    if call.choices.format == Some(Format::Json) && version >= Version::V1_1 {
        let detail = format!("a device of LwM2M {version} must not be asked for json");
        return Err(Refusal::new(ProblemType::InvalidParameter, detail));
    }
    match order.verb {
        Verb::ReadComposite | Verb::WriteComposite | Verb::ObserveComposite | Verb::CancelComposite => {
            call.needs(Version::V1_1, "composite operations")?;
            composite::chosen(call, order.verb).map(drop)
        }
        Verb::PartialUpdate if call.choices.format.is_some_and(Format::is_single_value) => {
            let detail = "a Partial Update needs a format that holds any number of values";
            Err(Refusal::new(ProblemType::InvalidParameter, detail))
        }
        Verb::Read | Verb::Replace | Verb::PartialUpdate | Verb::Create | Verb::Observe => {
            single_fits(call.choices.format, order.path)
        }
        Verb::Delete | Verb::Execute | Verb::Discover | Verb::WriteAttributes | Verb::CancelObservation => {
            Ok(())
        }
    }
}

/// Refuses what later versions of LwM2M have brought. A format that the caller demands is the caller's to try.
fn newer(call: &Call<'_>, order: &Order) -> Result<(), Refusal> {
    if order.path.len() == 4 {
        call.needs(Version::V1_1, "paths of Resource Instances")?;
        if order.verb == Verb::Delete {
            call.needs(Version::V1_2, "Delete of a Resource Instance")?;
        }
    }
    if order.choices.depth.is_some() {
        call.needs(Version::V1_2, "depth in a Discover")?;
    }
    let Task::Attributes(body) = &order.task else { return Ok(()) };
    for name in body.attributes.keys() {
        let since = match name.as_str() {
            "epmin" | "epmax" => Version::V1_1,
            "edge" | "con" | "hqmax" => Version::V1_2,
            _ => Version::V1_0,
        };
        call.needs(since, &format!("attribute {name}"))?;
    }
    Ok(())
}

/// Single-value formats go with Resources only.
fn single_fits(format: Option<Format>, path: Path) -> Result<(), Refusal> {
    match format.filter(|format| format.is_single_value() && path.len() < 3) {
        None => Ok(()),
        Some(format) => {
            let detail = format!("format {format} holds one value, and {path} is no Resource");
            Err(Refusal::new(ProblemType::InvalidParameter, detail))
        }
    }
}

fn composite_paths(call: &Call<'_>, paths: &[Path]) -> Result<(), Refusal> {
    for (index, path) in paths.iter().enumerate() {
        let at = format!("/paths/{index}");
        addressable(call, *path, &at)?;
        allowed(call, *path, Operations::READ, &at)?;
    }
    Ok(())
}

/// Refuses Objects that only a Bootstrap-Server may address: Security, OSCORE and COSE (TS_Core 6.1.2).
pub(super) fn addressable(call: &Call<'_>, path: Path, at: &str) -> Result<(), Refusal> {
    let object = path.object_id().map(|object| object.get());
    if call.choices.check == Check::Nothing || !object.is_some_and(|object| PROTECTED.contains(&object)) {
        return Ok(());
    }
    let detail = format!("{path} belongs to an Object that only a Bootstrap-Server may address");
    Err(Refusal(placed(Problem::new(ProblemType::ProtectedObject, detail), at)))
}

/// Refuses an operation that the object definition does not give to a Resource, where the caller asked for this check.
///
/// The device has the last word otherwise: its Objects may differ from the registry's, and its answer is 4.05 if not.
pub(super) fn allowed(call: &Call<'_>, path: Path, needed: Operations, at: &str) -> Result<(), Refusal> {
    if call.choices.check != Check::Operations || path.len() < 3 {
        return Ok(());
    }
    let definitions = call.core.models.snapshot();
    let version = call.device.object_version(path);
    let Some(known) = models::resource(&definitions, version, path) else { return Ok(()) };
    if known.operations.contains(needed) {
        return Ok(());
    }
    let verb = match needed {
        Operations::READ => "be read",
        Operations::WRITE => "be written",
        _ => "be executed",
    };
    let detail = format!("{path} ({}) cannot {verb}, says the object definition", known.name);
    Err(Refusal(placed(Problem::new(ProblemType::DoesNotFit, detail), at)))
}

/// Refuses what the device has not said to have, where the caller asked for this check.
fn announced(call: &Call<'_>, path: Path) -> Result<(), Refusal> {
    if call.choices.check != Check::Operations {
        return Ok(());
    }
    let listed = call.device.listed();
    let object_only = path.len() == 1 && listed.iter().any(|other| path.contains(*other));
    if object_only || listed.contains(&path.truncated(2)) {
        return Ok(());
    }
    let detail = format!("the device has not announced {}", path.truncated(2));
    Err(Refusal::new(ProblemType::DoesNotFit, detail))
}

fn placed(problem: Problem, at: &str) -> Problem {
    if at.is_empty() { problem } else { problem.at(at) }
}

/// Security, OSCORE, COSE.
const PROTECTED: [u16; 3] = [0, 21, 23];
