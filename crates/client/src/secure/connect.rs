//! From an account to a handshake: `/0/x/2` to `/0/x/5`, 14, 16, 18, 20, 23 and 24.

use alloc::string::String;
use alloc::vec::Vec;

use lightship_dtls::{Config, Connect, Credential, KeyExchange, Suite};
use lightship_platform::crypto::{Crypto, Group, Secret};

use super::{SecureTransport, SecurityFailure};
use crate::account::{Account, Security, SecurityMode};
use crate::object::Array;
use crate::uri::{host, is_address, scheme};

/// Longest pre-shared key in bytes (TS_Transport 5.2.2).
const PSK_LEN_MAX: usize = 64;
/// ECDSA with P-256 and SHA-256, as `/0/x/20` has it.
const ECDSA_SECP256R1_SHA256: u16 = 0x0403;

/// Bits of `/0/x/23` and `/0/x/24`.
mod extension {
    pub(super) const SERVER_NAME: u32 = 0;
    pub(super) const MAX_FRAGMENT_LENGTH: u32 = 1;
    pub(super) const RECORD_SIZE_LIMIT: u32 = 7;
    pub(super) const CONNECTION_ID: u32 = 12;
}

/// Whether nothing may go to the server of an account in the clear.
pub(crate) fn is_secured(account: &Account) -> bool {
    account.security.mode != SecurityMode::NoSec || has_secured_scheme(account)
}

fn has_secured_scheme(account: &Account) -> bool {
    scheme(account.uri.as_str()).eq_ignore_ascii_case("coaps")
}

/// What to begin with, without an earlier session, and the settings for it.
pub(super) fn plan(
    account: &Account,
    transport: &SecureTransport,
) -> Result<(Connect, Config), SecurityFailure> {
    let security = &account.security;
    let exchange: &[KeyExchange] = match security.mode {
        SecurityMode::Psk => &[KeyExchange::Psk, KeyExchange::EcdhePsk],
        SecurityMode::RawPublicKey | SecurityMode::Certificate => &[KeyExchange::EcdheEcdsa],
        SecurityMode::NoSec => return Err(SecurityFailure::Scheme),
        SecurityMode::Est => return Err(SecurityFailure::Mode(SecurityMode::Est)),
    };
    if !has_secured_scheme(account) {
        return Err(SecurityFailure::Scheme);
    }
    let mut config = transport.config.clone();
    config.groups = groups(security, &config.groups, &*transport.crypto);
    config.suites = suites(security, &config, exchange);
    if config.suites.is_empty() {
        return Err(SecurityFailure::NoSuite);
    }
    let signs = security.mode != SecurityMode::Psk;
    if signs && !listed(&security.tls.signatures).is_none_or(|all| all.contains(&ECDSA_SECP256R1_SHA256)) {
        return Err(SecurityFailure::NoSignatureAlgorithm);
    }
    if !uses(security, extension::CONNECTION_ID) {
        config.connection_id = false;
    }
    if !uses(security, extension::MAX_FRAGMENT_LENGTH) {
        config.max_fragment_len = None;
    }
    if !uses(security, extension::RECORD_SIZE_LIMIT) {
        config.record_size_limit = None;
    }
    let kept = transport.keys.as_ref().and_then(|keys| keys.credential(account));
    let credential = kept.map_or_else(|| credential(security, &*transport.crypto), Ok)?;
    let server_name = server_name(account).filter(|_| uses(security, extension::SERVER_NAME));
    Ok((Connect { credential, server_name, own_cid: lightship_dtls::Cid::EMPTY, resume: None }, config))
}

/// The values of an array that is there and not empty.
fn listed(array: &Option<Array<u16, 4>>) -> Option<Vec<u16>> {
    let values: Vec<u16> = array.iter().flat_map(Array::iter).map(|(_, value)| *value).collect();
    (!values.is_empty()).then_some(values)
}

fn groups(security: &Security, usual: &[Group], crypto: &dyn Crypto) -> Vec<Group> {
    let known = |number: &u16| match number {
        0x0017 => Some(Group::Secp256r1),
        0x001d => Some(Group::X25519),
        _ => None,
    };
    let groups = listed(&security.tls.groups)
        .map_or_else(|| usual.to_vec(), |numbers| numbers.iter().filter_map(known).collect());
    groups.into_iter().filter(|group| crypto.has_group(*group)).collect()
}

