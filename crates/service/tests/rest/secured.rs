//! A device made of hand-written CoAP over our own DTLS.

use std::net::{SocketAddr, UdpSocket};
use std::sync::Arc;
use std::time::Duration;

use lightship_dtls::{
    Answer, Association, Cid, Config, Connect, Credential, Event, Facts, Host, Path, Record, Resumption,
};
use lightship_platform::crypto::{Crypto, FastCrypto, Secret};
use lightship_platform::{Instant, SeededRng};
use rcgen::{CertificateParams, DnType, DnValue, Issuer, KeyPair, PKCS_ECDSA_P256_SHA256, SanType};

use super::support::Message;

/// The name by which a device asks for the server.
pub(crate) const NAME: &str = "lwm2m.example";

/// A device with one session; it takes whatever server answers.
pub(crate) struct Secured {
    pub(crate) socket: UdpSocket,
    association: Association,
    config: Config,
    rng: SeededRng,
    server: SocketAddr,
    elapsed_ms: u64,
    pub(crate) facts: Option<Facts>,
    pub(crate) resumption: Option<Resumption>,
    pub(crate) over: Option<String>,
    plain: Vec<Vec<u8>>,
    next_id: u16,
}

impl Secured {
    /// Handshakes, to the end of it.
    pub(crate) fn connect(server: SocketAddr, credential: Credential) -> Secured {
        Secured::connect_with(server, credential, None, Some(NAME))
    }

    pub(crate) fn connect_with(
        server: SocketAddr,
        credential: Credential,
        resume: Option<Resumption>,
        name: Option<&str>,
    ) -> Secured {
        let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
        socket.set_read_timeout(Some(Duration::from_millis(50))).unwrap();
        let config = Config::default();
        let mut seed = [0; 32];
        getrandom::fill(&mut seed).unwrap();
        let mut rng = SeededRng::new(seed);
        let connect =
            Connect { credential, server_name: name.map(str::to_owned), own_cid: Cid::EMPTY, resume };
        let mut host = Host { now: Instant::ZERO, crypto: &FastCrypto, rng: &mut rng, config: &config };
        let association = Association::connect(&mut host, connect);
        let mut device = Secured {
            socket,
            association,
            config,
            rng,
            server,
            elapsed_ms: 0,
            facts: None,
            resumption: None,
            over: None,
            plain: Vec::new(),
            next_id: 1,
        };
        device.drain();
        for _ in 0..200 {
            if device.facts.is_some() || device.over.is_some() {
                break;
            }
            device.hear();
        }
        device
    }

    /// With a shared key.
    pub(crate) fn psk(server: SocketAddr, identity: &[u8], key_hex: &str) -> Secured {
        Secured::connect(server, psk(identity, key_hex))
    }

    /// Sends a request and gives the code of the answer; `None` when none comes.
    pub(crate) fn ask(&mut self, code: u8, path: &[&str], query: &[&str], payload: &[u8]) -> Option<Message> {
        let id = self.next_id;
        self.next_id += 1;
        let paths = path.iter().map(|part| (11, part.as_bytes().to_vec()));
        let format = (!payload.is_empty()).then(|| (12, vec![40]));
        let queries = query.iter().map(|part| (15, part.as_bytes().to_vec()));
        let options = paths.chain(format).chain(queries).collect();
        let token = id.to_be_bytes().to_vec();
        let request = Message { kind: 0, code, id, token, options, payload: payload.to_vec() };
        self.send(&request.bytes());
        for _ in 0..60 {
            self.hear();
            while !self.plain.is_empty() {
                let message = Message::parse(&self.plain.remove(0));
                if message.id == id && message.kind == 2 {
                    return Some(message);
                }
            }
            if self.over.is_some() {
                return None;
            }
        }
        None
    }

    pub(crate) fn register(&mut self, name: &str) -> Option<u8> {
        let ep = format!("ep={name}");
        let query = [ep.as_str(), "lt=300", "lwm2m=1.1"];
        self.ask(2, &["rd"], &query, b"</1/0>,</3/0>").map(|answer| answer.code)
    }

    /// The next request of the server, and this answer to it.
    pub(crate) fn serve(&mut self, answer: impl Fn(&Message) -> Message) -> Option<Message> {
        for _ in 0..60 {
            self.hear();
            if let Some(bytes) = self.plain.pop() {
                let request = Message::parse(&bytes);
                self.send(&answer(&request).bytes());
                return Some(request);
            }
        }
        None
    }

    /// From another port from now on, as behind a NAT that forgot.
    pub(crate) fn rebind(&mut self) {
        self.socket = UdpSocket::bind("127.0.0.1:0").unwrap();
        self.socket.set_read_timeout(Some(Duration::from_millis(50))).unwrap();
    }

    pub(crate) fn send(&mut self, plain: &[u8]) {
        let mut buffer = [0; 2000];
        let headroom = self.association.headroom();
        buffer[headroom..headroom + plain.len()].copy_from_slice(plain);
        let mut host = host(self.elapsed_ms, &mut self.rng, &self.config);
        if let Ok(len) = self.association.seal(&mut host, &mut buffer, plain.len()) {
            self.socket.send_to(&buffer[..len], self.server).unwrap();
        }
        self.drain();
    }

