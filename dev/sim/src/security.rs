//! Who the secured devices and servers are: most devices have a pre-shared key, some a raw public key, one has certificates.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use lightship_client::crypto::{Crypto, Secret as Key, Sha256};
use lightship_client::dtls::certificate::{Anchors, verify_client};
use lightship_client::dtls::{Alert, Config, OwnKey, TicketKey, TicketKeys};
use lightship_client::{Account, Array, ResourceInstanceId, Secret, SecureTransport, SecurityMode};
use lightship_lwm2m::Endpoint;
use lightship_platform::crypto::RustCrypto;
use lightship_platform::{Instant, SeededRng};
use lightship_server::{Ask, Credential, Endpoints, Presented, Principal, Security, SecurityEvent};

const AUTHORITY: &[u8] = include_bytes!("security/authority.der");
const SERVER: &[u8] = include_bytes!("security/server.der");
const SERVER_KEY: &[u8] = include_bytes!("security/server.key.der");
const DEVICE: &[u8] = include_bytes!("security/device.der");
const DEVICE_KEY: &[u8] = include_bytes!("security/device.key.der");
/// TLS_PSK_WITH_AES_128_CCM_8: curves take their time in a build that is not optimised.
const SUITE: u16 = 0xc0a8;

/// How devices and servers talk.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Transport {
    /// In the clear.
    Plain,
    /// Over DTLS.
    Secured {
        /// Servers give connection IDs.
        cid: bool,
        /// Servers remember ended sessions, and give tickets that outlive themselves.
        resumption: bool,
    },
}

impl Transport {
    /// Whether datagrams are protected.
    #[must_use]
    pub fn is_secured(self) -> bool {
        self != Self::Plain
    }

    /// What a server's configuration says of it.
    #[must_use]
    pub fn of_servers(self) -> Option<Security> {
        let Self::Secured { cid, resumption } = self else { return None };
        let key = RustCrypto.signing_key(SERVER_KEY).expect("a key");
        let current = TicketKey { name: *b"simulate", key: Key::new(&[7; 16]), since: Instant::ZERO };
        let tickets = TicketKeys { current, previous: None, lifetime: Duration::from_secs(86_400) };
        let dtls = Config {
            keys: vec![OwnKey { names: Vec::new(), key: key.into(), chain: vec![SERVER.to_vec()] }],
            connection_id: cid,
            ticket_keys: resumption.then(|| Arc::new(tickets)),
            ..Config::default()
        };
        let mut security = Security::new(Arc::new(RustCrypto));
        security.dtls = Arc::new(dtls);
        if !resumption {
            security.limits.resumptions = 0;
        }
        Some(security)
    }
}

/// What a device has.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Kind {
    Psk,
    RawPublicKey,
    Certificate,
}

/// One device in sixteen has a raw public key, and the seventh certificates.
fn kind(device: usize) -> Kind {
    match device {
        6 => Kind::Certificate,
        _ if device % 16 == 3 => Kind::RawPublicKey,
        _ => Kind::Psk,
    }
}

fn raw_key(device: usize) -> [u8; 32] {
    let mut key = [5; 32];
    key[..8].copy_from_slice(&(device as u64 + 1).to_be_bytes());
    key
}

/// The key of a device with a pre-shared one.
#[must_use]
pub fn shared_key(name: &str) -> [u8; 32] {
    let mut hash = Sha256::new();
    hash.update(name.as_bytes());
    hash.finish()
}

fn secret(bytes: &[u8]) -> Secret {
    Secret::new(bytes).expect("short")
}

/// Puts a device's credentials into an account, whose URI has to be one of coaps.
///
/// # Panics
/// When the server's own key is none.
pub fn furnish(account: &mut Account, device: usize, name: &str) {
    let security = &mut account.security;
    match kind(device) {
        Kind::Psk => furnish_psk(account, name),
        Kind::RawPublicKey => {
            let server = RustCrypto.signing_key(SERVER_KEY).expect("a key");
            security.mode = SecurityMode::RawPublicKey;
            security.key = secret(&raw_key(device));
            security.server_key = secret(server.public_key());
        }
        Kind::Certificate => {
            security.mode = SecurityMode::Certificate;
            security.identity = secret(DEVICE);
            security.key = secret(DEVICE_KEY);
            security.server_key = secret(AUTHORITY);
            security.certificate_usage = Some(2);
        }
    }
}

