//! Before an association: the stateless exchange that proves an address (RFC 6347 §4.2.1).

use lightship_platform::crypto::Secret;
use lightship_platform::{Instant, Rng};

use crate::{DropReason, Host};

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

/// A ClientHello with a good cookie.
#[derive(Clone, Copy, Debug)]
pub struct ProvenHello<'a> {
    pub(crate) datagram: &'a [u8],
}

impl ProvenHello<'_> {
    /// The session ID that the client wants to resume; empty if none. Its first byte can steer the datagram to the shard that
    /// gave the ID.
    #[must_use]
    pub fn session_id(&self) -> &[u8] {
        &[]
    }
}

impl Cookies {
    /// Fresh secrets.
    pub fn new(now: Instant, rng: &mut dyn Rng) -> Self {
        let mut bytes = [0; 32];
        rng.fill(&mut bytes);
        let secret = Secret::new(&bytes);
        Self { current: secret.clone(), previous: secret, changed_at: now }
    }

    /// Judges a datagram from an address without an association; `from` are bytes that stand for the address.
    pub fn judge<'a>(
        &mut self,
        _host: &mut Host<'_>,
        _from: &[u8],
        _datagram: &'a [u8],
        _out: &mut [u8],
    ) -> Verdict<'a> {
        let _ = (&self.current, &self.previous, self.changed_at);
        Verdict::Drop(DropReason::NoSession)
    }
}
