//! What is kept of an established association: keys, numbers, window, connection IDs.

use alloc::boxed::Box;
use core::ops::Range;

use lightship_platform::Rng;
use lightship_platform::crypto::{Aead, Crypto};

use crate::protection::{Keys, Role, Sealing};
use crate::record::{ContentType, HEADER_LEN, Header, PLAIN_LEN_MAX, SEQUENCE_MAX};
use crate::window::Window;
use crate::{Cid, DropReason, SealError, Wear};

mod frozen;
#[cfg(test)]
mod tests;

/// The epoch of the only keys of an association: renegotiation is refused.
pub(crate) const EPOCH: u16 = 1;

/// One association's records under its keys, in both directions. There are millions of these on a server: what it costs is
/// tested.
#[derive(Debug)]
pub(crate) struct Session {
    keys: Keys,
    cids: Cids,
    window: Window,
    /// The sequence number of the next record we seal; more than [`SEQUENCE_MAX`] if there is none left.
    next_sequence: u64,
    /// Records that did not authenticate.
    failures: u32,
    /// The longest plaintext that the peer takes.
    peer_limit: u16,
    own: OwnTerms,
}

/// What the hellos agreed upon about records.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Terms {
    /// What the peer puts into its records; empty for none.
    pub(crate) own_cid: Cid,
    /// What we put into our records; empty for none.
    pub(crate) peer_cid: Cid,
    /// The longest plaintext that the peer takes, in bytes, by its record size limit (RFC 8449) or the maximum fragment length
    /// (RFC 6066 §4); `None` for what every record may have.
    pub(crate) peer_limit: Option<u16>,
    /// The longest plaintext that we take, as we have told the peer in the same way; `None` for what every record may have.
    pub(crate) own_limit: Option<u16>,
    /// Whether return routability checks are done (RFC 9853 §3).
    pub(crate) return_routability: bool,
}

/// What holds on our side: the longest plaintext that we take, and, in the highest bit, whether return routability checks are done.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
struct OwnTerms(u16);

impl OwnTerms {
    const RETURN_ROUTABILITY: u16 = 1 << 15;

    fn new(limit: u16, return_routability: bool) -> Self {
        let flag = if return_routability { Self::RETURN_ROUTABILITY } else { 0 };
        Self(limit.min(u16::try_from(PLAIN_LEN_MAX).unwrap_or(u16::MAX)) | flag)
    }

    fn limit(self) -> usize {
        usize::from(self.0 & !Self::RETURN_ROUTABILITY)
    }

    const fn return_routability(self) -> bool {
        self.0 & Self::RETURN_ROUTABILITY != 0
    }
}

/// A record that was authentic.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Opened {
    /// What it carries, never [`ContentType::Cid`].
    pub(crate) content_type: ContentType,
    /// Where its content lies in the datagram.
    pub(crate) range: Range<usize>,
    /// Whether no authentic record before was newer.
    pub(crate) newest: bool,
}

impl Session {
    /// A session that has neither sent nor received.
    #[must_use]
    pub(crate) fn new(keys: Keys, terms: &Terms) -> Self {
        let most = u16::try_from(PLAIN_LEN_MAX).unwrap_or(u16::MAX);
        Self {
            keys,
            cids: Cids::new(&terms.own_cid, &terms.peer_cid),
            window: Window::default(),
            next_sequence: 0,
            failures: 0,
            peer_limit: terms.peer_limit.map_or(most, |limit| limit.min(most)),
            own: OwnTerms::new(terms.own_limit.unwrap_or(most), terms.return_routability),
        }
    }

    /// Our side.
    pub(crate) const fn role(&self) -> Role {
        self.keys.role()
    }

    /// The connection ID in records to us; empty for none.
    pub(crate) fn own_cid(&self) -> &[u8] {
        self.cids.own()
    }

    /// The connection ID in our records; empty for none.
    pub(crate) fn peer_cid(&self) -> &[u8] {
        self.cids.peer()
    }

    /// Whether return routability checks are done.
    pub(crate) const fn return_routability(&self) -> bool {
        self.own.return_routability()
    }

    /// How many records did not authenticate.
    pub(crate) const fn failures(&self) -> u32 {
        self.failures
    }

