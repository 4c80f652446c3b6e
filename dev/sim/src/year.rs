//! A virtual year of a device that sleeps: what it costs on the air.

use core::time::Duration;
use std::cell::Cell;
use std::rc::Rc;

use lightship_client::{Config, Multiple, Object, Phase, QueueMode};
use lightship_coap::ContentFormat;
use lightship_lwm2m::{Path, Version, path};
use lightship_server::{Event, Wanted};

use crate::network::Quality;
use crate::pair::{NAME, Pair, account};

const DAY: Duration = Duration::from_secs(86_400);
const HOUR: Duration = Duration::from_secs(3600);
/// Days of the year that are played.
pub const DAYS: u32 = 365;
const VALUE: Path = path!(3303 / 0 / 5700);

#[derive(Object, Clone, Default)]
#[lwm2m(object = 3303, version = "1.1")]
struct Sensor {
    #[resource(5700)]
    value: f32,
}

/// What went over the air in one direction.
#[derive(Clone, Copy, Default, PartialEq, Eq, Debug)]
pub struct Air {
    /// CoAP messages.
    pub messages: u64,
    /// Their bytes, without UDP and IP headers.
    pub bytes: u64,
}

/// A year.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Year {
    /// Sent by the device.
    pub up: Air,
    /// Sent by the server.
    pub down: Air,
    /// Values that reached the server.
    pub values: u64,
    /// Seconds during which the radio had to be on.
    pub awake_s: u64,
    /// Registrations: 1 if it never lost the first one.
    pub registrations: u64,
}

/// Plays a year of a device in Queue Mode that registered for 24 hours and wakes once a day; with `reports`, the server
/// observes a value that is measured every hour and told at each wake-up.
///
/// # Panics
/// When the server loses the device.
#[must_use]
pub fn play(reports: bool, quality: Quality) -> Year {
    let mut config = Config::new(NAME);
    config.version = Version::V1_2;
    config.queue_mode = Some(QueueMode { wake_every: Some(DAY), ..QueueMode::default() });
    let objects = (Multiple::<Sensor, 1>::new().with(0, Sensor::default()),);
    let mut pair = Pair::with_servers(365, quality, config, objects, vec![account(1)]);
    let counters: Rc<Cell<[Air; 2]>> = Rc::default();
    let counted = Rc::clone(&counters);
    pair.tap = Some(Box::new(move |by_device, bytes| {
        let mut both = counted.get();
        let air = &mut both[usize::from(by_device)];
        air.messages += 1;
        air.bytes += bytes.len() as u64;
        counted.set(both);
    }));
    if reports {
        let accept = Some(ContentFormat::SENML_CBOR);
        pair.wanted = vec![Wanted { observed: VALUE.into(), accept, attributes: Vec::new() }];
    }
    pair.register();
    let (mut values, mut registrations, mut awake) = (0, 0, Duration::ZERO);
    let end = pair.now + DAY * DAYS;
    while pair.now < end {
        let hour = pair.now + HOUR;
        let mut going = true;
        while going {
            let (before, asleep) = (pair.now, pair.client.sleep_until().is_some());
            going = pair.step(hour);
            if !asleep {
                awake += pair.now.saturating_duration_since(before);
            }
        }
        pair.change(|objects| {
            if let Some(sensor) = objects.0.get_mut(0) {
                sensor.value += 0.5;
            }
        });
        for event in core::mem::take(&mut pair.events) {
            values += u64::from(matches!(event, Event::Notified { .. } | Event::ObservationStarted { .. }));
            registrations += u64::from(matches!(event, Event::Registered { .. }));
            assert!(!matches!(event, Event::Deregistered { .. }), "lost at {:?}", pair.now);
        }
        pair.told.clear();
    }
    assert!(matches!(pair.client.phase(pair.account), Phase::Registered { .. }));
    assert!(pair.registration().is_some());
    let [down, up] = counters.get();
    Year { up, down, values, awake_s: awake.as_secs(), registrations }
}
