//! The world: one agenda of what happens when, and everybody who takes part.

use core::cmp::Reverse;
use core::hash::Hasher;
use core::time::Duration;
use std::collections::BinaryHeap;
use std::hash::DefaultHasher;
use std::net::SocketAddr;

use lightship_lwm2m::Endpoint;
use lightship_platform::{Instant, Rng, SeededRng};
use lightship_server::{Answer, Ask, Config, Event, SecurityEvent, Shard};

use crate::device::Device;
use crate::host::Host;
use crate::network::{Network, Quality};
use crate::security::{Directory, Transport};

/// Everybody and everything.
pub struct World {
    /// The time.
    pub now: Instant,
    /// The links.
    pub network: Network,
    /// The devices.
    pub devices: Vec<Device>,
    /// The server, while it lives.
    pub shard: Option<Shard>,
    /// Its host.
    pub host: Host,
    /// For whoever decides what happens.
    pub rng: SeededRng,
    /// How everybody talks.
    pub transport: Transport,
    /// Sessions that the server opened, and those among them that were resumed.
    pub opened: u64,
    /// See [`World::opened`].
    pub resumed: u64,
    directory: Directory,
    config: Config,
    agenda: BinaryHeap<Reverse<Entry>>,
    order: u64,
    server_wake: Option<Instant>,
    device_wakes: Vec<Option<Instant>>,
    /// Counts the server's lives: answers to questions of an earlier one are void.
    life: u32,
    postponed: Vec<(Ask, Answer)>,
    transcript: DefaultHasher,
    datagrams: u64,
    /// The device whose messages are printed, by `LIGHTSHIP_SIM_TRACE`.
    trace: Option<usize>,
}

/// One thing on the agenda; things of one moment happen in the order in which they were planned.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
struct Entry {
    at: Instant,
    order: u64,
    what: What,
}

/// What may happen.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
enum What {
    ToServer(SocketAddr, Vec<u8>),
    ToDevice(SocketAddr, Vec<u8>),
    WakeServer,
    WakeDevice(usize),
    Answer { life: u32, number: usize },
    Act(Act),
}

/// What the scenario does to the world.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Act {
    /// Switches a device on.
    Start(usize),
    /// Switches it off without a word.
    Crash(usize),
    /// Gives it another public address.
    Rebind(usize),
    /// Cuts its link for so many seconds.
    Cut(usize, u16),
    /// Its value grows.
    Grow(usize),
    /// The server asks something of it.
    Request(usize),
    /// Kills the server.
    KillServer,
    /// Starts it again.
    StartServer,
}

impl World {
    /// A world of so many devices, all of them off, and a server that runs.
    #[must_use]
    pub fn new(
        seed: u64,
        devices: usize,
        quality: Quality,
        mut config: Config,
        transport: Transport,
    ) -> Self {
        config.security = transport.of_servers();
        let mut rng = SeededRng::from_number(seed);
        let network = Network::new(devices, quality, fork(&mut rng));
        let host = Host::new(fork(&mut rng));
        let make = |number| {
            let lifetime_s = 200 + 50 * u32::try_from(number % 4).unwrap_or(0);
            Device::new(number, lifetime_s, number % 2 == 0, transport)
        };
        let all: Vec<Device> = (0..devices).map(make).collect();
        let names = all.iter().take(if transport.is_secured() { devices } else { 0 });
        let directory = Directory::new(names.map(|device| device.name.clone()));
        let mut world = Self {
            now: Instant::from_secs(1),
            network,
            devices: all,
            transport,
            directory,
            opened: 0,
            resumed: 0,
            shard: None,
            host,
            rng,
            config,
            agenda: BinaryHeap::new(),
            order: 0,
            server_wake: None,
            device_wakes: vec![None; devices],
            life: 0,
            postponed: Vec::new(),
            transcript: DefaultHasher::new(),
            datagrams: 0,
            trace: std::env::var("LIGHTSHIP_SIM_TRACE").ok().and_then(|number| number.parse().ok()),
        };
        world.start_server();
        world
    }

