//! Two associations and what lies between them, on a virtual clock.

use std::collections::VecDeque;
use std::time::Duration;

use lightship_dtls::cookie::{Cookies, Verdict};
use lightship_dtls::{Answer, Association, Cid, Config, Connect, Event, Host, Path, Presented, Record};
use lightship_platform::crypto::{Crypto, RustCrypto, Secret};
use lightship_platform::{Instant, SeededRng};

pub(crate) const KEY: &[u8] = b"0123456789abcdef";
pub(crate) const IDENTITY: &[u8] = b"urn:dev:1";

/// What a side does with what it is asked.
pub(crate) type Judge = Box<dyn FnMut(&Presented) -> Answer>;

/// One side.
pub(crate) struct Side {
    pub(crate) association: Option<Association>,
    pub(crate) config: Config,
    pub(crate) rng: SeededRng,
    pub(crate) events: Vec<Event>,
    pub(crate) received: Vec<Vec<u8>>,
    pub(crate) dropped: Vec<lightship_dtls::DropReason>,
    pub(crate) judge: Judge,
}

impl Side {
    pub(crate) fn new(config: Config, seed: u64, judge: Judge) -> Self {
        Self {
            association: None,
            config,
            rng: SeededRng::from_number(seed),
            events: Vec::new(),
            received: Vec::new(),
            dropped: Vec::new(),
            judge,
        }
    }

    pub(crate) fn is_established(&self) -> bool {
        self.association.as_ref().is_some_and(Association::is_established)
    }

    pub(crate) fn failure(&self) -> Option<lightship_dtls::Failure> {
        self.events.iter().find_map(|event| match event {
            Event::Failed(failure) => Some(*failure),
            _ => None,
        })
    }

    pub(crate) fn facts(&self) -> Option<&lightship_dtls::Facts> {
        self.events.iter().find_map(|event| match event {
            Event::Established(facts) => Some(facts),
            _ => None,
        })
    }

    pub(crate) fn resumption(&self) -> Option<&lightship_dtls::Resumption> {
        self.events.iter().find_map(|event| match event {
            Event::Resumable(resumption) => Some(resumption),
            _ => None,
        })
    }
}

/// Which side a datagram comes from.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum From {
    Client,
    Server,
}

/// A client, a server and the datagrams between them.
pub(crate) struct Pair {
    pub(crate) client: Side,
    pub(crate) server: Side,
    pub(crate) cookies: Cookies,
    pub(crate) now: Instant,
    pub(crate) wire: VecDeque<(From, Vec<u8>)>,
    /// Everything that was ever sent.
    pub(crate) log: Vec<(From, Vec<u8>)>,
    pub(crate) server_cid: Cid,
    pub(crate) session_id: Vec<u8>,
    pub(crate) crypto: &'static dyn Crypto,
}

macro_rules! host {
    ($pair:expr, $side:ident) => {
        Host { now: $pair.now, crypto: $pair.crypto, rng: &mut $pair.$side.rng, config: &$pair.$side.config }
    };
}

impl Pair {
    pub(crate) fn new(client: Side, mut server: Side) -> Self {
        let now = Instant::from_secs(1000);
        let cookies = Cookies::new(now, &mut server.rng);
        Self {
            client,
            server,
            cookies,
            now,
            wire: VecDeque::new(),
            log: Vec::new(),
            server_cid: Cid::EMPTY,
            session_id: Vec::new(),
            crypto: &RustCrypto,
        }
    }

    pub(crate) fn connect(&mut self, connect: Connect) {
        self.client.association = Some(Association::connect(&mut host!(self, client), connect));
        self.poll(From::Client);
    }

    /// Takes out everything that a side wants to say.
    pub(crate) fn poll(&mut self, from: From) {
        let (side, mut host) = match from {
            From::Client => (&mut self.client, self.crypto),
            From::Server => (&mut self.server, self.crypto),
        };
        let Some(association) = &mut side.association else { return };
        let mut host = Host {
            now: self.now,
            crypto: std::mem::replace(&mut host, &RustCrypto),
            rng: &mut side.rng,
            config: &side.config,
        };
        let mut out = [0; 2048];
        loop {
            let mut is_quiet = true;
            while let Some(transmit) = association.poll_transmit(&mut host, &mut out) {
                assert!(transmit.len <= side.config.datagram_len_max);
                self.wire.push_back((from, out[..transmit.len].to_vec()));
                self.log.push((from, out[..transmit.len].to_vec()));
                is_quiet = false;
            }
            while let Some(event) = association.poll_event() {
                is_quiet = false;
                if let Event::Ask(presented) = &event {
                    let answer = (side.judge)(presented);
                    association.answer(&mut host, answer);
                }
                side.events.push(event);
            }
            if is_quiet {
                break;
            }
        }
    }

