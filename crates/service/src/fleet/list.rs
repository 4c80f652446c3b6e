//! List: pages of devices that a filter holds for.

mod ahead;
mod by_value;
mod lost;
mod order;

use std::sync::Arc;

use lightship_api as api;
use lightship_api::{Endpoints, ProblemType};
use lightship_lwm2m::{Endpoint, Path};

pub(crate) use self::ahead::Ahead;
use self::by_value::keys_at;
pub(crate) use self::order::{Direction, Key, Placed, from_cursor};
use super::values::Values;
use crate::core::Core;
use crate::directory::{Device, Seen};
use crate::filter::{Facts, Filter, Moment, holds_value};
use crate::queue::unread;
use crate::rest::Refusal;

/// What a page is wanted of.
#[derive(Clone, Debug)]
pub(crate) struct Wanted {
    pub(crate) filter: Filter,
    pub(crate) columns: Vec<Path>,
    pub(crate) order: Order,
    pub(crate) from: From,
    pub(crate) limit: usize,
    pub(crate) total: bool,
}

/// In which order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Order {
    Name,
    /// Those heard last first.
    Updated,
    /// Those not heard for longest first.
    Silent,
    /// Those registered last first.
    Registered,
    /// Those registered longest first.
    Oldest,
    /// By the last known value of a Resource; those of which none is known last.
    Value(Path, Direction),
}

/// Where a page begins.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum From {
    /// Behind a name, in the order of names.
    Name(String),
    /// After so many that the filter holds for.
    Place(usize),
    /// Behind a device in the order of values.
    Behind(Placed),
}

/// One page. It blocks its thread.
pub(crate) fn page(core: &Arc<Core>, wanted: &Wanted) -> Result<Endpoints, Refusal> {
    let now = Moment(core.now());
    let shown = |(devices, next): (Vec<Device>, _)| (devices.iter().map(Device::shape).collect(), next);
    let (mut items, next): (Vec<api::Endpoint>, _) = match wanted.order {
        _ if wanted.filter.asks_lost() => lost::page(core, wanted, now)?,
        Order::Name => shown(by_name(core, wanted, now)?),
        Order::Value(column, direction) => shown(by_value::page(core, wanted, (column, direction), now)?),
        Order::Updated | Order::Silent | Order::Registered | Order::Oldest => {
            shown(sorted(core, wanted, now)?)
        }
    };
    show_columns(core, &wanted.columns, &mut items)?;
    let total = if wanted.total { count(core, &wanted.filter)? } else { None };
    Ok(Endpoints { items, next, total })
}

fn show_columns(core: &Core, columns: &[Path], items: &mut [api::Endpoint]) -> Result<(), Refusal> {
    if columns.is_empty() || items.is_empty() {
        return Ok(());
    }
    let names = items.iter().filter_map(|item| Endpoint::new(&item.endpoint).ok());
    let keys: Vec<_> =
        names.flat_map(|name| columns.iter().map(move |column| (name.clone(), *column))).collect();
    let found = Values::at(core, &keys).map_err(|error| unread(&error))?;
    for (item, found) in items.iter_mut().zip(found.chunks(columns.len())) {
        item.values = found.iter().flatten().map(|value| (value.path.clone(), value.clone())).collect();
    }
    Ok(())
}

