//! Read-Composite, Write-Composite and Observe-Composite: several nodes in one request (TS_Core 6.3.8, 6.3.9, 6.4.5).

use lightship_coap::{Code, ContentFormat, Message};
use lightship_lwm2m::attributes::{AttributeChange, AttributeName};
use lightship_lwm2m::format::{Decoder, Entry, Format, Use, check as well_formed, decode, paths};
use lightship_lwm2m::{Attributes, ObjectId, ObjectInstanceId, Path, ResourceInstanceId, Value, Version};

use crate::access;
use crate::dispatch::{Deny, Operation, Success, World};
use crate::gather::{encode, least_after};
use crate::negotiate;
use crate::object::Object;
use crate::read::exists;
use crate::uri::below;
use crate::write::{conclude, decode_value, leads_somewhere, next_item};

/// A composite request whose head was understood.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Composite<'a> {
    number: ContentFormat,
    format: Format,
    payload: &'a [u8],
    version: Version,
    /// As [`World::root`].
    root: &'a str,
    accept: Option<ContentFormat>,
    /// Attributes in the query of an Observe-Composite.
    pub(crate) query: Option<Attributes>,
}

impl<'a> Composite<'a> {
    /// Understands method, path, options and, as far as it needs no objects, the payload.
    pub(crate) fn new(
        message: Message<'a>,
        payload: &'a [u8],
        version: Version,
        root: &'a str,
    ) -> Result<Self, Code> {
        let mut segments = below(root, message.uri_path()).ok_or(Code::NOT_FOUND)?;
        if segments.next().is_some() || version < Version::V1_1 {
            return Err(Code::METHOD_NOT_ALLOWED);
        }
        let fetches = message.code() == Code::FETCH;
        let query = match message.observe().filter(|_| fetches) {
            // A cancellation repeats the options of the Observe, whose attributes mean nothing any more.
            Some(1) => None,
            observe => query(&message, observe == Some(0), version)?,
        };
        let number = message.content_format().ok_or(Code::BAD_REQUEST)?;
        let purpose = if fetches { Use::CompositePaths } else { Use::CompositeWrite };
        let format = negotiate::usable(number, purpose, version).ok_or(Code::UNSUPPORTED_CONTENT_FORMAT)?;
        let composite = Composite { number, format, payload, version, root, accept: message.accept(), query };
        let checked = if fetches {
            paths::decode(format, payload).with_alternate_path(root).tolerate_missing_slash().check()
        } else {
            well_formed(&composite.entries())
        };
        if checked.is_err() || composite.entries().next().is_none() {
            return Err(Code::BAD_REQUEST);
        }
        Ok(composite)
    }

