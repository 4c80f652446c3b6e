//! The whole of a store: to look whether it is sound, and to write it out.

use std::collections::BTreeMap;
use std::fmt::Display;
use std::ops::RangeInclusive;

use fjall::Guard;
use lightship_lwm2m::{Endpoint, Path};

use super::around::Around;
use super::bundle::{self, EventRow};
use super::draft::{COUNTS, Counts, read_counts};
use super::log::Log;
use super::trees::{Segment, Tree, Trees, among, shown, words};
use super::{EmbeddedStore, decoded, records};
use crate::StoreError;
use crate::access::{AuditRecord, TokenRecord};
use crate::batch::{Cursor, DocumentKey, EventRecord, RegistrationRecord, Unreadable, WantedObservation};
use crate::command::CommandRecord;
use crate::credential::CredentialRecord;

/// The log of a store: its name, and the numbers of the events that are kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Head {
    /// Its name.
    pub writer: u32,
    /// The oldest event; one more than the newest if there is none.
    pub oldest: u64,
    /// The newest event; 0 if there never was one.
    pub newest: u64,
}

/// One thing that a store holds.
#[derive(Clone, Debug, PartialEq)]
pub enum Entry {
    /// A registration.
    Registration(RegistrationRecord),
    /// What is wanted to be observed.
    Wanted {
        /// On which device.
        endpoint: Endpoint,
        /// What.
        observation: WantedObservation,
    },
    /// A command.
    Command(CommandRecord),
    /// A bootstrap document.
    Document {
        /// For whom.
        key: DocumentKey,
        /// The document.
        body: std::sync::Arc<str>,
    },
    /// A credential; what is secret in it is sealed.
    Credential(CredentialRecord),
    /// What was heard last of a Resource or Resource Instance.
    Value {
        /// Of which device.
        endpoint: Endpoint,
        /// Of what.
        path: Path,
        /// The value, in the words of whoever shows it.
        value: std::sync::Arc<[u8]>,
    },
    /// A note of somebody's.
    Note {
        /// Its name.
        name: std::sync::Arc<str>,
        /// What it says.
        body: std::sync::Arc<str>,
    },
    /// A token; its secret is not in it.
    Token(TokenRecord),
    /// What somebody did.
    Audit(AuditRecord),
    /// An event, in the order of the log.
    Event {
        /// The event.
        event: EventRecord,
        /// Whether it is found by its device.
        indexed: bool,
    },
    /// Events that cannot be read any more, at their place in the log.
    Missing(Unreadable),
}

/// What a check has found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Report {
    /// How many there are of each kind, by name.
    pub counts: BTreeMap<&'static str, u64>,
    /// The first event that is kept, and the last; none when there is none.
    pub events: Option<(u64, u64)>,
    /// What is wrong, in plain words: the first of it.
    pub problems: Vec<String>,
    /// How much is wrong.
    pub problems_count: u64,
}

impl Report {
    /// One more thing is wrong.
    pub fn problem(&mut self, problem: impl Display) {
        self.problems_count += 1;
        if self.problems.len() < PROBLEMS_MAX {
            self.problems.push(problem.to_string());
        }
    }

    fn missing(&mut self, log: &Log<'_>, stretch: Unreadable) {
        let cursor = |number| Cursor { number, ..log.newest };
        let (first, last) = (cursor(stretch.first), cursor(stretch.last));
        self.problem(format_args!("events {first} to {last} are missing"));
    }

    /// Reads all rows of a tree; those that cannot be read are problems. Gives the first of these.
    fn each<T>(
        &mut self,
        what: &'static str,
        rows: impl Iterator<Item = Guard>,
        read: impl Fn(&[u8], &[u8]) -> Result<T, String>,
        mut visit: impl FnMut(&mut Report, T),
    ) -> Option<String> {
        let (mut count, mut unread) = (0, None);
        for row in rows {
            let read = match row.into_inner() {
                Ok((key, value)) => {
                    read(&key, &value).map_err(|message| format!("{}: {message}", shown(&key)))
                }
                Err(error) => Err(words(&error)),
            };
            count += 1;
            match read {
                Ok(read) => visit(self, read),
                Err(message) => {
                    self.problem(format_args!("{what}: {message}"));
                    unread.get_or_insert(message);
                }
            }
        }
        *self.counts.entry(what).or_default() += count;
        unread
    }
}

