//! Every entry of the collected TLV, SenML and LwM2M CBOR vectors: what is legal decodes to what it says, what is not is refused, and what we
//! would write ourselves comes out byte for byte.

use lightship_lwm2m::{
    DataType, Format, ObjectLink, Path, Value,
    format::{self, Encoder, Entry, FormatError, RawValue},
};
use serde_json::Value as Json;

fn vectors(text: &str) -> Vec<Json> {
    let file: Json = serde_json::from_str(text).expect("a vector file");
    file["vectors"].as_array().expect("a list of vectors").clone()
}

fn unhex(hex: &str) -> Vec<u8> {
    assert!(hex.len().is_multiple_of(2), "{hex}");
    (0..hex.len()).step_by(2).map(|at| u8::from_str_radix(&hex[at..at + 2], 16).expect("hex")).collect()
}

/// What a TLV vector says, flat: paths relative to the level of the payload, `None` for an empty container.
fn flatten(children: &[Json], parent: &[u16], found: &mut Vec<(Vec<u16>, Option<Vec<u8>>)>) {
    for child in children {
        let mut path = parent.to_vec();
        path.push(child["id"].as_u64().and_then(|id| id.try_into().ok()).expect("an ID"));
        match child["children"].as_array() {
            Some(children) if children.is_empty() => found.push((path, None)),
            Some(children) => flatten(children, &path, found),
            None => found.push((path, Some(unhex(child["value"].as_str().expect("a value"))))),
        }
    }
}

/// Bytes of an undetermined type: as Opaque, which TLV leaves as they are.
fn bytes(value: &RawValue<'_>) -> Vec<u8> {
    match value.decode(DataType::Opaque, &mut []) {
        Ok(Value::Opaque(bytes)) => bytes.to_vec(),
        other => panic!("{other:?}"),
    }
}

fn base_of(level: &str, decoded: &[Json]) -> Vec<u16> {
    let id =
        |index: usize| decoded[index]["id"].as_u64().and_then(|id| u16::try_from(id).ok()).expect("an ID");
    match level {
        "object" => vec![66],
        "object instance" => vec![66, 0],
        "resource" => vec![66, 0, id(0)],
        "resource instance" => vec![66, 0, 5, id(0)],
        other => panic!("level {other}"),
    }
}

// Proves: FMT-07
#[test]
fn every_legal_tlv_vector_decodes_and_is_written_again() {
    let mut checked = 0;
    for vector in vectors(include_str!("vectors/tlv.json")).iter().filter(|vector| vector["valid"] == true) {
        let name = vector["name"].as_str().expect("a name");
        let payload = unhex(vector["hex"].as_str().expect("hex"));
        let decoded = vector["decoded"].as_array().expect("a tree");
        let base = base_of(vector["level"].as_str().expect("a level"), decoded);
        let parent = match base.len() {
            1 | 2 => base.clone(),
            _ => base[..base.len() - 1].to_vec(),
        };
        let base = Path::from_numbers(&base).expect("a path");
        let mut expected = Vec::new();
        flatten(decoded, &parent, &mut expected);

        let entries: Vec<Entry<'_>> = format::decode(Format::Tlv, base, &payload)
            .collect::<Result<_, _>>()
            .unwrap_or_else(|error| panic!("{name}: {error}"));
        let found: Vec<_> = entries
            .iter()
            .map(|entry| {
                (
                    entry.path.numbers().collect::<Vec<_>>(),
                    (!entry.value.is_container()).then(|| bytes(&entry.value)),
                )
            })
            .collect();
        assert_eq!(found, expected, "{name}");

        // One vector has an instance twice, which we read but never write.
        let twice = expected.windows(2).any(|pair| pair[0].0 >= pair[1].0);
        assert_eq!(twice, name == "empty instances and empty arrays", "{name}");
        if vector["minimal_encoding"] == true && !twice {
            let mut buffer = vec![0; payload.len() + 6];
            let mut encoder = Encoder::new(Format::Tlv, base, &mut buffer);
            for (path, value) in &expected {
                let path = Path::from_numbers(path).expect("a path");
                match value {
                    Some(bytes) => encoder.entry(path, &Value::Opaque(bytes)).expect(name),
                    None => encoder.empty(path).expect(name),
                }
            }
            let len = encoder.finish().expect(name);
            assert_eq!(buffer[..len], payload, "{name}");
        }
        checked += 1;
    }
    assert_eq!(checked, 44);
}

