//! A client, its secured servers, and the datagrams between them.

use core::sync::atomic::{AtomicU64, Ordering};
use core::time::Duration;
use std::collections::{BTreeMap, VecDeque};

use lightship_client::crypto::Secret as Key;
use lightship_client::dtls::cookie::{Cookies, Verdict};
use lightship_client::dtls::{
    self, Alert, Answer, Association, Cid, DropReason, Host, OwnKey, Path, Presented, Record, Resumption,
};
use lightship_client::objects::Device;
use lightship_client::{
    Account, AccountId, Client, Config, Event, HeapBuffer, Multiple, Object, Phase, Secret, SecureTransport,
    SecurityMode, Single,
};
use lightship_coap::{Code, Encoder, Message, MessageId, OptionWriter, Token, Type};
use lightship_lwm2m::ShortServerId;
use lightship_platform::crypto::RustCrypto;
use lightship_platform::{Instant, SeededRng};

#[derive(Object, Clone, Debug, Default)]
#[lwm2m(object = 3303, version = "1.1")]
pub(crate) struct Temperature {
    #[resource(5700)]
    pub(crate) value: f64,
}

pub(crate) type Objects = (Single<Device>, Multiple<Temperature, 1>);
pub(crate) type TestClient = Client<Objects, HeapBuffer, 3, 4, 2048>;

pub(crate) const IDENTITY: &str = "urn:dev:os:1";
pub(crate) const KEY: &[u8] = b"0123456789abcdef";

/// A message as the server sees it.
#[derive(Debug, Clone)]
pub(crate) struct Told {
    pub(crate) code: Code,
    pub(crate) ty: Type,
    pub(crate) id: MessageId,
    pub(crate) token: Token,
    pub(crate) path: String,
    pub(crate) query: Vec<String>,
    pub(crate) payload: Vec<u8>,
}

/// One server, at whatever address its account says.
pub(crate) struct Server {
    pub(crate) association: Option<Association>,
    /// Its handshake failed.
    failed: bool,
    /// The port of the client that the association is with.
    port: u16,
    pub(crate) config: dtls::Config,
    cookies: Cookies,
    rng: SeededRng,
    pub(crate) keys: Vec<(Vec<u8>, Vec<u8>)>,
    pub(crate) sessions: BTreeMap<Vec<u8>, Resumption>,
    /// The connection ID that it gives; none in no time.
    pub(crate) cid: Cid,
    /// The key or the certificates of the client are accepted.
    pub(crate) accepts: bool,
    pub(crate) told: VecDeque<Told>,
    pub(crate) events: Vec<dtls::Event>,
    pub(crate) dropped: Vec<DropReason>,
    /// Associations that it agreed to.
    pub(crate) accepted: u32,
    /// Everything that came.
    pub(crate) datagrams: Vec<Vec<u8>>,
    next: u16,
}

impl Server {
    fn new() -> Server {
        static SERVERS: AtomicU64 = AtomicU64::new(100);
        let mut rng = SeededRng::from_number(SERVERS.fetch_add(1, Ordering::Relaxed));
        Server {
            association: None,
            failed: false,
            port: 0,
            config: dtls::Config::default(),
            cookies: Cookies::new(Instant::ZERO, &mut rng),
            rng,
            keys: vec![(IDENTITY.into(), KEY.into())],
            sessions: BTreeMap::new(),
            cid: Cid::new(b"server").expect("short"),
            accepts: true,
            told: VecDeque::new(),
            events: Vec::new(),
            dropped: Vec::new(),
            accepted: 0,
            datagrams: Vec::new(),
            next: 0,
        }
    }

    /// Forgets everything, as by a restart; what it has in files stays.
    pub(crate) fn crash(&mut self) {
        self.association = None;
    }

