//! A Read of `/3/0` of the reference device: 16 values, 121 bytes in TLV, 196 bytes in SenML CBOR.
//!
//! Ours is compared with `minicbor` driven by hand and with `ciborium` through its value tree, on the same 196 bytes. Decoding
//! ends in typed values in all cases.
#![allow(missing_docs, reason = "criterion's macros")]

use criterion::{Criterion, criterion_group, criterion_main};
use lightship_lwm2m::{
    DataType, Format, Path, Value,
    format::{self, Encoder},
    object, path,
};
use std::hint::black_box;

/// The values in tree order.
const DEVICE: [(Path, Value<'static>); 16] = [
    (path!(3 / 0 / 0), Value::String("Open Mobile Alliance")),
    (path!(3 / 0 / 1), Value::String("Lightweight M2M Client")),
    (path!(3 / 0 / 2), Value::String("345000123")),
    (path!(3 / 0 / 3), Value::String("1.0")),
    (path!(3 / 0 / 6 / 0), Value::Integer(1)),
    (path!(3 / 0 / 6 / 1), Value::Integer(5)),
    (path!(3 / 0 / 7 / 0), Value::Integer(3800)),
    (path!(3 / 0 / 7 / 1), Value::Integer(5000)),
    (path!(3 / 0 / 8 / 0), Value::Integer(125)),
    (path!(3 / 0 / 8 / 1), Value::Integer(900)),
    (path!(3 / 0 / 9), Value::Integer(100)),
    (path!(3 / 0 / 10), Value::Integer(15)),
    (path!(3 / 0 / 11 / 0), Value::Integer(0)),
    (path!(3 / 0 / 13), Value::Time(1_367_491_215)),
    (path!(3 / 0 / 14), Value::String("+02:00")),
    (path!(3 / 0 / 16), Value::String("U")),
];

fn encode(format: Format, buffer: &mut [u8]) -> usize {
    let mut encoder = Encoder::new(format, path!(3 / 0), buffer);
    for (path, value) in &DEVICE {
        encoder.entry(*path, value).expect("fits");
    }
    encoder.finish().expect("fits")
}

/// The type of each resource, as a device knows it of itself.
fn data_type(path: Path) -> DataType {
    match path.numbers().nth(2) {
        Some(0..=3 | 14 | 16) => DataType::String,
        Some(13) => DataType::Time,
        _ => DataType::Integer,
    }
}

fn weigh(value: &Value<'_>) -> usize {
    match value {
        Value::String(text) => text.len(),
        Value::Integer(number) | Value::Time(number) => usize::try_from(*number).unwrap_or_default(),
        Value::Unsigned(_) | Value::Float(_) | Value::Boolean(_) | Value::Opaque(_) => 0,
        Value::ObjectLink(_) | Value::Corelnk(_) => 0,
    }
}

fn decode(format: Format, payload: &[u8]) -> usize {
    let mut sum = 0;
    for entry in format::decode(format, path!(3 / 0), payload) {
        let entry = entry.expect("legal");
        sum += weigh(&entry.value.decode(data_type(entry.path), &mut []).expect("typed"));
    }
    sum
}

fn decode_by_registry(format: Format, payload: &[u8]) -> usize {
    let mut sum = 0;
    for entry in format::decode(format, path!(3 / 0), payload) {
        let entry = entry.expect("legal");
        let (object, resource) = entry.path.object_id().zip(entry.path.resource_id()).expect("a resource");
        let data_type =
            object::resource(object, None, resource).and_then(|row| row.data_type).expect("known");
        sum += weigh(&entry.value.decode(data_type, &mut []).expect("typed"));
    }
    sum
}

/// The same document with minicbor, by hand: names are known texts, no paths are made.
fn minicbor_encode(buffer: &mut [u8]) -> usize {
    const NAMES: [&str; 16] =
        ["0", "1", "2", "3", "6/0", "6/1", "7/0", "7/1", "8/0", "8/1", "9", "10", "11/0", "13", "14", "16"];
    let mut cursor = minicbor::encode::write::Cursor::new(buffer);
    let mut encoder = minicbor::Encoder::new(&mut cursor);
    encoder.array(16).expect("fits");
    for (index, (name, (_, value))) in NAMES.iter().zip(&DEVICE).enumerate() {
        if index == 0 {
            encoder.map(3).expect("fits").i8(-2).expect("fits").str("/3/0/").expect("fits");
        } else {
            encoder.map(2).expect("fits");
        }
        encoder.u8(0).expect("fits").str(name).expect("fits");
        if let Value::String(text) = value {
            encoder.u8(3).expect("fits").str(text).expect("fits");
        } else {
            encoder.u8(2).expect("fits").u64(u64::try_from(weigh(value)).expect("short")).expect("fits");
        }
    }
    cursor.position()
}

/// Names are read as they are, without making paths of them.
fn minicbor_decode(payload: &[u8]) -> usize {
    let mut decoder = minicbor::Decoder::new(payload);
    let mut sum = 0;
    for _ in 0..decoder.array().expect("an array").expect("definite") {
        for _ in 0..decoder.map().expect("a map").expect("definite") {
            match decoder.i8().expect("a label") {
                -2 | 0 => drop(black_box(decoder.str().expect("a name").len())),
                3 => sum += decoder.str().expect("a text").len(),
                _ => sum += usize::try_from(decoder.i64().expect("a number")).unwrap_or_default(),
            }
        }
    }
    sum
}

fn ciborium_decode(payload: &[u8]) -> usize {
    let tree: ciborium::Value = ciborium::from_reader(payload).expect("legal");
    let mut sum = 0;
    for record in tree.as_array().expect("an array") {
        for (key, value) in record.as_map().expect("a map") {
            let label: i128 = key.as_integer().expect("a label").into();
            match label {
                3 => sum += value.as_text().expect("a text").len(),
                2 => {
                    let number: i128 = value.as_integer().expect("a number").into();
                    sum += usize::try_from(number).unwrap_or_default();
                }
                _ => {}
            }
        }
    }
    sum
}

fn formats(criterion: &mut Criterion) {
    let mut buffer = [0; 512];
    for (format, len) in [
        (Format::Tlv, 121),
        (Format::SenmlCbor, 196),
        (Format::Lwm2mCbor, 118),
        (Format::SenmlJson, 384),
        (Format::Json, 390),
    ] {
        let written = encode(format, &mut buffer);
        assert_eq!(written, len);
        let payload = buffer[..written].to_vec();
        assert_eq!(decode(format, &payload), decode_by_registry(format, &payload));
        criterion.bench_function(&format!("encode /3/0 {format}"), |bencher| {
            bencher.iter(|| encode(black_box(format), black_box(&mut buffer)));
        });
        criterion.bench_function(&format!("decode /3/0 {format}"), |bencher| {
            bencher.iter(|| decode(black_box(format), black_box(&payload)));
        });
        criterion.bench_function(&format!("decode /3/0 {format}, types from the registry"), |bencher| {
            bencher.iter(|| decode_by_registry(black_box(format), black_box(&payload)));
        });
    }
    let written = encode(Format::SenmlCbor, &mut buffer);
    let payload = buffer[..written].to_vec();
    let mut other = [0; 256];
    let others = minicbor_encode(&mut other);
    assert_eq!(other[..others], payload, "the same bytes");
    assert_eq!(minicbor_decode(&payload), decode(Format::SenmlCbor, &payload));
    assert_eq!(ciborium_decode(&payload), decode(Format::SenmlCbor, &payload));
    criterion.bench_function("encode /3/0 senml-cbor, minicbor by hand", |bencher| {
        bencher.iter(|| minicbor_encode(black_box(&mut other)));
    });
    criterion.bench_function("decode /3/0 senml-cbor, minicbor by hand", |bencher| {
        bencher.iter(|| minicbor_decode(black_box(&payload)));
    });
    criterion.bench_function("decode /3/0 senml-cbor, ciborium", |bencher| {
        bencher.iter(|| ciborium_decode(black_box(&payload)));
    });
    let tree: ciborium::Value = ciborium::from_reader(&payload[..]).expect("legal");
    let mut grown = Vec::with_capacity(256);
    criterion.bench_function("encode /3/0 senml-cbor, ciborium", |bencher| {
        bencher.iter(|| {
            grown.clear();
            ciborium::into_writer(black_box(&tree), &mut grown).expect("fits");
            grown.len()
        });
    });
}

criterion_group!(benches, formats);
criterion_main!(benches);
