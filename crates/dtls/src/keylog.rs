//! A line for a key log in the NSS format, for dissectors.

use alloc::boxed::Box;
use alloc::string::String;
use core::fmt::Write;

use crate::schedule::MasterSecret;

/// `CLIENT_RANDOM <random> <master secret>`, in hexadecimal.
#[must_use]
pub(crate) fn line(client_random: &[u8; 32], master: &MasterSecret) -> Box<str> {
    let mut line = String::with_capacity(15 + 64 + 96);
    line.push_str("CLIENT_RANDOM ");
    for byte in client_random {
        let _ = write!(line, "{byte:02x}");
    }
    line.push(' ');
    for byte in master.bytes() {
        let _ = write!(line, "{byte:02x}");
    }
    line.into_boxed_str()
}