impl EmbeddedStore {
    /// Its log.
    ///
    /// # Errors
    /// See [`StoreError`].
    pub fn head(&self) -> Result<Head, StoreError> {
        let trees = self.shared.readable()?;
        let log = self.shared.log(&trees);
        Ok(Head { writer: log.newest.writer, oldest: log.oldest(), newest: log.newest.number })
    }

    /// Shows everything it holds until `visit` wants no more; it blocks its thread.
    ///
    /// # Errors
    /// When something cannot be read, or what `visit` says.
    pub fn each_entry<E: From<StoreError>>(
        &self,
        mut visit: impl FnMut(Entry) -> Result<(), E>,
    ) -> Result<(), E> {
        let trees = self.shared.readable()?;
        let log = self.shared.log(&trees);
        for row in trees.tree(Tree::Registrations)?.iter() {
            visit(Entry::Registration(
                decoded(&trees, row, records::read_registration).map_err(among("registrations"))?,
            ))?;
        }
        for row in trees.tree(Tree::Wanted)?.iter() {
            let (endpoint, observation) =
                decoded(&trees, row, records::read_wanted).map_err(among("wanted observations"))?;
            visit(Entry::Wanted { endpoint, observation })?;
        }
        for row in trees.tree(Tree::Commands)?.iter() {
            visit(Entry::Command(decoded(&trees, row, records::read_command).map_err(among("commands"))?))?;
        }
        for row in trees.tree(Tree::Documents)?.iter() {
            let (key, body) =
                decoded(&trees, row, records::read_document).map_err(among("bootstrap documents"))?;
            visit(Entry::Document { key, body })?;
        }
        for row in trees.tree(Tree::Credentials)?.iter() {
            visit(Entry::Credential(
                decoded(&trees, row, records::read_credential).map_err(among("credentials"))?,
            ))?;
        }
        for row in trees.tree(Tree::Values)?.iter() {
            visit(decoded(&trees, row, value_entry).map_err(among("last values"))?)?;
        }
        for row in trees.tree(Tree::Notes)?.iter() {
            let (name, body) = decoded(&trees, row, records::read_note).map_err(among("notes"))?;
            visit(Entry::Note { name, body })?;
        }
        for row in trees.tree(Tree::Tokens)?.iter() {
            visit(Entry::Token(decoded(&trees, row, records::read_token).map_err(among("tokens"))?))?;
        }
        for row in trees.tree(Tree::Audit)?.iter() {
            visit(Entry::Audit(decoded(&trees, row, records::read_audit).map_err(among("audit entries"))?))?;
        }
        let segments = trees.segments();
        let mut from = log.oldest();
        for (place, segment) in segments.iter().enumerate() {
            let last = segments.get(place + 1).map_or(log.newest.number, |next| next.first - 1);
            if from <= last {
                each_event(&log, segment, from..=last, &mut visit)?;
                from = last + 1;
            }
        }
        Ok(())
    }

    /// Reads everything and compares what must agree; it blocks its thread.
    ///
    /// # Errors
    /// When nothing can be read at all. What is damaged is in the report.
    pub fn check(&self) -> Result<Report, StoreError> {
        let trees = self.shared.readable()?;
        let mut report = Report::default();
        let rows = |tree| Ok::<_, StoreError>(trees.tree(tree)?.iter());
        report.each("registrations", rows(Tree::Registrations)?, records::read_registration, |_, _| {});
        report.each("wanted observations", rows(Tree::Wanted)?, records::read_wanted, |_, _| {});
        report.each("commands", rows(Tree::Commands)?, records::read_command, |_, _| {});
        report.each("bootstrap documents", rows(Tree::Documents)?, records::read_document, |_, _| {});
        report.each("last values", rows(Tree::Values)?, value_entry, |_, _| {});
        report.each("notes", rows(Tree::Notes)?, records::read_note, |_, _| {});
        check_credentials(&trees, &mut report)?;
        report.each("tokens", rows(Tree::Tokens)?, records::read_token, |_, _| {});
        check_audit(&trees, &mut report)?;
        let of = |what| report.counts.get(what).copied().unwrap_or(0);
        let there = Counts {
            wanted: of("wanted observations"),
            documents: of("bootstrap documents"),
            credentials: of("credentials"),
        };
        match read_counts(trees.get(Tree::Meta, COUNTS)?.as_deref()) {
            Ok(counted) if counted == there => {}
            Ok(counted) => report.problem(format_args!("counted were {counted:?}, there are {there:?}")),
            Err(message) => report.problem(message),
        }
        check_log(&self.shared.log(&trees), &mut report);
        Ok(report)
    }
}

