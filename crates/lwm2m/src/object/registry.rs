//! Look-ups in the embedded tables (`registry.bin`, written by `cargo xtask registry`).
//!
//! The file, all numbers little-endian:
//!
//! | Part | Content |
//! |---|---|
//! | header, 8 bytes | count of object rows, resource rows, facts; size of the texts |
//! | object rows, 12 bytes each, ascending by ID and version | ID u16, version u8 u8, enabler u8 u8, name u16, first resource row u16, count u8, flags u8 |
//! | resource rows, 4 bytes each, ascending by ID within an object | ID u16, fact u16 |
//! | facts, 8 bytes each | name u16, range u16, unit u16, flags u8, type u8 |
//! | texts | length u8 and that many bytes of UTF-8, referred to by their offset |
//!
//! Flags of objects: 1 multiple, 2 mandatory. Flags of facts: 1 read, 2 write, 4 execute, 8 multiple, 16 mandatory.

use super::{ObjectDefinition, Operations, ResourceDefinition, Source};
use crate::{DataType, ObjectId, ObjectVersion, ResourceId};

static TABLES: &[u8] = include_bytes!("registry.bin");

const HEADER_LEN: usize = 8;
const OBJECT_LEN: usize = 12;
const RESOURCE_LEN: usize = 4;
const FACT_LEN: usize = 8;

/// The definition of an object in exactly that version.
#[must_use]
pub const fn lookup(object: ObjectId, version: ObjectVersion) -> Option<ObjectDefinition<'static>> {
    let mut row = first_row_of(object);
    while let Some(definition) = object_row(row) {
        if definition.id.get() != object.get() {
            return None;
        }
        if definition.version.major == version.major && definition.version.minor == version.minor {
            return Some(definition);
        }
        row += 1;
    }
    None
}

/// The definition of an object in the highest version that the registry has.
#[must_use]
pub const fn latest(object: ObjectId) -> Option<ObjectDefinition<'static>> {
    let mut row = first_row_of(object);
    let mut count = 0;
    while let Some(id) = u16_at(object_offset(row)) {
        if id != object.get() || row >= object_count() {
            break;
        }
        row += 1;
        count += 1;
    }
    if count == 0 { None } else { object_row(row - 1) }
}

/// The definition of a resource, in that version of its object or, with `None`, in the highest.
///
/// Usable at compile time: this is what the derive macro of the device engine checks a struct against.
#[must_use]
pub const fn resource(
    object: ObjectId,
    version: Option<ObjectVersion>,
    resource: ResourceId,
) -> Option<ResourceDefinition<'static>> {
    let definition = match version {
        Some(version) => lookup(object, version),
        None => latest(object),
    };
    match definition {
        Some(ObjectDefinition { source: Source::Embedded(first, count), .. }) => {
            find_resource(first, count, resource)
        }
        _ => None,
    }
}

/// The first mandatory resource of that object version that the ascending `present` does not name; `None` when all are
/// there, or the registry does not know the object.
///
/// Usable at compile time, like [`resource`].
#[must_use]
pub const fn missing_mandatory(
    object: ObjectId,
    version: ObjectVersion,
    present: &[u16],
) -> Option<ResourceId> {
    let Some(ObjectDefinition { source: Source::Embedded(first, count), .. }) = lookup(object, version)
    else {
        return None;
    };
    let mut row = first;
    while row < first.saturating_add(count) {
        let Some(resource) = resource_row(row) else { return None };
        if resource.mandatory && !names(present, resource.id.get()) {
            return Some(resource.id);
        }
        row += 1;
    }
    None
}

const fn names(ids: &[u16], id: u16) -> bool {
    let mut rest = ids;
    while let Some((first, more)) = rest.split_first() {
        if *first == id {
            return true;
        }
        rest = more;
    }
    false
}

/// All embedded definitions, ascending by object and version.
#[must_use]
pub fn objects() -> Objects {
    Objects { row: 0 }
}

/// The embedded definitions, ascending by object and version.
#[derive(Clone, Debug)]
pub struct Objects {
    row: u16,
}

impl Iterator for Objects {
    type Item = ObjectDefinition<'static>;

    fn next(&mut self) -> Option<Self::Item> {
        let definition = object_row(self.row)?;
        self.row += 1;
        Some(definition)
    }
}

