//! Operations on several nodes at once (TS_Core 6.3.8, 6.3.9, 6.4.5, 6.4.6; TS_Transport tables 6.4.4 and 6.4.5).

#![allow(clippy::wildcard_enum_match_arm, reason = "a test looks for one event")]

mod common;

use core::time::Duration;
use std::sync::Arc;

use common::{SECOND, World, address, answer, endpoint, notification, read, uri};
use lightship_coap::{Code, ContentFormat, OptionNumber, Type};
use lightship_server::{
    Answer, Composite, Content, Event, ObservationId, Observed, Operation, Outcome, Request, RequestError,
    Wanted, WhenAsleep,
};

const HOME: &str = "192.0.2.1:5683";
/// Some list of paths: the shard does not look into it.
const PATHS: &str = r#"[{"n":"/3/0/9"},{"n":"/1"}]"#;

fn paths() -> Content {
    Content { format: ContentFormat::SENML_JSON, payload: PATHS.as_bytes().into() }
}

fn named(name: &str) -> Wanted {
    let composite = Composite { name: name.into(), content: paths() };
    Wanted {
        observed: Observed::Composite(composite),
        accept: Some(ContentFormat::SENML_CBOR),
        attributes: Vec::new(),
    }
}

fn request(world: &mut World, operation: Operation) -> Vec<u8> {
    let deadline = world.now + Duration::from_secs(60);
    world.shard.request(world.now, &endpoint("a"), Request::new(operation, deadline)).expect("taken");
    world.drain();
    world.request_to(address(HOME))
}

fn registered() -> World {
    let mut world = World::new();
    world.register(address(HOME), "a");
    world
}

/// Method, path, Content-Format, Accept, Observe and payload of what was sent.
type Shape<'a> = (Code, String, Option<ContentFormat>, Option<ContentFormat>, Option<u32>, &'a [u8]);

fn shape(bytes: &[u8]) -> Shape<'_> {
    let message = read(bytes);
    let (format, accept, observe) = (message.content_format(), message.accept(), message.observe());
    (message.code(), uri(&message), format, accept, observe, message.payload())
}

/// Begins an observation on command and returns the request that starts it.
fn observe(world: &mut World, name: &str) -> (ObservationId, Vec<u8>) {
    let deadline = world.now + Duration::from_secs(60);
    let id = world
        .shard
        .observe(world.now, &endpoint("a"), named(name), deadline, WhenAsleep::Refuse)
        .expect("taken");
    world.drain();
    (id, world.request_to(address(HOME)))
}

fn started(world: &mut World) -> Option<(ObservationId, Observed)> {
    world.take_events().into_iter().find_map(|event| match event {
        Event::ObservationStarted { observation, observed, .. } => Some((observation, observed)),
        _ => None,
    })
}

fn values(world: &mut World) -> Vec<(String, Vec<u8>)> {
    let value = |event| match event {
        Event::Notified { observed, payload, .. } => Some((observed.name()?.to_owned(), payload.into())),
        _ => None,
    };
    world.take_events().into_iter().filter_map(value).collect()
}

// Proves: COA-20
#[test]
fn read_composite_is_a_fetch_on_the_root() {
    let mut world = registered();
    let operation = Operation::ReadComposite { content: paths(), accept: Some(ContentFormat::SENML_CBOR) };
    let sent = request(&mut world, operation);
    let (senml, cbor) = (Some(ContentFormat::SENML_JSON), Some(ContentFormat::SENML_CBOR));
    assert_eq!(shape(&sent), (Code::FETCH, String::new(), senml, cbor, None, PATHS.as_bytes()));
    world.send(address(HOME), &answer(&sent, Code::CONTENT).payload("values").bytes());
    let done = world.take_events().into_iter().find_map(|event| match event {
        Event::RequestDone { outcome: Outcome::Response(response), .. } => Some(response),
        _ => None,
    });
    let done = done.expect("answered");
    assert_eq!((done.code, &*done.payload), (Code::CONTENT, &b"values"[..]));
}

// Proves: COA-20
#[test]
fn write_composite_is_an_ipatch_on_the_root() {
    let mut world = registered();
    let sent = request(&mut world, Operation::WriteComposite { content: paths() });
    let senml = Some(ContentFormat::SENML_JSON);
    assert_eq!(shape(&sent), (Code::IPATCH, String::new(), senml, None, None, PATHS.as_bytes()));
}

#[test]
fn a_composite_goes_to_the_alternate_root() {
    let mut world = World::new();
    let packet = world.register_packet("ep=a&lt=300&lwm2m=1.1&b=U", "</lwm2m>;rt=\"oma.lwm2m\",</lwm2m/3/0>");
    world.send(address(HOME), &packet.bytes());
    let sent = request(&mut world, Operation::ReadComposite { content: paths(), accept: None });
    assert_eq!(uri(&read(&sent)), "/lwm2m");
}

