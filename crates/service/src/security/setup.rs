//! Setup: from the configuration to what the engines need, with every file read and judged once.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use lightship_api::{CertificateFacts, ServerIdentity, ServerRole};
use lightship_dtls as dtls;
use lightship_dtls::certificate::{self, Anchors, FileFault};
use lightship_platform::crypto::{Crypto, Secret, Sha256};
use lightship_platform::{Instant, Rng};
use lightship_server as engine;

use super::dates::Dates;
use super::encoded::{hex, pem};
use super::judge::Subject;
use super::trusted::Trusted;
use crate::config::{Config, KeyPair};
use crate::random::Random;

/// What the engines need to speak coaps.
pub(crate) struct Setup {
    pub(crate) server: engine::Security,
    pub(crate) bootstrap: engine::Security,
    pub(crate) identities: Vec<ServerIdentity>,
    pub(crate) trust: Trust,
    pub(crate) dates: Dates,
}

/// The authorities whose certificates devices may present.
pub(crate) struct Trust {
    pub(super) server: Arc<Trusted>,
    pub(super) bootstrap: Arc<Trusted>,
    /// All of them, DER.
    pub(super) certificates: Vec<Arc<[u8]>>,
}

/// Why keys or certificates cannot be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum KeyError {
    /// A file cannot be read.
    #[error("cannot read {path}")]
    File {
        /// Which file.
        path: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// A file is not what it should be.
    #[error("{path}: {what}")]
    Content {
        /// Which file.
        path: PathBuf,
        /// What is wrong with it.
        what: String,
    },
    /// A certificate is for another key.
    #[error("the certificate in {certificate} is not for the private key in {key}")]
    Pair {
        /// The certificate's file.
        certificate: PathBuf,
        /// The key's file.
        key: PathBuf,
    },
    /// Both servers have the same key.
    #[error(
        "the Bootstrap-Server has the server's private key ({path}): each needs a key pair of its own (bootstrap.key_file, security.key_file)"
    )]
    Shared {
        /// The key's file.
        path: PathBuf,
    },
}

/// A key pair of ours, ready to be presented.
struct Own {
    key: dtls::OwnKey,
    /// Where it was read; `None`: made here.
    path: Option<PathBuf>,
    /// Where its certificates were; `None`: it has none.
    certificate_file: Option<PathBuf>,
}

impl Setup {
    /// Reads everything that the configuration names.
    ///
    /// # Errors
    /// Names the file and what is wrong with it.
    pub(crate) fn read(config: &Config, crypto: &Arc<dyn Crypto>, now: Instant) -> Result<Setup, KeyError> {
        let security = &config.security;
        let mut server =
            security.keys.iter().map(|pair| own(&**crypto, pair)).collect::<Result<Vec<_>, _>>()?;
        let bootstrap_pair = config.bootstrap.key.as_ref();
        let mut bootstrap =
            bootstrap_pair.map(|pair| own(&**crypto, pair)).into_iter().collect::<Result<Vec<_>, _>>()?;
        for own in &bootstrap {
            if server.iter().any(|other| other.key.key.public_key() == own.key.key.public_key()) {
                return Err(KeyError::Shared { path: own.path.clone().unwrap_or_default() });
            }
        }
        if security.self_made_keys {
            for keys in [&mut server, &mut bootstrap] {
                if keys.is_empty() {
                    keys.extend(self_made(&**crypto));
                }
            }
        }
        let shown =
            |role: ServerRole, keys: &[Own]| keys.iter().map(|own| identity(role, own)).collect::<Vec<_>>();
        let identities =
            [shown(ServerRole::Lwm2m, &server), shown(ServerRole::Bootstrap, &bootstrap)].concat();
        let mut dates = Dates::default();
        for (role, keys) in [(ServerRole::Lwm2m, &server), (ServerRole::Bootstrap, &bootstrap)] {
            for own in keys {
                dates.add(role, own.certificate_file.as_deref().unwrap_or(Path::new("")), &own.key.chain);
            }
        }
        Ok(Setup {
            server: engine_security(config, crypto, now, server),
            bootstrap: engine_security(config, crypto, now, bootstrap),
            identities,
            trust: Trust::read(config)?,
            dates,
        })
    }
}

