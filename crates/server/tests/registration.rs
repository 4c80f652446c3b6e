//! Register, Update and De-register: what each gets, and what becomes of the registration.

#![allow(clippy::wildcard_enum_match_arm, reason = "a test looks for one event")]

mod common;

use core::time::Duration;

use common::{LIST, Packet, SECOND, World, address, endpoint, path, read};
use lightship_coap::{Code, ContentFormat, OptionNumber, Type};
use lightship_lwm2m::{Binding, ObjectVersion, Version};
use lightship_server::{Answer, Config, Ended, Event, Limits, Operation, Outcome, Rebinding, Request};

const HOME: &str = "192.0.2.1:5683";

fn ended(events: &[Event]) -> Vec<Ended> {
    events
        .iter()
        .filter_map(|event| if let Event::Deregistered { reason, .. } = event { Some(*reason) } else { None })
        .collect()
}

// Proves: REG-02, REG-09, REG-18, REG-38
#[test]
fn a_register_is_kept_as_it_was_said() {
    let mut world = World::new();
    let list =
        "</>;rt=\"oma.lwm2m\";ct=\"60 110 112\",</1/0>,</3>;ver=1.2,</3/0>,</3303>;ver=\"1.1\",</3303/7>";
    let packet = world.register_packet("b=U&sms=49123&lwm2m=1.2&Q&lt=86400&vendor=x&ep=urn:dev:7", list);
    let answers = world.send(address(HOME), &packet.bytes());
    let answer = read(&answers[0]);
    assert_eq!(answer.code(), Code::CREATED);
    let location: Vec<_> = answer.location_path().collect();
    assert_eq!(location[0], "rd");
    assert_eq!((location.len(), location[1].len()), (2, 12));

    let registration = world.registration("urn:dev:7").expect("registered");
    assert_eq!(registration.id.to_string(), location[1]);
    assert_eq!(registration.address, address(HOME));
    let details = &registration.details;
    assert_eq!((details.version, details.lifetime_s), (Version::V1_2, 86400));
    assert_eq!((details.binding, details.queue_mode), (Binding::UDP, true));
    assert_eq!(details.sms.as_deref(), Some("49123"));
    assert_eq!(&*details.attributes, [("vendor".into(), "x".into())]);
    assert_eq!(
        &*details.objects.formats,
        [ContentFormat::CBOR, ContentFormat::SENML_JSON, ContentFormat::SENML_CBOR]
    );
    let objects: Vec<_> = details.objects.objects.iter().map(|link| (link.path, link.version)).collect();
    assert_eq!(
        objects,
        [
            (path("/1/0"), None),
            (path("/3"), Some(ObjectVersion::new(1, 2))),
            (path("/3/0"), None),
            (path("/3303"), Some(ObjectVersion::new(1, 1))),
            (path("/3303/7"), None),
        ]
    );
    assert!(
        world.take_events().iter().any(|event| matches!(event, Event::Registered { displaced: None, .. }))
    );
}

