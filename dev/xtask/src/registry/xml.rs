//! Reads OMA's object definition files.

use super::{Fact, Object};
use quick_xml::{Reader, events::Event};
use std::collections::BTreeMap;

/// The object definitions in the text of one file.
///
/// # Errors
/// What is not XML, not an object definition, or holds words unknown here.
pub(super) fn objects(text: &str) -> Result<Vec<Object>, String> {
    let mut reader = Reader::from_str(text);
    let mut path = Vec::<String>::new();
    let mut texts = BTreeMap::<String, String>::new();
    let mut item = BTreeMap::<String, String>::new();
    let mut resources = BTreeMap::new();
    let mut found = Vec::new();
    let mut content = String::new();
    loop {
        let event = reader.read_event().map_err(|error| error.to_string())?;
        match event {
            Event::Start(start) => {
                let name = start.name().into_inner().to_owned();
                if name == "Item" {
                    item.clear();
                    let id = start
                        .try_get_attribute("ID")
                        .map_err(|error| error.to_string())?
                        .ok_or("an Item without ID")?;
                    item.insert("ID".to_owned(), id.value.into_owned());
                }
                path.push(name);
                content.clear();
            }
            Event::Empty(empty) if !path.is_empty() && empty.name().into_inner() == "Item" => {
                return Err("an empty Item".to_owned());
            }
            Event::Text(text) => content.push_str(&text),
            Event::CData(data) => content.push_str(&data),
            Event::GeneralRef(reference) => content.push(character(&reference)?),
            Event::End(_) => {
                let name = path.pop().ok_or("an end without a start")?;
                let text = normal(&content);
                content.clear();
                match (name.as_str(), path.last().map(String::as_str)) {
                    ("Item", _) => {
                        let (id, fact) = fact(&item)?;
                        if resources.insert(id, fact).is_some() {
                            return Err(format!("resource {id} stands twice"));
                        }
                    }
                    ("Object", _) => found.push(object(&texts, std::mem::take(&mut resources))?),
                    (_, Some("Item")) => drop(item.insert(name, text)),
                    (_, Some("Object")) => drop(texts.insert(name, text)),
                    _ => {}
                }
            }
            Event::Eof => return Ok(found),
            Event::Empty(_) | Event::Comment(_) | Event::Decl(_) | Event::PI(_) | Event::DocType(_) => {}
        }
    }
}

fn character(reference: &quick_xml::events::BytesRef<'_>) -> Result<char, String> {
    if let Some(character) = reference.resolve_char_ref().map_err(|error| error.to_string())? {
        return Ok(character);
    }
    match &**reference {
        "amp" => Ok('&'),
        "lt" => Ok('<'),
        "gt" => Ok('>'),
        "quot" => Ok('"'),
        "apos" => Ok('\''),
        other => Err(format!("unknown entity {other}")),
    }
}

/// The text with runs of white space as one space and none at the ends.
fn normal(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

fn fact(item: &BTreeMap<String, String>) -> Result<(u16, Fact), String> {
    let word = |name: &str| item.get(name).map_or("", String::as_str);
    let id = word("ID").trim().parse().map_err(|_| format!("ID {:?} of an Item", word("ID")))?;
    let mut flags = 0;
    for letter in word("Operations").chars() {
        flags |= match letter {
            'R' => 1,
            'W' => 2,
            'E' => 4,
            _ => return Err(format!("operations {:?} of resource {id}", word("Operations"))),
        };
    }
    flags |= if is(word("MultipleInstances"), "Multiple", "Single")? { 8 } else { 0 };
    flags |= if is(word("Mandatory"), "Mandatory", "Optional")? { 16 } else { 0 };
    let kind = match word("Type") {
        "" => 0,
        "String" => 1,
        "Integer" => 2,
        "Unsigned Integer" => 3,
        "Float" => 4,
        "Boolean" => 5,
        "Opaque" => 6,
        "Time" => 7,
        "Objlnk" => 8,
        "Corelnk" => 9,
        other => return Err(format!("type {other:?} of resource {id}")),
    };
    let fact = Fact {
        name: word("Name").into(),
        range: word("RangeEnumeration").into(),
        units: word("Units").into(),
        flags,
        kind,
    };
    Ok((id, fact))
}

fn object(texts: &BTreeMap<String, String>, resources: BTreeMap<u16, Fact>) -> Result<Object, String> {
    let word = |name: &str| texts.get(name).map_or("", String::as_str);
    let id = word("ObjectID").parse().map_err(|_| format!("object ID {:?}", word("ObjectID")))?;
    let (major, minor) = version(word("ObjectVersion"))?;
    Ok(Object {
        key: (id, major, minor),
        enabler: version(word("LWM2MVersion"))?,
        name: word("Name").into(),
        multiple: is(word("MultipleInstances"), "Multiple", "Single")?,
        mandatory: is(word("Mandatory"), "Mandatory", "Optional")?,
        resources,
    })
}

/// Which of two words it is.
fn is(word: &str, yes: &str, no: &str) -> Result<bool, String> {
    if word == yes {
        Ok(true)
    } else if word == no {
        Ok(false)
    } else {
        Err(format!("{word:?} is neither {yes} nor {no}"))
    }
}

/// A version; none means 1.0.
fn version(text: &str) -> Result<(u8, u8), String> {
    if text.is_empty() {
        return Ok((1, 0));
    }
    let odd = || format!("version {text:?}");
    let (major, minor) = text.split_once('.').ok_or_else(odd)?;
    Ok((major.parse().map_err(|_| odd())?, minor.parse().map_err(|_| odd())?))
}
