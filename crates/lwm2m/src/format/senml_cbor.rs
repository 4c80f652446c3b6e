//! application/senml+cbor (112).

#![allow(clippy::wildcard_enum_match_arm, reason = "of the many CBOR types a place allows few")]

use super::{
    EncodeError, Entry, FormatError, RawValue, cbor,
    out::Out,
    senml::{BaseNames, BaseTimes, Content, Field, Name, Names, Record, VERSION_MAX},
};
use crate::{DataType, Path, Value, path::PathText};
use minicbor::{
    data::Type,
    decode::{Decoder as Reader, Error},
};

/// Labels of RFC 8428, section 6.
mod label {
    pub(super) const VERSION: i64 = -1;
    pub(super) const BASE_NAME: i64 = -2;
    pub(super) const BASE_TIME: i64 = -3;
    pub(super) const BASE_UNIT: i64 = -4;
    pub(super) const BASE_VALUE: i64 = -5;
    pub(super) const BASE_SUM: i64 = -6;
    pub(super) const NAME: i64 = 0;
    pub(super) const UNIT: i64 = 1;
    pub(super) const VALUE: i64 = 2;
    pub(super) const STRING: i64 = 3;
    pub(super) const BOOLEAN: i64 = 4;
    pub(super) const SUM: i64 = 5;
    pub(super) const TIME: i64 = 6;
    pub(super) const UPDATE_TIME: i64 = 7;
    pub(super) const DATA: i64 = 8;
    pub(super) const OBJECT_LINK: &str = "vlo";
}

#[derive(Clone, Debug)]
pub(super) struct Decoder<'a> {
    pub(super) names: Names<'a>,
    /// Take only the fields that choose something (RFC 8790 §3.1).
    pub(super) fetch: bool,
    reader: Reader<'a>,
    /// How many records are left; `None` inside = until a break. `None` outside = not started.
    left: Option<Option<u64>>,
    base_name: &'a str,
    base_time: Option<f64>,
}

impl<'a> Decoder<'a> {
    pub(super) fn new(payload: &'a [u8]) -> Self {
        Self {
            names: Names::new(),
            fetch: false,
            reader: Reader::new(payload),
            left: None,
            base_name: "",
            base_time: None,
        }
    }

    pub(super) fn advance(&mut self) -> Option<Result<Entry<'a>, FormatError>> {
        self.step().transpose()
    }

    fn step(&mut self) -> Result<Option<Entry<'a>>, FormatError> {
        let left = match self.left {
            Some(left) => left,
            None => self.reader.array().map_err(fault)?,
        };
        if !cbor::more(&mut self.reader, left)? {
            let trailing = self.reader.position() < self.reader.input().len();
            return if trailing { Err(FormatError::TrailingBytes) } else { Ok(None) };
        }
        self.left = Some(left.map(|left| left - 1));
        self.record().map(Some)
    }

    fn record(&mut self) -> Result<Entry<'a>, FormatError> {
        let mut record = Record::new();
        let mut left = self.reader.map().map_err(fault)?;
        while cbor::more(&mut self.reader, left)? {
            left = left.map(|left| left - 1);
            match self.reader.datatype().map_err(fault)? {
                Type::String => {
                    let key = self.reader.str().map_err(fault)?;
                    self.named_field(key, &mut record)?;
                }
                _ => {
                    let key = self.reader.i64().map_err(fault)?;
                    self.field(key, &mut record)?;
                }
            }
        }
        let path =
            self.names.resolve(self.base_name.bytes().chain(record.name.unwrap_or_default().bytes()))?;
        record.entry(path, self.base_time)
    }

    fn field(&mut self, key: i64, record: &mut Record<'a, &'a str>) -> Result<(), FormatError> {
        let chooses =
            [label::BASE_NAME, label::BASE_TIME, label::BASE_UNIT, label::NAME, label::UNIT, label::TIME];
        if self.fetch && !chooses.contains(&key) {
            return Err(FormatError::NotUnderstood);
        }
        let reader = &mut self.reader;
        match key {
            label::BASE_NAME => {
                record.see(Field::BaseName)?;
                self.base_name = reader.str().map_err(fault)?;
            }
            label::BASE_TIME => {
                record.see(Field::BaseTime)?;
                self.base_time = Some(seconds(reader)?);
            }
            label::VERSION => {
                record.see(Field::Version)?;
                if reader.i64().map_err(fault)? > VERSION_MAX {
                    return Err(FormatError::NotUnderstood);
                }
            }
            label::BASE_UNIT => {
                record.see(Field::BaseUnit)?;
                reader.str().map_err(fault)?;
            }
            label::NAME => {
                record.see(Field::Name)?;
                record.name = Some(reader.str().map_err(fault)?);
            }
            label::UNIT => {
                record.see(Field::Unit)?;
                reader.str().map_err(fault)?;
            }
            label::TIME => {
                record.see(Field::Time)?;
                record.time = Some(seconds(reader)?);
            }
            label::UPDATE_TIME => {
                record.see(Field::UpdateTime)?;
                seconds(reader)?;
            }
            label::VALUE if reader.datatype().map_err(fault)? == Type::Null => {
                reader.null().map_err(fault)?;
                record.set_value(RawValue::null())?;
            }
            label::VALUE => record.set_value(cbor::number(reader)?)?,
            label::STRING => record.set_value(RawValue::string(reader.str().map_err(fault)?))?,
            label::BOOLEAN => record.set_value(RawValue::boolean(reader.bool().map_err(fault)?))?,
            label::DATA => record.set_value(RawValue::opaque(reader.bytes().map_err(fault)?))?,
            // Sums and base values change what a value means, and LwM2M does not use them.
            label::SUM | label::BASE_SUM | label::BASE_VALUE => return Err(FormatError::NotUnderstood),
            _ => cbor::skip(reader)?,
        }
        Ok(())
    }

    fn named_field(&mut self, key: &str, record: &mut Record<'a, &'a str>) -> Result<(), FormatError> {
        if key == label::OBJECT_LINK && !self.fetch {
            let link = self.reader.str().map_err(fault)?.parse().map_err(|_| FormatError::Malformed)?;
            return record.set_value(RawValue::object_link(link));
        }
        if self.fetch || key.ends_with('_') {
            Err(FormatError::NotUnderstood)
        } else {
            cbor::skip(&mut self.reader)
        }
    }
}

