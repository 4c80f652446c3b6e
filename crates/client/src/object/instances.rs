//! Plain structs as instances: one of them, or several.

use core::ops::{Deref, DerefMut};

use lightship_lwm2m::{ObjectInstanceId, ResourceId, ResourceInstanceId, Value};

use super::{Arguments, Object, ObjectModel, Refusal, Sink};

/// One instance of an object as a plain struct; `#[derive(Object)]` writes it.
pub trait Instance {
    /// The facts of the object, with the resources that the struct has.
    const MODEL: ObjectModel<'static>;

    /// Gives the present value of a resource to `sink`.
    ///
    /// # Errors
    /// [`Refusal::NotFound`] when it is absent, [`Refusal::Later`] when it has to be fetched first.
    fn read(&self, resource: ResourceId, sink: &mut dyn Sink) -> Result<(), Refusal>;

    /// Sets a resource or one of its resource instances.
    ///
    /// # Errors
    /// The reason why the value cannot be taken.
    fn write(
        &mut self,
        resource: ResourceId,
        item: Option<ResourceInstanceId>,
        value: Value<'_>,
    ) -> Result<(), Refusal>;

    /// Removes a resource, empties an array, or removes one resource instance.
    ///
    /// # Errors
    /// The reason why it stays.
    fn clear(&mut self, resource: ResourceId, item: Option<ResourceInstanceId>) -> Result<(), Refusal>;

    /// Looks at the whole instance before a change becomes visible.
    ///
    /// # Errors
    /// The reason why the change is refused as a whole.
    fn check(&self) -> Result<(), Refusal> {
        Ok(())
    }

    /// Executes a resource.
    ///
    /// # Errors
    /// The reason why it did not work.
    fn execute(&mut self, resource: ResourceId, arguments: Arguments<'_>) -> Result<(), Refusal>;
}

/// An object with exactly one instance, `/o/0`, that always exists.
#[derive(Debug, Clone, Default)]
pub struct Single<T> {
    instance: T,
    draft: Option<T>,
    /// How it was before a bootstrap.
    #[cfg(feature = "bootstrap")]
    before: Option<alloc::boxed::Box<T>>,
}

impl<T: Instance + Clone> Single<T> {
    /// Wraps the instance.
    pub const fn new(instance: T) -> Self {
        Single {
            instance,
            draft: None,
            #[cfg(feature = "bootstrap")]
            before: None,
        }
    }
}

impl<T> Deref for Single<T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.instance
    }
}

impl<T> DerefMut for Single<T> {
    fn deref_mut(&mut self) -> &mut T {
        &mut self.instance
    }
}

impl<T: Instance + Clone> Object for Single<T> {
    fn model(&self) -> ObjectModel<'_> {
        T::MODEL
    }

    fn instance_from(&self, from: u16) -> Option<ObjectInstanceId> {
        if from == 0 { ObjectInstanceId::new(0) } else { None }
    }

    fn read(
        &self,
        instance: ObjectInstanceId,
        resource: ResourceId,
        sink: &mut dyn Sink,
    ) -> Result<(), Refusal> {
        if u16::from(instance) == 0 { self.instance.read(resource, sink) } else { Err(Refusal::NotFound) }
    }

    #[cfg(feature = "bootstrap")]
    fn bootstrap_begins(&mut self) {
        self.before = Some(alloc::boxed::Box::new(self.instance.clone()));
    }

    #[cfg(feature = "bootstrap")]
    fn bootstrap_ends(&mut self, kept: bool) {
        if let Some(before) = self.before.take().filter(|_| !kept) {
            self.instance = *before;
        }
    }

    fn edit(&mut self, instance: ObjectInstanceId) -> Result<(), Refusal> {
        if u16::from(instance) != 0 {
            return Err(Refusal::NotFound);
        }
        self.draft = Some(self.instance.clone());
        Ok(())
    }

    fn write(
        &mut self,
        resource: ResourceId,
        item: Option<ResourceInstanceId>,
        value: Value<'_>,
    ) -> Result<(), Refusal> {
        self.draft.as_mut().ok_or(Refusal::Failed)?.write(resource, item, value)
    }

    fn clear(&mut self, resource: ResourceId, item: Option<ResourceInstanceId>) -> Result<(), Refusal> {
        self.draft.as_mut().ok_or(Refusal::Failed)?.clear(resource, item)
    }

    fn verify(&self) -> Result<(), Refusal> {
        self.draft.as_ref().ok_or(Refusal::Failed)?.check()
    }

    fn commit(&mut self) -> Result<(), Refusal> {
        let draft = self.draft.take().ok_or(Refusal::Failed)?;
        draft.check()?;
        self.instance = draft;
        Ok(())
    }

    fn abort(&mut self) {
        self.draft = None;
    }

    fn execute(
        &mut self,
        instance: ObjectInstanceId,
        resource: ResourceId,
        arguments: Arguments<'_>,
    ) -> Result<(), Refusal> {
        if u16::from(instance) != 0 {
            return Err(Refusal::NotFound);
        }
        self.instance.execute(resource, arguments)
    }
}

type Places<T, const N: usize> = [Option<(ObjectInstanceId, T)>; N];

/// An object with at most `N` instances.
#[derive(Debug, Clone)]
pub struct Multiple<T, const N: usize> {
    instances: Places<T, N>,
    /// How they were before a bootstrap.
    #[cfg(feature = "bootstrap")]
    before: Option<alloc::boxed::Box<Places<T, N>>>,
    draft: Option<(ObjectInstanceId, T)>,
    fresh: Option<fn() -> T>,
}

impl<T: Instance + Clone, const N: usize> Multiple<T, N> {
    /// An object without instances, which servers cannot create.
    pub const fn new() -> Self {
        Multiple {
            instances: [const { None }; N],
            #[cfg(feature = "bootstrap")]
            before: None,
            draft: None,
            fresh: None,
        }
    }

