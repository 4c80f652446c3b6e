//! What a message means in LwM2M: which operation of which interface, on what.

use lightship_coap::{Block, Code, Message};
use lightship_lwm2m::downlink::Operation;
use lightship_lwm2m::meaning::{self, Deed, Sender};
use lightship_lwm2m::uplink::Register;
use lightship_lwm2m::{ObjectClass, Path, object};
use std::fmt::Write;

/// What a message is about; its response is read with it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Subject {
    /// The operation in words, such as `Read`.
    pub(super) operation: String,
    /// Where in the device's data tree.
    pub(super) path: Option<Path>,
    /// Whether the payload is a list of objects or a Discover answer.
    pub(super) links: bool,
}

/// Lines that tell the meaning, and what follows from it.
pub(super) struct Meaning {
    pub(super) lines: Vec<String>,
    pub(super) subject: Subject,
    pub(super) sound: bool,
}

impl Meaning {
    /// A message that is about nothing in LwM2M.
    pub(super) fn plain(text: &str) -> Self {
        Self { lines: vec![text.to_owned()], subject: Subject::default(), sound: true }
    }

    /// What a request asks for.
    pub(super) fn of_request(message: &Message<'_>) -> Self {
        let segments: Vec<&str> = message.uri_path().collect();
        if meaning::is_uplink_path(message) {
            uplink(message, &segments)
        } else {
            downlink(message, &segments)
        }
    }

    /// What a response says, in the light of its request if that was seen.
    pub(super) fn of_response(message: &Message<'_>, asked: Option<&Subject>) -> Self {
        let subject = asked.cloned().unwrap_or_default();
        let mut text = String::new();
        if let Some(asked) = asked {
            let _ = write!(text, "LwM2M answer to {}", asked.operation);
            if let Some(path) = asked.path.filter(|path| *path != Path::ROOT) {
                let _ = write!(text, " {}", named(path));
            }
        }
        if message.observe().is_some() && message.code().is_success() {
            let word = if text.is_empty() {
                "a Notify, or the first answer to an Observe"
            } else {
                ", under observation"
            };
            text.push_str(word);
        }
        let location: Vec<&str> = message.location_path().collect();
        if !location.is_empty() {
            let _ = write!(text, "{}at /{}", if text.is_empty() { "" } else { ", " }, location.join("/"));
        }
        let lines = if text.is_empty() { Vec::new() } else { vec![text] };
        Self { lines, subject, sound: true }
    }
}

/// A path with the names that the registry knows for it; of what it does not know, whose number it is.
pub(super) fn named(path: Path) -> String {
    let Some(id) = path.object_id() else { return path.to_string() };
    let names = match (object::latest(id), path.resource_id()) {
        (Some(definition), Some(resource)) => match definition.resource(resource) {
            Some(resource) => format!("{} / {}", definition.name, resource.name),
            None if resource.is_private() => format!("{} / a private resource", definition.name),
            None => definition.name.to_owned(),
        },
        (Some(definition), None) => definition.name.to_owned(),
        (None, _) if id.class() == ObjectClass::Reserved => "a reserved number".to_owned(),
        (None, _) => format!("an unknown object of {}", id.class()),
    };
    format!("{path} ({names})")
}

