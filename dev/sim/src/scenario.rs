//! What one seed means: how many devices, how bad a network, which accidents; and what must hold in the end.

use core::time::Duration;

use lightship_coap::{Code, ContentFormat};
use lightship_platform::Rng;
use lightship_server::{Config, Operation, Outcome, Rebinding};

use crate::host::{APPLICATION, VALUE, Verdict};
use crate::network::Quality;
use crate::security::Transport;
use crate::world::{Act, World};

/// A fleet, a network and a plan of accidents.
#[derive(Clone, Debug)]
pub struct Scenario {
    /// From this everything follows.
    pub seed: u64,
    /// How many devices.
    pub devices: usize,
    /// How bad the links are while accidents happen.
    pub quality: Quality,
    /// How many accidents: restarts, cuts, other addresses.
    pub accidents: u32,
    /// How often the server is killed and started again.
    pub server_deaths: u32,
    /// What becomes of a device with another address.
    pub rebinding: Rebinding,
    /// How devices and server talk.
    pub transport: Transport,
}

/// What a run came to.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Report {
    /// Stands for every byte sent, and when.
    pub transcript: u64,
    /// How many datagrams were sent.
    pub datagrams: u64,
    /// How many values the server was told.
    pub notifications: u64,
    /// How many secure sessions were opened.
    pub opened: u64,
    /// How many of them were resumed.
    pub resumed: u64,
}

/// How long accidents happen.
const ACCIDENTS_S: u32 = 600;
/// How long the world is left alone afterwards: longer than any lifetime and any pause before another try.
const CALM: Duration = Duration::from_secs(1500);

impl Scenario {
    /// The scenario of a seed.
    #[must_use]
    pub fn of_seed(seed: u64) -> Self {
        let mut rng = lightship_platform::SeededRng::from_number(seed ^ 0x5EED);
        let quality = match rng.below(4) {
            0 => Quality::PERFECT,
            1 => Quality { lose_every: 3, ..Quality::PERFECT },
            _ => Quality::POOR,
        };
        // Most fleets are small, so that many seeds are quick; some are of a few hundred.
        let devices = if seed.is_multiple_of(4) { 200 + rng.below(100) } else { 1 + rng.below(40) } as usize;
        Self {
            seed,
            devices,
            quality,
            accidents: rng.below(1 + 3 * u32::try_from(devices).unwrap_or(u32::MAX)),
            server_deaths: if rng.below(3) == 0 { 1 + rng.below(2) } else { 0 },
            rebinding: if rng.below(2) == 0 { Rebinding::Refuse } else { Rebinding::Follow },
            transport: Transport::Plain,
        }
    }

    /// The scenario of a seed over DTLS: a smaller fleet, half of the seeds with connection IDs, half with resumption.
    #[must_use]
    pub fn secured(seed: u64) -> Self {
        let plain = Self::of_seed(seed);
        let transport = Transport::Secured { cid: seed.is_multiple_of(2), resumption: seed % 4 < 2 };
        Self { devices: plain.devices.min(40), transport, ..plain }
    }

    /// Plays it and checks what must hold.
    ///
    /// # Panics
    ///
    /// When something does not; the caller says which seed it was.
    #[must_use]
    pub fn play(&self) -> Report {
        let config = Config { rebinding: self.rebinding, ..Config::default() };
        let mut world = World::new(self.seed, self.devices, self.quality, config, self.transport);
        for device in 0..self.devices {
            let endpoint = world.endpoint(device);
            world.host.want(&endpoint, VALUE);
            // What is not written again must not be lost with its notification.
            if device % 4 == 0 {
                world.host.want(&endpoint, APPLICATION);
            }
        }
        self.plan(&mut world);
        world.run(Duration::from_secs(ACCIDENTS_S.into()) + Duration::from_secs(120));
        world.network.set_quality(Quality::PERFECT);
        world.host.diligent = true;
        for device in 0..self.devices {
            world.plan(Duration::ZERO, Act::Start(device));
        }
        world.run(CALM);
        self.finish(&mut world);
        Report {
            transcript: world.transcript(),
            datagrams: world.datagrams(),
            opened: world.opened,
            resumed: world.resumed,
            notifications: world.shard.as_ref().map_or(0, |shard| shard.stats().notifications),
        }
    }

