//! What the OMA registry says about objects and resources: every object, every version, as facts without descriptions.
//!
//! The embedded tables are looked up without allocation, also by the compiler: the derive macro checks a firmware engineer's
//! struct against them. A device that does no look-up at run time does not carry them.
//!
//! With `alloc`, [`Definitions`] joins them with definitions loaded at run time, which win.

#[cfg(feature = "alloc")]
mod definitions;
mod implied;
mod range;
mod registry;

#[cfg(feature = "alloc")]
pub use definitions::{Definitions, InvalidDefinition, OwnedObjectDefinition, OwnedResourceDefinition};
pub use implied::implied_version;
pub use range::Range;
pub use registry::{Objects, latest, lookup, missing_mandatory, objects, resource};

use crate::{DataType, ObjectId, ObjectVersion, ResourceId};
use core::fmt;

/// What a server may do with a resource: a set of Read, Write and Execute. Empty = only the bootstrap may touch it.
#[derive(Clone, Copy, Default, PartialEq, Eq, Hash)]
pub struct Operations(u8);

impl Operations {
    /// Nothing: only a Bootstrap-Server may touch it.
    pub const NONE: Self = Self(0);
    /// Read, Observe, Discover attributes.
    pub const READ: Self = Self(1);
    /// Write.
    pub const WRITE: Self = Self(2);
    /// Read and Write.
    pub const READ_WRITE: Self = Self(3);
    /// Execute.
    pub const EXECUTE: Self = Self(4);

    /// Whether the set has all of `other`.
    #[must_use]
    pub const fn contains(self, other: Self) -> bool {
        self.0 & other.0 == other.0
    }

    /// Whether a server may read it.
    #[must_use]
    pub const fn readable(self) -> bool {
        self.contains(Self::READ)
    }

    /// Whether a server may write it.
    #[must_use]
    pub const fn writable(self) -> bool {
        self.contains(Self::WRITE)
    }

    /// Whether a server may execute it.
    #[must_use]
    pub const fn executable(self) -> bool {
        self.contains(Self::EXECUTE)
    }

    /// The letters of OMA's XML: `R`, `W`, `RW`, `E` or nothing. Other letters make `None`.
    #[must_use]
    pub const fn from_letters(letters: &str) -> Option<Self> {
        let mut set = Self::NONE;
        let mut rest = letters.as_bytes();
        while let Some((letter, more)) = rest.split_first() {
            set = match letter {
                b'R' => Self(set.0 | Self::READ.0),
                b'W' => Self(set.0 | Self::WRITE.0),
                b'E' => Self(set.0 | Self::EXECUTE.0),
                _ => return None,
            };
            rest = more;
        }
        Some(set)
    }

    /// The letters of OMA's XML.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self.0 & 7 {
            0 => "",
            1 => "R",
            2 => "W",
            3 => "RW",
            4 => "E",
            5 => "RE",
            6 => "WE",
            _ => "RWE",
        }
    }

    const fn from_bits(bits: u8) -> Self {
        Self(bits & 7)
    }
}

impl fmt::Debug for Operations {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Operations({})", self.as_str())
    }
}

impl fmt::Display for Operations {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

/// What is known of a resource of an object.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ResourceDefinition<'a> {
    /// Its number.
    pub id: ResourceId,
    /// Its name.
    pub name: &'a str,
    /// What servers may do with it.
    pub operations: Operations,
    /// Whether it has resource instances.
    pub multiple: bool,
    /// Whether every instance of the object has it.
    pub mandatory: bool,
    /// The type of its value; `None` for what holds none (an executable resource).
    pub data_type: Option<DataType>,
    /// The legal values in the registry's own words, often empty. [`ResourceDefinition::range`] understands them.
    pub range_text: &'a str,
    /// The unit (`s`, `Cel`, `/100`), often empty.
    pub units: &'a str,
}

impl<'a> ResourceDefinition<'a> {
    /// The legal values, as far as the registry's words can be understood.
    #[must_use]
    pub fn range(&self) -> Range<'a> {
        Range::parse(self.range_text)
    }
}

/// What is known of an object in one of its versions.
#[derive(Clone, Copy, Debug)]
pub struct ObjectDefinition<'a> {
    /// Its number.
    pub id: ObjectId,
    /// The version described here.
    pub version: ObjectVersion,
    /// Its name.
    pub name: &'a str,
    /// The lowest LwM2M version it is meant for, as the registry says.
    pub enabler: ObjectVersion,
    /// Whether it may have more than one instance.
    pub multiple: bool,
    /// Whether every device has it.
    pub mandatory: bool,
    source: Source<'a>,
}

#[derive(Clone, Copy, Debug)]
enum Source<'a> {
    /// Rows of the embedded tables: first, count.
    Embedded(u16, u16),
    #[cfg(feature = "alloc")]
    Loaded(&'a [OwnedResourceDefinition]),
    #[cfg(not(feature = "alloc"))]
    #[expect(dead_code, reason = "keeps the lifetime when nothing can be loaded")]
    Never(core::convert::Infallible, core::marker::PhantomData<&'a ()>),
}

impl<'a> ObjectDefinition<'a> {
    /// The resources in ascending order of their numbers.
    #[must_use]
    pub fn resources(&self) -> Resources<'a> {
        Resources { source: self.source, next: 0 }
    }

    /// The resource with that number.
    #[must_use]
    pub fn resource(&self, id: ResourceId) -> Option<ResourceDefinition<'a>> {
        match self.source {
            Source::Embedded(first, count) => registry::find_resource(first, count, id),
            #[cfg(feature = "alloc")]
            Source::Loaded(rows) => {
                let index = rows.binary_search_by_key(&id, |row| row.id).ok()?;
                rows.get(index).map(OwnedResourceDefinition::as_definition)
            }
            #[cfg(not(feature = "alloc"))]
            Source::Never(never, _) => match never {},
        }
    }
}

/// The resources of an [`ObjectDefinition`], in ascending order.
#[derive(Clone, Debug)]
pub struct Resources<'a> {
    source: Source<'a>,
    next: u16,
}

impl<'a> Iterator for Resources<'a> {
    type Item = ResourceDefinition<'a>;

    fn next(&mut self) -> Option<Self::Item> {
        let index = self.next;
        let row = match self.source {
            Source::Embedded(first, count) if index < count => {
                registry::resource_row(first.checked_add(index)?)
            }
            Source::Embedded(..) => None,
            #[cfg(feature = "alloc")]
            Source::Loaded(rows) => rows.get(usize::from(index)).map(OwnedResourceDefinition::as_definition),
            #[cfg(not(feature = "alloc"))]
            Source::Never(never, _) => match never {},
        }?;
        self.next = index.checked_add(1)?;
        Some(row)
    }
}