    /// Lets servers create and delete instances; a created one begins as `fresh` returns it, for example `T::default`.
    #[must_use]
    pub const fn creatable(mut self, fresh: fn() -> T) -> Self {
        self.fresh = Some(fresh);
        self
    }

    /// Adds an instance; builder form of [`Multiple::insert`] that ignores an instance for which there is no place.
    #[must_use]
    pub fn with(mut self, id: u16, instance: T) -> Self {
        let _ = self.insert(id, instance);
        self
    }

    /// Adds or replaces an instance.
    ///
    /// # Errors
    /// The instance, when all `N` places are taken or `id` is 65535.
    pub fn insert(&mut self, id: u16, instance: T) -> Result<(), T> {
        let Some(id) = ObjectInstanceId::new(id) else {
            return Err(instance);
        };
        let same =
            self.instances.iter().position(|slot| matches!(slot, Some((present, _)) if *present == id));
        let place = same.or_else(|| self.instances.iter().position(Option::is_none));
        match place.and_then(|at| self.instances.get_mut(at)) {
            Some(slot) => {
                *slot = Some((id, instance));
                Ok(())
            }
            None => Err(instance),
        }
    }

    /// Removes an instance.
    pub fn remove(&mut self, id: u16) -> Option<T> {
        let found = |slot: &&mut Option<(ObjectInstanceId, T)>| matches!(slot, Some((present, _)) if u16::from(*present) == id);
        self.instances.iter_mut().find(found)?.take().map(|(_, instance)| instance)
    }

    /// Returns an instance.
    pub fn get(&self, id: u16) -> Option<&T> {
        self.instances
            .iter()
            .flatten()
            .find(|(present, _)| u16::from(*present) == id)
            .map(|(_, instance)| instance)
    }

    /// Returns an instance to change it.
    pub fn get_mut(&mut self, id: u16) -> Option<&mut T> {
        self.instances
            .iter_mut()
            .flatten()
            .find(|(present, _)| u16::from(*present) == id)
            .map(|(_, instance)| instance)
    }
}

impl<T: Instance + Clone, const N: usize> Default for Multiple<T, N> {
    fn default() -> Self {
        Multiple::new()
    }
}

impl<T: Instance + Clone, const N: usize> Object for Multiple<T, N> {
    fn model(&self) -> ObjectModel<'_> {
        T::MODEL
    }

    fn instance_from(&self, from: u16) -> Option<ObjectInstanceId> {
        self.instances.iter().flatten().map(|(id, _)| *id).filter(|id| u16::from(*id) >= from).min()
    }

    fn read(
        &self,
        instance: ObjectInstanceId,
        resource: ResourceId,
        sink: &mut dyn Sink,
    ) -> Result<(), Refusal> {
        self.get(instance.into()).ok_or(Refusal::NotFound)?.read(resource, sink)
    }

    #[cfg(feature = "bootstrap")]
    fn bootstrap_begins(&mut self) {
        self.before = Some(alloc::boxed::Box::new(self.instances.clone()));
    }

    #[cfg(feature = "bootstrap")]
    fn bootstrap_ends(&mut self, kept: bool) {
        if let Some(before) = self.before.take().filter(|_| !kept) {
            self.instances = *before;
        }
    }

    fn edit(&mut self, instance: ObjectInstanceId) -> Result<(), Refusal> {
        let current = self.get(instance.into()).ok_or(Refusal::NotFound)?.clone();
        self.draft = Some((instance, current));
        Ok(())
    }

    fn create(&mut self, instance: ObjectInstanceId) -> Result<(), Refusal> {
        let fresh = self.fresh.ok_or(Refusal::NotAllowed)?;
        if self.get(instance.into()).is_some() {
            return Err(Refusal::BadValue);
        }
        if self.instances.iter().all(Option::is_some) {
            return Err(Refusal::Busy);
        }
        self.draft = Some((instance, fresh()));
        Ok(())
    }

    fn write(
        &mut self,
        resource: ResourceId,
        item: Option<ResourceInstanceId>,
        value: Value<'_>,
    ) -> Result<(), Refusal> {
        self.draft.as_mut().ok_or(Refusal::Failed)?.1.write(resource, item, value)
    }

    fn clear(&mut self, resource: ResourceId, item: Option<ResourceInstanceId>) -> Result<(), Refusal> {
        self.draft.as_mut().ok_or(Refusal::Failed)?.1.clear(resource, item)
    }

    fn verify(&self) -> Result<(), Refusal> {
        self.draft.as_ref().ok_or(Refusal::Failed)?.1.check()
    }

    fn commit(&mut self) -> Result<(), Refusal> {
        let (id, draft) = self.draft.take().ok_or(Refusal::Failed)?;
        draft.check()?;
        self.insert(id.into(), draft).map_err(|_| Refusal::Busy)
    }

    fn abort(&mut self) {
        self.draft = None;
    }

    fn delete(&mut self, instance: ObjectInstanceId) -> Result<(), Refusal> {
        #[cfg(feature = "bootstrap")]
        let bootstraps = self.before.is_some();
        #[cfg(not(feature = "bootstrap"))]
        let bootstraps = false;
        if self.fresh.is_none() && !bootstraps {
            return Err(Refusal::NotAllowed);
        }
        self.remove(instance.into()).map(drop).ok_or(Refusal::NotFound)
    }

    fn execute(
        &mut self,
        instance: ObjectInstanceId,
        resource: ResourceId,
        arguments: Arguments<'_>,
    ) -> Result<(), Refusal> {
        self.get_mut(instance.into()).ok_or(Refusal::NotFound)?.execute(resource, arguments)
    }
}