fn by_name(core: &Core, wanted: &Wanted, now: Moment) -> Result<(Vec<Device>, Option<String>), Refusal> {
    let filter = &wanted.filter;
    let by_value = filter.values().next().is_some();
    let (mut after, mut skip) = match &wanted.from {
        From::Name(name) => (Some(name.clone()), 0),
        From::Place(0) => (None, 0),
        // Without a filter the place is known.
        From::Place(place) if *filter == Filter::default() => match core.directory.nth(place - 1) {
            Some(name) => (Some(name), 0),
            None => return Ok((Vec::new(), None)),
        },
        From::Place(place) => (None, *place),
        From::Behind((_, name)) => (Some(name.to_string()), 0),
    };
    let (mut found, mut looked_at, mut compared): (Vec<Device>, usize, usize) = (Vec::new(), 0, 0);
    loop {
        let mut places = Vec::new();
        let room = if by_value { COMPARED_AT_ONCE } else { wanted.limit - found.len() + 1 };
        let next = core.directory.walk(&filter.name, after.take(), &mut |seen| {
            looked_at += usize::from(skip == 0);
            if filter.holds(&seen.facts(), now) {
                if skip > 0 && !by_value {
                    skip -= 1;
                } else {
                    places.push(seen.place);
                }
            }
            places.len() < room && looked_at < LOOKED_AT_MAX
        });
        let mut devices = core.directory.open(&places);
        if by_value {
            compared += devices.len();
            devices = holding(core, filter, devices)?;
            let skipped = skip.min(devices.len());
            devices.drain(..skipped);
            skip -= skipped;
        }
        found.append(&mut devices);
        let is_over = next.is_none();
        if found.len() > wanted.limit {
            found.truncate(wanted.limit);
            let last = found.last().map(|device| device.registration.details.endpoint.to_string());
            return Ok((found, last));
        }
        // A page that finds little says where to go on, unless it is to be at a place.
        let is_enough = skip == 0 && (looked_at >= LOOKED_AT_MAX || compared >= COMPARED_MAX);
        if is_over || is_enough {
            return Ok((found, next));
        }
        after = next;
    }
}

/// Those of the devices whose values are as the filter wants them.
fn holding(core: &Core, filter: &Filter, devices: Vec<Device>) -> Result<Vec<Device>, Refusal> {
    let names: Vec<Endpoint> =
        devices.iter().map(|device| device.registration.details.endpoint.clone()).collect();
    let holds = values_hold(core, filter, &names)?;
    Ok(devices.into_iter().zip(holds).filter_map(|(device, holds)| holds.then_some(device)).collect())
}

fn values_hold(core: &Core, filter: &Filter, names: &[Endpoint]) -> Result<Vec<bool>, Refusal> {
    let mut holds = vec![true; names.len()];
    for (term, path, sign, operand) in filter.values() {
        let keys: Vec<_> = names.iter().map(|name| (name.clone(), path)).collect();
        let found = Values::at(core, &keys).map_err(|error| unread(&error))?;
        for (holds, found) in holds.iter_mut().zip(found) {
            let is_so = found.is_some_and(|found| holds_value(sign, &found.value, operand));
            *holds &= is_so != term.negated;
        }
    }
    Ok(holds)
}

/// How many a filter holds for; `None`: too many to look at their values.
pub(crate) fn count(core: &Core, filter: &Filter) -> Result<Option<u64>, Refusal> {
    if *filter == Filter::default() {
        return Ok(Some(u64::try_from(core.directory.len()).unwrap_or(u64::MAX)));
    }
    if filter.asks_lost() {
        return lost::count(core, filter, Moment(core.now())).map(Some);
    }
    let mut total = 0;
    let whole = each_name(core, filter, COMPARED_MAX * 20, &mut |names| {
        total += u64::try_from(names.len()).unwrap_or(0);
        true
    })?;
    Ok(whole.then_some(total))
}

/// Shows the names of all registered ones that a filter holds for, some at a time, until `each` wants no more; false if there were too many whose values
/// had to be looked at.
pub(crate) fn each_name(
    core: &Core,
    filter: &Filter,
    compared_max: usize,
    each: &mut dyn FnMut(&[Endpoint]) -> bool,
) -> Result<bool, Refusal> {
    each_name_between(core, filter, (None, None), compared_max, each)
}

