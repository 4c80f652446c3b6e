//! A few devices with a shard in memory, each registered and observed, that send what devices send in the long run.

use core::time::Duration;
use std::net::SocketAddr;

use lightship_coap::{Code, ContentFormat, Encoder, Message, MessageId, Token, Type};
use lightship_lwm2m::{Format, path};
use lightship_server::{Config, Wanted};

use crate::documents::Document;
use crate::memory_shard::{MemoryShard, yes};
use crate::session::Session;
use crate::traffic::{address, endpoint, location, register, renumber, update};

/// How the devices of a crew reach the shard.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Transport {
    /// CoAP over UDP.
    Plain,
    /// CoAP in DTLS with PSK, CCM_8 and connection IDs.
    Secured,
}

/// The devices and their shard.
pub struct Crew {
    /// The shard.
    pub world: MemoryShard,
    members: Vec<Member>,
    turn: usize,
    message_id: u16,
}

struct Member {
    address: SocketAddr,
    session: Option<Session>,
    register: Vec<u8>,
    update: Vec<u8>,
    notification: Vec<u8>,
    send: Vec<u8>,
}

/// The observation's sequence number in a notification: three bytes behind the first option's header.
const SEQUENCE_AT: usize = 4 + TOKEN_LEN + 1;
const TOKEN_LEN: usize = 4;

impl Crew {
    /// Registers so many devices, each with an observation of `/3303/0/5700`.
    ///
    /// # Panics
    /// When the shard refuses one: then there is nothing to measure.
    #[must_use]
    pub fn new(number: u32, transport: Transport) -> Self {
        let mut world = match transport {
            Transport::Plain => MemoryShard::with(Config::default()),
            Transport::Secured => MemoryShard::secured(),
        };
        let observed = path!(3303 / 0 / 5700).into();
        let accept = Some(ContentFormat::SENML_CBOR);
        world.observe = vec![Wanted { observed, accept, attributes: Vec::new() }];
        let mut crew = Self { world, members: Vec::new(), turn: 0, message_id: 1 };
        for number in 0..number {
            crew.join(number, transport);
        }
        crew
    }

    /// The next device registers anew, and is observed anew.
    pub fn register(&mut self) {
        let id = self.step();
        let member = &mut self.members[self.turn];
        renumber(&mut member.register, id);
        exchange(&mut self.world, member.address, &mut member.session, &member.register);
        member.answer_observe(&mut self.world);
    }

    /// The next device sends an Update that changes nothing.
    pub fn update(&mut self) {
        let id = self.step();
        let member = &mut self.members[self.turn];
        renumber(&mut member.update, id);
        exchange(&mut self.world, member.address, &mut member.session, &member.update);
    }

    /// The next device sends a notification by a confirmable message.
    pub fn notify(&mut self) {
        let id = self.step();
        let member = &mut self.members[self.turn];
        renumber(&mut member.notification, id);
        let [high, low] = id.to_be_bytes();
        member.notification[SEQUENCE_AT..SEQUENCE_AT + 3].copy_from_slice(&[1, high, low]);
        exchange(&mut self.world, member.address, &mut member.session, &member.notification);
    }

    /// The next device sends values of its own accord.
    pub fn send(&mut self) {
        let id = self.step();
        let member = &mut self.members[self.turn];
        renumber(&mut member.send, id);
        exchange(&mut self.world, member.address, &mut member.session, &member.send);
    }

    /// Takes the session of the first device, and an Update of it.
    ///
    /// # Panics
    /// Without security.
    pub fn leave(&mut self) -> (Session, Vec<u8>) {
        let member = &mut self.members[0];
        (member.session.take().expect("a session"), member.update.clone())
    }

    /// Where the first device is.
    #[must_use]
    pub fn home(&self) -> SocketAddr {
        self.members[0].address
    }

    /// What the last answer is, for those without security.
    #[must_use]
    pub fn answer(&self) -> Option<(Type, Code)> {
        Message::parse(&self.world.out).ok().map(|message| (message.ty(), message.code()))
    }

