//! Cover: which command need not be done once another is.

use std::collections::BTreeSet;

use lightship_api::{Content, Node, Unknown};
use lightship_lwm2m::Path;
use serde_json::Value as Json;

use super::order::{OrderText, Task, Verb};

impl OrderText {
    /// Whether it need not be done when that one is: a write whose values are all written again, or the same operation on
    /// the same target.
    pub(crate) fn gives_way_to(&self, new: &OrderText) -> bool {
        let (Ok(old_task), Ok(new_task)) = (self.task(), new.task()) else { return false };
        if let (Some(old), Some(new)) = (self.written(&old_task), new.written(&new_task)) {
            return !old.is_empty() && old.iter().all(|old| new.iter().any(|new| new.contains(*old)));
        }
        if (self.verb, self.place()) != (new.verb, new.place()) {
            return false;
        }
        match (&old_task, &new_task) {
            (Task::Attributes(old), Task::Attributes(new)) if self.verb == Verb::WriteAttributes => {
                old.attributes.keys().all(|name| new.attributes.contains_key(name))
            }
            // Each of those that name no instance makes one of its own.
            (Task::Node(old), Task::Node(new)) => old.path.is_some() && old.path == new.path,
            (Task::Paths(old), Task::Paths(new)) => old.iter().all(|path| new.contains(path)),
            _ => true,
        }
    }

    /// What it writes: everything at and below these paths.
    fn written(&self, task: &Task) -> Option<BTreeSet<Path>> {
        let mut paths = BTreeSet::new();
        match (self.verb, task) {
            (Verb::Replace, Task::Node(_)) => {
                paths.extend(self.path().parse::<Path>());
            }
            (Verb::PartialUpdate, Task::Node(node)) => leaves(self.path().parse().ok()?, node, &mut paths),
            (Verb::WriteComposite, Task::Nodes(body)) => {
                for node in body.get("nodes").and_then(Json::as_array).into_iter().flatten() {
                    let path: Path = node.get("path").and_then(Json::as_str)?.parse().ok()?;
                    match Node::from_json(node, Unknown::Refuse) {
                        Ok(node) => leaves(path, &node, &mut paths),
                        // Nothing but a value that is removed.
                        Err(_) => drop(paths.insert(path)),
                    }
                }
            }
            _ => return None,
        }
        Some(paths)
    }
}