    /// Delivers one datagram.
    pub(crate) fn deliver(&mut self, from: From, mut datagram: Vec<u8>) {
        match from {
            From::Client => {
                if self.server.association.is_none() {
                    let mut out = [0; 256];
                    let mut host = host!(self, server);
                    match self.cookies.judge(&mut host, b"192.0.2.1:5000", &datagram, &mut out) {
                        Verdict::Answer(len) => {
                            assert!(len <= datagram.len());
                            self.wire.push_back((From::Server, out[..len].to_vec()));
                            self.log.push((From::Server, out[..len].to_vec()));
                        }
                        Verdict::Proven(hello) => {
                            let association =
                                Association::accept(&mut host, hello, self.server_cid, &self.session_id);
                            self.server.association = Some(association);
                        }
                        Verdict::Drop(reason) => self.server.dropped.push(reason),
                        _ => unreachable!(),
                    }
                } else {
                    receive(&mut self.server, self.now, self.crypto, &mut datagram);
                }
                self.poll(From::Server);
            }
            From::Server => {
                receive(&mut self.client, self.now, self.crypto, &mut datagram);
                self.poll(From::Client);
            }
        }
    }

    /// Delivers everything at once.
    pub(crate) fn run(&mut self) {
        while let Some((from, datagram)) = self.wire.pop_front() {
            self.deliver(from, datagram);
        }
    }

    /// Lets the time pass until the next timeout of either side.
    pub(crate) fn wait(&mut self) -> bool {
        let next = [&self.client, &self.server]
            .into_iter()
            .filter_map(|side| side.association.as_ref()?.poll_timeout())
            .min();
        let Some(next) = next else { return false };
        self.now = self.now.max(next);
        for from in [From::Client, From::Server] {
            let side = match from {
                From::Client => &mut self.client,
                From::Server => &mut self.server,
            };
            if let Some(association) = &mut side.association {
                let mut host =
                    Host { now: self.now, crypto: self.crypto, rng: &mut side.rng, config: &side.config };
                association.handle_timeout(&mut host);
            }
            self.poll(from);
        }
        true
    }

    /// Sends data.
    pub(crate) fn send(&mut self, from: From, data: &[u8]) {
        let side = match from {
            From::Client => &mut self.client,
            From::Server => &mut self.server,
        };
        let mut host = Host { now: self.now, crypto: self.crypto, rng: &mut side.rng, config: &side.config };
        let association = side.association.as_mut().unwrap();
        let mut buffer = vec![0; data.len() + 128];
        let start = association.headroom();
        buffer[start..start + data.len()].copy_from_slice(data);
        let len = association.seal(&mut host, &mut buffer, data.len()).unwrap();
        buffer.truncate(len);
        self.log.push((from, buffer.clone()));
        self.wire.push_back((from, buffer));
    }

    /// Asserts that data gets through in both directions.
    pub(crate) fn assert_talks(&mut self) {
        assert!(self.client.is_established(), "client: {:?}", self.client.events);
        assert!(self.server.is_established(), "server: {:?}", self.server.events);
        self.send(From::Client, b"ping");
        self.run();
        assert_eq!(self.server.received.last().map(Vec::as_slice), Some(&b"ping"[..]));
        self.send(From::Server, b"pong");
        self.run();
        assert_eq!(self.client.received.last().map(Vec::as_slice), Some(&b"pong"[..]));
    }
}

fn receive(side: &mut Side, now: Instant, crypto: &dyn Crypto, datagram: &mut [u8]) {
    let Some(association) = &mut side.association else { return };
    let mut at = 0;
    loop {
        let mut host = Host { now, crypto, rng: &mut side.rng, config: &side.config };
        match association.handle_record(&mut host, Path::Current, datagram, &mut at) {
            None => break,
            Some(Record::Data { range, .. }) => side.received.push(datagram[range].to_vec()),
            Some(Record::Dropped(reason)) => side.dropped.push(reason),
            Some(_) => {}
        }
        // What is asked must be answered before the next record, or after it: both must work. Here it is after all.
    }
}

/// Answers with the one key that there is.
pub(crate) fn psk_judge() -> Judge {
    Box::new(|presented| match presented {
        Presented::PskIdentity(identity) if **identity == *IDENTITY => {
            Answer::Psk { key: Secret::new(KEY), note: b"note"[..].into() }
        }
        Presented::PskIdentity(_) => Answer::Refuse(lightship_dtls::Alert::UNKNOWN_PSK_IDENTITY),
        Presented::SessionId(_) => Answer::Resume(None),
        _ => Answer::Accept { note: b"note"[..].into() },
    })
}

/// Settings that do not wait long.
pub(crate) fn config() -> Config {
    Config { retransmit_first: Duration::from_secs(1), ..Config::default() }
}
