//! One CoAP message as lines of text: header, options, what it means in LwM2M, payload.

use super::meaning::{Meaning, Subject};
use super::{hex, payload};
use lightship_coap::{
    Block, Malformed, MalformedReason, Message, OptionNumber, RawOption, Role, Token, Type,
};
use std::collections::BTreeMap;
use std::fmt::Write;

/// Requests whose responses are still to come; more are forgotten, the oldest first.
const REQUESTS_MAX: usize = 10_000;

/// What was said before, so that a response can be read in the light of its request.
#[derive(Default)]
pub(super) struct Conversation {
    requests: BTreeMap<(String, Token), Subject>,
    order: std::collections::VecDeque<(String, Token)>,
}

impl Conversation {
    /// Remembers a request. `between` names the two sides, whoever speaks.
    fn ask(&mut self, between: &str, token: Token, subject: Subject) {
        let key = (between.to_owned(), token);
        if self.requests.insert(key.clone(), subject).is_none() {
            self.order.push_back(key);
        }
        while self.order.len() > REQUESTS_MAX {
            if let Some(oldest) = self.order.pop_front() {
                self.requests.remove(&oldest);
            }
        }
    }

    fn asked(&self, between: &str, token: Token) -> Option<&Subject> {
        self.requests.get(&(between.to_owned(), token))
    }
}

/// The dissection of one datagram.
pub(super) struct Dissection {
    /// Lines to print.
    pub(super) lines: Vec<String>,
    /// Whether the bytes are a well-formed CoAP message with a well-formed payload.
    pub(super) sound: bool,
}

/// Dissects one datagram.
pub(super) fn message(datagram: &[u8], between: &str, conversation: &mut Conversation) -> Dissection {
    let message = match Message::parse(datagram) {
        Ok(message) => message,
        Err(malformed) => return Dissection { lines: malformed_lines(datagram, &malformed), sound: false },
    };
    let mut lines = vec![head(&message, datagram.len())];
    lines.extend(message.options().map(|option| format!("  {}", option_line(&option))));
    let mut sound = message.role() != Role::Unusable && message.options().all(|option| is_legal(&option));
    if let Some(bad) = message.bad_option(&registered(&message)) {
        lines.push(format!("  ! the option {} breaks its rules: {:?}", bad.number, bad.reason));
        sound = false;
    }
    let asked = (message.role() == Role::Response)
        .then(|| conversation.asked(between, message.token()))
        .flatten()
        .cloned();
    let meaning = match message.role() {
        Role::Request => Meaning::of_request(&message),
        Role::Response => Meaning::of_response(&message, asked.as_ref()),
        Role::Ack => Meaning::plain("acknowledges the message with that ID; a response may follow"),
        Role::Reset => Meaning::plain("rejects the message with that ID"),
        Role::Ping => Meaning::plain("a ping: the other side answers with a Reset"),
        Role::Unusable => Meaning::plain("! this type and code mean nothing together"),
    };
    lines.extend(meaning.lines.iter().map(|line| format!("  {line}")));
    sound &= meaning.sound;
    if message.role() == Role::Request {
        conversation.ask(between, message.token(), meaning.subject.clone());
    }
    if !message.payload().is_empty() {
        let found = payload::lines(message.content_format(), &meaning.subject, message.payload());
        lines.push(format!("  payload, {} bytes{}", message.payload().len(), partial(&message)));
        lines.extend(found.lines.iter().map(|line| format!("    {line}")));
        sound &= found.sound || is_partial(&message);
    }
    Dissection { lines, sound }
}

fn head(message: &Message<'_>, len: usize) -> String {
    let kind = match message.ty() {
        Type::Con => "CON",
        Type::Non => "NON",
        Type::Ack => "ACK",
        Type::Reset => "RST",
    };
    let code = message.code();
    let number = format!("{}.{:02}", code.class(), code.detail());
    let name = code.name().map(|name| format!(" {name}")).unwrap_or_default();
    let token = match message.token().as_bytes() {
        [] => "no token".to_owned(),
        bytes => format!("token {}", hex::print(bytes)),
    };
    format!("CoAP {kind} {number}{name}, message ID {:#06x}, {token}, {len} bytes", message.message_id().0)
}