fn leaves(path: Path, node: &Node, paths: &mut BTreeSet<Path>) {
    match &node.content {
        Content::Value(_) => drop(paths.insert(path)),
        Content::Instances(values) => paths.extend(values.keys().filter_map(|id| path.child(*id))),
        Content::Resources(nodes) | Content::ObjectInstances(nodes) => {
            for (id, node) in nodes {
                if let Some(path) = path.child(*id) {
                    leaves(path, node, paths);
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn order(verb: Verb, place: &str, body: &str) -> OrderText {
        OrderText::new(verb, place, "queue=true", body)
    }

    fn gives_way(old: (Verb, &str, &str), new: (Verb, &str, &str)) -> bool {
        order(old.0, old.1, old.2).gives_way_to(&order(new.0, new.1, new.2))
    }

    #[test]
    fn a_write_gives_way_to_one_that_writes_all_of_it_again() {
        use Verb::{PartialUpdate, Replace, WriteComposite};
        let lifetime = (Replace, "1/0/1", r#"{"value": 60}"#);
        let instance = r#"{"resources": {"1": {"value": 60}, "2": {"value": 5}}}"#;
        let only_lifetime = r#"{"resources": {"1": {"value": 60}}}"#;
        let only_pmin = r#"{"resources": {"2": {"value": 5}}}"#;
        let multiple = r#"{"instances": {"0": 1, "1": 2}}"#;
        let composite =
            r#"{"nodes": [{"path": "/1/0/1", "value": 60}, {"path": "/3/0/14", "value": "+01"}]}"#;
        let one_of_it = r#"{"nodes": [{"path": "/1/0/1", "value": 61}]}"#;
        let removal = r#"{"nodes": [{"path": "/3/0/7/1", "value": null}]}"#;
        for (old, new, gives) in [
            (lifetime, (Replace, "1/0/1", r#"{"value": 61}"#), true),
            (lifetime, (Replace, "1/0/2", r#"{"value": 60}"#), false),
            (lifetime, (Replace, "1/0", instance), true),
            ((Replace, "1/0", instance), lifetime, false),
            ((Replace, "1/0", instance), (PartialUpdate, "1/0", instance), false),
            ((PartialUpdate, "1/0", instance), (Replace, "1/0", only_pmin), true),
            ((PartialUpdate, "1/0", only_lifetime), (PartialUpdate, "1/0", only_pmin), false),
            ((PartialUpdate, "1/0", only_lifetime), (PartialUpdate, "1/0", instance), true),
            ((PartialUpdate, "1/0", only_lifetime), lifetime, true),
            (lifetime, (PartialUpdate, "1/0", instance), true),
            ((Replace, "3/0/7", multiple), (PartialUpdate, "3/0/7", multiple), false),
            ((PartialUpdate, "3/0/7", multiple), (Replace, "3/0/7", multiple), true),
            ((WriteComposite, "", one_of_it), (WriteComposite, "", composite), true),
            ((WriteComposite, "", composite), (WriteComposite, "", one_of_it), false),
            ((WriteComposite, "", one_of_it), lifetime, true),
            ((WriteComposite, "", removal), (PartialUpdate, "3/0/7", multiple), true),
            ((WriteComposite, "", removal), (WriteComposite, "", one_of_it), false),
        ] {
            assert_eq!(gives_way(old, new), gives, "{old:?} to {new:?}");
        }
    }

    #[test]
    fn anything_else_gives_way_to_the_same_on_the_same() {
        use Verb::{
            Create, Discover, Execute, Observe, ObserveComposite, Read, ReadComposite, WriteAttributes,
        };
        let paths = |paths: &str| format!(r#"{{"paths": {paths}}}"#);
        let (both, one) = (paths(r#"["/3/0/9", "/3/0/0"]"#), paths(r#"["/3/0/9"]"#));
        let at = |path: &str| format!(r#"{{"path": "{path}", "resources": {{"5701": {{"value": "C"}}}}}}"#);
        for (old, new, gives) in [
            ((Read, "3/0/9", ""), (Read, "3/0/9", ""), true),
            ((Read, "3/0/9", ""), (Read, "3/0", ""), false),
            ((Read, "3/0/9", ""), (Discover, "3/0/9", ""), false),
            ((Execute, "3/0/4", ""), (Execute, "3/0/4", r#"{"arguments": "1"}"#), true),
            ((Observe, "3/0/9", ""), (Observe, "3/0/9", r#"{"pmin": 5}"#), true),
            (
                (WriteAttributes, "3/0/9", r#"{"pmin": 5}"#),
                (WriteAttributes, "3/0/9", r#"{"pmin": 6}"#),
                true,
            ),
            (
                (WriteAttributes, "3/0/9", r#"{"pmin": 5}"#),
                (WriteAttributes, "3/0/9", r#"{"pmax": 6}"#),
                false,
            ),
            ((ReadComposite, "", &one), (ReadComposite, "", &both), true),
            ((ReadComposite, "", &both), (ReadComposite, "", &one), false),
            ((ObserveComposite, "power", &both), (ObserveComposite, "power", &one), true),
            ((ObserveComposite, "power", &one), (ObserveComposite, "other", &one), false),
            ((Create, "3303", &at("/3303/5")), (Create, "3303", &at("/3303/5")), true),
            ((Create, "3303", &at("/3303/5")), (Create, "3303", &at("/3303/6")), false),
            ((Create, "3303", r#"{"resources": {}}"#), (Create, "3303", r#"{"resources": {}}"#), false),
        ] {
            assert_eq!(gives_way(old, new), gives, "{old:?} to {new:?}");
        }
    }
}
