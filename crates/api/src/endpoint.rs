//! A registered device as the API shows it.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::fleet::KnownValue;
use crate::security::Session;
use crate::time::Timestamp;

/// One page of registered devices, ordered by endpoint name. With a filter it may hold fewer than asked for, even none,
/// and others still follow: a server looks at so many names a page and no more.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Endpoints {
    /// The devices of this page.
    pub items: Vec<Endpoint>,
    /// Give this as `cursor` to get the next page; absent on the last one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next: Option<String>,
    /// How many there are in all, if that was asked for; absent where it would take too long to look.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub total: Option<u64>,
}

/// One registration.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Endpoint {
    /// Endpoint Client Name (TS_Core 6.2.1).
    pub endpoint: String,
    /// The last part of the device's location under `/rd/`.
    pub registration_id: String,
    /// The version the device registered with, such as `1.1`.
    pub lwm2m_version: String,
    /// Registration lifetime in seconds.
    pub lifetime_s: u32,
    /// Binding letters, such as `U`.
    pub binding: String,
    /// Whether the device sleeps between its own messages.
    pub queue_mode: bool,
    /// Whether the device can be reached right now.
    pub state: PresenceState,
    /// Until when a device in Queue Mode counts as awake if nothing more is heard of it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, format = DateTime)]
    pub awake_until: Option<Timestamp>,
    /// When a sleeping device is expected to show itself, by its rhythm so far and at the latest before its lifetime ends.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, format = DateTime)]
    pub expected_wake: Option<Timestamp>,
    /// Durable commands that wait for the device.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub commands_waiting: u64,
    /// Address and port the device was last seen at.
    pub address: String,
    /// When this registration began.
    #[schema(value_type = String, format = DateTime)]
    pub registered_at: Timestamp,
    /// When the device last registered or updated.
    #[schema(value_type = String, format = DateTime)]
    pub updated_at: Timestamp,
    /// When the registration ends unless it is updated; null = never (lifetime 0).
    #[schema(value_type = Option<String>, format = DateTime)]
    pub expires_at: Option<Timestamp>,
    /// How the device proved who it is.
    pub security: Security,
    /// The secure session by which the device is reached; absent without security, and while a secured device has none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub session: Option<Session>,
    /// Objects and Object Instances the device listed, in its order.
    pub objects: Vec<ObjectEntry>,
    /// The path in front of all Objects, as the device said it (`rt="oma.lwm2m"`).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub alternate_path: Option<String>,
    /// Content formats that the device announced.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub content_formats: Vec<String>,
    /// The Profile ID, or several, that the device registered with (LwM2M 1.2); `objects` has what they stand for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub profile_id: Option<String>,
    /// Number or identifier for SMS.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sms: Option<String>,
    /// Registration parameters that the server does not know, as received.
    pub attributes: BTreeMap<String, String>,
    /// What the device did otherwise than the standard says, and how often in this registration and its forerunners; never held against
    /// it where the meaning was clear.
    #[serde(default)]
    pub deviations: BTreeMap<String, u64>,
    /// How long the server waits for it, and how often it repeats; only where one device is shown.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub transmission: Option<Transmission>,
    /// Last known values, by the path that was asked for as a column of the list; only there.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub values: BTreeMap<String, KnownValue>,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde asks with a reference")]
fn is_zero(count: &u64) -> bool {
    *count == 0
}

/// Whether a device can be reached.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum PresenceState {
    /// It listens.
    Awake,
    /// It is in Queue Mode and its awake window is over.
    Asleep,
    /// Its registration has expired; only in lists of `state:lost`, as it was known then.
    Lost,
}

impl PresenceState {
    /// The name used in JSON.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            PresenceState::Awake => "awake",
            PresenceState::Asleep => "asleep",
            PresenceState::Lost => "lost",
        }
    }
}

/// The transmission parameters of CoAP that count for the server's requests to a device (RFC 7252 §4.8).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Transmission {
    /// ACK_TIMEOUT: milliseconds after which a request is repeated at the earliest.
    pub ack_timeout_ms: u64,
    /// ACK_RANDOM_FACTOR: the first wait is chosen between 100 and this many percent of it.
    pub ack_random_percent: u16,
    /// MAX_RETRANSMIT: how often a request is repeated, each time after twice the wait.
    pub max_retransmit: u8,
    /// MAX_TRANSMIT_WAIT: milliseconds after which a request counts as lost at the latest.
    pub lost_after_ms: u64,
    /// The names in `transmission.devices` of the configuration that fit this device; absent where it has what all have.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub rule: Vec<String>,
}

/// How the device's messages are protected.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Security {
    /// Kind of credential.
    pub mode: SecurityMode,
    /// Identity proved by the credential.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub identity: Option<String>,
    /// Negotiated cipher suite.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cipher_suite: Option<String>,
    /// DTLS connection ID in hex.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cid: Option<String>,
}

/// Kind of credential.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum SecurityMode {
    /// None: plain CoAP.
    Nosec,
    /// Pre-shared key.
    Psk,
    /// Raw public key.
    Rpk,
    /// Certificate.
    X509,
}

impl SecurityMode {
    /// The name used in JSON.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            SecurityMode::Nosec => "nosec",
            SecurityMode::Psk => "psk",
            SecurityMode::Rpk => "rpk",
            SecurityMode::X509 => "x509",
        }
    }
}

/// An Object or Object Instance the device supports.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ObjectEntry {
    /// `/3` or `/3/0`.
    pub path: String,
    /// Version of the Object: as the device said, or as its LwM2M version implies.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version: Option<String>,
}
