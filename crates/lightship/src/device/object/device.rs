//! Device (object 3) and Portfolio (object 16).

use super::behaviour::{Behaviour, Call, Change, World, integer, put, single};
use super::{Held, Instance, initial};
use lightship_client::Refusal;
use lightship_lwm2m::{ObjectInstanceId, OwnedValue, Path, ResourceId};
use std::collections::BTreeMap;

const FIRMWARE_VERSION: u16 = 3;
const REBOOT: u16 = 4;
const FACTORY_RESET: u16 = 5;
const ERROR_CODE: u16 = 11;
const RESET_ERROR_CODE: u16 = 12;
const CURRENT_TIME: u16 = 13;

/// The behaviour of object 3.
#[derive(Default)]
pub(super) struct Device {
    /// What a server that set the clock added to it.
    clock_offset_s: i64,
}

impl Device {
    fn set_clock(&mut self, world: &World, instance: &Instance) {
        if let Some(OwnedValue::Time(seconds)) = single(instance, CURRENT_TIME) {
            self.clock_offset_s = seconds.saturating_sub(world.date().as_secs());
        }
    }
}

impl Behaviour for Device {
    fn computed(&self, world: &World, _: ObjectInstanceId, resource: ResourceId) -> Option<OwnedValue> {
        match resource.get() {
            FIRMWARE_VERSION => Some(OwnedValue::String(world.firmware_version())),
            CURRENT_TIME => {
                Some(OwnedValue::Time(world.date().as_secs().saturating_add(self.clock_offset_s)))
            }
            _ => None,
        }
    }

    fn written(
        &mut self,
        world: &World,
        change: &Change<'_>,
        instance: &mut Instance,
    ) -> Result<(), Refusal> {
        if change.resource.get() == CURRENT_TIME {
            self.set_clock(world, instance);
        }
        Ok(())
    }

    fn set_by_hand(
        &mut self,
        world: &World,
        _: ObjectInstanceId,
        resource: ResourceId,
        instance: &mut Instance,
    ) {
        if resource.get() == CURRENT_TIME {
            self.set_clock(world, instance);
        }
    }

    fn execute(&mut self, world: &World, call: &Call<'_>, instance: &mut Instance) -> Result<(), Refusal> {
        match call.resource.get() {
            REBOOT => world.want_restart(),
            FACTORY_RESET => {
                *instance = initial::instance(call.definition, world);
                self.clock_offset_s = 0;
                world.want_restart();
            }
            RESET_ERROR_CODE => {
                if let Some(error_code) = ResourceId::new(ERROR_CODE) {
                    instance.insert(error_code, Held::one_item(OwnedValue::Integer(0)));
                }
            }
            _ => {}
        }
        Ok(())
    }
}

/// The behaviour of object 16: authentication data can be asked for and then lies ready, to be fetched once.
pub(super) struct Portfolio;

const GET_AUTH_DATA: u16 = 1;
const AUTH_DATA: u16 = 2;
const AUTH_STATUS: u16 = 3;

const STATUS_IDLE: i64 = 0;
const STATUS_DATA_AVAILABLE: i64 = 1;

impl Portfolio {
    fn become_idle(instance: &mut Instance) {
        put(instance, AUTH_STATUS, OwnedValue::Integer(STATUS_IDLE));
        if let Some(auth_data) = ResourceId::new(AUTH_DATA) {
            instance.insert(auth_data, Held::Multiple(BTreeMap::new()));
        }
    }
}

impl Behaviour for Portfolio {
    fn returned(&mut self, path: Path, here: Path, instance: &mut Instance) -> bool {
        let fetched = here.child(AUTH_DATA).is_some_and(|data| path.contains(data) || data.contains(path));
        let fetched = fetched && integer(instance, AUTH_STATUS) == Some(STATUS_DATA_AVAILABLE);
        if fetched {
            Self::become_idle(instance);
        }
        fetched
    }

    fn execute(&mut self, world: &World, call: &Call<'_>, instance: &mut Instance) -> Result<(), Refusal> {
        if call.resource.get() == GET_AUTH_DATA {
            let token = [world.random_u64().to_be_bytes(), world.random_u64().to_be_bytes()].concat();
            if let Some(auth_data) = ResourceId::new(AUTH_DATA) {
                instance.insert(auth_data, Held::one_item(OwnedValue::Opaque(token)));
            }
            put(instance, AUTH_STATUS, OwnedValue::Integer(STATUS_DATA_AVAILABLE));
        }
        Ok(())
    }
}
