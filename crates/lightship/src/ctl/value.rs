//! What people type as values, turned into Nodes of the API with the help of the object definition.

use super::definition::{Definitions, data_type};
use crate::cli::Values;
use crate::failure::Failure;
use crate::value_text;
use lightship_api::convert::{value_from_json, value_to_json};
use lightship_api::node::Unknown;
use lightship_api::{Content, Node, ValueType};
use lightship_lwm2m::{DataType, Path};
use serde_json::Value as Json;
use std::collections::BTreeMap;

/// What is wrong with the values that were typed.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Mistake {
    /// The command line makes no sense.
    Usage(String),
    /// The value does not fit the definition.
    DoesNotFit(String),
}

impl Mistake {
    pub(super) fn into_failure(self) -> Failure {
        match self {
            Self::Usage(message) => Failure::usage(message),
            Self::DoesNotFit(message) => Failure::failed(message),
        }
    }
}

/// The type and multiplicity of a resource, as far as they are known.
#[derive(Clone, Copy)]
struct Shape {
    data_type: DataType,
    /// `None`: nobody knows.
    multiple: Option<bool>,
}

/// The Node for a Write.
pub(super) fn to_write(
    definitions: &Definitions<'_>,
    endpoint: &str,
    path: Path,
    values: &Values,
) -> Result<Node, Mistake> {
    if let Some(json) = &values.node {
        return given(json);
    }
    let typed = Typed { definitions, endpoint, values };
    match path.len() {
        2 => Ok(Node::new(Content::Resources(typed.resources(path)?))),
        3 => {
            let shape = typed.shape(path)?;
            Typed::resource(path, shape, &values.values)
        }
        4 => {
            let shape = typed.shape(path)?;
            Typed::single(path, shape, &values.values)
        }
        _ => Err(Mistake::Usage(format!("{path} cannot be written: name an instance or a resource"))),
    }
}

/// The Node of one resource or resource instance, with its path.
pub(super) fn to_write_at(
    definitions: &Definitions<'_>,
    endpoint: &str,
    path: Path,
    text: &str,
    data_type: Option<&str>,
) -> Result<Node, Mistake> {
    if !(3..=4).contains(&path.len()) {
        return Err(Mistake::Usage(format!("{path} is neither a resource nor a resource instance")));
    }
    let values =
        Values { values: vec![text.to_owned()], data_type: data_type.map(str::to_owned), node: None };
    let mut node = to_write(definitions, endpoint, path, &values)?;
    node.path = Some(path.to_string());
    Ok(node)
}

/// The Node for a Create; the Object Instance's ID stands in its path, if it was given.
pub(super) fn to_create(
    definitions: &Definitions<'_>,
    endpoint: &str,
    path: Path,
    values: &Values,
) -> Result<Node, Mistake> {
    if let Some(json) = &values.node {
        return given(json);
    }
    if !(1..=2).contains(&path.len()) {
        return Err(Mistake::Usage(format!(
            "{path} cannot be created: name an object or an object instance"
        )));
    }
    let typed = Typed { definitions, endpoint, values };
    // Only a resource's place in the object matters; the instance may not have an ID yet.
    let instance = if path.len() == 2 { Some(path) } else { path.child(0) };
    let instance = instance.ok_or_else(|| Mistake::Usage(format!("{path} has no instances")))?;
    let mut node = Node::new(Content::Resources(typed.resources(instance)?));
    if path.len() == 2 {
        node.path = Some(path.to_string());
    }
    Ok(node)
}

/// A Node given whole, as JSON.
pub(super) fn given(json: &str) -> Result<Node, Mistake> {
    let json: Json =
        serde_json::from_str(json).map_err(|error| Mistake::Usage(format!("--node is no JSON: {error}")))?;
    Node::from_json(&json, Unknown::Refuse).map_err(|error| {
        Mistake::Usage(format!("--node is no Node: {} at {:?}", error.message, error.pointer))
    })
}

struct Typed<'a> {
    definitions: &'a Definitions<'a>,
    endpoint: &'a str,
    values: &'a Values,
}

