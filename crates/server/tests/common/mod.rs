//! A shard with a host of its own and devices that speak by hand-made messages.
#![expect(dead_code, unreachable_pub, reason = "each test file uses its part")]
#![expect(clippy::wildcard_enum_match_arm, reason = "each looks for one kind of event among all")]

use core::time::Duration;
use std::net::SocketAddr;

use lightship_coap::{Code, ContentFormat, Encoder, Message, MessageId, OptionNumber, Token, Type};
use lightship_lwm2m::{Endpoint, Path};
use lightship_platform::Instant;
use lightship_platform::crypto::Secret;
use lightship_server::{
    Alert, Answer, Ask, Config, Credential, Endpoints, Event, Fact, Operation, Presented, Principal,
    Registration, Request, SecurityEvent, Shard, Wanted,
};

pub mod secure;

pub const LIST: &str = "</1/0>,</3/0>,</3303/0>";
pub const SECOND: Duration = Duration::from_secs(1);

/// The shard, its time, and what came out of it.
pub struct World {
    pub shard: Shard,
    pub now: Instant,
    /// What the host says to a Register; `None` = nothing yet.
    pub accept: Option<Answer>,
    /// What it says to whatever else must be safe first, Sends left out; `None` = nothing yet.
    pub durable: Option<Answer>,
    pub events: Vec<Event>,
    pub out: Vec<(SocketAddr, Vec<u8>)>,
    /// The same for the socket for secured datagrams.
    pub wire: Vec<(SocketAddr, Vec<u8>)>,
    /// What the host knows of PSK identities; `None` = it says nothing yet.
    pub credentials: Option<Vec<Known>>,
    next_id: u16,
}

pub fn address(text: &str) -> SocketAddr {
    text.parse().expect("an address")
}

pub fn endpoint(name: &str) -> Endpoint {
    Endpoint::new(name).expect("a name")
}

pub fn path(text: &str) -> Path {
    text.parse().expect("a path")
}

pub fn wanted(text: &str) -> Wanted {
    Wanted { observed: path(text).into(), accept: None, attributes: Vec::new() }
}

/// A PSK identity that the host knows.
#[derive(Clone)]
pub struct Known {
    pub identity: Vec<u8>,
    pub key: Vec<u8>,
    pub endpoints: Endpoints,
}

pub fn judge(known: &[Known], presented: &Presented) -> Credential {
    let by_identity = |identity: &[u8]| known.iter().find(|one| one.identity == identity);
    let by_name =
        |name: Option<&str>| known.iter().find(|one| one.endpoints.one().map(|endpoint| &**endpoint) == name);
    let found = match presented {
        Presented::PskIdentity(identity) | Presented::Resumed(Principal::Psk(identity)) => {
            by_identity(identity)
        }
        Presented::RawPublicKey { sha256, .. } | Presented::Resumed(Principal::RawPublicKey(sha256)) => {
            by_identity(sha256)
        }
        Presented::Certificates(chain) => by_identity(&chain[0]),
        Presented::Resumed(Principal::Certificate(certificate)) => {
            by_name(certificate.common_name.as_deref())
        }
        _ => None,
    };
    let Some(one) = found else {
        return Credential::Refused { alert: Alert::UNKNOWN_PSK_IDENTITY, reason: "unknown".into() };
    };
    let endpoints = one.endpoints.clone();
    match presented {
        Presented::PskIdentity(_) | Presented::Resumed(Principal::Psk(_)) => {
            Credential::Psk { key: Secret::new(&one.key), endpoints }
        }
        Presented::RawPublicKey { .. } => Credential::RawPublicKey { endpoints },
        Presented::Certificates(_) => {
            let common_name = endpoints.one().map(|endpoint| (**endpoint).into());
            Credential::Certificate { common_name, names: Box::default(), endpoints }
        }
        _ => Credential::Resumed { endpoints },
    }
}

/// The question that waits with an event, a Send's left out.
pub fn durable_ask(event: &Event) -> Option<Ask> {
    match event {
        Event::AskDurable { fact: Fact::Send { .. }, .. } => None,
        Event::AskDurable { ask, .. } => Some(*ask),
        Event::Notified { ask, .. } => *ask,
        _ => None,
    }
}

