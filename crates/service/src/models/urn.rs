//! The names of objects in OMA's registry: `urn:oma:lwm2m:{class}:{id}[:{version}]`, no version meaning 1.0.

use lightship_lwm2m::{ObjectId, ObjectVersion};

/// Who gives out an Object ID; `None` where nobody does.
pub(crate) fn class(id: ObjectId) -> Option<&'static str> {
    match id.get() {
        0..=1023 => Some("oma"),
        2048..=10_240 => Some("ext"),
        10_241..=42_768 => Some("x"),
        _ => None,
    }
}

/// The name of an object.
pub(crate) fn urn(id: ObjectId, version: ObjectVersion) -> Option<String> {
    let class = class(id)?;
    let version = if version == ObjectVersion::V1_0 { String::new() } else { format!(":{version}") };
    Some(format!("urn:oma:lwm2m:{class}:{id}{version}"))
}
