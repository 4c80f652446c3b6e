//! Definitions as the API shows them, and what differs between two of them.

use lightship_api as api;
use lightship_lwm2m::ObjectId;
use lightship_lwm2m::object::{Definitions, ObjectDefinition, ResourceDefinition};

use super::urn::urn;

/// One definition as the API shows it.
pub(crate) fn shape(definitions: &Definitions, definition: &ObjectDefinition<'_>) -> api::Model {
    let is_loaded = |one: &ObjectDefinition<'_>| definitions.is_loaded(one.id, one.version);
    let versions = definitions
        .versions(definition.id)
        .map(|one| api::ModelVersion { version: one.version.to_string(), loaded: is_loaded(&one) });
    api::Model {
        id: definition.id.get(),
        version: definition.version.to_string(),
        name: definition.name.to_owned(),
        multiple: definition.multiple,
        mandatory: definition.mandatory,
        loaded: is_loaded(definition),
        urn: urn(definition.id, definition.version),
        lwm2m_version: Some(definition.enabler.to_string()),
        versions: versions.collect(),
        resources: definition.resources().map(|one| resource(&one)).collect(),
    }
}

fn resource(resource: &ResourceDefinition<'_>) -> api::ModelResource {
    api::ModelResource {
        id: resource.id.get(),
        name: resource.name.to_owned(),
        operations: resource.operations.as_str().to_owned(),
        multiple: resource.multiple,
        mandatory: resource.mandatory,
        kind: resource.data_type.map(Into::into),
        range: Some(resource.range_text.to_owned()).filter(|text| !text.is_empty()),
        units: Some(resource.units.to_owned()).filter(|text| !text.is_empty()),
    }
}

/// The list of definitions, one line an object, optionally of some objects only.
pub(crate) fn list(definitions: &Definitions, only: Option<&[ObjectId]>) -> api::Models {
    collect(definitions, |definition| only.is_none_or(|only| only.contains(&definition.id)))
}

/// The objects that have a text in their ID, name or URN, or in the name of a resource.
pub(crate) fn search(definitions: &Definitions, text: &str) -> api::Models {
    let wanted = text.trim().to_lowercase();
    let has = |text: &str| text.to_lowercase().contains(&wanted);
    let is_found = |definition: &ObjectDefinition<'_>| {
        definition.id.to_string().contains(&wanted)
            || has(definition.name)
            || urn(definition.id, definition.version).is_some_and(|urn| has(&urn))
            || definition.resources().any(|resource| has(resource.name))
    };
    let found: Vec<ObjectId> =
        definitions.all().filter(|one| is_found(one)).map(|definition| definition.id).collect();
    collect(definitions, |definition| found.binary_search(&definition.id).is_ok())
}

fn collect(definitions: &Definitions, is_wanted: impl Fn(&ObjectDefinition<'_>) -> bool) -> api::Models {
    let mut items: Vec<api::ModelSummary> = Vec::new();
    for definition in definitions.all().filter(|one| is_wanted(one)) {
        let version = definition.version.to_string();
        let loaded = definitions.is_loaded(definition.id, definition.version);
        let newest = api::ModelSummary {
            id: definition.id.get(),
            name: definition.name.to_owned(),
            versions: vec![version.clone()],
            version: version.clone(),
            loaded,
            urn: urn(definition.id, definition.version),
            resources: definition.resources().count(),
        };
        match items.last_mut().filter(|last| last.id == newest.id) {
            Some(last) => {
                let mut versions = std::mem::take(&mut last.versions);
                versions.push(version);
                let loaded = loaded || last.loaded;
                *last = api::ModelSummary { versions, loaded, ..newest };
            }
            None => items.push(newest),
        }
    }
    api::Models { items }
}

/// What differs between two versions of an object.
pub(crate) fn diff(from: &ObjectDefinition<'_>, to: &ObjectDefinition<'_>) -> api::ModelDiff {
    let (mut removed, mut changed) = (Vec::new(), Vec::new());
    for old in from.resources() {
        match to.resource(old.id) {
            None => removed.push(resource(&old)),
            Some(new) => {
                let changes = changes(&facts(&old), &facts(&new));
                if !changes.is_empty() {
                    changed.push(api::ChangedResource {
                        id: old.id.get(),
                        name: new.name.to_owned(),
                        changes,
                    });
                }
            }
        }
    }
    let added = to.resources().filter(|new| from.resource(new.id).is_none());
    let object = |one: &ObjectDefinition<'_>| {
        [
            ("name", one.name.to_owned()),
            ("lwm2m_version", one.enabler.to_string()),
            ("multiple", one.multiple.to_string()),
            ("mandatory", one.mandatory.to_string()),
        ]
    };
    api::ModelDiff {
        id: from.id.get(),
        from: from.version.to_string(),
        to: to.version.to_string(),
        object: changes(&object(from), &object(to)),
        added: added.map(|new| resource(&new)).collect(),
        removed,
        changed,
    }
}

fn facts(resource: &ResourceDefinition<'_>) -> [(&'static str, String); 7] {
    let kind = resource.data_type.map(|kind| api::ValueType::from(kind).name().to_owned());
    [
        ("name", resource.name.to_owned()),
        ("operations", resource.operations.as_str().to_owned()),
        ("multiple", resource.multiple.to_string()),
        ("mandatory", resource.mandatory.to_string()),
        ("type", kind.unwrap_or_default()),
        ("range", resource.range_text.to_owned()),
        ("units", resource.units.to_owned()),
    ]
}

fn changes(from: &[(&'static str, String)], to: &[(&'static str, String)]) -> Vec<api::ModelChange> {
    let pairs = from.iter().zip(to).filter(|((_, from), (_, to))| from != to);
    pairs
        .map(|((field, from), (_, to))| api::ModelChange {
            field: (*field).to_owned(),
            from: from.clone(),
            to: to.clone(),
        })
        .collect()
}
