//! A handshake, and between client and server somebody who loses, repeats, reorders, changes and invents: whoever ends up
//! established shares keys with the other, and nobody is led on for ever.

use super::{Side, connect, settings};
use crate::script::Script;
use lightship_dtls::cookie::{Cookies, Verdict};
use lightship_dtls::{Association, Cid, Credential, Path, Resumption};
use lightship_platform::Instant;

const UNDER_WAY_MAX: usize = 64;

struct Play {
    now: Instant,
    client: Side,
    server: Side,
    cookies: Cookies,
    credential: Credential,
    own_cid: Cid,
    /// Whether it goes to the server, and what.
    under_way: Vec<(bool, Vec<u8>)>,
    /// Whether questions are answered when they come.
    answers: bool,
}

/// Three bytes choose the settings; then come steps.
pub(crate) fn handshake(data: &[u8]) {
    let mut script = Script(data);
    let (suite, more) = (script.byte().unwrap_or(0), script.byte().unwrap_or(0));
    let cids = script.byte().unwrap_or(0);
    let (client_config, server_config, credential) = settings(suite, more);
    let now = Instant::from_secs(10);
    let mut server = Side::new(server_config, 2);
    let mut play = Play {
        now,
        client: Side::new(client_config, 1),
        cookies: Cookies::new(now, &mut server.rng),
        server,
        credential,
        own_cid: Cid::new(&b"device"[..usize::from(cids & 3) * 2]).expect("short"),
        under_way: Vec::new(),
        answers: cids & 4 == 0,
    };
    play.begin(None);
    while let Some(step) = script.byte() {
        play.step(step, &mut script);
        play.collect();
    }
    play.finish();
}

impl Play {
    fn begin(&mut self, resume: Option<Resumption>) {
        connect(&mut self.client, self.now, self.credential.clone(), self.own_cid, resume);
        self.collect();
    }

    fn step(&mut self, step: u8, script: &mut Script<'_>) {
        let argument = usize::from(step >> 4);
        match step & 15 {
            0..=3 => self.deliver(0),
            4 => self.deliver(argument),
            5 if self.under_way.len() < UNDER_WAY_MAX => {
                if let Some(copy) = self.under_way.get(argument).cloned() {
                    self.under_way.push(copy);
                }
            }
            6 if argument < self.under_way.len() => drop(self.under_way.remove(argument)),
            7 | 8 => {
                let (place, value) = (script.byte(), script.byte());
                let place = usize::from(place.unwrap_or(0)) + argument * 256;
                if let Some((_, datagram)) = self.under_way.first_mut() {
                    let len = datagram.len();
                    datagram[place % len] = value.unwrap_or(0);
                }
            }
            9 => {
                if let Some((_, datagram)) = self.under_way.first_mut() {
                    datagram.truncate(1 + usize::from(script.byte().unwrap_or(0)));
                }
            }
            10 => drop(self.wait()),
            11 => self.invent(argument, script),
            12 => {
                let side = if argument & 1 == 0 { &mut self.client } else { &mut self.server };
                side.answer(self.now, (argument >> 1).try_into().unwrap_or(0));
            }
            13 => {
                let datagram = script.piece().unwrap_or_default().to_vec();
                if self.under_way.len() < UNDER_WAY_MAX && !datagram.is_empty() {
                    self.under_way.push((argument & 1 == 0, datagram));
                }
            }
            // The client begins anew, with what it has to resume.
            14 if self.client.is_established() || argument == 15 => {
                let resume = self.client.resumption.clone();
                self.server.association = None;
                self.under_way.clear();
                self.begin(resume);
            }
            _ => self.answers = argument & 1 == 0,
        }
    }