    fn plan(&self, world: &mut World) {
        let devices = u32::try_from(self.devices).unwrap_or(u32::MAX);
        let when = |world: &mut World, within_s: u32| {
            Duration::from_millis(u64::from(world.rng.below(within_s * 1000)))
        };
        for device in 0..self.devices {
            let at = when(world, 30);
            world.plan(at, Act::Start(device));
            for _ in 0..world.rng.below(6) {
                let at = when(world, ACCIDENTS_S);
                // In bursts, so that notifications overtake each other.
                for step in 0..3 {
                    world.plan(at + step * Duration::from_millis(150), Act::Grow(device));
                }
            }
            for _ in 0..world.rng.below(4) {
                let at = when(world, ACCIDENTS_S);
                world.plan(at, Act::Request(device));
            }
        }
        for _ in 0..self.accidents {
            let device = world.rng.below(devices) as usize;
            let at = when(world, ACCIDENTS_S);
            match world.rng.below(3) {
                0 => {
                    world.plan(at, Act::Crash(device));
                    let off = when(world, 60);
                    world.plan(at + off, Act::Start(device));
                }
                1 => world.plan(at, Act::Rebind(device)),
                _ => {
                    let seconds = 1 + world.rng.below(90);
                    world.plan(at, Act::Cut(device, u16::try_from(seconds).unwrap_or(60)));
                }
            }
        }
        for _ in 0..self.server_deaths {
            let at = when(world, ACCIDENTS_S);
            let off = when(world, 60);
            world.plan(at, Act::KillServer);
            world.plan(at + off, Act::StartServer);
        }
    }

    /// After the calm: everybody is registered once, observed, and understood.
    fn finish(&self, world: &mut World) {
        let stats = world.shard.as_ref().expect("the server runs").stats();
        assert_eq!(stats.registrations, self.devices as u64, "each device once");
        for device in 0..self.devices {
            let endpoint = world.endpoint(device);
            assert!(world.devices[device].is_registered(), "{endpoint} believes to be registered");
            let shard = world.shard.as_ref().expect("the server runs");
            let registration =
                shard.registration(&endpoint).unwrap_or_else(|| panic!("{endpoint} is registered"));
            assert_eq!(registration.address, world.network.address(device), "{endpoint} is where it is");
            let told = world.host.registration(&endpoint).map(|told| (told.id, told.address));
            assert_eq!(
                told,
                Some((registration.id, registration.address)),
                "{endpoint}: the events say so too"
            );
        }
        assert_eq!(world.host.open_requests(), 0, "every request has ended");
        // One more value each, and one Read of what was written.
        for device in 0..self.devices {
            world.plan(Duration::ZERO, Act::Grow(device));
        }
        world.run(Duration::from_secs(60));
        for device in 0..self.devices {
            let endpoint = world.endpoint(device);
            let operation = Operation::Read { path: APPLICATION, accept: Some(ContentFormat::TEXT) };
            let shard = world.shard.as_mut().expect("the server runs");
            let patience = Duration::from_secs(100);
            world.host.send(world.now, shard, &endpoint, operation, patience);
        }
        world.plan(Duration::ZERO, Act::StartServer);
        world.run(Duration::from_secs(110));
        self.check_values(world);
        Self::check_executes(world);
    }

    fn check_values(&self, world: &World) {
        for device in 0..self.devices {
            let endpoint = world.endpoint(device);
            let sensor = world.devices[device].sensor();
            for path in world.host.wanted(&endpoint) {
                let observed = world.host.observed(&endpoint, *path);
                let observed = observed.unwrap_or_else(|| panic!("{endpoint} {path} is not observed"));
                if *path == VALUE {
                    assert_eq!(observed.parse::<f32>().ok(), Some(sensor.value), "{endpoint} {path}");
                } else {
                    let text = sensor.application.as_ref().map(|text| text.as_str());
                    assert_eq!(Some(observed), text, "{endpoint} {path}");
                }
            }
            match world.host.reads.get(&(endpoint.clone(), APPLICATION)) {
                Some(Outcome::Response(response)) => {
                    assert_eq!(response.code, Code::CONTENT, "{endpoint}");
                    let text = sensor.application.as_ref().map(|text| text.as_str().as_bytes());
                    assert_eq!(Some(&*response.payload), text, "{endpoint}");
                }
                other => panic!("{endpoint}: the Read came to {other:?}"),
            }
        }
    }

    fn check_executes(world: &World) {
        for (arguments, (endpoint, verdict)) in &world.host.executes {
            let device = world.devices.iter().find(|device| device.name == **endpoint).expect("one of ours");
            let times = device.sensor().executed.iter().filter(|done| *done == arguments).count();
            match verdict {
                Verdict::Done => assert_eq!(times, 1, "{endpoint} said that {arguments} was done"),
                Verdict::Unknown | Verdict::Failed => assert!(times <= 1, "{endpoint} did {arguments} twice"),
            }
        }
    }
}