    /// How far the keys are used up (RFC 9147 §4.5.3, which DTLS 1.2 borrows).
    pub(crate) const fn wear(&self, records_max: u64) -> Wear {
        let limits = Limits::of(&self.keys);
        let sealed = if records_max < limits.sealed { records_max } else { limits.sealed };
        if self.next_sequence >= sealed || self.failures >= limits.failed {
            Wear::Out
        } else if self.next_sequence >= sealed / 4 * 3 || self.failures >= limits.failed / 4 * 3 {
            Wear::Worn
        } else if self.failures >= limits.suspicious {
            Wear::Suspicious
        } else {
            Wear::Fresh
        }
    }

    /// Whether nothing more may be sealed when so many records are allowed.
    pub(crate) const fn is_used_up(&self, records_max: u64) -> bool {
        self.next_sequence >= records_max
    }

    /// How many bytes stand before the content in a record of ours.
    #[must_use]
    pub(crate) fn headroom(&self) -> usize {
        HEADER_LEN + self.peer_cid().len() + self.keys.explicit_len()
    }

    /// The longest plaintext that the peer takes, if that is less than every record may have.
    #[must_use]
    pub(crate) fn peer_limit(&self) -> Option<u16> {
        Some(self.peer_limit).filter(|limit| usize::from(*limit) < PLAIN_LEN_MAX)
    }

    /// How many bytes a record of ours takes at most besides its content.
    #[must_use]
    pub(crate) fn overhead_max(&self) -> usize {
        self.headroom() + self.keys.trailer_len_max() + usize::from(!self.peer_cid().is_empty())
    }

    /// The longest content of a record that the peer takes, in bytes.
    #[must_use]
    pub(crate) fn content_len_max(&self) -> usize {
        // RFC 9146 does not say whether the inner content type counts against RFC 8449's limit; as if it did suits everybody.
        usize::from(self.peer_limit).saturating_sub(usize::from(!self.peer_cid().is_empty()))
    }

    /// Authenticates and decrypts a record in place. Nothing changes unless it is authentic, but for the count of failures.
    ///
    /// # Errors
    /// Why it is to be dropped.
    pub(crate) fn open(
        &mut self,
        crypto: &dyn Crypto,
        datagram: &mut [u8],
        header: &Header,
    ) -> Result<Opened, DropReason> {
        if header.epoch() != EPOCH {
            return Err(DropReason::Epoch);
        }
        let own_cid = self.cids.own();
        let with_cid = header.content_type == ContentType::Cid;
        if with_cid == own_cid.is_empty() {
            return Err(DropReason::ConnectionId);
        }
        let cid = datagram.get(header.cid.clone()).unwrap_or_default();
        // It is no secret: everybody on the way reads it.
        if with_cid && cid != own_cid {
            return Err(DropReason::ConnectionId);
        }
        if !self.window.admits(header.sequence()) {
            return Err(DropReason::Replayed);
        }
        if self.failures >= Limits::of(&self.keys).failed {
            return Err(DropReason::BadMac);
        }
        let fragment = datagram.get_mut(header.fragment.clone()).ok_or(DropReason::Malformed)?;
        let Some(inner) = self.keys.open(crypto, header.number, header.content_type, own_cid, fragment)
        else {
            self.failures = self.failures.saturating_add(1);
            return Err(DropReason::BadMac);
        };
        let plain = fragment.get(inner.clone()).unwrap_or_default();
        let (content_type, len) =
            if with_cid { unpad(plain) } else { (Some(header.content_type), plain.len()) };
        // It is authentic, so it counts as seen even if nobody can use it.
        let newest = self.window.remember(header.sequence());
        // RFC 8449 §4 leaves it to us whether a record longer than we said is dropped or ends the association.
        if len > self.own.limit() {
            return Err(DropReason::TooLong);
        }
        let start = header.fragment.start + inner.start;
        let content_type = content_type.ok_or(DropReason::Malformed)?;
        Ok(Opened { content_type, range: start..start + len, newest })
    }

