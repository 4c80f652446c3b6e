//! Cases of OMA's Enabler Test Specification about Queue Mode and profiles.

#![allow(clippy::wildcard_enum_match_arm, reason = "a test looks for one event")]

mod world;

use core::time::Duration;
use std::cell::RefCell;
use std::rc::Rc;

use lightship_client::{Config, Phase, Profile, QueueMode};
use lightship_coap::{Code, Message};
use lightship_lwm2m::Version;
use lightship_server::{Operation, Outcome, Presence, Request, WhenAsleep};
use lightship_sim::case::World;
use lightship_sim::network::Quality;
use lightship_sim::pair::{NAME, Pair, account};
use world::{integer, path, text};

/// Who sent it (true: the device) and the bytes.
type Seen = Rc<RefCell<Vec<(bool, Vec<u8>)>>>;

fn with(version: Version, change: impl FnOnce(&mut Config)) -> (World<world::Objects>, Seen) {
    let mut config = Config::new(NAME);
    config.version = version;
    change(&mut config);
    let mut pair = Pair::with_servers(1, Quality::PERFECT, config, world::objects(), vec![account(1)]);
    let seen = Seen::default();
    let log = Rc::clone(&seen);
    pair.tap = Some(Box::new(move |by_device, bytes| log.borrow_mut().push((by_device, bytes.to_vec()))));
    pair.register();
    (World { pair, version }, seen)
}

fn sleepy() -> (World<world::Objects>, Seen) {
    with(Version::V1_1, |config| config.queue_mode = Some(QueueMode::default()))
}

fn from_server(seen: &Seen) -> usize {
    seen.borrow().iter().filter(|(by_device, _)| !by_device).count()
}

fn sleeps(world: &World<world::Objects>) -> bool {
    matches!(world.pair.registration().expect("registered").presence, Presence::Asleep { .. })
}

// Case: LightweightM2M-1.1-int-108
#[test]
fn lightweightm2m_1_1_int_108_queue_mode_on() {
    let (mut world, _) = sleepy();
    let registration = world.pair.registration().expect("registered");
    assert!(registration.details.queue_mode);
    assert!(matches!(registration.presence, Presence::Awake { .. }), "{:?}", registration.presence);
    assert_eq!(world.read("/3/0/0", None).get("/3/0/0"), Some(&text("Lightship")));
}

// Case: LightweightM2M-1.1-int-109
#[test]
fn lightweightm2m_1_1_int_109_queue_mode_behaviour() {
    let (mut world, seen) = sleepy();
    assert_eq!(world.put("/1/0/1", "240"), Code::CHANGED);
    world.pair.run(Duration::from_secs(100));
    assert!(sleeps(&world) && world.pair.client.sleep_until().is_some(), "both say so");
    let before = from_server(&seen);
    let read = Operation::Read { path: path("/1/0/1"), accept: None };
    let deadline = world.pair.now + Duration::from_secs(600);
    let request = Request { when_asleep: WhenAsleep::Hold, ..Request::new(read, deadline) };
    let id = world.pair.shard.request(world.pair.now, &world.pair.endpoint(), request).expect("taken");
    world.pair.drain();
    world.pair.run(Duration::from_secs(20));
    assert_eq!(from_server(&seen), before, "nothing is sent to a device that sleeps");
    assert!(world.pair.outcome(id).is_none());
    // The Update comes within the lifetime, and the Read behind it.
    world.pair.run(Duration::from_secs(240));
    match world.pair.outcome(id) {
        Some(Outcome::Response(response)) => {
            assert_eq!(response.code, Code::CONTENT);
            assert!(from_server(&seen) > before);
            assert_eq!(world.read("/1/0/1", None).get("/1/0/1"), Some(&integer(240)));
        }
        other => panic!("{other:?}"),
    }
}

/// The Registers that the device sent: their queries, and whether there was a list.
fn registers(seen: &Seen) -> Vec<(Vec<String>, bool)> {
    let register = |(by_device, bytes): &(bool, Vec<u8>)| {
        let message =
            Message::parse(bytes).ok().filter(|message| *by_device && message.code() == Code::POST)?;
        let path: Vec<_> = message.uri_path().collect();
        let is_register = path == ["rd"];
        is_register.then(|| (message.uri_query().map(str::to_owned).collect(), !message.payload().is_empty()))
    };
    seen.borrow().iter().filter_map(register).collect()
}

fn listed(world: &World<world::Objects>) -> Vec<String> {
    let registration = world.pair.registration().expect("registered");
    registration.details.objects.objects.iter().map(|link| link.path.to_string()).collect()
}

// Case: LightweightM2M-1.2-int-110
#[test]
fn lightweightm2m_1_2_int_110_registration_by_profile_id() {
    let (mut world, seen) = with(Version::V1_2, |config| config.profile = Profile::Hashed);
    let list = listed(&world);
    assert!(list.iter().any(|path| path == "/3/0"), "{list:?}");
    seen.borrow_mut().clear();
    // The server knows the profile by now.
    world.pair.client.register(world.pair.now, world.pair.account);
    world.pair.drain();
    world.pair.run(Duration::from_secs(5));
    let registers = registers(&seen);
    let [(query, has_list)] = &registers[..] else { panic!("one Register: {registers:?}") };
    assert!(query.iter().any(|part| part.starts_with("pid=")), "{query:?}");
    assert!(!has_list, "the profile is enough");
    assert!(matches!(world.pair.client.phase(world.pair.account), Phase::Registered { .. }));
    assert_eq!(listed(&world), list);
    assert_eq!(world.read("/3/0/0", None).get("/3/0/0"), Some(&text("Lightship")));
}
