//! AES-128-CCM (RFC 3610, SP 800-38C) with nonces of 12 bytes: the cipher of RustCrypto in a mode made for short records.
//!
//! Each call of the cipher finds out which instructions the processor has and, with the widest ones, spreads the round
//! keys for them. So it is called once for a record, and the mode works inside that call with what the cipher hands out. It goes
//! through the record once: the block that encrypts a part of the content waits for nothing, so the processor works on it beside
//! the block that authenticates the part, each of which waits for the one before.

#[cfg(feature = "fast-crypto")]
use core::mem::ManuallyDrop;
#[cfg(feature = "fast-crypto")]
use std::sync::LazyLock;

use aes::cipher::consts::U16;
use aes::cipher::{BlockCipherEncBackend, BlockCipherEncClosure, BlockCipherEncrypt, BlockSizeUser, KeyInit};
use aes::{Aes128Enc, Block};
use subtle::{Choice, ConstantTimeEq};

use super::CryptoError;

/// Encrypts in place; the tag has so many bytes, the rest is zero.
#[inline(never)]
pub(super) fn seal<const TAG_LEN: u8>(
    key: &[u8],
    nonce: &[u8; 12],
    aad: &[u8],
    buffer: &mut [u8],
) -> Result<[u8; 16], CryptoError> {
    let schedule = Schedule::new(key)?;
    let lengths = Lengths::new::<TAG_LEN>(aad, buffer)?;
    let mut tag = [0; 16];
    schedule.cipher().encrypt_with_backend(Work::<true> { lengths, nonce, aad, buffer, tag: &mut tag });
    cut::<TAG_LEN>(&mut tag);
    Ok(tag)
}

/// Decrypts in place if the tag matches; nothing is left of what was not authentic.
#[inline(never)]
pub(super) fn open<const TAG_LEN: u8>(
    key: &[u8],
    nonce: &[u8; 12],
    aad: &[u8],
    buffer: &mut [u8],
    tag: &[u8],
) -> Result<(), CryptoError> {
    let schedule = Schedule::new(key)?;
    let lengths = Lengths::new::<TAG_LEN>(aad, buffer)?;
    let mut made = [0; 16];
    schedule.cipher().encrypt_with_backend(Work::<false> { lengths, nonce, aad, buffer, tag: &mut made });
    let mut given = [0; 16];
    if tag.len() == usize::from(TAG_LEN) {
        fill(&mut given, 0, tag);
        cut::<TAG_LEN>(&mut made);
        if is_same(&given, &made) {
            return Ok(());
        }
    }
    buffer.fill(0);
    Err(CryptoError)
}

/// A key's schedule, which leaves nothing of it in memory.
#[cfg(not(feature = "fast-crypto"))]
struct Schedule(Aes128Enc);

#[cfg(not(feature = "fast-crypto"))]
impl Schedule {
    fn new(key: &[u8]) -> Result<Self, CryptoError> {
        Ok(Self(Aes128Enc::new_from_slice(key).map_err(|_| CryptoError)?))
    }

    fn cipher(&self) -> &Aes128Enc {
        &self.0
    }
}

/// The same where there is a standard library: the cipher's own way to forget writes byte by byte, which takes a sixth of what
/// a short record takes. So what it leaves behind is overwritten by the schedule of a key that everybody knows.
#[cfg(feature = "fast-crypto")]
struct Schedule(ManuallyDrop<Aes128Enc>);

#[cfg(feature = "fast-crypto")]
impl Schedule {
    #[inline(always)]
    fn new(key: &[u8]) -> Result<Self, CryptoError> {
        let key: &[u8; 16] = key.try_into().map_err(|_| CryptoError)?;
        Ok(Self(ManuallyDrop::new(Aes128Enc::new(key.into()))))
    }

    #[inline(always)]
    fn cipher(&self) -> &Aes128Enc {
        &self.0
    }
}

#[cfg(feature = "fast-crypto")]
impl Drop for Schedule {
    #[inline(always)]
    fn drop(&mut self) {
        static BLANK: LazyLock<Aes128Enc> = LazyLock::new(|| Aes128Enc::new(&[0; 16].into()));
        self.0 = ManuallyDrop::new(BLANK.clone());
        zeroize::optimization_barrier(&self.0);
    }
}

/// Leaves so many bytes of a tag, and zeros.
#[inline(always)]
fn cut<const TAG_LEN: u8>(tag: &mut [u8; 16]) {
    if let Some((_, rest)) = tag.split_at_mut_checked(TAG_LEN.into()) {
        rest.fill(0);
    }
}