impl Typed<'_> {
    fn shape(&self, path: Path) -> Result<Shape, Mistake> {
        let definition = self.definitions.resource(self.endpoint, path);
        let multiple = definition.as_ref().map(|resource| resource.multiple);
        if let Some(name) = &self.values.data_type {
            let data_type = name.parse().map_err(|_| Mistake::Usage(format!("{name:?} is no data type")))?;
            return Ok(Shape { data_type, multiple });
        }
        match definition {
            Some(resource) => match resource.kind {
                Some(kind) => Ok(Shape { data_type: data_type(kind), multiple }),
                None => Err(Mistake::DoesNotFit(format!(
                    "{path} {} holds no value: it can only be executed",
                    resource.name
                ))),
            },
            None => Err(Mistake::Usage(format!("{path} is in no known object definition: name its --type"))),
        }
    }

    fn json(path: Path, shape: Shape, text: &str) -> Result<Json, Mistake> {
        let value = value_text::parse(text, shape.data_type)
            .map_err(|error| Mistake::DoesNotFit(format!("{path}: {error}")))?;
        Ok(value_to_json(&value.as_value()))
    }

    fn single(path: Path, shape: Shape, texts: &[String]) -> Result<Node, Mistake> {
        let [text] = texts else {
            return Err(Mistake::Usage(format!("{path} takes one value, {} were given", texts.len())));
        };
        let mut node = Node::new(Content::Value(Self::json(path, shape, text)?));
        node.kind = Some(shape.data_type.into());
        Ok(node)
    }

    fn resource(path: Path, shape: Shape, texts: &[String]) -> Result<Node, Mistake> {
        let assigned = |text: &String| text.split_once('=').is_some_and(|(id, _)| id.parse::<u16>().is_ok());
        let multiple = shape.multiple.unwrap_or_else(|| !texts.is_empty() && texts.iter().all(assigned));
        if !multiple {
            return Self::single(path, shape, texts);
        }
        let mut instances = BTreeMap::new();
        for text in texts {
            let (id, value) = assignment(text)?;
            let id = id.parse().map_err(|_| Mistake::Usage(format!("{id:?} is no resource instance ID")))?;
            let item = path.child(id).ok_or_else(|| Mistake::Usage(format!("{path}/{id} is no path")))?;
            instances.insert(id, Self::json(item, shape, value)?);
        }
        let mut node = Node::new(Content::Instances(instances));
        node.kind = Some(shape.data_type.into());
        Ok(node)
    }

    /// `ID=VALUE` and `ID/ID=VALUE` under an Object Instance.
    fn resources(&self, instance: Path) -> Result<BTreeMap<u16, Node>, Mistake> {
        let mut grouped: BTreeMap<u16, Vec<String>> = BTreeMap::new();
        for text in &self.values.values {
            let (place, value) = assignment(text)?;
            let wrong = || Mistake::Usage(format!("{place:?} is neither a resource ID nor ID/ID"));
            let (resource, rest) = match place.split_once('/') {
                Some((resource, item)) => (resource, format!("{item}={value}")),
                None => (place, value.to_owned()),
            };
            let resource: u16 = resource.parse().map_err(|_| wrong())?;
            grouped.entry(resource).or_default().push(rest);
        }
        let mut resources = BTreeMap::new();
        for (resource, texts) in grouped {
            let path =
                instance.child(resource).ok_or_else(|| Mistake::Usage(format!("{instance}/{resource}")))?;
            let shape = self.shape(path)?;
            resources.insert(resource, Self::resource(path, shape, &texts)?);
        }
        Ok(resources)
    }
}

fn assignment(text: &str) -> Result<(&str, &str), Mistake> {
    text.split_once('=').ok_or_else(|| Mistake::Usage(format!("{text:?} is not ID=VALUE")))
}

