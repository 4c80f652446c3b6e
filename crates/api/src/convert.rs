//! Between JSON nodes and typed LwM2M values by path.

use std::collections::BTreeMap;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use lightship_lwm2m::object::Range;
use lightship_lwm2m::{DataType, OwnedValue, Path, Value};
use serde_json::Value as Json;

use crate::node::{Content, Node, NodeError, ValueType};
use crate::time::Timestamp;

/// A typed value and where it stands: a Resource or Resource Instance, or an empty container.
#[derive(Clone, Debug, PartialEq)]
pub struct Entry {
    /// Where.
    pub path: Path,
    /// What; `None` for an Object Instance or multiple Resource that holds nothing.
    pub value: Option<OwnedValue>,
}

/// What the definition says of the Resource at a path, as far as it is known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Expected<'a> {
    /// What people call it.
    pub name: &'a str,
    /// Data type; `None` for a Resource without a value.
    pub kind: Option<DataType>,
    /// Whether it has Resource Instances.
    pub multiple: bool,
    /// The legal values in the registry's own words; empty for no limits.
    pub range: &'a str,
}

impl Expected<'_> {
    /// Whether the definition allows that value, its type aside.
    #[must_use]
    pub fn allows(&self, value: &Value<'_>) -> bool {
        Range::parse(self.range).allows(value)
    }

    /// What the Resource at `path` takes, such as `/3/0/9 (Battery Level) takes a value of type integer in the range 0..100`.
    fn sentence(&self, path: Path) -> String {
        let kind = self.kind.map_or_else(|| "no value".to_owned(), |kind| format!("a value of type {kind}"));
        let range =
            if self.range.is_empty() { String::new() } else { format!(" in the range {}", self.range) };
        format!("{path} ({}) takes {kind}{range}", self.name)
    }
}

/// Why a node's values cannot be typed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ConvertError {
    /// The node does not go with the path it is written to.
    #[error(transparent)]
    Shape(NodeError),
    /// A value does not fit the object definition, or its type is unknown.
    #[error(transparent)]
    DoesNotFit(NodeError),
}

/// The typed values of a node that stands at `base`, in tree order. `expected` tells what is known of a Resource.
///
/// # Errors
/// Says what is wrong and where.
pub fn entries<'d>(
    node: &Node,
    base: Path,
    expected: &dyn Fn(Path) -> Option<Expected<'d>>,
) -> Result<Vec<Entry>, ConvertError> {
    let mut walk = Walk { expected, out: Vec::new() };
    match (&node.content, base.len()) {
        (Content::ObjectInstances(instances), 1) => {
            for (id, instance) in instances {
                let at = format!("/instances/{id}");
                walk.instance(instance, below(base, *id, &at)?, &at)?;
            }
        }
        (Content::Resources(_), 2) => walk.instance(node, base, "")?,
        (Content::Value(_) | Content::Instances(_), 3) => walk.resource(node, base, "")?,
        (Content::Value(value), 4) => {
            let known = base.parent().and_then(expected);
            let value = typed(value, node.kind, known, base, "")?;
            walk.out.push(Entry { path: base, value: Some(value) });
        }
        // An empty `instances` cannot say whose it is.
        (Content::Instances(values), 1) if values.is_empty() => {}
        _ => return Err(shape("", &format!("this is no node for {base}"))),
    }
    Ok(walk.out)
}

struct Walk<'a, 'd> {
    expected: &'a dyn Fn(Path) -> Option<Expected<'d>>,
    out: Vec<Entry>,
}

impl Walk<'_, '_> {
    fn instance(&mut self, node: &Node, path: Path, at: &str) -> Result<(), ConvertError> {
        let Content::Resources(resources) = &node.content else {
            return Err(shape(at, "an Object Instance holds resources"));
        };
        if resources.is_empty() {
            self.out.push(Entry { path, value: None });
        }
        for (id, resource) in resources {
            let at = format!("{at}/resources/{id}");
            self.resource(resource, below(path, *id, &at)?, &at)?;
        }
        Ok(())
    }

