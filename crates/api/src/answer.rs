//! Bodies of downlink operations: what a caller sends, what came back from the device.

use std::collections::BTreeMap;

use serde::{Deserialize, Deserializer, Serialize, de};
use utoipa::ToSchema;

use crate::node::Node;
use crate::time::Timestamp;

/// What a device answered. The HTTP status is the server's own verdict, `code` is the device's.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct DownlinkAnswer {
    /// `read`, `discover`, `write`, `write-attributes`, `execute`, `create`, `delete`, `observe`, `cancel-observation`,
    /// `read-composite`, `write-composite`, `observe-composite`, `cancel-composite`.
    pub operation: String,
    /// The path the operation addressed; `/` for composite operations.
    pub path: String,
    /// The device's response code, such as `2.05` or `4.04`.
    pub code: String,
    /// Content format of the answer, or of the request where the answer has no payload.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub format: Option<String>,
    /// Milliseconds from the request's start at the server to the answer.
    pub elapsed_ms: u64,
    /// Decoded data (Read, Observe), nodes (composite Read and Observe) or links (Discover).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub content: Option<AnswerContent>,
    /// Where the new Object Instance stands (Create), such as `/3303/1`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub location: Option<String>,
    /// Where they stand, when a Create made several Object Instances at once.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub locations: Vec<String>,
    /// Text that the device sent along with an error code.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub diagnostic: Option<String>,
    /// Why the payload could not be decoded; `raw` then carries it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub undecoded: Option<String>,
    /// Which other operations did it in the end, with `fallback=true`: `single-reads` (for a Read-Composite),
    /// `write-attributes` (for attributes in an Observe-Composite).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fallback: Option<String>,
    /// The payload as it came: with `raw=true`, and when it could not be decoded.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub raw: Option<RawPayload>,
}

/// Decoded payload of an answer.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(untagged)]
pub enum AnswerContent {
    /// What Discover found.
    Links {
        /// In the device's order.
        links: Vec<Link>,
    },
    /// What a composite operation found, each with its path, in the device's order.
    Nodes {
        /// One node for each path that holds something.
        nodes: Vec<Node>,
    },
    /// Data.
    Node(Node),
}

/// A payload as it came from the device.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct RawPayload {
    /// CoAP Content-Format number; absent when the device sent none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub content_format: Option<u16>,
    /// The bytes in base64.
    pub payload: String,
}

/// One entry of a Discover answer.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Link {
    /// Path of the Object, Object Instance, Resource or Resource Instance.
    pub path: String,
    /// Attributes as the device listed them: numbers where they are numbers, `true` for those without a value.
    #[schema(value_type = BTreeMap<String, Value>)]
    pub attributes: BTreeMap<String, serde_json::Value>,
}

/// Body of Execute; an empty body means no arguments.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ExecuteBody {
    /// Arguments in the syntax of TS_Core 6.3.5, such as `0='x',1`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub arguments: Option<String>,
}

/// Body of Write-Attributes and optional body of Observe. A number sets, `null` unsets, absence leaves alone; `con` and `edge` may
/// also be `true` or `false`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, ToSchema)]
#[serde(transparent)]
pub struct AttributesBody {
    /// Attribute name (`pmin pmax gt lt st epmin epmax edge con hqmax`) to its value.
    #[schema(value_type = BTreeMap<String, Option<Value>>)]
    pub attributes: BTreeMap<String, Option<serde_json::Number>>,
}

impl AttributesBody {
    /// Whether it says nothing.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.attributes.is_empty()
    }
}

/// A value as people write it.
#[derive(Deserialize)]
#[serde(untagged)]
enum Written {
    Flag(bool),
    Number(serde_json::Number),
    Other(serde_json::Value),
}

impl<'de> Deserialize<'de> for AttributesBody {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let written: BTreeMap<String, Option<Written>> = Deserialize::deserialize(deserializer)?;
        let number = |(name, value): (String, Option<Written>)| {
            let value = match value {
                None => None,
                Some(Written::Number(number)) => Some(number),
                Some(Written::Flag(flag)) if matches!(name.as_str(), "con" | "edge") => {
                    Some(u8::from(flag).into())
                }
                Some(Written::Flag(flag)) => {
                    return Err(format!("the attribute {name} is {flag}, expected a number"));
                }
                Some(Written::Other(other)) => {
                    return Err(format!("the attribute {name} is {other}, expected a number"));
                }
            };
            Ok((name, value))
        };
        let attributes = written.into_iter().map(number).collect::<Result<_, _>>();
        Ok(AttributesBody { attributes: attributes.map_err(de::Error::custom)? })
    }
}

/// Body of Read-Composite.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct CompositeReadBody {
    /// What to read.
    pub paths: Vec<String>,
}

/// Body of Observe-Composite.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct CompositeObserveBody {
    /// What to observe.
    pub paths: Vec<String>,
    /// Attributes to carry in the request (LwM2M 1.2): `pmin pmax epmin epmax con`.
    #[serde(default, skip_serializing_if = "AttributesBody::is_empty")]
    pub attributes: AttributesBody,
}

/// Body of Write-Composite. A node with a path and `"value": null` removes that Resource Instance (LwM2M 1.2).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct CompositeWriteBody {
    /// What to write; each node carries its path.
    pub nodes: Vec<Node>,
}

/// Everything that is wanted to be observed on one device.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Observations {
    /// Ordered by path.
    pub items: Vec<ObservationState>,
}

/// One wanted observation with its last value.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct ObservationState {
    /// What is observed; `/` for a composite observation.
    pub path: String,
    /// The name of a composite observation.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// What a composite observation observes.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub paths: Vec<String>,
    /// Whether it runs.
    pub state: ObservingState,
    /// Why it failed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// Attributes carried in the Observe request.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schema(value_type = BTreeMap<String, f64>)]
    pub attributes: BTreeMap<String, serde_json::Number>,
    /// Last data the device reported, each node with its own time when the device gave one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub content: Option<Vec<Node>>,
    /// When that data arrived.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, format = DateTime)]
    pub time: Option<Timestamp>,
    /// Notifications in this registration.
    pub notifications: u64,
    /// Since when it runs; absent before its first answer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, format = DateTime)]
    pub since: Option<Timestamp>,
    /// How often the server has started it anew without being asked, as after the device registered again.
    #[serde(default)]
    pub restarts: u64,
}

/// Whether a wanted observation runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum ObservingState {
    /// The device accepted it in its present registration.
    Active,
    /// The server is about to ask the device, or asks again.
    Pending,
    /// The device refused; asked again when it registers anew.
    Failed,
}
