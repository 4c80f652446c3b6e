//! Two associations and what lies between them, on a virtual clock.

use std::cell::RefCell;
use std::collections::{BTreeMap, HashMap, VecDeque};
use std::rc::Rc;
use std::sync::Mutex;
use std::time::Duration;

use lightship_dtls::cookie::{Cookies, Verdict};
use lightship_dtls::{
    Alert, Answer, Association, Cid, Config, Connect, Credential, DropReason, Event, Facts, Failure, Host,
    OwnKey, Path, Presented, Record, Resumption, Suite,
};
use lightship_platform::crypto::{Crypto, FastCrypto, Secret};
use lightship_platform::{Instant, Rng as _, SeededRng};
use rcgen::{CertificateParams, KeyPair};

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
    pub(crate) dropped: Vec<DropReason>,
    pub(crate) judge: Judge,
    /// What is still to be answered.
    pub(crate) asked: Option<Presented>,
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
            asked: None,
        }
    }

    pub(crate) fn is_established(&self) -> bool {
        self.association.as_ref().is_some_and(Association::is_established)
    }

    pub(crate) fn failure(&self) -> Option<Failure> {
        self.events.iter().find_map(|event| match event {
            Event::Failed(failure) => Some(*failure),
            _ => None,
        })
    }

    pub(crate) fn facts(&self) -> Option<&Facts> {
        self.events.iter().find_map(|event| match event {
            Event::Established(facts) => Some(facts),
            _ => None,
        })
    }

    pub(crate) fn resumption(&self) -> Option<&Resumption> {
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
    /// Whether questions are answered only when nothing else happens.
    pub(crate) is_lazy: bool,
    /// Somebody on the way.
    pub(crate) tamper: Option<Tamper>,
    /// What the weather did.
    pub(crate) suffered: Suffered,
}

/// How many datagrams were lost, came twice, or were overtaken.
#[derive(Clone, Copy, Default, Debug)]
pub(crate) struct Suffered {
    pub(crate) lost: u32,
    pub(crate) doubled: u32,
    pub(crate) overtaken: u32,
}

impl Suffered {
    pub(crate) fn add(&mut self, other: Self) {
        self.lost += other.lost;
        self.doubled += other.doubled;
        self.overtaken += other.overtaken;
    }
}

