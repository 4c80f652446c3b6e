//! The test objects 3441 (LwM2M 1.0) and 3442 (1.1): reset, randomize and clear all values, and show the arguments of
//! an Execute, as the registry describes.

use super::behaviour::{Behaviour, Call, SendWish, World};
use super::{Held, Instance, initial};
use lightship_client::{Arguments, Refusal};
use lightship_coap::ContentFormat;
use lightship_lwm2m::{DataType, ObjectId, ObjectLink, OwnedValue, ResourceId, ResourceInstanceId};
use std::collections::BTreeMap;
use std::time::Duration;

const RESET: u16 = 0;
const RANDOMIZE: u16 = 1;
const CLEAR: u16 = 2;
const EXECUTE_WITH_ARGUMENTS: u16 = 3;
const ARGUMENTS_LIST: u16 = 4;
const SEND_DATA: u16 = 5;
const RESOURCES_TO_SEND: u16 = 6;

/// The registry's advice on sizes.
const RANDOM_TEXT_LEN_MAX: u32 = 20;
const RANDOM_INSTANCES_MAX: u32 = 10;

/// The resource with the paths that executing this resource sends.
pub(super) fn send_list(object: ObjectId, executed: ResourceId) -> Option<ResourceId> {
    let sends = matches!(object.get(), 3441 | 3442) && executed.get() == SEND_DATA;
    ResourceId::new(RESOURCES_TO_SEND).filter(|_| sends)
}

/// The behaviour of objects 3441 and 3442.
pub(super) struct TestObject;

fn cleared(data_type: DataType) -> OwnedValue {
    match data_type {
        DataType::String => OwnedValue::String(String::new()),
        DataType::Integer => OwnedValue::Integer(0),
        DataType::Unsigned => OwnedValue::Unsigned(0),
        DataType::Float => OwnedValue::Float(0.0),
        DataType::Boolean => OwnedValue::Boolean(false),
        DataType::Opaque => OwnedValue::Opaque(Vec::new()),
        DataType::Time => OwnedValue::Time(0),
        DataType::ObjectLink => OwnedValue::ObjectLink(ObjectLink::NULL),
        DataType::Corelnk => OwnedValue::Corelnk(String::new()),
    }
}

fn random(world: &World, data_type: DataType) -> OwnedValue {
    let byte = || u8::try_from(world.below(256)).unwrap_or(0);
    let number = |below: u32| u16::try_from(world.below(below)).unwrap_or(0);
    match data_type {
        DataType::String => {
            let letters = (0..world.below(RANDOM_TEXT_LEN_MAX + 1)).map(|_| char::from(b'a' + byte() % 26));
            OwnedValue::String(letters.collect())
        }
        DataType::Integer => OwnedValue::Integer(world.random_u64().cast_signed()),
        DataType::Unsigned => OwnedValue::Unsigned(world.random_u64()),
        DataType::Float => {
            let whole = f64::from(world.below(2_000_001)) - 1_000_000.0;
            OwnedValue::Float(whole / 100.0)
        }
        DataType::Boolean => OwnedValue::Boolean(world.below(2) == 1),
        DataType::Opaque => {
            OwnedValue::Opaque((0..world.below(RANDOM_TEXT_LEN_MAX + 1)).map(|_| byte()).collect())
        }
        DataType::Time => OwnedValue::Time(i64::from(world.below(u32::MAX))),
        DataType::ObjectLink => {
            OwnedValue::ObjectLink(ObjectLink { object: number(65_535), instance: number(65_535) })
        }
        DataType::Corelnk => OwnedValue::Corelnk(format!("</{}/{}>", number(65_535), number(10))),
    }
}

/// Argument 0 is the content format of the Send, argument 1 the milliseconds to wait for its answer.
fn wish(arguments: Arguments<'_>) -> Result<SendWish, Refusal> {
    const FORMATS: [ContentFormat; 3] =
        [ContentFormat::SENML_JSON, ContentFormat::SENML_CBOR, ContentFormat::LWM2M_CBOR];
    let mut wish = SendWish::default();
    for (digit, text) in arguments.iter() {
        let number: u32 = text.and_then(|text| text.parse().ok()).ok_or(Refusal::BadValue)?;
        match digit {
            0 => {
                let format = FORMATS.into_iter().find(|format| u32::from(format.0) == number);
                wish.format = Some(format.ok_or(Refusal::BadValue)?);
            }
            1 if number > 0 => wish.patience = Some(Duration::from_millis(number.into())),
            _ => return Err(Refusal::BadValue),
        }
    }
    Ok(wish)
}

fn clear(call: &Call<'_>, instance: &mut Instance) {
    for resource in call.definition.resources() {
        let Some(data_type) = resource.data_type else { continue };
        let held = if resource.multiple {
            Held::Multiple(BTreeMap::new())
        } else {
            Held::Single(cleared(data_type))
        };
        instance.insert(resource.id, held);
    }
}

fn randomize(world: &World, call: &Call<'_>, instance: &mut Instance) {
    for resource in call.definition.resources() {
        let Some(data_type) = resource.data_type else { continue };
        if matches!(resource.id.get(), ARGUMENTS_LIST | RESOURCES_TO_SEND) {
            continue;
        }
        let held = if resource.multiple {
            let count = world.below(RANDOM_INSTANCES_MAX + 1);
            let ids = (0..count).filter_map(|id| ResourceInstanceId::new(u16::try_from(id).ok()?));
            Held::Multiple(ids.map(|id| (id, random(world, data_type))).collect())
        } else {
            Held::Single(random(world, data_type))
        };
        instance.insert(resource.id, held);
    }
}

impl Behaviour for TestObject {
    fn execute(&mut self, world: &World, call: &Call<'_>, instance: &mut Instance) -> Result<(), Refusal> {
        match call.resource.get() {
            RESET => *instance = initial::instance(call.definition, world),
            RANDOMIZE => randomize(world, call, instance),
            CLEAR => clear(call, instance),
            EXECUTE_WITH_ARGUMENTS => {
                let arguments = call.arguments.iter().filter_map(|(digit, text)| {
                    let id = ResourceInstanceId::new(u16::from(digit))?;
                    Some((id, OwnedValue::String(text.unwrap_or_default().to_owned())))
                });
                if let Some(list) = ResourceId::new(ARGUMENTS_LIST) {
                    instance.insert(list, Held::Multiple(arguments.collect()));
                }
            }
            // The device sends once the engine has told it.
            SEND_DATA => world.want_send(wish(call.arguments)?),
            _ => {}
        }
        Ok(())
    }
}
