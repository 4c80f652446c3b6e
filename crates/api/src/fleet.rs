//! The fleet as a whole: what is known of its values, how many are how, what happens over time, what is asked of many at once.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::Value as Json;
use utoipa::ToSchema;

use crate::node::ValueType;
use crate::time::Timestamp;

/// What the server has heard last of a device, one value for each Resource or Resource Instance, in the order of paths.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct KnownValues {
    /// Of which device.
    pub endpoint: String,
    /// The values.
    pub items: Vec<KnownValue>,
}

/// The last known value of a Resource or Resource Instance.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct KnownValue {
    /// Of which.
    pub path: String,
    /// Data type of the value.
    #[serde(rename = "type", default, skip_serializing_if = "Option::is_none")]
    pub kind: Option<ValueType>,
    /// The value, as in a Node.
    #[schema(value_type = Value)]
    pub value: Json,
    /// When the device measured it, if it said so; else when the server heard of it.
    #[schema(value_type = String, format = DateTime)]
    pub time: Timestamp,
    /// How the server knows.
    pub source: ValueSource,
}

/// How a value became known.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum ValueSource {
    /// By an observation.
    Notify,
    /// The device sent it of its own accord.
    Send,
    /// The server has read it.
    Read,
    /// The server has written it.
    Write,
}

impl ValueSource {
    /// The name used in JSON.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            ValueSource::Notify => "notify",
            ValueSource::Send => "send",
            ValueSource::Read => "read",
            ValueSource::Write => "write",
        }
    }
}

/// The fleet at a moment.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Fleet {
    /// When it was counted; that may be some seconds ago.
    #[schema(value_type = String, format = DateTime)]
    pub as_of: Timestamp,
    /// Registered devices.
    pub registered: u64,
    /// Of these, those that can be reached.
    pub awake: u64,
    /// Of these, those that sleep.
    pub asleep: u64,
    /// Of these, those of which nothing was heard for nine tenths of their lifetime.
    pub late: u64,
    /// Devices whose registration has expired within the last seven days, and that have not come back; 65,536 are remembered.
    pub lost: u64,
    /// The last of the lost ones, newest first.
    pub lost_devices: Vec<LostDevice>,
    /// Registered devices by version of LwM2M.
    pub lwm2m: BTreeMap<String, u64>,
    /// By security: `nosec psk rpk x509`.
    pub security: BTreeMap<String, u64>,
    /// By binding, such as `U`; a Q for those in Queue Mode.
    pub bindings: BTreeMap<String, u64>,
    /// Devices by the firmware version (`/3/0/3`) that the server has heard last, most first.
    pub firmware: Vec<FleetShare>,
    /// By manufacturer (`/3/0/0`) and model (`/3/0/1`), most first.
    pub models: Vec<FleetModel>,
    /// Devices that send the most, by what was counted in the last minute.
    pub noisiest: Vec<NoisyDevice>,
    /// Those that have tried to come and were refused, the last first.
    pub unknown: Vec<UnknownDevice>,
}

/// How many devices have a value.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct FleetShare {
    /// The value.
    pub value: String,
    /// How many have it.
    pub count: u64,
}

/// How many devices are of a model.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct FleetModel {
    /// Who made them; empty if that is not known.
    pub manufacturer: String,
    /// What they are; empty if that is not known.
    pub model: String,
    /// How many.
    pub count: u64,
}

/// A device that did not come back.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct LostDevice {
    /// Which one.
    pub endpoint: String,
    /// When its registration expired.
    #[schema(value_type = String, format = DateTime)]
    pub since: Timestamp,
}

/// A device that sends much.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct NoisyDevice {
    /// Which one.
    pub endpoint: String,
    /// Messages a minute, about.
    pub messages_per_minute: u64,
}

/// Somebody who was refused.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct UnknownDevice {
    /// The name or identity that was claimed, if one was.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub endpoint: Option<String>,
    /// From where, without the port.
    pub address: String,
    /// Why it was refused.
    pub reason: String,
    /// How often.
    pub count: u64,
    /// When it tried last.
    #[schema(value_type = String, format = DateTime)]
    pub last: Timestamp,
}

/// What happened over time, in steps of the same length; the last step is the newest that is whole.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Rates {
    /// Seconds in a step.
    pub step_s: u32,
    /// When the first step began.
    #[schema(value_type = String, format = DateTime)]
    pub from: Timestamp,
    /// How often in each step; null where the server was not running.
    #[schema(value_type = BTreeMap<String, Vec<Option<u32>>>)]
    pub series: BTreeMap<String, Vec<Option<u32>>>,
    /// Failures in each step, by reason.
    #[schema(value_type = BTreeMap<String, Vec<Option<u32>>>)]
    pub failures: BTreeMap<String, Vec<Option<u32>>>,
}

/// What is asked of all devices that a filter holds for.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct BulkOrder {
    /// Which devices, in the words of `GET /endpoints?filter=`; empty: all.
    pub filter: String,
    /// Only these of them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub endpoints: Vec<String>,
    /// What: `read write write-partial execute observe cancel-observation write-attributes discover create delete`.
    pub operation: String,
    /// On what.
    pub path: String,
    /// The body that the operation has when it is asked of one device.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Object>)]
    pub content: Option<Json>,
    /// When each command is given up: a span such as 24h; default 7 days.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub not_after: Option<String>,
}

/// What a bulk operation would be asked of.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct BulkPreview {
    /// How many devices.
    pub matches: u64,
    /// The first of them.
    pub sample: Vec<String>,
}

/// An operation on many devices: durable commands, made little by little.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Bulk {
    /// Its name.
    pub id: String,
    /// What was asked.
    pub order: BulkOrder,
    /// When.
    #[schema(value_type = String, format = DateTime)]
    pub created_at: Timestamp,
    /// When it came to its end.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, format = DateTime)]
    pub ended_at: Option<Timestamp>,
    /// Where it stands.
    pub state: BulkState,
    /// How many devices matched when it was asked.
    pub matches: u64,
    /// Devices that have been given their command, or could not be.
    pub made: u64,
    /// Commands by where they are: `waiting sent done refused expired cancelled superseded`, and `failed` for devices that could not be
    /// given one.
    pub counts: BTreeMap<String, u64>,
    /// Failures by the device's code, or the reason.
    pub failures: BTreeMap<String, u64>,
}

/// Where a bulk operation stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum BulkState {
    /// Commands are still made, or not all have ended.
    Running,
    /// All its commands have ended.
    Done,
    /// It was cancelled; what waited waits no longer.
    Cancelled,
}

/// Bulk operations, the newest first.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Bulks {
    /// The last ones.
    pub items: Vec<Bulk>,
}
