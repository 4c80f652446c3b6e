//! application/vnd.oma.lwm2m+json (11543), the JSON of LwM2M 1.0. Core TS 1.0, 6.4.4.
//!
//! One object: base name, base time and a list of elements. A device of 1.1 does not speak it any more, so it is for servers, and
//! there only with the feature `alloc`.

use super::{
    EncodeError, Entry, FormatError, RawValue, base64,
    json::{JsonText, Number, Reader},
    out::Out,
    senml::{Field, Names, Record},
    senml_json::encode_text,
};
use crate::{Path, Value, float::Scientific, path::PathText};
use core::fmt::Write;

#[derive(Clone, Debug)]
pub(super) struct Decoder<'a> {
    pub(super) names: Names<'a>,
    /// Names without a base name begin here.
    request: Path,
    payload: &'a [u8],
    list: Option<List<'a>>,
}

/// Where the list of elements is being read, and what the fields around it say.
#[derive(Clone, Debug)]
struct List<'a> {
    reader: Reader<'a>,
    first: bool,
    base_name: Option<JsonText<'a>>,
    base_time: Option<f64>,
}

impl<'a> Decoder<'a> {
    pub(super) fn new(request: Path, payload: &'a [u8]) -> Self {
        Self { names: Names::new(), request, payload, list: None }
    }

    pub(super) fn advance(&mut self) -> Option<Result<Entry<'a>, FormatError>> {
        self.step().transpose()
    }

    fn step(&mut self) -> Result<Option<Entry<'a>>, FormatError> {
        let mut list = match self.list.take() {
            Some(list) => list,
            None => open(self.payload)?,
        };
        if list.reader.eat(']') {
            // What follows was read already.
            return Ok(None);
        }
        if !list.first {
            list.reader.expect(',')?;
        }
        list.first = false;
        let entry = self.element(&mut list)?;
        self.list = Some(list);
        Ok(Some(entry))
    }

    fn element(&self, list: &mut List<'a>) -> Result<Entry<'a>, FormatError> {
        let reader = &mut list.reader;
        let mut record = Record::new();
        reader.expect('{')?;
        if !reader.eat('}') {
            loop {
                let key = reader.key()?;
                field(key, reader, &mut record)?;
                if !reader.eat(',') {
                    break;
                }
            }
            reader.expect('}')?;
        }
        let path = self.path(list.base_name, record.name.unwrap_or(JsonText::EMPTY))?;
        if record.value.is_nothing() {
            return Err(FormatError::Malformed);
        }
        record.entry(path, list.base_time)
    }

    /// Base name and name as one text; without a base name the name counts from the node that was asked for.
    fn path(&self, base_name: Option<JsonText<'a>>, name: JsonText<'a>) -> Result<Path, FormatError> {
        if let Some(base_name) = base_name {
            return self.names.resolve(base_name.bytes().chain(name.bytes()));
        }
        match name.bytes().next() {
            None => Ok(self.request),
            Some(b'/') => self.names.resolve(name.bytes()),
            Some(_) => {
                let request = PathText::whole(self.request, true);
                let request = if self.request.is_root() { &b"/"[..] } else { request.as_bytes() };
                Names::new().resolve(request.iter().copied().chain(name.bytes()))
            }
        }
    }
}

/// Reads the whole object once, since the base name may stand behind the list, and comes back to the list.
fn open(payload: &[u8]) -> Result<List<'_>, FormatError> {
    let text = core::str::from_utf8(payload).map_err(|_| FormatError::NotUtf8)?;
    let mut reader = Reader::new(text);
    let (mut base_name, mut base_time, mut elements) = (None, None, None);
    reader.expect('{')?;
    if !reader.eat('}') {
        loop {
            let key = reader.key()?;
            let twice = match key.borrowed().unwrap_or_default() {
                "bn" => base_name.replace(reader.text()?).is_some(),
                "bt" => base_time.replace(reader.number()?.as_f64()).is_some(),
                "e" => {
                    reader.expect('[')?;
                    let twice = elements.replace(reader.clone()).is_some();
                    while !reader.eat(']') {
                        reader.skip()?;
                        if !reader.eat(',') {
                            reader.expect(']')?;
                            break;
                        }
                    }
                    twice
                }
                _ => {
                    reader.skip()?;
                    false
                }
            };
            if twice {
                return Err(FormatError::Duplicate);
            }
            if !reader.eat(',') {
                break;
            }
        }
        reader.expect('}')?;
    }
    if !reader.at_end() {
        return Err(FormatError::TrailingBytes);
    }
    let reader = elements.ok_or(FormatError::Malformed)?;
    Ok(List { reader, first: true, base_name, base_time })
}

