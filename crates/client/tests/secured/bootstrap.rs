//! Bootstrap through secure sessions, and what it does to others.

use crate::world::{IDENTITY, KEY, World, psk_account};
use lightship_client::dtls::{self, Alert};
use lightship_client::{Account, AccountId, Config, Event, Failure, Phase, SessionEnd};
use lightship_coap::{Code, ContentFormat, Encoder, MessageId, Token, Type};
use lightship_lwm2m::format::Format;
use lightship_lwm2m::node::encode_entries;
use lightship_lwm2m::{OwnedValue, Path};

/// The Bootstrap-Server's account, with the usual pre-shared key.
fn bootstrap_account() -> Account {
    let mut bootstrap = Account::bootstrap("coaps://bs.example");
    let instance = bootstrap.security.instance;
    bootstrap.security = psk_account(1).security;
    (bootstrap.security.instance, bootstrap.security.bootstrap) = (instance, true);
    bootstrap
}

/// A world that knows its Bootstrap-Server, and where the second account will be.
fn fresh() -> World {
    let mut world = World::with(Config::new(IDENTITY), vec![bootstrap_account()]);
    world.add_server();
    world
}

fn command(world: &mut World, code: Code, path: &str, payload: &[u8]) -> Code {
    let mut buffer = [0; 1024];
    let id = world.next_id();
    let token = Token::new(&id.to_be_bytes()).expect("short");
    let mut message = Encoder::new(&mut buffer, Type::Con, code, MessageId(id), token);
    message.options().uri_path(path);
    if !payload.is_empty() {
        message.options().content_format(ContentFormat(Format::Tlv.number()));
    }
    let len = message.finish_with(payload).expect("fits");
    world.tell(&buffer[..len]);
    world.take().code
}

fn write(world: &mut World, target: &str, values: &[(u16, OwnedValue)]) {
    let path: Path = target.parse().expect("a path");
    let values: Vec<_> =
        values.iter().map(|(id, value)| (path.child(*id).expect("a resource"), Some(value))).collect();
    let payload = encode_entries(Format::Tlv, path, &values).expect("it can be written");
    assert_eq!(command(world, Code::PUT, target, &payload), Code::CHANGED);
}

/// Answers the request for a bootstrap, gives an account with this key, and finishes.
fn provision(world: &mut World, key: &[u8]) {
    let asked = world.take();
    assert_eq!((asked.code, asked.path.as_str()), (Code::POST, "bs"));
    world.answer(&asked, Code::CHANGED, |_| {});
    let number = OwnedValue::Integer;
    let security = [
        (0, OwnedValue::String("coaps://server.example".to_owned())),
        (1, OwnedValue::Boolean(false)),
        (2, number(0)),
        (3, OwnedValue::Opaque(IDENTITY.into())),
        (4, OwnedValue::Opaque(Vec::new())),
        (5, OwnedValue::Opaque(key.to_vec())),
        (10, number(1)),
    ];
    write(world, "/0/1", &security);
    let text = |text: &str| OwnedValue::String(text.to_owned());
    let server = [(0, number(1)), (1, number(300)), (6, OwnedValue::Boolean(true)), (7, text("U"))];
    write(world, "/1/0", &server);
    assert_eq!(command(world, Code::POST, "/bs", &[]), Code::CHANGED);
}

fn server_of(world: &World) -> AccountId {
    let mut accounts = world.client.accounts();
    accounts.find(|(_, account)| !account.is_bootstrap()).map(|(id, _)| id).expect("an account")
}

// Proves: SEC-01, SEC-09
#[test]
fn the_servers_association_begins_after_finish_and_the_other_ends_once_nothing_can_be_repeated() {
    let mut world = fresh();
    let bootstrap = world.id;
    world.client.start(world.now);
    world.run();
    assert_eq!(world.servers[1].accepted, 0);
    provision(&mut world, KEY);
    assert!(world.events.contains(&Event::BootstrapFinished), "{:?}", world.events);
    assert!(world.client.session(bootstrap).is_some(), "its answer may have been lost");
    world.id = server_of(&world);
    world.accept_register();
    world.seconds(240);
    assert!(world.client.session(bootstrap).is_some());
    world.seconds(20);
    assert!(world.client.session(bootstrap).is_none());
    let closed = |event: &dtls::Event| matches!(event, dtls::Event::Closed(Alert::CLOSE_NOTIFY));
    assert!(world.servers[0].events.iter().any(closed));
}

// Proves: SEC-06
#[test]
fn a_key_that_a_bootstrap_replaces_ends_the_session_that_it_began() {
    let mut world = fresh();
    let bootstrap = world.id;
    world.client.start(world.now);
    world.run();
    provision(&mut world, KEY);
    world.id = server_of(&world);
    world.accept_register();
    world.events.clear();
    // The server sends the device to its Bootstrap-Server.
    assert_eq!(world.ask(Code::POST, "/1/0/9", None).code, Code::CHANGED);
    world.id = bootstrap;
    world.servers[1].keys = vec![(IDENTITY.into(), b"another key".to_vec())];
    provision(&mut world, b"another key");
    world.id = server_of(&world);
    world.accept_register();
    assert_eq!(world.servers[1].accepted, 2);
    assert!(world.client.session(world.id).is_some_and(|session| !session.resumed));
    // The same configuration once more changes nothing.
    assert_eq!(world.ask(Code::POST, "/1/0/9", None).code, Code::CHANGED);
    world.id = bootstrap;
    provision(&mut world, b"another key");
    world.id = server_of(&world);
    assert_eq!(world.servers[1].accepted, 2);
    assert!(matches!(world.client.phase(world.id), Phase::Registered { .. }));
}

#[test]
fn a_bootstrap_server_that_cannot_be_reached_is_asked_again_later() {
    let mut world = fresh();
    world.servers[0].keys.clear();
    world.client.start(world.now);
    world.run();
    let failed = |event: &Event| {
        matches!(event, Event::BootstrapFailed { reason: Failure::NotSecured, retry_in: Some(_) })
    };
    assert!(world.saw(failed));
    world.servers[0].keys = vec![(IDENTITY.into(), KEY.into())];
    world.until_told();
    provision(&mut world, KEY);
    world.id = server_of(&world);
    world.accept_register();
}

#[test]
fn a_goodbye_in_the_middle_of_a_bootstrap_ends_it_and_leaves_everything_as_it_was() {
    let mut world = fresh();
    world.client.start(world.now);
    world.run();
    let asked = world.take();
    world.answer(&asked, Code::CHANGED, |_| {});
    world.server_closes();
    let ended = Event::SessionEnded { account: world.id, reason: SessionEnd::Closed(Alert::CLOSE_NOTIFY) };
    assert!(world.events.contains(&ended));
    let failed = |event: &Event| matches!(event, Event::BootstrapFailed { reason: Failure::NotSecured, .. });
    assert!(world.saw(failed));
    assert_eq!(world.client.accounts().count(), 1);
    world.until_told();
    provision(&mut world, KEY);
}