    /// The time passes, and it is the next one's turn; gives a message ID.
    fn step(&mut self) -> u16 {
        self.turn = (self.turn + 1) % self.members.len();
        if self.turn == 0 {
            self.message_id = self.message_id.wrapping_add(1);
        }
        self.world.now += Duration::from_millis(100);
        if self.world.shard.poll_timeout().is_some_and(|due| due <= self.world.now) {
            self.world.pass(self.world.now);
        }
        self.message_id
    }

    fn join(&mut self, number: u32, transport: Transport) {
        let mut member = Member {
            address: address(number),
            session: None,
            register: register(number, 0),
            update: Vec::new(),
            notification: Vec::new(),
            send: values(Code::POST, |message| {
                message.options().uri_path("dp").content_format(ContentFormat::SENML_CBOR);
            }),
        };
        if transport == Transport::Secured {
            member.session = Some(handshake(&mut self.world, member.address, &endpoint(number)));
        }
        exchange(&mut self.world, member.address, &mut member.session, &member.register);
        // The Observe has left behind the answer.
        let mut answer = self.world.previous.clone();
        if let Some(session) = &mut member.session {
            answer = session.take(&answer).expect("the answer to a Register");
        }
        member.update = update(&location(&answer).expect("registered"), 0);
        member.answer_observe(&mut self.world);
        self.members.push(member);
    }
}

impl Member {
    /// Says yes to the Observe that was the last datagram, and prepares notifications of it.
    fn answer_observe(&mut self, world: &mut MemoryShard) {
        let mut request = world.out.clone();
        if let Some(session) = &mut self.session {
            request = session.take(&request).expect("an Observe");
        }
        let request = Message::parse(&request).expect("the shard writes CoAP");
        assert_eq!(request.observe(), Some(0), "an Observe");
        let (token, id) = (request.token(), request.message_id());
        assert_eq!(usize::from(token.len()), TOKEN_LEN);
        self.notification = values_with(token, Code::CONTENT, |message| {
            message.options().observe(1 << 16).content_format(ContentFormat::SENML_CBOR);
        });
        let mut answer = self.notification.clone();
        // An acknowledgement instead of a confirmable message.
        answer[0] = (answer[0] & 0b1100_1111) | 0b10 << 4;
        renumber(&mut answer, id.0);
        exchange(world, self.address, &mut self.session, &answer);
    }
}

/// Hands a message of a device's to the shard.
fn exchange(world: &mut MemoryShard, from: SocketAddr, session: &mut Option<Session>, message: &[u8]) {
    if let Some(session) = session {
        return world.secured_input(from, &mut session.seal(message));
    }
    let mut buffer = [0; 256];
    let datagram = &mut buffer[..message.len()];
    datagram.copy_from_slice(message);
    world.input(from, datagram);
}

/// A handshake in memory.
fn handshake(world: &mut MemoryShard, from: SocketAddr, identity: &str) -> Session {
    let mut session = Session::new(identity);
    let mut buffer = [0; 1500];
    while let Some(mut datagram) = session.poll() {
        world.shard.handle_secured_input(world.now, from, &mut datagram);
        loop {
            if let Some(transmit) = world.shard.poll_transmit(&mut buffer) {
                session.take(&buffer[..transmit.len]);
            } else if let Some(event) = world.shard.poll_event() {
                if let Some((ask, answer)) = yes(&event, &[]) {
                    world.shard.answer(world.now, ask, answer);
                }
            } else {
                break;
            }
        }
    }
    assert!(session.is_established(), "{identity} has a session");
    session
}

fn values(code: Code, options: impl Fn(&mut Encoder<'_>)) -> Vec<u8> {
    values_with(Token::new(&[1, 2, 3, 4]).unwrap_or_default(), code, options)
}

/// A confirmable message with one measured value.
fn values_with(token: Token, code: Code, options: impl Fn(&mut Encoder<'_>)) -> Vec<u8> {
    let mut payload = [0; 64];
    let len = Document::temperature().encode(Format::SenmlCbor, &mut payload);
    let mut buffer = [0; 256];
    let mut message = Encoder::new(&mut buffer, Type::Con, code, MessageId(0), token);
    options(&mut message);
    let len = message.finish_with(&payload[..len]).expect("the buffer is large enough");
    buffer[..len].to_vec()
}