/// A message under construction.
pub struct Packet {
    pub ty: Type,
    pub code: Code,
    pub id: u16,
    pub token: Token,
    pub options: Vec<(OptionNumber, Vec<u8>)>,
    pub payload: Vec<u8>,
}

impl Packet {
    pub fn new(ty: Type, code: Code, id: u16, token: &[u8]) -> Self {
        let token = Token::new(token).expect("a token");
        Self { ty, code, id, token, options: Vec::new(), payload: Vec::new() }
    }

    pub fn option(mut self, number: OptionNumber, value: &[u8]) -> Self {
        self.options.push((number, value.to_vec()));
        self
    }

    pub fn path(self, path: &str) -> Self {
        path.split('/')
            .fold(self, |packet, segment| packet.option(OptionNumber::URI_PATH, segment.as_bytes()))
    }

    pub fn query(self, query: &str) -> Self {
        query
            .split('&')
            .filter(|part| !part.is_empty())
            .fold(self, |packet, part| packet.option(OptionNumber::URI_QUERY, part.as_bytes()))
    }

    pub fn observe(self, sequence: u32) -> Self {
        let bytes = sequence.to_be_bytes();
        let skip = bytes.iter().take_while(|byte| **byte == 0).count();
        self.option(OptionNumber::OBSERVE, &bytes[skip..])
    }

    pub fn format(self, format: ContentFormat) -> Self {
        let bytes = format.0.to_be_bytes();
        let skip = bytes.iter().take_while(|byte| **byte == 0).count();
        self.option(OptionNumber::CONTENT_FORMAT, &bytes[skip..])
    }

    pub fn payload(mut self, payload: impl AsRef<[u8]>) -> Self {
        self.payload = payload.as_ref().to_vec();
        self
    }

    pub fn bytes(&self) -> Vec<u8> {
        let mut buffer = vec![0; 2048];
        let mut encoder = Encoder::new(&mut buffer, self.ty, self.code, MessageId(self.id), self.token);
        for (number, value) in &self.options {
            encoder.options().option(*number, value);
        }
        let len = encoder.finish_with(&self.payload).expect("it fits");
        buffer.truncate(len);
        buffer
    }
}

/// A datagram read back.
pub fn read(datagram: &[u8]) -> Message<'_> {
    Message::parse(datagram).expect("the shard writes CoAP")
}

pub fn uri(message: &Message<'_>) -> String {
    message.uri_path().fold(String::new(), |path, segment| path + "/" + segment)
}

impl World {
    pub fn new() -> Self {
        Self::with(Config::default())
    }

    pub fn with(config: Config) -> Self {
        Self {
            shard: Shard::new(config, [7; 32]),
            now: Instant::from_secs(1000),
            accept: Some(Answer::Accept { observations: Vec::new() }),
            durable: Some(Answer::Stored),
            events: Vec::new(),
            out: Vec::new(),
            wire: Vec::new(),
            credentials: Some(Vec::new()),
            next_id: 100,
        }
    }

    pub fn id(&mut self) -> u16 {
        self.next_id += 1;
        self.next_id
    }

    /// Takes everything out of the shard, and answers what it asks.
    pub fn drain(&mut self) {
        loop {
            let mut buffer = [0; 1500];
            if let Some(transmit) = self.shard.poll_transmit(&mut buffer) {
                let out = if transmit.secured { &mut self.wire } else { &mut self.out };
                out.push((transmit.to, buffer[..transmit.len].to_vec()));
                continue;
            }
            let Some(event) = self.shard.poll_event() else { return };
            if let (Event::AskRegister { ask, .. }, Some(answer)) = (&event, &self.accept) {
                let (ask, answer) = (*ask, answer.clone());
                self.shard.answer(self.now, ask, answer);
            }
            if let (Some(ask), Some(answer)) = (durable_ask(&event), &self.durable) {
                let answer = answer.clone();
                self.shard.answer(self.now, ask, answer);
            }
            if let (Event::Security(SecurityEvent::AskCredential { ask, presented, .. }), Some(known)) =
                (&event, &self.credentials)
            {
                let (ask, answer) = (*ask, Answer::Credential(judge(known, presented)));
                self.shard.answer(self.now, ask, answer);
            }
            self.events.push(event);
        }
    }