// Proves: OBS-15
#[test]
fn a_composite_observation_starts_reports_and_is_cancelled_with_its_list() {
    let mut world = registered();
    let (id, sent) = observe(&mut world, "fleet");
    let (senml, cbor) = (Some(ContentFormat::SENML_JSON), Some(ContentFormat::SENML_CBOR));
    assert_eq!(shape(&sent), (Code::FETCH, String::new(), senml, cbor, Some(0), PATHS.as_bytes()));
    world.send(address(HOME), &answer(&sent, Code::CONTENT).observe(10).payload("first").bytes());
    let (started, observed) = started(&mut world).expect("started");
    assert_eq!((started, observed.name(), observed.path()), (id, Some("fleet"), None));
    assert_eq!(world.shard.composite_observation(&endpoint("a"), "fleet"), Some(id));
    assert_eq!(world.shard.composite_observation(&endpoint("a"), "other"), None);
    world.send(address(HOME), &notification(Type::Con, 1, &sent, 11, "second").bytes());
    assert_eq!(values(&mut world), [("fleet".to_owned(), b"second".to_vec())]);

    let deadline = world.now + Duration::from_secs(60);
    world.shard.cancel_observation(world.now, id, deadline).expect("known").expect("a request");
    world.drain();
    let cancel = world.request_to(address(HOME));
    assert_eq!(shape(&cancel), (Code::FETCH, String::new(), senml, cbor, Some(1), PATHS.as_bytes()));
    assert_eq!(read(&cancel).token(), read(&sent).token());
    world.send(address(HOME), &answer(&cancel, Code::CONTENT).payload("third").bytes());
    let reset = world.send(address(HOME), &notification(Type::Con, 2, &sent, 12, "late").bytes());
    assert_eq!(read(&reset[0]).ty(), Type::Reset);
}

#[test]
fn composite_observations_stand_beside_each_other_and_are_replaced_by_name() {
    let mut world = registered();
    let (one, sent) = observe(&mut world, "one");
    world.send(address(HOME), &answer(&sent, Code::CONTENT).observe(1).payload("1").bytes());
    let (two, sent) = observe(&mut world, "two");
    world.send(address(HOME), &answer(&sent, Code::CONTENT).observe(1).payload("2").bytes());
    assert_ne!(one, two);
    let (again, sent) = observe(&mut world, "one");
    assert_eq!(again, one);
    world.send(address(HOME), &answer(&sent, Code::CONTENT).observe(1).payload("3").bytes());
    assert_eq!(world.shard.stats().observations, 2);
}

// Proves: OBS-07
#[test]
fn a_wanted_composite_observation_runs_again_after_each_registration() {
    let mut world = World::new();
    world.accept = Some(Answer::Accept { observations: vec![named("fleet")] });
    for life in 0..3 {
        world.register(address(HOME), "a");
        let sent = world.request_to(address(HOME));
        assert_eq!((read(&sent).code(), read(&sent).observe()), (Code::FETCH, Some(0)), "life {life}");
        world.send(address(HOME), &answer(&sent, Code::CONTENT).observe(1).payload("first").bytes());
        let (_, observed) = started(&mut world).expect("started");
        assert_eq!(observed.name(), Some("fleet"));
    }
}

#[test]
fn a_wanted_composite_observation_that_is_refused_is_tried_again() {
    let mut world = World::new();
    world.accept = Some(Answer::Accept { observations: vec![named("fleet")] });
    world.register(address(HOME), "a");
    let sent = world.request_to(address(HOME));
    world.send(address(HOME), &answer(&sent, Code::METHOD_NOT_ALLOWED).bytes());
    world.pass(5 * SECOND);
    let again = world.request_to(address(HOME));
    assert_eq!(read(&again).payload(), PATHS.as_bytes());
}

#[test]
fn the_rest_of_a_long_composite_notification_is_fetched_with_the_same_list() {
    let mut world = registered();
    let (_, sent) = observe(&mut world, "fleet");
    world.send(address(HOME), &answer(&sent, Code::CONTENT).observe(10).payload("first").bytes());
    let mut first = notification(Type::Non, 1, &sent, 11, &"x".repeat(16));
    // Block 0 of 16 bytes, more to come.
    first = first.option(OptionNumber::BLOCK2, &[0x08]);
    let fetch = world.send(address(HOME), &first.bytes()).remove(0);
    let (code, _, _, _, observe, payload) = shape(&fetch);
    assert_eq!((code, observe, payload), (Code::FETCH, None, PATHS.as_bytes()));
    let whole = "y".repeat(40);
    world.send(address(HOME), &answer(&fetch, Code::CONTENT).payload(&whole).bytes());
    assert_eq!(values(&mut world), [("fleet".to_owned(), whole.into_bytes())]);
}

#[test]
fn a_list_beyond_the_limit_is_not_taken() {
    let mut world = registered();
    let content = Content { format: ContentFormat::SENML_JSON, payload: vec![b' '; 17 << 20].into() };
    let deadline = world.now + SECOND;
    let composite = Composite { name: Arc::from("big"), content: content.clone() };
    let wanted = Wanted { observed: Observed::Composite(composite), accept: None, attributes: Vec::new() };
    let refused = world.shard.observe(world.now, &endpoint("a"), wanted, deadline, WhenAsleep::Refuse);
    assert_eq!(refused, Err(RequestError::TooLarge));
    let operation = Operation::ReadComposite { content, accept: None };
    let refused = world.shard.request(world.now, &endpoint("a"), Request::new(operation, deadline));
    assert_eq!(refused, Err(RequestError::TooLarge));
}
