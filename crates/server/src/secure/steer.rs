//! Which shard a secured datagram names by itself.
//!
//! A connection ID and a session ID of ours begin with a [`Locator`], and a ticket says where it was given, so whoever receives a
//! record, or a ClientHello that wants to resume, knows the shard that has the session or had it. The kernel's filter reads the connection ID alone ([`shard_of`]); it must agree
//! with the function here for every datagram.

use lightship_dtls::message::{ClientHello, Extension, Fragment};

use crate::Locator;

/// The shard that the connection ID of a datagram's first record names; `None`: it names none, and any shard may look at it.
///
/// Pure, and simple enough for a filter in the kernel: byte 0 is 25, and byte 11 is below the number of shards. The same 14 bytes
/// further on where a ChangeCipherSpec of one byte stands before it: whoever resumes a session sends that and Finished, then data,
/// which must not be there first because it takes a shorter way.
#[must_use]
pub fn shard_of(datagram: &[u8], shards: u8) -> Option<u8> {
    let is_change = datagram.first() == Some(&CHANGE_CIPHER_SPEC) && datagram.get(11..13) == Some(&[0, 1]);
    let record = datagram.get(if is_change { CHANGE_LEN } else { 0 }..)?;
    let shard = *record.get(CID_AT)?;
    (record.first() == Some(&TLS12_CID) && shard < shards).then_some(shard)
}

/// The connection ID of a datagram's first record, read as one of ours.
pub(crate) fn cid_of(datagram: &[u8]) -> Option<Locator> {
    let bytes: &[u8; LOCATOR_LEN] = datagram.get(CID_AT..CID_AT + LOCATOR_LEN)?.try_into().ok()?;
    (datagram.first() == Some(&TLS12_CID)).then(|| Locator::from_bytes(*bytes))
}

/// What a datagram that begins with an unencrypted ClientHello says in its fixed fields.
pub(crate) struct Hello<'a> {
    /// The ID of the session that it wants to resume; empty if none.
    pub(crate) session_id: &'a [u8],
    /// The ticket that it wants to resume with; empty if none, or if the message came in fragments, so that this is not known yet.
    pub(crate) ticket: &'a [u8],
}

/// Reads the start of a ClientHello; `None` if the datagram begins with anything else, a later fragment too.
pub(crate) fn hello_of(datagram: &[u8]) -> Option<Hello<'_>> {
    let epoch_0 = datagram.get(3..5) == Some(&[0, 0]);
    let is_hello = datagram.first() == Some(&HANDSHAKE) && datagram.get(13) == Some(&CLIENT_HELLO);
    let is_start = datagram.get(19..22) == Some(&[0, 0, 0]);
    if !(epoch_0 && is_hello && is_start) {
        return None;
    }
    let len = usize::from(*datagram.get(SESSION_ID_AT)?);
    let session_id = datagram.get(SESSION_ID_AT + 1..SESSION_ID_AT + 1 + len)?;
    Some(Hello { session_id, ticket: ticket_of(datagram).unwrap_or_default() })
}

/// The ticket in the ClientHello that a datagram begins with.
fn ticket_of(datagram: &[u8]) -> Option<&[u8]> {
    let len = usize::from(u16::from_be_bytes([*datagram.get(11)?, *datagram.get(12)?]));
    let (fragment, _) = Fragment::read(datagram.get(13..13 + len)?)?;
    let hello = ClientHello::read(fragment.body).filter(|_| fragment.is_whole())?;
    hello.extensions.body(Extension::SessionTicket)
}

/// Whether a datagram's first record is of an epoch with keys; those before it belong to handshakes alone.
pub(crate) fn is_protected(datagram: &[u8]) -> bool {
    datagram.get(3..5).is_some_and(|epoch| epoch != [0, 0])
}

/// Whether a datagram's first record is one of the handshake.
pub(crate) fn is_handshake(datagram: &[u8]) -> bool {
    datagram.first() == Some(&HANDSHAKE)
}

