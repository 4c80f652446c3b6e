//! Before an association: the stateless exchange that proves an address (RFC 6347 §4.2.1).
//!
//! A cookie is a MAC over the address and over what a ClientHello says before its extensions, except the cookie itself and the
//! session ID: Mbed TLS up to 2.28 sends another ID with each ClientHello that carries a ticket. Nothing
//! is kept per address and nothing is allocated. A ClientHello may come in fragments: its first one is judged alone, if it holds
//! all that the cookie covers.

use core::time::Duration;

use lightship_platform::crypto::Secret;
use lightship_platform::{Instant, Rng};
use subtle::ConstantTimeEq;

use crate::message::{ClientHello, Fragment, HEADER_LEN, HelloStart, Kind};
use crate::record::{self, ContentType};
use crate::{DropReason, Host};

/// Length of a cookie in bytes: a ClientHello with one suite and no extension is longer than the answer with it.
const COOKIE_LEN: usize = 16;
/// How long a secret makes cookies; it is accepted for as long again.
const SECRET_TIME: Duration = Duration::from_secs(60);
/// HelloVerifyRequest names a version that commits to nothing (RFC 6347 §4.2.1).
const ANY_VERSION: [u8; 2] = [0xfe, 0xff];

/// The secrets behind cookies; nothing is kept per address.
#[derive(Debug)]
pub struct Cookies {
    current: Secret,
    previous: Secret,
    changed_at: Instant,
}

/// What is to be done with a datagram from an address without an association.
#[derive(Debug)]
#[non_exhaustive]
pub enum Verdict<'a> {
    /// Nothing.
    Drop(DropReason),
    /// The first so many bytes of the output go back; they are never more than came.
    Answer(usize),
    /// The address has returned its cookie; [`Association::accept`](crate::Association::accept) goes on.
    Proven(ProvenHello<'a>),
}

/// A ClientHello with a good cookie, or its first fragment.
#[derive(Clone, Copy, Debug)]
pub struct ProvenHello<'a> {
    /// The number of its record; ours begin with it.
    pub(crate) record_sequence: u64,
    /// The message, or its first part.
    pub(crate) fragment: Fragment<'a>,
    start: HelloStart<'a>,
}

impl<'a> ProvenHello<'a> {
    /// A ClientHello, or the first fragment of one, that has earned its trust.
    pub(crate) fn new(record_sequence: u64, fragment: Fragment<'a>) -> Option<Self> {
        let (start, _) = HelloStart::read(fragment.body)?;
        Some(Self { record_sequence, fragment, start })
    }

    /// The session ID that the client wants to resume; empty if none. Its first byte can steer the datagram to the shard that
    /// gave the ID.
    #[must_use]
    pub fn session_id(&self) -> &[u8] {
        self.start.session_id
    }

    /// The name of the server that the client wants to reach (RFC 6066 §3): outer `None` if the message came in fragments, so that
    /// this is not known yet, or makes no sense; inner `None` if it names none.
    #[must_use]
    pub fn server_name(&self) -> Option<Option<&'a str>> {
        let hello = ClientHello::read(self.fragment.body).filter(|_| self.fragment.is_whole())?;
        hello.extensions.server_name()
    }

    /// The client's random: a ClientHello that is sent again has the same.
    #[must_use]
    pub fn random(&self) -> &[u8; 32] {
        self.start.random
    }
}

impl Cookies {
    /// Fresh secrets.
    pub fn new(now: Instant, rng: &mut dyn Rng) -> Self {
        let secret = fresh(rng);
        Self { current: secret.clone(), previous: secret, changed_at: now }
    }

