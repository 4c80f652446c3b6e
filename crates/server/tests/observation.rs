//! Observations: how they start, what counts as a value, how they end and come back.

#![allow(clippy::wildcard_enum_match_arm, reason = "a test looks for one event")]

mod common;

use core::time::Duration;

use common::{Packet, SECOND, World, address, answer, endpoint, notification, path, read, uri, wanted};
use lightship_coap::{Code, ContentFormat, OptionNumber, Type};
use lightship_lwm2m::Path;
use lightship_server::{
    Answer, Config, Event, Limits, ObservationId, Outcome, Rebinding, RequestError, Wanted, WhenAsleep,
};

const HOME: &str = "192.0.2.1:5683";

/// A world with a device of which `/3303/0/5700` is wanted, and the request that starts the observation.
fn begun() -> (World, String, Vec<u8>) {
    begun_with(Config::default())
}

fn begun_with(config: Config) -> (World, String, Vec<u8>) {
    let mut world = World::with(config);
    world.accept = Some(Answer::Accept { observations: vec![wanted("/3303/0/5700")] });
    let location = world.register(address(HOME), "a");
    let request = world.request_to(address(HOME));
    assert_eq!((uri(&read(&request)), read(&request).observe()), ("/3303/0/5700".into(), Some(0)));
    (world, location, request)
}

/// The same with the observation running at sequence number 10.
fn running() -> (World, String, Vec<u8>) {
    let (mut world, location, request) = begun();
    world.send(address(HOME), &first_value(&request).bytes());
    assert!(started(&world.take_events()).is_some());
    (world, location, request)
}

fn first_value(request: &[u8]) -> Packet {
    answer(request, Code::CONTENT).observe(10).format(ContentFormat::TEXT).payload("20")
}

fn started(events: &[Event]) -> Option<(ObservationId, Path)> {
    events.iter().find_map(|event| match event {
        Event::ObservationStarted { observation, observed, .. } => Some((*observation, observed.path()?)),
        _ => None,
    })
}

fn values(world: &mut World) -> Vec<String> {
    let value = |event| match event {
        Event::Notified { payload, .. } => Some(String::from_utf8(payload.into()).expect("text")),
        _ => None,
    };
    world.take_events().into_iter().filter_map(value).collect()
}

fn types(back: &[Vec<u8>]) -> Vec<Type> {
    back.iter().map(|bytes| read(bytes).ty()).collect()
}

// Proves: OBS-01, OBS-26
#[test]
fn a_wanted_observation_starts_and_brings_values() {
    let (mut world, _, request) = begun();
    world.send(address(HOME), &first_value(&request).bytes());
    let events = world.take_events();
    let (observation, observed) = started(&events).expect("started");
    assert_eq!(observed, path("/3303/0/5700"));
    assert_eq!(world.shard.observation(&endpoint("a"), observed), Some(observation));
    let con = world.send(address(HOME), &notification(Type::Con, 1, &request, 11, "21").bytes());
    assert_eq!(types(&con), [Type::Ack]);
    assert!(read(&con[0]).code() == Code::EMPTY);
    let non = world.send(address(HOME), &notification(Type::Non, 2, &request, 12, "22").bytes());
    assert!(non.is_empty());
    assert_eq!(values(&mut world), ["21", "22"]);
}

// Proves: OBS-06
#[test]
fn a_notification_that_nobody_waits_for_gets_a_reset() {
    let (mut world, _, request) = running();
    let mut other = request.clone();
    other[4] ^= 1;
    for (id, ty) in [(1, Type::Con), (2, Type::Non)] {
        let back = world.send(address(HOME), &notification(ty, id, &other, 99, "x").bytes());
        assert_eq!((types(&back), read(&back[0]).message_id().0), (vec![Type::Reset], id));
        // From an address that is not registered, no value counts.
        let stranger = address("203.0.113.1:1");
        let back = world.send(stranger, &notification(ty, id, &request, 99, "x").bytes());
        assert_eq!((types(&back), read(&back[0]).message_id().0), (vec![Type::Reset], id));
    }
    assert!(values(&mut world).is_empty());
    let back = world.send(address(HOME), &notification(Type::Con, 3, &request, 11, "21").bytes());
    assert_eq!((types(&back), values(&mut world)), (vec![Type::Ack], vec!["21".into()]));
}

