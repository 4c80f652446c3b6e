//! What belongs together: requests, answers, acknowledgements, repetitions, blocks, notifications; and what it means.
//!
//! Messages are to be told in the order of time. What came before the first is not known, so an answer may stand alone.

use std::collections::HashMap;
use std::net::SocketAddr;

use lightship_api::ServerRole;
use lightship_coap::{Block, Code, Message, Role, Token, Type};
use lightship_lwm2m::Path;
use lightship_lwm2m::bootstrap;
use lightship_lwm2m::downlink;
use lightship_lwm2m::meaning::{Deed, Sender, Subject};
use lightship_server::Observed;

use super::gather::Seen;

/// What a message is part of.
#[derive(Clone, Debug, Default)]
pub(crate) struct Meant {
    /// The message that the exchange began with: its recorder and position.
    pub(super) exchange: (usize, u64),
    pub(super) operation: Option<&'static str>,
    pub(super) subject: Option<Subject>,
    /// What it is about, as text.
    pub(super) path: Option<String>,
    /// It is a copy.
    pub(super) repeated: bool,
    pub(super) elapsed_us: Option<u64>,
}

/// Sees messages pass, and says of each what it belongs to.
#[derive(Debug, Default)]
pub(crate) struct Joiner {
    root: String,
    observed: HashMap<Token, Option<Path>>,
    /// Requests by who asked and their token.
    asked: HashMap<(bool, SocketAddr, Token), Open>,
    /// Messages by who sent them and their message ID: what acknowledges them belongs to them, and so do copies.
    sent: HashMap<(bool, SocketAddr, u16, bool), (Type, Open)>,
    /// The last exchange of a method on a path, for the blocks that follow.
    blocks: HashMap<(bool, SocketAddr, Code, String), Open>,
}

#[derive(Clone, Debug)]
struct Open {
    meant: Meant,
    at_us: i64,
    answered: bool,
    observes: bool,
}

impl Joiner {
    pub(crate) fn new() -> Self {
        Self::default()
    }

    /// Takes note of what the device observes, and of the path in front of its objects.
    pub(crate) fn know(&mut self, root: &str, observed: &[(Token, Observed)]) {
        root.clone_into(&mut self.root);
        self.observed = observed.iter().map(|(token, observed)| (*token, observed.path())).collect();
    }

    /// What the next message is part of.
    pub(crate) fn next(&mut self, seen: &Seen) -> Meant {
        self.forget();
        let own = Meant { exchange: (seen.source, seen.position), ..Meant::default() };
        if seen.is_sealed {
            return own;
        }
        let Ok(message) = Message::parse(&seen.bytes) else { return own };
        match message.role() {
            Role::Request => self.request(seen, &message, own.exchange),
            Role::Response => self.response(seen, &message, own),
            Role::Ack | Role::Reset => self.receipt(seen, &message, own),
            Role::Ping => {
                let ping = Meant { operation: Some("ping"), ..own };
                self.repeated(seen, &message).unwrap_or_else(|| self.keep(seen, &message, ping))
            }
            Role::Unusable => own,
        }
    }

    fn request(&mut self, seen: &Seen, message: &Message<'_>, exchange: (usize, u64)) -> Meant {
        if let Some(copy) = self.repeated(seen, message) {
            return copy;
        }
        let sender = match (seen.is_out, seen.server) {
            (false, _) => Sender::Device,
            (true, ServerRole::Lwm2m) => Sender::Server,
            (true, ServerRole::Bootstrap) => Sender::BootstrapServer,
        };
        let subject = Subject::of(message, sender, &self.root);
        let place = message.uri_path().fold(String::new(), |path, segment| path + "/" + segment);
        let data = subject.filter(|_| seen.is_out).and_then(|subject| subject.path);
        let path = data.map_or_else(
            || if place.is_empty() { "/".to_owned() } else { place.clone() },
            |path| path.to_string(),
        );
        let mut meant = Meant {
            operation: subject.map(|subject| name(subject.deed)),
            subject,
            path: Some(path),
            exchange,
            ..Meant::default()
        };
        let key = (seen.is_out, seen.address, message.code(), place);
        let follows = |block: Option<Result<Block, _>>| matches!(block, Some(Ok(block)) if block.num() > 0);
        if (follows(message.block1()) || follows(message.block2()))
            && let Some(begun) = self.blocks.get(&key)
        {
            meant = Meant { elapsed_us: None, repeated: false, ..begun.meant.clone() };
        }
        let open = Open {
            meant: meant.clone(),
            at_us: seen.time_us,
            answered: false,
            observes: message.observe() == Some(0),
        };
        self.blocks.insert(key, open.clone());
        self.asked.insert((seen.is_out, seen.address, message.token()), open);
        self.keep(seen, message, meant)
    }

    fn response(&mut self, seen: &Seen, message: &Message<'_>, own: Meant) -> Meant {
        if let Some(copy) = self.repeated(seen, message) {
            return copy;
        }
        let notifies = message.observe().is_some() && message.code().is_success();
        let asked = self.asked.get_mut(&(!seen.is_out, seen.address, message.token()));
        let meant = match asked {
            Some(asked) if !(asked.answered && asked.observes) => {
                asked.answered = true;
                Meant { elapsed_us: elapsed(asked.at_us, seen), repeated: false, ..asked.meant.clone() }
            }
            Some(asked) => Meant {
                operation: Some(NOTIFY),
                subject: asked.meant.subject,
                path: asked.meant.path.clone(),
                ..own
            },
            None => match self.observed.get(&message.token()).filter(|_| !seen.is_out) {
                Some(path) => {
                    let path = path.unwrap_or(Path::ROOT);
                    let deed = if path.is_root() {
                        downlink::Operation::ObserveComposite
                    } else {
                        downlink::Operation::Observe
                    };
                    let subject = Subject { deed: Deed::Downlink(deed), path: Some(path), links: false };
                    let path = Some(path.to_string());
                    Meant { operation: Some(NOTIFY), subject: Some(subject), path, ..own }
                }
                None => Meant { operation: notifies.then_some(NOTIFY), ..own },
            },
        };
        self.begins_blocks(seen, message, &meant);
        self.keep(seen, message, meant)
    }

