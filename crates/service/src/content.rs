//! Between payloads of devices and nodes of the API: which format, which types, which names.

use lightship_api as api;
use lightship_api::convert::{self, Entry};
use lightship_api::{Content, Timestamp, ValueType};
use lightship_lwm2m::format::{Decoder, EncodeError, Format};
use lightship_lwm2m::link::{Mode, links};
use lightship_lwm2m::node::{TypedEntry, encode_entries, typed_entries};
use lightship_lwm2m::object::Definitions;
use lightship_lwm2m::{ObjectVersion, Path, Version};
use lightship_server::{ContentFormat, Details, Registration};

use crate::directory::object_version;
use crate::models;

/// How a device's payloads are to be understood.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Dialect<'a> {
    pub(crate) definitions: &'a Definitions,
    /// The version of the object in question.
    pub(crate) version: ObjectVersion,
    /// The path in front of all objects, without slashes; empty for none.
    pub(crate) root: &'a str,
    /// When the payload arrived, for times relative to it.
    pub(crate) now: Timestamp,
}

/// Link format, the format of Discover.
pub(crate) const LINK_FORMAT: u16 = 40;

impl Dialect<'_> {
    /// The nodes of a payload about `base`, one for each moment it speaks of.
    ///
    /// # Errors
    /// Why it cannot be understood.
    pub(crate) fn nodes(
        &self,
        base: Path,
        format: Option<ContentFormat>,
        payload: &[u8],
    ) -> Result<Vec<api::Node>, String> {
        let mut moments: Vec<(Option<Timestamp>, Vec<Entry>)> = Vec::new();
        for (time, entry) in self.entries(base, format, payload, &|_| self.version)? {
            match moments.iter_mut().rev().find(|(moment, _)| *moment == time) {
                Some((_, entries)) => entries.push(entry),
                None => moments.push((time, vec![entry])),
            }
        }
        if moments.is_empty() {
            moments.push((None, Vec::new()));
        }
        Ok(moments.into_iter().map(|(time, entries)| self.node(base, &entries, time)).collect())
    }

    /// The nodes of a payload that names its own paths (Send): one for each Resource and moment.
    ///
    /// # Errors
    /// Why it cannot be understood.
    pub(crate) fn composite(
        &self,
        registration: &Registration,
        format: Option<ContentFormat>,
        payload: &[u8],
    ) -> Result<Vec<api::Node>, String> {
        let mut resources: Vec<(Path, Option<Timestamp>, Vec<Entry>)> = Vec::new();
        for (time, entry) in
            self.entries(Path::ROOT, format, payload, &|path| object_version(registration, path))?
        {
            let resource = entry.path.truncated(3);
            match resources.iter_mut().rev().find(|(path, moment, _)| (*path, *moment) == (resource, time)) {
                Some((_, _, entries)) => entries.push(entry),
                None => resources.push((resource, time, vec![entry])),
            }
        }
        let node = |(path, time, entries): (Path, Option<Timestamp>, Vec<Entry>)| {
            Dialect { version: object_version(registration, path), ..*self }.node(path, &entries, time)
        };
        Ok(resources.into_iter().map(node).collect())
    }

    fn entries(
        &self,
        base: Path,
        format: Option<ContentFormat>,
        payload: &[u8],
        version: &dyn Fn(Path) -> ObjectVersion,
    ) -> Result<Vec<(Option<Timestamp>, Entry)>, String> {
        // Without Content-Format a payload is text as far as LwM2M 1.0 is concerned.
        let number = format.map_or(0, |format| format.0);
        let format =
            Format::from_number(number).ok_or_else(|| format!("content format {number} is not known"))?;
        let mut decoder = Decoder::new(format, base, payload).tolerate_missing_slash();
        if !self.root.is_empty() {
            decoder = decoder.with_alternate_path(self.root);
        }
        let definition = |object| self.definitions.best(object, version(Path::object(object)));
        let entries = typed_entries(decoder, definition).map_err(|error| error.to_string())?;
        let entry = |entry: TypedEntry| {
            (entry.time.map(|time| self.moment(time)), Entry { path: entry.path, value: entry.value })
        };
        Ok(entries.into_iter().map(entry).collect())
    }

    fn node(&self, base: Path, entries: &[Entry], time: Option<Timestamp>) -> api::Node {
        let mut node = convert::node_at(base, entries, time);
        if matches!(&node.content, Content::Instances(values) if values.is_empty()) && node.kind.is_none() {
            node.kind = models::data_type(self.definitions, self.version, base).map(ValueType::from);
        }
        models::describe(self.definitions, self.version, &mut node, base);
        node
    }

    /// SenML times below 2^28 are relative to now (RFC 8428 §4.5.3).
    #[allow(clippy::cast_possible_truncation, reason = "saturates, which is what is wanted of absurd times")]
    fn moment(&self, time: f64) -> Timestamp {
        let ms = (time * 1000.0).round() as i64;
        if time < RELATIVE_BELOW_S { Timestamp(self.now.0.saturating_add(ms)) } else { Timestamp(ms) }
    }
}

