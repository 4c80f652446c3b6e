//! LwM2M CBOR (11544): every collected vector, what we write, and the bad inputs of chapter L.

use lightship_lwm2m::{
    DataType, Format, ObjectLink, Path, Value,
    format::{self, Decoder, EncodeError, Encoder, Entry, FormatError},
    path,
};
use serde_json::Value as Json;

fn unhex(hex: &str) -> Vec<u8> {
    assert!(hex.len().is_multiple_of(2), "{hex}");
    (0..hex.len()).step_by(2).map(|at| u8::from_str_radix(&hex[at..at + 2], 16).expect("hex")).collect()
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn decode(payload: &[u8]) -> Result<Vec<Entry<'_>>, FormatError> {
    let decoder = format::decode(Format::Lwm2mCbor, Path::ROOT, payload);
    format::check(&decoder)?;
    decoder.collect()
}

fn written(entries: &[(Path, Value<'_>)]) -> Vec<u8> {
    let mut buffer = [0; 512];
    let mut encoder = Encoder::new(Format::Lwm2mCbor, Path::ROOT, &mut buffer);
    for (path, value) in entries {
        encoder.entry(*path, value).expect("fits");
    }
    let len = encoder.finish().expect("fits");
    buffer[..len].to_vec()
}

/// The value of a vector; links and bytes stand in them as texts.
fn value<'j>(json: &'j Json, path: &str, bytes: &'j mut Vec<u8>) -> Value<'j> {
    match json {
        Json::Bool(flag) => Value::Boolean(*flag),
        Json::Number(number) => match number.as_i64() {
            Some(number) => Value::Integer(number),
            None => Value::Float(number.as_f64().expect("a number")),
        },
        Json::String(text) if path == "/64/0/0" => Value::ObjectLink(text.parse().expect("a link")),
        Json::String(text) if path == "/64/0/1" => {
            *bytes = unhex(text);
            Value::Opaque(bytes)
        }
        Json::String(text) => Value::String(text),
        other @ (Json::Null | Json::Array(_) | Json::Object(_)) => panic!("{other}"),
    }
}

/// Reads one vector that is legal, and writes it again.
fn check_legal(name: &str, vector: &Json, payload: &[u8]) {
    let mut decoder = format::decode(Format::Lwm2mCbor, Path::ROOT, payload);
    let values = vector["values"].as_array().expect("values");
    if name.contains("gateway") {
        assert_eq!(decoder.next(), Some(Err(FormatError::Prefixed)), "{name}");
        return;
    }
    let open = name == "Create, client assigns the id";
    if open {
        assert_eq!(decoder.clone().next(), Some(Err(FormatError::BadPath)), "{name}");
        assert_eq!(format::chosen_instance(Format::Lwm2mCbor, path!(2), payload), Ok(None));
        decoder = decoder.with_assigned_instance(path!(2 / 7).instance_id().expect("an ID"));
    }
    let entries: Vec<Entry<'_>> =
        decoder.collect::<Result<_, _>>().unwrap_or_else(|error| panic!("{name}: {error}"));
    assert_eq!(entries.len(), values.len(), "{name}");
    let mut buffer = vec![0; payload.len() + 32];
    let mut encoder = Encoder::new(Format::Lwm2mCbor, Path::ROOT, &mut buffer);
    if open {
        encoder.leave_instance_open();
    }
    for (entry, pair) in entries.iter().zip(values) {
        let text = pair[0].as_str().expect("a path");
        assert_eq!(entry.path.to_string(), text.replace("65535", "7"), "{name}");
        if pair[1].is_object() {
            assert!(entry.value.is_container(), "{name}");
            let refused = format::check(&format::decode(Format::Lwm2mCbor, Path::ROOT, payload));
            assert_eq!(refused, Err(FormatError::Malformed), "nobody may write such");
            return;
        }
        let mut bytes = Vec::new();
        let expected = value(&pair[1], text, &mut bytes);
        assert_eq!(entry.value.decode(expected.data_type(), &mut []), Ok(expected), "{name} {text}");
        encoder.entry(entry.path, &expected).expect("fits");
    }
    let len = encoder.finish().expect("fits");
    assert!(len <= payload.len(), "{name}: {} is longer than {}", hex(&buffer[..len]), hex(payload));
    // The maps of some vectors are nested or joined otherwise, to the same effect.
    let otherwise = [
        "/3/0/0 nested",
        "Create /2/5",
        "Create, client assigns the id",
        "objlnk, opaque, time, bool, float",
    ]
    .contains(&name);
    if vector["indefinite_maps"] == false && !otherwise {
        assert_eq!(hex(&buffer[..len]), hex(payload), "{name}");
    }
}

// Proves: FMT-22, FMT-23, FMT-24
#[test]
fn every_vector_is_read_and_written_again_or_refused() {
    let file: Json = serde_json::from_str(include_str!("vectors/lwm2m_cbor.json")).expect("a vector file");
    let vectors = file["vectors"].as_array().expect("a list of vectors");
    for vector in vectors {
        let name = vector["name"].as_str().expect("a name");
        let payload = unhex(vector["hex"].as_str().expect("hex"));
        if vector["valid"] == false {
            assert!(decode(&payload).is_err(), "{name}");
        } else {
            check_legal(name, vector, &payload);
        }
    }
    assert_eq!(vectors.len(), 25);
}

// Core TS digest, 7.6: the examples.
// Proves: FMT-22, FMT-23
#[test]
fn the_examples_have_the_published_bytes() {
    let battery = (path!(3 / 0 / 9), Value::Integer(100));
    let lifetime = (path!(1 / 0 / 1), Value::Integer(86400));
    let sources = [(path!(3 / 0 / 6 / 0), Value::Integer(1)), (path!(3 / 0 / 6 / 1), Value::Integer(5))];
    assert_eq!(hex(&written(&sources)), "a183030006a200010105");
    assert_eq!(hex(&written(&sources[1..])), "a1840300060105");
    assert_eq!(hex(&written(&[battery, lifetime])), "a28303000918648301000 11a00015180".replace(' ', ""));
    let link = Value::ObjectLink(ObjectLink { object: 21, instance: 0 });
    assert_eq!(hex(&written(&[(path!(0 / 0 / 17), link)])), "a1830000116432313a30");
    for payload in [
        "a183030009 1864",
        "a103a100a1091864",
        "a19f030009ff1864",
        "bf830300091864ff",
        "bf03bf00bf091864ffffff",
        "a1820300a1091864",
        "a103a18200091864",
        "a18103a19f00ffa1091864",
    ] {
        let payload = unhex(&payload.replace(' ', ""));
        let entries = decode(&payload).expect("legal");
        let found: Vec<_> = entries
            .iter()
            .map(|entry| (entry.path, entry.value.decode(DataType::Integer, &mut [])))
            .collect();
        assert_eq!(found, [(path!(3 / 0 / 9), Ok(Value::Integer(100)))], "{}", hex(&payload));
    }
}

// Proves: FMT-25, FMT-27
#[test]
fn chapter_l() {
    let deep = "a101".repeat(200);
    for (number, bytes) in [
        (258, "80"),
        (259, "a12001"),
        (260, "a1616101"),
        (261, "a11a00010000a10001"),
        (262, "bf"),
        (263, "a103a100a10e81"),
        (264, "a182030005"),
        (265, "a18401020304a10001"),
        (266, "a103a100a10ef6"),
        (267, "a203a100a10e616103a100a10e6162"),
        (268, &deep),
        (0, ""),
        (0, "ff"),
        (0, "a1"),
        (0, "a180183c"),
        (0, "a19fff183c"),
        (0, "a103a0"),
        (0, "a103bfff"),
        (0, "a10305"),
        (0, "a182036130a0"),
        (0, "bbffffffffffffffff03"),
        (0, "a19bffffffffffffffff03"),
        (0, "a1830300ff01"),
        (0, "a183030009f7"),
        (0, "a183030009820102"),
        (0, "a1830319ffff01"),
        (0, "a18319ffff000001"),
        (0, "bf8303000918"),
        (0, "a000"),
    ] {
        let payload = unhex(bytes);
        assert!(decode(&payload).is_err(), "{number}: {bytes}");
    }
    assert_eq!(decode(&unhex("a0")), Ok(vec![]), "nothing said");
    let outside = unhex("a1830400091864");
    let found = format::decode(Format::Lwm2mCbor, path!(3 / 0), &outside).next();
    assert_eq!(found, Some(Err(FormatError::OutsideBase)));
}

// Proves: FMT-24
#[test]
fn values_of_every_kind_are_read() {
    for (value, data_type, expected) in [
        ("6161", DataType::String, Value::String("a")),
        ("1864", DataType::Integer, Value::Integer(100)),
        ("3863", DataType::Integer, Value::Integer(-100)),
        ("1bffffffffffffffff", DataType::Unsigned, Value::Unsigned(u64::MAX)),
        ("f94da0", DataType::Float, Value::Float(22.5)),
        ("fa41b40000", DataType::Float, Value::Float(22.5)),
        ("fb4036800000000000", DataType::Float, Value::Float(22.5)),
        ("16", DataType::Float, Value::Float(22.0)),
        ("f5", DataType::Boolean, Value::Boolean(true)),
        ("43010203", DataType::Opaque, Value::Opaque(&[1, 2, 3])),
        ("1a5182428f", DataType::Time, Value::Time(1_367_491_215)),
        ("c11a5182428f", DataType::Time, Value::Time(1_367_491_215)),
        ("c074323031332d30352d30325431303a34303a31355a", DataType::Time, Value::Time(1_367_491_215)),
        ("643a363a30", DataType::String, Value::String(":6:0")),
        ("6436363a30", DataType::ObjectLink, Value::ObjectLink(ObjectLink { object: 66, instance: 0 })),
    ] {
        let payload = unhex(&format!("a183030001{value}"));
        let entries = decode(&payload).expect(value);
        assert_eq!(entries[0].value.decode(data_type, &mut []), Ok(expected), "{value}");
        assert_eq!(entries.len(), 1);
    }
}

/// The path of an object's single value is written when the next object begins.
#[test]
fn single_values_of_several_objects_keep_their_paths() {
    let entries = [
        (path!(1 / 0 / 1), Value::Integer(300)),
        (path!(2 / 0 / 2 / 7), Value::Integer(1)),
        (path!(3311 / 0 / 5850), Value::Boolean(false)),
    ];
    let bytes = written(&entries);
    assert_eq!(hex(&bytes), "a38301000119012c84020002070183190cef001916daf4");
}

// The marks of BENCHMARKS.md: a device must not need more.
// Proves: FMT-23
#[test]
fn the_reference_device_takes_118_bytes_at_every_base() {
    let file: Json = serde_json::from_str(include_str!("vectors/lwm2m_cbor.json")).expect("a vector file");
    let vectors = file["vectors"].as_array().expect("a list of vectors");
    let vector = vectors.iter().find(|vector| vector["name"] == "/3/0").expect("the vector");
    let payload = unhex(vector["hex"].as_str().expect("hex"));
    assert_eq!(payload.len(), 118);
    for base in [Path::ROOT, path!(3), path!(3 / 0)] {
        let mut buffer = [0; 160];
        let mut encoder = Encoder::new(Format::Lwm2mCbor, base, &mut buffer);
        for pair in vector["values"].as_array().expect("values") {
            let text = pair[0].as_str().expect("a path");
            let mut bytes = Vec::new();
            let value = value(&pair[1], text, &mut bytes);
            encoder.entry(text.parse().expect("a path"), &value).expect("fits");
        }
        assert_eq!(encoder.finish(), Ok(118), "{base}");
        assert_eq!(buffer[..118], payload, "{base}");
    }
}

#[test]
fn disorder_never_gives_one_key_twice() {
    let one = Value::Integer(1);
    let paths = [
        path!(3 / 0 / 9),
        path!(3 / 1 / 9),
        path!(1 / 0 / 1),
        path!(3 / 1 / 10),
        path!(3 / 0 / 7 / 1),
        path!(4 / 0 / 1),
        path!(3 / 0 / 10),
        path!(4 / 0 / 2),
    ];
    let payload = written(&paths.map(|path| (path, one)));
    let mut found: Vec<Path> = decode(&payload).expect("legal").iter().map(|entry| entry.path).collect();
    found.sort();
    let mut expected = paths.to_vec();
    expected.sort();
    assert_eq!(found, expected);
    // The same through a reader that does not know LwM2M: no map has a key twice.
    let tree: Vec<String> = keys(&payload);
    let mut unique = tree.clone();
    unique.sort();
    unique.dedup();
    assert_eq!(unique.len(), tree.len(), "{tree:?}");

    let mut buffer = [0; 64];
    let mut encoder = Encoder::new(Format::Lwm2mCbor, Path::ROOT, &mut buffer);
    encoder.entry(path!(3 / 0 / 6), &one).expect("fits");
    assert_eq!(encoder.entry(path!(3 / 0 / 6 / 0), &one), Err(EncodeError::NotInOrder), "both at once");
    let mut encoder = Encoder::new(Format::Lwm2mCbor, Path::ROOT, &mut buffer);
    encoder.entry(path!(3 / 0 / 6), &one).expect("fits");
    assert_eq!(encoder.entry(path!(3 / 0 / 6), &one), Err(EncodeError::NotInOrder), "twice");
    let mut encoder = Encoder::new(Format::Lwm2mCbor, Path::ROOT, &mut buffer);
    assert_eq!(encoder.timed(path!(3 / 0 / 6), &one, 1.0), Err(EncodeError::NotExpressible));
    let mut encoder = Encoder::new(Format::Lwm2mCbor, Path::ROOT, &mut buffer);
    assert_eq!(encoder.name(path!(3 / 0 / 6)), Err(EncodeError::NotExpressible));
}

/// The keys of the outermost map, as bytes.
fn keys(payload: &[u8]) -> Vec<String> {
    let mut reader = minicbor::Decoder::new(payload);
    let count = reader.map().expect("a map").expect("definite");
    let keys = (0..count).map(|_| {
        let start = reader.position();
        reader.skip().expect("a key");
        let key = hex(&payload[start..reader.position()]);
        reader.skip().expect("a value");
        key
    });
    keys.collect()
}

#[test]
fn an_alternate_path_in_front_is_removed() {
    let payload = unhex("a184656c776d326d0300091864");
    let decoder = Decoder::new(Format::Lwm2mCbor, path!(3 / 0), &payload);
    assert_eq!(decoder.clone().next(), Some(Err(FormatError::Prefixed)));
    let entry = decoder.with_alternate_path("/lwm2m").next().expect("an entry").expect("legal");
    assert_eq!(entry.path, path!(3 / 0 / 9));
    let elsewhere = unhex("a18403656c776d326d00091864");
    let decoder = Decoder::new(Format::Lwm2mCbor, path!(3 / 0), &elsewhere).with_alternate_path("lwm2m");
    assert_eq!(decoder.clone().next(), Some(Err(FormatError::BadPath)), "only in front");
}

// Proves: FMT-23
#[test]
fn a_create_chooses_the_instance_or_leaves_it_to_the_device() {
    let chosen = |bytes: &str| format::chosen_instance(Format::Lwm2mCbor, path!(3303), &unhex(bytes));
    assert_eq!(chosen("a1820c05a119164401"), Err(FormatError::OutsideBase));
    assert_eq!(chosen("a182190ce705a119164401"), Ok(path!(3303 / 5).instance_id()));
    assert_eq!(chosen("a1190ce7a119ffffa119164401"), Ok(None));
    assert_eq!(chosen("a182190ce719ffffa119164401"), Ok(None));
    assert_eq!(chosen(""), Ok(None));
    assert_eq!(chosen("a1821905e719ffffa119164401"), Err(FormatError::OutsideBase));
    assert!(chosen("a119ffff01").is_err() && chosen("80").is_err());

    let mut buffer = [0; 64];
    let mut encoder = Encoder::new(Format::Lwm2mCbor, path!(3303), &mut buffer);
    encoder.leave_instance_open();
    encoder.entry(path!(3303 / 0 / 5700), &Value::Float(21.5)).expect("fits");
    encoder.entry(path!(3303 / 0 / 5701), &Value::String("C")).expect("fits");
    let len = encoder.finish().expect("fits");
    assert_eq!(hex(&buffer[..len]), "a182190ce719ffffa2191644f94d601916456143");
}
