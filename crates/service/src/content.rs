//! Between payloads of devices and nodes of the API: which format, which types, which names.

use std::borrow::Cow;
use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use lightship_api as api;
use lightship_api::convert::{self, Entry};
use lightship_api::{Content, Timestamp, ValueType};
use lightship_lwm2m::format::{Decoder, EncodeError, Encoder, Format, Use, paths};
use lightship_lwm2m::link::{Mode, links};
use lightship_lwm2m::node::{TypedEntry, encode_entries_below, typed_entries};
use lightship_lwm2m::object::Definitions;
use lightship_lwm2m::{ObjectVersion, Path, Version};
use lightship_server::{Composite, Content as Body, ContentFormat, Details, Observed, Wanted};
use lightship_store::{WantedKey, WantedObservation};

use crate::deviation::Deviation;
use crate::directory::object_version;
use crate::models;

/// How a device's payloads are to be understood.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Dialect<'a> {
    pub(crate) definitions: &'a Definitions,
    /// Which versions of objects the device has, and whether a path stands in front of all of them.
    pub(crate) details: &'a Details,
    /// When the payload arrived, for times relative to it.
    pub(crate) now: Timestamp,
}

/// A payload as it came.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Payload<'a> {
    /// The format that was asked for, if one was.
    pub(crate) asked: Option<ContentFormat>,
    /// The format that it says to be in.
    pub(crate) format: Option<ContentFormat>,
    pub(crate) bytes: &'a [u8],
}

/// What a payload says, and what it should have said otherwise.
#[derive(Debug, Default)]
pub(crate) struct Decoded {
    pub(crate) nodes: Vec<api::Node>,
    pub(crate) deviations: BTreeSet<Deviation>,
}

/// Link format, the format of Discover.
pub(crate) const LINK_FORMAT: u16 = 40;

