//! The ring of bytes. Places are counted in bytes since the start and never go back, so that one says whether what stood there is
//! overwritten: nothing is walked to make room.

use core::hash::BuildHasher as _;
use std::net::SocketAddr;

use lightship_platform::Instant;

use super::{TRACED_LEN_MAX, TRACED_RECORD_LEN_MAX, TraceDrop, TraceRecord};
use crate::devices::SecretHash;
use crate::secure::Address;

/// The last messages of all devices.
pub(crate) struct Recorder {
    ring: Box<[u8]>,
    /// Where the next record may begin.
    end: u64,
    /// Where that is in the ring.
    end_at: usize,
    /// The newest record, if there is one.
    newest: Option<(u64, usize)>,
    now: Instant,
    hashes: SecretHash,
}

/// How a message travels.
#[derive(Clone, Copy)]
pub(crate) struct Way {
    pub(crate) address: SocketAddr,
    /// The random part of the session's locator; 0 = none, or not known.
    pub(crate) session: u32,
    /// Whose it is by [`Recorder::tag`]; 0 = nobody knows yet.
    pub(crate) tag: u64,
    pub(crate) flags: u8,
}

impl Way {
    pub(crate) const OUT: u8 = 1;
    pub(crate) const SECURED: u8 = 2;
    pub(crate) const SEALED: u8 = 4;
}

/// What stands before each message.
#[derive(Clone, Copy)]
pub(super) struct Head {
    pub(super) at: u64,
    pub(super) tag: u64,
    pub(super) address: Address,
    pub(super) session: u32,
    kept: u16,
    len: u16,
    flags: u8,
    dropped: u8,
    /// How far before this one the record before it begins; 0 = there is none.
    back: u32,
}

pub(super) const HEAD_LEN: usize = 48;
const DROPPED_AT: usize = 43;
/// Less than this holds no message.
const RING_LEN_MIN: usize = 16 << 10;

impl Recorder {
    /// A recorder of so many bytes; too few switch it off.
    pub(crate) fn new(bytes: usize, hashes: SecretHash) -> Self {
        let bytes = if bytes < RING_LEN_MIN { 0 } else { bytes.min(RING_LEN_MAX) };
        Self { ring: vec![0; bytes].into(), end: 1, end_at: 0, newest: None, now: Instant::ZERO, hashes }
    }

    /// Whose messages bear this mark: anything but 0.
    pub(crate) fn tag(&self, endpoint: &str) -> u64 {
        if self.ring.is_empty() { 0 } else { self.hashes.hash_one(endpoint) | 1 }
    }

    /// What is recorded from here on happens now.
    #[inline]
    pub(crate) fn at(&mut self, now: Instant) {
        self.now = now;
    }

    /// Records a message.
    #[inline]
    pub(crate) fn record(&mut self, way: Way, bytes: &[u8]) {
        if !self.ring.is_empty() {
            self.write(way, bytes, bytes.len(), 0);
        }
    }

    /// Records the message that a buffer begins with.
    #[inline]
    pub(crate) fn record_start(&mut self, way: Way, buffer: &[u8], len: usize) {
        if let Some(bytes) = buffer.get(..len) {
            self.record(way, bytes);
        }
    }

    /// Records the head of a DTLS record that was dropped.
    pub(crate) fn record_sealed(&mut self, way: Way, record: &[u8], why: TraceDrop) {
        if !self.ring.is_empty() {
            let head = record.get(..TRACED_RECORD_LEN_MAX).unwrap_or(record);
            let flags = way.flags | Way::SECURED | Way::SEALED;
            self.write(Way { flags, ..way }, head, record.len(), why.number());
        }
    }

    /// Records a message that was dropped.
    pub(crate) fn record_dropped(&mut self, way: Way, bytes: &[u8], why: TraceDrop) {
        self.record(way, bytes);
        self.dropped(why);
    }

    /// The message recorded last is counted and not sent: to both sides it is as if the network had lost it.
    pub(crate) fn withhold(&mut self, withheld: &mut u64) {
        *withheld += 1;
        self.dropped(TraceDrop::Withheld);
    }

    /// The message recorded last was dropped.
    pub(crate) fn dropped(&mut self, why: TraceDrop) {
        if let Some((_, at)) = self.newest
            && let Some(place) = self.ring.get_mut(at + DROPPED_AT)
        {
            *place = why.number();
        }
    }

