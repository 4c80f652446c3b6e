//! A shard in memory with a host that says yes.

use std::mem;
use std::net::SocketAddr;
use std::sync::Arc;

use lightship_platform::Instant;
use lightship_platform::crypto::{FastCrypto, Secret};
use lightship_server::{
    Answer, Ask, Config, Credential, Endpoint, Endpoints, Event, Presented, Security, SecurityEvent, Shard,
    Wanted,
};

use crate::session::KEY;

/// A shard, its time, and the last datagrams it gave out.
pub struct MemoryShard {
    /// The engine.
    pub shard: Shard,
    /// The time.
    pub now: Instant,
    /// The last datagram given out.
    pub out: Vec<u8>,
    /// The one before it.
    pub previous: Vec<u8>,
    /// What is observed of each device that registers.
    pub observe: Vec<Wanted>,
}

impl Default for MemoryShard {
    fn default() -> Self {
        Self::with(Config::default())
    }
}

impl MemoryShard {
    /// A shard with these settings, and no limits to how often devices of few names and addresses register.
    #[must_use]
    pub fn with(mut config: Config) -> Self {
        lift_limits(&mut config);
        let shard = Shard::new(config, [1; 32]);
        let now = Instant::from_secs(1);
        Self { shard, now, out: Vec::new(), previous: Vec::new(), observe: Vec::new() }
    }

    /// A shard that speaks coaps, too.
    #[must_use]
    pub fn secured() -> Self {
        let security = Some(Security::new(Arc::new(FastCrypto)));
        Self::with(Config { security, ..Config::default() })
    }

    /// Hands a datagram in and takes out everything that comes of it.
    pub fn input(&mut self, from: SocketAddr, datagram: &mut [u8]) {
        self.shard.handle_input(self.now, from, datagram);
        self.drain();
    }

    /// The same by the socket for secured datagrams.
    pub fn secured_input(&mut self, from: SocketAddr, datagram: &mut [u8]) {
        self.shard.handle_secured_input(self.now, from, datagram);
        self.drain();
    }

    /// Takes everything out, and says yes to every question.
    pub fn drain(&mut self) {
        let mut buffer = [0; 1280];
        loop {
            if let Some(transmit) = self.shard.poll_transmit(&mut buffer) {
                mem::swap(&mut self.out, &mut self.previous);
                self.out.clear();
                self.out.extend_from_slice(&buffer[..transmit.len]);
            } else if let Some(event) = self.shard.poll_event() {
                if let Some((ask, answer)) = yes(&event, &self.observe) {
                    self.shard.answer(self.now, ask, answer);
                }
            } else {
                return;
            }
        }
    }

    /// Lets the time pass up to `now`.
    pub fn pass(&mut self, now: Instant) {
        self.now = now;
        self.shard.handle_timeout(now);
        self.drain();
    }
}

/// All load comes from a few addresses, and a device of a measurement does in a second what others do in a month.
pub fn lift_limits(config: &mut Config) {
    config.limits.registers_a_minute_per_device = u32::MAX;
    config.limits.registers_a_minute_per_address = u32::MAX;
    config.limits.registers_a_minute_per_prefix = u32::MAX;
    if let Some(security) = &mut config.security {
        security.limits.handshakes_a_minute_per_address = u32::MAX;
        security.limits.handshakes_a_minute_per_prefix = u32::MAX;
    }
}

#[allow(clippy::wildcard_enum_match_arm, reason = "the others are no questions")]
/// What a host answers that believes everything: every PSK identity is an endpoint's name, with the same key.
#[must_use]
pub fn yes(event: &Event, observe: &[Wanted]) -> Option<(Ask, Answer)> {
    match event {
        Event::AskRegister { ask, .. } => Some((*ask, Answer::Accept { observations: observe.to_vec() })),
        Event::AskDurable { ask, .. } | Event::Notified { ask: Some(ask), .. } => {
            Some((*ask, Answer::Stored))
        }
        Event::Security(SecurityEvent::AskCredential {
            ask,
            presented: Presented::PskIdentity(identity),
            ..
        }) => {
            let endpoint = Endpoint::new(core::str::from_utf8(identity).ok()?).ok()?;
            let credential = Credential::Psk { key: Secret::new(KEY), endpoints: Endpoints::One(endpoint) };
            Some((*ask, Answer::Credential(credential)))
        }
        _ => None,
    }
}