// Proves: REG-45, REG-49, GEN-02, PRF-01
#[test]
fn a_register_with_a_mistake_gets_the_code_of_the_mistake() {
    let no = |code: Code| code;
    let cases = [
        ("lt=60&lwm2m=1.1", LIST, Code::BAD_REQUEST),
        ("ep=&lt=60&lwm2m=1.1", LIST, Code::BAD_REQUEST),
        ("ep=a&ep=b&lt=60&lwm2m=1.1", LIST, Code::BAD_REQUEST),
        ("ep=a\0b\r\nc&lt=60&lwm2m=1.1", LIST, Code::BAD_REQUEST),
        ("ep=a&lwm2m=1.1", LIST, Code::BAD_REQUEST),
        ("ep=a&lt=abc&lwm2m=1.1", LIST, Code::BAD_REQUEST),
        ("ep=a&lt=&lwm2m=1.1", LIST, Code::BAD_REQUEST),
        ("ep=a&lt=-1&lwm2m=1.1", LIST, Code::BAD_REQUEST),
        ("ep=a&lt=+1&lwm2m=1.1", LIST, Code::BAD_REQUEST),
        ("ep=a&lt=1.5&lwm2m=1.1", LIST, Code::BAD_REQUEST),
        ("ep=a&lt=0x10&lwm2m=1.1", LIST, Code::BAD_REQUEST),
        ("ep=a&lt=4294967296&lwm2m=1.1", LIST, Code::BAD_REQUEST),
        ("ep=a&lt=99999999999999999999&lwm2m=1.1", LIST, Code::BAD_REQUEST),
        ("ep=a&lt=0&lwm2m=1.1", LIST, Code::BAD_REQUEST),
        ("ep=a&lt=60", LIST, Code::BAD_REQUEST),
        ("ep=a&lt=60&lwm2m=1", LIST, Code::BAD_REQUEST),
        ("ep=a&lt=60&lwm2m=abc", LIST, Code::BAD_REQUEST),
        ("ep=a&lt=60&lwm2m=9.9", LIST, Code::PRECONDITION_FAILED),
        ("ep=a&lt=60&lwm2m=2.0", LIST, Code::PRECONDITION_FAILED),
        ("ep=a&lt=60&lwm2m=1.1&b=XYZ", LIST, Code::BAD_REQUEST),
        ("ep=a&lt=60&lwm2m=1.0&b=UT", LIST, Code::BAD_REQUEST),
        ("ep=a&lt=60&lwm2m=1.1&Q&Q", LIST, Code::BAD_REQUEST),
        ("ep=a&lt=60&lwm2m=1.1&x=1&x=2", LIST, Code::BAD_REQUEST),
        ("ep=a&lt=60&lwm2m=1.1", "", Code::BAD_REQUEST),
        ("ep=a&lt=60&lwm2m=1.2", "", Code::CONFLICT),
        ("ep=a&lt=60&lwm2m=1.2&pid=6:1a2b3c4d", "", Code::CONFLICT),
    ];
    for (query, list, code) in cases {
        let mut world = World::new();
        let packet = world.register_packet(query, list);
        assert_eq!(world.ask(address(HOME), &packet), no(code), "{query:?}");
        assert_eq!(world.shard.stats().registrations, 0);
        assert!(world.events.is_empty(), "{query:?}");
        world.register(address(HOME), "good");
    }
    let mut world = World::new();
    let mut packet = world.register_packet("ep=a&lt=60&lwm2m=1.1", LIST);
    packet.options.retain(|(number, _)| *number != OptionNumber::CONTENT_FORMAT);
    let text = Packet { options: packet.options.clone(), ..world.register_packet("", LIST) };
    assert_eq!(world.ask(address(HOME), &text.format(ContentFormat::TEXT)), Code::BAD_REQUEST);
    let invalid =
        Packet::new(Type::Con, Code::POST, 7, &[]).path("rd").option(OptionNumber::URI_QUERY, b"ep=\xff");
    assert_eq!(world.ask(address(HOME), &invalid), Code::BAD_REQUEST);
    packet.ty = Type::Non;
    assert_eq!(world.ask(address(HOME), &packet), Code::BAD_REQUEST);
    packet.ty = Type::Con;
    packet.id += 40;
    assert_eq!(world.ask(address(HOME), &packet), Code::CREATED, "a list without a format is taken for one");
}

// Proves: REG-34
#[test]
fn bindings_and_queue_mode_as_each_version_writes_them() {
    let cases = [
        ("1.0", "", "U", false),
        ("1.0", "&b=UQ", "U", true),
        ("1.0", "&b=SQ", "S", true),
        ("1.0", "&b=UQS", "US", true),
        ("1.1", "", "U", false),
        ("1.1", "&Q", "U", true),
        ("1.1", "&b=TU&Q=", "UT", true),
        ("1.1", "&b=UQ", "U", true),
        ("1.2", "&b=UMHTSN", "UMHTSN", false),
    ];
    for (version, query, binding, queue_mode) in cases {
        let mut world = World::new();
        let packet = world.register_packet(&format!("ep=a&lt=60&lwm2m={version}{query}"), LIST);
        assert_eq!(world.ask(address(HOME), &packet), Code::CREATED, "{version} {query}");
        let details = world.registration("a").expect("registered").details;
        assert_eq!(
            (details.binding.to_string().as_str(), details.queue_mode),
            (binding, queue_mode),
            "{query}"
        );
    }
}