    fn take_in(&mut self, now: Instant, port: u16, mut datagram: Vec<u8>, out: &mut Vec<(u16, Vec<u8>)>) {
        self.datagrams.push(datagram.clone());
        let config = self.config.clone();
        let mut host = Host { now, crypto: &RustCrypto, rng: &mut self.rng, config: &config };
        let is_plain = datagram.first() == Some(&22) && datagram.get(3..5) == Some(&[0, 0]);
        let running = self.association.as_ref().is_some_and(|association| !association.is_established());
        let running = running && !self.failed;
        let mut at = 0;
        if is_plain && !(running && port == self.port) {
            let mut answer = [0; 256];
            match self.cookies.judge(&mut host, &port.to_be_bytes(), &datagram, &mut answer) {
                Verdict::Answer(len) => out.push((port, answer[..len].to_vec())),
                Verdict::Proven(hello) => {
                    self.accepted += 1;
                    let mut session_id = [0; 16];
                    host.rng.fill(&mut session_id);
                    let association = Association::accept(&mut host, hello, self.cid, &session_id);
                    (self.association, self.port, self.failed) = (Some(association), port, false);
                    at = datagram.len();
                }
                Verdict::Drop(reason) => self.dropped.push(reason),
                _ => unreachable!(),
            }
            if at == 0 {
                return;
            }
        }
        let by_cid = datagram.first() == Some(&25);
        if port != self.port && !by_cid {
            self.dropped.push(DropReason::NoSession);
            return;
        }
        let path = if port == self.port { Path::Current } else { Path::New };
        let Some(association) = &mut self.association else { return };
        while let Some(record) = association.handle_record(&mut host, path, &mut datagram, &mut at) {
            match record {
                Record::Data { range, newest } => {
                    if newest {
                        self.port = port;
                    }
                    let message = Message::parse(&datagram[range]).expect("the client speaks CoAP");
                    let texts =
                        |texts: &mut dyn Iterator<Item = &str>| texts.map(str::to_owned).collect::<Vec<_>>();
                    self.told.push_back(Told {
                        code: message.code(),
                        ty: message.ty(),
                        id: message.message_id(),
                        token: message.token(),
                        path: texts(&mut message.uri_path()).join("/"),
                        query: texts(&mut message.uri_query()),
                        payload: message.payload().to_vec(),
                    });
                }
                Record::Dropped(reason) => self.dropped.push(reason),
                _ => {}
            }
        }
    }

    /// Takes everything out of the association.
    fn drain(&mut self, now: Instant, out: &mut Vec<(u16, Vec<u8>)>) {
        let Some(association) = &mut self.association else { return };
        let mut host = Host { now, crypto: &RustCrypto, rng: &mut self.rng, config: &self.config };
        let mut buffer = [0; 2048];
        loop {
            if let Some(transmit) = association.poll_transmit(&mut host, &mut buffer) {
                out.push((self.port, buffer[..transmit.len].to_vec()));
                continue;
            }
            let Some(event) = association.poll_event() else { break };
            let note: Box<[u8]> = Box::default();
            let answer = match &event {
                dtls::Event::Ask(Presented::PskIdentity(identity)) => {
                    let known = self.keys.iter().find(|(known, _)| known[..] == identity[..]);
                    Some(match known {
                        Some((_, key)) => Answer::Psk { key: Key::new(key), note },
                        None => Answer::Refuse(Alert::UNKNOWN_PSK_IDENTITY),
                    })
                }
                dtls::Event::Ask(Presented::SessionId(id)) => {
                    Some(Answer::Resume(self.sessions.get(&id[..]).cloned()))
                }
                dtls::Event::Ask(Presented::Resumed(_)) => Some(Answer::Accept { note }),
                dtls::Event::Ask(_) if self.accepts => Some(Answer::Accept { note }),
                dtls::Event::Ask(_) => Some(Answer::Refuse(Alert::BAD_CERTIFICATE)),
                dtls::Event::Resumable(resumption) => {
                    self.sessions.insert(resumption.session_id.to_vec(), resumption.clone());
                    None
                }
                _ => None,
            };
            if let Some(answer) = answer {
                association.answer(&mut host, answer);
            }
            self.failed = self.failed || matches!(event, dtls::Event::Failed(_));
            self.events.push(event);
        }
    }

    /// The facts of the last handshake.
    pub(crate) fn facts(&self) -> &dtls::Facts {
        let facts = self.events.iter().rev().find_map(|event| match event {
            dtls::Event::Established(facts) => Some(facts),
            _ => None,
        });
        facts.expect("established")
    }
}

/// Who a datagram goes to.
enum To {
    Server(usize, u16),
    Client(AccountId, u16),
}

pub(crate) struct World {
    pub(crate) client: TestClient,
    pub(crate) id: AccountId,
    pub(crate) now: Instant,
    pub(crate) events: Vec<Event>,
    pub(crate) servers: Vec<Server>,
    /// The client's port as its servers see it; a NAT changes it.
    pub(crate) port: u16,
    /// Nothing gets through.
    pub(crate) cut: bool,
    wire: VecDeque<To2>,
}

type To2 = (To, Vec<u8>);

/// An account with a pre-shared key.
pub(crate) fn psk_account(ssid: u16) -> Account {
    let ssid = ShortServerId::new(ssid).expect("legal");
    let mut account = Account::new(ssid, "coaps://server.example").lifetime(300);
    account.security.mode = SecurityMode::Psk;
    account.security.identity = Secret::new(IDENTITY.as_bytes()).expect("short");
    account.security.key = Secret::new(KEY).expect("short");
    account
}

