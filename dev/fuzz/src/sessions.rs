//! A shard with secured sessions: two devices, somebody who changes, repeats and sends elsewhere what they say, an operator who takes
//! credentials away and restarts. The tables of the shard stay in step, and within their bounds.

use crate::dtls::toy::Toy;
use crate::dtls::{KEY, Side, connect, settings};
use crate::script::Script;
use core::time::Duration;
use lightship_dtls::{Cid, Credential, Path};
use lightship_platform::Instant;
use lightship_platform::crypto::Secret;
use lightship_server::{
    Answer, Config, Credential as Word, CredentialEnd, Endpoint, Endpoints, Event, Frozen, Presented,
    Principal, Registrations, Security, SecurityEvent, SecurityLimits, Shard, Whose,
};
use std::collections::VecDeque;
use std::net::SocketAddr;
use std::sync::Arc;

const SESSIONS_MAX: usize = 2;
const HANDSHAKES_MAX: usize = 2;

struct Play {
    shard: Shard,
    config: Config,
    now: Instant,
    devices: [Side; 2],
    ports: [u16; 2],
    credential: Credential,
    /// What devices have said and nobody has delivered yet, and what was delivered last.
    under_way: VecDeque<(usize, Vec<u8>)>,
    last: Option<Vec<u8>>,
    answers: bool,
}

/// Two bytes choose the settings; then come steps.
pub(crate) fn sessions(data: &[u8]) {
    let mut script = Script(data);
    let (suite, more) = (script.byte().unwrap_or(0), script.byte().unwrap_or(0));
    let (device, server, credential) = settings(suite, more);
    let security = Security {
        dtls: Arc::new(server),
        limits: SecurityLimits {
            sessions: SESSIONS_MAX,
            handshakes: HANDSHAKES_MAX,
            resumptions: 2,
            ..SecurityLimits::default()
        },
        ..Security::new(Arc::new(Toy))
    };
    let config = Config { security: Some(security), ..Config::default() };
    let mut play = Play {
        shard: Shard::new(config.clone(), [7; 32]),
        config,
        now: Instant::from_secs(1000),
        devices: [Side::new(device.clone(), 1), Side::new(device, 2)],
        ports: [1, 2],
        credential,
        under_way: VecDeque::new(),
        last: None,
        answers: true,
    };
    while let Some(step) = script.byte() {
        play.step(step, &mut script);
        play.settle();
        play.check();
    }
}

fn address(port: u16) -> SocketAddr {
    SocketAddr::from(([127, 0, 0, 1], 5000 + port % 4))
}

fn endpoint() -> Endpoint {
    Endpoint::new("a").expect("a name")
}

impl Play {
    fn step(&mut self, step: u8, script: &mut Script<'_>) {
        let who = usize::from(step >> 7);
        match step & 15 {
            0 | 1 => {
                let resume = self.devices[who].resumption.clone().filter(|_| step & 16 != 0);
                connect(&mut self.devices[who], self.now, self.credential.clone(), Cid::EMPTY, resume);
            }
            2..=5 => self.deliver(usize::MAX, 0),
            6 => self.deliver(usize::from(script.byte().unwrap_or(0)), script.byte().unwrap_or(0)),
            7 => {
                if let Some(again) = self.last.clone() {
                    self.shard.handle_secured_input(self.now, address(self.ports[who]), &mut again.clone());
                }
            }
            8 => self.ports[who] += 1,
            9 => self.say(who, script.piece().unwrap_or_default()),
            10 => {
                let mut register = vec![0x40, 2, step, 7, 0xB2, b'r', b'd', 0x44, b'e', b'p', b'=', b'a'];
                register.extend(b"\x09lwm2m=1.1\x05lt=60\xFF</3/0>");
                self.say(who, &register);
            }
            11 => {
                let span = Duration::from_secs(u64::from(script.byte().unwrap_or(0)) * 4);
                self.now += span;
                self.shard.handle_timeout(self.now);
            }
            12 => {
                let what = if step & 16 == 0 { Registrations::Keep } else { Registrations::End };
                self.shard.end_sessions(
                    self.now,
                    &[Whose::Endpoint(endpoint())],
                    CredentialEnd::Changed,
                    what,
                );
            }
            13 => self.answers = step & 16 == 0,
            14 => {
                let old = std::mem::replace(&mut self.shard, Shard::new(self.config.clone(), [8; 32]));
                let frozen = Frozen::from_bytes(old.freeze(self.now).as_bytes().to_vec());
                self.shard.thaw(self.now, Duration::ZERO, frozen).expect("its own bytes");
            }
            _ => {
                let mut datagram = script.piece().unwrap_or_default().to_vec();
                self.shard.handle_secured_input(self.now, address(self.ports[who]), &mut datagram);
            }
        }
    }