// Proves: REG-08
#[test]
fn unknown_parameters_are_kept_unless_the_operator_is_strict() {
    for (strict, code) in [(false, Code::CREATED), (true, Code::BAD_REQUEST)] {
        let mut world = World::with(Config { strict_parameters: strict, ..Config::default() });
        let packet = world.register_packet("ep=a&lt=60&lwm2m=1.1&vendor=x", LIST);
        assert_eq!(world.ask(address(HOME), &packet), code);
        let known = world.register_packet("ep=a&lt=60&lwm2m=1.1", LIST);
        assert_eq!(world.ask(address(HOME), &known), Code::CREATED);
        let twice = world.register_packet("ep=a&lt=60&lwm2m=1.1&lt=60", LIST);
        assert_eq!(world.ask(address(HOME), &twice), Code::BAD_REQUEST);
    }
}

// Proves: REG-13, REG-15
#[test]
fn object_lists_as_devices_write_them() {
    let cases = [
        ("</1/0>,,</3/0>", None),
        ("</1/0", None),
        ("1/0,3/0", None),
        ("</1/0>;ver=\"1.1", None),
        ("<<<<<<<<<<<<<<<<<<<<<<<<", None),
        (",,,,,,,,,,,,,,,,,,,,,,,,", None),
        ("</1/0>, </3/0>", Some(vec!["/1/0", "/3/0"])),
        ("</1/0>,</3/0>,", Some(vec!["/1/0", "/3/0"])),
        ("</1/0>,</3/0>,,", None),
        ("</1/0>;ver", Some(vec!["/1/0"])),
        ("</1/65536>,</3/0>", Some(vec!["/3/0"])),
        ("</-1/0>,</3/0>", Some(vec!["/3/0"])),
        ("</1/0/2>,</3/0>", Some(vec!["/3/0"])),
        ("</1>;ver=1.1.1", Some(vec!["/1"])),
        ("</>;ct=\"x y\",</3/0>", Some(vec!["/3/0"])),
        ("</3/0>,</1/0>,</3/0>", Some(vec!["/1/0", "/3/0"])),
        ("</0/0>,</21/0>,</23>,</24/0>,</3/0>", Some(vec!["/3/0"])),
        ("</nothing/known>;title=\"x\",</3/0>;if=\"y\"", Some(vec!["/3/0"])),
    ];
    for (list, expected) in cases {
        let mut world = World::new();
        let packet = world.register_packet("ep=a&lt=60&lwm2m=1.1", list);
        let code = world.ask(address(HOME), &packet);
        let objects = world.registration("a").map(|registration| {
            registration.details.objects.objects.iter().map(|link| link.path.to_string()).collect::<Vec<_>>()
        });
        let expected: Option<Vec<String>> =
            expected.map(|paths| paths.into_iter().map(String::from).collect());
        assert_eq!(code, if expected.is_some() { Code::CREATED } else { Code::BAD_REQUEST }, "{list}");
        assert_eq!(objects, expected, "{list}");
    }
    let mut world = World::new();
    let invalid = world.register_packet("ep=a&lt=60&lwm2m=1.1", "").payload(b"\xff\xfe</1/0>");
    assert_eq!(world.ask(address(HOME), &invalid), Code::BAD_REQUEST);
}

// Proves: REG-20, REG-25
#[test]
fn a_lifetime_without_update_ends_the_registration() {
    let mut world = World::new();
    let location = world.register(address(HOME), "a");
    world.pass(Duration::from_secs(299));
    assert!(world.registration("a").is_some());
    let update = world.update_packet(&location, "");
    assert_eq!(world.ask(address(HOME), &update), Code::CHANGED);
    world.pass(Duration::from_secs(299));
    assert!(world.registration("a").is_some(), "the Update has begun a new lifetime");
    world.pass(Duration::from_secs(2));
    assert!(world.registration("a").is_none());
    assert_eq!(ended(&world.take_events()), [Ended::Expired]);
    let update = world.update_packet(&location, "");
    assert_eq!(world.ask(address(HOME), &update), Code::NOT_FOUND);
}

// Proves: REG-22
#[test]
fn a_lifetime_of_0_never_ends_since_1_2() {
    let mut world = World::new();
    let packet = world.register_packet("ep=a&lt=0&lwm2m=1.2", LIST);
    assert_eq!(world.ask(address(HOME), &packet), Code::CREATED);
    assert_eq!(world.registration("a").expect("registered").expires_at, None);
    world.pass(Duration::from_secs(400 * 86400));
    assert!(world.registration("a").is_some());
}

