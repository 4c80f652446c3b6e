//! What is encoded decodes to the same, at every level and in every format; and no bytes do harm.

use lightship_lwm2m::{
    AttributeChange, DataType, Format, ObjectLink, Path, Value, Version,
    format::{self, Encoder, FormatError, Use, paths},
};
use proptest::{collection::vec, prelude::*};
use std::collections::BTreeMap;

/// The formats of whole trees that need no allocator.
const TREES: [Format; 6] = [
    Format::Tlv,
    Format::SenmlJson,
    Format::SenmlCbor,
    Format::SenmlEtchJson,
    Format::SenmlEtchCbor,
    Format::Lwm2mCbor,
];

/// A value with memory of its own.
#[derive(Clone, Debug, PartialEq)]
enum Owned {
    Text(String, bool),
    Bytes(Vec<u8>),
    Plain(Value<'static>),
}

impl Owned {
    fn value(&self) -> Value<'_> {
        match self {
            Self::Text(text, false) => Value::String(text),
            Self::Text(text, true) => Value::Corelnk(text),
            Self::Bytes(bytes) => Value::Opaque(bytes),
            Self::Plain(value) => *value,
        }
    }
}

/// Without an allocator decimals are exact only for what sensors have; with one, all of them are.
fn floats() -> BoxedStrategy<f64> {
    let sensor = any::<i32>().prop_map(|number| f64::from(number) / 1000.0);
    if !cfg!(feature = "alloc") {
        return sensor.boxed();
    }
    let double = any::<f64>().prop_filter("finite", |number| number.is_finite());
    let single = any::<f32>().prop_filter("finite", |number| number.is_finite()).prop_map(f64::from);
    prop_oneof![sensor, double, single].boxed()
}

fn values() -> impl Strategy<Value = Owned> {
    prop_oneof![
        (any::<String>(), any::<bool>()).prop_map(|(text, link)| Owned::Text(text, link)),
        vec(any::<u8>(), 0..300).prop_map(Owned::Bytes),
        any::<i64>().prop_map(|number| Owned::Plain(Value::Integer(number))),
        (-300..300_i64).prop_map(|number| Owned::Plain(Value::Integer(number))),
        any::<u64>().prop_map(|number| Owned::Plain(Value::Unsigned(number))),
        any::<i64>().prop_map(|number| Owned::Plain(Value::Time(number))),
        floats().prop_map(|number| Owned::Plain(Value::Float(number))),
        any::<bool>().prop_map(|flag| Owned::Plain(Value::Boolean(flag))),
        (any::<u16>(), any::<u16>())
            .prop_map(|(object, instance)| Owned::Plain(ObjectLink { object, instance }.into())),
    ]
}

/// Small and large identifiers, often the same ones.
fn ids() -> impl Strategy<Value = u16> {
    prop_oneof![0..4_u16, 250..260_u16, any::<u16>().prop_map(|id| id.min(65534))]
}

/// Resources of one object, each single or multiple.
fn trees() -> impl Strategy<Value = BTreeMap<Path, Owned>> {
    let leaf = (ids(), ids(), any::<bool>(), ids(), values());
    vec(leaf, 0..20).prop_map(|leaves| {
        let mut tree: BTreeMap<Path, Owned> = BTreeMap::new();
        for (instance, resource, multiple, index, value) in leaves {
            let mut numbers = vec![3303, instance, resource];
            if multiple {
                numbers.push(index);
            }
            let path = Path::from_numbers(&numbers).expect("a path");
            let clashes =
                tree.keys().any(|other| other.truncated(3) == path.truncated(3) && other.len() != path.len());
            if !clashes {
                tree.insert(path, value);
            }
        }
        tree
    })
}

fn round_trip(format: Format, base: Path, tree: &BTreeMap<Path, Owned>) -> Result<(), TestCaseError> {
    let mut buffer = vec![0; 64 * 1024];
    let mut encoder = Encoder::new(format, base, &mut buffer);
    let wanted: Vec<_> = tree.iter().filter(|(path, _)| base.contains(**path)).collect();
    for (path, value) in &wanted {
        encoder
            .entry(**path, &value.value())
            .map_err(|error| TestCaseError::fail(format!("{format} {path}: {error}")))?;
    }
    let len = encoder.finish().map_err(|error| TestCaseError::fail(error.to_string()))?;
    let payload = &buffer[..len];
    let entries: Vec<_> = format::decode(format, base, payload)
        .collect::<Result<_, _>>()
        .map_err(|error| TestCaseError::fail(error.to_string()))?;
    prop_assert_eq!(entries.len(), wanted.len());
    prop_assert_eq!(format::check(&format::decode(format, base, payload)), Ok(()));
    for (entry, (path, value)) in entries.iter().zip(wanted) {
        prop_assert_eq!(entry.path, *path);
        let data_type = value.value().data_type();
        let mut scratch = vec![0; entry.value.scratch_len(data_type)];
        prop_assert_eq!(
            entry.value.decode(data_type, &mut scratch),
            Ok(value.value()),
            "{} {}",
            format,
            path
        );
    }
    // One byte less of room is noticed, never overrun.
    if len > 0 {
        let mut encoder = Encoder::new(format, base, &mut buffer[..len - 1]);
        for (path, value) in tree.iter().filter(|(path, _)| base.contains(**path)) {
            let _ = encoder.entry(*path, &value.value());
        }
        prop_assert!(encoder.finish().is_err());
    }
    Ok(())
}

