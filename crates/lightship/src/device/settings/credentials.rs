//! What the device proves itself with to servers behind coaps, and what it knows of them: the resources of `/0` out of texts and files.

use super::RawSettings;
use super::accounts::RawAccount;
use crate::decode::hex;
use crate::failure::Failure;
use lightship_client::crypto::{Crypto as _, Digest};
use lightship_client::dtls::Suite;
use lightship_client::dtls::certificate::{self, FileFault};
use lightship_client::{Account, Array, SERVER_NAME_LEN_MAX, Secret, SecurityMode, Text};
use lightship_platform::crypto::FastCrypto;
use std::path::{Path, PathBuf};

/// The credentials of one account, as they were written.
#[derive(Debug, Default, Clone)]
pub(super) struct Credentials {
    psk_identity: Option<String>,
    psk_key: Option<String>,
    cert: Option<PathBuf>,
    key: Option<PathBuf>,
    trust: Option<PathBuf>,
    rpk_key: Option<PathBuf>,
    rpk_peer: Option<PathBuf>,
    server_name: Option<String>,
    certificate_usage: Option<u8>,
    matching_type: Option<u8>,
    ciphersuites: Option<Vec<String>>,
}

macro_rules! credentials_of {
    ($raw:expr) => {
        Credentials {
            psk_identity: $raw.psk_identity.clone(),
            psk_key: $raw.psk_key.clone(),
            cert: $raw.cert.clone(),
            key: $raw.key.clone(),
            trust: $raw.trust.clone(),
            rpk_key: $raw.rpk_key.clone(),
            rpk_peer: $raw.rpk_peer.clone(),
            server_name: $raw.server_name.clone(),
            certificate_usage: $raw.certificate_usage,
            matching_type: $raw.matching_type,
            ciphersuites: $raw.ciphersuites.clone(),
        }
    };
}

impl From<&RawSettings> for Credentials {
    fn from(raw: &RawSettings) -> Self {
        credentials_of!(raw)
    }
}

impl From<&RawAccount> for Credentials {
    fn from(raw: &RawAccount) -> Self {
        credentials_of!(raw)
    }
}

impl Credentials {
    /// Whether there is anything to prove oneself with.
    pub(super) fn is_empty(&self) -> bool {
        self.psk_identity.is_none()
            && self.psk_key.is_none()
            && self.cert.is_none()
            && self.key.is_none()
            && self.rpk_key.is_none()
            && self.rpk_peer.is_none()
            && self.trust.is_none()
    }

    /// These, and the settings of `usual` where there are none here.
    pub(super) fn or(self, usual: &Self) -> Self {
        let Self { server_name, certificate_usage, matching_type, ciphersuites, .. } = &self;
        let extras = (server_name.clone(), *certificate_usage, *matching_type, ciphersuites.clone());
        let mut joined = if self.is_empty() { usual.clone() } else { self };
        joined.server_name = extras.0.or(usual.server_name.clone());
        joined.certificate_usage = extras.1.or(usual.certificate_usage);
        joined.matching_type = extras.2.or(usual.matching_type);
        joined.ciphersuites = extras.3.or(usual.ciphersuites.clone());
        joined
    }

    /// Puts them into an account; the trust anchors of the file come back, for the device's own store.
    pub(super) fn apply(&self, account: &mut Account) -> Result<Vec<Vec<u8>>, Failure> {
        let uri = account.uri.as_str().to_owned();
        let wrong = |what: &dyn std::fmt::Display| Failure::usage(format_args!("{uri}: {what}"));
        let kinds = [
            self.psk_identity.is_some() || self.psk_key.is_some(),
            self.rpk_key.is_some() || self.rpk_peer.is_some(),
            self.cert.is_some() || self.key.is_some() || self.trust.is_some(),
        ];
        let security = &mut account.security;
        let mut trust = Vec::new();
        match kinds {
            [true, false, false] => {
                let (Some(identity), Some(key)) = (&self.psk_identity, &self.psk_key) else {
                    return Err(wrong(&"psk-identity and psk-key belong together"));
                };
                security.mode = SecurityMode::Psk;
                security.identity = secret(identity.as_bytes())?;
                let key = hex::parse(key).map_err(|error| wrong(&format_args!("psk-key: {error}")))?;
                if key.is_empty() || key.len() > 64 {
                    return Err(wrong(&"psk-key: expected 1 to 64 bytes in hex"));
                }
                security.key = secret(&key)?;
            }
            [false, true, false] => {
                let (Some(key), Some(peer)) = (&self.rpk_key, &self.rpk_peer) else {
                    return Err(wrong(&"rpk-key and rpk-peer belong together"));
                };
                security.mode = SecurityMode::RawPublicKey;
                let (private, public) = private_key(key)?;
                security.key = secret(&private)?;
                security.identity = secret(&public)?;
                security.server_key = secret(&read(peer, certificate::raw_public_key)?)?;
            }
            [false, false, true] => {
                let (Some(cert), Some(key), Some(anchors)) = (&self.cert, &self.key, &self.trust) else {
                    return Err(wrong(&"cert, key and trust belong together"));
                };
                security.mode = SecurityMode::Certificate;
                let chain = read(cert, certificate::certificates)?;
                let (private, public) = private_key(key)?;
                let certified = chain.first().map(|leaf| certificate::public_key(leaf));
                if certified.is_some_and(|certified| certified.is_ok_and(|certified| certified != public)) {
                    let (cert, key) = (cert.display(), key.display());
                    return Err(wrong(&format_args!(
                        "the certificate in {cert} is not for the private key in {key}"
                    )));
                }
                security.identity = secret(&chain.concat())?;
                security.key = secret(&private)?;
                trust = read(anchors, certificate::certificates)?;
                security.server_key = secret(trust.first().map_or(&[], Vec::as_slice))?;
                // What is to be trusted is an authority, unless something else is said.
                let usage = self.certificate_usage.unwrap_or(2);
                security.certificate_usage = Some(usage);
                // Only with 2 the first one is a trust anchor; with 0 and 1 it narrows what the others vouch for.
                if usage != 2 && !trust.is_empty() {
                    trust.remove(0);
                }
            }
            [false, false, false] => {
                return Err(wrong(
                    &"coaps needs psk-identity and psk-key, or rpk-key and rpk-peer, or cert, key and trust",
                ));
            }
            _ => return Err(wrong(&"more than one kind of credentials")),
        }
        self.apply_extras(account).map_err(|what| wrong(&what))?;
        Ok(trust)
    }

