//! application/vnd.oma.lwm2m+cbor (11544). Core TS 1.2, 7.4.7.
//!
//! Maps whose keys are parts of paths: one identifier, or an array of several. Each map goes at least one identifier deeper, so
//! four levels are the most there can be. Reading takes any division of a path into keys; what is written is short:
//!
//! - one map per object, instances inside; an object with one instance has both identifiers in one key,
//! - an instance with one resource, and that with one resource instance, becomes a single key.

#![allow(clippy::wildcard_enum_match_arm, reason = "of the many CBOR types a place allows few")]

use super::{EncodeError, Entry, FormatError, RawValue, cbor, out::Out, senml::Names};
use crate::{
    Path, Value,
    id::{MAX_ID, ObjectInstanceId},
};
use minicbor::{
    data::Type,
    decode::{Decoder as Reader, Error},
};

/// The most maps inside each other: one for each identifier.
const DEPTH_MAX: usize = 4;

/// A map that is being read.
#[derive(Clone, Copy, Debug)]
struct Open {
    path: Path,
    /// How many entries are left; `None` = until a break.
    left: Option<u64>,
}

#[derive(Clone, Debug)]
pub(super) struct Decoder<'a> {
    pub(super) names: Names<'a>,
    /// What 65535 in the place of an object instance means.
    pub(super) assigned: Option<ObjectInstanceId>,
    reader: Reader<'a>,
    started: bool,
    open: [Option<Open>; DEPTH_MAX],
    depth: usize,
}

impl<'a> Decoder<'a> {
    pub(super) fn new(payload: &'a [u8]) -> Self {
        Self {
            names: Names::new(),
            assigned: None,
            reader: Reader::new(payload),
            started: false,
            open: [None; DEPTH_MAX],
            depth: 0,
        }
    }

    pub(super) fn advance(&mut self) -> Option<Result<Entry<'a>, FormatError>> {
        self.step().transpose()
    }

    fn step(&mut self) -> Result<Option<Entry<'a>>, FormatError> {
        if !self.started {
            self.started = true;
            self.enter(Path::ROOT)?;
        }
        // Each turn reads a key or leaves a map, so the loop ends.
        while let Some(at) = self.depth.checked_sub(1) {
            let Some(Some(open)) = self.open.get_mut(at) else { return Err(FormatError::TooDeep) };
            if !cbor::more(&mut self.reader, open.left)? {
                self.depth = at;
                continue;
            }
            open.left = open.left.map(|left| left - 1);
            let above = open.path;
            let path = self.key(above)?;
            if !matches!(self.reader.datatype().map_err(fault)?, Type::Map | Type::MapIndef) {
                return self.value(path).map(Some);
            }
            if path.len() == DEPTH_MAX {
                return Err(FormatError::TooDeep);
            }
            if self.enter(path)? {
                return Ok(Some(Entry { path, time: None, value: RawValue::container() }));
            }
        }
        let trailing = self.reader.position() < self.reader.input().len();
        if trailing { Err(FormatError::TrailingBytes) } else { Ok(None) }
    }

    /// Reads the head of a map; says whether it is an empty one inside another, which is read over.
    fn enter(&mut self, path: Path) -> Result<bool, FormatError> {
        let left = self.reader.map().map_err(fault)?;
        if self.depth > 0 && !cbor::more(&mut self.reader, left)? {
            return Ok(true);
        }
        *self.open.get_mut(self.depth).ok_or(FormatError::TooDeep)? = Some(Open { path, left });
        self.depth += 1;
        Ok(false)
    }

    /// Reads a key below `above`. It names at least one identifier.
    fn key(&mut self, above: Path) -> Result<Path, FormatError> {
        if !matches!(self.reader.datatype().map_err(fault)?, Type::Array | Type::ArrayIndef) {
            return self.identifier(above);
        }
        let mut left = self.reader.array().map_err(fault)?;
        let mut path = above;
        let mut prefix_may_come = above.is_root();
        while cbor::more(&mut self.reader, left)? {
            left = left.map(|left| left - 1);
            if prefix_may_come && self.reader.datatype().map_err(fault)? == Type::String {
                self.prefix()?;
            } else {
                path = self.identifier(path)?;
            }
            prefix_may_come = false;
        }
        if path == above { Err(FormatError::BadPath) } else { Ok(path) }
    }

    /// Reads a text in front of the identifiers: the alternate path of the device is removed, an end device behind a gateway is
    /// somebody else.
    fn prefix(&mut self) -> Result<(), FormatError> {
        let text = self.reader.str().map_err(fault)?;
        let known = !self.names.alternate_path.is_empty();
        if known && text.trim_matches('/') == self.names.alternate_path {
            Ok(())
        } else {
            Err(FormatError::Prefixed)
        }
    }

    fn identifier(&mut self, above: Path) -> Result<Path, FormatError> {
        let fault = |error: Error| match cbor::fault(&error) {
            FormatError::Truncated => FormatError::Truncated,
            _ => FormatError::BadPath,
        };
        let mut number = self.reader.u16().map_err(fault)?;
        if number == MAX_ID
            && above.len() == 1
            && let Some(assigned) = self.assigned
        {
            number = assigned.get();
        }
        above.child(number).ok_or(FormatError::BadPath)
    }

    fn value(&mut self, path: Path) -> Result<Entry<'a>, FormatError> {
        let value = cbor::value(&mut self.reader)?;
        // Null has no meaning here.
        if value.is_null() {
            return Err(FormatError::Malformed);
        }
        if path.len() < 3 {
            return Err(FormatError::BadPath);
        }
        Ok(Entry { path, time: None, value })
    }
}