    /// Makes a record of the content at `buffer[headroom..headroom + len]` and returns the record's length; it begins at 0.
    ///
    /// # Errors
    /// If the room does not suffice, the content is longer than the peer takes, or the keys are used up.
    pub(crate) fn seal(
        &mut self,
        crypto: &dyn Crypto,
        rng: &mut dyn Rng,
        content_type: ContentType,
        buffer: &mut [u8],
        len: usize,
    ) -> Result<usize, SealError> {
        if len > self.content_len_max() {
            return Err(SealError::TooLong);
        }
        if self.next_sequence >= Limits::of(&self.keys).sealed {
            return Err(SealError::Exhausted);
        }
        let number = u64::from(EPOCH) << 48 | self.next_sequence;
        let mut explicit = [0; 16];
        let explicit = explicit.get_mut(..self.keys.explicit_len()).unwrap_or_default();
        if self.keys.explicit_is_random() {
            rng.fill(explicit);
        } else {
            explicit.copy_from_slice(&number.to_be_bytes());
        }
        let sealing = Sealing { number, content_type, cid: self.cids.peer(), explicit };
        let end = self.keys.seal(crypto, &sealing, buffer, len).ok_or(SealError::TooLong)?;
        self.next_sequence += 1;
        Ok(end)
    }
}

/// The real type and the length of the content of a record with a connection ID: `content | type | zeros` (RFC 9146 §4).
pub(crate) fn unpad(plain: &[u8]) -> (Option<ContentType>, usize) {
    match plain.iter().rposition(|&byte| byte != 0) {
        None => (None, 0),
        Some(at) => {
            let number = plain.get(at).copied().unwrap_or_default();
            let content_type = ContentType::from_number(number).filter(|real| *real != ContentType::Cid);
            (content_type, at)
        }
    }
}

/// When keys are used up.
struct Limits {
    /// Sealed records, at most all numbers of an epoch.
    sealed: u64,
    /// Records that failed to authenticate.
    failed: u32,
    /// Records that failed to authenticate, from which on somebody should look.
    suspicious: u32,
}

impl Limits {
    /// 2^24.5 records with GCM and 2^23 with CCM; 2^23.5 failures with CCM and as good as none with GCM (RFC 9147 §4.5.3). With
    /// eight bytes of tag 2^7 failures are already suspicious, but ending there would let anybody end any association.
    const fn of(keys: &Keys) -> Self {
        match keys {
            Keys::Aead { aead: Aead::Aes128Ccm8, .. } => {
                Self { sealed: 1 << 23, failed: 11_863_283, suspicious: 1 << 7 }
            }
            Keys::Aead { aead: Aead::Aes128Ccm, .. } => {
                Self { sealed: 1 << 23, failed: 11_863_283, suspicious: 1 << 23 }
            }
            Keys::Aead { .. } => Self { sealed: 23_726_566, failed: u32::MAX, suspicious: u32::MAX },
            // HMAC has no such limit.
            Keys::Cbc { .. } => Self { sealed: SEQUENCE_MAX + 1, failed: u32::MAX, suspicious: u32::MAX },
        }
    }
}

/// The connection IDs of both directions; short ones, as nearly all are, take no memory of their own.
#[derive(Clone, PartialEq, Eq, Debug)]
enum Cids {
    Short { own_len: u8, peer_len: u8, bytes: [u8; 13] },
    Long(Box<(Cid, Cid)>),
}

impl Cids {
    fn new(own: &Cid, peer: &Cid) -> Self {
        let mut bytes = [0; 13];
        let (own_len, peer_len) = (own.bytes().len(), peer.bytes().len());
        let parts = bytes.split_at_mut_checked(own_len).and_then(|(first, rest)| {
            first.copy_from_slice(own.bytes());
            rest.get_mut(..peer_len)?.copy_from_slice(peer.bytes());
            Some((u8::try_from(own_len).ok()?, u8::try_from(peer_len).ok()?))
        });
        match parts {
            Some((own_len, peer_len)) => Self::Short { own_len, peer_len, bytes },
            None => Self::Long(Box::new((*own, *peer))),
        }
    }

    fn own(&self) -> &[u8] {
        match self {
            Self::Short { own_len, bytes, .. } => bytes.get(..usize::from(*own_len)).unwrap_or_default(),
            Self::Long(both) => both.0.bytes(),
        }
    }

    fn peer(&self) -> &[u8] {
        match self {
            Self::Short { own_len, peer_len, bytes } => {
                let start = usize::from(*own_len);
                bytes.get(start..start + usize::from(*peer_len)).unwrap_or_default()
            }
            Self::Long(both) => both.1.bytes(),
        }
    }
}