/// A value of the API for people.
pub(super) fn from_json(json: &Json, kind: Option<ValueType>) -> String {
    match (kind.and_then(|kind| value_from_json(json, kind)), json) {
        (Some(value), _) => value_text::print(&value.as_value()),
        (None, Json::String(text)) => text.clone(),
        (None, other) => other.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn values(texts: &[&str]) -> Values {
        Values { values: texts.iter().map(|text| (*text).to_owned()).collect(), data_type: None, node: None }
    }

    fn written(path: &str, texts: &[&str]) -> Result<Json, Mistake> {
        let node = to_write(&Definitions::embedded(), "x", path.parse().unwrap(), &values(texts))?;
        Ok(serde_json::to_value(node).unwrap())
    }

    #[test]
    fn a_resource_is_typed_by_its_definition() {
        assert_eq!(written("/1/0/1", &["60"]), Ok(json!({"type": "integer", "value": 60})));
        assert_eq!(written("/3442/0/110", &["60"]), Ok(json!({"type": "string", "value": "60"})));
        assert_eq!(written("/3442/0/150", &["0x0102"]), Ok(json!({"type": "opaque", "value": "AQI="})));
        assert_eq!(
            written("/3442/0/125", &["18446744073709551615"]),
            Ok(json!({"type": "unsigned", "value": "18446744073709551615"}))
        );
        assert_eq!(
            written("/3442/0/1120", &["0=1", "7=-2"]),
            Ok(json!({"type": "integer", "instances": {"0": 1, "7": -2}}))
        );
        assert_eq!(written("/3442/0/1120/7", &["-2"]), Ok(json!({"type": "integer", "value": -2})));
    }

    #[test]
    fn an_instance_takes_assignments() {
        assert_eq!(
            written("/3442/0", &["110=a=b", "1120/3=4", "1120/5=6"]),
            Ok(json!({"resources": {
                "110": {"type": "string", "value": "a=b"},
                "1120": {"type": "integer", "instances": {"3": 4, "5": 6}}
            }}))
        );
    }

    #[test]
    fn mistakes_are_told_apart() {
        assert!(matches!(written("/1/0/1", &["soon"]), Err(Mistake::DoesNotFit(_))));
        assert!(matches!(written("/3/0/4", &["1"]), Err(Mistake::DoesNotFit(_))));
        assert!(matches!(written("/1/0/1", &["1", "2"]), Err(Mistake::Usage(_))));
        assert!(matches!(written("/1/0", &["60"]), Err(Mistake::Usage(_))));
        assert!(matches!(written("/65000/0/1", &["1"]), Err(Mistake::Usage(_))));
        assert!(matches!(written("/1", &["1=1"]), Err(Mistake::Usage(_))));
    }

    #[test]
    fn unknown_objects_need_a_type() {
        let values = Values { data_type: Some("float".to_owned()), ..values(&["1.5"]) };
        let node = to_write(&Definitions::embedded(), "x", "/65000/0/1".parse().unwrap(), &values).unwrap();
        assert_eq!(serde_json::to_value(node).unwrap(), json!({"type": "float", "value": 1.5}));
    }

    #[test]
    fn composite_nodes_carry_their_path() {
        let at = |path: &str, text: &str| {
            let node = to_write_at(&Definitions::embedded(), "x", path.parse().unwrap(), text, None)?;
            Ok(serde_json::to_value(node).unwrap())
        };
        assert_eq!(at("/1/0/1", "60"), Ok(json!({"path": "/1/0/1", "type": "integer", "value": 60})));
        assert_eq!(
            at("/3442/0/1120/3", "7"),
            Ok(json!({"path": "/3442/0/1120/3", "type": "integer", "value": 7}))
        );
        assert_eq!(
            at("/3442/0/110", "a=b"),
            Ok(json!({"path": "/3442/0/110", "type": "string", "value": "a=b"}))
        );
        let wrong: Result<Json, Mistake> = at("/3442/0", "1");
        assert!(matches!(wrong, Err(Mistake::Usage(_))));
    }

    #[test]
    fn create_carries_the_instance_only_when_named() {
        let make = |path: &str, texts: &[&str]| {
            let node =
                to_create(&Definitions::embedded(), "x", path.parse().unwrap(), &values(texts)).unwrap();
            serde_json::to_value(node).unwrap()
        };
        assert_eq!(make("/3442", &[]), json!({"resources": {}}));
        assert_eq!(
            make("/3442/7", &["140=true"]),
            json!({"path": "/3442/7", "resources": {"140": {"type": "boolean", "value": true}}})
        );
    }

    #[test]
    fn a_whole_node_is_passed_on() {
        let values = Values { node: Some(r#"{"path": "/1/0/1", "value": 60}"#.to_owned()), ..values(&[]) };
        let node = to_write(&Definitions::embedded(), "x", "/1/0/1".parse().unwrap(), &values).unwrap();
        assert_eq!(serde_json::to_value(node).unwrap(), json!({"path": "/1/0/1", "value": 60}));
    }
}