pub(crate) fn transport() -> SecureTransport {
    SecureTransport::new(Box::new(RustCrypto), Box::new(SeededRng::from_number(3)))
}

impl World {
    pub(crate) fn new() -> World {
        World::with(Config::new(IDENTITY), vec![psk_account(1)])
    }

    pub(crate) fn with(config: Config, accounts: Vec<Account>) -> World {
        let mut rng = SeededRng::new([7; 32]);
        let objects = (
            Single::new(Device::new("Lightship", "bench", "1.0")),
            Multiple::new().with(0, Temperature { value: 21.5 }),
        );
        let mut client = TestClient::new(config, objects, &mut rng);
        client.secure(transport());
        let servers = accounts.iter().map(|_| Server::new()).collect();
        let ids: Vec<_> =
            accounts.into_iter().map(|account| client.add_account(account).expect("room")).collect();
        World {
            client,
            id: ids[0],
            now: Instant::from_secs(1000),
            events: Vec::new(),
            servers,
            port: 5000,
            cut: false,
            wire: VecDeque::new(),
        }
    }

    /// One more server, for an account to come.
    pub(crate) fn add_server(&mut self) {
        self.servers.push(Server::new());
    }

    pub(crate) fn next_id(&mut self) -> u16 {
        self.server().next += 1;
        self.server().next
    }

    pub(crate) fn server(&mut self) -> &mut Server {
        let index = self.id.index();
        &mut self.servers[index]
    }

    /// A client that is registered.
    pub(crate) fn registered() -> World {
        let mut world = World::new();
        world.register();
        world
    }

    /// Registers with the present server; returns the Register.
    pub(crate) fn register(&mut self) -> Told {
        let id = self.id;
        self.client.register(self.now, id);
        self.run();
        self.accept_register()
    }

    pub(crate) fn accept_register(&mut self) -> Told {
        let register = self.take();
        assert_eq!((register.code, register.path.as_str()), (Code::POST, "rd"), "{register:?}");
        self.answer(&register, Code::CREATED, |options| {
            options.location_path("/rd/5a3f");
        });
        assert!(matches!(self.client.phase(self.id), Phase::Registered { .. }), "{:?}", self.events);
        register
    }

    /// The next message that the server got.
    pub(crate) fn take(&mut self) -> Told {
        let events = format!("{:?}", self.events);
        self.server().told.pop_front().unwrap_or_else(|| panic!("nothing arrived: {events}"))
    }

    pub(crate) fn update_and_answer(&mut self, code: Code) -> Told {
        let update = self.take();
        assert_eq!((update.code, update.path.as_str()), (Code::POST, "rd/5a3f"), "{update:?}");
        self.answer(&update, code, |_| {});
        update
    }