/// Changes datagrams on their way.
pub(crate) type Tamper = Box<dyn FnMut(From, &mut Vec<u8>)>;

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
            crypto: &FastCrypto,
            is_lazy: false,
            tamper: None,
            suffered: Suffered::default(),
        }
    }

    pub(crate) fn connect(&mut self, connect: Connect) {
        self.client.association = Some(Association::connect(&mut host!(self, client), connect));
        self.poll(From::Client);
    }

    fn side(&mut self, from: From) -> &mut Side {
        match from {
            From::Client => &mut self.client,
            From::Server => &mut self.server,
        }
    }

    /// Takes out everything that a side wants to say.
    pub(crate) fn poll(&mut self, from: From) {
        let (now, crypto, is_lazy) = (self.now, self.crypto, self.is_lazy);
        let side = self.side(from);
        let Some(association) = &mut side.association else { return };
        let mut host = Host { now, crypto, rng: &mut side.rng, config: &side.config };
        let mut sent = Vec::new();
        let mut out = [0; 2048];
        loop {
            let mut is_quiet = true;
            while let Some(transmit) = association.poll_transmit(&mut host, &mut out) {
                assert!(transmit.len <= side.config.datagram_len_max);
                sent.push((from, out[..transmit.len].to_vec()));
                is_quiet = false;
            }
            while let Some(event) = association.poll_event() {
                is_quiet = false;
                match &event {
                    Event::Ask(presented) if is_lazy => side.asked = Some(presented.clone()),
                    Event::Ask(presented) => {
                        let answer = (side.judge)(presented);
                        association.answer(&mut host, answer);
                    }
                    _ => {}
                }
                side.events.push(event);
            }
            if is_quiet {
                break;
            }
        }
        self.log.extend_from_slice(&sent);
        self.wire.extend(sent);
    }

    /// Answers what was asked; says whether anything was.
    fn answer(&mut self, from: From) -> bool {
        let (now, crypto) = (self.now, self.crypto);
        let side = self.side(from);
        let Some(presented) = side.asked.take() else { return false };
        let answer = (side.judge)(&presented);
        let mut host = Host { now, crypto, rng: &mut side.rng, config: &side.config };
        side.association.as_mut().unwrap().answer(&mut host, answer);
        self.poll(from);
        true
    }

    /// Delivers one datagram.
    pub(crate) fn deliver(&mut self, from: From, mut datagram: Vec<u8>) {
        if let Some(tamper) = &mut self.tamper {
            tamper(from, &mut datagram);
        }
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
        loop {
            while let Some((from, datagram)) = self.wire.pop_front() {
                self.deliver(from, datagram);
            }
            if !self.answer(From::Client) & !self.answer(From::Server) {
                break;
            }
        }
    }

    /// Delivers in bad weather until both are established; the first `troubled` datagrams may be lost, doubled or held up.
    pub(crate) fn run_through(&mut self, weather: &Weather) {
        let mut dice = SeededRng::from_number(weather.seed);
        let mut troubled = weather.troubled;
        for _ in 0..20_000 {
            if self.wire.is_empty() && !self.answer(From::Client) & !self.answer(From::Server) {
                if self.client.is_established() && self.server.is_established() {
                    return;
                }
                if !self.wait() {
                    return;
                }
                continue;
            }
            let ahead = if troubled > 0 { weather.reorder } else { 0 };
            let index = dice.below(ahead + 1) as usize % self.wire.len().max(1);
            let Some((from, datagram)) = self.wire.remove(index) else { continue };
            self.suffered.overtaken +=
                u32::from(self.wire.iter().take(index).any(|(other, _)| *other == from));
            if troubled > 0 {
                troubled -= 1;
                if dice.below(100) < weather.duplicate {
                    self.suffered.doubled += 1;
                    self.wire.push_back((from, datagram.clone()));
                }
                if dice.below(100) < weather.loss {
                    self.suffered.lost += 1;
                    continue;
                }
            }
            self.deliver(from, datagram);
        }
        panic!("no end: {:?} {:?}", self.client.events, self.server.events);
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
            let (now, crypto) = (self.now, self.crypto);
            let side = self.side(from);
            if let Some(association) = &mut side.association {
                let mut host = Host { now, crypto, rng: &mut side.rng, config: &side.config };
                association.handle_timeout(&mut host);
            }
            self.poll(from);
        }
        true
    }

    /// Sends data.
    pub(crate) fn send(&mut self, from: From, data: &[u8]) {
        let (now, crypto) = (self.now, self.crypto);
        let side = self.side(from);
        let mut host = Host { now, crypto, rng: &mut side.rng, config: &side.config };
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

/// What happens to datagrams.
#[derive(Clone, Debug)]
pub(crate) struct Weather {
    pub(crate) seed: u64,
    /// How many datagrams suffer.
    pub(crate) troubled: u32,
    /// How many of a hundred are lost.
    pub(crate) loss: u32,
    /// How many of a hundred come twice.
    pub(crate) duplicate: u32,
    /// How many others may overtake one.
    pub(crate) reorder: u32,
}

/// Sessions that a server remembers.
pub(crate) type Sessions = Rc<RefCell<HashMap<Box<[u8]>, Resumption>>>;

/// Answers with the one key that there is, and accepts every certificate.
pub(crate) fn judge(sessions: &Sessions) -> Judge {
    let sessions = sessions.clone();
    Box::new(move |presented| match presented {
        Presented::PskIdentity(identity) if **identity == *IDENTITY => {
            Answer::Psk { key: Secret::new(KEY), note: b"note"[..].into() }
        }
        Presented::PskIdentity(_) => Answer::Refuse(Alert::UNKNOWN_PSK_IDENTITY),
        Presented::SessionId(id) => Answer::Resume(sessions.borrow().get(id).cloned()),
        _ => Answer::Accept { note: b"note"[..].into() },
    })
}

/// Settings that do not wait long and do not give up soon.
pub(crate) fn config(suite: Suite) -> Config {
    Config {
        suites: vec![suite],
        retransmit_first: Duration::from_secs(1),
        retransmit_max: Duration::from_secs(4),
        retransmit_count: 50,
        handshake_time: Duration::from_secs(10_000),
        ..Config::default()
    }
}

/// A key and a certificate of its own, the same for the same name.
pub(crate) fn own_key(name: &str) -> OwnKey {
    static MADE: Mutex<BTreeMap<String, OwnKey>> = Mutex::new(BTreeMap::new());
    let make = || {
        let key = KeyPair::generate().unwrap();
        let certificate = CertificateParams::new([name.to_owned()]).unwrap().self_signed(&key).unwrap();
        OwnKey {
            names: vec![name.into()],
            key: FastCrypto.signing_key(&key.serialize_der()).unwrap().into(),
            chain: vec![certificate.der().to_vec()],
        }
    };
    MADE.lock().unwrap().entry(name.into()).or_insert_with(make).clone()
}

/// A client's wish with the one key that there is.
pub(crate) fn psk_connect() -> Connect {
    Connect {
        credential: Credential::Psk { identity: IDENTITY.into(), key: Secret::new(KEY) },
        server_name: Some("lightship.example".into()),
        own_cid: Cid::EMPTY,
        resume: None,
    }
}

/// Two sides that know only this suite.
pub(crate) fn pair(suite: Suite) -> Pair {
    let sessions = Sessions::default();
    let client = Side::new(config(suite), 1, judge(&sessions));
    let server = Side::new(config(suite), 2, judge(&sessions));
    Pair::new(client, server)
}

/// Nothing happens to datagrams.
pub(crate) const CALM: Weather = Weather { seed: 0, troubled: 0, loss: 0, duplicate: 0, reorder: 0 };
