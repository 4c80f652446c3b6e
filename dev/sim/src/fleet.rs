//! A fleet from the factory: bootstrap, registration at one server or two, and everything that gets in between.
//!
//! Every device knows its Bootstrap-Server and nothing else. That server dies in the middle of sessions, the servers lose
//! everything they know, NATs give devices other addresses, devices stand still for an hour or believe another date. In
//! the end each device is registered at exactly the servers of its configuration, no command was carried out twice, and
//! every command ended once.

use core::cmp::Reverse;
use core::time::Duration;
use std::collections::{BTreeMap, BinaryHeap, VecDeque};
use std::net::SocketAddr;
use std::sync::Arc;

use lightship_client::dtls::Suite;
use lightship_client::objects::Device;
use lightship_client::{Account, Arguments, Array, Client, Config, Multiple, Object, Phase, Refusal, Single};
use lightship_coap::Code;
use lightship_coap::peer::HeapBuffer;
use lightship_lwm2m::bootstrap::{Command, Operation as Step};
use lightship_lwm2m::format::Format;
use lightship_lwm2m::node::encode_entries;
use lightship_lwm2m::{Endpoint, OwnedValue, Path, ShortServerId, path};
use lightship_platform::{Instant, Rng, SeededRng, UnixTime};
use lightship_server::bootstrap::{self as bs, BootstrapServer};
use lightship_server::{
    Answer, Event, Operation, Rebinding, Request, RequestId, Security, SecurityEvent, Shard, WhenAsleep,
};

use crate::network::{Network, Quality};
use crate::security::{self, Directory, Transport, furnish_psk, shared_key};

const RESET: Path = path!(3303 / 0 / 5605);
/// Where a device's accounts lead, by place: the Bootstrap-Server, and the servers.
const PLACES: [&str; 3] = ["bs", "one", "two"];
const TROUBLE: Duration = Duration::from_secs(2 * 3600);
const CALM: Duration = Duration::from_secs(6 * 3600);

#[derive(Object, Clone, Default)]
#[lwm2m(object = 3303, version = "1.1", execute(5605 = Self::reset))]
struct Sensor {
    #[resource(5700)]
    value: f32,
    executed: Vec<String>,
}

impl Sensor {
    fn reset(&mut self, arguments: Arguments<'_>) -> Result<(), Refusal> {
        self.executed.push(arguments.as_str().to_owned());
        Ok(())
    }
}

/// Access Control.
#[derive(Object, Clone, Default)]
#[lwm2m(object = 2)]
struct Access {
    #[resource(0)]
    object: u16,
    #[resource(1)]
    instance: u16,
    #[resource(2)]
    rights: Array<u16, 2>,
    #[resource(3)]
    owner: u16,
}

type Objects = (Multiple<Access, 2>, Single<Device>, Single<Sensor>);
type Engine = Client<Objects, HeapBuffer, 3, 4, 1024>;

#[derive(PartialEq, Eq, PartialOrd, Ord)]
enum What {
    /// To a place, from a device's address.
    Up(usize, SocketAddr, Vec<u8>),
    /// To an address, from a place.
    Down(usize, SocketAddr, Vec<u8>),
    Device(usize),
    Places,
    Trouble,
}

/// What a run came to.
#[derive(Clone, Copy, Default, PartialEq, Eq, Debug)]
pub struct Report {
    /// Sessions that ended with a Finish.
    pub bootstrapped: u64,
    /// Sessions that a dying Bootstrap-Server or a lost device cut short.
    pub cut_short: u64,
    /// Commands that were carried out.
    pub executed: u64,
    /// Commands that ended without an answer.
    pub unanswered: u64,
    /// Commands whose server died first.
    pub died: u64,
    /// Secure sessions that were opened.
    pub opened: u64,
    /// Those among them that were resumed.
    pub resumed: u64,
}

/// The fleet.
pub struct Fleet {
    now: Instant,
    rng: SeededRng,
    network: Network,
    devices: Vec<Engine>,
    /// Devices that stand still until then.
    frozen: Vec<Instant>,
    bootstrap: BootstrapServer,
    sessions: BTreeMap<bs::SessionId, VecDeque<bs::Step>>,
    shards: [Shard; 2],
    commands: BTreeMap<(usize, RequestId), u32>,
    number: u32,
    agenda: BinaryHeap<Reverse<(Instant, u64, What)>>,
    order: u64,
    wakes: Vec<Option<Instant>>,
    transport: Transport,
    directory: Directory,
    report: Report,
}

