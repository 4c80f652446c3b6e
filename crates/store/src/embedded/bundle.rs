//! Bundle: events that came together are one row of the log, and one row of its index. Under load that is hundreds in each, and the
//! engine's work is by the row.
//!
//! ```text
//! events   number of the first (8)        2 count(2) ends(4 each) [at, endpoint, kind, body, indexed] …
//! found    0x00 number of the first (8)   1 (hash of the endpoint(4) place in the bundle(2)) …, ascending
//! ```
//! The hash only says where to look: what is found there is compared with the endpoint.

use fjall::Slice;
use lightship_lwm2m::Endpoint;

use super::records;
use crate::batch::{EventRecord, NewEvent};

/// Events on their way into the log as one row.
#[derive(Debug)]
pub(crate) struct Bundle {
    pub(crate) events: Vec<NewEvent>,
    pub(crate) value: Slice,
    /// Nothing if none of them is found by its device.
    pub(crate) found: Option<Slice>,
}

/// Makes bundles of events, in their order.
pub(crate) fn bundles(events: Vec<NewEvent>) -> Vec<Bundle> {
    let mut bundles = Vec::new();
    let mut events = events.into_iter().peekable();
    while events.peek().is_some() {
        let (mut rows, mut ends, mut taken) = (Vec::with_capacity(BYTES_MAX + 4096), Vec::new(), Vec::new());
        while taken.len() < EVENTS_MAX
            && let Some(event) = events.next_if(|_| rows.len() < BYTES_MAX)
        {
            records::append_event(&mut rows, &event);
            ends.push(u32::try_from(rows.len()).unwrap_or(u32::MAX));
            taken.push(event);
        }
        bundles.push(Bundle { value: value(&rows, &ends), found: index(&taken), events: taken });
    }
    bundles
}

fn value(rows: &[u8], ends: &[u32]) -> Slice {
    let count = u16::try_from(ends.len()).unwrap_or(u16::MAX);
    let mut value = Vec::with_capacity(3 + 4 * ends.len() + rows.len());
    value.push(records::BUNDLE);
    value.extend_from_slice(&count.to_be_bytes());
    ends.iter().for_each(|end| value.extend_from_slice(&end.to_be_bytes()));
    value.extend_from_slice(rows);
    value.into()
}

fn index(events: &[NewEvent]) -> Option<Slice> {
    let indexed = (0_u16..).zip(events).filter(|(_, event)| event.indexed);
    let mut places: Vec<(u32, u16)> = indexed.map(|(place, event)| (hash(&event.endpoint), place)).collect();
    if places.is_empty() {
        return None;
    }
    places.sort_unstable();
    let mut value = Vec::with_capacity(1 + ENTRY_LEN * places.len());
    value.push(INDEX);
    for (hash, place) in places {
        value.extend_from_slice(&hash.to_be_bytes());
        value.extend_from_slice(&place.to_be_bytes());
    }
    Some(value.into())
}

/// The key of a bundle in the index. No endpoint begins with a zero byte.
pub(crate) fn index_key(first: u64) -> [u8; 9] {
    let mut key = [0; 9];
    key[1..].copy_from_slice(&records::number_key(first));
    key
}

/// The first event of the bundle that a key of the index names; `None` if it names an event of a device.
pub(crate) fn read_index_key(key: &[u8]) -> Option<u64> {
    let (zero, number) = key.split_first()?;
    if *zero == 0 { records::read_number(number).ok() } else { None }
}

/// The places in a bundle that may be events of that endpoint, ascending.
pub(crate) fn places(value: &[u8], endpoint: &Endpoint) -> Result<Vec<u16>, String> {
    let entries = entries(value)?;
    let wanted = hash(endpoint).to_be_bytes();
    let from = entries.partition_point(|entry| entry[..4] < wanted[..]);
    let same = entries.iter().skip(from).take_while(|entry| entry[..4] == wanted[..]);
    Ok(same.map(|entry| u16::from_be_bytes([entry[4], entry[5]])).collect())
}

