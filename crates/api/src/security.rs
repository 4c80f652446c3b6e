//! Secure sessions: what they are, how they came about, and what came to nothing. Never a key.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::certificate::Certificate;
use crate::endpoint::SecurityMode;
use crate::time::Timestamp;

/// The secure session by which a device is reached.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Session {
    /// When its handshake was done.
    #[schema(value_type = String, format = DateTime)]
    pub opened_at: Timestamp,
    /// Seconds since then.
    pub age_s: u64,
    /// Whether an earlier session was resumed, in place of a full handshake.
    pub resumed: bool,
    /// The connection ID in the device's records, in hex, if it puts one there; then they find the session from any address.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cid: Option<String>,
    /// Whether a new address is checked before the session moves there (return routability check, RFC 9853).
    pub rrc: bool,
    /// The bytes that a record to the device carries at most, if it has told a limit (`record_size_limit`, RFC 8449, or
    /// `max_fragment_length`, RFC 6066); what is longer goes to it in blocks.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub record_size_limit: Option<u16>,
    /// Records that came for this session and were dropped, by reason: `bad_mac` (not authentic), `replayed` (seen before, or too old),
    /// `other`. Anybody can send such records; many of them are worth a look. Up to date where one device is shown.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub dropped: BTreeMap<String, u64>,
}

/// One handshake, or the end of the session that came of it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Handshake {
    /// When.
    #[schema(value_type = String, format = DateTime)]
    pub time: Timestamp,
    /// What it came to.
    pub result: HandshakeResult,
    /// With whom.
    pub server: ServerRole,
    /// Address and port of the other side.
    pub address: String,
    /// The device, as far as that is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub endpoint: Option<String>,
    /// Kind of credential that was presented.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mode: Option<SecurityMode>,
    /// What was presented, as text; whatever is no text, or could deceive, is escaped. In a failure it is only claimed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub identity: Option<String>,
    /// The server name that was asked for (SNI).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub server_name: Option<String>,
    /// Negotiated cipher suite.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cipher_suite: Option<String>,
    /// The connection ID in the device's records, in hex.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cid: Option<String>,
    /// Whether an earlier session was resumed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub resumed: Option<bool>,
    /// Why it failed, or why the session ended, in plain words.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// How often the same failed in the same way, if more than once; `time` is the first.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub count: Option<u64>,
    /// The last of several.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, format = DateTime)]
    pub last_at: Option<Timestamp>,
}

impl Handshake {
    /// One of which nothing is known but when, what it came to, with whom, and from where.
    #[must_use]
    pub fn new(time: Timestamp, result: HandshakeResult, server: ServerRole, address: String) -> Handshake {
        Handshake {
            time,
            result,
            server,
            address,
            endpoint: None,
            mode: None,
            identity: None,
            server_name: None,
            cipher_suite: None,
            cid: None,
            resumed: None,
            reason: None,
            count: None,
            last_at: None,
        }
    }
}

/// What a handshake came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum HandshakeResult {
    /// A session.
    Opened,
    /// Nothing.
    Failed,
    /// The session has ended.
    Closed,
}

/// The server that a device speaks with.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum ServerRole {
    /// The LwM2M Server.
    Lwm2m,
    /// The Bootstrap-Server.
    Bootstrap,
}

/// Handshakes, the newest first.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Handshakes {
    /// Those that are kept.
    pub items: Vec<Handshake>,
}

/// How this server secures its sessions.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct SecurityOverview {
    /// Whether devices without a credential may come without security.
    pub allow_nosec: bool,
    /// Cipher suites, the preferred first.
    pub cipher_suites: Vec<String>,
    /// Whether devices may have a connection ID.
    pub cid: bool,
    /// Whether the return routability check is offered.
    pub rrc: bool,
    /// Whether secrets of sessions are written to a file, for debugging.
    pub key_log: bool,
    /// How the name of an endpoint is found in what a device presents.
    pub endpoint_rules: Vec<String>,
    /// What the servers prove themselves with.
    pub identities: Vec<ServerIdentity>,
    /// The authorities whose certificates devices may present.
    pub trust: Vec<CertificateFacts>,
    /// Secure sessions now, those of the Bootstrap-Server included.
    pub sessions: u64,
    /// Handshakes under way.
    pub handshakes: u64,
    /// The memory that these take, in bytes.
    #[serde(default)]
    pub handshake_bytes: u64,
}

/// What a server proves itself with.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ServerIdentity {
    /// Which server.
    pub server: ServerRole,
    /// The names (SNI) for which it is presented; empty: to whoever names none of the others.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub names: Vec<String>,
    /// The public key in PEM, which devices with mode `rpk` are given.
    pub public_key_pem: String,
    /// The SHA-256 of the public key (SubjectPublicKeyInfo) in hex.
    pub public_key_sha256: String,
    /// The certificate, if there is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub certificate: Option<CertificateFacts>,
    /// Whether the key was made at the start and ends with the process.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub ephemeral: bool,
}

/// What may be known of a certificate.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct CertificateFacts {
    /// Common name, DNS names and URIs of its subject.
    pub names: Vec<String>,
    /// The SHA-256 of its DER in hex.
    pub sha256: String,
    /// The certificate in PEM.
    pub pem: String,
    /// What it says, if it can be read.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub meaning: Option<Box<Certificate>>,
}