fn option_line(option: &RawOption<'_>) -> String {
    let number = option.number;
    let mut text = match number.name() {
        Some(name) => format!("{name}: "),
        None => format!("option {}: ", number.0),
    };
    let _ = write!(text, "{option}");
    if number.name().is_none() {
        text.push_str(if number.is_critical() { " (critical, not registered)" } else { " (not registered)" });
    }
    if !number.allows_len(option.value.len()) {
        let _ = write!(text, " ! a length of {} bytes is not allowed", option.value.len());
    }
    text
}

/// Whether length and value are what the option's definition allows.
fn is_legal(option: &RawOption<'_>) -> bool {
    let is_block = matches!(option.number, OptionNumber::BLOCK1 | OptionNumber::BLOCK2);
    let reserved_block = is_block && option.uint().is_none_or(|value| Block::from_uint(value).is_none());
    option.number.allows_len(option.value.len()) && !reserved_block
}

/// Every registered option of the message: an unregistered critical one is what remains bad.
fn registered(message: &Message<'_>) -> Vec<OptionNumber> {
    message.options().map(|option| option.number).filter(|number| number.rule().is_some()).collect()
}

fn is_partial(message: &Message<'_>) -> bool {
    let partial =
        |block: Option<Result<Block, _>>| matches!(block, Some(Ok(block)) if block.more() || block.num() > 0);
    partial(message.block1()) || partial(message.block2())
}

fn partial(message: &Message<'_>) -> &'static str {
    if is_partial(message) { ", a part of a larger body" } else { "" }
}

fn malformed_lines(datagram: &[u8], malformed: &Malformed) -> Vec<String> {
    let (at, what) = flaw(datagram, malformed.reason);
    let reaction = match malformed.reset {
        Some(id) => format!("the receiver answers with a Reset for message ID {:#06x}", id.0),
        None => "the receiver stays silent".to_owned(),
    };
    vec![
        format!("! no CoAP message, {} bytes: {what} (at byte {at}); {reaction}", datagram.len()),
        format!("  {}", hex::print(datagram)),
    ]
}

/// The place of a flaw that the parser named, counted from 0, and the flaw in words.
fn flaw(datagram: &[u8], reason: MalformedReason) -> (usize, &'static str) {
    let token_len = usize::from(datagram.first().copied().unwrap_or(0) & 0x0f);
    match reason {
        MalformedReason::Short => (datagram.len(), "it ends inside the four bytes of the header"),
        MalformedReason::Version => (0, "the version is not 1"),
        MalformedReason::TokenLength => (0, "a token length above 8 is reserved"),
        MalformedReason::TokenCut => (datagram.len(), "it ends inside the token"),
        MalformedReason::ReservedNibble => {
            (option_flaw(datagram, token_len), "an option's delta or length is 15, which is reserved")
        }
        MalformedReason::OptionCut => (option_flaw(datagram, token_len), "it ends inside this option"),
        MalformedReason::OptionNumber => {
            (option_flaw(datagram, token_len), "the option numbers add up to more than 65535")
        }
        MalformedReason::NoPayload => {
            (datagram.len().saturating_sub(1), "nothing follows the payload marker")
        }
        MalformedReason::EmptyWithContent => (4, "an Empty message must end after its message ID"),
    }
}

/// Where the last option begins that can be walked to.
fn option_flaw(datagram: &[u8], token_len: usize) -> usize {
    let mut at = 4 + token_len;
    let mut number: u32 = 0;
    loop {
        let Some(&first) = datagram.get(at) else { return at.min(datagram.len()) };
        let mut next = at + 1;
        let mut extended = |nibble: u8| -> Option<u32> {
            match nibble {
                13 => {
                    next += 1;
                    Some(u32::from(*datagram.get(next - 1)?) + 13)
                }
                14 => {
                    next += 2;
                    let bytes = datagram.get(next - 2..next)?;
                    Some(bytes.iter().fold(0, |sum, byte| sum << 8 | u32::from(*byte)) + 269)
                }
                15 => None,
                small => Some(u32::from(small)),
            }
        };
        let (Some(delta), Some(length)) = (extended(first >> 4), extended(first & 0x0f)) else { return at };
        number += delta;
        let end = usize::try_from(length).ok().and_then(|length| next.checked_add(length));
        match end {
            Some(end) if end <= datagram.len() && number <= u32::from(u16::MAX) => at = end,
            _ => return at,
        }
    }
}

#[cfg(test)]
#[path = "dissect/tests.rs"] // spelt out, since dev/fuzz takes this file in by its path
mod tests;