/// The payload for entries about `base`.
///
/// # Errors
/// Why the format cannot say it.
pub(crate) fn encode(format: Format, base: Path, entries: &[Entry]) -> Result<Vec<u8>, EncodeError> {
    let entries: Vec<_> = entries.iter().map(|entry| (entry.path, entry.value.as_ref())).collect();
    encode_entries(format, base, &entries)
}

/// The formats to try with a device, best first, for content of that level (3 or 4 = a single value is possible).
pub(crate) fn candidates(details: &Details, speaks: Option<Format>) -> Vec<Format> {
    let announced = &details.objects.formats;
    let mut order = Vec::new();
    order.extend(speaks);
    let known = [Format::SenmlCbor, Format::SenmlJson, Format::Tlv];
    order.extend(known.into_iter().filter(|format| announced.contains(&ContentFormat(format.number()))));
    if details.version >= Version::V1_1 {
        order.extend(known);
    } else {
        order.push(Format::Tlv);
    }
    let mut unique = Vec::new();
    for format in order {
        if !unique.contains(&format) {
            unique.push(format);
        }
    }
    unique
}

/// The name of a content format in the contract, its number when it has none there.
pub(crate) fn format_name(format: ContentFormat) -> String {
    match Format::from_number(format.0) {
        Some(format) => format.as_str().to_owned(),
        None if format.0 == LINK_FORMAT => "link".to_owned(),
        None => format.0.to_string(),
    }
}

/// The links of a Discover answer; an alternate path in front is taken away.
///
/// # Errors
/// Why the payload is no list of links.
pub(crate) fn discovered(root: &str, payload: &[u8]) -> Result<Vec<api::Link>, String> {
    let text = std::str::from_utf8(payload).map_err(|_| "the links are not UTF-8".to_owned())?;
    let mut out = Vec::new();
    for link in links(text, Mode::Tolerant) {
        let link = link.map_err(|error| format!("the links are malformed: {error:?}"))?;
        let target = link.target.trim_start_matches('/');
        let target = match target.strip_prefix(root) {
            Some(rest) if !root.is_empty() => rest.trim_start_matches('/'),
            _ => target,
        };
        let attributes = link.attributes().map(|attribute| {
            let name = attribute.name.to_owned();
            let Some(value) = attribute.value else { return (name, serde_json::Value::Bool(true)) };
            let text: String = value.chars().collect();
            // Versions look like numbers, and are none.
            let plain = !value.is_quoted() && !VERSIONS.contains(&attribute.name);
            let number = plain.then(|| serde_json::from_str::<serde_json::Number>(&text).ok()).flatten();
            (name, number.map_or(serde_json::Value::String(text), serde_json::Value::Number))
        });
        out.push(api::Link { path: format!("/{target}"), attributes: attributes.collect() });
    }
    Ok(out)
}

const VERSIONS: [&str; 2] = ["ver", "lwm2m"];
const RELATIVE_BELOW_S: f64 = 268_435_456.0;