    /// Answers a request of the client with a piggybacked response.
    pub(crate) fn answer(&mut self, to: &Told, code: Code, options: impl FnOnce(&mut OptionWriter<'_>)) {
        let mut buffer = [0; 256];
        let mut message = Encoder::new(&mut buffer, Type::Ack, code, to.id, to.token);
        options(message.options());
        let len = message.finish().expect("fits");
        self.tell(&buffer[..len]);
    }

    /// Asks something of the client; returns what the server got back.
    pub(crate) fn ask(&mut self, code: Code, path: &str, observe: Option<u32>) -> Told {
        let next = self.next_id();
        let token = Token::new(&next.to_be_bytes()).expect("short");
        let mut buffer = [0; 256];
        let mut message = Encoder::new(&mut buffer, Type::Con, code, MessageId(next), token);
        if let Some(observe) = observe {
            message.options().observe(observe);
        }
        message.options().uri_path(path);
        let len = message.finish().expect("fits");
        self.tell(&buffer[..len]);
        self.take()
    }

    /// Sends a message through the session.
    pub(crate) fn tell(&mut self, message: &[u8]) {
        let (now, id) = (self.now, self.id);
        let server = &mut self.servers[id.index()];
        let association = server.association.as_mut().expect("a session");
        let start = association.headroom();
        let mut buffer = vec![0; start + message.len() + 64];
        buffer[start..start + message.len()].copy_from_slice(message);
        let mut host = Host { now, crypto: &RustCrypto, rng: &mut server.rng, config: &server.config };
        let len = association.seal(&mut host, &mut buffer, message.len()).expect("sealed");
        buffer.truncate(len);
        let port = server.port;
        self.wire.push_back((To::Client(id, port), buffer));
        self.run();
    }

    /// The server says goodbye.
    pub(crate) fn server_closes(&mut self) {
        let (now, id) = (self.now, self.id);
        let server = &mut self.servers[id.index()];
        let mut host = Host { now, crypto: &RustCrypto, rng: &mut server.rng, config: &server.config };
        server.association.as_mut().expect("a session").close(&mut host);
        let mut out = Vec::new();
        server.drain(now, &mut out);
        server.association = None;
        for (port, datagram) in out {
            self.wire.push_back((To::Client(id, port), datagram));
        }
        self.run();
    }

    /// Carries datagrams back and forth until nobody has anything to say at this moment.
    pub(crate) fn run(&mut self) {
        for round in 0.. {
            assert!(round < 500, "nobody comes to rest: {:?}", self.events);
            self.drain_client();
            if let Some((to, mut datagram)) = self.wire.pop_front() {
                if self.cut {
                    continue;
                }
                match to {
                    To::Client(id, port) if port == self.port => {
                        self.client.handle_input(self.now, id, &mut datagram);
                    }
                    To::Client(..) => {}
                    To::Server(index, port) => {
                        let mut out = Vec::new();
                        self.servers[index].take_in(self.now, port, datagram, &mut out);
                        self.servers[index].drain(self.now, &mut out);
                        let id = self.client.accounts().map(|(id, _)| id).find(|id| id.index() == index);
                        for (port, datagram) in out {
                            self.wire.push_back((To::Client(id.unwrap_or(self.id), port), datagram));
                        }
                    }
                }
            } else if self.client.poll_timeout().is_some_and(|at| at <= self.now) {
                self.client.handle_timeout(self.now);
            } else {
                return;
            }
        }
    }

    fn drain_client(&mut self) {
        let mut out = [0; 1280];
        while let Some(transmit) = self.client.poll_transmit(&mut out) {
            let to = To::Server(transmit.to.index(), self.port);
            self.wire.push_back((to, out[..transmit.len].to_vec()));
        }
        while let Some(event) = self.client.poll_event() {
            self.events.push(event);
        }
    }

    /// Lets time pass, timer by timer.
    pub(crate) fn advance(&mut self, span: Duration) {
        let end = self.now + span;
        let mut stands = 0;
        while let Some(at) = self.next().filter(|at| *at <= end) {
            stands = if at > self.now { 0 } else { stands + 1 };
            assert!(
                stands < 100,
                "time stands still: client {:?}, {:?}",
                self.client.poll_timeout(),
                self.events
            );
            self.now = self.now.max(at);
            self.client.handle_timeout(self.now);
            let now = self.now;
            for index in 0..self.servers.len() {
                let server = &mut self.servers[index];
                let Some(association) = &mut server.association else { continue };
                let mut host =
                    Host { now, crypto: &RustCrypto, rng: &mut server.rng, config: &server.config };
                association.handle_timeout(&mut host);
                let mut out = Vec::new();
                server.drain(now, &mut out);
                for (port, datagram) in out {
                    self.wire.push_back((To::Client(self.id, port), datagram));
                }
            }
            self.run();
        }
        self.now = end;
    }

    fn next(&self) -> Option<Instant> {
        let servers = self.servers.iter().filter_map(|server| server.association.as_ref()?.poll_timeout());
        servers.chain(self.client.poll_timeout()).min()
    }

    /// Lets time pass until the present server is told something.
    pub(crate) fn until_told(&mut self) -> Duration {
        let start = self.now;
        for round in 0.. {
            if !self.server().told.is_empty() {
                break;
            }
            assert!(
                round < 1000,
                "nothing arrives: {:?} {:?}",
                self.events,
                self.servers[self.id.index()].dropped
            );
            let next = self.next().expect("somebody waits for something");
            self.advance(next.saturating_duration_since(self.now));
        }
        self.now.saturating_duration_since(start)
    }

    pub(crate) fn seconds(&mut self, seconds: u64) {
        self.advance(Duration::from_secs(seconds));
    }

    pub(crate) fn set(&mut self, value: f64) {
        self.client.objects_mut().1.get_mut(0).expect("there").value = value;
        self.run();
    }

    /// Whether an event happened since the last look, which forgets all events.
    pub(crate) fn saw(&mut self, is: impl Fn(&Event) -> bool) -> bool {
        self.events.drain(..).any(|event| is(&event))
    }
}

/// A server's own key.
pub(crate) fn own_key(key: Box<dyn lightship_client::crypto::SigningKey>, chain: Vec<Vec<u8>>) -> OwnKey {
    OwnKey { names: Vec::new(), key: key.into(), chain }
}
