//! Owned data: typed entries, and the tree that they make.
//!
//! A payload becomes [`TypedEntry`]s with the help of object definitions; those become a [`Node`], or go back into a payload.

use crate::{
    DataType, Format, ObjectId, ObjectInstanceId, OwnedValue, Path, ResourceId, ResourceInstanceId,
    format::{Decoder, EncodeError, Encoder, FormatError, ValueError},
    object::ObjectDefinition,
    path::Level,
};
use alloc::{collections::BTreeMap, vec, vec::Vec};
use core::fmt;

/// One thing a payload says, typed and owned.
#[derive(Clone, Debug, PartialEq)]
pub struct TypedEntry {
    /// A resource or resource instance; for an empty container also an object instance.
    pub path: Path,
    /// When it was so; see [`Entry::time`](crate::format::Entry::time).
    pub time: Option<f64>,
    /// The value; `None` for a container that holds nothing, or for a name without a value.
    pub value: Option<OwnedValue>,
}

/// Why a payload makes no node.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum NodeError {
    /// The payload breaks the rules of its format.
    Format(FormatError),
    /// A value is not of the type that its definition demands.
    Value(Path, ValueError),
    /// A path stands twice, or as a single resource and as a multiple one.
    Duplicate(Path),
    /// The entry does not lie where a node of that level can have it.
    OutOfPlace(Path),
}

impl fmt::Display for NodeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Format(error) => fmt::Display::fmt(error, f),
            Self::Value(path, error) => write!(f, "{path}: {error}"),
            Self::Duplicate(path) => write!(f, "{path} stands twice"),
            Self::OutOfPlace(path) => write!(f, "{path} does not belong here"),
        }
    }
}

impl core::error::Error for NodeError {}

impl From<FormatError> for NodeError {
    fn from(error: FormatError) -> Self {
        Self::Format(error)
    }
}