    /// The name of a device.
    #[must_use]
    pub fn endpoint(&self, device: usize) -> Endpoint {
        Endpoint::new(&self.devices[device].name).expect("a legal name")
    }

    /// Plans something for later.
    pub fn plan(&mut self, after: Duration, act: Act) {
        self.push(self.now + after, What::Act(act));
    }

    /// Stands for everything that was sent, byte by byte and moment by moment.
    #[must_use]
    pub fn transcript(&self) -> u64 {
        self.transcript.finish()
    }

    /// How many datagrams were sent.
    #[must_use]
    pub fn datagrams(&self) -> u64 {
        self.datagrams
    }

    /// Lets the world go on for a while.
    pub fn run(&mut self, span: Duration) {
        let end = self.now + span;
        while let Some(Reverse(entry)) = self.agenda.peek()
            && entry.at <= end
        {
            let Some(Reverse(entry)) = self.agenda.pop() else { break };
            self.now = entry.at;
            self.happen(entry.what);
        }
        self.now = end;
    }

    fn happen(&mut self, what: What) {
        match what {
            What::ToServer(from, mut datagram) => {
                match &mut self.shard {
                    Some(shard) if self.transport.is_secured() => {
                        shard.handle_secured_input(self.now, from, &mut datagram);
                    }
                    Some(shard) => shard.handle_input(self.now, from, &mut datagram),
                    None => {}
                }
                self.drain_server();
            }
            What::ToDevice(to, mut datagram) => {
                if let Some(device) = self.network.owner(to) {
                    self.devices[device].handle_input(self.now, &mut datagram);
                    self.drain_device(device);
                }
            }
            What::WakeServer => {
                if self.server_wake.take_if(|at| *at <= self.now).is_some()
                    && let Some(shard) = &mut self.shard
                {
                    shard.handle_timeout(self.now);
                }
                self.drain_server();
            }
            What::WakeDevice(device) => {
                if self.device_wakes[device].take_if(|at| *at <= self.now).is_some() {
                    self.devices[device].handle_timeout(self.now);
                }
                self.drain_device(device);
            }
            What::Answer { life, number } => {
                if let Some(shard) = self.shard.as_mut().filter(|_| life == self.life) {
                    let (ask, answer) = self.postponed[number].clone();
                    shard.answer(self.now, ask, answer);
                }
                self.drain_server();
            }
            What::Act(act) => {
                self.act(act);
                self.drain_server();
            }
        }
    }

    fn act(&mut self, act: Act) {
        match act {
            Act::Start(device) => {
                if !self.devices[device].is_on() {
                    let mut rng = fork(&mut self.rng);
                    self.devices[device].start(self.now, &mut rng);
                    self.drain_device(device);
                }
            }
            Act::Crash(device) => self.devices[device].crash(),
            Act::Rebind(device) => self.network.rebind(device),
            Act::Cut(device, seconds) => {
                self.network.cut(device, self.now + Duration::from_secs(seconds.into()));
            }
            Act::Grow(device) => {
                self.devices[device].sensor_mut().value += 1.0;
                self.drain_device(device);
            }
            Act::Request(device) => {
                let endpoint = self.endpoint(device);
                if let Some(shard) = &mut self.shard {
                    self.host.request(self.now, shard, &endpoint);
                }
            }
            Act::KillServer => {
                self.shard = None;
                self.server_wake = None;
                self.host.server_died();
            }
            Act::StartServer => self.start_server(),
        }
    }

    fn start_server(&mut self) {
        if self.shard.is_none() {
            let mut seed = [0; 32];
            self.rng.fill(&mut seed);
            self.shard = Some(Shard::new(self.config.clone(), seed));
            self.life += 1;
        }
    }

