//! Values of the past that a server is still to be told: what it could not be notified of (TS_Core 6.4, `/1/x/6`, hqmax), and
//! what the host recorded for a Send.
//!
//! A line of records in one piece of memory, oldest first. Each holds what a path held at one moment. When there is no room,
//! the oldest make it.

use core::time::Duration;

use lightship_lwm2m::{ObjectLink, Path, Value};
use lightship_platform::Instant;

use self::room::Room;
use crate::read::Visitor;

#[cfg_attr(not(feature = "storing"), path = "history/no_room.rs")]
#[cfg_attr(all(feature = "storing", not(feature = "heap")), path = "history/fixed_room.rs")]
mod room;

/// What a record belongs to: an observation, by what it observes, or the next Send.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Subject(u32);

impl Subject {
    /// What is recorded for a Send.
    pub(crate) const SEND: Subject = Subject(0);

    /// The observation of one path, or of several at once. The same paths give the same subject.
    pub(crate) fn of(paths: impl Iterator<Item = Path>) -> Subject {
        let mut hash: u32 = 0x811C_9DC5;
        let mut mix = |byte: u8| hash = (hash ^ u32::from(byte)).wrapping_mul(0x0100_0193);
        for path in paths {
            path.numbers().flat_map(u16::to_le_bytes).for_each(&mut mix);
            mix(0xFF);
        }
        Subject(hash.max(1))
    }
}

/// How far a record is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Stage {
    /// To be told.
    Kept,
    /// To be told unless the message ahead of it arrives after all: then something newer is told.
    Tentative,
    /// On its way to the server.
    Underway,
    /// Its observation ended with the registration; kept in case the server observes the same again.
    Orphaned,
}

/// Whose record, of what, when.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Head {
    pub(crate) account: u8,
    pub(crate) stage: Stage,
    pub(crate) subject: Subject,
    pub(crate) at: Instant,
    /// The observed path.
    pub(crate) target: Path,
}

impl Head {
    pub(crate) fn is_of(&self, account: u8, subject: Subject) -> bool {
        self.account == account && self.subject == subject
    }
}

/// Up to `N` bytes of records. Without the feature `storing` there is no room for any.
pub(crate) struct History<const N: usize> {
    room: Room<N>,
}

/// Before the values of each record: its length, account, stage, subject, moment, path.
const HEAD_LEN: usize = 4 + 1 + 1 + 4 + 8 + 9;

impl<const N: usize> History<N> {
    pub(crate) fn new() -> Self {
        History { room: Room::new() }
    }

    fn stored(&self) -> &[u8] {
        self.room.stored()
    }

    /// Adds what a path held, as [`Pack`] wrote it. A record of the same path and millisecond is replaced: no format could tell
    /// them apart. Returns whether there was room.
    pub(crate) fn push(&mut self, head: Head, values: &[u8]) -> bool {
        let same = |other: &Head| {
            other.is_of(head.account, head.subject)
                && other.target == head.target
                && other.at.as_millis() == head.at.as_millis()
        };
        self.retain(|other| !same(other));
        let len = HEAD_LEN + values.len();
        let Ok(said) = u32::try_from(len) else { return false };
        if len > Room::<N>::CAPACITY {
            return false;
        }
        while self.stored().len() + len > Room::<N>::CAPACITY {
            let mut first = true;
            self.retain(|_| !core::mem::take(&mut first));
        }
        let mut path = [0; 9];
        let mut writer = Writer { out: &mut path, len: 0, failed: false };
        writer.path(head.target);
        self.room.append(&said.to_le_bytes());
        self.room.append(&[head.account, head.stage as u8]);
        self.room.append(&head.subject.0.to_le_bytes());
        self.room.append(&head.at.as_micros().to_le_bytes());
        self.room.append(&path);
        self.room.append(values);
        true
    }

