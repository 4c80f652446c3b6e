//! What a server may do where there are several: the instances of Access Control (2), kept and obeyed (TS_Core 8).
//!
//! Object 2 is one of the application's objects; the engine reads it at each question, so that whatever changes there
//! (by the host, the owner, bootstrap) counts at once.

use lightship_coap::Code;
use lightship_lwm2m::{
    ObjectId, ObjectInstanceId, Path, ResourceId, ResourceInstanceId, ShortServerId, Value,
};

use crate::dispatch::{Operation, World};
use crate::object::{Object, Refusal, Sink};
use crate::read::exists;

/// Stands for the Bootstrap-Server among those who ask: it may do everything.
pub(crate) const BOOTSTRAP_SERVER: u8 = u8::MAX;

const OBJECT: ResourceId = resource(0);
const INSTANCE: ResourceId = resource(1);
const ACL: ResourceId = resource(2);
const OWNER: ResourceId = resource(3);

/// Stands in `/2/x/1` for the object itself, and in `/2/x/3` for nobody.
const NONE: u16 = u16::MAX;

const READ: u16 = 1;
const WRITE: u16 = 2;
const EXECUTE: u16 = 4;
const DELETE: u16 = 8;
const CREATE: u16 = 16;
const ALL: u16 = READ | WRITE | EXECUTE | DELETE | CREATE;

const fn resource(id: u16) -> ResourceId {
    match ResourceId::new(id) {
        Some(id) => id,
        None => panic!("a legal ID"),
    }
}

/// Whether the server of account `asking` may do `operation` to an instance, or, without one, to the object itself.
///
/// Asked once for each instance that an operation touches, after it was found to exist. Object and instance are there; `/0`,
/// `/21` and `/23` never come here.
pub(crate) fn allows(
    world: &World<'_>,
    asking: u8,
    operation: Operation,
    object: ObjectId,
    instance: Option<ObjectInstanceId>,
) -> bool {
    if asking == BOOTSTRAP_SERVER || has_one_account(world) {
        return true;
    }
    let Some(server) = server(world, asking) else { return false };
    let Some(control) = world.object(ObjectId::ACCESS_CONTROL) else { return true };
    if object == ObjectId::ACCESS_CONTROL {
        return allows_control(control, server, operation, instance);
    }
    if !is_in_use(control) {
        return true;
    }
    let target = instance.map_or(NONE, ObjectInstanceId::get);
    let Some(entry) = entry(control, object, target) else { return false };
    let right = needed(operation);
    rights(control, entry, server, operation != Operation::Create) & right == right
}

/// Whether something at the root or an object was left out because the server may not read an instance.
pub(crate) fn hides(world: &World<'_>, path: Path) -> bool {
    let Some(id) = path.object_id() else {
        let mut objects = core::iter::successors(world.next_object(0), |last| {
            world.next_object(last.get().checked_add(1)?)
        });
        return objects.any(|id| hides(world, Path::object(id)));
    };
    let Some(object) = world.object(id).filter(|_| path.instance_id().is_none()) else { return false };
    let mut instances = core::iter::successors(object.instance_from(0), |last| {
        object.instance_from(last.get().checked_add(1)?)
    });
    instances.any(|instance| !world.allows(Operation::Read, id, Some(instance)))
}

/// Nobody needs rights where there is only one server.
fn has_one_account(world: &World<'_>) -> bool {
    world.server.accounts.iter().flatten().filter(|account| !account.is_bootstrap()).count() < 2
}

/// Without a single instance access control is off, and every server may do everything (TS_Core 8.1).
fn is_in_use(control: &dyn Object) -> bool {
    control.instance_from(0).is_some()
}

fn server(world: &World<'_>, asking: u8) -> Option<ShortServerId> {
    world.server.accounts.get(usize::from(asking))?.as_ref()?.ssid
}

fn needed(operation: Operation) -> u16 {
    match operation {
        Operation::Read | Operation::WriteAttributes => READ,
        Operation::Discover => 0,
        Operation::Replace | Operation::PartialUpdate => WRITE,
        Operation::Execute => EXECUTE,
        Operation::Create => CREATE,
        Operation::Delete => DELETE,
    }
}

/// The instances of object 2 have none about themselves: all servers may look, the owner may change, and only bootstrap,
/// or the client itself, makes and removes them (TS_Core 8.2).
fn allows_control(
    control: &dyn Object,
    server: ShortServerId,
    operation: Operation,
    instance: Option<ObjectInstanceId>,
) -> bool {
    match operation {
        Operation::Read | Operation::Discover | Operation::WriteAttributes => true,
        Operation::Replace | Operation::PartialUpdate => {
            instance.is_some_and(|instance| number(control, instance, OWNER) == Some(server.get()))
        }
        // There is nothing to execute; that gets its own answer.
        Operation::Execute => true,
        Operation::Create | Operation::Delete => false,
    }
}

