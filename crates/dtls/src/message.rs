//! Handshake messages on the wire: borrowed readers and writers (RFC 6347 §4.2.2, RFC 5246 §7.4).
//!
//! ```text
//! type1 | length3 | message_seq2 | fragment_offset3 | fragment_length3 | fragment
//! ```
//!
//! Readers say `None` for what cannot be read, never allocate and never look further than their bytes.

pub(crate) mod exchange;
mod extension;
mod hello;
mod reader;
pub(crate) mod write;

pub use self::exchange::{
    CertificateRequest, ClientKeyExchange, NewSessionTicket, ServerKeyExchange, Signed, certificate_chain,
    raw_public_key,
};
pub use self::extension::{Extension, ExtensionList, Extensions};
pub use self::hello::{ClientHello, HelloStart, HelloVerifyRequest, ServerHello};
pub use self::reader::Reader;

/// Length of the header of a handshake message, in bytes.
pub const HEADER_LEN: usize = 12;

/// What a handshake message is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(u8)]
pub enum Kind {
    /// A server asks for another handshake; refused.
    HelloRequest = 0,
    /// A client begins.
    ClientHello = 1,
    /// A server answers.
    ServerHello = 2,
    /// A server wants its cookie back.
    HelloVerifyRequest = 3,
    /// A ticket to resume the session with.
    NewSessionTicket = 4,
    /// Certificates, or a raw public key.
    Certificate = 11,
    /// The server's share of a key agreement, or a hint about identities.
    ServerKeyExchange = 12,
    /// The server wants a certificate.
    CertificateRequest = 13,
    /// The server has said all.
    ServerHelloDone = 14,
    /// The client's signature.
    CertificateVerify = 15,
    /// The client's share or identity.
    ClientKeyExchange = 16,
    /// The first message under the new keys; it proves all before.
    Finished = 20,
}

impl Kind {
    /// The kind with this number.
    #[must_use]
    pub const fn from_number(number: u8) -> Option<Self> {
        Some(match number {
            0 => Self::HelloRequest,
            1 => Self::ClientHello,
            2 => Self::ServerHello,
            3 => Self::HelloVerifyRequest,
            4 => Self::NewSessionTicket,
            11 => Self::Certificate,
            12 => Self::ServerKeyExchange,
            13 => Self::CertificateRequest,
            14 => Self::ServerHelloDone,
            15 => Self::CertificateVerify,
            16 => Self::ClientKeyExchange,
            20 => Self::Finished,
            _ => return None,
        })
    }
}

/// A message, or a part of one, as it stands in a record.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Fragment<'a> {
    /// The number of the message type.
    pub kind: u8,
    /// Length of the whole message in bytes.
    pub len: usize,
    /// Which message of the sender it is.
    pub sequence: u16,
    /// Where in the message this part begins.
    pub offset: usize,
    /// The part; it ends within the message.
    pub body: &'a [u8],
    /// Header and part.
    pub raw: &'a [u8],
}

impl<'a> Fragment<'a> {
    /// Reads the fragment at the front of `bytes` and returns it with what follows.
    #[must_use]
    pub fn read(bytes: &'a [u8]) -> Option<(Self, &'a [u8])> {
        let mut reader = Reader::new(bytes);
        let kind = reader.u8()?;
        let len = reader.u24()?;
        let sequence = reader.u16()?;
        let offset = reader.u24()?;
        let part_len = reader.u24()?;
        let body = reader.take(part_len)?;
        if offset.checked_add(part_len)? > len {
            return None;
        }
        let raw = bytes.get(..HEADER_LEN + part_len)?;
        Some((Self { kind, len, sequence, offset, body, raw }, reader.rest()))
    }

    /// Whether it is all of its message.
    #[must_use]
    pub const fn is_whole(&self) -> bool {
        self.body.len() == self.len
    }
}

/// A whole message.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Message<'a> {
    /// What it is.
    pub(crate) kind: Kind,
    /// Header and body as in the transcript, unfragmented.
    pub(crate) raw: &'a [u8],
}

impl<'a> Message<'a> {
    /// What follows the header.
    pub(crate) fn body(&self) -> &'a [u8] {
        self.raw.get(HEADER_LEN..).unwrap_or_default()
    }
}
