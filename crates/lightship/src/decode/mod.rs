//! `lightship decode`: bytes in, a readable dissection out.
//!
//! `input` finds the bytes, `capture` and `packet` peel datagrams out of capture files.

mod capture;
pub(crate) mod hex;
mod input;
mod packet;

use self::input::Input;
use self::packet::Content;
use crate::cli::DecodeArguments;
use crate::failure::Failure;
use crate::output;
use std::time::Duration;

/// Runs the command.
pub(crate) fn run(arguments: &DecodeArguments) -> Result<(), Failure> {
    match input::read(&arguments.input)? {
        Input::Bytes(bytes) => output::line(&hex::print(&bytes)),
        Input::Capture(file) => decode_capture(&file, &arguments.port),
    }
}

/// What was left out of a capture's dissection, to say so at the end.
#[derive(Default)]
struct Skipped {
    fragments: u64,
    other: u64,
    cut: u64,
    unknown_links: Vec<u32>,
}

fn decode_capture(file: &[u8], ports: &[u16]) -> Result<(), Failure> {
    let mut skipped = Skipped::default();
    let mut result = Ok(());
    let mut start: Option<Duration> = None;
    let read = capture::read(file, &mut |frame| {
        if result.is_err() {
            return;
        }
        match packet::peel(frame.link, frame.bytes) {
            Content::Datagram(datagram) => {
                let (from, to) = (datagram.from.port(), datagram.to.port());
                if !ports.is_empty() && !ports.contains(&from) && !ports.contains(&to) {
                    return;
                }
                skipped.cut += u64::from(frame.cut);
                let since = frame.time.map(|time| time.saturating_sub(*start.get_or_insert(time)));
                let since = since.map(|since| format!("{:.6} ", since.as_secs_f64())).unwrap_or_default();
                result = output::line(&format!(
                    "{since}{} > {} {}",
                    datagram.from,
                    datagram.to,
                    hex::print(datagram.bytes)
                ));
            }
            Content::Fragment => skipped.fragments += 1,
            Content::Other => skipped.other += 1,
            Content::UnknownLink => {
                if !skipped.unknown_links.contains(&frame.link) {
                    skipped.unknown_links.push(frame.link);
                }
            }
        }
    });
    result?;
    skipped.report();
    read.map_err(Failure::failed)
}

impl Skipped {
    fn report(&self) {
        if self.fragments > 0 {
            eprintln!("lightship: {} fragments of IP packets were left out", self.fragments);
        }
        if self.other > 0 {
            eprintln!("lightship: {} frames hold no UDP", self.other);
        }
        if self.cut > 0 {
            eprintln!("lightship: {} datagrams were cut short by the capture", self.cut);
        }
        for link in &self.unknown_links {
            eprintln!("lightship: frames of link type {link} were left out: it is not read here");
        }
    }
}
