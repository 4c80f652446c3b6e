//! The view of a third party, for tools that show what was on the wire: records one by one, and what is in them for whoever
//! has the secrets. Nothing here takes part in an association.

use alloc::vec::Vec;
use core::ops::Range;

use lightship_platform::crypto::Crypto;
use zeroize::Zeroizing;

use crate::protection::Keys;
use crate::record::{self, ContentType};
use crate::schedule::{self, MasterSecret};
use crate::session::unpad;
use crate::{DropReason, Suite};

pub use crate::protection::Role;

/// A record as it stands in a datagram; all ranges lie within that.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Record {
    /// The number of its content type (RFC 5246 §6.2.1); 25 for a protected record with a connection ID.
    pub content_type: u8,
    /// The epoch; above 0 records are protected.
    pub epoch: u16,
    /// The number within the epoch.
    pub sequence: u64,
    /// Where the connection ID stands; empty if there is none.
    pub cid: Range<usize>,
    /// Where the fragment stands.
    pub fragment: Range<usize>,
    number: u64,
}

impl Record {
    /// Reads the record that begins at `at`. `cid_len` is the length of connection IDs in records to its receiver, 0 for none:
    /// that is not on the wire (RFC 9146 §4).
    ///
    /// # Errors
    /// If there is no record; what follows in the datagram cannot be found then.
    pub fn read(datagram: &[u8], at: usize, cid_len: usize) -> Result<Self, DropReason> {
        let header = record::parse(datagram, at, cid_len)?;
        Ok(Self {
            content_type: header.content_type as u8,
            epoch: header.epoch(),
            sequence: header.sequence(),
            cid: header.cid.clone(),
            fragment: header.fragment.clone(),
            number: header.number,
        })
    }
}

/// The master secret that a pre-shared key alone leads to (RFC 4279 §2). `session_hash` is that of all messages up to
/// ClientKeyExchange where both sides agreed on the extended rule (RFC 7627 §4).
#[must_use]
pub fn psk_master(
    crypto: &dyn Crypto,
    key: &[u8],
    session_hash: Option<&[u8; 32]>,
    client_random: &[u8; 32],
    server_random: &[u8; 32],
) -> Zeroizing<[u8; 48]> {
    let premaster = schedule::premaster_psk(key);
    let master = match session_hash {
        Some(hash) => schedule::extended_master_secret(crypto, &premaster, hash),
        None => schedule::master_secret(crypto, &premaster, client_random, server_random),
    };
    Zeroizing::new(*master.bytes())
}

/// The keys of an association in both directions.
#[derive(Debug)]
pub struct Secrets {
    of_client: Keys,
    of_server: Keys,
}

impl Secrets {
    /// The keys that follow from a master secret. `encrypt_then_mac` matters for the suites with CBC only (RFC 7366).
    #[must_use]
    pub fn new(
        crypto: &dyn Crypto,
        master: &[u8; 48],
        client_random: &[u8; 32],
        server_random: &[u8; 32],
        suite: Suite,
        encrypt_then_mac: bool,
    ) -> Option<Self> {
        let master = MasterSecret::new(master)?;
        let keys = |role| {
            schedule::keys(crypto, &master, client_random, server_random, suite, encrypt_then_mac, role)
        };
        // Keys open what the other side has sealed.
        Some(Self { of_client: keys(Role::Server), of_server: keys(Role::Client) })
    }

    /// What a protected record of `sender` holds: the number of the content type and the content; `None` if it is not authentic
    /// under these keys.
    #[must_use]
    pub fn open(
        &self,
        crypto: &dyn Crypto,
        sender: Role,
        datagram: &[u8],
        record: &Record,
    ) -> Option<(u8, Vec<u8>)> {
        let keys = match sender {
            Role::Client => &self.of_client,
            Role::Server => &self.of_server,
        };
        let outer_type = ContentType::from_number(record.content_type)?;
        let cid = datagram.get(record.cid.clone())?;
        let mut fragment = Vec::from(datagram.get(record.fragment.clone())?);
        let inner = keys.open(crypto, record.number, outer_type, cid, &mut fragment)?;
        let plain = fragment.get(inner)?;
        let (content_type, len) =
            if outer_type == ContentType::Cid { unpad(plain) } else { (Some(outer_type), plain.len()) };
        Some((content_type? as u8, Vec::from(plain.get(..len)?)))
    }
}

#[cfg(test)]
mod tests {
    use lightship_platform::crypto::RustCrypto;

    use super::*;
    use crate::captures;

    #[test]
    fn a_third_party_reads_every_captured_record_with_the_master_secret() {
        let mut opened = 0;
        for capture in captures::all() {
            let master: [u8; 48] =
                capture.bytes("master_secret").and_then(|bytes| bytes.try_into().ok()).expect("48 bytes");
            let randoms = [capture.hash("client_random"), capture.hash("server_random")];
            let secrets = Secrets::new(
                &RustCrypto,
                &master,
                &randoms[0],
                &randoms[1],
                capture.suite(),
                capture.encrypt_then_mac(),
            )
            .expect("keys");
            for captured in capture.records() {
                let cid_len = capture.cid(captured.sender).bytes().len();
                let record = Record::read(&captured.wire, 0, cid_len).expect("a record");
                assert_eq!((record.epoch, record.sequence), (captured.epoch, captured.sequence));
                if record.epoch == 0 {
                    continue;
                }
                let read = secrets.open(&RustCrypto, captured.sender, &captured.wire, &record);
                assert_eq!(read, Some((captured.content_type, captured.plaintext)), "{}", capture.name);
                assert_eq!(
                    secrets.open(&RustCrypto, captured.sender.peer(), &captured.wire, &record),
                    None,
                    "it is not of the other side"
                );
                opened += 1;
            }
        }
        assert!(opened > 40, "{opened} records");
    }
}