/// The content types (RFC 6347 §4.1, RFC 9146 §4) and places in a record.
const TLS12_CID: u8 = 25;
const CHANGE_CIPHER_SPEC: u8 = 20;
/// A whole record of it.
const CHANGE_LEN: usize = 14;
const HANDSHAKE: u8 = 22;
const CLIENT_HELLO: u8 = 1;
const CID_AT: usize = 11;
const LOCATOR_LEN: usize = 6;
/// Behind the headers of record (13) and message (12), version (2) and random (32).
const SESSION_ID_AT: usize = 59;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_connection_id_names_its_shard_and_nothing_else_does() {
        let mut record = [0; 24];
        record[0] = 25;
        record[11] = 3;
        assert_eq!(shard_of(&record, 4), Some(3));
        assert_eq!(shard_of(&record, 3), None, "no such shard");
        assert_eq!(shard_of(&record[..12], 4), Some(3));
        assert_eq!(shard_of(&record[..11], 4), None);
        let mut finished = vec![20, 0xfe, 0xfd, 0, 0, 0, 0, 0, 0, 0, 7, 0, 1, 1];
        finished.extend(record);
        assert_eq!(shard_of(&finished, 4), Some(3), "ChangeCipherSpec before it");
        assert_eq!(shard_of(&finished[..25], 4), None);
        finished[12] = 2;
        assert_eq!(shard_of(&finished, 4), None, "not of one byte");
        record[0] = 23;
        assert_eq!(shard_of(&record, 4), None);
        assert_eq!(shard_of(&[], 4), None);
    }

    /// A ClientHello with a ticket of four bytes, whole or the first fragment of a longer one.
    fn hello_with_ticket() -> Vec<u8> {
        let mut body = vec![0xfe, 0xfd];
        body.extend([1; 32]);
        body.extend([0, 0, 0, 2, 0xc0, 0xa8, 1, 0, 0, 8, 0, 35, 0, 4, 9, 8, 7, 6]);
        let len = u8::try_from(body.len()).expect("short");
        let mut datagram = vec![22, 0xfe, 0xfd, 0, 0, 0, 0, 0, 0, 0, 0, 0, len + 12];
        datagram.extend([1, 0, 0, len, 0, 0, 0, 0, 0, 0, 0, len]);
        datagram.extend(body);
        datagram
    }

    #[test]
    fn a_ticket_is_read_from_a_hello_that_is_whole() {
        let hello = hello_with_ticket();
        let ticket = |datagram: &[u8]| hello_of(datagram).map(|hello| hello.ticket.to_vec());
        assert_eq!(ticket(&hello).as_deref(), Some(&[9, 8, 7, 6][..]));
        for len in 0..hello.len() {
            assert!(ticket(&hello[..len]).is_none_or(|ticket| ticket.is_empty()), "{len}");
        }
        let mut fragment = hello.clone();
        fragment[16] += 1;
        assert_eq!(ticket(&fragment), Some(Vec::new()));
        let mut longer = hello;
        longer.extend([22; 40]);
        assert_eq!(ticket(&longer).as_deref(), Some(&[9, 8, 7, 6][..]), "another record behind it");
    }

    #[test]
    fn the_fixed_fields_of_a_hello_are_read_and_cut_ones_are_not() {
        let mut hello = vec![0; 80];
        hello[0] = 22;
        hello[13] = 1;
        hello[59] = 20;
        hello[60..80].fill(7);
        let read = hello_of(&hello).expect("a hello");
        assert_eq!(read.session_id, &[7; 20][..]);
        for len in 0..hello.len() {
            assert!(hello_of(&hello[..len]).is_none());
        }
        for (at, byte) in [(0, 23), (4, 1), (13, 2), (21, 1)] {
            let mut other = hello.clone();
            other[at] = byte;
            assert!(hello_of(&other).is_none(), "{at}");
        }
    }
}
