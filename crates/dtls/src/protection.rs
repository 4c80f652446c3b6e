//! One epoch's keys in both directions, in raw form, and what they do to a fragment.
//!
//! ```text
//! AEAD               explicit nonce8 | ciphertext | tag
//! CBC                IV16 | blocks of (content | MAC32 | padding)
//! CBC, encrypt-then-MAC   IV16 | blocks of (content | padding) | MAC32
//! ```
//!
//! The content of a record with a connection ID is `content | real type | zeros`; that is for the caller to take apart.

use alloc::boxed::Box;
use core::ops::Range;

use lightship_platform::crypto::{Aead, Crypto};
use zeroize::Zeroize;

use crate::record::{ContentType, VERSION, write_header};
use crate::{Cid, Suite, cbc};

/// Which side of an association.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Role {
    /// The one that begins the handshake.
    Client,
    /// The other.
    Server,
}

impl Role {
    /// The other side.
    #[must_use]
    pub const fn peer(self) -> Self {
        match self {
            Self::Client => Self::Server,
            Self::Server => Self::Client,
        }
    }
}

/// The keys of both directions, as the schedule yields them (RFC 5246 §6.3), and our side: it seals with its own keys and opens
/// with the peer's.
pub(crate) enum Keys {
    /// For an algorithm that encrypts and authenticates.
    Aead {
        /// The algorithm.
        aead: Aead,
        /// Our side.
        role: Role,
        /// Client key 16, server key 16, client IV 4, server IV 4.
        block: [u8; 40],
    },
    /// For AES-CBC with HMAC.
    Cbc {
        /// In which order.
        order: Order,
        /// Our side.
        role: Role,
        /// Client MAC key 32, server MAC key 32, client key 16, server key 16.
        block: Box<[u8; 96]>,
    },
}

/// What comes first in the suites with CBC.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Order {
    /// AES-CBC over content and MAC (RFC 5246 §6.2.3.2).
    MacThenEncrypt,
    /// A MAC over AES-CBC (RFC 7366).
    EncryptThenMac,
}

/// What is said about a record to be sealed.
#[derive(Debug)]
pub(crate) struct Sealing<'a> {
    /// Epoch and sequence number.
    pub(crate) number: u64,
    /// What the record carries; with a connection ID this goes inside.
    pub(crate) content_type: ContentType,
    /// The peer's connection ID; empty for a record without.
    pub(crate) cid: &'a [u8],
    /// The explicit nonce or the IV, [`Keys::explicit_len`] bytes.
    pub(crate) explicit: &'a [u8],
}

impl Keys {
    /// Keys out of a key block that `fill` writes.
    pub(crate) fn derive(
        suite: Suite,
        encrypt_then_mac: bool,
        role: Role,
        fill: impl FnOnce(&mut [u8]),
    ) -> Self {
        let mut keys = match suite.aead() {
            Some(aead) => Self::Aead { aead, role, block: [0; 40] },
            None => {
                let order = if encrypt_then_mac { Order::EncryptThenMac } else { Order::MacThenEncrypt };
                Self::Cbc { order, role, block: Box::new([0; 96]) }
            }
        };
        fill(keys.block_mut());
        keys
    }

    /// The key block.
    pub(crate) fn block(&self) -> &[u8] {
        match self {
            Self::Aead { block, .. } => block,
            Self::Cbc { block, .. } => block.as_slice(),
        }
    }

    pub(crate) fn block_mut(&mut self) -> &mut [u8] {
        match self {
            Self::Aead { block, .. } => block,
            Self::Cbc { block, .. } => block.as_mut_slice(),
        }
    }

    /// Our side.
    pub(crate) const fn role(&self) -> Role {
        match self {
            Self::Aead { role, .. } | Self::Cbc { role, .. } => *role,
        }
    }

    /// Length of the explicit nonce or IV in each fragment, in bytes.
    #[must_use]
    pub(crate) const fn explicit_len(&self) -> usize {
        match self {
            Self::Aead { .. } => 8,
            Self::Cbc { .. } => cbc::BLOCK_LEN,
        }
    }

    /// Whether what is explicit must be random instead of merely unused.
    #[must_use]
    pub(crate) const fn explicit_is_random(&self) -> bool {
        matches!(self, Self::Cbc { .. })
    }