/// The number of the first object row whose ID is not below `object`.
const fn first_row_of(object: ObjectId) -> u16 {
    let mut low = 0;
    let mut high = object_count();
    while low < high {
        let middle = low + (high - low) / 2;
        let below = match u16_at(object_offset(middle)) {
            Some(id) => id < object.get(),
            None => false,
        };
        if below {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    low
}

/// The resource with that ID among the rows of an object.
pub(super) const fn find_resource(
    first: u16,
    count: u16,
    id: ResourceId,
) -> Option<ResourceDefinition<'static>> {
    let mut low = first;
    let mut high = first.saturating_add(count);
    while low < high {
        let middle = low + (high - low) / 2;
        match u16_at(resource_offset(middle)) {
            Some(found) if found < id.get() => low = middle + 1,
            Some(found) if found > id.get() => high = middle,
            Some(_) => return resource_row(middle),
            None => return None,
        }
    }
    None
}

const fn object_row(row: u16) -> Option<ObjectDefinition<'static>> {
    if row >= object_count() {
        return None;
    }
    let Some(
        [id0, id1, major, minor, enabler_major, enabler_minor, name0, name1, first0, first1, count, flags],
    ) = array_at::<OBJECT_LEN>(object_offset(row))
    else {
        return None;
    };
    let (Some(id), Some(name)) =
        (ObjectId::new(u16::from_le_bytes([*id0, *id1])), text(u16::from_le_bytes([*name0, *name1])))
    else {
        return None;
    };
    Some(ObjectDefinition {
        id,
        version: ObjectVersion::new(*major, *minor),
        name,
        enabler: ObjectVersion::new(*enabler_major, *enabler_minor),
        multiple: *flags & 1 != 0,
        mandatory: *flags & 2 != 0,
        source: Source::Embedded(u16::from_le_bytes([*first0, *first1]), u16::from_le_bytes([*count, 0])),
    })
}

pub(super) const fn resource_row(row: u16) -> Option<ResourceDefinition<'static>> {
    if row >= resource_count() {
        return None;
    }
    let Some([id0, id1, fact0, fact1]) = array_at::<RESOURCE_LEN>(resource_offset(row)) else { return None };
    let Some([name0, name1, range0, range1, unit0, unit1, flags, kind]) =
        array_at::<FACT_LEN>(fact_offset(u16::from_le_bytes([*fact0, *fact1])))
    else {
        return None;
    };
    let (Some(id), Some(name), Some(range_text), Some(units)) = (
        ResourceId::new(u16::from_le_bytes([*id0, *id1])),
        text(u16::from_le_bytes([*name0, *name1])),
        text(u16::from_le_bytes([*range0, *range1])),
        text(u16::from_le_bytes([*unit0, *unit1])),
    ) else {
        return None;
    };
    Some(ResourceDefinition {
        id,
        name,
        operations: Operations::from_bits(*flags),
        multiple: *flags & 8 != 0,
        mandatory: *flags & 16 != 0,
        data_type: data_type(*kind),
        range_text,
        units,
    })
}

const fn data_type(kind: u8) -> Option<DataType> {
    match kind {
        1 => Some(DataType::String),
        2 => Some(DataType::Integer),
        3 => Some(DataType::Unsigned),
        4 => Some(DataType::Float),
        5 => Some(DataType::Boolean),
        6 => Some(DataType::Opaque),
        7 => Some(DataType::Time),
        8 => Some(DataType::ObjectLink),
        9 => Some(DataType::Corelnk),
        _ => None,
    }
}

const fn object_count() -> u16 {
    header(0)
}

const fn resource_count() -> u16 {
    header(2)
}

const fn header(offset: usize) -> u16 {
    match u16_at(offset) {
        Some(count) => count,
        None => 0,
    }
}

#[allow(clippy::as_conversions, reason = "u16 to usize widens; From is not const")]
const fn object_offset(row: u16) -> usize {
    HEADER_LEN + row as usize * OBJECT_LEN
}

#[allow(clippy::as_conversions, reason = "u16 to usize widens; From is not const")]
const fn resource_offset(row: u16) -> usize {
    object_offset(object_count()) + row as usize * RESOURCE_LEN
}

#[allow(clippy::as_conversions, reason = "u16 to usize widens; From is not const")]
const fn fact_offset(fact: u16) -> usize {
    resource_offset(resource_count()) + fact as usize * FACT_LEN
}

#[allow(clippy::as_conversions, reason = "u16 and u8 to usize widen; From is not const")]
const fn text(offset: u16) -> Option<&'static str> {
    let texts = fact_offset(header(4));
    let Some(rest) = from(texts + offset as usize) else { return None };
    let Some((len, rest)) = rest.split_first() else { return None };
    let Some((bytes, _)) = rest.split_at_checked(*len as usize) else { return None };
    match core::str::from_utf8(bytes) {
        Ok(text) => Some(text),
        Err(_) => None,
    }
}

const fn u16_at(offset: usize) -> Option<u16> {
    match array_at::<2>(offset) {
        Some(bytes) => Some(u16::from_le_bytes(*bytes)),
        None => None,
    }
}

const fn array_at<const N: usize>(offset: usize) -> Option<&'static [u8; N]> {
    match from(offset) {
        Some(rest) => rest.first_chunk::<N>(),
        None => None,
    }
}

const fn from(offset: usize) -> Option<&'static [u8]> {
    match TABLES.split_at_checked(offset) {
        Some((_, rest)) => Some(rest),
        None => None,
    }
}
