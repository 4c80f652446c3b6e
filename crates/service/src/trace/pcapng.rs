//! A capture file (draft-ietf-opsawg-pcapng) of messages that were seen decrypted: CoAP to and from port 5683, each with its meaning,
//! and why it was dropped, as a comment. What could not be decrypted stands there as the DTLS record that it was, on port 5684.

use std::net::IpAddr;

use lightship_api::ServerRole;
use lightship_coap::Message;
use lightship_lwm2m::object::Definitions;

use super::exchange::{Joiner, Meant};
use super::gather::{Gathered, Seen};
use super::packet::{head_len, packet, server};
use super::read::Reader;
use super::shown::{dropped, of_server, unread};

/// The file; `listening` is where the servers listen, if that is one address.
pub(crate) fn capture(gathered: &Gathered, definitions: &Definitions, listening: Option<IpAddr>) -> Vec<u8> {
    let mut out = Vec::new();
    let mut head = Vec::new();
    head.extend(0x1a2b_3c4d_u32.to_le_bytes());
    head.extend([1, 0, 0, 0]);
    head.extend([0xff; 8]);
    option(&mut head, 4, concat!("Lightship ", env!("CARGO_PKG_VERSION")).as_bytes());
    option(&mut head, 0, &[]);
    block(&mut out, SECTION_HEADER, &head);
    for role in [ServerRole::Lwm2m, ServerRole::Bootstrap] {
        let mut interface = Vec::new();
        interface.extend(LINKTYPE_RAW.to_le_bytes());
        interface.extend([0; 6]);
        option(&mut interface, 2, of_server(role).as_bytes());
        // Nanoseconds.
        option(&mut interface, 9, &[9]);
        option(&mut interface, 0, &[]);
        block(&mut out, INTERFACE, &interface);
    }
    let mut joiner = Joiner::new();
    joiner.know(&gathered.root, &gathered.observed);
    let reader = Reader { definitions, root: &gathered.root };
    for seen in &gathered.seen {
        let meant = joiner.next(seen);
        block(&mut out, ENHANCED_PACKET, &enhanced(seen, &meant, &reader, listening));
    }
    out
}

fn enhanced(seen: &Seen, meant: &Meant, reader: &Reader<'_>, listening: Option<IpAddr>) -> Vec<u8> {
    let message = Message::parse(&seen.bytes).ok().filter(|_| !seen.is_sealed);
    let read = message.as_ref().map_or_else(|| unread(seen), |message| reader.read(seen, message, meant));
    let bytes = seen.bytes.get(..read.open_len).unwrap_or(&seen.bytes);
    // A payload that is hidden is left out, so that what remains is a message still; what was cut off is only missing.
    let is_hidden = read.open_len < seen.bytes.len();
    let whole_len = if is_hidden { bytes.len() } else { seen.len };
    let port = if seen.is_sealed { COAPS_PORT } else { COAP_PORT };
    let (device, here) = (seen.address, server(listening, seen.address, port));
    let (from, to) = if seen.is_out { (here, device) } else { (device, here) };
    let packet = packet(from, to, bytes, whole_len);
    let time_ns = u64::try_from(seen.time_us).unwrap_or(0).saturating_mul(1000).to_le_bytes();
    let (low, high) = time_ns.split_at(4);
    let mut out = Vec::new();
    out.extend(u32::from(seen.server == ServerRole::Bootstrap).to_le_bytes());
    out.extend(high);
    out.extend(low);
    out.extend(wide(packet.len()).to_le_bytes());
    out.extend(wide(head_len(from, to) + whole_len).to_le_bytes());
    out.extend(&packet);
    pad(&mut out);
    let hidden = is_hidden.then(|| seen.bytes.len() - read.open_len);
    for comment in comments(seen, meant, hidden) {
        option(&mut out, 1, comment.as_bytes());
    }
    // Inbound or outbound.
    option(&mut out, 2, &if seen.is_out { 2_u32 } else { 1 }.to_le_bytes());
    option(&mut out, 0, &[]);
    out
}

fn comments(seen: &Seen, meant: &Meant, hidden: Option<usize>) -> Vec<String> {
    let mut comments = Vec::new();
    if let Some(operation) = meant.operation {
        let path = meant.path.as_deref().unwrap_or_default();
        let path: String = path.chars().map(|c| if c.is_control() { '\u{fffd}' } else { c }).collect();
        let copy = if meant.repeated { ", repeated" } else { "" };
        let secured = if seen.is_secured { ", was secured by DTLS" } else { "" };
        comments.push(format!("LwM2M {operation} {path}{copy}{secured}"));
    }
    if let Some((word, words)) = dropped(seen, meant) {
        comments.push(format!("dropped ({word}): {words}"));
    }
    if let Some(hidden) = hidden {
        comments.push(format!("{hidden} bytes are left out: they may hold a key"));
    }
    comments
}

/// Type, length, body, length once more.
fn block(out: &mut Vec<u8>, kind: u32, body: &[u8]) {
    let len = wide(body.len() + 12).to_le_bytes();
    out.extend(kind.to_le_bytes());
    out.extend(len);
    out.extend(body);
    out.extend(len);
}

fn option(out: &mut Vec<u8>, code: u16, value: &[u8]) {
    out.extend(code.to_le_bytes());
    out.extend(u16::try_from(value.len()).unwrap_or(u16::MAX).to_le_bytes());
    out.extend(value);
    pad(out);
}

/// Everything ends at a multiple of four.
fn pad(out: &mut Vec<u8>) {
    out.resize(out.len().next_multiple_of(4), 0);
}

fn wide(len: usize) -> u32 {
    u32::try_from(len).unwrap_or(u32::MAX)
}

const SECTION_HEADER: u32 = 0x0a0d_0d0a;
const INTERFACE: u32 = 1;
const ENHANCED_PACKET: u32 = 6;
/// A packet begins with its IP header.
const LINKTYPE_RAW: u16 = 101;
const COAP_PORT: u16 = 5683;
const COAPS_PORT: u16 = 5684;