    /// The records, oldest first, with their values.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (Head, Values<'_>)> {
        let mut rest = self.stored();
        core::iter::from_fn(move || {
            let (record, after) = rest.split_at_checked(record_len(rest)?)?;
            rest = after;
            let mut reader = Values(record.get(4..)?);
            let head = reader.head()?;
            Some((head, reader))
        })
    }

    /// Keeps the records for which `keep` says so.
    pub(crate) fn retain(&mut self, mut keep: impl FnMut(&Head) -> bool) {
        let (mut from, mut to) = (0, 0);
        while let Some(record) = self.stored().get(from..)
            && let Some(len) = record_len(record)
            && from + len <= self.stored().len()
        {
            let head = Values(record.get(4..).unwrap_or_default()).head();
            if head.is_some_and(|head| keep(&head)) {
                if from != to {
                    self.room.stored_mut().copy_within(from..from + len, to);
                }
                to += len;
            }
            from += len;
        }
        self.room.cut(to);
    }

    /// Gives records another stage, those for which `change` returns one.
    pub(crate) fn restage(&mut self, mut change: impl FnMut(&Head) -> Option<Stage>) {
        let mut rest = self.room.stored_mut();
        while let Some(len) = record_len(rest)
            && let Some((record, after)) = core::mem::take(&mut rest).split_at_mut_checked(len)
        {
            rest = after;
            let head = Values(record.get(4..).unwrap_or_default()).head();
            if let (Some(stage), Some(byte)) = (head.and_then(|head| change(&head)), record.get_mut(5)) {
                *byte = stage as u8;
            }
        }
    }

    /// Drops the oldest records of a path until at most `most` are left.
    pub(crate) fn limit(&mut self, account: u8, subject: Subject, target: Path, most: usize) {
        let ours = |head: &Head| head.is_of(account, subject) && head.target == target;
        let mut too_many = self.iter().filter(|(head, _)| ours(head)).count().saturating_sub(most);
        if too_many > 0 {
            self.retain(|head| {
                let drop = too_many > 0 && ours(head);
                too_many -= usize::from(drop);
                !drop
            });
        }
    }
}

impl<const N: usize> core::fmt::Debug for History<N> {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_list().entries(self.iter().map(|(head, _)| head)).finish()
    }
}

fn record_len(bytes: &[u8]) -> Option<usize> {
    let len = u32::from_le_bytes(*bytes.first_chunk()?);
    usize::try_from(len).ok().filter(|len| *len >= HEAD_LEN)
}

/// Packs what a walk finds into a buffer.
pub(crate) struct Pack<'b> {
    writer: Writer<'b>,
    count: usize,
}

impl<'b> Pack<'b> {
    pub(crate) fn new(out: &'b mut [u8]) -> Self {
        Pack { writer: Writer { out, len: 0, failed: false }, count: 0 }
    }

    /// Length in bytes and number of values; `None` when it did not fit.
    pub(crate) fn finish(self) -> Option<(usize, usize)> {
        (!self.writer.failed).then_some((self.writer.len, self.count))
    }
}

impl Visitor for Pack<'_> {
    fn value(&mut self, path: Path, value: Value<'_>) {
        self.count = self.count.saturating_add(1);
        self.writer.path(path);
        self.writer.value(value);
    }
}

struct Writer<'b> {
    out: &'b mut [u8],
    len: usize,
    failed: bool,
}