    /// The most bytes that follow the content: tag, or MAC and padding.
    #[must_use]
    pub(crate) const fn trailer_len_max(&self) -> usize {
        match self {
            Self::Aead { aead, .. } => aead.tag_len(),
            Self::Cbc { .. } => cbc::MAC_LEN + cbc::BLOCK_LEN,
        }
    }

    /// Makes a record of the content that lies behind the room for header and explicit part, and returns the record's length;
    /// `None` if the room does not suffice.
    #[must_use]
    #[inline]
    pub(crate) fn seal(
        &self,
        crypto: &dyn Crypto,
        sealing: &Sealing<'_>,
        buffer: &mut [u8],
        len: usize,
    ) -> Option<usize> {
        let with_cid = !sealing.cid.is_empty();
        let outer_type = if with_cid { ContentType::Cid } else { sealing.content_type };
        let inner_len = len + usize::from(with_cid);
        let explicit_len = self.explicit_len();
        let fragment_len = explicit_len
            + match self {
                Self::Aead { aead, .. } => inner_len + aead.tag_len(),
                Self::Cbc { order: Order::MacThenEncrypt, .. } => cbc::padded_len(inner_len + cbc::MAC_LEN),
                Self::Cbc { order: Order::EncryptThenMac, .. } => cbc::padded_len(inner_len) + cbc::MAC_LEN,
            };
        let header_len = write_header(buffer, outer_type, sealing.number, sealing.cid, fragment_len)?;
        let fragment = buffer.get_mut(header_len..header_len + fragment_len)?;
        let (explicit, body) = fragment.split_at_mut_checked(explicit_len)?;
        match (explicit.first_chunk_mut::<8>(), sealing.explicit.first_chunk::<8>()) {
            (Some(to), Some(from)) if explicit_len == 8 => *to = *from,
            _ => explicit.copy_from_slice(sealing.explicit.get(..explicit_len)?),
        }
        if with_cid {
            *body.get_mut(len)? = sealing.content_type as u8;
        }
        let (mac_key, key, iv) = self.of(self.role())?;
        let covered = Covered { number: sealing.number, content_type: outer_type, cid: sealing.cid };
        match self {
            Self::Aead { aead, .. } => {
                let (inner, tag) = body.split_at_mut_checked(inner_len)?;
                let aad = covered.bytes(inner_len)?;
                let made = crypto.seal(*aead, key, &nonce(iv, explicit)?, aad.get(), inner).ok()?;
                match (tag.as_mut_array::<8>(), made.first_chunk()) {
                    (Some(tag), Some(made)) => *tag = *made,
                    _ => tag.copy_from_slice(made.get(..aead.tag_len())?),
                }
            }
            Self::Cbc { order: Order::MacThenEncrypt, .. } => {
                cbc::seal_mac_then_encrypt(crypto, mac_key, key, &covered, explicit, body, inner_len)?;
            }
            Self::Cbc { order: Order::EncryptThenMac, .. } => {
                cbc::seal_encrypt_then_mac(crypto, mac_key, key, &covered, fragment, inner_len)?;
            }
        }
        Some(header_len + fragment_len)
    }

    /// Authenticates a received fragment and decrypts it in place; returns where its content lies. `None` if it is not
    /// authentic; the fragment's bytes are undefined then.
    #[must_use]
    pub(crate) fn open(
        &self,
        crypto: &dyn Crypto,
        number: u64,
        outer_type: ContentType,
        cid: &[u8],
        fragment: &mut [u8],
    ) -> Option<Range<usize>> {
        let (mac_key, key, iv) = self.of(self.role().peer())?;
        let covered = Covered { number, content_type: outer_type, cid };
        let explicit_len = self.explicit_len();
        match self {
            Self::Aead { aead, .. } => {
                let (explicit, body) = fragment.split_at_mut_checked(explicit_len)?;
                let inner_len = body.len().checked_sub(aead.tag_len())?;
                let (inner, tag) = body.split_at_mut_checked(inner_len)?;
                let aad = covered.bytes(inner_len)?;
                // What was explicit is taken from the wire: peers need not make it of the record's number.
                crypto.open(*aead, key, &nonce(iv, explicit)?, aad.get(), inner, tag).ok()?;
                Some(explicit_len..explicit_len + inner_len)
            }
            Self::Cbc { order: Order::MacThenEncrypt, .. } => {
                let (explicit, body) = fragment.split_at_mut_checked(explicit_len)?;
                let len = cbc::open_mac_then_encrypt(crypto, mac_key, key, &covered, explicit, body)?;
                Some(explicit_len..explicit_len + len)
            }
            Self::Cbc { order: Order::EncryptThenMac, .. } => {
                let len = cbc::open_encrypt_then_mac(crypto, mac_key, key, &covered, fragment)?;
                Some(explicit_len..explicit_len + len)
            }
        }
    }