#[allow(clippy::needless_pass_by_value, reason = "the shape of map_err")]
fn fault(error: Error) -> FormatError {
    cbor::fault(&error)
}

/// The instance that the payload of a Create chooses; none for 65535.
pub(super) fn chosen_instance(object: Path, payload: &[u8]) -> Result<Option<ObjectInstanceId>, FormatError> {
    // Read once with an instance that 65535 stands for: what can only be read so left the choice open.
    let first = Decoder::new(payload).advance();
    match first {
        None => Ok(None),
        Some(Ok(entry)) if !object.contains(entry.path) => Err(FormatError::OutsideBase),
        Some(Ok(entry)) => Ok(entry.path.instance_id()),
        Some(Err(FormatError::BadPath)) => {
            let mut open = Decoder::new(payload);
            open.assigned = ObjectInstanceId::new(0);
            match open.advance() {
                Some(Ok(entry)) if !object.contains(entry.path) => Err(FormatError::OutsideBase),
                Some(Err(error)) => Err(error),
                Some(Ok(_)) | None => Ok(None),
            }
        }
        Some(Err(error)) => Err(error),
    }
}

/// The room for the key and the map head of a level: three bytes each.
const HEAD_LEN_MAX: usize = 6;

/// A map that is being written.
#[derive(Clone, Copy, Debug)]
struct Level {
    path: Path,
    /// Where its head will be put.
    at: usize,
    entries: u32,
}

#[derive(Debug)]
pub(super) struct Encoder<'b> {
    out: Out<'b>,
    /// Write 65535 in the place of the object instance.
    pub(super) instance_open: bool,
    /// The entries of the outermost map.
    entries: u32,
    object: Option<Level>,
    instance: Option<Level>,
    multiple: Option<Level>,
    /// How many resource instances the last multiple resource of the open instance has.
    last_multiple: u32,
    /// The last path in tree order.
    last: Option<Path>,
}

impl<'b> Encoder<'b> {
    pub(super) fn new(mut out: Out<'b>) -> Self {
        out.reserve(HEAD_LEN_MAX);
        Self {
            out,
            instance_open: false,
            entries: 0,
            object: None,
            instance: None,
            multiple: None,
            last_multiple: 0,
            last: None,
        }
    }

    pub(super) fn add(&mut self, path: Path, value: &Value<'_>) -> Result<(), EncodeError> {
        let clashes = |last: Path| last == path || (last.contains(path) && last.len() == 3);
        if self.last.is_some_and(clashes) {
            return Err(EncodeError::NotInOrder);
        }
        let object = path.truncated(1);
        let behind = |last: Path| {
            path < last || (last.truncated(1) == object && self.object.is_none_or(|open| open.path != object))
        };
        if self.last.is_some_and(behind) {
            self.alone(path, value);
            return self.out.check();
        }
        // Closing needs the path before this one.
        self.leave(path);
        self.last = Some(path);
        self.enter(path);
        let number = path.last().unwrap_or_default();
        cbor::head(&mut self.out, cbor::UNSIGNED, number.into());
        cbor::encode_value(&mut self.out, value);
        self.out.check()
    }

    /// Writes an entry that comes when its object was left already, under its whole path: no other key is the same.
    fn alone(&mut self, path: Path, value: &Value<'_>) {
        self.leave(Path::ROOT);
        self.entries = self.entries.saturating_add(1);
        cbor::head(&mut self.out, cbor::ARRAY, u64::try_from(path.len()).unwrap_or_default());
        for (level, number) in path.numbers().enumerate() {
            let number = if level == 1 && self.instance_open { MAX_ID } else { number };
            cbor::head(&mut self.out, cbor::UNSIGNED, number.into());
        }
        cbor::encode_value(&mut self.out, value);
    }