    /// Hands a datagram in and returns what goes back to its sender because of it.
    pub fn send(&mut self, from: SocketAddr, datagram: &[u8]) -> Vec<Vec<u8>> {
        let before = self.out.len();
        let mut datagram = datagram.to_vec();
        self.shard.handle_input(self.now, from, &mut datagram);
        self.drain();
        let mut back = Vec::new();
        let mut kept = Vec::new();
        for (to, bytes) in self.out.drain(before..) {
            if to == from { back.push(bytes) } else { kept.push((to, bytes)) }
        }
        self.out.extend(kept);
        back
    }

    /// Sends a request and returns the code of the only answer.
    pub fn ask(&mut self, from: SocketAddr, packet: &Packet) -> Code {
        let answers = self.send(from, &packet.bytes());
        assert_eq!(answers.len(), 1, "one answer");
        read(&answers[0]).code()
    }

    /// Lets time pass, timer by timer.
    pub fn pass(&mut self, span: Duration) {
        let end = self.now + span;
        while let Some(due) = self.shard.poll_timeout().filter(|due| *due <= end) {
            self.now = self.now.max(due);
            self.shard.handle_timeout(self.now);
            self.drain();
        }
        self.now = end;
        self.shard.handle_timeout(end);
        self.drain();
    }

    pub fn register_packet(&mut self, query: &str, list: &str) -> Packet {
        Packet::new(Type::Con, Code::POST, self.id(), &[1])
            .path("rd")
            .format(ContentFormat::LINK)
            .query(query)
            .payload(list)
    }

    /// Registers a device with the usual parameters and returns its location.
    pub fn register(&mut self, from: SocketAddr, name: &str) -> String {
        let packet = self.register_packet(&format!("ep={name}&lt=300&lwm2m=1.1&b=U"), LIST);
        let answers = self.send(from, &packet.bytes());
        let answer = read(&answers[0]);
        assert_eq!(answer.code(), Code::CREATED);
        assert_eq!(answer.message_id(), MessageId(packet.id), "piggybacked");
        let location: Vec<_> = answer.location_path().collect();
        // Whatever else was sent (observations) stays visible.
        for more in &answers[1..] {
            self.out.push((from, more.clone()));
        }
        location.join("/")
    }

    pub fn update_packet(&mut self, location: &str, query: &str) -> Packet {
        Packet::new(Type::Con, Code::POST, self.id(), &[2]).path(location).query(query)
    }

    /// A Read of a registered device with a deadline far away.
    pub fn read_request(&mut self, name: &str, target: &str) -> lightship_server::RequestId {
        let request = Request::new(
            Operation::Read { path: path(target), accept: None },
            self.now + Duration::from_secs(600),
        );
        let id = self.shard.request(self.now, &endpoint(name), request).expect("taken");
        self.drain();
        id
    }

    /// The datagrams sent to an address since the last call.
    pub fn sent_to(&mut self, to: SocketAddr) -> Vec<Vec<u8>> {
        let (mine, others) = std::mem::take(&mut self.out).into_iter().partition(|(other, _)| *other == to);
        self.out = others;
        let mine: Vec<(SocketAddr, Vec<u8>)> = mine;
        mine.into_iter().map(|(_, bytes)| bytes).collect()
    }

    /// The one request that was sent to an address since the last call.
    pub fn request_to(&mut self, to: SocketAddr) -> Vec<u8> {
        let mut sent = self.sent_to(to);
        sent.retain(|bytes| read(bytes).code().is_request());
        assert_eq!(sent.len(), 1, "one request");
        sent.remove(0)
    }

    pub fn take_events(&mut self) -> Vec<Event> {
        std::mem::take(&mut self.events)
    }

    pub fn registration(&self, name: &str) -> Option<Registration> {
        self.shard.registration(&endpoint(name))
    }
}

/// The piggybacked answer to a request.
pub fn answer(request: &[u8], code: Code) -> Packet {
    let request = read(request);
    Packet { token: request.token(), ..Packet::new(Type::Ack, code, request.message_id().0, &[]) }
}

/// A notification under the token of the request that began the observation.
pub fn notification(ty: Type, id: u16, request: &[u8], sequence: u32, payload: &str) -> Packet {
    Packet { token: read(request).token(), ..Packet::new(ty, Code::CONTENT, id, &[]) }
        .observe(sequence)
        .format(ContentFormat::TEXT)
        .payload(payload)
}
