//! What lasts is told to the device when the host has it safe, and is not so before.

#![allow(clippy::wildcard_enum_match_arm, reason = "a test looks for one event")]

mod common;

use common::{LIST, Packet, SECOND, World, address, durable_ask, notification, read, wanted};
use lightship_coap::{Code, Type};
use lightship_server::{Answer, Ask, Config, Event, Fact, Limits, Presence};

const HOME: &str = "192.0.2.1:5683";
const REFUSED: Answer = Answer::Refuse { code: Code::SERVICE_UNAVAILABLE };

/// A registered device whose host has not answered what it was asked since.
fn registered() -> (World, String) {
    let mut world = World::new();
    let location = world.register(address(HOME), "a");
    world.durable = None;
    world.take_events();
    (world, location)
}

fn answer(world: &mut World, ask: Ask, answer: Answer) -> Vec<Code> {
    world.shard.answer(world.now, ask, answer);
    world.drain();
    world.sent_to(address(HOME)).iter().map(|bytes| read(bytes).code()).collect()
}

fn asked(events: &[Event]) -> Vec<Ask> {
    events.iter().filter_map(durable_ask).collect()
}

/// What the host hears of registrations, by name.
fn told(events: &[Event]) -> Vec<&'static str> {
    let name = |event: &Event| match event {
        Event::AskRegister { .. } => Some("ask-register"),
        Event::AskDurable { .. } => Some("ask"),
        Event::Registered { .. } => Some("registered"),
        Event::Updated { .. } => Some("updated"),
        Event::Refreshed { .. } => Some("refreshed"),
        Event::Deregistered { .. } => Some("deregistered"),
        Event::Lapsed { .. } => Some("lapsed"),
        _ => None,
    };
    events.iter().filter_map(name).collect()
}

fn update(world: &mut World, location: &str, query: &str) -> Packet {
    world.update_packet(location, query)
}

#[test]
fn a_register_is_named_before_it_is_accepted() {
    let mut world = World::new();
    world.accept = None;
    let packet = world.register_packet("ep=a&lt=300&lwm2m=1.1&b=U&Q", LIST);
    assert!(world.send(address(HOME), &packet.bytes()).is_empty());
    let events = world.take_events();
    let [Event::AskRegister { ask, registration: named }] = &events[..] else { panic!("{events:?}") };
    let asked_at = world.now;
    world.pass(SECOND);
    world.sent_to(address(HOME));
    world.shard.answer(world.now, *ask, Answer::Accept { observations: Vec::new() });
    world.drain();
    let sent = world.sent_to(address(HOME));
    let location: Vec<_> = read(&sent[0]).location_path().map(str::to_owned).collect();
    assert_eq!(location, ["rd".to_owned(), named.id.to_string()]);
    let now = world.registration("a").expect("registered");
    assert_eq!((now.id, &now.details), (named.id, &named.details));
    assert_eq!((now.registered_at, now.updated_at, now.expires_at), (asked_at, asked_at, named.expires_at));
    assert_eq!(named.address, address(HOME));
    assert!(matches!(named.presence, Presence::Awake { until } if until == asked_at + 93 * SECOND));
}

#[test]
fn an_answer_that_cannot_be_followed_is_taken_back() {
    let limits = Limits { registrations: 1, ..Limits::default() };
    let mut world = World::with(Config { limits, ..Config::default() });
    world.accept = None;
    for (port, name) in [(1, "a"), (2, "b")] {
        let packet = world.register_packet(&format!("ep={name}&lt=300&lwm2m=1.1"), LIST);
        world.send(address(&format!("192.0.2.1:{port}")), &packet.bytes());
    }
    let events = world.take_events();
    for event in &events {
        let Event::AskRegister { ask, .. } = event else { panic!("{event:?}") };
        world.shard.answer(world.now, *ask, Answer::Accept { observations: Vec::new() });
    }
    world.drain();
    let Event::AskRegister { registration: second, .. } = &events[1] else { panic!("asked") };
    let events = world.take_events();
    assert_eq!(told(&events), ["registered", "lapsed"]);
    let lapsed = events.iter().find_map(|event| match event {
        Event::Lapsed { endpoint, registration, standing } => {
            Some((endpoint.to_string(), *registration, standing.is_some()))
        }
        _ => None,
    });
    assert_eq!(lapsed, Some(("b".into(), second.id, false)));
    let sent = world.sent_to(address("192.0.2.1:2"));
    assert_eq!(read(&sent[0]).code(), Code::SERVICE_UNAVAILABLE);
}