impl Writer<'_> {
    fn bytes(&mut self, bytes: &[u8]) {
        match self.out.get_mut(self.len..).and_then(|room| room.get_mut(..bytes.len())) {
            Some(room) => {
                room.copy_from_slice(bytes);
                self.len += bytes.len();
            }
            None => self.failed = true,
        }
    }

    /// Nine bytes, whatever the path.
    fn path(&mut self, path: Path) {
        let mut numbers = path.numbers();
        self.bytes(&[u8::try_from(path.len()).unwrap_or_default()]);
        for _ in 0..4 {
            self.bytes(&numbers.next().unwrap_or_default().to_le_bytes());
        }
    }

    fn value(&mut self, value: Value<'_>) {
        let mut long = |tag: u8, bytes: &[u8]| {
            let Ok(len) = u32::try_from(bytes.len()) else {
                self.failed = true;
                return;
            };
            self.bytes(&[tag]);
            self.bytes(&len.to_le_bytes());
            self.bytes(bytes);
        };
        match value {
            Value::String(text) => long(0, text.as_bytes()),
            Value::Corelnk(text) => long(1, text.as_bytes()),
            Value::Opaque(bytes) => long(2, bytes),
            Value::Integer(number) => self.fixed(3, number.to_le_bytes()),
            Value::Time(number) => self.fixed(4, number.to_le_bytes()),
            Value::Unsigned(number) => self.fixed(5, number.to_le_bytes()),
            Value::Float(number) => self.fixed(6, number.to_bits().to_le_bytes()),
            Value::Boolean(boolean) => self.bytes(&[7 + u8::from(boolean)]),
            Value::ObjectLink(link) => {
                self.bytes(&[9]);
                self.bytes(&link.object.to_le_bytes());
                self.bytes(&link.instance.to_le_bytes());
            }
        }
    }

    fn fixed(&mut self, tag: u8, bytes: [u8; 8]) {
        self.bytes(&[tag]);
        self.bytes(&bytes);
    }
}

/// The values of a record, as they were packed.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Values<'a>(&'a [u8]);

impl<'a> Values<'a> {
    fn array<const L: usize>(&mut self) -> Option<[u8; L]> {
        let (array, rest) = self.0.split_first_chunk()?;
        self.0 = rest;
        Some(*array)
    }

    fn head(&mut self) -> Option<Head> {
        let [account, stage] = self.array()?;
        let subject = Subject(u32::from_le_bytes(self.array()?));
        let at = Instant::from_micros(u64::from_le_bytes(self.array()?));
        let stages = [Stage::Kept, Stage::Tentative, Stage::Underway, Stage::Orphaned];
        let stage = *stages.get(usize::from(stage))?;
        Some(Head { account, stage, subject, at, target: self.path()? })
    }

    fn path(&mut self) -> Option<Path> {
        let [len] = self.array()?;
        let mut numbers = [0; 4];
        for number in &mut numbers {
            *number = u16::from_le_bytes(self.array()?);
        }
        Path::from_numbers(numbers.get(..usize::from(len))?)
    }

    fn long(&mut self) -> Option<&'a [u8]> {
        let len = u32::from_le_bytes(self.array()?);
        let (bytes, rest) = self.0.split_at_checked(usize::try_from(len).ok()?)?;
        self.0 = rest;
        Some(bytes)
    }

    fn text(&mut self) -> Option<&'a str> {
        core::str::from_utf8(self.long()?).ok()
    }

    fn value(&mut self) -> Option<Value<'a>> {
        let [tag] = self.array()?;
        Some(match tag {
            0 => Value::String(self.text()?),
            1 => Value::Corelnk(self.text()?),
            2 => Value::Opaque(self.long()?),
            3 => Value::Integer(i64::from_le_bytes(self.array()?)),
            4 => Value::Time(i64::from_le_bytes(self.array()?)),
            5 => Value::Unsigned(u64::from_le_bytes(self.array()?)),
            6 => Value::Float(f64::from_bits(u64::from_le_bytes(self.array()?))),
            7 => Value::Boolean(false),
            8 => Value::Boolean(true),
            9 => {
                let object = u16::from_le_bytes(self.array()?);
                Value::ObjectLink(ObjectLink { object, instance: u16::from_le_bytes(self.array()?) })
            }
            _ => return None,
        })
    }
}

impl<'a> Iterator for Values<'a> {
    type Item = (Path, Value<'a>);

    fn next(&mut self) -> Option<Self::Item> {
        let mut ahead = *self;
        let item = (ahead.path()?, ahead.value()?);
        *self = ahead;
        Some(item)
    }
}

/// What a moment is called in SenML: seconds since 1970 where the date is known, seconds before the message where it is not
/// (RFC 8428 section 4.5.3).
pub(crate) fn senml_time(at: Instant, now: Instant, date_ms: Option<i64>) -> f64 {
    let ago = now.saturating_duration_since(at);
    match date_ms {
        Some(date_ms) => {
            let ago_ms = i64::try_from(ago.as_millis()).unwrap_or(i64::MAX);
            #[allow(clippy::cast_precision_loss, reason = "dates are far below 2^53 milliseconds")]
            let ms = date_ms.saturating_sub(ago_ms) as f64;
            ms / 1000.0
        }
        None => -Duration::from_millis(u64::try_from(ago.as_millis()).unwrap_or(u64::MAX)).as_secs_f64(),
    }
}

#[cfg(test)]
mod tests {
    extern crate std;

