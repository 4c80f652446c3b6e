//! Node: one JSON shape for any level of the data tree.
//!
//! | Level | JSON |
//! |---|---|
//! | Resource, single | `{"path": "/3/0/9", "type": "integer", "value": 84}` |
//! | Resource, multiple | `{"path": "/3/0/7", "type": "integer", "instances": {"0": 3800, "1": 5000}}` |
//! | Object Instance | `{"path": "/3/0", "resources": {"9": {"type": "integer", "value": 84}}}` |
//! | Object | `{"path": "/3", "instances": {"0": {"resources": {}}}}` |

use std::collections::BTreeMap;

use serde::de::Error as _;
use serde::ser::SerializeMap;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::Value as Json;
use utoipa::ToSchema;

use crate::time::Timestamp;

/// Any level of the data tree, as JSON knows it. Values stay JSON until their type is known.
#[derive(Clone, Debug, PartialEq)]
pub struct Node {
    /// Where it stands; absent inside a tree and where the address already says it.
    pub path: Option<String>,
    /// Name from the object definition, given by the server on the outermost node.
    pub name: Option<String>,
    /// Unit from the object definition, given by the server on an outermost Resource.
    pub units: Option<String>,
    /// When the device measured it, if the device said so.
    pub time: Option<Timestamp>,
    /// Data type of the values, only on Resources; a write may leave it out when the definition is known.
    pub kind: Option<ValueType>,
    /// What it holds.
    pub content: Content,
}

/// What a [`Node`] holds.
#[derive(Clone, Debug, PartialEq)]
pub enum Content {
    /// The value of a single-instance Resource or of one Resource Instance.
    Value(Json),
    /// The values of a multiple-instance Resource by Resource Instance ID.
    Instances(BTreeMap<u16, Json>),
    /// The Resources of an Object Instance.
    Resources(BTreeMap<u16, Node>),
    /// The Object Instances of an Object.
    ObjectInstances(BTreeMap<u16, Node>),
}

/// Data types (TS_Core appendix C).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum ValueType {
    /// UTF-8 text.
    String,
    /// Signed, up to 64 bits; outside ±2^53 written as a JSON string.
    Integer,
    /// Unsigned, up to 64 bits; above 2^53 written as a JSON string.
    Unsigned,
    /// 32 or 64 bits; what JSON has no number for is `"NaN"`, `"Infinity"`, `"-Infinity"`.
    Float,
    /// `true` or `false`.
    Boolean,
    /// Bytes in base64.
    Opaque,
    /// Seconds since 1970, a number.
    Time,
    /// `"3:0"`.
    Objlnk,
    /// CoRE links as text.
    Corelnk,
}

impl ValueType {
    /// The name used in JSON.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            ValueType::String => "string",
            ValueType::Integer => "integer",
            ValueType::Unsigned => "unsigned",
            ValueType::Float => "float",
            ValueType::Boolean => "boolean",
            ValueType::Opaque => "opaque",
            ValueType::Time => "time",
            ValueType::Objlnk => "objlnk",
            ValueType::Corelnk => "corelnk",
        }
    }
}

/// What to do with members that a Node does not have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unknown {
    /// A mistake of the sender: report it (server reading a request).
    Refuse,
    /// Something newer than us: skip it (client reading an answer).
    Ignore,
}

/// The JSON is no Node.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct NodeError {
    /// JSON pointer to the place, empty for the outermost value.
    pub pointer: String,
    /// What is wrong there.
    pub message: String,
}

impl Node {
    /// A node without path, name and type.
    #[must_use]
    pub fn new(content: Content) -> Node {
        Node { path: None, name: None, units: None, time: None, kind: None, content }
    }

    /// Reads a Node; an empty `instances` counts as an Object's only when the path is an Object's.
    ///
    /// # Errors
    /// Says what is wrong and where.
    pub fn from_json(json: &Json, unknown: Unknown) -> Result<Node, NodeError> {
        read_node(json, unknown, &mut String::new(), Place::Outermost)
    }
}

/// Where a node stands, which decides what it may hold.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Place {
    Outermost,
    InObject,
    InInstance,
}

