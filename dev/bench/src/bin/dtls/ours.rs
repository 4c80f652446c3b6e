//! Our own associations.

use std::cell::RefCell;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use lightship_dtls::certificate::{Anchors, ChainDigest, Verdict as Found, Verdicts};
use lightship_dtls::cookie::{Cookies, Verdict};
use lightship_dtls::{
    Answer, Association, Cid, Config, Connect, Credential, Event, Host, OwnKey, Path, Presented, Record,
    Resumption, Suite, TicketKey, TicketKeys,
};
use lightship_platform::crypto::{Crypto, FastCrypto, Group, Secret, SigningKey};
use lightship_platform::{Instant, SeededRng, UnixTime};

use crate::measure::Pair;
use crate::{Authority, DATA_LEN, IDENTITY, KEY, World};

/// How the two sides prove themselves.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Kind {
    Psk,
    RawPublicKey,
    X509,
}

/// How earlier sessions are resumed.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Resuming {
    No,
    ById,
    ByTicket,
}

/// What all pairs of one measurement share.
pub(crate) struct Setting {
    client: Config,
    server: Config,
    credential: Credential,
    authority: Anchors,
    crypto: FastCrypto,
    now: Instant,
    cookies: RefCell<Cookies>,
    rng: RefCell<SeededRng>,
    /// What clients offer.
    offered: RefCell<Option<Resumption>>,
    /// What the server found of chains before.
    verdicts: RefCell<Verdicts>,
    /// What the server finds by its ID.
    known: RefCell<Option<Resumption>>,
}

impl Setting {
    pub(crate) fn new(world: &World, kind: Kind, suite: Suite, resuming: Resuming) -> Rc<Self> {
        let key = |authority: &Authority| -> Arc<dyn SigningKey> {
            Arc::from(FastCrypto.signing_key(&authority.key_der).expect("a key"))
        };
        let chain = vec![world.leaf.certificate_der.clone()];
        let own = OwnKey { names: Vec::new(), key: key(&world.leaf), chain: chain.clone() };
        let credential = match kind {
            Kind::Psk => Credential::Psk { identity: IDENTITY[..].into(), key: Secret::new(KEY) },
            Kind::RawPublicKey => Credential::RawPublicKey { key: key(&world.leaf) },
            Kind::X509 => Credential::Certificates { key: key(&world.leaf), chain },
        };
        let now = Instant::from_secs(1000);
        let mut rng = SeededRng::new([7; 32]);
        // The others have no connection IDs.
        let client = Config { suites: vec![suite], connection_id: false, ..Config::default() };
        let ticket_keys = TicketKeys {
            current: TicketKey { name: [1; 8], key: Secret::new(&[2; 16]), since: now },
            previous: None,
            lifetime: Duration::from_secs(86400),
        };
        let server = Config {
            keys: if kind == Kind::Psk { Vec::new() } else { vec![own] },
            ticket_keys: (resuming == Resuming::ByTicket).then(|| Arc::new(ticket_keys)),
            ..client.clone()
        };
        let authority = Anchors::new([world.authority.certificate_der.as_slice()]).expect("an authority");
        Rc::new(Self {
            client,
            server,
            credential,
            authority,
            crypto: FastCrypto,
            now,
            cookies: RefCell::new(Cookies::new(now, &mut rng)),
            rng: RefCell::new(rng),
            offered: RefCell::default(),
            verdicts: RefCell::default(),
            known: RefCell::default(),
        })
    }

    /// The same, with connection IDs in the records to the server.
    pub(crate) fn with_connection_ids(world: &World, suite: Suite) -> Rc<Self> {
        let setting = Self::new(world, Kind::Psk, suite, Resuming::No);
        let Ok(mut setting) = Rc::try_unwrap(setting) else { panic!("nobody else has it yet") };
        setting.client.connection_id = true;
        setting.server.connection_id = true;
        Rc::new(setting)
    }