// Proves: OBS-12
#[test]
fn late_notifications_are_acknowledged_and_not_told() {
    let (mut world, _, request) = running();
    for (id, sequence, told) in [
        (1, 20, true),
        (2, 15, false),
        (3, 16, false),
        (4, 21, true),
        // More than half the numbers away counts as behind.
        (5, 21 + (1 << 23) + 1, false),
        (6, 21 + (1 << 23) - 1, true),
        (7, 0xFF_FFFF, true),
        // The counter begins anew.
        (8, 3, true),
        (9, 0xFF_FFF0, false),
    ] {
        let packet = notification(Type::Con, id, &request, sequence, "v");
        assert_eq!(types(&world.send(address(HOME), &packet.bytes())), [Type::Ack]);
        assert_eq!(values(&mut world).len(), usize::from(told), "number {sequence}");
    }
    // After 128 seconds any number is news (RFC 7641 §3.4).
    world.pass(129 * SECOND);
    world.send(address(HOME), &notification(Type::Con, 10, &request, 2, "v").bytes());
    assert_eq!(values(&mut world).len(), 1);
    // The same datagram twice is one value.
    let twice = notification(Type::Con, 11, &request, 5, "v").bytes();
    assert_eq!(types(&world.send(address(HOME), &twice)), [Type::Ack]);
    assert_eq!(types(&world.send(address(HOME), &twice)), [Type::Ack]);
    assert_eq!(values(&mut world).len(), 1);
}

// Seen with Leshan 2.0.0-M18: what pmax makes it send has the number of the notification before.
#[test]
fn a_number_that_stays_the_same_is_put_up_with_and_counted() {
    let (mut world, _, request) = running();
    for (id, value) in [(1, "a"), (2, "b"), (3, "c")] {
        let packet = notification(Type::Con, id, &request, 20, value);
        assert_eq!(types(&world.send(address(HOME), &packet.bytes())), [Type::Ack]);
        let told = world.take_events().into_iter().filter_map(|event| match event {
            Event::Notified { payload, .. } => Some(String::from_utf8(payload.into()).expect("text")),
            Event::Deviated { deviation, count, .. } => Some(format!("{deviation} {count}")),
            _ => None,
        });
        let expected: &[&str] = match id {
            1 => &["a"],
            2 => &["same-sequence 1", "b"],
            _ => &["same-sequence 2", "c"],
        };
        assert_eq!(told.collect::<Vec<_>>(), expected);
    }
    // A copy is still a copy.
    let again = notification(Type::Con, 3, &request, 20, "c").bytes();
    assert_eq!(types(&world.send(address(HOME), &again)), [Type::Ack]);
    assert!(values(&mut world).is_empty());
}

// Proves: OBS-04
#[test]
fn cancelling_says_so_with_the_same_token_and_path() {
    let (mut world, _, request) = running();
    let id = world.shard.observation(&endpoint("a"), path("/3303/0/5700")).expect("running");
    let deadline = world.now + 60 * SECOND;
    let done = world.shard.cancel_observation(world.now, id, deadline).expect("known").expect("sent");
    world.drain();
    let cancel = world.request_to(address(HOME));
    assert_eq!(read(&cancel).token(), read(&request).token());
    assert_eq!((uri(&read(&cancel)), read(&cancel).observe()), ("/3303/0/5700".into(), Some(1)));
    let late = world.send(address(HOME), &notification(Type::Non, 1, &request, 11, "21").bytes());
    // While the Cancel is under way a notification under its token may be its answer; afterwards it is refused.
    drop(late);
    world.send(address(HOME), &answer(&cancel, Code::CONTENT).payload("22").bytes());
    let events = world.take_events();
    assert!(events.iter().any(|event| matches!(event, Event::ObservationEnded { .. })));
    let ended = events.iter().filter(|event| matches!(event, Event::RequestDone { id, .. } if *id == done));
    assert_eq!(ended.count(), 1);
    assert!(!events.iter().any(|event| matches!(event, Event::Notified { .. })));
    let back = world.send(address(HOME), &notification(Type::Con, 2, &request, 12, "23").bytes());
    assert_eq!(types(&back), [Type::Reset]);
    assert!(values(&mut world).is_empty());
    let again = world.shard.cancel_observation(world.now, id, deadline);
    assert_eq!(again, Err(RequestError::UnknownEndpoint));
}

