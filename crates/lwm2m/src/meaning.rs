//! What a request means to somebody who watches: the operation of LwM2M that it can only be, and what it is about.
//!
//! Devices and servers know which operations may come and refuse all else; this is for whoever looks at a conversation of others.

use lightship_coap::{Code, ContentFormat, Message};

use crate::bootstrap;
use crate::downlink;
use crate::id::ObjectId;
use crate::path::Path;

/// Who has sent a request, as far as that is known.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Sender {
    /// Nothing is known.
    Anybody,
    /// A device.
    Device,
    /// A LwM2M Server.
    Server,
    /// A Bootstrap-Server.
    BootstrapServer,
}

/// An operation of any interface.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub enum Deed {
    /// Core TS 6.2.1.
    Register,
    /// Core TS 6.2.2.
    Update,
    /// Core TS 6.2.3.
    Deregister,
    /// Core TS 6.4.7.
    Send,
    /// Core TS 6.1.7.1.
    BootstrapRequest,
    /// Core TS 6.1.7.7.
    BootstrapPackRequest,
    /// A Bootstrap-Server's command.
    Bootstrap(bootstrap::Operation),
    /// A LwM2M Server's request.
    Downlink(downlink::Operation),
}

impl Deed {
    /// The name in the standard.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Register => "Register",
            Self::Update => "Update",
            Self::Deregister => "De-register",
            Self::Send => "Send",
            Self::BootstrapRequest => "Bootstrap-Request",
            Self::BootstrapPackRequest => "Bootstrap-Pack-Request",
            Self::Bootstrap(operation) => operation.as_str(),
            Self::Downlink(operation) => operation.as_str(),
        }
    }
}

/// What a request asks for; its response is read with it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Subject {
    /// The operation.
    pub deed: Deed,
    /// Where in the device's data tree; the root where the payload chooses paths itself. `None`: it is about no data.
    pub path: Option<Path>,
    /// Whether what is told about it is a list of links: objects, or the answer to a Discover.
    pub links: bool,
}

impl Subject {
    /// What a request asks for; `root` is the path in front of the device's objects, empty without one. `None` if it is no operation
    /// of LwM2M that this sender could mean.
    #[must_use]
    pub fn of(message: &Message<'_>, sender: Sender, root: &str) -> Option<Self> {
        match sender {
            Sender::Device => uplink(message, sender),
            Sender::Anybody => uplink(message, sender).or_else(|| to_device(message, sender, root)),
            Sender::Server | Sender::BootstrapServer => to_device(message, sender, root),
        }
    }
}

/// Whether the path is one of those that a server has for its devices.
#[must_use]
pub fn is_uplink_path(message: &Message<'_>) -> bool {
    message.uri_path().next().is_some_and(|first| {
        ["rd", "bs", "dp", "bspack"].iter().any(|known| first.eq_ignore_ascii_case(known))
    })
}

fn uplink(message: &Message<'_>, sender: Sender) -> Option<Subject> {
    let mut segments = message.uri_path();
    let (first, second) = (segments.next()?, segments.next());
    let is = |name: &str| first.eq_ignore_ascii_case(name);
    let (deed, links) = match (message.code(), second) {
        (Code::POST, None) if is("rd") => (Deed::Register, true),
        (Code::POST | Code::PUT, Some(_)) if is("rd") => (Deed::Update, true),
        (Code::DELETE, Some(_)) if is("rd") => (Deed::Deregister, false),
        // Without a name it may as well be a device that its security names; a Finish is what is mostly seen.
        (Code::POST, None)
            if is("bs") && sender == Sender::Anybody && message.uri_query().next().is_none() =>
        {
            (Deed::Bootstrap(bootstrap::Operation::Finish), false)
        }
        (Code::POST, None) if is("bs") => (Deed::BootstrapRequest, false),
        (Code::POST, None) if is("dp") => (Deed::Send, false),
        (Code::GET, None) if is("bspack") => (Deed::BootstrapPackRequest, false),
        _ => return None,
    };
    let is_about_data = matches!(deed, Deed::Send | Deed::BootstrapPackRequest);
    Some(Subject { deed, path: is_about_data.then_some(Path::ROOT), links })
}

