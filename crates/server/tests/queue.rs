//! Queue Mode: nothing goes to a device that sleeps, and all that waited goes when it shows itself.

#![allow(clippy::wildcard_enum_match_arm, reason = "a test looks for one event")]

mod common;

use core::time::Duration;

use common::{Packet, SECOND, World, address, answer, endpoint, notification, path, read, uri, wanted};
use lightship_coap::{Code, ContentFormat, Type};
use lightship_server::{
    Answer, Config, Content, Event, Operation, Outcome, Presence, Rebinding, Request, RequestError,
    RequestId, WhenAsleep,
};

const HOME: &str = "192.0.2.1:5683";
const LIST: &str = "</1/0>,</3/0>,</3303/0>";
/// The default awake window.
const WINDOW: Duration = Duration::from_secs(93);
const HOUR: Duration = Duration::from_secs(3600);

fn sleepy() -> (World, String) {
    sleepy_with(World::new(), "lt=86400&lwm2m=1.1&b=U&Q")
}

fn sleepy_with(mut world: World, parameters: &str) -> (World, String) {
    let packet = world.register_packet(&format!("ep=a&{parameters}"), LIST);
    let answers = world.send(address(HOME), &packet.bytes());
    let location = read(&answers[0]).location_path().collect::<Vec<_>>().join("/");
    (world, location)
}

/// A sleepy device whose window is over.
fn asleep() -> (World, String) {
    let (mut world, location) = sleepy();
    world.pass(WINDOW);
    assert!(presence(&world).is_asleep());
    world.take_events();
    (world, location)
}

fn presence(world: &World) -> Presence {
    world.registration("a").expect("registered").presence
}

fn ask(
    world: &mut World,
    operation: Operation,
    patience: Duration,
    when_asleep: WhenAsleep,
) -> Result<RequestId, RequestError> {
    let request = Request { operation, deadline: world.now + patience, when_asleep };
    let id = world.shard.request(world.now, &endpoint("a"), request);
    world.drain();
    id
}

fn hold(world: &mut World, operation: Operation, patience: Duration) -> RequestId {
    ask(world, operation, patience, WhenAsleep::Hold).expect("taken")
}

fn read_of(target: &str) -> Operation {
    Operation::Read { path: path(target), accept: None }
}

fn execute() -> Operation {
    Operation::Execute { path: path("/3/0/4"), arguments: String::new() }
}

fn update(world: &mut World, location: &str) -> Vec<Vec<u8>> {
    let packet = world.update_packet(location, "");
    world.send(address(HOME), &packet.bytes())
}

fn outcomes(world: &mut World) -> Vec<(RequestId, Outcome)> {
    let done = |event| match event {
        Event::RequestDone { id, outcome, .. } => Some((id, outcome)),
        _ => None,
    };
    world.take_events().into_iter().filter_map(done).collect()
}

/// What was told of waking and sleeping.
fn naps(world: &mut World) -> Vec<&'static str> {
    let nap = |event| match event {
        Event::Awake { .. } => Some("awake"),
        Event::Asleep { .. } => Some("asleep"),
        _ => None,
    };
    world.take_events().into_iter().filter_map(nap).collect()
}

// Proves: QUE-01
#[test]
fn queue_mode_is_what_the_register_says_in_each_version() {
    for (parameters, sleeps) in [
        ("lt=300&lwm2m=1.1&b=U&Q", true),
        ("lt=300&lwm2m=1.2&b=U&Q", true),
        ("lt=300&lwm2m=1.0&b=UQ", true),
        ("lt=300&lwm2m=1.0&b=UQS", true),
        ("lt=300&lwm2m=1.0&b=U", false),
        ("lt=300&lwm2m=1.1&b=U", false),
    ] {
        let (mut world, _) = sleepy_with(World::new(), parameters);
        assert_eq!(matches!(presence(&world), Presence::Awake { .. }), sleeps, "{parameters}");
        world.pass(WINDOW);
        assert_eq!(presence(&world).is_asleep(), sleeps, "{parameters}");
        let told: &[_] = if sleeps { &["awake", "asleep"] } else { &[] };
        assert_eq!(naps(&mut world), told, "{parameters}");
    }
}

