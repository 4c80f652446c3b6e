//! Reading the log: pages of all events, and events of one device.

use std::sync::Arc;

use fjall::Guard;
use lightship_lwm2m::Endpoint;

use super::records;
use super::trees::{Segment, Trees, corrupt, failed};
use crate::StoreError;
use crate::batch::{Cursor, EventPage, EventRecord, EventsOf};

/// A view of the log up to an event.
pub(crate) struct Log<'a> {
    pub(crate) trees: &'a Trees,
    /// What is behind it does not count yet.
    pub(crate) newest: Cursor,
    /// So many can be read at most.
    pub(crate) events_max: u64,
}

impl Log<'_> {
    /// The number of the oldest event that can be read; one more than the newest if there is none.
    pub(crate) fn oldest(&self) -> u64 {
        let first = self.trees.segments().first().map_or(1, |segment| segment.first);
        first.max((self.newest.number + 1).saturating_sub(self.events_max))
    }

    /// Events after a cursor.
    pub(crate) fn page(&self, after: Option<Cursor>, max: usize) -> Result<EventPage, StoreError> {
        let (oldest, newest) = (self.oldest(), self.newest);
        let (start, gap) = match after {
            None => (oldest, false),
            // A cursor from the future of this log was never given out.
            Some(c) if c.writer != newest.writer || c.number > newest.number => (oldest, true),
            Some(c) => ((c.number + 1).max(oldest), c.number + 1 < oldest),
        };
        let mut events: Vec<Arc<EventRecord>> = Vec::new();
        let segments = self.trees.segments();
        for (place, segment) in segments.iter().enumerate() {
            let is_before = segments.get(place + 1).is_some_and(|next| next.first <= start);
            if is_before || events.len() >= max {
                continue;
            }
            let keys = records::number_key(start)..=records::number_key(newest.number);
            if start <= newest.number {
                for row in segment.events.range(keys).take(max - events.len()) {
                    events.push(self.event(row)?.0);
                }
            }
        }
        let before = Cursor { number: start - 1, ..newest };
        let next = events.last().map_or(before, |event| event.cursor);
        Ok(EventPage { events, gap, next })
    }

    /// An event, and whether it is found by its device.
    pub(crate) fn event(&self, row: Guard) -> Result<(Arc<EventRecord>, bool), StoreError> {
        let (key, value) = row.into_inner().map_err(|error| failed(self.trees.path(), error))?;
        self.decode(&key, &value)
    }

    fn decode(&self, key: &[u8], value: &[u8]) -> Result<(Arc<EventRecord>, bool), StoreError> {
        let read = records::read_event(self.newest.writer, key, value);
        let read = read.map(|(event, indexed)| (Arc::new(event), indexed));
        read.map_err(|message| corrupt(self.trees.path(), &format!("event {key:02x?}: {message}")))
    }

    /// Events of a device that were written to be found again, newest first.
    pub(crate) fn of(
        &self,
        endpoint: &Endpoint,
        which: EventsOf,
    ) -> Result<Vec<Arc<EventRecord>>, StoreError> {
        let mut events = Vec::new();
        let until = match which.before {
            Some(before) if before.writer == self.newest.writer => before.number.min(self.newest.number + 1),
            // As the order of cursors says.
            Some(before) if before < self.newest => 0,
            Some(_) | None => self.newest.number + 1,
        };
        for segment in self.trees.segments().iter().rev() {
            if segment.first >= until || events.len() >= which.max {
                continue;
            }
            if segment.newest_ms(self)?.is_some_and(|newest_ms| newest_ms < which.from_ms) {
                continue;
            }
            let from = records::index_key(endpoint, self.oldest());
            let keys = from..records::index_key(endpoint, until);
            for row in segment.found.range(keys).rev() {
                let (key, at) = row.into_inner().map_err(|error| failed(self.trees.path(), error))?;
                let at_ms = at.as_ref().try_into().map(i64::from_be_bytes);
                let at_ms = at_ms.map_err(|_| corrupt(self.trees.path(), "a time of an event is wrong"))?;
                if !(which.from_ms..which.to_ms).contains(&at_ms) {
                    continue;
                }
                events.extend(self.found(segment, &key)?);
                if events.len() >= which.max {
                    break;
                }
            }
        }
        Ok(events)
    }

    /// The event that a row of the index names.
    fn found(&self, segment: &Segment, key: &[u8]) -> Result<Option<Arc<EventRecord>>, StoreError> {
        let number = records::read_index(key).map_err(|message| corrupt(self.trees.path(), &message))?.1;
        let key = records::number_key(number);
        let value = segment.events.get(key).map_err(|error| failed(self.trees.path(), error))?;
        value.map(|value| Ok(self.decode(&key, &value)?.0)).transpose()
    }
}

impl Segment {
    /// When its last event happened. Of the segment that is written `None`: there may be another at any time.
    pub(crate) fn newest_ms(&self, log: &Log<'_>) -> Result<Option<i64>, StoreError> {
        let is_written = log.trees.segments().last().is_none_or(|last| last.first == self.first);
        if is_written {
            return Ok(None);
        }
        if let Some(known) = self.newest_ms.get() {
            return Ok(Some(*known));
        }
        // One without any is as old as can be.
        let last = self.events.last_key_value().map(|row| log.event(row)).transpose()?;
        let newest_ms = last.map_or(i64::MIN, |(event, _)| event.at_ms);
        Ok(Some(*self.newest_ms.get_or_init(|| newest_ms)))
    }

    /// When its first event happened.
    pub(crate) fn oldest_ms(&self, log: &Log<'_>) -> Result<Option<i64>, StoreError> {
        let first = self.events.first_key_value().map(|row| log.event(row)).transpose()?;
        Ok(first.map(|(event, _)| event.at_ms))
    }
}

/// Bytes of the segment that is written, judged by its newest events: much of it may be in memory yet.
pub(crate) fn newest_bytes(trees: &Trees) -> Result<u64, StoreError> {
    let Some(segment) = trees.segments().last().cloned() else { return Ok(0) };
    let count = (newest_number(trees)? + 1).saturating_sub(segment.first);
    let (mut bytes, mut seen) = (0, 0);
    for row in segment.events.iter().rev().take(SAMPLE) {
        bytes += u64::from(row.size().map_err(|error| failed(trees.path(), error))?) + ROW_LEN;
        seen += 1;
    }
    let judged = (bytes * count).checked_div(seen).unwrap_or(0);
    Ok(judged.max(segment.events.disk_space() + segment.found.disk_space()))
}

/// The number of the newest event on the disk.
pub(crate) fn newest_number(trees: &Trees) -> Result<u64, StoreError> {
    let Some(segment) = trees.segments().last().cloned() else { return Ok(0) };
    let Some(row) = segment.events.last_key_value() else { return Ok(segment.first.saturating_sub(1)) };
    let key = row.key().map_err(|error| failed(trees.path(), error))?;
    records::read_number(&key).map_err(|message| corrupt(trees.path(), &message))
}

/// Events that a segment is judged by.
const SAMPLE: usize = 64;
/// What an event takes beside its value, with its place in the index.
const ROW_LEN: u64 = 50;
