//! Objects built at run time from the embedded definitions, with values of their own.
//!
//! [`ObjectSet`] is what the client engine serves; [`BuiltObject`] is one object with its instances; a [`Behaviour`]
//! gives life to the objects that have one (a clock, a sensor that moves, a firmware update).

mod behaviour;
mod device;
mod firmware;
mod initial;
mod kept;
mod sensor;
mod statistics;
mod test_object;

pub(crate) use self::behaviour::{SendWish, World};

use self::behaviour::{Behaviour, Call, Change};
use lightship_client::{Arguments, Object, ObjectModel, Objects, Refusal, ResourceModel, Sink};
use lightship_lwm2m::object::{self, ObjectDefinition};
use lightship_lwm2m::{
    DataType, ObjectId, ObjectInstanceId, OwnedValue, Path, ResourceId, ResourceInstanceId, Value, Version,
};
use std::collections::BTreeMap;
use std::sync::Arc;

/// Instances that one object may have, whoever creates them.
pub(crate) const INSTANCES_MAX: usize = 1000;
/// Resource instances that one resource may have.
pub(crate) const RESOURCE_INSTANCES_MAX: usize = 1000;

/// Releases of LwM2M, ascending.
const RELEASES: [Version; 3] = [Version::V1_0, Version::V1_1, Version::V1_2];

/// What a resource holds.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Held {
    Single(OwnedValue),
    Multiple(BTreeMap<ResourceInstanceId, OwnedValue>),
}

impl Held {
    /// A multiple resource with one resource instance, 0.
    fn one_item(value: OwnedValue) -> Self {
        Self::Multiple(ResourceInstanceId::new(0).map(|id| (id, value)).into_iter().collect())
    }
}

/// The resources of one instance that hold something.
pub(crate) type Instance = BTreeMap<ResourceId, Held>;
type Instances = BTreeMap<ObjectInstanceId, Instance>;

/// One object with its instances.
pub(crate) struct BuiltObject {
    /// The newest, by which values are kept.
    definition: ObjectDefinition<'static>,
    /// How servers of LwM2M 1.0, 1.1 and 1.2 see it.
    views: [View; 3],
    /// Which of these is asked for at present.
    view: usize,
    instances: Instances,
    open: Option<Open>,
    behaviour: Box<dyn Behaviour>,
    world: Arc<World>,
}

/// One object in one version.
struct View {
    definition: ObjectDefinition<'static>,
    resources: Vec<ResourceModel>,
}

impl View {
    fn new(definition: ObjectDefinition<'static>) -> Self {
        let resources = definition.resources().map(|resource| ResourceModel {
            id: resource.id,
            operations: resource.operations,
            data_type: resource.data_type.filter(|_| !resource.operations.executable()),
            multiple: resource.multiple,
            mandatory: resource.mandatory,
            range: None,
        });
        Self { definition, resources: resources.collect() }
    }
}