    fn entries(&self) -> Decoder<'a> {
        decode(self.format, Path::ROOT, self.payload).with_alternate_path(self.root).tolerate_missing_slash()
    }

    /// The paths of the payload, as they stand there.
    pub(crate) fn paths(&self) -> impl Iterator<Item = Path> + use<'a> {
        self.entries().flatten().map(|entry| entry.path)
    }

    /// Writes the values of all listed paths into `out`.
    pub(crate) fn read(&self, world: &World<'_>, out: &mut [u8]) -> Result<Success, Deny> {
        let next = |after| least_after(self.paths(), after);
        let accept = self.accept.unwrap_or_else(|| negotiate::answer_to_list(self.number));
        let (format, len, _) = encode(world, &next, accept, Use::CompositeRead, self.version, out)?;
        Ok(Success { code: Code::CONTENT, format: Some(format), len, location: None })
    }

    /// Writes all values of the payload, or none.
    pub(crate) fn write(&self, world: &mut World<'_>, scratch: &mut [u8]) -> Result<Success, Deny> {
        for entry in self.entries() {
            self.check(world, &entry.map_err(|_| Code::BAD_REQUEST)?, scratch)?;
        }
        // Objects may refuse what the model allows. So all of it is tried before the first change is made.
        self.each_instance(world, scratch, |object, applied| {
            let verified = applied.and_then(|()| object.verify().map_err(Deny::from));
            object.abort();
            match verified {
                // A commit may end later, a single value may not.
                Err(Deny::Later) => Err(Code::SERVICE_UNAVAILABLE.into()),
                other => other,
            }
        })?;
        let mut later = false;
        self.each_instance(world, scratch, |object, applied| match conclude(object, applied) {
            Err(Deny::Later) => {
                later = true;
                Ok(())
            }
            other => other,
        })?;
        if later { Err(Deny::Later) } else { Ok(Success::plain(Code::CHANGED)) }
    }

    /// The instance that follows another one in the payload.
    pub(crate) fn next_instance(&self, after: Option<Path>) -> Option<Path> {
        least_after(self.paths().map(|path| path.truncated(2)), after)
    }

    /// Puts the values of each instance into a transaction on it, which `end` then ends.
    fn each_instance(
        &self,
        world: &mut World<'_>,
        scratch: &mut [u8],
        mut end: impl FnMut(&mut dyn Object, Result<(), Deny>) -> Result<(), Deny>,
    ) -> Result<(), Deny> {
        let mut at = self.next_instance(None);
        while let Some(path) = at {
            let (id, instance) = ids(path)?;
            let object = world.object_mut(id).ok_or(Code::NOT_FOUND)?;
            object.edit(instance)?;
            let applied = self.apply(object, path, scratch);
            end(object, applied)?;
            at = self.next_instance(Some(path));
        }
        Ok(())
    }

    fn apply(&self, object: &mut dyn Object, instance: Path, scratch: &mut [u8]) -> Result<(), Deny> {
        for entry in self.entries().flatten().filter(|entry| instance.contains(entry.path)) {
            let resource = entry.path.resource_id().ok_or(Code::BAD_REQUEST)?;
            let item = entry.path.resource_instance_id();
            if entry.value.is_null() {
                object.clear(resource, item)?;
            } else {
                let model = *object.model().resource(resource).ok_or(Code::NOT_FOUND)?;
                let value = decode_value(&entry.value, &model, scratch)?;
                object.write(resource, item, value)?;
            }
        }
        Ok(())
    }

    /// Whether the multiple resource around `path` still has a resource instance after all of this.
    fn leaves_some(&self, object: &dyn Object, path: Path) -> bool {
        let (Some(instance), Some(resource)) = (path.instance_id(), path.resource_id()) else { return true };
        let array = path.truncated(3);
        let mut entries = self.entries().flatten();
        if entries.any(|entry| array.contains(entry.path) && !entry.value.is_null()) {
            return true;
        }
        let removed = |item: ResourceInstanceId| {
            array.child(item.get()).is_some_and(|item| self.paths().any(|path| path == item))
        };
        let mut present = core::iter::successors(next_item(object, instance, resource, 0), |last| {
            next_item(object, instance, resource, last.get().checked_add(1)?)
        });
        present.any(|item| !removed(item))
    }

    /// Judges one record: its target exists, may be written and takes the value.
    fn check(&self, world: &World<'_>, entry: &Entry<'_>, scratch: &mut [u8]) -> Result<(), Code> {
        let path = entry.path;
        let Some(resource) = path.resource_id() else { return Err(Code::BAD_REQUEST) };
        let (id, instance) = ids(path)?;
        if id.is_hidden() {
            return Err(Code::UNAUTHORIZED);
        }
        let object = world.object(id).ok_or(Code::NOT_FOUND)?;
        if !exists(object, instance) {
            return Err(Code::NOT_FOUND);
        }
        if !world.allows(Operation::PartialUpdate, id, Some(instance)) {
            return Err(Code::UNAUTHORIZED);
        }
        let model = object.model().resource(resource).ok_or(Code::NOT_FOUND)?;
        // No resource comes into being here (TS_Core 6.3.9).
        if !object.has(instance, resource) {
            return Err(Code::NOT_FOUND);
        }
        let item = path.resource_instance_id();
        if !model.operations.writable() || (item.is_some() && !model.multiple) {
            return Err(Code::METHOD_NOT_ALLOWED);
        }
        if entry.value.is_null() {
            // Only a patch can remove, and only a resource instance (RFC 8790 section 3.2).
            let item = item.filter(|_| self.format.is_senml_etch()).ok_or(Code::BAD_REQUEST)?;
            if next_item(object, instance, resource, item.get()) != Some(item) {
                return Err(Code::NOT_FOUND);
            }
            let stays = !model.mandatory || self.leaves_some(object, path);
            return if stays { Ok(()) } else { Err(Code::UNAUTHORIZED) };
        }
        if entry.value.is_container() || entry.value.is_nothing() || item.is_some() != model.multiple {
            return Err(Code::BAD_REQUEST);
        }
        let value = decode_value(&entry.value, model, scratch)?;
        let leads_nowhere = matches!(value, Value::ObjectLink(link) if !leads_somewhere(world, link));
        if leads_nowhere || !access::is_legal(id, resource, &value) {
            return Err(Code::BAD_REQUEST);
        }
        Ok(())
    }
}

fn ids(path: Path) -> Result<(ObjectId, ObjectInstanceId), Code> {
    path.object_id().zip(path.instance_id()).ok_or(Code::BAD_REQUEST)
}

/// The query: attributes of an Observe-Composite that concern all of it, since 1.2 (TS_Core 6.4.5).
fn query(message: &Message<'_>, observes: bool, version: Version) -> Result<Option<Attributes>, Code> {
    if message.uri_query().next().is_none() {
        return Ok(None);
    }
    if !observes {
        return Err(Code::BAD_OPTION);
    }
    let change = AttributeChange::parse(message.uri_query()).map_err(|_| Code::BAD_REQUEST)?;
    let fits = |name| {
        use AttributeName::{Con, Epmax, Epmin, Pmax, Pmin};
        matches!(name, Pmin | Pmax | Epmin | Epmax | Con)
    };
    let attributes = change.apply(&Attributes::NONE);
    if version < Version::V1_2 || !change.names().iter().all(fits) || attributes.check().is_err() {
        return Err(Code::BAD_REQUEST);
    }
    Ok(Some(attributes))
}