fn to_device(message: &Message<'_>, sender: Sender, root: &str) -> Option<Subject> {
    let is_finish = message.code() == Code::POST && message.uri_path().eq([bootstrap::BS]);
    if is_finish && sender != Sender::Server {
        let deed = Deed::Bootstrap(bootstrap::Operation::Finish);
        return Some(Subject { deed, path: None, links: false });
    }
    let mut segments = message.uri_path();
    let mut rest = segments.clone();
    if root.split('/').filter(|part| !part.is_empty()).all(|part| rest.next() == Some(part)) {
        segments = rest;
    }
    let path = Path::from_segments(segments.map(str::as_bytes)).ok()?;
    let usual = downlink::Operation::of(message, path, message.payload().len());
    let command = match sender {
        Sender::Server | Sender::Device => None,
        Sender::Anybody | Sender::BootstrapServer => bootstrap::Command::parse(message).ok(),
    };
    // What only a Bootstrap-Server can mean: about everything, an object as a whole, or the accounts.
    let is_hidden = path.object_id().is_some_and(ObjectId::is_hidden);
    let is_command = sender == Sender::BootstrapServer || is_hidden || usual.is_none();
    let deed = match command.filter(|_| is_command) {
        Some(command) => Deed::Bootstrap(command.operation),
        None => Deed::Downlink(usual?),
    };
    let discovers = deed == Deed::Downlink(downlink::Operation::Discover);
    let is_command = matches!(deed, Deed::Bootstrap(_));
    let links = discovers || (is_command && message.accept() == Some(ContentFormat::LINK));
    Some(Subject { deed, path: Some(path), links })
}

#[cfg(test)]
mod tests {
    use super::*;
    use lightship_coap::{Encoder, MessageId, OptionNumber, Token, Type};

    fn request(code: Code, path: &[&str], query: &[&str], buffer: &mut [u8]) -> usize {
        let mut encoder = Encoder::new(buffer, Type::Con, code, MessageId(1), Token::EMPTY);
        for segment in path {
            encoder.options().option(OptionNumber::URI_PATH, segment.as_bytes());
        }
        for part in query {
            encoder.options().option(OptionNumber::URI_QUERY, part.as_bytes());
        }
        encoder.finish().expect("it fits")
    }

    fn subject(code: Code, path: &[&str], query: &[&str], sender: Sender, root: &str) -> Option<Subject> {
        let mut buffer = [0; 128];
        let len = request(code, path, query, &mut buffer);
        let message = Message::parse(buffer.get(..len)?).ok()?;
        Subject::of(&message, sender, root)
    }

    #[test]
    fn the_same_request_means_another_thing_from_another_sender() {
        for (code, path, sender, expected) in [
            (Code::POST, &["rd"][..], Sender::Device, Some("Register")),
            (Code::POST, &["RD", "5a"], Sender::Device, Some("Update")),
            (Code::DELETE, &["rd", "5a"], Sender::Anybody, Some("De-register")),
            (Code::POST, &["dp"], Sender::Device, Some("Send")),
            (Code::POST, &["bs"], Sender::Device, Some("Bootstrap-Request")),
            (Code::POST, &["bs"], Sender::BootstrapServer, Some("Bootstrap-Finish")),
            (Code::POST, &["bs"], Sender::Anybody, Some("Bootstrap-Finish")),
            (Code::GET, &["bspack"], Sender::Device, Some("Bootstrap-Pack-Request")),
            (Code::GET, &["3", "0", "9"], Sender::Server, Some("Read")),
            (Code::GET, &["3", "0", "9"], Sender::Device, None),
            (Code::DELETE, &["3303", "1"], Sender::Server, Some("Delete")),
            (Code::DELETE, &["3303", "1"], Sender::BootstrapServer, Some("Bootstrap-Delete")),
            (Code::DELETE, &[], Sender::Anybody, Some("Bootstrap-Delete")),
            (Code::GET, &["hello"], Sender::Anybody, None),
        ] {
            let found = subject(code, path, &[], sender, "");
            assert_eq!(found.map(|found| found.deed.as_str()), expected, "{code} {path:?} {sender:?}");
        }
        let named = subject(Code::POST, &["bs"], &["ep=lamp"], Sender::Anybody, "");
        assert_eq!(named.map(|found| found.deed), Some(Deed::BootstrapRequest));
    }

    #[test]
    fn the_path_in_front_of_the_objects_is_taken_away() {
        for (root, path) in
            [("", &["3", "0"][..]), ("lwm2m", &["lwm2m", "3", "0"]), ("/a/b", &["a", "b", "3", "0"])]
        {
            let found = subject(Code::GET, path, &[], Sender::Server, root);
            assert_eq!(found.and_then(|found| found.path), Path::from_numbers(&[3, 0]), "{root}");
        }
    }
}
