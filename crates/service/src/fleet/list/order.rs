//! Order: the first of many by a key, without keeping the others.

use std::cmp::Ordering;

use lightship_api::ValueType;
use lightship_lwm2m::Endpoint;

/// What devices are ordered by: numbers come before texts.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Key {
    /// A number, as bits that have its order.
    Number(u64),
    /// The beginning of a text; numbers in it count as such, so that 1.9 comes before 1.10.
    Text(Box<[u8]>),
}

/// Which way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Direction {
    Up,
    Down,
}

/// A device's place in an order: those without a key come last, the same keys in the order of names.
pub(crate) type Placed = (Option<Key>, Endpoint);

/// The first of those that were offered.
pub(crate) struct First {
    direction: Direction,
    /// Only those that come after this one.
    behind: Option<Placed>,
    skip: usize,
    limit: usize,
    found: Vec<Placed>,
    /// The last that still counts, once there are enough.
    last: Option<Placed>,
}

/// A page of names, and whether more follow.
pub(crate) struct Page {
    pub(crate) placed: Vec<Placed>,
    pub(crate) more: bool,
}

impl Key {
    /// The key of a whole number, such as a time.
    pub(crate) fn of_integer(number: i64) -> Key {
        // The sign turned round gives the order of the numbers.
        Key::Number(number.cast_unsigned() ^ SIGN)
    }

    fn of_number(number: f64) -> Key {
        let bits = number.to_bits();
        Key::Number(if bits & SIGN == 0 { bits | SIGN } else { !bits })
    }

    /// The key of a value.
    pub(crate) fn of(value: &serde_json::Value, kind: Option<ValueType>) -> Key {
        let is_number = matches!(
            kind,
            Some(ValueType::Integer | ValueType::Unsigned | ValueType::Float | ValueType::Time)
        );
        match (value, value.as_f64()) {
            (_, Some(number)) => Key::of_number(number),
            (serde_json::Value::String(text), None) => {
                // Numbers that JSON does not hold exactly are texts.
                let number = text.parse().ok().filter(|_| is_number);
                number.map_or_else(|| Key::of_text(text), Key::of_number)
            }
            (other, None) => Key::of_text(&other.to_string()),
        }
    }

    fn of_text(text: &str) -> Key {
        let mut key = Vec::with_capacity(TEXT_LEN_MAX);
        let mut rest = text.as_bytes();
        while let Some(byte) = rest.first().filter(|_| key.len() < TEXT_LEN_MAX) {
            let digits = rest.iter().take_while(|byte| byte.is_ascii_digit()).count();
            if digits == 0 {
                key.push(byte.to_ascii_lowercase());
                rest = rest.get(1..).unwrap_or_default();
                continue;
            }
            let (number, behind) = rest.split_at(digits);
            let zeros = number.iter().take_while(|digit| **digit == b'0').count();
            let number = number.get(zeros..).unwrap_or_default();
            // The longer number is the larger one.
            key.extend([b'0', u8::try_from(number.len()).unwrap_or(u8::MAX)]);
            key.extend_from_slice(number);
            rest = behind;
        }
        key.truncate(TEXT_LEN_MAX);
        Key::Text(key.into())
    }
}

impl Direction {
    pub(super) fn compare(self, one: &Placed, other: &Placed) -> Ordering {
        let by_key = match (&one.0, &other.0) {
            (Some(one), Some(other)) if self == Direction::Up => one.cmp(other),
            (Some(one), Some(other)) => other.cmp(one),
            (one, other) => one.is_none().cmp(&other.is_none()),
        };
        by_key.then_with(|| one.1.cmp(&other.1))
    }
}

impl First {
    pub(crate) fn new(direction: Direction, skip: usize, behind: Option<Placed>, limit: usize) -> First {
        First { direction, behind, skip, limit, found: Vec::new(), last: None }
    }

    pub(crate) fn offer(&mut self, placed: Placed) {
        let direction = self.direction;
        let is_before = |one: &Placed, other: &Placed| direction.compare(one, other).is_lt();
        if self.behind.as_ref().is_some_and(|behind| !is_before(behind, &placed))
            || self.last.as_ref().is_some_and(|last| is_before(last, &placed))
        {
            return;
        }
        self.found.push(placed);
        // Sorted each time that there are twice as many as count: that is little for each of them.
        if self.found.len() >= (self.wanted() * 2).max(1024) {
            self.sort();
            self.last = self.found.last().cloned();
        }
    }

    /// Takes in what another has found, of others.
    pub(crate) fn join(&mut self, other: First) {
        other.found.into_iter().for_each(|placed| self.offer(placed));
    }

    pub(crate) fn finish(mut self) -> Page {
        self.sort();
        let more = self.found.len() == self.wanted();
        Page { placed: self.found.into_iter().skip(self.skip).take(self.limit).collect(), more }
    }

    fn sort(&mut self) {
        let direction = self.direction;
        self.found.sort_unstable_by(|one, other| direction.compare(one, other));
        self.found.truncate(self.wanted());
    }

