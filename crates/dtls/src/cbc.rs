//! AES-128-CBC with HMAC-SHA256, in both orders, without telling by time or answer where a fragment went wrong.
//!
//! MAC-then-encrypt is opened the way that Lucky 13 left open: the padding's length is a secret until the MAC has been found
//! right, so every length it could have is treated alike (RFC 5246 §6.2.3.2).

use lightship_platform::crypto::{Crypto, Sha256};
use subtle::{Choice, ConditionallySelectable, ConstantTimeEq, ConstantTimeGreater};
use zeroize::Zeroizing;

use crate::protection::Covered;

#[cfg(test)]
mod tests;

/// A block of AES, in bytes; also the length of an IV.
pub(crate) const BLOCK_LEN: usize = 16;
/// HMAC-SHA256, in bytes.
pub(crate) const MAC_LEN: usize = 32;
/// The longest padding, its length byte included.
const PADDING_LEN_MAX: usize = 256;

/// Length of `len` bytes with the shortest padding.
pub(crate) const fn padded_len(len: usize) -> usize {
    (len / BLOCK_LEN + 1) * BLOCK_LEN
}

/// Fills `body` behind `len` bytes with padding.
fn pad(body: &mut [u8], len: usize) -> Option<()> {
    let padding = body.get_mut(len..)?;
    let byte = u8::try_from(padding.len().checked_sub(1)?).ok()?;
    padding.fill(byte);
    Some(())
}

/// Adds the MAC and the padding to the first `len` bytes of `body` and encrypts it all.
pub(crate) fn seal_mac_then_encrypt(
    crypto: &dyn Crypto,
    mac_key: &[u8],
    key: &[u8],
    covered: &Covered<'_>,
    iv: &[u8],
    body: &mut [u8],
    len: usize,
) -> Option<()> {
    let prefix = covered.bytes(len)?;
    let mac = crypto.hmac_sha256(mac_key, &[prefix.get(), body.get(..len)?]);
    body.get_mut(len..len + MAC_LEN)?.copy_from_slice(&mac);
    pad(body, len + MAC_LEN)?;
    crypto.cbc_encrypt(key, iv.try_into().ok()?, body).ok()
}

/// Decrypts `body` and returns how much of it is content, if padding and MAC are right.
pub(crate) fn open_mac_then_encrypt(
    crypto: &dyn Crypto,
    mac_key: &[u8],
    key: &[u8],
    covered: &Covered<'_>,
    iv: &[u8],
    body: &mut [u8],
) -> Option<usize> {
    if body.len() < padded_len(MAC_LEN) || !body.len().is_multiple_of(BLOCK_LEN) {
        return None;
    }
    crypto.cbc_decrypt(key, iv.try_into().ok()?, body).ok()?;
    // From here on only the length of `body` may decide what is done; its bytes may not.
    let padding = *body.last()?;
    let most = body.len() - MAC_LEN;
    let padding_len = u32::from(padding) + 1;
    let mut good = !padding_len.ct_gt(&u32::try_from(most).ok()?);
    for (age, byte) in (1..).zip(body.iter().rev().take(PADDING_LEN_MAX)) {
        let age: u32 = age;
        let outside = age.ct_gt(&padding_len);
        good &= outside | byte.ct_eq(&padding);
    }
    // With bad padding the content is taken as if there were none; the answer is no in the end.
    let padding_len = u32::conditional_select(&0, &padding_len, good);
    let len = u32::try_from(most).ok()? - padding_len;
    let least = most.saturating_sub(PADDING_LEN_MAX);
    let mac = mac_of_secret_len(mac_key, covered, body, len, least..=most)?;
    good &= mac_at_secret_place(body, len, least..=most)?.ct_eq(&mac);
    bool::from(good).then_some(usize::try_from(len).ok()?)
}

