//! `lightship decode`: bytes in, a readable dissection out.
//!
//! `input` finds the bytes, `capture` and `packet` peel datagrams out of capture files, `dissect` prints a message with
//! its `meaning` in LwM2M and its `payload`.

mod capture;
mod dissect;
pub(crate) mod hex;
mod input;
mod meaning;
mod packet;
mod payload;

use self::dissect::Conversation;
use self::input::Input;
use self::meaning::Subject;
use self::packet::{Content, Datagram};
use crate::cli::DecodeArguments;
use crate::failure::Failure;
use crate::output;
use lightship_coap::{ContentFormat, Message};
use lightship_lwm2m::{Format, Path};
use std::time::Duration;

/// Ports on which everything is expected to be CoAP, malformed or not.
const COAP_PORT: u16 = 5683;
const BOOTSTRAP_PORT: u16 = 5783;

/// Runs the command.
pub(crate) fn run(arguments: &DecodeArguments) -> Result<(), Failure> {
    let input = input::read(&arguments.input)?;
    if let Some(format) = &arguments.payload {
        let Input::Bytes(bytes) = input else {
            return Err(Failure::usage("--payload is for bytes, not for a capture"));
        };
        return bare_payload(format, arguments.path.as_deref(), &bytes);
    }
    match input {
        Input::Bytes(bytes) => {
            let found = dissect::message(&bytes, "", &mut Conversation::default());
            output::line(&found.lines.join("\n"))?;
            if found.sound {
                Ok(())
            } else {
                Err(Failure::failed("the message is malformed: see the lines with !"))
            }
        }
        Input::Capture(file) => decode_capture(&file, &arguments.port),
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

fn decode_capture(file: &[u8], ports: &[u16]) -> Result<(), Failure> {
    let mut skipped = Skipped::default();
    let mut result = Ok(());
    let mut start: Option<Duration> = None;
    let mut conversation = Conversation::default();
    let read = capture::read(file, &mut |frame| {
        if result.is_err() {
            return;
        }
        let since = frame.time.map(|time| time.saturating_sub(*start.get_or_insert(time)));
        match packet::peel(frame.link, frame.bytes) {
            Content::Datagram(datagram) => {
                skipped.cut += u64::from(frame.cut);
                if let Some(text) = datagram_text(&datagram, since, ports, &mut conversation) {
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

/// The dissection of a datagram, if it is wanted: on a chosen port, or, where no port was chosen, if it is CoAP.
fn datagram_text(
    datagram: &Datagram<'_>,
    since: Option<Duration>,
    ports: &[u16],
    conversation: &mut Conversation,
) -> Option<String> {
    let (from, to) = (datagram.from, datagram.to);
    let chosen = ports.contains(&from.port()) || ports.contains(&to.port());
    if !ports.is_empty() && !chosen {
        return None;
    }
    let between = if from < to { format!("{from} {to}") } else { format!("{to} {from}") };
    let usual = [COAP_PORT, BOOTSTRAP_PORT];
    let expected = chosen || usual.contains(&from.port()) || usual.contains(&to.port());
    if !expected && Message::parse(datagram.bytes).is_err() {
        return None;
    }
    let found = dissect::message(datagram.bytes, &between, conversation);
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
