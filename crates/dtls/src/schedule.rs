//! From what both sides know to the keys: premaster secrets, the PRF, master secret, key block, Finished.
//!
//! RFC 5246 §5, §6.3, §7.4.9, §8.1; RFC 4279 §2; RFC 5489 §2; RFC 7627 §4.

use alloc::vec::Vec;

use lightship_platform::crypto::{Crypto, Secret};
use subtle::ConstantTimeEq;
use zeroize::{Zeroize, Zeroizing};

use crate::Suite;
use crate::protection::{Keys, Role};

#[cfg(test)]
mod tests;

/// The secret of a session, from which all keys of its associations are made.
#[derive(Clone)]
pub(crate) struct MasterSecret(Zeroizing<[u8; 48]>);

impl MasterSecret {
    /// Length in bytes.
    pub(crate) const LEN: usize = 48;

    /// A master secret with these bytes; `None` if they are not [`MasterSecret::LEN`].
    #[must_use]
    pub(crate) fn new(bytes: &[u8]) -> Option<Self> {
        Some(Self(Zeroizing::new(bytes.try_into().ok()?)))
    }

    /// The bytes.
    #[must_use]
    pub(crate) fn bytes(&self) -> &[u8; 48] {
        &self.0
    }
}

impl core::fmt::Debug for MasterSecret {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str("MasterSecret(…)")
    }
}

/// P_SHA256 over a label and seeds (RFC 5246 §5).
pub(crate) fn prf(crypto: &dyn Crypto, secret: &[u8], label: &[u8], seeds: [&[u8]; 2], out: &mut [u8]) {
    let [seed_1, seed_2] = seeds;
    let mut a = crypto.hmac_sha256(secret, &[label, seed_1, seed_2]);
    let mut blocks = out.chunks_mut(a.len()).peekable();
    while let Some(block) = blocks.next() {
        let mut bytes = crypto.hmac_sha256(secret, &[&a, label, seed_1, seed_2]);
        for (to, from) in block.iter_mut().zip(bytes) {
            *to = from;
        }
        bytes.zeroize();
        if blocks.peek().is_some() {
            a = crypto.hmac_sha256(secret, &[&a]);
        }
    }
    a.zeroize();
}

/// The premaster secret of a pre-shared key alone (RFC 4279 §2).
#[must_use]
pub(crate) fn premaster_psk(key: &[u8]) -> Secret {
    let zeros = Zeroizing::new(alloc::vec![0; key.len()]);
    premaster_of(&zeros, key)
}

/// The premaster secret of a pre-shared key and an agreed one (RFC 5489 §2).
#[must_use]
pub(crate) fn premaster_ecdhe_psk(agreed: &Secret, key: &[u8]) -> Secret {
    premaster_of(agreed.bytes(), key)
}

fn premaster_of(other: &[u8], key: &[u8]) -> Secret {
    let mut bytes = Zeroizing::new(Vec::with_capacity(4 + other.len() + key.len()));
    for part in [other, key] {
        let len = u16::try_from(part.len()).unwrap_or(u16::MAX);
        bytes.extend_from_slice(&len.to_be_bytes());
        bytes.extend_from_slice(part);
    }
    Secret::new(&bytes)
}

/// The master secret by the old rule (RFC 5246 §8.1); the premaster secret of ECDHE is the agreed secret itself.
#[must_use]
pub(crate) fn master_secret(
    crypto: &dyn Crypto,
    premaster: &Secret,
    client_random: &[u8; 32],
    server_random: &[u8; 32],
) -> MasterSecret {
    let mut master = Zeroizing::new([0; 48]);
    prf(crypto, premaster.bytes(), b"master secret", [client_random, server_random], &mut *master);
    MasterSecret(master)
}

/// The master secret by the extended rule; `session_hash` is that of all messages up to ClientKeyExchange (RFC 7627 §4).
#[must_use]
pub(crate) fn extended_master_secret(
    crypto: &dyn Crypto,
    premaster: &Secret,
    session_hash: &[u8; 32],
) -> MasterSecret {
    let mut master = Zeroizing::new([0; 48]);
    prf(crypto, premaster.bytes(), b"extended master secret", [session_hash, &[]], &mut *master);
    MasterSecret(master)
}

/// The keys of an association (RFC 5246 §6.3). `encrypt_then_mac` matters for the suites with CBC only (RFC 7366).
#[must_use]
pub(crate) fn keys(
    crypto: &dyn Crypto,
    master: &MasterSecret,
    client_random: &[u8; 32],
    server_random: &[u8; 32],
    suite: Suite,
    encrypt_then_mac: bool,
    role: Role,
) -> Keys {
    Keys::derive(suite, encrypt_then_mac, role, |block| {
        prf(crypto, master.bytes(), b"key expansion", [server_random, client_random], block);
    })
}

/// What Finished of `sender` says after messages with this hash (RFC 5246 §7.4.9).
#[must_use]
pub(crate) fn verify_data(
    crypto: &dyn Crypto,
    master: &MasterSecret,
    sender: Role,
    transcript_hash: &[u8; 32],
) -> [u8; 12] {
    let label: &[u8] = match sender {
        Role::Client => b"client finished",
        Role::Server => b"server finished",
    };
    let mut data = [0; 12];
    prf(crypto, master.bytes(), label, [transcript_hash, &[]], &mut data);
    data
}

/// Whether a received Finished says what it should, in constant time.
#[must_use]
pub(crate) fn is_verified(expected: &[u8; 12], received: &[u8]) -> bool {
    expected.ct_eq(received).into()
}
