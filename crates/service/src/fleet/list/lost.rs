//! Pages of devices that are lost: there are few enough of them to look at all, as they were known when they expired.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;

use lightship_api as api;
use lightship_lwm2m::{Binding, Endpoint, Version};
use lightship_server::{ObjectLink, ObjectList, Terms};

use super::order::{Direction, First, Key, Placed, to_cursor};
use super::{From, Order, Wanted, keys_at, values_hold};
use crate::core::Core;
use crate::filter::{Facts, Filter, Moment};
use crate::queue::unread;
use crate::rest::Refusal;

/// A page, and where to go on.
pub(super) fn page(
    core: &Core,
    wanted: &Wanted,
    now: Moment,
) -> Result<(Vec<api::Endpoint>, Option<String>), Refusal> {
    let direction = if let Order::Value(_, direction) = wanted.order { direction } else { Direction::Up };
    let (skip, behind) = match &wanted.from {
        From::Place(place) => (*place, None),
        From::Behind(placed) => (0, Some(placed.clone())),
        // Without a key the order is that of names.
        From::Name(name) => (0, Endpoint::new(name).ok().map(|name| (None, name))),
    };
    let mut first = First::new(direction, skip, behind, wanted.limit);
    each(core, &wanted.filter, now, &mut |shapes| {
        let names: Vec<Endpoint> =
            shapes.iter().filter_map(|shape| Endpoint::new(&shape.endpoint).ok()).collect();
        let keys: Vec<Option<Key>> = if let Order::Value(column, _) = wanted.order {
            keys_at(core, &names, column)?
        } else {
            shapes.iter().map(|shape| key(wanted.order, shape)).collect()
        };
        keys.into_iter().zip(names).for_each(|placed| first.offer(placed));
        Ok(())
    })?;
    let page = first.finish();
    let next = page.placed.last().filter(|_| page.more).map(|last| match wanted.order {
        Order::Name => last.1.to_string(),
        Order::Value(..) => to_cursor(last),
        Order::Updated | Order::Silent | Order::Registered | Order::Oldest => {
            (skip + wanted.limit).to_string()
        }
    });
    let names: Vec<Endpoint> = page.placed.into_iter().map(|(_, name): Placed| name).collect();
    let shapes = core.fleet.lost.at(&core.store, &names).map_err(|error| unread(&error))?;
    Ok((shapes, next))
}

/// How many there are.
pub(super) fn count(core: &Core, filter: &Filter, now: Moment) -> Result<u64, Refusal> {
    let mut count = 0;
    each(core, filter, now, &mut |shapes| {
        count += u64::try_from(shapes.len()).unwrap_or(0);
        Ok(())
    })?;
    Ok(count)
}

/// Shows all that the filter holds for, some at a time.
fn each(
    core: &Core,
    filter: &Filter,
    now: Moment,
    show: &mut dyn FnMut(Vec<api::Endpoint>) -> Result<(), Refusal>,
) -> Result<(), Refusal> {
    let mut after = None;
    loop {
        let some = core.fleet.lost.behind(&core.store, after.as_ref()).map_err(|error| unread(&error))?;
        let Some((last, _)) = some.last() else { return Ok(()) };
        after = Some(last.clone());
        let held = some.into_iter().filter_map(|(name, shape)| Some((name, shape?)));
        let held = held.filter(|(name, shape)| holds(filter, name, shape, now));
        let (names, mut shapes): (Vec<Endpoint>, Vec<api::Endpoint>) = held.unzip();
        let mut by_value = values_hold(core, filter, &names)?.into_iter();
        shapes.retain(|_| by_value.next().unwrap_or(false));
        show(shapes)?;
    }
}

fn key(order: Order, shape: &api::Endpoint) -> Option<Key> {
    let time = match order {
        Order::Updated => -shape.updated_at.0,
        Order::Silent => shape.updated_at.0,
        Order::Registered => -shape.registered_at.0,
        Order::Oldest => shape.registered_at.0,
        Order::Name | Order::Value(..) => return None,
    };
    Some(Key::of_integer(time))
}

fn holds(filter: &Filter, name: &Endpoint, shape: &api::Endpoint, now: Moment) -> bool {
    let version = shape.lwm2m_version.parse().unwrap_or(Version::V1_0);
    let link = |entry: &api::ObjectEntry| Some(ObjectLink { path: entry.path.parse().ok()?, version: None });
    let objects = shape.objects.iter().filter_map(link).collect();
    let terms = Terms {
        version,
        lifetime_s: shape.lifetime_s,
        binding: Binding::parse(&shape.binding, version).map_or(Binding::UDP, |(binding, _)| binding),
        queue_mode: shape.queue_mode,
        sms: None,
        attributes: Box::default(),
        objects: Arc::new(ObjectList { objects, ..ObjectList::default() }),
    };
    let address: Option<SocketAddr> = shape.address.parse().ok();
    let facts = Facts {
        name: name.as_str(),
        terms: &terms,
        asleep: false,
        lost_since: shape.expires_at,
        security: shape.security.mode,
        registered_at: shape.registered_at,
        updated_at: shape.updated_at,
        address: address.map_or(IpAddr::V4(Ipv4Addr::UNSPECIFIED), |address| address.ip()),
        made: None,
        deleted: None,
    };
    filter.holds(&facts, now)
}
