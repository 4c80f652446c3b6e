//! How many handshakes an address and its network may have: at a time, and in the long run.
//!
//! Two tables of fixed size. A cell belongs to whom it was used by last; who comes to a cell that another one is using shares it,
//! which can cost him a handshake but nobody any memory.

use core::hash::BuildHasher;

use lightship_platform::Instant;

use super::address::Address;
use super::config::SecurityLimits;
use crate::devices::SecretHash;

/// The budgets of all sources.
pub(crate) struct Budgets {
    addresses: Vec<Cell>,
    prefixes: Vec<Cell>,
    hashes: SecretHash,
}

/// What one source has spent.
#[derive(Clone, Copy, Default)]
struct Cell {
    owner: u64,
    /// When all that was begun will have been given back, in microseconds.
    even_us: u64,
    open: u32,
}

/// Sources that are counted at a time, addresses and networks each, in 24 bytes.
const CELLS: usize = 8192;
/// What may be begun at once is what may be begun in this time.
const SPAN_US: u64 = 60_000_000;

impl Budgets {
    pub(crate) fn new(hashes: SecretHash) -> Self {
        Self { addresses: vec![Cell::default(); CELLS], prefixes: vec![Cell::default(); CELLS], hashes }
    }

    /// Takes a handshake from the budgets of its source, if they have one left.
    pub(crate) fn take(&mut self, now: Instant, from: Address, limits: &SecurityLimits) -> bool {
        let address = cell(&mut self.addresses, self.hashes, from.host());
        let prefix = cell(&mut self.prefixes, self.hashes, from.prefix());
        let per_address = (limits.handshakes_per_address, limits.handshakes_a_minute_per_address);
        let per_prefix = (limits.handshakes_per_prefix, limits.handshakes_a_minute_per_prefix);
        let (Some(address_even), Some(prefix_even)) =
            (address.after_one(now, per_address), prefix.after_one(now, per_prefix))
        else {
            return false;
        };
        for (cell, even_us) in [(address, address_even), (prefix, prefix_even)] {
            cell.open += 1;
            cell.even_us = even_us;
        }
        true
    }

    /// A handshake is over.
    pub(crate) fn give_back(&mut self, from: Address) {
        for cell in [
            cell(&mut self.addresses, self.hashes, from.host()),
            cell(&mut self.prefixes, self.hashes, from.prefix()),
        ] {
            cell.open = cell.open.saturating_sub(1);
        }
    }
}

fn cell(cells: &mut [Cell], hashes: SecretHash, source: [u8; 16]) -> &mut Cell {
    let owner = hashes.hash_one(source);
    let index = usize::try_from(owner % u64::try_from(cells.len()).unwrap_or(1)).unwrap_or(0);
    let cell = &mut cells[index];
    if cell.owner != owner && cell.open == 0 {
        *cell = Cell { owner, ..Cell::default() };
    }
    cell
}

impl Cell {
    /// When all is given back if one more is begun; `None` if it may not be.
    fn after_one(&self, now: Instant, (open_max, a_minute): (u32, u32)) -> Option<u64> {
        let now_us = now.as_micros();
        let even_us = self.even_us.max(now_us) + SPAN_US / u64::from(a_minute.max(1));
        (self.open < open_max && a_minute > 0 && even_us <= now_us + SPAN_US).then_some(even_us)
    }
}

#[cfg(test)]
mod tests {
    use core::time::Duration;
    use std::net::SocketAddr;

    use super::*;

    fn address(text: &str) -> Address {
        text.parse::<SocketAddr>().expect("an address").into()
    }

    #[test]
    fn a_source_has_so_many_at_a_time_and_so_many_a_minute() {
        let limits = SecurityLimits {
            handshakes_per_address: 2,
            handshakes_per_prefix: 3,
            handshakes_a_minute_per_address: 4,
            handshakes_a_minute_per_prefix: 6,
            ..SecurityLimits::default()
        };
        let mut budgets = Budgets::new(SecretHash { secret: 1 });
        let now = Instant::from_secs(100);
        let (one, two) = (address("192.0.2.1:1"), address("192.0.2.2:1"));
        assert!(budgets.take(now, one, &limits) && budgets.take(now, address("192.0.2.1:2"), &limits));
        assert!(!budgets.take(now, one, &limits), "two at a time");
        assert!(budgets.take(now, two, &limits));
        assert!(!budgets.take(now, two, &limits), "three of a network");
        for source in [one, one, two] {
            budgets.give_back(source);
        }
        assert!(budgets.take(now, one, &limits) && budgets.take(now, one, &limits));
        budgets.give_back(one);
        budgets.give_back(one);
        assert!(!budgets.take(now, one, &limits), "four a minute");
        let later = now + Duration::from_secs(15);
        assert!(budgets.take(later, one, &limits), "one more after a quarter of it");
        assert!(!budgets.take(later, one, &limits));
        assert!(budgets.take(later, address("198.51.100.1:1"), &limits), "others have their own");
    }

    #[test]
    fn who_asks_often_recovers_as_much_as_who_asks_seldom() {
        let limits = SecurityLimits {
            handshakes_per_address: u32::MAX,
            handshakes_per_prefix: u32::MAX,
            handshakes_a_minute_per_address: 600,
            handshakes_a_minute_per_prefix: 600,
            ..SecurityLimits::default()
        };
        let mut budgets = Budgets::new(SecretHash { secret: 1 });
        let (mut now, from) = (Instant::from_secs(100), address("192.0.2.1:1"));
        let mut taken = 0;
        for _ in 0..60_000 {
            taken += u32::from(budgets.take(now, from, &limits));
            now += Duration::from_micros(500);
        }
        assert!((890..=900).contains(&taken), "600 at once and 300 in half a minute: {taken}");
    }
}
