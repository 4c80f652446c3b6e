//! What a message says, and what of it may be seen.
//!
//! A Bootstrap-Server writes keys, in any format and in blocks. So a payload is shown only if it holds nothing of the objects that
//! have secrets: because it is about something else, or because all of it was read. When it may hold a part of them it is hidden whole,
//! from the bytes, too; what was read of it and is no secret is shown as values.

use lightship_api::bootstrap::SECRET;
use lightship_api::convert::{self, Entry};
use lightship_api::{Link, Node, ServerRole, Timestamp, TracePayload};
use lightship_coap::{Block, ContentFormat, Message, Role};
use lightship_lwm2m::format::{Decoder, Format};
use lightship_lwm2m::meaning::{Deed, Subject};
use lightship_lwm2m::node::typed_entries;
use lightship_lwm2m::object::Definitions;
use lightship_lwm2m::{OwnedValue, Path};

use super::exchange::Meant;
use super::gather::Seen;
use crate::content::{self, LINK_FORMAT};
use crate::models;

/// Reads messages with the definitions of objects.
pub(super) struct Reader<'a> {
    pub(super) definitions: &'a Definitions,
    pub(super) root: &'a str,
}

/// What may be seen of a message.
#[derive(Default)]
pub(super) struct Read {
    pub(super) payload: Option<TracePayload>,
    /// How many of its bytes may be seen, from the first on.
    pub(super) open_len: usize,
}

type Entries = Vec<(Option<f64>, Entry)>;

impl Reader<'_> {
    /// A message that is well-formed.
    pub(super) fn read(&self, seen: &Seen, message: &Message<'_>, meant: &Meant) -> Read {
        let bytes = message.payload();
        if bytes.is_empty() {
            return Read { payload: None, open_len: seen.bytes.len() };
        }
        let part = is_part(message) || seen.len > seen.bytes.len();
        let mut payload = TracePayload { length: length(bytes.len()), part, ..TracePayload::default() };
        let entries = if part { None } else { self.entries(message, meant.subject) };
        let is_error = message.role() == Role::Response && !message.code().is_success();
        payload.hidden = match &entries {
            Some(Ok(entries)) => entries.iter().any(|(_, entry)| has_secrets(entry.path)),
            Some(Err(_)) | None => may_hold_secrets(seen, message, meant.subject, is_error),
        } || meant.subject.and_then(|subject| subject.path).is_some_and(has_secrets);
        match entries {
            Some(Ok(entries)) => payload.nodes = self.nodes(entries, meant.subject, seen),
            Some(Err(why)) => payload.undecoded = Some(why),
            None => {}
        }
        if payload.hidden {
            // The marker before the payload goes with it.
            let open_len = seen.bytes.len().saturating_sub(bytes.len() + 1);
            return Read { payload: Some(payload), open_len };
        }
        if payload.nodes.is_empty() {
            payload.links = self.links(message, meant.subject, &payload).unwrap_or_default();
        }
        if payload.nodes.is_empty() && payload.links.is_empty() {
            payload.text = text(bytes);
        }
        Read { payload: Some(payload), open_len: seen.bytes.len() }
    }

    /// The values of a payload that is whole; `None` if it is none of values.
    fn entries(&self, message: &Message<'_>, subject: Option<Subject>) -> Option<Result<Entries, String>> {
        let format = message.content_format().and_then(|format| Format::from_number(format.0))?;
        let base = match subject.and_then(|subject| subject.path) {
            Some(path) => path,
            None if format.is_single_value() || format == Format::Tlv => return None,
            None => Path::ROOT,
        };
        if base.is_root() && (format.is_single_value() || format == Format::Tlv) {
            return None;
        }
        let mut decoder = Decoder::new(format, base, message.payload());
        if !self.root.is_empty() {
            decoder = decoder.with_alternate_path(self.root);
        }
        let found = typed_entries(decoder.tolerate_missing_slash(), |object| self.definitions.latest(object));
        let found = found.map_err(|error| error.to_string());
        Some(found.map(|entries| {
            let entry = |path, value| Entry { path, value };
            entries.into_iter().map(|e| (e.time, entry(e.path, e.value))).collect()
        }))
    }

    /// One node for each Object Instance, and moment, or for what was asked for.
    fn nodes(&self, entries: Entries, subject: Option<Subject>, seen: &Seen) -> Vec<Node> {
        let asked = subject.and_then(|subject| subject.path).filter(|path| !path.is_root());
        let received = Timestamp(seen.time_us / 1000);
        let mut groups: Vec<(Path, Option<Timestamp>, Vec<Entry>)> = Vec::new();
        for (time, mut entry) in entries.into_iter().take(ENTRIES_MAX) {
            if is_secret(entry.path) {
                entry.value = entry.value.map(|_| OwnedValue::String(SECRET.into()));
            }
            let base = asked.filter(|asked| asked.contains(entry.path));
            let base = base.unwrap_or_else(|| entry.path.truncated(2));
            let time = time.map(|time| moment(time, received));
            match groups.iter_mut().find(|(path, at, _)| *path == base && *at == time) {
                Some((_, _, entries)) => entries.push(entry),
                None => groups.push((base, time, vec![entry])),
            }
        }
        let node = |(base, time, entries): (Path, Option<Timestamp>, Vec<Entry>)| {
            let mut node = convert::node_at(base, &entries, time);
            if let Some(object) = base.object_id().and_then(|id| self.definitions.latest(id)) {
                models::describe(self.definitions, object.version, &mut node, base);
            }
            node
        };
        groups.into_iter().map(node).collect()
    }

    fn links(
        &self,
        message: &Message<'_>,
        subject: Option<Subject>,
        payload: &TracePayload,
    ) -> Option<Vec<Link>> {
        let format = message.content_format();
        let says = format == Some(ContentFormat(LINK_FORMAT));
        let means = format.is_none() && subject.is_some_and(|subject| subject.links);
        let is_whole = !payload.part && (message.code().is_success() || message.code().is_request());
        if !(is_whole && (says || means)) {
            return None;
        }
        content::discovered(self.root, message.payload()).ok().map(|(links, _)| links)
    }
}