    fn write(&mut self, way: Way, bytes: &[u8], len: usize, dropped: u8) {
        let bytes = bytes.get(..TRACED_LEN_MAX).unwrap_or(bytes);
        let whole = HEAD_LEN + bytes.len();
        let (mut start, mut at) = (self.end, self.end_at);
        if at + whole > self.ring.len() {
            // A record is never split.
            start += wide(self.ring.len() - at);
            at = 0;
        }
        let head = Head {
            at: self.now.as_micros(),
            tag: way.tag,
            address: way.address.into(),
            session: way.session,
            kept: short(bytes.len()),
            len: short(len),
            flags: way.flags,
            dropped,
            back: self.newest.map_or(0, |(before, _)| u32::try_from(start - before).unwrap_or(0)),
        };
        let Some(place) = self.ring.get_mut(at..at + whole) else { return };
        let (head_place, rest) = place.split_at_mut(HEAD_LEN);
        head_place.copy_from_slice(&head.bytes());
        rest.copy_from_slice(bytes);
        self.newest = Some((start, at));
        (self.end, self.end_at) = (start + wide(whole), at + whole);
    }

    /// Where the newest record begins; 0 = there is none.
    pub(crate) fn newest(&self) -> u64 {
        self.newest.map_or(0, |(start, _)| start)
    }

    /// The record at a place that was told before, and where the one before it begins (0 = nowhere); `None` if it is overwritten.
    pub(super) fn get(&self, start: u64) -> Option<(Head, &[u8], u64)> {
        let capacity = wide(self.ring.len());
        if start == 0 || start > self.newest() || start + capacity < self.end {
            return None;
        }
        // The first place is 1.
        let at = usize::try_from((start - 1) % capacity).ok()?;
        let head = Head::read(self.ring.get(at..)?.first_chunk()?);
        let bytes = self.ring.get(at + HEAD_LEN..at + HEAD_LEN + usize::from(head.kept))?;
        let before = if head.back == 0 { 0 } else { start.saturating_sub(head.back.into()) };
        Some((head, bytes, before))
    }
}

impl Head {
    fn bytes(self) -> [u8; HEAD_LEN] {
        let mut bytes = [0; HEAD_LEN];
        bytes[..8].copy_from_slice(&self.at.to_le_bytes());
        bytes[8..16].copy_from_slice(&self.tag.to_le_bytes());
        bytes[16..34].copy_from_slice(&self.address.bytes());
        bytes[34..38].copy_from_slice(&self.session.to_le_bytes());
        bytes[38..40].copy_from_slice(&self.kept.to_le_bytes());
        bytes[40..42].copy_from_slice(&self.len.to_le_bytes());
        bytes[42] = self.flags;
        bytes[DROPPED_AT] = self.dropped;
        bytes[44..48].copy_from_slice(&self.back.to_le_bytes());
        bytes
    }

    pub(super) fn read(bytes: &[u8; HEAD_LEN]) -> Self {
        let u64_at = |at: usize| bytes[at..].first_chunk().map_or(0, |raw| u64::from_le_bytes(*raw));
        let u32_at = |at: usize| bytes[at..].first_chunk().map_or(0, |raw| u32::from_le_bytes(*raw));
        let u16_at = |at: usize| bytes[at..].first_chunk().map_or(0, |raw| u16::from_le_bytes(*raw));
        let address = bytes[16..].first_chunk().copied().unwrap_or_default();
        Self {
            at: u64_at(0),
            tag: u64_at(8),
            address: Address::unpack(address),
            session: u32_at(34),
            kept: u16_at(38),
            len: u16_at(40),
            flags: bytes[42],
            dropped: bytes[DROPPED_AT],
            back: u32_at(44),
        }
    }

    /// The head alone, as a record in which the mark and the session stand for nothing.
    pub(super) fn shown(self) -> [u8; HEAD_LEN] {
        Self { tag: 0, session: 0, ..self }.bytes()
    }

    pub(super) fn kept(&self) -> usize {
        self.kept.into()
    }

    pub(super) fn record<'a>(&self, position: u64, bytes: &'a [u8]) -> TraceRecord<'a> {
        let has = |flag: u8| self.flags & flag != 0;
        TraceRecord {
            position,
            at: Instant::from_micros(self.at),
            address: self.address.into(),
            is_out: has(Way::OUT),
            is_secured: has(Way::SECURED),
            is_sealed: has(Way::SEALED),
            dropped: TraceDrop::from_number(self.dropped),
            len: self.len.into(),
            bytes,
        }
    }
}

fn wide(len: usize) -> u64 {
    u64::try_from(len).unwrap_or(u64::MAX)
}

fn short(len: usize) -> u16 {
    u16::try_from(len).unwrap_or(u16::MAX)
}

/// Distances between records fit into four bytes.
const RING_LEN_MAX: usize = 1 << 30;
