//! What is kept of an established association: keys, numbers, window, connection IDs.

use core::ops::Range;

use lightship_platform::Rng;
use lightship_platform::crypto::Crypto;
use subtle::ConstantTimeEq;

use crate::protection::{Keys, Sealing};
use crate::record::{ContentType, HEADER_LEN, Header, PLAIN_LEN_MAX, SEQUENCE_MAX};
use crate::window::Window;
use crate::{Cid, DropReason, SealError};

/// The epoch of the only keys of an association: renegotiation is refused.
pub(crate) const EPOCH: u16 = 1;

/// One association's records under its keys, in both directions.
#[derive(Debug)]
pub(crate) struct Session {
    keys: Keys,
    /// The sequence number of the next record we seal; more than [`SEQUENCE_MAX`] if there is none left.
    next_sequence: u64,
    window: Window,
    /// Records that did not authenticate.
    failures: u64,
    /// What stands in records to us.
    own_cid: Cid,
    /// What stands in our records.
    peer_cid: Cid,
    /// The longest plaintext that the peer takes.
    plain_len_max: u16,
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
    /// A session that has neither sent nor received. `peer_limit` is the longest plaintext that the peer takes, in bytes, by its
    /// record size limit (RFC 8449) or the maximum fragment length (RFC 6066 §4).
    #[must_use]
    pub(crate) fn new(keys: Keys, own_cid: Cid, peer_cid: Cid, peer_limit: Option<u16>) -> Self {
        let most = u16::try_from(PLAIN_LEN_MAX).unwrap_or(u16::MAX);
        Self {
            keys,
            next_sequence: 0,
            window: Window::default(),
            failures: 0,
            own_cid,
            peer_cid,
            plain_len_max: peer_limit.map_or(most, |limit| limit.min(most)),
        }
    }

    /// The connection ID in records to us; empty for none.
    pub(crate) const fn own_cid(&self) -> &Cid {
        &self.own_cid
    }

    /// The connection ID in our records; empty for none.
    pub(crate) const fn peer_cid(&self) -> &Cid {
        &self.peer_cid
    }

    /// How many records did not authenticate.
    pub(crate) const fn failures(&self) -> u64 {
        self.failures
    }

    /// How many bytes stand before the content in a record of ours.
    #[must_use]
    pub(crate) fn headroom(&self) -> usize {
        HEADER_LEN + self.peer_cid.bytes().len() + self.keys.explicit_len()
    }

    /// How many bytes a record of ours takes at most besides its content.
    #[must_use]
    pub(crate) fn overhead_max(&self) -> usize {
        self.headroom() + self.keys.trailer_len_max() + usize::from(!self.peer_cid.is_empty())
    }

    /// The longest content of a record that the peer takes, in bytes.
    #[must_use]
    pub(crate) fn content_len_max(&self) -> usize {
        // RFC 9146 does not say whether the inner content type counts against RFC 8449's limit; as if it did suits everybody.
        usize::from(self.plain_len_max) - usize::from(!self.peer_cid.is_empty())
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
        let with_cid = header.content_type == ContentType::Cid;
        if with_cid == self.own_cid.is_empty() {
            return Err(DropReason::ConnectionId);
        }
        let cid = datagram.get(header.cid.clone()).unwrap_or_default();
        if with_cid && !bool::from(cid.ct_eq(self.own_cid.bytes())) {
            return Err(DropReason::ConnectionId);
        }
        if !self.window.admits(header.sequence()) {
            return Err(DropReason::Replayed);
        }
        let fragment = datagram.get_mut(header.fragment.clone()).ok_or(DropReason::Malformed)?;
        let Some(inner) = self.keys.open(crypto, header.number, header.content_type, &self.own_cid, fragment)
        else {
            self.failures = self.failures.saturating_add(1);
            return Err(DropReason::BadMac);
        };
        let plain = fragment.get(inner.clone()).unwrap_or_default();
        let (content_type, len) =
            if with_cid { unpad(plain) } else { (Some(header.content_type), plain.len()) };
        // It is authentic, so it counts as seen even if nobody can use it.
        let newest = self.window.remember(header.sequence());
        if len > PLAIN_LEN_MAX {
            return Err(DropReason::TooLong);
        }
        let start = header.fragment.start + inner.start;
        let content_type = content_type.ok_or(DropReason::Malformed)?;
        Ok(Opened { content_type, range: start..start + len, newest })
    }

    /// Makes a record of the content at `buffer[headroom..headroom + len]` and returns the record's length; it begins at 0.
    ///
    /// # Errors
    /// If the room does not suffice, the content is longer than the peer takes, or all numbers are used up.
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
        if self.next_sequence > SEQUENCE_MAX {
            return Err(SealError::Exhausted);
        }
        let number = u64::from(EPOCH) << 48 | self.next_sequence;
        let mut explicit = [0; 16];
        let explicit_len = self.keys.explicit_len();
        let explicit = explicit.get_mut(..explicit_len).unwrap_or_default();
        if self.keys.explicit_is_random() {
            rng.fill(explicit);
        } else {
            explicit.copy_from_slice(&number.to_be_bytes());
        }
        let sealing = Sealing { number, content_type, cid: &self.peer_cid, explicit };
        let end = self.keys.seal(crypto, &sealing, buffer, len).ok_or(SealError::TooLong)?;
        self.next_sequence += 1;
        Ok(end)
    }
}

/// The real type and the length of the content of a record with a connection ID: `content | type | zeros` (RFC 9146 §4).
fn unpad(plain: &[u8]) -> (Option<ContentType>, usize) {
    match plain.iter().rposition(|&byte| byte != 0) {
        None => (None, 0),
        Some(at) => {
            let number = plain.get(at).copied().unwrap_or_default();
            let content_type = ContentType::from_number(number).filter(|real| *real != ContentType::Cid);
            (content_type, at)
        }
    }
}