/// The definition that servers of a LwM2M release are served: objects of the enabler itself as that release has them, and
/// all others, like everything in the latest release, as new as it gets.
fn definition_for(newest: ObjectDefinition<'static>, release: Version) -> ObjectDefinition<'static> {
    /// Objects 0 to 7 belong to the enabler.
    const ENABLER_OBJECT_MAX: u16 = 7;
    if release == Version::LATEST || newest.id.get() > ENABLER_OBJECT_MAX {
        return newest;
    }
    object::lookup(newest.id, object::implied_version(newest.id, release)).unwrap_or(newest)
}

/// A transaction: a copy of the instance that takes the place of the original when all went well.
struct Open {
    id: ObjectInstanceId,
    instance: Instance,
    created: bool,
    written: Vec<ResourceId>,
}

impl BuiltObject {
    /// An object without instances, as the embedded definitions have it; `None` if there is none.
    pub(crate) fn new(id: ObjectId, world: &Arc<World>) -> Option<Self> {
        let definition = object::latest(id)?;
        Some(Self {
            definition,
            views: RELEASES.map(|release| View::new(definition_for(definition, release))),
            view: RELEASES.len() - 1,
            instances: BTreeMap::new(),
            open: None,
            behaviour: behaviour::of(id),
            world: Arc::clone(world),
        })
    }

    /// The definition it is built from.
    pub(crate) fn definition(&self) -> &ObjectDefinition<'static> {
        &self.definition
    }

    /// Adds an instance with initial values.
    ///
    /// # Errors
    /// Says why there can be no such instance.
    pub(crate) fn add_instance(&mut self, id: ObjectInstanceId) -> Result<(), String> {
        let path = Path::instance(self.definition.id, id);
        if self.instances.contains_key(&id) {
            return Err(format!("{path} exists"));
        }
        if !self.definition.multiple && id != ObjectInstanceId::ZERO {
            return Err(format!("object {} has a single instance, with the ID 0", self.definition.id));
        }
        if self.instances.len() >= INSTANCES_MAX {
            return Err(format!("more than {INSTANCES_MAX} instances"));
        }
        let mut instance = initial::instance(&self.definition, &self.world);
        self.behaviour.begin(&self.world, id, &mut instance);
        self.instances.insert(id, instance);
        Ok(())
    }

    /// Removes an instance, whatever a server might do.
    pub(crate) fn remove_instance(&mut self, id: ObjectInstanceId) -> bool {
        self.behaviour.end(id);
        self.instances.remove(&id).is_some()
    }

    /// The instances' IDs, ascending.
    pub(crate) fn instance_ids(&self) -> impl Iterator<Item = ObjectInstanceId> + '_ {
        self.instances.keys().copied()
    }

    /// Sets a value from the device's side: neither access nor mandatory resources matter, type and range do.
    ///
    /// # Errors
    /// Says what does not fit.
    pub(crate) fn set(
        &mut self,
        instance: ObjectInstanceId,
        resource: ResourceId,
        item: Option<ResourceInstanceId>,
        value: OwnedValue,
    ) -> Result<(), String> {
        let id = self.definition.id;
        let definition = self.definition.resource(resource).ok_or_else(|| {
            format!("object {id} in version {} has no resource {resource}", self.definition.version)
        })?;
        if !definition.range().allows(&value.as_value()) {
            return Err(format!("{} allows {}", definition.name, definition.range_text));
        }
        let values = self.instances.get_mut(&instance).ok_or_else(|| format!("no /{id}/{instance}"))?;
        match (definition.multiple, item) {
            (false, None) => {
                values.insert(resource, Held::Single(value));
            }
            (true, Some(item)) => {
                let held = values.entry(resource).or_insert_with(|| Held::Multiple(BTreeMap::new()));
                if let Held::Multiple(items) = held {
                    items.insert(item, value);
                }
            }
            (false, Some(_)) => return Err(format!("{} has no resource instances", definition.name)),
            (true, None) => return Err(format!("{} needs a resource instance ID", definition.name)),
        }
        self.behaviour.set_by_hand(&self.world, instance, resource, values);
        Ok(())
    }

    /// The resource's present value, computed or held.
    fn present(&self, instance: ObjectInstanceId, resource: ResourceId) -> Option<Held> {
        let values = self.instances.get(&instance)?;
        self.behaviour
            .computed(&self.world, instance, resource)
            .map(Held::Single)
            .or_else(|| values.get(&resource).cloned())
    }

    /// All present values of an instance that are not write-only, in tree order, for showing.
    pub(crate) fn values(&self, instance: ObjectInstanceId) -> Vec<(Path, OwnedValue)> {
        let mut found = Vec::new();
        for resource in self.definition.resources() {
            let path = Path::resource(self.definition.id, instance, resource.id);
            match self.present(instance, resource.id) {
                Some(Held::Single(value)) => found.push((path, value)),
                Some(Held::Multiple(items)) => {
                    found.extend(
                        items
                            .into_iter()
                            .filter_map(|(item, value)| path.child(item.get()).map(|path| (path, value))),
                    );
                }
                None => {}
            }
        }
        found
    }

    /// Puts other instances in the place of all.
    fn replace(&mut self, mut instances: Instances) {
        for old in std::mem::take(&mut self.instances).into_keys() {
            self.behaviour.end(old);
        }
        for (instance, values) in &mut instances {
            self.behaviour.begin(&self.world, *instance, values);
        }
        self.instances = instances;
    }

    fn tick(&mut self) {
        for (id, instance) in &mut self.instances {
            self.behaviour.tick(&self.world, *id, instance);
        }
    }

    /// The object as it is served at present.
    fn view(&self) -> &View {
        // There are as many views as releases.
        let [oldest, ..] = &self.views;
        self.views.get(self.view).unwrap_or(oldest)
    }

    fn check(&self, resource: ResourceId, value: &Value<'_>) -> Result<(), Refusal> {
        let definition = self.view().definition.resource(resource).ok_or(Refusal::NotFound)?;
        if definition.range().allows(value) { Ok(()) } else { Err(Refusal::BadValue) }
    }

    /// Gives a created instance what its creator could not set (read-only values) or left out (mandatory ones).
    fn complete(&self, open: &mut Open) {
        let initial = initial::instance(&self.definition, &self.world);
        for resource in self.definition.resources() {
            let writable = resource.operations.writable();
            if let Some(held) = initial.get(&resource.id).filter(|_| !writable || resource.mandatory) {
                open.instance.entry(resource.id).or_insert_with(|| held.clone());
            }
        }
    }
}

