//! A device, a Bootstrap-Server that follows a list, and a server, over a network without faults.
#![expect(unreachable_pub, reason = "the tests' own")]

use core::time::Duration;
use std::collections::{BTreeMap, VecDeque};

use lightship_client::{Account, Array, Client, Config, Multiple, Object, ShortServerId, Single};
use lightship_coap::Code;
use lightship_coap::peer::HeapBuffer;
use lightship_lwm2m::bootstrap::{Command, Operation};
use lightship_lwm2m::format::{Format, decode};
use lightship_lwm2m::node::{encode_entries, typed_entries};
use lightship_lwm2m::object::latest;
use lightship_lwm2m::{Endpoint, OwnedValue, Path, Version};
use lightship_platform::{Instant, SeededRng};
use lightship_server::bootstrap::{self as bs, BootstrapServer, Ended, Step, StepOutcome};
use lightship_server::{Answer, Event, Outcome, Registration, Request, Shard};

use crate::world::{Device, boolean, integer, objects, path, text};

pub const NAME: &str = "urn:sim:yard";
pub const BS: &str = "coap://bootstrap";
pub const SERVER: &str = "coap://server";
pub const DEAD: &str = "coap://dead";
const WAY: Duration = Duration::from_millis(10);

/// Access Control.
#[derive(Object, Clone, Default)]
#[lwm2m(object = 2)]
pub struct Access {
    #[resource(0)]
    object: u16,
    #[resource(1)]
    instance: u16,
    #[resource(2)]
    rights: Array<u16, 2>,
    #[resource(3)]
    owner: u16,
}

type Objects = (Multiple<Access, 4>, Single<Device>);

/// A command that was answered.
pub struct Done {
    pub command: Command,
    pub code: Code,
    payload: Box<[u8]>,
}

impl Done {
    pub fn text(&self) -> String {
        String::from_utf8(self.payload.to_vec()).expect("text")
    }

    pub fn values(&self) -> BTreeMap<String, OwnedValue> {
        let format = self.command.format.expect("asked for");
        let entries = typed_entries(decode(format, self.command.path, &self.payload), latest);
        let entries = entries.expect("it can be read").into_iter();
        entries.filter_map(|entry| Some((entry.path.to_string(), entry.value?))).collect()
    }
}

pub struct Yard {
    pub now: Instant,
    pub client: Client<Objects, HeapBuffer, 3, 8, 4096>,
    pub server: Shard,
    bootstrap: BootstrapServer,
    steps: VecDeque<Step>,
    /// The commands answered so far.
    pub done: Vec<Done>,
    /// How sessions ended.
    pub ended: Vec<Ended>,
    /// What the device told its host.
    pub told: Vec<lightship_client::Event>,
    outcomes: Vec<Outcome>,
    sent: BTreeMap<String, u32>,
    /// Datagrams on their way, in order: when, to whom (`None`: the device, from that server), what.
    way: VecDeque<(Instant, Box<str>, bool, Vec<u8>)>,
}

impl Yard {
    /// A device with these accounts that has just been switched on, and the steps of each session.
    pub fn new(version: Version, accounts: Vec<Account>, steps: Vec<Step>) -> Self {
        let mut config = Config::new(NAME);
        config.version = version;
        let (device, _) = objects();
        let access = Multiple::new().creatable(Access::default);
        let mut client = Client::new(config, (access, device), &mut SeededRng::from_number(5));
        for account in accounts {
            client.add_account(account).unwrap_or_else(|_| panic!("too many accounts"));
        }
        let mut yard = Self {
            now: Instant::from_secs(1000),
            client,
            server: Shard::new(lightship_server::Config::default(), [1; 32]),
            bootstrap: BootstrapServer::new(bs::Config::default(), [2; 32]),
            steps: steps.into(),
            done: Vec::new(),
            ended: Vec::new(),
            told: Vec::new(),
            outcomes: Vec::new(),
            sent: BTreeMap::new(),
            way: VecDeque::new(),
        };
        yard.client.start(yard.now);
        yard.drain();
        yard
    }

    pub fn registration(&self) -> Option<Registration> {
        self.server.registration(&Endpoint::new(NAME).expect("legal"))
    }

    /// How many datagrams went to a server.
    pub fn tried(&self, uri: &str) -> u32 {
        self.sent.get(uri).copied().unwrap_or(0)
    }

    pub fn execute(&mut self, path: Path) -> Code {
        let operation = lightship_server::Operation::Execute { path, arguments: String::new() };
        let request = Request::new(operation, self.now + Duration::from_secs(60));
        self.server.request(self.now, &Endpoint::new(NAME).expect("legal"), request).expect("taken");
        self.drain();
        self.run_s(1);
        match self.outcomes.pop() {
            Some(Outcome::Response(response)) => response.code,
            other => panic!("no answer: {other:?}"),
        }
    }

    pub fn run_s(&mut self, seconds: u64) {
        let end = self.now + Duration::from_secs(seconds);
        loop {
            let arrival = self.way.front().map(|(at, ..)| *at);
            let wakes = [
                arrival,
                self.client.poll_timeout(),
                self.server.poll_timeout(),
                self.bootstrap.poll_timeout(),
            ];
            let Some(next) = wakes.into_iter().flatten().min().filter(|at| *at <= end) else { break };
            self.now = self.now.max(next);
            if arrival.is_some_and(|at| at <= self.now) {
                self.arrive();
            } else {
                self.client.handle_timeout(self.now);
                self.server.handle_timeout(self.now);
                self.bootstrap.handle_timeout(self.now);
            }
            self.drain();
        }
        self.now = end;
    }

