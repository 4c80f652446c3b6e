//! application/senml+json (110).

use super::{
    EncodeError, Entry, FormatError, RawValue, base64,
    json::{JsonText, Number, Reader},
    out::Out,
    senml::{BaseNames, BaseTimes, Content, Field, Name, Names, Record, VERSION_MAX},
};
use crate::{Path, Value, path::PathText};
use core::fmt::Write;

#[derive(Clone, Debug)]
pub(super) struct Decoder<'a> {
    pub(super) names: Names<'a>,
    /// Take only the fields that choose something (RFC 8790 §3.1).
    pub(super) fetch: bool,
    payload: &'a [u8],
    place: Place<'a>,
    base_name: JsonText<'a>,
    base_time: Option<f64>,
}

#[derive(Clone, Debug)]
enum Place<'a> {
    Start,
    /// Behind a record; the flag tells whether it was the opening bracket instead.
    Between(Reader<'a>, bool),
}

impl<'a> Decoder<'a> {
    pub(super) fn new(payload: &'a [u8]) -> Self {
        Self {
            names: Names::new(),
            fetch: false,
            payload,
            place: Place::Start,
            base_name: JsonText::EMPTY,
            base_time: None,
        }
    }

    pub(super) fn advance(&mut self) -> Option<Result<Entry<'a>, FormatError>> {
        self.step().transpose()
    }

    fn step(&mut self) -> Result<Option<Entry<'a>>, FormatError> {
        let (mut reader, first) = match &self.place {
            Place::Start => {
                let text = core::str::from_utf8(self.payload).map_err(|_| FormatError::NotUtf8)?;
                let mut reader = Reader::new(text);
                reader.expect('[')?;
                (reader, true)
            }
            Place::Between(reader, first) => (reader.clone(), *first),
        };
        if reader.eat(']') {
            return if reader.at_end() { Ok(None) } else { Err(FormatError::TrailingBytes) };
        }
        if !first {
            reader.expect(',')?;
        }
        let entry = self.record(&mut reader)?;
        self.place = Place::Between(reader, false);
        Ok(Some(entry))
    }

    fn record(&mut self, reader: &mut Reader<'a>) -> Result<Entry<'a>, FormatError> {
        let mut record = Record::new();
        reader.expect('{')?;
        if !reader.eat('}') {
            loop {
                let key = reader.key()?;
                self.field(key, reader, &mut record)?;
                if !reader.eat(',') {
                    break;
                }
            }
            reader.expect('}')?;
        }
        let name = record.name.unwrap_or(JsonText::EMPTY);
        let path = self.names.resolve(self.base_name.bytes().chain(name.bytes()))?;
        record.entry(path, self.base_time)
    }

    fn field(
        &mut self,
        key: JsonText<'a>,
        reader: &mut Reader<'a>,
        record: &mut Record<'a, JsonText<'a>>,
    ) -> Result<(), FormatError> {
        let key_text = key.borrowed().unwrap_or_default();
        if self.fetch && !matches!(key_text, "bn" | "bt" | "bu" | "n" | "t" | "u") {
            return Err(FormatError::NotUnderstood);
        }
        match key_text {
            "bn" => {
                record.see(Field::BaseName)?;
                self.base_name = reader.text()?;
            }
            "bt" => {
                record.see(Field::BaseTime)?;
                self.base_time = Some(reader.number()?.as_f64());
            }
            "bver" => {
                record.see(Field::Version)?;
                match reader.number()? {
                    Number::Integer(..=VERSION_MAX) => {}
                    Number::Integer(_) | Number::Unsigned(_) | Number::Float(_) => {
                        return Err(FormatError::NotUnderstood);
                    }
                }
            }
            "bu" => {
                record.see(Field::BaseUnit)?;
                reader.text()?;
            }
            "n" => {
                record.see(Field::Name)?;
                record.name = Some(reader.text()?);
            }
            "u" => {
                record.see(Field::Unit)?;
                reader.text()?;
            }
            "t" => {
                record.see(Field::Time)?;
                record.time = Some(reader.number()?.as_f64());
            }
            "ut" => {
                record.see(Field::UpdateTime)?;
                reader.number()?;
            }
            "v" => record.set_value(value(reader)?)?,
            "vs" => {
                let text = reader.text()?;
                record.set_value(text.borrowed().map_or(RawValue::json_text(text), RawValue::string))?;
            }
            "vb" => record.set_value(RawValue::boolean(reader.word()?.ok_or(FormatError::Malformed)?))?,
            "vd" => record.set_value(RawValue::json_base64(reader.text()?))?,
            "vlo" => {
                let mut scratch = [0; 16];
                let link = reader.text()?.unescape(&mut scratch).and_then(|text| text.parse().ok());
                record.set_value(RawValue::object_link(link.ok_or(FormatError::Malformed)?))?;
            }
            // Sums and base values change what a value means, and LwM2M does not use them.
            "s" | "bs" | "bv" => return Err(FormatError::NotUnderstood),
            _ if key.chars().last() == Some('_') => return Err(FormatError::NotUnderstood),
            _ => reader.skip()?,
        }
        Ok(())
    }
}

