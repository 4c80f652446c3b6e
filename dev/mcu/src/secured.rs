//! What a server behind coaps adds: a heap, a library of cryptography, a key.

extern crate alloc;

use alloc::boxed::Box;
use alloc::vec;
use core::hint::black_box;

use lightship_client::crypto::RustCrypto;
use lightship_client::dtls::Suite;
use lightship_client::{Account, Secret, SecureTransport, SecurityMode};

use crate::{Hardware, Thermometer};

/// A session takes less than 1 KB, and a handshake another 1.4 KB while it lasts; the rest is for what lies between.
#[global_allocator]
static HEAP: emballoc::Allocator<4096> = emballoc::Allocator::new();

/// Hands the cryptography in, and asks for nothing that the device does not have.
pub(crate) fn prepare(client: &mut Thermometer) {
    let mut transport = SecureTransport::new(Box::new(RustCrypto), Box::new(Hardware));
    transport.config.suites = vec![Suite::PskAes128Ccm8];
    transport.config.groups = vec![];
    transport.config.message_len_max = 1024;
    client.secure(transport);
}

/// The account with the device's own key.
pub(crate) fn account(mut account: Account) -> Account {
    account.security.mode = SecurityMode::Psk;
    account.security.identity = Secret::new(b"urn:dev:os:0023C7-000001").unwrap_or_default();
    account.security.key = Secret::new(&black_box([7; 16])).unwrap_or_default();
    account
}