    fn resource(&mut self, node: &Node, path: Path, at: &str) -> Result<(), ConvertError> {
        let known = (self.expected)(path);
        match &node.content {
            Content::Value(value) => {
                if let Some(known) = known.filter(|known| known.multiple) {
                    let message = format!("{path} ({}) has instances, not a single value", known.name);
                    return Err(does_not_fit(at, &message));
                }
                let value = typed(value, node.kind, known, path, at)?;
                self.out.push(Entry { path, value: Some(value) });
            }
            Content::Instances(values) => {
                if let Some(known) = known.filter(|known| !known.multiple) {
                    let message = format!("{path} ({}) has a single value, not instances", known.name);
                    return Err(does_not_fit(at, &message));
                }
                if values.is_empty() {
                    self.out.push(Entry { path, value: None });
                }
                for (id, value) in values {
                    let at = format!("{at}/instances/{id}");
                    let path = below(path, *id, &at)?;
                    let value = typed(value, node.kind, known, path, &at)?;
                    self.out.push(Entry { path, value: Some(value) });
                }
            }
            Content::Resources(_) | Content::ObjectInstances(_) => {
                return Err(shape(at, "a Resource holds a value or instances"));
            }
        }
        Ok(())
    }
}

/// A value in the type that the definition or the node says, within the range of the definition.
fn typed(
    json: &Json,
    said: Option<ValueType>,
    known: Option<Expected<'_>>,
    path: Path,
    at: &str,
) -> Result<OwnedValue, ConvertError> {
    let Some(known) = known else {
        let unknown = || does_not_fit(at, &format!("the definition of {path} is not known: give the type"));
        let kind = said.ok_or_else(unknown)?;
        let no_such = || does_not_fit(at, &format!("{path}: {json} is no {}", kind.name()));
        return value_from_json(json, kind).ok_or_else(no_such);
    };
    let wrong = |what: String| does_not_fit(at, &format!("{}, not {what}", known.sentence(path)));
    let kind = ValueType::from(known.kind.ok_or_else(|| wrong(json.to_string()))?);
    if let Some(said) = said.filter(|said| *said != kind) {
        return Err(wrong(said.name().to_owned()));
    }
    let value = value_from_json(json, kind).ok_or_else(|| wrong(json.to_string()))?;
    if known.allows(&value.as_value()) { Ok(value) } else { Err(wrong(json.to_string())) }
}

/// Reads a JSON value as that type; `None` when it is none.
#[must_use]
pub fn value_from_json(json: &Json, kind: ValueType) -> Option<OwnedValue> {
    let text = || json.as_str();
    Some(match kind {
        ValueType::String => OwnedValue::String(text()?.to_owned()),
        ValueType::Corelnk => OwnedValue::Corelnk(text()?.to_owned()),
        ValueType::Integer => OwnedValue::Integer(integer(json)?),
        ValueType::Time => OwnedValue::Time(integer(json)?),
        ValueType::Unsigned => OwnedValue::Unsigned(match text() {
            Some(text) => decimal(text)?.parse().ok()?,
            None => json.as_u64().or_else(|| u64::try_from(integer(json)?).ok())?,
        }),
        ValueType::Float => OwnedValue::Float(match text() {
            Some("NaN") => f64::NAN,
            Some("Infinity") => f64::INFINITY,
            Some("-Infinity") => f64::NEG_INFINITY,
            Some(_) => return None,
            None => json.as_f64()?,
        }),
        ValueType::Boolean => OwnedValue::Boolean(json.as_bool()?),
        ValueType::Opaque => OwnedValue::Opaque(STANDARD.decode(text()?).ok()?),
        ValueType::Objlnk => OwnedValue::ObjectLink(text()?.parse().ok()?),
    })
}

fn integer(json: &Json) -> Option<i64> {
    match json.as_str() {
        Some(text) => decimal(text)?.parse().ok(),
        // 5.0 is the integer 5 in JSON, which has one kind of number.
        None => json.as_i64().or_else(|| json.as_f64().filter(|f| f.fract() == 0.0).and_then(exact)),
    }
}

fn decimal(text: &str) -> Option<&str> {
    let digits = text.strip_prefix('-').unwrap_or(text);
    (!digits.is_empty() && digits.bytes().all(|b| b.is_ascii_digit())).then_some(text)
}

#[allow(clippy::cast_possible_truncation, reason = "only whole numbers within ±2^53 get here")]
fn exact(float: f64) -> Option<i64> {
    (float.abs() <= 9_007_199_254_740_992.0).then_some(float as i64)
}