// Proves: QUE-02
#[test]
fn held_requests_leave_in_order_and_one_at_a_time_after_any_message() {
    let messages: [fn(&mut World, &str) -> Packet; 4] = [
        |world, location| world.update_packet(location, ""),
        |world, _| {
            Packet::new(Type::Con, Code::POST, world.id(), &[9])
                .path("dp")
                .format(ContentFormat::SENML_JSON)
                .payload("[]")
        },
        |world, _| Packet::new(Type::Con, Code::EMPTY, world.id(), &[]),
        // A notification of something long forgotten shows that it is awake, too.
        |world, _| Packet::new(Type::Non, Code::CONTENT, world.id(), &[77]).observe(5).payload("1"),
    ];
    for (case, message) in messages.into_iter().enumerate() {
        let (mut world, location) = asleep();
        let ids = ["/3/0/0", "/3/0/1", "/3/0/2"].map(|target| hold(&mut world, read_of(target), HOUR));
        assert!(world.sent_to(address(HOME)).is_empty(), "nothing goes to a device that sleeps");
        let packet = message(&mut world, &location);
        let mut sent = world.send(address(HOME), &packet.bytes());
        for target in ["/3/0/0", "/3/0/1", "/3/0/2"] {
            sent.retain(|bytes| read(bytes).code().is_request());
            assert_eq!(sent.len(), 1, "case {case}: one at a time");
            assert_eq!(uri(&read(&sent[0])), target, "case {case}: in order");
            let content = answer(&sent[0], Code::CONTENT).payload("1");
            sent = world.send(address(HOME), &content.bytes());
        }
        assert!(sent.is_empty());
        assert_eq!(outcomes(&mut world).iter().map(|(id, _)| *id).collect::<Vec<_>>(), ids, "case {case}");
    }
}

#[test]
fn the_answer_to_the_device_leaves_before_what_waited() {
    let (mut world, location) = asleep();
    hold(&mut world, read_of("/3/0/0"), HOUR);
    let sent = update(&mut world, &location);
    let codes: Vec<_> = sent.iter().map(|bytes| read(bytes).code()).collect();
    assert_eq!(codes, [Code::CHANGED, Code::GET]);
}

// Proves: QUE-04
#[test]
fn the_window_begins_anew_with_each_message_and_is_told_once() {
    let config = Config { awake_window: 30 * SECOND, ..Config::default() };
    let (mut world, location) = sleepy_with(World::with(config), "lt=86400&lwm2m=1.1&b=U&Q");
    for _ in 0..5 {
        world.pass(29 * SECOND);
        update(&mut world, &location);
    }
    assert_eq!(naps(&mut world), ["awake"]);
    world.pass(29 * SECOND);
    assert_eq!(naps(&mut world), [""; 0]);
    world.pass(SECOND);
    assert_eq!(naps(&mut world), ["asleep"]);
    let since = world.now;
    assert!(matches!(presence(&world), Presence::Asleep { since: told, .. } if told == since));
    update(&mut world, &location);
    assert_eq!(naps(&mut world), ["awake"]);
    assert_eq!(presence(&world), Presence::Awake { until: world.now + 30 * SECOND });
}

#[test]
fn rubbish_wakes_nobody() {
    let (mut world, _) = asleep();
    for rubbish in [&[0x00][..], b"hello", &[0xff; 40]] {
        world.send(address(HOME), rubbish);
    }
    assert!(presence(&world).is_asleep());
}

#[test]
fn who_does_not_want_to_wait_is_refused_at_once() {
    let (mut world, location) = asleep();
    let expected = Some(world.registration("a").unwrap().expires_at.unwrap());
    let refused = Err(RequestError::Asleep { expected });
    assert_eq!(ask(&mut world, read_of("/3/0"), HOUR, WhenAsleep::Refuse), refused);
    let observed = world.shard.observe(
        world.now,
        &endpoint("a"),
        wanted("/3/0/9"),
        world.now + HOUR,
        WhenAsleep::Refuse,
    );
    assert_eq!(observed.err(), refused.err());
    let sent = update(&mut world, &location);
    assert_eq!(sent.len(), 1, "only the answer");
}