    /// What does not fit into a notification is fetched, which belongs to it.
    fn begins_blocks(&mut self, seen: &Seen, message: &Message<'_>, meant: &Meant) {
        let more = matches!(message.block2(), Some(Ok(block)) if block.more());
        let Some(subject) = meant.subject.filter(|_| more && meant.operation == Some(NOTIFY)) else { return };
        let Deed::Downlink(operation) = subject.deed else { return };
        let Some(path) = &meant.path else { return };
        let front = self.root.trim_matches('/');
        let front = if front.is_empty() { String::new() } else { format!("/{front}") };
        let place = if path == "/" { front } else { format!("{front}{path}") };
        let open = Open { meant: meant.clone(), at_us: seen.time_us, answered: true, observes: false };
        self.blocks.insert((!seen.is_out, seen.address, operation.method(), place), open);
    }

    fn receipt(&mut self, seen: &Seen, message: &Message<'_>, own: Meant) -> Meant {
        if let Some(copy) = self.repeated(seen, message) {
            return copy;
        }
        let key = (!seen.is_out, seen.address, message.message_id().0, false);
        let meant = self.sent.get(&key).map_or(own, |(_, open)| Meant {
            elapsed_us: elapsed(open.at_us, seen),
            repeated: false,
            ..open.meant.clone()
        });
        self.keep(seen, message, meant)
    }

    /// The message that this one is a copy of: same sender, ID and kind.
    fn repeated(&self, seen: &Seen, message: &Message<'_>) -> Option<Meant> {
        let (ty, open) = self.sent.get(&id(seen, message))?;
        let is_recent = seen.time_us.saturating_sub(open.at_us) < EXCHANGE_LIFETIME_US;
        (*ty == message.ty() && is_recent).then(|| Meant {
            repeated: true,
            elapsed_us: None,
            ..open.meant.clone()
        })
    }

    fn keep(&mut self, seen: &Seen, message: &Message<'_>, meant: Meant) -> Meant {
        let open = Open { meant: meant.clone(), at_us: seen.time_us, answered: false, observes: false };
        self.sent.insert(id(seen, message), (message.ty(), open));
        meant
    }

    /// A reader may follow for days.
    fn forget(&mut self) {
        if self.sent.len() > OPEN_MAX {
            self.sent.clear();
        }
        if self.asked.len() > OPEN_MAX {
            self.asked.clear();
        }
        if self.blocks.len() > OPEN_MAX {
            self.blocks.clear();
        }
    }
}

/// Numbers of messages that begin something, and of those that answer, are chosen by different sides.
fn id(seen: &Seen, message: &Message<'_>) -> (bool, SocketAddr, u16, bool) {
    let answers = matches!(message.ty(), Type::Ack | Type::Reset);
    (seen.is_out, seen.address, message.message_id().0, answers)
}

fn elapsed(from_us: i64, seen: &Seen) -> Option<u64> {
    u64::try_from(seen.time_us.saturating_sub(from_us)).ok()
}

/// The name of an operation in the API.
fn name(deed: Deed) -> &'static str {
    use bootstrap::Operation as Command;
    use downlink::Operation;
    match deed {
        Deed::Register => "register",
        Deed::Update => "update",
        Deed::Deregister => "deregister",
        Deed::Send => "send",
        Deed::BootstrapRequest => "bootstrap-request",
        Deed::BootstrapPackRequest => "bootstrap-pack-request",
        Deed::Bootstrap(Command::Discover) => "bootstrap-discover",
        Deed::Bootstrap(Command::Read) => "bootstrap-read",
        Deed::Bootstrap(Command::Write) => "bootstrap-write",
        Deed::Bootstrap(Command::Delete) => "bootstrap-delete",
        Deed::Bootstrap(Command::Finish) => "bootstrap-finish",
        Deed::Downlink(Operation::Read) => "read",
        Deed::Downlink(Operation::Discover) => "discover",
        Deed::Downlink(Operation::Replace | Operation::PartialUpdate) => "write",
        Deed::Downlink(Operation::WriteAttributes) => "write-attributes",
        Deed::Downlink(Operation::Execute) => "execute",
        Deed::Downlink(Operation::Create) => "create",
        Deed::Downlink(Operation::Delete) => "delete",
        Deed::Downlink(Operation::Observe) => "observe",
        Deed::Downlink(Operation::CancelObservation) => "cancel-observation",
        Deed::Downlink(Operation::ReadComposite) => "read-composite",
        Deed::Downlink(Operation::WriteComposite) => "write-composite",
        Deed::Downlink(Operation::ObserveComposite) => "observe-composite",
        Deed::Downlink(Operation::CancelObservationComposite) => "cancel-composite",
        Deed::Bootstrap(_) | Deed::Downlink(_) | _ => "other",
    }
}

const NOTIFY: &str = "notify";
/// EXCHANGE_LIFETIME of RFC 7252 §4.8.2: a message ID means the same message so long.
const EXCHANGE_LIFETIME_US: i64 = 247_000_000;
/// Requests and messages remembered.
const OPEN_MAX: usize = 65_536;