    /// Takes everything out of the server, as the drain rule wants.
    fn drain_server(&mut self) {
        let Some(mut shard) = self.shard.take() else { return };
        loop {
            let mut buffer = [0; 1500];
            if let Some(transmit) = shard.poll_transmit(&mut buffer) {
                let bytes = &buffer[..transmit.len];
                self.record(b'<', transmit.to, bytes);
                if let Some(device) = self.network.owner(transmit.to) {
                    for at in self.network.send(self.now, device) {
                        self.push(at, What::ToDevice(transmit.to, bytes.to_vec()));
                    }
                }
            } else if let Some(event) = shard.poll_event() {
                if let Event::Security(event) = event {
                    if let Some((ask, answer)) = self.directory.answer(&event) {
                        shard.answer(self.now, ask, Answer::Credential(answer));
                    }
                    if let SecurityEvent::SessionOpened { facts, .. } = event {
                        self.opened += 1;
                        self.resumed += u64::from(facts.resumed);
                    }
                    continue;
                }
                if let Some((ask, answer)) = self.host.handle(event) {
                    shard.answer(self.now, ask, answer);
                }
                for (delay, ask, answer) in std::mem::take(&mut self.host.postponed) {
                    self.postponed.push((ask, answer));
                    let what = What::Answer { life: self.life, number: self.postponed.len() - 1 };
                    self.push(self.now + delay, what);
                }
            } else {
                break;
            }
        }
        if let Some(at) = shard.poll_timeout()
            && self.server_wake.is_none_or(|planned| at < planned)
        {
            self.server_wake = Some(at.max(self.now));
            self.push(at.max(self.now), What::WakeServer);
        }
        self.shard = Some(shard);
    }

    fn drain_device(&mut self, number: usize) {
        loop {
            let mut buffer = [0; 1500];
            let device = &mut self.devices[number];
            if let Some(len) = device.poll_transmit(&mut buffer) {
                let from = self.network.address(number);
                self.record(b'>', from, &buffer[..len]);
                for at in self.network.send(self.now, number) {
                    self.push(at, What::ToServer(from, buffer[..len].to_vec()));
                }
            } else if device.poll_event().is_none() {
                break;
            }
        }
        if let Some(at) = self.devices[number].poll_timeout()
            && self.device_wakes[number].is_none_or(|planned| at < planned)
        {
            let at = at.max(self.now);
            self.device_wakes[number] = Some(at);
            self.push(at, What::WakeDevice(number));
        }
    }

    fn record(&mut self, direction: u8, address: SocketAddr, bytes: &[u8]) {
        self.datagrams += 1;
        self.transcript.write_u64(self.now.as_micros());
        self.transcript.write_u8(direction);
        self.transcript.write(address.to_string().as_bytes());
        self.transcript.write(bytes);
        if self.trace.is_some() && self.trace == self.network.owner(address) {
            eprintln!(
                "{:>10.3} {} {address} {}",
                self.now.as_millis() as f64 / 1e3,
                char::from(direction),
                describe(bytes)
            );
        }
    }

    fn push(&mut self, at: Instant, what: What) {
        self.order += 1;
        self.agenda.push(Reverse(Entry { at, order: self.order, what }));
    }
}

fn fork(rng: &mut SeededRng) -> SeededRng {
    let mut seed = [0; 32];
    rng.fill(&mut seed);
    SeededRng::new(seed)
}

/// A message in one line.
fn describe(datagram: &[u8]) -> String {
    let Ok(message) = lightship_coap::Message::parse(datagram) else { return "malformed".into() };
    let path: Vec<_> = message.uri_path().collect();
    format!(
        "{:?} {} mid={} token={:?} /{} observe={:?} {:?}",
        message.ty(),
        message.code(),
        message.message_id().0,
        message.token(),
        path.join("/"),
        message.observe(),
        String::from_utf8_lossy(message.payload()),
    )
}