// Proves: QUE-05
#[test]
fn a_request_without_an_answer_means_asleep_and_waits_first_in_line() {
    let (mut world, location) = sleepy();
    let first = hold(&mut world, read_of("/3/0/0"), HOUR);
    let second = hold(&mut world, read_of("/3/0/1"), HOUR);
    let impatient = ask(&mut world, read_of("/3/0/2"), HOUR, WhenAsleep::Refuse).expect("taken");
    world.pass(WINDOW + SECOND);
    assert!(presence(&world).is_asleep());
    assert_eq!(outcomes(&mut world), [(impatient, Outcome::Asleep)]);
    world.sent_to(address(HOME));
    world.pass(10 * SECOND);
    assert!(world.sent_to(address(HOME)).is_empty());
    let sent = update(&mut world, &location);
    assert_eq!(uri(&read(&sent[1])), "/3/0/0");
    let sent = world.send(address(HOME), &answer(&sent[1], Code::CONTENT).payload("1").bytes());
    assert_eq!(uri(&read(&sent[0])), "/3/0/1");
    world.send(address(HOME), &answer(&sent[0], Code::CONTENT).payload("1").bytes());
    assert_eq!(outcomes(&mut world).iter().map(|(id, _)| *id).collect::<Vec<_>>(), [first, second]);
}

#[test]
fn a_request_that_ends_without_an_answer_tells_that_the_device_sleeps() {
    let (mut world, _) = sleepy();
    let id = ask(&mut world, read_of("/3/0/0"), 10 * SECOND, WhenAsleep::Refuse).expect("taken");
    world.pass(10 * SECOND);
    let asleep = |event: &Event| matches!(event, Event::Asleep { .. });
    assert!(world.events.iter().any(asleep));
    assert_eq!(outcomes(&mut world), [(id, Outcome::Timeout)]);
    assert!(presence(&world).is_asleep());
}

#[test]
fn a_caller_without_patience_puts_nobody_to_sleep() {
    let (mut world, _) = sleepy();
    let id = ask(&mut world, read_of("/3/0/0"), SECOND, WhenAsleep::Refuse).expect("taken");
    world.pass(5 * SECOND);
    assert_eq!(outcomes(&mut world), [(id, Outcome::Timeout)]);
    assert!(!presence(&world).is_asleep());
}

#[test]
fn an_execute_that_may_have_been_received_is_never_sent_again() {
    let content = || Content { format: ContentFormat::LWM2M_TLV, payload: [0xc0, 0].as_slice().into() };
    for operation in [
        execute(),
        Operation::Create { path: path("/3303"), content: Some(content()) },
        Operation::Delete { path: path("/3303/0") },
    ] {
        let (mut world, location) = asleep();
        let id = hold(&mut world, operation, 24 * HOUR);
        update(&mut world, &location);
        world.pass(WINDOW + SECOND);
        assert_eq!(outcomes(&mut world), [(id, Outcome::Timeout)]);
        assert_eq!(update(&mut world, &location).len(), 1, "only the answer to the Update");
    }
}

#[test]
fn a_held_request_ends_at_its_deadline_unsent() {
    let (mut world, location) = asleep();
    let id = hold(&mut world, execute(), 30 * SECOND);
    world.pass(30 * SECOND);
    assert_eq!(outcomes(&mut world), [(id, Outcome::Asleep)]);
    assert_eq!(update(&mut world, &location).len(), 1);
}

// Proves: QUE-06
#[test]
fn a_new_register_keeps_what_waits_if_its_object_is_still_there() {
    let (mut world, _) = asleep();
    let kept = hold(&mut world, read_of("/3303/0"), HOUR);
    let gone = hold(&mut world, read_of("/3304/0"), HOUR);
    world
        .shard
        .observe(world.now, &endpoint("a"), wanted("/3/0/9"), world.now + HOUR, WhenAsleep::Hold)
        .expect("taken");
    let again = world.register_packet("ep=a&lt=86400&lwm2m=1.1&b=U&Q", LIST);
    let sent = world.send(address(HOME), &again.bytes());
    let ended = |event: &Event| matches!(event, Event::ObservationEnded { .. });
    assert_eq!(world.events.iter().filter(|event| ended(event)).count(), 1);
    assert_eq!(outcomes(&mut world), [(gone, Outcome::Unsent)]);
    assert_eq!(sent.iter().map(|bytes| read(bytes).code()).collect::<Vec<_>>(), [Code::CREATED, Code::GET]);
    assert_eq!(uri(&read(&sent[1])), "/3303/0");
    world.send(address(HOME), &answer(&sent[1], Code::CONTENT).payload("1").bytes());
    assert_eq!(outcomes(&mut world)[0].0, kept);
}

