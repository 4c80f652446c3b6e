//! DTLS: records of an established association, and handshakes.

pub(crate) mod handshake;
pub(crate) mod record;
pub(crate) mod shard;
pub(crate) mod toy;

use lightship_dtls::{
    Answer, Association, Cid, Config, Connect, Credential, Event, Host, OwnKey, Path, Presented, Record,
    Resumption, Suite, TicketKey, TicketKeys,
};
use lightship_platform::crypto::Secret;
use lightship_platform::{Instant, SeededRng};
use std::sync::Arc;

use toy::{Toy, ToyKey};

const IDENTITY: &[u8] = b"urn:dev:1";
pub(crate) const KEY: &[u8] = b"0123456789abcdef";
const DATAGRAM_LEN_MAX: usize = 2048;

/// One side of an association.
pub(crate) struct Side {
    pub(crate) association: Option<Association>,
    config: Config,
    rng: SeededRng,
    /// What an earlier handshake left to be resumed.
    pub(crate) resumption: Option<Resumption>,
    facts: Option<lightship_dtls::Facts>,
    /// Questions that nobody has answered yet.
    asked: Vec<Presented>,
    pub(crate) received: Vec<Vec<u8>>,
    moved: bool,
}

impl Side {
    pub(crate) fn new(config: Config, seed: u64) -> Self {
        Self {
            association: None,
            config,
            rng: SeededRng::from_number(seed),
            resumption: None,
            facts: None,
            asked: Vec::new(),
            received: Vec::new(),
            moved: false,
        }
    }

    fn host<'a>(now: Instant, rng: &'a mut SeededRng, config: &'a Config) -> Host<'a> {
        Host { now, crypto: &Toy, rng, config }
    }

    /// Hands a datagram in, record by record; tells what became of each.
    pub(crate) fn receive(&mut self, now: Instant, path: Path, datagram: &mut [u8]) -> Vec<Record> {
        let Some(association) = &mut self.association else { return Vec::new() };
        let mut records = Vec::new();
        let mut at = 0;
        loop {
            let before = at;
            let mut host = Self::host(now, &mut self.rng, &self.config);
            let Some(record) = association.handle_record(&mut host, path, datagram, &mut at) else {
                return records;
            };
            assert!(at > before && at <= datagram.len(), "each record takes the datagram further");
            if let Record::Data { range, .. } = &record {
                self.received.push(datagram[range.clone()].to_vec());
            }
            records.push(record);
        }
    }

    /// Takes everything out; questions are kept if `answers` is false. Gives what is to be sent.
    pub(crate) fn drain(&mut self, now: Instant, answers: bool) -> Vec<Vec<u8>> {
        let mut sent = Vec::new();
        let mut out = [0; DATAGRAM_LEN_MAX];
        for _ in 0..64 {
            let Some(association) = &mut self.association else { return sent };
            let mut host = Self::host(now, &mut self.rng, &self.config);
            let mut quiet = true;
            while let Some(transmit) = association.poll_transmit(&mut host, &mut out) {
                assert!(transmit.len <= host.config.datagram_len_max, "a datagram is not too long");
                sent.push(out[..transmit.len].to_vec());
                assert!(sent.len() <= 256, "one input does not lead to a flood");
                quiet = false;
            }
            while let Some(event) = association.poll_event() {
                quiet = false;
                match event {
                    Event::Ask(presented) => self.asked.push(presented),
                    Event::Resumable(resumption) => self.resumption = Some(resumption),
                    Event::Established(facts) => self.facts = Some(facts),
                    Event::Moved => self.moved = true,
                    _ => {}
                }
            }
            assert!(self.asked.len() <= 8, "a side asks one thing at a time");
            if answers {
                quiet &= self.asked.is_empty();
                self.answer(now, 0);
            }
            if quiet {
                return sent;
            }
        }
        panic!("it is never quiet");
    }