    /// Those of the page, and the one that says whether more follow.
    fn wanted(&self) -> usize {
        self.skip.saturating_add(self.limit).saturating_add(1)
    }
}

/// The text of a place, for those who ask for the next page.
pub(crate) fn to_cursor((key, name): &Placed) -> String {
    let hex = |bytes: &[u8]| bytes.iter().map(|byte| format!("{byte:02x}")).collect::<String>();
    match key {
        None => format!("-.{name}"),
        Some(Key::Number(bits)) => format!("n{bits:x}.{name}"),
        Some(Key::Text(text)) => format!("t{}.{name}", hex(text)),
    }
}

/// The reverse.
pub(crate) fn from_cursor(text: &str) -> Option<Placed> {
    let (key, name) = text.split_once('.')?;
    let byte = |pair: &[u8]| u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok();
    let key = match key.split_at_checked(1)? {
        ("-", "") => None,
        ("n", bits) => Some(Key::Number(u64::from_str_radix(bits, 16).ok()?)),
        ("t", hex) if hex.len() <= TEXT_LEN_MAX * 2 && hex.len() % 2 == 0 => {
            let bytes: Option<Vec<u8>> = hex.as_bytes().chunks(2).map(byte).collect();
            Some(Key::Text(bytes?.into()))
        }
        _ => return None,
    };
    Some((key, Endpoint::new(name).ok()?))
}

const SIGN: u64 = 1 << 63;
/// Bytes of a text that are compared.
const TEXT_LEN_MAX: usize = 64;

#[cfg(test)]
mod tests {
    use serde_json::{Value as Json, json};

    use super::*;

    fn key(value: &Json, kind: Option<ValueType>) -> Key {
        Key::of(value, kind)
    }

    #[test]
    fn values_have_the_order_that_people_expect() {
        let ascending = [
            json!(-1.5e300),
            json!(-20),
            json!(-3.5),
            json!(0),
            json!(0.25),
            json!(9),
            json!(10),
            json!(1e300),
            json!(""),
            json!("1.2.9"),
            json!("1.2.10"),
            json!("1.2.10-rc"),
            json!("1.10"),
            json!("2"),
            json!("10"),
            json!("Acme 2"),
            json!("acme 10"),
            json!("b"),
            json!(false),
            json!(true),
        ];
        let keys: Vec<Key> = ascending.iter().map(|value| key(value, None)).collect();
        for (at, pair) in keys.windows(2).enumerate() {
            assert!(pair[0] < pair[1], "{} before {}", ascending[at], ascending[at + 1]);
        }
        assert_eq!(
            key(&json!("9007199254740993"), Some(ValueType::Integer)),
            key(&json!(9_007_199_254_740_993_i64), None)
        );
        assert!(Key::of_integer(-5) < Key::of_integer(3) && Key::of_integer(3) < Key::of_integer(i64::MAX));
    }

    #[test]
    fn pages_are_those_of_everything_in_order() {
        let numbers = |seed: u64| (0..5000_u64).map(move |n| (n.wrapping_mul(seed) >> 7) % 900);
        let all: Vec<Placed> = numbers(0x9e37_79b9_7f4a_7c15)
            .enumerate()
            .map(|(at, number)| {
                let name = Endpoint::new(&format!("d.{at}")).expect("a name");
                let key = match number % 7 {
                    0 => None,
                    1 => Some(Key::of_text(&format!("v{number}"))),
                    _ => Some(Key::of_integer(i64::try_from(number).expect("small") - 450)),
                };
                (key, name)
            })
            .collect();
        for direction in [Direction::Up, Direction::Down] {
            let mut expected = all.clone();
            expected.sort_by(|one, other| direction.compare(one, other));
            let (mut pages, mut behind) = (Vec::new(), None);
            loop {
                let mut first = First::new(direction, 0, behind.take(), 700);
                all.iter().for_each(|placed| first.offer(placed.clone()));
                let page = first.finish();
                let cursor = page.placed.last().map(to_cursor).filter(|_| page.more);
                pages.extend(page.placed);
                match cursor {
                    Some(cursor) => behind = from_cursor(&cursor),
                    None => break,
                }
                assert!(behind.is_some(), "a cursor can be read");
            }
            assert_eq!(pages, expected, "{direction:?}");
            let [mut first, mut rest] = [0, 1].map(|_| First::new(direction, 4990, None, 10));
            // In two parts, as two threads find them.
            let (one, other) = all.split_at(1800);
            one.iter().for_each(|placed| first.offer(placed.clone()));
            other.iter().for_each(|placed| rest.offer(placed.clone()));
            first.join(rest);
            let page = first.finish();
            assert_eq!((page.placed.as_slice(), page.more), (&expected[4990..], false));
        }
        for wrong in ["", "x.a", "n.a", "t0.a", "tzz.a", "-", "-1.a", "n1"] {
            assert_eq!(from_cursor(wrong), None, "{wrong}");
        }
    }
}
