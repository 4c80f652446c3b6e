//! application/vnd.oma.lwm2m+tlv (11542). Core TS 1.2, 7.4.3.
//!
//! A tree of at most three levels: object instances hold resources, multiple resources hold resource instances. So both
//! directions need a stack of two, not recursion.

use super::{EncodeError, Entry, FormatError, RawValue, out::Out};
use crate::{Path, Value, id::ObjectInstanceId};

/// What a TLV describes: bits 7 and 6 of its type byte.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Instance,
    ResourceInstance,
    Multiple,
    Resource,
}

#[derive(Clone, Copy, Debug)]
struct Tlv<'a> {
    kind: Kind,
    id: u16,
    value: &'a [u8],
}

/// Splits the first TLV off. Non-minimal identifiers and lengths are read, and bits 2-0 beside a length field ignored.
fn read<'a>(bytes: &mut &'a [u8]) -> Result<Tlv<'a>, FormatError> {
    let head = take(bytes, 1)?.iter().fold(0, |_, byte| *byte);
    let kind = match head >> 6 {
        0 => Kind::Instance,
        1 => Kind::ResourceInstance,
        2 => Kind::Multiple,
        _ => Kind::Resource,
    };
    let id = take(bytes, if head & 0x20 == 0 { 1 } else { 2 })?;
    let id = id.iter().fold(0, |id, byte| id << 8 | u16::from(*byte));
    let len = match head >> 3 & 3 {
        0 => usize::from(head & 7),
        field => {
            let field = take(bytes, usize::from(field))?;
            field.iter().fold(0, |len, byte| len << 8 | usize::from(*byte))
        }
    };
    Ok(Tlv { kind, id, value: take(bytes, len)? })
}

fn take<'a>(bytes: &mut &'a [u8], len: usize) -> Result<&'a [u8], FormatError> {
    let (taken, rest) = bytes.split_at_checked(len).ok_or(FormatError::Truncated)?;
    *bytes = rest;
    Ok(taken)
}

/// The instance that the payload of a Create chooses, if any.
pub(super) fn chosen_instance(payload: &[u8]) -> Result<Option<ObjectInstanceId>, FormatError> {
    let first = read(&mut { payload })?;
    match first.kind {
        Kind::Instance => ObjectInstanceId::new(first.id).map(Some).ok_or(FormatError::BadPath),
        Kind::Multiple | Kind::Resource => Ok(None),
        Kind::ResourceInstance => Err(FormatError::Malformed),
    }
}

