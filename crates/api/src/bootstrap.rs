//! What the Bootstrap-Server gives to devices: documents, templates, plans and sessions.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::answer::Link;
use crate::endpoint::SecurityMode;
use crate::node::Node;
use crate::time::Timestamp;

/// What stands in the place of a secret value of a Node where it is shown. Written back, it means the secret that is kept.
pub const SECRET: &str = "(secret)";

/// What a device is given when it bootstraps. Secrets can be written, and are never shown.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct BootstrapDocument {
    /// What is deleted first, in this order: `/`, objects such as `/0`, instances such as `/0/3`. Left out: only the accounts of
    /// servers that the document does not name, and those that it writes anew. Empty: nothing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub delete: Option<Vec<String>>,
    /// Content format of everything that is written: `tlv senml-json senml-cbor lwm2m-cbor`. Left out: what the device prefers.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub format: Option<String>,
    /// The servers that the device shall register with: one instance of objects 0 and 1 each, on free instance IDs.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub servers: Vec<BootstrapAccount>,
    /// What else is written, behind the servers and in this order: Objects, Object Instances or Resources of any object.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub write: Vec<Node>,
    /// What is read back before the end, for the session's record: `/1`, `/2` and their instances.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub read: Vec<String>,
    /// Whether the device may have all of it in one Bootstrap-Pack (LwM2M 1.2); default true.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pack: Option<bool>,
    /// Where the document comes from: `document`, or `template:NAME`. Given by the server.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub from: Option<String>,
}

/// One server that a device shall register with: the short form of an instance of objects 0 and 1.
#[derive(Clone, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct BootstrapAccount {
    /// Short Server ID, 1 to 65534; different for each server.
    pub short_server_id: u16,
    /// Where the server is, such as `coaps://lwm2m.example:5684`.
    pub uri: String,
    /// How the device proves who it is.
    pub mode: SecurityMode,
    /// `psk`: the identity.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub identity: Option<String>,
    /// `psk`: the key, 1 to 64 bytes in hex. Write-only.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key_hex: Option<String>,
    /// `rpk`: the device's public key (SubjectPublicKeyInfo in PEM).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub public_key_pem: Option<String>,
    /// `x509`: the device's certificate in PEM.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub certificate_pem: Option<String>,
    /// `rpk` and `x509`: the device's private key (PKCS#8 in PEM). Write-only.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub secret_key_pem: Option<String>,
    /// `rpk`: the server's public key; `x509`: the certificate by which the server is trusted. In PEM.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub server_key_pem: Option<String>,
    /// Whether the secret is kept. Shown in the place of the secret; written back without one, the secret stays.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key_set: Option<bool>,
    /// Lifetime of the registration in seconds; default 86400.
    #[serde(default = "lifetime_default")]
    pub lifetime_s: u32,
    /// Transports that the device shall be reached over; default `U`.
    #[serde(default = "binding_default")]
    pub binding: String,
    /// Whether the device shall use Queue Mode. Only LwM2M 1.0 has a word for it here (`UQ`); later devices decide themselves.
    #[serde(default)]
    pub queue_mode: bool,
    /// Further Resources of the instance of object 0, by their ID; they outrank those above.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub security: BTreeMap<u16, Node>,
    /// Further Resources of the instance of object 1, by their ID; they outrank those above.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub server: BTreeMap<u16, Node>,
}

impl BootstrapAccount {
    /// A server without transport security, with the defaults for everything else.
    #[must_use]
    pub fn nosec(short_server_id: u16, uri: impl Into<String>) -> BootstrapAccount {
        BootstrapAccount {
            short_server_id,
            uri: uri.into(),
            mode: SecurityMode::Nosec,
            identity: None,
            key_hex: None,
            public_key_pem: None,
            certificate_pem: None,
            secret_key_pem: None,
            server_key_pem: None,
            key_set: None,
            lifetime_s: lifetime_default(),
            binding: binding_default(),
            queue_mode: false,
            security: BTreeMap::new(),
            server: BTreeMap::new(),
        }
    }
}

impl std::fmt::Debug for BootstrapAccount {
    /// Without anything that could be a secret.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "server {} at {} ({:?})", self.short_server_id, self.uri, self.mode)
    }
}

fn lifetime_default() -> u32 {
    86_400
}

fn binding_default() -> String {
    "U".to_owned()
}

