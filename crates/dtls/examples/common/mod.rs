//! What both examples need: flags, settings, a clock and randomness.

use std::cell::RefCell;
use std::collections::HashMap;
use std::fs;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use lightship_dtls::{
    Answer, Association, CertificateType, Cid, Config, Event, Host, OwnKey, Path, Presented, Record,
    Resumption, Suite, TicketKey, TicketKeys,
};
use lightship_platform::crypto::{Crypto, RustCrypto, Secret, SigningKey};
use lightship_platform::{Instant, SeededRng};

/// What stands on the command line.
pub(crate) struct Flags {
    pub(crate) address: SocketAddr,
    pub(crate) psk_identity: Vec<u8>,
    pub(crate) psk_key: Option<Secret>,
    pub(crate) key: Option<Arc<dyn SigningKey>>,
    pub(crate) chain: Vec<Vec<u8>>,
    pub(crate) cid: Option<Vec<u8>>,
    pub(crate) server_name: Option<String>,
    pub(crate) count: u32,
    /// Whether a client connects once more, with what the first session left.
    pub(crate) again: bool,
    pub(crate) config: Config,
    /// Sessions that can be resumed by their IDs.
    pub(crate) sessions: RefCell<HashMap<Box<[u8]>, Resumption>>,
}

const USAGE: &str = "ADDRESS [--psk-identity TEXT] [--psk-key-hex HEX] [--key FILE.der [--cert FILE.der]...] \
    [--suite NAME]... [--cid HEX] [--no-cid] [--tickets] [--again] [--server-name NAME] [--count N] [--datagram N] [--size-limit N] [--fragment N]\n\
    --key without --cert means a raw public key; --suite takes the name or number in the IANA registry.";

impl Flags {
    pub(crate) fn read() -> Result<Self, String> {
        let mut words = std::env::args().skip(1);
        let address = words.next().and_then(|word| word.parse().ok()).ok_or(USAGE)?;
        let mut flags = Self {
            address,
            psk_identity: b"Client_identity".to_vec(),
            psk_key: None,
            key: None,
            chain: Vec::new(),
            cid: None,
            server_name: None,
            count: 1,
            again: false,
            config: Config::default(),
            sessions: RefCell::default(),
        };
        let mut suites = Vec::new();
        while let Some(flag) = words.next() {
            match flag.as_str() {
                "--no-cid" => flags.config.connection_id = false,
                "--again" => flags.again = true,
                "--tickets" => flags.config.ticket_keys = Some(ticket_keys()?),
                _ => {}
            }
            if ["--no-cid", "--again", "--tickets"].contains(&flag.as_str()) {
                continue;
            }
            let value = words.next().ok_or(USAGE)?;
            let number = || value.parse::<u16>().map_err(|_| format!("{flag} takes a number"));
            match flag.as_str() {
                "--psk-identity" => flags.psk_identity = value.into_bytes(),
                "--psk-key-hex" => flags.psk_key = Some(Secret::new(&hex(&value)?)),
                "--key" => {
                    let key = RustCrypto
                        .signing_key(&read(&value)?)
                        .map_err(|error| format!("{value}: {error}"))?;
                    flags.key = Some(key.into());
                }
                "--cert" => flags.chain.push(read(&value)?),
                "--suite" => suites.push(suite(&value)?),
                "--cid" => flags.cid = Some(hex(&value)?),
                "--server-name" => flags.server_name = Some(value),
                "--count" => flags.count = number()?.into(),
                "--datagram" => flags.config.datagram_len_max = number()?.into(),
                "--size-limit" => flags.config.record_size_limit = Some(number()?),
                "--fragment" => flags.config.max_fragment_len = Some(number()?),
                _ => return Err(USAGE.into()),
            }
        }
        if !suites.is_empty() {
            flags.config.suites = suites;
        }
        if let Some(key) = &flags.key {
            let own_key = OwnKey { names: Vec::new(), key: key.clone(), chain: flags.chain.clone() };
            flags.config.keys.push(own_key);
        }
        Ok(flags)
    }

    /// The connection ID that the peer shall use; of a server, what comes behind the client's number.
    pub(crate) fn own_cid(&self) -> Cid {
        self.cid.as_deref().and_then(Cid::new).unwrap_or(Cid::EMPTY)
    }

    /// What is said to what a peer presents: keys and certificates are merely told, this is an example.
    pub(crate) fn judge(&self, presented: &Presented) -> Answer {
        let note = Box::default();
        match presented {
            Presented::PskIdentity(identity) => {
                eprintln!("identity {}", String::from_utf8_lossy(identity));
                match &self.psk_key {
                    Some(key) if **identity == *self.psk_identity => Answer::Psk { key: key.clone(), note },
                    _ => Answer::Refuse(lightship_dtls::Alert::UNKNOWN_PSK_IDENTITY),
                }
            }
            Presented::RawPublicKey(key) => {
                eprintln!("raw public key of {} bytes", key.len());
                Answer::Accept { note }
            }
            Presented::Certificates(chain) => {
                eprintln!("{} certificates", chain.len());
                Answer::Accept { note }
            }
            Presented::SessionId(id) => Answer::Resume(self.sessions.borrow().get(id).cloned()),
            _ => Answer::Accept { note },
        }
    }
}

