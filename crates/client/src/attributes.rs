//! Attributes that servers attached to paths, each server's for itself (TS_Core 5.1.2, 6.3.4).

use lightship_coap::Code;
use lightship_lwm2m::path::Level;
use lightship_lwm2m::{Attributes, Path, Version, attributes::AttributeChange};

use crate::dispatch::{Deny, Request, Success, World};
use crate::write::next_item;

/// The attributes of up to `N` paths.
#[derive(Debug)]
pub(crate) struct Attached<const N: usize> {
    entries: [Option<Entry>; N],
}

#[derive(Debug, Clone, Copy)]
pub(crate) struct Entry {
    account: u8,
    path: Path,
    attributes: Attributes,
}

/// What one server attached, for Discover.
pub(crate) struct Shown<'a> {
    entries: &'a [Option<Entry>],
    account: u8,
}

impl<const N: usize> Attached<N> {
    pub(crate) const fn new() -> Self {
        Attached { entries: [const { None }; N] }
    }

    /// Attaches, changes or removes; a refused change leaves the set as it was.
    pub(crate) fn write(
        &mut self,
        world: &World<'_>,
        request: &Request<'_>,
        account: u8,
    ) -> Result<Success, Deny> {
        let change = parse(world, request)?;
        self.merge(account, request.path, &change)?;
        Ok(Success::plain(Code::CHANGED))
    }

    /// As [`Attached::write`], on the device's own initiative.
    pub(crate) fn attach(
        &mut self,
        world: &World<'_>,
        version: Version,
        account: u8,
        path: Path,
        change: &AttributeChange,
    ) -> Result<(), Code> {
        judge(world, version, path, change)?;
        self.merge(account, path, change)
    }

    fn merge(&mut self, account: u8, path: Path, change: &AttributeChange) -> Result<(), Code> {
        let stored = self.shown(account).at(path);
        let merged = change.apply(&stored);
        merged.check().map_err(|_| Code::BAD_REQUEST)?;
        let same = |slot: &Option<Entry>| {
            slot.as_ref().is_some_and(|entry| entry.account == account && entry.path == path)
        };
        let place = self.entries.iter().position(same);
        let place = place.or_else(|| self.entries.iter().position(Option::is_none));
        let entry = Some(Entry { account, path, attributes: merged }).filter(|_| !merged.is_empty());
        match place.and_then(|place| self.entries.get_mut(place)) {
            Some(slot) => *slot = entry,
            None if entry.is_none() => {}
            None => return Err(Code::INTERNAL_SERVER_ERROR),
        }
        Ok(())
    }

    /// The set that is in force at a path: each attribute from the nearest level at or above it.
    pub(crate) fn resolve(&self, account: u8, path: Path) -> Attributes {
        self.shown(account).inherited(path)
    }

    /// Everything that was attached: by which account, where, what.
    pub(crate) fn all(&self) -> impl Iterator<Item = (u8, Path, Attributes)> {
        self.entries.iter().flatten().map(|entry| (entry.account, entry.path, entry.attributes))
    }

    /// What a server attached.
    pub(crate) fn shown(&self, account: u8) -> Shown<'_> {
        Shown { entries: &self.entries, account }
    }

    /// Forgets what is attached at or below `path` to nodes that a Write took away.
    pub(crate) fn prune(&mut self, world: &World<'_>, path: Path) {
        for slot in &mut self.entries {
            *slot = slot.filter(|entry| !path.contains(entry.path) || exists(world, entry.path));
        }
    }

    /// Forgets everything of a server that is gone.
    #[cfg(feature = "bootstrap")]
    pub(crate) fn forget_account(&mut self, account: u8) {
        for slot in &mut self.entries {
            *slot = slot.filter(|entry| entry.account != account);
        }
    }

    /// Forgets everything at and below a deleted node.
    pub(crate) fn forget(&mut self, path: Path) {
        for slot in &mut self.entries {
            *slot = slot.filter(|entry| !path.contains(entry.path));
        }
    }
}

impl Shown<'_> {
    /// Attached exactly here.
    pub(crate) fn at(&self, path: Path) -> Attributes {
        let ours = |entry: &&Entry| entry.account == self.account && entry.path == path;
        self.entries.iter().flatten().find(ours).map_or(Attributes::NONE, |entry| entry.attributes)
    }

    /// Attached here or, attribute by attribute, at the nearest level above.
    pub(crate) fn inherited(&self, path: Path) -> Attributes {
        let mut attributes = self.at(path);
        let mut above = path.parent();
        while let Some(level) = above {
            attributes = attributes.or(self.at(level));
            above = level.parent();
        }
        attributes
    }
}

fn exists(world: &World<'_>, path: Path) -> bool {
    let Some(object) = path.object_id().and_then(|id| world.object(id)) else { return false };
    let Some(instance) = path.instance_id() else { return true };
    let Some(resource) = path.resource_id() else {
        return object.instance_from(instance.get()) == Some(instance);
    };
    let item = path.resource_instance_id();
    object.has(instance, resource)
        && item.is_none_or(|item| next_item(object, instance, resource, item.get()) == Some(item))
}

/// Attributes in the query of an Observe, since 1.2; `None` when there are none.
pub(crate) fn observe_query(world: &World<'_>, request: &Request<'_>) -> Result<Option<Attributes>, Deny> {
    if request.message.uri_query().next().is_none() {
        return Ok(None);
    }
    if request.version < Version::V1_2 {
        return Err(Code::BAD_REQUEST.into());
    }
    let attributes = parse(world, request)?.apply(&Attributes::NONE);
    attributes.check().map_err(|_| Code::BAD_REQUEST)?;
    Ok(Some(attributes))
}

/// Reads the query; its attributes have to fit the target, which has to exist and be readable.
fn parse(world: &World<'_>, request: &Request<'_>) -> Result<AttributeChange, Code> {
    let change = AttributeChange::parse(request.message.uri_query()).map_err(|_| Code::BAD_REQUEST);
    // What is wrong with the target comes before what is wrong with the attributes.
    judge(world, request.version, request.path, change.as_ref().unwrap_or(&AttributeChange::default()))?;
    change
}

/// Judges whether attributes fit a target, which has to exist and be readable.
fn judge(world: &World<'_>, version: Version, path: Path, change: &AttributeChange) -> Result<(), Code> {
    let object = path.object_id().and_then(|id| world.object(id)).ok_or(Code::NOT_FOUND)?;
    if path.instance_id().is_some_and(|instance| object.instance_from(instance.get()) != Some(instance)) {
        return Err(Code::NOT_FOUND);
    }
    let mut data_type = None;
    if let (Some(instance), Some(resource)) = (path.instance_id(), path.resource_id()) {
        let model = object.model().resource(resource).ok_or(Code::NOT_FOUND)?;
        if !object.has(instance, resource) {
            return Err(Code::NOT_FOUND);
        }
        let is_item = path.level() == Level::ResourceInstance;
        if !model.operations.readable() || (is_item && !model.multiple) {
            return Err(Code::METHOD_NOT_ALLOWED);
        }
        data_type = model.data_type;
    }
    let fits = |name: lightship_lwm2m::attributes::AttributeName| {
        name.fits(path.level(), data_type) && name.since() <= version
    };
    if change.names().iter().all(fits) { Ok(()) } else { Err(Code::BAD_REQUEST) }
}
