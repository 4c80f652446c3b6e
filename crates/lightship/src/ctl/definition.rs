//! The object definitions that fit a device: asked from the server once per object, else the embedded ones.

use lightship_api::client::Client;
use lightship_api::{Endpoint, Model, ModelResource, ValueType};
use lightship_lwm2m::object::{self, ObjectDefinition};
use lightship_lwm2m::{DataType, ObjectId, Path};
use std::cell::RefCell;
use std::collections::BTreeMap;
use std::rc::Rc;

/// An object of a device.
type ObjectOf = (String, u16);

/// Definitions as the server knows them.
pub(super) struct Definitions<'a> {
    client: Option<&'a Client>,
    registrations: RefCell<BTreeMap<String, Option<Rc<Endpoint>>>>,
    models: RefCell<BTreeMap<ObjectOf, Option<Rc<Model>>>>,
}

impl<'a> Definitions<'a> {
    pub(super) fn new(client: &'a Client) -> Self {
        Self { client: Some(client), registrations: RefCell::default(), models: RefCell::default() }
    }

    /// Only the embedded definitions.
    #[cfg(test)]
    pub(super) fn embedded() -> Self {
        Self { client: None, registrations: RefCell::default(), models: RefCell::default() }
    }

    /// The definition of an object in the version that the device registered.
    pub(super) fn object(&self, endpoint: &str, object: ObjectId) -> Option<Rc<Model>> {
        let key = (endpoint.to_owned(), object.get());
        if let Some(known) = self.models.borrow().get(&key) {
            return known.clone();
        }
        let version = self.version(endpoint, object);
        let asked = self.client.and_then(|client| client.model(object.get(), version.as_deref()).ok());
        let model = asked.or_else(|| object::latest(object).map(|known| embedded(&known))).map(Rc::new);
        self.models.borrow_mut().insert(key, model.clone());
        model
    }

    /// The definition of the resource at or above a path.
    pub(super) fn resource(&self, endpoint: &str, path: Path) -> Option<ModelResource> {
        let wanted = path.resource_id()?.get();
        let model = self.object(endpoint, path.object_id()?)?;
        model.resources.iter().find(|resource| resource.id == wanted).cloned()
    }

    fn version(&self, endpoint: &str, object: ObjectId) -> Option<String> {
        let mut registrations = self.registrations.borrow_mut();
        let registration = registrations
            .entry(endpoint.to_owned())
            .or_insert_with(|| self.client.and_then(|client| client.endpoint(endpoint).ok()).map(Rc::new));
        let prefix = Path::object(object);
        registration.as_ref()?.objects.iter().find_map(|entry| {
            let path: Path = entry.path.parse().ok()?;
            entry.version.clone().filter(|_| prefix.contains(path))
        })
    }
}

fn embedded(definition: &ObjectDefinition<'_>) -> Model {
    let resources = definition.resources().map(|resource| ModelResource {
        id: resource.id.get(),
        name: resource.name.to_owned(),
        operations: resource.operations.as_str().to_owned(),
        multiple: resource.multiple,
        mandatory: resource.mandatory,
        kind: resource.data_type.map(ValueType::from),
        range: (!resource.range_text.is_empty()).then(|| resource.range_text.to_owned()),
        units: (!resource.units.is_empty()).then(|| resource.units.to_owned()),
    });
    Model {
        id: definition.id.get(),
        version: definition.version.to_string(),
        name: definition.name.to_owned(),
        multiple: definition.multiple,
        mandatory: definition.mandatory,
        loaded: false,
        urn: None,
        lwm2m_version: None,
        versions: Vec::new(),
        resources: resources.collect(),
    }
}

/// The data type that the API names.
pub(super) fn data_type(kind: ValueType) -> DataType {
    match kind {
        ValueType::String => DataType::String,
        ValueType::Integer => DataType::Integer,
        ValueType::Unsigned => DataType::Unsigned,
        ValueType::Float => DataType::Float,
        ValueType::Boolean => DataType::Boolean,
        ValueType::Opaque => DataType::Opaque,
        ValueType::Time => DataType::Time,
        ValueType::Objlnk => DataType::ObjectLink,
        ValueType::Corelnk => DataType::Corelnk,
    }
}