#[test]
fn what_waits_goes_where_the_device_wakes() {
    let config = Config { rebinding: Rebinding::Follow, ..Config::default() };
    let (mut world, location) = sleepy_with(World::with(config), "lt=86400&lwm2m=1.1&b=U&Q");
    world.pass(WINDOW);
    hold(&mut world, execute(), HOUR);
    let moved = address("192.0.2.1:40000");
    let packet = world.update_packet(&location, "");
    let sent = world.send(moved, &packet.bytes());
    assert_eq!(sent.iter().map(|bytes| read(bytes).code()).collect::<Vec<_>>(), [Code::CHANGED, Code::POST]);
    assert!(world.sent_to(address(HOME)).is_empty());
}

#[test]
fn a_deregister_ends_what_waits() {
    let (mut world, location) = asleep();
    let id = hold(&mut world, read_of("/3303/0"), HOUR);
    let leave = Packet::new(Type::Con, Code::DELETE, world.id(), &[3]).path(&location);
    assert_eq!(world.ask(address(HOME), &leave), Code::DELETED);
    assert_eq!(outcomes(&mut world), [(id, Outcome::Unsent)]);
    world.pass(24 * HOUR);
    assert_eq!(world.shard.poll_timeout(), None, "no timer is left");
}

#[test]
fn the_queue_of_a_device_is_bounded() {
    let mut config = Config::default();
    config.limits.line = 3;
    let (mut world, _) = sleepy_with(World::with(config), "lt=86400&lwm2m=1.1&b=U&Q");
    world.pass(WINDOW);
    for _ in 0..3 {
        hold(&mut world, read_of("/3/0"), HOUR);
    }
    assert_eq!(ask(&mut world, read_of("/3/0"), HOUR, WhenAsleep::Hold), Err(RequestError::LineFull));
}

#[test]
fn the_next_wake_up_is_learnt_from_those_before() {
    let (mut world, location) = asleep();
    let lifetime_ends = world.registration("a").unwrap().expires_at;
    assert!(matches!(presence(&world), Presence::Asleep { expected, .. } if expected == lifetime_ends));
    let mut woke = world.registration("a").unwrap().registered_at;
    for round in 0..4 {
        // Once there is an alarm between.
        let span = if round == 2 { HOUR / 10 } else { HOUR };
        world.pass((woke + span).saturating_duration_since(world.now));
        woke = world.now;
        update(&mut world, &location);
        world.pass(WINDOW);
        let Presence::Asleep { expected, .. } = presence(&world) else { panic!("asleep") };
        if round > 0 {
            assert_eq!(expected, Some(woke + HOUR), "round {round}");
        }
    }
}

#[test]
fn queue_mode_can_be_switched_by_an_update() {
    let mut world = World::new();
    let packet = world.register_packet("ep=a&lt=86400&lwm2m=1.0&b=U", LIST);
    let answers = world.send(address(HOME), &packet.bytes());
    let location = read(&answers[0]).location_path().collect::<Vec<_>>().join("/");
    world.pass(WINDOW);
    assert_eq!(presence(&world), Presence::Listening);
    let on = world.update_packet(&location, "b=UQ");
    assert_eq!(world.ask(address(HOME), &on), Code::CHANGED);
    world.pass(WINDOW);
    assert!(presence(&world).is_asleep());
    let id = hold(&mut world, read_of("/3/0"), HOUR);
    let off = world.update_packet(&location, "b=U");
    let sent = world.send(address(HOME), &off.bytes());
    assert_eq!(presence(&world), Presence::Listening);
    let done = answer(&sent[1], Code::CONTENT).payload("1");
    world.send(address(HOME), &done.bytes());
    assert_eq!(outcomes(&mut world)[0].0, id);
    world.pass(WINDOW);
    assert_eq!(presence(&world), Presence::Listening);
}