fn uplink(message: &Message<'_>, segments: &[&str]) -> Meaning {
    let Some(meant) = meaning::Subject::of(message, Sender::Anybody, "") else {
        let text = format!("{} on /{} is no operation of LwM2M", method(message.code()), segments.join("/"));
        return Meaning { lines: vec![text], subject: Subject::default(), sound: true };
    };
    let operation = meant.deed.as_str();
    let mut text = format!("LwM2M {operation}");
    if let ["rd", location @ ..] = segments
        && !location.is_empty()
    {
        let _ = write!(text, " of registration {}", location.join("/"));
    }
    let parameters: Vec<String> = message.uri_query().map(parameter).collect();
    if !parameters.is_empty() {
        let _ = write!(text, ": {}", parameters.join(", "));
    }
    let subject = Subject { operation: operation.to_owned(), path: meant.path, links: meant.links };
    let mut meaning = Meaning { lines: vec![text], subject, sound: true };
    // A body in blocks is not whole here, so its list cannot be judged.
    let in_blocks = matches!(message.block1(), Some(Ok(block)) if is_part(block));
    if operation == "Register" && !in_blocks {
        if let Err(refused) = Register::parse(message, message.payload()) {
            meaning.lines.push(format!("! a server refuses this: {refused}"));
            meaning.sound = false;
        } else if !message.uri_query().any(|part| part.starts_with("ep=")) {
            meaning.lines.push("no endpoint: the security layer has to name the device".to_owned());
        }
    }
    meaning
}

fn is_part(block: Block) -> bool {
    block.more() || block.num() > 0
}

/// A parameter of Register, Update or Bootstrap-Request in words.
fn parameter(text: &str) -> String {
    match text.split_once('=').unwrap_or((text, "")) {
        ("ep", value) => format!("endpoint {value:?}"),
        ("lt", value) => format!("lifetime {value} s"),
        ("lwm2m", value) => format!("LwM2M {value}"),
        ("b", value) => format!("binding {value}"),
        ("sms", value) => format!("SMS number {value}"),
        ("pid", value) => format!("profile {value}"),
        ("pct", value) => format!("preferred content format {value}"),
        ("acc", value) => format!("accounts {value}"),
        ("Q", "") => "Queue Mode".to_owned(),
        _ => format!("{text} (not of the standard)"),
    }
}

fn downlink(message: &Message<'_>, segments: &[&str]) -> Meaning {
    let code = message.code();
    let place = format!("/{}", segments.join("/"));
    let bytes = segments.iter().map(|segment| segment.as_bytes());
    let Ok(path) = Path::from_segments(bytes) else {
        let text = format!("{} on {place}: no path of LwM2M", method(code));
        return Meaning { lines: vec![text], subject: Subject::default(), sound: true };
    };
    let meant = meaning::Subject::of(message, Sender::Anybody, "");
    if let Some(meant @ meaning::Subject { deed: Deed::Bootstrap(command), .. }) = meant {
        let place = if path == Path::ROOT { "/".to_owned() } else { named(path) };
        let text = format!("LwM2M {} {place}", command.as_str());
        let subject =
            Subject { operation: command.as_str().to_owned(), path: Some(path), links: meant.links };
        return Meaning { lines: vec![text], subject, sound: true };
    }
    let mut text = match meant.map(|meant| meant.deed) {
        // What these are about stands in the payload.
        Some(deed) if path == Path::ROOT => format!("LwM2M {}", deed.as_str()),
        Some(deed) => format!("LwM2M {} {}{}", deed.as_str(), word(deed), named(path)),
        None => format!("{} on {} is no operation of LwM2M", method(code), named(path)),
    };
    let attributes: Vec<&str> = message.uri_query().collect();
    if !attributes.is_empty() {
        let _ = write!(text, " with {}", attributes.join(", "));
    }
    let operation = meant.map_or(String::new(), |meant| meant.deed.as_str().to_owned());
    let links = meant.is_some_and(|meant| meant.links);
    Meaning { lines: vec![text], subject: Subject { operation, path: Some(path), links }, sound: true }
}

/// The word that leads from an operation to what it is about.
fn word(deed: Deed) -> &'static str {
    let Deed::Downlink(operation) = deed else { return "" };
    let writes =
        matches!(operation, Operation::Replace | Operation::PartialUpdate | Operation::WriteAttributes);
    match () {
        () if writes => "to ",
        () if operation == Operation::Create => "in ",
        () if operation == Operation::CancelObservation => "of ",
        () => "",
    }
}

fn method(code: Code) -> String {
    match code.name() {
        Some(name) => name.to_owned(),
        None => format!("{}.{:02}", code.class(), code.detail()),
    }
}
