//! Write, Create and Delete: all of a request or nothing of it (TS_Core 6.3.3 to 6.3.6).

use lightship_coap::Code;
use lightship_lwm2m::format::{
    Decoder, Format, RawValue, Use, ValueError, check as well_formed, chosen_instance_below, decode,
};
use lightship_lwm2m::path::Level;
use lightship_lwm2m::{ObjectId, ObjectInstanceId, ObjectLink, Path, ResourceId, ResourceInstanceId, Value};

use crate::access;
use crate::dispatch::{Deny, Operation, Request, Success, World};
use crate::negotiate;
use crate::object::{Object, ObjectModel, Refusal, ResourceModel, Sink};
use crate::read::exists;

/// Writes an instance, a resource or a resource instance.
pub(crate) fn write(
    world: &mut World<'_>,
    request: &Request<'_>,
    scratch: &mut [u8],
) -> Result<Success, Deny> {
    let (Some(id), Some(instance)) = (request.path.object_id(), request.path.instance_id()) else {
        return Err(Code::METHOD_NOT_ALLOWED.into());
    };
    let object = world.object(id).ok_or(Code::NOT_FOUND)?;
    if let Some(resource) = request.path.resource_id() {
        let model = object.model().resource(resource).ok_or(Code::NOT_FOUND)?;
        let item = request.path.resource_instance_id();
        if item.is_some() && !model.multiple {
            return Err(Code::METHOD_NOT_ALLOWED.into());
        }
        // What may be written comes into being by it; what may not has to be there to be refused.
        let is_there = match item {
            Some(item) => next_item(object, instance, resource, item.get()) == Some(item),
            None => model.operations.writable() || object.has(instance, resource),
        };
        if !is_there {
            return Err(Code::NOT_FOUND.into());
        }
        if !model.operations.writable() {
            return Err(Code::METHOD_NOT_ALLOWED.into());
        }
    }
    let format = payload_format(request)?;
    if request.operation == Operation::PartialUpdate && format.is_single_value() {
        return Err(Code::UNSUPPORTED_CONTENT_FORMAT.into());
    }
    check(world, request, format, request.path, scratch)?;
    let object = world.object_mut(id).ok_or(Code::NOT_FOUND)?;
    object.edit(instance)?;
    let applied = apply(object, request, format, instance, scratch);
    conclude(object, applied)?;
    Ok(Success::plain(Code::CHANGED))
}

/// Commits a transaction whose writes all worked, aborts it otherwise.
pub(crate) fn conclude(object: &mut dyn Object, applied: Result<(), Deny>) -> Result<(), Deny> {
    match applied {
        Ok(()) => object.commit().map_err(Deny::from),
        Err(deny) => {
            object.abort();
            Err(deny)
        }
    }
}

/// What the payload says. A Create whose path has an instance is one whose instance the client numbers.
fn entries<'a>(request: &Request<'a>, format: Format) -> Decoder<'a> {
    let entries = decode(format, request.path, request.payload).with_alternate_path(request.root);
    match request.path.instance_id().filter(|_| request.operation == Operation::Create) {
        Some(instance) => entries.with_assigned_instance(instance),
        None => entries,
    }
}

/// The format of the payload: 4.00 without one, 4.15 for one that is not known here.
fn payload_format(request: &Request<'_>) -> Result<Format, Code> {
    let number = request.message.content_format().ok_or(Code::BAD_REQUEST)?;
    negotiate::usable(number, Use::Write, request.version).ok_or(Code::UNSUPPORTED_CONTENT_FORMAT)
}

