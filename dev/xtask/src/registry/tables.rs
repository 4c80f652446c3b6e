//! Packs object definitions into the bytes that `lwm2m::object` looks up.

use super::{Fact, Object};
use std::collections::{BTreeMap, BTreeSet};

/// Writes the tables.
///
/// # Errors
/// When a count or an offset outgrows its field.
pub(super) fn write(objects: &BTreeMap<(u16, u8, u8), Object>) -> Result<Vec<u8>, String> {
    let facts: BTreeSet<&Fact> = objects.values().flat_map(|object| object.resources.values()).collect();
    let mut texts = Texts::default();
    texts.add_all(objects.values().map(|object| object.name.as_str()))?;
    texts.add_all(
        facts.iter().flat_map(|fact| [fact.name.as_str(), fact.range.as_str(), fact.units.as_str()]),
    )?;
    let numbers: BTreeMap<&Fact, u16> = (0..).zip(&facts).map(|(number, fact)| (*fact, number)).collect();

    let resources: usize = objects.values().map(|object| object.resources.len()).sum();
    let mut bytes = Vec::new();
    for count in [objects.len(), resources, facts.len(), texts.bytes.len()] {
        put(&mut bytes, small(count)?);
    }
    let mut first = 0;
    for object in objects.values() {
        let (id, major, minor) = object.key;
        put(&mut bytes, id);
        bytes.extend([major, minor, object.enabler.0, object.enabler.1]);
        put(&mut bytes, texts.offset(&object.name)?);
        put(&mut bytes, small(first)?);
        bytes.push(
            u8::try_from(object.resources.len())
                .map_err(|_| format!("object {id} has too many resources"))?,
        );
        bytes.push(u8::from(object.multiple) | u8::from(object.mandatory) << 1);
        first += object.resources.len();
    }
    for (id, fact) in objects.values().flat_map(|object| &object.resources) {
        put(&mut bytes, *id);
        put(&mut bytes, *numbers.get(fact).ok_or("a fact without a number")?);
    }
    for fact in facts {
        put(&mut bytes, texts.offset(&fact.name)?);
        put(&mut bytes, texts.offset(&fact.range)?);
        put(&mut bytes, texts.offset(&fact.units)?);
        bytes.extend([fact.flags, fact.kind]);
    }
    bytes.extend(texts.bytes);
    Ok(bytes)
}

/// Texts, each stored once, found by their offset.
#[derive(Default)]
struct Texts {
    bytes: Vec<u8>,
    offsets: BTreeMap<String, u16>,
}

impl Texts {
    fn add_all<'a>(&mut self, texts: impl Iterator<Item = &'a str>) -> Result<(), String> {
        let sorted: BTreeSet<&str> = texts.collect();
        for text in sorted {
            if self.offsets.contains_key(text) {
                continue;
            }
            self.offsets.insert(text.to_owned(), small(self.bytes.len())?);
            self.bytes.push(u8::try_from(text.len()).map_err(|_| format!("the text {text:?} is too long"))?);
            self.bytes.extend(text.as_bytes());
        }
        Ok(())
    }

    fn offset(&self, text: &str) -> Result<u16, String> {
        self.offsets.get(text).copied().ok_or_else(|| format!("the text {text:?} was not stored"))
    }
}

fn put(bytes: &mut Vec<u8>, number: u16) {
    bytes.extend(number.to_le_bytes());
}

fn small(number: usize) -> Result<u16, String> {
    u16::try_from(number).map_err(|_| format!("{number} does not fit 16 bits"))
}
