//! Object definitions: the built-in registry and what was loaded at run time.

mod file;
mod lint;
mod show;
mod urn;
mod xml;

use std::collections::BTreeSet;
use std::path::{Path as FilePath, PathBuf};
use std::sync::{Arc, PoisonError, RwLock};

use lightship_api as api;
use lightship_lwm2m::object::{Definitions, ResourceDefinition};
use lightship_lwm2m::{DataType, ObjectId, ObjectVersion, Path};

pub(crate) use lint::lint;
pub(crate) use show::{diff, list, search, shape};
pub(crate) use xml::{XmlError, read as read_xml};

/// All definitions; readers take a snapshot that nothing changes.
#[derive(Debug)]
pub(crate) struct Models {
    definitions: RwLock<Arc<Definitions>>,
    /// Those of the operator's folder.
    given: BTreeSet<(ObjectId, ObjectVersion)>,
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
    /// It is none of those that can be taken away.
    #[error("that version of the object is built in")]
    BuiltIn,
    /// It is the operator's.
    #[error("that version of the object comes from the folder of the configuration (models.folder)")]
    Given,
    /// There is none.
    #[error("that version of the object is not known")]
    Unknown,
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
        let mut given = BTreeSet::new();
        for definition in extra.map(file::read_all).transpose()?.unwrap_or_default() {
            given.insert((definition.id, definition.version));
            definitions.load(definition);
        }
        for definition in kept.as_deref().map(file::read_all).transpose()?.unwrap_or_default() {
            definitions.load(definition);
        }
        Ok(Models { definitions: RwLock::new(Arc::new(definitions)), given, folder: kept })
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
            file::keep(folder, &file::name(*id, *version), xml)?;
        }
        *place = Arc::new(definitions);
        Ok(loaded)
    }

    /// Takes away what was loaded of an object in one version.
    pub(crate) fn unload(&self, id: ObjectId, version: ObjectVersion) -> Result<(), ModelError> {
        let mut place = self.definitions.write().unwrap_or_else(PoisonError::into_inner);
        if self.given.contains(&(id, version)) {
            return Err(ModelError::Given);
        }
        if !place.is_loaded(id, version) {
            let is_known = place.lookup(id, version).is_some();
            return Err(if is_known { ModelError::BuiltIn } else { ModelError::Unknown });
        }
        let mut definitions = Definitions::clone(&place);
        definitions.unload(id, version);
        if let Some(folder) = &self.folder {
            file::forget(folder, (id, version))?;
        }
        *place = Arc::new(definitions);
        Ok(())
    }
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

/// Definitions loaded at run time that are held.
const LOADED_MAX: usize = 2000;
