//! Pages in the order of a Resource's values. All that the filter holds for are looked at by some threads, each a stretch of the
//! names; of them only those of the page are kept, and some more for the pages behind it.

use std::thread;

use lightship_lwm2m::{Endpoint, Path};

use super::ahead::{Query, Stretch};
use super::order::{Direction, First, Key, to_cursor};
use super::{From, Wanted, each_name_between, holding};
use crate::core::Core;
use crate::directory::Device;
use crate::filter::{Filter, Moment};
use crate::fleet::values::Values;
use crate::queue::unread;
use crate::rest::Refusal;

/// A page, and where to go on.
pub(super) fn page(
    core: &Core,
    wanted: &Wanted,
    (column, direction): (Path, Direction),
    now: Moment,
) -> Result<(Vec<Device>, Option<String>), Refusal> {
    let (skip, behind) = match &wanted.from {
        From::Place(place) => (*place, None),
        From::Behind(placed) => (0, Some(placed.clone())),
        From::Name(name) => (0, Endpoint::new(name).ok().map(|name| (None, name))),
    };
    let query = Query { filter: wanted.filter.clone(), column, direction };
    let ahead = &core.fleet.ahead;
    let mut page = ahead.page(&query, (skip, behind.as_ref()), wanted.limit, now.0);
    if page.is_none() {
        let first = || First::new(direction, skip, behind.clone(), wanted.limit.max(AHEAD));
        let found = first_of(core, &query, &first)?.finish();
        let stretch = Stretch { skip, behind: behind.clone(), placed: found.placed, more: found.more };
        ahead.keep(query.clone(), stretch, now.0);
        page = ahead.page(&query, (skip, behind.as_ref()), wanted.limit, now.0);
    }
    let Some(page) = page else { return Ok((Vec::new(), None)) };
    let next = page.placed.last().filter(|_| page.more).map(to_cursor);
    // As they are now, which may be later than the order.
    let found =
        page.placed.iter().filter_map(|(_, name)| core.directory.find_if(name.as_str(), &wanted.filter, now));
    Ok((holding(core, &wanted.filter, found.collect())?, next))
}

/// The first of all that the filter holds for.
fn first_of(core: &Core, query: &Query, first: &(dyn Fn() -> First + Sync)) -> Result<First, Refusal> {
    // Who finds nobody else looking has the place of two.
    let other = core.fleet.looks.try_acquire().ok();
    let cuts = cuts(core, &query.filter, if other.is_some() { 2 } else { 1 });
    let read = |behind: Option<&String>, until: Option<&String>| {
        let (mut first, mut failed) = (first(), None);
        let between = (behind.cloned(), until.map(String::as_str));
        each_name_between(core, &query.filter, between, usize::MAX, &mut |names| {
            match keys_at(core, names, query.column) {
                Ok(keys) => {
                    keys.into_iter().zip(names.iter().cloned()).for_each(|placed| first.offer(placed))
                }
                Err(refusal) => failed = Some(refusal),
            }
            failed.is_none()
        })?;
        failed.map_or(Ok(first), Err)
    };
    let ends = cuts.iter().map(Some).chain([None]);
    let begins = [None].into_iter().chain(cuts.iter().map(Some));
    thread::scope(|scope| {
        let read = &read;
        let readers: Vec<_> =
            begins.zip(ends).map(|(behind, until)| scope.spawn(move || read(behind, until))).collect();
        let parts = readers
            .into_iter()
            .map(|reader| reader.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)));
        // All are waited for before the first failure is told.
        let parts: Vec<Result<First, Refusal>> = parts.collect();
        let mut whole = first();
        for part in parts {
            whole.join(part?);
        }
        Ok(whole)
    })
}

/// The names that the stretches of the threads end with, but for the last one.
fn cuts(core: &Core, filter: &Filter, places: usize) -> Vec<String> {
    let cores = thread::available_parallelism().map_or(1, usize::from);
    let threads = if filter.name.is_empty() { (cores * places / 4).clamp(1, THREADS_MAX) } else { 1 };
    let each = core.directory.len() / threads;
    if each < STRETCH_MIN {
        return Vec::new();
    }
    let mut cuts: Vec<String> = (1..threads).filter_map(|cut| core.directory.nth(cut * each)).collect();
    // Devices come and go meanwhile.
    cuts.dedup();
    cuts
}

/// What devices are ordered by in the order of a Resource's values.
pub(super) fn keys_at(core: &Core, names: &[Endpoint], column: Path) -> Result<Vec<Option<Key>>, Refusal> {
    let keys: Vec<_> = names.iter().map(|name| (name.clone(), column)).collect();
    Values::keys_at(core, &keys).map_err(|error| unread(&error))
}

/// Devices that are found for one page and those behind it.
const AHEAD: usize = 10_000;
/// Of one search; of two at a time each has half as many. Half of the cores are left to devices.
const THREADS_MAX: usize = 4;
/// Devices for which a thread is worth it.
const STRETCH_MIN: usize = 5000;