/// The JSON of a value: numbers that JavaScript would round become strings, bytes base64.
#[must_use]
pub fn value_to_json(value: &Value<'_>) -> Json {
    match value {
        Value::String(text) | Value::Corelnk(text) => Json::from(*text),
        Value::Integer(number) | Value::Time(number) if number.unsigned_abs() <= SAFE_MAX => {
            Json::from(*number)
        }
        Value::Integer(number) | Value::Time(number) => Json::from(number.to_string()),
        Value::Unsigned(number) if *number <= SAFE_MAX => Json::from(*number),
        Value::Unsigned(number) => Json::from(number.to_string()),
        Value::Float(number) if number.is_nan() => Json::from("NaN"),
        Value::Float(number) if number.is_infinite() => {
            Json::from(if *number > 0.0 { "Infinity" } else { "-Infinity" })
        }
        Value::Float(number) => Json::from(*number),
        Value::Boolean(truth) => Json::from(*truth),
        Value::Opaque(bytes) => Json::from(STANDARD.encode(bytes)),
        Value::ObjectLink(link) => Json::from(link.to_string()),
    }
}

/// The base64 text of a payload.
#[must_use]
pub fn base64(bytes: &[u8]) -> String {
    STANDARD.encode(bytes)
}

/// The node at `base` that holds these values; paths outside of `base` are left out.
#[must_use]
pub fn node(base: Path, entries: &[Entry]) -> Node {
    let inside: Vec<&Entry> = entries.iter().filter(|entry| base.contains(entry.path)).collect();
    let mut node = match base.len() {
        0 | 1 => Node::new(Content::ObjectInstances(split(base, &inside, instance_node))),
        2 => instance_node(base, &inside),
        _ => resource_node(base, &inside),
    };
    node.path = Some(base.to_string());
    node
}

/// As [`node`], with the moment of measurement.
#[must_use]
pub fn node_at(base: Path, entries: &[Entry], time: Option<Timestamp>) -> Node {
    Node { time, ..node(base, entries) }
}

fn instance_node(path: Path, entries: &[&Entry]) -> Node {
    Node::new(Content::Resources(split(path, entries, resource_node)))
}

fn resource_node(path: Path, entries: &[&Entry]) -> Node {
    let kind = entries.iter().find_map(|entry| Some(ValueType::from(entry.value.as_ref()?.data_type())));
    let json = |entry: &Entry| Some(value_to_json(&entry.value.as_ref()?.as_value()));
    // What a payload says twice counts as it said last.
    let single = entries.iter().rev().filter(|entry| entry.path == path).find_map(|entry| json(entry));
    let content = single.map_or_else(
        || {
            let deeper = entries.iter().filter(|entry| entry.path.len() == path.len() + 1);
            Content::Instances(deeper.filter_map(|entry| Some((entry.path.last()?, json(entry)?))).collect())
        },
        Content::Value,
    );
    Node { kind, ..Node::new(content) }
}

/// Groups entries by the ID that follows `base`.
fn split(base: Path, entries: &[&Entry], make: fn(Path, &[&Entry]) -> Node) -> BTreeMap<u16, Node> {
    let mut groups: BTreeMap<u16, Vec<&Entry>> = BTreeMap::new();
    for entry in entries {
        if let Some(id) = entry.path.numbers().nth(base.len()) {
            groups.entry(id).or_default().push(entry);
        }
    }
    groups.into_iter().filter_map(|(id, group)| Some((id, make(base.child(id)?, &group)))).collect()
}

fn below(path: Path, id: u16, at: &str) -> Result<Path, ConvertError> {
    path.child(id).ok_or_else(|| shape(at, "no such ID"))
}

fn shape(at: &str, message: &str) -> ConvertError {
    ConvertError::Shape(NodeError { pointer: at.to_owned(), message: message.to_owned() })
}

fn does_not_fit(at: &str, message: &str) -> ConvertError {
    ConvertError::DoesNotFit(NodeError { pointer: at.to_owned(), message: message.to_owned() })
}

impl From<DataType> for ValueType {
    fn from(kind: DataType) -> ValueType {
        match kind {
            DataType::String => ValueType::String,
            DataType::Integer => ValueType::Integer,
            DataType::Unsigned => ValueType::Unsigned,
            DataType::Float => ValueType::Float,
            DataType::Boolean => ValueType::Boolean,
            DataType::Opaque => ValueType::Opaque,
            DataType::Time => ValueType::Time,
            DataType::ObjectLink => ValueType::Objlnk,
            DataType::Corelnk => ValueType::Corelnk,
        }
    }
}

/// Largest whole number that JavaScript keeps exact together with its neighbours.
const SAFE_MAX: u64 = 1 << 53;

#[cfg(test)]
mod tests;