/// The instance of object 2 that speaks about this instance of that object.
fn entry(control: &dyn Object, object: ObjectId, instance: u16) -> Option<ObjectInstanceId> {
    let is_about = |entry: ObjectInstanceId| {
        number(control, entry, OBJECT) == Some(object.get())
            && number(control, entry, INSTANCE) == Some(instance)
    };
    let mut from = Some(0);
    while let Some(found) = from.and_then(|from| control.instance_from(from)) {
        if is_about(found) {
            return Some(found);
        }
        from = found.get().checked_add(1);
    }
    None
}

/// The rights of one server by one instance of object 2: its own, or else all to the owner, or else the default. The right
/// to create has to be given by name.
fn rights(control: &dyn Object, entry: ObjectInstanceId, server: ShortServerId, or_else: bool) -> u16 {
    let owner = number(control, entry, OWNER);
    let mut list = List { server: server.get(), own: None, default: None };
    // An entry without a list gives nobody but its owner anything.
    let _ = control.read(entry, ACL, &mut list);
    match (list.own, owner) {
        (Some(own), _) => own,
        (None, _) if !or_else => 0,
        (None, Some(owner)) if owner == server.get() => ALL,
        (None, _) => list.default.unwrap_or(0),
    }
}

fn number(control: &dyn Object, instance: ObjectInstanceId, resource: ResourceId) -> Option<u16> {
    let mut number = Number(None);
    control.read(instance, resource, &mut number).ok()?;
    number.0
}

fn whole(value: Value<'_>) -> Option<u16> {
    match value {
        Value::Integer(number) | Value::Time(number) => u16::try_from(number).ok(),
        Value::Unsigned(number) => u16::try_from(number).ok(),
        Value::String(_)
        | Value::Float(_)
        | Value::Boolean(_)
        | Value::Opaque(_)
        | Value::ObjectLink(_)
        | Value::Corelnk(_) => None,
    }
}

struct Number(Option<u16>);

impl Sink for Number {
    fn value(&mut self, value: Value<'_>) {
        self.0 = whole(value);
    }