// Proves: OBS-07, REG-19
#[test]
fn a_new_registration_starts_wanted_observations_anew() {
    let (mut world, _, old) = running();
    world.register(address(HOME), "a");
    let new = world.request_to(address(HOME));
    assert_ne!(read(&old).token(), read(&new).token());
    let events = world.take_events();
    assert!(events.iter().any(|event| matches!(event, Event::ObservationEnded { .. })));
    let back = world.send(address(HOME), &notification(Type::Con, 1, &old, 99, "old").bytes());
    assert_eq!(types(&back), [Type::Reset]);
    world.send(address(HOME), &first_value(&new).bytes());
    world.send(address(HOME), &notification(Type::Con, 2, &new, 11, "new").bytes());
    assert_eq!(values(&mut world), ["new"]);
}

// Proves: REG-20, REG-31
#[test]
fn an_observation_ends_with_its_registration() {
    let (mut world, _, request) = running();
    world.pass(301 * SECOND);
    let events = world.take_events();
    assert!(events.iter().any(|event| matches!(event, Event::ObservationEnded { .. })));
    assert_eq!(world.shard.stats().observations, 0);
    let back = world.send(address(HOME), &notification(Type::Con, 1, &request, 99, "x").bytes());
    assert_eq!(types(&back), [Type::Reset]);
}

#[test]
fn a_wanted_observation_is_tried_until_it_runs() {
    let (mut world, _, mut request) = begun();
    let mut pauses = Vec::new();
    for refusal in [Code::NOT_FOUND, Code::SERVICE_UNAVAILABLE, Code::METHOD_NOT_ALLOWED, Code::CONTENT] {
        // The last is a value without Observe: the device did not take the observation.
        world.send(address(HOME), &answer(&request, refusal).bytes());
        let failed_at = world.now;
        assert!(world.take_events().iter().any(
            |event| matches!(event, Event::ObservationFailed { retry_at: Some(at), .. } if *at > failed_at)
        ));
        let mut sent = Vec::new();
        while sent.is_empty() {
            world.pass(SECOND);
            sent = world.sent_to(address(HOME));
        }
        request = sent.remove(0);
        pauses.push(world.now.saturating_duration_since(failed_at).as_secs());
    }
    assert_eq!(pauses, [5, 10, 20, 40]);
    world.send(address(HOME), &first_value(&request).bytes());
    assert!(started(&world.take_events()).is_some());
}

#[test]
fn an_update_ends_the_pause_of_a_wanted_observation() {
    let (mut world, location, _) = begun();
    let failed = |event: &Event| {
        matches!(event, Event::ObservationFailed { outcome: Outcome::Timeout, retry_at: Some(_), .. })
    };
    while !world.take_events().iter().any(failed) {
        world.pass(SECOND);
    }
    world.sent_to(address(HOME));
    let update = world.update_packet(&location, "");
    let back = world.send(address(HOME), &update.bytes());
    let codes: Vec<_> = back.iter().map(|bytes| read(bytes).code()).collect();
    assert_eq!(codes, [Code::CHANGED, Code::GET]);
    world.send(address(HOME), &first_value(&back[1]).bytes());
    assert!(started(&world.take_events()).is_some());
}