#[test]
fn a_fleet_asleep_leaves_room_for_requests() {
    let mut config = Config::default();
    config.limits.requests = 4;
    let mut world = World::with(config);
    world.accept = Some(Answer::Accept { observations: ["/3/0/9", "/3/0/13", "/6"].map(wanted).into() });
    let (mut world, location) = sleepy_with(world, "lt=86400&lwm2m=1.1&b=U&Q");
    world.pass(WINDOW + SECOND);
    assert!(presence(&world).is_asleep());
    let ids: Vec<_> = (0..4).map(|_| hold(&mut world, read_of("/3/0"), HOUR)).collect();
    for id in ids {
        world.shard.cancel(world.now, id);
    }
    world.drain();
    world.sent_to(address(HOME));
    let mut sent = update(&mut world, &location);
    for _ in 0..3 {
        sent.retain(|bytes| read(bytes).observe() == Some(0));
        assert_eq!(sent.len(), 1);
        sent = world.send(address(HOME), &answer(&sent[0], Code::CONTENT).observe(1).payload("1").bytes());
    }
    let started = |event: &Event| matches!(event, Event::ObservationStarted { .. });
    assert_eq!(world.take_events().iter().filter(|event| started(event)).count(), 3);
}

#[test]
fn a_device_that_talks_is_awake_whatever_it_leaves_unanswered() {
    let (mut world, location) = sleepy();
    let id = hold(&mut world, read_of("/3/0/0"), HOUR);
    let request = world.request_to(address(HOME));
    let acknowledged = Packet::new(Type::Ack, Code::EMPTY, read(&request).message_id().0, &[]);
    world.send(address(HOME), &acknowledged.bytes());
    for _ in 0..25 {
        world.pass(10 * SECOND);
        update(&mut world, &location);
    }
    assert_eq!(outcomes(&mut world), [(id, Outcome::Timeout)], "it had the request and did not answer");
    assert!(!presence(&world).is_asleep());
}

#[test]
fn a_sleepers_silence_is_no_reason_to_observe_it_anew_each_day() {
    let mut world = World::new();
    world.accept = Some(Answer::Accept { observations: vec![wanted("/3/0/9")] });
    let packet = world.register_packet("ep=a&lt=604800&lwm2m=1.1&b=U&Q", LIST);
    let sent = world.send(address(HOME), &packet.bytes());
    let location = read(&sent[0]).location_path().collect::<Vec<_>>().join("/");
    world.send(address(HOME), &answer(&sent[1], Code::CONTENT).observe(1).payload("1").bytes());
    for day in 1..4 {
        world.pass(24 * HOUR);
        let sent = update(&mut world, &location);
        let anew = sent.iter().any(|bytes| read(bytes).observe() == Some(0));
        assert_eq!(anew, day == 2, "day {day}: two days without a word may mean that it is lost");
        for request in sent.iter().filter(|bytes| read(bytes).observe() == Some(0)) {
            world.send(address(HOME), &answer(request, Code::CONTENT).observe(9).payload("1").bytes());
        }
    }
}

#[test]
fn wanted_observations_wait_for_a_device_that_sleeps() {
    let mut world = World::new();
    world.accept = Some(Answer::Accept { observations: vec![wanted("/3/0/9")] });
    let (mut world, location) = sleepy_with(world, "lt=86400&lwm2m=1.1&b=U&Q");
    // The first attempt is lost, then the device sleeps: nothing is tried meanwhile.
    world.pass(WINDOW + SECOND);
    world.sent_to(address(HOME));
    world.pass(HOUR);
    assert!(world.sent_to(address(HOME)).is_empty());
    let sent = update(&mut world, &location);
    assert_eq!(read(&sent[1]).observe(), Some(0));
    let first = answer(&sent[1], Code::CONTENT).observe(1).payload("1");
    world.send(address(HOME), &first.bytes());
    assert!(world.take_events().iter().any(|event| matches!(event, Event::ObservationStarted { .. })));
    world.pass(2 * WINDOW);
    let wake = notification(Type::Con, 9, &sent[1], 2, "2");
    world.send(address(HOME), &wake.bytes());
    assert_eq!(naps(&mut world).last(), Some(&"awake"));
}