impl Object for BuiltObject {
    fn model(&self) -> ObjectModel<'_> {
        let View { definition, resources } = self.view();
        ObjectModel {
            id: definition.id,
            version: definition.version,
            multiple: definition.multiple,
            resources,
        }
    }

    fn instance_from(&self, from: u16) -> Option<ObjectInstanceId> {
        self.instances.range(ObjectInstanceId::new(from)?..).next().map(|(id, _)| *id)
    }

    fn read(
        &self,
        instance: ObjectInstanceId,
        resource: ResourceId,
        sink: &mut dyn Sink,
    ) -> Result<(), Refusal> {
        match self.present(instance, resource).ok_or(Refusal::NotFound)? {
            Held::Single(value) => sink.value(value.as_value()),
            Held::Multiple(items) => items.iter().for_each(|(id, value)| sink.item(*id, value.as_value())),
        }
        Ok(())
    }

    fn edit(&mut self, instance: ObjectInstanceId) -> Result<(), Refusal> {
        let copy = self.instances.get(&instance).ok_or(Refusal::NotFound)?.clone();
        self.open = Some(Open { id: instance, instance: copy, created: false, written: Vec::new() });
        Ok(())
    }

    fn create(&mut self, instance: ObjectInstanceId) -> Result<(), Refusal> {
        if !self.behaviour.lets_create(&self.world) {
            return Err(Refusal::NotAllowed);
        }
        if self.instances.contains_key(&instance) {
            return Err(Refusal::BadValue);
        }
        if self.instances.len() >= INSTANCES_MAX {
            return Err(Refusal::Busy);
        }
        self.open =
            Some(Open { id: instance, instance: Instance::new(), created: true, written: Vec::new() });
        Ok(())
    }

    fn write(
        &mut self,
        resource: ResourceId,
        item: Option<ResourceInstanceId>,
        value: Value<'_>,
    ) -> Result<(), Refusal> {
        self.check(resource, &value)?;
        let open = self.open.as_mut().ok_or(Refusal::Failed)?;
        match item {
            None => {
                open.instance.insert(resource, Held::Single(value.into_owned()));
            }
            Some(item) => {
                let empty = || Held::Multiple(BTreeMap::new());
                let Held::Multiple(items) = open.instance.entry(resource).or_insert_with(empty) else {
                    return Err(Refusal::BadValue);
                };
                if items.len() >= RESOURCE_INSTANCES_MAX && !items.contains_key(&item) {
                    return Err(Refusal::Forbidden);
                }
                items.insert(item, value.into_owned());
            }
        }
        open.written.push(resource);
        Ok(())
    }

    fn clear(&mut self, resource: ResourceId, item: Option<ResourceInstanceId>) -> Result<(), Refusal> {
        let definition = self.definition.resource(resource).ok_or(Refusal::NotFound)?;
        let open = self.open.as_mut().ok_or(Refusal::Failed)?;
        match (item, open.instance.get_mut(&resource)) {
            (Some(item), Some(Held::Multiple(items))) => {
                items.remove(&item).ok_or(Refusal::NotFound)?;
            }
            (Some(_), _) => return Err(Refusal::NotFound),
            (None, Some(Held::Multiple(items))) => items.clear(),
            (None, Some(Held::Single(_)) | None) if definition.mandatory => return Err(Refusal::NotAllowed),
            (None, Some(Held::Single(_)) | None) => {
                open.instance.remove(&resource);
            }
        }
        open.written.push(resource);
        Ok(())
    }

    fn commit(&mut self) -> Result<(), Refusal> {
        let mut open = self.open.take().ok_or(Refusal::Failed)?;
        if open.created {
            self.complete(&mut open);
            self.behaviour.begin(&self.world, open.id, &mut open.instance);
        }
        for resource in &open.written {
            let change = Change { resource: *resource, before: self.instances.get(&open.id) };
            self.behaviour.written(&self.world, &change, &mut open.instance)?;
        }
        self.instances.insert(open.id, open.instance);
        Ok(())
    }

    fn abort(&mut self) {
        self.open = None;
    }

    fn delete(&mut self, instance: ObjectInstanceId) -> Result<(), Refusal> {
        if self.definition.mandatory || !self.behaviour.lets_create(&self.world) {
            return Err(Refusal::NotAllowed);
        }
        if self.remove_instance(instance) { Ok(()) } else { Err(Refusal::NotFound) }
    }

    fn execute(
        &mut self,
        instance: ObjectInstanceId,
        resource: ResourceId,
        arguments: Arguments<'_>,
    ) -> Result<(), Refusal> {
        let mut values = self.instances.get(&instance).ok_or(Refusal::NotFound)?.clone();
        let call = Call { definition: &self.definition, resource, arguments };
        self.behaviour.execute(&self.world, &call, &mut values)?;
        self.instances.insert(instance, values);
        Ok(())
    }
}