impl Dialect<'_> {
    /// The nodes of a payload about `base`, one for each moment it speaks of.
    ///
    /// # Errors
    /// Why it cannot be understood.
    pub(crate) fn nodes(&self, base: Path, payload: Payload<'_>) -> Result<Decoded, String> {
        let mut decoded = self.decode(base, payload, &|_| Some(base))?;
        if decoded.nodes.is_empty() {
            decoded.nodes.push(self.node(base, &[], None));
        }
        Ok(decoded)
    }

    /// The nodes of a payload that answers a list of paths, one for each of these that holds something, and moment.
    ///
    /// # Errors
    /// Why it cannot be understood; also when it speaks of something that is not in the list.
    pub(crate) fn several(&self, paths: &[Path], payload: Payload<'_>) -> Result<Decoded, String> {
        if payload.bytes.is_empty() {
            return Ok(Decoded::default());
        }
        let place = |path: Path| {
            let listed = paths.iter().copied().find(|listed| listed.contains(path))?;
            // Of the whole device, each Object Instance is a node.
            Some(if listed.is_root() { path.truncated(2) } else { listed })
        };
        self.decode(Path::ROOT, payload, &place)
    }

    /// The nodes of a payload that chooses its own paths (Send): one for each Resource and moment.
    ///
    /// # Errors
    /// Why it cannot be understood.
    pub(crate) fn sent(&self, payload: Payload<'_>) -> Result<Decoded, String> {
        self.decode(Path::ROOT, payload, &|path| Some(path.truncated(3)))
    }

    /// Decodes; `place` says to which node a value belongs, `None` to no one.
    fn decode(
        &self,
        base: Path,
        payload: Payload<'_>,
        place: &dyn Fn(Path) -> Option<Path>,
    ) -> Result<Decoded, String> {
        let (entries, deviations) = self.entries(base, payload)?;
        let mut groups: Vec<(Path, Option<Timestamp>, Vec<Entry>)> = Vec::new();
        let mut known: HashMap<(Path, Option<Timestamp>), usize> = HashMap::new();
        for (time, entry) in entries {
            let node = place(entry.path).ok_or_else(|| format!("{} was not asked for", entry.path))?;
            // A notification has one group, as a rule: that one needs no table.
            let at = match groups.as_slice() {
                [] => None,
                [(only, at, _)] => (*only == node && *at == time).then_some(0),
                _ => known.get(&(node, time)).copied(),
            };
            match at.and_then(|at| groups.get_mut(at)) {
                Some((_, _, entries)) => entries.push(entry),
                None => {
                    groups.push((node, time, vec![entry]));
                    if groups.len() > 1 {
                        let first = groups.first().map(|(node, time, _)| ((*node, *time), 0));
                        known.extend(first.into_iter().chain([((node, time), groups.len() - 1)]));
                    }
                }
            }
        }
        let nodes = groups.into_iter().map(|(path, time, entries)| self.node(path, &entries, time));
        Ok(Decoded { nodes: nodes.collect(), deviations })
    }

    fn entries(&self, base: Path, payload: Payload<'_>) -> Result<Found, String> {
        if let Some(number) = payload.format {
            let format = Format::from_number(number.0)
                .ok_or_else(|| format!("content format {} is not known", number.0))?;
            let (entries, mut deviations) = self.parse(base, format, payload.bytes)?;
            if format.number() != number.0 {
                deviations.insert(Deviation::OldFormatNumber);
            }
            return Ok((entries, deviations));
        }
        // Without Content-Format: what was asked for, or whatever it can only be.
        let asked = payload.asked.and_then(|asked| Format::from_number(asked.0));
        let text = (base.len() >= 3).then_some(Format::Text);
        let guesses = asked.into_iter().chain(text);
        let mut why = None;
        for format in guesses.chain([Format::SenmlJson, Format::SenmlCbor, Format::Tlv]) {
            match self.parse(base, format, payload.bytes) {
                Ok(found) => return Ok(found),
                Err(error) => why = why.or(Some(error)),
            }
        }
        Err(format!("the content format is missing; {}", why.unwrap_or_default()))
    }

    fn parse(&self, base: Path, format: Format, bytes: &[u8]) -> Result<Found, String> {
        let mut strict = Decoder::new(format, base, bytes);
        let root = &*self.details.objects.root;
        if !root.is_empty() {
            strict = strict.with_alternate_path(root);
        }
        let definition = |object| self.definitions.best(object, self.version(Path::object(object)));
        let entries = typed_entries(strict.clone().tolerate_missing_slash(), definition)
            .map_err(|error| error.to_string())?;
        let mut deviations = BTreeSet::new();
        let named = matches!(format, Format::SenmlJson | Format::SenmlCbor);
        if named && strict.into_iter().any(|entry| entry.is_err()) {
            deviations.insert(Deviation::MissingSlash);
        }
        for entry in &entries {
            deviations.extend(self.judge(entry));
        }
        let entry = |entry: TypedEntry| {
            (entry.time.map(|time| self.moment(time)), Entry { path: entry.path, value: entry.value })
        };
        Ok((entries.into_iter().map(entry).collect(), deviations))
    }

    /// What the definition would have otherwise.
    fn judge(&self, entry: &TypedEntry) -> Option<Deviation> {
        let value = entry.value.as_ref()?.as_value();
        let expected = models::expected(self.definitions, self.version(entry.path), entry.path)?;
        if expected.kind != Some(value.data_type()) {
            Some(Deviation::WrongType)
        } else if expected.multiple != (entry.path.len() == 4) {
            Some(Deviation::WrongMultiplicity)
        } else {
            (!expected.allows(&value)).then_some(Deviation::OutsideRange)
        }
    }

    fn version(&self, path: Path) -> ObjectVersion {
        object_version(self.details, path)
    }

    fn node(&self, base: Path, entries: &[Entry], time: Option<Timestamp>) -> api::Node {
        let mut node = convert::node_at(base, entries, time);
        if matches!(&node.content, Content::Instances(values) if values.is_empty()) && node.kind.is_none() {
            node.kind = models::data_type(self.definitions, self.version(base), base).map(ValueType::from);
        }
        models::describe(self.definitions, self.version(base), &mut node, base);
        node
    }

    /// SenML times below 2^28 are relative to now (RFC 8428 §4.5.3).
    #[allow(clippy::cast_possible_truncation, reason = "saturates, which is what is wanted of absurd times")]
    fn moment(&self, time: f64) -> Timestamp {
        let ms = (time * 1000.0).round() as i64;
        let ms = if time < RELATIVE_BELOW_S { self.now.0.saturating_add(ms) } else { ms };
        // Whoever reads it knows four digits of a year.
        Timestamp(ms.clamp(Timestamp::EARLIEST.0, Timestamp::LATEST.0))
    }
}

