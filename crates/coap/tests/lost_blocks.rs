//! A body in blocks of which one never arrives, for each of them: the request ends, once, and both sides forget it.

#![cfg(feature = "alloc")]
#![allow(clippy::unwrap_used, reason = "a test may fail anywhere")]

use lightship_coap::peer::{
    Buffer, CacheKey, Config, Failure, FixedBuffer, HeapBuffer, Incoming, NewNotification, NewRequest, Peer,
    PeerEvent,
};
use lightship_coap::{BlockSize, Code, Message, Role};
use lightship_platform::{Duration, Instant, SeededRng};

/// Bytes of a body; in blocks of 64 it takes twelve and a bit.
const LEN: usize = 800;
const BLOCKS: u32 = 13;

/// Which datagrams the network swallows for ever.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Lost {
    Nothing,
    /// The request with this block of its body.
    Upload(u32),
    /// The answer to that block.
    UploadAnswer(u32),
    /// The request for this block of the answer.
    Download(u32),
    /// The answer with this block.
    DownloadAnswer(u32),
}

impl Lost {
    fn swallows(self, datagram: &[u8]) -> bool {
        let message = Message::parse(datagram).unwrap();
        let is_request = message.role() == Role::Request;
        let block1 = message.block1().and_then(Result::ok).map(|block| block.num());
        let block2 = message.block2().and_then(Result::ok).map(|block| block.num());
        match self {
            Lost::Nothing => false,
            Lost::Upload(number) => is_request && block1 == Some(number),
            Lost::UploadAnswer(number) => !is_request && block1 == Some(number),
            Lost::Download(number) => is_request && block2 == Some(number),
            Lost::DownloadAnswer(number) => !is_request && block2 == Some(number),
        }
    }
}

/// A client, a server, and a network between them that swallows one thing.
struct Pair<B: Buffer> {
    client: Peer<B>,
    server: Peer<B>,
    config: Config,
    now: Instant,
    lost: Lost,
    /// Whole requests that the server was given.
    served: u32,
    answers: Vec<Vec<u8>>,
    events: Vec<PeerEvent>,
    notifications: u32,
    cache_key: Option<CacheKey>,
}

fn body() -> Vec<u8> {
    (0..LEN).map(|at| u8::try_from((at / 64 * 31 + at) % 251).unwrap()).collect()
}

impl<B: Buffer> Pair<B> {
    fn new(lost: Lost) -> Self {
        let mut rng = SeededRng::from_number(9);
        let config = Config { block_size: BlockSize::from_szx(2).unwrap(), ..Config::new() };
        Pair {
            client: Peer::new(&mut rng),
            server: Peer::new(&mut rng),
            config,
            now: Instant::from_secs(1),
            lost,
            served: 0,
            answers: Vec::new(),
            events: Vec::new(),
            notifications: 0,
            cache_key: None,
        }
    }

    fn request(&mut self, code: Code, body: &[u8]) {
        self.request_of(code, "5/0/0", body);
    }