/// All objects of the device besides those that the engine itself provides (Security, Server).
pub(crate) struct ObjectSet {
    objects: Vec<BuiltObject>,
    world: Arc<World>,
    /// The instances of all objects before a bootstrap.
    before: Option<BTreeMap<ObjectId, Instances>>,
}

impl ObjectSet {
    /// No objects yet.
    pub(crate) fn new(world: Arc<World>) -> Self {
        Self { objects: Vec::new(), world, before: None }
    }

    /// Adds `count` instances of an object, on the lowest free IDs; the object itself if it is not here yet.
    ///
    /// # Errors
    /// Says why that is impossible.
    pub(crate) fn add(&mut self, id: ObjectId, count: u16) -> Result<(), String> {
        self.object(id)?;
        for _ in 0..count {
            self.add_one(id, None)?;
        }
        Ok(())
    }

    /// Adds one instance, with that ID or the lowest free one, and gives its path.
    ///
    /// # Errors
    /// Says why that is impossible.
    pub(crate) fn add_one(
        &mut self,
        id: ObjectId,
        instance: Option<ObjectInstanceId>,
    ) -> Result<Path, String> {
        let object = self.object(id)?;
        let lowest_free = || {
            let mut ids = (0..u16::MAX).filter_map(ObjectInstanceId::new);
            ids.find(|candidate| !object.instances.contains_key(candidate))
        };
        let instance = instance.or_else(lowest_free).ok_or("no instance ID is free")?;
        object.add_instance(instance)?;
        Ok(Path::instance(id, instance))
    }

    /// Adds an instance of Access Control with these resources.
    ///
    /// # Errors
    /// Says which of them does not fit.
    pub(crate) fn add_access(
        &mut self,
        entry: Vec<(u16, Option<ResourceInstanceId>, OwnedValue)>,
    ) -> Result<(), String> {
        let at = self.add_one(ObjectId::ACCESS_CONTROL, None)?;
        let instance = at.instance_id().ok_or("no instance")?;
        let object = self.object(ObjectId::ACCESS_CONTROL)?;
        for (resource, item, value) in entry {
            let resource = ResourceId::new(resource).ok_or("no such resource")?;
            object.set(instance, resource, item, value).map_err(|error| format!("{at}: {error}"))?;
        }
        Ok(())
    }

