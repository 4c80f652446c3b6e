//! Reads object definitions from OMA's XML (LWM2M.xsd), tolerant of order, strict about meaning.
//!
//! No document type declaration is accepted, so there are no entities but the five of XML itself, and nothing outside
//! of the document is ever read.

use std::collections::BTreeMap;

use lightship_lwm2m::object::{Operations, OwnedObjectDefinition, OwnedResourceDefinition};
use lightship_lwm2m::{DataType, ObjectId, ObjectVersion, ResourceId};
use quick_xml::Reader;
use quick_xml::events::Event;

/// Why a document is no set of object definitions.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct XmlError {
    /// What is wrong, with the object or resource it is about.
    pub message: String,
}

/// Reads a document with one or more `Object` elements.
pub(crate) fn read(xml: &[u8]) -> Result<Vec<OwnedObjectDefinition>, XmlError> {
    objects(&tree(xml)?)?.into_iter().map(object).collect()
}

/// The document as it stands.
pub(super) fn tree(xml: &[u8]) -> Result<Element, XmlError> {
    let text = std::str::from_utf8(xml).map_err(|_| wrong("the document is not UTF-8"))?;
    parse(text.strip_prefix('\u{feff}').unwrap_or(text))
}

/// Its `Object` elements, one at least.
pub(super) fn objects(root: &Element) -> Result<Vec<&Element>, XmlError> {
    let objects: Vec<&Element> = if root.name == "Object" {
        vec![root]
    } else {
        root.children.iter().filter(|e| e.name == "Object").collect()
    };
    if objects.is_empty() { Err(wrong("there is no Object element")) } else { Ok(objects) }
}

/// An element with what is needed of it.
#[derive(Debug, Default)]
pub(super) struct Element {
    name: String,
    pub(super) attributes: BTreeMap<String, String>,
    text: String,
    children: Vec<Element>,
}

fn parse(text: &str) -> Result<Element, XmlError> {
    let mut reader = Reader::from_str(text);
    let mut open: Vec<Element> = vec![Element::default()];
    let mut elements = 0_usize;
    loop {
        let event =
            reader.read_event().map_err(|error| wrong(&format!("the document is no XML: {error}")))?;
        match event {
            Event::Start(start) => {
                elements += 1;
                if open.len() > DEPTH_MAX || elements > ELEMENTS_MAX {
                    return Err(wrong("the document is nested too deeply or too long"));
                }
                open.push(element(&start)?);
            }
            Event::Empty(start) => {
                elements += 1;
                if elements > ELEMENTS_MAX {
                    return Err(wrong("the document is nested too deeply or too long"));
                }
                let child = element(&start)?;
                if let Some(parent) = open.last_mut() {
                    parent.children.push(child);
                }
            }
            Event::End(_) => {
                let child = open.pop().unwrap_or_default();
                match open.last_mut() {
                    Some(parent) => parent.children.push(child),
                    None => return Err(wrong("an element ends that did not begin")),
                }
            }
            Event::Text(piece) => {
                append(&mut open, &piece);
            }
            Event::CData(piece) => {
                append(&mut open, &piece);
            }
            Event::GeneralRef(reference) => {
                let piece = match reference.resolve_char_ref() {
                    Ok(Some(character)) => character.to_string(),
                    Ok(None) => quick_xml::escape::resolve_xml_entity(&reference)
                        .ok_or_else(|| wrong("entities of one's own are not accepted"))?
                        .to_owned(),
                    Err(_) => return Err(wrong("a character reference is wrong")),
                };
                append(&mut open, &piece);
            }
            Event::DocType(_) => return Err(wrong("a document type declaration is not accepted")),
            Event::Decl(_) | Event::PI(_) | Event::Comment(_) => {}
            Event::Eof => break,
        }
    }
    let mut document = open.pop().unwrap_or_default();
    if !open.is_empty() || document.children.len() != 1 {
        return Err(wrong("the document is cut or has no root element"));
    }
    document.children.pop().ok_or_else(|| wrong("the document is empty"))
}

fn append(open: &mut [Element], piece: &str) {
    if let Some(element) = open.last_mut()
        && element.text.len() + piece.len() <= TEXT_LEN_MAX
    {
        element.text.push_str(piece);
    }
}