/// Secured servers of a fleet take pre-shared keys without curves, which take their time in a build that is not optimised.
fn of_servers(transport: Transport) -> Option<Security> {
    let mut security = transport.of_servers()?;
    Arc::make_mut(&mut security.dtls).suites = vec![Suite::PskAes128Ccm8];
    Some(security)
}

fn shard(rng: &mut SeededRng, transport: Transport) -> Shard {
    let mut secret = [0; 32];
    rng.fill(&mut secret);
    let config = lightship_server::Config {
        rebinding: Rebinding::Follow,
        security: of_servers(transport),
        ..lightship_server::Config::default()
    };
    Shard::new(config, secret)
}

fn bootstrap_server(rng: &mut SeededRng, transport: Transport) -> BootstrapServer {
    let mut secret = [0; 32];
    rng.fill(&mut secret);
    BootstrapServer::new(bs::Config { security: of_servers(transport), ..bs::Config::default() }, secret)
}

fn uri(place: usize, transport: Transport) -> String {
    format!("{}://{}", if transport.is_secured() { "coaps" } else { "coap" }, PLACES[place])
}

fn endpoint(device: usize) -> Endpoint {
    Endpoint::new(&format!("urn:fleet:{device}")).expect("a legal name")
}

/// How many servers a device shall have.
fn servers(device: usize) -> usize {
    if device.is_multiple_of(3) { 2 } else { 1 }
}

fn write(target: &str, values: &[(u16, OwnedValue)]) -> bs::Step {
    let path: Path = target.parse().expect("a path");
    let values = values.iter().map(|(id, value)| (path.child(*id).expect("a resource"), value.clone()));
    write_nodes(path, &values.collect::<Vec<_>>())
}

fn write_nodes(path: Path, values: &[(Path, OwnedValue)]) -> bs::Step {
    let entries: Vec<_> = values.iter().map(|(path, value)| (*path, Some(value))).collect();
    let payload = encode_entries(Format::Tlv, path, &entries).expect("it can be written").into();
    let command = Command { operation: Step::Write, path, format: Some(Format::Tlv) };
    bs::Step { command, payload }
}

/// What a device is told: an account for each of its servers.
fn provisioning(device: usize, transport: Transport) -> VecDeque<bs::Step> {
    let opaque = |bytes: &[u8]| OwnedValue::Opaque(bytes.to_vec());
    let name = endpoint(device);
    let (mode, identity, key) = match transport {
        Transport::Plain => (3, opaque(&[]), opaque(&[])),
        Transport::Secured { .. } => (0, opaque(name.as_bytes()), opaque(&shared_key(&name))),
    };
    let number = OwnedValue::Integer;
    let mut steps = VecDeque::new();
    for server in 1..=servers(device) {
        let ssid = number(server as i64);
        let uri = OwnedValue::String(uri(server, transport));
        let security = [
            (0, uri),
            (1, OwnedValue::Boolean(false)),
            (2, number(mode)),
            (3, identity.clone()),
            (4, opaque(&[])),
            (5, key.clone()),
            (10, ssid.clone()),
        ];
        let account = [
            (0, ssid),
            (1, number(300)),
            (6, OwnedValue::Boolean(true)),
            (7, OwnedValue::String("U".to_owned())),
            (17, number(3)),
            (18, number(10)),
            (19, number(60)),
            (20, number(1)),
        ];
        steps.push_back(write(&format!("/0/{server}"), &security));
        steps.push_back(write(&format!("/1/{}", server - 1), &account));
    }
    if servers(device) > 1 {
        // Either may read and execute.
        let rights = || number(1 + 4);
        let access = [
            (path!(2 / 0 / 0), number(3303)),
            (path!(2 / 0 / 1), number(0)),
            (path!(2 / 0 / 2 / 1), rights()),
            (path!(2 / 0 / 2 / 2), rights()),
            (path!(2 / 0 / 3), number(1)),
        ];
        steps.push_back(write_nodes(path!(2 / 0), &access));
    }
    steps.push_back(bs::Step::of(Command { operation: Step::Finish, path: Path::ROOT, format: None }));
    steps
}

impl Fleet {
    /// Plays a fleet of so many devices, from the factory to the calm after the trouble, and checks what must hold.
    ///
    /// # Panics
    /// When something does not.
    #[must_use]
    pub fn play(seed: u64, devices: usize) -> Report {
        Self::play_over(Transport::Plain, seed, devices)
    }

