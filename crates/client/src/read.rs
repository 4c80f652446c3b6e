//! Walks the values at and below a path, in tree order.

use lightship_lwm2m::{DataType, ObjectInstanceId, Path, ResourceInstanceId, Value};

use crate::dispatch::{Operation, World};
use crate::object::{Object, Refusal, ResourceModel, Sink};

/// Takes what a walk finds.
pub(crate) trait Visitor {
    /// A value at the path of a single resource or of a resource instance.
    fn value(&mut self, path: Path, value: Value<'_>);

    /// A multiple resource without resource instances.
    fn empty(&mut self, path: Path) {
        let _ = path;
    }
}

/// Hands every readable value at or below `target` to `visitor`.
///
/// Existence, access and the fourth segment are judged as TS_Core 6.3.1 wants: a direct read of something absent gives
/// `NotFound`, of something unreadable `NotAllowed`; on higher levels both are left out.
///
/// Instances that the asking server may not read are left out; a target that it may not read gives `Forbidden`.
pub(crate) fn walk(world: &World<'_>, target: Path, visitor: &mut dyn Visitor) -> Result<(), Refusal> {
    let Some(id) = target.object_id() else {
        let mut from = Some(0);
        while let Some(id) = from.and_then(|from| world.next_object(from)) {
            walk(world, Path::object(id), visitor)?;
            from = id.get().checked_add(1);
        }
        return Ok(());
    };
    if id.is_hidden() {
        return Err(Refusal::Forbidden);
    }
    let object = world.object(id).ok_or(Refusal::NotFound)?;
    let model = object.model();
    let Some(wanted) = target.instance_id() else {
        let mut from = Some(0);
        while let Some(instance) = from.and_then(|from| object.instance_from(from)) {
            if world.allows(Operation::Read, id, Some(instance)) {
                walk_instance(object, instance, visitor)?;
            }
            from = instance.get().checked_add(1);
        }
        return Ok(());
    };
    if !exists(object, wanted) {
        return Err(Refusal::NotFound);
    }
    if !world.allows(Operation::Read, id, Some(wanted)) {
        return Err(Refusal::Forbidden);
    }
    let Some(resource) = target.resource_id() else {
        return walk_instance(object, wanted, visitor);
    };
    let model = model.resource(resource).ok_or(Refusal::NotFound)?;
    if !object.has(wanted, resource) {
        return Err(Refusal::NotFound);
    }
    if !model.operations.readable() || (target.resource_instance_id().is_some() && !model.multiple) {
        return Err(Refusal::NotAllowed);
    }
    walk_resource(object, wanted, model, target.resource_instance_id(), visitor)
}

/// Whether the object has this instance.
pub(crate) fn exists(object: &dyn Object, instance: ObjectInstanceId) -> bool {
    object.instance_from(instance.get()) == Some(instance)
}

fn walk_instance(
    object: &dyn Object,
    instance: ObjectInstanceId,
    visitor: &mut dyn Visitor,
) -> Result<(), Refusal> {
    for model in object.model().resources.iter().filter(|model| model.operations.readable()) {
        match walk_resource(object, instance, model, None, visitor) {
            Ok(()) | Err(Refusal::NotFound) => {}
            Err(other) => return Err(other),
        }
    }
    Ok(())
}

fn walk_resource(
    object: &dyn Object,
    instance: ObjectInstanceId,
    model: &ResourceModel,
    only: Option<ResourceInstanceId>,
    visitor: &mut dyn Visitor,
) -> Result<(), Refusal> {
    let path = Path::resource(object.model().id, instance, model.id);
    let mut sink = Narrow { path, model, only, found: 0, visitor };
    object.read(instance, model.id, &mut sink)?;
    match (sink.found, only, model.multiple) {
        (0, Some(_), _) => Err(Refusal::NotFound),
        (0, None, true) => {
            visitor.empty(path);
            Ok(())
        }
        (0, None, false) => Err(Refusal::NotFound),
        _ => Ok(()),
    }
}

/// Passes on what belongs to the target, in the type of the definition.
struct Narrow<'a> {
    path: Path,
    model: &'a ResourceModel,
    only: Option<ResourceInstanceId>,
    found: usize,
    visitor: &'a mut dyn Visitor,
}

impl Narrow<'_> {
    fn pass(&mut self, path: Path, value: Value<'_>) {
        self.found = self.found.saturating_add(1);
        let value = self.model.data_type.map_or(value, |data_type| coerce(value, data_type));
        self.visitor.value(path, value);
    }
}

impl Sink for Narrow<'_> {
    fn value(&mut self, value: Value<'_>) {
        if !self.model.multiple && self.found == 0 {
            self.pass(self.path, value);
        }
    }

    fn item(&mut self, id: ResourceInstanceId, value: Value<'_>) {
        if self.model.multiple
            && self.only.is_none_or(|only| only == id)
            && let Some(path) = self.path.child(id.get())
        {
            self.pass(path, value);
        }
    }
}

/// Gives a value the type of the definition where the two are forms of the same thing.
fn coerce(value: Value<'_>, data_type: DataType) -> Value<'_> {
    match (value, data_type) {
        (Value::Integer(number), DataType::Time) => Value::Time(number),
        (Value::Integer(number), DataType::Unsigned) => u64::try_from(number).map_or(value, Value::Unsigned),
        (Value::Unsigned(number), DataType::Integer) => i64::try_from(number).map_or(value, Value::Integer),
        (Value::Unsigned(number), DataType::Time) => i64::try_from(number).map_or(value, Value::Time),
        (Value::Time(number), DataType::Integer) => Value::Integer(number),
        (Value::String(text), DataType::Corelnk) => Value::Corelnk(text),
        (Value::Corelnk(text), DataType::String) => Value::String(text),
        _ => value,
    }
}
