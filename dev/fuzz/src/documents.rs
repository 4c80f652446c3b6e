//! What users hand in: object definitions in OMA's XML, and nodes in JSON.

use lightship_api::convert::{self, Expected};
use lightship_api::{Node, Unknown};
use lightship_lwm2m::object::Definitions;
use lightship_lwm2m::{DataType, Path};

// The reader is private to its room, which is too much to build here for one file.
#[path = "../../../crates/service/src/models/xml.rs"]
mod xml_reader;

/// Any bytes as object definitions. What is accepted goes into a set and is found there.
pub(crate) fn xml(data: &[u8]) {
    let objects = match xml_reader::read(data) {
        Ok(objects) => objects,
        Err(error) => return assert!(!error.message.is_empty()),
    };
    assert!(!objects.is_empty());
    let mut definitions = Definitions::new();
    for object in objects {
        let (id, version) = (object.id, object.version);
        definitions.load(object);
        assert!(definitions.lookup(id, version).is_some(), "object {id} {version} is lost");
    }
}

/// The first byte chooses path and what is known of the resources; the rest is JSON. Values that can be typed come back
/// the same after a turn through JSON.
pub(crate) fn node(data: &[u8]) {
    let Some((&choice, text)) = data.split_first() else { return };
    let Ok(json) = serde_json::from_slice(text) else { return };
    let bases = ["/3442", "/3442/0", "/3442/0/110", "/3442/0/1120", "/3442/0/1120/3", "/"];
    let base: Path = bases[usize::from(choice) % bases.len()].parse().expect("a path");
    let knows = choice & 0x80 == 0;
    let expected = |path: Path| known(path).filter(|_| knows);
    let _refused = Node::from_json(&json, Unknown::Refuse);
    let Ok(node) = Node::from_json(&json, Unknown::Ignore) else { return };
    let Ok(entries) = convert::entries(&node, base, &expected) else { return };
    assert!(entries.iter().all(|entry| base.contains(entry.path)), "{entries:?} outside {base}");
    let written = serde_json::to_value(convert::node(base, &entries)).expect("a node is JSON");
    let again = Node::from_json(&written, Unknown::Refuse).expect("our own node is read");
    let again = convert::entries(&again, base, &expected).expect("our own node is typed");
    assert_eq!(format!("{again:?}"), format!("{entries:?}"), "{written}"); // as text: NaN is NaN
}

/// The test object's resources, as a registry would say it.
fn known(path: Path) -> Option<Expected<'static>> {
    use DataType as T;
    let id = path.resource_id()?.get();
    let kinds = [
        (110, T::String),
        (120, T::Integer),
        (125, T::Unsigned),
        (130, T::Float),
        (140, T::Boolean),
        (150, T::Opaque),
        (160, T::Time),
        (170, T::ObjectLink),
        (180, T::Corelnk),
    ];
    let (_, kind) = kinds.into_iter().find(|(single, _)| id == *single || id == 1000 + single)?;
    let range = if id == 120 { "-100..5000" } else { "" };
    Some(Expected { name: "Value", kind: Some(kind), multiple: id > 1000, range })
}
