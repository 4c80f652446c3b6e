//! Folders with definitions: one XML document in each file.

use std::fmt::Write as _;
use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};

use lightship_api::ValueType;
use lightship_lwm2m::object::OwnedObjectDefinition;
use lightship_lwm2m::{DataType, ObjectId, ObjectVersion};
use quick_xml::escape::escape;

use super::{ModelError, XmlError, read_xml};

/// All definitions in a folder; none if it is not there.
pub(super) fn read_all(folder: &Path) -> Result<Vec<OwnedObjectDefinition>, ModelError> {
    Ok(read_each(folder)?.into_iter().flat_map(|(_, definitions)| definitions).collect())
}

fn read_each(folder: &Path) -> Result<Vec<(PathBuf, Vec<OwnedObjectDefinition>)>, ModelError> {
    let entries = match fs::read_dir(folder) {
        Ok(entries) => entries,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(failed(folder, error)),
    };
    let mut files = Vec::new();
    for entry in entries {
        let path = entry.map_err(|e| failed(folder, e))?.path();
        if path.extension().is_some_and(|end| end.eq_ignore_ascii_case("xml")) {
            files.push(path);
        }
    }
    files.sort();
    let read = |path: PathBuf| {
        let text = fs::read(&path).map_err(|e| failed(&path, e))?;
        let definitions = read_xml(&text)
            .map_err(|e| XmlError { message: format!("{}: {}", path.display(), e.message) })?;
        Ok((path, definitions))
    };
    files.into_iter().map(read).collect()
}

fn failed(path: &Path, source: std::io::Error) -> ModelError {
    ModelError::File { path: path.to_owned(), source }
}

/// The file of a document that begins with this definition.
pub(super) fn name(id: ObjectId, version: ObjectVersion) -> String {
    format!("{id}-{version}.xml")
}

/// Keeps a document, durably.
pub(super) fn keep(folder: &Path, name: &str, xml: &[u8]) -> Result<(), ModelError> {
    let path = folder.join(name);
    let write = || {
        fs::create_dir_all(folder)?;
        let temporary = path.with_extension("new");
        let mut file = fs::File::create(&temporary)?;
        file.write_all(xml)?;
        file.sync_all()?;
        fs::rename(&temporary, &path)?;
        fs::File::open(folder)?.sync_all()
    };
    write().map_err(|source| failed(&path, source))
}

/// Takes a definition out of the folder. Others in the same document get files of their own first.
pub(super) fn forget(folder: &Path, gone: (ObjectId, ObjectVersion)) -> Result<(), ModelError> {
    let is_gone = |one: &OwnedObjectDefinition| (one.id, one.version) == gone;
    for (path, definitions) in read_each(folder)? {
        if !definitions.iter().any(is_gone) {
            continue;
        }
        let mut is_written_over = false;
        for other in definitions.iter().filter(|one| !is_gone(one)) {
            let name = name(other.id, other.version);
            is_written_over |= path.file_name().is_some_and(|file| file == name.as_str());
            keep(folder, &name, document(other).as_bytes())?;
        }
        if !is_written_over {
            let remove = || {
                fs::remove_file(&path)?;
                fs::File::open(folder)?.sync_all()
            };
            remove().map_err(|source| failed(&path, source))?;
        }
    }
    Ok(())
}

/// A definition as a document of its own.
fn document(definition: &OwnedObjectDefinition) -> String {
    let several = |multiple: bool| if multiple { "Multiple" } else { "Single" };
    let needed = |mandatory: bool| if mandatory { "Mandatory" } else { "Optional" };
    let mut out = String::from(
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<LWM2M><Object ObjectType=\"MODefinition\">",
    );
    let _ = write!(
        out,
        "<Name>{}</Name><ObjectID>{}</ObjectID><LWM2MVersion>{}</LWM2MVersion><ObjectVersion>{}</ObjectVersion><MultipleInstances>{}</MultipleInstances><Mandatory>{}</Mandatory><Resources>",
        escape(&definition.name),
        definition.id,
        definition.enabler,
        definition.version,
        several(definition.multiple),
        needed(definition.mandatory),
    );
    for resource in definition.resources() {
        let _ = write!(
            out,
            "\n<Item ID=\"{}\"><Name>{}</Name><Operations>{}</Operations><MultipleInstances>{}</MultipleInstances><Mandatory>{}</Mandatory><Type>{}</Type><RangeEnumeration>{}</RangeEnumeration><Units>{}</Units></Item>",
            resource.id,
            escape(&resource.name),
            resource.operations.as_str(),
            several(resource.multiple),
            needed(resource.mandatory),
            resource.data_type.map_or("", type_name),
            escape(&resource.range_text),
            escape(&resource.units),
        );
    }
    out.push_str("\n</Resources></Object></LWM2M>\n");
    out
}

fn type_name(kind: DataType) -> &'static str {
    if kind == DataType::Unsigned { "Unsigned Integer" } else { ValueType::from(kind).name() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_definition_that_is_written_reads_the_same() {
        let known = lightship_lwm2m::object::Definitions::new();
        let mut count = 0;
        for definition in known.all() {
            let rows = definition.resources().map(Into::into).collect();
            let mut owned = OwnedObjectDefinition::new(definition.id, definition.name);
            owned.version = definition.version;
            owned.enabler = definition.enabler;
            (owned.multiple, owned.mandatory) = (definition.multiple, definition.mandatory);
            // A few of the registry lack types.
            let Ok(owned) = owned.with_resources(rows) else { continue };
            let read = read_xml(document(&owned).as_bytes()).unwrap();
            assert_eq!(read, [owned]);
            count += 1;
        }
        assert!(count > 300, "{count}");
    }
}