/// The payload for entries about `base`.
///
/// # Errors
/// Why the format cannot say it.
pub(crate) fn encode(
    details: &Details,
    format: Format,
    base: Path,
    entries: &[Entry],
) -> Result<Vec<u8>, EncodeError> {
    let entries: Vec<_> = entries.iter().map(|entry| (entry.path, entry.value.as_ref())).collect();
    encode_entries_below(root_in_names(details), format, base, &entries)
}

/// What stands before the names of SenML: the alternate path, which devices expect there since LwM2M 1.2.1.
fn root_in_names(details: &Details) -> &str {
    if details.version < Version::V1_2 { "" } else { &details.objects.root }
}

/// The payload of a Write-Composite in which entries without a value are removed (SenML-ETCH).
///
/// # Errors
/// Why the format cannot say it.
pub(crate) fn encode_patch(
    details: &Details,
    format: Format,
    entries: &[Entry],
) -> Result<Vec<u8>, EncodeError> {
    let mut buffer = vec![0; 1024];
    loop {
        let mut encoder =
            Encoder::new(format, Path::ROOT, &mut buffer).with_alternate_path(root_in_names(details));
        for entry in entries {
            // Errors stick and come out of `finish`.
            let _ = match &entry.value {
                Some(value) => encoder.entry(entry.path, &value.as_value()),
                None => encoder.remove(entry.path),
            };
        }
        match encoder.finish() {
            Err(EncodeError::BufferTooSmall) if buffer.len() < PATCH_LEN_MAX => {
                buffer.resize(buffer.len() * 4, 0);
            }
            Err(error) => return Err(error),
            Ok(len) => {
                buffer.truncate(len);
                return Ok(buffer);
            }
        }
    }
}

/// The formats to try with a device for that purpose, best first; those for single values are never among them.
pub(crate) fn candidates(details: &Details, speaks: Option<Format>, purpose: Use) -> Vec<Format> {
    let known: &[Format] = match details.version {
        Version::V1_0 => &[Format::Tlv, Format::Json],
        Version::V1_1 => &[Format::SenmlCbor, Format::SenmlJson, Format::Tlv],
        // SenML-ETCH is for composites, and all that a device must have for them.
        Version::V1_2 => &[
            Format::Lwm2mCbor,
            Format::SenmlCbor,
            Format::SenmlJson,
            Format::Tlv,
            Format::SenmlEtchCbor,
            Format::SenmlEtchJson,
        ],
    };
    let announced = |format: &Format| details.objects.formats.contains(&ContentFormat(format.number()));
    let all = [Format::Lwm2mCbor, Format::SenmlCbor, Format::SenmlJson, Format::Tlv, Format::Json];
    let order = speaks.into_iter().chain(all.into_iter().filter(announced)).chain(known.iter().copied());
    let mut unique = Vec::new();
    for format in order {
        // What a device announces it may be spoken to in, whatever its version.
        let fits = format.is_for(purpose, Version::V1_2) || format.is_for(purpose, details.version);
        if fits && !unique.contains(&format) {
            unique.push(format);
        }
    }
    unique
}

/// What the shard is told of a wanted observation: `accept` where the caller left the format to us, `list` for the
/// paths of a composite one.
pub(crate) fn wanted(
    observation: &WantedObservation,
    details: &Details,
    accept: Option<Format>,
    list: Option<Format>,
) -> Result<Wanted, EncodeError> {
    let observed = match &observation.key {
        WantedKey::Path(path) => Observed::Node(*path),
        WantedKey::Name(name) => {
            let content = path_list(details, list.unwrap_or(Format::SenmlCbor), &observation.paths)?;
            Observed::Composite(Composite { name: Arc::from(name.as_str()), content })
        }
    };
    let accept =
        observation.accept.map(ContentFormat).or(accept.map(|accept| ContentFormat(accept.number())));
    Ok(Wanted { observed, accept, attributes: observation.attributes.clone() })
}

