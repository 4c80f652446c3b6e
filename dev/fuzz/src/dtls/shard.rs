//! One shard that speaks coaps, three devices, strangers who send anything from any address, and a host who answers as it likes:
//! nobody is registered but who proved to be it, and what the shard keeps stays within its limits.

use super::toy::Toy;
use super::{IDENTITY, KEY, Side, connect, settings};
use crate::script::Script;
use core::time::Duration;
use lightship_dtls::{Alert, Association, Cid, Credential as Own, Path};
use lightship_platform::Instant;
use lightship_platform::crypto::Secret;
use lightship_server::{
    Answer, Ask, Config, Credential, CredentialEnd, Endpoint, Endpoints, Event, Presented, Principal,
    Registrations, Security, SecurityEvent, SessionInfo, Shard, Whose,
};
use std::net::SocketAddr;
use std::sync::Arc;

/// What strangers may make a shard keep; the limits under test.
const SESSIONS_MAX: usize = 3;
const HANDSHAKES_MAX: usize = 3;
const UNDER_WAY_MAX: usize = 48;

struct Play {
    now: Instant,
    shard: Shard,
    config: Config,
    devices: Vec<Side>,
    credential: Own,
    /// Where each device is now.
    ports: [u16; 3],
    /// From or to which port, whether to the shard, and what.
    under_way: Vec<(u16, bool, Vec<u8>)>,
    asked: Vec<(Ask, Presented)>,
    answers: bool,
}

fn address(port: u16) -> SocketAddr {
    SocketAddr::from(([127, 0, 0, 1], port))
}

/// Two bytes choose the settings; then come steps.
pub(crate) fn secured(data: &[u8]) {
    let mut script = Script(data);
    let (suite, more) = (script.byte().unwrap_or(0), script.byte().unwrap_or(0));
    let (client_config, server_config, credential) = settings(suite, more);
    let mut security = Security::new(Arc::new(Toy));
    security.dtls = Arc::new(server_config);
    security.limits.sessions = SESSIONS_MAX;
    security.limits.handshakes = HANDSHAKES_MAX;
    security.limits.resumptions = SESSIONS_MAX;
    let config = Config { security: Some(security), ..Config::default() };
    let mut play = Play {
        now: Instant::from_secs(100_000),
        shard: Shard::new(config.clone(), [7; 32]),
        config,
        devices: (1..4).map(|seed| Side::new(client_config.clone(), seed)).collect(),
        credential,
        ports: [5001, 5002, 5003],
        under_way: Vec::new(),
        asked: Vec::new(),
        answers: more & 128 == 0,
    };
    while let Some(step) = script.byte() {
        play.step(step, &mut script);
        play.collect();
        play.check();
    }
    play.finish();
}

impl Play {
    fn step(&mut self, step: u8, script: &mut Script<'_>) {
        let argument = usize::from(step >> 4);
        let device = argument % 3;
        match step & 15 {
            0 => self.connect(device),
            1 | 2 => self.deliver(0),
            3 => (0..8).for_each(|_| {
                self.deliver(0);
                self.collect();
            }),
            4 => self.deliver(argument),
            5 if argument < self.under_way.len() => drop(self.under_way.remove(argument)),
            6 if self.under_way.len() < UNDER_WAY_MAX => {
                // Again, from another port: as a forwarder would, or a NAT.
                if let Some((_, to_shard, copy)) = self.under_way.get(argument).cloned() {
                    self.under_way.push((6000 + u16::from(script.byte().unwrap_or(0)), to_shard, copy));
                }
            }
            7 => {
                let (place, value) = (script.byte().unwrap_or(0), script.byte().unwrap_or(0));
                if let Some((_, _, datagram)) = self.under_way.first_mut() {
                    let len = datagram.len();
                    datagram[(usize::from(place) + argument * 256) % len] = value;
                }
            }
            8 => self.register(device, script.byte().unwrap_or(0)),
            9 => {
                // The device's NAT forgets it.
                self.ports[device] = 5001 + u16::from(script.byte().unwrap_or(0));
            }
            10 => {
                let mut datagram = script.piece().unwrap_or_default().to_vec();
                let from = address(5001 + u16::try_from(argument).unwrap_or(0));
                self.shard.handle_secured_input(self.now, from, &mut datagram);
            }
            11 => self.pass(Duration::from_millis(u64::from(script.byte().unwrap_or(0)) * 200)),
            12 => self.answer(argument),
            13 => self.end(argument),
            14 if argument == 0 => self.restart(),
            14 => {
                // Anything at all, as CoAP inside of a session.
                if let Some(record) = self.devices[device].seal(self.now, script.piece().unwrap_or_default())
                {
                    self.send(self.ports[device], true, record);
                }
            }
            _ => self.answers = argument & 1 == 0,
        }
    }

