//! What makes an object more than a table of values.

use super::{Held, Instance, device, firmware, sensor, statistics, test_object};
use lightship_client::{Arguments, Refusal};
use lightship_coap::ContentFormat;
use lightship_lwm2m::object::ObjectDefinition;
use lightship_lwm2m::{ObjectId, ObjectInstanceId, OwnedValue, Path, ResourceId};
use lightship_net::client_driver::{Clock, Counters};
use lightship_platform::{Instant, Rng, SeededRng, UnixTime};
use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

/// Time, chance and what the objects of one device share.
pub(crate) struct World {
    clock: Clock,
    random: Mutex<SeededRng>,
    firmware_version: Mutex<String>,
    restart_wanted: AtomicBool,
    /// How what was executed lately is to be sent, oldest first.
    sends: Mutex<VecDeque<SendWish>>,
    /// Whether one server has the device for itself.
    one_server: AtomicBool,
    /// Whether a Bootstrap-Server is at work, who may do everything.
    bootstrapping: AtomicBool,
    /// What the device sent and received.
    pub(crate) counters: Arc<Counters>,
    /// The text of `/3/0/2`.
    pub(crate) serial: String,
}

impl World {
    /// A world with that clock; the seed decides every random value.
    pub(crate) fn new(clock: Clock, seed: [u8; 32], serial: &str) -> Arc<Self> {
        Arc::new(Self {
            clock,
            random: Mutex::new(SeededRng::new(seed)),
            firmware_version: Mutex::new(env!("CARGO_PKG_VERSION").to_owned()),
            restart_wanted: AtomicBool::new(false),
            sends: Mutex::new(VecDeque::new()),
            one_server: AtomicBool::new(true),
            bootstrapping: AtomicBool::new(false),
            counters: Arc::new(Counters::default()),
            serial: serial.to_owned(),
        })
    }

    /// The present moment on the device's counting clock.
    pub(crate) fn now(&self) -> Instant {
        self.clock.now()
    }

    /// The date.
    pub(crate) fn date(&self) -> UnixTime {
        self.clock.date()
    }

    /// Lets a standing clock run.
    #[cfg(test)]
    pub(super) fn advance_for_test(&self, by: Duration) {
        self.clock.move_to(self.clock.now() + by);
    }

    /// A random number below `n`.
    pub(crate) fn below(&self, n: u32) -> u32 {
        self.random.lock().unwrap_or_else(PoisonError::into_inner).below(n)
    }

    /// A random number of 64 bits.
    pub(crate) fn random_u64(&self) -> u64 {
        self.random.lock().unwrap_or_else(PoisonError::into_inner).next_u64()
    }

    /// The version of the firmware that "runs".
    pub(crate) fn firmware_version(&self) -> String {
        self.firmware_version.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Says which firmware runs.
    pub(crate) fn set_firmware_version(&self, version: &str) {
        version.clone_into(&mut self.firmware_version.lock().unwrap_or_else(PoisonError::into_inner));
    }

    /// Changes the firmware and asks for a restart, as an update does.
    pub(crate) fn install_firmware(&self, version: &str) {
        self.set_firmware_version(version);
        self.want_restart();
    }

    /// Says how many servers the device has.
    pub(crate) fn set_server_count(&self, count: usize) {
        self.one_server.store(count < 2, Ordering::Relaxed);
    }

    /// Says whether a Bootstrap-Server is at work.
    pub(crate) fn set_bootstrapping(&self, is: bool) {
        self.bootstrapping.store(is, Ordering::Relaxed);
    }

    /// Asks whoever runs the device to send.
    pub(super) fn want_send(&self, wish: SendWish) {
        self.sends.lock().unwrap_or_else(PoisonError::into_inner).push_back(wish);
    }

    /// What was asked for first and is not taken yet.
    pub(super) fn take_send(&self) -> Option<SendWish> {
        self.sends.lock().unwrap_or_else(PoisonError::into_inner).pop_front()
    }

    /// Asks whoever runs the device to restart it.
    pub(crate) fn want_restart(&self) {
        self.restart_wanted.store(true, Ordering::Relaxed);
    }

    /// Whether a restart was asked for since the last call.
    pub(crate) fn take_restart(&self) -> bool {
        self.restart_wanted.swap(false, Ordering::Relaxed)
    }
}

/// How a Send that a server asked for is to be; `None` is as always.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct SendWish {
    pub(crate) format: Option<ContentFormat>,
    /// How long to wait for the answer.
    pub(crate) patience: Option<Duration>,
}