/// Shows the events of a segment with these numbers, and in their place those that cannot be read.
fn each_event<E: From<StoreError>>(
    log: &Log<'_>,
    segment: &Segment,
    numbers: RangeInclusive<u64>,
    visit: &mut impl FnMut(Entry) -> Result<(), E>,
) -> Result<(), E> {
    let (mut next, last) = (*numbers.start(), *numbers.end());
    for row in segment.events.iter() {
        let mut events = Vec::new();
        let read = log.each_of(row, next, |event, indexed| events.push((event, indexed)));
        let begins = events.first().is_none_or(|(event, _)| event.cursor.number == next);
        match read {
            Err(error) if !error.is_damage() => return Err(error.into()),
            Ok(()) if begins => {}
            // From here on one by one.
            Ok(()) | Err(_) => break,
        }
        for (event, indexed) in events.into_iter().take_while(|(event, _)| event.cursor.number <= last) {
            next = event.cursor.number + 1;
            visit(Entry::Event { event, indexed })?;
        }
    }
    let (mut around, mut missing) = (Around::new(log, segment), None);
    if next <= last {
        around.enter(next)?;
    }
    for number in next..=last {
        let here = Unreadable { first: number, last: number };
        let Some((event, indexed)) = around.event(number)? else {
            missing = Some(here.and(missing));
            continue;
        };
        if let Some(stretch) = missing.take() {
            visit(Entry::Missing(stretch))?;
        }
        visit(Entry::Event { event, indexed })?;
    }
    missing.map_or(Ok(()), |stretch| visit(Entry::Missing(stretch)))
}

fn value_entry(key: &[u8], value: &[u8]) -> Result<Entry, String> {
    let (name, path, value) = records::read_value(key, value)?;
    let endpoint = Endpoint::new(name).map_err(|error| error.to_string())?;
    Ok(Entry::Value { endpoint, path, value: value.into() })
}

/// Whether each credential is found by what its owner presents, and nothing else is.
fn check_credentials(trees: &Trees, report: &mut Report) -> Result<(), StoreError> {
    let credentials = trees.tree(Tree::Credentials)?;
    let principals = trees.tree(Tree::Principals)?;
    let mut presented = 0_u64;
    report.each("credentials", credentials.iter(), records::read_credential, |report, record| {
        let Some(principal) = &record.principal else { return };
        presented += 1;
        let owner = principals.get(records::principal_key(record.key.set, principal));
        let owner = owner.ok().flatten().and_then(|value| records::read_principal(&value).ok());
        if owner.as_ref() != Some(&record.key.endpoint) {
            let name = &record.key.endpoint;
            report.problem(format_args!("the credential of {name} is not found by what it presents"));
        }
    });
    let there = u64::try_from(principals.iter().count()).unwrap_or(u64::MAX);
    if there != presented {
        report.problem(format_args!("{there} are found by what they present, {presented} should be"));
    }
    Ok(())
}

/// Whether each entry is found by its device, and nothing else is.
fn check_audit(trees: &Trees, report: &mut Report) -> Result<(), StoreError> {
    let (entries, audited) = (trees.tree(Tree::Audit)?, trees.tree(Tree::Audited)?);
    let mut indexed = 0_u64;
    report.each("audit entries", entries.iter(), records::read_audit, |report, record| {
        let Some(endpoint) = &record.endpoint else { return };
        indexed += 1;
        if !audited.contains_key(records::index_key(endpoint, record.id)).unwrap_or(false) {
            report.problem(format_args!("audit entry {} is not found by its device", record.id));
        }
    });
    let there = u64::try_from(audited.iter().count()).unwrap_or(u64::MAX);
    if there != indexed {
        report.problem(format_args!("{there} audit entries are found by device, {indexed} should be"));
    }
    Ok(())
}

