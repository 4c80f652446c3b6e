//! What a request is for, and what an address without state gets: only a well-formed request to be configured is worth state.

use std::net::SocketAddr;

use lightship_coap::{Code, Message, OptionNumber, Role};
use lightship_lwm2m::bootstrap::{BS, BSPACK, PackRequest, PreferredFormat, Request};
use lightship_lwm2m::{Endpoint, Format, Path};
use lightship_platform::Instant;

use super::talk::Link;
use super::{BootstrapServer, Config, Identity};
use crate::slab::Key;
use crate::stateless::{FirstContact, bad_option, first_contact, refuse};
use crate::trace::{TraceDrop, Way};

/// What a device asks for.
pub(super) enum Wish {
    Bootstrap { endpoint: Endpoint, preferred_format: Option<Format> },
    Pack { endpoint: Endpoint, accept: Format, account: Box<[Path]> },
}

impl Wish {
    pub(super) fn endpoint(&self) -> &Endpoint {
        match self {
            Self::Bootstrap { endpoint, .. } | Self::Pack { endpoint, .. } => endpoint,
        }
    }
}

/// Why a request is refused.
pub(super) enum NoWish {
    /// With this code.
    Code(Code),
    /// The identity does not speak for this name (TS_Core 6.1.3: 4.00).
    WrongName(Endpoint),
}

impl From<Code> for NoWish {
    fn from(code: Code) -> Self {
        Self::Code(code)
    }
}

impl NoWish {
    pub(super) const fn code(&self) -> Code {
        match self {
            Self::Code(code) => *code,
            Self::WrongName(_) => Code::BAD_REQUEST,
        }
    }
}

/// Reads a request, or says why it is refused.
pub(super) fn wish(message: &Message<'_>, identity: &Identity, config: &Config) -> Result<Wish, NoWish> {
    if let Some(code) = bad_option(message) {
        return Err(code.into());
    }
    let mut path = message.options().filter(|option| option.number == OptionNumber::URI_PATH);
    let is = |name: &str, segment: &[u8]| segment.eq_ignore_ascii_case(name.as_bytes());
    let is_pack = match (path.next().map(|option| option.value), path.next()) {
        (Some(segment), None) if is(BS, segment) => false,
        (Some(segment), None) if is(BSPACK, segment) => true,
        _ => return Err(Code::NOT_FOUND.into()),
    };
    // TS_Core 6.1.3: without a name, and nothing else that says it, nobody knows whom to configure.
    let named = |endpoint: Option<&str>| match endpoint {
        Some(name) => match Endpoint::new(name) {
            Ok(endpoint) if identity.allows(name) => Ok(endpoint),
            Ok(endpoint) => Err(NoWish::WrongName(endpoint)),
            Err(_) => Err(Code::BAD_REQUEST.into()),
        },
        None => identity.endpoint().ok_or(NoWish::Code(Code::BAD_REQUEST)),
    };
    match (is_pack, message.code()) {
        (false, Code::POST) => {
            let request = Request::parse(message).map_err(|refused| refused.code())?;
            let preferred_format = match request.preferred_format {
                PreferredFormat::Unsaid => None,
                PreferredFormat::Known(format) => Some(format),
                PreferredFormat::Unknown(_) if config.tolerate_unknown_format => None,
                PreferredFormat::Unknown(_) => return Err(Code::UNSUPPORTED_CONTENT_FORMAT.into()),
            };
            Ok(Wish::Bootstrap { endpoint: named(request.endpoint)?, preferred_format })
        }
        (true, Code::GET) if !config.packs => Err(Code::NOT_IMPLEMENTED.into()),
        (true, Code::GET) => {
            let request = PackRequest::parse(message).map_err(|refused| refused.code())?;
            let endpoint = named(request.endpoint)?;
            Ok(Wish::Pack { endpoint, accept: request.accept, account: request.account().collect() })
        }
        (false | true, _) => Err(Code::METHOD_NOT_ALLOWED.into()),
    }
}

impl BootstrapServer {
    /// Decides about a datagram from an address without state.
    pub(super) fn admit(&mut self, now: Instant, from: SocketAddr, datagram: &[u8]) -> Option<Key<Link>> {
        self.trace.at(now);
        let id = self.next_message_id();
        let contact = match Message::parse(datagram) {
            Ok(message) if message.role() == Role::Request => {
                match wish(&message, &Identity::Unsecured, &self.config) {
                    Ok(_) => return Some(self.open_link(now, (from, None))),
                    Err(refusal) => {
                        self.stats.refused += 1;
                        self.record_stranger(from, datagram, TraceDrop::NotRegistered);
                        refuse(&message, refusal.code(), || id)
                    }
                }
            }
            Ok(_) | Err(_) => {
                let contact = first_contact(datagram, || id);
                let is_malformed = matches!(
                    contact,
                    FirstContact::Answer { malformed: true, .. } | FirstContact::Drop { malformed: true }
                );
                let why = if is_malformed { TraceDrop::Malformed } else { TraceDrop::NotRegistered };
                self.record_stranger(from, datagram, why);
                contact
            }
        };
        match contact {
            FirstContact::Answer { answer, malformed } => {
                self.count_dropped(malformed);
                self.send_stateless(from, answer);
            }
            FirstContact::Drop { malformed } => self.count_dropped(malformed),
            FirstContact::Register | FirstContact::Update(_) => {}
        }
        None
    }

    fn record_stranger(&mut self, from: SocketAddr, datagram: &[u8], why: TraceDrop) {
        self.trace.record_dropped(Way { address: from, session: 0, tag: 0, flags: 0 }, datagram, why);
    }

    fn count_dropped(&mut self, malformed: bool) {
        let counter = if malformed { &mut self.stats.malformed } else { &mut self.stats.dropped };
        *counter += 1;
    }
}