    /// The same, and how everybody talks.
    ///
    /// # Panics
    /// When something does not hold.
    #[must_use]
    pub fn play_over(transport: Transport, seed: u64, devices: usize) -> Report {
        let mut rng = SeededRng::from_number(seed ^ 0xF1EE7);
        let mut secret = [0; 32];
        rng.fill(&mut secret);
        let network = Network::new(devices, Quality::POOR, SeededRng::new(secret));
        let engine = |device: usize| {
            let mut rng = SeededRng::from_number(seed.wrapping_mul(1 << 20) + device as u64);
            let config = Config::new(&endpoint(device));
            let mut engine = Engine::new(
                config,
                (
                    Multiple::new().creatable(Access::default),
                    Single::new(Device::new("Lightship", "of a fleet", "1.0")),
                    Single::new(Sensor::default()),
                ),
                &mut rng,
            );
            let mut account = Account::bootstrap(&uri(0, transport));
            if transport.is_secured() {
                furnish_psk(&mut account, &endpoint(device));
                rng.fill(&mut secret);
                engine.secure(security::transport(SeededRng::new(secret)));
            }
            engine.add_account(account).unwrap_or_else(|_| panic!("room for one"));
            engine
        };
        let mut fleet = Self {
            now: Instant::from_secs(1000),
            network,
            devices: (0..devices).map(engine).collect(),
            frozen: vec![Instant::ZERO; devices],
            bootstrap: bootstrap_server(&mut rng, transport),
            sessions: BTreeMap::new(),
            shards: [shard(&mut rng, transport), shard(&mut rng, transport)],
            transport,
            directory: Directory::default(),
            rng,
            commands: BTreeMap::new(),
            number: 0,
            agenda: BinaryHeap::new(),
            order: 0,
            wakes: vec![None; devices + 1],
            report: Report::default(),
        };
        for device in 0..devices {
            fleet.devices[device].start(fleet.now);
            fleet.device_done(device);
        }
        let first = fleet.now + Duration::from_secs(20);
        fleet.plan(first, What::Trouble);
        fleet.run(TROUBLE);
        fleet.network.set_quality(Quality::PERFECT);
        fleet.run(CALM);
        fleet.check();
        fleet.report
    }

    fn plan(&mut self, at: Instant, what: What) {
        self.order += 1;
        self.agenda.push(Reverse((at, self.order, what)));
    }

    fn run(&mut self, span: Duration) {
        let end = self.now + span;
        while self.agenda.peek().is_some_and(|Reverse((at, ..))| *at <= end) {
            let Some(Reverse((at, _, what))) = self.agenda.pop() else { break };
            self.now = self.now.max(at);
            match what {
                What::Up(place, from, mut bytes) => {
                    let now = self.now;
                    match (place, self.transport.is_secured()) {
                        (0, false) => self.bootstrap.handle_input(now, from, &mut bytes),
                        (0, true) => self.bootstrap.handle_secured_input(now, from, &mut bytes),
                        (server, false) => self.shards[server - 1].handle_input(now, from, &mut bytes),
                        (server, true) => self.shards[server - 1].handle_secured_input(now, from, &mut bytes),
                    }
                    self.places_done();
                }
                What::Down(place, to, mut bytes) => self.arrive(place, to, &mut bytes),
                What::Device(device) => {
                    self.wakes[device] = None;
                    if self.frozen[device] <= self.now {
                        self.devices[device].handle_timeout(self.now);
                    }
                    self.device_done(device);
                }
                What::Places => {
                    let last = self.wakes.len() - 1;
                    self.wakes[last] = None;
                    self.bootstrap.handle_timeout(self.now);
                    self.shards.iter_mut().for_each(|shard| shard.handle_timeout(self.now));
                    self.places_done();
                }
                What::Trouble if self.now + CALM < end || span == TROUBLE => self.trouble(),
                What::Trouble => {}
            }
        }
        self.now = end;
    }

    fn arrive(&mut self, place: usize, to: SocketAddr, bytes: &mut [u8]) {
        let Some(device) = self.network.owner(to) else { return };
        let engine = &mut self.devices[device];
        let uri = uri(place, self.transport);
        let account = engine.accounts().find(|(_, account)| account.uri.as_str() == uri);
        let Some((account, _)) = account else { return };
        if self.frozen[device] <= self.now {
            engine.handle_input(self.now, account, bytes);
            self.device_done(device);
        }
    }

