//! What the server has promised to keep, one JSON object a line: whoever ends the server without warning can compare later.
//!
//! A registration change also has a line when it begins, since the server may have kept it although its answer never came.

use std::fmt::Write as _;
use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::path::Path as FilePath;

use lightship_lwm2m::Path;
use lightship_platform::UnixTime;

/// Lines that are not in the file yet.
#[derive(Default)]
pub(crate) struct Ledger {
    lines: Vec<u8>,
}

/// What a line tells beside who, what and when.
pub(crate) enum Entry<'a> {
    Lifetime { location: Option<&'a str>, lifetime_s: u64 },
    Location { location: Option<&'a str> },
    Value { path: Path, value: u64 },
    Payload { path: Path, payload: &'a [u8] },
}

impl Ledger {
    /// Adds a line.
    pub(crate) fn note(
        &mut self,
        date: UnixTime,
        device: &str,
        (operation, state): (&str, &str),
        what: &Entry<'_>,
    ) {
        let mut line = serde_json::json!({
            "at_ms": date.as_millis(),
            "device": device,
            "operation": operation,
            "state": state,
        });
        match what {
            Entry::Lifetime { location, lifetime_s } => {
                line["lifetime_s"] = (*lifetime_s).into();
                if let Some(location) = location {
                    line["location"] = (*location).into();
                }
            }
            Entry::Location { location } => line["location"] = (*location).into(),
            Entry::Value { path, value } => {
                line["path"] = path.to_string().into();
                line["value"] = (*value).into();
            }
            Entry::Payload { path, payload } => {
                let hex = payload.iter().fold(String::new(), |mut hex, byte| {
                    // Writing into a String does not fail.
                    let _ = write!(hex, "{byte:02x}");
                    hex
                });
                line["path"] = path.to_string().into();
                line["payload_hex"] = hex.into();
            }
        }
        self.lines.extend_from_slice(line.to_string().as_bytes());
        self.lines.push(b'\n');
    }

    /// The lines, to be taken out.
    pub(crate) fn lines(&mut self) -> &mut Vec<u8> {
        &mut self.lines
    }
}

/// Opens the file that all threads append to.
///
/// # Errors
/// As the system says.
pub(crate) fn open(path: &FilePath) -> io::Result<File> {
    OpenOptions::new().create(true).append(true).open(path)
}

/// Appends whole lines with one call, so that lines of several threads do not mix.
///
/// # Errors
/// As the system says: the load must not go on without its ledger.
pub(crate) fn append(mut file: &File, lines: &mut Vec<u8>) -> io::Result<()> {
    file.write_all(lines)?;
    lines.clear();
    Ok(())
}
