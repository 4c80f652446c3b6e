//! A session as bytes, for a planned hand-over from one process to the next.
//!
//! ```text
//! format1 = 2 | protection1 | role1 | flags1 | next sequence8 | window16 | failures4 | peer limit2 | own limit2
//!   | own cid len1 | own cid | peer cid len1 | peer cid | key block (40 or 96)
//! ```

use alloc::vec::Vec;

use lightship_platform::crypto::Aead;

use super::{Cids, OwnTerms, Session};
use crate::Cid;
use crate::protection::{Keys, Order, Role};
use crate::record::{PLAIN_LEN_MAX, SEQUENCE_MAX};
use crate::window::Window;

/// The first byte; another layout gets another.
const FORMAT: u8 = 2;
const FLAG_RETURN_ROUTABILITY: u8 = 1;

impl Session {
    /// The session as bytes, which hold keys. It is consumed: a record number must never be used twice.
    #[must_use]
    pub(crate) fn freeze(self) -> Vec<u8> {
        let protection = match &self.keys {
            Keys::Aead { aead: Aead::Aes128Ccm8, .. } => 0,
            Keys::Aead { aead: Aead::Aes128Ccm, .. } => 1,
            Keys::Aead { .. } => 2,
            Keys::Cbc { order: Order::MacThenEncrypt, .. } => 3,
            Keys::Cbc { order: Order::EncryptThenMac, .. } => 4,
        };
        let role = match self.role() {
            Role::Client => 0,
            Role::Server => 1,
        };
        let flags = if self.return_routability() { FLAG_RETURN_ROUTABILITY } else { 0 };
        // With the whole room at once no copy with keys is left behind by growing.
        let mut bytes = Vec::with_capacity(38 + 2 * Cid::LEN_MAX + self.keys.block().len());
        bytes.extend_from_slice(&[FORMAT, protection, role, flags]);
        bytes.extend_from_slice(&self.next_sequence.to_be_bytes());
        bytes.extend_from_slice(&self.window.to_bytes());
        bytes.extend_from_slice(&self.failures.to_be_bytes());
        bytes.extend_from_slice(&self.peer_limit.to_be_bytes());
        bytes.extend_from_slice(&u16::try_from(self.own.limit()).unwrap_or_default().to_be_bytes());
        for cid in [self.cids.own(), self.cids.peer()] {
            bytes.push(u8::try_from(cid.len()).unwrap_or_default());
            bytes.extend_from_slice(cid);
        }
        bytes.extend_from_slice(self.keys.block());
        bytes
    }

    /// A session out of the bytes of [`Session::freeze`]; `None` if they are not such bytes.
    #[must_use]
    pub(crate) fn thaw(frozen: &[u8]) -> Option<Self> {
        let mut rest = frozen;
        let [FORMAT, protection, role, flags] = take(&mut rest)? else { return None };
        let role = match role {
            0 => Role::Client,
            1 => Role::Server,
            _ => return None,
        };
        let return_routability = match flags {
            0 => false,
            FLAG_RETURN_ROUTABILITY => true,
            _ => return None,
        };
        let next_sequence = u64::from_be_bytes(take(&mut rest)?);
        let window = Window::from_bytes(take(&mut rest)?)?;
        let failures = u32::from_be_bytes(take(&mut rest)?);
        let peer_limit = u16::from_be_bytes(take(&mut rest)?);
        let own_limit = u16::from_be_bytes(take(&mut rest)?);
        let own_cid = take_cid(&mut rest)?;
        let peer_cid = take_cid(&mut rest)?;
        if next_sequence > SEQUENCE_MAX + 1 || usize::from(peer_limit.max(own_limit)) > PLAIN_LEN_MAX {
            return None;
        }
        let aead = |aead| Some(Keys::Aead { aead, role, block: rest.try_into().ok()? });
        let cbc =
            |order| Some(Keys::Cbc { order, role, block: alloc::boxed::Box::new(rest.try_into().ok()?) });
        let keys = match protection {
            0 => aead(Aead::Aes128Ccm8),
            1 => aead(Aead::Aes128Ccm),
            2 => aead(Aead::Aes128Gcm),
            3 => cbc(Order::MacThenEncrypt),
            4 => cbc(Order::EncryptThenMac),
            _ => None,
        }?;
        let cids = Cids::new(&own_cid, &peer_cid);
        let own = OwnTerms::new(own_limit, return_routability);
        Some(Self { keys, cids, window, next_sequence, failures, peer_limit, own })
    }
}

fn take<const N: usize>(rest: &mut &[u8]) -> Option<[u8; N]> {
    let (first, others) = rest.split_first_chunk()?;
    *rest = others;
    Some(*first)
}

fn take_cid(rest: &mut &[u8]) -> Option<Cid> {
    let [len] = take(rest)?;
    let (first, others) = rest.split_at_checked(usize::from(len))?;
    *rest = others;
    Cid::new(first)
}