// Proves: FMT-08, FMT-10
#[test]
fn tlv_values_have_the_bytes_that_their_vectors_name() {
    let mut checked = 0;
    for vector in vectors(include_str!("vectors/tlv.json")) {
        let name = vector["name"].as_str().expect("a name");
        let Some((value, data_type)) = named_value(name) else { continue };
        let payload = unhex(vector["hex"].as_str().expect("hex"));
        let id = vector["decoded"][0]["id"].as_u64().and_then(|id| u16::try_from(id).ok()).expect("an ID");
        let base = Path::from_numbers(&[66, 0, id]).expect("a path");
        let entry = format::decode(Format::Tlv, base, &payload).next().expect("an entry").expect(name);
        assert_eq!(entry.value.decode(data_type, &mut []), Ok(value), "{name}");
        let mut buffer = [0; 16];
        let mut encoder = Encoder::new(Format::Tlv, base, &mut buffer);
        encoder.entry(base, &value).expect(name);
        let len = encoder.finish().expect(name);
        // Unsigned integers keep their top bit clear for readers that take them for signed: one width more than the shortest.
        let widened = name.starts_with("unsigned integer 4294967295 ");
        if widened {
            assert_eq!(buffer[..len], unhex("c8010800000000ffffffff"), "{name}");
        } else {
            assert_eq!(buffer[..len], payload, "{name}");
        }
        checked += 1;
    }
    assert_eq!(checked, 29);
}

/// The value that the name of a vector spells out, such as `integer -52543054` or `object link 1:65535`.
fn named_value(name: &str) -> Option<(Value<'static>, DataType)> {
    let word = |text: &str| text.split([' ', ',']).next().unwrap_or_default().to_owned();
    if let Some(rest) = name.strip_prefix("unsigned integer ") {
        return Some((Value::Unsigned(word(rest).parse().ok()?), DataType::Unsigned));
    }
    if let Some(rest) = name.strip_prefix("integer ") {
        let (width, digits) = match rest.split_once(' ') {
            Some((width, digits)) if width.starts_with('i') => (width, word(digits)),
            _ => ("", word(rest)),
        };
        let number = match (width, digits.as_str()) {
            ("i32", "max") => i32::MAX.into(),
            ("i64", "max") => i64::MAX,
            _ => digits.parse().ok()?,
        };
        return Some((Value::Integer(number), DataType::Integer));
    }
    if let Some(rest) = name.strip_prefix("float64 ").or(name.strip_prefix("float ")) {
        return Some((Value::Float(word(rest).parse().ok()?), DataType::Float));
    }
    if let Some(rest) = name.strip_prefix("object link ") {
        return Some((Value::ObjectLink(word(rest).parse().ok()?), DataType::ObjectLink));
    }
    (name == "bool true").then_some((Value::Boolean(true), DataType::Boolean))
}

#[test]
fn a_tlv_of_100000_bytes_has_the_header_of_its_vector() {
    let vectors = vectors(include_str!("vectors/tlv.json"));
    let vector = vectors.iter().find(|vector| vector["hex_prefix"].is_string()).expect("the vector");
    let id = vector["id"].as_u64().and_then(|id| u16::try_from(id).ok()).expect("an ID");
    let base = Path::from_numbers(&[66, 0, id]).expect("a path");
    let value = vec![7; 100_000];
    let mut buffer = vec![0; 100_010];
    let mut encoder = Encoder::new(Format::Tlv, base, &mut buffer);
    encoder.entry(base, &Value::Opaque(&value)).expect("fits");
    let len = encoder.finish().expect("fits");
    let prefix = unhex(vector["hex_prefix"].as_str().expect("hex"));
    assert_eq!(buffer[..prefix.len()], prefix);
    assert_eq!(len, prefix.len() + 100_000);
}

