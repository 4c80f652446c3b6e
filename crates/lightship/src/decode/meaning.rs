//! What a message means in LwM2M: which operation of which interface, on what.

use lightship_coap::{Block, Code, ContentFormat, Message};
use lightship_lwm2m::downlink::Operation;
use lightship_lwm2m::uplink::Register;
use lightship_lwm2m::{ObjectClass, ObjectId, Path, bootstrap, object};
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
        match segments.as_slice() {
            ["rd" | "bs" | "dp" | "bspack", ..] => uplink(message, &segments),
            _ => downlink(message, &segments),
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
    let code = message.code();
    let (operation, links) = match (code, segments) {
        (Code::POST, ["rd"]) => ("Register", true),
        (Code::POST | Code::PUT, ["rd", ..]) => ("Update", true),
        (Code::DELETE, ["rd", _, ..]) => ("De-register", false),
        // Without a name it may as well be a device that its security names; a Finish is what is mostly seen.
        (Code::POST, ["bs"]) if message.uri_query().next().is_none() => ("Bootstrap-Finish", false),
        (Code::POST, ["bs"]) => ("Bootstrap-Request", false),
        (Code::POST, ["dp"]) => ("Send", false),
        (Code::GET, ["bspack"]) => ("Bootstrap-Pack-Request", false),
        _ => {
            let text = format!("{} on /{} is no operation of LwM2M", method(code), segments.join("/"));
            return Meaning { lines: vec![text], subject: Subject::default(), sound: true };
        }
    };
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
    let path = (operation == "Send").then_some(Path::ROOT);
    let subject = Subject { operation: operation.to_owned(), path, links };
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
    if let Some(command) = bootstrap_command(message, path) {
        let text =
            format!("LwM2M {command} {}", if path == Path::ROOT { "/".to_owned() } else { named(path) });
        let links = message.accept() == Some(ContentFormat::LINK);
        let subject = Subject { operation: command.to_owned(), path: Some(path), links };
        return Meaning { lines: vec![text], subject, sound: true };
    }
    let operation = operation(message, path);
    let mut text = match &operation {
        // What these are about stands in the payload.
        Some((operation, _)) if path == Path::ROOT => format!("LwM2M {operation}"),
        Some((operation, word)) => format!("LwM2M {operation} {word}{}", named(path)),
        None => format!("{} on {} is no operation of LwM2M", method(code), named(path)),
    };
    let attributes: Vec<&str> = message.uri_query().collect();
    if !attributes.is_empty() {
        let _ = write!(text, " with {}", attributes.join(", "));
    }
    let operation = operation.map_or(String::new(), |(operation, _)| operation.to_string());
    let links = operation == Operation::Discover.as_str();
    Meaning { lines: vec![text], subject: Subject { operation, path: Some(path), links }, sound: true }
}

/// The command of a Bootstrap-Server that this can only be: about everything, an object as a whole, or the accounts.
fn bootstrap_command(message: &Message<'_>, path: Path) -> Option<&'static str> {
    let command = bootstrap::Command::parse(message).ok()?;
    let hidden = path.object_id().is_some_and(ObjectId::is_hidden);
    let usual = Operation::of(message, path, message.payload().len()).is_some();
    (hidden || !usual).then(|| command.operation.as_str())
}

/// The downlink operation, and the word that leads to what it is about.
fn operation(message: &Message<'_>, path: Path) -> Option<(Operation, &'static str)> {
    let operation = Operation::of(message, path, message.payload().len())?;
    let writes =
        matches!(operation, Operation::Replace | Operation::PartialUpdate | Operation::WriteAttributes);
    let word = match () {
        () if writes => "to ",
        () if operation == Operation::Create => "in ",
        () if operation == Operation::CancelObservation => "of ",
        () => "",
    };
    Some((operation, word))
}

fn method(code: Code) -> String {
    match code.name() {
        Some(name) => name.to_owned(),
        None => format!("{}.{:02}", code.class(), code.detail()),
    }
}
