//! What a notification remembers of the values it sent, and when a later state is worth the next one.

use lightship_lwm2m::{Attributes, Path, Value};

use crate::config::Thresholds;
use crate::read::Visitor;

/// A few bytes that stand for all values at and below a path.
///
/// Two states with equal hashes count as equal; with 64 bits a change goes unnoticed once in 10^19.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Snapshot {
    hash: u64,
    /// The value, when it is one number.
    pub(crate) number: Option<f64>,
    /// The value, when it is one Boolean.
    pub(crate) boolean: Option<bool>,
    count: u16,
}

impl Snapshot {
    /// The state before any value was seen.
    pub(crate) const fn new() -> Self {
        // The offset basis of FNV-1a.
        Snapshot { hash: 0xCBF2_9CE4_8422_2325, number: None, boolean: None, count: 0 }
    }

    /// Whether the values differ.
    pub(crate) fn differs_from(&self, other: &Snapshot) -> bool {
        self.hash != other.hash
    }

    fn mix(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.hash = (self.hash ^ u64::from(*byte)).wrapping_mul(0x0000_0100_0000_01B3);
        }
    }
}

impl Visitor for Snapshot {
    fn value(&mut self, path: Path, value: Value<'_>) {
        self.count = self.count.saturating_add(1);
        let single = self.count == 1;
        self.number = value.as_f64().filter(|_| single);
        self.boolean =
            if let (Value::Boolean(boolean), true) = (value, single) { Some(boolean) } else { None };
        path.numbers().for_each(|number| self.mix(&number.to_le_bytes()));
        match value {
            Value::String(text) | Value::Corelnk(text) => self.mix(text.as_bytes()),
            Value::Opaque(bytes) => self.mix(bytes),
            Value::Integer(number) | Value::Time(number) => self.mix(&number.to_le_bytes()),
            Value::Unsigned(number) => self.mix(&number.to_le_bytes()),
            Value::Float(number) => self.mix(&number.to_bits().to_le_bytes()),
            Value::Boolean(boolean) => self.mix(&[u8::from(boolean)]),
            Value::ObjectLink(link) => {
                self.mix(&link.object.to_le_bytes());
                self.mix(&link.instance.to_le_bytes());
            }
        }
        // Ends the value, so that "ab" + "c" is not "a" + "bc".
        self.mix(&[0xFF]);
    }

    fn empty(&mut self, path: Path) {
        path.numbers().for_each(|number| self.mix(&number.to_le_bytes()));
        self.mix(&[0xFE]);
    }
}

/// Whether the change from the notified state `last` to the state `now` is worth a notification (TS_Core 5.1.2).
///
/// Without conditions every change is. With conditions one of them has to fire; conditions on numbers let every
/// change of a value pass that is none.
pub(crate) fn fires(
    attributes: &Attributes,
    thresholds: Thresholds,
    last: &Snapshot,
    now: &Snapshot,
) -> bool {
    if !now.differs_from(last) {
        return false;
    }
    if let (Some(rising), Some(_), Some(now)) = (attributes.edge, last.boolean, now.boolean) {
        return now == rising;
    }
    let numeric = attributes.gt.is_some() || attributes.lt.is_some() || attributes.st.is_some();
    let (true, Some(p), Some(v)) = (numeric, last.number, now.number) else {
        return true;
    };
    let up = |limit: f64| p <= limit && v > limit;
    let down = |limit: f64| p >= limit && v < limit;
    let both = thresholds == Thresholds::BothWays;
    attributes.gt.is_some_and(|gt| up(gt) || (both && down(gt)))
        || attributes.lt.is_some_and(|lt| down(lt) || (both && up(lt)))
        || attributes.st.is_some_and(|st| (v - p).abs() >= st)
}