/// The same of those behind one name and not behind another.
fn each_name_between(
    core: &Core,
    filter: &Filter,
    (behind, until): (Option<String>, Option<&str>),
    compared_max: usize,
    each: &mut dyn FnMut(&[Endpoint]) -> bool,
) -> Result<bool, Refusal> {
    let now = Moment(core.now());
    let by_value = filter.values().next().is_some();
    let (mut after, mut compared) = (behind, 0);
    loop {
        let (mut names, mut is_over): (Vec<Endpoint>, bool) = (Vec::new(), false);
        let next = core.directory.walk(&filter.name, after, &mut |seen| {
            is_over = until.is_some_and(|until| seen.endpoint().as_str() > until);
            if !is_over && filter.holds(&seen.facts(), now) {
                names.push(seen.endpoint().clone());
            }
            !is_over && names.len() < COMPARED_AT_ONCE
        });
        if by_value {
            compared += names.len();
            let holds = values_hold(core, filter, &names)?;
            let mut holds = holds.into_iter();
            names.retain(|_| holds.next().unwrap_or(false));
        }
        if !each(&names) || is_over {
            return Ok(true);
        }
        match next {
            None => return Ok(true),
            Some(_) if compared > compared_max => return Ok(false),
            next => after = next,
        }
    }
}

/// The names of some that a filter holds for, behind a name, and the name to go on behind.
pub(crate) fn names(
    core: &Core,
    filter: &Filter,
    after: Option<String>,
    limit: usize,
) -> Result<(Vec<Endpoint>, Option<String>), Refusal> {
    let from = after.map_or(From::Place(0), From::Name);
    let wanted =
        Wanted { filter: filter.clone(), columns: Vec::new(), order: Order::Name, from, limit, total: false };
    let (devices, next) = by_name(core, &wanted, Moment(core.now()))?;
    Ok((devices.into_iter().map(|device| device.registration.details.endpoint).collect(), next))
}

/// A page in the order of a time. All that the filter holds for are looked at.
fn sorted(core: &Core, wanted: &Wanted, now: Moment) -> Result<(Vec<Device>, Option<String>), Refusal> {
    let filter = &wanted.filter;
    let by_value = filter.values().next().is_some();
    let place = match &wanted.from {
        From::Place(place) => *place,
        From::Name(_) | From::Behind(_) => 0,
    };
    let key = |facts: &Facts<'_>| match wanted.order {
        Order::Updated | Order::Name | Order::Value(..) => -facts.updated_at.0,
        Order::Silent => facts.updated_at.0,
        Order::Registered => -facts.registered_at.0,
        Order::Oldest => facts.registered_at.0,
    };
    let mut all = Vec::new();
    let mut note = |seen: &Seen<'_>| {
        let facts = seen.facts();
        if filter.holds(&facts, now) {
            all.push((key(&facts), seen.place));
        }
        true
    };
    core.directory.walk(&filter.name, None, &mut note);
    all.sort_unstable();
    let (mut devices, more) = if by_value {
        if all.len() > COMPARED_MAX * 20 {
            let detail = format!(
                "{} devices would have to be compared for this order: sort by name, or add a condition",
                all.len()
            );
            return Err(Refusal::new(ProblemType::InvalidParameter, detail));
        }
        let mut found = Vec::new();
        for some in all.chunks(COMPARED_AT_ONCE) {
            let places: Vec<_> = some.iter().map(|(_, place)| *place).collect();
            found.append(&mut holding(core, filter, core.directory.open(&places))?);
            if found.len() > place + wanted.limit {
                break;
            }
        }
        let more = found.len() > place + wanted.limit;
        (found.into_iter().skip(place).take(wanted.limit).collect::<Vec<_>>(), more)
    } else {
        let places: Vec<_> = all.iter().skip(place).take(wanted.limit).map(|(_, place)| *place).collect();
        (core.directory.open(&places), all.len() > place + wanted.limit)
    };
    devices.shrink_to_fit();
    Ok((devices, more.then(|| (place + wanted.limit).to_string())))
}

/// Devices that one page looks at.
const LOOKED_AT_MAX: usize = 200_000;
/// Devices whose values one page looks at.
const COMPARED_MAX: usize = 10_000;
/// Devices whose values are looked at together.
const COMPARED_AT_ONCE: usize = 512;
