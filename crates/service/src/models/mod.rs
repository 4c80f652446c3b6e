//! Object definitions: the built-in registry and what was loaded at run time.

mod xml;

use std::fs;
use std::io::Write;
use std::path::{Path as FilePath, PathBuf};
use std::sync::{Arc, PoisonError, RwLock};

use lightship_api as api;
use lightship_lwm2m::object::{Definitions, ObjectDefinition, OwnedObjectDefinition, ResourceDefinition};
use lightship_lwm2m::{DataType, ObjectId, ObjectVersion, Path};

pub(crate) use xml::{XmlError, read as read_xml};

/// All definitions; readers take a snapshot that nothing changes.
#[derive(Debug)]
pub(crate) struct Models {
    definitions: RwLock<Arc<Definitions>>,
    folder: Option<PathBuf>,
}

/// Why a definition cannot be loaded.
#[derive(Debug, thiserror::Error)]
pub enum ModelError {
    /// The XML is not understood.
    #[error(transparent)]
    Xml(#[from] XmlError),
    /// That version of the object is loaded already, with other facts.
    #[error("object {id} version {version} is loaded already, and differs; give it a new version")]
    Conflict {
        /// Object ID.
        id: u16,
        /// Its version.
        version: String,
    },
    /// Too many definitions are loaded.
    #[error("{LOADED_MAX} object definitions are loaded already")]
    TooMany,
    /// A file cannot be read or written.
    #[error("{path}")]
    File {
        /// Which.
        path: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
}

impl Models {
    /// The built-in definitions, those of the operator's folder, and those loaded by REST in earlier lives, which are
    /// kept in `kept`.
    pub(crate) fn open(extra: Option<&FilePath>, kept: Option<PathBuf>) -> Result<Models, ModelError> {
        let mut definitions = Definitions::new();
        for folder in [extra, kept.as_deref()].into_iter().flatten() {
            for definition in read_folder(folder)? {
                definitions.load(definition);
            }
        }
        Ok(Models { definitions: RwLock::new(Arc::new(definitions)), folder: kept })
    }

    /// What is known now.
    pub(crate) fn snapshot(&self) -> Arc<Definitions> {
        self.definitions.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Loads the definitions of one XML document, all or none.
    pub(crate) fn load(&self, xml: &[u8]) -> Result<Vec<(ObjectId, ObjectVersion)>, ModelError> {
        let new = read_xml(xml)?;
        let mut place = self.definitions.write().unwrap_or_else(PoisonError::into_inner);
        let mut definitions = Definitions::clone(&place);
        let mut loaded = Vec::new();
        for definition in new {
            let key = (definition.id, definition.version);
            loaded.push(key);
            if let Some(old) = definitions.load(definition.clone())
                && *old != definition
            {
                return Err(ModelError::Conflict { id: key.0.get(), version: key.1.to_string() });
            }
        }
        if definitions.loaded_len() > LOADED_MAX {
            return Err(ModelError::TooMany);
        }
        if let (Some(folder), Some((id, version))) = (&self.folder, loaded.first()) {
            keep(folder, &format!("{id}-{version}.xml"), xml)?;
        }
        *place = Arc::new(definitions);
        Ok(loaded)
    }
}

fn read_folder(folder: &FilePath) -> Result<Vec<OwnedObjectDefinition>, ModelError> {
    let failed = |path: &FilePath, source| ModelError::File { path: path.to_owned(), source };
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
    let mut out = Vec::new();
    for path in files {
        let text = fs::read(&path).map_err(|e| failed(&path, e))?;
        out.extend(
            read_xml(&text)
                .map_err(|e| XmlError { message: format!("{}: {}", path.display(), e.message) })?,
        );
    }
    Ok(out)
}

fn keep(folder: &FilePath, name: &str, xml: &[u8]) -> Result<(), ModelError> {
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
    write().map_err(|source| ModelError::File { path: path.clone(), source })
}

/// What is known of the Resource at a path (or above a Resource Instance), in that version of its object.
pub(crate) fn expected(
    definitions: &Definitions,
    version: ObjectVersion,
    path: Path,
) -> Option<api::convert::Expected<'_>> {
    let resource = resource(definitions, version, path)?;
    Some(api::convert::Expected {
        name: resource.name,
        kind: resource.data_type,
        multiple: resource.multiple,
        range: resource.range_text,
    })
}

/// The definition of the Resource at a path (or above a Resource Instance).
pub(crate) fn resource(
    definitions: &Definitions,
    version: ObjectVersion,
    path: Path,
) -> Option<ResourceDefinition<'_>> {
    definitions.best(path.object_id()?, version)?.resource(path.resource_id()?)
}

/// The data type of the Resource at a path.
pub(crate) fn data_type(definitions: &Definitions, version: ObjectVersion, path: Path) -> Option<DataType> {
    expected(definitions, version, path)?.kind
}

/// Name and unit for the outermost node at a path.
pub(crate) fn describe(definitions: &Definitions, version: ObjectVersion, node: &mut api::Node, path: Path) {
    let Some(object) = path.object_id().and_then(|id| definitions.best(id, version)) else { return };
    match path.resource_id() {
        None => node.name = Some(object.name.to_owned()),
        Some(id) => {
            let Some(resource) = object.resource(id) else { return };
            node.name = Some(resource.name.to_owned());
            node.units = Some(resource.units.to_owned()).filter(|units| !units.is_empty());
        }
    }
}

/// One definition as the API shows it.
pub(crate) fn shape(definition: &ObjectDefinition<'_>, loaded: bool) -> api::Model {
    let resources = definition.resources().map(|resource| api::ModelResource {
        id: resource.id.get(),
        name: resource.name.to_owned(),
        operations: resource.operations.as_str().to_owned(),
        multiple: resource.multiple,
        mandatory: resource.mandatory,
        kind: resource.data_type.map(Into::into),
        range: Some(resource.range_text.to_owned()).filter(|text| !text.is_empty()),
        units: Some(resource.units.to_owned()).filter(|text| !text.is_empty()),
    });
    api::Model {
        id: definition.id.get(),
        version: definition.version.to_string(),
        name: definition.name.to_owned(),
        multiple: definition.multiple,
        mandatory: definition.mandatory,
        loaded,
        resources: resources.collect(),
    }
}

/// The list of definitions, one line an object, optionally of some objects only.
pub(crate) fn list(definitions: &Definitions, only: Option<&[ObjectId]>) -> api::Models {
    let mut items: Vec<api::ModelSummary> = Vec::new();
    for definition in definitions.all() {
        if only.is_some_and(|only| !only.contains(&definition.id)) {
            continue;
        }
        let version = definition.version.to_string();
        let loaded = definitions.is_loaded(definition.id, definition.version);
        match items.last_mut() {
            Some(last) if last.id == definition.id.get() => {
                definition.name.clone_into(&mut last.name);
                last.version.clone_from(&version);
                last.versions.push(version);
                last.loaded |= loaded;
            }
            _ => items.push(api::ModelSummary {
                id: definition.id.get(),
                name: definition.name.to_owned(),
                versions: vec![version.clone()],
                version,
                loaded,
            }),
        }
    }
    api::Models { items }
}

/// Definitions loaded at run time that are held.
const LOADED_MAX: usize = 2000;