    /// A handshake record with a body of the script's.
    fn invent(&mut self, argument: usize, script: &mut Script<'_>) {
        let kind = script.byte().unwrap_or(0) % 24;
        let message = script.byte().unwrap_or(0);
        let body = script.piece().unwrap_or_default();
        let body = &body[..body.len().min(1000)];
        let [_, a, b, c] = u32::try_from(body.len()).unwrap_or(0).to_be_bytes();
        let [d, e] = u16::try_from(body.len() + 12).unwrap_or(0).to_be_bytes();
        let content_type = [22, 22, 22, 20, 21, 23, 25, 27][argument >> 1 & 7];
        let head = [content_type, 0xfe, 0xfd, 0, 0, 0, 0, 0, 0, 1, message, d, e];
        let header = [kind, a, b, c, 0, message, 0, 0, 0, a, b, c];
        if self.under_way.len() < UNDER_WAY_MAX {
            self.under_way.insert(0, (argument & 1 == 0, [&head[..], &header, body].concat()));
        }
    }

    fn deliver(&mut self, index: usize) {
        if index >= self.under_way.len() {
            return;
        }
        let (to_server, mut datagram) = self.under_way.remove(index);
        if !to_server {
            self.client.receive(self.now, Path::Current, &mut datagram);
        } else if self.server.association.is_some() {
            self.server.receive(self.now, Path::Current, &mut datagram);
        } else {
            let mut out = [0; 512];
            let mut host = Side::host(self.now, &mut self.server.rng, &self.server.config);
            match self.cookies.judge(&mut host, b"from", &datagram, &mut out) {
                Verdict::Answer(len) => {
                    assert!(len <= datagram.len(), "a stranger is not sent more than he sent");
                    self.under_way.push((false, out[..len].to_vec()));
                }
                Verdict::Proven(hello) => {
                    let cid = Cid::new(b"server").expect("short");
                    let made = Association::accept(&mut host, hello, cid, b"a session's ID");
                    self.server.association = Some(made);
                    self.server.facts = None;
                    self.server.asked.clear();
                }
                _ => {}
            }
        }
    }

    fn collect(&mut self) {
        for (side, to_server) in [(&mut self.client, true), (&mut self.server, false)] {
            for datagram in side.drain(self.now, self.answers) {
                if self.under_way.len() < UNDER_WAY_MAX {
                    self.under_way.push((to_server, datagram));
                }
            }
        }
    }

    /// Lets the time pass until something happens; says whether anything does.
    fn wait(&mut self) -> bool {
        let next = [&self.client, &self.server]
            .into_iter()
            .filter_map(|side| side.association.as_ref()?.poll_timeout())
            .min();
        let Some(next) = next else { return false };
        self.now = self.now.max(next);
        for side in [&mut self.client, &mut self.server] {
            let mut host = Side::host(self.now, &mut side.rng, &side.config);
            if let Some(association) = &mut side.association {
                association.handle_timeout(&mut host);
                let later = association.poll_timeout().is_none_or(|at| at > self.now);
                assert!(later, "what was due is done");
            }
        }
        self.collect();
        true
    }

    /// Plays on without further mischief until nothing is left to happen.
    fn finish(&mut self) {
        self.answers = true;
        for _ in 0..2000 {
            self.collect();
            if !self.under_way.is_empty() {
                self.deliver(0);
            } else if !self.wait() {
                return self.judge();
            }
        }
        panic!("it never ends");
    }

    /// Who are both established have agreed on everything and understand each other.
    fn judge(&mut self) {
        if !(self.client.is_established() && self.server.is_established()) {
            return;
        }
        let (Some(ours), Some(theirs)) = (&self.client.facts, &self.server.facts) else {
            panic!("an end without facts")
        };
        assert_eq!(
            (ours.suite, ours.resumed, ours.own_cid, ours.peer_cid, ours.return_routability),
            (theirs.suite, theirs.resumed, theirs.peer_cid, theirs.own_cid, theirs.return_routability)
        );
        assert_eq!(ours.extended_master_secret, theirs.extended_master_secret);
        let (up, down) = (self.client.seal(self.now, b"up"), self.server.seal(self.now, b"down"));
        self.server.receive(self.now, Path::Current, &mut up.expect("fresh keys"));
        self.client.receive(self.now, Path::Current, &mut down.expect("fresh keys"));
        assert_eq!(self.server.received.last().map(Vec::as_slice), Some(&b"up"[..]));
        assert_eq!(self.client.received.last().map(Vec::as_slice), Some(&b"down"[..]));
    }
}
