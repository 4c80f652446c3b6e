//! Bytes, and nanoseconds to encode and to decode, of two documents in every content format, beside other libraries on the
//! same bytes in the same run. Prints the tables of `BENCHMARKS.md`.
//!
//! `cargo run --release -p lightship-bench --bin formats`

#![allow(
    clippy::print_stdout,
    clippy::disallowed_methods,
    clippy::wildcard_enum_match_arm,
    clippy::expect_used,
    clippy::indexing_slicing,
    reason = "a program that measures and prints"
)]

use core::hint::black_box;
use std::time::{Duration, Instant};

use lightship_bench::documents::Document;
use lightship_bench::others;
use lightship_lwm2m::{DataType, Format, Value, path};

/// How long one batch takes at least, and of how many batches the middle one counts.
const BATCH: Duration = Duration::from_millis(5);
const BATCHES: usize = 41;

/// The formats of trees. SenML-ETCH has the bytes of SenML.
const TREES: [Format; 5] =
    [Format::Lwm2mCbor, Format::Tlv, Format::SenmlCbor, Format::SenmlJson, Format::Json];

fn main() {
    for document in [Document::device(), Document::sensors()] {
        println!("\n{}:\n\n| what | bytes | encode, ns | decode, ns |\n|---|---|---|---|", document.name);
        for format in TREES {
            ours(&document, format);
            beside(&document, format);
        }
    }
    println!("\nThe formats of one value:\n\n| what | bytes | encode, ns | decode, ns |\n|---|---|---|---|");
    let integer = |_| DataType::Integer;
    let level = || Document::one(path!(3 / 0 / 9), Value::Integer(100), integer);
    ours(&level(), Format::Text);
    ours(&level(), Format::Cbor);
    ours(&Document::one(path!(5 / 0 / 0), Value::Opaque(&[7; 100]), |_| DataType::Opaque), Format::Opaque);
}

/// The nanoseconds that one call takes: of many batches the middle one, so that neither luck nor a neighbour counts.
fn ns(mut work: impl FnMut()) -> f64 {
    let mut batch = |count: u32| {
        let start = Instant::now();
        (0..count).for_each(|_| work());
        start.elapsed()
    };
    let mut count = 1;
    while batch(count) < BATCH {
        count *= 2;
    }
    let mut times: Vec<f64> =
        (0..BATCHES).map(|_| batch(count).as_secs_f64() * 1e9 / f64::from(count)).collect();
    times.sort_by(f64::total_cmp);
    times.get(BATCHES / 2).copied().unwrap_or(f64::NAN)
}

fn row(what: &str, bytes: usize, encode: Option<f64>, decode: f64) {
    let encode = encode.map_or("–".to_owned(), |ns| format!("{ns:.0}"));
    println!("| {what} | {bytes} | {encode} | {decode:.0} |");
}

fn ours(document: &Document, format: Format) {
    let mut buffer = [0; 16 * 1024];
    let len = document.encode(format, &mut buffer);
    let payload = buffer[..len].to_vec();
    let same = document.decode(format, &payload).map(|weight| (weight - document.weight()).abs() < 1e-6);
    assert_eq!(same, Some(true), "{format}: what is read is what was written");
    let encode = ns(|| {
        black_box(black_box(document).encode(format, black_box(&mut buffer)));
    });
    let decode = ns(|| {
        black_box(document.decode(format, black_box(&payload)));
    });
    row(&format!("**{}**", name(format)), len, Some(encode), decode);
}

fn name(format: Format) -> &'static str {
    match format {
        Format::Lwm2mCbor => "LwM2M CBOR",
        Format::Tlv => "TLV",
        Format::SenmlCbor => "SenML CBOR",
        Format::SenmlJson => "SenML JSON",
        Format::Json => "LwM2M JSON",
        Format::Cbor => "CBOR",
        other => other.as_str(),
    }
}

/// The same bytes by others.
fn beside(document: &Document, format: Format) {
    let mut buffer = [0; 16 * 1024];
    let len = document.encode(format, &mut buffer);
    let payload = &buffer[..len];
    match format {
        Format::SenmlJson | Format::Json => {
            let tree: serde_json::Value = serde_json::from_slice(payload).expect("legal");
            let mut out = Vec::with_capacity(2 * len);
            let encode = ns(|| {
                out.clear();
                serde_json::to_writer(&mut out, black_box(&tree)).expect("fits");
                black_box(&out);
            });
            let decode = ns(|| {
                black_box(serde_json::from_slice::<serde_json::Value>(black_box(payload)).expect("legal"));
            });
            row("the same by `serde_json`'s value tree", len, Some(encode), decode);
        }
        Format::SenmlCbor | Format::Lwm2mCbor => {
            let tree: ciborium::Value = ciborium::from_reader(payload).expect("legal");
            let mut out = Vec::with_capacity(2 * len);
            let encode = ns(|| {
                out.clear();
                ciborium::into_writer(black_box(&tree), &mut out).expect("fits");
                black_box(&out);
            });
            let decode = ns(|| {
                black_box(ciborium::from_reader::<ciborium::Value, _>(black_box(payload)).expect("legal"));
            });
            row("the same by `ciborium`'s value tree", len, Some(encode), decode);
            by_hand(document, format, payload);
        }
        _ => {}
    }
}

fn by_hand(document: &Document, format: Format, payload: &[u8]) {
    let read = if format == Format::SenmlCbor { others::senml_by_hand } else { others::lwm2m_cbor_by_hand };
    let weight = read(payload).expect("legal");
    assert!((weight - document.weight()).abs() < 1e-6, "{format}: what is read is what was written");
    let decode = ns(|| {
        black_box(read(black_box(payload)).expect("legal"));
    });
    let mut buffer = [0; 512];
    let len = others::write_device_by_hand(document, &mut buffer);
    // Written by hand only where that gives the same bytes.
    let same = format == Format::SenmlCbor && buffer[..len] == *payload;
    let encode = same.then(|| {
        ns(|| {
            black_box(others::write_device_by_hand(black_box(document), black_box(&mut buffer)));
        })
    });
    row("the same by `minicbor`, by hand", payload.len(), encode, decode);
}