/// Looks at every value of the payload before the first one is written. `base` is where the payload's paths begin.
fn check(
    world: &World<'_>,
    request: &Request<'_>,
    format: Format,
    base: Path,
    scratch: &mut [u8],
) -> Result<(), Code> {
    let id = base.object_id().ok_or(Code::METHOD_NOT_ALLOWED)?;
    let object = world.object(id).ok_or(Code::NOT_FOUND)?;
    let model = object.model();
    let creates = request.operation == Operation::Create;
    let mut count = 0_usize;
    // TS_Core 7.4: a path that stands twice has no meaning.
    well_formed(&entries(request, format)).map_err(|_| Code::BAD_REQUEST)?;
    for entry in entries(request, format) {
        let entry = entry.map_err(|_| Code::BAD_REQUEST)?;
        count = count.saturating_add(1);
        let Some(resource) = entry.path.resource_id() else {
            // An instance without resources; nothing is written.
            continue;
        };
        let Some(resource) = model.resource(resource) else {
            if base.level() >= Level::Resource {
                return Err(Code::NOT_FOUND);
            }
            // Unknown optional resources are no error (TS_Core 6.3.3).
            continue;
        };
        if !resource.operations.writable() {
            if creates && !resource.operations.executable() {
                continue;
            }
            return Err(Code::METHOD_NOT_ALLOWED);
        }
        let is_item = entry.path.level() == Level::ResourceInstance;
        if entry.value.is_container() {
            // An empty array, where there may be none.
            let may_be_empty = resource.multiple && !is_item && !resource.mandatory;
            if may_be_empty { continue } else { return Err(Code::BAD_REQUEST) }
        }
        if is_item != resource.multiple {
            return Err(Code::BAD_REQUEST);
        }
        let value = decode_value(&entry.value, resource, scratch)?;
        if !access::is_legal(id, resource.id, &value) {
            return Err(Code::BAD_REQUEST);
        }
        if let Value::ObjectLink(link) = value
            && !leads_somewhere(world, link)
        {
            return Err(Code::BAD_REQUEST);
        }
    }
    let may_be_empty = |resource: &ResourceModel| resource.multiple && !resource.mandatory;
    let target = base.resource_id().and_then(|id| model.resource(id));
    if count == 0 && target.is_some_and(|target| !may_be_empty(target)) {
        return Err(Code::BAD_REQUEST);
    }
    Ok(())
}

fn is_array(model: ObjectModel<'_>, path: Path) -> bool {
    path.level() == Level::Resource
        && path.resource_id().and_then(|id| model.resource(id)).is_some_and(|resource| resource.multiple)
}

/// The value in the type of its definition: 4.00 when it is of another form or out of range.
pub(crate) fn decode_value<'s, 'a: 's>(
    value: &RawValue<'a>,
    model: &ResourceModel,
    scratch: &'s mut [u8],
) -> Result<Value<'s>, Code> {
    let data_type = model.data_type.ok_or(Code::BAD_REQUEST)?;
    let value = value.decode(data_type, scratch).map_err(|error| {
        if error == ValueError::ScratchTooSmall { Code::REQUEST_ENTITY_TOO_LARGE } else { Code::BAD_REQUEST }
    })?;
    if in_range(model, &value) { Ok(value) } else { Err(Code::BAD_REQUEST) }
}

/// Whether a value lies in the range of its definition; for texts and bytes the range is their length.
pub(crate) fn in_range(model: &ResourceModel, value: &Value<'_>) -> bool {
    let Some((low, high)) = model.range else { return true };
    let len = |bytes: &[u8]| u32::try_from(bytes.len()).map_or(f64::INFINITY, f64::from);
    let number = match value {
        Value::String(text) | Value::Corelnk(text) => len(text.as_bytes()),
        Value::Opaque(bytes) => len(bytes),
        Value::Boolean(_) | Value::ObjectLink(_) => return true,
        Value::Integer(_) | Value::Unsigned(_) | Value::Float(_) | Value::Time(_) => {
            value.as_f64().unwrap_or(f64::NAN)
        }
    };
    low <= number && number <= high
}

/// Whether an object link names an instance that exists, an object that exists, or nothing (TS_Core appendix C).
pub(crate) fn leads_somewhere(world: &World<'_>, link: ObjectLink) -> bool {
    if link == ObjectLink::NULL {
        return true;
    }
    let Some(path) = link.path() else { return false };
    let object = path.object_id().and_then(|id| world.object(id));
    match (object, path.instance_id()) {
        (Some(object), Some(instance)) => exists(object, instance),
        (Some(_), None) => true,
        (None, _) => false,
    }
}

/// Puts the payload's values into the open transaction on `instance`.
fn apply(
    object: &mut dyn Object,
    request: &Request<'_>,
    format: Format,
    instance: ObjectInstanceId,
    scratch: &mut [u8],
) -> Result<(), Deny> {
    let base = request.path;
    if request.operation == Operation::Replace {
        match (base.resource_id(), base.resource_instance_id()) {
            (None, _) => drop_absent(object, request, format, instance),
            (Some(resource), None) if is_array(object.model(), base) => {
                empty_array(object, instance, resource)?
            }
            (Some(_), _) => {}
        }
    }
    let mut emptied = None;
    for entry in entries(request, format) {
        let entry = entry.map_err(|_| Code::BAD_REQUEST)?;
        let (Some(resource), true) = (entry.path.resource_id(), entry.path.instance_id() == Some(instance))
        else {
            continue;
        };
        let Some(model) = object.model().resource(resource).copied() else { continue };
        if !model.operations.writable() {
            continue;
        }
        // The array of an instance that is replaced is replaced as a whole, once.
        let replaces = request.operation == Operation::Replace && base.level() == Level::Instance;
        if replaces && model.multiple && emptied != Some(resource) {
            empty_array(object, instance, resource)?;
            emptied = Some(resource);
        }
        if entry.value.is_container() {
            continue;
        }
        let value = decode_value(&entry.value, &model, scratch)?;
        object.write(resource, entry.path.resource_instance_id(), value)?;
    }
    Ok(())
}

