//! What of the objects survives a restart: each instance that there is, with the values that it holds.

use super::{Held, Instance, ObjectSet};
use lightship_api::convert::{self, Entry};
use lightship_api::{Node, Unknown};
use lightship_lwm2m::{ObjectId, ObjectInstanceId, Path};
use std::collections::BTreeMap;

impl ObjectSet {
    /// All objects as nodes, during a bootstrap as they were before. Values that are computed when they are read are left out.
    pub(crate) fn kept(&self) -> Vec<Node> {
        let object = |object: &super::BuiltObject| {
            let at = Path::object(object.definition.id);
            let before = self.before.as_ref().and_then(|before| before.get(&object.definition.id));
            let instances = before.unwrap_or(&object.instances).iter();
            let entries: Vec<_> = instances.flat_map(|(id, values)| held(at, *id, values)).collect();
            convert::node(at, &entries)
        };
        self.objects.iter().map(object).collect()
    }

    /// Gives an object the instances of a node in place of those it has.
    ///
    /// # Errors
    /// Says what the node has that the object cannot have; the object is as it was then.
    pub(crate) fn restore(&mut self, node: &serde_json::Value) -> Result<(), String> {
        let node = Node::from_json(node, Unknown::Refuse)
            .map_err(|error| format!("{}: {}", error.pointer, error.message))?;
        let at: Option<Path> = node.path.as_deref().and_then(|path| path.parse().ok());
        let id = at.filter(|at| at.len() == 1).and_then(Path::object_id).ok_or("a node is no object")?;
        let entries = convert::entries(&node, Path::object(id), &|_| None)
            .map_err(|error| format!("/{id}: {error}"))?;
        let mut instances: BTreeMap<ObjectInstanceId, Instance> = BTreeMap::new();
        for entry in entries {
            let Some(instance) = entry.path.instance_id() else { continue };
            let values = instances.entry(instance).or_default();
            self.place(id, values, entry)?;
        }
        self.object(id)?.replace(instances);
        Ok(())
    }

    fn place(&mut self, id: ObjectId, values: &mut Instance, entry: Entry) -> Result<(), String> {
        let Some(resource) = entry.path.resource_id() else { return Ok(()) };
        let odd = |what: &str| Err(format!("{}: {what}", entry.path));
        let definition = self.object(id)?.definition.resource(resource);
        let Some(definition) = definition else { return odd("the object has no such resource") };
        let fits = entry.value.as_ref().is_none_or(|value| definition.data_type == Some(value.data_type()));
        if !fits || definition.multiple == (entry.path.len() == 3 && entry.value.is_some()) {
            return odd("the resource has another type");
        }
        match (entry.value, entry.path.resource_instance_id()) {
            (Some(value), None) => drop(values.insert(resource, Held::Single(value))),
            (value, item) => {
                let held = values.entry(resource).or_insert_with(|| Held::Multiple(BTreeMap::new()));
                if let (Held::Multiple(items), Some(value), Some(item)) = (held, value, item) {
                    items.insert(item, value);
                }
            }
        }
        Ok(())
    }
}

fn held(object: Path, id: ObjectInstanceId, values: &Instance) -> Vec<Entry> {
    let Some(instance) = object.child(id.get()) else { return Vec::new() };
    if values.is_empty() {
        return vec![Entry { path: instance, value: None }];
    }
    let mut entries = Vec::new();
    for (resource, held) in values {
        let Some(path) = instance.child(resource.get()) else { continue };
        match held {
            Held::Single(value) => entries.push(Entry { path, value: Some(value.clone()) }),
            Held::Multiple(items) if items.is_empty() => entries.push(Entry { path, value: None }),
            Held::Multiple(items) => entries.extend(items.iter().filter_map(|(item, value)| {
                Some(Entry { path: path.child(item.get())?, value: Some(value.clone()) })
            })),
        }
    }
    entries
}
