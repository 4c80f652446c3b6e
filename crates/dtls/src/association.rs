//! The life of an association.

use alloc::string::String;
use alloc::vec::Vec;
use core::ops::Range;

use lightship_platform::Instant;

use crate::cookie::ProvenHello;
use crate::{Answer, Cid, Credential, DropReason, Event, Host, Resumption, SealError};

/// One DTLS association with one peer.
///
/// After any call that takes `&mut self` the host drains [`Association::poll_transmit`] and [`Association::poll_event`] until
/// both return `None`, then reads [`Association::poll_timeout`]. Equal calls give equal results.
#[derive(Debug)]
pub struct Association {
    _private: (),
}

/// How a client begins.
#[derive(Clone, Debug)]
pub struct Connect {
    /// What the client proves itself with.
    pub credential: Credential,
    /// The name for Server Name Indication (RFC 6066 §3); never an address.
    pub server_name: Option<String>,
    /// The connection ID that the server shall put into its records: `Cid::EMPTY` lets the server have one without needing one
    /// ourselves. Used if [`Config::connection_id`](crate::Config::connection_id) is on.
    pub own_cid: Cid,
    /// An earlier session to resume.
    pub resume: Option<Resumption>,
}

/// Whence a datagram came, or where it goes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Path {
    /// The address of the association.
    Current,
    /// Another address; the host remembers which until the association says [`Event::Moved`] or hears from yet another.
    New,
}

/// A datagram that [`Association::poll_transmit`] has written.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Transmit {
    /// How many bytes of the buffer it takes.
    pub len: usize,
    /// Where it goes.
    pub path: Path,
}

/// What a record turned out to be.
#[derive(Clone, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub enum Record {
    /// Application data, decrypted in place.
    Data {
        /// Where in the datagram it lies.
        range: Range<usize>,
        /// Whether no record was newer: only such a one may change the peer's address.
        newest: bool,
    },
    /// Something of the protocol itself.
    Handled,
    /// Nothing to be used.
    Dropped(DropReason),
}

impl Association {
    /// A client's association; the first flight is ready to be sent.
    pub fn connect(_host: &mut Host<'_>, _connect: Connect) -> Self {
        Self { _private: () }
    }

    /// A server's association with an address that has returned its cookie. `own_cid` is what the client shall put into its
    /// records if it knows connection IDs; `session_id` is the ID that the session gets if it is a new one, 0 to 32 bytes.
    pub fn accept(_host: &mut Host<'_>, _hello: ProvenHello<'_>, _own_cid: Cid, _session_id: &[u8]) -> Self {
        Self { _private: () }
    }

    /// Takes the record of `datagram` that begins at `at` and moves `at` behind it; `None` at the end of the datagram.
    pub fn handle_record(
        &mut self,
        _host: &mut Host<'_>,
        _path: Path,
        _datagram: &mut [u8],
        _at: &mut usize,
    ) -> Option<Record> {
        None
    }

    /// Lets the time pass.
    pub fn handle_timeout(&mut self, _host: &mut Host<'_>) {}

    /// Writes the next datagram of the protocol itself into `out`.
    pub fn poll_transmit(&mut self, _host: &mut Host<'_>, _out: &mut [u8]) -> Option<Transmit> {
        None
    }

    /// The next thing the host should know or answer.
    pub fn poll_event(&mut self) -> Option<Event> {
        None
    }

    /// When [`Association::handle_timeout`] has something to do; `None` for never.
    #[must_use]
    pub fn poll_timeout(&self) -> Option<Instant> {
        None
    }

    /// Answers the last [`Event::Ask`]; an answer to nothing is harmless.
    pub fn answer(&mut self, _host: &mut Host<'_>, _answer: Answer) {}

    /// Whether application data may be sealed.
    #[must_use]
    pub fn is_established(&self) -> bool {
        false
    }

    /// How many bytes stand before the data in a record.
    #[must_use]
    pub fn headroom(&self) -> usize {
        0
    }

    /// The longest data that fits into one record for this peer, in bytes.
    #[must_use]
    pub fn data_len_max(&self) -> usize {
        0
    }

    /// Makes a record of the data that lies at `buffer[headroom..headroom + len]` and returns the record's length; it begins at 0.
    ///
    /// # Errors
    /// If the association is not established, the room does not suffice, or the keys are used up.
    pub fn seal(
        &mut self,
        _host: &mut Host<'_>,
        _buffer: &mut [u8],
        _len: usize,
    ) -> Result<usize, SealError> {
        Err(SealError::NotEstablished)
    }

    /// Says `close_notify`; nothing can be sealed afterwards.
    pub fn close(&mut self, _host: &mut Host<'_>) {}

    /// The established association as bytes for a planned hand-over; `None` before it is established. These bytes hold keys.
    /// The association is over with this: a record number must never be used twice.
    #[must_use]
    pub fn freeze(self) -> Option<Vec<u8>> {
        None
    }

    /// An association out of the bytes of [`Association::freeze`]; `None` if they are not such bytes.
    #[must_use]
    pub fn thaw(_frozen: &[u8]) -> Option<Self> {
        None
    }
}