    /// Something goes wrong, or somebody commands something.
    fn trouble(&mut self) {
        let device = self.rng.below(u32::try_from(self.devices.len()).unwrap_or(u32::MAX)) as usize;
        match self.rng.below(200) {
            0 => {
                // Whatever it was doing ends in the middle.
                self.report.cut_short += self.bootstrap.stats().sessions;
                self.bootstrap = bootstrap_server(&mut self.rng, self.transport);
                self.sessions.clear();
            }
            1 => {
                let server = self.rng.below(2) as usize;
                self.shards[server] = shard(&mut self.rng, self.transport);
                let before = self.commands.len();
                self.commands.retain(|(of, _), _| *of != server);
                self.report.died += (before - self.commands.len()) as u64;
            }
            2..=29 => self.network.rebind(device),
            30..=39 => {
                self.frozen[device] = self.now + Duration::from_secs(self.rng.below(3600).into());
                let until = self.frozen[device];
                self.plan(until, What::Device(device));
            }
            40..=59 => {
                let date = UnixTime::from_secs(i64::from(self.rng.below(u32::MAX)));
                self.devices[device].set_date(self.now, date);
                self.device_done(device);
            }
            60..=69 => {
                let now = self.now;
                let _ = self.devices[device].bootstrap(now);
                self.device_done(device);
            }
            _ => self.command(device),
        }
        let pause = Duration::from_millis(100 + u64::from(self.rng.below(4000)));
        self.plan(self.now + pause, What::Trouble);
    }

    fn command(&mut self, device: usize) {
        let server = self.rng.below(u32::try_from(servers(device)).unwrap_or(1)) as usize;
        self.number += 1;
        let arguments = format!("0='{}'", self.number);
        let deadline = self.now + Duration::from_secs(30 + u64::from(self.rng.below(200)));
        let operation = Operation::Execute { path: RESET, arguments };
        let request = Request { when_asleep: WhenAsleep::Hold, ..Request::new(operation, deadline) };
        if let Ok(id) = self.shards[server].request(self.now, &endpoint(device), request) {
            assert!(self.commands.insert((server, id), self.number).is_none(), "a name is given once");
        }
        self.places_done();
    }

    fn device_done(&mut self, device: usize) {
        let mut buffer = [0; 1500];
        if self.frozen[device] > self.now {
            return;
        }
        loop {
            let engine = &mut self.devices[device];
            if let Some(transmit) = engine.poll_transmit(&mut buffer) {
                let to = engine.account(transmit.to).expect("an account").uri;
                let is_there = |place: &usize| uri(*place, self.transport) == to.as_str();
                let place = (0..PLACES.len()).find(is_there).expect("a known place");
                let from = self.network.address(device);
                for at in self.network.send(self.now, device) {
                    self.plan(at, What::Up(place, from, buffer[..transmit.len].to_vec()));
                }
            } else if engine.poll_event().is_none() {
                break;
            }
        }
        let wake = self.devices[device].poll_timeout();
        self.wake(device, wake, What::Device(device));
    }

    fn wake(&mut self, who: usize, at: Option<Instant>, what: What) {
        let Some(at) = at.filter(|at| *at < Instant::NEVER).map(|at| at.max(self.now)) else { return };
        if self.wakes[who].is_none_or(|planned| at < planned) {
            self.wakes[who] = Some(at);
            self.plan(at, what);
        }
    }

    fn places_done(&mut self) {
        let mut buffer = [0; 1500];
        for place in 0..PLACES.len() {
            loop {
                let transmit = match place {
                    0 => self.bootstrap.poll_transmit(&mut buffer),
                    server => self.shards[server - 1].poll_transmit(&mut buffer),
                };
                if let Some(transmit) = transmit {
                    // The way there is that of whoever owns the address now; nobody's address loses it.
                    if let Some(device) = self.network.owner(transmit.to) {
                        for at in self.network.send(self.now, device) {
                            self.plan(at, What::Down(place, transmit.to, buffer[..transmit.len].to_vec()));
                        }
                    }
                } else if !self.answer(place) {
                    break;
                }
            }
        }
        let shards = self.shards.iter().filter_map(Shard::poll_timeout);
        let wake = shards.chain(self.bootstrap.poll_timeout()).min();
        self.wake(self.wakes.len() - 1, wake, What::Places);
    }

