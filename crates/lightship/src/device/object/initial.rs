//! The values that an instance starts with: written down for the objects one meets first, made up within the legal
//! range for all others.

use super::behaviour::World;
use super::{Held, Instance};
use crate::value_text;
use lightship_lwm2m::object::{ObjectDefinition, ResourceDefinition};
use lightship_lwm2m::{DataType, ObjectLink, OwnedValue, ResourceInstanceId};
use std::collections::BTreeMap;

/// Resource or `resource/resource instance`, and its value as text. What an object of this table does not list, a new
/// instance does not have.
type Known = (u16, &'static [(&'static str, &'static str)]);

/// An empty multiple resource.
const EMPTY: &str = "\u{0}empty";

const KNOWN: [Known; 16] = [
    (
        3,
        &[
            ("0", "Lightship"),
            ("1", "lightship device"),
            ("2", "{serial}"),
            ("3", "{version}"),
            ("6/0", "1"),
            ("6/1", "5"),
            ("7/0", "3800"),
            ("7/1", "5000"),
            ("8/0", "125"),
            ("8/1", "900"),
            ("9", "84"),
            ("10", "15000"),
            ("11/0", "0"),
            ("13", "{now}"),
            ("14", "+00:00"),
            ("15", "Etc/UTC"),
            ("16", "U"),
            ("17", "simulator"),
            ("18", "1.0"),
            ("19", "{version}"),
            ("20", "0"),
            ("21", "32000"),
            ("22", EMPTY),
        ],
    ),
    (
        4,
        &[
            ("0", "41"),
            ("1/0", "41"),
            ("1/1", "21"),
            ("2", "-64"),
            ("3", "98"),
            ("4/0", "127.0.0.1"),
            ("5/0", "127.0.0.1"),
            ("6", "3"),
            ("7/0", "internet"),
            ("8", "0"),
            ("9", "1"),
            ("10", "1"),
            ("11", "18"),
            ("12", "0"),
            ("13", "0"),
        ],
    ),
    (
        5,
        &[
            ("0", ""),
            ("1", ""),
            ("3", "0"),
            ("5", "0"),
            ("6", ""),
            ("7", ""),
            ("8", EMPTY),
            ("9", "1"),
            ("11", "1"),
            ("12", "{now}"),
            ("13", "0"),
            ("14", "false"),
        ],
    ),
    (
        6,
        &[
            ("0", "52.5163"),
            ("1", "13.3777"),
            ("2", "34.0"),
            ("3", "10.0"),
            ("4", "0x00000000"),
            ("5", "{now}"),
            ("6", "0"),
        ],
    ),
    (7, &[("0", "0"), ("1", "0"), ("2", "0"), ("3", "0"), ("4", "0"), ("5", "0"), ("8", "0")]),
    (
        16,
        &[
            ("0/0", "{serial}"),
            ("0/1", "Lightship"),
            ("0/2", "lightship device"),
            ("0/3", "1.0"),
            ("2", EMPTY),
            ("3", "0"),
        ],
    ),
    (
        3301,
        &[
            ("5700", "320"),
            ("5601", "320"),
            ("5602", "320"),
            ("5603", "0"),
            ("5604", "100000"),
            ("5701", "lx"),
            ("5750", ""),
            ("5518", "{now}"),
        ],
    ),
    (
        3303,
        &[
            ("5700", "21"),
            ("5601", "21"),
            ("5602", "21"),
            ("5603", "-40"),
            ("5604", "125"),
            ("5701", "Cel"),
            ("5750", ""),
            ("5518", "{now}"),
        ],
    ),
    (
        3304,
        &[
            ("5700", "45"),
            ("5601", "45"),
            ("5602", "45"),
            ("5603", "0"),
            ("5604", "100"),
            ("5701", "%RH"),
            ("5750", ""),
            ("5518", "{now}"),
        ],
    ),
    (
        3315,
        &[
            ("5700", "1013"),
            ("5601", "1013"),
            ("5602", "1013"),
            ("5603", "300"),
            ("5604", "1100"),
            ("5701", "hPa"),
            ("5750", ""),
            ("5518", "{now}"),
        ],
    ),
    (
        3316,
        &[
            ("5700", "230"),
            ("5601", "230"),
            ("5602", "230"),
            ("5603", "0"),
            ("5604", "400"),
            ("5701", "V"),
            ("5821", "1"),
            ("5750", ""),
            ("5518", "{now}"),
        ],
    ),
    (
        3317,
        &[
            ("5700", "1.5"),
            ("5601", "1.5"),
            ("5602", "1.5"),
            ("5603", "0"),
            ("5604", "63"),
            ("5701", "A"),
            ("5821", "1"),
            ("5750", ""),
            ("5518", "{now}"),
        ],
    ),
    (3331, &[("5700", "1234.5"), ("5701", "Wh"), ("5750", ""), ("5518", "{now}")]),
    (3441, &TEST_VALUES),
    (3442, &TEST_VALUES),
    // It speaks of nothing, and gives nobody anything, until it is told otherwise.
    (2, &[("0", "65534"), ("1", "65535"), ("2", EMPTY), ("3", "65535")]),
];

/// As the registry's descriptions of 3441 and 3442 say.
const TEST_VALUES: [(&str, &str); 20] = [
    ("4", EMPTY),
    ("6", EMPTY),
    ("110", "initial value"),
    ("120", "1024"),
    ("125", "9223372036854775808"),
    ("130", "3.14159"),
    ("140", "true"),
    ("150", "0x0123456789abcdef"),
    ("160", "946684800"),
    ("170", "3:0"),
    ("180", "</3442>"),
    ("1110/0", "initial value"),
    ("1120/0", "1024"),
    ("1125/0", "9223372036854775808"),
    ("1130/0", "3.14159"),
    ("1140/0", "true"),
    ("1150/0", "0x0123456789abcdef"),
    ("1160/0", "946684800"),
    ("1170/0", "3:0"),
    ("1180/0", "</3442>"),
];

/// A new instance of an object.
pub(super) fn instance(definition: &ObjectDefinition<'static>, world: &World) -> Instance {
    match KNOWN.iter().find(|(object, _)| *object == definition.id.get()) {
        None => made_up(definition),
        Some((_, values)) => known(definition, values, world),
    }
}

fn known(definition: &ObjectDefinition<'static>, values: &[(&str, &str)], world: &World) -> Instance {
    let mut instance = Instance::new();
    for (place, text) in values {
        let (resource, item) = place.split_once('/').unwrap_or((place, ""));
        let resource = definition.resources().find(|known| known.id.to_string() == resource);
        let Some((resource, data_type)) = resource.and_then(|known| Some((known, known.data_type?))) else {
            continue;
        };
        if resource.multiple && *text == EMPTY {
            instance.insert(resource.id, Held::Multiple(BTreeMap::new()));
            continue;
        }
        let text = text
            .replace("{serial}", &world.serial)
            .replace("{version}", env!("CARGO_PKG_VERSION"))
            .replace("{now}", &world.date().as_secs().to_string());
        let Ok(value) = value_text::parse(&text, data_type) else { continue };
        match item.parse().ok().and_then(ResourceInstanceId::new) {
            Some(item) if resource.multiple => {
                let held = instance.entry(resource.id).or_insert_with(|| Held::Multiple(BTreeMap::new()));
                if let Held::Multiple(items) = held {
                    items.insert(item, value);
                }
            }
            _ => {
                instance.insert(resource.id, Held::Single(value));
            }
        }
    }
    instance
}

fn made_up(definition: &ObjectDefinition<'static>) -> Instance {
    let mut instance = Instance::new();
    for resource in definition.resources() {
        let Some(value) = made_up_value(&resource) else { continue };
        let held = if resource.multiple { Held::one_item(value) } else { Held::Single(value) };
        instance.insert(resource.id, held);
    }
    instance
}

/// A value of the right type within the legal range: nothing, zero, or the smallest that is legal.
fn made_up_value(resource: &ResourceDefinition<'_>) -> Option<OwnedValue> {
    let data_type = resource.data_type?;
    let range = resource.range();
    let legal = |value: &OwnedValue| range.allows(&value.as_value());
    // Numbers that stand in the range's words are the natural candidates.
    let stated = resource
        .range_text
        .split(|c: char| !c.is_ascii_digit() && c != '-' && c != '.')
        .flat_map(|word| [word, word.split("..").next().unwrap_or(word)])
        .filter(|word| !word.is_empty());
    match data_type {
        DataType::String => (0..=64).map(|length| OwnedValue::String("x".repeat(length))).find(legal),
        DataType::Corelnk => Some(OwnedValue::Corelnk("</0>".to_owned())).filter(legal),
        DataType::Opaque => (0..=64).map(|length| OwnedValue::Opaque(vec![0; length])).find(legal),
        DataType::Boolean => Some(OwnedValue::Boolean(false)),
        DataType::ObjectLink => Some(OwnedValue::ObjectLink(ObjectLink::NULL)),
        DataType::Integer | DataType::Unsigned | DataType::Float | DataType::Time => ["0"]
            .into_iter()
            .chain(stated)
            .filter_map(|text| value_text::parse(text, data_type).ok())
            .find(legal),
    }
}