    /// With this group for key agreement alone.
    pub(crate) fn with_group(world: &World, kind: Kind, suite: Suite, group: Group) -> Rc<Self> {
        let setting = Self::new(world, kind, suite, Resuming::No);
        let Ok(mut setting) = Rc::try_unwrap(setting) else { panic!("nobody else has it yet") };
        setting.client.groups = vec![group];
        setting.server.groups = vec![group];
        Rc::new(setting)
    }

    /// Makes the next clients offer nothing.
    pub(crate) fn forget(&self) {
        *self.offered.borrow_mut() = None;
    }

    /// The same, with verdicts kept as the server keeps them.
    pub(crate) fn with_verdicts(world: &World, suite: Suite) -> Rc<Self> {
        let setting = Self::new(world, Kind::X509, suite, Resuming::No);
        *setting.verdicts.borrow_mut() = Verdicts::new(4096);
        setting
    }

    fn judge_chain(&self, chain: &[Box<[u8]>]) {
        let date = UnixTime::from_secs(1_790_000_000);
        let digest = ChainDigest::of(chain);
        let mut verdicts = self.verdicts.borrow_mut();
        if verdicts.find(digest, date).is_none() {
            let found = Found::of_client(&self.crypto, chain, &self.authority, Some(date));
            verdicts.keep(digest, Arc::new(found.expect("a good certificate")));
        }
    }

    fn judge(&self, presented: &Presented) -> Answer {
        let note: Box<[u8]> = Box::from(*b"1234");
        match presented {
            Presented::PskIdentity(identity) if **identity == *IDENTITY => {
                Answer::Psk { key: Secret::new(KEY), note }
            }
            Presented::Certificates(chain) => {
                self.judge_chain(chain);
                Answer::Accept { note }
            }
            Presented::SessionId(_) => Answer::Resume(self.known.borrow().clone()),
            _ => Answer::Accept { note },
        }
    }
}

/// A client and a server.
pub(crate) struct Ours {
    setting: Rc<Setting>,
    number: u32,
    client: Option<Association>,
    server: Option<Association>,
    up: Vec<Vec<u8>>,
    down: Vec<Vec<u8>>,
    resumed: bool,
    buffer: Vec<u8>,
}

macro_rules! host {
    ($setting:expr, $side:ident, $rng:ident) => {
        Host { now: $setting.now, crypto: &$setting.crypto, rng: &mut *$rng, config: &$setting.$side }
    };
}

impl Ours {
    pub(crate) fn new(setting: &Rc<Setting>, number: u32) -> Self {
        let mut rng = setting.rng.borrow_mut();
        let mut host = host!(setting, client, rng);
        let resume = setting.offered.borrow().clone();
        let connect = Connect {
            credential: setting.credential.clone(),
            server_name: None,
            own_cid: Cid::EMPTY,
            resume,
        };
        let client = Association::connect(&mut host, connect);
        drop(rng);
        Self {
            setting: Rc::clone(setting),
            number,
            client: Some(client),
            server: None,
            up: Vec::new(),
            down: Vec::new(),
            resumed: false,
            buffer: vec![0; 256],
        }
    }

    pub(crate) fn is_resumed(&self) -> bool {
        self.resumed
    }

    pub(crate) fn into_server(self) -> Option<Association> {
        self.server
    }
}

impl Pair for Ours {
    fn client_turn(&mut self) {
        let Self { setting, client: Some(client), up, down, .. } = self else { return };
        let mut rng = setting.rng.borrow_mut();
        let mut host = host!(setting, client, rng);
        for mut datagram in down.drain(..) {
            let mut at = 0;
            while client.handle_record(&mut host, Path::Current, &mut datagram, &mut at).is_some() {}
        }
        let mut out = [0; 2048];
        loop {
            while let Some(transmit) = client.poll_transmit(&mut host, &mut out) {
                up.push(out[..transmit.len].to_vec());
            }
            match client.poll_event() {
                None => return,
                Some(Event::Ask(_)) => client.answer(&mut host, Answer::Accept { note: Box::default() }),
                Some(Event::Resumable(resumption)) => *setting.offered.borrow_mut() = Some(resumption),
                Some(Event::Failed(failure)) => panic!("{failure:?}"),
                Some(_) => {}
            }
        }
    }