#[derive(Clone, Debug)]
pub(super) struct Decoder<'a> {
    base: Path,
    /// What is left at the level of the payload.
    top: &'a [u8],
    /// The object instance whose resources are being read.
    instance: Option<(Path, &'a [u8])>,
    /// The multiple resource whose instances are being read.
    multiple: Option<(Path, &'a [u8])>,
}

impl<'a> Decoder<'a> {
    pub(super) fn new(base: Path, payload: &'a [u8]) -> Self {
        Self { base, top: payload, instance: None, multiple: None }
    }

    pub(super) fn advance(&mut self) -> Option<Result<Entry<'a>, FormatError>> {
        // Each turn consumes at least one header or leaves a level, so the loop ends.
        loop {
            if let Some((path, rest)) = &mut self.multiple {
                if rest.is_empty() {
                    self.multiple = None;
                    continue;
                }
                return Some(read(rest).and_then(|tlv| match tlv.kind {
                    Kind::ResourceInstance => leaf(*path, tlv),
                    Kind::Instance | Kind::Multiple | Kind::Resource => Err(FormatError::Malformed),
                }));
            }
            if let Some((path, rest)) = &mut self.instance {
                if rest.is_empty() {
                    self.instance = None;
                    continue;
                }
                let (path, tlv) = (*path, read(rest));
                match tlv.and_then(|tlv| self.below_instance(path, tlv)) {
                    Ok(None) => continue,
                    Ok(Some(entry)) => return Some(Ok(entry)),
                    Err(error) => return Some(Err(error)),
                }
            }
            if self.top.is_empty() {
                return None;
            }
            match read(&mut self.top).and_then(|tlv| self.at_top(tlv)) {
                Ok(None) => continue,
                Ok(Some(entry)) => return Some(Ok(entry)),
                Err(error) => return Some(Err(error)),
            }
        }
    }

    /// A TLV at the level of the payload. Which kinds may stand there follows from the level of the base.
    fn at_top(&mut self, tlv: Tlv<'a>) -> Result<Option<Entry<'a>>, FormatError> {
        let object = self.base.truncated(1);
        match (tlv.kind, self.base.len()) {
            (Kind::Instance, 1 | 2) => {
                let path = object.child(tlv.id).ok_or(FormatError::BadPath)?;
                if tlv.value.is_empty() {
                    return Ok(Some(container(path)));
                }
                self.instance = Some((path, tlv.value));
                Ok(None)
            }
            // Without the wrapper it can only be the one instance of a single-instance object.
            (Kind::Multiple | Kind::Resource, 1) => {
                let path = object.child(0).ok_or(FormatError::BadPath)?;
                self.below_instance(path, tlv)
            }
            (Kind::Multiple | Kind::Resource, 2..) => self.below_instance(self.base.truncated(2), tlv),
            (Kind::ResourceInstance, 4) => {
                let resource = self.base.truncated(3);
                leaf(resource, tlv).map(Some)
            }
            _ => Err(FormatError::Malformed),
        }
    }

    /// A TLV inside an object instance.
    fn below_instance(&mut self, instance: Path, tlv: Tlv<'a>) -> Result<Option<Entry<'a>>, FormatError> {
        match tlv.kind {
            Kind::Resource => leaf(instance, tlv).map(Some),
            Kind::Multiple => {
                let path = instance.child(tlv.id).ok_or(FormatError::BadPath)?;
                if tlv.value.is_empty() {
                    return Ok(Some(container(path)));
                }
                self.multiple = Some((path, tlv.value));
                Ok(None)
            }
            Kind::Instance | Kind::ResourceInstance => Err(FormatError::Malformed),
        }
    }
}

fn leaf(parent: Path, tlv: Tlv<'_>) -> Result<Entry<'_>, FormatError> {
    let path = parent.child(tlv.id).ok_or(FormatError::BadPath)?;
    Ok(Entry { path, time: None, value: RawValue::tlv(tlv.value) })
}

fn container<'a>(path: Path) -> Entry<'a> {
    Entry { path, time: None, value: RawValue::container() }
}

/// Type byte, two bytes of identifier, three of length.
const HEADER_LEN_MAX: usize = 6;

#[derive(Debug)]
pub(super) struct Encoder<'b> {
    base: Path,
    out: Out<'b>,
    /// The open object instance and multiple resource: where their headers will be put.
    instance: Option<(Path, usize)>,
    multiple: Option<(Path, usize)>,
    last: Path,
}

impl<'b> Encoder<'b> {
    pub(super) fn new(base: Path, out: Out<'b>) -> Self {
        Self { base, out, instance: None, multiple: None, last: Path::ROOT }
    }

    pub(super) fn add(&mut self, path: Path, value: Option<&Value<'_>>) -> Result<(), EncodeError> {
        if path <= self.last {
            return Err(EncodeError::NotInOrder);
        }
        if self.last.contains(path) && self.last.len() >= 3 {
            // A resource cannot hold a value and instances.
            return Err(EncodeError::NotInOrder);
        }
        self.last = path;
        self.leave(path);
        match value {
            Some(value) => self.enter(path, value)?,
            None => self.enter_empty(path)?,
        }
        self.out.check()
    }

    /// Closes the containers that do not hold `path`.
    fn leave(&mut self, path: Path) {
        if let Some((open, at)) = self.multiple
            && !open.contains(path)
        {
            self.close(Kind::Multiple, open, at);
            self.multiple = None;
        }
        if let Some((open, at)) = self.instance
            && !open.contains(path)
        {
            self.close(Kind::Instance, open, at);
            self.instance = None;
        }
    }

    fn enter(&mut self, path: Path, value: &Value<'_>) -> Result<(), EncodeError> {
        self.open_instance(path.truncated(2));
        let resource = path.truncated(3);
        let kind = if path.len() == 4 { Kind::ResourceInstance } else { Kind::Resource };
        if path.len() == 4 && self.base.len() < 4 && self.multiple.is_none() {
            self.multiple = Some((resource, self.out.len()));
            self.out.reserve(HEADER_LEN_MAX);
        }
        self.put(kind, path, value)
    }

    fn enter_empty(&mut self, path: Path) -> Result<(), EncodeError> {
        match path.len() {
            // An empty object, or an empty instance that the payload is about: nothing to write.
            1 => Ok(()),
            2 if self.base.len() > 1 => Ok(()),
            2 => {
                self.header(Kind::Instance, path, 0);
                Ok(())
            }
            3 => {
                self.open_instance(path.truncated(2));
                self.header(Kind::Multiple, path, 0);
                Ok(())
            }
            _ => Err(EncodeError::NotExpressible),
        }
    }

    fn open_instance(&mut self, path: Path) {
        if self.base.len() == 1 && self.instance.is_none() {
            self.instance = Some((path, self.out.len()));
            self.out.reserve(HEADER_LEN_MAX);
        }
    }

    fn close(&mut self, kind: Kind, path: Path, at: usize) {
        let len = self.out.len().saturating_sub(at).saturating_sub(HEADER_LEN_MAX);
        let (head, head_len) = header(kind, path.last().unwrap_or_default(), len);
        self.out.fill(at, HEADER_LEN_MAX, head.get(..head_len).unwrap_or_default());
    }

    fn header(&mut self, kind: Kind, path: Path, len: usize) {
        let (head, head_len) = header(kind, path.last().unwrap_or_default(), len);
        self.out.extend(head.get(..head_len).unwrap_or_default());
    }

    fn put(&mut self, kind: Kind, path: Path, value: &Value<'_>) -> Result<(), EncodeError> {
        let mut number = [0; 8];
        let bytes = match value {
            Value::String(text) | Value::Corelnk(text) => text.as_bytes(),
            Value::Opaque(bytes) => bytes,
            Value::Boolean(flag) => {
                number = [u8::from(*flag), 0, 0, 0, 0, 0, 0, 0];
                number.get(..1).unwrap_or_default()
            }
            Value::Integer(integer) | Value::Time(integer) => shortest(&mut number, *integer),
            // Readers that take Unsigned for signed exist; with the top bit clear both read the same.
            Value::Unsigned(integer) => match i64::try_from(*integer) {
                Ok(integer) => shortest(&mut number, integer),
                Err(_) => {
                    number = integer.to_be_bytes();
                    &number
                }
            },
            Value::Float(float) => float_bytes(&mut number, *float),
            Value::ObjectLink(link) => {
                let ([a, b], [c, d]) = (link.object.to_be_bytes(), link.instance.to_be_bytes());
                number = [a, b, c, d, 0, 0, 0, 0];
                number.get(..4).unwrap_or_default()
            }
        };
        if bytes.len() >= 1 << 24 {
            return Err(EncodeError::NotExpressible);
        }
        self.header(kind, path, bytes.len());
        self.out.extend(bytes);
        Ok(())
    }

    pub(super) fn finish(mut self) -> Result<usize, EncodeError> {
        self.leave(Path::ROOT);
        self.out.finish()
    }
}

/// The bytes of a header and how many of them count.
#[allow(
    clippy::as_conversions,
    clippy::cast_possible_truncation,
    reason = "the low bytes are wanted; lengths fit 24 bits"
)]
fn header(kind: Kind, id: u16, len: usize) -> ([u8; HEADER_LEN_MAX], usize) {
    let kind: u8 = match kind {
        Kind::Instance => 0x00,
        Kind::ResourceInstance => 0x40,
        Kind::Multiple => 0x80,
        Kind::Resource => 0xC0,
    };
    let length_field = match len {
        0..=7 => 0,
        8..=0xFF => 1,
        0x100..=0xFFFF => 2,
        _ => 3,
    };
    let [id_high, id_low] = id.to_be_bytes();
    let type_byte = kind
        | if id_high == 0 { 0 } else { 0x20 }
        | length_field << 3
        | if length_field == 0 { len as u8 } else { 0 };
    let mut head = [0; HEADER_LEN_MAX];
    let mut count = 0;
    let id_bytes = [id_high, id_low];
    let len_bytes = [(len >> 16) as u8, (len >> 8) as u8, len as u8];
    let id_bytes = id_bytes.get(usize::from(id_high == 0)..).unwrap_or_default();
    let len_bytes = len_bytes.get(3 - usize::from(length_field)..).unwrap_or_default();
    for (slot, byte) in head.iter_mut().zip([type_byte].iter().chain(id_bytes).chain(len_bytes)) {
        *slot = *byte;
        count += 1;
    }
    (head, count)
}

/// The shortest of 1, 2, 4 and 8 bytes that hold the integer.
fn shortest(buffer: &mut [u8; 8], integer: i64) -> &[u8] {
    *buffer = integer.to_be_bytes();
    let len = if i8::try_from(integer).is_ok() {
        1
    } else if i16::try_from(integer).is_ok() {
        2
    } else if i32::try_from(integer).is_ok() {
        4
    } else {
        8
    };
    buffer.get(8 - len..).unwrap_or_default()
}

/// 4 bytes when they hold the number exactly, else 8.
#[allow(clippy::as_conversions, clippy::cast_possible_truncation, reason = "checked for exactness")]
fn float_bytes(buffer: &mut [u8; 8], float: f64) -> &[u8] {
    let narrow = float as f32;
    if f64::from(narrow) == float || float.is_nan() {
        let [a, b, c, d] = narrow.to_be_bytes();
        *buffer = [a, b, c, d, 0, 0, 0, 0];
        buffer.get(..4).unwrap_or_default()
    } else {
        *buffer = float.to_be_bytes();
        buffer
    }
}