    fn item(&mut self, _: ResourceInstanceId, _: Value<'_>) {}
}

/// What a list of rights says of one server, and by default.
struct List {
    server: u16,
    own: Option<u16>,
    default: Option<u16>,
}

impl Sink for List {
    fn value(&mut self, _: Value<'_>) {}

    fn item(&mut self, id: ResourceInstanceId, value: Value<'_>) {
        // What is no list of rights gives none.
        let rights = whole(value).filter(|rights| *rights <= ALL).unwrap_or(0);
        if id.get() == self.server {
            self.own = Some(rights);
        } else if id.get() == 0 {
            self.default = Some(rights);
        }
    }
}

/// Checks what a server writes into object 2: rights are sums of 1, 2, 4, 8 and 16 (TS_Core E.3).
pub(crate) fn is_legal(object: ObjectId, resource: ResourceId, value: &Value<'_>) -> bool {
    let is_list = object == ObjectId::ACCESS_CONTROL && resource == ACL;
    !is_list || whole(*value).is_some_and(|rights| rights <= ALL)
}

/// Makes the server that asked the owner of an instance that it has created (TS_Core 8.2).
///
/// # Errors
/// 5.00 when object 2 does not take it; the instance must not stay then.
pub(crate) fn created(
    world: &mut World<'_>,
    object: ObjectId,
    instance: ObjectInstanceId,
) -> Result<(), Code> {
    if object == ObjectId::ACCESS_CONTROL || has_one_account(world) {
        return Ok(());
    }
    let owner = server(world, world.asking).ok_or(Code::INTERNAL_SERVER_ERROR)?;
    let Some(control) = world.object_mut(ObjectId::ACCESS_CONTROL).filter(|control| is_in_use(*control))
    else {
        return Ok(());
    };
    // One may be left from an instance of that number that is gone; its rights are not inherited.
    let made = match entry(control, object, instance.get()) {
        Some(old) => take_over(control, old, owner),
        None => make(control, object, instance, owner),
    };
    made.map_err(|_| Code::INTERNAL_SERVER_ERROR)
}

fn make(
    control: &mut dyn Object,
    object: ObjectId,
    instance: ObjectInstanceId,
    owner: ShortServerId,
) -> Result<(), Refusal> {
    let mut free = (0..NONE).filter_map(ObjectInstanceId::new).filter(|id| !exists(control, *id));
    let free = free.next().ok_or(Refusal::Busy)?;
    control.create(free)?;
    let values = [(OBJECT, object.get()), (INSTANCE, instance.get()), (OWNER, owner.get())];
    let written = values
        .iter()
        .try_for_each(|(resource, number)| control.write(*resource, None, Value::Integer((*number).into())));
    conclude(control, written)
}

fn take_over(control: &mut dyn Object, entry: ObjectInstanceId, owner: ShortServerId) -> Result<(), Refusal> {
    control.edit(entry)?;
    // The list is optional; where the object keeps it all the same, it is emptied.
    let cleared = if control.has(entry, ACL) { control.clear(ACL, None) } else { Ok(()) };
    let written = cleared.and_then(|()| control.write(OWNER, None, Value::Integer(owner.get().into())));
    conclude(control, written)
}

fn conclude(control: &mut dyn Object, written: Result<(), Refusal>) -> Result<(), Refusal> {
    let outcome = written.and_then(|()| control.commit());
    if outcome.is_err() {
        control.abort();
    }
    outcome
}

/// Removes what object 2 says of an instance that a server has deleted.
///
/// The last instance of object 2 stays: without any, access control would be off and every server free to do everything,
/// and switching it is bootstrap's business (TS_Core 8.1).
pub(crate) fn deleted(world: &mut World<'_>, object: ObjectId, instance: ObjectInstanceId) {
    let Some(control) = world.object_mut(ObjectId::ACCESS_CONTROL) else { return };
    let first = control.instance_from(0);
    let another = first.and_then(|first| control.instance_from(first.get().checked_add(1)?));
    if another.is_some()
        && let Some(entry) = entry(control, object, instance.get())
    {
        // Should the object refuse, the entry speaks about nothing, and a new owner takes it over.
        let _ = control.delete(entry);
    }
}

/// What follows from a server that bootstrap took away, when the other accounts are in place: its rights go, what it owned goes
/// to the server that may write and delete most of it, and instances that nobody else could reach are deleted (TS_Core 8.2).
#[cfg(feature = "bootstrap")]
pub(crate) fn server_removed(world: &mut World<'_>, gone: ShortServerId) {
    let mut from = Some(0);
    while let Some(entry) = from.and_then(|from| world.object(ObjectId::ACCESS_CONTROL)?.instance_from(from))
    {
        from = entry.get().checked_add(1);
        if hand_over(world, entry, gone) != Some(Heir::Nobody) {
            continue;
        }
        let Some(control) = world.object_mut(ObjectId::ACCESS_CONTROL) else { return };
        let object = number(control, entry, OBJECT).and_then(ObjectId::new);
        let instance = number(control, entry, INSTANCE).and_then(ObjectInstanceId::new);
        // Without an instance it is the right to create in an object, which stays.
        let (Some(object), Some(instance)) = (object, instance) else { continue };
        if object != ObjectId::DEVICE {
            let _ = control.delete(entry);
            if let Some(object) = world.object_mut(object) {
                // Should it refuse, it is an instance that nobody can reach any more.
                let _ = object.delete(instance);
            }
        }
    }
}

/// Who has rights once a server is gone.
#[cfg(feature = "bootstrap")]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Heir {
    Nobody,
    Somebody,
}

/// Takes a server out of an instance of object 2; `None` when it was not in it.
#[cfg(feature = "bootstrap")]
fn hand_over(world: &mut World<'_>, entry: ObjectInstanceId, gone: ShortServerId) -> Option<Heir> {
    let control = world.object(ObjectId::ACCESS_CONTROL)?;
    let mut list = List { server: gone.get(), own: None, default: None };
    let _ = control.read(entry, ACL, &mut list);
    let owned = number(control, entry, OWNER) == Some(gone.get());
    if !owned && list.own.is_none() {
        return None;
    }
    // Whoever writes and deletes most; among equals the lowest ID.
    let mut best: Option<(u16, u16)> = None;
    for server in world.server.accounts.iter().flatten().filter_map(|account| account.ssid) {
        let has = rights(control, entry, server, true);
        let sum = u16::from(has & WRITE != 0).saturating_add(u16::from(has & DELETE != 0));
        let better = best.is_none_or(|(most, id)| sum > most || (sum == most && server.get() < id));
        if has != 0 && better {
            best = Some((sum, server.get()));
        }
    }
    let control = world.object_mut(ObjectId::ACCESS_CONTROL)?;
    control.edit(entry).ok()?;
    let item = ResourceInstanceId::new(gone.get()).filter(|_| list.own.is_some());
    let cleared = item.map_or(Ok(()), |item| control.clear(ACL, Some(item)));
    let owner = best.map_or(NONE, |(_, id)| id);
    let written = match (cleared, owned) {
        (Ok(()), true) => control.write(OWNER, None, Value::Integer(owner.into())),
        (cleared, _) => cleared,
    };
    let _ = conclude(control, written);
    Some(if best.is_some() { Heir::Somebody } else { Heir::Nobody })
}