impl Trust {
    /// Reads the certificates of the authorities.
    ///
    /// # Errors
    /// Names the file and what is wrong with it.
    pub(crate) fn read(config: &Config) -> Result<Trust, KeyError> {
        let verdicts_max = config.security.verdicts_max;
        let (server, mut certificates) = anchors(&config.security.trust_files, verdicts_max)?;
        let bootstrap = match &config.bootstrap.trust_files {
            Some(paths) => {
                let (anchors, more) = anchors(paths, verdicts_max)?;
                for certificate in more {
                    if !certificates.contains(&certificate) {
                        certificates.push(certificate);
                    }
                }
                anchors
            }
            None => server.clone(),
        };
        Ok(Trust { server, bootstrap, certificates })
    }
}

/// Authorities, and their certificates in DER.
type Authorities = (Arc<Trusted>, Vec<Arc<[u8]>>);

fn anchors(paths: &[PathBuf], verdicts_max: usize) -> Result<Authorities, KeyError> {
    let mut all: Vec<Arc<[u8]>> = Vec::new();
    for path in paths {
        let certificates = certificate::certificates(&bytes(path)?).map_err(|fault| content(path, &fault))?;
        // One by one, so that the error names the file.
        Anchors::new(certificates.iter().map(Vec::as_slice)).map_err(|refusal| content(path, &refusal))?;
        all.extend(certificates.into_iter().map(Arc::from));
    }
    let anchors = Anchors::new(all.iter().map(AsRef::as_ref));
    let anchors = anchors
        .map_err(|refusal| content(paths.first().map_or(Path::new(""), PathBuf::as_path), &refusal))?;
    Ok((Arc::new(Trusted::new(anchors, verdicts_max)), all))
}

fn own(crypto: &dyn Crypto, pair: &KeyPair) -> Result<Own, KeyError> {
    let path = &pair.key_file;
    let der = certificate::private_key(&bytes(path)?).map_err(|fault| content(path, &fault))?;
    let key = crypto.signing_key(der.bytes()).map_err(|_| content(path, &FileFault::Malformed))?;
    let mut chain = Vec::new();
    if let Some(file) = &pair.certificate_file {
        chain = certificate::certificates(&bytes(file)?).map_err(|fault| content(file, &fault))?;
        let of_certificate = chain.first().map(|own| certificate::public_key(own)).transpose();
        let of_certificate = of_certificate.map_err(|refusal| content(file, &refusal))?;
        if of_certificate.as_deref() != Some(key.public_key()) {
            return Err(KeyError::Pair { certificate: file.clone(), key: path.clone() });
        }
    }
    let key = dtls::OwnKey { names: pair.names.clone(), key: key.into(), chain };
    Ok(Own { key, path: Some(path.clone()), certificate_file: pair.certificate_file.clone() })
}

/// A key pair for trying out; it ends with the process.
fn self_made(crypto: &dyn Crypto) -> Option<Own> {
    // Nearly every number is a key.
    for _ in 0..SELF_MADE_TRIES {
        let mut bytes = [0; 32];
        Random.fill(&mut bytes);
        let secret = Secret::new(&bytes);
        bytes.fill(0);
        if let Ok(key) = crypto.signing_key(secret.bytes()) {
            let key = dtls::OwnKey { names: Vec::new(), key: key.into(), chain: Vec::new() };
            return Some(Own { key, path: None, certificate_file: None });
        }
    }
    None
}

fn identity(server: ServerRole, own: &Own) -> ServerIdentity {
    let public_key = own.key.key.public_key();
    ServerIdentity {
        server,
        names: own.key.names.clone(),
        public_key_pem: pem("PUBLIC KEY", public_key),
        public_key_sha256: hex(&Sha256::of(public_key)),
        certificate: own.key.chain.first().map(|der| certificate_facts(der)),
        ephemeral: own.path.is_none(),
    }
}

