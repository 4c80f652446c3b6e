//! Devices that speak coaps with a shard.

use std::net::SocketAddr;
use std::sync::Arc;

use lightship_coap::Code;
use lightship_dtls::{
    Answer, Association, Cid, Config, Connect, Credential, Event, Host, Path, Record, Resumption,
};
use lightship_platform::crypto::{RustCrypto, Secret};
use lightship_platform::{Instant, SeededRng};
use lightship_server::{Endpoints, Security};

use super::{Known, LIST, Packet, World, endpoint, read};

pub const KEY: &[u8] = b"0123456789abcdef";
pub const HOME: &str = "192.0.2.1:5684";

/// The settings of a shard that speaks coaps.
pub fn security() -> Security {
    Security::new(Arc::new(RustCrypto))
}

pub fn config() -> lightship_server::Config {
    lightship_server::Config { security: Some(security()), ..lightship_server::Config::default() }
}

/// A shard whose host knows some devices: each name is its PSK identity.
pub fn world(names: &[&str]) -> World {
    with(config(), names)
}

pub fn with(config: lightship_server::Config, names: &[&str]) -> World {
    let mut world = World::with(config);
    world.credentials = Some(names.iter().map(|name| known(name)).collect());
    world
}

pub fn known(name: &str) -> Known {
    Known { identity: name.into(), key: KEY.to_vec(), endpoints: Endpoints::One(endpoint(name)) }
}

/// A device.
pub struct Device {
    pub association: Association,
    pub address: SocketAddr,
    pub config: Config,
    rng: SeededRng,
    pub received: Vec<Vec<u8>>,
    pub events: Vec<Event>,
    /// Every datagram that it has sent.
    pub sent: Vec<Vec<u8>>,
}

/// What a device has to say to begin.
pub fn connect(name: &str) -> Connect {
    let credential = Credential::Psk { identity: name.as_bytes().into(), key: Secret::new(KEY) };
    Connect { credential, server_name: None, own_cid: Cid::EMPTY, resume: None }
}

pub fn without_cid() -> Config {
    Config { connection_id: false, ..Config::default() }
}

impl Device {
    pub fn new(now: Instant, address: SocketAddr, config: Config, connect: Connect) -> Self {
        let mut rng = SeededRng::from_number(u64::from(address.port()) + now.as_micros());
        let mut host = Host { now, crypto: &RustCrypto, rng: &mut rng, config: &config };
        let association = Association::connect(&mut host, connect);
        Self { association, address, config, rng, received: Vec::new(), events: Vec::new(), sent: Vec::new() }
    }

    /// A device with a session.
    pub fn open(world: &mut impl Coaps, address: SocketAddr, config: Config, connect: Connect) -> Self {
        let mut device = Self::new(world.now(), address, config, connect);
        device.run(world);
        assert!(device.association.is_established(), "{:?}", device.events);
        device
    }

    /// A device named by its identity that is registered.
    pub fn register(world: &mut World, at: &str, config: Config, name: &str) -> (Self, String) {
        let mut device = Self::open(world, at.parse().expect("an address"), config, connect(name));
        let location = device.register_as(world, name);
        (device, location)
    }

    pub fn register_as(&mut self, world: &mut World, name: &str) -> String {
        let packet = world.register_packet(&format!("ep={name}&lt=300&lwm2m=1.1&b=U"), LIST);
        let answers = self.say(world, &packet);
        let answer = read(answers.first().expect("an answer"));
        assert_eq!(answer.code(), Code::CREATED);
        answer.location_path().collect::<Vec<_>>().join("/")
    }

    /// The next datagram of the protocol itself.
    pub fn poll(&mut self, now: Instant) -> Option<Vec<u8>> {
        let mut out = [0; 2048];
        let mut host = Host { now, crypto: &RustCrypto, rng: &mut self.rng, config: &self.config };
        let transmit = self.association.poll_transmit(&mut host, &mut out)?;
        self.sent.push(out[..transmit.len].to_vec());
        self.sent.last().cloned()
    }