#[test]
fn an_unanswered_register_leaves_what_stood_before() {
    let (mut world, _) = registered();
    let before = world.registration("a").expect("registered").id;
    world.accept = None;
    let packet = world.register_packet("ep=a&lt=600&lwm2m=1.1", LIST);
    world.send(address(HOME), &packet.bytes());
    world.pass(11 * SECOND);
    let events = world.take_events();
    assert_eq!(told(&events), ["ask-register", "lapsed"]);
    let (
        Some(Event::AskRegister { registration: new, .. }),
        Some(Event::Lapsed { registration, standing, .. }),
    ) = (events.first(), events.last())
    else {
        panic!("{events:?}");
    };
    assert_eq!((*registration, standing.as_ref().map(|standing| standing.id)), (new.id, Some(before)));
}

#[test]
fn an_update_that_says_nothing_new_is_answered_at_once() {
    let (mut world, location) = registered();
    world.pass(100 * SECOND);
    for query in ["", "lt=300", "b=U&lt=300"] {
        let packet = update(&mut world, &location, query);
        assert_eq!(world.ask(address(HOME), &packet), Code::CHANGED);
        let events = world.take_events();
        let [Event::Refreshed { endpoint, registration, at, expires_at }] = &events[..] else {
            panic!("{query}: {events:?}")
        };
        let now = world.registration("a").expect("registered");
        assert_eq!((&**endpoint, *registration, *at), ("a", now.id, world.now));
        assert_eq!((*expires_at, now.updated_at), (Some(world.now + 300 * SECOND), world.now));
    }
    // The list that the device gave before is nothing new either.
    let packet = Packet {
        payload: LIST.into(),
        ..update(&mut world, &location, "").format(lightship_coap::ContentFormat::LINK)
    };
    assert_eq!(world.ask(address(HOME), &packet), Code::CHANGED);
    assert_eq!(told(&world.take_events()), ["refreshed"]);
    assert_eq!(world.shard.stats().updates, 4);
}

#[test]
fn an_update_that_changes_something_waits_until_that_is_safe() {
    let (mut world, location) = registered();
    world.pass(SECOND);
    let packet = update(&mut world, &location, "lt=900&sms=42");
    assert!(world.send(address(HOME), &packet.bytes()).is_empty(), "not before it is safe");
    let events = world.take_events();
    let [Event::AskDurable { ask, fact: Fact::Update { registration, changed } }] = &events[..] else {
        panic!("{events:?}")
    };
    assert_eq!((registration.details.lifetime_s, registration.details.sms.as_deref()), (900, Some("42")));
    assert_eq!(registration.expires_at, Some(world.now + 900 * SECOND));
    assert!(changed.parameters && !changed.objects);
    assert_eq!(world.registration("a").expect("registered").details.lifetime_s, 300, "not yet");
    assert!(world.send(address(HOME), &packet.bytes()).is_empty(), "a repetition asks nobody");
    assert!(asked(&world.take_events()).is_empty());
    assert_eq!(answer(&mut world, *ask, Answer::Stored), [Code::CHANGED]);
    assert_eq!(told(&world.take_events()), ["updated"]);
    let now = world.registration("a").expect("registered");
    assert_eq!((now.details.lifetime_s, now.expires_at), (900, registration.expires_at));
}