// Proves: FMT-08
#[test]
fn tlv_integers_of_every_width_are_read() {
    let base = Path::from_numbers(&[3, 0, 1]).expect("a path");
    for (hex, signed, unsigned) in [
        ("c101ff", -1, 255),
        ("c201ffff", -1, 65_535),
        ("c2010005", 5, 5),
        ("c40100000005", 5, 5),
        ("c401ffffffff", -1, 4_294_967_295),
        ("c801080000000000000005", 5, 5),
        ("c80108ffffffffffffffff", -1, u64::MAX),
    ] {
        let payload = unhex(hex);
        let entry = format::decode(Format::Tlv, base, &payload).next().expect("an entry").expect(hex);
        assert_eq!(entry.value.decode(DataType::Integer, &mut []), Ok(Value::Integer(signed)), "{hex}");
        assert_eq!(entry.value.decode(DataType::Unsigned, &mut []), Ok(Value::Unsigned(unsigned)), "{hex}");
    }
}

// Proves: FMT-09
#[test]
fn tlv_levels_are_wrapped_as_their_base_demands() {
    let path = |numbers: &[u16]| Path::from_numbers(numbers).expect("a path");
    let written = |base: &[u16], entries: &[&[u16]]| {
        let mut buffer = [0; 64];
        let mut encoder = Encoder::new(Format::Tlv, path(base), &mut buffer);
        for entry in entries {
            encoder.entry(path(entry), &Value::Integer(5)).expect("fits");
        }
        let len = encoder.finish().expect("fits");
        buffer[..len].to_vec()
    };
    assert_eq!(written(&[3], &[&[3, 0, 1]]), unhex("0300c10105"));
    assert_eq!(written(&[3], &[&[3, 0, 6, 0], &[3, 1, 9]]), unhex("050083064100050301c10905"));
    assert_eq!(written(&[3, 0], &[&[3, 0, 1]]), unhex("c10105"));
    assert_eq!(written(&[3, 0, 6], &[&[3, 0, 6, 0]]), unhex("8306410005"));
    assert_eq!(written(&[3, 0, 6, 0], &[&[3, 0, 6, 0]]), unhex("410005"));
    let mut buffer = [0; 8];
    let mut encoder = Encoder::new(Format::Tlv, path(&[3, 0, 6]), &mut buffer);
    encoder.empty(path(&[3, 0, 6])).expect("fits");
    assert_eq!(encoder.finish(), Ok(2));
    assert_eq!(buffer[..2], [0x80, 6]);

    let read = |base: &[u16], hex: &str| {
        let payload = unhex(hex);
        let entries: Result<Vec<_>, FormatError> =
            format::decode(Format::Tlv, path(base), &payload).collect();
        entries
            .map(|entries| entries.iter().map(|entry| entry.path.to_string()).collect::<Vec<_>>().join(" "))
    };
    assert_eq!(
        read(&[3, 0], "0300c10105").as_deref(),
        Ok("/3/0/1"),
        "a wrapper with the same ID is tolerated"
    );
    assert_eq!(read(&[3, 0], "0301c10105"), Err(FormatError::OutsideBase));
    assert_eq!(read(&[3], "c10105").as_deref(), Ok("/3/0/1"), "a single-instance object without its wrapper");
    assert_eq!(read(&[3, 0, 6], "c10105"), Err(FormatError::OutsideBase));
    assert_eq!(
        format::chosen_instance(Format::Tlv, path(&[3303]), &unhex("0307c10105")).map(|id| id.map(u16::from)),
        Ok(Some(7))
    );
    assert_eq!(format::chosen_instance(Format::Tlv, path(&[3303]), &unhex("c10105")), Ok(None));
}

// Proves: FMT-06
#[test]
fn numbers_from_before_registration_are_read_and_never_written() {
    for (number, format) in [
        (1541, Format::Text),
        (1542, Format::Tlv),
        (1543, Format::Json),
        (1544, Format::Opaque),
        (11542, Format::Tlv),
    ] {
        assert_eq!(Format::from_number(number), Some(format));
    }
    let written: Vec<u16> = Format::all().map(Format::number).collect();
    assert_eq!(written, [0, 42, 60, 110, 112, 320, 322, 11542, 11543, 11544]);
    assert_eq!(Format::from_number(65000), None);
}

