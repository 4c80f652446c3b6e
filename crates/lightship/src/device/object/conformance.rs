//! Cases of OMA's Enabler Test Specification about the objects of `lightship device`, played with a server in a virtual world.

use super::*;
use lightship_client::{Event, Phase};
use lightship_coap::Code;
use lightship_lwm2m::format::Format;
use lightship_net::client_driver::Clock;
use lightship_platform::UnixTime;
use lightship_sim::case::{World as Case, integer, text};
use std::collections::BTreeMap;
use std::time::Duration;

const STEP: Duration = Duration::from_millis(250);

/// The device, its server, and what lets its objects live.
struct Bench {
    case: Case<ObjectSet>,
    world: Arc<World>,
    clock: Clock,
}

impl Bench {
    fn new(objects: &[u16]) -> Self {
        let clock = Clock::standing(UnixTime::from_secs(1_800_000_000));
        let world = World::new(clock.clone(), [7; 32], "serial");
        let mut set = ObjectSet::new(Arc::clone(&world));
        for object in [&[3], objects].concat() {
            set.add(ObjectId::new(object).unwrap(), 1).unwrap();
        }
        Self { case: Case::with(Version::V1_1, set, |_| {}), world, clock }
    }

    /// Lets time pass for the objects, too, as the driver of the device does.
    fn run(&mut self, span: Duration) {
        let end = self.case.pair.now + span;
        while self.case.pair.now < end {
            self.case.pair.run(STEP);
            self.clock.move_to(self.clock.now() + STEP);
            if self.case.pair.client.objects().is_due() {
                self.case.pair.change(ObjectSet::tick);
            }
        }
    }

    fn values(&mut self, target: &str) -> BTreeMap<String, OwnedValue> {
        self.case.read(target, Some(Format::Tlv))
    }

    fn observed(&mut self, target: &str, change: impl Fn(&mut ObjectSet)) -> usize {
        assert_eq!(self.case.attach(target, &["pmin=2", "pmax=10"]), Code::CHANGED);
        self.case.observe(target);
        // Left alone, one each ten seconds.
        let calm = self.case.gaps(target, Duration::from_secs(60));
        assert!((5..=6).contains(&calm.len()), "{calm:?}");
        assert!(calm.iter().all(|gap| gap.as_secs_f32() < 10.5), "{calm:?}");
        // However often it changes, not two within two seconds.
        self.case.pair.events.clear();
        for _ in 0..80 {
            self.case.pair.change(&change);
            self.run(STEP);
        }
        self.case.notified(target)
    }
}

fn set(objects: &mut ObjectSet, target: &str, value: OwnedValue) {
    let at: Path = target.parse().unwrap();
    let object = objects.find_mut(at.object_id().unwrap()).unwrap();
    object.set(at.instance_id().unwrap(), at.resource_id().unwrap(), None, value).unwrap();
}

fn has(values: &BTreeMap<String, OwnedValue>, names: &[&str]) {
    let known = |name: &&&str| values.keys().any(|key| key == **name || key.starts_with(&format!("{name}/")));
    assert_eq!(names.iter().find(|name| !known(name)), None, "{values:?}");
}

// Case: LightweightM2M-1.1-int-241
#[test]
fn lightweightm2m_1_1_int_241_reboot() {
    let mut bench = Bench::new(&[]);
    let before = bench.case.pair.registration().expect("registered").id;
    assert_eq!(bench.case.execute("/3/0/4"), Code::CHANGED);
    let executed =
        |event: &Event| matches!(event, Event::Executed { path, .. } if path.to_string() == "/3/0/4");
    assert!(bench.case.pair.told.iter().any(executed));
    // What `lightship device` does then.
    assert!(bench.world.take_restart());
    let pair = &mut bench.case.pair;
    pair.client.start(pair.now);
    pair.drain();
    bench.run(Duration::from_secs(5));
    let pair = &bench.case.pair;
    assert_ne!(pair.registration().expect("registered again").id, before);
    assert!(matches!(pair.client.phase(pair.account), Phase::Registered { .. }));
}

