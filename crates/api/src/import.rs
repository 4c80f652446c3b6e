//! Credentials from a table, row by row.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// What came of a table of credentials, or would: the rows that are right are kept, of the others nothing is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct CredentialImport {
    /// Whether it was only tried.
    pub dry_run: bool,
    /// Rows whose device had no credential.
    pub created: u64,
    /// Rows that took the place of a credential.
    pub replaced: u64,
    /// Rows of which nothing is kept.
    pub refused: u64,
    /// Each row, in the order of the table; never with a key.
    pub rows: Vec<ImportedRow>,
}

/// What came of one row.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ImportedRow {
    /// The line where the row begins; that of the header is 1.
    pub line: u64,
    /// The device, where the row names one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub endpoint: Option<String>,
    /// What came of it.
    pub result: ImportResult,
    /// `refused`: the column that is wrong, where it is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub column: Option<String>,
    /// `refused`: why, in plain words.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// What is allowed and yet not wise.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub warnings: Vec<String>,
}

/// What came of a row of credentials.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum ImportResult {
    /// The device had none.
    Created,
    /// It took the place of the one before.
    Replaced,
    /// Nothing of it is kept.
    Refused,
}