    /// Opens the maps that hold `path` and counts the entry in the innermost one.
    fn enter(&mut self, path: Path) {
        if self.object.is_none() {
            self.entries = self.entries.saturating_add(1);
            self.object = Some(self.open(path.truncated(1)));
        }
        if self.instance.is_none() {
            count(&mut self.object);
            self.instance = Some(self.open(path.truncated(2)));
        }
        if path.len() == 3 {
            count(&mut self.instance);
            self.last_multiple = 0;
        } else {
            if self.multiple.is_none() {
                count(&mut self.instance);
                self.multiple = Some(self.open(path.truncated(3)));
            }
            count(&mut self.multiple);
        }
    }

    fn open(&mut self, path: Path) -> Level {
        let at = self.out.len();
        self.out.reserve(HEAD_LEN_MAX);
        Level { path, at, entries: 0 }
    }

    /// Closes the maps that do not hold `path`.
    fn leave(&mut self, path: Path) {
        if let Some(level) = self.multiple.take_if(|open| !open.path.contains(path)) {
            self.close(level);
            self.last_multiple = level.entries;
        }
        let Some(instance) = self.instance.take_if(|open| !open.path.contains(path)) else { return };
        self.close(instance);
        if let Some(object) = self.object.take_if(|open| !open.path.contains(path)) {
            if object.entries == 1 {
                self.close_as_one(object, instance);
            } else {
                self.close(object);
            }
        }
    }

    /// The number that a map is the value of.
    fn number(&self, path: Path) -> u16 {
        let open = path.len() == 2 && self.instance_open;
        if open { MAX_ID } else { path.last().unwrap_or_default() }
    }

    fn close(&mut self, level: Level) {
        let mut head = Head::new();
        head.push(cbor::UNSIGNED, self.number(level.path).into());
        head.push(cbor::MAP, level.entries.into());
        self.out.fill(level.at, HEAD_LEN_MAX, head.as_bytes());
    }

    /// Closes an object that has one instance: their keys become one, and that of a single resource joins them, and that of
    /// a single resource instance.
    fn close_as_one(&mut self, object: Level, instance: Level) {
        let mut inner = Head::new();
        inner.push(cbor::UNSIGNED, self.number(instance.path).into());
        inner.push(cbor::MAP, instance.entries.into());
        let mut keys: u64 = 2;
        let single = (instance.entries == 1).then_some(self.last).flatten();
        if let Some(path) = single {
            keys += 1;
            inner.push(cbor::UNSIGNED, self.number(path.truncated(3)).into());
            if self.last_multiple == 1 {
                keys += 1;
                inner.push(cbor::MAP, 1);
                inner.push(cbor::UNSIGNED, self.number(path).into());
            }
        }
        let mut head = Head::new();
        head.push(cbor::ARRAY, keys);
        head.push(cbor::UNSIGNED, self.number(object.path).into());
        head.push(cbor::UNSIGNED, self.number(instance.path).into());
        match single {
            None => head.push(cbor::MAP, instance.entries.into()),
            Some(path) => {
                head.push(cbor::UNSIGNED, self.number(path.truncated(3)).into());
                if self.last_multiple == 1 {
                    head.push(cbor::UNSIGNED, self.number(path).into());
                }
            }
        }
        self.out.fill(object.at, HEAD_LEN_MAX + inner.len, head.as_bytes());
    }

    pub(super) fn finish(mut self) -> Result<usize, EncodeError> {
        self.leave(Path::ROOT);
        let mut head = Head::new();
        head.push(cbor::MAP, self.entries.into());
        self.out.fill(0, HEAD_LEN_MAX, head.as_bytes());
        self.out.finish()
    }
}

fn count(level: &mut Option<Level>) {
    if let Some(level) = level {
        level.entries = level.entries.saturating_add(1);
    }
}

/// A few heads of CBOR items behind each other.
struct Head {
    bytes: [u8; 32],
    len: usize,
}

impl Head {
    const fn new() -> Self {
        Self { bytes: [0; 32], len: 0 }
    }

    fn push(&mut self, major: u8, argument: u64) {
        let (head, len) = cbor::head_bytes(major, argument);
        let end = self.len.saturating_add(len);
        if let Some((slots, head)) = self.bytes.get_mut(self.len..end).zip(head.get(..len)) {
            slots.copy_from_slice(head);
            self.len = end;
        }
    }

    fn as_bytes(&self) -> &[u8] {
        self.bytes.get(..self.len).unwrap_or_default()
    }
}
