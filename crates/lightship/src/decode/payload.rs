//! A payload by its content format: paths with names, values and units; links; or plain bytes.

use super::hex;
use super::meaning::{Subject, named};
use crate::value_text;
use lightship_coap::ContentFormat;
use lightship_coap::link::{Mode, links};
use lightship_lwm2m::format::{self, Entry};
use lightship_lwm2m::object::{self, ResourceDefinition};
use lightship_lwm2m::{Format, OwnedValue, Path};

/// Bytes of unreadable payload that are shown.
const SHOWN_LEN_MAX: usize = 256;

/// A payload in words.
pub(super) struct Found {
    pub(super) lines: Vec<String>,
    /// Whether the payload is what its format demands.
    pub(super) sound: bool,
}

/// Reads a payload about a subject.
pub(super) fn lines(format: Option<ContentFormat>, subject: &Subject, payload: &[u8]) -> Found {
    if format == Some(ContentFormat::LINK) || (format.is_none() && subject.links) {
        return link_lines(payload);
    }
    let known = format.and_then(|number| Format::from_number(number.0));
    match (known, subject.path) {
        (Some(format), Some(path)) => entry_lines(format, path, payload),
        // Without its request, a format that carries its own paths can still be read.
        (Some(format), None) if !format.is_single_value() && format != Format::Tlv => {
            entry_lines(format, Path::ROOT, payload)
        }
        _ => plain(payload),
    }
}

fn plain(payload: &[u8]) -> Found {
    let shown = payload.get(..SHOWN_LEN_MAX).unwrap_or(payload);
    let cut = if shown.len() < payload.len() { "…" } else { "" };
    let line = match std::str::from_utf8(shown) {
        Ok(text) if !text.contains(|c: char| c.is_control() && !c.is_whitespace()) => {
            format!("{:?}{cut}", text)
        }
        _ => format!("0x{}{cut}", hex::print(shown)),
    };
    Found { lines: vec![line], sound: true }
}

fn entry_lines(format: Format, base: Path, payload: &[u8]) -> Found {
    let mut lines = Vec::new();
    for entry in format::decode(format, base, payload) {
        match entry {
            Ok(entry) => lines.push(entry_line(&entry)),
            Err(error) => {
                lines.push(format!("! not {format}: {error}{}", after(&lines)));
                lines.extend(plain(payload).lines);
                return Found { lines, sound: false };
            }
        }
    }
    if lines.is_empty() {
        lines.push("nothing".to_owned());
    }
    Found { lines, sound: true }
}

fn after(lines: &[String]) -> String {
    if lines.is_empty() { String::new() } else { format!(" (after {} values)", lines.len()) }
}

fn entry_line(entry: &Entry<'_>) -> String {
    let definition = definition(entry.path);
    let name = match &definition {
        Some(resource) => format!("{} {}", entry.path, resource.name),
        None => named(entry.path),
    };
    let time = entry.time.map(|seconds| format!(" at {}", moment(seconds))).unwrap_or_default();
    if entry.value.is_container() {
        return format!("{name}: empty{time}");
    }
    if entry.value.is_nothing() {
        return format!("{name}{time}");
    }
    if entry.value.is_null() {
        return format!("{name} = null (remove){time}");
    }
    let wanted = definition.as_ref().and_then(|resource| resource.data_type);
    let value = match wanted.map(|data_type| entry.value.decode_owned(data_type)) {
        Some(Ok(value)) => value_text::print(&value.as_value()),
        Some(Err(error)) => {
            let shown = untyped(entry).map(|text| format!("{text} ")).unwrap_or_default();
            format!("{shown}! not of the type that the definition demands: {error:?}")
        }
        None => untyped(entry).unwrap_or_else(|| "a value of unknown type".to_owned()),
    };
    let units = definition.map(|resource| resource.units).unwrap_or_default();
    let space = if units.is_empty() { "" } else { " " };
    format!("{name} = {value}{space}{units}{time}")
}