    pub fn take(&mut self, now: Instant, datagram: &[u8]) {
        let mut datagram = datagram.to_vec();
        let mut at = 0;
        let mut host = Host { now, crypto: &RustCrypto, rng: &mut self.rng, config: &self.config };
        while let Some(record) =
            self.association.handle_record(&mut host, Path::Current, &mut datagram, &mut at)
        {
            if let Record::Data { range, .. } = record {
                self.received.push(datagram[range].to_vec());
            }
        }
        while let Some(event) = self.association.poll_event() {
            if matches!(event, Event::Ask(_)) {
                let mut host = Host { now, crypto: &RustCrypto, rng: &mut self.rng, config: &self.config };
                self.association.answer(&mut host, Answer::Accept { note: Box::default() });
            }
            self.events.push(event);
        }
    }

    /// Lets both talk until neither has anything to say.
    pub fn run(&mut self, world: &mut impl Coaps) {
        loop {
            let mut quiet = true;
            while let Some(datagram) = self.poll(world.now()) {
                world.secured(self.address, &datagram);
                quiet = false;
            }
            for datagram in world.to(self.address) {
                self.take(world.now(), &datagram);
                quiet = false;
            }
            if quiet {
                return;
            }
        }
    }

    /// A record with a message, not sent.
    pub fn seal(&mut self, now: Instant, message: &[u8]) -> Vec<u8> {
        let mut out = [0; 2048];
        let headroom = self.association.headroom();
        out[headroom..headroom + message.len()].copy_from_slice(message);
        let mut host = Host { now, crypto: &RustCrypto, rng: &mut self.rng, config: &self.config };
        let len = self.association.seal(&mut host, &mut out, message.len()).expect("sealed");
        out[..len].to_vec()
    }

    /// Sends a message and returns what comes back to the device because of it.
    pub fn say(&mut self, world: &mut impl Coaps, packet: &Packet) -> Vec<Vec<u8>> {
        self.say_bytes(world, &packet.bytes())
    }

    pub fn say_bytes(&mut self, world: &mut impl Coaps, message: &[u8]) -> Vec<Vec<u8>> {
        let record = self.seal(world.now(), message);
        self.received.clear();
        world.secured(self.address, &record);
        self.run(world);
        std::mem::take(&mut self.received)
    }

    /// Sends a request and returns the code of the only answer.
    pub fn ask(&mut self, world: &mut impl Coaps, packet: &Packet) -> Code {
        let answers = self.say(world, packet);
        assert_eq!(answers.len(), 1, "one answer");
        read(&answers[0]).code()
    }

    /// What came to the device of the shard's accord.
    pub fn hear(&mut self, world: &mut impl Coaps) -> Vec<Vec<u8>> {
        self.received.clear();
        self.run(world);
        std::mem::take(&mut self.received)
    }

    /// What the session can be resumed with.
    pub fn resumption(&self) -> Option<Resumption> {
        self.events.iter().find_map(|event| match event {
            Event::Resumable(resumption) => Some(resumption.clone()),
            _ => None,
        })
    }

    pub fn is_resumed(&self) -> bool {
        self.events.iter().any(|event| matches!(event, Event::Established(facts) if facts.resumed))
    }

    pub fn is_closed(&self) -> bool {
        self.events.iter().any(|event| matches!(event, Event::Closed(_)))
    }

    pub fn failed(&self) -> bool {
        self.events.iter().any(|event| matches!(event, Event::Failed(_)))
    }

    pub fn close(&mut self, world: &mut impl Coaps) {
        let mut host =
            Host { now: world.now(), crypto: &RustCrypto, rng: &mut self.rng, config: &self.config };
        self.association.close(&mut host);
        self.run(world);
    }
}

/// Whatever speaks coaps with devices.
pub trait Coaps {
    fn now(&self) -> Instant;

    /// Hands a datagram to the socket for secured ones.
    fn secured(&mut self, from: SocketAddr, datagram: &[u8]);

    /// What left for an address by that socket.
    fn to(&mut self, address: SocketAddr) -> Vec<Vec<u8>>;
}

impl Coaps for World {
    fn now(&self) -> Instant {
        self.now
    }

    fn secured(&mut self, from: SocketAddr, datagram: &[u8]) {
        let mut datagram = datagram.to_vec();
        self.shard.handle_secured_input(self.now, from, &mut datagram);
        self.drain();
    }

    fn to(&mut self, address: SocketAddr) -> Vec<Vec<u8>> {
        let (there, others) = self.wire.drain(..).partition(|(to, _)| *to == address);
        self.wire = others;
        let there: Vec<(SocketAddr, Vec<u8>)> = there;
        there.into_iter().map(|(_, datagram)| datagram).collect()
    }
}