#[test]
fn a_refused_update_changes_nothing() {
    let (mut world, location) = registered();
    let before = world.registration("a").expect("registered");
    let packet = update(&mut world, &location, "lt=900");
    world.send(address(HOME), &packet.bytes());
    let ask = asked(&world.take_events())[0];
    // One more while nobody knows about the first has to wait; one that changes nothing has not.
    let more = update(&mut world, &location, "lt=700");
    assert_eq!(world.ask(address(HOME), &more), Code::SERVICE_UNAVAILABLE);
    let none = update(&mut world, &location, "");
    assert_eq!(world.ask(address(HOME), &none), Code::CHANGED);
    world.shard.answer(world.now, ask, REFUSED);
    world.drain();
    let sent = world.sent_to(address(HOME));
    assert_eq!(read(&sent[0]).code(), Code::SERVICE_UNAVAILABLE);
    assert!(read(&sent[0]).max_age_s() > 0);
    assert_eq!(told(&world.take_events()), ["refreshed"]);
    let now = world.registration("a").expect("registered");
    assert_eq!((now.id, &now.details), (before.id, &before.details));
    assert_eq!(world.shard.stats().updates_refused, 2);
    // The next may ask again; nobody answers, which means no.
    let packet = update(&mut world, &location, "lt=900");
    world.send(address(HOME), &packet.bytes());
    world.pass(11 * SECOND);
    let events = world.take_events();
    assert_eq!(told(&events), ["ask", "lapsed"]);
    let Some(Event::Lapsed { registration, standing: Some(standing), .. }) = events.last() else {
        panic!("{events:?}")
    };
    assert_eq!((*registration, standing.details.lifetime_s), (before.id, 300));
    let stats = world.shard.stats();
    assert_eq!(
        (stats.busy_changing, stats.busy_host, stats.asks_unanswered),
        (1, 1, 1),
        "each with its reason"
    );
    world.durable = Some(Answer::Stored);
    let packet = update(&mut world, &location, "lt=900");
    world.sent_to(address(HOME));
    assert_eq!(world.ask(address(HOME), &packet), Code::CHANGED);
}

#[test]
fn a_change_of_a_registration_that_gave_way_meanwhile_is_not_made() {
    let (mut world, location) = registered();
    let packet = update(&mut world, &location, "lt=900");
    world.send(address(HOME), &packet.bytes());
    let ask = asked(&world.take_events())[0];
    world.register(address(HOME), "a");
    assert_eq!(answer(&mut world, ask, Answer::Stored), [Code::NOT_FOUND]);
    assert_eq!(world.registration("a").expect("registered").details.lifetime_s, 300);
}

#[test]
fn a_deregister_waits_until_it_is_safe() {
    let (mut world, location) = registered();
    let delete = |id| Packet::new(Type::Con, Code::DELETE, id, &[5]).path(&location);
    assert!(world.send(address(HOME), &delete(900).bytes()).is_empty(), "not before it is safe");
    let events = world.take_events();
    let [Event::AskDurable { ask, fact: Fact::Deregister { registration } }] = &events[..] else {
        panic!("{events:?}")
    };
    assert_eq!(registration.id, world.registration("a").expect("still registered").id);
    assert_eq!(answer(&mut world, *ask, REFUSED), [Code::SERVICE_UNAVAILABLE]);
    assert!(world.registration("a").is_some() && told(&world.take_events()).is_empty());
    world.send(address(HOME), &delete(901).bytes());
    let ask = asked(&world.take_events())[0];
    assert_eq!(answer(&mut world, ask, Answer::Stored), [Code::DELETED]);
    assert_eq!(told(&world.take_events()), ["deregistered"]);
    assert!(world.registration("a").is_none());
}

/// A device under whose observation the number 10 has come, and the request that began it.
fn observed() -> (World, Vec<u8>) {
    let mut world = World::new();
    world.accept = Some(Answer::Accept { observations: vec![wanted("/3303/0/5700")] });
    world.register(address(HOME), "a");
    let observe = world.request_to(address(HOME));
    let begun = common::answer(&observe, Code::CONTENT).observe(10).payload("20");
    world.send(address(HOME), &begun.format(lightship_coap::ContentFormat::TEXT).bytes());
    world.durable = None;
    world.take_events();
    (world, observe)
}

fn values(events: &[Event]) -> Vec<String> {
    let value = |event: &Event| match event {
        Event::Notified { payload, .. } => Some(String::from_utf8_lossy(payload).into_owned()),
        _ => None,
    };
    events.iter().filter_map(value).collect()
}