/// Removes the optional resources that the payload of an instance-level Replace does not name.
///
/// What the object keeps all the same stays as it is: mandatory resources, and optional ones that this device always has.
fn drop_absent(object: &mut dyn Object, request: &Request<'_>, format: Format, instance: ObjectInstanceId) {
    let mut index = 0_usize;
    while let Some(model) = object.model().resources.get(index).copied() {
        index = index.saturating_add(1);
        let named = || {
            let entries = entries(request, format);
            entries.flatten().any(|entry| entry.path.resource_id() == Some(model.id))
        };
        if model.operations.writable() && !model.mandatory && object.has(instance, model.id) && !named() {
            let _ = object.clear(model.id, None);
        }
    }
}

/// Removes all resource instances, but leaves the resource there.
fn empty_array(
    object: &mut dyn Object,
    instance: ObjectInstanceId,
    resource: ResourceId,
) -> Result<(), Refusal> {
    let mut from = Some(0);
    while let Some(item) = from.and_then(|from| next_item(object, instance, resource, from)) {
        object.clear(resource, Some(item))?;
        from = item.get().checked_add(1);
    }
    Ok(())
}

/// The smallest Resource Instance ID that is `from` or higher, as committed.
pub(crate) fn next_item(
    object: &dyn Object,
    instance: ObjectInstanceId,
    resource: ResourceId,
    from: u16,
) -> Option<ResourceInstanceId> {
    struct Smallest {
        from: u16,
        found: Option<ResourceInstanceId>,
    }
    impl Sink for Smallest {
        fn value(&mut self, _: Value<'_>) {}

        fn item(&mut self, id: ResourceInstanceId, _: Value<'_>) {
            if id.get() >= self.from && self.found.is_none_or(|found| id < found) {
                self.found = Some(id);
            }
        }
    }
    let mut smallest = Smallest { from, found: None };
    object.read(instance, resource, &mut smallest).ok()?;
    smallest.found
}

/// Creates the instances of the payload, or one that the client numbers.
pub(crate) fn create(
    world: &mut World<'_>,
    request: &Request<'_>,
    scratch: &mut [u8],
) -> Result<Success, Deny> {
    let id = request.path.object_id().ok_or(Code::METHOD_NOT_ALLOWED)?;
    let object = world.object(id).ok_or(Code::NOT_FOUND)?;
    let model = object.model();
    if !model.multiple && object.instance_from(0).is_some() {
        return Err(Code::METHOD_NOT_ALLOWED.into());
    }
    let format = match (request.message.content_format(), request.payload) {
        // Since 1.1 a Create may come without a payload.
        (None, []) if request.version > lightship_lwm2m::Version::V1_0 => Format::Tlv,
        _ => payload_format(request)?,
    };
    if format.is_single_value() {
        return Err(Code::UNSUPPORTED_CONTENT_FORMAT.into());
    }
    let chosen = chosen_instance_below(request.root, format, request.path, request.payload)
        .map_err(|_| Code::BAD_REQUEST)?;
    if chosen.is_some() {
        return create_chosen(world, request, format, scratch);
    }
    let free = free_instance(object).ok_or(Code::METHOD_NOT_ALLOWED)?;
    let numbered = Request { path: Path::instance(id, free), ..*request };
    create_one(world, &numbered, format, free, scratch)?;
    Ok(Success { location: Some(numbered.path), ..Success::plain(Code::CREATED) })
}

/// The instance that a client numbers itself: the smallest free ID; 0 when there can be one only.
fn free_instance(object: &dyn Object) -> Option<ObjectInstanceId> {
    (0..u16::MAX).filter_map(ObjectInstanceId::new).find(|id| !exists(object, *id))
}

/// Creates every instance that the payload numbers; takes the first ones back when a later one fails.
fn create_chosen(
    world: &mut World<'_>,
    request: &Request<'_>,
    format: Format,
    scratch: &mut [u8],
) -> Result<Success, Deny> {
    let id = request.path.object_id().ok_or(Code::METHOD_NOT_ALLOWED)?;
    let single = world.object(id).is_some_and(|object| !object.model().multiple);
    let mut done: Option<ObjectInstanceId> = None;
    let outcome = loop {
        // The next instance in ascending order, which needs no memory of those before.
        let mut next: Option<ObjectInstanceId> = None;
        let mut bad = false;
        for entry in entries(request, format) {
            match entry.map(|entry| entry.path.instance_id()) {
                Ok(Some(instance)) if done.is_none_or(|done| instance > done) => {
                    next = Some(next.map_or(instance, |next| next.min(instance)));
                }
                Ok(Some(_)) => {}
                Ok(None) | Err(_) => bad = true,
            }
        }
        match next {
            _ if bad => break Err(Code::BAD_REQUEST.into()),
            None => break Ok(Success::plain(Code::CREATED)),
            Some(instance) if single && instance != ObjectInstanceId::ZERO => {
                break Err(Code::BAD_REQUEST.into());
            }
            Some(instance) => {
                if let Err(deny) = create_one(world, request, format, instance, scratch) {
                    break Err(deny);
                }
                done = Some(instance);
            }
        }
    };
    if let (Err(_), Some(last)) = (&outcome, done) {
        let instances = entries(request, format).flatten().filter_map(|entry| entry.path.instance_id());
        for instance in instances.filter(|instance| *instance <= last) {
            if let Some(object) = world.object_mut(id) {
                let _ = object.delete(instance);
            }
            access::deleted(world, id, instance);
        }
    }
    outcome
}

/// Creates one instance from the entries that belong to it.
fn create_one(
    world: &mut World<'_>,
    request: &Request<'_>,
    format: Format,
    instance: ObjectInstanceId,
    scratch: &mut [u8],
) -> Result<(), Deny> {
    let id = request.path.object_id().ok_or(Code::METHOD_NOT_ALLOWED)?;
    let object = world.object(id).ok_or(Code::NOT_FOUND)?;
    if exists(object, instance) {
        return Err(Code::BAD_REQUEST.into());
    }
    check(world, request, format, request.path, scratch)?;
    let object = world.object(id).ok_or(Code::NOT_FOUND)?;
    let mut needed =
        object.model().resources.iter().filter(|model| model.mandatory && model.operations.writable());
    let complete = needed.all(|model| {
        let wanted = Path::resource(id, instance, model.id);
        entries(request, format).flatten().any(|entry| wanted.contains(entry.path))
    });
    if !complete {
        return Err(Code::BAD_REQUEST.into());
    }
    let object = world.object_mut(id).ok_or(Code::NOT_FOUND)?;
    object.create(instance)?;
    let applied = apply(object, request, format, instance, scratch);
    conclude(object, applied)?;
    if let Err(code) = access::created(world, id, instance) {
        if let Some(object) = world.object_mut(id) {
            let _ = object.delete(instance);
        }
        return Err(code.into());
    }
    Ok(())
}

/// Deletes an instance, or since 1.2 a resource instance.
pub(crate) fn delete(world: &mut World<'_>, request: &Request<'_>) -> Result<Success, Deny> {
    let (Some(id), Some(instance)) = (request.path.object_id(), request.path.instance_id()) else {
        return Err(Code::METHOD_NOT_ALLOWED.into());
    };
    let object = world.object_mut(id).ok_or(Code::NOT_FOUND)?;
    let (Some(resource), Some(item)) = (request.path.resource_id(), request.path.resource_instance_id())
    else {
        if id == ObjectId::DEVICE {
            return Err(Code::METHOD_NOT_ALLOWED.into());
        }
        object.delete(instance)?;
        access::deleted(world, id, instance);
        return Ok(Success::plain(Code::DELETED));
    };
    let model = *object.model().resource(resource).ok_or(Code::NOT_FOUND)?;
    if !object.has(instance, resource) {
        return Err(Code::NOT_FOUND.into());
    }
    if !model.multiple {
        return Err(Code::METHOD_NOT_ALLOWED.into());
    }
    if next_item(object, instance, resource, item.get()) != Some(item) {
        return Err(Code::NOT_FOUND.into());
    }
    if !model.operations.writable() {
        return Err(Code::METHOD_NOT_ALLOWED.into());
    }
    let first = next_item(object, instance, resource, 0);
    let another = item.get().checked_add(1).and_then(|from| next_item(object, instance, resource, from));
    if model.mandatory && first == Some(item) && another.is_none() {
        // A refused removal of a resource instance gives 4.01 (TS_Core table of response codes).
        return Err(Code::UNAUTHORIZED.into());
    }
    object.edit(instance)?;
    let cleared = object.clear(resource, Some(item)).map_err(Deny::from);
    conclude(object, cleared)?;
    Ok(Success::plain(Code::DELETED))
}
