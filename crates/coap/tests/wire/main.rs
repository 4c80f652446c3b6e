//! A peer under test, and the other side's datagrams written by hand.

#![allow(clippy::unwrap_used, reason = "a test may fail anywhere")]

mod blocks;
mod conversation;
mod notifications;

use lightship_coap::peer::{
    Body, Config, ExchangeId, FixedBuffer, Incoming, NewRequest, Peer, Request, SendError,
};
use lightship_coap::{Block, BlockSize, Code, Encoder, Message, MessageId, OptionWriter, Token, Type};
use lightship_platform::{Instant, SeededRng};

struct Test {
    peer: Peer<FixedBuffer<8192>>,
    config: Config,
    now: Instant,
}

fn test() -> Test {
    let peer = Peer::new(&mut SeededRng::from_number(5));
    Test { peer, config: Config::new(), now: Instant::from_secs(10) }
}

fn no_options(_: &mut OptionWriter<'_>) {}

fn token() -> Token {
    Token::new(b"tok").unwrap()
}

fn message(
    ty: Type,
    code: Code,
    id: u16,
    token: Token,
    options: impl FnOnce(&mut OptionWriter<'_>),
    payload: &[u8],
) -> Vec<u8> {
    let mut buffer = [0; 2000];
    let mut encoder = Encoder::new(&mut buffer, ty, code, MessageId(id), token);
    options(encoder.options());
    let len = encoder.finish_with(payload).unwrap();
    buffer[..len].to_vec()
}

fn empty(ty: Type, id: u16) -> Vec<u8> {
    message(ty, Code::EMPTY, id, Token::EMPTY, no_options, &[])
}

fn block(num: u32, more: bool, szx: u8) -> Block {
    Block::new(num, more, BlockSize::from_szx(szx).unwrap()).unwrap()
}

fn id(datagram: &[u8]) -> u16 {
    Message::parse(datagram).unwrap().message_id().0
}

fn request_of(incoming: Incoming<'_>) -> Request<'_> {
    let Incoming::Request(request) = incoming else { panic!("no request: {incoming:?}") };
    request
}

impl Test {
    fn input<'d>(&mut self, datagram: &'d [u8]) -> Incoming<'d> {
        self.peer.handle_input(self.now, &self.config, datagram)
    }

    fn sent(&mut self) -> Option<Vec<u8>> {
        let mut out = [0; 1152];
        self.peer.poll_transmit(&mut out).map(|len| out[..len].to_vec())
    }

    fn sent_one(&mut self) -> Vec<u8> {
        let datagram = self.sent().expect("something is sent");
        assert_eq!(self.sent(), None, "and nothing else");
        datagram
    }

    /// Lets a datagram in, and returns the one reply to it.
    fn reply(&mut self, datagram: &[u8]) -> Vec<u8> {
        self.input(datagram);
        self.sent_one()
    }

    fn wait_until(&mut self, at: Instant) {
        self.now = at;
        self.peer.handle_timeout(at, &self.config);
    }

    fn next_timeout(&mut self) -> Instant {
        self.peer.poll_timeout(&self.config).unwrap()
    }

    fn respond(&mut self, request: Request<'_>, code: Code, payload: &[u8]) -> Result<(), SendError> {
        self.peer.respond(self.now, &self.config, request.ticket, code, no_options, payload)
    }

    fn request(&mut self, new: NewRequest, payload: &[u8]) -> ExchangeId {
        let options = |options: &mut OptionWriter<'_>| {
            options.uri_path("3/0");
        };
        self.peer.request(self.now, &self.config, new, options, payload).unwrap()
    }

    fn body(&self, body: Body<'_>) -> Vec<u8> {
        self.peer.payload(body).to_vec()
    }
}