#[allow(clippy::needless_pass_by_value, reason = "the shape of map_err")]
fn fault(error: Error) -> FormatError {
    cbor::fault(&error)
}

/// A finite number of seconds.
fn seconds(reader: &mut Reader<'_>) -> Result<f64, FormatError> {
    match cbor::number(reader)?.decode(DataType::Float, &mut []) {
        Ok(Value::Float(seconds)) if seconds.is_finite() => Ok(seconds),
        _ => Err(FormatError::Malformed),
    }
}

/// The room for the head of the array of records, whose number is known only at the end.
const ARRAY_HEAD_LEN_MAX: usize = 5;

#[derive(Debug)]
pub(super) struct Encoder<'b> {
    out: Out<'b>,
    pub(super) names: BaseNames<'b>,
    times: BaseTimes,
    records: u32,
}

impl<'b> Encoder<'b> {
    pub(super) fn new(base: Path, mut out: Out<'b>) -> Self {
        out.reserve(ARRAY_HEAD_LEN_MAX);
        Self { out, names: BaseNames::new(base), times: BaseTimes::new(), records: 0 }
    }

    pub(super) fn add(
        &mut self,
        path: Path,
        content: Content<'_>,
        time: Option<f64>,
    ) -> Result<(), EncodeError> {
        if time.is_some_and(|time| !time.is_finite()) {
            return Err(EncodeError::NotExpressible);
        }
        self.records = self.records.checked_add(1).ok_or(EncodeError::BufferTooSmall)?;
        let written = self.names.next(path, content);
        let name = written.name.text(path);
        let (base_time, time) = self.times.next(time);
        let fields = [
            written.base.is_some(),
            name.is_some(),
            !matches!(content, Content::Nothing),
            base_time.is_some(),
            time.is_some(),
        ];
        let count: u64 = fields.into_iter().map(u64::from).sum();
        let out = &mut self.out;
        cbor::head(out, cbor::MAP, count);
        if let Some((base, slash)) = written.base {
            cbor::integer(out, label::BASE_NAME);
            whole(out, &self.names, base, &PathText::whole(base, slash));
        }
        if let Some(seconds) = base_time {
            cbor::integer(out, label::BASE_TIME);
            encode_seconds(out, seconds);
        }
        if let Some(name) = name {
            cbor::integer(out, label::NAME);
            if written.name == Name::Whole {
                whole(out, &self.names, path, &name);
            } else {
                cbor::text_bytes(out, name.as_bytes());
            }
        }
        match content {
            Content::Nothing => {}
            Content::Null => {
                cbor::integer(out, label::VALUE);
                out.push(cbor::NULL);
            }
            Content::Value(value) => encode_value(out, value),
        }
        if let Some(seconds) = time {
            cbor::integer(out, label::TIME);
            encode_seconds(out, seconds);
        }
        out.check()
    }

    pub(super) fn finish(mut self) -> Result<usize, EncodeError> {
        let (head, len) = cbor::head_bytes(cbor::ARRAY, self.records.into());
        self.out.check()?;
        self.out.fill(0, ARRAY_HEAD_LEN_MAX, head.get(..len).unwrap_or_default());
        self.out.finish()
    }
}

/// A path from its root on, behind the alternate path.
fn whole(out: &mut Out<'_>, names: &BaseNames<'_>, path: Path, text: &PathText) {
    let behind = names.behind(path, text);
    if names.alternate_path.is_empty() {
        return cbor::text_bytes(out, behind);
    }
    let len = names.alternate_path.len().saturating_add(behind.len()).saturating_add(1);
    cbor::head(out, cbor::TEXT, u64::try_from(len).unwrap_or(u64::MAX));
    out.push(b'/');
    out.extend(names.alternate_path.as_bytes());
    out.extend(behind);
}

/// Writes the label that the value has, and the value.
fn encode_value(out: &mut Out<'_>, value: &Value<'_>) {
    match value {
        Value::ObjectLink(_) => cbor::text(out, label::OBJECT_LINK),
        Value::String(_) | Value::Corelnk(_) => cbor::integer(out, label::STRING),
        Value::Boolean(_) => cbor::integer(out, label::BOOLEAN),
        Value::Opaque(_) => cbor::integer(out, label::DATA),
        Value::Integer(_) | Value::Unsigned(_) | Value::Float(_) | Value::Time(_) => {
            cbor::integer(out, label::VALUE);
        }
    }
    cbor::encode_value(out, value);
}

/// Whole seconds as an integer, which is shorter and exact.
#[allow(clippy::as_conversions, clippy::cast_possible_truncation, reason = "checked for exactness")]
fn encode_seconds(out: &mut Out<'_>, seconds: f64) {
    let whole = seconds as i64;
    if whole as f64 == seconds {
        cbor::integer(out, whole);
    } else {
        cbor::float(out, seconds);
    }
}