    /// Whether the server says that the session is over, within a second or so.
    pub(crate) fn is_over(&mut self) -> bool {
        for _ in 0..30 {
            if self.over.is_some() {
                return true;
            }
            self.hear();
        }
        false
    }

    fn hear(&mut self) {
        let mut datagram = [0; 2000];
        match self.socket.recv(&mut datagram) {
            Ok(len) => {
                let mut at = 0;
                loop {
                    let mut host = host(self.elapsed_ms, &mut self.rng, &self.config);
                    let datagram = &mut datagram[..len];
                    match self.association.handle_record(&mut host, Path::Current, datagram, &mut at) {
                        Some(Record::Data { range, .. }) => self.plain.push(datagram[range].to_vec()),
                        Some(_) => {}
                        None => break,
                    }
                }
            }
            Err(_) => {
                self.elapsed_ms += 50;
                let mut host = host(self.elapsed_ms, &mut self.rng, &self.config);
                self.association.handle_timeout(&mut host);
            }
        }
        self.drain();
    }

    fn drain(&mut self) {
        loop {
            let mut idle = true;
            let mut buffer = [0; 2000];
            let mut host = host(self.elapsed_ms, &mut self.rng, &self.config);
            while let Some(transmit) = self.association.poll_transmit(&mut host, &mut buffer) {
                self.socket.send_to(&buffer[..transmit.len], self.server).unwrap();
                idle = false;
            }
            while let Some(event) = self.association.poll_event() {
                idle = false;
                match event {
                    Event::Ask(_) => {
                        self.association.answer(&mut host, Answer::Accept { note: Box::default() })
                    }
                    Event::Established(facts) => self.facts = Some(facts),
                    Event::Resumable(resumption) => self.resumption = Some(resumption),
                    Event::Failed(failure) => self.over = Some(format!("{failure:?}")),
                    Event::Closed(alert) => self.over = Some(alert.to_string()),
                    Event::Moved | Event::KeyLog(_) | _ => {}
                }
            }
            if idle {
                return;
            }
        }
    }
}

fn host<'a>(elapsed_ms: u64, rng: &'a mut SeededRng, config: &'a Config) -> Host<'a> {
    Host { now: Instant::ZERO + Duration::from_millis(elapsed_ms), crypto: &FastCrypto, rng, config }
}

pub(crate) fn psk(identity: &[u8], key_hex: &str) -> Credential {
    let digits = key_hex.as_bytes().chunks(2);
    let key: Vec<u8> =
        digits.map(|pair| u8::from_str_radix(std::str::from_utf8(pair).unwrap(), 16).unwrap()).collect();
    Credential::Psk { identity: identity.into(), key: Secret::new(&key) }
}

/// A key pair, and who vouches for it.
pub(crate) struct Identity {
    pub(crate) key: KeyPair,
    pub(crate) certificate: rcgen::Certificate,
    params: CertificateParams,
}

impl Identity {
    /// An authority.
    pub(crate) fn authority(name: &str) -> Identity {
        let mut params = named(name);
        params.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
        params.key_usages = vec![rcgen::KeyUsagePurpose::KeyCertSign];
        let key = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256).unwrap();
        let certificate = params.self_signed(&key).unwrap();
        Identity { key, certificate, params }
    }

    /// An authority that another one vouches for.
    pub(crate) fn below(authority: &Identity, name: &str) -> Identity {
        Identity::of(authority, name, |params| {
            params.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Constrained(0));
            params.key_usages = vec![rcgen::KeyUsagePurpose::KeyCertSign];
        })
    }

    /// A device or server that the authority vouches for.
    pub(crate) fn of(
        authority: &Identity,
        name: &str,
        change: impl FnOnce(&mut CertificateParams),
    ) -> Identity {
        let mut params = named(name);
        change(&mut params);
        let key = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256).unwrap();
        let issuer = Issuer::from_params(&authority.params, &authority.key);
        let certificate = params.signed_by(&key, &issuer).unwrap();
        Identity { key, certificate, params }
    }

    pub(crate) fn public_key_pem(&self) -> String {
        self.key.public_key_pem()
    }

    pub(crate) fn raw(&self) -> Credential {
        Credential::RawPublicKey { key: self.signing() }
    }

    pub(crate) fn x509(&self) -> Credential {
        Credential::Certificates { key: self.signing(), chain: vec![self.certificate.der().to_vec()] }
    }

    fn signing(&self) -> Arc<dyn lightship_platform::crypto::SigningKey> {
        FastCrypto.signing_key(&self.key.serialize_der()).unwrap().into()
    }
}

fn named(name: &str) -> CertificateParams {
    let mut params = CertificateParams::default();
    params.distinguished_name = rcgen::DistinguishedName::new();
    if !name.is_empty() {
        params.distinguished_name.push(DnType::CommonName, DnValue::Utf8String(name.to_owned()));
    }
    params
}

/// A URI of a certificate's subject.
pub(crate) fn uri(text: &str) -> SanType {
    SanType::URI(text.try_into().unwrap())
}
