//! First contact: what an address without a registration gets, decided without keeping anything.
//!
//! Only a POST to `/rd`, and where the policy lets registrations move one to a location of ours, is worth state
//! (a [`Link`](crate::links::Link), bounded in number). All else is answered from the message alone, with at most
//! as many bytes as were received, or dropped.

use lightship_coap::{Code, Encoder, Message, MessageId, OptionNumber, Role, Token, Type};

use crate::Locator;
use crate::limits::STATELESS_LEN_MAX;

/// A short answer that needs no state.
#[derive(Clone, Copy)]
pub(crate) struct ShortAnswer {
    bytes: [u8; STATELESS_LEN_MAX],
    len: usize,
}

impl ShortAnswer {
    pub(crate) fn as_bytes(&self) -> &[u8] {
        &self.bytes[..self.len]
    }

    fn new(ty: Type, code: Code, message_id: MessageId, token: Token) -> Self {
        let mut bytes = [0; STATELESS_LEN_MAX];
        let len = Encoder::new(&mut bytes, ty, code, message_id, token).finish().unwrap_or(0);
        Self { bytes, len }
    }

    fn reset(message_id: MessageId) -> Self {
        Self::new(Type::Reset, Code::EMPTY, message_id, Token::EMPTY)
    }
}

/// What is to be done with a datagram from an address that has no state here.
pub(crate) enum FirstContact {
    Drop {
        malformed: bool,
    },
    Answer {
        answer: ShortAnswer,
        malformed: bool,
    },
    /// A Register, perhaps its first block.
    Register,
    /// An Update of a registration of ours from another address than the one known.
    Update(Locator),
}

/// Looks at a datagram from an address without state; `next_id` numbers an answer to a NON.
pub(crate) fn first_contact(datagram: &[u8], next_id: impl FnOnce() -> MessageId) -> FirstContact {
    let message = match Message::parse(datagram) {
        Ok(message) => message,
        Err(error) => {
            return match error.reset {
                Some(id) => FirstContact::Answer { answer: ShortAnswer::reset(id), malformed: true },
                None => FirstContact::Drop { malformed: true },
            };
        }
    };
    let reset =
        || FirstContact::Answer { answer: ShortAnswer::reset(message.message_id()), malformed: false };
    match message.role() {
        Role::Request => request(&message, next_id),
        Role::Ping => reset(),
        // Nobody here waits for a response (RFC 7252 §4.2); a notification by NON needs the Reset too, or it
        // would go on for ever (TS_Core 6.4.4).
        Role::Response if message.ty() == Type::Con || message.observe().is_some() => {
            if message.ty() == Type::Ack { FirstContact::Drop { malformed: false } } else { reset() }
        }
        Role::Unusable if message.ty() == Type::Con => reset(),
        Role::Response | Role::Ack | Role::Reset | Role::Unusable => FirstContact::Drop { malformed: false },
    }
}

fn request(message: &Message<'_>, next_id: impl FnOnce() -> MessageId) -> FirstContact {
    let code = match target(message) {
        Ok(Target::Rd) if message.code() == Code::POST => return FirstContact::Register,
        Ok(Target::Location(locator)) if message.code() == Code::POST => {
            return FirstContact::Update(locator);
        }
        Ok(Target::Rd) => Code::METHOD_NOT_ALLOWED,
        Ok(Target::Location(_) | Target::Send) => Code::NOT_FOUND,
        Err(code) => code,
    };
    refuse(message, code, next_id)
}

/// The refusal of a request, without state.
pub(crate) fn refuse(message: &Message<'_>, code: Code, next_id: impl FnOnce() -> MessageId) -> FirstContact {
    let (token, id) = (message.token(), message.message_id());
    let answer = match message.ty() {
        Type::Con => ShortAnswer::new(Type::Ack, code, id, token),
        // RFC 7252 §5.4.1: a NON with a critical option that is not understood is rejected in silence.
        Type::Non if code == Code::BAD_OPTION => return FirstContact::Drop { malformed: false },
        Type::Non => ShortAnswer::new(Type::Non, code, next_id(), token),
        Type::Ack | Type::Reset => return FirstContact::Drop { malformed: false },
    };
    FirstContact::Answer { answer, malformed: false }
}

/// What a request from a device is for, by its path.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Target {
    /// `/rd`
    Rd,
    /// `/rd/<locator>`
    Location(Locator),
    /// `/dp`
    Send,
}

/// The target of a request and the options that speak against serving it.
pub(crate) fn target(message: &Message<'_>) -> Result<Target, Code> {
    match bad_option(message) {
        Some(code) => Err(code),
        None => place(message),
    }
}

/// The same for a message whose critical options are known to be understood.
pub(crate) fn place(message: &Message<'_>) -> Result<Target, Code> {
    if !matches!(message.code(), Code::GET | Code::POST | Code::PUT | Code::DELETE) {
        return Err(Code::METHOD_NOT_ALLOWED);
    }
    let mut path = message.options().filter(|o| o.number == OptionNumber::URI_PATH).map(|o| o.value);
    // The standard's letters are small; others cannot mean anything else.
    let is = |first: Option<&[u8]>, name: &[u8]| first.is_some_and(|first| first.eq_ignore_ascii_case(name));
    match (path.next(), path.next(), path.next()) {
        (first, None | Some(b""), None) if is(first, b"rd") => Ok(Target::Rd),
        (first, Some(id), None) if is(first, b"rd") => {
            Locator::parse(id).map(Target::Location).ok_or(Code::NOT_FOUND)
        }
        (first, None, None) if is(first, b"dp") => Ok(Target::Send),
        _ => Err(Code::NOT_FOUND),
    }
}

pub(crate) fn bad_option(message: &Message<'_>) -> Option<Code> {
    let proxied = |number| message.option(number).is_some();
    if proxied(OptionNumber::PROXY_URI) || proxied(OptionNumber::PROXY_SCHEME) {
        return Some(Code::PROXYING_NOT_SUPPORTED);
    }
    message.bad_option(&UNDERSTOOD).map(|_| Code::BAD_OPTION)
}

/// The critical options that the server understands in a request.
const UNDERSTOOD: [OptionNumber; 8] = [
    OptionNumber::URI_HOST,
    OptionNumber::URI_PORT,
    OptionNumber::URI_PATH,
    OptionNumber::URI_QUERY,
    OptionNumber::ACCEPT,
    OptionNumber::BLOCK1,
    OptionNumber::BLOCK2,
    OptionNumber::HOP_LIMIT,
];
