//! Sensors: a value that moves slowly until someone sets it by hand, and the smallest and largest value so far.

use super::Instance;
use super::behaviour::{Behaviour, Call, World, float, put, single};
use lightship_client::Refusal;
use lightship_lwm2m::{ObjectInstanceId, OwnedValue, ResourceId};
use lightship_platform::Instant;
use std::collections::BTreeMap;
use std::time::Duration;

const VALUE: u16 = 5700;
const MIN_MEASURED: u16 = 5601;
const MAX_MEASURED: u16 = 5602;
const RESET_MIN_MAX: u16 = 5605;
const TIMESTAMP: u16 = 5518;
const RESET_CUMULATIVE: u16 = 5822;

/// How often a value moves.
const MOVE_EVERY: Duration = Duration::from_secs(2);

/// How the values of one object move, in its unit.
#[derive(Clone, Copy)]
struct Course {
    object: u16,
    /// The value drifts back to here; `None` counts up instead.
    centre: Option<f64>,
    /// The largest step.
    step: f64,
}

const COURSES: [Course; 7] = [
    Course { object: 3301, centre: Some(320.0), step: 8.0 },
    Course { object: 3303, centre: Some(21.0), step: 0.2 },
    Course { object: 3304, centre: Some(45.0), step: 0.5 },
    Course { object: 3315, centre: Some(1013.0), step: 0.4 },
    Course { object: 3316, centre: Some(230.0), step: 0.6 },
    Course { object: 3317, centre: Some(1.5), step: 0.05 },
    Course { object: 3331, centre: None, step: 0.5 },
];

/// The behaviour of sensor objects.
pub(super) struct Sensor {
    course: Course,
    states: BTreeMap<ObjectInstanceId, State>,
}

struct State {
    next_move: Instant,
    /// Set by hand: it stays.
    still: bool,
}

impl Sensor {
    /// The behaviour of that object, if it is a sensor known here.
    pub(super) fn of(object: u16) -> Option<Self> {
        let course = *COURSES.iter().find(|course| course.object == object)?;
        Some(Self { course, states: BTreeMap::new() })
    }

    fn moved(&self, world: &World, value: f64) -> f64 {
        // From 0 to 1 in steps of a thousandth.
        let chance = f64::from(world.below(1001)) / 1000.0;
        let next = match self.course.centre {
            Some(centre) => {
                let pull = (centre - value) * 0.05;
                value + pull + (chance * 2.0 - 1.0) * self.course.step
            }
            None => value + chance * self.course.step,
        };
        (next * 100.0).round() / 100.0
    }
}

fn measured(world: &World, instance: &mut Instance, value: f64) {
    put(instance, VALUE, OwnedValue::Float(value));
    if float(instance, MIN_MEASURED).is_some_and(|least| value < least) {
        put(instance, MIN_MEASURED, OwnedValue::Float(value));
    }
    if float(instance, MAX_MEASURED).is_some_and(|most| value > most) {
        put(instance, MAX_MEASURED, OwnedValue::Float(value));
    }
    if single(instance, TIMESTAMP).is_some() {
        put(instance, TIMESTAMP, OwnedValue::Time(world.date().as_secs()));
    }
}

impl Behaviour for Sensor {
    fn begin(&mut self, world: &World, id: ObjectInstanceId, instance: &mut Instance) {
        if let Some(value) = float(instance, VALUE) {
            measured(world, instance, value);
        }
        self.states.insert(id, State { next_move: world.now() + MOVE_EVERY, still: false });
    }

    fn set_by_hand(
        &mut self,
        world: &World,
        id: ObjectInstanceId,
        resource: ResourceId,
        instance: &mut Instance,
    ) {
        if resource.get() != VALUE {
            return;
        }
        if let Some(state) = self.states.get_mut(&id) {
            state.still = true;
        }
        if let Some(value) = float(instance, VALUE) {
            measured(world, instance, value);
        }
    }

    fn execute(&mut self, world: &World, call: &Call<'_>, instance: &mut Instance) -> Result<(), Refusal> {
        match call.resource.get() {
            RESET_MIN_MAX => {
                let value = float(instance, VALUE).ok_or(Refusal::Failed)?;
                put(instance, MIN_MEASURED, OwnedValue::Float(value));
                put(instance, MAX_MEASURED, OwnedValue::Float(value));
            }
            RESET_CUMULATIVE => measured(world, instance, 0.0),
            _ => {}
        }
        Ok(())
    }

    fn is_due(&self, world: &World) -> bool {
        let now = world.now();
        self.states.values().any(|state| !state.still && now >= state.next_move)
    }

    fn tick(&mut self, world: &World, id: ObjectInstanceId, instance: &mut Instance) {
        let now = world.now();
        let due = self.states.get(&id).is_some_and(|state| !state.still && now >= state.next_move);
        let Some(value) = float(instance, VALUE).filter(|_| due) else { return };
        let next = self.moved(world, value);
        self.states.insert(id, State { next_move: now + MOVE_EVERY, still: false });
        measured(world, instance, next);
    }

    fn end(&mut self, id: ObjectInstanceId) {
        self.states.remove(&id);
    }
}