#[test]
fn an_observation_by_command_has_one_attempt_and_then_stays() {
    let mut world = World::new();
    world.register(address(HOME), "a");
    world.take_events();
    let deadline = world.now + 60 * SECOND;
    let observe = |world: &mut World| {
        let id =
            world.shard.observe(world.now, &endpoint("a"), wanted("/3/0/9"), deadline, WhenAsleep::Refuse);
        world.drain();
        (id, world.request_to(address(HOME)))
    };
    let (_, request) = observe(&mut world);
    world.send(address(HOME), &answer(&request, Code::NOT_FOUND).bytes());
    let failed = world.take_events();
    assert!(failed.iter().any(|event| matches!(event, Event::ObservationFailed { retry_at: None, .. })));
    assert_eq!(world.shard.stats().observations, 0);

    let (id, request) = observe(&mut world);
    world.send(address(HOME), &first_value(&request).bytes());
    assert_eq!(started(&world.take_events()), Some((id.expect("taken"), path("/3/0/9"))));
    // The device ends it: from now on it is wanted, and tried again.
    let mut end = notification(Type::Con, 1, &request, 0, "");
    (end.code, end.options) = (Code::NOT_FOUND, Vec::new());
    assert_eq!(types(&world.send(address(HOME), &end.bytes())), [Type::Ack]);
    let failed = world.take_events();
    assert!(failed.iter().any(|event| matches!(event, Event::ObservationFailed { retry_at: Some(_), .. })));
    world.pass(6 * SECOND);
    let again = world.request_to(address(HOME));
    assert_eq!(read(&again).observe(), Some(0));
}

// Proves: SEC-07
#[test]
fn a_device_has_one_observation_of_a_path_and_a_limit() {
    let limits = Limits { observations_per_device: 2, ..Limits::default() };
    let mut world = World::with(Config { limits, ..Config::default() });
    world.register(address(HOME), "a");
    let deadline = world.now + 60 * SECOND;
    let observe = |world: &mut World, path: &str| {
        world.shard.observe(world.now, &endpoint("a"), wanted(path), deadline, WhenAsleep::Refuse)
    };
    let first = observe(&mut world, "/3/0/9").expect("taken");
    assert_eq!(observe(&mut world, "/3/0/9"), Ok(first));
    assert!(observe(&mut world, "/3/0/10").is_ok());
    assert_eq!(observe(&mut world, "/3/0/11"), Err(RequestError::TooManyObservations));
    assert_eq!(observe(&mut world, "/"), Err(RequestError::WrongPath));
    assert_eq!(world.shard.stats().observations, 2);
    world.drain();
}

// Proves: COA-14
#[test]
fn a_long_notification_is_fetched_whole() {
    let (mut world, _, request) = running();
    let body = "v".repeat(1500);
    let packet =
        notification(Type::Con, 1, &request, 11, &body[..1024]).option(OptionNumber::BLOCK2, &[0x0e]);
    let back = world.send(address(HOME), &packet.bytes());
    assert_eq!(types(&back), [Type::Ack, Type::Con]);
    let mut fetch = back[1].clone();
    let mut from = 0;
    while from < body.len() {
        let message = read(&fetch);
        assert_eq!((uri(&message), message.observe()), ("/3303/0/5700".into(), None));
        let asked = message.block2().and_then(Result::ok).map(|block| block.num());
        assert_eq!(asked, Some(1), "the first block is there already");
        let number = message.block2().and_then(Result::ok).map_or(0, |block| block.num());
        from = 1024 * number as usize;
        let part = &body[from..body.len().min(from + 1024)];
        let more = u8::from(from + part.len() < body.len());
        let option = [u8::try_from(number).expect("few") << 4 | more << 3 | 6];
        let packet = answer(&fetch, Code::CONTENT)
            .format(ContentFormat::TEXT)
            .option(OptionNumber::BLOCK2, &option)
            .payload(part);
        let back = world.send(address(HOME), &packet.bytes());
        from += part.len();
        if let Some(next) = back.first() {
            fetch = next.clone();
        }
    }
    assert_eq!(values(&mut world), [body]);
}

#[test]
fn a_device_that_moved_is_observed_anew() {
    let config = Config { rebinding: Rebinding::Follow, ..Config::default() };
    let (mut world, location, request) = begun_with(config);
    world.send(address(HOME), &first_value(&request).bytes());
    let moved = address("192.0.2.1:40000");
    let back = world.send(moved, &notification(Type::Con, 1, &request, 11, "21").bytes());
    assert_eq!(types(&back), [Type::Reset], "the device gives the observation up");
    world.take_events();
    let update = world.update_packet(&location, "");
    let back = world.send(moved, &update.bytes());
    assert_eq!((read(&back[1]).code(), read(&back[1]).observe()), (Code::GET, Some(0)));
    world.send(moved, &first_value(&back[1]).payload("22").bytes());
    assert_eq!(values(&mut world), ["22"], "for the host it ran all the time");
}