    fn arrive(&mut self) {
        let Some((_, uri, to_server, mut bytes)) = self.way.pop_front() else { return };
        let device = "10.0.0.1:5683".parse().expect("an address");
        let account = self.client.accounts().find(|(_, account)| account.uri.as_str() == &*uri);
        match (to_server, &*uri, account.map(|(id, _)| id)) {
            (true, BS, _) => self.bootstrap.handle_input(self.now, device, &mut bytes),
            (true, SERVER, _) => self.server.handle_input(self.now, device, &mut bytes),
            (false, _, Some(account)) => self.client.handle_input(self.now, account, &mut bytes),
            _ => {}
        }
    }

    fn post(&mut self, uri: &str, to_server: bool, bytes: &[u8]) {
        if to_server {
            *self.sent.entry(uri.to_owned()).or_default() += 1;
        }
        self.way.push_back((self.now + WAY, uri.into(), to_server, bytes.to_vec()));
    }

    pub fn drain(&mut self) {
        let mut buffer = [0; 1500];
        loop {
            if let Some(transmit) = self.client.poll_transmit(&mut buffer) {
                let uri = self.client.account(transmit.to).expect("an account").uri.as_str().to_owned();
                self.post(&uri, true, &buffer[..transmit.len]);
            } else if let Some(transmit) = self.server.poll_transmit(&mut buffer) {
                self.post(SERVER, false, &buffer[..transmit.len]);
            } else if let Some(transmit) = self.bootstrap.poll_transmit(&mut buffer) {
                self.post(BS, false, &buffer[..transmit.len]);
            } else if let Some(event) = self.client.poll_event() {
                self.told.push(event);
            } else if let Some(event) = self.server.poll_event() {
                match event {
                    Event::AskRegister { ask, .. } => {
                        let answer = Answer::Accept { observations: Vec::new() };
                        self.server.answer(self.now, ask, answer);
                    }
                    Event::RequestDone { outcome, .. } => self.outcomes.push(outcome),
                    _ => {}
                }
            } else if let Some(event) = self.bootstrap.poll_event() {
                self.obey(event);
            } else {
                return;
            }
        }
    }

    fn obey(&mut self, event: bs::Event) {
        let next = |steps: &mut VecDeque<Step>| steps.pop_front().map_or(bs::Answer::End, bs::Answer::Step);
        match event {
            bs::Event::AskBootstrap { ask, caller, .. } => {
                assert_eq!(&*caller.endpoint, NAME);
                let answer = next(&mut self.steps);
                self.bootstrap.answer(self.now, ask, answer);
            }
            bs::Event::AskPack { ask, .. } => {
                let answer = bs::Answer::Refuse { code: Code::NOT_IMPLEMENTED };
                self.bootstrap.answer(self.now, ask, answer);
            }
            bs::Event::StepDone { ask, command, outcome, .. } => {
                if let StepOutcome::Response(response) = outcome {
                    self.done.push(Done { command, code: response.code, payload: response.payload });
                }
                if let Some(ask) = ask {
                    let answer = next(&mut self.steps);
                    self.bootstrap.answer(self.now, ask, answer);
                }
            }
            bs::Event::Ended { reason, .. } => self.ended.push(reason),
            _ => {}
        }
    }
}

/// An account of the server with the Short Server ID 1.
pub fn server_account(uri: &str) -> Account {
    Account::new(ShortServerId::new(1).expect("legal"), uri).lifetime(86_400)
}

fn step(operation: Operation, target: &str, format: Option<Format>) -> Step {
    Step::of(Command { operation, path: path(target), format })
}

pub fn discover(target: &str) -> Step {
    step(Operation::Discover, target, None)
}

pub fn read(target: &str) -> Step {
    step(Operation::Read, target, Some(Format::SenmlCbor))
}

pub fn remove(target: &str) -> Step {
    step(Operation::Delete, target, None)
}

pub fn finish() -> Step {
    step(Operation::Finish, "/", None)
}

pub fn write(target: &str, values: &[(&str, OwnedValue)]) -> Step {
    let format = Format::Tlv;
    let payload = encoded(format, target, values).into();
    Step { payload, ..step(Operation::Write, target, Some(format)) }
}

fn encoded(format: Format, target: &str, values: &[(&str, OwnedValue)]) -> Vec<u8> {
    let entries: Vec<_> = values.iter().map(|(name, value)| (path(name), Some(value))).collect();
    encode_entries(format, path(target), &entries).expect("it can be written")
}

fn account(uri: &str) -> [Vec<(&'static str, OwnedValue)>; 2] {
    const NO_SECURITY: i64 = 3;
    let nothing = || OwnedValue::Opaque(Vec::new());
    let security = vec![
        ("/0/0/0", text(uri)),
        ("/0/0/1", boolean(false)),
        ("/0/0/2", integer(NO_SECURITY)),
        ("/0/0/3", nothing()),
        ("/0/0/4", nothing()),
        ("/0/0/5", nothing()),
        ("/0/0/10", integer(1)),
    ];
    let server = vec![
        ("/1/0/0", integer(1)),
        ("/1/0/1", integer(86_400)),
        ("/1/0/6", boolean(false)),
        ("/1/0/7", text("U")),
    ];
    [security, server]
}

/// The account of a server, in one Write for each object.
pub fn writes(uri: &str) -> Vec<Step> {
    let [security, server] = account(uri);
    vec![write("/0", &security), write("/1", &server)]
}