/// Whether two tags are the same, in constant time: by halves, which is one look at each.
#[inline(always)]
fn is_same(one: &[u8; 16], other: &[u8; 16]) -> bool {
    let halves = one.as_chunks().0.iter().zip(other.as_chunks().0);
    let same = halves.map(|(one, other)| u64::from_ne_bytes(*one).ct_eq(&u64::from_ne_bytes(*other)));
    same.fold(Choice::from(1), |all, half| all & half).into()
}

/// What the first blocks say of the record: how long its parts are.
struct Lengths {
    flags: u8,
    content: [u8; 3],
    aad: u16,
}

/// From here on the length of additional data is written in another way, which nobody needs.
const AAD_END: u16 = 0xff00;
/// How many bytes a block has beside flags and nonce: for the length of the content, or for the number of the block.
const LENGTH_LEN: u8 = 3;

impl Lengths {
    #[inline(always)]
    fn new<const TAG_LEN: u8>(aad: &[u8], content: &[u8]) -> Result<Self, CryptoError> {
        const { assert!(TAG_LEN >= 4 && TAG_LEN <= 16 && TAG_LEN.is_multiple_of(2)) };
        let [0, content @ ..] = u32::try_from(content.len()).map_err(|_| CryptoError)?.to_be_bytes() else {
            return Err(CryptoError);
        };
        let aad = u16::try_from(aad.len()).ok().filter(|len| *len < AAD_END).ok_or(CryptoError)?;
        let has_aad = if aad == 0 { 0 } else { 0x40 };
        Ok(Self { flags: has_aad | (((TAG_LEN - 2) / 2) << 3) | (LENGTH_LEN - 1), content, aad })
    }
}

/// The work on one record, inside a call of the cipher.
struct Work<'a, const SEALS: bool> {
    lengths: Lengths,
    nonce: &'a [u8; 12],
    aad: &'a [u8],
    buffer: &'a mut [u8],
    tag: &'a mut [u8; 16],
}

impl<const SEALS: bool> BlockSizeUser for Work<'_, SEALS> {
    type BlockSize = U16;
}

impl<const SEALS: bool> BlockCipherEncClosure for Work<'_, SEALS> {
    #[inline(always)]
    fn call<B: BlockCipherEncBackend<BlockSize = U16>>(self, cipher: &B) {
        let Lengths { flags, content, aad: aad_len } = self.lengths;
        let encrypt = |mut block: [u8; 16]| {
            cipher.encrypt_block(<&mut Block>::from(&mut block).into());
            block
        };
        let mut staged = [0; 64];
        put(&mut staged, (flags, self.nonce, content));
        let mut counter = [0; 16];
        put(&mut counter, (LENGTH_LEN - 1, self.nonce, [0; 3]));
        // What hides the tag.
        let hides = encrypt(counter);
        let mut mac = [0; 16];
        let mut filled = 16;
        if aad_len > 0 {
            fill(&mut staged, 16, &aad_len.to_be_bytes());
            filled = 18;
        }
        let mut rest = self.aad;
        loop {
            let (now, later) = rest.split_at_checked(staged.len() - filled).unwrap_or((rest, &[]));
            fill(&mut staged, filled, now);
            for block in staged.as_chunks().0.iter().take((filled + now.len()).div_ceil(16)) {
                mac = encrypt(xor(&mac, block));
            }
            if later.is_empty() {
                break;
            }
            (staged, filled, rest) = ([0; 64], 0, later);
        }
        for (part, number) in self.buffer.chunks_mut(16).zip(1_u32..) {
            let [_, number @ ..] = number.to_be_bytes();
            put(&mut counter, (LENGTH_LEN - 1, self.nonce, number));
            let before = padded(part);
            let after = xor(&encrypt(counter), &before);
            copy(part, &after);
            let plain = if SEALS { before } else { padded(part) };
            mac = encrypt(xor(&mac, &plain));
        }
        *self.tag = xor(&mac, &hides);
    }
}

/// Writes a first block, or a counter, to the front.
#[inline(always)]
fn put(place: &mut [u8], (first, nonce, last): (u8, &[u8; 12], [u8; 3])) {
    fill(place, 0, &[first]);
    fill(place, 1, nonce);
    fill(place, 13, &last);
}