/// Exactly those of `/0/x/16`, as far as they can be used at all.
fn suites(security: &Security, config: &Config, exchange: &[KeyExchange]) -> Vec<Suite> {
    let suites = listed(&security.ciphersuites).map_or_else(
        || config.suites.clone(),
        |numbers| numbers.into_iter().filter_map(Suite::from_number).collect(),
    );
    let possible = |suite: &Suite| {
        let agrees = suite.key_exchange() == KeyExchange::Psk || !config.groups.is_empty();
        agrees && exchange.contains(&suite.key_exchange())
    };
    suites.into_iter().filter(possible).collect()
}

/// Whether an extension is to be used: `/0/x/24` and `/0/x/23` say nothing against it.
fn uses(security: &Security, bit: u32) -> bool {
    let has = |bitmap: Option<u32>| bitmap.is_none_or(|bits| bits & (1 << bit) != 0);
    has(security.tls.extensions) && has(security.tls.server_extensions)
}

/// Who the server should be: `/0/x/14`, or the host of the URI, which may be an address.
pub(super) fn reference_name(account: &Account) -> &str {
    let named = account.security.server_name.as_ref().map(|name| name.as_str());
    named.filter(|name| !name.is_empty()).unwrap_or_else(|| host(account.uri.as_str()))
}

/// The name by which the server is asked for; never an address.
fn server_name(account: &Account) -> Option<String> {
    let name = reference_name(account);
    (!name.is_empty() && !is_address(name)).then(|| name.to_ascii_lowercase())
}

fn credential(security: &Security, crypto: &dyn Crypto) -> Result<Credential, SecurityFailure> {
    let signing_key = || crypto.signing_key(security.key.as_slice()).map_err(|_| SecurityFailure::Key);
    match security.mode {
        SecurityMode::Psk => {
            let key = security.key.as_slice();
            if key.is_empty() || key.len() > PSK_LEN_MAX {
                return Err(SecurityFailure::Key);
            }
            Ok(Credential::Psk { identity: security.identity.as_slice().into(), key: Secret::new(key) })
        }
        SecurityMode::RawPublicKey => {
            let key = signing_key()?;
            if !security.identity.is_empty() && security.identity.as_slice() != key.public_key() {
                return Err(SecurityFailure::KeyPair);
            }
            Ok(Credential::RawPublicKey { key: key.into() })
        }
        SecurityMode::Certificate | SecurityMode::NoSec | SecurityMode::Est => {
            let chain = split(security.identity.as_slice()).ok_or(SecurityFailure::Certificate)?;
            Ok(Credential::Certificates { key: signing_key()?.into(), chain })
        }
    }
}

/// One certificate after the other, each a SEQUENCE in DER; `None` for anything else, or nothing.
fn split(mut bytes: &[u8]) -> Option<Vec<Vec<u8>>> {
    let mut all = Vec::new();
    while !bytes.is_empty() {
        let (one, rest) = bytes.split_at_checked(sequence_len(bytes)?)?;
        all.push(one.to_vec());
        bytes = rest;
    }
    (!all.is_empty()).then_some(all)
}

/// Length of the SEQUENCE that begins here, its header included.
fn sequence_len(bytes: &[u8]) -> Option<usize> {
    let (content, header) = match bytes {
        [0x30, short @ 0..=0x7f, ..] => (usize::from(*short), 2_usize),
        [0x30, 0x81, len, ..] => (usize::from(*len), 3),
        [0x30, 0x82, high, low, ..] => (usize::from(u16::from_be_bytes([*high, *low])), 4),
        _ => return None,
    };
    header.checked_add(content)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn certificates_one_after_the_other_are_taken_apart() {
        let short = [0x30, 2, 1, 2];
        let mut long = alloc::vec![0x30, 0x82, 1, 0];
        long.resize(4 + 256, 7);
        let both = [short.as_slice(), &long].concat();
        assert_eq!(split(&both), Some(alloc::vec![short.to_vec(), long.clone()]));
        for wrong in [&[][..], &[0x30], &[0x30, 3, 1, 2], &[0x31, 0], &long[..259], &[0x30, 0x80, 0, 0]] {
            assert_eq!(split(wrong), None, "{wrong:?}");
        }
    }
}