    fn server_turn(&mut self) {
        let Self { setting, server, up, down, number, .. } = self;
        let mut rng = setting.rng.borrow_mut();
        let mut host = host!(setting, server, rng);
        let mut out = [0; 2048];
        for mut datagram in up.drain(..) {
            match server {
                None => {
                    let from = number.to_be_bytes();
                    match setting.cookies.borrow_mut().judge(&mut host, &from, &datagram, &mut out) {
                        Verdict::Answer(len) => down.push(out[..len].to_vec()),
                        Verdict::Proven(hello) => {
                            let [a, b, c, d] = from;
                            let cid = Cid::new(&[0, 0, a, b, c, d]).expect("short");
                            let session_id = [a, b, c, d, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12];
                            *server = Some(Association::accept(&mut host, hello, cid, &session_id));
                        }
                        verdict => panic!("{verdict:?}"),
                    }
                }
                Some(server) => {
                    let mut at = 0;
                    while server.handle_record(&mut host, Path::Current, &mut datagram, &mut at).is_some() {}
                }
            }
            let Some(server) = server else { continue };
            loop {
                while let Some(transmit) = server.poll_transmit(&mut host, &mut out) {
                    down.push(out[..transmit.len].to_vec());
                }
                match server.poll_event() {
                    None => break,
                    Some(Event::Ask(presented)) => {
                        let answer = setting.judge(&presented);
                        server.answer(&mut host, answer);
                    }
                    Some(Event::Resumable(resumption)) => *setting.known.borrow_mut() = Some(resumption),
                    Some(Event::Established(facts)) => self.resumed = facts.resumed,
                    Some(Event::Failed(failure)) => panic!("{failure:?}"),
                    Some(_) => {}
                }
            }
        }
    }

    fn is_done(&self) -> bool {
        [&self.client, &self.server].iter().all(|side| side.as_ref().is_some_and(Association::is_established))
    }

    fn ask(&mut self) {
        let Self { setting, client: Some(client), up, buffer, .. } = self else { return };
        let mut rng = setting.rng.borrow_mut();
        let len = client.seal(&mut host!(setting, client, rng), buffer, DATA_LEN).expect("sealed");
        up.push(buffer[..len].to_vec());
    }

    fn serve(&mut self) {
        let Self { setting, server: Some(server), up, down, buffer, .. } = self else { return };
        let mut rng = setting.rng.borrow_mut();
        let mut host = host!(setting, server, rng);
        for mut datagram in up.drain(..) {
            let mut at = 0;
            while let Some(record) = server.handle_record(&mut host, Path::Current, &mut datagram, &mut at) {
                let Record::Data { range, .. } = record else { panic!("{record:?}") };
                let start = server.headroom();
                buffer[start..start + range.len()].copy_from_slice(&datagram[range.clone()]);
                let len = server.seal(&mut host, buffer, range.len()).expect("sealed");
                // The datagram's room is used again, as a socket's buffer would be.
                datagram.resize(len, 0);
                datagram.copy_from_slice(&buffer[..len]);
                at = len;
            }
            down.push(datagram);
        }
    }

    fn take(&mut self) {
        let Self { setting, client: Some(client), down, .. } = self else { return };
        let mut rng = setting.rng.borrow_mut();
        for mut datagram in down.drain(..) {
            let record =
                client.handle_record(&mut host!(setting, client, rng), Path::Current, &mut datagram, &mut 0);
            assert!(matches!(record, Some(Record::Data { .. })), "{record:?}");
        }
    }

    fn drop_client(&mut self) {
        self.client = None;
        self.up = Vec::new();
        self.down = Vec::new();
        self.buffer = Vec::new();
    }
}
