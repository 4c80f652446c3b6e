//! The messages that begin a handshake.

use super::{Extensions, Reader, extension};

/// The fields of a ClientHello before its extensions; a cookie covers them.
#[derive(Clone, Copy, Debug)]
pub struct HelloStart<'a> {
    /// The highest version that the client knows, `fe fd` for DTLS 1.2.
    pub version: [u8; 2],
    /// Its random.
    pub random: &'a [u8; 32],
    /// The session that it wants to resume, 0 to 32 bytes.
    pub session_id: &'a [u8],
    /// The cookie, 0 to 255 bytes.
    pub cookie: &'a [u8],
    /// The suites, two bytes each.
    pub suites: &'a [u8],
    /// The ways of compression, one byte each.
    pub compression: &'a [u8],
}

impl<'a> HelloStart<'a> {
    /// Reads them from the front of a ClientHello's body and returns them with what follows.
    #[must_use]
    pub fn read(body: &'a [u8]) -> Option<(Self, &'a [u8])> {
        let mut reader = Reader::new(body);
        let start = Self {
            version: *reader.array()?,
            random: reader.array()?,
            session_id: reader.part8().filter(|id| id.len() <= 32)?,
            cookie: reader.part8()?,
            suites: reader.part16().filter(|list| !list.is_empty() && list.len().is_multiple_of(2))?,
            compression: reader.part8().filter(|list| !list.is_empty())?,
        };
        Some((start, reader.rest()))
    }

    /// The numbers of the suites.
    pub fn suite_numbers(&self) -> impl Iterator<Item = u16> + Clone + 'a {
        extension::numbers(self.suites).into_iter().flatten()
    }
}

/// A ClientHello (RFC 6347 §4.2.1).
#[derive(Clone, Copy, Debug)]
pub struct ClientHello<'a> {
    /// What comes before the extensions.
    pub start: HelloStart<'a>,
    /// The extensions.
    pub extensions: Extensions<'a>,
}

impl<'a> ClientHello<'a> {
    /// Reads a body.
    #[must_use]
    pub fn read(body: &'a [u8]) -> Option<Self> {
        let (start, rest) = HelloStart::read(body)?;
        Some(Self { start, extensions: Extensions::read(rest)? })
    }
}

/// A ServerHello (RFC 5246 §7.4.1.3).
#[derive(Clone, Copy, Debug)]
pub struct ServerHello<'a> {
    /// The version, `fe fd` for DTLS 1.2.
    pub version: [u8; 2],
    /// The server's random.
    pub random: &'a [u8; 32],
    /// The ID of the session; the client's own means that it is resumed.
    pub session_id: &'a [u8],
    /// The number of the suite.
    pub suite: u16,
    /// The way of compression; 0 for none.
    pub compression: u8,
    /// The extensions.
    pub extensions: Extensions<'a>,
}

impl<'a> ServerHello<'a> {
    /// Reads a body.
    #[must_use]
    pub fn read(body: &'a [u8]) -> Option<Self> {
        let mut reader = Reader::new(body);
        Some(Self {
            version: *reader.array()?,
            random: reader.array()?,
            session_id: reader.part8().filter(|id| id.len() <= 32)?,
            suite: reader.u16()?,
            compression: reader.u8()?,
            extensions: Extensions::read(reader.rest())?,
        })
    }
}

/// A HelloVerifyRequest (RFC 6347 §4.2.1).
#[derive(Clone, Copy, Debug)]
pub struct HelloVerifyRequest<'a> {
    /// A version that says nothing about the one to come.
    pub version: [u8; 2],
    /// The cookie to be returned.
    pub cookie: &'a [u8],
}

impl<'a> HelloVerifyRequest<'a> {
    /// Reads a body.
    #[must_use]
    pub fn read(body: &'a [u8]) -> Option<Self> {
        let mut reader = Reader::new(body);
        let request = Self { version: *reader.array()?, cookie: reader.part8()? };
        reader.end()?;
        Some(request)
    }
}
