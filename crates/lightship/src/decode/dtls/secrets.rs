//! What opens protected records: a key log in the NSS format, or a pre-shared key.

use super::hex;
use std::collections::BTreeMap;

/// Lines of a key log that are taken; what follows is left out.
const LOGGED_MAX: usize = 1_000_000;
/// Master secrets found on the way, tried where a session may have been resumed; the oldest go first.
const FOUND_MAX: usize = 100;

/// The secrets that the user gave, and those that followed from them.
#[derive(Default)]
pub(in crate::decode) struct Given {
    logged: BTreeMap<[u8; 32], [u8; 48]>,
    keys: Vec<Vec<u8>>,
    found: Vec<[u8; 48]>,
}

impl Given {
    /// The secrets of a key log and of pre-shared keys in hex.
    ///
    /// # Errors
    /// Says which key is none.
    pub(in crate::decode) fn new(log: &str, keys: &[String]) -> Result<Self, String> {
        let logged = log.lines().filter_map(logged).take(LOGGED_MAX).collect();
        let key = |text: &String| hex::parse(text).map_err(|error| format!("{text:?}: {error}"));
        let keys = keys.iter().map(key).collect::<Result<_, _>>()?;
        Ok(Self { logged, keys, found: Vec::new() })
    }

    pub(super) fn is_empty(&self) -> bool {
        self.logged.is_empty() && self.keys.is_empty()
    }

    /// What the key log has of a handshake with this random.
    pub(super) fn logged(&self, client_random: &[u8; 32]) -> Option<&[u8; 48]> {
        self.logged.get(client_random)
    }

    pub(super) fn keys(&self) -> impl Iterator<Item = &[u8]> {
        self.keys.iter().map(Vec::as_slice)
    }

    /// Master secrets that opened something before.
    pub(super) fn found(&self) -> impl Iterator<Item = &[u8; 48]> {
        self.found.iter().rev()
    }

    pub(super) fn remember(&mut self, master: [u8; 48]) {
        if self.found.contains(&master) {
            return;
        }
        if self.found.len() == FOUND_MAX {
            self.found.remove(0);
        }
        self.found.push(master);
    }
}

/// `CLIENT_RANDOM <random> <master secret>`; everything else in a key log is for other versions.
fn logged(line: &str) -> Option<([u8; 32], [u8; 48])> {
    let mut words = line.split_ascii_whitespace();
    if words.next() != Some("CLIENT_RANDOM") {
        return None;
    }
    let random = hex::parse(words.next()?).ok()?.try_into().ok()?;
    let master = hex::parse(words.next()?).ok()?.try_into().ok()?;
    words.next().is_none().then_some((random, master))
}