// Case: LightweightM2M-1.1-int-651
#[test]
fn lightweightm2m_1_1_int_651_writable_resources_of_the_device() {
    let mut bench = Bench::new(&[]);
    let saved = bench.values("/3/0");
    let names = ["/3/0/13", "/3/0/14", "/3/0/15"];
    has(&saved, &names);
    let values = [
        ("/3/0/13", OwnedValue::Time(1_367_491_215)),
        ("/3/0/14", text("+02:00")),
        ("/3/0/15", text("Europe/Paris")),
    ];
    assert_eq!(bench.case.update("/3/0", Format::Tlv, &values), Code::CHANGED);
    let read = bench.values("/3/0");
    for (name, value) in values {
        assert_eq!(read.get(name), Some(&value), "{name}");
    }
    assert_eq!(read.get("/3/0/0"), saved.get("/3/0/0"), "what is not named stays");
    let back: Vec<_> = names.iter().map(|name| (*name, saved[*name].clone())).collect();
    assert_eq!(bench.case.update("/3/0", Format::Tlv, &back), Code::CHANGED);
    let read = bench.values("/3/0");
    for (name, value) in back {
        assert_eq!(read.get(name), Some(&value), "{name}");
    }
}

// Case: LightweightM2M-1.1-int-701
#[test]
fn lightweightm2m_1_1_int_701_read_connectivity_monitoring() {
    let read = Bench::new(&[4]).values("/4/0");
    has(&read, &["/4/0/0", "/4/0/1", "/4/0/2", "/4/0/4"]);
}

// Case: LightweightM2M-1.1-int-710
#[test]
fn lightweightm2m_1_1_int_710_observe_connectivity_monitoring() {
    let mut bench = Bench::new(&[4]);
    let strength = std::cell::Cell::new(-64_i64);
    let busy = bench.observed("/4/0", |objects| {
        strength.set(strength.get() - 1);
        set(objects, "/4/0/2", integer(-50 - strength.get().abs() % 40));
    });
    assert!((8..=10).contains(&busy), "{busy} reports in twenty seconds of change");
}

// Case: LightweightM2M-1.1-int-751
#[test]
fn lightweightm2m_1_1_int_751_read_firmware_update() {
    let read = Bench::new(&[5]).values("/5/0");
    assert_eq!((read.get("/5/0/3"), read.get("/5/0/5")), (Some(&integer(0)), Some(&integer(0))));
    const PUSH_ONLY: i64 = 1;
    // Resource 8, the protocols of a pull, is there and empty: the device cannot pull, and 9 says so.
    assert_eq!(read.get("/5/0/9"), Some(&integer(PUSH_ONLY)));
    assert!(!read.keys().any(|name| name.starts_with("/5/0/8/")), "{read:?}");
}

// Case: LightweightM2M-1.1-int-801
#[test]
fn lightweightm2m_1_1_int_801_read_location() {
    has(&Bench::new(&[6]).values("/6/0"), &["/6/0/0", "/6/0/1", "/6/0/5"]);
}

// Case: LightweightM2M-1.1-int-810
#[test]
fn lightweightm2m_1_1_int_810_observe_location() {
    let mut bench = Bench::new(&[6]);
    let latitude = std::cell::Cell::new(52.0);
    let busy = bench.observed("/6/0", |objects| {
        latitude.set(latitude.get() + 0.25);
        set(objects, "/6/0/0", OwnedValue::Float(latitude.get()));
    });
    assert!((8..=10).contains(&busy), "{busy} reports in twenty seconds of change");
}

// Case: LightweightM2M-1.1-int-901
#[test]
fn lightweightm2m_1_1_int_901_collect_connectivity_statistics() {
    let mut bench = Bench::new(&[7]);
    let world = Arc::clone(&bench.world);
    bench.case.pair.tap = Some(Box::new(move |by_device, bytes| match by_device {
        true => world.counters.sent(bytes.len()),
        false => world.counters.received(bytes.len()),
    }));
    assert_eq!(bench.case.execute("/7/0/6"), Code::CHANGED);
    for _ in 0..40 {
        bench.values("/3/0");
    }
    assert_eq!(bench.case.execute("/7/0/7"), Code::CHANGED);
    let stopped = bench.values("/7/0");
    let number = |name: &str| match stopped.get(name) {
        Some(OwnedValue::Integer(number)) => *number,
        other => panic!("{name}: {other:?}"),
    };
    assert!(number("/7/0/2") > 0, "forty answers are more than a kilobyte: {stopped:?}");
    assert!(number("/7/0/4") > 100 && number("/7/0/5") > 0, "{stopped:?}");
    bench.values("/3/0");
    for resource in ["/7/0/2", "/7/0/3", "/7/0/4", "/7/0/5"] {
        assert_eq!(bench.values("/7/0").get(resource), stopped.get(resource), "{resource} stands still");
    }
}

