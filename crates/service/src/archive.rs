//! The data folder at rest: looked through, written out as lines of JSON, and made anew from them.
//!
//! ```text
//! {"store":{"version":1,"log":"0000002a","oldest":1,"newest":2}}      first
//! {"registration":{…}} {"wanted":{…}} {"command":{…}} {"document":{…}} {"credential":{…}}
//! {"token":{…}} {"audit":{…}} {"event":{…}} {"missing":{"first":7,"last":9}}
//! {"end":{"lines":8}}                                                last: what has no end was cut
//! ```
//! Bytes are base64. What is JSON in the store stays JSON. Credentials stay sealed: their key is no part of it. Of tokens there is
//! only what they hash to.

mod line;

use std::io::{BufRead, Write};
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

use lightship_net::Clock;
use lightship_store::{
    Cursor, EmbeddedOptions, EmbeddedStore, Entry, Importer, Report, Store as _, StoreError, Unreadable,
};

use self::line::Line;

/// Why a data folder is not written out or filled.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ArchiveError {
    /// There is none.
    #[error("there is no store in {0}")]
    Missing(std::path::PathBuf),
    /// The store itself says no.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// A line cannot be read, or makes no sense.
    #[error("line {line}: {message}")]
    Line {
        /// Which one, from 1.
        line: u64,
        /// What is wrong with it.
        message: String,
    },
    /// It cannot be written or read.
    #[error("the lines cannot be written or read")]
    Io(#[from] std::io::Error),
}

/// Reads all that the store of a folder holds, and compares what must agree.
///
/// # Errors
/// When it cannot be opened. What is damaged inside is in the report.
pub fn check(folder: &Path) -> Result<Report, ArchiveError> {
    let store = open(folder)?;
    let mut report = store.check()?;
    // What the store keeps and does not understand. What it cannot read is in its report.
    let wrong = Mutex::new(Vec::new());
    let looked = store.each_registration(&|records| {
        let unread = records.iter().filter_map(|record| {
            let why = lightship_server::check_said(&record.endpoint, &record.said).err()?;
            Some(format!("registrations: {}: {why}", record.endpoint.readable()))
        });
        wrong.lock().unwrap_or_else(PoisonError::into_inner).extend(unread);
    });
    let mut wrong = wrong.into_inner().unwrap_or_else(PoisonError::into_inner);
    wrong.sort();
    wrong.into_iter().for_each(|problem| report.problem(problem));
    match looked {
        Err(error) if report.problems_count == 0 => Err(error.into()),
        _ => Ok(report),
    }
}

/// What was written out.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Exported {
    /// How many lines.
    pub lines: u64,
    /// Events of the log that are not in it, because they are damaged on the disk.
    pub missing: u64,
    /// Where they would be, in plain words: the first stretches.
    pub stretches: Vec<String>,
}

/// Writes out all that the store of a folder holds. Damaged events are named in their place.
///
/// # Errors
/// When it cannot be opened or written out, or when something beside an event cannot be read.
pub fn export(folder: &Path, out: &mut dyn Write) -> Result<Exported, ArchiveError> {
    let store = open(folder)?;
    let head = store.head()?;
    let (mut lines, mut exported) = (0, Exported::default());
    let mut write = |line: &Line| -> Result<(), ArchiveError> {
        lines += 1;
        serde_json::to_writer(&mut *out, line).map_err(std::io::Error::from)?;
        Ok(out.write_all(b"\n")?)
    };
    write(&Line::first(head))?;
    store.each_entry(|entry| {
        if let Entry::Missing(stretch) = &entry {
            exported.miss(head.writer, *stretch);
        }
        write(&Line::from(entry))
    })?;
    lines += 1;
    serde_json::to_writer(&mut *out, &Line::End { lines }).map_err(std::io::Error::from)?;
    out.write_all(b"\n")?;
    out.flush()?;
    Ok(Exported { lines, ..exported })
}

impl Exported {
    fn miss(&mut self, writer: u32, Unreadable { first, last }: Unreadable) {
        self.missing += last - first + 1;
        if self.stretches.len() < STRETCHES_MAX {
            let (first, last) = (Cursor { writer, number: first }, Cursor { writer, number: last });
            self.stretches.push(format!("events {first} to {last} cannot be read"));
        }
    }
}

/// Fills a folder without a store with what was written out; gives the number of lines.
///
/// # Errors
/// When there is a store already, or a line makes no sense: then what is in the folder is no store, and is to be removed.
pub fn import(folder: &Path, input: &mut dyn BufRead) -> Result<u64, ArchiveError> {
    let mut importer = None;
    let mut number = 0;
    let mut texts = input.lines();
    while let Some(text) = texts.next() {
        let text = text?;
        number += 1;
        let wrong = |message: String| ArchiveError::Line { line: number, message };
        let line: Line = serde_json::from_str(&text).map_err(|error| wrong(unread(&error)))?;
        match (line, &mut importer) {
            (Line::Store(store), None) => {
                let head = store.head().map_err(wrong)?;
                importer = Some((Importer::begin(&options(folder), head)?, head));
            }
            (Line::End { lines }, Some(_)) => {
                let Some((importer, head)) = importer else { break };
                if lines != number {
                    return Err(wrong(format!("it is the last of {lines}")));
                }
                for (behind, text) in (number + 1..).zip(texts) {
                    if !text?.trim().is_empty() {
                        let message =
                            "there is more behind the end: only one export can be imported".to_owned();
                        return Err(ArchiveError::Line { line: behind, message });
                    }
                }
                importer.finish(head)?;
                return Ok(number);
            }
            (line, Some((importer, head))) => {
                let entry = line.entry(head.writer).map_err(wrong)?;
                importer.push(entry).map_err(|error| wrong(error.to_string()))?;
            }
            (_, None) => return Err(wrong("the first line is missing".to_owned())),
        }
    }
    Err(ArchiveError::Line { line: number + 1, message: "the end is missing".to_owned() })
}

/// Why a line cannot be read; to the library each is the first.
fn unread(error: &serde_json::Error) -> String {
    let (text, letter) = (error.to_string(), error.column());
    let place = format!(" at line {} column {letter}", error.line());
    format!("{}, at letter {letter}", text.strip_suffix(&place).unwrap_or(&text))
}

fn options(folder: &Path) -> EmbeddedOptions {
    let clock = Clock::start();
    let options = EmbeddedOptions::new(folder.to_owned(), 1, Arc::new(move || clock.date().as_millis()));
    // It is to be read on a full disk, too; and nothing of it leaves because it is old.
    let log = lightship_store::LogLimits { age_ms: i64::MAX, bytes: u64::MAX, events: u64::MAX };
    EmbeddedOptions { free_bytes_min: 0, log, ..options }
}

fn open(folder: &Path) -> Result<EmbeddedStore, ArchiveError> {
    if !folder.join("store").is_dir() {
        return Err(ArchiveError::Missing(folder.to_owned()));
    }
    Ok(EmbeddedStore::open(options(folder))?)
}

/// Stretches of missing events that are told in words.
const STRETCHES_MAX: usize = 100;

#[cfg(test)]
mod tests;