// Proves: REG-43
#[test]
fn a_grace_period_lets_a_late_update_in() {
    let mut world = World::with(Config { registration_grace: 30 * SECOND, ..Config::default() });
    let location = world.register(address(HOME), "a");
    world.pass(Duration::from_secs(320));
    let update = world.update_packet(&location, "");
    assert_eq!(world.ask(address(HOME), &update), Code::CHANGED);
    world.pass(Duration::from_secs(331));
    assert!(world.registration("a").is_none());
}

// Proves: REG-24
#[test]
fn an_update_changes_what_it_names_and_nothing_else() {
    let mut world = World::new();
    let packet = world.register_packet("ep=a&lt=300&lwm2m=1.1&b=U&sms=1&vendor=x", LIST);
    let answers = world.send(address(HOME), &packet.bytes());
    let location = read(&answers[0]).location_path().collect::<Vec<_>>().join("/");
    let before = world.registration("a").expect("registered");
    world.pass(10 * SECOND);
    let update = world.update_packet(&location, "lt=600&Q&ep=other&lwm2m=1.0");
    assert_eq!(world.ask(address(HOME), &update), Code::CHANGED);
    let after = world.registration("a").expect("registered");
    assert_eq!(after.id, before.id);
    assert_eq!(after.updated_at, world.now);
    assert_eq!(after.registered_at, before.registered_at);
    assert_eq!(after.expires_at, Some(world.now + Duration::from_secs(600)));
    assert_eq!((after.details.lifetime_s, after.details.queue_mode), (600, true));
    assert_eq!(after.details.sms.as_deref(), Some("1"));
    assert_eq!(after.details.attributes, before.details.attributes);
    assert_eq!(after.details.objects, before.details.objects);

    let update = world.update_packet(&location, "").format(ContentFormat::LINK).payload("</1/0>,</3/0>");
    assert_eq!(world.ask(address(HOME), &update), Code::CHANGED);
    let objects = world.registration("a").expect("registered").details.objects.objects.clone();
    assert_eq!(objects.len(), 2, "the list is replaced as a whole");
    let changes: Vec<_> = world
        .take_events()
        .into_iter()
        .filter_map(|event| if let Event::Updated { changed, .. } = event { Some(changed) } else { None })
        .map(|changed| (changed.address, changed.parameters, changed.objects))
        .collect();
    assert_eq!(changes, [(false, true, false), (false, false, true)]);
}

// Proves: COA-05
#[test]
fn an_update_may_come_unconfirmed() {
    let mut world = World::new();
    let location = world.register(address(HOME), "a");
    let update = world.update_packet(&location, "lt=600");
    let back = world.send(address(HOME), &Packet { ty: Type::Non, ..update }.bytes());
    assert_eq!((read(&back[0]).ty(), read(&back[0]).code()), (Type::Non, Code::CHANGED));
    assert_eq!(world.registration("a").expect("registered").details.lifetime_s, 600);
    world.read_request("a", "/3/0/0");
    assert_eq!(read(&world.request_to(address(HOME))).ty(), Type::Con, "requests are confirmed");
}

// Proves: REG-25
#[test]
fn a_bad_update_changes_nothing() {
    let mut world = World::new();
    let location = world.register(address(HOME), "a");
    let before = world.registration("a").expect("registered").details;
    for (query, list) in [("lt=x", ""), ("b=Z", ""), ("lt=60", "broken"), ("lt=60&lt=70", "")] {
        let update = world.update_packet(&location, query).payload(list);
        assert_eq!(world.ask(address(HOME), &update), Code::BAD_REQUEST, "{query} {list}");
        assert_eq!(world.registration("a").expect("registered").details, before);
    }
    for target in ["rd/000000000000", "rd/unknown", "rd/x/y", "rd/"] {
        let update = world.update_packet(target, "lt=60");
        let code = world.ask(address(HOME), &update);
        assert!(matches!(code, Code::NOT_FOUND | Code::BAD_REQUEST), "{target} {code}");
    }
    assert_eq!(world.registration("a").expect("registered").details, before);
}

