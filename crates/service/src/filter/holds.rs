//! Whether a filter holds for a device.

use std::cmp::Ordering;
use std::collections::BTreeSet;
use std::net::IpAddr;

use lightship_api::{SecurityMode, Timestamp};
use lightship_lwm2m::Path;
use lightship_server::Terms;
use serde_json::Value as Json;

use super::{Filter, Network, Sign, State, Term, What};

/// What the directory knows of a device at once.
pub(crate) struct Facts<'a> {
    pub(crate) name: &'a str,
    pub(crate) terms: &'a Terms,
    pub(crate) asleep: bool,
    /// When its registration expired, if it is not registered any more.
    pub(crate) lost_since: Option<Timestamp>,
    pub(crate) security: SecurityMode,
    pub(crate) registered_at: Timestamp,
    pub(crate) updated_at: Timestamp,
    pub(crate) address: IpAddr,
    /// Instances that came and went since the device listed what it has.
    pub(crate) made: Option<&'a BTreeSet<Path>>,
    pub(crate) deleted: Option<&'a BTreeSet<Path>>,
}

/// Now.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Moment(pub(crate) Timestamp);

impl Facts<'_> {
    /// Whether nine tenths of its lifetime have gone by without a word.
    pub(crate) fn is_late(&self, now: Moment) -> bool {
        let lifetime_ms = i64::from(self.terms.lifetime_s) * 1000;
        lifetime_ms > 0 && now.0.0.saturating_sub(self.updated_at.0) > lifetime_ms / 10 * 9
    }

    fn has(&self, path: Path) -> bool {
        let is_gone = |path: Path| self.deleted.is_some_and(|deleted| deleted.contains(&path));
        let links = &self.terms.objects.objects;
        links.iter().any(|link| path.contains(link.path) && (path.len() == 1 || !is_gone(link.path)))
            || self.made.is_some_and(|made| made.iter().any(|one| path.contains(*one)))
    }
}

impl Filter {
    /// Whether it is about devices that are lost, not about registered ones.
    pub(crate) fn asks_lost(&self) -> bool {
        let asks = |term: &Term| matches!(term.what, What::State(State::Lost) | What::Lost(..));
        self.terms.iter().any(|term| !term.negated && asks(term))
    }

    /// Whether it holds as far as the directory knows; conditions about values are left to [`holds_value`].
    pub(crate) fn holds(&self, device: &Facts<'_>, now: Moment) -> bool {
        (self.name.is_empty() || device.name.contains(&self.name))
            && self.terms.iter().all(|term| term.holds(device, now))
    }
}

impl Term {
    fn holds(&self, device: &Facts<'_>, now: Moment) -> bool {
        let terms = device.terms;
        let ago = |since: Timestamp| now.0.0.saturating_sub(since.0);
        let ms = |span: &std::time::Duration| i64::try_from(span.as_millis()).unwrap_or(i64::MAX);
        let holds = match &self.what {
            What::Name(name) => device.name.contains(name.as_str()),
            What::State(State::Asleep) => device.asleep,
            What::State(State::Awake) => !device.asleep && device.lost_since.is_none(),
            What::State(State::Lost) => device.lost_since.is_some(),
            What::Lost(sign, span) => {
                device.lost_since.is_some_and(|since| sign.holds(ago(since).cmp(&ms(span))))
            }
            What::State(State::Late) => device.is_late(now),
            What::Version(version) => terms.version == *version,
            What::Binding(letters) => {
                let text = terms.binding.to_text(terms.version, terms.queue_mode);
                letters.chars().all(|letter| text.as_str().contains(letter))
            }
            What::Security(mode) => device.security == *mode,
            What::Queue(queue) => terms.queue_mode == *queue,
            What::Object(path) => device.has(*path),
            What::Lifetime(sign, lifetime_s) => sign.holds(terms.lifetime_s.cmp(lifetime_s)),
            What::Updated(sign, span) => sign.holds(ago(device.updated_at).cmp(&ms(span))),
            What::Registered(sign, span) => sign.holds(ago(device.registered_at).cmp(&ms(span))),
            What::Address(network) => network.has(device.address),
            What::Value(..) => return true,
        };
        holds != self.negated
    }
}

impl Sign {
    fn holds(self, order: Ordering) -> bool {
        match self {
            Sign::Is => order.is_eq(),
            Sign::IsNot => order.is_ne(),
            Sign::Less => order.is_lt(),
            Sign::AtMost => order.is_le(),
            Sign::More => order.is_gt(),
            Sign::AtLeast => order.is_ge(),
        }
    }
}

impl Network {
    fn has(self, address: IpAddr) -> bool {
        let bits = u32::from(self.bits);
        match (self.address, address.to_canonical()) {
            (IpAddr::V4(network), IpAddr::V4(address)) => {
                let mask = u32::MAX.checked_shl(32 - bits).unwrap_or(0);
                network.to_bits() & mask == address.to_bits() & mask
            }
            (IpAddr::V6(network), IpAddr::V6(address)) => {
                let mask = u128::MAX.checked_shl(128 - bits).unwrap_or(0);
                network.to_bits() & mask == address.to_bits() & mask
            }
            _ => false,
        }
    }
}

/// Whether a value is as a condition wants it. Numbers are compared as such, all else as text; `*` stands for any letters.
pub(crate) fn holds_value(sign: Sign, value: &Json, operand: &str) -> bool {
    let text = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
    let numbers = || Some((text.parse::<f64>().ok()?, operand.parse::<f64>().ok()?));
    let is_number = value.is_number() || text.bytes().all(|byte| byte.is_ascii_digit() || byte == b'-');
    if let Some((value, operand)) = numbers().filter(|_| is_number) {
        return value.partial_cmp(&operand).is_some_and(|order| sign.holds(order));
    }
    match sign {
        Sign::Is => fits(&text, operand),
        Sign::IsNot => !fits(&text, operand),
        Sign::Less | Sign::AtMost | Sign::More | Sign::AtLeast => sign.holds(text.as_str().cmp(operand)),
    }
}

/// Whether a text is as a pattern says, in which `*` stands for any letters.
fn fits(text: &str, pattern: &str) -> bool {
    let mut parts = pattern.split('*');
    let Some(rest) = text.strip_prefix(parts.next().unwrap_or_default()) else { return false };
    let parts: Vec<&str> = parts.collect();
    let Some((last, middle)) = parts.split_last() else { return rest.is_empty() };
    let mut rest = rest;
    for part in middle {
        let Some(at) = rest.find(part) else { return false };
        rest = rest.get(at + part.len()..).unwrap_or_default();
    }
    rest.ends_with(last)
}