/// A moved device that is observed anew: the request, as long as it is not answered.
fn moved() -> (World, Vec<u8>, Vec<u8>) {
    let config = Config { rebinding: Rebinding::Follow, ..Config::default() };
    let (mut world, location, before) = begun_with(config);
    world.send(address(HOME), &first_value(&before).bytes());
    world.take_events();
    let update = world.update_packet(&location, "");
    let anew = world.send(address(MOVED), &update.bytes())[1].clone();
    assert_eq!(read(&anew).observe(), Some(0));
    (world, before, anew)
}

const MOVED: &str = "192.0.2.1:40000";

// Leshan's device keeps one entry for each path: a Reset of what it sent under the token before ends the timers of the
// observation that replaced it, and a timer that goes off meanwhile stays with the one before.
#[test]
fn what_crossed_a_new_start_gets_no_reset_and_makes_sure_once_more() {
    let (mut world, before, anew) = moved();
    let overtaken = world.send(address(MOVED), &notification(Type::Con, 2, &before, 11, "21").bytes());
    assert_eq!(types(&overtaken), [Type::Ack], "sent before the device saw the new request");
    world.send(address(MOVED), &first_value(&anew).payload("22").bytes());
    assert_eq!(values(&mut world), ["22"], "the answer is newer than what crossed it");
    world.pass(4 * SECOND);
    let kept = world.send(address(MOVED), &notification(Type::Con, 3, &before, 12, "23").bytes());
    assert_eq!(types(&kept), [Type::Ack], "the device may serve the one before");
    world.pass(2 * SECOND);
    let sure = world.request_to(address(MOVED));
    assert_eq!(read(&sure).observe(), Some(0));
    let copy = world.send(address(MOVED), &notification(Type::Con, 4, &anew, 11, "24").bytes());
    assert_eq!(types(&copy), [Type::Ack]);
    world.send(address(MOVED), &first_value(&sure).payload("25").bytes());
    assert_eq!(values(&mut world), ["25"]);
    // A device that keeps every one of them is not asked without end, and learns which one is right.
    let kept = world.send(address(MOVED), &notification(Type::Con, 5, &before, 13, "26").bytes());
    assert_eq!(types(&kept), [Type::Reset]);
    world.pass(46 * SECOND);
    let kept = world.send(address(MOVED), &notification(Type::Con, 6, &anew, 14, "27").bytes());
    assert_eq!(types(&kept), [Type::Reset]);
}

#[test]
fn a_device_that_moved_is_made_sure_of_once_more() {
    let (mut world, _, anew) = moved();
    world.send(address(MOVED), &first_value(&anew).payload("22").bytes());
    world.pass(4 * SECOND);
    let observes = |bytes: &Vec<u8>| read(bytes).observe() == Some(0);
    assert!(!world.sent_to(address(MOVED)).iter().any(observes));
    world.pass(2 * SECOND);
    let again = world.request_to(address(MOVED));
    assert_eq!(read(&again).observe(), Some(0));
    world.send(address(MOVED), &first_value(&again).payload("23").bytes());
    assert_eq!(values(&mut world), ["22", "23"]);
    world.pass(600 * SECOND);
    assert!(!world.sent_to(address(MOVED)).iter().any(observes), "once");
}

#[test]
fn an_observation_that_is_silent_for_long_is_made_sure_of() {
    let (mut world, location, _) = running();
    for minutes in 0..70 {
        world.pass(60 * SECOND);
        let update = world.update_packet(&location, "");
        let back = world.send(address(HOME), &update.bytes());
        let observe: Vec<_> = back.iter().filter(|bytes| read(bytes).observe() == Some(0)).collect();
        assert_eq!(observe.is_empty(), minutes != 59, "minute {minutes}");
        if let Some(request) = observe.first() {
            world.send(address(HOME), &first_value(request).payload("30").bytes());
            assert_eq!(values(&mut world), ["30"]);
        }
    }
}