    /// Takes one event of a place; returns whether there was one.
    fn answer(&mut self, place: usize) -> bool {
        if place > 0 {
            let server = place - 1;
            match self.shards[server].poll_event() {
                None => return false,
                Some(Event::AskRegister { ask, .. }) => {
                    let answer = Answer::Accept { observations: Vec::new() };
                    self.shards[server].answer(self.now, ask, answer);
                }
                Some(Event::AskDurable { ask, .. } | Event::Notified { ask: Some(ask), .. }) => {
                    self.shards[server].answer(self.now, ask, Answer::Stored);
                }
                Some(Event::RequestDone { id, outcome, .. }) => {
                    let number = self.commands.remove(&(server, id)).expect("a command ends once");
                    self.command_ended(server, number, &outcome);
                }
                Some(Event::Security(event)) => {
                    self.hear_security(&event);
                    if let Some((ask, answer)) = self.directory.answer(&event) {
                        self.shards[server].answer(self.now, ask, Answer::Credential(answer));
                    }
                }
                Some(_) => {}
            }
            return true;
        }
        let Some(event) = self.bootstrap.poll_event() else { return false };
        match event {
            bs::Event::AskBootstrap { ask, session, caller, .. } => {
                let name = caller.endpoint.rsplit(':').next().and_then(|number| number.parse().ok());
                let mut steps = provisioning(name.expect("one of ours"), self.transport);
                let first = steps.pop_front().expect("a step");
                self.sessions.insert(session, steps);
                self.bootstrap.answer(self.now, ask, bs::Answer::Step(first));
            }
            bs::Event::AskPack { ask, .. } => {
                let code = Code::NOT_IMPLEMENTED;
                self.bootstrap.answer(self.now, ask, bs::Answer::Refuse { code });
            }
            bs::Event::StepDone { ask: Some(ask), session, command, outcome, .. } => {
                if let bs::StepOutcome::Response(response) = &outcome {
                    let is = (response.code, String::from_utf8_lossy(&response.payload));
                    assert!(is.0 == command.operation.success(), "{command:?}: {is:?}");
                }
                let next = self.sessions.get_mut(&session).and_then(VecDeque::pop_front);
                self.bootstrap.answer(self.now, ask, next.map_or(bs::Answer::End, bs::Answer::Step));
            }
            bs::Event::Ended { session, reason, .. } => {
                self.sessions.remove(&session);
                match reason {
                    bs::Ended::Finished => self.report.bootstrapped += 1,
                    _ => self.report.cut_short += 1,
                }
            }
            bs::Event::Security(event) => {
                self.hear_security(&event);
                if let Some((ask, answer)) = self.directory.answer(&event) {
                    self.bootstrap.answer(self.now, ask, bs::Answer::Credential(answer));
                }
            }
            _ => {}
        }
        true
    }

    fn hear_security(&mut self, event: &SecurityEvent) {
        if let SecurityEvent::SessionOpened { facts, .. } = event {
            self.report.opened += 1;
            self.report.resumed += u64::from(facts.resumed);
        }
    }

    fn command_ended(&mut self, _server: usize, number: u32, outcome: &lightship_server::Outcome) {
        let text = format!("0='{number}'");
        let done = || self.devices.iter().any(|engine| engine.objects().2.executed.contains(&text));
        match outcome {
            lightship_server::Outcome::Response(response) if response.code.is_success() => {
                assert!(done(), "command {number} is told to be done");
                self.report.executed += 1;
            }
            lightship_server::Outcome::Response(response) => {
                assert!(!done(), "command {number} was refused with {}", response.code);
                self.report.unanswered += 1;
            }
            _ => self.report.unanswered += 1,
        }
    }

    fn check(&self) {
        for (device, engine) in self.devices.iter().enumerate() {
            let known = engine.accounts().filter(|(_, account)| !account.is_bootstrap());
            let mut uris: Vec<_> = known.map(|(_, account)| account.uri.as_str().to_owned()).collect();
            uris.sort_unstable();
            let expected: Vec<_> = (1..=servers(device)).map(|place| uri(place, self.transport)).collect();
            assert_eq!(uris, expected, "the accounts of device {device}");
            for (server, shard) in self.shards.iter().enumerate() {
                let registered = shard.registration(&endpoint(device)).is_some();
                assert_eq!(
                    registered,
                    server < servers(device),
                    "device {device} at server {server}: {:?}",
                    phases(engine)
                );
            }
            let mut executed = engine.objects().2.executed.clone();
            let count = executed.len();
            executed.sort_unstable();
            executed.dedup();
            assert_eq!(executed.len(), count, "device {device} did something twice");
        }
        assert!(self.commands.is_empty(), "{} commands never ended", self.commands.len());
        assert_eq!(self.bootstrap.stats().sessions, 0, "no session is left open");
    }
}

fn phases(engine: &Engine) -> Vec<(Option<ShortServerId>, Phase)> {
    engine.accounts().map(|(id, account)| (account.ssid, engine.phase(id))).collect()
}
