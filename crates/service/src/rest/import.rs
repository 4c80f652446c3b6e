//! Credentials from a table: every row for itself, and never a key in what is told of it.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use axum::extract::Request;
use axum::http::StatusCode;
use lightship_api::{
    Credential, CredentialImport, ImportResult, ImportedRow, Problem, ProblemType, SecurityMode,
};
use lightship_lwm2m::Endpoint;
use lightship_store::CredentialSet;

use super::Refusal;
use super::csv::{self, Row};
use super::input::{self, Query};
use super::reply::{Answer, json};
use crate::access::{self, Outcome};
use crate::core::Core;
use crate::security::{self, KeepError, KeyName};

/// POST of a table
pub(crate) async fn import(set: CredentialSet, core: Arc<Core>, request: Request) -> Answer {
    let (head, body) = request.into_parts();
    let dry_run = Query::parse(head.uri.query(), &["dry_run"])?.flag("dry_run")?;
    input::media_type(&head.headers, &["text/csv"])?;
    let body = input::body(&core, body).await?;
    let (columns, rows) = table(&body)?;
    let mut done = CredentialImport { dry_run, created: 0, replaced: 0, refused: 0, rows: Vec::new() };
    let mut seen = Seen::default();
    for row in &rows {
        let told = one(&core, set, dry_run, &columns, row, &mut seen).await;
        match told.result {
            ImportResult::Created => done.created += 1,
            ImportResult::Replaced => done.replaced += 1,
            ImportResult::Refused => done.refused += 1,
        }
        done.rows.push(told);
    }
    let detail = format!("{} created, {} replaced, {} refused", done.created, done.replaced, done.refused);
    let mut answer = json(StatusCode::OK, &done)?;
    answer.extensions_mut().insert(Outcome { detail: Some(detail), ..Outcome::default() });
    Ok(answer)
}

/// What earlier rows of the table say, by the line of each.
#[derive(Default)]
struct Seen {
    endpoints: HashMap<Endpoint, u64>,
    /// What devices present.
    principals: HashMap<Box<[u8]>, u64>,
    /// The names of the shared keys that were only tried.
    keys: HashSet<KeyName>,
}

/// Why nothing of a row is kept.
struct Wrong {
    column: Option<&'static str>,
    reason: String,
}

impl Wrong {
    fn at(column: &'static str, reason: impl Into<String>) -> Wrong {
        Wrong { column: Some(column), reason: reason.into() }
    }
}