#[test]
fn every_illegal_tlv_vector_is_refused() {
    let mut checked = 0;
    for vector in vectors(include_str!("vectors/tlv.json")).iter().filter(|vector| vector["valid"] == false) {
        let name = vector["name"].as_str().expect("a name");
        let payload = unhex(vector["hex"].as_str().expect("hex"));
        if vector["parser_error"].is_null() {
            let data_type = match name.split(' ').next() {
                Some("integer") => DataType::Integer,
                Some("boolean") => DataType::Boolean,
                Some("object") => DataType::ObjectLink,
                Some("float") => DataType::Float,
                other => panic!("{other:?}"),
            };
            let base = Path::from_numbers(&[66, 0, 1]).expect("a path");
            let entry = format::decode(Format::Tlv, base, &payload).next().expect("an entry").expect(name);
            assert!(entry.value.decode(data_type, &mut []).is_err(), "{name}");
        } else {
            for base in [&[1][..], &[1, 0], &[1, 0, 0], &[1, 0, 1]] {
                let base = Path::from_numbers(base).expect("a path");
                let result: Result<Vec<_>, FormatError> =
                    format::decode(Format::Tlv, base, &payload).collect();
                assert!(result.is_err(), "{name} at {base}: {result:?}");
            }
        }
        checked += 1;
    }
    assert_eq!(checked, 9);
}

/// The record of a SenML vector as the value we expect.
fn check_senml_value(name: &str, record: &Json, raw: &RawValue<'_>) {
    let mut scratch = [0; 256];
    let text = |key: &str| record[key].as_str().map(str::to_owned);
    let expected_text = text("vs").or(text("vlo")).or(text("vd"));
    if record["vs"].is_string() {
        let Ok(Value::String(found)) = raw.decode(DataType::String, &mut scratch) else {
            panic!("{name}: {raw:?}")
        };
        assert_eq!(Some(found), expected_text.as_deref(), "{name}");
    } else if let Some(flag) = record["vb"].as_bool() {
        assert_eq!(raw.decode(DataType::Boolean, &mut scratch), Ok(Value::Boolean(flag)), "{name}");
    } else if record["vlo"].is_string() {
        let link: ObjectLink = expected_text.expect("a text").parse().expect("a link");
        assert_eq!(raw.decode(DataType::ObjectLink, &mut scratch), Ok(Value::ObjectLink(link)), "{name}");
    } else if record["vd"].is_string() {
        let Ok(Value::Opaque(found)) = raw.decode(DataType::Opaque, &mut scratch) else {
            panic!("{name}: {raw:?}")
        };
        let expected = expected_text.expect("a text");
        // The CBOR vectors write bytes as hex, the JSON vectors leave them in Base64.
        let hex: String = found.iter().map(|byte| format!("{byte:02x}")).collect();
        let known = [("q83v", "abcdef"), ("-_8", "fbff")];
        let expected = known
            .iter()
            .find(|(base64, _)| *base64 == expected)
            .map_or(expected, |(_, hex)| (*hex).to_owned());
        assert_eq!(hex, expected, "{name}");
    } else if let Some(number) = record["v"].as_i64() {
        assert_eq!(raw.decode(DataType::Integer, &mut scratch), Ok(Value::Integer(number)), "{name}");
    } else if let Some(number) =
        record["v"].as_f64().or_else(|| record["v"].as_str().and_then(|text| text.parse().ok()))
    {
        assert_eq!(raw.decode(DataType::Float, &mut scratch), Ok(Value::Float(number)), "{name}");
    } else {
        assert!(raw.is_nothing(), "{name}");
    }
}