fn field<'a>(
    key: JsonText<'a>,
    reader: &mut Reader<'a>,
    record: &mut Record<'a, JsonText<'a>>,
) -> Result<(), FormatError> {
    match key.borrowed().unwrap_or_default() {
        "n" => {
            record.see(Field::Name)?;
            record.name = Some(reader.text()?);
        }
        "t" => {
            record.see(Field::Time)?;
            record.time = Some(reader.number()?.as_f64());
        }
        "v" => record.set_value(match reader.number()? {
            Number::Integer(number) => RawValue::integer(number),
            Number::Unsigned(number) => RawValue::unsigned(number),
            Number::Float(number) => RawValue::float(number),
        })?,
        "bv" => record.set_value(RawValue::boolean(reader.word()?.ok_or(FormatError::Malformed)?))?,
        "sv" => record.set_value(RawValue::json_text_or_base64(reader.text()?))?,
        "ov" => {
            let mut scratch = [0; 16];
            let link = reader.text()?.unescape(&mut scratch).and_then(|text| text.parse().ok());
            record.set_value(RawValue::object_link(link.ok_or(FormatError::Malformed)?))?;
        }
        _ => reader.skip()?,
    }
    Ok(())
}

#[derive(Debug)]
pub(super) struct Encoder<'b> {
    out: Out<'b>,
    base: Path,
    /// How many elements there are.
    elements: usize,
}

impl<'b> Encoder<'b> {
    pub(super) const fn new(base: Path, out: Out<'b>) -> Self {
        Self { out, base, elements: 0 }
    }

    pub(super) fn add(
        &mut self,
        path: Path,
        value: &Value<'_>,
        time: Option<f64>,
    ) -> Result<(), EncodeError> {
        let infinite = |value: &Value<'_>| matches!(value, Value::Float(number) if !number.is_finite());
        if infinite(value) || time.is_some_and(|time| !time.is_finite()) {
            return Err(EncodeError::NotExpressible);
        }
        self.write(path, value, time).map_err(|_| EncodeError::BufferTooSmall)?;
        self.out.check()
    }

    fn write(&mut self, path: Path, value: &Value<'_>, time: Option<f64>) -> core::fmt::Result {
        // A resource is its own base name; what lies below continues it behind a slash.
        if self.elements == 0 {
            self.open(path != self.base)?;
        }
        self.out.write_str(if self.elements == 0 { "{\"n\":\"" } else { ",{\"n\":\"" })?;
        self.elements = self.elements.saturating_add(1);
        self.out.extend(PathText::below(path, self.base.len()).as_bytes());
        self.out.write_str("\",")?;
        if let Some(time) = time {
            write!(self.out, "\"t\":{},", Scientific(time))?;
        }
        match value {
            Value::Integer(number) | Value::Time(number) => write!(self.out, "\"v\":{number}")?,
            Value::Unsigned(number) => write!(self.out, "\"v\":{number}")?,
            Value::Float(number) => write!(self.out, "\"v\":{}", Scientific(*number))?,
            Value::Boolean(flag) => write!(self.out, "\"bv\":{flag}")?,
            Value::String(text) | Value::Corelnk(text) => {
                self.out.write_str("\"sv\":")?;
                encode_text(&mut self.out, text)?;
            }
            Value::Opaque(bytes) => {
                self.out.write_str("\"sv\":\"")?;
                base64::encode_standard(&mut self.out, bytes);
                self.out.write_str("\"")?;
            }
            Value::ObjectLink(link) => write!(self.out, "\"ov\":\"{link}\"")?,
        }
        self.out.write_str("}")
    }

    fn open(&mut self, slash: bool) -> core::fmt::Result {
        self.out.write_str("{\"bn\":\"")?;
        self.out.extend(PathText::whole(self.base, slash && !self.base.is_root()).as_bytes());
        self.out.write_str("\",\"e\":[")
    }

    pub(super) fn finish(mut self) -> Result<usize, EncodeError> {
        if self.elements == 0 {
            self.open(true).map_err(|_| EncodeError::BufferTooSmall)?;
        }
        self.out.extend(b"]}");
        self.out.finish()
    }
}
