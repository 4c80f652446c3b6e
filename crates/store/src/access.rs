//! Tokens, and what was done by whom. What a role may do and how an entry is worded only their owner understands.

use std::collections::BTreeMap;
use std::sync::Arc;

use lightship_lwm2m::Endpoint;

use crate::options::Limits;

/// A token that callers may present.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TokenRecord {
    /// Its public name; no two have the same.
    pub id: Arc<str>,
    /// What people call it.
    pub name: Arc<str>,
    /// What it may do.
    pub role: Arc<str>,
    /// What its secret hashes to; the secret itself is nowhere.
    pub digest: [u8; 32],
    /// When it was made, in milliseconds since 1970.
    pub created_ms: i64,
    /// By whom.
    pub created_by: Arc<str>,
    /// When it ends; `None`: never.
    pub expires_ms: Option<i64>,
}

/// Something that somebody did, or tried to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AuditRecord {
    /// Its place: milliseconds since 1970 in the upper 48 bits, a number below. Written again, it replaces what was there.
    pub id: u64,
    /// Which device it was about, if it was about one.
    pub endpoint: Option<Endpoint>,
    /// The rest, in the words of whoever shows it.
    pub body: Arc<str>,
}

impl AuditRecord {
    /// When it happened, in milliseconds since 1970.
    #[must_use]
    pub fn at_ms(&self) -> i64 {
        at_ms(self.id)
    }

    /// The first place of a moment.
    #[must_use]
    pub fn first_id(at_ms: i64) -> u64 {
        u64::try_from(at_ms).unwrap_or(0).min(u64::MAX >> NUMBER_BITS) << NUMBER_BITS
    }
}

/// Which entries are asked for, the newest first.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AuditOf {
    /// Only those before this one.
    pub before: Option<u64>,
    /// Only those about this device.
    pub endpoint: Option<Endpoint>,
    /// Not older than this, in milliseconds since 1970.
    pub from_ms: i64,
    /// Older than this.
    pub to_ms: i64,
    /// At most so many.
    pub max: usize,
}

impl AuditOf {
    /// The first place that may be shown, and the first behind that may not.
    pub(crate) fn places(&self) -> (u64, u64) {
        let end = AuditRecord::first_id(self.to_ms);
        (AuditRecord::first_id(self.from_ms), self.before.map_or(end, |before| before.min(end)))
    }
}

pub(crate) fn at_ms(id: u64) -> i64 {
    i64::try_from(id >> NUMBER_BITS).unwrap_or(i64::MAX)
}

const NUMBER_BITS: u32 = 16;

/// Entries in memory.
#[derive(Debug, Default)]
pub(crate) struct Audit {
    entries: BTreeMap<u64, Arc<AuditRecord>>,
}

impl Audit {
    /// Takes an entry; the oldest leave, as the limits say.
    pub(crate) fn put(&mut self, record: Arc<AuditRecord>, limits: &Limits) {
        let old_ms = record.at_ms().saturating_sub(limits.audit_age_ms);
        self.entries.insert(record.id, record);
        while let Some(oldest) = self.entries.first_entry()
            && (at_ms(*oldest.key()) < old_ms || self.entries.len() > limits.audit_max)
        {
            self.entries.pop_first();
        }
    }

    pub(crate) fn page(&self, which: &AuditOf) -> Vec<Arc<AuditRecord>> {
        let (from, to) = which.places();
        if from >= to {
            return Vec::new();
        }
        let wanted =
            |record: &&Arc<AuditRecord>| which.endpoint.is_none() || record.endpoint == which.endpoint;
        self.entries
            .range(from..to)
            .rev()
            .map(|(_, record)| record)
            .filter(wanted)
            .take(which.max)
            .cloned()
            .collect()
    }
}