fn element(start: &quick_xml::events::BytesStart<'_>) -> Result<Element, XmlError> {
    let mut attributes = BTreeMap::new();
    for attribute in start.attributes().take(ATTRIBUTES_MAX) {
        let attribute = attribute.map_err(|_| wrong("an attribute is wrong"))?;
        attributes.insert(attribute.key.local_name().as_ref().to_owned(), attribute.value.into_owned());
    }
    Ok(Element { name: start.local_name().as_ref().to_owned(), attributes, ..Element::default() })
}

impl Element {
    pub(super) fn child(&self, name: &str) -> Option<&Element> {
        self.children.iter().find(|child| child.name == name)
    }

    pub(super) fn text_of(&self, name: &str) -> &str {
        self.child(name).map_or("", |child| child.text.trim())
    }

    /// The resources of an `Object`.
    pub(super) fn items(&self) -> impl Iterator<Item = &Element> {
        let items =
            self.child("Resources").map(|resources| resources.children.as_slice()).unwrap_or_default();
        items.iter().filter(|item| item.name == "Item")
    }
}

pub(super) fn object(element: &Element) -> Result<OwnedObjectDefinition, XmlError> {
    let number: u16 = element.text_of("ObjectID").parse().map_err(|_| wrong("ObjectID is no number"))?;
    let id = ObjectId::new(number).ok_or_else(|| wrong("ObjectID 65535 is reserved"))?;
    let about = |message: &str| wrong(&format!("object {number}: {message}"));
    let version = |name: &str| match element.text_of(name) {
        "" => Ok(ObjectVersion::V1_0),
        text => text.parse().map_err(|_| about(&format!("{name} {text:?} is no version"))),
    };
    let name = element.text_of("Name");
    if name.is_empty() || name.len() > NAME_LEN_MAX {
        return Err(about("Name is missing or too long"));
    }
    let mut definition = OwnedObjectDefinition::new(id, name);
    definition.version = version("ObjectVersion")?;
    definition.enabler = version("LWM2MVersion")?;
    definition.multiple =
        choice(element, "MultipleInstances", "Multiple", "Single").map_err(|e| about(&e))?;
    definition.mandatory = choice(element, "Mandatory", "Mandatory", "Optional").map_err(|e| about(&e))?;
    let resources = element.items().map(|item| resource(number, item));
    definition.with_resources(resources.collect::<Result<_, _>>()?).map_err(|error| about(&error.to_string()))
}

fn resource(object: u16, element: &Element) -> Result<OwnedResourceDefinition, XmlError> {
    let text = element.attributes.get("ID").map_or("", |id| id.trim());
    let about = |message: &str| wrong(&format!("object {object}, resource {text}: {message}"));
    let id = text
        .parse()
        .ok()
        .and_then(ResourceId::new)
        .ok_or_else(|| about("ID is no number from 0 to 65534"))?;
    let name = element.text_of("Name");
    if name.is_empty() || name.len() > NAME_LEN_MAX {
        return Err(about("Name is missing or too long"));
    }
    let operations = element.text_of("Operations");
    let data_type = match element.text_of("Type") {
        "" | "None" | "none" => None,
        kind => Some(data_type(kind).ok_or_else(|| about(&format!("there is no data type {kind:?}")))?),
    };
    Ok(OwnedResourceDefinition {
        id,
        name: name.to_owned(),
        operations: Operations::from_letters(operations)
            .ok_or_else(|| about(&format!("Operations {operations:?} is none of R, W, RW, E")))?,
        multiple: choice(element, "MultipleInstances", "Multiple", "Single").map_err(|e| about(&e))?,
        mandatory: choice(element, "Mandatory", "Mandatory", "Optional").map_err(|e| about(&e))?,
        data_type,
        range_text: element.text_of("RangeEnumeration").chars().take(RANGE_LEN_MAX).collect(),
        units: element.text_of("Units").chars().take(NAME_LEN_MAX).collect(),
    })
}

pub(super) fn data_type(text: &str) -> Option<DataType> {
    Some(match text.to_ascii_lowercase().as_str() {
        "string" => DataType::String,
        "integer" => DataType::Integer,
        "unsigned integer" | "unsigned" => DataType::Unsigned,
        "float" => DataType::Float,
        "boolean" => DataType::Boolean,
        "opaque" => DataType::Opaque,
        "time" => DataType::Time,
        "objlnk" => DataType::ObjectLink,
        "corelnk" => DataType::Corelnk,
        _ => return None,
    })
}

