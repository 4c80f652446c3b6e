//! DTLS by hand, as far as it goes without keys: records and handshake messages of epoch 0, put together and taken apart.
//!
//! Written apart from the `dtls` room on purpose, as [`crate::wire`] is.

use crate::secure::SOON;
use crate::wire::Socket;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

/// How long to wait before silence counts as silence.
pub(crate) const SILENCE: Duration = Duration::from_millis(150);
/// A client whose ClientHello is not answered sends it once more after this time (RFC 6347 §4.2.4.1).
pub(crate) const AGAIN: Duration = Duration::from_secs(1);

/// Content types (RFC 6347 §4.1).
pub(crate) const ALERT: u8 = 21;
pub(crate) const HANDSHAKE: u8 = 22;

/// Handshake types.
pub(crate) const CLIENT_HELLO: u8 = 1;
pub(crate) const SERVER_HELLO: u8 = 2;
pub(crate) const HELLO_VERIFY_REQUEST: u8 = 3;
pub(crate) const CERTIFICATE: u8 = 11;
pub(crate) const SERVER_HELLO_DONE: u8 = 14;
pub(crate) const CLIENT_KEY_EXCHANGE: u8 = 16;

pub(crate) const PSK_CCM8: u16 = 0xc0a8;
pub(crate) const ECDSA_CCM8: u16 = 0xc0ae;

/// A record of epoch 0.
pub(crate) fn record(kind: u8, sequence: u8, body: &[u8]) -> Vec<u8> {
    let mut bytes = vec![kind, 0xfe, 0xfd, 0, 0, 0, 0, 0, 0, 0, sequence];
    bytes.extend(u16::try_from(body.len()).expect("a record is short").to_be_bytes());
    bytes.extend(body);
    bytes
}

/// A fragment of a handshake message.
pub(crate) fn fragment(kind: u8, total: usize, sequence: u16, offset: usize, part: &[u8]) -> Vec<u8> {
    let three = |number: usize| u32::try_from(number).expect("24 bits").to_be_bytes()[1..].to_vec();
    let mut bytes = vec![kind];
    bytes.extend(three(total));
    bytes.extend(sequence.to_be_bytes());
    bytes.extend(three(offset));
    bytes.extend(three(part.len()));
    bytes.extend(part);
    bytes
}

/// A whole handshake message in a record of its own.
pub(crate) fn message(kind: u8, sequence: u8, body: &[u8]) -> Vec<u8> {
    record(HANDSHAKE, sequence, &fragment(kind, body.len(), sequence.into(), 0, body))
}

/// The body of a ClientHello.
pub(crate) fn hello(random: u8, cookie: &[u8], suites: &[u16], extensions: &[u8]) -> Vec<u8> {
    let mut body = vec![0xfe, 0xfd];
    body.extend([random; 32]);
    body.push(0);
    body.push(u8::try_from(cookie.len()).expect("a cookie is short"));
    body.extend(cookie);
    body.extend(u16::try_from(suites.len() * 2).expect("few suites").to_be_bytes());
    suites.iter().for_each(|suite| body.extend(suite.to_be_bytes()));
    body.extend([1, 0]);
    if !extensions.is_empty() {
        body.extend(u16::try_from(extensions.len()).expect("few extensions").to_be_bytes());
        body.extend(extensions);
    }
    body
}

/// Extensions of a client with raw public keys or certificates: P-256, ECDSA with SHA-256, and that kind of key both ways.
pub(crate) fn signing_extensions(certificate_type: u8) -> Vec<u8> {
    let mut bytes = vec![0, 10, 0, 4, 0, 2, 0, 23, 0, 11, 0, 2, 1, 0, 0, 13, 0, 4, 0, 2, 4, 3];
    bytes.extend([0, 19, 0, 2, 1, certificate_type, 0, 20, 0, 2, 1, certificate_type]);
    bytes
}