    fn connect(&mut self, device: usize) {
        let resume = self.devices[device].resumption.clone();
        let side = &mut self.devices[device];
        connect(side, self.now, self.credential.clone(), Cid::EMPTY, resume);
    }

    /// A Register under the name of its identity, or of somebody else.
    fn register(&mut self, device: usize, how: u8) {
        let name: &[u8] = if how & 1 == 0 { IDENTITY } else { b"somebody1" };
        let mut message = vec![0x41, 0x02, how, 0x34, 0x01, 0xb2];
        message.extend(b"rd\x11\x28\x3c");
        message.extend(b"ep=");
        message.extend(name);
        message.extend(b"\x06lt=600\x09lwm2m=1.1\xff</3/0>");
        if let Some(record) = self.devices[device].seal(self.now, &message) {
            self.send(self.ports[device], true, record);
        }
    }

    fn send(&mut self, port: u16, to_shard: bool, datagram: Vec<u8>) {
        if self.under_way.len() < UNDER_WAY_MAX {
            self.under_way.push((port, to_shard, datagram));
        }
    }

    fn deliver(&mut self, index: usize) {
        if index >= self.under_way.len() {
            return;
        }
        let (port, to_shard, mut datagram) = self.under_way.remove(index);
        if to_shard {
            self.shard.handle_secured_input(self.now, address(port), &mut datagram);
        } else if let Some(device) = self.ports.iter().position(|at| *at == port) {
            self.devices[device].receive(self.now, Path::Current, &mut datagram);
        }
    }

    fn collect(&mut self) {
        for device in 0..self.devices.len() {
            for datagram in self.devices[device].drain(self.now, true) {
                self.send(self.ports[device], true, datagram);
            }
        }
        let mut out = [0; 2048];
        loop {
            let mut quiet = true;
            while let Some(transmit) = self.shard.poll_transmit(&mut out) {
                assert!(transmit.secured, "nothing leaves without security");
                self.send(transmit.to.port(), false, out[..transmit.len].to_vec());
                quiet = false;
            }
            while let Some(event) = self.shard.poll_event() {
                self.heed(event);
                quiet = false;
            }
            if quiet {
                return;
            }
            if self.answers {
                self.answer(0);
            }
        }
    }

    fn heed(&mut self, event: Event) {
        match event {
            Event::Security(SecurityEvent::AskCredential { ask, presented, .. }) => {
                self.asked.push((ask, presented));
            }
            Event::AskRegister { ask, registration } => {
                let session = registration.session.expect("it came by a session");
                let may = match &session.party.endpoints {
                    Endpoints::One(endpoint) => *endpoint == registration.details.endpoint,
                    _ => true,
                };
                assert!(may, "nobody registers as somebody else");
                self.shard.answer(self.now, ask, Answer::Accept { observations: Vec::new() });
            }
            Event::AskDurable { ask, .. } | Event::Notified { ask: Some(ask), .. } => {
                self.shard.answer(self.now, ask, Answer::Stored)
            }
            _ => {}
        }
    }