/// Types the entries of a payload.
///
/// `definition` gives the definition of an object as the device has it. A resource that it does not know, and one whose value is
/// not of the defined type, keeps the type that the payload shows: what a device really said is worth showing. Where the payload
/// shows none, an unknown resource is a String in text/plain and an Opaque in TLV.
///
/// # Errors
/// [`NodeError`] of the first entry that is wrong.
pub fn typed_entries<'d>(
    payload: Decoder<'_>,
    definition: impl Fn(ObjectId) -> Option<ObjectDefinition<'d>>,
) -> Result<Vec<TypedEntry>, NodeError> {
    let mut entries = Vec::new();
    let mut known: Option<(ObjectId, Option<ObjectDefinition<'d>>)> = None;
    for entry in payload {
        let entry = entry?;
        let raw = entry.value;
        let value = if raw.is_container() || raw.is_nothing() || raw.is_null() {
            None
        } else {
            let object = entry.path.object_id().ok_or(NodeError::OutOfPlace(entry.path))?;
            let of_object = match known {
                Some((id, of_object)) if id == object => of_object,
                _ => known.insert((object, definition(object))).1,
            };
            let defined =
                of_object.zip(entry.path.resource_id()).and_then(|(of_object, id)| of_object.resource(id));
            let defined = defined.and_then(|row| row.data_type);
            let natural = raw.natural_type();
            let decoded = match defined.or(natural) {
                Some(data_type) => match (raw.decode_owned(data_type), natural) {
                    (Err(_), Some(natural)) => raw.decode_owned(natural),
                    (decoded, _) => decoded,
                },
                // Base64 in text/plain would be a guess: texts stay texts.
                None if raw.is_text() => raw.decode_owned(DataType::String),
                None => raw.decode_owned(DataType::Opaque),
            };
            Some(decoded.map_err(|error| NodeError::Value(entry.path, error))?)
        };
        entries.push(TypedEntry { path: entry.path, time: entry.time, value });
    }
    Ok(entries)
}

/// Writes entries in tree order as a payload about `base`, in a buffer that grows as needed.
///
/// # Errors
/// [`EncodeError`], never [`EncodeError::BufferTooSmall`] below 64 MiB.
pub fn encode_entries(
    format: Format,
    base: Path,
    entries: &[(Path, Option<&OwnedValue>)],
) -> Result<Vec<u8>, EncodeError> {
    encode_entries_below("", format, base, entries)
}

/// The same for a device with an alternate path. See [`Encoder::with_alternate_path`].
///
/// # Errors
/// As [`encode_entries`].
pub fn encode_entries_below(
    alternate_path: &str,
    format: Format,
    base: Path,
    entries: &[(Path, Option<&OwnedValue>)],
) -> Result<Vec<u8>, EncodeError> {
    const LEN_MAX: usize = 64 << 20;
    let mut buffer = vec![0; 256];
    loop {
        let mut encoder = Encoder::new(format, base, &mut buffer).with_alternate_path(alternate_path);
        for (path, value) in entries {
            let path = *path;
            // Errors stick and come out of `finish`.
            let _ = match value {
                Some(value) => encoder.entry(path, &value.as_value()),
                None => encoder.empty(path),
            };
        }
        match encoder.finish() {
            Err(EncodeError::BufferTooSmall) if buffer.len() < LEN_MAX => buffer.resize(buffer.len() * 4, 0),
            Err(error) => return Err(error),
            Ok(len) => {
                buffer.truncate(len);
                return Ok(buffer);
            }
        }
    }
}

/// The resources of an object instance.
pub type Instance = BTreeMap<ResourceId, Resource>;

/// What a resource holds.
#[derive(Clone, Debug, PartialEq)]
pub enum Resource {
    /// One value.
    Single(OwnedValue),
    /// Values by resource instance.
    Multiple(BTreeMap<ResourceInstanceId, OwnedValue>),
}

/// The content of a node of the data tree. Where it stands is told by the [`Path`] that goes with it.
#[derive(Clone, Debug, PartialEq)]
pub enum Node {
    /// `/`: object instances by object.
    Root(BTreeMap<ObjectId, BTreeMap<ObjectInstanceId, Instance>>),
    /// `/o`
    Object(BTreeMap<ObjectInstanceId, Instance>),
    /// `/o/i`
    Instance(Instance),
    /// `/o/i/r`
    Resource(Resource),
    /// `/o/i/r/ri`
    ResourceInstance(OwnedValue),
}

impl Node {
    /// The tree of the entries at or below `base`, in any order; their times are not kept.
    ///
    /// # Errors
    /// [`NodeError::Duplicate`] for what stands twice, [`NodeError::OutOfPlace`] for what lies outside `base` or, for a resource
    /// or resource instance, when nothing is there.
    pub fn from_entries(
        base: Path,
        entries: impl IntoIterator<Item = TypedEntry>,
    ) -> Result<Self, NodeError> {
        let mut tree: BTreeMap<ObjectId, BTreeMap<ObjectInstanceId, Instance>> = BTreeMap::new();
        for entry in entries {
            let path = entry.path;
            let place = NodeError::OutOfPlace(path);
            if !base.contains(path) {
                return Err(place);
            }
            let (Some(object), Some(instance)) = (path.object_id(), path.instance_id()) else {
                // An object or the root that holds nothing.
                if entry.value.is_none() { continue } else { return Err(place) }
            };
            let instance = tree.entry(object).or_default().entry(instance).or_default();
            let Some(resource) = path.resource_id() else { continue };
            insert(instance, resource, path, entry.value)?;
        }
        let missing = NodeError::OutOfPlace(base);
        let mut take_instance =
            || -> Option<Instance> { tree.get_mut(&base.object_id()?)?.remove(&base.instance_id()?) };
        match base.level() {
            Level::Root => Ok(Self::Root(tree)),
            Level::Object => {
                Ok(Self::Object(base.object_id().and_then(|id| tree.remove(&id)).unwrap_or_default()))
            }
            Level::Instance => Ok(Self::Instance(take_instance().unwrap_or_default())),
            Level::Resource => {
                let resource = take_instance()
                    .zip(base.resource_id())
                    .and_then(|(mut instance, id)| instance.remove(&id));
                // SenML has no words for a multiple resource without instances.
                Ok(Self::Resource(resource.unwrap_or(Resource::Multiple(BTreeMap::new()))))
            }
            Level::ResourceInstance => {
                let resource = take_instance()
                    .zip(base.resource_id())
                    .and_then(|(mut instance, id)| instance.remove(&id));
                match (resource, base.resource_instance_id()) {
                    (Some(Resource::Multiple(mut values)), Some(id)) => {
                        values.remove(&id).map(Self::ResourceInstance).ok_or(missing)
                    }
                    _ => Err(missing),
                }
            }
        }
    }

    /// Decodes a payload about `base`. See [`typed_entries`] and [`Node::from_entries`].
    ///
    /// # Errors
    /// [`NodeError`].
    pub fn decode<'d>(
        format: Format,
        base: Path,
        payload: &[u8],
        definition: impl Fn(ObjectId) -> Option<ObjectDefinition<'d>>,
    ) -> Result<Self, NodeError> {
        Self::from_entries(base, typed_entries(crate::format::decode(format, base, payload), definition)?)
    }

    /// The values by path, in tree order; `None` for a container that holds nothing.
    #[must_use]
    pub fn entries(&self, base: Path) -> Vec<(Path, Option<&OwnedValue>)> {
        let mut entries = Vec::new();
        match self {
            Self::Root(objects) => {
                for (object, instances) in objects {
                    walk_object(Path::object(*object), instances, &mut entries);
                }
            }
            Self::Object(instances) => walk_object(base, instances, &mut entries),
            Self::Instance(instance) => walk_instance(base, instance, &mut entries),
            Self::Resource(resource) => walk_resource(base, resource, &mut entries),
            Self::ResourceInstance(value) => entries.push((base, Some(value))),
        }
        entries
    }

    /// Encodes the node as a payload about `base`.
    ///
    /// # Errors
    /// [`EncodeError`], for instance when the format cannot hold a node of this level.
    pub fn encode(&self, format: Format, base: Path) -> Result<Vec<u8>, EncodeError> {
        encode_entries(format, base, &self.entries(base))
    }
}