#[test]
fn a_confirmable_notification_is_acknowledged_when_its_value_is_safe() {
    let (mut world, observe) = observed();
    let packet = notification(Type::Con, 1, &observe, 11, "21");
    assert!(world.send(address(HOME), &packet.bytes()).is_empty(), "not before it is safe");
    let events = world.take_events();
    assert_eq!(values(&events), ["21"]);
    assert!(world.send(address(HOME), &packet.bytes()).is_empty(), "a repetition asks nobody");
    assert!(world.take_events().is_empty());
    world.shard.answer(world.now, asked(&events)[0], Answer::Stored);
    world.drain();
    let sent = world.sent_to(address(HOME));
    assert_eq!(
        sent.iter().map(|bytes| (read(bytes).ty(), read(bytes).message_id().0)).collect::<Vec<_>>(),
        [(Type::Ack, 1)]
    );
    // The acknowledgement was lost: it is repeated, and the value is no news.
    assert_eq!(read(&world.send(address(HOME), &packet.bytes())[0]).ty(), Type::Ack);
    assert!(world.take_events().is_empty());
    // Nobody waits for what is not confirmable, and what is too old is not asked about.
    let non = notification(Type::Non, 2, &observe, 12, "22");
    assert!(world.send(address(HOME), &non.bytes()).is_empty());
    let events = world.take_events();
    assert_eq!((values(&events), asked(&events).len()), (vec!["22".to_owned()], 0));
    let late = notification(Type::Con, 3, &observe, 9, "19");
    assert_eq!(read(&world.send(address(HOME), &late.bytes())[0]).ty(), Type::Ack);
    assert!(world.take_events().is_empty());
}

#[test]
fn a_notification_that_was_not_kept_is_news_when_it_is_repeated() {
    let (mut world, observe) = observed();
    let packet = notification(Type::Con, 1, &observe, 11, "21");
    for round in 0..2 {
        assert!(world.send(address(HOME), &packet.bytes()).is_empty(), "{round}");
        let events = world.take_events();
        assert_eq!(values(&events), ["21"], "{round}");
        assert!(answer(&mut world, asked(&events)[0], REFUSED).is_empty(), "no word of it");
    }
    // Nobody answers, which means no.
    world.send(address(HOME), &packet.bytes());
    world.take_events();
    world.pass(11 * SECOND);
    assert!(world.sent_to(address(HOME)).is_empty());
    assert_eq!(world.shard.stats().notifications_refused, 3);
    world.durable = Some(Answer::Stored);
    assert_eq!(read(&world.send(address(HOME), &packet.bytes())[0]).ty(), Type::Ack);
    assert_eq!(values(&world.take_events()), ["21"]);
    assert!(
        !world.events.iter().any(|event| matches!(event, Event::Deviated { .. })),
        "its number is not that of another value"
    );
}

#[test]
fn without_room_for_questions_nothing_is_acknowledged() {
    let limits = Limits { asks: 1, ..Limits::default() };
    let mut world = World::with(Config { limits, ..Config::default() });
    world.accept = Some(Answer::Accept { observations: vec![wanted("/3303/0/5700")] });
    let location = world.register(address(HOME), "a");
    let observe = world.request_to(address(HOME));
    world.send(address(HOME), &common::answer(&observe, Code::CONTENT).observe(10).payload("20").bytes());
    world.durable = None;
    let first = notification(Type::Con, 1, &observe, 11, "21");
    world.send(address(HOME), &first.bytes());
    let ask = asked(&world.take_events())[0];
    let second = notification(Type::Con, 2, &observe, 12, "22");
    assert!(world.send(address(HOME), &second.bytes()).is_empty());
    let packet = update(&mut world, &location, "lt=900");
    assert_eq!(world.ask(address(HOME), &packet), Code::SERVICE_UNAVAILABLE);
    assert!(world.take_events().is_empty());
    assert_eq!(world.shard.stats().busy_asks, 2);
    world.shard.answer(world.now, ask, Answer::Stored);
    world.durable = Some(Answer::Stored);
    world.drain();
    world.sent_to(address(HOME));
    assert_eq!(read(&world.send(address(HOME), &second.bytes())[0]).ty(), Type::Ack);
    assert_eq!(values(&world.take_events()), ["22"]);
    let packet = update(&mut world, &location, "lt=900");
    assert_eq!(world.ask(address(HOME), &packet), Code::CHANGED);
}