fn read_node(json: &Json, unknown: Unknown, at: &mut String, place: Place) -> Result<Node, NodeError> {
    let object = json.as_object().ok_or_else(|| wrong(at, "expected an object"))?;
    let mut node = Node::new(Content::Value(Json::Null));
    let mut content: Option<Content> = None;
    for (key, value) in object {
        let found = match key.as_str() {
            "path" => {
                node.path = Some(text(value, at, key)?);
                continue;
            }
            "name" => {
                node.name = Some(text(value, at, key)?);
                continue;
            }
            "units" => {
                node.units = Some(text(value, at, key)?);
                continue;
            }
            "time" => {
                let moment = text(value, at, key)?.parse();
                node.time =
                    Some(moment.map_err(|e: crate::time::BadTimestamp| inside(at, key, &e.to_string()))?);
                continue;
            }
            "type" => {
                let kind = ValueType::deserialize(value);
                node.kind = Some(kind.map_err(|_| inside(at, key, "no such data type"))?);
                continue;
            }
            "value" if value.is_object() || value.is_array() || value.is_null() => {
                return Err(inside(at, key, "expected a string, a number or a boolean"));
            }
            "value" => Content::Value(value.clone()),
            "resources" => Content::Resources(read_children(value, unknown, at, key, Place::InInstance)?),
            "instances" => read_instances(value, unknown, at, object.get("path"), place)?,
            _ if unknown == Unknown::Ignore => continue,
            _ => return Err(inside(at, key, "a Node has no such member")),
        };
        if content.replace(found).is_some() {
            return Err(wrong(at, "only one of value, instances and resources may be given"));
        }
    }
    node.content = content.ok_or_else(|| wrong(at, "value, instances or resources is missing"))?;
    check_place(&node, place, at)?;
    Ok(node)
}

fn check_place(node: &Node, place: Place, at: &str) -> Result<(), NodeError> {
    match (&node.content, place) {
        (Content::Resources(_), Place::InInstance) => Err(wrong(at, "a Resource holds a value or instances")),
        (Content::ObjectInstances(_), Place::InInstance | Place::InObject) => {
            Err(wrong(at, "instances of an Object can only stand at the outermost level"))
        }
        (Content::Value(_) | Content::Instances(_), Place::InObject) => {
            Err(wrong(at, "an Object Instance holds resources"))
        }
        (Content::Resources(_) | Content::ObjectInstances(_), _) if node.kind.is_some() => {
            Err(wrong(at, "only a Resource has a type"))
        }
        _ => Ok(()),
    }
}

/// `instances` belongs to an Object when its members are objects, or when the path has one segment; else to a Resource.
fn read_instances(
    value: &Json,
    unknown: Unknown,
    at: &mut String,
    path: Option<&Json>,
    place: Place,
) -> Result<Content, NodeError> {
    let map = value.as_object().ok_or_else(|| inside(at, "instances", "expected an object"))?;
    let object_path =
        path.and_then(Json::as_str).is_some_and(|p| p.trim_matches('/').split('/').count() == 1);
    let of_object = map.values().next().map_or(object_path, Json::is_object);
    if of_object && place == Place::Outermost {
        return Ok(Content::ObjectInstances(read_children(
            value,
            unknown,
            at,
            "instances",
            Place::InObject,
        )?));
    }
    let mut values = BTreeMap::new();
    for (key, value) in map {
        let id = id(key).ok_or_else(|| inside(at, "instances", &format!("{key:?} is no instance ID")))?;
        if value.is_object() || value.is_array() || value.is_null() {
            let message = format!("instance {key}: expected a string, a number or a boolean");
            return Err(inside(at, "instances", &message));
        }
        values.insert(id, value.clone());
    }
    Ok(Content::Instances(values))
}

fn read_children(
    value: &Json,
    unknown: Unknown,
    at: &mut String,
    member: &str,
    place: Place,
) -> Result<BTreeMap<u16, Node>, NodeError> {
    let map = value.as_object().ok_or_else(|| inside(at, member, "expected an object"))?;
    let mut children = BTreeMap::new();
    for (key, value) in map {
        let id = id(key).ok_or_else(|| inside(at, member, &format!("{key} is no ID (0 to 65534)")))?;
        let length = at.len();
        at.push('/');
        at.push_str(member);
        at.push('/');
        at.push_str(key);
        let child = read_node(value, unknown, at, place)?;
        at.truncate(length);
        children.insert(id, child);
    }
    Ok(children)
}

/// An ID in its one spelling: no sign, no leading zero, never 65535.
fn id(text: &str) -> Option<u16> {
    let canonical = text == "0" || !text.starts_with(['0', '+']);
    text.parse().ok().filter(|id| canonical && *id != u16::MAX)
}

fn text(value: &Json, at: &str, member: &str) -> Result<String, NodeError> {
    value.as_str().map(str::to_owned).ok_or_else(|| inside(at, member, "expected a string"))
}

fn wrong(at: &str, message: &str) -> NodeError {
    NodeError { pointer: at.to_owned(), message: message.to_owned() }
}

fn inside(at: &str, member: &str, message: &str) -> NodeError {
    NodeError {
        pointer: format!("{at}/{}", member.replace('~', "~0").replace('/', "~1")),
        message: message.to_owned(),
    }
}

impl Serialize for Node {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        if let Some(path) = &self.path {
            map.serialize_entry("path", path)?;
        }
        if let Some(name) = &self.name {
            map.serialize_entry("name", name)?;
        }
        if let Some(time) = &self.time {
            map.serialize_entry("time", time)?;
        }
        if let Some(kind) = &self.kind {
            map.serialize_entry("type", kind)?;
        }
        if let Some(units) = &self.units {
            map.serialize_entry("units", units)?;
        }
        match &self.content {
            Content::Value(value) => map.serialize_entry("value", value)?,
            Content::Instances(values) => map.serialize_entry("instances", values)?,
            Content::Resources(children) => map.serialize_entry("resources", children)?,
            Content::ObjectInstances(children) => map.serialize_entry("instances", children)?,
        }
        map.end()
    }
}

