//! `lightship decode`: bytes in, a readable dissection out.
//!
//! `input` finds the bytes, `capture` and `packet` peel datagrams out of capture files, `dtls` opens what is protected, `dissect`
//! prints a message with its `meaning` in LwM2M and its `payload`.

mod capture;
mod dissect;
mod dtls;
pub(crate) mod hex;
mod input;
mod meaning;
mod packet;
mod payload;

use self::dissect::{Conversation, Dissection};
use self::dtls::{Given, Sessions, Way};
use self::input::Input;
use self::meaning::Subject;
use self::packet::{Content, Datagram};
use crate::cli::DecodeArguments;
use crate::failure::Failure;
use crate::output;
use lightship_coap::{ContentFormat, Message};
use lightship_lwm2m::{Format, Path};
use std::io::Read;
use std::time::Duration;

/// Ports on which everything is expected to be CoAP, malformed or not.
const COAP_PORT: u16 = 5683;
const BOOTSTRAP_PORT: u16 = 5783;
/// Ports on which everything is expected to be DTLS.
const COAPS_PORT: u16 = 5684;
const BOOTSTRAP_COAPS_PORT: u16 = 5784;
/// More than the key log of any capture.
const KEY_LOG_LEN_MAX: u64 = 64 << 20;

/// Runs the command.
pub(crate) fn run(arguments: &DecodeArguments) -> Result<(), Failure> {
    let input = input::read(&arguments.input)?;
    if let Some(format) = &arguments.payload {
        let Input::Bytes(bytes) = input else {
            return Err(Failure::usage("--payload is for bytes, not for a capture"));
        };
        return bare_payload(format, arguments.path.as_deref(), &bytes);
    }
    let mut seen = Seen { sessions: Sessions::new(given(arguments)?), conversation: Conversation::default() };
    match input {
        Input::Bytes(bytes) => {
            let found = seen.dissect(&bytes, Way { from: "", to: "" }, dtls::is_record(&bytes));
            output::line(&found.lines.join("\n"))?;
            if found.sound {
                Ok(())
            } else {
                Err(Failure::failed("the message is malformed: see the lines with !"))
            }
        }
        Input::Capture(file) => decode_capture(&file, &arguments.port, &mut seen),
    }
}

/// What opens protected records.
fn given(arguments: &DecodeArguments) -> Result<Given, Failure> {
    let log = match &arguments.keylog {
        Some(path) => {
            let wrong = |error: std::io::Error| Failure::failed(format_args!("{}: {error}", path.display()));
            let mut log = Vec::new();
            let file = std::fs::File::open(path).map_err(wrong)?;
            file.take(KEY_LOG_LEN_MAX).read_to_end(&mut log).map_err(wrong)?;
            String::from_utf8_lossy(&log).into_owned()
        }
        None => String::new(),
    };
    Given::new(&log, &arguments.psk).map_err(|error| Failure::usage(format_args!("--psk: {error}")))
}

/// What earlier datagrams said.
struct Seen {
    sessions: Sessions,
    conversation: Conversation,
}

impl Seen {
    fn dissect(&mut self, bytes: &[u8], way: Way<'_>, secured: bool) -> Dissection {
        if secured {
            return dtls::datagram(bytes, way, &mut self.sessions, &mut self.conversation);
        }
        let between = format!("{} {}", way.from.min(way.to), way.from.max(way.to));
        dissect::message(bytes, &between, &mut self.conversation)
    }
}

fn bare_payload(format: &str, path: Option<&str>, bytes: &[u8]) -> Result<(), Failure> {
    let number = match format {
        "link" => Some(ContentFormat::LINK.0),
        name => name.parse::<Format>().map(Format::number).ok().or_else(|| name.parse().ok()),
    };
    let number = number.ok_or_else(|| Failure::usage(format_args!("{format:?} is no content format")))?;
    let path = path.map(str::parse::<Path>).transpose();
    let path = path.map_err(|error| Failure::usage(format_args!("--path: {error}")))?;
    let subject = Subject { path, ..Subject::default() };
    let found = payload::lines(Some(ContentFormat(number)), &subject, bytes);
    output::line(&found.lines.join("\n"))?;
    if found.sound { Ok(()) } else { Err(Failure::failed("the payload is malformed: see the lines with !")) }
}

/// What was left out of a capture's dissection, to say so at the end.
#[derive(Default)]
struct Skipped {
    fragments: u64,
    other: u64,
    cut: u64,
    unknown_links: Vec<u32>,
}

fn decode_capture(file: &[u8], ports: &[u16], seen: &mut Seen) -> Result<(), Failure> {
    let mut skipped = Skipped::default();
    let mut result = Ok(());
    let mut start: Option<Duration> = None;
    let read = capture::read(file, &mut |frame| {
        if result.is_err() {
            return;
        }
        let since = frame.time.map(|time| time.saturating_sub(*start.get_or_insert(time)));
        match packet::peel(frame.link, frame.bytes) {
            Content::Datagram(datagram) => {
                skipped.cut += u64::from(frame.cut);
                if let Some(text) = datagram_text(&datagram, since, ports, seen) {
                    result = output::line(&text);
                }
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

/// The dissection of a datagram, if it is wanted: on a chosen port, or, where no port was chosen, if it is CoAP or DTLS.
fn datagram_text(
    datagram: &Datagram<'_>,
    since: Option<Duration>,
    ports: &[u16],
    seen: &mut Seen,
) -> Option<String> {
    let (from, to) = (datagram.from, datagram.to);
    let is_on = |ports: &[u16]| ports.contains(&from.port()) || ports.contains(&to.port());
    let chosen = is_on(ports);
    if !ports.is_empty() && !chosen {
        return None;
    }
    let secured = dtls::is_record(datagram.bytes) || (!chosen && is_on(&[COAPS_PORT, BOOTSTRAP_COAPS_PORT]));
    let expected = chosen || secured || is_on(&[COAP_PORT, BOOTSTRAP_PORT]);
    if !expected && Message::parse(datagram.bytes).is_err() {
        return None;
    }
    let way = Way { from: &from.to_string(), to: &to.to_string() };
    let found = seen.dissect(datagram.bytes, way, secured);
    let since = since.map(|since| format!("{:.6} ", since.as_secs_f64())).unwrap_or_default();
    Some(format!("{since}{from} > {to}\n{}", found.lines.join("\n")))
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