    fn apply_extras(&self, account: &mut Account) -> Result<(), String> {
        let security = &mut account.security;
        if self.certificate_usage.is_some_and(|usage| usage > 3) {
            return Err("certificate-usage: expected 0 to 3".to_owned());
        }
        if self.matching_type.is_some_and(|kind| kind > 3) {
            return Err("matching-type: expected 0 to 3".to_owned());
        }
        if let (Some(kind @ 1..=3), SecurityMode::Certificate | SecurityMode::RawPublicKey) =
            (self.matching_type, security.mode)
        {
            security.matching_type = Some(kind);
            let (digest, len) = match kind {
                1 => (Digest::Sha256, 32),
                2 => (Digest::Sha384, 48),
                _ => (Digest::Sha512, 64),
            };
            let hash = FastCrypto
                .digest(digest, security.server_key.as_slice())
                .map_err(|error| format!("matching-type: {error}"))?;
            security.server_key = Secret::new(hash.get(..len).unwrap_or_default()).unwrap_or_default();
        }
        if let Some(name) = &self.server_name {
            if name.is_empty() || name.len() > SERVER_NAME_LEN_MAX {
                return Err(format!(
                    "server-name {name:?}: expected a name of at most {SERVER_NAME_LEN_MAX} bytes"
                ));
            }
            security.server_name = Some(Text::new(name));
        }
        if let Some(names) = &self.ciphersuites {
            let numbers = names.iter().map(|name| suite(name)).collect::<Result<Vec<u16>, _>>()?;
            let mut suites: Array<u16, 4> = Array::new();
            for (number, id) in numbers.into_iter().zip(0..) {
                let id = lightship_client::ResourceInstanceId::new(id);
                let taken = id.map(|id| suites.insert(id, number));
                if !matches!(taken, Some(Ok(()))) {
                    return Err("ciphersuites: at most 4".to_owned());
                }
            }
            security.ciphersuites = Some(suites);
        }
        Ok(())
    }
}

/// A suite by its name in the IANA registry, or by its number.
fn suite(text: &str) -> Result<u16, String> {
    if let Some(suite) = Suite::ALL.into_iter().find(|suite| suite.name().eq_ignore_ascii_case(text)) {
        return Ok(suite.number());
    }
    let hex = text.strip_prefix("0x").or_else(|| text.strip_prefix("0X"));
    let number = hex.map_or_else(|| text.parse().ok(), |digits| u16::from_str_radix(digits, 16).ok());
    number.ok_or_else(|| {
        format!("ciphersuites: {text:?} is neither a name such as TLS_PSK_WITH_AES_128_CCM_8 nor a number")
    })
}

fn secret(bytes: &[u8]) -> Result<Secret, Failure> {
    Secret::new(bytes).ok_or_else(|| Failure::usage("credentials: more than 8192 bytes"))
}

/// A private key as it stands in the file, and the public key that belongs to it.
fn private_key(path: &Path) -> Result<(Vec<u8>, Vec<u8>), Failure> {
    let private = read(path, certificate::private_key)?;
    let key = FastCrypto
        .signing_key(private.bytes())
        .map_err(|_| Failure::usage(format_args!("{}: no private key of the curve P-256", path.display())))?;
    Ok((private.bytes().to_vec(), key.public_key().to_vec()))
}

fn read<T>(path: &Path, parse: impl FnOnce(&[u8]) -> Result<T, FileFault>) -> Result<T, Failure> {
    let fault = |what: &dyn std::fmt::Display| Failure::usage(format_args!("{}: {what}", path.display()));
    let bytes = std::fs::read(path).map_err(|error| fault(&error))?;
    parse(&bytes).map_err(|error| fault(&error))
}

#[cfg(test)]
mod tests;
