//! Object definitions as the API shows them.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::node::ValueType;

/// All object definitions the server knows.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Models {
    /// Ordered by Object ID.
    pub items: Vec<ModelSummary>,
}

/// One line of the list of definitions.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ModelSummary {
    /// Object ID.
    pub id: u16,
    /// Name of the Object.
    pub name: String,
    /// Newest version known.
    pub version: String,
    /// Every version known, oldest first.
    pub versions: Vec<String>,
    /// Whether any of them was loaded at run time, not built in.
    pub loaded: bool,
    /// The name of the newest version in OMA's registry, such as `urn:oma:lwm2m:ext:3303:1.1`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub urn: Option<String>,
    /// How many resources the newest version has.
    #[serde(default)]
    pub resources: usize,
}

/// One object definition.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Model {
    /// Object ID.
    pub id: u16,
    /// Version of the Object.
    pub version: String,
    /// Name of the Object.
    pub name: String,
    /// Whether it may have several instances.
    pub multiple: bool,
    /// Whether it must be present.
    pub mandatory: bool,
    /// Whether it was loaded at run time, not built in.
    pub loaded: bool,
    /// Its name in OMA's registry, such as `urn:oma:lwm2m:ext:3303:1.1`; absent where IDs have no class.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub urn: Option<String>,
    /// The lowest version of LwM2M that it is meant for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lwm2m_version: Option<String>,
    /// Every version of this Object that is known, oldest first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub versions: Vec<ModelVersion>,
    /// Its resources, ordered by ID.
    pub resources: Vec<ModelResource>,
}

/// One version of an Object.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ModelVersion {
    /// The version.
    pub version: String,
    /// Whether it was loaded at run time, not built in.
    pub loaded: bool,
}

/// One resource definition.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct ModelResource {
    /// Resource ID.
    pub id: u16,
    /// Name of the Resource.
    pub name: String,
    /// `R`, `W`, `RW`, `E` or empty.
    pub operations: String,
    /// Whether it may have several instances.
    pub multiple: bool,
    /// Whether it must be present.
    pub mandatory: bool,
    /// Data type; absent for a Resource that can only be executed.
    #[serde(rename = "type", default, skip_serializing_if = "Option::is_none")]
    pub kind: Option<ValueType>,
    /// Range or enumeration as the definition says, such as `0..100`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub range: Option<String>,
    /// Unit, such as `Cel`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub units: Option<String>,
}

/// What differs between two versions of an Object.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct ModelDiff {
    /// Object ID.
    pub id: u16,
    /// The version that is compared.
    pub from: String,
    /// With this one.
    pub to: String,
    /// What differs about the Object itself.
    pub object: Vec<ModelChange>,
    /// Resources that only the second has.
    pub added: Vec<ModelResource>,
    /// Resources that only the first has.
    pub removed: Vec<ModelResource>,
    /// Resources that both have, and that are not the same.
    pub changed: Vec<ChangedResource>,
}

/// A Resource that two versions have in different ways.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ChangedResource {
    /// Resource ID.
    pub id: u16,
    /// Its name in the second version.
    pub name: String,
    /// What differs.
    pub changes: Vec<ModelChange>,
}

/// One fact that differs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ModelChange {
    /// Which: `name`, `operations`, `multiple`, `mandatory`, `type`, `range`, `units` or `lwm2m_version`.
    pub field: String,
    /// How it is in the first version; empty for nothing.
    pub from: String,
    /// How it is in the second.
    pub to: String,
}

/// What is found in a document with object definitions before it is loaded.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct ModelCheck {
    /// Whether it can be loaded: there is no error among the findings.
    pub valid: bool,
    /// What stands in the way, and what is likely a mistake; in the order of the document.
    pub findings: Vec<ModelFinding>,
    /// The definitions in it, where it can be read.
    pub models: Vec<Model>,
}

/// One thing about a definition.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ModelFinding {
    /// How bad it is.
    pub severity: Severity,
    /// Where: the path of an Object or Resource, such as `/33000` or `/33000//5700`, else empty.
    pub place: String,
    /// What is wrong, a sentence.
    pub message: String,
}

/// How bad a finding is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// The document cannot be loaded.
    Error,
    /// Likely a mistake; the document can be loaded.
    Warning,
}

/// Which registered devices have an Object, in which version.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ModelDevices {
    /// Object ID.
    pub id: u16,
    /// How many devices have it; only on the first page.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub total: Option<u64>,
    /// How many have it in which version, most first; only on the first page.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub versions: Vec<ModelUse>,
    /// Devices in the order of their names.
    pub items: Vec<ModelDevice>,
    /// Cursor of the next page, if there may be more.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next: Option<String>,
}

/// How many devices have an Object in one version.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ModelUse {
    /// The version that they have registered, or that theirs of LwM2M implies.
    pub version: String,
    /// Whether that version is known here; otherwise another one stands in for it.
    pub known: bool,
    /// How many.
    pub devices: u64,
}

/// A device that has an Object.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ModelDevice {
    /// Its name.
    pub endpoint: String,
    /// The version of the Object.
    pub version: String,
    /// How many instances it has registered.
    pub instances: usize,
}