    /// Judges a datagram from an address without an association; `from` are bytes that stand for the address.
    pub fn judge<'a>(
        &mut self,
        host: &mut Host<'_>,
        from: &[u8],
        datagram: &'a [u8],
        out: &mut [u8],
    ) -> Verdict<'a> {
        let header = match record::parse(datagram, 0, 0) {
            Ok(header) => header,
            Err(DropReason::ConnectionId) => return Verdict::Drop(DropReason::NoSession),
            Err(reason) => return Verdict::Drop(reason),
        };
        if header.epoch() != 0 || header.content_type != ContentType::Handshake {
            return Verdict::Drop(DropReason::NoSession);
        }
        let content = datagram.get(header.fragment.clone()).unwrap_or_default();
        let Some((fragment, _)) = Fragment::read(content) else {
            return Verdict::Drop(DropReason::Handshake);
        };
        if fragment.kind != Kind::ClientHello as u8 {
            return Verdict::Drop(DropReason::NoSession);
        }
        if fragment.offset != 0 || fragment.len > host.config.message_len_max {
            return Verdict::Drop(DropReason::Handshake);
        }
        let Some(hello) = ProvenHello::new(header.sequence(), fragment) else {
            return Verdict::Drop(DropReason::Handshake);
        };
        let start = hello.start;
        self.change_secrets(host);
        if self.is_good(host, from, &start) {
            return Verdict::Proven(hello);
        }
        let cookie = cookie_of(&self.current, host, from, &start);
        match write_request(out, header.sequence(), fragment.sequence, &cookie) {
            Some(len) if len <= datagram.len() => Verdict::Answer(len),
            _ => Verdict::Drop(DropReason::Handshake),
        }
    }

    fn is_good(&self, host: &Host<'_>, from: &[u8], start: &HelloStart<'_>) -> bool {
        start.cookie.len() == COOKIE_LEN
            && [&self.current, &self.previous]
                .into_iter()
                .any(|secret| bool::from(cookie_of(secret, host, from, start).ct_eq(start.cookie)))
    }

    fn change_secrets(&mut self, host: &mut Host<'_>) {
        let age = host.now.saturating_duration_since(self.changed_at);
        if age < SECRET_TIME {
            return;
        }
        let old = core::mem::replace(&mut self.current, fresh(host.rng));
        // A secret that nobody has used for so long is too old to be accepted.
        self.previous = if age < 2 * SECRET_TIME { old } else { self.current.clone() };
        self.changed_at = host.now;
    }
}

fn fresh(rng: &mut dyn Rng) -> Secret {
    let mut bytes = zeroize::Zeroizing::new([0; 32]);
    rng.fill(&mut *bytes);
    Secret::new(&*bytes)
}

fn cookie_of(secret: &Secret, host: &Host<'_>, from: &[u8], start: &HelloStart<'_>) -> [u8; COOKIE_LEN] {
    // Parts of variable length carry their length, so that no two inputs run together.
    let lengths = [from.len(), start.suites.len(), start.compression.len()]
        .map(|len| u32::try_from(len).unwrap_or(u32::MAX).to_be_bytes());
    let mac = host.crypto.hmac_sha256(
        secret.bytes(),
        &[lengths.as_flattened(), from, &start.version, start.random, start.suites, start.compression],
    );
    mac.first_chunk().copied().unwrap_or_default()
}

/// Writes a HelloVerifyRequest. Record and message take their numbers from the ClientHello, since nobody here counts.
fn write_request(
    out: &mut [u8],
    record_sequence: u64,
    message_sequence: u16,
    cookie: &[u8; COOKIE_LEN],
) -> Option<usize> {
    const BODY_LEN: u8 = 19;
    let mut message = [0; HEADER_LEN + 3 + COOKIE_LEN];
    let (header, body) = message.split_at_mut_checked(HEADER_LEN)?;
    let [a, b] = message_sequence.to_be_bytes();
    header.copy_from_slice(&[Kind::HelloVerifyRequest as u8, 0, 0, BODY_LEN, a, b, 0, 0, 0, 0, 0, BODY_LEN]);
    let (fixed, rest) = body.split_at_mut_checked(3)?;
    let [version_1, version_2] = ANY_VERSION;
    fixed.copy_from_slice(&[version_1, version_2, BODY_LEN - 3]);
    rest.copy_from_slice(cookie);
    record::write_plain(out, ContentType::Handshake, record_sequence, &message)
}