/// What all devices are given whose names fit a pattern, unless they have a document of their own.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct BootstrapTemplate {
    /// Its name; given by the address.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// Endpoint names that it is for: `*` stands for any characters, also none. Of several templates that fit, the one with the
    /// most other characters counts.
    pub pattern: String,
    /// The document; in its texts `{endpoint}` stands for the name of the device, `{1}`, `{2}` … for what the first, the second …
    /// `*` stands for, and `{{` for a brace.
    pub document: BootstrapDocument,
}

/// All templates, by name.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct BootstrapTemplates {
    /// The templates.
    pub items: Vec<BootstrapTemplate>,
}

/// What is known of a device that may bootstrap, or has tried to.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct BootstrapEntry {
    /// Endpoint Client Name.
    pub endpoint: String,
    /// Whether there is a document or a template for it.
    pub document: bool,
    /// Where that comes from: `document`, or `template:NAME`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub from: Option<String>,
    /// How its last session went.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub result: Option<BootstrapResult>,
    /// When its last session began, or it was refused one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, format = DateTime)]
    pub last_session_at: Option<Timestamp>,
    /// Why the last session ended as it did, in plain words, when it did not end well.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

/// One page of devices, ordered by name.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct BootstrapEntries {
    /// The devices.
    pub items: Vec<BootstrapEntry>,
    /// `cursor` of the next page, when there is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next: Option<String>,
}

/// How a session went.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum BootstrapResult {
    /// It is under way.
    Running,
    /// The device has taken its configuration.
    Finished,
    /// The device did not accept a command, or its configuration as a whole.
    Refused,
    /// The device stopped answering, or the session took too long.
    Lost,
    /// A newer session of the device took its place.
    Displaced,
    /// The server did not begin it, or gave it up: there is no document, or it does not fit the device.
    Failed,
}

/// One command to a device, before or after it was sent.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct BootstrapStep {
    /// `bootstrap-discover bootstrap-read bootstrap-delete bootstrap-write bootstrap-finish bootstrap-pack`
    pub operation: String,
    /// What it is about.
    pub path: String,
    /// The CoAP method, `PUT`.
    pub method: String,
    /// Content format of what is written, or asked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub format: Option<String>,
    /// What is written, without secrets.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub nodes: Vec<Node>,
    /// Bytes of what is written.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub payload_bytes: Option<u64>,
    /// The device's answer; absent before there is one, and when none came.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub code: Option<String>,
    /// What came instead of an answer, or the words that the device gave with it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub detail: Option<String>,
    /// How long the device took.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub elapsed_ms: Option<u64>,
    /// How often the command was begun; absent when once was enough.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub attempts: Option<u8>,
    /// What a Bootstrap-Read brought.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub content: Vec<Node>,
    /// What a Bootstrap-Discover brought.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub links: Vec<Link>,
}

/// What would be sent to a device.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct BootstrapPlan {
    /// Where it comes from: `document`, or `template:NAME`.
    pub from: String,
    /// What the plan takes for granted: what the device said in its last session, or what a new device looks like.
    pub assumes: String,
    /// The commands, in order.
    pub steps: Vec<BootstrapStep>,
    /// What does not go exactly as the document says, and why.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub notes: Vec<String>,
    /// Why nothing would be sent behind the Bootstrap-Discover; then `steps` ends with it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub refused: Option<String>,
}

/// One attempt of a device to be configured.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct BootstrapSession {
    /// When the device asked.
    #[schema(value_type = String, format = DateTime)]
    pub started_at: Timestamp,
    /// When it was over.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, format = DateTime)]
    pub ended_at: Option<Timestamp>,
    /// How it went.
    pub result: BootstrapResult,
    /// Why, in plain words, when it did not end well.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// Where the device asked from.
    pub address: String,
    /// How the device proved who it is.
    pub security: SecurityMode,
    /// What the device was given: `document`, or `template:NAME`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub from: Option<String>,
    /// The LwM2M version that the device said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lwm2m_version: Option<String>,
    /// The format that the device prefers.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub preferred_format: Option<String>,
    /// Each command, with the device's answer.
    pub steps: Vec<BootstrapStep>,
    /// What did not go exactly as the document says, and why.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub notes: Vec<String>,
}

/// The sessions of a device, newest first.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct BootstrapSessions(pub Vec<BootstrapSession>);
