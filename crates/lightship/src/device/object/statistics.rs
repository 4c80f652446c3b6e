//! Connectivity Statistics (object 7): what was sent and received between Start and Stop (TS_Core appendix E.8).

use super::Instance;
use super::behaviour::{Behaviour, Call, World, integer, put};
use lightship_client::Refusal;
use lightship_lwm2m::{ObjectInstanceId, OwnedValue, ResourceId};
use lightship_net::client_driver::Traffic;
use lightship_platform::Instant;
use std::time::Duration;

const SMS_SENT: u16 = 0;
const SENT_KB: u16 = 2;
const RECEIVED_KB: u16 = 3;
const LARGEST_MESSAGE: u16 = 4;
const AVERAGE_MESSAGE: u16 = 5;
const START: u16 = 6;
const STOP: u16 = 7;
const PERIOD_S: u16 = 8;

/// The behaviour of object 7.
#[derive(Default)]
pub(super) struct Statistics {
    collecting: Option<Collecting>,
}

struct Collecting {
    base: Traffic,
    until: Instant,
}

impl Statistics {
    /// The number that a resource shows while collecting.
    fn live(&self, world: &World, resource: u16) -> Option<i64> {
        let collecting = self.collecting.as_ref()?;
        let traffic = world.counters.traffic().since(&collecting.base);
        let messages = traffic.sent_messages + traffic.received_messages;
        let number = match resource {
            SENT_KB => traffic.sent_bytes / 1000,
            RECEIVED_KB => traffic.received_bytes / 1000,
            LARGEST_MESSAGE => traffic.largest_message,
            AVERAGE_MESSAGE => {
                (traffic.sent_bytes + traffic.received_bytes).checked_div(messages).unwrap_or(0)
            }
            _ => return None,
        };
        Some(i64::try_from(number).unwrap_or(i64::MAX))
    }

    /// Ends collecting: the numbers stay as they are now.
    fn freeze(&mut self, world: &World, instance: &mut Instance) {
        for resource in SENT_KB..=AVERAGE_MESSAGE {
            if let Some(number) = self.live(world, resource) {
                put(instance, resource, OwnedValue::Integer(number));
            }
        }
        self.collecting = None;
    }
}

impl Behaviour for Statistics {
    fn computed(&self, world: &World, _: ObjectInstanceId, resource: ResourceId) -> Option<OwnedValue> {
        self.live(world, resource.get()).map(OwnedValue::Integer)
    }

    fn execute(&mut self, world: &World, call: &Call<'_>, instance: &mut Instance) -> Result<(), Refusal> {
        match call.resource.get() {
            START => {
                for resource in SMS_SENT..=AVERAGE_MESSAGE {
                    put(instance, resource, OwnedValue::Integer(0));
                }
                let period = integer(instance, PERIOD_S).and_then(|seconds| u64::try_from(seconds).ok());
                let until = match period {
                    None | Some(0) => Instant::NEVER,
                    Some(seconds) => world.now() + Duration::from_secs(seconds),
                };
                world.counters.forget_largest();
                self.collecting = Some(Collecting { base: world.counters.traffic(), until });
            }
            STOP => self.freeze(world, instance),
            _ => {}
        }
        Ok(())
    }

    fn is_due(&self, world: &World) -> bool {
        self.collecting.as_ref().is_some_and(|collecting| world.now() >= collecting.until)
    }

    fn tick(&mut self, world: &World, _: ObjectInstanceId, instance: &mut Instance) {
        if self.is_due(world) {
            self.freeze(world, instance);
        }
    }
}