/// How many events an index holds.
pub(crate) fn places_len(value: &[u8]) -> Result<usize, String> {
    Ok(entries(value)?.len())
}

fn entries(value: &[u8]) -> Result<&[[u8; ENTRY_LEN]], String> {
    match value.split_first() {
        Some((&INDEX, rest)) => match rest.as_chunks() {
            (entries, []) => Ok(entries),
            _ => Err("an index of a bundle is cut off".to_owned()),
        },
        other => Err(format!("an index of a bundle begins with {:?}", other.map(|(version, _)| version))),
    }
}

/// The same in every process: it lies on the disk.
#[allow(clippy::cast_possible_truncation, reason = "the two halves of a product, and of a hash")]
fn hash(endpoint: &Endpoint) -> u32 {
    let fold = |state: u64, word: u64| {
        let product = u128::from(state ^ word) * u128::from(FACTOR);
        product as u64 ^ (product >> 64) as u64
    };
    let (words, rest) = endpoint.as_str().as_bytes().as_chunks::<8>();
    let state = words.iter().fold(FACTOR, |state, word| fold(state, u64::from_be_bytes(*word)));
    let mut last = [0; 8];
    last[..rest.len()].copy_from_slice(rest);
    (fold(state, u64::from_be_bytes(last)) >> 32) as u32
}

/// A row of the log: one event, or a bundle.
pub(crate) struct EventRow<'a> {
    writer: u32,
    pub(crate) first: u64,
    content: Content<'a>,
}

enum Content<'a> {
    One(&'a [u8]),
    Many { ends: &'a [[u8; 4]], rows: &'a [u8] },
}

impl<'a> EventRow<'a> {
    pub(crate) fn read(writer: u32, key: &[u8], value: &'a [u8]) -> Result<EventRow<'a>, String> {
        let first = records::read_number(key)?;
        let (version, rest) = value.split_first().ok_or_else(|| "an empty value".to_owned())?;
        let content = match *version {
            records::EVENT => Content::One(rest),
            records::BUNDLE => {
                let cut_off = || "a bundle is cut off".to_owned();
                let (count, rest) = rest.split_first_chunk().ok_or_else(cut_off)?;
                let count = usize::from(u16::from_be_bytes(*count));
                let (ends, rows) = rest.split_at_checked(4 * count).ok_or_else(cut_off)?;
                if count == 0 {
                    return Err("a bundle of nothing".to_owned());
                }
                Content::Many { ends: ends.as_chunks().0, rows }
            }
            other => return Err(format!("version {other}, this program knows up to {}", records::BUNDLE)),
        };
        Ok(EventRow { writer, first, content })
    }

    /// How many events it holds; one at least.
    pub(crate) fn len(&self) -> u64 {
        match &self.content {
            Content::One(_) => 1,
            Content::Many { ends, .. } => u64::try_from(ends.len()).unwrap_or(u64::MAX),
        }
    }

    pub(crate) fn last(&self) -> u64 {
        self.first + self.len() - 1
    }

    /// The event of that number, and whether it is found by its device.
    pub(crate) fn event(&self, number: u64) -> Result<(EventRecord, bool), String> {
        let nothing = || format!("there is no event {number} in the row of {}", self.first);
        let place = number.checked_sub(self.first).and_then(|place| usize::try_from(place).ok());
        let place = place.ok_or_else(nothing)?;
        let bytes = match &self.content {
            Content::One(bytes) if place == 0 => *bytes,
            Content::One(_) => return Err(nothing()),
            Content::Many { ends, rows } => {
                let end = |place: usize| ends.get(place).map(|end| u32::from_be_bytes(*end));
                let from = place.checked_sub(1).map_or(Some(0), end).ok_or_else(nothing)?;
                let to = end(place).ok_or_else(nothing)?;
                let at = |end: u32| usize::try_from(end).unwrap_or(usize::MAX);
                rows.get(at(from)..at(to)).ok_or_else(|| "a bundle is cut off".to_owned())?
            }
        };
        records::read_event(self.writer, number, bytes)
    }

    /// Its events from that number on.
    pub(crate) fn events_from(
        &self,
        number: u64,
    ) -> impl Iterator<Item = Result<(EventRecord, bool), String>> {
        (number.max(self.first)..=self.last()).map(|number| self.event(number))
    }
}

/// A row of the log holds no more events, and no more bytes before its last one: whoever reads one event reads its row.
pub(crate) const EVENTS_MAX: usize = 512;
const BYTES_MAX: usize = 60 << 10;
/// Fewer events than this are a row each.
pub(crate) const EVENTS_MIN: usize = 16;
const INDEX: u8 = 1;
const ENTRY_LEN: usize = 6;
/// Any odd number with many bits (π's digits).
const FACTOR: u64 = 0x243f_6a88_85a3_08d3;

#[cfg(test)]
mod tests {
    use super::*;