/// The value by the type that the payload itself shows, else as bytes or text.
fn untyped(entry: &Entry<'_>) -> Option<String> {
    use lightship_lwm2m::DataType;
    let natural = entry.value.natural_type();
    let types = natural.into_iter().chain([DataType::Opaque, DataType::String]);
    let mut found = types.filter_map(|data_type| entry.value.decode_owned(data_type).ok());
    found.next().map(|value| {
        if let (OwnedValue::Opaque(bytes), None) = (&value, natural) {
            return plain(bytes).lines.join("");
        }
        value_text::print(&value.as_value())
    })
}

fn definition(path: Path) -> Option<ResourceDefinition<'static>> {
    object::latest(path.object_id()?)?.resource(path.resource_id()?)
}

/// A SenML time: a date, or seconds before or after now (RFC 8428 §4.5.3).
fn moment(seconds: f64) -> String {
    const RELATIVE_BELOW: f64 = 268_435_456.0;
    if seconds < RELATIVE_BELOW {
        return format!("{seconds} s from now");
    }
    #[expect(clippy::cast_possible_truncation, reason = "milliseconds; absurd dates saturate")]
    let ms = (seconds * 1000.0).round() as i64;
    lightship_api::Timestamp(ms).to_string()
}

fn link_lines(payload: &[u8]) -> Found {
    let Ok(text) = std::str::from_utf8(payload) else {
        return Found {
            lines: vec!["! not UTF-8".to_owned(), format!("0x{}", hex::print(payload))],
            sound: false,
        };
    };
    let mut lines = Vec::new();
    for link in links(text, Mode::Tolerant) {
        match link {
            Ok(link) => {
                let target: String = link.target.to_owned();
                let name = target.parse::<Path>().ok().map_or(target.clone(), named);
                let attributes: Vec<String> = link
                    .attributes()
                    .map(|attribute| match attribute.value {
                        Some(value) => format!("{}={}", attribute.name, value.raw()),
                        None => attribute.name.to_owned(),
                    })
                    .collect();
                let space = if attributes.is_empty() { "" } else { " " };
                lines.push(format!("{name}{space}{}", attributes.join(" ")));
            }
            Err(error) => {
                lines.push(format!("! not link format: {error:?}"));
                lines.push(text.to_owned());
                return Found { lines, sound: false };
            }
        }
    }
    if lines.is_empty() {
        lines.push("no links".to_owned());
    }
    Found { lines, sound: true }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn about(path: &str) -> Subject {
        Subject { path: Some(path.parse().unwrap()), ..Subject::default() }
    }

    #[test]
    fn values_come_with_names_and_units() {
        let found =
            lines(Some(ContentFormat(60)), &about("/3303/0/5700"), &[0xfb, 0x40, 0x35, 0x80, 0, 0, 0, 0, 0]);
        assert_eq!(found.lines, ["/3303/0/5700 Sensor Value = 21.5"]);
        let senml = br#"[{"bn":"/3/0/","n":"9","v":84},{"n":"13","v":946684800,"t":1700000000}]"#;
        let found = lines(Some(ContentFormat(110)), &about("/3/0"), senml);
        assert_eq!(
            found.lines,
            [
                "/3/0/9 Battery Level = 84 /100",
                "/3/0/13 Current Time = 2000-01-01T00:00:00Z at 2023-11-14T22:13:20.000Z"
            ]
        );
    }

    #[test]
    fn a_value_of_the_wrong_type_is_named() {
        let found = lines(Some(ContentFormat(0)), &about("/3/0/9"), b"full");
        assert!(
            found.lines[0].contains("Battery Level") && found.lines[0].contains('!'),
            "{:?}",
            found.lines
        );
    }

    #[test]
    fn broken_payloads_say_so() {
        let found = lines(Some(ContentFormat(112)), &about("/3/0"), &[0x82, 0x01]);
        assert!(!found.sound);
        assert!(found.lines[0].starts_with("! not senml-cbor"), "{:?}", found.lines);
        let found = lines(Some(ContentFormat(40)), &Subject::default(), b"</3/0>,<");
        assert!(!found.sound);
    }

    #[test]
    fn object_lists_are_named() {
        let found = lines(
            Some(ContentFormat(40)),
            &Subject::default(),
            b"</>;rt=\"oma.lwm2m\",</3/0>,</3303>;ver=1.1",
        );
        assert_eq!(found.lines, ["/ rt=oma.lwm2m", "/3/0 (Device)", "/3303 (Temperature) ver=1.1"]);
    }
}
