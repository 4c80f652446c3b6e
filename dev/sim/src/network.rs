//! The virtual internet between the devices and the server.
//!
//! Each device has a link with latency, loss, duplication and (because the latency varies) reordering, and sits
//! behind a NAT that can give it another public address. Datagrams to an address that a NAT has given up are lost.

use core::time::Duration;
use std::collections::HashMap;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use lightship_platform::{Instant, Rng, SeededRng};

/// How bad a link is.
#[derive(Clone, Copy, Debug)]
pub struct Quality {
    /// Shortest way there.
    pub latency_min: Duration,
    /// Longest way there; two datagrams may overtake each other within the difference.
    pub latency_max: Duration,
    /// Datagrams lost, of a thousand.
    pub loss_per_mille: u32,
    /// Datagrams that arrive twice, of a thousand.
    pub duplicates_per_mille: u32,
    /// Loses every n-th datagram of each link, besides, both directions counted together; 0 = none.
    pub lose_every: u32,
}

impl Quality {
    /// A link without faults.
    pub const PERFECT: Self = Self {
        latency_min: Duration::from_millis(10),
        latency_max: Duration::from_millis(10),
        loss_per_mille: 0,
        duplicates_per_mille: 0,
        lose_every: 0,
    };

    /// A bad radio link: a tenth is lost, some arrives twice or late.
    pub const POOR: Self = Self {
        latency_min: Duration::from_millis(20),
        latency_max: Duration::from_millis(900),
        loss_per_mille: 100,
        duplicates_per_mille: 50,
        lose_every: 0,
    };
}

/// All links and NATs.
pub struct Network {
    rng: SeededRng,
    quality: Quality,
    public: Vec<SocketAddr>,
    owner: HashMap<SocketAddr, usize>,
    cut_until: Vec<Instant>,
    addresses_given: u32,
    sent: Vec<u64>,
}

impl Network {
    /// A network of so many devices.
    #[must_use]
    pub fn new(devices: usize, quality: Quality, rng: SeededRng) -> Self {
        let mut network = Self {
            rng,
            quality,
            public: Vec::new(),
            owner: HashMap::new(),
            cut_until: vec![Instant::ZERO; devices],
            addresses_given: 0,
            sent: vec![0; devices],
        };
        for device in 0..devices {
            let address = network.fresh_address();
            network.public.push(address);
            network.owner.insert(address, device);
        }
        network
    }

    fn fresh_address(&mut self) -> SocketAddr {
        self.addresses_given += 1;
        let [_, b, c, d] = self.addresses_given.to_be_bytes();
        SocketAddr::new(IpAddr::V4(Ipv4Addr::new(10, b, c, d)), 5683)
    }

    /// Changes how good the links are.
    pub fn set_quality(&mut self, quality: Quality) {
        self.quality = quality;
    }

    /// The public address of a device.
    #[must_use]
    pub fn address(&self, device: usize) -> SocketAddr {
        self.public[device]
    }

    /// Whose public address this is now.
    #[must_use]
    pub fn owner(&self, address: SocketAddr) -> Option<usize> {
        self.owner.get(&address).copied()
    }

    /// The device's NAT forgets it and gives it another public address.
    pub fn rebind(&mut self, device: usize) {
        let address = self.fresh_address();
        let old = std::mem::replace(&mut self.public[device], address);
        self.owner.remove(&old);
        self.owner.insert(address, device);
    }

    /// Nothing passes between the device and the server until then.
    pub fn cut(&mut self, device: usize, until: Instant) {
        self.cut_until[device] = until;
    }

    /// When the copies of a datagram sent now arrive; none if it is lost.
    pub fn send(&mut self, now: Instant, device: usize) -> Vec<Instant> {
        self.sent[device] += 1;
        let every = self.quality.lose_every;
        let lost = self.hits(self.quality.loss_per_mille)
            || (every > 0 && self.sent[device].is_multiple_of(every.into()))
            || now < self.cut_until[device];
        let copies = 1 + usize::from(self.hits(self.quality.duplicates_per_mille));
        let arrivals: Vec<_> = (0..copies).map(|_| now + self.latency()).collect();
        if lost { Vec::new() } else { arrivals }
    }

    fn hits(&mut self, per_mille: u32) -> bool {
        self.rng.below(1000) < per_mille
    }

    fn latency(&mut self) -> Duration {
        let spread = self.quality.latency_max.saturating_sub(self.quality.latency_min);
        let spread_us = u32::try_from(spread.as_micros()).unwrap_or(u32::MAX);
        self.quality.latency_min + Duration::from_micros(self.rng.below(spread_us.max(1)).into())
    }
}
