//! What is wrong with a file of TOML: where, and what, but never what stands there. The line may hold a key, and errors end in logs.

use lightship_api::problem::without_values;

/// Says it in one line: `line 2 (seal_key), column 12: invalid type: integer, expected a string`.
#[must_use]
pub fn toml_fault(text: &str, error: &toml::de::Error) -> String {
    let what = without_values(error.message());
    let Some(before) = error.span().and_then(|span| text.get(..span.start)) else { return what };
    let number = before.matches('\n').count() + 1;
    let column = before.rsplit('\n').next().unwrap_or_default().chars().count() + 1;
    let line = text.lines().nth(number - 1).unwrap_or_default();
    let key = line.split_once('=').map(|(key, _)| key.trim()).filter(|key| is_bare(key));
    let key = key.map(|key| format!(" ({key})")).unwrap_or_default();
    format!("line {number}{key}, column {column}: {what}")
}

/// Whether it reads like a key of a table.
fn is_bare(key: &str) -> bool {
    !key.is_empty() && key.chars().all(|char| char.is_ascii_alphanumeric() || "-_.".contains(char))
}