    use super::*;
    use lightship_lwm2m::path;
    use std::vec::Vec;

    const SUBJECT: Subject = Subject(7);

    fn head(at_s: u64, target: Path) -> Head {
        Head { account: 1, stage: Stage::Kept, subject: SUBJECT, at: Instant::from_secs(at_s), target }
    }

    fn pack(values: &[(Path, Value<'_>)]) -> Vec<u8> {
        let mut out = [0; 512];
        let mut pack = Pack::new(&mut out);
        values.iter().for_each(|(path, value)| pack.value(*path, *value));
        let (len, count) = pack.finish().expect("fits");
        assert_eq!(count, values.len());
        out[..len].to_vec()
    }

    fn moments<const N: usize>(history: &History<N>) -> Vec<u64> {
        history.iter().map(|(head, _)| head.at.as_millis() / 1000).collect()
    }

    #[test]
    fn every_type_comes_back_as_it_was() {
        let link = ObjectLink { object: 65535, instance: 3 };
        let values = [
            (path!(3 / 0 / 0), Value::String("a ü")),
            (path!(3 / 0 / 1), Value::Corelnk("</a>")),
            (path!(3 / 0 / 2), Value::Opaque(&[0, 255])),
            (path!(3 / 0 / 6 / 65534), Value::Integer(-1)),
            (path!(3 / 0 / 13), Value::Time(1 << 40)),
            (path!(3 / 0 / 14), Value::Unsigned(u64::MAX)),
            (path!(3 / 0 / 15), Value::Float(-0.5)),
            (path!(3 / 0 / 16), Value::Boolean(true)),
            (path!(3 / 0 / 17), Value::Boolean(false)),
            (path!(3 / 0 / 18), Value::ObjectLink(link)),
        ];
        let mut history = History::<2048>::new();
        assert!(history.push(head(5, path!(3 / 0)), &pack(&values)));
        let (found, read) = history.iter().next().expect("one");
        assert_eq!(found, head(5, path!(3 / 0)));
        assert_eq!(read.collect::<Vec<_>>(), values);
    }

    #[test]
    fn the_oldest_make_room_and_what_never_fits_is_refused() {
        let mut history = History::<200>::new();
        let value = pack(&[(path!(3 / 0 / 0), Value::Integer(1))]);
        for at in 1..=9 {
            assert!(history.push(head(at, path!(3 / 0 / 0)), &value));
        }
        assert_eq!(moments(&history), [6, 7, 8, 9]);
        assert!(!history.push(head(10, path!(3)), &[0; 200]));
        assert_eq!(moments(&history), [6, 7, 8, 9], "and costs nothing");
        history.limit(1, SUBJECT, path!(3 / 0 / 0), 2);
        assert_eq!(moments(&history), [8, 9]);
        history.limit(1, SUBJECT, path!(3 / 0 / 1), 0);
        assert_eq!(moments(&history), [8, 9], "another path's");
        assert!(history.push(head(9, path!(3 / 0 / 0)), &value));
        assert_eq!(moments(&history), [8, 9], "the same millisecond is replaced");
        history.restage(|head| (head.at == Instant::from_secs(8)).then_some(Stage::Underway));
        history.retain(|head| head.stage == Stage::Underway);
        assert_eq!(moments(&history), [8]);
        history.retain(|_| false);
        assert_eq!(history.iter().count(), 0);
    }

    #[test]
    fn moments_are_dates_where_the_date_is_known() {
        let (at, now) = (Instant::from_secs(10), Instant::from_millis(12_500));
        assert_eq!(senml_time(at, now, Some(1_767_225_602_500)), 1_767_225_600.0);
        assert_eq!(senml_time(at, now, None), -2.5);
    }
}