// Proves: FMT-14, FMT-15, FMT-17
#[test]
fn every_senml_vector_decodes_to_its_records_or_is_refused() {
    let mut checked = 0;
    for vector in vectors(include_str!("vectors/senml.json")) {
        let name = vector["name"].as_str().expect("a name");
        let (format, payload) = match vector["format"].as_str() {
            Some("cbor") => (Format::SenmlCbor, unhex(vector["hex"].as_str().expect("hex"))),
            Some("json") => (Format::SenmlJson, vector["text"].as_str().expect("text").as_bytes().to_vec()),
            other => panic!("{other:?}"),
        };
        let result: Result<Vec<Entry<'_>>, FormatError> =
            format::decode(format, Path::ROOT, &payload).collect();
        if vector["valid"] == false {
            let no_value = name == "invalid: no value in a write";
            match result {
                Err(_) => assert!(!no_value, "{name}"),
                // Legal as the request of a Read-Composite; a Write sees that there is no value.
                Ok(entries) => {
                    assert!(no_value && entries.iter().all(|entry| entry.value.is_nothing()), "{name}")
                }
            }
        } else {
            let entries = result.unwrap_or_else(|error| panic!("{name}: {error}"));
            let records = vector["resolved"].as_array().expect("records");
            assert_eq!(entries.len(), records.len(), "{name}");
            for (entry, record) in entries.iter().zip(records) {
                assert_eq!(Some(entry.path.to_string().as_str()), record["path"].as_str(), "{name}");
                assert_eq!(entry.time, record["time"].as_f64(), "{name}");
                check_senml_value(name, record, &entry.value);
            }
        }
        checked += 1;
    }
    assert_eq!(checked, 19);
}

/// `/3/0` of the reference device, as every published example has it.
fn reference_device() -> Vec<(Path, Value<'static>)> {
    let resource = |numbers: &[u16]| {
        let mut path = vec![3, 0];
        path.extend(numbers);
        Path::from_numbers(&path).expect("a path")
    };
    vec![
        (resource(&[0]), Value::String("Open Mobile Alliance")),
        (resource(&[1]), Value::String("Lightweight M2M Client")),
        (resource(&[2]), Value::String("345000123")),
        (resource(&[3]), Value::String("1.0")),
        (resource(&[6, 0]), Value::Integer(1)),
        (resource(&[6, 1]), Value::Integer(5)),
        (resource(&[7, 0]), Value::Integer(3800)),
        (resource(&[7, 1]), Value::Integer(5000)),
        (resource(&[8, 0]), Value::Integer(125)),
        (resource(&[8, 1]), Value::Integer(900)),
        (resource(&[9]), Value::Integer(100)),
        (resource(&[10]), Value::Integer(15)),
        (resource(&[11, 0]), Value::Integer(0)),
        (resource(&[13]), Value::Time(1_367_491_215)),
        (resource(&[14]), Value::String("+02:00")),
        (resource(&[16]), Value::String("U")),
    ]
}

#[test]
fn the_reference_device_is_written_byte_for_byte() {
    let base = Path::from_numbers(&[3, 0]).expect("a path");
    let vector = |file: &str, start: &str, format: &str| {
        let vectors = vectors(file);
        let found = vectors.iter().find(|vector| {
            let fits = vector["name"].as_str().is_some_and(|name| name.starts_with(start));
            fits && (format.is_empty() || vector["format"] == format)
        });
        let found = found.expect("the vector");
        match found["text"].as_str() {
            Some(text) => text.as_bytes().to_vec(),
            None => unhex(found["hex"].as_str().expect("hex")),
        }
    };
    for (format, expected, len) in [
        (Format::Tlv, vector(include_str!("vectors/tlv.json"), "/3/0 device object", ""), 121),
        (Format::SenmlCbor, vector(include_str!("vectors/senml.json"), "/3/0 device", "cbor"), 196),
        (Format::SenmlJson, vector(include_str!("vectors/senml.json"), "/3/0 device", "json"), 384),
    ] {
        let mut buffer = [0; 512];
        let mut encoder = Encoder::new(format, base, &mut buffer);
        for (mut path, value) in reference_device() {
            // The published TLV has Supported Binding under the number of Timezone.
            if format == Format::Tlv && path.last() == Some(16) {
                path = base.child(15).expect("a path");
            }
            encoder.entry(path, &value).expect("fits");
        }
        let written = encoder.finish().expect("fits");
        assert_eq!(buffer[..written], expected, "{format}: {}", String::from_utf8_lossy(&buffer[..written]));
        assert_eq!(written, len, "{format}");
    }
}