// Proves: REG-19
#[test]
fn a_second_register_displaces_the_first() {
    let mut world = World::new();
    let first = world.register(address(HOME), "a");
    let request = world.read_request("a", "/3/0/0");
    world.take_events();
    let second = world.register(address("192.0.2.1:7777"), "a");
    assert_ne!(first, second);
    assert_eq!(world.shard.registrations().count(), 1);
    let events = world.take_events();
    let done = events.iter().filter(
        |event| matches!(event, Event::RequestDone { id, outcome: Outcome::Deregistered, .. } if *id == request),
    );
    assert_eq!(done.count(), 1);
    let displaced = events.iter().find_map(|event| match event {
        Event::Registered { displaced, .. } => Some(displaced.as_ref().expect("the first").address),
        _ => None,
    });
    assert_eq!(displaced, Some(address(HOME)));
    let update = world.update_packet(&first, "");
    assert_eq!(world.ask(address(HOME), &update), Code::NOT_FOUND);
}

// Proves: COA-03
#[test]
fn a_register_that_arrives_twice_is_one_registration() {
    let mut world = World::new();
    let packet = world.register_packet("ep=a&lt=300&lwm2m=1.1", LIST);
    let first = world.send(address(HOME), &packet.bytes());
    world.pass(3 * SECOND);
    for _ in 0..1000 {
        assert_eq!(world.send(address(HOME), &packet.bytes()), first);
    }
    let registered = world.events.iter().filter(|event| matches!(event, Event::Registered { .. })).count();
    assert_eq!(registered, 1);
    assert_eq!(world.shard.stats().peers, 1);
}

// Proves: REG-31
#[test]
fn a_deregister_ends_the_registration_and_its_requests() {
    let mut world = World::new();
    let location = world.register(address(HOME), "a");
    world.read_request("a", "/3/0/0");
    world.read_request("a", "/3/0/1");
    let delete = Packet::new(Type::Con, Code::DELETE, 900, &[9]).path(&location);
    assert_eq!(world.ask(address(HOME), &delete), Code::DELETED);
    assert_eq!(world.ask(address(HOME), &delete), Code::DELETED, "the repetition gets the same answer");
    let events = world.take_events();
    assert_eq!(ended(&events), [Ended::Deregister]);
    let done = events.iter().filter_map(|event| match event {
        Event::RequestDone { outcome, .. } => Some(outcome.clone()),
        _ => None,
    });
    assert_eq!(done.collect::<Vec<_>>(), [Outcome::Deregistered, Outcome::Unsent]);
    let again = Packet::new(Type::Con, Code::DELETE, 901, &[9]).path(&location);
    assert_eq!(world.ask(address(HOME), &again), Code::NOT_FOUND);
    world.sent_to(address(HOME));
    world.pass(300 * SECOND);
    assert!(world.sent_to(address(HOME)).is_empty(), "nothing is repeated to a device that is gone");
    assert_eq!(world.shard.stats().peers, 0);
}

#[test]
fn without_security_another_address_cannot_touch_a_registration() {
    let mut world = World::new();
    let location = world.register(address(HOME), "a");
    let stranger = address("203.0.113.9:4000");
    let delete = Packet::new(Type::Con, Code::DELETE, 900, &[9]).path(&location);
    assert_eq!(world.ask(stranger, &delete), Code::NOT_FOUND);
    let update = world.update_packet(&location, "lt=1");
    assert_eq!(world.ask(stranger, &update), Code::NOT_FOUND);
    // Nor does another registered device.
    world.register(stranger, "b");
    let delete = Packet { id: 902, ..delete };
    assert_eq!(world.ask(stranger, &delete), Code::NOT_FOUND);
    let update = world.update_packet(&location, "lt=1");
    assert_eq!(world.ask(stranger, &update), Code::NOT_FOUND);
    let registration = world.registration("a").expect("registered");
    assert_eq!((registration.address, registration.details.lifetime_s), (address(HOME), 300));
}