/// Whether a payload that was not read may hold a part of a key.
fn may_hold_secrets(seen: &Seen, message: &Message<'_>, subject: Option<Subject>, is_error: bool) -> bool {
    let of_bootstrap = seen.server == ServerRole::Bootstrap;
    if is_error && !of_bootstrap {
        // Words for people.
        return false;
    }
    if message.content_format() == Some(ContentFormat(LINK_FORMAT)) {
        return false;
    }
    match subject {
        Some(Subject { path: Some(path), links: false, .. }) => path.is_root() || has_secrets(path),
        Some(Subject {
            deed: Deed::BootstrapRequest | Deed::Register | Deed::Update | Deed::Deregister,
            ..
        }) => false,
        Some(Subject { links, .. }) => !links,
        // A device's own requests carry no key that a server has given it.
        None => of_bootstrap || message.role() != Role::Request || seen.is_out,
    }
}

/// Whether an object has Resources that nobody may see: Security, OSCORE, COSE, MQTT Server.
fn has_secrets(path: Path) -> bool {
    matches!(path.numbers().next(), Some(0 | 21 | 23 | 24))
}

/// Whether nobody may see this value.
fn is_secret(path: Path) -> bool {
    let numbers: Vec<u16> = path.numbers().take(3).collect();
    matches!(numbers.as_slice(), [0, _, 3 | 4 | 5 | 7 | 8] | [21 | 23, ..] | [24, _, 8])
}

fn is_part(message: &Message<'_>) -> bool {
    let block = if message.role() == Role::Request { message.block1() } else { message.block2() };
    let is_part = |block: Block| block.more() || block.num() > 0;
    block.is_some_and(|block| block.map_or(true, is_part))
}

/// SenML times below 2^28 are relative to now (RFC 8428 §4.5.3).
#[allow(clippy::cast_possible_truncation, reason = "saturates, which is what is wanted of absurd times")]
fn moment(time: f64, received: Timestamp) -> Timestamp {
    let ms = (time * 1000.0).round() as i64;
    let ms = if time < 268_435_456.0 { received.0.saturating_add(ms) } else { ms };
    Timestamp(ms.clamp(Timestamp::EARLIEST.0, Timestamp::LATEST.0))
}

fn text(bytes: &[u8]) -> Option<String> {
    let text = std::str::from_utf8(bytes).ok()?;
    (!text.contains(|c: char| c.is_control() && !c.is_whitespace())).then(|| text.to_owned())
}

pub(super) fn length(len: usize) -> u32 {
    u32::try_from(len).unwrap_or(u32::MAX)
}

/// More than fit into one message, but for those that are made to be many.
const ENTRIES_MAX: usize = 512;