    fn request_of(&mut self, code: Code, path: &str, body: &[u8]) {
        let path = |options: &mut lightship_coap::OptionWriter<'_>| {
            options.uri_path(path);
        };
        self.client.request(self.now, &self.config, NewRequest::con(code), path, body).unwrap();
    }

    /// Both sides, until nothing can be sent.
    fn exchange(&mut self) {
        let mut out = [0; 1152];
        loop {
            self.events.extend(core::iter::from_fn(|| self.client.poll_event()));
            self.events.extend(core::iter::from_fn(|| self.server.poll_event()));
            if let Some(len) = self.client.poll_transmit(&mut out) {
                if !self.lost.swallows(&out[..len]) {
                    self.at_server(&out[..len]);
                }
            } else if let Some(len) = self.server.poll_transmit(&mut out) {
                if !self.lost.swallows(&out[..len]) {
                    self.at_client(&out[..len]);
                }
            } else {
                return;
            }
        }
    }

    fn at_server(&mut self, datagram: &[u8]) {
        if let Incoming::Request(request) = self.server.handle_input(self.now, &self.config, datagram) {
            self.served += 1;
            self.cache_key = Some(request.ticket.cache_key());
            let is_read = request.message.code() == Code::GET;
            let received = self.server.payload(request.body).to_vec();
            assert_eq!(received, if is_read { Vec::new() } else { body() }, "what is handed out is whole");
            let (code, answer) = if is_read { (Code::CONTENT, body()) } else { (Code::CHANGED, Vec::new()) };
            self.server.respond(self.now, &self.config, request.ticket, code, |_| {}, &answer).unwrap();
        }
    }

    fn at_client(&mut self, datagram: &[u8]) {
        match self.client.handle_input(self.now, &self.config, datagram) {
            Incoming::Response(response) => self.answers.push(self.client.payload(response.body).to_vec()),
            Incoming::Notification(notification) => {
                self.notifications += 1;
                self.client.accept(notification.ticket);
                let path = |options: &mut lightship_coap::OptionWriter<'_>| {
                    options.uri_path("5/0/0");
                };
                let get = NewRequest::con(Code::GET);
                let rest = self.client.request_rest(self.now, &self.config, &notification, get, path, &[]);
                rest.unwrap();
            }
            Incoming::Nothing | Incoming::Dropped(_) | Incoming::Request(_) => {}
        }
    }

    /// Until neither side waits for anything.
    fn run(&mut self) {
        for _ in 0..10_000 {
            self.exchange();
            let next = [self.client.poll_timeout(&self.config), self.server.poll_timeout(&self.config)];
            let Some(at) = next.into_iter().flatten().min() else { return };
            self.now = self.now.max(at);
            self.client.handle_timeout(self.now, &self.config);
            self.server.handle_timeout(self.now, &self.config);
        }
        panic!("it never ends");
    }

    /// Nothing is left at either side, and the next request works.
    fn assert_recovered(&mut self) {
        // A buffer of fixed size is not woken to forget; it forgets when something comes.
        self.now += Duration::from_secs(300);
        self.client.handle_timeout(self.now, &self.config);
        self.server.handle_timeout(self.now, &self.config);
        assert!(self.client.is_idle() && self.server.is_idle(), "{:?}", self.lost);
        assert_eq!((self.client.buffered_len(), self.server.buffered_len()), (0, 0), "{:?}", self.lost);
        self.lost = Lost::Nothing;
        self.answers.clear();
        self.request(Code::GET, &[]);
        self.run();
        assert_eq!(self.answers, [body()]);
    }
}

/// One transfer with one loss; whether the server got the request whole.
fn fails_once<B: Buffer>(code: Code, lost: Lost) -> bool {
    let mut pair = Pair::<B>::new(lost);
    pair.request(code, if code == Code::GET { Vec::new() } else { body() }.as_slice());
    pair.run();
    assert_eq!(pair.answers, [[0; 0]; 0], "{lost:?}");
    let failures: Vec<_> = pair.events.iter().filter(|event| is_failure(event)).collect();
    assert!(
        matches!(failures[..], [PeerEvent::RequestFailed { reason: Failure::Timeout, .. }]),
        "{lost:?}: {:?}",
        pair.events
    );
    let was_served = pair.served;
    assert!(was_served <= 1, "{lost:?}: served {was_served} times");
    pair.assert_recovered();
    was_served == 1
}

fn is_failure(event: &PeerEvent) -> bool {
    matches!(event, PeerEvent::RequestFailed { .. })
}

// Proves: COA-13
#[test]
fn an_upload_ends_once_whichever_block_never_arrives() {
    for number in 0..BLOCKS {
        let is_last = number + 1 == BLOCKS;
        for was_served in [
            fails_once::<HeapBuffer>(Code::PUT, Lost::Upload(number)),
            fails_once::<FixedBuffer<4096>>(Code::PUT, Lost::Upload(number)),
        ] {
            assert!(!was_served, "block {number} was missing");
        }
        for was_served in [
            fails_once::<HeapBuffer>(Code::PUT, Lost::UploadAnswer(number)),
            fails_once::<FixedBuffer<4096>>(Code::PUT, Lost::UploadAnswer(number)),
        ] {
            assert_eq!(was_served, is_last, "the answer to block {number} was missing");
        }
    }
}

