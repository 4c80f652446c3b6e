//! What was found beyond a page in the order of values, for the pages behind it: to find the first of a million costs a second, to
//! turn the page nothing. So the pages behind one show the order of its moment, for a short while.

use std::collections::VecDeque;
use std::sync::{Mutex, PoisonError};

use lightship_api::Timestamp;
use lightship_lwm2m::Path;

use super::order::{Direction, Page, Placed};
use crate::filter::Filter;

/// Stretches of orders that were asked for lately.
#[derive(Debug, Default)]
pub(crate) struct Ahead {
    /// The one used last in front.
    kept: Mutex<VecDeque<Kept>>,
}

/// What is in order.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Query {
    pub(super) filter: Filter,
    pub(super) column: Path,
    pub(super) direction: Direction,
}

/// Devices that follow each other in an order.
#[derive(Debug)]
pub(super) struct Stretch {
    /// So many come before them,
    pub(super) skip: usize,
    /// of those behind this one.
    pub(super) behind: Option<Placed>,
    pub(super) placed: Vec<Placed>,
    /// Whether more follow.
    pub(super) more: bool,
}

#[derive(Debug)]
struct Kept {
    query: Query,
    stretch: Stretch,
    at: Timestamp,
}

impl Ahead {
    /// Takes a stretch in the place of the one that was not used for longest.
    pub(super) fn keep(&self, query: Query, stretch: Stretch, now: Timestamp) {
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        kept.push_front(Kept { query, stretch, at: now });
        kept.truncate(KEPT_MAX);
    }

    /// A page, if what is kept has it: so many behind a device, or behind so many others. The very first page is that of the moment.
    pub(super) fn page(
        &self,
        query: &Query,
        (skip, behind): (usize, Option<&Placed>),
        limit: usize,
        now: Timestamp,
    ) -> Option<Page> {
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        kept.retain(|kept| now.0.abs_diff(kept.at.0) < KEPT_MS);
        let is_first = skip == 0 && behind.is_none();
        let (place, from) = kept.iter().enumerate().find_map(|(place, kept)| {
            let is_fit = kept.query == *query && (!is_first || kept.at == now);
            let from = is_fit.then(|| kept.stretch.place(query.direction, skip, behind))??;
            kept.stretch.reaches(from, limit).then_some((place, from))
        })?;
        let used = kept.remove(place)?;
        let Stretch { placed, more, .. } = &used.stretch;
        let to = (from + limit).min(placed.len());
        let page = Page { placed: placed.get(from..to)?.to_vec(), more: *more || to < placed.len() };
        kept.push_front(used);
        Some(page)
    }
}

impl Stretch {
    /// Where a page begins here.
    fn place(&self, direction: Direction, skip: usize, behind: Option<&Placed>) -> Option<usize> {
        if self.behind.as_ref() == behind {
            return skip.checked_sub(self.skip).filter(|place| *place <= self.placed.len());
        }
        let behind = behind?;
        let place = self.placed.partition_point(|placed| direction.compare(placed, behind).is_le());
        (place > 0 && skip == 0).then_some(place)
    }

    fn reaches(&self, from: usize, limit: usize) -> bool {
        !self.more || from + limit <= self.placed.len()
    }
}

/// For how long the pages behind one follow its order, in milliseconds.
const KEPT_MS: u64 = 30_000;
/// Stretches that are kept, each of at most ten thousand devices or one page: some ten megabytes altogether.
const KEPT_MAX: usize = 8;

#[cfg(test)]
mod tests {
    use lightship_lwm2m::Endpoint;

    use super::super::order::Key;
    use super::*;

    fn placed(number: i64) -> Placed {
        (Some(Key::of_integer(number / 2)), Endpoint::new(&format!("d-{number:03}")).expect("a name"))
    }

    fn query(filter: &str) -> Query {
        Query {
            filter: Filter::parse(filter).expect("a filter"),
            column: "/3/0/9".parse().expect("a path"),
            direction: Direction::Up,
        }
    }

    fn numbers(page: Option<Page>) -> Option<(Vec<String>, bool)> {
        page.map(|page| (page.placed.into_iter().map(|(_, name)| name.to_string()).collect(), page.more))
    }

    #[test]
    fn pages_behind_one_are_those_that_follow_it() {
        let ahead = Ahead::default();
        let (all, at) = (query(""), Timestamp(1_000_000));
        let stretch = Stretch { skip: 0, behind: None, placed: (0..100).map(placed).collect(), more: true };
        ahead.keep(all.clone(), stretch, at);
        let page = |(skip, behind): (usize, Option<i64>), limit, later| {
            let behind = behind.map(placed);
            numbers(ahead.page(&all, (skip, behind.as_ref()), limit, Timestamp(at.0 + later)))
        };
        let expected = |from: i64, to: i64| {
            Some(((from..to).map(|number| format!("d-{number:03}")).collect::<Vec<_>>(), true))
        };
        assert_eq!(page((0, None), 10, 0), expected(0, 10));
        assert_eq!(page((0, None), 10, 1), None, "the first page is that of the moment");
        assert_eq!(page((0, Some(9)), 10, 5000), expected(10, 20));
        assert_eq!(page((40, None), 10, 5000), expected(40, 50));
        assert_eq!(page((0, Some(89)), 10, 5000), expected(90, 100));
        assert_eq!(page((0, Some(90)), 10, 5000), None, "that page ends behind what is known");
        assert_eq!(page((95, None), 10, 5000), None);
        assert_eq!(page((0, Some(-2)), 10, 5000), None, "others may come before the first one");
        assert_eq!(numbers(ahead.page(&query("a"), (40, None), 10, at)), None, "another question");
        assert_eq!(page((0, Some(9)), 10, 30_000), None, "only for a while");
    }

    #[test]
    fn the_end_is_known_where_nothing_follows_and_little_is_kept() {
        let ahead = Ahead::default();
        let at = Timestamp(5);
        let last = || Stretch {
            skip: 0,
            behind: Some(placed(49)),
            placed: (50..60).map(placed).collect(),
            more: false,
        };
        ahead.keep(query("last"), last(), at);
        let page =
            |behind: i64, limit| numbers(ahead.page(&query("last"), (0, Some(&placed(behind))), limit, at));
        assert_eq!(page(49, 5).map(|(names, more)| (names.len(), more)), Some((5, true)));
        assert_eq!(page(54, 100).map(|(names, more)| (names.len(), more)), Some((5, false)));
        assert_eq!(page(59, 100), Some((Vec::new(), false)));
        for number in 0..KEPT_MAX {
            ahead.keep(query(&format!("other-{number}")), last(), at);
        }
        assert_eq!(page(49, 5), None, "others were asked for since");
    }
}