/// Writes bytes to a place in a buffer that has room for them.
#[inline(always)]
fn fill(buffer: &mut [u8], at: usize, bytes: &[u8]) {
    if let Some(place) = buffer.get_mut(at..at + bytes.len()) {
        place.copy_from_slice(bytes);
    }
}

/// A block of up to 16 bytes, and zeros.
#[inline(always)]
fn padded(part: &[u8]) -> [u8; 16] {
    part.as_array().copied().unwrap_or_else(|| {
        let mut block = [0; 16];
        fill(&mut block, 0, part);
        block
    })
}

/// As many bytes of a block as there is room for.
#[inline(always)]
fn copy(part: &mut [u8], block: &[u8; 16]) {
    match part.as_mut_array() {
        Some(whole) => *whole = *block,
        None => part.copy_from_slice(block.get(..part.len()).unwrap_or_default()),
    }
}

#[inline(always)]
fn xor(one: &[u8; 16], other: &[u8; 16]) -> [u8; 16] {
    let mut both = *one;
    for (to, from) in both.iter_mut().zip(other) {
        *to ^= from;
    }
    both
}

#[cfg(test)]
mod tests {
    use alloc::vec;
    use alloc::vec::Vec;

    use ccm::aead::AeadInOut;
    use ccm::consts::{U8, U12, U16};
    use ccm::{Ccm, KeyInit};
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn every_length_gives_what_another_implementation_gives(
            key: [u8; 16],
            nonce: [u8; 12],
            aad in proptest::collection::vec(any::<u8>(), 0..200),
            content in proptest::collection::vec(any::<u8>(), 0..200),
            flip in 0_usize..10_000,
        ) {
            let (mut expected, mut sealed) = (content.clone(), content.clone());
            let mode = Ccm::<Aes128Enc, U8, U12>::new(&key.into());
            let tag = mode.encrypt_inout_detached(&nonce.into(), &aad, expected.as_mut_slice().into()).unwrap();
            let made = seal::<8>(&key, &nonce, &aad, &mut sealed).unwrap();
            prop_assert_eq!((&expected, tag.as_slice(), [0; 8].as_slice()), (&sealed, &made[..8], &made[8..]));
            let mut wide = content.clone();
            let mode = Ccm::<Aes128Enc, U16, U12>::new(&key.into());
            let tag = mode.encrypt_inout_detached(&nonce.into(), &aad, wide.as_mut_slice().into()).unwrap();
            let mut sealed_wide = content.clone();
            let made_wide = seal::<16>(&key, &nonce, &aad, &mut sealed_wide).unwrap();
            prop_assert_eq!((&wide, tag.as_slice()), (&sealed_wide, made_wide.as_slice()));
            open::<16>(&key, &nonce, &aad, &mut sealed_wide, &made_wide).unwrap();
            prop_assert_eq!(&sealed_wide, &content);
            let mut opened = sealed.clone();
            open::<8>(&key, &nonce, &aad, &mut opened, &made[..8]).unwrap();
            prop_assert_eq!(&opened, &content);
            // One bit of the whole, wherever: nothing is opened, and nothing is left.
            let mut parts = [aad, sealed, made[..8].to_vec()];
            let mut at = flip % (8 * parts.iter().map(Vec::len).sum::<usize>());
            for part in &mut parts {
                match part.get_mut(at / 8) {
                    Some(byte) => {
                        *byte ^= 1 << (at % 8);
                        break;
                    }
                    None => at -= 8 * part.len(),
                }
            }
            let [aad, mut sealed, tag] = parts;
            prop_assert_eq!(open::<8>(&key, &nonce, &aad, &mut sealed, &tag), Err(CryptoError));
            prop_assert!(sealed.iter().all(|byte| *byte == 0));
        }
    }

    #[test]
    fn keys_tags_and_lengths_that_are_none_are_refused() {
        let nonce = [0; 12];
        assert_eq!(seal::<8>(&[0; 15], &nonce, &[], &mut []), Err(CryptoError));
        assert_eq!(open::<8>(&[0; 16], &nonce, &[], &mut [], &[0; 16]), Err(CryptoError));
        assert_eq!(seal::<8>(&[0; 16], &nonce, &[0; 0xff00], &mut []), Err(CryptoError));
        assert!(seal::<8>(&[0; 16], &nonce, &[0; 0xfeff], &mut []).is_ok());
        assert_eq!(seal::<8>(&[0; 16], &nonce, &[], &mut vec![0; 1 << 24]), Err(CryptoError));
    }
}