proptest! {
    // Proves: DAT-01
    #[test]
    fn trees_survive_the_formats_of_trees(tree in trees()) {
        let mut bases = vec![Path::from_numbers(&[3303]).expect("a path")];
        if let Some(path) = tree.keys().next() {
            bases.extend((2..=path.len()).map(|len| path.truncated(len)));
        }
        for base in bases {
            for format in TREES {
                round_trip(format, base, &tree)?;
            }
            if cfg!(feature = "alloc") {
                round_trip(Format::Json, base, &tree)?;
            }
        }
        for format in TREES.into_iter().filter(|format| *format != Format::Tlv) {
            round_trip(format, Path::ROOT, &tree)?;
        }
    }

    // Proves: FMT-18
    #[test]
    fn lists_of_paths_survive(numbers in vec(vec(ids(), 0..5), 1..30)) {
        let wanted: Vec<Path> = numbers.iter().map(|numbers| Path::from_numbers(numbers).expect("a path")).collect();
        let mut unique = wanted.clone();
        unique.sort();
        unique.dedup();
        for format in Format::all().filter(|format| format.is_for(Use::CompositePaths, Version::LATEST)) {
            let mut buffer = vec![0; 2048];
            let len = paths::encode(format, wanted.iter().copied(), &mut buffer).expect("fits");
            let list = paths::decode(format, &buffer[..len]);
            prop_assert_eq!(list.check().is_ok(), unique.len() == wanted.len());
            prop_assert_eq!(list.collect::<Result<Vec<_>, _>>(), Ok(wanted.clone()));
        }
    }

    #[test]
    fn single_values_survive_the_formats_of_single_values(value in values()) {
        for base in [&[3, 0, 9][..], &[3, 0, 7, 1]] {
            let base = Path::from_numbers(base).expect("a path");
            let tree = BTreeMap::from([(base, value.clone())]);
            round_trip(Format::Text, base, &tree)?;
            round_trip(Format::Cbor, base, &tree)?;
            if matches!(value, Owned::Bytes(_)) {
                round_trip(Format::Opaque, base, &tree)?;
            }
        }
    }

    #[test]
    fn times_survive_senml(value in values(), time in floats()) {
        let base = Path::from_numbers(&[3303, 0, 5700]).expect("a path");
        let json = cfg!(feature = "alloc").then_some(Format::Json);
        for format in [Format::SenmlJson, Format::SenmlCbor].into_iter().chain(json) {
            let mut buffer = vec![0; 4096];
            let mut encoder = Encoder::new(format, Path::ROOT, &mut buffer);
            encoder.timed(base, &value.value(), time).expect("fits");
            let len = encoder.finish().expect("fits");
            let entry = format::decode(format, Path::ROOT, &buffer[..len]).next().expect("an entry").expect("legal");
            prop_assert_eq!(entry.time, Some(time));
        }
    }

    // Proves: FMT-27
    #[test]
    fn no_bytes_do_harm(bytes in vec(any::<u8>(), 0..200), numbers in vec(0..10_u16, 0..5)) {
        let base = Path::from_numbers(&numbers).expect("a path");
        for format in Format::all() {
            survive(format, base, &bytes);
        }
    }

    #[test]
    fn no_damage_to_a_legal_payload_does_harm(tree in trees(), at in any::<prop::sample::Index>(), byte in any::<u8>()) {
        let base = Path::from_numbers(&[3303]).expect("a path");
        let json = cfg!(feature = "alloc").then_some(Format::Json);
        for format in TREES.into_iter().chain(json) {
            let mut buffer = vec![0; 64 * 1024];
            let mut encoder = Encoder::new(format, base, &mut buffer);
            for (path, value) in &tree {
                encoder.entry(*path, &value.value()).expect("fits");
            }
            let len = encoder.finish().expect("fits");
            buffer.truncate(len);
            if len > 0 {
                buffer[at.index(len)] = byte;
            }
            survive(format, base, &buffer);
            survive(format, base, &buffer[..at.index(len + 1).min(len)]);
        }
    }

    #[test]
    fn no_text_does_harm_to_attributes_and_paths(text in any::<String>()) {
        if let Ok(change) = AttributeChange::parse(text.split('&')) {
            let mut parts = Vec::new();
            change.queries(|part| parts.push(part.to_string()));
            prop_assert_eq!(AttributeChange::parse(parts.iter().map(String::as_str)), Ok(change));
        }
        if let Ok(path) = text.parse::<Path>() {
            let printed = path.to_string();
            prop_assert_eq!(printed.trim_start_matches('/'), text.trim_start_matches('/'));
        }
    }
}

/// Decodes, types every value in every way, and looks at nothing outside the base.
fn survive(format: Format, base: Path, payload: &[u8]) {
    let entries: Result<Vec<_>, FormatError> = format::decode(format, base, payload).collect();
    let _ = format::check(&format::decode(format, base, payload));
    let _ = format::chosen_instance(format, base, payload);
    let _ = paths::decode(format, payload).check();
    for entry in entries.unwrap_or_default() {
        assert!(base.contains(entry.path));
        assert!(entry.time.is_none_or(f64::is_finite));
        for data_type in [
            DataType::String,
            DataType::Integer,
            DataType::Unsigned,
            DataType::Float,
            DataType::Boolean,
            DataType::Opaque,
            DataType::Time,
            DataType::ObjectLink,
            DataType::Corelnk,
        ] {
            let mut scratch = vec![0; entry.value.scratch_len(data_type)];
            let decoded = entry.value.decode(data_type, &mut scratch);
            assert!(decoded.is_err() || decoded.map(|value| value.data_type()) == Ok(data_type));
        }
    }
}
