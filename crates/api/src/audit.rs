//! Audit: who did what, and what came of it.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::access::Role;
use crate::time::Timestamp;

/// A page of what was done.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Audit {
    /// The newest first.
    pub items: Vec<AuditEntry>,
    /// Where the next page begins; absent: this was the last.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next: Option<String>,
}

/// One request that changed something, or was to; or one that was refused for who made it. It never holds a value or a key.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct AuditEntry {
    /// Its place; later ones are greater.
    pub id: String,
    /// When it came.
    #[schema(value_type = String, format = DateTime)]
    pub time: Timestamp,
    /// The name of the token; `configuration` for the one of the configuration, `dev` where none was needed.
    pub actor: String,
    /// What the actor might do then.
    pub role: Role,
    /// Which token; absent for the one of the configuration.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub token_id: Option<String>,
    /// The address that the request came from: that of the last proxy in between.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub from: Option<String>,
    /// What was asked for, as the `operationId` of the OpenAPI document: `writeReplace`, `putCredentials`, …
    pub action: String,
    /// Which device it was about.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub endpoint: Option<String>,
    /// Which LwM2M path.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub path: Option<String>,
    /// The HTTP method.
    pub method: String,
    /// The address with its query, cut where it is long.
    pub target: String,
    /// The HTTP status of the answer; absent: the server stopped before it was known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub status: Option<u16>,
    /// The device's answer, such as `2.04`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub code: Option<String>,
    /// What else there is to say: the type of the problem, the command that was made of it, what a bulk operation was and for whom.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub detail: Option<String>,
}
