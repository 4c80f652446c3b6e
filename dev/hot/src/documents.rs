//! The two documents of the format benchmark: the device of the standard's examples, and a hundred resources of sensors.

#![allow(clippy::wildcard_enum_match_arm, reason = "a document has few types of values")]

use lightship_lwm2m::format::{self, Encoder};
use lightship_lwm2m::{DataType, Format, Path, Value, path};

/// Values in tree order, and what the reader of them knows.
pub struct Document {
    /// What it is.
    pub name: &'static str,
    /// What a payload in it is about; TLV needs an object at least.
    pub base: Path,
    /// Where TLV begins.
    pub tlv_base: Path,
    /// Paths and values in tree order.
    pub values: Vec<(Path, Value<'static>)>,
    /// The type of each resource, as a device knows it of itself.
    pub data_type: fn(Path) -> DataType,
}

impl Document {
    /// `/3/0` of the reference device: 16 values.
    #[must_use]
    pub fn device() -> Self {
        let data_type = |path: Path| match path.numbers().nth(2) {
            Some(0..=3 | 14 | 16) => DataType::String,
            Some(13) => DataType::Time,
            _ => DataType::Integer,
        };
        let values = vec![
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
        Self { name: "`/3/0`, 16 values", base: path!(3 / 0), tlv_base: path!(3 / 0), values, data_type }
    }

    /// 25 temperature sensors with four resources each, as a composite answer: 75 floats and 25 texts.
    #[must_use]
    pub fn sensors() -> Self {
        let data_type =
            |path: Path| if path.last() == Some(5701) { DataType::String } else { DataType::Float };
        let sensor = |instance: u16| {
            let at = move |resource| Path::from_numbers(&[3303, instance, resource]);
            let degrees = f64::from(instance);
            let values = [
                (at(5601), Value::Float(degrees + 0.5)),
                (at(5602), Value::Float(degrees + 20.25)),
                (at(5700), Value::Float(degrees + 10.1)),
                (at(5701), Value::String("Cel")),
            ];
            values.into_iter().filter_map(|(path, value)| Some((path?, value)))
        };
        let values = (0..25).flat_map(sensor).collect();
        Self { name: "100 resources", base: Path::ROOT, tlv_base: path!(3303), values, data_type }
    }

    /// One measured temperature.
    #[must_use]
    pub fn temperature() -> Self {
        Self::one(path!(3303 / 0 / 5700), Value::Float(21.5), |_| DataType::Float)
    }

    /// One value, for the formats that hold one.
    #[must_use]
    pub fn one(path: Path, value: Value<'static>, data_type: fn(Path) -> DataType) -> Self {
        Self { name: "one value", base: path, tlv_base: path, values: vec![(path, value)], data_type }
    }

    fn base(&self, format: Format) -> Path {
        if format == Format::Tlv { self.tlv_base } else { self.base }
    }

    /// Writes the document and gives its length; 0 when it does not fit.
    #[must_use]
    pub fn encode(&self, format: Format, buffer: &mut [u8]) -> usize {
        let mut encoder = Encoder::new(format, self.base(format), buffer);
        for (path, value) in &self.values {
            // Errors stick.
            let _ = encoder.entry(*path, value);
        }
        encoder.finish().unwrap_or(0)
    }

    /// Reads paths and typed values and gives the weight of all of them; `None` when it is not well-formed.
    #[must_use]
    pub fn decode(&self, format: Format, payload: &[u8]) -> Option<f64> {
        let mut sum = 0.0;
        for entry in format::decode(format, self.base(format), payload) {
            let entry = entry.ok()?;
            let mut scratch = [0; 32];
            sum += weigh(&entry.value.decode((self.data_type)(entry.path), &mut scratch).ok()?);
        }
        Some(sum)
    }

    /// The weight of the document itself.
    #[must_use]
    pub fn weight(&self) -> f64 {
        self.values.iter().map(|(_, value)| weigh(value)).sum()
    }
}

/// Something of each value, so that none is left out: the length of texts, numbers themselves.
fn weigh(value: &Value<'_>) -> f64 {
    match value {
        Value::String(text) | Value::Corelnk(text) => u32::try_from(text.len()).map_or(f64::NAN, f64::from),
        Value::Opaque(bytes) => u32::try_from(bytes.len()).map_or(f64::NAN, f64::from),
        other => other.as_f64().unwrap_or_default(),
    }
}
