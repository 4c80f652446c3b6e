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
    /// Its resources, ordered by ID.
    pub resources: Vec<ModelResource>,
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