pub(super) fn choice(element: &Element, name: &str, yes: &str, no: &str) -> Result<bool, String> {
    match element.text_of(name) {
        text if text.eq_ignore_ascii_case(yes) => Ok(true),
        text if text.eq_ignore_ascii_case(no) || text.is_empty() => Ok(false),
        text => Err(format!("{name} {text:?} is neither {yes} nor {no}")),
    }
}

fn wrong(message: &str) -> XmlError {
    XmlError { message: message.to_owned() }
}

const DEPTH_MAX: usize = 16;
const ELEMENTS_MAX: usize = 100_000;
const ATTRIBUTES_MAX: usize = 16;
const TEXT_LEN_MAX: usize = 64 << 10;
pub(super) const NAME_LEN_MAX: usize = 256;
const RANGE_LEN_MAX: usize = 1024;

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD: &str = r#"<?xml version="1.0" encoding="UTF-8"?>
<!-- a comment -->
<LWM2M><Object ObjectType="MODefinition">
  <Name>Pump &amp; Valve</Name><Description1><![CDATA[text]]></Description1>
  <ObjectID>40000</ObjectID><LWM2MVersion>1.1</LWM2MVersion><ObjectVersion>2.1</ObjectVersion>
  <MultipleInstances>Multiple</MultipleInstances><Mandatory>Optional</Mandatory>
  <Resources>
    <Item ID="2"><Name>Go</Name><Operations>E</Operations><MultipleInstances>Single</MultipleInstances><Mandatory>Mandatory</Mandatory><Type></Type></Item>
    <Item ID="1"><Name>Speed</Name><Operations>RW</Operations><MultipleInstances>Multiple</MultipleInstances><Mandatory>Optional</Mandatory><Type>Unsigned Integer</Type><RangeEnumeration>0..9</RangeEnumeration><Units>/min</Units></Item>
  </Resources></Object></LWM2M>"#;

    #[test]
    fn a_definition_is_read_whole() {
        let objects = read(GOOD.as_bytes()).unwrap();
        let [object] = objects.as_slice() else { panic!("one object") };
        assert_eq!((object.id.get(), object.name.as_str()), (40_000, "Pump & Valve"));
        assert_eq!((object.version, object.enabler), (ObjectVersion::new(2, 1), ObjectVersion::new(1, 1)));
        assert!(object.multiple && !object.mandatory);
        let [speed, go] = object.resources() else { panic!("two resources") };
        assert_eq!((speed.id.get(), speed.data_type, speed.multiple), (1, Some(DataType::Unsigned), true));
        assert_eq!((speed.range_text.as_str(), speed.units.as_str()), ("0..9", "/min"));
        assert!(go.mandatory && go.data_type.is_none() && go.operations == Operations::EXECUTE);
    }

    #[test]
    fn what_is_no_definition_is_refused_with_a_reason() {
        let bent = |from: &str, to: &str| GOOD.replace(from, to);
        for (xml, part) in [
            (String::new(), "no root"),
            ("<LWM2M/>".to_owned(), "no Object"),
            (bent("40000", "forty"), "ObjectID"),
            (bent("40000", "65535"), "reserved"),
            (bent("40000", "65536"), "ObjectID"),
            (bent("2.1", "two"), "version"),
            (bent("ID=\"2\"", "ID=\"1\""), "twice"),
            (bent("ID=\"2\"", ""), "resource"),
            (bent("Unsigned Integer", "Number"), "data type"),
            (bent("Unsigned Integer", ""), "type"),
            (bent(">RW<", ">RX<"), "Operations"),
            (bent("<Name>Speed</Name>", ""), "Name"),
            (
                bent("<!-- a comment -->", "<!DOCTYPE x [<!ENTITY a SYSTEM \"file:///etc/passwd\">]>"),
                "document type",
            ),
            (bent("Pump &amp;", "&a;"), "entities"),
            (GOOD[..GOOD.len() - 30].to_owned(), ""),
            ("<a>".repeat(100), "nested"),
            // Each costs memory as a tree, however short it is.
            (format!("<LWM2M>{}</LWM2M>", "<a/>".repeat(ELEMENTS_MAX)), "too long"),
            (format!("<LWM2M>{}</LWM2M>", "<a></a>".repeat(ELEMENTS_MAX)), "too long"),
            (format!("<LWM2M>{}</LWM2M>", "<a/>".repeat(ELEMENTS_MAX - 1)), "no Object"),
        ] {
            let error = read(xml.as_bytes()).unwrap_err();
            assert!(error.message.contains(part), "{part}: {error}");
        }
        assert!(read(&[0xFF, 0xFE, 0]).is_err());
    }
}