/// What may be shown of a certificate.
pub(super) fn certificate_facts(der: &[u8]) -> CertificateFacts {
    let names = certificate::names(der).unwrap_or_default();
    CertificateFacts {
        names: Subject::of(&names).names(),
        sha256: hex(&Sha256::of(der)),
        pem: pem("CERTIFICATE", der),
        meaning: None,
    }
}

fn engine_security(
    config: &Config,
    crypto: &Arc<dyn Crypto>,
    now: Instant,
    keys: Vec<Own>,
) -> engine::Security {
    let security = &config.security;
    let dtls = dtls::Config {
        suites: security.suites.clone(),
        keys: keys.into_iter().map(|own| own.key).collect(),
        connection_id: security.cid,
        return_routability: security.rrc,
        require_extended_master_secret: security.require_ems,
        key_log: security.key_log_file.is_some(),
        ..dtls::Config::default()
    };
    engine::Security {
        dtls: Arc::new(dtls),
        crypto: crypto.clone(),
        tickets: (!security.resumption.is_zero()).then(|| tickets(now, security.resumption)),
        resumption_time: security.resumption,
        limits: engine::SecurityLimits {
            sessions: security.sessions_max,
            handshakes: security.handshakes_max,
            handshakes_per_address: security.handshakes_per_address,
            handshakes_per_prefix: security.handshakes_per_network,
            handshakes_a_minute_per_address: security.handshakes_a_minute_per_address,
            handshakes_a_minute_per_prefix: security.handshakes_a_minute_per_network,
            handshakes_a_minute_per_identity: security.handshakes_a_minute_per_identity,
            resumptions: if security.resumption.is_zero() { 0 } else { security.sessions_max },
            ..engine::SecurityLimits::default()
        },
    }
}

/// Keys of tickets that this server alone has.
fn tickets(since: Instant, lifetime: Duration) -> engine::TicketRotation {
    let mut bytes = [0; 32];
    Random.fill(&mut bytes);
    let secret = Secret::new(&bytes);
    bytes.fill(0);
    engine::TicketRotation { secret, since, period: TICKET_KEY_PERIOD, lifetime }
}

fn bytes(path: &Path) -> Result<Vec<u8>, KeyError> {
    fs::read(path).map_err(|source| KeyError::File { path: path.to_owned(), source })
}

fn content(path: &Path, fault: &dyn std::fmt::Display) -> KeyError {
    KeyError::Content { path: path.to_owned(), what: fault.to_string() }
}

const SELF_MADE_TRIES: u32 = 16;
/// How long one key seals session tickets.
const TICKET_KEY_PERIOD: Duration = Duration::from_secs(24 * 60 * 60);

#[cfg(test)]
mod tests {
    use lightship_platform::crypto::FastCrypto;

    use super::*;
    use crate::config::RawConfig;

    #[test]
    fn the_two_servers_have_keys_of_tickets_that_the_other_has_not_and_none_without_resumption() {
        let crypto: Arc<dyn Crypto> = Arc::new(FastCrypto);
        let read = |resumption_s: u32| {
            let text = format!("[security]\nresumption_s = {resumption_s}");
            let token = ("LIGHTSHIP_API__TOKEN".to_owned(), "0123456789abcdef".to_owned());
            let config = Config::load(None, [token], RawConfig::from_toml(&text, "test").unwrap()).unwrap();
            let Setup { server, bootstrap, .. } =
                Setup::read(&config, &crypto, Instant::from_secs(5)).unwrap();
            (server.tickets, bootstrap.tickets)
        };
        let (Some(server), Some(bootstrap)) = read(3600) else { panic!("both have some") };
        assert_ne!(server.secret, bootstrap.secret);
        assert_eq!((server.since, server.period), (Instant::from_secs(5), TICKET_KEY_PERIOD));
        assert_eq!(server.lifetime, Duration::from_secs(3600));
        assert!(matches!(read(0), (None, None)));
    }
}