impl<'de> Deserialize<'de> for Node {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Node, D::Error> {
        let json = Json::deserialize(deserializer)?;
        Node::from_json(&json, Unknown::Ignore)
            .map_err(|e| D::Error::custom(format!("{} at {:?}", e.message, e.pointer)))
    }
}

/// The shape of [`Node`] for the OpenAPI document; exactly one of `value`, `instances`, `resources` is present.
#[derive(ToSchema)]
#[schema(as = Node)]
#[expect(dead_code, reason = "only its schema is used")]
pub(crate) struct NodeShape {
    /// Where it stands; absent inside a tree.
    path: Option<String>,
    /// Name from the object definition.
    name: Option<String>,
    /// Unit from the object definition.
    units: Option<String>,
    /// When the device measured it.
    #[schema(format = DateTime)]
    time: Option<String>,
    /// Data type of the values.
    #[schema(inline)]
    r#type: Option<ValueType>,
    /// Value of a single Resource.
    #[schema(value_type = Option<serde_json::Value>)]
    value: Option<Json>,
    /// Values of a multiple Resource, or the instances of an Object.
    #[schema(value_type = Option<std::collections::HashMap<String, serde_json::Value>>)]
    instances: Option<Json>,
    /// Resources of an Object Instance.
    #[schema(no_recursion)]
    resources: Option<std::collections::HashMap<String, NodeShape>>,
}

impl utoipa::PartialSchema for Node {
    fn schema() -> utoipa::openapi::RefOr<utoipa::openapi::schema::Schema> {
        <NodeShape as utoipa::PartialSchema>::schema()
    }
}

impl ToSchema for Node {
    fn name() -> std::borrow::Cow<'static, str> {
        "Node".into()
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn every_level_of_the_contract_survives_the_round_trip() {
        for json in [
            json!({"path": "/3/0/9", "type": "integer", "value": 84}),
            json!({"path": "/3/0/9", "name": "Battery Level", "type": "integer", "units": "%", "value": 84}),
            json!({"path": "/3/0/7", "type": "integer", "instances": {"0": 3800, "1": 5000}}),
            json!({"path": "/3/0/7", "type": "integer", "instances": {}}),
            json!({"path": "/3/0", "resources": {"9": {"type": "integer", "value": 84}, "7": {"type": "integer", "instances": {"0": 1}}}}),
            json!({"path": "/3", "instances": {"0": {"resources": {}}, "10": {"resources": {"0": {"type": "string", "value": "x"}}}}}),
            json!({"path": "/3", "instances": {}}),
            json!({"path": "/3303/0/5700", "time": "2026-01-01T00:00:00.000Z", "type": "float", "value": 21.5}),
            json!({"path": "/1/0/1", "type": "integer", "value": "9007199254740993"}),
        ] {
            let node = Node::from_json(&json, Unknown::Refuse).unwrap();
            assert_eq!(serde_json::to_value(&node).unwrap(), json);
        }
    }

    #[test]
    fn what_is_no_node_is_refused_with_its_place() {
        for (json, pointer) in [
            (json!([]), ""),
            (json!(5), ""),
            (json!({}), ""),
            (json!({"value": null}), "/value"),
            (json!({"value": {"a": 1}}), "/value"),
            (json!({"value": 1, "resources": {}}), ""),
            (json!({"value": 1, "type": "number"}), "/type"),
            (json!({"vlaue": 1}), "/vlaue"),
            (json!({"value": 1, "a/b": 1}), "/a~1b"),
            (json!({"path": 3, "value": 1}), "/path"),
            (json!({"resources": {"65535": {"value": 1}}}), "/resources"),
            (json!({"resources": {"-1": {"value": 1}}}), "/resources"),
            (json!({"resources": {"01": {"value": 1}}}), "/resources"),
            (json!({"resources": {"1": {"value": []}}}), "/resources/1/value"),
            (json!({"resources": {"1": {"resources": {}}}}), "/resources/1"),
            (json!({"instances": {"0": {"value": 1}}}), "/instances/0"),
            (json!({"instances": {"0": {"instances": {"0": {"resources": {}}}}}}), "/instances/0/instances"),
            (json!({"instances": {"0": 1, "1": {"resources": {}}}}), "/instances"),
            (json!({"type": "integer", "resources": {}}), ""),
            (json!({"time": "noon", "value": 1}), "/time"),
        ] {
            let error = Node::from_json(&json, Unknown::Refuse).unwrap_err();
            assert_eq!(error.pointer, pointer, "{json}: {error}");
        }
    }

    #[test]
    fn a_client_skips_members_newer_than_itself() {
        let node = Node::from_json(&json!({"value": 1, "colour": "red"}), Unknown::Ignore).unwrap();
        assert_eq!(node.content, Content::Value(json!(1)));
    }
}
