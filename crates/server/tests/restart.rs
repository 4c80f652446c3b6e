//! An orderly restart: a new shard goes on with what the old one was.
#![expect(clippy::wildcard_enum_match_arm, reason = "each looks for one kind of event among all")]

mod common;

use common::secure::{Device, HOME, config, connect, known, without_cid, world};
use common::{LIST, SECOND, World, address, answer, endpoint, notification, path, read, wanted};
use lightship_coap::{Code, ContentFormat, Type};
use lightship_dtls::{Config, Connect};
use lightship_platform::Instant;
use lightship_server::{Answer, BadFrozen, Event, Frozen, ObservationId, Shard, Wanted};

/// Ends the shard and goes on with another one, a while later, on a clock of its own.
fn restart(world: World, names: &[&str]) -> World {
    let (config, now) = (config(), world.now);
    let frozen = world.shard.freeze(now);
    let mut next = World::with(config.clone());
    next.shard = Shard::new(config, [9; 32]);
    next.credentials = Some(names.iter().map(|name| known(name)).collect());
    next.now = Instant::from_secs(400 * 86_400);
    next.shard.thaw(next.now, 3 * SECOND, frozen).expect("its own bytes");
    next.drain();
    next
}

fn restored(world: &World) -> Vec<(String, Vec<(ObservationId, Wanted)>)> {
    let of = |event: &Event| match event {
        Event::Restored { registration, observations } => {
            Some((registration.details.endpoint.to_string(), observations.to_vec()))
        }
        _ => None,
    };
    world.events.iter().filter_map(of).collect()
}

#[test]
fn sessions_registrations_and_observations_go_on_after_an_orderly_restart() {
    for device_config in [Config::default(), without_cid()] {
        let mut world = world(&["lamp"]);
        world.accept = Some(Answer::Accept { observations: vec![wanted("/3/0/9")] });
        let mut device = Device::open(&mut world, address(HOME), device_config.clone(), connect("lamp"));
        let packet = world.register_packet("ep=lamp&lt=300&lwm2m=1.1&b=UQ&Q&et=x", LIST);
        let answers = device.say(&mut world, &packet);
        let location: Vec<_> = read(&answers[0]).location_path().map(str::to_owned).collect();
        let observe = answers.iter().find(|bytes| read(bytes).code() == Code::GET).expect("observed").clone();
        device.say(
            &mut world,
            &answer(&observe, Code::CONTENT).observe(5).format(ContentFormat::TEXT).payload("1"),
        );
        world.pass(10 * SECOND);
        let before = world.registration("lamp").expect("registered");
        let mut world = restart(world, &["lamp"]);
        let after = world.registration("lamp").expect("still registered");
        assert_eq!((after.id, &after.details, after.address), (before.id, &before.details, before.address));
        assert_eq!(after.party, before.party);
        let (old, new) = (before.session.expect("secured"), after.session.expect("still secured"));
        assert_eq!((old.id, old.party, old.suite), (new.id, new.party, new.suite));
        assert_eq!((old.connection_id, old.return_routability), (new.connection_id, new.return_routability));
        let left =
            |expires: Option<Instant>, now: Instant| expires.expect("it ends").saturating_duration_since(now);
        assert_eq!(left(after.expires_at, world.now), 287 * SECOND);
        let told = restored(&world);
        assert_eq!((told[0].0.as_str(), told[0].1.len()), ("lamp", 1));
        assert!(device.hear(&mut world).is_empty(), "the device notices nothing");
        // A notification under the old token, newer and older ones.
        for (id, sequence, taken) in [(70, 6, true), (71, 4, false)] {
            world.take_events();
            let notify = notification(Type::Con, id, &observe, sequence, "2");
            let back = device.say(&mut world, &notify);
            assert!(!back.is_empty(), "{id} {:?}", world.shard.stats());
            assert_eq!(read(&back[0]).ty(), Type::Ack);
            let notified = world.events.iter().any(|event| matches!(event, Event::Notified { .. }));
            assert_eq!(notified, taken);
        }
        let update = world.update_packet(&location.join("/"), "");
        assert_eq!(device.ask(&mut world, &update), Code::CHANGED);
        world.read_request("lamp", "/3/0/1");
        let request = device.hear(&mut world).remove(0);
        let (request, observe) = (read(&request), read(&observe));
        assert_eq!(request.message_id().0, observe.message_id().0.wrapping_add(1), "no message ID twice");
        assert_ne!(request.token(), observe.token());
    }
}

#[test]
fn a_session_is_resumed_after_the_restart_and_its_lifetime_goes_on() {
    let mut world = world(&["lamp", "pump"]);
    let (lamp, _) = Device::register(&mut world, HOME, without_cid(), "lamp");
    let (mut pump, _) = Device::register(&mut world, "192.0.2.9:1", without_cid(), "pump");
    pump.close(&mut world);
    let mut world = restart(world, &["lamp", "pump"]);
    for (device, name, at) in [(&lamp, "lamp", "192.0.2.1:7"), (&pump, "pump", "192.0.2.9:7")] {
        let resume = Connect { resume: device.resumption(), ..connect(name) };
        let again = Device::open(&mut world, address(at), without_cid(), resume);
        assert!(again.is_resumed(), "{name}");
    }
    world.pass(300 * SECOND);
    assert!(world.registration("lamp").is_none() && world.registration("pump").is_none());
}

#[test]
fn a_registration_without_security_goes_on_too() {
    let mut world = world(&[]);
    let location = world.register(address("192.0.2.3:5683"), "plain");
    let mut world = restart(world, &[]);
    let update = world.update_packet(&location, "");
    assert_eq!(world.ask(address("192.0.2.3:5683"), &update), Code::CHANGED);
    assert!(world.shard.observation(&endpoint("plain"), path("/3/0/9")).is_none());
}

#[test]
fn bytes_that_are_not_this_shards_change_nothing() {
    let mut world = world(&["lamp"]);
    Device::register(&mut world, HOME, Config::default(), "lamp");
    world.register(address("192.0.2.3:5683"), "plain");
    let now = world.now;
    let frozen = world.shard.freeze(now).as_bytes().to_vec();
    let copy = |bytes: &[u8]| Frozen::from_bytes(bytes.to_vec());
    let other = lightship_server::Config { shard: 1, shards: 2, ..config() };
    assert_eq!(Shard::new(other, [1; 32]).thaw(now, SECOND, copy(&frozen)), Err(BadFrozen));
    for len in (0..frozen.len()).step_by(7) {
        let mut shard = Shard::new(config(), [1; 32]);
        assert_eq!(shard.thaw(now, SECOND, copy(&frozen[..len])), Err(BadFrozen), "{len}");
        assert_eq!((shard.stats().registrations, shard.stats().security.sessions), (0, 0));
    }
    for at in 0..frozen.len() {
        let mut changed = frozen.to_vec();
        changed[at] ^= 0xff;
        // It may be another legal state; it must not be a panic.
        let _ = Shard::new(config(), [1; 32]).thaw(now, SECOND, copy(&changed));
    }
}