/// One resource that a transaction wrote or cleared.
pub(crate) struct Change<'a> {
    pub(crate) resource: ResourceId,
    /// The instance as it was; `None` while it is being created.
    pub(crate) before: Option<&'a Instance>,
}

/// What an object does on its own. Every method has a default that does nothing special.
pub(crate) trait Behaviour: Send {
    /// An instance begins to exist with these values.
    fn begin(&mut self, world: &World, id: ObjectInstanceId, instance: &mut Instance) {
        let _ = (world, id, instance);
    }

    /// An instance exists no longer.
    fn end(&mut self, id: ObjectInstanceId) {
        let _ = id;
    }

    /// The value of a resource that is computed when it is read.
    fn computed(&self, world: &World, id: ObjectInstanceId, resource: ResourceId) -> Option<OwnedValue> {
        let _ = (world, id, resource);
        None
    }

    /// A server wrote a resource; `instance` holds the new values and may be changed further.
    fn written(
        &mut self,
        world: &World,
        change: &Change<'_>,
        instance: &mut Instance,
    ) -> Result<(), Refusal> {
        let _ = (world, change, instance);
        Ok(())
    }

    /// What was readable at and below `path` went to a server; says whether that changed this instance.
    fn returned(&mut self, path: Path, here: Path, instance: &mut Instance) -> bool {
        let _ = (path, here, instance);
        false
    }

    /// The user set a resource.
    fn set_by_hand(
        &mut self,
        world: &World,
        id: ObjectInstanceId,
        resource: ResourceId,
        instance: &mut Instance,
    ) {
        let _ = (world, id, resource, instance);
    }

    /// A server executed a resource. The default does nothing, successfully.
    fn execute(&mut self, world: &World, call: &Call<'_>, instance: &mut Instance) -> Result<(), Refusal> {
        let _ = (world, call, instance);
        Ok(())
    }

    /// Whether a tick would change something now.
    fn is_due(&self, world: &World) -> bool {
        let _ = world;
        false
    }

    /// Time passed.
    fn tick(&mut self, world: &World, id: ObjectInstanceId, instance: &mut Instance) {
        let _ = (world, id, instance);
    }

    /// Whether instances may be created and deleted by the engine.
    fn lets_create(&self, world: &World) -> bool {
        let _ = world;
        true
    }
}

/// Only bootstrap, or the client itself where there are several servers, makes and removes access control entries
/// (TS_Core 8.2); the engine sees to the second, so all that is left to refuse is the wish of a single server.
struct AccessControl;
impl Behaviour for AccessControl {
    fn lets_create(&self, world: &World) -> bool {
        !world.one_server.load(Ordering::Relaxed) || world.bootstrapping.load(Ordering::Relaxed)
    }
}

/// An Execute.
pub(crate) struct Call<'a> {
    pub(crate) definition: &'a ObjectDefinition<'static>,
    pub(crate) resource: ResourceId,
    pub(crate) arguments: Arguments<'a>,
}

struct Plain;
impl Behaviour for Plain {}

/// What brings an object to life.
pub(super) fn of(object: ObjectId) -> Box<dyn Behaviour> {
    match object.get() {
        2 => Box::new(AccessControl),
        3 => Box::new(device::Device::default()),
        5 => Box::new(firmware::Firmware::default()),
        7 => Box::new(statistics::Statistics::default()),
        16 => Box::new(device::Portfolio),
        3441 | 3442 => Box::new(test_object::TestObject),
        number => match sensor::Sensor::of(number) {
            Some(sensor) => Box::new(sensor),
            None => Box::new(Plain),
        },
    }
}

/// Puts a single value.
pub(super) fn put(instance: &mut Instance, resource: u16, value: OwnedValue) {
    if let Some(id) = ResourceId::new(resource) {
        instance.insert(id, Held::Single(value));
    }
}

/// A single value.
pub(super) fn single(instance: &Instance, resource: u16) -> Option<&OwnedValue> {
    match instance.get(&ResourceId::new(resource)?)? {
        Held::Single(value) => Some(value),
        Held::Multiple(_) => None,
    }
}

/// A single integer.
pub(super) fn integer(instance: &Instance, resource: u16) -> Option<i64> {
    if let OwnedValue::Integer(number) = single(instance, resource)? { Some(*number) } else { None }
}

/// A single number with a fraction.
pub(super) fn float(instance: &Instance, resource: u16) -> Option<f64> {
    single(instance, resource)?.as_value().as_f64()
}
