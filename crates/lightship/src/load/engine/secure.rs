//! DTLS of the devices: an association each.

use lightship_coap::Code;
use lightship_dtls::{Association, Cid, Connect, Credential, Event, Failure, Host, Path, Record};
use lightship_platform::Instant;
use lightship_platform::crypto::{FastCrypto, Secret};

use super::uplink::MESSAGE_LEN_MAX;
use super::{Engine, Operation, Outcome, Timer, index};
use crate::load::device::Life;
use crate::load::settings::bytes_of;

/// A device's way to a server that wants DTLS.
pub(crate) struct Tunnel {
    association: Association,
    /// When it will be woken.
    wake_at: Option<Instant>,
}

impl Tunnel {
    /// Whether messages can be sent through it.
    pub(crate) fn is_open(&self) -> bool {
        self.association.is_established()
    }
}

impl Engine {
    /// Begins a handshake in place of whatever there was.
    pub(super) fn connect(&mut self, device: u32, intended: Instant) {
        let settings = std::sync::Arc::clone(&self.settings);
        let Some(secure) = &settings.secure else { return };
        let number = self.number(device);
        let key = bytes_of(&secure.key.of(number)).unwrap_or_default();
        let credential = Credential::Psk {
            identity: secure.identity.of(number).into_bytes().into_boxed_slice(),
            key: Secret::new(&key),
        };
        let connect = Connect { credential, server_name: None, own_cid: Cid::EMPTY, resume: None };
        if self.open_exchange(device, Operation::Handshake, intended).is_none() {
            return;
        }
        self.set_life(device, Life::Connecting);
        let mut host =
            Host { now: self.now, crypto: &FastCrypto, rng: &mut self.rng, config: &secure.config };
        let association = Association::connect(&mut host, connect);
        self.settle(device, Box::new(Tunnel { association, wake_at: None }));
    }

    /// Forgets the session: a device that is not answered makes another one.
    pub(super) fn disconnect(&mut self, device: u32) {
        if let Some(state) = self.devices.get_mut(index(device)) {
            state.tunnel = None;
        }
    }

    /// Sends a message as a record.
    pub(super) fn seal(&mut self, device: u32, message: &[u8]) {
        let settings = std::sync::Arc::clone(&self.settings);
        let (Some(secure), Some(mut tunnel)) = (&settings.secure, self.take_tunnel(device)) else { return };
        let mut buffer = [0; RECORD_LEN_MAX];
        let start = tunnel.association.headroom();
        let mut host =
            Host { now: self.now, crypto: &FastCrypto, rng: &mut self.rng, config: &secure.config };
        if let Some(place) = buffer.get_mut(start..start + message.len()) {
            place.copy_from_slice(message);
            if let Ok(len) = tunnel.association.seal(&mut host, &mut buffer, message.len()) {
                self.transmit(device, buffer.get(..len).unwrap_or_default());
            }
        }
        if let Some(state) = self.devices.get_mut(index(device)) {
            state.tunnel = Some(tunnel);
        }
    }

    /// Takes a datagram of records.
    pub(super) fn handle_record(&mut self, device: u32, datagram: &mut [u8]) {
        let settings = std::sync::Arc::clone(&self.settings);
        let Some(secure) = &settings.secure else { return };
        let mut at = 0;
        while at < datagram.len() {
            let Some(mut tunnel) = self.take_tunnel(device) else {
                self.stats.stray += 1;
                return;
            };
            let mut host =
                Host { now: self.now, crypto: &FastCrypto, rng: &mut self.rng, config: &secure.config };
            let record = tunnel.association.handle_record(&mut host, Path::Current, datagram, &mut at);
            self.settle(device, tunnel);
            match record {
                None => return,
                Some(Record::Data { range, .. }) => {
                    self.handle_message(device, datagram.get(range).unwrap_or_default());
                }
                Some(Record::Dropped(_)) => self.stats.stray += 1,
                Some(_) => {}
            }
        }
    }

    pub(super) fn handshake_timeout(&mut self, device: u32) {
        let settings = std::sync::Arc::clone(&self.settings);
        let (Some(secure), Some(mut tunnel)) = (&settings.secure, self.take_tunnel(device)) else { return };
        tunnel.wake_at = None;
        let mut host =
            Host { now: self.now, crypto: &FastCrypto, rng: &mut self.rng, config: &secure.config };
        if tunnel.association.poll_timeout().is_some_and(|at| at <= host.now) {
            tunnel.association.handle_timeout(&mut host);
        }
        self.settle(device, tunnel);
    }

    /// Takes from an association what it has to send and to say, and puts it back.
    fn settle(&mut self, device: u32, mut tunnel: Box<Tunnel>) {
        let settings = std::sync::Arc::clone(&self.settings);
        let Some(secure) = &settings.secure else { return };
        let mut buffer = [0; RECORD_LEN_MAX];
        loop {
            let mut host =
                Host { now: self.now, crypto: &FastCrypto, rng: &mut self.rng, config: &secure.config };
            let Some(transmit) = tunnel.association.poll_transmit(&mut host, &mut buffer) else { break };
            self.transmit(device, buffer.get(..transmit.len).unwrap_or_default());
        }
        let mut events = Vec::new();
        while let Some(event) = tunnel.association.poll_event() {
            events.push(event);
        }
        let wake_at = tunnel.association.poll_timeout();
        if let Some(at) = wake_at.filter(|at| tunnel.wake_at.is_none_or(|known| *at < known)) {
            tunnel.wake_at = Some(at);
            self.wheel.push(at, Timer::Handshake(device));
        }
        let Some(state) = self.devices.get_mut(index(device)) else { return };
        state.tunnel = Some(tunnel);
        for event in events {
            self.handle_event(device, &event);
        }
    }

    fn handle_event(&mut self, device: u32, event: &Event) {
        let exchange = self.devices.get(index(device)).and_then(|state| state.exchange);
        match event {
            Event::Established(_) => {
                if let Some(exchange) = exchange {
                    self.end(exchange, Outcome::Right);
                }
                self.set_life(device, Life::Outside);
                // The session may have taken until the devices leave.
                if self.stage <= super::Stage::Drain {
                    self.begin(device, Operation::Register, self.now);
                }
            }
            Event::Failed(failure) => {
                let missing = matches!(failure, Failure::TimedOut);
                if let Some(exchange) = exchange {
                    self.end(exchange, if missing { Outcome::Missing } else { Outcome::Wrong(Code::EMPTY) });
                }
                self.disconnect(device);
                self.lose_registration(device, self.settings.retry);
                self.has_joined(device);
            }
            Event::Closed(_) => {
                self.disconnect(device);
                match exchange {
                    Some(exchange) => self.conclude(exchange, Outcome::Missing),
                    None => self.lose_registration(device, self.settings.retry),
                }
            }
            Event::Ask(_) | Event::Resumable(_) | Event::Moved | Event::KeyLog(_) | _ => {}
        }
    }

    fn take_tunnel(&mut self, device: u32) -> Option<Box<Tunnel>> {
        self.devices.get_mut(index(device))?.tunnel.take()
    }
}

/// Room for a record with a message in it.
const RECORD_LEN_MAX: usize = MESSAGE_LEN_MAX + 128;