/// Whether the log has no holes, and each event that is to be found by its device is.
fn check_log(log: &Log<'_>, report: &mut Report) {
    let mut next = None;
    let read = |key: &[u8], value: &[u8]| {
        let row = EventRow::read(log.newest.writer, key, value)?;
        row.events_from(0).collect::<Result<Vec<_>, _>>().map(|events| (row.first, events))
    };
    let mut count = 0_u64;
    let segments = log.trees.segments();
    for (place, segment) in segments.iter().enumerate() {
        let last = segments.get(place + 1).map_or(log.newest.number, |next| next.first - 1);
        let (before, count_before, mut indexed) = (report.clone(), count, 0_u64);
        let first = segment.first;
        let unread = report.each("events", segment.events.iter(), read, |report, (first, events)| {
            let index = segment.found.get(bundle::index_key(first)).ok().flatten();
            for (event, is_indexed) in events {
                let number = event.cursor.number;
                let expected = *next.get_or_insert(number);
                if expected < number {
                    report.missing(log, Unreadable { first: expected, last: number - 1 });
                } else if expected > number {
                    report.problem(format_args!("after event {} comes {number}", expected - 1));
                }
                next = Some(number + 1);
                count += 1;
                indexed += u64::from(is_indexed);
                if is_indexed && !is_found(segment, index.as_deref(), first, &event) {
                    report.problem(format_args!("event {number} is not found by its device"));
                }
            }
        });
        if let Some(why) = unread {
            // The way through it is not to be trusted then: what is missing is told by its place in the log.
            *report = before;
            count = count_before + check_around(log, segment, last, (&why, report));
            next = Some(last + 1);
            continue;
        }
        let there = segment.found.iter().map(|row| match row.into_inner() {
            Ok((key, value)) if bundle::read_index_key(&key).is_some() => {
                bundle::places_len(&value).unwrap_or(0)
            }
            Ok(_) | Err(_) => 1,
        });
        let there = u64::try_from(there.sum::<usize>()).unwrap_or(u64::MAX);
        if there != indexed {
            report.problem(format_args!(
                "from event {first}: {there} are found by device, {indexed} should be"
            ));
        }
        report.events = segment_range(report.events, next, first, segment.events.is_empty().unwrap_or(true));
    }
    report.counts.insert("events", count);
    match next {
        Some(next) if next <= log.newest.number => {
            report.missing(log, Unreadable { first: next, last: log.newest.number });
        }
        Some(next) if next > log.newest.number + 1 => {
            report.problem(format_args!("the newest event is not {}", log.newest.number));
        }
        _ => {}
    }
}

/// Names what cannot be read of a segment; how many events can be.
fn check_around(log: &Log<'_>, segment: &Segment, last: u64, (why, report): (&str, &mut Report)) -> u64 {
    let cursor = |number| Cursor { number, ..log.newest };
    let (mut from, mut count) = (segment.first, 0);
    while from <= last {
        let mut events = Vec::new();
        let read = Around::new(log, segment).read(from..=last, PAGE_LEN, &mut events);
        count += u64::try_from(events.len()).unwrap_or(0);
        from = events.last().map_or(from, |event| event.cursor.number + 1);
        match read {
            Ok(Some(Unreadable { first, last })) => {
                let (first, until) = (cursor(first), cursor(last));
                report.problem(format_args!("events {first} to {until} cannot be read: {why}"));
                from = last + 1;
            }
            Ok(None) if events.is_empty() => break,
            Ok(None) => {}
            Err(error) => {
                report.problem(error.chain());
                break;
            }
        }
    }
    report.events = Some((report.events.map_or(segment.first, |(oldest, _)| oldest), last));
    count
}

/// Whether an event is found by its device: by the index of its bundle, or by a row of its own.
fn is_found(segment: &Segment, index: Option<&[u8]>, first: u64, event: &EventRecord) -> bool {
    let number = event.cursor.number;
    if let Some(index) = index {
        let place = u16::try_from(number - first).ok();
        let places = bundle::places(index, &event.endpoint).unwrap_or_default();
        return place.is_some_and(|place| places.contains(&place));
    }
    let found = segment.found.get(records::index_key(&event.endpoint, number)).ok().flatten();
    found.is_some_and(|at| *at == event.at_ms.to_be_bytes())
}

fn segment_range(
    before: Option<(u64, u64)>,
    next: Option<u64>,
    first: u64,
    is_empty: bool,
) -> Option<(u64, u64)> {
    let last = next.filter(|_| !is_empty).map(|next| next - 1);
    last.map_or(before, |last| Some((before.map_or(first, |(oldest, _)| oldest), last)))
}

/// Problems that are told; more are counted.
const PROBLEMS_MAX: usize = 100;
/// Events that are looked through together where some are damaged.
const PAGE_LEN: usize = 1024;

#[cfg(test)]
mod tests;