    /// MAC key, key and IV of what `sender` seals; the first or the last is empty.
    fn of(&self, sender: Role) -> Option<(&[u8], &[u8], &[u8])> {
        let second = usize::from(sender == Role::Server);
        match self {
            Self::Aead { block, .. } => {
                let key = 16 * second;
                let iv = 32 + 4 * second;
                Some((&[], block.get(key..key + 16)?, block.get(iv..iv + 4)?))
            }
            Self::Cbc { block, .. } => {
                let mac = 32 * second;
                let key = 64 + 16 * second;
                Some((block.get(mac..mac + 32)?, block.get(key..key + 16)?, &[]))
            }
        }
    }
}

impl Drop for Keys {
    fn drop(&mut self) {
        self.block_mut().zeroize();
    }
}

impl core::fmt::Debug for Keys {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        match self {
            Self::Aead { aead, role, .. } => write!(f, "Keys({aead:?}, {role:?})"),
            Self::Cbc { order, role, .. } => write!(f, "Keys({order:?}, {role:?})"),
        }
    }
}

/// The nonce of an AEAD: what is secret, then what is explicit (RFC 5288 §3, RFC 6655 §3).
fn nonce(iv: &[u8], explicit: &[u8]) -> Option<[u8; 12]> {
    // Lengths that are known when this is compiled: copies of a few bytes are no calls then.
    let implicit: &[u8; 4] = iv.try_into().ok()?;
    let explicit: &[u8; 8] = explicit.try_into().ok()?;
    let mut nonce = [0; 12];
    *nonce.first_chunk_mut()? = *implicit;
    *nonce.last_chunk_mut()? = *explicit;
    Some(nonce)
}

/// What authentication covers besides the content.
pub(crate) struct Covered<'a> {
    /// Epoch and sequence number.
    pub(crate) number: u64,
    /// The type in the header.
    pub(crate) content_type: ContentType,
    /// The connection ID in the header, if the type is [`ContentType::Cid`].
    pub(crate) cid: &'a [u8],
}

/// Additional data of an AEAD, or what a MAC begins with.
pub(crate) struct Aad {
    bytes: [u8; 23 + Cid::LEN_MAX],
    len: usize,
}

impl Aad {
    pub(crate) fn get(&self) -> &[u8] {
        self.bytes.get(..self.len).unwrap_or_default()
    }

    /// Overwrites the length at the end.
    pub(crate) fn set_len_field(&mut self, len: u16) {
        if let Some(field) = self.len.checked_sub(2).and_then(|at| self.bytes.get_mut(at..at + 2)) {
            field.copy_from_slice(&len.to_be_bytes());
        }
    }

    #[inline]
    fn push(&mut self, part: &[u8]) -> Option<()> {
        self.bytes.get_mut(self.len..self.len + part.len())?.copy_from_slice(part);
        self.len += part.len();
        Some(())
    }
}

impl Covered<'_> {
    /// The bytes for content of `len` bytes: RFC 5246 §6.2.3.3 without, RFC 9146 §5 with a connection ID.
    #[inline]
    pub(crate) fn bytes(&self, len: usize) -> Option<Aad> {
        let len = u16::try_from(len).ok()?.to_be_bytes();
        let number = self.number.to_be_bytes();
        let outer_type = self.content_type as u8;
        let mut aad = Aad { bytes: [0; 23 + Cid::LEN_MAX], len: 0 };
        let [version_1, version_2] = VERSION;
        if self.content_type == ContentType::Cid {
            let cid = self.cid;
            aad.push(&[0xff; 8])?;
            aad.push(&[outer_type, u8::try_from(cid.len()).ok()?, outer_type, version_1, version_2])?;
            aad.push(&number)?;
            aad.push(cid)?;
        } else {
            aad.push(&number)?;
            aad.push(&[outer_type, version_1, version_2])?;
        }
        aad.push(&len)?;
        Some(aad)
    }
}
