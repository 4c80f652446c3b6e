//! The corpus: one text file a target, one input a line in hex, sorted. Few files for git, readable differences.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

/// The file of a target's inputs.
#[must_use]
pub fn file(target: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("corpus").join(format!("{target}.hex"))
}

/// The inputs of a target.
///
/// # Errors
/// When the file cannot be read, holds nothing, or a line of it is no hex.
pub fn read(target: &str) -> Result<Vec<Vec<u8>>, String> {
    let path = file(target);
    let text = std::fs::read_to_string(&path).map_err(|error| format!("{}: {error}", path.display()))?;
    let inputs = text.lines().map(bytes).collect::<Option<Vec<_>>>();
    inputs
        .filter(|inputs| !inputs.is_empty())
        .ok_or(format!("{}: not one input in hex a line", path.display()))
}

/// Writes the files of a folder as the inputs of a target.
///
/// # Errors
/// When something cannot be read or written.
pub fn pack(target: &str, folder: &Path) -> Result<(), String> {
    let entries = std::fs::read_dir(folder).map_err(|error| format!("{}: {error}", folder.display()))?;
    let mut lines = BTreeSet::new();
    for entry in entries.flatten() {
        let data =
            std::fs::read(entry.path()).map_err(|error| format!("{}: {error}", entry.path().display()))?;
        lines.insert(data.iter().map(|byte| format!("{byte:02x}")).collect::<String>() + "\n");
    }
    let path = file(target);
    std::fs::write(&path, lines.into_iter().collect::<String>())
        .map_err(|error| format!("{}: {error}", path.display()))
}

/// Writes each input of a target as a file of its own.
///
/// # Errors
/// When something cannot be read or written.
pub fn unpack(target: &str, folder: &Path) -> Result<(), String> {
    std::fs::create_dir_all(folder).map_err(|error| format!("{}: {error}", folder.display()))?;
    for (number, input) in read(target)?.iter().enumerate() {
        let path = folder.join(format!("{number:05}"));
        std::fs::write(&path, input).map_err(|error| format!("{}: {error}", path.display()))?;
    }
    Ok(())
}

fn bytes(line: &str) -> Option<Vec<u8>> {
    let digits = line.as_bytes();
    let pair = |pair: &[u8]| u8::from_str_radix(core::str::from_utf8(pair).ok()?, 16).ok();
    digits.len().is_multiple_of(2).then(|| digits.chunks(2).map(pair).collect()).flatten()
}
