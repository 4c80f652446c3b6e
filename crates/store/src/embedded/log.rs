//! Reading the log: pages of all events, and events of one device.

use std::ops::RangeInclusive;
use std::sync::Arc;

use fjall::{AbstractTree, Guard};
use lightship_lwm2m::Endpoint;

use super::around::Around;
use super::bundle::{self, EventRow};
use super::records;
use super::trees::{Segment, Trees, corrupt, failed, shown};
use crate::StoreError;
use crate::batch::{Cursor, EventPage, EventRecord, EventsFound, EventsOf, Unreadable};

/// A view of the log up to an event.
pub(crate) struct Log<'a> {
    pub(crate) trees: &'a Trees,
    /// What was missing already when it came here, in order.
    pub(crate) missing: &'a [Unreadable],
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
        let mut unreadable = None;
        let segments = self.trees.segments();
        for (place, segment) in segments.iter().enumerate() {
            let next = segments.get(place + 1).map(|next| next.first);
            if next.is_some_and(|next| next <= start) || start > newest.number || unreadable.is_some() {
                continue;
            }
            let last = next.map_or(newest.number, |next| next - 1).min(newest.number);
            match self.stretch(segment, start.max(segment.first)..=last, max, &mut events) {
                Err(error) if error.is_damage() => {
                    let from = events.last().map_or(start, |event| event.cursor.number + 1);
                    let numbers = from.max(segment.first)..=last;
                    unreadable = Around::new(self, segment).read(numbers, max, &mut events)?;
                }
                read => read?,
            }
        }
        let number = unreadable.map_or_else(
            || events.last().map_or(start - 1, |event| event.cursor.number),
            |unreadable| unreadable.last,
        );
        Ok(EventPage { events, gap, unreadable, next: Cursor { number, ..newest } })
    }

    /// Adds the events of a segment with these numbers, as far as one that is missing.
    fn stretch(
        &self,
        segment: &Segment,
        numbers: RangeInclusive<u64>,
        max: usize,
        events: &mut Vec<Arc<EventRecord>>,
    ) -> Result<(), StoreError> {
        let (start, last) = (*numbers.start(), *numbers.end());
        // The first may be in the middle of a bundle.
        let first = segment.events.range(..=records::number_key(start)).next_back();
        let first =
            first.map(|row| row.key().map_err(|error| failed(self.trees.path(), error))).transpose()?;
        let from = first.unwrap_or_else(|| records::number_key(start).into());
        let mut next = start;
        for row in segment.events.range(from..=records::number_key(last).into()) {
            if events.len() >= max {
                return Ok(());
            }
            self.each_of(row, start, |event, _| {
                if event.cursor.number == next && next <= last && events.len() < max {
                    next += 1;
                    events.push(Arc::new(event));
                }
            })?;
        }
        if next <= last && events.len() < max {
            return Err(corrupt(self.trees.path(), &format!("event {next} is missing")));
        }
        Ok(())
    }

    /// Shows the events of a row from a number on, each with whether it is found by its device.
    pub(crate) fn each_of(
        &self,
        row: Guard,
        from: u64,
        mut visit: impl FnMut(EventRecord, bool),
    ) -> Result<(), StoreError> {
        self.read(row, |row| {
            for event in row.events_from(from) {
                let (event, indexed) = event?;
                visit(event, indexed);
            }
            Ok(())
        })
    }

    fn read<T>(
        &self,
        row: Guard,
        read: impl FnOnce(&EventRow<'_>) -> Result<T, String>,
    ) -> Result<T, StoreError> {
        let (key, value) = row.into_inner().map_err(|error| failed(self.trees.path(), error))?;
        let read = EventRow::read(self.newest.writer, &key, &value).and_then(|row| read(&row));
        read.map_err(|message| self.damaged(&key, &message))
    }

    fn damaged(&self, key: &[u8], message: &str) -> StoreError {
        corrupt(self.trees.path(), &format!("event {}: {message}", shown(key)))
    }

    /// Events of a device that were written to be found again, newest first.
    pub(crate) fn of(&self, endpoint: &Endpoint, which: EventsOf) -> Result<EventsFound, StoreError> {
        let mut found = EventsFound::default();
        let until = match which.before {
            Some(before) if before.writer == self.newest.writer => before.number.min(self.newest.number + 1),
            // As the order of cursors says.
            Some(before) if before < self.newest => 0,
            Some(_) | None => self.newest.number + 1,
        };
        let mut last = self.newest.number;
        for segment in self.trees.segments().iter().rev() {
            let numbers = Unreadable { first: segment.first, last };
            last = segment.first.saturating_sub(1);
            if segment.first >= until || found.events.len() >= which.max {
                continue;
            }
            if segment.newest_ms(self)?.is_some_and(|newest_ms| newest_ms < which.from_ms) {
                continue;
            }
            match self.of_segment(segment, endpoint, which, until, &mut found) {
                // The index is damaged: it may be any of those that are left here.
                Err(error) if error.is_damage() => {
                    let seen = found.events.last().map(|event| event.cursor.number - 1);
                    let left = numbers.last.min(until - 1).min(seen.unwrap_or(u64::MAX));
                    if left >= numbers.first {
                        found.unreadable = Some(Unreadable { last: left, ..numbers }.and(found.unreadable));
                    }
                }
                read => read?,
            }
        }
        // No index knows of what never came here.
        let full = found.events.len() >= which.max;
        let looked_from = found.events.last().filter(|_| full).map_or(0, |event| event.cursor.number);
        for stretch in self.missing {
            let (first, last) =
                (stretch.first.max(self.oldest()).max(looked_from), stretch.last.min(until - 1));
            if first <= last {
                found.unreadable = Some(Unreadable { first, last }.and(found.unreadable));
            }
        }
        Ok(found)
    }

    fn of_segment(
        &self,
        segment: &Segment,
        endpoint: &Endpoint,
        which: EventsOf,
        until: u64,
        found: &mut EventsFound,
    ) -> Result<(), StoreError> {
        let (mut single, mut bundled) = (
            self.single(segment, endpoint, until).peekable(),
            self.bundled(segment, endpoint, until).peekable(),
        );
        while found.events.len() < which.max {
            // The newer of the two. What cannot be read comes first.
            let number = |place: Option<&Result<Place, StoreError>>| match place {
                Some(Ok(place)) => place.number,
                Some(Err(_)) => u64::MAX,
                None => 0,
            };
            let next =
                if number(single.peek()) > number(bundled.peek()) { single.next() } else { bundled.next() };
            let Some(place) = next.transpose()? else { break };
            if place.at_ms.is_some_and(|at_ms| !(which.from_ms..which.to_ms).contains(&at_ms)) {
                continue;
            }
            match self.found(segment, &place) {
                // In a bundle a place may be that of another device.
                Ok(event) => {
                    found.events.extend(event.filter(|event| which.is(endpoint, event)).map(Arc::new))
                }
                Err(error) if error.is_damage() => {
                    let here = Unreadable { first: place.number, last: place.number };
                    found.unreadable = Some(here.and(found.unreadable));
                }
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    /// Events of a device that are a row of the index each, newest first.
    fn single(
        &self,
        segment: &Segment,
        endpoint: &Endpoint,
        until: u64,
    ) -> impl Iterator<Item = Result<Place, StoreError>> {
        let keys = records::index_key(endpoint, self.oldest())..records::index_key(endpoint, until);
        segment.found.range(keys).rev().map(|row| {
            let (key, at) = row.into_inner().map_err(|error| failed(self.trees.path(), error))?;
            let number = records::read_index(&key).map_err(|message| corrupt(self.trees.path(), &message))?.1;
            let at_ms = at.as_ref().try_into().map(i64::from_be_bytes);
            let at_ms = at_ms.map_err(|_| corrupt(self.trees.path(), "a time of an event is wrong"))?;
            Ok(Place { row: number, number, at_ms: Some(at_ms) })
        })
    }

    /// Events in bundles that may be those of a device, newest first.
    fn bundled(
        &self,
        segment: &Segment,
        endpoint: &Endpoint,
        until: u64,
    ) -> impl Iterator<Item = Result<Place, StoreError>> {
        let (endpoint, oldest) = (endpoint.clone(), self.oldest());
        let keys = bundle::index_key(0)..bundle::index_key(until);
        segment.found.range(keys).rev().flat_map(move |row| {
            let places = row.into_inner().map_err(|error| failed(self.trees.path(), error)).and_then(
                |(key, value)| {
                    let first = bundle::read_index_key(&key)
                        .ok_or_else(|| self.damaged(&key, "no index of a bundle"))?;
                    let places =
                        bundle::places(&value, &endpoint).map_err(|message| self.damaged(&key, &message))?;
                    Ok((first, places))
                },
            );
            let (first, places, failed) = match places {
                Ok((first, places)) => (first, places, None),
                Err(error) => (0, Vec::new(), Some(Err(error))),
            };
            let places = places.into_iter().rev().map(move |place| first + u64::from(place));
            let places = places.filter(move |number| (oldest..until).contains(number));
            failed.into_iter().chain(places.map(move |number| Ok(Place { row: first, number, at_ms: None })))
        })
    }

    /// The event at a place.
    fn found(&self, segment: &Segment, place: &Place) -> Result<Option<EventRecord>, StoreError> {
        let key = records::number_key(place.row);
        let value = segment.events.get(key).map_err(|error| failed(self.trees.path(), error))?;
        let event = |value: fjall::Slice| {
            let row = EventRow::read(self.newest.writer, &key, &value)?;
            Ok(row.event(place.number)?.0)
        };
        value.map(event).transpose().map_err(|message: String| self.damaged(&key, &message))
    }
}

/// Where an event is.
struct Place {
    /// The row that holds it.
    row: u64,
    number: u64,
    /// When it happened, if the index says so.
    at_ms: Option<i64>,
}

impl EventsOf {
    /// Whether this is an event of that device, of the time that is looked for.
    fn is(&self, endpoint: &Endpoint, event: &EventRecord) -> bool {
        event.endpoint == *endpoint && (self.from_ms..self.to_ms).contains(&event.at_ms)
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
        let last = self.events.last_key_value();
        let last = last.map(|row| log.read(row, |row| row.event(row.last()))).transpose();
        let newest_ms = match last {
            // Of one that is damaged so is the last event that can be read, or it is not known.
            Err(error) if error.is_damage() => {
                let segments = log.trees.segments();
                let next = segments.iter().map(|next| next.first).find(|first| *first > self.first);
                let numbers = (self.first..next.unwrap_or(self.first)).rev();
                match Around::new(log, self).first(numbers)? {
                    Some(event) => event.at_ms,
                    None => return Ok(None),
                }
            }
            last => last?.map_or(i64::MIN, |(event, _)| event.at_ms),
        };
        Ok(Some(*self.newest_ms.get_or_init(|| newest_ms)))
    }

    /// When its first event happened.
    pub(crate) fn oldest_ms(&self, log: &Log<'_>) -> Result<Option<i64>, StoreError> {
        let first = self.events.first_key_value();
        match first.map(|row| log.read(row, |row| row.event(row.first))).transpose() {
            Err(error) if error.is_damage() => {
                let first = Around::new(log, self).first(self.first..=log.newest.number)?;
                Ok(first.map(|event| event.at_ms))
            }
            first => Ok(first?.map(|(event, _)| event.at_ms)),
        }
    }
}

/// Bytes of the segment that is written, judged by its newest events: much of it may be in memory yet.
pub(crate) fn newest_bytes(trees: &Trees) -> Result<u64, StoreError> {
    let Some(segment) = trees.segments().last().cloned() else { return Ok(0) };
    let count = (newest_number(trees)? + 1).saturating_sub(segment.first);
    let (mut bytes, mut seen) = (0, 0);
    for row in segment.events.iter().rev() {
        let (key, value) = row.into_inner().map_err(|error| failed(trees.path(), error))?;
        let row = EventRow::read(0, &key, &value).map_err(|message| corrupt(trees.path(), &message))?;
        bytes += u64::try_from(value.len()).unwrap_or(0) + ROW_LEN;
        seen += row.len();
        if seen >= SAMPLE {
            break;
        }
    }
    let judged = (bytes * count).checked_div(seen).unwrap_or(0);
    Ok(judged.max(segment.events.disk_space() + segment.found.disk_space()))
}

/// The number of the newest event on the disk.
pub(crate) fn newest_number(trees: &Trees) -> Result<u64, StoreError> {
    let Some(segment) = trees.segments().last().cloned() else { return Ok(0) };
    let Some(row) = segment.events.last_key_value() else { return Ok(segment.first.saturating_sub(1)) };
    last_of(trees, row)
}

/// The number that the newest event has at most, where the end of the log is damaged: tables know their keys beside their blocks.
pub(crate) fn newest_number_max(trees: &Trees) -> Result<u64, StoreError> {
    let Some(segment) = trees.segments().last().cloned() else { return Ok(0) };
    let version = segment.events.tree.current_version();
    let firsts = version.iter_tables().map(|table| records::read_number(table.metadata.key_range.max()));
    let first = firsts.collect::<Result<Vec<u64>, String>>();
    let first = first.map_err(|message| corrupt(trees.path(), &message))?.into_iter().max();
    let first = first.unwrap_or(segment.first);
    // What is in no table yet comes from the write-ahead log, which has checksums of its own.
    match segment.events.range(records::number_key(first + 1)..).next_back() {
        Some(row) => last_of(trees, row),
        None => Ok(first + u64::try_from(bundle::EVENTS_MAX).unwrap_or(u64::MAX) - 1),
    }
}

fn last_of(trees: &Trees, row: Guard) -> Result<u64, StoreError> {
    let (key, value) = row.into_inner().map_err(|error| failed(trees.path(), error))?;
    let row = EventRow::read(0, &key, &value).map_err(|message| corrupt(trees.path(), &message))?;
    Ok(row.last())
}

/// Events that a segment is judged by.
const SAMPLE: u64 = 64;
/// What a row takes beside its value, with its place in the index.
const ROW_LEN: u64 = 50;