async fn one(
    core: &Arc<Core>,
    set: CredentialSet,
    dry_run: bool,
    columns: &[&'static str],
    row: &Row,
    seen: &mut Seen,
) -> ImportedRow {
    let mut told = ImportedRow {
        line: row.line,
        endpoint: None,
        result: ImportResult::Refused,
        column: None,
        reason: None,
        warnings: Vec::new(),
    };
    let kept = async {
        let (endpoint, shape) = read(columns, row)?;
        told.endpoint = Some(endpoint.to_string());
        if let Some(line) = seen.endpoints.insert(endpoint.clone(), row.line) {
            return Err(Wrong::at("endpoint", format!("line {line} is about the same device")));
        }
        let now = core.now();
        let tried = core.keeper.tried(&core.store, set, &endpoint, &shape, now).await.map_err(refused)?;
        let principal = tried.now.as_ref().and_then(|kept| kept.proof.principal());
        if let Some(line) = principal.and_then(|principal| seen.principals.insert(principal, row.line)) {
            return Err(Wrong { column: None, reason: format!("line {line} proves itself with the same") });
        }
        if dry_run {
            return Ok(tried);
        }
        let detail = |whole: &str| format!("line {} of a table; the whole of it is entry {whole}", row.line);
        access::about(&endpoint, detail, security::put(core, set, &endpoint, &shape)).await.map_err(refused)
    };
    match kept.await {
        Ok(change) => {
            let had_one = change.before.is_some();
            told.result = if had_one { ImportResult::Replaced } else { ImportResult::Created };
            let shape = match dry_run {
                true => core.keeper.shape_of_tried(&change, &mut seen.keys),
                false => change.now.map(|kept| core.keeper.shape(&kept)),
            };
            told.warnings = shape.map(|shape| shape.warnings).unwrap_or_default();
        }
        Err(wrong) => {
            told.column = wrong.column.map(str::to_owned);
            told.reason = Some(wrong.reason);
        }
    }
    told
}

/// The columns of a table and its rows. What stands in it is not told again: where the header is missing that would be a key.
fn table(body: &[u8]) -> Result<(Vec<&'static str>, Vec<Row>), Refusal> {
    let wrong = |detail: String| Refusal(Problem::new(ProblemType::MalformedBody, detail));
    let text = std::str::from_utf8(body).map_err(|_| wrong("the table is not UTF-8".to_owned()))?;
    let rows = csv::rows(text).map_err(|line| wrong(format!("line {line}: the quotes do not fit")))?;
    let mut rows = rows.into_iter();
    let known = COLUMNS.join(",");
    let header = rows
        .next()
        .ok_or_else(|| wrong(format!("the table is empty; its first line names columns: {known}")))?;
    let mut columns = Vec::new();
    for (at, name) in header.fields.iter().enumerate() {
        let column = COLUMNS.iter().find(|column| **column == name.to_ascii_lowercase());
        let number = at + 1;
        let column = column.ok_or_else(|| {
            let hint = if name.contains([';', '\t']) { "; between columns stands a comma" } else { "" };
            wrong(format!("the first line names columns, and number {number} is none of {known}{hint}"))
        })?;
        if columns.contains(column) {
            return Err(wrong(format!("the column {column} is there twice")));
        }
        columns.push(*column);
    }
    if let Some(missing) = ["endpoint", "mode"].iter().find(|name| !columns.contains(name)) {
        return Err(wrong(format!("the column {missing} is missing")));
    }
    Ok((columns, rows.collect()))
}

fn read(columns: &[&'static str], row: &Row) -> Result<(Endpoint, Credential), Wrong> {
    if row.fields.len() != columns.len() {
        let (found, wanted) = (row.fields.len(), columns.len());
        return Err(Wrong {
            column: None,
            reason: format!("it has {found} fields, and the first line {wanted}"),
        });
    }
    let field = |name: &str| {
        let at = columns.iter().position(|column| *column == name)?;
        row.fields.get(at).filter(|field| !field.is_empty()).cloned()
    };
    let mode = match field("mode").as_deref() {
        Some("psk") => SecurityMode::Psk,
        Some("rpk") => SecurityMode::Rpk,
        Some("x509") => SecurityMode::X509,
        Some("nosec") => SecurityMode::Nosec,
        _ => return Err(Wrong::at("mode", "it is one of psk rpk x509 nosec")),
    };
    let endpoint = Endpoint::new(field("endpoint").unwrap_or_default().as_str());
    let endpoint = endpoint.map_err(|error| Wrong::at("endpoint", error.to_string()))?;
    let shape = Credential {
        identity: field("identity"),
        identity_hex: field("identity_hex"),
        key_hex: field("key_hex"),
        public_key_pem: field("public_key_pem"),
        public_key_hex: field("public_key_hex"),
        public_key_sha256: field("public_key_sha256"),
        certificate_pem: field("certificate_pem"),
        certificate_sha256: field("certificate_sha256"),
        name: field("name"),
        ..Credential::of(mode)
    };
    Ok((endpoint, shape))
}

fn refused(error: KeepError) -> Wrong {
    match error {
        KeepError::Unusable(unusable) => {
            let column = COLUMNS.iter().find(|column| unusable.pointer.strip_prefix('/') == Some(column));
            Wrong { column: column.copied(), reason: unusable.message }
        }
        KeepError::Taken { by } => {
            Wrong { column: None, reason: format!("{:?} has this identity", by.as_str()) }
        }
        KeepError::Store(error) => Wrong { column: None, reason: error.to_string() },
        KeepError::Seal(error) => Wrong { column: None, reason: error.to_string() },
    }
}

/// Members of a credential that can be written.
const COLUMNS: [&str; 11] = [
    "endpoint",
    "mode",
    "identity",
    "identity_hex",
    "key_hex",
    "public_key_pem",
    "public_key_hex",
    "public_key_sha256",
    "certificate_pem",
    "certificate_sha256",
    "name",
];