    /// Answers everything that was asked; `how` can be a refusal or nonsense.
    fn answer(&mut self, now: Instant, how: u8) {
        for presented in std::mem::take(&mut self.asked) {
            let note: Box<[u8]> = Box::from(*b"note");
            let answer = match (how, presented) {
                (1, _) => Answer::Refuse(lightship_dtls::Alert::ACCESS_DENIED),
                (2, _) => Answer::Resume(None),
                (3, _) => Answer::Psk { key: Secret::new(b"another"), note },
                (_, Presented::PskIdentity(identity)) if *identity == *IDENTITY => {
                    Answer::Psk { key: Secret::new(KEY), note }
                }
                (_, Presented::PskIdentity(_)) => Answer::Refuse(lightship_dtls::Alert::UNKNOWN_PSK_IDENTITY),
                (_, Presented::SessionId(id)) => {
                    let known = self.resumption.as_ref().filter(|known| known.session_id == id);
                    Answer::Resume(known.cloned())
                }
                _ => Answer::Accept { note },
            };
            let mut host = Self::host(now, &mut self.rng, &self.config);
            if let Some(association) = &mut self.association {
                association.answer(&mut host, answer);
            }
        }
    }

    pub(crate) fn is_established(&self) -> bool {
        self.association.as_ref().is_some_and(Association::is_established)
    }

    /// A record with this data.
    pub(crate) fn seal(&mut self, now: Instant, data: &[u8]) -> Option<Vec<u8>> {
        let association = self.association.as_mut()?;
        let mut buffer = vec![0; association.headroom() + data.len() + 64];
        let start = association.headroom();
        buffer[start..start + data.len()].copy_from_slice(data);
        let mut host = Self::host(now, &mut self.rng, &self.config);
        let len = association.seal(&mut host, &mut buffer, data.len()).ok()?;
        buffer.truncate(len);
        Some(buffer)
    }
}

/// The settings of both sides, chosen by two bytes, and what the client proves itself with.
pub(crate) fn settings(suite: u8, more: u8) -> (Config, Config, Credential) {
    let suite = Suite::ALL[usize::from(suite) % Suite::ALL.len()];
    let key = Arc::new(ToyKey::new());
    let is_certificate = more & 1 != 0;
    let chain = if is_certificate { vec![key.certificate()] } else { Vec::new() };
    let mut client = Config {
        suites: vec![suite],
        datagram_len_max: [200, 256, 512, 1200][usize::from(more >> 1 & 3)],
        connection_id: more & 8 == 0,
        record_size_limit: (more & 16 != 0).then_some(200),
        max_fragment_len: (more & 32 != 0).then_some(512),
        message_len_max: 2048,
        ..Config::default()
    };
    let tickets = TicketKeys {
        current: TicketKey { name: [1; 8], key: Secret::new(&[2; 16]), since: Instant::from_secs(1) },
        previous: None,
        lifetime: core::time::Duration::from_secs(3600),
    };
    let server = Config {
        keys: vec![OwnKey { names: Vec::new(), key: key.clone(), chain: chain.clone() }],
        ticket_keys: (more & 64 != 0).then(|| Arc::new(tickets)),
        ..client.clone()
    };
    client.ticket_keys.clone_from(&server.ticket_keys);
    let credential = match suite.key_exchange() {
        lightship_dtls::KeyExchange::EcdheEcdsa if is_certificate => Credential::Certificates { key, chain },
        lightship_dtls::KeyExchange::EcdheEcdsa => Credential::RawPublicKey { key },
        _ => Credential::Psk { identity: IDENTITY.into(), key: Secret::new(KEY) },
    };
    (client, server, credential)
}

pub(crate) fn connect(
    side: &mut Side,
    now: Instant,
    credential: Credential,
    own_cid: Cid,
    resume: Option<Resumption>,
) {
    let mut host = Side::host(now, &mut side.rng, &side.config);
    let connect = Connect { credential, server_name: Some("server.example".to_owned()), own_cid, resume };
    side.association = Some(Association::connect(&mut host, connect));
    side.facts = None;
    side.asked.clear();
}