fn insert(
    instance: &mut Instance,
    id: ResourceId,
    path: Path,
    value: Option<OwnedValue>,
) -> Result<(), NodeError> {
    let twice = NodeError::Duplicate(path);
    match (path.resource_instance_id(), value) {
        (None, Some(value)) => match instance.insert(id, Resource::Single(value)) {
            None => Ok(()),
            Some(_) => Err(twice),
        },
        (None, None) => match instance.insert(id, Resource::Multiple(BTreeMap::new())) {
            None => Ok(()),
            Some(_) => Err(twice),
        },
        (Some(_), None) => Err(NodeError::OutOfPlace(path)),
        (Some(index), Some(value)) => {
            match instance.entry(id).or_insert_with(|| Resource::Multiple(BTreeMap::new())) {
                Resource::Multiple(values) if !values.contains_key(&index) => {
                    values.insert(index, value);
                    Ok(())
                }
                Resource::Multiple(_) | Resource::Single(_) => Err(twice),
            }
        }
    }
}

fn walk_object<'v>(
    path: Path,
    instances: &'v BTreeMap<ObjectInstanceId, Instance>,
    entries: &mut Vec<(Path, Option<&'v OwnedValue>)>,
) {
    for (id, instance) in instances {
        if let Some(path) = path.child(id.get()) {
            walk_instance(path, instance, entries);
        }
    }
}

fn walk_instance<'v>(path: Path, instance: &'v Instance, entries: &mut Vec<(Path, Option<&'v OwnedValue>)>) {
    if instance.is_empty() {
        entries.push((path, None));
    }
    for (id, resource) in instance {
        if let Some(path) = path.child(id.get()) {
            walk_resource(path, resource, entries);
        }
    }
}