#[test]
fn a_download_ends_once_whichever_block_never_arrives() {
    for number in 0..BLOCKS {
        // The first block is asked for without saying so.
        if number > 0 {
            assert!(fails_once::<HeapBuffer>(Code::GET, Lost::Download(number)));
            assert!(fails_once::<FixedBuffer<4096>>(Code::GET, Lost::Download(number)));
        }
        assert!(fails_once::<HeapBuffer>(Code::GET, Lost::DownloadAnswer(number)));
        assert!(fails_once::<FixedBuffer<4096>>(Code::GET, Lost::DownloadAnswer(number)));
    }
}

// Proves: COA-14
#[test]
fn a_notification_of_which_a_block_never_arrives_fails_the_fetch_alone() {
    for number in 1..BLOCKS {
        for lost in [Lost::Download(number), Lost::DownloadAnswer(number)] {
            let mut pair = Pair::<HeapBuffer>::new(Lost::Nothing);
            // What establishes the observation; its key is what the rest is asked under.
            pair.request(Code::GET, &[]);
            pair.exchange();
            assert_eq!(pair.answers, [body()]);
            pair.answers.clear();
            pair.lost = lost;
            let new = NewNotification {
                key: 1,
                token: lightship_coap::Token::new(b"obs").unwrap(),
                cache_key: pair.cache_key.unwrap(),
                code: Code::CONTENT,
                confirmable: true,
            };
            let observe = |options: &mut lightship_coap::OptionWriter<'_>| {
                options.observe(7);
            };
            pair.server.notify(pair.now, &pair.config, new, observe, &body()).unwrap();
            pair.run();
            assert_eq!((pair.notifications, pair.answers.len()), (1, 0), "{lost:?}");
            let failures = pair.events.iter().filter(|event| is_failure(event)).count();
            assert_eq!(failures, 1, "{lost:?}: {:?}", pair.events);
            let told = |event: &PeerEvent| matches!(event, PeerEvent::NotificationAcknowledged { key: 1 });
            assert!(pair.events.iter().any(told), "the notification itself had arrived");
            pair.assert_recovered();
        }
    }
}

// Proves: COA-12
#[test]
fn without_a_loss_all_arrives() {
    for code in [Code::GET, Code::PUT] {
        let mut pair = Pair::<FixedBuffer<4096>>::new(Lost::Nothing);
        pair.request(code, if code == Code::GET { Vec::new() } else { body() }.as_slice());
        pair.run();
        assert_eq!(pair.answers, [if code == Code::GET { body() } else { Vec::new() }]);
        assert_eq!((pair.served, pair.events.len()), (1, 0));
        pair.assert_recovered();
    }
}

/// A body of which a block is still to be fetched outlives those that were fetched whole after it.
fn outlives_those_that_were_served<B: Buffer>() {
    let mut pair = Pair::<B>::new(Lost::Download(1));
    pair.request(Code::GET, &[]);
    pair.exchange();
    let mut rng = SeededRng::from_number(10);
    let first = core::mem::replace(&mut pair.client, Peer::new(&mut rng));
    pair.lost = Lost::Nothing;
    for number in 0..8 {
        pair.request_of(Code::GET, &format!("5/0/{}", number + 1), &[]);
        pair.exchange();
    }
    assert_eq!((pair.served, pair.answers.len()), (9, 8));
    pair.client = first;
    pair.run();
    assert_eq!((pair.served, pair.answers.len()), (9, 9), "the rest came from what was kept");
    assert_eq!(pair.answers.last(), Some(&body()));
}

// Proves: COA-12
#[test]
fn what_is_still_being_fetched_is_kept_longer_than_what_was_fetched() {
    outlives_those_that_were_served::<HeapBuffer>();
    outlives_those_that_were_served::<FixedBuffer<4096>>();
}