/// HMAC over the first `len` bytes of `body`, in a time that depends on `lens` only.
fn mac_of_secret_len(
    mac_key: &[u8],
    covered: &Covered<'_>,
    body: &[u8],
    len: u32,
    lens: core::ops::RangeInclusive<usize>,
) -> Option<[u8; MAC_LEN]> {
    let mut prefix = covered.bytes(*lens.end())?;
    prefix.set_len_field(u16::try_from(len).ok()?);
    let mut key_block = Zeroizing::new([0x36; 64]);
    for (to, from) in key_block.iter_mut().zip(mac_key) {
        *to ^= from;
    }
    let mut running = Sha256::new();
    running.update(&*key_block);
    running.update(prefix.get());
    let (sure, unsure) = body.split_at_checked(*lens.start())?;
    running.update(sure);
    let mut inner = [0; MAC_LEN];
    let mut rest = unsure.iter();
    for candidate in lens {
        let hash = running.clone().finish();
        let is_it = u32::try_from(candidate).ok()?.ct_eq(&len);
        for (to, from) in inner.iter_mut().zip(hash) {
            to.conditional_assign(&from, is_it);
        }
        running.update(core::slice::from_ref(rest.next()?));
    }
    for byte in key_block.iter_mut() {
        *byte ^= 0x36 ^ 0x5c;
    }
    let mut outer = Sha256::new();
    outer.update(&*key_block);
    outer.update(&inner);
    Some(outer.finish())
}

/// The MAC that stands in `body` at `len`, in a time that depends on `lens` only.
fn mac_at_secret_place(
    body: &[u8],
    len: u32,
    lens: core::ops::RangeInclusive<usize>,
) -> Option<[u8; MAC_LEN]> {
    let mut mac = [0; MAC_LEN];
    for candidate in lens {
        let is_it = u32::try_from(candidate).ok()?.ct_eq(&len);
        let there = body.get(candidate..candidate + MAC_LEN)?;
        for (to, from) in mac.iter_mut().zip(there) {
            to.conditional_assign(from, is_it);
        }
    }
    Some(mac)
}

/// Pads the first `len` bytes behind the IV of `fragment`, encrypts them and adds the MAC (RFC 7366 §3).
pub(crate) fn seal_encrypt_then_mac(
    crypto: &dyn Crypto,
    mac_key: &[u8],
    key: &[u8],
    covered: &Covered<'_>,
    fragment: &mut [u8],
    len: usize,
) -> Option<()> {
    let covered_len = fragment.len().checked_sub(MAC_LEN)?;
    let (encrypted, mac) = fragment.split_at_mut_checked(covered_len)?;
    let (iv, body) = encrypted.split_at_mut_checked(BLOCK_LEN)?;
    pad(body, len)?;
    crypto.cbc_encrypt(key, (&*iv).try_into().ok()?, body).ok()?;
    let prefix = covered.bytes(covered_len)?;
    mac.copy_from_slice(&crypto.hmac_sha256(mac_key, &[prefix.get(), encrypted]));
    Some(())
}

/// Decrypts what lies between IV and MAC of `fragment` if the MAC is right, and returns how much of it is content.
pub(crate) fn open_encrypt_then_mac(
    crypto: &dyn Crypto,
    mac_key: &[u8],
    key: &[u8],
    covered: &Covered<'_>,
    fragment: &mut [u8],
) -> Option<usize> {
    let covered_len = fragment.len().checked_sub(MAC_LEN)?;
    let (encrypted, mac) = fragment.split_at_mut_checked(covered_len)?;
    let prefix = covered.bytes(covered_len)?;
    let expected = crypto.hmac_sha256(mac_key, &[prefix.get(), encrypted]);
    if !bool::from(expected.ct_eq(mac)) {
        return None;
    }
    let (iv, body) = encrypted.split_at_mut_checked(BLOCK_LEN)?;
    crypto.cbc_decrypt(key, (&*iv).try_into().ok()?, body).ok()?;
    // Authentic, so that nothing is learned from a wrong padding.
    let padding = *body.last()?;
    let len = body.len().checked_sub(usize::from(padding) + 1)?;
    let good = body.get(len..)?.iter().fold(Choice::from(1), |good, byte| good & byte.ct_eq(&padding));
    bool::from(good).then_some(len)
}
