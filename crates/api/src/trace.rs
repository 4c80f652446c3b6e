//! The trace: the last messages of a device, as they came and went, decrypted and with their meaning. Never a key.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::answer::Link;
use crate::node::Node;
use crate::security::ServerRole;
use crate::time::Timestamp;

/// The last messages of a device or an address, the oldest first.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Trace {
    /// One for each message.
    pub items: Vec<TraceItem>,
    /// Give it as `after` to get what comes behind these.
    pub next: String,
    /// Whether messages after `after` may be missing, because newer ones took their place.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub gap: bool,
}

/// Which way a message went.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub enum TraceDirection {
    /// From the device.
    In,
    /// To the device.
    Out,
}

/// One message.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct TraceItem {
    /// Names it as long as it is kept.
    pub id: String,
    /// When it came or went.
    #[schema(value_type = String, format = DateTime)]
    pub time: Timestamp,
    /// Which way.
    pub direction: TraceDirection,
    /// Which server the device talks to.
    pub server: ServerRole,
    /// The other side's address and port.
    pub address: String,
    /// Whether it travelled in a secure session.
    pub secured: bool,
    /// `CON`, `NON`, `ACK` or `RST`; absent where there is no CoAP message to see.
    #[serde(rename = "type", default, skip_serializing_if = "Option::is_none")]
    pub kind: Option<String>,
    /// CoAP code, such as `2.05`; `0.00` is an empty message.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub code: Option<String>,
    /// Name of the code, such as `Content` or `GET`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub code_name: Option<String>,
    /// Message ID.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub message_id: Option<u16>,
    /// Token in hex; empty without one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub token: Option<String>,
    /// What the message is part of, such as `register`, `read`, `notify`, `bootstrap-write`, `ping`; absent where nobody knows.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub operation: Option<String>,
    /// What it is about: a path of the device's data, or the address at the server.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub path: Option<String>,
    /// Its options, in their order.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub options: Vec<TraceOption>,
    /// Content format by name, if it says one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub format: Option<String>,
    /// Its payload; absent without one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub payload: Option<TracePayload>,
    /// Its bytes in hex, without a payload that is hidden and without what was cut off.
    pub bytes_hex: String,
    /// Its length in bytes as it travelled.
    pub length: u32,
    /// Whether it is a copy of a message seen before, with the same message ID.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub repeated: bool,
    /// Why nothing was done with it, as one word, such as `bad-mac`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub dropped: Option<String>,
    /// The same in words, with what it means.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// Messages with the same one belong together: request, answers, acknowledgements, repetitions, blocks. It is the `id` of the first.
    pub exchange: String,
    /// Microseconds since the message that this one answers; 0: it was answered in the same step, for which the clock is looked at once.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub elapsed_us: Option<u64>,
}

/// What a stream says by the event `gap`: messages of the device are missing here.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct TraceGap {
    /// How many; absent where nobody has counted them, since they were overwritten or are of before a restart.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lost: Option<u64>,
}

/// What comes to one who follows.
#[derive(Clone, Debug, PartialEq)]
pub enum TraceTold {
    /// A message.
    Item(Box<TraceItem>),
    /// Some are missing here.
    Gap(TraceGap),
}

/// One option of a message.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct TraceOption {
    /// Its name in the registry, or its number.
    pub name: String,
    /// Its value in words; behind `!` what is wrong with it.
    pub value: String,
}

/// What a message carries.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct TracePayload {
    /// Its length in bytes.
    pub length: u32,
    /// Its values, if it holds some that can be read.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub nodes: Vec<Node>,
    /// Its links: the objects of a Register, the answer to a Discover.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub links: Vec<Link>,
    /// It as text, if it is that and nothing else.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub text: Option<String>,
    /// Why its values cannot be read.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub undecoded: Option<String>,
    /// Whether it may hold a key, and so is not shown, but for values that are none.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub hidden: bool,
    /// Whether it is a block of a larger body.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub part: bool,
}