    fn event(number: u64, len: usize) -> NewEvent {
        let endpoint = Endpoint::new(&format!("device-{}", number % 100)).expect("a name");
        let at_ms = i64::try_from(number).expect("small");
        NewEvent {
            at_ms,
            endpoint,
            kind: "sent",
            body: "x".repeat(len).into(),
            indexed: !number.is_multiple_of(3),
        }
    }

    #[test]
    fn bundles_hold_all_events_in_their_order_and_find_them() {
        let lens = [0, 37, 150, 500, 899, 12, 300];
        let events: Vec<NewEvent> = (1..=2000)
            .map(|number| event(number, lens[usize::try_from(number).expect("small") % 7]))
            .collect();
        let bundles = bundles(events.clone());
        let mut next = 1;
        for bundle in &bundles {
            let key = records::number_key(next);
            let row = EventRow::read(7, &key, &bundle.value).expect("a row");
            assert_eq!(usize::try_from(row.len()).ok(), Some(bundle.events.len()));
            assert!(
                bundle.events.len() <= EVENTS_MAX && bundle.value.len() < BYTES_MAX + 4 * EVENTS_MAX + 1100
            );
            for (place, result) in row.events_from(0).enumerate() {
                let (read, indexed) = result.expect("an event");
                let wrote = &events[usize::try_from(read.cursor.number).expect("small") - 1];
                assert_eq!(
                    (&read.endpoint, &*read.body, read.at_ms),
                    (&wrote.endpoint, &*wrote.body, wrote.at_ms)
                );
                assert_eq!((read.cursor.number, indexed), (next + place as u64, wrote.indexed));
                let found =
                    places(bundle.found.as_deref().expect("an index"), &read.endpoint).expect("places");
                assert_eq!(found.contains(&u16::try_from(place).expect("small")), indexed);
            }
            let indexed = bundle.events.iter().filter(|event| event.indexed).count();
            assert_eq!(places_len(bundle.found.as_deref().expect("an index")), Ok(indexed));
            assert!(row.event(row.last() + 1).is_err() && row.event(next - 1).is_err());
            next = row.last() + 1;
        }
        assert_eq!(next, 2001);
        assert!(bundles.len() > 4, "neither too long nor too short: {}", bundles.len());
    }

    #[test]
    fn what_is_cut_off_is_refused() {
        let bundle = &bundles((1..=20).map(|number| event(number, 10)).collect())[0];
        let key = records::number_key(1);
        for len in 0..bundle.value.len() {
            let row = EventRow::read(7, &key, &bundle.value[..len]);
            let read = row.and_then(|row| row.events_from(1).collect::<Result<Vec<_>, _>>());
            assert!(read.is_err(), "{len} bytes");
        }
        assert!(places(&[], &bundle.events[0].endpoint).is_err());
        assert!(places(&[2], &bundle.events[0].endpoint).is_err());
        assert!(places(&[1, 0], &bundle.events[0].endpoint).is_err());
    }

    #[test]
    fn an_event_that_none_looks_for_by_its_device_needs_no_index() {
        let events = (1..=20).map(|number| NewEvent { indexed: false, ..event(number, 5) }).collect();
        assert!(bundles(events).iter().all(|bundle| bundle.found.is_none()));
    }
}
