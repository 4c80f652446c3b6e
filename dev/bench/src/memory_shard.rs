//! A shard in memory with a host that says yes.

use lightship_platform::Instant;
use lightship_server::{Answer, Config, Event, Shard};

use std::net::SocketAddr;

/// A shard, its time, and the last datagram it gave out.
pub struct MemoryShard {
    /// The engine.
    pub shard: Shard,
    /// The time.
    pub now: Instant,
    /// The last datagram given out.
    pub out: Vec<u8>,
}

impl Default for MemoryShard {
    fn default() -> Self {
        let shard = Shard::new(Config::default(), [1; 32]);
        Self { shard, now: Instant::from_secs(1), out: Vec::new() }
    }
}

impl MemoryShard {
    /// Hands a datagram in and takes out everything that comes of it.
    pub fn input(&mut self, from: SocketAddr, datagram: &mut [u8]) {
        self.shard.handle_input(self.now, from, datagram);
        self.drain();
    }

    /// Takes everything out, and says yes to every Register.
    pub fn drain(&mut self) {
        let mut buffer = [0; 1280];
        loop {
            if let Some(transmit) = self.shard.poll_transmit(&mut buffer) {
                self.out.clear();
                self.out.extend_from_slice(&buffer[..transmit.len]);
            } else if let Some(event) = self.shard.poll_event() {
                if let Event::AskRegister { ask, .. } = event {
                    self.shard.answer(self.now, ask, Answer::Accept { observations: Vec::new() });
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