// Proves: COA-01
#[test]
fn message_ids_and_tokens_are_each_peers_own() {
    let mut world = World::new();
    let peers = ["192.0.2.1:5683", "192.0.2.1:5684", "192.0.2.2:5683"];
    // The same ID and token from everybody.
    let packet = |from: &str| {
        let packet = Packet::new(Type::Con, Code::POST, 7, &[1]).path("rd").format(ContentFormat::LINK);
        packet.query(&format!("ep={from}&lt=300&lwm2m=1.1")).payload(LIST).bytes()
    };
    let answers = peers.map(|from| world.send(address(from), &packet(from)).remove(0));
    for (from, answer) in peers.into_iter().zip(&answers) {
        let told = read(answer);
        assert_eq!((told.code(), told.message_id().0), (Code::CREATED, 7), "{from}");
        assert_eq!(answers.iter().filter(|other| *other == answer).count(), 1, "each has its own location");
        // A repetition is answered with what this peer was answered.
        assert_eq!(world.send(address(from), &packet(from)), std::slice::from_ref(answer), "{from}");
    }
}

#[test]
fn an_update_moves_the_registration_where_the_policy_follows() {
    let mut world = World::with(Config { rebinding: Rebinding::Follow, ..Config::default() });
    let location = world.register(address(HOME), "a");
    world.read_request("a", "/3/0/0");
    assert_eq!(world.sent_to(address(HOME)).len(), 1);
    let moved = address("192.0.2.1:40000");
    let update = world.update_packet(&location, "");
    let sent = world.send(moved, &update.bytes());
    assert_eq!(read(&sent[0]).code(), Code::CHANGED);
    assert_eq!(world.registration("a").expect("registered").address, moved);
    assert_eq!(read(&sent[1]).code(), Code::GET, "the Read under way goes to the new address");
    assert!(world.events.iter().any(|e| matches!(e, Event::Updated { changed, .. } if changed.address)));
    world.pass(100 * SECOND);
    assert!(world.sent_to(address(HOME)).is_empty());
    let delete = Packet::new(Type::Con, Code::DELETE, 900, &[9]).path(&location);
    assert_eq!(world.ask(address(HOME), &delete), Code::NOT_FOUND);
    assert_eq!(world.ask(moved, &delete), Code::DELETED);
}

#[test]
fn an_execute_that_was_under_way_when_the_device_moved_is_not_sent_again() {
    let mut world = World::with(Config { rebinding: Rebinding::Follow, ..Config::default() });
    let location = world.register(address(HOME), "a");
    let operation = Operation::Execute { path: path("/3/0/4"), arguments: String::new() };
    let request = Request::new(operation, world.now + 60 * SECOND);
    let id = world.shard.request(world.now, &endpoint("a"), request).expect("taken");
    world.drain();
    assert_eq!(world.sent_to(address(HOME)).len(), 1);
    let moved = address("192.0.2.1:40000");
    let update = world.update_packet(&location, "");
    assert_eq!(world.ask(moved, &update), Code::CHANGED);
    let done = |event: &Event| matches!(event, Event::RequestDone { id: done, outcome: Outcome::Timeout, .. } if *done == id);
    assert!(world.events.iter().any(done), "nobody knows whether it was done");
    world.pass(100 * SECOND);
    assert!(world.sent_to(moved).is_empty() && world.sent_to(address(HOME)).is_empty());
}

#[test]
fn the_state_of_devices_that_went_is_bounded_like_that_of_strangers() {
    let limits = Limits { strangers: 10, registers_a_minute_per_device: 0, ..Limits::default() };
    let mut world = World::with(Config { limits, ..Config::default() });
    for port in 1..=50 {
        let from = address(&format!("192.0.2.1:{port}"));
        let location = world.register(from, "a");
        let delete = Packet::new(Type::Con, Code::DELETE, 900, &[9]).path(&location);
        assert_eq!(world.ask(from, &delete), Code::DELETED);
    }
    assert!(world.shard.stats().peers <= 11, "{}", world.shard.stats().peers);
}

#[test]
fn an_address_belongs_to_one_device() {
    let mut world = World::new();
    world.register(address(HOME), "a");
    world.register(address(HOME), "b");
    assert_eq!(ended(&world.take_events()), [Ended::AddressTaken]);
    assert!(world.registration("a").is_none());
    assert!(world.registration("b").is_some());
}