/// The same as the server would choose it for a device that it has not talked to.
pub(crate) fn wanted_at_first(
    observation: &WantedObservation,
    details: &Details,
) -> Result<Wanted, EncodeError> {
    let purpose = match &observation.key {
        WantedKey::Path(_) => Use::Read,
        WantedKey::Name(_) => Use::CompositeRead,
    };
    let accept = candidates(details, None, purpose).first().copied();
    let list = list_formats(details, observation.accept, None).first().copied();
    wanted(observation, details, accept, list)
}

/// The formats for a list of paths, best first: like the one of the answer, and for LwM2M 1.2 that of SenML-ETCH before
/// plain SenML, which only 1.1 and 1.2.1 have for it.
pub(crate) fn list_formats(details: &Details, accept: Option<u16>, speaks: Option<Format>) -> Vec<Format> {
    let accept = accept.and_then(Format::from_number);
    let mut formats = Vec::new();
    for format in candidates(details, accept.or(speaks), Use::CompositePaths) {
        let etch = if format == Format::SenmlJson { Format::SenmlEtchJson } else { Format::SenmlEtchCbor };
        let etch = Some(etch).filter(|etch| etch.is_for(Use::CompositePaths, details.version));
        for format in etch.into_iter().chain([format]) {
            if !formats.contains(&format) {
                formats.push(format);
            }
        }
    }
    formats
}

/// The body of a Read-Composite or Observe-Composite.
///
/// # Errors
/// When the format has no words for it.
pub(crate) fn path_list(details: &Details, format: Format, paths: &[Path]) -> Result<Body, EncodeError> {
    let payload = paths::encode_owned_below(root_in_names(details), format, paths)?;
    Ok(Body { format: ContentFormat(format.number()), payload: payload.into() })
}

/// The paths of such a body, for a device with that alternate path.
pub(crate) fn listed(root: &str, content: &Body) -> Vec<Path> {
    let Some(format) = Format::from_number(content.format.0) else { return Vec::new() };
    let listed = paths::decode(format, &content.payload).with_alternate_path(root);
    listed.filter_map(Result::ok).collect()
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
pub(crate) fn discovered(root: &str, payload: &[u8]) -> Result<(Vec<api::Link>, Option<Deviation>), String> {
    let given = std::str::from_utf8(payload).map_err(|_| "the links are not UTF-8".to_owned())?;
    let text = &*with_semicolons(given);
    let mut sloppy = (text != given).then_some(Deviation::SloppyLinks);
    let broken = links(text, Mode::Strict).any(|link| link.is_err()).then_some(Deviation::SloppyLinks);
    sloppy = sloppy.or(broken);
    let mut out = Vec::new();
    for link in links(text, Mode::Tolerant) {
        let link = link.map_err(|error| format!("the links are malformed: {error:?}"))?;
        let target = link.target.trim_start_matches('/');
        let target = match target.strip_prefix(root) {
            Some(rest) if !root.is_empty() => rest.trim_start_matches('/'),
            _ => target,
        };
        // TS_Core 1.0 shows a slash at the end in an example, and some devices follow it.
        let target =
            target.strip_suffix('/').inspect(|_| sloppy = Some(Deviation::SloppyLinks)).unwrap_or(target);
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
    Ok((out, sloppy))
}

/// An ampersand before an attribute is a semicolon for some devices, as in a query.
fn with_semicolons(text: &str) -> Cow<'_, str> {
    if !text.contains('&') {
        return Cow::Borrowed(text);
    }
    let (mut quoted, mut inside) = (false, false);
    let letters = text.chars().map(|letter| {
        match letter {
            '"' => quoted = !quoted,
            '<' if !quoted => inside = true,
            '>' if !quoted => inside = false,
            '&' if !quoted && !inside => return ';',
            _ => {}
        }
        letter
    });
    Cow::Owned(letters.collect())
}

type Found = (Vec<(Option<Timestamp>, Entry)>, BTreeSet<Deviation>);

/// Bytes of a Write-Composite, at most; callers may send less.
const PATCH_LEN_MAX: usize = 64 << 20;
const VERSIONS: [&str; 2] = ["ver", "lwm2m"];
const RELATIVE_BELOW_S: f64 = 268_435_456.0;
