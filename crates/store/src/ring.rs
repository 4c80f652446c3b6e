//! The event log in memory: a ring bounded by number and by bytes.

use std::collections::VecDeque;
use std::sync::Arc;

use lightship_lwm2m::Endpoint;

use crate::batch::{Cursor, EventPage, EventRecord, EventsOf, NewEvent};

/// Events of one writer in the order of their numbers, without holes.
#[derive(Debug)]
pub(crate) struct Ring {
    /// Each with whether it is found by its device.
    events: VecDeque<(Arc<EventRecord>, bool)>,
    newest: Cursor,
    bytes: usize,
    events_max: usize,
    bytes_max: usize,
}

impl Ring {
    pub(crate) fn new(writer: u32, events_max: usize, bytes_max: usize) -> Ring {
        let newest = Cursor { writer, number: 0 };
        Ring { events: VecDeque::new(), newest, bytes: 0, events_max, bytes_max }
    }

    /// Forgets all; what comes next is behind this one.
    pub(crate) fn begin_at(&mut self, newest: Cursor) {
        self.events.clear();
        self.bytes = 0;
        self.newest = newest;
    }

    /// Whether all events behind this one are here.
    pub(crate) fn covers(&self, after: Cursor) -> bool {
        let oldest = self.oldest();
        after.writer == self.newest.writer && (oldest..=self.newest.number + 1).contains(&(after.number + 1))
    }

    fn oldest(&self) -> u64 {
        self.events.front().map_or(self.newest.number + 1, |(event, _)| event.cursor.number)
    }

    pub(crate) fn newest(&self) -> Cursor {
        self.newest
    }

    pub(crate) fn push(&mut self, event: NewEvent) {
        let NewEvent { at_ms, endpoint, kind, body, indexed } = event;
        self.newest.number += 1;
        let event = EventRecord { cursor: self.newest, at_ms, endpoint, kind: kind.into(), body };
        self.bytes += weight(&event);
        self.events.push_back((Arc::new(event), indexed));
        while self.events.len() > self.events_max || self.bytes > self.bytes_max {
            match self.events.pop_front() {
                Some((old, _)) => self.bytes -= weight(&old),
                None => break,
            }
        }
    }

    pub(crate) fn page(&self, after: Option<Cursor>, max: usize) -> EventPage {
        let oldest = self.oldest();
        let (start, gap) = match after {
            None => (oldest, false),
            // A cursor from the future of this writer was never given out.
            Some(c) if c.writer != self.newest.writer || c.number > self.newest.number => (oldest, true),
            Some(c) => ((c.number + 1).max(oldest), c.number + 1 < oldest),
        };
        let skip = usize::try_from(start - oldest).unwrap_or(usize::MAX);
        let events: Vec<_> =
            self.events.iter().skip(skip).take(max).map(|(event, _)| event.clone()).collect();
        let before = Cursor { number: start - 1, ..self.newest };
        let next = events.last().map_or(before, |event| event.cursor);
        EventPage { events, gap, unreadable: None, next }
    }

    pub(crate) fn of(&self, endpoint: &Endpoint, which: EventsOf) -> Vec<Arc<EventRecord>> {
        let EventsOf { before, from_ms, to_ms, max } = which;
        let events = self.events.iter().rev().filter(|(_, indexed)| *indexed).map(|(event, _)| event);
        let events = events.filter(|event| {
            event.endpoint == *endpoint
                && (from_ms..to_ms).contains(&event.at_ms)
                && before.is_none_or(|before| event.cursor < before)
        });
        events.take(max).cloned().collect()
    }
}

fn weight(event: &EventRecord) -> usize {
    size_of::<EventRecord>() + event.body.len() + event.endpoint.as_str().len()
}
