//! Who wants to see what was recorded, and what he gets: copies, the newest first, so many at a time that the shard is not kept from
//! its devices.

use std::net::{IpAddr, SocketAddr};

use lightship_coap::Token;
use lightship_lwm2m::Endpoint;

use super::TraceRecord;
use super::ring::{HEAD_LEN, Head, Recorder};
use crate::Observed;
use crate::secure::Address;

/// Whose messages are wanted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TraceOf {
    /// A device's, by its name: what it said since it named itself, and what came from its address or session before.
    Endpoint(Endpoint),
    /// Those of an address, or of all ports of a host.
    Address(IpAddr, Option<u16>),
}

/// What is wanted of a recorder.
#[derive(Clone, Debug)]
pub struct TraceAsk {
    of: TraceOf,
    after: u64,
    records_max: usize,
    /// Where to go on, towards older ones.
    from: Option<u64>,
    /// Where the device is, as far as the search has come.
    keys: Vec<Key>,
}

/// What tells messages without a name apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Key {
    Session(u32),
    Address(Address),
}

/// Messages, and where to go on.
#[derive(Clone, Debug, Default)]
pub struct TraceChunk {
    bytes: Vec<u8>,
    /// The place of the newest message of all; to be given to [`TraceAsk::after`] next time.
    pub newest: u64,
    /// What to ask for older ones; `None` = that was all.
    pub more: Option<TraceAsk>,
    /// Whether messages behind [`TraceAsk::after`] may have been overwritten before they could be told.
    pub is_torn: bool,
    /// The tokens of the device's observations and what they observe, as of now.
    pub observed: Vec<(Token, Observed)>,
    /// The path in front of the device's objects; empty without one.
    pub root: String,
}

/// What the engine knows of a device now.
#[derive(Default)]
pub(crate) struct Known {
    pub(crate) address: Option<SocketAddr>,
    pub(crate) session: Option<u32>,
}

impl TraceAsk {
    /// Everything that is recorded.
    #[must_use]
    pub fn new(of: TraceOf) -> Self {
        Self { of, after: 0, records_max: RECORDS_MAX, from: None, keys: Vec::new() }
    }

    /// Only those behind this place ([`TraceChunk::newest`]); 0 = all.
    #[must_use]
    pub fn after(self, after: u64) -> Self {
        Self { after, ..self }
    }

    /// So many of the newest at most, over all chunks.
    #[must_use]
    pub fn at_most(self, records_max: usize) -> Self {
        Self { records_max, ..self }
    }

    /// Whose messages.
    pub(crate) fn of(&self) -> &TraceOf {
        &self.of
    }
}

impl TraceChunk {
    /// The messages, the newest first.
    pub fn records(&self) -> impl Iterator<Item = TraceRecord<'_>> {
        let mut rest = &self.bytes[..];
        core::iter::from_fn(move || {
            let (position, behind) = rest.split_first_chunk::<8>()?;
            let (head, behind) = behind.split_first_chunk::<HEAD_LEN>()?;
            let head = Head::read(head);
            let (bytes, behind) = behind.split_at_checked(head.kept())?;
            rest = behind;
            Some(head.record(u64::from_le_bytes(*position), bytes))
        })
    }
}

/// Searches a recorder, from the newest message on.
pub(crate) fn answer(recorder: &Recorder, mut ask: TraceAsk, known: &Known) -> TraceChunk {
    let tag = match &ask.of {
        TraceOf::Endpoint(endpoint) => recorder.tag(endpoint.as_str()),
        TraceOf::Address(..) => 0,
    };
    let mut chunk = TraceChunk { newest: recorder.newest(), ..TraceChunk::default() };
    let mut next = ask.from.take().unwrap_or_else(|| {
        ask.keys.extend(known.session.map(Key::Session));
        ask.keys.extend(known.address.map(|address| Key::Address(address.into())));
        recorder.newest()
    });
    let mut found = 0;
    for _ in 0..SCANNED_MAX {
        if next <= ask.after {
            return chunk;
        }
        let Some((head, bytes, before)) = recorder.get(next) else {
            chunk.is_torn = ask.after > 0;
            return chunk;
        };
        if ask.is_met(&head, tag) {
            chunk.bytes.extend_from_slice(&next.to_le_bytes());
            chunk.bytes.extend_from_slice(&head.shown());
            chunk.bytes.extend_from_slice(bytes);
            found += 1;
        }
        next = before;
        if found >= ask.records_max.min(RECORDS_MAX) || chunk.bytes.len() >= CHUNK_LEN_MAX {
            break;
        }
    }
    if next > ask.after {
        ask.records_max = ask.records_max.saturating_sub(found);
        chunk.more = Some(TraceAsk { from: Some(next), ..ask }).filter(|more| more.records_max > 0);
    }
    chunk
}

impl TraceAsk {
    /// Whether a record is wanted; the search goes backwards, so who named himself at an address is known before what came from there
    /// without a name.
    fn is_met(&mut self, head: &Head, tag: u64) -> bool {
        if let TraceOf::Address(ip, port) = self.of {
            let address = SocketAddr::from(head.address);
            let is_host = address.ip().to_canonical() == ip.to_canonical();
            return is_host && port.is_none_or(|port| port == address.port());
        }
        let place = match head.session {
            0 => Key::Address(head.address),
            session => Key::Session(session),
        };
        if head.tag == 0 || tag == 0 {
            return self.keys.contains(&place);
        }
        if head.tag != tag {
            self.keys.retain(|key| *key != place);
            return false;
        }
        for key in [place, Key::Address(head.address)] {
            if !self.keys.contains(&key) {
                if self.keys.len() >= KEYS_MAX {
                    self.keys.remove(0);
                }
                self.keys.push(key);
            }
        }
        true
    }
}

/// Messages in one answer.
const RECORDS_MAX: usize = 2048;
/// Bytes of one answer, about.
const CHUNK_LEN_MAX: usize = 512 << 10;
/// Records looked at for one answer: less than a millisecond, even where each misses the caches.
const SCANNED_MAX: usize = 8192;
/// Addresses and sessions of one device.
const KEYS_MAX: usize = 32;