#[test]
fn the_host_may_refuse() {
    let mut world = World::new();
    world.accept = Some(Answer::Refuse { code: Code::FORBIDDEN });
    let packet = world.register_packet("ep=a&lt=300&lwm2m=1.1", LIST);
    assert_eq!(world.ask(address(HOME), &packet), Code::FORBIDDEN);
    assert!(world.registration("a").is_none());
    assert_eq!(world.shard.stats().registers_refused, 1);
}

// Proves: REG-43
#[test]
fn a_silent_host_means_not_now() {
    let mut world = World::new();
    world.accept = None;
    let packet = world.register_packet("ep=a&lt=300&lwm2m=1.1", LIST);
    assert!(world.send(address(HOME), &packet.bytes()).is_empty());
    world.pass(11 * SECOND);
    let sent = world.sent_to(address(HOME));
    let answer = read(sent.iter().find(|bytes| read(bytes).code().is_response()).expect("an answer"));
    assert_eq!(answer.code(), Code::SERVICE_UNAVAILABLE);
    assert!(answer.max_age_s() > 0);
    let Some(Event::AskRegister { ask, .. }) = world.take_events().into_iter().next() else {
        panic!("asked")
    };
    world.shard.answer(world.now, ask, Answer::Accept { observations: Vec::new() });
    world.drain();
    assert!(world.registration("a").is_none(), "too late");
}

// Proves: REG-43
#[test]
fn a_full_shard_says_not_now() {
    let limits = Limits { registrations: 2, ..Limits::default() };
    let mut world = World::with(Config { limits, ..Config::default() });
    world.register(address("192.0.2.1:1"), "a");
    world.register(address("192.0.2.1:2"), "b");
    let packet = world.register_packet("ep=c&lt=300&lwm2m=1.1", LIST);
    assert_eq!(world.ask(address("192.0.2.1:3"), &packet), Code::SERVICE_UNAVAILABLE);
    world.register(address("192.0.2.1:4"), "a");
    assert_eq!(world.shard.registrations().count(), 2);
}

// Proves: REG-44, COA-12
#[test]
fn a_long_list_comes_in_blocks() {
    let mut world = World::new();
    let list: Vec<String> = (0..200).map(|instance| format!("</3303/{instance}>")).collect();
    let list = list.join(",");
    let blocks: Vec<_> = list.as_bytes().chunks(512).collect();
    for (number, block) in blocks.iter().enumerate() {
        let more = number + 1 < blocks.len();
        let option = u8::try_from(number << 4).expect("few") | u8::from(more) << 3 | 5;
        let packet = world
            .register_packet("ep=a&lt=300&lwm2m=1.1", "")
            .option(OptionNumber::BLOCK1, &[option])
            .payload(block);
        assert_eq!(world.ask(address(HOME), &packet), if more { Code::CONTINUE } else { Code::CREATED });
    }
    assert_eq!(world.registration("a").expect("registered").details.objects.objects.len(), 200);
}

#[test]
fn the_host_may_forget_a_registration() {
    let mut world = World::new();
    let location = world.register(address(HOME), "a");
    assert!(world.shard.forget(world.now, &endpoint("a")));
    assert!(!world.shard.forget(world.now, &endpoint("a")));
    world.drain();
    assert_eq!(ended(&world.take_events()), [Ended::Forgotten]);
    let update = world.update_packet(&location, "");
    assert_eq!(world.ask(address(HOME), &update), Code::NOT_FOUND);
}

#[test]
fn a_send_is_acknowledged_when_it_is_safe() {
    let mut world = World::new();
    let send = Packet::new(Type::Con, Code::POST, 800, &[3])
        .path("dp")
        .format(ContentFormat::SENML_JSON)
        .payload("[{\"n\":\"/3303/0/5700\",\"v\":1}]");
    assert_eq!(world.ask(address(HOME), &send), Code::NOT_FOUND, "not registered");
    world.register(address(HOME), "a");
    let send = Packet { id: 801, ..send };
    assert!(world.send(address(HOME), &send.bytes()).is_empty());
    let ask = world.take_events().into_iter().find_map(|event| match event {
        Event::AskDurable { ask, .. } => Some(ask),
        _ => None,
    });
    world.shard.answer(world.now, ask.expect("asked"), Answer::Stored);
    world.drain();
    let sent = world.sent_to(address(HOME));
    assert_eq!(read(&sent[0]).code(), Code::CHANGED);
}