// Case: LightweightM2M-1.1-int-905
#[test]
fn lightweightm2m_1_1_int_905_write_the_collection_period() {
    let mut bench = Bench::new(&[7]);
    assert_eq!(bench.case.put("/7/0/8", "10"), Code::CHANGED);
    assert_eq!(bench.values("/7/0").get("/7/0/8"), Some(&integer(10)));
}

// Case: LightweightM2M-1.1-int-910
#[test]
fn lightweightm2m_1_1_int_910_observe_connectivity_statistics() {
    let mut bench = Bench::new(&[7]);
    assert_eq!(bench.case.attach("/7/0", &["pmin=2", "pmax=10"]), Code::CHANGED);
    bench.case.observe("/7/0");
    assert_eq!(bench.case.execute("/7/0/6"), Code::CHANGED);
    let gaps = bench.case.gaps("/7/0", Duration::from_secs(60));
    assert!(gaps.len() >= 5, "{gaps:?}");
    assert!(gaps.iter().skip(1).all(|gap| (2.0..10.5).contains(&gap.as_secs_f32())), "{gaps:?}");
    assert_eq!(bench.case.execute("/7/0/7"), Code::CHANGED);
    assert_eq!(bench.case.cancel("/7/0"), Code::CONTENT);
    assert!(bench.case.gaps("/7/0", Duration::from_secs(60)).is_empty());
}

#[test]
fn authentication_data_are_fetched_once() {
    let mut bench = Bench::new(&[16]);
    let is_idle = |values: &BTreeMap<String, OwnedValue>| values.get("/16/0/3") == Some(&integer(0));
    assert!(is_idle(&bench.values("/16/0")));
    assert_eq!(bench.case.execute("/16/0/1"), Code::CHANGED);
    assert_eq!(
        bench.values("/16/0/3").get("/16/0/3"),
        Some(&integer(1)),
        "reading the status fetches nothing"
    );
    assert_eq!(bench.values("/16/0/0").len(), 4);
    assert_eq!(bench.values("/16/0/3").get("/16/0/3"), Some(&integer(1)));
    has(&bench.values("/16/0/2"), &["/16/0/2/0"]);
    let after = bench.values("/16/0");
    assert!(is_idle(&after) && !after.contains_key("/16/0/2/0"), "{after:?}");
    // A notification returns them, too; a read of all that the object has as well.
    bench.case.observe("/16/0/2");
    assert_eq!(bench.case.execute("/16/0/1"), Code::CHANGED);
    bench.run(Duration::from_secs(3));
    assert!(bench.case.notified("/16/0/2") >= 1);
    assert!(is_idle(&bench.values("/16/0/3")));
    assert_eq!(bench.case.cancel("/16/0/2"), Code::CONTENT);
    assert_eq!(bench.case.execute("/16/0/1"), Code::CHANGED);
    has(&bench.values("/16"), &["/16/0/2/0"]);
    assert!(is_idle(&bench.values("/16/0/3")));
}

// Case: LightweightM2M-1.1-int-1200
#[test]
fn lightweightm2m_1_1_int_1200_read_cellular_connectivity() {
    has(&Bench::new(&[10]).values("/10/0"), &["/10/0/4", "/10/0/5", "/10/0/8", "/10/0/9", "/10/0/11"]);
}

// Case: LightweightM2M-1.1-int-1201
#[test]
fn lightweightm2m_1_1_int_1201_discover_cellular_connectivity() {
    let mut bench = Bench::new(&[10]);
    let links = bench.case.discover("/10");
    assert_eq!(links.get("/10").map(String::as_str), Some("ver=1.1"), "{links:?}");
    for resource in ["/10/0/11", "/10/0/13", "/10/0/14"] {
        assert!(links.contains_key(resource), "{resource} is in {links:?}");
    }
    has(&bench.values("/10/0"), &["/10/0/11", "/10/0/13", "/10/0/14"]);
}