#[test]
fn a_stale_token_makes_sure_of_what_should_run() {
    let (mut world, location, request) = running();
    let mut stale = request.clone();
    stale[4] ^= 1;
    // At once after the start it waits a little, or for the next Update.
    let back = world.send(address(HOME), &notification(Type::Non, 1, &stale, 5, "x").bytes());
    assert_eq!(types(&back), [Type::Reset]);
    let update = world.update_packet(&location, "");
    let back = world.send(address(HOME), &update.bytes());
    assert_eq!(read(&back[1]).observe(), Some(0));
    world.send(address(HOME), &first_value(&back[1]).bytes());
    let renewed = back[1].clone();
    world.pass(46 * SECOND);
    // A device that kept both gets a Reset for the one before, and that is all.
    let back = world.send(address(HOME), &notification(Type::Non, 2, &request, 6, "x").bytes());
    assert_eq!(types(&back), [Type::Reset]);
    let back = world.send(address(HOME), &notification(Type::Con, 3, &renewed, 11, "21").bytes());
    assert_eq!(types(&back), [Type::Ack]);
    // One that goes on with a token of its own does not keep us busy.
    let mut starts = 0;
    for id in 10..1000 {
        let mut back = world.send(address(HOME), &notification(Type::Non, id, &stale, 5, "x").bytes());
        world.pass(SECOND);
        back.extend(world.sent_to(address(HOME)));
        for request in back.iter().filter(|bytes| read(bytes).observe() == Some(0)) {
            starts += 1;
            world.send(address(HOME), &first_value(request).bytes());
        }
        let update = world.update_packet(&location, "lt=300");
        if id % 200 == 0 {
            world.send(address(HOME), &update.bytes());
        }
    }
    assert!((3..14).contains(&starts), "seven doublings and four Updates: {starts}");
}

#[test]
fn an_overtaken_observe_is_made_good_without_an_update() {
    let (mut world, _, request) = running();
    let mut overtaken = request.clone();
    overtaken[4] ^= 1;
    world.send(address(HOME), &notification(Type::Non, 1, &overtaken, 5, "x").bytes());
    world.send(address(HOME), &notification(Type::Non, 2, &overtaken, 6, "x").bytes());
    world.pass(4 * SECOND);
    assert!(world.sent_to(address(HOME)).iter().all(|bytes| read(bytes).observe().is_none()));
    world.pass(SECOND);
    let again = world.request_to(address(HOME));
    assert_eq!(read(&again).observe(), Some(0));
    world.send(address(HOME), &first_value(&again).payload("23").bytes());
    assert_eq!(values(&mut world), ["23"]);
    world.pass(60 * SECOND);
    assert!(world.sent_to(address(HOME)).is_empty(), "once");
}

#[test]
fn a_failure_tells_the_format_that_was_asked_for() {
    let mut world = World::new();
    let accept = Some(ContentFormat::SENML_CBOR);
    world.accept = Some(Answer::Accept { observations: vec![Wanted { accept, ..wanted("/3/0/9") }] });
    world.register(address(HOME), "a");
    let request = world.request_to(address(HOME));
    world.send(address(HOME), &answer(&request, Code::NOT_ACCEPTABLE).bytes());
    let told = |event: &Event| match event {
        Event::ObservationFailed { accept, .. } => Some(*accept),
        _ => None,
    };
    assert_eq!(world.take_events().iter().find_map(told), Some(accept));
}

#[test]
fn many_observations_of_one_device_start_one_after_the_other() {
    let mut world = World::new();
    let paths: Vec<_> = (0..100).map(|n| wanted(&format!("/3303/{n}"))).collect();
    world.accept = Some(Answer::Accept { observations: paths });
    world.register(address(HOME), "a");
    let mut seen = 0;
    loop {
        let mut sent = world.sent_to(address(HOME));
        let Some(request) = sent.pop() else { break };
        assert!(sent.is_empty(), "one at a time");
        seen += 1;
        let back = world.send(address(HOME), &first_value(&request).bytes());
        world.out.extend(back.into_iter().map(|bytes| (address(HOME), bytes)));
    }
    assert_eq!(seen, Limits::default().observations_per_device);
    world.pass(Duration::from_secs(10));
}
