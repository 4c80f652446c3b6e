//! What the code written by `#[derive(Object)]` calls while the user's crate is compiled. Not for people.

use lightship_lwm2m::object;
use lightship_lwm2m::{ObjectId, ObjectVersion, ResourceId};

pub use crate::object::Field;
use crate::object::{ObjectModel, ResourceModel, Types};

/// An object of the registry, in one version.
#[derive(Debug, Clone, Copy)]
pub struct Object {
    id: ObjectId,
    version: ObjectVersion,
    multiple: bool,
}

impl Object {
    pub(crate) const fn version(self) -> ObjectVersion {
        self.version
    }
}

/// Finds an object, in the newest version unless one is named.
pub const fn object(id: u16, version: Option<(u8, u8)>) -> Option<Object> {
    let Some(id) = ObjectId::new(id) else { return None };
    let found = match version {
        Some((major, minor)) => object::lookup(id, ObjectVersion::new(major, minor)),
        None => object::latest(id),
    };
    match found {
        Some(found) => Some(Object { id, version: found.version, multiple: found.multiple }),
        None => None,
    }
}

/// Finds a resource of an object.
pub const fn resource(object: Object, id: u16) -> Option<ResourceModel> {
    let Some(id) = ResourceId::new(id) else { return None };
    match object::resource(object.id, Some(object.version), id) {
        Some(found) => Some(ResourceModel {
            id,
            operations: found.operations,
            data_type: found.data_type,
            multiple: found.multiple,
            mandatory: found.mandatory,
            range: hull(found.range_text),
        }),
        None => None,
    }
}

/// Whether a field that stands for these types can be this resource.
pub const fn fits(model: &ResourceModel, types: Types) -> bool {
    match model.data_type {
        Some(data_type) => types.contains(data_type),
        None => false,
    }
}

/// Whether the ascending `ids` hold every mandatory resource of the object.
pub const fn complete(object: Object, ids: &[u16]) -> bool {
    object::missing_mandatory(object.id, object.version, ids).is_none()
}

/// Puts the facts together.
pub const fn model(object: Object, resources: &'static [ResourceModel]) -> ObjectModel<'static> {
    ObjectModel { id: object.id, version: object.version, multiple: object.multiple, resources }
}

/// The lowest and highest number in the registry's words for a range, such as `0..100`, `0-255`, `1,2,8` or
/// `0..255 bytes`; `None` for words that say nothing a machine understands.
const fn hull(words: &str) -> Option<(f64, f64)> {
    let mut rest = words.as_bytes();
    let mut hull: Option<(f64, f64)> = None;
    let mut after_number = false;
    while let Some((first, tail)) = rest.split_first() {
        let negative = *first == b'-' && !after_number;
        if first.is_ascii_digit() || (negative && matches!(tail.first(), Some(b'0'..=b'9'))) {
            let (number, after) = decimal(if negative { tail } else { rest });
            let number = if negative { -number } else { number };
            hull = Some(match hull {
                None => (number, number),
                Some((low, high)) => (low.min(number), high.max(number)),
            });
            rest = after;
            after_number = true;
        } else if matches!(first, b'.' | b',' | b';' | b'-') {
            rest = tail;
            after_number = false;
        } else if *first == b' ' {
            rest = tail;
        } else {
            return if after_number && rest.eq_ignore_ascii_case(b"bytes") { hull } else { None };
        }
    }
    hull
}

/// Reads digits with an optional fraction; two dots in a row are no fraction.
const fn decimal(digits: &[u8]) -> (f64, &[u8]) {
    let mut number = 0.0;
    let mut scale = 0.0;
    let mut rest = digits;
    while let Some((first, tail)) = rest.split_first() {
        if first.is_ascii_digit() {
            let digit = (*first - b'0') as f64;
            if scale == 0.0 {
                number = number * 10.0 + digit;
            } else {
                number += digit * scale;
                scale /= 10.0;
            }
        } else if *first == b'.' && scale == 0.0 && matches!(tail.first(), Some(b'0'..=b'9')) {
            scale = 0.1;
        } else {
            break;
        }
        rest = tail;
    }
    (number, rest)
}

#[cfg(test)]
mod tests {
    use super::hull;

    #[test]
    fn spellings_of_the_registry() {
        for (words, expected) in [
            ("0..100", Some((0.0, 100.0))),
            ("-180..180", Some((-180.0, 180.0))),
            ("0-255", Some((0.0, 255.0))),
            ("0,1,2", Some((0.0, 2.0))),
            ("1...15", Some((1.0, 15.0))),
            ("-30..-120", Some((-120.0, -30.0))),
            ("0; 3.5..20.5", Some((0.0, 20.5))),
            ("0..255 bytes", Some((0.0, 255.0))),
            ("", None),
            ("ON;OFF", None),
            ("16-bit", None),
            ("[1:4]", None),
        ] {
            assert_eq!(hull(words), expected, "{words}");
        }
    }
}