// Case: LightweightM2M-1.1-int-1202
#[test]
fn lightweightm2m_1_1_int_1202_write_the_release_assistance_indication() {
    let mut bench = Bench::new(&[10]);
    has(&bench.values("/10/0"), &["/10/0/13"]);
    let both = OwnedValue::Unsigned(2);
    assert_eq!(bench.case.replace("/10/0/14", Format::Tlv, &[("/10/0/14", both.clone())]), Code::CHANGED);
    assert_eq!(bench.values("/10/0").get("/10/0/14"), Some(&both));
}

// Case: LightweightM2M-1.1-int-1203
#[test]
fn lightweightm2m_1_1_int_1203_observe_cellular_connectivity() {
    let mut bench = Bench::new(&[10]);
    for target in ["/10/0/13", "/10/0/14"] {
        assert_eq!(bench.case.attach(target, &["pmin=2", "pmax=10"]), Code::CHANGED);
        bench.case.observe(target);
    }
    for target in ["/10/0/13", "/10/0/14"] {
        let gaps = bench.case.gaps(target, Duration::from_secs(60));
        assert!((5..=7).contains(&gaps.len()), "{target}: {gaps:?}");
    }
}

// Case: LightweightM2M-1.1-int-1204
#[test]
fn lightweightm2m_1_1_int_1204_observe_the_timers_of_cellular_connectivity() {
    let mut bench = Bench::new(&[10]);
    let timers = ["/10/0/4", "/10/0/5", "/10/0/8", "/10/0/9"];
    for target in timers {
        assert_eq!(bench.case.attach(target, &["pmin=2", "pmax=10"]), Code::CHANGED);
        bench.case.observe(target);
    }
    for target in timers {
        let gaps = bench.case.gaps(target, Duration::from_secs(60));
        assert!((5..=7).contains(&gaps.len()), "{target}: {gaps:?}");
    }
}

// Case: LightweightM2M_CONMGMT-int-1250
#[test]
fn lightweightm2m_conmgmt_int_1250_create_a_connection_profile() {
    let mut bench = Bench::new(&[11]);
    const PAP: i64 = 0;
    let profile = [("/11/1/0", text("profile")), ("/11/1/4", integer(PAP))];
    assert_eq!(bench.case.create("/11", Format::Tlv, &profile), Code::CREATED);
    bench.run(Duration::from_secs(3));
    let listed = bench.case.pair.registration().expect("registered").details.objects.clone();
    assert!(listed.objects.iter().any(|link| link.path.to_string() == "/11/1"), "the Update lists it");
    assert_eq!(bench.case.replace("/11/1/1", Format::Tlv, &[("/11/1/1", text("internet"))]), Code::CHANGED);
    assert_eq!(bench.values("/11/1").get("/11/1/1"), Some(&text("internet")));
}

// Case: LightweightM2M-1.1-int-1901
#[test]
fn lightweightm2m_1_1_int_1901_write_binary_data() {
    let mut bench = Bench::new(&[19]);
    let data = OwnedValue::Opaque(vec![0, 1, 0xFE, 0xFF]);
    let written = bench.case.replace("/19/0/0/0", Format::Tlv, &[("/19/0/0/0", data.clone())]);
    assert_eq!(written, Code::CHANGED);
    assert_eq!(bench.values("/19/0/0").get("/19/0/0/0"), Some(&data));
}

// Case: LightweightM2M-1.1-int-1900
#[test]
fn lightweightm2m_1_1_int_1900_observe_binary_data() {
    let mut bench = Bench::new(&[19]);
    bench.case.observe("/19/0/0");
    let data = OwnedValue::Opaque(b"ready".to_vec());
    assert_eq!(bench.case.replace("/19/0/0/0", Format::Tlv, &[("/19/0/0/0", data)]), Code::CHANGED);
    bench.run(Duration::from_secs(2));
    assert_eq!(bench.case.notified("/19/0/0"), 1);
}
