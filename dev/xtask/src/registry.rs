//! `cargo xtask registry --from DIR [--check]`: the OMA registry's XML files become the embedded tables of `lwm2m`.
//!
//! Facts only: numbers, names, versions, operations, multiplicity, mandatory, types, ranges, units. No descriptions.
//! The result depends on nothing but the facts, so the same registry gives the same bytes. The format is described in
//! `crates/lwm2m/src/object/registry.rs`.

mod tables;
mod xml;

use crate::Outcome;
use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
};

/// Where the tables lie, seen from the root of the workspace.
pub(crate) const TABLES: &str = "crates/lwm2m/src/object/registry.bin";

/// The size that the tables must stay below, in bytes.
const TABLES_LEN_MAX: usize = 300 * 1024;

/// One version of an object.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Object {
    /// Object ID and version.
    pub(crate) key: (u16, u8, u8),
    /// The enabler version it is meant for.
    pub(crate) enabler: (u8, u8),
    /// The name.
    pub(crate) name: String,
    /// Whether there may be several instances.
    pub(crate) multiple: bool,
    /// Whether every device has it.
    pub(crate) mandatory: bool,
    /// Its resources by number.
    pub(crate) resources: BTreeMap<u16, Fact>,
}

/// What is known of a resource, its number apart.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Fact {
    /// The name.
    pub(crate) name: String,
    /// Legal values in the registry's words.
    pub(crate) range: String,
    /// The unit.
    pub(crate) units: String,
    /// 1 read, 2 write, 4 execute, 8 multiple, 16 mandatory.
    pub(crate) flags: u8,
    /// 0 none, 1 to 9 the data types in the order of `lwm2m::DataType`.
    pub(crate) kind: u8,
}

/// Runs the sub-command; the arguments are those behind `registry`.
///
/// # Errors
/// Wrong usage, an unreadable or odd registry file, tables that are stale (`--check`) or grew too large.
pub(crate) fn run(arguments: &[String]) -> Outcome {
    let (from, check) = match arguments {
        [flag, from] if flag == "--from" => (from, false),
        [flag, from, check] if flag == "--from" && check == "--check" => (from, true),
        _ => return Err("usage: cargo xtask registry --from DIR [--check]".to_owned()),
    };
    let objects = read(Path::new(from))?;
    let tables = tables::write(&objects)?;
    if tables.len() > TABLES_LEN_MAX {
        return Err(format!("the tables are {} bytes, the limit is {TABLES_LEN_MAX}", tables.len()));
    }
    let path = workspace_root().join(TABLES);
    let resources: usize = objects.values().map(|object| object.resources.len()).sum();
    let summary = format!("{} object versions, {resources} resources, {} bytes", objects.len(), tables.len());
    if check {
        let present = fs::read(&path).map_err(|error| format!("{}: {error}", path.display()))?;
        return if present == tables {
            eprintln!("{TABLES} is fresh: {summary}");
            Ok(())
        } else {
            Err(format!("{TABLES} is stale; run cargo xtask registry --from {from}"))
        };
    }
    fs::write(&path, tables).map_err(|error| format!("{}: {error}", path.display()))?;
    eprintln!("{TABLES}: {summary}");
    Ok(())
}

/// The folder of the workspace.
fn workspace_root() -> PathBuf {
    let mut root = PathBuf::from(env!("CARGO_MANIFEST_DIR"));
    root.pop();
    root.pop();
    root
}

/// Reads the XML files of a registry folder and of its `version_history`.
fn read(folder: &Path) -> Result<BTreeMap<(u16, u8, u8), Object>, String> {
    let mut files = xml_files(folder)?;
    files.extend(xml_files(&folder.join("version_history"))?);
    let mut objects = BTreeMap::<_, Object>::new();
    for file in files {
        let text = fs::read_to_string(&file).map_err(|error| format!("{}: {error}", file.display()))?;
        for object in xml::objects(&text).map_err(|error| format!("{}: {error}", file.display()))? {
            if let Some(other) = objects.get(&object.key)
                && *other != object
            {
                return Err(format!("{}: contradicts another file about {:?}", file.display(), object.key));
            }
            objects.insert(object.key, object);
        }
    }
    if objects.is_empty() {
        return Err(format!("{}: no object definitions", folder.display()));
    }
    Ok(objects)
}

/// The object definitions in a folder, sorted; none when the folder is missing. Their names begin with the object's number;
/// the other files list re-usable resources and the registry's content.
fn xml_files(folder: &Path) -> Result<Vec<PathBuf>, String> {
    let Ok(entries) = fs::read_dir(folder) else { return Ok(Vec::new()) };
    let mut files = Vec::new();
    for entry in entries {
        let path = entry.map_err(|error| format!("{}: {error}", folder.display()))?.path();
        let is_object = path.extension().is_some_and(|extension| extension == "xml")
            && path
                .file_name()
                .is_some_and(|name| name.as_encoded_bytes().first().is_some_and(u8::is_ascii_digit));
        if is_object {
            files.push(path);
        }
    }
    files.sort();
    Ok(files)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tables_are_fresh_when_the_registry_is_at_hand() {
        let folder = workspace_root().join("../shared/registry");
        if !folder.is_dir() {
            return;
        }
        let folder = folder.to_str().expect("a plain path").to_owned();
        run(&["--from".to_owned(), folder, "--check".to_owned()]).expect("fresh tables");
    }
}
