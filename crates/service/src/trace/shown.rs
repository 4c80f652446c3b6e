//! Messages as the API shows them.

use std::fmt::Write;

use lightship_api::{ServerRole, Timestamp, TraceDirection, TraceItem, TraceOption};
use lightship_coap::{Message, Type};
use lightship_lwm2m::object::Definitions;

use super::exchange::{Joiner, Meant};
use super::gather::{Gathered, Seen};
use super::read::{Read, Reader, length};
use super::reason::{self, DUPLICATE};
use crate::content;

/// Each message as it is shown; `run` tells this process from others in the names of messages.
pub(crate) fn items(
    gathered: &Gathered,
    joiner: &mut Joiner,
    definitions: &Definitions,
    run: u32,
) -> Vec<TraceItem> {
    joiner.know(&gathered.root, &gathered.observed);
    let reader = Reader { definitions, root: &gathered.root };
    gathered.seen.iter().map(|seen| item(seen, &joiner.next(seen), &reader, run)).collect()
}

fn item(seen: &Seen, meant: &Meant, reader: &Reader<'_>, run: u32) -> TraceItem {
    let message = Message::parse(&seen.bytes).ok().filter(|_| !seen.is_sealed);
    let read = message.as_ref().map_or_else(|| unread(seen), |message| reader.read(seen, message, meant));
    let bytes = seen.bytes.get(..read.open_len).unwrap_or(&seen.bytes);
    let why = dropped(seen, meant);
    let code = message.as_ref().map(Message::code);
    TraceItem {
        id: id(run, seen.source, seen.position),
        time: Timestamp(seen.time_us.div_euclid(1000)),
        direction: if seen.is_out { TraceDirection::Out } else { TraceDirection::In },
        server: seen.server,
        address: seen.address.to_string(),
        secured: seen.is_secured,
        kind: message.as_ref().map(|message| kind(message.ty()).to_owned()),
        code: code.map(|code| format!("{}.{:02}", code.class(), code.detail())),
        code_name: code.and_then(|code| code.name()).map(str::to_owned),
        message_id: message.as_ref().map(|message| message.message_id().0),
        token: message.as_ref().map(|message| hex(message.token().as_bytes())),
        operation: meant.operation.map(str::to_owned),
        path: meant.path.clone(),
        options: message.as_ref().map(options).unwrap_or_default(),
        format: message.as_ref().and_then(|message| message.content_format()).map(content::format_name),
        payload: read.payload,
        bytes_hex: hex(bytes),
        length: length(seen.len),
        repeated: meant.repeated,
        dropped: why.map(|(word, _)| word.to_owned()),
        reason: why.map(|(_, words)| words.to_owned()),
        exchange: id(run, meant.exchange.0, meant.exchange.1),
        elapsed_us: meant.elapsed_us,
    }
}

/// What may be seen of bytes that are no message: of what comes to a Bootstrap-Server not even all of that.
pub(super) fn unread(seen: &Seen) -> Read {
    let all = seen.bytes.len();
    let open_len = if seen.server == ServerRole::Bootstrap && !seen.is_sealed { all.min(4) } else { all };
    Read { payload: None, open_len }
}

/// Why nothing was done with a message: one word, and what it means.
pub(super) fn dropped(seen: &Seen, meant: &Meant) -> Option<(&'static str, &'static str)> {
    let copied = (meant.repeated && !seen.is_out).then_some(DUPLICATE);
    seen.dropped.map(reason::words).or(copied)
}

fn options(message: &Message<'_>) -> Vec<TraceOption> {
    let option = |option: lightship_coap::RawOption<'_>| TraceOption {
        name: option.number.name().map_or_else(|| option.number.0.to_string(), str::to_owned),
        value: option.to_string(),
    };
    message.options().map(option).collect()
}

/// The name of the messages' device on a server, for a capture's interfaces.
pub(super) fn of_server(server: ServerRole) -> &'static str {
    match server {
        ServerRole::Lwm2m => "LwM2M Server",
        ServerRole::Bootstrap => "Bootstrap-Server",
    }
}

fn kind(ty: Type) -> &'static str {
    match ty {
        Type::Con => "CON",
        Type::Non => "NON",
        Type::Ack => "ACK",
        Type::Reset => "RST",
    }
}

fn id(run: u32, source: usize, position: u64) -> String {
    format!("{run:x}-{source}-{position:x}")
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::with_capacity(bytes.len() * 2), |mut text, byte| {
        // Writing into a String cannot fail.
        let _ = write!(text, "{byte:02x}");
        text
    })
}
