//! Our messages of one flight: written once, cut to the datagram, sent as often as needed (RFC 6347 §4.2.3, §4.2.4).

use alloc::vec::Vec;

use lightship_platform::Rng;
use lightship_platform::crypto::Crypto;

use crate::message::{Fragment, HEADER_LEN};
use crate::record::{self, ContentType};
use crate::session::Session;

/// The messages that are sent together until the peer answers.
#[derive(Debug, Default)]
pub(crate) struct Flight {
    /// The messages one after another, whole, with their headers.
    messages: Vec<u8>,
    /// Where the messages under the new keys begin; ChangeCipherSpec goes before them.
    protected_from: Option<usize>,
    /// Where the message to be sent next begins; at the end of the messages if all were sent.
    at: usize,
    /// How much of its body has been sent.
    offset: usize,
    /// Whether ChangeCipherSpec has been sent this time.
    is_changed: bool,
}

/// What sending needs.
pub(crate) struct Sender<'a> {
    pub(crate) crypto: &'a dyn Crypto,
    pub(crate) rng: &'a mut dyn Rng,
    /// Seals what goes under the new keys.
    pub(crate) session: Option<&'a mut Session>,
    /// The number of the next record without protection.
    pub(crate) plain_sequence: &'a mut u64,
    /// The longest plaintext of a record.
    pub(crate) plain_len_max: usize,
}

impl Flight {
    /// Forgets the messages for new ones.
    pub(crate) fn clear(&mut self) {
        self.messages.clear();
        self.protected_from = None;
        self.rewind();
    }

    /// The messages of this flight, whole.
    pub(crate) fn messages(&self) -> &[u8] {
        &self.messages
    }

    /// Bytes that are kept.
    pub(crate) fn kept_len(&self) -> usize {
        self.messages.capacity()
    }

    /// Where messages are appended.
    pub(crate) const fn messages_mut(&mut self) -> &mut Vec<u8> {
        &mut self.messages
    }

    /// What is appended from now on goes under the new keys.
    pub(crate) const fn change_cipher(&mut self) {
        self.protected_from = Some(self.messages.len());
    }

    /// Whether any of this flight has gone, or goes, under the new keys.
    pub(crate) const fn is_changed(&self) -> bool {
        self.is_changed
    }

    /// Sends everything again.
    pub(crate) const fn rewind(&mut self) {
        self.at = 0;
        self.offset = 0;
        self.is_changed = false;
    }

    /// Sends nothing more.
    pub(crate) const fn stop(&mut self) {
        self.at = self.messages.len();
    }

    /// Whether everything was sent.
    pub(crate) const fn is_sent(&self) -> bool {
        self.at >= self.messages.len()
    }

    /// Writes the next datagram: as many records as fit, each with a message or a part of one.
    pub(crate) fn write_datagram(&mut self, sender: &mut Sender<'_>, out: &mut [u8]) -> Option<usize> {
        let mut len = 0;
        while !self.is_sent() {
            let Some(written) = out.get_mut(len..).and_then(|room| self.write_record(sender, room)) else {
                break;
            };
            len += written;
        }
        (len > 0).then_some(len)
    }

    fn write_record(&mut self, sender: &mut Sender<'_>, out: &mut [u8]) -> Option<usize> {
        if *sender.plain_sequence > record::SEQUENCE_MAX {
            // The peer began at the end of the numbers. One more would read as another epoch.
            return None;
        }
        let protected = self.protected_from.is_some_and(|from| self.at >= from);
        if protected && !self.is_changed {
            let len = record::write_plain(out, ContentType::ChangeCipherSpec, *sender.plain_sequence, &[1])?;
            *sender.plain_sequence += 1;
            self.is_changed = true;
            return Some(len);
        }
        let (message, _) = Fragment::read(self.messages.get(self.at..)?)?;
        let rest = message.body.get(self.offset..)?;
        let overhead = if protected {
            sender.session.as_ref().map(|session| session.overhead_max())?
        } else {
            record::HEADER_LEN
        };
        let room = out.len().checked_sub(overhead)?.min(sender.plain_len_max).checked_sub(HEADER_LEN)?;
        if room < rest.len().min(FRAGMENT_LEN_MIN) {
            return None;
        }
        let part = rest.get(..rest.len().min(room))?;
        let part_len = part.len();
        let start = if protected { sender.session.as_ref()?.headroom() } else { record::HEADER_LEN };
        write_fragment(out.get_mut(start..)?, &message, self.offset, part)?;
        let content_len = HEADER_LEN + part_len;
        let len = if protected {
            let session = sender.session.as_mut()?;
            session.seal(sender.crypto, sender.rng, ContentType::Handshake, out, content_len).ok()?
        } else {
            let sequence = *sender.plain_sequence;
            record::write_header(out, ContentType::Handshake, sequence, &[], content_len)?;
            *sender.plain_sequence += 1;
            record::HEADER_LEN + content_len
        };
        self.offset += part_len;
        if self.offset >= message.len {
            self.at += HEADER_LEN + message.len;
            self.offset = 0;
        }
        Some(len)
    }
}

/// A message is cut only where at least so many bytes of it fit, or all of it.
const FRAGMENT_LEN_MIN: usize = 32;

fn write_fragment(out: &mut [u8], message: &Fragment<'_>, offset: usize, part: &[u8]) -> Option<()> {
    let (header, body) = out.split_at_mut_checked(HEADER_LEN)?;
    // Type, length and message number are those of the whole message.
    header.get_mut(..6)?.copy_from_slice(message.raw.get(..6)?);
    let [_, a, b, c] = u32::try_from(offset).ok()?.to_be_bytes();
    let [_, d, e, f] = u32::try_from(part.len()).ok()?.to_be_bytes();
    header.get_mut(6..)?.copy_from_slice(&[a, b, c, d, e, f]);
    body.get_mut(..part.len())?.copy_from_slice(part);
    Some(())
}