/// The world around the associations.
pub(crate) struct World {
    pub(crate) rng: SeededRng,
}

impl World {
    pub(crate) fn new() -> Result<Self, String> {
        let mut seed = [0; 32];
        getrandom::fill(&mut seed).map_err(|error| error.to_string())?;
        Ok(Self { rng: SeededRng::new(seed) })
    }

    pub(crate) fn host<'a>(&'a mut self, config: &'a Config) -> Host<'a> {
        let since = std::time::UNIX_EPOCH.elapsed().unwrap_or_default();
        let us = u64::try_from(since.as_micros()).unwrap_or(u64::MAX);
        Host { now: Instant::from_micros(us), crypto: &RustCrypto, rng: &mut self.rng, config }
    }
}

/// Lets an association say what it has to say; `send` takes datagrams, `happen` events that are no questions.
pub(crate) fn drain(
    association: &mut Association,
    host: &mut Host<'_>,
    flags: &Flags,
    mut send: impl FnMut(&[u8]),
    mut happen: impl FnMut(Event),
) {
    let mut out = [0; 2048];
    loop {
        let mut is_quiet = true;
        while let Some(transmit) = association.poll_transmit(host, &mut out) {
            send(&out[..transmit.len]);
            is_quiet = false;
        }
        while let Some(event) = association.poll_event() {
            match event {
                Event::Ask(presented) => association.answer(host, flags.judge(&presented)),
                Event::Resumable(resumption) => {
                    let id = resumption.session_id.clone();
                    flags.sessions.borrow_mut().insert(id, resumption);
                }
                event => happen(event),
            }
            is_quiet = false;
        }
        if is_quiet {
            return;
        }
    }
}

/// Takes a datagram and returns what data came in it.
pub(crate) fn receive(
    association: &mut Association,
    host: &mut Host<'_>,
    path: Path,
    datagram: &mut [u8],
) -> Vec<Vec<u8>> {
    let mut data = Vec::new();
    let mut at = 0;
    while let Some(record) = association.handle_record(host, path, datagram, &mut at) {
        match record {
            Record::Data { range, .. } => data.push(datagram[range].to_vec()),
            Record::Dropped(reason) => eprintln!("dropped: {reason:?}"),
            _ => {}
        }
    }
    data
}

/// Makes a record of data.
pub(crate) fn seal(
    association: &mut Association,
    host: &mut Host<'_>,
    data: &[u8],
) -> Result<Vec<u8>, String> {
    let start = association.headroom();
    let mut buffer = vec![0; start + data.len() + 64];
    buffer[start..start + data.len()].copy_from_slice(data);
    let len = association.seal(host, &mut buffer, data.len()).map_err(|error| error.to_string())?;
    buffer.truncate(len);
    Ok(buffer)
}

/// Tells what was agreed upon.
pub(crate) fn tell(event: &Event) {
    match event {
        Event::Established(facts) => {
            let kind = match facts.peer_certificate_type {
                None => "none",
                Some(CertificateType::X509) => "X.509",
                Some(CertificateType::RawPublicKey) => "raw public key",
            };
            println!(
                "established {} resumed={} certificate={kind} own_cid={:?} peer_cid={:?} ems={}",
                facts.suite.name(),
                facts.resumed,
                facts.own_cid,
                facts.peer_cid,
                facts.extended_master_secret
            );
        }
        Event::Failed(failure) => println!("failed: {failure:?}"),
        Event::Closed(alert) => println!("closed: {alert}"),
        event => eprintln!("{event:?}"),
    }
}

/// How long to wait for a datagram.
pub(crate) fn patience(now: Instant, next: Option<Instant>) -> Duration {
    let wait = next.map_or(Duration::from_secs(1), |next| next.saturating_duration_since(now));
    wait.clamp(Duration::from_millis(1), Duration::from_secs(1))
}

/// A key for tickets, good as long as the program runs.
fn ticket_keys() -> Result<Arc<TicketKeys>, String> {
    let mut key = [0; 16];
    getrandom::fill(&mut key).map_err(|error| error.to_string())?;
    let current = TicketKey { name: *b"the only", key: Secret::new(&key), since: Instant::ZERO };
    Ok(Arc::new(TicketKeys { current, previous: None, lifetime: Duration::from_secs(u64::from(u32::MAX)) }))
}

fn read(path: &str) -> Result<Vec<u8>, String> {
    fs::read(path).map_err(|error| format!("{path}: {error}"))
}

fn hex(text: &str) -> Result<Vec<u8>, String> {
    (0..text.len())
        .step_by(2)
        .map(|at| text.get(at..at + 2).and_then(|pair| u8::from_str_radix(pair, 16).ok()))
        .collect::<Option<_>>()
        .ok_or_else(|| format!("'{text}' is not hexadecimal"))
}

fn suite(text: &str) -> Result<Suite, String> {
    let number = text.strip_prefix("0x").and_then(|digits| u16::from_str_radix(digits, 16).ok());
    Suite::ALL
        .into_iter()
        .find(|suite| suite.name() == text || Some(suite.number()) == number)
        .ok_or_else(|| format!("no suite '{text}'"))
}