    fn answer(&mut self, how: usize) {
        for (ask, presented) in std::mem::take(&mut self.asked) {
            let name = core::str::from_utf8(IDENTITY).ok().and_then(|name| name.parse().ok());
            let endpoints = Endpoints::One(name.expect("a name of a device"));
            let refused = || Credential::Refused { alert: Alert::ACCESS_DENIED, reason: "no".into() };
            let credential = match (how, presented) {
                (1, _) => refused(),
                (2, _) => Credential::Psk { key: Secret::new(b"another"), endpoints },
                (3, _) => Credential::Resumed { endpoints },
                (_, Presented::PskIdentity(identity)) if *identity == *IDENTITY => {
                    Credential::Psk { key: Secret::new(KEY), endpoints }
                }
                (_, Presented::RawPublicKey { .. }) => Credential::RawPublicKey { endpoints },
                (_, Presented::Certificates(_)) => {
                    Credential::Certificate { common_name: None, names: Box::default(), endpoints }
                }
                (_, Presented::Resumed(Principal::Psk(_))) => {
                    Credential::Psk { key: Secret::new(KEY), endpoints }
                }
                (_, Presented::Resumed(_)) => Credential::Resumed { endpoints },
                _ => refused(),
            };
            self.shard.answer(self.now, ask, Answer::Credential(credential));
        }
    }

    fn end(&mut self, how: usize) {
        let name = core::str::from_utf8(IDENTITY).ok().and_then(|name| name.parse().ok());
        let whose = [if how & 1 == 0 { Whose::All } else { Whose::Endpoint(name.expect("a name")) }];
        let registrations = if how & 2 == 0 { Registrations::Keep } else { Registrations::End };
        self.shard.end_sessions(self.now, &whose, CredentialEnd::Changed, registrations);
        assert_eq!(self.shard.sessions().count(), 0, "all of them end at once");
    }

    /// An orderly restart: another shard goes on with what this one was.
    fn restart(&mut self) {
        let fresh = Shard::new(self.config.clone(), [9; 32]);
        let old = std::mem::replace(&mut self.shard, fresh);
        let frozen = old.freeze(self.now);
        self.shard.thaw(self.now, Duration::ZERO, frozen).expect("it fits");
        self.asked.clear();
    }

    fn pass(&mut self, time: Duration) {
        self.now += time;
        self.shard.handle_timeout(self.now);
        assert!(self.shard.poll_timeout().is_none_or(|at| at > self.now), "what was due is done");
        for side in &mut self.devices {
            let mut host = Side::host(self.now, &mut side.rng, &side.config);
            if let Some(association) = &mut side.association {
                association.handle_timeout(&mut host);
            }
        }
    }

    fn check(&self) {
        let stats = self.shard.stats();
        let is_at_most = |count: u64, most: usize| usize::try_from(count).is_ok_and(|count| count <= most);
        assert!(is_at_most(stats.security.sessions, SESSIONS_MAX), "{stats:?}");
        assert!(is_at_most(stats.security.handshakes, HANDSHAKES_MAX), "{stats:?}");
        assert!(is_at_most(stats.security.resumptions, SESSIONS_MAX), "{stats:?}");
        assert!(stats.registrations <= 1, "there is one identity, and one name that it may have");
        let sessions: Vec<_> = self.shard.sessions().collect();
        assert_eq!(stats.security.sessions, sessions.len() as u64);
        for registration in self.shard.registrations() {
            assert!(registration.party.is_some(), "made under security, it stays so");
            let Some(session) = registration.session else { continue };
            assert_eq!(registration.address, session.address);
            let is_its = |(other, of): &(SessionInfo, Option<Endpoint>)| {
                other.id == session.id && of.as_ref() == Some(&registration.details.endpoint)
            };
            assert!(sessions.iter().any(is_its), "session and registration name each other");
        }
    }

    /// After all that an honest device still gets in.
    fn finish(&mut self) {
        self.answers = true;
        self.answer(0);
        self.under_way.clear();
        // Time for the budgets to fill up again, and for handshakes that nobody goes on with to end.
        (0..30).for_each(|_| {
            self.pass(Duration::from_secs(60));
            self.collect();
        });
        self.under_way.clear();
        self.devices.truncate(1);
        self.devices[0].resumption = None;
        self.ports = [4000, 1, 2];
        self.connect(0);
        for _ in 0..200 {
            self.collect();
            if self.devices[0].is_established() {
                break;
            }
            if self.under_way.is_empty() {
                self.pass(Duration::from_secs(1));
            }
            self.deliver(0);
        }
        assert!(self.devices[0].association.as_ref().is_some_and(Association::is_established), "a way in");
        self.register(0, 0);
        for _ in 0..20 {
            self.collect();
            self.deliver(0);
        }
        assert_eq!(self.shard.stats().registrations, 1, "and it registers");
        self.check();
    }
}