fn walk_resource<'v>(path: Path, resource: &'v Resource, entries: &mut Vec<(Path, Option<&'v OwnedValue>)>) {
    match resource {
        Resource::Single(value) => entries.push((path, Some(value))),
        Resource::Multiple(values) if values.is_empty() => entries.push((path, None)),
        Resource::Multiple(values) => {
            let below = values.iter().filter_map(|(id, value)| Some((path.child(id.get())?, Some(value))));
            entries.extend(below);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{object, path};
    use std::string::String;

    fn device() -> Node {
        let text = |text: &str| Resource::Single(OwnedValue::String(text.into()));
        let id = |id: u16| ResourceId::new(id).expect("an ID");
        let index = |id: u16| ResourceInstanceId::new(id).expect("an ID");
        let voltages = [(index(0), OwnedValue::Integer(3800)), (index(1), OwnedValue::Integer(5000))];
        Node::Instance(BTreeMap::from([
            (id(0), text("Open Mobile Alliance")),
            (id(7), Resource::Multiple(voltages.into())),
            (id(9), Resource::Single(OwnedValue::Integer(100))),
            (id(13), Resource::Single(OwnedValue::Time(1_367_491_215))),
        ]))
    }

    #[test]
    fn a_node_survives_each_format_of_its_level() {
        let base = path!(3 / 0);
        for format in [Format::Tlv, Format::SenmlJson, Format::SenmlCbor] {
            let payload = device().encode(format, base).expect("encodes");
            assert_eq!(Node::decode(format, base, &payload, object::latest), Ok(device()), "{format}");
        }
        assert_eq!(device().encode(Format::Text, base), Err(EncodeError::NotSingleValue));
    }

    #[test]
    fn large_nodes_grow_the_buffer() {
        let node = Node::Resource(Resource::Single(OwnedValue::Opaque(vec![7; 5000])));
        let payload = node.encode(Format::Opaque, path!(5 / 0 / 0)).expect("encodes");
        assert_eq!(payload.len(), 5000);
    }

    #[test]
    fn unknown_resources_keep_what_the_payload_shows() {
        let base = path!(33000 / 0 / 1);
        let decode = |format, payload: &[u8]| Node::decode(format, base, payload, object::latest);
        let single = |value| Ok(Node::Resource(Resource::Single(value)));
        assert_eq!(decode(Format::Text, b"AQID"), single(OwnedValue::String("AQID".into())));
        assert_eq!(decode(Format::Tlv, &[0xC1, 1, 5]), single(OwnedValue::Opaque(vec![5])));
        assert_eq!(decode(Format::Cbor, &[0x16]), single(OwnedValue::Integer(22)));
        let json = br#"[{"bn":"/33000/0/1","vs":"a\nb"}]"#;
        assert_eq!(decode(Format::SenmlJson, json), single(OwnedValue::String("a\nb".into())));
    }

    // Bad inputs 207, 220 and 255.
    #[test]
    fn duplicates_and_wrong_types_are_refused() {
        let decode =
            |json: &str| Node::decode(Format::SenmlJson, path!(3 / 0), json.as_bytes(), object::latest);
        let twice = r#"[{"n":"/3/0/14","vs":"a"},{"n":"/3/0/14","vs":"b"}]"#;
        assert_eq!(decode(twice), Err(NodeError::Duplicate(path!(3 / 0 / 14))));
        let both = r#"[{"n":"/3/0/6","v":1},{"n":"/3/0/6/0","v":1}]"#;
        assert_eq!(decode(both), Err(NodeError::Duplicate(path!(3 / 0 / 6 / 0))));
        let index = r#"[{"n":"/3/0/6/0","v":1},{"n":"/3/0/6/0","v":2}]"#;
        assert_eq!(decode(index), Err(NodeError::Duplicate(path!(3 / 0 / 6 / 0))));
        let odd = decode(r#"[{"n":"/3/0/14","v":1}]"#).expect("shown as it is");
        assert_eq!(odd.entries(path!(3 / 0)), [(path!(3 / 0 / 14), Some(&OwnedValue::Integer(1)))]);
        let wrong = Node::decode(Format::Tlv, path!(3 / 0), &[0xC3, 9, 1, 2, 3], object::latest);
        assert_eq!(wrong, Err(NodeError::Value(path!(3 / 0 / 9), ValueError::Malformed)));
        let tlv = Node::decode(Format::Tlv, path!(3 / 0 / 10), &[0xC1, 10, 1, 0xC1, 10, 2], object::latest);
        assert_eq!(tlv, Err(NodeError::Duplicate(path!(3 / 0 / 10))));
    }

    #[test]
    fn a_resource_instance_must_be_there() {
        let base = path!(3 / 0 / 7 / 1);
        let decode = |payload: &[u8]| Node::decode(Format::Tlv, base, payload, object::latest);
        assert_eq!(decode(&[0x42, 1, 0x13, 0x88]), Ok(Node::ResourceInstance(OwnedValue::Integer(5000))));
        assert_eq!(decode(&[]), Err(NodeError::OutOfPlace(base)));
        assert_eq!(decode(&[0x42, 0, 0x13, 0x88]), Err(NodeError::Format(FormatError::OutsideBase)));
    }

    #[test]
    fn entries_of_several_objects_make_a_root() {
        let payload = br#"[{"bn":"/3/0/","n":"9","v":1,"t":1700000000},{"bn":"/1/0/","n":"1","v":60}]"#;
        let entries =
            typed_entries(crate::format::decode(Format::SenmlJson, Path::ROOT, payload), object::latest)
                .expect("legal");
        assert_eq!(entries.first().and_then(|entry| entry.time), Some(1.7e9));
        let node = Node::from_entries(Path::ROOT, entries).expect("a tree");
        let paths: Vec<Path> = node.entries(Path::ROOT).into_iter().map(|(path, _)| path).collect();
        assert_eq!(paths, [path!(1 / 0 / 1), path!(3 / 0 / 9)]);
        let payload = node.encode(Format::SenmlJson, Path::ROOT).expect("encodes");
        let expected = r#"[{"bn":"/1/0/","n":"1","v":60},{"bn":"/3/0/","n":"9","v":1}]"#;
        assert_eq!(String::from_utf8(payload).as_deref(), Ok(expected));
    }
}