/// Puts the pre-shared key of that name into an account.
pub fn furnish_psk(account: &mut Account, name: &str) {
    let mut suites = Array::new();
    let taken = ResourceInstanceId::new(0).map(|first| suites.insert(first, SUITE));
    let security = &mut account.security;
    security.mode = SecurityMode::Psk;
    security.identity = secret(name.as_bytes());
    security.key = secret(&shared_key(name));
    security.ciphersuites = taken.and(Some(suites));
}

/// What a device's engine needs.
#[must_use]
pub fn transport(rng: SeededRng) -> SecureTransport {
    let mut transport = SecureTransport::new(Box::new(RustCrypto), Box::new(rng));
    // So that a handshake on a bad link ends well within a device's patience.
    transport.config.retransmit_first = Duration::from_secs(2);
    transport
}

/// What the servers' hosts know of the devices.
#[derive(Default)]
pub struct Directory {
    keys: HashMap<[u8; 32], Endpoint>,
    certified: Option<Endpoint>,
}

impl Directory {
    /// The devices by their numbers.
    ///
    /// # Panics
    /// When a name is none.
    #[must_use]
    pub fn new(names: impl Iterator<Item = String>) -> Self {
        let mut directory = Self::default();
        for (device, name) in names.enumerate() {
            let endpoint = Endpoint::new(&name).expect("a legal name");
            match kind(device) {
                Kind::Psk => {}
                Kind::RawPublicKey => {
                    let key = RustCrypto.signing_key(&raw_key(device)).expect("a key");
                    let mut hash = Sha256::new();
                    hash.update(key.public_key());
                    directory.keys.insert(hash.finish(), endpoint);
                }
                Kind::Certificate => directory.certified = Some(endpoint),
            }
        }
        directory
    }

    /// Answers what a server asks about credentials.
    #[must_use]
    pub fn answer(&self, event: &SecurityEvent) -> Option<(Ask, Credential)> {
        let SecurityEvent::AskCredential { ask, presented, .. } = event else { return None };
        let credential = self
            .judge(presented)
            .unwrap_or(Credential::Refused { alert: Alert::ACCESS_DENIED, reason: "nobody we know".into() });
        Some((*ask, credential))
    }

    fn judge(&self, presented: &Presented) -> Option<Credential> {
        match presented {
            // A session of a shared key is resumed only with the key of today.
            Presented::PskIdentity(identity) | Presented::Resumed(Principal::Psk(identity)) => {
                let name = std::str::from_utf8(identity).ok()?;
                let endpoints = Endpoints::One(Endpoint::new(name).ok()?);
                Some(Credential::Psk { key: Key::new(&shared_key(name)), endpoints })
            }
            Presented::RawPublicKey { sha256, .. } => {
                let endpoints = Endpoints::One(self.keys.get(sha256)?.clone());
                Some(Credential::RawPublicKey { endpoints })
            }
            Presented::Certificates(chain) => {
                let anchors = Anchors::new([AUTHORITY]).expect("a certificate");
                let names = verify_client(&RustCrypto, chain, &anchors, None).ok()?;
                let common_name = names.common_name.as_deref().map(Into::into);
                let endpoints = Endpoints::One(self.certified.clone()?);
                Some(Credential::Certificate { common_name, names: Box::default(), endpoints })
            }
            Presented::Resumed(principal) => {
                let endpoint = match principal {
                    Principal::RawPublicKey(sha256) => self.keys.get(sha256).cloned(),
                    Principal::Certificate(_) => self.certified.clone(),
                    Principal::Psk(_) | _ => None,
                };
                Some(Credential::Resumed { endpoints: Endpoints::One(endpoint?) })
            }
            _ => None,
        }
    }
}
