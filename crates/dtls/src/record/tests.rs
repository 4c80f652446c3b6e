use alloc::vec;
use alloc::vec::Vec;

use proptest::prelude::*;

use super::*;

fn plain(content_type: ContentType, sequence: u64, body: &[u8]) -> Vec<u8> {
    let mut out = vec![0; HEADER_LEN + body.len()];
    assert_eq!(write_plain(&mut out, content_type, sequence, body), Some(HEADER_LEN + body.len()));
    out
}

#[test]
fn records_of_one_datagram_are_read_one_after_another() {
    let first = plain(ContentType::Handshake, 0, b"hello");
    let second = plain(ContentType::ChangeCipherSpec, SEQUENCE_MAX, &[1]);
    let datagram = [first, second].concat();
    let header = parse(&datagram, 0, 0).unwrap();
    assert_eq!((header.content_type, header.epoch(), header.sequence()), (ContentType::Handshake, 0, 0));
    assert_eq!(&datagram[header.fragment.clone()], b"hello");
    let header = parse(&datagram, header.end(), 8).unwrap();
    assert_eq!(header.content_type, ContentType::ChangeCipherSpec);
    assert_eq!(header.sequence(), SEQUENCE_MAX);
    assert_eq!(header.end(), datagram.len());
}

#[test]
fn bad_headers_are_refused_with_their_reason() {
    let good = plain(ContentType::Handshake, 5, b"hello");
    let with = |at: usize, byte: u8| {
        let mut bad = good.clone();
        bad[at] = byte;
        parse(&bad, 0, 6)
    };
    assert_eq!(with(0, 0), Err(DropReason::Malformed));
    assert_eq!(with(0, 24), Err(DropReason::Malformed));
    assert_eq!(with(0, 26), Err(DropReason::Malformed));
    assert_eq!(with(1, 3), Err(DropReason::Malformed));
    assert_eq!(with(2, 0xfc), Err(DropReason::Malformed), "DTLS 1.3 has other headers");
    assert!(with(2, 0xff).is_ok(), "first records may name DTLS 1.0");
    assert_eq!(with(12, 6), Err(DropReason::Malformed), "longer than the datagram");
    assert_eq!(with(11, 0x40), Err(DropReason::TooLong));
    assert_eq!(with(0, 25), Err(DropReason::Epoch), "a connection ID before there are keys");
    for len in 0..good.len() {
        assert_eq!(parse(&good[..len], 0, 0), Err(DropReason::Malformed));
    }
    assert_eq!(parse(&good, good.len() + 1, 0), Err(DropReason::Malformed));
    let mut later = good.clone();
    later[4] = 1;
    later[2] = 0xff;
    assert_eq!(parse(&later, 0, 0), Err(DropReason::Malformed), "DTLS 1.0 under keys");
}

// Proves: DTL-15
#[test]
fn a_header_with_a_connection_id_is_read_with_its_length() {
    let mut out = [0; 64];
    let len = write_header(&mut out, ContentType::Cid, 1 << 48 | 9, b"locate", 3).unwrap();
    assert_eq!(len, HEADER_LEN + 6);
    assert_eq!(&out[..3], [25, 0xfe, 0xfd]);
    let header = parse(&out[..len + 3], 0, 6).unwrap();
    assert_eq!(&out[header.cid.clone()], b"locate");
    assert_eq!((header.epoch(), header.sequence()), (1, 9));
    assert_eq!(header.fragment, len..len + 3);
    assert_eq!(parse(&out[..len + 3], 0, 0), Err(DropReason::ConnectionId));
}

#[test]
fn what_does_not_fit_is_not_written() {
    let mut out = [0; 20];
    assert_eq!(write_plain(&mut out, ContentType::Alert, 0, &[0; 8]), None);
    assert_eq!(write_plain(&mut out[..12], ContentType::Alert, 0, &[]), None);
    assert_eq!(write_plain(&mut out, ContentType::Alert, SEQUENCE_MAX + 1, &[]), None);
    let mut long = vec![0; PLAIN_LEN_MAX + 64];
    assert_eq!(write_plain(&mut long, ContentType::Alert, 0, &vec![0; PLAIN_LEN_MAX + 1]), None);
    assert!(write_plain(&mut long, ContentType::Alert, 0, &vec![0; PLAIN_LEN_MAX]).is_some());
}

proptest! {
    #[test]
    fn any_bytes_are_read_within_their_bounds(
        bytes in prop::collection::vec(any::<u8>(), 0..100),
        at in 0_usize..120,
        cid_len in 0_usize..=20,
    ) {
        if let Ok(header) = parse(&bytes, at, cid_len) {
            prop_assert!(header.end() <= bytes.len());
            prop_assert!(header.end() >= at + HEADER_LEN);
            prop_assert!(header.cid.end <= header.fragment.start);
        }
    }
}
