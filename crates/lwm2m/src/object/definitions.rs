//! Definitions that live at run time: the embedded ones and those an operator loaded.

use super::{ObjectDefinition, Operations, ResourceDefinition, Source, registry};
use crate::{DataType, ObjectId, ObjectVersion, ResourceId};
use alloc::{collections::BTreeMap, string::String, sync::Arc, vec::Vec};
use core::fmt;

/// What is known of a resource, owned. See [`ResourceDefinition`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OwnedResourceDefinition {
    /// Its number.
    pub id: ResourceId,
    /// Its name.
    pub name: String,
    /// What servers may do with it.
    pub operations: Operations,
    /// Whether it has resource instances.
    pub multiple: bool,
    /// Whether every instance of the object has it.
    pub mandatory: bool,
    /// The type of its value; `None` for what holds none.
    pub data_type: Option<DataType>,
    /// The legal values in OMA's own words, often empty.
    pub range_text: String,
    /// The unit, often empty.
    pub units: String,
}

impl OwnedResourceDefinition {
    /// The definition, borrowed.
    #[must_use]
    pub fn as_definition(&self) -> ResourceDefinition<'_> {
        ResourceDefinition {
            id: self.id,
            name: &self.name,
            operations: self.operations,
            multiple: self.multiple,
            mandatory: self.mandatory,
            data_type: self.data_type,
            range_text: &self.range_text,
            units: &self.units,
        }
    }
}

impl From<ResourceDefinition<'_>> for OwnedResourceDefinition {
    fn from(definition: ResourceDefinition<'_>) -> Self {
        Self {
            id: definition.id,
            name: definition.name.into(),
            operations: definition.operations,
            multiple: definition.multiple,
            mandatory: definition.mandatory,
            data_type: definition.data_type,
            range_text: definition.range_text.into(),
            units: definition.units.into(),
        }
    }
}

/// What is known of an object in one of its versions, owned. See [`ObjectDefinition`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OwnedObjectDefinition {
    /// Its number.
    pub id: ObjectId,
    /// The version described here.
    pub version: ObjectVersion,
    /// Its name.
    pub name: String,
    /// The lowest LwM2M version it is meant for.
    pub enabler: ObjectVersion,
    /// Whether it may have more than one instance.
    pub multiple: bool,
    /// Whether every device has it.
    pub mandatory: bool,
    /// Ascending by ID, no ID twice: kept so by [`OwnedObjectDefinition::with_resources`].
    resources: Vec<OwnedResourceDefinition>,
}

/// Why a definition was refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum InvalidDefinition {
    /// Two resources have the same number.
    DuplicateResource(ResourceId),
    /// A resource that can be read or written has no data type.
    MissingType(ResourceId),
}

impl fmt::Display for InvalidDefinition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::DuplicateResource(id) => write!(f, "resource {id} is defined twice"),
            Self::MissingType(id) => write!(f, "resource {id} can be read or written but has no type"),
        }
    }
}

impl core::error::Error for InvalidDefinition {}

impl OwnedObjectDefinition {
    /// An object of version 1.0 without resources, multiple and optional. Set the other fields as needed.
    #[must_use]
    pub fn new(id: ObjectId, name: impl Into<String>) -> Self {
        Self {
            id,
            version: ObjectVersion::V1_0,
            name: name.into(),
            enabler: ObjectVersion::V1_0,
            multiple: true,
            mandatory: false,
            resources: Vec::new(),
        }
    }

    /// The object with these resources, in any order.
    ///
    /// # Errors
    /// [`InvalidDefinition`] for a number that stands twice, or a readable or writable resource without a type.
    pub fn with_resources(
        mut self,
        mut resources: Vec<OwnedResourceDefinition>,
    ) -> Result<Self, InvalidDefinition> {
        resources.sort_by_key(|row| row.id);
        for pair in resources.windows(2) {
            if let [one, other] = pair
                && one.id == other.id
            {
                return Err(InvalidDefinition::DuplicateResource(one.id));
            }
        }
        let untyped = |row: &&OwnedResourceDefinition| {
            row.data_type.is_none() && (row.operations.readable() || row.operations.writable())
        };
        if let Some(row) = resources.iter().find(untyped) {
            return Err(InvalidDefinition::MissingType(row.id));
        }
        self.resources = resources;
        Ok(self)
    }

