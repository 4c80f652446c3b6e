//! Around what is damaged: a block of the log that cannot be read takes the events in it, and no others. The library's way through a tree
//! stops there and loses a row before it, so here events are looked up one by one.

use std::collections::BTreeMap;
use std::sync::Arc;

use fjall::Slice;

use super::bundle::{EVENTS_MAX, EventRow};
use super::log::Log;
use super::records;
use super::trees::{Segment, corrupt, failed};
use crate::StoreError;
use crate::batch::{EventRecord, Unreadable};

/// One by one through a segment.
pub(crate) struct Around<'a> {
    log: &'a Log<'a>,
    segment: &'a Segment,
    /// The last row that was found, with the number of its first event.
    row: Option<(u64, Slice)>,
}

impl<'a> Around<'a> {
    pub(crate) fn new(log: &'a Log<'a>, segment: &'a Segment) -> Around<'a> {
        Around { log, segment, row: None }
    }

    /// Adds the events of these numbers, as far as the first that cannot be read; gives those, as many as there are in a row. Many are
    /// given piece by piece.
    ///
    /// # Errors
    /// For whatever is no damage.
    pub(crate) fn read(
        mut self,
        numbers: std::ops::RangeInclusive<u64>,
        max: usize,
        events: &mut Vec<Arc<EventRecord>>,
    ) -> Result<Option<Unreadable>, StoreError> {
        self.enter(*numbers.start())?;
        let mut unreadable: Option<Unreadable> = None;
        for number in numbers {
            if events.len() >= max {
                break;
            }
            match self.event(number)? {
                Some(_) if unreadable.is_some() => break,
                Some((event, _)) => events.push(Arc::new(event)),
                None => {
                    let here = Unreadable { first: number, last: number }.and(unreadable);
                    unreadable = Some(here);
                    if here.last - here.first >= PROBES_MAX {
                        break;
                    }
                }
            }
        }
        Ok(unreadable)
    }

    /// The first event of these numbers that can be read, and not one further than some thousand away.
    pub(crate) fn first(
        mut self,
        numbers: impl Iterator<Item = u64>,
    ) -> Result<Option<EventRecord>, StoreError> {
        for number in numbers.take(usize::try_from(PROBES_MAX).unwrap_or(usize::MAX)) {
            if let Some((event, _)) = self.event(number)? {
                return Ok(Some(event));
            }
        }
        Ok(None)
    }

    /// Looks for the row that holds this event: it may be in the middle of a bundle.
    pub(crate) fn enter(&mut self, number: u64) -> Result<(), StoreError> {
        let bundle_max = u64::try_from(EVENTS_MAX).unwrap_or(u64::MAX);
        for first in (self.segment.first.max(number.saturating_sub(bundle_max))..number).rev() {
            if let Some(row) = self.row_at(first)? {
                self.row = Some((first, row));
                break;
            }
        }
        Ok(())
    }

    /// The event of that number, with whether it is found by its device; `None` when it cannot be read.
    pub(crate) fn event(&mut self, number: u64) -> Result<Option<(EventRecord, bool)>, StoreError> {
        if let Some(event) = self.in_row(number) {
            return Ok(event);
        }
        self.row = self.row_at(number)?.map(|row| (number, row));
        Ok(self.in_row(number).flatten())
    }

    /// The event of that number if it belongs into the row that was found last.
    fn in_row(&self, number: u64) -> Option<Option<(EventRecord, bool)>> {
        let (first, value) = self.row.as_ref()?;
        let row = EventRow::read(self.log.newest.writer, &records::number_key(*first), value).ok()?;
        (row.first..=row.last()).contains(&number).then(|| row.event(number).ok())
    }

    fn row_at(&self, first: u64) -> Result<Option<Slice>, StoreError> {
        let path = self.log.trees.path();
        // A block that is damaged in a way that the library did not think of must not end the process.
        let key = records::number_key(first);
        let found = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| self.segment.events.get(key)));
        let found = found.map_or_else(
            |_| Err(corrupt(path, "it cannot be read")),
            |found| found.map_err(|error| failed(path, error)),
        );
        match found {
            Err(error) if error.is_damage() => Ok(None),
            found => found,
        }
    }
}

/// What readers have found damaged.
#[derive(Debug, Default)]
pub(crate) struct Damage {
    /// The last of each stretch by its first; they neither overlap nor touch.
    stretches: BTreeMap<u64, u64>,
}

impl Damage {
    /// One more; true if that was not known.
    pub(crate) fn add(&mut self, found: Unreadable) -> bool {
        let reaches = |(first, last): (&u64, &u64)| {
            *last >= found.first.saturating_sub(1) && *first <= found.last.saturating_add(1)
        };
        let near: Vec<(u64, u64)> = self
            .stretches
            .iter()
            .filter(|stretch| reaches(*stretch))
            .map(|(first, last)| (*first, *last))
            .collect();
        if near.iter().any(|(first, last)| *first <= found.first && found.last <= *last)
            || near.is_empty() && self.stretches.len() >= STRETCHES_MAX
        {
            return false;
        }
        let whole = near
            .iter()
            .fold(found, |whole, (first, last)| whole.and(Some(Unreadable { first: *first, last: *last })));
        for (first, _) in &near {
            self.stretches.remove(first);
        }
        self.stretches.insert(whole.first, whole.last);
        true
    }

    /// All of it that is still part of the log.
    pub(crate) fn since(&self, oldest: u64) -> Vec<Unreadable> {
        let stretches = self.stretches.iter().filter(|(_, last)| **last >= oldest);
        stretches.map(|(first, last)| Unreadable { first: (*first).max(oldest), last: *last }).collect()
    }
}

/// Events that are looked for in vain before others have their turn.
const PROBES_MAX: u64 = 4096;
/// Stretches that are remembered.
const STRETCHES_MAX: usize = 1024;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stretches_that_touch_are_one() {
        let mut damage = Damage::default();
        let stretch = |first, last| Unreadable { first, last };
        assert!(damage.add(stretch(5, 9)) && damage.add(stretch(20, 30)));
        assert!(!damage.add(stretch(6, 9)), "known");
        assert!(damage.add(stretch(10, 12)) && damage.add(stretch(3, 4)));
        assert_eq!(damage.since(1), [stretch(3, 12), stretch(20, 30)]);
        assert!(damage.add(stretch(1, 40)));
        assert_eq!(damage.since(10), [stretch(10, 40)]);
        assert_eq!(damage.since(41), []);
    }
}
