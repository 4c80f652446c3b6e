//! The same documents by other libraries: value trees of `serde_json` and `ciborium`, and `minicbor` driven by hand.

#![allow(clippy::wildcard_enum_match_arm, reason = "a document has few types of values")]

use crate::documents::Document;
use lightship_lwm2m::Value;
use minicbor::data::Type;
use minicbor::decode::{Decoder, Error};

/// The weight of SenML CBOR, read by hand: labels are known, names are read as they are, no paths are made.
///
/// # Errors
/// When it is not the document.
pub fn senml_by_hand(payload: &[u8]) -> Result<f64, Error> {
    let mut decoder = Decoder::new(payload);
    let mut sum = 0.0;
    for _ in 0..decoder.array()?.unwrap_or(0) {
        for _ in 0..decoder.map()?.unwrap_or(0) {
            match decoder.i8()? {
                -2 | 0 => drop(std::hint::black_box(decoder.str()?)),
                _ => sum += value(&mut decoder)?,
            }
        }
    }
    Ok(sum)
}

/// The weight of LwM2M CBOR, read by hand: keys are read and left.
///
/// # Errors
/// When it is not the document.
pub fn lwm2m_cbor_by_hand(payload: &[u8]) -> Result<f64, Error> {
    fn node(decoder: &mut Decoder<'_>) -> Result<f64, Error> {
        if decoder.datatype()? != Type::Map {
            return value(decoder);
        }
        let mut sum = 0.0;
        for _ in 0..decoder.map()?.unwrap_or(0) {
            if decoder.datatype()? == Type::Array {
                for _ in 0..decoder.array()?.unwrap_or(0) {
                    std::hint::black_box(decoder.u16()?);
                }
            } else {
                std::hint::black_box(decoder.u16()?);
            }
            sum += node(decoder)?;
        }
        Ok(sum)
    }
    node(&mut Decoder::new(payload))
}

fn value(decoder: &mut Decoder<'_>) -> Result<f64, Error> {
    match decoder.datatype()? {
        Type::String => Ok(u32::try_from(decoder.str()?.len()).map_or(f64::NAN, f64::from)),
        Type::F16 => decoder.f16().map(f64::from),
        Type::F32 => decoder.f32().map(f64::from),
        Type::F64 => decoder.f64(),
        _ => decoder.u32().map(f64::from),
    }
}

/// `/3/0` as SenML CBOR, written by hand: names are known texts, no paths are made. 0 when it does not fit.
#[must_use]
pub fn write_device_by_hand(device: &Document, buffer: &mut [u8]) -> usize {
    const NAMES: [&str; 16] =
        ["0", "1", "2", "3", "6/0", "6/1", "7/0", "7/1", "8/0", "8/1", "9", "10", "11/0", "13", "14", "16"];
    let mut cursor = minicbor::encode::write::Cursor::new(buffer);
    let mut encoder = minicbor::Encoder::new(&mut cursor);
    let mut write = || -> Option<()> {
        encoder.array(16).ok()?;
        for (index, (name, (_, value))) in NAMES.iter().zip(&device.values).enumerate() {
            if index == 0 {
                encoder.map(3).ok()?.i8(-2).ok()?.str("/3/0/").ok()?;
            } else {
                encoder.map(2).ok()?;
            }
            encoder.u8(0).ok()?.str(name).ok()?;
            match value {
                Value::String(text) => encoder.u8(3).ok()?.str(text).ok()?,
                Value::Integer(number) | Value::Time(number) => encoder.u8(2).ok()?.i64(*number).ok()?,
                _ => return None,
            };
        }
        Some(())
    };
    if write().is_some() { cursor.position() } else { 0 }
}
