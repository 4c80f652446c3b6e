//! The record layer on the wire: headers with and without a connection ID (RFC 6347 §4.1, RFC 9146 §4).
//!
//! ```text
//! type1 | FE FD | epoch2 | sequence6 |        | length2 | fragment
//! 19    | FE FD | epoch2 | sequence6 | cid[n] | length2 | fragment
//! ```

use core::ops::Range;

use crate::DropReason;

#[cfg(test)]
mod tests;

/// What a record carries (RFC 5246 §6.2.1, RFC 9146 §4, RFC 9853).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(u8)]
pub(crate) enum ContentType {
    /// The sender's next record is under the new keys.
    ChangeCipherSpec = 20,
    /// An alert.
    Alert = 21,
    /// Handshake messages.
    Handshake = 22,
    /// Data of the layer above.
    ApplicationData = 23,
    /// A protected record with a connection ID; what it really carries stands inside.
    Cid = 25,
    /// A message of the return routability check.
    ReturnRoutability = 27,
}

impl ContentType {
    pub(crate) const fn from_number(number: u8) -> Option<Self> {
        Some(match number {
            20 => Self::ChangeCipherSpec,
            21 => Self::Alert,
            22 => Self::Handshake,
            23 => Self::ApplicationData,
            25 => Self::Cid,
            27 => Self::ReturnRoutability,
            _ => return None,
        })
    }
}

/// Length of a header without a connection ID, in bytes.
pub(crate) const HEADER_LEN: usize = 13;
/// Longest plaintext of a record, in bytes (RFC 5246 §6.2.1).
pub(crate) const PLAIN_LEN_MAX: usize = 1 << 14;
/// Longest protected fragment of a record, in bytes (RFC 5246 §6.2.3).
pub(crate) const PROTECTED_LEN_MAX: usize = PLAIN_LEN_MAX + 2048;
/// The version in every header that we write: DTLS 1.2.
pub(crate) const VERSION: [u8; 2] = [0xfe, 0xfd];
/// The version that first records may carry as well: DTLS 1.0.
const VERSION_1_0: [u8; 2] = [0xfe, 0xff];
/// The largest sequence number in an epoch.
pub(crate) const SEQUENCE_MAX: u64 = (1 << 48) - 1;

/// The header of a received record; all ranges lie within its datagram.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Header {
    /// What it carries, or [`ContentType::Cid`].
    pub(crate) content_type: ContentType,
    /// Epoch (upper 16 bits) and sequence number (lower 48 bits), as on the wire.
    pub(crate) number: u64,
    /// Where the connection ID stands; empty if there is none.
    pub(crate) cid: Range<usize>,
    /// Where the fragment stands.
    pub(crate) fragment: Range<usize>,
}

impl Header {
    /// The epoch.
    #[must_use]
    pub(crate) const fn epoch(&self) -> u16 {
        let [a, b, ..] = self.number.to_be_bytes();
        u16::from_be_bytes([a, b])
    }

    /// The number within the epoch.
    #[must_use]
    pub(crate) const fn sequence(&self) -> u64 {
        self.number & SEQUENCE_MAX
    }

    /// Where the next record of the datagram begins.
    #[must_use]
    pub(crate) const fn end(&self) -> usize {
        self.fragment.end
    }
}

/// Reads the header of the record that begins at `at`. `own_cid_len` is the length of connection IDs in records to us, 0 for none.
///
/// # Errors
/// If there is no record; what follows in the datagram is lost then too, since nobody knows where the next one begins.
pub(crate) fn parse(datagram: &[u8], at: usize, own_cid_len: usize) -> Result<Header, DropReason> {
    let record = datagram.get(at..).ok_or(DropReason::Malformed)?;
    let fixed: &[u8; 11] = record.first_chunk().ok_or(DropReason::Malformed)?;
    let [content_type, version_1, version_2, number @ ..] = *fixed;
    let content_type = ContentType::from_number(content_type).ok_or(DropReason::Malformed)?;
    let number = u64::from_be_bytes(number);
    let first_epoch = number <= SEQUENCE_MAX;
    match [version_1, version_2] {
        VERSION => {}
        VERSION_1_0 if first_epoch => {}
        _ => return Err(DropReason::Malformed),
    }
    let cid_len = match content_type {
        // Its length is not on the wire: without one of our own the end of the record cannot be found (RFC 9146 §4).
        ContentType::Cid if own_cid_len == 0 => return Err(DropReason::ConnectionId),
        ContentType::Cid if first_epoch => return Err(DropReason::Epoch),
        ContentType::Cid => own_cid_len,
        ContentType::ChangeCipherSpec
        | ContentType::Alert
        | ContentType::Handshake
        | ContentType::ApplicationData
        | ContentType::ReturnRoutability => 0,
    };
    let rest = record.get(fixed.len() + cid_len..).ok_or(DropReason::Malformed)?;
    let len = usize::from(u16::from_be_bytes(*rest.first_chunk().ok_or(DropReason::Malformed)?));
    if len > if first_epoch { PLAIN_LEN_MAX } else { PROTECTED_LEN_MAX } {
        return Err(DropReason::TooLong);
    }
    let cid_at = at + fixed.len();
    let start = cid_at + cid_len + 2;
    if start + len > datagram.len() {
        return Err(DropReason::Malformed);
    }
    Ok(Header { content_type, number, cid: cid_at..cid_at + cid_len, fragment: start..start + len })
}

/// Writes the header of a record with a fragment of `len` bytes to the front of `out` and returns the header's length. `cid` is
/// used for records of [`ContentType::Cid`] only, `number` is epoch and sequence. `None` if it has no room.
#[must_use]
pub(crate) fn write_header(
    out: &mut [u8],
    content_type: ContentType,
    number: u64,
    cid: &[u8],
    len: usize,
) -> Option<usize> {
    let cid = if content_type == ContentType::Cid { cid } else { &[] };
    let len = u16::try_from(len).ok()?.to_be_bytes();
    let [version_1, version_2] = VERSION;
    let (fixed, rest) = out.split_at_mut_checked(11)?;
    let (type_and_version, numbers) = fixed.split_at_mut_checked(3)?;
    type_and_version.copy_from_slice(&[content_type as u8, version_1, version_2]);
    numbers.copy_from_slice(&number.to_be_bytes());
    rest.get_mut(..cid.len())?.copy_from_slice(cid);
    rest.get_mut(cid.len()..cid.len() + 2)?.copy_from_slice(&len);
    Some(HEADER_LEN + cid.len())
}

/// Writes an unprotected record (epoch 0) to the front of `out` and returns its length; `None` if it has no room, or if the body is
/// longer than a record may be.
#[must_use]
pub(crate) fn write_plain(
    out: &mut [u8],
    content_type: ContentType,
    sequence: u64,
    body: &[u8],
) -> Option<usize> {
    if body.len() > PLAIN_LEN_MAX || sequence > SEQUENCE_MAX {
        return None;
    }
    let start = write_header(out, content_type, sequence, &[], body.len())?;
    out.get_mut(start..start + body.len())?.copy_from_slice(body);
    Some(start + body.len())
}
