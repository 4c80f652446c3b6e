//! A composite answer of 100 resources, 25 temperature sensors with four each, in every format that can say it.
//!
//! Beside it the same SenML JSON through the value tree of `serde_json`, the same CBOR through that of `ciborium` and through
//! `minicbor` driven by hand. Ours ends in paths and typed values, theirs in trees or, by hand, in the numbers themselves.
#![allow(missing_docs, reason = "criterion's macros")]

use criterion::{Criterion, criterion_group, criterion_main};
use lightship_lwm2m::{
    DataType, Format, Path, Value,
    format::{self, Encoder},
    path,
};
use std::{hint::black_box, time::Duration};

const SENSORS: u16 = 25;

/// The resources in tree order.
fn document() -> Vec<(Path, Value<'static>)> {
    let sensor = |instance: u16| {
        let at = |resource| Path::from_numbers(&[3303, instance, resource]).expect("a path");
        let degrees = f64::from(instance);
        [
            (at(5601), Value::Float(degrees + 0.5)),
            (at(5602), Value::Float(degrees + 20.25)),
            (at(5700), Value::Float(degrees + 10.1)),
            (at(5701), Value::String("Cel")),
        ]
    };
    (0..SENSORS).flat_map(sensor).collect()
}

fn encode(format: Format, document: &[(Path, Value<'_>)], buffer: &mut [u8]) -> usize {
    let base = if format == Format::Tlv { path!(3303) } else { Path::ROOT };
    let mut encoder = Encoder::new(format, base, buffer);
    for (path, value) in document {
        encoder.entry(*path, value).expect("fits");
    }
    encoder.finish().expect("fits")
}

fn decode(format: Format, payload: &[u8]) -> f64 {
    let base = if format == Format::Tlv { path!(3303) } else { Path::ROOT };
    let mut sum = 0.0;
    for entry in format::decode(format, base, payload) {
        let entry = entry.expect("legal");
        let text = entry.path.last() == Some(5701);
        let data_type = if text { DataType::String } else { DataType::Float };
        sum += entry.value.decode(data_type, &mut []).expect("typed").as_f64().unwrap_or_default();
    }
    sum
}

/// The same LwM2M CBOR with minicbor, by hand: no paths are made.
fn minicbor_decode(payload: &[u8]) -> f64 {
    let mut decoder = minicbor::Decoder::new(payload);
    let mut sum = 0.0;
    for _ in 0..decoder.map().expect("a map").expect("definite") {
        black_box(decoder.u16().expect("an object"));
        for _ in 0..decoder.map().expect("a map").expect("definite") {
            black_box(decoder.u16().expect("an instance"));
            for _ in 0..decoder.map().expect("a map").expect("definite") {
                match decoder.u16().expect("a resource") {
                    5701 => drop(black_box(decoder.str().expect("a text"))),
                    // Halves are not read without a feature of minicbor.
                    _ if decoder.datatype().expect("a value") == minicbor::data::Type::F16 => {
                        decoder.skip().expect("a half");
                    }
                    _ => sum += decoder.f64().expect("a number"),
                }
            }
        }
    }
    sum
}

fn composites(criterion: &mut Criterion) {
    let document = document();
    let mut buffer = vec![0; 16 * 1024];
    let formats = [
        (Format::Lwm2mCbor, 832),
        (Format::SenmlCbor, 1542),
        (Format::SenmlJson, 2681),
        (Format::Json, 3041),
        (Format::Tlv, 875),
    ];
    let expected: f64 = document.iter().filter_map(|(_, value)| value.as_f64()).sum();
    for (format, bytes) in formats {
        let len = encode(format, &document, &mut buffer);
        assert_eq!(len, bytes, "{format}");
        let payload = buffer[..len].to_vec();
        assert!((decode(format, &payload) - expected).abs() < 1e-9, "{format}");
        criterion.bench_function(&format!("encode 100 resources {format}"), |bencher| {
            bencher.iter(|| encode(black_box(format), black_box(&document), black_box(&mut buffer)));
        });
        criterion.bench_function(&format!("decode 100 resources {format}"), |bencher| {
            bencher.iter(|| decode(black_box(format), black_box(&payload)));
        });
    }
    others(criterion, &document, &mut buffer);
}

fn others(criterion: &mut Criterion, document: &[(Path, Value<'_>)], buffer: &mut [u8]) {
    let len = encode(Format::SenmlJson, document, buffer);
    let json = buffer[..len].to_vec();
    let tree: serde_json::Value = serde_json::from_slice(&json).expect("legal");
    criterion.bench_function("decode 100 resources senml-json, serde_json", |bencher| {
        bencher.iter(|| serde_json::from_slice::<serde_json::Value>(black_box(&json)).expect("legal"));
    });
    criterion.bench_function("encode 100 resources senml-json, serde_json", |bencher| {
        bencher.iter(|| serde_json::to_vec(black_box(&tree)).expect("fits"));
    });
    for format in [Format::Lwm2mCbor, Format::SenmlCbor] {
        let len = encode(format, document, buffer);
        let cbor = buffer[..len].to_vec();
        let tree: ciborium::Value = ciborium::from_reader(&cbor[..]).expect("legal");
        criterion.bench_function(&format!("decode 100 resources {format}, ciborium"), |bencher| {
            bencher
                .iter(|| ciborium::from_reader::<ciborium::Value, _>(black_box(&cbor[..])).expect("legal"));
        });
        let mut grown = Vec::with_capacity(len);
        criterion.bench_function(&format!("encode 100 resources {format}, ciborium"), |bencher| {
            bencher.iter(|| {
                grown.clear();
                ciborium::into_writer(black_box(&tree), &mut grown).expect("fits");
                grown.len()
            });
        });
    }
    let len = encode(Format::Lwm2mCbor, document, buffer);
    let cbor = buffer[..len].to_vec();
    criterion.bench_function("decode 100 resources lwm2m-cbor, minicbor by hand", |bencher| {
        bencher.iter(|| minicbor_decode(black_box(&cbor)));
    });
}

fn short() -> Criterion {
    Criterion::default()
        .warm_up_time(Duration::from_millis(300))
        .measurement_time(Duration::from_secs(1))
        .sample_size(20)
}

criterion_group! { name = benches; config = short(); targets = composites }
criterion_main!(benches);