/// What one datagram or several tell, in words: `alert N`, `handshake N`, or the type of the record, joined by blanks.
pub(crate) fn in_words(datagrams: &[Vec<u8>]) -> String {
    let mut words = Vec::new();
    for datagram in datagrams {
        let mut rest = datagram.as_slice();
        while let Some((header, after)) = rest.split_at_checked(13) {
            let length = usize::from(u16::from_be_bytes([header[11], header[12]]));
            let Some((body, next)) = after.split_at_checked(length) else { break };
            words.push(match (header[0], header[4], body) {
                (ALERT, 0, [_, alert]) => format!("alert-{alert}"),
                (HANDSHAKE, 0, [kind, ..]) => format!("handshake-{kind}"),
                (kind, epoch, _) => format!("record-{kind}-of-epoch-{epoch}"),
            });
            rest = next;
        }
    }
    if words.is_empty() { "silence".to_owned() } else { words.join(" ") }
}

/// A raw client or server of DTLS at one socket.
pub(crate) struct Raw {
    pub(crate) socket: Socket,
    pub(crate) peer: SocketAddr,
}

impl Raw {
    /// A client of `peer`.
    pub(crate) fn to(peer: SocketAddr) -> Result<Self, String> {
        Ok(Self { socket: Socket::open()?, peer })
    }

    pub(crate) fn send(&self, bytes: &[u8]) -> Result<(), String> {
        self.socket.send(self.peer, bytes)
    }

    /// Everything that comes until it is silent for so long.
    pub(crate) fn answers(&self, silence: Duration) -> Result<Vec<Vec<u8>>, String> {
        let mut all = Vec::new();
        while let Some((bytes, _)) = self.socket.receive_bytes(silence)? {
            all.push(bytes);
        }
        Ok(all)
    }

    /// What came of what was sent. Where silence is not among what is right, `|` between, an answer is waited for.
    pub(crate) fn reaction(&self, right: &str) -> Result<Vec<Vec<u8>>, String> {
        let silent = right.split('|').any(|one| one == "silence");
        let first = self.socket.receive_bytes(if silent { SILENCE } else { SOON })?;
        let Some((first, _)) = first else { return Ok(Vec::new()) };
        Ok([vec![first], self.answers(SILENCE)?].concat())
    }

    /// A ClientHello up to the server's whole flight; the cookie is asked for first.
    pub(crate) fn greeted(&self, suites: &[u16], extensions: &[u8]) -> Result<Vec<Vec<u8>>, String> {
        let cookie = self.cookie(suites, extensions)?;
        self.send(&message(CLIENT_HELLO, 1, &hello(7, &cookie, suites, extensions)))?;
        let done = format!("handshake-{SERVER_HELLO_DONE}");
        let end = Instant::now() + SOON;
        let mut flight = Vec::new();
        while let Some((bytes, _)) =
            self.socket.receive_bytes(end.saturating_duration_since(Instant::now()))?
        {
            flight.push(bytes);
            if in_words(&flight).contains(&done) {
                return Ok(flight);
            }
        }
        Err(format!("instead of a flight: {}", in_words(&flight)))
    }

    /// The cookie for a ClientHello.
    pub(crate) fn cookie(&self, suites: &[u16], extensions: &[u8]) -> Result<Vec<u8>, String> {
        self.send(&message(CLIENT_HELLO, 0, &hello(7, &[], suites, extensions)))?;
        let (answer, _) = self.socket.receive_bytes(SOON)?.ok_or("no answer to a ClientHello")?;
        cookie_in(&answer).ok_or_else(|| format!("no cookie in {answer:02x?}"))
    }
}

/// The cookie of a HelloVerifyRequest.
pub(crate) fn cookie_in(datagram: &[u8]) -> Option<Vec<u8>> {
    let body = datagram.get(25..)?;
    let length = usize::from(*body.get(2)?);
    (datagram.first() == Some(&HANDSHAKE) && datagram.get(13) == Some(&HELLO_VERIFY_REQUEST))
        .then(|| body.get(3..3 + length).map(<[u8]>::to_vec))
        .flatten()
}