    fn object(&mut self, id: ObjectId) -> Result<&mut BuiltObject, String> {
        let at = match self.objects.binary_search_by_key(&id, |object| object.definition.id) {
            Ok(at) => at,
            Err(at) => {
                let built = BuiltObject::new(id, &self.world)
                    .ok_or_else(|| format!("object {id} is not in the embedded definitions"))?;
                self.objects.insert(at, built);
                at
            }
        };
        self.objects.get_mut(at).ok_or_else(|| format!("no object {id}"))
    }

    /// The object with that ID.
    pub(crate) fn find(&self, id: ObjectId) -> Option<&BuiltObject> {
        self.objects.iter().find(|object| object.definition.id == id)
    }

    /// The object with that ID, to change it.
    pub(crate) fn find_mut(&mut self, id: ObjectId) -> Option<&mut BuiltObject> {
        self.objects.iter_mut().find(|object| object.definition.id == id)
    }

    /// All objects, ascending by ID.
    pub(crate) fn iter(&self) -> impl Iterator<Item = &BuiltObject> {
        self.objects.iter()
    }

    /// Whether letting time pass would change something.
    pub(crate) fn is_due(&self) -> bool {
        let due = |object: &BuiltObject| object.behaviour.is_due(&self.world);
        self.objects.iter().any(due)
    }

    /// Lets time pass.
    pub(crate) fn tick(&mut self) {
        self.objects.iter_mut().for_each(BuiltObject::tick);
    }

    /// What is to be sent, and how, when a resource was executed: that of a test object whose meaning is a Send.
    pub(crate) fn to_send(&self, executed: Path) -> Option<(Vec<Path>, SendWish)> {
        let object = self.find(executed.object_id()?)?;
        let list = test_object::send_list(object.definition.id, executed.resource_id()?)?;
        let wish = self.world.take_send().unwrap_or_default();
        let held = object.present(executed.instance_id()?, list);
        let items = if let Some(Held::Multiple(items)) = held { items } else { BTreeMap::new() };
        let paths = items.values().filter_map(|item| {
            let OwnedValue::String(text) = item else { return None };
            text.parse().ok()
        });
        Some((paths.collect(), wish))
    }

    /// The data type of a resource of an object that is here.
    pub(crate) fn data_type(&self, path: Path) -> Option<DataType> {
        self.find(path.object_id()?)?.definition.resource(path.resource_id()?)?.data_type
    }
}

impl Objects for ObjectSet {
    fn at(&self, index: usize) -> Option<&dyn Object> {
        self.objects.get(index).map(|object| object as &dyn Object)
    }

    fn at_mut(&mut self, index: usize) -> Option<&mut dyn Object> {
        match self.objects.get_mut(index) {
            Some(object) => Some(object),
            None => None,
        }
    }

    fn serve_as(&mut self, version: Version) {
        let view = RELEASES.iter().position(|release| *release == version).unwrap_or(RELEASES.len() - 1);
        self.objects.iter_mut().for_each(|object| object.view = view);
    }

    fn returned(&mut self, path: Path) -> bool {
        let mut changed = false;
        for object in &mut self.objects {
            for (id, instance) in &mut object.instances {
                let here = Path::instance(object.definition.id, *id);
                changed |= object.behaviour.returned(path, here, instance);
            }
        }
        changed
    }

    fn bootstrap_begins(&mut self) {
        let copy = |object: &BuiltObject| (object.definition.id, object.instances.clone());
        self.before = Some(self.objects.iter().map(copy).collect());
        self.world.set_bootstrapping(true);
    }

    fn bootstrap_ends(&mut self, kept: bool) {
        self.world.set_bootstrapping(false);
        let Some(mut before) = self.before.take().filter(|_| !kept) else { return };
        for object in &mut self.objects {
            // What the user added meanwhile stays.
            if let Some(instances) = before.remove(&object.definition.id) {
                object.open = None;
                object.replace(instances);
            }
        }
    }
}

#[cfg(test)]
#[allow(clippy::wildcard_enum_match_arm, reason = "a test looks for one event")]
mod conformance;
#[cfg(test)]
mod tests;