    /// Delivers what was said first, with a byte of it changed.
    fn deliver(&mut self, place: usize, value: u8) {
        let Some((who, mut datagram)) = self.under_way.pop_front() else { return };
        if let Some(byte) = datagram.get_mut(place) {
            *byte = value;
        }
        self.last = Some(datagram.clone());
        self.shard.handle_secured_input(self.now, address(self.ports[who]), &mut datagram);
    }

    fn say(&mut self, who: usize, message: &[u8]) {
        if let Some(record) = self.devices[who].seal(self.now, message) {
            self.under_way.push_back((who, record));
        }
    }

    /// Takes everything out, and gives it to whom it is for.
    fn settle(&mut self) {
        let mut out = [0; 2048];
        for _ in 0..64 {
            let mut quiet = true;
            while let Some(transmit) = self.shard.poll_transmit(&mut out) {
                quiet = false;
                for (device, port) in self.devices.iter_mut().zip(self.ports) {
                    if address(port) == transmit.to {
                        device.receive(self.now, Path::Current, &mut out[..transmit.len].to_vec());
                    }
                }
            }
            while let Some(event) = self.shard.poll_event() {
                quiet = false;
                self.hear(event);
            }
            for who in 0..2 {
                for datagram in self.devices[who].drain(self.now, true) {
                    self.under_way.push_back((who, datagram));
                }
                self.devices[who].received.clear();
            }
            self.under_way.truncate(64);
            if quiet {
                return;
            }
        }
        panic!("the shard is never quiet");
    }

    fn hear(&mut self, event: Event) {
        match event {
            Event::Security(SecurityEvent::AskCredential { ask, presented, .. }) if self.answers => {
                let endpoints = Endpoints::One(endpoint());
                let word = match presented {
                    Presented::PskIdentity(_) | Presented::Resumed(Principal::Psk(_)) => {
                        Word::Psk { key: Secret::new(KEY), endpoints }
                    }
                    Presented::RawPublicKey { .. } => Word::RawPublicKey { endpoints },
                    Presented::Certificates(_) => {
                        Word::Certificate { common_name: None, names: Box::default(), endpoints }
                    }
                    _ => Word::Resumed { endpoints },
                };
                self.shard.answer(self.now, ask, Answer::Credential(word));
            }
            Event::AskRegister { ask, registration } if self.answers => {
                assert!(registration.session.is_some(), "nothing came without security");
                self.shard.answer(self.now, ask, Answer::Accept { observations: Vec::new() });
            }
            _ => {}
        }
    }

    fn check(&self) {
        let stats = self.shard.stats().security;
        let sessions: Vec<_> = self.shard.sessions().collect();
        assert_eq!(stats.sessions, sessions.len() as u64);
        assert!(sessions.len() <= SESSIONS_MAX && stats.handshakes <= HANDSHAKES_MAX as u64);
        for registration in self.shard.registrations() {
            assert!(registration.party.is_some(), "made under security, it stays so");
            let Some(session) = registration.session else { continue };
            assert_eq!(registration.address, session.address);
            let is_its = |(other, of): &(lightship_server::SessionInfo, Option<Endpoint>)| {
                other.id == session.id && of.as_ref() == Some(&registration.details.endpoint)
            };
            assert!(sessions.iter().any(is_its), "session and registration name each other");
        }
        let _next = self.shard.poll_timeout();
    }
}
