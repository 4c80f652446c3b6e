//! Dynamic Profile IDs: a hash over the list of objects (TS_Core 6.2.1, RFC 6920).
//!
//! No two sides need compute the same: a server learns the ID along with the list. It only has to stay the same while the list
//! does, and to change with it.

use core::fmt::{self, Write};

use sha2::{Digest, Sha256};

use crate::config::PROFILE_LEN_MAX;
use crate::dispatch::World;
use crate::list;
use crate::object::Text;

/// The suite where the server prefers none: 64 bits.
const SUITE: u8 = 5;

/// The ID of what the server that asks may know, by the suite of that number if it is one of RFC 6920.
pub(crate) fn hashed(world: &World<'_>, suite: Option<u8>) -> Option<Text<PROFILE_LEN_MAX>> {
    let mut hash = Hash(Sha256::new());
    if !list::canonical(world, &mut hash) {
        return None;
    }
    let suite = suite.filter(|suite| (1..=6).contains(suite)).unwrap_or(SUITE);
    let len = match suite {
        1 => 32,
        2 => 16,
        3 => 15,
        4 => 12,
        6 => 4,
        _ => 8,
    };
    let mut text = Line { bytes: [0; PROFILE_LEN_MAX], len: 0 };
    write!(text, "{suite}:").ok()?;
    for byte in hash.0.finalize().iter().take(len) {
        write!(text, "{byte:02x}").ok()?;
    }
    Some(Text::new(core::str::from_utf8(text.bytes.get(..text.len)?).ok()?))
}

struct Hash(Sha256);

impl Write for Hash {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        self.0.update(text.as_bytes());
        Ok(())
    }
}

struct Line {
    bytes: [u8; PROFILE_LEN_MAX],
    len: usize,
}

impl Write for Line {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        let end = self.len + text.len();
        self.bytes.get_mut(self.len..end).ok_or(fmt::Error)?.copy_from_slice(text.as_bytes());
        self.len = end;
        Ok(())
    }
}