    /// The resources, ascending by number.
    #[must_use]
    pub fn resources(&self) -> &[OwnedResourceDefinition] {
        &self.resources
    }

    /// The definition, borrowed.
    #[must_use]
    pub fn as_definition(&self) -> ObjectDefinition<'_> {
        ObjectDefinition {
            id: self.id,
            version: self.version,
            name: &self.name,
            enabler: self.enabler,
            multiple: self.multiple,
            mandatory: self.mandatory,
            source: Source::Loaded(&self.resources),
        }
    }
}

/// The embedded definitions together with those loaded at run time; a loaded one hides the embedded one of the same version.
///
/// Cloning shares the loaded definitions.
#[derive(Clone, Debug, Default)]
pub struct Definitions {
    loaded: BTreeMap<(ObjectId, ObjectVersion), Arc<OwnedObjectDefinition>>,
}

impl Definitions {
    /// The embedded definitions.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a definition; gives back the loaded one of the same object and version that it replaces.
    pub fn load(&mut self, definition: OwnedObjectDefinition) -> Option<Arc<OwnedObjectDefinition>> {
        self.loaded.insert((definition.id, definition.version), Arc::new(definition))
    }

    /// How many definitions were loaded at run time.
    #[must_use]
    pub fn loaded_len(&self) -> usize {
        self.loaded.len()
    }

    /// Takes away what was loaded of that version of an object; the embedded definition, if there is one, counts again.
    pub fn unload(&mut self, object: ObjectId, version: ObjectVersion) -> Option<Arc<OwnedObjectDefinition>> {
        self.loaded.remove(&(object, version))
    }

    /// Whether that version of an object was loaded at run time.
    #[must_use]
    pub fn is_loaded(&self, object: ObjectId, version: ObjectVersion) -> bool {
        self.loaded.contains_key(&(object, version))
    }

    /// The definition of an object in exactly that version.
    #[must_use]
    pub fn lookup(&self, object: ObjectId, version: ObjectVersion) -> Option<ObjectDefinition<'_>> {
        match self.loaded.get(&(object, version)) {
            Some(loaded) => Some(loaded.as_definition()),
            None => registry::lookup(object, version),
        }
    }

    /// The definition of an object in the highest version known.
    #[must_use]
    pub fn latest(&self, object: ObjectId) -> Option<ObjectDefinition<'_>> {
        const LOWEST: ObjectVersion = ObjectVersion::new(0, 0);
        const HIGHEST: ObjectVersion = ObjectVersion::new(u8::MAX, u8::MAX);
        let loaded = self
            .loaded
            .range((object, LOWEST)..=(object, HIGHEST))
            .next_back()
            .map(|(_, loaded)| loaded.as_definition());
        match (loaded, registry::latest(object)) {
            (Some(loaded), Some(embedded)) if embedded.version > loaded.version => Some(embedded),
            (Some(loaded), _) => Some(loaded),
            (None, embedded) => embedded,
        }
    }

    /// The best definition for an object that a device registered with that version: exactly that one, else the highest with the
    /// same major version (minor versions only add optional resources), else the highest known.
    #[must_use]
    pub fn best(&self, object: ObjectId, version: ObjectVersion) -> Option<ObjectDefinition<'_>> {
        self.lookup(object, version)
            .or_else(|| {
                let same_major =
                    self.versions(object).filter(|definition| definition.version.major == version.major);
                same_major.last()
            })
            .or_else(|| self.latest(object))
    }

    /// All versions of one object, ascending.
    pub fn versions(&self, object: ObjectId) -> impl Iterator<Item = ObjectDefinition<'_>> {
        self.all().filter(move |definition| definition.id == object)
    }

    /// All definitions, ascending by object and version.
    pub fn all(&self) -> impl Iterator<Item = ObjectDefinition<'_>> {
        let key = |definition: &ObjectDefinition<'_>| (definition.id, definition.version);
        let mut loaded = self.loaded.values().map(|loaded| loaded.as_definition()).peekable();
        let mut embedded = registry::objects()
            .filter(move |definition| !self.loaded.contains_key(&key(definition)))
            .peekable();
        core::iter::from_fn(move || match (loaded.peek(), embedded.peek()) {
            (Some(one), Some(other)) if key(one) < key(other) => loaded.next(),
            (_, Some(_)) => embedded.next(),
            (_, None) => loaded.next(),
        })
    }
}