/// A number, or null: remove it.
fn value<'a>(reader: &mut Reader<'a>) -> Result<RawValue<'a>, FormatError> {
    if reader.peek() == Some(b'n') {
        return match reader.word()? {
            None => Ok(RawValue::null()),
            Some(_) => Err(FormatError::Malformed),
        };
    }
    Ok(match reader.number()? {
        Number::Integer(number) => RawValue::integer(number),
        Number::Unsigned(number) => RawValue::unsigned(number),
        Number::Float(number) => RawValue::float(number),
    })
}

#[derive(Debug)]
pub(super) struct Encoder<'b> {
    out: Out<'b>,
    pub(super) names: BaseNames<'b>,
    times: BaseTimes,
    records: bool,
}

impl<'b> Encoder<'b> {
    pub(super) fn new(base: Path, mut out: Out<'b>) -> Self {
        out.push(b'[');
        Self { out, names: BaseNames::new(base), times: BaseTimes::new(), records: false }
    }

    pub(super) fn add(
        &mut self,
        path: Path,
        content: Content<'_>,
        time: Option<f64>,
    ) -> Result<(), EncodeError> {
        let finite =
            |number: f64| if number.is_finite() { Ok(number) } else { Err(EncodeError::NotExpressible) };
        if let Content::Value(Value::Float(number)) = content {
            finite(*number)?;
        }
        let time = time.map(finite).transpose()?;
        self.write(path, content, time).map_err(|_| EncodeError::BufferTooSmall)?;
        self.out.check()
    }

    fn write(&mut self, path: Path, content: Content<'_>, time: Option<f64>) -> core::fmt::Result {
        self.out.write_str(if self.records { ",{" } else { "{" })?;
        self.records = true;
        let written = self.names.next(path, content);
        let (base_time, time) = self.times.next(time);
        if let Some((base, slash)) = written.base {
            self.out.write_str("\"bn\":\"")?;
            self.whole(base, &PathText::whole(base, slash))?;
            self.out.write_str("\",")?;
        }
        if let Some(seconds) = base_time {
            self.out.write_str("\"bt\":")?;
            self.float(seconds)?;
            self.out.push(b',');
        }
        if let Some(name) = written.name.text(path) {
            self.out.write_str("\"n\":\"")?;
            if written.name == Name::Whole {
                self.whole(path, &name)?;
            } else {
                self.out.extend(name.as_bytes());
            }
            self.out.write_str("\",")?;
        }
        match content {
            Content::Nothing => {}
            Content::Null => self.out.write_str("\"v\":null,")?,
            Content::Value(value) => {
                self.value(value)?;
                self.out.push(b',');
            }
        }
        if let Some(seconds) = time {
            self.out.write_str("\"t\":")?;
            self.float(seconds)?;
            self.out.push(b',');
        }
        // Each field ends with a comma, and a record has at least one.
        self.out.drop_last();
        self.out.write_str("}")
    }

    /// A path from its root on, behind the alternate path.
    fn whole(&mut self, path: Path, text: &PathText) -> core::fmt::Result {
        if !self.names.alternate_path.is_empty() {
            self.out.push(b'/');
            escape(&mut self.out, self.names.alternate_path)?;
        }
        self.out.extend(self.names.behind(path, text));
        Ok(())
    }

    fn value(&mut self, value: &Value<'_>) -> core::fmt::Result {
        match value {
            Value::Integer(number) | Value::Time(number) => write!(self.out, "\"v\":{number}"),
            Value::Unsigned(number) => write!(self.out, "\"v\":{number}"),
            Value::Float(number) => {
                self.out.write_str("\"v\":")?;
                self.float(*number)
            }
            Value::Boolean(flag) => write!(self.out, "\"vb\":{flag}"),
            Value::String(text) | Value::Corelnk(text) => {
                self.out.write_str("\"vs\":")?;
                encode_text(&mut self.out, text)
            }
            Value::Opaque(bytes) => {
                self.out.write_str("\"vd\":\"")?;
                base64::encode_url_safe(&mut self.out, bytes);
                self.out.write_str("\"")
            }
            Value::ObjectLink(link) => write!(self.out, "\"vlo\":\"{link}\""),
        }
    }

    /// A finite number in its shortest exact form; very large and small ones with an exponent.
    fn float(&mut self, number: f64) -> core::fmt::Result {
        write!(self.out, "{}", crate::float::Scientific(number))
    }

    pub(super) fn finish(mut self) -> Result<usize, EncodeError> {
        self.out.push(b']');
        self.out.finish()
    }
}

/// Writes a text between quotes.
pub(super) fn encode_text(out: &mut Out<'_>, text: &str) -> core::fmt::Result {
    out.push(b'"');
    escape(out, text)?;
    out.push(b'"');
    Ok(())
}

fn escape(out: &mut Out<'_>, text: &str) -> core::fmt::Result {
    for character in text.chars() {
        match character {
            '"' => out.write_str("\\\"")?,
            '\\' => out.write_str("\\\\")?,
            control if control < ' ' => write!(out, "\\u{:04x}", u32::from(control))?,
            plain => out.write_char(plain)?,
        }
    }
    Ok(())
}
