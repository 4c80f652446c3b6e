use alloc::vec;
use alloc::vec::Vec;

use lightship_platform::crypto::RustCrypto;

use super::*;
use crate::record::ContentType;

const MAC_KEY: [u8; 32] = [3; 32];
const KEY: [u8; 16] = [5; 16];
const IV: [u8; 16] = [9; 16];

fn covered() -> Covered<'static> {
    Covered { number: 1 << 48, content_type: ContentType::ApplicationData, cid: &[] }
}

/// Encrypted blocks of `content`, its MAC and a padding with these bytes.
fn sealed_with(content: &[u8], mac_flip: u8, padding: &[u8]) -> Vec<u8> {
    let prefix = covered().bytes(content.len()).unwrap();
    let mut mac = RustCrypto.hmac_sha256(&MAC_KEY, &[prefix.get(), content]);
    mac[0] ^= mac_flip;
    let mut body = [content, &mac, padding].concat();
    RustCrypto.cbc_encrypt(&KEY, &IV, &mut body).unwrap();
    body
}

fn open(mut body: Vec<u8>) -> Option<Vec<u8>> {
    let len = open_mac_then_encrypt(&RustCrypto, &MAC_KEY, &KEY, &covered(), &IV, &mut body)?;
    Some(body[..len].to_vec())
}

#[test]
fn every_length_of_padding_is_taken_off() {
    for len in 0..70 {
        let content = vec![0x61; len];
        let shortest = padded_len(len + MAC_LEN) - len - MAC_LEN;
        for padding_len in (shortest..=256).step_by(BLOCK_LEN) {
            let padding = vec![u8::try_from(padding_len - 1).unwrap(); padding_len];
            assert_eq!(
                open(sealed_with(&content, 0, &padding)),
                Some(content.clone()),
                "{len} {padding_len}"
            );
        }
    }
}

#[test]
fn a_wrong_byte_in_padding_or_mac_is_one_and_the_same_refusal() {
    let content = [0x61; 20];
    for padding_len in [12, 28, 252] {
        let good = vec![u8::try_from(padding_len - 1).unwrap(); padding_len];
        assert!(open(sealed_with(&content, 0, &good)).is_some());
        assert!(open(sealed_with(&content, 1, &good)).is_none(), "MAC");
        for at in 0..padding_len {
            let mut padding = good.clone();
            padding[at] ^= 1;
            assert!(open(sealed_with(&content, 0, &padding)).is_none(), "byte {at} of {padding_len}");
        }
    }
    // A padding that reaches into the MAC or before the beginning.
    for byte in [60, 63, 255] {
        assert!(open(sealed_with(&content, 0, &[byte; 12])).is_none());
    }
    assert!(open(Vec::new()).is_none());
    assert!(open(vec![0; 32]).is_none(), "no room for a MAC and padding");
    assert!(open(vec![0; 47]).is_none(), "not whole blocks");
}

#[test]
fn a_wrong_padding_under_a_right_mac_is_refused() {
    for (padding, good) in [([0x0f_u8; 16], true), ([0x10; 16], false), ([0; 16], true)] {
        let mut fragment = [&IV[..], &padding].concat();
        RustCrypto.cbc_encrypt(&KEY, &IV, &mut fragment[16..]).unwrap();
        let prefix = covered().bytes(fragment.len()).unwrap();
        let mac = RustCrypto.hmac_sha256(&MAC_KEY, &[prefix.get(), &fragment]);
        fragment.extend_from_slice(&mac);
        let len = open_encrypt_then_mac(&RustCrypto, &MAC_KEY, &KEY, &covered(), &mut fragment);
        assert_eq!(len.is_some(), good, "{padding:?}");
    }
}
